/* SPDX-License-Identifier: MIT */
/*
 * methods.c - the table of methods, and how their parameters are read: see methods.h.
 *
 * What only an owner can answer stands in the table without a function, so that every door knows its name. The functions
 * stand in methods_read.c, methods_find.c, methods_act.c, methods_set.c and methods_session.c.
 *
 * A selector names tasks by id, by state and session, or all of them; what is set must all match. By id it means these very
 * tasks, so an unknown one is an error; otherwise it means whatever matches.
 */
#include "dlmgr/method.h"

#include <stdio.h>

static const struct dlm_method methods[] = {
    {"list", DLM_METHOD_READ, false, dlm_work_list},
    {"show", DLM_METHOD_READ, false, dlm_work_show},
    {"events", DLM_METHOD_READ, false, dlm_work_events},
    {"count", DLM_METHOD_READ, false, dlm_work_count},
    {"find", DLM_METHOD_READ, false, dlm_work_find},
    {"session", DLM_METHOD_READ, false, dlm_work_session},
    {"sessions", DLM_METHOD_READ, false, dlm_work_sessions},
    {"add", DLM_METHOD_WRITE, true, dlm_work_add},
    {"act", DLM_METHOD_WRITE, true, dlm_work_act},
    {"set", DLM_METHOD_WRITE, true, dlm_work_set},
    {"ack_to", DLM_METHOD_WRITE, true, dlm_work_ack_to},
    {"session_set", DLM_METHOD_WRITE, true, dlm_work_session_set},
    {"session_remove", DLM_METHOD_WRITE, true, dlm_work_session_remove},
    {"session_hold", DLM_METHOD_WRITE, false, dlm_work_session_hold},
    {"deliver", DLM_METHOD_WRITE, false, dlm_work_deliver},
    {"ack", DLM_METHOD_WRITE, false, dlm_work_ack},
    {"session_release", DLM_METHOD_ENGINE, false, NULL},
    {"wait", DLM_METHOD_ENGINE, false, NULL},
    {"stop", DLM_METHOD_ENGINE, false, NULL},
    {"status", DLM_METHOD_ENGINE, false, NULL},
    {"hello", DLM_METHOD_ENGINE, false, NULL},
};

const struct dlm_method *dlm_method_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        if (!strcmp(methods[i].name, name))
            return &methods[i];
    return NULL;
}

bool dlm_method_halts(const struct dlm_method *m, const json_t *params)
{
    static const char *const halting[] = {"pause", "cancel", "remove", "remove_delete"};
    const char *action = dlm_json_string(params, "action");

    if (m->work == dlm_work_set)
        return dlm_set_restarts(params);
    for (size_t i = 0; m->work == dlm_work_act && action && i < ARRAY_SIZE(halting); i++)
        if (!strcmp(action, halting[i]))
            return true;
    return false;
}

/* ---- Parameters -------------------------------------------------------------------------------- */

int dlm_params_check(const json_t *params, const char *const *known, dlmgr_error *e)
{
    const char *name;
    json_t *value;

    if (params && !json_is_object(params) && !json_is_null(params))
        return dlm_fail(e, DLMGR_EINVAL, "parameters must be an object");
    json_object_foreach ((json_t *)(uintptr_t)params, name, value) {
        size_t i = 0;

        while (known[i] && strcmp(known[i], name))
            i++;
        if (!known[i])
            return dlm_fail(e, DLMGR_EINVAL, "unknown parameter %.100s", name);
    }
    return 0;
}

int dlm_params_text(const json_t *params, const char *name, const char **ret, dlmgr_error *e)
{
    const json_t *value = json_object_get(params, name);

    if (!value || json_is_null(value)) {
        *ret = NULL;
        return 0;
    }
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
        return dlm_fail(e, DLMGR_EINVAL, "%s: must be a string", name);
    *ret = json_string_value(value);
    return 0;
}

int dlm_params_int(const json_t *params, const char *name, int64_t min, int64_t max, int64_t *ret,
                   dlmgr_error *e)
{
    const json_t *value = json_object_get(params, name);
    int64_t n = json_integer_value(value);

    if (!value || json_is_null(value))
        return 0;
    if (!json_is_integer(value))
        return dlm_fail(e, DLMGR_EINVAL, "%s: must be an integer", name);
    if (n < min || n > max)
        return dlm_fail(e, DLMGR_EINVAL, "%s %lld: must be from %lld to %lld", name, (long long)n,
                        (long long)min, (long long)max);
    *ret = n;
    return 0;
}

int dlm_params_tasks(const json_t *params, int most, const json_t **ret, dlmgr_error *e)
{
    static const char *const known[] = {"tasks", NULL};
    int r = dlm_params_check(params, known, e);

    if (r < 0)
        return r;
    *ret = json_object_get(params, "tasks");
    if (!json_is_array(*ret))
        return dlm_fail(e, DLMGR_EINVAL, "tasks: must be an array");
    if (json_array_size(*ret) > (size_t)most)
        return dlm_fail(e, DLMGR_ELIMIT, "tasks: more than %d at once", most);
    return 0;
}

/* ---- Results -------------------------------------------------------------------------------------- */

int dlm_append(json_t *array, json_t *value)
{
    return json_array_append_new(array, value) ? DLMGR_ENOMEM : 0;
}

int dlm_append_event(const struct dlm_event_row *ev, void *array)
{
    return dlm_append(array, dlm_event_json(ev));
}

int dlm_no_session(const char *name, dlmgr_error *e)
{
    return dlm_fail(e, DLMGR_ENOTFOUND, "there is no session %.255s", name);
}

/* ---- Selectors ----------------------------------------------------------------------------------- */

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static int read_ids(const json_t *ids, struct dlm_selection *sel, dlmgr_error *e)
{
    size_t n = json_array_size(ids), kept = 0;

    if (!ids || json_is_null(ids))
        return 0;
    if (!json_is_array(ids))
        return dlm_fail(e, DLMGR_EINVAL, "ids: must be an array of integers");
    if (n > DLM_IDS_MAX)
        return dlm_fail(e, DLMGR_ELIMIT, "ids: more than %d at once", DLM_IDS_MAX);
    sel->ids = dlm_alloc((n + 1) * sizeof(*sel->ids));
    if (!sel->ids)
        return dlm_no_memory(e);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(ids, i);

        if (!json_is_integer(id))
            return dlm_fail(e, DLMGR_EINVAL, "ids: must be an array of integers");
        sel->ids[i] = json_integer_value(id);
    }
    qsort(sel->ids, n, sizeof(*sel->ids), compare_ids);
    for (size_t i = 0; i < n; i++)
        if (!kept || sel->ids[i] != sel->ids[kept - 1])
            sel->ids[kept++] = sel->ids[i];
    sel->n_ids = kept;
    return 0;
}

static int read_states(const json_t *states, unsigned *ret, dlmgr_error *e)
{
    const json_t *item;
    size_t i;

    if (!states || json_is_null(states))
        return 0;
    if (!json_is_array(states))
        return dlm_fail(e, DLMGR_EINVAL, "states: must be an array of names");
    json_array_foreach (states, i, item) {
        const char *name = json_string_value(item);
        int state = name ? dlm_state_parse(name) : -1;

        if (state < 0)
            return dlm_fail(e, DLMGR_EINVAL, "states: %.50s is no state",
                            name ? name : "what is not text");
        *ret |= 1u << state;
    }
    return 0;
}

int dlm_selection_read(const json_t *params, struct dlm_selection *ret, dlmgr_error *e)
{
    struct dlm_selection sel = {.limit = DLM_PAGE};
    const json_t *all = json_object_get(params, "all");
    int r = read_ids(json_object_get(params, "ids"), &sel, e);

    if (r == 0)
        r = read_states(json_object_get(params, "states"), &sel.states, e);
    if (r == 0)
        r = dlm_params_text(params, "session", &sel.session, e);
    if (r == 0)
        r = dlm_params_int(params, "after", 0, INT64_MAX, &sel.after, e);
    if (r == 0)
        r = dlm_params_int(params, "limit", 1, DLM_PAGE, &sel.limit, e);
    if (r == 0 && all && !json_is_null(all) && !json_is_boolean(all))
        r = dlm_fail(e, DLMGR_EINVAL, "all: must be true or false");
    sel.all = json_is_true(all);
    if (r < 0)
        dlm_selection_clear(&sel);
    else
        *ret = sel;
    return r;
}

void dlm_selection_clear(struct dlm_selection *sel)
{
    free(sel->ids);
    *sel = (struct dlm_selection){0};
}

static bool array_has(const json_t *array, const json_t *wanted)
{
    const json_t *item;
    size_t i;

    json_array_foreach (array, i, item)
        if (json_equal(item, wanted))
            return true;
    return false;
}

bool dlm_selector_matches(const json_t *params, int64_t id, int state, const char *session)
{
    const json_t *ids = json_object_get(params, "ids"), *states = json_object_get(params, "states");
    CLEANUP_JSON json_t *number = json_integer(id), *name = json_string(dlm_state_name(state));
    const char *wanted = dlm_json_string(params, "session");

    if (json_is_array(ids) && !array_has(ids, number))
        return false;
    if (json_array_size(states) && !array_has(states, name))
        return false;
    return (!wanted || !strcmp(wanted, session)) && id > dlm_json_int(params, "after", 0);
}

/* ---- Failures ------------------------------------------------------------------------ */

int dlm_work_failed(struct dlm_store *s, int code, dlmgr_error *e)
{
    dlm_store_error(s, code, e);
    return code;
}

int dlm_task_get(struct dlm_store *s, int64_t id, struct dlm_row *ret, dlmgr_error *e)
{
    int r = dlm_store_get(s, id, ret);

    if (r == DLMGR_ENOTFOUND)
        return dlm_fail(e, r, "there is no task %lld", (long long)id);
    return r < 0 ? dlm_work_failed(s, r, e) : 0;
}

int64_t dlm_error_index(dlmgr_error *e)
{
    long long index;
    int len = 0;

    if (sscanf(e->text, "tasks[%lld]: %n", &index, &len) != 1 || !len || index < 0)
        return -1;
    memmove(e->text, e->text + len, strlen(e->text + len) + 1);
    return index;
}
