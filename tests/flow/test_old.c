/* SPDX-License-Identifier: MIT */
/*
 * test_old.c - the work that a dlmgr of each older version left behind is finished by this one.
 *
 * fixtures/journals/vN-work.sql is what a dlmgr with that version of the journal left when it was killed (make.sh there says how): a task of
 * each state, each with its key and user data, and events. Here its parts are made as they were, its server answers again, and it is opened.
 */
#include "tests/lib/house.h"
#include "tests/lib/test.h"

#include "dlmgr/base.h"
#include "store/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

#define SESSION "org.example.app"

enum { DONE = 1, FAILED, WAITING, CANCELLED, PAUSED, RUNNING, VERIFYING, COMMITTING, QUEUED };

static const struct {
    int64_t id;
    const char *name;
    int64_t size;
    bool part;    /* some of it was there */
    int state;    /* in the end */
    size_t asked; /* requests that it still needs */
    size_t done;  /* events that tell it is done, old and new */
} tasks[] = {
    {DONE, "done", 30720, false, DLMGR_DONE, 0, 1},
    {FAILED, "failed", 30720, false, DLMGR_FAILED, 0, 0},
    {WAITING, "waiting", 30720, false, DLMGR_DONE, 1, 1},
    {CANCELLED, "cancelled", 30720, false, DLMGR_CANCELLED, 0, 0},
    {PAUSED, "paused", 30720, false, DLMGR_PAUSED, 0, 0},
    {RUNNING, "running", 4 << 20, true, DLMGR_DONE, 1, 1},
    {VERIFYING, "verifying", 5 << 20, true, DLMGR_DONE, 0, 1},
    {COMMITTING, "committing", 30720, true, DLMGR_DONE, 0, 1},
    {QUEUED, "queued", 30720, false, DLMGR_DONE, 1, 1},
};

/* ---- As it was left ---------------------------------------------------------------------------------------------- */

/* text with each `from` replaced; yours. */
static char *replace(const char *text, const char *from, const char *to)
{
    struct dlm_buf b = {0};

    for (const char *at; (at = strstr(text, from)); text = at + strlen(from)) {
        dlm_buf_add(&b, text, (size_t)(at - text));
        dlm_buf_puts(&b, to);
    }
    dlm_buf_puts(&b, text);
    return dlm_buf_take(&b);
}

/* The journal of that version, with our server and our directory in it. Yours. */
static char *read_work(const struct house *h, int version)
{
    CLEANUP_FREE char *text = calloc(1, 1 << 20), *here = NULL, *origin = fx_url(h->fx, "/");
    CLEANUP_FD int fd = -1;
    char path[64];

    snprintf(path, sizeof(path), "fixtures/journals/v%d-work.sql", version);
    test_about("%s, from the top of the sources", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0 && text && dlm_pread_all(fd, text, (1 << 20) - 1, 0) > 0);
    here = replace(text, "http://old.example:80/", origin);
    return replace(here, "/downloads", h->dir);
}

static int64_t number(sqlite3 *db, const char *column, int64_t id)
{
    char *sql = sqlite3_mprintf("SELECT %s FROM tasks WHERE id = %lld", column, (long long)id);
    sqlite3_stmt *st = NULL;
    int64_t n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_free(sql);
    return n;
}

/* The part with the bytes that it had; that this is another inode is ours to say. */
static void make_part(const struct house *h, sqlite3 *db, int64_t id, const char *name)
{
    char path[700], tag[8] = "";
    sqlite3_stmt *st = NULL;
    struct statx stx;
    char *sql;

    CU_ASSERT_FATAL(sqlite3_prepare_v2(db, "SELECT value FROM settings WHERE name = 'tag'", -1, &st,
                                       NULL) == SQLITE_OK &&
                    sqlite3_step(st) == SQLITE_ROW);
    snprintf(tag, sizeof(tag), "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    snprintf(path, sizeof(path), "%s/%s.bin.%lld-%s.part", h->dir, name, (long long)id, tag);
    CHECK_INT(fx_file_write(path, number(db, "size", id), 7), 0);
    CU_ASSERT_FATAL(chmod(path, 0600) == 0 &&
                    statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_BTIME, &stx) == 0);
    sql = sqlite3_mprintf("UPDATE tasks SET ino = %lld, btime = %lld WHERE id = %lld",
                          (long long)stx.stx_ino,
                          stx.stx_mask & STATX_BTIME
                              ? (long long)stx.stx_btime.tv_sec * 1000000000 + stx.stx_btime.tv_nsec
                              : 0LL,
                          (long long)id);
    CHECK_INT(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_free(sql);
}

/* Bytes of the running one that its journal counts. */
static int64_t leave(const struct house *h, int version)
{
    CLEANUP_FREE char *sql = read_work(h, version);
    sqlite3 *db = NULL;
    char path[400];
    int64_t counted;

    CU_ASSERT_FATAL(mkdir(h->home, 0700) == 0);
    snprintf(path, sizeof(path), "%s/journal.db", h->home);
    CU_ASSERT_FATAL(sqlite3_open(path, &db) == SQLITE_OK);
    CU_ASSERT_FATAL(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    CHECK_INT(number(db, "(SELECT user_version FROM pragma_user_version)", DONE), version);
    for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
        if (tasks[i].part)
            make_part(h, db, tasks[i].id, tasks[i].name);
    CHECK_INT(fx_file_write(house_path(h, "done.bin"), 30720, 7), 0);
    counted = number(db, "bytes", RUNNING);
    CU_ASSERT(counted > 1 << 20 && counted < 4 << 20);
    CU_ASSERT_FATAL(sqlite3_close(db) == SQLITE_OK && chmod(path, 0600) == 0);
    return counted;
}

/* ---- As it is finished ------------------------------------------------------------------------------------------- */

static void task_is_as_told(const struct house *h, size_t i, const struct fx_log *log)
{
    char name[40], target[48];
    struct house_result r = house_look(h, tasks[i].id);

    test_about("%s: %s", tasks[i].name, r.text);
    snprintf(name, sizeof(name), "%s.bin", tasks[i].name);
    snprintf(target, sizeof(target), "/%s", name);
    CHECK_INT(r.state, tasks[i].state);
    CHECK_INT(fx_log_count(log, target), tasks[i].asked);
    if (r.state == DLMGR_DONE)
        CHECK_INT(fx_file_check(house_path(h, name), tasks[i].size, 7), 0);
    else
        CU_ASSERT(access(house_path(h, name), F_OK) < 0);
}

/* What was told before is told as it was, and what is new follows without a gap. */
static void events_go_on(const struct house *h)
{
    static const int64_t before[] = {FAILED, WAITING, DONE, CANCELLED};
    dlmgr_event_list *list = NULL;
    const dlmgr_event *event;
    size_t n, done[ARRAY_SIZE(tasks)] = {0};

    CU_ASSERT_FATAL(dlmgr_events(h->handle, SESSION, -1, 0, &list, NULL) == 0);
    for (n = 0; (event = dlmgr_event_list_at(list, n)); n++) {
        test_about("event %zu", n);
        CHECK_INT(event->seq, (int64_t)n + 1);
        if (n < ARRAY_SIZE(before))
            CHECK_INT(event->task, before[n]);
        CU_ASSERT_FATAL(event->task >= 1 && event->task <= (int64_t)ARRAY_SIZE(tasks));
        done[event->task - 1] += !strcmp(event->type, "done");
        CHECK_INT(event->user_data_len, strlen("of ") + strlen(tasks[event->task - 1].name));
    }
    for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
        test_about("%s", tasks[i].name);
        CHECK_INT(done[i], tasks[i].done);
    }
    dlmgr_event_list_free(list);
}

static void finish(struct house *h, int version)
{
    int64_t counted = leave(h, version), waiting = WAITING;
    dlmgr_selector tried_now = {.size = sizeof(tried_now), .ids = &waiting, .n_ids = 1};
    const struct fx_request *went_on;
    struct fx_log log;

    fx_script(h->fx, "/running.bin", "rate=1G");
    house_open(h);
    CHECK_INT(dlmgr_act(h->handle, DLMGR_RESUME, &tried_now, NULL, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
        if (tasks[i].state == DLMGR_DONE)
            house_wait(h, tasks[i].id);
    CHECK_INT(fx_log_settle(h->fx, 5000, &log), 0);
    for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
        task_is_as_told(h, i, &log);
    went_on = fx_log_nth(&log, "/running.bin", 0);
    CHECK_INT(went_on ? went_on->start : -1, counted);
    fx_log_free(&log);
    events_go_on(h);
    CHECK_INT(house_parts(h), 0);
    house_close(h);
}

/* Each version that there was; the next round gets a home and a directory of its own. */
static void test_old_work_is_finished(void)
{
    for (int version = 1; version <= DLM_SCHEMA_VERSION; version++) {
        struct house h = {0};

        snprintf(h.home, sizeof(h.home), "%s/home%d", test_dir(), version);
        snprintf(h.dir, sizeof(h.dir), "%s/files%d", test_dir(), version);
        CU_ASSERT_FATAL(mkdir(h.dir, 0755) == 0 && fx_start(&h.fx, NULL) == 0);
        finish(&h, version);
        fx_stop(h.fx);
    }
}

/* ---- Held ------------------------------------------------------------------------------------------------------------- */

/* How they are found; nothing of what ran or was being committed has moved, and the server was asked for nothing. */
static void is_as_it_was_left(const struct house *h)
{
    static const int states[] = {
        [DONE] = DLMGR_DONE,           [FAILED] = DLMGR_FAILED,         [WAITING] = DLMGR_WAITING,
        [CANCELLED] = DLMGR_CANCELLED, [PAUSED] = DLMGR_PAUSED,         [RUNNING] = DLMGR_QUEUED,
        [VERIFYING] = DLMGR_QUEUED,    [COMMITTING] = DLMGR_COMMITTING, [QUEUED] = DLMGR_QUEUED,
    };
    struct fx_log log;

    for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
        test_about("%s", tasks[i].name);
        CHECK_INT(house_look(h, tasks[i].id).state, states[tasks[i].id]);
    }
    CHECK_INT(fx_log_settle(h->fx, 5000, &log), 0);
    CHECK_INT(log.count, 0);
    fx_log_free(&log);
}

/* Half a second is enough for all of them. */
static void test_a_held_owner_does_nothing_before_it_begins(void)
{
    static const int64_t some[] = {VERIFYING, COMMITTING, QUEUED};
    struct house h = {0};
    dlmgr_error e = {0};

    snprintf(h.home, sizeof(h.home), "%s/home", test_dir());
    snprintf(h.dir, sizeof(h.dir), "%s/files", test_dir());
    CU_ASSERT_FATAL(mkdir(h.dir, 0755) == 0 && fx_start(&h.fx, NULL) == 0);
    leave(&h, DLM_SCHEMA_VERSION);
    h.options.held = 1;
    house_open(&h);
    for (size_t i = 0; i < ARRAY_SIZE(some); i++)
        CHECK_INT(dlmgr_wait(h.handle, &some[i], 1, 200, &e), DLMGR_ETIMEDOUT);
    is_as_it_was_left(&h);
    CHECK_INT(dlmgr_begin(h.handle, &e), 0);
    CHECK_INT(dlmgr_begin(h.handle, &e), 0); /* once is enough */
    for (size_t i = 0; i < ARRAY_SIZE(some); i++)
        CHECK_INT(house_wait(&h, some[i]).state, DLMGR_DONE);
    house_close(&h);
    h.options.held = 1; /* and one that never begins is closed like any other */
    house_open(&h);
    house_close(&h);
    fx_stop(h.fx);
}

/* ---- Without an owner ---------------------------------------------------------------------------------------------- */

static void set_version(const struct house *h, int version)
{
    char path[400], sql[64];
    sqlite3 *db = NULL;

    snprintf(path, sizeof(path), "%s/journal.db", h->home);
    snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version);
    CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    CHECK_INT(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* The first command after an upgrade may be one that only reads: it finds what was there, and the journal is brought up to date. */
static void test_old_is_read_without_an_owner(void)
{
    struct house h = {0};
    dlmgr_counts counts = {.size = sizeof(counts)};
    dlmgr_options options = {.size = sizeof(options), .home = h.home};
    dlmgr *reader = NULL;

    snprintf(h.home, sizeof(h.home), "%s/home", test_dir());
    snprintf(h.dir, sizeof(h.dir), "%s/files", test_dir());
    CU_ASSERT_FATAL(mkdir(h.dir, 0755) == 0 && fx_start(&h.fx, NULL) == 0);
    leave(&h, 1);
    CHECK_INT(dlmgr_open(DLMGR_EITHER, &options, &reader, NULL), 0);
    CHECK_INT(dlmgr_count(reader, &counts, NULL), 0);
    CHECK_INT(dlmgr_place_of(reader), DLMGR_PLACE_JOURNAL);
    for (int i = 0; i < (int)ARRAY_SIZE(tasks); i++)
        CHECK_INT(counts.by_state[i], 1);
    reader = dlmgr_close(reader);
    fx_stop(h.fx);
}

static void *restore(void *arg)
{
    usleep(300000);
    set_version(arg, DLM_SCHEMA_VERSION);
    return NULL;
}

/*
 * A client of an owner of a newer version, whose journal it could not read itself: while that owner is restarted it waits, and does not end with
 * "install the newer dlmgr". Here the journal is too new only for a moment.
 */
static void test_old_client_waits_for_its_owner(void)
{
    dlmgr_counts counts = {.size = sizeof(counts)};
    dlmgr_error e = {0};
    dlmgr *client = NULL;
    pthread_t thread;
    struct house h;

    house_begin(&h);
    CHECK_INT(dlmgr_open(DLMGR_EITHER, &h.options, &client, NULL), 0);
    CHECK_INT(dlmgr_count(client, &counts, &e), 0);
    CHECK_INT(dlmgr_place_of(client), DLMGR_PLACE_CLIENT);
    house_close(&h);
    set_version(&h, DLM_SCHEMA_VERSION + 1);
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, restore, &h) == 0);
    CHECK_INT(dlmgr_count(client, &counts, &e), 0);
    pthread_join(thread, NULL);
    dlmgr_close(client);

    /* Who was never anybody's client is told at once. */
    set_version(&h, DLM_SCHEMA_VERSION + 1);
    CHECK_INT(dlmgr_open(DLMGR_EITHER, &h.options, &client, NULL), 0);
    CHECK_INT(dlmgr_count(client, &counts, &e), DLMGR_EJOURNAL);
    CU_ASSERT(strstr(e.text, "install the newer dlmgr") != NULL);
    dlmgr_close(client);
    house_end(&h);
}

static const struct test all[] = {
    TEST(test_old_work_is_finished),
    TEST(test_a_held_owner_does_nothing_before_it_begins),
    TEST(test_old_is_read_without_an_owner),
    TEST(test_old_client_waits_for_its_owner),
};

TEST_MAIN("old", all)
