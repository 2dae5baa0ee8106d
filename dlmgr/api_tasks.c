/* SPDX-License-Identifier: MIT */
/*
 * api_tasks.c - add, find, show, act, set.
 *
 * Adding is all or none, so the tasks of one dlmgr_add() stay in one message; what does not fit into one (4 MiB) the client
 * refuses, and nothing is added. Looking for tasks changes nothing and goes in pieces. An action upon a selection is one transaction a
 * page: a journal of a million tasks must not hold up those that download meanwhile.
 *
 * What is handed over to be asked is not kept here as well: an engine's threads count its references.
 */
#include "dlmgr/api.h"

enum { MANY = 10000, FIND_BYTES = 512 << 10 };

/* ---- Adding and finding ------------------------------------------------------------------------------------ */

static const dlmgr_request *request_at(const dlmgr_request *requests, size_t i)
{
    /* An older program's struct is shorter. */
    return (const dlmgr_request *)(const void *)((const char *)requests + i * requests->size);
}

static int requests_json(const dlmgr_request *requests, size_t n, json_t **ret, size_t *ret_bad,
                         dlmgr_error *e)
{
    CLEANUP_JSON json_t *array = json_array(), *proxies = NULL;
    int mask = dlm_api_umask(e);

    if (mask < 0)
        return mask;
    if (!array)
        return dlm_no_memory(e);
    if (dlm_api_proxies(&proxies, e) < 0)
        return DLMGR_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        json_t *object;
        int r = dlm_api_request(request_at(requests, i), mask, proxies, &object, e);

        if (r < 0) {
            if (ret_bad)
                *ret_bad = i;
            return r;
        }
        if (json_array_append_new(array, object))
            return dlm_no_memory(e);
    }
    *ret = TAKE_PTR(array);
    return 0;
}

static void copy_ids(const json_t *result, int64_t *ret_ids, size_t n)
{
    const json_t *ids = json_object_get(result, "ids");

    for (size_t i = 0; ret_ids && i < n; i++)
        ret_ids[i] = json_integer_value(json_array_get(ids, i));
}

static int check_many(const void *requests, size_t n, dlmgr_error *e)
{
    if (n > MANY)
        return dlm_fail(e, DLMGR_ELIMIT, "%zu requests: at most %d at once", n, (int)MANY);
    return n && !requests ? dlm_fail(e, DLMGR_EINVAL, "requests is NULL") : 0;
}

int dlmgr_add(dlmgr *handle, const dlmgr_request *requests, size_t n, int64_t *ret_ids,
              size_t *ret_bad, dlmgr_error *error)
{
    CLEANUP_JSON json_t *tasks = NULL, *result = NULL;
    dlmgr_error mine = {0};
    int64_t bad;
    int r;

    error = error ? error : &mine;
    r = check_many(requests, n, error);
    if (r == 0)
        r = requests_json(requests, n, &tasks, ret_bad, error);
    if (r == 0)
        r = dlm_api_ask(handle, "add", json_pack("{s:o}", "tasks", TAKE_PTR(tasks)), &result, error);
    if (r < 0) {
        bad = dlm_error_index(error);
        if (bad >= 0 && ret_bad)
            *ret_bad = (size_t)bad;
        return r;
    }
    copy_ids(result, ret_ids, n);
    return 0;
}

/* Only what is compared; *io_at moves on by as many as fit. */
static int wanted_json(const dlmgr_request *requests, size_t n, size_t *io_at, json_t **ret,
                       dlmgr_error *e)
{
    CLEANUP_JSON json_t *array = json_array();
    size_t bytes = 0;

    for (; *io_at < n && bytes < FIND_BYTES; ++*io_at) {
        const dlmgr_request *r = request_at(requests, *io_at);
        dlmgr_request part = DLMGR_INIT(dlmgr_request);
        json_t *object;
        int code;

        if (r->size < offsetof(dlmgr_request, user_data))
            return dlm_fail(e, DLMGR_EINVAL, "request: size is %zu; set it with DLMGR_INIT",
                            r->size);
        part.url = r->url;
        part.dir = r->dir;
        part.out = r->out;
        part.session = r->session;
        part.proxy = "";
        code = dlm_api_request(&part, 0, NULL, &object, e);
        if (code < 0)
            return code;
        bytes += 100 + (part.url ? strlen(part.url) : 0) + (part.dir ? strlen(part.dir) : 0) +
                 (part.out ? strlen(part.out) : 0);
        if (json_array_append_new(array, object))
            return dlm_no_memory(e);
    }
    *ret = TAKE_PTR(array);
    return 0;
}

static int find_all(struct dlmgr *h, const dlmgr_request *requests, size_t n, int64_t *ret_ids,
                    dlmgr_error *e)
{
    int r = 0;

    for (size_t at = 0, from = 0; r == 0 && at < n; from = at) {
        CLEANUP_JSON json_t *tasks = NULL, *result = NULL;

        r = wanted_json(requests, n, &at, &tasks, e);
        if (r == 0)
            r = dlm_api_call(h, "find", json_pack("{s:o}", "tasks", TAKE_PTR(tasks)), &result, e);
        if (r == 0)
            copy_ids(result, ret_ids + from, at - from);
    }
    return r;
}

int dlmgr_find(dlmgr *handle, const dlmgr_request *requests, size_t n, int64_t *ret_ids,
               dlmgr_error *error)
{
    CLEANUP_FREE int64_t *ids = dlm_alloc(n * sizeof(*ids));
    int r = check_many(requests, n, error);

    if (r == 0 && !ids)
        r = dlm_no_memory(error);
    if (r == 0)
        r = dlm_api_enter(handle, error);
    if (r < 0)
        return r;
    r = find_all(handle, requests, n, ids, error);
    dlm_api_leave(handle);
    if (r == 0 && n)
        memcpy(ret_ids, ids, n * sizeof(*ids));
    return r;
}

int dlmgr_show(dlmgr *handle, int64_t id, int secrets, char **ret_json, dlmgr_error *error)
{
    CLEANUP_JSON json_t *result = NULL;
    char *text;
    int r = dlm_api_ask(handle, "show",
                        json_pack("{s:I, s:b}", "id", (json_int_t)id, "secrets", secrets != 0),
                        &result, error);

    if (r < 0)
        return r;
    text = dlm_json_dump(result);
    if (!text)
        return dlm_no_memory(error);
    *ret_json = text;
    return 0;
}

/* ---- Acting ------------------------------------------------------------------------------------------------- */

/* *io_count and the parameters' "after" go on; *ret_more: there is another page. */
static int act_page(struct dlmgr *h, json_t *params, int64_t *io_count, bool *ret_more,
                    dlmgr_error *e)
{
    CLEANUP_JSON json_t *result = NULL;
    int r = dlm_api_call(h, "act", json_deep_copy(params), &result, e);
    json_t *next;

    if (r < 0)
        return r;
    *io_count += dlm_json_int(result, "count", 0);
    next = json_object_get(result, "next");
    *ret_more = json_is_integer(next);
    return *ret_more && json_object_set(params, "after", next) ? dlm_no_memory(e) : 0;
}

static int act_all(struct dlmgr *h, json_t *params, int64_t *ret_count, dlmgr_error *e)
{
    bool more = true;
    int r = 0;

    while (r == 0 && more) {
        r = act_page(h, params, ret_count, &more, e);
        if (r == 0 && more)
            r = dlm_api_still(h, e);
    }
    return r;
}

int dlmgr_act(dlmgr *handle, int action, const dlmgr_selector *selector, int64_t *ret_count,
              dlmgr_error *error)
{
    static const char *const names[] = {
        [DLMGR_PAUSE] = "pause", [DLMGR_RESUME] = "resume", [DLMGR_CANCEL] = "cancel",
        [DLMGR_RETRY] = "retry", [DLMGR_REMOVE] = "remove", [DLMGR_REMOVE_DELETE] = "remove_delete",
    };
    CLEANUP_JSON json_t *params = NULL;
    int64_t count = 0;
    int r;

    if (action < 0 || action >= (int)ARRAY_SIZE(names))
        return dlm_fail(error, DLMGR_EINVAL, "action %d: must be an enum dlmgr_action", action);
    r = dlm_api_selector(selector, false, &params, error);
    if (r == 0 && json_object_set_new(params, "action", json_string(names[action])))
        r = dlm_no_memory(error);
    if (r == 0)
        r = dlm_api_enter(handle, error);
    if (r < 0)
        return r;
    r = act_all(handle, params, &count, error);
    dlm_api_leave(handle);
    if (r == 0 && ret_count)
        *ret_count = count;
    return r;
}

/* ---- Changing ------------------------------------------------------------------------------------------------- */

void dlmgr_change_init(dlmgr_change *change)
{
    *change = (dlmgr_change){.size = sizeof(*change), .limit_rate = -1, .start_after = -1};
}

static int change_json(int64_t id, const dlmgr_change *c, json_t **ret, dlmgr_error *e)
{
    const struct {
        const char *name, *text;
    } texts[] = {{"key", c->key},
                 {"session", c->session},
                 {"url", c->url},
                 {"out", c->out},
                 {"dir", c->dir}};
    CLEANUP_JSON json_t *params = json_object();
    int r = params ? 0 : -1;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++) {
        json_t *value = texts[i].text ? json_string(texts[i].text) : NULL;

        if (texts[i].text && !value)
            return dlm_api_no_text(texts[i].name, texts[i].text, e);
        if (value)
            r = json_object_set_new(params, texts[i].name, value);
    }
    if (r == 0 && id)
        r = json_object_set_new(params, "id", json_integer(id));
    if (r == 0 && c->has_priority)
        r = json_object_set_new(params, "priority", json_integer(c->priority));
    if (r == 0 && c->limit_rate != -1)
        r = json_object_set_new(params, "limit_rate", json_integer(c->limit_rate));
    if (r == 0 && c->start_after != -1)
        r = json_object_set_new(params, "start_after", json_integer(c->start_after));
    if (r != 0)
        return dlm_no_memory(e);
    *ret = TAKE_PTR(params);
    return 0;
}

int dlmgr_set(dlmgr *handle, int64_t id, const dlmgr_change *change, dlmgr_error *error)
{
    CLEANUP_JSON json_t *result = NULL;
    json_t *params = NULL;
    dlmgr_change c;
    int r;

    dlmgr_change_init(&c);
    r = change ? dlm_api_struct(&c, sizeof(c), change, "change", error) : 0;
    if (r == 0)
        r = change_json(id, &c, &params, error);
    if (r == 0 && (r = dlm_api_secret_names(params, error)) < 0)
        json_decref(params);
    return r < 0 ? r : dlm_api_ask(handle, "set", params, &result, error);
}
