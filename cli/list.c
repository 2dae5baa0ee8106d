/* SPDX-License-Identifier: MIT */
/*
 * list.c - list and show: what the journal says, for people and as JSON.
 *
 * A list is asked for in pages of a thousand and printed page by page, so a million tasks take no memory and hold no
 * transaction open. A reader that closes the pipe ends it quietly.
 */
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/values.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 1000 };

static void row(struct cli *cli, const dlmgr_task *task)
{
    char done[16], total[16], speed[16], name[2048], line[4096], rate[24] = "", state[32];
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
    snprintf(line, sizeof(line), "%6lld  %s%s%s %3d%% %7s/%-7s %10s  %s", (long long)task->id,
             cli_color(task->state), state, cli_color_end(),
             task->state == DLMGR_DONE ? 100 : percent, cli_text_bytes(task->bytes_done, done),
             cli_text_bytes(task->bytes_total, total), rate,
             cli_text_safe(task->path ? task->path : task->url, name, sizeof(name)));
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

/* ---- show -------------------------------------------------------------------------------------- */

static void show_value(struct cli *cli, const char *name, json_t *value, int indent);

static void show_line(struct cli *cli, int indent, const char *name, const char *value)
{
    char safe[8192], line[9000];

    snprintf(line, sizeof(line), "%*s%s%s%s", indent, "", name, *value ? ": " : ":",
             cli_text_safe(value, safe, sizeof(safe)));
    cli_print_raw(cli, line);
}

static void show_members(struct cli *cli, json_t *object, int indent)
{
    const char *name;
    json_t *value;

    json_object_foreach (object, name, value) {
        show_value(cli, name, value, indent);
    }
}

/* Objects and arrays of objects below their name, all else on one line. */
static void show_value(struct cli *cli, const char *name, json_t *value, int indent)
{
    FREES char *text = NULL;
    json_t *item;
    size_t i;

    if (json_is_object(value)) {
        show_line(cli, indent, name, "");
        show_members(cli, value, indent + 2);
        return;
    }
    if (json_is_array(value) && json_is_object(json_array_get(value, 0))) {
        json_array_foreach (value, i, item) {
            show_value(cli, name, item, indent);
        }
        return;
    }
    if (!json_is_string(value))
        text = json_dumps(value, JSON_ENCODE_ANY);
    show_line(cli, indent, name,
              json_is_string(value)          ? json_string_value(value)
              : json_is_null(value) || !text ? "-"
                                             : text);
}

int cli_print_object(struct cli *cli, const char *text)
{
    json_t *object = NULL;

    if (cli->args.json) {
        cli_print_raw(cli, text);
        return 0;
    }
    object = json_loads(text, 0, NULL);
    if (!object)
        return cli_fail(cli, EXIT_UNKNOWN, "the owner's answer cannot be read; show it with --json");
    show_members(cli, object, 0);
    json_decref(object);
    return 0;
}

static int show_one(struct cli *cli, dlmgr *handle, const char *word)
{
    FREES char *text = NULL;
    char why[CLI_WHY];
    dlmgr_error error;
    int64_t id;

    if (!cli_number(word, 1, INT64_MAX, &id, why))
        return cli_fail(cli, EXIT_USAGE, "%s: is not a task's id; see dlmgr list", word);
    if (dlmgr_show(handle, id, cli->args.secrets, &text, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    return cli_print_object(cli, text);
}

int cli_show(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    dlmgr_error error;
    int code = 0;
    size_t i;

    if (cli->args.operands.n == 0)
        return cli_fail(cli, EXIT_USAGE, "show: which ID? see dlmgr list");
    if (cli_open(cli, DLMGR_EITHER, &handle, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    for (i = 0; i < cli->args.operands.n && code == 0; i++) {
        if (i > 0 && !cli->args.json)
            cli_print_raw(cli, "");
        code = show_one(cli, handle, cli->args.operands.items[i]);
    }
    return cli_finish(cli, code, true);
}
