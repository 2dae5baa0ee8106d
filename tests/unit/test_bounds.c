/* SPDX-License-Identifier: MIT */
/*
 * test_bounds.c - the table of limits: what may be set, and that dlmgr.conf(5) says the same.
 */
#include "dlmgr/bounds.h"

#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>

static int set(struct dlm_bounds *b, const char *name, const char *value, dlmgr_error *e)
{
    char text[100];

    *e = (dlmgr_error){0};
    snprintf(text, sizeof(text), "%s=%s", name, value);
    return dlm_bounds_set(b, text, e);
}

static int set_number(struct dlm_bounds *b, const char *name, int64_t value, dlmgr_error *e)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    return set(b, name, text, e);
}

/* The least and the most are fine, one less and one more are not, and the error says the name and what would be. */
static void test_each_limit_of_an_owner_at_its_edges(void)
{
    for (size_t i = 0; i < DLM_BOUNDS; i++) {
        const dlmgr_limit *l = dlmgr_limit_at(i);
        struct dlm_bounds b = dlm_bounds_normal();
        dlmgr_error e;

        test_about("%s", l->name);
        CHECK_INT(l->kind, DLMGR_LIMIT_OWNER);
        CHECK_INT(b.of[i], l->normal);
        CU_ASSERT(l->normal >= l->least && l->normal <= l->most);
        CHECK_INT(set_number(&b, l->name, l->least, &e), 0);
        CHECK_INT(b.of[i], l->least);
        CHECK_INT(set_number(&b, l->name, l->most, &e), 0);
        CHECK_INT(set_number(&b, l->name, l->most + 1, &e), DLMGR_EINVAL);
        CU_ASSERT(strstr(e.text, l->name) && strstr(e.text, "must be from"));
        CHECK_INT(set_number(&b, l->name, l->least - 1, &e), DLMGR_EINVAL);
        CHECK_INT(b.of[i], l->most);
    }
}

static void test_only_an_owner_s_limits_can_be_set(void)
{
    const dlmgr_limit *l;
    dlmgr_error e;
    size_t n = 0;

    for (; (l = dlmgr_limit_at(n)); n++) {
        test_about("%s", l->name);
        CU_ASSERT(*l->text != '\0');
        CHECK_INT(l->kind == DLMGR_LIMIT_OWNER, n < DLM_BOUNDS);
        if (l->kind == DLMGR_LIMIT_OWNER)
            continue;
        CHECK_INT(set_number(NULL, l->name, l->normal, &e), DLMGR_EINVAL);
        CU_ASSERT(strstr(e.text, l->kind == DLMGR_LIMIT_TASK ? "belongs to a task" : "is fixed") !=
                  NULL);
    }
    CU_ASSERT(n > DLM_BOUNDS);
}

static void test_values(void)
{
    static const struct {
        const char *name, *value;
        int64_t want; /* -1: refused */
    } rows[] = {
        {"header-bytes", "2k", 2048},
        {"header-bytes", "2K", 2048},
        {"file-bytes", "3G", INT64_C(3) << 30},
        {"file-bytes", "1T", INT64_C(1) << 40},
        {"file-bytes", "1P", -1},
        {"header-bytes", "", -1},
        {"header-bytes", "k", -1},
        {"header-bytes", "2kk", -1},
        {"header-bytes", "-1", -1},
        {"header-bytes", " 2k", -1},
        {"header-bytes", "2.5k", -1},
        {"redirects", "5", 5},
        {"redirects", "5k", -1},
        {"file-bytes", "99999999999999999999", -1},
        {"file-bytes", "9007199254740992T", -1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_bounds b = {0};
        dlmgr_error e;
        int64_t sum = 0;

        test_about("%s=%s", rows[i].name, rows[i].value);
        CHECK_INT(set(&b, rows[i].name, rows[i].value, &e), rows[i].want < 0 ? DLMGR_EINVAL : 0);
        for (size_t j = 0; j < DLM_BOUNDS; j++)
            sum += b.of[j];
        CHECK_INT(sum, MAX(rows[i].want, 0));
    }
}

static void test_names(void)
{
    static const char *const good[] = {"redirects=3", "redirects=4", NULL},
                             *const unknown[] = {"redirects=3", "redirect=4", NULL};
    struct dlm_bounds b = dlm_bounds_normal();
    dlmgr_error e;

    CHECK_INT(dlmgr_limit_check("redirect=3", &e), DLMGR_ENOTFOUND);
    CHECK_INT(dlmgr_limit_check("redirects", &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_limit_check("", &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_limit_check(NULL, &e), DLMGR_EINVAL);
    CHECK_INT(dlm_bounds_set_all(&b, NULL, &e), 0);
    CHECK_INT(dlm_bounds_set_all(&b, good, &e), 0);
    CHECK_INT(b.of[DLM_BOUND_REDIRECTS], 4);
    CHECK_INT(dlm_bounds_set_all(&b, unknown, &e), DLMGR_EINVAL);
    CHECK_INT(e.code, DLMGR_EINVAL);
}

/* ---- The page -------------------------------------------------------------------------------------------- */

static const char *number(const dlmgr_limit *l, int64_t n)
{
    static char texts[4][32];
    static unsigned next;
    char *text = texts[next++ % 4];
    int unit = 0;

    while (strstr(l->unit, "bytes") && n && n % 1024 == 0 && unit < 4) {
        n /= 1024;
        unit++;
    }
    snprintf(text, sizeof(texts[0]), "%lld%.*s%s", (long long)n, unit > 0, " kMGT" + unit,
             !strcmp(l->unit, "s") ? " s" : "");
    return text;
}

static const char *row_of(const dlmgr_limit *l)
{
    static char text[400];
    char range[100] = "fixed";

    if (l->kind == DLMGR_LIMIT_TASK)
        snprintf(range, sizeof(range), "of a task");
    else if (l->kind == DLMGR_LIMIT_OWNER)
        snprintf(range, sizeof(range), "%s to %s", number(l, l->least), number(l, l->most));
    snprintf(text, sizeof(text), "|  *%s*\n:  %s\n:  %s\n:< %s\n", l->name, number(l, l->normal),
             range, l->text);
    return text;
}

static void test_the_page_says_the_same(void)
{
    static char page[65536];
    int fd = open("docs/man/dlmgr.conf.5.scd", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, page, sizeof(page) - 1);
    const char *at = page;

    CU_ASSERT_FATAL(n > 0);
    close(fd);
    for (size_t i = 0; dlmgr_limit_at(i); i++) {
        const char *row = row_of(dlmgr_limit_at(i)), *found = strstr(at, row);

        test_about("the page has no such row, or not at this place:\n%s", row);
        CU_ASSERT(found != NULL);
        at = found ? found + strlen(row) : at;
    }
    CU_ASSERT(strncmp(at, "|  ", 3) != 0);
}

static const struct test tests[] = {
    TEST(test_each_limit_of_an_owner_at_its_edges),
    TEST(test_only_an_owner_s_limits_can_be_set),
    TEST(test_values),
    TEST(test_names),
    TEST(test_the_page_says_the_same),
};

TEST_MAIN("bounds", tests)
