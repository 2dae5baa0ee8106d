/* SPDX-License-Identifier: MIT */
/*
 * progress.h - what get, run and wait show while they wait, on stderr.
 *
 * On a terminal a line a task that is at work, redrawn in place, never wider than the terminal and never more lines than it has.
 * Elsewhere a plain line every five seconds. With --json an object, at most two a second. With -q nothing. Who prints anything else
 * calls cli_progress_clear() first.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/cli.h"

enum progress_mode { PROGRESS_NONE, PROGRESS_PLAIN, PROGRESS_LINES, PROGRESS_JSON };

struct progress {
    enum progress_mode mode;
    int drawn;       /* lines on the terminal that belong to us */
    int64_t last_at; /* of the last drawing */
};

void cli_progress_begin(struct progress *progress, const struct cli *cli);

/* How long until the next drawing is due; -1: nothing is drawn. */
int64_t cli_progress_tick(const struct progress *progress);

/* tasks: those of a page; of `total` tasks `ended` have ended. */
void cli_progress_draw(struct progress *progress, const dlmgr_list *tasks, int64_t ended,
                       int64_t total);

/* The last line of a task that has ended, which stays on the terminal. */
void cli_progress_ended(struct progress *progress, const dlmgr_task *task);
void cli_progress_clear(struct progress *progress);

/* A task's line without a newline, for a terminal of so many columns. Pure; buf has room bytes. */
char *cli_progress_line(const dlmgr_task *task, size_t columns, char *buf, size_t room);

#endif
