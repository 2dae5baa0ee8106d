/* SPDX-License-Identifier: MIT */
/*
 * home.h - the directory that holds one instance, and the lock that says who owns it.
 *
 * The lock is fcntl F_SETLK on HOME/lock: it goes with its process and not with a forked child, and F_GETLK names the pid. Such a lock is
 * lost when the process closes any descriptor of that file, so it is opened once a process: a table of the homes open here
 * answers a second open in the same process with DLMGR_EBUSY.
 */
#ifndef DLM_HOME_H
#define DLM_HOME_H

#include "dlmgr/base.h"

struct dlm_home {
    char *path; /* absolute */
    int fd;     /* the directory, held */
    bool locked;
};

/*
 * Find and hold the home: `given`, or $DLMGR_HOME, or $XDG_STATE_HOME/dlmgr, or ~/.local/state/dlmgr. create: make it (0700) and its parents. Refused with a remedy
 * (DLMGR_EHOME): another user's, world-writable, group-writable without trust_group, not a directory, root in another user's HOME.
 */
int dlm_home_open(const char *given, bool create, bool trust_group, struct dlm_home **ret,
                  dlmgr_error *e);
struct dlm_home *dlm_home_close(struct dlm_home *h); /* unlocks */

int dlm_home_lock(struct dlm_home *h, dlmgr_error *e); /* DLMGR_EBUSY names the pid */
void dlm_home_unlock(struct dlm_home *h);
int dlm_home_owner(
    struct dlm_home *h); /* pid of the owner, 0 none, -1 one whose pid cannot be seen from here */

#endif
