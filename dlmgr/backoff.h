/* SPDX-License-Identifier: MIT */
/*
 * backoff.h - how long to wait before the next try.
 *
 * The pause doubles from retry-wait up to a minute (or retry-wait, when that is more), and a random part of
 * it is taken (full jitter), so that a thousand tasks that failed together do not come back together. The random
 * number and the attempt are given: no clock, no dice here.
 */
#ifndef DLM_BACKOFF_H
#define DLM_BACKOFF_H

#include "dlmgr/base.h"

#define DLM_BACKOFF_MAX_MS 60000

/* ms before the try that follows failed attempt number `attempt` (1, 2, ...). */
int64_t dlm_backoff(int64_t attempt, int64_t wait_ms, uint32_t random);

/* A server's Retry-After in ms, at least 0 and at most `most`; -1 (none) stays -1. */
int64_t dlm_retry_after_clamp(int64_t ms, int64_t most);

#endif
