/* SPDX-License-Identifier: MIT */
/*
 * test_session_owner.c - a session whose owner comes and goes, and a client that does not listen: nothing is lost, nothing comes twice.
 *
 * The owner is a process of its own, so that it can be killed. This one has no threads.
 *
 * timeout: 240
 */
#include "dlmgr/home.h"
#include "tests/lib/app.h"
#include "tests/lib/door.h"
#include "tests/lib/owner.h"
#include "tests/lib/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static dlmgr *open_as(int mode)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    char path[512];
    dlmgr *h = NULL;

    snprintf(path, sizeof(path), "%s/home", test_dir());
    options.home = path;
    CU_ASSERT_FATAL(dlmgr_open(mode, &options, &h, NULL) == 0);
    return h;
}

static void cancel(dlmgr *h, const char *key)
{
    app_act(h, DLMGR_CANCEL, app_add(h, key));
}

/* Numbers of the events that are left: all that were not acknowledged. */
static size_t left(dlmgr *h)
{
    dlmgr_event_list *list = NULL;
    size_t n;

    CHECK_INT(dlmgr_events(h, APP_SESSION, -1, 0, &list, NULL), 0);
    n = dlmgr_event_list_count(list);
    dlmgr_event_list_free(list);
    return n;
}

/* Without an owner there is nothing to do, and that is no error. */
static void process_alone(struct app *a)
{
    for (int i = 0; i < 3; i++)
        CHECK_INT(dlmgr_process(a->handle, NULL), 0);
    CHECK_STR(a->said, "");
}

/* The session goes on where it was: what is kept for later stays kept, and what happened meanwhile comes now. */
static void test_session_goes_on_with_the_next_owner(void)
{
    for (int sig = 0; sig <= SIGKILL; sig += SIGKILL) {
        struct owner owner = owner_start();
        struct app a = {.handle = open_as(DLMGR_ATTACH), .answer = DLMGR_LATER};
        dlmgr *other = open_as(DLMGR_EITHER);
        char key[4][16];

        test_about("signal %d", sig);
        for (int i = 0; i < 4; i++)
            snprintf(key[i], sizeof(key[i]), "%c%d", 'a' + i, sig);
        app_open(&a, 0);
        app_until(&a, "ready; drained; ");
        cancel(other, key[0]);
        app_until_part(&a, "cancelled a");
        a.answer = 0;
        cancel(other, key[1]);
        app_until_part(&a, "cancelled b");
        app_settle(&a);
        CHECK_INT(owner_end(&owner, sig) == 0, sig == 0);
        app_forget(&a);
        process_alone(&a);
        cancel(other, key[2]); /* by a journal's own hand */
        CHECK_INT(dlmgr_place_of(other), DLMGR_PLACE_JOURNAL);
        owner = owner_start();
        app_until_part(&a, "cancelled c");
        cancel(other, key[3]);
        app_until_part(&a, "cancelled d");
        app_settle(&a);
        CU_ASSERT(!strstr(a.said, "ready") && !strstr(a.said, "cancelled a") &&
                  !strstr(a.said, "cancelled b") && !strstr(a.said, "again"));
        CHECK_INT(left(other), 1);
        app_forget(&a);
        CHECK_INT(dlmgr_ack(a.session, a.seq - 3, NULL), 0);
        app_until(&a, "drained; ");
        CHECK_INT(left(other), 0);
        app_close(&a);
        dlmgr_close(a.handle);
        dlmgr_close(other);
        CHECK_INT(owner_end(&owner, 0), 0);
    }
}

static int kill_owner(struct app *a, const char *word, const dlmgr_event *event)
{
    struct owner *owner = a->more;

    (void)word;
    if (event && !strcmp(event->key, "b") && owner->pid > 0) {
        owner_end(owner, SIGKILL);
        owner->pid = 0;
    }
    return 0;
}

/* What was answered while the owner died is sent to the next one, before anything else, and does not come again. */
static void test_acknowledgements_wait_for_the_next_owner(void)
{
    struct owner owner = owner_start();
    struct app a = {.handle = open_as(DLMGR_ATTACH), .act = kill_owner, .more = &owner};
    dlmgr *other = open_as(DLMGR_EITHER);

    cancel(other, "a");
    cancel(other, "b");
    cancel(other, "c");
    app_open(&a, 0);
    app_until_part(&a, "cancelled c again 1; ");
    CHECK_STR(a.said, "cancelled a again 1; cancelled b again 1; cancelled c again 1; ");
    CHECK_INT(left(other), 3);
    app_forget(&a);
    process_alone(&a);
    owner = owner_start();
    app_until(&a, "ready; drained; ");
    CHECK_INT(left(other), 0);
    CHECK_INT(dlmgr_session_incarnation(a.session), 1);
    dlmgr_close(a.handle);
    dlmgr_close(other);
    CHECK_INT(owner_end(&owner, 0), 0);
}

/* Who opens it before the old holder is back has it; that one is told. */
static void test_session_is_lost_to_who_was_faster(void)
{
    struct owner owner = owner_start();
    struct app a = {.handle = open_as(DLMGR_ATTACH), .answer = DLMGR_LATER}, b = {0};

    app_open(&a, 0);
    app_until(&a, "ready; drained; ");
    cancel(a.handle, "a");
    app_until(&a, "cancelled a; ");
    owner_end(&owner, SIGKILL);
    process_alone(&a);
    owner = owner_start();
    b.handle = open_as(DLMGR_ATTACH);
    app_open(&b, 0);
    CHECK_INT(dlmgr_session_incarnation(b.session), 2);
    CHECK_INT(dlmgr_ack(a.session, 1, NULL), DLMGR_ELOST);
    app_until(&a, "lost; ");
    app_until(&b, "cancelled a again 2; ready; drained; ");
    dlmgr_close(a.handle);
    dlmgr_close(b.handle);
    CHECK_INT(owner_end(&owner, 0), 0);
}

/* Who stood in line does not pass its holder by when the owner is restarted, and has its turn afterwards. */
static void test_the_line_stands_when_the_owner_is_restarted(void)
{
    struct owner owner = owner_start();
    struct app a = {.handle = open_as(DLMGR_ATTACH)}, b = {.handle = open_as(DLMGR_ATTACH)};
    int64_t until;

    app_open(&a, 0);
    app_until(&a, "ready; drained; ");
    app_open(&b, DLMGR_WAIT);
    app_settle(&b);
    owner_end(&owner, SIGKILL);
    dlmgr_process(a.handle, NULL);
    dlmgr_process(b.handle, NULL);
    owner = owner_start();
    for (until = app_now() + 500; app_now() < until; usleep(20000))
        CHECK_INT(dlmgr_process(b.handle, NULL), 0); /* back before the holder */
    CHECK_STR(b.said, "");
    cancel(b.handle, "a");
    app_until(&a, "cancelled a; drained; ");
    app_close(&a);
    app_until(&b, "ready; drained; ");
    CHECK_INT(dlmgr_session_incarnation(b.session), 2);
    dlmgr_close(a.handle);
    dlmgr_close(b.handle);
    CHECK_INT(owner_end(&owner, 0), 0);
}

/* The app is killed: its session is free at once, and the next one gets what it had not acknowledged. */
static void test_session_of_a_killed_app_is_free(void)
{
    struct owner owner = owner_start();
    struct app a = {.handle = open_as(DLMGR_ATTACH)};
    int ready[2];
    char byte;
    pid_t pid;

    cancel(a.handle, "a");
    CU_ASSERT_FATAL(pipe(ready) == 0);
    pid = fork();
    if (pid == 0) {
        struct app killed = {.handle = open_as(DLMGR_ATTACH), .answer = DLMGR_LATER};

        app_open(&killed, 0);
        app_until_part(&killed, "ready; ");
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(2);
    }
    CU_ASSERT_FATAL(pid > 0 && read(ready[0], &byte, 1) == 1);
    CHECK_INT(app_try_open(&a, 0, NULL), DLMGR_EBUSY);
    app_open(&a, DLMGR_WAIT);
    kill(pid, SIGKILL);
    app_until(&a, "cancelled a again 2; ready; drained; ");
    close(ready[0]);
    close(ready[1]);
    dlmgr_close(a.handle);
    CHECK_INT(owner_end(&owner, 0), 0);
}

/* ---- A client that does not listen --------------------------------------------------------------------------- */

enum { MANY = 100000, PAGE = 10000 };

/* Tasks and an event of each, by a journal's own hand. */
static void tell_many(const char *session)
{
    dlmgr_selector all = {.size = sizeof(all), .session = session};
    dlmgr *h = open_as(DLMGR_EITHER);
    dlmgr_request *r = calloc(PAGE, sizeof(*r));

    for (int i = 0; i < PAGE; i++) {
        dlmgr_request_init(&r[i]);
        r[i].url = "http://127.0.0.1:9/x";
        r[i].dir = test_dir();
        r[i].session = session;
        r[i].paused = 1;
    }
    for (int i = 0; i < MANY; i += PAGE) {
        CU_ASSERT_FATAL(dlmgr_add(h, r, PAGE, NULL, NULL, NULL) == 0);
        CU_ASSERT_FATAL(dlmgr_act(h, DLMGR_CANCEL, &all, NULL, NULL) == 0);
    }
    free(r);
    dlmgr_close(h);
}

static long rss_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    f = fopen(path, "r");
    CU_ASSERT_FATAL(f != NULL);
    while (fgets(line, sizeof(line), f))
        sscanf(line, "VmRSS: %ld", &kib);
    fclose(f);
    return kib;
}

/* Asks for all that there is, and for more; and reads the answers, or nothing of them. */
static void ask_for_all(struct raw *door, const char *session, int incarnation, bool read)
{
    char line[256];

    snprintf(line, sizeof(line),
             "{'jsonrpc':'2.0','id':1,'method':'session_hold','params':{'session':'%s'}}\n",
             session);
    CU_ASSERT_FATAL(raw_say(door, line));
    json_decref(raw_json(door));
    CU_ASSERT_FATAL(raw_say(door, "{'jsonrpc':'2.0','id':2,'method':'subscribe'}\n"));
    json_decref(raw_json(door));
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof(line),
                 "{'jsonrpc':'2.0','id':3,'method':'deliver','params':{'session':'%s','incarnation':%d,"
                 "'after':%d}}\n",
                 session, incarnation, i * 1000);
        CU_ASSERT_FATAL(raw_say(door, line));
        if (read)
            json_decref(raw_json(door));
    }
}

static void check_deaf_client(const struct owner *owner, struct app *a)
{
    struct dlm_home *home = NULL;
    struct raw door;
    long before, after;
    char path[512];

    snprintf(path, sizeof(path), "%s/home", test_dir());
    CU_ASSERT_FATAL(dlm_home_open(path, false, false, &home, NULL) == 0);
    door = raw_open(home); /* one that reads, so that what an owner keeps for its own use is there */
    ask_for_all(&door, "org.example.deaf", 1, true);
    raw_close(&door);
    for (int i = 0; i < 50; i++)
        cancel(a->handle, (char[]){(char)('A' + i / 10), (char)('0' + i % 10), 0});
    app_until_part(a, "cancelled E9; ");
    app_settle(a);
    before = rss_kib(owner->pid);
    door = raw_open(home);
    ask_for_all(&door, "org.example.deaf", 2, false);
    for (int i = 0; i < 50; i++) {
        cancel(a->handle, (char[]){(char)('a' + i / 10), (char)('0' + i % 10), 0});
        dlmgr_process(a->handle, NULL);
    }
    app_until_part(a, "cancelled e9; "); /* nobody else waits */
    app_settle(a);
    after = rss_kib(owner->pid);
    test_about("%ld KiB before, %ld KiB after", before, after);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    printf("    a sanitizer's own memory is not counted\n");
#else
    CU_ASSERT(after - before < 1024);
#endif
    printf("    owner: %ld KiB before, %ld KiB with a client that does not read\n", before, after);
    raw_close(&door);
    dlm_home_close(home);
}

static void test_a_client_that_does_not_read(void)
{
    struct owner owner;
    struct app a = {0};

    tell_many("org.example.deaf");
    owner = owner_start();
    a.handle = open_as(DLMGR_ATTACH);
    app_open(&a, 0);
    app_until(&a, "ready; drained; ");
    check_deaf_client(&owner, &a);
    dlmgr_close(a.handle);
    CHECK_INT(owner_end(&owner, 0), 0);
}

static const struct test tests[] = {
    TEST(test_session_goes_on_with_the_next_owner),
    TEST(test_acknowledgements_wait_for_the_next_owner),
    TEST(test_session_is_lost_to_who_was_faster),
    TEST(test_the_line_stands_when_the_owner_is_restarted),
    TEST(test_session_of_a_killed_app_is_free),
    TEST(test_a_client_that_does_not_read),
};

TEST_MAIN("session_owner", tests)
