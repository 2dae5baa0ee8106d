/* SPDX-License-Identifier: MIT */
/*
 * dir.c - held directories: see dir.h.
 *
 * The group sync: whoever asks takes a ticket. If nobody is syncing, he syncs for all tickets given so far; else he waits, and looks again.
 * A failed sync is everyone's failure whose ticket it was to cover.
 */
#include "dlmgr/dir.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

struct dlm_dirs {
    pthread_mutex_t lock;
    pthread_cond_t synced;
    struct dlm_dir *head;
};

int dlm_dirs_new(struct dlm_dirs **ret)
{
    struct dlm_dirs *set = dlm_alloc(sizeof(*set));

    if (!set)
        return DLMGR_ENOMEM;
    pthread_mutex_init(&set->lock, NULL);
    pthread_cond_init(&set->synced, NULL);
    *ret = set;
    return 0;
}

static void dir_free(struct dlm_dir *d)
{
    close(d->fd);
    free(d->path);
    free(d);
}

struct dlm_dirs *dlm_dirs_free(struct dlm_dirs *set)
{
    if (!set)
        return NULL;
    while (set->head) {
        struct dlm_dir *d = set->head;

        set->head = d->next;
        dir_free(d);
    }
    pthread_cond_destroy(&set->synced);
    pthread_mutex_destroy(&set->lock);
    free(set);
    return NULL;
}

static int open_beneath(int fd, const char *name)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    long r = syscall(SYS_openat2, fd, name, &how, sizeof(how));

    /* Before Linux 5.6, or under a filter that does not know it: refuse every symlink instead. */
    if (r < 0 && (errno == ENOSYS || errno == EPERM))
        return openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return (int)r;
}

/* Go one component down from *fd, making it when allowed; the new entry is synced into its parent. */
static int step(int *fd, const char *name, bool beneath, bool create)
{
    int next;

    if (create && mkdirat(*fd, name, 0777) == 0) {
        int r = dlm_fsync_dir(*fd);

        if (r < 0)
            return r;
    } else if (create && errno != EEXIST) {
        return -errno;
    }
    next = beneath ? open_beneath(*fd, name) : openat(*fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (next < 0)
        return -errno;
    close(*fd);
    *fd = next;
    return 0;
}

/* Walk `path` (its last component too, or not) from *fd. */
static int walk(int *fd, const char *path, bool with_last, bool beneath, bool create)
{
    CLEANUP_FREE char *copy = dlm_strdup(path);
    char *save = NULL, *part, *next;

    if (!copy)
        return -ENOMEM;
    for (part = strtok_r(copy, "/", &save); part; part = next) {
        int r;

        next = strtok_r(NULL, "/", &save);
        if (!next && !with_last)
            break;
        r = step(fd, part, beneath, create);
        if (r < 0)
            return r;
    }
    return 0;
}

static int open_both(const char *dir, const char *out, bool create)
{
    CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = 0;

    if (fd < 0 && errno == ENOENT && create) {
        fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? -errno : walk(&fd, dir, true, false, true);
    } else if (fd < 0) {
        r = -errno;
    }
    if (r == 0 && out && strchr(out, '/'))
        r = walk(&fd, out, false, true, create);
    return r < 0 ? r : TAKE_FD(fd);
}

static char *path_of(const char *dir, const char *out)
{
    const char *slash = out ? strrchr(out, '/') : NULL;
    struct dlm_buf b = {0};

    dlm_buf_puts(&b, dir);
    if (slash) {
        dlm_buf_puts(&b, "/");
        dlm_buf_add(&b, out, (size_t)(slash - out));
    }
    return dlm_buf_take(&b);
}

/* The one that is open under this path and still is what stands there, with a reference more. Under the lock. */
static struct dlm_dir *find(struct dlm_dirs *set, const char *path, const struct stat *st)
{
    for (struct dlm_dir *d = set->head; d; d = d->next) {
        if (d->ino == st->st_ino && d->dev == st->st_dev && strcmp(d->path, path) == 0) {
            d->refs++;
            return d;
        }
    }
    return NULL;
}

/* Many tasks have one directory: then a look at it is enough. Below it, each step must be walked. */
static struct dlm_dir *find_held(struct dlm_dirs *set, const char *dir, const char *out)
{
    struct dlm_dir *d;
    struct stat st;

    if ((out && strchr(out, '/')) || stat(dir, &st) < 0)
        return NULL;
    pthread_mutex_lock(&set->lock);
    d = find(set, dir, &st);
    pthread_mutex_unlock(&set->lock);
    return d;
}

static int dir_open(struct dlm_dirs *set, const char *dir, const char *out, bool create,
                    struct dlm_dir **ret, dlmgr_error *e)
{
    CLEANUP_FREE char *path = path_of(dir, out);
    CLEANUP_FD int fd = -1;
    struct dlm_dir *d;
    struct stat st;

    if (!path)
        return dlm_fail(e, DLMGR_ENOMEM, "no memory for a directory's name");
    fd = open_both(dir, out, create);
    if (fd < 0 || fstat(fd, &st) < 0) {
        errno = fd < 0 ? -fd : errno;
        return dlm_fail_errno(e, errno == ENOENT ? DLMGR_ENOTFOUND : DLMGR_EIO, path,
                              "cannot open the directory `%s`", path);
    }
    pthread_mutex_lock(&set->lock);
    d = find(set, path, &st);
    if (!d && (d = dlm_alloc(sizeof(*d)))) {
        *d = (struct dlm_dir){.path = TAKE_PTR(path),
                              .fd = TAKE_FD(fd),
                              .dev = st.st_dev,
                              .ino = st.st_ino,
                              .set = set,
                              .refs = 1,
                              .next = set->head};
        set->head = d;
    }
    pthread_mutex_unlock(&set->lock);
    if (!d)
        return dlm_fail(e, DLMGR_ENOMEM, "no memory for a directory");
    *ret = d;
    return 0;
}

int dlm_dir_get(struct dlm_dirs *set, const char *dir, const char *out, bool create,
                struct dlm_dir **ret, dlmgr_error *e)
{
    struct dlm_dir *d = find_held(set, dir, out);

    if (!d)
        return dir_open(set, dir, out, create, ret, e);
    *ret = d;
    return 0;
}

int dlm_dir_is_there(const struct dlm_dir *d)
{
    struct stat st;

    if (stat(d->path, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    return st.st_dev == d->dev && st.st_ino == d->ino;
}

struct dlm_dir *dlm_dir_hold(struct dlm_dir *d)
{
    pthread_mutex_lock(&d->set->lock);
    d->refs++;
    pthread_mutex_unlock(&d->set->lock);
    return d;
}

struct dlm_dir *dlm_dir_put(struct dlm_dir *d)
{
    struct dlm_dirs *set;

    if (!d)
        return NULL;
    set = d->set;
    pthread_mutex_lock(&set->lock);
    if (--d->refs > 0) {
        d = NULL;
    } else {
        struct dlm_dir **at = &set->head;

        while (*at != d)
            at = &(*at)->next;
        *at = d->next;
    }
    pthread_mutex_unlock(&set->lock);
    if (d)
        dir_free(d);
    return NULL;
}

/* As the one who syncs, for all tickets given so far. The kernel tells an error once: it must reach everybody. */
static void sync_for_all(struct dlm_dir *d)
{
    struct dlm_dirs *set = d->set;
    int64_t covers = d->asked;
    int r;

    d->syncing = true;
    pthread_mutex_unlock(&set->lock);
    r = dlm_fsync_dir(d->fd);
    pthread_mutex_lock(&set->lock);
    d->syncing = false;
    if (r == 0) {
        d->synced = covers;
    } else {
        d->failed = covers;
        d->failure = r;
    }
    pthread_cond_broadcast(&set->synced);
}

int dlm_dir_sync(struct dlm_dir *d)
{
    struct dlm_dirs *set = d->set;
    int64_t ticket;
    int r;

    pthread_mutex_lock(&set->lock);
    ticket = ++d->asked;
    while (d->synced < ticket && d->failed < ticket) {
        if (d->syncing)
            pthread_cond_wait(&set->synced, &set->lock);
        else
            sync_for_all(d);
    }
    r = d->failed >= ticket ? d->failure : 0;
    pthread_mutex_unlock(&set->lock);
    return r;
}

/* Layout of system.posix_acl_default: linux/posix_acl_xattr.h. */
struct acl_entry {
    uint16_t tag, perm;
    uint32_t id;
};

unsigned dlm_dir_file_mode(const struct dlm_dir *d, unsigned mask)
{
    enum { USER_OBJ = 0x01, GROUP_OBJ = 0x04, MASK = 0x10, OTHER = 0x20 };
    char acl[4096];
    ssize_t n = fgetxattr(d->fd, "system.posix_acl_default", acl, sizeof(acl));
    unsigned user = 6, group = 6, other = 6;
    bool masked = false;

    if (n < 4)
        return 0666 & ~mask;
    for (ssize_t at = 4; at + (ssize_t)sizeof(struct acl_entry) <= n;
         at += sizeof(struct acl_entry)) {
        struct acl_entry entry;

        memcpy(&entry, acl + at, sizeof(entry));
        if (entry.tag == USER_OBJ)
            user = entry.perm;
        else if (entry.tag == MASK || (entry.tag == GROUP_OBJ && !masked))
            group = entry.perm;
        else if (entry.tag == OTHER)
            other = entry.perm;
        masked |= entry.tag == MASK;
    }
    return 0666 & (((user & 7) << 6) | ((group & 7) << 3) | (other & 7));
}
