/* SPDX-License-Identifier: MIT */
/*
 * test_service.c - `dlmgr daemon run` under a service manager, which is this test: what it hears, and who gets the home and its socket.
 *
 * The manager binds NOTIFY_SOCKET, and control.sock as systemd does, and starts the program with the environment of sd_notify(3) and sd_listen_fds(3).
 * A message is waited for as long as a busy machine may need; that none comes is asked only where none may come at all.
 */
#include "dlmgr.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_MS = 30000 };

struct manager {
    char home[512];
    int notify, socket; /* what it listens on: messages; control.sock, -1 none */
    pid_t pid;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(int ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    nanosleep(&pause, NULL);
}

/* ---- The manager ------------------------------------------------------------------------------------------ */

static int bound_to(const char *directory, const char *name, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/%.20s", directory, name);
    unlink(address.sun_path);
    CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static struct manager manager_new(bool with_socket)
{
    struct manager m = {.socket = -1};

    snprintf(m.home, sizeof(m.home), "%s/home", test_dir());
    mkdir(m.home, 0700);
    m.notify = bound_to(test_dir(), "notify", SOCK_DGRAM);
    if (with_socket) {
        m.socket = bound_to(m.home, "control.sock", SOCK_STREAM);
        CU_ASSERT_FATAL(listen(m.socket, 16) == 0);
    }
    return m;
}

static void program_path(char *path, size_t room)
{
    ssize_t n = readlink("/proc/self/exe", path, room - 20);

    path[n < 0 ? 0 : n] = '\0';
    strcpy(strstr(path, "/flow/"), "/dlmgr");
}

/* NULL takes the variable away. */
static void set(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

static void set_environment(const struct manager *m, int n_sockets, const char *watchdog_usec)
{
    char text[600];

    snprintf(text, sizeof(text), "%s/notify", test_dir());
    set("NOTIFY_SOCKET", text);
    set("DLMGR_HOME", m->home);
    set("WATCHDOG_USEC", watchdog_usec);
    snprintf(text, sizeof(text), "%d", n_sockets);
    set("LISTEN_FDS", n_sockets ? text : NULL);
}

static void clear_environment(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "DLMGR_HOME", "WATCHDOG_USEC",
                                        "LISTEN_FDS"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
}

/* The pids are the shell's to say, since between fork and exec a child of a process with threads may not even set a variable. */
static void start(struct manager *m, const char *word, int n_sockets, const char *watchdog_usec)
{
    static const char line[] = "[ -z \"$LISTEN_FDS\" ] || export LISTEN_PID=$$; "
                               "[ -z \"$WATCHDOG_USEC\" ] || export WATCHDOG_PID=$$; "
                               "exec \"$0\" daemon \"$1\" --forever";
    char program[600], err[600];
    int fd;

    program_path(program, sizeof(program));
    snprintf(err, sizeof(err), "%s/err", test_dir());
    fflush(NULL);
    set_environment(m, n_sockets, watchdog_usec);
    m->pid = fork();
    if (m->pid != 0) {
        clear_environment();
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fd = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDERR_FILENO);
    for (int i = 0; i < n_sockets; i++)
        dup2(m->socket, 3 + i);
    execl("/bin/sh", "sh", "-c", line, program, word, (char *)NULL);
    _exit(127);
}

static int ended(struct manager *m)
{
    int status = -1;

    waitpid(m->pid, &status, 0);
    m->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int end(struct manager *m)
{
    kill(m->pid, SIGTERM);
    return ended(m);
}

static void manager_free(struct manager *m)
{
    close(m->notify);
    if (m->socket >= 0)
        close(m->socket);
}

/* ---- What it hears -------------------------------------------------------------------------------------------- */

/* The next message, "" when none comes in time. */
static const char *message(struct manager *m, int ms)
{
    static char text[2048];
    struct pollfd p = {.fd = m->notify, .events = POLLIN};
    ssize_t n = poll(&p, 1, ms) == 1 ? recv(m->notify, text, sizeof(text) - 1, 0) : 0;

    text[n < 0 ? 0 : n] = '\0';
    return text;
}

/* Is one that has this in it among the next ones? */
static bool hears(struct manager *m, const char *wanted)
{
    int64_t until = now_ms() + LIMIT_MS;

    test_about("waiting for %s", wanted);
    while (now_ms() < until)
        if (strstr(message(m, 1000), wanted))
            return true;
    return false;
}

static bool hears_nothing(struct manager *m, int ms)
{
    const char *text = message(m, ms);

    test_about("heard: %s", text);
    return !*text;
}

static void forget(struct manager *m)
{
    while (*message(m, 0))
        continue;
}

/* ---- The other side ---------------------------------------------------------------------------------------------- */

static dlmgr *open_as(const struct manager *m, int mode)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    dlmgr_error e = {0};
    dlmgr *handle = NULL;

    options.home = m->home;
    CHECK_INT(dlmgr_open(mode, &options, &handle, &e), 0);
    CHECK_STR(e.text, "");
    CU_ASSERT_FATAL(handle != NULL);
    return handle;
}

static int64_t owner_of(const struct manager *m)
{
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    dlmgr *client = open_as(m, DLMGR_ATTACH);

    CHECK_INT(dlmgr_count(client, &counts, NULL), 0);
    dlmgr_close(client);
    return counts.owner_pid;
}

static void add_for_later(const struct manager *m)
{
    dlmgr *client = open_as(m, DLMGR_ATTACH);
    dlmgr_request request;

    dlmgr_request_init(&request);
    request.url = "http://127.0.0.1:1/later";
    request.dir = test_dir();
    request.start_after = INT64_C(4102444800000); /* 2100 */
    CHECK_INT(dlmgr_add(client, &request, 1, NULL, NULL, NULL), 0);
    dlmgr_close(client);
}

static ino_t socket_inode(const struct manager *m)
{
    char path[600];
    struct stat st = {0};

    snprintf(path, sizeof(path), "%s/control.sock", m->home);
    return lstat(path, &st) == 0 ? st.st_ino : 0;
}

/* ---- Readiness, state, end ---------------------------------------------------------------------------------------- */

/* READY comes when the home can be reached, STATUS when the counts change, STOPPING when it closes. */
static void test_service_tells_ready_status_stopping(void)
{
    struct manager m = manager_new(false);

    start(&m, "run", 0, NULL);
    CU_ASSERT_FATAL(hears(&m, "READY=1\nSTATUS="));
    CHECK_INT(owner_of(&m), m.pid);
    CU_ASSERT(hears(&m, "STATUS=0 at work, 0 queued, 0 waiting; 0 done, 0 failed"));
    add_for_later(&m);
    CU_ASSERT(hears(&m, "STATUS=0 at work, 0 queued, 1 waiting; 0 done, 0 failed"));
    kill(m.pid, SIGTERM);
    CU_ASSERT(hears(&m, "STOPPING=1\nSTATUS=closing"));
    CHECK_INT(ended(&m), 0);
    CHECK_INT(socket_inode(&m), 0);
    manager_free(&m);
}

/* A daemon that add or `daemon start` made has inherited the variables of whoever started it; they are not meant for it. */
static void test_service_started_by_hand_tells_nobody(void)
{
    struct manager m = manager_new(false);

    start(&m, "start", 0, NULL);
    CHECK_INT(ended(&m), 0);
    CU_ASSERT(hears_nothing(&m, 0));
    start(&m, "stop", 0, NULL);
    CHECK_INT(ended(&m), 0);
    CU_ASSERT(hears_nothing(&m, 0));
    manager_free(&m);
}

/* ---- The sign of life ------------------------------------------------------------------------------------------------ */

static pid_t thread_named(pid_t pid, const char *name)
{
    char path[320], comm[32] = "";
    struct dirent *entry;
    pid_t found = 0;
    DIR *tasks;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    tasks = opendir(path);
    while (tasks && !found && (entry = readdir(tasks))) {
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", (int)pid, entry->d_name);
        file = fopen(path, "re");
        if (file && fgets(comm, sizeof(comm), file) && !strncmp(comm, name, strlen(name)))
            found = atoi(entry->d_name);
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return found;
}

/* It comes while the engine's loop answers, stops when that hangs (though all other threads run), and comes again. */
static void test_service_that_hangs_gives_no_sign_of_life(void)
{
    struct manager m = manager_new(false);
    pid_t loop;
    int status;

    start(&m, "run", 0, "300000");
    CU_ASSERT_FATAL(hears(&m, "READY=1"));
    CU_ASSERT(hears(&m, "WATCHDOG=1"));
    CU_ASSERT(hears(&m, "WATCHDOG=1"));
    loop = thread_named(m.pid, "dlmgr-loop");
    CU_ASSERT_FATAL(loop > 0 && ptrace(PTRACE_SEIZE, loop, NULL, NULL) == 0);
    CHECK_INT(ptrace(PTRACE_INTERRUPT, loop, NULL, NULL), 0);
    CHECK_INT(waitpid(loop, &status, __WALL), loop);
    sleep_ms(1000); /* one answer may have been under way */
    forget(&m);
    CU_ASSERT(hears_nothing(&m, 2000));
    CHECK_INT(ptrace(PTRACE_DETACH, loop, NULL, NULL), 0);
    CU_ASSERT(hears(&m, "WATCHDOG=1"));
    CHECK_INT(end(&m), 0);
    manager_free(&m);
}

/* ---- The socket, and another owner ---------------------------------------------------------------------------------------- */

/* It serves on the socket that it was given and leaves it there; the next one goes on. */
static void test_service_leaves_the_managers_socket(void)
{
    struct manager m = manager_new(true);
    ino_t inode = socket_inode(&m);

    for (int i = 0; i < 2; i++) {
        start(&m, "run", 1, NULL);
        CU_ASSERT(hears(&m, "READY=1"));
        CHECK_INT(owner_of(&m), m.pid);
        CHECK_INT(end(&m), 0);
        CU_ASSERT(socket_inode(&m) == inode);
    }
    manager_free(&m);
}

static bool sent_away(const char *directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    bool away;

    snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/control.sock.aside", directory);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    away = poll(&p, 1, LIMIT_MS) == 1 && read(fd, &byte, 1) == 0;
    close(fd);
    return away;
}

/* Somebody else owns the home: it waits, alive and ready, sends away who came by its socket, and serves when the owner has gone. */
static void test_service_waits_for_the_owner(void)
{
    struct manager m = manager_new(true);
    ino_t inode = socket_inode(&m);
    dlmgr *owner = open_as(&m, DLMGR_OWN);
    char text[64];

    snprintf(text, sizeof(text), "READY=1\nSTATUS=waiting: process %d owns ", (int)getpid());
    start(&m, "run", 1, "300000");
    CU_ASSERT(hears(&m, text));
    CU_ASSERT(hears(&m, "WATCHDOG=1"));
    CU_ASSERT(sent_away(m.home));
    CHECK_INT(owner_of(&m), getpid());
    dlmgr_close(owner);
    CU_ASSERT(hears(&m, "STATUS=serving"));
    CHECK_INT(owner_of(&m), m.pid);
    CU_ASSERT(socket_inode(&m) == inode);
    CHECK_INT(end(&m), 0);
    manager_free(&m);
}

static void test_service_that_waits_can_be_stopped(void)
{
    struct manager m = manager_new(false);
    dlmgr *owner = open_as(&m, DLMGR_OWN);

    start(&m, "run", 0, NULL);
    CU_ASSERT(hears(&m, "STATUS=waiting"));
    CHECK_INT(end(&m), 0);
    dlmgr_close(owner);
    manager_free(&m);
}

/* `daemon restart` ends one and reaches the next by the same socket; it starts none by hand. */
static void test_service_is_restarted_by_its_socket(void)
{
    struct manager m = manager_new(true), command = m, next = m;
    ino_t inode = socket_inode(&m);

    start(&m, "run", 1, NULL);
    CU_ASSERT(hears(&m, "READY=1"));
    start(&command, "restart", 0, NULL);
    CHECK_INT(ended(&m), 0);
    start(&next, "run", 1, NULL); /* systemd would, when somebody is in the queue */
    CHECK_INT(ended(&command), 0);
    CHECK_INT(owner_of(&next), next.pid);
    CU_ASSERT(socket_inode(&next) == inode);
    CHECK_INT(end(&next), 0);
    manager_free(&m);
}

/* One socket is meant; with two nobody could say which. */
static void test_service_takes_one_socket(void)
{
    struct manager m = manager_new(true);
    char text[600] = "", path[600];
    FILE *file;

    start(&m, "run", 2, NULL);
    CHECK_INT(ended(&m), 64);
    snprintf(path, sizeof(path), "%s/err", test_dir());
    file = fopen(path, "re");
    CU_ASSERT(file && fgets(text, sizeof(text), file) && strstr(text, "several sockets"));
    if (file)
        fclose(file);
    manager_free(&m);
}

static const struct test tests[] = {
    TEST(test_service_tells_ready_status_stopping),
    TEST(test_service_started_by_hand_tells_nobody),
    TEST(test_service_that_hangs_gives_no_sign_of_life),
    TEST(test_service_leaves_the_managers_socket),
    TEST(test_service_waits_for_the_owner),
    TEST(test_service_is_restarted_by_its_socket),
    TEST(test_service_that_waits_can_be_stopped),
    TEST(test_service_takes_one_socket),
};

TEST_MAIN("service", tests)
