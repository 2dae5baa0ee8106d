/* SPDX-License-Identifier: MIT */
/*
 * api_list.c - pages of tasks and of events, as arrays of structs.
 *
 * A page keeps the JSON that it was made from: most strings of its structs stand in there. The bytes of user_data and an event's
 * path are made for each item and freed with the page; a line of JSON only when somebody asks.
 */
#include "dlmgr/api.h"
#include "dlmgr/request.h"

const char *dlm_api_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_object(value) ? dlm_json_string(value, "base64") : json_string_value(value);
}

/*
 * The owner ends a page early when it has many bytes, and says that there is more; who asks the library gets the page that he asked for all
 * the same. Steals params, which have a `limit`. order: the member of an item that `after` counts.
 */
static int ask_page(dlmgr *handle, const char *method, json_t *params, const char *items,
                    const char *order, json_t **ret, dlmgr_error *e)
{
    int64_t limit = dlm_json_int(params, "limit", 1000);
    CLEANUP_JSON json_t *next = params, *page = NULL;
    int r = dlm_api_ask(handle, method, json_deep_copy(next), &page, e);

    while (r == 0 && dlm_json_true(page, "more")) {
        CLEANUP_JSON json_t *rest = NULL;
        json_t *all = json_object_get(page, items);
        size_t n = json_array_size(all);

        if (n == 0 || (int64_t)n >= limit)
            break;
        if (json_object_set(next, "after", json_object_get(json_array_get(all, n - 1), order)) ||
            json_object_set_new(next, "limit", json_integer(limit - (int64_t)n)))
            return dlm_no_memory(e);
        r = dlm_api_ask(handle, method, json_deep_copy(next), &rest, e);
        if (r == 0 && (json_array_extend(all, json_object_get(rest, items)) ||
                       json_object_set(page, "more", json_object_get(rest, "more"))))
            return dlm_no_memory(e);
    }
    if (r == 0)
        *ret = TAKE_PTR(page);
    return r;
}

/* ---- Tasks ------------------------------------------------------------------------------------------------- */

struct dlmgr_list {
    json_t *json;
    size_t n;
    dlmgr_task *tasks;
};

static int own_data(const json_t *object, const void **ret_data, size_t *ret_len)
{
    char *data;
    size_t len;
    int r = dlm_bytes_from_json(json_object_get(object, "user_data"), &data, &len);

    if (r < 0)
        return r;
    *ret_data = data;
    *ret_len = len;
    return 0;
}

static void free_text(const void *text)
{
    free((void *)(uintptr_t)text);
}

/* What both structs have of an error. */
struct failure {
    int code, class_, stage, http_status;
    const char *text, *address, *json;
};

static int failure_read(const json_t *error, struct failure *ret)
{
    *ret = (struct failure){
        .code = (int)dlm_json_int(error, "code", 0),
        .class_ = dlm_class_parse(dlm_json_string(error, "class")),
        .stage = dlm_stage_parse(dlm_json_string(error, "stage")),
        .http_status = (int)dlm_json_int(error, "http_status", 0),
        .text = dlm_api_text(error, "message"),
        .address = dlm_api_text(error, "address"),
        .json = json_is_object(error) ? dlm_json_dump(error) : NULL,
    };
    return json_is_object(error) && !ret->json ? DLMGR_ENOMEM : 0;
}

static int task_error(const json_t *error, dlmgr_task *t)
{
    struct failure f;
    int r = failure_read(error, &f);

    t->error_code = f.code;
    t->error_class = f.class_;
    t->error_stage = f.stage;
    t->error_text = f.text;
    t->http_status = f.http_status;
    t->error_address = f.address;
    t->error_json = f.json;
    return r;
}

static int task_read(const json_t *j, dlmgr_task *t)
{
    const json_t *wait = json_object_get(j, "wait");
    const char *state = dlm_json_string(j, "state");

    *t = (dlmgr_task){
        .id = dlm_json_int(j, "id", 0),
        .state = state ? dlm_state_parse(state) : -1,
        .session = dlm_api_text(j, "session"),
        .key = dlm_api_text(j, "key"),
        .url = dlm_api_text(j, "url"),
        .dir = dlm_api_text(j, "dir"),
        .out = dlm_api_text(j, "out"),
        .path = dlm_api_text(j, "path"),
        .renamed = dlm_json_true(j, "renamed"),
        .bytes_done = dlm_json_int(j, "bytes_done", 0),
        .bytes_total = dlm_json_int(j, "bytes_total", -1),
        .speed = dlm_json_int(j, "speed", 0),
        .connections = (int)dlm_json_int(j, "connections", 0),
        .priority = (int)dlm_json_int(j, "priority", 0),
        .attempts = dlm_json_int(j, "attempts", 0),
        .generation = dlm_json_int(j, "generation", 0),
        .created_at = dlm_time_parse(dlm_json_string(j, "created_at")),
        .finished_at = dlm_time_parse(dlm_json_string(j, "finished_at")),
        .wait_reason = dlm_api_text(wait, "reason"),
        .wait_until = dlm_time_parse(dlm_json_string(wait, "until")),
        .digest = dlm_api_text(j, "digest"),
        .server_digest = dlm_api_text(j, "server_digest"),
        .unverified_length = dlm_json_true(j, "unverified_length"),
    };
    t->more = j;
    if (task_error(json_object_get(j, "error"), t) < 0)
        return DLMGR_ENOMEM;
    return own_data(j, &t->user_data, &t->user_data_len);
}

char *dlmgr_task_json(const dlmgr_task *task)
{
    return dlm_json_dump(task->more);
}

int dlmgr_query(dlmgr *handle, const dlmgr_selector *selector, dlmgr_list **ret_list,
                dlmgr_error *error)
{
    dlmgr_list *list;
    json_t *params = NULL, *result, *tasks;
    int r = dlm_api_selector(selector, true, &params, error);

    if (r == 0)
        r = ask_page(handle, "list", params, "tasks", "id", &result, error);
    if (r < 0)
        return r;
    tasks = json_object_get(result, "tasks");
    list = dlm_alloc(sizeof(*list));
    if (list) {
        list->json = result;
        list->tasks = dlm_alloc(json_array_size(tasks) * sizeof(*list->tasks));
    }
    if (!list || !list->tasks) {
        json_decref(list ? NULL : result);
        dlmgr_list_free(list);
        return dlm_no_memory(error);
    }
    for (; list->n < json_array_size(tasks); list->n++) {
        r = task_read(json_array_get(tasks, list->n), &list->tasks[list->n]);
        if (r < 0) {
            list->n++; /* with what was read of it */
            dlmgr_list_free(list);
            return dlm_fail(error, r, "the list of tasks: %s", dlmgr_strerror(r));
        }
    }
    *ret_list = list;
    return 0;
}

size_t dlmgr_list_count(const dlmgr_list *list)
{
    return list ? list->n : 0;
}

const dlmgr_task *dlmgr_list_at(const dlmgr_list *list, size_t i)
{
    return list && i < list->n ? &list->tasks[i] : NULL;
}

dlmgr_list *dlmgr_list_free(dlmgr_list *list)
{
    if (!list)
        return NULL;
    for (size_t i = 0; i < list->n; i++) {
        free_text(list->tasks[i].user_data);
        free_text(list->tasks[i].error_json);
    }
    json_decref(list->json);
    free(list->tasks);
    free(list);
    return NULL;
}

/* ---- Events ------------------------------------------------------------------------------------------------ */

int dlm_api_session(const char *given, const char **ret, dlmgr_error *e)
{
    int r = given ? dlm_session_check(given, e) : 0;

    if (r == 0)
        *ret = given ? given : "default";
    return r;
}

struct dlmgr_event_list {
    json_t *json;
    size_t n;
    dlmgr_event *events;
};

/* A path may be any bytes, so it is no member of the JSON text. */
static int own_path(const json_t *j, const char **ret)
{
    char *path;
    size_t len;
    int r = dlm_bytes_from_json(json_object_get(j, "path"), &path, &len);

    if (r == 0)
        *ret = path;
    return r;
}

static bool is_missing(const dlmgr_event *ev)
{
    return !strcmp(ev->type, "done") && ev->path && access(ev->path, F_OK) < 0 &&
           (errno == ENOENT || errno == ENOTDIR);
}

static int event_read(json_t *j, dlmgr_session *holder, dlmgr_event *ev)
{
    const char *type = dlm_api_text(j, "type");
    struct failure f;
    int r = failure_read(json_object_get(j, "error"), &f);

    *ev = (dlmgr_event){
        .seq = dlm_json_int(j, "seq", 0),
        .session = dlm_api_text(j, "session"),
        .type = type ? type : "",
        .task = dlm_json_int(j, "task", 0),
        .generation = dlm_json_int(j, "generation", 0),
        .time = dlm_time_parse(dlm_json_string(j, "time")),
        .replay = dlm_json_true(j, "replay"),
        .deliveries = dlm_json_int(j, "deliveries", 0),
        .key = dlm_api_text(j, "key"),
        .bytes_total = dlm_json_int(j, "bytes_total", -1),
        .unverified_length = dlm_json_true(j, "unverified_length"),
        .error_code = f.code,
        .error_class = f.class_,
        .error_stage = f.stage,
        .http_status = f.http_status,
        .error_text = f.text,
        .error_address = f.address,
        .error_json = f.json,
        .holder = holder,
        .more = j,
    };
    if (r == 0)
        r = own_path(j, &ev->path);
    if (r == 0)
        r = own_data(j, &ev->user_data, &ev->user_data_len);
    if (r < 0)
        return r;
    ev->missing = is_missing(ev);
    if (json_object_set_new(j, "missing", ev->path ? json_boolean(ev->missing) : json_null()))
        return DLMGR_ENOMEM;
    return 0;
}

char *dlmgr_event_json(const dlmgr_event *event)
{
    return dlm_json_dump(event->more);
}

static int events_read(bool replay, dlmgr_session *holder, dlmgr_event_list *list)
{
    const json_t *events = json_object_get(list->json, "events");
    int r = 0;

    list->events = dlm_alloc(json_array_size(events) * sizeof(*list->events));
    if (!list->events)
        return DLMGR_ENOMEM;
    while (r == 0 && list->n < json_array_size(events)) {
        json_t *event = json_array_get(events, list->n);

        if (replay && json_object_set_new(event, "replay", json_true()))
            return DLMGR_ENOMEM;
        r = event_read(event, holder, &list->events[list->n]);
        list->n++;
    }
    return r;
}

int dlm_api_events(json_t *result, bool replay, dlmgr_session *holder, dlmgr_event_list **ret,
                   dlmgr_error *e)
{
    dlmgr_event_list *list = dlm_alloc(sizeof(*list));
    int r;

    if (!list) {
        json_decref(result);
        return dlm_no_memory(e);
    }
    list->json = result;
    r = events_read(replay, holder, list);
    if (r < 0) {
        dlmgr_event_list_free(list);
        return dlm_fail(e, r, "the list of events: %s", dlmgr_strerror(r));
    }
    *ret = list;
    return 0;
}

int dlmgr_events(dlmgr *handle, const char *session, int64_t after, int limit,
                 dlmgr_event_list **ret_list, dlmgr_error *error)
{
    json_t *result;
    int r = dlm_api_session(session, &session, error);

    if (r == 0)
        r = ask_page(handle, "events",
                     json_pack("{s:s, s:I, s:i}", "session", session, "after", (json_int_t)after,
                               "limit", limit ? limit : 1000),
                     "events", "seq", &result, error);
    return r < 0 ? r : dlm_api_events(result, false, NULL, ret_list, error);
}

size_t dlmgr_event_list_count(const dlmgr_event_list *list)
{
    return list ? list->n : 0;
}

const dlmgr_event *dlmgr_event_list_at(const dlmgr_event_list *list, size_t i)
{
    return list && i < list->n ? &list->events[i] : NULL;
}

dlmgr_event_list *dlmgr_event_list_free(dlmgr_event_list *list)
{
    if (!list)
        return NULL;
    for (size_t i = 0; i < list->n; i++) {
        free_text(list->events[i].user_data);
        free_text(list->events[i].path);
        free_text(list->events[i].error_json);
    }
    json_decref(list->json);
    free(list->events);
    free(list);
    return NULL;
}

int dlmgr_ack_to(dlmgr *handle, const char *session, int64_t seq, dlmgr_error *error)
{
    CLEANUP_JSON json_t *result = NULL;
    int r = dlm_api_session(session, &session, error);

    return r < 0 ? r
                 : dlm_api_ask(handle, "ack_to",
                               json_pack("{s:s, s:I}", "session", session, "seq", (json_int_t)seq),
                               &result, error);
}
