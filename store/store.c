/* SPDX-License-Identifier: MIT */
/*
 * store.c - open and close the journal, its transactions, its settings.
 *
 *     begin    deletes what earlier commits left over (the list of gone secrets)
 *     request  a savepoint: what its functions changed goes away together when one fails
 *     commit   1. derived columns are written   2. secrets.db commits   3. journal.db commits
 *              4. secrets that no task names any more leave secrets.db
 *
 * A crash between 2 and 3 leaves a secret without a task, one between 3 and 4 a secret without a task
 * that stands in `gone`: both are swept at the next open. A task without its secret cannot come about.
 *
 * What the transaction knew in memory (derived.c) is forgotten at each end of it, so that a rollback needs no undoing.
 */
#include "store/internal.h"

#include <fcntl.h>
#include <stdio.h>

/* ---- Opening --------------------------------------------------------------------------------------- */

static int prepare(struct dlm_store *s, dlmgr_error *e)
{
    for (int q = 0; q < QUERIES; q++) {
        int rc = sqlite3_prepare_v3(s->db, dlm_query_text(q), -1, SQLITE_PREPARE_PERSISTENT,
                                    &s->queries[q], NULL);

        if (rc == SQLITE_ERROR) {
            dlm_sql_fail(e, s->db, rc, s->home, dlm_file_journal.name);
            return DLMGR_EJOURNAL; /* a table or column is missing */
        }
        if (rc != SQLITE_OK)
            return dlm_sql_fail(e, s->db, rc, s->home, dlm_file_journal.name);
    }
    return 0;
}

static int read_tag(struct dlm_store *s, dlmgr_error *e)
{
    CLEANUP_FREE char *tag = NULL;
    int r = dlm_store_setting(s, "tag", &tag);

    if (r < 0) {
        dlm_store_error(s, r, e);
        if (e && r == DLMGR_EJOURNAL)
            e->sys_errno = EUCLEAN; /* for doctor: damaged, not somebody else's */
        return r;
    }
    if (!tag || strlen(tag) != 4 || strspn(tag, "0123456789abcdef") != 4) {
        s->fail_code = DLMGR_EJOURNAL;
        s->fail_errno = 0;
        snprintf(s->fail_text, sizeof(s->fail_text), "the setting `tag` is missing or wrong");
        dlm_store_error(s, DLMGR_EJOURNAL, e);
        if (e)
            e->sys_errno = EUCLEAN;
        return DLMGR_EJOURNAL;
    }
    memcpy(s->tag, tag, sizeof(s->tag));
    return 0;
}

/* What stands there as journal.db is the damaged one, or none yet. */
static int refuse_salvage(struct dlm_store *s, dlmgr_error *e)
{
    if (!dlm_store_salvage_waits(s->homefd))
        return 0;
    dlm_fail(e, DLMGR_EJOURNAL, "%s/journal.db is being mended: run `dlmgr doctor --fix` again",
             s->home);
    if (e) {
        e->class_ = DLMGR_CLASS_LOCAL;
        e->sys_errno = EUCLEAN;
        snprintf(e->path, sizeof(e->path), "%s/journal.db", s->home);
    }
    return DLMGR_EJOURNAL;
}

static int open_parts(struct dlm_store *s, dlmgr_error *e)
{
    int64_t mark = dlm_mark_read(s->homefd);
    int r = refuse_salvage(s, e);

    if (r == 0)
        r = dlm_mark_missing(s, mark, e);
    if (r == 0)
        r = dlm_file_open(&dlm_file_journal, s->homefd, s->home, s->mode, &s->db, e);
    if (r == 0)
        r = prepare(s, e);
    if (r == 0)
        r = read_tag(s, e);
    if (r == 0)
        r = dlm_mark_check(s, mark, e);
    if (r == 0 && s->mode == DLM_STORE_WRITE && dlm_file_trust(s->db) != SQLITE_OK)
        r = dlm_fail(e, DLMGR_EJOURNAL, "%s/journal.db cannot be set up", s->home);
    return r;
}

int dlm_store_open(int homefd, const char *home, int mode, struct dlm_store **ret, dlmgr_error *e)
{
    struct dlm_store *s = dlm_alloc(sizeof(*s));
    int r;

    if (!s)
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    s->homefd = fcntl(homefd, F_DUPFD_CLOEXEC, 3);
    s->mode = mode;
    s->mark = -1;
    s->home = dlm_strdup(home);
    if (s->homefd < 0)
        r = dlm_fail_errno(e, DLMGR_EIO, home, "%s cannot be held open", home);
    else if (!s->home)
        r = dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    else
        r = open_parts(s, e);
    if (r < 0)
        dlm_store_close(s);
    else
        *ret = s;
    return r;
}

void dlm_store_close(struct dlm_store *s)
{
    if (!s)
        return;
    if (s->in_tx)
        dlm_store_rollback(s);
    dlm_secrets_close(s);
    for (int q = 0; q < QUERIES; q++)
        sqlite3_finalize(s->queries[q]);
    sqlite3_close(s->db);
    dlm_cleanup_fd(&s->mark);
    if (s->homefd >= 0)
        close(s->homefd);
    free(s->home);
    free(s);
}

/* ---- Transactions ---------------------------------------------------------------------------------- */

static void transaction_ended(struct dlm_store *s)
{
    dlm_derived_forget(s);
    s->in_tx = false;
    s->depth = 0;
    s->broken = 0;
    s->news_pending = 0;
}

int dlm_store_begin(struct dlm_store *s)
{
    int r;

    if (s->in_tx || s->mode != DLM_STORE_WRITE)
        return DLMGR_EINVAL;
    s->in_tx = true;
    s->changes = sqlite3_total_changes(s->db);
    r = dlm_sql_run(s, Q_BEGIN, "");
    if (r == 0 && s->gone_done)
        r = dlm_sql_run(s, Q_GONE_CLEAR, "");
    if (r < 0)
        dlm_store_rollback(s);
    return r;
}

static int commit(struct dlm_store *s)
{
    int r = s->broken ? s->broken : dlm_derived_flush(s);

    if (r == 0)
        r = dlm_mark_count(s);
    if (r == 0)
        r = dlm_secrets_commit(s);
    return r == 0 ? dlm_sql_run(s, Q_COMMIT, "") : r;
}

int dlm_store_commit(struct dlm_store *s, dlmgr_error *e)
{
    int r = s->in_tx ? commit(s) : DLMGR_EINVAL;

    if (r < 0) {
        dlm_store_error(s, r, e);
        dlm_store_rollback(s);
        return r;
    }
    dlm_mark_write(s);
    s->news = MAX(s->news, s->news_pending);
    s->gone_done = false;
    transaction_ended(s);
    /* Committed is committed: what cannot be swept now is swept after a later commit or at the next open. */
    if (s->gone_pending && dlm_secrets_sweep(s) == 0) {
        s->gone_pending = false;
        s->gone_done = true;
    }
    return 0;
}

void dlm_store_rollback(struct dlm_store *s)
{
    if (!s->in_tx)
        return;
    s->broken = 0;
    if (!sqlite3_get_autocommit(s->db))
        dlm_sql_run(s, Q_ROLLBACK, ""); /* cannot fail with no reader in the middle of a row */
    dlm_secrets_rollback(s);
    transaction_ended(s);
}

int dlm_store_savepoint(struct dlm_store *s)
{
    int r = s->depth < DLM_SAVEPOINTS ? dlm_derived_flush(s) : DLMGR_ELIMIT;

    if (r == 0)
        r = dlm_sql_run(s, Q_SAVEPOINT, "");
    if (r < 0)
        return r;
    s->secret_marks[s->depth++] = dlm_secrets_mark(s);
    return 0;
}

void dlm_store_release(struct dlm_store *s, bool keep)
{
    int r = 0;

    if (s->depth == 0)
        return;
    s->depth--;
    if (s->broken)
        return;
    if (!keep) {
        dlm_derived_forget(s);
        r = dlm_sql_run(s, Q_ROLLBACK_TO, "");
        if (r == 0)
            r = dlm_secrets_undo(s, s->secret_marks[s->depth]);
    }
    if (r == 0)
        r = dlm_sql_run(s, Q_RELEASE, "");
    /* What could not be undone must not be committed. */
    if (r < 0 && !s->broken)
        s->broken = r;
}

void dlm_store_error(struct dlm_store *s, int code, dlmgr_error *e)
{
    if (s->fail_code != code || !s->fail_text[0]) {
        dlm_fail(e, code, "%s/journal.db: %s", s->home, dlmgr_strerror(code));
        return;
    }
    dlm_fail(e, code, "%s/journal.db: %s%s%s", s->home, s->fail_text, s->fail_errno ? ": " : "",
             s->fail_errno ? strerror(s->fail_errno) : "");
    if (!e)
        return;
    e->class_ = DLMGR_CLASS_LOCAL;
    e->sys_errno = s->fail_errno;
    snprintf(e->path, sizeof(e->path), "%s/journal.db", s->home);
}

int dlm_read_begin(struct dlm_store *s)
{
    int r;

    if (!sqlite3_get_autocommit(s->db))
        return 0;
    r = dlm_sql_run(s, Q_BEGIN_READ, "");
    return r < 0 ? r : 1;
}

void dlm_read_end(struct dlm_store *s, int begun)
{
    if (begun > 0)
        dlm_sql_run(s, Q_COMMIT, ""); /* of a transaction that only read */
}

/* ---- Settings -------------------------------------------------------------------------------------- */

int dlm_store_setting(struct dlm_store *s, const char *name, char **ret_value)
{
    return dlm_sql_text(s, Q_SETTING_GET, ret_value, "s", name);
}

int dlm_store_setting_set(struct dlm_store *s, const char *name, const char *value)
{
    return dlm_sql_run(s, Q_SETTING_SET, "ss", name, value);
}

const char *dlm_store_tag(struct dlm_store *s)
{
    return s->tag;
}

int64_t dlm_store_news(struct dlm_store *s)
{
    int64_t news = s->news;

    s->news = 0;
    return news;
}
