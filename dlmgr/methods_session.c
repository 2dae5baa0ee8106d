/* SPDX-License-Identifier: MIT */
/*
 * methods_session.c - sessions: list, look, set, remove; and for their holders: hold, deliver, ack.
 *
 * A holder comes with the incarnation that `session_hold` gave it. Who comes with another one has lost the session to a later holder, and
 * is told so before anything is changed. That fence stands in the journal, so it holds whoever owns the home in between; that there
 * is one holder at a time is the owner's business (engine_session.c).
 */
#include "dlmgr/method.h"
#include "dlmgr/request.h"

enum { ON_EVENT_MAX = 4096, ACKS_MAX = 1000 };

static json_t *text_or_null(const char *text)
{
    return text ? dlm_bytes_to_json(text, strlen(text)) : json_null();
}

/* Of the parameters; it must be there and be a name. */
static int name_of(const json_t *params, const char **ret, dlmgr_error *e)
{
    int r = dlm_params_text(params, "session", ret, e);

    if (r == 0 && !*ret)
        r = dlm_fail(e, DLMGR_EINVAL, "session: is missing");
    return r == 0 ? dlm_session_check(*ret, e) : r;
}

/* ---- Looking ------------------------------------------------------------------------------------------ */

/* "holder" is the owner's to fill in. */
static json_t *session_json(const struct dlm_session_row *row)
{
    json_t *tasks = json_object();

    for (int i = 0; i < DLM_STATES; i++)
        json_object_set_new(tasks, dlm_state_name(i), json_integer(row->by_state[i]));
    return json_pack("{s:i, s:s, s:I, s:I, s:o, s:I, s:n, s:o, s:o}", "v", 1, "name", row->name,
                     "last", (json_int_t)row->last, "acked", (json_int_t)row->acked, "oldest",
                     row->oldest ? json_integer(row->oldest) : json_null(), "incarnation",
                     (json_int_t)row->incarnation, "holder", "on_event",
                     text_or_null(row->on_event), "tasks", tasks);
}

static int add_session(const struct dlm_session_row *row, void *context)
{
    return dlm_append(context, session_json(row));
}

static int take_session(const struct dlm_session_row *row, void *context)
{
    *(json_t **)context = session_json(row);
    return *(json_t **)context ? 0 : DLMGR_ENOMEM;
}

static int look(struct dlm_store *s, const char *name, json_t **ret, dlmgr_error *e)
{
    int r = dlm_store_session_row(s, name, take_session, ret);

    if (r == DLMGR_ENOTFOUND)
        return dlm_no_session(name, e);
    return r < 0 ? dlm_work_failed(s, r, e) : 0;
}

int dlm_work_session(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {"session", NULL};
    const char *name = NULL;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = name_of(params, &name, e);
    return r == 0 ? look(s, name, ret_result, e) : r;
}

int dlm_work_sessions(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {"after", "limit", NULL};
    CLEANUP_JSON json_t *sessions = json_array();
    const char *after = NULL;
    int64_t limit = DLM_PAGE;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = dlm_params_text(params, "after", &after, e);
    if (r == 0)
        r = dlm_params_int(params, "limit", 1, DLM_PAGE, &limit, e);
    if (r < 0)
        return r;
    r = dlm_store_sessions(s, after, (int)limit, add_session, sessions);
    if (r < 0)
        return dlm_work_failed(s, r, e);
    *ret_result = json_pack("{s:O}", "sessions", sessions);
    return *ret_result ? 0 : dlm_no_memory(e);
}

/* ---- Changing ------------------------------------------------------------------------------------------- */

static int command_of(const json_t *params, const char **ret, dlmgr_error *e)
{
    int r = dlm_params_text(params, "on_event", ret, e);

    if (r == 0 && *ret && strlen(*ret) > ON_EVENT_MAX)
        return dlm_fail(e, DLMGR_ELIMIT, "on_event: more than %d bytes; put it into a script",
                        ON_EVENT_MAX);
    if (r == 0 && *ret && !**ret)
        *ret = NULL;
    return r;
}

int dlm_work_session_set(struct dlm_store *s, const json_t *params, json_t **ret_result,
                         dlmgr_error *e)
{
    static const char *const known[] = {"session", "on_event", NULL};
    const char *name = NULL, *command = NULL;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = name_of(params, &name, e);
    if (r == 0)
        r = command_of(params, &command, e);
    if (r == 0 && !json_object_get(params, "on_event"))
        r = dlm_fail(e, DLMGR_EINVAL, "on_event: is missing");
    if (r < 0)
        return r;
    if (!strcmp(name, "default"))
        return dlm_fail(e, DLMGR_EINVAL,
                        "session default: its events need no acknowledgement, so no command runs for them");
    r = dlm_store_session_set(s, name, command);
    return r < 0 ? dlm_work_failed(s, r, e) : look(s, name, ret_result, e);
}

int dlm_work_session_remove(struct dlm_store *s, const json_t *params, json_t **ret_result,
                            dlmgr_error *e)
{
    static const char *const known[] = {"session", NULL};
    const char *name = NULL;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = name_of(params, &name, e);
    if (r == 0 && !strcmp(name, "default"))
        r = dlm_fail(e, DLMGR_EINVAL, "session default cannot be removed");
    if (r < 0)
        return r;
    r = dlm_store_session_remove(s, name);
    if (r == DLMGR_ENOTFOUND)
        return dlm_no_session(name, e);
    if (r == DLMGR_ESTATE)
        return dlm_fail(e, r,
                        "session %.100s still has tasks: `dlmgr remove --session %.100s` first",
                        name, name);
    if (r < 0)
        return dlm_work_failed(s, r, e);
    *ret_result = json_object();
    return *ret_result ? 0 : dlm_no_memory(e);
}

/* ---- Holding ----------------------------------------------------------------------------------------------- */

/* Is whoever asks the holder still? */
static int fence(struct dlm_store *s, const char *name, int64_t incarnation, dlmgr_error *e)
{
    int64_t now = 0;
    int r = dlm_store_session_incarnation(s, name, &now);

    if (r < 0 && r != DLMGR_ENOTFOUND)
        return dlm_work_failed(s, r, e);
    if (r == 0 && now == incarnation)
        return 0;
    return dlm_fail(e, DLMGR_ELOST,
                    "session %.100s was taken over by a later holder (incarnation %lld, yours is %lld)",
                    name, (long long)now, (long long)incarnation);
}

int dlm_work_session_hold(struct dlm_store *s, const json_t *params, json_t **ret_result,
                          dlmgr_error *e)
{
    static const char *const known[] = {"session", "incarnation", "take", "wait", NULL};
    const char *name = NULL;
    int64_t incarnation = 0, last = 0, acked = 0;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = name_of(params, &name, e);
    if (r == 0)
        r = dlm_params_int(params, "incarnation", 0, INT64_MAX, &incarnation, e);
    if (r == 0 && !strcmp(name, "default"))
        r = dlm_fail(e, DLMGR_EINVAL, "session default has no holder: give your tasks a session");
    if (r == 0 && incarnation)
        r = fence(s, name, incarnation, e);
    if (r < 0)
        return r;
    r = incarnation ? 0 : dlm_store_session_hold(s, name, &incarnation);
    if (r == 0)
        r = dlm_store_session(s, name, &last, &acked);
    if (r < 0)
        return dlm_work_failed(s, r, e);
    *ret_result = json_pack("{s:b, s:I, s:I, s:I}", "held", 1, "incarnation",
                            (json_int_t)incarnation, "last", (json_int_t)last, "acked",
                            (json_int_t)acked);
    return *ret_result ? 0 : dlm_no_memory(e);
}

static int holder_of(struct dlm_store *s, const json_t *params, const char **ret_name,
                     dlmgr_error *e)
{
    int64_t incarnation = 0;
    int r = name_of(params, ret_name, e);

    if (r == 0)
        r = dlm_params_int(params, "incarnation", 1, INT64_MAX, &incarnation, e);
    return r == 0 ? fence(s, *ret_name, incarnation, e) : r;
}

/* The events of the page, and how the session is after it. */
int dlm_work_deliver(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {"session", "incarnation", "after", "to", "limit", NULL};
    CLEANUP_JSON json_t *events = json_array();
    int64_t after = 0, to = INT64_MAX, limit = DLM_PAGE;
    const char *name = NULL;
    int r = dlm_params_check(params, known, e);

    if (r == 0)
        r = dlm_params_int(params, "after", 0, INT64_MAX, &after, e);
    if (r == 0)
        r = dlm_params_int(params, "to", 0, INT64_MAX, &to, e);
    if (r == 0)
        r = dlm_params_int(params, "limit", 0, DLM_PAGE, &limit, e);
    if (r == 0)
        r = holder_of(s, params, &name, e);
    if (r < 0)
        return r;
    r = limit ? dlm_store_deliver(s, name, after, to, (int)limit, dlm_append_event, events) : 0;
    if (r < 0)
        return dlm_work_failed(s, r, e);
    r = look(s, name, ret_result, e);
    if (r == 0 && json_object_set(*ret_result, "events", events)) {
        json_decref(*ret_result);
        return dlm_no_memory(e);
    }
    return r;
}

static int ack_one(struct dlm_store *s, const char *name, const json_t *seq, dlmgr_error *e)
{
    int64_t last = 0, acked = 0;
    int r = json_is_integer(seq) ? dlm_store_ack(s, name, json_integer_value(seq))
                                 : dlm_fail(e, DLMGR_EINVAL, "seqs: must be an array of integers");

    if (r < 0 && json_is_integer(seq) && r == DLMGR_EINVAL &&
        dlm_store_session(s, name, &last, &acked) == 0)
        return dlm_fail(e, r, "seq %lld: the last event of session %.100s is %lld",
                        (long long)json_integer_value(seq), name, (long long)last);
    return r < 0 && r != DLMGR_EINVAL ? dlm_work_failed(s, r, e) : r;
}

int dlm_work_ack(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    static const char *const known[] = {"session", "incarnation", "seqs", NULL};
    const json_t *seqs = json_object_get(params, "seqs"), *seq;
    const char *name = NULL;
    size_t i;
    int r = dlm_params_check(params, known, e);

    if (r == 0 && !json_is_array(seqs))
        r = dlm_fail(e, DLMGR_EINVAL, "seqs: must be an array of integers");
    if (r == 0 && json_array_size(seqs) > ACKS_MAX)
        r = dlm_fail(e, DLMGR_ELIMIT, "seqs: more than %d at once", ACKS_MAX);
    if (r == 0)
        r = holder_of(s, params, &name, e);
    for (i = 0; r == 0 && (seq = json_array_get(seqs, i)); i++)
        r = ack_one(s, name, seq, e);
    return r == 0 ? look(s, name, ret_result, e) : r;
}
