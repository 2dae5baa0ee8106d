/* SPDX-License-Identifier: MIT */
/*
 * task_count.c - the checkpoint: bytes on the disk become bytes in the journal.
 *
 * Snapshot on the loop, sync on a worker, count on the journal thread, in this order: what the journal counts was in the snapshot, and the
 * snapshot was there when the sync began. The first one also syncs the directory, since a part without an entry is no part.
 */
#include "dlmgr/task.h"

int dlm_task_snapshot(struct dlm_task *t)
{
    struct dlm_block_row *rows;
    int r = dlm_sink_snapshot(t->sink, &rows, &t->n_rows);

    if (r < 0)
        return r;
    free(t->rows);
    t->rows = rows;
    t->rows_bytes = t->sink->bytes;
    t->rows_generation = t->row.generation;
    return 0;
}

int dlm_task_count_rows(struct dlm_store *s, struct dlm_task *t)
{
    int r = dlm_store_checkpoint(s, t->row.id, t->rows_generation, &t->rows_ident, t->rows,
                                 t->n_rows, t->rows_bytes);

    /* What the hints claimed is counted now, or was not true. */
    if (r == 0 && t->n_hints)
        r = dlm_store_hints_drop(s, t->row.id);
    return r;
}

static void sync_work(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, count_job);
    int r = t->entry_synced ? 0 : dlm_dir_sync(t->dir);

    t->count_result = r < 0 ? r : dlm_sink_sync(t->sink, &t->rows_ident);
}

static int count_work(struct dlm_store *s, struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, count_op);
    int r = dlm_task_count_rows(s, t);

    return r < 0 ? r : dlm_store_metrics(s, t->row.id, t->metrics_text);
}

static void count_ended(struct dlm_task *t)
{
    t->counting = false;
    if (dlm_task_leaving(t) || t->busy)
        return;
    if (t->create_next)
        dlm_task_begin(t, NULL);
    else if (t->phase == DLM_PHASE_FINISH)
        dlm_task_finish(t);
}

static void on_counted(struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, count_op);

    /* Refused for another generation: this one is history, and its bytes with it. */
    if (op->result == 0) {
        t->n_hints = 0;
        dlm_sink_counted(t->sink);
    }
    count_ended(t);
}

static void on_synced(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, count_job);
    dlmgr_error e = {0};

    if (t->count_result == 0) {
        t->entry_synced = true;
        dlm_task_lap(t, t->doing);
        dlm_task_measure(t, false);
        t->count_op.work = count_work;
        t->count_op.done = on_counted;
        dlm_journal_post(t->set->journal, &t->count_op);
        return;
    }
    /* The kernel may have dropped the pages: only what was counted before is believed. */
    errno = -t->count_result;
    dlm_fail_errno(&e, DLMGR_EIO, t->sink->part, "cannot sync `%s/%s`", t->sink->dir->path,
                   t->sink->part);
    t->counting = false;
    t->leave.forget = true;
    dlm_task_disk(t, DLMGR_STAGE_WRITE, &e);
}

void dlm_task_checkpoint(struct dlm_task *t)
{
    if (t->counting || t->phase != DLM_PHASE_FETCH || !t->sink || !t->sink->uncounted ||
        t->leave.wanted || t->beginner || dlm_task_snapshot(t) < 0)
        return;
    t->counting = true;
    t->count_job = (struct dlm_job){.work = sync_work, .done = on_synced};
    dlm_workers_submit(t->set->workers, &t->count_job);
}
