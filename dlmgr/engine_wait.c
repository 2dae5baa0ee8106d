/* SPDX-License-Identifier: MIT */
/*
 * engine_wait.c - the method `wait`: {"ids": [...] or absent for all, "timeout_ms": N} -> {"ended": true or false}.
 *
 * Who waits is looked at when durable events were committed, at most twenty times a second, by one look at a time for each; and at
 * his time limit, which answers false.
 */
#include "dlmgr/engine_internal.h"
#include "dlmgr/json.h"
#include "dlmgr/method.h"

#define LOOK_MS 50

struct dlm_waiter {
    struct dlm_engine *engine;
    struct dlm_selection sel;
    size_t ended_to; /* of sel.ids: those before it had ended when they were looked at */
    dlm_reply_fn reply;
    void *context;
    int64_t until; /* mono ms; -1: for ever */
    struct dlm_job job;
    bool looking, again; /* again: something happened since the look began */
    bool ended;
    int code;
    struct dlm_waiter *next;
};

static void waiter_finish(struct dlm_waiter *w, int code, bool ended)
{
    struct dlm_waiter **at = &w->engine->waiters;
    dlmgr_error error = {0};

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (code < 0) {
        dlm_fail(&error, code, "cannot look whether tasks have ended: %s", dlmgr_strerror(code));
        w->reply(w->context, code, NULL, &error);
    } else {
        w->reply(w->context, 0, json_pack("{s:b}", "ended", (int)ended), NULL);
    }
    dlm_selection_clear(&w->sel);
    free(w);
}

/* ---- Looking, on a worker ------------------------------------------------------------------------------ */

static int all_ended(struct dlm_store *s, bool *ret)
{
    struct dlm_tally tally = {0};
    int r = dlm_store_tally(s, &tally);

    *ret = r == 0;
    for (int i = 0; i < DLM_STATES && r == 0; i++)
        *ret &= dlm_state_ended(i) || tally.by_state[i] == 0;
    return r;
}

static int has_ended(struct dlm_store *s, int64_t id, bool *ret)
{
    struct dlm_row row = {0};
    int r = dlm_store_get(s, id, &row);

    *ret = r == DLMGR_ENOTFOUND || dlm_state_ended(row.state);
    dlm_row_clear(&row);
    return r == DLMGR_ENOTFOUND ? 0 : r;
}

/* From the first that went on last time; when none does, from the beginning once more, since one may have been retried. */
static int these_ended(struct dlm_store *s, struct dlm_waiter *w)
{
    size_t from = w->ended_to;
    int r = 0;

    for (w->ended = true; r == 0 && w->ended && w->ended_to < w->sel.n_ids; w->ended_to += w->ended)
        r = has_ended(s, w->sel.ids[w->ended_to], &w->ended);
    if (r < 0 || !w->ended || from == 0)
        return r;
    w->ended_to = 0;
    return these_ended(s, w);
}

static void look_work(struct dlm_job *job)
{
    struct dlm_waiter *w = container_of(job, struct dlm_waiter, job);
    struct dlm_engine *e = w->engine;

    pthread_mutex_lock(&e->reader_lock);
    w->code = w->sel.ids ? these_ended(e->reader, w) : all_ended(e->reader, &w->ended);
    pthread_mutex_unlock(&e->reader_lock);
}

static void look(struct dlm_waiter *w);

static void on_looked(struct dlm_job *job)
{
    struct dlm_waiter *w = container_of(job, struct dlm_waiter, job);

    w->looking = false;
    if (w->code < 0 || w->ended)
        waiter_finish(w, w->code, true);
    else if (w->engine->closing)
        waiter_finish(w, DLMGR_ECLOSED, false);
    else if (w->again)
        look(w);
}

static void look(struct dlm_waiter *w)
{
    w->again = w->looking;
    if (w->looking)
        return;
    w->looking = true;
    w->job = (struct dlm_job){.work = look_work, .done = on_looked};
    dlm_workers_submit(w->engine->workers, &w->job);
}

/* ---- Time ------------------------------------------------------------------------------------------------- */

static void look_all(struct dlm_engine *e)
{
    for (struct dlm_waiter *w = e->waiters; w; w = w->next)
        look(w);
}

static void on_timer(uv_timer_t *timer)
{
    struct dlm_engine *e = container_of(timer, struct dlm_engine, wait_timer);
    int64_t now = dlm_clock_mono();

    if (e->wait_dirty)
        dlm_engine_wait_look(e);
    for (struct dlm_waiter *w = e->waiters, *next; w; w = next) {
        next = w->next;
        if (!w->looking && w->until >= 0 && now >= w->until)
            waiter_finish(w, 0, false);
    }
    if (!e->waiters)
        uv_timer_stop(timer);
}

void dlm_engine_wait_look(struct dlm_engine *e)
{
    int64_t now = dlm_clock_mono();

    e->wait_dirty = true;
    if (now - e->wait_looked < LOOK_MS)
        return; /* the timer does it */
    e->wait_dirty = false;
    e->wait_looked = now;
    look_all(e);
}

void dlm_engine_wait(struct dlm_engine *e, json_t *params, dlm_reply_fn reply, void *context)
{
    static const char *const known[] = {"ids", "timeout_ms", NULL};
    struct dlm_waiter *w = dlm_alloc(sizeof(*w));
    dlmgr_error error = {0};
    int64_t timeout = -1;
    int r = w ? dlm_params_check(params, known, &error) : dlm_no_memory(&error);

    if (r == 0)
        r = dlm_params_int(params, "timeout_ms", -1, INT64_MAX / 2, &timeout, &error);
    if (r == 0)
        r = dlm_selection_read(params, &w->sel, &error);
    json_decref(params);
    if (r < 0) {
        free(w);
        return reply(context, r, NULL, &error);
    }
    w->sel.session = NULL; /* borrowed from params */
    w->engine = e;
    w->reply = reply;
    w->context = context;
    w->until = timeout < 0 ? -1 : dlm_clock_mono() + timeout;
    w->next = e->waiters;
    e->waiters = w;
    look(w);
    if (!uv_is_active((uv_handle_t *)&e->wait_timer))
        uv_timer_start(&e->wait_timer, on_timer, LOOK_MS, LOOK_MS);
}

void dlm_engine_wait_stop(struct dlm_engine *e)
{
    for (struct dlm_waiter *w = e->waiters, *next; w; w = next) {
        next = w->next;
        if (!w->looking)
            waiter_finish(w, DLMGR_ECLOSED, false);
    }
    uv_timer_stop(&e->wait_timer);
}
