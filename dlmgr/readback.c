/* SPDX-License-Identifier: MIT */
/*
 * readback.c - finding a part again: dlm_sink_open() of sink.h.
 *
 * Nothing is taken on trust. The file must be the one that the journal knows (inode and birth time); each counted block is read and
 * its checksum compared; one that differs is simply not there. A hint of a killed owner is believed whole or not at all: the blocks
 * from its start to its end are read, their checksums folded into the chain, and the last one compared.
 *
 * The sync comes first: what was read from the page cache could be gone after a power cut, and once it is in the sink it
 * counts.
 */
#include "dlmgr/sink.h"

#include <fcntl.h>
#include <sys/stat.h>

struct reader {
    int fd;
    unsigned char *buffer; /* one block */
    char boot[40];
};

/* The checksum of the first len bytes of block i; false: the file is shorter or cannot be read. */
static bool block_crc(struct reader *r, size_t i, size_t len, uint32_t *ret)
{
    if (len > (size_t)DLM_BLOCK ||
        dlm_pread_all(r->fd, r->buffer, len, (int64_t)i * DLM_BLOCK) != (ssize_t)len)
        return false;
    *ret = dlm_crc32c(0, r->buffer, len);
    return true;
}

static int take_counted(struct dlm_sink *s, struct reader *r, const struct dlm_expect *x)
{
    for (size_t k = 0; k < x->n_rows; k++) {
        const struct dlm_block_row *row = &x->rows[k];
        uint32_t crc;

        if (x->stop && atomic_load(x->stop))
            return DLMGR_ECLOSED;

        if ((int64_t)row->len > dlm_block_full(s->total, row->idx) ||
            !block_crc(r, row->idx, row->len, &crc) || crc != row->crc)
            continue;
        if (dlm_sink_reserve(s, (size_t)row->idx + 1) < 0)
            return DLMGR_ENOMEM;
        s->blocks[row->idx] = (struct dlm_block){.len = row->len, .crc = crc};
    }
    return 0;
}

static bool hint_fits(const struct dlm_sink *s, const char *boot, const struct dlm_expect *x,
                      const struct dlm_hint *h)
{
    return boot[0] && strcmp(boot, h->boot) == 0 && h->generation == x->generation &&
           h->ino == s->ident.ino && h->dev == s->dev && h->start >= 0 && h->end > h->start &&
           (s->total < 0 || h->end <= s->total) && h->end <= s->ident.size;
}

/* Read what the hint claims; on agreement its blocks are in `found`, from block h->start / DLM_BLOCK on. */
static bool hint_holds(struct reader *r, const struct dlm_hint *h, struct dlm_block *found,
                       size_t first, size_t n)
{
    uint32_t chain = 0, last = 0;

    for (size_t k = 0; k < n; k++) {
        size_t len = (size_t)MIN(DLM_BLOCK, h->end - (int64_t)(first + k) * DLM_BLOCK);

        if (!block_crc(r, first + k, len, &found[k].crc))
            return false;
        found[k].len = (uint32_t)len;
        last = found[k].crc;
        if (len == (size_t)DLM_BLOCK) {
            chain = dlm_chain(chain, found[k].crc);
            last = 0;
        }
    }
    return chain == h->chain && last == h->crc;
}

static int take_hint(struct dlm_sink *s, struct reader *r, const struct dlm_expect *x,
                     const struct dlm_hint *h)
{
    size_t first, n;
    CLEANUP_FREE struct dlm_block *found = NULL;

    if (!hint_fits(s, r->boot, x, h))
        return 0;
    first = (size_t)(h->start / DLM_BLOCK);
    n = (size_t)((h->end + DLM_BLOCK - 1) / DLM_BLOCK) - first;
    found = dlm_alloc(n * sizeof(*found));
    if (!found || dlm_sink_reserve(s, first + n) < 0)
        return DLMGR_ENOMEM;
    if (!hint_holds(r, h, found, first, n))
        return 0;
    for (size_t k = 0; k < n; k++) {
        if (s->blocks[first + k].len >= found[k].len)
            continue;
        s->blocks[first + k] = found[k];
        s->dirty[first + k] = 1;
    }
    return 0;
}

static int read_back(struct dlm_sink *s, const struct dlm_expect *x)
{
    CLEANUP_FREE unsigned char *buffer = dlm_alloc((size_t)DLM_BLOCK);
    struct reader r = {.fd = s->fd, .buffer = buffer};
    int err;

    if (!buffer)
        return DLMGR_ENOMEM;
    dlm_boot_id(r.boot);
    err = take_counted(s, &r, x);
    for (size_t k = 0; k < x->n_hints && err == 0; k++)
        err = take_hint(s, &r, x, &x->hints[k]);
    if (err < 0)
        return err;
    s->bytes = dlm_blocks_bytes(s->blocks, s->n);
    for (size_t i = 0; i < s->n; i++)
        if (s->dirty[i])
            s->uncounted += s->blocks[i].len;
    return 0;
}

/* Open the part if the file at its name is the one expected. */
static int open_part(struct dlm_sink *s, const struct dlm_expect *x, dlmgr_error *e)
{
    struct stat st;

    s->fd = dlm_fd_above_stdio(
        openat(s->dir->fd, s->part, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (s->fd < 0 && errno != ENOENT && errno != ELOOP && errno != EISDIR && errno != ENXIO)
        return dlm_fail_errno(e, DLMGR_EIO, s->part, "cannot open `%s/%s`", s->dir->path, s->part);
    if (s->fd < 0 || fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
        dlm_ident_of(s->fd, &s->ident, &s->dev) < 0 ||
        (x->ident && !dlm_ident_same_file(x->ident, &s->ident)))
        return dlm_fail(e, DLMGR_ENOTFOUND, "`%s/%s` is gone or another file", s->dir->path,
                        s->part);
    return 0;
}

int dlm_sink_open(struct dlm_dir *dir, const char *part, int64_t total,
                  const struct dlm_expect *expect, struct dlm_sink **ret, dlmgr_error *e)
{
    struct dlm_sink *s;
    struct dlm_ident synced;
    int r = dlm_sink_new(dir, part, total, &s, e);

    if (r < 0)
        return r;
    r = open_part(s, expect, e);
    if (r == 0 && (r = dlm_sink_sync(s, &synced)) < 0) {
        errno = -r;
        r = dlm_fail_errno(e, DLMGR_EIO, part, "cannot sync `%s/%s`", dir->path, part);
    }
    if (r == 0 && (r = read_back(s, expect)) < 0)
        dlm_fail(e, r,
                 r == DLMGR_ECLOSED ? "reading a part file back was broken off"
                                    : "no memory to read a part file back");
    if (r < 0) {
        dlm_sink_free(s);
        return r;
    }
    *ret = s;
    return 0;
}
