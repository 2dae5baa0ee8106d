/* SPDX-License-Identifier: MIT */
/*
 * test_host.c - an application with the library inside, that finds its process as it left it.
 *
 * The host has what applications have: a libuv loop of its own with timers and signals, handlers, a umask, a current
 * directory, a locale, an environment, allocators. It downloads, and meanwhile forks children that close everything, and starts programs. All
 * that belongs to the process is noted before, looked at each millisecond, and compared afterwards: handlers, mask of
 * the thread, umask, directory, locale, environment, limits, descriptors, threads.
 *
 * It links libdlmgr.so and sees nothing of it but dlmgr.h.
 */
#include "dlmgr.h"
#include "tests/lib/fixture.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

extern char **environ;

#define SESSION "org.example.host"

enum { FILES = 6, SIZE = 700000, SIGNALS = 64, FDS = 256 };

/* ---- What belongs to the process ------------------------------------------------------------------------------- */

struct process {
    struct sigaction actions[SIGNALS + 1];
    sigset_t mask;
    mode_t umask;
    char cwd[1024], locale[256];
    char **environment;
    size_t environment_sum;
    struct rlimit files, core, size;
    json_malloc_t json_malloc;
    json_free_t json_free;
    struct stat fds[FDS];
    bool open[FDS];
    int threads;
};

static size_t sum(void)
{
    size_t n = 0;

    for (char **p = environ; *p; p++)
        for (const char *c = *p; *c; c++)
            n = n * 31 + (unsigned char)*c;
    return n;
}

static int count_dir(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int n = 0;

    while (dir && (entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

/* The umask is read where looking does not change it, as the other threads run. */
static mode_t umask_now(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned mask = 0xffff;

    while (file && fgets(line, sizeof(line), file))
        sscanf(line, "Umask: %o", &mask);
    if (file)
        fclose(file);
    return mask;
}

/* only: the descriptors that were open then; NULL: all. Others come and go in the library's threads meanwhile. */
static void note(struct process *p, const struct process *only)
{
    memset(p, 0, sizeof(*p));
    for (int s = 1; s <= SIGNALS; s++)
        sigaction(s, NULL, &p->actions[s]);
    pthread_sigmask(SIG_SETMASK, NULL, &p->mask);
    p->umask = umask_now();
    CU_ASSERT_PTR_NOT_NULL(getcwd(p->cwd, sizeof(p->cwd)));
    snprintf(p->locale, sizeof(p->locale), "%s", setlocale(LC_ALL, NULL));
    p->environment = environ;
    p->environment_sum = sum();
    getrlimit(RLIMIT_NOFILE, &p->files);
    getrlimit(RLIMIT_CORE, &p->core);
    getrlimit(RLIMIT_FSIZE, &p->size);
    json_get_alloc_funcs(&p->json_malloc, &p->json_free);
    for (int fd = 0; fd < FDS; fd++)
        p->open[fd] = (!only || only->open[fd]) && fstat(fd, &p->fds[fd]) == 0;
    p->threads = count_dir("/proc/self/task");
}

/* Also while the library works: nothing but descriptors and threads may have come. */
static void compare(const struct process *a, const struct process *b)
{
    for (int s = 1; s <= SIGNALS; s++) {
        test_about("signal %d", s);
        CU_ASSERT(a->actions[s].sa_handler == b->actions[s].sa_handler &&
                  a->actions[s].sa_flags == b->actions[s].sa_flags);
        CHECK_INT(sigismember(&a->mask, s), sigismember(&b->mask, s));
    }
    test_about("the process");
    CHECK_INT(a->umask, b->umask);
    CHECK_STR(a->cwd, b->cwd);
    CHECK_STR(a->locale, b->locale);
    CU_ASSERT(a->environment == b->environment && a->environment_sum == b->environment_sum);
    CHECK_MEM(&a->files, &b->files, sizeof(a->files));
    CHECK_MEM(&a->core, &b->core, sizeof(a->core));
    CHECK_MEM(&a->size, &b->size, sizeof(a->size));
    CU_ASSERT(a->json_malloc == b->json_malloc && a->json_free == b->json_free);
    for (int fd = 0; fd < FDS; fd++)
        if (a->open[fd]) {
            test_about("descriptor %d", fd);
            CU_ASSERT(b->open[fd] && a->fds[fd].st_ino == b->fds[fd].st_ino &&
                      a->fds[fd].st_dev == b->fds[fd].st_dev);
        }
}

static void compare_closed(const struct process *a, const struct process *b)
{
    compare(a, b);
#ifndef __SANITIZE_THREAD__ /* which has one of its own, from some time on */
    CHECK_INT(b->threads, a->threads);
#endif
    for (int fd = 0; fd < FDS; fd++) {
        test_about("descriptor %d", fd);
        CHECK_INT(b->open[fd], a->open[fd]);
    }
}

/* ---- The host ------------------------------------------------------------------------------------------------------ */

struct host {
    uv_loop_t loop;
    uv_timer_t ticks, giving_up;
    uv_signal_t children;
    uv_poll_t events;
    dlmgr *dlmgr;
    struct process before;
    int heard, ticked, forked, forks_ended, forks_good, late;
};

static volatile sig_atomic_t usr1_count, usr1_elsewhere, pipe_count;
static pid_t main_thread;

static void on_signal(int sig)
{
    if (sig == SIGPIPE)
        pipe_count++;
    else
        usr1_count++;
    if ((pid_t)syscall(SYS_gettid) != main_thread)
        usr1_elsewhere++;
}

static int on_event(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    struct host *host = context;

    (void)session;
    CHECK_STR(event->type, "done");
    if (++host->heard == FILES && host->forks_ended == host->forked)
        uv_stop(&host->loop);
    return 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct host *host = poll->data;
    dlmgr_error e = {0};

    (void)status;
    (void)events;
    if (dlmgr_process(host->dlmgr, &e) < 0)
        CU_FAIL("dlmgr_process failed");
}

/* A child as servers make them: closes all it does not know, which must not cost the parent its lock or its downloads. */
static int child(struct host *host)
{
    dlmgr_error e = {0};
    dlmgr_list *list;

    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    if (dlmgr_query(host->dlmgr, NULL, &list, &e) != DLMGR_EFORK ||
        dlmgr_process(host->dlmgr, &e) != DLMGR_EFORK)
        return 1;
    dlmgr_close(host->dlmgr);
    return 0;
}

static void on_children(uv_signal_t *signal, int number)
{
    struct host *host = signal->data;
    int status;

    (void)number;
    while (waitpid(-1, &status, WNOHANG) > 0) {
        host->forks_ended++;
        host->forks_good += status == 0;
    }
    if (host->heard == FILES && host->forks_ended == host->forked)
        uv_stop(&host->loop);
}

static void on_tick(uv_timer_t *timer)
{
    struct host *host = timer->data;
    struct process now;

    note(&now, &host->before);
    compare(&host->before, &now);
    kill(getpid(), SIGUSR1);
    if (host->ticked++ % 5 == 0 && host->forked < 3) {
        host->forked++;
        if (fork() == 0)
            _exit(child(host));
    }
}

static void on_late(uv_timer_t *timer)
{
    struct host *host = timer->data;

    host->late = 1;
    uv_stop(&host->loop);
}

static void host_dress(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    main_thread = (pid_t)syscall(SYS_gettid);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    umask(027);
    CU_ASSERT_EQUAL_FATAL(chdir(test_dir()), 0);
    setlocale(LC_ALL, "C.UTF-8");
    setenv("HOST", "here", 1);
}

static void host_loop(struct host *host)
{
    CU_ASSERT_EQUAL_FATAL(uv_loop_init(&host->loop), 0);
    uv_timer_init(&host->loop, &host->ticks);
    uv_timer_init(&host->loop, &host->giving_up);
    uv_signal_init(&host->loop, &host->children);
    host->ticks.data = host->giving_up.data = host->children.data = host->events.data = host;
    uv_signal_start(&host->children, on_children, SIGCHLD);
}

static void on_walk(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void host_add(struct host *host, const struct fx *fx)
{
    dlmgr_request requests[FILES];
    char *urls[FILES];
    dlmgr_error e = {0};
    int r;

    for (int i = 0; i < FILES; i++) {
        urls[i] = fx_url(fx, "/f/%d.bin?size=%d&seed=%d&rate=1M", i, SIZE, i + 1);
        dlmgr_request_init(&requests[i]);
        requests[i].session = SESSION;
        requests[i].url = urls[i];
        requests[i].dir = test_dir();
    }
    r = dlmgr_add(host->dlmgr, requests, FILES, NULL, NULL, &e);
    test_about("%s", e.text);
    CHECK_INT(r, 0);
    for (int i = 0; i < FILES; i++)
        free(urls[i]);
}

static void check_files(void)
{
    for (int i = 0; i < FILES; i++) {
        char path[600];
        struct stat st;

        snprintf(path, sizeof(path), "%s/%d.bin", test_dir(), i);
        CHECK_INT(fx_file_check(path, SIZE, (uint64_t)i + 1), 0);
        CHECK_INT(stat(path, &st), 0);
        CHECK_INT(st.st_mode & 07777, 0640);
    }
}

static void host_run(struct host *host, const struct fx *fx)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    dlmgr_delegate delegate = DLMGR_INIT(dlmgr_delegate);
    dlmgr_session *session = NULL;
    dlmgr_error e = {0};
    char home[600];

    snprintf(home, sizeof(home), "%s/home", test_dir());
    options.home = home;
    CU_ASSERT_EQUAL_FATAL(dlmgr_open(DLMGR_OWN, &options, &host->dlmgr, &e), 0);
    delegate.event = on_event;
    CHECK_INT(dlmgr_session_open(host->dlmgr, SESSION, 0, &delegate, host, &session, &e), 0);
    uv_poll_init(&host->loop, &host->events, dlmgr_fd(host->dlmgr));
    uv_poll_start(&host->events, UV_READABLE, on_readable);
    host_add(host, fx);
    uv_timer_start(&host->ticks, on_tick, 1, 1);
    uv_timer_start(&host->giving_up, on_late, 60000, 0);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    uv_poll_stop(&host->events);
    host->dlmgr = dlmgr_close(host->dlmgr);
}

static void test_host_finds_its_process_as_it_left_it(void)
{
    static struct host host;
    static struct process after;
    mode_t old = umask(022);
    char *cwd = getcwd(NULL, 0);
    struct fx *fx;

    CU_ASSERT_EQUAL_FATAL(fx_start(&fx, NULL), 0);
    host_dress();
    host_loop(&host);
    note(&host.before, NULL);
    host_run(&host, fx);
    note(&after, NULL);
    compare_closed(&host.before, &after);
    test_about("the host");
    CHECK_INT(host.late, 0);
    CHECK_INT(host.heard, FILES);
    CHECK_INT(host.forked, 3);
    CHECK_INT(host.forks_good, 3);
    CU_ASSERT(host.ticked > 20);
    CU_ASSERT(usr1_count > 0);
    CHECK_INT(usr1_elsewhere, 0);
    CHECK_INT(pipe_count, 0);
    check_files();
    uv_walk(&host.loop, on_walk, NULL);
    uv_run(&host.loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&host.loop), 0);
    fx_stop(fx);
    CHECK_INT(chdir(cwd), 0);
    umask(old);
    free(cwd);
}

/*
 * A program that the host starts inherits no file of the library and none of what it waits on. (libcurl 7.88 makes a pair of sockets to
 * wake itself up, which it does not mark; nobody can do anything with those.)
 */
static void test_host_children_inherit_no_descriptor(void)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    struct process before, during;
    char home[600], command[800], line[256];
    dlmgr *handle = NULL;
    int n = 0;
    FILE *out;

    snprintf(home, sizeof(home), "%s/home", test_dir());
    options.home = home;
    note(&before, NULL);
    CU_ASSERT_EQUAL_FATAL(dlmgr_open(DLMGR_OWN, &options, &handle, NULL), 0);
    CU_ASSERT(dlmgr_fd(handle) > 2);
    note(&during, &before);
    CU_ASSERT(during.threads > before.threads);
    snprintf(command, sizeof(command), "find /proc/self/fd/ -lname '%s*' -o -lname 'anon_inode*'",
             home);
    out = popen(command, "r");
    CU_ASSERT_FATAL(out != NULL);
    while (fgets(line, sizeof(line), out)) {
        test_about("inherited: %s", line);
        n++;
    }
    CHECK_INT(n, 0);
    CHECK_INT(pclose(out), 0);
    dlmgr_close(handle);
}

static const struct test tests[] = {
    TEST(test_host_finds_its_process_as_it_left_it),
    TEST(test_host_children_inherit_no_descriptor),
};

TEST_MAIN("host", tests)
