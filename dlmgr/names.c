/* SPDX-License-Identifier: MIT */
/*
 * names.c - safe names, and names made from names: see names.h.
 *
 * Making a name safe goes in one direction, so that nothing removed can bring something back: first only the
 * last path component counts, then characters are dropped or replaced one by one, then the ends are trimmed, then the
 * length is cut. A dropped character may join what stood around it (`.<ZWSP>.` becomes `..`): that is why
 * leading dots are looked at after it, and separators are gone before it.
 *
 * Control and formatting characters are dropped, bytes that are no UTF-8 become `_`. The caller's own names may
 * hold any byte; they are only ever cut, and not inside a character.
 */
#include "dlmgr/names.h"

#include <limits.h>
#include <stdio.h>

#define SUFFIX_MAX 32
#define RAW_MAX 4096 /* of a longer raw name the middle is left out before anything else */

/* Formatting, bidi and zero-width characters, and controls, in order. */
static const struct {
    uint32_t first, last;
} dropped[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},       {0xad, 0xad},       {0x34f, 0x34f},     {0x61c, 0x61c},
    {0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},
    {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},
    {0xfffe, 0xffff}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool is_dropped(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
        if (c >= dropped[i].first && c <= dropped[i].last)
            return true;
    return false;
}

/* Length of the UTF-8 character at s, 0 when it is none (RFC 3629: no overlong forms, no surrogates). */
static size_t decode_utf8(const char *s, size_t len, uint32_t *ret_c)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)s[0];
    size_t n = first < 0x80   ? 1
               : first < 0xc2 ? 0
               : first < 0xe0 ? 2
               : first < 0xf0 ? 3
               : first < 0xf5 ? 4
                              : 0;
    uint32_t c = n == 1 ? first : first & (0x7fu >> n);

    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | ((unsigned char)s[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret_c = c;
    return n;
}

bool dlm_is_utf8(const char *text, size_t len)
{
    size_t step;
    uint32_t c;

    for (size_t i = 0; i < len; i += step) {
        step = decode_utf8(text + i, len - i, &c);
        if (step == 0)
            return false;
    }
    return true;
}

/* Bytes of s to keep so that at most `room` remain and no character is cut. */
static size_t cut_length(const char *s, size_t len, size_t room)
{
    size_t n = MIN(len, room);

    for (int back = 0; n < len && back < 3 && ((unsigned char)s[n] & 0xc0) == 0x80; back++)
        n--;
    return n;
}

/* Where the suffix begins: ".ext" or ".tar.ext"; len when there is none. */
static size_t suffix_start(const char *name, size_t len)
{
    const char *dot = memrchr(name, '.', len);
    size_t at = dot ? (size_t)(dot - name) : 0;

    if (at == 0 || at + 1 == len || len - at > SUFFIX_MAX)
        return len;
    if (at > 4 && strncmp(name + at - 4, ".tar", 4) == 0)
        at -= 4;
    return at;
}

/* stem + insert + suffix, the stem cut so that it fits. */
static void fit(const char *name, size_t len, const char *insert, char out[DLM_NAME_SIZE])
{
    size_t suffix = suffix_start(name, len);
    size_t stem = cut_length(name, suffix, DLM_NAME_MAX - strlen(insert) - (len - suffix));

    snprintf(out, DLM_NAME_SIZE, "%.*s%s%.*s", (int)stem, name, insert, (int)(len - suffix),
             name + suffix);
}

/* Of a very long text the two ends; returns the new length. */
static size_t shorten(const char *text, size_t len, char out[RAW_MAX])
{
    size_t tail = RAW_MAX / 2;

    if (len <= RAW_MAX) {
        memcpy(out, text, len);
        return len;
    }
    memcpy(out, text, RAW_MAX - tail);
    memcpy(out + RAW_MAX - tail, text + len - tail, tail);
    return RAW_MAX;
}

static size_t clean(const char *raw, size_t len, char out[RAW_MAX])
{
    size_t n = 0, step;

    for (size_t i = 0; i < len; i += MAX(step, 1)) {
        uint32_t c = 0;

        step = decode_utf8(raw + i, len - i, &c);
        if (step == 0)
            out[n++] = '_';
        else if (!is_dropped(c))
            for (size_t k = 0; k < step; k++)
                out[n++] = raw[i + k];
    }
    return n;
}

void dlm_name_safe(const char *raw, size_t len, char out[DLM_NAME_SIZE])
{
    char text[RAW_MAX], name[RAW_MAX];
    const char *p = name;
    size_t n;

    for (size_t i = len; i > 0; i--) {
        if (raw[i - 1] == '/' || raw[i - 1] == '\\') {
            raw += i;
            len -= i;
            break;
        }
    }
    n = clean(text, shorten(raw, len, text), name);
    for (; n > 0 && (*p == '.' || *p == ' '); n--)
        p++;
    while (n > 0 && p[n - 1] == ' ')
        n--;
    if (n == 0)
        snprintf(out, DLM_NAME_SIZE, "%s", DLM_NAME_FALLBACK);
    else
        fit(p, n, "", out);
    for (n = strlen(out); out[n - 1] == ' '; n--) /* where it was cut there may have been one */
        out[n - 1] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t dlm_percent_decode(char *text, size_t len, bool *ret_clean)
{
    bool is_clean = true;
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int high = i + 2 < len && text[i] == '%' ? hex_value(text[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text[i + 2]) : -1;

        is_clean = is_clean && (low >= 0 || text[i] != '%');
        text[n++] = low >= 0 ? (char)(high << 4 | low) : text[i];
        i += low >= 0 ? 2 : 0;
    }
    if (ret_clean)
        *ret_clean = is_clean;
    return n;
}

void dlm_name_from_url(const char *url, char out[DLM_NAME_SIZE])
{
    char text[RAW_MAX];
    const char *host = strstr(url, "://"), *path, *slash;
    size_t len;

    host = host ? host + 3 : url;
    path = host + strcspn(host, "/?#");
    len = strcspn(path, "?#");
    slash = memrchr(path, '/', len);
    if (slash) {
        len -= (size_t)(slash + 1 - path);
        path = slash + 1;
    }
    len = shorten(path, len, text);
    dlm_name_safe(text, dlm_percent_decode(text, len, NULL), out);
}

void dlm_name_numbered(const char *name, int n, char out[DLM_NAME_SIZE])
{
    char insert[16] = "";

    if (n > 0)
        snprintf(insert, sizeof(insert), ".%d", n);
    fit(name, strlen(name), insert, out);
}

void dlm_name_part(const char *name, int64_t id, const char tag[5], char out[DLM_NAME_SIZE])
{
    char tail[48];
    size_t keep;

    snprintf(tail, sizeof(tail), ".%lld-%.4s.part", (long long)id, tag);
    keep = cut_length(name, strlen(name), DLM_NAME_MAX - strlen(tail));
    snprintf(out, DLM_NAME_SIZE, "%.*s%s", (int)keep, name, tail);
}

/* What is wrong with one component; NULL: nothing. */
static const char *component_fault(const char *name, size_t len)
{
    if (len == 0)
        return "an empty component";
    if (len > DLM_NAME_MAX)
        return "a component of more than 255 bytes";
    if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
        return len == 1 ? "a component \".\"" : "a component \"..\"";
    return NULL;
}

int dlm_name_out_ok(const char *out, dlmgr_error *e)
{
    const char *p = out, *fault = NULL;

    if (!out[0])
        return dlm_fail(e, DLMGR_EINVAL, "the output name is empty");
    if (out[0] == '/')
        return dlm_fail(e, DLMGR_EINVAL,
                        "bad output name \"%.200s\": it must be relative to the directory", out);
    if (strlen(out) >= PATH_MAX)
        return dlm_fail(e, DLMGR_EINVAL, "bad output name \"%.200s...\": it is too long", out);
    for (const char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return dlm_fail(e, DLMGR_EINVAL, "bad output name: it holds a control character");
    for (;;) {
        size_t len = strcspn(p, "/");

        fault = component_fault(p, len);
        if (fault || !p[len])
            break;
        p += len + 1;
    }
    if (fault)
        return dlm_fail(e, DLMGR_EINVAL, "bad output name \"%.200s\": it has %s", out, fault);
    return 0;
}
