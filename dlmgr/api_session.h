/* SPDX-License-Identifier: MIT */
/*
 * api_session.h - an open session: what its holder was told, and what is to be told next.
 *
 *     api_session.c   open, close, hold, acknowledge
 *     api_deliver.c   one look at a session: snapshot, replay, ready, live events, drained
 *     api_progress.c  progress
 *     api_claim.c     dlmgr_claim_move()
 *
 * Only dlmgr_process() looks, one thread at a time, so what a look needs has no lock. What other threads touch is named.
 */
#ifndef DLM_API_SESSION_H
#define DLM_API_SESSION_H

#include "dlmgr/api.h"

enum dlm_phase {
    DLM_RESTORING, /* live tasks after restored_to are to be told */
    DLM_REPLAYING, /* events up to and with replay_to */
    DLM_LIVE,
};

struct dlm_kept { /* an event that could not be handled: it comes again at `due` */
    int64_t seq, due, pause;
};

struct dlm_seen { /* the progress told last of a task that has not ended, in the order of tasks */
    int64_t task, generation, bytes;
    int64_t total; /* -1: it was not known then, or nothing was told */
};

struct dlmgr_session {
    struct dlmgr *handle;
    struct dlm_peer peer; /* who we are for an engine of our own process */
    char *name;
    unsigned flags;
    dlmgr_delegate delegate;
    void *context;
    struct dlmgr_session *next; /* with what follows: under the handle's `set` */
    atomic_bool closed;         /* it goes once no look is under way */
    atomic_bool held;           /* the present owner knows that it is ours */
    bool released;              /* and then that it is not */
    int64_t ask_at; /* in line: when to ask a new owner (mono ms); 0: whenever there are news */
    bool told_lost;
    _Atomic int64_t incarnation; /* 0: not ours yet */
    atomic_bool lost;
    dlmgr_error why; /* it was lost; written before `lost` */

    atomic_bool look; /* there may be something to tell */
    enum dlm_phase phase;
    int64_t restored_to, after, replay_to; /* replay_to -1: not known yet */
    bool drained;                          /* told, and nothing happened since */
    int64_t live, running;                 /* tasks, at the last look */
    struct dlm_kept *kept;
    size_t n_kept, kept_room;
    int64_t *unsent; /* acknowledgements that did not reach the owner */
    size_t n_unsent;
    struct dlm_seen *seen;
    size_t n_seen;
    int64_t progress_due, progress_not_before; /* due 0: nothing is at work */
};

/* The holder wants nothing more: it closed the session or the handle. */
static inline bool dlm_session_stopped(const struct dlmgr_session *s)
{
    return atomic_load(&s->closed) || atomic_load(&s->lost) ||
           atomic_load(&s->handle->listening.close_later);
}

/* One look: at most `budget` tasks and events are told. Their number, or a negative code. */
int dlm_session_look(struct dlmgr_session *s, int budget, dlmgr_error *e);
/* When the next look is due although nothing is announced (mono ms); -1: never. */
int64_t dlm_session_due(const struct dlmgr_session *s);

/* Under `set`: make the session ours with the present owner. 0 also while it stands in line; DLMGR_EBUSY; when it is lost, it is marked so. */
int dlm_session_hold(struct dlmgr_session *s, unsigned flags, dlmgr_error *e);
/* Under `set`: let the owner know that it is free. */
void dlm_session_release(struct dlmgr_session *s);
void dlm_session_free(struct dlmgr_session *s);
/* A fenced method of the holder: deliver or ack; params (stolen) get session and incarnation. Marks the session lost when it is. */
int dlm_session_call(struct dlmgr_session *s, const char *method, json_t *params,
                     json_t **ret_result, dlmgr_error *e);
/* Acknowledge n <= 1,000 events. */
int dlm_session_ack(struct dlmgr_session *s, const int64_t *seqs, size_t n, dlmgr_error *e);

void dlm_progress_look(struct dlmgr_session *s, dlmgr_error *e);
/* Something is at work. */
void dlm_progress_begin(struct dlmgr_session *s);
/* The generation has ended: what was told of it need not be known any more. */
void dlm_progress_end(struct dlmgr_session *s, int64_t task, int64_t generation);
/* Before `done`: tell the size, unless that was told. */
void dlm_progress_last(struct dlmgr_session *s, const dlmgr_event *event);

#endif
