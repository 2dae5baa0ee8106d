/* SPDX-License-Identifier: MIT */
/*
 * engine_internal.h - what the files of the engine share: engine.c (life), engine_request.c (methods), engine_wait.c (who
 * waits), engine_session.c (who holds a session).
 */
#ifndef DLM_ENGINE_INTERNAL_H
#define DLM_ENGINE_INTERNAL_H

#include "dlmgr/control.h"
#include "dlmgr/engine.h"
#include "dlmgr/sched.h"

#include <pthread.h>
#include <stdatomic.h>

struct dlm_serving; /* a request at work */
struct dlm_waiter;  /* somebody who waits for tasks to end */
struct dlm_holding; /* a session with a holder */

struct dlm_engine {
    struct dlm_home *home;
    struct dlm_engine_settings settings;
    struct dlm_log log;
    uv_loop_t loop;
    pthread_t thread;
    uv_async_t async;
    uv_timer_t closing_timer, wait_timer;
    struct dlm_journal *journal;
    struct dlm_workers *workers;
    struct dlm_fetch *fetch;
    struct dlm_slots *slots;
    struct dlm_sched sched;
    struct dlm_control *control;
    struct dlm_control_host control_host;
    struct dlm_store *reader; /* used by one worker at a time, under reader_lock */
    pthread_mutex_t reader_lock;
    int news_fd;
    atomic_bool stop_asked; /* by a client */

    pthread_mutex_t lock;
    pthread_cond_t answered;
    struct dlm_call *calls; /* posted by other threads; under lock */
    bool begin, stop;       /* under lock */

    bool closing, closed;
    int64_t closing_until;
    struct dlm_serving *serving; /* all that are at work */
    struct dlm_waiter *waiters;
    struct dlm_holding *holdings;
    bool wait_dirty;     /* something may have ended since the last look */
    int64_t wait_looked; /* mono ms */
    int64_t started_at;
};

/* Any method, on the loop; the reply comes exactly once. params is stolen. */
void dlm_engine_serve(struct dlm_engine *e, const char *method, json_t *params, dlm_reply_fn reply,
                      void *context);
void dlm_engine_serve_deferred(struct dlm_engine *e); /* a taking has come back */
void dlm_engine_serve_stop(struct dlm_engine *e); /* answer what is not answered: the engine closes */
void dlm_engine_serve_free(struct dlm_engine *e); /* what never came back; the threads have ended */

/* On a worker: run a reading method on the reading connection. */
int dlm_engine_read(struct dlm_engine *e, const struct dlm_method *method, const json_t *params,
                    json_t **ret_result, dlmgr_error *error);

/* All who listen are to look. */
void dlm_engine_tell(struct dlm_engine *e);

/* session_hold and session_release, of a peer; params is stolen. A peer that goes holds nothing any more. */
void dlm_engine_peer(struct dlm_engine *e, const struct dlm_peer *peer, const char *method,
                     json_t *params, dlm_reply_fn reply, void *context);
void dlm_engine_peer_gone(struct dlm_engine *e, const struct dlm_peer *peer);
int dlm_engine_holder(struct dlm_engine *e, const char *session); /* its pid; 0: nobody */
void dlm_engine_holdings_free(struct dlm_engine *e);

/* The method `wait`: answered when the tasks have ended, or at its time limit. */
void dlm_engine_wait(struct dlm_engine *e, json_t *params, dlm_reply_fn reply, void *context);
void dlm_engine_wait_look(struct dlm_engine *e); /* something may have ended */
void dlm_engine_wait_stop(struct dlm_engine *e); /* answer all: the engine closes */

#endif
