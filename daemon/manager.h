/* SPDX-License-Identifier: MIT */
/*
 * manager.h - the service manager (systemd), when one runs this daemon: its socket, readiness, a line of state, a sign of life.
 *
 * What it is told: READY once the home is served, by us or by the owner that we wait for; STATUS, a line with counts, when that changes; STOPPING
 * when we close; and WATCHDOG twice in the time after which it would believe us dead. The sign of life is given only after the engine's
 * loop has answered a question, so a loop that hangs is noticed and the service started anew.
 *
 * Without libsystemd (make SYSTEMD=no) nobody is told anything and no socket is taken over.
 */
#ifndef DAEMON_MANAGER_H
#define DAEMON_MANAGER_H

#include "dlmgr.h"

#include <stdbool.h>
#include <stdint.h>

struct daemon_manager {
    int listen_fd; /* its socket, 0 none */
    bool present;  /* one runs us */
    bool told_ready;
    int64_t alive_ms;            /* give a sign of life this often, 0 never */
    int64_t alive_at, status_at; /* when that was, and when the counts were looked at */
    char status[640];
};

/* Who runs us? Reads the environment; once, before there are threads. A DLMGR_E code when it handed over what cannot be meant. */
int daemon_manager_find(struct daemon_manager *m, dlmgr_error *error);

/* The longest that the daemon may sleep between two looks, at most ms. */
int64_t daemon_manager_sleep(const struct daemon_manager *m, int64_t ms);

void daemon_manager_ready(struct daemon_manager *m, const char *status);
void daemon_manager_stopping(struct daemon_manager *m, const char *status);

/* Again and again: tell what is due. Asks the engine; handle NULL: there is none, we wait for the home. */
void daemon_manager_look(struct daemon_manager *m, dlmgr *handle, int64_t now_ms);

/* Send away who waits in the socket's queue: the home has an owner, and it is not us. It looks again for a few seconds. */
void daemon_manager_refuse(const struct daemon_manager *m);

#endif
