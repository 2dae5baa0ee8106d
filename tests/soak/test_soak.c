/* SPDX-License-Identifier: MIT */
/*
 * test_soak.c - random everything for as long as one likes, and nothing lost, mixed, doubled or leaked: `make soak`.
 *
 *     SOAK=3600 SOAK_SEED=1 build/soak/test_soak
 *
 * See soak.h. The seed decides what is asked for and what the server does, not when the processes run. In `make check` it takes some seconds; memory
 * and descriptors are compared when it lasts three minutes or more.
 */
#include "tests/soak/soak.h"

#include "tests/lib/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SHORT_S = 8, COMPARED_S = 180, WINDOW_MS = 60000, SETTLE_MS = 60000, TURN_MS = 10 };

static long violations;
static uint64_t seed;

int64_t soak_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void wrong(const struct world *w, const char *fmt, ...)
{
    va_list args;

    if (++violations > 20)
        return;
    printf("  %s: ", w->name);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf(" (SOAK_SEED=%llu)\n", (unsigned long long)seed);
}

void soak_path(const struct world *w, const char *name, char out[700])
{
    snprintf(out, 700, "%s/%s", w->dir, name);
}

int soak_expect(struct world *w, const char *what, int r, const dlmgr_error *e)
{
    if (r == DLMGR_ELINK || r == DLMGR_EBUSY) {
        w->unknown++;
        if (!w->stormy)
            wrong(w, "%s: %s", what, e->text);
        return DLMGR_ELINK;
    }
    if (r == DLMGR_ENOSPC) { /* the machine's own trouble: nothing was changed */
        w->full++;
        return DLMGR_ELINK;
    }
    if (r != 0 && r != DLMGR_ESTATE && r != DLMGR_ENOTFOUND)
        wrong(w, "%s: code %d: %s", what, r, e->text);
    return r;
}

static void begin(struct world *w, const char *name, bool stormy, struct fx *fx)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);

    *w = (struct world){.name = name, .stormy = stormy, .fx = fx};
    snprintf(w->home, sizeof(w->home), "%s/%s", test_dir(), name);
    snprintf(w->dir, sizeof(w->dir), "%s/%s-files", test_dir(), name);
    CHECK_INT(mkdir(w->dir, 0755), 0);
    options.home = w->home;
    CU_ASSERT_EQUAL_FATAL(dlmgr_open(DLMGR_EITHER, &options, &w->handle, NULL), 0);
}

static void turn(struct world *w, int64_t since, int64_t until, unsigned n)
{
    int64_t now = soak_now(),
            window = until - since < 4 * WINDOW_MS ? (until - since) / 4 : WINDOW_MS;

    owner_tend(w);
    act_random(w);
    act_errands(w);
    if (n % 4 == 0)
        judge_events(w);
    if (n % 50 == 0)
        judge_list(w);
    if (w->stormy || n % 20)
        return;
    if (now >= since + window && now < since + 2 * window)
        owner_measure(w, &w->early);
    if (now >= until - window)
        owner_measure(w, &w->late);
}

static bool has_jobs(const struct world *w)
{
    for (int i = 0; i < JOBS; i++)
        if (w->jobs[i].key[0])
            return true;
    return false;
}

static void settle(struct world *w)
{
    int64_t until = soak_now() + SETTLE_MS, again = 0;

    while (has_jobs(w) && soak_now() < until) {
        owner_calm(w);
        for (int i = 0; soak_now() >= again && i < JOBS; i++)
            if (w->jobs[i].key[0])
                act_end(w, &w->jobs[i]);
        if (soak_now() >= again)
            again = soak_now() + 2000;
        act_errands(w);
        judge_events(w);
        usleep(TURN_MS * 1000);
    }
    owner_stop(w);
    judge_end(w);
}

static void end(struct world *w, int seconds)
{
    const struct usage *a = &w->early, *b = &w->late;

    settle(w);
    printf("  %s: %ld acts, %d jobs: %ld done, %ld failed, %ld cancelled, %ld restarted; %ld strikes, %ld calls without an answer, %ld with a full disk\n",
           w->name, w->acts, w->named, w->done, w->failed, w->cancelled, w->restarted, w->kills,
           w->unknown, w->full);
    if (!w->stormy)
        printf("  %s: early %ld KiB and %ld descriptors at most, late %ld and %ld\n", w->name,
               a->kib, a->descriptors, b->kib, b->descriptors);
    if (!w->stormy && seconds >= COMPARED_S &&
        (b->kib > a->kib + a->kib / 10 + 1024 || b->descriptors > a->descriptors + 8))
        wrong(w, "it has grown");
    if (!w->done)
        wrong(w, "nothing was done");
    w->handle = dlmgr_close(w->handle);
    free(w->ended);
}

static void test_soak(void)
{
    const char *given = getenv("SOAK"), *seeded = getenv("SOAK_SEED");
    int seconds = given ? atoi(given) : SHORT_S;
    struct fx_options quiet = {.log = "/dev/null"};
    static struct world calm, stormy;
    struct fx *fx = NULL;
    int64_t since = soak_now(), until = since + seconds * (int64_t)1000;

    seed = seeded ? strtoull(seeded, NULL, 10) : 1;
    dice_seed(seed);
    CU_ASSERT_EQUAL_FATAL(fx_start(&fx, &quiet), 0);
    begin(&calm, "calm", false, fx);
    begin(&stormy, "stormy", true, fx);
    for (unsigned n = 0; soak_now() < until; n++) {
        turn(&calm, since, until, n);
        turn(&stormy, since, until, n);
        usleep(TURN_MS * 1000);
    }
    end(&calm, seconds);
    end(&stormy, seconds);
    printf("  soak: %d s, seed %llu, violations %ld\n", seconds, (unsigned long long)seed,
           violations);
    CHECK_INT(violations, 0);
    fx_stop(fx);
}

static const struct test tests[] = {TEST(test_soak)};

TEST_MAIN("soak", tests)
