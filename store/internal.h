/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of store/ share and nobody else sees (tests excepted).
 *
 * The journal is one connection with every statement prepared (queries.c). Writing goes through dlm_sql_*,
 * which refuse to write outside of a transaction: after SQLite has rolled back by itself (disk full, I/O
 * error, out of memory) nothing more of that batch may land on its own.
 *
 * Some columns are derived from others so that questions stay flat: the heads and counts of hosts,
 * the tally of states, the last number of a session. Their changes gather in memory (derived.c) and are
 * written once per savepoint or commit, so that a batch of many moves pays for them once.
 */
#ifndef DLM_STORE_INTERNAL_H
#define DLM_STORE_INTERNAL_H

#include "store/store.h"

#include <sqlite3.h>

/* ---- Statements (texts in queries.c) ---------------------------------------------------------- */

enum dlm_query {
    Q_BEGIN,
    Q_BEGIN_READ,
    Q_COMMIT,
    Q_ROLLBACK,
    Q_SAVEPOINT,
    Q_RELEASE,
    Q_ROLLBACK_TO,
    Q_SETTING_GET,
    Q_SETTING_SET,
    Q_SESSION_ID,
    Q_SESSION_ADD,
    Q_SESSION_GET,
    Q_SESSION_LAST,
    Q_SESSION_SET_LAST,
    Q_SESSION_ACK,
    Q_SESSION_NEXT,
    Q_SESSION_ROW,
    Q_SESSION_PAGE,
    Q_SESSION_HOLD,
    Q_SESSION_FENCE,
    Q_SESSION_INCARNATION,
    Q_SESSION_SET,
    Q_SESSION_REMOVE,
    Q_SESSION_ACKED,
    Q_HOST_ID,
    Q_HOST_ADD,
    Q_HOST_HEAD,
    Q_HOST_DROP,
    Q_HOST_WALK,
    Q_HOST_QUEUE,
    Q_TALLY_ADD,
    Q_TALLY_SUM,
    Q_TALLY_PAIRS,
    Q_TALLY_OF,
    Q_TALLY_DROP,
    Q_TASK_ADD,
    Q_TASK_KEY,
    Q_TASK_SAME,
    Q_TASK_GET,
    Q_TASK_PAGE,
    Q_TASK_IDS,
    Q_TASK_IDS_OF,
    Q_TASK_CORE,
    Q_TASK_MOVE,
    Q_TASK_EDIT,
    Q_TASK_REMOVE,
    Q_TASK_SECRET,
    Q_TASK_DONE_OLD,
    Q_SOURCE_ADD,
    Q_SOURCE_LIST,
    Q_SOURCE_DROP,
    Q_WAKE_DUE,
    Q_WAKE_NEXT,
    Q_WAKE_LATE,
    Q_WAKE_REASON,
    Q_BEGIN_GENERATION,
    Q_CHECKPOINT,
    Q_TASK_METRICS,
    Q_COUNT_BYTES,
    Q_BLOCK_PUT,
    Q_BLOCK_DROP,
    Q_BLOCK_LIST,
    Q_BYTES_ANY,
    Q_BLOCK_CLEAR,
    Q_HINT_ADD,
    Q_HINT_LIST,
    Q_HINT_CLEAR,
    Q_EVENT_SOURCE,
    Q_EVENT_ADD,
    Q_EVENT_LIST,
    Q_EVENT_BOUND,
    Q_EVENT_OLD,
    Q_EVENT_DELIVER,
    Q_EVENT_NTH,
    Q_EVENT_ACK,
    Q_EVENT_DROP,
    Q_SECRET_USED,
    Q_SECRET_LAST,
    Q_GONE_ADD,
    Q_GONE_LIST,
    Q_GONE_CLEAR,
    QUERIES
};

const char *dlm_query_text(int q); /* NULL past the end; also for the test that explains each */

/* The columns of a dlm_row, in the order of its SELECT; user_data comes last by itself. */
#define DLM_ROW_COLUMNS(X)                                                                         \
    X(LONG, id, "t.id")                                                                            \
    X(INT, state, "t.state")                                                                       \
    X(TEXT, session, "s.name")                                                                     \
    X(TEXT, key, "t.key")                                                                          \
    X(TEXT, url, "t.url")                                                                          \
    X(TEXT, origin, "h.origin")                                                                    \
    X(TEXT, dir, "t.dir")                                                                          \
    X(TEXT, out, "t.out")                                                                          \
    X(TEXT, name, "t.name")                                                                        \
    X(TEXT, part, "t.part")                                                                        \
    X(TEXT, path, "t.path")                                                                        \
    X(LONG, total, "t.total")                                                                      \
    X(LONG, bytes, "t.bytes")                                                                      \
    X(LONG, generation, "t.generation")                                                            \
    X(LONG, attempts, "t.attempts")                                                                \
    X(TEXT, validator, "t.validator")                                                              \
    X(TEXT, answered, "t.answered")                                                                \
    X(TEXT, wait_reason, "t.wait_reason")                                                          \
    X(LONG, wake_at, "t.wake_at")                                                                  \
    X(TEXT, error, "t.error")                                                                      \
    X(INT, exit_code, "t.exit_code")                                                               \
    X(TEXT, metrics, "t.metrics")                                                                  \
    X(TEXT, digest, "t.digest")                                                                    \
    X(TEXT, offered, "t.offered")                                                                  \
    X(INT, unverified, "t.unverified")                                                             \
    X(INT, priority, "t.priority")                                                                 \
    X(INT, on_exists, "t.on_exists")                                                               \
    X(INT, mask, "t.mask")                                                                         \
    X(TEXT, options, "t.options")                                                                  \
    X(LONG, secret, "t.secret")                                                                    \
    X(LONG, created_at, "t.created_at")                                                            \
    X(LONG, started_at, "t.started_at")                                                            \
    X(LONG, finished_at, "t.finished_at")                                                          \
    X(LONG, ident.ino, "t.ino")                                                                    \
    X(LONG, ident.btime_ns, "t.btime")                                                             \
    X(LONG, ident.size, "t.size")

int dlm_row_read(sqlite3_stmt *st, struct dlm_row *ret); /* the current row; DLMGR_ENOMEM */
/* A number in the file that we never wrote, and that must not be an index or be counted on: says so, gives DLMGR_EJOURNAL. */
int dlm_row_damaged(struct dlm_store *s, const char *what, int64_t which);

/* ---- The connection --------------------------------------------------------------------------- */

/* Kept beside the states in the tally: those waiting for storage, and those waiting for a time. */
enum { DLM_TALLY_STORAGE = DLM_STATES, DLM_TALLY_TIMED, DLM_TALLIES };

struct dlm_session_slot {
    int64_t id;
    int64_t last_seq; /* -1: not looked up yet */
    bool seq_changed;
    int64_t delta[DLM_TALLIES];
};

struct dlm_host_slot {
    int64_t id, delta;
};

struct dlm_named { /* the id of the name asked for last; id 0: of none */
    int64_t id;
    char name[300];
};

struct dlm_derived {
    struct dlm_named session, host;
    struct dlm_session_slot sessions[16];
    size_t n_sessions;
    struct dlm_host_slot hosts[256];
    size_t n_hosts;
};

struct dlm_secrets; /* secrets.c */

#define DLM_SAVEPOINTS 8

struct dlm_store {
    sqlite3 *db;
    sqlite3_stmt *queries[QUERIES];
    int homefd; /* our own */
    char *home;
    int mode;
    char tag[5];
    bool in_tx;
    int depth;                            /* savepoints open */
    int64_t secret_marks[DLM_SAVEPOINTS]; /* the newest secret when each began */
    int broken;                           /* SQLite rolled the transaction back by itself: why */
    int fail_code;                        /* of the last failure, */
    int fail_errno;                       /* its errno, */
    char fail_text[256];                  /* and SQLite's words */
    int64_t news, news_pending;
    int64_t commits;   /* how many there were; mark.c */
    int changes;       /* of rows, when this transaction began */
    bool counted;      /* it is one more */
    int mark;          /* the file that says so, -1: not kept */
    bool gone_pending; /* secrets to delete once the journal has committed */
    bool gone_done;    /* and they are deleted: the list may go */
    struct dlm_derived derived;
    struct dlm_secrets *secrets;
};

/* ---- sql.c: bind, step, map errors --------------------------------------------------------------- */

/*
 * fmt has a letter an argument: d int, l int64_t, s const char * (may be NULL), b const void * and size_t. All of a
 * statement's parameters are given each time. What is bound must live until the statement is done.
 */
int dlm_sql_bind(struct dlm_store *s, int q, const char *fmt, ...);
/* Run to its end. */
int dlm_sql_run(struct dlm_store *s, int q, const char *fmt, ...);
/* 1 and a row in *ret, or 0 at the end (already reset), or an error (reset too). */
int dlm_sql_row(struct dlm_store *s, int q, sqlite3_stmt **ret);
void dlm_sql_end(struct dlm_store *s, int q); /* leave off before the end */
/* The integer in the first row's first column: 1, or 0 when there is no row. */
int dlm_sql_int(struct dlm_store *s, int q, int64_t *ret, const char *fmt, ...);
/* The same for text, NULL when there is no row. */
int dlm_sql_text(struct dlm_store *s, int q, char **ret, const char *fmt, ...);
int dlm_sql_changes(struct dlm_store *s);

int dlm_sql_bind_args(sqlite3_stmt *st, const char *fmt, va_list ap); /* SQLite's code */
int dlm_sql_code(sqlite3 *db, int rc);                                /* SQLite's code to ours */
/* Remember a failure of db (the journal or the secrets) for dlm_store_error(); returns our code. */
int dlm_sql_failed(struct dlm_store *s, sqlite3 *db, int rc);
/* Fill e for a failure of file in home. */
int dlm_sql_fail(dlmgr_error *e, sqlite3 *db, int rc, const char *home, const char *file);

/* ---- file.c: open a database file of the home safely ------------------------------------------------ */

struct dlm_step {
    const char *sql; /* from the version before to this one */
};

struct dlm_file {
    const char *name;
    int32_t application_id;
    const struct dlm_step *steps; /* steps[v - 1] leads to version v */
    int version;
    const char *secure_delete; /* the pragma: whether deleted rows are overwritten */
};

extern const struct dlm_file dlm_file_journal, dlm_file_secrets;

/* homefd must stay open as long as the connection. DLMGR_ENOTFOUND: READ and there is none. */
int dlm_file_open(const struct dlm_file *f, int homefd, const char *home, int mode, sqlite3 **ret,
                  dlmgr_error *e);
/* It is known to be good: closing it may checkpoint. Until then it must not. SQLite's code. */
int dlm_file_trust(sqlite3 *db);
/* Bring db from version `from` to f's in one transaction; SQLite's code. */
int dlm_schema_migrate(sqlite3 *db, const struct dlm_file *f, int from);
/* The VFS whose names are taken as they are; NULL when it cannot be had. vfs.c */
const char *dlm_vfs(void);

/* ---- mark.c: how many changes were stored ------------------------------------------------------------ */

int64_t dlm_mark_read(int homefd); /* before the journal is opened; 0: it does not say */
int dlm_mark_missing(const struct dlm_store *s, int64_t mark,
                     dlmgr_error *e); /* there was a journal */
int dlm_mark_check(struct dlm_store *s, int64_t mark, dlmgr_error *e);
int dlm_mark_count(struct dlm_store *s);  /* within the transaction */
void dlm_mark_write(struct dlm_store *s); /* once it is durable */

/* ---- derived.c ------------------------------------------------------------------------------------ */

int dlm_tally_add(struct dlm_store *s, int64_t session, int state, bool storage, bool timed,
                  int64_t by);
int dlm_seq_next(struct dlm_store *s, int64_t session, int64_t *ret);
int dlm_host_touch(struct dlm_store *s, int64_t host, int64_t by); /* by: tasks more or fewer */
int dlm_derived_flush(struct dlm_store *s);
void dlm_derived_forget(struct dlm_store *s);

/* ---- Between the files ------------------------------------------------------------------------------ */

/* What a move must know of a row, and no more. */
struct dlm_core {
    int64_t id, session, host, generation;
    int state, priority;
    bool storage, timed; /* waiting for that */
    bool told;           /* the reason asked about is the one last told */
};

int dlm_task_core(struct dlm_store *s, int64_t id, const char *reason, struct dlm_core *ret);
/* Blocks and hints go: another generation begins, or they are needed no more. */
int dlm_bytes_clear(struct dlm_store *s, int64_t id);
/* Back to the queue, everything else as it is. */
int dlm_queue_again(struct dlm_store *s, int64_t id);
/* The id and origin's row, made when missing. */
int dlm_session_id(struct dlm_store *s, const char *name, int64_t *ret);
int dlm_host_id(struct dlm_store *s, const char *origin, int64_t *ret);

#define DLM_DEFAULT_SESSION 1

struct dlm_session { /* id and numbers of events, as they are inside this transaction */
    int64_t id, last, acked;
};
int dlm_session_get(struct dlm_store *s, const char *name, struct dlm_session *ret);

/* Drop at most *io_left events up to and with seq; what is left of the limit comes back. */
int dlm_events_drop(struct dlm_store *s, int64_t session, int64_t seq, int *io_left);

/* The event of what happened to this task just now, from its row. reason: of a restart, or NULL. */
int dlm_event_add(struct dlm_store *s, const struct dlm_core *core, const char *type, bool terminal,
                  const char *reason);

/* The best n by priority, then id: sorted, the worst falls out. */
struct dlm_pick {
    int64_t id;
    int priority;
};
struct dlm_best {
    struct dlm_pick *items;
    size_t n, cap;
};
bool dlm_best_add(struct dlm_best *best, int64_t id,
                  int priority); /* false: worse than all of a full one */

/* One read transaction around several statements, unless one is open. 1 when it must be ended, 0 when not. */
int dlm_read_begin(struct dlm_store *s);
void dlm_read_end(struct dlm_store *s, int begun);

int dlm_secrets_put(struct dlm_store *s, const char *json, int64_t *ret);
int dlm_secrets_get(struct dlm_store *s, int64_t number, char **ret);
int64_t dlm_secrets_mark(struct dlm_store *s);
int dlm_secrets_undo(struct dlm_store *s, int64_t mark);
int dlm_secrets_commit(struct dlm_store *s);
void dlm_secrets_rollback(struct dlm_store *s);
int dlm_secrets_drop(struct dlm_store *s, int64_t number); /* once the journal has committed */
int dlm_secrets_sweep(struct dlm_store *s);                /* after a commit */
int dlm_secrets_recover(struct dlm_store *s);
void dlm_secrets_close(struct dlm_store *s);

/* JSON text: what a row holds as a member of an object; see json.c. */
void dlm_json_name(struct dlm_buf *b, const char *name);
void dlm_json_bytes(struct dlm_buf *b, const char *name, const void *data,
                    size_t len); /* NULL: null */
void dlm_json_text(struct dlm_buf *b, const char *name, const char *text);
void dlm_json_long(struct dlm_buf *b, const char *name, int64_t value, int64_t unknown);
void dlm_json_raw(struct dlm_buf *b, const char *name, const char *json); /* NULL: null */

#endif
