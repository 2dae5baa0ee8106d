/* SPDX-License-Identifier: MIT */
/*
 * preload_vfs.c - the VFS of the journal under test: what SQLite asks of it counts and fails like any other call.
 *
 * The library gives its VFS to sqlite3_vfs_register(), which is ours here: its xOpen is replaced by one that gives each file methods
 * that count and pass on. The methods that they pass on to are those that the real xOpen chose; there are few such tables, and
 * each has one copy with ours in it.
 */
#include "preload.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES = 8 };

static struct {
    const sqlite3_io_methods *real;
    sqlite3_io_methods ours;
} tables[TABLES];
static int n_tables;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sqlite3_vfs unix_vfs; /* as it was registered */

static const sqlite3_io_methods *real_of(sqlite3_file *file)
{
    int i = 0;

    while (&tables[i].ours != file->pMethods)
        i++;
    return tables[i].real;
}

#define PASS(row, fn, parameters, ...)                                                             \
    static int file_##row parameters                                                               \
    {                                                                                              \
        return fault_strikes(CALL_vfs_##row) ? fault_error() : real_of(f)->fn(__VA_ARGS__);        \
    }
PASS(read, xRead, (sqlite3_file * f, void *data, int n, sqlite3_int64 at), f, data, n, at)
PASS(write, xWrite, (sqlite3_file * f, const void *data, int n, sqlite3_int64 at), f, data, n, at)
PASS(truncate, xTruncate, (sqlite3_file * f, sqlite3_int64 size), f, size)
PASS(sync, xSync, (sqlite3_file * f, int flags), f, flags)
PASS(size, xFileSize, (sqlite3_file * f, sqlite3_int64 *ret), f, ret)
PASS(lock, xLock, (sqlite3_file * f, int level), f, level)
PASS(unlock, xUnlock, (sqlite3_file * f, int level), f, level)
PASS(shmmap, xShmMap, (sqlite3_file * f, int page, int size, int extend, void volatile **ret), f,
     page, size, extend, ret)

/* A lock that is given back is given back: only taking it fails. */
static int file_shmlock(sqlite3_file *f, int first, int n, int flags)
{
    if ((flags & SQLITE_SHM_LOCK) && fault_strikes(CALL_vfs_shmlock))
        return fault_error();
    return real_of(f)->xShmLock(f, first, n, flags);
}

static void make_ours(int i, const sqlite3_io_methods *real)
{
    sqlite3_io_methods *ours = &tables[i].ours;

    *ours = *real;
    ours->xRead = file_read;
    ours->xWrite = file_write;
    ours->xTruncate = file_truncate;
    ours->xSync = file_sync;
    ours->xFileSize = file_size;
    ours->xLock = file_lock;
    ours->xUnlock = file_unlock;
    ours->xShmMap = real->xShmMap ? file_shmmap : NULL;
    ours->xShmLock = real->xShmLock ? file_shmlock : NULL;
    ours->iVersion = real->iVersion < 2 ? real->iVersion : 2; /* a mapping would go past us */
    tables[i].real = real;
}

static const sqlite3_io_methods *ours_of(const sqlite3_io_methods *real)
{
    int i = 0;

    pthread_mutex_lock(&lock);
    while (i < n_tables && tables[i].real != real)
        i++;
    if (i == TABLES)
        abort();
    if (i == n_tables)
        make_ours(n_tables++, real);
    pthread_mutex_unlock(&lock);
    return &tables[i].ours;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret)
{
    int rc;

    file->pMethods = NULL;
    if (fault_strikes(CALL_vfs_open))
        return fault_error();
    rc = unix_vfs.xOpen(vfs, name, file, flags, ret);
    if (rc == SQLITE_OK)
        file->pMethods = ours_of(file->pMethods);
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    return fault_strikes(CALL_vfs_delete) ? fault_error() : unix_vfs.xDelete(vfs, name, sync);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    return fault_strikes(CALL_vfs_access) ? fault_error() : unix_vfs.xAccess(vfs, name, flags, ret);
}

__attribute__((visibility("default"))) int sqlite3_vfs_register(sqlite3_vfs *vfs, int is_default)
{
    int (*real)(sqlite3_vfs *, int) = (int (*)(sqlite3_vfs *, int))(
        uintptr_t)dlsym(RTLD_NEXT, "sqlite3_vfs_register");

    if (strcmp(vfs->zName, "dlmgr") == 0) {
        unix_vfs = *vfs;
        vfs->xOpen = vfs_open;
        vfs->xDelete = vfs_delete;
        vfs->xAccess = vfs_access;
    }
    return real(vfs, is_default);
}
