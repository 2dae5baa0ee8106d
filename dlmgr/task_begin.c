/* SPDX-License-Identifier: MIT */
/*
 * task_begin.c - a generation begins: the row first, then an empty part, then bytes: see task.h.
 *
 * Called by the transfer whose answer is the (new) version, from inside libcurl; it holds its body meanwhile. All other connections are
 * dropped once the row is durable, for what they bring belongs to another version. A generation that the journal knows already, but
 * whose part has no bytes, only needs its part.
 */
#include "dlmgr/task.h"

#include <stdio.h>

static int begin_work(struct dlm_store *s, struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);
    const struct dlm_beginning *b = &t->begin;
    struct dlm_begin row = {.id = t->row.id,
                            .bump = b->bump,
                            .reason = b->reason[0] ? b->reason : NULL,
                            .validator = b->validator[0] ? b->validator : NULL,
                            .total = b->total,
                            .name = b->name,
                            .part = b->part,
                            .url = b->url,
                            .offered = b->offered[0] ? b->offered : NULL};

    return dlm_store_begin_generation(s, &row, &t->begin.generation);
}

static void create_part(struct dlm_task *t)
{
    t->job_result = t->dir ? 0
                           : dlm_dir_get(t->set->dirs, t->row.dir, t->row.out, t->opts.create_dirs,
                                         &t->dir, &t->job_error);
    if (t->job_result == 0)
        t->job_result = dlm_sink_create(t->dir, t->row.part, t->row.total, &t->made, &t->job_error);
}

void dlm_task_create_round(struct dlm_job *round)
{
    for (struct dlm_job *job = round; job; job = job->next)
        create_part(container_of(job, struct dlm_task, job));
}

static void on_created(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);
    struct dlm_transfer *by;

    t->busy = false;
    t->sink = TAKE_PTR(t->made);
    t->create_next = t->job_result < 0;
    if (dlm_task_leaving(t))
        return;
    if (t->job_result < 0)
        return dlm_task_disk(t, DLMGR_STAGE_WRITE, &t->job_error);
    t->entry_synced = false;
    by = TAKE_PTR(t->beginner);
    if (by)
        dlm_transfer_go(by, t->sink, t->row.id, t->row.generation);
    if (t->phase == DLM_PHASE_FETCH && !t->leave.wanted)
        dlm_task_fetch(t);
}

static void create(struct dlm_task *t)
{
    t->create_next = true;
    if (t->counting)
        return; /* the old part is being synced: count_ended() comes back here */
    t->sink = dlm_sink_free(t->sink);
    dlm_task_gather(t, &t->set->creating, on_created);
}

static bool adopt_row(struct dlm_task *t)
{
    struct dlm_beginning *b = &t->begin;
    struct dlm_row *row = &t->row;

    free(row->validator);
    free(row->offered);
    free(row->name);
    free(row->part);
    row->validator = b->validator[0] ? dlm_strdup(b->validator) : NULL;
    row->offered = b->offered[0] ? dlm_strdup(b->offered) : NULL;
    row->unverified = 0;
    row->name = dlm_strdup(b->name);
    row->part = dlm_strdup(b->part);
    row->total = b->total;
    row->generation = b->generation;
    t->recorded = true;
    t->n_hints = 0;
    return row->name && row->part && (row->validator || !b->validator[0]) &&
           (row->offered || !b->offered[0]);
}

static void on_begun(struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);

    t->busy = false;
    if (op->result < 0)
        return dlm_task_disown(t, "begin");
    t->create_next = true; /* what the sink has is of the old generation */
    if (!adopt_row(t))
        return dlm_task_stumble(t, "out of memory");
    if (dlm_task_leaving(t))
        return;
    t->ask_whole = false;
    t->restarts += t->begin.bump;
    if (t->begin.bump && t->sink)
        t->progress =
            -t->sink->bytes; /* to be where we were is no progress, or a server could make us begin for ever */
    t->recorded_source = (int)t->beginner->source;
    dlm_task_drop(t, t->beginner);
    create(t);
}

static void choose_name(const struct dlm_task *t, const struct dlm_transfer *by,
                        char out[DLM_NAME_SIZE])
{
    const char *slash = t->row.out ? strrchr(t->row.out, '/') : NULL;

    if (t->row.out)
        snprintf(out, DLM_NAME_SIZE, "%s", slash ? slash + 1 : t->row.out);
    else if (by->answer.filename[0])
        snprintf(out, DLM_NAME_SIZE, "%s", by->answer.filename);
    else
        dlm_name_from_url(by->given.wire, out);
}

/* What the journal is to be told. */
static void describe(struct dlm_task *t, struct dlm_transfer *by)
{
    struct dlm_beginning *b = &t->begin;

    free(b->url);
    *b = (struct dlm_beginning){.bump = by->verdict.action == DLM_RESTART,
                                .total = by->verdict.total};
    if (b->bump)
        snprintf(b->reason, sizeof(b->reason), "%s", by->verdict.text);
    dlm_answer_validator(&by->answer, b->validator);
    memcpy(b->offered, by->answer.digest, sizeof(b->offered));
    choose_name(t, by, b->name);
    dlm_name_part(b->name, t->row.id, t->set->tag, b->part);
    if (by->hops > 0)
        b->url = dlm_url_redact(by->at.wire, NULL);
}

/* The next request goes there at once, while that answers. */
static void remember_target(struct dlm_task *t, struct dlm_transfer *by)
{
    dlm_url_clear(&t->at);
    if (by->hops == 0)
        return;
    /* Without memory for it the given URL is asked again, which is only slower. */
    dlm_url_copy(&by->at, &t->at);
}

/* Is the server's digest still the one that the journal has? While there are no bytes, its newer word replaces the older. */
static bool same_offer(const struct dlm_task *t, const struct dlm_transfer *by)
{
    return strcmp(t->row.offered ? t->row.offered : "", by->answer.digest) == 0;
}

void dlm_task_begin(struct dlm_task *t, struct dlm_transfer *by)
{
    if (!by)
        return create(t);
    t->beginner = by;
    remember_target(t, by);
    if (t->recorded && by->verdict.action == DLM_TAKE && same_offer(t, by))
        return create(t);
    describe(t, by);
    dlm_task_op(t, begin_work, on_begun);
}
