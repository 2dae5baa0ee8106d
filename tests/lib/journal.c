/* SPDX-License-Identifier: MIT */
/*
 * journal.c - a journal in the test's directory: see journal.h.
 *
 * Tasks are driven by the store's own functions, never by SQL, so that what follows from a move is there too.
 * journal_sql() is for the opposite: to make a journal that the store would never write.
 */
#include "tests/lib/journal.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

static char home[512];
static int homefd = -1;

const char *journal_home(void)
{
    snprintf(home, sizeof(home), "%s/home", test_dir());
    return home;
}

int journal_homefd(void)
{
    static char of[512];

    if (homefd >= 0 && strcmp(of, journal_home())) { /* of a test before this one */
        close(homefd);
        homefd = -1;
    }
    if (homefd < 0) {
        snprintf(of, sizeof(of), "%s", journal_home());
        CU_ASSERT_FATAL(mkdir(journal_home(), 0700) == 0 || errno == EEXIST);
        homefd = open(journal_home(), O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        CU_ASSERT_FATAL(homefd >= 0);
    }
    return homefd;
}

struct dlm_store *journal_open(int mode)
{
    struct dlm_store *s = NULL;
    dlmgr_error e = {0};
    int r = dlm_store_open(journal_homefd(), journal_home(), mode, &s, &e);

    if (r < 0)
        test_about("%s", e.text);
    CHECK_INT(r, 0);
    CU_ASSERT_FATAL(r == 0);
    return s;
}

void journal_close(struct dlm_store *s)
{
    dlm_store_close(s);
    if (homefd >= 0)
        close(homefd);
    homefd = -1;
}

void journal_discard(void)
{
    DIR *dir = opendir(journal_home());

    CU_ASSERT_FATAL(dir != NULL);
    for (struct dirent *d; (d = readdir(dir));)
        if (d->d_name[0] != '.')
            CU_ASSERT(unlinkat(dirfd(dir), d->d_name, 0) == 0);
    closedir(dir);
}

void journal_begin(struct dlm_store *s)
{
    CU_ASSERT_FATAL(dlm_store_begin(s) == 0);
}

void journal_commit(struct dlm_store *s)
{
    dlmgr_error e = {0};
    int r = dlm_store_commit(s, &e);

    if (r < 0)
        test_about("%s", e.text);
    CHECK_INT(r, 0);
    CU_ASSERT_FATAL(r == 0);
}

struct dlm_row journal_row(const char *url)
{
    static char origins[8][256];
    static unsigned turn;
    char *origin = origins[turn++ % 8], *text = origins[turn++ % 8];
    const char *host = strstr(url, "://"), *end = host ? strchr(host + 3, '/') : NULL;
    static char session[] = "default", dir[] = "/downloads";

    snprintf(origin, 256, "%.*s", end ? (int)(end - url) : (int)strlen(url), url);
    snprintf(text, 256, "%s", url);
    return (struct dlm_row){.state = DLMGR_QUEUED,
                            .session = session,
                            .url = text,
                            .origin = origin,
                            .dir = dir,
                            .total = -1};
}

int64_t journal_add_row(struct dlm_store *s, const struct dlm_row *row)
{
    const char *urls[] = {row->url};
    int64_t id = 0;

    CU_ASSERT_FATAL(dlm_store_add(s, row, urls, 1, NULL, NULL, &id) == 0);
    return id;
}

int64_t journal_add(struct dlm_store *s, const char *url)
{
    struct dlm_row row = journal_row(url);
    int64_t id;

    journal_begin(s);
    id = journal_add_row(s, &row);
    journal_commit(s);
    return id;
}

int journal_try(struct dlm_store *s, int64_t id, int to)
{
    struct dlm_ident ident = {.ino = (uint64_t)id, .btime_ns = 7, .size = 9};
    char path[64];
    struct dlm_move m = {.id = id, .to = to, NO_CHANGE};

    snprintf(path, sizeof(path), "/downloads/file-%lld", (long long)id);
    if (to == DLMGR_WAITING)
        m.wait_reason = "backoff", m.wake_at = 5000;
    if (to == DLMGR_COMMITTING)
        m.path = path, m.ident = &ident;
    if (to == DLMGR_FAILED)
        m.error = "{\"code\": 1}", m.exit_code = 1;
    return dlm_store_move(s, &m, NULL);
}

void journal_drive(struct dlm_store *s, int64_t id, int state)
{
    static const int roads[DLM_STATES][5] = {
        [DLMGR_QUEUED] = {-1},
        [DLMGR_RUNNING] = {DLMGR_RUNNING, -1},
        [DLMGR_VERIFYING] = {DLMGR_RUNNING, DLMGR_VERIFYING, -1},
        [DLMGR_COMMITTING] = {DLMGR_RUNNING, DLMGR_VERIFYING, DLMGR_COMMITTING, -1},
        [DLMGR_DONE] = {DLMGR_RUNNING, DLMGR_VERIFYING, DLMGR_COMMITTING, DLMGR_DONE, -1},
        [DLMGR_WAITING] = {DLMGR_RUNNING, DLMGR_WAITING, -1},
        [DLMGR_PAUSED] = {DLMGR_PAUSED, -1},
        [DLMGR_FAILED] = {DLMGR_RUNNING, DLMGR_FAILED, -1},
        [DLMGR_CANCELLED] = {DLMGR_CANCELLED, -1},
    };

    journal_begin(s);
    for (const int *to = roads[state]; *to >= 0; to++)
        CU_ASSERT_FATAL(journal_try(s, id, *to) == 0);
    journal_commit(s);
}

int journal_state(struct dlm_store *s, int64_t id)
{
    struct dlm_row row = {0};
    int r = dlm_store_get(s, id, &row), state = row.state;

    dlm_row_clear(&row);
    return r < 0 ? r : state;
}

struct seen {
    int n;
    int64_t first, last;
    char type[16];
    char *body;
};

static int see(const struct dlm_event_row *ev, void *context)
{
    struct seen *seen = context;

    if (!seen->n++)
        seen->first = ev->seq;
    else
        CHECK_INT(ev->seq, seen->last + 1);
    seen->last = ev->seq;
    snprintf(seen->type, sizeof(seen->type), "%s", ev->type);
    free(seen->body);
    seen->body = strdup(ev->body);
    return 0;
}

static struct seen look(struct dlm_store *s, const char *session)
{
    struct seen seen = {0};
    int64_t last, acked;

    CU_ASSERT_FATAL(dlm_store_session(s, session, &last, &acked) == 0);
    CU_ASSERT_FATAL(dlm_store_events(s, session, 0, 100000, see, &seen) == 0);
    if (seen.n)
        CHECK_INT(seen.last, last);
    return seen;
}

int journal_events(struct dlm_store *s, const char *session, char ret_last_type[16])
{
    struct seen seen = look(s, session);

    if (ret_last_type)
        memcpy(ret_last_type, seen.type, sizeof(seen.type));
    free(seen.body);
    return seen.n;
}

char *journal_last_body(struct dlm_store *s, const char *session)
{
    return look(s, session).body;
}

static void problem(const char *what, void *context)
{
    (void)context;
    CHECK_STR(what, "nothing wrong");
}

void journal_sound(struct dlm_store *s)
{
    CHECK_INT(dlm_store_check(s, problem, NULL), 0);
}

uint64_t journal_file_sum(const char *name)
{
    CLEANUP_FD int fd = openat(journal_homefd(), name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    uint64_t sum = 0;
    uint32_t crc = 0;
    char buf[4096];
    ssize_t n;

    if (fd < 0)
        return 0;
    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        crc = dlm_crc32c(crc, buf, (size_t)n);
        sum += (uint64_t)n;
    }
    return sum << 32 | crc;
}

int journal_file_has(const char *name, const char *text)
{
    CLEANUP_FD int fd = openat(journal_homefd(), name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP_FREE char *data = malloc(1 << 24);
    ssize_t n = fd < 0 || !data ? 0 : dlm_pread_all(fd, data, 1 << 24, 0);

    return n > 0 && memmem(data, (size_t)n, text, strlen(text)) != NULL;
}

void journal_sql(const char *name, const char *sql)
{
    char path[600];
    sqlite3 *db = NULL;
    char *text = NULL;

    snprintf(path, sizeof(path), "%s/%s", journal_home(), name);
    journal_homefd();
    CU_ASSERT_FATAL(sqlite3_open(path, &db) == SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        test_about("%s", text);
    CU_ASSERT_FATAL(text == NULL);
    CU_ASSERT_FATAL(sqlite3_close(db) == SQLITE_OK);
}

int64_t journal_number(const char *name, const char *sql)
{
    char path[600];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int64_t value;

    snprintf(path, sizeof(path), "%s/%s", journal_home(), name);
    journal_homefd();
    CU_ASSERT_FATAL(sqlite3_open(path, &db) == SQLITE_OK);
    CU_ASSERT_FATAL(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
                    sqlite3_step(st) == SQLITE_ROW);
    value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    CU_ASSERT_FATAL(sqlite3_close(db) == SQLITE_OK);
    return value;
}
