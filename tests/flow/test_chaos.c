/* SPDX-License-Identifier: MIT */
/*
 * test_chaos.c - servers that do everything wrong by turns, owners that go away in between: a file is one version, or there is none.
 *
 * Each task has a script of random steps (tests/lib/lies.h), and the owner is closed and opened a few times meanwhile. Whatever happened,
 * a finished file must be one of the two versions to the byte. The same seeds give the same scripts; a failed one
 * is printed. CHAOS=N plays N rounds.
 */
#include "tests/lib/house.h"
#include "tests/lib/lies.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TASKS = 24, ROUNDS = 3, CLOSINGS = 4, STEPS = 8 };

static int64_t begin_task(struct house *h, struct lies *r, int i)
{
    char *url = fx_url(h->fx, "/chaos/%d", i);
    dlmgr_request request = house_request(h, url);
    int64_t id;

    lies_make(r, STEPS, 4200000, 3);
    request.max_tries = 50;
    request.retry_wait_ms = 5;
    CHECK_INT(fx_script(h->fx, strstr(url, "/chaos/"), "%s", r->script), 0);
    id = house_add(h, &request);
    free(url);
    return id;
}

/* True: it is done. */
static bool check_task(struct house *h, int64_t id, const struct lies *r)
{
    struct house_result end = house_wait(h, id);

    if (end.state == DLMGR_DONE && lies_good(r, end.path, end.bytes_total))
        return true;
    if (end.state == DLMGR_FAILED)
        return false;
    fprintf(stderr, "task %lld: %s\n  %s\n", (long long)id, dlmgr_state_name(end.state), r->script);
    CHECK_STR(end.text, "");
    CU_FAIL("neither of the two versions");
    return false;
}

static void test_no_mixture_whatever_happens(void)
{
    static struct lies resources[TASKS];
    int64_t ids[TASKS];
    const char *more = getenv("CHAOS");
    struct house h;
    int done = 0, rounds = more ? atoi(more) : ROUNDS;

    house_begin(&h);
    for (int round = 0; round < rounds; round++) {
        dice_seed((uint64_t)round * 1000003 + 17);
        for (int i = 0; i < TASKS; i++)
            ids[i] = begin_task(&h, &resources[i], i);
        for (int i = 0; i < CLOSINGS; i++) {
            usleep(50000 + dice_roll(300000));
            house_close(&h);
            house_open(&h);
        }
        for (int i = 0; i < TASKS; i++) {
            test_about("round %d, task %d", round, i);
            done += check_task(&h, ids[i], &resources[i]);
            house_forget(&h, ids[i]);
        }
    }
    CU_ASSERT(done > rounds * TASKS / 2);
    house_end(&h);
}

static const struct test tests[] = {TEST(test_no_mixture_whatever_happens)};

TEST_MAIN("chaos", tests)
