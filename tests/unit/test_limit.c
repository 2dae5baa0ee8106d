/* SPDX-License-Identifier: MIT */
/*
 * test_limit.c - the bucket that holds bytes back, with a clock that the rows give.
 *
 * A row begins with a full bucket at time 0, takes some bytes at a time, and asks at another whether it is open. The rest is about time that
 * passes in small steps: what comes in then is counted.
 */
#include "dlmgr/limit.h"

#include "tests/lib/test.h"

static const struct {
    const char *what;
    int64_t rate, taken, later;
    bool open;
} rows[] = {
    {"a full one", 1000, 0, 0, true},
    {"64 KiB may be saved up at any rate", 1, KIB(64) - 1, 0, true},
    {"and not one more", 1, KIB(64), 0, false},
    {"a quarter of a second", MIB(4), MIB(1) - 1, 0, true},
    {"and not one more", MIB(4), MIB(1), 0, false},
    {"debt of a second, too early", 1000000, 250000 + 1000000, 1000, false},
    {"debt of a second, waited for", 1000000, 250000 + 1000000, 1001, true},
    {"one byte a second", 1, KIB(64) + 9, 9999, false},
    {"one byte a second, waited for", 1, KIB(64) + 9, 10000, true},
    {"no limit", 0, INT64_MAX, 0, true},
    {"a rate beyond counting", INT64_MAX, MIB(64), 1, true},
    {"a clock that went back", 1000000, 300000, -5000, false},
};

static void test_debt_is_waited_for(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_bucket b = {0};

        test_about("row %zu: %s", i, rows[i].what);
        dlm_bucket_set(&b, rows[i].rate, 0);
        CU_ASSERT_TRUE(dlm_bucket_open(&b, 0));
        dlm_bucket_take(&b, rows[i].taken);
        CHECK_INT(dlm_bucket_open(&b, rows[i].later), rows[i].open);
    }
}

/* Looks every `step` ms for `span` ms and takes `piece` bytes when it may; what came in. */
static int64_t run(struct dlm_bucket *b, int64_t from, int64_t span, int64_t step, int64_t piece)
{
    int64_t came = 0;

    for (int64_t now = from; now < from + span; now += step)
        while (dlm_bucket_open(b, now)) {
            dlm_bucket_take(b, piece);
            came += piece;
        }
    return came;
}

/* Steps, pieces and rates that do not divide each other: the rate is kept all the same. */
static void test_the_rate_is_kept_in_small_steps(void)
{
    static const struct {
        int64_t rate, step, piece, span;
    } ways[] = {
        {100, 3, 1, 100000},          {1000, 7, 13, 100000},        {333333, 1, 16384, 60000},
        {1000000, 25, 524288, 60000}, {50000000, 25, 16384, 20000}, {999, 1, 1, 20000},
    };

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        struct dlm_bucket b = {0};
        int64_t came, saved = MAX(ways[i].rate / 4, KIB(64)),
                      due = ways[i].rate * ways[i].span / 1000;

        test_about("row %zu", i);
        dlm_bucket_set(&b, ways[i].rate, 0);
        came = run(&b, 0, ways[i].span, ways[i].step, ways[i].piece) - saved;
        CU_ASSERT(came <= due + ways[i].piece);
        CU_ASSERT(came >= due - ways[i].rate * ways[i].step / 1000 - 1);
    }
}

/* What nobody took for an hour is not there for the taking. */
static void test_time_that_passed_is_not_saved_up(void)
{
    struct dlm_bucket b = {0};

    dlm_bucket_set(&b, 1000000, 0);
    CHECK_INT(run(&b, 0, 1, 1, 1000), 250000);
    CHECK_INT(run(&b, 3600000, 1, 1, 1000), 250000);
}

static void test_a_change_of_rate_keeps_debt(void)
{
    struct dlm_bucket b = {0};

    dlm_bucket_set(&b, 1000000, 0);
    dlm_bucket_take(&b, 250000 + 2000000);
    dlm_bucket_set(&b, 100000, 1000); /* a second at the old rate came in, a million is owed */
    CU_ASSERT_FALSE(dlm_bucket_open(&b, 11000));
    CU_ASSERT_TRUE(dlm_bucket_open(&b, 11001));
    dlm_bucket_set(&b, 0, 11001);
    dlm_bucket_take(&b, MIB(100));
    CU_ASSERT_TRUE(dlm_bucket_open(&b, 11001));
    dlm_bucket_set(&b, 1000, 11002); /* without a limit nothing was owed */
    CU_ASSERT_TRUE(dlm_bucket_open(&b, 11002));
}

/* 100 bytes a second over 10 s: a thousand are enough, whenever they come; one less is not. A look each second, as the scheduler does. */
static void test_a_body_must_not_be_slower_than_allowed(void)
{
    static const struct {
        const char *what;
        int64_t bytes, from_s; /* all at once, in this second */
        int held_s;            /* so long we hold it back, at first */
        int slow_at;           /* second; 0: never within 20 s */
    } cases[] = {
        {"nothing", 0, 1, 0, 11},
        {"enough, at once", 1000, 1, 0, 21},
        {"a byte too few", 999, 1, 0, 11},
        {"enough, in the last moment", 1000, 11, 0, 21},
        {"held back all the time", 0, 1, 30, 0},
        {"held back for five seconds", 0, 1, 5, 16},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct dlm_pace p = {0};
        int slow_at = 0;

        test_about("%s", cases[i].what);
        for (int s = 1; s <= 25 && !slow_at; s++)
            if (dlm_pace_is_slow(&p, s >= cases[i].from_s ? cases[i].bytes : 0,
                                 s > 1 && s <= 1 + cases[i].held_s, 100, 10, s * 1000))
                slow_at = s;
        CHECK_INT(slow_at, cases[i].slow_at);
    }
}

static const struct test tests[] = {
    TEST(test_debt_is_waited_for),
    TEST(test_the_rate_is_kept_in_small_steps),
    TEST(test_time_that_passed_is_not_saved_up),
    TEST(test_a_change_of_rate_keeps_debt),
    TEST(test_a_body_must_not_be_slower_than_allowed),
};

TEST_MAIN("limit", tests)
