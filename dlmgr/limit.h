/* SPDX-License-Identifier: MIT */
/*
 * limit.h - a bucket of bytes: how fast they may come. Pure; the clock is given.
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

#endif
