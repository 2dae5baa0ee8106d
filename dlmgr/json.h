/* SPDX-License-Identifier: MIT */
/*
 * json.h - the few things that we do with JSON in several places.
 *
 * Bytes that may be anything are a string where they are UTF-8 without NUL, else {"base64": "..."}. Text is dumped by
 * our own allocator, since an application may have given jansson another one.
 */
#ifndef DLM_JSON_H
#define DLM_JSON_H

#include "dlmgr/base.h"

#include <jansson.h>

#define CLEANUP_JSON CLEANUP(dlm_cleanup_json)

static inline int dlm_no_memory(dlmgr_error *e)
{
    return dlm_fail(e, DLMGR_ENOMEM, "out of memory");
}

static inline void dlm_cleanup_json(json_t **p)
{
    json_decref(*p);
}

/* One line; yours: free(). NULL when out of memory. */
char *dlm_json_dump(const json_t *json);
/* An object from text that we wrote ourselves; NULL for NULL, for other text, and when out of memory. */
json_t *dlm_json_object(const char *text);

/* NULL data is null. NULL when out of memory. */
json_t *dlm_bytes_to_json(const void *data, size_t len);
/* null gives NULL and 0. *ret is yours and ends in a NUL that is not counted. DLMGR_EINVAL: neither string nor base64. */
int dlm_bytes_from_json(const json_t *json, char **ret, size_t *ret_len);

/* Members of an object; what is absent or of another type is NULL or `otherwise`. */
const char *dlm_json_string(const json_t *object, const char *name);
int64_t dlm_json_int(const json_t *object, const char *name, int64_t otherwise);
bool dlm_json_true(const json_t *object, const char *name);

#endif
