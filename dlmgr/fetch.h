/* SPDX-License-Identifier: MIT */
/*
 * fetch.h - libcurl's multi handle on the loop.
 *
 * Whoever wants a request fills in an easy handle and adds it; `done` runs when it ended, outside libcurl's callbacks, so that handles may be
 * added and removed in it (libcurl refuses that inside of them: CURLM_RECURSIVE_API_CALL). Connections are reused across all requests.
 * Loop thread only.
 */
#ifndef DLM_FETCH_H
#define DLM_FETCH_H

#include "dlmgr/base.h"

#include <curl/curl.h>
#include <uv.h>

struct dlm_fetch;

struct dlm_fetching {
    CURL *easy;
    void (*done)(struct dlm_fetching *f, CURLcode code);
    bool active;     /* in the multi handle */
    CURLcode broken; /* going on after a pause it failed with this */
    struct dlm_fetching *next_broken;
};

int dlm_fetch_start(uv_loop_t *loop, struct dlm_fetch **ret, dlmgr_error *e);
/* So many connections at once, those that rest included: they make room for new ones. */
void dlm_fetch_at_most(struct dlm_fetch *f, int64_t connections);
/* Closes; requests must have been removed. Free after the loop has let go of the handles. */
void dlm_fetch_stop(struct dlm_fetch *f);
void dlm_fetch_free(struct dlm_fetch *f);

/* An easy handle with what all our requests have in common; kept ones are used again. NULL: no memory. */
CURL *dlm_fetch_easy(struct dlm_fetch *f);
void dlm_fetch_keep(struct dlm_fetch *f,
                    CURL *easy); /* give it back, after dlm_fetch_remove(); NULL is fine */

/* CURLOPT_PRIVATE becomes f; 0 or DLMGR_ENOMEM. Not from a libcurl callback. */
int dlm_fetch_add(struct dlm_fetch *m, struct dlm_fetching *f);
/* End it without `done`; fine when it is not active. Not from a libcurl callback. */
void dlm_fetch_remove(struct dlm_fetch *m, struct dlm_fetching *f);
/* fn: after each time that libcurl brought bytes, before `done` of what ended with them. One a fetch. */
void dlm_fetch_turned(struct dlm_fetch *f, void (*fn)(void *context), void *context);
/* A paused one goes on, at the next turn of the loop; it also ends there when the bytes that libcurl kept for it are refused. */
void dlm_fetch_unpause(struct dlm_fetch *m, struct dlm_fetching *f);

/*
 * Has the server sent something over a resting connection with this port of ours since its last answer? Whatever that is, it would be taken for the
 * answer to the next request; libcurl 7.88 only sees whether such a connection was closed.
 */
bool dlm_fetch_is_spoiled(const struct dlm_fetch *f, int port);

#endif
