/* SPDX-License-Identifier: MIT */
/*
 * home.c - opening the home, and starting the daemon for it.
 *
 * Commands that work (get, run) want to own the home or, when somebody does, to follow that owner. Between the two lie the moments
 * in which an owner comes or goes: the lock is held and nobody answers yet, or nobody holds it any more and the socket is
 * gone. cli_open_work() tries both in turn for 6 s before it believes either.
 *
 * The daemon is started by executing this program anew: a forked copy would show this command line, with its URLs, in ps for as
 * long as it lives. Before that its door is knocked at: where a service manager listens, its service is what starts.
 */
#include "cli/cli.h"
#include "daemon/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOTH_MS = 6000, BETWEEN_MS = 50 };

void cli_close(dlmgr **handle)
{
    *handle = dlmgr_close(*handle);
}

static void options_fill(const struct cli *cli, dlmgr_options *options)
{
    static int level;
    const struct owner_options *owner = &cli->args.owner;

    level = cli->args.verbose ? DLMGR_LOG_DEBUG : DLMGR_LOG_ERROR;
    *options = (dlmgr_options){
        .size = sizeof(*options),
        .home = cli->args.home,
        .log = cli->args.json ? NULL : cli_log,
        .log_context = &level,
        .max_active = owner->max_active,
        .max_per_host = owner->max_per_host,
        .limit_rate = owner->limit_rate,
        .keep_done_ms = owner->keep_done_ms,
        .keep_done_n = owner->keep_done_n,
        .trust_group = owner->trust_group,
        .limits = owner->set_limits.items,
    };
}

int cli_open(struct cli *cli, int mode, dlmgr **ret_handle, dlmgr_error *error)
{
    dlmgr_options options;

    options_fill(cli, &options);
    return dlmgr_open(mode, &options, ret_handle, error);
}

int cli_open_work(struct cli *cli, bool held, dlmgr **ret_handle, dlmgr_error *error)
{
    int64_t until = cli_clock() + BOTH_MS;
    dlmgr_options options;
    dlmgr_error attach;
    int r, other;

    options_fill(cli, &options);
    options.held = held;
    for (;;) {
        r = dlmgr_open(DLMGR_OWN, &options, ret_handle, error);
        if (r != DLMGR_EBUSY)
            return r;
        other = cli_open(cli, DLMGR_ATTACH, ret_handle, &attach);
        if (other != DLMGR_ENOOWNER && other != DLMGR_ELINK) {
            if (other)
                *error = attach;
            return other;
        }
        if (cli_clock() >= until || cli_interrupted())
            return r;
        cli_sleep(BETWEEN_MS);
    }
}

int64_t cli_live(const dlmgr_counts *counts)
{
    const int64_t *by = counts->by_state;

    return by[DLMGR_QUEUED] + by[DLMGR_RUNNING] + by[DLMGR_VERIFYING] + by[DLMGR_COMMITTING] +
           by[DLMGR_WAITING];
}

/* ---- The daemon -------------------------------------------------------------------------------- */

bool cli_daemon_options(const struct cli *cli)
{
    const struct cli_option *option;

    for (option = cli_options; option->name; option++)
        if (cli->args.given[option - cli_options] && (option->commands & C_DAEMON) &&
            !(option->commands & C_GLOBAL))
            return true;
    return false;
}

static void forward_limits(struct cli *cli, struct strings *words)
{
    const struct strings *limits = &cli->args.owner.limits;

    for (size_t i = 0; i < limits->n; i++)
        cli_strings_add(words, &cli->arena,
                        cli_arena_print(&cli->arena, "--limits=%s", limits->items[i]));
}

static void forward(struct cli *cli, struct strings *words)
{
    const struct cli_option *option;

    for (option = cli_options; option->name; option++) {
        const char *value = cli->args.given[option - cli_options];

        if (!value || !(option->commands & C_DAEMON) || strcmp(option->name, "home") == 0)
            continue;
        if (option->kind == OPTION_LIMITS)
            forward_limits(cli, words);
        else if (option->value)
            cli_strings_add(words, &cli->arena,
                            cli_arena_print(&cli->arena, "--%s=%s", option->name, value));
        else
            cli_strings_add(words, &cli->arena, cli_arena_print(&cli->arena, "--%s", option->name));
    }
}

/* Somebody owns the home by now; or a service manager hears us at its socket, and its service answers. */
static bool knock(struct cli *cli, dlmgr_error *error)
{
    CLOSES dlmgr *owner = NULL;
    dlmgr_owner_info info = {.size = sizeof(info)};

    if (cli_open(cli, DLMGR_ATTACH, &owner, error) != 0 || dlmgr_owner(owner, &info, error) != 0)
        return false;
    *error = (dlmgr_error){.code = DLMGR_EBUSY};
    snprintf(error->text, sizeof(error->text), "process %lld owns %.400s", (long long)info.pid,
             dlmgr_home(owner));
    return true;
}

int cli_daemon_start(struct cli *cli, bool with_options, int64_t *ret_pid, dlmgr_error *error)
{
    struct strings words = {0};

    if (knock(cli, error))
        return DLMGR_EBUSY;
    cli_strings_add(&words, &cli->arena, "dlmgr");
    if (cli->args.home)
        cli_strings_add(&words, &cli->arena,
                        cli_arena_print(&cli->arena, "--home=%s", cli->args.home));
    cli_strings_add(&words, &cli->arena, "daemon");
    cli_strings_add(&words, &cli->arena, "run");
    if (with_options)
        forward(cli, &words);
    cli_strings_add(&words, &cli->arena,
                    cli_arena_print(&cli->arena, "--ready-fd=%d", DAEMON_READY_FD));
    return daemon_start(words.items, ret_pid, error);
}

int cli_daemon_need(struct cli *cli)
{
    dlmgr_error error;
    int64_t pid;
    int r = cli_daemon_start(cli, false, &pid, &error);

    if (r == 0 || r == DLMGR_EBUSY)
        return 0;
    return cli_fail_error(cli, &error, "the tasks are in the journal, but the daemon did not start");
}
