/* SPDX-License-Identifier: MIT */
/*
 * events.c - durable events: printed, or given to a command.
 *
 * An event is acknowledged only after it was written out (--ack) or after its command exited 0 (--exec), so it comes again
 * when this process, the command or the reader ends in between: at least once, never lost. With --exec a command that fails stops the line,
 * since an acknowledgement covers all before it: without --follow that ends with 1, with --follow it is tried again after a
 * pause that grows from one second to a minute.
 *
 * Who acknowledges events of an app's session (a name with a dot) is its holder, if somebody owns the home: two at once would
 * each handle all events. So the app itself, or a second one of these, is told who has it, and one that was taken over ends with 75. Without
 * an owner there is nobody who could keep them apart; once an owner comes, the session is held.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 500, BETWEEN_MS = 50, OWNER_MS = 6000, PAUSE_MS = 1000, PAUSE_MAX_MS = 60000 };

enum { GO_ON = -1 };

struct events {
    struct cli *cli;
    dlmgr *handle;
    const char *session;
    dlmgr_session *held;    /* NULL: not ours to hold, or nobody owns the home */
    int lost;               /* exit code once another one has it */
    int64_t after, written; /* last one seen, last one to acknowledge */
    int64_t pause_ms;
};

/* ---- Holding the session ------------------------------------------------------------------------- */

/* The owner comes or goes. */
static bool is_absence(int r)
{
    return r == DLMGR_ELINK || r == DLMGR_ENOOWNER || r == DLMGR_ECLOSED || r == DLMGR_ETIMEDOUT;
}

/* A label that programs share, like `default`, has no holder. */
static bool is_reverse_dns(const char *name)
{
    const char *dot = strchr(name, '.');

    return dot && dot != name && name[strlen(name) - 1] != '.' && !strstr(name, "..");
}

static bool wants_hold(const struct events *events)
{
    const struct args *args = &events->cli->args;

    return (args->exec || args->ack) && args->ack_to < 0 && is_reverse_dns(events->session);
}

static int lost(struct events *events, const dlmgr_error *why)
{
    if (!events->lost)
        events->lost = cli_fail_error(events->cli, why, NULL);
    return events->lost;
}

static void on_lost(dlmgr_session *session, const dlmgr_error *why, void *context)
{
    (void)session;
    lost(context, why);
}

/* Sleep until there are news, ms at most. GO_ON or an exit code. */
static int news(struct events *events, int64_t ms)
{
    dlmgr_error error;

    if (cli_news(events->handle, ms, &error) < 0)
        return cli_fail_error(events->cli, &error, NULL);
    if (cli_interrupted())
        return EXIT_INTERRUPTED;
    return events->lost ? events->lost : GO_ON;
}

static int hold(struct events *events)
{
    const struct args *args = &events->cli->args;
    const dlmgr_delegate delegate = {.size = sizeof(delegate), .lost = on_lost};
    unsigned flags = (args->in_line ? DLMGR_WAIT : 0u) | (args->take ? DLMGR_TAKE : 0u);
    dlmgr_error error;
    int code = GO_ON, r = dlmgr_session_open(events->handle, events->session, flags, &delegate,
                                             events, &events->held, &error);

    if (is_absence(r))
        return news(events, BETWEEN_MS);
    if (r < 0)
        return cli_fail_error(events->cli, &error, NULL);
    while (code == GO_ON && dlmgr_session_incarnation(events->held) == 0)
        code = news(events, -1);
    return code;
}

/* ---- The line ---------------------------------------------------------------------------------- */

/* A holder is asked for its own event first, which one that has lost the session is refused. */
static int acknowledge_once(struct events *events, bool alone, dlmgr_error *error)
{
    int r = events->held ? dlmgr_ack(events->held, events->written, error) : 0;

    return r < 0 || (events->held && alone)
               ? r
               : dlmgr_ack_to(events->handle, events->session, events->written, error);
}

/* alone: all before it are acknowledged already. Doing it twice does no harm, so an owner that comes or goes is waited for. */
static int acknowledge(struct events *events, bool alone)
{
    int64_t until = cli_clock() + OWNER_MS;
    dlmgr_error error;
    int r;

    if (events->written < 0)
        return 0;
    while (is_absence(r = acknowledge_once(events, alone, &error)) && !cli_interrupted() &&
           (events->cli->args.follow || cli_clock() < until))
        cli_sleep(BETWEEN_MS);
    if (r == DLMGR_ELOST)
        return lost(events, &error);
    if (r < 0)
        return cli_fail_error(events->cli, &error, NULL);
    events->written = -1;
    return 0;
}

static int pause_after(struct events *events)
{
    int64_t pause = events->pause_ms ? 2 * events->pause_ms : PAUSE_MS, until, left;
    int code = GO_ON;

    events->pause_ms = pause > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause;
    until = cli_clock() + events->pause_ms;
    while (code == GO_ON && (left = until - cli_clock()) > 0)
        code = news(events, left);
    return code;
}

/* GO_ON, or the exit code that ends the command. */
static int handle_exec(struct events *events, const dlmgr_event *event, bool *ret_again)
{
    int code = events->held ? news(events, 0) : GO_ON, status;

    if (code != GO_ON)
        return code;
    status = cli_exec_event(events->cli, events->cli->args.exec, event);
    *ret_again = status != 0;
    if (status == 0) {
        events->after = events->written = event->seq;
        events->pause_ms = 0;
        code = acknowledge(events, events->cli->args.after < 0);
        return code ? code : GO_ON;
    }
    cli_fail(events->cli, EXIT_UNKNOWN,
             "--exec: the command ended with %d for event %lld (%s of task %lld); it stays", status,
             (long long)event->seq, event->type, (long long)event->task);
    return events->cli->args.follow ? pause_after(events) : EXIT_UNKNOWN;
}

static bool print(struct events *events, const dlmgr_event *event)
{
    char *json = dlmgr_event_json(event);
    bool made = json != NULL;

    if (made)
        cli_print_raw(events->cli, json);
    else
        cli_fail(events->cli, EXIT_UNKNOWN, "out of memory");
    free(json);
    return made;
}

static int handle_page(struct events *events, const dlmgr_event_list *list)
{
    const dlmgr_event *event;
    bool again = false;
    int code = GO_ON;
    size_t i;

    for (i = 0; code == GO_ON && !again && (event = dlmgr_event_list_at(list, i)); i++) {
        if (cli_interrupted())
            return EXIT_INTERRUPTED;
        if (events->cli->args.exec) {
            code = handle_exec(events, event, &again);
            continue;
        }
        if (!print(events, event))
            return EXIT_UNKNOWN;
        events->after = event->seq;
        events->written = events->cli->args.ack ? event->seq : -1;
    }
    if (code == GO_ON && !events->cli->args.exec) {
        if (!cli_flush(events->cli))
            return EXIT_IO;
        code = acknowledge(events, false);
        code = code ? code : GO_ON;
    }
    return code;
}

/* What is there now (NULL: nothing); the session is held before anything of it is handled. */
static int handle(struct events *events, const dlmgr_event_list *list)
{
    if (wants_hold(events) && !events->held && dlmgr_place_of(events->handle) == DLMGR_PLACE_CLIENT)
        return hold(events);
    if (list && dlmgr_event_list_count(list) > 0)
        return handle_page(events, list);
    return events->cli->args.follow ? news(events, -1) : EXIT_DONE;
}

static int walk(struct events *events)
{
    int code = events->cli->args.follow ? news(events, 0) : GO_ON; /* from now on they are told */

    while (code == GO_ON) {
        bool follow = events->cli->args.follow;
        dlmgr_event_list *list = NULL;
        dlmgr_error error;
        int r = dlmgr_events(events->handle, events->session, events->after, PAGE, &list, &error);

        if (cli_interrupted())
            return EXIT_INTERRUPTED;
        if (r && !(follow && (is_absence(r) || r == DLMGR_ENOTFOUND)))
            return cli_fail_error(events->cli, &error, NULL);
        /* A session that does not exist yet has no events yet. */
        code = is_absence(r) ? news(events, BETWEEN_MS) : handle(events, list);
        dlmgr_event_list_free(list);
    }
    return code;
}

static int check(const struct events *events)
{
    const struct args *args = &events->cli->args;

    if (args->operands.n)
        return cli_fail(events->cli, EXIT_USAGE,
                        "events %s: takes no argument; see dlmgr events --help",
                        args->operands.items[0]);
    if ((args->in_line || args->take) && !wants_hold(events))
        return cli_fail(events->cli, EXIT_USAGE,
                        "events: --wait and --take are for --ack or --exec with --session NAME, an app's like "
                        "org.example.app");
    return 0;
}

int cli_events(struct cli *cli)
{
    struct events events = {.cli = cli,
                            .session = cli->args.add.session ? cli->args.add.session : "default",
                            .after = cli->args.after,
                            .written = -1};
    dlmgr_error error;
    int code = check(&events);

    if (code)
        return code;
    cli_signals_catch();
    if (cli_open(cli, DLMGR_EITHER, &events.handle, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    if (cli->args.ack_to >= 0) {
        events.written = cli->args.ack_to;
        code = acknowledge(&events, false);
    } else {
        code = walk(&events);
    }
    cli_close(&events.handle);
    /* A reader that went away has what it wanted; what it did not take was not acknowledged. */
    return cli_finish(cli, code == EXIT_IO && cli->stdout_error ? EXIT_DONE : code, !cli->args.ack);
}
