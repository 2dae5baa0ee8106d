/* SPDX-License-Identifier: MIT */
/*
 * task.c - how a task at work begins, is kept going and leaves: see task.h.
 *
 * Leaving has one road, whatever the reason: connections dropped, what they brought synced and counted, the row moved with its error, and
 * only then the memory given back. The first reason that comes wins.
 */
#include "dlmgr/task.h"

#include "dlmgr/backoff.h"

#include <stdio.h>

/* ---- The main line ------------------------------------------------------------------------------- */

void dlm_task_op(struct dlm_task *t, int (*work)(struct dlm_store *, struct dlm_op *),
                 void (*done)(struct dlm_op *))
{
    t->busy = true;
    t->op.work = work;
    t->op.done = done;
    dlm_journal_post(t->set->journal, &t->op);
}

void dlm_task_job(struct dlm_task *t, void (*work)(struct dlm_job *),
                  void (*done)(struct dlm_job *), bool heavy)
{
    t->busy = true;
    t->job = (struct dlm_job){.work = work, .done = done, .heavy = heavy};
    t->job_error = (dlmgr_error){0};
    dlm_workers_submit(t->set->workers, &t->job);
}

void dlm_task_gather(struct dlm_task *t, struct dlm_gather *g, void (*done)(struct dlm_job *))
{
    t->busy = true;
    t->job = (struct dlm_job){.done = done};
    t->job_error = (dlmgr_error){0};
    dlm_gather_submit(g, &t->job);
}

/* ---- Metrics --------------------------------------------------------------------------------------- */

void dlm_task_lap(struct dlm_task *t, int next)
{
    int64_t now = dlm_clock_us();

    if (t->doing < DLM_METRICS)
        t->metrics.us[t->doing] += now - t->since;
    t->doing = next;
    t->since = now;
}

const char *dlm_task_measure(struct dlm_task *t, bool ended)
{
    t->metrics.left_at = ended ? 0 : dlm_clock_wall();
    dlm_metrics_write(&t->metrics, t->metrics_text);
    return t->metrics_text;
}

/* ---- Leaving --------------------------------------------------------------------------------------- */

void dlm_task_remove(struct dlm_task *t)
{
    struct dlm_tasks *set = t->set;
    void (*gone)(void *) = t->gone;
    void *context = t->gone_context;

    *t->at_link = t->next;
    if (t->next)
        t->next->at_link = t->at_link;
    set->n--;
    set->ops->freed(t, set->context);
    dlm_task_free(t);
    if (gone)
        gone(context);
}

static void on_left(struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);

    if (op->result < 0 && op->result != DLMGR_ENOTFOUND)
        dlm_log(t->set->log, DLMGR_LOG_ERROR, "task %lld cannot leave: %s", (long long)t->row.id,
                op->error.text);
    dlm_task_remove(t);
}

static int uncount_all(struct dlm_store *s, struct dlm_task *t)
{
    CLEANUP_FREE struct dlm_block_row *rows = NULL;
    size_t n = 0;
    int r = dlm_store_blocks(s, t->row.id, &rows, &n);

    for (size_t i = 0; i < n && r == 0; i++)
        r = dlm_store_uncount(s, t->row.id, t->row.generation, &rows[i].idx, 1, 0);
    return r == 0 ? dlm_store_hints_drop(s, t->row.id) : r;
}

static int leave_work(struct dlm_store *s, struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);
    const struct dlm_leave *l = &t->leave;
    struct dlm_move m = {.id = t->row.id,
                         .to = l->to,
                         .wait_reason = l->reason,
                         .wake_at = l->until,
                         .error = l->error,
                         .exit_code = l->exit_code,
                         .bytes = -1,
                         .total = -1,
                         .attempts = t->attempts,
                         .metrics = t->metrics_text};
    int r = 0;

    if (t->rows)
        r = dlm_task_count_rows(s, t);
    else if (l->worthless)
        r = uncount_all(s, t);
    if (r < 0 && r != DLMGR_ESTATE)
        return r;
    return l->halt ? dlm_store_metrics(s, m.id, m.metrics) : dlm_store_move(s, &m, NULL);
}

static void leave_sync(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);
    int r = t->entry_synced ? 0 : dlm_dir_sync(t->dir);

    t->job_result = r < 0 ? r : dlm_sink_sync(t->sink, &t->rows_ident);
}

static void on_leave_synced(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);

    if (t->job_result < 0)
        free(TAKE_PTR(t->rows)); /* not on the disk, so not counted */
    dlm_task_op(t, leave_work, on_left);
}

/* Is there something uncounted, of this generation and not given up? */
static bool believes(const struct dlm_task *t)
{
    return t->sink && t->sink->uncounted && !t->create_next && !t->leave.forget &&
           !t->leave.worthless;
}

bool dlm_task_leaving(struct dlm_task *t)
{
    if (!t->leave.wanted)
        return false;
    if (t->busy || t->counting)
        return true;
    dlm_task_drop(t, NULL);
    dlm_task_lap(t, DLM_METRICS);
    dlm_task_measure(t, t->leave.to == DLMGR_FAILED);
    free(TAKE_PTR(t->rows));
    if (believes(t) && dlm_task_snapshot(t) == 0)
        dlm_task_job(t, leave_sync, on_leave_synced, false);
    else
        dlm_task_op(t, leave_work, on_left);
    return true;
}

static void leave(struct dlm_task *t, const struct dlm_leave *l)
{
    if (t->leave.wanted) {
        free(l->error); /* the first reason wins */
    } else {
        t->leave = *l;
        t->leave.wanted = true;
        atomic_store(&t->give_up, true);
        dlm_task_drop(t, NULL);
    }
    dlm_task_leaving(t);
}

/* Without memory for it the task leaves without an error's object, which is NULL. */
static char *error_text(const struct dlm_task *t, const struct dlm_failure *why,
                        const struct dlm_transfer *by)
{
    struct dlm_failure f = *why;

    f.attempts = t->attempts;
    f.first_try_at = t->first_try_at;
    f.last_try_at = t->last_try_at;
    f.attempts += !by && t->last_try_at; /* what came was no trouble, but what became of it is */
    if (by) {
        f.http_status = by->status;
        f.evidence = by->evidence;
    }
    return dlm_failure_text(&f);
}

void dlm_task_fail(struct dlm_task *t, const struct dlm_failure *why, const struct dlm_transfer *by)
{
    struct dlm_leave l = {.to = DLMGR_FAILED,
                          .exit_code = why->code,
                          .forget = t->leave.forget,
                          .worthless = t->leave.worthless};

    l.error = error_text(t, why, by);
    leave(t, &l);
}

void dlm_task_wait(struct dlm_task *t, const char *reason, int64_t until,
                   const struct dlm_failure *why, const struct dlm_transfer *by)
{
    struct dlm_leave l = {.to = DLMGR_WAITING,
                          .reason = reason,
                          .until = until,
                          .exit_code = why->code,
                          .forget = t->leave.forget};

    l.error = error_text(t, why, by);
    leave(t, &l);
}

void dlm_task_stumble(struct dlm_task *t, const char *text)
{
    dlm_task_wait(t, "backoff", dlm_clock_wall() + 1000,
                  &(struct dlm_failure){.class_ = DLMGR_CLASS_LOCAL,
                                        .code = DLM_EXIT_UNKNOWN,
                                        .message = text},
                  NULL);
}

void dlm_task_disk(struct dlm_task *t, int stage, const dlmgr_error *e)
{
    bool full = e->code == DLMGR_ENOSPC;
    struct dlm_failure why = {.class_ = DLMGR_CLASS_LOCAL,
                              .code = full ? DLM_EXIT_DISK_FULL : DLM_EXIT_IO,
                              .stage = stage,
                              .message = e->text};

    if (full)
        dlm_task_wait(t, "storage", 0, &why, NULL);
    else
        dlm_task_fail(t, &why, NULL);
}

void dlm_task_halt(struct dlm_task *t, bool requeue)
{
    struct dlm_leave l = {.to = DLMGR_QUEUED, .halt = !requeue};

    if (!t->committing)
        leave(t, &l);
}

void dlm_task_disown(struct dlm_task *t, const char *what)
{
    dlm_log(t->set->log, DLMGR_LOG_ERROR, "task %lld cannot %s: %s", (long long)t->row.id, what,
            t->op.error.text);
    t->leave.forget = true;
    dlm_task_halt(t, false);
}

/* ---- Beginning ---------------------------------------------------------------------------------------- */

void dlm_tasks_init(struct dlm_tasks *set)
{
    dlm_gather_init(&set->creating, set->workers, 2, 64, dlm_task_create_round);
    dlm_gather_init(&set->syncing, set->workers, 1, 64, dlm_task_sync_round);
    dlm_gather_init(&set->moving, set->workers, 2, 256, dlm_task_move_round);
}

void dlm_task_adopt(struct dlm_tasks *set, struct dlm_task *t)
{
    t->set = set;
    t->next = set->head;
    t->at_link = &set->head;
    if (t->next)
        t->next->at_link = &t->next;
    set->head = t;
    set->n++;
    dlm_bucket_set(&t->bucket, t->opts.limit_rate, dlm_clock_mono());
}

static void open_work(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);
    struct dlm_expect expect = {.ident = t->row.ident.ino ? &t->row.ident : NULL,
                                .rows = t->blocks,
                                .n_rows = t->n_blocks,
                                .hints = t->hints,
                                .n_hints = t->n_hints,
                                .generation = t->row.generation,
                                .stop = &t->give_up};

    t->job_result = dlm_dir_get(t->set->dirs, t->row.dir, t->row.out, t->opts.create_dirs, &t->dir,
                                &t->job_error);
    if (t->job_result == 0)
        t->job_result = dlm_sink_open(t->dir, t->row.part, t->row.total, &expect, &t->made,
                                      &t->job_error);
}

/* Which counted blocks were not there again; 0 or DLMGR_ENOMEM. */
static int find_lost(struct dlm_task *t)
{
    t->lost = dlm_alloc(MAX(t->n_blocks, (size_t)1) * sizeof(*t->lost));
    if (!t->lost)
        return DLMGR_ENOMEM;
    for (size_t i = 0; i < t->n_blocks; i++) {
        uint32_t idx = t->blocks[i].idx;

        if (!t->sink || idx >= t->sink->n || t->sink->blocks[idx].len < t->blocks[i].len)
            t->lost[t->n_lost++] = idx;
        else
            t->rows_bytes += t->blocks[i].len;
    }
    return 0;
}

static int lost_work(struct dlm_store *s, struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);

    return dlm_store_uncount(s, t->row.id, t->row.generation, t->lost, t->n_lost, t->rows_bytes);
}

static void on_lost(struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);

    t->busy = false;
    if (!dlm_task_leaving(t))
        dlm_task_fetch(t);
}

static void on_opened(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);

    t->busy = false;
    t->sink = TAKE_PTR(t->made);
    if (dlm_task_leaving(t))
        return;
    if (!t->dir || (t->job_result < 0 && t->job_result != DLMGR_ENOTFOUND))
        return dlm_task_disk(t, DLMGR_STAGE_WRITE, &t->job_error);
    t->entry_synced = t->n_blocks > 0;
    if (find_lost(t) < 0)
        return dlm_task_stumble(t, "out of memory");
    free(TAKE_PTR(t->blocks));
    if (!t->n_lost)
        return dlm_task_fetch(t);
    dlm_log(t->set->log, DLMGR_LOG_WARNING,
            "task %lld: %zu MiB of its part were changed or lost and are fetched again",
            (long long)t->row.id, t->n_lost);
    dlm_task_op(t, lost_work, on_lost);
}

void dlm_task_start(struct dlm_task *t)
{
    t->speed_at = dlm_clock_mono();
    dlm_task_lap(t, DLM_METRICS);
    if (t->bad_opts)
        return dlm_task_fail(t,
                             &(struct dlm_failure){
                                 .class_ = DLMGR_CLASS_LOCAL,
                                 .code = DLM_EXIT_UNKNOWN,
                                 .message =
                                     "what was asked for cannot be read from the journal; remove the task and add it again"},
                             NULL);
    if (t->row.state == DLMGR_COMMITTING)
        return dlm_task_look(t);
    if (!t->n_blocks && !t->n_hints)
        return dlm_task_fetch(t);
    t->phase = DLM_PHASE_OPEN;
    dlm_task_job(t, open_work, on_opened, true);
}

/* ---- Being looked at ------------------------------------------------------------------------------------- */

bool dlm_task_is_active(const struct dlm_task *t)
{
    return t->phase == DLM_PHASE_READY || t->phase == DLM_PHASE_OPEN || t->n_connected > 0;
}

void dlm_task_tick(struct dlm_task *t, int64_t now)
{
    int64_t passed = now - t->speed_at;

    if (passed > 0) {
        int64_t rate = (t->received - t->speed_from) * 1000 / passed;

        /* Three seconds' memory: steady enough to read, quick enough to believe. */
        t->speed = t->speed ? (2 * t->speed + rate) / 3 : rate;
    }
    t->speed_from = t->received;
    t->speed_at = now;
    dlm_task_checkpoint(t);
    for (int i = 0; i < t->n_transfers; i++)
        if (dlm_transfer_tick(t->transfers[i], now))
            return; /* the list is another one now; the rest has its turn next time */
    if (t->phase != DLM_PHASE_FETCH || t->leave.wanted || t->beginner || t->busy ||
        now < t->retry_at)
        return;
    /* After a pause; or others have gone, and there is room at the host for one more connection. */
    if (t->retry_at || t->n_transfers > 0)
        dlm_task_fetch(t);
}
