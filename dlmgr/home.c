/* SPDX-License-Identifier: MIT */
/*
 * home.c - finding, judging, holding and locking a home: see home.h.
 *
 *     struct home ---> struct lock (one for each home that this process has open)
 *     struct home --->   |  fd of HOME/lock, opened when first needed
 *                        |  holder: the home that has it, or NULL
 *
 * A POSIX lock is lost as soon as the process closes any descriptor of that file, so the file is opened here alone, once
 * for all homes of the process that are the same directory (device and inode), and closed with the last of them.
 * F_GETLK does not see locks of one's own process: `holder` answers for those.
 *
 * A forked child has none of its parent's locks. The child's table starts empty (pthread_atfork), and what it inherited
 * is only freed.
 *
 * A directory that is to hold a new journal is synced into its parent, and that into its own: what a journal promises must not vanish with its directory.
 */
#include "dlmgr/home.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

struct lock {
    struct lock *next;
    dev_t dev;
    ino_t ino;
    int fd; /* of HOME/lock, -1 not opened yet */
    int refs;
    struct dlm_home *holder;
};

struct home {
    struct dlm_home pub;
    struct lock *lock;
};

static pthread_mutex_t table_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t table_once = PTHREAD_ONCE_INIT;
static struct lock *table;

static void before_fork(void)
{
    pthread_mutex_lock(&table_mutex);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&table_mutex);
}

static void after_fork_child(void)
{
    for (struct lock *l = table; l; l = l->next)
        l->holder = NULL;
    table = NULL;
    pthread_mutex_unlock(&table_mutex);
}

static void table_init(void)
{
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static void table_lock(void)
{
    pthread_once(&table_once, table_init);
    pthread_mutex_lock(&table_mutex);
}

static void table_unlock(void)
{
    pthread_mutex_unlock(&table_mutex);
}

/* ---- Which directory ------------------------------------------------------------------------ */

static char *path_join(const char *a, const char *b)
{
    struct dlm_buf buf = {0};

    dlm_buf_printf(&buf, "%s%s%s", a, *a && a[strlen(a) - 1] == '/' ? "" : "/", b);
    return dlm_buf_take(&buf);
}

static int path_absolute(const char *path, char **ret, dlmgr_error *e)
{
    char cwd[PATH_MAX];

    if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
        return dlm_fail_errno(e, DLMGR_EHOME, path, "cannot tell where the home %s is", path);
    *ret = path[0] == '/' ? dlm_strdup(path) : path_join(cwd, path);
    return *ret ? 0 : dlm_fail(e, DLMGR_ENOMEM, "out of memory");
}

static char *user_home(void)
{
    const char *home = secure_getenv("HOME");
    struct passwd pw, *found = NULL;
    char buf[4096];

    if (home && home[0] == '/')
        return dlm_strdup(home);
    if (getpwuid_r(geteuid(), &pw, buf, sizeof(buf), &found) || !found || found->pw_dir[0] != '/')
        return NULL;
    return dlm_strdup(found->pw_dir);
}

/* *ret_chosen: the caller or $DLMGR_HOME named it; else it follows from the user's environment. */
static int find_path(const char *given, char **ret, bool *ret_chosen, dlmgr_error *e)
{
    const char *env = secure_getenv("DLMGR_HOME"), *state = secure_getenv("XDG_STATE_HOME");
    CLEANUP_FREE char *user = NULL;

    if (given && !*given)
        return dlm_fail(e, DLMGR_EINVAL, "the home's path is empty");
    if (!given && env && *env)
        given = env;
    *ret_chosen = given != NULL;
    if (given)
        return path_absolute(given, ret, e);
    if (state && state[0] == '/') {
        *ret = path_join(state, "dlmgr");
    } else {
        user = user_home();
        if (!user)
            return dlm_fail(e, DLMGR_EHOME,
                            "$HOME is not set: say where with --home or $DLMGR_HOME");
        *ret = path_join(user, ".local/state/dlmgr");
    }
    return *ret ? 0 : dlm_fail(e, DLMGR_ENOMEM, "out of memory");
}

static void user_name(uid_t uid, char *out, size_t size)
{
    struct passwd pw, *found = NULL;
    char buf[4096];

    if (!getpwuid_r(uid, &pw, buf, sizeof(buf), &found) && found)
        snprintf(out, size, "%s", found->pw_name);
    else
        snprintf(out, size, "#%u", (unsigned)uid);
}

/* sudo keeps $HOME: root would leave a home there that its user cannot use. */
static int check_root(const char *path, dlmgr_error *e)
{
    CLEANUP_FREE char *up = dlm_strdup(path);
    char name[256];
    struct stat st;
    char *slash;

    if (!up)
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    while (stat(up, &st) && (slash = strrchr(up, '/')) && slash != up)
        *slash = '\0';
    if (geteuid() != 0 || stat(up, &st) || st.st_uid == 0)
        return 0;
    user_name(st.st_uid, name, sizeof(name));
    dlm_fail(e, DLMGR_EHOME,
             "root would use %s, which is in the directory of %s: run `sudo -u %s dlmgr`, or `sudo -H dlmgr` for "
             "root's own home, or name one with --home",
             path, name, name);
    if (e)
        snprintf(e->path, sizeof(e->path), "%s", path);
    return DLMGR_EHOME;
}

/* ---- Making and judging ------------------------------------------------------------------------ */

static int sync_parent(const char *path)
{
    CLEANUP_FREE char *up = dlm_strdup(path);
    char *slash = up ? strrchr(up, '/') : NULL;
    CLEANUP_FD int fd = -1;
    int r;

    if (!slash) {
        errno = ENOMEM;
        return -1;
    }
    slash[slash == up] = '\0';
    fd = open(up, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0
                               : -1; /* we may enter it, not read it: then it is not ours to sync */
    r = dlm_fsync_dir(fd);
    errno = -r;
    return r;
}

/* Do it to a path and all above it, the topmost first. */
static int each_above(const char *path, int (*fn)(const char *path), dlmgr_error *e)
{
    CLEANUP_FREE char *up = dlm_strdup(path);

    if (!up)
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    for (char *p = up + 1;; p++) {
        char was = *p;

        if (was && was != '/')
            continue;
        *p = '\0';
        if (fn(up) < 0)
            return dlm_fail_errno(e, DLMGR_EHOME, up, "cannot make the directory %s", up);
        *p = was;
        if (!was)
            return 0;
    }
}

static int make_one(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

static int refuse(dlmgr_error *e, const char *path, const char *what, const char *remedy)
{
    dlm_fail(e, DLMGR_EHOME, "the home %s %s: %s", path, what, remedy);
    if (e)
        snprintf(e->path, sizeof(e->path), "%s", path);
    return DLMGR_EHOME;
}

static int judge(int fd, const char *path, bool trust_group, struct stat *ret_st, dlmgr_error *e)
{
    char what[300], remedy[PATH_MAX + 100], name[256];

    if (fstat(fd, ret_st))
        return dlm_fail_errno(e, DLMGR_EHOME, path, "cannot look at the home %s", path);
    if (ret_st->st_uid != geteuid()) {
        user_name(ret_st->st_uid, name, sizeof(name));
        snprintf(what, sizeof(what), "belongs to %s", name);
        snprintf(remedy, sizeof(remedy),
                 "run `sudo -u %s dlmgr`, or choose another home with --home", name);
        return refuse(e, path, what, remedy);
    }
    if (ret_st->st_mode & S_IWOTH) {
        snprintf(remedy, sizeof(remedy), "run `chmod o-w '%s'`", path);
        return refuse(e, path, "can be written by everybody", remedy);
    }
    if ((ret_st->st_mode & S_IWGRP) && !trust_group) {
        snprintf(remedy, sizeof(remedy),
                 "run `chmod g-w '%s'`, or set trust-group if all of its group may", path);
        return refuse(e, path, "can be written by its group", remedy);
    }
    if (faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS))
        return dlm_fail_errno(e, DLMGR_EHOME, path,
                              "the home %s cannot be written (make it writable or choose another with --home)",
                              path);
    return 0;
}

/* Who made it may have been killed before it was synced into its parent, so that is done until it holds a journal. */
static int hold(const char *path, bool create, bool chosen, int *ret_fd, dlmgr_error *e)
{
    int r = 0, fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && create) {
        r = chosen ? 0 : check_root(path, e);
        if (r == 0)
            r = each_above(path, make_one, e);
        if (r < 0)
            return r;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return dlm_fail_errno(e, DLMGR_EHOME, path, "cannot open the home %s", path);
    if (create && faccessat(fd, "journal.db", F_OK, 0))
        r = each_above(path, sync_parent, e);
    if (r < 0)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}

/* ---- The table of locks ------------------------------------------------------------------------- */

static struct lock *lock_get(const struct stat *st)
{
    struct lock *l;

    table_lock();
    for (l = table; l && (l->dev != st->st_dev || l->ino != st->st_ino); l = l->next)
        ;
    if (!l && (l = dlm_alloc(sizeof(*l)))) {
        *l = (struct lock){.next = table, .dev = st->st_dev, .ino = st->st_ino, .fd = -1};
        table = l;
    }
    if (l)
        l->refs++;
    table_unlock();
    return l;
}

static void lock_put(struct lock *l)
{
    table_lock();
    if (l && --l->refs == 0) {
        for (struct lock **p = &table; *p; p = &(*p)->next)
            if (*p == l) {
                *p = l->next;
                break;
            }
        if (l->fd >= 0)
            close(l->fd);
        free(l);
    }
    table_unlock();
}

int dlm_home_open(const char *given, bool create, bool trust_group, struct dlm_home **ret,
                  dlmgr_error *e)
{
    CLEANUP_FREE char *path = NULL, *real = NULL;
    CLEANUP_FD int fd = -1;
    struct home *h;
    struct stat st;
    bool chosen = false;
    int r;

    r = find_path(given, &path, &chosen, e);
    if (r == 0)
        r = hold(path, create, chosen, &fd, e);
    if (r == 0)
        r = judge(fd, path, trust_group, &st, e);
    if (r < 0)
        return r;
    /* SQLite goes by path and refuses a path with symbolic links in it. */
    real = realpath(path, NULL);
    if (!real)
        return dlm_fail_errno(e, DLMGR_EHOME, path, "cannot resolve the home %s", path);
    h = dlm_alloc(sizeof(*h));
    if (!h || !(h->lock = lock_get(&st))) {
        free(h);
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    }
    h->pub.path = TAKE_PTR(real);
    h->pub.fd = TAKE_FD(fd);
    *ret = &h->pub;
    return 0;
}

struct dlm_home *dlm_home_close(struct dlm_home *pub)
{
    struct home *h = pub ? container_of(pub, struct home, pub) : NULL;

    if (!h)
        return NULL;
    dlm_home_unlock(pub);
    lock_put(h->lock);
    close(pub->fd);
    free(pub->path);
    free(h);
    return NULL;
}

/* ---- Locking ------------------------------------------------------------------------------------- */

static int lock_fcntl(int fd, int cmd, short type, struct flock *fl)
{
    int r;

    *fl = (struct flock){.l_type = type, .l_whence = SEEK_SET};
    do
        r = fcntl(fd, cmd, fl);
    while (r < 0 && errno == EINTR);
    return r;
}

/* Is the file that we have open still the one that stands in the home? 0: no, 1: yes, or -errno. */
static int lock_is_there(const struct lock *l, int homefd)
{
    struct stat ours, theirs;

    if (fstat(l->fd, &ours) < 0)
        return -errno;
    if (fstatat(homefd, "lock", &theirs, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static int lock_file_open(struct lock *l, const struct dlm_home *h, int flags)
{
    if (l->fd >= 0 && lock_is_there(l, h->fd) > 0)
        return 0;
    if (l->fd >= 0)
        close(l->fd);
    l->fd = dlm_fd_above_stdio(openat(h->fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
    return l->fd < 0 ? -1 : 0;
}

/* 0 or the pid; -1 when it is a process that we cannot see (another pid namespace). */
static int lock_owner(const struct lock *l)
{
    struct flock fl;

    if (l->holder)
        return (int)getpid();
    if (l->fd < 0 || lock_fcntl(l->fd, F_GETLK, F_WRLCK, &fl) || fl.l_type == F_UNLCK)
        return 0;
    return fl.l_pid > 0 ? (int)fl.l_pid : -1;
}

static int fail_busy(const struct dlm_home *h, int pid, dlmgr_error *e)
{
    if (pid > 0)
        dlm_fail(e, DLMGR_EBUSY, "process %d owns %s", pid, h->path);
    else
        dlm_fail(e, DLMGR_EBUSY, "a process that is not visible from here owns %s", h->path);
    if (e)
        snprintf(e->path, sizeof(e->path), "%s", h->path);
    return DLMGR_EBUSY;
}

static int lock_take(struct lock *l, struct dlm_home *h, dlmgr_error *e)
{
    struct flock fl;
    int there;

    if (l->holder)
        return fail_busy(h, (int)getpid(), e);
    do {
        if (lock_file_open(l, h, O_CREAT))
            return dlm_fail_errno(e, DLMGR_EHOME, h->path, "cannot open %s/lock", h->path);
        if (lock_fcntl(l->fd, F_SETLK, F_WRLCK, &fl)) {
            if (errno == EAGAIN || errno == EACCES)
                return fail_busy(h, lock_owner(l), e);
            return dlm_fail_errno(e, DLMGR_EHOME, h->path,
                                  "%s/lock cannot be locked (a home needs a file system with working locks)",
                                  h->path);
        }
        there = lock_is_there(l, h->fd);
    } while (there == 0);
    if (there < 0) {
        lock_fcntl(l->fd, F_SETLK, F_UNLCK, &fl);
        errno = -there;
        return dlm_fail_errno(e, DLMGR_EHOME, h->path, "cannot look at %s/lock", h->path);
    }
    l->holder = h;
    h->locked = true;
    return 0;
}

int dlm_home_lock(struct dlm_home *h, dlmgr_error *e)
{
    struct lock *l = container_of(h, struct home, pub)->lock;
    int r;

    table_lock();
    r = lock_take(l, h, e);
    table_unlock();
    return r;
}

void dlm_home_unlock(struct dlm_home *h)
{
    struct lock *l = container_of(h, struct home, pub)->lock;
    struct flock fl;

    table_lock();
    if (l->holder == h) {
        lock_fcntl(l->fd, F_SETLK, F_UNLCK, &fl);
        l->holder = NULL;
    }
    h->locked = false;
    table_unlock();
}

int dlm_home_owner(struct dlm_home *h)
{
    struct lock *l = container_of(h, struct home, pub)->lock;
    int pid = 0;

    table_lock();
    if (l->holder || lock_file_open(l, h, 0) == 0)
        pid = lock_owner(l);
    table_unlock();
    return pid;
}
