/* SPDX-License-Identifier: MIT */
/*
 * sql.c - bind, step and reset a prepared statement, and turn SQLite's codes into ours.
 *
 * A statement that writes is refused when no transaction is open. That is more than tidiness: when the disk is
 * full, fails, or memory runs out, SQLite may roll the whole transaction back by itself, and what the batch wrote
 * next would commit on its own. The first such failure is kept in `broken` and answers everything until
 * the batch is over.
 *
 * A failure's text and errno are copied at once, since the rollback that follows wipes them from the connection.
 */
#include "store/internal.h"

#include <stdio.h>

/* An extended code, or else its primary one, is looked up here. */
static const struct {
    int rc, code;
} codes[] = {
    {SQLITE_CONSTRAINT_UNIQUE, DLMGR_EEXIST},
    {SQLITE_CONSTRAINT_PRIMARYKEY, DLMGR_EEXIST},
    {SQLITE_IOERR_NOMEM, DLMGR_ENOMEM},
    {SQLITE_IOERR_LOCK, DLMGR_EHOME},
    {SQLITE_IOERR_UNLOCK, DLMGR_EHOME},
    {SQLITE_IOERR_RDLOCK, DLMGR_EHOME},
    {SQLITE_IOERR_SHMLOCK, DLMGR_EHOME},
    {SQLITE_IOERR_CHECKRESERVEDLOCK, DLMGR_EHOME},
    {SQLITE_IOERR_CORRUPTFS, DLMGR_EJOURNAL},
    {SQLITE_NOMEM, DLMGR_ENOMEM},
    {SQLITE_FULL, DLMGR_ENOSPC},
    {SQLITE_IOERR, DLMGR_EIO},
    {SQLITE_CORRUPT, DLMGR_EJOURNAL},
    {SQLITE_NOTADB, DLMGR_EJOURNAL},
    {SQLITE_FORMAT, DLMGR_EJOURNAL},
    {SQLITE_READONLY, DLMGR_EHOME},
    {SQLITE_CANTOPEN, DLMGR_EHOME},
    {SQLITE_PERM, DLMGR_EHOME},
    {SQLITE_AUTH, DLMGR_EHOME},
    {SQLITE_PROTOCOL, DLMGR_EHOME},
    {SQLITE_NOLFS, DLMGR_EHOME},
    {SQLITE_BUSY, DLMGR_EBUSY},
    {SQLITE_LOCKED, DLMGR_EBUSY},
    {SQLITE_TOOBIG, DLMGR_ELIMIT},
    {SQLITE_CONSTRAINT, DLMGR_EJOURNAL},
};

static int code_of(int rc, int otherwise)
{
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i].rc == rc)
            return codes[i].code;
    return otherwise;
}

int dlm_sql_code(sqlite3 *db, int rc)
{
    int err = db ? sqlite3_system_errno(db) : 0;

    /* ENOSPC comes as FULL from a write, but as IOERR from the shared memory or a quota. */
    if ((rc & 0xff) == SQLITE_IOERR && (err == ENOSPC || err == EDQUOT))
        return DLMGR_ENOSPC;
    return code_of(rc, code_of(rc & 0xff, DLMGR_EJOURNAL));
}

int dlm_sql_failed(struct dlm_store *s, sqlite3 *db, int rc)
{
    s->fail_code = dlm_sql_code(db, rc);
    s->fail_errno = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN ||
                            (rc & 0xff) == SQLITE_FULL
                        ? sqlite3_system_errno(db)
                        : 0;
    snprintf(s->fail_text, sizeof(s->fail_text), "%s", sqlite3_errmsg(db));
    if (db == s->db && s->in_tx && !s->broken && sqlite3_get_autocommit(db))
        s->broken = s->fail_code;
    return s->fail_code;
}

/* SQLite calls it an I/O error, or that it cannot open the file, when its locks or shared memory do not work. */
static const char *about_locks(int rc)
{
    bool locks = rc == SQLITE_CANTOPEN || rc == SQLITE_PROTOCOL ||
                 ((rc & 0xff) == SQLITE_IOERR && dlm_sql_code(NULL, rc) == DLMGR_EHOME);

    return locks
               ? " (not permitted, or on a file system without working locks: choose another home then)"
               : "";
}

/* A rollback in between may have made the connection forget what happened. */
static const char *text_of(sqlite3 *db, int rc)
{
    return db && (sqlite3_errcode(db) & 0xff) == (rc & 0xff) ? sqlite3_errmsg(db)
                                                             : sqlite3_errstr(rc);
}

int dlm_sql_fail(dlmgr_error *e, sqlite3 *db, int rc, const char *home, const char *file)
{
    int code = dlm_sql_code(db, rc);

    if (!e)
        return code;
    dlm_fail(e, code, "%s/%s: %s%s", home, file, text_of(db, rc), about_locks(rc));
    e->class_ = DLMGR_CLASS_LOCAL;
    /* What SQLite cannot read is damaged; what we refuse is only not ours. */
    e->sys_errno = code == DLMGR_EJOURNAL ? EUCLEAN : db ? sqlite3_system_errno(db) : 0;
    snprintf(e->path, sizeof(e->path), "%s/%s", home, file);
    return code;
}

/* ---- Statements -------------------------------------------------------------------------------- */

static int bind_text(sqlite3_stmt *st, int i, const char *text)
{
    return text ? sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC) : sqlite3_bind_null(st, i);
}

static int bind_blob(sqlite3_stmt *st, int i, const void *data, size_t len)
{
    if (!data)
        return sqlite3_bind_null(st, i);
    return sqlite3_bind_blob64(st, i, len ? data : "", len, SQLITE_STATIC);
}

int dlm_sql_bind_args(sqlite3_stmt *st, const char *fmt, va_list ap)
{
    int rc = SQLITE_OK;

    for (int i = 1; fmt[i - 1] && rc == SQLITE_OK; i++) {
        const void *data;

        switch (fmt[i - 1]) {
        case 'd':
            rc = sqlite3_bind_int(st, i, va_arg(ap, int));
            break;
        case 'l':
            rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
            break;
        case 's':
            rc = bind_text(st, i, va_arg(ap, const char *));
            break;
        default:
            data = va_arg(ap, const void *);
            rc = bind_blob(st, i, data, va_arg(ap, size_t));
        }
    }
    return rc;
}

static int may_step(struct dlm_store *s, sqlite3_stmt *st)
{
    if (s->broken)
        return s->broken;
    if (!sqlite3_stmt_readonly(st) && !s->in_tx)
        return DLMGR_EINVAL;
    return 0;
}

static int bind_args(struct dlm_store *s, int q, const char *fmt, va_list ap)
{
    int rc = dlm_sql_bind_args(s->queries[q], fmt, ap);

    return rc == SQLITE_OK ? 0 : dlm_sql_failed(s, s->db, rc);
}

int dlm_sql_bind(struct dlm_store *s, int q, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = bind_args(s, q, fmt, ap);
    va_end(ap);
    return r;
}

int dlm_sql_row(struct dlm_store *s, int q, sqlite3_stmt **ret)
{
    sqlite3_stmt *st = s->queries[q];
    int r = may_step(s, st), rc;

    if (r < 0)
        return r;
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *ret = st;
        return 1;
    }
    r = rc == SQLITE_DONE ? 0 : dlm_sql_failed(s, s->db, rc);
    sqlite3_reset(st);
    return r;
}

void dlm_sql_end(struct dlm_store *s, int q)
{
    sqlite3_reset(s->queries[q]);
}

int dlm_sql_run(struct dlm_store *s, int q, const char *fmt, ...)
{
    sqlite3_stmt *st;
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = bind_args(s, q, fmt, ap);
    va_end(ap);
    while (r == 0 && (r = dlm_sql_row(s, q, &st)) > 0)
        r = 0;
    return r;
}

int dlm_sql_int(struct dlm_store *s, int q, int64_t *ret, const char *fmt, ...)
{
    sqlite3_stmt *st;
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = bind_args(s, q, fmt, ap);
    va_end(ap);
    if (r < 0 || (r = dlm_sql_row(s, q, &st)) <= 0)
        return r;
    *ret = sqlite3_column_int64(st, 0);
    dlm_sql_end(s, q);
    return 1;
}

int dlm_sql_text(struct dlm_store *s, int q, char **ret, const char *fmt, ...)
{
    sqlite3_stmt *st;
    char *text;
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = bind_args(s, q, fmt, ap);
    va_end(ap);
    if (r < 0 || (r = dlm_sql_row(s, q, &st)) < 0)
        return r;
    text = r ? dlm_strdup((const char *)sqlite3_column_text(st, 0)) : NULL;
    if (r && !text)
        r = DLMGR_ENOMEM;
    dlm_sql_end(s, q);
    if (r >= 0)
        *ret = text;
    return MIN(r, 0);
}

int dlm_sql_changes(struct dlm_store *s)
{
    return sqlite3_changes(s->db);
}
