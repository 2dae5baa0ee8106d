/* SPDX-License-Identifier: MIT */
/*
 * api_journal.c - a method on a journal that nobody owns, on the caller's thread.
 *
 * What reads needs no lock: a reader of SQLite sees one moment, whoever writes. Its connection is kept for the next call, as
 * long as journal.db is still the same file. A home without a journal gets one first, so that there is one set of answers, and so is one of an
 * older version brought up to date: after an upgrade the first `dlmgr list` must work.
 *
 * What changes something is an owner for as long as one transaction takes: lock, begin, work, commit. Part files that nobody
 * needs any more go after the commit, and the lock goes last, for until then no owner may begin with them.
 */
#include "dlmgr/api.h"

#include <fcntl.h>
#include <sys/stat.h>

static int writer_open(struct dlmgr *h, struct dlm_store **ret, dlmgr_error *e)
{
    int r = dlm_home_lock(h->home, e);

    if (r < 0)
        return r;
    r = dlm_store_open(h->home->fd, h->home->path, DLM_STORE_WRITE, ret, e);
    if (r < 0)
        dlm_home_unlock(h->home);
    return r;
}

static void writer_close(struct dlmgr *h, struct dlm_store *s)
{
    dlm_store_close(s);
    dlm_home_unlock(h->home);
}

/* ---- Reading --------------------------------------------------------------------------------------------- */

static bool reader_is_current(const struct dlmgr *h)
{
    struct stat st;

    return h->reader && fstatat(h->home->fd, "journal.db", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_dev == h->reader_dev && st.st_ino == h->reader_ino;
}

/* Missing, or of an older version: who opens it for writing makes it, or brings it up to date. */
static bool writer_helps(int r, const dlmgr_error *e)
{
    return r == DLMGR_ENOTFOUND || (r == DLMGR_EJOURNAL && e->sys_errno == ESTALE);
}

static int reader_open(struct dlmgr *h, dlmgr_error *e)
{
    struct dlm_store *writer;
    struct stat st;
    int r;

    if (reader_is_current(h))
        return 0;
    dlm_store_close(TAKE_PTR(h->reader));
    r = dlm_store_open(h->home->fd, h->home->path, DLM_STORE_READ, &h->reader, e);
    if (writer_helps(r, e)) {
        r = writer_open(h, &writer, e);
        if (r < 0)
            return r;
        writer_close(h, writer);
        r = dlm_store_open(h->home->fd, h->home->path, DLM_STORE_READ, &h->reader, e);
    }
    if (r == 0 && fstatat(h->home->fd, "journal.db", &st, AT_SYMLINK_NOFOLLOW) == 0) {
        h->reader_dev = st.st_dev;
        h->reader_ino = st.st_ino;
    }
    return r;
}

static int read_journal(struct dlmgr *h, const struct dlm_method *m, json_t *params,
                        json_t **ret_result, dlmgr_error *e)
{
    int r = reader_open(h, e);

    return r < 0 ? r : m->work(h->reader, params, ret_result, e);
}

/* ---- Writing --------------------------------------------------------------------------------------------- */

static int transact(struct dlm_store *s, const struct dlm_method *m, json_t *params,
                    json_t **ret_result, dlmgr_error *e)
{
    CLEANUP_JSON json_t *result = NULL;
    int done, r = dlm_store_begin(s);

    if (r < 0) {
        dlm_store_error(s, r, e);
        return r;
    }
    done = m->work(s, params, &result, e);
    if (done < 0) {
        dlm_store_rollback(s);
        return done;
    }
    r = dlm_store_commit(s, e);
    if (r < 0)
        return r;
    *ret_result = TAKE_PTR(result);
    return done;
}

static int write_journal(struct dlmgr *h, const struct dlm_method *m, json_t *params,
                         json_t **ret_result, dlmgr_error *e)
{
    struct dlm_store *s;
    json_t *result = NULL;
    int r = writer_open(h, &s, e);

    if (r < 0)
        return r;
    r = transact(s, m, params, &result, e);
    if (r >= 0) {
        dlm_parts_unlink(result);
        *ret_result = result;
    }
    writer_close(h, s);
    return r;
}

int dlm_api_journal(struct dlmgr *h, const struct dlm_method *m, json_t *params,
                    json_t **ret_result, dlmgr_error *e)
{
    struct dlm_hush hush;
    int r;

    *e = (dlmgr_error){0}; /* of those who did not answer */
    dlm_hush_begin(&hush);
    r = m->kind == DLM_METHOD_WRITE ? write_journal(h, m, params, ret_result, e)
                                    : read_journal(h, m, params, ret_result, e);
    dlm_hush_end(&hush);
    return r;
}
