/* SPDX-License-Identifier: MIT */
/*
 * api_sessions.c - sessions as seen from outside: look, set the command, remove.
 */
#include "dlmgr/api.h"
#include "dlmgr/names.h"

enum { PAGE = 1000 };

static int add_line(struct dlm_buf *b, const json_t *session)
{
    CLEANUP_FREE char *line = dlm_json_dump(session);

    if (!line)
        return DLMGR_ENOMEM;
    dlm_buf_printf(b, "%s%s", b->len ? "\n" : "", line);
    return b->failed ? DLMGR_ENOMEM : 0;
}

/* *io_after: the name that the last page ended with; NULL when it was the last one. Yours: free(). */
static int add_page(struct dlmgr *h, char **io_after, struct dlm_buf *b, dlmgr_error *e)
{
    CLEANUP_JSON json_t *result = NULL;
    const json_t *sessions, *session = NULL;
    size_t i;
    int r = dlm_api_ask(h, "sessions",
                        json_pack("{s:s?, s:i}", "after", *io_after, "limit", (int)PAGE), &result,
                        e);

    if (r < 0)
        return r;
    sessions = json_object_get(result, "sessions");
    for (i = 0; r == 0 && i < json_array_size(sessions); i++) {
        session = json_array_get(sessions, i);
        r = add_line(b, session);
    }
    free(TAKE_PTR(*io_after));
    if (r == 0 && i == PAGE && !(*io_after = dlm_strdup(dlm_json_string(session, "name"))))
        r = DLMGR_ENOMEM;
    return r < 0 ? dlm_no_memory(e) : 0;
}

static int all(struct dlmgr *h, struct dlm_buf *b, dlmgr_error *e)
{
    char *after = NULL;
    int r;

    do
        r = add_page(h, &after, b, e);
    while (r == 0 && after);
    free(after);
    return r;
}

static int one(struct dlmgr *h, const char *name, struct dlm_buf *b, dlmgr_error *e)
{
    CLEANUP_JSON json_t *result = NULL;
    int r = dlm_api_ask(h, "session", json_pack("{s:s}", "session", name), &result, e);

    if (r < 0)
        return r;
    return add_line(b, result) < 0 ? dlm_no_memory(e) : 0;
}

int dlmgr_session_info(dlmgr *handle, const char *name, char **ret_json, dlmgr_error *error)
{
    CLEANUP_BUF struct dlm_buf b = {0};
    int r = name ? dlm_api_session(name, &name, error) : 0;

    if (r == 0)
        r = name ? one(handle, name, &b, error) : all(handle, &b, error);
    if (r < 0)
        return r;
    *ret_json = dlm_buf_take(&b);
    return *ret_json ? 0 : dlm_no_memory(error);
}

int dlmgr_session_set(dlmgr *handle, const char *name, const char *on_event, dlmgr_error *error)
{
    CLEANUP_JSON json_t *result = NULL;
    int r = dlm_api_session(name, &name, error);

    if (r == 0 && on_event && !dlm_is_utf8(on_event, strlen(on_event)))
        r = dlm_fail(error, DLMGR_EINVAL, "on_event: must be UTF-8; put it into a script");
    return r < 0 ? r
                 : dlm_api_ask(handle, "session_set",
                               json_pack("{s:s, s:s?}", "session", name, "on_event", on_event),
                               &result, error);
}

int dlmgr_session_remove(dlmgr *handle, const char *name, dlmgr_error *error)
{
    CLEANUP_JSON json_t *result = NULL;
    int r = dlm_api_session(name, &name, error);

    return r < 0 ? r
                 : dlm_api_ask(handle, "session_remove", json_pack("{s:s}", "session", name),
                               &result, error);
}
