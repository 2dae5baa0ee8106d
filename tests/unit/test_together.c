/* SPDX-License-Identifier: MIT */
/*
 * test_together.c - when one sync for many files may be used, and what it answers where it may not.
 */
#include "dlmgr/together.h"

#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const struct {
    const char *release;
    bool trusted;
} releases[] = {
    {"6.1.0-18-amd64", true},
    {"5.8.0", true},
    {"5.10.0-28-cloud-arm64", true},
    {"5.7.19", false},
    {"4.19.0", false},
    {"5", false},
    {"", false},
};

static const struct {
    const char *what, *meminfo;
    bool quiet;
} rows[] = {
    {"nothing", "MemFree: 1 kB\nDirty: 0 kB\nWriteback: 0 kB\n", true},
    {"16 MiB", "MemFree: 1 kB\nDirty:     16384 kB\nWriteback:   0 kB\n", true},
    {"and one KiB more", "MemFree: 1 kB\nDirty:     16384 kB\nWriteback:   1 kB\n", false},
    {"all of it on its way", "MemFree: 1 kB\nDirty: 0 kB\nWriteback: 99999 kB\n", false},
    {"another Writeback", "MemFree: 1 kB\nDirty: 0 kB\nWriteback: 0 kB\nWritebackTmp: 99999 kB\n",
     true},
    {"not said", "MemFree: 1 kB\nDirty: 0 kB\n", false},
    {"no number", "MemFree: 1 kB\nDirty: much\nWriteback: 0 kB\n", false},
    {"empty", "", false},
};

static void test_what_is_trusted(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
        test_about("release %s", releases[i].release);
        CHECK_INT(dlm_together_release(releases[i].release), releases[i].trusted);
    }
}

static void test_what_is_quiet(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu: %s", i, rows[i].what);
        CHECK_INT(dlm_together_quiet(rows[i].meminfo), rows[i].quiet);
    }
}

/* A file system that nobody looked at: no, and no for the next while without looking. */
static void test_a_strange_file_system(void)
{
    struct dlm_together t = {0};
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

    CU_ASSERT_TRUE(dlm_together_usable(&t));
    CU_ASSERT_FALSE(dlm_together_sync(&t, fd));
    CU_ASSERT_FALSE(dlm_together_usable(&t));
    CU_ASSERT_FALSE(dlm_together_sync(&t, -1));
    close(fd);
}

static const struct test tests[] = {
    {"what_is_trusted", test_what_is_trusted},
    {"what_is_quiet", test_what_is_quiet},
    {"a_strange_file_system", test_a_strange_file_system},
};

TEST_MAIN("together", tests)
