/* SPDX-License-Identifier: MIT */
/*
 * methods_part.c - the part file of a task that is not running: where it is, and how it follows the task to another directory.
 *
 * It must be found whatever happens between here and the commit, so it is linked into the new directory first, that
 * directory is synced, and the old name goes when the change is durable ("parts" of the result). After a rollback
 * the link is there already and is taken as it is.
 *
 * Gigabytes are never copied here, for everybody waits for a transaction. Where a link cannot be made (another file system, one without
 * links), or the part is gone, the journal forgets the bytes, and the task begins anew in the new directory.
 *
 * What is wrong with a directory is the caller's mistake: never DLMGR_EIO or DLMGR_ENOSPC, with which the journal would wait for its own disk.
 */
#include "dlmgr/dir.h"
#include "dlmgr/method.h"

#include <fcntl.h>
#include <sys/stat.h>

int dlm_part_path(const char *dir, const char *out, const char *part, char **ret)
{
    const char *slash = out ? strrchr(out, '/') : NULL;
    struct dlm_buf buf = {0};

    *ret = NULL;
    if (!part)
        return 0;
    dlm_buf_printf(&buf, "%s%s%.*s%s", dir, strcmp(dir, "/") ? "/" : "",
                   slash ? (int)(slash - out + 1) : 0, slash ? out : "", part);
    *ret = dlm_buf_take(&buf);
    return *ret ? 0 : DLMGR_ENOMEM;
}

void dlm_parts_unlink(json_t *result)
{
    const json_t *parts = json_object_get(result, "parts"), *part;
    size_t i;

    /* One that cannot be removed is left over, and `doctor` does not need to know: nothing refers to it. */
    json_array_foreach (parts, i, part)
        if (json_is_string(part))
            unlink(json_string_value(part));
    json_object_del(result, "parts");
}

static int forget_bytes(struct dlm_store *s, const struct dlm_row *row)
{
    CLEANUP_FREE struct dlm_block_row *blocks = NULL;
    CLEANUP_FREE uint32_t *idx = NULL;
    size_t n = 0;
    int r = dlm_store_blocks(s, row->id, &blocks, &n);

    if (r < 0)
        return r;
    idx = dlm_alloc((n + 1) * sizeof(*idx));
    if (!idx)
        return DLMGR_ENOMEM;
    for (size_t i = 0; i < n; i++)
        idx[i] = blocks[i].idx;
    r = dlm_store_uncount(s, row->id, row->generation, idx, n, 0);
    return r == 0 ? dlm_store_hints_drop(s, row->id) : r;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool cannot_link(int err)
{
    return err == EXDEV || err == EPERM || err == EOPNOTSUPP || err == EMLINK || err == ENOENT ||
           err == ENOTDIR;
}

/* *ret_there: the part has its name in `to` now, durably; false: it cannot have. */
static int link_part(const struct dlm_dir *from, struct dlm_dir *to, const char *part,
                     bool *ret_there, dlmgr_error *e)
{
    struct stat old, new;
    int r;

    *ret_there = false;
    if (linkat(from->fd, part, to->fd, part, 0) < 0) {
        if (cannot_link(errno))
            return 0;
        if (errno != EEXIST)
            return dlm_fail_errno(e, DLMGR_EINVAL, to->path, "the part cannot be moved to %s",
                                  to->path);
        if (fstatat(from->fd, part, &old, AT_SYMLINK_NOFOLLOW) < 0 ||
            fstatat(to->fd, part, &new, AT_SYMLINK_NOFOLLOW) < 0 || !same_file(&old, &new))
            return dlm_fail(e, DLMGR_EINVAL, "%s/%s is in the way of the part: move it away",
                            to->path, part);
    }
    r = dlm_dir_sync(to);
    if (r < 0) {
        errno = -r;
        return dlm_fail_errno(e, DLMGR_EINVAL, to->path, "the part cannot be moved to %s", to->path);
    }
    *ret_there = true;
    return 0;
}

/* from NULL: the old directory is gone, and the part with it. */
static int follow(const struct dlm_dir *from, struct dlm_dir *to, const char *part, bool *ret_there,
                  bool *ret_same, dlmgr_error *e)
{
    struct stat old, new;

    *ret_there = false;
    if (!from)
        return 0;
    /* Two paths of one directory: the name that would be unlinked is the only one. */
    *ret_same = fstat(from->fd, &old) == 0 && fstat(to->fd, &new) == 0 && same_file(&old, &new);
    return *ret_same ? 0 : link_part(from, to, part, ret_there, e);
}

static int as_mistake(int r, dlmgr_error *e)
{
    if (r >= 0 || r == DLMGR_ENOMEM)
        return r;
    if (e)
        e->code = DLMGR_EINVAL;
    return DLMGR_EINVAL;
}

int dlm_part_follow(struct dlm_store *s, const struct dlm_row *row, const char *dir,
                    const char *out, bool create, json_t *parts, dlmgr_error *e)
{
    CLEANUP_FREE char *was = NULL, *will = NULL;
    struct dlm_dirs *dirs = NULL;
    struct dlm_dir *from = NULL, *to = NULL;
    bool there = false, same = false;
    int r = dlm_part_path(row->dir, row->out, row->part, &was);

    if (r == 0)
        r = dlm_part_path(dir, out, row->part, &will);
    if (r < 0)
        return dlm_no_memory(e);
    if (!was || !strcmp(was, will))
        return 0;
    if (dlm_dirs_new(&dirs) < 0)
        return dlm_no_memory(e);
    r = as_mistake(dlm_dir_get(dirs, dir, out, create, &to, e), e);
    if (r == 0 && dlm_dir_get(dirs, row->dir, row->out, false, &from, NULL) == DLMGR_ENOMEM)
        r = dlm_no_memory(e);
    if (r == 0)
        r = as_mistake(follow(from, to, row->part, &there, &same, e), e);
    dlm_dir_put(from);
    dlm_dir_put(to);
    dlm_dirs_free(dirs);
    if (r < 0 || same)
        return r;
    if (!there && (r = forget_bytes(s, row)) < 0)
        return dlm_work_failed(s, r, e);
    return json_array_append_new(parts, json_string_nocheck(was)) ? dlm_no_memory(e) : 0;
}
