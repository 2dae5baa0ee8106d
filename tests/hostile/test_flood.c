/* SPDX-License-Identifier: MIT */
/*
 * test_flood.c - hostile servers beside honest ones: what they cost the owner, and whom they slow.
 *
 * An owner of its own process works on stalled connections of many origins, headers and bodies without end and bodies that drip, and on
 * eight honest files. In the suite it is asked for a slice of that: the honest files are whole, and the owner's memory has a bound. FLOOD=full is the
 * measurement: 200 stalled connections, and the honest files' speed beside them as a part of what it is alone, in turns,
 * of which the one in the middle counts: the machine may have been busy with something else.
 *
 * Servers send at the pace of a network (4 MiB/s each, hostile bodies too), or they would measure how one processor is shared.
 *
 * timeout: 170
 */
#include "tests/lib/house.h"
#include "tests/lib/test.h"
#include "tests/lib/town.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { HONEST = 8, MEMORY_KIB = 48 << 10, ROOM = 400, PER_ORIGIN = 5, END_S = 120 };

static const struct scale {
    int stalled, each; /* each: headers and bodies without end, drips */
    int size, turns;   /* of an honest file; how often it is measured, alone and beside */
} slice = {40, 3, 1 << 20, 0}, full = {200, 8, 24 << 20, 5};

/* ---- Servers -------------------------------------------------------------------------------------------- */

/* A piece each 32 ms. */
static bool send_paced(struct town_conn *c, int64_t size)
{
    for (int64_t at = 0; at < size; at += 128 << 10) {
        int64_t end = at + (128 << 10) < size ? at + (128 << 10) : size;

        if (!town_body(c, 1, at, end) || !town_pause(c, 32))
            return false;
    }
    return true;
}

static bool honest(struct town_conn *c, int64_t size)
{
    return town_print(c, "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: %lld\r\n\r\n",
                      (long long)size) &&
           send_paced(c, size);
}

static bool endless(struct town_conn *c, int64_t unused)
{
    (void)unused;
    if (town_print(c, "HTTP/1.1 200 OK\r\n\r\n"))
        send_paced(c, INT64_MAX / 2);
    return false;
}

static bool header_flood(struct town_conn *c, int64_t unused)
{
    bool open = town_print(c, "HTTP/1.1 200 OK\r\n");

    (void)unused;
    while (open)
        open = town_print(c, "X-Flood: %01000d\r\n", 0);
    return false;
}

static bool drip(struct town_conn *c, int64_t unused)
{
    bool open = town_print(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");

    (void)unused;
    while (open)
        open = town_print(c, "x") && town_pause(c, 200);
    return false;
}

static bool stall(struct town_conn *c, int64_t unused)
{
    (void)unused;
    town_await_end(c);
    return false;
}

static const struct {
    const char *what;
    bool (*answer)(struct town_conn *c, int64_t n);
} answers[] = {{"honest", honest},
               {"endless", endless},
               {"header", header_flood},
               {"drip", drip},
               {"stall", stall}};

static bool answer(struct town_conn *c, const struct town_request *r, void *context)
{
    char what[20] = "";
    long long n = 0;

    (void)context;
    if (sscanf(r->path, "/%19[a-z]/%lld", what, &n) >= 1)
        for (size_t i = 0; i < COUNT(answers); i++)
            if (!strcmp(answers[i].what, what))
                return answers[i].answer(c, n);
    return false;
}

/* ---- The owner -------------------------------------------------------------------------------------------- */

static pid_t own(const char *home, const char *active, int descriptors)
{
    const char *program = getenv("DLMGR");
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    if (descriptors) {
        struct rlimit few = {(rlim_t)descriptors, (rlim_t)descriptors};

        setrlimit(RLIMIT_NOFILE, &few);
    }
    execl(program ? program : "build/dlmgr", "dlmgr", "--home", home, "-q", "run", "--forever",
          "-j", active, "--limits", "file-bytes=256M", (char *)NULL);
    _exit(127);
}

static long peak_kib(pid_t pid)
{
    char path[64], line[200];
    long kib = -1;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static int end_owner(pid_t pid)
{
    int status = -1;

    kill(pid, SIGTERM);
    waitpid(pid, &status, 0);
    return status;
}

/* ---- One run ------------------------------------------------------------------------------------------------ */

struct run {
    char home[300], dir[300], urls[ROOM][100], outs[ROOM][20];
    dlmgr_request requests[ROOM];
    int64_t ids[ROOM];
    size_t n, n_honest; /* those are the last */
    dlmgr *handle;
    double seconds; /* until the last honest file was done */
    long peak;      /* KiB */
    size_t put_off; /* events that say so */
};

/* A few of each origin: what is said for max-per-host would be the same for more. */
static void want(struct run *r, const struct town *t, const char *what, int64_t n, bool own_origin)
{
    size_t i = r->n++;

    snprintf(r->urls[i], sizeof(r->urls[i]), "http://o%zu.localhost:%d/%s/%lld",
             own_origin ? i : i / PER_ORIGIN, town_port(t, own_origin), what, (long long)n);
    snprintf(r->outs[i], sizeof(r->outs[i]), "%zu", i);
    dlmgr_request_init(&r->requests[i]);
    r->requests[i].url = r->urls[i];
    r->requests[i].dir = r->dir;
    r->requests[i].out = r->outs[i];
    r->requests[i].connections = 1;
    r->requests[i].proxy = "";
    r->requests[i].ip_version = 4;
}

static void open_run(struct run *r)
{
    static int number;
    dlmgr_options options = DLMGR_INIT(dlmgr_options);

    *r = (struct run){.n = 0};
    snprintf(r->home, sizeof(r->home), "%s/home%d", test_dir(), number);
    snprintf(r->dir, sizeof(r->dir), "%s/files%d", test_dir(), number++);
    CU_ASSERT_EQUAL_FATAL(mkdir(r->dir, 0755), 0);
    options.home = r->home;
    CHECK_INT(dlmgr_open(DLMGR_EITHER, &options, &r->handle, NULL), 0);
}

static size_t count_done(const struct run *r)
{
    dlmgr_selector selector = {.size = sizeof(selector),
                               .ids = r->ids + r->n - r->n_honest,
                               .n_ids = r->n_honest};
    dlmgr_list *list = NULL;
    size_t done = 0;

    if (dlmgr_query(r->handle, &selector, &list, NULL) == 0)
        for (size_t i = 0; i < dlmgr_list_count(list); i++)
            done += dlmgr_list_at(list, i)->state == DLMGR_DONE;
    dlmgr_list_free(list);
    return done;
}

static size_t count_put_off(const struct run *r)
{
    dlmgr_event_list *list = NULL;
    size_t n = 0;

    CHECK_INT(dlmgr_events(r->handle, "default", 0, 0, &list, NULL), 0);
    for (size_t i = 0; list && i < dlmgr_event_list_count(list); i++)
        n += !strcmp(dlmgr_event_list_at(list, i)->type, "waiting");
    dlmgr_event_list_free(list);
    return n;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What is wanted by now, and then the honest files. */
static void run_to_the_end(struct run *r, const struct town *t, int size, const char *active,
                           int descriptors)
{
    double begin;
    pid_t pid;

    r->n_honest = HONEST;
    for (size_t i = 0; i < HONEST; i++)
        want(r, t, "honest", size, true);
    CHECK_INT(dlmgr_add(r->handle, r->requests, r->n, r->ids, NULL, NULL), 0);
    begin = now_s();
    pid = own(r->home, active, descriptors);
    while (count_done(r) < HONEST && now_s() < begin + END_S)
        usleep(20000);
    r->seconds = now_s() - begin;
    r->peak = peak_kib(pid);
    CHECK_INT(count_done(r), HONEST);
    for (size_t i = r->n - HONEST; i < r->n; i++) {
        char path[400];

        snprintf(path, sizeof(path), "%s/%s", r->dir, r->outs[i]);
        CHECK_INT(fx_file_check(path, size, 1), 0);
        unlink(path);
    }
    CHECK_INT(WEXITSTATUS(end_owner(pid)), 130);
    r->put_off = count_put_off(r);
    r->handle = dlmgr_close(r->handle);
}

static void want_hostile(struct run *r, const struct town *t, const struct scale *s)
{
    static const char *const kinds[] = {"header", "endless", "drip"};

    for (int i = 0; i < s->stalled; i++)
        want(r, t, "stall", i, false);
    for (size_t kind = 0; kind < COUNT(kinds); kind++)
        for (int i = 0; i < s->each; i++)
            want(r, t, kinds[kind], i, false);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double seconds_of(struct run *r, const struct town *t, const struct scale *s, bool hostile)
{
    open_run(r);
    if (hostile)
        want_hostile(r, t, s);
    run_to_the_end(r, t, s->size, "300", 0);
    return r->seconds;
}

static void test_hostile_servers_slow_only_themselves(void)
{
    const char *mode = getenv("FLOOD");
    const struct scale *s = mode && !strcmp(mode, "full") ? &full : &slice;
    struct town *t = town_start(NULL, answer, NULL);
    struct run *r = calloc(1, sizeof(*r));
    double parts[8] = {0};
    long peak = 0;

    for (int turn = 0; turn == 0 || turn < s->turns; turn++) {
        double alone = s->turns ? seconds_of(r, t, s, false) : 0, beside = seconds_of(r, t, s, true);

        parts[turn] = alone / beside;
        peak = r->peak > peak ? r->peak : peak;
        if (s->turns)
            printf("flood: %.1f s alone, %.1f s beside: %.2f\n", alone, beside, parts[turn]);
    }
    CU_ASSERT(peak > 0);
    CU_ASSERT(peak <= MEMORY_KIB);
    qsort(parts, (size_t)s->turns, sizeof(parts[0]), compare);
    printf("flood: %d cases, violations %d: %d stalled, peak %.1f MiB", s->stalled + 3 * s->each,
           (peak > MEMORY_KIB) + (s->turns && parts[s->turns / 2] < 0.8), s->stalled,
           (double)peak / 1024);
    if (s->turns)
        printf(", honest at %.2f of alone", parts[s->turns / 2]);
    printf("\n");
    CU_ASSERT(!s->turns || parts[s->turns / 2] >= 0.8);
    free(r);
    t = town_stop(t);
}

/* -j 300 and descriptors for a few of them: the others wait their turn, and none is put off for want of a descriptor. */
static void test_there_are_descriptors_enough(void)
{
    struct town *t = town_start(NULL, answer, NULL);
    struct run *r = calloc(1, sizeof(*r));

    open_run(r);
    for (int i = 0; i < 60; i++)
        want(r, t, "honest", 1 << 20, true);
    run_to_the_end(r, t, 1 << 20, "300", 90);
    CHECK_INT(r->put_off, 0);
    free(r);
    t = town_stop(t);
}

static const struct test tests[] = {
    TEST(test_hostile_servers_slow_only_themselves),
    TEST(test_there_are_descriptors_enough),
};

TEST_MAIN("flood", tests)
