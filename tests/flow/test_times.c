/* SPDX-License-Identifier: MIT */
/*
 * test_times.c - where a task's time went, over retries and owners. Only what a busy machine cannot break is asked: at least so long.
 */
#include "tests/lib/house.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct house house;

/* A member of "metrics" in this line of JSON; -1: there are none. */
static int64_t us_in(const char *json, const char *name)
{
    const char *at = json ? strstr(json, "\"metrics\":{") : NULL;
    char member[40];

    snprintf(member, sizeof(member), "\"%s_us\":", name);
    at = at ? strstr(at, member) : NULL;
    return at ? strtoll(at + strlen(member), NULL, 10) : -1;
}

static int64_t us(int64_t id, const char *name)
{
    char *json = NULL;
    int64_t n;

    CHECK_INT(dlmgr_show(house.handle, id, 0, &json, NULL), 0);
    n = us_in(json, name);
    free(json);
    return n;
}

static int64_t add(const char *path, int64_t wait_ms)
{
    char *url = fx_url(house.fx, "%s", path);
    dlmgr_request request = house_request(&house, url);
    int64_t id;

    request.retry_wait_ms = wait_ms;
    request.max_tries = 3;
    id = house_add(&house, &request);
    free(url);
    return id;
}

/* Each part that a plain file goes through took some time, and its event tells the same. */
static void test_a_file_and_its_event(void)
{
    static const char *const parts[] = {"connect", "first_byte", "transfer", "sync", "commit"};
    dlmgr_event_list *list = NULL;
    char *json;
    int64_t id;

    house_begin(&house);
    id = add("/f/x?size=200000&seed=1&delay=20", 10);
    CHECK_INT(house_wait(&house, id).state, DLMGR_DONE);
    CHECK_INT(dlmgr_events(house.handle, "default", 0, 0, &list, NULL), 0);
    CU_ASSERT_FATAL(list && dlmgr_event_list_count(list) == 1);
    json = dlmgr_event_json(dlmgr_event_list_at(list, 0));
    CU_ASSERT_FATAL(json != NULL);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        test_about("%s", parts[i]);
        CU_ASSERT(us(id, parts[i]) > 0);
        CHECK_INT(us_in(json, parts[i]), us(id, parts[i]));
    }
    CHECK_INT(us(id, "tls"), 0);
    CHECK_INT(us(id, "verify"), 0);
    free(json);
    dlmgr_event_list_free(list);
    house_end(&house);
}

/* A large file's digest is told apart. */
static void test_a_digest_of_a_large_file(void)
{
    char *url;
    dlmgr_request request;
    int64_t id;

    house_begin(&house);
    url = fx_url(house.fx, "/f/x?size=20000000&seed=1");
    request = house_request(&house, url);
    request.checksum = "sha-256=0000000000000000000000000000000000000000000000000000000000000000";
    id = house_add(&house, &request);
    CHECK_INT(house_wait(&house, id).error_code, 32);
    CU_ASSERT(us(id, "verify") > 0);
    CHECK_INT(us(id, "commit"), 0);
    free(url);
    house_end(&house);
}

/* Tries add up, and the pause between them is no work. */
static void test_tries_add_up(void)
{
    int64_t id, first;

    house_begin(&house);
    CHECK_INT(fx_script(house.fx, "/t", "status=503 delay=20 retry_after=1 ; size=1000 delay=20"),
              0);
    id = add("/t", 10);
    house_until(&house, id, 1, DLMGR_WAITING);
    first = us(id, "first_byte");
    CU_ASSERT(first > 0);
    CHECK_INT(house_wait(&house, id).state, DLMGR_DONE);
    CU_ASSERT(us(id, "first_byte") > first);
    CU_ASSERT(us(id, "queue") >= 900000);
    house_end(&house);
}

/* The next owner goes on counting; the time between them is no work. */
static void test_owners_add_up(void)
{
    int64_t id, stored;

    house_begin(&house);
    CHECK_INT(fx_script(house.fx, "/o",
                        "size=3000000 seed=1 etag=\"a\" stall=1000000 stall_ms=60000 ; "
                        "size=3000000 seed=1 etag=\"a\""),
              0);
    id = add("/o", 10);
    house_until(&house, id, 900000, DLMGR_DONE);
    usleep(400000); /* of waiting for more */
    house_close(&house);
    CHECK_INT(dlmgr_open(DLMGR_EITHER, &house.options, &house.handle, NULL), 0);
    stored = us(id, "transfer");
    CU_ASSERT(stored >= 400000);
    house_close(&house);
    usleep(400000);
    house_open(&house);
    CHECK_INT(house_wait(&house, id).state, DLMGR_DONE);
    CU_ASSERT(us(id, "transfer") >= stored);
    CU_ASSERT(us(id, "queue") >= 400000);
    house_end(&house);
}

/* Each checkpoint stores them, so that an owner who is killed takes a second with it and not all. */
static void test_a_long_one_stores_them_meanwhile(void)
{
    int64_t id, n = -1;

    house_begin(&house);
    id = add("/f/x?size=3000000&seed=1&stall=1500000&stall_ms=60000", 10);
    for (int i = 0; i < 200 && n <= 0; i++) {
        usleep(50000);
        n = us(id, "transfer");
    }
    CU_ASSERT(n > 0);
    CHECK_INT(house_look(&house, id).state, DLMGR_RUNNING);
    house_end(&house);
}

/* Paused while it runs: what it had done is not forgotten. */
static void test_a_pause_stores_them(void)
{
    dlmgr_selector selector = {.size = sizeof(selector), .n_ids = 1};
    int64_t id;

    house_begin(&house);
    id = add("/f/x?size=3000000&seed=1&delay=20&stall=1500000&stall_ms=60000", 10);
    house_until(&house, id, 1000000, DLMGR_DONE);
    selector.ids = &id;
    CHECK_INT(dlmgr_act(house.handle, DLMGR_PAUSE, &selector, NULL, NULL), 0);
    CHECK_INT(house_look(&house, id).state, DLMGR_PAUSED);
    CU_ASSERT(us(id, "first_byte") >
              0); /* which is known when a request has ended, not at a checkpoint */
    house_end(&house);
}

static const struct test tests[] = {
    TEST(test_a_file_and_its_event),
    TEST(test_a_digest_of_a_large_file),
    TEST(test_tries_add_up),
    TEST(test_owners_add_up),
    TEST(test_a_long_one_stores_them_meanwhile),
    TEST(test_a_pause_stores_them),
};

TEST_MAIN("times", tests)
