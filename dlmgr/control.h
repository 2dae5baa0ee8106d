/* SPDX-License-Identifier: MIT */
/*
 * control.h - the door: HOME/control.sock, newline-delimited JSON-RPC 2.0, served on the engine's loop.
 *
 * Bound and reached through /proc/self/fd of the held home, since a socket path may not exceed 107 bytes. Mode 0600; the peer must
 * be the home's owner or root (SO_PEERCRED). A line is at most 4 MiB and 32 levels deep; a client that does not read its answers is
 * not read from. Only the lock's holder removes the socket file.
 */
#ifndef DLM_CONTROL_H
#define DLM_CONTROL_H

#include "dlmgr/engine.h"

struct dlm_control;

/* Loop thread, all three. */
int dlm_control_start(struct dlm_engine *engine, struct dlm_control **ret, dlmgr_error *e);
/* Stop accepting, unlink the socket, close all connections; `closed` runs when libuv has let go of them; then it is freed. */
void dlm_control_stop(struct dlm_control *c, void (*closed)(void *context), void *context);
/* Durable events were committed: tell the connections that subscribed (method `subscribe`: a notification {"method":"news"} a time). */
void dlm_control_news(struct dlm_control *c);

#endif
