/* SPDX-License-Identifier: MIT */
/*
 * base.h - what every room stands on: macros, owners, errors, buffers, clock, files, checksum.
 *
 * Nothing here knows of downloads. Allocation goes through dlm_alloc() and its kin, so that tests can
 * make the nth one fail; the clock goes through dlm_clock_*, so that tests can set it.
 *
 * Owners are visible: a local that owns something is declared with a cleanup attribute, and handed on
 * with TAKE_PTR or TAKE_FD.
 */
#ifndef DLM_BASE_H
#define DLM_BASE_H

#include "dlmgr.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define KIB(n) ((int64_t)(n) << 10)
#define MIB(n) ((int64_t)(n) << 20)
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define TAKE_PTR(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define CLEANUP_FREE CLEANUP(dlm_cleanup_free)
#define CLEANUP_FD CLEANUP(dlm_cleanup_fd)
#define CLEANUP_BUF CLEANUP(dlm_buf_free)
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

static inline void dlm_cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void dlm_cleanup_fd(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

/* ---- Errors -------------------------------------------------------------------------------- */

/* Fill *e (may be NULL) with code and text, no errno; returns code, so that `return dlm_fail(...)` reads well. */
int dlm_fail(dlmgr_error *e, int code, const char *fmt, ...) PRINTF(3, 4);

/* The same for a failed system call on path (may be NULL): appends ": strerror", maps ENOSPC/EDQUOT, ENOMEM, else code. */
int dlm_fail_errno(dlmgr_error *e, int code, const char *path, const char *fmt, ...) PRINTF(4, 5);

/* ---- Memory (fails when a test has asked for it) ------------------------------------------------ */

void *dlm_alloc(size_t n); /* zeroed; NULL when out of memory */
void *dlm_realloc(void *p, size_t n);
char *dlm_strdup(const char *s);            /* NULL for NULL */
char *dlm_strndup(const char *s, size_t n); /* NULL for NULL */

/* The nth allocation from now fails, once; 0 never. For tests. */
extern _Thread_local int dlm_fault_alloc;

/* ---- Growing text; `failed` sticks, so that a caller may check once at the end ----------------------- */

struct dlm_buf {
    char *data; /* always NUL-terminated once something was added */
    size_t len, cap;
    bool failed;
};

void dlm_buf_add(struct dlm_buf *b, const void *data, size_t len);
void dlm_buf_puts(struct dlm_buf *b, const char *s);
void dlm_buf_printf(struct dlm_buf *b, const char *fmt, ...) PRINTF(2, 3);
void dlm_buf_free(struct dlm_buf *b);
/* The text, yours; NULL when failed; never NULL for an empty one otherwise. */
char *dlm_buf_take(struct dlm_buf *b);

/* ---- Clock ------------------------------------------------------------------------------------- */

int64_t dlm_clock_wall(void); /* ms since 1970, UTC */
int64_t dlm_clock_mono(void); /* ms, never steps */
int64_t dlm_clock_us(void);   /* the same in us */
/* For tests: freezes both; (-1, -1) thaws. */
void dlm_clock_set(int64_t wall, int64_t mono);
/* RFC 3339 UTC with milliseconds; out has room for 32. */
void dlm_clock_format(int64_t wall, char out[32]);

/* ---- Checksum ---------------------------------------------------------------------------------- */

/* CRC-32C (RFC 3720 B.4), continued: start with 0, pass the last result on. */
uint32_t dlm_crc32c(uint32_t crc, const void *data, size_t len);

/* ---- Files (all with O_CLOEXEC; retry EINTR) ------------------------------------------------------ */

/* Write all of it at offset; 0 or -errno. */
int dlm_pwrite_all(int fd, const void *data, size_t len, int64_t offset);
/* Read up to len, short only at the end of the file; bytes or -errno. */
ssize_t dlm_pread_all(int fd, void *data, size_t len, int64_t offset);
/* 0 or -errno; a file system without directory sync (EINVAL) counts as synced. */
int dlm_fsync_dir(int dirfd);

/*
 * This descriptor, or a copy above 2 in its place (-1, errno set): in a process whose stdin, stdout or stderr is closed the next file gets
 * that number, and what anybody prints would go into it.
 */
int dlm_fd_above_stdio(int fd);
/* What stands there by its st_mode: "a symlink", "a FIFO"...; NULL: a regular file. */
const char *dlm_kind_name(unsigned mode);

/* Hex of data into out (2 * len + 1 bytes), lower case. */
void dlm_hex(const void *data, size_t len, char *out);

/* ---- Signals ------------------------------------------------------------------------------------ */

/*
 * Writing beyond the process's limit of a file's size (RLIMIT_FSIZE) is to be EFBIG and not SIGXFSZ, which ends a process. Our threads have all
 * signals blocked; what writes on the caller's thread stands between these two.
 */
struct dlm_hush {
    sigset_t before;
    bool pending;
};
void dlm_hush_begin(struct dlm_hush *h);
void dlm_hush_end(struct dlm_hush *h);

/* ---- Log --------------------------------------------------------------------------------------- */

struct dlm_log {
    dlmgr_log_fn fn;
    void *context;
};
void dlm_log(const struct dlm_log *log, int level, const char *fmt, ...) PRINTF(3, 4);

#endif
