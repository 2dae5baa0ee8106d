/* SPDX-License-Identifier: MIT */
/*
 * waker.h - one session whose events wait for its command: when that ran, and when it is to run again.
 */
#ifndef DAEMON_WAKER_H
#define DAEMON_WAKER_H

#include "daemon/command.h"

struct waker {
    char *session, *text;
    bool seen;          /* in this look */
    bool waits, held;   /* as of the last look */
    int64_t acked;      /* likewise */
    int64_t pause, due; /* due 0: it has not run yet */
    struct daemon_command command;
    struct waker *next;
};

/* NULL: no memory. */
struct waker *daemon_waker_new(const char *session);
void daemon_waker_free(struct waker *w);

/* What a look found: the command, and up to where events are acknowledged. */
void daemon_waker_text(struct waker *w, const char *text);
void daemon_waker_acked(struct waker *w, int64_t acked, int64_t now);

/* false: it could not be started, which was logged, and comes again after a pause. */
bool daemon_waker_start(struct waker *w, const char *home, int64_t now);

/* true: it has ended; that and what it said was logged, and its pause began. */
bool daemon_waker_watch(struct waker *w, int64_t limit_ms, int64_t now);

#endif
