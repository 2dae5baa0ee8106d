/* SPDX-License-Identifier: MIT */
/*
 * sessions.c - whose events these are, up to where they are acknowledged, and who may acknowledge them.
 *
 * An acknowledged event of a named session is gone. Acknowledging up to a number drops all rows up to there; acknowledging one event drops
 * that row. `acked_seq` is the number up to which nothing is left, so it follows from the rows:
 *
 *     rows     . . . 4 . 6 7        1, 2, 3 and 5 are acknowledged
 *     acked_seq    3                and last_seq is 7; once 4 goes, it becomes 5
 *
 * The incarnation is a fence: it goes up with each new holder, and who comes with an older one has lost the session. It is never
 * lowered, also not by removing the session: a later one of that name begins with new events, but behind all incarnations
 * that were removed (`incarnation` in the settings), or an old holder would acknowledge events that it never saw.
 */
#include "store/internal.h"

#define DROP_AT_ACK 1000

int dlm_session_get(struct dlm_store *s, const char *name, struct dlm_session *ret)
{
    sqlite3_stmt *st;
    int r = s->in_tx ? dlm_derived_flush(s) : 0;

    if (r < 0 || (r = dlm_sql_bind(s, Q_SESSION_GET, "s", name)) < 0 ||
        (r = dlm_sql_row(s, Q_SESSION_GET, &st)) < 0)
        return r;
    if (r == 0)
        return DLMGR_ENOTFOUND;
    *ret = (struct dlm_session){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1),
                                sqlite3_column_int64(st, 2)};
    dlm_sql_end(s, Q_SESSION_GET);
    return 0;
}

int dlm_store_session(struct dlm_store *s, const char *name, int64_t *ret_last, int64_t *ret_acked)
{
    struct dlm_session session;
    int r = dlm_session_get(s, name, &session);

    if (r < 0)
        return r;
    *ret_last = session.last;
    *ret_acked = session.acked;
    return 0;
}

/* ---- Reading --------------------------------------------------------------------------------------- */

static int read_tally(struct dlm_store *s, int64_t session, int64_t *by_state)
{
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_TALLY_OF, "l", session);

    while (r == 0 && (r = dlm_sql_row(s, Q_TALLY_OF, &st)) > 0) {
        by_state[sqlite3_column_int(st, 0)] = sqlite3_column_int64(st, 1);
        r = 0;
    }
    return r;
}

/* The statement's strings live until the statement is reset, which is after fn. */
static int row_from(struct dlm_store *s, sqlite3_stmt *st, dlm_session_row_fn fn, void *context)
{
    struct dlm_session_row row = {.name = (const char *)sqlite3_column_text(st, 1),
                                  .last = sqlite3_column_int64(st, 2),
                                  .acked = sqlite3_column_int64(st, 3),
                                  .incarnation = sqlite3_column_int64(st, 4),
                                  .on_event = (const char *)sqlite3_column_text(st, 5)};
    int64_t id = sqlite3_column_int64(st, 0);
    int r = dlm_sql_int(s, Q_SESSION_NEXT, &row.oldest, "ll", id, row.acked);

    if (r >= 0)
        r = read_tally(s, id, row.by_state);
    return r < 0 ? r : fn(&row, context);
}

static int one_row(struct dlm_store *s, const char *name, dlm_session_row_fn fn, void *context)
{
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_SESSION_ROW, "s", name);

    if (r < 0 || (r = dlm_sql_row(s, Q_SESSION_ROW, &st)) < 0)
        return r;
    if (r == 0)
        return DLMGR_ENOTFOUND;
    r = row_from(s, st, fn, context);
    dlm_sql_end(s, Q_SESSION_ROW);
    return r;
}

int dlm_store_session_row(struct dlm_store *s, const char *name, dlm_session_row_fn fn,
                          void *context)
{
    int begun = s->in_tx ? dlm_derived_flush(s) : dlm_read_begin(s), r = MIN(begun, 0);

    if (r == 0)
        r = one_row(s, name, fn, context);
    dlm_read_end(s, begun);
    return r;
}

int dlm_store_sessions(struct dlm_store *s, const char *after, int limit, dlm_session_row_fn fn,
                       void *context)
{
    int begun = s->in_tx ? dlm_derived_flush(s) : dlm_read_begin(s), r = MIN(begun, 0);
    sqlite3_stmt *st;

    if (r == 0)
        r = dlm_sql_bind(s, Q_SESSION_PAGE, "sd", after ? after : "", limit);
    while (r == 0 && (r = dlm_sql_row(s, Q_SESSION_PAGE, &st)) > 0)
        r = one_row(s, (const char *)sqlite3_column_text(st, 0), fn, context);
    dlm_sql_end(s, Q_SESSION_PAGE);
    dlm_read_end(s, begun);
    return r;
}

/* ---- Acknowledging ------------------------------------------------------------------------------------ */

/* Nothing is left before the first row that is left. */
static int advance(struct dlm_store *s, const struct dlm_session *session, int64_t from)
{
    int64_t next = 0, to;
    int r = dlm_sql_int(s, Q_SESSION_NEXT, &next, "ll", session->id, from);

    if (r < 0)
        return r;
    to = next ? next - 1 : session->last;
    return to > session->acked ? dlm_sql_run(s, Q_SESSION_ACK, "ll", session->id, to) : 0;
}

int dlm_store_ack_to(struct dlm_store *s, const char *session, int64_t seq)
{
    struct dlm_session found;
    int left = DROP_AT_ACK;
    int r = dlm_session_get(s, session, &found);

    if (r < 0)
        return r;
    if (seq > found.last || seq < 0)
        return DLMGR_EINVAL;
    if (seq <= found.acked)
        return 0;
    if (found.id == DLM_DEFAULT_SESSION)
        return dlm_sql_run(s, Q_SESSION_ACK, "ll", found.id, seq);
    r = advance(s, &found, seq);
    return r == 0 ? dlm_events_drop(s, found.id, seq, &left) : r;
}

int dlm_store_ack(struct dlm_store *s, const char *session, int64_t seq)
{
    struct dlm_session found;
    int r = dlm_session_get(s, session, &found);

    if (r < 0)
        return r;
    if (seq > found.last || seq < 0 || found.id == DLM_DEFAULT_SESSION)
        return DLMGR_EINVAL;
    if (seq <= found.acked)
        return 0;
    r = dlm_sql_run(s, Q_EVENT_ACK, "ll", found.id, seq);
    return r == 0 && seq == found.acked + 1 ? advance(s, &found, seq) : r;
}

/* ---- Holding ------------------------------------------------------------------------------------------- */

int dlm_store_session_hold(struct dlm_store *s, const char *name, int64_t *ret_incarnation)
{
    int64_t id = 0;
    sqlite3_stmt *st;
    int r = dlm_session_id(s, name, &id);

    if (r < 0 || (r = dlm_sql_bind(s, Q_SESSION_HOLD, "l", id)) < 0)
        return r;
    while ((r = dlm_sql_row(s, Q_SESSION_HOLD, &st)) > 0)
        *ret_incarnation = sqlite3_column_int64(st, 0);
    return r;
}

int dlm_store_session_incarnation(struct dlm_store *s, const char *name, int64_t *ret)
{
    int r = dlm_sql_int(s, Q_SESSION_INCARNATION, ret, "s", name);

    return r == 0 ? DLMGR_ENOTFOUND : MIN(r, 0);
}

int dlm_store_session_set(struct dlm_store *s, const char *name, const char *on_event)
{
    int64_t id = 0;
    int r = dlm_session_id(s, name, &id);

    return r < 0 ? r : dlm_sql_run(s, Q_SESSION_SET, "ls", id, on_event);
}

static int count_tasks(const struct dlm_session_row *row, void *context)
{
    for (int i = 0; i < DLM_STATES; i++)
        *(int64_t *)context += row->by_state[i];
    return 0;
}

int dlm_store_session_remove(struct dlm_store *s, const char *name)
{
    struct dlm_session found;
    int64_t tasks = 0;
    int r = dlm_session_get(s, name, &found);

    if (r == 0)
        r = one_row(s, name, count_tasks, &tasks);
    if (r < 0)
        return r;
    if (tasks > 0 || found.id == DLM_DEFAULT_SESSION)
        return DLMGR_ESTATE;
    dlm_derived_forget(s); /* it remembers names and ids; what it had to write was flushed above */
    r = dlm_sql_run(s, Q_SESSION_FENCE, "l", found.id);
    if (r == 0)
        r = dlm_sql_run(s, Q_EVENT_DROP, "ll", found.id, INT64_MAX);
    if (r == 0)
        r = dlm_sql_run(s, Q_TALLY_DROP, "l", found.id);
    return r == 0 ? dlm_sql_run(s, Q_SESSION_REMOVE, "l", found.id) : r;
}
