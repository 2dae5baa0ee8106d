/* SPDX-License-Identifier: MIT */
/*
 * exec.c - a command for one event: the event as JSON on its stdin, the rest of what it must know in its environment.
 */
#include "cli/cli.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The event's JSON as a file without a name, for the command's stdin: a pipe could fill up or break. */
static int stdin_for(const char *json)
{
    char path[] = "/tmp/dlmgr-event-XXXXXX";
    size_t n = strlen(json);
    int fd = mkostemp(path, O_CLOEXEC);

    if (fd < 0)
        return -1;
    unlink(path);
    if (write(fd, json, n) != (ssize_t)n || write(fd, "\n", 1) != 1 || lseek(fd, 0, SEEK_SET) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void command_child(const char *command, const dlmgr_event *event, int input)
{
    char id[24], seq[24];
    const struct {
        const char *name, *value;
    } told[] = {{"DLMGR_ID", id},
                {"DLMGR_PATH", event->path ? event->path : ""},
                {"DLMGR_TYPE", event->type},
                {"DLMGR_SESSION", event->session},
                {"DLMGR_SEQ", seq},
                {"DLMGR_KEY", event->key ? event->key : ""}};

    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    snprintf(id, sizeof(id), "%lld", (long long)event->task);
    snprintf(seq, sizeof(seq), "%lld", (long long)event->seq);
    if (dup2(input, STDIN_FILENO) < 0)
        _exit(127);
    /* Ours are close-on-exec, but what libcurl opens for itself, and what our starter left open, need not be. */
    daemon_close_from(STDERR_FILENO + 1);
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        if (setenv(told[i].name, told[i].value, 1) < 0)
            _exit(127);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

int cli_exec_event(struct cli *cli, const char *command, const dlmgr_event *event)
{
    char *json = dlmgr_event_json(event);
    int input = json ? stdin_for(json) : -1, status;
    pid_t pid;

    free(json);
    fflush(NULL);
    pid = input < 0 ? -1 : fork();
    if (pid == 0)
        command_child(command, event, input);
    if (pid < 0)
        cli_fail(cli, EXIT_UNKNOWN, "--exec: cannot start the command: %s", strerror(errno));
    if (input >= 0)
        close(input);
    if (pid < 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
