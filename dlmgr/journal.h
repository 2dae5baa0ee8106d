/* SPDX-License-Identifier: MIT */
/*
 * journal.h - the journal's own thread: changes go in as ops, "durable" comes back.
 *
 * An op is a change with two halves: `work` runs on the journal thread inside the batch's transaction, and is
 * undone alone when it fails; `done` runs on the loop once the batch has committed, in the order posted. The ops that a turn of the loop posts travel together, and
 * all that wait while a commit is under way become the next batch: the busier, the cheaper each. A batch begins no op after 20 ms.
 *
 * A batch that cannot commit (disk full, I/O) is kept and tried again each second, and no `done` runs until it has: nothing leaves
 * the process that is not stored. So `work` may run more than once and must not care. A request is kept for three seconds: then it
 * fails with what the disk said.
 */
#ifndef DLM_JOURNAL_H
#define DLM_JOURNAL_H

#include "store/store.h"

#include <uv.h>

struct dlm_op {
    int (*work)(struct dlm_store *s, struct dlm_op *op);
    void (*done)(struct dlm_op *op);
    int result;        /* of work; negative: its changes were undone */
    dlmgr_error error; /* when negative */
    bool request;      /* somebody waits for it, and it may fail when it cannot be stored */
    int64_t posted;    /* monotonic us; the journal's */
    struct dlm_op *next;
};

struct dlm_journal;

/* Takes the store over; it is used by the journal's thread alone until stopped. news: on the loop, after a batch that wrote durable events. */
int dlm_journal_start(uv_loop_t *loop, struct dlm_store *store, void (*news)(void *context),
                      void *context, struct dlm_journal **ret, dlmgr_error *e);
void dlm_journal_post(struct dlm_journal *j,
                      struct dlm_op *op); /* loop thread; the op is the caller's */
/* Commits what was posted (giving up after wait_ms when it cannot), runs the last `done` halves, closes the store. */
void dlm_journal_stop(struct dlm_journal *j, int64_t wait_ms);
void dlm_journal_free(struct dlm_journal *j);

/* A batch could not be committed and waits: start nothing new. Any thread. */
bool dlm_journal_stuck(const struct dlm_journal *j);
/* The longest time that an op waited from its posting to its commit, in microseconds; for status and bench. */
int64_t dlm_journal_longest(const struct dlm_journal *j);

#endif
