/* SPDX-License-Identifier: MIT */
/*
 * command.h - one `sh -c` at work: started, looked at now and then, ended by force when it takes too long.
 *
 * It has a process group of its own, nothing on stdin, no descriptor of ours but a pipe for stdout and stderr, signals as a new process has
 * them. What it says is bounded: it is read in turns, so who floods waits, and only the end of it is kept. Nothing here blocks.
 */
#ifndef DAEMON_COMMAND_H
#define DAEMON_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { COMMAND_TAIL = 4096 };

struct daemon_command {
    pid_t pid; /* 0: none */
    int out;   /* the pipe's end that we read; -1 */
    int64_t started, killed;
    char tail[COMMAND_TAIL]; /* of what it said: the last `used` bytes */
    size_t used;
    int64_t said; /* bytes in all */
};

/* 0, or an errno. env: all of its environment, ends in NULL. */
int daemon_command_start(struct daemon_command *command, const char *text, char *const *env,
                         int64_t now);

/* true: it has ended, *ret_status as of waitpid(2). After limit_ms it is asked to end (SIGTERM), two seconds later it is not asked. */
bool daemon_command_look(struct daemon_command *command, int64_t limit_ms, int64_t now,
                         int *ret_status);

/* Now: asked, or (by_force) made to. Does not wait for it. */
void daemon_command_end(struct daemon_command *command, bool by_force);

#endif
