/* SPDX-License-Identifier: MIT */
/*
 * test_session_holders.c - one holder at a time: in line, taken over, closed from within and from elsewhere.
 */
#include "dlmgr/json.h"
#include "tests/lib/app.h"
#include "tests/lib/door.h"
#include "tests/lib/test.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The same with an app that is the owner itself, and with one that is a client. */
#define STORY(name)                                                                                \
    static void test_##name##_embedded(void)                                                       \
    {                                                                                              \
        app_story(name, APP_EMBEDDED);                                                             \
    }                                                                                              \
    static void test_##name##_attached(void)                                                       \
    {                                                                                              \
        app_story(name, APP_ATTACHED);                                                             \
    }

static bool named(const dlmgr_error *e, int pid)
{
    char want[32];

    snprintf(want, sizeof(want), "process %d", pid);
    return strstr(e->text, want) != NULL;
}

/* ---- In line ------------------------------------------------------------------------------------------------- */

static void one_holder(struct house *h, struct app *a)
{
    struct app b = {.handle = app_attach(h)};
    dlmgr_error e = {0};
    char *info = NULL;

    app_open(a, 0);
    CHECK_INT(app_try_open(&b, 0, &e), DLMGR_EBUSY);
    CU_ASSERT(named(&e, getpid()));
    CU_ASSERT_PTR_NULL(b.session);
    app_until(a, "ready; drained; ");
    CHECK_INT(dlmgr_session_info(b.handle, APP_SESSION, &info, NULL), 0);
    CU_ASSERT(info && strstr(info, "\"incarnation\":1,") && !strstr(info, "\"holder\":null"));
    free(info);
    app_close(a);
    app_open(&b, 0);
    CHECK_INT(dlmgr_session_incarnation(b.session), 2);
    app_until(&b, "ready; drained; ");
    dlmgr_close(b.handle); /* which closes its session */
    app_open(a, 0);
    app_until(a, "ready; drained; ");
    app_close(a);
}

STORY(one_holder)

/* First come, first served; who leaves the line is not waited for. */
static void in_line(struct house *h, struct app *a)
{
    struct app b = {.handle = app_attach(h)}, c = {.handle = app_attach(h)},
               d = {.handle = app_attach(h)};

    app_open(a, 0);
    app_until(a, "ready; drained; ");
    app_open(&b, DLMGR_WAIT);
    app_open(&c, DLMGR_WAIT);
    app_open(&d, DLMGR_WAIT);
    app_settle(&b);
    app_settle(&c);
    app_settle(&d);
    CHECK_STR(b.said, "");
    CHECK_INT(dlmgr_session_incarnation(b.session), 0);
    CHECK_INT(dlmgr_ack(b.session, 0, NULL), DLMGR_ELOST);
    app_close(&b);
    app_settle(&b);
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "a"));
    app_until(a, "cancelled a; drained; ");
    app_close(a);
    app_until(&c, "ready; drained; ");
    CHECK_INT(dlmgr_session_incarnation(c.session), 2);
    app_settle(&d);
    CHECK_STR(d.said, "");
    dlmgr_close(c.handle);
    app_until(&d, "ready; drained; ");
    app_close(&d);
    dlmgr_close(b.handle);
    dlmgr_close(d.handle);
}

STORY(in_line)

/* ---- Taken over ------------------------------------------------------------------------------------------------ */

static void taken(struct house *h, struct app *a)
{
    struct app b = {.handle = app_attach(h)}, c = {.handle = app_attach(h)};
    dlmgr_error e = {0};

    a->answer = DLMGR_LATER;
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "a"));
    app_open(a, 0);
    app_until(a, "cancelled a again 1; ready; ");
    app_open(&c, DLMGR_WAIT);
    app_open(&b, DLMGR_TAKE);
    CHECK_INT(dlmgr_session_incarnation(b.session), 2);
    CHECK_INT(dlmgr_ack(a->session, 1, &e), DLMGR_ELOST);
    CU_ASSERT(strstr(e.text, APP_SESSION) != NULL);
    app_until(&b, "cancelled a again 2; ready; drained; ");
    app_until(a, "lost; ");
    CHECK_INT(a->why.code, DLMGR_ELOST);
    app_act(h->handle, DLMGR_CANCEL, app_add(h->handle, "b"));
    app_until(&b, "cancelled b; drained; ");
    app_settle(a);
    CHECK_STR(a->said, ""); /* once, and nothing after it */
    CHECK_INT(dlmgr_ack(a->session, 2, NULL), DLMGR_ELOST);
    app_close(a);
    app_settle(&c);
    CHECK_STR(c.said, ""); /* that closed nothing of who has it now */
    CHECK_INT(app_try_open(a, 0, &e), DLMGR_EBUSY);
    app_close(&b);
    app_until(&c, "ready; drained; ");
    dlmgr_close(b.handle);
    dlmgr_close(c.handle);
}

STORY(taken)

/* A handle may open the session anew before it closes the one that it lost. */
static void taken_back(struct house *h, struct app *a)
{
    struct app b = {.handle = app_attach(h)}, again = {.handle = a->handle};
    dlmgr_error e = {0};

    app_open(a, 0);
    app_until(a, "ready; drained; ");
    app_open(&b, DLMGR_TAKE);
    app_until(a, "lost; ");
    app_open(&again, DLMGR_TAKE);
    app_until(&again, "ready; drained; ");
    app_until(&b, "lost; ");
    app_close(a); /* the old one, which holds nothing */
    app_settle(&again);
    CHECK_INT(app_try_open(a, 0, &e), DLMGR_EBUSY);
    app_close(&b);
    CHECK_INT(app_try_open(&b, 0, &e), DLMGR_EBUSY);
    app_act(h->handle, DLMGR_CANCEL, app_add(h->handle, "a"));
    app_until(&again, "cancelled a; drained; ");
    app_close(&again);
    dlmgr_close(b.handle);
}

STORY(taken_back)

static void say_refused(struct raw *door, const char *line, int code)
{
    json_t *answer;

    CU_ASSERT_FATAL(raw_say(door, line));
    answer = raw_json(door);
    CHECK_INT(dlm_json_int(json_object_get(answer, "error"), "code", 0), code);
    json_decref(answer);
}

/* Taking over with nonsense is refused, and takes nothing. */
static void refused(struct house *h, struct app *a)
{
    struct app b = {.handle = app_attach(h)};
    struct dlm_home *home = NULL;
    dlmgr_error e = {0};
    struct raw door;

    app_open(a, 0);
    app_until(a, "ready; drained; ");
    CU_ASSERT_FATAL(dlm_home_open(h->home, false, false, &home, NULL) == 0);
    door = raw_open(home);
    say_refused(&door,
                "{'jsonrpc':'2.0','id':1,'method':'session_hold','params':{'session':'" APP_SESSION
                "','take':true,'nonsense':1}}\n",
                DLMGR_EINVAL);
    say_refused(&door,
                "{'jsonrpc':'2.0','id':2,'method':'session_hold','params':{'session':'" APP_SESSION
                "','take':true,'incarnation':7}}\n",
                DLMGR_ELOST);
    CHECK_INT(app_try_open(&b, 0, &e), DLMGR_EBUSY);
    CU_ASSERT(named(&e, getpid()));
    raw_close(&door);
    app_act(h->handle, DLMGR_CANCEL, app_add(h->handle, "a"));
    app_until(a, "cancelled a; drained; ");
    app_close(a);
    app_open(&b, 0);
    dlmgr_close(b.handle);
    dlm_home_close(home);
}

STORY(refused)

/* A session that is removed under its holder is lost; what comes under its name then is nothing of his. */
static void removed(struct house *h, struct app *a)
{
    struct app b = {.handle = app_attach(h)};
    int64_t id = app_add(h->handle, "a");

    a->answer = DLMGR_LATER;
    app_open(a, 0);
    app_until(a, "restored a paused; ready; drained; ");
    app_act(h->handle, DLMGR_CANCEL, id);
    app_until(a, "cancelled a; ");
    CHECK_INT(dlmgr_session_remove(h->handle, APP_SESSION, NULL), DLMGR_ESTATE);
    app_act(h->handle, DLMGR_REMOVE, id);
    CHECK_INT(dlmgr_session_remove(h->handle, APP_SESSION, NULL), 0);
    app_act(h->handle, DLMGR_CANCEL, app_add(h->handle, "b"));
    app_open(&b, DLMGR_TAKE);
    CHECK_INT(dlmgr_ack(a->session, 1, NULL), DLMGR_ELOST); /* another event 1 */
    app_until(&b, "cancelled b again 1; ready; drained; ");
    app_until(a, "lost; ");
    app_close(a);
    dlmgr_close(b.handle);
}

STORY(removed)

/* ---- From within a callback ------------------------------------------------------------------------------------ */

static int add_more(struct app *a, const char *word, const dlmgr_event *event)
{
    int64_t *id = a->more;

    if (!strcmp(word, "ready"))
        *id = app_add(a->handle, "b");
    if (event && !strcmp(event->key, "a"))
        app_act(a->handle, DLMGR_CANCEL, *id);
    return 0;
}

static void callback_adds(struct house *h, struct app *a)
{
    int64_t first = app_add(a->handle, "a"), second = 0;

    (void)h;
    a->act = add_more;
    a->more = &second;
    app_open(a, 0);
    app_until_part(a, "ready; ");
    app_act(a->handle, DLMGR_CANCEL, first);
    app_until_part(a, "cancelled b; drained; ");
    app_settle(a);
    CU_ASSERT(strstr(a->said, "cancelled a; ") != NULL);
    CHECK_INT(dlmgr_process(a->handle, NULL), 0);
    app_close(a);
}

STORY(callback_adds)

static int close_session(struct app *a, const char *word, const dlmgr_event *event)
{
    if (!strcmp(word, a->more))
        app_close(a);
    (void)event;
    return 0;
}

/* What it answered before it closed counts, and nothing comes after it. */
static void callback_closes(struct house *h, struct app *a)
{
    static const struct {
        const char *word, *said, *next;
    } rows[] = {
        {"restored", "restored c paused; ",
         "restored c paused; cancelled a again 1; cancelled b again 1; ready; drained; "},
        {"cancelled", "restored c paused; cancelled d again 1; ",
         "restored c paused; cancelled e again 2; ready; drained; "},
        {"ready", "restored c paused; ready; ", "restored c paused; ready; drained; "},
        {"drained", "restored c paused; ready; drained; ", "restored c paused; ready; drained; "},
    };

    app_add(a->handle, "c");
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "a"));
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "b"));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        if (i == 1) {
            app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "d"));
            app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "e"));
        }
        a->act = close_session;
        a->more = (char *)(uintptr_t)rows[i].word;
        app_open(a, 0);
        app_until(a, rows[i].said);
        CU_ASSERT_PTR_NULL(a->session);
        a->act = NULL;
        app_open(a, 0);
        app_until(a, rows[i].next);
        app_close(a);
        app_settle(a);
    }
    (void)h;
}

STORY(callback_closes)

static int reopen(struct app *a, const char *word, const dlmgr_event *event)
{
    (void)event;
    if (strcmp(word, "ready") != 0)
        return 0;
    a->act = NULL;
    app_close(a);
    app_open(a, 0);
    return 0;
}

/* Closed and opened again inside a callback it is held like any other. */
static void callback_reopens(struct house *h, struct app *a)
{
    struct app b = {.handle = app_attach(h)};
    dlmgr_error e;

    app_add(a->handle, "a");
    a->act = reopen;
    app_open(a, 0);
    app_until(a, "restored a paused; ready; restored a paused; ready; drained; ");
    CHECK_INT(dlmgr_session_incarnation(a->session), 2);
    CHECK_INT(app_try_open(&b, 0, &e), DLMGR_EBUSY);
    app_act(h->handle, DLMGR_CANCEL, app_add(h->handle, "b"));
    app_until(a, "cancelled b; drained; ");
    app_close(a);
    app_open(&b, 0);
    dlmgr_close(b.handle);
}

STORY(callback_reopens)

static int close_handle(struct app *a, const char *word, const dlmgr_event *event)
{
    (void)event;
    if (!strcmp(word, "cancelled")) {
        CU_ASSERT_PTR_NULL(dlmgr_close(a->handle));
        CHECK_INT(dlmgr_ack(a->session, 1, NULL), DLMGR_ECLOSED);
    }
    return 0;
}

static void callback_closes_handle(struct house *h, struct app *a)
{
    bool own = a->handle == h->handle;
    struct app b = {0};
    dlmgr_error e;
    int r, fd = dlmgr_fd(a->handle);

    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "a"));
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "b"));
    a->act = close_handle;
    app_open(a, 0);
    do
        r = dlmgr_process(a->handle, &e);
    while (r == 0 && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 10000) == 1);
    CHECK_INT(r, DLMGR_ECLOSED);
    CHECK_STR(a->said, "cancelled a again 1; ");
    if (own)
        house_open(h);
    a->handle = own ? h->handle : app_attach(h);
    b.handle = a->handle;
    app_open(&b, 0);
    app_until(&b, "cancelled b again 2; ready; drained; ");
    app_close(&b);
}

STORY(callback_closes_handle)

/* ---- From another thread ---------------------------------------------------------------------------------------- */

struct closer {
    struct app *app;
    atomic_bool done;
    bool handle;
};

static void *close_elsewhere(void *context)
{
    struct closer *c = context;

    while (!atomic_load(&c->app->inside))
        usleep(1000);
    if (c->handle)
        dlmgr_close(c->app->handle);
    else
        dlmgr_session_close(c->app->session);
    atomic_store(&c->done, true);
    return NULL;
}

/* Who closes waits until the callback has returned. */
static int linger(struct app *a, const char *word, const dlmgr_event *event)
{
    struct closer *c = a->more;

    (void)event;
    if (strcmp(word, "cancelled") != 0)
        return 0;
    usleep(200000);
    CU_ASSERT(!atomic_load(&c->done));
    if (c->handle)
        CU_ASSERT_PTR_NULL(dlmgr_session_close(a->session));
    return 0;
}

static void closed_elsewhere(struct app *a, bool handle)
{
    struct closer closer = {.app = a, .handle = handle};
    pthread_t thread;

    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "a"));
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "b"));
    a->act = linger;
    a->more = &closer;
    app_open(a, 0);
    CHECK_INT(pthread_create(&thread, NULL, close_elsewhere, &closer), 0);
    for (int n = 0; n < 100 && !a->said[0]; n++)
        dlmgr_process(a->handle, NULL);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_STR(a->said, "cancelled a again 1; ");
    a->act = NULL;
    app_forget(a);
}

static void closing_waits(struct house *h, struct app *a)
{
    (void)h;
    closed_elsewhere(a, false);
    app_settle(a);
    CHECK_STR(a->said, "");
    app_open(a, 0);
    app_until(a, "cancelled b again 2; ready; drained; ");
    app_close(a);
}

STORY(closing_waits)

/* The handle is closed by another thread, and the callback closes its session: it gets nothing after that. */
static void closing_both(struct house *h, struct app *a)
{
    bool own = a->handle == h->handle;

    closed_elsewhere(a, true);
    if (own)
        house_open(h);
    a->handle = own ? h->handle : app_attach(h);
    app_open(a, 0);
    app_until(a, "cancelled b again 2; ready; drained; ");
    app_close(a);
}

STORY(closing_both)

static void *busy_thread(void *context)
{
    struct app *a = context, b = {.handle = a->handle};

    for (int i = 0; i < 30; i++) {
        dlmgr_delegate delegate = {.size = sizeof(delegate)};
        char name[32];

        snprintf(name, sizeof(name), "org.example.t%d", i % 3);
        if (dlmgr_session_open(a->handle, name, i % 2 ? DLMGR_WAIT : DLMGR_TAKE, &delegate, NULL,
                               &b.session, NULL) < 0)
            continue;
        dlmgr_fd(a->handle);
        dlmgr_process(a->handle, NULL);
        if (dlmgr_session_incarnation(b.session))
            dlmgr_ack(b.session, 0, NULL);
        dlmgr_ack(a->session, 1, NULL);
        dlmgr_session_close(b.session);
    }
    return NULL;
}

/* Opened, processed, acknowledged and closed by many threads at once. */
static void many_threads(struct house *h, struct app *a)
{
    struct app other = {.handle = app_attach(h)};
    pthread_t threads[4];

    app_open(a, 0);
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, busy_thread, a), 0);
    for (int i = 0; i < 20; i++) {
        app_open(&other, DLMGR_TAKE);
        app_close(&other);
    }
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    app_until_part(a, "lost; ");
    app_close(a);
    app_settle(a);
    app_forget(a);
    app_open(a, 0);
    app_until(a, "ready; drained; ");
    app_close(a);
    dlmgr_close(other.handle);
}

STORY(many_threads)

/* clang-format off */
#define BOTH(name) TEST(test_##name##_embedded), TEST(test_##name##_attached)
/* clang-format on */

static const struct test tests[] = {
    BOTH(one_holder),       BOTH(in_line),       BOTH(taken),         BOTH(taken_back),
    BOTH(refused),          BOTH(removed),       BOTH(callback_adds), BOTH(callback_closes),
    BOTH(callback_reopens), BOTH(closing_waits), BOTH(closing_both),  BOTH(callback_closes_handle),
    BOTH(many_threads),
};

TEST_MAIN("session_holders", tests)
