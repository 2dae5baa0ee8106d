/* SPDX-License-Identifier: MIT */
/*
 * headers.c - the lines of an answer's header, and what follows from them all: see headers.h.
 *
 *     status line -> fields -> blank line        (1xx and CONNECT answers: and again)
 *
 * A status line empties the record, but for what belongs to the request: time and the counts against floods.
 * After the blank line only another status line counts, so that trailers change nothing. What a single field
 * means is in headerfields.c. The other direction, which fields a caller may add to a request, is at the end.
 */
#include "dlmgr/headerfields.h"

#include <strings.h>

void dlm_answer_clear(struct dlm_answer *a)
{
    free(a->location);
    a->location = NULL;
}

/* Empty it, but for what belongs to the request. */
static void begin_block(struct dlm_answer *a)
{
    struct dlm_answer fresh = {
        .now = a->now,
        .lines = a->lines,
        .bytes = a->bytes,
        .most_lines = a->most_lines,
        .most_bytes = a->most_bytes,
        .content_length = -1,
        .range = {.total = -1},
        .last_modified_at = INT64_MIN,
        .date_at = INT64_MIN,
        .retry_after_s = -1,
        .retry_after_at = INT64_MIN,
    };

    dlm_answer_clear(a);
    *a = fresh;
}

void dlm_answer_reset(struct dlm_answer *a, int64_t now_ms, const struct dlm_bounds *bounds)
{
    const struct dlm_bounds normal = dlm_bounds_normal();

    bounds = bounds ? bounds : &normal;
    begin_block(a);
    a->now = now_ms;
    a->lines = a->bytes = 0;
    a->most_lines = bounds->of[DLM_BOUND_HEADER_LINES];
    a->most_bytes = bounds->of[DLM_BOUND_HEADER_BYTES];
}

/* "HTTP/1.1 200 OK", "HTTP/2 200"; anything else leaves the status 0. */
static void read_status(struct dlm_answer *a, struct dlm_text line)
{
    struct dlm_text version = {line.at + 5, 0}, code;
    int64_t major, minor = 0;

    while (version.len < line.len - 5 && !dlm_text_blank(version.at[version.len]))
        version.len++;
    major = dlm_text_number((struct dlm_text){version.at, MIN(version.len, 1)});
    if (version.len == 3 && version.at[1] == '.')
        minor = dlm_text_number((struct dlm_text){version.at + 2, 1});
    else if (version.len != 1)
        return;
    code = dlm_text_trim(version.at + version.len, line.len - 5 - version.len);
    if (code.len > 3 && !dlm_text_blank(code.at[3]))
        return;
    code.len = MIN(code.len, 3);
    if (major < 1 || minor < 0 || dlm_text_number(code) < 100)
        return;
    a->http_version = (int)(major * 10 + minor);
    a->status = (int)dlm_text_number(code);
}

static void read_field(struct dlm_answer *a, struct dlm_text line)
{
    const char *colon = memchr(line.at, ':', line.len);
    struct dlm_text name = {line.at, colon ? (size_t)(colon - line.at) : 0};

    a->last_mattered = colon &&
                       dlm_field_read(a, name, dlm_text_trim(colon + 1, line.len - name.len - 1));
}

int dlm_answer_line(struct dlm_answer *a, const char *line, size_t len)
{
    a->lines++;
    a->bytes += len;
    a->flooded = (int64_t)a->lines > a->most_lines || (int64_t)a->bytes > a->most_bytes;
    if (a->flooded)
        return DLMGR_ELIMIT;
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0 && (a->complete || !a->began)) {
        begin_block(a);
        a->began = true;
        read_status(a, (struct dlm_text){line, len});
    } else if (a->complete) {
        return 0;
    } else if (len == 0) {
        a->complete = true;
    } else if (dlm_text_blank(line[0])) {
        a->folded = a->folded || a->last_mattered;
    } else {
        read_field(a, (struct dlm_text){line, len});
    }
    return a->no_memory ? DLMGR_ENOMEM : 0;
}

/* ---- What follows from it ------------------------------------------------------------------- */

int64_t dlm_answer_retry_after(const struct dlm_answer *a)
{
    int64_t base = a->date_at == INT64_MIN ? a->now : a->date_at * 1000;

    if (a->retry_after_s >= 0)
        return a->retry_after_s * 1000;
    if (a->retry_after_at == INT64_MIN)
        return -1;
    return MAX(a->retry_after_at * 1000 - base, 0);
}

void dlm_answer_validator(const struct dlm_answer *a, char out[DLM_VALIDATOR_SIZE])
{
    bool dated = a->last_modified[0] && a->date_at != INT64_MIN && a->date_at > a->last_modified_at;

    out[0] = '\0';
    if (a->encoded)
        return;
    if (a->etag[0])
        memcpy(out, a->etag, sizeof(a->etag));
    else if (!a->bad_etag && dated)
        memcpy(out, a->last_modified, sizeof(a->last_modified));
}

bool dlm_validator_is_strong(const char *validator)
{
    return validator && validator[0] && strncmp(validator, "W/", 2) != 0;
}

bool dlm_validator_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

bool dlm_digest_differs(const char *a, const char *b)
{
    size_t name = a ? strcspn(a, "=") + 1 : 0;

    return a && b && strncmp(a, b, name) == 0 && strcmp(a, b) != 0;
}

/* ---- The caller's own fields ---------------------------------------------------------------- */

/* Said by us alone: they decide which bytes come and how they are framed. */
static const char *const ours[] = {
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
};

int dlm_header_check(const char *text, dlmgr_error *e)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t len = strspn(text, token);
    int shown = (int)MIN(len, 100); /* never the value: it may be a secret */

    if (len == 0 || text[len] != ':')
        return dlm_fail(e, DLMGR_EINVAL, "bad header \"%.*s\": it must be \"Name: value\"", shown,
                        text);
    for (const char *p = text + len; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return dlm_fail(e, DLMGR_EINVAL,
                            "bad header \"%.*s\": its value holds a control character", shown, text);
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        if (dlm_text_is((struct dlm_text){text, len}, ours[i]))
            return dlm_fail(e, DLMGR_EINVAL,
                            "header \"%.*s\" is not for you to set: dlmgr decides it", shown, text);
    return 0;
}
