/* SPDX-License-Identifier: MIT */
/*
 * headerfields.c - what each field of an answer says: see headers.h.
 *
 * Each field that we care about is a row of the table at the end, with a function that records what its value says; all
 * others are dropped. The functions are strict where a lie could mix two files (lengths, ranges, validators: exact
 * grammar, and two different values are as good as none) and lenient where only comfort is at stake (names, waits).
 * `again` says that the block had this field before. Nothing here decides: "invalid" is recorded, and verdict.c
 * says what follows from it.
 */
#include "dlmgr/headerfields.h"

#include <openssl/evp.h>
#include <strings.h>

#define RETRY_AFTER_MAX_S 1000000000 /* more is the same as for ever */

bool dlm_text_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct dlm_text dlm_text_trim(const char *at, size_t len)
{
    while (len > 0 && dlm_text_blank(at[0])) {
        at++;
        len--;
    }
    while (len > 0 && dlm_text_blank(at[len - 1]))
        len--;
    return (struct dlm_text){at, len};
}

bool dlm_text_is(struct dlm_text t, const char *word)
{
    return t.len == strlen(word) && strncasecmp(t.at, word, t.len) == 0;
}

/* The next element of a comma-separated list; false at its end. */
static bool next_element(struct dlm_text *rest, struct dlm_text *ret)
{
    const char *comma;

    if (!rest->at)
        return false;
    comma = memchr(rest->at, ',', rest->len);
    *ret = dlm_text_trim(rest->at, comma ? (size_t)(comma - rest->at) : rest->len);
    if (comma)
        *rest = (struct dlm_text){comma + 1, rest->len - (size_t)(comma + 1 - rest->at)};
    else
        rest->at = NULL;
    return true;
}

/* Digits alone, at most 2^63 - 1; -1 otherwise. */
int64_t dlm_text_number(struct dlm_text t)
{
    int64_t n = 0;

    for (size_t i = 0; i < t.len; i++) {
        int digit = t.at[i] - '0';

        if (digit < 0 || digit > 9 || n > (INT64_MAX - digit) / 10)
            return -1;
        n = n * 10 + digit;
    }
    return t.len ? n : -1;
}

static bool is_digits(struct dlm_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.at[i] < '0' || t.at[i] > '9')
            return false;
    return true;
}

static bool has_control(struct dlm_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (((unsigned char)t.at[i] < 0x20 && t.at[i] != '\t') || t.at[i] == 0x7f)
            return true;
    return false;
}

static void on_content_length(struct dlm_answer *a, struct dlm_text value, bool again)
{
    struct dlm_text element;

    (void)again;
    while (next_element(&value, &element)) {
        int64_t n = dlm_text_number(element);

        if (n < 0 || (a->content_length >= 0 && a->content_length != n))
            a->bad_length = true;
        a->content_length = n;
    }
}

static void on_transfer_encoding(struct dlm_answer *a, struct dlm_text value, bool again)
{
    struct dlm_text element;

    (void)again;
    while (next_element(&value, &element)) {
        if (!dlm_text_is(element, "chunked") || a->chunked)
            a->transfer_coded = true;
        else
            a->chunked = true;
    }
}

static void on_content_encoding(struct dlm_answer *a, struct dlm_text value, bool again)
{
    struct dlm_text element;

    (void)again;
    while (next_element(&value, &element))
        if (element.len && !dlm_text_is(element, "identity"))
            a->encoded = true;
}

/* "bytes 0-99/1000", "bytes 0-99/ *", "bytes * /1000" without the spaces. */
static void on_content_range(struct dlm_answer *a, struct dlm_text value, bool again)
{
    struct dlm_content_range r = {.present = true, .total = -1};
    const char *slash = memchr(value.at, '/', value.len), *dash;
    struct dlm_text range, total;
    int64_t last;

    if (slash && value.len > 6 && strncasecmp(value.at, "bytes ", 6) == 0) {
        range = dlm_text_trim(value.at + 6, (size_t)(slash - value.at) - 6);
        total = (struct dlm_text){slash + 1, value.len - (size_t)(slash + 1 - value.at)};
        r.total = dlm_text_number(total);
        dash = memchr(range.at, '-', range.len);
        if (dlm_text_is(range, "*")) {
            r.unsatisfied = r.valid = r.total >= 0;
        } else if (dash) {
            r.start = dlm_text_number((struct dlm_text){range.at, (size_t)(dash - range.at)});
            last = dlm_text_number(
                (struct dlm_text){dash + 1, range.len - (size_t)(dash + 1 - range.at)});
            r.end = last < INT64_MAX ? last + 1 : -1;
            r.valid = r.start >= 0 && r.end > r.start &&
                      (r.total >= 0 ? r.end <= r.total : dlm_text_is(total, "*"));
        }
    }
    if (again && (r.valid != a->range.valid || r.unsatisfied != a->range.unsatisfied ||
                  r.start != a->range.start || r.end != a->range.end || r.total != a->range.total))
        r = (struct dlm_content_range){.present = true, .start = -1, .end = -1, .total = -1};
    a->range = r;
}

static bool is_etag(struct dlm_text t)
{
    if (t.len > 2 && memcmp(t.at, "W/", 2) == 0)
        t = (struct dlm_text){t.at + 2, t.len - 2};
    if (t.len < 2 || t.at[0] != '"' || t.at[t.len - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < t.len; i++)
        if ((unsigned char)t.at[i] <= 0x20 || t.at[i] == '"' || t.at[i] == 0x7f)
            return false;
    return true;
}

/* Is it what the first field of the name said? */
static bool same_text(const char *first, struct dlm_text t)
{
    return strlen(first) == t.len && memcmp(first, t.at, t.len) == 0;
}

static void on_etag(struct dlm_answer *a, struct dlm_text value, bool again)
{
    if (again && same_text(a->etag, value))
        return;
    a->bad_etag = again || value.len >= DLM_VALIDATOR_SIZE || !is_etag(value);
    a->etag[0] = '\0';
    if (!a->bad_etag) {
        memcpy(a->etag, value.at, value.len);
        a->etag[value.len] = '\0';
    }
}

static void on_last_modified(struct dlm_answer *a, struct dlm_text value, bool again)
{
    if (again && same_text(a->last_modified, value))
        return;
    a->last_modified[0] = '\0';
    a->last_modified_at = INT64_MIN;
    if (!again && dlm_http_date(value.at, value.len, a->now, &a->last_modified_at)) {
        memcpy(a->last_modified, value.at, value.len); /* a date is short */
        a->last_modified[value.len] = '\0';
    }
}

static void on_date(struct dlm_answer *a, struct dlm_text value, bool again)
{
    int64_t at = INT64_MIN;

    dlm_http_date(value.at, value.len, a->now, &at);
    a->date_at = again && at != a->date_at ? INT64_MIN : at;
}

static void on_retry_after(struct dlm_answer *a, struct dlm_text value, bool again)
{
    int64_t n = dlm_text_number(value);

    (void)again;
    if (n < 0 && value.len > 18 && is_digits(value))
        n = RETRY_AFTER_MAX_S;
    if (n >= 0)
        a->retry_after_s = MIN(n, RETRY_AFTER_MAX_S);
    else
        dlm_http_date(value.at, value.len, a->now, &a->retry_after_at);
}

static void on_location(struct dlm_answer *a, struct dlm_text value, bool again)
{
    if (again && a->location && value.len == strlen(a->location) &&
        !memcmp(value.at, a->location, value.len))
        return;
    if (again)
        a->bad_location = "two targets that differ";
    else if (value.len > DLM_LOCATION_MAX)
        a->bad_location = "a target longer than location allows (8192)";
    else if (has_control(value))
        a->bad_location = "a target with control characters";
    if (a->bad_location) {
        free(TAKE_PTR(a->location));
        return;
    }
    a->location = dlm_strndup(value.at, value.len);
    a->no_memory = !a->location;
}

static void on_content_disposition(struct dlm_answer *a, struct dlm_text value, bool again)
{
    (void)again;
    if (!a->filename[0])
        dlm_name_from_disposition(value.at, value.len, a->filename);
}

static void on_content_type(struct dlm_answer *a, struct dlm_text value, bool again)
{
    const char *stop = memchr(value.at, ';', value.len);

    (void)again;
    if (dlm_text_is(dlm_text_trim(value.at, stop ? (size_t)(stop - value.at) : value.len),
                    "multipart/byteranges"))
        a->multipart = true;
}

static void on_accept_ranges(struct dlm_answer *a, struct dlm_text value, bool again)
{
    (void)again;
    a->no_ranges = dlm_text_is(value, "none");
}

static void on_www_authenticate(struct dlm_answer *a, struct dlm_text value, bool again)
{
    (void)value;
    (void)again;
    a->www_authenticate = true;
}

/* key=:BASE64: of the right length, as "name=HEX"; false: not this key, or malformed. */
static bool read_digest(struct dlm_text member, const char *name, size_t size,
                        char out[DLM_DIGEST_SIZE])
{
    unsigned char raw[96];
    size_t key = strlen(name), len = (size + 2) / 3 * 4; /* of the base64 */
    char text[92];
    int n;

    if (member.len < key + 3 + len || strncasecmp(member.at, name, key) != 0)
        return false;
    if (member.at[key] != '=' || member.at[key + 1] != ':' || member.at[key + 2 + len] != ':')
        return false;
    memcpy(text, member.at + key + 2, len);
    n = EVP_DecodeBlock(raw, (const unsigned char *)text, (int)len);
    if (n < 0 || (size_t)n - (text[len - 1] == '=') - (text[len - 2] == '=') != size)
        return false;
    memcpy(out, name, key);
    out[key] = '=';
    dlm_hex(raw, size, out + key + 1);
    return true;
}

/* One digest is enough to verify: sha-256, because it is faster than sha-512 where the processor helps. */
static void on_repr_digest(struct dlm_answer *a, struct dlm_text value, bool again)
{
    struct dlm_text member;

    (void)again;
    while (next_element(&value, &member)) {
        read_digest(member, "sha-256", 32, a->digest);
        if (!a->digest[0])
            read_digest(member, "sha-512", 64, a->digest);
    }
}

static const struct field {
    const char *name;
    void (*fn)(struct dlm_answer *a, struct dlm_text value, bool again);
} fields[] = {
    {"content-length", on_content_length},
    {"transfer-encoding", on_transfer_encoding},
    {"content-encoding", on_content_encoding},
    {"content-range", on_content_range},
    {"etag", on_etag},
    {"last-modified", on_last_modified},
    {"date", on_date},
    {"retry-after", on_retry_after},
    {"location", on_location},
    {"content-disposition", on_content_disposition},
    {"content-type", on_content_type},
    {"accept-ranges", on_accept_ranges},
    {"www-authenticate", on_www_authenticate},
    {"repr-digest", on_repr_digest},
};

bool dlm_field_read(struct dlm_answer *a, struct dlm_text name, struct dlm_text value)
{
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        if (dlm_text_is(name, fields[i].name)) {
            fields[i].fn(a, value, a->seen & 1u << i);
            a->seen |= 1u << i;
            return true;
        }
    }
    return false;
}
