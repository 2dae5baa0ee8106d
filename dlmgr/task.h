/* SPDX-License-Identifier: MIT */
/*
 * task.h - a task at work: from its row in the journal to a file at its name, or back to the journal with a reason.
 *
 *     load -> open the part -> fetch -> sync -> verify -> committing -> move -> done
 *                 |              |  \_ a checkpoint each second
 *                 \______________\______________________ leave: waiting, failed, queued, or halted
 *
 * Tasks at work live on the loop thread. Each has one main line of jobs and ops (`busy`), and beside it, while bytes come, the
 * checkpoint's (`counting`). Whoever wants it gone sets a wish (dlm_task_leave); the task goes when neither is under way: connections
 * dropped, what came synced and counted, the row moved, all in that order.
 *
 * Only tasks at work are in memory.
 */
#ifndef DLM_TASK_H
#define DLM_TASK_H

#include "dlmgr/finish.h"
#include "dlmgr/journal.h"
#include "dlmgr/metrics.h"
#include "dlmgr/request.h"
#include "dlmgr/taskjson.h"
#include "dlmgr/together.h"
#include "dlmgr/transfer.h"
#include "dlmgr/workers.h"

struct dlm_task;

/* What the scheduler is told and asked. */
struct dlm_tasks_ops {
    bool (*may_connect)(void *context,
                        const char *origin); /* one more connection beside those that the task has? */
    void (*connected)(void *context, const char *origin, int by); /* +1, -1 */
    void (*freed)(struct dlm_task *t, void *context); /* its last moment: out of all lists */
};

/* What tasks at work share. */
struct dlm_tasks {
    struct dlm_transfers transfers;
    struct dlm_workers *workers;
    struct dlm_gather creating, syncing, moving;
    struct dlm_together together;
    struct dlm_journal *journal;
    struct dlm_dirs *dirs;
    char tag[5];
    const struct dlm_log *log;
    const struct dlm_tasks_ops *ops;
    void *context;
    struct dlm_task *head; /* all of them */
    int64_t n;
};

enum dlm_phase {
    DLM_PHASE_READY,  /* taken, not begun */
    DLM_PHASE_OPEN,   /* the part is read back */
    DLM_PHASE_FETCH,  /* bytes come */
    DLM_PHASE_FINISH, /* whole: sync, verify, name */
};

/* How it leaves. */
struct dlm_leave {
    bool wanted, halt; /* halt: the row stays as it is, for somebody else will move it */
    int to;
    const char *reason; /* static; of waiting */
    int64_t until;
    char *error; /* JSON */
    int exit_code;
    bool forget;    /* what is not counted yet is not to be believed */
    bool worthless; /* none of its bytes are: uncount them all */
};

/* A generation about to begin. */
struct dlm_beginning {
    bool bump;
    char reason[256];
    char validator[DLM_VALIDATOR_SIZE], offered[DLM_DIGEST_SIZE];
    int64_t total;
    char name[DLM_NAME_SIZE], part[DLM_NAME_SIZE];
    char *url;
    int64_t generation;
};

struct dlm_task {
    struct dlm_tasks *set;
    struct dlm_task *next, **at_link; /* in set->head */
    struct dlm_row row;
    char **urls; /* redacted */
    size_t n_urls;
    struct dlm_opts opts;
    bool bad_opts;                /* what the journal has of them cannot be read */
    struct dlm_block_row *blocks; /* counted; until opened */
    size_t n_blocks;
    struct dlm_hint *hints;
    size_t n_hints;

    enum dlm_phase phase;
    bool busy, counting;
    struct dlm_op op, count_op;
    struct dlm_job job, count_job;
    int job_result, count_result;
    dlmgr_error job_error;
    struct dlm_leave leave;
    atomic_bool give_up;         /* as leave.wanted, for workers in the middle of something long */
    void (*gone)(void *context); /* called when it is freed; for who halted it */
    void *gone_context;

    struct dlm_dir *dir;
    struct dlm_sink *sink;
    struct dlm_sink *made; /* by a worker, not ours yet */
    bool recorded;         /* the journal knows generation, validator, total and part */
    bool entry_synced;     /* the part's directory entry */

    struct dlm_transfer *transfers[DLM_CONNECTIONS_MAX];
    int n_transfers, n_connected;
    struct dlm_transfer *beginner;
    struct dlm_beginning begin;
    bool create_next;  /* once the old part is not being synced any more */
    struct dlm_url at; /* where redirects led to, of `source` */
    size_t source;
    int recorded_source; /* which one the generation is from; -1: not known */
    size_t sources_tried;
    bool may_wait;                        /* one of them may work later */
    bool ask_whole;                       /* ranges cannot be trusted here */
    bool one_only;                        /* no more than one connection */
    int64_t restarts, attempts, progress; /* progress: bytes since the last trouble */
    int64_t first_try_at, last_try_at;    /* wall ms: of the attempts since then; 0 none */
    int64_t retry_at;                     /* mono ms: no new connection before */
    struct dlm_bucket bucket;

    uint32_t *lost; /* blocks that the journal counts and the part has not */
    size_t n_lost;

    /* Checkpoint under way. */
    struct dlm_block_row *rows;
    size_t n_rows;
    int64_t rows_bytes;
    struct dlm_ident rows_ident;
    int64_t rows_generation;

    struct dlm_finish finish;
    bool committing; /* the row says so, or is about to: it must end in what really happened */
    bool own_fd;     /* finish.fd is ours to close, for there is no sink */
    bool moved;

    int64_t speed, received, speed_from, speed_at;

    struct dlm_metrics metrics;
    int doing;     /* enum dlm_metric: what the time since `since` goes to; DLM_METRICS: to none */
    int64_t since; /* us */
    char metrics_text[DLM_METRICS_SIZE]; /* for the op under way */
};

/* ---- Loading (journal thread: inside an op's work) ------------------------------------------------ */

/* All that a row needs to go to work; takes the row over (clears it also on failure). */
int dlm_task_load(struct dlm_store *s, struct dlm_row *row, struct dlm_task **ret);
struct dlm_task *dlm_task_free(struct dlm_task *t); /* one that never was at work, or is gone */

/* ---- At work (loop thread) ------------------------------------------------------------------------- */

/* set->workers is there; its gatherers are made ready. */
void dlm_tasks_init(struct dlm_tasks *set);
void dlm_task_adopt(struct dlm_tasks *set, struct dlm_task *t); /* into the set */
void dlm_task_start(struct dlm_task *t);
void dlm_task_tick(struct dlm_task *t, int64_t now); /* once a second */
/* Let it go back to the journal: to queued, or (halt) with its row as it is. Nothing happens to one that is leaving already or is committing. */
void dlm_task_halt(struct dlm_task *t, bool requeue);
/* Does it transfer, so that it counts against max-active? */
bool dlm_task_is_active(const struct dlm_task *t);
const char *dlm_task_origin(const struct dlm_task *t);

/* ---- Between the files task_*.c --------------------------------------------------------------------- */

void dlm_task_op(struct dlm_task *t, int (*work)(struct dlm_store *, struct dlm_op *),
                 void (*done)(struct dlm_op *));
void dlm_task_job(struct dlm_task *t, void (*work)(struct dlm_job *),
                  void (*done)(struct dlm_job *), bool heavy);
/* The same in a round with others of its kind. */
void dlm_task_gather(struct dlm_task *t, struct dlm_gather *g, void (*done)(struct dlm_job *));
void dlm_task_create_round(struct dlm_job *round);
void dlm_task_sync_round(struct dlm_job *round);
void dlm_task_move_round(struct dlm_job *round);
void dlm_task_remove(struct dlm_task *t); /* it has ended, and nothing of it is under way */
/* True: it is leaving, and the caller must not go on. To be asked after each job and op. */
bool dlm_task_leaving(struct dlm_task *t);
/* why: class_, code, stage and message; by: the request that is to blame, or NULL. */
void dlm_task_fail(struct dlm_task *t, const struct dlm_failure *why, const struct dlm_transfer *by);
void dlm_task_wait(struct dlm_task *t, const char *reason, int64_t until,
                   const struct dlm_failure *why, const struct dlm_transfer *by);
/* This machine's trouble, such as no memory: again in a second. */
void dlm_task_stumble(struct dlm_task *t, const char *text);
/* The disk said no: waits for storage when it is full, fails with 17 otherwise. */
void dlm_task_disk(struct dlm_task *t, int stage, const dlmgr_error *e);
/* Its op was refused, so somebody else moved the row: it is not ours to touch. what: "begin", ... */
void dlm_task_disown(struct dlm_task *t, const char *what);
/* The time until now goes to what it was doing; from now on it does `next`. */
void dlm_task_lap(struct dlm_task *t, int next);
/* The metrics as they are now, for the next op: in t->metrics_text. ended: no queue begins here. */
const char *dlm_task_measure(struct dlm_task *t, bool ended);
void dlm_task_fetch(struct dlm_task *t); /* begin or go on fetching */
void dlm_task_drop(struct dlm_task *t,
                   const struct dlm_transfer *but); /* end all connections but this one */
void dlm_task_begin(struct dlm_task *t, struct dlm_transfer *by);
void dlm_task_finish(struct dlm_task *t); /* all bytes are there */
void dlm_task_look(struct dlm_task *t);   /* the row says committing: what happened to the file? */
void dlm_task_checkpoint(struct dlm_task *t);
/* For ops: count the snapshot in t->rows. */
int dlm_task_count_rows(struct dlm_store *s, struct dlm_task *t);
int dlm_task_snapshot(struct dlm_task *t);

#endif
