/* SPDX-License-Identifier: MIT */
/*
 * together.h - one sync for many small files: syncfs(2), where that is cheap and can be trusted.
 *
 * A file's own fdatasync writes its data, its inode and its directory entry, one request each, while inodes of files made one after
 * the other share a block, and directory entries too. One syncfs for a round of small files takes a third of the requests.
 *
 * It is cheap while little else is dirty, since it waits for what others wrote too. It can be trusted from Linux 5.8 on, which says
 * when something could not be written, and on file systems that were looked at: ext4, XFS, btrfs.
 */
#ifndef DLM_TOGETHER_H
#define DLM_TOGETHER_H

#include "dlmgr/base.h"

#include <stdatomic.h>

struct dlm_together {
    _Atomic int64_t not_before; /* mono ms: it was no use lately */
};

/*
 * Durable: all that was written, and every name that was made, on the file system of fd (a file that was opened before, and written to)
 * before this call. False: nothing is known, sync one by one; the next five seconds say so at once. May block; any thread.
 */
bool dlm_together_sync(struct dlm_together *t, int fd);
/* Is it worth gathering for? Any thread. */
bool dlm_together_usable(struct dlm_together *t);

/* Between the lines, for tests: may the kernel's release and this /proc/meminfo be trusted with it? */
bool dlm_together_release(const char *release);
bool dlm_together_quiet(const char *meminfo);

#endif
