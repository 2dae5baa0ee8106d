/* SPDX-License-Identifier: MIT */
/*
 * base.c - errors, memory, text, clock, files: see base.h.
 *
 * Two hooks serve the tests and cost a compare otherwise: dlm_fault_alloc counts down to the allocation
 * that fails, and dlm_clock_set() freezes the clock.
 */
#include "dlmgr/base.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

int dlm_fail(dlmgr_error *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    *e = (dlmgr_error){.code = code};
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    return code;
}

static int code_of_errno(int err, int otherwise)
{
    switch (err) {
    case ENOSPC:
    case EDQUOT:
        return DLMGR_ENOSPC;
    case ENOMEM:
        return DLMGR_ENOMEM;
    default:
        return otherwise;
    }
}

int dlm_fail_errno(dlmgr_error *e, int code, const char *path, const char *fmt, ...)
{
    int err = errno;
    size_t n;
    va_list ap;

    code = code_of_errno(err, code);
    if (!e)
        return code;
    *e = (dlmgr_error){.code = code, .class_ = DLMGR_CLASS_LOCAL, .sys_errno = err};
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    n = strlen(e->text);
    snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerror(err));
    if (path)
        snprintf(e->path, sizeof(e->path), "%s", path);
    return code;
}

/* ---- Memory ------------------------------------------------------------------------------------ */

_Thread_local int dlm_fault_alloc;

static bool alloc_fails(void)
{
    return dlm_fault_alloc > 0 && --dlm_fault_alloc == 0;
}

void *dlm_alloc(size_t n)
{
    return alloc_fails() ? NULL : calloc(1, n ? n : 1);
}

void *dlm_realloc(void *p, size_t n)
{
    return alloc_fails() ? NULL : realloc(p, n ? n : 1);
}

char *dlm_strndup(const char *s, size_t n)
{
    return !s || alloc_fails() ? NULL : strndup(s, n);
}

char *dlm_strdup(const char *s)
{
    return s ? dlm_strndup(s, strlen(s)) : NULL;
}

/* ---- Text -------------------------------------------------------------------------------------- */

static bool buf_reserve(struct dlm_buf *b, size_t more)
{
    size_t cap = b->cap ? b->cap : 64;
    char *data;

    if (b->failed || more > SIZE_MAX / 2 - b->len)
        return false;
    while (cap < b->len + more + 1)
        cap *= 2;
    if (cap == b->cap)
        return true;
    data = dlm_realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void dlm_buf_add(struct dlm_buf *b, const void *data, size_t len)
{
    if (!buf_reserve(b, len))
        return;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void dlm_buf_puts(struct dlm_buf *b, const char *s)
{
    dlm_buf_add(b, s, strlen(s));
}

void dlm_buf_printf(struct dlm_buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !buf_reserve(b, (size_t)n))
        return;
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void dlm_buf_free(struct dlm_buf *b)
{
    free(b->data);
    *b = (struct dlm_buf){0};
}

char *dlm_buf_take(struct dlm_buf *b)
{
    char *data;

    dlm_buf_add(b, "", 0);
    data = b->failed ? NULL : TAKE_PTR(b->data);
    dlm_buf_free(b);
    return data;
}

/* ---- Clock ------------------------------------------------------------------------------------- */

static _Atomic int64_t frozen_wall = -1, frozen_mono = -1;

static int64_t clock_ms(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t dlm_clock_wall(void)
{
    int64_t t = atomic_load_explicit(&frozen_wall, memory_order_relaxed);

    return t >= 0 ? t : clock_ms(CLOCK_REALTIME);
}

int64_t dlm_clock_mono(void)
{
    int64_t t = atomic_load_explicit(&frozen_mono, memory_order_relaxed);

    return t >= 0 ? t : clock_ms(CLOCK_BOOTTIME);
}

int64_t dlm_clock_us(void)
{
    int64_t t = atomic_load_explicit(&frozen_mono, memory_order_relaxed);
    struct timespec ts;

    if (t >= 0)
        return t * 1000;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void dlm_clock_set(int64_t wall, int64_t mono)
{
    atomic_store(&frozen_wall, wall);
    atomic_store(&frozen_mono, mono);
}

void dlm_clock_format(int64_t wall, char out[32])
{
    time_t seconds = (time_t)(wall / 1000);
    struct tm tm;

    if (wall < 0 || !gmtime_r(&seconds, &tm) || tm.tm_year > 8099) {
        snprintf(out, 32, "9999-12-31T23:59:59.999Z");
        return;
    }
    strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + 19, 13, ".%03dZ", (int)(wall % 1000));
}

/* ---- Files ------------------------------------------------------------------------------------- */

int dlm_pwrite_all(int fd, const void *data, size_t len, int64_t offset)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        p += n;
        len -= (size_t)n;
        offset += n;
    }
    return 0;
}

ssize_t dlm_pread_all(int fd, void *data, size_t len, int64_t offset)
{
    char *p = data;
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, p + done, len - done, offset + (int64_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int dlm_fsync_dir(int dirfd)
{
    while (fsync(dirfd) < 0) {
        if (errno == EINTR)
            continue;
        /* Some FUSE and network file systems cannot sync a directory; rename is all they offer. */
        return errno == EINVAL ? 0 : -errno;
    }
    return 0;
}

int dlm_fd_above_stdio(int fd)
{
    int high;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    dlm_cleanup_fd(&fd);
    return high;
}

void dlm_hush_begin(struct dlm_hush *h)
{
    sigset_t xfsz, pending;

    sigemptyset(&xfsz);
    sigaddset(&xfsz, SIGXFSZ);
    sigpending(&pending);
    h->pending = sigismember(&pending, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &xfsz, &h->before);
}

void dlm_hush_end(struct dlm_hush *h)
{
    const struct timespec none = {0};
    sigset_t xfsz;

    sigemptyset(&xfsz);
    sigaddset(&xfsz, SIGXFSZ);
    if (!h->pending)
        while (sigtimedwait(&xfsz, NULL, &none) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &h->before, NULL);
}

const char *dlm_kind_name(unsigned mode)
{
    static const struct {
        unsigned type;
        const char *name;
    } kinds[] = {{S_IFLNK, "a symlink"}, {S_IFDIR, "a directory"}, {S_IFIFO, "a FIFO"},
                 {S_IFSOCK, "a socket"}, {S_IFCHR, "a device"},    {S_IFBLK, "a device"}};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if ((mode & S_IFMT) == kinds[i].type)
            return kinds[i].name;
    return NULL;
}

void dlm_hex(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
}

/* ---- Log --------------------------------------------------------------------------------------- */

void dlm_log(const struct dlm_log *log, int level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    if (!log || !log->fn)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log->fn(level, text, log->context);
}
