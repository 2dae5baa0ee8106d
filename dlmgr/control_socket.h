/* SPDX-License-Identifier: MIT */
/*
 * control_socket.h - the file HOME/control.sock: who makes it, who listens on it, who removes it.
 *
 * An owner makes the file, or a service manager did and hands the listening socket over. Only who made it removes it. All of this is done by
 * the lock's holder alone; a service manager knows nothing of the lock, so its socket may stand there, or appear there, while another process owns
 * the home. Then the owner moves it aside (a socket lives on under another name), stands in its place, and moves it back at the end.
 */
#ifndef DLM_CONTROL_SOCKET_H
#define DLM_CONTROL_SOCKET_H

#include "dlmgr/home.h"

#include <sys/types.h>

#define DLM_SOCKET "control.sock"
#define DLM_SOCKET_ASIDE "control.sock.aside"

struct dlm_socket {
    const struct dlm_home *home;
    bool made; /* by us; else by a service manager */
    dev_t dev;
    ino_t ino;
};

/*
 * A descriptor to listen on, which is the caller's, and what is known of its file. listen_fd (0 none) is a service manager's; it is duplicated, and refused
 * when it is not a listening socket of this home (DLMGR_EINVAL, DLMGR_EHOME). Was its file removed meanwhile, another one is made.
 */
int dlm_socket_open(const struct dlm_home *home, int listen_fd, const struct dlm_log *log,
                    struct dlm_socket *ret, dlmgr_error *e);

/* Is the file still there? Else nobody can come in by it. */
bool dlm_socket_stands(const struct dlm_socket *s);

/* At the end: remove the file if we made it and it still stands; a service manager's that was moved aside takes its place. */
void dlm_socket_remove(const struct dlm_socket *s);

/* Is it a socket that a living process has bound? That process notices nothing. */
bool dlm_socket_alive(const struct dlm_home *home, const char *name);

#endif
