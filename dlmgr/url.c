/* SPDX-License-Identifier: MIT */
/*
 * url.c - reading and following URLs: see url.h.
 *
 * The text is cut at fixed places only,
 *
 *     scheme :// [userinfo @] host[:port] rest [# fragment]
 *
 * where the authority ends at the first of / ? #, and userinfo at the last @ in it, as browsers have it. Nothing
 * in `rest` is touched but raw spaces. The wire text is then read by curl_url(), which says whether the host and
 * port are good and what they are; it refuses an @, so both readings agree or the URL is refused.
 *
 * A relative path in Location is the one place where dot segments are removed: there they are
 * instructions, everywhere else they may be part of a signature.
 */
#include "dlmgr/url.h"
#include "dlmgr/names.h"

#include <curl/curl.h>
#include <stdio.h>
#include <strings.h>

struct span {
    const char *at;
    size_t len;
};

struct parts {
    struct span scheme, user, host, rest;
};

static bool span_is(struct span s, const char *word)
{
    return strlen(word) == s.len && strncasecmp(s.at, word, s.len) == 0;
}

/* Percent-decoded copy; NULL when out of memory. *ret_len: its length, NULs included. */
static char *span_decode(struct span s, size_t *ret_len)
{
    char *text = dlm_strndup(s.at, s.len);

    if (text) {
        *ret_len = dlm_percent_decode(text, s.len, NULL);
        text[*ret_len] = '\0';
    }
    return text;
}

static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return true;
    return false;
}

/* The scheme with its colon is at the start (RFC 3986, 3.1); its length without it, or 0. */
static size_t scheme_length(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    char c = (char)(text[0] | 0x20);

    return text[n] == ':' && c >= 'a' && c <= 'z' ? n : 0;
}

/* DLMGR_EINVAL with the URL, redacted, and why. */
static int refuse(dlmgr_error *e, const char *url, const char *why)
{
    char *shown = dlm_url_redact(url, NULL);

    if (!shown)
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    for (char *p = shown; *p; p++)
        if (has_control(p, 1))
            *p = '?';
    dlm_fail(e, DLMGR_EINVAL, "bad URL \"%.300s\": %s", shown, why);
    free(shown);
    return DLMGR_EINVAL;
}

static const char *split(const char *text, struct parts *ret)
{
    struct parts p = {.scheme = {text, scheme_length(text)}};
    const char *host, *end, *at;

    if (!p.scheme.len)
        return "it must begin with http:// or https://";
    if (!span_is(p.scheme, "http") && !span_is(p.scheme, "https"))
        return "only http and https are supported";
    if (strncmp(text + p.scheme.len, "://", 3) != 0)
        return "the scheme must be followed by ://";
    host = text + p.scheme.len + 3;
    end = host + strcspn(host, "/?#");
    at = memrchr(host, '@', (size_t)(end - host));
    if (at) {
        p.user = (struct span){host, (size_t)(at - host)};
        host = at + 1;
    }
    p.host = (struct span){host, (size_t)(end - host)};
    p.rest = (struct span){end, strcspn(end, "#")};
    if (!p.host.len || host[0] == ':')
        return "the host is missing";
    *ret = p;
    return NULL;
}

static char *make_wire(const struct parts *p)
{
    CLEANUP_BUF struct dlm_buf b = {0};

    dlm_buf_add(&b, p->scheme.at, p->scheme.len);
    dlm_buf_puts(&b, "://");
    dlm_buf_add(&b, p->host.at, p->host.len);
    for (size_t i = 0; i < p->rest.len; i++) {
        if (p->rest.at[i] == ' ')
            dlm_buf_puts(&b, "%20");
        else
            dlm_buf_add(&b, p->rest.at + i, 1);
    }
    return dlm_buf_take(&b);
}

/* scheme://host:port as libcurl reads the wire text; NULL with *ret_why (NULL: out of memory). */
static char *make_origin(const char *wire, bool https, const char **ret_why)
{
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL, *origin = NULL;
    CURLUcode rc = CURLUE_OUT_OF_MEMORY;

    *ret_why = NULL;
    if (u)
        rc = curl_url_set(u, CURLUPART_URL, wire, CURLU_DISALLOW_USER);
    if (!rc)
        rc = curl_url_get(u, CURLUPART_HOST, &host, 0);
    if (!rc)
        rc = curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    if (rc == CURLUE_BAD_PORT_NUMBER || (!rc && strcmp(port, "0") == 0)) {
        *ret_why = "the port must be a number from 1 to 65535";
    } else if (rc && rc != CURLUE_OUT_OF_MEMORY) {
        *ret_why = "the host is not valid";
    } else if (!rc) {
        CLEANUP_BUF struct dlm_buf b = {0};

        dlm_buf_printf(&b, "%s://%s:%s", https ? "https" : "http", host, port);
        origin = dlm_buf_take(&b);
        for (char *p = origin; p && *p; p++)
            if (*p >= 'A' && *p <= 'Z')
                *p = (char)(*p | 0x20);
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return origin;
}

static int take_userinfo(struct span user, const char *shown, struct dlm_url *u, dlmgr_error *e)
{
    const char *colon = memchr(user.at, ':', user.len);
    size_t len = colon ? (size_t)(colon - user.at) : user.len, user_len = 0, word_len = 0;

    u->user = span_decode((struct span){user.at, len}, &user_len);
    if (colon)
        u->password = span_decode((struct span){colon + 1, user.len - len - 1}, &word_len);
    if (!u->user || (colon && !u->password))
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    if (has_control(u->user, user_len) || (colon && has_control(u->password, word_len)))
        return refuse(e, shown, "user and password must not hold control characters");
    return 0;
}

/* shown: the text for error messages. */
static int parse(const char *text, const char *shown, bool keep_user, struct dlm_url *ret,
                 dlmgr_error *e)
{
    CLEANUP(dlm_url_clear) struct dlm_url u = {0};
    struct parts p = {0};
    const char *why;

    if (strlen(text) > DLM_URL_MAX)
        return refuse(e, shown, "it is longer than 65535 bytes");
    if (has_control(text, strlen(text)))
        return refuse(e, shown, "it holds a control character");
    why = split(text, &p);
    if (why)
        return refuse(e, shown, why);
    u.https = p.scheme.len == 5;
    u.wire = make_wire(&p);
    if (!u.wire)
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    u.origin = make_origin(u.wire, u.https, &why);
    if (!u.origin && !why)
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    if (why)
        return refuse(e, shown, why);
    if (keep_user && p.user.len) {
        int rc = take_userinfo(p.user, shown, &u, e);

        if (rc)
            return rc;
    }
    *ret = u;
    u = (struct dlm_url){0};
    return 0;
}

int dlm_url_parse(const char *text, struct dlm_url *ret, dlmgr_error *e)
{
    return parse(text, text, true, ret, e);
}

int dlm_url_copy(const struct dlm_url *from, struct dlm_url *ret)
{
    *ret = (struct dlm_url){.wire = dlm_strdup(from->wire),
                            .origin = dlm_strdup(from->origin),
                            .https = from->https};
    if ((ret->wire || !from->wire) && (ret->origin || !from->origin))
        return 0;
    dlm_url_clear(ret);
    return DLMGR_ENOMEM;
}

void dlm_url_clear(struct dlm_url *u)
{
    free(u->wire);
    free(u->origin);
    free(u->user);
    free(u->password);
    *u = (struct dlm_url){0};
}

/* FNV-1a. */
uint64_t dlm_url_hash(const struct dlm_url *u)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *p = u->wire; *p; p++)
        hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    return hash;
}

bool dlm_url_same_origin(const struct dlm_url *a, const struct dlm_url *b)
{
    return strcmp(a->origin, b->origin) == 0;
}

/* ---- Following a redirect ------------------------------------------------------------------ */

/* Append path to b without its dot segments (RFC 3986, 5.2.4); root is where the path begins in b. */
static void add_without_dots(struct dlm_buf *b, size_t root, const char *path, size_t len)
{
    const char *end = path + len;

    while (path < end) {
        const char *slash = memchr(path + 1, '/', (size_t)(end - path - 1));
        const char *next = slash ? slash : end;
        struct span name = {path + 1, (size_t)(next - path - 1)};

        if (span_is(name, "..")) {
            while (b->len > root && b->data[--b->len] != '/')
                ;
        } else if (!span_is(name, ".")) {
            dlm_buf_add(b, path, (size_t)(next - path));
        }
        if (!slash && (span_is(name, ".") || span_is(name, "..")))
            dlm_buf_puts(b, "/");
        path = next;
    }
}

/* The relative path `location` seen from the document at `base`, which ends before its query. */
static void add_merged(struct dlm_buf *b, struct span base, const char *location)
{
    CLEANUP_BUF struct dlm_buf path = {0};
    const char *slash = memrchr(base.at, '/', base.len);

    dlm_buf_add(&path, base.at, slash ? (size_t)(slash - base.at) : 0);
    dlm_buf_puts(&path, "/");
    dlm_buf_add(&path, location, strcspn(location, "?#"));
    if (path.failed)
        b->failed = true;
    else
        add_without_dots(b, b->len, path.data, path.len);
    dlm_buf_puts(b, location + strcspn(location, "?#"));
}

static char *resolve(const struct dlm_url *from, const char *location)
{
    CLEANUP_BUF struct dlm_buf b = {0};
    const char *host = strstr(from->wire, "://") + 3;
    const char *path = host + strcspn(host, "/?");
    size_t path_len = strcspn(path, "?");

    if (scheme_length(location))
        return dlm_strdup(location);
    if (strncmp(location, "//", 2) == 0) {
        dlm_buf_add(&b, from->wire, (size_t)(host - from->wire) - 2);
        dlm_buf_puts(&b, location);
        return dlm_buf_take(&b);
    }
    dlm_buf_add(&b, from->wire, (size_t)(path - from->wire));
    if (location[0] == '/') {
        dlm_buf_puts(&b, location);
    } else if (location[0] == '?') {
        dlm_buf_add(&b, path, path_len);
        dlm_buf_puts(&b, location);
    } else if (location[0] == '\0' || location[0] == '#') {
        dlm_buf_puts(&b, path);
    } else {
        add_merged(&b, (struct span){path, path_len}, location);
    }
    return dlm_buf_take(&b);
}

int dlm_url_redirect(const struct dlm_url *from, const char *location, struct dlm_url *ret,
                     dlmgr_error *e)
{
    CLEANUP(dlm_url_clear) struct dlm_url u = {0};
    CLEANUP_FREE char *text = resolve(from, location);
    int rc;

    if (!text)
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    rc = parse(text, location, false, &u, e);
    if (rc)
        return rc;
    if (from->https && !u.https) {
        rc = refuse(e, location, "a redirect from https to http is not followed");
        if (e)
            e->class_ = DLMGR_CLASS_POLICY;
        return rc;
    }
    *ret = u;
    u = (struct dlm_url){0};
    return 0;
}
