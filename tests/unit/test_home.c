/* SPDX-License-Identifier: MIT */
/*
 * test_home.c - which directories may be a home, and who owns one.
 *
 * Locks are looked at from forked children, since F_GETLK tells a process nothing about its own.
 */
#include "dlmgr/home.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *at(const char *name)
{
    static char path[4][512];
    static int n;

    n = (n + 1) % 4;
    snprintf(path[n], sizeof(path[n]), "%s/%s", test_dir(), name);
    return path[n];
}

/* What fn returns in a forked child. */
static int in_child(int (*fn)(void *), void *context)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(fn(context));
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

/* A missing home is made with its parents, for its user alone; without `create` nothing is. */
static void test_home_is_made_private(void)
{
    struct dlm_home *h = NULL;
    dlmgr_error e;
    struct stat st;

    CHECK_INT(dlm_home_open(at("a/b/c"), false, false, &h, &e), DLMGR_EHOME);
    CHECK_INT(e.sys_errno, ENOENT);
    CHECK_INT(access(at("a"), F_OK), -1);
    CHECK_INT(dlm_home_open(at("a/b/c"), true, false, &h, &e), 0);
    CU_ASSERT_FATAL(h != NULL);
    CHECK_STR(h->path, at("a/b/c"));
    CHECK_INT(stat(at("a/b"), &st), 0);
    CHECK_INT(st.st_mode & 07777, 0700);
    CHECK_INT(fstat(h->fd, &st), 0);
    CHECK_INT(st.st_mode & 07777, 0700);
    CU_ASSERT(dlm_home_close(h) == NULL);
    CU_ASSERT(dlm_home_close(NULL) == NULL);
}

/* A relative path counts from the current directory, and symbolic links are resolved. */
static void test_home_path_is_absolute_and_resolved(void)
{
    struct dlm_home *h = NULL;
    dlmgr_error e;
    char *cwd = getcwd(NULL, 0);

    CHECK_INT(mkdir(at("real"), 0700), 0);
    CHECK_INT(symlink("real", at("link")), 0);
    CU_ASSERT_FATAL(chdir(test_dir()) == 0);
    CHECK_INT(dlm_home_open("link", false, false, &h, &e), 0);
    CU_ASSERT_FATAL(h != NULL);
    CHECK_STR(h->path, at("real"));
    dlm_home_close(h);
    CHECK_INT(chdir(cwd), 0);
    free(cwd);
}

/* $DLMGR_HOME, then $XDG_STATE_HOME/dlmgr, then ~/.local/state/dlmgr; a relative XDG path does not count. */
static void test_home_comes_from_the_environment(void)
{
    static const struct {
        const char *dlmgr, *xdg, *home, *expected;
    } rows[] = {
        {"D", "X", "H", "D"},
        {NULL, "X", "H", "X/dlmgr"},
        {"", "X", "H", "X/dlmgr"},
        {NULL, NULL, "H", "H/.local/state/dlmgr"},
        {NULL, "relative", "H", "H/.local/state/dlmgr"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_home *h = NULL;
        dlmgr_error e;

        test_about("row %zu", i);
        unsetenv("DLMGR_HOME");
        unsetenv("XDG_STATE_HOME");
        if (rows[i].dlmgr)
            setenv("DLMGR_HOME", *rows[i].dlmgr ? at(rows[i].dlmgr) : "", 1);
        if (rows[i].xdg)
            setenv("XDG_STATE_HOME", rows[i].xdg[1] ? rows[i].xdg : at(rows[i].xdg), 1);
        setenv("HOME", at(rows[i].home), 1);
        CHECK_INT(dlm_home_open(NULL, true, false, &h, &e), 0);
        if (h)
            CHECK_STR(h->path, at(rows[i].expected));
        dlm_home_close(h);
    }
    unsetenv("XDG_STATE_HOME");
}

/* Who else could write there could make us write anywhere: refused, and the remedy is named. */
static void test_home_refuses_open_modes(void)
{
    static const struct {
        mode_t mode;
        bool trust;
        int expected;
        const char *text;
    } rows[] = {
        {0700, false, 0, ""},
        {0755, false, 0, ""},
        {0770, false, DLMGR_EHOME, "chmod g-w"},
        {0770, true, 0, ""},
        {0702, false, DLMGR_EHOME, "chmod o-w"},
        {0777, true, DLMGR_EHOME, "chmod o-w"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_home *h = NULL;
        dlmgr_error e = {0};

        test_about("mode %o trust %d", (unsigned)rows[i].mode, rows[i].trust);
        mkdir(at("h"), 0700);
        CHECK_INT(chmod(at("h"), rows[i].mode), 0);
        CHECK_INT(dlm_home_open(at("h"), true, rows[i].trust, &h, &e), rows[i].expected);
        CU_ASSERT(strstr(e.text, rows[i].text) != NULL);
        CHECK_STR(e.path, rows[i].expected ? at("h") : "");
        dlm_home_close(h);
    }
}

static void test_home_refuses_what_is_no_home(void)
{
    struct dlm_home *h = NULL;
    dlmgr_error e;

    CHECK_INT(dlm_home_open("", true, false, &h, &e), DLMGR_EINVAL);
    CHECK_INT(close(open(at("file"), O_CREAT | O_WRONLY, 0600)), 0);
    CHECK_INT(dlm_home_open(at("file"), true, false, &h, &e), DLMGR_EHOME);
    CHECK_INT(dlm_home_open(at("file/below"), true, false, &h, &e), DLMGR_EHOME);
    CHECK_STR(e.path, at("file/below"));
    CU_ASSERT(h == NULL);
}

/* Another user's directory; for root also a home that would be made inside another user's. */
static void test_home_refuses_another_users(void)
{
    struct dlm_home *h = NULL;
    dlmgr_error e = {0};

    if (geteuid() != 0) {
        CHECK_INT(dlm_home_open("/usr", true, true, &h, &e), DLMGR_EHOME);
        CU_ASSERT(strstr(e.text, "belongs to root") != NULL);
        return;
    }
    CHECK_INT(mkdir(at("user"), 0755), 0);
    CHECK_INT(chown(at("user"), 2, 2), 0);
    CHECK_INT(dlm_home_open(at("user"), true, true, &h, &e), DLMGR_EHOME);
    CU_ASSERT(strstr(e.text, "belongs to bin") != NULL);
    unsetenv("DLMGR_HOME");
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", at("user"), 1);
    CHECK_INT(dlm_home_open(NULL, true, false, &h, &e), DLMGR_EHOME);
    CU_ASSERT(strstr(e.text, "sudo -u bin dlmgr") != NULL);
    CHECK_INT(access(at("user/.local"), F_OK), -1);
    CU_ASSERT(h == NULL);
}

static int child_lock(void *path)
{
    struct dlm_home *h = NULL;
    dlmgr_error e;
    int r = dlm_home_open(path, false, false, &h, &e);
    char pid[32];

    if (r)
        return 10;
    snprintf(pid, sizeof(pid), "process %d ", (int)getppid());
    r = dlm_home_lock(h, &e);
    if (r == DLMGR_EBUSY && strstr(e.text, pid) && dlm_home_owner(h) == (int)getppid())
        r = 1;
    else if (r == 0 && dlm_home_owner(h) == (int)getpid() && h->locked)
        r = 0;
    else
        r = 20;
    dlm_home_close(h);
    return r;
}

/* A second process is told who owns it, also one that was forked from the owner, until it is unlocked. */
static void test_home_lock_names_its_owner(void)
{
    char path[512];
    struct dlm_home *h = NULL;
    dlmgr_error e;

    snprintf(path, sizeof(path), "%s", at("h"));
    CU_ASSERT_FATAL(dlm_home_open(path, true, false, &h, &e) == 0);
    CHECK_INT(dlm_home_owner(h), 0);
    CHECK_INT(access(at("h/lock"), F_OK), -1);
    CHECK_INT(dlm_home_lock(h, &e), 0);
    CU_ASSERT(h->locked);
    CHECK_INT(dlm_home_owner(h), getpid());
    CHECK_INT(in_child(child_lock, path), 1);
    dlm_home_unlock(h);
    CU_ASSERT(!h->locked);
    CHECK_INT(dlm_home_owner(h), 0);
    CHECK_INT(in_child(child_lock, path), 0);
    CHECK_INT(dlm_home_lock(h, &e), 0);
    dlm_home_close(h);
    CHECK_INT(in_child(child_lock, path), 0);
}

/* Closing any descriptor of a file drops the process's locks on it; a second home object must not do that. */
static void test_home_lock_survives_a_second_home(void)
{
    char path[512];
    struct dlm_home *h = NULL, *second = NULL;
    dlmgr_error e;

    snprintf(path, sizeof(path), "%s", at("h"));
    CU_ASSERT_FATAL(dlm_home_open(path, true, false, &h, &e) == 0);
    CHECK_INT(dlm_home_lock(h, &e), 0);
    CU_ASSERT_FATAL(dlm_home_open(path, true, false, &second, &e) == 0);
    CHECK_INT(dlm_home_lock(second, &e), DLMGR_EBUSY);
    CHECK_INT(dlm_home_owner(second), getpid());
    dlm_home_unlock(second);
    CHECK_INT(in_child(child_lock, path), 1);
    dlm_home_close(second);
    CHECK_INT(in_child(child_lock, path), 1);
    dlm_home_close(h);
}

/* A forked child that closes what it inherited takes nothing from its parent. */
static int child_close(void *home)
{
    dlm_home_close(home);
    return 0;
}

static void test_home_child_may_close_what_it_inherited(void)
{
    char path[512];
    struct dlm_home *h = NULL;
    dlmgr_error e;

    snprintf(path, sizeof(path), "%s", at("h"));
    CU_ASSERT_FATAL(dlm_home_open(path, true, false, &h, &e) == 0);
    CHECK_INT(dlm_home_lock(h, &e), 0);
    CHECK_INT(in_child(child_close, h), 0);
    CHECK_INT(in_child(child_lock, path), 1);
    dlm_home_close(h);
}

/* Who removes the lock file between two uses does not make two owners: the file that stands there counts. */
static void test_home_lock_follows_a_replaced_file(void)
{
    char path[512];
    struct dlm_home *h = NULL;
    dlmgr_error e;

    snprintf(path, sizeof(path), "%s", at("h"));
    CU_ASSERT_FATAL(dlm_home_open(path, true, false, &h, &e) == 0);
    CHECK_INT(dlm_home_lock(h, &e), 0);
    dlm_home_unlock(h);
    CHECK_INT(unlink(at("h/lock")), 0);
    CHECK_INT(dlm_home_lock(h, &e), 0);
    CHECK_INT(in_child(child_lock, path), 1);
    dlm_home_close(h);
}

/* The lock file may be no way out of the home. */
static void test_home_lock_refuses_a_symlink(void)
{
    struct dlm_home *h = NULL;
    dlmgr_error e;

    CU_ASSERT_FATAL(dlm_home_open(at("h"), true, false, &h, &e) == 0);
    CHECK_INT(symlink("../elsewhere", at("h/lock")), 0);
    CHECK_INT(dlm_home_lock(h, &e), DLMGR_EHOME);
    CHECK_INT(access(at("elsewhere"), F_OK), -1);
    dlm_home_close(h);
}

/* Whichever allocation fails, the answer is ENOMEM and the next try succeeds. */
static void test_home_open_without_memory(void)
{
    struct dlm_home *h = NULL;
    dlmgr_error e;
    int n = 0, r;

    do {
        dlm_fault_alloc = ++n;
        r = dlm_home_open(at("h"), true, false, &h, &e);
        if (r)
            CHECK_INT(r, DLMGR_ENOMEM);
    } while (r && n < 50);
    dlm_fault_alloc = 0;
    CHECK_INT(r, 0);
    CU_ASSERT(n > 2);
    dlm_home_close(h);
}

static const struct test tests[] = {
    TEST(test_home_is_made_private),
    TEST(test_home_path_is_absolute_and_resolved),
    TEST(test_home_comes_from_the_environment),
    TEST(test_home_refuses_open_modes),
    TEST(test_home_refuses_what_is_no_home),
    TEST(test_home_refuses_another_users),
    TEST(test_home_lock_names_its_owner),
    TEST(test_home_lock_survives_a_second_home),
    TEST(test_home_child_may_close_what_it_inherited),
    TEST(test_home_lock_follows_a_replaced_file),
    TEST(test_home_lock_refuses_a_symlink),
    TEST(test_home_open_without_memory),
};

TEST_MAIN("home", tests)
