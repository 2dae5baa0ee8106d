/* SPDX-License-Identifier: MIT */
/*
 * api_claim.c - dlmgr_claim_move(): a finished file becomes the app's, and its event is acknowledged.
 *
 *     are we the holder still? -> move, directories synced -> acknowledge -> (copied: unlink the original)
 *
 * Each step can be repeated after a crash, since the next one finds out what was done:
 *
 *     at the new name   at the old name    so
 *     our file          -                  it was moved: acknowledge
 *     -                 our file           move it
 *     its equal         our file           it was copied (or is the same): acknowledge, unlink
 *     another file      our file           DLMGR_EEXIST, unless it may be replaced
 *     -                 another file       DLMGR_ESTATE
 *     -                 -                  DLMGR_ENOTFOUND
 *
 * Our file is that of the identity in the event: inode, birth time and size. A copy is made under a name of its own beside the new one, so the new name never
 * stands for half a file. A crash between acknowledgement and unlink leaves the original where it was.
 */
#include "dlmgr/api_session.h"
#include "dlmgr/finish.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

struct claim {
    const dlmgr_event *event;
    const char *name;
    unsigned flags;
    struct dlm_ident ident; /* of our file */
    int dir;                /* where it is to be */
    int from;               /* our file, open; -1: it is not where it was */
    bool copied;            /* the original is still to go */
    dlmgr_error *e;
};

static int trouble(struct claim *c, int err, const char *what)
{
    errno = err;
    return dlm_fail_errno(c->e, DLMGR_EIO, c->event->path, "event %lld: cannot %s `%s` as %s",
                          (long long)c->event->seq, what, c->event->path, c->name);
}

static bool is_ours(const struct claim *c, const struct dlm_ident *at)
{
    return dlm_ident_same_file(at, &c->ident) && at->size == c->ident.size;
}

/* ---- Copying -------------------------------------------------------------------------------------------------- */

static int copy_bytes(int from, int to)
{
    CLEANUP_FREE char *buf = dlm_alloc((size_t)MIB(1));
    int64_t at = 0;
    ssize_t n = 0;
    int r = buf ? 0 : -ENOMEM;

    while (r == 0 && (n = pread(from, buf, (size_t)MIB(1), at)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        r = n < 0 ? -errno : dlm_pwrite_all(to, buf, (size_t)n, at);
        at += n;
    }
    return r;
}

/* Mode and times as they were; then durable, and read again. */
static int settle_copy(const struct claim *c, int to)
{
    struct stat st;
    int same;

    if (fstat(c->from, &st) < 0 || fchmod(to, st.st_mode & 0777) < 0)
        return -errno;
    futimens(to, (const struct timespec[2]){st.st_atim,
                                            st.st_mtim}); /* not all file systems keep them */
    if (fdatasync(to) < 0)
        return -errno;
    posix_fadvise(to, 0, 0, POSIX_FADV_DONTNEED); /* from the disk, if it can be had */
    same = dlm_same_bytes(c->from, to);
    return same < 0 ? same : same ? 0 : -EIO;
}

static int take_name(const struct claim *c, int dir, const char *from)
{
    int r;

    if (c->flags & DLMGR_CLAIM_REPLACE)
        return renameat(dir, from, c->dir, c->name) < 0 ? -errno : 0;
    r = renameat2(dir, from, c->dir, c->name, RENAME_NOREPLACE) < 0 ? -errno : 0;
    if (r != -EINVAL && r != -ENOSYS)
        return r;
    if (linkat(dir, from, c->dir, c->name, 0) < 0)
        return -errno;
    return unlinkat(dir, from, 0) < 0 ? -errno : 0;
}

static int copy(struct claim *c)
{
    CLEANUP_FD int to = -1;
    char temp[64];
    int r;

    /* Only this claim has the name; one that is there was left by a crash. */
    snprintf(temp, sizeof(temp), ".claim-%lld-%lld-%llx", (long long)c->event->task,
             (long long)c->event->generation, (unsigned long long)c->ident.ino);
    if (unlinkat(c->dir, temp, 0) < 0 && errno != ENOENT)
        return -errno;
    to = openat(c->dir, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    r = copy_bytes(c->from, to);
    if (r == 0)
        r = settle_copy(c, to);
    if (r == 0)
        r = take_name(c, c->dir, temp);
    if (r < 0)
        unlinkat(c->dir, temp, 0);
    c->copied = r == 0;
    return r;
}

/* ---- Moving --------------------------------------------------------------------------------------------------- */

static int sync_dir(int dir)
{
    return fsync(dir) < 0 && errno != EINVAL ? -errno : 0;
}

/* The directory that the file was in. */
static int sync_source(const struct claim *c)
{
    CLEANUP_FREE char *path = dlm_strdup(c->event->path);
    char *slash = path ? strrchr(path, '/') : NULL;
    CLEANUP_FD int fd = -1;

    if (!slash)
        return path ? 0 : -ENOMEM;
    slash[slash == path] = '\0';
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? (errno == ENOENT ? 0 : -errno) : sync_dir(fd);
}

static int move(struct claim *c)
{
    int r = take_name(c, AT_FDCWD, c->event->path);

    if (r == -EXDEV)
        r = copy(c);
    if (r == -EEXIST)
        return dlm_fail(c->e, DLMGR_EEXIST,
                        "event %lld: `%s` is there already, and is another file than `%s`",
                        (long long)c->event->seq, c->name, c->event->path);
    return r < 0 ? trouble(c, -r, "move") : 0;
}

/* 1: the file that has the new name has the same bytes. */
static int is_equal(struct claim *c, const struct dlm_ident *at)
{
    CLEANUP_FD int fd = -1;
    int r;

    if (at->size != c->ident.size)
        return 0;
    fd = openat(c->dir, c->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    r = fd < 0 ? 0 : dlm_same_bytes(c->from, fd);
    return r < 0 ? trouble(c, -r, "compare") : r;
}

static int open_source(struct claim *c)
{
    struct dlm_ident at;
    int r;

    c->from = open(c->event->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (c->from < 0 && errno == ENOENT)
        return dlm_fail(c->e, DLMGR_ENOTFOUND, "event %lld: `%s` has gone, and `%s` is not there",
                        (long long)c->event->seq, c->event->path, c->name);
    r = c->from < 0 ? -errno : dlm_ident_of(c->from, &at, NULL);
    if (r < 0)
        return trouble(c, -r, "open");
    if (!is_ours(c, &at))
        return dlm_fail(c->e, DLMGR_ESTATE,
                        "event %lld: `%s` is another file by now than the one that was finished",
                        (long long)c->event->seq, c->event->path);
    return 0;
}

static int find_and_move(struct claim *c)
{
    struct dlm_ident at;
    int r = dlm_ident_at(c->dir, c->name, &at, NULL);
    bool there = r == 0;

    if (r < 0 && r != -ENOENT)
        return trouble(c, -r, "look at");
    if (there && is_ours(c, &at))
        return 0;
    r = open_source(c);
    if (r == 0 && there)
        r = is_equal(c, &at);
    c->copied = r == 1;
    return r == 0 ? move(c) : MIN(r, 0);
}

/* ---- The whole step -------------------------------------------------------------------------------------------- */

static void drop_original(const struct claim *c)
{
    struct dlm_ident at;

    if (dlm_ident_at(AT_FDCWD, c->event->path, &at, NULL) == 0 && is_ours(c, &at))
        unlink(c->event->path); /* its copy is safe; one that stays is only in the way */
}

static int claim_move(struct claim *c)
{
    struct dlmgr_session *s = c->event->holder;
    CLEANUP_JSON json_t *result = NULL;
    int r = dlm_session_call(s, "deliver", json_pack("{s:i}", "limit", 0), &result, c->e);

    if (r == 0)
        r = find_and_move(c);
    if (r == 0) {
        int err = sync_dir(c->dir);

        if (err == 0 && !c->copied)
            err = sync_source(c);
        r = err < 0 ? trouble(c, -err, "sync the directories of") : 0;
    }
    if (r == 0)
        r = dlm_session_ack(s, &c->event->seq, 1, c->e);
    if (r == 0 && c->copied)
        drop_original(c);
    return r;
}

/* Events of dlmgr 0.1 do not tell which file it was: it is what has the name then. */
static void identify(struct claim *c)
{
    const json_t *file = json_object_get(c->event->more, "file");

    if (json_is_object(file))
        c->ident = (struct dlm_ident){.ino = (uint64_t)dlm_json_int(file, "ino", 0),
                                      .btime_ns = dlm_json_int(file, "btime", 0),
                                      .size = dlm_json_int(file, "size", 0)};
    else if (dlm_ident_at(AT_FDCWD, c->event->path, &c->ident, NULL) < 0)
        c->ident = (struct dlm_ident){0};
}

static int check(const struct claim *c, dlmgr_error *e)
{
    if (!c->event->holder)
        return dlm_fail(e, DLMGR_EINVAL, "the event was not delivered to a session");
    if (strcmp(c->event->type, "done") || !c->event->path)
        return dlm_fail(e, DLMGR_EINVAL, "event %lld is `%s`, without a file that could be moved",
                        (long long)c->event->seq, c->event->type);
    if (!c->name || !*c->name || strchr(c->name, '/') || !strcmp(c->name, ".") ||
        !strcmp(c->name, ".."))
        return dlm_fail(e, DLMGR_EINVAL, "name `%.100s`: must be one name in the directory",
                        c->name ? c->name : "");
    return 0;
}

int dlmgr_claim_move(const dlmgr_event *event, int dirfd, const char *name, unsigned flags,
                     dlmgr_error *error)
{
    struct claim c = {.event = event, .name = name, .flags = flags, .dir = -1, .from = -1, .e = error};
    dlmgr_error mine = {0};
    struct dlm_hush hush;
    int r;

    c.e = error ? error : &mine;
    r = event ? check(&c, c.e) : dlm_fail(c.e, DLMGR_EINVAL, "the event is NULL");
    if (r < 0)
        return r;
    identify(&c);
    c.dir = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dlm_hush_begin(&hush);
    r = c.dir < 0 ? trouble(&c, errno, "open the directory for") : claim_move(&c);
    dlm_hush_end(&hush);
    dlm_cleanup_fd(&c.dir);
    dlm_cleanup_fd(&c.from);
    return r;
}
