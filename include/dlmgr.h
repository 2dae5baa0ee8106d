/* SPDX-License-Identifier: MIT */
/*
 * dlmgr.h - a background download manager that never lies about what it has.
 *
 * The tour. A *home* is a directory with one journal. One process at a time *owns* a home and runs
 * its engine: a thread that downloads. dlmgr_open() gives you a handle that is either that engine, or
 * a client of the process that owns the home, or a reader of a journal that nobody owns; every
 * function below works in all three unless its comment says otherwise.
 *
 * You add *tasks*; a task has an id that is never used twice. What happens to tasks is told in
 * *events*, which are as durable as the tasks. An app opens its *session* with a delegate, and is told what it missed. Nothing is reported before it is on the disk: when
 * dlmgr_add() returns, the task exists whatever happens next; when you see `done`, the file is whole,
 * verified, synced and at its final name.
 *
 * Conventions. Functions that can fail return 0 or a negative DLMGR_E... code, and fill in the optional
 * dlmgr_error that the caller owns; on failure nothing is written through ret_ pointers. Sizes
 * are int64_t bytes, times int64_t milliseconds (wall times since 1970, UTC). -1 means unknown. Strings
 * are UTF-8 and end in NUL; those that you pass in are copied, those in a returned object live
 * as long as the object. Option structs begin with their size: set it with DLMGR_INIT so that
 * the struct can grow without breaking you.
 *
 * Threads. A handle may be used from any thread; calls on one handle take turns. Callbacks run only inside
 * dlmgr_process() and dlmgr_run(), on the thread that called them. The log callback is the
 * exception and says so. After fork() the child's calls answer DLMGR_EFORK.
 *
 * The library changes nothing that belongs to the process: no signals, umask, cwd, locale, environment, stdio.
 */
#ifndef DLMGR_H
#define DLMGR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DLMGR_API __attribute__((visibility("default")))
#else
#define DLMGR_API
#endif

/* ---- Version ------------------------------------------------------------------------------- */

#ifndef DLMGR_VERSION /* a packager may add to it */
#define DLMGR_VERSION "0.1.0"
#endif

/* The version of the library that runs, such as "0.1.0"; static storage. Any thread. */
DLMGR_API const char *dlmgr_version(void);

/* The newest protocol of control.sock that this library speaks; *ret_oldest (may be NULL) is the oldest. Any thread. */
DLMGR_API int dlmgr_protocol(int *ret_oldest);

/* ---- Errors -------------------------------------------------------------------------------- */

/*
 * Failures of calls. A download that failed is not one of these: it is a task in the state
 * DLMGR_FAILED with a reason. Each has a text (dlmgr_strerror) and an exit code in dlmgr(1).
 */
enum dlmgr_code {
    DLMGR_OK = 0,
    DLMGR_EINVAL = -1,    /* an argument is wrong; the text names it */
    DLMGR_ENOMEM = -2,    /* no memory; nothing was changed */
    DLMGR_EIO = -3,       /* the disk failed under the journal or a file */
    DLMGR_ENOSPC = -4,    /* no room for the journal; nothing unacknowledged was lost */
    DLMGR_EBUSY = -5,     /* another process owns the home; the text names its pid */
    DLMGR_ENOOWNER = -6,  /* attach was asked for, or is needed, and nobody owns the home */
    DLMGR_ENOTFOUND = -7, /* no such task, session or event */
    DLMGR_ESTATE = -8,    /* the task's state does not allow that */
    DLMGR_EEXIST = -9,    /* the key exists with a different request */
    DLMGR_EJOURNAL = -10, /* journal.db is not ours, corrupt, or of a newer version */
    DLMGR_EHOME = -11,    /* the home cannot be used safely: mode, owner, type, file system */
    DLMGR_ELINK = -12,    /* the owner went away or does not answer */
    DLMGR_EPROTO = -13,   /* the other side does not speak our protocol; says which to upgrade */
    DLMGR_ETIMEDOUT = -14,
    DLMGR_EFORK = -15,   /* this handle was made before fork() */
    DLMGR_ECLOSED = -16, /* the handle is being closed */
    DLMGR_ELIMIT = -17,  /* over a limit; the text names it */
    DLMGR_ECONFIG = -18, /* of programs: a settings file is wrong; the text names file and line */
    DLMGR_ELOST = -19, /* the session has another holder by now: what this one does no longer counts */
};

/* What kind of trouble it was, and so who can do something about it. */
enum dlmgr_class {
    DLMGR_CLASS_NONE,
    DLMGR_CLASS_TRANSIENT,  /* tried again by itself */
    DLMGR_CLASS_PERMANENT,  /* the server says no */
    DLMGR_CLASS_POLICY,     /* a rule of ours or the caller's forbids it */
    DLMGR_CLASS_NEEDS_AUTH, /* credentials are missing or wrong */
    DLMGR_CLASS_LOCAL,      /* this machine: disk, permissions, names */
};

/* How far a download had come when that happened. */
enum dlmgr_stage {
    DLMGR_STAGE_NONE,    /* none of these, or not known */
    DLMGR_STAGE_RESOLVE, /* a name, to an address */
    DLMGR_STAGE_CONNECT, /* to the server, or by way of a proxy */
    DLMGR_STAGE_TLS,     /* agreeing on keys, and on who the server is */
    DLMGR_STAGE_SEND,    /* the request */
    DLMGR_STAGE_RECEIVE, /* the answer: a refusal, or a body that did not come */
    DLMGR_STAGE_VERIFY,  /* length and digest */
    DLMGR_STAGE_WRITE,   /* the part file: make, write, sync, read back */
    DLMGR_STAGE_COMMIT,  /* giving the file its name */
};

/* "transient", "resolve", ... as JSON has them; static storage, NULL when out of range or none. Any thread. */
DLMGR_API const char *dlmgr_class_name(int class_);
DLMGR_API const char *dlmgr_stage_name(int stage);

/* Filled in by a failing call; owned by the caller; needs no freeing. */
typedef struct dlmgr_error {
    int code;        /* enum dlmgr_code */
    int class_;      /* enum dlmgr_class */
    int sys_errno;   /* errno behind it, or 0 */
    char text[512];  /* what, why and the remedy, one line without a final newline */
    char path[1024]; /* the file it is about, or "" */
} dlmgr_error;

/* A short text for a code; static storage, never NULL. Any thread. */
DLMGR_API const char *dlmgr_strerror(int code);

/*
 * A URL (or what should be one) as it may be shown: *** for user and password, and for the values of parameters that sign or authorize. Yours: free(); NULL: no
 * memory. Any thread.
 */
DLMGR_API char *dlmgr_url_shown(const char *url);

/* More names of such parameters, parted by commas or spaces; they hold for the whole process from then on, and go along with what it adds. At most 64. */
DLMGR_API int dlmgr_secret_parameters(const char *names, dlmgr_error *error);

/* ---- Homes and handles --------------------------------------------------------------------- */

typedef struct dlmgr dlmgr;

enum dlmgr_open_mode {
    DLMGR_OWN,    /* be the engine; DLMGR_EBUSY when the home is owned */
    DLMGR_ATTACH, /* be a client; DLMGR_ENOOWNER when it is not owned */
    DLMGR_EITHER, /* be a client when owned, else work on the journal call by call, without an engine */
};

enum dlmgr_log_level { DLMGR_LOG_ERROR, DLMGR_LOG_WARNING, DLMGR_LOG_INFO, DLMGR_LOG_DEBUG };

/* Called from any of the library's threads, so it must be safe for that; must not call dlmgr functions. */
typedef void (*dlmgr_log_fn)(int level, const char *text, void *context);

typedef struct dlmgr_options {
    size_t size;
    const char *home; /* NULL: $DLMGR_HOME, else $XDG_STATE_HOME/dlmgr, else ~/.local/state/dlmgr */
    dlmgr_log_fn log;
    void *log_context;
    /* The engine's settings, for DLMGR_OWN; 0 takes the default. The library reads no settings files. */
    int max_active;       /* tasks that transfer at once, 1..1000, default 8 */
    int max_per_host;     /* connections to one origin, 1..256, default 6 */
    int64_t limit_rate;   /* bytes a second of all tasks together, 0 none */
    int64_t keep_done_ms; /* prune finished tasks older than this; default: never */
    int64_t keep_done_n;  /* or keep only the newest so many; default: all */
    int trust_group;      /* 1: accept a group-writable home */
    int listen_fd; /* 0 none; for DLMGR_OWN, a listening socket of the home's control.sock that a service manager made */
    const char *const *limits; /* "name=value", ends in NULL; or NULL: see dlmgr_limit_at() */
    int held; /* 1: for DLMGR_OWN, the engine goes on with no task before dlmgr_begin() */
} dlmgr_options;

/* Initialise an option struct: all zero but its size. */
#ifdef __cplusplus
#define DLMGR_INIT(type)                                                                           \
    {                                                                                              \
        sizeof(type)                                                                               \
    }
#else
#define DLMGR_INIT(type)                                                                           \
    {                                                                                              \
        .size = sizeof(type)                                                                       \
    }
#endif

/*
 * Open the home (made with mode 0700 when missing, but not to attach). On success *ret_handle is yours until dlmgr_close(). options may
 * be NULL. DLMGR_EBUSY names the owner's pid in error->text, at once when that answers, else after 6 s. Any thread.
 *
 * A handle opened EITHER looks anew at each call who owns the home now. While an owner comes or goes a call takes up to 6 s, then it
 * is DLMGR_ELINK. When the owner goes while a change is under way, nobody knows whether it took effect: DLMGR_ELINK as well, but for what
 * may be asked twice (adding tasks that all have keys, acknowledging), which is.
 * An owner that speaks no protocol of ours fails the opening when attaching, and each call of a handle opened EITHER, with DLMGR_EPROTO.
 */
DLMGR_API int dlmgr_open(int mode, const dlmgr_options *options, dlmgr **ret_handle,
                         dlmgr_error *error);

enum dlmgr_limit_kind {
    DLMGR_LIMIT_OWNER, /* can be set in dlmgr_options.limits */
    DLMGR_LIMIT_TASK,  /* an option of each task has this name */
    DLMGR_LIMIT_FIXED,
};

/*
 * An engine that was opened held works on its tasks from now on; of any other handle it changes nothing. So a program can look at what the last run
 * left, and add to it or change it, before any of it goes on. Until then dlmgr_wait() and dlmgr_run() wait for that as well. Any thread.
 */
DLMGR_API int dlmgr_begin(dlmgr *handle, dlmgr_error *error);

/* What bounds what a server or a caller can make us do; dlmgr.conf(5) has them all in one table. */
typedef struct dlmgr_limit {
    const char *name;
    const char *unit;            /* "bytes", "bytes/s", "s", or "" for a count */
    int64_t normal, least, most; /* normal: without a setting */
    int kind;                    /* enum dlmgr_limit_kind */
    const char *text;            /* "of an answer's header" */
} dlmgr_limit;

/* The limits, one by one; NULL past the end. Static storage. Any thread. */
DLMGR_API const dlmgr_limit *dlmgr_limit_at(size_t i);
/*
 * May "name=value" stand in dlmgr_options.limits? Values are whole numbers, bytes also with k, M, G or T. DLMGR_ENOTFOUND: there is no such
 * limit; DLMGR_EINVAL: the value does not fit. Any thread.
 */
DLMGR_API int dlmgr_limit_check(const char *text, dlmgr_error *error);

/* What the handle is at this moment. */
enum dlmgr_place { DLMGR_PLACE_ENGINE, DLMGR_PLACE_CLIENT, DLMGR_PLACE_JOURNAL };
DLMGR_API int dlmgr_place_of(const dlmgr *handle);

/* The home's absolute path; lives as long as the handle. */
DLMGR_API const char *dlmgr_home(const dlmgr *handle);

/*
 * Close. An engine checkpoints what runs and stops within 5 s; tasks stay as they are and go on with the next
 * owner. Calls of other threads are waited for, and answer DLMGR_ECLOSED if they wait. Frees the handle; NULL is fine; returns NULL.
 * From inside a callback it closes when dlmgr_process() returns. A forked child closes its parent's handle without touching anything of it.
 */
DLMGR_API dlmgr *dlmgr_close(dlmgr *handle);

/* ---- Tasks --------------------------------------------------------------------------------- */

enum dlmgr_state {
    DLMGR_QUEUED,
    DLMGR_RUNNING,
    DLMGR_VERIFYING,
    DLMGR_COMMITTING,
    DLMGR_DONE,
    DLMGR_WAITING, /* with a reason and a wake time */
    DLMGR_PAUSED,
    DLMGR_FAILED,
    DLMGR_CANCELLED,
};

/* "queued", "running", ...; static storage; NULL when out of range. */
DLMGR_API const char *dlmgr_state_name(int state);

enum dlmgr_on_exists {
    DLMGR_EXISTS_DEFAULT, /* rename */
    DLMGR_EXISTS_FAIL,    /* fail with code 13 */
    DLMGR_EXISTS_RENAME,  /* name.1.ext, name.2.ext, ... */
    DLMGR_EXISTS_REPLACE, /* replace it, atomically */
    DLMGR_EXISTS_SAME,    /* an equal digest is done, anything else fails with 13 */
};

/*
 * What to fetch and how. Only `url` and `dir` are needed. All strings stay yours. Everything is stored with the task,
 * so that it means the same after a relaunch; header values, users, passwords and signed URLs stand in secrets.db. Headers, user, netrc, cookies
 * and the client certificate go to the origin (scheme, host, port) of `url` and to no other, mirror or redirect.
 */
typedef struct dlmgr_request {
    size_t size;
    const char *url;            /* http or https */
    const char *const *mirrors; /* more URLs of the same file, ends in NULL; or NULL */
    const char *dir;            /* absolute path of an existing directory (or see create_dirs) */
    const char *out; /* file name, or relative path below dir without ".."; NULL: named by server or URL */
    const char *checksum;       /* "sha-256=HEX", also sha-1, sha-512, md5; or NULL */
    const char *const *headers; /* "Name: value", ends in NULL; sent only to the URL's own origin */
    const char *user;           /* HTTP user, or NULL */
    const char *password;
    const char *netrc_file;    /* looked up at each request; NULL none */
    const char *cookie_file;   /* Netscape format; read at each request */
    const char *cacert;        /* PEM file of certificate authorities */
    const char *cert;          /* client certificate, PEM */
    const char *cert_key;      /* its key, PEM */
    const char *pinned_pubkey; /* "sha256//BASE64", as CURLOPT_PINNEDPUBLICKEY(3) */
    const char *proxy;         /* URL; "" none; NULL: the environment's proxies of the caller */
    const char *key; /* client key: adding the same key again is adding once; at most 255 bytes */
    const char *session;   /* NULL: "default" */
    const void *user_data; /* the app's own bytes, given back with the task; at most 64 KiB */
    size_t user_data_len;
    int on_exists;         /* enum dlmgr_on_exists */
    int create_dirs;       /* 1: make missing directories */
    int paused;            /* 1: add it paused */
    int priority;          /* higher first, -1000..1000 */
    int connections;       /* 0: 4 for files over 16 MiB, else 1; at most 16 */
    int max_tries;         /* 0: 5; attempts in transient trouble before it fails */
    int require_length;    /* 1: refuse an answer that does not say its length */
    int block_private;     /* 1: refuse loopback, link-local and private addresses */
    int ip_version;        /* 0 either, 4, 6 */
    int file_mask;         /* umask for the finished file; -1: the caller's at dlmgr_add() */
    int64_t start_after;   /* wall ms, 0 at once */
    int64_t limit_rate;    /* bytes a second, 0 none */
    int64_t retry_wait_ms; /* first pause between tries; -1: 1000 */
    int64_t max_size;      /* bytes; larger is refused; 0 none */
    /* Headers that the owner reads for each request from where they stand, ends in NULL: "Name: text{KIND:WHERE}text", or "{KIND:WHERE}" alone for whole
     * lines; file:/PATH, env:VARIABLE, credential:NAME (of $CREDENTIALS_DIRECTORY). What is missing fails the task with DLMGR_CLASS_NEEDS_AUTH. */
    const char *const *header_refs;
} dlmgr_request;

/* Initialise a request: everything "not given". */
DLMGR_API void dlmgr_request_init(dlmgr_request *request);

/*
 * Add n tasks in one transaction: all of them or, when one is wrong, none. On success ret_ids[i] (may be NULL) is the id of
 * request i and each task is durable. On DLMGR_EINVAL *ret_bad (may be NULL) is the index of the wrong request and
 * error->text names what is wrong. At most 10,000 at once, and for a client 4 MiB of JSON, which is DLMGR_ELIMIT; any thread.
 */
DLMGR_API int dlmgr_add(dlmgr *handle, const dlmgr_request *requests, size_t n, int64_t *ret_ids,
                        size_t *ret_bad, dlmgr_error *error);

/*
 * Check a request as dlmgr_add() would, without a home and without adding it (a list is checked whole before its
 * first task is added). Any thread.
 */
DLMGR_API int dlmgr_check(const dlmgr_request *request, dlmgr_error *error);

/* A task as it was at the moment of the query. Strings live as long as the list it came in. */
typedef struct dlmgr_task {
    int64_t id;
    int state; /* enum dlmgr_state */
    const char *session;
    const char *key; /* NULL: none */
    const char *url; /* secrets redacted */
    const char *dir;
    const char *out;  /* as asked for, or NULL */
    const char *path; /* the finished file, or NULL */
    int renamed;      /* 1: the name it should have had was taken, so path ends in another one */
    int64_t bytes_done, bytes_total;
    int64_t speed; /* bytes a second */
    int connections, priority;
    int64_t attempts, generation;
    int64_t created_at, finished_at;
    const char *wait_reason; /* "backoff", "network", "not-before", "storage", or NULL */
    int64_t wait_until;
    int error_code; /* the exit code of dlmgr(1) that fits, 0: no error */
    int error_class;
    int error_stage; /* enum dlmgr_stage */
    const char *error_text;
    int http_status;
    const char *error_address; /* "127.0.0.1:443" that it spoke to, or NULL */
    const char *error_json; /* all that is known, as one line that dlmgr(1) describes; NULL: no error */
    const char *digest;     /* "sha-256=HEX" that was asked for, or NULL */
    const char *server_digest; /* that the server sent (Repr-Digest), verified as well when none was asked for; or NULL */
    int unverified_length; /* 1: nothing but the end of the connection said that this is all of the file */
    const void *user_data;
    size_t user_data_len;
    const void *more; /* the library's */
} dlmgr_task;

/* All of this and more as one line of JSON, which dlmgr(1) describes. Yours: free(). NULL: no memory. Any thread that may use the list. */
DLMGR_API char *dlmgr_task_json(const dlmgr_task *task);

/* What to list, or what to act upon. All that is set must match. */
typedef struct dlmgr_selector {
    size_t size;
    const int64_t *ids; /* these tasks; an unknown one is DLMGR_ENOTFOUND */
    size_t n_ids;
    unsigned states; /* bit (1u << state) for each; 0: all */
    const char *session;
    int64_t after; /* ids greater than this, for the next page */
    int limit;     /* 0: 1000, at most 1000; for queries only */
    int all;       /* 1: really all, when nothing else is set (for actions) */
} dlmgr_selector;

typedef struct dlmgr_list dlmgr_list;

/* One page of tasks, oldest first. *ret_list is yours: dlmgr_list_free(). Any thread; reads, so it also works without an owner. */
DLMGR_API int dlmgr_query(dlmgr *handle, const dlmgr_selector *selector, dlmgr_list **ret_list,
                          dlmgr_error *error);
DLMGR_API size_t dlmgr_list_count(const dlmgr_list *list);
DLMGR_API const dlmgr_task *dlmgr_list_at(const dlmgr_list *list, size_t i); /* NULL past the end */
DLMGR_API dlmgr_list *dlmgr_list_free(dlmgr_list *list); /* NULL is fine; returns NULL */

/*
 * Look for unfinished tasks (not done, failed or cancelled) with the same URL (secret parts included), dir, out and session as
 * each request. ret_ids[i] becomes the newest one's id, 0 when there is none. At most 10,000 at once. Reads.
 */
DLMGR_API int dlmgr_find(dlmgr *handle, const dlmgr_request *requests, size_t n, int64_t *ret_ids,
                         dlmgr_error *error);

/*
 * All about one task as one JSON object: sources, segments, attempts, error. secrets: 1 shows what is redacted otherwise.
 * *ret_json is yours: free().
 */
DLMGR_API int dlmgr_show(dlmgr *handle, int64_t id, int secrets, char **ret_json,
                         dlmgr_error *error);

/* ---- Acting on tasks ----------------------------------------------------------------------- */

enum dlmgr_action {
    DLMGR_PAUSE,
    DLMGR_RESUME, /* paused goes on; waiting is tried at once */
    DLMGR_CANCEL,
    DLMGR_RETRY,         /* failed and cancelled start again, keeping good bytes */
    DLMGR_REMOVE,        /* forget the task; its part file stays */
    DLMGR_REMOVE_DELETE, /* forget the task and unlink its part file; finished files are never deleted */
};

/*
 * Do it to all that the selector names, durably. A task that is already as wanted counts as success; tasks in a state that does
 * not allow the action are skipped when chosen by state, session or all, and DLMGR_ESTATE when named by id (then nothing is
 * changed). A selection without ids is changed in pages of 5,000, each at once. *ret_count (may be NULL): how many tasks changed.
 */
DLMGR_API int dlmgr_act(dlmgr *handle, int action, const dlmgr_selector *selector,
                        int64_t *ret_count, dlmgr_error *error);

/* What to change in a task; NULL and -1 (INT64_MIN for priority's sake: see dlmgr_change_init) leave as it is. */
typedef struct dlmgr_change {
    size_t size;
    const char *key; /* names the task by its client key in `session` instead of by id */
    const char *session;
    const char *url; /* a new URL retries a task that failed with 401, 403 or 410 */
    const char *out;
    const char *dir;
    int has_priority, priority;
    int64_t limit_rate;  /* 0 lifts the limit */
    int64_t start_after; /* 0 starts at once */
} dlmgr_change;

DLMGR_API void dlmgr_change_init(dlmgr_change *change);

/* Change one task durably; a running one goes on with what was changed. id 0: use change->key. */
DLMGR_API int dlmgr_set(dlmgr *handle, int64_t id, const dlmgr_change *change, dlmgr_error *error);

/* ---- Waiting ------------------------------------------------------------------------------- */

/*
 * Wait until the tasks (n 0: all) are done, failed or cancelled. 0 when they are, DLMGR_ETIMEDOUT after timeout_ms (-1: none).
 * An unknown or meanwhile removed id counts as ended. Needs an owner: DLMGR_ENOOWNER otherwise.
 */
DLMGR_API int dlmgr_wait(dlmgr *handle, const int64_t *ids, size_t n, int64_t timeout_ms,
                         dlmgr_error *error);

/* How many tasks are in each state, how many started since this owner began, and how many of those failed. */
typedef struct dlmgr_counts {
    size_t size;
    int64_t by_state[16];
    int64_t waiting_storage; /* of the waiting ones */
    int64_t owner_pid;       /* 0: no owner */
    int first_failure;       /* exit code of the first task that failed in this run, or 0 */
} dlmgr_counts;
DLMGR_API int dlmgr_count(dlmgr *handle, dlmgr_counts *ret_counts, dlmgr_error *error);

/* ---- Events -------------------------------------------------------------------------------- */

typedef struct dlmgr_session dlmgr_session;

/* Durable: stored with the change that they tell of, numbered without gaps in their session. */
typedef struct dlmgr_event {
    int64_t seq;
    const char *session;
    const char *type; /* "done", "failed", "cancelled", "restarted", "waiting" */
    int64_t task, generation;
    int64_t time;
    int replay; /* 1: it happened before this opening of the session, or was delivered before */
    int64_t deliveries; /* how often holders of the session were given it, this time included */
    const char *key;    /* the task's client key; NULL none */
    const char *path;   /* of a done one */
    int missing;        /* of a done one: 1: no file has that name any more */
    int64_t bytes_total;
    int unverified_length;                                 /* of a done one: as in dlmgr_task */
    int error_code, error_class, error_stage, http_status; /* as in dlmgr_task */
    const char *error_text, *error_address, *error_json;
    const void *user_data;
    size_t user_data_len;
    dlmgr_session *holder; /* that it was delivered to; NULL for one that dlmgr_events() gave */
    const void *more;      /* the library's */
} dlmgr_event;

/* All of this and more as one line of JSON, which dlmgr(1) describes. Yours: free(). NULL: no memory. Any thread that may use the event. */
DLMGR_API char *dlmgr_event_json(const dlmgr_event *event);

typedef struct dlmgr_event_list dlmgr_event_list;

/* A page of events after seq (-1: after the last acknowledged one), at most limit (0: 1000) of them. Yours: dlmgr_event_list_free(). */
DLMGR_API int dlmgr_events(dlmgr *handle, const char *session, int64_t after, int limit,
                           dlmgr_event_list **ret_list, dlmgr_error *error);
DLMGR_API size_t dlmgr_event_list_count(const dlmgr_event_list *list);
DLMGR_API const dlmgr_event *dlmgr_event_list_at(const dlmgr_event_list *list, size_t i);
DLMGR_API dlmgr_event_list *dlmgr_event_list_free(dlmgr_event_list *list);

/* Acknowledge all events of the session up to and with seq. Durable when it returns. The future is an error, the past is not. */
DLMGR_API int dlmgr_ack_to(dlmgr *handle, const char *session, int64_t seq, dlmgr_error *error);

/* ---- Sessions ------------------------------------------------------------------------------ */

/*
 * A session is a name in a home: the app's. Its tasks and events are kept under that name, whatever happens to the app, and opening
 * it needs nothing from the last run. What an app must know to go on it gets back: of each task the client key and user data.
 *
 * The order is always the same: `restored` for each task that has not ended; `event` for each event that was not acknowledged, oldest
 * first, marked replay; `ready`, once, even when there was nothing; and then what happens from now on.
 */

/* Bytes of a task; not durable, monotonic within a generation. The last one before `done` tells the file's size. */
typedef struct dlmgr_progress {
    int64_t task, generation;
    int64_t bytes_done, bytes_total; /* total -1: unknown */
    int64_t speed;                   /* bytes a second */
    const char *key;                 /* NULL none */
    const void *user_data;
    size_t user_data_len;
} dlmgr_progress;

enum {
    DLMGR_LATER = 1, /* returned by `event`: it will be acknowledged with dlmgr_ack() */
    DLMGR_AGAIN = 2, /* returned by `event`: it could not be handled now */
};

/*
 * What the app wants to be told. Any may be NULL. All are called inside dlmgr_process() or dlmgr_run() alone, on the thread that
 * called it, and may call anything, also dlmgr_session_close() and dlmgr_close(). What they are given lives until they return.
 */
typedef struct dlmgr_delegate {
    size_t size;
    /* A task that has not ended, as it is in the journal. Without this function no list is made. */
    void (*restored)(dlmgr_session *session, const dlmgr_task *task, void *context);
    /*
     * 0 acknowledges: durable before dlmgr_process() returns, and it never comes again. DLMGR_LATER keeps it until dlmgr_ack();
     * it comes again when the session is opened anew before that. Anything else: it comes again after 1 s, then 2, 4, ... 60.
     */
    int (*event)(dlmgr_session *session, const dlmgr_event *event, void *context);
    void (*progress)(dlmgr_session *session, const dlmgr_progress *progress, void *context);
    void (*ready)(dlmgr_session *session, void *context);
    /* Nothing is queued, running, verifying, committing or waiting, and nothing unacknowledged: after `ready`, and each time anew. */
    void (*drained)(dlmgr_session *session, void *context);
    /* Another holder has the session; this one gets nothing more, and can only be closed. */
    void (*lost)(dlmgr_session *session, const dlmgr_error *why, void *context);
} dlmgr_delegate;

enum dlmgr_session_flags {
    DLMGR_WAIT =
        1, /* while another one holds the session, stand in line for it: `restored` and the rest come then */
    DLMGR_TAKE = 2, /* take it from whoever holds it */
};

/*
 * Open the session called name: reverse-DNS like "org.example.app", at most 255 bytes. One holder at a time: DLMGR_EBUSY names the process
 * that has it. Works where somebody owns the home (this handle or another process), else DLMGR_ENOOWNER; when that owner is
 * restarted the session goes on by itself where it was. The delegate is copied. *ret_session is yours: dlmgr_session_close(). Any thread.
 */
DLMGR_API int dlmgr_session_open(dlmgr *handle, const char *name, unsigned flags,
                                 const dlmgr_delegate *delegate, void *context,
                                 dlmgr_session **ret_session, dlmgr_error *error);

/*
 * Let go of it; its tasks go on, its events stay. Waits for a dlmgr_process() of another thread to return. NULL is fine; returns NULL.
 * dlmgr_close() closes the sessions of its handle.
 */
DLMGR_API dlmgr_session *dlmgr_session_close(dlmgr_session *session);

DLMGR_API const char *dlmgr_session_name(const dlmgr_session *session);
/* How many holders the session has had, this one included; 0 while it stands in line. */
DLMGR_API int64_t dlmgr_session_incarnation(dlmgr_session *session);

/*
 * Acknowledge one event. Durable when it returns. DLMGR_EINVAL for a number that no event has yet, 0 without effect for one that was
 * acknowledged, DLMGR_ELOST when another one holds the session. Any thread.
 */
DLMGR_API int dlmgr_ack(dlmgr_session *session, int64_t seq, dlmgr_error *error);

enum dlmgr_claim_flags {
    DLMGR_CLAIM_REPLACE = 1, /* a file that has that name is replaced; else it is DLMGR_EEXIST */
};

/*
 * Move the file of a done event to name in the directory dirfd, durably, and acknowledge the event: one step that can be repeated
 * until it succeeds, whatever happened in between. That the file is there already, and ours, is success. To another file system it is copied, synced,
 * compared and renamed; the original goes after the acknowledgement. Inside `event` only. DLMGR_ELOST: another one holds the session; nothing was
 * touched, unless it took the session in the very moment of the move: then its own claim finds the file where it should be. DLMGR_ENOTFOUND: the file is at neither place. DLMGR_ESTATE: what is there now is not what was finished.
 */
DLMGR_API int dlmgr_claim_move(const dlmgr_event *event, int dirfd, const char *name,
                               unsigned flags, dlmgr_error *error);

/* All about a session as one line of JSON, or (name NULL) about all, a line each; dlmgr(1) describes it. *ret_json is yours: free(). Reads. */
DLMGR_API int dlmgr_session_info(dlmgr *handle, const char *name, char **ret_json,
                                 dlmgr_error *error);

/*
 * A command for `sh -c` that the daemon runs when events of the session wait and nobody holds it, so that it can start the app; again with growing
 * pauses until they are acknowledged. At most 4 KiB; NULL: none. Makes the session when there is none.
 */
DLMGR_API int dlmgr_session_set(dlmgr *handle, const char *name, const char *on_event,
                                dlmgr_error *error);

/* Forget a session that has no tasks, and its events. DLMGR_ESTATE when it has some. */
DLMGR_API int dlmgr_session_remove(dlmgr *handle, const char *name, dlmgr_error *error);

/* ---- Your own loop ------------------------------------------------------------------------- */

/*
 * A descriptor that becomes readable when dlmgr_process() has something to do, or dlmgr_stopping() became 1. Owned by the handle; only poll it.
 * A negative code when there can be none.
 */
DLMGR_API int dlmgr_fd(dlmgr *handle);

/*
 * Deliver what is there to the delegates of the handle's sessions, at most 1,000 tasks and events, without blocking on the network, and return. The
 * acknowledgements given commit together before it returns. An app that does not call this for a while loses nothing and blocks nobody. Returns the number of
 * tasks and events delivered or a negative code; DLMGR_ECLOSED when a callback closed the handle, which is gone then.
 */
DLMGR_API int dlmgr_process(dlmgr *handle, dlmgr_error *error);

/*
 * Call dlmgr_process() until no task is queued, running, verifying, committing, or waiting for a time or the network: then 0, whether they
 * succeeded or not (see dlmgr_count). DLMGR_ECLOSED when the owner was asked to stop, DLMGR_ENOOWNER when nobody works on them.
 */
DLMGR_API int dlmgr_run(dlmgr *handle, dlmgr_error *error);

/* ---- Housekeeping -------------------------------------------------------------------------- */

/*
 * Check journal, files and modes of a home without an owner. *ret_json (yours: free()): {"problems":[{what, path, remedy, fixed}]}. fix 1
 * moves what is broken into the home's quarantine folder, and carries over what can be read of a damaged journal into a new one (the member
 * "salvage" tells what was saved and lost); nothing is deleted. Returns 0 also when there are problems.
 */
DLMGR_API int dlmgr_doctor(const char *home, int fix, char **ret_json, dlmgr_error *error);

/* Who owns the home: another process, or the engine of the handle itself. */
typedef struct dlmgr_owner_info {
    size_t size;
    int64_t pid, started_at;
    int protocol_oldest, protocol_newest; /* what it speaks */
    int protocol;                         /* what we and it speak; 0: we have none in common */
    char version[64];                     /* of its library */
} dlmgr_owner_info;

/* Answered also by an owner that speaks no protocol of ours. DLMGR_ENOOWNER when there is none. */
DLMGR_API int dlmgr_owner(dlmgr *handle, dlmgr_owner_info *ret_owner, dlmgr_error *error);

/*
 * Ask the owner to stop: it checkpoints and closes. Returns when it has gone, or DLMGR_ETIMEDOUT after timeout_ms. Understood also by an
 * owner that speaks no protocol of ours.
 */
DLMGR_API int dlmgr_stop_owner(dlmgr *handle, int64_t timeout_ms, dlmgr_error *error);

/* 1 while an owner was asked to stop (dlmgr_stop_owner from elsewhere): the embedding program should close the handle. */
DLMGR_API int dlmgr_stopping(dlmgr *handle);

#ifdef __cplusplus
}
#endif
#endif
