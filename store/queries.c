/* SPDX-License-Identifier: MIT */
/*
 * queries.c - every statement of the journal, in one table.
 *
 * All are prepared when the journal is opened, so a table that does not fit shows there, and nothing is
 * ever built from text. A test explains each: none may scan tasks, events or blocks.
 *
 * How the hot ones stay flat: taking walks hosts by their heads (hosts_head) and reads each host's queue
 * (tasks_queue); lists go through tasks_listed, one range per session and state; waking through
 * tasks_wake and tasks_reason. CROSS JOIN fixes the order of a join: the task first.
 *
 * The numbers of states in here are checked against dlmgr.h in schema.c: 0 queued, 1 running, 3 committing, 4 done,
 * 5 waiting, 7 failed, 8 cancelled. A condition of a partial index must stand in the query word by word.
 */
#include "store/internal.h"

#define COLUMN_SQL(kind, field, sql) sql ", "
#define SELECT_ROW                                                                                 \
    "SELECT " DLM_ROW_COLUMNS(COLUMN_SQL) "t.user_data FROM tasks t CROSS JOIN sessions s "        \
                                          "CROSS JOIN hosts h "                                    \
                                          "WHERE s.id = t.session AND h.id = t.host "

static const char *const queries[QUERIES] = {
    [Q_BEGIN] = "BEGIN IMMEDIATE",
    [Q_BEGIN_READ] = "BEGIN",
    [Q_COMMIT] = "COMMIT",
    [Q_ROLLBACK] = "ROLLBACK",
    [Q_SAVEPOINT] = "SAVEPOINT request",
    [Q_RELEASE] = "RELEASE request",
    [Q_ROLLBACK_TO] = "ROLLBACK TO request",

    [Q_SETTING_GET] = "SELECT value FROM settings WHERE name = ?1",
    [Q_SETTING_SET] = "INSERT INTO settings(name, value) VALUES(?1, ?2) "
                      "ON CONFLICT(name) DO UPDATE SET value = excluded.value",

    [Q_SESSION_ID] = "SELECT id FROM sessions WHERE name = ?1",
    [Q_SESSION_ADD] = "INSERT INTO sessions(name) VALUES(?1)",
    [Q_SESSION_GET] = "SELECT id, last_seq, acked_seq FROM sessions WHERE name = ?1",
    [Q_SESSION_LAST] = "SELECT last_seq FROM sessions WHERE id = ?1",
    [Q_SESSION_SET_LAST] = "UPDATE sessions SET last_seq = ?2 WHERE id = ?1",
    [Q_SESSION_ACK] = "UPDATE sessions SET acked_seq = ?2 WHERE id = ?1 AND acked_seq < ?2",
    [Q_SESSION_NEXT] = "SELECT min(seq) FROM events WHERE session = ?1 AND seq > ?2",
    [Q_SESSION_ROW] = "SELECT id, name, last_seq, acked_seq, incarnation, on_event FROM sessions "
                      "WHERE name = ?1",
    [Q_SESSION_PAGE] = "SELECT name FROM sessions WHERE name > ?1 ORDER BY name LIMIT ?2",
    [Q_SESSION_HOLD] =
        "UPDATE sessions SET incarnation = 1 + max(incarnation, (SELECT "
        "coalesce(max(CAST(value AS INTEGER)), 0) FROM settings WHERE name = 'incarnation')) "
        "WHERE id = ?1 RETURNING incarnation",
    [Q_SESSION_FENCE] =
        "INSERT INTO settings(name, value) SELECT 'incarnation', incarnation FROM sessions "
        "WHERE id = ?1 ON CONFLICT(name) DO UPDATE SET value = "
        "max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))",
    [Q_SESSION_INCARNATION] = "SELECT incarnation FROM sessions WHERE name = ?1",
    [Q_SESSION_SET] = "UPDATE sessions SET on_event = ?2 WHERE id = ?1",
    [Q_SESSION_REMOVE] = "DELETE FROM sessions WHERE id = ?1",
    [Q_SESSION_ACKED] = "SELECT id, acked_seq FROM sessions WHERE id > ?1 ORDER BY id LIMIT 1",

    [Q_HOST_ID] = "SELECT id FROM hosts WHERE origin = ?1",
    [Q_HOST_ADD] = "INSERT INTO hosts(origin) VALUES(?1)",
    [Q_HOST_HEAD] =
        "UPDATE hosts SET tasks = tasks + ?2, (head_priority, head_id) = ("
        "SELECT priority, id FROM tasks WHERE host = ?1 AND state = 0 ORDER BY priority DESC, id "
        "LIMIT 1) WHERE id = ?1",
    [Q_HOST_DROP] = "DELETE FROM hosts WHERE id = ?1 AND tasks <= 0",
    [Q_HOST_WALK] = "SELECT id, origin, head_priority, head_id FROM hosts "
                    "WHERE head_id IS NOT NULL ORDER BY head_priority DESC, head_id",
    [Q_HOST_QUEUE] = "SELECT id, priority FROM tasks WHERE host = ?1 AND state = 0 "
                     "ORDER BY priority DESC, id LIMIT ?2",

    [Q_TALLY_ADD] = "INSERT INTO tally(session, state, n) VALUES(?1, ?2, ?3) "
                    "ON CONFLICT(session, state) DO UPDATE SET n = n + excluded.n",
    [Q_TALLY_SUM] = "SELECT state, sum(n) FROM tally GROUP BY state",
    [Q_TALLY_PAIRS] = "SELECT session, state FROM tally WHERE n > 0 AND state < 9 AND "
                      "(?1 IS NULL OR session = (SELECT id FROM sessions WHERE name = ?1))",

    [Q_TALLY_OF] = "SELECT state, n FROM tally WHERE session = ?1 AND state BETWEEN 0 AND 8",
    [Q_TALLY_DROP] = "DELETE FROM tally WHERE session = ?1",

    [Q_TASK_ADD] =
        "INSERT INTO tasks(state, session, host, key, request_hash, url, dir, out, total, "
        "wait_reason, wake_at, told, digest, priority, on_exists, mask, secret, created_at, options, "
        "user_data, url_key) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?10, ?12, ?13, ?14, ?15, ?16, ?17, "
        "?18, ?19, ?20)",
    [Q_TASK_KEY] = "SELECT id, request_hash FROM tasks WHERE key = ?2 AND "
                   "session = (SELECT id FROM sessions WHERE name = ?1)",
    [Q_TASK_SAME] = "SELECT id FROM tasks WHERE url_key = ?6 AND url = ?1 AND dir = ?2 "
                    "AND out IS ?3 AND id < ?4 AND state NOT IN (4, 7, 8) AND "
                    "+session = (SELECT id FROM sessions WHERE name = ?5) ORDER BY id DESC LIMIT 1",
    [Q_TASK_GET] = SELECT_ROW "AND t.id = ?1",
    [Q_TASK_PAGE] = SELECT_ROW "AND t.id > ?1 ORDER BY t.id LIMIT ?2",
    [Q_TASK_IDS] = "SELECT id FROM tasks WHERE id > ?1 ORDER BY id LIMIT ?2",
    [Q_TASK_IDS_OF] = "SELECT id FROM tasks WHERE session = ?1 AND state = ?2 AND id > ?3 "
                      "ORDER BY id LIMIT ?4",
    [Q_TASK_CORE] = "SELECT state, session, host, generation, priority, wait_reason IS 'storage', "
                    "wake_at > 0, told IS ?2 FROM tasks WHERE id = ?1",
    [Q_TASK_MOVE] =
        "UPDATE tasks SET state = ?2, generation = ?3, wait_reason = ?4, wake_at = ?5, "
        "told = CASE WHEN ?4 IS NOT NULL THEN ?4 WHEN ?6 THEN NULL ELSE told END, "
        "error = CASE ?7 WHEN 0 THEN NULL WHEN 1 THEN error ELSE coalesce(?8, error) END, "
        "exit_code = CASE ?7 WHEN 0 THEN 0 WHEN 1 THEN exit_code ELSE ?9 END, "
        "path = CASE WHEN ?2 IN (3, 4) THEN coalesce(?10, path) END, "
        "bytes = iif(?11 < 0, bytes, ?11), total = iif(?12 < 0, total, ?12), "
        "attempts = iif(?13 < 0, attempts, ?13), "
        "started_at = iif(?2 = 1 AND started_at = 0, ?14, started_at), "
        "finished_at = iif(?2 IN (4, 7, 8), ?14, 0), "
        "ino = iif(?15, ?16, ino), btime = iif(?15, ?17, btime), size = iif(?15, ?18, size), "
        "metrics = coalesce(?19, metrics), unverified = iif(?20, 1, unverified) "
        "WHERE id = ?1",
    [Q_TASK_EDIT] = "UPDATE tasks SET url = coalesce(?2, url), host = coalesce(?3, host), "
                    "out = coalesce(?4, out), dir = coalesce(?5, dir), secret = iif(?6, ?7, secret), "
                    "options = coalesce(?8, options), priority = iif(?9, ?10, priority), "
                    "url_key = iif(?2 IS NULL, url_key, ?11) WHERE id = ?1",
    [Q_TASK_REMOVE] = "DELETE FROM tasks WHERE id = ?1",
    [Q_TASK_SECRET] = "SELECT secret FROM tasks WHERE id = ?1",
    [Q_TASK_DONE_OLD] = "SELECT id, finished_at FROM tasks WHERE state = 4 "
                        "ORDER BY finished_at, id LIMIT ?1",

    [Q_SOURCE_ADD] = "INSERT INTO sources(task, n, url) VALUES(?1, ?2, ?3)",
    [Q_SOURCE_LIST] = "SELECT url FROM (SELECT 0 AS n, url FROM tasks WHERE id = ?1 UNION ALL "
                      "SELECT n, url FROM sources WHERE task = ?1) ORDER BY n",
    [Q_SOURCE_DROP] = "DELETE FROM sources WHERE task = ?1",

    [Q_WAKE_DUE] = "SELECT id FROM tasks WHERE state = 5 AND wake_at > 0 AND wake_at <= ?1 "
                   "ORDER BY wake_at LIMIT ?2",
    [Q_WAKE_NEXT] = "SELECT wake_at FROM tasks WHERE state = 5 AND wake_at > 0 "
                    "ORDER BY wake_at LIMIT 1",
    [Q_WAKE_LATE] =
        "SELECT id FROM tasks WHERE state = 5 AND wake_at > 0 AND wake_at > ?1 AND +wait_reason = 'backoff' "
        "ORDER BY wake_at LIMIT ?2",
    [Q_WAKE_REASON] = "SELECT id FROM tasks WHERE state = 5 AND wait_reason = ?1 "
                      "ORDER BY id LIMIT ?2",

    [Q_BEGIN_GENERATION] =
        "UPDATE tasks SET generation = ?2, validator = ?3, total = ?4, name = ?5, part = ?6, "
        "answered = ?7, offered = ?8, unverified = 0, bytes = 0, ino = 0, btime = 0, size = 0 WHERE id = ?1",
    [Q_CHECKPOINT] = "UPDATE tasks SET bytes = ?3, ino = ?4, btime = ?5, size = ?6 "
                     "WHERE id = ?1 AND generation = ?2",
    [Q_TASK_METRICS] = "UPDATE tasks SET metrics = ?2 WHERE id = ?1",
    [Q_COUNT_BYTES] = "UPDATE tasks SET bytes = ?3 WHERE id = ?1 AND generation = ?2",
    [Q_BLOCK_PUT] = "INSERT INTO blocks(task, idx, len, crc) VALUES(?1, ?2, ?3, ?4) "
                    "ON CONFLICT(task, idx) DO UPDATE SET len = excluded.len, crc = excluded.crc",
    [Q_BLOCK_DROP] = "DELETE FROM blocks WHERE task = ?1 AND idx = ?2",
    [Q_BLOCK_LIST] = "SELECT idx, len, crc FROM blocks WHERE task = ?1 ORDER BY idx",
    [Q_BYTES_ANY] = "SELECT 1 FROM blocks WHERE task = ?1 UNION ALL "
                    "SELECT 1 FROM hints WHERE task = ?1 LIMIT 1",
    [Q_BLOCK_CLEAR] = "DELETE FROM blocks WHERE task = ?1",
    [Q_HINT_ADD] = "INSERT INTO hints(task, generation, boot, dev, ino, start, end, chain, crc) "
                   "SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM tasks WHERE id = ?1",
    [Q_HINT_LIST] = "SELECT generation, boot, dev, ino, start, end, chain, crc FROM hints "
                    "WHERE task = ?1 ORDER BY id",
    [Q_HINT_CLEAR] = "DELETE FROM hints WHERE task = ?1",

    [Q_EVENT_SOURCE] = "SELECT key, url, path, total, bytes, error, wait_reason, wake_at, user_data, "
                       "metrics, ino, btime, size, unverified FROM tasks WHERE id = ?1",
    [Q_EVENT_ADD] = "INSERT INTO events(session, seq, task, generation, type, terminal, time, body) "
                    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [Q_EVENT_LIST] = "SELECT seq, task, generation, type, time, deliveries, body FROM events "
                     "WHERE session = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4",
    [Q_EVENT_BOUND] = "SELECT max(seq) FROM (SELECT seq FROM events WHERE session = ?1 AND seq <= ?2 "
                      "ORDER BY seq LIMIT ?3)",
    [Q_EVENT_OLD] = "SELECT seq, time FROM events WHERE session = 1 ORDER BY seq LIMIT ?1",
    [Q_EVENT_DELIVER] =
        "UPDATE events SET deliveries = deliveries + 1 WHERE session = ?1 AND seq > ?2 AND seq <= ?3",
    [Q_EVENT_NTH] =
        "SELECT max(seq) FROM (SELECT seq, sum(size) OVER (ORDER BY seq) - size AS before "
        "FROM (SELECT seq, length(CAST(body AS BLOB)) + 256 AS size FROM events "
        "WHERE session = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4)) WHERE before < ?5",
    [Q_EVENT_ACK] = "DELETE FROM events WHERE session = ?1 AND seq = ?2",
    [Q_EVENT_DROP] = "DELETE FROM events WHERE session = ?1 AND seq <= ?2",

    [Q_SECRET_USED] = "SELECT id FROM tasks WHERE secret = ?1 AND secret > 0",
    [Q_SECRET_LAST] = "SELECT max(secret) FROM tasks WHERE secret > 0",
    [Q_GONE_ADD] = "INSERT OR IGNORE INTO gone(secret) VALUES(?1)",
    [Q_GONE_LIST] = "SELECT secret FROM gone",
    [Q_GONE_CLEAR] = "DELETE FROM gone",
};

const char *dlm_query_text(int q)
{
    return q >= 0 && q < QUERIES ? queries[q] : NULL;
}
