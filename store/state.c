/* SPDX-License-Identifier: MIT */
/*
 * state.c - the states of a task and which may follow which: see state.h.
 *
 * One row a state: its name, the event that entering it writes, whether it has ended, and the set of states
 * that may follow. Adding a state is adding a row. The reasons behind the less obvious sets:
 *
 *     running     may skip verifying, which is told only when there is something to verify that takes time.
 *     committing  must end in what really happened to the file, so nobody may pause or cancel it: the rename
 *                 may have taken place already. It may follow itself, when the chosen name turned out to
 *                 be taken by a stranger and another one is recorded.
 *     done        has nothing behind it: the file is at its name, and it is the caller's now.
 *     paused      may wait again when it is resumed before its time.
 */
#include "store/state.h"

#define BIT(state) (1u << (state))
#define FALL_BACK                                                                                  \
    (BIT(DLMGR_QUEUED) | BIT(DLMGR_WAITING) | BIT(DLMGR_PAUSED) | BIT(DLMGR_FAILED) |              \
     BIT(DLMGR_CANCELLED))

static const struct {
    const char *name;
    const char *event;
    bool ended;
    unsigned next;
} states[DLM_STATES] = {
    [DLMGR_QUEUED] = {.name = "queued",
                      .next = BIT(DLMGR_RUNNING) | BIT(DLMGR_WAITING) | BIT(DLMGR_PAUSED) |
                              BIT(DLMGR_CANCELLED)},
    [DLMGR_RUNNING] = {.name = "running",
                       .next = BIT(DLMGR_VERIFYING) | BIT(DLMGR_COMMITTING) | FALL_BACK},
    [DLMGR_VERIFYING] = {.name = "verifying", .next = BIT(DLMGR_COMMITTING) | FALL_BACK},
    [DLMGR_COMMITTING] = {.name = "committing",
                          .next = BIT(DLMGR_COMMITTING) | BIT(DLMGR_DONE) | BIT(DLMGR_QUEUED) |
                                  BIT(DLMGR_WAITING) | BIT(DLMGR_FAILED)},
    [DLMGR_DONE] = {.name = "done", .event = "done", .ended = true},
    [DLMGR_WAITING] = {.name = "waiting",
                       .event = "waiting",
                       .next = BIT(DLMGR_QUEUED) | BIT(DLMGR_WAITING) | BIT(DLMGR_PAUSED) |
                               BIT(DLMGR_CANCELLED)},
    [DLMGR_PAUSED] = {.name = "paused",
                      .next = BIT(DLMGR_QUEUED) | BIT(DLMGR_WAITING) | BIT(DLMGR_CANCELLED)},
    [DLMGR_FAILED] = {.name = "failed", .event = "failed", .ended = true, .next = BIT(DLMGR_QUEUED)},
    [DLMGR_CANCELLED] = {.name = "cancelled",
                         .event = "cancelled",
                         .ended = true,
                         .next = BIT(DLMGR_QUEUED)},
};

static bool known(int state)
{
    return state >= 0 && state < DLM_STATES;
}

const char *dlm_state_name(int state)
{
    return known(state) ? states[state].name : NULL;
}

int dlm_state_parse(const char *name)
{
    for (int i = 0; name && i < DLM_STATES; i++)
        if (!strcmp(states[i].name, name))
            return i;
    return -1;
}

bool dlm_state_may(int from, int to)
{
    return known(from) && known(to) && (states[from].next & BIT(to));
}

bool dlm_state_ended(int state)
{
    return known(state) && states[state].ended;
}

const char *dlm_state_event(int state)
{
    return known(state) ? states[state].event : NULL;
}
