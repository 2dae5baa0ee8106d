/* SPDX-License-Identifier: MIT */
/*
 * add.c - put tasks in the journal and leave.
 *
 * Ids are printed, batch by batch, when they are durable, and are written out before anything else happens, so that
 * whoever reads them knows the truth even if this process ends at once. Then the daemon is started unless somebody owns the home.
 */
#include "cli/adding.h"
#include "cli/follow.h"

#include <stdio.h>

static int print_ids(struct cli *cli, const struct entry *entries, const int64_t *ids,
                     const unsigned char *found, size_t n, void *context)
{
    char line[48];
    size_t i;

    (void)entries;
    (void)found;
    (void)context;
    for (i = 0; i < n; i++) {
        snprintf(line, sizeof(line), cli->args.json ? "{\"v\":1,\"id\":%lld}" : "%lld",
                 (long long)ids[i]);
        cli_print_raw(cli, line);
    }
    /* A reader that went away is no reason to leave the rest of a list out. */
    cli_flush(cli);
    return cli_interrupted() ? EXIT_INTERRUPTED : 0;
}

static int add_all(struct cli *cli, struct adding *adding, bool *ret_owner)
{
    CLOSES dlmgr *handle = NULL;
    dlmgr_error error;
    int code = cli_adding_check(cli, adding);

    if (code)
        return code;
    if (cli_open(cli, DLMGR_EITHER, &handle, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    adding->handle = handle;
    code = cli_adding_add(cli, adding);
    *ret_owner = dlmgr_place_of(handle) != DLMGR_PLACE_JOURNAL;
    return code;
}

int cli_add(struct cli *cli)
{
    struct adding adding = {.added = print_ids};
    bool has_owner = false;
    int code = cli_add_prepare(cli);

    if (code)
        return code;
    cli_signals_catch();
    code = add_all(cli, &adding, &has_owner);
    cli_adding_end(&adding);
    if (code == 0 && !has_owner && !cli->args.no_start)
        code = cli_daemon_need(cli);
    return cli_finish(cli, code, false);
}
