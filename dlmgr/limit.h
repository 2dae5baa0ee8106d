/* SPDX-License-Identifier: MIT */
/*
 * limit.h - how fast bytes may come, and how slowly. Pure; the clock is given.
 *
 * A bucket fills at its rate up to a quarter of a second's worth (at least 64 KiB) and may go into debt by what is taken at once; while it is in debt,
 * nothing is let in. A transfer asks all the buckets that it stands under.
 */
#ifndef DLM_LIMIT_H
#define DLM_LIMIT_H

#include "dlmgr/base.h"

struct dlm_bucket {
    int64_t rate; /* bytes a second; 0: no limit */
    int64_t tokens;
    int64_t at;   /* mono ms of the last filling */
    int64_t rest; /* thousandths of a byte that a filling left over */
};

void dlm_bucket_set(struct dlm_bucket *b, int64_t rate,
                    int64_t now);                        /* full; a change of rate keeps debt */
bool dlm_bucket_open(struct dlm_bucket *b, int64_t now); /* fills; may bytes come in? */
void dlm_bucket_take(struct dlm_bucket *b, int64_t bytes);

/*
 * How slow a body may be: low-speed over low-speed-time. The time in which it was not held back by us is counted, in whatever stretches
 * it is looked at; bytes count whenever they come. So neither a limit-rate nor a server that sends a little now and then deceives it.
 */
struct dlm_pace {
    int64_t at;     /* mono ms of the last look; 0: none yet */
    int64_t open;   /* ms that count */
    int64_t before; /* bytes that had come when they began to */
};

/* received: bytes so far; held: we keep it from sending. True: too slow. speed 0: never. */
bool dlm_pace_is_slow(struct dlm_pace *p, int64_t received, bool held, int64_t speed,
                      int64_t time_s, int64_t now);

#endif
