/* SPDX-License-Identifier: MIT */
/*
 * test.c - runs a table of test functions on CUnit: see test.h.
 *
 * CUnit's own runners return 0 when tests fail, and say little; so only its registry and its assertions
 * are used here, one CU_run_test() a function, and the result is read from its failure list. What must stay
 * true: the last line is `N passed, N failed`, and the exit code is 0 only when all that ran passed and, unless a
 * filter was given, something ran. Output is line buffered, so that a crash shows how far we came.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[256];
static char about[512];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if ((type == FTW_D || type == FTW_DNR) && (st->st_mode & 0700) != 0700)
        return chmod(path, 0700);
    return 0;
}

static void remove_dir(void)
{
    if (!dir[0])
        return;
    nftw(dir, open_up, 16, FTW_PHYS);
    if (nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS))
        printf("    cannot remove %s: %s\n", dir, strerror(errno));
    dir[0] = '\0';
}

const char *test_dir(void)
{
    const char *base = getenv("TMPDIR");

    if (dir[0])
        return dir;
    snprintf(dir, sizeof(dir), "%s/dlmgr-test-XXXXXX", base && base[0] == '/' ? base : "/tmp");
    if (!mkdtemp(dir)) {
        perror(dir);
        exit(1);
    }
    return dir;
}

void test_about(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(about, sizeof(about), fmt, ap);
    va_end(ap);
}

/* ---- Assertions ---------------------------------------------------------------------------- */

static int check(bool good, int line, const char *file, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int check(bool good, int line, const char *file, const char *fmt, ...)
{
    char text[1024] = "";
    va_list ap;

    if (!good) {
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        if (about[0])
            snprintf(text + strlen(text), sizeof(text) - strlen(text), " [%s]", about);
    }
    CU_assertImplementation(good, (unsigned)line, text, file, "", CU_FALSE);
    return good;
}

int test_check_int(long long actual, long long expected, const char *what, const char *file,
                   int line)
{
    return check(actual == expected, line, file, "%s is %lld, expected %lld", what, actual,
                 expected);
}

int test_check_str(const char *actual, const char *expected, const char *what, const char *file,
                   int line)
{
    bool good = actual && expected ? !strcmp(actual, expected) : actual == expected;

    return check(good, line, file, "%s is %s%.300s%s, expected %s%.300s%s", what,
                 actual ? "\"" : "", actual ? actual : "NULL", actual ? "\"" : "",
                 expected ? "\"" : "", expected ? expected : "NULL", expected ? "\"" : "");
}

int test_check_mem(const void *actual, const void *expected, size_t len, const char *what,
                   const char *file, int line)
{
    const unsigned char *a = actual, *b = expected;
    size_t i = 0;

    while (i < len && a[i] == b[i])
        i++;
    return check(i == len, line, file, "%s differs at byte %zu of %zu", what, i, len);
}

/* ---- Running ------------------------------------------------------------------------------- */

static void print_failures(void)
{
    int left = 20;

    for (CU_pFailureRecord f = CU_get_failure_list(); f && left-- > 0; f = f->pNext)
        printf("    %s:%u: %s\n", f->strFileName ? f->strFileName : "?", f->uiLineNumber,
               f->strCondition ? f->strCondition : "?");
    if (CU_get_number_of_failure_records() > 20)
        printf("    ... and %u more\n", CU_get_number_of_failure_records() - 20);
}

static bool run_one(CU_pSuite suite, const struct test *t)
{
    CU_pTest test = CU_add_test(suite, t->name, t->fn);
    bool good;

    if (!test) {
        printf("FAIL %s\n    cannot be registered: %s\n", t->name, CU_get_error_msg());
        return false;
    }
    about[0] = '\0';
    good = CU_run_test(suite, test) == CUE_SUCCESS && CU_get_number_of_failure_records() == 0;
    printf("%s %s\n", good ? "ok" : "FAIL", t->name);
    print_failures();
    remove_dir();
    return good;
}

static bool wanted(const char *filter, const char *suite, const char *program, const char *name)
{
    return !filter || strstr(name, filter) || strstr(suite, filter) || strstr(program, filter);
}

static int run_all(CU_pSuite suite, const char *filter, const char *program,
                   const struct test *tests, size_t n)
{
    int passed = 0, failed = 0;

    for (size_t i = 0; i < n; i++) {
        if (!wanted(filter, suite->pName, program, tests[i].name))
            continue;
        if (run_one(suite, &tests[i]))
            passed++;
        else
            failed++;
    }
    if (passed + failed == 0 && !filter) {
        printf("FAIL %s\n    no test ran\n", suite->pName);
        failed = 1;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}

int test_main(int argc, char **argv, const char *suite_name, const struct test *tests, size_t n)
{
    const char *program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    const char *filter = argc > 1 && argv[1][0] ? argv[1] : NULL;
    CU_pSuite suite;
    int status;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (CU_initialize_registry() != CUE_SUCCESS || !(suite = CU_add_suite(suite_name, NULL, NULL))) {
        printf("FAIL %s\n    %s\n0 passed, 1 failed\n", suite_name, CU_get_error_msg());
        return 1;
    }
    CU_set_error_action(CUEA_IGNORE);
    status = run_all(suite, filter, program, tests, n);
    CU_cleanup_registry();
    return status;
}
