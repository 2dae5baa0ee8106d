/* SPDX-License-Identifier: MIT */
/*
 * test_chaos.c - servers that do everything wrong by turns, owners that go away in between: a file is one version, or there is none.
 *
 * Each task has a script of random steps: two versions of a file, of one size or not, with strong, weak or no validators, cut, reset,
 * dropped, lied about, refused, and at its end an honest server. The owner is closed and opened a few times meanwhile. Whatever happened,
 * a finished file must be one of the two versions to the byte. The same seeds give the same scripts; a failed one
 * is printed. CHAOS=N plays N rounds.
 */
#include "tests/lib/house.h"
#include "tests/lib/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TASKS = 24, ROUNDS = 3, CLOSINGS = 4, STEPS = 8, SCRIPT = 3000 };

static uint64_t state;

static unsigned dice(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

struct resource {
    int64_t size[3];   /* of version 1 and 2 */
    unsigned validate; /* 0 strong, 1 weak, 2 none, 3 Last-Modified */
    char script[SCRIPT];
    size_t len;
};

static void say(struct resource *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct resource *r, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    r->len += (size_t)vsnprintf(r->script + r->len, sizeof(r->script) - r->len, fmt, args);
    va_end(args);
}

/* Equal validators mean equal bytes: beyond that no client can see. */
static void say_version(struct resource *r, int v)
{
    say(r, "size=%lld seed=%d ", (long long)r->size[v], v);
    if (r->validate == 0)
        say(r, "etag=\"v%d\" ", v);
    else if (r->validate == 1)
        say(r, "etag=W/\"v\" ");
    else if (r->validate == 3)
        say(r, "lastmod=start-%d ", 9000 - v * 1000);
}

static void say_step(struct resource *r)
{
    int v = 1 + (int)dice(2);
    unsigned at = dice((unsigned)r->size[v] + 1);

    say_version(r, v);
    switch (dice(16)) {
    case 0:
        return say(r, "reset=%u ; ", at);
    case 1:
        return say(r, "drop=fin ; ");
    case 2:
        return say(r, "status=503 esize=%u ; ", dice(100000));
    case 3:
        return say(r, "ifrange=ignore cut=%u ; ", at);
    case 4:
        return say(r, "norange cut=%u ; ", at);
    case 5:
        return say(r, "crshift=%d ; ", (int)dice(200000) - 100000);
    case 6:
        return say(r, "crtotal=%lld ; ", (long long)r->size[v] + dice(9) - 4);
    case 7:
        return say(r, "short206=%u ; ", dice(100000));
    case 8:
        return say(r, "long206=%u ; ", dice(100000));
    case 9:
        return say(r, "nolength ; ");
    case 10:
        return say(r, "chunked cut=%u ; ", at);
    case 11:
        return say(r, "cr=none ; ");
    case 12:
        return say(r, "ifrange=ignore ; ");
    case 13:
        return say(r, "stall=%u stall_ms=%u ; ", at, dice(400));
    default:
        return say(r, "cut=%u ; ", at);
    }
}

static void make(struct resource *r)
{
    *r = (struct resource){.validate = dice(4)};
    r->size[1] = 200000 + (int64_t)dice(4000000);
    r->size[2] = dice(2) ? r->size[1] : 200000 + (int64_t)dice(4000000);
    if (dice(3) == 0)
        r->size[1] = r->size[2] = 17 << 20; /* several connections */
    for (unsigned n = 1 + dice(STEPS); n > 0; n--) {
        say_step(r);
        if (r->size[1] > 16 << 20) /* so that the others have time to join */
            r->len -= 2, say(r, "rate=40000000 ; ");
    }
    say_version(r, 1 + (int)dice(2));
}

static int64_t begin_task(struct house *h, struct resource *r, int i)
{
    char *url = fx_url(h->fx, "/chaos/%d", i);
    dlmgr_request request = house_request(h, url);
    int64_t id;

    make(r);
    request.max_tries = 50;
    request.retry_wait_ms = 5;
    CHECK_INT(fx_script(h->fx, strstr(url, "/chaos/"), "%s", r->script), 0);
    id = house_add(h, &request);
    free(url);
    return id;
}

/* A server may lie so that a short file looks whole: without a length, the end of the connection is all there is to go by. */
static bool may_be_short(const struct resource *r)
{
    return strstr(r->script, "nolength") != NULL;
}

/* Which version the file begins with; 0: none. */
static int find_version(const char *path)
{
    char first[64] = "";
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(first, 1, sizeof(first), f) : 0;
    int found = 0;

    for (int v = 1; v <= 2 && n > 0; v++) {
        struct body body = {.seed = (uint64_t)v};

        if (body_match(&body, 0, first, n) == n)
            found = v;
    }
    if (f)
        fclose(f);
    return found;
}

static bool is_good(const struct house_result *end, const struct resource *r)
{
    int v = find_version(end->path);

    if (v == 0)
        return may_be_short(r) && end->bytes_total == 0;
    if (end->bytes_total != r->size[v] && !may_be_short(r))
        return false;
    return fx_file_check(end->path, end->bytes_total, (uint64_t)v) == 0;
}

/* True: it is done. */
static bool check_task(struct house *h, int64_t id, const struct resource *r)
{
    struct house_result end = house_wait(h, id);

    if (end.state == DLMGR_DONE && is_good(&end, r))
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
    static struct resource resources[TASKS];
    int64_t ids[TASKS];
    const char *more = getenv("CHAOS");
    struct house h;
    int done = 0, rounds = more ? atoi(more) : ROUNDS;

    house_begin(&h);
    for (int round = 0; round < rounds; round++) {
        state = (uint64_t)round * 1000003 + 17;
        for (int i = 0; i < TASKS; i++)
            ids[i] = begin_task(&h, &resources[i], i);
        for (int i = 0; i < CLOSINGS; i++) {
            usleep(50000 + dice(300000));
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
