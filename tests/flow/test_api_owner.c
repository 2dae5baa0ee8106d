/* SPDX-License-Identifier: MIT */
/*
 * test_api_owner.c - dlmgr.h with an owner: being it, following it, and what happens when it comes and goes.
 *
 * An owner that must die is a forked child (a child before any thread), told by a pipe what to do; others live in this
 * process, where a second handle is a client through control.sock like any other. Files come from the fixture server.
 */
#include "dlmgr.h"
#include "dlmgr/home.h"
#include "tests/lib/fixture.h"
#include "tests/lib/owner.h"
#include "tests/lib/test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define SESSION "org.example.test"

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int open_as(int mode, dlmgr **ret, dlmgr_error *e)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    static char path[512];

    snprintf(path, sizeof(path), "%s/home", test_dir());
    options.home = path;
    return dlmgr_open(mode, &options, ret, e);
}

static dlmgr *open_mode(int mode, int place)
{
    dlmgr_error e = {0};
    dlmgr *h = NULL;
    int r = open_as(mode, &h, &e);

    test_about("%s", e.text);
    CU_ASSERT_EQUAL_FATAL(r, 0);
    CHECK_INT(dlmgr_place_of(h), place);
    return h;
}

static dlmgr_request request(const char *url)
{
    dlmgr_request r;

    dlmgr_request_init(&r);
    r.url = url;
    r.dir = test_dir();
    r.session = SESSION;
    return r;
}

static int64_t add(dlmgr *h, const char *url, int paused)
{
    dlmgr_request r = request(url);
    dlmgr_error e = {0};
    int64_t id = 0;
    int code;

    r.paused = paused;
    code = dlmgr_add(h, &r, 1, &id, NULL, &e);
    test_about("%s", e.text);
    CU_ASSERT_EQUAL_FATAL(code, 0);
    return id;
}

static int64_t count(dlmgr *h, int state, int64_t *ret_pid)
{
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);

    CHECK_INT(dlmgr_count(h, &counts, NULL), 0);
    if (ret_pid)
        *ret_pid = counts.owner_pid;
    return counts.by_state[state];
}

/* ---- The engine -------------------------------------------------------------------------------------------------- */

struct heard {
    int n;
    int64_t task;
    char type[16], path[600];
};

static int hear(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    struct heard *heard = context;

    heard->n++;
    heard->task = event->task;
    snprintf(heard->type, sizeof(heard->type), "%s", event->type);
    snprintf(heard->path, sizeof(heard->path), "%s", event->path ? event->path : "");
    CU_ASSERT(event->holder == session);
    return 0;
}

static void listen_to(dlmgr *h, struct heard *heard)
{
    dlmgr_delegate delegate = DLMGR_INIT(dlmgr_delegate);
    dlmgr_session *session = NULL;

    delegate.event = hear;
    CHECK_INT(dlmgr_session_open(h, SESSION, 0, &delegate, heard, &session, NULL), 0);
}

static void test_owner_runs_until_all_is_done(void)
{
    dlmgr *h = open_mode(DLMGR_OWN, DLMGR_PLACE_ENGINE), *second = NULL;
    struct heard heard = {0};
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    char want[600], *url, *missing;
    dlmgr_error e = {0};
    struct fx *fx;
    int64_t id;

    CU_ASSERT_EQUAL_FATAL(fx_start(&fx, NULL), 0);
    url = fx_url(fx, "/f/a.bin?size=300000&seed=7");
    missing = fx_url(fx, "/f/b.bin?status=404");
    CHECK_INT(open_as(DLMGR_OWN, &second, &e), DLMGR_EBUSY);
    snprintf(want, sizeof(want), "%d", (int)getpid());
    CU_ASSERT(strstr(e.text, want) != NULL);
    CU_ASSERT_PTR_NULL(second);
    listen_to(h, &heard);
    id = add(h, url, 0);
    CHECK_INT(dlmgr_run(h, &e), 0);
    CHECK_INT(heard.n, 1);
    CHECK_INT(heard.task, id);
    CHECK_STR(heard.type, "done");
    snprintf(want, sizeof(want), "%s/a.bin", test_dir());
    CHECK_STR(heard.path, want);
    CHECK_INT(fx_file_check(want, 300000, 7), 0);
    add(h, missing, 0);
    CHECK_INT(dlmgr_run(h, &e), 0);
    CHECK_INT(heard.n, 2);
    CHECK_STR(heard.type, "failed");
    CHECK_INT(dlmgr_count(h, &counts, &e), 0);
    CHECK_INT(counts.owner_pid, getpid());
    CHECK_INT(counts.first_failure, 3);
    CHECK_INT(counts.by_state[DLMGR_DONE], 1);
    CHECK_INT(dlmgr_wait(h, NULL, 0, 0, &e), 0);
    CHECK_INT(dlmgr_stop_owner(h, 0, &e), DLMGR_EINVAL);
    dlmgr_close(h);
    free(url);
    free(missing);
    fx_stop(fx);
}

/* The engine answers what a journal answers: the same method behind another door. */
static void test_owner_and_client_answer_alike(void)
{
    dlmgr *own = open_mode(DLMGR_OWN, DLMGR_PLACE_ENGINE),
          *client = open_mode(DLMGR_ATTACH, DLMGR_PLACE_CLIENT);
    dlmgr *const handles[] = {own, client};
    dlmgr_selector s = DLMGR_INIT(dlmgr_selector);
    dlmgr_request r[2] = {request("http://a.test/1"), request("nonsense")};
    dlmgr_error e;
    char *json[2];

    s.n_ids = 1;
    for (int i = 0; i < 2; i++) {
        int64_t id = add(handles[i], "http://127.0.0.1:9/x", 1), found = 0, changed = 0, pid = 0;
        dlmgr_change c;
        dlmgr_list *list;
        size_t bad = 9;

        test_about("handle %d", i);
        s.ids = &id;
        CHECK_INT(dlmgr_add(handles[i], r, 2, NULL, &bad, &e), DLMGR_EINVAL);
        CHECK_INT(bad, 1);
        CU_ASSERT_PTR_NULL(strstr(e.text, "tasks["));
        CHECK_INT(e.code, DLMGR_EINVAL);
        r[0].url = "http://127.0.0.1:9/x";
        CHECK_INT(dlmgr_find(handles[i], r, 1, &found, &e), 0);
        CHECK_INT(found, id);
        dlmgr_change_init(&c);
        c.has_priority = 1;
        c.priority = 3;
        CHECK_INT(dlmgr_set(handles[i], id, &c, &e), 0);
        CHECK_INT(dlmgr_query(handles[i], &s, &list, &e), 0);
        CHECK_INT(dlmgr_list_at(list, 0)->priority, 3);
        CHECK_INT(dlmgr_list_at(list, 0)->state, DLMGR_PAUSED);
        dlmgr_list_free(list);
        CHECK_INT(dlmgr_show(handles[i], id, 0, &json[i], &e), 0);
        CHECK_INT(count(handles[i], DLMGR_PAUSED, &pid), 1);
        CHECK_INT(pid, getpid());
        CHECK_INT(dlmgr_wait(handles[i], &id, 1, 50, &e), DLMGR_ETIMEDOUT);
        CHECK_INT(dlmgr_act(handles[i], DLMGR_RETRY, &s, NULL, &e), DLMGR_ESTATE);
        CHECK_INT(dlmgr_act(handles[i], DLMGR_CANCEL, &s, &changed, &e), 0);
        CHECK_INT(changed, 1);
        CHECK_INT(dlmgr_wait(handles[i], &id, 1, 5000, &e), 0);
        CHECK_INT(dlmgr_act(handles[i], DLMGR_REMOVE, &s, &changed, &e), 0);
        CHECK_INT(dlmgr_act(handles[i], DLMGR_REMOVE, &s, &changed, &e), DLMGR_ENOTFOUND);
        CHECK_INT(dlmgr_ack_to(handles[i], SESSION, i + 1, &e), 0);
        CHECK_INT(dlmgr_ack_to(handles[i], SESSION, i + 2, &e), DLMGR_EINVAL);
    }
    CHECK_INT(strlen(json[0]), strlen(json[1]));
    free(json[0]);
    free(json[1]);
    dlmgr_close(client);
    dlmgr_close(own);
}

/* What does not fit into one message is refused, and nothing of it is added. */
static void test_a_client_measures_what_it_adds(void)
{
    enum { N = 70 };
    dlmgr *own = open_mode(DLMGR_OWN, DLMGR_PLACE_ENGINE),
          *client = open_mode(DLMGR_EITHER, DLMGR_PLACE_CLIENT);
    dlmgr_request r[N];
    char *data = calloc(1, 65536);
    dlmgr_list *list = NULL;
    dlmgr_error e;

    memset(data, 'x', 65536);
    for (int i = 0; i < N; i++) {
        r[i] = request("http://127.0.0.1:9/x");
        r[i].paused = 1;
        r[i].user_data = data;
        r[i].user_data_len = 65536;
    }
    CHECK_INT(dlmgr_add(client, r, N, NULL, NULL, &e), DLMGR_ELIMIT);
    CHECK_INT(count(client, DLMGR_PAUSED, NULL), 0);
    CHECK_INT(dlmgr_add(client, r, N / 2, NULL, NULL, &e), 0);
    CHECK_INT(dlmgr_add(own, r, N, NULL, NULL, &e), 0);
    /* Answers are as long as they are. */
    CHECK_INT(dlmgr_query(client, NULL, &list, &e), 0);
    CHECK_INT(dlmgr_list_count(list), N + N / 2);
    dlmgr_list_free(list);
    free(data);
    dlmgr_close(client);
    dlmgr_close(own);
}

/* Events reach a client's own loop by its descriptor. */
static void test_a_client_hears_of_events(void)
{
    struct heard heard = {0};
    struct pollfd p = {.events = POLLIN};
    dlmgr *own = open_mode(DLMGR_OWN, DLMGR_PLACE_ENGINE),
          *client = open_mode(DLMGR_EITHER, DLMGR_PLACE_CLIENT);
    dlmgr_selector s = DLMGR_INIT(dlmgr_selector);
    int64_t id = add(own, "http://127.0.0.1:9/x", 1), until = now_ms() + 5000;

    listen_to(client, &heard);
    p.fd = dlmgr_fd(client);
    CU_ASSERT(p.fd >= 0);
    CHECK_INT(dlmgr_process(client, NULL), 0);
    CHECK_INT(dlmgr_process(client, NULL), 0);
    CHECK_INT(poll(&p, 1, 0), 0);
    s.ids = &id;
    s.n_ids = 1;
    CHECK_INT(dlmgr_act(own, DLMGR_CANCEL, &s, NULL, NULL), 0);
    CHECK_INT(poll(&p, 1, 5000), 1);
    while (!heard.n && now_ms() < until)
        dlmgr_process(client, NULL);
    CHECK_INT(heard.n, 1);
    CHECK_STR(heard.type, "cancelled");
    CHECK_INT(dlmgr_process(client, NULL), 0);
    dlmgr_close(client);
    dlmgr_close(own);
}

/* ---- Coming and going ------------------------------------------------------------------------------------------------ */

static void test_a_handle_follows_whoever_owns_the_home(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER, DLMGR_PLACE_JOURNAL);
    struct owner owner;
    int64_t pid = -1;

    add(h, "http://127.0.0.1:9/1", 1);
    owner = owner_start();
    add(h, "http://127.0.0.1:9/2", 1);
    CHECK_INT(dlmgr_place_of(h), DLMGR_PLACE_CLIENT);
    CHECK_INT(count(h, DLMGR_PAUSED, &pid), 2);
    CHECK_INT(pid, owner.pid);
    CHECK_INT(WTERMSIG(owner_end(&owner, SIGKILL)), SIGKILL);
    /* It is known before anything is sent that nobody reads it. */
    add(h, "http://127.0.0.1:9/3", 1);
    CHECK_INT(dlmgr_place_of(h), DLMGR_PLACE_JOURNAL);
    CHECK_INT(count(h, DLMGR_PAUSED, &pid), 3);
    CHECK_INT(pid, 0);
    CHECK_INT(dlmgr_wait(h, NULL, 0, 100, NULL), DLMGR_ENOOWNER);
    owner = owner_start();
    CHECK_INT(count(h, DLMGR_PAUSED, &pid), 3);
    CHECK_INT(pid, owner.pid);
    CHECK_INT(owner_end(&owner, 0), 0);
    CHECK_INT(count(h, DLMGR_PAUSED, &pid), 3);
    CHECK_INT(dlmgr_place_of(h), DLMGR_PLACE_JOURNAL);
    dlmgr_close(h);
}

static void test_an_attached_handle_says_that_the_owner_went(void)
{
    struct owner owner = owner_start();
    dlmgr *h = open_mode(DLMGR_ATTACH, DLMGR_PLACE_CLIENT);
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    dlmgr_error e;

    owner_end(&owner, SIGKILL);
    CHECK_INT(dlmgr_count(h, &counts, &e), DLMGR_ENOOWNER);
    CHECK_INT(e.code, DLMGR_ENOOWNER);
    owner = owner_start();
    CHECK_INT(dlmgr_count(h, &counts, &e), 0);
    owner_end(&owner, 0);
    dlmgr_close(h);
}

static void test_events_go_on_under_the_next_owner(void)
{
    struct owner owner = owner_start();
    dlmgr *h = open_mode(DLMGR_EITHER, DLMGR_PLACE_CLIENT);
    dlmgr_selector s = DLMGR_INIT(dlmgr_selector);
    struct heard heard = {0};
    struct pollfd p = {.events = POLLIN};
    int64_t ids[2] = {add(h, "http://127.0.0.1:9/1", 1), add(h, "http://127.0.0.1:9/2", 1)};
    int64_t until = now_ms() + 8000;

    listen_to(h, &heard);
    p.fd = dlmgr_fd(h);
    dlmgr_process(h, NULL);
    owner_end(&owner, SIGKILL);
    s.n_ids = 1;
    s.ids = &ids[0];
    CHECK_INT(dlmgr_act(h, DLMGR_CANCEL, &s, NULL, NULL), 0);
    CHECK_INT(dlmgr_process(h, NULL), 0); /* nobody holds a session without an owner */
    CHECK_INT(dlmgr_place_of(h), DLMGR_PLACE_JOURNAL);
    owner = owner_start();
    s.ids = &ids[1];
    CHECK_INT(dlmgr_act(h, DLMGR_CANCEL, &s, NULL, NULL), 0);
    while (heard.n < 2 && now_ms() < until && poll(&p, 1, 5000) == 1)
        CU_ASSERT(dlmgr_process(h, NULL) >= 0);
    CHECK_INT(heard.n, 2);
    CHECK_INT(heard.task, ids[1]);
    CHECK_INT(owner_end(&owner, 0), 0);
    dlmgr_close(h);
}

static void test_stop_owner_returns_when_it_has_gone(void)
{
    struct owner owner = owner_start();
    dlmgr *h = open_mode(DLMGR_EITHER, DLMGR_PLACE_CLIENT), *next = NULL;
    dlmgr_error e;

    CHECK_INT(dlmgr_stop_owner(h, 10000, &e), 0);
    CHECK_INT(open_as(DLMGR_OWN, &next, &e), 0);
    dlmgr_close(next);
    CHECK_INT(owner_end(&owner, 0), 0);
    CHECK_INT(dlmgr_stop_owner(h, 10000, &e), DLMGR_ENOOWNER);
    owner = owner_start();
    kill(owner.pid, SIGSTOP);
    CHECK_INT(dlmgr_stop_owner(h, 200, &e), DLMGR_ETIMEDOUT);
    kill(owner.pid, SIGCONT);
    owner_end(&owner, 0);
    dlmgr_close(h);
}

/* An embedding program that runs is told by dlmgr_run(). */
static void *stop_soon(void *context)
{
    dlmgr *client = NULL;

    (void)context;
    usleep(200000);
    if (open_as(DLMGR_ATTACH, &client, NULL) == 0)
        dlmgr_stop_owner(client, 200, NULL);
    dlmgr_close(client);
    return NULL;
}

static void test_run_ends_when_asked_to_stop(void)
{
    dlmgr *h = open_mode(DLMGR_OWN, DLMGR_PLACE_ENGINE);
    dlmgr_request r = request("http://127.0.0.1:9/x");
    pthread_t thread;
    dlmgr_error e;

    r.start_after = (int64_t)(time(NULL) + 3600) * 1000;
    CHECK_INT(dlmgr_add(h, &r, 1, NULL, NULL, &e), 0);
    CHECK_INT(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    CHECK_INT(dlmgr_run(h, &e), DLMGR_ECLOSED);
    CHECK_INT(dlmgr_stopping(h), 1);
    CHECK_INT(pthread_join(thread, NULL), 0);
    dlmgr_close(h);
}

/* The lock is taken some time before the door opens, and some time after the last owner's was shut. */
static void *own_late(void *context)
{
    struct dlm_home *home = context;
    dlmgr *h = NULL;

    usleep(500000);
    dlm_home_close(home);
    if (open_as(DLMGR_OWN, &h, NULL) == 0)
        usleep(1500000);
    dlmgr_close(h);
    return NULL;
}

static void test_waiting_begins_when_the_door_opens(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER, DLMGR_PLACE_JOURNAL);
    int64_t id = add(h, "http://127.0.0.1:9/x", 1), until = now_ms() + 5000;
    struct dlm_home *home;
    pthread_t thread;
    dlmgr_error e;
    int r;

    CU_ASSERT_EQUAL_FATAL(dlm_home_open(dlmgr_home(h), false, false, &home, NULL), 0);
    CHECK_INT(dlm_home_lock(home, NULL), 0);
    CHECK_INT(pthread_create(&thread, NULL, own_late, home), 0);
    do /* between the two it is free for a moment */
        r = dlmgr_wait(h, &id, 1, 900, &e);
    while (r == DLMGR_ENOOWNER && now_ms() < until);
    CHECK_INT(r, DLMGR_ETIMEDOUT);
    /* And when that owner goes, nobody is left to wait for. */
    CHECK_INT(dlmgr_wait(h, &id, 1, 30000, &e), DLMGR_ENOOWNER);
    CHECK_INT(pthread_join(thread, NULL), 0);
    dlmgr_close(h);
}

static void *unlock_soon(void *home)
{
    usleep(300000);
    dlm_home_close(home);
    return NULL;
}

/* Who changes the journal without an owner holds the lock for a moment, and is none. */
static void test_owning_waits_for_a_moment(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER, DLMGR_PLACE_JOURNAL);
    struct dlm_home *home;
    pthread_t thread;

    CU_ASSERT_EQUAL_FATAL(dlm_home_open(dlmgr_home(h), false, false, &home, NULL), 0);
    CHECK_INT(dlm_home_lock(home, NULL), 0);
    CHECK_INT(pthread_create(&thread, NULL, unlock_soon, home), 0);
    dlmgr_close(open_mode(DLMGR_OWN, DLMGR_PLACE_ENGINE));
    CHECK_INT(pthread_join(thread, NULL), 0);
    dlmgr_close(h);
}

/* Held, and nobody answers: tried for six seconds, then the process is named. */
static void test_an_owner_that_never_answers_is_named(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER, DLMGR_PLACE_JOURNAL);
    dlmgr_request r = request("http://127.0.0.1:9/x");
    int64_t began;
    char want[32];
    struct dlm_home *home;
    dlmgr_error e;

    add(h, r.url, 1);
    CU_ASSERT_EQUAL_FATAL(dlm_home_open(dlmgr_home(h), false, false, &home, NULL), 0);
    CHECK_INT(dlm_home_lock(home, NULL), 0);
    snprintf(want, sizeof(want), "process %d", (int)getpid());
    CHECK_INT(count(h, DLMGR_PAUSED, NULL), 1); /* reading needs no lock */
    began = now_ms();
    CHECK_INT(dlmgr_add(h, &r, 1, NULL, NULL, &e), DLMGR_ELINK);
    CU_ASSERT(strstr(e.text, want) != NULL);
    CU_ASSERT(now_ms() - began >= 5500 && now_ms() - began < 15000);
    dlm_home_close(home);
    add(h, r.url, 1);
    dlmgr_close(h);
}

/* Let one client in, answer its hello, read its call, and be gone without a word, socket and all. */
static void *go_while_asked(void *context)
{
    struct dlm_home *home = context;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    static const char hello[] = "{\"id\":1,\"result\":{\"protocol\":1}}\n";
    int door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
    char some[4096];

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control.sock", home->fd);
    CU_ASSERT_FATAL(bind(door, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
                    listen(door, 1) == 0);
    fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
    CU_ASSERT(read(fd, some, sizeof(some)) > 0 && write(fd, hello, sizeof(hello) - 1) > 0 &&
              read(fd, some, sizeof(some)) > 0);
    unlinkat(home->fd, "control.sock", 0);
    close(door);
    close(fd);
    return NULL;
}

/* An answer that does not come: with a key the task is added by whoever owns the home next, and once; without one the caller is to decide. */
static void test_a_change_that_met_the_end_of_its_owner(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER, DLMGR_PLACE_JOURNAL);
    dlmgr_request r = request("http://127.0.0.1:9/x");
    struct dlm_home *home;
    pthread_t thread;

    r.paused = 1;
    add(h, r.url, 1);
    CU_ASSERT_EQUAL_FATAL(dlm_home_open(dlmgr_home(h), false, false, &home, NULL), 0);
    for (int keyed = 0; keyed < 2; keyed++) {
        r.key = keyed ? "k" : NULL;
        CHECK_INT(pthread_create(&thread, NULL, go_while_asked, home), 0);
        while (faccessat(home->fd, "control.sock", F_OK, 0) < 0)
            usleep(1000);
        usleep(20000); /* until it listens */
        CHECK_INT(dlmgr_add(h, &r, 1, NULL, NULL, NULL), keyed ? 0 : DLMGR_ELINK);
        CHECK_INT(pthread_join(thread, NULL), 0);
        CHECK_INT(count(h, DLMGR_PAUSED, NULL), 1 + keyed);
    }
    CHECK_INT(dlmgr_add(h, &r, 1, NULL, NULL, NULL), 0);
    CHECK_INT(count(h, DLMGR_PAUSED, NULL), 2);
    dlm_home_close(home);
    dlmgr_close(h);
}

/* Who owns the home, seen from all sides; a program with a shorter structure gets no more than that. */
static void test_owner_tells_who_it_is(void)
{
    dlmgr_owner_info info = {.size = sizeof(info)},
                     shorter = {.size = offsetof(dlmgr_owner_info, version)};
    dlmgr *journal = open_mode(DLMGR_EITHER, DLMGR_PLACE_JOURNAL), *owner, *client;
    int oldest, newest = dlmgr_protocol(&oldest);

    CHECK_INT(dlmgr_owner(journal, &info, NULL), DLMGR_ENOOWNER);
    owner = open_mode(DLMGR_OWN, DLMGR_PLACE_ENGINE);
    client = open_mode(DLMGR_ATTACH, DLMGR_PLACE_CLIENT);
    memset(shorter.version, 'x', sizeof(shorter.version));
    for (int i = 0; i < 3; i++) {
        info = (dlmgr_owner_info){.size = sizeof(info)};
        test_about("handle %d", i);
        CHECK_INT(dlmgr_owner(i == 0 ? owner : i == 1 ? client : journal, &info, NULL), 0);
        CHECK_INT(info.pid, getpid());
        CU_ASSERT(info.started_at > 0);
        CHECK_INT(info.protocol, newest);
        CHECK_INT(info.protocol_oldest, oldest);
        CHECK_INT(info.protocol_newest, newest);
        CHECK_STR(info.version, dlmgr_version());
        CHECK_INT(info.size, sizeof(info));
        CHECK_INT(dlmgr_owner(i == 0 ? owner : i == 1 ? client : journal, &shorter, NULL), 0);
        CHECK_INT(shorter.protocol, newest);
        CHECK_INT(shorter.version[0], 'x');
    }
    info.size = 0;
    CHECK_INT(dlmgr_owner(client, &info, NULL), DLMGR_EINVAL);
    dlmgr_close(journal);
    dlmgr_close(client);
    dlmgr_close(owner);
}

/* ---- Threads and fork() ------------------------------------------------------------------------------------------------ */

struct waiting {
    dlmgr *h;
    int64_t id;
    int code;
};

static void *wait_long(void *context)
{
    struct waiting *w = context;

    w->code = dlmgr_wait(w->h, &w->id, 1, 60000, NULL);
    return NULL;
}

/* Who waits keeps nobody from the handle, and closing ends the wait. */
static void check_waiting(dlmgr *h)
{
    struct waiting w = {h, add(h, "http://127.0.0.1:9/x", 1), 1};
    int64_t began;
    pthread_t thread;

    CHECK_INT(pthread_create(&thread, NULL, wait_long, &w), 0);
    usleep(100000);
    began = now_ms();
    CHECK_INT(count(h, DLMGR_PAUSED, NULL), 1);
    add(h, "http://127.0.0.1:9/y", 1);
    CU_ASSERT(now_ms() - began < 5000);
    dlmgr_close(h);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_INT(w.code, DLMGR_ECLOSED);
    CU_ASSERT(now_ms() - began < 10000);
}

static void test_waiting_in_a_client_holds_nobody_up(void)
{
    struct owner owner = owner_start();

    check_waiting(open_mode(DLMGR_EITHER, DLMGR_PLACE_CLIENT));
    CHECK_INT(owner_end(&owner, 0), 0);
}

static void test_waiting_in_the_engine_holds_nobody_up(void)
{
    check_waiting(open_mode(DLMGR_OWN, DLMGR_PLACE_ENGINE));
}

static void test_a_forked_child_has_no_engine(void)
{
    dlmgr *h = open_mode(DLMGR_OWN, DLMGR_PLACE_ENGINE);
    int64_t id = add(h, "http://127.0.0.1:9/x", 1);
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        dlmgr_error e = {0};
        char *json = NULL;
        int r = dlmgr_show(h, id, 0, &json, &e);

        dlmgr_close(h);
        _exit(r == DLMGR_EFORK && e.code == r && !json ? 0 : 1);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    CHECK_INT(count(h, DLMGR_PAUSED, NULL), 1);
    dlmgr_close(h);
}

static const struct test tests[] = {
    TEST(test_owner_runs_until_all_is_done),
    TEST(test_owner_and_client_answer_alike),
    TEST(test_a_client_measures_what_it_adds),
    TEST(test_a_client_hears_of_events),
    TEST(test_a_handle_follows_whoever_owns_the_home),
    TEST(test_an_attached_handle_says_that_the_owner_went),
    TEST(test_events_go_on_under_the_next_owner),
    TEST(test_stop_owner_returns_when_it_has_gone),
    TEST(test_run_ends_when_asked_to_stop),
    TEST(test_waiting_begins_when_the_door_opens),
    TEST(test_owning_waits_for_a_moment),
    TEST(test_an_owner_that_never_answers_is_named),
    TEST(test_a_change_that_met_the_end_of_its_owner),
    TEST(test_owner_tells_who_it_is),
    TEST(test_waiting_in_a_client_holds_nobody_up),
    TEST(test_waiting_in_the_engine_holds_nobody_up),
    TEST(test_a_forked_child_has_no_engine),
};

TEST_MAIN("api_owner", tests)
