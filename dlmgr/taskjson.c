/* SPDX-License-Identifier: MIT */
/*
 * taskjson.c - rows as JSON objects: see taskjson.h.
 *
 * The members of a task stand in one table with where each comes from, so that a member is a row there and its order is the
 * one of the manual. An error is stored as the object that is shown, but read again and rebuilt: members that an older
 * version did not write are null, not absent.
 */
#include "dlmgr/taskjson.h"

#include "dlmgr/json.h"
#include "dlmgr/metrics.h"

#include <time.h>

static const char *const class_names[] = {
    [DLMGR_CLASS_NONE] = "none",
    [DLMGR_CLASS_TRANSIENT] = "transient",
    [DLMGR_CLASS_PERMANENT] = "permanent",
    [DLMGR_CLASS_POLICY] = "policy",
    [DLMGR_CLASS_NEEDS_AUTH] = "needs-auth",
    [DLMGR_CLASS_LOCAL] = "local",
};

const char *dlm_class_name(int class_)
{
    return class_names[class_ > 0 && class_ < (int)ARRAY_SIZE(class_names) ? class_ : 0];
}

int dlm_class_parse(const char *name)
{
    for (int i = 1; name && i < (int)ARRAY_SIZE(class_names); i++)
        if (!strcmp(name, class_names[i]))
            return i;
    return DLMGR_CLASS_NONE;
}

static const char *const stage_names[] = {
    [DLMGR_STAGE_RESOLVE] = "resolve", [DLMGR_STAGE_CONNECT] = "connect",
    [DLMGR_STAGE_TLS] = "tls",         [DLMGR_STAGE_SEND] = "send",
    [DLMGR_STAGE_RECEIVE] = "receive", [DLMGR_STAGE_VERIFY] = "verify",
    [DLMGR_STAGE_WRITE] = "write",     [DLMGR_STAGE_COMMIT] = "commit",
};

const char *dlm_stage_name(int stage)
{
    return stage > 0 && stage < (int)ARRAY_SIZE(stage_names) ? stage_names[stage] : NULL;
}

int dlm_stage_parse(const char *name)
{
    for (int i = 1; name && i < (int)ARRAY_SIZE(stage_names); i++)
        if (!strcmp(name, stage_names[i]))
            return i;
    return DLMGR_STAGE_NONE;
}

const char *dlmgr_stage_name(int stage)
{
    return dlm_stage_name(stage);
}

const char *dlmgr_class_name(int class_)
{
    return class_ > 0 && class_ < (int)ARRAY_SIZE(class_names) ? class_names[class_] : NULL;
}

json_t *dlm_time_json(int64_t wall)
{
    char text[32];

    if (!wall)
        return json_null();
    dlm_clock_format(wall, text);
    return json_string(text);
}

int64_t dlm_time_parse(const char *text)
{
    struct tm tm = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

    if (!end || *end != '.' || strspn(end + 1, "0123456789") != 3 || strcmp(end + 4, "Z"))
        return 0;
    return (int64_t)timegm(&tm) * 1000 + atoi(end + 1);
}

static json_t *text_json(const char *text)
{
    return dlm_bytes_to_json(text, text ? strlen(text) : 0);
}

/* ---- Errors ----------------------------------------------------------------------------------- */

static json_t *status_json(int status)
{
    return status ? json_integer(status) : json_null();
}

char *dlm_failure_text(const struct dlm_failure *f)
{
    CLEANUP_JSON json_t *error = json_pack("{s:s, s:i, s:s?, s:o, s:o, s:I, s:o, s:o}", "class",
                                           dlm_class_name(f->class_), "code", f->code, "stage",
                                           dlm_stage_name(f->stage), "message",
                                           text_json(f->message), "http_status",
                                           status_json(f->http_status), "attempts",
                                           (json_int_t)f->attempts, "first_try_at",
                                           dlm_time_json(f->first_try_at), "last_try_at",
                                           dlm_time_json(f->last_try_at));

    if (error && f->evidence)
        json_object_update_missing(error, (json_t *)(uintptr_t)f->evidence);
    return error ? dlm_json_dump(error) : NULL;
}

int64_t dlm_failure_first_try(const char *stored)
{
    CLEANUP_JSON json_t *error = dlm_json_object(stored);

    return dlm_time_parse(dlm_json_string(error, "first_try_at"));
}

/* Of stored, which is borrowed and may be NULL, the members of this list: null where it has none. */
static json_t *rebuild(const json_t *stored, const char *const *names, size_t n)
{
    json_t *object;

    if (!json_is_object(stored))
        return json_null();
    object = json_object();
    for (size_t i = 0; object && i < n; i++) {
        json_t *value = json_object_get(stored, names[i]);

        if (json_object_set_new(object, names[i], value ? json_incref(value) : json_null())) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *error_json(const json_t *stored)
{
    static const char *const names[] = {"class",        "code",         "stage",   "message",
                                        "http_status",  "url",          "address", "proxy",
                                        "headers",      "body_excerpt", "tls",     "attempts",
                                        "first_try_at", "last_try_at"};

    return rebuild(stored, names, ARRAY_SIZE(names));
}

/* ---- Tasks ------------------------------------------------------------------------------------- */

enum kind {
    VERSION,
    STATE,
    ZERO,
    INT,
    LONG,
    UNKNOWN,
    TEXT,
    TIME,
    RENAMED,
    WAIT,
    ERROR,
    METRICS,
    FLAG,
    BYTES
};

struct member {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define FROM(member) offsetof(struct dlm_row, member)

static const struct member members[] = {
    {"v", VERSION, 0},
    {"id", LONG, FROM(id)},
    {"state", STATE, 0},
    {"session", TEXT, FROM(session)},
    {"key", TEXT, FROM(key)},
    {"url", TEXT, FROM(url)},
    {"dir", TEXT, FROM(dir)},
    {"out", TEXT, FROM(out)},
    {"path", TEXT, FROM(path)},
    {"renamed", RENAMED, 0},
    {"bytes_done", LONG, FROM(bytes)},
    {"bytes_total", UNKNOWN, FROM(total)},
    {"speed", ZERO, 0},
    {"connections", ZERO, 0},
    {"priority", INT, FROM(priority)},
    {"attempts", LONG, FROM(attempts)},
    {"generation", LONG, FROM(generation)},
    {"created_at", TIME, FROM(created_at)},
    {"finished_at", TIME, FROM(finished_at)},
    {"wait", WAIT, 0},
    {"error", ERROR, 0},
    {"metrics", METRICS, 0},
    {"digest", TEXT, FROM(digest)},
    {"server_digest", TEXT, FROM(offered)},
    {"unverified_length", FLAG, FROM(unverified)},
    {"user_data", BYTES, 0},
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* A finished file has the name that it should have, or one that was free. */
static bool is_renamed(const struct dlm_row *row)
{
    const char *wanted = row->out ? row->out : row->name;

    return row->path && wanted && strcmp(base_name(row->path), base_name(wanted));
}

static json_t *wait_json(const struct dlm_row *row)
{
    if (!row->wait_reason)
        return json_null();
    return json_pack("{s:s, s:o}", "reason", row->wait_reason, "until", dlm_time_json(row->wake_at));
}

static json_t *row_error_json(const struct dlm_row *row)
{
    CLEANUP_JSON json_t *stored = dlm_json_object(row->error);

    return error_json(stored);
}

static json_t *member_json(const struct dlm_row *row, const struct member *m)
{
    const void *at = (const char *)row + m->offset;

    switch (m->kind) {
    case VERSION:
        return json_integer(1);
    case STATE:
        return text_json(dlm_state_name(row->state));
    case ZERO:
        return json_integer(0);
    case INT:
        return json_integer(*(const int *)at);
    case LONG:
        return json_integer(*(const int64_t *)at);
    case UNKNOWN:
        return *(const int64_t *)at < 0 ? json_null() : json_integer(*(const int64_t *)at);
    case TEXT:
        return text_json(*(char *const *)at);
    case TIME:
        return dlm_time_json(*(const int64_t *)at);
    case RENAMED:
        return json_boolean(is_renamed(row));
    case WAIT:
        return wait_json(row);
    case ERROR:
        return row_error_json(row);
    case METRICS:
        return dlm_metrics_json(row->metrics);
    case FLAG:
        return json_boolean(*(const int *)at);
    case BYTES:
        return dlm_bytes_to_json(row->user_data, row->user_data_len);
    }
    return NULL;
}

json_t *dlm_task_json(const struct dlm_row *row)
{
    json_t *task = json_object();

    for (size_t i = 0; task && i < ARRAY_SIZE(members); i++)
        if (json_object_set_new_nocheck(task, members[i].name, member_json(row, &members[i]))) {
            json_decref(task);
            return NULL;
        }
    return task;
}

/* ---- Events ------------------------------------------------------------------------------------- */

static json_t *event_head(const struct dlm_event_row *ev)
{
    return json_pack("{s:i, s:I, s:s, s:I, s:I, s:s, s:b, s:I, s:o}", "v", 1, "seq",
                     (json_int_t)ev->seq, "session", ev->session, "task", (json_int_t)ev->task,
                     "generation", (json_int_t)ev->generation, "type", ev->type, "replay",
                     (int)ev->replay, "deliveries", (json_int_t)ev->deliveries, "time",
                     dlm_time_json(ev->time));
}

/* What every event has besides: from its body, or null. */
static int event_rest(json_t *event, const json_t *body)
{
    static const char *const always[] = {"key",         "url",       "path",
                                         "bytes_total", "user_data", "unverified_length"};
    int r = json_object_update(event, (json_t *)(uintptr_t)body);

    for (size_t i = 0; i < ARRAY_SIZE(always); i++)
        if (!json_object_get(event, always[i]))
            r |= json_object_set_new(event, always[i], json_null());
    r |= json_object_set_new(event, "metrics", dlm_metrics_shown(json_object_get(body, "metrics")));
    return r | json_object_set_new(event, "error", error_json(json_object_get(body, "error")));
}

json_t *dlm_event_json(const struct dlm_event_row *ev)
{
    CLEANUP_JSON json_t *body = dlm_json_object(ev->body);
    json_t *event = event_head(ev);

    if (event && event_rest(event, body) == 0)
        return event;
    json_decref(event);
    return NULL;
}
