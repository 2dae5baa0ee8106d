/* SPDX-License-Identifier: MIT */
/*
 * method.h - what the files behind the table of methods share.
 *
 * A work function checks its parameters itself: they come from another process. Unknown members are refused, for a misspelt
 * selector would otherwise select everything.
 */
#ifndef DLM_METHOD_H
#define DLM_METHOD_H

#include "dlmgr/json.h"
#include "dlmgr/methods.h"

enum { DLM_PAGE = 1000, DLM_IDS_MAX = 10000, DLM_ADD_MAX = 10000, DLM_ACT_PAGE = 5000 };

/* Parameters are an object (or NULL) with no other members than these; known ends in NULL. */
int dlm_params_check(const json_t *params, const char *const *known, dlmgr_error *e);
/* Absent or null: NULL in *ret. */
int dlm_params_text(const json_t *params, const char *name, const char **ret, dlmgr_error *e);
/* Absent or null: *ret is left. */
/* For methods whose only parameter is `tasks`: an array of at most so many. Borrowed from params. */
int dlm_params_tasks(const json_t *params, int most, const json_t **ret, dlmgr_error *e);
int dlm_params_int(const json_t *params, const char *name, int64_t min, int64_t max, int64_t *ret,
                   dlmgr_error *e);

struct dlm_selection {
    int64_t *ids; /* sorted, each once; NULL: not by id */
    size_t n_ids;
    unsigned states;
    const char *session; /* borrowed from params */
    int64_t after;
    int64_t limit;
    bool all;
};

#define DLM_SELECTOR_MEMBERS "ids", "states", "session", "after", "limit", "all"
int dlm_selection_read(const json_t *params, struct dlm_selection *ret, dlmgr_error *e);
void dlm_selection_clear(struct dlm_selection *sel);

/* value is stolen, and NULL when there was no memory for it. 0 or DLMGR_ENOMEM. */
int dlm_append(json_t *array, json_t *value);
int dlm_append_event(const struct dlm_event_row *ev, void *array); /* a dlm_event_row_fn */

int dlm_no_session(const char *name, dlmgr_error *e); /* DLMGR_ENOTFOUND */
/* Fill e for a failure of the store, or for a missing task. */
int dlm_work_failed(struct dlm_store *s, int code, dlmgr_error *e);
int dlm_task_get(struct dlm_store *s, int64_t id, struct dlm_row *ret, dlmgr_error *e);

/* Absolute path of the task's part file in *ret, NULL when it has none. */
int dlm_part_path(const char *dir, const char *out, const char *part, char **ret);
/*
 * The part of `row` comes along to where dir and out say, or its bytes are forgotten; the row has its new directory already. The old path is added to
 * `parts`, to be unlinked after the commit. create: missing directories are made.
 */
int dlm_part_follow(struct dlm_store *s, const struct dlm_row *row, const char *dir,
                    const char *out, bool create, json_t *parts, dlmgr_error *e);

typedef int dlm_work_fn(struct dlm_store *s, const json_t *params, json_t **ret_result,
                        dlmgr_error *e);
dlm_work_fn dlm_work_list, dlm_work_show, dlm_work_events, dlm_work_count, dlm_work_find;
dlm_work_fn dlm_work_add, dlm_work_act, dlm_work_set, dlm_work_ack_to;
dlm_work_fn dlm_work_session, dlm_work_sessions, dlm_work_session_set, dlm_work_session_remove;
dlm_work_fn dlm_work_session_hold, dlm_work_deliver, dlm_work_ack;

/* Does `set` with these parameters change what a running transfer does, so that it begins anew? */
bool dlm_set_restarts(const json_t *params);

#endif
