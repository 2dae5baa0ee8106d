/* SPDX-License-Identifier: MIT */
/*
 * test_redirects.c - a credential goes to the origin it was given for, whatever that origin answers: the matrix.
 *
 *     where it leads  x  what was given  x  when
 *
 * Each case is one task. Its home answers with a redirect (or with 404, when the other place is a mirror), and the other place has the
 * file. Both are one server (tests/lib/town.h), which notes with each request what came along. At home that must be exactly what was
 * given, elsewhere nothing; and the file is whole, or the error is the right one. All cases run at once over shared connections, so that a handle or a
 * connection that remembers too much shows as well. Cookies that home sets with each answer must never come back.
 *
 * timeout: 180
 */
#include "tests/lib/house.h"
#include "tests/lib/test.h"
#include "tests/lib/town.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { SIZE = 150000, HALF = SIZE / 2, WAIT_MS = 60000 };

/* ---- The three sides -------------------------------------------------------------------------------- */

enum place { SAME, PORT, HOST, SCHEME, SUBDOMAIN, PLACES };
static const char *const places[PLACES] = {"the same origin", "another port", "another host",
                                           "another scheme", "a subdomain"};

enum when { FIRST, RETRY, RESUME, MIRROR, WHENS };
static const char *const whens[WHENS] = {"first request", "retry", "resume", "mirror"};

/* What a request can bring. */
enum { AUTHORIZATION = 1, COOKIE = 2, OWN = 4, CERTIFICATE = 8, PROXY = 16 };
static const struct {
    const char *field;
    int bit;
} fields[] = {{"Authorization", AUTHORIZATION},
              {"Cookie", COOKIE},
              {"X-Own", OWN},
              {"Proxy-Authorization", PROXY}};

static struct {
    char netrc[300], cookies[300], certs[300], ca[320], cert[320], key[320], proxy[100];
} files;

static const char *const bearer[] = {"Authorization: Bearer secret", NULL},
                         *const cookie[] = {"Cookie: a=secret", NULL},
                         *const own[] = {"X-Own: secret", NULL};

static void give_bearer(dlmgr_request *r)
{
    r->headers = bearer;
}

static void give_cookie(dlmgr_request *r)
{
    r->headers = cookie;
}

static void give_own(dlmgr_request *r)
{
    r->headers = own;
}

static void give_user(dlmgr_request *r)
{
    r->user = "user";
    r->password = "secret";
}

static void give_netrc(dlmgr_request *r)
{
    r->netrc_file = files.netrc;
}

static void give_cookies(dlmgr_request *r)
{
    r->cookie_file = files.cookies;
}

static void give_certificate(dlmgr_request *r)
{
    r->cert = files.cert;
    r->cert_key = files.key;
}

/* Its user is for the proxy alone, and what is given beside it is not for the proxy. */
static void give_proxy(dlmgr_request *r)
{
    r->proxy = files.proxy;
    r->headers = own;
}

static const struct {
    const char *what;
    void (*give)(dlmgr_request *r); /* NULL: in the URL */
    int shown;                      /* at home */
    bool https;                     /* home is */
} givens[] = {
    {"Authorization", give_bearer, AUTHORIZATION, false},
    {"Cookie", give_cookie, COOKIE, false},
    {"an own header", give_own, OWN, false},
    {"userinfo", NULL, AUTHORIZATION, false},
    {"user and password", give_user, AUTHORIZATION, false},
    {"netrc", give_netrc, AUTHORIZATION, false},
    {"a file of cookies", give_cookies, COOKIE, false},
    {"a client certificate", give_certificate, CERTIFICATE, true},
    {"a proxy's user", give_proxy, OWN, true},
};

enum { GIVENS = COUNT(givens), CASES = PLACES * GIVENS * WHENS };

/* ---- What the town has seen --------------------------------------------------------------------------- */

struct visit {
    int n, wrong, shown; /* shown: of the last that was wrong */
};

static struct one {
    enum place place;
    size_t given;
    enum when when;
    char home[160], away[160]; /* origins */
    char url[200], other[200], name[20];
    const char *mirrors[2];
    int64_t id;
    struct visit at_home, at_away;
    int answered, ranged; /* of the place that has the file */
} cases[CASES];

static struct {
    pthread_mutex_t lock;
    struct visit proxy;
    int strangers; /* requests that no case explains */
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int what_came(const struct town_request *r)
{
    int shown = r->certificate ? CERTIFICATE : 0;
    char value[200];

    for (size_t i = 0; i < COUNT(fields); i++)
        if (town_field(r, fields[i].field, value, sizeof(value)))
            shown |= fields[i].bit | (strstr(value, "set=") ? 1 << 10 : 0);
    return shown;
}

static void note(struct visit *v, int shown, int expected)
{
    v->n++;
    if (shown == expected)
        return;
    v->wrong++;
    v->shown = shown;
}

/* The case of a request that came to one of its two places; NULL: it has no business there. */
static struct one *note_request(const struct town_request *r, bool *ret_file, int *ret_times)
{
    unsigned i = (unsigned)atoi(r->path + 1);
    struct one *one = i < CASES ? &cases[i] : NULL;
    int by_proxy = r->proxied ? PROXY : 0, shown = what_came(r);
    bool home = one && !strcmp(r->origin, one->home);

    *ret_file = strstr(r->path, "/file") != NULL;
    if (!one || (!home && strcmp(r->origin, one->away)) ||
        home != (!*ret_file || one->place == SAME)) {
        seen.strangers++;
        return NULL;
    }
    if (home)
        note(&one->at_home, shown, givens[one->given].shown | by_proxy);
    else
        note(&one->at_away, shown, by_proxy);
    if (*ret_file) {
        char range[100];

        *ret_times = one->answered++;
        one->ranged += town_field(r, "Range", range, sizeof(range));
    }
    return one;
}

/* ---- What it answers ------------------------------------------------------------------------------------ */

static bool refuse(struct town_conn *c, const char *status)
{
    return town_print(c, "HTTP/1.1 %s\r\nSet-Cookie: set=it\r\nContent-Length: 0\r\n\r\n", status);
}

static bool lead_on(struct town_conn *c, const struct one *one)
{
    const char *rest = strstr(one->other, "://") + 3;

    return town_print(c,
                      "HTTP/1.1 302 Found\r\nLocation: %.*sloc:ation@%s\r\n"
                      "Set-Cookie: set=it; Path=/; Domain=localhost\r\nContent-Length: 0\r\n\r\n",
                      (int)(rest - one->other), one->other, rest);
}

static bool send_file(struct town_conn *c, const struct town_request *r, const struct one *one,
                      int times)
{
    int64_t start = 0;
    char range[100];
    bool whole = one->when != RESUME || times > 0;

    if (town_field(r, "Range", range, sizeof(range)))
        start = atoll(range + strlen("bytes="));
    if (!town_print(c,
                    "HTTP/1.1 %s\r\nETag: \"e\"\r\nSet-Cookie: set=it\r\nContent-Length: %d\r\n"
                    "Content-Range: bytes %d-%d/%d\r\n\r\n",
                    start ? "206 Partial Content" : "200 OK", (int)(SIZE - start), (int)start,
                    SIZE - 1, SIZE) ||
        !town_body(c, (uint64_t)(one - cases), start, whole ? SIZE : HALF))
        return false;
    if (!whole)
        town_await_end(c);
    return whole;
}

static bool answer(struct town_conn *c, const struct town_request *r, void *context)
{
    bool file = false;
    int times = 0;
    struct one *one = NULL;

    (void)context;
    pthread_mutex_lock(&seen.lock);
    if (r->connect)
        note(&seen.proxy, what_came(r), PROXY);
    else
        one = note_request(r, &file, &times);
    pthread_mutex_unlock(&seen.lock);
    if (r->connect)
        return true;
    if (!one)
        return refuse(c, "418 A Stranger");
    if (!file)
        return one->when == MIRROR ? refuse(c, "404 Not Here") : lead_on(c, one);
    if (one->when == RETRY && times == 0)
        return refuse(c, "503 Not Now");
    return send_file(c, r, one, times);
}

/* ---- The cases -------------------------------------------------------------------------------------------- */

static void make_case(struct one *one, const struct town *t)
{
    bool https = givens[one->given].https;
    int port = town_port(t, 0), i = (int)(one - cases);
    const char *user = givens[one->given].give ? "" : "user:secret@";

    snprintf(one->home, sizeof(one->home), "http%s://localhost:%d", https ? "s" : "", port);
    snprintf(one->away, sizeof(one->away), "http%s://%s:%d",
             https != (one->place == SCHEME) ? "s" : "",
             one->place == HOST        ? "127.0.0.1"
             : one->place == SUBDOMAIN ? "sub.localhost"
                                       : "localhost",
             one->place == PORT ? town_port(t, 1) : port);
    snprintf(one->url, sizeof(one->url), "http%s://%slocalhost:%d/%d/home", https ? "s" : "", user,
             port, i);
    snprintf(one->other, sizeof(one->other), "%s/%d/file", one->away, i);
}

static dlmgr_request request_of(const struct house *h, struct one *one)
{
    dlmgr_request request = house_request(h, one->url);

    snprintf(one->name, sizeof(one->name), "%d", (int)(one - cases));
    request.out = one->name;
    request.cacert = files.ca;
    request.proxy = "";
    request.max_tries = 3;
    request.retry_wait_ms = 20;
    request.ip_version = 4;
    one->mirrors[0] = one->other;
    if (one->when == MIRROR)
        request.mirrors = one->mirrors;
    if (givens[one->given].give)
        givens[one->given].give(&request);
    return request;
}

static void add_cases(const struct house *h, const struct town *t)
{
    static dlmgr_request requests[CASES];
    static int64_t ids[CASES];

    for (size_t i = 0; i < CASES; i++) {
        cases[i].place = (enum place)(i % PLACES);
        cases[i].given = i / PLACES % GIVENS;
        cases[i].when = (enum when)(i / PLACES / GIVENS);
        make_case(&cases[i], t);
        requests[i] = request_of(h, &cases[i]);
    }
    CHECK_INT(dlmgr_add(h->handle, requests, CASES, ids, NULL, NULL), 0);
    for (size_t i = 0; i < CASES; i++)
        cases[i].id = ids[i];
}

static bool is_downgrade(const struct one *one)
{
    return one->place == SCHEME && givens[one->given].https && one->when != MIRROR;
}

static const char *shown_text(int shown)
{
    static char text[200];

    text[0] = '\0';
    for (size_t i = 0; i < COUNT(fields); i++)
        if (shown & fields[i].bit)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", fields[i].field);
    if (shown & CERTIFICATE)
        strcat(text, " certificate");
    return text;
}

/* How many of its requests leaked. */
static int judge_case(const struct house *h, const struct one *one)
{
    struct house_result r = house_look(h, one->id);
    bool down = is_downgrade(one);

    test_about("case %d: %s; %s leads to %s, %s\n      wrong at home %d%s\n      elsewhere %d%s",
               (int)(one - cases), givens[one->given].what, one->home, places[one->place],
               whens[one->when], one->at_home.wrong,
               one->at_home.wrong ? shown_text(one->at_home.shown) : "", one->at_away.wrong,
               one->at_away.wrong ? shown_text(one->at_away.shown) : "");
    CU_ASSERT(one->at_home.n > 0);
    CHECK_INT(one->at_home.wrong, 0);
    CHECK_INT(one->at_away.wrong, 0);
    CHECK_STR(dlmgr_state_name(r.state), down ? "failed" : "done");
    if (down) {
        CHECK_INT(one->at_away.n, 0);
        CHECK_INT(r.error_code, 22);
        CHECK_INT(r.error_class, DLMGR_CLASS_POLICY);
    } else {
        if (r.state != DLMGR_DONE)
            CHECK_STR(r.text, "");
        /* The change of owners may have interrupted any of them once more. */
        CU_ASSERT(one->answered >= (one->when == RETRY || one->when == RESUME ? 2 : 1));
        CU_ASSERT(one->ranged > 0 || one->when != RESUME);
        CHECK_INT(r.state == DLMGR_DONE ? fx_file_check(r.path, SIZE, (uint64_t)(one - cases)) : 1,
                  0);
    }
    return one->at_away.wrong;
}

static void make_files(const struct town *t)
{
    FILE *f = fopen(files.netrc, "we");

    fputs("machine localhost login user password secret\ndefault login any password secret\n", f);
    fclose(f);
    f = fopen(files.cookies, "we");
    fputs(".localhost\tTRUE\t/\tFALSE\t0\ta\tsecret\n127.0.0.1\tFALSE\t/\tFALSE\t0\ta\tsecret\n", f);
    fclose(f);
    snprintf(files.proxy, sizeof(files.proxy), "http://door:secret@127.0.0.1:%d", town_port(t, 1));
}

static void name_files(void)
{
    char command[400];

    snprintf(files.netrc, sizeof(files.netrc), "%s/netrc", test_dir());
    snprintf(files.cookies, sizeof(files.cookies), "%s/cookies", test_dir());
    snprintf(files.certs, sizeof(files.certs), "%s/certs", test_dir());
    snprintf(files.ca, sizeof(files.ca), "%s/ca.pem", files.certs);
    snprintf(files.cert, sizeof(files.cert), "%s/client.pem", files.certs);
    snprintf(files.key, sizeof(files.key), "%s/client.key", files.certs);
    snprintf(command, sizeof(command), "fixtures/certs.sh %s", files.certs);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
}

/* Those that are to be resumed have begun; the owner ends, and another one goes on. */
static void change_owner(struct house *h)
{
    for (size_t i = 0; i < CASES; i++)
        if (cases[i].when == RESUME && !is_downgrade(&cases[i]))
            house_until(h, cases[i].id, HALF / 2, DLMGR_FAILED);
    house_close(h);
    house_open(h);
}

static void test_credentials_stay_with_their_origin(void)
{
    struct house h;
    struct town *t;
    int leaks = 0;

    house_begin(&h);
    house_close(&h);
    h.options.max_active = CASES;
    h.options.max_per_host = 256;
    house_open(&h);
    name_files();
    t = town_start(files.certs, answer, NULL);
    make_files(t);
    add_cases(&h, t);
    change_owner(&h);
    CHECK_INT(dlmgr_wait(h.handle, NULL, 0, WAIT_MS, NULL), 0);
    for (size_t i = 0; i < CASES; i++)
        leaks += judge_case(&h, &cases[i]);
    test_about("the proxy was shown%s", shown_text(seen.proxy.shown));
    CU_ASSERT(seen.proxy.n > 0);
    CHECK_INT(seen.proxy.wrong, 0);
    CHECK_INT(seen.strangers, 0);
    leaks += seen.proxy.wrong + seen.strangers;
    CHECK_INT(leaks, 0);
    printf("redirects: %d cases, leaks %d\n", CASES, leaks);
    t = town_stop(t);
    house_end(&h);
}

static const struct test tests[] = {
    TEST(test_credentials_stay_with_their_origin),
};

TEST_MAIN("redirects", tests)
