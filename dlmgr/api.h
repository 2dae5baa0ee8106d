/* SPDX-License-Identifier: MIT */
/*
 * api.h - what the files behind dlmgr.h share: the handle, and one way to ask for a method.
 *
 * Each public function is enter, call, leave. dlm_api_call() finds out who answers:
 *
 *     ENGINE    the engine of this handle, on its own thread
 *     CLIENT    whoever owns the home, through control.sock
 *     JOURNAL   nobody owns it: the method runs here, on the caller's thread, holding the lock for one transaction when
 *               it changes something
 */
#ifndef DLM_API_H
#define DLM_API_H

#include "dlmgr/client.h"
#include "dlmgr/engine.h"
#include "dlmgr/json.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

/* How long both are tried in turn, while the lock is held and nobody answers; and how long an answer may take. */
enum { DLM_API_OWNER_MS = 6000, DLM_API_BETWEEN_MS = 30, DLM_API_ANSWER_MS = 60000 };

struct dlm_listening {
    bool at_work;            /* some thread is in dlmgr_process(); under the handle's lock, as is */
    pthread_t worker;        /* that thread */
    atomic_bool close_later; /* closed by a callback: when the last one has left */
    atomic_bool news;        /* there may be something to look at */
    _Atomic int wake; /* rung by ourselves; made, with what follows, by the first dlmgr_fd() */

    pthread_mutex_t set; /* for what follows */
    int epoll, timer;
    struct dlm_client *client;      /* subscribed; in the set; holds the sessions */
    struct dlmgr_session *sessions; /* open ones, and closed ones that a look may still need */
};

struct dlmgr {
    pid_t pid; /* of the process that opened it */
    int mode;
    struct dlm_log log;
    struct dlm_home *home;
    struct dlm_engine *engine;
    _Atomic int place;

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t left;
    bool closing;
    int inside;                /* calls under way */
    struct dlm_client *waiter; /* a connection for dlmgr_wait(), while no thread has it */
    struct dlm_listening listening;

    pthread_mutex_t turn; /* calls take turns, for what follows */
    struct dlm_client *client;
    struct dlm_store *reader; /* of a journal that nobody owns */
    dev_t reader_dev;
    ino_t reader_ino;
};

/* DLMGR_EINVAL for NULL, DLMGR_EFORK, DLMGR_ECLOSED; else to be left. */
int dlm_api_enter(struct dlmgr *h, dlmgr_error *e);
void dlm_api_leave(struct dlmgr *h);
/* For one that is inside for long: DLMGR_ECLOSED when another thread waits for it to leave. */
int dlm_api_still(struct dlmgr *h, dlmgr_error *e);

/* Between enter and leave. params is stolen, and NULL means that there was no memory for them: pass an object. */
int dlm_api_call(struct dlmgr *h, const char *method, json_t *params, json_t **ret_result,
                 dlmgr_error *e);
/* The same with enter and leave. */
int dlm_api_ask(struct dlmgr *h, const char *method, json_t *params, json_t **ret_result,
                dlmgr_error *e);

/* Run the method on the journal itself. DLMGR_EBUSY: somebody holds the lock. params is borrowed. */
int dlm_api_journal(struct dlmgr *h, const struct dlm_method *m, json_t *params,
                    json_t **ret_result, dlmgr_error *e);

/* Have a connection to the owner in h->client: DLMGR_ENOOWNER or DLMGR_ELINK when that cannot be. Within a turn, or alone. */
int dlm_api_connect(struct dlmgr *h, dlmgr_error *e);
/* Nobody owns the home: DLMGR_ENOOWNER; somebody does but cannot be reached: DLMGR_ELINK. */
int dlm_api_nobody(struct dlmgr *h, dlmgr_error *e);
/* Nobody answered: there is no owner, or it is coming, going, or (the second) slow. */
static inline bool dlm_api_absent(int r)
{
    return r == DLMGR_ENOOWNER || r == DLMGR_ELINK || r == DLMGR_ECLOSED;
}

static inline bool dlm_api_unanswered(int r)
{
    return dlm_api_absent(r) || r == DLMGR_ETIMEDOUT;
}

/* The owner is absent: 0, after a pause, when asking again makes sense before `until` (mono ms), for somebody holds the lock. */
int dlm_api_again(struct dlmgr *h, int64_t until, dlmgr_error *e);
/* Has the other side hung up? Asked before a request is sent, since after that nobody knows whether it took effect. */
bool dlm_api_gone(const struct dlm_client *c);

/* Something was changed here by ourselves: whoever listens is to look. */
void dlm_api_news(struct dlmgr *h);
/* Under `set`: have the connection that brings the news, unless the engine is ours. */
int dlm_api_subscribe(struct dlmgr *h, dlmgr_error *e);
void dlm_api_unsubscribe(struct dlmgr *h); /* it is broken: the sessions are to be held anew */
/* Under `set`: end that connection, since it is broken or nobody knows what it holds. */
void dlm_api_unsubscribe(struct dlmgr *h);
bool dlm_api_in_callback(struct dlmgr *h);
/* Free sessions that were closed, once no look is under way. */
void dlm_api_sweep(struct dlmgr *h);
void dlm_api_listening_init(struct dlm_listening *l);
void dlm_api_listening_close(struct dlmgr *h);
/* What dlmgr_close() does when nobody is inside any more. */
void dlm_api_destroy(struct dlmgr *h);

/* A page of events from a method's result, which is stolen. replay: all of them are. holder: that they are given to, or NULL. */
int dlm_api_events(json_t *result, bool replay, dlmgr_session *holder, dlmgr_event_list **ret,
                   dlmgr_error *e);

/* "default" for NULL. DLMGR_EINVAL when no session can have that name. */
int dlm_api_session(const char *given, const char **ret, dlmgr_error *e);
/* A request as JSON. umask_: what file_mask -1 stands for; proxies: of the environment, borrowed, NULL none. */
int dlm_api_request(const dlmgr_request *request, int umask_, json_t *proxies, json_t **ret,
                    dlmgr_error *e);
int dlm_api_umask(dlmgr_error *e);
/* json_string() did not take it: no memory, or no UTF-8. */
int dlm_api_no_text(const char *name, const char *text, dlmgr_error *e);
/* {"http", "https", "all", "no"} of the caller's environment; NULL: none of them is set. */
int dlm_api_proxies(json_t **ret, dlmgr_error *e);

/* Into a request or a change: the names that dlmgr_secret_parameters() was given. */
int dlm_api_secret_names(json_t *object, dlmgr_error *e);
/* {"ids", "states", "session", "after", "limit", "all"}; NULL selects without any restriction. */
int dlm_api_selector(const dlmgr_selector *selector, bool query, json_t **ret, dlmgr_error *e);

/* A member that is text, borrowed from the object; NULL when it is null. Bytes that are no text: their base64. */
const char *dlm_api_text(const json_t *object, const char *name);
/* Copy what the caller's struct has of ours; its size is its first member. DLMGR_EINVAL when that was not set. */
int dlm_api_struct(void *ours, size_t size, const void *theirs, const char *what, dlmgr_error *e);

#endif
