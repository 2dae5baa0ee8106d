/* SPDX-License-Identifier: MIT */
/*
 * headerfields.h - shared by headers.c, which reads lines, and headerfields.c, which knows what each field means; nobody
 * else includes this.
 *
 * A dlm_text is a piece of a line: not ended by a NUL, and it may hold any byte. It never outlives the line.
 */
#ifndef DLM_HEADERFIELDS_H
#define DLM_HEADERFIELDS_H

#include "dlmgr/headers.h"

struct dlm_text {
    const char *at;
    size_t len;
};

bool dlm_text_blank(char c); /* space or tab */
struct dlm_text dlm_text_trim(const char *at, size_t len);
bool dlm_text_is(struct dlm_text t, const char *word); /* without case */

/* Digits alone, at most 2^63 - 1; -1 otherwise. */
int64_t dlm_text_number(struct dlm_text t);

/* Record what the field says in a; false: it is none that matters. */
bool dlm_field_read(struct dlm_answer *a, struct dlm_text name, struct dlm_text value);

#endif
