/* SPDX-License-Identifier: MIT */
/*
 * without.c - syncs that can be taken out: what only they make firm stays pending for ever. See power.h.
 */
#include "power.h"

#include "dlmgr/base.h"

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool part_bytes(const struct change *c, const struct op *sync)
{
    (void)sync;
    return c->op->kind == OP_WRITE && ends(c->op->path, ".part");
}

static bool block_bytes(const struct change *c, const struct op *sync)
{
    return part_bytes(c, sync) && strstr(c->op->path, "/big.");
}

static bool part_name(const struct change *c, const struct op *sync)
{
    (void)sync;
    return c->op->kind == OP_CREATE && c->target >= 0 && ends(c->op->path, ".part");
}

static bool final_name(const struct change *c, const struct op *sync)
{
    (void)sync;
    return c->op->kind == OP_RENAME && ends(c->op->path, ".part");
}

static bool journal_commit(const struct change *c, const struct op *sync)
{
    (void)sync;
    return c->op->kind == OP_WRITE && ends(c->op->path, "/journal.db-wal");
}

static bool journal_opened(const struct change *c, const struct op *sync)
{
    return journal_commit(c, sync) && sync->launch != c->op->launch;
}

static bool journal_name(const struct change *c, const struct op *sync)
{
    (void)sync;
    return c->op->kind == OP_RENAME && ends(c->op->path2, "/journal.db");
}

static bool secrets_commit(const struct change *c, const struct op *sync)
{
    (void)sync;
    return c->op->kind == OP_WRITE && ends(c->op->path, "/secrets.db-wal");
}

static bool claimed_name(const struct change *c, const struct op *sync)
{
    (void)sync;
    return c->op->kind == OP_RENAME && c->from != c->thing;
}

const struct without withouts[] = {
    {"part-bytes", "small", "sync of a whole part before its name", part_bytes},
    {"block-bytes", "large", "sync of a part before the journal counts its blocks", block_bytes},
    {"part-name", "large", "sync of its directory before its bytes count", part_name},
    {"final-name", "small", "sync of the directory before done", final_name},
    {"journal-commit", "small", "sync of the journal's WAL at a commit", journal_commit},
    {"journal-opened", "opened", "sync of the WAL that an opener found", journal_opened},
    {"secrets-commit", "small", "sync of secrets.db before the journal", secrets_commit},
    {"journal-name", "small", "sync of the home with a new journal", journal_name},
    {"claimed-name", "small", "sync of the directory of a claim", claimed_name},
};
const size_t n_withouts = ARRAY_SIZE(withouts);
