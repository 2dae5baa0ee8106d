/* SPDX-License-Identifier: MIT */
/*
 * test_doctor.c - what doctor finds in a home, what it does about it with fix, and that it deletes nothing.
 *
 * Each case is a home with one thing wrong: it must be found, without fix nothing may change, with fix what was moved must be in the quarantine
 * byte for byte, and a second look must find nothing more (or what no fix can mend).
 */
#include "dlmgr/doctor.h"
#include "dlmgr/home.h"
#include "tests/lib/journal.h"
#include "tests/lib/methods.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char *in_home(const char *name)
{
    return method_text("%s/%s", journal_home(), name);
}

/* A home with a journal, a secret, a task with a part, and an event. */
static void make_home(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    CLEANUP_FREE char *lock = in_home("lock");

    method_task_with_part(s, 1, test_dir(), "x");
    journal_drive(s, journal_add(s, "http://h:80/done"), DLMGR_DONE);
    journal_close(s);
    close(open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
}

static json_t *look(int fix)
{
    CLEANUP_FREE char *text = NULL;
    dlmgr_error e = {0};
    int r = dlm_doctor(journal_home(), fix, &text, &e);
    json_t *result;

    if (r < 0)
        test_about("%s", e.text);
    CU_ASSERT_FATAL(r == 0);
    result = json_loads(text, 0, NULL);
    CU_ASSERT_FATAL(json_is_array(json_object_get(result, "problems")));
    return result;
}

static const json_t *problem(const json_t *result, size_t i)
{
    return json_array_get(json_object_get(result, "problems"), i);
}

static size_t count(const json_t *result)
{
    return json_array_size(json_object_get(result, "problems"));
}

/* How many problems are left; what they are is shown with a failure. */
static size_t left(int fix)
{
    CLEANUP_JSON json_t *result = look(fix);
    CLEANUP_FREE char *text = json_dumps(result, 0);
    size_t n = 0;

    test_about("%s", text);
    for (size_t i = 0; i < count(result); i++)
        n += !json_is_true(json_object_get(problem(result, i), "fixed"));
    return n;
}

/* One problem about this file (or absolute path), with this in its text. */
static void finds(int fix, const char *name, const char *what, int fixed)
{
    CLEANUP_JSON json_t *result = look(fix);
    CLEANUP_FREE char *path = *name == '/' ? dlm_strdup(name) : in_home(name),
                      *text = json_dumps(result, 0);
    const json_t *p = problem(result, 0);
    const char *got = dlm_json_string(p, "what");

    test_about("%s: %s", what, text);
    CHECK_INT(count(result), 1);
    CHECK_STR(dlm_json_string(p, "path"), path);
    CU_ASSERT(got && strstr(got, what) != NULL);
    CHECK_INT(json_is_true(json_object_get(p, "fixed")), fixed);
    CHECK_INT(json_is_null(json_object_get(p, "remedy")), fixed);
}

/* The path of `name` in the only quarantine; yours; NULL when it is not there. */
static char *quarantined(const char *name)
{
    CLEANUP_FREE char *top = in_home("quarantine");
    DIR *dir = opendir(top);
    char *path = NULL;
    struct stat st;

    for (struct dirent *d; dir && (d = readdir(dir));)
        if (d->d_name[0] != '.' && !path) {
            path = method_text("%s/%s/%s", top, d->d_name, name);
            if (lstat(path, &st) < 0)
                free(TAKE_PTR(path));
        }
    if (dir)
        closedir(dir);
    return path;
}

static void check_quarantined(const char *name, uint64_t sum)
{
    CLEANUP_FREE char *path = quarantined(name);

    test_about("%s", name);
    CU_ASSERT_FATAL(path != NULL);
    CHECK_INT(journal_file_sum(path + strlen(journal_home()) + 1), sum);
    CU_ASSERT(journal_file_sum(name) != sum || !sum); /* another one has its place, or none */
}

static void test_doctor_sound(void)
{
    CLEANUP_FREE char *quarantine = NULL;
    uint64_t journal, secrets;

    make_home();
    journal = journal_file_sum("journal.db");
    secrets = journal_file_sum("secrets.db");
    CHECK_INT(left(0), 0);
    CHECK_INT(left(1), 0);
    CHECK_INT(journal_file_sum("journal.db"), journal);
    CHECK_INT(journal_file_sum("secrets.db"), secrets);
    quarantine = in_home("quarantine");
    CU_ASSERT(access(quarantine, F_OK) < 0);
}

/* An empty directory may become a home; what is none is an error. */
static void test_doctor_no_home(void)
{
    CLEANUP_FREE char *absent = method_text("%s/absent", test_dir()),
                      *journal = in_home("journal.db");
    char *text = NULL;
    dlmgr_error e = {0};

    CHECK_INT(dlm_doctor(absent, 1, &text, &e), DLMGR_EHOME);
    CHECK_INT(e.sys_errno, ENOENT);
    CU_ASSERT(text == NULL);
    CU_ASSERT(access(absent, F_OK) < 0);
    journal_homefd();
    CHECK_INT(left(1), 0);
    CU_ASSERT(access(journal, F_OK) < 0);
}

static void test_doctor_busy(void)
{
    struct dlm_home *h = NULL;
    char *text = NULL, pid[32];
    dlmgr_error e = {0};

    make_home();
    CU_ASSERT_FATAL(dlm_home_open(journal_home(), false, false, &h, NULL) == 0 &&
                    dlm_home_lock(h, NULL) == 0);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    CHECK_INT(dlm_doctor(journal_home(), 1, &text, &e), DLMGR_EBUSY);
    test_about("%s", e.text);
    CU_ASSERT(strstr(e.text, pid) != NULL);
    CU_ASSERT(text == NULL);
    dlm_home_close(h);
    CHECK_INT(left(0), 0);
}

static void test_doctor_home_mode(void)
{
    static const struct {
        int mode, fixed;
        const char *what;
    } rows[] = {{0777, 0755, "everybody"}, {0702, 0700, "everybody"}, {0770, 0750, "its group"}};
    struct stat st;

    make_home();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CU_ASSERT_FATAL(chmod(journal_home(), (mode_t)rows[i].mode) == 0);
        finds(0, journal_home(), rows[i].what, 0);
        CU_ASSERT_FATAL(stat(journal_home(), &st) == 0);
        CHECK_INT(st.st_mode & 0777, rows[i].mode);
        finds(1, journal_home(), rows[i].what, 1);
        CU_ASSERT_FATAL(stat(journal_home(), &st) == 0);
        CHECK_INT(st.st_mode & 0777, rows[i].fixed);
        CHECK_INT(left(0), 0);
    }
}

static void test_doctor_file_modes(void)
{
    static const char *const names[] = {"lock", "journal.db", "secrets.db", "slots", "daemon.log"};
    struct stat st;

    make_home();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FREE char *path = in_home(names[i]);

        close(open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0600));
        CU_ASSERT_FATAL(chmod(path, 0644) == 0);
        finds(0, names[i], "mode 0644", 0);
        CU_ASSERT_FATAL(stat(path, &st) == 0 && (st.st_mode & 0777) == 0644);
        CHECK_INT(left(1), 0);
        CU_ASSERT_FATAL(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    }
    CHECK_INT(left(0), 0);
}

/* What is no regular file was put there by somebody: out of the way, and not followed. */
static void test_doctor_types(void)
{
    static const struct {
        const char *name, *what;
        int type;
    } rows[] = {
        {"journal.db", "symlink", S_IFLNK},   {"journal.db-wal", "FIFO", S_IFIFO},
        {"secrets.db", "directory", S_IFDIR}, {"slots", "FIFO", S_IFIFO},
        {"lock", "directory", S_IFDIR},       {"daemon.log", "symlink", S_IFLNK},
    };
    CLEANUP_FREE char *other = method_text("%s/other", test_dir());
    struct stat st;

    close(open(other, O_CREAT | O_RDWR | O_CLOEXEC, 0644));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *path = in_home(rows[i].name), *moved = NULL;

        journal_homefd();
        unlink(path); /* the lock of the last look */
        CU_ASSERT_FATAL((rows[i].type == S_IFLNK   ? symlink(other, path)
                         : rows[i].type == S_IFIFO ? mkfifo(path, 0600)
                                                   : mkdir(path, 0700)) == 0);
        {
            CLEANUP_JSON json_t *result = look(0);

            test_about("%s", rows[i].name);
            CU_ASSERT(count(result) >= 1 &&
                      strstr(dlm_json_string(problem(result, 0), "what"), rows[i].what));
            CU_ASSERT(lstat(path, &st) == 0 && (st.st_mode & S_IFMT) == (mode_t)rows[i].type);
        }
        finds(1, rows[i].name, rows[i].what, 1);
        moved = quarantined(rows[i].name);
        CU_ASSERT(moved && lstat(moved, &st) == 0 && (st.st_mode & S_IFMT) == (mode_t)rows[i].type);
        CHECK_INT(left(0), 0);
    }
    CU_ASSERT(stat(other, &st) == 0 && (st.st_mode & 0777) == 0644);
}

static void test_doctor_sockets(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FREE char *path = in_home("control.sock"), *moved = NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    make_home();
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control.sock",
             journal_homefd());
    CU_ASSERT_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK_INT(left(1), 0); /* a service manager's */
    CU_ASSERT(access(path, F_OK) == 0);
    close(fd);
    finds(0, "control.sock", "nobody listens", 0);
    CU_ASSERT(access(path, F_OK) == 0);
    finds(1, "control.sock", "nobody listens", 1);
    moved = quarantined("control.sock");
    CU_ASSERT(moved != NULL);
    CHECK_INT(left(0), 0);
}

/* ---- The journal --------------------------------------------------------------------------------------------- */

static void overwrite(const char *name, int64_t offset, const char *data, size_t len)
{
    CLEANUP_FREE char *path = in_home(name);
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

    CU_ASSERT_FATAL(fd >= 0 && dlm_pwrite_all(fd, data, len, offset) == 0);
}

/* How many of these the journal had. */
static int64_t saved(const json_t *result, const char *list, const char *kind)
{
    return json_integer_value(
        json_object_get(json_object_get(json_object_get(result, "salvage"), list), kind));
}

/* Nothing of it can be read: moved with its WAL, secrets and slots, and the new one has no task. */
static void test_doctor_journal_no_database(void)
{
    CLEANUP_FREE char *wal = in_home("journal.db-wal"), *slots = in_home("slots"),
                      *journal_path = in_home("journal.db");
    uint64_t journal, secrets;

    make_home();
    CU_ASSERT_FATAL(truncate(journal_path, 0) == 0);
    overwrite("journal.db", 0, "not a database..", 16);
    close(open(slots, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    close(open(wal, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    journal = journal_file_sum("journal.db");
    secrets = journal_file_sum("secrets.db");
    CHECK_INT(left(0), 1);
    CHECK_INT(journal_file_sum("journal.db"), journal);
    finds(1, "journal.db", "; moved to quarantine/", 1);
    check_quarantined("journal.db", journal);
    check_quarantined("journal.db-wal", 0);
    check_quarantined("secrets.db", secrets);
    check_quarantined("slots", 0);
    CHECK_INT(left(0), 0);
}

/* Only its first bytes are damaged: all of it is there again, with secrets and slots. */
static void test_doctor_journal_header(void)
{
    CLEANUP_FREE char *secrets = in_home("secrets.db");
    uint64_t journal;

    make_home();
    overwrite("journal.db", 0, "not a database..", 16);
    journal = journal_file_sum("journal.db");
    {
        CLEANUP_JSON json_t *asked = look(0), *done = NULL;

        CHECK_INT(saved(asked, "saved", "tasks"), 2);
        CHECK_INT(journal_file_sum("journal.db"), journal);
        done = look(1);
        CHECK_INT(saved(done, "saved", "tasks"), 2);
        CHECK_INT(saved(done, "lost", "tasks"), 0);
    }
    check_quarantined("journal.db", journal);
    CU_ASSERT(access(secrets, F_OK) == 0);
    CHECK_INT(left(0), 0);
}

/* Damage in the middle is found by reading all of it. */
static void test_doctor_journal_page(void)
{
    CLEANUP_FREE char *junk = dlm_alloc(4096);
    uint64_t sum;

    make_home();
    memset(junk, 0x5a, 4096);
    for (int page = 3; page < 12; page++) /* not those that every query reads */
        overwrite("journal.db", page * 4096, junk, 4096);
    sum = journal_file_sum("journal.db");
    CU_ASSERT(left(0) > 0);
    CHECK_INT(journal_file_sum("journal.db"), sum);
    CHECK_INT(left(1), 0);
    check_quarantined("journal.db", sum);
    CHECK_INT(left(0), 0);
}

/* Every row can be read, and still SQLite says that the file is not whole. */
static void test_doctor_journal_integrity(void)
{
    make_home();
    journal_sql("journal.db",
                "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'tasks_url'");
    finds(0, "journal.db", "is never used", 0);
    finds(1, "journal.db", "; moved to quarantine/", 1);
    CHECK_INT(left(0), 0);
}

/* Somebody else's, or of a newer version: whole, and not moved. */
static void test_doctor_journal_refused(void)
{
    static const struct {
        const char *sql, *what, *undo;
    } rows[] = {
        {"PRAGMA application_id = 7", "another program", "PRAGMA application_id = 0x646c6d67"},
        {"PRAGMA user_version = 99", "install the newer dlmgr", "PRAGMA user_version = 3"},
    };

    make_home();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t sum;

        journal_sql("journal.db", rows[i].sql);
        sum = journal_file_sum("journal.db");
        finds(0, "journal.db", rows[i].what, 0);
        finds(1, "journal.db", rows[i].what, 0);
        CHECK_INT(journal_file_sum("journal.db"), sum);
        journal_sql("journal.db", rows[i].undo);
    }
    CHECK_INT(left(0), 0);
}

/* A rule of ours that does not hold is told, and the tasks stay. */
static void test_doctor_journal_unsound(void)
{
    make_home();
    journal_sql("journal.db", "UPDATE tally SET n = n + 1 WHERE state = 4");
    finds(0, "journal.db", "tally", 0);
    finds(1, "journal.db", "tally", 0);
    journal_sql("journal.db", "UPDATE tally SET n = n - 1 WHERE state = 4");
    CHECK_INT(left(0), 0);
}

/* The journal is gone and its WAL is not: a new journal must not take it. */
static void test_doctor_lone_wal(void)
{
    CLEANUP_FREE char *path = in_home("journal.db"), *wal = in_home("journal.db-wal"),
                      *secrets = in_home("secrets.db");
    CLEANUP_FD int fd = -1;
    uint64_t sum;

    make_home();
    CU_ASSERT_FATAL(unlink(path) == 0);
    fd = open(wal, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, "wal", 3) == 3);
    sum = journal_file_sum("journal.db-wal");
    finds(0, "journal.db", "its WAL is there", 0);
    finds(1, "journal.db", "its WAL is there", 1);
    check_quarantined("journal.db-wal", sum);
    CU_ASSERT(access(secrets, F_OK) < 0);
    CHECK_INT(left(0), 0);
}

/* Less has happened in it than had: said; with fix it is gone on without what is lost, from where the mark is. */
static void test_doctor_lost_changes(void)
{
    CLEANUP_FREE char *journal = in_home("journal.db"), *marked = NULL;
    uint64_t mark;

    make_home();
    CU_ASSERT_FATAL(unlink(journal) == 0);
    mark = journal_file_sum("mark");
    CU_ASSERT(mark != 0);
    finds(0, "journal.db", "changes that were stored are lost", 0);
    finds(1, "journal.db", "changes that were stored are lost", 1);
    check_quarantined("mark", mark);
    CHECK_INT(left(0), 0);
    journal_close(journal_open(DLM_STORE_WRITE));
}

static void test_doctor_secrets(void)
{
    CLEANUP_FREE char *path = in_home("secrets.db"), *kept = in_home("kept");
    uint64_t sum;

    make_home();
    CU_ASSERT_FATAL(rename(path, kept) == 0);
    finds(0, "journal.db", "task 1 has lost its secret", 0);
    finds(1, "journal.db", "task 1 has lost its secret", 0);
    {
        CLEANUP_JSON json_t *result = look(0);

        CU_ASSERT(strstr(dlm_json_string(problem(result, 0), "remedy"), "set --url") != NULL);
    }
    CU_ASSERT_FATAL(rename(kept, path) == 0);
    CHECK_INT(left(0), 0);

    overwrite("secrets.db", 0, "not a database..", 16);
    sum = journal_file_sum("secrets.db");
    finds(0, "secrets.db", "not a database", 0);
    CHECK_INT(journal_file_sum("secrets.db"), sum);
    {
        CLEANUP_JSON json_t *result = look(1);

        CHECK_INT(count(result), 2);
        CHECK_STR(dlm_json_string(problem(result, 0), "path"), path);
        CU_ASSERT(json_is_true(json_object_get(problem(result, 0), "fixed")));
        CU_ASSERT(strstr(dlm_json_string(problem(result, 1), "what"), "lost its secret") != NULL);
    }
    check_quarantined("secrets.db", sum);
    CU_ASSERT(journal_file_sum("journal.db") != 0);
    finds(0, "journal.db", "task 1 has lost its secret", 0);
}

/* A page of secrets.db that only those meet who read all of it. */
static void test_doctor_secrets_page(void)
{
    enum { TASKS = 40 };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    CLEANUP_FREE char *junk = dlm_alloc(4096), *path = in_home("secrets.db");
    struct stat st;

    for (int i = 0; i < TASKS; i++) {
        CLEANUP_FREE char *params =
            method_text("{'tasks':[{'url':'http://h/%d','dir':'/','user':'%0500d'}]}", i, i);

        method_ok(s, "add", params);
    }
    journal_close(s);
    CU_ASSERT_FATAL(stat(path, &st) == 0 && st.st_size > 4 * 4096);
    memset(junk, 0x5a, 4096);
    overwrite("secrets.db", st.st_size - 4096, junk, 4096);
    finds(0, "secrets.db", "malformed", 0);
    CHECK_INT(left(1), TASKS);
    CHECK_INT(left(0), TASKS);
}

/* ---- Parts ------------------------------------------------------------------------------------------------- */

static void test_doctor_parts(void)
{
    CLEANUP_FREE char *part = method_text("%s/sub/%s", test_dir(), METHOD_PART),
                      *sub = method_text("%s/sub", test_dir());
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    method_task_with_part(s, 1, sub, "x");
    journal_close(s);
    CHECK_INT(left(0), 0);
    CU_ASSERT_FATAL(unlink(part) == 0);
    finds(0, part, "part of task 1 is missing, with 2097157 bytes", 0);
    finds(1, part, "part of task 1 is missing", 0);
    CU_ASSERT_FATAL(rmdir(sub) == 0);
    {
        CLEANUP_JSON json_t *result = look(0);

        CHECK_INT(count(result), 1);
        CU_ASSERT(strstr(dlm_json_string(problem(result, 0), "remedy"), "mount") != NULL);
    }
    s = journal_open(DLM_STORE_WRITE);
    method_ok(s, "act", "{'action':'cancel','ids':[1]}");
    journal_close(s);
    CHECK_INT(left(0), 0);
}

/* Whatever allocation fails, the answer is whole or DLMGR_ENOMEM, and nothing has moved. */
static void test_doctor_without_memory(void)
{
    CLEANUP_FREE char *text = NULL;
    int n = 0, r;

    make_home();
    overwrite("secrets.db", 0, "not a database..", 16);
    do {
        dlm_fault_alloc = ++n;
        r = dlm_doctor(journal_home(), 0, &text, NULL);
        dlm_fault_alloc = 0;
        test_about("allocation %d", n);
        if (r < 0)
            CHECK_INT(r, DLMGR_ENOMEM);
        if (r < 0)
            CU_ASSERT(text == NULL);
    } while (r < 0 && n < 1000);
    CHECK_INT(r, 0);
    CU_ASSERT(n > 10);
    finds(0, "secrets.db", "not a database", 0);
}

static const struct test tests[] = {
    TEST(test_doctor_sound),
    TEST(test_doctor_no_home),
    TEST(test_doctor_busy),
    TEST(test_doctor_home_mode),
    TEST(test_doctor_file_modes),
    TEST(test_doctor_types),
    TEST(test_doctor_sockets),
    TEST(test_doctor_journal_no_database),
    TEST(test_doctor_journal_header),
    TEST(test_doctor_journal_page),
    TEST(test_doctor_journal_integrity),
    TEST(test_doctor_journal_refused),
    TEST(test_doctor_journal_unsound),
    TEST(test_doctor_lone_wal),
    TEST(test_doctor_lost_changes),
    TEST(test_doctor_secrets),
    TEST(test_doctor_secrets_page),
    TEST(test_doctor_parts),
    TEST(test_doctor_without_memory),
};

TEST_MAIN("doctor", tests)
