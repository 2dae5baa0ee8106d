/* SPDX-License-Identifier: MIT */
/*
 * daemon.h - the background service: an embedder of libdlmgr like any other, that needs nothing but <dlmgr.h>.
 *
 * daemon_start() executes this program anew as a process of its own: its own session, directory /, no descriptor of the
 * starter's, and it returns when that process serves, or says why it does not. daemon_run() is that process, and as well
 * the one that a container or a service manager runs in the foreground: it assumes nothing about who started it, so it works as
 * process 1. Under a service manager (manager.h) it waits for a home that somebody else owns, instead of failing.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "dlmgr.h"

#include <stdbool.h>
#include <stdint.h>

enum { DAEMON_READY_FD = 3, DAEMON_LISTEN_FD = 3 }; /* the second one is systemd's number */

struct daemon_config {
    dlmgr_options options; /* log and log_context are the daemon's own */
    int64_t idle_ms;       /* end after so long with nothing queued or waiting */
    bool forever; /* or never; a service manager that handed over a socket decides itself */
    bool verbose;
    int64_t command_ms; /* how long a session's command may take */
    int ready_fd; /* told when it serves or why not, then closed; logs go to the home. -1: logs go to stderr */
};

/* Serve until a signal, dlmgr_stop_owner() or idleness. 0, or why it could not. */
int daemon_run(const struct daemon_config *config, dlmgr_error *error);

/* words: argv of the new process, words[0] its name. DLMGR_EBUSY when the home is owned already. */
int daemon_start(const char *const *words, int64_t *ret_pid, dlmgr_error *error);

/* In a child before exec: close all descriptors from first on; signals as a new process has them. Safe after fork. */
void daemon_close_from(int first);
void daemon_signals_default(void);

/* Fill in error and return code. */
int daemon_fail(dlmgr_error *error, int code, int err, const char *what);

#endif
