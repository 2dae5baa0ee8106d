/* SPDX-License-Identifier: MIT */
/*
 * sink.c - writing a part: see sink.h. Finding one again is in readback.c.
 *
 * Blocks are kept as {len, crc}: the crc is the checksum's whole state, so a block that a kill cut in the middle
 * goes on where it stopped. The array grows with the file when the total is not known.
 */
#include "dlmgr/sink.h"

#include <fcntl.h>
#include <sys/stat.h>

#define PIECE ((size_t)KIB(64)) /* the most that a kill between pwrite and slot can cost */

static int identify(int fd, const char *name, int flags, struct dlm_ident *ret, uint64_t *ret_dev)
{
    struct statx stx;

    if (statx(fd, name, flags, STATX_INO | STATX_SIZE | STATX_BTIME, &stx) < 0)
        return -errno;
    *ret = (struct dlm_ident){.ino = stx.stx_ino, .size = (int64_t)stx.stx_size};
    if (stx.stx_mask & STATX_BTIME)
        ret->btime_ns = stx.stx_btime.tv_sec * 1000000000 + stx.stx_btime.tv_nsec;
    if (ret_dev)
        *ret_dev = ((uint64_t)stx.stx_dev_major << 32) | stx.stx_dev_minor;
    return 0;
}

int dlm_ident_of(int fd, struct dlm_ident *ret, uint64_t *ret_dev)
{
    return identify(fd, "", AT_EMPTY_PATH, ret, ret_dev);
}

int dlm_ident_at(int dirfd, const char *name, struct dlm_ident *ret, uint64_t *ret_dev)
{
    return identify(dirfd, name, AT_SYMLINK_NOFOLLOW, ret, ret_dev);
}

bool dlm_ident_same_file(const struct dlm_ident *a, const struct dlm_ident *b)
{
    return a->ino == b->ino && a->btime_ns == b->btime_ns;
}

static const char *kind_of(const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return dlm_kind_name(st->st_mode);
    if (st->st_uid != geteuid())
        return "another user's file";
    return st->st_nlink != 1 ? "a file with several names" : NULL;
}

/* Open what stands at the part's name, if it can be ours. */
static int adopt(struct dlm_dir *dir, const char *part, dlmgr_error *e)
{
    CLEANUP_FD int fd = -1;
    struct stat st;
    const char *kind;

    if (fstatat(dir->fd, part, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return dlm_fail_errno(e, DLMGR_EIO, part, "cannot look at `%s/%s`", dir->path, part);
    kind = kind_of(&st);
    /* Looked at first, since to open a FIFO or a device may wait or act; looked at again, since it may be swapped. */
    if (!kind) {
        fd = dlm_fd_above_stdio(openat(dir->fd, part, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (fd < 0 || fstat(fd, &st) < 0)
            return dlm_fail_errno(e, DLMGR_EIO, part, "cannot open `%s/%s`", dir->path, part);
        kind = kind_of(&st);
    }
    if (kind)
        return dlm_fail(e, DLMGR_EHOME, "`%s/%s` is %s, not our part file: move it away", dir->path,
                        part, kind);
    if (ftruncate(fd, 0) < 0)
        return dlm_fail_errno(e, DLMGR_EIO, part, "cannot empty `%s/%s`", dir->path, part);
    return TAKE_FD(fd);
}

int dlm_sink_new(struct dlm_dir *dir, const char *part, int64_t total, struct dlm_sink **ret,
                 dlmgr_error *e)
{
    struct dlm_sink *s = dlm_alloc(sizeof(*s));

    if (!s || !(s->part = dlm_strdup(part))) {
        free(s);
        return dlm_fail(e, DLMGR_ENOMEM, "no memory for a part file");
    }
    s->fd = -1;
    s->total = total;
    s->dir = dlm_dir_hold(dir);
    *ret = s;
    return 0;
}

int dlm_sink_create(struct dlm_dir *dir, const char *part, int64_t total, struct dlm_sink **ret,
                    dlmgr_error *e)
{
    CLEANUP_FD int fd = dlm_fd_above_stdio(
        openat(dir->fd, part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    struct dlm_sink *s;
    int r;

    if (fd < 0 && errno == EEXIST)
        fd = adopt(dir, part, e);
    else if (fd < 0)
        return dlm_fail_errno(e, DLMGR_EIO, part, "cannot create `%s/%s`", dir->path, part);
    if (fd < 0)
        return fd;
    r = dlm_sink_new(dir, part, total, &s, e);
    if (r < 0)
        return r;
    s->fd = TAKE_FD(fd);
    r = dlm_ident_of(s->fd, &s->ident, &s->dev);
    if (r < 0) {
        errno = -r;
        r = dlm_fail_errno(e, DLMGR_EIO, part, "cannot look at `%s/%s`", dir->path, part);
        dlm_sink_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

static void slots_give_back(struct dlm_sink *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dlm_slot_put(s->slots, s->kept[i]);
    s->n_kept -= n;
    if (s->n_kept)
        memmove(s->kept, s->kept + n, s->n_kept * sizeof(s->kept[0]));
    s->n_covered = 0;
}

struct dlm_sink *dlm_sink_free(struct dlm_sink *s)
{
    if (!s)
        return NULL;
    slots_give_back(s, s->n_kept);
    free(s->kept);
    if (s->fd >= 0)
        close(s->fd);
    dlm_dir_put(s->dir);
    free(s->part);
    free(s->blocks);
    free(s->dirty);
    free(s);
    return NULL;
}

int dlm_sink_reserve(struct dlm_sink *s, size_t blocks)
{
    size_t cap = MAX(s->cap, (size_t)1);
    struct dlm_block *b;
    unsigned char *d;

    if (blocks <= s->n)
        return 0;
    while (cap < blocks)
        cap *= 2;
    if (cap > s->cap) {
        b = dlm_realloc(s->blocks, cap * sizeof(*b));
        if (!b)
            return -ENOMEM;
        s->blocks = b;
        d = dlm_realloc(s->dirty, cap);
        if (!d)
            return -ENOMEM;
        s->dirty = d;
        s->cap = cap;
    }
    memset(s->blocks + s->n, 0, (blocks - s->n) * sizeof(*b));
    memset(s->dirty + s->n, 0, blocks - s->n);
    s->n = blocks;
    return 0;
}

void dlm_writer_start(struct dlm_writer *w, struct dlm_sink *s, struct dlm_slots *slots,
                      int64_t task, int64_t generation, int64_t begin)
{
    struct dlm_hint claim = {.task = task,
                             .generation = generation,
                             .dev = s->dev,
                             .ino = s->ident.ino,
                             .start = begin};

    *w = (struct dlm_writer){.sink = s,
                             .pos = begin,
                             .slot = slots ? dlm_slot_take(slots, &claim) : NULL};
}

/* A piece within one block. */
static int write_piece(struct dlm_writer *w, const char *data, size_t len)
{
    struct dlm_sink *s = w->sink;
    size_t i = (size_t)(w->pos / DLM_BLOCK);
    int r = dlm_sink_reserve(s, i + 1);

    if (r == 0)
        r = dlm_pwrite_all(s->fd, data, len, w->pos);
    if (r < 0)
        return r;
    s->blocks[i].crc = dlm_crc32c(s->blocks[i].crc, data, len);
    s->blocks[i].len += (uint32_t)len;
    s->dirty[i] = 1;
    s->bytes += (int64_t)len;
    s->uncounted += (int64_t)len;
    w->pos += (int64_t)len;
    if (s->blocks[i].len == DLM_BLOCK)
        w->chain = dlm_chain(w->chain, s->blocks[i].crc);
    if (w->slot)
        dlm_slot_store(w->slot, w->pos, w->chain,
                       s->blocks[i].len == DLM_BLOCK ? 0 : s->blocks[i].crc);
    return 0;
}

int dlm_writer_write(struct dlm_writer *w, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        size_t room = (size_t)(DLM_BLOCK - w->pos % DLM_BLOCK);
        size_t n = MIN(MIN(len, PIECE), room);
        int r = write_piece(w, p, n);

        if (r < 0)
            return r;
        p += n;
        len -= n;
    }
    return 0;
}

/* Without memory for the list the slot goes at once: then only the journal counts. */
static bool slot_keep(struct dlm_sink *s, struct dlm_slots *slots, struct dlm_slot *slot)
{
    if (s->n_kept == s->cap_kept) {
        size_t cap = s->cap_kept ? 2 * s->cap_kept : 4;
        struct dlm_slot **kept = dlm_realloc(s->kept, cap * sizeof(*kept));

        if (!kept)
            return false;
        s->kept = kept;
        s->cap_kept = cap;
    }
    s->slots = slots;
    s->kept[s->n_kept++] = slot;
    return true;
}

void dlm_writer_stop(struct dlm_writer *w, struct dlm_slots *slots)
{
    if (w->slot && !slot_keep(w->sink, slots, w->slot))
        dlm_slot_put(slots, w->slot);
    *w = (struct dlm_writer){0};
}

int dlm_sink_snapshot(struct dlm_sink *s, struct dlm_block_row **ret_rows, size_t *ret_n)
{
    struct dlm_block_row *rows;
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->dirty[i];
    rows = dlm_alloc(n * sizeof(*rows));
    if (!rows)
        return DLMGR_ENOMEM;
    *ret_n = n;
    n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->dirty[i])
            rows[n++] = (struct dlm_block_row){.idx = (uint32_t)i,
                                               .len = s->blocks[i].len,
                                               .crc = s->blocks[i].crc};
        s->dirty[i] = 0;
    }
    s->uncounted = 0;
    s->n_covered = s->n_kept;
    *ret_rows = rows;
    return 0;
}

void dlm_sink_counted(struct dlm_sink *s)
{
    slots_give_back(s, s->n_covered);
}

int dlm_sink_sync(struct dlm_sink *s, struct dlm_ident *ret_ident)
{
    while (fdatasync(s->fd) < 0)
        if (errno != EINTR)
            return -errno;
    return dlm_ident_of(s->fd, ret_ident, NULL);
}

bool dlm_sink_named(const struct dlm_sink *s)
{
    struct dlm_ident ident = {0};
    uint64_t dev = 0;

    return dlm_ident_at(s->dir->fd, s->part, &ident, &dev) == 0 && dev == s->dev &&
           dlm_ident_same_file(&ident, &s->ident);
}

bool dlm_sink_complete(const struct dlm_sink *s)
{
    return s->total >= 0 && s->bytes == s->total;
}
