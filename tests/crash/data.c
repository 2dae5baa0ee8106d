/* SPDX-License-Identifier: MIT */
/*
 * data.c - see data.h. The writer stands between entry and return of a stopped call, so its buffer is still what it wrote.
 */
#include "data.h"

#include "dlmgr/base.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum part { NOTHING, FILE_ALONE, FILE_AND_BYTES };

static enum part wanted(int nr)
{
    static const struct {
        int nr;
        enum part part;
    } rows[] = {
        {SYS_write, FILE_AND_BYTES}, {SYS_pwrite64, FILE_AND_BYTES}, {SYS_writev, FILE_ALONE},
        {SYS_pwritev, FILE_ALONE},   {SYS_pwritev2, FILE_ALONE},     {SYS_ftruncate, FILE_ALONE},
        {SYS_fallocate, FILE_ALONE}, {SYS_fchmod, FILE_ALONE},       {SYS_openat, FILE_ALONE},
        {SYS_openat2, FILE_ALONE},
#ifdef SYS_open
        {SYS_open, FILE_ALONE},      {SYS_creat, FILE_ALONE},
#endif
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].nr == nr)
            return rows[i].part;
    return NOTHING;
}

/* Opens return the descriptor that the others are given. */
static bool look(pid_t tid, int64_t fd, struct data_record *ret)
{
    struct statx stx;
    char link[64];

    snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)tid, (int)fd);
    if (statx(AT_FDCWD, link, 0, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0 ||
        !S_ISREG(stx.stx_mode))
        return false;
    ret->ino = stx.stx_ino;
    ret->mode = stx.stx_mode & 07777;
    ret->size = (int64_t)stx.stx_size;
    if (stx.stx_mask & STATX_BTIME)
        ret->btime_ns = stx.stx_btime.tv_sec * 1000000000 + stx.stx_btime.tv_nsec;
    return true;
}

static int copy_bytes(FILE *to, pid_t tid, uint64_t where, int64_t len)
{
    CLEANUP_FREE unsigned char *bytes = malloc((size_t)len);
    struct iovec here = {bytes, (size_t)len};
    struct iovec there = {(void *)(uintptr_t)where, (size_t)len};

    if (!bytes || process_vm_readv(tid, &here, 1, &there, 1, 0) != len)
        return -EIO;
    return fwrite(bytes, 1, (size_t)len, to) == (size_t)len ? 0 : -EIO;
}

int data_keep(FILE *to, long line, pid_t tid, const struct note *note, const uint64_t args[6],
              int64_t result)
{
    struct data_record record = {.line = line};
    enum part part = wanted(note->call->nr);

    if (part == NOTHING || result < 0 ||
        !look(tid, note->call->fd < 0 ? result : (int64_t)args[note->call->fd], &record))
        return 0;
    record.len = part == FILE_AND_BYTES ? result : 0;
    if (fwrite(&record, sizeof(record), 1, to) != 1)
        return -EIO;
    return record.len ? copy_bytes(to, tid, args[1], record.len) : 0;
}

int data_next(FILE *from, struct data_record *ret, unsigned char **ret_bytes)
{
    unsigned char *bytes;
    size_t n = fread(ret, 1, sizeof(*ret), from);

    if (n != sizeof(*ret))
        return n == 0 && feof(from) ? 0 : -EPROTO;
    bytes = malloc((size_t)ret->len + 1);
    if (!bytes || fread(bytes, 1, (size_t)ret->len, from) != (size_t)ret->len) {
        free(bytes);
        return -EPROTO;
    }
    *ret_bytes = bytes;
    return 1;
}
