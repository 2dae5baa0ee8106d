/* SPDX-License-Identifier: MIT */
/*
 * sched.c - who runs: see sched.h.
 *
 * pump() runs just before the loop sleeps: it starts what is ready and takes more. Hosts stand in a short list, for only
 * those with a connection or a ready task are there.
 */
#include "dlmgr/sched.h"

#define TICK_MS 1000
#define STORAGE_MS 10000
#define STEP_MS 10000
#define BACKOFF_LONGEST_MS                                                                         \
    (24LL * 3600 * 1000) /* what --retry-wait may be; a Retry-After is at most an hour */
#define PRUNE_MS 60000
#define EVENTS_KEPT_MS (30LL * 24 * 3600 * 1000)
#define PRUNE_AT_ONCE 1000
#define PREFETCH_MAX 64
#define FINISHING_MAX 512
#define LOOK_AT_ONCE 64
#define TAKE_MAX 1064 /* max_active and the prefetch */

struct dlm_host {
    struct dlm_host *next;
    int connections, ready;
    char origin[];
};

/* ---- Hosts --------------------------------------------------------------------------------------- */

static struct dlm_host *host_find(struct dlm_sched *s, const char *origin)
{
    struct dlm_host *h = s->hosts;

    while (h && strcmp(h->origin, origin) != 0)
        h = h->next;
    return h;
}

/* NULL: no memory; then this host is not counted. */
static struct dlm_host *host_get(struct dlm_sched *s, const char *origin)
{
    struct dlm_host *h = host_find(s, origin);
    size_t len = strlen(origin) + 1;

    if (h || !(h = dlm_alloc(sizeof(*h) + len)))
        return h;
    memcpy(h->origin, origin, len);
    h->next = s->hosts;
    s->hosts = h;
    return h;
}

static void hosts_sweep(struct dlm_sched *s)
{
    struct dlm_host **at = &s->hosts;

    while (*at) {
        struct dlm_host *h = *at;

        if (h->connections > 0 || h->ready > 0) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        free(h);
    }
}

/* Each task at work counts with a connection at least: it will want one. */
static int64_t files_open(const struct dlm_sched *s)
{
    int64_t tasks = s->tasks.n - (int64_t)s->n_ready;

    return tasks * DLM_TASK_FILES + MAX(tasks, s->connections) * DLM_CONNECTION_FILES;
}

static bool may_connect(void *context, const char *origin)
{
    struct dlm_sched *s = context;
    const struct dlm_host *h = host_find(s, origin);

    return (!h || h->connections < s->max_per_host) &&
           files_open(s) + DLM_CONNECTION_FILES <= s->room;
}

static void connected(void *context, const char *origin, int by)
{
    struct dlm_sched *s = context;
    struct dlm_host *h = host_get(s, origin);

    s->connections += by;
    if (h)
        h->connections = MAX(h->connections + by, 0);
    if (by < 0)
        s->more = true;
}

static void ready_count(struct dlm_sched *s, const struct dlm_task *t, int by)
{
    struct dlm_host *h = host_get(s, dlm_task_origin(t));

    if (h)
        h->ready = MAX(h->ready + by, 0);
}

/* ---- Tasks come and go ------------------------------------------------------------------------------ */

static void ready_remove(struct dlm_sched *s, size_t i)
{
    ready_count(s, s->ready[i], -1);
    memmove(&s->ready[i], &s->ready[i + 1], (--s->n_ready - i) * sizeof(s->ready[0]));
}

static void freed(struct dlm_task *t, void *context)
{
    struct dlm_sched *s = context;

    for (size_t i = 0; i < s->n_ready; i++)
        if (s->ready[i] == t)
            ready_remove(s, i--);
    s->more = true;
    if (t->leave.to == DLMGR_FAILED && !t->leave.halt) {
        s->failed++;
        if (!s->first_failure)
            s->first_failure = t->leave.exit_code;
    }
    if (t->leave.to == DLMGR_WAITING && !t->leave.halt) {
        if (!t->leave.until)
            s->storage_at = dlm_clock_mono() + STORAGE_MS;
        else
            dlm_sched_wake(s);
    }
}

static const struct dlm_tasks_ops tasks_ops = {.may_connect = may_connect,
                                               .connected = connected,
                                               .freed = freed};

struct dlm_task *dlm_sched_find(struct dlm_sched *s, int64_t id)
{
    struct dlm_task *t = s->tasks.head;

    while (t && t->row.id != id)
        t = t->next;
    return t;
}

/* ---- Taking -------------------------------------------------------------------------------------------- */

static void drop_taken(struct dlm_sched *s)
{
    while (s->n_taken > 0)
        dlm_task_free(s->taken[--s->n_taken]);
}

static int take_work(struct dlm_store *store, struct dlm_op *op)
{
    struct dlm_sched *s = container_of(op, struct dlm_sched, take_op);
    CLEANUP_FREE struct dlm_row *rows = dlm_alloc(s->n_take * sizeof(*rows));
    size_t n = s->n_take;
    int r;

    drop_taken(s); /* of a batch that could not commit */
    if (!rows)
        return DLMGR_ENOMEM;
    r = dlm_store_take(store, s->busy, s->n_busy, s->max_per_host, rows, &n);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        if (r == 0)
            r = dlm_task_load(store, &rows[i], &s->taken[s->n_taken]);
        else
            dlm_row_clear(&rows[i]);
        s->n_taken += r == 0;
    }
    if (r < 0)
        drop_taken(s);
    return r;
}

/* Grows while connections had to wait for the journal, shrinks while tasks wait for connections. */
static void adapt_prefetch(struct dlm_sched *s)
{
    if (s->n_ready == 0 && s->n_taken > 0)
        s->prefetch = MIN(2 * s->prefetch + 1, PREFETCH_MAX);
    else if ((int)s->n_ready > s->prefetch / 2)
        s->prefetch = s->prefetch * 3 / 4;
}

static void on_taken(struct dlm_op *op)
{
    struct dlm_sched *s = container_of(op, struct dlm_sched, take_op);

    s->taking = false;
    if (op->result < 0)
        dlm_log(s->tasks.log, DLMGR_LOG_ERROR, "cannot take tasks from the journal: %s",
                op->error.text);
    s->more = op->result == 0 && s->n_taken == s->n_take;
    adapt_prefetch(s);
    for (size_t i = 0; i < s->n_taken; i++) {
        dlm_task_adopt(&s->tasks, s->taken[i]);
        ready_count(s, s->taken[i], 1);
        s->ready[s->n_ready++] = s->taken[i];
    }
    s->n_taken = 0;
    if (s->draining)
        dlm_sched_drain(s);
    s->after_take(s->context);
}

static int note_busy(struct dlm_sched *s)
{
    size_t n = 0;

    for (struct dlm_host *h = s->hosts; h; h = h->next)
        n++;
    free(s->busy);
    s->busy = dlm_alloc(MAX(n, (size_t)1) * sizeof(*s->busy));
    if (!s->busy)
        return DLMGR_ENOMEM;
    s->n_busy = 0;
    for (struct dlm_host *h = s->hosts; h; h = h->next)
        s->busy[s->n_busy++] = (struct dlm_busy){h->origin, MAX(s->max_per_host - h->connections -
                                                                    h->ready + s->prefetch,
                                                                0)};
    return 0;
}

static void take(struct dlm_sched *s, int n)
{
    hosts_sweep(s);
    if (note_busy(s) < 0)
        return;
    s->taking = true;
    s->more = false;
    s->n_take = (size_t)n;
    s->take_op.work = take_work;
    s->take_op.done = on_taken;
    dlm_journal_post(s->tasks.journal, &s->take_op);
}

/* ---- The pump -------------------------------------------------------------------------------------------- */

static bool may_start(struct dlm_sched *s, const struct dlm_task *t)
{
    return files_open(s) + DLM_TASK_FILES <= s->room && may_connect(s, dlm_task_origin(t));
}

static void start_ready(struct dlm_sched *s, int *io_room)
{
    for (size_t i = 0; i<s->n_ready && * io_room> 0;) {
        struct dlm_task *t = s->ready[i];

        if (t->leave.wanted || !may_start(s, t)) {
            i++;
            continue;
        }
        ready_remove(s, i);
        s->started++;
        --*io_room;
        dlm_task_start(t);
    }
}

static void pump(struct dlm_sched *s)
{
    int active = 0, room, want;

    if (s->draining || s->held)
        return;
    for (const struct dlm_task *t = s->tasks.head; t; t = t->next)
        active += dlm_task_is_active(t);
    active -= (int)s->n_ready; /* is_active counts those too */
    room = s->max_active - active;
    if (s->n_ready > 0)
        start_ready(s, &room);
    want = room + s->prefetch - (int)s->n_ready;
    if (s->more && want > 0 && !s->taking && !s->stuck && s->tasks.n - active < FINISHING_MAX)
        take(s, MIN(want, TAKE_MAX - (int)s->n_ready));
}

static void on_prepare(uv_prepare_t *prepare)
{
    pump(container_of(prepare, struct dlm_sched, prepare));
}

/* ---- Waking --------------------------------------------------------------------------------------------------- */

static int wake_work(struct dlm_store *store, struct dlm_op *op)
{
    struct dlm_sched *s = container_of(op, struct dlm_sched, wake_op);
    struct dlm_tally tally;
    int r = dlm_store_wake(store, dlm_clock_wall(), &s->next_wake);

    if (r == 0 && s->storage_due)
        r = MIN(dlm_store_wake_reason(store, "storage"), 0);
    if (r == 0 && s->stepped)
        r = s->late_more = dlm_store_wake_late(store, dlm_clock_wall() + BACKOFF_LONGEST_MS);
    r = MIN(r, 0);
    if (r == 0)
        r = dlm_store_tally(store, &tally);
    if (r == 0)
        s->n_storage = tally.waiting_storage;
    return r;
}

static void on_timer(uv_timer_t *timer)
{
    dlm_sched_wake(container_of(timer, struct dlm_sched, timer));
}

static void on_woken(struct dlm_op *op)
{
    struct dlm_sched *s = container_of(op, struct dlm_sched, wake_op);
    int64_t wait = s->next_wake - dlm_clock_wall();

    s->waking = s->storage_due = false;
    s->stepped &= op->result < 0 || s->late_more > 0;
    s->wake_again |= s->stepped && op->result == 0;
    s->more = true;
    s->storage_at = s->n_storage > 0 ? dlm_clock_mono() + STORAGE_MS : 0;
    if (op->result < 0)
        dlm_log(s->tasks.log, DLMGR_LOG_ERROR, "cannot wake tasks: %s", op->error.text);
    if (s->wake_again)
        dlm_sched_wake(s);
    else if (op->result == 0 && s->next_wake && !uv_is_closing((uv_handle_t *)&s->timer))
        uv_timer_start(&s->timer, on_timer, (uint64_t)MIN(MAX(wait, 1), 3600000), 0);
}

void dlm_sched_wake(struct dlm_sched *s)
{
    s->wake_again = s->waking;
    if (s->waking || s->draining || s->held)
        return;
    s->waking = true;
    s->wake_op.work = wake_work;
    s->wake_op.done = on_woken;
    dlm_journal_post(s->tasks.journal, &s->wake_op);
}

/* ---- Pruning ---------------------------------------------------------------------------------------------------- */

static int prune_work(struct dlm_store *store, struct dlm_op *op)
{
    struct dlm_sched *s = container_of(op, struct dlm_sched, prune_op);
    int64_t now = dlm_clock_wall();

    return dlm_store_prune(store, now - EVENTS_KEPT_MS,
                           s->keep_done_ms >= 0 ? now - s->keep_done_ms : -1, s->keep_done_n,
                           PRUNE_AT_ONCE, &s->prune_more);
}

static void prune(struct dlm_sched *s);

static void on_pruned(struct dlm_op *op)
{
    struct dlm_sched *s = container_of(op, struct dlm_sched, prune_op);

    s->pruning = false;
    if (op->result < 0)
        dlm_log(s->tasks.log, DLMGR_LOG_ERROR, "cannot prune the journal: %s", op->error.text);
    else if (s->prune_more && !s->draining)
        prune(s);
}

static void prune(struct dlm_sched *s)
{
    s->prune_at = dlm_clock_mono() + PRUNE_MS;
    if (s->pruning)
        return;
    s->pruning = true;
    s->prune_op.work = prune_work;
    s->prune_op.done = on_pruned;
    dlm_journal_post(s->tasks.journal, &s->prune_op);
}

/* ---- What an earlier owner left in committing --------------------------------------------------------------------- */

static int look_work(struct dlm_store *store, struct dlm_op *op)
{
    struct dlm_sched *s = container_of(op, struct dlm_sched, look_op);
    int64_t after = s->look_after;
    int r = 0;

    drop_taken(s);
    while (r == 0 && s->n_taken < LOOK_AT_ONCE) {
        struct dlm_row row = {0};

        r = dlm_store_committing(store, after, &row);
        if (r < 0)
            break;
        after = row.id;
        r = dlm_task_load(store, &row, &s->taken[s->n_taken]);
        s->n_taken += r == 0;
    }
    if (r == DLMGR_ENOTFOUND)
        return 0;
    if (r < 0)
        drop_taken(s);
    return r;
}

static void look(struct dlm_sched *s);

static void on_found(struct dlm_op *op)
{
    struct dlm_sched *s = container_of(op, struct dlm_sched, look_op);
    size_t n = s->n_taken;

    if (op->result < 0)
        dlm_log(s->tasks.log, DLMGR_LOG_ERROR, "cannot read what was being committed: %s",
                op->error.text);
    for (size_t i = 0; i < n; i++) {
        s->look_after = s->taken[i]->row.id;
        dlm_task_adopt(&s->tasks, s->taken[i]);
        dlm_task_start(s->taken[i]);
    }
    s->n_taken = 0;
    s->taking = false;
    if (n == LOOK_AT_ONCE)
        look(s);
}

/* Before the first taking, for both fill s->taken. */
static void look(struct dlm_sched *s)
{
    s->taking = true;
    s->look_op.work = look_work;
    s->look_op.done = on_found;
    dlm_journal_post(s->tasks.journal, &s->look_op);
}

/* ---- Beginning and end ---------------------------------------------------------------------------------------------- */

/*
 * The timer that waits for next_wake does not run while the machine sleeps, and knows nothing of a clock that is set. Set forward, what became
 * due by that is due; set back, a pause that was begun before would last as long as the step.
 */
static void look_at_clocks(struct dlm_sched *s)
{
    int64_t wall = dlm_clock_wall(), apart = wall - dlm_clock_mono();

    s->stepped |= apart < s->apart - STEP_MS;
    s->apart = apart;
    if (!s->waking && !s->stuck && (s->stepped || (s->next_wake && wall >= s->next_wake)))
        dlm_sched_wake(s);
}

static void on_tick(uv_timer_t *timer)
{
    struct dlm_sched *s = container_of(timer, struct dlm_sched, tick);
    int64_t now = dlm_clock_mono();

    s->stuck = dlm_journal_stuck(s->tasks.journal);
    look_at_clocks(s);
    for (struct dlm_task *t = s->tasks.head, *next; t; t = next) {
        next = t->next;
        dlm_task_tick(t, now);
    }
    if (s->storage_at && now >= s->storage_at && !s->stuck) {
        s->storage_due = true;
        s->storage_at = 0;
        dlm_sched_wake(s);
    }
    if (now >= s->prune_at && !s->draining && !s->stuck)
        prune(s);
}

static void go_on(struct dlm_sched *s)
{
    look(s);
    dlm_sched_wake(s);
}

int dlm_sched_start(struct dlm_sched *s, uv_loop_t *loop)
{
    s->loop = loop;
    s->tasks.ops = &tasks_ops;
    s->tasks.context = s;
    s->tasks.transfers.hold = &s->stuck;
    uv_timer_init(loop, &s->tick); /* none of these can fail, and stopping closes them */
    uv_timer_init(loop, &s->timer);
    uv_prepare_init(loop, &s->prepare);
    s->ready = dlm_alloc(2 * TAKE_MAX * sizeof(*s->ready));
    s->taken = dlm_alloc(TAKE_MAX * sizeof(*s->taken));
    if (!s->ready || !s->taken)
        return DLMGR_ENOMEM;
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    uv_prepare_start(&s->prepare, on_prepare);
    s->more = true;
    s->storage_due = true; /* there may be room by now */
    s->stepped = true;     /* and it may have been set back while nobody was here */
    s->apart = dlm_clock_wall() - dlm_clock_mono();
    if (!s->held)
        go_on(s);
    return 0;
}

void dlm_sched_begin(struct dlm_sched *s)
{
    if (!s->held)
        return;
    s->held = false;
    go_on(s); /* and the pump, before the loop sleeps */
}

void dlm_sched_drain(struct dlm_sched *s)
{
    s->draining = true;
    for (struct dlm_task *t = s->tasks.head, *next; t; t = next) {
        next = t->next;
        dlm_task_halt(t, true);
    }
}

void dlm_sched_stop(struct dlm_sched *s)
{
    while (s->tasks.head) {
        struct dlm_task *t = s->tasks.head;

        s->tasks.head = t->next;
        dlm_task_drop(t, NULL);
        dlm_task_free(t);
    }
    drop_taken(s);
    while (s->hosts) {
        struct dlm_host *h = s->hosts;

        s->hosts = h->next;
        free(h);
    }
    free(TAKE_PTR(s->ready));
    free(TAKE_PTR(s->taken));
    free(TAKE_PTR(s->busy));
    uv_close((uv_handle_t *)&s->tick, NULL);
    uv_close((uv_handle_t *)&s->timer, NULL);
    uv_close((uv_handle_t *)&s->prepare, NULL);
}
