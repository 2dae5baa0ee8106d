/* SPDX-License-Identifier: MIT */
/*
 * test_store_bytes.c - which bytes are counted: generations, blocks, checkpoints, hints.
 *
 * The rule under test throughout: bytes of two generations never stand in one list, whoever comes late.
 */
#include "tests/lib/journal.h"
#include "tests/lib/test.h"

#define URL "http://a.example:80/file"

static const struct dlm_ident ident = {.ino = UINT64_MAX, .btime_ns = 5, .size = 100};

static int64_t begin(struct dlm_store *s, int64_t id, bool bump, const char *validator)
{
    struct dlm_begin b = {.id = id,
                          .bump = bump,
                          .reason = "changed",
                          .validator = validator,
                          .total = 3 << 20,
                          .name = "file",
                          .part = "file.part",
                          .url = "http://b.example:80/file"};
    int64_t generation = 0;

    CHECK_INT(dlm_store_begin_generation(s, &b, &generation), 0);
    return generation;
}

static void check_blocks(struct dlm_store *s, int64_t id, const struct dlm_block_row *blocks,
                         size_t n)
{
    struct dlm_block_row *got = NULL;
    size_t count = 99;

    CHECK_INT(dlm_store_blocks(s, id, &got, &count), 0);
    CHECK_INT(count, n);
    for (size_t i = 0; i < n && count == n; i++) {
        CHECK_INT(got[i].idx, blocks[i].idx);
        CHECK_INT(got[i].len, blocks[i].len);
        CHECK_INT(got[i].crc, blocks[i].crc);
    }
    free(got);
}

/* Blocks come back in order; a block that grew is replaced; a block that proved wrong goes. */
static void test_bytes_checkpoint(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL), generation;
    const struct dlm_block_row first[] = {{1, 50, 0xffffffff}, {0, 1 << 20, 1}},
                               more[] = {{1, 60, 3}};
    const struct dlm_block_row all[] = {{0, 1 << 20, 1}, {1, 60, 3}};
    const uint32_t wrong[] = {0};
    struct dlm_row row = {0};

    journal_drive(s, id, DLMGR_RUNNING);
    journal_begin(s);
    generation = begin(s, id, false, "\"v\"");
    CHECK_INT(generation, 1);
    CHECK_INT(dlm_store_checkpoint(s, id, 1, &ident, first, 2, (1 << 20) + 50), 0);
    CHECK_INT(dlm_store_checkpoint(s, id, 1, &ident, more, 1, (1 << 20) + 60), 0);
    journal_commit(s);
    check_blocks(s, id, all, 2);
    CU_ASSERT_FATAL(dlm_store_get(s, id, &row) == 0);
    CHECK_INT(row.bytes, (1 << 20) + 60);
    CHECK_INT(row.total, 3 << 20);
    CHECK_INT(row.ident.ino == UINT64_MAX, 1);
    CHECK_INT(row.ident.btime_ns, 5);
    CHECK_INT(row.ident.size, 100);
    CHECK_STR(row.validator, "\"v\"");
    CHECK_STR(row.name, "file");
    CHECK_STR(row.part, "file.part");
    CHECK_STR(row.answered, "http://b.example:80/file");
    dlm_row_clear(&row);
    journal_sound(s);
    journal_begin(s);
    CHECK_INT(dlm_store_uncount(s, id, 1, wrong, 1, 60), 0);
    CHECK_INT(dlm_store_uncount(s, id, 2, wrong, 1, 0), DLMGR_ESTATE);
    journal_commit(s);
    check_blocks(s, id, all + 1, 1);
    journal_close(s);
}

/* A count for a generation that is over, or a task that is gone, is refused and changes nothing. */
static void test_bytes_stale_generation(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL);
    const struct dlm_block_row block = {0, 10, 1};
    char type[16];

    journal_drive(s, id, DLMGR_RUNNING);
    journal_begin(s);
    begin(s, id, false, "\"v1\"");
    CHECK_INT(dlm_store_checkpoint(s, id, 1, &ident, &block, 1, 10), 0);
    CHECK_INT(begin(s, id, true, "\"v2\""), 2);
    journal_commit(s);
    CHECK_INT(journal_events(s, "default", type), 1);
    CHECK_STR(type, "restarted");
    check_blocks(s, id, NULL, 0);
    journal_begin(s);
    CHECK_INT(dlm_store_checkpoint(s, id, 1, &ident, &block, 1, 10), DLMGR_ESTATE);
    CHECK_INT(dlm_store_checkpoint(s, 99, 1, &ident, &block, 1, 10), DLMGR_ENOTFOUND);
    journal_commit(s);
    check_blocks(s, id, NULL, 0);
    journal_sound(s);
    journal_close(s);
}

/* Only a running task begins a generation: one that was paused meanwhile does not. */
static void test_bytes_begin_needs_running(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_begin b = {.total = -1};
    int64_t generation = 0;

    journal_begin(s);
    CHECK_INT(dlm_store_begin_generation(s, &b, &generation), DLMGR_ENOTFOUND);
    journal_commit(s);
    for (int state = 0; state < DLM_STATES; state++) {
        b.id = journal_add(s, URL);
        journal_drive(s, b.id, state);
        test_about("%s", dlm_state_name(state));
        journal_begin(s);
        CHECK_INT(dlm_store_begin_generation(s, &b, &generation),
                  state == DLMGR_RUNNING ? 0 : DLMGR_ESTATE);
        journal_commit(s);
    }
    journal_close(s);
}

/* Bytes are kept by a pause, a failure and a retry, and are of no use once the file is done. */
static void test_bytes_kept_and_dropped(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL);
    const struct dlm_block_row block = {0, 10, 1};
    struct dlm_hint hint = {.task = id, .generation = 1};

    journal_drive(s, id, DLMGR_RUNNING);
    journal_begin(s);
    begin(s, id, false, NULL);
    CHECK_INT(dlm_store_checkpoint(s, id, 1, &ident, &block, 1, 10), 0);
    CHECK_INT(dlm_store_hint_add(s, &hint), 0);
    CHECK_INT(journal_try(s, id, DLMGR_FAILED), 0);
    CHECK_INT(journal_try(s, id, DLMGR_QUEUED), 0);
    CHECK_INT(journal_try(s, id, DLMGR_PAUSED), 0);
    CHECK_INT(journal_try(s, id, DLMGR_QUEUED), 0);
    journal_commit(s);
    check_blocks(s, id, &block, 1);
    journal_begin(s); /* the retry began a generation, and the bytes now belong to that one */
    CHECK_INT(dlm_store_checkpoint(s, id, 1, &ident, &block, 1, 10), DLMGR_ESTATE);
    CHECK_INT(dlm_store_checkpoint(s, id, 2, &ident, &block, 1, 10), 0);
    journal_commit(s);
    journal_drive(s, id, DLMGR_DONE);
    check_blocks(s, id, NULL, 0);
    journal_sound(s);
    journal_close(s);
}

/* Hints come back whole, in the order they were added, and go with their task or when dropped. */
static void test_bytes_hints(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL);
    struct dlm_hint h = {.task = id,
                         .generation = 3,
                         .boot = "01234567-89ab-cdef-0123-456789abcdef",
                         .dev = 1ull << 63,
                         .ino = UINT64_MAX,
                         .start = 5,
                         .end = 1ll << 40,
                         .chain = 0xfffffffe,
                         .crc = 0xffffffff},
                    *got = NULL;
    size_t n = 0;

    journal_begin(s);
    CHECK_INT(dlm_store_hint_add(s, &h), 0);
    h.start = 4;
    CHECK_INT(dlm_store_hint_add(s, &h), 0);
    h.task = 99;
    CHECK_INT(dlm_store_hint_add(s, &h), DLMGR_ENOTFOUND);
    journal_commit(s);
    CU_ASSERT_FATAL(dlm_store_hints(s, id, &got, &n) == 0);
    CU_ASSERT_FATAL(n == 2);
    CHECK_INT(got[0].start, 5);
    h.task = id;
    CHECK_MEM(&got[1], &h, sizeof(h));
    free(got);
    journal_begin(s);
    CHECK_INT(dlm_store_hints_drop(s, id), 0);
    journal_commit(s);
    CHECK_INT(dlm_store_hints(s, id, &got, &n), 0);
    CHECK_INT(n, 0);
    CU_ASSERT(got == NULL);
    journal_begin(s);
    CHECK_INT(dlm_store_hint_add(s, &h), 0);
    CHECK_INT(dlm_store_remove(s, id), 0);
    journal_commit(s);
    CHECK_INT(dlm_store_hints(s, id, &got, &n), 0);
    CHECK_INT(n, 0);
    journal_sound(s);
    journal_close(s);
}

static const struct test tests[] = {
    TEST(test_bytes_checkpoint),
    TEST(test_bytes_stale_generation),
    TEST(test_bytes_begin_needs_running),
    TEST(test_bytes_kept_and_dropped),
    TEST(test_bytes_hints),
};

TEST_MAIN("store_bytes", tests)
