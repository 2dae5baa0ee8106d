/* SPDX-License-Identifier: MIT */
/*
 * deny.h - let system calls fail: what a full disk, a broken one or a poor file system answers.
 *
 *     static const struct deny rows[] = {{SYS_renameat2, EINVAL}, {SYS_linkat, EPERM}};
 *     CHECK_INT(deny_run(rows, ARRAY_SIZE(rows), move_it, &finish), DLM_FINISH_OK);
 *
 * A seccomp filter belongs to one thread, so fn runs in a thread of its own that ends with it; deny_run() waits. fn
 * makes no assertions.
 */
#ifndef DLM_TEST_DENY_H
#define DLM_TEST_DENY_H

#include <stddef.h>
#include <sys/syscall.h>

struct deny {
    int nr;  /* SYS_... */
    int err; /* what it answers, without having been done */
};

/* What fn returned; -1000 when the thread or the filter could not be made. At most 8 rows. */
int deny_run(const struct deny *rows, size_t n, int (*fn)(void *context), void *context);

#endif
