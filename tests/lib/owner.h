/* SPDX-License-Identifier: MIT */
/*
 * owner.h - an owner of test_dir()/home in a process of its own, that can be asked to stop, or killed.
 *
 * It is a forked child, so the test must have no threads when it is started.
 */
#ifndef TEST_OWNER_H
#define TEST_OWNER_H

#include <sys/types.h>

struct owner {
    pid_t pid;
    int pipe; /* closing it asks the child to close its handle */
};

struct owner owner_start(void); /* returns when its door is open */
/* sig 0: ask. What the process ended with (wait status). */
int owner_end(struct owner *owner, int sig);

#endif
