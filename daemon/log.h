/* SPDX-License-Identifier: MIT */
/*
 * log.h - the daemon's log: HOME/dlmgr.log and, when that is full, HOME/dlmgr.log.1, a MiB each, mode 0600.
 *
 * daemon_log() is a dlmgr_log_fn and may be called from any thread. Until daemon_log_open() lines wait in memory, since the
 * library has things to say before the home is known to exist.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include "dlmgr.h"

enum { DAEMON_LOG_ROOM = 1 << 20 };

/* Nothing above this level is kept. */
void daemon_log_level(int level);

/* Log to HOME/dlmgr.log from now on (home NULL: to stderr). 0 or a negative DLMGR_E code. */
int daemon_log_open(const char *home, dlmgr_error *error);

void daemon_log(int level, const char *text, void *context);
void daemon_logf(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
