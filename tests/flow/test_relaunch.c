/* SPDX-License-Identifier: MIT */
/*
 * test_relaunch.c - being relaunched costs a task nothing: no try, no longer pause, no place in the queue.
 *
 * Of the services of operating systems it is reported that each relaunch doubles a hidden delay, until background tasks do not begin
 * at all. Here a pause is a time in the journal, and an owner that comes and goes does not touch it.
 */
#include "tests/lib/house.h"
#include "tests/lib/test.h"

#include <stdlib.h>

enum { RELAUNCHES = 6, PAUSE_MS = 60000 };

static struct house house;

static dlmgr_task look(int64_t id)
{
    dlmgr_selector one = DLMGR_INIT(dlmgr_selector);
    dlmgr_list *list = NULL;
    dlmgr_task task = {0};

    one.ids = &id;
    one.n_ids = 1;
    CHECK_INT(dlmgr_query(house.handle, &one, &list, NULL), 0);
    if (dlmgr_list_at(list, 0))
        task = *dlmgr_list_at(list, 0);
    dlmgr_list_free(list); /* only numbers are looked at */
    return task;
}

static void test_a_relaunch_doubles_no_delay(void)
{
    dlmgr_request request;
    dlmgr_task first, now;
    int64_t id;
    char *url;

    house_begin(&house);
    url = fx_url(house.fx, "/f/x?status=503");
    request = house_request(&house, url);
    request.retry_wait_ms = PAUSE_MS;
    id = house_add(&house, &request);
    house_until(&house, id, INT64_MAX, DLMGR_WAITING);
    first = look(id);
    CHECK_INT(first.attempts, 1);
    for (int i = 0; i < RELAUNCHES; i++) {
        test_about("relaunch %d", i + 1);
        house_close(&house);
        house_open(&house);
        now = look(id);
        CHECK_INT(now.state, DLMGR_WAITING);
        CHECK_INT(now.wait_until, first.wait_until);
        CHECK_INT(now.attempts, 1);
    }
    CHECK_INT(house_events(&house, id, "waiting"), 1);
    free(url);
    house_end(&house);
}

/* A task that runs when its owner goes runs at once with the next one: the try is the same. */
static void test_a_relaunch_is_no_failed_try(void)
{
    dlmgr_request request;
    int64_t id, bytes = 0;
    char *url;

    house_begin(&house);
    url = fx_url(house.fx, "/f/y?size=4M&seed=3&etag=\"y\"&rate=2M");
    request = house_request(&house, url);
    request.max_tries = 1;
    id = house_add(&house, &request);
    for (int i = 0; i < 3; i++) {
        bytes = house_until(&house, id, bytes + 200000, -1).bytes_done;
        house_close(&house);
        house_open(&house);
    }
    CHECK_INT(house_wait(&house, id).state, DLMGR_DONE);
    CHECK_INT(fx_file_check(house_path(&house, "y"), 4 << 20, 3), 0);
    CHECK_INT(house_events(&house, id, "waiting"), 0);
    free(url);
    house_end(&house);
}

static const struct test tests[] = {
    TEST(test_a_relaunch_doubles_no_delay),
    TEST(test_a_relaunch_is_no_failed_try),
};

TEST_MAIN("relaunch", tests)
