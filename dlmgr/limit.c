/* SPDX-License-Identifier: MIT */
/*
 * limit.c - a bucket of bytes: see limit.h.
 *
 * Bytes arrive in pieces that nobody can cut to measure, so a bucket may be overdrawn: who finds it open takes the piece whole, and the
 * debt is waited for afterwards. Over any longer time the rate is kept to the byte, since a filling hands its remainder on to the next: at
 * 100 bytes a second, looked at every 3 ms, nothing would ever come in otherwise.
 *
 * A quarter of a second is what may be saved up while nobody takes. More would let a download that stalled rush ahead of its
 * limit; less would starve one whose loop turns slowly.
 */
#include "dlmgr/limit.h"

static int64_t capacity(const struct dlm_bucket *b)
{
    return MAX(b->rate / 4, KIB(64));
}

static void fill(struct dlm_bucket *b, int64_t now)
{
    int64_t elapsed = now - b->at, came;

    if (elapsed <= 0)
        return;
    b->at = now;
    if (__builtin_mul_overflow(elapsed, b->rate, &came) ||
        __builtin_add_overflow(came, b->rest, &came)) {
        b->tokens = capacity(b); /* no debt is that large */
        b->rest = 0;
        return;
    }
    b->rest = came % 1000;
    came /= 1000;
    b->tokens = came < capacity(b) - b->tokens ? b->tokens + came : capacity(b);
}

void dlm_bucket_set(struct dlm_bucket *b, int64_t rate, int64_t now)
{
    bool owes;

    fill(b, now); /* at the old rate */
    owes = b->rate > 0 && b->tokens < 0;
    b->rate = rate;
    b->at = now;
    b->rest = 0;
    if (!owes)
        b->tokens = capacity(b);
}

bool dlm_bucket_open(struct dlm_bucket *b, int64_t now)
{
    if (b->rate <= 0)
        return true;
    fill(b, now);
    return b->tokens > 0;
}

void dlm_bucket_take(struct dlm_bucket *b, int64_t bytes)
{
    if (b->rate > 0)
        b->tokens -= bytes;
}

bool dlm_pace_is_slow(struct dlm_pace *p, int64_t received, bool held, int64_t speed,
                      int64_t time_s, int64_t now)
{
    int64_t passed = p->at && !held ? now - p->at : 0;
    bool slow;

    p->at = now;
    p->open += MAX(passed, 0);
    if (p->open < time_s * 1000)
        return false;
    slow = received - p->before < speed * time_s;
    p->open = 0;
    p->before = received;
    return slow;
}
