/* SPDX-License-Identifier: MIT */
/*
 * test_client.c - the blocking side of control.sock, against a good door, against owners that are not there, mute, foreign or
 * just leaving.
 */
#include "dlmgr/client.h"
#include "dlmgr/json.h"
#include "tests/lib/door.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct dlm_client *knock(struct dlm_home *home)
{
    struct dlm_client *c = NULL;
    dlmgr_error e = {0};

    CHECK_INT(dlm_client_open(home, &c, &e), 0);
    CHECK_STR(e.text, "");
    CU_ASSERT_FATAL(c != NULL);
    return c;
}

/* ---- A good door ---------------------------------------------------------------------------------- */

static void test_client_asks(void)
{
    struct door *d = door_open();
    struct dlm_client *c = knock(door_home_of(d));
    CLEANUP_JSON json_t *first = NULL, *second = NULL, *echo = NULL;
    dlmgr_error e = {0};

    CHECK_INT(fcntl(dlm_client_fd(c), F_GETFD), FD_CLOEXEC);
    CHECK_INT(dlm_client_call(c, "status", NULL, -1, &first, &e), 0);
    CHECK_INT(dlm_json_int(first, "n", -1), 0);
    CHECK_INT(dlm_client_call(c, "status", json_object(), 1000, &second, &e), 0);
    CHECK_INT(dlm_json_int(second, "n", -1), 1);
    CHECK_INT(dlm_client_call(c, "add", json_pack("{s:s}", "url", "caf\xc3\xa9"), -1, &echo, &e), 0);
    CHECK_STR(dlm_json_string(echo, "url"), "caf\xc3\xa9");
    dlm_client_close(c);
    door_close(d);
}

/* An error comes whole, with what is not UTF-8 made readable; nothing is written to ret_result. */
static void test_client_gets_errors(void)
{
    struct door *d = door_open();
    struct dlm_client *c = knock(door_home_of(d));
    json_t *result = NULL;
    dlmgr_error e = {0};

    CHECK_INT(dlm_client_call(c, "find", json_object(), -1, &result, &e), DLMGR_EIO);
    CHECK_STR(e.text, "cannot read caf?");
    CHECK_STR(e.path, "/a/?");
    CHECK_INT(e.sys_errno, EIO);
    CHECK_INT(dlm_client_call(c, "nosuch", json_object(), -1, &result, &e), DLMGR_EPROTO);
    CHECK_STR(e.text,
              "there is no such method: the owner of the home is of an older version; `dlmgr daemon restart` brings it up to date");
    CU_ASSERT(result == NULL);
    dlm_client_close(c);
    door_close(d);
}

/* A call that was given up is not mistaken for the next one. */
static void test_client_late_answers_are_dropped(void)
{
    struct door *d = door_open();
    struct dlm_client *c = knock(door_home_of(d));
    CLEANUP_JSON json_t *result = NULL;
    dlmgr_error e = {0};

    for (int i = 0; i < 3; i++)
        CHECK_INT(dlm_client_call(c, "wait", json_pack("{s:i}", "timeout_ms", 100), 30, &result, &e),
                  DLMGR_ETIMEDOUT);
    usleep(150000);
    CHECK_INT(dlm_client_call(c, "status", NULL, 5000, &result, &e), 0);
    CHECK_INT(dlm_json_int(result, "n", -1), 3);
    dlm_client_close(c);
    door_close(d);
}

/* The largest request and an answer that is larger pass; what is too large is not sent at all. */
static void test_client_sizes(void)
{
    struct door *d = door_open();
    struct dlm_client *c = knock(door_home_of(d));
    CLEANUP_FREE char *text = malloc(4 << 20);
    CLEANUP_JSON json_t *echo = NULL, *list = NULL, *never = NULL;
    dlmgr_error e = {0};

    memset(text, 'z', 4 << 20);
    text[(4 << 20) - 1] = '\0';
    CHECK_INT(dlm_client_call(c, "add", json_pack("{s:s}", "x", text), -1, &never, &e),
              DLMGR_ELIMIT);
    CHECK_INT(door_asked(d), 0);
    text[4190000] = '\0';
    CHECK_INT(dlm_client_call(c, "add", json_pack("{s:s}", "x", text), -1, &echo, &e), 0);
    CHECK_STR(dlm_json_string(echo, "x"), text);
    CHECK_INT(dlm_client_call(c, "list", json_pack("{s:i}", "limit", 8000000), -1, &list, &e), 0);
    CHECK_INT(strlen(dlm_json_string(list, "text")), 8000000);
    dlm_client_close(c);
    door_close(d);
}

/* News are told once, also those that came within a call. */
static void test_client_news(void)
{
    struct door *d = door_open();
    struct dlm_client *c = knock(door_home_of(d));
    CLEANUP_JSON json_t *subscribed = NULL, *status = NULL, *waited = NULL;
    struct pollfd p = {.fd = dlm_client_fd(c), .events = POLLIN};
    dlmgr_error e = {0};

    CHECK_INT(dlm_client_call(c, "subscribe", NULL, -1, &subscribed, &e), 0);
    CHECK_INT(dlm_client_news(c, &e), 0);
    door_news(d, 1);
    CHECK_INT(poll(&p, 1, 5000), 1);
    CHECK_INT(dlm_client_news(c, &e), 1);
    CHECK_INT(dlm_client_news(c, &e), 0);
    door_news(d, 1);
    CHECK_INT(dlm_client_call(c, "status", NULL, -1, &status, &e), 0);
    CHECK_INT(dlm_client_news(c, &e), 1);
    CHECK_INT(dlm_client_news(c, &e), 0);
    CHECK_INT(dlm_client_call(c, "wait", json_pack("{s:i}", "timeout_ms", 20), -1, &waited, &e), 0);
    CHECK_INT(dlm_client_news(c, &e), 0);
    CU_ASSERT(door_stop(d, 3000));
    CHECK_INT(dlm_client_news(c, &e), DLMGR_ELINK);
    dlm_client_close(c);
    door_close(d);
}

/* ---- Owners that go, or are not there ------------------------------------------------------------------- */

static void *stop_soon(void *arg)
{
    usleep(50000);
    door_stop(arg, 1); /* not more: it owes an answer */
    return NULL;
}

/* In the middle of a call and at the next one: ELINK, and no SIGPIPE, which would end this program. */
static void test_client_owner_goes(void)
{
    struct door *d = door_open();
    struct dlm_home *home = door_home();
    struct dlm_client *c = knock(home), *none = NULL;
    json_t *result = NULL;
    dlmgr_error e = {0};
    pthread_t thread;

    pthread_create(&thread, NULL, stop_soon, d);
    CHECK_INT(dlm_client_call(c, "wait", NULL, -1, &result, &e), DLMGR_ELINK);
    CU_ASSERT(strstr(e.text, "went away") != NULL);
    for (int i = 0; i < 3; i++)
        CHECK_INT(dlm_client_call(c, "status", NULL, -1, &result, &e), DLMGR_ELINK);
    dlm_client_close(c);
    pthread_join(thread, NULL);
    door_close(d);
    CHECK_INT(dlm_client_open(home, &none, &e), DLMGR_ENOOWNER);
    CU_ASSERT(none == NULL);
    dlm_home_close(home);
}

/* ---- Owners as no dlmgr is ---------------------------------------------------------------------------------- */

static int listen_at(struct dlm_home *home)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control.sock", home->fd);
    unlinkat(home->fd, "control.sock", 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_INT(listen(fd, 5), 0);
    return fd;
}

struct foreign {
    int fd;
    const char *says; /* to the first line; NULL nothing */
    bool leaves;      /* at once; else when the other has left */
    bool played;      /* its part to the end */
    pthread_t thread;
};

static void *foreign_main(void *arg)
{
    struct foreign *f = arg;
    int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);
    struct pollfd left = {.fd = fd}; /* POLLHUP comes unasked */
    char some[4096];

    f->played = f->leaves || read(fd, some, sizeof(some)) > 0;
    f->played &= !f->says || write(fd, f->says, strlen(f->says)) > 0;
    f->played &= f->leaves || poll(&left, 1, 20000) == 1;
    close(fd);
    return NULL;
}

static void foreign_begin(struct foreign *f, struct dlm_home *home)
{
    f->fd = listen_at(home);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&f->thread, NULL, foreign_main, f), 0);
}

static void foreign_end(struct foreign *f)
{
    pthread_join(f->thread, NULL);
    CU_ASSERT(f->played);
    close(f->fd);
}

static void test_client_hello_by_rows(void)
{
    static const struct {
        const char *says;
        bool leaves;
        int code;
        const char *text;
    } rows[] = {
        {"{\"id\":1,\"result\":{\"protocol\":2}}\n", false, DLMGR_EPROTO, "upgrade this program"},
        {"{\"id\":1,\"result\":{\"protocol\":0}}\n", false, DLMGR_EPROTO, "upgrade the owner"},
        {"{\"id\":1,\"result\":{}}\n", false, DLMGR_EPROTO, "upgrade the owner"},
        {"{\"id\":1,\"error\":{\"code\":-13,\"message\":\"you are old\"}}\n", false, DLMGR_EPROTO,
         "you are old"},
        {"{\"id\":1,\"error\":{\"code\":-32601,\"message\":\"what?\"}}\n", false, DLMGR_EPROTO,
         "what?"},
        {"{\"id\":null,\"error\":{\"code\":-32700,\"message\":\"eh?\"}}\n", false, DLMGR_EPROTO,
         "eh?"},
        {"{\"id\":1,\"error\":{\"code\":0}}\n", false, DLMGR_EPROTO, "gave no reason"},
        {"220 smtp ready\n", false, DLMGR_EPROTO, "not JSON"},
        {"{\"id\":1,\"result\":", true, DLMGR_ELINK, "went away"},
        {NULL, true, DLMGR_ELINK, "went away"},
        {NULL, false, DLMGR_ELINK, "does not answer"}, /* takes the six seconds that it is given */
    };
    struct dlm_home *home = door_home();

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct foreign f = {.says = rows[i].says, .leaves = rows[i].leaves};
        struct dlm_client *c = NULL;
        dlmgr_error e = {0};

        test_about("row %zu", i);
        foreign_begin(&f, home);
        CHECK_INT(dlm_client_open(home, &c, &e), rows[i].code);
        if (!strstr(e.text, rows[i].text))
            CHECK_STR(e.text, rows[i].text);
        CU_ASSERT(c == NULL);
        foreign_end(&f);
    }
    /* A socket at which nobody listens any more. */
    struct dlm_client *c = NULL;
    CHECK_INT(dlm_client_open(home, &c, NULL), DLMGR_ENOOWNER);
    unlinkat(home->fd, "control.sock", 0);
    CHECK_INT(dlm_client_open(home, &c, NULL), DLMGR_ENOOWNER);
    dlm_home_close(home);
}

/* An owner that stops reading within a request: the time limit holds, and half a request is never followed by another. */
static void test_client_owner_stops_reading(void)
{
    struct dlm_home *home = door_home();
    struct foreign f = {.says = "{\"id\":1,\"result\":{\"protocol\":1}}\n"};
    struct dlm_client *c;
    CLEANUP_FREE char *text = malloc(3 << 20);
    int64_t begin = dlm_clock_mono();
    json_t *result = NULL;
    dlmgr_error e = {0};

    memset(text, 'z', 3 << 20);
    text[(3 << 20) - 1] = '\0';
    foreign_begin(&f, home);
    c = knock(home);
    CHECK_INT(dlm_client_call(c, "add", json_pack("{s:s}", "x", text), 200, &result, &e),
              DLMGR_ETIMEDOUT);
    CU_ASSERT(dlm_clock_mono() - begin >= 200 && dlm_clock_mono() - begin < 5000);
    CHECK_INT(dlm_client_call(c, "status", NULL, 200, &result, &e), DLMGR_ELINK);
    CU_ASSERT(result == NULL);
    dlm_client_close(c);
    foreign_end(&f);
    unlinkat(home->fd, "control.sock", 0);
    dlm_home_close(home);
}

static const struct test tests[] = {
    TEST(test_client_asks),
    TEST(test_client_gets_errors),
    TEST(test_client_late_answers_are_dropped),
    TEST(test_client_sizes),
    TEST(test_client_news),
    TEST(test_client_owner_goes),
    TEST(test_client_hello_by_rows),
    TEST(test_client_owner_stops_reading),
};

TEST_MAIN("client", tests)
