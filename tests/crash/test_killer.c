/* SPDX-License-Identifier: MIT */
/*
 * test_killer.c - the killer against programs whose calls are known.
 *
 * A crash test believes the killer: that the Nth call was prevented and every earlier one happened, that nobody of the
 * family survived, that the log tells what was written where. This program is also the victim: with --victim MODE it makes a
 * known number of calls.
 *
 *     lines    10 lines to stdout, one write each
 *     threads  4 threads, 10 pwrites of 100 bytes each to x.part, waking one another through an eventfd
 *     family   leaves a child in a session of its own behind which writes lines to `child` for 12 s
 *     pair     a child as `lines`; says how it ended
 *     forever  says a line and sleeps
 *     files    one of each: mkdir, creating open, plain open, append, fdatasync, rename, link, unlink, by a held directory too
 *     exec     a thread beside it and then itself again as `lines`
 */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char killer_path[4096];

/* ---- The victims ------------------------------------------------------------------------------- */

static int wake_fd, part_fd;

static void must(bool ok)
{
    if (!ok)
        _exit(99);
}

static void doze(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static int victim_lines(void)
{
    for (int i = 0; i < 10; i++)
        must(dprintf(1, "line %d\n", i) == 7);
    return 3;
}

static void *write_ten(void *arg)
{
    char data[100];
    uint64_t one = 1;
    long base = (long)(intptr_t)arg * 1000;

    memset(data, 'x', sizeof(data));
    for (int i = 0; i < 10; i++) {
        must(pwrite(part_fd, data, sizeof(data), base + i * 100) == 100);
        must(write(wake_fd, &one, sizeof(one)) == sizeof(one));
    }
    return NULL;
}

static int victim_threads(void)
{
    pthread_t threads[4];

    wake_fd = eventfd(0, EFD_CLOEXEC);
    part_fd = open("x.part", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(wake_fd >= 0 && part_fd >= 0);
    for (intptr_t i = 0; i < 4; i++)
        must(pthread_create(&threads[i], NULL, write_ten, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

/* The daemon's way: a session of its own, and nobody who waits for it. */
static int victim_family(void)
{
    struct stat st;

    if (fork() == 0) {
        int fd = open("child", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        setsid();
        for (int i = 0; i < 600; i++, doze(20))
            must(dprintf(fd, "child %d\n", i) > 0);
        _exit(0);
    }
    while (stat("child", &st) || st.st_size == 0)
        doze(5);
    must(dprintf(1, "begun\n") == 6);
    return 0;
}

static int victim_pair(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(victim_lines());
    waitpid(child, &status, 0);
    must(dprintf(1, "ended by %d\n", WTERMSIG(status)) > 0);
    return 0;
}

static int victim_forever(void)
{
    must(dprintf(1, "begun\n") == 6);
    doze(60000);
    return 0;
}

static int victim_files(void)
{
    char held[64];
    int fd;

    must(mkdir("d", 0700) == 0);
    fd = open("d/a", O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, "hello", 5) == 5 && write(fd, "hello", 5) == 5 && fdatasync(fd) == 0);
    close(open("d/a", O_RDONLY | O_CLOEXEC));
    must(rename("d/a", "d/b") == 0 && link("d/b", "d/c") == 0 && unlink("d/b") == 0);
    fd = open("d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(fd >= 0 && snprintf(held, sizeof(held), "/proc/self/fd/%d/c", fd) > 0 && unlink(held) == 0);
    return 0;
}

static void *sleep_for_long(void *arg)
{
    doze(30000);
    return arg;
}

static int victim_exec(void)
{
    pthread_t thread;

    must(dprintf(1, "before\n") == 7 && pthread_create(&thread, NULL, sleep_for_long, NULL) == 0);
    execl("/proc/self/exe", "again", "--victim", "lines", (char *)NULL);
    return 98;
}

static const struct victim {
    const char *mode;
    int (*fn)(void);
} victims[] = {
    {"lines", victim_lines},     {"threads", victim_threads}, {"family", victim_family},
    {"files", victim_files},     {"exec", victim_exec},       {"pair", victim_pair},
    {"forever", victim_forever},
};

/* ---- Running the killer on them ------------------------------------------------------------------ */

static int run(const char *options, const char *mode, char *ret_out, size_t room)
{
    char command[9000], self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    size_t got;
    int status;
    FILE *f;

    CU_ASSERT_FATAL(n > 0);
    self[n] = 0;
    snprintf(command, sizeof(command),
             "cd '%s' && '%s' --timeout 20 --log log %s -- '%s' --victim %s", test_dir(),
             killer_path, options, self, mode);
    f = popen(command, "re");
    CU_ASSERT_FATAL(f != NULL);
    got = fread(ret_out, 1, room - 1, f);
    ret_out[got] = 0;
    status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *slurp(const char *name)
{
    char path[4096];
    char *text = calloc(1, 65536);
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
    f = fopen(path, "re");
    if (f) {
        size_t n = fread(text, 1, 65535, f);

        text[n] = 0;
        fclose(f);
    }
    return text;
}

static int count_of(const char *text, const char *what)
{
    int n = 0;

    for (const char *p = strstr(text, what); p; p = strstr(p + 1, what))
        n++;
    return n;
}

static const char *const ways[] = {"", "--no-seccomp"};

/* Every call before the Nth happened and no other, by either way of stopping. */
static void test_killer_prevents_the_nth_call_and_no_earlier_one(void)
{
    char out[1000], options[64];

    for (int w = 0; w < 2; w++)
        for (int n = 1; n <= 11; n++) {
            test_about("kill at %d %s", n, ways[w]);
            snprintf(options, sizeof(options), "--kill-at %d %s", n, ways[w]);
            CHECK_INT(run(options, "lines", out, sizeof(out)), n <= 10 ? 137 : 3);
            CHECK_INT(count_of(out, "line"), n - 1);
        }
}

static void test_killer_counts_without_killing(void)
{
    char out[1000];

    for (int w = 0; w < 2; w++) {
        test_about("%s", ways[w]);
        CHECK_INT(run(w ? "--count --no-seccomp" : "--count", "lines", out, sizeof(out)), 3);
        CU_ASSERT(strstr(out, "line 9\n10\n") != NULL);
    }
}

/* Four threads at once: 40 writes and the creating open, none of the wakings; and a kill leaves what the log says. */
static void test_killer_follows_threads(void)
{
    char out[1000], options[64], name[64];

    for (int w = 0; w < 2; w++) {
        snprintf(options, sizeof(options), "--count %s", ways[w]);
        CHECK_INT(run(options, "threads", out, sizeof(out)), 0);
        CHECK_STR(out, "41\n");
        for (int n = 2; n <= 41; n += 3) {
            char *log;

            test_about("kill at %d %s", n, ways[w]);
            snprintf(options, sizeof(options), "--kill-at %d %s", n, ways[w]);
            CHECK_INT(run(options, "threads", out, sizeof(out)), 137);
            log = slurp("log");
            CHECK_INT(count_of(log, "\tkilled\t"), 1);
            CHECK_INT(count_of(log, "\tpwrite64\t100\t") + count_of(log, "\tpwrite64\t?\t"), n - 2);
            snprintf(name, sizeof(name), "killed %d\n", n);
            CU_ASSERT(strstr(log, name) != NULL);
            free(log);
        }
    }
}

/* A daemon that the program left behind dies as well: its file stops growing. */
static void test_killer_kills_the_whole_family(void)
{
    char out[1000], *before, *after;

    CHECK_INT(run("--kill-at 10", "family", out, sizeof(out)), 137);
    before = slurp("child");
    doze(100);
    after = slurp("child");
    CHECK_INT(count_of(before, "child"),
              7); /* the creating open, `begun`, 7 lines, and the prevented one */
    CHECK_STR(after, before);
    free(before);
    free(after);
}

static void test_killer_only_first_lets_the_others_finish(void)
{
    char out[1000];

    CHECK_INT(run("--kill-at 4", "pair", out, sizeof(out)), 137);
    CHECK_STR(out, "line 0\nline 1\nline 2\n");
    for (int w = 0; w < 2; w++) {
        test_about("%s", ways[w]);
        CHECK_INT(run(w ? "--kill-at 4 --only-first --no-seccomp" : "--kill-at 4 --only-first",
                      "pair", out, sizeof(out)),
                  137);
        CHECK_STR(out, "line 0\nline 1\nline 2\nended by 9\n");
    }
}

static void test_killer_log_tells_paths_offsets_and_results(void)
{
    char out[1000], line[8192];
    char *log;
    static const char *const expected[] = {
        "\tmkdir\t0\t%s/d\t\t-1\t-1\t",
        "\twrite\t5\t%s/d/a\t\t0\t5\t",
        "\twrite\t5\t%s/d/a\t\t5\t5\t",
        "\tfdatasync\t0\t%s/d/a\t\t-1\t-1\t",
        "\trename\t0\t%s/d/a\t%s/d/b\t",
        "\tlink\t0\t%s/d/b\t%s/d/c\t",
        "\tunlink\t0\t%s/d/b\t",
        "\tunlink\t0\t%s/d/c\t",
        "count 9\n",
    };

    CHECK_INT(run("--count", "files", out, sizeof(out)), 0);
    log = slurp("log");
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const char *dir = test_dir();
        size_t n = 0;

        for (const char *p = expected[i]; *p; p++)
            if (p[0] == '%' && ++p)
                n += (size_t)snprintf(line + n, sizeof(line) - n, "%s", dir);
            else
                line[n++] = *p;
        line[n] = 0;
        test_about("wanted %s in\n%s", line, log);
        CU_ASSERT(strstr(log, line) != NULL);
    }
    free(log);
}

static void test_killer_goes_on_after_an_exec(void)
{
    char out[1000];

    for (int w = 0; w < 2; w++) {
        test_about("%s", ways[w]);
        CHECK_INT(run(w ? "--kill-at 6 --no-seccomp" : "--kill-at 6", "exec", out, sizeof(out)),
                  137);
        CHECK_STR(out, "before\nline 0\nline 1\nline 2\nline 3\n");
    }
}

static void test_killer_ends_what_takes_too_long(void)
{
    char out[1000];

    CHECK_INT(run("--timeout 1 --kill-at 9999", "forever", out, sizeof(out)), 124);
    CHECK_STR(out, "begun\n");
}

static const struct test tests[] = {
    TEST(test_killer_prevents_the_nth_call_and_no_earlier_one),
    TEST(test_killer_counts_without_killing),
    TEST(test_killer_follows_threads),
    TEST(test_killer_kills_the_whole_family),
    TEST(test_killer_only_first_lets_the_others_finish),
    TEST(test_killer_log_tells_paths_offsets_and_results),
    TEST(test_killer_goes_on_after_an_exec),
    TEST(test_killer_ends_what_takes_too_long),
};

static void find_killer(void)
{
    const char *given = getenv("CRASH_KILLER");
    ssize_t n = readlink("/proc/self/exe", killer_path, sizeof(killer_path) - 32);
    char *slash;

    if (given) {
        snprintf(killer_path, sizeof(killer_path), "%s", given);
        return;
    }
    killer_path[n > 0 ? n : 0] = 0;
    slash = strrchr(killer_path, '/');
    strcpy(slash ? slash + 1 : killer_path, "killer");
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--victim") == 0)
        for (size_t i = 0; i < sizeof(victims) / sizeof(victims[0]); i++)
            if (strcmp(argv[2], victims[i].mode) == 0)
                return victims[i].fn();
    find_killer();
    return test_main(argc, argv, "killer", tests, sizeof(tests) / sizeof(tests[0]));
}
