/* SPDX-License-Identifier: MIT */
/*
 * turn.c - what stands between two looks of get, run and wait: see turn.h.
 *
 * Never believe a silence: an answer that the owner is gone (ELINK, ENOOWNER) leads to opening the home again. Results come from the
 * journal alone, so whoever finished a task in between, its result is found. Who may own the home does so only when nobody else did for
 * two seconds: `daemon restart` needs a moment between the old daemon and the new one, and a get that took its place would hold the
 * home against the upgrade.
 */
#include "cli/turn.h"

enum { STORAGE_MS = 60000, OWNER_MS = 6000, RESTART_MS = 2000 };
enum { GAP_MS = 10, GAP_SHARE = 30, GAP_MAX_MS = 500 }; /* between two looks */

/* ---- When the owner goes ------------------------------------------------------------------------ */

/*
 * Attach to the next owner. Until it comes nobody may own the home for free_ms, and whoever holds it may be silent for OWNER_MS:
 * one closes, the next one opens.
 */
static int attach(struct follow *follow, int64_t free_ms, dlmgr_error *error)
{
    int64_t silent_until = cli_clock() + OWNER_MS, free_since = -1;

    for (;;) {
        int r = cli_open(follow->cli, DLMGR_ATTACH, &follow->handle, error);
        int64_t now = cli_clock();

        if ((r != DLMGR_ENOOWNER && r != DLMGR_ELINK) || cli_interrupted())
            return r;
        if (r == DLMGR_ELINK) {
            free_since = -1;
            if (now >= silent_until)
                return r;
        } else {
            silent_until = now + OWNER_MS;
            free_since = free_since < 0 ? now : free_since;
            if (now - free_since >= free_ms)
                return r;
        }
        cli_sleep(50);
    }
}

/* The next owner, or its place. */
static int work(struct follow *follow, dlmgr_error *error)
{
    int r = attach(follow, RESTART_MS, error);

    return r == DLMGR_ENOOWNER && !cli_interrupted()
               ? cli_open_work(follow->cli, false, &follow->handle, error)
               : r;
}

static bool owner_gone(int r)
{
    return r == DLMGR_ELINK || r == DLMGR_ENOOWNER || r == DLMGR_ECLOSED;
}

static int reopen(struct follow *follow, dlmgr_error *error)
{
    int r;

    follow->handle = dlmgr_close(follow->handle);
    r = follow->may_own ? work(follow, error) : attach(follow, OWNER_MS, error);
    if (r == 0 && dlmgr_place_of(follow->handle) == DLMGR_PLACE_ENGINE) {
        cli_progress_clear(&follow->progress);
        cli_note(follow->cli, "the owner of the home went away; going on in its place");
    }
    return r;
}

int cli_turn_trouble(struct follow *follow, int r, dlmgr_error *error)
{
    if (r == 0)
        return 0;
    if (owner_gone(r) && follow->owned) {
        r = reopen(follow, error);
        if (r == 0 || cli_interrupted())
            return 0;
    }
    cli_progress_clear(&follow->progress);
    if (r == DLMGR_ENOOWNER)
        return cli_fail(follow->cli, EXIT_NO_OWNER,
                        "nobody owns the home, so nothing goes on; start work with `dlmgr daemon start` or `dlmgr run`");
    return cli_fail_error(follow->cli, error, NULL);
}

int cli_turn_ended(struct follow *follow)
{
    if (cli_interrupted()) {
        cli_progress_clear(&follow->progress);
        cli_note(follow->cli, "interrupted; unfinished tasks stay in the journal");
        return EXIT_INTERRUPTED;
    }
    if (follow->handle && dlmgr_stopping(follow->handle)) {
        cli_progress_clear(&follow->progress);
        cli_note(follow->cli, "asked to stop; unfinished tasks stay in the journal");
        return EXIT_INTERRUPTED;
    }
    if (follow->until >= 0 && cli_clock() >= follow->until)
        return EXIT_UNFINISHED;
    return 0;
}

/* ---- Between two turns --------------------------------------------------------------------------- */

/* ms from now until a clock's time, at least 0; with ms -1 there was no end before. */
static int64_t sooner(int64_t ms, int64_t at)
{
    int64_t left = at - cli_clock();

    left = left > 0 ? left : 0;
    return ms < 0 || left < ms ? left : ms;
}

/* How long a turn may sleep; -1: until there are news. */
static int64_t longest(const struct follow *follow)
{
    int64_t ms = cli_progress_tick(&follow->progress);

    if (follow->until >= 0)
        ms = sooner(ms, follow->until);
    if (follow->storage_since >= 0 && follow->moving_since < 0)
        ms = sooner(ms, follow->storage_since + STORAGE_MS);
    return ms;
}

int cli_turn_rest(struct follow *follow, dlmgr_error *error)
{
    int64_t gap = (cli_clock() - follow->look_began) * GAP_SHARE, ms = longest(follow);

    if (dlmgr_place_of(follow->handle) == DLMGR_PLACE_JOURNAL) {
        *error = (dlmgr_error){.code = DLMGR_ENOOWNER, .text = "nobody owns the home"};
        return DLMGR_ENOOWNER;
    }
    gap = gap < GAP_MS ? GAP_MS : gap > GAP_MAX_MS ? GAP_MAX_MS : gap;
    cli_sleep(ms < 0 || gap < ms ? gap : ms);
    return cli_news(follow->handle, longest(follow), error);
}

void cli_turn_moving(struct follow *follow)
{
    int64_t now = cli_clock();

    if (follow->moving_since < 0)
        follow->moving_since = now;
    if (now - follow->moving_since >= STORAGE_MS)
        follow->storage_since = -1;
}

bool cli_turn_stalled(struct follow *follow, int64_t storage, int64_t ended)
{
    int64_t now = cli_clock();

    if (follow->cli->args.patient)
        return false;
    if (storage == 0)
        return true;
    if (follow->storage_since < 0 || follow->storage_ended != ended)
        follow->storage_since = now;
    else if (follow->moving_since >= 0)
        follow->storage_since += now - follow->moving_since;
    follow->moving_since = -1;
    follow->storage_ended = ended;
    return now - follow->storage_since >= STORAGE_MS;
}
