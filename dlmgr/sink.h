/* SPDX-License-Identifier: MIT */
/*
 * sink.h - the part file: where bytes go, which of them are there, and what the journal may count.
 *
 * A sink is one generation of one task. It writes at offsets, keeps a checksum for each block of 1 MiB, and tells what has been
 * written since the last count. Connections write through writers; each writer fills its blocks from their start,
 * 64 KiB at a time, and stores its slot after each piece.
 *
 * The order that must hold: dlm_sink_snapshot(), then dlm_sink_sync() on a worker, then the journal counts the
 * snapshot. What a failed sync covered is never counted: the sink is given up and the task begins again from the journal.
 *
 * Writing and snapshots belong to the loop thread; create, open and sync are for workers, one at a time for a sink.
 */
#ifndef DLM_SINK_H
#define DLM_SINK_H

#include "dlmgr/dir.h"
#include "dlmgr/plan.h"
#include "dlmgr/slots.h"

#include <stdatomic.h>

struct dlm_sink {
    struct dlm_dir *dir; /* a reference of its own */
    char *part;          /* its name in there */
    int fd;
    uint64_t dev;
    struct dlm_ident ident;
    int64_t total; /* -1 unknown */
    struct dlm_block *blocks;
    unsigned char *dirty; /* a byte for each block: written since the last snapshot */
    size_t n, cap;        /* blocks that exist; allocated */
    int64_t bytes;        /* present */
    int64_t uncounted;    /* of them, not in any snapshot yet */
    /* Of connections that have ended: what they wrote is not counted yet, so their claims stand. */
    struct dlm_slots *slots;
    struct dlm_slot **kept;
    size_t n_kept, cap_kept;
    size_t n_covered; /* the first so many are in the last snapshot */
};

/* What a part should be like when it is found again. */
struct dlm_expect {
    const struct dlm_ident *ident; /* of the last checkpoint; NULL: any regular file of ours */
    const struct dlm_block_row *rows;
    size_t n_rows;
    const struct dlm_hint *hints;
    size_t n_hints;
    int64_t generation;
    const atomic_bool *stop; /* true: reading back gives up, DLMGR_ECLOSED; NULL: never */
};

/*
 * Make the part, empty. What stands at its name is ours by the name (an earlier owner was killed before its first checkpoint) and is emptied, unless it
 * is not a regular file with one name and our uid: DLMGR_EHOME with its kind. Takes a reference of dir.
 */
int dlm_sink_create(struct dlm_dir *dir, const char *part, int64_t total, struct dlm_sink **ret,
                    dlmgr_error *e);

/*
 * Find the part again and believe only what is read back: counted blocks whose checksum agrees, and the hints of this boot, inode and
 * generation, after a sync of the part. DLMGR_ENOTFOUND: no such part, or another file stands there.
 */
int dlm_sink_open(struct dlm_dir *dir, const char *part, int64_t total,
                  const struct dlm_expect *expect, struct dlm_sink **ret, dlmgr_error *e);
/* Closes; the part stays. What is not counted by now will be fetched again: its slots are free. */
struct dlm_sink *dlm_sink_free(struct dlm_sink *s);

/* One connection's way in. */
struct dlm_writer {
    struct dlm_sink *sink;
    struct dlm_slot *slot; /* may be NULL */
    int64_t pos;
    uint32_t chain;
};

/* begin: where its segment begins, which is the end of the bytes present in that block. slots may be NULL. */
void dlm_writer_start(struct dlm_writer *w, struct dlm_sink *s, struct dlm_slots *slots,
                      int64_t task, int64_t generation, int64_t begin);
/* 0 or -errno (-ENOMEM too); what was written before the failure is in. */
int dlm_writer_write(struct dlm_writer *w, const void *data, size_t len);
/* Its slot stays with the sink until what it wrote is counted. */
void dlm_writer_stop(struct dlm_writer *w, struct dlm_slots *slots);

/* What was written since the last snapshot: *ret_rows is yours, free(). */
int dlm_sink_snapshot(struct dlm_sink *s, struct dlm_block_row **ret_rows, size_t *ret_n);
/* The last snapshot is in the journal: the slots of connections that had ended before it are free. */
void dlm_sink_counted(struct dlm_sink *s);
/* fdatasync, and its identity anew; 0 or -errno. */
int dlm_sink_sync(struct dlm_sink *s, struct dlm_ident *ret_ident);
/* Does the part's name still stand for this file? */
bool dlm_sink_named(const struct dlm_sink *s);
bool dlm_sink_complete(const struct dlm_sink *s);
/* One without its file yet; a reference of dir is its own. */
int dlm_sink_new(struct dlm_dir *dir, const char *part, int64_t total, struct dlm_sink **ret,
                 dlmgr_error *e);
/* Room for so many blocks, the new ones empty; 0 or -ENOMEM. */
int dlm_sink_reserve(struct dlm_sink *s, size_t blocks);
/* The identity of what an open descriptor is; 0 or -errno. */
int dlm_ident_of(int fd, struct dlm_ident *ret, uint64_t *ret_dev);
/* The same of what a name in a directory stands for; a symlink is looked at itself. */
int dlm_ident_at(int dirfd, const char *name, struct dlm_ident *ret, uint64_t *ret_dev);
bool dlm_ident_same_file(const struct dlm_ident *a,
                         const struct dlm_ident *b); /* inode and birth; not the size */

#endif
