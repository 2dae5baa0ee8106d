/* SPDX-License-Identifier: MIT */
/*
 * fuzz_journal.c - a journal that somebody else has written into: opened, read whole, worked with.
 *
 * The input is a list of changes to a good journal: bytes of a page of either file, or, through SQL with all constraints off, a column of a
 * row. It may be refused, and then says why and is left as it is; or it may be believed, and then nothing that is asked of it crashes, hangs or
 * fails with a code that is not the journal's.
 */
#include "dlmgr/methods.h"
#include "dlmgr/request.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/home.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

enum { FILE_MAX = 1 << 20, PAGE = 4096 };

struct image {
    const char *name;
    size_t size;
    uint8_t good[FILE_MAX], bad[FILE_MAX];
};
static struct image images[2] = {{.name = "journal.db"}, {.name = "secrets.db"}};

static void load_images(void)
{
    static bool loaded;

    if (loaded)
        return;
    dlm_store_close(home_open(DLM_STORE_WRITE));
    for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
        CLEANUP_FD int fd = openat(home_fd(), images[i].name, O_RDONLY | O_CLOEXEC);
        ssize_t n = dlm_pread_all(fd, images[i].good, FILE_MAX, 0);

        MUST(n > PAGE && n < FILE_MAX);
        images[i].size = (size_t)n;
    }
    loaded = true;
}

static void write_image(const struct image *m)
{
    CLEANUP_FD int fd = openat(home_fd(), m->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char name[64];

    MUST(fd >= 0 && dlm_pwrite_all(fd, m->bad, m->size, 0) == 0);
    snprintf(name, sizeof(name), "%s-wal", m->name);
    unlinkat(home_fd(), name, 0);
    snprintf(name, sizeof(name), "%s-shm", m->name);
    unlinkat(home_fd(), name, 0);
}

static bool is_untouched(const struct image *m)
{
    static uint8_t now[FILE_MAX];
    CLEANUP_FD int fd = openat(home_fd(), m->name, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && dlm_pread_all(fd, now, FILE_MAX, 0) == (ssize_t)m->size &&
           !memcmp(now, m->bad, m->size);
}

/* ---- Changes ----------------------------------------------------------------------------------- */

static void patch_bytes(struct bytes *b)
{
    struct image *m = &images[choose(b, 4) == 3];
    size_t at = (size_t)choose(b, (int)(m->size / PAGE)) * PAGE;

    at += ((size_t)next_byte(b) << 8 | next_byte(b)) % PAGE;
    for (int n = choose(b, 8); n >= 0 && at < m->size; n--, at++)
        m->bad[at] = (uint8_t)next_byte(b);
}

static const char *const columns[] = {
    "tasks.state",      "tasks.session",     "tasks.host",          "tasks.key",
    "tasks.url",        "tasks.dir",         "tasks.out",           "tasks.name",
    "tasks.part",       "tasks.path",        "tasks.total",         "tasks.bytes",
    "tasks.generation", "tasks.attempts",    "tasks.validator",     "tasks.wait_reason",
    "tasks.wake_at",    "tasks.error",       "tasks.exit_code",     "tasks.digest",
    "tasks.priority",   "tasks.on_exists",   "tasks.mask",          "tasks.secret",
    "tasks.created_at", "tasks.options",     "tasks.user_data",     "tasks.metrics",
    "sessions.name",    "sessions.last_seq", "sessions.acked_seq",  "sessions.on_event",
    "hosts.origin",     "hosts.tasks",       "hosts.head_id",       "hosts.head_priority",
    "blocks.idx",       "blocks.len",        "blocks.crc",          "hints.start",
    "hints.end",        "hints.generation",  "hints.boot",          "events.seq",
    "events.type",      "events.terminal",   "events.body",         "events.deliveries",
    "tally.state",      "tally.n",           "settings.value",      "sources.url",
    "sources.n",        "tasks.id",          "sqlite_sequence.seq",
};

/* The value of a column in one row, or in all. What SQLite refuses is not changed. */
static void patch_column(struct bytes *b, struct dlm_buf *sql)
{
    static const char *const values[] = {"NULL",
                                         "0",
                                         "-1",
                                         "1",
                                         "9",
                                         "''",
                                         "'{'",
                                         "'{}'",
                                         "'[1]'",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "'/x/../y'",
                                         "zeroblob(70000)",
                                         "'not-before'",
                                         "1048577",
                                         "'\"a\"'"};
    const char *column = columns[choose(b, ARRAY_SIZE(columns))];
    const char *dot = strchr(column, '.');
    int how = choose(b, 24), limit = choose(b, 12);

    dlm_buf_printf(sql, "UPDATE OR IGNORE %.*s SET %s = ", (int)(dot - column), column, dot + 1);
    if (how < (int)ARRAY_SIZE(values)) {
        dlm_buf_puts(sql, values[how]);
    } else {
        dlm_buf_puts(sql, "CAST(x'");
        for (int n = choose(b, 20); n > 0; n--)
            dlm_buf_printf(sql, "%02x", next_byte(b));
        dlm_buf_puts(sql, "' AS TEXT)");
    }
    if (limit > 0)
        dlm_buf_printf(sql, " WHERE %s IN (SELECT %s FROM %.*s LIMIT 1 OFFSET %d)", dot + 1,
                       dot + 1, (int)(dot - column), column, limit - 1);
    dlm_buf_puts(sql, ";");
}

static void run_sql(const char *sql)
{
    static const char lax[] = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;"
                              "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;";
    char path[700];
    sqlite3 *db = NULL;

    snprintf(path, sizeof(path), "%s/journal.db", home_path());
    MUST(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_exec(db, lax, NULL, NULL, NULL);
    for (const char *end; (end = strchr(sql, ';')); sql = end + 1) {
        CLEANUP_FREE char *one = dlm_strndup(sql, (size_t)(end - sql));

        sqlite3_exec(db, one, NULL, NULL, NULL);
    }
    sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    sqlite3_close(db);
}

/* Bytes are changed after SQL has had its say, or there would be nothing left to say. */
static void spoil(struct bytes *b)
{
    CLEANUP_BUF struct dlm_buf sql = {0};
    struct image *m = &images[0];
    int n_sql = choose(b, 8), n_bytes = choose(b, 8);

    for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
        memcpy(images[i].bad, images[i].good, images[i].size);
        write_image(&images[i]);
    }
    for (int i = 0; i < n_sql; i++)
        patch_column(b, &sql);
    if (sql.len) {
        CLEANUP_FD int fd = openat(home_fd(), m->name, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        run_sql(sql.data);
        n = dlm_pread_all(fd, m->bad, FILE_MAX, 0);
        MUST(n > 0);
        m->size = (size_t)n;
    }
    for (int i = 0; i < n_bytes; i++)
        patch_bytes(b);
    for (size_t i = 0; i < ARRAY_SIZE(images); i++)
        write_image(&images[i]);
}

/* ---- Work -------------------------------------------------------------------------------------- */

static void ask(struct dlm_store *s, const char *method, const char *params)
{
    json_t *p = json_loads(params, 0, NULL), *result = NULL;
    dlmgr_error e = {0};
    int r = dlm_method_find(method)->work(s, p, &result, &e);

    MUST(p && (r >= 0 ? result != NULL : r >= DLMGR_ELOST && e.text[0]));
    json_decref(result);
    json_decref(p);
}

static void note(const char *what, void *context)
{
    MUST(what && what[0]);
    ++*(int *)context;
}

/* What a transfer needs to begin. */
static void load_task(struct dlm_store *s, int64_t id)
{
    CLEANUP_FREE char *secret = NULL;
    struct dlm_block_row *blocks = NULL;
    struct dlm_hint *hints = NULL;
    struct dlm_row row = {0};
    struct dlm_opts opts = {0};
    char **urls = NULL;
    size_t n_urls = 0, n;

    if (dlm_store_get(s, id, &row) == 0 && dlm_store_sources(s, id, &urls, &n_urls) == 0) {
        MUST(row.state >= 0 && row.state < DLM_STATES);
        if (row.secret)
            dlm_store_secret(s, row.secret, &secret);
        if (dlm_opts_load(row.options, secret, urls, n_urls, &opts) == 0)
            dlm_opts_clear(&opts);
        if (dlm_store_blocks(s, id, &blocks, &n) == 0)
            free(blocks);
        if (dlm_store_hints(s, id, &hints, &n) == 0)
            free(hints);
    }
    for (size_t i = 0; i < n_urls; i++)
        free(urls[i]);
    free(urls);
    dlm_row_clear(&row);
}

static void read_all(struct dlm_store *s)
{
    char params[64];
    int problems = 0, r;

    ask(s, "list", "{}");
    ask(s, "count", "{}");
    ask(s, "sessions", "{}");
    ask(s, "events", "{\"after\":0}");
    ask(s, "events", "{\"session\":\"org.x\",\"after\":0}");
    for (int id = 1; id < 11; id++) {
        snprintf(params, sizeof(params), "{\"id\":%d,\"secrets\":true}", id);
        ask(s, "show", params);
        load_task(s, id);
    }
    r = dlm_store_check(s, note, &problems);
    MUST(r >= DLMGR_ELOST && r <= 1 && (r != 1 || problems > 0));
}

static void recover(struct dlm_store *s)
{
    struct dlm_row rows[8] = {0};
    size_t n = ARRAY_SIZE(rows);
    int64_t wake = 0;
    bool more = false;

    dlm_store_recover(s);
    for (int64_t after = 0, turns = 0; dlm_store_committing(s, after, &rows[0]) == 0; turns++) {
        MUST(rows[0].id > after && turns < 20);
        after = rows[0].id;
        dlm_row_clear(&rows[0]);
    }
    dlm_store_wake(s, INT64_C(1767225600000), &wake);
    if (dlm_store_take(s, NULL, 0, 2, rows, &n) == 0)
        for (size_t i = 0; i < n; i++)
            dlm_row_clear(&rows[i]);
    dlm_store_prune(s, INT64_MAX, INT64_MAX, 0, 100, &more);
}

static void write_some(struct dlm_store *s)
{
    dlmgr_error e = {0};

    if (dlm_store_begin(s) < 0)
        return;
    recover(s);
    ask(s, "act", "{\"action\":\"retry\",\"all\":true}");
    ask(s, "act", "{\"action\":\"cancel\",\"session\":\"org.x\"}");
    ask(s, "set", "{\"id\":1,\"priority\":5,\"limit_rate\":7}");
    ask(s, "add",
        "{\"tasks\":[{\"url\":\"http://h/new\",\"dir\":\"/\",\"key\":\"k\",\"session\":\"org.x\"}]}");
    ask(s, "ack_to", "{\"session\":\"org.x\",\"seq\":1}");
    ask(s, "act", "{\"action\":\"remove\",\"all\":true}");
    MUST(dlm_store_commit(s, &e) == 0 || e.text[0]);
}

FUZZ(journal)
{
    struct bytes b = {data, MIN(size, 2000)};
    struct dlm_store *s = NULL;
    dlmgr_error e = {0};
    int mode, r;

    load_images();
    mode = choose(&b, 3) ? DLM_STORE_WRITE : DLM_STORE_READ;
    spoil(&b);
    r = dlm_store_open(home_fd(), home_path(), mode, &s, &e);
    if (r < 0) {
        MUST(!s && e.code == r && e.text[0] && r != DLMGR_ENOMEM && r != DLMGR_ENOTFOUND);
        MUST(!strstr(e.text, "nothing was changed") || is_untouched(&images[0]));
        return;
    }
    read_all(s);
    if (mode == DLM_STORE_WRITE)
        write_some(s);
    dlm_store_close(s);
}
