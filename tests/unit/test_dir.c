/* SPDX-License-Identifier: MIT */
/*
 * test_dir.c - directories are held, made, never left through a symlink, and synced by many at once.
 */
#include "dlmgr/dir.h"

#include "tests/lib/deny.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static char top[64];
static struct dlm_dirs *set;

static void begin(void)
{
    snprintf(top, sizeof(top), "/tmp/dlmgr-dir-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(top));
    CU_ASSERT_EQUAL_FATAL(dlm_dirs_new(&set), 0);
}

static void end(void)
{
    char command[128];

    set = dlm_dirs_free(set);
    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    CU_ASSERT_EQUAL(system(command), 0);
}

static void test_the_same_directory_is_held_once(void)
{
    struct dlm_dir *a = NULL, *b = NULL;
    char other[128];

    begin();
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, top, NULL, false, &a, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, top, "file", false, &b, NULL), 0);
    CU_ASSERT_PTR_EQUAL(a, b);
    dlm_dir_put(a);
    CU_ASSERT_EQUAL(dlm_dir_sync(b), 0);
    /* By another path it is another one, since files are told by their paths. */
    snprintf(other, sizeof(other), "%s/.", top);
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, other, NULL, false, &a, NULL), 0);
    CU_ASSERT_STRING_EQUAL(a->path, other);
    dlm_dir_put(a);
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, top, "sub/file", true, &a, NULL), 0);
    CU_ASSERT_STRING_EQUAL(strrchr(a->path, '/'), "/sub");
    dlm_dir_put(a);
    dlm_dir_put(b);
    end();
}

static void test_missing_ones_are_named_or_made(void)
{
    struct dlm_dir *d = NULL;
    char deep[128];
    dlmgr_error e;

    begin();
    snprintf(deep, sizeof(deep), "%s/a/b", top);
    CU_ASSERT_EQUAL(dlm_dir_get(set, deep, NULL, false, &d, &e), DLMGR_ENOTFOUND);
    CU_ASSERT_STRING_EQUAL(e.path, deep);
    CU_ASSERT_EQUAL(dlm_dir_get(set, deep, "c/file", false, &d, &e), DLMGR_ENOTFOUND);
    CU_ASSERT_PTR_NULL(d);
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, deep, "c/file", true, &d, &e), 0);
    CU_ASSERT_STRING_EQUAL(strrchr(d->path, '/'), "/c");
    dlm_dir_put(d);
    end();
}

/* `out` may not lead out of dir, whatever stands there. */
static void test_a_symlink_below_dir_does_not_lead_out(void)
{
    struct dlm_dir *d = NULL;
    char link[128];

    begin();
    snprintf(link, sizeof(link), "%s/link", top);
    CU_ASSERT_EQUAL(symlink("/tmp", link), 0);
    CU_ASSERT(dlm_dir_get(set, top, "link/file", false, &d, NULL) < 0);
    CU_ASSERT(dlm_dir_get(set, top, "link/file", true, &d, NULL) < 0);
    CU_ASSERT_PTR_NULL(d);
    end();
}

static char below[128];
static const char *out;

static int get_below(void *context)
{
    struct dlm_dir *d = NULL;
    int r = dlm_dir_get(set, below, out, true, &d, context);

    dlm_dir_put(d);
    return r;
}

/* Nor where openat2() is missing: then any symlink is refused, and what is no symlink is still found. */
static void test_nor_on_an_old_kernel(void)
{
    static const struct deny old[] = {{SYS_openat2, ENOSYS}}, filtered[] = {{SYS_openat2, EPERM}};
    char link[128];
    dlmgr_error e;

    begin();
    snprintf(link, sizeof(link), "%s/link", top);
    snprintf(below, sizeof(below), "%s", top);
    CU_ASSERT_EQUAL(symlink("/tmp", link), 0);
    out = "link/file";
    CU_ASSERT(deny_run(old, 1, get_below, &e) < 0);
    CU_ASSERT(deny_run(filtered, 1, get_below, &e) < 0);
    out = "real/deep/file";
    CHECK_INT(deny_run(old, 1, get_below, &e), 0);
    CHECK_INT(deny_run(filtered, 1, get_below, &e), 0);
    end();
}

/* A directory whose entry is not durable, or that cannot be made, is not used. */
static void test_what_cannot_be_made_or_synced_is_not_held(void)
{
    static const struct {
        struct deny row;
        int code;
    } rows[] = {{{SYS_fsync, EIO}, DLMGR_EIO},
                {{SYS_mkdirat, EACCES}, DLMGR_EIO},
                {{SYS_mkdirat, ENOSPC}, DLMGR_ENOSPC},
                {{SYS_openat, EMFILE}, DLMGR_EIO}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        dlmgr_error e;

        test_about("row %zu", i);
        begin();
        snprintf(below, sizeof(below), "%s/a", top);
        out = "b/file";
        CHECK_INT(deny_run(&rows[i].row, 1, get_below, &e), rows[i].code);
        CHECK_INT(get_below(&e), 0);
        end();
    }
}

/* The nth allocation fails, for each n until all goes well; what is still held is closed with the set. */
static void test_memory_runs_out_anywhere(void)
{
    struct dlm_dir *d = NULL;
    int n = 1, r = -1;

    begin();
    dlm_fault_alloc = 1;
    CHECK_INT(dlm_dirs_new(&(struct dlm_dirs *){NULL}), DLMGR_ENOMEM);
    for (; r < 0 && n < 50; n++) {
        dlm_fault_alloc = n;
        r = dlm_dir_get(set, top, "a/b", true, &d, NULL);
        dlm_fault_alloc = 0;
        CU_ASSERT(r == 0 || (r == DLMGR_ENOMEM && !d));
    }
    CU_ASSERT(r == 0 && n > 3);
    CU_ASSERT_PTR_NULL(dlm_dir_put(NULL));
    CU_ASSERT_PTR_NULL(dlm_dirs_free(NULL));
    end();
}

/* A directory that was replaced under its name is another directory. */
static void test_a_swapped_directory_is_not_mistaken(void)
{
    struct dlm_dir *a = NULL, *b = NULL;
    char dir[128], moved[128];

    begin();
    snprintf(dir, sizeof(dir), "%s/d", top);
    snprintf(moved, sizeof(moved), "%s/moved", top);
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, dir, NULL, true, &a, NULL), 0);
    CU_ASSERT_EQUAL(rename(dir, moved), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, dir, NULL, true, &b, NULL), 0);
    CU_ASSERT_PTR_NOT_EQUAL(a, b);
    dlm_dir_put(a);
    dlm_dir_put(b);
    end();
}

static void *sync_many(void *arg)
{
    intptr_t failures = 0;

    for (int i = 0; i < 50; i++)
        failures += dlm_dir_sync(arg) != 0;
    return (void *)failures;
}

static void test_many_threads_sync_together(void)
{
    struct dlm_dir *d = NULL;
    pthread_t threads[8];

    begin();
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, top, NULL, false, &d, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, sync_many, d), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *failures = d;

        pthread_join(threads[i], &failures);
        CU_ASSERT_PTR_NULL(failures);
    }
    CU_ASSERT_EQUAL(d->asked, 400);
    CU_ASSERT_EQUAL(d->synced, 400);
    dlm_dir_put(d);
    end();
}

/* Nothing counts as synced when the sync failed: here, on a descriptor that was opened as a mere path. */
static void test_a_failed_sync_is_told(void)
{
    struct dlm_dir *d = NULL;
    int saved;

    begin();
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, top, NULL, false, &d, NULL), 0);
    saved = d->fd;
    d->fd = open(top, O_PATH | O_CLOEXEC);
    CU_ASSERT_EQUAL(dlm_dir_sync(d), -EBADF);
    CU_ASSERT_EQUAL(d->synced, 0);
    close(d->fd);
    d->fd = saved;
    CU_ASSERT_EQUAL(dlm_dir_sync(d), 0);
    dlm_dir_put(d);
    end();
}

/* Three threads that sync the same directory; each fsync asks `listener` how it went. */
static struct asking {
    struct dlm_dir *d;
    _Atomic int listener; /* 0: not yet */
    atomic_bool ended;
    int results[3];
} asking;

static void *sync_one(void *arg)
{
    *(int *)arg = dlm_dir_sync(asking.d);
    return NULL;
}

static void *sync_three(void *arg)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};
    pthread_t threads[3];

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    asking.listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                   SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    for (int i = 0; i < 3 && asking.listener > 0; i++)
        pthread_create(&threads[i], NULL, sync_one, &asking.results[i]);
    for (int i = 0; i < 3 && asking.listener > 0; i++)
        pthread_join(threads[i], NULL);
    asking.ended = true;
    return arg;
}

/* Wait for the next fsync, at most until all have ended; the answer is 0 or an errno value. False: there was none. */
static bool answer_sync(int err, __u64 *ret_id)
{
    struct pollfd p = {.fd = asking.listener, .events = POLLIN};
    struct seccomp_notif ask = {0};
    struct seccomp_notif_resp resp = {.error = -err};

    while (poll(&p, 1, 20) <= 0)
        if (asking.ended)
            return false;
    if (ioctl(asking.listener, SECCOMP_IOCTL_NOTIF_RECV, &ask) < 0)
        return false;
    resp.id = ask.id;
    if (ret_id)
        *ret_id = ask.id;
    return ret_id || ioctl(asking.listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) == 0;
}

__attribute__((no_sanitize("thread"))) static int64_t asked(const struct dlm_dir *d)
{
    return *(const volatile int64_t *)&d->asked;
}

/*
 * The kernel tells an error once. So who waited for a sync that failed is told, and does not sync again and hear that all is well:
 * the first sync goes well, the second stands for the two others and fails, a third would succeed.
 */
static void test_a_failed_sync_is_told_to_all_it_stood_for(void)
{
    struct seccomp_notif_resp well = {0};
    pthread_t thread;
    int tries = 0;

    begin();
    asking = (struct asking){0};
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, top, NULL, false, &asking.d, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, sync_three, NULL), 0);
    while (!asking.listener)
        usleep(1000);
    CU_ASSERT_FATAL(asking.listener > 0);
    CU_ASSERT(answer_sync(0, &well.id));
    while (asked(asking.d) < 3 && tries++ < 5000)
        usleep(1000);
    CU_ASSERT_EQUAL(ioctl(asking.listener, SECCOMP_IOCTL_NOTIF_SEND, &well), 0);
    CU_ASSERT(answer_sync(EIO, NULL));
    while (answer_sync(0, NULL))
        ;
    pthread_join(thread, NULL);
    CHECK_INT(asking.results[0] + asking.results[1] + asking.results[2], -2 * EIO);
    CHECK_INT(dlm_dir_sync(asking.d), 0);
    close(asking.listener);
    dlm_dir_put(asking.d);
    end();
}

/* user rw, group r, mask rw, other none: the umask does not count then. */
static void test_a_default_acl_stands_for_the_mask(void)
{
    static const unsigned char acl[] = {2,   0,   0,   0,   1,   0,   6,   0,   255, 255, 255, 255,
                                        4,   0,   4,   0,   255, 255, 255, 255, 16,  0,   6,   0,
                                        255, 255, 255, 255, 32,  0,   0,   0,   255, 255, 255, 255};
    struct dlm_dir *d = NULL;

    begin();
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, top, NULL, false, &d, NULL), 0);
    CU_ASSERT_EQUAL(dlm_dir_file_mode(d, 022), 0644);
    CU_ASSERT_EQUAL(dlm_dir_file_mode(d, 077), 0600);
    if (fsetxattr(d->fd, "system.posix_acl_default", acl, sizeof(acl), 0) == 0)
        CU_ASSERT_EQUAL(dlm_dir_file_mode(d, 077), 0660);
    dlm_dir_put(d);
    end();
}

static const struct test tests[] = {
    {"the_same_directory_is_held_once", test_the_same_directory_is_held_once},
    {"missing_ones_are_named_or_made", test_missing_ones_are_named_or_made},
    {"a_symlink_below_dir_does_not_lead_out", test_a_symlink_below_dir_does_not_lead_out},
    {"nor_on_an_old_kernel", test_nor_on_an_old_kernel},
    {"what_cannot_be_made_or_synced_is_not_held", test_what_cannot_be_made_or_synced_is_not_held},
    {"memory_runs_out_anywhere", test_memory_runs_out_anywhere},
    {"a_swapped_directory_is_not_mistaken", test_a_swapped_directory_is_not_mistaken},
    {"many_threads_sync_together", test_many_threads_sync_together},
    {"a_failed_sync_is_told", test_a_failed_sync_is_told},
    {"a_failed_sync_is_told_to_all_it_stood_for", test_a_failed_sync_is_told_to_all_it_stood_for},
    {"a_default_acl_stands_for_the_mask", test_a_default_acl_stands_for_the_mask},
};

TEST_MAIN("dir", tests)
