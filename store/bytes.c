/* SPDX-License-Identifier: MIT */
/*
 * bytes.c - which bytes of a task's current generation are on the disk.
 *
 * A block is a MiB of the file, filled from its start: {idx, len, crc}. The caller has synced the part
 * before it counts a block here, and names the generation that it wrote; when the row has gone on to
 * another one meanwhile, the count is refused: bytes of two versions never stand in one list.
 *
 * A generation that begins at zero (begin_generation) drops blocks and hints in the transaction that stores its
 * validator, total and part: it is durable before the first byte of it is written.
 *
 * Hints are what the slots of a killed owner said; they count nothing until they were read back.
 */
#include "store/internal.h"

int dlm_bytes_clear(struct dlm_store *s, int64_t id)
{
    int64_t any;
    int r = dlm_sql_int(s, Q_BYTES_ANY, &any, "l", id);

    if (r <= 0) /* a small file has none; deleting nothing costs seven times as much */
        return r;
    r = dlm_sql_run(s, Q_BLOCK_CLEAR, "l", id);
    return r == 0 ? dlm_sql_run(s, Q_HINT_CLEAR, "l", id) : r;
}

int dlm_store_begin_generation(struct dlm_store *s, const struct dlm_begin *b,
                               int64_t *ret_generation)
{
    struct dlm_core core;
    int r = dlm_task_core(s, b->id, NULL, &core);

    if (r < 0)
        return r;
    if (core.state != DLMGR_RUNNING)
        return DLMGR_ESTATE;
    core.generation += b->bump;
    if ((r = dlm_bytes_clear(s, b->id)) < 0 ||
        (r = dlm_sql_run(s, Q_BEGIN_GENERATION,
                         "llsl"
                         "ssss",
                         b->id, core.generation, b->validator, b->total, b->name, b->part, b->url,
                         b->offered)) < 0 ||
        (b->bump && (r = dlm_event_add(s, &core, "restarted", false, b->reason)) < 0))
        return r;
    *ret_generation = core.generation;
    return 0;
}

/* An update of the row that must meet its generation. */
static int met(struct dlm_store *s, int64_t id)
{
    struct dlm_core core;
    int r;

    if (dlm_sql_changes(s) == 1)
        return 0;
    r = dlm_task_core(s, id, NULL, &core);
    return r < 0 ? r : DLMGR_ESTATE;
}

int dlm_store_checkpoint(struct dlm_store *s, int64_t id, int64_t generation,
                         const struct dlm_ident *ident, const struct dlm_block_row *blocks,
                         size_t n, int64_t bytes)
{
    int r = dlm_sql_run(s, Q_CHECKPOINT, "llllll", id, generation, bytes, (int64_t)ident->ino,
                        ident->btime_ns, ident->size);

    if (r == 0)
        r = met(s, id);
    for (size_t i = 0; i < n && r == 0; i++)
        r = dlm_sql_run(s, Q_BLOCK_PUT, "llll", id, (int64_t)blocks[i].idx, (int64_t)blocks[i].len,
                        (int64_t)blocks[i].crc);
    return r;
}

int dlm_store_uncount(struct dlm_store *s, int64_t id, int64_t generation, const uint32_t *idx,
                      size_t n, int64_t bytes)
{
    int r = dlm_sql_run(s, Q_COUNT_BYTES, "lll", id, generation, bytes);

    if (r == 0)
        r = met(s, id);
    for (size_t i = 0; i < n && r == 0; i++)
        r = dlm_sql_run(s, Q_BLOCK_DROP, "ll", id, (int64_t)idx[i]);
    return r;
}

/* ---- Reading ------------------------------------------------------------------------------------------- */

/* Room for one more item of a growing array; NULL when out of memory. */
static void *one_more(void **items, size_t n, size_t size)
{
    void *grown;

    /* Grows at powers of two: n has one bit, or none. */
    if ((n & (n - 1)) == 0) {
        grown = dlm_realloc(*items, (n ? 2 * n : 1) * size);
        if (!grown)
            return NULL;
        *items = grown;
    }
    return (char *)*items + n * size;
}

typedef void (*item_fn)(sqlite3_stmt *st, int64_t id, void *item);

/* All rows of query q about this task, as an array of items of `size` bytes; the caller frees it. */
static int read_list(struct dlm_store *s, int q, int64_t id, size_t size, item_fn read, void **ret,
                     size_t *ret_n)
{
    CLEANUP_FREE void *items = NULL;
    size_t n = 0;
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, q, "l", id);

    while (r == 0 && (r = dlm_sql_row(s, q, &st)) > 0) {
        void *item = one_more(&items, n, size);

        r = item ? 0 : DLMGR_ENOMEM;
        if (item) {
            read(st, id, item);
            n++;
        }
    }
    dlm_sql_end(s, q);
    if (r == 0) {
        *ret = TAKE_PTR(items);
        *ret_n = n;
    }
    return r;
}

static void read_block(sqlite3_stmt *st, int64_t id, void *item)
{
    struct dlm_block_row *block = item;

    (void)id;
    *block = (struct dlm_block_row){.idx = (uint32_t)sqlite3_column_int64(st, 0),
                                    .len = (uint32_t)sqlite3_column_int64(st, 1),
                                    .crc = (uint32_t)sqlite3_column_int64(st, 2)};
}

int dlm_store_blocks(struct dlm_store *s, int64_t id, struct dlm_block_row **ret, size_t *ret_n)
{
    void *items;
    int r = read_list(s, Q_BLOCK_LIST, id, sizeof(**ret), read_block, &items, ret_n);

    if (r == 0)
        *ret = items;
    return r;
}

int dlm_store_hint_add(struct dlm_store *s, const struct dlm_hint *h)
{
    int r = dlm_sql_run(s, Q_HINT_ADD, "llsllllll", h->task, h->generation, h->boot, (int64_t)h->dev,
                        (int64_t)h->ino, h->start, h->end, (int64_t)h->chain, (int64_t)h->crc);

    return r == 0 && dlm_sql_changes(s) != 1 ? DLMGR_ENOTFOUND : r;
}

static void read_hint(sqlite3_stmt *st, int64_t id, void *item)
{
    struct dlm_hint *h = item;
    const char *boot = (const char *)sqlite3_column_text(st, 1);

    *h = (struct dlm_hint){.task = id,
                           .generation = sqlite3_column_int64(st, 0),
                           .dev = (uint64_t)sqlite3_column_int64(st, 2),
                           .ino = (uint64_t)sqlite3_column_int64(st, 3),
                           .start = sqlite3_column_int64(st, 4),
                           .end = sqlite3_column_int64(st, 5),
                           .chain = (uint32_t)sqlite3_column_int64(st, 6),
                           .crc = (uint32_t)sqlite3_column_int64(st, 7)};
    if (boot)
        memcpy(h->boot, boot, MIN(strlen(boot), sizeof(h->boot) - 1));
}

int dlm_store_hints(struct dlm_store *s, int64_t id, struct dlm_hint **ret, size_t *ret_n)
{
    void *items;
    int r = read_list(s, Q_HINT_LIST, id, sizeof(**ret), read_hint, &items, ret_n);

    if (r == 0)
        *ret = items;
    return r;
}

int dlm_store_hints_drop(struct dlm_store *s, int64_t id)
{
    return dlm_sql_run(s, Q_HINT_CLEAR, "l", id);
}
