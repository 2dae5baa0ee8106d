/* SPDX-License-Identifier: MIT */
/*
 * events.c - durable events: printed, or given to a command.
 *
 * An event is acknowledged only after it was written out (--ack) or after its command exited 0 (--exec), so it comes again
 * when this process, the command or the reader ends in between: at least once, never lost. With --exec a command that fails stops the line,
 * since an acknowledgement covers all before it: without --follow that ends with 1, with --follow it is tried again after a
 * pause that grows from one second to a minute.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 250, PAGE = 500 };

struct events {
    struct cli *cli;
    dlmgr *handle;
    const char *session;
    int64_t after, written; /* last one seen, last one to acknowledge */
    int64_t pause_ms;
};

/* ---- Commands ---------------------------------------------------------------------------------- */

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
    char id[24];

    signal(SIGPIPE, SIG_DFL);
    snprintf(id, sizeof(id), "%lld", (long long)event->task);
    if (dup2(input, STDIN_FILENO) < 0 || setenv("DLMGR_ID", id, 1) < 0 ||
        setenv("DLMGR_PATH", event->path ? event->path : "", 1) < 0 ||
        setenv("DLMGR_TYPE", event->type, 1) < 0)
        _exit(127);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/* The command's exit status, 128 + signal, or -1 with a message. */
static int command_run(struct events *events, const dlmgr_event *event)
{
    int input = stdin_for(event->json), status;
    pid_t pid;

    fflush(NULL);
    pid = input < 0 ? -1 : fork();
    if (pid == 0)
        command_child(events->cli->args.exec, event, input);
    if (pid < 0)
        cli_fail(events->cli, EXIT_UNKNOWN, "--exec: cannot start the command: %s", strerror(errno));
    if (input >= 0)
        close(input);
    if (pid < 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- The line ---------------------------------------------------------------------------------- */

static int acknowledge(struct events *events)
{
    dlmgr_error error;

    if (events->written < 0)
        return 0;
    if (dlmgr_ack_to(events->handle, events->session, events->written, &error) != 0)
        return cli_fail_error(events->cli, &error, NULL);
    events->written = -1;
    return 0;
}

/* -1: go on; otherwise the exit code that ends the command. */
static int handle_exec(struct events *events, const dlmgr_event *event, bool *ret_again)
{
    int status = command_run(events, event), code;

    *ret_again = status != 0;
    if (status == 0) {
        events->after = events->written = event->seq;
        events->pause_ms = 0;
        code = acknowledge(events);
        return code ? code : -1;
    }
    cli_fail(events->cli, EXIT_UNKNOWN,
             "--exec: the command ended with %d for event %lld (%s of task %lld); it stays", status,
             (long long)event->seq, event->type, (long long)event->task);
    if (!events->cli->args.follow)
        return EXIT_UNKNOWN;
    events->pause_ms = events->pause_ms ? events->pause_ms * 2 : 1000;
    events->pause_ms = events->pause_ms > 60000 ? 60000 : events->pause_ms;
    cli_sleep(events->pause_ms);
    return -1;
}

static int handle_page(struct events *events, const dlmgr_event_list *list)
{
    const dlmgr_event *event;
    bool again = false;
    int code = -1;
    size_t i;

    for (i = 0; code < 0 && !again && (event = dlmgr_event_list_at(list, i)); i++) {
        if (cli_interrupted())
            return EXIT_INTERRUPTED;
        if (events->cli->args.exec) {
            code = handle_exec(events, event, &again);
            continue;
        }
        cli_print_raw(events->cli, event->json);
        events->after = event->seq;
        events->written = events->cli->args.ack ? event->seq : -1;
    }
    if (code < 0 && !events->cli->args.exec) {
        if (!cli_flush(events->cli))
            return EXIT_IO;
        code = acknowledge(events);
        code = code ? code : -1;
    }
    return code;
}

static int reopen(struct events *events)
{
    dlmgr_error error;

    cli_close(&events->handle);
    if (cli_open(events->cli, DLMGR_EITHER, &events->handle, &error) != 0)
        return cli_fail_error(events->cli, &error, NULL);
    return 0;
}

static int walk(struct events *events)
{
    int code = -1;

    while (code < 0) {
        dlmgr_event_list *list;
        dlmgr_error error;
        size_t n;
        int r = dlmgr_events(events->handle, events->session, events->after, PAGE, &list, &error);

        if (cli_interrupted())
            return EXIT_INTERRUPTED;
        if (events->cli->args.follow && (r == DLMGR_ELINK || r == DLMGR_ENOOWNER)) {
            code = reopen(events);
            code = code ? code : -1;
            continue;
        }
        if (r)
            return cli_fail_error(events->cli, &error, NULL);
        n = dlmgr_event_list_count(list);
        code = n ? handle_page(events, list) : -1;
        dlmgr_event_list_free(list);
        if (n == 0 && !events->cli->args.follow)
            return EXIT_DONE;
        if (n == 0)
            cli_sleep(LOOK_MS);
    }
    return code;
}

int cli_events(struct cli *cli)
{
    struct events events = {.cli = cli,
                            .session = cli->args.add.session ? cli->args.add.session : "default",
                            .after = cli->args.after,
                            .written = -1};
    int code;

    if (cli->args.operands.n)
        return cli_fail(cli, EXIT_USAGE, "events %s: takes no argument; see dlmgr events --help",
                        cli->args.operands.items[0]);
    cli_signals_catch();
    code = reopen(&events);
    if (code == 0 && cli->args.ack_to >= 0) {
        events.written = cli->args.ack_to;
        code = acknowledge(&events);
    } else if (code == 0) {
        code = walk(&events);
    }
    cli_close(&events.handle);
    /* A reader that went away has what it wanted; what it did not take was not acknowledged. */
    return cli_finish(cli, code == EXIT_IO && cli->stdout_error ? EXIT_DONE : code, !cli->args.ack);
}
