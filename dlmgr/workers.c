/* SPDX-License-Identifier: MIT */
/*
 * workers.c - a small thread pool with two lanes: see workers.h.
 *
 * Two queues, light and heavy. A worker takes light jobs first; heavy ones only while fewer than HEAVY_MAX
 * run. Finished jobs go to one list and the loop is woken once for all of them (uv_async coalesces).
 */
#include "dlmgr/workers.h"

#include <pthread.h>
#include <signal.h>

#define THREADS_MAX 32
#define HEAVY_MAX 2

struct queue {
    struct dlm_job *head, **tail;
};

struct dlm_workers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct queue light, heavy, finished;
    int heavy_running;
    bool stopping;
    int n_threads;
    pthread_t threads[THREADS_MAX];
    uv_async_t async;
};

static void queue_init(struct queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static void queue_push(struct queue *q, struct dlm_job *job)
{
    job->next = NULL;
    *q->tail = job;
    q->tail = &job->next;
}

static struct dlm_job *queue_pop(struct queue *q)
{
    struct dlm_job *job = q->head;

    if (job) {
        q->head = job->next;
        if (!q->head)
            q->tail = &q->head;
        job->next = NULL; /* a round is a list */
    }
    return job;
}

int dlm_thread_start(pthread_t *ret, void *(*fn)(void *), void *arg, const char *name)
{
    sigset_t all, saved;
    int err;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved);
    err = pthread_create(ret, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
    if (!err)
        pthread_setname_np(*ret, name);
    return err;
}

static struct dlm_job *next_job(struct dlm_workers *w)
{
    struct dlm_job *job = queue_pop(&w->light);

    if (!job && w->heavy_running < HEAVY_MAX) {
        job = queue_pop(&w->heavy);
        if (job)
            w->heavy_running++;
    }
    return job;
}

/* Whoever makes the list begin wakes the loop, which takes all of it, and which should find the lock free. */
static void finish(struct dlm_workers *w, struct dlm_job *job)
{
    bool first = !w->finished.head;

    queue_push(&w->finished, job);
    if (!first)
        return;
    pthread_mutex_unlock(&w->lock);
    uv_async_send(&w->async);
    pthread_mutex_lock(&w->lock);
}

static void *worker_main(void *arg)
{
    struct dlm_workers *w = arg;

    pthread_mutex_lock(&w->lock);
    for (;;) {
        struct dlm_job *job = next_job(w);

        if (job) {
            pthread_mutex_unlock(&w->lock);
            job->work(job);
            pthread_mutex_lock(&w->lock);
            if (job->heavy) {
                w->heavy_running--;
                pthread_cond_signal(&w->wake);
            }
            finish(w, job);
        } else if (w->stopping && !w->light.head && !w->heavy.head) {
            break;
        } else {
            pthread_cond_wait(&w->wake, &w->lock);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void run_finished(struct dlm_workers *w)
{
    struct dlm_job *job;

    pthread_mutex_lock(&w->lock);
    job = w->finished.head;
    queue_init(&w->finished);
    pthread_mutex_unlock(&w->lock);
    while (job) {
        struct dlm_job *next = job->next;

        job->done(job);
        job = next;
    }
}

static void on_async(uv_async_t *async)
{
    run_finished(container_of(async, struct dlm_workers, async));
}

int dlm_workers_start(uv_loop_t *loop, int threads, struct dlm_workers **ret, dlmgr_error *e)
{
    struct dlm_workers *w = dlm_alloc(sizeof(*w));
    int err;

    if (!w)
        return dlm_fail(e, DLMGR_ENOMEM, "no memory for the workers");
    queue_init(&w->light);
    queue_init(&w->heavy);
    queue_init(&w->finished);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    err = uv_async_init(loop, &w->async, on_async);
    if (err) {
        free(w);
        errno = -err;
        return dlm_fail_errno(e, DLMGR_EIO, NULL, "cannot make the workers' wake-up handle");
    }
    for (; w->n_threads < MIN(threads, THREADS_MAX); w->n_threads++)
        if ((err = dlm_thread_start(&w->threads[w->n_threads], worker_main, w, "dlmgr-worker")))
            break;
    *ret = w;
    if (w->n_threads > 0)
        return 0;
    errno = err;
    return dlm_fail_errno(e, DLMGR_ENOMEM, NULL, "cannot start a worker thread");
}

void dlm_workers_submit(struct dlm_workers *w, struct dlm_job *job)
{
    pthread_mutex_lock(&w->lock);
    queue_push(job->heavy ? &w->heavy : &w->light, job);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_signal(&w->wake); /* who wakes finds the lock free */
}

void dlm_workers_stop(struct dlm_workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i], NULL);
    run_finished(w);
    uv_close((uv_handle_t *)&w->async, NULL);
}

void dlm_workers_free(struct dlm_workers *w)
{
    if (!w)
        return;
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ---- Rounds ------------------------------------------------------------------------------------ */

struct round {
    struct dlm_job job;
    struct dlm_gather *gather;
    struct dlm_job *list;
};

static void gather_begin(struct dlm_gather *g);

static void round_work(struct dlm_job *job)
{
    struct round *r = container_of(job, struct round, job);

    r->gather->work(r->list);
}

static void round_done(struct dlm_job *job)
{
    struct round *r = container_of(job, struct round, job);
    struct dlm_job *list = r->list;

    r->gather->running--;
    gather_begin(r->gather);
    free(r);
    while (list) {
        struct dlm_job *next = list->next;

        list->done(list);
        list = next;
    }
}

/* Without memory for a round it waits for the one that runs, or for the next job. */
static void gather_begin(struct dlm_gather *g)
{
    struct dlm_job **end = &g->head;
    struct round *r;
    int n = 0;

    if (!g->head || g->running >= g->rounds || !(r = dlm_alloc(sizeof(*r))))
        return;
    while (*end && n++ < g->most)
        end = &(*end)->next;
    *r = (struct round){.job = {.work = round_work, .done = round_done},
                        .gather = g,
                        .list = g->head};
    g->head = *end;
    *end = NULL;
    if (!g->head)
        g->tail = &g->head;
    g->running++;
    dlm_workers_submit(g->workers, &r->job);
}

void dlm_gather_init(struct dlm_gather *g, struct dlm_workers *w, int rounds, int most,
                     void (*work)(struct dlm_job *round))
{
    *g = (struct dlm_gather){.workers = w, .work = work, .rounds = rounds, .most = most};
    g->tail = &g->head;
}

void dlm_gather_submit(struct dlm_gather *g, struct dlm_job *job)
{
    job->next = NULL;
    *g->tail = job;
    g->tail = &job->next;
    gather_begin(g);
}
