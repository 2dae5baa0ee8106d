/* SPDX-License-Identifier: MIT */
/*
 * tape.h - all that one telling did to the disk, in order: the killer's logs and what was written, one launch after another.
 *
 * Lines are counted through all launches. An op stands on the line on which its call returned, and `after` is how many lines there
 * were when it was entered: a sync covers what stands on those lines and nothing later. What a process wrote to its stdout is what it told.
 */
#ifndef POWER_TAPE_H
#define POWER_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum op_kind {
    OP_NONE,
    OP_WRITE,
    OP_SIZE, /* cut short, or made longer */
    OP_MODE,
    OP_CREATE,
    OP_RENAME,
    OP_LINK,
    OP_UNLINK,
    OP_MKDIR,
    OP_SYNC,
    OP_SYNC_ALL, /* syncfs */
    OP_TOLD,
};

struct op {
    enum op_kind kind;
    long line, after, call; /* call: its number in its launch */
    int launch;
    char *path, *path2; /* absolute */
    int64_t offset, len;
    unsigned char *bytes; /* OP_WRITE, OP_TOLD */
    /* The file after it, as the kernel said: of creations, writes, sizes and modes. */
    uint64_t ino;
    int64_t btime_ns, mode, size;
    int flags; /* OP_CREATE: of its open */
};

struct tape {
    struct op *ops;
    size_t n;
    long lines;
    int launches;
    bool killed; /* the last launch was */
};

/* One launch more: `out` is the file that its stdout went to. 0 or -errno; -EPROTO: a log that is not whole, or a write without its bytes. */
int tape_add(struct tape *t, const char *log, const char *data, const char *out);
void tape_free(struct tape *t);

#endif
