/* SPDX-License-Identifier: MIT */
/*
 * test_backoff.c - the pause before the next try: doubling, the limit of a minute, full jitter, and the clamp of
 * Retry-After. Random numbers are given, so each row has one right answer.
 */
#include "dlmgr/backoff.h"
#include "tests/lib/test.h"

/* With the largest random number the pause is the whole cap: 1 s, 2 s, ... 60 s. */
static void test_backoff_doubles_to_a_minute(void)
{
    static const struct {
        int64_t attempt, wait, cap;
    } rows[] = {
        {1, 1000, 1000},
        {2, 1000, 2000},
        {3, 1000, 4000},
        {6, 1000, 32000},
        {7, 1000, 60000},
        {8, 1000, 60000},
        {1000, 1000, 60000},
        {INT64_MAX, 1, 60000},
        {1, 0, 0},
        {50, 0, 0},
        {1, -5, 0},
        {0, 1000, 1000},
        {1, 120000, 120000},
        {5, 120000, 120000},
        {1, 60000, 60000},
        {2, 59999, 60000},
        {3, INT64_MAX, INT64_MAX - (INT64_C(1) << 31) + 1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        test_about("row %zu", i);
        CHECK_INT(dlm_backoff(rows[i].attempt, rows[i].wait, UINT32_MAX), rows[i].cap);
        CHECK_INT(dlm_backoff(rows[i].attempt, rows[i].wait, 0), 0);
    }
}

/* Full jitter: the random number chooses evenly between nothing and the cap. */
static void test_backoff_takes_a_random_part(void)
{
    CHECK_INT(dlm_backoff(1, 1000, 1u << 31), 500);
    CHECK_INT(dlm_backoff(3, 1000, 1u << 30), 1000);
    CHECK_INT(dlm_backoff(9, 1000, 3u << 30), 45000);
}

/* At most an hour, never negative; none stays none. */
static void test_backoff_clamps_retry_after(void)
{
    CHECK_INT(dlm_retry_after_clamp(-1, 3600000), -1);
    CHECK_INT(dlm_retry_after_clamp(-2000, 3600000), 0);
    CHECK_INT(dlm_retry_after_clamp(0, 3600000), 0);
    CHECK_INT(dlm_retry_after_clamp(5000, 3600000), 5000);
    CHECK_INT(dlm_retry_after_clamp(3600000, 3600000), 3600000);
    CHECK_INT(dlm_retry_after_clamp(3600001, 3600000), 3600000);
    CHECK_INT(dlm_retry_after_clamp(INT64_MAX, 3600000), 3600000);
}

static const struct test tests[] = {
    TEST(test_backoff_doubles_to_a_minute),
    TEST(test_backoff_takes_a_random_part),
    TEST(test_backoff_clamps_retry_after),
};

TEST_MAIN("backoff", tests)
