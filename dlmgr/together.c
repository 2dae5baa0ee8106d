/* SPDX-License-Identifier: MIT */
/*
 * together.c - see together.h.
 *
 * What others wrote is bounded by what is dirty when syncfs begins: later pages are not waited for. /proc/meminfo says how much that is, on
 * all file systems, which is more than enough to know.
 *
 * After syncfs one fdatasync, of a file that is clean by then: ext4 without a journal writes inodes after it has flushed the disk's cache, and
 * this flushes it again. Elsewhere it costs one flush a round.
 */
#include "dlmgr/together.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DIRTY_MOST MIB(16)
#define AGAIN_MS 5000

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

bool dlm_together_release(const char *release)
{
    int major, minor;

    return sscanf(release, "%d.%d", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 8));
}

/* "NAME:   N kB" as bytes; -1: not there. */
static int64_t amount(const char *meminfo, const char *name)
{
    const char *at = strstr(meminfo, name);
    long long kib;

    return at && sscanf(at + strlen(name), " %lld kB", &kib) == 1 ? KIB(kib) : -1;
}

bool dlm_together_quiet(const char *meminfo)
{
    int64_t dirty = amount(meminfo, "\nDirty:"), writeback = amount(meminfo, "\nWriteback:");

    return dirty >= 0 && writeback >= 0 && dirty + writeback <= DIRTY_MOST;
}

static bool is_quiet(void)
{
    char text[4096];
    int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return dlm_together_quiet(text);
}

static bool is_trusted(int fd)
{
    struct utsname kernel;
    struct statfs fs;

    if (uname(&kernel) < 0 || !dlm_together_release(kernel.release) || fstatfs(fd, &fs) < 0)
        return false;
    return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
           fs.f_type == BTRFS_SUPER_MAGIC;
}

static bool sync_flushed(int fd)
{
    int r = syncfs(fd);

    if (r < 0)
        return false;
    do
        r = fdatasync(fd);
    while (r < 0 && errno == EINTR);
    return r == 0;
}

bool dlm_together_sync(struct dlm_together *t, int fd)
{
    if (dlm_together_usable(t) && is_trusted(fd) && is_quiet() && sync_flushed(fd))
        return true;
    atomic_store(&t->not_before, dlm_clock_mono() + AGAIN_MS);
    return false;
}

bool dlm_together_usable(struct dlm_together *t)
{
    return dlm_clock_mono() >= atomic_load(&t->not_before);
}
