/* SPDX-License-Identifier: MIT */
/*
 * engine_request.c - how the engine answers the methods of methods.h.
 *
 *     READ    a worker runs it on the reading connection; what only memory knows is laid over the answer
 *     WRITE   the journal's thread runs it; the answer leaves once it is durable
 *     ENGINE  answered here
 *
 * A change that would pull the ground from under tasks at work (pause, cancel, remove, set) first has them halted: connections dropped,
 * bytes counted, the row still as it was. Then it runs, and what it left in `running` goes back to the queue. A taking under way is
 * waited for, since its tasks are neither in the queue nor at work.
 */
#include "dlmgr/engine_internal.h"
#include "dlmgr/hello.h"

#include "dlmgr/json.h"

struct dlm_serving {
    struct dlm_engine *engine;
    const struct dlm_method *method;
    json_t *params, *result;
    dlm_reply_fn reply; /* NULL once it was called */
    void *context;
    int code;
    dlmgr_error error;
    struct dlm_op op;
    struct dlm_job job;
    bool deferred;
    int halting; /* tasks that have not left yet, and one more while they are being looked for */
    int64_t *halted;
    size_t n_halted;
    struct dlm_serving *next;
};

static void answer(struct dlm_serving *q)
{
    dlm_reply_fn reply = TAKE_PTR(q->reply);

    if (!reply)
        json_decref(q->result);
    else if (q->code < 0)
        reply(q->context, q->code, NULL, &q->error);
    else
        reply(q->context, q->code, q->result, NULL);
    q->result = NULL;
}

static void serving_free(struct dlm_serving *q)
{
    json_decref(q->params);
    json_decref(q->result);
    free(q->halted);
    free(q);
}

static void finish(struct dlm_serving *q)
{
    struct dlm_serving **at = &q->engine->serving;

    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    answer(q);
    serving_free(q);
}

static void refuse(dlm_reply_fn reply, void *context, int code, const char *text)
{
    dlmgr_error error = {0};

    reply(context, dlm_fail(&error, code, "%s", text), NULL, &error);
}

/* ---- What only memory knows --------------------------------------------------------------------------- */

static void overlay(struct dlm_engine *e, json_t *task)
{
    struct dlm_task *t;

    if (json_is_null(json_object_get(task, "id")) ||
        !(t = dlm_sched_find(&e->sched, dlm_json_int(task, "id", 0))))
        return;
    if (t->sink)
        json_object_set_new(task, "bytes_done",
                            json_integer(MAX(t->sink->bytes, dlm_json_int(task, "bytes_done", 0))));
    json_object_set_new(task, "speed", json_integer(t->n_connected > 0 ? t->speed : 0));
    json_object_set_new(task, "connections", json_integer(t->n_connected));
}

static void overlay_holder(struct dlm_engine *e, json_t *session)
{
    int pid = dlm_engine_holder(e, dlm_json_string(session, "name"));

    if (pid)
        json_object_set_new(session, "holder", json_integer(pid));
}

static bool is_at_work(const json_t *task)
{
    const char *state = dlm_json_string(task, "state");

    return state && (!strcmp(state, "running") || !strcmp(state, "verifying") ||
                     !strcmp(state, "committing"));
}

static void overlay_all(struct dlm_engine *e, json_t *result)
{
    json_t *tasks = json_object_get(result, "tasks"), *task;
    size_t i;

    if (is_at_work(result))
        overlay(e, result);
    json_array_foreach (tasks, i, task)
        if (is_at_work(task))
            overlay(e, task);
    json_array_foreach (json_object_get(result, "sessions"), i, task)
        overlay_holder(e, task);
    if (json_object_get(result, "on_event"))
        overlay_holder(e, result);
    if (json_object_get(result, "owner_pid")) {
        json_object_set_new(result, "owner_pid", json_integer(getpid()));
        json_object_set_new(result, "first_failure", json_integer(e->sched.first_failure));
    }
}

/* ---- Reading -------------------------------------------------------------------------------------------- */

int dlm_engine_read(struct dlm_engine *e, const struct dlm_method *method, const json_t *params,
                    json_t **ret_result, dlmgr_error *error)
{
    int r;

    pthread_mutex_lock(&e->reader_lock);
    r = method->work(e->reader, params, ret_result, error);
    pthread_mutex_unlock(&e->reader_lock);
    return r;
}

static void read_work(struct dlm_job *job)
{
    struct dlm_serving *q = container_of(job, struct dlm_serving, job);

    q->code = dlm_engine_read(q->engine, q->method, q->params, &q->result, &q->error);
}

static void on_read(struct dlm_job *job)
{
    struct dlm_serving *q = container_of(job, struct dlm_serving, job);

    if (q->code >= 0)
        overlay_all(q->engine, q->result);
    finish(q);
}

/* ---- Writing ----------------------------------------------------------------------------------------------- */

static int requeue_halted(struct dlm_store *s, const struct dlm_serving *q)
{
    int r = 0;

    for (size_t i = 0; i < q->n_halted && r == 0; i++) {
        struct dlm_row row = {0};
        struct dlm_move m = {.id = q->halted[i],
                             .to = DLMGR_QUEUED,
                             .bytes = -1,
                             .total = -1,
                             .attempts = -1};

        r = dlm_store_get(s, q->halted[i], &row);
        if (r == 0 && (row.state == DLMGR_RUNNING || row.state == DLMGR_VERIFYING))
            r = dlm_store_move(s, &m, NULL);
        else if (r == DLMGR_ENOTFOUND)
            r = 0; /* removed */
        dlm_row_clear(&row);
    }
    return r;
}

/* A refusal undoes the method's changes alone: what it halted goes on all the same. */
static int write_work(struct dlm_store *s, struct dlm_op *op)
{
    struct dlm_serving *q = container_of(op, struct dlm_serving, op);
    int r;

    if (!q->op.request)
        return requeue_halted(s, q);
    json_decref(TAKE_PTR(q->result)); /* of a batch that could not commit */
    q->error = (dlmgr_error){0};
    r = dlm_store_savepoint(s);
    if (r < 0)
        return r;
    q->code = q->method->work(s, q->params, &q->result, &q->error);
    if (q->code < 0 && !q->error.code)
        dlm_store_error(s, q->code, &q->error);
    dlm_store_release(s, q->code >= 0);
    if (q->code == DLMGR_ENOSPC || q->code == DLMGR_EIO)
        return q->code; /* the whole batch waits for the disk */
    return requeue_halted(s, q);
}

static void unlink_work(struct dlm_job *job)
{
    dlm_parts_unlink(container_of(job, struct dlm_serving, job)->result);
}

static void on_unlinked(struct dlm_job *job)
{
    finish(container_of(job, struct dlm_serving, job));
}

static void on_written(struct dlm_op *op)
{
    struct dlm_serving *q = container_of(op, struct dlm_serving, op);
    struct dlm_engine *e = q->engine;

    if (op->result < 0 && (q->code >= 0 || !q->error.code)) {
        q->code = op->result;
        q->error = op->error;
        json_decref(TAKE_PTR(q->result));
    }
    if (op->result < 0 && op->request && q->n_halted > 0) {
        answer(q);
        q->op.request = false; /* what it halted goes back to the queue, as soon as that can be stored */
        dlm_journal_post(e->journal, &q->op);
        return;
    }
    if (q->method->wakes || q->n_halted) {
        e->sched.more = true;
        dlm_sched_wake(&e->sched);
        dlm_engine_wait_look(e);
        dlm_engine_tell(e); /* not all that changes a task is an event */
    }
    if (q->code >= 0 && json_object_get(q->result, "parts")) {
        q->job = (struct dlm_job){.work = unlink_work, .done = on_unlinked};
        dlm_workers_submit(e->workers, &q->job);
        return;
    }
    finish(q);
}

/* ---- Halting ------------------------------------------------------------------------------------------------ */

static void halted_one(void *context)
{
    struct dlm_serving *q = context;

    if (--q->halting > 0)
        return;
    q->op = (struct dlm_op){.work = write_work, .done = on_written, .request = true};
    dlm_journal_post(q->engine->journal, &q->op);
}

static bool concerns(const struct dlm_serving *q, const struct dlm_task *t)
{
    const char *key = dlm_json_string(q->params, "key"),
               *session = dlm_json_string(q->params, "session");

    if (json_object_get(q->params, "action"))
        return dlm_selector_matches(q->params, t->row.id, t->row.state, t->row.session);
    if (key)
        return t->row.key && !strcmp(key, t->row.key) &&
               !strcmp(session ? session : "default", t->row.session);
    return dlm_json_int(q->params, "id", 0) == t->row.id;
}

static void halt(struct dlm_serving *q)
{
    struct dlm_sched *s = &q->engine->sched;

    q->halting = 1;
    q->halted = dlm_alloc((size_t)MAX(s->tasks.n, 1) * sizeof(*q->halted));
    for (struct dlm_task *t = s->tasks.head, *next; t && q->halted; t = next) {
        next = t->next;
        if (t->committing || t->gone || !concerns(q, t))
            continue;
        t->gone = halted_one;
        t->gone_context = q;
        q->halting++;
        if (!t->leave.wanted)
            q->halted[q->n_halted++] = t->row.id;
        dlm_task_halt(t, false);
    }
    halted_one(q);
}

static void serve_write(struct dlm_serving *q)
{
    q->deferred = q->engine->sched.taking && dlm_method_halts(q->method, q->params);
    if (q->deferred)
        return;
    if (dlm_method_halts(q->method, q->params))
        return halt(q);
    q->halting = 1;
    halted_one(q);
}

void dlm_engine_serve_deferred(struct dlm_engine *e)
{
    for (struct dlm_serving *q = e->serving, *next; q; q = next) {
        next = q->next;
        if (q->deferred)
            serve_write(q);
    }
}

/* ---- What the engine answers itself ---------------------------------------------------------------------------- */

static json_t *status_json(struct dlm_engine *e)
{
    struct dlm_range speaks = dlm_hello_self().range;
    int connections = 0;

    for (const struct dlm_task *t = e->sched.tasks.head; t; t = t->next)
        connections += t->n_connected;
    return json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:i, s:I, s:b}", "pid",
                     (int)getpid(), "version", dlmgr_version(), "protocol_oldest",
                     (json_int_t)speaks.oldest, "protocol_newest", (json_int_t)speaks.newest,
                     "started_at", (json_int_t)e->started_at, "tasks_at_work",
                     (json_int_t)e->sched.tasks.n, "connections", connections, "started",
                     (json_int_t)e->sched.started, "failed", (json_int_t)e->sched.failed,
                     "first_failure", e->sched.first_failure, "commit_longest_us",
                     (json_int_t)dlm_journal_longest(e->journal), "journal_stuck",
                     (int)dlm_journal_stuck(e->journal));
}

static void serve_status(struct dlm_engine *e, json_t *params, dlm_reply_fn reply, void *context)
{
    json_t *result = status_json(e);

    json_decref(params);
    if (result)
        reply(context, 0, result, NULL);
    else
        refuse(reply, context, DLMGR_ENOMEM, "out of memory");
}

static void serve_hello(struct dlm_engine *e, json_t *params, dlm_reply_fn reply, void *context)
{
    serve_status(e, params, reply, context);
}

/* The embedding program sees the wish and closes the handle. */
static void serve_stop(struct dlm_engine *e, json_t *params, dlm_reply_fn reply, void *context)
{
    uint64_t one = 1;

    atomic_store(&e->stop_asked, true);
    if (write(e->news_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        dlm_log(&e->log, DLMGR_LOG_ERROR, "cannot announce the wish to stop: %s", strerror(errno));
    serve_status(e, params, reply, context);
}

static const struct {
    const char *name;
    void (*serve)(struct dlm_engine *e, json_t *params, dlm_reply_fn reply, void *context);
} own[] = {{"wait", dlm_engine_wait},
           {"stop", serve_stop},
           {"status", serve_status},
           {"hello", serve_hello}};

static void serve_own(struct dlm_engine *e, const char *name, json_t *params, dlm_reply_fn reply,
                      void *context)
{
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        if (!strcmp(own[i].name, name))
            return own[i].serve(e, params, reply, context);
    json_decref(params);
    refuse(reply, context, DLMGR_EINVAL, "there is no such method");
}

/* ---- The door's side --------------------------------------------------------------------------------------------- */

void dlm_engine_serve(struct dlm_engine *e, const char *name, json_t *params, dlm_reply_fn reply,
                      void *context)
{
    const struct dlm_method *method = dlm_method_find(name);
    struct dlm_serving *q;

    if (e->closing) {
        json_decref(params);
        return refuse(reply, context, DLMGR_ECLOSED, "the engine is being closed");
    }
    if (!method || !method->work)
        return serve_own(e, name, params, reply, context);
    q = dlm_alloc(sizeof(*q));
    if (!q) {
        json_decref(params);
        return refuse(reply, context, DLMGR_ENOMEM, "out of memory");
    }
    *q = (struct dlm_serving){.engine = e,
                              .method = method,
                              .params = params,
                              .reply = reply,
                              .context = context,
                              .next = e->serving};
    e->serving = q;
    if (method->kind == DLM_METHOD_WRITE)
        return serve_write(q);
    q->job = (struct dlm_job){.work = read_work, .done = on_read};
    dlm_workers_submit(e->workers, &q->job);
}

void dlm_engine_serve_stop(struct dlm_engine *e)
{
    for (struct dlm_serving *q = e->serving; q; q = q->next) {
        dlm_reply_fn reply = TAKE_PTR(q->reply);

        if (reply)
            refuse(reply, q->context, DLMGR_ELINK,
                   "the engine was closed before the answer; the change may be made or not");
    }
}

void dlm_engine_serve_free(struct dlm_engine *e)
{
    while (e->serving) {
        struct dlm_serving *q = e->serving;

        e->serving = q->next;
        serving_free(q);
    }
}
