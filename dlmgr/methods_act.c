/* SPDX-License-Identifier: MIT */
/*
 * methods_act.c - add, act, ack_to: changes, each whole or not at all.
 *
 * What an action does to a task is a table of (action, state): a state to move to, nothing since it is as wanted
 * already, or not allowed. By id the latter is an error, for then somebody means that very task; in a selection by state, session or all
 * such tasks are passed over.
 *
 * A selection may be the whole journal, so `act` does one page of it in a transaction and says in "next" after which id
 * to go on; null: done.
 */
#include "dlmgr/method.h"
#include "dlmgr/request.h"

#include <stdio.h>

/* ---- add -------------------------------------------------------------------------------------- */

/* Text of *e begins with the index from now on: see dlm_error_index(). */
static void mark_index(dlmgr_error *e, size_t index)
{
    char text[sizeof(e->text)];

    if (!e)
        return;
    memcpy(text, e->text, sizeof(text));
    snprintf(e->text, sizeof(e->text), "tasks[%zu]: %.480s", index, text);
}

static int add_one(struct dlm_store *s, const struct dlm_request *request, int64_t *ret_id,
                   dlmgr_error *e)
{
    const struct dlm_row *row = &request->row;
    int r = dlm_store_add(s, row, (const char *const *)request->urls, request->n_urls,
                          request->secret, request->hash[0] ? request->hash : NULL, ret_id);

    if (r == DLMGR_EEXIST)
        return dlm_fail(e, r,
                        "key %.255s: session %.100s has it with another request; change that one with `set`, or use another key",
                        row->key, row->session);
    return r < 0 ? dlm_work_failed(s, r, e) : r;
}

int dlm_work_add(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    const json_t *tasks, *item;
    CLEANUP_JSON json_t *ids = json_array(), *existed = json_array();
    CLEANUP_FREE char *good_dir = NULL;
    int64_t now = dlm_clock_wall();
    size_t i;
    int r = dlm_params_tasks(params, DLM_ADD_MAX, &tasks, e);

    if (r < 0)
        return r;
    json_array_foreach (tasks, i, item) {
        struct dlm_request request = {0};
        int64_t id = 0;

        r = dlm_request_parse(item, now, &request, e);
        if (r == 0 && (!good_dir || strcmp(good_dir, request.row.dir)))
            r = dlm_request_check_dir(&request, e);
        if (r == 0)
            r = add_one(s, &request, &id, e);
        if (r >= 0 && (json_array_append_new(ids, json_integer(id)) ||
                       (r == 1 && json_array_append_new(existed, json_integer((json_int_t)i)))))
            r = dlm_no_memory(e);
        /* Tasks that may make their directory say nothing about the next one's. */
        free(TAKE_PTR(good_dir));
        if (r >= 0 && !request.create_dirs)
            good_dir = TAKE_PTR(request.row.dir);
        dlm_request_clear(&request);
        if (r < 0) {
            mark_index(e, i);
            return r;
        }
    }
    *ret_result = json_pack("{s:O, s:O}", "ids", ids, "existed", existed);
    return *ret_result ? 0 : dlm_no_memory(e);
}

/* ---- act -------------------------------------------------------------------------------------- */

enum {
    NO = -1,
    SAME = -2,
    FORGET = -3,
    QUE = DLMGR_QUEUED,
    PAU = DLMGR_PAUSED,
    CAN = DLMGR_CANCELLED
};

struct action {
    const char *name, *done; /* "it cannot be ..." */
    bool bump, parts;
    int to[DLM_STATES];
};

/* clang-format off */
static const struct action actions[] = {
    /*                                               queued  running verif.  commit. done    waiting paused  failed  cancelled */
    {"pause",         "paused",    false, false,    {PAU,    PAU,    PAU,    NO,     NO,     PAU,    SAME,   NO,     NO}},
    {"resume",        "resumed",   false, false,    {SAME,   SAME,   SAME,   SAME,   NO,     QUE,    QUE,    NO,     NO}},
    {"cancel",        "cancelled", false, false,    {CAN,    CAN,    CAN,    NO,     NO,     CAN,    CAN,    NO,     SAME}},
    {"retry",         "retried",   true,  false,    {SAME,   SAME,   SAME,   SAME,   NO,     SAME,   NO,     QUE,    QUE}},
    {"remove",        "removed",   false, false,    {FORGET, FORGET, FORGET, NO,     FORGET, FORGET, FORGET, FORGET, FORGET}},
    {"remove_delete", "removed",   false, true,     {FORGET, FORGET, FORGET, NO,     FORGET, FORGET, FORGET, FORGET, FORGET}},
};
/* clang-format on */

struct act {
    struct dlm_store *s;
    const struct action *action;
    bool by_id;
    int64_t now, count;
    json_t *parts;
    dlmgr_error *e;
};

static int forget(struct act *a, const struct dlm_row *row)
{
    CLEANUP_FREE char *part = NULL;
    int r = 0;

    if (a->action->parts)
        r = dlm_part_path(row->dir, row->out, row->part, &part);
    if (r == 0 && part && json_array_append_new(a->parts, json_string(part)))
        r = DLMGR_ENOMEM;
    return r < 0 ? r : dlm_store_remove(a->s, row->id);
}

static int move(struct act *a, const struct dlm_row *row, int to)
{
    CLEANUP_JSON json_t *options = row->state == DLMGR_PAUSED ? dlm_json_object(row->options) : NULL;
    int64_t start = dlm_json_int(options, "start_after", 0);
    struct dlm_move m =
        {.id = row->id, .to = to, .bump = a->action->bump, .bytes = -1, .total = -1, .attempts = -1};

    if (a->action->bump)
        m.attempts = 0;
    /* What was paused before its time still waits for it; only one that waits is told to begin at once. */
    if (to == DLMGR_QUEUED && start > a->now) {
        m.to = DLMGR_WAITING;
        m.wait_reason = "not-before";
        m.wake_at = start;
    }
    return dlm_store_move(a->s, &m, NULL);
}

static int act_row(struct act *a, const struct dlm_row *row)
{
    int to = a->action->to[row->state], r;

    if (to == SAME || (to == NO && !a->by_id))
        return 0;
    if (to == NO)
        return dlm_fail(a->e, DLMGR_ESTATE, "task %lld is %s and cannot be %s", (long long)row->id,
                        dlm_state_name(row->state), a->action->done);
    r = to == FORGET ? forget(a, row) : move(a, row, to);
    if (r < 0)
        return dlm_work_failed(a->s, r, a->e);
    a->count++;
    return 0;
}

static int act_on(struct act *a, const struct dlm_selection *sel, const int64_t *ids, size_t n)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        struct dlm_row row = {0};

        r = dlm_task_get(a->s, ids[i], &row, a->e);
        if (r == 0 && (!sel->states || (sel->states & (1u << row.state))) &&
            (!sel->session || !strcmp(sel->session, row.session)))
            r = act_row(a, &row);
        dlm_row_clear(&row);
    }
    return r;
}

/* *ret_next: go on after this id; 0: that was all. */
static int act_page(struct act *a, const struct dlm_selection *sel, int64_t *ret_next)
{
    struct dlm_filter filter = {.states = sel->states,
                                .session = sel->session,
                                .after = sel->after,
                                .limit = DLM_ACT_PAGE};
    CLEANUP_FREE int64_t *ids = dlm_alloc(DLM_ACT_PAGE * sizeof(*ids));
    size_t n = DLM_ACT_PAGE;
    int r;

    if (!ids)
        return dlm_no_memory(a->e);
    r = dlm_store_ids(a->s, &filter, ids, &n);
    if (r < 0)
        return dlm_work_failed(a->s, r, a->e);
    r = act_on(a, sel, ids, n);
    *ret_next = r == 0 && n == DLM_ACT_PAGE ? ids[n - 1] : 0;
    return r;
}

static int action_read(const json_t *params, const struct action **ret, dlmgr_error *e)
{
    const char *name = NULL;
    int r = dlm_params_text(params, "action", &name, e);

    if (r < 0)
        return r;
    for (size_t i = 0; name && i < ARRAY_SIZE(actions); i++)
        if (!strcmp(actions[i].name, name)) {
            *ret = &actions[i];
            return 0;
        }
    return dlm_fail(e, DLMGR_EINVAL,
                    "action %.50s: must be pause, resume, cancel, retry, remove or remove_delete",
                    name ? name : "(none)");
}

int dlm_work_act(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {"action", DLM_SELECTOR_MEMBERS, NULL};
    CLEANUP_JSON json_t *parts = json_array();
    struct act a = {.s = s, .now = dlm_clock_wall(), .parts = parts, .e = e};
    struct dlm_selection sel = {0};
    int64_t next = 0;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = action_read(params, &a.action, e);
    if (r == 0)
        r = dlm_selection_read(params, &sel, e);
    a.by_id = sel.ids != NULL;
    if (r == 0 && !sel.ids && !sel.states && !sel.session && !sel.all)
        r = dlm_fail(e, DLMGR_EINVAL, "which tasks? name ids, states, a session, or all");
    if (r == 0)
        r = a.by_id ? act_on(&a, &sel, sel.ids, sel.n_ids) : act_page(&a, &sel, &next);
    dlm_selection_clear(&sel);
    if (r < 0)
        return r;
    *ret_result = json_pack("{s:I, s:o}", "count", (json_int_t)a.count, "next",
                            next ? json_integer(next) : json_null());
    if (*ret_result && json_array_size(parts) && json_object_set(*ret_result, "parts", parts)) {
        json_decref(*ret_result);
        *ret_result = NULL;
    }
    return *ret_result ? 0 : dlm_no_memory(e);
}

/* ---- ack_to ------------------------------------------------------------------------------------ */

int dlm_work_ack_to(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {"session", "seq", NULL};
    int64_t seq = -1, last = 0, acked = 0;
    const char *session = NULL;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = dlm_params_text(params, "session", &session, e);
    if (r == 0)
        r = dlm_params_int(params, "seq", 0, INT64_MAX, &seq, e);
    if (r < 0)
        return r;
    if (seq < 0)
        return dlm_fail(e, DLMGR_EINVAL, "seq: is missing");
    session = session ? session : "default";
    r = dlm_store_session(s, session, &last, &acked);
    if (r == DLMGR_ENOTFOUND)
        return dlm_no_session(session, e);
    if (r == 0 && seq > last)
        return dlm_fail(e, DLMGR_EINVAL, "seq %lld: the last event of session %.100s is %lld",
                        (long long)seq, session, (long long)last);
    if (r == 0)
        r = dlm_store_ack_to(s, session, seq);
    if (r < 0)
        return dlm_work_failed(s, r, e);
    *ret_result = json_object();
    return *ret_result ? 0 : dlm_no_memory(e);
}
