/* SPDX-License-Identifier: MIT */
/*
 * test_base.c - what every room stands on: buffers, errors, clock, checksum, files.
 *
 * Faults are injected by counting: the nth allocation fails, then the next, until the operation succeeds.
 */
#include "dlmgr/base.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

/* A buffer grows as text is added, stays NUL-terminated, and may hold NUL bytes. */
static void test_buf_grows_and_terminates(void)
{
    CLEANUP_BUF struct dlm_buf b = {0};

    for (int i = 0; i < 1000; i++)
        dlm_buf_printf(&b, "%03d,", i);
    CU_ASSERT_FATAL(!b.failed);
    CHECK_INT(b.len, 4000);
    CHECK_INT(strlen(b.data), 4000);
    CHECK_MEM(b.data, "000,001,002,", 12);
    CHECK_STR(b.data + 3996, "999,");
    dlm_buf_add(&b, "\0x", 2);
    CHECK_INT(b.len, 4002);
    CHECK_MEM(b.data + 4000, "\0x", 3);
}

/* Taking an empty buffer gives an empty text, not NULL, and leaves the buffer usable. */
static void test_buf_take_is_never_null(void)
{
    struct dlm_buf b = {0};
    CLEANUP_FREE char *empty = dlm_buf_take(&b);
    CLEANUP_FREE char *text = NULL;

    CHECK_STR(empty, "");
    CHECK_INT(b.cap, 0);
    dlm_buf_puts(&b, "again");
    text = dlm_buf_take(&b);
    CHECK_STR(text, "again");
    CU_ASSERT(b.data == NULL);
}

static char *long_text(void)
{
    struct dlm_buf b = {0};

    for (int i = 0; i < 100; i++)
        dlm_buf_puts(&b, "0123456789");
    dlm_buf_printf(&b, "%d", 42);
    return dlm_buf_take(&b);
}

/* Whichever allocation fails, the whole is NULL and nothing leaks; a later addition does not hide it. */
static void test_buf_failure_sticks(void)
{
    char *text = NULL;
    int n = 0;

    while (!text && n < 100) {
        dlm_fault_alloc = ++n;
        text = long_text();
        if (!text)
            CHECK_INT(dlm_fault_alloc, 0);
    }
    dlm_fault_alloc = 0;
    CU_ASSERT_FATAL(text != NULL);
    CU_ASSERT(n > 3);
    CHECK_INT(strlen(text), 1002);
    free(text);
}

/* A size that would overflow is refused, whatever the caller computed. */
static void test_buf_refuses_overflow(void)
{
    CLEANUP_BUF struct dlm_buf b = {0};

    dlm_buf_puts(&b, "x");
    dlm_buf_add(&b, "", SIZE_MAX - 1);
    CHECK_INT(b.len, 1);
    CHECK_STR(b.data, "x");
}

/* The nth allocation fails, once; memory comes zeroed; NULL is copied as NULL. */
static void test_alloc_faults_count_down(void)
{
    static const char zero[64];
    CLEANUP_FREE void *a = NULL;
    CLEANUP_FREE char *c = NULL;

    dlm_fault_alloc = 2;
    a = dlm_alloc(64);
    CU_ASSERT(dlm_strdup("second") == NULL);
    c = dlm_strndup("third", 2);
    CU_ASSERT_FATAL(a != NULL);
    CHECK_MEM(a, zero, 64);
    CHECK_STR(c, "th");
    CU_ASSERT(dlm_strdup(NULL) == NULL);
    dlm_fault_alloc = 1;
    CU_ASSERT(dlm_realloc(a, 128) == NULL);
    CHECK_INT(dlm_fault_alloc, 0);
}

/* Times are RFC 3339 UTC with milliseconds; what has no such form gives the last one that has. */
static void test_clock_format(void)
{
    static const struct {
        int64_t wall;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1700000000123, "2023-11-14T22:13:20.123Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {253402300800000, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {-1, "9999-12-31T23:59:59.999Z"},
    };
    char text[32];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        dlm_clock_format(rows[i].wall, text);
        CHECK_STR(text, rows[i].text);
    }
}

/* A frozen clock stands; thawed, it goes on, the wall near the real time. */
static void test_clock_freezes(void)
{
    int64_t real = (int64_t)time(NULL) * 1000;
    int64_t mono;

    dlm_clock_set(1000, 2000);
    CHECK_INT(dlm_clock_wall(), 1000);
    CHECK_INT(dlm_clock_mono(), 2000);
    dlm_clock_set(-1, -1);
    mono = dlm_clock_mono();
    usleep(3000);
    CU_ASSERT(dlm_clock_mono() - mono >= 2);
    CU_ASSERT(dlm_clock_wall() >= real);
    CU_ASSERT(dlm_clock_wall() < real + 60000);
}

/* The vectors of RFC 3720 appendix B.4, and the usual check value. */
static void test_crc32c_vectors(void)
{
    static const unsigned char pdu[48] = {
        0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
        0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    };
    unsigned char data[32];

    CHECK_INT(dlm_crc32c(0, "", 0), 0);
    CHECK_INT(dlm_crc32c(0, "123456789", 9), 0xe3069283);
    memset(data, 0, sizeof(data));
    CHECK_INT(dlm_crc32c(0, data, 32), 0x8a9136aa);
    memset(data, 0xff, sizeof(data));
    CHECK_INT(dlm_crc32c(0, data, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        data[i] = (unsigned char)i;
    CHECK_INT(dlm_crc32c(0, data, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        data[i] = (unsigned char)(31 - i);
    CHECK_INT(dlm_crc32c(0, data, 32), 0x113fdb5c);
    CHECK_INT(dlm_crc32c(0, pdu, 48), 0xd9963a56);
}

/* A checksum continued at any place is that of the whole: a block goes on after a restart. */
static void test_crc32c_continues(void)
{
    static const char text[] =
        "The quick brown fox jumps over the lazy dog, twice over, and then once more.";
    size_t n = sizeof(text) - 1;
    uint32_t whole = dlm_crc32c(0, text, n);

    for (size_t i = 0; i <= n; i++) {
        test_about("cut at %zu", i);
        CHECK_INT(dlm_crc32c(dlm_crc32c(0, text, i), text + i, n - i), whole);
    }
}

/* Two lower-case digits a byte. */
static void test_hex(void)
{
    char out[11];

    dlm_hex("\x00\x7f\x80\xff\x1a", 5, out);
    CHECK_STR(out, "007f80ff1a");
    dlm_hex("", 0, out);
    CHECK_STR(out, "");
}

static int open_in(const char *name, int flags)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
    return open(path, flags | O_CLOEXEC, 0600);
}

/* What was written at an offset is read back from there; a read is short only at the end of the file. */
static void test_pwrite_and_pread(void)
{
    CLEANUP_FD int fd = open_in("file", O_RDWR | O_CREAT);
    char data[16] = "";

    CU_ASSERT_FATAL(fd >= 0);
    CHECK_INT(dlm_pwrite_all(fd, "0123456789", 10, 0), 0);
    CHECK_INT(dlm_pwrite_all(fd, "abc", 3, 20), 0);
    CHECK_INT(dlm_pread_all(fd, data, 5, 3), 5);
    CHECK_MEM(data, "34567", 5);
    CHECK_INT(dlm_pread_all(fd, data, 16, 18), 5);
    CHECK_MEM(data, "\0\0abc", 5);
    CHECK_INT(dlm_pread_all(fd, data, 16, 23), 0);
    CHECK_INT(dlm_pwrite_all(fd, "", 0, 1000), 0);
    CHECK_INT(lseek(fd, 0, SEEK_END), 23);
}

/* A failing call is reported as its negative errno. */
static void test_file_errors_are_negative_errno(void)
{
    CLEANUP_FD int fd = open_in("file", O_RDONLY | O_CREAT);
    char c;

    CHECK_INT(dlm_pwrite_all(fd, "x", 1, 0), -EBADF);
    CHECK_INT(dlm_pread_all(-1, &c, 1, 0), -EBADF);
    CHECK_INT(dlm_pread_all(fd, &c, 1, -1), -EINVAL);
    CHECK_INT(dlm_fsync_dir(-1), -EBADF);
}

/* A directory can be synced, and closing by cleanup leaves errno alone. */
static void test_fsync_dir(void)
{
    int fd = open(test_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CU_ASSERT_FATAL(fd >= 0);
    CHECK_INT(dlm_fsync_dir(fd), 0);
    errno = EXDEV;
    dlm_cleanup_fd(&fd);
    CHECK_INT(errno, EXDEV);
    CHECK_INT(fcntl(fd, F_GETFD), -1);
}

/* dlm_fail fills the error in and returns its code; no error struct is fine. */
static void test_fail_fills_the_error(void)
{
    dlmgr_error e;
    char text[600];

    memset(&e, 0x55, sizeof(e));
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    CHECK_INT(dlm_fail(NULL, DLMGR_EIO, "nobody listens"), DLMGR_EIO);
    CHECK_INT(dlm_fail(&e, DLMGR_EINVAL, "%s is %d", "it", 7), DLMGR_EINVAL);
    CHECK_INT(e.code, DLMGR_EINVAL);
    CHECK_INT(e.sys_errno, 0);
    CHECK_STR(e.text, "it is 7");
    CHECK_STR(e.path, "");
    dlm_fail(&e, DLMGR_EIO, "%s", text);
    CHECK_INT(strlen(e.text), sizeof(e.text) - 1);
}

/* A full disk and exhausted memory have codes of their own; other errors get the caller's. */
static void test_fail_errno_maps_codes(void)
{
    static const struct {
        int err, code;
    } rows[] = {
        {ENOSPC, DLMGR_ENOSPC}, {EDQUOT, DLMGR_ENOSPC}, {ENOMEM, DLMGR_ENOMEM},
        {EIO, DLMGR_EHOME},     {EACCES, DLMGR_EHOME},
    };
    char text[512];
    dlmgr_error e;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("%s", strerror(rows[i].err));
        errno = rows[i].err;
        CHECK_INT(dlm_fail_errno(&e, DLMGR_EHOME, "/some/path", "cannot open %s", "it"),
                  rows[i].code);
        snprintf(text, sizeof(text), "cannot open it: %s", strerror(rows[i].err));
        CHECK_STR(e.text, text);
        CHECK_STR(e.path, "/some/path");
        CHECK_INT(e.sys_errno, rows[i].err);
        CHECK_INT(e.class_, DLMGR_CLASS_LOCAL);
        errno = rows[i].err;
        CHECK_INT(dlm_fail_errno(NULL, DLMGR_EHOME, NULL, "quiet"), rows[i].code);
    }
}

static void keep_line(int level, const char *text, void *context)
{
    snprintf(context, 64, "%d %.50s", level, text);
}

/* A log without a function is silent; one with it gets level and text. */
static void test_log(void)
{
    char line[64] = "";
    struct dlm_log log = {keep_line, line};

    dlm_log(NULL, DLMGR_LOG_ERROR, "nowhere");
    dlm_log(&(struct dlm_log){0}, DLMGR_LOG_ERROR, "nowhere");
    CHECK_STR(line, "");
    dlm_log(&log, DLMGR_LOG_INFO, "%s %d", "here", 1);
    CHECK_STR(line, "2 here 1");
}

/* TAKE_PTR and TAKE_FD hand on and leave nothing to clean up. */
static void test_take(void)
{
    char c, *p = &c;
    int fd = 7;

    CU_ASSERT(TAKE_PTR(p) == &c);
    CU_ASSERT(p == NULL);
    CHECK_INT(TAKE_FD(fd), 7);
    CHECK_INT(fd, -1);
}

static const struct test tests[] = {
    TEST(test_buf_grows_and_terminates),
    TEST(test_buf_take_is_never_null),
    TEST(test_buf_failure_sticks),
    TEST(test_buf_refuses_overflow),
    TEST(test_alloc_faults_count_down),
    TEST(test_clock_format),
    TEST(test_clock_freezes),
    TEST(test_crc32c_vectors),
    TEST(test_crc32c_continues),
    TEST(test_hex),
    TEST(test_pwrite_and_pread),
    TEST(test_file_errors_are_negative_errno),
    TEST(test_fsync_dir),
    TEST(test_fail_fills_the_error),
    TEST(test_fail_errno_maps_codes),
    TEST(test_log),
    TEST(test_take),
};

TEST_MAIN("base", tests)
