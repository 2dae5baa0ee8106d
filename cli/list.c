/* SPDX-License-Identifier: MIT */
/*
 * list.c - list: what the journal says of many tasks, a line each, for people and as JSON.
 *
 * A list is asked for in pages of a thousand and printed page by page, so a million tasks take no memory and hold no
 * transaction open. A reader that closes the pipe ends it quietly.
 */
#include "cli/cli.h"
#include "cli/text.h"

#include <stdio.h>

enum { PAGE = 1000 };

static void row(struct cli *cli, const dlmgr_task *task)
{
    char done[16], total[16], speed[16], name[2048], why[1024], line[4096], rate[24] = "", state[32];
    int percent = task->bytes_total > 0
                      ? (int)((double)task->bytes_done * 100 / (double)task->bytes_total)
                      : 0;

    if (task->state == DLMGR_RUNNING)
        snprintf(rate, sizeof(rate), "%s/s", cli_text_bytes(task->speed, speed));
    else if (task->state == DLMGR_FAILED)
        snprintf(rate, sizeof(rate), "error %d", task->error_code);
    else if (task->wait_reason)
        snprintf(rate, sizeof(rate), "%.20s", task->wait_reason);
    snprintf(state, sizeof(state), "%-10s", dlmgr_state_name(task->state));
    snprintf(line, sizeof(line), "%6lld  %s%s%s %3d%% %7s/%-7s %10s  %s%s%s%s", (long long)task->id,
             cli_color(task->state), state, cli_color_end(),
             task->state == DLMGR_DONE ? 100 : percent, cli_text_bytes(task->bytes_done, done),
             cli_text_bytes(task->bytes_total, total), rate,
             cli_text_safe(task->path ? task->path : task->url, name, sizeof(name)),
             task->unverified_length ? " (unverified length)" : "", task->error_text ? ": " : "",
             cli_text_safe(task->error_text ? task->error_text : "", why, sizeof(why)));
    cli_print_raw(cli, line);
}

static int64_t page(struct cli *cli, dlmgr *handle, dlmgr_selector *selector, dlmgr_error *error)
{
    const dlmgr_task *task;
    dlmgr_list *list;
    int64_t n;
    int r = dlmgr_query(handle, selector, &list, error);

    if (r)
        return r;
    for (n = 0; (task = dlmgr_list_at(list, (size_t)n)) && !cli->stdout_error; n++) {
        if (cli->args.json)
            cli_print_task(cli, task);
        else
            row(cli, task);
        selector->after = task->id;
    }
    dlmgr_list_free(list);
    return n;
}

int cli_list(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    const struct args *args = &cli->args;
    dlmgr_selector selector = {.size = sizeof(selector),
                               .states = args->states,
                               .session = args->add.session,
                               .after = args->after < 0 ? 0 : args->after};
    int64_t left = args->limit < 0 ? INT64_MAX : args->limit, n = 0;
    dlmgr_error error;

    if (args->operands.n)
        return cli_fail(cli, EXIT_USAGE,
                        "list %s: takes no argument; `dlmgr show ID` tells all about one task",
                        args->operands.items[0]);
    if (cli_open(cli, DLMGR_EITHER, &handle, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    do {
        selector.limit = left < PAGE ? (int)left : PAGE;
        n = page(cli, handle, &selector, &error);
        if (n < 0)
            return cli_fail_error(cli, &error, NULL);
        left -= n;
        cli_flush(cli);
    } while (n == selector.limit && left > 0 && !cli->stdout_error);
    return cli_finish(cli, EXIT_DONE, true);
}
