/* SPDX-License-Identifier: MIT */
/*
 * fields.c - the members of a request: which there are, what each may say, and where it goes.
 *
 * Each has a row in `fields`: its name, the function that checks and takes it, and that function's limits. A
 * member that has no row is refused, so a misspelt option can never be silently ignored. Errors name the member, and its
 * value when that cannot be a secret.
 *
 * Columns go to the row, secrets to p->secret, the rest to p->options, and there only what differs from "not given":
 * most tasks have no options at all, and a row of a million stays small.
 */
#include "dlmgr/fields.h"

#include "dlmgr/headers.h"
#include "dlmgr/json.h"
#include "dlmgr/names.h"
#include "dlmgr/opts_ref.h"
#include "dlmgr/plan.h"
#include "dlmgr/url.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>

enum { NAME_MAX_BYTES = 255 };

struct field {
    const char *name;
    int (*take)(struct dlm_parse *p, const struct field *f, const json_t *value);
    int64_t min, max;
    size_t offset; /* in struct dlm_row */
};

int dlm_field_put(json_t **object, const char *name, json_t *value, dlmgr_error *e)
{
    if (!*object)
        *object = json_object();
    return json_object_set_new(*object, name, value) ? dlm_no_memory(e) : 0;
}

int dlm_field_text(struct dlm_parse *p, const char *name, const json_t *value, const char **ret)
{
    if (!json_is_string(value))
        return dlm_fail(p->e, DLMGR_EINVAL, "%s: must be a string", name);
    *ret = json_string_value(value);
    if (strlen(*ret) != json_string_length(value))
        return dlm_fail(p->e, DLMGR_EINVAL, "%s: must not contain NUL", name);
    return 0;
}

static int get_path(struct dlm_parse *p, const struct field *f, const json_t *value,
                    const char **ret)
{
    int r = dlm_field_text(p, f->name, value, ret);

    if (r < 0)
        return r;
    if (**ret != '/')
        return dlm_fail(p->e, DLMGR_EINVAL, "%s %s: must be an absolute path", f->name, *ret);
    if (strlen(*ret) >= PATH_MAX)
        return dlm_fail(p->e, DLMGR_EINVAL, "%s: longer than %d bytes", f->name, PATH_MAX - 1);
    return 0;
}

static int get_int(struct dlm_parse *p, const struct field *f, const json_t *value, int64_t *ret)
{
    int64_t n = json_integer_value(value);

    if (!json_is_integer(value))
        return dlm_fail(p->e, DLMGR_EINVAL, "%s: must be an integer", f->name);
    if (n < f->min || n > f->max)
        return dlm_fail(p->e, DLMGR_EINVAL, "%s %lld: must be from %lld to %lld", f->name,
                        (long long)n, (long long)f->min, (long long)f->max);
    *ret = n;
    return 0;
}

static int get_bool(struct dlm_parse *p, const struct field *f, const json_t *value, bool *ret)
{
    if (!json_is_boolean(value))
        return dlm_fail(p->e, DLMGR_EINVAL, "%s: must be true or false", f->name);
    *ret = json_is_true(value);
    return 0;
}

static char **column(struct dlm_parse *p, const struct field *f)
{
    return (char **)(void *)((char *)&p->r->row + f->offset);
}

static int set_column(struct dlm_parse *p, const struct field *f, const char *text, size_t len)
{
    char **where = column(p, f);

    *where = dlm_strndup(text, len);
    return *where ? 0 : dlm_no_memory(p->e);
}

static int take_url(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    (void)f;
    p->url = value;
    return 0;
}

static int take_mirrors(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    if (!json_is_array(value))
        return dlm_fail(p->e, DLMGR_EINVAL, "%s: must be an array of URLs", f->name);
    if (json_array_size(value) > DLM_MIRRORS_MAX)
        return dlm_fail(p->e, DLMGR_ELIMIT, "%s: more than %d", f->name, DLM_MIRRORS_MAX);
    p->mirrors = value;
    return 0;
}

/* "/a/b/" and "/a/b" are one directory, and names must compare equal. */
static int take_dir(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    const char *dir;
    int r = get_path(p, f, value, &dir);
    size_t len;

    if (r < 0)
        return r;
    for (len = strlen(dir); len > 1 && dir[len - 1] == '/'; len--)
        ;
    return set_column(p, f, dir, len);
}

static int take_out(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    const char *out;
    int r = dlm_field_text(p, f->name, value, &out);

    if (r == 0)
        r = dlm_name_out_ok(out, p->e);
    return r < 0 ? r : set_column(p, f, out, strlen(out));
}

static int take_checksum(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    static const struct {
        const char *name;
        size_t hex;
    } algorithms[] = {{"sha-256", 64}, {"sha-1", 40}, {"sha-512", 128}, {"md5", 32}};
    const char *text, *hex;
    char *copy;
    size_t i, len;
    int r = dlm_field_text(p, f->name, value, &text);

    if (r < 0)
        return r;
    len = strcspn(text, "=");
    hex = text + len + (text[len] == '=');
    for (i = 0; i < ARRAY_SIZE(algorithms); i++)
        if (strlen(algorithms[i].name) == len && !strncasecmp(text, algorithms[i].name, len))
            break;
    if (!text[len] || i == ARRAY_SIZE(algorithms))
        return dlm_fail(p->e, DLMGR_EINVAL,
                        "%s %.200s: must be ALG=HEX, with ALG sha-256, sha-1, sha-512 or md5",
                        f->name, text);
    if (strlen(hex) != algorithms[i].hex ||
        strspn(hex, "0123456789abcdefABCDEF") != algorithms[i].hex)
        return dlm_fail(p->e, DLMGR_EINVAL, "%s %.200s: %s has %zu hexadecimal digits", f->name,
                        text, algorithms[i].name, algorithms[i].hex);
    r = set_column(p, f, text, strlen(text));
    for (copy = *column(p, f); r == 0 && *copy; copy++)
        *copy = (char)tolower((unsigned char)*copy);
    return r;
}

static int check_header(const struct field *f, const char *text, dlmgr_error *e)
{
    return f->max ? dlm_ref_check(text, e) : dlm_header_check(text, e);
}

/* max: how many references; 0: they are headers. */
static int take_headers(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    const json_t *item;
    const char *text;
    size_t i;

    if (!json_is_array(value))
        return dlm_fail(p->e, DLMGR_EINVAL, "%s: must be an array of strings", f->name);
    if (json_array_size(value) > (f->max ? (size_t)f->max : DLM_HEADERS_MAX))
        return dlm_fail(p->e, DLMGR_ELIMIT, "%s: more than %d", f->name,
                        f->max ? (int)f->max : DLM_HEADERS_MAX);
    json_array_foreach (value, i, item) {
        int r = dlm_field_text(p, f->name, item, &text);

        if (r == 0)
            r = check_header(f, text, p->e);
        if (r < 0)
            return r;
    }
    return json_array_size(value) ? dlm_field_put(&p->secret, f->name, json_deep_copy(value), p->e)
                                  : 0;
}

static int take_secret(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    const char *text;
    int r = dlm_field_text(p, f->name, value, &text);

    if (r == 0 && (int64_t)strlen(text) > f->max)
        return dlm_fail(p->e, DLMGR_EINVAL, "%s: longer than %d bytes", f->name, (int)f->max);
    return r < 0 ? r : dlm_field_put(&p->secret, f->name, json_string(text), p->e);
}

static int take_path(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    const char *path;
    int r = get_path(p, f, value, &path);

    return r < 0 ? r : dlm_field_put(&p->options, f->name, json_string(path), p->e);
}

/* One or more of sha256//BASE64, separated by ;: what libcurl takes, but no file name. */
static int take_pin(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *text, *at;
    int r = dlm_field_text(p, f->name, value, &text);

    for (at = text; r == 0; at += 53) {
        if (strncmp(at, "sha256//", 8) || strspn(at + 8, alphabet) != 43 || at[51] != '=' ||
            (at[52] && at[52] != ';'))
            return dlm_fail(p->e, DLMGR_EINVAL,
                            "%s %.200s: must be sha256//BASE64 of a key's SHA-256", f->name, text);
        if (!at[52])
            return dlm_field_put(&p->options, f->name, json_string(text), p->e);
    }
    return r;
}

static int check_proxy(struct dlm_parse *p, const char *name, const char *text, bool *ret_secret)
{
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    const char *end = strstr(text, "://");
    size_t len = end ? (size_t)(end - text) : 0;

    *ret_secret = strchr(text, '@') != NULL;
    for (size_t i = 0; end && i < ARRAY_SIZE(schemes); i++)
        if (strlen(schemes[i]) == len && !strncasecmp(text, schemes[i], len) && end[3])
            return 0;
    if (!*text || (!end && strcspn(text, " \t\r\n/") == strlen(text)))
        return 0;
    /* Not shown when it may hold a password. */
    return dlm_fail(p->e, DLMGR_EINVAL,
                    "%s %.200s: must be [SCHEME://]HOST[:PORT] with http, https, socks4, socks4a, "
                    "socks5 or socks5h",
                    name, *ret_secret ? "***" : text);
}

static int take_proxy(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    const char *text;
    bool secret;
    int r = dlm_field_text(p, f->name, value, &text);

    if (r == 0)
        r = check_proxy(p, f->name, text, &secret);
    return r < 0
               ? r
               : dlm_field_put(secret ? &p->secret : &p->options, f->name, json_string(text), p->e);
}

static int take_proxies(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    bool secret, any = false;
    const char *name, *text;
    json_t *item;

    if (!json_is_object(value))
        return dlm_fail(p->e, DLMGR_EINVAL, "%s: must be an object", f->name);
    json_object_foreach ((json_t *)(uintptr_t)value, name, item) {
        bool no = !strcmp(name, "no");
        int r;

        if (!no && strcmp(name, "http") && strcmp(name, "https") && strcmp(name, "all"))
            return dlm_fail(p->e, DLMGR_EINVAL, "%s: unknown field %.100s", f->name, name);
        r = dlm_field_text(p, f->name, item, &text);
        if (r == 0 && !no)
            r = check_proxy(p, f->name, text, &secret);
        if (r < 0)
            return r;
        any |= !no && secret;
    }
    if (!json_object_size(value))
        return 0;
    return dlm_field_put(any ? &p->secret : &p->options, f->name, json_deep_copy(value), p->e);
}

/* What the asker's settings call secret must not be cut into the journal, though this owner began before they said so. */
static int take_names(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    const char *text = "";
    int r = dlm_field_text(p, f->name, value, &text);

    return r < 0 ? r : dlm_redact_names(text, p->e);
}

static int take_key(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    const char *text;
    int r = dlm_field_text(p, f->name, value, &text);

    if (r == 0 && (!*text || strlen(text) > NAME_MAX_BYTES))
        return dlm_fail(p->e, DLMGR_EINVAL, "%s: must have from 1 to %d bytes", f->name,
                        NAME_MAX_BYTES);
    return r < 0 ? r : set_column(p, f, text, strlen(text));
}

static int take_session(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    const char *text;
    int r = dlm_field_text(p, f->name, value, &text);

    if (r == 0)
        r = dlm_session_check(text, p->e);
    return r < 0 ? r : set_column(p, f, text, strlen(text));
}

static int take_user_data(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    char *data;
    size_t len;
    int r = dlm_bytes_from_json(value, &data, &len);

    if (r == DLMGR_ENOMEM)
        return dlm_no_memory(p->e);
    if (r < 0)
        return dlm_fail(p->e, r, "%s: must be a string or {\"base64\": \"...\"}", f->name);
    p->r->row.user_data = data;
    p->r->row.user_data_len = len;
    if (len > DLM_USER_DATA_MAX)
        return dlm_fail(p->e, DLMGR_ELIMIT, "%s: more than %d bytes", f->name, DLM_USER_DATA_MAX);
    return 0;
}

static int take_on_exists(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    static const char *const names[] = {
        [DLMGR_EXISTS_FAIL] = "fail",
        [DLMGR_EXISTS_RENAME] = "rename",
        [DLMGR_EXISTS_REPLACE] = "replace",
        [DLMGR_EXISTS_SAME] = "same",
    };
    const char *text;
    int r = dlm_field_text(p, f->name, value, &text);

    if (r < 0)
        return r;
    for (int i = DLMGR_EXISTS_FAIL; i <= DLMGR_EXISTS_SAME; i++)
        if (!strcmp(text, names[i])) {
            p->r->row.on_exists = i;
            return 0;
        }
    return dlm_fail(p->e, DLMGR_EINVAL, "%s %.100s: must be fail, rename, replace or same", f->name,
                    text);
}

static int take_flag(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    bool on = false;
    int r = get_bool(p, f, value, &on);

    return r < 0 || !on ? r : dlm_field_put(&p->options, f->name, json_true(), p->e);
}

static int take_create_dirs(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    int r = get_bool(p, f, value, &p->r->create_dirs);

    return r < 0 ? r : take_flag(p, f, value);
}

static int take_paused(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    return get_bool(p, f, value, &p->paused);
}

/* An option; its lowest value means "not given". */
static int take_number(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    int64_t n = 0;
    int r = get_int(p, f, value, &n);

    return r < 0 || n == f->min ? r : dlm_field_put(&p->options, f->name, json_integer(n), p->e);
}

static int take_column(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    int64_t n = 0;
    int r = get_int(p, f, value, &n);

    if (r == 0)
        *(int *)(void *)((char *)&p->r->row + f->offset) = (int)n;
    return r;
}

static int take_ip_version(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    int64_t n = 0;
    int r = get_int(p, f, value, &n);

    if (r < 0)
        return r;
    if (n != 0 && n != 4 && n != 6)
        return dlm_fail(p->e, DLMGR_EINVAL, "%s %d: must be 0, 4 or 6", f->name, (int)n);
    return n ? dlm_field_put(&p->options, f->name, json_integer(n), p->e) : 0;
}

static int take_start(struct dlm_parse *p, const struct field *f, const json_t *value)
{
    int r = get_int(p, f, value, &p->start_after);

    return r < 0 ? r : take_number(p, f, value);
}

#define COLUMN(member) .offset = offsetof(struct dlm_row, member)

static const struct field fields[] = {
    {"url", take_url, 0, 0, 0},
    {"dir", take_dir, COLUMN(dir)},
    {"out", take_out, COLUMN(out)},
    {"session", take_session, COLUMN(session)},
    {"key", take_key, COLUMN(key)},
    {"mask", take_column, 0, 0777, COLUMN(mask)},
    {"mirrors", take_mirrors, 0, 0, 0},
    {"checksum", take_checksum, COLUMN(digest)},
    {"headers", take_headers, 0, 0, 0},
    {"header_refs", take_headers, 0, DLM_REFS_MAX, 0},
    {"user", take_secret, 0, 4096, 0},
    {"password", take_secret, 0, 4096, 0},
    {"netrc_file", take_path, 0, 0, 0},
    {"cookie_file", take_path, 0, 0, 0},
    {"cacert", take_path, 0, 0, 0},
    {"cert", take_path, 0, 0, 0},
    {"cert_key", take_path, 0, 0, 0},
    {"pinned_pubkey", take_pin, 0, 0, 0},
    {"proxy", take_proxy, 0, 0, 0},
    {"proxies", take_proxies, 0, 0, 0},
    {"secret_parameters", take_names, 0, 0, 0},
    {"user_data", take_user_data, 0, 0, 0},
    {"on_exists", take_on_exists, 0, 0, 0},
    {"create_dirs", take_create_dirs, 0, 0, 0},
    {"paused", take_paused, 0, 0, 0},
    {"priority", take_column, -1000, 1000, COLUMN(priority)},
    {"connections", take_number, 0, DLM_CONNECTIONS_MAX, 0},
    {"max_tries", take_number, 0, 1000000, 0},
    {"require_length", take_flag, 0, 0, 0},
    {"block_private", take_flag, 0, 0, 0},
    {"ip_version", take_ip_version, 0, 6, 0},
    {"start_after", take_start, 0, 253402300799999, 0},
    {"limit_rate", take_number, 0, INT64_MAX, 0},
    {"retry_wait", take_number, -1, 86400000, 0},
    {"max_size", take_number, 0, INT64_MAX, 0},
};

static const struct field *field_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (!strcmp(fields[i].name, name))
            return &fields[i];
    return NULL;
}

int dlm_fields_take(struct dlm_parse *p, const json_t *object)
{
    const char *name;
    json_t *value;
    int r = 0;

    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        const struct field *f = field_find(name);

        if (!f)
            return dlm_fail(p->e, DLMGR_EINVAL, "unknown field %.100s", name);
        if (!json_is_null(value))
            r = f->take(p, f, value);
        if (r < 0)
            return r;
    }
    return 0;
}
