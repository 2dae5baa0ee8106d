/* SPDX-License-Identifier: MIT */
/*
 * task_load.c - a row becomes a task in memory, and the memory is given back: see task.h.
 *
 * Loading runs on the journal thread, in the transaction that takes the row, so that what it reads belongs together. Options that
 * cannot be read are the task's own trouble: it is loaded, and fails when it is started.
 */
#include "dlmgr/task.h"

static int load_opts(struct dlm_store *s, struct dlm_task *t)
{
    CLEANUP_FREE char *secret = NULL;
    int r = dlm_store_sources(s, t->row.id, &t->urls, &t->n_urls);

    if (r == 0 && t->row.secret) {
        r = dlm_store_secret(s, t->row.secret, &secret);
        if (r == DLMGR_ENOTFOUND) {
            t->bad_opts = true;
            return 0;
        }
    }
    if (r == 0) {
        r = dlm_opts_load(t->row.options, secret, t->urls, t->n_urls, &t->opts);
        if (r == DLMGR_EJOURNAL) {
            t->bad_opts = true;
            r = 0;
        }
    }
    return r;
}

/* What the row knows of earlier runs, and since when it is not at work; a row in committing never left it. */
static void load_metrics(struct dlm_task *t)
{
    int64_t from = t->row.created_at;

    if (t->row.metrics) {
        dlm_metrics_read(t->row.metrics, &t->metrics);
        from = t->metrics.left_at;
    }
    t->doing = t->row.state == DLMGR_COMMITTING ? DLM_METRICS : DLM_METRIC_QUEUE;
    t->since = dlm_clock_us();
    if (from > 0)
        t->since -= MAX(dlm_clock_wall() - from, 0) * 1000;
}

int dlm_task_load(struct dlm_store *s, struct dlm_row *row, struct dlm_task **ret)
{
    struct dlm_task *t = dlm_alloc(sizeof(*t));
    int r;

    if (!t) {
        dlm_row_clear(row);
        return DLMGR_ENOMEM;
    }
    t->row = *row;
    *row = (struct dlm_row){0};
    load_metrics(t);
    t->finish.fd = -1;
    t->recorded = t->row.part != NULL;
    t->recorded_source = -1;
    t->attempts = t->row.attempts;
    if (t->attempts > 0)
        t->first_try_at = dlm_failure_first_try(t->row.error);
    r = load_opts(s, t);
    if (r == 0 && t->recorded)
        r = dlm_store_blocks(s, t->row.id, &t->blocks, &t->n_blocks);
    if (r == 0 && t->recorded)
        r = dlm_store_hints(s, t->row.id, &t->hints, &t->n_hints);
    if (r < 0) {
        dlm_task_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

struct dlm_task *dlm_task_free(struct dlm_task *t)
{
    if (!t)
        return NULL;
    for (size_t i = 0; i < t->n_urls; i++)
        free(t->urls[i]);
    free(t->urls);
    dlm_row_clear(&t->row);
    dlm_opts_clear(&t->opts);
    dlm_url_clear(&t->at);
    free(t->blocks);
    free(t->hints);
    free(t->lost);
    free(t->rows);
    free(t->leave.error);
    free(t->begin.url);
    if (t->own_fd && t->finish.fd >= 0)
        close(t->finish.fd);
    dlm_sink_free(t->made);
    dlm_sink_free(t->sink);
    dlm_dir_put(t->dir);
    free(t);
    return NULL;
}
