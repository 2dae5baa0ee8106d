/* SPDX-License-Identifier: MIT */
/*
 * salvage_file.c - where a salvage happens: a copy of the old journal, the new one beside it, and how that takes its place.
 *
 *     salvage.new/    being built: a copy of journal.db, into which its WAL is put, and the new journal; who comes after a crash begins again
 *     salvage/        the new journal, whole and synced. From here on nobody opens the old one: who is told to mend goes on here
 *     quarantine/T/   the old one, moved by doctor; then salvage/journal.db becomes journal.db
 *
 * So at each instant one of both is whole, and nothing is believed that is half built. The old files are read through SQLite's own files and never
 * opened by us: closing one would drop the locks that this process may have on it. HOME/mark stays: the new journal goes on counting from there.
 *
 * A journal whose first page is damaged cannot be opened, though only the list of tables stands in it. Then the copy gets that of the new journal.
 */
#include "store/salvage.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define BUILDING "salvage.new"
#define WAITING "salvage"
#define OLD "old.db"

struct copy {
    int dir;                       /* salvage.new */
    unsigned char first[DLM_PAGE]; /* of the new journal, as the copy may get it */
    bool patched;
};

static int no(dlmgr_error *e, const char *home, const char *what)
{
    return dlm_fail_errno(e, DLMGR_EIO, home, "%s/%s: a salvage cannot be made", home, what);
}

/* ---- Directories ----------------------------------------------------------------------------------------------- */

/* One of ours and what we make in it; 0 also when it is not there. */
static int remove_dir(int homefd, const char *name)
{
    static const char *const files[] = {OLD,
                                        OLD "-wal",
                                        OLD "-shm",
                                        OLD "-journal",
                                        "journal.db",
                                        "journal.db-wal",
                                        "journal.db-shm",
                                        "journal.db-journal",
                                        "journal.db.new",
                                        "journal.db.new-journal",
                                        "journal.db.new-wal",
                                        "journal.db.new-shm",
                                        "mark"};
    CLEANUP_FD int dir = openat(homefd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (dir < 0)
        return errno == ENOENT ? 0 : -1;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (unlinkat(dir, files[i], 0) < 0 && errno != ENOENT)
            return -1;
    return unlinkat(homefd, name, AT_REMOVEDIR);
}

static int make_dir(int homefd, struct copy *c)
{
    if (remove_dir(homefd, BUILDING) < 0 || mkdirat(homefd, BUILDING, 0700) < 0)
        return -1;
    c->dir = openat(homefd, BUILDING, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return c->dir < 0 ? -1 : 0;
}

/* ---- The copy -------------------------------------------------------------------------------------------------- */

static int copy_bytes(sqlite3_file *from, int to)
{
    unsigned char data[KIB(64)];
    sqlite3_int64 size = 0;
    int rc = from->pMethods->xFileSize(from, &size);

    for (sqlite3_int64 at = 0; at < size && rc == SQLITE_OK; at += (sqlite3_int64)sizeof(data)) {
        int n = (int)MIN((sqlite3_int64)sizeof(data), size - at);

        rc = from->pMethods->xRead(from, data, n, at);
        if (rc == SQLITE_OK && dlm_pwrite_all(to, data, (size_t)n, at) < 0)
            return DLMGR_EIO;
    }
    return rc == SQLITE_OK ? 0 : dlm_sql_code(NULL, rc);
}

/* An empty one of one that is not there, or that is not a file. */
static int copy_file(int homefd, const char *name, int dir, const char *as)
{
    CLEANUP_FD int to = openat(dir, as, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    sqlite3_vfs *vfs = sqlite3_vfs_find(dlm_vfs());
    CLEANUP_FREE sqlite3_file *from = vfs ? dlm_alloc((size_t)vfs->szOsFile) : NULL;
    /* SQLite looks for parameters behind the name. */
    char path[80] = {0};
    struct stat st;
    int r;

    if (to < 0 || !from)
        return to < 0 ? DLMGR_EIO : DLMGR_ENOMEM;
    if (fstatat(homefd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return 0;
    snprintf(path, sizeof(path) - 4, "/proc/self/fd/%d/%s", homefd, name);
    if (vfs->xOpen(vfs, path, from, SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        return DLMGR_EIO;
    r = copy_bytes(from, to);
    from->pMethods->xClose(from);
    return r;
}

/* The list of tables of a new journal in the place of the damaged one: as long as the file is, and with nothing free. */
static int patch(struct copy *c)
{
    CLEANUP_FD int new = openat(c->dir, "journal.db", O_RDONLY | O_NOFOLLOW | O_CLOEXEC), fd = -1;
    struct stat st;
    uint32_t n;

    fd = openat(c->dir, OLD, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (new < 0 || fd < 0 || fstat(fd, &st) < 0 ||
        dlm_pread_all(new, c->first, DLM_PAGE, 0) != DLM_PAGE)
        return DLMGR_EIO;
    n = (uint32_t)MAX(st.st_size / DLM_PAGE, (off_t)1);
    for (int i = 0; i < 4; i++)
        c->first[28 + i] = (unsigned char)(n >> (24 - 8 * i));
    memset(c->first + 32, 0, 8);
    c->patched = true;
    return dlm_pwrite_all(fd, c->first, DLM_PAGE, 0);
}

/* What stands in the WAL of the copy, as far as that is right, goes into the copy. SQLite's code. */
static int put_wal(const struct copy *c)
{
    sqlite3 *db = NULL;
    char path[80];
    int rc;

    snprintf(path, sizeof(path), "/proc/self/fd/%d/" OLD, c->dir);
    rc = sqlite3_open_v2(path, &db,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                         dlm_vfs());
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA application_id", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_close(db);
    return rc;
}

static int make_copy(int homefd, struct copy *c)
{
    struct stat st;
    int r = copy_file(homefd, "journal.db", c->dir, OLD), rc;

    if (r == 0)
        r = copy_file(homefd, "journal.db-wal", c->dir, OLD "-wal");
    if (r == 0 && fstatat(c->dir, OLD, &st, AT_SYMLINK_NOFOLLOW) < 0)
        r = DLMGR_EIO;
    if (r < 0)
        return r;
    rc = st.st_size < DLM_PAGE ? SQLITE_NOTADB : put_wal(c);
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_NOTADB && (rc & 0xff) != SQLITE_CORRUPT)
        return dlm_sql_code(NULL, rc);
    if (rc != SQLITE_OK) {
        r = patch(c);
        rc = r == 0 ? put_wal(c) : rc;
    }
    /* A WAL that SQLite cannot use even so is left out; HOME/mark tells how much that was. */
    return r;
}

/* ---- Building --------------------------------------------------------------------------------------------------- */

static int carry_over(struct dlm_store *s, struct copy *c, int64_t mark, struct dlm_salvage *sum,
                      dlm_problem_fn fn, void *context)
{
    CLEANUP_FD int fd = -1;
    unsigned char first[DLM_PAGE] = {0};
    ssize_t n;
    int r = 0;

    fd = openat(c->dir, OLD, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    n = fd < 0 ? -1 : dlm_pread_all(fd, first, sizeof(first), 0);
    if (n < 0)
        return DLMGR_EIO;
    if (r == 0)
        r = dlm_salvage_rows(s, fd, 0, !c->patched || memcmp(first, c->first, sizeof(first)) != 0,
                             mark, sum, fn, context);
    return r;
}

/* The new journal is whole in its one file. */
static int closed_whole(const struct copy *c)
{
    struct stat st;

    if (fstatat(c->dir, "journal.db-wal", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0)
        return DLMGR_EIO;
    return dlm_fsync_dir(c->dir);
}

static int build(int homefd, const char *home, struct copy *c, struct dlm_salvage *sum,
                 dlm_problem_fn fn, void *context, dlmgr_error *e)
{
    CLEANUP_BUF struct dlm_buf path = {0}; /* for messages */
    struct dlm_store *s = NULL;
    int r;

    dlm_buf_printf(&path, "%s/" BUILDING, home);
    if (path.failed)
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    r = dlm_store_open(c->dir, path.data, DLM_STORE_WRITE, &s, e);
    if (r < 0)
        return r;
    r = make_copy(homefd, c);
    if (r == 0)
        r = carry_over(s, c, dlm_mark_read(homefd), sum, fn, context);
    if (r < 0)
        dlm_store_error(s, r, e);
    dlm_store_close(s);
    return r;
}

static int keep_it(int homefd, struct copy *c)
{
    static const char *const files[] = {OLD, OLD "-wal", OLD "-shm", "mark"};
    int r = closed_whole(c);

    for (size_t i = 0; i < ARRAY_SIZE(files) && r == 0; i++)
        if (unlinkat(c->dir, files[i], 0) < 0 && errno != ENOENT)
            r = DLMGR_EIO;
    if (r == 0)
        r = dlm_fsync_dir(c->dir);
    if (r == 0 && renameat(homefd, BUILDING, homefd, WAITING) < 0)
        r = DLMGR_EIO;
    return r == 0 ? dlm_fsync_dir(homefd) : r;
}

int dlm_store_salvage(int homefd, const char *home, bool keep, struct dlm_salvage *ret,
                      dlm_problem_fn fn, void *context, dlmgr_error *e)
{
    struct copy c = {.dir = -1};
    int r;

    *ret = (struct dlm_salvage){0};
    if (make_dir(homefd, &c) < 0)
        return no(e, home, BUILDING);
    r = build(homefd, home, &c, ret, fn, context, e);
    if (r == 0 && keep && (r = keep_it(homefd, &c)) < 0)
        no(e, home, BUILDING);
    dlm_cleanup_fd(&c.dir);
    if (r < 0 || !keep)
        remove_dir(homefd, BUILDING); /* the next one does so otherwise */
    return r;
}

/* ---- Taking its place ----------------------------------------------------------------------------------------------- */

bool dlm_store_salvage_waits(int homefd)
{
    return faccessat(homefd, WAITING, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool dlm_store_salvage_unplaced(int homefd)
{
    return faccessat(homefd, WAITING "/journal.db", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int dlm_store_salvage_place(int homefd, const char *home, dlmgr_error *e)
{
    CLEANUP_FD int dir = openat(homefd, WAITING, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (dir < 0)
        return no(e, home, WAITING);
    if (renameat(dir, "journal.db", homefd, "journal.db") < 0 && errno != ENOENT)
        return no(e, home, WAITING);
    if (dlm_fsync_dir(homefd) < 0 || dlm_fsync_dir(dir) < 0 || remove_dir(homefd, WAITING) < 0 ||
        dlm_fsync_dir(homefd) < 0)
        return no(e, home, WAITING);
    return 0;
}
