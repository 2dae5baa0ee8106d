/* SPDX-License-Identifier: MIT */
/*
 * engine.c - the life of an owner: see engine.h.
 *
 * Opening, on the caller's thread: the journal, what the last owner's slots claim becomes hints, states are put right, all in one
 * transaction; only then are the slots emptied. Then the loop's thread begins and control.sock answers.
 *
 * Closing, within five seconds: nothing new is taken, tasks at work checkpoint and go back to the queue; then the door, the workers, the
 * journal's thread and the loop, in this order, since each may still owe something to the next.
 */
#include "dlmgr/engine_internal.h"
#include "dlmgr/json.h"

#include <sys/eventfd.h>

#define WORKERS 16
#define CLOSE_MS                                                                                   \
    2500 /* and a second each for what is being said and for the journal: five with the rest */
#define CLOSE_JOURNAL_MS 1000
#define CLOSE_LOOK_MS 10

/* ---- Calls from other threads ------------------------------------------------------------------------ */

struct dlm_call {
    const struct dlm_peer *peer; /* NULL: it does not matter who asks */
    const char *method;
    json_t *params, *result;
    int code;
    dlmgr_error *error;
    bool answered;
    struct dlm_engine *engine;
    struct dlm_call *next;
};

static void on_answer(void *context, int code, json_t *result, const dlmgr_error *error)
{
    struct dlm_call *call = context;
    struct dlm_engine *e = call->engine;

    pthread_mutex_lock(&e->lock);
    call->code = code;
    call->result = result;
    if (code < 0 && error && call->error)
        *call->error = *error;
    call->answered = true;
    pthread_cond_broadcast(&e->answered);
    pthread_mutex_unlock(&e->lock);
}

int dlm_engine_call(struct dlm_engine *e, const char *method, json_t *params, json_t **ret_result,
                    dlmgr_error *error)
{
    return dlm_engine_call_as(e, NULL, method, params, ret_result, error);
}

int dlm_engine_call_as(struct dlm_engine *e, const struct dlm_peer *peer, const char *method,
                       json_t *params, json_t **ret_result, dlmgr_error *error)
{
    struct dlm_call call = {.peer = peer,
                            .method = method,
                            .params = params,
                            .error = error,
                            .engine = e};

    pthread_mutex_lock(&e->lock);
    if (e->stop) {
        pthread_mutex_unlock(&e->lock);
        json_decref(params);
        return dlm_fail(error, DLMGR_ECLOSED, "the engine is being closed");
    }
    struct dlm_call **at = &e->calls;

    while (*at)
        at = &(*at)->next;
    *at = &call;
    uv_async_send(&e->async);
    while (!call.answered)
        pthread_cond_wait(&e->answered, &e->lock);
    pthread_mutex_unlock(&e->lock);
    if (call.code < 0)
        return call.code;
    *ret_result = call.result;
    return call.code;
}

/* ---- Closing ------------------------------------------------------------------------------------------ */

static void close_rest(struct dlm_engine *e)
{
    dlm_workers_stop(e->workers);         /* the last `done` halves may still post to the journal */
    dlm_store_close(TAKE_PTR(e->reader)); /* first, so that the writer's close empties the WAL */
    dlm_journal_stop(e->journal, CLOSE_JOURNAL_MS);
    dlm_engine_serve_free(e);
    dlm_engine_holdings_free(e);
    dlm_sched_stop(&e->sched);
    dlm_transfers_stop(&e->sched.tasks.transfers);
    dlm_fetch_stop(e->fetch);
    uv_close((uv_handle_t *)&e->async, NULL);
    uv_close((uv_handle_t *)&e->closing_timer, NULL);
    uv_close((uv_handle_t *)&e->wait_timer, NULL);
}

static void on_door_closed(void *context)
{
    close_rest(context);
}

static void on_closing_timer(uv_timer_t *timer)
{
    struct dlm_engine *e = container_of(timer, struct dlm_engine, closing_timer);
    bool late = dlm_clock_mono() >= e->closing_until;

    if (e->closed || (!late && (e->sched.tasks.n > 0 || e->sched.taking || e->serving)))
        return;
    if (late)
        dlm_log(&e->log, DLMGR_LOG_WARNING,
                "closing, though %lld tasks are not done with the disk yet",
                (long long)e->sched.tasks.n);
    e->closed = true;
    uv_timer_stop(timer);
    dlm_engine_serve_stop(e);
    dlm_control_stop(TAKE_PTR(e->control), on_door_closed, e);
}

static void begin_closing(struct dlm_engine *e)
{
    e->closing = true;
    e->closing_until = dlm_clock_mono() + CLOSE_MS;
    dlm_engine_wait_stop(e);
    dlm_sched_drain(&e->sched);
    uv_timer_start(&e->closing_timer, on_closing_timer, 0, CLOSE_LOOK_MS);
}

/* ---- The loop ------------------------------------------------------------------------------------------- */

static void on_async(uv_async_t *async)
{
    struct dlm_engine *e = container_of(async, struct dlm_engine, async);
    struct dlm_call *calls;
    bool begin, stop;

    pthread_mutex_lock(&e->lock);
    calls = TAKE_PTR(e->calls);
    begin = e->begin;
    stop = e->stop;
    pthread_mutex_unlock(&e->lock);
    while (calls) {
        struct dlm_call *call = calls;

        calls = call->next; /* the caller's stack is gone once it is answered */
        if (call->peer)
            dlm_engine_peer(e, call->peer, call->method, call->params, on_answer, call);
        else
            dlm_engine_serve(e, call->method, call->params, on_answer, call);
    }
    if (begin && !e->closing)
        dlm_sched_begin(&e->sched);
    if (stop && !e->closing)
        begin_closing(e);
}

void dlm_engine_tell(struct dlm_engine *e)
{
    uint64_t one = 1;

    /* A full counter is readable already. */
    if (write(e->news_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        dlm_log(&e->log, DLMGR_LOG_ERROR, "cannot announce events: %s", strerror(errno));
    if (e->control)
        dlm_control_news(e->control);
}

static void on_news(void *context)
{
    dlm_engine_tell(context);
    dlm_engine_wait_look(context);
}

static void *engine_main(void *arg)
{
    struct dlm_engine *e = arg;

    uv_run(&e->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* ---- Opening ---------------------------------------------------------------------------------------------- */

static int add_hint(const struct dlm_hint *hint, void *context)
{
    int r = dlm_store_hint_add(context, hint);

    return r == DLMGR_ENOTFOUND ? 0 : r; /* of a task that was removed */
}

/* The last owner's claims and states, in one transaction; the slots are emptied when that is durable. */
static int recover(struct dlm_store *store, struct dlm_slots *slots, dlmgr_error *error)
{
    int r = dlm_store_begin(store);

    if (r == 0)
        r = dlm_slots_each(slots, add_hint, store);
    if (r == 0)
        r = dlm_store_recover(store);
    if (r < 0) {
        dlm_store_error(store, r, error);
        dlm_store_rollback(store);
        return r;
    }
    r = dlm_store_commit(store, error);
    if (r == 0)
        dlm_slots_clear(slots);
    return r;
}

static void serve_door(void *context, const char *method, json_t *params, dlm_reply_fn reply,
                       void *reply_context)
{
    dlm_engine_serve(context, method, params, reply, reply_context);
}

/* Whoever draws their progress is to know that tasks began. */
static void after_take(void *context)
{
    dlm_engine_serve_deferred(context);
    dlm_engine_tell(context);
}

static void serve_peer(void *context, const struct dlm_peer *peer, const char *method,
                       json_t *params, dlm_reply_fn reply, void *reply_context)
{
    dlm_engine_peer(context, peer, method, params, reply, reply_context);
}

static void peer_gone(void *context, const struct dlm_peer *peer)
{
    dlm_engine_peer_gone(context, peer);
}

/* As many as there are descriptors for. */
static int may_be_active(const struct dlm_engine *e)
{
    int64_t most = e->sched.room / (DLM_TASK_FILES + DLM_CONNECTION_FILES);

    if (most >= e->settings.max_active)
        return e->settings.max_active;
    dlm_log(&e->log, DLMGR_LOG_WARNING,
            "descriptors allow %lld tasks at once, and not max-active %d: raise RLIMIT_NOFILE (soft)",
            (long long)most, e->settings.max_active);
    return (int)most;
}

static int start_rooms(struct dlm_engine *e, struct dlm_store *store, dlmgr_error *error)
{
    struct dlm_sched *s = &e->sched;
    int r;

    memcpy(s->tasks.tag, dlm_store_tag(store), sizeof(s->tasks.tag));
    r = dlm_workers_start(&e->loop, WORKERS, &e->workers, error);
    if (r == 0)
        r = dlm_fetch_start(&e->loop, &e->fetch, error);
    if (r == 0)
        r = dlm_dirs_new(&s->tasks.dirs);
    if (r == 0)
        r = dlm_transfers_init(&s->tasks.transfers, &e->loop, e->fetch, e->slots,
                               e->settings.limit_rate, &e->settings.bounds);
    if (r == 0)
        r = dlm_journal_start(&e->loop, store, on_news, e, &e->journal, error);
    if (r < 0)
        return r;
    s->tasks.journal = e->journal;
    s->tasks.workers = e->workers;
    dlm_tasks_init(&s->tasks);
    s->tasks.log = &e->log;
    s->room = dlm_sched_room(e->settings.bounds.of[DLM_BOUND_DESCRIPTORS]);
    dlm_fetch_at_most(e->fetch, s->room / DLM_CONNECTION_FILES);
    s->max_active = may_be_active(e);
    s->max_per_host = e->settings.max_per_host;
    s->keep_done_ms = e->settings.keep_done_ms;
    s->keep_done_n = e->settings.keep_done_n;
    s->held = e->settings.held;
    s->after_take = after_take;
    s->context = e;
    return dlm_sched_start(s, &e->loop);
}

static int open_door(struct dlm_engine *e, dlmgr_error *error)
{
    e->control_host = (struct dlm_control_host){.loop = &e->loop,
                                                .home = e->home,
                                                .log = &e->log,
                                                .listen_fd = e->settings.listen_fd,
                                                .request = serve_door,
                                                .peer = serve_peer,
                                                .peer_gone = peer_gone,
                                                .context = e};
    return dlm_control_start(&e->control_host, &e->control, error);
}

static int open_files(struct dlm_engine *e, struct dlm_store **ret, dlmgr_error *error)
{
    struct dlm_store *store = NULL;
    int r = dlm_store_open(e->home->fd, e->home->path, DLM_STORE_WRITE, &store, error);

    if (r == 0)
        r = dlm_slots_open(e->home->fd, &e->slots, error);
    if (r == 0)
        r = recover(store, e->slots, error);
    if (r == 0)
        r = dlm_store_open(e->home->fd, e->home->path, DLM_STORE_READ, &e->reader, error);
    if (r == 0 && (e->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        r = dlm_fail_errno(error, DLMGR_EIO, NULL, "cannot make an event descriptor");
    if (r < 0)
        dlm_store_close(store);
    else
        *ret = store;
    return r;
}

static struct dlm_engine *engine_free(struct dlm_engine *e)
{
    dlm_journal_free(e->journal);
    dlm_workers_free(e->workers);
    dlm_fetch_free(e->fetch);
    dlm_dirs_free(e->sched.tasks.dirs);
    dlm_slots_close(e->slots);
    dlm_store_close(e->reader);
    if (e->news_fd >= 0)
        close(e->news_fd);
    pthread_mutex_destroy(&e->lock);
    pthread_mutex_destroy(&e->reader_lock);
    pthread_cond_destroy(&e->answered);
    free(e);
    return NULL;
}

/* Undo a start that got only so far; the loop never ran. */
static void abandon(struct dlm_engine *e)
{
    if (e->control) {
        dlm_control_stop(TAKE_PTR(e->control), on_door_closed, e);
    } else {
        if (e->workers)
            dlm_workers_stop(e->workers);
        if (e->journal)
            dlm_journal_stop(e->journal, CLOSE_JOURNAL_MS);
        if (e->sched.loop)
            dlm_sched_stop(&e->sched);
        if (e->sched.tasks.transfers.fetch)
            dlm_transfers_stop(&e->sched.tasks.transfers);
        if (e->fetch)
            dlm_fetch_stop(e->fetch);
        uv_close((uv_handle_t *)&e->async, NULL);
        uv_close((uv_handle_t *)&e->closing_timer, NULL);
        uv_close((uv_handle_t *)&e->wait_timer, NULL);
    }
    uv_run(&e->loop, UV_RUN_DEFAULT);
    uv_loop_close(&e->loop);
}

static int start_all(struct dlm_engine *e, struct dlm_store *store, dlmgr_error *error)
{
    int r = uv_loop_init(&e->loop), err;

    if (r == 0 && (r = uv_async_init(&e->loop, &e->async, on_async)) != 0)
        uv_loop_close(&e->loop);
    if (r != 0) {
        dlm_store_close(store);
        errno = -r;
        return dlm_fail_errno(error, DLMGR_EIO, NULL, "cannot make the engine's loop");
    }
    uv_timer_init(&e->loop, &e->closing_timer);
    uv_timer_init(&e->loop, &e->wait_timer);
    r = start_rooms(e, store, error);
    if (r < 0 && !e->journal)
        dlm_store_close(store); /* nobody took it over */
    if (r == 0)
        r = open_door(e, error);
    if (r == 0 && (err = dlm_thread_start(&e->thread, engine_main, e, "dlmgr-loop")) != 0) {
        errno = err;
        r = dlm_fail_errno(error, DLMGR_ENOMEM, NULL, "cannot start the engine's thread");
    }
    if (r < 0)
        abandon(e);
    return r;
}

int dlm_engine_start(struct dlm_home *home, const struct dlm_engine_settings *settings,
                     struct dlm_log log, struct dlm_engine **ret, dlmgr_error *error)
{
    struct dlm_engine *e = dlm_alloc(sizeof(*e));
    struct dlm_store *store = NULL;
    int r;

    if (!e)
        return dlm_no_memory(error);
    e->home = home;
    e->settings = *settings;
    e->log = log;
    e->news_fd = -1;
    e->started_at = dlm_clock_wall();
    pthread_mutex_init(&e->lock, NULL);
    pthread_mutex_init(&e->reader_lock, NULL);
    pthread_cond_init(&e->answered, NULL);
    r = open_files(e, &store, error);
    if (r == 0)
        r = start_all(e, store, error);
    if (r < 0) {
        if (error && !error->code)
            dlm_fail(error, r, "cannot start the engine: %s", dlmgr_strerror(r));
        engine_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

/* One of the two words that the loop is told besides its calls. */
static void say(struct dlm_engine *e, bool *word)
{
    pthread_mutex_lock(&e->lock);
    *word = true;
    uv_async_send(&e->async);
    pthread_mutex_unlock(&e->lock);
}

void dlm_engine_begin(struct dlm_engine *e)
{
    say(e, &e->begin);
}

void dlm_engine_stop(struct dlm_engine *e)
{
    if (!e)
        return;
    say(e, &e->stop);
    pthread_join(e->thread, NULL);
    uv_loop_close(&e->loop);
    engine_free(e);
}

int dlm_engine_news_fd(struct dlm_engine *e)
{
    return e->news_fd;
}

bool dlm_engine_stopping(struct dlm_engine *e)
{
    return atomic_load(&e->stop_asked);
}
