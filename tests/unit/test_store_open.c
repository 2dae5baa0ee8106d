/* SPDX-License-Identifier: MIT */
/*
 * test_store_open.c - which journals are refused, with what words, and that they are byte for byte what they were.
 *
 * And how an older one becomes a new one: fixtures/journals/ has one of each version that was ever released, as the dlmgr
 * of that time wrote it.
 */
#include "tests/lib/journal.h"
#include "tests/lib/sqlfault.h"
#include "tests/lib/test.h"

#include "store/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static const char *at(const char *name)
{
    static char paths[4][600];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    journal_homefd();
    snprintf(path, sizeof(paths[0]), "%s/%s", journal_home(), name);
    return path;
}

static bool there(const char *name)
{
    struct stat st;

    return lstat(at(name), &st) == 0;
}

/* Both kinds of opening refuse with this code and word, and name the file. */
static void refuses(int code, const char *file, const char *word)
{
    static const int modes[] = {DLM_STORE_WRITE, DLM_STORE_READ};

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        struct dlm_store *s = NULL;
        dlmgr_error e = {0};
        int r = dlm_store_open(journal_homefd(), journal_home(), modes[i], &s, &e);

        test_about("%s: %s", i ? "read" : "write", e.text);
        CHECK_INT(r, code);
        CHECK_INT(e.code, code);
        CU_ASSERT(strstr(e.text, at(file)) != NULL);
        CU_ASSERT(strstr(e.text, word) != NULL);
        CHECK_STR(e.path, at(file));
        CU_ASSERT_FATAL(s == NULL);
    }
}

/* Run SQL on journal.db and leave it in the WAL, as a killed program would. */
static void leave_in_wal(const char *sql)
{
    sqlite3 *db = NULL;

    CU_ASSERT_FATAL(sqlite3_open(at("journal.db"), &db) == SQLITE_OK);
    CU_ASSERT_FATAL(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) == SQLITE_OK);
    CU_ASSERT_FATAL(sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL) == SQLITE_OK);
    CU_ASSERT_FATAL(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    CU_ASSERT_FATAL(sqlite3_close(db) == SQLITE_OK);
    CU_ASSERT_FATAL(there("journal.db-wal"));
}

static void make_journal(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    journal_add(s, "http://h:80/f");
    journal_close(s);
}

/* ---- Refused ------------------------------------------------------------------------------------------------- */

/* Somebody else's and newer ones, checkpointed or with their WAL: they are not touched, not even to be read. */
static void test_open_refuses_databases(void)
{
    static const struct {
        const char *sql, *word;
    } rows[] = {
        {"PRAGMA application_id = 7", "another program"},
        {"PRAGMA application_id = 0; CREATE TABLE t(x)", "another program"},
        {"PRAGMA user_version = 4", "install the newer dlmgr again"},
        {"PRAGMA user_version = 0x7fffffff", "install the newer dlmgr again"},
        {"PRAGMA user_version = 0", "has no version"},
        {"PRAGMA user_version = -1", "has no version"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
        uint64_t journal, wal;

        make_journal();
        if (i % 2)
            leave_in_wal(rows[i / 2].sql);
        else
            journal_sql("journal.db", rows[i / 2].sql);
        journal = journal_file_sum("journal.db");
        wal = journal_file_sum("journal.db-wal");
        test_about("%s%s", rows[i / 2].sql, i % 2 ? " in the WAL" : "");
        CHECK_INT(wal != 0, i % 2);
        refuses(DLMGR_EJOURNAL, "journal.db", rows[i / 2].word);
        test_about("%s%s", rows[i / 2].sql, i % 2 ? " in the WAL" : "");
        CHECK_INT(journal_file_sum("journal.db"), journal);
        CHECK_INT(journal_file_sum("journal.db-wal"), wal);
        journal_discard();
    }
}

static void write_file(const char *name, const char *data, size_t len)
{
    CLEANUP_FD int fd = open(at(name), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

    CU_ASSERT_FATAL(fd >= 0 && dlm_pwrite_all(fd, data, len, 0) == 0);
}

/* What is no database, or no whole one. */
static void test_open_refuses_damage(void)
{
    static const char text[4096] = "this is no database, but somebody's text";
    struct stat st;
    uint64_t sum;

    write_file("journal.db", text, sizeof(text));
    sum = journal_file_sum("journal.db");
    refuses(DLMGR_EJOURNAL, "journal.db", "not a database");
    CHECK_INT(journal_file_sum("journal.db"), sum);
    write_file("journal.db", "", 0);
    refuses(DLMGR_EJOURNAL, "journal.db", "another program");
    CHECK_INT(stat(at("journal.db"), &st), 0);
    CHECK_INT(st.st_size, 0);
    journal_discard();

    make_journal();
    CU_ASSERT_FATAL(truncate(at("journal.db"), 6000) == 0);
    sum = journal_file_sum("journal.db");
    refuses(DLMGR_EJOURNAL, "journal.db", "malformed");
    CHECK_INT(journal_file_sum("journal.db"), sum);
    journal_discard();

    make_journal();
    journal_sql("journal.db", "DELETE FROM settings WHERE name = 'tag'");
    refuses(DLMGR_EJOURNAL, "journal.db", "tag");
}

/* What stands in a file's place must not be followed, waited for, or written to. */
static void test_open_refuses_types(void)
{
    static const struct {
        const char *name, *word;
        int type;
    } rows[] = {
        {"journal.db", "symbolic link", S_IFLNK},
        {"journal.db", "not a regular file", S_IFIFO},
        {"journal.db", "not a regular file", S_IFDIR},
        {"journal.db-wal", "symbolic link", S_IFLNK},
        {"journal.db-shm", "symbolic link", S_IFLNK},
        {"journal.db-journal", "not a regular file", S_IFIFO},
    };
    char target[600];
    struct stat st;

    snprintf(target, sizeof(target), "%s/target", test_dir());
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].name, "journal.db"))
            make_journal();
        unlink(at(rows[i].name));
        CU_ASSERT_FATAL((rows[i].type == S_IFLNK   ? symlink(target, at(rows[i].name))
                         : rows[i].type == S_IFIFO ? mkfifo(at(rows[i].name), 0600)
                                                   : mkdir(at(rows[i].name), 0700)) == 0);
        refuses(DLMGR_EJOURNAL, rows[i].name, rows[i].word);
        test_about("%s", rows[i].name);
        CU_ASSERT(lstat(at(rows[i].name), &st) == 0 && (st.st_mode & S_IFMT) == (mode_t)rows[i].type);
        CU_ASSERT(lstat(target, &st) < 0); /* a dangling link makes nothing */
        if (rows[i].type == S_IFDIR)
            CU_ASSERT_FATAL(rmdir(at(rows[i].name)) == 0);
        journal_discard();
    }
}

/* A link in the place of secrets.db is met by the first who needs a secret. */
static void test_open_refuses_secrets(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row("http://h:80/f");
    const char *urls[] = {row.url};
    char target[600], *text = NULL;
    dlmgr_error e = {0};
    struct stat st;
    int64_t id;

    snprintf(target, sizeof(target), "%s/target", test_dir());
    CU_ASSERT_FATAL(symlink(target, at("secrets.db")) == 0);
    journal_begin(s);
    CHECK_INT(dlm_store_add(s, &row, urls, 1, "{}", NULL, &id), DLMGR_EJOURNAL);
    dlm_store_error(s, DLMGR_EJOURNAL, &e);
    test_about("%s", e.text);
    CU_ASSERT(strstr(e.text, "secrets.db is a symbolic link") != NULL);
    dlm_store_rollback(s);
    CHECK_INT(dlm_store_secret(s, 1, &text), DLMGR_EJOURNAL);
    CU_ASSERT(lstat(target, &st) < 0);
    journal_add(s, "http://h:80/without");
    journal_sound(s);
    journal_close(s);
}

/* A reader makes nothing; a WAL whose database is gone belongs to no new one. */
static void test_open_absent(void)
{
    struct dlm_store *s = NULL;
    dlmgr_error e = {0};

    CHECK_INT(dlm_store_open(journal_homefd(), journal_home(), DLM_STORE_READ, &s, &e),
              DLMGR_ENOTFOUND);
    CU_ASSERT(s == NULL && !there("journal.db"));
    write_file("journal.db-wal", "frames", 6);
    refuses(DLMGR_EJOURNAL, "journal.db", "its WAL is there");
    CU_ASSERT(there("journal.db-wal") && !there("journal.db"));
    write_file("journal.db-wal", "", 0);
    s = journal_open(DLM_STORE_WRITE);
    journal_sound(s);
    journal_close(s);
}

/* Leftovers of one that was killed while it made the journal are in nobody's way. */
static void test_open_unfinished(void)
{
    struct dlm_store *s;

    write_file("journal.db.new", "half a database", 15);
    write_file("journal.db.new-journal", "and its journal", 15);
    s = journal_open(DLM_STORE_WRITE);
    journal_sound(s);
    CU_ASSERT(!there("journal.db.new") && !there("journal.db.new-journal"));
    journal_close(s);
}

/* Locks that do not work would let two owners write: refused, old journal or new. */
static void test_open_without_locks(void)
{
    static const struct {
        enum sqlfault_kind kind;
        const char *word;
    } rows[] = {{SQLFAULT_NO_SHM, "without working locks"},
                {SQLFAULT_NO_LOCK, "without working locks"}};
    struct dlm_store *s = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
        dlmgr_error e = {0};
        uint64_t sum;
        int r;

        if (i % 2)
            make_journal();
        else
            journal_homefd();
        sum = journal_file_sum("journal.db");
        sqlfault_set(rows[i / 2].kind, 0);
        r = dlm_store_open(journal_homefd(), journal_home(), DLM_STORE_WRITE, &s, &e);
        sqlfault_set(SQLFAULT_NONE, 0);
        test_about("%s %s: %s", i % 2 ? "old" : "new", rows[i / 2].word, e.text);
        CHECK_INT(r, DLMGR_EHOME);
        if (!strstr(e.text, rows[i / 2].word))
            CHECK_STR(e.text, rows[i / 2].word);
        CU_ASSERT_FATAL(s == NULL);
        CHECK_INT(journal_file_sum("journal.db"), sum);
        CU_ASSERT(!there("journal.db.new"));
        s = journal_open(DLM_STORE_WRITE);
        journal_close(TAKE_PTR(s));
        journal_discard();
    }
}

/* ---- Older versions -------------------------------------------------------------------------------------------- */

/* Every table and index with its text, in order. Yours. */
static char *schema_of(void)
{
    struct dlm_buf b = {0};
    sqlite3_stmt *st = NULL;
    sqlite3 *db = NULL;

    CU_ASSERT_FATAL(sqlite3_open(at("journal.db"), &db) == SQLITE_OK);
    CU_ASSERT_FATAL(
        sqlite3_prepare_v2(db,
                           "SELECT type, name, tbl_name, coalesce(sql, '-') FROM sqlite_schema "
                           "WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name",
                           -1, &st, NULL) == SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW)
        for (int i = 0; i < 4; i++)
            dlm_buf_printf(&b, "%s%c", (const char *)sqlite3_column_text(st, i), i < 3 ? ' ' : '\n');
    sqlite3_finalize(st);
    CU_ASSERT_FATAL(sqlite3_close(db) == SQLITE_OK);
    return dlm_buf_take(&b);
}

static char *read_fixture(int version)
{
    char path[64], *text = calloc(1, 1 << 20);
    CLEANUP_FD int fd = -1;

    snprintf(path, sizeof(path), "fixtures/journals/v%d.sql", version);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    test_about("%s, from the top of the sources", path);
    CU_ASSERT_FATAL(fd >= 0 && text && dlm_pread_all(fd, text, (1 << 20) - 1, 0) > 0);
    return text;
}

/* One of each version becomes what a new one is, with its tag, its settings and a task of each state. */
static void test_open_migrates(void)
{
    CLEANUP_FREE char *fresh = NULL;
    struct dlm_store *s;

    make_journal();
    fresh = schema_of();
    journal_discard();
    for (int version = 1; version <= DLM_SCHEMA_VERSION; version++) {
        CLEANUP_FREE char *sql = read_fixture(version), *kept = NULL, *schema = NULL;

        journal_sql("journal.db", sql);
        s = journal_open(DLM_STORE_WRITE);
        test_about("version %d", version);
        CHECK_STR(dlm_store_tag(s), "47d2");
        CHECK_INT(dlm_store_setting(s, "keep", &kept), 0);
        CHECK_STR(kept, "this");
        for (int state = 0; state < DLM_STATES; state++)
            CHECK_INT(journal_state(s, state + 1), state);
        journal_sound(s);
        journal_begin(s);
        CHECK_INT(dlm_store_recover(s), 0);
        journal_commit(s);
        CHECK_INT(journal_state(s, 2), DLMGR_QUEUED);
        CHECK_INT(journal_add(s, "http://h:80/next"), DLM_STATES + 1);
        journal_sound(s);
        journal_close(s);
        schema = schema_of();
        CHECK_STR(schema, fresh);
        journal_discard();
    }
}

/* ---- In which less has happened than had -------------------------------------------------------------------------- */

/* A file of the home as it is, under another name of it, or back. */
static void copy(const char *from, const char *to)
{
    static unsigned char data[1 << 20];
    CLEANUP_FD int in = openat(journal_homefd(), from, O_RDONLY | O_CLOEXEC),
                   out = openat(journal_homefd(), to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                                0600);
    ssize_t n = in < 0 || out < 0 ? -1 : dlm_pread_all(in, data, sizeof(data), 0);

    CU_ASSERT_FATAL(n >= 0 && dlm_pwrite_all(out, data, (size_t)n, 0) == 0);
}

static int truncateat(const char *name, off_t size)
{
    CLEANUP_FD int fd = openat(journal_homefd(), name, O_RDWR | O_CLOEXEC);

    return fd < 0 ? -1 : ftruncate(fd, size);
}

static void refuses_less(const char *about, const char *says)
{
    for (int mode = DLM_STORE_READ; mode <= DLM_STORE_WRITE; mode++) {
        struct dlm_store *s = NULL;
        dlmgr_error e = {0};

        CHECK_INT(dlm_store_open(journal_homefd(), journal_home(), mode, &s, &e), DLMGR_EJOURNAL);
        test_about("%s: %s", about, e.text);
        CHECK_INT(e.sys_errno, DLM_STORE_LOST);
        CU_ASSERT(strstr(e.text, says) != NULL);
    }
}

/* An older copy, a WAL that lost its end, a journal that is gone: said, and not opened, until the mark is taken away. */
static void test_open_refuses_less(void)
{
    struct dlm_store *s;

    make_journal();
    copy("journal.db", "old");
    s = journal_open(DLM_STORE_WRITE);
    journal_add(s, "http://h:80/g");
    journal_add(s, "http://h:80/h");
    copy("journal.db", "new");
    copy("journal.db-wal", "wal");
    journal_close(s);
    journal_close(journal_open(DLM_STORE_READ));

    copy("old", "journal.db");
    refuses_less("an older one", "last 2 changes");
    copy("new", "journal.db");
    copy("wal", "journal.db-wal");
    CU_ASSERT_FATAL(unlinkat(journal_homefd(), "journal.db-shm", 0) == 0 || errno == ENOENT);
    journal_close(journal_open(DLM_STORE_READ));
    CU_ASSERT_FATAL(truncateat("journal.db-wal", 5000) == 0);
    refuses_less("a WAL without its end", "are lost");
    CU_ASSERT_FATAL(unlinkat(journal_homefd(), "journal.db", 0) == 0 &&
                    unlinkat(journal_homefd(), "journal.db-wal", 0) == 0);
    refuses_less("none", "is missing");
    CU_ASSERT_FATAL(unlinkat(journal_homefd(), "mark", 0) == 0);
    make_journal();
}

/* A mark that makes no sense says nothing, and neither does a batch that changed nothing. */
static void test_open_marks(void)
{
    struct dlm_store *s;
    uint64_t mark, wal;

    make_journal();
    CU_ASSERT_FATAL(truncateat("mark", 9) == 0);
    s = journal_open(DLM_STORE_WRITE);
    journal_add(s, "http://h:80/g");
    mark = journal_file_sum("mark");
    wal = journal_file_sum("journal.db-wal");
    journal_begin(s);
    journal_commit(s);
    CHECK_INT(journal_file_sum("mark") == mark, 1);
    CHECK_INT(journal_file_sum("journal.db-wal") == wal, 1);
    journal_add(s, "http://h:80/h");
    CHECK_INT(journal_file_sum("mark") != mark, 1);
    journal_close(s);
    journal_close(journal_open(DLM_STORE_WRITE));
}

/* ---- The walk itself, with steps of our own ---------------------------------------------------------------------- */

static const struct dlm_step steps[] = {
    {"CREATE TABLE a(x); INSERT INTO a VALUES(1)"},
    {"ALTER TABLE a ADD COLUMN y DEFAULT 2"},
    {"CREATE TABLE b AS SELECT x + y AS z FROM a"},
    {"DELETE FROM a; CREATE TABLE b(wrong)"},
};

static int open_version(int version, sqlite3 **ret, dlmgr_error *e)
{
    struct dlm_file file = {.name = "journal.db",
                            .application_id = 7,
                            .steps = steps,
                            .version = version,
                            .secure_delete = "PRAGMA secure_delete = FAST"};

    *ret = NULL;
    return dlm_file_open(&file, journal_homefd(), journal_home(), DLM_STORE_WRITE, ret, e);
}

static int value(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    int n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* From any version to any later one, and a step that fails leaves the version before all of them. */
static void test_open_walks_steps(void)
{
    dlmgr_error e = {0};
    sqlite3 *db;

    for (int from = 1; from <= 3; from++) {
        test_about("from %d", from);
        CU_ASSERT_FATAL(open_version(from, &db, &e) == 0);
        CHECK_INT(value(db, "PRAGMA user_version"), from);
        sqlite3_close(db);
        CHECK_INT(open_version(4, &db, &e), DLMGR_EJOURNAL);
        CHECK_STR(e.path, at("journal.db"));
        CU_ASSERT_FATAL(open_version(from, &db, &e) == 0);
        CHECK_INT(value(db, "PRAGMA user_version"), from);
        CHECK_INT(value(db, "SELECT count(*) FROM a"), 1);
        CHECK_INT(value(db, "SELECT count(*) FROM b"), from < 3 ? -1 : 1);
        sqlite3_close(db);
        CU_ASSERT_FATAL(open_version(3, &db, &e) == 0);
        CHECK_INT(value(db, "PRAGMA user_version"), 3);
        CHECK_INT(value(db, "SELECT z FROM b"), 3);
        sqlite3_close(db);
        if (from < 3)
            CHECK_INT(open_version(2, &db, &e), DLMGR_EJOURNAL);
        journal_discard();
    }
}

static const struct test tests[] = {
    TEST(test_open_refuses_databases),
    TEST(test_open_refuses_damage),
    TEST(test_open_refuses_types),
    TEST(test_open_refuses_secrets),
    TEST(test_open_absent),
    TEST(test_open_unfinished),
    TEST(test_open_without_locks),
    TEST(test_open_migrates),
    TEST(test_open_walks_steps),
    TEST(test_open_refuses_less),
    TEST(test_open_marks),
};

TEST_MAIN("store_open", tests)
