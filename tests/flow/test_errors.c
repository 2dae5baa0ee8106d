/* SPDX-License-Identifier: MIT */
/*
 * test_errors.c - what a failed task says: the same object in the API's structs, in show and in the event, with where it happened, what was
 * seen there and whose certificate it was. SHOW=1 prints the objects, one a line.
 *
 * A row is a way to fail. What must stand in its object is told as pieces of its JSON, what must not as secrets that were given.
 */
#include "tests/lib/house.h"
#include "tests/lib/site.h"
#include "tests/lib/test.h"
#include "tests/lib/tunnel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct house house;
static struct site site;
static struct tunnel *tunnel;
static char site_dir[] = "/tmp/dlmgr-site-XXXXXX";

static void site_end(void)
{
    char command[100];

    site_stop(&site);
    snprintf(command, sizeof(command), "rm -rf %s", site_dir);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", site_dir);
}

/* nginx and certificates are made once, for they are slow to make. */
static void begin(void)
{
    house_begin(&house);
    tunnel = tunnel_start();
    if (site.pid)
        return;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(site_dir));
    atexit(site_end);
    site_start(&site, site_dir, fx_port(house.other));
}

static void end(void)
{
    house_end(&house);
    tunnel_stop(tunnel);
}

/* ---- Ways to fail ---------------------------------------------------------------------------------- */

enum place { FIXTURE, SITE, ELSEWHERE };

static void with_ca(dlmgr_request *r)
{
    r->cacert = site_cert(&site, "ca.pem");
}

static void with_a_wrong_ca(dlmgr_request *r)
{
    r->cacert = site_cert(&site, "client.pem");
}

static void with_a_pin(dlmgr_request *r)
{
    with_ca(r);
    r->pinned_pubkey = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
}

static void by_tunnel(dlmgr_request *r)
{
    static char proxy[100];

    with_ca(r);
    tunnel_refuse(tunnel, 407);
    snprintf(proxy, sizeof(proxy), "http://me:hush-hush@127.0.0.1:%d", tunnel_port(tunnel));
    r->proxy = proxy;
}

static void to_a_name(dlmgr_request *r)
{
    /* Too long a label: no name server is asked. */
    r->url =
        "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test/f";
}

static void to_a_closed_port(dlmgr_request *r)
{
    r->url = "http://127.0.0.1:1/f";
}

static void to_an_http_port(dlmgr_request *r)
{
    static char url[100];

    snprintf(url, sizeof(url), "https://127.0.0.1:%d/f", site.port[SITE_HTTP]);
    r->url = url;
}

static void with_secrets(dlmgr_request *r)
{
    static const char *const headers[] = {"X-Token: topsecret", "Accept: text/plain", NULL};

    r->user = "me";
    r->password = "hush-hush";
    r->headers = headers;
}

static void with_a_digest(dlmgr_request *r)
{
    r->checksum = "sha-256=0000000000000000000000000000000000000000000000000000000000000000";
}

static void that_exists(dlmgr_request *r)
{
    house_write(&house, "there", "x");
    r->out = "there";
    r->on_exists = DLMGR_EXISTS_FAIL;
}

static void in_a_file(dlmgr_request *r)
{
    house_write(&house, "notdir", "x");
    r->out = "notdir/f";
    r->create_dirs = 1;
}

static const struct row {
    const char *what;
    const char *steps; /* of /f at the fixture-server, or NULL: */
    int port;          /* of the site; -1: set() gives a URL */
    void (*set)(dlmgr_request *r);
    int stage, class_, code, status;
    const char *has[6]; /* in its JSON */
} rows[] = {
    {"404",
     "status=404 text=no%20such%20file header=Content-Type:%20text/html",
     -1,
     NULL,
     DLMGR_STAGE_RECEIVE,
     DLMGR_CLASS_PERMANENT,
     3,
     404,
     {"\"stage\":\"receive\"", "\"http_status\":404", "\"body_excerpt\":\"no such file\"",
      "\"Content-Type\":", "\"tls\":null", "\"address\":\"127.0.0.1:"}},
    {"403 with a body that says back what it was told",
     "status=403 header=Content-Type:%20text/plain text=key%20topsecret%20of%20me:hush-hush%20(Basic%20bWU6aHVzaC1odXNo)%20is%20wrong "
     "header=X-Request-Id:%20r-1 header=Set-Cookie:%20id=7 header=Server:%20fx%20topsecret",
     -1,
     with_secrets,
     DLMGR_STAGE_RECEIVE,
     DLMGR_CLASS_NEEDS_AUTH,
     24,
     403,
     {"\"body_excerpt\":\"key *** of me:*** (Basic ***) is wrong\"", "\"X-Request-Id\":\"r-1\"",
      "\"Server\":\"fx ***\"", "\"Content-Type\":\"text/plain\""}},
    {"401 with a challenge",
     "status=401 header=WWW-Authenticate:%20Digest%20realm=\"files\",%20nonce=\"abc\",%20qop=\"auth\"",
     -1,
     NULL,
     DLMGR_STAGE_RECEIVE,
     DLMGR_CLASS_NEEDS_AUTH,
     24,
     401,
     {"\"WWW-Authenticate\":\"Basic realm=\\\"fixture\\\", Digest realm=\\\"files\\\"\""}},
    {"407",
     "status=407 text=pay%20first header=Proxy-Authenticate:%20Basic%20realm=\"way%20out\"",
     -1,
     NULL,
     DLMGR_STAGE_RECEIVE,
     DLMGR_CLASS_NEEDS_AUTH,
     24,
     407,
     {"\"Proxy-Authenticate\":\"Basic realm=\\\"way out\\\"\"", "\"body_excerpt\":\"pay first\""}},
    {"407 to CONNECT",
     NULL,
     SITE_HTTPS,
     by_tunnel,
     DLMGR_STAGE_CONNECT,
     DLMGR_CLASS_NEEDS_AUTH,
     24,
     407,
     {"\"Proxy-Authenticate\":\"Basic realm=\\\"the tunnel\\\"\"",
      "\"proxy\":\"http://***@127.0.0.1:", "\"body_excerpt\":null"}},
    {"500 with Retry-After",
     "status=500 retry_after=0 text=ouch",
     -1,
     NULL,
     DLMGR_STAGE_RECEIVE,
     DLMGR_CLASS_TRANSIENT,
     22,
     500,
     {"\"Retry-After\":\"0\"", "\"body_excerpt\":\"ouch\"", "\"attempts\":2",
      "gave up after 2 tries"}},
    {"a redirect that is refused, with a signed link",
     "location=ftp://me:hush-hush@host/f%3Fsig=topsecret",
     -1,
     NULL,
     DLMGR_STAGE_RECEIVE,
     DLMGR_CLASS_POLICY,
     22,
     302,
     {"\"Location\":\"ftp://***@host/f?sig=***\""}},
    {"expired",
     NULL,
     SITE_EXPIRED,
     with_ca,
     DLMGR_STAGE_TLS,
     DLMGR_CLASS_PERMANENT,
     22,
     0,
     {"\"check\":\"expired\"", "\"depth\":0", "\"subject\":\"CN=localhost\"",
      "\"issuer\":\"CN=dlmgr test authority\"", "\"not_after\":\"2001-01-01T00:00:00.000Z\"",
      "valid 2000-01-01 to 2001-01-01"}},
    {"not yet valid",
     NULL,
     SITE_NOTYET,
     with_ca,
     DLMGR_STAGE_TLS,
     DLMGR_CLASS_PERMANENT,
     22,
     0,
     {"\"check\":\"not-yet-valid\"", "\"not_before\":\"2048-01-01T00:00:00.000Z\""}},
    {"for another host",
     NULL,
     SITE_WRONGHOST,
     with_ca,
     DLMGR_STAGE_TLS,
     DLMGR_CLASS_PERMANENT,
     22,
     0,
     {"\"check\":\"wrong-host\"", "\"names\":[\"wrong.example\"]"}},
    {"of an authority that nobody knows",
     NULL,
     SITE_HTTPS,
     with_a_wrong_ca,
     DLMGR_STAGE_TLS,
     DLMGR_CLASS_PERMANENT,
     22,
     0,
     {"\"check\":\"unknown-ca\"", "\"issuer\":\"CN=dlmgr test authority\"",
      "\"names\":[\"localhost\",\"127.0.0.1\",\"::1\"]", "--cacert"}},
    {"signed by itself",
     NULL,
     SITE_SELFSIGNED,
     with_ca,
     DLMGR_STAGE_TLS,
     DLMGR_CLASS_PERMANENT,
     22,
     0,
     {"\"check\":\"self-signed\"", "\"issuer\":\"CN=localhost\""}},
    {"another key than the pinned one",
     NULL,
     SITE_HTTPS,
     with_a_pin,
     DLMGR_STAGE_TLS,
     DLMGR_CLASS_POLICY,
     22,
     0,
     {"\"check\":\"pin-mismatch\"", "\"subject\":\"CN=localhost\"", "\"public_key\":\"sha256//"}},
    {"no TLS there",
     NULL,
     -1,
     to_an_http_port,
     DLMGR_STAGE_TLS,
     DLMGR_CLASS_PERMANENT,
     22,
     0,
     {"\"check\":\"protocol\"", "\"certificate\":null"}},
    {"no such name",
     NULL,
     -1,
     to_a_name,
     DLMGR_STAGE_RESOLVE,
     DLMGR_CLASS_TRANSIENT,
     19,
     0,
     {"\"address\":null", "\"headers\":null", "\"attempts\":2"}},
    {"nobody listens",
     NULL,
     -1,
     to_a_closed_port,
     DLMGR_STAGE_CONNECT,
     DLMGR_CLASS_TRANSIENT,
     6,
     0,
     {"\"address\":\"127.0.0.1:1\"", "Connection refused"}},
    {"a reset instead of an answer",
     "drop=rst",
     -1,
     NULL,
     DLMGR_STAGE_RECEIVE,
     DLMGR_CLASS_TRANSIENT,
     6,
     0,
     {"Connection reset by peer", "\"address\":\"127.0.0.1:"}},
    {"a reset within the body",
     "size=500000 seed=1 reset=1000 header=Server:%20fx",
     -1,
     NULL,
     DLMGR_STAGE_RECEIVE,
     DLMGR_CLASS_TRANSIENT,
     6,
     0,
     {"Connection reset by peer", "\"body_excerpt\":null", "\"Server\":\"fx\""}},
    {"another digest",
     "size=5000 seed=1",
     -1,
     with_a_digest,
     DLMGR_STAGE_VERIFY,
     DLMGR_CLASS_PERMANENT,
     32,
     0,
     {"\"body_excerpt\":null", "\"http_status\":null", "\"attempts\":1"}},
    {"a file that exists",
     "size=5000 seed=1",
     -1,
     that_exists,
     DLMGR_STAGE_COMMIT,
     DLMGR_CLASS_POLICY,
     13,
     0,
     {"\"headers\":null"}},
    {"a directory that is a file",
     "size=5000 seed=1",
     -1,
     in_a_file,
     DLMGR_STAGE_WRITE,
     DLMGR_CLASS_LOCAL,
     17,
     0,
     {"notdir"}},
};

/* ---- The same everywhere --------------------------------------------------------------------------- */

static void check_event(int64_t id, const dlmgr_task *t)
{
    dlmgr_event_list *list = NULL;
    const dlmgr_event *e = NULL;
    char *json;

    CHECK_INT(dlmgr_events(house.handle, "default", 0, 0, &list, NULL), 0);
    for (size_t i = 0; i < dlmgr_event_list_count(list); i++)
        if (dlmgr_event_list_at(list, i)->task == id &&
            !strcmp(dlmgr_event_list_at(list, i)->type, "failed"))
            e = dlmgr_event_list_at(list, i);
    if (e) {
        CHECK_STR(e->error_json, t->error_json);
        CHECK_STR(e->error_text, t->error_text);
        CHECK_STR(e->error_address, t->error_address);
        CHECK_INT(e->error_code, t->error_code);
        CHECK_INT(e->error_class, t->error_class);
        CHECK_INT(e->error_stage, t->error_stage);
        CHECK_INT(e->http_status, t->http_status);
        json = dlmgr_event_json(e);
        CU_ASSERT(json && strstr(json, t->error_json));
        free(json);
    }
    CU_ASSERT_PTR_NOT_NULL(e);
    dlmgr_event_list_free(list);
}

static void check_show(int64_t id, const dlmgr_task *t)
{
    char *json = NULL;

    CHECK_INT(dlmgr_show(house.handle, id, 0, &json, NULL), 0);
    CU_ASSERT(json && strstr(json, t->error_json));
    free(json);
}

static void check_task(const struct row *row, int64_t id, const dlmgr_task *t)
{
    CHECK_STR(dlmgr_stage_name(t->error_stage), dlmgr_stage_name(row->stage));
    CHECK_STR(dlmgr_class_name(t->error_class), dlmgr_class_name(row->class_));
    CHECK_INT(t->error_code, row->code);
    CHECK_INT(t->http_status, row->status);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t->error_json);
    for (size_t i = 0; i < COUNT(row->has) && row->has[i]; i++)
        if (!strstr(t->error_json, row->has[i]))
            CHECK_STR(t->error_json, row->has[i]);
    CU_ASSERT(!strstr(t->error_json, "hush-hush") && !strstr(t->error_json, "topsecret"));
    CU_ASSERT(strstr(t->error_json, "\"first_try_at\":\"20") != NULL);
    check_event(id, t);
    check_show(id, t);
    if (getenv("SHOW"))
        printf("%s\n    %s\n", row->what, t->error_json);
}

static void fail_as(const struct row *row)
{
    char url[200];
    char *given = row->steps ? fx_url(house.fx, "/f") : NULL;
    dlmgr_request request = house_request(&house, given);
    dlmgr_selector selector = {.size = sizeof(selector), .n_ids = 1};
    dlmgr_list *list = NULL;
    int64_t id;

    request.max_tries = 2;
    if (row->steps)
        CHECK_INT(fx_script(house.fx, "/f", "%s", row->steps), 0);
    if (row->port >= 0) {
        snprintf(url, sizeof(url), "https://127.0.0.1:%d/x/f", site.port[row->port]);
        request.url = url;
    }
    if (row->set)
        row->set(&request);
    id = house_add(&house, &request);
    CHECK_INT(house_wait(&house, id).state, DLMGR_FAILED);
    selector.ids = &id;
    CHECK_INT(dlmgr_query(house.handle, &selector, &list, NULL), 0);
    if (dlmgr_list_at(list, 0))
        check_task(row, id, dlmgr_list_at(list, 0));
    dlmgr_list_free(list);
    free(given);
}

static void test_what_a_failed_task_says(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        test_about("%s", rows[i].what);
        fail_as(&rows[i]);
    }
    end();
}

/* An answer of any size leaves an excerpt of at most 4 KiB, and characters are not cut. */
static void test_an_excerpt_is_short(void)
{
    dlmgr_request request;
    char *json = NULL, *url, *text, body[6002] = "a";
    int64_t id;

    begin();
    for (size_t i = 1; i + 1 < sizeof(body); i += 2)
        memcpy(body + i, "\xc3\xa9", 3);
    CHECK_INT(fx_script(house.fx, "/f", "status=404 text=%s", body), 0);
    url = fx_url(house.fx, "/f");
    request = house_request(&house, url);
    id = house_add(&house, &request);
    CHECK_INT(house_wait(&house, id).state, DLMGR_FAILED);
    CHECK_INT(dlmgr_show(house.handle, id, 0, &json, NULL), 0);
    text = json ? strstr(json, "\"body_excerpt\":\"") : NULL;
    CU_ASSERT_PTR_NOT_NULL(text);
    if (text)
        CHECK_INT(strcspn(text + 16, "\""), 4095);
    free(json);
    free(url);
    end();
}

/* The first try is remembered over waiting and over the owner's end. */
static void test_the_first_try_outlives_the_owner(void)
{
    dlmgr_request request;
    char *json = NULL, *url, first[60] = "", *found;
    int64_t id;

    begin();
    CHECK_INT(fx_script(house.fx, "/f", "status=503"), 0);
    url = fx_url(house.fx, "/f");
    request = house_request(&house, url);
    request.retry_wait_ms = 1000;
    request.max_tries = 2;
    id = house_add(&house, &request);
    house_until(&house, id, 1, DLMGR_WAITING);
    CHECK_INT(dlmgr_show(house.handle, id, 0, &json, NULL), 0);
    found = json ? strstr(json, "\"first_try_at\":") : NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    snprintf(first, sizeof(first), "%.41s", found);
    CU_ASSERT(strstr(json, "\"attempts\":1") != NULL);
    free(json);
    house_close(&house);
    house_open(&house);
    CHECK_INT(house_wait(&house, id).state, DLMGR_FAILED);
    json = NULL;
    CHECK_INT(dlmgr_show(house.handle, id, 0, &json, NULL), 0);
    CU_ASSERT(json && strstr(json, first));
    CU_ASSERT(json && strstr(json, "\"attempts\":2,\"first_try_at\""));
    free(json);
    free(url);
    end();
}

static const struct test tests[] = {
    TEST(test_what_a_failed_task_says),
    TEST(test_an_excerpt_is_short),
    TEST(test_the_first_try_outlives_the_owner),
};

TEST_MAIN("errors", tests)
