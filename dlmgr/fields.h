/* SPDX-License-Identifier: MIT */
/*
 * fields.h - one member of a request at a time: between fields.c, which checks and takes it, and request.c.
 */
#ifndef DLM_FIELDS_H
#define DLM_FIELDS_H

#include "dlmgr/request.h"

struct dlm_parse {
    struct dlm_request *r;
    const json_t *url, *mirrors; /* borrowed, not looked at yet */
    json_t *options, *secret;    /* NULL until there is something in it */
    bool paused, url_has_user;
    int64_t start_after;
    dlmgr_error *e;
};

/* All members of the object, each by its row in the table; an unknown one is refused, null means absent. */
int dlm_fields_take(struct dlm_parse *p, const json_t *object);

/* The value is checked text without NUL; borrowed. name: of the field, for the error. */
int dlm_field_text(struct dlm_parse *p, const char *name, const json_t *value, const char **ret);

/* Steals value (NULL: out of memory); makes *object when it is NULL. */
int dlm_field_put(json_t **object, const char *name, json_t *value, dlmgr_error *e);

#endif
