/* SPDX-License-Identifier: MIT */
/*
 * fuzz_headers.c - the header of an answer, line by line: what is recorded is within its bounds, and says the same however the lines end.
 */
#include "dlmgr/headers.h"
#include "tests/fuzz/fuzz.h"

#define NOW INT64_C(1767225600000)

/* Hexadecimal, of that length. */
static bool is_hex(const char *text, size_t len)
{
    return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

static void check_texts(const struct dlm_answer *a)
{
    char name[DLM_NAME_SIZE];

    MUST(memchr(a->etag, '\0', sizeof(a->etag)) && !(a->bad_etag && a->etag[0]));
    MUST(!a->etag[0] || a->etag[strlen(a->etag) - 1] == '"');
    MUST(!strpbrk(a->etag, "\r\n \t"));
    MUST(!a->last_modified[0] == (a->last_modified_at == INT64_MIN));
    MUST(!a->digest[0] || (!strncmp(a->digest, "sha-256=", 8) && is_hex(a->digest + 8, 64)) ||
         (!strncmp(a->digest, "sha-512=", 8) && is_hex(a->digest + 8, 128)));
    MUST(!a->location || strlen(a->location) <= DLM_LOCATION_MAX);
    for (const char *c = a->location; c && *c; c++)
        MUST(((unsigned char)*c >= 0x20 || *c == '\t') && *c != 0x7f);
    dlm_name_safe(a->filename, strlen(a->filename), name);
    MUST(!a->filename[0] || !strcmp(a->filename, name));
}

static void check_numbers(const struct dlm_answer *a)
{
    const struct dlm_content_range *r = &a->range;

    MUST(a->status == 0 || (a->status >= 100 && a->status <= 999));
    MUST(a->http_version == 0 || (a->http_version >= 10 && a->http_version <= 99));
    MUST(a->content_length >= -1);
    MUST(!r->valid || r->present);
    MUST(!r->valid || r->unsatisfied ||
         (r->start >= 0 && r->start < r->end && (r->total == -1 || r->end <= r->total)));
    MUST(!r->unsatisfied || !r->valid || r->total >= 0);
    MUST(dlm_answer_retry_after(a) >= -1);
}

static void check_validator(const struct dlm_answer *a)
{
    char v[DLM_VALIDATOR_SIZE];

    dlm_answer_validator(a, v);
    MUST(a->encoded ? !v[0]
                    : !strcmp(v, a->etag) ||
                          (!a->etag[0] && !a->bad_etag && !strcmp(v, a->last_modified)));
    MUST(dlm_validator_same(v, v) && dlm_validator_same(v, "") == !v[0]);
    MUST(!dlm_validator_is_strong(v) || (v[0] && v[0] != 'W') || a->last_modified[0]);
}

/* All but what the line ends themselves count for. */
static void must_be_same(struct dlm_answer *a, struct dlm_answer *b)
{
    MUST(!a->location == !b->location && (!a->location || !strcmp(a->location, b->location)));
    MUST(a->status == b->status && a->complete == b->complete && a->seen == b->seen);
    MUST(a->content_length == b->content_length && a->bad_length == b->bad_length);
    MUST(a->chunked == b->chunked && a->transfer_coded == b->transfer_coded);
    MUST(a->folded == b->folded && a->encoded == b->encoded && a->multipart == b->multipart);
    MUST(a->range.valid == b->range.valid && a->range.start == b->range.start);
    MUST(a->range.end == b->range.end && a->range.total == b->range.total);
    MUST(!strcmp(a->etag, b->etag) && a->bad_etag == b->bad_etag);
    MUST(!strcmp(a->filename, b->filename) && !strcmp(a->digest, b->digest));
    MUST(a->retry_after_s == b->retry_after_s && a->retry_after_at == b->retry_after_at);
}

/* false: the flood was stopped. */
static bool feed(struct dlm_answer *a, const uint8_t *data, size_t size, const char *ending)
{
    struct bytes b = {data, size}, line;
    struct dlm_buf text = {0};
    int r = 0;

    while (r == 0 && next_line(&b, &line)) {
        text.len = 0;
        dlm_buf_add(&text, line.at, line.left);
        dlm_buf_puts(&text, ending);
        r = dlm_answer_line(a, text.data, text.len);
        MUST(r == 0 || r == DLMGR_ELIMIT);
        MUST(r == 0 || (int64_t)a->lines > a->most_lines || (int64_t)a->bytes > a->most_bytes);
    }
    dlm_buf_free(&text);
    return r == 0;
}

/* What comes behind the blank line changes nothing but the counts. */
static void check_trailers(struct dlm_answer *a)
{
    static const char *const trailers[] = {"ETag: \"other\"\r\n", "Content-Length: 7\r\n",
                                           "Location: /elsewhere\r\n", "\r\n", " folded\r\n"};
    struct dlm_answer before = *a;

    for (size_t i = 0; i < ARRAY_SIZE(trailers); i++)
        MUST(dlm_answer_line(a, trailers[i], strlen(trailers[i])) == 0);
    must_be_same(a, &before);
}

FUZZ(headers)
{
    CLEANUP(dlm_answer_clear) struct dlm_answer a = {0}, again = {0};

    dlm_answer_reset(&a, NOW, NULL);
    dlm_answer_reset(&again, NOW, NULL);
    if (feed(&a, data, size, "\r\n") && feed(&again, data, size, ""))
        must_be_same(&a, &again);
    check_texts(&a);
    check_numbers(&a);
    check_validator(&a);
    if (a.complete && (int64_t)a.lines < a.most_lines - 10 && (int64_t)a.bytes < a.most_bytes - 200)
        check_trailers(&a);
    dlm_answer_reset(&a, NOW, NULL);
    dlm_answer_reset(&again, NOW, NULL);
    MUST(a.lines == 0 && !a.location && !a.seen && !a.etag[0]);
    must_be_same(&a, &again);
}
