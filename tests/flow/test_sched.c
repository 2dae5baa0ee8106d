/* SPDX-License-Identifier: MIT */
/*
 * test_sched.c - who runs when: limits, order, times, a full disk; told by the server's log.
 */
#include "tests/lib/house.h"
#include "tests/lib/test.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void map(const char *path, unsigned id)
{
    FILE *f = fopen(path, "w");

    if (!f)
        return; /* then the mount says what is missing */
    fprintf(f, "0 %u 1", id);
    fclose(f);
}

/* Only root may mount, so anybody else becomes root of a namespace of his own, before there are threads. */
__attribute__((constructor)) static void become_root(void)
{
    unsigned uid = geteuid(), gid = getegid();
    FILE *f;

    if (uid == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return;
    map("/proc/self/uid_map", uid);
    f = fopen("/proc/self/setgroups", "w"); /* the kernel wants that first: user_namespaces(7) */
    if (f) {
        fputs("deny", f);
        fclose(f);
    }
    map("/proc/self/gid_map", gid);
}

static void begin(struct house *h, int max_active, int max_per_host)
{
    house_begin(h);
    house_close(h);
    h->options.max_active = max_active;
    h->options.max_per_host = max_per_host;
    house_open(h);
}

static int64_t add(const struct house *h, const char *path, int priority, int connections)
{
    char *url = fx_url(h->fx, "%s", path);
    dlmgr_request r = house_request(h, url);
    int64_t id;

    r.priority = priority;
    r.connections = connections;
    id = house_add(h, &r);
    free(url);
    return id;
}

/* Most requests that the server was busy with at one time. */
static int most_at_once(const struct fx_log *log)
{
    int most = 0;

    for (size_t i = 0; i < log->count; i++) {
        int now = 0;

        for (size_t k = 0; k < log->count; k++)
            now += log->requests[k].at <= log->requests[i].at &&
                   log->requests[k].ended_at > log->requests[i].at;
        most = now > most ? now : most;
    }
    return most;
}

static void settle(const struct house *h, struct fx_log *log)
{
    CHECK_INT(fx_log_settle(h->fx, 5000, log), 0);
}

/* Twelve slow files, two at a time. */
static void test_no_more_tasks_than_max_active(void)
{
    struct house h;
    struct fx_log log;
    int64_t ids[12];

    begin(&h, 2, 0);
    for (int i = 0; i < 12; i++) {
        char path[80];

        snprintf(path, sizeof(path), "/f/%d?size=20k&seed=%d&rate=200k", i, i);
        ids[i] = add(&h, path, 0, 1);
    }
    for (int i = 0; i < 12; i++)
        CHECK_INT(house_wait(&h, ids[i]).state, DLMGR_DONE);
    settle(&h, &log);
    CHECK_INT(log.count, 12);
    CHECK_INT(most_at_once(&log), 2);
    fx_log_free(&log);
    house_end(&h);
}

/* A file that may have eight connections and ten small ones, from a host that gets three. */
static void test_no_more_connections_than_max_per_host(void)
{
    struct house h;
    struct fx_log log;
    int64_t ids[11];

    begin(&h, 0, 3);
    ids[10] = add(&h, "/big?size=40M&seed=3&etag=\"a\"&rate=8M", 0, 8);
    for (int i = 0; i < 10; i++) {
        char path[80];

        snprintf(path, sizeof(path), "/f/%d?size=20k&seed=%d&rate=200k", i, i);
        ids[i] = add(&h, path, 0, 1);
    }
    for (int i = 0; i < 11; i++)
        CHECK_INT(house_wait(&h, ids[i]).state, DLMGR_DONE);
    settle(&h, &log);
    CHECK_INT(most_at_once(&log), 3);
    CHECK_INT(fx_file_check(house_path(&h, "big"), 40 << 20, 3), 0);
    fx_log_free(&log);
    house_end(&h);
}

/* One at a time: those with a higher priority first, equal ones as they came. */
static void test_priority_then_arrival(void)
{
    static const struct {
        const char *path;
        int priority, place;
    } rows[] = {{"/a?size=1", 0, 3},
                {"/b?size=1", 5, 1},
                {"/c?size=1", 5, 2},
                {"/d?size=1", -5, 4},
                {"/e?size=1", 900, 0}};
    struct house h;
    dlmgr_selector all = DLMGR_INIT(dlmgr_selector);
    struct fx_log log;
    int64_t ids[5];

    begin(&h, 1, 0);
    for (int i = 0; i < 5; i++) {
        char *url = fx_url(h.fx, "%s", rows[i].path);
        dlmgr_request r = house_request(&h, url);

        r.priority = rows[i].priority;
        r.paused = 1;
        ids[i] = house_add(&h, &r);
        free(url);
    }
    all.all = 1;
    CHECK_INT(dlmgr_act(h.handle, DLMGR_RESUME, &all, NULL, NULL), 0);
    for (int i = 0; i < 5; i++)
        CHECK_INT(house_wait(&h, ids[i]).state, DLMGR_DONE);
    settle(&h, &log);
    CHECK_INT(log.count, 5);
    for (size_t i = 0; i < 5 && log.count == 5; i++)
        CHECK_STR(log.requests[rows[i].place].target, rows[i].path);
    fx_log_free(&log);
    house_end(&h);
}

static int64_t wall_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* It waits, says until when, and is asked for no earlier; resuming it is asking now. */
static void test_start_after_waits_for_its_time(void)
{
    struct house h;
    struct house_result result;
    int64_t begin = wall_ms(), id, later;
    dlmgr_selector one = DLMGR_INIT(dlmgr_selector);
    dlmgr_request r;
    char *url;

    house_begin(&h);
    url = fx_url(h.fx, "/a?size=10&seed=1");
    r = house_request(&h, url);
    r.start_after = begin + 1500;
    id = house_add(&h, &r);
    r.start_after = begin + 3600000;
    r.out = "b";
    later = house_add(&h, &r);
    CHECK_INT(house_look(&h, id).state, DLMGR_WAITING);
    CHECK_INT(house_look(&h, later).state, DLMGR_WAITING);
    result = house_wait(&h, id);
    CHECK_INT(result.state, DLMGR_DONE);
    CU_ASSERT(wall_ms() - begin >= 1500);
    CHECK_INT(house_look(&h, later).state, DLMGR_WAITING);
    one.ids = &later;
    one.n_ids = 1;
    CHECK_INT(dlmgr_act(h.handle, DLMGR_RESUME, &one, NULL, NULL), 0);
    CHECK_INT(house_wait(&h, later).state, DLMGR_DONE);
    free(url);
    house_end(&h);
}

/* Pausing in the middle keeps the bytes, and what is asked for then is only the rest. */
static void test_a_paused_task_goes_on_where_it_was(void)
{
    struct house h;
    dlmgr_selector one = DLMGR_INIT(dlmgr_selector);
    struct house_result result;
    struct fx_log log;
    int64_t id;

    house_begin(&h);
    id = add(&h, "/p?size=8M&seed=4&etag=\"p\"&rate=4M", 0, 1);
    house_until(&h, id, 1 << 20, -1);
    one.ids = &id;
    one.n_ids = 1;
    CHECK_INT(dlmgr_act(h.handle, DLMGR_PAUSE, &one, NULL, NULL), 0);
    result = house_look(&h, id);
    CHECK_INT(result.state, DLMGR_PAUSED);
    CU_ASSERT(result.bytes_done >= 1 << 20);
    CHECK_INT(dlmgr_act(h.handle, DLMGR_RESUME, &one, NULL, NULL), 0);
    CHECK_INT(house_wait(&h, id).state, DLMGR_DONE);
    settle(&h, &log);
    CHECK_INT(log.count, 2);
    if (log.count == 2)
        CHECK_INT(log.requests[1].start, result.bytes_done);
    CHECK_INT(fx_file_check(house_path(&h, "p"), 8 << 20, 4), 0);
    fx_log_free(&log);
    house_end(&h);
}

/* Cancelling and removing while bytes come: no file, and the part goes only when that was asked for. */
static void test_cancel_and_remove_while_bytes_come(void)
{
    static const struct {
        int action, parts;
    } rows[] = {{DLMGR_CANCEL, 1}, {DLMGR_REMOVE, 1}, {DLMGR_REMOVE_DELETE, 0}};

    struct house h;

    house_begin(&h);
    for (size_t i = 0; i < 3; i++) {
        dlmgr_selector one = DLMGR_INIT(dlmgr_selector);
        size_t before = house_parts(&h);
        int64_t id;

        test_about("row %zu", i);
        id = add(&h, "/p?size=80M&seed=4&etag=\"p\"&rate=1M", 0, 0);
        house_until(&h, id, 200000, -1);
        one.ids = &id;
        one.n_ids = 1;
        CHECK_INT(dlmgr_act(h.handle, rows[i].action, &one, NULL, NULL), 0);
        CHECK_INT(house_parts(&h) - before, rows[i].parts);
        CHECK_INT(house_files(&h), 0);
        if (rows[i].action == DLMGR_CANCEL)
            CHECK_INT(house_look(&h, id).state, DLMGR_CANCELLED);
    }
    house_end(&h);
}

/* A full disk: it waits for storage with its bytes, says so once, and goes on by itself when there is room. */
static void test_a_full_disk_is_waited_for(void)
{
    struct house h;
    struct house_result result;
    char small[400], filler[420];
    dlmgr_request r;
    int64_t id;
    char *url;

    house_begin(&h);
    snprintf(small, sizeof(small), "%s", house_path(&h, "small"));
    CHECK_INT(mkdir(small, 0700), 0);
    if (mount("tmpfs", small, "tmpfs", 0, "size=4m") < 0) {
        CU_FAIL("a tmpfs cannot be mounted here: run the tests as root");
        house_end(&h);
        return;
    }
    snprintf(filler, sizeof(filler), "%s/filler", small);
    CHECK_INT(fx_file_write(filler, 2 << 20, 1), 0);
    url = fx_url(h.fx, "/s?size=3M&seed=6&etag=\"s\"");
    r = house_request(&h, url);
    r.dir = small;
    id = house_add(&h, &r);
    result = house_until(&h, id, INT64_MAX, DLMGR_WAITING);
    CHECK_INT(result.error_code, 9);
    CU_ASSERT(result.bytes_done > 1 << 20);
    CHECK_INT(house_events(&h, id, "waiting"), 1);
    unlink(filler);
    result = house_wait(&h, id);
    CHECK_INT(result.state, DLMGR_DONE);
    CHECK_INT(fx_file_check(result.path, 3 << 20, 6), 0);
    CHECK_INT(house_events(&h, id, "waiting"), 1);
    free(url);
    house_end(&h);
    CHECK_INT(umount(small), 0);
}

static const struct test tests[] = {
    TEST(test_no_more_tasks_than_max_active),
    TEST(test_no_more_connections_than_max_per_host),
    TEST(test_priority_then_arrival),
    TEST(test_start_after_waits_for_its_time),
    TEST(test_a_paused_task_goes_on_where_it_was),
    TEST(test_cancel_and_remove_while_bytes_come),
    TEST(test_a_full_disk_is_waited_for),
};

TEST_MAIN("sched", tests)
