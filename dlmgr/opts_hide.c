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

struct secrets {
    char **texts;
    size_t n, room;
    bool failed;
};

static void add(struct secrets *s, const char *text, size_t len)
{
    size_t room = s->n == s->room ? 2 * s->room + 16 : s->room;
    char **texts = s->texts;

    if (len < DLM_SECRET_MIN)
        return;
    if (room > s->room)
        texts = dlm_realloc(s->texts, room * sizeof(*texts));
    if (!texts) {
        s->failed = true;
        return;
    }
    s->texts = texts;
    s->room = room;
    texts[s->n] = dlm_strndup(text, len);
    if (texts[s->n])
        s->n++;
    else
        s->failed = true;
}

static void add_both(const char *secret, size_t len, void *context)
{
    CLEANUP_FREE char *plain = dlm_strndup(secret, len);
    struct secrets *s = context;
    size_t n;

    add(s, secret, len);
    if (!plain) {
        s->failed = true;
        return;
    }
    n = dlm_percent_decode(plain, len, NULL);
    if (n != len)
        add(s, plain, n);
}

static void add_text(struct secrets *s, const char *text)
{
    if (text)
        add(s, text, strlen(text));
}

static void add_userinfo(const char *secret, size_t len, void *context)
{
    const char *colon = memchr(secret, ':', len);

    add_both(secret, len, context);
    if (colon)
        add_both(colon + 1, len - (size_t)(colon + 1 - secret), context);
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

/* "Name: value", and what follows the scheme in "Authorization: Bearer value". */
static void add_header(struct secrets *s, const char *line)
{
    const char *value = line + strcspn(line, ":;");
    const char *word;

    if (is_harmless(line, (size_t)(value - line)))
        return;
    value += strspn(value, ":; \t");
    word = strchr(value, ' ');
    add_text(s, value);
    if (word)
        add_text(s, word + 1);
}

static void add_basic(struct secrets *s, const char *user, const char *password)
{
    CLEANUP_BUF struct dlm_buf pair = {0};
    CLEANUP_FREE unsigned char *coded = NULL;

    if (!user || !password)
        return;
    dlm_buf_printf(&pair, "%s:%s", user, password);
    coded = pair.failed ? NULL : dlm_alloc(pair.len / 3 * 4 + 5);
    if (!coded) {
        s->failed = true;
        return;
    }
    EVP_EncodeBlock(coded, (const unsigned char *)pair.data, (int)pair.len);
    add_text(s, (const char *)coded);
}

static int by_length(const void *a, const void *b)
{
    size_t la = strlen(*(char *const *)a), lb = strlen(*(char *const *)b);

    return la < lb ? 1 : la > lb ? -1 : 0;
}

static void collect(const struct dlm_opts *o, struct secrets *s)
{
    const char *const proxies[] = {o->proxy, o->http_proxy, o->https_proxy, o->all_proxy};

    for (size_t i = 0; i < o->n_headers; i++)
        add_header(s, o->headers[i]);
    add_text(s, o->password);
    add_basic(s, o->user, o->password);
    for (size_t i = 0; i < o->n_urls; i++)
        dlm_url_secrets(o->urls[i], add_userinfo, s);
    for (size_t i = 0; i < ARRAY_SIZE(proxies); i++)
        if (proxies[i])
            dlm_url_secrets(proxies[i], add_userinfo, s);
    if (s->n)
        qsort(s->texts, s->n, sizeof(s->texts[0]), by_length);
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

char *dlm_opts_hide(const struct dlm_opts *o, const void *data, size_t len, size_t *ret_len)
{
    struct secrets s = {.n = 0};
    struct dlm_buf text = {0};
    char *taken;

    collect(o, &s);
    dlm_buf_add(&text, data, len);
    for (size_t i = 0; i < s.n; i++) {
        struct dlm_buf next = {0};

        if (!text.failed && memmem(text.data, text.len, s.texts[i], strlen(s.texts[i]))) {
            replace(text.data, text.len, s.texts[i], &next);
            dlm_buf_free(&text);
            text = next;
        }
        free(s.texts[i]);
    }
    free(s.texts);
    *ret_len = text.len;
    taken = s.failed ? NULL : dlm_buf_take(&text);
    dlm_buf_free(&text);
    return taken;
}
