/* SPDX-License-Identifier: MIT */
/*
 * backoff.c - the pause before the next try: see backoff.h.
 *
 * cap(n) = min(wait * 2^(n-1), max(one minute, wait)); the pause is a random part of it, 0 to cap inclusive.
 * A retry-wait of 0 always gives 0: tests and impatient callers mean it. No overflow for any attempt
 * number or wait that can be stored: the doubling stops at the limit.
 */
#include "dlmgr/backoff.h"

int64_t dlm_backoff(int64_t attempt, int64_t wait_ms, uint32_t random)
{
    int64_t cap = MAX(wait_ms, 0), limit = MAX(cap, DLM_BACKOFF_MAX_MS);

    for (int64_t i = 1; i < attempt && cap > 0 && cap < limit; i++)
        cap = cap > limit / 2 ? limit : cap * 2;
    return (int64_t)(((__uint128_t)cap + 1) * random >> 32);
}

int64_t dlm_retry_after_clamp(int64_t ms, int64_t most)
{
    if (ms == -1)
        return -1;
    return MIN(MAX(ms, 0), most);
}
