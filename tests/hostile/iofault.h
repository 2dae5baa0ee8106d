/* SPDX-License-Identifier: MIT */
/*
 * iofault.h - chosen calls on chosen files fail: what a broken, full or poor file system answers.
 *
 *     io_fault(&(struct io_fault){"pwrite", ".part", EIO, .after = 5});
 *
 * Include it in the one file of a program that has main(): it defines the C library's functions under their own names, so the library
 * and SQLite, which are linked with it or loaded by it, call these. A fault is found by the name of the call and by a part of
 * the file's path; calls on a descriptor ask /proc for it. Everything else goes to the kernel as it is. Faults are set while nothing runs that they are about.
 */
#ifndef TEST_IOFAULT_H
#define TEST_IOFAULT_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct io_fault {
    const char *call, *path; /* path: any part of it */
    int err;
    int after, times; /* this many succeed first; then so many fail, 0: all */
    atomic_int seen;
};

enum { IO_FAULTS = 4 };

static struct {
    struct io_fault rows[IO_FAULTS];
    atomic_int n, fired;
    atomic_uint inode, device; /* added to what statx() says of any file: numbers that do not last */
    atomic_llong set_s,
        slept_s; /* the wall clock was set forward by this; the machine slept so long */
} io;

static void io_clear(void)
{
    atomic_store(&io.n, 0);
    atomic_store(&io.fired, 0);
    atomic_store(&io.inode, 0);
    atomic_store(&io.device, 0);
    atomic_store(&io.set_s, 0);
    atomic_store(&io.slept_s, 0);
}

static void io_fault(const struct io_fault *row)
{
    int n = atomic_load(&io.n);

    io.rows[n] = *row;
    atomic_store(&io.n, n + 1);
}

static bool io_strikes(struct io_fault *row)
{
    int seen = atomic_fetch_add(&row->seen, 1);

    return seen >= row->after && (!row->times || seen < row->after + row->times);
}

/* True: fail, errno is set. */
static bool io_fails(const char *call, const char *path)
{
    for (int i = 0, n = atomic_load(&io.n); i < n; i++)
        if (!strcmp(io.rows[i].call, call) && strstr(path, io.rows[i].path) &&
            io_strikes(&io.rows[i])) {
            atomic_fetch_add(&io.fired, 1);
            errno = io.rows[i].err;
            return true;
        }
    return false;
}

static bool io_fails_fd(const char *call, int fd)
{
    char link[40], path[4096];
    ssize_t n;

    if (!atomic_load(&io.n))
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return io_fails(call, path);
}

static bool io_fails_at(const char *call, int fd, const char *path)
{
    return *path ? io_fails(call, path) : io_fails_fd(call, fd);
}

/* SQLite and libuv are libraries of their own. */
#pragma GCC visibility push(default)

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return io_fails_fd("pwrite", fd) ? -1 : syscall(SYS_pwrite64, fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    return pwrite(fd, data, len, at);
}

ssize_t write(int fd, const void *data, size_t len)
{
    return io_fails_fd("write", fd) ? -1 : syscall(SYS_write, fd, data, len);
}

ssize_t pread(int fd, void *data, size_t len, off_t at)
{
    return io_fails_fd("pread", fd) ? -1 : syscall(SYS_pread64, fd, data, len, at);
}

int fdatasync(int fd)
{
    return io_fails_fd("fdatasync", fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return io_fails_fd("fsync", fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
    return io_fails_fd("syncfs", fd) ? -1 : (int)syscall(SYS_syncfs, fd);
}

int fchmod(int fd, mode_t mode)
{
    return io_fails_fd("fchmod", fd) ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list ap;

    if (flags & O_CREAT) {
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return io_fails_at("openat", dir, path) ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

int renameat(int from, const char *old, int to, const char *new)
{
    return io_fails_at("renameat", from, old) ? -1
                                              : (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    return io_fails_at("renameat2", from, old)
               ? -1
               : (int)syscall(SYS_renameat2, from, old, to, new, flags);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    return io_fails_at("linkat", from, old) ? -1
                                            : (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int unlinkat(int dir, const char *path, int flags)
{
    return io_fails_at("unlinkat", dir, path) ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

/* Sleep is what CLOCK_MONOTONIC does not see. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
    int r = (int)syscall(SYS_clock_gettime, id, ret);

    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        ret->tv_sec += atomic_load(&io.set_s) + atomic_load(&io.slept_s);
    if (id == CLOCK_BOOTTIME)
        ret->tv_sec += atomic_load(&io.slept_s);
    return r;
}

int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict ret)
{
    int r = io_fails_at("statx", dir, path) ? -1
                                            : (int)syscall(SYS_statx, dir, path, flags, mask, ret);

    if (r == 0) {
        ret->stx_ino += atomic_load(&io.inode);
        ret->stx_dev_minor += atomic_load(&io.device);
    }
    return r;
}

#pragma GCC visibility pop

#endif
