/* SPDX-License-Identifier: MIT */
/*
 * start.c - from a command to a process of its own: see daemon.h.
 *
 *     starter --fork--> child (setsid) --fork--> daemon: descriptors, directory, signals, exec
 *        |                                         |
 *        +------------- ready pipe <---------------+   "0 PID" or "CODE TEXT"; end of file when it died
 *
 * The daemon keeps nothing of its starter: not stdout (or id=$(dlmgr add URL) would hang until the daemon ends), not the
 * terminal, not the directory (which could then not be unmounted), not the signal mask. The starter returns at the first line of the
 * pipe. It executes /proc/self/exe: the same program, also when PATH changed meanwhile. When the file of that was replaced, by an upgrade
 * while a get ran for hours, it is the file that stands there now: the old one would serve on, and refuse a journal that a newer one had
 * opened. So each version must understand `daemon run --ready-fd=N` of all before it.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_MS = 60000 };

int daemon_fail(dlmgr_error *error, int code, int err, const char *what)
{
    *error = (dlmgr_error){.code = code, .class_ = DLMGR_CLASS_LOCAL, .sys_errno = err};
    snprintf(error->text, sizeof(error->text), "%.400s%s%s", what, err ? ": " : "",
             err ? strerror(err) : "");
    return code;
}

void daemon_close_from(int first)
{
    int fd, last;

    if (close_range((unsigned)first, ~0u, 0) == 0)
        return;
    last = (int)sysconf(_SC_OPEN_MAX);
    for (fd = first; fd < (last > 0 ? last : 1024); fd++)
        close(fd);
}

void daemon_signals_default(void)
{
    sigset_t none;
    int i;

    for (i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char self[] = "/proc/self/exe";

/* What stands now where this program was installed; ourselves when that is us, or nothing. */
static const char *program(char *path, size_t room)
{
    static const char deleted[] = " (deleted)";
    ssize_t n = readlink(self, path, room - 1), kept = n - (ssize_t)strlen(deleted);

    if (kept <= 0)
        return self;
    path[n] = '\0';
    if (strcmp(path + kept, deleted) != 0)
        return self;
    path[kept] = '\0';
    return access(path, X_OK) == 0 ? path : self;
}

/* In the child's child: become the daemon. Only what is safe after fork, and no way back. */
static void become(const char *const *words, int ready_fd)
{
    char *argv[64];
    char text[96], path[4096];
    int null_fd, i;

    null_fd = open("/dev/null", O_RDWR);
    if (null_fd < 0 || dup2(ready_fd, DAEMON_READY_FD) < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(null_fd, STDOUT_FILENO) < 0 || dup2(null_fd, STDERR_FILENO) < 0 || chdir("/") < 0)
        goto fail;
    daemon_close_from(DAEMON_READY_FD + 1);
    daemon_signals_default();
    umask(077);
    for (i = 0; i < 63 && words[i]; i++)
        argv[i] = (char *)(uintptr_t)words[i];
    argv[i] = NULL;
    ready_fd = DAEMON_READY_FD;
    execv(program(path, sizeof(path)), argv);
    execv(self, argv); /* it is no program, or went at this moment */
fail:
    i = snprintf(text, sizeof(text), "%d cannot execute %s: %s\n", -DLMGR_EIO, self,
                 strerror(errno));
    if (write(ready_fd, text, (size_t)i) < 0)
        _exit(2); /* the starter sees the end of the pipe instead */
    _exit(1);
}

static void child(const char *const *words, int ready_fd)
{
    pid_t pid;

    setsid();
    pid = fork();
    if (pid == 0)
        become(words, ready_fd);
    _exit(pid < 0);
}

/* The first line of the pipe, or "" when there is none in time. */
static void ready_read(int fd, char *line, size_t room)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    size_t used = 0;
    ssize_t n;

    while (used + 1 < room && !memchr(line, '\n', used)) {
        int r = poll(&ready, 1, READY_MS);

        if (r < 0 && errno == EINTR)
            continue;
        n = r > 0 ? read(fd, line + used, room - 1 - used) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    line[used] = '\0';
    line[strcspn(line, "\n")] = '\0';
}

static int ready_parse(const char *line, int64_t *ret_pid, dlmgr_error *error)
{
    char *rest;
    long code = strtol(line, &rest, 10);

    if (!*line)
        return daemon_fail(error, DLMGR_ELINK, 0,
                           "the new process ended, or did not say within 60 s that it serves; "
                           "dlmgr.log in the home may tell why");
    rest += *rest == ' ';
    if (code != 0)
        return daemon_fail(error, -(int)code, 0, rest);
    *ret_pid = strtoll(rest, NULL, 10);
    return 0;
}

int daemon_start(const char *const *words, int64_t *ret_pid, dlmgr_error *error)
{
    char line[sizeof(error->text) + 16] = "";
    int fds[2], status;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return daemon_fail(error, DLMGR_EIO, errno, "cannot make a pipe");
    /* Above 3, so that the daemon's own end can be put there. */
    if (fds[1] <= DAEMON_READY_FD) {
        int high = fcntl(fds[1], F_DUPFD_CLOEXEC, 10);

        close(fds[1]);
        fds[1] = high;
    }
    fflush(NULL);
    pid = fds[1] < 0 ? -1 : fork();
    if (pid == 0)
        child(words, fds[1]);
    if (fds[1] >= 0)
        close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return daemon_fail(error, DLMGR_ENOMEM, errno, "cannot start a process");
    }
    ready_read(fds[0], line, sizeof(line));
    close(fds[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return ready_parse(line, ret_pid, error);
}
