/* SPDX-License-Identifier: MIT */
/*
 * evidence.c - what a request that failed leaves behind: see evidence.h.
 *
 * libcurl keeps the header of an answer with the easy handle (curl_easy_header), that of a proxy's refusal too, so the fields need not be
 * collected as they come. Which of them are kept stands in one table: those that say who answered, why, and what to quote when one asks
 * its operator. Set-Cookie and others that open doors are not among them.
 */
#include "dlmgr/evidence.h"

#include "dlmgr/json.h"

#include <stdio.h>
#include <strings.h>

#define LINES_MAX 4 /* of one field */

static const struct {
    const char *name;
    enum dlm_shown how;
} fields[] = {
    {"Server", DLM_SHOWN_TEXT},
    {"Date", DLM_SHOWN_TEXT},
    {"Content-Type", DLM_SHOWN_TEXT},
    {"Content-Length", DLM_SHOWN_TEXT},
    {"Content-Range", DLM_SHOWN_TEXT},
    {"Content-Encoding", DLM_SHOWN_TEXT},
    {"ETag", DLM_SHOWN_TEXT},
    {"Last-Modified", DLM_SHOWN_TEXT},
    {"Accept-Ranges", DLM_SHOWN_TEXT},
    {"Allow", DLM_SHOWN_TEXT},
    {"Location", DLM_SHOWN_URL},
    {"Retry-After", DLM_SHOWN_TEXT},
    {"X-RateLimit-Remaining", DLM_SHOWN_TEXT},
    {"X-RateLimit-Reset", DLM_SHOWN_TEXT},
    {"WWW-Authenticate", DLM_SHOWN_CHALLENGE},
    {"Proxy-Authenticate", DLM_SHOWN_CHALLENGE},
    {"Via", DLM_SHOWN_TEXT},
    {"Proxy-Status", DLM_SHOWN_TEXT},
    {"X-Cache", DLM_SHOWN_TEXT},
    {"X-Request-Id", DLM_SHOWN_TEXT},
    {"Request-Id", DLM_SHOWN_TEXT},
    {"X-Correlation-Id", DLM_SHOWN_TEXT},
    {"X-Amz-Request-Id", DLM_SHOWN_TEXT},
    {"X-Amz-Cf-Id", DLM_SHOWN_TEXT},
    {"X-Ms-Request-Id", DLM_SHOWN_TEXT},
    {"X-Guploader-Uploadid", DLM_SHOWN_TEXT},
    {"CF-Ray", DLM_SHOWN_TEXT},
    {"X-Served-By", DLM_SHOWN_TEXT},
};

/* ---- Text ------------------------------------------------------------------------------------------ */

size_t dlm_cut_text(const char *data, size_t len, size_t most)
{
    size_t n = most;

    if (len <= most)
        return len;
    while (n > 0 && most - n < 3 && ((unsigned char)data[n] & 0xc0) == 0x80)
        n--;
    return n > 0 && ((unsigned char)data[n] & 0xc0) != 0x80 ? n : most;
}

/* The scheme, and realm="..." or realm=token where there is one. */
static char *challenge(const char *value)
{
    size_t scheme = strcspn(value, " \t,");
    const char *realm = strcasestr(value, "realm=");
    CLEANUP_BUF struct dlm_buf b = {0};

    dlm_buf_add(&b, value, MIN(scheme, (size_t)DLM_SHOWN_MAX));
    if (realm) {
        const char *at = realm + 6;
        size_t len = *at == '"' ? 1 + strcspn(at + 1, "\"") : strcspn(at, " \t,");

        dlm_buf_puts(&b, " realm=");
        len = dlm_cut_text(at, len, DLM_SHOWN_MAX);
        dlm_buf_add(&b, at, len);
        if (*at == '"')
            dlm_buf_puts(&b, "\"");
    }
    return dlm_buf_take(&b);
}

char *dlm_shown_value(enum dlm_shown how, const char *value)
{
    CLEANUP_FREE char *url = NULL;

    if (how == DLM_SHOWN_CHALLENGE)
        return challenge(value);
    if (how == DLM_SHOWN_URL) {
        value = url = dlm_url_redact(value, NULL);
        if (!url)
            return NULL;
    }
    return dlm_strndup(value, dlm_cut_text(value, strlen(value), DLM_SHOWN_MAX));
}

/* ---- Members ---------------------------------------------------------------------------------------- */

/* What a server wrote, without our secrets, cut; NULL: no memory. */
static json_t *foreign_json(struct dlm_hide *h, const void *data, size_t len, size_t most)
{
    size_t n = 0;
    CLEANUP_FREE char *text = dlm_hide(h, data, len, &n);

    return text ? dlm_bytes_to_json(text, dlm_cut_text(text, n, most)) : NULL;
}

/* Hidden before it is cut, lest the beginning of a secret stays. NULL: no memory. */
static char *shown_field(struct dlm_hide *h, enum dlm_shown how, const char *value)
{
    size_t n = 0;
    CLEANUP_FREE char *plain = dlm_hide(h, value, strlen(value), &n);

    return plain ? dlm_shown_value(how, plain) : NULL;
}

/* All lines of one field as one value; false: there is none. */
static bool field_value(CURL *easy, struct dlm_hide *hide, const char *name, enum dlm_shown how,
                        struct dlm_buf *b)
{
    static const unsigned from[] = {CURLH_HEADER, CURLH_CONNECT};
    struct curl_header *h;

    for (size_t i = 0; i < ARRAY_SIZE(from); i++)
        for (size_t n = 0; n < LINES_MAX; n++) {
            CLEANUP_FREE char *shown = NULL;

            if (curl_easy_header(easy, name, n, from[i], -1, &h) != CURLHE_OK)
                break;
            shown = shown_field(hide, how, h->value);
            if (b->len)
                dlm_buf_puts(b, ", ");
            dlm_buf_puts(b, shown ? shown : "***");
        }
    return b->len > 0;
}

static json_t *headers_json(const struct dlm_scene *s, struct dlm_hide *hide)
{
    json_t *object = NULL;

    for (size_t i = 0; s->easy && i < ARRAY_SIZE(fields); i++) {
        CLEANUP_BUF struct dlm_buf b = {0};

        if (!field_value(s->easy, hide, fields[i].name, fields[i].how, &b))
            continue;
        if (!object)
            object = json_object();
        if (b.failed ||
            json_object_set_new(object, fields[i].name, dlm_bytes_to_json(b.data, b.len))) {
            json_decref(object);
            return NULL;
        }
    }
    return object ? object : json_null();
}

static json_t *address_json(const struct dlm_scene *s)
{
    char *ip = NULL, text[64] = "";
    long port = 0;

    if (s->easy) {
        curl_easy_getinfo(s->easy, CURLINFO_PRIMARY_IP, &ip);
        curl_easy_getinfo(s->easy, CURLINFO_PRIMARY_PORT, &port);
    }
    if (ip && *ip)
        snprintf(text, sizeof(text), strchr(ip, ':') ? "[%s]:%ld" : "%s:%ld", ip, port);
    else if (s->tried)
        dlm_address_text(s->tried, text);
    return text[0] ? json_string(text) : json_null();
}

static json_t *url_json(const char *text)
{
    CLEANUP_FREE char *shown = text && *text ? dlm_url_redact(text, NULL) : NULL;

    if (shown)
        return dlm_bytes_to_json(shown, strlen(shown));
    return text && *text ? NULL : json_null();
}

json_t *dlm_evidence(const struct dlm_scene *s)
{
    struct dlm_hide hide = {0};
    json_t *evidence;

    dlm_scene_hide(s, &hide);
    evidence = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "url", url_json(s->at->wire), "address",
                         address_json(s), "proxy", url_json(s->proxy), "headers",
                         headers_json(s, &hide), "body_excerpt",
                         s->body ? foreign_json(&hide, s->body, s->n_body, s->most_body)
                                 : json_null(),
                         "tls", dlm_tls_json(s->tls, s->check, s->detail));
    dlm_hide_clear(&hide);
    return evidence;
}
