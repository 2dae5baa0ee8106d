/* SPDX-License-Identifier: MIT */
/*
 * api_open.c - open and close a handle.
 *
 * OWN takes the lock and starts an engine, or fails when an owner answers. ATTACH connects. Both try for six seconds while the lock is held
 * and nobody answers: an owner comes or goes, or somebody changes the journal without one. EITHER looks who is there, and looks again at each call: see api.c.
 *
 * Closing first refuses new calls and waits for those that are inside, then lets go of what the handle holds, the lock last. After
 * fork() the child has neither the threads nor the locks, and the numbers of our descriptors may be those of its own files, so there a
 * handle is only memory.
 */
#include "dlmgr/api_session.h"

#include <time.h>

/* ---- Opening ------------------------------------------------------------------------------------------------ */

static int check_options(int mode, const dlmgr_options *o, dlmgr_error *e)
{
    if (mode != DLMGR_OWN && mode != DLMGR_ATTACH && mode != DLMGR_EITHER)
        return dlm_fail(e, DLMGR_EINVAL, "mode %d: must be DLMGR_OWN, DLMGR_ATTACH or DLMGR_EITHER",
                        mode);
    if (o->max_active < 0 || o->max_active > 1000)
        return dlm_fail(e, DLMGR_EINVAL,
                        "max_active %d: must be from 1 to 1000, or 0 for the default",
                        o->max_active);
    if (o->max_per_host < 0 || o->max_per_host > 256)
        return dlm_fail(e, DLMGR_EINVAL,
                        "max_per_host %d: must be from 1 to 256, or 0 for the default",
                        o->max_per_host);
    if (o->limit_rate < 0)
        return dlm_fail(e, DLMGR_EINVAL, "limit_rate %lld: must not be negative",
                        (long long)o->limit_rate);
    if (o->keep_done_ms < 0 || o->keep_done_n < 0)
        return dlm_fail(e, DLMGR_EINVAL, "keep_done_ms and keep_done_n: must not be negative");
    if (o->listen_fd < 0)
        return dlm_fail(e, DLMGR_EINVAL, "listen_fd %d: must be a descriptor, or 0 for none",
                        o->listen_fd);
    return dlm_bounds_set_all(NULL, o->limits, e);
}

static bool owner_answers(struct dlmgr *h)
{
    struct dlm_client *client = NULL;
    int r = dlm_client_open(h->home, &client, NULL);

    dlm_client_close(client);
    return !dlm_api_absent(r);
}

static int take_lock(struct dlmgr *h, dlmgr_error *e)
{
    const struct timespec between = {.tv_nsec = DLM_API_BETWEEN_MS * 1000000L};
    int64_t until = dlm_clock_mono() + DLM_API_OWNER_MS;

    for (;;) {
        int r = dlm_home_lock(h->home, e);

        if (r != DLMGR_EBUSY || dlm_clock_mono() >= until || owner_answers(h))
            return r;
        nanosleep(&between, NULL);
    }
}

static int own(struct dlmgr *h, const dlmgr_options *o, dlmgr_error *e)
{
    struct dlm_engine_settings settings = {
        .max_active = o->max_active ? o->max_active : 8,
        .max_per_host = o->max_per_host ? o->max_per_host : 6,
        .limit_rate = o->limit_rate,
        .keep_done_ms = o->keep_done_ms ? o->keep_done_ms : -1,
        .keep_done_n = o->keep_done_n ? o->keep_done_n : -1,
        .listen_fd = o->listen_fd,
        .held = o->held,
        .bounds = dlm_bounds_normal(),
    };
    int r = dlm_bounds_set_all(&settings.bounds, o->limits, e);
    struct dlm_hush hush;

    if (r == 0)
        r = take_lock(h, e);
    if (r < 0)
        return r;
    dlm_hush_begin(&hush);
    r = dlm_engine_start(h->home, &settings, h->log, &h->engine, e);
    dlm_hush_end(&hush);
    return r;
}

/* EITHER looks who is there now and believes it later only after looking again. */
static int attach(struct dlmgr *h, dlmgr_error *e)
{
    int64_t until = dlm_clock_mono() + DLM_API_OWNER_MS;
    int r;

    do {
        r = dlm_api_connect(h, e);
        if (r == DLMGR_EPROTO && h->mode == DLMGR_EITHER)
            return 0; /* it may be replaced by one that we understand */
        if (!dlm_api_absent(r))
            return r;
        if (h->mode == DLMGR_EITHER)
            return 0;
        r = dlm_api_again(h, until, e);
    } while (r == 0);
    return r;
}

static int open_home(struct dlmgr *h, const dlmgr_options *o, dlmgr_error *e)
{
    dlmgr_error mine = {0};
    int r = dlm_home_open(o->home, h->mode != DLMGR_ATTACH, o->trust_group, &h->home, &mine);

    if (r < 0 && h->mode == DLMGR_ATTACH && mine.sys_errno == ENOENT)
        return dlm_fail(e, DLMGR_ENOOWNER, "nobody owns %s: there is no such directory", mine.path);
    if (r < 0 && e)
        *e = mine;
    return r;
}

static struct dlmgr *handle_new(int mode, const dlmgr_options *o)
{
    struct dlmgr *h = dlm_alloc(sizeof(*h));

    if (!h)
        return NULL;
    h->pid = getpid();
    h->mode = mode;
    h->log = (struct dlm_log){.fn = o->log, .context = o->log_context};
    h->place = mode == DLMGR_OWN ? DLMGR_PLACE_ENGINE : DLMGR_PLACE_JOURNAL;
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->turn, NULL);
    pthread_cond_init(&h->left, NULL);
    dlm_api_listening_init(&h->listening);
    return h;
}

int dlmgr_open(int mode, const dlmgr_options *options, dlmgr **ret_handle, dlmgr_error *error)
{
    dlmgr_options o = DLMGR_INIT(dlmgr_options);
    dlmgr_error mine = {0};
    struct dlmgr *h;
    int r;

    error = error ? error : &mine;
    *error = mine;
    r = options ? dlm_api_struct(&o, sizeof(o), options, "options", error) : 0;
    if (r == 0)
        r = ret_handle ? check_options(mode, &o, error)
                       : dlm_fail(error, DLMGR_EINVAL, "ret_handle is NULL");
    if (r < 0)
        return r;
    h = handle_new(mode, &o);
    if (!h)
        return dlm_no_memory(error);
    r = open_home(h, &o, error);
    if (r == 0)
        r = mode == DLMGR_OWN ? own(h, &o, error) : attach(h, error);
    if (r < 0)
        dlmgr_close(h);
    else
        *ret_handle = h;
    return r;
}

int dlmgr_begin(dlmgr *handle, dlmgr_error *error)
{
    dlmgr_error mine = {0};
    int r = dlm_api_enter(handle, error ? error : &mine);

    if (r < 0)
        return r;
    if (handle->engine)
        dlm_engine_begin(handle->engine);
    dlm_api_leave(handle);
    return 0;
}

int dlmgr_place_of(const dlmgr *handle)
{
    return atomic_load(&handle->place);
}

const char *dlmgr_home(const dlmgr *handle)
{
    return handle->home->path;
}

/* ---- Closing ------------------------------------------------------------------------------------------------- */

static void wait_for_others(struct dlmgr *h)
{
    pthread_mutex_lock(&h->lock);
    h->closing = true;
    while (h->inside > 0)
        pthread_cond_wait(&h->left, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

/* In a forked child the numbers of our descriptors may be those of the child's own files by now. */
static void forget(struct dlmgr *h)
{
    for (struct dlmgr_session *s = h->listening.sessions, *next; s; s = next) {
        next = s->next;
        dlm_session_free(s);
    }
    free(h);
}

void dlm_api_destroy(struct dlmgr *h)
{
    dlm_api_listening_close(h);
    dlm_engine_stop(h->engine);
    dlm_client_close(h->waiter);
    dlm_client_close(h->client);
    dlm_store_close(h->reader);
    dlm_home_close(h->home);
    pthread_cond_destroy(&h->left);
    pthread_mutex_destroy(&h->turn);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

dlmgr *dlmgr_close(dlmgr *handle)
{
    struct dlmgr *h = handle;

    if (!h)
        return NULL;
    if (h->pid != getpid()) {
        forget(h);
    } else if (dlm_api_in_callback(h)) {
        pthread_mutex_lock(&h->lock);
        h->closing = true;
        atomic_store(&h->listening.close_later, true);
        pthread_mutex_unlock(&h->lock);
    } else {
        wait_for_others(h);
        dlm_api_destroy(h);
    }
    return NULL;
}
