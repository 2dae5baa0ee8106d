/* SPDX-License-Identifier: MIT */
/*
 * app.h - an app with a session, which writes down all that it is told, in one line.
 *
 *     "restored a paused; cancelled b again 2; ready; done c; drained; "
 *
 * A task is called by its client key. What `event` answers is chosen beforehand, and `act` may do more inside a callback. Progress is not written
 * down but counted. The app works in one of two places: as the owner of the home itself, or as a client of an owner in this process.
 */
#ifndef TEST_APP_H
#define TEST_APP_H

#include "dlmgr.h"
#include "dlmgr/base.h"
#include "tests/lib/house.h"

#include <stdatomic.h>

#define APP_SESSION "org.example.app"

enum app_place { APP_EMBEDDED, APP_ATTACHED, APP_PLACES };

struct app_progress { /* of one task */
    int64_t task, generation, first_ms, last_ms, bytes, total;
    int n, fell, repeated; /* times told; that it was less than before; that it was the same */
    char key[32], data[32];
};

struct app {
    dlmgr *handle;
    dlmgr_session *session;
    char said[8192]; /* all that it was told */
    int answer;      /* what `event` returns */
    /* Called for each word ("restored", "cancelled", "ready" ...) with the event, or NULL; a negative answer of an event's replaces `answer`. */
    int (*act)(struct app *a, const char *word, const dlmgr_event *event);
    void *more; /* for act */
    struct app_progress progress[8];
    int64_t seq;         /* of the last event */
    int64_t told_ms[64]; /* when it was told events */
    int n_told;
    dlmgr_error why;    /* it was lost */
    atomic_bool inside; /* in act */
};

/* The functions that write it down, all of them. */
dlmgr_delegate app_delegate(void);

/* Open the session with all functions; an assertion fails when that does not succeed. a->handle is given. */
void app_open(struct app *a, unsigned flags);
int app_try_open(struct app *a, unsigned flags, dlmgr_error *e);
void app_close(struct app *a);

/* Process until it said this (all that is new), at most 20 s; an assertion shows what it did say. */
void app_until(struct app *a, const char *said);
/* The same when more is said than that, or in between; the text must be part of it. */
void app_until_part(struct app *a, const char *part);
/* Process until there is nothing to do for a moment. */
void app_settle(struct app *a);
void app_forget(struct app *a);                                       /* what was said */
struct app_progress *app_progress_of(struct app *a, const char *key); /* NULL: none was told */

/* A paused task of the session that is never begun, with "data-KEY" as its data; its id. */
int64_t app_add(dlmgr *h, const char *key);
/* One of the session that downloads; `path` of the house's server. */
int64_t app_download(const struct house *h, dlmgr *handle, const char *key, const char *path);
void app_act(dlmgr *h, int action, int64_t id);

/* A house whose owner is h->handle, and the handle that an app in that place uses: close it with app_leave(). */
dlmgr *app_enter(struct house *h, enum app_place place);
void app_leave(struct house *h, dlmgr *handle);
/* In a house of its own, with an app in that place whose session is not open yet. */
void app_story(void (*story)(struct house *h, struct app *a), enum app_place place);
dlmgr *app_attach(const struct house *h); /* one more client; dlmgr_close() it */

int64_t app_now(void); /* monotonic ms */

#endif
