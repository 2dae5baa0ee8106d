/* SPDX-License-Identifier: MIT */
/*
 * test_slots.c - claims survive the process that made them, and nothing else does.
 */
#include "dlmgr/slots.h"

#include "tests/lib/deny.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char home[64];

static int home_make(void)
{
    snprintf(home, sizeof(home), "/tmp/dlmgr-slots-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(home));
    return open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void home_drop(int fd)
{
    unlinkat(fd, "slots", 0);
    close(fd);
    CU_ASSERT_EQUAL(rmdir(home), 0);
}

struct seen {
    int n;
    struct dlm_hint last;
};

static int see(const struct dlm_hint *hint, void *context)
{
    struct seen *seen = context;

    seen->n++;
    seen->last = *hint;
    return 0;
}

static struct seen look(int fd)
{
    struct dlm_slots *s = NULL;
    struct seen seen = {0};

    CU_ASSERT_EQUAL_FATAL(dlm_slots_open(fd, &s, NULL), 0);
    CU_ASSERT_EQUAL(dlm_slots_each(s, see, &seen), 0);
    dlm_slots_close(s);
    return seen;
}

static const struct dlm_hint claim = {.task = 7, .generation = 2, .dev = 3, .ino = 99, .start = 100};

/* A process that is killed right after a store leaves its last whole record behind. */
static void test_a_killed_writer_leaves_its_last_record(void)
{
    int fd = home_make(), status;
    struct seen seen;
    pid_t pid = fork();

    if (pid == 0) {
        struct dlm_slots *s = NULL;
        struct dlm_slot *slot;

        if (dlm_slots_open(fd, &s, NULL) < 0 || !(slot = dlm_slot_take(s, &claim)))
            _exit(1);
        for (int i = 1; i <= 5; i++)
            dlm_slot_store(slot, 100 + i, (uint32_t)i, (uint32_t)i * 10);
        kill(getpid(), SIGKILL);
    }
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT(WIFSIGNALED(status));
    seen = look(fd);
    CU_ASSERT_EQUAL(seen.n, 1);
    CU_ASSERT_EQUAL(seen.last.task, 7);
    CU_ASSERT_EQUAL(seen.last.generation, 2);
    CU_ASSERT_EQUAL(seen.last.ino, 99);
    CU_ASSERT_EQUAL(seen.last.start, 100);
    CU_ASSERT_EQUAL(seen.last.end, 105);
    CU_ASSERT_EQUAL(seen.last.chain, 5);
    CU_ASSERT_EQUAL(seen.last.crc, 50);
    home_drop(fd);
}

/* Nothing written, put back, cleared, another boot: no claim. */
static void test_what_is_no_claim(void)
{
    int fd = home_make();
    CLEANUP_FD int file = -1;
    struct dlm_slots *s = NULL;
    struct dlm_slot *a, *b;

    CU_ASSERT_EQUAL_FATAL(dlm_slots_open(fd, &s, NULL), 0);
    a = dlm_slot_take(s, &claim);
    CU_ASSERT_EQUAL(look(fd).n, 0);
    dlm_slot_store(a, 101, 0, 1);
    b = dlm_slot_take(s, &claim);
    dlm_slot_store(b, 102, 0, 1);
    CU_ASSERT_EQUAL(look(fd).n, 2);
    dlm_slot_put(s, a);
    CU_ASSERT_EQUAL(look(fd).n, 1);
    file = openat(fd, "slots", O_RDWR | O_CLOEXEC);
    for (int64_t at = 8; at < 1024; at += 128) /* wherever the boot id of the second slot lies */
        CU_ASSERT_EQUAL(dlm_pwrite_all(file, "another", 7, at), 0);
    CU_ASSERT_EQUAL(look(fd).n, 0);
    dlm_slots_clear(s);
    CU_ASSERT_EQUAL(look(fd).n, 0);
    dlm_slots_close(s);
    home_drop(fd);
}

/* When all are taken the next one is refused, and one put back can be taken again. */
static void test_slots_run_out(void)
{
    int fd = home_make(), n = 0;
    struct dlm_slots *s = NULL;
    struct dlm_slot *slot, *last = NULL;

    CU_ASSERT_EQUAL_FATAL(dlm_slots_open(fd, &s, NULL), 0);
    while ((slot = dlm_slot_take(s, &claim)) && n < 100000) {
        last = slot;
        n++;
    }
    CU_ASSERT_EQUAL(n, 1024);
    dlm_slot_put(s, last);
    CU_ASSERT_PTR_EQUAL(dlm_slot_take(s, &claim), last);
    dlm_slots_close(s);
    home_drop(fd);
}

static void test_a_symlink_is_refused(void)
{
    int fd = home_make();
    struct dlm_slots *s = NULL;
    dlmgr_error e;

    CU_ASSERT_EQUAL(symlinkat("/tmp/elsewhere", fd, "slots"), 0);
    CU_ASSERT_EQUAL(dlm_slots_open(fd, &s, &e), DLMGR_EHOME);
    CU_ASSERT_PTR_NULL(s);
    home_drop(fd);
}

static int try_open(void *context)
{
    struct dlm_slots *s = NULL;
    int r = dlm_slots_open(*(int *)context, &s, NULL);

    dlm_slots_close(s);
    return r;
}

/* A full disk is noticed when the file is made, since a store to a hole would be the end. */
static void test_a_file_that_cannot_be_had_is_told(void)
{
    static const struct {
        struct deny row;
        int code;
    } rows[] = {
        {{SYS_openat, EACCES}, DLMGR_EHOME},
        {{SYS_ftruncate, EIO}, DLMGR_EIO},
        {{SYS_fallocate, ENOSPC}, DLMGR_ENOSPC},
        {{SYS_fallocate, EIO}, DLMGR_EIO},
    };
    int fd = home_make();

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        unlinkat(fd, "slots", 0);
        CHECK_INT(deny_run(&rows[i].row, 1, try_open, &fd), rows[i].code);
        CHECK_INT(try_open(&fd), 0);
    }
    dlm_fault_alloc = 1;
    CHECK_INT(try_open(&fd), DLMGR_ENOMEM);
    dlm_fault_alloc = 0;
    CU_ASSERT_EQUAL(unlinkat(fd, "slots", 0), 0);
    CU_ASSERT_EQUAL(mkfifoat(fd, "slots", 0600), 0);
    CHECK_INT(try_open(&fd), DLMGR_EHOME);
    home_drop(fd);
}

static const struct test tests[] = {
    {"a_killed_writer_leaves_its_last_record", test_a_killed_writer_leaves_its_last_record},
    {"what_is_no_claim", test_what_is_no_claim},
    {"slots_run_out", test_slots_run_out},
    {"a_symlink_is_refused", test_a_symlink_is_refused},
    {"a_file_that_cannot_be_had_is_told", test_a_file_that_cannot_be_had_is_told},
};

TEST_MAIN("slots", tests)
