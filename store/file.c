/* SPDX-License-Identifier: MIT */
/*
 * file.c - open a database file of the home: only ours, only whole, and nothing touched before that is known.
 *
 *     look    it must be a regular file (no link followed), and so must its WAL
 *     probe   a read-only connection reads application_id and user_version; it neither recovers nor
 *             checkpoints, so a foreign or newer file and its WAL stay byte-identical
 *     make    a missing one is built under another name, synced, renamed, and the directory synced: a
 *             journal.db that exists is always a whole one
 *     open    for writing: WAL, synchronous=FULL, then the steps of the schema that it lacks
 *     settle  the WAL and the directory are synced before anything of them is believed
 *
 * All this happens under the lock of the home when mode is WRITE. The probe is SQLite's own and not a read() of the header
 * for two reasons: the newest header may stand in the WAL, and closing a descriptor of a file drops all
 * POSIX locks that this process has on it, also those of another connection.
 *
 * The WAL is checkpointed at 4 MiB, and when readers let it grow to 32 MiB we wait shortly for them and start it
 * anew; on disk it never stays over 16 MiB. Until a connection is known to be good it must not checkpoint on close.
 */
#include "store/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define CHECKPOINT_PAGES 1000
#define RESTART_PAGES 8000
#define BUSY_MS 2000
#define RESTART_BUSY_MS 30

static const char pragmas[] = "PRAGMA synchronous = FULL;"
                              "PRAGMA foreign_keys = ON;"
                              "PRAGMA trusted_schema = OFF;"
                              "PRAGMA cell_size_check = ON;"
                              "PRAGMA temp_store = MEMORY;"
                              "PRAGMA cache_size = -4096;"
                              "PRAGMA journal_size_limit = 16777216;";

static const char no_locks[] = "is on a file system without working locks; choose another home";

static int refuse(dlmgr_error *e, int code, const char *home, const char *file, const char *why)
{
    dlm_fail(e, code, "%s/%s %s", home, file, why);
    if (e) {
        e->class_ = DLMGR_CLASS_LOCAL;
        snprintf(e->path, sizeof(e->path), "%s/%s", home, file);
    }
    return code;
}

/* 1: a regular file (*ret_size its size), 0: absent. */
static int look(int homefd, const char *home, const char *file, int64_t *ret_size, dlmgr_error *e)
{
    struct stat st;

    if (fstatat(homefd, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT)
            return 0;
        return dlm_fail_errno(e, DLMGR_EHOME, file, "%s/%s cannot be looked at", home, file);
    }
    if (S_ISLNK(st.st_mode))
        return refuse(e, DLMGR_EJOURNAL, home, file, "is a symbolic link; move the real file there");
    if (!S_ISREG(st.st_mode))
        return refuse(e, DLMGR_EJOURNAL, home, file, "is not a regular file; move it away");
    *ret_size = st.st_size;
    return 1;
}

static int look_beside(int homefd, const char *home, const char *name, int64_t *ret_wal,
                       dlmgr_error *e)
{
    static const char *const suffixes[] = {"-shm", "-journal", "-wal"};
    char file[64];
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(suffixes) && r >= 0; i++) {
        *ret_wal = 0;
        snprintf(file, sizeof(file), "%s%s", name, suffixes[i]);
        r = look(homefd, home, file, ret_wal, e);
    }
    return MIN(r, 0);
}

/* ---- Connections --------------------------------------------------------------------------------- */

static int configure(const struct dlm_file *f, sqlite3 *db)
{
    int rc = sqlite3_busy_timeout(db, BUSY_MS);

    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, pragmas, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, f->secure_delete, NULL, NULL, NULL);
    return rc;
}

static int connect_to(const struct dlm_file *f, int homefd, const char *file, const char *query,
                      int flags, sqlite3 **ret)
{
    char uri[128];
    int rc;

    snprintf(uri, sizeof(uri), "file:/proc/self/fd/%d/%s%s", homefd, file, query);
    flags |= SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
             SQLITE_OPEN_EXRESCODE;
    rc = sqlite3_open_v2(uri, ret, flags, dlm_vfs());
    return rc == SQLITE_OK ? configure(f, *ret) : rc;
}

static int pragma_int(sqlite3 *db, const char *sql, int32_t *ret)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

    if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        *ret = sqlite3_column_int(st, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc;
}

/* Going back to an older dlmgr: what the newer one wrote is not ours to read. */
static int refuse_newer(dlmgr_error *e, const char *home, const struct dlm_file *f, int version)
{
    char why[160];

    snprintf(why, sizeof(why),
             "is of version %d, and this dlmgr %s knows up to %d: install the newer dlmgr again; nothing was changed",
             version, dlmgr_version(), f->version);
    return refuse(e, DLMGR_EJOURNAL, home, f->name, why);
}

static int is_ours(const struct dlm_file *f, sqlite3 *db, const char *home, int32_t *ret_version,
                   dlmgr_error *e)
{
    int32_t id = 0, version = 0;
    int rc = pragma_int(db, "PRAGMA application_id", &id);

    if (rc == SQLITE_OK)
        rc = pragma_int(db, "PRAGMA user_version", &version);
    if (rc != SQLITE_OK)
        return dlm_sql_fail(e, db, rc, home, f->name);
    if (id != f->application_id)
        return refuse(e, DLMGR_EJOURNAL, home, f->name,
                      "belongs to another program; nothing was changed");
    if (version > f->version)
        return refuse_newer(e, home, f, version);
    if (version < 1)
        return refuse(e, DLMGR_EJOURNAL, home, f->name, "has no version; it is not a whole one");
    *ret_version = version;
    return 0;
}

static int probe(const struct dlm_file *f, int homefd, const char *home, int64_t wal,
                 int32_t *ret_version, dlmgr_error *e)
{
    sqlite3 *db = NULL;
    /* Without a WAL nothing is left to read elsewhere; immutable then makes no WAL and no lock. */
    int rc = connect_to(f, homefd, f->name, wal ? "?mode=ro" : "?mode=ro&immutable=1",
                        SQLITE_OPEN_READONLY, &db);
    int r = rc == SQLITE_OK ? is_ours(f, db, home, ret_version, e)
                            : dlm_sql_fail(e, db, rc, home, f->name);

    sqlite3_close(db);
    return r;
}

static int keep_wal_short(void *context, sqlite3 *db, const char *name, int pages)
{
    (void)context;
    if (pages >= RESTART_PAGES) {
        sqlite3_busy_timeout(db, RESTART_BUSY_MS);
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
        sqlite3_busy_timeout(db, BUSY_MS);
    } else if (pages >= CHECKPOINT_PAGES) {
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
    /* The commit has succeeded whatever became of the checkpoint; the next one tries again. */
    return SQLITE_OK;
}

static int use_wal(sqlite3 *db, bool *ret_wal)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &st, NULL), end;

    if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const unsigned char *mode = sqlite3_column_text(st, 0);

        *ret_wal = mode && !strcmp((const char *)mode, "wal");
        rc = SQLITE_OK;
    }
    end = sqlite3_finalize(st); /* the change is committed here */
    sqlite3_wal_hook(db, keep_wal_short, NULL);
    return rc == SQLITE_OK ? end : rc;
}

/* ---- Making --------------------------------------------------------------------------------------- */

static int remove_unfinished(int homefd, const char *home, const char *file, dlmgr_error *e)
{
    static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
    char name[64];

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        snprintf(name, sizeof(name), "%s%s", file, suffixes[i]);
        if (unlinkat(homefd, name, 0) < 0 && errno != ENOENT)
            return dlm_fail_errno(e, DLMGR_EHOME, home, "%s/%s cannot be removed", home, name);
    }
    return 0;
}

static int create_empty(int homefd, const char *home, const char *file, dlmgr_error *e)
{
    CLEANUP_FD int fd = openat(homefd, file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               0600);

    if (fd < 0 || fchmod(fd, 0600) < 0)
        return dlm_fail_errno(e, DLMGR_EHOME, home, "%s/%s cannot be made", home, file);
    return 0;
}

static int fill(const struct dlm_file *f, sqlite3 *db, bool *ret_wal)
{
    char pragma[64];
    int rc;

    snprintf(pragma, sizeof(pragma), "PRAGMA application_id = %d", (int)f->application_id);
    rc = sqlite3_exec(db, pragma, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = dlm_schema_migrate(db, f, 0);
    if (rc == SQLITE_OK)
        rc = use_wal(db, ret_wal);
    return rc;
}

static int build(const struct dlm_file *f, int homefd, const char *home, const char *file,
                 dlmgr_error *e)
{
    sqlite3 *db = NULL;
    bool wal = false;
    int rc = connect_to(f, homefd, file, "", SQLITE_OPEN_READWRITE, &db), r = 0;

    if (rc == SQLITE_OK)
        rc = fill(f, db, &wal);
    if (rc == SQLITE_OK)
        rc = dlm_file_trust(db);
    if (rc != SQLITE_OK)
        r = dlm_sql_fail(e, db, rc, home, f->name);
    else if (!wal)
        r = refuse(e, DLMGR_EHOME, home, f->name, no_locks);
    rc = sqlite3_close(db);
    return r < 0 || rc == SQLITE_OK ? r : dlm_sql_fail(e, NULL, rc, home, f->name);
}

static int make(const struct dlm_file *f, int homefd, const char *home, dlmgr_error *e)
{
    char file[64];
    int r;

    snprintf(file, sizeof(file), "%s.new", f->name);
    if ((r = remove_unfinished(homefd, home, file, e)) < 0 ||
        (r = create_empty(homefd, home, file, e)) < 0)
        return r;
    r = build(f, homefd, home, file, e);
    if (r == 0 && renameat(homefd, file, homefd, f->name) < 0)
        r = dlm_fail_errno(e, DLMGR_EHOME, home, "%s/%s cannot be renamed", home, file);
    if (r < 0) {
        remove_unfinished(homefd, home, file, NULL); /* the next one to make it does so otherwise */
        return r;
    }
    return 0;
}

/* ---- Opening --------------------------------------------------------------------------------------- */

static int open_writer(const struct dlm_file *f, int homefd, const char *home, int version,
                       sqlite3 **db, dlmgr_error *e)
{
    bool wal = false;
    int rc = connect_to(f, homefd, f->name, "", SQLITE_OPEN_READWRITE, db);

    if (rc == SQLITE_OK)
        rc = use_wal(*db, &wal);
    if (rc == SQLITE_OK && !wal)
        return refuse(e, DLMGR_EHOME, home, f->name, no_locks);
    if (rc == SQLITE_OK)
        rc = dlm_schema_migrate(*db, f, version);
    return rc == SQLITE_OK ? 0 : dlm_sql_fail(e, *db, rc, home, f->name);
}

/* ESTALE tells it from what no writer can help. */
static int refuse_older(const struct dlm_file *f, const char *home, dlmgr_error *e)
{
    refuse(e, DLMGR_EJOURNAL, home, f->name,
           "is of an older version; a writer brings it up to date");
    if (e)
        e->sys_errno = ESTALE;
    return DLMGR_EJOURNAL;
}

static int open_reader(const struct dlm_file *f, int homefd, const char *home, sqlite3 **db,
                       dlmgr_error *e)
{
    int32_t version = 0;
    int rc = connect_to(f, homefd, f->name, "?mode=ro", SQLITE_OPEN_READONLY, db), r;

    if (rc != SQLITE_OK)
        return dlm_sql_fail(e, *db, rc, home, f->name);
    r = is_ours(f, *db, home, &version, e);
    return r == 0 && version < f->version ? refuse_older(f, home, e) : r;
}

/*
 * What stands in the WAL may be in the kernel's memory only: whoever wrote it may have been killed before its sync. It
 * is about to be believed and told, so it is made durable first, with the names of both files. No lock is ever
 * held on the WAL itself, so closing it drops none.
 */
static int settle(const struct dlm_file *f, int homefd, const char *home, dlmgr_error *e)
{
    char name[64];
    CLEANUP_FD int fd = -1;
    int r;

    snprintf(name, sizeof(name), "%s-wal", f->name);
    fd = openat(homefd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if ((fd < 0 && errno != ENOENT) || (fd >= 0 && fdatasync(fd) < 0))
        return dlm_fail_errno(e, DLMGR_EIO, home, "%s/%s cannot be synced", home, name);
    r = dlm_fsync_dir(homefd);
    if (r < 0) {
        errno = -r;
        return dlm_fail_errno(e, DLMGR_EIO, home, "%s cannot be synced", home);
    }
    return 0;
}

int dlm_file_trust(sqlite3 *db)
{
    return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
}

/* A new database would take the old WAL for its own. */
static int refuse_lone_wal(const struct dlm_file *f, const char *home, dlmgr_error *e)
{
    refuse(e, DLMGR_EJOURNAL, home, f->name,
           "is missing, but its WAL is there; put it back, or move the WAL away too");
    if (e)
        e->sys_errno = EUCLEAN;
    return DLMGR_EJOURNAL;
}

int dlm_file_open(const struct dlm_file *f, int homefd, const char *home, int mode, sqlite3 **ret,
                  dlmgr_error *e)
{
    int64_t size = 0, wal = 0;
    int32_t version = f->version;
    sqlite3 *db = NULL;
    int r = look(homefd, home, f->name, &size, e), found = r;

    if (r >= 0)
        r = look_beside(homefd, home, f->name, &wal, e);
    if (r == 0 && !found && wal > 0)
        return refuse_lone_wal(f, home, e);
    if (r == 0 && !found && mode == DLM_STORE_READ)
        return refuse(e, DLMGR_ENOTFOUND, home, f->name, "does not exist yet");
    if (r == 0 && !dlm_vfs())
        r = refuse(e, DLMGR_EHOME, home, f->name, "cannot be opened: this SQLite has no unix VFS");
    if (r == 0 && mode == DLM_STORE_WRITE)
        r = found ? probe(f, homefd, home, wal, &version, e) : make(f, homefd, home, e);
    if (r == 0)
        r = mode == DLM_STORE_WRITE ? open_writer(f, homefd, home, version, &db, e)
                                    : open_reader(f, homefd, home, &db, e);
    if (r == 0)
        r = settle(f, homefd, home, e);
    if (r < 0)
        sqlite3_close(db);
    else
        *ret = db;
    return r;
}
