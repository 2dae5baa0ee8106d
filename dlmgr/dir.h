/* SPDX-License-Identifier: MIT */
/*
 * dir.h - directories that files are handed over in: held, made when asked, synced together.
 *
 * Everything is done relative to a held descriptor, so that a directory that is swapped meanwhile changes nothing.
 * Many tasks finish in the same directory at once: one fsync serves all that asked before it began.
 * All functions may block and are for workers; any thread.
 */
#ifndef DLM_DIR_H
#define DLM_DIR_H

#include "dlmgr/base.h"

#include <sys/types.h>

struct dlm_dirs; /* those that are open, by path */

struct dlm_dir {
    char *path;
    int fd;
    dev_t dev;
    ino_t ino;
    struct dlm_dirs *set;
    int refs;                      /* under the set's lock */
    int64_t asked, synced, failed; /* tickets, under the set's lock */
    int failure;                   /* of the last sync that failed, -errno */
    bool syncing;
    struct dlm_dir *next;
};

int dlm_dirs_new(struct dlm_dirs **ret);
struct dlm_dirs *dlm_dirs_free(struct dlm_dirs *set);

/*
 * Hold `dir` (absolute), or the directory of `out` (relative, may be NULL) below it, which is never left by a symlink in `out`. create makes
 * what is missing and syncs it. DLMGR_ENOTFOUND names the missing one.
 */
int dlm_dir_get(struct dlm_dirs *set, const char *dir, const char *out, bool create,
                struct dlm_dir **ret, dlmgr_error *e);
/* Does its path still lead to it? 1, 0 or -errno. */
int dlm_dir_is_there(const struct dlm_dir *d);
struct dlm_dir *dlm_dir_hold(struct dlm_dir *d); /* one reference more */
struct dlm_dir *dlm_dir_put(struct dlm_dir *d);  /* one less; NULL is fine; returns NULL */
/* Durable: every name made or changed in it before this call. 0 or -errno. */
int dlm_dir_sync(struct dlm_dir *d);
/* Permissions of a new file here: 0666 less mask, or what a default ACL (acl(5)) says instead of the mask. */
unsigned dlm_dir_file_mode(const struct dlm_dir *d, unsigned mask);

#endif
