/* SPDX-License-Identifier: MIT */
/*
 * opts.c - options and secret of a task, joined again for a transfer: see request.h.
 *
 * Both texts were written by request.c (or `set`); a text of another shape means that the journal was edited by hand, and is
 * DLMGR_EJOURNAL rather than a task that silently runs without its credentials. Which members are strings and where they go stands in
 * one table.
 */
#include "dlmgr/json.h"
#include "dlmgr/request.h"
#include "dlmgr/url.h"

struct text {
    const char *name, *within; /* a member of the object, or of this object in it */
    size_t offset;
};

#define TEXT(member) #member, NULL, offsetof(struct dlm_opts, member)

static const struct text texts[] = {
    {TEXT(user)},
    {TEXT(password)},
    {TEXT(netrc_file)},
    {TEXT(cookie_file)},
    {TEXT(cacert)},
    {TEXT(cert)},
    {TEXT(cert_key)},
    {TEXT(pinned_pubkey)},
    {TEXT(proxy)},
    {"http", "proxies", offsetof(struct dlm_opts, http_proxy)},
    {"https", "proxies", offsetof(struct dlm_opts, https_proxy)},
    {"all", "proxies", offsetof(struct dlm_opts, all_proxy)},
    {"no", "proxies", offsetof(struct dlm_opts, no_proxy)},
};

/* NULL text is no object; other text must be one. */
static int read_object(const char *text, json_t **ret)
{
    json_error_t why = {0};
    json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, &why) : NULL;

    *ret = NULL;
    /* A token that found no memory is told as a wrong one: only the same mistake twice is one. */
    if (text && !json)
        json = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (text && !json && !why.text[0])
        return DLMGR_ENOMEM; /* a mistake has words */
    if (text && !json_is_object(json)) {
        json_decref(json);
        return DLMGR_EJOURNAL;
    }
    *ret = json;
    return 0;
}

static int load_texts(const json_t *object, struct dlm_opts *o)
{
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const json_t *from = texts[i].within ? json_object_get(object, texts[i].within) : object;
        const char *value = dlm_json_string(from, texts[i].name);
        char **where = (char **)(void *)((char *)o + texts[i].offset);

        if (value && !*where && !(*where = dlm_strdup(value)))
            return DLMGR_ENOMEM;
    }
    return 0;
}

/* Room for one more than n, so that none is not NULL. */
static int copy_list(const json_t *array, char *const *otherwise, size_t n, char ***ret,
                     size_t *ret_n)
{
    char **list;

    if (array)
        n = json_array_size(array);
    list = dlm_alloc((n + 1) * sizeof(*list));
    *ret = list;
    for (*ret_n = 0; list && *ret_n < n; ++*ret_n) {
        const char *text = array ? json_string_value(json_array_get(array, *ret_n))
                                 : otherwise[*ret_n];

        if (!text)
            return DLMGR_EJOURNAL;
        if (!(list[*ret_n] = dlm_strdup(text)))
            return DLMGR_ENOMEM;
    }
    return list ? 0 : DLMGR_ENOMEM;
}

/* The first URL's own user and password count when none were given beside it. */
static int load_user(struct dlm_opts *o)
{
    struct dlm_url CLEANUP(dlm_url_clear) url = {0};
    int r;

    if (o->user || !o->n_urls || !strchr(o->urls[0], '@'))
        return 0;
    r = dlm_url_parse(o->urls[0], &url, NULL);
    if (r < 0)
        return r == DLMGR_ENOMEM ? r : DLMGR_EJOURNAL;
    o->user = TAKE_PTR(url.user);
    if (!o->password)
        o->password = TAKE_PTR(url.password);
    return 0;
}

static void load_values(const json_t *options, struct dlm_opts *o)
{
    o->create_dirs = dlm_json_true(options, "create_dirs");
    o->require_length = dlm_json_true(options, "require_length");
    o->block_private = dlm_json_true(options, "block_private");
    o->connections = (int)dlm_json_int(options, "connections", 0);
    o->max_tries = (int)dlm_json_int(options, "max_tries", 5);
    o->ip_version = (int)dlm_json_int(options, "ip_version", 0);
    o->limit_rate = dlm_json_int(options, "limit_rate", 0);
    o->retry_wait_ms = dlm_json_int(options, "retry_wait", 1000);
    o->max_size = dlm_json_int(options, "max_size", 0);
    o->start_after = dlm_json_int(options, "start_after", 0);
}

int dlm_opts_load(const char *options, const char *secret, char *const *urls, size_t n_urls,
                  struct dlm_opts *ret)
{
    CLEANUP_JSON json_t *plain = NULL, *hidden = NULL;
    struct dlm_opts o = {0};
    int r = read_object(options, &plain);

    if (r == 0)
        r = read_object(secret, &hidden);
    if (r == 0)
        r = copy_list(json_object_get(hidden, "urls"), urls, n_urls, &o.urls, &o.n_urls);
    if (r == 0)
        r = copy_list(json_object_get(hidden, "headers"), NULL, 0, &o.headers, &o.n_headers);
    if (r == 0)
        r = copy_list(json_object_get(hidden, "header_refs"), NULL, 0, &o.header_refs,
                      &o.n_header_refs);
    if (r == 0)
        r = load_texts(plain, &o);
    if (r == 0)
        r = load_texts(hidden, &o);
    if (r == 0)
        r = load_user(&o);
    load_values(plain, &o);
    if (r < 0)
        dlm_opts_clear(&o);
    else
        *ret = o;
    return r;
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

void dlm_opts_clear(struct dlm_opts *o)
{
    free_list(o->urls, o->n_urls);
    free_list(o->headers, o->n_headers);
    free_list(o->header_refs, o->n_header_refs);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        free(*(char **)(void *)((char *)o + texts[i].offset));
    *o = (struct dlm_opts){0};
}
