/* SPDX-License-Identifier: MIT */
/*
 * methods.h - one table of what can be asked of a home, behind every door.
 *
 * A method is a name, what it needs, and a function that does the part of it that concerns the journal. The engine runs that function
 * on the journal thread (WRITE) or on a worker with the reading connection (READ); a handle without an owner runs it on
 * the caller's thread. What only an owner can do (ENGINE) has no function here: the engine answers it itself.
 */
#ifndef DLM_METHODS_H
#define DLM_METHODS_H

#include "dlmgr/taskjson.h"

enum dlm_method_kind { DLM_METHOD_READ, DLM_METHOD_WRITE, DLM_METHOD_ENGINE };

struct dlm_method {
    const char *name;
    int kind;
    bool wakes; /* afterwards the scheduler looks at the queue again, and who listens gets news */
    /* Runs inside a transaction when WRITE, and may run again after a rollback. *ret_result is a new reference. */
    int (*work)(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e);
};

/* The answer to a request, exactly once. result is the callee's; NULL when code is negative. error NULL when it is not. */
typedef void (*dlm_reply_fn)(void *context, int code, json_t *result, const dlmgr_error *error);

/*
 * READ: list, show, events, count, find, session, sessions.  WRITE: add, act, set, ack_to, session_set, session_remove, session_hold,
 * deliver, ack.  ENGINE: session_release, wait, stop, status, hello.
 * NULL when there is no such method.
 */
const struct dlm_method *dlm_method_find(const char *name);

/* Who asks, where that matters: a connection of the door, or a handle of the owner's own process. Known by its address. */
struct dlm_peer {
    int pid;
};

/*
 * Must transfers of the tasks that params select (by selector, or by "id", or by "key" and "session") be stopped and checkpointed before work
 * runs? True for act with pause, cancel and remove, and for a `set` that changes more than the priority, which leaves the task queued.
 */
bool dlm_method_halts(const struct dlm_method *m, const json_t *params);

/*
 * Results of act and set may have "parts": absolute paths of part files that nobody needs once the change is durable. Unlink them then, and take
 * the member out of the result.
 */
void dlm_parts_unlink(json_t *result);

/* An error about one of several requests begins with "tasks[N]: ". Takes that off and returns N, or -1. */
int64_t dlm_error_index(dlmgr_error *e);

/* A selector of JSON {ids, states, session, all, after, limit} as an object that can be asked about one task; used by the engine for what is in memory. */
bool dlm_selector_matches(const json_t *params, int64_t id, int state, const char *session);

#endif
