/* SPDX-License-Identifier: MIT */
/*
 * test_request.c - what may be asked for, where it goes, and that a transfer gets it back.
 */
#include "dlmgr/json.h"
#include "dlmgr/request.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define MINIMAL "\"url\":\"http://h/f\",\"dir\":\"/tmp\""

/* MINIMAL and more, parsed. */
static int parse(const char *more, struct dlm_request *ret, dlmgr_error *e)
{
    struct dlm_buf b = {0};
    CLEANUP_FREE char *text = NULL;
    CLEANUP_JSON json_t *object = NULL;

    dlm_buf_printf(&b, "{" MINIMAL "%s%s}", *more ? "," : "", more);
    text = dlm_buf_take(&b);
    object = json_loads(text, JSON_ALLOW_NUL, NULL);
    CU_ASSERT_FATAL(object != NULL);
    return dlm_request_parse(object, 1000, ret, e);
}

/* What is wrong is refused, and named. */
static void test_request_refuses(void)
{
    static const struct {
        const char *more, *named;
        int code;
    } rows[] = {
        {"\"urll\":1", "urll", DLMGR_EINVAL},
        {"\"out\":\"../x\"", "", DLMGR_EINVAL},
        {"\"out\":7", "out", DLMGR_EINVAL},
        {"\"mirrors\":\"x\"", "mirrors", DLMGR_EINVAL},
        {"\"mirrors\":[\"ftp://h/f\"]", "ftp", DLMGR_EINVAL},
        {"\"checksum\":\"sha-256\"", "checksum", DLMGR_EINVAL},
        {"\"checksum\":\"sha-256=abc\"", "64 hex", DLMGR_EINVAL},
        {"\"checksum\":\"md5=0123456789abcdef0123456789abcdeg\"", "32 hex", DLMGR_EINVAL},
        {"\"checksum\":\"crc=00\"", "ALG=HEX", DLMGR_EINVAL},
        {"\"headers\":[\"A: b\\r\\nC: d\"]", "", DLMGR_EINVAL},
        {"\"headers\":[\"Range: bytes=0-\"]", "Range", DLMGR_EINVAL},
        {"\"headers\":[\"A: b\\u0000\"]", "NUL", DLMGR_EINVAL},
        {"\"cacert\":\"relative.pem\"", "absolute", DLMGR_EINVAL},
        {"\"cert_key\":\"/k.pem\"", "cert", DLMGR_EINVAL},
        {"\"pinned_pubkey\":\"sha256//short\"", "pinned_pubkey", DLMGR_EINVAL},
        {"\"proxy\":\"ftp://p\"", "proxy", DLMGR_EINVAL},
        {"\"proxies\":{\"ftp\":\"p\"}", "ftp", DLMGR_EINVAL},
        {"\"key\":\"\"", "key", DLMGR_EINVAL},
        {"\"session\":\"a b\"", "session", DLMGR_EINVAL},
        {"\"user_data\":{\"base64\":\"=\"}", "user_data", DLMGR_EINVAL},
        {"\"on_exists\":\"overwrite\"", "on_exists", DLMGR_EINVAL},
        {"\"paused\":1", "paused", DLMGR_EINVAL},
        {"\"priority\":1001", "-1000 to 1000", DLMGR_EINVAL},
        {"\"connections\":17", "connections", DLMGR_EINVAL},
        {"\"ip_version\":5", "0, 4 or 6", DLMGR_EINVAL},
        {"\"limit_rate\":1.5", "integer", DLMGR_EINVAL},
        {"\"max_size\":-1", "max_size", DLMGR_EINVAL},
        {"\"mask\":512", "mask", DLMGR_EINVAL},
        {"\"password\":\"p\"", "user", DLMGR_EINVAL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_request r = {0};
        dlmgr_error e = {0};

        test_about("%s: %s", rows[i].more, e.text);
        CHECK_INT(parse(rows[i].more, &r, &e), rows[i].code);
        test_about("%s: %s", rows[i].more, e.text);
        CU_ASSERT(strstr(e.text, rows[i].named) != NULL);
        CU_ASSERT(r.urls == NULL);
        dlm_request_clear(&r);
    }
}

static void test_request_needs_url_and_dir(void)
{
    static const char *const rows[] = {"{}",
                                       "[]",
                                       "{\"url\":\"http://h/f\"}",
                                       "{\"dir\":\"/tmp\"}",
                                       "{\"url\":\"http://h/f\",\"dir\":\"tmp\"}",
                                       "{\"url\":null,\"dir\":\"/tmp\"}"};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_JSON json_t *object = json_loads(rows[i], 0, NULL);
        struct dlm_request r;

        test_about("%s", rows[i]);
        CHECK_INT(dlm_request_parse(object, 0, &r, NULL), DLMGR_EINVAL);
    }
}

/* Nothing given: no options, no secret, no hash. */
static void test_request_minimal(void)
{
    struct dlm_request r = {0};
    dlmgr_error e = {0};

    CU_ASSERT_FATAL(
        parse("\"start_after\":0,\"retry_wait\":-1,\"paused\":false,\"out\":null", &r, &e) == 0);
    CHECK_STR(r.row.url, "http://h/f");
    CHECK_STR(r.row.origin, "http://h:80");
    CHECK_STR(r.row.dir, "/tmp");
    CHECK_STR(r.row.session, "default");
    CHECK_INT(r.row.state, DLMGR_QUEUED);
    CHECK_INT(r.row.mask, 022);
    CHECK_INT(r.row.total, -1);
    CHECK_INT(r.row.created_at, 1000);
    CU_ASSERT(!r.row.options && !r.secret && !r.row.out && !r.hash[0]);
    dlm_request_clear(&r);
    dlm_request_clear(&r);
}

static void test_request_states(void)
{
    static const struct {
        const char *more;
        int state;
        int64_t wake;
    } rows[] = {
        {"\"paused\":true", DLMGR_PAUSED, 0},
        {"\"start_after\":1000", DLMGR_QUEUED, 0},
        {"\"start_after\":1001", DLMGR_WAITING, 1001},
        {"\"start_after\":1001,\"paused\":true", DLMGR_PAUSED, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_request r = {0};
        dlmgr_error e;

        test_about("%s", rows[i].more);
        CU_ASSERT_FATAL(parse(rows[i].more, &r, &e) == 0);
        CHECK_INT(r.row.state, rows[i].state);
        CHECK_INT(r.row.wake_at, rows[i].wake);
        CHECK_STR(r.row.wait_reason, rows[i].wake ? "not-before" : NULL);
        dlm_request_clear(&r);
    }
}

/* Whatever was given comes back to the transfer, and nothing secret stands outside of the secret. */
static void test_request_round_trip(void)
{
    static const char more[] =
        "\"headers\":[\"Authorization: Bearer HUSH\"],\"user\":\"me\",\"password\":\"HUSH\",\"proxies\":{\"http\":"
        "\"http://u:HUSH@p\",\"no\":\"localhost\"},\"mirrors\":[\"https://x:HUSH@m/f?sig=HUSH\"],\"key\":\"k\","
        "\"create_dirs\":true,\"connections\":3,\"limit_rate\":9,\"cacert\":\"/ca\",\"max_size\":5";
    struct dlm_request r = {0};
    struct dlm_opts o = {0};
    dlmgr_error e = {0};

    CU_ASSERT_FATAL(parse(more, &r, &e) == 0);
    CU_ASSERT_FATAL(r.row.options && r.secret);
    CU_ASSERT(strstr(r.row.options, "HUSH") == NULL);
    CHECK_INT(r.n_urls, 2);
    CU_ASSERT(strstr(r.urls[1], "HUSH") == NULL);
    CHECK_INT(strlen(r.hash), 64);
    CU_ASSERT(r.create_dirs);
    CU_ASSERT_FATAL(dlm_opts_load(r.row.options, r.secret, r.urls, r.n_urls, &o) == 0);
    CHECK_INT(o.n_urls, 2);
    CHECK_STR(o.urls[0], "http://h/f");
    CHECK_STR(o.urls[1], "https://x:HUSH@m/f?sig=HUSH");
    CHECK_INT(o.n_headers, 1);
    CHECK_STR(o.headers[0], "Authorization: Bearer HUSH");
    CHECK_STR(o.user, "me");
    CHECK_STR(o.password, "HUSH");
    CHECK_STR(o.http_proxy, "http://u:HUSH@p");
    CHECK_STR(o.no_proxy, "localhost");
    CHECK_STR(o.all_proxy, NULL);
    CHECK_STR(o.proxy, NULL);
    CHECK_STR(o.cacert, "/ca");
    CHECK_INT(o.connections, 3);
    CHECK_INT(o.limit_rate, 9);
    CHECK_INT(o.max_size, 5);
    CHECK_INT(o.max_tries, 5);
    CHECK_INT(o.retry_wait_ms, 1000);
    CU_ASSERT(o.create_dirs && !o.require_length);
    dlm_opts_clear(&o);
    dlm_opts_clear(&o);
    dlm_request_clear(&r);
}

/* user:password@ in the first URL is the task's user, unless one was given beside it; a mirror's stays with the mirror. */
static void test_request_user_in_url(void)
{
    char url[] = "https://***@h/";
    char *urls[] = {url};
    struct dlm_opts o = {0};

    CHECK_INT(dlm_opts_load(NULL, "{\"urls\":[\"https://a%40:b@h/\"]}", urls, 1, &o), 0);
    CHECK_STR(o.user, "a@");
    CHECK_STR(o.password, "b");
    dlm_opts_clear(&o);
    CHECK_INT(dlm_opts_load(NULL, "{\"urls\":[\"https://a:b@h/\"],\"user\":\"c\"}", urls, 1, &o), 0);
    CHECK_STR(o.user, "c");
    CHECK_STR(o.password, NULL);
    dlm_opts_clear(&o);
    CHECK_INT(dlm_opts_load(NULL, "{\"urls\":[\"https://h/\",\"https://a:b@m/\"]}", urls, 1, &o), 0);
    CHECK_STR(o.user, NULL);
    dlm_opts_clear(&o);
}

/* A secret or options that were edited by hand are no reason to go on without them. */
static void test_opts_refuse_broken_text(void)
{
    struct dlm_opts o;

    CHECK_INT(dlm_opts_load("{", NULL, NULL, 0, &o), DLMGR_EJOURNAL);
    CHECK_INT(dlm_opts_load(NULL, "[]", NULL, 0, &o), DLMGR_EJOURNAL);
    CHECK_INT(dlm_opts_load(NULL, "{\"urls\":[1]}", NULL, 0, &o), DLMGR_EJOURNAL);
}

static int json_left;

static void *json_malloc(size_t n)
{
    return json_left > 0 && --json_left == 0 ? NULL : malloc(n);
}

/* Whichever allocation of jansson's fails: that is no mistake in the text, for which the task would fail for good. */
static void test_opts_without_memory_are_not_broken(void)
{
    struct dlm_opts o = {0};
    int n = 0, code;

    json_set_alloc_funcs(json_malloc, free);
    do {
        json_left = ++n;
        code = dlm_opts_load("{\"connections\":3,\"cacert\":\"/a\",\"proxies\":{\"http\":\"p\"},\"l\":[1]}",
                             NULL, NULL, 0, &o);
        if (code)
            CHECK_INT(code, DLMGR_ENOMEM);
    } while (json_left == 0 && n < 100);
    json_left = 0;
    json_set_alloc_funcs(malloc, free);
    CHECK_INT(code, 0);
    CU_ASSERT(n > 10);
    dlm_opts_clear(&o);
}

static void test_request_small_columns(void)
{
    struct dlm_request r = {0};
    dlmgr_error e = {0};

    CU_ASSERT_FATAL(
        parse("\"checksum\":\"SHA-1=0123456789ABCDEF0123456789abcdef01234567\",\"on_exists\":\"same\","
              "\"priority\":-3,\"mask\":63,\"user_data\":{\"base64\":\"/wA=\"},\"out\":\"a/b\"",
              &r, &e) == 0);
    CHECK_STR(r.row.digest, "sha-1=0123456789abcdef0123456789abcdef01234567");
    CHECK_INT(r.row.on_exists, DLMGR_EXISTS_SAME);
    CHECK_INT(r.row.priority, -3);
    CHECK_INT(r.row.mask, 077);
    CHECK_INT(r.row.user_data_len, 2);
    CHECK_MEM(r.row.user_data, "\xff\0", 2);
    CHECK_STR(r.row.out, "a/b");
    dlm_request_clear(&r);
}

static void test_request_dir_must_exist(void)
{
    struct dlm_request r = {.row = {.dir = (char *)(uintptr_t) "/nowhere/at/all"}};
    dlmgr_error e = {0};

    CHECK_INT(dlm_request_check_dir(&r, &e), DLMGR_EINVAL);
    CU_ASSERT(strstr(e.text, "--create-dirs") != NULL);
    CHECK_STR(e.path, "/nowhere/at/all");
    r.create_dirs = true;
    CHECK_INT(dlm_request_check_dir(&r, &e), 0);
    r.row.dir = (char *)(uintptr_t) "/etc/passwd";
    CHECK_INT(dlm_request_check_dir(&r, &e), DLMGR_EINVAL);
    CHECK_INT(e.sys_errno, ENOTDIR);
    r.row.dir = (char *)(uintptr_t)test_dir();
    CHECK_INT(dlm_request_check_dir(&r, &e), 0);
}

/* Whichever allocation of ours fails: ENOMEM, nothing leaks, and the next try succeeds. */
static void test_request_without_memory(void)
{
    struct dlm_request r = {0};
    dlmgr_error e;
    int n = 0, code;

    do {
        dlm_fault_alloc = 0;
        CLEANUP_JSON json_t *object =
            json_loads("{" MINIMAL
                       ",\"key\":\"k\",\"user\":\"u\",\"out\":\"o\",\"start_after\":5000}",
                       0, NULL);

        dlm_fault_alloc = ++n;
        code = dlm_request_parse(object, 1000, &r, &e);
        if (code)
            CHECK_INT(code, DLMGR_ENOMEM);
    } while (code && n < 100);
    dlm_fault_alloc = 0;
    CHECK_INT(code, 0);
    CU_ASSERT(n > 10);
    dlm_request_clear(&r);
}

static const struct test tests[] = {
    TEST(test_request_refuses),         TEST(test_request_needs_url_and_dir),
    TEST(test_request_minimal),         TEST(test_request_states),
    TEST(test_request_round_trip),      TEST(test_request_user_in_url),
    TEST(test_opts_refuse_broken_text), TEST(test_opts_without_memory_are_not_broken),
    TEST(test_request_small_columns),   TEST(test_request_dir_must_exist),
    TEST(test_request_without_memory),
};

TEST_MAIN("request", tests)
