/* SPDX-License-Identifier: MIT */
/*
 * turn.h - what stands between two looks of get, run and wait (follow.c): sleeping until there are news, a time limit, a signal, and an owner
 * that goes.
 */
#ifndef CLI_TURN_H
#define CLI_TURN_H

#include "cli/follow.h"

/*
 * After a look that found that something goes on: sleep until there may be something new. The first time that is at once, since what
 * happened between the look and our asking to be told is known to nobody. A DLMGR_E code: DLMGR_ENOOWNER when the journal answered the
 * look, since nobody else did, and nothing goes on there.
 */
int cli_turn_rest(struct follow *follow, dlmgr_error *error);

/* What the library said: an owner that has gone is looked for. 0 to go on, or the exit code after a message. */
int cli_turn_trouble(struct follow *follow, int r, dlmgr_error *error);

/* Signals, a stop that a client asked for, the time limit. 0 to go on. */
int cli_turn_ended(struct follow *follow);

/*
 * Nothing moves: only pauses, or pauses and waits for storage. Is that the end? ended: how many tasks have ended by now. Looking every
 * few seconds whether there is room again is moving for a moment, and only stops the minute; it begins anew when a task has ended, or
 * something moved for as long.
 */
bool cli_turn_stalled(struct follow *follow, int64_t storage, int64_t ended);
void cli_turn_moving(struct follow *follow);

#endif
