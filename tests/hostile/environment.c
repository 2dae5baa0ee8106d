/* SPDX-License-Identifier: MIT */
/*
 * environment.c - what surrounds an owner goes wrong: its disk, its clock, its limits, its home, its directories.
 *
 * Each case is a download in a house whose surroundings are changed on the way. What must come of it stands in its sentence. Never is there a
 * file at the final name that is not whole, never a task that is lost or waits for years. Ends with
 *
 *     environment: 20 cases, violations 0
 */
#include "tests/hostile/iofault.h"

#include "dlmgr/base.h"
#include "tests/lib/house.h"
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { SIZE = 3 << 20, SEED = 7 };
#define TEN_YEARS (10LL * 365 * 24 * 3600)

static struct house h;
static int n_violations;

#define MUST(...)                                                                                  \
    do {                                                                                           \
        if (!(__VA_ARGS__))                                                                        \
            n_violations++;                                                                        \
    } while (0)

/* ---- Words for the cases ------------------------------------------------------------------------------------ */

static void act(int64_t id, int action)
{
    dlmgr_selector one = {.size = sizeof(one), .ids = &id, .n_ids = 1};
    dlmgr_error e = {0};

    if (dlmgr_act(h.handle, action, &one, NULL, &e) < 0)
        MUST(CHECK_STR(e.text, "done"));
}

static dlmgr_request request(const char *query)
{
    static char *url;
    dlmgr_request r;

    free(url);
    url = fx_url(h.fx, "/f?size=%d&seed=%d&etag=\"f\"%s", SIZE, SEED, query);
    r = house_request(&h, url);
    r.out = "f";
    return r;
}

static int64_t add(const char *query)
{
    dlmgr_request r = request(query);

    return house_add(&h, &r);
}

/* It stops like this, and there is nothing at the final name. */
static void stops(int64_t id, int state, int code, const char *says)
{
    struct house_result r = house_until(&h, id, INT64_MAX, state);

    MUST(CHECK_STR(dlmgr_state_name(r.state), dlmgr_state_name(state)));
    MUST(CHECK_INT(r.error_code, code));
    if (!strstr(r.text, says))
        MUST(CHECK_STR(r.text, says));
    MUST(CHECK_INT(house_files(&h), 0));
}

static void ends_whole_at(int64_t id, const char *path)
{
    struct house_result r = house_until(&h, id, INT64_MAX, DLMGR_DONE);

    MUST(CHECK_STR(dlmgr_state_name(r.state), "done"));
    MUST(CHECK_STR(r.path, path));
    MUST(CHECK_INT(fx_file_check(path, SIZE, SEED), 0));
}

static void ends_whole(int64_t id)
{
    ends_whole_at(id, house_path(&h, "f"));
}

static void next_owner(void)
{
    house_close(&h);
    house_open(&h);
}

/* ---- Directories and numbers ---------------------------------------------------------------------------------- */

static int64_t begun(void)
{
    int64_t id = add("&rate=4M");

    house_until(&h, id, 600000, -1);
    return id;
}

/* Inode numbers that do not last: the part is not believed, and fetched anew. */
static void inode_numbers_change(void)
{
    int64_t id = begun();

    house_close(&h);
    atomic_store(&io.inode, 1000);
    house_open(&h);
    ends_whole(id);
}

/* Pulled out and put back: another device number, the same file. What the journal counted counts. */
static void the_mount_is_another(void)
{
    int64_t id = begun();
    struct house_result r;

    house_close(&h);
    atomic_store(&io.device, 1);
    house_open(&h);
    r = house_look(&h, id);
    MUST(CHECK_INT(r.bytes_done > 0, 1));
    ends_whole(id);
    MUST(CHECK_INT(house_look(&h, id).generation, 1));
}

/* The directory is renamed and another stands in its place: no file where nobody looks for it, and none half in the new one. */
static void the_directory_is_swapped(void)
{
    char aside[400], *dir = h.dir;
    int64_t id = begun();

    snprintf(aside, sizeof(aside), "%s.aside", dir);
    MUST(CHECK_INT(rename(dir, aside), 0));
    MUST(CHECK_INT(mkdir(dir, 0755), 0));
    stops(id, DLMGR_FAILED, 17, "not the directory");
    MUST(CHECK_INT(rmdir(dir), 0));
    MUST(CHECK_INT(rename(aside, dir), 0));
    act(id, DLMGR_RETRY);
    ends_whole(id);
}

/* Removed with all in it. */
static void the_directory_is_removed(void)
{
    char command[500];
    int64_t id = begun();

    snprintf(command, sizeof(command), "rm -r '%s'", h.dir);
    MUST(CHECK_INT(system(command), 0));
    house_until(&h, id, INT64_MAX, DLMGR_FAILED);
    MUST(CHECK_INT(house_look(&h, id).state, DLMGR_FAILED));
    MUST(CHECK_INT(mkdir(h.dir, 0755), 0));
    act(id, DLMGR_RETRY);
    ends_whole(id);
}

/* Home and files on two file systems: the part stands beside the file, so there is nothing to move across. */
static void another_file_system(void)
{
    char dir[] = "/dev/shm/dlmgr-test-XXXXXX", path[100];
    dlmgr_request r = request("");
    int64_t id;

    MUST(mkdtemp(dir) != NULL);
    r.dir = dir;
    id = house_add(&h, &r);
    snprintf(path, sizeof(path), "%s/f", dir);
    ends_whole_at(id, path);
    unlink(path);
    MUST(CHECK_INT(rmdir(dir), 0));
}

/* ---- The journal's disk -------------------------------------------------------------------------------------------- */

/* What cannot be stored is tried again each second; nothing is told meanwhile, nothing is lost after. */
static void journal_fails(const char *call, const char *file, int err)
{
    int64_t id = begun();

    io_fault(&(struct io_fault){.call = call, .path = file, .err = err});
    usleep(2200000);
    MUST(CHECK_INT(atomic_load(&io.fired) > 0, 1));
    MUST(CHECK_INT(atomic_load(&io.fired) < 1000, 1));
    MUST(CHECK_INT(house_files(&h), 0));
    io_clear();
    ends_whole(id);
    next_owner();
    MUST(CHECK_INT(house_look(&h, id).state, DLMGR_DONE));
}

static void journal_full(void)
{
    journal_fails("pwrite", "journal.db-wal", ENOSPC);
}

static void journal_over_quota(void)
{
    journal_fails("pwrite", "journal.db-wal", EDQUOT);
}

static void journal_io_error(void)
{
    journal_fails("pwrite", "journal.db-wal", EIO);
}

static void journal_sync_error(void)
{
    journal_fails("fdatasync", "journal.db-wal", EIO);
}

/* A batch that is tried again waits a second, also when the clock goes back ten years meanwhile. */
static void journal_full_and_the_clock_set_back(void)
{
    int64_t id = begun();

    io_fault(&(struct io_fault){.call = "pwrite", .path = "journal.db-wal", .err = ENOSPC});
    atomic_store(&io.set_s, TEN_YEARS);
    usleep(1500000);
    io_clear();
    ends_whole(id);
}

/* ---- Clocks ------------------------------------------------------------------------------------------------------------ */

static int64_t refused_once(const char *more, int64_t wait_ms)
{
    dlmgr_request r = request("");

    fx_script(h.fx, "/f", "status=503 %s ; size=%d seed=%d etag=\"f\"", more, SIZE, SEED);
    r.retry_wait_ms = wait_ms;
    return house_add(&h, &r);
}

/* The pause before a next try began in another decade: it lasts as long as a pause, and no longer. */
static void the_clock_goes_back(void)
{
    int64_t id;

    atomic_store(&io.set_s, TEN_YEARS);
    usleep(1200000); /* the owner has seen it */
    id = refused_once("retry_after=3000", 50);
    house_until(&h, id, INT64_MAX, DLMGR_WAITING);
    atomic_store(&io.set_s, 0);
    ends_whole(id);
}

/* The same while nobody owned the home. */
static void the_clock_goes_back_unseen(void)
{
    int64_t id;

    atomic_store(&io.set_s, TEN_YEARS);
    id = refused_once("retry_after=3000", 50);
    house_until(&h, id, INT64_MAX, DLMGR_WAITING);
    house_close(&h);
    atomic_store(&io.set_s, 0);
    house_open(&h);
    ends_whole(id);
}

/* And forward: what became due is done; a transfer under way does not notice. */
static void the_clock_goes_forward(void)
{
    int64_t id, other = begun();

    id = refused_once("retry_after=3000", 50);
    house_until(&h, id, INT64_MAX, DLMGR_WAITING);
    atomic_store(&io.set_s, TEN_YEARS);
    MUST(CHECK_INT(house_until(&h, id, INT64_MAX, DLMGR_DONE).state, DLMGR_DONE));
    MUST(CHECK_INT(house_until(&h, other, INT64_MAX, DLMGR_DONE).state, DLMGR_DONE));
    atomic_store(&io.set_s, 0);
    MUST(CHECK_INT(house_look(&h, id).state, DLMGR_DONE));
}

/* After a sleep of an hour nothing waits for the hour that was slept through. */
static void the_machine_sleeps(void)
{
    int64_t id = refused_once("retry_after=3000", 50);

    house_until(&h, id, INT64_MAX, DLMGR_WAITING);
    atomic_store(&io.slept_s, 3600);
    ends_whole(id);
}

/* ---- Limits ------------------------------------------------------------------------------------------------------------- */

static void limit(int what, rlim_t n, struct rlimit *ret_old)
{
    struct rlimit new;

    getrlimit(what, ret_old);
    new = *ret_old;
    new.rlim_cur = n;
    MUST(CHECK_INT(setrlimit(what, &new), 0));
}

/* RLIMIT_FSIZE is an error of the file and no signal of the process, which has not changed how it takes SIGXFSZ. */
static void a_file_beyond_the_limit(void)
{
    struct rlimit old;
    int64_t id;

    limit(RLIMIT_FSIZE, 2 << 20, &old);
    id = add("");
    stops(id, DLMGR_FAILED, 17, "File too large");
    setrlimit(RLIMIT_FSIZE, &old);
    act(id, DLMGR_RETRY);
    ends_whole(id);
}

/* The same for the journal, on the caller's own thread. */
static void a_journal_beyond_the_limit(void)
{
    dlmgr_request r = request("");
    struct rlimit old;
    dlmgr_error e = {0};
    sigset_t pending;
    int64_t id = 0;
    dlmgr *other = NULL;

    house_close(&h);
    MUST(CHECK_INT(dlmgr_open(DLMGR_EITHER, &h.options, &other, &e), 0));
    limit(RLIMIT_FSIZE, 4096, &old);
    MUST(CHECK_INT(dlmgr_add(other, &r, 1, &id, NULL, &e) < 0, 1));
    if (!strstr(e.text, "File too large") && !strstr(e.text, "disk I/O error"))
        MUST(CHECK_STR(e.text, "File too large"));
    sigpending(&pending);
    MUST(CHECK_INT(sigismember(&pending, SIGXFSZ), 0));
    setrlimit(RLIMIT_FSIZE, &old);
    MUST(CHECK_INT(dlmgr_add(other, &r, 1, &id, NULL, &e), 0));
    dlmgr_close(other);
    house_open(&h);
    ends_whole(id);
}

/* No descriptor left: said as that, and tried again. */
static void no_descriptor_left(void)
{
    dlmgr_request r = request("");
    struct rlimit old;
    int64_t id;
    int fds[64], n = 0;

    r.paused = 1;
    id = house_add(&h, &r); /* adding reads the umask from a file of /proc */
    limit(RLIMIT_NOFILE, 1024, &old);
    while (n < 64 && (fds[n] = dup(0)) >= 0 && fds[n] < 1023)
        n++;
    setrlimit(RLIMIT_NOFILE,
              &(struct rlimit){.rlim_cur = (rlim_t)fds[n - 1] + 1, .rlim_max = old.rlim_max});
    act(id, DLMGR_RESUME);
    house_until(&h, id, INT64_MAX, DLMGR_WAITING);
    MUST(strstr(house_look(&h, id).text, "no file descriptor left") != NULL);
    MUST(CHECK_INT(house_look(&h, id).error_class, DLMGR_CLASS_LOCAL));
    setrlimit(RLIMIT_NOFILE, &old);
    while (n > 0)
        close(fds[--n]);
    ends_whole(id);
}

/* A process whose stdin, stdout and stderr are closed: none of our files becomes one of them. */
static int in_the_dark(void)
{
    dlmgr_request r = request("&rate=3M");
    char link[64], path[300];
    ssize_t n;
    int64_t id = 0;
    dlmgr *handle = NULL;

    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    if (dlmgr_open(DLMGR_OWN, &h.options, &handle, NULL) < 0 ||
        dlmgr_add(handle, &r, 1, &id, NULL, NULL) < 0)
        return 1;
    for (int ms = 0; ms < 900; ms += 10) {
        usleep(10000);
        for (int fd = 0; fd <= 2; fd++) {
            snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
            n = readlink(link, path, sizeof(path) - 1);
            path[n > 0 ? n : 0] = '\0';
            if (strstr(path, ".db") || strstr(path, ".part") || strstr(path, "/lock") ||
                strstr(path, "slots"))
                return 2;
        }
        if (write(2, "what somebody prints\n", 21) < 0)
            continue;
    }
    if (dlmgr_wait(handle, &id, 1, 20000, NULL) != 0)
        return 3;
    dlmgr_close(handle);
    return 0;
}

static void stdio_is_closed(void)
{
    int status = 0;
    pid_t pid;

    house_close(&h);
    pid = fork();
    if (pid == 0)
        _exit(in_the_dark());
    waitpid(pid, &status, 0);
    MUST(CHECK_INT(status, 0));
    house_open(&h);
    MUST(CHECK_INT(fx_file_check(house_path(&h, "f"), SIZE, SEED), 0));
}

/* The home is removed under its owner: what is under way ends whole, what is asked is answered, and it closes. */
static void the_home_is_removed(void)
{
    char command[500];
    struct rusage before, after;
    int64_t id = begun();
    int64_t cpu;

    snprintf(command, sizeof(command), "rm -r '%s'", h.home);
    MUST(CHECK_INT(system(command), 0));
    ends_whole(id);
    getrusage(RUSAGE_SELF, &before);
    usleep(1500000);
    getrusage(RUSAGE_SELF, &after);
    cpu = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000LL + after.ru_utime.tv_usec -
          before.ru_utime.tv_usec;
    MUST(CHECK_INT(cpu < 500000, 1));
    next_owner(); /* of a new one */
    MUST(CHECK_INT(fx_file_check(house_path(&h, "f"), SIZE, SEED), 0));
}

/* ---- All of them ---------------------------------------------------------------------------------------------------------- */

static const struct hostile_case {
    const char *name;
    void (*fn)(void);
} cases[] = {
#define CASE(fn)                                                                                   \
    {                                                                                              \
#fn, fn                                                                                    \
    }
    CASE(inode_numbers_change),     CASE(the_mount_is_another),
    CASE(the_directory_is_swapped), CASE(the_directory_is_removed),
    CASE(another_file_system),      CASE(journal_full),
    CASE(journal_over_quota),       CASE(journal_io_error),
    CASE(journal_sync_error),       CASE(journal_full_and_the_clock_set_back),
    CASE(the_clock_goes_back),      CASE(the_clock_goes_back_unseen),
    CASE(the_clock_goes_forward),   CASE(the_machine_sleeps),
    CASE(a_file_beyond_the_limit),  CASE(a_journal_beyond_the_limit),
    CASE(no_descriptor_left),       CASE(stdio_is_closed),
    CASE(the_home_is_removed),
};

static int first, step = 1, n_cases;

static void test_cases(void)
{
    char base[250];

    house_begin(&h);
    snprintf(base, sizeof(base), "%s", test_dir());
    for (int i = first; i < (int)ARRAY_SIZE(cases); i += step, n_cases++) {
        house_close(&h);
        snprintf(h.home, sizeof(h.home), "%s/home%d", base, i);
        snprintf(h.dir, sizeof(h.dir), "%s/files%d", base, i);
        mkdir(h.dir, 0755);
        fx_script(h.fx, "/f", "%s", "");
        house_open(&h);
        test_about("%s", cases[i].name);
        cases[i].fn();
        io_clear();
    }
    house_end(&h);
}

static const struct test tests[] = {TEST(test_cases)};

/* environment [N [STEP]]: those from the Nth on, each STEPth. */
int main(int argc, char **argv)
{
    int status;

    first = argc > 1 ? atoi(argv[1]) : 0;
    step = argc > 2 && atoi(argv[2]) > 0 ? atoi(argv[2]) : 1;
    status = test_main(1, argv, "environment", tests, ARRAY_SIZE(tests));
    printf("environment: %d cases, violations %d\n", n_cases, n_violations);
    return status || n_violations;
}
