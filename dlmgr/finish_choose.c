/* SPDX-License-Identifier: MIT */
/*
 * finish_choose.c - which name the file gets, by the policy for names that are taken: see finish.h.
 *
 * A table: a policy is what to do about something that stands at the name, or NULL for "look at the next one". A
 * dangling symlink stands there as much as a file does, and so nothing is followed. What is chosen is only a proposal:
 * the name may be taken until move() has it, and move() sees that.
 *
 * SAME ends in the file that is there already, so that one must be durable as ours would be, and its identity is what
 * look() has to find after a crash. Equal bytes have equal digests and are no more work to compare, so no digest is
 * computed, and none can collide.
 */
#include "dlmgr/finish.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define NUMBERS_MAX 10000

PRINTF(2, 3) static int exists(struct dlm_finish *f, const char *fmt, ...)
{
    char why[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    dlm_fail(&f->error, DLMGR_EEXIST, "`%.250s` %s", f->path, why);
    f->error.class_ = DLMGR_CLASS_POLICY;
    snprintf(f->error.path, sizeof(f->error.path), "%.1000s", f->path);
    return DLM_FINISH_EXISTS;
}

/* A policy's word on what stands at the name. */
static int forbid(struct dlm_finish *f, const struct stat *st)
{
    const char *kind = dlm_kind_name(st->st_mode);

    return exists(f, "is %s already: set --out NAME and retry, or add it with --on-exists rename",
                  kind ? kind : "there");
}

static int replace(struct dlm_finish *f, const struct stat *st)
{
    if (S_ISREG(st->st_mode) || S_ISLNK(st->st_mode))
        return DLM_FINISH_OK;
    return exists(f, "is %s and not replaced: set --out NAME and retry", dlm_kind_name(st->st_mode));
}

static int differs(struct dlm_finish *f)
{
    return exists(f,
                  "is there already and is not the same: set --out NAME and retry, or add it with --on-exists rename");
}

static int compare(struct dlm_finish *f, const struct stat *st)
{
    CLEANUP_FD int fd = -1;
    struct dlm_ident other;
    int r;

    if (!S_ISREG(st->st_mode))
        return exists(f, "is %s and is not the same: set --out NAME and retry",
                      dlm_kind_name(st->st_mode));
    if (st->st_size != f->ident.size)
        return differs(f);
    fd = openat(f->dir->fd, f->chosen, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return exists(f, "cannot be read to compare it: %s; set --out NAME and retry",
                      strerror(errno));
    r = dlm_ident_of(fd, &other, NULL);
    if (r == 0)
        r = dlm_same_bytes(f->fd, fd);
    if (r == 0)
        return differs(f);
    if (r > 0 && fdatasync(fd) < 0)
        r = -errno;
    if (r < 0)
        return dlm_finish_trouble(f, r, "compare", f->chosen);
    f->same = true;
    f->ident = other;
    return DLM_FINISH_OK;
}

static int (*const policies[])(struct dlm_finish *, const struct stat *) = {
    [DLMGR_EXISTS_DEFAULT] = NULL, /* the next name */
    [DLMGR_EXISTS_FAIL] = forbid,     [DLMGR_EXISTS_RENAME] = NULL,
    [DLMGR_EXISTS_REPLACE] = replace, [DLMGR_EXISTS_SAME] = compare,
};

/* What stands at the numbered name: 0 free, 1 with *ret, or -errno. */
static int look_at_name(struct dlm_finish *f, struct stat *ret)
{
    const char *dir = strcmp(f->dir->path, "/") == 0 ? "" : f->dir->path;

    dlm_name_numbered(f->name, f->n, f->chosen);
    if (snprintf(f->path, sizeof(f->path), "%s/%s", dir, f->chosen) >= (int)sizeof(f->path))
        return -ENAMETOOLONG;
    if (fstatat(f->dir->fd, f->chosen, ret, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    return 1;
}

/* The file goes where the part is, and is told to be where the directory's path leads: both must be one place. */
static int swapped(struct dlm_finish *f)
{
    dlm_fail(&f->error, DLMGR_EIO,
             "`%.250s` is not the directory that it was: it was moved or another was put in its place; put it back, or "
             "`set --dir`, and retry",
             f->dir->path);
    snprintf(f->error.path, sizeof(f->error.path), "%.1000s", f->dir->path);
    f->error.class_ = DLMGR_CLASS_LOCAL;
    return DLM_FINISH_TROUBLE;
}

int dlm_finish_choose(struct dlm_finish *f)
{
    bool known = f->on_exists >= 0 && f->on_exists < (int)ARRAY_SIZE(policies);
    int (*policy)(struct dlm_finish *, const struct stat *) = known ? policies[f->on_exists]
                                                                    : forbid;
    struct stat st;
    int there = dlm_dir_is_there(f->dir);
    int r = f->same ? dlm_ident_of(f->fd, &f->ident, NULL) : MIN(there, 0);

    if (there == 0)
        return swapped(f);
    f->same = false;
    if (policy)
        f->n = 0;
    for (; r >= 0 && f->n < NUMBERS_MAX; f->n++) {
        r = look_at_name(f, &st);
        if (r <= 0)
            break;
        if (policy)
            return policy(f, &st);
    }
    if (r == 0)
        return DLM_FINISH_OK;
    return r < 0 ? dlm_finish_trouble(f, r, "look at", f->chosen)
                 : exists(f, "and all names numbered like it are taken: set --out NAME and retry");
}
