/* SPDX-License-Identifier: MIT */
/*
 * api_request.c - the structs of dlmgr.h as the JSON objects of the methods.
 *
 * A member of dlmgr_request is a row of a table: its name in JSON, its kind and where it stands. What has the value of "not
 * given" is left out; whether the rest is right is for the method to say, which other processes ask too, so an error
 * reads the same through every door.
 *
 * What a task takes from its caller's surroundings is read here, on the caller's thread: the umask, out of /proc, since umask(2)
 * cannot look without changing it for a moment; and the environment's proxies.
 */
#include "dlmgr/api.h"
#include "dlmgr/names.h"
#include "dlmgr/request.h"
#include "dlmgr/url.h"

#include <fcntl.h>
#include <stdio.h>

/* ---- Surroundings ---------------------------------------------------------------------------------------- */

int dlm_api_umask(dlmgr_error *e)
{
    static const char name[] = "/proc/thread-self/status";
    CLEANUP_FD int fd = open(name, O_RDONLY | O_CLOEXEC);
    char text[1024] = "";
    unsigned mask;
    char *at;

    /* It stands in the second line. Without /proc the file is for its owner alone, and so shows nothing to anybody else. */
    if (fd < 0 && (errno == ENOENT || errno == EACCES))
        return 077;
    if (fd < 0 || dlm_pread_all(fd, text, sizeof(text) - 1, 0) < 0)
        return dlm_fail_errno(e, DLMGR_EIO, name, "cannot read the umask from %s", name);
    at = strstr(text, "\nUmask:");
    return at && sscanf(at, "\nUmask: %o", &mask) == 1 ? (int)(mask & 0777) : 077;
}

int dlm_api_proxies(json_t **ret, dlmgr_error *e)
{
    /* HTTP_PROXY is not one of them: a CGI program's client can set it. */
    static const struct {
        const char *member, *small, *large;
    } names[] = {
        {"http", "http_proxy", NULL},
        {"https", "https_proxy", "HTTPS_PROXY"},
        {"all", "all_proxy", "ALL_PROXY"},
        {"no", "no_proxy", "NO_PROXY"},
    };
    CLEANUP_JSON json_t *proxies = json_object();

    if (!proxies)
        return dlm_no_memory(e);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = secure_getenv(names[i].small);
        json_t *text;

        if (!value && names[i].large)
            value = secure_getenv(names[i].large);
        if (!value || !*value)
            continue;
        text = json_string(value);
        if (!text)
            return dlm_api_no_text(names[i].small, value, e);
        if (json_object_set_new(proxies, names[i].member, text))
            return dlm_no_memory(e);
    }
    *ret = json_object_size(proxies) ? TAKE_PTR(proxies) : NULL;
    return 0;
}

/* ---- Requests ---------------------------------------------------------------------------------------------- */

enum kind { TEXT, TEXTS, FLAG, NUMBER, LONG };

struct member {
    const char *name;
    enum kind kind;
    size_t offset;
    int64_t absent; /* the number that means "not given" */
};

#define AT(member) offsetof(dlmgr_request, member)

static const struct member members[] = {
    {"url", TEXT, AT(url), 0},
    {"mirrors", TEXTS, AT(mirrors), 0},
    {"dir", TEXT, AT(dir), 0},
    {"out", TEXT, AT(out), 0},
    {"checksum", TEXT, AT(checksum), 0},
    {"headers", TEXTS, AT(headers), 0},
    {"header_refs", TEXTS, AT(header_refs), 0},
    {"user", TEXT, AT(user), 0},
    {"password", TEXT, AT(password), 0},
    {"netrc_file", TEXT, AT(netrc_file), 0},
    {"cookie_file", TEXT, AT(cookie_file), 0},
    {"cacert", TEXT, AT(cacert), 0},
    {"cert", TEXT, AT(cert), 0},
    {"cert_key", TEXT, AT(cert_key), 0},
    {"pinned_pubkey", TEXT, AT(pinned_pubkey), 0},
    {"proxy", TEXT, AT(proxy), 0},
    {"key", TEXT, AT(key), 0},
    {"session", TEXT, AT(session), 0},
    {"create_dirs", FLAG, AT(create_dirs), 0},
    {"paused", FLAG, AT(paused), 0},
    {"priority", NUMBER, AT(priority), 0},
    {"connections", NUMBER, AT(connections), 0},
    {"max_tries", NUMBER, AT(max_tries), 0},
    {"require_length", FLAG, AT(require_length), 0},
    {"block_private", FLAG, AT(block_private), 0},
    {"ip_version", NUMBER, AT(ip_version), 0},
    {"mask", NUMBER, AT(file_mask), -1},
    {"start_after", LONG, AT(start_after), 0},
    {"limit_rate", LONG, AT(limit_rate), 0},
    {"retry_wait", LONG, AT(retry_wait_ms), -1},
    {"max_size", LONG, AT(max_size), 0},
};

void dlmgr_request_init(dlmgr_request *request)
{
    *request = (dlmgr_request){.size = sizeof(*request), .file_mask = -1, .retry_wait_ms = -1};
}

/* jansson takes UTF-8 alone and says no more than NULL. */
int dlm_api_no_text(const char *name, const char *text, dlmgr_error *e)
{
    if (dlm_is_utf8(text, strlen(text)))
        return dlm_no_memory(e);
    return dlm_fail(e, DLMGR_EINVAL, "%s: must be UTF-8", name);
}

static int put_text(json_t *object, const char *name, const char *text, dlmgr_error *e)
{
    json_t *value = json_string(text);

    if (!value)
        return dlm_api_no_text(name, text, e);
    return json_object_set_new(object, name, value) ? dlm_no_memory(e) : 0;
}

static int put_texts(json_t *object, const char *name, const char *const *texts, dlmgr_error *e)
{
    json_t *array = json_array();

    if (!array || json_object_set_new(object, name, array))
        return dlm_no_memory(e);
    for (; *texts; texts++) {
        json_t *value = json_string(*texts);

        if (!value)
            return dlm_api_no_text(name, *texts, e);
        if (json_array_append_new(array, value))
            return dlm_no_memory(e);
    }
    return 0;
}

static int put_number(json_t *object, const struct member *m, int64_t n, dlmgr_error *e)
{
    if (n == m->absent)
        return 0;
    return json_object_set_new(object, m->name, m->kind == FLAG ? json_true() : json_integer(n))
               ? dlm_no_memory(e)
               : 0;
}

static int put_member(json_t *object, const struct member *m, const dlmgr_request *r, dlmgr_error *e)
{
    const char *at = (const char *)r + m->offset;
    const void *text;

    switch (m->kind) {
    case TEXT:
        text = *(const char *const *)(const void *)at;
        return text ? put_text(object, m->name, text, e) : 0;
    case TEXTS:
        text = *(const char *const *const *)(const void *)at;
        return text ? put_texts(object, m->name, text, e) : 0;
    case FLAG:
    case NUMBER:
        return put_number(object, m, *(const int *)(const void *)at, e);
    case LONG:
        return put_number(object, m, *(const int64_t *)(const void *)at, e);
    }
    return 0;
}

static int put_policy(json_t *object, int policy, dlmgr_error *e)
{
    static const char *const names[] = {NULL, "fail", "rename", "replace", "same"};

    if (policy < 0 || policy >= (int)ARRAY_SIZE(names))
        return dlm_fail(e, DLMGR_EINVAL, "on_exists %d: must be a DLMGR_EXISTS_... value", policy);
    return names[policy] ? put_text(object, "on_exists", names[policy], e) : 0;
}

int dlm_api_secret_names(json_t *object, dlmgr_error *e)
{
    CLEANUP_FREE char *names = dlm_redact_more();

    if (names && !*names)
        return 0;
    return !names || json_object_set_new(object, "secret_parameters", json_string(names))
               ? dlm_no_memory(e)
               : 0;
}

static int put_rest(json_t *object, const dlmgr_request *r, int mask, json_t *proxies,
                    dlmgr_error *e)
{
    int ret = put_policy(object, r->on_exists, e);

    if (ret == 0)
        ret = dlm_api_secret_names(object, e);
    if (ret == 0 && r->user_data &&
        json_object_set_new(object, "user_data", dlm_bytes_to_json(r->user_data, r->user_data_len)))
        ret = dlm_no_memory(e);
    if (ret == 0 && r->file_mask == -1 && json_object_set_new(object, "mask", json_integer(mask)))
        ret = dlm_no_memory(e);
    if (ret == 0 && !r->proxy && proxies && json_object_set(object, "proxies", proxies))
        ret = dlm_no_memory(e);
    return ret;
}

int dlm_api_request(const dlmgr_request *request, int umask_, json_t *proxies, json_t **ret,
                    dlmgr_error *e)
{
    CLEANUP_JSON json_t *object = json_object();
    dlmgr_request r;
    int code;

    dlmgr_request_init(&r);
    code = dlm_api_struct(&r, sizeof(r), request, "request", e);
    if (code < 0)
        return code;
    if (!object)
        return dlm_no_memory(e);
    for (size_t i = 0; code == 0 && i < ARRAY_SIZE(members); i++)
        code = put_member(object, &members[i], &r, e);
    if (code == 0)
        code = put_rest(object, &r, umask_, proxies, e);
    if (code == 0)
        *ret = TAKE_PTR(object);
    return code;
}

int dlmgr_check(const dlmgr_request *request, dlmgr_error *error)
{
    CLEANUP_JSON json_t *object = NULL, *proxies = NULL;
    struct dlm_request checked = {0};
    int r = dlm_api_proxies(&proxies, error);

    if (r == 0) /* any mask is as good: looking is dear */
        r = dlm_api_request(request, 0, proxies, &object, error);
    if (r == 0)
        r = dlm_request_parse(object, dlm_clock_wall(), &checked, error);
    if (r == 0)
        r = dlm_request_check_dir(&checked, error);
    dlm_request_clear(&checked);
    return r;
}

/* ---- Selectors ------------------------------------------------------------------------------------------------ */

static json_t *ids_json(const int64_t *ids, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < n; i++)
        if (json_array_append_new(array, json_integer(ids[i]))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *states_json(unsigned states)
{
    json_t *array = json_array();

    for (int i = 0; array && dlm_state_name(i); i++)
        if (states & (1u << i))
            json_array_append_new(array, json_string(dlm_state_name(i)));
    return array;
}

/* An empty list of ids selects nothing; no list does not restrict. */
static int put_selector(json_t *object, const dlmgr_selector *s, bool query, dlmgr_error *e)
{
    int r = 0;

    if (s->states & ~((1u << DLM_STATES) - 1))
        return dlm_fail(e, DLMGR_EINVAL, "states 0x%x: must be bits (1u << state)", s->states);
    if (s->ids || s->n_ids)
        r |= json_object_set_new(object, "ids", ids_json(s->ids, s->ids ? s->n_ids : 0));
    if (s->states)
        r |= json_object_set_new(object, "states", states_json(s->states));
    if (s->after)
        r |= json_object_set_new(object, "after", json_integer(s->after));
    if (query && s->limit)
        r |= json_object_set_new(object, "limit", json_integer(s->limit));
    if (s->all)
        r |= json_object_set_new(object, "all", json_true());
    if (r)
        return dlm_no_memory(e);
    return s->session ? put_text(object, "session", s->session, e) : 0;
}

int dlm_api_selector(const dlmgr_selector *selector, bool query, json_t **ret, dlmgr_error *e)
{
    CLEANUP_JSON json_t *object = json_object();
    dlmgr_selector s = DLMGR_INIT(dlmgr_selector);
    int r = selector ? dlm_api_struct(&s, sizeof(s), selector, "selector", e) : 0;

    if (r == 0)
        r = object ? put_selector(object, &s, query, e) : dlm_no_memory(e);
    if (r == 0)
        *ret = TAKE_PTR(object);
    return r;
}
