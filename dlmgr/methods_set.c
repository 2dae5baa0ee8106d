/* SPDX-License-Identifier: MIT */
/*
 * methods_set.c - set: one task is changed, whole or not at all.
 *
 * A priority is only written. Everything else makes the request anew: the object that would have asked for the task as it is,
 * with the changed members in it, goes through the same checks as `add`, and what comes out is written back. So
 * nothing can be set that could not have been added.
 *
 * Credentials belong to an origin. A URL of the same origin keeps them, unless it brings a user of its own; when the origin changes,
 * headers, user and password, cookies, netrc and the client certificate of the old one are dropped. Mirrors have theirs in their URLs, and a proxy is no origin.
 *
 * What follows for the state: a failure that the old URL explains (401, 403, 410) is tried again with a new one; a wait
 * that the old URL or directory explains ends; a time to start is obeyed. The part goes along: see methods_part.c.
 *
 * Runs in a transaction, on rows that no transfer works on any more: see dlm_method_halts(). A row may still be called running then,
 * or be so since a crash.
 */
#include "dlmgr/method.h"
#include "dlmgr/request.h"
#include "dlmgr/url.h"

struct change {
    const char *url, *out, *dir, *names;       /* names: of parameters whose values are secret */
    int64_t priority, limit_rate, start_after; /* INT64_MIN, -1, -1: as it is */
};

struct set {
    struct dlm_store *s;
    struct dlm_row row;
    struct change c;
    int64_t now;
    struct dlm_opts opts;
    json_t *hidden; /* the secret; NULL: none */
    dlmgr_error *e;
};

static const char *const restarting[] = {"url", "out", "dir", "limit_rate", "start_after"};

bool dlm_set_restarts(const json_t *params)
{
    for (size_t i = 0; i < ARRAY_SIZE(restarting); i++) {
        const json_t *value = json_object_get(params, restarting[i]);

        if (value && !json_is_null(value))
            return true;
    }
    return false;
}

/* ---- Which task, and what about it ---------------------------------------------------------------------- */

static int read_change(const json_t *params, struct change *c, dlmgr_error *e)
{
    int r;

    *c = (struct change){.priority = INT64_MIN, .limit_rate = -1, .start_after = -1};
    r = dlm_params_text(params, "url", &c->url, e);
    if (r == 0)
        r = dlm_params_text(params, "secret_parameters", &c->names, e);
    if (r == 0 && c->names)
        r = dlm_redact_names(c->names, e);
    if (r == 0)
        r = dlm_params_text(params, "out", &c->out, e);
    if (r == 0)
        r = dlm_params_text(params, "dir", &c->dir, e);
    if (r == 0)
        r = dlm_params_int(params, "priority", -1000, 1000, &c->priority, e);
    if (r == 0)
        r = dlm_params_int(params, "limit_rate", 0, INT64_MAX, &c->limit_rate, e);
    if (r == 0)
        r = dlm_params_int(params, "start_after", 0, INT64_MAX, &c->start_after, e);
    if (r == 0 && c->priority == INT64_MIN && !dlm_set_restarts(params))
        r = dlm_fail(e, DLMGR_EINVAL,
                     "nothing to change: give url, out, dir, priority, limit_rate or start_after");
    return r;
}

static int find_task(struct dlm_store *s, const json_t *params, int64_t *ret_id, dlmgr_error *e)
{
    const char *key = NULL, *session = NULL;
    int64_t id = 0;
    int r = dlm_params_int(params, "id", 1, INT64_MAX, &id, e);

    if (r == 0)
        r = dlm_params_text(params, "key", &key, e);
    if (r == 0)
        r = dlm_params_text(params, "session", &session, e);
    if (r < 0)
        return r;
    if (!id == !key || (id && session))
        return dlm_fail(e, DLMGR_EINVAL, "which task? give either id, or key and its session");
    *ret_id = id;
    if (id)
        return 0;
    session = session ? session : "default";
    r = dlm_store_find_key(s, session, key, ret_id);
    if (r == DLMGR_ENOTFOUND)
        return dlm_fail(e, r, "session %.100s has no task with key %.255s", session, key);
    return r < 0 ? dlm_work_failed(s, r, e) : 0;
}

static int may_change(const struct dlm_row *row, dlmgr_error *e)
{
    static const char *const why[DLM_STATES] = {
        [DLMGR_DONE] = "is done: there is nothing left to change",
        [DLMGR_CANCELLED] = "is cancelled: `retry` it first",
        [DLMGR_COMMITTING] = "is being put in its place and cannot be changed any more",
    };

    if (!why[row->state])
        return 0;
    return dlm_fail(e, DLMGR_ESTATE, "task %lld %s", (long long)row->id, why[row->state]);
}

/* ---- The request, made anew ------------------------------------------------------------------------------ */

/* A secret that is lost does not keep anybody from giving the task another URL. */
static int load(struct set *x)
{
    CLEANUP_FREE char *secret = NULL;
    char **urls = NULL;
    size_t n = 0;
    int r = x->row.secret ? dlm_store_secret(x->s, x->row.secret, &secret) : 0;

    if (r == 0 || r == DLMGR_ENOTFOUND)
        r = dlm_store_sources(x->s, x->row.id, &urls, &n);
    if (r < 0)
        return dlm_work_failed(x->s, r, x->e);
    r = dlm_opts_load(x->row.options, secret, urls, n, &x->opts);
    for (size_t i = 0; i < n; i++)
        free(urls[i]);
    free(urls);
    if (r == DLMGR_EJOURNAL)
        return dlm_fail(x->e, r, "the options of task %lld are not what dlmgr wrote",
                        (long long)x->row.id);
    if (r < 0)
        return dlm_no_memory(x->e);
    x->hidden = dlm_json_object(secret);
    return secret && !x->hidden ? dlm_no_memory(x->e) : 0;
}

/* NULL is left out. Text of the journal may be older than its rules, so that it is UTF-8 is asked by the parser alone. */
static int put_text(json_t *object, const char *name, const char *text)
{
    return text ? json_object_set_new(object, name, json_string_nocheck(text)) : 0;
}

/* What of the secret goes with the new URL. */
static int sift(struct set *x, json_t *object)
{
    static const char *const of_origin[] = {"headers",     "header_refs", "netrc_file",
                                            "cookie_file", "cert",        "cert_key"};
    struct dlm_url CLEANUP(dlm_url_clear) url = {0};
    int r;

    if (!x->c.url)
        return 0;
    r = dlm_url_parse(x->c.url, &url, x->e);
    if (r < 0)
        return r;
    for (size_t i = 0; strcmp(url.origin, x->row.origin) && i < ARRAY_SIZE(of_origin); i++)
        json_object_del(object, of_origin[i]);
    json_object_del(object, "user");
    json_object_del(object, "password");
    if (url.user || strcmp(url.origin, x->row.origin))
        return 0;
    /* Also when they stood in the old URL. */
    return put_text(object, "user", x->opts.user) || put_text(object, "password", x->opts.password)
               ? dlm_no_memory(x->e)
               : 0;
}

static json_t *mirrors(const struct dlm_opts *o)
{
    json_t *array = json_array();

    for (size_t i = 1; i < o->n_urls; i++)
        json_array_append_new(array, json_string_nocheck(o->urls[i]));
    return array;
}

/* The object that asks for the task with the change. */
static int build(struct set *x, json_t **ret)
{
    CLEANUP_JSON json_t *object = x->row.options ? dlm_json_object(x->row.options) : json_object();
    const struct change *c = &x->c;
    int r;

    if (!object || (x->hidden && json_object_update(object, x->hidden)))
        return dlm_no_memory(x->e);
    json_object_del(object, "urls");
    r = sift(x, object);
    if (r < 0)
        return r;
    if (put_text(object, "url", c->url ? c->url : x->opts.urls[0]) ||
        json_object_set_new(object, "mirrors", mirrors(&x->opts)) ||
        put_text(object, "dir", c->dir ? c->dir : x->row.dir) ||
        put_text(object, "out", c->out ? c->out : x->row.out) ||
        (c->limit_rate >= 0 &&
         json_object_set_new(object, "limit_rate", json_integer(c->limit_rate))) ||
        (c->start_after >= 0 &&
         json_object_set_new(object, "start_after", json_integer(c->start_after))))
        return dlm_no_memory(x->e);
    *ret = TAKE_PTR(object);
    return 0;
}

static int write_back(struct set *x, const struct dlm_request *request)
{
    const struct change *c = &x->c;
    struct dlm_edit edit = {.has_priority = c->priority != INT64_MIN, .priority = (int)c->priority};
    int r;

    if (c->url) {
        edit.urls = (const char *const *)request->urls;
        edit.n_urls = request->n_urls;
        edit.origin = request->row.origin;
        edit.has_secret = true;
        edit.secret = request->secret;
    }
    if (c->out)
        edit.out = request->row.out;
    if (c->dir)
        edit.dir = request->row.dir;
    if (c->url || c->limit_rate >= 0 || c->start_after >= 0)
        edit.options = request->row.options ? request->row.options : "{}";
    r = dlm_store_edit(x->s, x->row.id, &edit);
    return r < 0 ? dlm_work_failed(x->s, r, x->e) : 0;
}

/* ---- What follows --------------------------------------------------------------------------------------- */

static bool url_explains(const struct dlm_row *row)
{
    CLEANUP_JSON json_t *error = dlm_json_object(row->error);
    int64_t status = dlm_json_int(error, "http_status", 0);

    return status == 401 || status == 403 || status == 410;
}

static int move(struct set *x, int to, bool bump)
{
    struct dlm_move m = {.id = x->row.id,
                         .to = to,
                         .bump = bump,
                         .bytes = -1,
                         .total = -1,
                         .attempts = bump ? 0 : -1};
    int r;

    if (to == DLMGR_WAITING) {
        m.wait_reason = "not-before";
        m.wake_at = x->c.start_after;
    }
    r = dlm_store_move(x->s, &m, NULL);
    if (r < 0)
        return dlm_work_failed(x->s, r, x->e);
    x->row.state = to;
    return 0;
}

static int settle(struct set *x)
{
    const struct change *c = &x->c;
    bool timed = x->row.wait_reason && !strcmp(x->row.wait_reason, "not-before");
    int r = 0;

    if (x->row.state == DLMGR_FAILED && c->url && url_explains(&x->row))
        r = move(x, DLMGR_QUEUED, true);
    else if (x->row.state == DLMGR_WAITING &&
             (timed ? c->start_after >= 0 && c->start_after <= x->now : c->url || c->dir))
        r = move(x, DLMGR_QUEUED, false);
    if (r == 0 && c->start_after > x->now && x->row.state != DLMGR_FAILED)
        r = move(x, DLMGR_WAITING, false);
    return r;
}

static int change(struct set *x, json_t *parts)
{
    CLEANUP_JSON json_t *object = NULL;
    struct dlm_request request = {0};
    int r = load(x);

    if (r == 0)
        r = build(x, &object);
    if (r == 0)
        r = dlm_request_parse(object, x->now, &request, x->e);
    if (r == 0 && x->c.dir)
        r = dlm_request_check_dir(&request, x->e);
    if (r == 0)
        r = write_back(x, &request);
    if (r == 0 && (x->c.dir || x->c.out))
        r = dlm_part_follow(x->s, &x->row, request.row.dir, request.row.out, request.create_dirs,
                            parts, x->e);
    if (r == 0)
        r = settle(x);
    dlm_request_clear(&request);
    return r;
}

int dlm_work_set(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {"id",          "key",
                                        "session",     "url",
                                        "out",         "dir",
                                        "priority",    "limit_rate",
                                        "start_after", "secret_parameters",
                                        NULL};
    CLEANUP_JSON json_t *parts = json_array(), *result = NULL;
    struct set x = {.s = s, .now = dlm_clock_wall(), .e = e};
    int64_t id = 0;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = read_change(params, &x.c, e);
    if (r == 0)
        r = find_task(s, params, &id, e);
    if (r == 0)
        r = dlm_task_get(s, id, &x.row, e);
    if (r < 0)
        return r;
    r = may_change(&x.row, e);
    if (r == 0)
        r = dlm_set_restarts(params) ? change(&x, parts) : write_back(&x, NULL);
    dlm_row_clear(&x.row);
    dlm_opts_clear(&x.opts);
    json_decref(x.hidden);
    if (r < 0)
        return r;
    result = json_pack("{s:I}", "id", (json_int_t)id);
    if (!result || (json_array_size(parts) && json_object_set(result, "parts", parts)))
        return dlm_no_memory(e);
    *ret_result = TAKE_PTR(result);
    return 0;
}
