/* SPDX-License-Identifier: MIT */
/*
 * service.c - daemon start, stop, restart, status, run.
 *
 * start and stop say what is, not what was done: starting what runs and stopping what does not are successes. The owner may be
 * another program (a get, an app): stop asks any owner to close, and start is content with any.
 */
#include "cli/cli.h"
#include "cli/reboot.h"
#include "daemon/daemon.h"

#include <jansson.h>
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
        cli_note(cli, "%s%s", error.text,
                 cli_daemon_options(cli) ? "; the options of this command say nothing to it" : "");
        return EXIT_DONE;
    }
    if (r)
        return cli_fail_error(cli, &error, "the daemon did not start");
    cli_note(cli, "the daemon serves, pid %lld", (long long)pid);
    return EXIT_DONE;
}

/* The owner, whatever protocol it speaks. EITHER does not mind; attaching is tried first since it makes no home. */
static int open_owner(struct cli *cli, dlmgr **ret_handle, dlmgr_error *error)
{
    int r = cli_open(cli, DLMGR_ATTACH, ret_handle, error);

    return r == DLMGR_EPROTO ? cli_open(cli, DLMGR_EITHER, ret_handle, error) : r;
}

static int stop(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    dlmgr_error error;
    int r = open_owner(cli, &handle, &error);

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

static const char *range_text(struct cli *cli, int oldest, int newest)
{
    return oldest == newest ? cli_arena_print(&cli->arena, "protocol %d", newest)
                            : cli_arena_print(&cli->arena, "protocols %d to %d", oldest, newest);
}

static void owner_print(struct cli *cli, dlmgr *handle, const dlmgr_owner_info *owner)
{
    cli_print(cli, cli_arena_print(&cli->arena, "running, pid %lld, home %s", (long long)owner->pid,
                                   dlmgr_home(handle)));
    cli_print(cli, cli_arena_print(&cli->arena, "dlmgr %s, %s", owner->version,
                                   range_text(cli, owner->protocol_oldest, owner->protocol_newest)));
}

static void status_print(struct cli *cli, const dlmgr_counts *counts)
{
    char line[64];
    int i;

    for (i = 0; dlmgr_state_name(i); i++) {
        snprintf(line, sizeof(line), "%-10s %lld", dlmgr_state_name(i),
                 (long long)counts->by_state[i]);
        cli_print_raw(cli, line);
    }
}

/* object is stolen; NULL: there was no memory for it. */
static void print_json(struct cli *cli, json_t *object)
{
    FREES char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    if (line)
        cli_print_raw(cli, line);
    else
        cli_fail(cli, EXIT_UNKNOWN, "out of memory");
}

/* counts NULL: they cannot be asked for. */
static void status_print_json(struct cli *cli, const dlmgr_owner_info *owner,
                              const dlmgr_counts *counts)
{
    json_t *tasks = counts ? json_object() : NULL, *object;
    int i;

    for (i = 0; tasks && dlmgr_state_name(i); i++)
        json_object_set_new(tasks, dlmgr_state_name(i), json_integer(counts->by_state[i]));
    object = json_pack("{si, sb, sI, ss, si, si, so*, so}", "v", 1, "running", 1, "pid",
                       (json_int_t)owner->pid, "version", owner->version, "protocol_oldest",
                       owner->protocol_oldest, "protocol_newest", owner->protocol_newest, "tasks",
                       tasks, "after_reboot", cli_reboot_json(cli));
    print_json(cli, object);
}

static int status_without_owner(struct cli *cli)
{
    if (cli->args.json) {
        print_json(cli, json_pack("{si, sb, sn, so}", "v", 1, "running", 0, "pid", "after_reboot",
                                  cli_reboot_json(cli)));
    } else {
        cli_print_raw(cli, "not running");
        cli_reboot_print(cli);
    }
    return cli_finish(cli, EXIT_NO_OWNER, true);
}

/* An upgrade is not over while the owner is the old one. */
static void version_note(struct cli *cli, const dlmgr_owner_info *owner)
{
    int order = strverscmp(owner->version, dlmgr_version());

    if (order)
        cli_note(cli, "the owner runs dlmgr %s, this is %s%s", owner->version, dlmgr_version(),
                 order < 0 ? ": `dlmgr daemon restart` brings it up to date" : ", an older one");
}

static int status(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    dlmgr_owner_info owner = {.size = sizeof(owner)};
    dlmgr_counts counts = {.size = sizeof(counts)};
    dlmgr_error error;
    int r = open_owner(cli, &handle, &error), counted;

    r = r ? r : dlmgr_owner(handle, &owner, &error);
    if (r == DLMGR_ENOOWNER)
        return status_without_owner(cli);
    if (r)
        return cli_fail_error(cli, &error, NULL);
    counted = dlmgr_count(handle, &counts, &error);
    if (cli->args.json)
        status_print_json(cli, &owner, counted == 0 ? &counts : NULL);
    else
        owner_print(cli, handle, &owner);
    if (counted != 0)
        return cli_finish(cli, cli_fail_error(cli, &error, NULL), true);
    if (!cli->args.json) {
        status_print(cli, &counts);
        cli_reboot_print(cli);
    }
    version_note(cli, &owner);
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
                    .trust_group = owner->trust_group,
                    .limits = owner->set_limits.items},
        .idle_ms = cli->args.idle_ms,
        .command_ms = cli->args.command_ms,
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
