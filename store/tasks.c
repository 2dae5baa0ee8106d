/* SPDX-License-Identifier: MIT */
/*
 * tasks.c - add, find, change and remove tasks.
 *
 * Adding a key that the session has is adding once: the older id comes back when the request is the same
 * one (by its hash), and an error when it is not, so that a program that was killed between adding and
 * noting the id can simply add again.
 *
 * The first URL stands in the row, the mirrors in a table of their own: most tasks have none. A secret
 * goes to secrets.db and the row names it by number; a new secret is a new number, so that whichever of the
 * two commits is lost, a row never names another task's secret or a changed one.
 */
#include "store/internal.h"

/* ---- Names to numbers ----------------------------------------------------------------------------- */

static int find_or_add(struct dlm_store *s, int find, int add, const char *name, int64_t *ret)
{
    int r = dlm_sql_int(s, find, ret, "s", name);

    if (r != 0)
        return MIN(r, 0);
    r = dlm_sql_run(s, add, "s", name);
    if (r == 0)
        *ret = sqlite3_last_insert_rowid(s->db);
    return r;
}

/* A batch names the same session and host over and over. */
static int id_of(struct dlm_store *s, int find, int add, struct dlm_named *last, const char *name,
                 int64_t *ret)
{
    int r;

    if (last->id && !strcmp(last->name, name)) {
        *ret = last->id;
        return 0;
    }
    r = find_or_add(s, find, add, name, ret);
    if (r == 0 && strlen(name) < sizeof(last->name)) {
        last->id = *ret;
        memcpy(last->name, name, strlen(name) + 1);
    }
    return r;
}

int dlm_session_id(struct dlm_store *s, const char *name, int64_t *ret)
{
    return id_of(s, Q_SESSION_ID, Q_SESSION_ADD, &s->derived.session, name, ret);
}

int dlm_host_id(struct dlm_store *s, const char *origin, int64_t *ret)
{
    return id_of(s, Q_HOST_ID, Q_HOST_ADD, &s->derived.host, origin, ret);
}

/*
 * Equal URLs, equal keys; and lists of numbered files, which is what long lists are, have keys that rise with the
 * number, so that a million of them are added at one end of the index and not all over it.
 */
static int64_t url_key(const char *url)
{
    uint32_t crc = 0, number = 0;

    for (size_t n; *url; url += n) {
        n = strspn(url, "0123456789");
        for (size_t i = 0; i < n; i++)
            number = number * 10 + (uint32_t)(url[i] - '0');
        url += n;
        n = strcspn(url, "0123456789");
        crc = dlm_crc32c(crc, url, n);
    }
    return (int64_t)((uint64_t)crc << 32 | number);
}

/* ---- Adding ---------------------------------------------------------------------------------------- */

static int find_key(struct dlm_store *s, const char *session, const char *key, const char *hash,
                    int64_t *ret_id)
{
    sqlite3_stmt *st;
    const char *stored;
    int r = dlm_sql_bind(s, Q_TASK_KEY, "ss", session, key);

    if (r < 0 || (r = dlm_sql_row(s, Q_TASK_KEY, &st)) <= 0)
        return r;
    stored = (const char *)sqlite3_column_text(st, 1);
    if (hash && (!stored || strcmp(stored, hash)))
        r = DLMGR_EEXIST;
    else
        *ret_id = sqlite3_column_int64(st, 0);
    dlm_sql_end(s, Q_TASK_KEY);
    return r;
}

static bool may_be_added(const struct dlm_row *row)
{
    return row->url && row->origin && row->dir && row->session &&
           (row->state == DLMGR_QUEUED || row->state == DLMGR_PAUSED ||
            (row->state == DLMGR_WAITING && row->wait_reason));
}

static int insert_row(struct dlm_store *s, const struct dlm_row *row, int64_t session, int64_t host,
                      int64_t secret, const char *hash)
{
    bool waits = row->state == DLMGR_WAITING;
    int r = dlm_sql_run(s, Q_TASK_ADD,
                        "dllsssssl"
                        "slsdddllsbl",
                        row->state, session, host, row->key, hash, row->url, row->dir, row->out,
                        row->total > 0 ? row->total : (int64_t)-1, waits ? row->wait_reason : NULL,
                        waits ? row->wake_at : (int64_t)0, row->digest, row->priority,
                        row->on_exists, row->mask, secret,
                        row->created_at ? row->created_at : dlm_clock_wall(), row->options,
                        (const void *)row->user_data, row->user_data_len, url_key(row->url));

    if (r == 0)
        r = dlm_tally_add(s, session, row->state, waits && !strcmp(row->wait_reason, "storage"),
                          waits && row->wake_at > 0, 1);
    return r == 0 ? dlm_host_touch(s, host, 1) : r;
}

static int add_mirrors(struct dlm_store *s, int64_t id, const char *const *urls, size_t n)
{
    int r = 0;

    for (size_t i = 1; i < n && r == 0; i++)
        r = dlm_sql_run(s, Q_SOURCE_ADD, "lls", id, (int64_t)i, urls[i]);
    return r;
}

int dlm_store_add(struct dlm_store *s, const struct dlm_row *row, const char *const *urls,
                  size_t n_urls, const char *secret, const char *request_hash, int64_t *ret_id)
{
    int64_t session, host, number = 0, id;
    int r;

    if (!may_be_added(row))
        return DLMGR_EINVAL;
    if (row->key && (r = find_key(s, row->session, row->key, request_hash, ret_id)) != 0)
        return r;
    if ((r = dlm_session_id(s, row->session, &session)) < 0 ||
        (r = dlm_host_id(s, row->origin, &host)) < 0)
        return r;
    if (secret && (r = dlm_secrets_put(s, secret, &number)) < 0)
        return r;
    if ((r = insert_row(s, row, session, host, number, request_hash)) < 0)
        return r;
    id = sqlite3_last_insert_rowid(s->db);
    if ((r = add_mirrors(s, id, urls, n_urls)) < 0)
        return r;
    *ret_id = id;
    return 0;
}

/* ---- Reading --------------------------------------------------------------------------------------- */

int dlm_store_get(struct dlm_store *s, int64_t id, struct dlm_row *ret)
{
    struct dlm_row row;
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_TASK_GET, "l", id);

    if (r < 0 || (r = dlm_sql_row(s, Q_TASK_GET, &st)) < 0)
        return r;
    if (r == 0)
        return DLMGR_ENOTFOUND;
    r = dlm_row_read(st, &row);
    dlm_sql_end(s, Q_TASK_GET);
    if (r < 0)
        return r;
    if (!dlm_state_name(row.state)) {
        dlm_row_clear(&row);
        return dlm_row_damaged(s, "task", id);
    }
    *ret = row;
    return 0;
}

int dlm_store_find_key(struct dlm_store *s, const char *session, const char *key, int64_t *ret_id)
{
    int r = find_key(s, session, key, NULL, ret_id);

    return r == 0 ? DLMGR_ENOTFOUND : MIN(r, 0);
}

int dlm_store_find_same(struct dlm_store *s, const char *session, const char *url, const char *dir,
                        const char *out, int64_t below, int64_t *ret_id)
{
    int r = dlm_sql_int(s, Q_TASK_SAME, ret_id, "ssslsl", url, dir, out, below ? below : INT64_MAX,
                        session, url_key(url));

    return r == 0 ? DLMGR_ENOTFOUND : MIN(r, 0);
}

struct texts {
    char **items;
    size_t n;
};

static void texts_clear(struct texts *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->items[i]);
    free(t->items);
    *t = (struct texts){0};
}

static int texts_add(struct texts *t, const char *text)
{
    char **items = dlm_realloc(t->items, (t->n + 1) * sizeof(*items));

    if (!items)
        return DLMGR_ENOMEM;
    t->items = items;
    t->items[t->n] = dlm_strdup(text);
    if (!t->items[t->n])
        return DLMGR_ENOMEM;
    t->n++;
    return 0;
}

int dlm_store_sources(struct dlm_store *s, int64_t id, char ***ret_urls, size_t *ret_n)
{
    struct texts urls = {0};
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_SOURCE_LIST, "l", id);

    while (r == 0 && (r = dlm_sql_row(s, Q_SOURCE_LIST, &st)) > 0)
        r = texts_add(&urls, (const char *)sqlite3_column_text(st, 0));
    dlm_sql_end(s, Q_SOURCE_LIST);
    if (r == 0 && !urls.n)
        r = DLMGR_ENOTFOUND;
    if (r < 0) {
        texts_clear(&urls);
        return r;
    }
    *ret_urls = urls.items;
    *ret_n = urls.n;
    return 0;
}

int dlm_store_secret(struct dlm_store *s, int64_t secret, char **ret_json)
{
    return dlm_secrets_get(s, secret, ret_json);
}

/* ---- Changing -------------------------------------------------------------------------------------- */

static int forget_secret(struct dlm_store *s, int64_t id)
{
    int64_t secret = 0;
    int r = dlm_sql_int(s, Q_TASK_SECRET, &secret, "l", id);

    if (r < 0 || secret == 0)
        return MIN(r, 0);
    s->gone_pending = true;
    return dlm_sql_run(s, Q_GONE_ADD, "l", secret);
}

int dlm_store_remove(struct dlm_store *s, int64_t id)
{
    struct dlm_core core;
    int r = dlm_task_core(s, id, NULL, &core);

    if (r < 0)
        return r;
    if ((r = forget_secret(s, id)) < 0 || (r = dlm_sql_run(s, Q_TASK_REMOVE, "l", id)) < 0 ||
        (r = dlm_tally_add(s, core.session, core.state, core.storage, core.timed, -1)) < 0)
        return r;
    return dlm_host_touch(s, core.host, -1);
}

static int edit_sources(struct dlm_store *s, int64_t id, const struct dlm_edit *edit)
{
    int r;

    if (!edit->urls)
        return 0;
    r = dlm_sql_run(s, Q_SOURCE_DROP, "l", id);
    return r == 0 ? add_mirrors(s, id, edit->urls, edit->n_urls) : r;
}

static int edit_secret(struct dlm_store *s, int64_t id, const struct dlm_edit *edit, int64_t *ret)
{
    int r;

    *ret = 0;
    if (!edit->has_secret)
        return 0;
    r = forget_secret(s, id);
    return r == 0 && edit->secret ? dlm_secrets_put(s, edit->secret, ret) : r;
}

static int edit_row(struct dlm_store *s, const struct dlm_core *core, const struct dlm_edit *edit,
                    int64_t host, int64_t secret)
{
    const char *url = edit->urls && edit->n_urls ? edit->urls[0] : edit->url;
    int r = dlm_sql_run(s, Q_TASK_EDIT, "lslssdlsddl", core->id, url, host, edit->out, edit->dir,
                        (int)edit->has_secret, secret, edit->options, (int)edit->has_priority,
                        edit->priority, url ? url_key(url) : (int64_t)0);

    if (r == 0)
        r = dlm_host_touch(s, host, host == core->host ? 0 : 1);
    return r == 0 && host != core->host ? dlm_host_touch(s, core->host, -1) : r;
}

int dlm_store_edit(struct dlm_store *s, int64_t id, const struct dlm_edit *edit)
{
    struct dlm_core core;
    int64_t host, secret;
    int r = dlm_task_core(s, id, NULL, &core);

    if (r < 0)
        return r;
    host = core.host;
    if ((edit->origin && (r = dlm_host_id(s, edit->origin, &host)) < 0) ||
        (r = edit_secret(s, id, edit, &secret)) < 0 || (r = edit_sources(s, id, edit)) < 0)
        return r;
    return edit_row(s, &core, edit, host, secret);
}

int dlm_store_metrics(struct dlm_store *s, int64_t id, const char *metrics)
{
    return dlm_sql_run(s, Q_TASK_METRICS, "ls", id, metrics);
}
