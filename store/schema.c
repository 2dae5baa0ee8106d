/* SPDX-License-Identifier: MIT */
/*
 * schema.c - the tables of both databases, as steps from one version to the next.
 *
 * steps[v - 1] leads from version v - 1 to v; a new database walks all of them, an older one those it
 * lacks, in one transaction that also sets user_version. So there is one description of each table,
 * and an old journal cannot end between two versions. A step that was released never changes again.
 *
 * What the tables hold:
 *
 *     sessions   a name, the number of its last event, up to where all are acknowledged, its holder's incarnation
 *     hosts      an origin, how many tasks it has, and its best queued task (derived, for taking)
 *     tasks      one row a task; AUTOINCREMENT, so that an id is never used twice
 *     sources    the mirrors of a task (its first URL stands in the task)
 *     blocks     which bytes of the current generation are on disk, by MiB, with a checksum
 *     hints      what a killed owner's slots said; believed only after a read-back
 *     events     what happened; a row outlives its task, so nothing refers to tasks
 *     tally      how many tasks of a session are in a state (derived, for counts and lists)
 *     gone       secrets whose task has gone; they leave secrets.db after the commit
 *     settings   name and value
 *
 * A host belongs to its tasks by count and not by a foreign key: deleting one would search all tasks.
 */
#include "store/internal.h"

#include <stdio.h>

static const char journal_v1[] =
    "CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE sessions("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE,"
    " last_seq INTEGER NOT NULL DEFAULT 0,"
    " acked_seq INTEGER NOT NULL DEFAULT 0) STRICT;"

    "CREATE TABLE hosts("
    " id INTEGER PRIMARY KEY,"
    " origin TEXT NOT NULL UNIQUE,"
    " tasks INTEGER NOT NULL DEFAULT 0,"
    " head_priority INTEGER,"
    " head_id INTEGER) STRICT;"
    "CREATE INDEX hosts_head ON hosts(head_priority DESC, head_id) WHERE head_id IS NOT NULL;"

    "CREATE TABLE tasks("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 8),"
    " session INTEGER NOT NULL REFERENCES sessions(id),"
    " host INTEGER NOT NULL,"
    " key TEXT,"
    " request_hash TEXT,"
    " url TEXT NOT NULL,"
    " url_key INTEGER NOT NULL,"
    " dir TEXT NOT NULL,"
    " out TEXT,"
    " name TEXT,"
    " part TEXT,"
    " path TEXT,"
    " total INTEGER NOT NULL DEFAULT -1,"
    " bytes INTEGER NOT NULL DEFAULT 0,"
    " generation INTEGER NOT NULL DEFAULT 1 CHECK(generation > 0),"
    " attempts INTEGER NOT NULL DEFAULT 0,"
    " validator TEXT,"
    " answered TEXT,"
    " wait_reason TEXT,"
    " wake_at INTEGER NOT NULL DEFAULT 0,"
    " told TEXT,"
    " error TEXT,"
    " exit_code INTEGER NOT NULL DEFAULT 0,"
    " digest TEXT,"
    " priority INTEGER NOT NULL DEFAULT 0,"
    " on_exists INTEGER NOT NULL DEFAULT 0,"
    " mask INTEGER NOT NULL DEFAULT 0,"
    " secret INTEGER NOT NULL DEFAULT 0,"
    " created_at INTEGER NOT NULL,"
    " started_at INTEGER NOT NULL DEFAULT 0,"
    " finished_at INTEGER NOT NULL DEFAULT 0,"
    " ino INTEGER NOT NULL DEFAULT 0,"
    " btime INTEGER NOT NULL DEFAULT 0,"
    " size INTEGER NOT NULL DEFAULT 0,"
    " options TEXT,"
    " user_data BLOB) STRICT;"
    "CREATE INDEX tasks_listed ON tasks(session, state, id);"
    "CREATE UNIQUE INDEX tasks_key ON tasks(session, key) WHERE key IS NOT NULL;"
    "CREATE INDEX tasks_queue ON tasks(host, priority DESC, id) WHERE state = 0;"
    "CREATE UNIQUE INDEX tasks_committing ON tasks(path) WHERE state = 3;"
    "CREATE INDEX tasks_done ON tasks(finished_at, id) WHERE state = 4;"
    "CREATE INDEX tasks_wake ON tasks(wake_at) WHERE state = 5 AND wake_at > 0;"
    "CREATE INDEX tasks_reason ON tasks(wait_reason, id) WHERE state = 5;"
    "CREATE INDEX tasks_url ON tasks(url_key);"
    "CREATE INDEX tasks_secret ON tasks(secret) WHERE secret > 0;"

    "CREATE TABLE sources("
    " task INTEGER NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,"
    " n INTEGER NOT NULL,"
    " url TEXT NOT NULL,"
    " PRIMARY KEY(task, n)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE blocks("
    " task INTEGER NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,"
    " idx INTEGER NOT NULL,"
    " len INTEGER NOT NULL,"
    " crc INTEGER NOT NULL,"
    " PRIMARY KEY(task, idx)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE hints("
    " id INTEGER PRIMARY KEY,"
    " task INTEGER NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,"
    " generation INTEGER NOT NULL,"
    " boot TEXT NOT NULL,"
    " dev INTEGER NOT NULL,"
    " ino INTEGER NOT NULL,"
    " start INTEGER NOT NULL,"
    " end INTEGER NOT NULL,"
    " chain INTEGER NOT NULL,"
    " crc INTEGER NOT NULL) STRICT;"
    "CREATE INDEX hints_task ON hints(task);"

    "CREATE TABLE events("
    " session INTEGER NOT NULL REFERENCES sessions(id),"
    " seq INTEGER NOT NULL,"
    " task INTEGER NOT NULL,"
    " generation INTEGER NOT NULL,"
    " type TEXT NOT NULL,"
    " terminal INTEGER NOT NULL,"
    " time INTEGER NOT NULL,"
    " deliveries INTEGER NOT NULL DEFAULT 0,"
    " body TEXT NOT NULL,"
    " PRIMARY KEY(session, seq)) STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX events_terminal ON events(task, generation) WHERE terminal = 1;"

    "CREATE TABLE tally("
    " session INTEGER NOT NULL REFERENCES sessions(id),"
    " state INTEGER NOT NULL,"
    " n INTEGER NOT NULL,"
    " PRIMARY KEY(session, state)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE gone(secret INTEGER PRIMARY KEY) STRICT;"

    "INSERT INTO sessions(id, name) VALUES(1, 'default');"
    "INSERT INTO settings(name, value) VALUES('tag', lower(hex(randomblob(2))));";

/* Who may acknowledge, and what to run when nobody does; how long a task's parts took. */
static const char journal_v2[] = "ALTER TABLE sessions ADD COLUMN incarnation INTEGER NOT NULL DEFAULT 0;"
                                 "ALTER TABLE sessions ADD COLUMN on_event TEXT;"
                                 "ALTER TABLE tasks ADD COLUMN metrics TEXT;";

/* What the server said of the file's bytes, and whether anything said where it ends. */
static const char journal_v3[] = "ALTER TABLE tasks ADD COLUMN offered TEXT;"
                                 "ALTER TABLE tasks ADD COLUMN unverified INTEGER NOT NULL DEFAULT 0;";

static const char secrets_v1[] =
    "CREATE TABLE secrets(number INTEGER PRIMARY KEY AUTOINCREMENT, json TEXT NOT NULL) STRICT;";

static const struct dlm_step journal_steps[] = {{journal_v1}, {journal_v2}, {journal_v3}};
static const struct dlm_step secrets_steps[] = {{secrets_v1}};

_Static_assert(ARRAY_SIZE(journal_steps) == DLM_SCHEMA_VERSION, "a step for each version");
_Static_assert(DLMGR_QUEUED == 0 && DLMGR_COMMITTING == 3 && DLMGR_DONE == 4 &&
                   DLMGR_WAITING == 5 && DLMGR_FAILED == 7 && DLMGR_CANCELLED == 8,
               "the numbers of states stand in the indexes");

const struct dlm_file dlm_file_journal = {.name = "journal.db",
                                          .application_id = DLM_APPLICATION_ID,
                                          .steps = journal_steps,
                                          .version = DLM_SCHEMA_VERSION,
                                          .secure_delete = "PRAGMA secure_delete = FAST"};
const struct dlm_file dlm_file_secrets = {.name = "secrets.db",
                                          .application_id = 0x646c6d73, /* "dlms" */
                                          .steps = secrets_steps,
                                          .version = ARRAY_SIZE(secrets_steps),
                                          .secure_delete = "PRAGMA secure_delete = ON"};

static int take_steps(sqlite3 *db, const struct dlm_file *f, int from)
{
    char pragma[64];
    int rc = SQLITE_OK;

    for (int v = from; v < f->version && rc == SQLITE_OK; v++)
        rc = sqlite3_exec(db, f->steps[v].sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return rc;
    snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", f->version);
    return sqlite3_exec(db, pragma, NULL, NULL, NULL);
}

int dlm_schema_migrate(sqlite3 *db, const struct dlm_file *f, int from)
{
    int rc;

    if (from >= f->version)
        return SQLITE_OK;
    rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = take_steps(db, f, from);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); /* rc already says what is wrong */
    return rc;
}
