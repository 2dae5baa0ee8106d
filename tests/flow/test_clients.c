/* SPDX-License-Identifier: MIT */
/*
 * test_clients.c - one owner and several clients at once, through dlmgr.h alone; the owner is killed, and another comes.
 *
 * timeout: 240
 *
 * Each client is a process that adds, lists, pauses, resumes and waits at random, and writes down what was acknowledged, in a file of
 * its own, when it was. Its tasks have keys, so that after DLMGR_ELINK it asks the same again. In the end somebody opens the home and looks: all
 * that was acknowledged is there, each file is whole, each task has ended once.
 */
#include "dlmgr/home.h"
#include "tests/lib/fixture.h"
#include "tests/lib/test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 4, TASKS = 60, END_MS = 60000 };

static struct fx *fx;
static char home[300], files[300];

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void begin(void)
{
    snprintf(home, sizeof(home), "%s/home", test_dir());
    snprintf(files, sizeof(files), "%s/files", test_dir());
    CU_ASSERT_EQUAL_FATAL(mkdir(files, 0755), 0);
    CU_ASSERT_EQUAL_FATAL(fx_start(&fx, NULL), 0);
}

static int open_as(int mode, dlmgr **ret, dlmgr_error *e)
{
    dlmgr_options o = DLMGR_INIT(dlmgr_options);

    o.home = home;
    return dlmgr_open(mode, &o, ret, e);
}

static int64_t size_of(int client, int i)
{
    return 1000 + (client * 7919 + i * 104729) % 60000;
}

/* ---- Processes ----------------------------------------------------------------------------------------- */

static pid_t child(int (*fn)(int arg), int arg)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(200);
    _exit(fn(arg));
}

static int ended(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A client that found no owner holds the lock for a moment. */
static int own(dlmgr **ret)
{
    int64_t until = now_ms() + 10000;
    dlmgr_error e = {0};
    int r;

    while ((r = open_as(DLMGR_OWN, ret, &e)) == DLMGR_EBUSY && now_ms() < until)
        usleep(2000);
    if (r < 0)
        fprintf(stderr, "owner: %d %s\n", r, e.text);
    return r;
}

static int owner_main(int ready)
{
    struct pollfd p = {.events = POLLIN};
    dlmgr *h = NULL;

    if (own(&h) || write(ready, "x", 1) != 1)
        return 1;
    p.fd = dlmgr_fd(h);
    while (!dlmgr_stopping(h)) {
        poll(&p, 1, 1000);
        dlmgr_process(h, NULL);
    }
    dlmgr_close(h);
    return 0;
}

static pid_t owner_start(void)
{
    int ready[2];
    char byte;
    pid_t pid;

    CU_ASSERT_FATAL(pipe(ready) == 0);
    pid = child(owner_main, ready[1]);
    close(ready[1]);
    CU_ASSERT_FATAL(pid > 0 && read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    return pid;
}

static void owner_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    CHECK_INT(ended(pid), -SIGKILL);
}

static void owner_ask(pid_t pid)
{
    dlmgr *h = NULL;

    CHECK_INT(open_as(DLMGR_ATTACH, &h, NULL), 0);
    CHECK_INT(dlmgr_stop_owner(h, 10000, NULL), 0);
    dlmgr_close(h);
    CHECK_INT(ended(pid), 0);
}

/* ---- A client -------------------------------------------------------------------------------------------- */

struct client {
    int number, added;
    bool may_lose; /* its owner */
    unsigned seed;
    dlmgr *handle;
    FILE *said;
    int64_t ids[TASKS];
};

static int complain(const struct client *c, const char *what, int code, const dlmgr_error *e)
{
    if (c->may_lose && code == DLMGR_ELINK)
        return 0;
    fprintf(stderr, "client %d, %s: %d %s\n", c->number, what, code, e->text);
    return 1;
}

static int client_add(struct client *c)
{
    int n = 1 + rand_r(&c->seed) % 5;
    char *urls[5], keys[5][40], outs[5][40];
    dlmgr_request requests[5];
    dlmgr_error e = {0};
    int64_t ids[5];
    int r;

    n = n > TASKS - c->added ? TASKS - c->added : n;
    for (int i = 0; i < n; i++) {
        int k = c->added + i;

        urls[i] = fx_url(fx, "/c%d/%d?size=%lld&seed=%d", c->number, k,
                         (long long)size_of(c->number, k), k + 1);
        snprintf(keys[i], sizeof(keys[i]), "c%d-%d", c->number, k);
        snprintf(outs[i], sizeof(outs[i]), "c%d-%d.bin", c->number, k);
        dlmgr_request_init(&requests[i]);
        requests[i].url = urls[i];
        requests[i].dir = files;
        requests[i].key = keys[i];
        requests[i].out = outs[i];
        requests[i].retry_wait_ms = 50;
    }
    r = dlmgr_add(c->handle, requests, (size_t)n, ids, NULL, &e);
    for (int i = 0; i < n; i++) {
        if (r == 0) {
            c->ids[c->added++] = ids[i];
            fprintf(c->said, "%lld %s\n", (long long)ids[i], outs[i]);
        }
        free(urls[i]);
    }
    fflush(c->said);
    return r == 0 ? 0 : complain(c, "add", r, &e);
}

static int client_list(struct client *c)
{
    dlmgr_selector s = DLMGR_INIT(dlmgr_selector);
    dlmgr_list *list = NULL;
    dlmgr_error e = {0};
    int r;

    s.ids = c->ids;
    s.n_ids = (size_t)c->added;
    r = dlmgr_query(c->handle, &s, &list, &e);
    if (r < 0)
        return complain(c, "query", r, &e);
    if (dlmgr_list_count(list) != (size_t)c->added) {
        fprintf(stderr, "client %d sees %zu of %d tasks\n", c->number, dlmgr_list_count(list),
                c->added);
        r = 1;
    }
    dlmgr_list_free(list);
    return r;
}

static int client_act(struct client *c)
{
    static const int actions[] = {DLMGR_PAUSE, DLMGR_RESUME};
    dlmgr_selector s = DLMGR_INIT(dlmgr_selector);
    dlmgr_error e = {0};
    int r;

    s.ids = &c->ids[rand_r(&c->seed) % c->added];
    s.n_ids = 1;
    r = dlmgr_act(c->handle, actions[rand_r(&c->seed) % 2], &s, NULL, &e);
    return r == 0 || r == DLMGR_ESTATE ? 0 : complain(c, "act", r, &e);
}

static int client_wait(struct client *c)
{
    dlmgr_error e = {0};
    int r = dlmgr_wait(c->handle, &c->ids[rand_r(&c->seed) % c->added], 1, 20, &e);

    return r == 0 || r == DLMGR_ETIMEDOUT || (r == DLMGR_ENOOWNER && c->may_lose)
               ? 0
               : complain(c, "wait", r, &e);
}

static int client_rest(struct client *c)
{
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    dlmgr_error e = {0};
    int r = dlmgr_count(c->handle, &counts, &e);

    return r == 0 ? 0 : complain(c, "count", r, &e);
}

/* What was paused goes on, whoever owns the home by then. */
static int client_finish(struct client *c)
{
    dlmgr_selector s = DLMGR_INIT(dlmgr_selector);
    dlmgr_error e = {0};
    int64_t until = now_ms() + END_MS;
    int r;

    s.states = 1u << DLMGR_PAUSED;
    while ((r = dlmgr_act(c->handle, DLMGR_RESUME, &s, NULL, &e)) == DLMGR_ELINK && now_ms() < until)
        ;
    return r == 0 ? 0 : complain(c, "resume", r, &e);
}

static int client_run(int number, bool may_lose)
{
    static int (*const ops[])(struct client *) = {client_add, client_list, client_act,
                                                  client_act, client_wait, client_rest};
    struct client c = {.number = number, .may_lose = may_lose, .seed = (unsigned)number + 1};
    dlmgr_error e = {0};
    char path[400];
    int r = open_as(DLMGR_EITHER, &c.handle, &e);

    snprintf(path, sizeof(path), "%s/said-%d", test_dir(), number);
    c.said = fopen(path, "we");
    if (r || !c.said)
        return complain(&c, "open", r, &e) + 1;
    while (r == 0 && c.added < TASKS)
        r = ops[c.added ? rand_r(&c.seed) % 6 : 0](&c);
    if (r == 0)
        r = client_finish(&c);
    dlmgr_close(c.handle);
    fclose(c.said);
    return r;
}

static int client_main(int number)
{
    return client_run(number, false);
}

static int client_main_hardy(int number)
{
    return client_run(number, true);
}

/* ---- The end ----------------------------------------------------------------------------------------------- */

static void look_at_task(dlmgr *h, int64_t id, const char *name)
{
    dlmgr_selector s = DLMGR_INIT(dlmgr_selector);
    dlmgr_list *list = NULL;
    const dlmgr_task *t;
    char path[400];

    snprintf(path, sizeof(path), "%s/%s", files, name);
    s.ids = &id;
    s.n_ids = 1;
    CHECK_INT(dlmgr_query(h, &s, &list, NULL), 0);
    t = list ? dlmgr_list_at(list, 0) : NULL;
    CU_ASSERT_FATAL(t != NULL);
    test_about("task %lld, %s, %s: %s", (long long)id, name, dlmgr_state_name(t->state),
               t->error_text ? t->error_text : "");
    CHECK_INT(t->state, DLMGR_DONE);
    CHECK_STR(t->path, path);
    dlmgr_list_free(list);
}

/* All that the clients were told is there, and no two tasks came of one key. */
static void look_at_all(int clients)
{
    dlmgr_event_list *events = NULL;
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    dlmgr_error e = {0};
    dlmgr *h = NULL;

    CU_ASSERT_EQUAL_FATAL(open_as(DLMGR_OWN, &h, &e), 0);
    CHECK_INT(dlmgr_wait(h, NULL, 0, END_MS, &e), 0);
    for (int c = 0; c < clients; c++) {
        char path[400], name[64];
        long long id;
        int n = 0;
        FILE *said;

        snprintf(path, sizeof(path), "%s/said-%d", test_dir(), c);
        said = fopen(path, "r");
        CU_ASSERT_FATAL(said != NULL);
        for (; fscanf(said, "%lld %63s", &id, name) == 2; n++) {
            look_at_task(h, id, name);
            snprintf(path, sizeof(path), "%s/%s", files, name);
            CHECK_INT(fx_file_check(path, size_of(c, n), (uint64_t)n + 1), 0);
        }
        fclose(said);
        CHECK_INT(n, TASKS);
    }
    test_about("all");
    CHECK_INT(dlmgr_count(h, &counts, NULL), 0);
    CHECK_INT(counts.by_state[DLMGR_DONE], clients * TASKS);
    CHECK_INT(dlmgr_events(h, NULL, 0, 1000, &events, &e), 0);
    for (size_t i = 0, done = 0; i < dlmgr_event_list_count(events); i++) {
        done += !strcmp(dlmgr_event_list_at(events, i)->type, "done");
        if (i + 1 == dlmgr_event_list_count(events))
            CHECK_INT(done, clients * TASKS);
    }
    dlmgr_event_list_free(events);
    dlmgr_close(h);
    fx = fx_stop(fx);
}

/* ---- Tests -------------------------------------------------------------------------------------------------- */

static void test_clients_at_once(void)
{
    pid_t owner, clients[CLIENTS];

    begin();
    owner = owner_start();
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = child(client_main, i);
    for (int i = 0; i < CLIENTS; i++)
        CHECK_INT(ended(clients[i]), 0);
    owner_ask(owner);
    look_at_all(CLIENTS);
}

/* How many tasks were acknowledged to the clients so far. */
static int said(void)
{
    int lines = 0;

    for (int i = 0; i < CLIENTS; i++) {
        char path[400];
        FILE *f;

        snprintf(path, sizeof(path), "%s/said-%d", test_dir(), i);
        f = fopen(path, "re");
        for (int c; f && (c = fgetc(f)) != EOF;)
            lines += c == '\n';
        if (f)
            fclose(f);
    }
    return lines;
}

static void wait_until_said(int n)
{
    int64_t until = now_ms() + END_MS;

    while (said() < n && now_ms() < until)
        usleep(1000);
    CU_ASSERT(said() >= n);
}

/* Owners are killed under them, and the journal is worked on without one for a while. */
static void test_clients_survive_owners(void)
{
    pid_t owner, clients[CLIENTS];

    begin();
    owner = owner_start();
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = child(client_main_hardy, i);
    for (int n = 20; n <= 200; n += 60) {
        wait_until_said(n);
        owner_kill(owner);
        if (n % 40 == 0)
            wait_until_said(n + 15); /* without an owner */
        owner = owner_start();
    }
    for (int i = 0; i < CLIENTS; i++)
        CHECK_INT(ended(clients[i]), 0);
    owner_ask(owner);
    look_at_all(CLIENTS);
}

static int waiting_client(int ready)
{
    dlmgr *h = NULL;
    dlmgr_error e = {0};
    int64_t begun;
    int r = open_as(DLMGR_ATTACH, &h, &e);

    if (r || write(ready, "x", 1) != 1)
        return 1;
    begun = now_ms();
    r = dlmgr_wait(h, NULL, 0, 30000, &e);
    dlmgr_close(h);
    return r != DLMGR_ENOOWNER ? 2 : now_ms() - begun > 20000 ? 3 : 0;
}

/* Who waits at a dead owner is told soon. */
static void test_clients_waiting_are_told(void)
{
    pid_t owner, clients[3];
    dlmgr_request request;
    dlmgr *h = NULL;
    int ready[2];
    char byte, *url;

    begin();
    CU_ASSERT_FATAL(pipe(ready) == 0);
    owner = owner_start();
    url = fx_url(fx, "/slow?size=1000000&rate=1000&seed=1");
    dlmgr_request_init(&request);
    request.url = url;
    request.dir = files;
    CHECK_INT(open_as(DLMGR_ATTACH, &h, NULL), 0);
    CHECK_INT(dlmgr_add(h, &request, 1, NULL, NULL, NULL), 0);
    dlmgr_close(h);
    free(url);
    for (int i = 0; i < 3; i++)
        clients[i] = child(waiting_client, ready[1]);
    for (int i = 0; i < 3; i++)
        CHECK_INT(read(ready[0], &byte, 1), 1);
    usleep(100000);
    owner_kill(owner);
    for (int i = 0; i < 3; i++)
        CHECK_INT(ended(clients[i]), 0);
    close(ready[0]);
    close(ready[1]);
    fx = fx_stop(fx);
}

/* As `get` does: own it, or follow who does and take over when that goes. 10: owned it and saw the end; 20: only followed. */
static int heir_main(int ready)
{
    int64_t until = now_ms() + END_MS;
    bool told = false;

    while (now_ms() < until) {
        dlmgr *h = NULL;
        bool own = open_as(DLMGR_OWN, &h, NULL) == 0;
        int r = own || open_as(DLMGR_ATTACH, &h, NULL) == 0 ? 0 : -1;

        if (r == 0 && !told)
            told = write(ready, "x", 1) == 1;
        if (r == 0)
            r = dlmgr_wait(h, NULL, 0, END_MS, NULL);
        dlmgr_close(h);
        if (r == 0)
            return own ? 10 : 20;
    }
    return 1;
}

static void test_clients_take_over(void)
{
    pid_t owner, clients[CLIENTS], heirs[3];
    int ready[2], owned = 0;
    char byte;

    begin();
    CU_ASSERT_FATAL(pipe(ready) == 0);
    owner = owner_start();
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = child(client_main_hardy, i);
    wait_until_said(20);
    for (int i = 0; i < 3; i++)
        heirs[i] = child(heir_main, ready[1]);
    for (int i = 0; i < 3; i++)
        CHECK_INT(read(ready[0], &byte, 1), 1);
    owner_kill(owner);
    for (int i = 0; i < CLIENTS; i++)
        CHECK_INT(ended(clients[i]), 0);
    for (int i = 0; i < 3; i++) {
        int how = ended(heirs[i]);

        CU_ASSERT(how == 10 || how == 20);
        owned += how == 10;
    }
    CU_ASSERT(owned >= 1);
    close(ready[0]);
    close(ready[1]);
    look_at_all(CLIENTS);
}

/* ---- The daemon ---------------------------------------------------------------------------------------------- */

static int run_daemon(const char *word)
{
    char program[600], option[400];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 20);
    pid_t pid;

    CU_ASSERT_FATAL(n > 0);
    program[n] = '\0';
    strcpy(strrchr(program, '/'), "/../dlmgr");
    snprintf(option, sizeof(option), "--home=%s", home);
    pid = fork();
    if (pid == 0) {
        execl(program, "dlmgr", option, "--quiet", "daemon", word, (char *)NULL);
        _exit(127);
    }
    return ended(pid);
}

static int holder_main(int ready)
{
    struct dlm_home *h;

    if (dlm_home_open(home, true, false, &h, NULL) || dlm_home_lock(h, NULL) ||
        write(ready, "x", 1) != 1)
        return 1;
    usleep(500000);
    return 0;
}

/* Somebody who changes the journal without an owner holds the lock for a moment, and is none: the daemon comes all the same. */
static void test_a_daemon_waits_for_a_short_lock(void)
{
    dlmgr *h = NULL;
    int ready[2];
    pid_t holder;
    char byte;

    begin();
    CU_ASSERT_FATAL(pipe(ready) == 0);
    holder = child(holder_main, ready[1]);
    CHECK_INT(read(ready[0], &byte, 1), 1);
    CHECK_INT(run_daemon("start"), 0);
    CHECK_INT(open_as(DLMGR_ATTACH, &h, NULL), 0);
    dlmgr_close(h);
    CHECK_INT(ended(holder), 0);
    CHECK_INT(run_daemon("stop"), 0);
    close(ready[0]);
    close(ready[1]);
    fx = fx_stop(fx);
}

/* ---- Threads ------------------------------------------------------------------------------------------------- */

static struct client threads[CLIENTS];

static void *thread_main(void *arg)
{
    static int (*const ops[])(struct client *) = {client_add, client_list, client_act,
                                                  client_act, client_wait, client_rest};
    struct client *c = arg;
    intptr_t r = 0;

    while (r == 0 && c->added < TASKS)
        r = ops[c->added ? rand_r(&c->seed) % 6 : 0](c);
    if (r == 0)
        r = client_finish(c);
    fclose(c->said);
    return (void *)r;
}

static void share(dlmgr *h)
{
    pthread_t ids[CLIENTS];
    char path[400];

    for (int i = 0; i < CLIENTS; i++) {
        snprintf(path, sizeof(path), "%s/said-%d", test_dir(), i);
        threads[i] = (struct client){.number = i,
                                     .seed = (unsigned)i + 1,
                                     .handle = h,
                                     .said = fopen(path, "we")};
        CU_ASSERT_FATAL(threads[i].said &&
                        pthread_create(&ids[i], NULL, thread_main, &threads[i]) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        void *r = NULL;

        CHECK_INT(pthread_join(ids[i], &r), 0);
        CHECK_INT((intptr_t)r, 0);
    }
}

/* Threads that share one handle, which is the engine. */
static void test_clients_share_an_engine(void)
{
    dlmgr *h = NULL;

    begin();
    CU_ASSERT_EQUAL_FATAL(open_as(DLMGR_OWN, &h, NULL), 0);
    share(h);
    dlmgr_close(h);
    look_at_all(CLIENTS);
}

/* And one that is a client of an engine in the same process. */
static void test_clients_share_a_connection(void)
{
    dlmgr *engine = NULL, *h = NULL;

    begin();
    CU_ASSERT_EQUAL_FATAL(open_as(DLMGR_OWN, &engine, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(open_as(DLMGR_ATTACH, &h, NULL), 0);
    share(h);
    dlmgr_close(h);
    dlmgr_close(engine);
    look_at_all(CLIENTS);
}

static const struct test tests[] = {
    TEST(test_clients_at_once),
    TEST(test_clients_survive_owners),
    TEST(test_clients_waiting_are_told),
    TEST(test_clients_take_over),
    TEST(test_a_daemon_waits_for_a_short_lock),
    TEST(test_clients_share_an_engine),
    TEST(test_clients_share_a_connection),
};

TEST_MAIN("clients", tests)
