/* SPDX-License-Identifier: MIT */
/*
 * test_daemon.c - what a daemon keeps of its starter (nothing), what the starter hears, and the log.
 *
 * daemon_start() executes /proc/self/exe, which is this program: a constructor sees the word "child" before main() does, plays the new
 * process and tells through the ready pipe what it found, as the pid or the error that a real one would tell.
 */
#include "daemon/log.c"
#include "daemon/start.c"

#include "tests/lib/test.h"

#include <dirent.h>

/* ---- The new process --------------------------------------------------------------------------- */

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    int n = 0;

    while (dir && (entry = readdir(dir)))
        n += entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir);
    if (dir)
        closedir(dir);
    return n;
}

static bool is_null(int fd)
{
    struct stat st, null;

    return fstat(fd, &st) == 0 && stat("/dev/null", &null) == 0 && st.st_rdev == null.st_rdev;
}

/* What is not as it should be in a daemon; NULL: all is. */
static const char *found_wrong(const char *starter_session)
{
    char cwd[64] = "";
    sigset_t mask;

    if (open_descriptors() != 4)
        return "descriptors were inherited";
    if (!is_null(0) || !is_null(1) || !is_null(2))
        return "stdin, stdout or stderr is not /dev/null";
    if (!getcwd(cwd, sizeof(cwd)) || strcmp(cwd, "/") != 0)
        return "the directory is not /";
    if (getsid(0) == atoi(starter_session) || getsid(0) == getpid())
        return "it has no session of its own, or leads one and could get a terminal";
    sigprocmask(SIG_SETMASK, NULL, &mask);
    if (sigismember(&mask, SIGTERM) || signal(SIGPIPE, SIG_DFL) != SIG_DFL)
        return "signals are blocked or ignored";
    if (umask(0) != 077)
        return "the umask is not 077";
    return NULL;
}

static void tell(int code, const char *text)
{
    dprintf(DAEMON_READY_FD, "%d %s\n", code, text);
    close(DAEMON_READY_FD);
}

__attribute__((constructor)) static void child_instead_of_main(int argc, char **argv)
{
    const char *wrong;
    char pid[24];

    if (argc < 3 || strcmp(argv[1], "child") != 0)
        return;
    if (strcmp(argv[2], "refuses") == 0)
        tell(5, "owned by process 4711");
    if (strcmp(argv[2], "serves") == 0 && argc > 3) {
        wrong = found_wrong(argv[3]);
        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        tell(wrong ? 3 : 0, wrong ? wrong : pid);
        sleep(20); /* ended by the test */
    }
    _exit(0);
}

/* ---- Starting ----------------------------------------------------------------------------------- */

/*
 * The starter's stdout is a pipe, as in id=$(dlmgr add URL), and it has other descriptors open and SIGTERM blocked. The reader of that
 * pipe sees its end while the daemon still lives.
 */
static void test_daemon_start_keeps_nothing_of_the_starter(void)
{
    char session[24];
    const char *const words[] = {"dlmgr", "child", "serves", session, NULL};
    struct pollfd end = {.events = POLLIN | POLLHUP};
    dlmgr_error error = {0};
    int64_t pid = 0;
    sigset_t block, old;
    int out[2], r;

    snprintf(session, sizeof(session), "%d", (int)getsid(0));
    CU_ASSERT_FATAL(pipe(out) == 0); /* without CLOEXEC */
    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    sigprocmask(SIG_BLOCK, &block, &old);
    signal(SIGPIPE, SIG_IGN);
    r = daemon_start(words, &pid, &error);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &old, NULL);
    CHECK_INT(r, 0);
    CHECK_STR(error.text, "");
    CU_ASSERT_FATAL(pid > 1);
    CHECK_INT(kill((pid_t)pid, 0), 0);
    close(out[1]);
    end.fd = out[0];
    CHECK_INT(poll(&end, 1, 5000), 1);
    CHECK_INT(end.revents & POLLHUP, POLLHUP);
    CHECK_INT(kill((pid_t)pid, SIGKILL), 0);
    close(out[0]);
}

static void test_daemon_start_tells_why_not(void)
{
    static const char *const words[] = {"dlmgr", "child", "refuses", NULL};
    dlmgr_error error = {0};
    int64_t pid = 7;

    CHECK_INT(daemon_start(words, &pid, &error), DLMGR_EBUSY);
    CHECK_INT(error.code, DLMGR_EBUSY);
    CHECK_STR(error.text, "owned by process 4711");
    CHECK_INT(pid, 7);
}

static void test_daemon_start_notices_a_death(void)
{
    static const char *const words[] = {"dlmgr", "child", "dies", NULL};
    dlmgr_error error = {0};
    int64_t pid = 7;

    CHECK_INT(daemon_start(words, &pid, &error), DLMGR_ELINK);
    CU_ASSERT(strstr(error.text, "dlmgr.log") != NULL);
}

/* ---- The log ------------------------------------------------------------------------------------ */

static size_t read_all(const char *path, char *buf, size_t room)
{
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(buf, 1, room - 1, file) : 0;

    if (file)
        fclose(file);
    buf[n] = '\0';
    return n;
}

static void test_daemon_log_keeps_early_lines_and_one_line_a_line(void)
{
    char path[4200], text[4096], *second;
    dlmgr_error error;
    struct stat st;

    snprintf(path, sizeof(path), "%s/dlmgr.log", test_dir());
    daemon_log(DLMGR_LOG_INFO, "before the home is known", NULL);
    CHECK_INT(daemon_log_open(test_dir(), &error), 0);
    daemon_log(DLMGR_LOG_WARNING, "evil\nline\x1b[2J", NULL);
    daemon_log(DLMGR_LOG_DEBUG, "not at this level", NULL);
    read_all(path, text, sizeof(text));
    second = strchr(text, '\n');
    CU_ASSERT_FATAL(second != NULL);
    *second++ = '\0';
    CHECK_STR(text + 24, " info before the home is known");
    CHECK_STR(second + 24, " warning evil?line?[2J\n");
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 07777, 0600);
}

static void test_daemon_log_is_two_files_of_a_mib(void)
{
    char path[4200], old[4200], text[1001];
    dlmgr_error error;
    struct stat st;
    int i;

    snprintf(path, sizeof(path), "%s/dlmgr.log", test_dir());
    snprintf(old, sizeof(old), "%s/dlmgr.log.1", test_dir());
    CHECK_INT(daemon_log_open(test_dir(), &error), 0);
    memset(text, 'x', 1000);
    text[1000] = '\0';
    for (i = 0; i < 3000; i++)
        daemon_log(DLMGR_LOG_INFO, text, NULL);
    CHECK_INT(stat(path, &st), 0);
    CU_ASSERT(st.st_size > 0 && st.st_size <= DAEMON_LOG_ROOM);
    CHECK_INT(stat(old, &st), 0);
    CU_ASSERT(st.st_size > DAEMON_LOG_ROOM - 2000 && st.st_size <= DAEMON_LOG_ROOM);
}

/* A link in the log's place could make the daemon write into another file. */
static void test_daemon_log_refuses_a_symlink(void)
{
    char path[4200], victim[4200], text[64];
    dlmgr_error error;

    snprintf(path, sizeof(path), "%s/dlmgr.log", test_dir());
    snprintf(victim, sizeof(victim), "%s/victim", test_dir());
    CU_ASSERT_FATAL(symlink(victim, path) == 0);
    CHECK_INT(daemon_log_open(test_dir(), &error), DLMGR_EHOME);
    CHECK_INT((int)read_all(victim, text, sizeof(text)), 0);
}

static const struct test tests[] = {
    TEST(test_daemon_start_keeps_nothing_of_the_starter),
    TEST(test_daemon_start_tells_why_not),
    TEST(test_daemon_start_notices_a_death),
    TEST(test_daemon_log_keeps_early_lines_and_one_line_a_line),
    TEST(test_daemon_log_is_two_files_of_a_mib),
    TEST(test_daemon_log_refuses_a_symlink),
};

TEST_MAIN("daemon", tests)
