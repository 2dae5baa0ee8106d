/* SPDX-License-Identifier: MIT */
/*
 * salvage_mend.c - what must hold between the rows of a salvaged journal: see salvage.c, which carries them over one by one.
 *
 * Each of `mends` is one statement, in this order: what had ended has ended, what cannot be is paused, numbers go on above all that there were, and what is derived from
 * tasks is made anew. Those that change what a user sees say so.
 */
#include "store/salvage.h"

#include <stdio.h>

enum { TOLD_MAX = 1000 };

enum { ALWAYS, DOUBT, DAMAGE };

/* ?1: the time in milliseconds, ?2: doubt, ?3: the last task. What a statement returns is told with its text. */
static const struct {
    const char *text, *sql;
    int when;
} mends[] = {
    {NULL,
     "DELETE FROM events WHERE session <> 1 AND seq <= (SELECT acked_seq FROM sessions "
     "WHERE id = events.session AND last_seq >= 0)",
     ALWAYS},
    {"task %s had ended, as its event says",
     "UPDATE tasks SET state = CASE e.type WHEN 'done' THEN 4 WHEN 'failed' THEN 7 ELSE 8 END, "
     "generation = e.generation, path = coalesce(tasks.path, e.at), "
     "wait_reason = NULL, wake_at = 0, finished_at = e.time FROM (SELECT task, generation, type, time, "
     "iif(json_valid(body), iif(json_type(body, '$.path') = 'text', json_extract(body, '$.path'), NULL), NULL) AS at "
     "FROM events WHERE terminal = 1) e WHERE e.task = tasks.id AND e.generation >= tasks.generation "
     "AND tasks.state NOT IN (4, 7, 8) AND (e.type <> 'done' OR coalesce(tasks.path, e.at) IS NOT NULL) "
     "RETURNING id",
     ALWAYS},
    {"task %s is paused, and begins anew: an event knows of a later try",
     "UPDATE tasks SET generation = 1 + (SELECT max(generation) FROM events WHERE task = tasks.id), "
     "validator = NULL, offered = NULL, bytes = 0, total = -1, part = NULL, name = NULL, state = 6, "
     "wait_reason = NULL, wake_at = 0 WHERE state NOT IN (3, 4, 7, 8) AND EXISTS "
     "(SELECT 1 FROM events WHERE task = tasks.id AND (events.generation > tasks.generation OR "
     "(events.generation = tasks.generation AND terminal = 1))) RETURNING id",
     ALWAYS},
    {NULL,
     "DELETE FROM blocks WHERE task IN (SELECT id FROM tasks WHERE state = 6 AND bytes = 0 AND part IS NULL)",
     ALWAYS},
    {"task %s is paused: its state cannot be what it says",
     "UPDATE tasks SET state = 6, wait_reason = NULL, wake_at = 0 WHERE (state = 5) <> (wait_reason IS NOT NULL) "
     "OR (state IN (3, 4) AND path IS NULL) RETURNING id",
     ALWAYS},
    {"%s tasks that had not ended are paused: what has become of them since is not known",
     "SELECT count(*) FROM tasks WHERE state IN (0, 1, 2, 5) HAVING count(*) > 0", DOUBT},
    {NULL, "UPDATE tasks SET state = 6, wait_reason = NULL, wake_at = 0 WHERE state IN (0, 1, 2, 5)",
     DOUBT},
    {NULL,
     "DELETE FROM blocks WHERE len NOT BETWEEN 1 AND 1048576 OR EXISTS (SELECT 1 FROM tasks "
     "WHERE id = blocks.task AND total >= 0 AND idx * 1048576 + len > total)",
     ALWAYS},
    {"task %s has lost some of what it had of its file, and fetches that again",
     "UPDATE tasks SET bytes = (SELECT coalesce(sum(len), 0) FROM blocks WHERE task = tasks.id) "
     "WHERE state IN (0, 1, 2, 5, 6) AND bytes > (SELECT coalesce(sum(len), 0) FROM blocks "
     "WHERE task = tasks.id) RETURNING id",
     DAMAGE},
    {"task %s has lost a mirror",
     "SELECT task FROM sources GROUP BY task HAVING max(n) <> count(*)", ALWAYS},
    {"session %s has lost its row: its numbers go on from the time",
     "SELECT name FROM sessions WHERE last_seq < 0", ALWAYS},
    {NULL,
     "INSERT OR REPLACE INTO settings(name, value) SELECT 'incarnation', ?1 WHERE ?2 OR EXISTS "
     "(SELECT 1 FROM sessions WHERE last_seq < 0)",
     ALWAYS},
    {NULL,
     "UPDATE sessions SET last_seq = max(iif(last_seq < 0 OR ?2, ?1, 0), last_seq, "
     "coalesce((SELECT max(seq) FROM events WHERE session = sessions.id), 0))",
     ALWAYS},
    {NULL,
     "UPDATE sessions SET acked_seq = coalesce((SELECT min(seq) FROM events WHERE session = sessions.id "
     "AND seq > acked_seq) - 1, last_seq) WHERE id <> 1",
     ALWAYS},
    {NULL,
     "INSERT OR REPLACE INTO settings(name, value) SELECT 'salvaged', last_seq FROM sessions WHERE id = 1",
     ALWAYS},
    {NULL, "UPDATE events SET deliveries = max(deliveries, 1)", DOUBT},
    {NULL, "DELETE FROM sqlite_sequence WHERE name = 'tasks'", ALWAYS},
    {NULL,
     "INSERT INTO sqlite_sequence(name, seq) SELECT 'tasks', max(iif(?2 OR ?3 = 0, ?1, ?3), "
     "coalesce((SELECT max(id) FROM tasks), 0), coalesce((SELECT max(task) FROM events), 0), "
     "coalesce((SELECT max(task) FROM temp.claimed), 0))",
     ALWAYS},
    {NULL, "DELETE FROM tally", ALWAYS},
    {NULL,
     "INSERT INTO tally(session, state, n) SELECT session, state, count(*) FROM tasks GROUP BY 1, 2 "
     "UNION ALL SELECT session, iif(wait_reason = 'storage', 9, 10), count(*) FROM tasks "
     "WHERE state = 5 AND (wait_reason = 'storage' OR wake_at > 0) GROUP BY 1, 2",
     ALWAYS},
    {NULL,
     "UPDATE hosts SET tasks = (SELECT count(*) FROM tasks WHERE host = hosts.id), "
     "(head_priority, head_id) = (SELECT priority, id FROM tasks WHERE host = hosts.id AND state = 0 "
     "ORDER BY priority DESC, id LIMIT 1)",
     ALWAYS},
    {NULL, "DELETE FROM hosts WHERE tasks = 0", ALWAYS},
    /* Secrets that no task names any more stay, for nothing is deleted. */
    {NULL, "INSERT OR REPLACE INTO settings(name, value) VALUES('secrets_mark', 9223372036854775807)",
     ALWAYS},
    {"task %s is lost",
     "SELECT task FROM temp.claimed WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE id = task)", ALWAYS},
};

static void tell(const struct dlm_mending *m, size_t i, sqlite3_stmt *st, int64_t n)
{
    const char *text = mends[i].text, *at = text ? strstr(text, "%s") : NULL;
    char line[300];

    if (!text || n > TOLD_MAX)
        return;
    snprintf(line, sizeof(line), "%.*s%s%s", (int)(at - text), text,
             (const char *)sqlite3_column_text(st, 0), at + 2);
    m->fn(n < TOLD_MAX ? line : "and more of these", m->context);
}

static int mend(const struct dlm_mending *m, size_t i, int64_t *ret_n)
{
    sqlite3_stmt *st = NULL;
    int64_t values[] = {dlm_clock_wall(), m->doubt, m->last_task};
    int rc = sqlite3_prepare_v2(m->s->db, mends[i].sql, -1, &st, NULL);

    *ret_n = 0;
    for (int k = 0; k < (int)ARRAY_SIZE(values) && rc == SQLITE_OK; k++)
        if (k < sqlite3_bind_parameter_count(st))
            rc = sqlite3_bind_int64(st, k + 1, values[k]);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        tell(m, i, st, ++*ret_n);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : dlm_sql_failed(m->s, m->s->db, rc);
}

int dlm_salvage_mend(const struct dlm_mending *m)
{
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(mends) && r == 0; i++) {
        int64_t n;

        if ((mends[i].when == DOUBT && !m->doubt) ||
            (mends[i].when == DAMAGE && !m->doubt && !m->sum->bad_pages))
            continue;
        r = mend(m, i, &n);
        if (i == ARRAY_SIZE(mends) - 1)
            m->sum->kinds[DLM_SAVED_TASKS].lost = n;
    }
    return r;
}
