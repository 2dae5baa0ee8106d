/* SPDX-License-Identifier: MIT */
/*
 * secrets.c - secrets.db: credential headers, userinfo, signed URLs; a number and a JSON text each.
 *
 * It is opened when the first secret is asked for or added, so most homes have none. It commits before
 * the journal and only when something was added: a task never names a number that is not there.
 * Numbers rise and are never used again, nor are those that a task still names after its secret was lost with the
 * whole file: it must not get another task's. Deleting is the other way round: the journal commits first, with the
 * number in its table `gone`, then the secret goes, then the number leaves the table.
 *
 * What a crash leaves over is found without looking at every secret: the numbers above the mark (the newest at
 * the last open, a setting) that no task names, and those in `gone`. Deleted rows are overwritten
 * (secure_delete), and the WAL that still has them is emptied.
 */
#include "store/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    S_BEGIN,
    S_COMMIT,
    S_ROLLBACK,
    S_PUT,
    S_GET,
    S_LAST,
    S_UNDO,
    S_DROP,
    S_ABOVE,
    SECRET_QUERIES
};

static const char *const texts[SECRET_QUERIES] = {
    [S_BEGIN] = "BEGIN IMMEDIATE",
    [S_COMMIT] = "COMMIT",
    [S_ROLLBACK] = "ROLLBACK",
    [S_PUT] = "INSERT INTO secrets(number, json) VALUES(?1, ?2)",
    [S_GET] = "SELECT json FROM secrets WHERE number = ?1",
    [S_LAST] = "SELECT seq FROM sqlite_sequence WHERE name = 'secrets'",
    [S_UNDO] = "DELETE FROM secrets WHERE number > ?1",
    [S_DROP] = "DELETE FROM secrets WHERE number = ?1",
    [S_ABOVE] = "SELECT number FROM secrets WHERE number > ?1 ORDER BY number LIMIT 1",
};

struct dlm_secrets {
    sqlite3 *db;
    sqlite3_stmt *queries[SECRET_QUERIES];
    bool in_tx;
    int64_t last; /* the newest number given out */
};

/* ---- Statements ------------------------------------------------------------------------------------ */

static int bind(struct dlm_store *s, int q, const char *fmt, va_list ap)
{
    int rc = dlm_sql_bind_args(s->secrets->queries[q], fmt, ap);

    return rc == SQLITE_OK ? 0 : dlm_sql_failed(s, s->secrets->db, rc);
}

/* 1: a row, to be reset; 0: done; both as in dlm_sql_row(). */
static int row(struct dlm_store *s, int q)
{
    sqlite3_stmt *st = s->secrets->queries[q];
    int rc = sqlite3_step(st), r;

    if (rc == SQLITE_ROW)
        return 1;
    r = rc == SQLITE_DONE ? 0 : dlm_sql_failed(s, s->secrets->db, rc);
    sqlite3_reset(st);
    return r;
}

static int run(struct dlm_store *s, int q, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = bind(s, q, fmt, ap);
    va_end(ap);
    return r == 0 ? row(s, q) : r;
}

static int number(struct dlm_store *s, int q, int64_t *ret, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = bind(s, q, fmt, ap);
    va_end(ap);
    if (r < 0 || (r = row(s, q)) <= 0)
        return r;
    *ret = sqlite3_column_int64(s->secrets->queries[q], 0);
    sqlite3_reset(s->secrets->queries[q]);
    return 1;
}

/* ---- Opening --------------------------------------------------------------------------------------- */

void dlm_secrets_close(struct dlm_store *s)
{
    struct dlm_secrets *x = TAKE_PTR(s->secrets);

    if (!x)
        return;
    for (int q = 0; q < SECRET_QUERIES; q++)
        sqlite3_finalize(x->queries[q]);
    sqlite3_close(x->db);
    free(x);
}

static int keep_failure(struct dlm_store *s, const dlmgr_error *e)
{
    s->fail_code = e->code;
    s->fail_errno = e->sys_errno;
    snprintf(s->fail_text, sizeof(s->fail_text), "%.*s", (int)sizeof(s->fail_text) - 1, e->text);
    return e->code;
}

/* The newest number given out, by the file or, when that was lost, by what the tasks name. */
static int read_last(struct dlm_store *s)
{
    int64_t last = 0, named = 0;
    int r = number(s, S_LAST, &last, ""); /* no row: none was given out */

    if (r >= 0 && s->mode == DLM_STORE_WRITE)
        r = dlm_sql_int(s, Q_SECRET_LAST, &named, "");
    if (r >= 0)
        s->secrets->last = MAX(last, named);
    return MIN(r, 0);
}

static int prepare(struct dlm_store *s)
{
    struct dlm_secrets *x = s->secrets;
    int rc = SQLITE_OK;

    for (int q = 0; q < SECRET_QUERIES && rc == SQLITE_OK; q++)
        rc = sqlite3_prepare_v3(x->db, texts[q], -1, SQLITE_PREPARE_PERSISTENT, &x->queries[q],
                                NULL);
    if (rc == SQLITE_OK && s->mode == DLM_STORE_WRITE)
        rc = dlm_file_trust(x->db);
    if (rc != SQLITE_OK)
        return dlm_sql_failed(s, x->db, rc);
    return read_last(s);
}

static bool absent(struct dlm_store *s)
{
    struct stat st;

    return fstatat(s->homefd, dlm_file_secrets.name, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
           errno == ENOENT;
}

/* make false: DLMGR_ENOTFOUND when there is no file. */
static int open_secrets(struct dlm_store *s, bool make)
{
    dlmgr_error e = {0};
    sqlite3 *db = NULL;
    int r;

    if (s->secrets)
        return 0;
    if (!make && absent(s))
        return DLMGR_ENOTFOUND;
    r = dlm_file_open(&dlm_file_secrets, s->homefd, s->home, s->mode, &db, &e);
    if (r < 0)
        return keep_failure(s, &e);
    s->secrets = dlm_alloc(sizeof(*s->secrets));
    if (!s->secrets) {
        sqlite3_close(db);
        return DLMGR_ENOMEM;
    }
    s->secrets->db = db;
    if ((r = prepare(s)) < 0)
        dlm_secrets_close(s);
    return r;
}

/* ---- In a transaction ------------------------------------------------------------------------------- */

int dlm_secrets_put(struct dlm_store *s, const char *json, int64_t *ret)
{
    int r = s->in_tx ? open_secrets(s, true) : DLMGR_EINVAL;

    if (r == 0 && !s->secrets->in_tx) {
        r = run(s, S_BEGIN, "");
        s->secrets->in_tx = r == 0;
    }
    if (r == 0)
        r = run(s, S_PUT, "ls", s->secrets->last + 1, json);
    if (r == 0)
        *ret = ++s->secrets->last;
    return r;
}

int dlm_secrets_get(struct dlm_store *s, int64_t secret, char **ret)
{
    sqlite3_stmt *st;
    char *text;
    int r = open_secrets(s, false);

    if (r < 0)
        return r;
    st = s->secrets->queries[S_GET];
    sqlite3_bind_int64(st, 1, secret); /* binding a number to an idle statement cannot fail */
    if ((r = row(s, S_GET)) <= 0)
        return r < 0 ? r : DLMGR_ENOTFOUND;
    text = dlm_strdup((const char *)sqlite3_column_text(st, 0));
    sqlite3_reset(st);
    if (!text)
        return DLMGR_ENOMEM;
    *ret = text;
    return 0;
}

/* The newest number now; -1 while secrets.db is not open, since then the next one is not known. */
int64_t dlm_secrets_mark(struct dlm_store *s)
{
    return s->secrets ? s->secrets->last : -1;
}

int dlm_secrets_undo(struct dlm_store *s, int64_t mark)
{
    if (!s->secrets || !s->secrets->in_tx || s->secrets->last == mark)
        return 0;
    if (mark >= 0)
        return run(s, S_UNDO, "l", mark);
    /* Opened after the savepoint, so the whole transaction is. */
    dlm_secrets_rollback(s);
    return 0;
}

int dlm_secrets_commit(struct dlm_store *s)
{
    int r;

    if (!s->secrets || !s->secrets->in_tx)
        return 0;
    r = run(s, S_COMMIT, "");
    s->secrets->in_tx = r < 0;
    return r;
}

void dlm_secrets_rollback(struct dlm_store *s)
{
    if (!s->secrets || !s->secrets->in_tx)
        return;
    s->secrets->in_tx = false;
    if (!sqlite3_get_autocommit(s->secrets->db))
        run(s, S_ROLLBACK, ""); /* cannot fail: nothing else is running on this connection */
    /* The numbers given out since are free again; when that cannot be read, the next use opens anew. */
    if (read_last(s) < 0)
        dlm_secrets_close(s);
}

/* ---- Sweeping ---------------------------------------------------------------------------------------- */

int dlm_secrets_drop(struct dlm_store *s, int64_t secret)
{
    int r = open_secrets(s, false);

    if (r == DLMGR_ENOTFOUND)
        return 0;
    return r == 0 ? run(s, S_DROP, "l", secret) : r;
}

static int drop_gone(struct dlm_store *s)
{
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_GONE_LIST, "");

    while (r == 0 && (r = dlm_sql_row(s, Q_GONE_LIST, &st)) > 0)
        r = dlm_secrets_drop(s, sqlite3_column_int64(st, 0));
    dlm_sql_end(s, Q_GONE_LIST);
    return r;
}

/* The WAL still holds the pages as they were: it is emptied, too. Busy, for somebody reads: after a later commit. */
static int forget_wal(struct dlm_store *s)
{
    int rc = sqlite3_wal_checkpoint_v2(s->secrets->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    return rc == SQLITE_OK ? 0 : dlm_sql_failed(s, s->secrets->db, rc);
}

int dlm_secrets_sweep(struct dlm_store *s)
{
    int r = open_secrets(s, false);

    if (r == DLMGR_ENOTFOUND)
        return 0;
    if (r == 0)
        r = run(s, S_BEGIN, "");
    if (r < 0)
        return r;
    s->secrets->in_tx = true;
    r = drop_gone(s);
    if (r == 0)
        r = dlm_secrets_commit(s);
    if (r < 0)
        dlm_secrets_rollback(s);
    return r == 0 ? forget_wal(s) : r;
}

static int read_mark(struct dlm_store *s, int64_t *ret)
{
    CLEANUP_FREE char *text = NULL;
    int r = dlm_store_setting(s, "secrets_mark", &text);

    if (r == 0)
        *ret = text ? strtoll(text, NULL, 10) : 0;
    return r;
}

static int write_mark(struct dlm_store *s, int64_t mark)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", (long long)mark);
    return dlm_store_setting_set(s, "secrets_mark", text);
}

/* Note those above the mark that no task names as gone; they leave after this transaction's commit. */
static int note_orphans(struct dlm_store *s, int64_t mark)
{
    int64_t secret = mark, task;
    int r;

    while ((r = number(s, S_ABOVE, &secret, "l", secret)) > 0) {
        if ((r = dlm_sql_int(s, Q_SECRET_USED, &task, "l", secret)) == 0)
            r = dlm_sql_run(s, Q_GONE_ADD, "l", secret);
        if (r < 0)
            return r;
    }
    return r;
}

int dlm_secrets_recover(struct dlm_store *s)
{
    int64_t mark = 0;
    int r = open_secrets(s, false);

    if (r == DLMGR_ENOTFOUND)
        return 0;
    if (r == 0)
        r = read_mark(s, &mark);
    if (r == 0)
        r = note_orphans(s, mark);
    if (r == 0 && s->secrets->last != mark)
        r = write_mark(s, s->secrets->last);
    if (r == 0)
        s->gone_pending = true;
    return r;
}
