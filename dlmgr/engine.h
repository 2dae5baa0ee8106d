/* SPDX-License-Identifier: MIT */
/*
 * engine.h - the owner of a home at work: its loop thread, journal thread and workers.
 *
 * Everything that another thread or process wants goes through dlm_engine_request(): a method of the table in methods.h
 * with its parameters, answered once its changes are durable.
 */
#ifndef DLM_ENGINE_H
#define DLM_ENGINE_H

#include "dlmgr/bounds.h"
#include "dlmgr/home.h"
#include "dlmgr/methods.h"

struct dlm_engine;

struct dlm_engine_settings {
    int max_active, max_per_host;
    int64_t limit_rate, keep_done_ms, keep_done_n; /* -1: keep all */
    int listen_fd;                                 /* see control.h; 0 none */
    bool held;                                     /* see dlm_engine_begin() */
    struct dlm_bounds bounds;
};

/*
 * Start on a home whose lock is held; returns when the journal is open, recovery is planned and control.sock answers. Borrows home until stopped.
 */
int dlm_engine_start(struct dlm_home *home, const struct dlm_engine_settings *settings,
                     struct dlm_log log, struct dlm_engine **ret, dlmgr_error *e);
/* Checkpoint what runs, close, join, free; at most 5 s. NULL is fine. */
void dlm_engine_stop(struct dlm_engine *e);

/* One that was started held goes on with its tasks. Any thread. */
void dlm_engine_begin(struct dlm_engine *e);

/* Any thread but the loop's: asks for a method and waits for its answer. params is stolen; *ret_result is the caller's. */
int dlm_engine_call(struct dlm_engine *e, const char *method, json_t *params, json_t **ret_result,
                    dlmgr_error *error);

/* The same for session_hold and session_release, which are about who asks. */
int dlm_engine_call_as(struct dlm_engine *e, const struct dlm_peer *peer, const char *method,
                       json_t *params, json_t **ret_result, dlmgr_error *error);

/* An eventfd that is written when there is something to look at: durable events, tasks that began or were changed, other holders; for dlmgr_fd(). Owned by the engine. */
int dlm_engine_news_fd(struct dlm_engine *e);
/* A client asked the owner to stop. Any thread. */
bool dlm_engine_stopping(struct dlm_engine *e);

#endif
