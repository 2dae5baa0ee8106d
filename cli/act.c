/* SPDX-License-Identifier: MIT */
/*
 * act.c - pause, resume, cancel, retry, remove: one table, one road.
 *
 * The tasks are named by ids (arguments, or - for stdin) or by --all, --state and --session. Ids go in groups of a thousand; when
 * there are more, all groups are looked up first, so that an unknown id changes nothing. Without an owner the library changes the
 * journal itself, and what would start work is said, or done with --start.
 */
#include "cli/act.h"

#include "cli/values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP = 1000 };

void cli_ids_free(struct ids *ids)
{
    free(ids->items);
    *ids = (struct ids){0};
}

static int id_add(struct cli *cli, struct ids *ids, const char *word, const char *from)
{
    char why[CLI_WHY];
    int64_t id, *more;

    if (!cli_number(word, 1, INT64_MAX, &id, why))
        return cli_fail(cli, EXIT_USAGE, "%s%s: is not a task's id; see dlmgr list", from, word);
    if (ids->n == ids->room) {
        ids->room = ids->room ? ids->room * 2 : 64;
        more = realloc(ids->items, ids->room * sizeof(*more));
        if (!more)
            return cli_fail(cli, EXIT_UNKNOWN, "out of memory; nothing was changed");
        ids->items = more;
    }
    ids->items[ids->n++] = id;
    return 0;
}

static int ids_from_stdin(struct cli *cli, struct ids *ids)
{
    FREES char *line = NULL;
    size_t room = 0;
    int64_t number = 0;
    int code = 0;
    char *rest, *word, from[48];

    errno = 0;
    while (code == 0 && getline(&line, &room, stdin) >= 0) {
        snprintf(from, sizeof(from), "stdin:%lld: ", (long long)++number);
        for (word = strtok_r(line, " \t\r\n", &rest); word && code == 0;
             word = strtok_r(NULL, " \t\r\n", &rest))
            code = id_add(cli, ids, word, from);
        errno = 0;
    }
    if (code == 0 && ferror(stdin))
        return cli_fail(cli, EXIT_IO, "stdin: %s", strerror(errno));
    return code;
}

int cli_ids_read(struct cli *cli, struct ids *ret)
{
    const struct strings *words = &cli->args.operands;
    int code = 0;
    size_t i;

    for (i = 0; i < words->n && code == 0; i++)
        code = strcmp(words->items[i], "-") == 0 ? ids_from_stdin(cli, ret)
                                                 : id_add(cli, ret, words->items[i], "");
    return code;
}

int cli_act_start(struct cli *cli, dlmgr **handle)
{
    dlmgr_counts counts = {.size = sizeof(counts)};
    dlmgr_error error;

    if (dlmgr_place_of(*handle) != DLMGR_PLACE_JOURNAL)
        return 0;
    if (dlmgr_count(*handle, &counts, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    *handle = dlmgr_close(*handle);
    if (cli->args.start)
        return cli_daemon_need(cli);
    if (cli_live(&counts) > 0)
        cli_note(cli,
                 "nobody works on this journal; `dlmgr daemon start` or `dlmgr run` starts work (or --start here)");
    return 0;
}

/* ---- Acting ------------------------------------------------------------------------------------- */

static int check_groups(dlmgr *handle, const struct ids *ids, dlmgr_error *error)
{
    size_t at;

    for (at = 0; at < ids->n; at += GROUP) {
        dlmgr_selector group = {.size = sizeof(group),
                                .ids = ids->items + at,
                                .n_ids = ids->n - at < GROUP ? ids->n - at : GROUP};
        dlmgr_list *list;
        int r = dlmgr_query(handle, &group, &list, error);

        if (r)
            return r;
        dlmgr_list_free(list);
    }
    return 0;
}

static int act(struct cli *cli, dlmgr *handle, int action, const struct ids *ids,
               int64_t *ret_changed, dlmgr_error *error)
{
    dlmgr_selector selector = {.size = sizeof(selector),
                               .states = cli->args.states,
                               .session = cli->args.add.session,
                               .all = cli->args.all};
    int r = ids->n > GROUP ? check_groups(handle, ids, error) : 0;
    int64_t changed = 0;
    size_t at = 0;

    *ret_changed = 0;
    do {
        if (r)
            return r;
        selector.ids = ids->n ? ids->items + at : NULL;
        selector.n_ids = ids->n - at < GROUP ? ids->n - at : GROUP;
        r = dlmgr_act(handle, action, &selector, &changed, error);
        *ret_changed += r ? 0 : changed;
        at += GROUP;
    } while (at < ids->n);
    return r;
}

static int choose(struct cli *cli, struct ids *ids)
{
    const struct args *args = &cli->args;
    bool by_option = args->all || args->states || args->add.session;
    int code;

    if (args->operands.n == 0 && !by_option)
        return cli_fail(cli, EXIT_USAGE,
                        "%s: which tasks? ids, --all, --state, --session, or - for ids on stdin",
                        cli->command);
    if (args->operands.n && args->all)
        return cli_fail(cli, EXIT_USAGE, "%s: ids or --all, not both", cli->command);
    code = cli_ids_read(cli, ids);
    return code;
}

int cli_act_end(struct cli *cli, dlmgr **handle, int64_t changed, const char *done)
{
    char line[64];

    if (cli->args.json) {
        snprintf(line, sizeof(line), "{\"v\":1,\"changed\":%lld}", (long long)changed);
        cli_print_raw(cli, line);
    } else if (done) {
        cli_note(cli, "%lld task%s %s", (long long)changed, changed == 1 ? "" : "s", done);
    }
    return cli_finish(cli, *handle ? cli_act_start(cli, handle) : 0, false);
}

static int act_command(struct cli *cli, int action, const char *done)
{
    CLOSES dlmgr *handle = NULL;
    struct ids ids = {0};
    int64_t changed = 0;
    dlmgr_error error;
    int code = choose(cli, &ids), r;

    if (code == 0 && cli->args.operands.n && ids.n == 0) {
        cli_note(cli, "no id on stdin; nothing changed");
    } else if (code == 0) {
        r = cli_open(cli, DLMGR_EITHER, &handle, &error);
        r = r ? r : act(cli, handle, action, &ids, &changed, &error);
        code = r ? cli_fail_error(cli, &error, NULL) : 0;
    }
    cli_ids_free(&ids);
    if (code)
        return code;
    return cli_act_end(cli, &handle, changed, handle ? done : NULL);
}

int cli_pause(struct cli *cli)
{
    return act_command(cli, DLMGR_PAUSE, "paused");
}

int cli_resume(struct cli *cli)
{
    return act_command(cli, DLMGR_RESUME, "resumed");
}

int cli_cancel(struct cli *cli)
{
    return act_command(cli, DLMGR_CANCEL, "cancelled");
}

int cli_retry(struct cli *cli)
{
    return act_command(cli, DLMGR_RETRY, "queued again");
}

int cli_remove(struct cli *cli)
{
    return act_command(cli, cli->args.delete_part ? DLMGR_REMOVE_DELETE : DLMGR_REMOVE, "removed");
}
