/* SPDX-License-Identifier: MIT */
/*
 * sched.h - who runs: takes tasks from the journal as there is room for them, and wakes those whose time has come.
 *
 * Room is counted in tasks that transfer (max-active) and in connections to an origin (max-per-host). A task whose body has come and
 * that is only being synced and renamed needs neither, so small files do not wait for each other's commits; a few tasks are taken in
 * advance for the same reason. Loop thread only.
 */
#ifndef DLM_SCHED_H
#define DLM_SCHED_H

#include "dlmgr/task.h"

struct dlm_host;

struct dlm_sched {
    struct dlm_tasks tasks;
    uv_loop_t *loop;
    int max_active, max_per_host;
    int64_t keep_done_ms, keep_done_n; /* -1: keep all */
    void (*after_take)(void *context); /* what had to wait for a taking may go on */
    void *context;

    struct dlm_host *hosts;
    struct dlm_task **ready; /* taken and not started, in order */
    size_t n_ready;
    bool more;         /* the queue may have something for us */
    bool held;         /* go on with nothing before dlm_sched_begin() */
    bool draining;     /* take nothing more */
    bool stuck;        /* the journal cannot commit */
    int prefetch;      /* how many to take in advance */
    int first_failure; /* exit code of the first that failed */
    int64_t started, failed;
    int64_t room;        /* descriptors for downloads */
    int64_t connections; /* that there are */

    struct dlm_op take_op;
    bool taking;
    struct dlm_busy *busy;
    size_t n_busy, n_take, n_taken;
    struct dlm_task **taken;

    struct dlm_op wake_op;
    int late_more;
    bool waking, wake_again, storage_due;
    bool stepped; /* the clock was set back: nobody may wait for where it was */
    int64_t next_wake, storage_at, n_storage;
    int64_t apart; /* the clock of the wall less the one that never steps */
    struct dlm_op prune_op;
    bool pruning, prune_more;
    int64_t prune_at;

    struct dlm_op look_op; /* tasks that an earlier owner left in committing */
    int64_t look_after;

    uv_timer_t tick;
    uv_timer_t timer; /* until next_wake */
    uv_prepare_t prepare;
};

/*
 * What a task at work may have open at once, and each of its connections: the part and its directory; two sockets while both address families are
 * tried, and two descriptors of the thread that looks for the address.
 */
#define DLM_TASK_FILES 2
#define DLM_CONNECTION_FILES 4

/* How many descriptors downloads may have, of this process's soft limit; limit: the owner's own, 0 none. Room for one task at least. */
int64_t dlm_sched_room(int64_t limit);

/* s->tasks (but ops and context), limits, held and after_take are filled in; the rest is zero. */
int dlm_sched_start(struct dlm_sched *s, uv_loop_t *loop);
/* One that was held goes on; any other does already. */
void dlm_sched_begin(struct dlm_sched *s);
/* There may be new work, or another time to wake at. */
void dlm_sched_wake(struct dlm_sched *s);
/* Nothing new; those at work checkpoint and go back to the queue, until s->tasks.n is 0. */
void dlm_sched_drain(struct dlm_sched *s);
/* Close the handles and free what is left; the journal's thread and the workers have ended. */
void dlm_sched_stop(struct dlm_sched *s);
/* The task at work with this id, or NULL. */
struct dlm_task *dlm_sched_find(struct dlm_sched *s, int64_t id);

#endif
