/* SPDX-License-Identifier: MIT */
/*
 * test_cli_values.c - what people type, as numbers: rows of cli/values.c.
 *
 * The cli's files are compiled into this program, since the library does not hold them. Times are asked for with a fixed `now`
 * in UTC and, where local time matters, in a zone with a summer time.
 */
#include "cli/values.c"

#include "tests/lib/test.h"

#include <stdlib.h>

/* The pure files need this one name of the library; the test stands without it. */
const char *dlmgr_state_name(int state)
{
    static const char *const names[] = {"queued",  "running", "verifying", "committing", "done",
                                        "waiting", "paused",  "failed",    "cancelled"};

    return state >= 0 && state < 9 ? names[state] : NULL;
}

static const int64_t NOON = INT64_C(1772366400000); /* 2026-03-01T12:00:00Z */

static void test_cli_size_takes_all_or_nothing(void)
{
    static const struct {
        const char *text;
        int64_t expected; /* -1: refused */
    } rows[] = {
        {"0", 0},
        {"512", 512},
        {"512B", 512},
        {"1k", 1024},
        {"1K", 1024},
        {"64KiB", 65536},
        {"1.5M", 1572864},
        {"2G", 2147483648},
        {"0.5k", 512},
        {"1T", INT64_C(1) << 40},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", -1},
        {"9999999999G", -1},
        {"8388608T", -1},
        {"", -1},
        {"k", -1},
        {"-1", -1},
        {"1 k", -1},
        {" 1", -1},
        {"1kk", -1},
        {"1e3", -1},
        {"0x10", -1},
        {"1.", -1},
        {".5k", -1},
        {"1,5M", -1},
        {"1m", -1},
    };
    char why[CLI_WHY];
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t got = -1;
        bool good = cli_size(rows[i].text, &got, why);

        test_about("%s", rows[i].text);
        CHECK_INT(good, rows[i].expected >= 0);
        CHECK_INT(got, rows[i].expected);
    }
}

static void test_cli_number_keeps_its_range(void)
{
    char why[CLI_WHY];
    int64_t got = 7;

    CU_ASSERT(cli_number("-1000", -1000, 1000, &got, why));
    CHECK_INT(got, -1000);
    CU_ASSERT(cli_number("+5", 0, 9, &got, why));
    CHECK_INT(got, 5);
    CU_ASSERT(!cli_number("10", 0, 9, &got, why));
    CHECK_STR(why, "must be a whole number from 0 to 9");
    CU_ASSERT(!cli_number("0", 1, INT64_MAX, &got, why));
    CHECK_STR(why, "must be a whole number, 1 or more");
    CU_ASSERT(!cli_number("", 0, 9, &got, why));
    CU_ASSERT(!cli_number("-", 0, 9, &got, why));
    CU_ASSERT(!cli_number("3x", 0, 9, &got, why));
    CU_ASSERT(!cli_number("99999999999999999999", 0, INT64_MAX, &got, why));
    CHECK_INT(got, 5);
}

static void test_cli_span_knows_its_units(void)
{
    static const struct {
        const char *text;
        int64_t expected;
    } rows[] = {
        {"0", 0},
        {"1", 1000},
        {"0.25", 250},
        {"90s", 90000},
        {"15m", 900000},
        {"2h", 7200000},
        {"3d", 259200000},
        {"+2h", 7200000},
        {"1.5h", 5400000},
        {"20ms", 20},
        {"", -1},
        {"+", -1},
        {"-1", -1},
        {"1w", -1},
        {"s", -1},
        {"1M", -1},
        {"99999999999999999d", -1},
    };
    char why[CLI_WHY];
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t got = -1;
        bool good = cli_span(rows[i].text, &got, why);

        test_about("%s", rows[i].text);
        CHECK_INT(good, rows[i].expected >= 0);
        CHECK_INT(got, rows[i].expected);
    }
}

static void test_cli_time_reads_rfc3339_and_spans(void)
{
    static const struct {
        const char *text;
        int64_t expected;
    } rows[] = {
        {"2026-03-01T12:00:00Z", INT64_C(1772366400000)},
        {"2026-03-01t12:00:00z", INT64_C(1772366400000)},
        {"2026-03-01 12:00Z", INT64_C(1772366400000)},
        {"2026-03-01T12:00:00.250Z", INT64_C(1772366400250)},
        {"2026-03-01T12:00:00.123456Z", INT64_C(1772366400123)},
        {"2026-03-01T14:00:00+02:00", INT64_C(1772366400000)},
        {"2026-03-01T06:30:00-05:30", INT64_C(1772366400000)},
        {"1970-01-01T00:00:00Z", 0},
        {"+2h", INT64_C(1772373600000)},
        {"+90s", INT64_C(1772366490000)},
        {"+15m", INT64_C(1772367300000)},
        {"+3d", INT64_C(1772625600000)},
        {"2026-03-01T12:00:00", -1}, /* no zone */
        {"2026-02-30T12:00:00Z", -1},
        {"2026-13-01T12:00:00Z", -1},
        {"2026-03-01T24:00:00Z", -1},
        {"2026-03-01T12:60:00Z", -1},
        {"2026-03-01T12:00:60Z", -1},
        {"2026-03-01T12:00:00Zx", -1},
        {"2026-03-01T12:00:00+25:00", -1},
        {"2026-03-01", -1},
        {"tomorrow", -1},
        {"+", -1},
        {"2h", -1},
        {"", -1},
        {"+9999999999999d", -1},
    };
    char why[CLI_WHY];
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t got = -1;
        bool good = cli_time(rows[i].text, NOON, &got, why);

        test_about("%s", rows[i].text);
        CHECK_INT(good, rows[i].expected >= 0);
        CHECK_INT(got, rows[i].expected);
    }
}

/* HH:MM is the next one: today when it is still to come, tomorrow otherwise, also across a change of the clocks. */
static void test_cli_time_of_day_is_the_next_one(void)
{
    static const struct {
        const char *zone, *text;
        int64_t now, expected;
    } rows[] = {
        {"UTC", "12:01", NOON, NOON + 60000},
        {"UTC", "12:00", NOON, NOON + 86400000},
        {"UTC", "00:00", NOON, NOON + 43200000},
        {"UTC", "11:59", NOON, NOON + 86340000},
        {"UTC", "24:00", NOON, -1},
        {"UTC", "12:60", NOON, -1},
        {"UTC", "1:30", NOON, -1},
        {"CET-1", "14:00", NOON, NOON + 3600000},
        /* 2026-03-28 22:00 CET; the night to the 29th has 23 hours, 12:00 CEST is 10:00 UTC */
        {"CET-1CEST,M3.5.0,M10.5.0/3", "12:00", INT64_C(1774731600000), INT64_C(1774778400000)},
    };
    char why[CLI_WHY];
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t got = -1;
        bool good;

        setenv("TZ", rows[i].zone, 1);
        tzset();
        good = cli_time(rows[i].text, rows[i].now, &got, why);
        test_about("%s in %s", rows[i].text, rows[i].zone);
        CHECK_INT(good, rows[i].expected >= 0);
        CHECK_INT(got, rows[i].expected);
    }
    unsetenv("TZ");
}

static void test_cli_keep_is_a_count_or_a_span(void)
{
    char why[CLI_WHY];
    int64_t n = 1, ms = 1;

    CU_ASSERT(cli_keep("1000", &n, &ms, why));
    CHECK_INT(n, 1000);
    CHECK_INT(ms, 0);
    CU_ASSERT(cli_keep("30d", &n, &ms, why));
    CHECK_INT(n, 0);
    CHECK_INT(ms, INT64_C(2592000000));
    CU_ASSERT(cli_keep("+12h", &n, &ms, why));
    CHECK_INT(ms, 43200000);
    CU_ASSERT(!cli_keep("0", &n, &ms, why));
    CU_ASSERT(!cli_keep("+5", &n, &ms, why));
    CU_ASSERT(!cli_keep("99999999999", &n, &ms, why));
    CU_ASSERT(!cli_keep("", &n, &ms, why));
    CU_ASSERT(!cli_keep("0d", &n, &ms, why));
    CU_ASSERT(!cli_keep("all", &n, &ms, why));
}

static void test_cli_yes_and_choices(void)
{
    static const char *const names[] = {"fail", "rename", NULL};
    char why[CLI_WHY];
    int got = 9;

    CU_ASSERT(cli_yes("", &got, why));
    CHECK_INT(got, 1);
    CU_ASSERT(cli_yes("No", &got, why));
    CHECK_INT(got, 0);
    CU_ASSERT(cli_yes("1", &got, why));
    CHECK_INT(got, 1);
    CU_ASSERT(!cli_yes("maybe", &got, why));
    CHECK_STR(why, "must be yes or no");
    CU_ASSERT(cli_choice("Rename", names, &got, why));
    CHECK_INT(got, 1);
    CU_ASSERT(!cli_choice("ren", names, &got, why));
    CHECK_STR(why, "must be one of fail, rename");
}

static void test_cli_states_are_bits(void)
{
    char why[CLI_WHY];
    unsigned got = 0;

    CU_ASSERT(cli_states("failed", &got, why));
    CHECK_INT(got, 1 << DLMGR_FAILED);
    CU_ASSERT(cli_states("queued,paused", &got, why));
    CHECK_INT(got, 1 << DLMGR_QUEUED | 1 << DLMGR_PAUSED);
    CU_ASSERT(!cli_states("failed,", &got, why));
    CU_ASSERT(!cli_states("", &got, why));
    CU_ASSERT(!cli_states("broken", &got, why));
    CHECK_INT(strncmp(why, "must be one of queued, running", 30), 0);
}

static const struct test tests[] = {
    TEST(test_cli_size_takes_all_or_nothing),
    TEST(test_cli_number_keeps_its_range),
    TEST(test_cli_span_knows_its_units),
    TEST(test_cli_time_reads_rfc3339_and_spans),
    TEST(test_cli_time_of_day_is_the_next_one),
    TEST(test_cli_keep_is_a_count_or_a_span),
    TEST(test_cli_yes_and_choices),
    TEST(test_cli_states_are_bits),
};

TEST_MAIN("cli_values", tests)
