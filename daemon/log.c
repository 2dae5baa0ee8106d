/* SPDX-License-Identifier: MIT */
/*
 * log.c - two files of a MiB: see log.h.
 *
 * A line is one write() of "TIME LEVEL TEXT". The file is renamed to .1 before the line that would not fit. When the disk is full
 * or the file cannot be made, lines are dropped: a log must never stop a download, and what matters stands in the journal. Control
 * characters in a line (a server's message can hold anything) become `?`, so that a line stays a line.
 */
#include "daemon/log.h"

#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    int fd; /* -1: not open yet */
    int level;
    off_t used;
    char path[4096];
    char early[4096];
    size_t early_used;
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1, .level = DLMGR_LOG_INFO};

void daemon_log_level(int level)
{
    log_state.level = level;
}

static int log_file(void)
{
    return open(log_state.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
                0600);
}

static void rotate(size_t n)
{
    char old[sizeof(log_state.path) + 2];
    int fd;

    if (!*log_state.path || log_state.used == 0 || log_state.used + (off_t)n <= DAEMON_LOG_ROOM)
        return;
    snprintf(old, sizeof(old), "%s.1", log_state.path);
    if (rename(log_state.path, old) < 0)
        return;
    fd = log_file();
    if (fd < 0)
        return;
    close(log_state.fd);
    log_state.fd = fd;
    log_state.used = 0;
}

static void put(const char *line, size_t n)
{
    ssize_t wrote;

    if (log_state.fd < 0) {
        if (log_state.early_used + n <= sizeof(log_state.early)) {
            memcpy(log_state.early + log_state.early_used, line, n);
            log_state.early_used += n;
        }
        return;
    }
    rotate(n);
    wrote = write(log_state.fd, line, n);
    if (wrote > 0)
        log_state.used += wrote;
}

void daemon_log(int level, const char *text, void *context)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char line[2048];
    struct timespec now;
    struct tm tm;
    size_t used, n;

    (void)context;
    if (level < 0 || level > 3 || level > log_state.level)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
    n = (size_t)snprintf(line + used, sizeof(line) - used, ".%03ldZ %s %s", now.tv_nsec / 1000000,
                         names[level], text);
    n = used + n < sizeof(line) - 1 ? used + n : sizeof(line) - 2;
    for (; used < n; used++)
        if ((unsigned char)line[used] < ' ' || line[used] == 0x7f)
            line[used] = '?';
    line[n++] = '\n';
    pthread_mutex_lock(&log_state.lock);
    put(line, n);
    pthread_mutex_unlock(&log_state.lock);
}

void daemon_logf(int level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    daemon_log(level, text, NULL);
}

int daemon_log_open(const char *home, dlmgr_error *error)
{
    struct stat st;
    int fd;

    if (home) {
        if (snprintf(log_state.path, sizeof(log_state.path), "%s/dlmgr.log", home) >=
            (int)sizeof(log_state.path))
            return daemon_fail(error, DLMGR_EHOME, ENAMETOOLONG, home);
        fd = log_file();
    } else {
        fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    }
    if (fd < 0)
        return daemon_fail(error, DLMGR_EHOME, errno, home ? log_state.path : "stderr");
    pthread_mutex_lock(&log_state.lock);
    if (log_state.fd >= 0)
        close(log_state.fd);
    log_state.fd = fd;
    log_state.used = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
    put(log_state.early, log_state.early_used);
    log_state.early_used = 0;
    pthread_mutex_unlock(&log_state.lock);
    return 0;
}
