/* SPDX-License-Identifier: MIT */
/*
 * api.c - who answers a call: see api.h.
 *
 * An engine's handle stays what it is. The others look anew at each call: connect first, lock second, both again for six
 * seconds while the lock is held and nobody answers, for then an owner is coming or going. So a handle that was opened
 * EITHER becomes a client when an owner shows up, and works on the journal again when that has gone.
 *
 * When a connection breaks, what only reads is asked for once more, and so is what is done once however often it is asked: adding
 * tasks that all have keys, acknowledging up to a number. Other changes are not: once a request was sent nobody knows whether it took
 * effect, so the answer is DLMGR_ELINK, and the caller decides.
 *
 * Calls on a handle take turns; an engine's queue by themselves. A call counts itself in and out, once, and closing waits for
 * those that are inside: between two questions of one call the handle must not vanish.
 */
#include "dlmgr/api.h"

#include <poll.h>
#include <time.h>

/* ---- In and out -------------------------------------------------------------------------------------- */

int dlm_api_enter(struct dlmgr *h, dlmgr_error *e)
{
    bool closing;

    if (!h)
        return dlm_fail(e, DLMGR_EINVAL, "the handle is NULL");
    if (h->pid != getpid())
        return dlm_fail(e, DLMGR_EFORK,
                        "the handle was opened by process %d, before fork(): open one of your own",
                        (int)h->pid);
    pthread_mutex_lock(&h->lock);
    closing = h->closing;
    h->inside += !closing;
    pthread_mutex_unlock(&h->lock);
    return closing ? dlm_fail(e, DLMGR_ECLOSED, "the handle is being closed") : 0;
}

void dlm_api_leave(struct dlmgr *h)
{
    bool last;

    pthread_mutex_lock(&h->lock);
    last = --h->inside == 0 && atomic_load(&h->listening.close_later);
    pthread_cond_broadcast(&h->left);
    pthread_mutex_unlock(&h->lock);
    if (last)
        dlm_api_destroy(h);
}

int dlm_api_still(struct dlmgr *h, dlmgr_error *e)
{
    bool closing;

    pthread_mutex_lock(&h->lock);
    closing = h->closing;
    pthread_mutex_unlock(&h->lock);
    return closing ? dlm_fail(e, DLMGR_ECLOSED, "the handle is being closed") : 0;
}

int dlm_api_struct(void *ours, size_t size, const void *theirs, const char *what, dlmgr_error *e)
{
    size_t given;

    memcpy(&given, theirs, sizeof(given));
    if (given < sizeof(given) || given > 65536)
        return dlm_fail(e, DLMGR_EINVAL, "%s: size is %zu; set it with DLMGR_INIT", what, given);
    memcpy(ours, theirs, MIN(size, given));
    return 0;
}

/* ---- Who answers ---------------------------------------------------------------------------------------- */

bool dlm_api_gone(const struct dlm_client *c)
{
    struct pollfd p = {.fd = dlm_client_fd(c), .events = POLLRDHUP};

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

static void drop_client(struct dlmgr *h)
{
    h->client = dlm_client_close(h->client);
}

int dlm_api_connect(struct dlmgr *h, dlmgr_error *e)
{
    int r;

    if (h->client && dlm_api_gone(h->client))
        drop_client(h);
    if (h->client)
        return 0;
    r = dlm_client_open(h->home, &h->client, e);
    if (r == 0) {
        dlm_store_close(TAKE_PTR(h->reader)); /* no longer ours to look after */
        atomic_store(&h->place, DLMGR_PLACE_CLIENT);
    }
    return r;
}

static bool all_have_keys(const json_t *tasks)
{
    const json_t *task;
    size_t i;

    json_array_foreach (tasks, i, task)
        if (!dlm_json_string(task, "key"))
            return false;
    return true;
}

/* Is asking twice the same as asking once? */
static bool may_repeat(const struct dlm_method *m, const json_t *params)
{
    if (m->kind != DLM_METHOD_WRITE || !strcmp(m->name, "ack_to"))
        return true;
    return !strcmp(m->name, "add") && all_have_keys(json_object_get(params, "tasks"));
}

/* *ret_again: it had no effect, or may have it twice, so another road may be tried. */
static int call_client(struct dlmgr *h, const struct dlm_method *m, json_t *params,
                       json_t **ret_result, bool *ret_again, dlmgr_error *e)
{
    int r = dlm_client_call(h->client, m->name, json_incref(params), DLM_API_ANSWER_MS, ret_result,
                            e);

    if (r == DLMGR_ETIMEDOUT) {
        drop_client(h); /* its answer may come later still */
        return dlm_fail(e, DLMGR_ELINK, "the owner of %s does not answer", h->home->path);
    }
    *ret_again = r == DLMGR_ECLOSED || (r == DLMGR_ELINK && may_repeat(m, params));
    if (r == DLMGR_ELINK || r == DLMGR_ECLOSED)
        drop_client(h);
    return r;
}

int dlm_api_nobody(struct dlmgr *h, dlmgr_error *e)
{
    int pid = dlm_home_owner(h->home);

    if (!pid)
        return dlm_fail(e, DLMGR_ENOOWNER, "nobody owns %s", h->home->path);
    if (pid < 0)
        return dlm_fail(e, DLMGR_ELINK,
                        "a process that is not visible from here owns %s and does not answer",
                        h->home->path);
    return dlm_fail(e, DLMGR_ELINK, "process %d owns %s and does not answer", pid, h->home->path);
}

int dlm_api_again(struct dlmgr *h, int64_t until, dlmgr_error *e)
{
    const struct timespec between = {.tv_nsec = DLM_API_BETWEEN_MS * 1000000L};
    int r = dlm_api_nobody(h, e);

    if (r == DLMGR_ENOOWNER || dlm_clock_mono() >= until)
        return r;
    r = dlm_api_still(h, e);
    if (r == 0)
        nanosleep(&between, NULL);
    return r;
}

static int call_without(struct dlmgr *h, const struct dlm_method *m, json_t *params,
                        json_t **ret_result, bool *ret_again, dlmgr_error *e)
{
    int r = DLMGR_EBUSY;

    if (h->mode == DLMGR_EITHER && m->kind != DLM_METHOD_ENGINE)
        r = dlm_api_journal(h, m, params, ret_result, e);
    if (r == DLMGR_EJOURNAL && atomic_load(&h->place) == DLMGR_PLACE_CLIENT) {
        *ret_again =
            true; /* too new for us, perhaps; the owner that we understood may be being restarted */
        return r;
    }
    if (r != DLMGR_EBUSY) {
        atomic_store(&h->place, DLMGR_PLACE_JOURNAL);
        return r;
    }
    r = dlm_api_nobody(h, e);
    /* Between a failed lock and this look the holder may have gone. */
    *ret_again = r == DLMGR_ELINK || (h->mode == DLMGR_EITHER && m->kind != DLM_METHOD_ENGINE);
    return r;
}

static int call_once(struct dlmgr *h, const struct dlm_method *m, json_t *params,
                     json_t **ret_result, bool *ret_again, dlmgr_error *e)
{
    int r = dlm_api_connect(h, e);

    if (r == 0)
        return call_client(h, m, params, ret_result, ret_again, e);
    if (!dlm_api_absent(r))
        return r;
    return call_without(h, m, params, ret_result, ret_again, e);
}

static int call_other(struct dlmgr *h, const struct dlm_method *m, json_t *params,
                      json_t **ret_result, dlmgr_error *e)
{
    const struct timespec between = {.tv_nsec = DLM_API_BETWEEN_MS * 1000000L};
    int64_t until = dlm_clock_mono() + DLM_API_OWNER_MS;

    for (;;) {
        bool again = false;
        int r = call_once(h, m, params, ret_result, &again, e);

        if (!again || dlm_clock_mono() >= until)
            return r;
        nanosleep(&between, NULL);
    }
}

int dlm_api_call(struct dlmgr *h, const char *method, json_t *params, json_t **ret_result,
                 dlmgr_error *e)
{
    const struct dlm_method *m = dlm_method_find(method);
    dlmgr_error mine = {0};
    int r;

    e = e ? e : &mine;
    *e = mine;
    if (!params)
        return dlm_no_memory(e);
    if (h->engine) {
        r = dlm_engine_call(h->engine, method, params, ret_result, e);
    } else {
        pthread_mutex_lock(&h->turn);
        r = call_other(h, m, params, ret_result, e);
        pthread_mutex_unlock(&h->turn);
        json_decref(params);
    }
    if (r < 0 && !e->code)
        return dlm_fail(e, r, "%s: %s", method, dlmgr_strerror(r));
    if (r >= 0 && m->kind == DLM_METHOD_WRITE && atomic_load(&h->place) == DLMGR_PLACE_JOURNAL)
        dlm_api_news(h);
    return r;
}

int dlm_api_ask(struct dlmgr *h, const char *method, json_t *params, json_t **ret_result,
                dlmgr_error *e)
{
    int r = dlm_api_enter(h, e);

    if (r < 0) {
        json_decref(params);
        return r;
    }
    r = dlm_api_call(h, method, params, ret_result, e);
    dlm_api_leave(h);
    return r;
}
