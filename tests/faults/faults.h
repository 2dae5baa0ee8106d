/* SPDX-License-Identifier: MIT */
/*
 * faults.h - what can fail under a program: one table of calls and of the errors that each can give.
 *
 * The table is read twice. preload.c makes a function of each row that counts, and fails when the plan says so; faults.c makes
 * cases of it. Both meet in a file that they map: the plan goes in before the program starts, the counts come out, also of a program
 * that was killed.
 *
 * A row: the symbol as libraries ask the C library for it, its marks, and the errors. SHORT: it may do less than it was asked to
 * (the third argument is how much). CODE: it returns the error instead of setting errno. AFTER: it is done all the same, and fails then.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <errno.h>

enum { FAULTS_SHORT = 1, FAULTS_CODE = 2, FAULTS_AFTER = 4, FAULTS_ERRORS = 6 };
enum { FAULTS_PLACES = 8192 };
enum { FAULTS_BURST = 10 }; /* EINTR for ever: nobody interrupts more often than that */

#define FAULTS_CALLS(X)                                                                            \
    X(open, 0, EACCES, EMFILE, ENOSPC, EIO, EINTR)                                                 \
    X(open64, 0, EACCES, EMFILE, ENOSPC, EIO, EINTR)                                               \
    X(openat, 0, EACCES, EMFILE, ENOSPC, EIO, EINTR)                                               \
    X(openat64, 0, EACCES, EMFILE, ENOSPC, EIO, EINTR)                                             \
    X(fopen, 0, EACCES, EMFILE, EIO)                                                               \
    X(fopen64, 0, EACCES, EMFILE, EIO)                                                             \
    X(opendir, 0, EACCES, EMFILE)                                                                  \
    X(fdopendir, 0, ENOMEM)                                                                        \
    X(readdir, 0, EIO)                                                                             \
    X(readdir64, 0, EIO)                                                                           \
    X(read, FAULTS_SHORT, EIO, EINTR)                                                              \
    X(pread, FAULTS_SHORT, EIO, EINTR)                                                             \
    X(pread64, FAULTS_SHORT, EIO, EINTR)                                                           \
    X(readv, 0, EIO, EINTR)                                                                        \
    X(write, FAULTS_SHORT, EIO, ENOSPC, EDQUOT, EINTR)                                             \
    X(pwrite, FAULTS_SHORT, EIO, ENOSPC, EDQUOT, EINTR)                                            \
    X(pwrite64, FAULTS_SHORT, EIO, ENOSPC, EDQUOT, EINTR)                                          \
    X(writev, 0, EIO, ENOSPC, EDQUOT, EINTR)                                                       \
    X(fsync, 0, EIO, ENOSPC, EDQUOT, EINTR)                                                        \
    X(fdatasync, 0, EIO, ENOSPC, EDQUOT, EINTR)                                                    \
    X(syncfs, 0, EIO, ENOSPC, EDQUOT)                                                              \
    X(sync_file_range, 0, EIO, ENOSPC)                                                             \
    X(msync, 0, EIO)                                                                               \
    X(posix_fallocate, FAULTS_CODE, ENOSPC, EDQUOT, EIO, EINTR)                                    \
    X(ftruncate, 0, EIO, ENOSPC, EDQUOT, EINTR)                                                    \
    X(ftruncate64, 0, EIO, ENOSPC, EDQUOT, EINTR)                                                  \
    X(rename, 0, EIO, ENOSPC, EDQUOT, EACCES)                                                      \
    X(renameat, 0, EIO, ENOSPC, EDQUOT, EACCES)                                                    \
    X(renameat2, 0, EIO, ENOSPC, EDQUOT, EACCES)                                                   \
    X(linkat, 0, EIO, ENOSPC, EDQUOT, EACCES)                                                      \
    X(unlink, 0, EIO, EACCES)                                                                      \
    X(unlinkat, 0, EIO, EACCES)                                                                    \
    X(mkdir, 0, EIO, ENOSPC, EDQUOT, EACCES)                                                       \
    X(mkdirat, 0, EIO, ENOSPC, EDQUOT, EACCES)                                                     \
    X(stat, 0, EIO, EACCES)                                                                        \
    X(stat64, 0, EIO, EACCES)                                                                      \
    X(lstat, 0, EIO, EACCES)                                                                       \
    X(lstat64, 0, EIO, EACCES)                                                                     \
    X(fstat, 0, EIO)                                                                               \
    X(fstat64, 0, EIO)                                                                             \
    X(fstatat, 0, EIO, EACCES)                                                                     \
    X(fstatat64, 0, EIO, EACCES)                                                                   \
    X(statx, 0, EIO, EACCES)                                                                       \
    X(fstatfs, 0, EIO, EINTR)                                                                      \
    X(fstatfs64, 0, EIO, EINTR)                                                                    \
    X(access, 0, EACCES, EIO)                                                                      \
    X(faccessat, 0, EACCES, EIO)                                                                   \
    X(readlink, 0, EACCES, EIO)                                                                    \
    X(fgetxattr, 0, EIO)                                                                           \
    X(fchmod, 0, EIO, ENOSPC, EDQUOT)                                                              \
    X(fchmodat, 0, EIO, ENOSPC, EACCES)                                                            \
    X(chmod, 0, EIO, EACCES)                                                                       \
    X(fchown, 0, EIO)                                                                              \
    X(futimens, 0, EIO, EACCES)                                                                    \
    X(lseek, 0, EIO)                                                                               \
    X(mmap, 0, ENOMEM, EACCES)                                                                     \
    X(mmap64, 0, ENOMEM, EACCES)                                                                   \
    X(close, FAULTS_AFTER, EIO, EINTR, ENOSPC, EDQUOT)                                             \
    X(socket, 0, EMFILE, EACCES, ENOMEM)                                                           \
    X(socketpair, 0, EMFILE, ENOMEM)                                                               \
    X(connect, 0, EACCES, EINTR, ECONNREFUSED, ENETUNREACH)                                        \
    X(bind, 0, EACCES, EIO, ENOSPC, EDQUOT, EADDRINUSE)                                            \
    X(listen, 0, EADDRINUSE)                                                                       \
    X(accept, 0, EMFILE, EINTR, ECONNABORTED)                                                      \
    X(accept4, 0, EMFILE, EINTR, ECONNABORTED)                                                     \
    X(send, FAULTS_SHORT, ECONNRESET, EPIPE, EINTR)                                                \
    X(sendto, FAULTS_SHORT, ECONNRESET, EPIPE, EINTR)                                              \
    X(sendmsg, 0, ECONNRESET, EPIPE, EINTR)                                                        \
    X(recv, FAULTS_SHORT, ECONNRESET, ETIMEDOUT, EINTR)                                            \
    X(recvfrom, FAULTS_SHORT, ECONNRESET, ETIMEDOUT, EINTR)                                        \
    X(recvmsg, 0, ECONNRESET, EINTR)                                                               \
    X(getsockname, 0, ENOBUFS)                                                                     \
    X(getpeername, 0, ENOTCONN)                                                                    \
    X(getsockopt, 0, ENOBUFS)                                                                      \
    X(setsockopt, 0, ENOBUFS)                                                                      \
    X(epoll_create1, 0, EMFILE, ENOMEM)                                                            \
    X(epoll_ctl, 0, ENOSPC, ENOMEM)                                                                \
    X(epoll_wait, 0, EINTR)                                                                        \
    X(epoll_pwait, 0, EINTR)                                                                       \
    X(poll, 0, EINTR, ENOMEM)                                                                      \
    X(ppoll, 0, EINTR, ENOMEM)                                                                     \
    X(eventfd, 0, EMFILE, ENOMEM)                                                                  \
    X(pipe2, 0, EMFILE)                                                                            \
    X(timerfd_create, 0, EMFILE, ENOMEM)                                                           \
    X(getrandom, FAULTS_SHORT, EINTR, ENOSYS)                                                      \
    X(pthread_create, FAULTS_CODE, EAGAIN)

/* Calls that are told apart by an argument: locks and copies of descriptors (fcntl), and what goes through syscall(). */
#define FAULTS_ODD(X)                                                                              \
    X(fcntl_lock, 0, EACCES, ENOLCK, EINTR, EIO)                                                   \
    X(fcntl_dup, 0, EMFILE)                                                                        \
    X(openat2, 0, EACCES, EMFILE, ENOSPC, EIO, EINTR)

/* What SQLite asks its VFS for; the errors are SQLite's (SQLITE_FULL 13, SQLITE_BUSY 5, SQLITE_CANTOPEN 14, SQLITE_IOERR_x). */
#define FAULTS_SQLITE(X)                                                                           \
    X(vfs_open, 0, 14, 10)                                                                         \
    X(vfs_delete, 0, 10 | 10 << 8)                                                                 \
    X(vfs_access, 0, 10 | 13 << 8)                                                                 \
    X(vfs_read, 0, 10 | 1 << 8, 10 | 2 << 8)                                                       \
    X(vfs_write, 0, 10 | 3 << 8, 13)                                                               \
    X(vfs_truncate, 0, 10 | 6 << 8, 13)                                                            \
    X(vfs_sync, 0, 10 | 4 << 8, 13)                                                                \
    X(vfs_size, 0, 10 | 7 << 8)                                                                    \
    X(vfs_lock, 0, 10 | 15 << 8, 5)                                                                \
    X(vfs_unlock, 0, 10 | 8 << 8)                                                                  \
    X(vfs_shmmap, 0, 10 | 21 << 8)                                                                 \
    X(vfs_shmlock, 0, 10 | 20 << 8, 5)

#define FAULTS_MEMORY(X) X(memory, 0, ENOMEM)

#define FAULTS_ALL(X) FAULTS_CALLS(X) FAULTS_ODD(X) FAULTS_SQLITE(X) FAULTS_MEMORY(X)

#define FAULTS_ENUM(name, ...) CALL_##name,
enum faults_call { FAULTS_ALL(FAULTS_ENUM) FAULTS_N };

struct faults {
    /* The plan; nth 0: only count. err 0: short. */
    int call, err, forever;
    long nth;
    /* What came of it. */
    long fired, count[FAULTS_N];
    char by[600]; /* who made the first call that failed, innermost first */
    /* While counting: the first allocation of each place, which is what was called from where. */
    long n_places, place[FAULTS_PLACES];
};

#endif
