/* SPDX-License-Identifier: MIT */
/*
 * client.h - a connection to the owner's control.sock, blocking, on the caller's thread.
 */
#ifndef DLM_CLIENT_H
#define DLM_CLIENT_H

#include "dlmgr/home.h"

#include <jansson.h>

struct dlm_client;

/* DLMGR_ENOOWNER: no socket or nobody listens. Says hello; DLMGR_EPROTO when the two speak no common protocol. */
int dlm_client_open(const struct dlm_home *home, struct dlm_client **ret, dlmgr_error *e);
/* Without a hello, for what means the same in every protocol: `status` and `stop`. */
int dlm_client_knock(const struct dlm_home *home, struct dlm_client **ret, dlmgr_error *e);
struct dlm_client *dlm_client_close(struct dlm_client *c);
/* params is stolen. timeout_ms -1: none. DLMGR_ELINK when the owner goes away: it is not known whether the call took effect. */
int dlm_client_call(struct dlm_client *c, const char *method, json_t *params, int64_t timeout_ms,
                    json_t **ret_result, dlmgr_error *e);
int dlm_client_fd(const struct dlm_client *c);
/* Read what has arrived without blocking; 1 when there was a "news" notification, 0 none, negative when the owner went. */
int dlm_client_news(struct dlm_client *c, dlmgr_error *e);
/* Something was read besides the last answer, so that dlm_client_news() has work though the descriptor may be silent. */
bool dlm_client_pending(const struct dlm_client *c);

#endif
