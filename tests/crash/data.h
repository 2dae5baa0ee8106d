/* SPDX-License-Identifier: MIT */
/*
 * data.h - what a call wrote, kept beside the killer's log: so that the files can be made again as they were at any line.
 *
 * A record a call that wrote to a file, changed its size or mode, or made it: the line of the log (from 0) and what the
 * file is afterwards, followed by the `len` bytes that were written.
 */
#ifndef CRASH_DATA_H
#define CRASH_DATA_H

#include "calls.h"

#include <stdio.h>

struct data_record {
    int64_t line;
    uint64_t ino;
    int64_t btime_ns; /* 0: the file system does not say */
    int64_t mode, size, len;
};

/* The call has returned `result`: add its record, when it has one. 0 or -errno. */
int data_keep(FILE *to, long line, pid_t tid, const struct note *note, const uint64_t args[6],
              int64_t result);

/* The next record: 1, with its bytes in *ret_bytes (yours), 0 at the end, -EPROTO when it is not whole. */
int data_next(FILE *from, struct data_record *ret, unsigned char **ret_bytes);

#endif
