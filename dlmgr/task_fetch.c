/* SPDX-License-Identifier: MIT */
/*
 * task_fetch.c - which connections a task has, and what their ends mean: see task.h.
 *
 * The first GET asks for the whole file. Once it is known how long the file is and which version, more connections may join, each for
 * a piece that plan.h cuts. When one of several fails the others go on, and it is tried again later; only the last one's failure is the
 * task's. Mirrors are tried in turn before a failure counts.
 */
#include "dlmgr/task.h"

#include "dlmgr/backoff.h"

#include <stdio.h>
#include <sys/random.h>

#define PROGRESS_MIN KIB(64) /* less than that between two troubles is none */

static void connect_more(struct dlm_task *t);

/* ---- What transfers ask and tell ------------------------------------------------------------------- */

static void on_have(struct dlm_transfer *tr, struct dlm_have *ret)
{
    const struct dlm_task *t = tr->owner;

    *ret = (struct dlm_have){.first = !t->recorded,
                             .total = t->row.total,
                             .bytes = t->sink ? t->sink->bytes : 0,
                             .validator = t->row.validator,
                             .offered = t->row.offered,
                             .digest_given = t->row.digest != NULL,
                             .other_source = t->opts.n_urls > 1 &&
                                             t->recorded_source != (int)tr->source};
}

/* Ranges do not work on this one, but another connection is bringing the file: nothing to restart for. */
static bool is_superfluous(const struct dlm_task *t, const struct dlm_transfer *tr)
{
    return tr->verdict.action == DLM_RESTART && !tr->verdict.changed && t->n_connected > 1;
}

static void on_judged(struct dlm_transfer *tr)
{
    struct dlm_task *t = tr->owner;

    if (t->doing == DLM_METRICS)
        dlm_task_lap(t, DLM_METRIC_TRANSFER);
    if (t->beginner || t->leave.wanted)
        return; /* it holds what comes, and is dropped with the rest */
    if (is_superfluous(t, tr)) {
        t->one_only = true;
        tr->unwanted = true;
        return;
    }
    if (t->recorded && t->sink && tr->verdict.action == DLM_TAKE) {
        if (t->sink->total < 0)
            t->sink->total = t->row.total = tr->verdict.total;
        dlm_transfer_go(tr, t->sink, t->row.id, t->row.generation);
    } else {
        dlm_task_begin(t, tr);
    }
}

static void disconnect(struct dlm_task *t, struct dlm_transfer *tr)
{
    if (!tr->connected)
        return;
    tr->connected = false;
    t->n_connected--;
    t->set->ops->connected(t->set->context, tr->given.origin, -1);
}

static void on_over(struct dlm_transfer *tr)
{
    disconnect(tr->owner, tr);
}

static void on_wrote(struct dlm_transfer *tr, size_t n)
{
    struct dlm_task *t = tr->owner;

    t->received += (int64_t)n;
    t->progress += (int64_t)n;
    if (t->sink->uncounted >= MIB(32))
        dlm_task_checkpoint(t);
}

static void add_times(struct dlm_metrics *m, const struct dlm_transfer *tr)
{
    m->us[DLM_METRIC_DNS] += tr->dns_us;
    m->us[DLM_METRIC_CONNECT] += tr->connect_us;
    m->us[DLM_METRIC_TLS] += tr->tls_us;
    m->us[DLM_METRIC_FIRST_BYTE] += tr->first_byte_us;
}

static void take_out(struct dlm_task *t, struct dlm_transfer *tr)
{
    add_times(&t->metrics, tr);
    for (int i = 0; i < t->n_transfers; i++) {
        if (t->transfers[i] == tr) {
            t->transfers[i] = t->transfers[--t->n_transfers];
            break;
        }
    }
    if (t->beginner == tr)
        t->beginner = NULL;
    disconnect(t, tr);
}

void dlm_task_drop(struct dlm_task *t, const struct dlm_transfer *but)
{
    for (int i = t->n_transfers - 1; i >= 0; i--) {
        struct dlm_transfer *tr = t->transfers[i];

        if (tr == but)
            continue;
        dlm_transfer_stop(tr);
        take_out(t, tr);
        dlm_transfer_free(tr);
    }
}

/* ---- Ends ---------------------------------------------------------------------------------------------- */

static void all_here(struct dlm_task *t, int64_t total)
{
    t->sink->total = t->row.total = total;
    dlm_task_drop(t, NULL);
    dlm_task_lap(t, DLM_METRIC_SYNC);
    dlm_task_finish(t);
}

/* A digest that came only now, with a part of the same version: of the whole all the same. */
static bool adopt_digest(struct dlm_task *t, const struct dlm_transfer *tr)
{
    if (!t->row.offered && tr->answer.digest[0])
        t->row.offered = dlm_strdup(tr->answer.digest);
    return t->row.offered || !tr->answer.digest[0];
}

static void came(struct dlm_task *t, struct dlm_transfer *tr)
{
    bool to_the_end = tr->stop < 0 && t->sink->total < 0;

    if (!adopt_digest(t, tr))
        return dlm_task_stumble(t, "out of memory");
    if (to_the_end) {
        t->row.unverified = tr->verdict.unverified && !t->row.offered;
        return all_here(t, tr->segment.pos);
    }
    dlm_task_fetch(t);
}

static int64_t backoff(const struct dlm_task *t, const struct dlm_verdict *v)
{
    uint32_t dice = 0;

    if (v->wait_ms >= 0)
        return v->wait_ms;
    if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) < 0)
        dice = (uint32_t)dlm_clock_mono();
    return dlm_backoff(MAX(t->attempts, 1), t->opts.retry_wait_ms, dice);
}

static struct dlm_failure failure(const struct dlm_verdict *v, const char *text)
{
    return (
        struct dlm_failure){.class_ = v->class_, .code = v->code, .stage = v->stage, .message = text};
}

static void give_up(struct dlm_task *t, const struct dlm_transfer *tr)
{
    const struct dlm_verdict *v = &tr->verdict;
    struct dlm_failure why = failure(v, v->text);
    char text[400];

    if (v->action != DLM_FAIL) {
        snprintf(text, sizeof(text), "%s; gave up after %lld tries", v->text,
                 (long long)t->attempts);
        why.message = text;
    }
    dlm_task_fail(t, &why, tr);
}

/* Another URL of the same file may do better. */
static bool next_source(struct dlm_task *t, const struct dlm_verdict *v)
{
    t->may_wait |= v->action == DLM_WAIT;
    if (t->sources_tried + 1 >= t->opts.n_urls || v->class_ == DLMGR_CLASS_LOCAL)
        return false;
    t->sources_tried++;
    t->source = (t->source + 1) % t->opts.n_urls;
    dlm_url_clear(&t->at);
    return true;
}

static void note_progress(struct dlm_task *t)
{
    if (t->progress >= PROGRESS_MIN) {
        t->attempts = 0;
        t->first_try_at = t->last_try_at;
        t->sources_tried = 0;
        t->may_wait = false;
    }
    t->progress = 0;
}

static void trouble(struct dlm_task *t, struct dlm_transfer *tr)
{
    const struct dlm_verdict *v = &tr->verdict;
    struct dlm_failure why = failure(v, v->text);

    if (t->n_transfers > 0) { /* the others go on */
        t->one_only |= v->action == DLM_FAIL;
        t->retry_at = dlm_clock_mono() + backoff(t, v);
        return;
    }
    note_progress(t);
    if (next_source(t, v))
        return dlm_task_fetch(t);
    t->attempts++;
    if ((v->action == DLM_WAIT || t->may_wait) && t->attempts < t->opts.max_tries)
        return dlm_task_wait(t, "backoff", dlm_clock_wall() + backoff(t, v), &why, tr);
    give_up(t, tr);
}

static void disk_trouble(struct dlm_task *t, const struct dlm_transfer *tr)
{
    dlmgr_error e = {0};

    errno = tr->disk_errno;
    dlm_fail_errno(&e, DLMGR_EIO, t->sink->part, "cannot write `%s/%s`", t->sink->dir->path,
                   t->sink->part);
    dlm_task_disk(t, DLMGR_STAGE_WRITE, &e);
}

/* Asked for a range, and the answer says that this way leads nowhere: the whole file, then. */
static void ask_whole(struct dlm_task *t, struct dlm_transfer *tr)
{
    const struct dlm_verdict *v = &tr->verdict;

    t->one_only |= !v->changed;
    if (t->n_transfers > 0 && !v->changed)
        return;
    dlm_task_drop(t, NULL);
    t->ask_whole = true;
    t->attempts++;
    if (t->attempts >= t->opts.max_tries || ++t->restarts > DLM_RESTARTS_MAX)
        return give_up(t, tr);
    dlm_task_fetch(t);
}

static void settle(struct dlm_task *t, struct dlm_transfer *tr)
{
    if (tr->disk_errno)
        disk_trouble(t, tr);
    else if (t->beginner)
        return; /* a new generation is on its way to the journal, and would have dropped this one */
    else if (tr->unwanted)
        dlm_task_fetch(t);
    else if (tr->verdict.action == DLM_TAKE)
        came(t, tr);
    else if (tr->verdict.action == DLM_COMPLETE)
        all_here(t, tr->verdict.total);
    else if (tr->verdict.action == DLM_RESTART || tr->verdict.action == DLM_REASK)
        ask_whole(t, tr);
    else
        trouble(t, tr);
}

static void on_ended(struct dlm_transfer *tr)
{
    struct dlm_task *t = tr->owner;

    take_out(t, tr);
    if (!t->leave.wanted)
        settle(t, tr);
    dlm_transfer_free(tr);
}

static const struct dlm_transfer_ops transfer_ops = {.have = on_have,
                                                     .judged = on_judged,
                                                     .over = on_over,
                                                     .ended = on_ended,
                                                     .wrote = on_wrote};

/* ---- Connecting -------------------------------------------------------------------------------------------- */

/* end -1: to the end of the file; ranged false: the whole of it. */
static int start_transfer(struct dlm_task *t, int64_t start, int64_t end, bool ranged,
                          dlmgr_error *e)
{
    struct dlm_transfer *tr = dlm_alloc(sizeof(*tr));
    struct dlm_url at = {0};
    int r;

    if (!tr)
        return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
    tr->env = &t->set->transfers;
    tr->ops = &transfer_ops;
    tr->owner = t;
    tr->opts = &t->opts;
    tr->source = t->source;
    tr->bucket = &t->bucket;
    tr->rules = dlm_rules_of(&t->set->transfers.bounds);
    tr->rules.max_size = t->opts.max_size;
    tr->rules.require_length = t->opts.require_length;
    tr->segment = (struct dlm_segment){.start = start, .pos = start, .end = end};
    tr->asked.ranged = ranged;
    tr->validator = dlm_strdup(t->row.validator);
    r = (!tr->validator && t->row.validator) || dlm_url_copy(&t->at, &at) < 0
            ? dlm_fail(e, DLMGR_ENOMEM, "out of memory")
            : 0;
    if (r == 0)
        r = dlm_transfer_start(tr, at.wire ? &at : NULL, e);
    dlm_url_clear(&at);
    if (r < 0) {
        dlm_transfer_free(tr);
        return r;
    }
    tr->connected = true;
    t->last_try_at = tr->answer.now;
    if (!t->first_try_at)
        t->first_try_at = t->last_try_at;
    t->transfers[t->n_transfers++] = tr;
    t->n_connected++;
    t->set->ops->connected(t->set->context, tr->given.origin, 1);
    return 0;
}

static bool may_range(const struct dlm_task *t)
{
    return t->recorded && t->sink && t->sink->bytes > 0 && !t->ask_whole &&
           (t->row.digest || dlm_validator_is_strong(t->row.validator));
}

/* How many connections it should have now. */
static int wanted(const struct dlm_task *t)
{
    if (t->one_only || t->ask_whole || !t->recorded || !t->sink)
        return 1;
    return dlm_plan_connections(t->sink->total, t->opts.connections,
                                dlm_validator_is_strong(t->row.validator), t->restarts);
}

static bool may_join(const struct dlm_task *t)
{
    return dlm_clock_mono() >= t->retry_at && t->sink && t->recorded &&
           t->set->ops->may_connect(t->set->context, dlm_task_origin(t));
}

/* The next piece; false: there is none, or not for another connection. */
static bool next_piece(struct dlm_task *t, struct dlm_cut *ret)
{
    struct dlm_segment active[DLM_CONNECTIONS_MAX];

    for (int i = 0; i < t->n_transfers; i++) {
        active[i] = t->transfers[i]->segment;
        active[i].pos += (int64_t)t->transfers[i]->n_held;
    }
    if (!dlm_plan_next(t->sink->blocks, t->sink->n, t->sink->total, active, t->n_transfers,
                       wanted(t), ret))
        return false;
    if (ret->victim >= 0)
        t->transfers[ret->victim]->segment.end = ret->start;
    return true;
}

/* What must be there before anything can be asked for is missing. */
static void could_not_ask(struct dlm_task *t, const dlmgr_error *e)
{
    struct dlm_failure why = {.class_ = DLMGR_CLASS_NEEDS_AUTH,
                              .code = DLM_EXIT_AUTH,
                              .message = e->text};

    if (e->class_ == DLMGR_CLASS_NEEDS_AUTH)
        dlm_task_fail(t, &why, NULL);
    else
        dlm_task_stumble(t, e->text);
}

static void connect_more(struct dlm_task *t)
{
    dlmgr_error e = {0};
    int r = 0;

    while (r == 0 && t->n_transfers < DLM_CONNECTIONS_MAX && !t->beginner) {
        struct dlm_cut cut;

        if (t->n_transfers == 0 && !may_range(t)) {
            r = start_transfer(t, 0, -1, false, &e);
            continue;
        }
        if (t->n_transfers > 0 && (t->n_transfers >= wanted(t) || !may_join(t)))
            return;
        if (!next_piece(t, &cut))
            return;
        r = start_transfer(t, cut.start, cut.end, true, &e);
    }
    if (r < 0 && t->n_transfers == 0)
        could_not_ask(t, &e);
}

void dlm_task_fetch(struct dlm_task *t)
{
    t->phase = DLM_PHASE_FETCH;
    if (t->beginner)
        return;
    if (t->sink && t->recorded && dlm_sink_complete(t->sink))
        return all_here(t, t->sink->total);
    connect_more(t);
    if (t->n_transfers == 0 && !t->leave.wanted)
        dlm_task_stumble(t, "nothing is left to ask for, and the file is not whole");
}

const char *dlm_task_origin(const struct dlm_task *t)
{
    return t->row.origin ? t->row.origin : "";
}
