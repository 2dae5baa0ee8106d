/* SPDX-License-Identifier: MIT */
/*
 * test_check.c - the checker against worlds with one planted fault each.
 *
 * Every crash test believes the checker, so it must see what it is for. A world is a home with a journal, a
 * destination, a log of calls and a log of the server, all made here and all sound: the checker finds nothing in it.
 * Each row breaks one thing: it leaves one call out of the log (a sync that was not made), or changes a file, a row
 * or a request. The checker must then say so under the number of the promise that is broken.
 *
 * The world holds /f/a, which is done; /f/b, of which 1 MiB and 64 KiB are counted (at the end: done too); /f/c, which
 * failed and carries a credential; `kept`, which stood there before, and `over`, which a task was asked to replace.
 */
#include "check.h"

#include "dlmgr/base.h"
#include "tests/lib/journal.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "hunter2hunter2"
#define B_SIZE (MIB(1) + 200000)
#define B_COUNTED (MIB(1) + 65536)

struct world {
    bool end;
    const char *skip; /* a call that was not made */
    char dest[512], tmp[512], calls[600], served[600];
    FILE *f;
    int lines;
    struct want wants[3];
    struct check check;
    char *said;
    size_t said_size;
};

static const struct kept kept[] = {{.name = "kept", .size = 500, .seed = 9},
                                   {.name = "over", .size = 600, .seed = 8, .replaced = true}};

static const char *in_dest(const struct world *w, const char *name)
{
    static char paths[4][700];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, 700, "%s/%s", w->dest, name);
    return path;
}

static const char *in_home(const char *name)
{
    static char paths[4][700];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, 700, "%s/%s", journal_home(), name);
    return path;
}

/* ---- The log of calls ------------------------------------------------------------------------- */

/* A row says `CALL END-OF-PATH[ OFFSET]`. */
static bool is_skipped(const struct world *w, const char *name, const char *path, int64_t offset)
{
    char what[32], tail[64];
    long long at = -1;
    size_t n = strlen(path);

    if (sscanf(w->skip, "%31s %63s %lld", what, tail, &at) < 2 || strcmp(what, name) ||
        (at >= 0 && at != offset))
        return false;
    return strcmp(tail, "*") == 0 ||
           (n >= strlen(tail) && strcmp(path + n - strlen(tail), tail) == 0);
}

static void call2(struct world *w, const char *name, const char *path, const char *path2,
                  int64_t offset, int64_t len)
{
    char line[2048];

    snprintf(line, sizeof(line), "%s\t%lld\t%s\t%s\t%lld\t%lld", name, len > 0 ? (long long)len : 0,
             path, path2, (long long)offset, (long long)len);
    if (w->skip && is_skipped(w, name, path, offset))
        return;
    fprintf(w->f, "%d\t7\t%s\t%d\n", w->lines + 1, line, w->lines);
    w->lines++;
}

static void call(struct world *w, const char *name, const char *path, int64_t offset, int64_t len)
{
    call2(w, name, path, "", offset, len);
}

static void log_journal(struct world *w)
{
    call(w, "mkdir", journal_home(), -1, -1);
    call(w, "fsync", test_dir(), 3, -1);
    call(w, "openat", in_home("journal.db"), O_RDWR | O_CREAT, -1);
    call(w, "pwrite64", in_home("journal.db"), 0, MIB(1));
    call(w, "fdatasync", in_home("journal.db"), -1, -1);
    call(w, "openat", in_home("journal.db-wal"), O_RDWR | O_CREAT, -1);
    call(w, "openat", in_home("secrets.db"), O_RDWR | O_CREAT, -1);
    call(w, "fsync", journal_home(), -1, -1);
    call(w, "pwrite64", in_home("journal.db-wal"), 0, MIB(1));
    call(w, "fdatasync", in_home("journal.db-wal"), -1, -1);
}

static void log_file(struct world *w, const char *part, const char *name, int64_t size)
{
    char from[700], to[700];

    snprintf(from, sizeof(from), "%s/%s", w->dest, part);
    snprintf(to, sizeof(to), "%s/%s", w->dest, name ? name : "");
    call(w, "openat", from, O_RDWR | O_CREAT | O_EXCL, -1);
    call(w, "fsync", w->dest, 1, -1);
    call(w, "pwrite64", from, 0, size);
    call(w, "fdatasync", from, -1, -1);
    if (!name)
        return;
    call2(w, "renameat2", from, to, -1, -1);
    call(w, "fsync", w->dest, 2, -1);
}

static void make_calls(struct world *w)
{
    w->f = fopen(w->calls, "we");
    CU_ASSERT_FATAL(w->f != NULL);
    log_journal(w);
    log_file(w, "a.1-abcd.part", "a", 3000);
    log_file(w, "b.2-abcd.part", w->end ? "b" : NULL, w->end ? B_SIZE : B_COUNTED);
    fprintf(w->f, "killed %d\n", w->lines + 1);
    fclose(w->f);
}

/* ---- The files, the journal, the server's log --------------------------------------------------- */

static void put_body(const char *path, int64_t from, int64_t to, uint64_t seed)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    char *data = malloc((size_t)(to - from));

    CU_ASSERT_FATAL(fd >= 0 && data != NULL);
    body_fill(&(struct body){.seed = seed}, from, data, (size_t)(to - from));
    CU_ASSERT_FATAL(pwrite(fd, data, (size_t)(to - from), from) == to - from);
    close(fd);
    free(data);
}

static uint32_t crc_of(int64_t from, int64_t to, uint64_t seed)
{
    char *data = malloc((size_t)(to - from));
    uint32_t crc;

    CU_ASSERT_FATAL(data != NULL);
    body_fill(&(struct body){.seed = seed}, from, data, (size_t)(to - from));
    crc = dlm_crc32c(0, data, (size_t)(to - from));
    free(data);
    return crc;
}

static void put_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "ae");

    CU_ASSERT_FATAL(f != NULL && fputs(text, f) >= 0);
    fclose(f);
}

static void make_files(struct world *w)
{
    umask(022);
    CU_ASSERT_FATAL(mkdir(w->dest, 0755) == 0 && mkdir(w->tmp, 0755) == 0);
    put_body(in_dest(w, "kept"), 0, 500, 9);
    put_body(in_dest(w, "over"), 0, 600, 8);
    put_body(in_dest(w, "a"), 0, 3000, 1);
    put_body(in_dest(w, w->end ? "b" : "b.2-abcd.part"), 0, w->end ? B_SIZE : B_COUNTED, 2);
}

static void sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void sql(const char *fmt, ...)
{
    char text[4096];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    journal_sql("journal.db", text);
}

static void make_journal(struct world *w)
{
    static const char task[] =
        "INSERT INTO tasks(session, host, url_key, created_at, id, state, url, dir, part, path, secret)"
        " VALUES(1, 1, 0, 0, ";

    journal_close(journal_open(DLM_STORE_WRITE));
    sql("%s 1, 4, 'http://127.0.0.1:1/f/a?size=3000', '%s', 'a.1-abcd.part', '%s/a', 0)", task,
        w->dest, w->dest);
    sql("%s 2, %d, 'http://127.0.0.1:1/f/b', '%s', 'b.2-abcd.part', %s%s%s, 0)", task,
        w->end ? 4 : 1, w->dest, w->end ? "'" : "", w->end ? in_dest(w, "b") : "NULL",
        w->end ? "'" : "");
    sql("%s 3, 7, 'http://127.0.0.1:1/f/c', '%s', NULL, NULL, 1)", task, w->dest);
    sql("INSERT INTO events VALUES(1, 1, 1, 1, 'done', 1, 0, 0, '{}'), (1, 2, 3, 1, 'failed', 1, 0, 0, '{}')");
    if (w->end)
        sql("INSERT INTO events VALUES(1, 3, 2, 1, 'done', 1, 0, 0, '{}')");
    else
        sql("INSERT INTO blocks VALUES(2, 0, %lld, %u), (2, 1, 65536, %u)", (long long)MIB(1),
            crc_of(0, MIB(1), 2), crc_of(MIB(1), B_COUNTED, 2));
    sql("UPDATE sessions SET last_seq = %d", w->end ? 3 : 2);
    journal_sql("secrets.db", "CREATE TABLE secrets(number INTEGER PRIMARY KEY, json TEXT); "
                              "INSERT INTO secrets VALUES(1, '" SECRET "')");
}

static void request(const struct world *w, int id, const char *target, const char *range, int began,
                    int ended)
{
    char text[600];

    snprintf(text, sizeof(text),
             "REQ\t%d\t%s\t127.0.0.1:1\t%s\t-\t%d\tGET\t%d\nEND\t%d\t200\t10\tdone\t%d\n", id,
             target, range, id, began, id, ended);
    put_text(w->served, text);
}

static void world_make(struct world *w)
{
    snprintf(w->dest, sizeof(w->dest), "%s/dest", test_dir());
    snprintf(w->tmp, sizeof(w->tmp), "%s/tmp", test_dir());
    snprintf(w->calls, sizeof(w->calls), "%s/calls", test_dir());
    snprintf(w->served, sizeof(w->served), "%s/served", test_dir());
    make_files(w);
    make_journal(w);
    make_calls(w);
    request(w, 1, "/f/a?size=3000", "-", 0, 100);
    request(w, 2, "/f/b", "-", 0, 150);
    request(w, 3, "/f/c", "-", 0, 150);
    w->wants[0] = (struct want){.path = "/f/a",
                                .size = 3000,
                                .seeds = {1},
                                .final = "a",
                                .state = "done",
                                .within_ms = 200};
    w->wants[1] = (struct want){.path = "/f/b",
                                .size = B_SIZE,
                                .seeds = {2, 3},
                                .final = "b",
                                .state = "done"};
    w->wants[2] = (struct want){.path = "/f/c", .size = 10, .seeds = {4}, .state = "failed"};
    w->check = (struct check){.home = journal_home(),
                              .dest = w->dest,
                              .tmp = w->tmp,
                              .wants = w->wants,
                              .n_wants = 3,
                              .kept = kept,
                              .n_kept = 2,
                              .secret = SECRET,
                              .refetch_limit = 65536,
                              .memory_limit = 1000};
    w->check.out = open_memstream(&w->said, &w->said_size);
    CU_ASSERT_FATAL(w->check.out != NULL);
    check_init(&w->check);
    check_told_id(&w->check, 1);
    check_told_id(&w->check, 2);
    w->wants[0].told_done = true;
}

static int world_look(struct world *w)
{
    struct fx_log log;
    int before = w->check.violations;

    CU_ASSERT_FATAL(fx_log_load(w->served, &log) == 0);
    check_replay(&w->check, w->calls);
    check_look(&w->check, &log, w->end);
    fx_log_free(&log);
    fflush(w->check.out);
    return w->check.violations - before;
}

static void world_free(struct world *w)
{
    char command[600];

    check_free(&w->check);
    fclose(w->check.out);
    free(w->said);
    snprintf(command, sizeof(command), "cd '%s' && rm -rf dest tmp calls served home/*", test_dir());
    CU_ASSERT(system(command) == 0);
}

/* ---- What can be broken -------------------------------------------------------------------------- */

static void tell_unknown_id(struct world *w)
{
    check_told_id(&w->check, 99);
}

static void lose_task(struct world *w)
{
    (void)w;
    sql("DELETE FROM blocks; DELETE FROM tasks WHERE id = 2");
}

static void lose_secret(struct world *w)
{
    (void)w;
    journal_sql("secrets.db", "DELETE FROM secrets");
}

static void add_stranger(struct world *w)
{
    (void)w;
    sql("UPDATE tasks SET url = 'http://127.0.0.1:1/f/z' WHERE id = 2");
}

static void never_end(struct world *w)
{
    (void)w;
    sql("UPDATE tasks SET state = 0 WHERE id = 2; DELETE FROM events WHERE seq = 3; UPDATE sessions SET last_seq = 2");
}

/* Task 2 stands in the WAL alone, and nobody synced that. */
static void leave_in_wal(struct world *w)
{
    sqlite3 *db = NULL;

    CU_ASSERT_FATAL(sqlite3_open(in_home("journal.db"), &db) == SQLITE_OK);
    CU_ASSERT(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) == SQLITE_OK);
    CU_ASSERT(sqlite3_exec(db,
                           "CREATE TEMP TABLE kept AS SELECT * FROM tasks WHERE id = 2;"
                           "DELETE FROM tasks WHERE id = 2; PRAGMA wal_checkpoint(TRUNCATE);"
                           "INSERT INTO tasks SELECT * FROM kept",
                           NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
    w->f = fopen(w->calls, "we");
    CU_ASSERT_FATAL(w->f != NULL);
    w->lines = 0;
    call(w, "pwrite64", in_home("journal.db-wal"), 0, MIB(1));
    fprintf(w->f, "killed 2\n");
    fclose(w->f);
}

static void damage_journal(struct world *w)
{
    char zeros[4096] = {0};
    int fd = open(in_home("journal.db"), O_WRONLY | O_CLOEXEC);

    (void)w;
    CU_ASSERT(pwrite(fd, zeros, sizeof(zeros), 3 * 4096) == sizeof(zeros));
    close(fd);
}

static void damage_part(struct world *w)
{
    put_body(in_dest(w, "b.2-abcd.part"), 70000, 70001, 77);
}

static void mix_part(struct world *w)
{
    put_body(in_dest(w, "b.2-abcd.part"), MIB(1), B_COUNTED, 3);
    sql("UPDATE blocks SET crc = %u WHERE idx = 1", crc_of(MIB(1), B_COUNTED, 3));
}

/* One block is of neither version: bytes of another place, counted with their own checksum. */
static void shift_part(struct world *w)
{
    char data[4096];

    body_fill(&(struct body){.seed = 2}, 4096, data, sizeof(data));
    w->f = fopen(in_dest(w, "b.2-abcd.part"), "r+e");
    CU_ASSERT_FATAL(w->f && fwrite(data, 1, sizeof(data), w->f) == sizeof(data));
    fclose(w->f);
    sql("DELETE FROM blocks WHERE idx = 1; UPDATE blocks SET len = 4096, crc = %u",
        dlm_crc32c(0, data, sizeof(data)));
}

static void row_not_yet(struct world *w)
{
    (void)w;
    sql("UPDATE tasks SET part = NULL WHERE id = 2; DELETE FROM blocks");
}

static void commit_not_yet(struct world *w)
{
    sql("UPDATE tasks SET state = 2, path = NULL WHERE id = 1; DELETE FROM events WHERE seq = 1;"
        "UPDATE events SET seq = 1; UPDATE sessions SET last_seq = 1");
    w->wants[0].told_done = false;
}

static void told_too_early(struct world *w)
{
    w->wants[1].told_done = true;
}

static void lose_file(struct world *w)
{
    unlink(in_dest(w, "a"));
}

static void cut_file(struct world *w)
{
    CU_ASSERT(truncate(in_dest(w, "a"), 2999) == 0);
}

static void mix_file(struct world *w)
{
    put_body(in_dest(w, "b"), 100, 200, 3);
}

static void close_file(struct world *w)
{
    chmod(in_dest(w, "a"), 0600);
}

static void leave_part(struct world *w)
{
    put_body(in_dest(w, "a.1-abcd.part"), 0, 10, 1);
}

static void leave_strange_file(struct world *w)
{
    put_body(in_dest(w, "a.1"), 0, 3000, 1);
}

static void second_event(struct world *w)
{
    (void)w;
    sql("DROP INDEX events_terminal; UPDATE sessions SET last_seq = last_seq + 1;"
        "INSERT INTO events SELECT 1, last_seq, 1, 1, 'done', 1, 0, 0, '{}' FROM sessions");
}

static void event_gap(struct world *w)
{
    (void)w;
    sql("UPDATE events SET seq = 9 WHERE seq = 2; UPDATE sessions SET last_seq = 9");
}

static void no_event(struct world *w)
{
    (void)w;
    sql("DELETE FROM events WHERE type = 'failed'; UPDATE sessions SET last_seq = 1");
}

static void event_before_state(struct world *w)
{
    (void)w;
    sql("INSERT INTO events VALUES(1, 3, 2, 1, 'done', 1, 0, 0, '{}'); UPDATE sessions SET last_seq = 3");
}

static void touch_kept(struct world *w)
{
    put_body(in_dest(w, "kept"), 100, 101, 1);
}

static void lose_kept(struct world *w)
{
    unlink(in_dest(w, "kept"));
}

static void tear_over(struct world *w)
{
    put_body(in_dest(w, "over"), 0, 300, 1);
}

static void tell_journal(struct world *w)
{
    (void)w;
    sql("INSERT INTO settings VALUES('x', 'user:" SECRET "@host')");
}

static void tell_log(struct world *w)
{
    (void)w;
    put_text(in_home("dlmgr.log"), "GET http://u:" SECRET "@h/\n");
}

static void tell_output(struct world *w)
{
    check_secret_text(&w->check, "stdout", "http://u:" SECRET "@h/");
}

static void tell_origin(struct world *w)
{
    struct fx_log log;

    request(w, 9, "/f/b", "-", 0, 1);
    put_text(w->served, "REQ\t10\t/f/b\thost\t-\t-\t1\tGET\t1\nH\t10\tAuthorization: " SECRET "\n");
    CU_ASSERT_FATAL(fx_log_load(w->served, &log) == 0);
    check_secret_log(&w->check, &log);
    fx_log_free(&log);
}

static void take_long(struct world *w)
{
    request(w, 9, "/f/a?size=3000", "-", 0, 201);
}

static void use_memory(struct world *w)
{
    check_memory(&w->check, 1001);
}

/* ---- The rows -------------------------------------------------------------------------------------- */

static const struct {
    const char *what;
    int promise;
    bool end;
    const char *skip; /* this call was not made */
    void (*fn)(struct world *w);
    const char *says;
} rows[] = {
    {"an id that nobody knows", 1, false, NULL, tell_unknown_id, "task 99 was told"},
    {"a task that was told and is gone", 1, false, NULL, lose_task, "task 2 was told"},
    {"a told task in a WAL without sync", 1, false, NULL, leave_in_wal,
     "after a power cut: task 2 was told"},
    {"a credential that is gone", 1, false, NULL, lose_secret, "lost its secret"},
    {"a task that nobody added", 1, false, NULL, add_stranger, "which nobody added"},
    {"a task that never ends", 1, true, NULL, never_end, "should be done at the end and is queued"},
    {"the home's own name is not synced", 1, false, "fsync * 3", NULL,
     "after a power cut: task 1 was told"},

    {"a damaged journal", 2, false, NULL, damage_journal, "is damaged"},
    {"a block unlike its checksum", 2, false, NULL, damage_part, "another checksum"},
    {"a block counted before its sync", 2, false, "fdatasync b.2-abcd.part", NULL,
     "counted before it was synced"},
    {"a block of a part whose name is not synced", 2, false, "fsync dest", NULL,
     "counted before it was synced"},
    {"bytes before their row", 2, false, NULL, row_not_yet, "before its row was durable"},
    {"a name before its row", 2, false, NULL, commit_not_yet, "before the journal was sure"},
    {"done told before it was", 2, false, NULL, told_too_early,
     "/f/b was told to be done and is running"},
    {"done without a file", 2, false, NULL, lose_file, "is not there"},
    {"done before the directory was synced", 2, false, "fsync dest", NULL, "was done before"},

    {"a file cut short", 3, false, NULL, cut_file, "is not whole"},
    {"a name before the bytes were synced", 3, false, "fdatasync a.1-abcd.part", NULL,
     "before its bytes were synced"},
    {"a part left behind", 3, true, NULL, leave_part, "is left behind"},
    {"a file that nobody asked for", 3, false, NULL, leave_strange_file, "nobody asked"},
    {"a file that is not there at the end", 3, true, NULL, lose_file, "is not there at the end"},
    {"a file that its user cannot read", 3, true, NULL, close_file, "has mode 600"},

    {"a part of two versions", 4, false, NULL, mix_part, "of no one version"},
    {"a part of neither version", 4, false, NULL, shift_part, "of no one version"},
    {"a file of two versions", 3, true, NULL, mix_file, "is not whole"},

    {"two terminal events", 5, false, NULL, second_event, "two terminal events"},
    {"a gap in the numbers", 5, false, NULL, event_gap, "a gap"},
    {"an ended task without event", 5, false, NULL, no_event, "without their event"},
    {"an event before its state", 5, false, NULL, event_before_state, "whose task is not done"},

    {"a file of somebody else changed", 6, false, NULL, touch_kept, "was changed"},
    {"a file of somebody else gone", 6, false, NULL, lose_kept, "is gone"},
    {"a replaced file that is neither", 6, false, NULL, tear_over, "neither the old"},

    {"a credential in the journal", 7, false, NULL, tell_journal, "journal.db holds the secret"},
    {"a credential in a log", 7, false, NULL, tell_log, "dlmgr.log holds the secret"},
    {"a credential in the output", 7, false, NULL, tell_output, "stdout tells"},
    {"a credential at another origin", 7, false, NULL, tell_origin, "other origin"},

    {"a file held up by another", 8, true, NULL, take_long, "took longer"},
    {"memory for what is only queued", 9, false, NULL, use_memory, "1001 KiB"},
};

static void test_check_finds_nothing_in_a_sound_world(void)
{
    for (int end = 0; end < 2; end++) {
        struct world w = {.end = end};

        world_make(&w);
        CHECK_INT(world_look(&w), 0);
        CHECK_STR(w.said, "");
        world_free(&w);
    }
}

static void test_check_finds_each_planted_fault(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w = {.end = rows[i].end, .skip = rows[i].skip};
        char promise[32];

        world_make(&w);
        if (rows[i].fn)
            rows[i].fn(&w);
        world_look(&w);
        test_about("%s: %s", rows[i].what, w.said);
        snprintf(promise, sizeof(promise), "promise %d: ", rows[i].promise);
        CHECK_INT(w.check.violations > 0, 1);
        CHECK_INT(strstr(w.said, promise) && strstr(w.said, rows[i].says), 1);
        world_free(&w);
    }
}

/* What write() had taken at the kill and is asked for again counts by request; 64 KiB are allowed. */
static void test_check_counts_what_is_fetched_twice(void)
{
    static const struct {
        const char *range;
        int64_t again;
        int violations;
    } asked[] = {
        {"bytes=1114112-", 0, 0}, {"bytes=1048576-", 65536, 0}, {"bytes=1048575-", 65537, 1},
        {"bytes=0-99", 100, 0},   {"-", B_COUNTED, 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
        struct world w = {.end = false};

        world_make(&w);
        CHECK_INT(world_look(&w), 0);
        request(&w, 9, "/f/b", asked[i].range, 300, 400);
        CHECK_INT(world_look(&w), asked[i].violations);
        CHECK_INT(w.check.refetch, asked[i].again);
        world_free(&w);
    }
}

static void test_check_finds_a_request_after_done(void)
{
    struct world w = {.end = false};

    world_make(&w);
    CHECK_INT(world_look(&w), 0);
    request(&w, 9, "/f/a?size=3000", "-", 150, 180);
    CHECK_INT(world_look(&w), 1);
    test_about("%s", w.said);
    CHECK_INT(strstr(w.said, "promise 5: /f/a was asked for again") != NULL, 1);
    world_free(&w);
}

static const struct test tests[] = {
    TEST(test_check_finds_nothing_in_a_sound_world),
    TEST(test_check_finds_each_planted_fault),
    TEST(test_check_counts_what_is_fetched_twice),
    TEST(test_check_finds_a_request_after_done),
};

TEST_MAIN("check", tests)
