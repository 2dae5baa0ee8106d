/* SPDX-License-Identifier: MIT */
/*
 * state.h - the states of a task and which may follow which: one table, pure.
 *
 *     queued -> running (-> verifying) -> committing -> done
 *        ^        |  ^ \_______ any of these may fall back to queued, waiting, paused, failed, cancelled
 *        |        v
 *     waiting  paused          ended: done, failed, cancelled (retry leads back to queued, never from done)
 *
 * It stands before the store because the journal itself refuses a move that the table does not allow.
 */
#ifndef DLM_STATE_H
#define DLM_STATE_H

#include "dlmgr/base.h"

#define DLM_STATES (DLMGR_CANCELLED + 1)

const char *dlm_state_name(int state); /* NULL when out of range */
int dlm_state_parse(const char *name); /* enum dlmgr_state, or -1 */
bool dlm_state_may(int from, int to);  /* is the move in the table? */
bool dlm_state_ended(int state);       /* done, failed, cancelled */
/* The event type that entering this state writes, or NULL: "done", "failed", "cancelled", "waiting". */
const char *dlm_state_event(int state);
/* Is that event terminal (one per task and generation)? */
#define dlm_state_terminal(s) dlm_state_ended(s)

#endif
