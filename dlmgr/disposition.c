/* SPDX-License-Identifier: MIT */
/*
 * disposition.c - the file name in a Content-Disposition field (RFC 6266, RFC 8187).
 *
 *     attachment; filename="plain name.txt"; filename*=UTF-8''%e2%82%ac%20rates
 *
 * filename* wins when it can be decoded, wherever it stands; of two equal parameters the first counts. Servers
 * are taken as they are: the type may be anything or missing, values may be unquoted with spaces in
 * them, a quote may stay open. A plain filename is UTF-8, and Latin-1 when it cannot be UTF-8. Percent signs in
 * it mean themselves. What comes out went through dlm_name_safe().
 */
#include "dlmgr/names.h"

#include <strings.h>

#define VALUE_MAX 4096 /* a longer value names nothing */

struct value {
    char text[VALUE_MAX];
    size_t len;
    bool found;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* The inside of a quoted string that begins at p; returns what follows it. */
static const char *read_quoted(const char *p, const char *end, struct value *v)
{
    for (p++; p < end && *p != '"'; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        if (v->len < VALUE_MAX)
            v->text[v->len] = *p;
        v->len++;
    }
    while (p < end && *p != ';')
        p++;
    return p;
}

static const char *read_bare(const char *p, const char *end, struct value *v)
{
    const char *stop = memchr(p, ';', (size_t)(end - p)), *last;

    stop = stop ? stop : end;
    for (last = stop; last > p && is_space(last[-1]);)
        last--;
    v->len = (size_t)(last - p);
    memcpy(v->text, p, MIN(v->len, VALUE_MAX));
    return stop;
}

static bool word_is(const char *word, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(word, name, len) == 0;
}

/* The parameter at p, which may also be the type; returns what follows it, at a ';' or the end. */
static const char *read_parameter(const char *p, const char *end, struct value *plain,
                                  struct value *extended)
{
    struct value other, *v = &other;
    const char *name = p;
    size_t len;

    while (p < end && *p != '=' && *p != ';')
        p++;
    for (len = (size_t)(p - name); len > 0 && is_space(name[len - 1]);)
        len--;
    if (p == end || *p == ';')
        return p;
    for (p++; p < end && is_space(*p);)
        p++;
    if (word_is(name, len, "filename") && !plain->found)
        v = plain;
    else if (word_is(name, len, "filename*") && !extended->found)
        v = extended;
    v->len = 0;
    p = p < end && *p == '"' ? read_quoted(p, end, v) : read_bare(p, end, v);
    v->found = v->len > 0 && v->len <= VALUE_MAX;
    return p;
}

static void use_latin1(const char *raw, size_t len, char out[DLM_NAME_SIZE])
{
    char text[2 * VALUE_MAX];
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)raw[i];

        if (c < 0x80) {
            text[n++] = (char)c;
        } else {
            text[n++] = (char)(0xc0 | c >> 6);
            text[n++] = (char)(0x80 | (c & 0x3f));
        }
    }
    dlm_name_safe(text, n, out);
}

/* charset'language'percent-encoded; false: not usable. */
static bool use_extended(struct value *v, char out[DLM_NAME_SIZE])
{
    const char *quote = memchr(v->text, '\'', v->len), *second;
    size_t charset, from, len;
    bool is_utf8, clean;

    if (!quote)
        return false;
    charset = (size_t)(quote - v->text);
    second = memchr(quote + 1, '\'', v->len - charset - 1);
    if (!second)
        return false;
    from = (size_t)(second + 1 - v->text);
    is_utf8 = word_is(v->text, charset, "utf-8");
    if (!is_utf8 && !word_is(v->text, charset, "iso-8859-1"))
        return false;
    len = dlm_percent_decode(v->text + from, v->len - from, &clean);
    if (!clean || len == 0)
        return false;
    if (is_utf8)
        dlm_name_safe(v->text + from, len, out);
    else
        use_latin1(v->text + from, len, out);
    return true;
}

bool dlm_name_from_disposition(const char *value, size_t len, char out[DLM_NAME_SIZE])
{
    struct value plain = {.found = false}, extended = {.found = false};
    const char *p = value, *end = value + len;

    while (p < end) {
        while (p < end && (is_space(*p) || *p == ';'))
            p++;
        p = read_parameter(p, end, &plain, &extended);
    }
    if (extended.found && use_extended(&extended, out))
        return true;
    if (!plain.found)
        return false;
    if (dlm_is_utf8(plain.text, plain.len))
        dlm_name_safe(plain.text, plain.len, out);
    else
        use_latin1(plain.text, plain.len, out);
    return true;
}
