/* SPDX-License-Identifier: MIT */
/*
 * journal.c - the journal thread: see journal.h.
 *
 * Loop side: dlm_journal_post() appends to `turn`, a list that only the loop touches; a uv_prepare handle, which runs just before
 * the loop sleeps, hands the turn over. Journal side: take all that is there, begin, run each,
 * commit, hand back; when one of them fails, once more with a savepoint for each. What has not begun after BATCH_US waits for the next transaction, so that a
 * crowd of large changes does not make one long commit. `committed` returns through a uv_async.
 */
#include "dlmgr/journal.h"
#include "dlmgr/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define RETRY_MS 1000
#define REQUEST_MS 3000 /* then who asked is told why it cannot be stored */
#define BATCH_US 20000

struct oplist {
    struct dlm_op *head, **tail;
};

struct dlm_journal {
    struct dlm_store *store;
    struct oplist turn; /* loop only */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct oplist posted, committed; /* under lock */
    bool stopping;                   /* under lock */
    int64_t give_up;                 /* under lock: mono ms */
    bool wrote_events;               /* under lock */
    atomic_bool stuck;
    _Atomic int64_t longest;
    pthread_t thread;
    uv_async_t async;
    uv_prepare_t prepare;
    void (*news)(void *context);
    void *context;
};

static void list_init(struct oplist *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

static void list_append(struct oplist *l, struct oplist *more)
{
    if (!more->head)
        return;
    *l->tail = more->head;
    l->tail = more->tail;
    list_init(more);
}

/* What stands before `at` (NULL: all) goes to `ret`. */
static void list_split(struct oplist *l, struct dlm_op *at, struct oplist *ret)
{
    struct dlm_op **end = &l->head;

    list_init(ret);
    if (!at) {
        list_append(ret, l);
        return;
    }
    while (*end != at)
        end = &(*end)->next;
    ret->head = l->head;
    ret->tail = end;
    *end = NULL;
    l->head = at;
}

static int64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- Journal thread ------------------------------------------------------------------------- */

/* An op's own mistake (no such task, wrong state) is its result; what the disk says concerns the whole batch. */
static bool is_disk_trouble(int code)
{
    return code == DLMGR_ENOSPC || code == DLMGR_EIO;
}

static int run_op(struct dlm_store *s, struct dlm_op *op)
{
    op->error = (dlmgr_error){0};
    op->result = op->work(s, op);
    if (op->result < 0 && !op->error.code)
        dlm_store_error(s, op->result, &op->error);
    return op->result;
}

/* Undone alone when it fails. */
static int run_apart(struct dlm_store *s, struct dlm_op *op)
{
    int r = dlm_store_savepoint(s);

    if (r < 0)
        return r;
    r = run_op(s, op);
    dlm_store_release(s, r >= 0);
    return is_disk_trouble(r) ? r : 0;
}

/* Stores the ops from `first` on that begin within BATCH_US; *ret_next is the first that did not. */
static int run_batch(struct dlm_store *s, struct dlm_op *first,
                     int (*run)(struct dlm_store *s, struct dlm_op *op), struct dlm_op **ret_next)
{
    int64_t until = now_us() + BATCH_US;
    struct dlm_op *op = first;
    int r = dlm_store_begin(s);

    while (op && r >= 0 && (op == first || now_us() < until)) {
        r = run(s, op);
        op = op->next;
    }
    *ret_next = op;
    if (r >= 0)
        return dlm_store_commit(s, NULL);
    dlm_store_rollback(s);
    return r;
}

/* Hardly an op fails, so a batch is tried without savepoints first. */
static int store_batch(struct dlm_store *s, struct dlm_op *first, struct dlm_op **ret_next)
{
    int r = run_batch(s, first, run_op, ret_next);

    return r < 0 && !is_disk_trouble(r) ? run_batch(s, first, run_apart, ret_next) : r;
}

/* Waits a moment before the batch is tried again; false: the engine closes and cannot wait longer. */
static bool wait_to_retry(struct dlm_journal *j)
{
    struct timespec until;
    bool again;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RETRY_MS / 1000;
    pthread_mutex_lock(&j->lock);
    pthread_cond_timedwait(&j->wake, &j->lock, &until);
    again = !j->stopping || dlm_clock_mono() < j->give_up;
    pthread_mutex_unlock(&j->lock);
    return again;
}

static void hand_back(struct dlm_journal *j, struct oplist *batch)
{
    int64_t news = dlm_store_news(j->store);

    pthread_mutex_lock(&j->lock);
    list_append(&j->committed, batch);
    j->wrote_events |= news > 0;
    pthread_mutex_unlock(&j->lock);
    uv_async_send(&j->async);
}

/* Requests that have waited long enough fail: nothing of them is stored, and who asked need not wait for a disk to be mended. */
static void give_up_requests(struct dlm_journal *j, struct oplist *waiting, int code)
{
    struct oplist kept, failed;
    dlmgr_error why = {0};
    int64_t since = now_us() - (int64_t)REQUEST_MS * 1000;

    dlm_store_error(j->store, code, &why);
    list_init(&kept);
    list_init(&failed);
    pthread_mutex_lock(&j->lock);
    list_append(waiting, &j->posted); /* they would wait behind these, for the same */
    pthread_mutex_unlock(&j->lock);
    while (waiting->head) {
        struct dlm_op *op = waiting->head;
        struct oplist *to = op->request && op->posted < since ? &failed : &kept;

        waiting->head = op->next;
        op->next = NULL;
        *to->tail = op;
        to->tail = &op->next;
        if (to == &failed) {
            op->result = code;
            op->error = why;
        }
    }
    list_init(waiting);
    list_append(waiting, &kept);
    if (failed.head)
        hand_back(j, &failed);
}

/* Commits the head of `waiting` and moves it to `done`; nothing when only requests waited, and were given up. */
static bool commit_batch(struct dlm_journal *j, struct oplist *waiting, struct oplist *done)
{
    struct dlm_op *next;
    int64_t waited;
    int r;

    list_init(done);
    while (waiting->head && (r = store_batch(j->store, waiting->head, &next)) < 0) {
        atomic_store(&j->stuck, true);
        give_up_requests(j, waiting, r);
        if (waiting->head && !wait_to_retry(j))
            return false;
    }
    atomic_store(&j->stuck, false);
    if (!waiting->head)
        return true;
    waited = now_us() - waiting->head->posted;
    if (waited > atomic_load(&j->longest))
        atomic_store(&j->longest, waited);
    list_split(waiting, next, done);
    return true;
}

static void *journal_main(void *arg)
{
    struct dlm_journal *j = arg;
    struct oplist waiting, done;

    list_init(&waiting);
    for (;;) {
        pthread_mutex_lock(&j->lock);
        while (!waiting.head && !j->posted.head && !j->stopping)
            pthread_cond_wait(&j->wake, &j->lock);
        list_append(&waiting, &j->posted);
        pthread_mutex_unlock(&j->lock);
        if (!waiting.head)
            return NULL;
        if (!commit_batch(j, &waiting, &done))
            return NULL; /* what could not be stored was never told to anybody */
        hand_back(j, &done);
    }
}

/* ---- Loop thread ------------------------------------------------------------------------------ */

static void run_committed(struct dlm_journal *j)
{
    struct oplist list;
    struct dlm_op *op;
    bool news;

    list_init(&list);
    pthread_mutex_lock(&j->lock);
    list_append(&list, &j->committed);
    news = j->wrote_events;
    j->wrote_events = false;
    pthread_mutex_unlock(&j->lock);
    op = list.head;
    while (op) {
        struct dlm_op *next = op->next;

        op->done(op);
        op = next;
    }
    if (news)
        j->news(j->context);
}

static void on_async(uv_async_t *async)
{
    run_committed(container_of(async, struct dlm_journal, async));
}

static void hand_over(struct dlm_journal *j)
{
    if (!j->turn.head)
        return;
    pthread_mutex_lock(&j->lock);
    list_append(&j->posted, &j->turn);
    pthread_mutex_unlock(&j->lock);
    pthread_cond_signal(&j->wake); /* it finds the lock free */
}

static void on_prepare(uv_prepare_t *prepare)
{
    hand_over(container_of(prepare, struct dlm_journal, prepare));
}

int dlm_journal_start(uv_loop_t *loop, struct dlm_store *store, void (*news)(void *context),
                      void *context, struct dlm_journal **ret, dlmgr_error *e)
{
    struct dlm_journal *j = dlm_alloc(sizeof(*j));
    pthread_condattr_t attr;
    int r;

    if (!j)
        return dlm_fail(e, DLMGR_ENOMEM, "no memory for the journal thread");
    list_init(&j->turn);
    list_init(&j->posted);
    list_init(&j->committed);
    pthread_mutex_init(&j->lock, NULL);
    /* By the clock of the wall a step back would make a second of waiting into years. */
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->wake, &attr);
    pthread_condattr_destroy(&attr);
    j->store = store;
    j->news = news;
    j->context = context;
    r = uv_async_init(loop, &j->async, on_async);
    if (r) {
        free(j);
        errno = -r;
        return dlm_fail_errno(e, DLMGR_EIO, NULL, "cannot make the journal's wake-up handle");
    }
    uv_prepare_init(loop, &j->prepare);
    uv_prepare_start(&j->prepare, on_prepare);
    r = dlm_thread_start(&j->thread, journal_main, j, "dlmgr-journal");
    if (r) {
        uv_close((uv_handle_t *)&j->async, NULL);
        uv_close((uv_handle_t *)&j->prepare, NULL);
        errno = r;
        return dlm_fail_errno(e, DLMGR_ENOMEM, NULL, "cannot start the journal thread");
    }
    *ret = j;
    return 0;
}

void dlm_journal_post(struct dlm_journal *j, struct dlm_op *op)
{
    op->next = NULL;
    op->posted = now_us();
    *j->turn.tail = op;
    j->turn.tail = &op->next;
}

void dlm_journal_stop(struct dlm_journal *j, int64_t wait_ms)
{
    if (!j)
        return;
    hand_over(j);
    pthread_mutex_lock(&j->lock);
    j->stopping = true;
    j->give_up = dlm_clock_mono() + wait_ms;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
    run_committed(j);
    dlm_store_close(TAKE_PTR(j->store));
    uv_close((uv_handle_t *)&j->async, NULL);
    uv_close((uv_handle_t *)&j->prepare, NULL);
}

void dlm_journal_free(struct dlm_journal *j)
{
    if (!j)
        return;
    pthread_cond_destroy(&j->wake);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

bool dlm_journal_stuck(const struct dlm_journal *j)
{
    return atomic_load(&j->stuck);
}

int64_t dlm_journal_longest(const struct dlm_journal *j)
{
    return atomic_load(&j->longest);
}
