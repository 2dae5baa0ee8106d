/* SPDX-License-Identifier: MIT */
/*
 * follow.c - the loop of get, run and wait: see follow.h.
 *
 * A turn sleeps until there are news, or a line is to be drawn, or a time limit comes; then it asks how the tasks are, tells who has ended, and
 * draws. With nothing to draw and no news it does nothing at all. News of a busy owner come thick and fast, so the next look waits
 * thirty times as long as the last one took (turn.c). Tasks are asked for in windows of 500 from the first that goes on, so the cost of a turn
 * does not grow with the list; the next window is looked at only when nothing in this one moves, which is also how "only paused ones are
 * left" is found out.
 */
#include "cli/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 500, GOES_ON = -1 };

void cli_follow_init(struct follow *follow, struct cli *cli)
{
    *follow = (struct follow){.cli = cli,
                              .until = -1,
                              .storage_since = -1,
                              .moving_since = -1,
                              .started = cli_wall()};
    cli_progress_begin(&follow->progress, cli);
}

int cli_follow_open(struct follow *follow)
{
    dlmgr_error error;
    int r = follow->may_own ? cli_open_work(follow->cli, follow->held, &follow->handle, &error)
                            : cli_open(follow->cli, DLMGR_EITHER, &follow->handle, &error);

    if (r)
        return cli_fail_error(follow->cli, &error, NULL);
    follow->owned = dlmgr_place_of(follow->handle) != DLMGR_PLACE_JOURNAL;
    return 0;
}

bool cli_follow_close(struct follow *follow)
{
    bool owned = follow->handle && dlmgr_place_of(follow->handle) == DLMGR_PLACE_ENGINE;

    cli_progress_clear(&follow->progress);
    follow->handle = dlmgr_close(follow->handle);
    free(follow->ids);
    free(follow->codes);
    follow->ids = NULL;
    follow->codes = NULL;
    return owned;
}

int cli_follow_add(struct follow *follow, const int64_t *ids, size_t n)
{
    size_t room = follow->room, i;
    int64_t *more_ids;
    short *more_codes;

    while (room < follow->n + n)
        room = room ? room * 2 : 64;
    if (room > follow->room) {
        more_ids = realloc(follow->ids, room * sizeof(*more_ids));
        follow->ids = more_ids ? more_ids : follow->ids;
        more_codes = realloc(follow->codes, room * sizeof(*more_codes));
        follow->codes = more_codes ? more_codes : follow->codes;
        if (!more_ids || !more_codes)
            return cli_fail(follow->cli, EXIT_UNKNOWN,
                            "out of memory; the tasks are in the journal");
        follow->room = room;
    }
    for (i = 0; i < n; i++) {
        follow->ids[follow->n] = ids[i];
        follow->codes[follow->n++] = GOES_ON;
    }
    return 0;
}

/* ---- These -------------------------------------------------------------------------------------- */

struct look {
    size_t live, storage, paused;
};

static int result_of(const dlmgr_task *task)
{
    switch (task->state) {
    case DLMGR_DONE:
        return EXIT_DONE;
    case DLMGR_FAILED:
        return task->error_code ? task->error_code : EXIT_UNKNOWN;
    case DLMGR_CANCELLED:
        return EXIT_UNFINISHED;
    default:
        return GOES_ON;
    }
}

static void end_one(struct follow *follow, size_t at, int code, const dlmgr_task *task)
{
    follow->codes[at] = (short)code;
    follow->n_ended++;
    if (follow->ended)
        follow->ended(follow->cli, at, task, follow->context);
}

static void look_at(struct follow *follow, const size_t *window, size_t n, const dlmgr_task *task,
                    struct look *look)
{
    bool storage = task->state == DLMGR_WAITING && task->wait_reason &&
                   strcmp(task->wait_reason, "storage") == 0;
    int code = result_of(task);
    size_t i;

    for (i = 0; i < n; i++)
        if (follow->ids[window[i]] == task->id && code != GOES_ON)
            end_one(follow, window[i], code, task);
    if (code != GOES_ON)
        return;
    look->storage += storage;
    look->paused += task->state == DLMGR_PAUSED;
    look->live += !storage && task->state != DLMGR_PAUSED;
}

static int query(struct follow *follow, const int64_t *ids, size_t n, dlmgr_list **ret,
                 dlmgr_error *error)
{
    dlmgr_selector selector = {.size = sizeof(selector), .ids = ids, .n_ids = n, .limit = WINDOW};

    return dlmgr_query(follow->handle, &selector, ret, error);
}

/* One of them is not known any more: find out which. */
static int find_removed(struct follow *follow, const size_t *window, size_t n, dlmgr_error *error)
{
    size_t i;

    for (i = 0; i < n; i++) {
        dlmgr_list *list = NULL;
        int r = query(follow, &follow->ids[window[i]], 1, &list, error);

        if (r == 0 && dlmgr_list_count(list) > 0)
            dlmgr_list_free(list);
        else if (r == 0 || r == DLMGR_ENOTFOUND) {
            dlmgr_list_free(list);
            end_one(follow, window[i], EXIT_UNFINISHED, NULL);
        } else {
            return r;
        }
    }
    return 0;
}

/* The next tasks that go on, from *at. */
static size_t window_next(struct follow *follow, size_t *at, size_t *window, int64_t *ids)
{
    size_t n = 0;

    for (; *at < follow->n && n < WINDOW; (*at)++)
        if (follow->codes[*at] == GOES_ON) {
            window[n] = *at;
            ids[n++] = follow->ids[*at];
        }
    return n;
}

static int look_once(struct follow *follow, struct look *ret, dlmgr_error *error)
{
    size_t window[WINDOW], at, n, i;
    int64_t ids[WINDOW];
    struct look look = {0};
    bool drawn = false;

    follow->look_began = cli_clock();
    while (follow->first < follow->n && follow->codes[follow->first] != GOES_ON)
        follow->first++;
    for (at = follow->first; look.live == 0 && (n = window_next(follow, &at, window, ids)) > 0;) {
        const dlmgr_task *task;
        dlmgr_list *list;
        int r = query(follow, ids, n, &list, error);

        if (r == DLMGR_ENOTFOUND) {
            r = find_removed(follow, window, n, error);
            look.live++; /* look again before deciding anything */
        } else if (r == 0) {
            for (i = 0; (task = dlmgr_list_at(list, i)); i++)
                look_at(follow, window, n, task, &look);
            if (!drawn)
                cli_progress_draw(&follow->progress, list, (int64_t)follow->n_ended,
                                  (int64_t)follow->n);
            drawn = true;
            dlmgr_list_free(list);
        }
        if (r)
            return r;
    }
    *ret = look;
    return 0;
}

/* The first result that is not 0; what goes on counts as unfinished, or as a full disk when that is why. */
static int first_code(const struct follow *follow, int unfinished)
{
    size_t i;

    for (i = 0; i < follow->n; i++)
        if (follow->codes[i] != 0)
            return follow->codes[i] == GOES_ON ? unfinished : follow->codes[i];
    return EXIT_DONE;
}

int cli_follow_these(struct follow *follow)
{
    dlmgr_error error;
    struct look look;
    int code, r;

    while (follow->n_ended < follow->n) {
        code = cli_turn_ended(follow);
        if (code)
            return code == EXIT_UNFINISHED ? first_code(follow, code) : code;
        r = look_once(follow, &look, &error);
        cli_flush(follow->cli); /* what it said about those that have ended */
        if (r == 0 && follow->n_ended == follow->n)
            break;
        if (r == 0 && look.live == 0 && look.paused + look.storage > 0) {
            if (cli_turn_stalled(follow, (int64_t)look.storage, (int64_t)follow->n_ended))
                return first_code(follow, look.storage ? EXIT_DISK_FULL : EXIT_UNFINISHED);
        } else {
            cli_turn_moving(follow);
        }
        if (r == 0)
            r = cli_turn_rest(follow, &error);
        code = cli_turn_trouble(follow, r, &error);
        if (code)
            return code;
    }
    return first_code(follow, EXIT_UNFINISHED);
}

/* ---- All ---------------------------------------------------------------------------------------- */

struct failure {
    int64_t at;
    int code;
    char text[1024];
};

static void failure_note(struct failure *failure, const dlmgr_task *task)
{
    failure->at = task->finished_at;
    failure->code = result_of(task);
    snprintf(failure->text, sizeof(failure->text), "task %lld: %s: %s", (long long)task->id,
             task->url, task->error_text ? task->error_text : dlmgr_state_name(task->state));
}

/* The first failure since we began, among tasks that ended in other ways than done. */
static int failure_since(struct follow *follow, struct failure *ret, dlmgr_error *error)
{
    dlmgr_selector selector = {.size = sizeof(selector),
                               .states = 1u << DLMGR_FAILED | 1u << DLMGR_CANCELLED};
    struct failure failure = {.at = INT64_MAX};
    size_t i;

    do {
        const dlmgr_task *task;
        dlmgr_list *list;
        int r = dlmgr_query(follow->handle, &selector, &list, error);

        if (r)
            return r;
        for (i = 0; (task = dlmgr_list_at(list, i)); i++) {
            selector.after = task->id;
            if (task->finished_at >= follow->started && task->finished_at < failure.at)
                failure_note(&failure, task);
        }
        dlmgr_list_free(list);
    } while (i > 0);
    *ret = failure;
    return 0;
}

/* An engine of ours knows the first code best; which task that was is told by the journal. */
static int all_result(struct follow *follow, int otherwise)
{
    struct failure failure;
    dlmgr_error error;
    int r = failure_since(follow, &failure, &error);

    cli_progress_clear(&follow->progress);
    if (r)
        return cli_fail_error(follow->cli, &error, NULL);
    if (failure.code)
        cli_fail(follow->cli, failure.code, "%s", failure.text);
    return follow->first_failure ? follow->first_failure : failure.code ? failure.code : otherwise;
}

static int all_draw(struct follow *follow, const dlmgr_counts *counts, dlmgr_error *error)
{
    dlmgr_selector selector = {.size = sizeof(selector),
                               .states = 1u << DLMGR_RUNNING | 1u << DLMGR_VERIFYING |
                                         1u << DLMGR_COMMITTING,
                               .limit = 200};
    int64_t total = 0, ended = 0;
    dlmgr_list *list;
    int i, r;

    if (follow->progress.mode == PROGRESS_NONE)
        return 0;
    for (i = 0; dlmgr_state_name(i); i++)
        total += counts->by_state[i];
    ended = counts->by_state[DLMGR_DONE] + counts->by_state[DLMGR_FAILED] +
            counts->by_state[DLMGR_CANCELLED];
    r = dlmgr_query(follow->handle, &selector, &list, error);
    if (r)
        return r;
    cli_progress_draw(&follow->progress, list, ended, total);
    dlmgr_list_free(list);
    return 0;
}

/* -1: there is more to wait for; otherwise the exit code. */
static int all_ended(struct follow *follow, const dlmgr_counts *counts)
{
    int64_t storage = counts->waiting_storage, paused = counts->by_state[DLMGR_PAUSED];

    if (cli_live(counts) - storage > 0 || follow->forever) {
        cli_turn_moving(follow);
        return GOES_ON;
    }
    if (storage + paused == 0)
        return all_result(follow, EXIT_DONE);
    if (!cli_turn_stalled(follow, storage,
                          counts->by_state[DLMGR_DONE] + counts->by_state[DLMGR_FAILED] +
                              counts->by_state[DLMGR_CANCELLED]))
        return GOES_ON;
    return all_result(follow, storage ? EXIT_DISK_FULL : EXIT_UNFINISHED);
}

int cli_follow_all(struct follow *follow)
{
    dlmgr_error error;
    int code, r;

    for (;;) {
        dlmgr_counts counts = {.size = sizeof(counts)};

        code = cli_turn_ended(follow);
        if (code)
            return code == EXIT_UNFINISHED ? all_result(follow, code) : code;
        follow->look_began = cli_clock();
        r = dlmgr_count(follow->handle, &counts, &error);
        if (r == 0) {
            if (dlmgr_place_of(follow->handle) == DLMGR_PLACE_ENGINE && !follow->first_failure)
                follow->first_failure = counts.first_failure;
            code = all_ended(follow, &counts);
            if (code != GOES_ON)
                return code;
            r = all_draw(follow, &counts, &error);
        }
        if (r == 0)
            r = cli_turn_rest(follow, &error);
        code = cli_turn_trouble(follow, r, &error);
        if (code)
            return code;
    }
}
