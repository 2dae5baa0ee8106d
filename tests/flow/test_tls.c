/* SPDX-License-Identifier: MIT */
/*
 * test_tls.c - TLS, HTTP/2 and proxies: who is trusted, what is shown to whom, and which way bytes take.
 *
 * A real nginx answers, with a fixture-server behind it for what only that can do. Proxies are nginx's plain one and tests/lib/tunnel.h.
 */
#include "tests/lib/house.h"
#include "tests/lib/site.h"
#include "tests/lib/test.h"
#include "tests/lib/tunnel.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIZE 3000000
#define LARGE 20971520

static struct house house;
static struct site site;
static struct fx *behind; /* nginx, below /x/ */
static char site_dir[] = "/tmp/dlmgr-site-XXXXXX";

/* nginx and certificates are made once, for they are slow to make. */
static void site_end(void)
{
    char command[100];

    site_stop(&site);
    behind = fx_stop(behind);
    snprintf(command, sizeof(command), "rm -rf %s", site_dir);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", site_dir);
}

static void begin(void)
{
    char file[400];

    house_begin(&house);
    if (site.pid)
        return;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(site_dir));
    CHECK_INT(fx_start(&behind, NULL), 0);
    atexit(site_end);
    site_start(&site, site_dir, fx_port(behind));
    snprintf(file, sizeof(file), "%s/www/large", site.dir);
    CHECK_INT(fx_file_write(file, LARGE, 1), 0);
}

static void end(void)
{
    house_end(&house);
}

/* In a place that lasts until the fourth call after. */
static char *at(enum site_port port, const char *path)
{
    static char urls[4][600];
    static unsigned next;
    char *url = urls[next++ % 4];

    snprintf(url, sizeof(urls[0]), "http%s://127.0.0.1:%d%s", port == SITE_HTTP ? "" : "s",
             site.port[port], path);
    return url;
}

static dlmgr_request request_for(enum site_port port, const char *path)
{
    dlmgr_request request = house_request(&house, at(port, path));

    request.cacert = site_cert(&site, "ca.pem");
    request.max_tries = 3;
    return request;
}

static struct house_result get(const dlmgr_request *request)
{
    return house_wait(&house, house_add(&house, request));
}

static bool was_logged(const char *uri, const char *text)
{
    usleep(100000); /* nginx writes its log behind the answer */
    return strstr(site_logged(&site, uri), text) != NULL;
}

/* ---- Certificates --------------------------------------------------------------------------------------- */

static const struct {
    const char *what;
    enum site_port port;
    const char *ca, *cert; /* files among the certificates */
    int state, code, class_;
} trust[] = {
    {"HTTP/2 over TLS", SITE_HTTPS, "ca.pem", NULL, DLMGR_DONE, 0, 0},
    {"HTTP/1.1 over TLS", SITE_TLS1, "ca.pem", NULL, DLMGR_DONE, 0, 0},
    {"an authority that nobody knows", SITE_HTTPS, NULL, NULL, DLMGR_FAILED, 22,
     DLMGR_CLASS_PERMANENT},
    {"another authority", SITE_HTTPS, "selfsigned.pem", NULL, DLMGR_FAILED, 22,
     DLMGR_CLASS_PERMANENT},
    {"not valid yet", SITE_NOTYET, "ca.pem", NULL, DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT},
    {"expired", SITE_EXPIRED, "ca.pem", NULL, DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT},
    {"for another host", SITE_WRONGHOST, "ca.pem", NULL, DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT},
    {"signed by itself", SITE_SELFSIGNED, "ca.pem", NULL, DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT},
    {"signed by itself, and trusted", SITE_SELFSIGNED, "selfsigned.pem", NULL, DLMGR_DONE, 0, 0},
    {"no such file of authorities", SITE_HTTPS, "nothing.pem", NULL, DLMGR_FAILED, 17,
     DLMGR_CLASS_LOCAL},
    {"a client's certificate", SITE_CLIENT, "ca.pem", "client", DLMGR_DONE, 0, 0},
    {"none, though it is wanted", SITE_CLIENT, "ca.pem", NULL, DLMGR_FAILED, 22,
     DLMGR_CLASS_PERMANENT},
    {"one that cannot be read", SITE_CLIENT, "ca.pem", "nothing", DLMGR_FAILED, 24,
     DLMGR_CLASS_NEEDS_AUTH},
};

static void test_who_is_trusted(void)
{
    begin();
    for (size_t i = 0; i < COUNT(trust); i++) {
        dlmgr_request request = request_for(trust[i].port, "/x/f?size=1000&seed=1");
        char cert[100], key[100];
        struct house_result r;

        test_about("%s", trust[i].what);
        request.cacert = trust[i].ca ? site_cert(&site, trust[i].ca) : NULL;
        if (trust[i].cert) {
            snprintf(cert, sizeof(cert), "%s.pem", trust[i].cert);
            snprintf(key, sizeof(key), "%s.key", trust[i].cert);
            request.cert = site_cert(&site, cert);
            request.cert_key = site_cert(&site, key);
        }
        r = get(&request);
        CHECK_STR(dlmgr_state_name(r.state), dlmgr_state_name(trust[i].state));
        CHECK_INT(r.error_code, trust[i].code);
        CHECK_INT(r.error_class, trust[i].class_);
        if (r.state != trust[i].state)
            CHECK_STR(r.text, "");
        if (r.state == DLMGR_DONE)
            CHECK_INT(fx_file_check(r.path, 1000, 1), 0);
    }
    end();
}

/* The certificate of a client goes to the origin it was given for: behind a redirect nginx misses it. */
static void test_a_client_certificate_stays_at_home(void)
{
    dlmgr_request request;
    struct house_result r;

    begin();
    CHECK_INT(fx_script(behind, "/x/link", "location=%s", at(SITE_CLIENT, "/x/f?size=1000&seed=1")),
              0);
    request = request_for(SITE_HTTPS, "/x/link");
    request.cert = site_cert(&site, "client.pem");
    request.cert_key = site_cert(&site, "client.key");
    r = get(&request);
    CHECK_INT(r.state, DLMGR_FAILED);
    CHECK_INT(r.http_status, 400);
    end();
}

static void read_pin(const char *file, char pin[100])
{
    unsigned char digest[32], *der = NULL;
    FILE *f = fopen(file, "re");
    X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    int len = x ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der) : 0;

    CU_ASSERT_FATAL(len > 0);
    CU_ASSERT_EQUAL(EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL), 1);
    strcpy(pin, "sha256//");
    EVP_EncodeBlock((unsigned char *)pin + 8, digest, sizeof(digest));
    OPENSSL_free(der);
    X509_free(x);
    fclose(f);
}

static void test_a_pinned_key_is_the_only_one(void)
{
    dlmgr_request request;
    struct house_result r;
    char pin[100];

    begin();
    request = request_for(SITE_HTTPS, "/x/f?size=1000&seed=1");
    request.pinned_pubkey = pin;
    read_pin(site_cert(&site, "server.pem"), pin);
    CHECK_INT(get(&request).state, DLMGR_DONE);
    read_pin(site_cert(&site, "client.pem"), pin);
    r = get(&request); /* a connection that the first one made must not serve this one */
    CHECK_INT(r.state, DLMGR_FAILED);
    CHECK_INT(r.error_class, DLMGR_CLASS_POLICY);
    end();
}

/* Whom a task trusts is stored with it: half comes, the owner ends, and the next one asks as the first did. */
static struct house_result under_the_next_owner(const char *path, const char *pin)
{
    dlmgr_request request = request_for(SITE_TLS1, path);
    int64_t id;

    request.pinned_pubkey = pin;
    CHECK_INT(fx_script(behind, path, "all:size=%d seed=1 etag=\"a\" ; stall=%d ;", SIZE, SIZE / 2),
              0);
    id = house_add(&house, &request);
    house_until(&house, id, SIZE / 4, -1);
    house_close(&house);
    house_open(&house);
    return house_wait(&house, id);
}

static void test_a_pin_and_an_authority_outlive_the_owner(void)
{
    struct house_result r;
    char pin[100];

    begin();
    read_pin(site_cert(&site, "server.pem"), pin);
    r = under_the_next_owner("/x/pinned", pin);
    CHECK_INT(r.state, DLMGR_DONE);
    CHECK_INT(r.generation, 1); /* gone on with */
    CHECK_INT(fx_file_check(r.path, SIZE, 1), 0);
    end();
}

/* The wrong ones too: added without an owner at work, refused by the one that comes. */
static void test_a_wrong_pin_is_not_forgotten(void)
{
    dlmgr_request request;
    dlmgr_selector selector = {.size = sizeof(selector)};
    struct house_result r;
    char pin[100];
    int64_t id;

    begin();
    read_pin(site_cert(&site, "client.pem"), pin);
    request = request_for(SITE_TLS1, "/x/f?size=1000&seed=1");
    request.pinned_pubkey = pin;
    request.paused = 1;
    id = house_add(&house, &request);
    house_close(&house);
    house_open(&house);
    selector.ids = &id;
    selector.n_ids = 1;
    CHECK_INT(dlmgr_act(house.handle, DLMGR_RESUME, &selector, NULL, NULL), 0);
    r = house_wait(&house, id);
    CHECK_INT(r.state, DLMGR_FAILED);
    CHECK_INT(r.error_class, DLMGR_CLASS_POLICY);
    end();
}

static void test_https_never_leads_to_http(void)
{
    dlmgr_request request;
    struct house_result r;
    struct fx_log log;

    begin();
    CHECK_INT(fx_script(behind, "/x/down", "location=http://127.0.0.1:%d/f/plain%%3Fsize=10",
                        fx_port(house.other)),
              0);
    request = request_for(SITE_HTTPS, "/x/down");
    r = get(&request);
    CHECK_INT(r.state, DLMGR_FAILED);
    CHECK_INT(r.error_class, DLMGR_CLASS_POLICY);
    CHECK_INT(fx_log_read(house.other, &log), 0);
    CHECK_INT(log.count, 0);
    fx_log_free(&log);
    CHECK_INT(fx_script(house.fx, "/up", "location=%s", at(SITE_HTTPS, "/x/f?size=10&seed=1")), 0);
    request.url = fx_url(house.fx, "/up");
    CHECK_INT(get(&request).state, DLMGR_DONE);
    free((void *)(uintptr_t)request.url);
    end();
}

/* ---- HTTP/2 ------------------------------------------------------------------------------------------------ */

static void test_segments_over_http2_make_one_file(void)
{
    dlmgr_request request;
    struct house_result r;

    begin();
    request = request_for(SITE_HTTPS, "/large");
    request.connections = 4;
    r = get(&request);
    CHECK_INT(r.state, DLMGR_DONE);
    CHECK_INT(fx_file_check(r.path, LARGE, 1), 0);
    CU_ASSERT(was_logged("/large", "HTTP/2.0"));
    request = request_for(SITE_TLS1, "/large?1");
    request.connections = 4;
    r = get(&request);
    CHECK_INT(fx_file_check(r.path, LARGE, 1), 0);
    CU_ASSERT(was_logged("/large?1", "HTTP/1.1"));
    end();
}

/* Streams of one connection are held back one by one, and none of them hangs. */
static void test_a_rate_holds_over_http2(void)
{
    dlmgr_request requests[3];
    struct house_result r;
    int64_t ids[3];

    begin();
    for (int i = 0; i < 3; i++) {
        requests[i] = request_for(SITE_HTTPS, "/large");
        requests[i].connections = 4;
        requests[i].limit_rate = i == 0 ? 0 : 10000000 * i;
        ids[i] = house_add(&house, &requests[i]);
    }
    for (int i = 0; i < 3; i++) {
        test_about("task %d", i);
        r = house_wait(&house, ids[i]);
        CHECK_INT(r.state, DLMGR_DONE);
        CHECK_INT(fx_file_check(r.path, LARGE, 1), 0);
    }
    end();
}

/* The stream breaks in the middle, and the rest is asked for. */
static void test_a_broken_stream_is_gone_on_with(void)
{
    dlmgr_request request;
    struct house_result r;
    struct fx_log log;
    int64_t id;

    begin();
    CHECK_INT(fx_script(behind, "/x/cut", "all:size=%d seed=1 etag=\"a\" ; cut=%d ;", SIZE, SIZE / 2),
              0);
    request = request_for(SITE_HTTPS, "/x/cut");
    id = house_add(&house, &request);
    r = house_wait(&house, id);
    CHECK_INT(r.state, DLMGR_DONE);
    CHECK_INT(fx_file_check(r.path, SIZE, 1), 0);
    CHECK_INT(house_events(&house, id, "restarted"), 0);
    CHECK_INT(fx_log_settle(behind, 5000, &log), 0);
    CHECK_INT(fx_log_count(&log, "/x/cut"), 2);
    CU_ASSERT(fx_log_bytes(&log, "/x/cut") < SIZE + SIZE / 2);
    fx_log_free(&log);
    end();
}

static void test_basic_auth_of_a_real_server(void)
{
    dlmgr_request request;
    struct house_result r;

    begin();
    request = request_for(SITE_HTTPS, "/auth/large");
    request.user = "user";
    request.password = "wrong";
    r = get(&request);
    CHECK_INT(r.state, DLMGR_FAILED);
    CHECK_INT(r.error_code, 24);
    request.password = "secret";
    r = get(&request);
    CHECK_INT(r.state, DLMGR_DONE);
    CHECK_INT(fx_file_check(r.path, LARGE, 1), 0);
    end();
}

/* ---- Proxies ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *proxy; /* what stands before @HOST:PORT */
    bool tls;
    const char *host, *asked;
} ways[] = {
    {"http://", true, "127.0.0.1", "connect 127.0.0.1:PORT"},
    {"", true, "localhost", "connect localhost:PORT"},
    {"http://me:it@", true, "127.0.0.1", "connect 127.0.0.1:PORT Basic bWU6aXQ="},
    {"socks4://", false, "127.0.0.1", "socks4 127.0.0.1"},
    {"socks4a://", false, "name.test", "socks4 name.test"},
    {"socks5://", false, "127.0.0.1", "socks5 127.0.0.1"},
    {"socks5h://", false, "name.test", "socks5 name.test"},
    {"socks5h://me:it@", false, "name.test", "socks5 name.test me"},
    {"socks5h://", true, "localhost", "socks5 localhost"},
};

/* PORT in the text becomes a number. */
static const char *with_port(const char *text, int port)
{
    static char out[200];
    const char *mark = strstr(text, "PORT");

    if (mark)
        snprintf(out, sizeof(out), "%.*s%d%s", (int)(mark - text), text, port, mark + 4);
    else
        snprintf(out, sizeof(out), "%s", text);
    return out;
}

static void test_each_kind_of_proxy(void)
{
    struct tunnel *tunnel;

    begin();
    tunnel = tunnel_start();
    for (size_t i = 0; i < COUNT(ways); i++) {
        int port = ways[i].tls ? site.port[SITE_HTTPS] : fx_port(house.fx);
        dlmgr_request request = request_for(SITE_HTTPS, "");
        char proxy[200], url[200];
        struct house_result r;

        test_about("%s to %s", ways[i].proxy, ways[i].host);
        snprintf(proxy, sizeof(proxy), "%s127.0.0.1:%d", ways[i].proxy, tunnel_port(tunnel));
        snprintf(url, sizeof(url), "http%s://%s:%d/x/f?size=1000&seed=1", ways[i].tls ? "s" : "",
                 ways[i].host, port);
        request.url = url;
        request.proxy = proxy;
        r = get(&request);
        if (!CHECK_INT(r.state, DLMGR_DONE))
            CHECK_STR(r.text, "");
        CHECK_STR(tunnel_asked(tunnel), with_port(ways[i].asked, port));
    }
    end();
    tunnel_stop(tunnel);
}

static void test_a_proxy_that_refuses(void)
{
    static const struct {
        int status, code, class_;
    } rows[] = {{407, 24, DLMGR_CLASS_NEEDS_AUTH},
                {403, 22, DLMGR_CLASS_PERMANENT},
                {302, 22, DLMGR_CLASS_PERMANENT}, /* not followed: the server did not say it */
                {502, 6, DLMGR_CLASS_TRANSIENT}};
    struct tunnel *tunnel;

    begin();
    tunnel = tunnel_start();
    for (size_t i = 0; i < COUNT(rows); i++) {
        dlmgr_request request = request_for(SITE_HTTPS, "/x/f?size=1000&seed=1");
        char proxy[100];
        struct house_result r;

        test_about("%d", rows[i].status);
        tunnel_refuse(tunnel, rows[i].status);
        snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", tunnel_port(tunnel));
        request.proxy = proxy;
        r = get(&request);
        CHECK_INT(r.state, DLMGR_FAILED);
        CHECK_INT(r.error_code, rows[i].code);
        CHECK_INT(r.error_class, rows[i].class_);
        CHECK_INT(r.http_status, rows[i].status);
    }
    end();
    tunnel_stop(tunnel);
}

/* The variables of whoever adds the task are stored with it; those of the owner do not matter. */
static void test_proxies_of_the_environment(void)
{
    dlmgr_request request;
    struct fx_log log;
    char proxy[100];

    begin();
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", site.port[SITE_PROXY]);
    request = request_for(SITE_HTTP, "");
    request.url = fx_url(house.fx, "/f/x?size=10&seed=1");
    request.paused = 1;
    setenv("http_proxy", proxy, 1);
    CU_ASSERT(house_add(&house, &request) > 0);
    setenv("no_proxy", "127.0.0.0/8", 1);
    CU_ASSERT(house_add(&house, &request) > 0);
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    for (int64_t id = 1; id <= 2; id++) {
        dlmgr_selector selector = {.size = sizeof(selector), .ids = &id, .n_ids = 1};

        test_about("task %d", (int)id);
        CHECK_INT(dlmgr_act(house.handle, DLMGR_RESUME, &selector, NULL, NULL), 0);
        CHECK_INT(house_wait(&house, id).state, DLMGR_DONE);
        CHECK_INT(fx_log_settle(house.fx, 5000, &log), 0);
        CHECK_INT(log.count, id);
        CHECK_STR(fx_request_header(&log.requests[log.count - 1], "Via"),
                  id == 1 ? "fixture" : NULL);
        fx_log_free(&log);
    }
    free((void *)(uintptr_t)request.url);
    end();
}

static const struct test tests[] = {
    TEST(test_who_is_trusted),
    TEST(test_a_client_certificate_stays_at_home),
    TEST(test_a_pinned_key_is_the_only_one),
    TEST(test_a_pin_and_an_authority_outlive_the_owner),
    TEST(test_a_wrong_pin_is_not_forgotten),
    TEST(test_https_never_leads_to_http),
    TEST(test_segments_over_http2_make_one_file),
    TEST(test_a_rate_holds_over_http2),
    TEST(test_a_broken_stream_is_gone_on_with),
    TEST(test_basic_auth_of_a_real_server),
    TEST(test_each_kind_of_proxy),
    TEST(test_a_proxy_that_refuses),
    TEST(test_proxies_of_the_environment),
};

TEST_MAIN("tls", tests)
