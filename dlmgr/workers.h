/* SPDX-License-Identifier: MIT */
/*
 * workers.h - threads for what would make the loop wait: fdatasync, rename, open, hash, read-back, lists.
 *
 * A job has two halves: `work` runs on a worker and touches only the job; `done` runs back on the loop, in the order
 * in which jobs ended. Heavy jobs (hashing, read-back) never occupy more than two workers, so that the short ones
 * always find one free. libuv's own pool belongs to the whole process and is left alone.
 */
#ifndef DLM_WORKERS_H
#define DLM_WORKERS_H

#include "dlmgr/base.h"

#include <uv.h>

struct dlm_job {
    void (*work)(struct dlm_job *job);
    void (*done)(struct dlm_job *job);
    bool heavy;
    struct dlm_job *next;
};

struct dlm_workers;

int dlm_workers_start(uv_loop_t *loop, int threads, struct dlm_workers **ret, dlmgr_error *e);
void dlm_workers_submit(struct dlm_workers *w,
                        struct dlm_job *job); /* loop thread; the job is the caller's */
/* Ends the threads once the queue is empty, runs the last `done` halves, closes its handle; loop thread. */
void dlm_workers_stop(struct dlm_workers *w);
void dlm_workers_free(struct dlm_workers *w); /* after the loop has closed its handles */

/*
 * Jobs that are cheaper together, such as syncs: while rounds of them run, the next one gathers. `work` does a whole round (a list by `next`)
 * on a worker; then each job's own `done` runs on the loop. A job's own `work` is not used.
 */
struct dlm_gather {
    struct dlm_workers *workers;
    void (*work)(struct dlm_job *round);
    int rounds, most; /* that may run at once; jobs in one */
    int running;
    struct dlm_job *head, **tail; /* gathering */
};

void dlm_gather_init(struct dlm_gather *g, struct dlm_workers *w, int rounds, int most,
                     void (*work)(struct dlm_job *round));
void dlm_gather_submit(struct dlm_gather *g,
                       struct dlm_job *job); /* loop thread; the job is the caller's */

/* Start a thread with all signals blocked: none of the process's handlers ever runs on ours. 0 or an errno value. */
int dlm_thread_start(pthread_t *ret, void *(*fn)(void *), void *arg, const char *name);

#endif
