/* SPDX-License-Identifier: MIT */
/*
 * taskjson.h - rows of the journal as the objects that dlmgr(1) describes.
 *
 * Every member is always there; what is unknown is null. Times are RFC 3339 text, bytes and rates integers, and what is not
 * UTF-8 is {"base64": ...}. All return a new reference, or NULL when out of memory.
 */
#ifndef DLM_TASKJSON_H
#define DLM_TASKJSON_H

#include "store/store.h"

#include <jansson.h>

/* From its row; the engine overlays bytes_done, speed and connections of what runs. */
json_t *dlm_task_json(const struct dlm_row *row);

json_t *dlm_event_json(const struct dlm_event_row *event);

/* Why a task could not go on. */
struct dlm_failure {
    int class_;      /* enum dlmgr_class */
    int code;        /* as dlmgr(1) exits */
    int stage;       /* enum dlmgr_stage */
    int http_status; /* 0: none */
    const char *message;
    int64_t attempts, first_try_at, last_try_at; /* wall ms; 0: nothing was tried */
    const json_t *evidence; /* members of the object that a request left (evidence.h), or NULL */
};

/* The error object of a task, for dlm_move.error: as text, yours: free(). */
char *dlm_failure_text(const struct dlm_failure *f);
/* When the first try was that this stored error tells of; 0: none, or not known. */
int64_t dlm_failure_first_try(const char *stored);

const char *dlm_class_name(int class_); /* "none" when out of range */
int dlm_class_parse(const char *name);  /* DLMGR_CLASS_NONE for NULL and others */
const char *dlm_stage_name(int stage);  /* NULL when there is none */
int dlm_stage_parse(const char *name);

json_t *dlm_time_json(int64_t wall);      /* 0: null */
int64_t dlm_time_parse(const char *text); /* what dlm_clock_format() wrote; 0 for NULL and other text */

#endif
