/* SPDX-License-Identifier: MIT */
/*
 * vfs.c - SQLite's unix files under the name we give, and no other.
 *
 * SQLite turns a name into a full path of at most 512 bytes and resolves links on the way. We hold the home's
 * directory open and name a database /proc/self/fd/N/journal.db: that works for a home path of any
 * length, and stays in that very directory when somebody renames it or swaps a link above it. So
 * this VFS is the unix one with a single change: a name is its own full path.
 *
 * Registering a VFS that is not the default changes nothing for anybody else in the process. The inode table behind
 * SQLite's locks is shared with the unix VFS, as it must be.
 */
#include "store/internal.h"

#include <pthread.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sqlite3_vfs vfs;
static bool usable;

static int full_path(sqlite3_vfs *v, const char *name, int size, char *out)
{
    int n = snprintf(out, (size_t)size, "%s", name);

    (void)v;
    return n >= 0 && n < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static void make(void)
{
    sqlite3_vfs *unix_vfs = sqlite3_vfs_find("unix");

    if (!unix_vfs)
        return;
    vfs = *unix_vfs;
    vfs.zName = "dlmgr";
    vfs.pNext = NULL;
    vfs.xFullPathname = full_path;
    usable = sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
}

const char *dlm_vfs(void)
{
    pthread_once(&once, make);
    return usable ? vfs.zName : NULL;
}
