/* SPDX-License-Identifier: MIT */
/*
 * test_metrics.c - times of parts: written, read back, shown.
 */
#include "dlmgr/json.h"
#include "dlmgr/metrics.h"
#include "dlmgr/taskjson.h"
#include "tests/lib/test.h"

/* What is zero is not stored, and what was stored is read again. */
static void test_written_and_read(void)
{
    static const struct {
        struct dlm_metrics m;
        const char *text;
    } rows[] = {
        {{{0}, 0}, "{}"},
        {{{1}, 0}, "{\"queue_us\":1}"},
        {{{0}, 1700000000000}, "{\"left_at\":1700000000000}"},
        {{{0, 2, 30, 400, 5000, 60000, 700000, 8000000, 90000000}, 5},
         "{\"dns_us\":2,\"connect_us\":30,\"tls_us\":400,\"first_byte_us\":5000,\"transfer_us\":60000,"
         "\"sync_us\":700000,\"verify_us\":8000000,\"commit_us\":90000000,\"left_at\":5}"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_metrics back;
        char text[DLM_METRICS_SIZE];

        test_about("row %zu", i);
        dlm_metrics_write(&rows[i].m, text);
        CHECK_STR(text, rows[i].text);
        dlm_metrics_read(text, &back);
        CHECK_MEM(&back, &rows[i].m, sizeof(back));
    }
}

/* The largest there can be has room. */
static void test_the_largest_has_room(void)
{
    struct dlm_metrics m, back;
    char text[DLM_METRICS_SIZE];

    for (int i = 0; i < DLM_METRICS; i++)
        m.us[i] = INT64_C(400000000000000000);
    m.left_at = INT64_C(400000000000000000);
    dlm_metrics_write(&m, text);
    CU_ASSERT(strlen(text) < DLM_METRICS_SIZE);
    dlm_metrics_read(text, &back);
    CHECK_MEM(&back, &m, sizeof(back));
}

/* A journal that somebody edited gives no nonsense. */
static void test_other_text_is_read_as_nothing(void)
{
    static const char *const rows[] = {NULL,
                                       "",
                                       "x",
                                       "{}",
                                       "{\"queue_us\"",
                                       "{\"queue_us\":}",
                                       "{\"queue_us\":-5}",
                                       "{\"queue\":5}",
                                       "\""};
    static const struct dlm_metrics none;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_metrics m;

        test_about("row %zu", i);
        dlm_metrics_read(rows[i], &m);
        CHECK_MEM(&m, &none, sizeof(m));
    }
}

static const char shown[] = "{\"queue_us\":7,\"dns_us\":0,\"connect_us\":0,\"tls_us\":0,"
                            "\"first_byte_us\":0,\"transfer_us\":0,\"sync_us\":0,\"verify_us\":0,"
                            "\"commit_us\":9}";

/* A task and its event show all members, and nothing that is only for us. */
static void test_tasks_and_events_show_them(void)
{
    char stored[] = "{\"queue_us\":7,\"commit_us\":9,\"left_at\":3}";
    struct dlm_row row = {.total = -1, .metrics = stored};
    struct dlm_event_row ev = {.session = "default",
                               .type = "done",
                               .body = "{\"metrics\":{\"queue_us\":7,\"commit_us\":9,\"left_at\":3}}"};
    CLEANUP_JSON json_t *task = dlm_task_json(&row), *event = dlm_event_json(&ev);
    CLEANUP_FREE char *a = dlm_json_dump(json_object_get(task, "metrics")),
                      *b = dlm_json_dump(json_object_get(event, "metrics"));

    CHECK_STR(a, shown);
    CHECK_STR(b, shown);
}

static void test_none_is_null(void)
{
    struct dlm_row row = {.total = -1};
    struct dlm_event_row ev = {.session = "default", .type = "done", .body = "{}"};
    CLEANUP_JSON json_t *task = dlm_task_json(&row), *event = dlm_event_json(&ev);

    CU_ASSERT(json_is_null(json_object_get(task, "metrics")));
    CU_ASSERT(json_is_null(json_object_get(event, "metrics")));
}

static const struct test tests[] = {
    TEST(test_written_and_read),
    TEST(test_the_largest_has_room),
    TEST(test_other_text_is_read_as_nothing),
    TEST(test_tasks_and_events_show_them),
    TEST(test_none_is_null),
};

TEST_MAIN("metrics", tests)
