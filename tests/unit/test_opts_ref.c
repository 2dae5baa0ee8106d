/* SPDX-License-Identifier: MIT */
/*
 * test_opts_ref.c - headers that stand somewhere else: which texts are references, what becomes of them, and what is refused by name.
 */
#include "dlmgr/opts_ref.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static void test_what_a_reference_is(void)
{
    static const struct {
        const char *text, *shown, *wrong;
    } rows[] = {
        {"X-Key: {env:TOKEN}", "X-Key: {env:TOKEN}", NULL},
        {"Authorization: Bearer {file:/a b}", "Authorization: {file:/a b}", NULL},
        {"A: secret{credential:x.y}secret", "A: {credential:x.y}", NULL},
        {"{env:_1}", "{env:_1}", NULL},
        {"X-Key: TOKEN", "***", "bad reference"},
        {"X-Key: {TOKEN}", "***", "bad reference"},
        {"X-Key: {env:TOKEN", "***", "bad reference"},
        {"X-Key: {vault:TOKEN}", "***", "bad reference"},
        {"X-Key: {env:}", "***", "the name of a variable"},
        {"X-Key: {env:1A}", "***", "the name of a variable"},
        {"X-Key: {env:A-B}", "***", "the name of a variable"},
        {"X-Key: {file:token}", "***", "an absolute path"},
        {"X-Key: {credential:../x}", "***", "without slashes"},
        {"X-Key: {credential:..}", "***", "without slashes"},
        {"{env:A} ", "{env:A}", "a header's name"},
        {"Bearer {env:A}: x", ": {env:A}", "a header's name"},
        {"Range: {env:A}", "Range: {env:A}", "not for you"},
        {"A b: {env:A}", "A b: {env:A}", "bad header"},
        {"A: x\n{env:A}", "A: {env:A}", "control character"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *shown = dlm_ref_shown(rows[i].text);
        dlmgr_error e = {0};

        test_about("%s", rows[i].text);
        CHECK_INT(dlm_ref_check(rows[i].text, &e), rows[i].wrong ? DLMGR_EINVAL : 0);
        CU_ASSERT(!rows[i].wrong || strstr(e.text, rows[i].wrong));
        CU_ASSERT_PTR_NULL(strstr(e.text, "secret"));
        if (!rows[i].wrong || strcmp(rows[i].shown, "***") == 0)
            CHECK_STR(shown, rows[i].shown);
    }
}

/* ---- What becomes of it ------------------------------------------------------------------------------ */

static int append(const char *line, void *context)
{
    struct dlm_buf *b = context;

    dlm_buf_puts(b, line);
    dlm_buf_puts(b, "|");
    return 0;
}

/* The lines, or what is said of why not. */
static char *lines_of(const char *text)
{
    struct dlm_buf b = {0};
    dlmgr_error e = {0};

    if (dlm_ref_lines(text, append, &b, &e) < 0) {
        CHECK_INT(e.class_, DLMGR_CLASS_NEEDS_AUTH);
        dlm_buf_free(&b);
        return strdup(e.text);
    }
    dlm_buf_puts(&b, "");
    return dlm_buf_take(&b);
}

static const char *at(const char *name)
{
    static char path[400];

    snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
    return path;
}

static void put(const char *name, const void *data, size_t len, mode_t mode)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CU_ASSERT_EQUAL_FATAL(write(fd, data, len), (ssize_t)len);
    fchmod(fd, mode);
    close(fd);
}

static void test_what_stands_there_is_put_in(void)
{
    static const struct {
        const char *value, *text, *lines;
    } rows[] = {
        {"tok", "A: Bearer {env:DLM_REF}", "A: Bearer tok|"},
        {"tok\r\n", "A: {env:DLM_REF}.", "A: tok.|"},
        {"A: b\n\n# no\nC: d\r\n", "{env:DLM_REF}", "A: b|C: d|"},
        {"", "A: {env:DLM_REF}", "the header's reference {env:DLM_REF} is empty"},
        {"\n", "A: {env:DLM_REF}", "the header's reference {env:DLM_REF} is empty"},
        {"a\nB: c", "A: {env:DLM_REF}",
         "the header's reference {env:DLM_REF} holds something that is no header"},
        {"nonsense", "{env:DLM_REF}",
         "the header's reference {env:DLM_REF} holds something that is no header"},
        {"Range: bytes=0-1", "{env:DLM_REF}",
         "the header's reference {env:DLM_REF} holds something that is no header"},
    };
    CLEANUP_FREE char *absent = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *lines = NULL;

        setenv("DLM_REF", rows[i].value, 1);
        lines = lines_of(rows[i].text);
        test_about("row %zu", i);
        CHECK_STR(lines, rows[i].lines);
    }
    unsetenv("DLM_REF");
    absent = lines_of("A: {env:DLM_REF}");
    CU_ASSERT_PTR_NOT_NULL(strstr(absent, "{env:DLM_REF} is not in the environment"));
}

/* A file is read when it is ours alone; all else is refused, at once, and by name. */
static void test_files_are_looked_at(void)
{
    static char large[DLM_REF_MAX + 1];
    static const struct {
        const char *name, *says;
    } rows[] = {
        {"good", "A: word|"},
        {"read-only", "A: word|"},
        {"group", "may be read or written by others"},
        {"world", "may be read or written by others"},
        {"large", "is larger than 64 KiB"},
        {"nul", "holds NUL"},
        {"link", "is a symbolic link"},
        {"fifo", "is not a regular file"},
        {".", "is not a regular file"},
        {"absent", "No such file"},
        {"theirs", "belongs to another user"},
    };

    put("good", "word\n", 5, 0600);
    put("read-only", "word\n", 5, 0400);
    put("group", "word\n", 5, 0640);
    put("world", "word\n", 5, 0602);
    memset(large, 'x', sizeof(large));
    put("large", large, sizeof(large), 0600);
    put("nul", "a\0b", 3, 0600);
    put("theirs", "word", 4, 0600);
    CHECK_INT(symlink("good", at("link")), 0);
    CHECK_INT(mkfifo(at("fifo"), 0600), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[500];
        CLEANUP_FREE char *lines = NULL;

        if (!strcmp(rows[i].name, "theirs") && chown(at("theirs"), 12345, 12345) < 0)
            continue; /* only root can make one */
        snprintf(text, sizeof(text), "A: {file:%s}", at(rows[i].name));
        lines = lines_of(text);
        test_about("%s: %s", rows[i].name, lines);
        CU_ASSERT_PTR_NOT_NULL(strstr(lines, rows[i].says));
    }
}

/* In systemd's directory, whatever the modes are there. */
static void test_credentials(void)
{
    CLEANUP_FREE char *without = NULL, *with = NULL, *absent = NULL;

    unsetenv("CREDENTIALS_DIRECTORY");
    without = lines_of("A: {credential:token}");
    CU_ASSERT_PTR_NOT_NULL(strstr(without, "no $CREDENTIALS_DIRECTORY"));
    put("token", "word", 4, 0440);
    setenv("CREDENTIALS_DIRECTORY", test_dir(), 1);
    with = lines_of("A: {credential:token}");
    CHECK_STR(with, "A: word|");
    absent = lines_of("A: {credential:other}");
    CU_ASSERT_PTR_NOT_NULL(strstr(absent, "{credential:other} No such file"));
    unsetenv("CREDENTIALS_DIRECTORY");
}

static const struct test tests[] = {
    TEST(test_what_a_reference_is),
    TEST(test_what_stands_there_is_put_in),
    TEST(test_files_are_looked_at),
    TEST(test_credentials),
};

TEST_MAIN("opts_ref", tests)
