/* SPDX-License-Identifier: MIT */
/*
 * door.h - control.sock of a home below test_dir(), on a loop thread of its own, with a host behind it that does as it is told.
 *
 * What the host does with a method:
 *
 *     status  answers {"n": how many requests came before} at once      list   answers {"text": limit bytes}
 *     add     answers its params in the loop's next turn                  find   fails: DLMGR_EIO, a text and a path that are not UTF-8
 *     wait    answers {"ended": true} after timeout_ms, or when it is told to (door_release)
 */
#ifndef TEST_DOOR_H
#define TEST_DOOR_H

#include "dlmgr/control.h"

struct door;

struct dlm_home *door_home(void); /* below test_dir(), with a path too long for a socket; close it */
struct door *door_open(void);     /* on such a home, which it closes */
void door_close(struct door *d);  /* answers all, stops, and looks that nothing is left */

/* Stop without answering what waits; true once `closed` was called, at most ms later. Then door_close(). */
bool door_stop(struct door *d, int ms);
void door_release(struct door *d);      /* answer all that wait */
void door_news(struct door *d, int n);  /* n times */
void door_fault(struct door *d, int n); /* its nth allocation from now fails; 0: none does */
int door_asked(const struct door *d);   /* requests that came to the host */
int door_waiting(const struct door *d); /* of them not answered yet */
struct dlm_home *door_home_of(struct door *d);

/* A plain socket, connected. Reading gives up after 10 s: an assertion fails, and "" comes. */
struct raw {
    int fd;
    struct dlm_buf in;
};
struct raw raw_open(const struct dlm_home *home);
void raw_close(struct raw *r);
bool raw_send(struct raw *r, const void *data, size_t len); /* false: the peer has gone */
bool raw_say(struct raw *r, const char *text);              /* ' stands for " */
char *raw_line(struct raw *r);   /* yours, without its newline; NULL at the end */
json_t *raw_json(struct raw *r); /* yours; NULL at the end */

#endif
