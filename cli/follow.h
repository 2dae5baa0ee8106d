/* SPDX-License-Identifier: MIT */
/*
 * follow.h - see tasks through: get follows its own, wait those that it was given or all, run all.
 *
 * Who follows holds a handle that is the engine or a client of it, and does not care which: when the owner goes away it owns the
 * home itself (may_own) or looks for another owner for 6 s. Following ends when all tasks have ended, when only paused
 * ones are left (7), when for a minute only waits for storage were left (9), at a signal or a stop (130), or at a time limit (7).
 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "cli/cli.h"
#include "cli/progress.h"

/* Called once for each task as it ends, with the index it was given at; task NULL: removed. */
typedef void (*ended_fn)(struct cli *cli, size_t index, const dlmgr_task *task, void *context);

struct follow {
    struct cli *cli;
    dlmgr *handle;
    bool may_own;
    bool held;    /* an engine of ours begins at dlmgr_begin() */
    bool forever; /* stay when there is nothing to do (run) */
    bool owned;   /* there was an owner when this began */
    struct progress progress;
    ended_fn ended;
    void *context;

    int64_t *ids;
    short *codes; /* exit code of each, -1 while it goes on */
    size_t n, room, first, n_ended;

    int64_t until;      /* cli_clock() of the time limit, -1 none */
    int64_t started;    /* wall time */
    int64_t look_began; /* cli_clock() of the last look */
    int64_t storage_since; /* cli_clock() since when only storage is waited for, -1 not; what moved in between left out */
    int64_t moving_since;  /* and since when it is not the only thing, -1 it is */
    int64_t storage_ended; /* how many tasks had ended then */
    int first_failure;     /* of an engine that was ours and has gone */
};

void cli_follow_init(struct follow *follow, struct cli *cli);

/* Open the home: own or attach, or (not may_own) attach or read. Says what is wrong; exit code. */
int cli_follow_open(struct follow *follow);

/* Exit code after a message when there is no memory. */
int cli_follow_add(struct follow *follow, const int64_t *ids, size_t n);

/* Until these have ended. The exit code: the first that is not 0 in the order given. */
int cli_follow_these(struct follow *follow);

/* Until nothing is left to do in the whole journal. */
int cli_follow_all(struct follow *follow);

/* Close the handle; true when it was the engine. Frees the rest. */
bool cli_follow_close(struct follow *follow);

#endif
