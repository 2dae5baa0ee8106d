/* SPDX-License-Identifier: MIT */
/*
 * app.c - the program that is recorded, and that goes on after the power came back: see power.h.
 *
 * Each line is one write(), made when the library has said so and not before:
 *
 *     id N             add returned it, or a list shows it
 *     ended KEY        its terminal event came
 *     claimed KEY      it is where the app wants it
 *     acked SEQ        that event will not come again
 *     removing N, removed N
 */
#include "power.h"

#include "dlmgr/base.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SESSION "org.example.power"

struct app {
    struct app_place *p;
    dlmgr *d;
    dlmgr_error error;
    int64_t pending[64]; /* answered with 0: acknowledged when dlmgr_process() returns */
    size_t n_pending;
    int ended;
};

static void __attribute__((format(printf, 2, 3))) say(const struct app *app, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (app->p->told >= 0 && vdprintf(app->p->told, fmt, args) < 0)
        abort();
    va_end(args);
}

/* ---- Adding ----------------------------------------------------------------------------------------- */

static void ask(const struct app_place *p, const struct item *item, char *url, size_t room,
                dlmgr_request *ret)
{
    const char *const *headers = item->header ? &item->header : NULL;
    static const char *list[2];

    dlmgr_request_init(ret);
    snprintf(url, room, "%s%s?%s", p->url, item->path, item->query);
    ret->url = url;
    ret->key = item->path;
    ret->dir = p->dest;
    ret->session = SESSION;
    ret->on_exists = item->on_exists;
    ret->connections = item->connections;
    ret->file_mask = 022;
    if (headers) {
        list[0] = *headers;
        ret->headers = list;
    }
}

static int add(struct app *app, bool early)
{
    static char urls[POWER_ITEMS][300];
    dlmgr_request requests[POWER_ITEMS];
    int64_t ids[POWER_ITEMS];
    size_t n = 0;
    int r;

    for (size_t i = 0; i < POWER_ITEMS && app->p->story->items[i].path; i++) {
        const struct item *item = &app->p->story->items[i];
        bool forgotten = app->p->facts && facts_forgot(app->p->facts, item->path);

        if (!forgotten && (item->early || !early))
            ask(app->p, item, urls[n], sizeof(urls[n]), &requests[n]), n++;
    }
    r = n ? dlmgr_add(app->d, requests, n, ids, NULL, &app->error) : 0;
    for (size_t i = 0; i < n && r == 0; i++)
        say(app, "id %lld\n", (long long)ids[i]);
    return r;
}

/* ---- What it is told ----------------------------------------------------------------------------------- */

static const struct item *item_of(const struct app *app, const char *key)
{
    for (size_t i = 0; i < POWER_ITEMS && app->p->story->items[i].path; i++)
        if (key && strcmp(app->p->story->items[i].path, key) == 0)
            return &app->p->story->items[i];
    return NULL;
}

static int claim(struct app *app, const dlmgr_event *event, const struct item *item)
{
    CLEANUP_FD int dir = open(app->p->claims, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dlmgr_claim_move(event, dir, item->claim, 0, &app->error);

    if (r < 0) {
        app->ended = r;
        return DLMGR_LATER;
    }
    say(app, "claimed %s\n", item->path);
    say(app, "acked %lld\n", (long long)event->seq);
    return DLMGR_LATER;
}

static int on_event(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    struct app *app = context;
    const struct item *item = item_of(app, event->key);

    (void)session;
    if (app->p->facts && facts_acked(app->p->facts, event->seq))
        app->p->wrong++;
    if (strcmp(event->type, "done") == 0 || strcmp(event->type, "failed") == 0)
        say(app, "ended %s\n", event->key);
    if (strcmp(event->type, "done") == 0 && item && item->claim)
        return claim(app, event, item);
    if (app->n_pending < ARRAY_SIZE(app->pending))
        app->pending[app->n_pending++] = event->seq;
    return 0;
}

static void on_drained(dlmgr_session *session, void *context)
{
    (void)session;
    ((struct app *)context)->ended = 1;
}

static int process(struct app *app)
{
    struct pollfd fd = {.fd = dlmgr_fd(app->d), .events = POLLIN};
    int r = 0;

    for (int64_t until = dlm_clock_mono() + 40000; r >= 0 && !app->ended;) {
        poll(&fd, 1, 1000);
        r = dlm_clock_mono() > until ? DLMGR_ETIMEDOUT : dlmgr_process(app->d, &app->error);
        for (size_t i = 0; i < app->n_pending && r >= 0; i++)
            say(app, "acked %lld\n", (long long)app->pending[i]);
        app->n_pending = 0;
    }
    return r < 0 ? r : MIN(app->ended, 0);
}

/* ---- Looking and removing -------------------------------------------------------------------------------- */

static int each(struct app *app, int (*fn)(struct app *app, const dlmgr_task *task))
{
    dlmgr_selector all = DLMGR_INIT(dlmgr_selector);
    dlmgr_list *list = NULL;
    int r;

    all.all = 1;
    r = dlmgr_query(app->d, &all, &list, &app->error);
    for (size_t i = 0; r == 0 && i < dlmgr_list_count(list); i++)
        r = fn(app, dlmgr_list_at(list, i));
    dlmgr_list_free(list);
    return r;
}

static int show(struct app *app, const dlmgr_task *task)
{
    say(app, "id %lld\n", (long long)task->id);
    return 0;
}

static int remove_marked(struct app *app, const dlmgr_task *task)
{
    const struct item *item = item_of(app, task->key);
    dlmgr_selector one = DLMGR_INIT(dlmgr_selector);
    int r;

    if (!item || !item->remove)
        return 0;
    one.ids = &task->id;
    one.n_ids = 1;
    say(app, "removing %lld %s\n", (long long)task->id, item->path);
    r = dlmgr_act(app->d, DLMGR_REMOVE, &one, NULL, &app->error);
    if (r == 0)
        say(app, "removed %lld\n", (long long)task->id);
    return r;
}

/* ---- A launch ------------------------------------------------------------------------------------------------ */

static int own(struct app *app)
{
    static const dlmgr_delegate delegate = {.size = sizeof(delegate),
                                            .event = on_event,
                                            .drained = on_drained};
    dlmgr_session *session = NULL;
    int r = add(app, false);

    if (r == 0)
        r = dlmgr_session_open(app->d, SESSION, 0, &delegate, app, &session, &app->error);
    if (r == 0)
        r = process(app);
    return r == 0 ? each(app, remove_marked) : r;
}

int app_launch(struct app_place *p, enum launch_kind kind)
{
    struct app app = {.p = p};
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    int r;

    options.home = p->home;
    options.limit_rate = p->facts ? 0 : p->story->rate;
    r = dlmgr_open(kind == LAUNCH_OWN ? DLMGR_OWN : DLMGR_EITHER, &options, &app.d, &app.error);
    if (r == 0)
        r = kind == LAUNCH_OWN   ? own(&app)
            : kind == LAUNCH_ADD ? add(&app, true)
                                 : each(&app, show);
    dlmgr_close(app.d);
    snprintf(p->why, sizeof(p->why), "%s", app.error.text);
    return r;
}
