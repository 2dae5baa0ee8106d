/* SPDX-License-Identifier: MIT */
/*
 * lies.c - a server that does everything wrong by turns: see lies.h.
 */
#include "tests/lib/lies.h"

#include "tests/lib/fixture.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static uint64_t state;

void dice_seed(uint64_t seed)
{
    state = seed;
}

unsigned dice_roll(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

static void say(struct lies *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct lies *l, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    l->len += (size_t)vsnprintf(l->script + l->len, sizeof(l->script) - l->len, fmt, args);
    va_end(args);
}

/* Equal validators mean equal bytes: beyond that no client can see. */
static void say_version(struct lies *l, int v)
{
    say(l, "size=%lld seed=%d ", (long long)l->size[v], v);
    if (l->validate == 0)
        say(l, "etag=\"v%d\" ", v);
    else if (l->validate == 1)
        say(l, "etag=W/\"v\" ");
    else if (l->validate == 3)
        say(l, "lastmod=start-%d ", 9000 - v * 1000);
}

static void say_step(struct lies *l)
{
    int v = 1 + (int)dice_roll(2);
    unsigned at = dice_roll((unsigned)l->size[v] + 1);

    say_version(l, v);
    switch (dice_roll(16)) {
    case 0:
        return say(l, "reset=%u ; ", at);
    case 1:
        return say(l, "drop=fin ; ");
    case 2:
        return say(l, "status=503 esize=%u ; ", dice_roll(100000));
    case 3:
        return say(l, "ifrange=ignore cut=%u ; ", at);
    case 4:
        return say(l, "norange cut=%u ; ", at);
    case 5:
        return say(l, "crshift=%d ; ", (int)dice_roll(200000) - 100000);
    case 6:
        return say(l, "crtotal=%lld ; ", (long long)l->size[v] + dice_roll(9) - 4);
    case 7:
        return say(l, "short206=%u ; ", dice_roll(100000));
    case 8:
        return say(l, "long206=%u ; ", dice_roll(100000));
    case 9:
        l->may_be_short = true;
        return say(l, "nolength ; ");
    case 10:
        return say(l, "chunked cut=%u ; ", at);
    case 11:
        return say(l, "cr=none ; ");
    case 12:
        return say(l, "ifrange=ignore ; ");
    case 13:
        return say(l, "stall=%u stall_ms=%u ; ", at, dice_roll(400));
    default:
        return say(l, "cut=%u ; ", at);
    }
}

void lies_make(struct lies *l, unsigned steps, unsigned most, unsigned large_in)
{
    *l = (struct lies){.validate = dice_roll(4)};
    l->size[1] = 200000 + (int64_t)dice_roll(most - 200000);
    l->size[2] = dice_roll(2) ? l->size[1] : 200000 + (int64_t)dice_roll(most - 200000);
    if (large_in && dice_roll(large_in) == 0)
        l->size[1] = l->size[2] = 17 << 20; /* several connections */
    lies_again(l, steps);
}

void lies_again(struct lies *l, unsigned steps)
{
    l->len = 0;
    for (unsigned n = 1 + dice_roll(steps); n > 0; n--) {
        say_step(l);
        if (l->size[1] > 16 << 20) /* so that the others have time to join */
            l->len -= 2, say(l, "rate=40000000 ; ");
    }
    say_version(l, 1 + (int)dice_roll(2));
}

void lies_end(struct lies *l, int version)
{
    l->len = 0;
    say_version(l, version);
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

bool lies_good(const struct lies *l, const char *path, int64_t total)
{
    int v = find_version(path);

    if (v == 0)
        return l->may_be_short && total == 0;
    if (total != l->size[v] && !l->may_be_short)
        return false;
    return fx_file_check(path, total, (uint64_t)v) == 0;
}
