/* SPDX-License-Identifier: MIT */
/*
 * test_store_faults.c - whatever fails in the journal, and whenever: nothing that was committed is lost, and nothing is half there.
 *
 * A story of transactions that uses every writing function runs once without a fault, and then again and again with the
 * nth allocation, write, read, sync or map failing, until n is beyond its end. Each part is a batch as the journal's thread makes it: what
 * fails is undone to its savepoint, and the rest of the batch is committed all the same. After each: the journal opens, its rules hold,
 * and it is, row for row, as the last commit that was reported left it (or as the next one did, when that failed after its last write).
 *
 * n grows a little faster than by one where there are thousands; DLM_TEST_ALL=1 takes each (minutes).
 *
 * timeout: 300
 */
#include "tests/lib/journal.h"
#include "tests/lib/sqlfault.h"
#include "tests/lib/test.h"

#include <stdio.h>

struct run {
    struct dlm_store *s;
    int committed, attempted; /* parts of the story */
    int batch,
        next_batch; /* the same, of what else is in the batch: also when the part was undone */
};

/* ---- The story --------------------------------------------------------------------------------------------- */

#define TRY(expression)                                                                            \
    do {                                                                                           \
        int try_ = (expression);                                                                   \
        if (try_ < 0)                                                                              \
            return try_;                                                                           \
    } while (0)

static int add_all(struct dlm_store *s)
{
    static const char *const hosts[] = {"http://a:80/1", "http://b:80/2", "http://b:80/3",
                                        "http://c:80/4"};

    for (int i = 0; i < (int)ARRAY_SIZE(hosts); i++) {
        struct dlm_row row = journal_row(hosts[i]);
        const char *urls[] = {hosts[i], "http://m:80/mirror"};
        char key[16];
        int64_t id;

        snprintf(key, sizeof(key), "key-%d", i);
        row.key = key;
        row.user_data = key;
        row.user_data_len = 3;
        row.priority = i;
        TRY(dlm_store_add(s, &row, urls, 2, i % 2 ? "{\"password\":\"p\"}" : NULL, "hash", &id));
        TRY(dlm_store_add(s, &row, urls, 2, NULL, "hash", &id));
    }
    return 0;
}

static int take_some(struct dlm_store *s)
{
    struct dlm_row rows[2] = {{0}};
    size_t n = 2;

    TRY(dlm_store_take(s, NULL, 0, 1, rows, &n));
    for (size_t i = 0; i < n; i++)
        dlm_row_clear(&rows[i]);
    return n == 2 ? 0 : DLMGR_ENOTFOUND;
}

/* Tasks 4 and 3 (by priority, of two hosts) run now. */
static int write_bytes(struct dlm_store *s)
{
    static const struct dlm_block_row blocks[] = {{0, 1 << 20, 1}, {1, 7, 2}};
    static const uint32_t bad[] = {1};
    struct dlm_begin b = {.id = 4,
                          .validator = "\"v\"",
                          .total = 3 << 20,
                          .name = "f",
                          .part = "f.part"};
    struct dlm_ident ident = {.ino = 1, .btime_ns = 2, .size = 3};
    struct dlm_hint hint = {.task = 4, .boot = "boot", .start = 0, .end = 9};
    int64_t generation;

    TRY(dlm_store_begin_generation(s, &b, &generation));
    TRY(dlm_store_checkpoint(s, 4, generation, &ident, blocks, 2, (1 << 20) + 7));
    TRY(dlm_store_uncount(s, 4, generation, bad, 1, 1 << 20));
    hint.generation = generation;
    TRY(dlm_store_hint_add(s, &hint));
    b.id = 3;
    b.bump = true;
    b.reason = "changed";
    return dlm_store_begin_generation(s, &b, &generation);
}

static int move_with_savepoints(struct dlm_store *s)
{
    struct dlm_row row = journal_row("http://d:80/5");
    const char *urls[] = {row.url};
    int64_t id;

    TRY(dlm_store_savepoint(s));
    TRY(journal_try(s, 3, DLMGR_FAILED));
    TRY(dlm_store_add(s, &row, urls, 1, "{\"password\":\"undone\"}", NULL, &id));
    dlm_store_release(s, false);
    TRY(dlm_store_savepoint(s));
    TRY(journal_try(s, 4, DLMGR_VERIFYING));
    TRY(journal_try(s, 4, DLMGR_COMMITTING));
    TRY(journal_try(s, 4, DLMGR_DONE));
    dlm_store_release(s, true);
    return journal_try(s, 3, DLMGR_WAITING);
}

static int change(struct dlm_store *s)
{
    static const char *const urls[] = {"https://n:443/new", "https://o:443/mirror"};
    struct dlm_edit edit = {.urls = urls,
                            .n_urls = 2,
                            .origin = "https://n:443",
                            .has_secret = true,
                            .secret = "{}",
                            .options = "{}",
                            .has_priority = true,
                            .priority = 9};
    int64_t next;
    bool more;

    TRY(dlm_store_edit(s, 2, &edit));
    TRY(dlm_store_wake(s, 6000, &next));
    TRY(journal_try(s, 1, DLMGR_CANCELLED));
    TRY(dlm_store_ack_to(s, "default", 1));
    return dlm_store_prune(s, 0, INT64_MAX, -1, 10, &more);
}

static int clean_up(struct dlm_store *s)
{
    struct dlm_row row = {0};

    TRY(dlm_store_remove(s, 2));
    TRY(dlm_store_hints_drop(s, 3));
    TRY(dlm_store_recover(s));
    return dlm_store_committing(s, 0, &row) == DLMGR_ENOTFOUND ? 0 : DLMGR_ENOMEM;
}

static int (*const parts[])(struct dlm_store *s) = {add_all,     take_some,
                                                    write_bytes, move_with_savepoints,
                                                    change,      clean_up};

static int see_row(const struct dlm_row *row, void *context)
{
    (void)row;
    ++*(int *)context;
    return 0;
}

static int see_event(const struct dlm_event_row *ev, void *context)
{
    (void)ev;
    ++*(int *)context;
    return 0;
}

static int read_all(struct dlm_store *s)
{
    struct dlm_filter filter = {.limit = 100};
    struct dlm_tally tally;
    struct dlm_row row = {0};
    int64_t last, acked, ids[8];
    size_t n = 8;
    int seen = 0;

    TRY(dlm_store_list(s, &filter, see_row, &seen));
    TRY(dlm_store_ids(s, &filter, ids, &n));
    TRY(dlm_store_tally(s, &tally));
    TRY(dlm_store_session(s, "default", &last, &acked));
    TRY(dlm_store_events(s, "default", 0, 100, see_event, &seen));
    for (size_t i = 0; i < n; i++) {
        struct dlm_block_row *blocks = NULL;
        struct dlm_hint *hints = NULL;
        char **urls = NULL, *secret = NULL;
        size_t count = 0, n_urls = 0;
        int r = dlm_store_get(s, ids[i], &row);

        if (r == 0)
            r = dlm_store_sources(s, ids[i], &urls, &n_urls);
        if (r == 0 && row.secret)
            r = dlm_store_secret(s, row.secret, &secret);
        if (r == 0)
            r = dlm_store_blocks(s, ids[i], &blocks, &count);
        if (r == 0)
            r = dlm_store_hints(s, ids[i], &hints, &count);
        for (size_t u = 0; u < n_urls; u++)
            free(urls[u]);
        free(urls);
        free(secret);
        free(blocks);
        free(hints);
        dlm_row_clear(&row);
        TRY(r);
    }
    return 0;
}

static int savepoint(struct dlm_store *s, int i, const char *setting, int (*fn)(struct dlm_store *s))
{
    char number[16];
    dlmgr_error e = {0};
    int r;

    snprintf(number, sizeof(number), "%d", i + 1);
    TRY(dlm_store_savepoint(s));
    r = fn ? fn(s) : 0;
    if (r == 0)
        r = dlm_store_setting_set(s, setting, number);
    if (r < 0) {
        dlm_store_error(s, r, &e);
        CU_ASSERT(e.code == r && e.text[0]);
    }
    dlm_store_release(s, r == 0);
    return r;
}

/* One batch: the part, and something else beside it. */
static int part(struct run *t, int i)
{
    dlmgr_error e = {0};
    int r, also, committed;

    TRY(dlm_store_begin(t->s));
    r = savepoint(t->s, i, "part", parts[i]);
    also = savepoint(t->s, i, "batch", NULL);
    t->attempted = r == 0 ? i + 1 : t->attempted;
    t->next_batch = also == 0 ? i + 1 : t->next_batch;
    committed = dlm_store_commit(t->s, &e);
    TRY(committed);
    t->committed = t->attempted;
    t->batch = t->next_batch;
    TRY(also);
    return r;
}

static char *prints[ARRAY_SIZE(parts) + 1]; /* of the journal after each part, without faults */

static int print_row(const struct dlm_row *row, void *context)
{
    dlm_buf_printf(context, "%d state %d gen %d bytes %d prio %d secret %d %s %s %s\n",
                   (int)row->id, row->state, (int)row->generation, (int)row->bytes, row->priority,
                   row->secret != 0, row->url, row->part ? row->part : "-",
                   row->wait_reason ? row->wait_reason : "-");
    return 0;
}

/* All that does not depend on the time. */
static char *print(struct dlm_store *s)
{
    struct dlm_filter filter = {.limit = 100};
    struct dlm_buf b = {0};
    int64_t last = 0, acked = 0;

    CHECK_INT(dlm_store_list(s, &filter, print_row, &b), 0);
    CHECK_INT(dlm_store_session(s, "default", &last, &acked), 0);
    dlm_buf_printf(&b, "events %d, acknowledged %d\n", (int)last, (int)acked);
    return dlm_buf_take(&b);
}

static int story(struct run *t, bool first)
{
    dlmgr_error e = {0};

    *t = (struct run){0};
    TRY(dlm_store_open(journal_homefd(), journal_home(), DLM_STORE_WRITE, &t->s, &e));
    for (int i = 0; i < (int)ARRAY_SIZE(parts); i++) {
        if (first)
            prints[i] = print(t->s);
        TRY(part(t, i));
        TRY(read_all(t->s));
    }
    if (first)
        prints[ARRAY_SIZE(parts)] = print(t->s);
    dlm_store_close(TAKE_PTR(t->s));
    TRY(dlm_store_open(journal_homefd(), journal_home(), DLM_STORE_READ, &t->s, &e));
    return read_all(t->s);
}

/* ---- Again and again ----------------------------------------------------------------------------------------- */

static void complain(const char *what, void *context)
{
    CHECK_STR(what, context);
}

static int number_of(struct dlm_store *s, const char *setting)
{
    CLEANUP_FREE char *number = NULL;

    CHECK_INT(dlm_store_setting(s, setting, &number), 0);
    return number ? atoi(number) : 0;
}

/* Which of the two commits is it that the journal shows? Its rows must be those. */
static void check_commit(struct dlm_store *s, const struct run *t, const char *about)
{
    int done = number_of(s, "part"), batch = number_of(s, "batch");
    CLEANUP_FREE char *now = print(s);

    test_about("%s: parts %d of %d, batches %d of %d were reported, %d and %d are there", about,
               t->committed, t->attempted, t->batch, t->next_batch, done, batch);
    CU_ASSERT((done == t->committed && batch == t->batch) ||
              (done == t->attempted && batch == t->next_batch));
    CHECK_STR(now, prints[done]);
}

/* The journal is what a commit made it, and can be written. */
static void check(const struct run *t, const char *about)
{
    struct dlm_store *s = NULL;
    dlmgr_error e = {0};
    int r = dlm_store_open(journal_homefd(), journal_home(), DLM_STORE_WRITE, &s, &e);

    test_about("%s: %s", about, e.text);
    CHECK_INT(r, 0);
    CU_ASSERT_FATAL(r == 0);
    CHECK_INT(dlm_store_check(s, complain, (void *)(uintptr_t) "nothing wrong"), 0);
    check_commit(s, t, about);
    journal_begin(s);
    CHECK_INT(dlm_store_recover(s), 0);
    journal_commit(s);
    CHECK_INT(dlm_store_check(s, complain, (void *)(uintptr_t) "nothing wrong"), 0);
    dlm_store_close(s);
}

/* After a fault that has passed, the same connection goes on, with secrets of its own. */
static void check_connection(struct run *t, const char *about)
{
    struct dlm_row row = journal_row("http://e:80/6"), got = {0};
    const char *urls[] = {row.url};
    CLEANUP_FREE char *secret = NULL;
    int64_t id = 0;

    if (!t->s || t->committed == ARRAY_SIZE(parts))
        return;
    check_commit(t->s, t, about);
    CHECK_INT(dlm_store_check(t->s, complain, (void *)(uintptr_t) "nothing wrong"), 0);
    journal_begin(t->s);
    CHECK_INT(dlm_store_add(t->s, &row, urls, 1, "{\"password\":\"fresh\"}", NULL, &id), 0);
    journal_commit(t->s);
    CU_ASSERT_FATAL(dlm_store_get(t->s, id, &got) == 0);
    CHECK_INT(dlm_store_secret(t->s, got.secret, &secret), 0);
    CHECK_STR(secret, "{\"password\":\"fresh\"}");
    dlm_row_clear(&got);
    journal_begin(t->s);
    CHECK_INT(dlm_store_remove(t->s, id), 0);
    journal_commit(t->s);
}

static long step(long n)
{
    return getenv("DLM_TEST_ALL") || n < 60 ? n + 1 : n + 1 + n / 25;
}

static void run_all(enum sqlfault_kind kind, const char *name, long at_least)
{
    struct run t;
    long n = 0, fired = 0;
    bool more = true;

    if (!prints[0]) {
        CHECK_INT(story(&t, true), 0);
        dlm_store_close(t.s);
        journal_discard();
    }
    while (more) {
        char about[64];
        int r;

        n = step(n);
        snprintf(about, sizeof(about), "%s %ld", name, n);
        test_about("%s", about);
        sqlfault_set(kind, n);
        if (kind == SQLFAULT_NONE)
            dlm_fault_alloc = (int)n;
        r = story(&t, false);
        more = kind == SQLFAULT_NONE ? dlm_fault_alloc == 0 : sqlfault_fired();
        dlm_fault_alloc = 0;
        if (!more)
            CHECK_INT(r, 0);
        if (kind == SQLFAULT_NONE && more)
            CHECK_INT(r, DLMGR_ENOMEM);
        fired += more;
        sqlfault_set(SQLFAULT_NONE, 0);
        if (kind != SQLFAULT_DEAD && kind != SQLFAULT_FULL)
            check_connection(&t, about);
        dlm_store_close(TAKE_PTR(t.s));
        check(&t, about);
        journal_discard();
    }
    test_about("%s: %ld", name, fired);
    CU_ASSERT(fired >= at_least);
}

static void test_faults_none(void)
{
    struct run t;

    sqlfault_set(SQLFAULT_NONE, 0);
    CHECK_INT(story(&t, true), 0);
    CHECK_INT(t.committed, ARRAY_SIZE(parts));
    dlm_store_close(t.s);
    check(&t, "no fault");
}

static void test_faults_our_memory(void)
{
    run_all(SQLFAULT_NONE, "allocation", 100);
}

static void test_faults_sqlite_memory(void)
{
    run_all(SQLFAULT_MEMORY, "allocation in SQLite", 100);
}

static void test_faults_io_once(void)
{
    run_all(SQLFAULT_IO, "call", 100);
}

static void test_faults_io_for_good(void)
{
    run_all(SQLFAULT_DEAD, "call and all later ones", 100);
}

static void test_faults_disk_full(void)
{
    run_all(SQLFAULT_FULL, "growing write and all later ones", 20);
}

/* SQLite may roll all back by itself in the middle: what comes after that must not be stored on its own. */
static void test_faults_without_savepoint(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int lost = 0;

    for (long n = 1; n <= 150; n++) {
        int number = (int)n, r;
        char text[16], was[16];

        snprintf(text, sizeof(text), "%d", number);
        snprintf(was, sizeof(was), "%d", number_of(s, "last"));
        journal_begin(s);
        CHECK_INT(dlm_store_setting_set(s, "first", text), 0);
        sqlfault_set(SQLFAULT_MEMORY, n);
        r = dlm_store_add(s,
                          &(struct dlm_row){.url = text, .origin = text, .dir = text, .session = text},
                          NULL, 0, NULL, NULL, &(int64_t){0});
        sqlfault_set(SQLFAULT_NONE, 0);
        if (dlm_store_setting_set(s, "last", text) == 0) {
            journal_commit(s);
            continue;
        }
        lost++;
        test_about("allocation %ld", n);
        CHECK_INT(r, DLMGR_ENOMEM);
        CHECK_INT(dlm_store_commit(s, NULL), DLMGR_ENOMEM);
        CHECK_INT(number_of(s, "last"), atoi(was));
        CHECK_INT(number_of(s, "first"), atoi(was));
    }
    CU_ASSERT(lost > 0);
    journal_close(s);
}

static const struct test tests[] = {
    TEST(test_faults_without_savepoint), TEST(test_faults_none),    TEST(test_faults_our_memory),
    TEST(test_faults_sqlite_memory),     TEST(test_faults_io_once), TEST(test_faults_io_for_good),
    TEST(test_faults_disk_full),
};

TEST_MAIN("store_faults", tests)
