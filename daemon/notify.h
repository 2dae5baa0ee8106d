/* SPDX-License-Identifier: MIT */
/*
 * notify.h - the command of a session (`dlmgr session set NAME --on-event CMD`): run while its events wait and nobody holds it.
 *
 * A look costs nothing while nothing happened: sessions are asked for after news, and when a pause is over.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include "dlmgr.h"

#include <stdbool.h>
#include <stdint.h>

struct daemon_notify;

/* limit_ms: how long a command may take. NULL: no memory. */
struct daemon_notify *daemon_notify_new(dlmgr *handle, int64_t limit_ms);

/* Do what is due. news: something happened in the home. */
void daemon_notify_look(struct daemon_notify *notify, bool news);

/* How long to sleep before the next look, ms at most. */
int64_t daemon_notify_sleep(const struct daemon_notify *notify, int64_t ms);

/* Events wait for a command that is set: the home is not to be left. */
bool daemon_notify_busy(const struct daemon_notify *notify);

/* The same asked of a home, without keeping anything. */
bool daemon_notify_wanted(dlmgr *handle);

/* No more of it: what runs is asked to end. Then, when the home is closed, it is made to. NULL is fine. */
void daemon_notify_stop(struct daemon_notify *notify);
void daemon_notify_free(struct daemon_notify *notify);

#endif
