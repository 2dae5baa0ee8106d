/* SPDX-License-Identifier: MIT */
/*
 * test_limits.c - each limit of an owner at its edge: as much as it allows is fine, a little more is refused, by its name.
 *
 * A row sets a limit and has the server (tests/lib/town.h) do so much. All tasks of one setting run at once.
 */
#include "tests/lib/house.h"
#include "tests/lib/test.h"
#include "tests/lib/town.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { SIZE = 3000, SEED = 7, WAIT_MS = 30000 };

/* ---- What the server does, by the path /WHAT/N -------------------------------------------------------------- */

static const char ok[] = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\n";

/* N bytes of header in all, and the file. */
static bool send_header_of(struct town_conn *c, int n)
{
    char fixed[200], filler[60000];
    int len = snprintf(fixed, sizeof(fixed), "%sContent-Length: %d\r\n\r\n", ok, SIZE);

    if (!town_print(c, "%s", ok))
        return false;
    for (int left = n - len; left > 0;) { /* no line beyond 60,000 bytes, and none shorter than 5 */
        int line = left > 60000 ? (left - 60000 < 5 ? 50000 : 60000) : left;

        memset(filler, 'x', (size_t)line);
        memcpy(filler, "X:", 2);
        memcpy(filler + line - 2, "\r\n", 2);
        if (!town_say(c, filler, (size_t)line))
            return false;
        left -= line;
    }
    return town_print(c, "%s", fixed + strlen(ok)) && town_body(c, SEED, 0, SIZE);
}

static bool send_header_lines(struct town_conn *c, int n)
{
    if (!town_print(c, "%s", ok))
        return false;
    for (int i = 4; i < n; i++) /* two above, the length and the blank one */
        if (!town_print(c, "X:\r\n"))
            return false;
    return town_print(c, "Content-Length: %d\r\n\r\n", SIZE) && town_body(c, SEED, 0, SIZE);
}

static bool send_file(struct town_conn *c, int size)
{
    return town_print(c, "%sContent-Length: %d\r\n\r\n", ok, size) && town_body(c, SEED, 0, size);
}

/* Without a length, so that it shows only while it comes. */
static bool send_unsaid(struct town_conn *c, int size)
{
    if (town_print(c, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n", ok, size) &&
        town_body(c, SEED, 0, size))
        town_print(c, "\r\n0\r\n\r\n");
    return false;
}

static bool redirect(struct town_conn *c, int n)
{
    return n == 0 ? send_file(c, SIZE)
                  : town_print(c,
                               "HTTP/1.1 302 Found\r\nLocation: /redirect/%d\r\nContent-Length: "
                               "0\r\n\r\n",
                               n - 1);
}

static bool answer_late(struct town_conn *c, int ms)
{
    return town_pause(c, ms) && send_file(c, SIZE);
}

/* So many bytes a second, in four drops each. */
static bool drip_for(struct town_conn *c, int speed, int seconds)
{
    if (!town_print(c, "%sContent-Length: %d\r\n\r\n", ok, speed * seconds))
        return false;
    for (int i = 0; i < 4 * seconds; i++)
        if (!town_body(c, SEED, i * speed / 4, (i + 1) * speed / 4) || !town_pause(c, 250))
            return false;
    return true;
}

static bool drip(struct town_conn *c, int speed)
{
    return drip_for(c, speed, 4);
}

static bool drip_briefly(struct town_conn *c, int speed)
{
    return drip_for(c, speed, 2);
}

/* A header that never ends, a byte now and then. */
static bool drip_header(struct town_conn *c, int ms)
{
    bool open = town_print(c, "%sX-Long: ", ok);

    while (open)
        open = town_print(c, "x") && town_pause(c, ms);
    return false;
}

static bool send_back(struct town_conn *c, int after_s)
{
    return town_print(c, "HTTP/1.1 503 Later\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n",
                      after_s);
}

static bool refuse_at_length(struct town_conn *c, int size)
{
    bool open = town_print(c, "HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n", size);

    for (int i = 0; open && i < size; i += 1000)
        open = town_print(c, "%0*d", size - i < 1000 ? size - i : 1000, 0);
    return open;
}

static const struct {
    const char *what;
    bool (*answer)(struct town_conn *c, int n);
} answers[] = {{"header", send_header_of},
               {"lines", send_header_lines},
               {"file", send_file},
               {"unsaid", send_unsaid},
               {"redirect", redirect},
               {"late", answer_late},
               {"drip", drip},
               {"briefly", drip_briefly},
               {"slowly", drip_header},
               {"later", send_back},
               {"refuse", refuse_at_length}};

static bool answer(struct town_conn *c, const struct town_request *r, void *context)
{
    char what[20] = "";
    int n = 0;

    (void)context;
    if (sscanf(r->path, "/%19[a-z]/%d", what, &n) == 2)
        for (size_t i = 0; i < COUNT(answers); i++)
            if (!strcmp(answers[i].what, what))
                return answers[i].answer(c, n);
    return false;
}

/* ---- The rows ----------------------------------------------------------------------------------------------- */

static const struct row {
    const char *limits[3]; /* an empty one: the normal ones */
    const char *path;
    int state, code, class_;
    int size;         /* of the file, when it is done */
    const char *says; /* the error */
} rows[] = {
#define FAILED(code, class_) DLMGR_FAILED, (code), DLMGR_CLASS_##class_, 0
#define DONE(size) DLMGR_DONE, 0, 0, (size), ""
    {{NULL}, "/header/262144", DONE(SIZE)},
    {{NULL}, "/header/262145", FAILED(22, PERMANENT), "header-bytes allows (262144)"},
    {{NULL}, "/lines/1000", DONE(SIZE)},
    {{NULL}, "/lines/1001", FAILED(22, PERMANENT), "header-lines allows (1000)"},
    {{NULL}, "/redirect/10", DONE(SIZE)},
    {{NULL}, "/redirect/11", FAILED(23, PERMANENT), "redirects allows (10)"},
    {{"header-bytes=2k"}, "/header/2048", DONE(SIZE)},
    {{"header-bytes=2k"}, "/header/2049", FAILED(22, PERMANENT), "header-bytes allows (2048)"},
    {{"header-lines=20"}, "/lines/20", DONE(SIZE)},
    {{"header-lines=20"}, "/lines/21", FAILED(22, PERMANENT), "header-lines allows (20)"},
    {{"redirects=0"}, "/redirect/0", DONE(SIZE)},
    {{"redirects=0"}, "/redirect/1", FAILED(23, PERMANENT), "redirects allows (0)"},
    {{"redirects=50"}, "/redirect/50", DONE(SIZE)},
    {{"redirects=50"}, "/redirect/51", FAILED(23, PERMANENT), "redirects allows (50)"},
    {{"file-bytes=100k"}, "/file/102400", DONE(102400)},
    {{"file-bytes=100k"}, "/file/102401", FAILED(22, POLICY), "more than file-bytes allows (102400)"},
    {{"file-bytes=100k"}, "/unsaid/102400", DONE(102400)},
    {{"file-bytes=100k"}, "/unsaid/102401", FAILED(22, POLICY), "file-bytes allows (102400)"},
    {{"answer-time=2"}, "/late/200", DONE(SIZE)},
    {{"answer-time=2"}, "/late/8000", FAILED(2, TRANSIENT), "no answer within answer-time (2 s)"},
    {{"answer-time=2"}, "/slowly/100", FAILED(2, TRANSIENT), "no answer within answer-time (2 s)"},
    {{"low-speed=2k", "low-speed-time=2"}, "/drip/8192", DONE(8192 * 4)},
    {{"low-speed=2k", "low-speed-time=2"},
     "/drip/512",
     FAILED(2, TRANSIENT),
     "slower than low-speed (2048 bytes/s) over low-speed-time (2 s)"},
    {{"low-speed=0", "low-speed-time=1"}, "/briefly/512", DONE(512 * 2)},
    {{"retry-after=1"}, "/later/600", FAILED(22, TRANSIENT), "gave up after 2 tries"},
};

static bool same_limits(const struct row *a, const struct row *b)
{
    for (size_t i = 0; i < COUNT(a->limits); i++)
        if (!a->limits[i] != !b->limits[i] || (a->limits[i] && strcmp(a->limits[i], b->limits[i])))
            return false;
    return true;
}

static void judge(const struct house *h, const struct row *row, int64_t id)
{
    struct house_result r = house_wait(h, id);

    test_about("%s, %s", row->limits[0] ? row->limits[0] : "nothing set", row->path);
    CHECK_STR(dlmgr_state_name(r.state), dlmgr_state_name(row->state));
    CHECK_INT(r.error_code, row->code);
    CHECK_INT(r.error_class, row->class_);
    if (!strstr(r.text, row->says) || (r.text[0] && !row->says[0]))
        CHECK_STR(r.text, row->says);
    CHECK_INT(r.path[0] != '\0', row->state == DLMGR_DONE);
    if (row->state == DLMGR_DONE)
        CHECK_INT(fx_file_check(r.path, row->size, SEED), 0);
}

static void add(const struct house *h, const struct town *t, const char *path, int64_t *ret_id)
{
    char url[200];
    dlmgr_request request;

    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", town_port(t, 0), path);
    request = house_request(h, url);
    request.max_tries = strstr(path, "/later/") ? 2 : 1;
    request.connections = 1;
    *ret_id = house_add(h, &request);
}

static void open_with(struct house *h, const char *const *limits)
{
    if (h->handle)
        house_close(h);
    h->options.limits = limits;
    h->options.max_active = 100;
    h->options.max_per_host = 100;
    house_open(h);
}

static void test_a_bit_more_is_refused_by_name(void)
{
    struct house h;
    struct town *t = town_start(NULL, answer, NULL);

    house_begin(&h);
    for (size_t i = 0, n; i < COUNT(rows); i += n) {
        int64_t ids[COUNT(rows)];

        open_with(&h, rows[i].limits);
        for (n = 0; i + n < COUNT(rows) && same_limits(&rows[i], &rows[i + n]); n++)
            add(&h, t, rows[i + n].path, &ids[n]);
        for (size_t j = 0; j < n; j++)
            judge(&h, &rows[i + j], ids[j]);
    }
    house_end(&h);
    t = town_stop(t);
}

static void test_an_excerpt_is_as_long_as_allowed(void)
{
    static const char *const limits[] = {"error-excerpt=1000", NULL};
    static const struct {
        int size, shown;
    } sizes[] = {{1000, 1000}, {1001, 1000}, {200000, 1000}};
    struct house h;
    struct town *t = town_start(NULL, answer, NULL);

    house_begin(&h);
    open_with(&h, limits);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char path[40], *json = NULL, *at;
        size_t len = 0;
        int64_t id;

        snprintf(path, sizeof(path), "/refuse/%d", sizes[i].size);
        add(&h, t, path, &id);
        house_wait(&h, id);
        CHECK_INT(dlmgr_show(h.handle, id, 0, &json, NULL), 0);
        at = json ? strstr(json, "\"body_excerpt\":\"") : NULL;
        CU_ASSERT_PTR_NOT_NULL(at);
        if (at)
            len = strcspn(at + strlen("\"body_excerpt\":\""), "\"");
        CHECK_INT(len, sizes[i].shown);
        free(json);
    }
    house_end(&h);
    t = town_stop(t);
}

/* A server that accepts and then says nothing of TLS. */
static void test_connecting_takes_no_longer_than_allowed(void)
{
    static const char *const limits[] = {"connect-time=1", NULL};
    struct house h;
    struct town *t = town_start(NULL, answer, NULL);
    struct house_result r;
    dlmgr_request request;
    char url[200];

    house_begin(&h);
    open_with(&h, limits);
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/", town_port(t, 0));
    request = house_request(&h, url);
    request.max_tries = 1;
    r = house_wait(&h, house_add(&h, &request));
    CHECK_INT(r.error_code, 2);
    CHECK_INT(r.error_class, DLMGR_CLASS_TRANSIENT);
    CU_ASSERT(strstr(r.text, "no connection within connect-time") != NULL);
    if (!strstr(r.text, "connect-time"))
        CHECK_STR(r.text, "");
    house_end(&h);
    t = town_stop(t);
}

static const struct test tests[] = {
    TEST(test_a_bit_more_is_refused_by_name),
    TEST(test_an_excerpt_is_as_long_as_allowed),
    TEST(test_connecting_takes_no_longer_than_allowed),
};

TEST_MAIN("limits", tests)
