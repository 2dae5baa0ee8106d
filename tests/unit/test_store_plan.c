/* SPDX-License-Identifier: MIT */
/*
 * test_store_plan.c - the journal's questions stay flat, however many rows it has.
 *
 * Two proofs. Each statement of the journal is explained: none may walk a table of tasks, events or bytes,
 * nor sort one. Then the hot functions are run on a small and on a large journal, one host of which is
 * saturated, and the steps of SQLite's machine are counted: steps and not time, so that a busy machine does not matter.
 * DLM_TEST_ROWS sets the size of the large one (200,000 over 10,000 hosts unless given).
 */
#include "store/internal.h"
#include "tests/lib/journal.h"
#include "tests/lib/test.h"

#include <stdio.h>

/* ---- Plans ----------------------------------------------------------------------------------------------- */

/* What may be walked: small tables, and indexes from their best end under a LIMIT. */
static const struct {
    int q;
    const char *line;
} allowed[] = {
    {Q_HOST_WALK, "SCAN hosts USING INDEX hosts_head"},
    {Q_TALLY_SUM, "SCAN tally"},
    {Q_TALLY_SUM, "USE TEMP B-TREE FOR GROUP BY"},
    {Q_TALLY_PAIRS, "SCAN tally"},
    {Q_TASK_DONE_OLD, "SCAN tasks USING INDEX tasks_done"},
    {Q_EVENT_BOUND, "SCAN (subquery-1)"}, /* as many rows as its LIMIT */
    {Q_EVENT_NTH, "SCAN (subquery-1)"},   /* as many rows as its LIMIT, here too */
    {Q_EVENT_NTH, "SCAN (subquery-4)"},
    {Q_EVENT_NTH, "USE TEMP B-TREE FOR ORDER BY"},
    {Q_GONE_LIST, "SCAN gone"},
    {Q_SOURCE_LIST, "SCAN (subquery-2)"}, /* the URLs of one task */
    {Q_SOURCE_LIST, "USE TEMP B-TREE FOR ORDER BY"},
};

static bool is_allowed(int q, const char *line)
{
    if (!strstr(line, "SCAN") && !strstr(line, "TEMP B-TREE"))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        if (allowed[i].q == q && !strcmp(allowed[i].line, line))
            return true;
    return false;
}

static int explain(struct dlm_store *s, int q)
{
    CLEANUP_BUF struct dlm_buf sql = {0};
    sqlite3_stmt *st = NULL;
    int lines = 0;

    dlm_buf_printf(&sql, "EXPLAIN QUERY PLAN %s", dlm_query_text(q));
    CU_ASSERT_FATAL(sqlite3_prepare_v2(s->db, sql.data, -1, &st, NULL) == SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *line = (const char *)sqlite3_column_text(st, 3);

        lines++;
        test_about("%s: %.300s", line, dlm_query_text(q));
        CHECK_INT(is_allowed(q, line), true);
    }
    sqlite3_finalize(st);
    return lines;
}

/* No statement walks or sorts what grows with the number of tasks. */
static void test_plan_no_scan(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int lines = 0;

    for (int q = 0; q < QUERIES; q++) {
        CU_ASSERT_FATAL(dlm_query_text(q) != NULL);
        lines += explain(s, q);
    }
    CU_ASSERT(lines > 40);
    CU_ASSERT(dlm_query_text(QUERIES) == NULL);
    journal_close(s);
}

/* ---- Steps ----------------------------------------------------------------------------------------------- */

enum {
    TAKE_8,
    TAKE_64,
    TAKE_NEXT,
    LIST_ALL,
    LIST_STATE,
    LIST_SESSION,
    WAKE,
    WAKE_REASON,
    TALLY,
    MOVE,
    ADD,
    SAME,
    COSTS
};

static const char *const cost_names[COSTS] = {
    [TAKE_8] = "take 8",
    [TAKE_64] = "take 64",
    [TAKE_NEXT] = "take again",
    [LIST_ALL] = "list",
    [LIST_STATE] = "list --state",
    [LIST_SESSION] = "list --session",
    [WAKE] = "wake",
    [WAKE_REASON] = "wake by reason",
    [TALLY] = "tally",
    [MOVE] = "move",
    [ADD] = "add",
    [SAME] = "find the same",
};

static int count_step(void *context)
{
    ++*(int64_t *)context;
    return 0;
}

#define SATURATED "http://h0.example:80"

/* Every tenth task is of host 0 and better than all others; every 50th waits; some are done; two sessions. */
static void fill(struct dlm_store *s, int rows, int hosts)
{
    struct dlm_row row = journal_row("http://h0.example:80/f");
    char url[100], origin[64];

    row.url = url;
    row.origin = origin;
    for (int i = 0; i < rows; i++) {
        int64_t id;

        if (i % 20000 == 0)
            journal_begin(s);
        snprintf(origin, sizeof(origin), "http://h%d.example:80", i % 10 ? 1 + i % (hosts - 1) : 0);
        snprintf(url, sizeof(url), "%s/file-%d", origin, i);
        row.priority = i % 10 ? 0 : 5;
        row.session = i % 100 == 7 ? (char[]){"org"} : (char[]){"default"};
        id = journal_add_row(s, &row);
        if (i % 50 == 1)
            CHECK_INT(journal_try(s, id, DLMGR_WAITING), 0);
        else if (i % 50 == 2)
            CHECK_INT(journal_try(s, id, DLMGR_CANCELLED), 0);
        if (i % 20000 == 19999 || i == rows - 1)
            journal_commit(s);
    }
}

static void take(struct dlm_store *s, size_t max)
{
    const struct dlm_busy busy[] = {{SATURATED, 0}};
    struct dlm_row rows[64];
    size_t n = max;

    CHECK_INT(dlm_store_take(s, busy, 1, 6, rows, &n), 0);
    CHECK_INT(n, max);
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT(strcmp(rows[i].origin, SATURATED) != 0);
        dlm_row_clear(&rows[i]);
    }
}

static int nothing(const struct dlm_row *row, void *context)
{
    (void)row;
    ++*(int *)context;
    return 0;
}

static void list(struct dlm_store *s, unsigned states, const char *session)
{
    struct dlm_filter f = {.states = states, .session = session, .limit = 10, .after = 500};
    int n = 0;

    CHECK_INT(dlm_store_list(s, &f, nothing, &n), 0);
    CHECK_INT(n, 10);
}

static void add_one(struct dlm_store *s)
{
    struct dlm_row row = journal_row("http://h3.example:80/another");

    journal_add_row(s, &row);
}

static void run(struct dlm_store *s, int what)
{
    int64_t out;

    switch (what) {
    case TAKE_8:
    case TAKE_NEXT:
        take(s, 8);
        break;
    case TAKE_64:
        take(s, 64);
        break;
    case LIST_ALL:
        list(s, 0, NULL);
        break;
    case LIST_STATE:
        list(s, 1u << DLMGR_WAITING | 1u << DLMGR_CANCELLED, NULL);
        break;
    case LIST_SESSION:
        list(s, 0, "org");
        break;
    case WAKE:
        CHECK_INT(dlm_store_wake(s, 1, &out), 0);
        break;
    case WAKE_REASON:
        CHECK_INT(dlm_store_wake_reason(s, "storage"), 0);
        break;
    case TALLY: {
        struct dlm_tally tally;

        CHECK_INT(dlm_store_tally(s, &tally), 0);
        break;
    }
    case MOVE:
        CHECK_INT(journal_try(s, 4, DLMGR_CANCELLED), 0);
        break;
    case ADD:
        add_one(s);
        break;
    default:
        CHECK_INT(dlm_store_find_same(s, "default", "http://h0.example:80/file-10", "/downloads",
                                      NULL, 0, &out),
                  0);
    }
}

static void measure(int rows, int hosts, int64_t costs[COSTS])
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t steps = 0;

    fill(s, rows, hosts);
    sqlite3_progress_handler(s->db, 1, count_step, &steps);
    journal_begin(s);
    for (int i = 0; i < COSTS; i++) {
        steps = 0;
        run(s, i);
        CHECK_INT(dlm_derived_flush(s), 0);
        costs[i] = steps;
    }
    sqlite3_progress_handler(s->db, 0, NULL, NULL);
    dlm_store_rollback(s);
    journal_close(s);
}

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);

    return text && atoi(text) > 0 ? atoi(text) : otherwise;
}

/* A hundred times the rows and hosts: the same steps, give or take half. */
static void test_plan_flat(void)
{
    int rows = setting("DLM_TEST_ROWS", 200000);
    int64_t small[COSTS], large[COSTS];

    measure(2000, 100, small);
    journal_discard();
    measure(rows, 10000, large);
    for (int i = 0; i < COSTS; i++) {
        test_about("%s: %lld steps, %lld with %d rows", cost_names[i], (long long)small[i],
                   (long long)large[i], rows);
        CHECK_INT(large[i] <= small[i] + small[i] / 2 + 20, true);
        if (getenv("DLM_TEST_ROWS"))
            printf("    %-16s %7lld %7lld\n", cost_names[i], (long long)small[i],
                   (long long)large[i]);
    }
}

static const struct test tests[] = {
    TEST(test_plan_no_scan),
    TEST(test_plan_flat),
};

TEST_MAIN("store_plan", tests)
