/* SPDX-License-Identifier: MIT */
/*
 * test_headers.c - what an answer's header says: rows of header lines (joined by \n, each handed over in memory of exactly its
 * size) and what is recorded of them.
 */
#include "dlmgr/headers.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <time.h>

#define NOW INT64_C(1767225600000) /* 2026-01-01 00:00:00 */
#define SHA256_HEX "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define SHA256_B64 "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
#define SHA512_B64                                                                                 \
    "m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw=="
#define SHA512_HEX                                                                                 \
    "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8" \
    "c5da0c4663475c2e5c3adef46f73bcdec043"

static int feed_line(struct dlm_answer *a, const char *line, size_t len)
{
    char *exact = malloc(len ? len : 1);
    int rc;

    memcpy(exact, line, len);
    rc = dlm_answer_line(a, exact, len);
    free(exact);
    return rc;
}

static int feed(struct dlm_answer *a, const char *text)
{
    int rc = 0;

    while (*text && rc == 0) {
        size_t len = strcspn(text, "\n");

        rc = feed_line(a, text, len);
        text += len + (text[len] != '\0');
    }
    return rc;
}

/* A 200 with these fields. */
static void answer(struct dlm_answer *a, const char *fields)
{
    dlm_answer_reset(a, NOW, NULL);
    CHECK_INT(feed(a, "HTTP/1.1 200 OK"), 0);
    CHECK_INT(feed(a, fields), 0);
}

static void test_headers_status_line(void)
{
    static const struct {
        const char *line;
        int status, version;
    } rows[] = {
        {"HTTP/1.1 200 OK\r", 200, 11},
        {"HTTP/1.0 404 Not Found", 404, 10},
        {"HTTP/2 206 ", 206, 20},
        {"HTTP/2 206", 206, 20},
        {"HTTP/3 599", 599, 30},
        {"HTTP/1.1  200 OK", 200, 11},
        {"HTTP/1.1 200\tOK", 200, 11},
        {"HTTP/1.1 20", 0, 0},
        {"HTTP/1.1 2000", 0, 0},
        {"HTTP/1.1 abc", 0, 0},
        {"HTTP/1.1 099", 0, 0},
        {"HTTP/1.1", 0, 0},
        {"HTTP/ 200 OK", 0, 0},
        {"HTTP/0.9 200 OK", 0, 0},
        {"HTTP/x.1 200 OK", 0, 0},
        {"HTTP/1.x 200 OK", 0, 0},
        {"HTTP/1,1 200 OK", 0, 0},
        {"HTTP/11 200 OK", 0, 0},
        {"HTTP/", 0, 0},
        {"ICY 200 OK", 0, 0},
        {"HTTP", 0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};

        test_about("%s", rows[i].line);
        dlm_answer_reset(&a, NOW, NULL);
        CHECK_INT(feed(&a, rows[i].line), 0);
        CHECK_INT(a.status, rows[i].status);
        CHECK_INT(a.http_version, rows[i].version);
    }
}

/* A new status line forgets what came before it; what follows the blank line is not looked at. */
static void test_headers_blocks(void)
{
    CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};

    dlm_answer_reset(&a, NOW, NULL);
    CHECK_INT(feed(&a,
                   "HTTP/1.1 103 Early Hints\nETag: \"old\"\nLocation: /x\nContent-Length: 5\n\r"),
              0);
    CU_ASSERT(a.complete);
    CHECK_STR(a.location, "/x");
    CHECK_INT(feed(&a, "HTTP/2 200\ncontent-length: 7\nHTTP/1.1 404 Not: Found"), 0);
    CHECK_INT(a.status, 200);
    CHECK_INT(a.content_length, 7);
    CHECK_INT(a.bad_length, false);
    CHECK_STR(a.etag, "");
    CHECK_STR(a.location, NULL);
    CU_ASSERT(!a.complete);
    CHECK_INT(feed_line(&a, "\r\n", 2), 0);
    CU_ASSERT(a.complete);
    CHECK_INT(feed(&a, "Content-Length: 9\nETag: \"trailer\""), 0);
    CHECK_INT(feed_line(&a, "", 0), 0);
    CHECK_INT(a.content_length, 7);
    CHECK_STR(a.etag, "");
    CHECK_INT(a.lines, 12);
    dlm_answer_reset(&a, NOW, NULL);
    CHECK_INT(a.lines, 0);
    CHECK_INT(a.status, 0);
    CHECK_INT(a.content_length, -1);
}

/* How long the body is, when it can be believed. */
static void test_headers_length(void)
{
    static const struct {
        const char *fields;
        int64_t length;
        bool bad, chunked, coded, encoded;
    } rows[] = {
        {"Content-Length: 0", 0, false, false, false, false},
        {"content-LENGTH:\t 12 \t", 12, false, false, false, false},
        {"Content-Length: 9223372036854775807", INT64_MAX, false, false, false, false},
        {"Content-Length: 00012", 12, false, false, false, false},
        {"Content-Length: 5\nContent-Length: 5", 5, false, false, false, false},
        {"Content-Length: 5, 5", 5, false, false, false, false},
        {"Content-Length: 5\nContent-Length: 6", 6, true, false, false, false},
        {"Content-Length: 5,6", 6, true, false, false, false},
        {"Content-Length: -1", -1, true, false, false, false},
        {"Content-Length: +1", -1, true, false, false, false},
        {"Content-Length: 1x", -1, true, false, false, false},
        {"Content-Length: 1 2", -1, true, false, false, false},
        {"Content-Length:", -1, true, false, false, false},
        {"Content-Length: 9223372036854775808", -1, true, false, false, false},
        {"Content-Length: 99999999999999999999", -1, true, false, false, false},
        {"Content-Length : 5", -1, false, false, false, false},
        {"Content-Length", -1, false, false, false, false},
        {": 5", -1, false, false, false, false},
        {"X-Content-Length: 5", -1, false, false, false, false},
        {"Transfer-Encoding: chunked", -1, false, true, false, false},
        {"Transfer-Encoding: Chunked\nContent-Length: 3", 3, false, true, false, false},
        {"Transfer-Encoding: gzip, chunked", -1, false, true, true, false},
        {"Transfer-Encoding: chunked, chunked", -1, false, true, true, false},
        {"Transfer-Encoding: chunked\nTransfer-Encoding: chunked", -1, false, true, true, false},
        {"Transfer-Encoding: identity", -1, false, false, true, false},
        {"Transfer-Encoding:", -1, false, false, true, false},
        {"Content-Encoding: identity", -1, false, false, false, false},
        {"Content-Encoding:", -1, false, false, false, false},
        {"Content-Encoding: gzip", -1, false, false, false, true},
        {"Content-Encoding: identity, br", -1, false, false, false, true},
        {"Content-Encoding: identity\nContent-Encoding: x", -1, false, false, false, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};

        test_about("%s", rows[i].fields);
        answer(&a, rows[i].fields);
        CHECK_INT(a.content_length, rows[i].length);
        CHECK_INT(a.bad_length, rows[i].bad);
        CHECK_INT(a.chunked, rows[i].chunked);
        CHECK_INT(a.transfer_coded, rows[i].coded);
        CHECK_INT(a.encoded, rows[i].encoded);
    }
}

/* Content-Range by its grammar; start and end count only when it is valid. */
static void test_headers_content_range(void)
{
    static const struct {
        const char *value;
        bool valid, unsatisfied;
        int64_t start, end, total;
    } rows[] = {
        {"bytes 0-99/1000", true, false, 0, 100, 1000},
        {"BYTES 5-5/6", true, false, 5, 6, 6},
        {"bytes  0-99/1000", true, false, 0, 100, 1000},
        {"bytes 0-99/*", true, false, 0, 100, -1},
        {"bytes */1000", true, true, 0, 0, 1000},
        {"bytes */0", true, true, 0, 0, 0},
        {"bytes 0-9223372036854775806/9223372036854775807", true, false, 0, INT64_MAX, INT64_MAX},
        {"bytes 0-9223372036854775807/*", false, false, 0, 0, 0},
        {"bytes 0-1/9223372036854775808", false, false, 0, 0, 0},
        {"bytes */*", false, false, 0, 0, 0},
        {"bytes */x", false, false, 0, 0, 0},
        {"bytes 100-99/1000", false, false, 0, 0, 0},
        {"bytes 900-1000/1000", false, false, 0, 0, 0},
        {"bytes 0-99/", false, false, 0, 0, 0},
        {"bytes 0-99/x", false, false, 0, 0, 0},
        {"bytes 0-99", false, false, 0, 0, 0},
        {"bytes -99/1000", false, false, 0, 0, 0},
        {"bytes 0-/1000", false, false, 0, 0, 0},
        {"bytes -/1000", false, false, 0, 0, 0},
        {"bytes -1-99/1000", false, false, 0, 0, 0},
        {"bytes 99/1000", false, false, 0, 0, 0},
        {"bytes /1000", false, false, 0, 0, 0},
        {"bytes=0-99/1000", false, false, 0, 0, 0},
        {"items 0-99/1000", false, false, 0, 0, 0},
        {"0-99/1000", false, false, 0, 0, 0},
        {"bytes/", false, false, 0, 0, 0},
        {"/", false, false, 0, 0, 0},
        {"", false, false, 0, 0, 0},
        {"bytes 0-99/1000\nContent-Range: bytes 0-99/1000", true, false, 0, 100, 1000},
        {"bytes 0-99/1000\nContent-Range: bytes 1-99/1000", false, false, 0, 0, 0},
        {"bytes 0-99/1000\nContent-Range: bytes 0-98/1000", false, false, 0, 0, 0},
        {"bytes 0-99/1000\nContent-Range: bytes 0-99/1001", false, false, 0, 0, 0},
        {"bytes 0-99/1000\nContent-Range: bytes 0-99/*", false, false, 0, 0, 0},
        {"bytes */1000\nContent-Range: bytes 0-99/1000", false, false, 0, 0, 0},
        {"bytes 0-99/1000\nContent-Range: nonsense", false, false, 0, 0, 0},
        {"bytes 0-9/10\nContent-Range: bytes 1-9/10\nContent-Range: bytes 0-9/10", false, false, 0,
         0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};
        char fields[256];

        snprintf(fields, sizeof(fields), "Content-Range: %s", rows[i].value);
        test_about("%s", fields);
        answer(&a, fields);
        CHECK_INT(a.range.present, true);
        CHECK_INT(a.range.valid, rows[i].valid);
        CHECK_INT(a.range.unsatisfied, rows[i].unsatisfied);
        if (!rows[i].valid)
            continue;
        CHECK_INT(a.range.total, rows[i].total);
        if (!rows[i].unsatisfied) {
            CHECK_INT(a.range.start, rows[i].start);
            CHECK_INT(a.range.end, rows[i].end);
        }
    }
    {
        CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};

        answer(&a, "Content-Length: 1");
        CHECK_INT(a.range.present, false);
    }
}

#define E250                                                                                               \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* The validator: an ETag of either strength, or a strong Last-Modified where there is no ETag at all; "" none. */
static void test_headers_validator(void)
{
    static const struct {
        const char *fields, *want;
        bool strong;
    } rows[] = {
        {"ETag: \"abc\"", "\"abc\"", true},
        {"etag:\"\"", "\"\"", true},
        {"ETag: \"a\xc3\xa9!#~\"", "\"a\xc3\xa9!#~\"", true},
        {"ETag: W/\"abc\"", "W/\"abc\"", false},
        {"ETag: W/\"\"", "W/\"\"", false},
        {"ETag: \"a\"\nETag: \"a\"", "\"a\"", true},
        {"ETag: \"a\"\nContent-Encoding: gzip", "", false},
        {"Content-Encoding: identity\nETag: \"a\"", "\"a\"", true},
        {"ETag: \"a\"\nETag: \"b\"", "", false},
        {"ETag: \"a\"\nETag: W/\"a\"", "", false},
        {"ETag: \"a\"\nETag: \"b\"\nETag: \"a\"", "", false},
        {"ETag: abc", "", false},
        {"ETag: abc\nETag: \"abc\"", "", false},
        {"ETag: \"abc", "", false},
        {"ETag: abc\"", "", false},
        {"ETag: \"", "", false},
        {"ETag: W/", "", false},
        {"ETag: w/\"abc\"", "", false},
        {"ETag: \"a\"b\"", "", false},
        {"ETag: \"a b\"", "", false},
        {"ETag: \"a\x7f\"", "", false},
        {"ETag:", "", false},
        {"ETag: \"" E250 "xxx\"", "\"" E250 "xxx\"", true},
        {"ETag: \"" E250 "xxxx\"", "", false},
        {"Last-Modified: Wed, 31 Dec 2025 23:59:59 GMT\nDate: Thu, 01 Jan 2026 00:00:00 GMT",
         "Wed, 31 Dec 2025 23:59:59 GMT", true},
        {"Date: Thu, 01 Jan 2026 00:00:00 GMT\nLast-Modified: Wed, 31 Dec 2025 00:00:00 GMT",
         "Wed, 31 Dec 2025 00:00:00 GMT", true},
        {"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\nDate: Thu, 01 Jan 2026 00:00:00 GMT", "",
         false},
        {"Last-Modified: Thu, 01 Jan 2026 00:00:01 GMT\nDate: Thu, 01 Jan 2026 00:00:00 GMT", "",
         false},
        {"Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT", "", false},
        {"Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT\nDate: soon", "", false},
        {"Last-Modified: yesterday\nDate: Thu, 01 Jan 2026 00:00:00 GMT", "", false},
        {"Date: Thu, 01 Jan 2026 00:00:00 GMT", "", false},
        {"Date: Thu, 01 Jan 2026 00:00:00 GMT\nLast-Modified: Wed, 31 Dec 2025 00:00:00 GMT\n"
         "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT",
         "Wed, 31 Dec 2025 00:00:00 GMT", true},
        {"Date: Thu, 01 Jan 2026 00:00:00 GMT\nLast-Modified: Wed, 31 Dec 2025 00:00:00 GMT\n"
         "Last-Modified: Wed, 31 Dec 2025 00:00:01 GMT",
         "", false},
        {"Date: Thu, 01 Jan 2026 00:00:00 GMT\nLast-Modified: x\nLast-Modified: Wed, 31 Dec 2025 00:00:01 GMT",
         "", false},
        {"Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT\nDate: Thu, 01 Jan 2026 00:00:00 GMT\n"
         "Date: Thu, 01 Jan 2026 00:00:00 GMT",
         "Wed, 31 Dec 2025 00:00:00 GMT", true},
        {"Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT\nDate: Thu, 01 Jan 2026 00:00:00 GMT\n"
         "Date: Thu, 01 Jan 2026 00:00:01 GMT",
         "", false},
        {"ETag: W/\"a\"\nLast-Modified: Wed, 31 Dec 2025 00:00:00 GMT\nDate: Thu, 01 Jan 2026 00:00:00 GMT",
         "W/\"a\"", false},
        {"ETag: bad\nLast-Modified: Wed, 31 Dec 2025 00:00:00 GMT\nDate: Thu, 01 Jan 2026 00:00:00 GMT",
         "", false},
        {"Content-Length: 1", "", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};
        char out[DLM_VALIDATOR_SIZE] = "untouched";

        test_about("%s", rows[i].fields);
        answer(&a, rows[i].fields);
        dlm_answer_validator(&a, out);
        CHECK_STR(out, rows[i].want);
        CHECK_INT(dlm_validator_is_strong(out), rows[i].strong);
    }
    CHECK_INT(dlm_validator_is_strong(NULL), false);
}

/* Appeared, vanished, weakened: all are differences. */
static void test_headers_validator_same(void)
{
    CHECK_INT(dlm_validator_same("\"a\"", "\"a\""), true);
    CHECK_INT(dlm_validator_same("W/\"a\"", "W/\"a\""), true);
    CHECK_INT(dlm_validator_same("W/\"a\"", "\"a\""), false);
    CHECK_INT(dlm_validator_same("\"a\"", "\"b\""), false);
    CHECK_INT(dlm_validator_same("\"a\"", NULL), false);
    CHECK_INT(dlm_validator_same("", "\"a\""), false);
    CHECK_INT(dlm_validator_same(NULL, ""), true);
    CHECK_INT(dlm_validator_same(NULL, NULL), true);
}

/* Only two of one algorithm can contradict each other. */
static void test_headers_digest_differs(void)
{
    CHECK_INT(dlm_digest_differs("sha-256=ab", "sha-256=ab"), false);
    CHECK_INT(dlm_digest_differs("sha-256=ab", "sha-256=ac"), true);
    CHECK_INT(dlm_digest_differs("sha-256=ab", "sha-512=ac"), false);
    CHECK_INT(dlm_digest_differs("sha-256=ab", ""), false);
    CHECK_INT(dlm_digest_differs("sha-256=ab", NULL), false);
    CHECK_INT(dlm_digest_differs(NULL, "sha-256=ab"), false);
}

/* All three forms, to the second; nothing else is a date. */
static void test_headers_http_date(void)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: not a date */
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Sun Nov 16 08:49:37 1994", 784975777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Tue, 29 Feb 2000 23:59:60 GMT", 951868800},
        {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
        {"Thursday, 01-Jan-76 00:00:00 GMT", 3345062400}, /* 2076: 50 years ahead of 2026 */
        {"Saturday, 01-Jan-77 00:00:00 GMT", 220924800},  /* 1977 */
        {"Monday, 01-Jan-00 00:00:00 GMT", 946684800},
        {"Sun, 29 Feb 2023 00:00:00 GMT", -1},
        {"Thu, 29 Feb 2100 00:00:00 GMT", -1},
        {"Sun, 31 Apr 1994 00:00:00 GMT", -1},
        {"Sun, 00 Nov 1994 00:00:00 GMT", -1},
        {"Sun, 32 Jan 1994 00:00:00 GMT", -1},
        {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
        {"Sun, 06 Nov 1994 00:60:00 GMT", -1},
        {"Sun, 06 Nov 1994 00:00:61 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
        {"Sun, 06 Nov 1994 08:49:37", -1},
        {"Sun, 06 Nov 1994 08:49:37 GM", -1},
        {"sun, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 nov 1994 08:49:37 GMT", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 94 08:49:37 GMT", -1},
        {"Sun, 06-Nov-94 08:49:37 GMT", -1},
        {"Sunday, 06-Nov-1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 8:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 0x:49:37 GMT", -1},
        {"Sun, 06 Nov 19/4 08:49:37 GMT", -1},
        {"Sun Nov 06 08:49:37 1994", 784111777},
        {"Sun Nov   6 08:49:37 1994", -1},
        {"Sun Nov  x 08:49:37 1994", -1},
        {"Sun Nov  6 08:49:37 199", -1},
        {"Sun, 06 No", -1},
        {"Su", -1},
        {"0", -1},
        {"", -1},
        {"1994-11-06T08:49:37Z", -1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t len = strlen(rows[i].text);
        char *exact = malloc(len ? len : 1);
        int64_t seconds = -7;
        bool found;

        memcpy(exact, rows[i].text, len);
        test_about("%s", rows[i].text);
        found = dlm_http_date(exact, len, NOW, &seconds);
        CHECK_INT(found, rows[i].seconds >= 0);
        CHECK_INT(seconds, found ? rows[i].seconds : -7);
        free(exact);
    }
}

/* Every day of 1600 to 2400 as the C library says it, and two-digit years seen from every decade. */
static void test_headers_http_date_against_libc(void)
{
    for (int64_t day = -135140; day < 157055; day += 1) {
        time_t at = (time_t)(day * 86400 + (day & 0xffff));
        struct tm tm;
        char text[64];
        int64_t seconds = 0;

        gmtime_r(&at, &tm);
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        test_about("%s", text);
        CU_ASSERT_FATAL(dlm_http_date(text, strlen(text), NOW, &seconds) && seconds == at);
    }
    for (int year = 1971; year < 2300; year++) {
        int64_t now = ((int64_t)(year - 1970) * 146097 / 400 + 3) * 86400000, seconds;

        for (int ahead = -49; ahead <= 50; ahead++) {
            char text[64], full[64];
            int64_t want;

            snprintf(text, sizeof(text), "Monday, 07-Jun-%02d 00:00:00 GMT", (year + ahead) % 100);
            snprintf(full, sizeof(full), "Mon, 07 Jun %04d 00:00:00 GMT", year + ahead);
            test_about("%s in %d", text, year);
            CU_ASSERT_FATAL(dlm_http_date(full, strlen(full), now, &want));
            CU_ASSERT_FATAL(dlm_http_date(text, strlen(text), now, &seconds) && seconds == want);
        }
    }
}

/* The wait in ms: seconds as they are, a date counted from the server's clock, else from ours. */
static void test_headers_retry_after(void)
{
    static const struct {
        const char *fields;
        int64_t ms;
    } rows[] = {
        {"Content-Length: 0", -1},
        {"Retry-After: 0", 0},
        {"Retry-After: 120", 120000},
        {"Retry-After: 99999999999", 1000000000000},
        {"Retry-After: 99999999999999999999", 1000000000000},
        {"Retry-After: 9999999999999999999x", -1},
        {"Retry-After: -5", -1},
        {"Retry-After:", -1},
        {"Retry-After: soon", -1},
        {"Retry-After: Thu, 01 Jan 2026 00:02:00 GMT", 120000},
        {"Retry-After: Wed, 31 Dec 2025 00:00:00 GMT", 0},
        {"Retry-After: Thu, 01 Jan 2026 00:02:00 GMT\nDate: Thu, 01 Jan 2026 00:01:30 GMT", 30000},
        {"Date: Fri, 02 Jan 2026 00:00:00 GMT\nRetry-After: Fri, 02 Jan 2026 00:00:07 GMT", 7000},
        {"Retry-After: Thu, 01 Jan 2026 00:02:00 GMT\nRetry-After: 3", 3000},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};

        test_about("%s", rows[i].fields);
        answer(&a, rows[i].fields);
        CHECK_INT(dlm_answer_retry_after(&a), rows[i].ms);
    }
}

static void test_headers_location(void)
{
    static const struct {
        const char *fields, *want, *bad;
    } rows[] = {
        {"Location: /a/../b c?d#e", "/a/../b c?d#e", NULL},
        {"Location:", "", NULL},
        {"Location:   http://h/  ", "http://h/", NULL},
        {"Location: /a\nLocation: /a", "/a", NULL},
        {"Location: /a\nLocation: /b", NULL, "two targets that differ"},
        {"Location: /a\nLocation: /ab", NULL, "two targets that differ"},
        {"Location: /a\nLocation: /b\nLocation: /a", NULL, "two targets that differ"},
        {"Location: /a\x01", NULL, "a target with control characters"},
        {"Location: /a\x7f", NULL, "a target with control characters"},
        {"Location: /a\tb", "/a\tb", NULL},
        {"Content-Location: /a", NULL, NULL},
    };
    CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};
    static char line[DLM_LOCATION_MAX + 16];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("%s", rows[i].fields);
        answer(&a, rows[i].fields);
        CHECK_STR(a.location, rows[i].want);
        CHECK_STR(a.bad_location, rows[i].bad);
    }
    memset(line, 'x', sizeof(line));
    memcpy(line, "Location: ", 10);
    answer(&a, "X: y");
    CHECK_INT(feed_line(&a, line, 10 + DLM_LOCATION_MAX + 1), 0);
    CHECK_STR(a.location, NULL);
    CHECK_STR(a.bad_location, "a target longer than location allows (8192)");
    answer(&a, "X: y");
    CHECK_INT(feed_line(&a, line, 10 + DLM_LOCATION_MAX), 0);
    CHECK_INT(a.location ? strlen(a.location) : 0, DLM_LOCATION_MAX);
    answer(&a, "X: y");
    CHECK_INT(feed_line(&a, "Location: /a\0b", 14), 0);
    CHECK_STR(a.location, NULL);
}

static void test_headers_location_out_of_memory(void)
{
    CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};

    answer(&a, "X: y");
    dlm_fault_alloc = 1;
    CHECK_INT(feed(&a, "Location: /a"), DLMGR_ENOMEM);
    dlm_fault_alloc = 0;
    CHECK_INT(feed(&a, "ETag: \"a\""), DLMGR_ENOMEM);
    CHECK_STR(a.location, NULL);
    dlm_answer_reset(&a, NOW, NULL);
    CHECK_INT(feed(&a, "HTTP/1.1 302 Found\nLocation: /a"), 0);
    CHECK_STR(a.location, "/a");
}

/* The smaller facts. */
static void test_headers_flags(void)
{
    static const struct {
        const char *fields, *filename;
        bool multipart, no_ranges, authenticate, folded;
    } rows[] = {
        {"X: y", "", false, false, false, false},
        {"Content-Disposition: attachment; filename=\"../a.txt\"", "a.txt", false, false, false,
         false},
        {"Content-Disposition: inline\nContent-Disposition: x; filename=b\nContent-Disposition: x; filename=c",
         "b", false, false, false, false},
        {"Content-Type: multipart/byteranges; boundary=x", "", true, false, false, false},
        {"Content-Type: Multipart/ByteRanges ;x", "", true, false, false, false},
        {"Content-Type: multipart/byteranges", "", true, false, false, false},
        {"Content-Type: text/multipart/byteranges", "", false, false, false, false},
        {"Content-Type:", "", false, false, false, false},
        {"Accept-Ranges: none", "", false, true, false, false},
        {"Accept-Ranges: bytes", "", false, false, false, false},
        {"WWW-Authenticate: Basic realm=x", "", false, false, true, false},
        {"ETag: \"a\"\n \"b\"", "", false, false, false, true},
        {"ETag: \"a\"\n\tx\nX: y\n z", "", false, false, false, true},
        {"X-Long: a\n b\n\tc\nETag: \"a\"", "", false, false, false, false},
        {"nonsense\n folded", "", false, false, false, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};

        test_about("%s", rows[i].fields);
        answer(&a, rows[i].fields);
        CHECK_STR(a.filename, rows[i].filename);
        CHECK_INT(a.multipart, rows[i].multipart);
        CHECK_INT(a.no_ranges, rows[i].no_ranges);
        CHECK_INT(a.www_authenticate, rows[i].authenticate);
        CHECK_INT(a.folded, rows[i].folded);
    }
}

/* RFC 9530: a digest of the whole, when it is whole itself. */
static void test_headers_repr_digest(void)
{
    static const struct {
        const char *fields, *want;
    } rows[] = {
        {"Repr-Digest: sha-256=:" SHA256_B64 ":", "sha-256=" SHA256_HEX},
        {"repr-digest: SHA-256=:" SHA256_B64 ":;x=y", "sha-256=" SHA256_HEX},
        {"Repr-Digest: sha-512=:" SHA512_B64 ":", "sha-512=" SHA512_HEX},
        {"Repr-Digest: sha-512=:" SHA512_B64 ":, sha-256=:" SHA256_B64 ":", "sha-256=" SHA256_HEX},
        {"Repr-Digest: sha-256=:" SHA256_B64 ":,sha-512=:" SHA512_B64 ":", "sha-256=" SHA256_HEX},
        {"Repr-Digest: md5=:xxxx:\nRepr-Digest: sha-256=:" SHA256_B64 ":", "sha-256=" SHA256_HEX},
        {"Repr-Digest: sha-256=:" SHA256_B64, ""},
        {"Repr-Digest: sha-256=" SHA256_B64 ":", ""},
        {"Repr-Digest: sha-256:" SHA256_B64 "::", ""},
        {"Repr-Digest: sha-256=.." SHA256_B64 ":", ""},
        {"Repr-Digest: sha-256=:" SHA256_B64 "x", ""},
        {"Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmC==:", ""},
        {"Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQx:", ""},
        {"Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHl*fp0JecwQzYpOLmCQ=:", ""},
        {"Repr-Digest: sha-512=:" SHA256_B64 ":", ""},
        {"Repr-Digest: sha-2560=:" SHA256_B64 ":", ""},
        {"Repr-Digest: sha-255=:" SHA256_B64 ":", ""},
        {"Repr-Digest: sha-256=::", ""},
        {"Repr-Digest:", ""},
        {"Content-Digest: sha-256=:" SHA256_B64 ":", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};

        test_about("%s", rows[i].fields);
        answer(&a, rows[i].fields);
        CHECK_STR(a.digest, rows[i].want);
    }
}

/* A thousand lines, or 256 KiB, over all blocks of one request: then it is a flood. Or what the owner's limits say. */
static void test_headers_flood(void)
{
    CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};
    struct dlm_bounds bounds = dlm_bounds_normal();
    static char big[16384];
    int rc = 0, n = 0;

    bounds.of[DLM_BOUND_HEADER_LINES] = 12;
    bounds.of[DLM_BOUND_HEADER_BYTES] = 1024;
    dlm_answer_reset(&a, NOW, &bounds);
    for (n = 0; n < 12; n++)
        CHECK_INT(feed_line(&a, "a", 1), 0);
    CHECK_INT(feed_line(&a, "a", 1), DLMGR_ELIMIT);
    CHECK_INT(a.flooded, true);
    memset(big, 'x', sizeof(big));
    dlm_answer_reset(&a, NOW, &bounds);
    CHECK_INT(feed_line(&a, big, 1024), 0);
    CHECK_INT(a.flooded, false);
    CHECK_INT(feed_line(&a, "", 0), 0);
    CHECK_INT(feed_line(&a, "a", 1), DLMGR_ELIMIT);
    rc = n = 0;

    dlm_answer_reset(&a, NOW, NULL);
    for (; rc == 0; n++)
        rc = feed(&a, n % 2 ? "\r" : "HTTP/1.1 100 Continue");
    CHECK_INT(rc, DLMGR_ELIMIT);
    CHECK_INT(n, 1001);
    memset(big, 'x', sizeof(big));
    dlm_answer_reset(&a, NOW, NULL);
    for (rc = n = 0; rc == 0; n++)
        rc = feed_line(&a, big, sizeof(big));
    CHECK_INT(rc, DLMGR_ELIMIT);
    CHECK_INT(n, 17);
}

/* The caller's own fields: a token, a colon, no control characters, and none of ours. NULL: accepted. */
static void test_headers_check(void)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"X-Api-Key: abc", NULL},
        {"Accept:", NULL},
        {"A:b\tc\xc3\xa9", NULL},
        {"Host: other", NULL},
        {"Ranger: x", NULL},
        {"", "must be"},
        {"abc", "must be"},
        {": x", "must be"},
        {"a b: c", "must be"},
        {"A : b", "must be"},
        {"X: a\r\nY: b", "control"},
        {"X: a\nY: b", "control"},
        {"X: \x7f", "control"},
        {"X\r: y", "must be"},
        {"X: \x01", "control"},
        {"Range: bytes=0-1", "not for you"},
        {"if-range: x", "not for you"},
        {"ACCEPT-ENCODING: gzip", "not for you"},
        {"Content-Length: 5", "not for you"},
        {"Upgrade:", "not for you"},
        {E250, "must be"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        dlmgr_error e = {0};

        test_about("%s", rows[i].text);
        CHECK_INT(dlm_header_check(rows[i].text, &e), rows[i].why ? DLMGR_EINVAL : 0);
        CU_ASSERT(!rows[i].why || strstr(e.text, rows[i].why));
    }
}

/* Random lines out of likely pieces: nothing is read past its end, and a valid range is always sound. */
static void test_headers_random_lines(void)
{
    static const char *const pieces[] = {
        "HTTP/1.1 ",
        "206",
        "\r",
        "Content-Range",
        "Content-Length",
        ": ",
        "bytes ",
        "0-",
        "99",
        "/",
        "*",
        "ETag",
        "\"",
        "W/",
        "Repr-Digest",
        "sha-256=:",
        SHA256_B64,
        ":",
        ",",
        " ",
        "9223372036854775807",
        "Date",
        "Sun, 06 Nov",
        " 1994 08:49:37 GMT",
        "Content-Disposition",
        ";filename=",
        "\xe9",
        "Retry-After",
        "Transfer-Encoding",
        "chunked",
    };
    CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};
    uint64_t seed = 7;

    for (unsigned round = 0; round < 30000; round++) {
        char line[600];
        size_t len = 0;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        for (unsigned n = (unsigned)(seed >> 60); n > 0; n--) {
            const char *piece;

            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            piece = pieces[(seed >> 33) % ARRAY_SIZE(pieces)];
            if (len + strlen(piece) < sizeof(line))
                len += (size_t)sprintf(line + len, "%s", piece);
        }
        if (round % 40 == 0)
            answer(&a, "X: y");
        CU_ASSERT_FATAL(feed_line(&a, line, len) == 0);
        if (a.range.valid && !a.range.unsatisfied)
            CU_ASSERT_FATAL(a.range.start >= 0 && a.range.start < a.range.end &&
                            (a.range.total == -1 || a.range.end <= a.range.total));
    }
}

static const struct test tests[] = {
    TEST(test_headers_status_line),
    TEST(test_headers_blocks),
    TEST(test_headers_length),
    TEST(test_headers_content_range),
    TEST(test_headers_validator),
    TEST(test_headers_validator_same),
    TEST(test_headers_digest_differs),
    TEST(test_headers_http_date),
    TEST(test_headers_http_date_against_libc),
    TEST(test_headers_retry_after),
    TEST(test_headers_location),
    TEST(test_headers_location_out_of_memory),
    TEST(test_headers_flags),
    TEST(test_headers_repr_digest),
    TEST(test_headers_flood),
    TEST(test_headers_check),
    TEST(test_headers_random_lines),
};

TEST_MAIN("headers", tests)
