/* SPDX-License-Identifier: MIT */
/*
 * test_control_socket.c - control.sock when a service manager made it: who listens, who is served, and whose file stays.
 *
 * The service manager is this test: it binds, as systemd does, by unlinking what stands there first, and keeps its socket all the time. Owners
 * and clients are handles of this process. What the manager hears is what would make it start the service.
 */
#include "dlmgr.h"
#include "dlmgr/control.h"
#include "dlmgr/control_socket.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

enum { LIMIT_MS = 20000 };

/* ---- The home, the manager, an owner, a client ------------------------------------------------------------ */

static const char *home_path(void)
{
    static char path[600];

    snprintf(path, sizeof(path), "%s/h", test_dir());
    mkdir(path, 0700);
    return path;
}

static struct sockaddr_un address_in(const char *directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/control.sock", directory);
    return address;
}

static int manager_in(const char *directory)
{
    struct sockaddr_un address = address_in(directory);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    unlink(address.sun_path);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_INT(listen(fd, 16), 0);
    return fd;
}

static bool hears(int manager)
{
    struct pollfd p = {.fd = manager, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static ino_t inode_of(const char *name)
{
    char path[700];
    struct stat st = {0};

    snprintf(path, sizeof(path), "%s/%s", home_path(), name);
    return lstat(path, &st) == 0 ? st.st_ino : 0;
}

static void log_into(int level, const char *text, void *context)
{
    if (level <= DLMGR_LOG_WARNING)
        snprintf(context, 600, "%s", text);
}

static int try_own(int listen_fd, char *log, dlmgr **ret, dlmgr_error *e)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);

    options.home = home_path();
    options.listen_fd = listen_fd;
    options.log = log ? log_into : NULL;
    options.log_context = log;
    return dlmgr_open(DLMGR_OWN, &options, ret, e);
}

static dlmgr *own(int listen_fd)
{
    dlmgr *handle = NULL;
    dlmgr_error e = {0};

    CHECK_INT(try_own(listen_fd, NULL, &handle, &e), 0);
    CHECK_STR(e.text, "");
    CU_ASSERT_FATAL(handle != NULL);
    return handle;
}

static bool is_served(void)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    dlmgr *client = NULL;
    dlmgr_error e = {0};
    bool served;

    options.home = home_path();
    served = dlmgr_open(DLMGR_ATTACH, &options, &client, &e) == 0 &&
             dlmgr_count(client, &counts, &e) == 0 && counts.owner_pid == getpid();
    dlmgr_close(client);
    return served;
}

static int connected(void)
{
    struct sockaddr_un address = address_in(home_path());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static bool wait_for_inode(const char *name, ino_t inode)
{
    const struct timespec tick = {.tv_nsec = 20000000};

    for (int64_t end = dlm_clock_mono() + LIMIT_MS; dlm_clock_mono() < end; nanosleep(&tick, NULL))
        if (inode_of(name) == inode)
            return true;
    return false;
}

/* ---- Handed over ------------------------------------------------------------------------------------------------ */

/* The owner serves on it; afterwards the file stands, and whoever comes is the manager's. */
static void test_socket_handed_over_is_served_and_stays(void)
{
    int manager = manager_in(home_path()), fd;
    ino_t inode = inode_of("control.sock");
    dlmgr *owner = own(manager);

    CU_ASSERT(is_served());
    CU_ASSERT(inode_of("control.sock") == inode);
    dlmgr_close(owner);
    CU_ASSERT(inode_of("control.sock") == inode);
    CU_ASSERT(!hears(manager));
    fd = connected();
    CU_ASSERT(hears(manager));
    close(fd);
    owner = own(manager); /* the library had a duplicate, so it can be given once more */
    CU_ASSERT(is_served());
    dlmgr_close(owner);
    close(manager);
}

/* A client that came before the owner was there is answered when it is. */
static void test_socket_backlog_is_served(void)
{
    static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"count\"}\n";
    int manager = manager_in(home_path()), fd = connected();
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char answer[256] = "";
    dlmgr *owner;

    CHECK_INT(write(fd, line, sizeof(line) - 1), sizeof(line) - 1);
    owner = own(manager);
    CHECK_INT(poll(&p, 1, LIMIT_MS), 1);
    CU_ASSERT(read(fd, answer, sizeof(answer) - 1) > 0);
    CU_ASSERT(strstr(answer, "\"owner_pid\"") != NULL);
    dlmgr_close(owner);
    close(fd);
    close(manager);
}

static void on_stopped(void *context)
{
    *(bool *)context = true;
}

/* Who comes while the owner closes is the next one's: not taken, not sent away. */
static void test_socket_of_an_owner_that_stops_takes_nobody(void)
{
    int manager = manager_in(home_path()), before, after;
    struct dlm_control_host host = {.listen_fd = manager};
    struct dlm_control *control = NULL;
    struct dlm_home *home = NULL;
    dlmgr_error e = {0};
    bool stopped = false;
    uv_loop_t loop;

    CHECK_INT(dlm_home_open(home_path(), true, false, &home, &e), 0);
    uv_loop_init(&loop);
    host.loop = &loop;
    host.home = home;
    CHECK_INT(dlm_control_start(&host, &control, &e), 0);
    before = connected();
    uv_run(&loop, UV_RUN_NOWAIT);
    CU_ASSERT(!hears(manager));
    dlm_control_stop(control, on_stopped, &stopped);
    after = connected();
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT(stopped);
    CU_ASSERT(hears(manager));
    CHECK_INT(uv_loop_close(&loop), 0);
    dlm_home_close(home);
    close(before);
    close(after);
    close(manager);
}

static int not_a_socket(void)
{
    int fds[2];

    CU_ASSERT_FATAL(pipe2(fds, O_CLOEXEC) == 0);
    close(fds[1]);
    return fds[0];
}

static int of_internet(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_INT(listen(fd, 1), 0);
    return fd;
}

static int bound_only(void)
{
    struct sockaddr_un address = address_in(home_path());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    unlink(address.sun_path);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int of_datagrams(void)
{
    struct sockaddr_un address = address_in(home_path());
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    unlink(address.sun_path);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int of_another_home(void)
{
    return manager_in(test_dir());
}

static int without_name(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    CHECK_INT(listen(fd, 1), 0);
    return fd;
}

/* What is not this home's listening socket is refused with what it is, and afterwards anybody can own the home. */
static void test_socket_of_another_kind_is_refused(void)
{
    static const struct {
        int (*make)(void);
        int code;
        const char *text;
    } rows[] = {
        {not_a_socket, DLMGR_EINVAL, "is not a listening stream socket"},
        {of_internet, DLMGR_EINVAL, "is not a listening stream socket"},
        {bound_only, DLMGR_EINVAL, "is not a listening stream socket"},
        {of_datagrams, DLMGR_EINVAL, "is not a listening stream socket"},
        {of_another_home, DLMGR_EHOME, "/control.sock`, and this home is `"},
        {without_name, DLMGR_EHOME, "is bound to `no path`"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int fd = rows[i].make();
        dlmgr_error e = {0};
        dlmgr *owner = NULL;

        test_about("row %zu", i);
        CHECK_INT(try_own(fd, NULL, &owner, &e), rows[i].code);
        CU_ASSERT(strstr(e.text, rows[i].text) != NULL);
        close(fd);
        dlmgr_close(own(0));
    }
}

/* ---- Not handed over ---------------------------------------------------------------------------------------------- */

/* An owner that nobody gave it to stands in its place without a sound, and moves it back. */
static void test_socket_of_a_manager_is_moved_aside_and_back(void)
{
    int manager = manager_in(home_path()), fd;
    ino_t inode = inode_of("control.sock");
    dlmgr *owner = own(0);

    CU_ASSERT(is_served());
    CU_ASSERT(inode_of("control.sock") != inode);
    CU_ASSERT(inode_of("control.sock.aside") == inode);
    CU_ASSERT(!hears(manager));
    dlmgr_close(owner);
    CU_ASSERT(inode_of("control.sock") == inode);
    CHECK_INT(inode_of("control.sock.aside"), 0);
    CU_ASSERT(!hears(manager));
    fd = connected();
    CU_ASSERT(hears(manager));
    close(fd);
    close(manager);
}

/* What an owner leaves that was killed after it moved the manager's socket: its own dead one in that place. */
static void leave_as_a_killed_owner(const char *home)
{
    char path[700], aside[720];

    snprintf(path, sizeof(path), "%s/control.sock", home);
    snprintf(aside, sizeof(aside), "%s.aside", path);
    CHECK_INT(rename(path, aside), 0);
    close(bound_only());
}

static void test_socket_moved_by_a_killed_owner_comes_back(void)
{
    int manager = manager_in(home_path());
    ino_t inode = inode_of("control.sock");
    dlmgr *owner;

    leave_as_a_killed_owner(home_path());
    owner = own(manager);
    CU_ASSERT(is_served());
    CU_ASSERT(inode_of("control.sock") == inode);
    dlmgr_close(owner);
    leave_as_a_killed_owner(home_path());
    owner = own(0);
    CU_ASSERT(is_served());
    dlmgr_close(owner);
    CU_ASSERT(inode_of("control.sock") == inode);
    CHECK_INT(inode_of("control.sock.aside"), 0);
    close(manager);
}

/* Both are dead: nothing is left after the next owner. */
static void test_socket_files_of_the_dead_are_removed(void)
{
    close(manager_in(home_path()));
    leave_as_a_killed_owner(home_path());
    dlmgr_close(own(0));
    CHECK_INT(inode_of("control.sock"), 0);
    CHECK_INT(inode_of("control.sock.aside"), 0);
}

/* ---- Removed, replaced ------------------------------------------------------------------------------------------------ */

/* The manager has it still, but nobody finds it: the owner makes another and says so. */
static void test_socket_handed_over_without_its_file(void)
{
    int manager = manager_in(home_path());
    struct sockaddr_un address = address_in(home_path());
    char log[600] = "";
    dlmgr_error e = {0};
    dlmgr *owner = NULL;

    unlink(address.sun_path);
    CHECK_INT(try_own(manager, log, &owner, &e), 0);
    CU_ASSERT(strstr(log, "was removed") != NULL);
    CU_ASSERT(is_served());
    dlmgr_close(owner);
    CHECK_INT(inode_of("control.sock"), 0);
    close(manager);
}

/* `systemctl start dlmgr.socket` while an owner works: within seconds the owner can be reached again. */
static void test_socket_replaced_under_an_owner(void)
{
    dlmgr *owner = own(0);
    int manager = manager_in(home_path());
    ino_t inode = inode_of("control.sock");

    CU_ASSERT(wait_for_inode("control.sock.aside", inode));
    CU_ASSERT(is_served());
    CU_ASSERT(!hears(manager));
    dlmgr_close(owner);
    CU_ASSERT(inode_of("control.sock") == inode);
    close(manager);
}

/* One that ends before it looked leaves the other's file alone. */
static void test_socket_of_another_is_not_removed(void)
{
    dlmgr *owner = own(0);
    int manager = manager_in(home_path());
    ino_t inode = inode_of("control.sock");

    dlmgr_close(owner);
    CU_ASSERT(inode_of("control.sock") == inode || inode_of("control.sock.aside") == inode);
    owner = own(0);
    dlmgr_close(owner);
    CU_ASSERT(inode_of("control.sock") == inode);
    close(manager);
}

static const struct test tests[] = {
    TEST(test_socket_handed_over_is_served_and_stays),
    TEST(test_socket_backlog_is_served),
    TEST(test_socket_of_an_owner_that_stops_takes_nobody),
    TEST(test_socket_of_another_kind_is_refused),
    TEST(test_socket_of_a_manager_is_moved_aside_and_back),
    TEST(test_socket_moved_by_a_killed_owner_comes_back),
    TEST(test_socket_files_of_the_dead_are_removed),
    TEST(test_socket_handed_over_without_its_file),
    TEST(test_socket_replaced_under_an_owner),
    TEST(test_socket_of_another_is_not_removed),
};

TEST_MAIN("control_socket", tests)
