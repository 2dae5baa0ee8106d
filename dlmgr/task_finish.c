/* SPDX-License-Identifier: MIT */
/*
 * task_finish.c - from a whole part to a file at its name, step by step with the journal: see finish.h and task.h.
 *
 *     job  sync [verify when that is short] choose
 *     op   committing with the path                             or, with a digest of a large file:
 *     job  move                                                 op count + verifying, job verify + choose, op committing
 *     op   done
 *
 * Until the row says committing the task can still leave; from then on it ends in what really happened to the file. A name that somebody
 * else has by now (a task of ours: the journal says so; a stranger: the rename does) sends it back to choose.
 */
#include "dlmgr/task.h"

#include <stdio.h>

#define SHORT MIB(4)   /* verified together with the sync */
#define SMALL KIB(256) /* synced together with others */
#define LANES 8        /* rounds of syncs at once, file by file; together it is one at a time */

static void choose_again(struct dlm_task *t);

static const char *wanted_name(const struct dlm_task *t)
{
    const char *slash = t->row.out ? strrchr(t->row.out, '/') : NULL;

    return !t->row.out ? t->row.name : slash ? slash + 1 : t->row.out;
}

static void prepare(struct dlm_task *t)
{
    int fd = t->own_fd ? t->finish.fd : t->sink->fd;
    int n = t->finish.n;

    t->finish.dir = t->dir;
    t->finish.part = t->row.part;
    t->finish.fd = fd;
    t->finish.name = wanted_name(t);
    t->finish.digest = t->row.digest ? t->row.digest : t->row.offered;
    t->finish.offered = !t->row.digest;
    t->finish.on_exists = t->row.on_exists;
    t->finish.mask = t->row.mask;
    t->finish.stop = &t->give_up;
    t->finish.n = n;
}

/* What a step that did not succeed means for the task; stage: of one that had trouble with the disk. */
static void step_failed(struct dlm_task *t, int stage, int result)
{
    static const struct {
        int class_, code, stage;
    } kinds[] = {
        [DLM_FINISH_EXISTS] = {DLMGR_CLASS_POLICY, DLM_EXIT_EXISTS, DLMGR_STAGE_COMMIT},
        [DLM_FINISH_MISMATCH] = {DLMGR_CLASS_PERMANENT, DLM_EXIT_CHECKSUM, DLMGR_STAGE_VERIFY},
        [DLM_FINISH_VANISHED] = {DLMGR_CLASS_LOCAL, DLM_EXIT_UNKNOWN, DLMGR_STAGE_COMMIT},
    };
    const dlmgr_error *e = &t->finish.error;

    t->committing = false;
    if (result < 0 || result >= (int)ARRAY_SIZE(kinds) || !kinds[result].code)
        return dlm_task_disk(t, stage, e);
    t->leave.worthless |= result == DLM_FINISH_MISMATCH;
    t->leave.forget |= result == DLM_FINISH_VANISHED;
    dlm_task_fail(t,
                  &(struct dlm_failure){.class_ = kinds[result].class_,
                                        .code = kinds[result].code,
                                        .stage = kinds[result].stage,
                                        .message = e->text},
                  NULL);
}

/* ---- done --------------------------------------------------------------------------------------- */

static int done_work(struct dlm_store *s, struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);
    struct dlm_move m = {.id = t->row.id,
                         .to = DLMGR_DONE,
                         .path = t->finish.path,
                         .bytes = t->finish.ident.size,
                         .total = t->finish.ident.size,
                         .attempts = -1,
                         .metrics = t->metrics_text};

    return dlm_store_move(s, &m, NULL);
}

static void on_done(struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);

    t->busy = false;
    if (op->result < 0)
        dlm_log(t->set->log, DLMGR_LOG_ERROR, "task %lld cannot be done: %s", (long long)t->row.id,
                op->error.text);
    dlm_task_remove(t);
}

/* It has its name. */
static void finished(struct dlm_task *t)
{
    dlm_task_lap(t, DLM_METRICS);
    dlm_task_measure(t, true);
    dlm_task_op(t, done_work, on_done);
}

/* ---- move ------------------------------------------------------------------------------------------ */

/* One sync of a directory serves the files of a round that stand in it one after the other, and fails for all of them. */
static void settle_round(struct dlm_job *round)
{
    const struct dlm_task *last = NULL;

    for (struct dlm_job *job = round; job; job = job->next) {
        struct dlm_task *t = container_of(job, struct dlm_task, job);

        if (t->job_result != DLM_FINISH_OK)
            continue;
        if (last && last->dir == t->dir) {
            t->job_result = last->job_result;
            t->finish.error = last->finish.error;
        } else {
            t->job_result = dlm_finish_settle(&t->finish);
        }
        last = t;
    }
}

void dlm_task_move_round(struct dlm_job *round)
{
    for (struct dlm_job *job = round; job; job = job->next) {
        struct dlm_task *t = container_of(job, struct dlm_task, job);

        t->job_result = dlm_finish_move(&t->finish);
    }
    settle_round(round);
}

/* Some step of the move failed: whether the file has its name by now decides, not what we intended. */
static void look_again(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);
    dlmgr_error first = t->finish.error;
    bool moved = false;
    int r = dlm_finish_look(&t->finish, &moved);

    t->job_result = r == DLM_FINISH_OK && moved ? DLM_FINISH_OK : DLM_FINISH_TROUBLE;
    t->finish.error = first;
}

static void on_looked_again(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);

    t->busy = false;
    if (t->job_result == DLM_FINISH_OK)
        return finished(t);
    t->entry_synced = false; /* the part may have had another name for a while */
    step_failed(t, DLMGR_STAGE_COMMIT, DLM_FINISH_TROUBLE);
}

static void on_moved(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);

    t->busy = false;
    if (t->job_result == DLM_FINISH_OK)
        return finished(t);
    if (t->job_result == DLM_FINISH_TAKEN)
        return choose_again(t);
    if (t->job_result == DLM_FINISH_TROUBLE)
        return dlm_task_job(t, look_again, on_looked_again, true);
    step_failed(t, DLMGR_STAGE_COMMIT, t->job_result);
}

/* ---- committing ------------------------------------------------------------------------------------ */

static int commit_work(struct dlm_store *s, struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);
    struct dlm_move m = {.id = t->row.id,
                         .to = DLMGR_COMMITTING,
                         .path = t->finish.path,
                         .ident = &t->finish.ident,
                         .bytes = -1,
                         .total = t->finish.ident.size,
                         .attempts = t->attempts,
                         .unverified = t->row.unverified};

    return dlm_store_move(s, &m, NULL);
}

static void on_committing(struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);

    t->busy = false;
    if (op->result == 0) {
        t->row.state = DLMGR_COMMITTING;
        return dlm_task_gather(t, &t->set->moving, on_moved);
    }
    if (op->result == DLMGR_EEXIST && t->row.on_exists != DLMGR_EXISTS_FAIL) {
        /* Another task of ours is about to have that name. One that replaces or compares must see what becomes of it. */
        if (t->row.on_exists == DLMGR_EXISTS_DEFAULT || t->row.on_exists == DLMGR_EXISTS_RENAME)
            t->finish.n++;
        return choose_again(t);
    }
    t->committing = t->row.state == DLMGR_COMMITTING;
    snprintf(t->finish.error.text, sizeof(t->finish.error.text),
             "another task is putting a file at `%.300s`", t->finish.path);
    if (op->result == DLMGR_EEXIST)
        return step_failed(t, DLMGR_STAGE_COMMIT, DLM_FINISH_EXISTS);
    t->committing = false;
    dlm_task_disown(t, "commit");
}

static void commit(struct dlm_task *t)
{
    if (dlm_task_leaving(t))
        return;
    t->committing = true;
    if (t->doing != DLM_METRIC_COMMIT)
        dlm_task_lap(t, DLM_METRIC_COMMIT);
    dlm_task_op(t, commit_work, on_committing);
}

/* ---- choose ------------------------------------------------------------------------------------------ */

static void choose_work(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);

    t->job_result = dlm_finish_choose(&t->finish);
}

static void on_chosen(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);

    t->busy = false;
    if (t->job_result != DLM_FINISH_OK)
        return step_failed(t,
                           t->row.state == DLMGR_VERIFYING ? DLMGR_STAGE_VERIFY : DLMGR_STAGE_COMMIT,
                           t->job_result);
    commit(t);
}

static void choose_again(struct dlm_task *t)
{
    dlm_task_job(t, choose_work, on_chosen, t->row.on_exists == DLMGR_EXISTS_SAME);
}

/* ---- sync and verify ------------------------------------------------------------------------------------ */

static void verify_work(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);

    t->job_result = dlm_finish_verify(&t->finish, t->row.total);
    if (t->job_result == DLM_FINISH_OK)
        t->job_result = dlm_finish_choose(&t->finish);
}

static int verifying_work(struct dlm_store *s, struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);
    struct dlm_move m = {.id = t->row.id,
                         .to = DLMGR_VERIFYING,
                         .bytes = -1,
                         .total = t->finish.ident.size,
                         .attempts = t->attempts,
                         .unverified = t->row.unverified};
    int r = t->rows ? dlm_task_count_rows(s, t) : 0;

    return r < 0 ? r : dlm_store_move(s, &m, NULL);
}

static void on_verifying(struct dlm_op *op)
{
    struct dlm_task *t = container_of(op, struct dlm_task, op);

    t->busy = false;
    if (op->result < 0)
        return dlm_task_disown(t, "be verified");
    t->row.state = DLMGR_VERIFYING;
    if (!dlm_task_leaving(t))
        dlm_task_job(t, verify_work, on_chosen, true);
}

static bool is_long(const struct dlm_task *t)
{
    return (t->row.digest || t->row.offered || t->row.on_exists == DLMGR_EXISTS_SAME) &&
           t->row.total > SHORT;
}

/* Several, all on one file system. */
static bool is_crowd(struct dlm_job *round)
{
    dev_t dev = container_of(round, struct dlm_task, job)->dir->dev;

    for (struct dlm_job *job = round->next; job; job = job->next)
        if (container_of(job, struct dlm_task, job)->dir->dev != dev)
            return false;
    return round->next != NULL;
}

/* One sync for all of them, and for their names. */
static bool sync_together(struct dlm_job *round)
{
    struct dlm_task *first = container_of(round, struct dlm_task, job);

    if (!is_crowd(round) || !dlm_together_sync(&first->set->together, first->finish.fd))
        return false;
    for (struct dlm_job *job = round; job; job = job->next) {
        struct dlm_task *t = container_of(job, struct dlm_task, job);

        t->job_result = dlm_finish_identify(&t->finish);
    }
    return true;
}

static void sync_each(struct dlm_job *round)
{
    /* All are being written before the first is waited for. */
    for (struct dlm_job *job = round; job; job = job->next)
        dlm_finish_hasten(&container_of(job, struct dlm_task, job)->finish);
    for (struct dlm_job *job = round; job; job = job->next) {
        struct dlm_task *t = container_of(job, struct dlm_task, job);

        t->job_result = dlm_finish_sync(&t->finish);
    }
    settle_round(round);
}

void dlm_task_sync_round(struct dlm_job *round)
{
    if (!sync_together(round))
        sync_each(round);
    for (struct dlm_job *job = round; job; job = job->next) {
        struct dlm_task *t = container_of(job, struct dlm_task, job);

        if (t->job_result == DLM_FINISH_OK && !is_long(t))
            verify_work(job);
    }
}

static void sync_alone(struct dlm_job *job)
{
    dlm_task_sync_round(job); /* not in a list */
}

static void on_synced(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);

    t->busy = false;
    if (t->job_result != DLM_FINISH_OK) {
        /* Perhaps it was the sync: what that covered must not be counted. */
        t->leave.forget = t->job_result == DLM_FINISH_TROUBLE;
        return step_failed(t, DLMGR_STAGE_WRITE, t->job_result);
    }
    t->entry_synced = true;
    if (!is_long(t))
        return commit(t);
    /* The sync covers what was written before it began, and nothing has been written since. */
    if (t->rows)
        t->rows_ident = t->finish.ident;
    dlm_task_lap(t, DLM_METRIC_VERIFY);
    dlm_task_op(t, verifying_work, on_verifying);
}

void dlm_task_finish(struct dlm_task *t)
{
    t->phase = DLM_PHASE_FINISH;
    if (t->counting)
        return; /* count_ended() comes back here */
    prepare(t);
    free(TAKE_PTR(t->rows));
    if (is_long(t) && t->sink->uncounted && dlm_task_snapshot(t) < 0)
        return dlm_task_stumble(t, "out of memory");
    t->set->syncing.rounds = dlm_together_usable(&t->set->together) ? 1 : LANES;
    if (t->sink->bytes <= SMALL)
        dlm_task_gather(t, &t->set->syncing, on_synced);
    else
        dlm_task_job(t, sync_alone, on_synced, false);
}

/* ---- After a crash ------------------------------------------------------------------------------------------ */

static void look_work(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);
    bool moved = false;

    t->job_result = dlm_dir_get(t->set->dirs, t->row.dir, t->row.out, t->opts.create_dirs, &t->dir,
                                &t->finish.error);
    if (t->job_result < 0) {
        t->job_result = DLM_FINISH_TROUBLE;
        return;
    }
    prepare(t);
    t->finish.ident = t->row.ident;
    t->job_result = dlm_finish_look(&t->finish, &moved);
    t->moved = moved;
    if (t->job_result == DLM_FINISH_OK && !moved)
        t->job_result = dlm_finish_choose(&t->finish);
}

static void on_looked(struct dlm_job *job)
{
    struct dlm_task *t = container_of(job, struct dlm_task, job);

    t->busy = false;
    if (t->job_result != DLM_FINISH_OK)
        return step_failed(t, DLMGR_STAGE_COMMIT, t->job_result);
    if (t->moved)
        finished(t);
    else
        commit(t);
}

void dlm_task_look(struct dlm_task *t)
{
    const char *slash = t->row.path ? strrchr(t->row.path, '/') : NULL;

    t->phase = DLM_PHASE_FINISH;
    dlm_task_lap(t, DLM_METRIC_COMMIT);
    t->committing = t->own_fd = true;
    t->finish.fd = -1;
    snprintf(t->finish.chosen, sizeof(t->finish.chosen), "%s", slash ? slash + 1 : "");
    snprintf(t->finish.path, sizeof(t->finish.path), "%s", t->row.path ? t->row.path : "");
    dlm_task_job(t, look_work, on_looked, false);
}
