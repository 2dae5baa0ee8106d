/* SPDX-License-Identifier: MIT */
/*
 * json.c - members of a JSON object as text, for the bodies of events.
 *
 * An event is written with each end of a task, ten thousand a second when files are small, so its body is
 * put together in one growing text and no tree is built. Bytes that are not UTF-8 become {"base64": ...}:
 * a path may hold any bytes, and an app's own data too. A NUL byte counts as such, since many readers
 * stop there.
 */
#include "store/internal.h"

/* Length of the valid UTF-8 sequence at p, or 0: no overlong forms, no surrogates, nothing over U+10FFFF. */
static size_t sequence(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

    if (p[0] == 0 || (p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static bool is_text(const unsigned char *p, size_t len)
{
    size_t n;

    for (; len > 0; p += n, len -= n)
        if (!(n = sequence(p, len)))
            return false;
    return true;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

static void add_string(struct dlm_buf *b, const unsigned char *p, size_t len)
{
    dlm_buf_puts(b, "\"");
    while (len > 0) {
        size_t n = 0;

        while (n < len && is_plain(p[n]))
            n++;
        dlm_buf_add(b, p, n);
        if (n < len) {
            dlm_buf_printf(b, p[n] == '"' || p[n] == '\\' ? "\\%c" : "\\u%04x", p[n]);
            n++;
        }
        p += n;
        len -= n;
    }
    dlm_buf_puts(b, "\"");
}

static void add_base64(struct dlm_buf *b, const unsigned char *p, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    dlm_buf_puts(b, "{\"base64\": \"");
    for (size_t i = 0; i < len; i += 3) {
        size_t n = MIN(len - i, (size_t)3);
        unsigned v = (unsigned)p[i] << 16 | (n > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                     (n > 2 ? (unsigned)p[i + 2] : 0);
        char out[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
                       n > 2 ? digits[v & 63] : '='};

        dlm_buf_add(b, out, 4);
    }
    dlm_buf_puts(b, "\"}");
}

void dlm_json_name(struct dlm_buf *b, const char *name)
{
    if (b->len && b->data[b->len - 1] != '{')
        dlm_buf_puts(b, ", ");
    dlm_buf_puts(b, "\"");
    dlm_buf_puts(b, name);
    dlm_buf_puts(b, "\": ");
}

void dlm_json_bytes(struct dlm_buf *b, const char *name, const void *data, size_t len)
{
    dlm_json_name(b, name);
    if (!data)
        dlm_buf_puts(b, "null");
    else if (is_text(data, len))
        add_string(b, data, len);
    else
        add_base64(b, data, len);
}

void dlm_json_text(struct dlm_buf *b, const char *name, const char *text)
{
    dlm_json_bytes(b, name, text, text ? strlen(text) : 0);
}

void dlm_json_long(struct dlm_buf *b, const char *name, int64_t value, int64_t unknown)
{
    dlm_json_name(b, name);
    if (value == unknown)
        dlm_buf_puts(b, "null");
    else
        dlm_buf_printf(b, "%lld", (long long)value);
}

void dlm_json_raw(struct dlm_buf *b, const char *name, const char *json)
{
    dlm_json_name(b, name);
    dlm_buf_puts(b, json ? json : "null");
}
