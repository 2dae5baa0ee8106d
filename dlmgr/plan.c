/* SPDX-License-Identifier: MIT */
/*
 * plan.c - how a file is cut: see plan.h.
 *
 * The blocks are walked once from the start, giving runs of missing bytes; the parts of a run that an active
 * segment has taken are left out, and the first free part is cut:
 *
 *     blocks   |####|####|##..|....|....|....|####|....|....|      # present, . missing
 *     active                  [pos........end)
 *     free                                   ^^        ^^^^^^^
 *
 * A fair share is what is missing (in free gaps and before active ones) divided by the connections wanted, so that
 * four connections on one gap get a quarter each and ask once. When nothing is free, the active segment
 * with most before it gives up its last part: a half when one more connection is wanted, a quarter when three are.
 *
 * What must hold: what is returned is missing, belongs to no active segment (but the victim), is not empty, and
 * begins at a block boundary or where a partly filled block stops.
 */
#include "dlmgr/plan.h"

#define TO_THE_END INT64_MAX /* the end of a file whose total is unknown */

struct file {
    const struct dlm_block *blocks;
    size_t n_blocks;
    int64_t total; /* TO_THE_END when unknown */
    const struct dlm_segment *active;
    int n_active;
};

static int64_t round_up(int64_t n)
{
    return (n + DLM_BLOCK - 1) / DLM_BLOCK * DLM_BLOCK;
}

int64_t dlm_block_full(int64_t total, size_t i)
{
    if (total < 0)
        return DLM_BLOCK;
    return MIN(MAX(total - (int64_t)i * DLM_BLOCK, 0), DLM_BLOCK);
}

size_t dlm_blocks_count(int64_t total)
{
    return total > 0 ? (size_t)((total - 1) / DLM_BLOCK + 1) : 0;
}

int64_t dlm_blocks_bytes(const struct dlm_block *blocks, size_t n_blocks)
{
    int64_t sum = 0;

    for (size_t i = 0; i < n_blocks; i++)
        sum += blocks[i].len;
    return sum;
}

/* The first missing byte at or after `from` (a block boundary or inside a run of missing bytes); total: none. */
static int64_t find_missing(const struct file *f, int64_t from)
{
    size_t i = (size_t)(from / DLM_BLOCK);

    for (; i < f->n_blocks && (int64_t)i * DLM_BLOCK < f->total; i++) {
        int64_t stop = (int64_t)i * DLM_BLOCK + f->blocks[i].len;

        if (f->blocks[i].len < dlm_block_full(f->total, i))
            return MAX(from, stop);
        from = MIN(f->total, (int64_t)(i + 1) * DLM_BLOCK);
    }
    return MIN(from, f->total);
}

/* Where the run of missing bytes ends that `from` is in. */
static int64_t find_present(const struct file *f, int64_t from)
{
    for (size_t i = (size_t)(from / DLM_BLOCK) + 1; i < f->n_blocks; i++)
        if (f->blocks[i].len > 0)
            return MIN(f->total, (int64_t)i * DLM_BLOCK);
    return f->total;
}

static int64_t segment_end(const struct file *f, const struct dlm_segment *s)
{
    return s->end < 0 ? f->total : MIN(s->end, f->total);
}

/* The first part of [*start, *end) that no active segment has taken; false: none is left. */
static bool find_free(const struct file *f, int64_t *start, int64_t *end)
{
    for (int i = 0; i < f->n_active && *start < *end; i++) {
        const struct dlm_segment *s = &f->active[i];

        if (s->start <= *start && segment_end(f, s) > *start) {
            *start = segment_end(f, s);
            i = -1; /* another may begin where this one ends */
        }
    }
    for (int i = 0; i < f->n_active; i++)
        if (f->active[i].start > *start && f->active[i].start < *end)
            *end = f->active[i].start;
    return *start < *end;
}

/* The first free gap at or after `from`. */
static bool find_gap(const struct file *f, int64_t from, int64_t *ret_start, int64_t *ret_end)
{
    while (from < f->total) {
        int64_t start = find_missing(f, from), end;

        if (start >= f->total)
            return false;
        end = from = find_present(f, start);
        if (find_free(f, &start, &end)) {
            *ret_start = start;
            *ret_end = end;
            return true;
        }
    }
    return false;
}

/* All that somebody must still fetch. */
static int64_t sum_missing(const struct file *f)
{
    int64_t sum = 0, start, end;

    for (int i = 0; i < f->n_active; i++)
        sum += MAX(segment_end(f, &f->active[i]) - f->active[i].pos, 0);
    for (int64_t from = 0; find_gap(f, from, &start, &end); from = end)
        sum += end - start;
    return sum;
}

static void cut_gap(const struct file *f, int wanted, int64_t start, int64_t end,
                    struct dlm_cut *ret)
{
    if (f->total != TO_THE_END && wanted > 1) {
        int64_t share = MAX(sum_missing(f) / wanted, DLM_PIECE_MIN);

        if (end - start > share && end - round_up(start + share) >= DLM_PIECE_MIN)
            end = round_up(start + share);
    }
    *ret = (struct dlm_cut){start, end == TO_THE_END ? -1 : end, -1};
}

static bool cut_active(const struct file *f, int wanted, struct dlm_cut *ret)
{
    int64_t most = 0, piece, at;
    int victim = -1;

    for (int i = 0; i < f->n_active; i++) {
        int64_t rest = segment_end(f, &f->active[i]) - f->active[i].pos;

        if (rest > most) {
            most = rest;
            victim = i;
        }
    }
    if (victim < 0 || f->total == TO_THE_END)
        return false;
    piece = MAX(most / (wanted - f->n_active + 1), DLM_PIECE_MIN);
    at = round_up(segment_end(f, &f->active[victim]) - piece);
    if (at - f->active[victim].pos < DLM_PIECE_MIN)
        return false;
    *ret = (struct dlm_cut){at, segment_end(f, &f->active[victim]), victim};
    return true;
}

bool dlm_plan_next(const struct dlm_block *blocks, size_t n_blocks, int64_t total,
                   const struct dlm_segment *active, int n_active, int wanted, struct dlm_cut *ret)
{
    struct file f = {blocks, n_blocks, total < 0 ? TO_THE_END : total, active, n_active};
    int64_t start, end;

    if (n_active >= wanted)
        return false;
    if (find_gap(&f, 0, &start, &end)) {
        cut_gap(&f, wanted, start, end, ret);
        return true;
    }
    return cut_active(&f, wanted, ret);
}

int dlm_plan_connections(int64_t total, int asked, bool strong, int64_t restarts)
{
    int64_t wanted = asked;

    if (total < 0 || !strong || restarts >= 2)
        return 1;
    if (asked <= 0)
        wanted = total > DLM_SPLIT_OVER ? DLM_SPLIT_DEFAULT : 1;
    wanted = MIN(wanted, DLM_CONNECTIONS_MAX);
    wanted = MIN(wanted, total / DLM_PIECE_MIN);
    return (int)MAX(wanted, 1);
}
