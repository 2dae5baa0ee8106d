/* SPDX-License-Identifier: MIT */
/*
 * engine.h - the owner of a home at work: its loop thread, journal thread and workers.
 *
 * Everything that another thread or process wants goes through dlm_engine_request(): a method of the table in methods.h
 * with its parameters, answered once its changes are durable.
 */
#ifndef DLM_ENGINE_H
#define DLM_ENGINE_H

#include "dlmgr/home.h"

#include <jansson.h>
#include <uv.h>

struct dlm_engine;

struct dlm_engine_settings {
    int max_active, max_per_host;
    int64_t limit_rate, keep_done_ms, keep_done_n; /* -1: keep all */
};

/*
 * Start on a home whose lock is held; returns when the journal is open, recovery is planned and control.sock answers. Borrows home until stopped.
 */
int dlm_engine_start(struct dlm_home *home, const struct dlm_engine_settings *settings, struct dlm_log log,
                     struct dlm_engine **ret, dlmgr_error *e);
/* Checkpoint what runs, close, join, free; at most 5 s. NULL is fine. */
void dlm_engine_stop(struct dlm_engine *e);

/* Called on the loop thread, exactly once a request. result is owned by the callee; NULL when code is negative. */
typedef void (*dlm_reply_fn)(void *context, int code, json_t *result, const dlmgr_error *error);

/* Loop thread only (the control socket). params is stolen; may be NULL. The reply may come before this returns. */
void dlm_engine_request(struct dlm_engine *e, const char *method, json_t *params, dlm_reply_fn reply, void *context);
/* Any other thread: posts the same and waits. params is stolen; *ret_result is the caller's. */
int dlm_engine_call(struct dlm_engine *e, const char *method, json_t *params, json_t **ret_result, dlmgr_error *error);

/* For the control socket: its loop, the home, the log; loop thread only. */
uv_loop_t *dlm_engine_loop(struct dlm_engine *e);
const struct dlm_home *dlm_engine_home(struct dlm_engine *e);
const struct dlm_log *dlm_engine_log(struct dlm_engine *e);

/* An eventfd that is written when durable events were committed; for dlmgr_fd(). Owned by the engine. */
int dlm_engine_news_fd(struct dlm_engine *e);
/* A client asked the owner to stop. Any thread. */
bool dlm_engine_stopping(struct dlm_engine *e);

#endif
