/* SPDX-License-Identifier: MIT */
/*
 * test_sink.c - a part file says what it has, and after a kill no more than it can prove.
 */
#include "dlmgr/sink.h"

#include "tests/lib/deny.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define TASK 7
#define GENERATION 3
#define TOTAL (2 * DLM_BLOCK + 1000)

static char top[64];
static int topfd;
static struct dlm_dirs *set;
static struct dlm_dir *dir;
static struct dlm_slots *slots;
static unsigned char bytes[TOTAL];

static void begin(void)
{
    snprintf(top, sizeof(top), "/tmp/dlmgr-sink-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(top));
    topfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(dlm_dirs_new(&set), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, top, NULL, false, &dir, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_slots_open(topfd, &slots, NULL), 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
}

static void end(void)
{
    char command[128];

    slots = dlm_slots_close(slots);
    dir = dlm_dir_put(dir);
    set = dlm_dirs_free(set);
    close(topfd);
    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* A part whose first `counted` bytes the journal counts and of which `written` are written; then its owner is gone, its slot not. */
struct left {
    struct dlm_ident ident;
    struct dlm_block_row *rows;
    size_t n_rows;
    struct dlm_hint hints[4];
    size_t n_hints;
};

static int keep_hint(const struct dlm_hint *hint, void *context)
{
    struct left *left = context;

    left->hints[left->n_hints++] = *hint;
    return 0;
}

static struct left leave(size_t counted, size_t written)
{
    struct left left = {0};
    struct dlm_sink *s = NULL;
    struct dlm_writer w;

    CU_ASSERT_EQUAL_FATAL(dlm_sink_create(dir, "p", TOTAL, &s, NULL), 0);
    dlm_writer_start(&w, s, slots, TASK, GENERATION, 0);
    CU_ASSERT_EQUAL(dlm_writer_write(&w, bytes, counted), 0);
    CU_ASSERT_EQUAL(dlm_sink_snapshot(s, &left.rows, &left.n_rows), 0);
    CU_ASSERT_EQUAL(dlm_sink_sync(s, &left.ident), 0);
    CU_ASSERT_EQUAL(dlm_writer_write(&w, bytes + counted, written - counted), 0);
    CU_ASSERT_EQUAL(s->bytes, (int64_t)written);
    CU_ASSERT_EQUAL(s->uncounted, (int64_t)(written - counted));
    CU_ASSERT_EQUAL(dlm_slots_each(slots, keep_hint, &left), 0);
    dlm_sink_free(s);
    return left;
}

/* Open it again and say how many bytes are believed; -1: not found. */
static int64_t again(struct left *left)
{
    struct dlm_expect x = {.ident = &left->ident,
                           .rows = left->rows,
                           .n_rows = left->n_rows,
                           .hints = left->hints,
                           .n_hints = left->n_hints,
                           .generation = GENERATION};
    struct dlm_sink *s = NULL;
    int64_t n = -1;
    int r = dlm_sink_open(dir, "p", TOTAL, &x, &s, NULL);

    CU_ASSERT(r == 0 || r == DLMGR_ENOTFOUND);
    if (r == 0)
        n = s->bytes;
    dlm_sink_free(s);
    return n;
}

static void scribble(int64_t at)
{
    CLEANUP_FD int fd = openat(topfd, "p", O_WRONLY | O_CLOEXEC);

    CU_ASSERT_EQUAL(dlm_pwrite_all(fd, "!", 1, at), 0);
}

/* After SIGKILL all that write() took is there, wherever in a block it stopped. */
static void test_a_kill_costs_nothing_that_was_written(void)
{
    static const size_t rows[][2] = {{0, 1},
                                     {0, 70000},
                                     {1000, DLM_BLOCK},
                                     {1000, DLM_BLOCK + 5},
                                     {DLM_BLOCK, 2 * DLM_BLOCK},
                                     {DLM_BLOCK + 1, TOTAL},
                                     {0, TOTAL},
                                     {500, 500}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct left left;

        begin();
        left = leave(rows[i][0], rows[i][1]);
        CU_ASSERT_EQUAL(again(&left), (int64_t)rows[i][1]);
        free(left.rows);
        end();
    }
}

static void test_reading_back_can_be_given_up(void)
{
    atomic_bool stop = true;
    struct dlm_expect x = {.generation = GENERATION, .stop = &stop};
    struct dlm_sink *s = NULL;
    struct left left;

    begin();
    left = leave(DLM_BLOCK, DLM_BLOCK);
    x.rows = left.rows;
    x.n_rows = left.n_rows;
    CHECK_INT(dlm_sink_open(dir, "p", TOTAL, &x, &s, NULL), DLMGR_ECLOSED);
    atomic_store(&stop, false);
    CHECK_INT(dlm_sink_open(dir, "p", TOTAL, &x, &s, NULL), 0);
    CHECK_INT(s->bytes, DLM_BLOCK);
    dlm_sink_free(s);
    free(left.rows);
    end();
}

/* Without a hint only what the journal counts. */
static void test_without_a_hint_the_journal_counts(void)
{
    struct left left;

    begin();
    left = leave(DLM_BLOCK + 10, TOTAL);
    left.n_hints = 0;
    CU_ASSERT_EQUAL(again(&left), DLM_BLOCK + 10);
    free(left.rows);
    end();
}

/* Each way in which a hint can be about something else. */
static void test_a_hint_that_does_not_fit_is_no_hint(void)
{
    for (int what = 0; what < 8; what++) {
        struct left left;
        struct dlm_hint *h = &left.hints[0];

        begin();
        left = leave(100, DLM_BLOCK + 10);
        CU_ASSERT_EQUAL_FATAL(left.n_hints, 1);
        h->boot[0] ^= what == 0;
        h->generation += what == 1;
        h->ino += what == 2;
        h->dev += what == 3;
        h->chain ^= what == 4;
        h->crc ^= what == 5;
        h->end += what == 6 ? TOTAL : 0;
        if (what == 7)
            scribble(DLM_BLOCK + 5);
        CU_ASSERT_EQUAL(again(&left), 100);
        free(left.rows);
        end();
    }
}

/* Edited, truncated, deleted, replaced between two runs. */
static void test_a_changed_part_is_noticed(void)
{
    struct left left;

    begin();
    left = leave(TOTAL, TOTAL);
    left.n_hints = 0;
    CU_ASSERT_EQUAL(again(&left), TOTAL);
    scribble(DLM_BLOCK + 77);
    CU_ASSERT_EQUAL(again(&left), TOTAL - DLM_BLOCK);
    CU_ASSERT_EQUAL(truncate(strcat(strcpy((char[128]){0}, top), "/p"), DLM_BLOCK), 0);
    CU_ASSERT_EQUAL(again(&left), DLM_BLOCK);
    CU_ASSERT_EQUAL(unlinkat(topfd, "p", 0), 0);
    CU_ASSERT_EQUAL(again(&left), -1);
    close(openat(topfd, "p", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    CU_ASSERT_EQUAL(again(&left), -1);
    free(left.rows);
    end();
}

/* What stands at the part's name is emptied when it is ours, and refused with its kind otherwise. */
static void test_only_our_own_leftover_is_adopted(void)
{
    struct dlm_sink *s = NULL;
    struct stat st;
    dlmgr_error e;

    begin();
    CLEANUP_FD int fd = openat(topfd, "p", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CU_ASSERT_EQUAL(dlm_pwrite_all(fd, "old", 3, 0), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_sink_create(dir, "p", TOTAL, &s, &e), 0);
    CU_ASSERT_EQUAL(fstat(fd, &st), 0);
    CU_ASSERT_EQUAL(st.st_size, 0);
    CU_ASSERT(dlm_sink_named(s));
    CU_ASSERT_EQUAL(unlinkat(topfd, "p", 0), 0);
    CU_ASSERT_FALSE(dlm_sink_named(s));
    s = dlm_sink_free(s);

    CU_ASSERT_EQUAL(symlinkat("elsewhere", topfd, "p"), 0);
    CU_ASSERT_EQUAL(dlm_sink_create(dir, "p", TOTAL, &s, &e), DLMGR_EHOME);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "a symlink"));
    CU_ASSERT_EQUAL(unlinkat(topfd, "p", 0), 0);
    CU_ASSERT_EQUAL(mkdirat(topfd, "p", 0700), 0);
    CU_ASSERT_EQUAL(dlm_sink_create(dir, "p", TOTAL, &s, &e), DLMGR_EHOME);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "a directory"));
    CU_ASSERT_EQUAL(unlinkat(topfd, "p", AT_REMOVEDIR), 0);
    CU_ASSERT_EQUAL(mkfifoat(topfd, "p", 0600), 0);
    CU_ASSERT_EQUAL(dlm_sink_create(dir, "p", TOTAL, &s, &e), DLMGR_EHOME);
    CU_ASSERT_EQUAL(unlinkat(topfd, "p", 0), 0);
    close(openat(topfd, "q", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    CU_ASSERT_EQUAL(linkat(topfd, "q", topfd, "p", 0), 0);
    CU_ASSERT_EQUAL(dlm_sink_create(dir, "p", TOTAL, &s, &e), DLMGR_EHOME);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "several names"));
    CU_ASSERT_PTR_NULL(s);
    end();
}

/* Two connections fill two blocks; the next snapshot has only what came since the last. */
static void test_a_snapshot_has_what_is_new(void)
{
    struct dlm_sink *s = NULL;
    struct dlm_writer a, b;
    struct dlm_block_row *rows = NULL;
    size_t n = 0;

    begin();
    CU_ASSERT_EQUAL_FATAL(dlm_sink_create(dir, "p", TOTAL, &s, NULL), 0);
    dlm_writer_start(&a, s, slots, TASK, GENERATION, 0);
    dlm_writer_start(&b, s, slots, TASK, GENERATION, DLM_BLOCK);
    CU_ASSERT_EQUAL(dlm_writer_write(&a, bytes, 10), 0);
    CU_ASSERT_EQUAL(dlm_writer_write(&b, bytes + DLM_BLOCK, (size_t)(TOTAL - DLM_BLOCK)), 0);
    CU_ASSERT_FALSE(dlm_sink_complete(s));
    CU_ASSERT_EQUAL(dlm_sink_snapshot(s, &rows, &n), 0);
    CU_ASSERT_EQUAL(n, 3);
    free(rows);
    CU_ASSERT_EQUAL(dlm_writer_write(&a, bytes + 10, (size_t)DLM_BLOCK - 10), 0);
    CU_ASSERT_EQUAL(dlm_sink_snapshot(s, &rows, &n), 0);
    CU_ASSERT_EQUAL(n, 1);
    CU_ASSERT_EQUAL(rows[0].crc, dlm_crc32c(0, bytes, (size_t)DLM_BLOCK));
    CU_ASSERT(dlm_sink_complete(s));
    free(rows);
    dlm_writer_stop(&a, slots);
    dlm_writer_stop(&b, slots);
    dlm_sink_free(s);
    end();
}

static size_t claims(void)
{
    struct left left = {0};

    CU_ASSERT_EQUAL(dlm_slots_each(slots, keep_hint, &left), 0);
    return left.n_hints;
}

/* What an ended connection wrote is claimed until the journal has it, or a kill in that second would cost all of it. */
static void test_a_claim_outlives_its_connection(void)
{
    struct dlm_sink *s = NULL;
    struct dlm_writer a, b;
    struct dlm_block_row *rows = NULL;
    size_t n = 0;

    begin();
    CU_ASSERT_EQUAL_FATAL(dlm_sink_create(dir, "p", TOTAL, &s, NULL), 0);
    dlm_writer_start(&a, s, slots, TASK, GENERATION, 0);
    dlm_writer_start(&b, s, slots, TASK, GENERATION, DLM_BLOCK);
    CU_ASSERT_EQUAL(dlm_writer_write(&a, bytes, 10), 0);
    CU_ASSERT_EQUAL(dlm_writer_write(&b, bytes + DLM_BLOCK, 10), 0);
    dlm_writer_stop(&a, slots);
    CHECK_INT(claims(), 2);
    CU_ASSERT_EQUAL(dlm_sink_snapshot(s, &rows, &n), 0);
    free(rows);
    dlm_writer_stop(&b, slots);
    CHECK_INT(claims(), 2);
    dlm_sink_counted(s); /* the snapshot was before the end of b */
    CHECK_INT(claims(), 1);
    CU_ASSERT_EQUAL(dlm_sink_snapshot(s, &rows, &n), 0);
    free(rows);
    dlm_sink_counted(s);
    CHECK_INT(claims(), 0);
    dlm_sink_free(s);
    end();
}

/* ---- The disk and the memory say no ----------------------------------------------------------- */

struct
try {
    struct left left;
    struct dlm_sink *sink;
    struct dlm_writer writer;
    dlmgr_error e;
};

static int try_create(void *context)
{
    struct try *t = context;

    return dlm_sink_create(dir, "p", TOTAL, &t->sink, &t->e);
}

static int try_open(void *context)
{
    struct try *t = context;
    struct dlm_expect x = {.ident = &t->left.ident,
                           .rows = t->left.rows,
                           .n_rows = t->left.n_rows,
                           .hints = t->left.hints,
                           .n_hints = t->left.n_hints,
                           .generation = GENERATION};

    return dlm_sink_open(dir, "p", TOTAL, &x, &t->sink, &t->e);
}

static int try_write(void *context)
{
    return dlm_writer_write(&((struct try *)context)->writer, bytes, 2 * DLM_BLOCK);
}

static int try_sync(void *context)
{
    struct try *t = context;

    return dlm_sink_sync(t->sink, &t->left.ident);
}

static void test_what_cannot_be_made_says_why(void)
{
    static const struct {
        bool there;
        struct deny row;
        int code;
        const char *says;
    } rows[] = {
        {false, {SYS_openat, ENOSPC}, DLMGR_ENOSPC, "cannot create"},
        {false, {SYS_openat, EACCES}, DLMGR_EIO, "cannot create"},
        {false, {SYS_statx, EIO}, DLMGR_EIO, "cannot look at"},
        {true, {SYS_newfstatat, EIO}, DLMGR_EIO, "cannot look at"},
        {true, {SYS_openat, EEXIST}, DLMGR_EIO, "cannot open"},
        {true, {SYS_ftruncate, EIO}, DLMGR_EIO, "cannot empty"},
        {true, {SYS_geteuid, EPERM}, DLMGR_EHOME, "another user's file"}, /* whose id is -1 then */
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct try t = {0};

        test_about("row %zu", i);
        begin();
        if (rows[i].there)
            close(openat(topfd, "p", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        CHECK_INT(deny_run(&rows[i].row, 1, try_create, &t), rows[i].code);
        CU_ASSERT_PTR_NOT_NULL(strstr(t.e.text, rows[i].says));
        CU_ASSERT_PTR_NULL(t.sink);
        CHECK_INT(try_create(&t), 0);
        dlm_sink_free(t.sink);
        end();
    }
}

/* A write that failed counts for nothing, a sync that failed is told, and what was written before is still there. */
static void test_a_failed_write_or_sync_is_told(void)
{
    static const struct deny full = {SYS_pwrite64, ENOSPC}, broken = {SYS_fdatasync, EIO};
    struct try t = {0};

    begin();
    CHECK_INT(try_create(&t), 0);
    dlm_writer_start(&t.writer, t.sink, slots, TASK, GENERATION, 0);
    CHECK_INT(dlm_writer_write(&t.writer, bytes, 1000), 0);
    CHECK_INT(deny_run(&full, 1, try_write, &t), -ENOSPC);
    CHECK_INT(t.sink->bytes, 1000);
    CHECK_INT(t.writer.pos, 1000);
    CHECK_INT(t.sink->blocks[0].crc, dlm_crc32c(0, bytes, 1000));
    CHECK_INT(deny_run(&broken, 1, try_sync, &t), -EIO);
    CHECK_INT(try_sync(&t), 0);
    dlm_writer_stop(&t.writer, slots);
    dlm_sink_free(t.sink);
    end();
}

static void test_a_part_that_cannot_be_read_is_not_believed(void)
{
    static const struct {
        struct deny row;
        int code;
        int64_t bytes;
    } rows[] = {
        {{SYS_openat, EACCES}, DLMGR_EIO, 0},
        {{SYS_openat, ENXIO}, DLMGR_ENOTFOUND, 0},
        {{SYS_fdatasync, EIO}, DLMGR_EIO, 0},
        {{SYS_fdatasync, ENOSPC}, DLMGR_ENOSPC, 0},
        {{SYS_pread64, EIO}, 0, 0},
        {{SYS_getuid, EPERM}, 0, DLM_BLOCK + 10}, /* nothing to do with it */
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct try t = {0};

        test_about("row %zu", i);
        begin();
        t.left = leave(100, DLM_BLOCK + 10);
        CHECK_INT(deny_run(&rows[i].row, 1, try_open, &t), rows[i].code);
        CHECK_INT(t.sink ? t.sink->bytes : 0, rows[i].bytes);
        dlm_sink_free(t.sink);
        free(t.left.rows);
        end();
    }
}

/* The nth allocation fails, for each n until all goes well. */
static void test_memory_runs_out_anywhere(void)
{
    int n = 1, r;

    begin();
    for (r = -1; r < 0 && n < 50; n++) {
        struct try t = {0};

        test_about("allocation %d", n);
        dlm_fault_alloc = n;
        r = try_create(&t);
        CU_ASSERT(r == 0 || (r == DLMGR_ENOMEM && !t.sink));
        if (r == 0) {
            dlm_writer_start(&t.writer, t.sink, NULL, TASK, GENERATION, 0);
            r = try_write(&t);
            CU_ASSERT(r == 0 || r == -ENOMEM);
            CHECK_INT(t.sink->bytes, dlm_blocks_bytes(t.sink->blocks, t.sink->n));
        }
        if (r == 0) {
            r = dlm_sink_snapshot(t.sink, &t.left.rows, &t.left.n_rows);
            CHECK_INT(t.sink->uncounted, r == 0 ? 0 : 2 * DLM_BLOCK);
        }
        dlm_fault_alloc = 0;
        dlm_sink_free(t.sink);
        free(t.left.rows);
    }
    CU_ASSERT(r == 0 && n > 6);
    end();
}

static void test_memory_runs_out_while_reading_back(void)
{
    struct try t = {0};
    int n = 1, r;

    begin();
    t.left = leave(DLM_BLOCK + 100, TOTAL);
    for (r = -1; r < 0 && n < 50; n++) {
        dlm_fault_alloc = n;
        r = try_open(&t);
        dlm_fault_alloc = 0;
        test_about("allocation %d", n);
        CU_ASSERT(r == 0 || (r == DLMGR_ENOMEM && !t.sink));
    }
    CHECK_INT(r, 0);
    CHECK_INT(t.sink ? t.sink->bytes : 0, TOTAL);
    CU_ASSERT(n > 6);
    dlm_sink_free(t.sink);
    free(t.left.rows);
    end();
}

static const struct test tests[] = {
    {"a_kill_costs_nothing_that_was_written", test_a_kill_costs_nothing_that_was_written},
    {"reading_back_can_be_given_up", test_reading_back_can_be_given_up},
    {"without_a_hint_the_journal_counts", test_without_a_hint_the_journal_counts},
    {"a_hint_that_does_not_fit_is_no_hint", test_a_hint_that_does_not_fit_is_no_hint},
    {"a_changed_part_is_noticed", test_a_changed_part_is_noticed},
    {"only_our_own_leftover_is_adopted", test_only_our_own_leftover_is_adopted},
    {"a_snapshot_has_what_is_new", test_a_snapshot_has_what_is_new},
    {"a_claim_outlives_its_connection", test_a_claim_outlives_its_connection},
    {"what_cannot_be_made_says_why", test_what_cannot_be_made_says_why},
    {"a_failed_write_or_sync_is_told", test_a_failed_write_or_sync_is_told},
    {"a_part_that_cannot_be_read_is_not_believed", test_a_part_that_cannot_be_read_is_not_believed},
    {"memory_runs_out_anywhere", test_memory_runs_out_anywhere},
    {"memory_runs_out_while_reading_back", test_memory_runs_out_while_reading_back},
};

TEST_MAIN("sink", tests)
