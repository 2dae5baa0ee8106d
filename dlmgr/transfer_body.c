/* SPDX-License-Identifier: MIT */
/*
 * transfer_body.c - the bytes of a transfer: see transfer.h. They are held until it may go, joined, written, and held back while a rate is used up.
 *
 * A body is stopped at the end of our range, where an over-long answer goes beyond it, or where another connection took over the
 * rest. Stopping in the middle means that the connection is lost, for HTTP/1.1 knows no other way.
 *
 * libcurl reads up to 512 KiB at a time and hands them over in pieces of 16. Those are joined to pieces of 64 KiB, as the part is written; what is
 * left of them is written before that turn of libcurl ends, so nothing that came waits for what comes next.
 */
#include "dlmgr/transfer_internal.h"

#define REFILL_MS 25

/* ---- Holding back ------------------------------------------------------------------------------ */

static bool may_flow(struct dlm_transfer *t, int64_t now)
{
    /* Both are asked, so that both fill. */
    bool all = dlm_bucket_open(&t->env->all, now),
         own = !t->bucket || dlm_bucket_open(t->bucket, now);

    return all && own && !*t->env->hold;
}

static void on_refill(uv_timer_t *timer)
{
    struct dlm_transfers *env = container_of(timer, struct dlm_transfers, refill);
    struct dlm_transfer *list = env->paused;
    int64_t now = dlm_clock_mono();

    env->paused = NULL;
    while (list) {
        struct dlm_transfer *t = list;

        list = t->next_paused;
        t->in_paused = false;
        if (may_flow(t, now)) {
            dlm_fetch_unpause(env->fetch, &t->fetching);
        } else {
            t->next_paused = env->paused;
            t->in_paused = true;
            env->paused = t;
        }
    }
    if (!env->paused)
        uv_timer_stop(timer);
}

static void hold_back(struct dlm_transfer *t)
{
    struct dlm_transfers *env = t->env;

    if (t->in_paused)
        return;
    t->next_paused = env->paused;
    t->in_paused = true;
    env->paused = t;
    if (!uv_is_active((uv_handle_t *)&env->refill))
        uv_timer_start(&env->refill, on_refill, REFILL_MS, REFILL_MS);
}

void dlm_transfer_unhold(struct dlm_transfer *t)
{
    struct dlm_transfer **at = &t->env->paused;

    while (t->in_paused && *at != t)
        at = &(*at)->next_paused;
    if (t->in_paused)
        *at = t->next_paused;
    t->in_paused = false;
}

/* ---- Bytes --------------------------------------------------------------------------------------- */

/* Fewer than came: libcurl ends the transfer with CURLE_WRITE_ERROR. */
static size_t end_body(bool *ret_why)
{
    *ret_why = true;
    return 0;
}

/* How much of len still belongs to us. */
static size_t wanted(const struct dlm_transfer *t, size_t len)
{
    int64_t end = dlm_transfer_end_of(t);

    return end < 0 ? len
                   : (size_t)MIN((int64_t)len, MAX(end - t->segment.pos - (int64_t)t->n_held, 0));
}

static bool write_bytes(struct dlm_transfer *t, const char *data, size_t len)
{
    int r = dlm_writer_write(&t->writer, data, len);

    t->segment.pos = t->writer.pos;
    if (r < 0)
        t->disk_errno = -r;
    t->ops->wrote(t, len);
    return r == 0;
}

/* No more than can come, and not zeroed: most files are small and many. */
static bool keep(struct dlm_transfer *t, const char *data, size_t len)
{
    int64_t most = dlm_transfer_is_ours(t) && t->verdict.length >= 0 ? t->verdict.length : INT64_MAX;
    size_t room = (size_t)MIN(most, (int64_t)DLM_HELD_MAX);

    if (!t->held && !(t->held = dlm_realloc(NULL, room)))
        return false;
    memcpy(t->held + t->n_held, data, len);
    t->n_held += len;
    return true;
}

void dlm_transfer_unjoin(struct dlm_transfer *t)
{
    struct dlm_transfer **at = &t->env->joined;

    while (t->in_joined && *at != t)
        at = &(*at)->next_joined;
    if (t->in_joined)
        *at = t->next_joined;
    t->in_joined = false;
}

/* With a disk that failed nothing more is taken. */
static bool write_held(struct dlm_transfer *t)
{
    size_t n = t->n_held;

    dlm_transfer_unjoin(t);
    t->n_held = 0;
    return n == 0 || write_bytes(t, t->held, n);
}

static void on_turned(void *context)
{
    struct dlm_transfers *env = context;

    while (env->joined)
        write_held(env->joined);
}

/* Bytes of one that goes. */
static bool join(struct dlm_transfer *t, const char *data, size_t len)
{
    if (t->n_held + len > DLM_HELD_MAX && !write_held(t))
        return false;
    if (t->n_held == 0 && (len >= DLM_HELD_MAX || t->segment.pos + (int64_t)len == t->stop))
        return write_bytes(t, data, len);
    if (!keep(t, data, len))
        return false;
    if (!t->in_joined) {
        t->next_joined = t->env->joined;
        t->env->joined = t;
        t->in_joined = true;
    }
    return true;
}

static size_t keep_excerpt(struct dlm_transfer *t, const char *data, size_t len)
{
    size_t n = MIN(len, DLM_HELD_MAX - t->n_held);

    if (n && !keep(t, data, n))
        return 0;
    return n == len ? len : end_body(&t->cut);
}

static size_t take(struct dlm_transfer *t, const char *data, size_t len)
{
    size_t n = wanted(t, len);

    if (t->disk_errno || t->unwanted)
        return 0; /* what follows a gap must not be written */
    if (t->segment.pos + (int64_t)(t->n_held + n) > dlm_rules_most(&t->rules, NULL))
        return end_body(&t->oversize);
    if (!t->going && t->n_held + n > DLM_HELD_MAX) {
        t->waits = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!may_flow(t, dlm_clock_mono())) {
        hold_back(t);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (n && !(t->going ? join(t, data, n) : keep(t, data, n)))
        return 0;
    t->received += (int64_t)n;
    dlm_bucket_take(&t->env->all, (int64_t)n);
    if (t->bucket)
        dlm_bucket_take(t->bucket, (int64_t)n);
    return n == len ? len : end_body(&t->cut);
}

size_t dlm_transfer_on_body(char *data, size_t size, size_t n, void *context)
{
    struct dlm_transfer *t = context;

    if (!t->judged)
        dlm_transfer_judge(t);
    return dlm_transfer_is_ours(t) ? take(t, data, size * n) : keep_excerpt(t, data, size * n);
}

/* ---- The owner's side -------------------------------------------------------------------------------- */

int dlm_transfers_init(struct dlm_transfers *env, uv_loop_t *loop, struct dlm_fetch *fetch,
                       struct dlm_slots *slots, int64_t limit_rate, const struct dlm_bounds *bounds)
{
    static const bool never;

    *env = (struct dlm_transfers){.fetch = fetch, .slots = slots, .bounds = *bounds, .hold = &never};
    dlm_bucket_set(&env->all, limit_rate, dlm_clock_mono());
    dlm_fetch_turned(fetch, on_turned, env);
    return uv_timer_init(loop, &env->refill) == 0 ? 0 : DLMGR_ENOMEM;
}

void dlm_transfers_stop(struct dlm_transfers *env)
{
    uv_close((uv_handle_t *)&env->refill, NULL);
}

void dlm_transfer_go(struct dlm_transfer *t, struct dlm_sink *sink, int64_t task, int64_t generation)
{
    bool ok;

    dlm_writer_start(&t->writer, sink, t->env->slots, task, generation, t->segment.start);
    t->going = true;
    ok = write_held(t);
    if (t->over)
        return dlm_transfer_conclude(t);
    if (t->waits || !ok) {
        t->waits = false;
        /* With a disk that failed the next byte ends it. */
        dlm_fetch_unpause(t->env->fetch, &t->fetching);
    }
}
