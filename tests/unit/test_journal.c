/* SPDX-License-Identifier: MIT */
/*
 * test_journal.c - durable before done, all or nothing for each op, and nothing told while the disk is full.
 */
#include "dlmgr/journal.h"

#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct change {
    struct dlm_op op;
    char name[16];
    int fail_with; /* after having written */
    int times;     /* how often it fails so; -1 always */
    int worked;
    int done;  /* its place in the order, from 1 */
    bool seen; /* by another connection, in done */
};

static char home[64];
static int homefd, done_count, news_count;
static uv_loop_t loop;
static struct dlm_journal *journal;

static void on_news(void *context)
{
    (*(int *)context)++;
}

static struct dlm_store *store_open(int mode)
{
    struct dlm_store *s = NULL;
    dlmgr_error e = {0};

    CU_ASSERT_EQUAL_FATAL(dlm_store_open(homefd, home, mode, &s, &e), 0);
    return s;
}

static bool stored(const char *name)
{
    struct dlm_store *s = store_open(DLM_STORE_READ);
    CLEANUP_FREE char *value = NULL;

    CU_ASSERT_EQUAL(dlm_store_setting(s, name, &value), 0);
    dlm_store_close(s);
    return value != NULL;
}

static void begin(void)
{
    done_count = news_count = 0;
    snprintf(home, sizeof(home), "/tmp/dlmgr-journal-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(home));
    homefd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(uv_loop_init(&loop), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_journal_start(&loop, store_open(DLM_STORE_WRITE), on_news,
                                            &news_count, &journal, NULL),
                          0);
}

static void stop(int64_t wait_ms)
{
    dlm_journal_stop(journal, wait_ms);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
    dlm_journal_free(journal);
}

static void end(void)
{
    char command[128];

    close(homefd);
    snprintf(command, sizeof(command), "rm -rf '%s'", home);
    CU_ASSERT_EQUAL(system(command), 0);
}

static int work(struct dlm_store *s, struct dlm_op *op)
{
    struct change *c = container_of(op, struct change, op);
    int r = dlm_store_setting_set(s, c->name, "x");

    c->worked++;
    if (r == 0 && c->fail_with && c->times != 0) {
        c->times -= c->times > 0;
        return c->fail_with;
    }
    return r;
}

static void on_done(struct dlm_op *op)
{
    struct change *c = container_of(op, struct change, op);

    c->done = ++done_count;
    c->seen = stored(c->name);
}

static void post(struct change *c, const char *name, int fail_with, int times)
{
    *c = (struct change){.op = {.work = work, .done = on_done},
                         .fail_with = fail_with,
                         .times = times};
    snprintf(c->name, sizeof(c->name), "%s", name);
    dlm_journal_post(journal, &c->op);
}

static void run_until_done(int n)
{
    while (done_count < n)
        uv_run(&loop, UV_RUN_ONCE);
}

/* Another connection sees the change by the time that `done` runs, and the order is the order of posting. */
static void test_durable_before_done(void)
{
    struct change c[20];
    char name[16];

    begin();
    for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
        snprintf(name, sizeof(name), "k%zu", i);
        post(&c[i], name, 0, 0);
    }
    run_until_done((int)ARRAY_SIZE(c));
    for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
        CU_ASSERT(c[i].seen);
        CU_ASSERT_EQUAL(c[i].done, (int)i + 1);
        CU_ASSERT_EQUAL(c[i].op.result, 0);
    }
    CU_ASSERT_EQUAL(news_count, 0);
    stop(0);
    end();
}

static bool first_was_stored;

static int work_slowly(struct dlm_store *s, struct dlm_op *op)
{
    usleep(30000);
    return work(s, op);
}

static int work_and_look(struct dlm_store *s, struct dlm_op *op)
{
    first_was_stored = stored("slow");
    return work(s, op);
}

/* After a slow op the batch ends: what was posted with it is not kept waiting for what comes behind. */
static void test_a_batch_ends_after_a_while(void)
{
    struct change slow, second;

    begin();
    post(&slow, "slow", 0, 0);
    slow.op.work = work_slowly;
    post(&second, "second", 0, 0);
    second.op.work = work_and_look;
    run_until_done(2);
    CU_ASSERT(first_was_stored);
    CU_ASSERT(slow.seen && second.seen);
    CU_ASSERT_EQUAL(second.done, 2);
    CU_ASSERT(dlm_journal_longest(journal) >= 30000);
    stop(0);
    end();
}

/* An op that fails for reasons of its own is undone alone, with a text; its neighbours in the batch are kept. */
static void test_a_failed_op_is_undone_alone(void)
{
    struct change a, b, c;

    begin();
    post(&a, "a", 0, 0);
    post(&b, "b", DLMGR_ESTATE, -1);
    post(&c, "c", 0, 0);
    run_until_done(3);
    CU_ASSERT(a.seen);
    CU_ASSERT_FALSE(b.seen);
    CU_ASSERT(c.seen);
    CU_ASSERT_EQUAL(b.op.result, DLMGR_ESTATE);
    CU_ASSERT_EQUAL(b.op.error.code, DLMGR_ESTATE);
    stop(0);
    end();
}

/* A full disk keeps the whole batch: nothing is told until it could be stored, and then all of it is. */
static void test_a_full_disk_keeps_the_batch(void)
{
    struct change a, b;

    begin();
    post(&a, "a", 0, 0);
    post(&b, "b", DLMGR_ENOSPC, 1);
    while (!dlm_journal_stuck(journal))
        uv_run(&loop, UV_RUN_NOWAIT);
    CU_ASSERT_EQUAL(done_count, 0);
    CU_ASSERT_FALSE(stored("a"));
    run_until_done(2);
    CU_ASSERT_FALSE(dlm_journal_stuck(journal));
    CU_ASSERT_EQUAL(a.worked, 2);
    CU_ASSERT(a.seen && b.seen);
    CU_ASSERT_EQUAL(b.op.result, 0);
    stop(0);
    end();
}

/* Who asked is told after three seconds that it cannot be stored, and why; what the engine itself has to say is kept, and stored at last. */
static void test_a_request_is_given_up(void)
{
    struct change request, own;
    int64_t begun = dlm_clock_mono();

    begin();
    post(&request, "request", 0, 0);
    request.op.request = true;
    post(&own, "own", DLMGR_EIO, 4);
    run_until_done(1);
    CU_ASSERT(dlm_clock_mono() - begun >= 3000);
    CU_ASSERT_EQUAL(request.done, 1);
    CU_ASSERT_EQUAL(request.op.result, DLMGR_EIO);
    CU_ASSERT_EQUAL(request.op.error.code, DLMGR_EIO);
    CU_ASSERT(dlm_journal_stuck(journal));
    run_until_done(2);
    CU_ASSERT_EQUAL(own.op.result, 0);
    CU_ASSERT(own.seen);
    CU_ASSERT_FALSE(stored("request"));
    stop(0);
    end();
}

/* When nothing else waits the journal is free again. */
static void test_only_requests_are_given_up(void)
{
    struct change request, next;

    begin();
    post(&request, "request", DLMGR_ENOSPC, -1);
    request.op.request = true;
    run_until_done(1);
    CU_ASSERT_EQUAL(request.op.result, DLMGR_ENOSPC);
    post(&next, "next", 0, 0);
    run_until_done(2);
    CU_ASSERT_FALSE(dlm_journal_stuck(journal));
    CU_ASSERT(next.seen);
    stop(0);
    end();
}

/* Stopping commits what was posted; what cannot be stored is given up in time and never told. */
static void test_stop_commits_or_gives_up(void)
{
    struct change a, never;

    begin();
    post(&a, "a", 0, 0);
    stop(1000);
    CU_ASSERT_EQUAL(a.done, 1);
    CU_ASSERT(a.seen);
    end();

    begin();
    post(&never, "never", DLMGR_ENOSPC, -1);
    stop(100);
    CU_ASSERT_EQUAL(never.done, 0);
    CU_ASSERT_FALSE(stored("never"));
    end();
}

static const struct test tests[] = {
    {"durable_before_done", test_durable_before_done},
    {"a_batch_ends_after_a_while", test_a_batch_ends_after_a_while},
    {"a_failed_op_is_undone_alone", test_a_failed_op_is_undone_alone},
    {"a_full_disk_keeps_the_batch", test_a_full_disk_keeps_the_batch},
    {"a_request_is_given_up", test_a_request_is_given_up},
    {"only_requests_are_given_up", test_only_requests_are_given_up},
    {"stop_commits_or_gives_up", test_stop_commits_or_gives_up},
};

TEST_MAIN("journal", tests)
