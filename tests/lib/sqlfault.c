/* SPDX-License-Identifier: MIT */
/*
 * sqlfault.c - the nth thing that the journal asks of the system fails: see sqlfault.h.
 *
 * The journal's VFS is found by its name, and its xOpen is replaced by one that gives each file methods of ours, which
 * count and pass on. The methods that they pass on to are those that the real xOpen set; there are few such tables,
 * so each of them has one copy with ours in it. SQLite's allocator is wrapped before main(), since that cannot be done later.
 */
#include "tests/lib/sqlfault.h"

#include "store/internal.h"
#include "tests/lib/test.h"

enum { TABLES = 8 };

static struct {
    enum sqlfault_kind kind;
    long left;
    bool fired;
} fault;

static struct {
    const sqlite3_io_methods *real;
    sqlite3_io_methods ours;
} tables[TABLES];
static int n_tables;

static sqlite3_mem_methods memory;
static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);

/* ---- Counting ---------------------------------------------------------------------------------------------- */

static bool strikes(bool lasting)
{
    if (fault.fired && lasting)
        return true;
    if (fault.left > 0 && --fault.left == 0)
        return fault.fired = true;
    return false;
}

static bool io_fails(void)
{
    return (fault.kind == SQLFAULT_IO && strikes(false)) ||
           (fault.kind == SQLFAULT_DEAD && strikes(true));
}

void sqlfault_set(enum sqlfault_kind kind, long n)
{
    fault.kind = kind;
    fault.left = n;
    fault.fired = false;
}

bool sqlfault_fired(void)
{
    return fault.fired;
}

/* ---- Files --------------------------------------------------------------------------------------------------- */

static const sqlite3_io_methods *real_of(sqlite3_file *file)
{
    int i = 0;

    while (&tables[i].ours != file->pMethods)
        i++;
    return tables[i].real;
}

static int file_read(sqlite3_file *f, void *data, int n, sqlite3_int64 at)
{
    return io_fails() ? SQLITE_IOERR_READ : real_of(f)->xRead(f, data, n, at);
}

static int file_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    sqlite3_int64 size = 0;

    if (fault.kind == SQLFAULT_FULL &&
        (real_of(f)->xFileSize(f, &size) != SQLITE_OK || at + n > size) && strikes(true))
        return SQLITE_FULL;
    return io_fails() ? SQLITE_IOERR_WRITE : real_of(f)->xWrite(f, data, n, at);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return io_fails() ? SQLITE_IOERR_TRUNCATE : real_of(f)->xTruncate(f, size);
}

static int file_sync(sqlite3_file *f, int flags)
{
    (void)f;
    (void)flags;
    return io_fails() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return io_fails() ? SQLITE_IOERR_FSTAT : real_of(f)->xFileSize(f, ret);
}

static int file_lock(sqlite3_file *f, int lock)
{
    return fault.kind == SQLFAULT_NO_LOCK ? SQLITE_IOERR_LOCK : real_of(f)->xLock(f, lock);
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    return io_fails() ? SQLITE_IOERR_SHMMAP : real_of(f)->xShmMap(f, page, size, extend, ret);
}

static const sqlite3_io_methods *ours_of(const sqlite3_io_methods *real)
{
    int i = 0;

    while (i < n_tables && tables[i].real != real)
        i++;
    if (i == TABLES)
        abort();
    n_tables = i == n_tables ? i + 1 : n_tables;
    tables[i].real = real;
    tables[i].ours = *real;
    tables[i].ours.xRead = file_read;
    tables[i].ours.xWrite = file_write;
    tables[i].ours.xTruncate = file_truncate;
    tables[i].ours.xSync = file_sync;
    tables[i].ours.xFileSize = file_size;
    tables[i].ours.xLock = file_lock;
    tables[i].ours.xShmMap = file_shm_map;
    /* Reading through a mapping would go past us. */
    tables[i].ours.iVersion = MIN(real->iVersion, fault.kind == SQLFAULT_NO_SHM ? 1 : 2);
    return &tables[i].ours;
}

static int file_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    int rc;

    if (io_fails()) {
        file->pMethods = NULL;
        return SQLITE_CANTOPEN;
    }
    rc = real_open(vfs, name, file, flags, ret_flags);
    if (rc == SQLITE_OK)
        file->pMethods = ours_of(file->pMethods);
    return rc;
}

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

static void *memory_malloc(int n)
{
    return fault.kind == SQLFAULT_MEMORY && strikes(false) ? NULL : memory.xMalloc(n);
}

static void *memory_realloc(void *p, int n)
{
    return fault.kind == SQLFAULT_MEMORY && strikes(false) ? NULL : memory.xRealloc(p, n);
}

/* Of a thread that was there before this test's first one, nothing is: programs of tests begin here. */
__attribute__((constructor)) static void install(void)
{
    sqlite3_mem_methods ours;
    sqlite3_vfs *vfs;

    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) != SQLITE_OK)
        abort();
    ours = memory;
    ours.xMalloc = memory_malloc;
    ours.xRealloc = memory_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) != SQLITE_OK || !dlm_vfs() ||
        !(vfs = sqlite3_vfs_find(dlm_vfs())))
        abort();
    real_open = vfs->xOpen;
    vfs->xOpen = file_open;
}
