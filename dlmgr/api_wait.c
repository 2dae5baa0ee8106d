/* SPDX-License-Identifier: MIT */
/*
 * api_wait.c - wait, count, run.
 *
 * Waiting must not keep other threads from the handle, and closing must not wait long for it: it asks in slices, over a
 * connection of its own, which is kept for the next wait.
 */
#include "dlmgr/api.h"

#include <poll.h>

enum { SLICE_MS = 300, IDS = 10000, RUN_POLL_MS = 500 };

/* ---- Waiting and counting ------------------------------------------------------------------------------------------- */

static struct dlm_client *waiter_take(struct dlmgr *h)
{
    struct dlm_client *c;

    pthread_mutex_lock(&h->lock);
    c = TAKE_PTR(h->waiter);
    pthread_mutex_unlock(&h->lock);
    if (c && dlm_api_gone(c))
        c = dlm_client_close(c);
    return c;
}

static void waiter_put(struct dlmgr *h, struct dlm_client *c)
{
    struct dlm_client *old;

    pthread_mutex_lock(&h->lock);
    old = h->waiter;
    h->waiter = c;
    pthread_mutex_unlock(&h->lock);
    dlm_client_close(old);
}

/* While the lock is held and nobody answers an owner is coming or going. */
static int waiter_open(struct dlmgr *h, struct dlm_client **ret, dlmgr_error *e)
{
    int64_t until = dlm_clock_mono() + DLM_API_OWNER_MS;
    int r;

    do {
        r = dlm_client_open(h->home, ret, e);
        if (!dlm_api_absent(r))
            return r;
        r = dlm_api_again(h, until, e);
    } while (r == 0);
    return r;
}

/* *ret_again: the owner went meanwhile, so look who is there now. */
static int wait_client(struct dlmgr *h, json_t *params, json_t **ret_result, bool *ret_again,
                       dlmgr_error *e)
{
    struct dlm_client *c = waiter_take(h);
    int r = c ? 0 : waiter_open(h, &c, e);

    if (r < 0) {
        json_decref(params);
        return r;
    }
    r = dlm_client_call(c, "wait", params, DLM_API_ANSWER_MS, ret_result, e);
    *ret_again = r == DLMGR_ELINK || r == DLMGR_ECLOSED;
    if (r == DLMGR_ETIMEDOUT)
        r = dlm_fail(e, DLMGR_ELINK, "the owner of %s does not answer", h->home->path);
    if (r == DLMGR_ELINK || r == DLMGR_ECLOSED)
        dlm_client_close(c);
    else
        waiter_put(h, c);
    return r;
}

static int wait_call(struct dlmgr *h, json_t *params, json_t **ret_result, bool *ret_again,
                     dlmgr_error *e)
{
    if (!params)
        return dlm_no_memory(e);
    if (h->engine)
        return dlm_engine_call(h->engine, "wait", params, ret_result, e);
    return wait_client(h, params, ret_result, ret_again, e);
}

/* One question; *ret_ended. */
static int wait_slice(struct dlmgr *h, json_t *ids, int64_t slice, bool *ret_ended, dlmgr_error *e)
{
    CLEANUP_JSON json_t *result = NULL;
    bool again = false;
    int r = wait_call(h,
                      json_pack("{s:o?, s:I}", "ids", json_deep_copy(ids), "timeout_ms",
                                (json_int_t)slice),
                      &result, &again, e);

    *ret_ended = r >= 0 && dlm_json_true(result, "ended");
    return again ? 0 : r;
}

/* until: by dlm_clock_mono(); -1 none. */
static int wait_for(struct dlmgr *h, json_t *ids, int64_t until, dlmgr_error *e)
{
    for (;;) {
        int64_t left = until < 0 ? SLICE_MS : MAX(until - dlm_clock_mono(), 0);
        bool ended = false;
        int r = wait_slice(h, ids, MIN(left, SLICE_MS), &ended, e);

        if (r < 0 || ended)
            return r;
        if (until >= 0 && dlm_clock_mono() >= until)
            return dlm_fail(e, DLMGR_ETIMEDOUT, "not all of these tasks have ended yet");
        r = dlm_api_still(h, e);
        if (r < 0)
            return r;
    }
}

static int wait_for_ids(struct dlmgr *h, const int64_t *ids, size_t n, int64_t until, dlmgr_error *e)
{
    int r = 0;

    for (size_t from = 0; r == 0 && from < n; from += IDS) {
        CLEANUP_JSON json_t *array = json_array();

        for (size_t i = from; i < n && i < from + IDS; i++)
            if (json_array_append_new(array, json_integer(ids[i])))
                return dlm_no_memory(e);
        r = wait_for(h, array, until, e);
    }
    return r;
}

int dlmgr_wait(dlmgr *handle, const int64_t *ids, size_t n, int64_t timeout_ms, dlmgr_error *error)
{
    int64_t until = timeout_ms < 0 ? -1 : dlm_clock_mono() + MIN(timeout_ms, INT64_MAX / 4);
    int r = dlm_api_enter(handle, error);

    if (r < 0)
        return r;
    r = n ? wait_for_ids(handle, ids, n, until, error) : wait_for(handle, NULL, until, error);
    dlm_api_leave(handle);
    return r;
}

int dlmgr_count(dlmgr *handle, dlmgr_counts *ret_counts, dlmgr_error *error)
{
    CLEANUP_JSON json_t *result = NULL;
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    int r = dlm_api_struct(&counts, sizeof(counts), ret_counts, "counts", error);
    size_t size = counts.size;

    if (r == 0)
        r = dlm_api_ask(handle, "count", json_object(), &result, error);
    if (r < 0)
        return r;
    counts = (dlmgr_counts){.size = size};
    for (int i = 0; i < DLM_STATES; i++)
        counts.by_state[i] = dlm_json_int(json_object_get(result, "states"), dlm_state_name(i), 0);
    counts.waiting_storage = dlm_json_int(result, "waiting_storage", 0);
    counts.owner_pid = dlm_json_int(result, "owner_pid", 0);
    counts.first_failure = (int)dlm_json_int(result, "first_failure", 0);
    memcpy(ret_counts, &counts, MIN(size, sizeof(counts)));
    return 0;
}

/* ---- Until all is done --------------------------------------------------------------------------------------------- */

static int still_working(dlmgr *h, dlmgr_error *e)
{
    static const int states[] = {DLMGR_QUEUED, DLMGR_RUNNING, DLMGR_VERIFYING, DLMGR_COMMITTING};
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    int r = dlmgr_count(h, &counts, e);

    if (r < 0)
        return r;
    if (counts.by_state[DLMGR_WAITING] > counts.waiting_storage)
        return 1;
    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (counts.by_state[states[i]] > 0)
            return 1;
    return 0;
}

static int run(struct dlmgr *handle, int fd, dlmgr_error *error)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int r, working = still_working(handle, error);

        if (working < 0)
            return working;
        /* In this order: what has ended by now has its events in the journal, announced or not. */
        if (!working)
            dlm_api_news(handle);
        while ((r = dlmgr_process(handle, error)) > 0)
            ;
        if (r < 0 || !working)
            return r;
        if (dlmgr_stopping(handle))
            return dlm_fail(error, DLMGR_ECLOSED, "the owner of %s was asked to stop",
                            dlmgr_home(handle));
        if (dlmgr_place_of(handle) == DLMGR_PLACE_JOURNAL)
            return dlm_fail(error, DLMGR_ENOOWNER, "nobody owns %s, so nothing goes on",
                            dlmgr_home(handle));
        poll(&p, 1, RUN_POLL_MS);
    }
}

int dlmgr_run(dlmgr *handle, dlmgr_error *error)
{
    int fd, r = dlm_api_enter(handle, error);

    if (r < 0)
        return r;
    fd = dlmgr_fd(handle);
    r = fd < 0 ? dlm_fail(error, fd, "cannot make an event descriptor: %s", dlmgr_strerror(fd))
               : run(handle, fd, error);
    dlm_api_leave(handle);
    return r;
}
