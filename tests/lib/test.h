/* SPDX-License-Identifier: MIT */
/*
 * test.h - one test program: a table of functions, and a main() that runs them.
 *
 *     static void test_verdict_416_restarts_from_zero(void)
 *     {
 *         CHECK_INT(verdict(416), RESTART);
 *         CHECK_STR(text, "expected");
 *         CU_ASSERT(anything_true);
 *     }
 *
 *     static const struct test tests[] = {TEST(test_verdict_416_restarts_from_zero)};
 *
 *     TEST_MAIN("verdict", tests)
 *
 * The program prints `ok NAME` or `FAIL NAME` (and below it each failed assertion with file and line) for each
 * function, then `N passed, N failed`; it exits non-zero when one failed or when there was nothing to run. An argument
 * runs only the functions whose name contains it (all when the suite's name does). CUnit keeps the assertions: the
 * ..._FATAL ones leave the test function at once. Assertions belong to the thread that runs the test; a
 * forked child must not return from the test and ends with _exit().
 */
#ifndef DLM_TEST_H
#define DLM_TEST_H

#include <CUnit/CUnit.h>
#include <stddef.h>

struct test {
    const char *name;
    void (*fn)(void);
};

/* clang-format off */
#define TEST(fn) {#fn, fn}
/* clang-format on */

#define TEST_MAIN(suite, tests)                                                                    \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return test_main(argc, argv, suite, tests, sizeof(tests) / sizeof((tests)[0]));            \
    }

int test_main(int argc, char **argv, const char *suite, const struct test *tests, size_t n);

/* An empty directory of this test (absolute path); made at the first call, removed with all in it when the test ends. */
const char *test_dir(void);

/* Says more about the row or step that the next assertions are about; shown with those that fail. Reset by each test. */
void test_about(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Assertions that show both values; true when equal. NULL equals only NULL. */
#define CHECK_INT(actual, expected)                                                                \
    test_check_int((long long)(actual), (long long)(expected), #actual, __FILE__, __LINE__)
#define CHECK_STR(actual, expected)                                                                \
    test_check_str((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_MEM(actual, expected, len)                                                           \
    test_check_mem((actual), (expected), (len), #actual, __FILE__, __LINE__)

int test_check_int(long long actual, long long expected, const char *what, const char *file,
                   int line);
int test_check_str(const char *actual, const char *expected, const char *what, const char *file,
                   int line);
int test_check_mem(const void *actual, const void *expected, size_t len, const char *what,
                   const char *file, int line);

#endif
