/* SPDX-License-Identifier: MIT */
/*
 * methods.h - a method asked as the engine would ask it, with few words.
 *
 * Parameters are JSON with ' for ", so that a test can be read. A method that writes gets a transaction, which is committed when
 * it succeeds and rolled back when it refuses.
 */
#ifndef DLM_TEST_METHODS_H
#define DLM_TEST_METHODS_H

#include "dlmgr/json.h"
#include "store/store.h"

#define METHOD_PART "x.1-abcd.part"

char *method_text(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* yours */
json_t *method_params(const char *text);                                       /* NULL for NULL */

/* It must succeed; the result is yours. */
json_t *method_result(struct dlm_store *s, const char *method, const char *params);
void method_ok(struct dlm_store *s, const char *method, const char *params);
/* An integer of the result: "count"; "states.paused" is one within an object, "tasks#" the size of an array. */
long long method_int(struct dlm_store *s, const char *method, const char *params, const char *what);
/* It must fail with this code and a text that has `named` in it. */
void method_refuses(struct dlm_store *s, const char *method, const char *params, int code,
                    const char *named);

/*
 * Add a paused task with credentials and a mirror, which must get this id; it has a part METHOD_PART of three blocks (0, 1, and 5 bytes of the one
 * at 3) where dir and out say; the directories are made.
 */
void method_task_with_part(struct dlm_store *s, int64_t id, const char *dir, const char *out);

#endif
