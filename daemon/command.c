/* SPDX-License-Identifier: MIT */
/*
 * command.c - a process of somebody else's making: see command.h.
 *
 * The process group is the command's leash: what it started in the background dies with it when it takes too long, and is left alone when it
 * ends in time, since that may be the app that it was to start. Signals go to the group before its leader is reaped, while nobody else
 * can have its number.
 */
#include "daemon/command.h"

#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ_MAX = 64 * 1024, MERCY_MS = 2000 };

/* ---- Starting ------------------------------------------------------------------------------------ */

/* In the child of a process that has threads: only what is safe after fork. */
static void child(const char *text, char *const *env, int null_fd, int out)
{
    static char sh[] = "sh", c[] = "-c";
    char *argv[] = {sh, c, (char *)(uintptr_t)text, NULL};

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* when the daemon is killed, the next one would run it too */
    if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(out, STDERR_FILENO) < 0)
        _exit(127);
    daemon_close_from(STDERR_FILENO + 1);
    daemon_signals_default();
    execve("/bin/sh", argv, env);
    _exit(127);
}

/* Above 2, so that dup2() in the child cannot hit them. */
static int above_stdio(int fd)
{
    int high;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return high;
}

static pid_t start(const char *text, char *const *env, int null_fd, int out)
{
    pid_t pid = null_fd < 0 || out < 0 ? -1 : fork();

    if (pid == 0)
        child(text, env, null_fd, out);
    if (pid > 0)
        setpgid(pid, pid); /* whoever comes first */
    return pid;
}

int daemon_command_start(struct daemon_command *command, const char *text, char *const *env,
                         int64_t now)
{
    int fds[2], null_fd, err;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return errno;
    null_fd = above_stdio(open("/dev/null", O_RDONLY | O_CLOEXEC));
    fds[1] = above_stdio(fds[1]);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    pid = start(text, env, null_fd, fds[1]);
    err = errno;
    if (null_fd >= 0)
        close(null_fd);
    if (fds[1] >= 0)
        close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return err;
    }
    *command = (struct daemon_command){.pid = pid, .out = fds[0], .started = now};
    return 0;
}

/* ---- What it says ---------------------------------------------------------------------------------- */

static void keep(struct daemon_command *command, const char *bytes, size_t n)
{
    size_t drop;

    command->said += (int64_t)n;
    if (n > COMMAND_TAIL) {
        bytes += n - COMMAND_TAIL;
        n = COMMAND_TAIL;
    }
    drop = command->used + n > COMMAND_TAIL ? command->used + n - COMMAND_TAIL : 0;
    memmove(command->tail, command->tail + drop, command->used - drop);
    command->used -= drop;
    memcpy(command->tail + command->used, bytes, n);
    command->used += n;
}

/* A pipe full at most. */
static void listen_to(struct daemon_command *command)
{
    char bytes[8192];
    ssize_t n = 1;

    for (size_t left = READ_MAX; left > 0 && n > 0; left -= (size_t)n) {
        n = read(command->out, bytes, sizeof(bytes) < left ? sizeof(bytes) : left);
        if (n > 0)
            keep(command, bytes, (size_t)n);
        else
            n = 0;
    }
}

/* ---- Ending ---------------------------------------------------------------------------------------- */

static bool has_ended(const struct daemon_command *command)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)command->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
           info.si_pid == command->pid;
}

/* What is left of a group that had to be ended goes with it. */
static int reap(struct daemon_command *command)
{
    int status = 0;

    if (command->killed)
        kill(-command->pid, SIGKILL);
    while (waitpid(command->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    close(command->out);
    command->out = -1;
    command->pid = 0;
    return status;
}

bool daemon_command_look(struct daemon_command *command, int64_t limit_ms, int64_t now,
                         int *ret_status)
{
    bool ended = has_ended(command); /* then all that it said is in the pipe */

    listen_to(command);
    if (ended) {
        *ret_status = reap(command);
        return true;
    }
    if (!command->killed && now - command->started >= limit_ms) {
        command->killed = now;
        kill(-command->pid, SIGTERM);
    } else if (command->killed && now - command->killed >= MERCY_MS) {
        kill(-command->pid, SIGKILL);
    }
    return false;
}

void daemon_command_end(struct daemon_command *command, bool by_force)
{
    int status;

    if (!command->pid)
        return;
    kill(-command->pid, by_force ? SIGKILL : SIGTERM);
    if (!by_force)
        return;
    if (waitpid(command->pid, &status, WNOHANG) < 0)
        status = 0; /* if it cannot die yet, whoever comes after us reaps it */
    close(command->out);
    command->pid = 0;
}
