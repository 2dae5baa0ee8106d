/* SPDX-License-Identifier: MIT */
/*
 * manager.c - what a service manager hears: see manager.h.
 *
 * dlmgr_owner() of an engine is answered on its loop, without the disk: it returns when the loop has answered, be it with an error, and
 * does not return while the loop hangs. A disk that is full or slow is no reason to be killed.
 */
#include "daemon/manager.h"

#include "daemon/daemon.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef DLMGR_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

enum { STATUS_MS = 3000 };

/* ---- libsystemd, or not ----------------------------------------------------------------------------- */

#ifdef DLMGR_SYSTEMD

static int handed_over(void)
{
    return sd_listen_fds(1);
}

static int64_t watchdog_ms(void)
{
    uint64_t usec = 0;

    return sd_watchdog_enabled(0, &usec) > 0 ? (int64_t)(usec / 1000) : 0;
}

/* A manager that cannot be told will act by itself; there is nobody else to tell. */
static void tell(const char *what, const char *status)
{
    sd_notifyf(0, "%s%s%s%s", what, *what && *status ? "\n" : "", *status ? "STATUS=" : "", status);
}

#else

static int handed_over(void)
{
    return 0;
}

static int64_t watchdog_ms(void)
{
    return 0;
}

static void tell(const char *what, const char *status)
{
    (void)what;
    (void)status;
}

#endif

/* ---- What is told ------------------------------------------------------------------------------------- */

int daemon_manager_find(struct daemon_manager *m, dlmgr_error *error)
{
    int n = handed_over();

    *m = (struct daemon_manager){.alive_ms = watchdog_ms() / 2};
    if (n < 0)
        return daemon_fail(error, DLMGR_EINVAL, -n,
                           "cannot take over the service manager's sockets");
    if (n > 1)
        return daemon_fail(error, DLMGR_EINVAL, 0,
                           "the service manager handed over several sockets: the home's control.sock "
                           "is all that ListenStream= may name");
    m->listen_fd = n ? DAEMON_LISTEN_FD : 0;
    m->present = n || getenv("NOTIFY_SOCKET");
    return 0;
}

int64_t daemon_manager_sleep(const struct daemon_manager *m, int64_t ms)
{
    return m->alive_ms > 0 && m->alive_ms < ms ? m->alive_ms : ms;
}

/* Nobody: also when an environment says so that was meant for whoever started us. */
static void tell_if(const struct daemon_manager *m, const char *what, const char *status)
{
    if (m->present)
        tell(what, status);
}

static void keep(struct daemon_manager *m, const char *status)
{
    snprintf(m->status, sizeof(m->status), "%s", status);
    m->status[strcspn(m->status, "\n")] = '\0';
}

void daemon_manager_ready(struct daemon_manager *m, const char *status)
{
    keep(m, status);
    tell_if(m, m->told_ready ? "" : "READY=1", m->status);
    m->told_ready = true;
}

void daemon_manager_stopping(struct daemon_manager *m, const char *status)
{
    keep(m, status);
    tell_if(m, "STOPPING=1", m->status);
}

static void status_print(const dlmgr_counts *counts, char *line, size_t room)
{
    const int64_t *by = counts->by_state;

    snprintf(line, room, "%lld at work, %lld queued, %lld waiting; %lld done, %lld failed",
             (long long)(by[DLMGR_RUNNING] + by[DLMGR_VERIFYING] + by[DLMGR_COMMITTING]),
             (long long)by[DLMGR_QUEUED], (long long)by[DLMGR_WAITING], (long long)by[DLMGR_DONE],
             (long long)by[DLMGR_FAILED]);
}

static void look_at_counts(struct daemon_manager *m, dlmgr *handle)
{
    dlmgr_counts counts = {.size = sizeof(counts)};
    char line[sizeof(m->status)];

    if (dlmgr_count(handle, &counts, NULL) != 0)
        return;
    status_print(&counts, line, sizeof(line));
    if (strcmp(line, m->status) == 0)
        return;
    keep(m, line);
    tell("", m->status);
}

void daemon_manager_look(struct daemon_manager *m, dlmgr *handle, int64_t now_ms)
{
    dlmgr_owner_info info = {.size = sizeof(info)};

    if (m->alive_ms > 0 && now_ms - m->alive_at >= m->alive_ms) {
        if (handle)
            dlmgr_owner(handle, &info, NULL);
        m->alive_at = now_ms;
        tell("WATCHDOG=1", "");
    }
    if (m->present && handle && now_ms - m->status_at >= STATUS_MS) {
        look_at_counts(m, handle);
        m->status_at = now_ms;
    }
}

/* ---- Its socket ------------------------------------------------------------------------------------------ */

void daemon_manager_refuse(const struct daemon_manager *m)
{
    struct pollfd queue = {.fd = m->listen_fd, .events = POLLIN};
    int fd;

    while (m->listen_fd > 0 && poll(&queue, 1, 0) == 1 &&
           (fd = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        close(fd);
}
