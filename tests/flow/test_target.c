/* SPDX-License-Identifier: MIT */
/*
 * test_target.c - what goes along with a request, as the server received it, and what does not.
 *
 * Requests are made one after another over one set of kept handles, as the engine makes them; the fixture server's log says what came.
 * Two servers are two origins. Credentials are given to all requests whose row does not say otherwise.
 */
#include "dlmgr/fetch.h"
#include "dlmgr/proxy.h"
#include "dlmgr/target.h"

#include "tests/lib/fixture.h"
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>

static uv_loop_t loop;
static struct dlm_fetch *fetch;
static struct fx *fx, *other;

static void begin(void)
{
    CU_ASSERT_EQUAL_FATAL(fx_start(&fx, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(fx_start(&other, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(uv_loop_init(&loop), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_fetch_start(&loop, &fetch, NULL), 0);
}

static void end(void)
{
    dlm_fetch_stop(fetch);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
    dlm_fetch_free(fetch);
    fx = fx_stop(fx);
    other = fx_stop(other);
}

/* ---- One request -------------------------------------------------------------------------------- */

struct get {
    struct dlm_fetching f;
    struct dlm_target target;
    CURLcode code;
    bool ended;
    long status;
    int sockets, leaking; /* leaking: would stay open over an exec */
};

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
    struct get *g = context;
    struct sockaddr_in peer;

    (void)data;
    for (int fd = 3; fd < 200; fd++) {
        socklen_t len = sizeof(peer);

        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET)
            *(fcntl(fd, F_GETFD) & FD_CLOEXEC ? &g->sockets : &g->leaking) += 1;
    }
    return size * n;
}

/* As the engine does it: a tainted handle is not kept. */
static void on_done(struct dlm_fetching *f, CURLcode code)
{
    struct get *g = container_of(f, struct get, f);

    g->code = code;
    g->ended = true;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &g->status);
    if (g->target.tainted)
        curl_easy_cleanup(f->easy);
    else
        dlm_fetch_keep(fetch, f->easy);
    dlm_target_clear(&g->target);
}

static struct get get(const struct dlm_opts *o, size_t source, const char *given, const char *at,
                      const char *if_range)
{
    struct dlm_url CLEANUP(dlm_url_clear) from = {0}, to = {0};
    struct get g = {.f = {.easy = dlm_fetch_easy(fetch), .done = on_done}};
    dlmgr_error e = {0};

    CU_ASSERT_EQUAL_FATAL(dlm_url_parse(given, &from, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_url_parse(at ? at : given, &to, NULL), 0);
    CHECK_INT(dlm_target_set(g.f.easy, o, source, &from, &to, if_range, &g.target, &e), 0);
    CHECK_STR(e.text, "");
    curl_easy_setopt(g.f.easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(g.f.easy, CURLOPT_WRITEDATA, &g);
    CU_ASSERT_EQUAL(dlm_fetch_add(fetch, &g.f), 0);
    while (!g.ended)
        uv_run(&loop, UV_RUN_ONCE);
    CU_ASSERT(g.sockets > 0 || g.code != CURLE_OK);
    CHECK_INT(g.leaking, 0);
    return g;
}

/* The value of a header of the newest request at a server, in a place that lasts until the next call; NULL: not sent. */
static const char *sent(const struct fx *server, const char *name)
{
    static char value[1000];
    struct fx_log log;
    const char *found = NULL;

    CU_ASSERT_EQUAL_FATAL(fx_log_settle(server, 5000, &log), 0);
    CU_ASSERT_FATAL(log.count > 0);
    if (!strcmp(name, "If-Range"))
        found = log.requests[log.count - 1].if_range;
    else if (!strcmp(name, "Host"))
        found = log.requests[log.count - 1].host;
    else
        found = fx_request_header(&log.requests[log.count - 1], name);
    if (found)
        snprintf(value, sizeof(value), "%s", found);
    fx_log_free(&log);
    return found ? value : NULL;
}

static const char *write_file(const char *name, const char *text)
{
    static char path[4][300];
    static unsigned next;
    char *at = path[next++ % 4];
    int fd;

    snprintf(at, sizeof(path[0]), "%s/%s", test_dir(), name);
    fd = open(at, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    CU_ASSERT_EQUAL_FATAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return at;
}

/* ---- Headers ------------------------------------------------------------------------------------- */

static void test_every_request_says_who_asks_and_wants_it_plain(void)
{
    struct dlm_opts o = {0};
    char *url;

    begin();
    url = fx_url(fx, "/f/x?size=10");
    CHECK_INT(get(&o, 0, url, NULL, NULL).status, 200);
    CHECK_STR(sent(fx, "User-Agent"), "dlmgr/" DLMGR_VERSION);
    CHECK_STR(sent(fx, "Accept-Encoding"), "identity");
    CHECK_STR(sent(fx, "If-Range"), NULL);
    get(&o, 0, url, NULL, "\"a b\"");
    CHECK_STR(sent(fx, "If-Range"), "\"a b\"");
    free(url);
    end();
}

static void test_own_headers_replace_and_remove(void)
{
    char *headers[] = {(char[]){"X-Own: 1"}, (char[]){"user-agent: me"}, (char[]){"Accept:"},
                       (char[]){"Host: name.test"}};
    struct dlm_opts o = {.headers = headers, .n_headers = 4};
    char *url;

    begin();
    url = fx_url(fx, "/f/x?size=10");
    get(&o, 0, url, NULL, NULL);
    CHECK_STR(sent(fx, "X-Own"), "1");
    CHECK_STR(sent(fx, "User-Agent"), "me");
    CHECK_STR(sent(fx, "Accept"), NULL);
    CHECK_STR(sent(fx, "Host"), "name.test");
    free(url);
    end();
}

/* ---- Credentials stay at home --------------------------------------------------------------------- */

enum { OWN, MIRROR, MIRROR_HOME }; /* whose task has its URL at the other server; at this one */

static const struct row {
    const char *what;
    size_t source;
    bool away, netrc; /* away: redirected to the other server; netrc: in place of a user */
    const char *userinfo;
    const char *header, *authorization, *cookie; /* expected */
} rows[] = {
    {"the task's own URL", OWN, false, false, "", "1", "Basic dXNlcjpzZWNyZXQ=", "c=home"},
    {"redirected elsewhere", OWN, true, false, "", NULL, NULL, NULL},
    {"netrc", OWN, false, true, "", "1", "Basic bmV0OnJj", "c=home"},
    {"netrc, redirected elsewhere", OWN, true, true, "", NULL, NULL, NULL},
    {"a mirror with a user of its own", MIRROR, false, false, "mir:ror@", NULL,
     "Basic bWlyOnJvcg==", NULL},
    {"such a mirror redirects elsewhere", MIRROR, true, false, "mir:ror@", NULL, NULL, NULL},
    {"a mirror without a user", MIRROR, false, false, "", NULL, NULL, NULL},
    {"a mirror without a user, netrc", MIRROR, false, true, "", NULL, NULL, NULL},
    {"a mirror of the same origin", MIRROR_HOME, false, false, "", "1",
     "Basic dXNlcjpzZWNyZXQ=", "c=home"},
    {"one of the same origin with its own user", MIRROR_HOME, false, false, "mir:ror@", "1",
     "Basic bWlyOnJvcg==", "c=home"},
    {"one of the same origin, netrc", MIRROR_HOME, false, true, "", "1", "Basic bmV0OnJj", "c=home"},
    {"one of the same origin redirects elsewhere", MIRROR_HOME, true, false, "", NULL, NULL, NULL},
};

static void check_row(const struct row *row, const char *cookies, const char *netrc)
{
    char *headers[] = {(char[]){"X-Own: 1"}}, first[100], *urls[] = {first, first, first};
    struct dlm_opts o = {.urls = urls,
                         .n_urls = 3,
                         .headers = headers,
                         .n_headers = 1,
                         .user = row->netrc ? NULL : dlm_strdup("user"),
                         .password = row->netrc ? NULL : dlm_strdup("secret"),
                         .cookie_file = dlm_strdup(cookies),
                         .netrc_file = row->netrc ? dlm_strdup(netrc) : NULL};
    struct fx *server = row->away ? other : fx;
    char given[200], *at = fx_url(server, "/f/x?size=10");

    snprintf(first, sizeof(first), "http://127.0.0.1:%d/f/first",
             fx_port(row->source == MIRROR ? other : fx));

    snprintf(given, sizeof(given), "http://%s127.0.0.1:%d/f/y", row->userinfo, fx_port(fx));
    CHECK_INT(get(&o, row->source, given, at, NULL).status, 200);
    CHECK_STR(sent(server, "X-Own"), row->header);
    CHECK_STR(sent(server, "Authorization"), row->authorization);
    CHECK_STR(sent(server, "Cookie"), row->cookie);
    free(at);
    free(o.user);
    free(o.password);
    free(o.cookie_file);
    free(o.netrc_file);
}

/*
 * A plain request after each: had a handle been kept with anything in it, it would show. The cookie is good for the other server too, which
 * has the same host: a port is another origin for us, whatever cookies think.
 */
static void test_credentials_go_home_and_nowhere_else(void)
{
    const char *cookies, *netrc;
    struct dlm_opts none = {0};
    char *plain;

    begin();
    cookies = write_file("cookies", "127.0.0.1\tFALSE\t/\tFALSE\t0\tc\thome\n");
    netrc = write_file("netrc", "machine 127.0.0.1 login net password rc\n");
    plain = fx_url(fx, "/f/plain?size=10&header=Set-Cookie:%%20c=server");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("%s", rows[i].what);
        check_row(&rows[i], cookies, netrc);
        test_about("a plain request after: %s", rows[i].what);
        CHECK_INT(get(&none, 0, plain, NULL, NULL).status, 200);
        CHECK_STR(sent(fx, "X-Own"), NULL);
        CHECK_STR(sent(fx, "Authorization"), NULL);
        CHECK_STR(sent(fx, "Cookie"), NULL);
    }
    free(plain);
    end();
}

static void test_only_a_handle_without_credentials_is_clean(void)
{
    char *headers[] = {(char[]){"X-Own: 1"}}, text[] = "/nowhere", user[] = "u",
         proxy[] = "u:p@127.0.0.1:1";
    const struct {
        struct dlm_opts o;
        bool tainted;
    } ways[] = {
        {{0}, false},
        {{.headers = headers, .n_headers = 1}, true},
        {{.user = user}, true},
        {{.netrc_file = text}, true},
        {{.cookie_file = text}, true},
        {{.cert = text}, true},
        {{.proxy = proxy}, true},
        {{.cacert = text, .proxy = proxy + 4}, false},
    };
    struct dlm_url CLEANUP(dlm_url_clear) url = {0};

    CU_ASSERT_EQUAL_FATAL(dlm_url_parse("http://127.0.0.1:1/", &url, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        struct dlm_target t;
        CURL *easy = curl_easy_init();

        test_about("row %zu", i);
        CHECK_INT(dlm_target_set(easy, &ways[i].o, 0, &url, &url, NULL, &t, NULL), 0);
        CHECK_INT(t.tainted, ways[i].tainted);
        dlm_target_clear(&t);
        curl_easy_cleanup(easy);
    }
}

/* ---- --block-private ------------------------------------------------------------------------------- */

static void test_private_addresses_are_refused(void)
{
    struct dlm_opts open = {0}, blocked = {.block_private = true};
    char *url, name[100];
    struct fx_log log;
    struct get g;

    begin();
    url = fx_url(fx, "/f/x?size=10");
    snprintf(name, sizeof(name), "http://localhost:%d/f/x?size=10", fx_port(fx));
    g = get(&blocked, 0, name, NULL, NULL);
    CHECK_INT(g.target.refused, true);
    CHECK_INT(g.code, CURLE_COULDNT_CONNECT);
    CHECK_INT(get(&blocked, 0, url, NULL, NULL).target.refused, true);
    CHECK_INT(get(&open, 0, url, NULL, NULL).status, 200);
    g = get(&blocked, 0, url, NULL, NULL); /* over the connection that is there now */
    CHECK_INT(g.target.refused, true);
    CHECK_INT(g.code, CURLE_ABORTED_BY_CALLBACK);
    CU_ASSERT_EQUAL(fx_log_settle(fx, 5000, &log), 0);
    CHECK_INT(log.count, 1);
    fx_log_free(&log);
    free(url);
    end();
}

/* The proxy's own address may be private; an address in the URL may not, nor a host for which the proxy is not used. */
static void test_a_proxy_may_stand_at_a_private_address(void)
{
    struct dlm_opts o = {.block_private = true};
    char proxy[100], all[] = "*", url[] = "http://public.test/f/x?size=10", local[100];

    begin();
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", fx_port(fx));
    snprintf(local, sizeof(local), "http://127.0.0.1:%d/f/x?size=10", fx_port(other));
    o.http_proxy = proxy;
    CHECK_INT(get(&o, 0, url, NULL, NULL).target.refused, false);
    CHECK_STR(sent(fx, "Host"), "public.test");
    CHECK_INT(get(&o, 0, local, NULL, NULL).target.refused, true);
    CHECK_INT(get(&o, 0, "http://[::1]:1/", NULL, NULL).target.refused, true);
    o.no_proxy = all;
    snprintf(local, sizeof(local), "http://localhost:%d/f/x?size=10", fx_port(fx));
    CHECK_INT(get(&o, 0, local, NULL, NULL).target.refused, true);
    end();
}

/* ---- Proxies ---------------------------------------------------------------------------------------- */

static void test_the_environment_of_this_process_does_not_count(void)
{
    struct dlm_opts o = {0};
    char *url, *dead[] = {(char[]){"http_proxy"}, (char[]){"all_proxy"}};

    begin();
    url = fx_url(fx, "/f/x?size=10");
    for (size_t i = 0; i < ARRAY_SIZE(dead); i++)
        setenv(dead[i], "http://127.0.0.1:1", 1);
    CHECK_INT(get(&o, 0, url, NULL, NULL).status, 200);
    for (size_t i = 0; i < ARRAY_SIZE(dead); i++)
        unsetenv(dead[i]);
    setenv("no_proxy", "*", 1);
    o.proxy = (char[]){"127.0.0.1:1"};
    CHECK_INT(get(&o, 0, url, NULL, NULL).code, CURLE_COULDNT_CONNECT);
    unsetenv("no_proxy");
    free(url);
    end();
}

static void test_an_address_family_that_is_not_there(void)
{
    struct dlm_opts o = {.ip_version = 6};
    char *url;

    begin();
    url = fx_url(fx, "/f/x?size=10");
    CU_ASSERT_NOT_EQUAL(get(&o, 0, url, NULL, NULL).code, CURLE_OK);
    o.ip_version = 4;
    CHECK_INT(get(&o, 0, url, NULL, NULL).code, CURLE_OK);
    free(url);
    end();
}

static const struct test tests[] = {
    TEST(test_every_request_says_who_asks_and_wants_it_plain),
    TEST(test_own_headers_replace_and_remove),
    TEST(test_credentials_go_home_and_nowhere_else),
    TEST(test_only_a_handle_without_credentials_is_clean),
    TEST(test_private_addresses_are_refused),
    TEST(test_a_proxy_may_stand_at_a_private_address),
    TEST(test_the_environment_of_this_process_does_not_count),
    TEST(test_an_address_family_that_is_not_there),
};

TEST_MAIN("target", tests)
