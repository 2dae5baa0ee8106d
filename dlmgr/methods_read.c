/* SPDX-License-Identifier: MIT */
/*
 * methods_read.c - list, show, events, count: what can be asked without changing anything.
 *
 * Each runs on a connection that only reads and leaves no transaction open; lists come in pages of at most a thousand. What
 * is in memory only (speed, connections, bytes since the last checkpoint) the engine lays over the answer.
 */
#include "dlmgr/bounds.h"
#include "dlmgr/method.h"
#include "dlmgr/opts_ref.h"
#include "dlmgr/plan.h"

/* A page ends at its limit of tasks or, so that nobody can make the owner build a hundred megabytes, soon after so many bytes. */
struct rows {
    json_t *array;
    size_t bytes;
    bool cut;
};

static size_t text_size(const char *text)
{
    return text ? strlen(text) : 0;
}

/* About what it takes; binary user_data stands there in base64. */
static size_t row_size(const struct dlm_row *row)
{
    return 512 + row->user_data_len / 3 * 4 + text_size(row->error) + text_size(row->url) +
           text_size(row->dir) + text_size(row->metrics);
}

/* 1: the page was full before it. */
static int add_row(const struct dlm_row *row, void *context)
{
    struct rows *rows = context;

    rows->cut = rows->bytes >= DLM_PAGE_BYTES;
    if (rows->cut)
        return 1;
    rows->bytes += row_size(row);
    return dlm_append(rows->array, dlm_task_json(row));
}

static bool row_matches(const struct dlm_row *row, const struct dlm_selection *sel)
{
    return (!sel->states || (sel->states & (1u << row->state))) &&
           (!sel->session || !strcmp(sel->session, row->session));
}

/* Every id is looked up, so that an unknown one is found wherever the page ends. */
static int list_ids(struct dlm_store *s, const struct dlm_selection *sel, struct rows *rows,
                    dlmgr_error *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sel->n_ids; i++) {
        struct dlm_row row = {0};

        r = dlm_task_get(s, sel->ids[i], &row, e);
        if (r == 0 && !rows->cut && sel->ids[i] > sel->after &&
            (int64_t)json_array_size(rows->array) < sel->limit && row_matches(&row, sel) &&
            add_row(&row, rows) < 0)
            r = dlm_no_memory(e);
        dlm_row_clear(&row);
    }
    return r;
}

static int list_page(struct dlm_store *s, const struct dlm_selection *sel, struct rows *rows,
                     dlmgr_error *e)
{
    struct dlm_filter filter = {.states = sel->states,
                                .session = sel->session,
                                .after = sel->after,
                                .limit = (int)sel->limit};
    int r = dlm_store_list(s, &filter, add_row, rows);

    return r < 0 ? dlm_work_failed(s, r, e) : 0;
}

int dlm_work_list(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {DLM_SELECTOR_MEMBERS, NULL};
    CLEANUP_JSON json_t *tasks = json_array();
    struct rows rows = {.array = tasks};
    struct dlm_selection sel = {0};
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = dlm_selection_read(params, &sel, e);
    if (r == 0)
        r = sel.ids ? list_ids(s, &sel, &rows, e) : list_page(s, &sel, &rows, e);
    dlm_selection_clear(&sel);
    if (r < 0)
        return r;
    *ret_result = json_pack("{s:O, s:b}", "tasks", tasks, "more", (int)rows.cut);
    return *ret_result ? 0 : dlm_no_memory(e);
}

/* ---- show ----------------------------------------------------------------------------------------- */

/* The present bytes as [start, end) pairs, neighbours joined. */
static int segments_json(struct dlm_store *s, int64_t id, json_t **ret)
{
    CLEANUP_FREE struct dlm_block_row *blocks = NULL;
    CLEANUP_JSON json_t *array = json_array();
    int64_t start = 0, end = 0;
    size_t n = 0;
    int r = dlm_store_blocks(s, id, &blocks, &n);

    for (size_t i = 0; r == 0 && i <= n; i++) {
        int64_t from = i < n ? blocks[i].idx * DLM_BLOCK : -1;

        if (from != end && end > start)
            r = dlm_append(array, json_pack("{s:I, s:I}", "start", (json_int_t)start, "end",
                                            (json_int_t)end));
        if (from != end)
            start = from;
        end = i < n ? from + blocks[i].len : 0;
    }
    if (r == 0)
        *ret = json_incref(array);
    return r;
}

static int sources_json(struct dlm_store *s, int64_t id, const json_t *real, json_t **ret)
{
    CLEANUP_JSON json_t *array = json_array();
    char **urls = NULL;
    size_t n = 0;
    int r = dlm_store_sources(s, id, &urls, &n);

    for (size_t i = 0; i < n; i++) {
        const char *url = json_string_value(json_array_get(real, i));

        if (r == 0)
            r = dlm_append(array, json_pack("{s:s}", "url", url ? url : urls[i]));
        free(urls[i]);
    }
    free(urls);
    if (r == 0)
        *ret = json_incref(array);
    return r;
}

static json_t *veiled_refs(const json_t *refs)
{
    json_t *shown = json_array();

    for (size_t i = 0; i < json_array_size(refs); i++) {
        const char *text = json_string_value(json_array_get(refs, i));
        CLEANUP_FREE char *ref = dlm_ref_shown(text ? text : "");

        json_array_append_new(shown, json_string(ref ? ref : "***"));
    }
    return shown;
}

/* What there is, without saying it: names of headers, where others stand, and *** for the rest. */
static json_t *veiled(const json_t *secret)
{
    json_t *shown = json_object(), *value;
    const char *name;

    json_object_foreach ((json_t *)(uintptr_t)secret, name, value)
        if (strcmp(name, "headers"))
            json_object_set_new(shown, name, json_string("***"));
    value = json_object_get(secret, "headers");
    if (value) {
        json_t *headers = json_array();

        for (size_t i = 0; i < json_array_size(value); i++) {
            const char *text = json_string_value(json_array_get(value, i));
            int len = text ? (int)strcspn(text, ":;") : 0;

            json_array_append_new(headers, json_sprintf("%.*s: ***", len, text ? text : ""));
        }
        json_object_set_new(shown, "headers", headers);
    }
    value = json_object_get(secret, "header_refs");
    if (value)
        json_object_set_new(shown, "header_refs", veiled_refs(value));
    return shown;
}

static json_t *object_or_null(json_t *object)
{
    return object ? object : json_null();
}

static int show_rest(struct dlm_store *s, const struct dlm_row *row, bool secrets, json_t *task)
{
    static const char *const policies[] = {"rename", "fail", "rename", "replace", "same"};
    CLEANUP_JSON json_t *secret = NULL;
    CLEANUP_FREE char *text = NULL;
    json_t *sources = NULL, *segments = NULL;
    bool known = row->on_exists >= 0 && row->on_exists < (int)ARRAY_SIZE(policies);
    int r = row->secret ? dlm_store_secret(s, row->secret, &text) : 0;

    if (r < 0)
        return r;
    secret = dlm_json_object(text);
    r = sources_json(s, row->id, secrets ? json_object_get(secret, "urls") : NULL, &sources);
    if (r == 0)
        r = segments_json(s, row->id, &segments);
    if (r < 0) {
        json_decref(sources);
        return r;
    }
    r = json_object_set_new(task, "sources", sources) |
        json_object_set_new(task, "segments", segments) |
        json_object_set_new(task, "origin",
                            dlm_bytes_to_json(row->origin, row->origin ? strlen(row->origin) : 0)) |
        json_object_set_new(task, "part",
                            dlm_bytes_to_json(row->part, row->part ? strlen(row->part) : 0)) |
        json_object_set_new(task, "validator",
                            dlm_bytes_to_json(row->validator,
                                              row->validator ? strlen(row->validator) : 0)) |
        json_object_set_new(task, "on_exists", json_string(known ? policies[row->on_exists] : "?")) |
        json_object_set_new(task, "mask", json_sprintf("%04o", (unsigned)row->mask)) |
        json_object_set_new(task, "started_at", dlm_time_json(row->started_at)) |
        json_object_set_new(task, "options", object_or_null(dlm_json_object(row->options))) |
        json_object_set_new(task, "secrets",
                            !secret   ? json_null()
                            : secrets ? json_incref(secret)
                                      : veiled(secret));
    return r ? DLMGR_ENOMEM : 0;
}

int dlm_work_show(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {"id", "secrets", NULL};
    CLEANUP_JSON json_t *task = NULL;
    struct dlm_row row = {0};
    int64_t id = 0;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = dlm_params_int(params, "id", 1, INT64_MAX, &id, e);
    if (r == 0)
        r = dlm_task_get(s, id, &row, e);
    if (r < 0)
        return r;
    task = dlm_task_json(&row);
    r = task ? show_rest(s, &row, dlm_json_true(params, "secrets"), task) : DLMGR_ENOMEM;
    dlm_row_clear(&row);
    if (r < 0)
        return dlm_work_failed(s, r, e);
    *ret_result = TAKE_PTR(task);
    return 0;
}

/* ---- events, count ------------------------------------------------------------------------------------ */

static int add_event(const struct dlm_event_row *ev, void *context)
{
    struct rows *rows = context;

    rows->cut = rows->bytes >= DLM_PAGE_BYTES;
    if (rows->cut)
        return 1;
    rows->bytes += 256 + strlen(ev->body);
    return dlm_append_event(ev, rows->array);
}

int dlm_work_events(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {"session", "after", "limit", NULL};
    CLEANUP_JSON json_t *events = json_array();
    struct rows rows = {.array = events};
    int64_t after = -1, limit = DLM_PAGE, last = 0, acked = 0;
    const char *session = NULL;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = dlm_params_text(params, "session", &session, e);
    if (r == 0)
        r = dlm_params_int(params, "after", -1, INT64_MAX, &after, e);
    if (r == 0)
        r = dlm_params_int(params, "limit", 0, DLM_PAGE, &limit, e);
    if (r < 0)
        return r;
    session = session ? session : "default";
    r = dlm_store_session(s, session, &last, &acked);
    if (r == DLMGR_ENOTFOUND)
        return dlm_no_session(session, e);
    if (r == 0 && limit)
        r = dlm_store_events(s, session, after < 0 ? acked : after, (int)limit, add_event, &rows);
    if (r < 0)
        return dlm_work_failed(s, r, e);
    *ret_result = json_pack("{s:O, s:b, s:I, s:I}", "events", events, "more", (int)rows.cut,
                            "acked", (json_int_t)acked, "last", (json_int_t)last);
    return *ret_result ? 0 : dlm_no_memory(e);
}

int dlm_work_count(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {NULL};
    CLEANUP_JSON json_t *states = json_object();
    struct dlm_tally tally = {0};
    int r = dlm_params_check(params, known, e);

    if (r < 0)
        return r;
    r = dlm_store_tally(s, &tally);
    if (r < 0)
        return dlm_work_failed(s, r, e);
    for (int i = 0; i < DLM_STATES; i++)
        r |= json_object_set_new(states, dlm_state_name(i), json_integer(tally.by_state[i]));
    if (r == 0)
        *ret_result = json_pack("{s:O, s:I, s:I, s:i, s:i}", "states", states, "waiting_storage",
                                (json_int_t)tally.waiting_storage, "waiting_timed",
                                (json_int_t)tally.waiting_timed, "owner_pid", 0, "first_failure", 0);
    return r == 0 && *ret_result ? 0 : dlm_no_memory(e);
}
