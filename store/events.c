/* SPDX-License-Identifier: MIT */
/*
 * events.c - what happened, numbered without gaps in its session.
 *
 * An event's body says all that it carries, since it outlives its task:
 *
 *     {"path", "bytes_total", "bytes_done", "error", "key", "url", "user_data", "wait": {"reason", "until"},
 *      "reason", "metrics", "unverified_length", "file": {"ino", "btime", "size"}}      each there or null; `reason` is that of a restart,
 *                                                          `file` tells a finished file from another of its name
 *
 * Numbers come from the session's row by way of derived.c; inserting fails when one is used twice. A rollback
 * takes the number back with the event, so there is no gap either.
 *
 * An acknowledged event of a named session is gone (sessions.c); its rows go in small pieces, some at once and the
 * rest with pruning. The session `default` needs no acknowledgement: its events stay until they are old.
 */
#include "store/internal.h"

/* An owner keeps a page in memory until it is read. */
#define DELIVER_BYTES KIB(256)

/* ---- Writing --------------------------------------------------------------------------------------- */

static const char *text_of(sqlite3_stmt *st, int i)
{
    return (const char *)sqlite3_column_text(st, i);
}

static void add_wait(struct dlm_buf *b, const char *reason, int64_t until)
{
    char text[32];

    if (!reason) {
        dlm_json_raw(b, "wait", NULL);
        return;
    }
    dlm_json_name(b, "wait");
    dlm_buf_puts(b, "{");
    dlm_json_text(b, "reason", reason);
    if (until)
        dlm_clock_format(until, text);
    dlm_json_text(b, "until", until ? text : NULL);
    dlm_buf_puts(b, "}");
}

static void add_user_data(struct dlm_buf *b, sqlite3_stmt *st, int i)
{
    const void *data = sqlite3_column_blob(st, i);

    if (!data && sqlite3_column_type(st, i) != SQLITE_NULL)
        data = "";
    dlm_json_bytes(b, "user_data", data, (size_t)sqlite3_column_bytes(st, i));
}

/* The identity of a file that has its name. */
static void add_file(struct dlm_buf *b, sqlite3_stmt *st)
{
    if (sqlite3_column_type(st, 2) == SQLITE_NULL) {
        dlm_json_raw(b, "file", NULL);
        return;
    }
    dlm_json_name(b, "file");
    dlm_buf_puts(b, "{");
    dlm_json_long(b, "ino", sqlite3_column_int64(st, 10), -1);
    dlm_json_long(b, "btime", sqlite3_column_int64(st, 11), -1);
    dlm_json_long(b, "size", sqlite3_column_int64(st, 12), -1);
    dlm_buf_puts(b, "}");
}

static void add_members(struct dlm_buf *b, sqlite3_stmt *st, const char *reason)
{
    dlm_buf_puts(b, "{");
    dlm_json_text(b, "key", text_of(st, 0));
    dlm_json_text(b, "url", text_of(st, 1));
    dlm_json_text(b, "path", text_of(st, 2));
    dlm_json_long(b, "bytes_total", sqlite3_column_int64(st, 3), -1);
    dlm_json_long(b, "bytes_done", sqlite3_column_int64(st, 4), -1);
    dlm_json_raw(b, "error", text_of(st, 5));
    add_wait(b, text_of(st, 6), sqlite3_column_int64(st, 7));
    dlm_json_text(b, "reason", reason);
    add_user_data(b, st, 8);
    dlm_json_raw(b, "metrics", text_of(st, 9));
    dlm_json_raw(b, "unverified_length", sqlite3_column_int(st, 13) ? "true" : "false");
    add_file(b, st);
    dlm_buf_puts(b, "}");
}

static int body_of(struct dlm_store *s, int64_t task, const char *reason, struct dlm_buf *b)
{
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_EVENT_SOURCE, "l", task);

    if (r < 0 || (r = dlm_sql_row(s, Q_EVENT_SOURCE, &st)) < 0)
        return r;
    if (r == 0)
        return DLMGR_ENOTFOUND;
    add_members(b, st, reason);
    dlm_sql_end(s, Q_EVENT_SOURCE);
    return b->failed ? DLMGR_ENOMEM : 0;
}

int dlm_event_add(struct dlm_store *s, const struct dlm_core *core, const char *type, bool terminal,
                  const char *reason)
{
    CLEANUP_BUF struct dlm_buf body = {0};
    int64_t seq;
    int r = body_of(s, core->id, reason, &body);

    if (r < 0 || (r = dlm_seq_next(s, core->session, &seq)) < 0)
        return r;
    r = dlm_sql_run(s, Q_EVENT_ADD,
                    "lllls"
                    "dls",
                    core->session, seq, core->id, core->generation, type, (int)terminal,
                    dlm_clock_wall(), body.data);
    if (r == 0)
        s->news_pending = MAX(s->news_pending, seq);
    return r;
}

/* ---- Reading --------------------------------------------------------------------------------------- */

/* An acknowledged event of a named session is gone, even while its row is still there. */
static int64_t begin_after(const struct dlm_session *session, int64_t after)
{
    bool gone = session->id != DLM_DEFAULT_SESSION && after < session->acked;

    return after < 0 || gone ? session->acked : after;
}

/* delivered: this reading counts among the deliveries already. */
static int page(struct dlm_store *s, const char *name, const struct dlm_session *session,
                int64_t after, int64_t to, int limit, bool delivered, dlm_event_row_fn fn,
                void *context)
{
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_EVENT_LIST, "llld", session->id, after, to, limit);

    while (r == 0 && (r = dlm_sql_row(s, Q_EVENT_LIST, &st)) > 0) {
        struct dlm_event_row ev = {.seq = sqlite3_column_int64(st, 0),
                                   .task = sqlite3_column_int64(st, 1),
                                   .generation = sqlite3_column_int64(st, 2),
                                   .session = name,
                                   .type = text_of(st, 3),
                                   .time = sqlite3_column_int64(st, 4),
                                   .deliveries = sqlite3_column_int64(st, 5),
                                   .body = text_of(st, 6)};

        ev.acked = ev.seq <= session->acked;
        ev.replay = !ev.acked && ev.deliveries > delivered;
        r = ev.type && ev.body ? fn(&ev, context) : DLMGR_ENOMEM;
    }
    dlm_sql_end(s, Q_EVENT_LIST);
    return r;
}

int dlm_store_events(struct dlm_store *s, const char *session, int64_t after, int limit,
                     dlm_event_row_fn fn, void *context)
{
    struct dlm_session found;
    int begun = dlm_read_begin(s), r = begun;

    if (r >= 0)
        r = dlm_session_get(s, session, &found);
    if (r == 0)
        r = page(s, session, &found, begin_after(&found, after), INT64_MAX, limit, false, fn,
                 context);
    dlm_read_end(s, begun);
    return r;
}

int dlm_store_deliver(struct dlm_store *s, const char *session, int64_t after, int64_t to,
                      int limit, dlm_event_row_fn fn, void *context)
{
    struct dlm_session found;
    int64_t bound = 0;
    int r = dlm_session_get(s, session, &found);

    if (r < 0)
        return r;
    after = begin_after(&found, after);
    r = dlm_sql_int(s, Q_EVENT_NTH, &bound, "llldl", found.id, after, to, limit,
                    (int64_t)DELIVER_BYTES);
    if (r < 0 || bound == 0)
        return MIN(r, 0);
    r = dlm_sql_run(s, Q_EVENT_DELIVER, "lll", found.id, after, bound);
    return r < 0 ? r : page(s, session, &found, after, bound, limit, true, fn, context);
}

/* ---- Pruning ------------------------------------------------------------------------ */

int dlm_events_drop(struct dlm_store *s, int64_t session, int64_t seq, int *io_left)
{
    int64_t bound = 0;
    int r = dlm_sql_int(s, Q_EVENT_BOUND, &bound, "lld", session, seq, *io_left);

    if (r < 0 || bound == 0)
        return MIN(r, 0);
    r = dlm_sql_run(s, Q_EVENT_DROP, "ll", session, bound);
    if (r == 0)
        *io_left -= MIN(*io_left, dlm_sql_changes(s));
    return r;
}

static int drop_acked(struct dlm_store *s, int *io_left)
{
    int64_t id = DLM_DEFAULT_SESSION;
    sqlite3_stmt *st;
    int r = 0;

    while (r == 0 && *io_left > 0) {
        int64_t acked;

        if ((r = dlm_sql_bind(s, Q_SESSION_ACKED, "l", id)) < 0 ||
            (r = dlm_sql_row(s, Q_SESSION_ACKED, &st)) <= 0)
            return r;
        id = sqlite3_column_int64(st, 0);
        acked = sqlite3_column_int64(st, 1);
        dlm_sql_end(s, Q_SESSION_ACKED);
        r = dlm_events_drop(s, id, acked, io_left);
    }
    return r;
}

static int drop_old(struct dlm_store *s, int64_t before, int *io_left)
{
    int64_t bound = 0;
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_EVENT_OLD, "d", *io_left);

    while (r == 0 && (r = dlm_sql_row(s, Q_EVENT_OLD, &st)) > 0) {
        r = 0;
        if (sqlite3_column_int64(st, 1) >= before)
            break;
        bound = sqlite3_column_int64(st, 0);
    }
    dlm_sql_end(s, Q_EVENT_OLD);
    return r == 0 && bound ? dlm_events_drop(s, DLM_DEFAULT_SESSION, bound, io_left) : r;
}

static int done_count(struct dlm_store *s, int64_t *ret)
{
    struct dlm_tally tally;
    int r = dlm_store_tally(s, &tally);

    if (r == 0)
        *ret = tally.by_state[DLMGR_DONE];
    return r;
}

static int drop_done(struct dlm_store *s, int64_t before, int64_t keep, int *io_left)
{
    int64_t count = 0, id, when;
    sqlite3_stmt *st;
    int r = done_count(s, &count);

    for (; r == 0 && *io_left > 0; count--, (*io_left)--) {
        if ((r = dlm_sql_bind(s, Q_TASK_DONE_OLD, "d", 1)) < 0 ||
            (r = dlm_sql_row(s, Q_TASK_DONE_OLD, &st)) <= 0)
            return r;
        id = sqlite3_column_int64(st, 0);
        when = sqlite3_column_int64(st, 1);
        dlm_sql_end(s, Q_TASK_DONE_OLD);
        r = 0;
        if (when >= before && (keep < 0 || count <= keep))
            return 0;
        r = dlm_store_remove(s, id);
    }
    return r;
}

int dlm_store_prune(struct dlm_store *s, int64_t events_before, int64_t done_before,
                    int64_t done_keep, int limit, bool *ret_more)
{
    int left = limit;
    int r = drop_acked(s, &left);

    if (r == 0 && left > 0)
        r = drop_old(s, events_before, &left);
    if (r == 0 && left > 0)
        r = drop_done(s, done_before, done_keep, &left);
    if (r == 0)
        *ret_more = left == 0;
    return r;
}
