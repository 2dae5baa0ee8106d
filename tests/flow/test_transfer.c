/* SPDX-License-Identifier: MIT */
/*
 * test_transfer.c - what answers of servers make of a task: done or failed, with which code and class, after how many requests.
 *
 * The first table is answers: each row is a path's script, and how a task that asks for it ends. What needs a second look at the
 * server's log, at the directory or at the clock stands below, a function each. A task that failed must leave nothing in the
 * directory that was not there before, however long the body of the error was.
 */
#include "tests/lib/house.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- Answers ------------------------------------------------------------------------------------ */

enum { ANY_NUMBER = -1 };

/* Ten redirects to URLs that differ. */
#define HOPS                                                                                       \
    "location=/row%3F_=1 ; "                                                                       \
    "location=/row%3F_=2 ; "                                                                       \
    "location=/row%3F_=3 ; "                                                                       \
    "location=/row%3F_=4 ; "                                                                       \
    "location=/row%3F_=5 ; "                                                                       \
    "location=/row%3F_=6 ; "                                                                       \
    "location=/row%3F_=7 ; "                                                                       \
    "location=/row%3F_=8 ; "                                                                       \
    "location=/row%3F_=9 ; "                                                                       \
    "location=/row%3F_=10 ; "

static void three_tries(dlmgr_request *r)
{
    r->max_tries = 3;
    r->retry_wait_ms = 10;
}

static void with_length(dlmgr_request *r)
{
    three_tries(r);
    r->require_length = 1;
}

static void at_most_100k(dlmgr_request *r)
{
    three_tries(r);
    r->max_size = 100000;
}

static void with_user(dlmgr_request *r)
{
    r->user = "user";
    r->password = "secret";
}

static const struct row {
    const char *what, *steps;
    void (*set)(dlmgr_request *r);
    int state, code, class_, requests;
    const char *says; /* in the error's text */
    bool part;        /* good bytes are kept for a retry */
} rows[] = {
    {"a plain file", "size=5000 seed=1", NULL, DLMGR_DONE, 0, 0, 1, "", false},
    {"an empty one", "size=0", NULL, DLMGR_DONE, 0, 0, 1, "", false},
    {"chunked", "size=5000 seed=1 chunked", NULL, DLMGR_DONE, 0, 0, 1, "", false},
    {"ends with the connection", "size=5000 seed=1 nolength", NULL, DLMGR_DONE, 0, 0, 1, "", false},
    {"an interim answer first", "size=5000 seed=1 interim=103", NULL, DLMGR_DONE, 0, 0, 1, "", false},
    {"404", "status=404 esize=200000", NULL, DLMGR_FAILED, 3, DLMGR_CLASS_PERMANENT, 1,
     "404 Not Found", false},
    {"410", "status=410 esize=10", NULL, DLMGR_FAILED, 3, DLMGR_CLASS_PERMANENT, 1, "410 Gone",
     false},
    {"403", "status=403 esize=10", NULL, DLMGR_FAILED, 24, DLMGR_CLASS_NEEDS_AUTH, 1,
     "403 Forbidden", false},
    {"401", "auth=user:other size=5000", with_user, DLMGR_FAILED, 24, DLMGR_CLASS_NEEDS_AUTH, 1,
     "401 Unauthorized", false},
    {"user and password", "auth=user:secret size=5000 seed=1", with_user, DLMGR_DONE, 0, 0, 1, "",
     false},
    {"400", "status=400", NULL, DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT, 1, "400 Bad Request", false},
    {"204", "status=204", NULL, DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT, 1, "204", false},
    {"304", "status=304", NULL, DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT, 1, "304", false},
    {"206 unasked", "status=206 size=5000", NULL, DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT, 1, "206",
     false},
    {"503 for ever", "status=503 esize=100000", three_tries, DLMGR_FAILED, 22,
     DLMGR_CLASS_TRANSIENT, 3, "gave up after 3 tries", false},
    {"503 once", "status=503 ; size=5000 seed=1", three_tries, DLMGR_DONE, 0, 0, 2, "", false},
    {"500, 502, then the file", "status=500 ; status=502 ; size=5000 seed=1", three_tries,
     DLMGR_DONE, 0, 0, 3, "", false},
    {"no answer", "drop=fin", three_tries, DLMGR_FAILED, 6, DLMGR_CLASS_TRANSIENT, ANY_NUMBER,
     "gave up after 3 tries", false},
    {"a reset, then the file", "drop=rst ; size=5000 seed=1", three_tries, DLMGR_DONE, 0, 0,
     ANY_NUMBER, "", false},
    {"no HTTP", "raw=hello%20you", three_tries, DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT, 1, "",
     false},
    {"shorter than it says, always", "size=5000 seed=1 clen=6000", three_tries, DLMGR_FAILED, 6,
     DLMGR_CLASS_TRANSIENT, 3, "gave up after 3 tries", true},
    {"reset in the middle, once", "size=500000 seed=1 reset=100000 ; size=500000 seed=1",
     three_tries, DLMGR_DONE, 0, 0, 2, "", false},
    {"a redirect without a target", "status=302", NULL, DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT, 1,
     "302", false},
    {"a redirect to itself", "location=/row", NULL, DLMGR_FAILED, 23, DLMGR_CLASS_PERMANENT, 1,
     "a redirect loop", false},
    {"a redirect to its own fragment", "location=#top", NULL, DLMGR_FAILED, 23,
     DLMGR_CLASS_PERMANENT, 1, "a redirect loop", false},
    {"two that lead to each other", "location=/row%3F_=1 ; location=/row%3F_=2 ; location=/row%3F_=1",
     NULL, DLMGR_FAILED, 23, DLMGR_CLASS_PERMANENT, 3, "a redirect loop", false},
    {"eleven redirects", HOPS "location=/row%3F_=11", NULL, DLMGR_FAILED, 23, DLMGR_CLASS_PERMANENT,
     11, "more redirects than redirects allows (10)", false},
    {"a redirect to a file of this machine", "location=file:///etc/passwd", NULL, DLMGR_FAILED, 22,
     DLMGR_CLASS_POLICY, 1, "", false},
    {"a redirect to another protocol", "location=ftp://127.0.0.1/x", NULL, DLMGR_FAILED, 22,
     DLMGR_CLASS_POLICY, 1, "", false},
    {"ten redirects", HOPS "size=5000 seed=1", NULL, DLMGR_DONE, 0, 0, 11, "", false},
    {"a length is there", "size=5000 seed=1", with_length, DLMGR_DONE, 0, 0, 1, "", false},
    {"a length is asked for, chunked", "size=5000 chunked", with_length, DLMGR_FAILED, 22,
     DLMGR_CLASS_POLICY, 1, "--require-length", false},
    {"a length is asked for, none", "size=5000 nolength", with_length, DLMGR_FAILED, 22,
     DLMGR_CLASS_POLICY, 1, "--require-length", false},
    {"as large as allowed", "size=100000 seed=1", at_most_100k, DLMGR_DONE, 0, 0, 1, "", false},
    {"larger than allowed", "size=100001 seed=1", at_most_100k, DLMGR_FAILED, 22,
     DLMGR_CLASS_POLICY, 1, "--max-size", false},
    {"larger than allowed, which it does not say", "size=3000000 seed=1 chunked", at_most_100k,
     DLMGR_FAILED, 22, DLMGR_CLASS_POLICY, 1, "--max-size", true},
    {"a header line without end", "size=5000 header=X-Long:%20LONGLONG", three_tries, DLMGR_FAILED,
     1, DLMGR_CLASS_LOCAL, 3, "header", false},
    {"a header without end",
     "size=5000 header=X-A:%20LONG header=X-B:%20LONG header=X-C:%20LONG header=X-D:%20LONG", NULL,
     DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT, 1, "header", false},
};

/* Each LONG is 80 KiB. */
static char *expand(const char *steps)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    while (*steps) {
        bool is_long = !strncmp(steps, "LONG", 4);

        for (int i = is_long ? 80 << 10 : 1; i > 0; i--)
            fputc(is_long ? 'x' : *steps, f);
        steps += is_long ? 4 : 1;
    }
    fclose(f);
    return text;
}

static void check_row(struct house *h, const struct row *row)
{
    char *url = fx_url(h->fx, "/row"), *steps = expand(row->steps);
    dlmgr_request request = house_request(h, url);
    struct house_result r;
    struct fx_log log;
    size_t before;
    int64_t id;

    if (row->set)
        row->set(&request);
    CU_ASSERT_EQUAL(fx_log_read(h->fx, &log), 0);
    before = log.count;
    fx_log_free(&log);
    CHECK_INT(fx_script(h->fx, "/row", "%s", steps), 0);
    id = house_add(h, &request);
    r = house_wait(h, id);
    CHECK_STR(dlmgr_state_name(r.state), dlmgr_state_name(row->state));
    CHECK_INT(r.error_code, row->code);
    CHECK_INT(r.error_class, row->class_);
    if (!strstr(r.text, row->says))
        CHECK_STR(r.text, row->says);
    CHECK_INT(house_events(h, id, row->state == DLMGR_DONE ? "done" : "failed"), 1);
    CHECK_INT(house_files(h), row->state == DLMGR_DONE);
    CHECK_INT(house_parts(h), row->part);
    house_forget(h, id);
    CHECK_INT(house_parts(h), 0);
    if (row->state == DLMGR_DONE) {
        CHECK_INT(fx_file_check(r.path, r.bytes_total, 1), 0);
        unlink(r.path);
    }
    CU_ASSERT_EQUAL(fx_log_read(h->fx, &log), 0);
    if (row->requests != ANY_NUMBER)
        CHECK_INT(log.count - before, row->requests);
    fx_log_free(&log);
    free(url);
    free(steps);
}

static void test_answers_end_as_they_should(void)
{
    struct house h;

    house_begin(&h);
    for (size_t i = 0; i < COUNT(rows); i++) {
        test_about("row %zu: %s", i, rows[i].what);
        check_row(&h, &rows[i]);
    }
    house_end(&h);
}

/* The server's own words are kept for people, and stay out of the file. */
static void test_what_the_server_said_is_shown(void)
{
    struct house h;
    char *url, *json = NULL;
    dlmgr_request request;
    int64_t id;

    house_begin(&h);
    url = fx_url(h.fx, "/f/x?status=404&text=the%%20dog%%20ate%%20it");
    request = house_request(&h, url);
    id = house_add(&h, &request);
    CHECK_INT(house_wait(&h, id).http_status, 404);
    CHECK_INT(dlmgr_show(h.handle, id, 0, &json, NULL), 0);
    CU_ASSERT(json && strstr(json, "the dog ate it"));
    CHECK_INT(house_files(&h), 0);
    free(json);
    free(url);
    house_end(&h);
}

/* ---- Waiting --------------------------------------------------------------------------------------- */

static void check_wait(struct house *h, const char *steps, int64_t least, int64_t most)
{
    char *url = fx_url(h->fx, "/wait");
    dlmgr_request request = house_request(h, url);
    const struct fx_request *first, *second;
    struct fx_log log;
    int64_t id;

    test_about("%s", steps);
    CHECK_INT(fx_script(h->fx, "/wait", "%s ; size=10 seed=1", steps), 0);
    id = house_add(h, &request);
    house_until(h, id, INT64_MAX, DLMGR_WAITING);
    CHECK_INT(house_events(h, id, "waiting"), 1);
    CHECK_INT(house_wait(h, id).state, DLMGR_DONE);
    CHECK_INT(fx_log_settle(h->fx, 5000, &log), 0);
    first = fx_log_nth(&log, "/wait", log.count - 2);
    second = fx_log_nth(&log, "/wait", log.count - 1);
    CU_ASSERT_FATAL(first && second);
    CHECK_INT(MIN(second->at - first->at, least), least);
    CHECK_INT(MAX(second->at - first->at, most), most);
    fx_log_free(&log);
    free(url);
}

#define NOV "06%20Nov%201994%20" /* dates are counted from the server's own Date */

static void test_retry_after_is_obeyed(void)
{
    struct house h;

    house_begin(&h);
    check_wait(&h, "status=503 retry_after=1", 1000, 3000);
    check_wait(&h,
               "status=429 date=Sun,%20" NOV "10:00:00%20GMT retry_after=Sun,%20" NOV
               "10:00:02%20GMT",
               2000, 4000);
    house_end(&h);
}

/* ---- Names ------------------------------------------------------------------------------------------ */

static const struct {
    const char *what, *path, *out, *name;
} named[] = {
    {"the URL's last segment", "/f/file.bin?size=10&seed=1", NULL, "file.bin"},
    {"decoded", "/f/a%20b%C3%A9.bin?size=10&seed=1", NULL, "a b\303\251.bin"},
    {"nothing is left", "/?size=10&seed=1", NULL, "download"},
    {"Content-Disposition", "/f/x?size=10&seed=1&cd=attachment;%20filename=\"real.txt\"", NULL,
     "real.txt"},
    {"filename* before filename",
     "/f/x?size=10&seed=1&cd=attachment;filename=\"a\";filename*=UTF-8''n%25C3%25A9.txt", NULL,
     "n\303\251.txt"},
    {"out of the directory", "/f/x?size=10&seed=1&cd=attachment;filename=\"../../up.txt\"", NULL,
     "up.txt"},
    {"out of the directory, in the URL", "/f/%2e%2e%2fup2.txt?size=10&seed=1", NULL, "up2.txt"},
    {"hidden", "/f/x?size=10&seed=1&cd=attachment;filename=\".bashrc\"", NULL, NULL},
    {"as asked for", "/f/x?size=10&seed=1&cd=attachment;filename=\"real.txt\"", "mine.txt",
     "mine.txt"},
    {"as asked for, below", "/f/x?size=10&seed=1", "sub/dir/mine.txt", "sub/dir/mine.txt"},
    {"of the last redirect", "/f/first?location=/f/last.bin%3Fsize=10%26seed=1", NULL, NULL},
};

static void test_names_are_safe_and_as_asked_for(void)
{
    struct house h;

    house_begin(&h);
    for (size_t i = 0; i < COUNT(named); i++) {
        char *url;
        dlmgr_request request;
        struct house_result r;

        test_about("row %zu: %s", i, named[i].what);

        url = fx_url(h.fx, "%s", named[i].path);
        request = house_request(&h, url);
        request.out = named[i].out;
        request.create_dirs = 1;
        r = house_wait(&h, house_add(&h, &request));
        CHECK_INT(r.state, DLMGR_DONE);
        if (named[i].name)
            CHECK_STR(r.path, house_path(&h, named[i].name));
        else
            CU_ASSERT(!strncmp(r.path, h.dir, strlen(h.dir)) && r.path[strlen(h.dir) + 1] != '.');
        CHECK_INT(fx_file_check(r.path, 10, 1), 0);
        free(url);
    }
    house_end(&h);
}

/* ---- A file is there already ---------------------------------------------------------------------------- */

static const struct {
    const char *what;
    int policy;
    const char *body; /* key=value of the server */
    int state, code;
    const char *path, *old; /* the new file, and what is in the old one then */
    size_t parts;
} taken[] = {
    {"rename", DLMGR_EXISTS_RENAME, "text=new", DLMGR_DONE, 0, "name.1.txt", "old", 0},
    {"by default", DLMGR_EXISTS_DEFAULT, "text=new", DLMGR_DONE, 0, "name.2.txt", "old", 0},
    {"fail", DLMGR_EXISTS_FAIL, "text=new", DLMGR_FAILED, 13, NULL, "old", 1},
    {"the same is the same", DLMGR_EXISTS_SAME, "text=old", DLMGR_DONE, 0, "name.txt", "old", 1},
    {"the same is not", DLMGR_EXISTS_SAME, "text=new", DLMGR_FAILED, 13, NULL, "old", 2},
    {"replace", DLMGR_EXISTS_REPLACE, "text=new", DLMGR_DONE, 0, "name.txt", "new", 2},
};

static void check_text(const char *path, const char *expected)
{
    char text[100] = "";
    FILE *f = fopen(path, "re");

    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT(fgets(text, sizeof(text), f) != NULL);
    fclose(f);
    CHECK_STR(text, expected);
}

static void test_a_file_that_is_there_changes_only_when_asked(void)
{
    struct house h;

    house_begin(&h);
    house_write(&h, "name.txt", "old");
    for (size_t i = 0; i < COUNT(taken); i++) {
        char *url = fx_url(h.fx, "/f/name.txt?%s", taken[i].body);
        dlmgr_request request = house_request(&h, url);
        size_t before = house_files(&h);
        struct house_result r;

        test_about("row %zu: %s", i, taken[i].what);
        request.on_exists = taken[i].policy;
        r = house_wait(&h, house_add(&h, &request));
        CHECK_INT(r.state, taken[i].state);
        CHECK_INT(r.error_code, taken[i].code);
        if (taken[i].path)
            CHECK_STR(r.path, house_path(&h, taken[i].path));
        check_text(house_path(&h, "name.txt"), taken[i].old);
        CHECK_INT(house_files(&h) - before, taken[i].path && strcmp(taken[i].path, "name.txt") != 0);
        CHECK_INT(house_parts(&h), taken[i].parts); /* a task that failed may be told another name */
        free(url);
    }
    house_end(&h);
}

/* ---- A digest --------------------------------------------------------------------------------------------- */

static void test_a_wrong_digest_is_never_a_file(void)
{
    static const uint64_t seeds[] = {1, 2};
    struct house h;

    house_begin(&h);
    for (size_t i = 0; i < COUNT(seeds); i++) {
        char *url = fx_url(h.fx, "/f/x?size=6000000&seed=1"), hex[129], checksum[150];
        dlmgr_request request = house_request(&h, url);
        struct house_result r;

        test_about("the digest of seed %d", (int)seeds[i]);
        CHECK_INT(fx_body_digest("sha512", 6000000, seeds[i], hex), 0);
        snprintf(checksum, sizeof(checksum), "sha-512=%s", hex);
        request.checksum = checksum;
        r = house_wait(&h, house_add(&h, &request));
        CHECK_INT(r.state, seeds[i] == 1 ? DLMGR_DONE : DLMGR_FAILED);
        CHECK_INT(r.error_code, seeds[i] == 1 ? 0 : 32);
        CU_ASSERT(access(house_path(&h, "x"), F_OK) == (seeds[i] == 1 ? 0 : -1));
        unlink(house_path(&h, "x"));
        free(url);
    }
    house_end(&h);
}

/* ---- Credentials -------------------------------------------------------------------------------------------- */

/* The newest request at a server has this header with this value (NULL: not at all). */
static void check_header(const struct fx *server, const char *name, const char *value)
{
    struct fx_log log;

    CHECK_INT(fx_log_settle(server, 5000, &log), 0);
    CU_ASSERT_FATAL(log.count > 0);
    CHECK_STR(fx_request_header(&log.requests[log.count - 1], name), value);
    fx_log_free(&log);
}

static void test_credentials_stay_at_home_over_a_redirect(void)
{
    static const char *const headers[] = {"X-Own: 1", NULL};
    struct house h;
    char *url, *away, *plain;
    const char *cookies;
    dlmgr_request request;

    house_begin(&h);
    house_write(&h, "cookies", "127.0.0.1\tFALSE\t/\tFALSE\t0\tc\thome\n");
    cookies = house_path(&h, "cookies");
    away = fx_url(h.other, "/f/away?size=10");
    CHECK_INT(fx_script(h.fx, "/link", "location=%s", away), 0);
    url = fx_url(h.fx, "/link");
    request = house_request(&h, url);
    request.headers = headers;
    request.user = "user";
    request.password = "secret";
    request.cookie_file = cookies;
    CHECK_INT(house_wait(&h, house_add(&h, &request)).state, DLMGR_DONE);
    check_header(h.fx, "X-Own", "1");
    check_header(h.fx, "Authorization", "Basic dXNlcjpzZWNyZXQ=");
    check_header(h.fx, "Cookie", "c=home");
    check_header(h.other, "X-Own", NULL);
    check_header(h.other, "Authorization", NULL);
    check_header(h.other, "Cookie", NULL);
    plain = fx_url(h.fx, "/f/plain?size=10");
    request = house_request(&h, plain);
    CHECK_INT(house_wait(&h, house_add(&h, &request)).state, DLMGR_DONE);
    check_header(h.fx, "X-Own", NULL);
    check_header(h.fx, "Authorization", NULL);
    check_header(h.fx, "Cookie", NULL);
    free(plain);
    free(url);
    free(away);
    house_end(&h);
}

static void test_netrc_and_a_user_in_the_url(void)
{
    struct house h;
    char *url, with_user_in_it[200];
    dlmgr_request request;

    house_begin(&h);
    house_write(&h, "netrc", "machine 127.0.0.1 login net password rc\n");
    url = fx_url(h.fx, "/f/x?size=10");
    request = house_request(&h, url);
    request.netrc_file = house_path(&h, "netrc");
    CHECK_INT(house_wait(&h, house_add(&h, &request)).state, DLMGR_DONE);
    check_header(h.fx, "Authorization", "Basic bmV0OnJj");
    snprintf(with_user_in_it, sizeof(with_user_in_it),
             "http://us%%65r:secret@127.0.0.1:%d/f/x?size=10", fx_port(h.fx));
    request.url = with_user_in_it;
    CHECK_INT(house_wait(&h, house_add(&h, &request)).state, DLMGR_DONE);
    check_header(h.fx, "Authorization", "Basic dXNlcjpzZWNyZXQ=");
    free(url);
    house_end(&h);
}

static void test_private_addresses_are_a_matter_of_policy(void)
{
    struct house h;
    char *url;
    struct fx_log log;
    struct house_result r;
    dlmgr_request request;

    house_begin(&h);
    url = fx_url(h.fx, "/f/x?size=10");
    request = house_request(&h, url);
    request.block_private = 1;
    r = house_wait(&h, house_add(&h, &request));
    CHECK_INT(r.state, DLMGR_FAILED);
    CHECK_INT(r.error_class, DLMGR_CLASS_POLICY);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.text, "--block-private"));
    CHECK_INT(fx_log_read(h.fx, &log), 0);
    CHECK_INT(log.count, 0);
    fx_log_free(&log);
    free(url);
    house_end(&h);
}

/* ---- Rates and mirrors ----------------------------------------------------------------------------------- */

static int64_t time_of(struct house *h, int64_t task_rate)
{
    char *url = fx_url(h->fx, "/f/x?size=3000000&seed=1");
    dlmgr_request request = house_request(h, url);
    int64_t from = now_ms();
    struct house_result r;

    request.limit_rate = task_rate;
    r = house_wait(h, house_add(h, &request));
    CHECK_INT(r.state, DLMGR_DONE);
    CHECK_INT(fx_file_check(r.path, 3000000, 1), 0);
    free(url);
    return now_ms() - from;
}

/* 3 MB at 1.5 MB a second, of which a quarter of a second's worth is there at once. */
static void test_rates_are_kept(void)
{
    struct house h;
    int64_t free_run, limited;

    house_begin(&h);
    free_run = time_of(&h, 0);
    limited = time_of(&h, 1500000);
    CU_ASSERT(limited >= 1700);
    CU_ASSERT(limited <= 1750 + 2 * free_run + 1000);
    house_close(&h);
    h.options.limit_rate = 1500000; /* of all tasks */
    house_open(&h);
    limited = time_of(&h, 0);
    CU_ASSERT(limited >= 1700);
    CU_ASSERT(limited <= 1750 + 2 * free_run + 1000);
    house_end(&h);
}

static void test_mirrors_are_tried_in_turn(void)
{
    static const struct {
        const char *first, *second;
        int state, code, asked_first, asked_second;
    } ways[] = {
        {"size=10 seed=1", "size=10 seed=2", DLMGR_DONE, 0, 1, 0},
        {"status=404", "size=10 seed=1", DLMGR_DONE, 0, 1, 1},
        {"status=503", "size=10 seed=1", DLMGR_DONE, 0, 1, 1},
        {"status=404", "status=404", DLMGR_FAILED, 3, 1, 1},
        {"status=404", "status=503 ; size=10 seed=1", DLMGR_DONE, 0, ANY_NUMBER, 2},
    };
    struct house h;

    house_begin(&h);
    for (size_t i = 0; i < COUNT(ways); i++) {
        char *first = fx_url(h.fx, "/m/%zu", i), *second = fx_url(h.other, "/m/%zu", i);
        const char *mirrors[] = {second, NULL}, *path = strstr(first, "/m/");
        dlmgr_request request = house_request(&h, first);
        struct house_result r;
        struct fx_log log;

        test_about("row %zu", i);
        request.mirrors = mirrors;
        CHECK_INT(fx_script(h.fx, path, "%s", ways[i].first), 0);
        CHECK_INT(fx_script(h.other, path, "%s", ways[i].second), 0);
        r = house_wait(&h, house_add(&h, &request));
        CHECK_INT(r.state, ways[i].state);
        CHECK_INT(r.error_code, ways[i].code);
        if (r.state == DLMGR_DONE)
            CHECK_INT(fx_file_check(r.path, 10, 1), 0);
        CHECK_INT(fx_log_read(h.fx, &log), 0);
        if (ways[i].asked_first != ANY_NUMBER)
            CHECK_INT(fx_log_count(&log, path), ways[i].asked_first);
        fx_log_free(&log);
        CHECK_INT(fx_log_read(h.other, &log), 0);
        CHECK_INT(fx_log_count(&log, path), ways[i].asked_second);
        fx_log_free(&log);
        free(first);
        free(second);
    }
    house_end(&h);
}

static const struct test tests[] = {
    TEST(test_answers_end_as_they_should),
    TEST(test_what_the_server_said_is_shown),
    TEST(test_retry_after_is_obeyed),
    TEST(test_names_are_safe_and_as_asked_for),
    TEST(test_a_file_that_is_there_changes_only_when_asked),
    TEST(test_a_wrong_digest_is_never_a_file),
    TEST(test_credentials_stay_at_home_over_a_redirect),
    TEST(test_netrc_and_a_user_in_the_url),
    TEST(test_private_addresses_are_a_matter_of_policy),
    TEST(test_rates_are_kept),
    TEST(test_mirrors_are_tried_in_turn),
};

TEST_MAIN("transfer", tests)
