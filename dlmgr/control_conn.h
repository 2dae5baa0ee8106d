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
    int64_t heard; /* mono ms: when it last said something */
    int64_t held;  /* its turn among those that have a long line to be handled; 0: none */
    bool held_large;
    int64_t rests; /* the turn in which it had said enough; 0: it has not */
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
    int most;       /* connections */
    int came;       /* in this turn of the loop */
    bool waits;     /* one more has come, and is let in in the next */
    uv_idle_t turn; /* the next long line may be handled */
    int64_t turns;
    bool turned;       /* one was in this turn of the loop */
    int64_t last_held; /* number of the last that had to wait for its turn */
    int large, pages;  /* calls that are not answered: by large lines; for a page */
    size_t owed_bytes; /* lines of all calls that are not answered */
    struct dlm_owed *queue, **queue_end; /* for pages, that wait for others */
    bool stopping;
    int handles; /* that libuv still has at the end */
    void (*stopped)(void *context);
    void *context;
};

/* The connection stands in the door's list and frees itself from there; the loop's thread, all of these. */
void dlm_conn_close(struct dlm_conn *c);
void dlm_conn_read(struct dlm_conn *c);  /* handle what is there, then read on, or not for now */
void dlm_conn_flush(struct dlm_conn *c); /* send what is gathered, unless something is under way */

/* Answer that, and close. */
void dlm_conn_refuse(struct dlm_conn *c, int code, const char *why);

/* Has he hung up, which somebody who is not read from shows at his descriptor alone? */
bool dlm_conn_has_gone(const struct dlm_conn *c);
/* At the end: what waits for its turn is not asked any more. */
void dlm_conn_forget_queue(struct dlm_control *d);

/* Turns of the loop: on_turn() comes in the next one, and lets in who had to wait. */
void dlm_conn_next_turn(struct dlm_control *d);
void dlm_control_let_in(struct dlm_control *d);

/* The last connection of a door that stops may have gone. */
void dlm_control_left(struct dlm_control *d);

#endif
