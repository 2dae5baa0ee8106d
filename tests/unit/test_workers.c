/* SPDX-License-Identifier: MIT */
/*
 * test_workers.c - two lanes, two halves, no signals.
 */
#include "dlmgr/workers.h"

#include "tests/lib/test.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

struct job {
    struct dlm_job job;
    pthread_t worked_on;
    bool done, signals_blocked;
};

static uv_loop_t loop;
static struct dlm_workers *workers;
static pthread_t loop_thread;
static sem_t gate;
static atomic_int inside, most_inside;
static int done_count;

static void begin(void)
{
    loop_thread = pthread_self();
    done_count = 0;
    atomic_store(&inside, 0);
    atomic_store(&most_inside, 0);
    sem_init(&gate, 0, 0);
    CU_ASSERT_EQUAL_FATAL(uv_loop_init(&loop), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_workers_start(&loop, 4, &workers, NULL), 0);
}

static void end(void)
{
    dlm_workers_stop(workers);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
    dlm_workers_free(workers);
    sem_destroy(&gate);
}

static void work_light(struct dlm_job *job)
{
    struct job *j = container_of(job, struct job, job);
    sigset_t set;

    j->worked_on = pthread_self();
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    j->signals_blocked = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGPIPE) == 1;
}

static void work_heavy(struct dlm_job *job)
{
    int now = atomic_fetch_add(&inside, 1) + 1;

    if (now > atomic_load(&most_inside))
        atomic_store(&most_inside, now);
    sem_wait(&gate);
    atomic_fetch_sub(&inside, 1);
    work_light(job);
}

static void on_done(struct dlm_job *job)
{
    struct job *j = container_of(job, struct job, job);

    CU_ASSERT(pthread_equal(pthread_self(), loop_thread));
    CU_ASSERT_FALSE(pthread_equal(j->worked_on, loop_thread));
    CU_ASSERT(j->signals_blocked);
    j->done = true;
    done_count++;
}

static void submit(struct job *j, bool heavy)
{
    *j = (struct job){
        .job = {.work = heavy ? work_heavy : work_light, .done = on_done, .heavy = heavy}};
    dlm_workers_submit(workers, &j->job);
}

static void test_work_there_and_done_here(void)
{
    struct job jobs[100];

    begin();
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
        submit(&jobs[i], false);
    while (done_count < (int)ARRAY_SIZE(jobs))
        uv_run(&loop, UV_RUN_ONCE);
    end();
}

/* With four workers and eight heavy jobs that do not end, light ones still run, and never more than two heavy at once. */
static void test_heavy_jobs_leave_room(void)
{
    struct job heavy[8], light[8];

    begin();
    for (size_t i = 0; i < ARRAY_SIZE(heavy); i++)
        submit(&heavy[i], true);
    for (size_t i = 0; i < ARRAY_SIZE(light); i++)
        submit(&light[i], false);
    while (done_count < (int)ARRAY_SIZE(light))
        uv_run(&loop, UV_RUN_ONCE);
    for (size_t i = 0; i < ARRAY_SIZE(heavy); i++)
        CU_ASSERT_FALSE(heavy[i].done);
    while (atomic_load(&inside) < 2)
        sched_yield();
    for (size_t i = 0; i < ARRAY_SIZE(heavy); i++)
        sem_post(&gate);
    while (done_count < (int)(ARRAY_SIZE(light) + ARRAY_SIZE(heavy)))
        uv_run(&loop, UV_RUN_ONCE);
    CU_ASSERT_EQUAL(atomic_load(&most_inside), 2);
    end();
}

/* What was submitted before the stop is done before it returns. */
static void test_stop_finishes_what_was_submitted(void)
{
    struct job jobs[50];

    begin();
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
        submit(&jobs[i], false);
    end();
    CU_ASSERT_EQUAL(done_count, (int)ARRAY_SIZE(jobs));
}

static void work_round(struct dlm_job *list)
{
    int n = 0;

    atomic_fetch_add(&inside, 1);
    for (struct dlm_job *job = list; job; job = job->next, n++)
        work_light(job);
    if (n > atomic_load(&most_inside))
        atomic_store(&most_inside, n);
    sem_wait(&gate);
}

/* While a round is under way the next one gathers, and takes at most so many; all are done once. */
static void test_jobs_gather_in_rounds(void)
{
    struct job jobs[25];
    struct dlm_gather gather;

    begin();
    dlm_gather_init(&gather, workers, 1, 10, work_round);
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
        jobs[i] = (struct job){.job.done = on_done};
        dlm_gather_submit(&gather, &jobs[i].job);
    }
    for (int i = 0; i < 4; i++)
        sem_post(&gate);
    while (done_count < (int)ARRAY_SIZE(jobs))
        uv_run(&loop, UV_RUN_ONCE);
    CHECK_INT(atomic_load(&inside), 4); /* 1, 10, 10, 4 */
    CHECK_INT(atomic_load(&most_inside), 10);
    end();
}

static const struct test tests[] = {
    {"jobs_gather_in_rounds", test_jobs_gather_in_rounds},
    {"work_there_and_done_here", test_work_there_and_done_here},
    {"heavy_jobs_leave_room", test_heavy_jobs_leave_room},
    {"stop_finishes_what_was_submitted", test_stop_finishes_what_was_submitted},
};

TEST_MAIN("workers", tests)
