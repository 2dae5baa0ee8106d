/* SPDX-License-Identifier: MIT */
/*
 * control.h - the door: HOME/control.sock, newline-delimited JSON-RPC 2.0, served on the engine's loop.
 *
 * Bound and reached through /proc/self/fd of the held home, since a socket path may not exceed 107 bytes. Mode 0600; the peer must
 * be the home's owner or root (SO_PEERCRED). A line is at most 4 MiB and 32 levels deep; a client that does not read its answers is
 * not read from. Who makes and removes the socket file: control_socket.h.
 */
#ifndef DLM_CONTROL_H
#define DLM_CONTROL_H

#include "dlmgr/home.h"
#include "dlmgr/methods.h"

#include <uv.h>

struct dlm_control;

/* What it serves, so that it can be tested without an engine. All borrowed until stopped. */
struct dlm_control_host {
    uv_loop_t *loop;
    const struct dlm_home *home;
    const struct dlm_log *log;
    int listen_fd; /* a service manager's socket to listen on, borrowed for dlm_control_start(); 0 none: it makes one */
    /* params is stolen; may be NULL. The reply may come before this returns, and comes exactly once. */
    void (*request)(void *context, const char *method, json_t *params, dlm_reply_fn reply,
                    void *reply_context);
    /* The same for session_hold and session_release, which are about who asks. peer lives until peer_gone. */
    void (*peer)(void *context, const struct dlm_peer *peer, const char *method, json_t *params,
                 dlm_reply_fn reply, void *reply_context);
    void (*peer_gone)(void *context, const struct dlm_peer *peer); /* only when peer() was called */
    void *context;
};

/* Loop thread, all three. */
int dlm_control_start(const struct dlm_control_host *host, struct dlm_control **ret, dlmgr_error *e);
/* Stop accepting, remove the socket if we made it, flush what is written already, close all connections; `closed` runs when libuv has let go of them and no reply is owed; then it is freed. */
void dlm_control_stop(struct dlm_control *c, void (*closed)(void *context), void *context);
/* There is something to look at: tell the connections that subscribed (method `subscribe`: a notification {"method":"news"} a time). */
void dlm_control_news(struct dlm_control *c);

#endif
