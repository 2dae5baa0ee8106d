/* SPDX-License-Identifier: MIT */
/*
 * opts_hide.c - takes a request's secrets out of what somebody else wrote: see opts_hide.h.
 *
 * All secrets are collected first; then the text is walked once for each, the longest first, so that one that is a part of another
 * does not spoil it.
 */
#include "dlmgr/opts_hide.h"

#include "dlmgr/names.h"
#include "dlmgr/url.h"

#include <openssl/evp.h>
#include <strings.h>

/* ---- Collecting ------------------------------------------------------------------------------------ */

static void keep(struct dlm_hide *h, char *copy)
{
    size_t room = h->n < h->room ? h->room : 2 * h->room + 16;
    char **grown = room == h->room ? h->texts : dlm_realloc(h->texts, room * sizeof(*grown));

    h->failed |= !copy || !grown;
    h->sorted = false;
    if (grown) {
        h->texts = grown;
        h->room = room;
    }
    if (copy && grown)
        h->texts[h->n++] = copy;
    else
        free(copy);
}

/* How pages and JSON write a character that they need for themselves. */
struct escape {
    char c;
    const char *as;
};

static const struct escape html[] = {{'&', "&amp;"},  {'<', "&lt;"},   {'>', "&gt;"},
                                     {'"', "&quot;"}, {'\'', "&#39;"}, {0}};
static const struct escape in_json[] = {{'"', "\\\""}, {'\\', "\\\\"}, {'/', "\\/"}, {0}};

static void keep_escaped(struct dlm_hide *h, const char *text, size_t len, const struct escape *as)
{
    CLEANUP_BUF struct dlm_buf b = {0};
    bool any = false;

    for (size_t i = 0; i < len; i++) {
        const struct escape *e = as;

        while (e->c && e->c != text[i])
            e++;
        any |= e->c != 0;
        dlm_buf_add(&b, e->c ? e->as : text + i, e->c ? strlen(e->as) : 1);
    }
    if (any || b.failed)
        keep(h, dlm_buf_take(&b));
}

static void add(struct dlm_hide *h, const char *text, size_t len)
{
    if (len < DLM_SECRET_MIN)
        return;
    keep(h, dlm_strndup(text, len));
    keep_escaped(h, text, len, html);
    keep_escaped(h, text, len, in_json);
}

static void add_both(const char *secret, size_t len, void *context)
{
    CLEANUP_FREE char *plain = dlm_strndup(secret, len);
    struct dlm_hide *h = context;
    size_t n;

    add(h, secret, len);
    if (!plain) {
        h->failed = true;
        return;
    }
    n = dlm_percent_decode(plain, len, NULL);
    if (n != len)
        add(h, plain, n);
}

void dlm_hide_text(struct dlm_hide *h, const char *text)
{
    if (text)
        add(h, text, strlen(text));
}

static void add_basic(struct dlm_hide *h, const char *pair)
{
    size_t len = strlen(pair);
    unsigned char *coded = dlm_alloc(len / 3 * 4 + 5);

    if (coded) {
        EVP_EncodeBlock(coded, (const unsigned char *)pair, (int)len);
        dlm_hide_text(h, (const char *)coded);
    }
    h->failed |= !coded;
    free(coded);
}

void dlm_hide_user(struct dlm_hide *h, const char *user, const char *password)
{
    CLEANUP_BUF struct dlm_buf pair = {0};

    dlm_hide_text(h, password);
    if (!user || !password)
        return;
    dlm_buf_printf(&pair, "%s:%s", user, password);
    if (pair.failed)
        h->failed = true;
    else
        add_basic(h, pair.data);
}

/* A signing parameter's value, or user:password of a URL, and that as Basic sends it. */
static void add_part(const char *secret, size_t len, void *context)
{
    const char *colon = memchr(secret, ':', len);
    CLEANUP_BUF struct dlm_buf pair = {0};
    struct dlm_hide *h = context;

    add_both(secret, len, h);
    if (colon)
        add_both(colon + 1, len - (size_t)(colon + 1 - secret), h);
    dlm_buf_add(&pair, secret, len);
    dlm_buf_puts(&pair, colon ? "" : ":");
    if (!pair.failed) {
        pair.data[dlm_percent_decode(pair.data, pair.len, NULL)] = '\0';
        add_basic(h, pair.data);
    }
    h->failed |= pair.failed;
}

void dlm_hide_url(struct dlm_hide *h, const char *url)
{
    if (url)
        dlm_url_secrets(url, add_part, h);
}

/* Fields whose values are no secret, and words that any answer may hold. */
static const char *const harmless[] = {"accept", "accept-language", "cache-control",
                                       "dnt",    "pragma",          "user-agent",
                                       "origin", "priority",        "connection"};

static bool is_harmless(const char *line, size_t name)
{
    for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
        if (strlen(harmless[i]) == name && strncasecmp(line, harmless[i], name) == 0)
            return true;
    return false;
}

/* Each value of "a=1; b=2". */
static void add_cookies(struct dlm_hide *h, const char *value)
{
    for (const char *at = value; at; at = strchr(at, ';')) {
        const char *equals;
        size_t len;

        at += strspn(at, "; ");
        len = strcspn(at, ";");
        equals = memchr(at, '=', len);
        if (equals)
            add_both(equals + 1, len - (size_t)(equals + 1 - at), h);
    }
}

/* "Name: value", and what follows the scheme in "Authorization: Bearer value". */
void dlm_hide_header(struct dlm_hide *h, const char *line)
{
    const char *value = line + strcspn(line, ":;");
    size_t name = (size_t)(value - line);
    const char *word;

    if (is_harmless(line, name))
        return;
    value += strspn(value, ":; \t");
    word = strchr(value, ' ');
    dlm_hide_text(h, value);
    dlm_hide_text(h, word ? word + 1 : NULL);
    if (name == 6 && strncasecmp(line, "cookie", name) == 0)
        add_cookies(h, value);
}

void dlm_hide_opts(struct dlm_hide *h, const struct dlm_opts *o)
{
    const char *const proxies[] = {o->proxy, o->http_proxy, o->https_proxy, o->all_proxy};

    for (size_t i = 0; i < o->n_headers; i++)
        dlm_hide_header(h, o->headers[i]);
    dlm_hide_user(h, o->user, o->password);
    for (size_t i = 0; i < o->n_urls; i++)
        dlm_hide_url(h, o->urls[i]);
    for (size_t i = 0; i < ARRAY_SIZE(proxies); i++)
        dlm_hide_url(h, proxies[i]);
}

/* ---- Taking them out ------------------------------------------------------------------------------- */

static int by_length(const void *a, const void *b)
{
    size_t la = strlen(*(char *const *)a), lb = strlen(*(char *const *)b);

    return la < lb ? 1 : la > lb ? -1 : 0;
}

/* text with each occurrence of the secret replaced, into b. */
static void replace(const char *text, size_t len, const char *secret, struct dlm_buf *b)
{
    size_t n = strlen(secret);
    const char *found;

    while ((found = memmem(text, len, secret, n))) {
        dlm_buf_add(b, text, (size_t)(found - text));
        dlm_buf_puts(b, "***");
        len -= (size_t)(found - text) + n;
        text = found + n;
    }
    dlm_buf_add(b, text, len);
}

static void sort(struct dlm_hide *h)
{
    if (!h->sorted && h->n)
        qsort(h->texts, h->n, sizeof(h->texts[0]), by_length);
    h->sorted = true;
}

char *dlm_hide(struct dlm_hide *h, const void *data, size_t len, size_t *ret_len)
{
    struct dlm_buf text = {0};
    char *taken;

    sort(h);
    dlm_buf_add(&text, data, len);
    for (size_t i = 0; i < h->n && !text.failed; i++) {
        struct dlm_buf next = {0};

        if (memmem(text.data, text.len, h->texts[i], strlen(h->texts[i]))) {
            replace(text.data, text.len, h->texts[i], &next);
            dlm_buf_free(&text);
            text = next;
        }
    }
    *ret_len = text.len;
    taken = h->failed ? NULL : dlm_buf_take(&text);
    dlm_buf_free(&text);
    return taken;
}

void dlm_hide_clear(struct dlm_hide *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->texts[i]);
    free(h->texts);
    *h = (struct dlm_hide){0};
}
