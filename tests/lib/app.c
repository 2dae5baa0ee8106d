/* SPDX-License-Identifier: MIT */
/*
 * app.c - an app with a session: see app.h.
 */
#include "tests/lib/app.h"

#include "tests/lib/test.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LONG_MS = 10000, QUIET_MS = 150 };

int64_t app_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void say(struct app *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct app *a, const char *fmt, ...)
{
    size_t len = strlen(a->said);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(a->said + len, sizeof(a->said) - len, fmt, ap);
    va_end(ap);
}

static int act(struct app *a, const char *word, const dlmgr_event *event)
{
    int r = 0;

    if (!a->act)
        return 0;
    atomic_store(&a->inside, true);
    r = a->act(a, word, event);
    atomic_store(&a->inside, false);
    return r;
}

/* ---- What it is told ------------------------------------------------------------------------------------ */

static void check_data(const char *key, const void *data, size_t len)
{
    char want[48];

    snprintf(want, sizeof(want), "data-%s", key ? key : "");
    if (CHECK_INT(len, strlen(want)))
        CHECK_MEM(data, want, len);
}

static void on_restored(dlmgr_session *session, const dlmgr_task *task, void *context)
{
    struct app *a = context;

    CU_ASSERT(a->session == NULL || a->session == session);
    check_data(task->key, task->user_data, task->user_data_len);
    CHECK_STR(task->session, dlmgr_session_name(session));
    say(a, "restored %s %s; ", task->key, dlmgr_state_name(task->state));
    act(a, "restored", NULL);
}

static int on_event(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    struct app *a = context;
    char *json;
    int answer;

    CU_ASSERT(event->holder == session);
    CHECK_STR(event->session, dlmgr_session_name(session));
    json = dlmgr_event_json(event);
    CU_ASSERT(json && strstr(json, "\"seq\""));
    free(json);
    CU_ASSERT(event->deliveries > 0 && event->time > 0);
    check_data(event->key, event->user_data, event->user_data_len);
    a->seq = event->seq;
    if (a->n_told < 64)
        a->told_ms[a->n_told++] = app_now();
    if (event->replay)
        say(a, "%s %s again %lld; ", event->type, event->key, (long long)event->deliveries);
    else
        say(a, "%s %s; ", event->type, event->key);
    answer = a->answer;
    return act(a, event->type, event) < 0 ? DLMGR_AGAIN : answer;
}

static struct app_progress *find_progress(struct app *a, int64_t task)
{
    for (size_t i = 0; i < ARRAY_SIZE(a->progress); i++)
        if (!a->progress[i].task || a->progress[i].task == task)
            return &a->progress[i];
    CU_FAIL_FATAL("too many tasks");
    return NULL;
}

static void on_progress(dlmgr_session *session, const dlmgr_progress *progress, void *context)
{
    struct app *a = context;
    struct app_progress *p = find_progress(a, progress->task);

    (void)session;
    if (p->task && p->generation == progress->generation) {
        p->fell += progress->bytes_done < p->bytes;
        p->repeated += progress->bytes_done == p->bytes;
    }
    if (!p->task)
        p->first_ms = app_now();
    check_data(progress->key, progress->user_data, progress->user_data_len);
    p->task = progress->task;
    p->generation = progress->generation;
    p->bytes = progress->bytes_done;
    p->total = progress->bytes_total;
    p->last_ms = app_now();
    p->n++;
    snprintf(p->key, sizeof(p->key), "%s", progress->key);
    act(a, "progress", NULL);
}

static void on_ready(dlmgr_session *session, void *context)
{
    struct app *a = context;

    (void)session;
    say(a, "ready; ");
    act(a, "ready", NULL);
}

static void on_drained(dlmgr_session *session, void *context)
{
    struct app *a = context;

    (void)session;
    say(a, "drained; ");
    act(a, "drained", NULL);
}

static void on_lost(dlmgr_session *session, const dlmgr_error *why, void *context)
{
    struct app *a = context;

    (void)session;
    a->why = *why;
    say(a, "lost; ");
    act(a, "lost", NULL);
}

dlmgr_delegate app_delegate(void)
{
    return (dlmgr_delegate){.size = sizeof(dlmgr_delegate),
                            .restored = on_restored,
                            .event = on_event,
                            .progress = on_progress,
                            .ready = on_ready,
                            .drained = on_drained,
                            .lost = on_lost};
}

/* ---- What it does ------------------------------------------------------------------------------------------ */

int app_try_open(struct app *a, unsigned flags, dlmgr_error *e)
{
    dlmgr_delegate delegate = app_delegate();

    return dlmgr_session_open(a->handle, APP_SESSION, flags, &delegate, a, &a->session, e);
}

void app_open(struct app *a, unsigned flags)
{
    dlmgr_error e = {0};
    int r = app_try_open(a, flags, &e);

    if (!CHECK_INT(r, 0)) {
        CHECK_STR(e.text, "");
        CU_FAIL_FATAL("the session does not open");
    }
}

void app_close(struct app *a)
{
    a->session = dlmgr_session_close(a->session);
}

static void step(struct app *a, int ms)
{
    struct pollfd p = {.fd = dlmgr_fd(a->handle), .events = POLLIN};
    dlmgr_error e = {0};
    int r;

    CU_ASSERT_FATAL(p.fd >= 0);
    poll(&p, 1, ms);
    r = dlmgr_process(a->handle, &e);
    if (r < 0)
        CHECK_STR(e.text, "");
}

void app_until(struct app *a, const char *said)
{
    int64_t until = app_now() + LONG_MS;

    while (strlen(a->said) < strlen(said) && app_now() < until)
        step(a, 200);
    app_settle(a);
    CHECK_STR(a->said, said);
    app_forget(a);
}

void app_until_part(struct app *a, const char *part)
{
    int64_t until = app_now() + LONG_MS;

    while (!strstr(a->said, part) && app_now() < until)
        step(a, 200);
    if (!strstr(a->said, part))
        CHECK_STR(a->said, part);
}

void app_settle(struct app *a)
{
    int64_t until = app_now() + LONG_MS;
    struct pollfd p = {.fd = dlmgr_fd(a->handle), .events = POLLIN};

    while (poll(&p, 1, QUIET_MS) > 0 && app_now() < until)
        step(a, 0);
    CU_ASSERT(app_now() < until); /* else its descriptor never rests */
}

void app_forget(struct app *a)
{
    a->said[0] = '\0';
}

struct app_progress *app_progress_of(struct app *a, const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(a->progress); i++)
        if (a->progress[i].task && !strcmp(a->progress[i].key, key))
            return &a->progress[i];
    return NULL;
}

/* ---- Tasks --------------------------------------------------------------------------------------------------- */

static int64_t add(dlmgr *h, dlmgr_request *r, const char *key)
{
    char data[48];
    dlmgr_error e = {0};
    int64_t id = 0;

    snprintf(data, sizeof(data), "data-%s", key);
    r->session = APP_SESSION;
    r->key = key;
    r->user_data = data;
    r->user_data_len = strlen(data);
    if (!CHECK_INT(dlmgr_add(h, r, 1, &id, NULL, &e), 0))
        CHECK_STR(e.text, "");
    r->user_data = NULL; /* it was ours */
    return id;
}

int64_t app_add(dlmgr *h, const char *key)
{
    dlmgr_request r;

    dlmgr_request_init(&r);
    r.url = "http://127.0.0.1:9/x";
    r.dir = test_dir();
    r.paused = 1;
    return add(h, &r, key);
}

int64_t app_download(const struct house *h, dlmgr *handle, const char *key, const char *path)
{
    char *url = fx_url(h->fx, "%s", path);
    dlmgr_request r = house_request(h, url);
    int64_t id = add(handle, &r, key);

    free(url);
    return id;
}

void app_act(dlmgr *h, int action, int64_t id)
{
    dlmgr_selector s = {.size = sizeof(s), .ids = &id, .n_ids = 1};
    dlmgr_error e = {0};

    if (!CHECK_INT(dlmgr_act(h, action, &s, NULL, &e), 0))
        CHECK_STR(e.text, "");
}

/* ---- Places -------------------------------------------------------------------------------------------------- */

dlmgr *app_attach(const struct house *h)
{
    dlmgr_options options = {.size = sizeof(options), .home = h->home};
    dlmgr_error e = {0};
    dlmgr *client = NULL;

    if (!CHECK_INT(dlmgr_open(DLMGR_ATTACH, &options, &client, &e), 0))
        CHECK_STR(e.text, "");
    CU_ASSERT_FATAL(client != NULL);
    return client;
}

dlmgr *app_enter(struct house *h, enum app_place place)
{
    house_begin(h);
    test_about("%s", place == APP_EMBEDDED ? "embedded" : "attached");
    return place == APP_EMBEDDED ? h->handle : app_attach(h);
}

void app_leave(struct house *h, dlmgr *handle)
{
    if (handle != h->handle)
        dlmgr_close(handle);
    house_end(h);
}

void app_story(void (*story)(struct house *h, struct app *a), enum app_place place)
{
    struct house h;
    struct app a = {.handle = app_enter(&h, place)};

    story(&h, &a);
    app_leave(&h, a.handle);
}
