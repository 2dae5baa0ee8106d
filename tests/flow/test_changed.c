/* SPDX-License-Identifier: MIT */
/*
 * test_changed.c - a resource that changes while it is fetched: the file is one version of it, never a mixture.
 *
 * Each row is a file of which a part arrives, and what the server says from then on. It is played twice: the server cuts the connection and the
 * engine goes on by itself, and the owner goes away in the middle and another one goes on. Bodies are such that one byte of
 * the wrong version shows (fixtures/body.h). Where a row expects a restart there must be an event that says so, and none where there was none.
 *
 * Below the table: segments, mirrors and redirects, where it is not one URL that changes.
 */
#include "tests/lib/house.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE 3000000
#define CUT 1500000
#define EDGE 65536
#define MANY (-1) /* how many restarts does not matter here */

static const struct row {
    const char *what;
    const char *before, *after; /* keys of the server; after may be several steps */
    struct {
        int64_t size;
        struct body body;
    } expect;
    int restarts;
} rows[] = {
    {"nothing changed",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     0},
    {"other bytes, other ETag",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"b\"",
     {SIZE, {.seed = 2}},
     1},
    {"other bytes, other ETag, 206 in spite of If-Range",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"b\" ifrange=ignore",
     {SIZE, {.seed = 2}},
     1},
    {"other bytes, other Last-Modified",
     "size=3000000 seed=1 lastmod=start-9000",
     "size=3000000 seed=2 lastmod=start-5000",
     {SIZE, {.seed = 2}},
     1},
    {"other bytes, other Last-Modified, 206 in spite of If-Range",
     "size=3000000 seed=1 lastmod=start-9000",
     "size=3000000 seed=2 lastmod=start-5000 ifrange=ignore",
     {SIZE, {.seed = 2}},
     1},
    {"the same Last-Modified",
     "size=3000000 seed=1 lastmod=start-9000",
     "size=3000000 seed=1 lastmod=start-9000",
     {SIZE, {.seed = 1}},
     0},
    {"other bytes, a Last-Modified as new as the answer",
     "size=3000000 seed=1 lastmod=start-0 date=start-0",
     "size=3000000 seed=2 lastmod=start-0 date=start-0",
     {SIZE, {.seed = 2}},
     1},
    {"other bytes, the same weak ETag",
     "size=3000000 seed=1 etag=W/\"a\"",
     "size=3000000 seed=2 etag=W/\"a\"",
     {SIZE, {.seed = 2}},
     1},
    {"other bytes, another weak ETag",
     "size=3000000 seed=1 etag=W/\"a\"",
     "size=3000000 seed=2 etag=W/\"b\"",
     {SIZE, {.seed = 2}},
     1},
    {"a weak ETag hides a Last-Modified that is strong",
     "size=3000000 seed=1 etag=W/\"a\" lastmod=start-9000",
     "size=3000000 seed=2 etag=W/\"b\" lastmod=start-9000",
     {SIZE, {.seed = 2}},
     1},
    {"other bytes, no validator", "size=3000000 seed=1", "size=3000000 seed=2", {SIZE, {.seed = 2}}, 1},
    {"the validator went away, 206 in spite of If-Range",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 ifrange=ignore",
     {SIZE, {.seed = 2}},
     MANY},
    {"the first 64 KiB, ETag",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=1 diff=first:65536 seed2=2 etag=\"b\"",
     {SIZE, {1, 2, 0, EDGE}},
     1},
    {"the first 64 KiB, no validator",
     "size=3000000 seed=1",
     "size=3000000 seed=1 diff=first:65536 seed2=2",
     {SIZE, {1, 2, 0, EDGE}},
     1},
    {"the last 64 KiB, ETag",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=1 diff=last:65536 seed2=2 etag=\"b\"",
     {SIZE, {1, 2, SIZE - EDGE, SIZE}},
     1},
    {"the last 64 KiB, Last-Modified, 206 in spite of If-Range",
     "size=3000000 seed=1 lastmod=start-9000",
     "size=3000000 seed=1 diff=last:65536 seed2=2 lastmod=start-5000 ifrange=ignore",
     {SIZE, {1, 2, SIZE - EDGE, SIZE}},
     1},
    {"the last 64 KiB, no validator",
     "size=3000000 seed=1",
     "size=3000000 seed=1 diff=last:65536 seed2=2",
     {SIZE, {1, 2, SIZE - EDGE, SIZE}},
     1},
    {"shorter, ETag",
     "size=3000000 seed=1 etag=\"a\"",
     "size=2000000 seed=2 etag=\"b\"",
     {2000000, {.seed = 2}},
     1},
    {"shorter, the same ETag",
     "size=3000000 seed=1 etag=\"a\"",
     "size=2000000 seed=2 etag=\"a\"",
     {2000000, {.seed = 2}},
     1},
    {"shorter than what is there, 416",
     "size=3000000 seed=1 etag=\"a\"",
     "size=1000000 seed=2 etag=\"a\"",
     {1000000, {.seed = 2}},
     1},
    {"shorter, no validator", "size=3000000 seed=1", "size=1000000 seed=2", {1000000, {.seed = 2}}, 1},
    {"longer, ETag",
     "size=3000000 seed=1 etag=\"a\"",
     "size=4000000 seed=2 etag=\"b\"",
     {4000000, {.seed = 2}},
     1},
    {"longer, the same ETag",
     "size=3000000 seed=1 etag=\"a\"",
     "size=4000000 seed=2 etag=\"a\"",
     {4000000, {.seed = 2}},
     1},
    {"the rest comes in chunks",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=1 etag=\"a\" chunked",
     {SIZE, {.seed = 1}},
     0},
    {"chunks at first, so that nobody knows how long it is",
     "size=3000000 seed=1 etag=\"a\" chunked",
     "size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     0},
    {"chunks at first, then another ETag",
     "size=3000000 seed=1 etag=\"a\" chunked",
     "size=3000000 seed=2 etag=\"b\"",
     {SIZE, {.seed = 2}},
     1},
    {"an ETag appears",
     "size=3000000 seed=1",
     "size=3000000 seed=2 etag=\"a\"",
     {SIZE, {.seed = 2}},
     1},
    {"the range is shorter than what was asked for",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=1 etag=\"a\" short206=1000000 ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     0},
    {"Content-Range does not name the total",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=1 etag=\"a\" cr=bytes%201500000-2999999/*",
     {SIZE, {.seed = 1}},
     0},
    {"Content-Range ends before it begins",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"a\" cr=bytes%201500000-1499999/3000000 ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     MANY},
    {"Content-Range ends beyond the total",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"a\" cr=bytes%201500000-3000000/3000000 ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     MANY},
    {"Content-Range and Content-Length disagree",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"a\" clen=1499999 ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     MANY},
    {"several ranges in one, which nobody asked for",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"a\" type=multipart/byteranges;%20boundary=x ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     MANY},
    {"412 to If-Range",
     "size=3000000 seed=1 etag=\"a\"",
     "status=412 ; size=3000000 seed=2 etag=\"b\"",
     {SIZE, {.seed = 2}},
     1},
    {"a compressed range",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"a\" header=Content-Encoding:%20gzip ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     MANY},
    {"empty now", "size=3000000 seed=1 etag=\"a\"", "size=0 etag=\"b\"", {0, {0}}, 1},
    {"200 to a range, the same ETag",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=1 etag=\"a\" norange",
     {SIZE, {.seed = 1}},
     1},
    {"200 to a range, other bytes",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"b\" norange",
     {SIZE, {.seed = 2}},
     1},
    {"Content-Range is one block off",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"a\" crshift=65536 ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     MANY},
    {"Content-Range is before what was asked for",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"a\" crshift=-65536 ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     MANY},
    {"Content-Range is one byte off, always",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=1 etag=\"a\" crshift=1",
     {SIZE, {.seed = 1}},
     1},
    {"Content-Range names another total",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"a\" crtotal=3000001 ; size=3000000 seed=2 etag=\"b\"",
     {SIZE, {.seed = 2}},
     MANY},
    {"Content-Range is missing",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"a\" cr=none ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     MANY},
    {"Content-Range is no such thing",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"a\" cr=bytes%20x-y/z ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     MANY},
    {"416 without a total",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=2 etag=\"b\" status=416 notal416 ; size=3000000 seed=2 etag=\"b\"",
     {SIZE, {.seed = 2}},
     1},
    {"416 with our total, though a half is missing",
     "size=3000000 seed=1 etag=\"a\"",
     "size=3000000 seed=1 etag=\"a\" status=416 total416=3000000 ; size=3000000 seed=1 etag=\"a\"",
     {SIZE, {.seed = 1}},
     MANY},
};

static void check_end(struct house *h, int64_t id, const struct row *row)
{
    struct house_result r = house_wait(h, id);
    size_t restarts;

    if (!CHECK_STR(dlmgr_state_name(r.state), "done"))
        CHECK_STR(r.text, "");
    if (r.state != DLMGR_DONE)
        return;
    CHECK_INT(fx_file_check_body(r.path, row->expect.size, &row->expect.body, NULL), 0);
    CHECK_INT(house_files(h), 1);
    CHECK_INT(house_parts(h), 0);
    restarts = house_events(h, id, "restarted");
    if (row->restarts != MANY)
        CHECK_INT(restarts, row->restarts);
    CHECK_INT(house_events(h, id, "done"), 1);
    unlink(r.path);
}

static int64_t start(struct house *h, const char *path)
{
    char *url = fx_url(h->fx, "%s", path);
    dlmgr_request request = house_request(h, url);
    int64_t id = house_add(h, &request);

    free(url);
    return id;
}

static void test_the_server_cuts_and_changes(void)
{
    struct house h;

    house_begin(&h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[30];

        test_about("row %zu: %s", i, rows[i].what);
        snprintf(path, sizeof(path), "/row/%zu", i);
        CHECK_INT(fx_script(h.fx, path, "%s cut=%d ; %s", rows[i].before, CUT, rows[i].after), 0);
        check_end(&h, start(&h, path), &rows[i]);
    }
    house_end(&h);
}

static void test_it_changes_while_nobody_owns_the_home(void)
{
    struct house h;

    house_begin(&h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[30];
        int64_t id;

        test_about("row %zu: %s", i, rows[i].what);
        snprintf(path, sizeof(path), "/row/%zu", i);
        CHECK_INT(fx_script(h.fx, path, "%s stall=%d", rows[i].before, CUT), 0);
        id = start(&h, path);
        house_until(&h, id, CUT, DLMGR_FAILED);
        house_close(&h);
        CHECK_INT(fx_script(h.fx, path, "%s", rows[i].after), 0);
        house_open(&h);
        check_end(&h, id, &rows[i]);
    }
    house_end(&h);
}

/* ---- Between segments ---------------------------------------------------------------------------- */

#define LARGE 20971520

static const struct {
    const char *what, *whole, *range; /* steps for requests without and with a range */
    uint64_t seed;
    int restarts;
} segmented[] = {
    {"nothing changed", "seed=1 etag=\"a\"", "seed=1 etag=\"a\"", 1, 0},
    {"200 to the other segments", "seed=1 etag=\"a\" ; whole:seed=2 etag=\"b\"",
     "seed=2 etag=\"b\"", 2, 1},
    {"206 with another ETag", "seed=1 etag=\"a\" ; whole:seed=2 etag=\"b\"",
     "seed=2 etag=\"b\" ifrange=ignore", 2, 1},
    {"206 without the ETag", "seed=1 etag=\"a\" ; whole:seed=2", "seed=2 ifrange=ignore", 2, 1},
    {"only one segment sees it", "seed=1 etag=\"a\" ; whole:seed=2 etag=\"b\"",
     "seed=1 etag=\"a\" times=2 ; range:seed=2 etag=\"b\" ifrange=ignore", 2, 1},
    {"another total", "seed=1 etag=\"a\" ; whole:seed=2 etag=\"a\"",
     "seed=2 etag=\"a\" crtotal=20971521 ; range:seed=2 etag=\"a\"", 2, 1},
    {"an ETag appears", "seed=1", "seed=2 etag=\"a\"", 1, 0},
    {"206 longer than asked for", "seed=1 etag=\"a\"", "seed=1 etag=\"a\" long206=70000", 1, MANY},
    {"206 shorter than asked for", "seed=1 etag=\"a\"",
     "seed=1 etag=\"a\" short206=700000 times=3 ; range:seed=1 etag=\"a\"", 1, 0},
    {"by Last-Modified", "seed=1 lastmod=start-9000 ; whole:seed=2 lastmod=start-5000",
     "seed=2 lastmod=start-5000", 2, 1},
};

static void test_it_changes_between_segments(void)
{
    struct house h;

    house_begin(&h);
    for (size_t i = 0; i < sizeof(segmented) / sizeof(segmented[0]); i++) {
        char *url = fx_url(h.fx, "/seg/%zu", i), *path = strstr(url, "/seg/");
        dlmgr_request request = house_request(&h, url);
        struct row row = {.expect = {LARGE, {.seed = segmented[i].seed}},
                          .restarts = segmented[i].restarts};

        test_about("row %zu: %s", i, segmented[i].what);
        request.connections = 4;
        CHECK_INT(fx_script(h.fx, path, "all:size=%d rate=20000000 ; whole:%s ; range:%s", LARGE,
                            segmented[i].whole, segmented[i].range),
                  0);
        check_end(&h, house_add(&h, &request), &row);
        free(url);
    }
    house_end(&h);
}

/* ---- Between mirrors ------------------------------------------------------------------------------ */

/* The two servers did not begin in the same second. */
#define LONG_AGO "Tue,%2015%20Nov%202022%2012:45:26%20GMT"

static const struct {
    const char *what, *first, *second; /* the first cuts, then has gone */
    bool digest;                       /* of seed 1 */
    uint64_t seed;
    int restarts, combined; /* combined: the second is asked for the rest alone */
} mirrored[] = {
    {"the same strong ETag", "seed=1 etag=\"a\"", "seed=1 etag=\"a\"", false, 1, 0, 1},
    {"other ETags", "seed=1 etag=\"a\"", "seed=2 etag=\"b\"", false, 2, 1, 0},
    {"other ETags, 206 in spite of If-Range", "seed=1 etag=\"a\"",
     "seed=2 etag=\"b\" ifrange=ignore", false, 2, 1, 0},
    {"an ETag on the second alone", "seed=1", "seed=2 etag=\"a\"", false, 2, 1, 0},
    {"an ETag on the first alone", "seed=1 etag=\"a\"", "seed=2 ifrange=ignore", false, 2, 1, 0},
    {"the same weak ETag", "seed=1 etag=W/\"a\"", "seed=2 etag=W/\"a\"", false, 2, 1, 0},
    {"no validators", "seed=1", "seed=2", false, 2, 1, 0},
    {"the same Last-Modified", "seed=1 lastmod=" LONG_AGO, "seed=1 lastmod=" LONG_AGO, false, 1, 0,
     1},
    {"other Last-Modified", "seed=1 lastmod=start-9000", "seed=2 lastmod=start-5000", false, 2, 1, 0},
    {"no validators, a digest", "seed=1", "seed=1", true, 1, 0, 1},
};

static void check_mirrors(struct house *h, size_t i)
{
    char *urls[] = {fx_url(h->fx, "/mirror/%zu", i), fx_url(h->other, "/mirror/%zu", i)};
    const char *mirrors[] = {urls[1], NULL}, *path = strstr(urls[0], "/mirror/");
    dlmgr_request request = house_request(h, urls[0]);
    struct row row = {.expect = {SIZE, {.seed = mirrored[i].seed}},
                      .restarts = mirrored[i].restarts};
    char hex[129], checksum[150];
    struct fx_log log;

    request.mirrors = mirrors;
    if (mirrored[i].digest) {
        CHECK_INT(fx_body_digest("sha256", SIZE, 1, hex), 0);
        snprintf(checksum, sizeof(checksum), "sha-256=%s", hex);
        request.checksum = checksum;
    }
    CHECK_INT(fx_script(h->fx, path, "size=%d %s cut=%d ; drop=rst", SIZE, mirrored[i].first, CUT),
              0);
    CHECK_INT(fx_script(h->other, path, "size=%d %s", SIZE, mirrored[i].second), 0);
    check_end(h, house_add(h, &request), &row);
    CHECK_INT(fx_log_settle(h->other, 5000, &log), 0);
    CHECK_INT(fx_log_bytes(&log, path) < SIZE, mirrored[i].combined);
    fx_log_free(&log);
    free(urls[0]);
    free(urls[1]);
}

static void test_mirrors_are_combined_only_when_they_are_the_same(void)
{
    struct house h;

    house_begin(&h);
    for (size_t i = 0; i < sizeof(mirrored) / sizeof(mirrored[0]); i++) {
        test_about("row %zu: %s", i, mirrored[i].what);
        check_mirrors(&h, i);
    }
    house_end(&h);
}

/* ---- Redirects -------------------------------------------------------------------------------------- */

static const struct {
    const char *what, *link, *one, *two; /* the link's steps, what it led to first, and then */
    int64_t size;
    uint64_t seed;
    int restarts;
} moved[] = {
    {"another file", "location=/one ; location=/two", "seed=1 etag=\"a\" cut=1500000",
     "seed=2 etag=\"b\"", SIZE, 2, 1},
    {"another file, no validators", "location=/one ; location=/two", "seed=1 cut=1500000", "seed=2",
     SIZE, 2, 1},
    {"the same file elsewhere", "location=/one ; location=/two", "seed=1 etag=\"a\" cut=1500000",
     "seed=1 etag=\"a\"", SIZE, 1, 0},
    {"expired between segments, the same file", "location=/one ; location=/two",
     "whole:seed=1 etag=\"a\" rate=20000000 ; range:status=403", "seed=1 etag=\"a\"", LARGE, 1, 0},
    {"expired between segments, another file", "location=/one ; location=/two",
     "whole:seed=1 etag=\"a\" rate=20000000 ; range:status=410", "seed=2 etag=\"b\"", LARGE, 2, 1},
};

static void test_a_redirect_leads_to_another_file(void)
{
    struct house h;

    house_begin(&h);
    for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
        struct row row = {.expect = {moved[i].size, {.seed = moved[i].seed}},
                          .restarts = moved[i].restarts};

        test_about("row %zu: %s", i, moved[i].what);
        CHECK_INT(fx_script(h.fx, "/link", "%s", moved[i].link), 0);
        CHECK_INT(fx_script(h.fx, "/one", "all:size=%lld ; %s", (long long)moved[i].size,
                            moved[i].one),
                  0);
        CHECK_INT(fx_script(h.fx, "/two", "all:size=%lld ; %s", (long long)moved[i].size,
                            moved[i].two),
                  0);
        check_end(&h, start(&h, "/link"), &row);
    }
    house_end(&h);
}

static const struct test tests[] = {
    TEST(test_the_server_cuts_and_changes),
    TEST(test_it_changes_while_nobody_owns_the_home),
    TEST(test_it_changes_between_segments),
    TEST(test_mirrors_are_combined_only_when_they_are_the_same),
    TEST(test_a_redirect_leads_to_another_file),
};

TEST_MAIN("changed", tests)
