/* SPDX-License-Identifier: MIT */
/*
 * recover.c - what an owner does first: put right what the last one left behind.
 *
 * A task that was running or verifying goes back to the queue: its bytes are counted, its connection is
 * gone. One that was committing stays: only a look at the file tells how far that got, so the engine walks
 * those by dlm_store_committing(). Secrets that no task names are swept once this transaction has
 * committed. All of it may be done twice: a kill in the middle leaves the journal as it was.
 */
#include "store/internal.h"

int dlm_store_recover(struct dlm_store *s)
{
    struct dlm_filter f = {.states = 1u << DLMGR_RUNNING | 1u << DLMGR_VERIFYING};
    int64_t ids[256];
    size_t n = ARRAY_SIZE(ids);
    int r = 0;

    while (r == 0 && n == ARRAY_SIZE(ids)) {
        r = dlm_store_ids(s, &f, ids, &n);
        for (size_t i = 0; i < n && r == 0; i++) {
            r = dlm_queue_again(s, ids[i]);
            f.after = ids[i];
        }
    }
    return r == 0 ? dlm_secrets_recover(s) : r;
}

int dlm_store_committing(struct dlm_store *s, int64_t after, struct dlm_row *ret)
{
    struct dlm_filter f = {.states = 1u << DLMGR_COMMITTING, .after = after};
    int64_t id;
    size_t n = 1;
    int r = dlm_store_ids(s, &f, &id, &n);

    if (r < 0)
        return r;
    return n ? dlm_store_get(s, id, ret) : DLMGR_ENOTFOUND;
}
