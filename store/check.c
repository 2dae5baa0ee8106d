/* SPDX-License-Identifier: MIT */
/*
 * check.c - is the journal sound? For doctor and for the tests; reads everything, so not for the hot path.
 *
 * First SQLite's own checks, then what must hold between our tables. Each of ours is one statement that
 * finds nothing in a sound journal; a row that it finds is a problem, and its first column says which. Adding a
 * rule is adding a row. All of them see one snapshot.
 */
#include "store/internal.h"

#include <stdio.h>

/* Up to this number events of `default` may have been lost with a damaged journal: doctor told. */
#define SALVAGED                                                                                   \
    "iif(session = 1, coalesce((SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'salvaged'), 0), 0)"

static const struct {
    const char *text; /* with %s for the first column; NULL: the column is the text */
    const char *sql;
} rules[] = {
    {NULL, "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'"},
    {"a row of %s refers to one that is not there", "SELECT \"table\" FROM pragma_foreign_key_check"},
    {"the tally of session and state %s is wrong",
     "SELECT session || '/' || state FROM (SELECT session, state, n FROM tally WHERE state < 9 UNION ALL "
     "SELECT session, state, -count(*) FROM tasks GROUP BY session, state) "
     "GROUP BY session, state HAVING sum(n) <> 0"},
    {"the tally of those waiting for storage or a time (%s) is wrong",
     "SELECT session || '/' || state FROM (SELECT session, state, n FROM tally WHERE state >= 9 "
     "UNION ALL SELECT session, iif(wait_reason = 'storage', 9, 10), -count(*) FROM tasks "
     "WHERE state = 5 AND (wait_reason = 'storage' OR wake_at > 0) GROUP BY 1, 2) "
     "GROUP BY session, state HAVING sum(n) <> 0"},
    {"the best queued task of %s is another one",
     "SELECT origin FROM hosts h WHERE (head_priority IS (SELECT priority FROM tasks WHERE host = h.id "
     "AND state = 0 ORDER BY priority DESC, id LIMIT 1)) = 0 OR (head_id IS (SELECT id FROM tasks "
     "WHERE host = h.id AND state = 0 ORDER BY priority DESC, id LIMIT 1)) = 0"},
    {"the number of tasks of %s is wrong",
     "SELECT origin FROM hosts h LEFT JOIN (SELECT host, count(*) AS n FROM tasks GROUP BY host) t "
     "ON t.host = h.id WHERE h.tasks <> coalesce(t.n, 0)"},
    {"task %s has no host",
     "SELECT id FROM tasks WHERE NOT EXISTS (SELECT 1 FROM hosts WHERE hosts.id = tasks.host)"},
    {"the events of session %s have a gap, or more than were numbered",
     "SELECT s.name FROM sessions s JOIN (SELECT session, min(seq) AS low, max(seq) AS high, "
     "count(*) AS n FROM events WHERE seq > " SALVAGED " GROUP BY session) e ON e.session = s.id "
     "WHERE high > s.last_seq OR (s.id = 1 AND (n <> high - low + 1 OR high <> s.last_seq))"},
    {"session %s has lost an event that nobody acknowledged",
     "SELECT name FROM sessions s WHERE id <> 1 AND acked_seq + 1 <> coalesce((SELECT min(seq) "
     "FROM events WHERE session = s.id AND seq > acked_seq), last_seq + 1)"},
    {"session %s has acknowledged what never happened",
     "SELECT name FROM sessions WHERE acked_seq > last_seq"},
    {"task %s is done without a file", "SELECT id FROM tasks WHERE state = 4 AND path IS NULL"},
    {"task %s is committing without a name", "SELECT id FROM tasks WHERE state = 3 AND path IS NULL"},
    {"task %s waits without a reason",
     "SELECT id FROM tasks WHERE (state = 5) <> (wait_reason IS NOT NULL)"},
    {"task %s counts bytes beyond its end",
     "SELECT DISTINCT id FROM tasks JOIN blocks ON blocks.task = tasks.id "
     "WHERE total >= 0 AND idx * 1048576 + len > total"},
    {"a block of task %s is longer than a block, or empty",
     "SELECT DISTINCT task FROM blocks WHERE len < 1 OR len > 1048576"},
    {"two tasks share secret %s",
     "SELECT secret FROM tasks WHERE secret > 0 GROUP BY secret HAVING count(*) > 1"},
};

static void say(const char *text, const char *what, dlm_problem_fn fn, void *context)
{
    char line[512];
    const char *at = text ? strstr(text, "%s") : NULL;

    if (at)
        snprintf(line, sizeof(line), "%.*s%s%s", (int)(at - text), text, what, at + 2);
    else
        snprintf(line, sizeof(line), "%s", text ? text : what);
    fn(line, context);
}

static int apply(struct dlm_store *s, size_t i, bool *io_damaged, dlm_problem_fn fn, void *context)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, rules[i].sql, -1, &st, NULL);

    if (rc == SQLITE_OK)
        while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
            const char *what = (const char *)sqlite3_column_text(st, 0);

            say(rules[i].text, what ? what : "?", fn, context);
            *io_damaged |= i == 0;
        }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : dlm_sql_failed(s, s->db, rc);
}

/* DLMGR_EJOURNAL: of secrets.db. A page of the journal that cannot be read is told, as in apply(). */
static int secrets_there(struct dlm_store *s, bool *io_damaged, dlm_problem_fn fn, void *context)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, "SELECT id, secret FROM tasks WHERE secret > 0", -1, &st,
                                NULL);
    int r = 0;

    while (rc == SQLITE_OK && r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        CLEANUP_FREE char *json = NULL;

        rc = SQLITE_OK;
        r = dlm_secrets_get(s, sqlite3_column_int64(st, 1), &json);
        if (r == DLMGR_ENOTFOUND) {
            r = 0;
            say("task %s has lost its secret", (const char *)sqlite3_column_text(st, 0), fn,
                context);
        }
    }
    if (r == 0 && rc != SQLITE_DONE && (r = dlm_sql_failed(s, s->db, rc)) == DLMGR_EJOURNAL) {
        fn(s->fail_text, context);
        *io_damaged = true;
        r = 0;
    }
    sqlite3_finalize(st);
    return r;
}

int dlm_store_check(struct dlm_store *s, dlm_problem_fn fn, void *context)
{
    int begun = s->in_tx ? dlm_derived_flush(s) : dlm_read_begin(s), r = MIN(begun, 0);
    bool damaged = false;

    for (size_t i = 0; i < ARRAY_SIZE(rules) && r == 0; i++) {
        r = apply(s, i, &damaged, fn, context);
        if (r == DLMGR_EJOURNAL) { /* a page that cannot be read: what SQLite says of it, and on */
            fn(s->fail_text, context);
            damaged = true;
            r = 0;
        }
    }
    if (r == 0)
        r = secrets_there(s, &damaged, fn, context);
    dlm_read_end(s, begun);
    return r == 0 ? damaged : r;
}
