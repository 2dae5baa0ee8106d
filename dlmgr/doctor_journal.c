/* SPDX-License-Identifier: MIT */
/*
 * doctor_journal.c - what the journal says of itself, and whether the files that it names are there: see doctor.h.
 *
 * It is opened for reading, so that looking changes nothing. Three kinds of trouble:
 *
 *     damaged    SQLite cannot read it: it can be moved away, with all that means something only beside it
 *     refused    it is somebody else's, or of a newer version: whole, and not ours to move
 *     unsound    whole, but a rule of ours does not hold; the tasks in it are worth more than the rule
 *
 * Secrets that are lost cannot be had back, but their tasks can be given them anew.
 */
#include "dlmgr/doctor_internal.h"
#include "dlmgr/method.h"

#include <stdio.h>
#include <sys/stat.h>

enum { REPORTED_MAX = 1000, PAGE = 1000 };

#define DB_FILES(name) name, name "-wal", name "-shm", name "-journal"

/* Beside a new journal, old secrets and slots would be those of other tasks. */
const char *const dlm_doctor_journal_files[] = {DB_FILES("journal.db"), DB_FILES("secrets.db"),
                                                "slots", "mark", NULL};
const char *const dlm_doctor_secrets_files[] = {DB_FILES("secrets.db"), NULL};

static const char rule_remedy[] =
    "keep a copy of the home and report it; the tasks in it can still be used";
static const char secret_remedy[] =
    "`dlmgr set --url` gives it its URL anew; with headers or a password, remove it and add it again";
static const char damage_remedy[] =
    "`dlmgr doctor --fix` begins a new one with all that can be read of it, and moves it away; files and parts stay";

const char *dlm_doctor_text(const dlmgr_error *e)
{
    size_t len = strlen(e->path);
    const char *text = e->text;

    if (len && !strncmp(text, e->path, len))
        text += len;
    return text + strspn(text, ": ");
}

void dlm_doctor_say_moved(struct dlm_doctor *d, const char *name, const char *what,
                          const char *remedy, bool moved)
{
    CLEANUP_BUF struct dlm_buf text = {0};

    dlm_buf_puts(&text, what);
    if (moved)
        dlm_buf_printf(&text, "; moved to %s", d->moved_to);
    if (text.failed)
        d->no_memory = true;
    else
        dlm_doctor_report(d, name, text.data, remedy, moved);
}

/* *ret NULL: there is none, or it cannot be used, which is reported. */
static int open_journal(struct dlm_doctor *d, struct dlm_store **ret)
{
    dlmgr_error e = {0};
    int r = dlm_doctor_salvage_again(d)
                ? dlm_store_open(d->home->fd, d->home->path, DLM_STORE_READ, ret, &e)
                : DLMGR_ENOTFOUND;
    bool damaged = r == DLMGR_EJOURNAL && (e.sys_errno == EUCLEAN || e.sys_errno == DLM_STORE_LOST),
         mended;

    if (r == 0)
        return 0;
    *ret = NULL;
    if (r == DLMGR_ENOTFOUND || r == DLMGR_ENOMEM)
        return r == DLMGR_ENOMEM ? r : 0;
    mended = damaged && dlm_doctor_salvage(d);
    dlm_doctor_say_moved(d, "journal.db", dlm_doctor_text(&e),
                         damaged ? damage_remedy : "nothing was changed", mended);
    return mended ? open_journal(d, ret) : 0;
}

/* When it was moved, the journal is looked at again, for which tasks have lost theirs. */
static int secrets_damaged(struct dlm_doctor *d, int code, struct dlm_store **io)
{
    dlmgr_error e = {0};

    dlm_store_error(*io, code, &e);
    dlm_store_close(TAKE_PTR(*io));
    dlm_doctor_say_moved(d, "secrets.db", dlm_doctor_text(&e),
                         "`dlmgr doctor --fix` moves it away; tasks with credentials need them anew",
                         dlm_doctor_move(d, dlm_doctor_secrets_files));
    return open_journal(d, io);
}

/* Can it be opened? */
static int secrets(struct dlm_doctor *d, struct dlm_store **io, bool *ret_bad)
{
    CLEANUP_FREE char *text = NULL;
    int r = dlm_store_secret(*io, 1, &text);

    if (r == 0 || r == DLMGR_ENOTFOUND)
        return 0;
    if (r == DLMGR_ENOMEM)
        return r;
    *ret_bad = true;
    return secrets_damaged(d, r, io);
}

static void found(const char *what, void *context)
{
    json_array_append_new(context, json_string_nocheck(what));
}

static const char *remedy_of(const char *what, bool damaged)
{
    /* The one rule whose breach has another cause than us. */
    return damaged                               ? damage_remedy
           : strstr(what, "has lost its secret") ? secret_remedy
                                                 : rule_remedy;
}

static void report_found(struct dlm_doctor *d, const json_t *list, bool damaged)
{
    bool moved = damaged && dlm_doctor_salvage(d);
    size_t n = json_array_size(list);
    char more[64];

    for (size_t i = 0; i < MIN(n, REPORTED_MAX); i++) {
        const char *what = json_string_value(json_array_get(list, i));

        dlm_doctor_say_moved(d, "journal.db", what, remedy_of(what, damaged), moved);
    }
    if (n <= REPORTED_MAX)
        return;
    snprintf(more, sizeof(more), "and %zu more", n - REPORTED_MAX);
    dlm_doctor_say_moved(d, "journal.db", more, "see the others", moved);
}

/* *io is another one afterwards when the journal was mended, or NULL. */
static int check(struct dlm_doctor *d, struct dlm_store **io, bool secrets_bad)
{
    CLEANUP_JSON json_t *list = json_array();
    dlmgr_error e = {0};
    int again = 0, r = list ? dlm_store_check(*io, found, list) : DLMGR_ENOMEM;

    if (r == DLMGR_EJOURNAL && !secrets_bad) {
        secrets_bad = true;
        again = secrets_damaged(d, r, io);
        if (again == 0 && *io && d->fix && json_array_clear(list) == 0)
            r = dlm_store_check(*io, found, list);
    }
    if (r == DLMGR_ENOMEM || again < 0)
        return DLMGR_ENOMEM;
    if (r > 0 && d->fix)
        dlm_store_close(TAKE_PTR(*io));
    report_found(d, list, r > 0);
    if (r > 0 && d->fix)
        return open_journal(d, io);
    if (r < 0 && !secrets_bad) {
        dlm_store_error(*io, r, &e);
        dlm_doctor_report(d, "journal.db", dlm_doctor_text(&e), "look at the disk, and try again",
                          false);
    }
    return 0;
}

/* ---- Parts ------------------------------------------------------------------------------------------------ */

struct parts {
    struct dlm_doctor *d;
    int64_t last;
    int n;
};

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static int look_at_part(const struct dlm_row *row, void *context)
{
    struct parts *p = context;
    CLEANUP_FREE char *path = NULL;
    CLEANUP_BUF struct dlm_buf what = {0};

    p->last = row->id;
    p->n++;
    if (!row->part || row->bytes <= 0 ||
        (row->state == DLMGR_COMMITTING && row->path && is_there(row->path)))
        return 0;
    if (dlm_part_path(row->dir, row->out, row->part, &path) < 0)
        return DLMGR_ENOMEM;
    if (is_there(path))
        return 0;
    dlm_buf_printf(&what, "the part of task %lld is missing, with %lld bytes that it had",
                   (long long)row->id, (long long)row->bytes);
    if (what.failed)
        return DLMGR_ENOMEM;
    dlm_doctor_report(p->d, path, what.data,
                      is_there(row->dir)
                          ? "put it back, or let the task begin anew, which it does by itself"
                          : "its directory is missing too: mount it, or `dlmgr set --dir`",
                      false);
    return 0;
}

static int parts(struct dlm_doctor *d, struct dlm_store *s)
{
    struct dlm_filter filter = {.states = ((1u << DLM_STATES) - 1) &
                                          ~(1u << DLMGR_DONE | 1u << DLMGR_CANCELLED),
                                .limit = PAGE};
    struct parts p = {.d = d};
    int r = 0;

    do {
        p.n = 0;
        filter.after = p.last;
        r = dlm_store_list(s, &filter, look_at_part, &p);
    } while (r == 0 && p.n == PAGE);
    /* A page that cannot be read was reported by the check. */
    return r == DLMGR_ENOMEM ? r : 0;
}

int dlm_doctor_journal(struct dlm_doctor *d)
{
    struct dlm_store *s = NULL;
    bool secrets_bad = false;
    int r = open_journal(d, &s);

    if (r == 0 && s)
        r = secrets(d, &s, &secrets_bad);
    if (r == 0 && s)
        r = check(d, &s, secrets_bad);
    if (r == 0 && s)
        r = parts(d, s);
    dlm_store_close(s);
    return r;
}
