/* SPDX-License-Identifier: MIT */
/*
 * store.h - the journal: what is true, in SQL. The only place with SQL.
 *
 * A store is one connection to HOME/journal.db and HOME/secrets.db. The owner has one that writes, on the
 * journal thread, and one that reads, for lists. All functions run on the thread that holds the connection; none keeps
 * a read transaction open when it returns.
 *
 * Writing functions must stand between dlm_store_begin() and dlm_store_commit(); each may be run
 * again after a rollback. They return 0, or a negative DLMGR_E... after which the caller rolls back to its savepoint.
 *
 * dlm_store_move() is the one function that changes a task's state: it checks the table in state.h, keeps the
 * queue's heads (hosts) right, and inserts the event in the same transaction.
 */
#ifndef DLM_STORE_H
#define DLM_STORE_H

#include "dlmgr/base.h"
#include "store/state.h"

#define DLM_APPLICATION_ID 0x646c6d67 /* "dlmg" */
#define DLM_SCHEMA_VERSION 3

struct dlm_store;

/* e->sys_errno of a journal that is whole, and in which less has happened than there had. */
#define DLM_STORE_LOST ENODATA

enum dlm_store_mode { DLM_STORE_READ, DLM_STORE_WRITE };

/*
 * Open the journal of the home whose directory is held in homefd (home is its path, for messages and SQLite). WRITE makes or migrates it; call it only
 * while holding the lock. READ returns DLMGR_ENOTFOUND when there is no journal yet. A journal that is not ours, newer, corrupt,
 * a symlink or without working locks: DLMGR_EJOURNAL or DLMGR_EHOME, named, nothing changed. Damaged ones have e->sys_errno EUCLEAN.
 */
int dlm_store_open(int homefd, const char *home, int mode, struct dlm_store **ret, dlmgr_error *e);
void dlm_store_close(struct dlm_store *s); /* NULL is fine; checkpoints the WAL when it was the writer */

/* ---- Transactions ---------------------------------------------------------------------------- */

int dlm_store_begin(struct dlm_store *s);
int dlm_store_commit(struct dlm_store *s,
                     dlmgr_error *e); /* secrets first, then the journal; on failure all is rolled back */
void dlm_store_rollback(struct dlm_store *s);
int dlm_store_savepoint(struct dlm_store *s);
void dlm_store_release(struct dlm_store *s, bool keep); /* keep false: undo since the savepoint */
/* Text of the last failure on this connection, for dlmgr_error. */
void dlm_store_error(struct dlm_store *s, int code, dlmgr_error *e);

/* ---- Tasks ----------------------------------------------------------------------------------- */

struct dlm_ident { /* which file a name stood for */
    uint64_t ino;
    int64_t btime_ns; /* 0: the file system does not say */
    int64_t size;
};

/* One row of tasks. Strings are owned by the row; dlm_row_clear() frees them. */
struct dlm_row {
    int64_t id;
    int state;
    char *session;
    char *key;
    char *url;    /* the first source, redacted */
    char *origin; /* scheme://host:port of the first source */
    char *dir;
    char *out;
    char *name;           /* what it will be called, once known */
    char *part;           /* file name of the part in the directory of dir/out, once chosen */
    char *path;           /* committing: the final path chosen; done: where it is */
    int64_t total, bytes; /* -1 unknown; bytes: what the journal counts */
    int64_t generation, attempts;
    char *validator; /* see arch: strong etag, W/ etag, or date; NULL */
    char *answered;  /* redacted URL that answered, when it was another one; NULL */
    char *wait_reason;
    int64_t wake_at; /* wall ms, 0 none */
    char *error;     /* JSON object of cli.md, NULL */
    int exit_code;   /* of a failed one */
    char *metrics;   /* JSON object: how long its parts took; NULL */
    char *digest;    /* "sha-256=hex" that was asked for */
    char *offered;   /* the same, as the server said it of this generation; NULL */
    int unverified;  /* 1: only the end of the connection said where the file ends */
    int priority;
    int on_exists, mask; /* mask: umask of whoever added it */
    void *user_data;
    size_t user_data_len;
    char *options;  /* JSON object: what SQL does not ask about; NULL */
    int64_t secret; /* number in secrets.db, 0 none */
    int64_t created_at, started_at, finished_at; /* 0: not yet */
    struct dlm_ident ident; /* of the part, at the last checkpoint or at committing */
};

void dlm_row_clear(struct dlm_row *row);

struct dlm_source { /* a URL of a task, redacted; the real ones of secret tasks stand in the secret */
    int64_t n;      /* 0 is the first */
    char *url;
};

/*
 * Add: row->state is queued, paused or waiting (not-before); row->id is ignored. urls: redacted, urls[0] is row->url. secret: JSON text for secrets.db or NULL.
 * *ret_id. When the session already has the key: 1 with the older id in *ret_id when `request_hash` equals the stored one, DLMGR_EEXIST otherwise.
 */
int dlm_store_add(struct dlm_store *s, const struct dlm_row *row, const char *const *urls,
                  size_t n_urls, const char *secret, const char *request_hash, int64_t *ret_id);
int dlm_store_get(struct dlm_store *s, int64_t id, struct dlm_row *ret); /* DLMGR_ENOTFOUND */
int dlm_store_find_key(struct dlm_store *s, const char *session, const char *key, int64_t *ret_id);
/*
 * The newest unended task of this session, URL (redacted form), dir and out (NULL matches NULL) with an id below `below` (0: the newest of all): for
 * `get` again. Two URLs that differ in a secret look the same here, so the caller compares secrets and asks for the next.
 */
int dlm_store_find_same(struct dlm_store *s, const char *session, const char *url, const char *dir,
                        const char *out, int64_t below, int64_t *ret_id);
int dlm_store_sources(struct dlm_store *s, int64_t id, char ***ret_urls, size_t *ret_n);
int dlm_store_secret(struct dlm_store *s, int64_t secret, char **ret_json);

struct dlm_filter {
    unsigned states; /* bits; 0 all */
    const char *session;
    int64_t after;
    int limit;
};
/* fn gets each row (owned by the store during the call); a non-zero return ends the list and is returned. */
typedef int (*dlm_row_fn)(const struct dlm_row *row, void *context);
int dlm_store_list(struct dlm_store *s, const struct dlm_filter *f, dlm_row_fn fn, void *context);
/* Only ids, for actions by selector: up to limit after f->after. */
int dlm_store_ids(struct dlm_store *s, const struct dlm_filter *f, int64_t *ids, size_t *io_n);

struct dlm_tally {
    int64_t by_state[DLM_STATES], waiting_storage, waiting_timed;
};
int dlm_store_tally(struct dlm_store *s,
                    struct dlm_tally *ret); /* flat: kept in a table, not counted */

/* ---- Moving ---------------------------------------------------------------------------------- */

struct dlm_move {
    int64_t id;
    int to;
    int64_t generation; /* 0: as it is; else must equal the row's, or the move is DLMGR_ESTATE (a stale mover) */
    bool bump;               /* new generation (+1) with this move: a retry of an ended task */
    const char *wait_reason; /* with waiting */
    int64_t wake_at;
    const char *error; /* JSON or NULL; kept with waiting and failed, cleared by queued from an ended state and by done */
    int exit_code;
    const char *path; /* committing: the final path (unique among committing ones of the journal: DLMGR_EEXIST); done: confirmed */
    const struct dlm_ident *ident; /* committing */
    const char *metrics;           /* JSON object; NULL: as they are */
    int64_t bytes, total;          /* -1: as they are */
    int64_t attempts;              /* -1: as they are */
    bool unverified; /* with verifying and committing: see dlm_row; a new generation begins without */
};
/* 0; DLMGR_ENOTFOUND; DLMGR_ESTATE when the table does not allow it (from and to are in *ret_from when not NULL). Moving to the state it has: only waiting -> waiting. */
int dlm_store_move(struct dlm_store *s, const struct dlm_move *m, int *ret_from);
/* The metrics alone, for a task that is at work for long or leaves without a move. */
int dlm_store_metrics(struct dlm_store *s, int64_t id, const char *metrics);

/*
 * The next tasks to run: up to max rows, in order of priority, then arrival, from hosts that are not in `busy` (origins, sorted or not).
 * `per_host` at most that many of each host in this call. They are moved to running. Fills rows; *io_n: room in, found out.
 */
struct dlm_busy {
    const char *origin;
    int room;
}; /* how many more connections this host may have; a host that is absent has `per_host` */
int dlm_store_take(struct dlm_store *s, const struct dlm_busy *busy, size_t n_busy, int per_host,
                   struct dlm_row *rows, size_t *io_n);
/* Move those waiting whose time has come to queued (reason in bits: storage is woken by the engine); returns via ret the next wake time or 0. */
int dlm_store_wake(struct dlm_store *s, int64_t now, int64_t *ret_next);
/* Those in a pause before the next try that would last beyond `limit` become queued: the clock was set back meanwhile. 1: there may be more. */
int dlm_store_wake_late(struct dlm_store *s, int64_t limit);
/* All waiting with this reason become queued ("storage" when there is room again, "network"). */
int dlm_store_wake_reason(struct dlm_store *s, const char *reason);

int dlm_store_remove(struct dlm_store *s,
                     int64_t id); /* row, blocks, hints, sources, secret; events stay */

struct dlm_edit { /* NULL and has_ false: unchanged */
    const char *url, *const *urls;
    size_t n_urls; /* urls set: replaces all sources; origin with it */
    const char *origin, *out, *dir;
    const char *secret;
    bool has_secret;
    const char *options; /* the whole new JSON */
    bool has_priority;
    int priority;
};
int dlm_store_edit(struct dlm_store *s, int64_t id, const struct dlm_edit *edit);

/* ---- Bytes ------------------------------------------------------------------------------------- */

struct dlm_block_row {
    uint32_t idx, len, crc;
};

/* A generation begins at zero: blocks and hints go, validator, total, name, part are set. bump: generation + 1 and a "restarted" event (reason text). */
struct dlm_begin {
    int64_t id;
    bool bump;
    const char *reason; /* for the event */
    const char *validator;
    int64_t total;
    const char *name, *part;
    const char *url;     /* redacted URL that answered, or NULL */
    const char *offered; /* see dlm_row */
};
int dlm_store_begin_generation(struct dlm_store *s, const struct dlm_begin *b,
                               int64_t *ret_generation);

/* Count these blocks (upsert) as on disk; ident of the part; bytes is the new sum. DLMGR_ESTATE when the generation is another by now. */
int dlm_store_checkpoint(struct dlm_store *s, int64_t id, int64_t generation,
                         const struct dlm_ident *ident, const struct dlm_block_row *blocks,
                         size_t n, int64_t bytes);
/* Read-back found blocks wrong: remove them from the count. */
int dlm_store_uncount(struct dlm_store *s, int64_t id, int64_t generation, const uint32_t *idx,
                      size_t n, int64_t bytes);
int dlm_store_blocks(struct dlm_store *s, int64_t id, struct dlm_block_row **ret,
                     size_t *ret_n); /* ordered; yours: free() */

struct dlm_hint { /* what a killed owner's slot said; believed only after read-back */
    int64_t task, generation;
    char boot[40];
    uint64_t dev, ino;
    int64_t start, end; /* bytes of the part that one connection wrote */
    uint32_t chain, crc;
};
int dlm_store_hint_add(struct dlm_store *s,
                       const struct dlm_hint *h); /* DLMGR_ENOTFOUND: no such task any more */
int dlm_store_hints(struct dlm_store *s, int64_t id, struct dlm_hint **ret,
                    size_t *ret_n); /* yours: free() */
int dlm_store_hints_drop(struct dlm_store *s, int64_t id);

/* ---- Opening ------------------------------------------------------------------------------------ */

/* At an owner's open, in one transaction: running and verifying become queued; secrets without a task are swept. */
int dlm_store_recover(struct dlm_store *s);
/* Rows in committing, after id, to be finished by looking for the file. */
int dlm_store_committing(struct dlm_store *s, int64_t after,
                         struct dlm_row *ret); /* DLMGR_ENOTFOUND: no more */

/* ---- Events -------------------------------------------------------------------------------------- */

struct dlm_event_row {
    int64_t seq, task, generation, time, deliveries;
    const char *session, *type;
    bool acked, replay; /* replay: it was delivered before */
    const char *body; /* JSON object: path, bytes_total, error, key, user_data ... all that it carries */
};
typedef int (*dlm_event_row_fn)(const struct dlm_event_row *ev, void *context);
int dlm_store_events(struct dlm_store *s, const char *session, int64_t after, int limit,
                     dlm_event_row_fn fn, void *context);
/* DLMGR_EINVAL for the future; the past is 0 without effect. Events of named sessions go when acknowledged; those of `default` stay 30 days. */
int dlm_store_ack_to(struct dlm_store *s, const char *session, int64_t seq);
/* One event of a named session, whatever is before it. The same answers. */
int dlm_store_ack(struct dlm_store *s, const char *session, int64_t seq);
/* The same as dlm_store_events(), but up to and with `to`, at most about 256 KiB (though one at least), and each event counts one delivery more, also when fn then stops. */
int dlm_store_deliver(struct dlm_store *s, const char *session, int64_t after, int64_t to,
                      int limit, dlm_event_row_fn fn, void *context);
/* Events of `default` older than before; finished tasks older than done_before or beyond the newest done_keep (-1: all stay). At most limit rows a call; *ret_more. */
int dlm_store_prune(struct dlm_store *s, int64_t events_before, int64_t done_before,
                    int64_t done_keep, int limit, bool *ret_more);
/* Highest seq of any session that this connection wrote since the last call: cheap check "is there news". */
int64_t dlm_store_news(struct dlm_store *s);

/* ---- Sessions ------------------------------------------------------------------------------------- */

struct dlm_session_row {
    const char *name;
    int64_t last, acked; /* numbers of events: the last one, and up to where all are acknowledged */
    int64_t oldest;      /* the first that is not acknowledged, 0 none */
    int64_t incarnation; /* of its holder; 0: nobody held it yet */
    const char *on_event; /* command to run when events wait and nobody holds it; NULL none */
    int64_t by_state[DLM_STATES]; /* its tasks */
};
typedef int (*dlm_session_row_fn)(const struct dlm_session_row *row, void *context);

int dlm_store_session(struct dlm_store *s, const char *name, int64_t *ret_last,
                      int64_t *ret_acked); /* DLMGR_ENOTFOUND */
/* All of it; what the row points to lives only inside fn. DLMGR_ENOTFOUND */
int dlm_store_session_row(struct dlm_store *s, const char *name, dlm_session_row_fn fn,
                          void *context);
/* Names after `after` in their order, at most limit. fn gets rows as above. */
int dlm_store_sessions(struct dlm_store *s, const char *after, int limit, dlm_session_row_fn fn,
                       void *context);
/* A new holder: the session is made when missing, its incarnation goes up by one. */
int dlm_store_session_hold(struct dlm_store *s, const char *name, int64_t *ret_incarnation);
int dlm_store_session_incarnation(struct dlm_store *s, const char *name, int64_t *ret);
/* NULL: none any more. The session is made when missing. */
int dlm_store_session_set(struct dlm_store *s, const char *name, const char *on_event);
/* With its events. DLMGR_ESTATE while it has tasks, and for `default`. */
int dlm_store_session_remove(struct dlm_store *s, const char *name);

/* ---- Settings ------------------------------------------------------------------------------------ */

int dlm_store_setting(struct dlm_store *s, const char *name, char **ret_value); /* NULL when absent */
int dlm_store_setting_set(struct dlm_store *s, const char *name, const char *value);
/* Four hex digits that mark part files of this home; made when the journal is made. */
const char *dlm_store_tag(struct dlm_store *s);

/* For doctor: PRAGMA integrity_check and our own invariants; fn for each problem. 0; 1: SQLite itself finds damage; DLMGR_EJOURNAL: secrets.db cannot be read. */
typedef void (*dlm_problem_fn)(const char *what, void *context);
int dlm_store_check(struct dlm_store *s, dlm_problem_fn fn, void *context);

/* ---- Salvage --------------------------------------------------------------------------------------- */

enum {
    DLM_SAVED_SESSIONS,
    DLM_SAVED_TASKS,
    DLM_SAVED_SOURCES,
    DLM_SAVED_BLOCKS,
    DLM_SAVED_HINTS,
    DLM_SAVED_EVENTS,
    DLM_SAVED_SETTINGS,
    DLM_SAVED_KINDS
};

struct dlm_saved { /* rows: carried over, and seen but not carried */
    int64_t saved, lost;
};

struct dlm_salvage {
    struct dlm_saved kinds[DLM_SAVED_KINDS]; /* tasks lost: all that something knows of */
    int64_t bad_pages;                       /* that cannot be read */
    int64_t changes;                         /* that were stored, and are not there */
};

/*
 * What can be read of the damaged journal of this home, built into a new one beside it; the old one is only read. Call it while holding the lock. fn gets a line for each
 * thing that is lost or changed. keep: the new one waits in HOME/salvage, and every opener is refused until dlm_store_salvage_place(); else it is thrown away again, for
 * what would be lost is asked only.
 */
int dlm_store_salvage(int homefd, const char *home, bool keep, struct dlm_salvage *ret,
                      dlm_problem_fn fn, void *context, dlmgr_error *e);
bool dlm_store_salvage_waits(int homefd);
/* Once the damaged one is away: the new one takes its place. May be done again after a crash. */
int dlm_store_salvage_place(int homefd, const char *home, dlmgr_error *e);
/* True while the damaged one must still be moved away. */
bool dlm_store_salvage_unplaced(int homefd);

#endif
