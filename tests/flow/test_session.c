/* SPDX-License-Identifier: MIT */
/*
 * test_session.c - what an app is told of its session, in which order and how often; embedded and through an owner alike.
 */
#include "tests/lib/app.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each story is told in both places. */
#define STORY(name)                                                                                \
    static void test_session_##name##_embedded(void)                                               \
    {                                                                                              \
        app_story(name, APP_EMBEDDED);                                                             \
    }                                                                                              \
    static void test_session_##name##_attached(void)                                               \
    {                                                                                              \
        app_story(name, APP_ATTACHED);                                                             \
    }

/* ---- The order ------------------------------------------------------------------------------------------------ */

static void order(struct house *h, struct app *a)
{
    int64_t first = app_add(a->handle, "a"), third;

    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "b"));
    third = app_add(a->handle, "c");
    app_download(h, a->handle, "d", "/f/d.bin?size=1000&seed=7");
    CHECK_INT(dlmgr_wait(a->handle, NULL, 0, 10, NULL), DLMGR_ETIMEDOUT); /* paused ones do not end */
    app_download(h, a->handle, "e", "/f/e.bin?status=404");
    for (int i = 0; i < 1000; i++) {
        dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);

        dlmgr_count(a->handle, &counts, NULL);
        if (counts.by_state[DLMGR_DONE] && counts.by_state[DLMGR_FAILED])
            break;
        usleep(10000);
    }
    app_open(a, 0);
    CHECK_INT(dlmgr_session_incarnation(a->session), 1);
    CHECK_STR(dlmgr_session_name(a->session), APP_SESSION);
    CHECK_STR(a->said, ""); /* only inside dlmgr_process() */
    app_until_part(a, "drained; ");
    CU_ASSERT(strstr(a->said, "restored a paused; restored c paused; cancelled b again 1; ") ==
              a->said);
    CU_ASSERT(strstr(a->said, "done d again 1; ") != NULL);
    CU_ASSERT(strstr(a->said, "failed e again 1; ") != NULL);
    CU_ASSERT(strstr(a->said, " again 1; ready; drained; ") != NULL);
    app_settle(a);
    app_forget(a);
    app_act(a->handle, DLMGR_CANCEL, first);
    app_until(a, "cancelled a; drained; ");
    app_close(a);
    app_settle(a);
    app_open(a, 0); /* what was acknowledged never comes again */
    CHECK_INT(dlmgr_session_incarnation(a->session), 2);
    app_until(a, "restored c paused; ready; drained; ");
    app_act(a->handle, DLMGR_CANCEL, third);
    app_until(a, "cancelled c; drained; ");
    app_close(a);
}

STORY(order)

static void empty(struct house *h, struct app *a)
{
    (void)h;
    app_open(a, 0);
    app_until(a, "ready; drained; ");
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "a"));
    app_until(a, "cancelled a; drained; ");
    app_close(a);
}

STORY(empty)

/* ---- Drained ---------------------------------------------------------------------------------------------------- */

static void *ack_elsewhere(void *context)
{
    struct app *a = context;

    usleep(50000);
    return (void *)(intptr_t)dlmgr_ack(a->session, a->seq, NULL);
}

/* An event that is kept for later keeps the session from being drained; any thread acknowledges it. */
static void later(struct house *h, struct app *a)
{
    pthread_t thread;
    void *code = a;

    (void)h;
    a->answer = DLMGR_LATER;
    app_open(a, 0);
    app_until(a, "ready; drained; ");
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "a"));
    app_until(a, "cancelled a; ");
    a->answer = 0;
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "b"));
    a->seq--;
    app_until(a, "cancelled b; ");
    a->seq = 1;
    CHECK_INT(pthread_create(&thread, NULL, ack_elsewhere, a), 0);
    app_until(a, "drained; ");
    CHECK_INT(pthread_join(thread, &code), 0);
    CHECK_INT((intptr_t)code, 0);
    CHECK_INT(dlmgr_ack(a->session, 1, NULL), 0); /* the past */
    CHECK_INT(dlmgr_ack(a->session, 3, NULL), DLMGR_EINVAL);
    /* Opened anew before it is acknowledged it comes again. */
    a->answer = DLMGR_LATER;
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "c"));
    app_until_part(a, "cancelled c; ");
    app_close(a);
    app_settle(a);
    app_forget(a);
    a->answer = 0;
    app_open(a, 0);
    app_until(a, "cancelled c again 2; ready; drained; ");
    app_close(a);
}

STORY(later)

/* Somebody else acknowledges what the app keeps: it is drained then too. */
static void acked_from_outside(struct house *h, struct app *a)
{
    (void)h;
    a->answer = DLMGR_LATER;
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "a"));
    app_open(a, 0);
    app_until(a, "cancelled a again 1; ready; ");
    CHECK_INT(dlmgr_ack_to(h->handle, APP_SESSION, 1, NULL), 0);
    app_until(a, "drained; ");
    app_close(a);
}

STORY(acked_from_outside)

static void paused(struct house *h, struct app *a)
{
    int64_t id;

    app_open(a, 0);
    app_until(a, "ready; drained; ");
    id = app_download(h, a->handle, "a", "/f/a.bin?size=3000000&seed=1&rate=100000");
    house_until(h, id, 1, -1);
    for (int i = 0; i < 5; i++)
        CU_ASSERT(dlmgr_process(a->handle, NULL) >= 0);
    CHECK_STR(a->said, "");
    app_act(a->handle, DLMGR_PAUSE, id);
    app_until(a, "drained; ");
    app_act(a->handle, DLMGR_CANCEL, id);
    app_until(a, "cancelled a; drained; ");
    app_close(a);
}

STORY(paused)

/* ---- The delegate ------------------------------------------------------------------------------------------------ */

struct ready_only {
    int ready, drained;
};

static void count_ready(dlmgr_session *session, void *context)
{
    (void)session;
    ((struct ready_only *)context)->ready++;
}

static void count_drained(dlmgr_session *session, void *context)
{
    (void)session;
    ((struct ready_only *)context)->drained++;
}

static void process_a_while(struct app *a)
{
    for (int i = 0; i < 10; i++)
        CU_ASSERT(dlmgr_process(a->handle, NULL) >= 0);
    app_settle(a);
}

/* Without `event` the events stay; an older and shorter delegate has fewer functions. */
static void missing(struct house *h, struct app *a)
{
    struct ready_only seen = {0};
    dlmgr_delegate delegate = {.size = sizeof(delegate),
                               .ready = count_ready,
                               .drained = count_drained};

    (void)h;
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "a"));
    app_add(a->handle, "b");
    CHECK_INT(dlmgr_session_open(a->handle, APP_SESSION, 0, &delegate, &seen, &a->session, NULL), 0);
    process_a_while(a);
    CHECK_INT(seen.ready, 1);
    CHECK_INT(seen.drained, 0); /* one is not acknowledged */
    CHECK_INT(dlmgr_ack(a->session, 1, NULL), 0);
    process_a_while(a);
    CHECK_INT(seen.drained, 1);
    app_close(a);
    CHECK_INT(dlmgr_session_open(a->handle, APP_SESSION, 0, NULL, NULL, &a->session, NULL), 0);
    process_a_while(a);
    app_close(a);
    delegate = (dlmgr_delegate){.size = sizeof(delegate)};
    CHECK_INT(dlmgr_session_open(a->handle, APP_SESSION, 0, &delegate, NULL, &a->session, NULL), 0);
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "c"));
    process_a_while(a);
    app_close(a);
    delegate = app_delegate();
    delegate.size = offsetof(dlmgr_delegate, progress);
    CHECK_INT(dlmgr_session_open(a->handle, APP_SESSION, 0, &delegate, a, &a->session, NULL), 0);
    app_until(a, "restored b paused; cancelled c again 1; ");
    app_close(a);
    delegate.size = 0;
    CHECK_INT(dlmgr_session_open(a->handle, APP_SESSION, 0, &delegate, a, &a->session, NULL),
              DLMGR_EINVAL);
}

STORY(missing)

/* The same key is the same task; a different request under it is an error, which changes nothing. */
static void keys(struct house *h, struct app *a)
{
    int64_t id = app_add(a->handle, "a");
    char data[65537], key[257];
    dlmgr_request r;
    dlmgr_error e;

    (void)h;
    CHECK_INT(app_add(a->handle, "a"), id);
    dlmgr_request_init(&r);
    r.url = "http://127.0.0.1:9/y";
    r.dir = test_dir();
    r.paused = 1;
    r.key = "a";
    r.session = APP_SESSION;
    CHECK_INT(dlmgr_add(a->handle, &r, 1, NULL, NULL, &e), DLMGR_EEXIST);
    memset(key, 'k', 256);
    key[256] = '\0';
    r.key = key;
    CHECK_INT(dlmgr_add(a->handle, &r, 1, NULL, NULL, &e), DLMGR_EINVAL);
    CU_ASSERT(strstr(e.text, "255") != NULL);
    memset(data, 'd', sizeof(data));
    r.key = "b";
    r.user_data = data;
    r.user_data_len = sizeof(data);
    CHECK_INT(dlmgr_add(a->handle, &r, 1, NULL, NULL, &e), DLMGR_ELIMIT);
    CU_ASSERT(strstr(e.text, "65536") != NULL);
    r.user_data_len--;
    r.session = "org.example.other"; /* where it is no one's key */
    r.key = "a";
    CHECK_INT(dlmgr_add(a->handle, &r, 1, NULL, NULL, &e), 0);
    app_open(a, 0);
    app_until(a, "restored a paused; ready; drained; ");
    app_close(a);
}

STORY(keys)

/* ---- Again --------------------------------------------------------------------------------------------------------- */

/* Not handled: again after a second, then after two; others do not wait for it, and then it is over. */
static void again(struct house *h, struct app *a)
{
    (void)h;
    a->answer = DLMGR_AGAIN;
    app_open(a, 0);
    app_until(a, "ready; drained; ");
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "a"));
    app_until_part(a, "cancelled a; ");
    a->answer = 0;
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "b"));
    app_until_part(a, "cancelled b; ");
    a->answer = -5;
    app_until_part(a, "cancelled a again 2; ");
    a->answer = 0;
    app_until_part(a, "cancelled a again 3; drained; ");
    CHECK_STR(a->said,
              "cancelled a; cancelled b; cancelled a again 2; cancelled a again 3; drained; ");
    CU_ASSERT(a->told_ms[2] - a->told_ms[0] >= 1000);
    CU_ASSERT(a->told_ms[3] - a->told_ms[2] >= 2000);
    app_forget(a);
    /* Acknowledged in between it does not come again. */
    a->answer = DLMGR_AGAIN;
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "c"));
    app_until_part(a, "cancelled c; ");
    CHECK_INT(dlmgr_ack(a->session, a->seq, NULL), 0);
    app_until(a, "cancelled c; drained; ");
    usleep(1100000);
    app_settle(a);
    CHECK_STR(a->said, "");
    app_close(a);
}

STORY(again)

/* ---- Progress ------------------------------------------------------------------------------------------------------- */

static int progress_before_done(struct app *a, const char *word, const dlmgr_event *event)
{
    const struct app_progress *p;

    if (strcmp(word, "done") != 0)
        return 0;
    p = app_progress_of(a, event->key);
    CU_ASSERT(p != NULL);
    if (p) {
        CHECK_INT(p->bytes, event->bytes_total);
        CHECK_INT(p->total, event->bytes_total);
        CHECK_INT(p->generation, event->generation);
    }
    return 0;
}

/* At most ten a second, never less than before, and the last one before `done` is the size. */
static void progress(struct house *h, struct app *a)
{
    const struct app_progress *p;

    a->act = progress_before_done;
    app_open(a, 0);
    app_download(h, a->handle, "slow", "/f/s.bin?size=300000&seed=1&rate=200000");
    app_download(h, a->handle, "empty", "/f/e.bin?size=0");
    app_download(h, a->handle, "small", "/f/t.bin?size=10&seed=2");
    /* All bytes come, and for a while nobody knows that these were all. */
    app_download(h, a->handle, "unsized",
                 "/f/u.bin?size=30000&seed=4&chunked&stall=30000&stall_ms=700");
    app_until_part(a, "done slow; ");
    app_until_part(a, "drained; ");
    CU_ASSERT(strstr(a->said, "done empty; ") != NULL);
    CU_ASSERT(strstr(a->said, "done small; ") != NULL);
    CU_ASSERT(strstr(a->said, "done unsized; ") != NULL);
    p = app_progress_of(a, "slow");
    CU_ASSERT_FATAL(p != NULL);
    CHECK_INT(p->fell, 0);
    CU_ASSERT(p->n >= 3);
    CU_ASSERT(p->n <= (p->last_ms - p->first_ms) / 100 + 2);
    CHECK_INT(p->bytes, 300000);
    CU_ASSERT_FATAL(app_progress_of(a, "empty") && app_progress_of(a, "small"));
    CHECK_INT(app_progress_of(a, "empty")->n, 1);
    CHECK_INT(app_progress_of(a, "small")->bytes, 10);
    app_close(a);
}

STORY(progress)

/* Over pauses and cuts too each one says more than the one before. */
static void progress_goes_on(struct house *h, struct app *a)
{
    int64_t id, until = app_now() + 20000;
    const struct app_progress *p;

    a->act = progress_before_done;
    fx_script(h->fx, "/seq",
              "all:size=400000 seed=3 etag=\"a\" rate=300000 ; cut=250000 ; rate=300000");
    app_open(a, 0);
    id = app_download(h, a->handle, "cut", "/seq");
    while (!app_progress_of(a, "cut") && app_now() < until)
        CU_ASSERT(dlmgr_process(a->handle, NULL) >= 0);
    app_act(a->handle, DLMGR_PAUSE, id);
    app_settle(a);
    app_act(a->handle, DLMGR_RESUME, id);
    app_until_part(a, "done cut; ");
    p = app_progress_of(a, "cut");
    CU_ASSERT_FATAL(p != NULL);
    CHECK_INT(p->fell, 0);
    CHECK_INT(p->repeated, 0);
    CHECK_INT(p->bytes, 400000);
    app_close(a);
}

STORY(progress_goes_on)

/* A file that has gone since says so. */
static void gone(struct house *h, struct app *a)
{
    int64_t id = app_download(h, a->handle, "a", "/f/a.bin?size=10&seed=1");

    CHECK_INT(dlmgr_wait(a->handle, &id, 1, 20000, NULL), 0);
    app_download(h, a->handle, "b", "/f/b.bin?size=10&seed=1");
    CHECK_INT(dlmgr_wait(a->handle, NULL, 0, 20000, NULL), 0);
    CHECK_INT(unlink(house_path(h, "a.bin")), 0);
}

static int is_missing(struct app *a, const char *word, const dlmgr_event *event)
{
    (void)a;
    (void)word;
    if (event) {
        CHECK_INT(event->missing, !strcmp(event->key, "a"));
        char *json = dlmgr_event_json(event);

        CU_ASSERT(json && strstr(json, event->missing ? "\"missing\":true" : "\"missing\":false"));
        free(json);
    }
    return 0;
}

static void file_gone(struct house *h, struct app *a)
{
    gone(h, a);
    a->act = is_missing;
    app_open(a, 0);
    app_until(a, "done a again 1; done b again 1; ready; drained; ");
    app_close(a);
}

STORY(file_gone)

static const struct test tests[] = {
    TEST(test_session_order_embedded),
    TEST(test_session_order_attached),
    TEST(test_session_empty_embedded),
    TEST(test_session_empty_attached),
    TEST(test_session_later_embedded),
    TEST(test_session_later_attached),
    TEST(test_session_acked_from_outside_embedded),
    TEST(test_session_acked_from_outside_attached),
    TEST(test_session_paused_embedded),
    TEST(test_session_paused_attached),
    TEST(test_session_missing_embedded),
    TEST(test_session_missing_attached),
    TEST(test_session_keys_embedded),
    TEST(test_session_keys_attached),
    TEST(test_session_again_embedded),
    TEST(test_session_again_attached),
    TEST(test_session_progress_embedded),
    TEST(test_session_progress_attached),
    TEST(test_session_progress_goes_on_embedded),
    TEST(test_session_progress_goes_on_attached),
    TEST(test_session_file_gone_embedded),
    TEST(test_session_file_gone_attached),
};

TEST_MAIN("session", tests)
