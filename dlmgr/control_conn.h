/* SPDX-License-Identifier: MIT */
/*
 * control_conn.h - one connection of the door: lines come in, answers and news go out. For control.c, which lets them in.
 */
#ifndef DLM_CONTROL_CONN_H
#define DLM_CONTROL_CONN_H

#include "dlmgr/control.h"
#include "dlmgr/control_socket.h"

struct dlm_conn {
    struct dlm_control *door;
    struct dlm_peer peer;
    uv_pipe_t pipe;
    uv_write_t write;
    struct dlm_buf in, out, sending;
    size_t used, scanned; /* of in: handled; known to hold no newline */
    int owed, owed_pages;
    bool writing, reading, busy, subscribed, news, is_peer, last, closing,
        closed; /* last: close once all is sent */
    struct dlm_conn *next;
};

struct dlm_control {
    const struct dlm_control_host *host;
    struct dlm_socket socket;
    uv_pipe_t *listener; /* NULL: no descriptor is free, so nobody is let in until the next look */
    int spare;           /* the same socket: who waits at it meanwhile is let in then; -1 */
    uv_timer_t flush;    /* and, before the end, of a connection for which there was no memory */
    uv_timer_t look;     /* whether the socket's file still stands */
    bool deaf;           /* it does not, and no other could be made yet */
    uid_t home_uid;
    struct dlm_conn *conns;
    bool stopping;
    int handles; /* that libuv still has at the end */
    void (*stopped)(void *context);
    void *context;
};

/* The connection stands in the door's list and frees itself from there; the loop's thread, all of these. */
void dlm_conn_close(struct dlm_conn *c);
void dlm_conn_read(struct dlm_conn *c);  /* handle what is there, then read on, or not for now */
void dlm_conn_flush(struct dlm_conn *c); /* send what is gathered, unless something is under way */

/* The last connection of a door that stops may have gone. */
void dlm_control_left(struct dlm_control *d);

#endif
