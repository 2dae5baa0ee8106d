/* SPDX-License-Identifier: MIT */
/*
 * adding.c - check everything, then add it in batches.
 *
 * The command line's URLs are one batch of their own kind: they are added in one transaction, all or none. A list is checked whole
 * first (same reading, each entry through dlmgr_check), then read again and added a thousand at a time, each batch durable before
 * the next is built. If adding stops in between (disk full, owner gone), what was printed is in the journal and the rest is
 * not, and the message says so.
 *
 * Looking for unfinished tasks of the same URL, directory and name costs one question a batch, and none when the journal has
 * nothing unfinished.
 */
#include "cli/adding.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 10000 }; /* of dlmgr_add() */

struct batch {
    struct cli *cli;
    struct adding *adding;
    struct arena arena; /* strings of the entries */
    struct entry *entries;
    dlmgr_request *requests;
    int64_t *ids;
    unsigned char *found;
    size_t n, room;
    int64_t done; /* tasks that earlier batches added */
};

static void batch_init(struct batch *batch, struct cli *cli, struct adding *adding, size_t room)
{
    *batch = (struct batch){.cli = cli, .adding = adding, .room = room};
    batch->entries = cli_arena_alloc(&cli->arena, room * sizeof(*batch->entries));
    batch->requests = cli_arena_alloc(&cli->arena, room * sizeof(*batch->requests));
    batch->ids = cli_arena_alloc(&cli->arena, room * sizeof(*batch->ids));
    batch->found = cli_arena_alloc(&cli->arena, room);
}

static int batch_find(struct batch *batch, dlmgr_error *error)
{
    size_t i;
    int r;

    memset(batch->ids, 0, batch->n * sizeof(*batch->ids));
    if (batch->adding->find) {
        r = dlmgr_find(batch->adding->handle, batch->requests, batch->n, batch->ids, error);
        if (r)
            return r;
    }
    for (i = 0; i < batch->n; i++)
        batch->found[i] = batch->ids[i] != 0;
    return 0;
}

/* A message to the owner holds 4 MiB: of a list, which is added piece by piece anyway, each half is tried then. */
static int add_some(const struct batch *batch, const dlmgr_request *requests, size_t n,
                    int64_t *ret_ids, size_t *ret_bad, dlmgr_error *error)
{
    int r = dlmgr_add(batch->adding->handle, requests, n, ret_ids, ret_bad, error);

    if (r != DLMGR_ELIMIT || n < 2 || !batch->adding->list.file)
        return r;
    r = add_some(batch, requests, n / 2, ret_ids, ret_bad, error);
    if (r)
        return r;
    r = add_some(batch, requests + n / 2, n - n / 2, ret_ids + n / 2, ret_bad, error);
    *ret_bad += n / 2;
    return r;
}

/* Add those that were not found; requests move together, and ids go back to where they belong. */
static int batch_add(struct batch *batch, size_t *ret_bad, dlmgr_error *error)
{
    FREES int64_t *ids = malloc((batch->n ? batch->n : 1) * sizeof(*ids));
    size_t i, n = 0, bad = 0, seen;
    int r = 0;

    if (!ids) {
        *error = (dlmgr_error){.code = DLMGR_ENOMEM};
        return DLMGR_ENOMEM;
    }
    for (i = 0; i < batch->n; i++)
        if (!batch->found[i])
            batch->requests[n++] = batch->requests[i];
    if (n)
        r = add_some(batch, batch->requests, n, ids, &bad, error);
    for (i = 0, seen = 0; i < batch->n; i++)
        if (!batch->found[i]) {
            if (r == 0)
                batch->ids[i] = ids[seen];
            else if (seen == bad)
                *ret_bad = i;
            seen++;
        }
    return r;
}

static int batch_fail(struct batch *batch, const dlmgr_error *error, size_t bad)
{
    char name[512];
    bool names_one = error->code == DLMGR_EINVAL || error->code == DLMGR_EEXIST;
    int code = cli_fail_error(batch->cli, error,
                              names_one ? cli_entry_name(&batch->entries[bad], name, sizeof(name))
                                        : NULL);

    if (batch->done)
        cli_note(batch->cli, "the first %lld were added, the rest was not", (long long)batch->done);
    return code;
}

static int batch_end(struct batch *batch)
{
    size_t i, bad = 0;
    dlmgr_error error;
    int code;

    if (batch->n == 0)
        return 0;
    for (i = 0; i < batch->n; i++)
        cli_request(&batch->entries[i], &batch->requests[i]);
    if (batch_find(batch, &error) || batch_add(batch, &bad, &error))
        return batch_fail(batch, &error, bad);
    code = batch->adding->added(batch->cli, batch->entries, batch->ids, batch->found, batch->n,
                                batch->adding->context);
    batch->done += (int64_t)batch->n;
    batch->n = 0;
    cli_arena_reset(&batch->arena);
    return code;
}

static int batch_put(struct cli *cli, const struct entry *entry, void *context)
{
    struct batch *batch = context;

    (void)cli;
    batch->entries[batch->n++] = *entry;
    return batch->n == batch->room ? batch_end(batch) : 0;
}

/* ---- The whole command ------------------------------------------------------------------------- */

static int arguments(struct cli *cli, entry_fn fn, void *context)
{
    struct entry entry = {.add = cli->args.add};
    size_t i;
    int code = 0;

    for (i = 0; i < cli->args.operands.n && code == 0; i++) {
        entry.url = cli->args.operands.items[i];
        entry.line = (int64_t)i + 1;
        code = fn(cli, &entry, context);
    }
    return code;
}

struct checking {
    struct arena arena;
    int64_t n;
};

static int check_entry(struct cli *cli, const struct entry *entry, void *context)
{
    struct checking *checking = context;
    int code = cli_entry_check(cli, entry, NULL);

    checking->n++;
    cli_arena_reset(&checking->arena);
    return code;
}

int cli_adding_check(struct cli *cli, struct adding *adding)
{
    struct checking checking = {0};
    int code = arguments(cli, cli_entry_check, NULL);

    if (code || !cli->args.input)
        return code;
    code = cli_list_open(cli, cli->args.input, &adding->list);
    if (code)
        return code;
    code = cli_list_read(cli, &adding->list, &cli->args.add, &checking.arena, check_entry,
                         &checking);
    cli_arena_free(&checking.arena);
    if (code == 0 && checking.n == 0)
        cli_note(cli, "%s: no URL in it", adding->list.name);
    return code;
}

/* A journal without anything unfinished has nothing to continue. */
static int something_unfinished(struct cli *cli, struct adding *adding)
{
    dlmgr_counts counts = {.size = sizeof(counts)};
    dlmgr_error error;

    if (adding->find && dlmgr_count(adding->handle, &counts, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    adding->find = adding->find && cli_live(&counts) + counts.by_state[DLMGR_PAUSED] > 0;
    return 0;
}

int cli_adding_add(struct cli *cli, struct adding *adding)
{
    struct batch batch;
    int code = something_unfinished(cli, adding);

    if (code == 0 && cli->args.operands.n) {
        batch_init(&batch, cli, adding,
                   cli->args.operands.n < BATCH_MAX ? cli->args.operands.n : BATCH_MAX);
        code = arguments(cli, batch_put, &batch);
        code = code ? code : batch_end(&batch);
        cli_arena_free(&batch.arena);
    }
    if (code == 0 && adding->list.file) {
        /* An owner has other things to commit as well; alone, each batch is an opening of the journal. */
        batch_init(&batch, cli, adding,
                   dlmgr_place_of(adding->handle) == DLMGR_PLACE_JOURNAL ? BATCH_ALONE : BATCH);
        code = cli_list_read(cli, &adding->list, &cli->args.add, &batch.arena, batch_put, &batch);
        code = code ? code : batch_end(&batch);
        cli_arena_free(&batch.arena);
    }
    return code;
}

void cli_adding_end(struct adding *adding)
{
    cli_list_close(&adding->list);
}
