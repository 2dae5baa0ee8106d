/* SPDX-License-Identifier: MIT */
/*
 * fuzz_request.c - a request as JSON, cut into what the journal may know and what it may not, and joined again.
 *
 * The first line is the request; the two after it are options and a secret as an edited journal might have them. A secret is put into
 * the request's URL, its password and a header, and may stand in the secret text alone; in what a server says back it is not shown.
 */
#include "dlmgr/json.h"
#include "dlmgr/opts_hide.h"
#include "tests/fuzz/fuzz.h"

#define SECRET "Qx7zWk"
#define NOW INT64_C(1767225600000)

static void must_not_say(const char *text)
{
    MUST(!text || !strstr(text, SECRET));
}

/* Secrets where a person would put them; false: no memory. */
static bool put_secrets(json_t *object)
{
    json_t *headers = json_object_get(object, "headers");
    const char *url = dlm_json_string(object, "url");
    CLEANUP_BUF struct dlm_buf b = {0};
    const char *host = url ? strstr(url, "://") : NULL;

    if (host && !strchr(url, '@') && !strchr(url, '#')) {
        dlm_buf_printf(&b, "%.*su:" SECRET "@%s%ctoken=" SECRET, (int)(host + 3 - url), url,
                       host + 3, strchr(url, '?') ? '&' : '?');
        if (b.failed || json_object_set_new(object, "url", json_string(b.data)))
            return false;
    }
    if (json_is_array(headers) && json_array_append_new(headers, json_string("Cookie: a=" SECRET)))
        return false;
    return json_object_set_new(object, "password", json_string(SECRET)) == 0;
}

/* What a server said, as it may be kept; yours. */
static char *hide(const struct dlm_opts *o, const char *said)
{
    struct dlm_hide h = {0};
    size_t len = 0;
    char *shown;

    dlm_hide_opts(&h, o);
    shown = dlm_hide(&h, said, strlen(said), &len);
    dlm_hide_clear(&h);
    MUST(shown && len == strlen(shown));
    return shown;
}

static void check_said_back(const struct dlm_opts *o)
{
    CLEANUP_FREE char *shown = hide(o, "<p>no: " SECRET "</p> " SECRET SECRET " Qx7z" SECRET);

    must_not_say(shown);
}

static void check_request(json_t *object)
{
    struct dlm_request r = {0};
    struct dlm_opts o = {0};
    dlmgr_error e = {0};

    if (dlm_request_parse(object, NOW, &r, &e) < 0) {
        MUST(e.code == DLMGR_EINVAL || e.code == DLMGR_ELIMIT);
        MUST(e.text[0]);
        dlm_request_clear(&r);
        return;
    }
    MUST(r.row.url && r.n_urls > 0 && !strcmp(r.urls[0], r.row.url) && r.row.dir[0] == '/');
    MUST(r.row.origin && r.secret && r.row.session);
    for (size_t i = 0; i < r.n_urls; i++)
        must_not_say(r.urls[i]);
    must_not_say(r.row.options);
    must_not_say(r.row.origin);
    MUST(dlm_opts_load(r.row.options, r.secret, r.urls, r.n_urls, &o) == 0);
    MUST(o.n_urls == r.n_urls && o.password && !strcmp(o.password, SECRET));
    MUST(o.connections >= 0 && o.connections <= 16 && o.max_tries >= 1);
    check_said_back(&o);
    dlm_opts_clear(&o);
    dlm_request_clear(&r);
}

static void check_load(const char *options, const char *secret)
{
    static char url[] = "http://u:p@host/x";
    char *urls[] = {url};
    struct dlm_opts o = {0};
    int r = dlm_opts_load(options, secret, urls, 1, &o);

    MUST(r == 0 || r == DLMGR_EJOURNAL);
    if (r == 0)
        free(hide(&o, options));
    dlm_opts_clear(&o);
}

FUZZ(request)
{
    struct bytes b = {data, size};
    CLEANUP_FREE char *text = next_text(&b), *options = next_text(&b), *secret = next_text(&b);
    CLEANUP_JSON json_t *object = NULL;

    if (strstr(text, SECRET) || strlen(text) > 100000)
        return;
    object = json_loads(text, JSON_ALLOW_NUL, NULL);
    if (json_is_object(object) && put_secrets(object))
        check_request(object);
    check_load(options, *secret ? secret : NULL);
}
