/* SPDX-License-Identifier: MIT */
/*
 * calls.h - the system calls that a crash can fall before: those which change the disk or tell somebody something.
 *
 * One table says which they are and where each keeps its descriptor, its paths, its offset and its length. From it
 * come the seccomp filter (which stops the program at these calls and at no others), the decision whether a
 * stopped call counts, and the description that goes to the log.
 */
#ifndef CRASH_CALLS_H
#define CRASH_CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct call {
    const char *name;
    int nr;
    signed char fd; /* which argument is the descriptor it works on, -1 none */
    signed char dir,
        path; /* the first path, and the descriptor it is relative to (-1: the working directory) */
    signed char dir2, path2; /* the second one, of rename and link */
    signed char offset, len;
    signed char flags; /* counts only with O_CREAT in this argument */
};

/* One call that was made: what the log tells of it. */
struct note {
    const struct call *call;
    char path[1024], path2[1024];
    int64_t offset, len; /* -1 unknown; for an open `offset` holds its flags */
};

/* The row for a system call number, or NULL when it is none of ours. */
const struct call *calls_find(uint64_t nr);

/*
 * Whether this call, at whose entry `tid` stands, counts: an open only when it may create, bind only for a socket in
 * the file system, and a write never when it goes to an eventfd (a thread waking another tells nobody). *ret_note
 * describes it.
 */
bool calls_look(pid_t tid, const struct call *call, const uint64_t args[6], struct note *ret_note);

/* Completes the note once the call has returned: where a plain write to a file began. */
void calls_returned(pid_t tid, const uint64_t args[6], int64_t result, struct note *note);

/* Makes the calling process stop (for its tracer) at the calls of the table; 0 or -errno. */
int calls_filter(void);

#endif
