/* SPDX-License-Identifier: MIT */
/*
 * set.c - change tasks: another URL, name, directory, priority, limit or time.
 *
 * `set -i FILE` takes lines of (id or client key), a tab, and a new URL: the links of a hundred downloads have expired, a program
 * has made new ones, and this puts them in. A number is an id, anything else a key of --session. The list is checked whole before
 * the first change.
 */
#include "cli/act.h"
#include "cli/adding.h"
#include "cli/values.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct line {
    struct cli *cli;
    dlmgr *handle; /* NULL: check only */
    const char *name;
    int64_t number, changed;
};

static int line_wrong(const struct line *line, const char *why)
{
    return cli_fail(line->cli, EXIT_USAGE, "%s:%lld: %s", line->name, (long long)line->number, why);
}

static int url_check(const struct line *line, const char *url)
{
    struct entry entry = {.url = url, .file = line->name, .line = line->number};

    entry.add = (struct add_options){.dir = "/", .retry_wait_ms = -1};
    return cli_entry_check(line->cli, &entry, NULL);
}

static int line_apply(struct line *line, const char *who, const char *url)
{
    bool number = who[strspn(who, "0123456789")] == '\0';
    char why[CLI_WHY], prefix[256];
    dlmgr_change change;
    dlmgr_error error;
    int64_t id = 0;

    if (number && !cli_number(who, 1, INT64_MAX, &id, why))
        return line_wrong(line, "the id does not fit a number");
    if (!line->handle)
        return url_check(line, url);
    dlmgr_change_init(&change);
    change.key = number ? NULL : who;
    change.session = line->cli->args.add.session;
    change.url = url;
    if (dlmgr_set(line->handle, id, &change, &error) != 0) {
        snprintf(prefix, sizeof(prefix), "%s:%lld: after %lld changes", line->name,
                 (long long)line->number, (long long)line->changed);
        return cli_fail_error(line->cli, &error, prefix);
    }
    line->changed++;
    return 0;
}

static int line_read(struct line *line, char *text, size_t n)
{
    char *tab;

    line->number++;
    if (memchr(text, '\0', n))
        return line_wrong(line, "a NUL byte: lists are text");
    text[strcspn(text, "\r\n")] = '\0';
    if (!*text || *text == '#')
        return 0;
    tab = strchr(text, '\t');
    if (!tab || tab == text || !tab[1])
        return line_wrong(line, "must be an id or a key, a tab, and a URL");
    *tab = '\0';
    return line_apply(line, text, tab + 1);
}

static int list_walk(struct line *line, struct list_file *list)
{
    FREES char *text = NULL;
    size_t room = 0;
    ssize_t n;
    int code = 0;

    rewind(list->file);
    line->number = 0;
    errno = 0;
    while (code == 0 && (n = getline(&text, &room, list->file)) >= 0)
        code = line_read(line, text, (size_t)n);
    if (code == 0 && ferror(list->file))
        return cli_fail(line->cli, EXIT_IO, "%s: %s", list->name, strerror(errno));
    return code;
}

static int set_list(struct cli *cli, dlmgr **handle, int64_t *ret_changed)
{
    struct line line = {.cli = cli};
    struct list_file list;
    dlmgr_error error;
    int code = cli_list_open(cli, cli->args.input, &list);

    if (code)
        return code;
    line.name = list.name;
    code = list_walk(&line, &list);
    if (code == 0 && cli_open(cli, DLMGR_EITHER, handle, &error) != 0)
        code = cli_fail_error(cli, &error, NULL);
    line.handle = *handle;
    if (code == 0)
        code = list_walk(&line, &list);
    cli_list_close(&list);
    *ret_changed = line.changed;
    return code;
}

static int change_fill(struct cli *cli, dlmgr_change *change)
{
    const struct args *args = &cli->args;
    bool any = args->new_url || args->add.out || args->add.dir || args->add.priority != INT_MIN ||
               args->add.limit_rate >= 0 || args->add.start_after >= 0;

    dlmgr_change_init(change);
    change->url = args->new_url;
    change->out = args->add.out;
    change->dir = args->add.dir;
    if (args->add.priority != INT_MIN) {
        change->has_priority = 1;
        change->priority = args->add.priority;
    }
    if (args->add.limit_rate >= 0)
        change->limit_rate = args->add.limit_rate;
    if (args->add.start_after >= 0)
        change->start_after = args->add.start_after;
    if (!any)
        return cli_fail(cli, EXIT_USAGE, "set: change what? see dlmgr set --help");
    return 0;
}

static int set_ids(struct cli *cli, dlmgr **handle, const struct ids *ids, int64_t *ret_changed)
{
    dlmgr_change change;
    dlmgr_error error;
    size_t i;
    int code = change_fill(cli, &change);

    if (code)
        return code;
    if (cli_open(cli, DLMGR_EITHER, handle, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    for (i = 0; i < ids->n; i++, (*ret_changed)++)
        if (dlmgr_set(*handle, ids->items[i], &change, &error) != 0)
            return cli_fail_error(cli, &error, NULL);
    return 0;
}

int cli_set(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    struct ids ids = {0};
    int64_t changed = 0;
    int code = 0;

    if (!cli->args.operands.n == !cli->args.input)
        return cli_fail(cli, EXIT_USAGE, "set: ids with options, or -i FILE; see dlmgr set --help");
    if (cli->args.input) {
        code = set_list(cli, &handle, &changed);
    } else {
        code = cli_ids_read(cli, &ids);
        code = code ? code : set_ids(cli, &handle, &ids, &changed);
        cli_ids_free(&ids);
    }
    if (code)
        return code;
    return cli_act_end(cli, &handle, changed, "changed");
}
