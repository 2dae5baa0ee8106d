/* SPDX-License-Identifier: MIT */
/*
 * finish.c - the name: taken, and looked for after a crash. See finish.h; finish_choose.c chooses it, finish_digest.c verifies.
 *
 * The part becomes the file by one rename, which either has happened or has not. Three things guard it. The part's name must stand for
 * our file: somebody may have put another one there. The destination must be free, and stay free until the rename:
 * RENAME_NOREPLACE. And what was renamed must be durable before anybody hears of it: the directory is synced.
 *
 * Not every file system can rename without replacing. Then a hard link does the same in two steps, and a crash between them leaves both
 * names, which look() recognises. Without hard links (some FUSE) a placeholder is made first, which fails when the name is taken, and
 * replaced. It holds the part's name, so that one which a crash left is known to be ours and can be removed; a
 * stranger's file is never touched, not even an empty one.
 *
 * Our file is the one of the identity: inode, birth time and size. Where inode numbers do not last (FAT, some FUSE) a file of that
 * size with the digest that was asked for is as good.
 */
#include "dlmgr/finish.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int dlm_finish_trouble(struct dlm_finish *f, int err, const char *verb, const char *name)
{
    errno = -err;
    dlm_fail_errno(&f->error, DLMGR_EIO, name, "cannot %s `%.250s/%s`", verb, f->dir->path, name);
    return DLM_FINISH_TROUBLE;
}

static int vanished(struct dlm_finish *f)
{
    dlm_fail(&f->error, DLMGR_ENOTFOUND,
             "`%.200s/%s` was removed or replaced by something else; retry fetches it anew",
             f->dir->path, f->part);
    f->error.class_ = DLMGR_CLASS_LOCAL;
    return DLM_FINISH_VANISHED;
}

static bool same_whole(const struct dlm_ident *a, const struct dlm_ident *b)
{
    return dlm_ident_same_file(a, b) && a->size == b->size;
}

/* Does the name stand for this very file? 1, 0, or -errno. */
static int stands_for(const struct dlm_finish *f, const char *name, const struct dlm_ident *ident)
{
    struct dlm_ident at;
    int r = dlm_ident_at(f->dir->fd, name, &at, NULL);

    return r == -ENOENT ? 0 : r < 0 ? r : same_whole(&at, ident);
}

int dlm_finish_settle(struct dlm_finish *f)
{
    int r = dlm_dir_sync(f->dir);

    return r < 0 ? dlm_finish_trouble(f, r, "sync the directory of", f->part) : DLM_FINISH_OK;
}

void dlm_finish_hasten(struct dlm_finish *f)
{
    /* Only a hint: whether it worked is for fdatasync to say. */
    sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

int dlm_finish_identify(struct dlm_finish *f)
{
    int r = dlm_ident_of(f->fd, &f->ident, NULL);

    if (r == 0)
        r = stands_for(f, f->part, &f->ident);
    if (r == 0)
        return vanished(f);
    return r < 0 ? dlm_finish_trouble(f, r, "look at", f->part) : DLM_FINISH_OK;
}

int dlm_finish_sync(struct dlm_finish *f)
{
    int r = dlm_finish_identify(f);

    while (r == DLM_FINISH_OK && fdatasync(f->fd) < 0)
        if (errno != EINTR)
            r = dlm_finish_trouble(f, -errno, "sync", f->part);
    return r;
}

/* ---- move ----------------------------------------------------------------------------------- */

enum { BOTH_NAMES = 1 };

static int by_rename(const struct dlm_finish *f)
{
    return renameat2(f->dir->fd, f->part, f->dir->fd, f->chosen, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

static int by_link(const struct dlm_finish *f)
{
    return linkat(f->dir->fd, f->part, f->dir->fd, f->chosen, 0) < 0 ? -errno : BOTH_NAMES;
}

static int by_replacing(const struct dlm_finish *f)
{
    return renameat(f->dir->fd, f->part, f->dir->fd, f->chosen) < 0 ? -errno : 0;
}

static int by_placeholder(const struct dlm_finish *f)
{
    int fd = openat(f->dir->fd, f->chosen, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    0600);
    int r;

    if (fd < 0)
        return -errno;
    r = dlm_pwrite_all(fd, f->part, strlen(f->part), 0);
    close(fd);
    if (r == 0)
        r = by_replacing(f);
    if (r < 0)
        unlinkat(f->dir->fd, f->chosen, 0);
    return r;
}

/* Is this way not there, on this file system or kernel? A plain refusal comes up again with the last way. */
static bool is_absent(int r)
{
    return r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP || r == -EPERM || r == -EMLINK;
}

static int take_free_name(const struct dlm_finish *f)
{
    static int (*const ways[])(const struct dlm_finish *) = {by_rename, by_link, by_placeholder};
    int r = -ENOSYS;

    for (size_t i = 0; i < ARRAY_SIZE(ways) && is_absent(r); i++)
        r = ways[i](f);
    /* A server's answer to link() may be lost and the call repeated: the name is taken by us. */
    if (r == -EEXIST && stands_for(f, f->chosen, &f->ident) == 1)
        r = BOTH_NAMES;
    return r;
}

static int take_name(const struct dlm_finish *f)
{
    int r = f->on_exists == DLMGR_EXISTS_REPLACE ? by_replacing(f) : take_free_name(f);

    if (r == BOTH_NAMES)
        r = unlinkat(f->dir->fd, f->part, 0) < 0 && errno != ENOENT ? -errno : 0;
    return r == -EISDIR || r == -ENOTEMPTY ? -EEXIST : r;
}

/* FAT, exFAT and some FUSE and network file systems give all files one mode; ours was 0600 from the start, so nothing is opened by that. */
static bool has_no_modes(int err)
{
    return err == EPERM || err == EOPNOTSUPP || err == ENOSYS;
}

/* The equal file stays, if it is still there: else the part would have been the last copy. */
static int leave_same(struct dlm_finish *f)
{
    struct dlm_ident part;
    int r = stands_for(f, f->chosen, &f->ident);

    if (r == 0)
        return DLM_FINISH_TAKEN;
    if (r > 0)
        r = dlm_ident_of(f->fd, &part, NULL);
    if (r == 0)
        r = stands_for(f, f->part, &part);
    if (r > 0 && unlinkat(f->dir->fd, f->part, 0) < 0)
        r = -errno;
    return r < 0 ? dlm_finish_trouble(f, r, "remove", f->part) : DLM_FINISH_OK;
}

static int set_mode(struct dlm_finish *f, int fd, const char *name)
{
    if (fchmod(fd, dlm_dir_file_mode(f->dir, (unsigned)f->mask)) < 0 && !has_no_modes(errno))
        return dlm_finish_trouble(f, -errno, "set the permissions of", name);
    return DLM_FINISH_OK;
}

int dlm_finish_move(struct dlm_finish *f)
{
    int r;

    if (f->same)
        return leave_same(f);
    r = stands_for(f, f->part, &f->ident);
    if (r < 0)
        return dlm_finish_trouble(f, r, "look at", f->part);
    if (r == 0)
        return stands_for(f, f->chosen, &f->ident) == 1 ? DLM_FINISH_OK : vanished(f);
    r = set_mode(f, f->fd, f->part);
    if (r != DLM_FINISH_OK)
        return r;
    r = take_name(f);
    if (r == -EEXIST)
        return DLM_FINISH_TAKEN;
    return r < 0 ? dlm_finish_trouble(f, r, "give its name to", f->chosen) : DLM_FINISH_OK;
}

/* ---- look ----------------------------------------------------------------------------------- */

/* Does the name stand for our file, by its identity or by the digest? 1 with what it is, 0, or -errno. */
static int is_ours(const struct dlm_finish *f, const char *name, struct dlm_ident *ret)
{
    CLEANUP_FD int fd = -1;
    char found[160];
    struct dlm_ident at;
    int r = dlm_ident_at(f->dir->fd, name, &at, NULL);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (!same_whole(&at, &f->ident)) {
        if (!f->digest || at.size != f->ident.size)
            return 0;
        fd = openat(f->dir->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        r = fd < 0 ? 0 : dlm_digest_check(fd, f->digest, NULL, found);
        if (r != 1)
            return r;
    }
    *ret = at;
    return 1;
}

/*
 * A power cut may have kept the name and not the permissions: they were not synced by themselves. With `same` it may be the file
 * that was there before, whose permissions are not ours; and one that cannot be opened no longer has the part's.
 */
static int give_mode(struct dlm_finish *f)
{
    CLEANUP_FD int fd = -1;

    if (f->on_exists == DLMGR_EXISTS_SAME)
        return DLM_FINISH_OK;
    fd = openat(f->dir->fd, f->chosen, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        return DLM_FINISH_OK;
    return fd < 0 ? dlm_finish_trouble(f, -errno, "open", f->chosen) : set_mode(f, fd, f->chosen);
}

/* The part's name is only ours to give, and what has the file's length is the file's other name or its equal. */
static int drop_part(struct dlm_finish *f)
{
    struct dlm_ident at;
    int r = dlm_ident_at(f->dir->fd, f->part, &at, NULL);

    if (r == 0 && at.size == f->ident.size && unlinkat(f->dir->fd, f->part, 0) < 0)
        r = -errno;
    return r < 0 && r != -ENOENT ? dlm_finish_trouble(f, r, "remove", f->part)
                                 : dlm_finish_settle(f);
}

/*
 * A name that cannot be made durable is given up: else the task would fail with its file at the name, and fetch it anew beside
 * itself when it is tried again. What was replaced is gone anyway; that file stays, and is replaced once more. With `same` it may be the file
 * that was there before, and after a crash nobody knows any more.
 */
static void take_back(const struct dlm_finish *f)
{
    if (f->on_exists != DLMGR_EXISTS_REPLACE && f->on_exists != DLMGR_EXISTS_SAME)
        renameat2(f->dir->fd, f->chosen, f->dir->fd, f->part, RENAME_NOREPLACE);
}

/* One that a crash left holds the part's name. When it cannot be removed it is like any other file to choose(). */
static void drop_placeholder(const struct dlm_finish *f)
{
    CLEANUP_FD int fd = openat(f->dir->fd, f->chosen,
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char text[DLM_NAME_SIZE + 1];
    size_t len = strlen(f->part);

    if (fd >= 0 && dlm_pread_all(fd, text, sizeof(text), 0) == (ssize_t)len &&
        memcmp(text, f->part, len) == 0)
        unlinkat(f->dir->fd, f->chosen, 0);
}

static int go_on_with_part(struct dlm_finish *f)
{
    CLEANUP_FD int fd = -1;
    struct dlm_ident at;
    int r = 0;

    if (f->fd < 0) {
        fd = openat(f->dir->fd, f->part, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        r = fd < 0 ? -errno : dlm_ident_of(fd, &at, NULL);
        if (r == 0 && !same_whole(&at, &f->ident))
            return vanished(f);
        if (r < 0)
            return dlm_finish_trouble(f, r, "open", f->part);
        f->fd = TAKE_FD(fd);
    }
    drop_placeholder(f);
    return DLM_FINISH_OK;
}

int dlm_finish_look(struct dlm_finish *f, bool *ret_moved)
{
    struct dlm_ident recorded = f->ident;
    bool moved;
    int r = is_ours(f, f->chosen, &f->ident);

    moved = r == 1;
    if (r == 0)
        r = is_ours(f, f->part, &f->ident);
    if (r < 0)
        return dlm_finish_trouble(f, r, "look for", f->chosen);
    if (r == 0)
        return vanished(f);
    r = moved ? give_mode(f) : go_on_with_part(f);
    if (moved && r == DLM_FINISH_OK)
        r = drop_part(f);
    if (r == DLM_FINISH_TROUBLE && moved && same_whole(&recorded, &f->ident))
        take_back(f);
    if (r == DLM_FINISH_OK)
        *ret_moved = moved;
    return r;
}
