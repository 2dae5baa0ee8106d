/* SPDX-License-Identifier: MIT */
/*
 * text.c - escaping, widths, and numbers for people: see text.h.
 *
 * What is escaped: C0 and C1 controls, DEL, the marks, embeddings, overrides and isolates of the bidi algorithm, line and
 * paragraph separators, the byte order mark, and every byte that is not UTF-8. The width of a character comes from
 * wcwidth(); one that the locale does not know counts as two columns, so that a progress line never wraps.
 */
#include "cli/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

size_t cli_text_decode(const char *text, size_t n, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)text[0];
    size_t len = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2, i;
    uint32_t code = len == 1 ? lead : lead & (0xffu >> (len + 1));

    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || len > n)
        return 0;
    for (i = 1; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];

        if ((byte & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (byte & 0x3f);
    }
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *ret = code;
    return len;
}

bool cli_text_is_utf8(const char *text, size_t n)
{
    uint32_t code;
    size_t at, len;

    for (at = 0; at < n; at += len) {
        len = cli_text_decode(text + at, n - at, &code);
        if (!len)
            return false;
    }
    return true;
}

static bool dangerous(uint32_t code)
{
    static const struct {
        uint32_t from, to;
    } ranges[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0x061c, 0x061c}, {0x200b, 0x200f},
        {0x2028, 0x202e}, {0x2066, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
    };
    size_t i;

    for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (code >= ranges[i].from && code <= ranges[i].to)
            return true;
    return false;
}

char *cli_text_safe(const char *text, char *buf, size_t room)
{
    size_t n = strlen(text), at, len, used = 0;
    uint32_t code = 0;
    char one[12];

    for (at = 0; at < n; at += len) {
        size_t put;

        len = cli_text_decode(text + at, n - at, &code);
        if (!len) {
            len = 1;
            put = (size_t)snprintf(one, sizeof(one), "\\x%02x", (unsigned char)text[at]);
        } else if (dangerous(code)) {
            put = (size_t)snprintf(one, sizeof(one), code < 0x100 ? "\\x%02x" : "\\u%04x", code);
        } else {
            memcpy(one, text + at, len);
            put = len;
        }
        if (used + put + 1 > room)
            break;
        memcpy(buf + used, one, put);
        used += put;
    }
    buf[used] = '\0';
    return buf;
}

static size_t columns_of(uint32_t code)
{
    int width = wcwidth((wchar_t)code);

    return width < 0 ? 2 : (size_t)width;
}

size_t cli_text_width(const char *text)
{
    size_t n = strlen(text), at, len, width = 0;
    uint32_t code = 0;

    for (at = 0; at < n; at += len) {
        len = cli_text_decode(text + at, n - at, &code);
        width += len ? columns_of(code) : 1;
        len = len ? len : 1;
    }
    return width;
}

void cli_text_fit(char *text, size_t columns)
{
    size_t n = strlen(text), dots = columns > 6 ? 3 : 0, at, len, width = 0;
    uint32_t code = 0;

    if (cli_text_width(text) <= columns)
        return;
    for (at = 0; at < n; at += len) {
        size_t add;

        len = cli_text_decode(text + at, n - at, &code);
        add = len ? columns_of(code) : 1;
        len = len ? len : 1;
        if (width + add > columns - dots)
            break;
        width += add;
    }
    /* The dots replace characters that took at least as many bytes as columns. */
    memcpy(text + at, "...", dots);
    text[at + dots] = '\0';
}

char *cli_text_bytes(int64_t bytes, char *buf)
{
    static const char units[] = "BkMGTPE";
    int64_t tenths = bytes > INT64_MAX / 10 ? INT64_MAX : bytes * 10;
    int unit = 0;

    if (bytes < 0)
        return strcpy(buf, "?");
    if (bytes < 1024) {
        snprintf(buf, 16, "%dB", (int)bytes);
        return buf;
    }
    for (; tenths >= 10240; unit++)
        tenths /= 1024;
    if (tenths >= 1000)
        snprintf(buf, 16, "%d%c", (int)(tenths / 10), units[unit]);
    else
        snprintf(buf, 16, "%d.%d%c", (int)(tenths / 10), (int)(tenths % 10), units[unit]);
    return buf;
}

char *cli_text_span(int64_t ms, char *buf)
{
    int64_t s = ms / 1000;

    if (ms < 0)
        return strcpy(buf, "-:--");
    if (s >= 100 * 86400)
        snprintf(buf, 24, "%lldd", (long long)(s / 86400 > 99999 ? 99999 : s / 86400));
    else if (s >= 86400)
        snprintf(buf, 24, "%dd %dh", (int)(s / 86400), (int)(s % 86400 / 3600));
    else if (s >= 3600)
        snprintf(buf, 24, "%d:%02d:%02d", (int)(s / 3600), (int)(s % 3600 / 60), (int)(s % 60));
    else
        snprintf(buf, 24, "%d:%02d", (int)(s / 60), (int)(s % 60));
    return buf;
}

char *cli_text_time(int64_t ms, char *buf)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t used;

    gmtime_r(&seconds, &tm);
    used = strftime(buf, 24, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf + used, 32 - used, ".%03dZ", (int)(ms % 1000));
    return buf;
}

char *cli_text_name(const char *path_or_url, char *buf, size_t room)
{
    const char *host = strstr(path_or_url, "://"), *start = host ? host + 3 : path_or_url, *slash;
    size_t n = host ? strcspn(start, "?#") : strlen(start);

    while (n > 1 && start[n - 1] == '/')
        n--;
    slash = memrchr(start, '/', n);
    if (slash && slash + 1 < start + n) {
        n -= (size_t)(slash + 1 - start);
        start = slash + 1;
    }
    snprintf(buf, room, "%.*s", (int)n, start);
    return buf;
}

char *cli_text_base64(const void *bytes, size_t n, char *buf)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = bytes;
    char *out = buf;

    for (; n; in += 3, n -= n < 3 ? n : 3) {
        uint32_t three = (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0) |
                         (n > 2 ? in[2] : 0);

        *out++ = set[three >> 18];
        *out++ = set[three >> 12 & 63];
        *out++ = n > 1 ? set[three >> 6 & 63] : '=';
        *out++ = n > 2 ? set[three & 63] : '=';
    }
    *out = '\0';
    return buf;
}
