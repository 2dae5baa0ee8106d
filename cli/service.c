/* SPDX-License-Identifier: MIT */
/*
 * service.c - daemon start, stop, restart, status, run.
 *
 * start and stop say what is, not what was done: starting what runs and stopping what does not are successes. The owner may be
 * another program (a get, an app): stop asks any owner to close, and start is content with any.
 */
#include "cli/cli.h"
#include "daemon/daemon.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STOP_MS = 15000 };

static int start(struct cli *cli)
{
    dlmgr_error error;
    int64_t pid = 0;
    int r = cli_daemon_start(cli, true, &pid, &error);

    if (r == DLMGR_EBUSY) {
        cli_note(cli, "%s", error.text);
        return EXIT_DONE;
    }
    if (r)
        return cli_fail_error(cli, &error, "the daemon did not start");
    cli_note(cli, "the daemon serves, pid %lld", (long long)pid);
    return EXIT_DONE;
}

static int stop(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    dlmgr_error error;
    int r = cli_open(cli, DLMGR_ATTACH, &handle, &error);

    if (r == DLMGR_ENOOWNER) {
        cli_note(cli, "not running");
        return EXIT_DONE;
    }
    if (r == 0)
        r = dlmgr_stop_owner(handle, STOP_MS, &error);
    if (r == DLMGR_ETIMEDOUT)
        return cli_fail(cli, EXIT_NO_OWNER, "the owner did not stop within %d s", STOP_MS / 1000);
    if (r)
        return cli_fail_error(cli, &error, NULL);
    cli_note(cli, "stopped");
    return EXIT_DONE;
}

static int restart(struct cli *cli)
{
    int code = stop(cli);

    return code ? code : start(cli);
}

static void status_print(struct cli *cli, dlmgr *handle, const dlmgr_counts *counts)
{
    char line[256];
    int i;

    if (!cli->args.json) {
        snprintf(line, sizeof(line), "running, pid %lld, home ", (long long)counts->owner_pid);
        cli_print(cli, cli_arena_print(&cli->arena, "%s%s", line, dlmgr_home(handle)));
        for (i = 0; dlmgr_state_name(i); i++) {
            snprintf(line, sizeof(line), "%-10s %lld", dlmgr_state_name(i),
                     (long long)counts->by_state[i]);
            cli_print_raw(cli, line);
        }
        return;
    }
    printf("{\"v\":1,\"running\":true,\"pid\":%lld,\"tasks\":{", (long long)counts->owner_pid);
    for (i = 0; dlmgr_state_name(i); i++)
        printf("%s\"%s\":%lld", i ? "," : "", dlmgr_state_name(i), (long long)counts->by_state[i]);
    cli_print_raw(cli, "}}");
}

static int status(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    dlmgr_counts counts = {.size = sizeof(counts)};
    dlmgr_error error;
    int r = cli_open(cli, DLMGR_ATTACH, &handle, &error);

    if (r == DLMGR_ENOOWNER) {
        cli_print_raw(cli,
                      cli->args.json ? "{\"v\":1,\"running\":false,\"pid\":null}" : "not running");
        return cli_finish(cli, EXIT_NO_OWNER, true);
    }
    r = r ? r : dlmgr_count(handle, &counts, &error);
    if (r)
        return cli_fail_error(cli, &error, NULL);
    status_print(cli, handle, &counts);
    return cli_finish(cli, EXIT_DONE, true);
}

static int run(struct cli *cli)
{
    const struct owner_options *owner = &cli->args.owner;
    struct daemon_config config = {
        .options = {.size = sizeof(config.options),
                    .home = cli->args.home,
                    .max_active = owner->max_active,
                    .max_per_host = owner->max_per_host,
                    .limit_rate = owner->limit_rate,
                    .keep_done_ms = owner->keep_done_ms,
                    .keep_done_n = owner->keep_done_n,
                    .trust_group = owner->trust_group},
        .idle_ms = cli->args.idle_ms,
        .forever = cli->args.forever,
        .verbose = cli->args.verbose,
        .ready_fd = (int)cli->args.ready_fd,
    };
    dlmgr_error error;

    return daemon_run(&config, &error) == 0 ? EXIT_DONE : cli_fail_error(cli, &error, NULL);
}

static const struct {
    const char *name;
    int (*run)(struct cli *cli);
} verbs[] = {{"start", start},   {"stop", stop}, {"restart", restart},
             {"status", status}, {"run", run},   {0}};

int cli_daemon(struct cli *cli)
{
    const char *verb = cli->args.operands.n ? cli->args.operands.items[0] : "";
    int i;

    if (cli->args.operands.n == 1)
        for (i = 0; verbs[i].name; i++)
            if (strcmp(verbs[i].name, verb) == 0)
                return verbs[i].run(cli);
    return cli_fail(cli, EXIT_USAGE, "daemon %s: must be start, stop, restart, status or run", verb);
}
