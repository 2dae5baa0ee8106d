/* SPDX-License-Identifier: MIT */
/*
 * plan.h - how a file is cut: which bytes the next connection fetches.
 *
 * A file is blocks of 1 MiB, each filled from its start; what is missing of a block is its end. A segment begins at a block
 * boundary or where a partly filled block stops, and runs to where present bytes or another segment begin. Nothing of
 * this is stored: the plan may change at any time, the blocks say what is there.
 */
#ifndef DLM_PLAN_H
#define DLM_PLAN_H

#include "dlmgr/base.h"

#define DLM_BLOCK MIB(1)
#define DLM_PIECE_MIN MIB(4) /* no connection is opened for less when that means cutting */
#define DLM_SPLIT_OVER                                                                             \
    MIB(16) /* larger files get DLM_SPLIT_DEFAULT connections when nothing was asked */
#define DLM_SPLIT_DEFAULT 4
#define DLM_CONNECTIONS_MAX 16

struct dlm_block {
    uint32_t len; /* present, from the start of the block */
    uint32_t crc; /* CRC-32C of those */
};

/* A connection at work on [start, end); pos is the next byte it will write. end -1: to the end, wherever that is. */
struct dlm_segment {
    int64_t start, pos, end;
};

struct dlm_cut {
    int64_t start, end; /* to fetch; end -1: to the end, total unknown */
    int victim;         /* index of the active segment whose end becomes `start`, or -1 */
};

/*
 * What the next connection should fetch; false: nothing. `wanted` is how many connections the file should have in all, active ones
 * included; with that many active the answer is false. Free gaps come first, in file order, each shared fairly
 * among those wanted; then the biggest active remainder is split at a block boundary. An unknown total (-1) is never split.
 */
bool dlm_plan_next(const struct dlm_block *blocks, size_t n_blocks, int64_t total,
                   const struct dlm_segment *active, int n_active, int wanted, struct dlm_cut *ret);

/*
 * How many connections a file should have. asked 0: the default. strong: its validator is, and ranges work. restarts: times that it
 * began anew because segments did not agree; after two it is fetched by one connection.
 */
int dlm_plan_connections(int64_t total, int asked, bool strong, int64_t restarts);

/* Bytes that are present. */
int64_t dlm_blocks_bytes(const struct dlm_block *blocks, size_t n_blocks);

/* How many blocks a file of this size has. */
size_t dlm_blocks_count(int64_t total);

/* Length of block i when full; total -1: DLM_BLOCK. */
int64_t dlm_block_full(int64_t total, size_t i);

#endif
