/* SPDX-License-Identifier: MIT */
/*
 * test_store.c - tasks in the journal: add, key, every move, edit, remove, lists, secrets, settings.
 *
 * Each test has a journal of its own in a directory of its own, and most end with the store's own check of all
 * that must hold between its tables. Taking is in test_store_queue.c, events in test_store_events.c, faults
 * in test_store_faults.c, what is refused at open in test_store_open.c.
 */
#include "tests/lib/journal.h"
#include "tests/lib/methods.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <sys/stat.h>

#define URL "http://a.example:80/file"

/* What was added comes back, field by field, also bytes that are no text. */
static void test_store_add_get(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL), got = {0};
    const char *urls[] = {URL, "http://b.example:80/mirror", "http://c.example:80/mirror"};
    char **sources = NULL;
    size_t n = 0;
    int64_t id;

    row.key = (char[]){"key"};
    row.out = (char[]){"caf\xe9"};
    row.digest = (char[]){"sha-256=00"};
    row.options = (char[]){"{}"};
    row.priority = -7;
    row.on_exists = DLMGR_EXISTS_SAME;
    row.mask = 022;
    row.user_data = (char[]){"\0\xff\0"};
    row.user_data_len = 4;
    row.created_at = 1234;
    journal_begin(s);
    CHECK_INT(dlm_store_add(s, &row, urls, 3, NULL, "hash", &id), 0);
    journal_commit(s);
    CU_ASSERT_FATAL(dlm_store_get(s, id, &got) == 0);
    CHECK_INT(got.id, id);
    CHECK_INT(got.state, DLMGR_QUEUED);
    CHECK_STR(got.session, "default");
    CHECK_STR(got.key, "key");
    CHECK_STR(got.url, URL);
    CHECK_STR(got.origin, "http://a.example:80");
    CHECK_STR(got.dir, "/downloads");
    CHECK_STR(got.out, "caf\xe9");
    CHECK_STR(got.name, NULL);
    CHECK_STR(got.digest, "sha-256=00");
    CHECK_INT(got.priority, -7);
    CHECK_INT(got.on_exists, DLMGR_EXISTS_SAME);
    CHECK_INT(got.mask, 022);
    CHECK_INT(got.total, -1);
    CHECK_INT(got.bytes, 0);
    CHECK_INT(got.generation, 1);
    CHECK_INT(got.created_at, 1234);
    CHECK_INT(got.user_data_len, 4);
    CHECK_MEM(got.user_data, "\0\xff\0", 4);
    dlm_row_clear(&got);
    CHECK_INT(dlm_store_sources(s, id, &sources, &n), 0);
    CHECK_INT(n, 3);
    for (size_t i = 0; i < n; i++) {
        CHECK_STR(sources[i], urls[i]);
        free(sources[i]);
    }
    free(sources);
    CHECK_INT(dlm_store_get(s, id + 1, &got), DLMGR_ENOTFOUND);
    CHECK_INT(dlm_store_sources(s, id + 1, &sources, &n), DLMGR_ENOTFOUND);
    journal_sound(s);
    journal_close(s);
}

/* Ids are never used again, not even those of tasks that were removed before a reopen. */
static void test_store_ids_never_reused(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t a = journal_add(s, URL), b = journal_add(s, URL);

    CU_ASSERT(b > a);
    journal_begin(s);
    CHECK_INT(dlm_store_remove(s, b), 0);
    CHECK_INT(dlm_store_remove(s, a), 0);
    CHECK_INT(dlm_store_remove(s, a), DLMGR_ENOTFOUND);
    journal_commit(s);
    journal_close(s);
    s = journal_open(DLM_STORE_WRITE);
    CU_ASSERT(journal_add(s, URL) > b);
    journal_sound(s);
    journal_close(s);
}

/* The same key in the same session is the same task; with another request it is an error; elsewhere it is another task. */
static void test_store_key_twice(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL);
    const char *urls[] = {URL};
    int64_t first = 0, again = 0, other = 0, found = 0;

    row.key = (char[]){"k"};
    journal_begin(s);
    CHECK_INT(dlm_store_add(s, &row, urls, 1, NULL, "one", &first), 0);
    CHECK_INT(dlm_store_add(s, &row, urls, 1, NULL, "one", &again), 1);
    CHECK_INT(again, first);
    again = 0;
    CHECK_INT(dlm_store_add(s, &row, urls, 1, NULL, "two", &again), DLMGR_EEXIST);
    CHECK_INT(again, 0);
    row.session = (char[]){"org.example.app"};
    CHECK_INT(dlm_store_add(s, &row, urls, 1, NULL, "two", &other), 0);
    CU_ASSERT(other != first);
    journal_commit(s);
    CHECK_INT(dlm_store_find_key(s, "default", "k", &found), 0);
    CHECK_INT(found, first);
    CHECK_INT(dlm_store_find_key(s, "org.example.app", "k", &found), 0);
    CHECK_INT(found, other);
    CHECK_INT(dlm_store_find_key(s, "default", "none", &found), DLMGR_ENOTFOUND);
    CHECK_INT(dlm_store_find_key(s, "nobody", "k", &found), DLMGR_ENOTFOUND);
    journal_sound(s);
    journal_close(s);
}

/* A row that lacks what it must have, or begins in a state that is reached only by moving, is refused. */
static void test_store_add_refuses(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    const char *urls[] = {URL};
    struct dlm_row good = journal_row(URL), bad;
    int64_t id = 0;

    journal_begin(s);
    for (int state = 0; state < DLM_STATES; state++) {
        bad = good;
        bad.state = state;
        if (state == DLMGR_QUEUED || state == DLMGR_PAUSED)
            continue;
        test_about("%s", dlm_state_name(state)); /* waiting: without a reason */
        CHECK_INT(dlm_store_add(s, &bad, urls, 1, NULL, NULL, &id), DLMGR_EINVAL);
    }
    bad = good, bad.url = NULL;
    CHECK_INT(dlm_store_add(s, &bad, urls, 1, NULL, NULL, &id), DLMGR_EINVAL);
    bad = good, bad.dir = NULL;
    CHECK_INT(dlm_store_add(s, &bad, urls, 1, NULL, NULL, &id), DLMGR_EINVAL);
    CHECK_INT(id, 0);
    journal_commit(s);
    CHECK_INT(dlm_store_add(s, &good, urls, 1, NULL, NULL, &id), DLMGR_EINVAL); /* no transaction */
    journal_sound(s);
    journal_close(s);
}

static void check_pair(struct dlm_store *s, int from, int to)
{
    int64_t id = journal_add(s, URL);
    int before, was = -1;
    struct dlm_move m = {.id = id, .to = to, .generation = 99, NO_CHANGE};

    test_about("%s -> %s", dlm_state_name(from), dlm_state_name(to));
    journal_drive(s, id, from);
    before = journal_events(s, "default", NULL);
    journal_begin(s);
    CHECK_INT(dlm_store_move(s, &m, &was), DLMGR_ESTATE); /* a stale generation, whatever the pair */
    CHECK_INT(was, from);
    if (dlm_state_may(from, to)) {
        CHECK_INT(journal_try(s, id, to), 0);
        CHECK_INT(journal_state(s, id), to);
    } else {
        CHECK_INT(journal_try(s, id, to), DLMGR_ESTATE);
        CHECK_INT(journal_state(s, id), from);
        CHECK_INT(journal_events(s, "default", NULL), before);
    }
    journal_commit(s);
}

/* All 81 pairs, through the journal. */
static void test_store_every_move(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    for (int from = 0; from < DLM_STATES; from++)
        for (int to = 0; to < DLM_STATES; to++)
            check_pair(s, from, to);
    journal_sound(s);
    journal_begin(s);
    CHECK_INT(journal_try(s, 12345, DLMGR_RUNNING), DLMGR_ENOTFOUND);
    CHECK_INT(journal_try(s, 1, DLM_STATES), DLMGR_ESTATE);
    CHECK_INT(journal_try(s, 1, -1), DLMGR_ESTATE);
    dlm_store_rollback(s);
    journal_close(s);
}

/* What a move writes besides the state: times, error, path, attempts, generation. */
static void test_store_move_fields(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL);
    struct dlm_row row = {0};

    dlm_clock_set(1000, 1000);
    journal_drive(s, id, DLMGR_FAILED);
    CU_ASSERT_FATAL(dlm_store_get(s, id, &row) == 0);
    CHECK_INT(row.started_at, 1000);
    CHECK_INT(row.finished_at, 1000);
    CHECK_STR(row.error, "{\"code\": 1}");
    CHECK_INT(row.exit_code, 1);
    CHECK_INT(row.generation, 1);
    dlm_row_clear(&row);
    dlm_clock_set(2000, 2000);
    journal_begin(s);
    CHECK_INT(journal_try(s, id, DLMGR_QUEUED), 0);
    journal_commit(s);
    CU_ASSERT_FATAL(dlm_store_get(s, id, &row) == 0);
    CHECK_STR(row.error, NULL);
    CHECK_INT(row.exit_code, 0);
    CHECK_INT(row.generation, 2); /* so that its next end can be told */
    CHECK_INT(row.finished_at, 0);
    dlm_row_clear(&row);
    journal_drive(s, id, DLMGR_COMMITTING);
    CU_ASSERT_FATAL(dlm_store_get(s, id, &row) == 0);
    CHECK_INT(row.started_at, 1000);
    CHECK_STR(row.path, "/downloads/file-1");
    CHECK_INT(row.ident.ino, 1);
    CHECK_INT(row.ident.btime_ns, 7);
    CHECK_INT(row.ident.size, 9);
    dlm_row_clear(&row);
    journal_begin(s);
    CHECK_INT(journal_try(s, id, DLMGR_QUEUED), 0);
    CU_ASSERT_FATAL(dlm_store_get(s, id, &row) == 0);
    CHECK_STR(row.path, NULL); /* not committing: no name is taken */
    dlm_row_clear(&row);
    CHECK_INT(journal_try(s, id, DLMGR_RUNNING), 0);
    CHECK_INT(journal_try(s, id, DLMGR_WAITING), 0);
    CU_ASSERT_FATAL(dlm_store_get(s, id, &row) == 0);
    CHECK_STR(row.wait_reason, "backoff");
    CHECK_INT(row.wake_at, 5000);
    dlm_row_clear(&row);
    journal_commit(s);
    dlm_clock_set(-1, -1);
    journal_sound(s);
    journal_close(s);
}

/* Waiting needs a reason, committing a path. */
static void test_store_move_incomplete(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL);
    struct dlm_move m = {.id = id, .to = DLMGR_WAITING, NO_CHANGE};

    journal_begin(s);
    CHECK_INT(dlm_store_move(s, &m, NULL), DLMGR_EINVAL);
    CHECK_INT(journal_try(s, id, DLMGR_RUNNING), 0);
    CHECK_INT(journal_try(s, id, DLMGR_VERIFYING), 0);
    m.to = DLMGR_COMMITTING;
    CHECK_INT(dlm_store_move(s, &m, NULL), DLMGR_EINVAL);
    journal_commit(s);
    journal_close(s);
}

static int commit_as(struct dlm_store *s, int64_t id, const char *path)
{
    struct dlm_ident ident = {.ino = 1};
    struct dlm_move m = {.id = id, .to = DLMGR_COMMITTING, .path = path, .ident = &ident, NO_CHANGE};

    return dlm_store_move(s, &m, NULL);
}

/* Two tasks that want one name: the journal gives it to the first, and to the next once the first is through. */
static void test_store_one_name_one_task(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t a = journal_add(s, URL), b = journal_add(s, URL);

    journal_drive(s, a, DLMGR_VERIFYING);
    journal_drive(s, b, DLMGR_VERIFYING);
    journal_begin(s);
    CHECK_INT(commit_as(s, a, "/downloads/x"), 0);
    CHECK_INT(dlm_store_savepoint(s), 0);
    CHECK_INT(commit_as(s, b, "/downloads/x"), DLMGR_EEXIST);
    dlm_store_release(s, false);
    CHECK_INT(commit_as(s, b, "/downloads/x.1"), 0);
    CHECK_INT(commit_as(s, b, "/downloads/x.2"), 0); /* a stranger had x.1 */
    CHECK_INT(commit_as(s, b, "/downloads/x"), DLMGR_EEXIST);
    CHECK_INT(journal_try(s, a, DLMGR_DONE), 0);
    CHECK_INT(commit_as(s, b, "/downloads/x"), 0);
    journal_commit(s);
    journal_sound(s);
    journal_close(s);
}

/* The tally says how many there are of each state, also while the transaction that changes it is open. */
static void test_store_tally(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_tally tally = {0};
    struct dlm_row row = journal_row(URL);
    struct dlm_move m = {.to = DLMGR_WAITING, .wait_reason = "storage", NO_CHANGE};

    for (int state = 0; state < DLM_STATES; state++)
        for (int i = 0; i <= state; i++)
            journal_drive(s, journal_add(s, URL), state);
    CHECK_INT(dlm_store_tally(s, &tally), 0);
    for (int state = 0; state < DLM_STATES; state++)
        CHECK_INT(tally.by_state[state], state + 1);
    CHECK_INT(tally.waiting_storage, 0);
    CHECK_INT(tally.waiting_timed, DLMGR_WAITING + 1);
    journal_begin(s);
    m.id = journal_add_row(s, &row);
    CHECK_INT(dlm_store_move(s, &m, NULL), 0);
    CHECK_INT(dlm_store_tally(s, &tally), 0);
    CHECK_INT(tally.by_state[DLMGR_WAITING], DLMGR_WAITING + 2);
    CHECK_INT(tally.waiting_storage, 1);
    CHECK_INT(tally.waiting_timed, DLMGR_WAITING + 1);
    dlm_store_rollback(s);
    CHECK_INT(dlm_store_tally(s, &tally), 0);
    CHECK_INT(tally.by_state[DLMGR_WAITING], DLMGR_WAITING + 1);
    CHECK_INT(tally.waiting_storage, 0);
    journal_sound(s);
    journal_close(s);
}

static int note_id(const struct dlm_row *row, void *context)
{
    struct dlm_buf *b = context;

    dlm_buf_printf(b, "%lld%s ", (long long)row->id, row->session[0] == 'd' ? "" : "*");
    return 0;
}

static char *listed(struct dlm_store *s, unsigned states, const char *session, int64_t after,
                    int limit)
{
    struct dlm_filter f = {.states = states, .session = session, .after = after, .limit = limit};
    struct dlm_buf b = {0};

    CHECK_INT(dlm_store_list(s, &f, note_id, &b), 0);
    return dlm_buf_take(&b);
}

/* Each filter, each page: the lowest ids first, none left out at a page's edge. */
static void test_store_list(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL);
    static const struct {
        unsigned states;
        const char *session;
        int64_t after;
        int limit;
        const char *ids;
    } rows[] = {
        {0, NULL, 0, 0, "1 2* 3 4* 5 6* 7 8* "},
        {0, NULL, 3, 2, "4* 5 "},
        {~0u, NULL, 0, 3, "1 2* 3 "},
        {1u << DLMGR_PAUSED, NULL, 0, 0, "1 4* 7 "},
        {1u << DLMGR_PAUSED | 1u << DLMGR_QUEUED, NULL, 0, 3, "1 3 4* "},
        {1u << DLMGR_PAUSED | 1u << DLMGR_QUEUED, NULL, 4, 3, "6* 7 "},
        {0, "org", 0, 0, "2* 4* 6* 8* "},
        {0, "org", 2, 2, "4* 6* "},
        {1u << DLMGR_CANCELLED, "org", 0, 0, "2* 8* "},
        {1u << DLMGR_DONE, NULL, 0, 0, ""},
        {0, "nobody", 0, 0, ""},
    };

    journal_begin(s);
    for (int i = 0; i < 8; i++) {
        row.session = i % 2 ? (char[]){"org"} : (char[]){"default"};
        CU_ASSERT_FATAL(journal_add_row(s, &row) == i + 1);
    }
    for (int i = 1; i <= 8; i++)
        if (i % 3 != 0)
            CHECK_INT(journal_try(s, i, i % 3 == 1 ? DLMGR_PAUSED : DLMGR_CANCELLED), 0);
    journal_commit(s);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *ids = listed(s, rows[i].states, rows[i].session, rows[i].after,
                                        rows[i].limit);

        test_about("row %zu", i);
        CHECK_STR(ids, rows[i].ids);
    }
    journal_close(s);
}

static int stop_at_two(const struct dlm_row *row, void *context)
{
    ++*(int *)context;
    return row->id == 2 ? 77 : 0;
}

/* A non-zero answer ends the list and comes back; the connection is not left in the middle. */
static void test_store_list_stops(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_filter f = {0};
    int64_t ids[2];
    size_t n = 2;
    int seen = 0;

    for (int i = 0; i < 4; i++)
        journal_add(s, URL);
    CHECK_INT(dlm_store_list(s, &f, stop_at_two, &seen), 77);
    CHECK_INT(seen, 2);
    journal_add(s, URL);
    f.after = 1;
    CHECK_INT(dlm_store_ids(s, &f, ids, &n), 0);
    CHECK_INT(n, 2);
    CHECK_INT(ids[0], 2);
    CHECK_INT(ids[1], 3);
    journal_close(s);
}

/* The same download again: the newest unended one, then older ones; ended ones and other sessions do not count. */
static void test_store_find_same(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t a = journal_add(s, URL), b = journal_add(s, URL), c = journal_add(s, URL), id = 0;

    journal_add(s, "http://a.example:80/fil2e"); /* the same letters in another order */
    journal_drive(s, c, DLMGR_CANCELLED);
    CHECK_INT(dlm_store_find_same(s, "default", URL, "/downloads", NULL, 0, &id), 0);
    CHECK_INT(id, b);
    CHECK_INT(dlm_store_find_same(s, "default", URL, "/downloads", NULL, b, &id), 0);
    CHECK_INT(id, a);
    CHECK_INT(dlm_store_find_same(s, "default", URL, "/downloads", NULL, a, &id), DLMGR_ENOTFOUND);
    CHECK_INT(dlm_store_find_same(s, "default", URL, "/other", NULL, 0, &id), DLMGR_ENOTFOUND);
    CHECK_INT(dlm_store_find_same(s, "default", URL, "/downloads", "x", 0, &id), DLMGR_ENOTFOUND);
    CHECK_INT(dlm_store_find_same(s, "org", URL, "/downloads", NULL, 0, &id), DLMGR_ENOTFOUND);
    CHECK_INT(id, a);
    journal_close(s);
}

/* An edit changes what it names and nothing else; hosts and the URL's index follow. */
static void test_store_edit(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL), found;
    const char *urls[] = {"http://z.example:80/new1", "http://z.example:80/new2"};
    struct dlm_edit edit = {.urls = urls, .n_urls = 2, .origin = "http://z.example:80"};
    struct dlm_row row = {0};
    char **sources;
    size_t n;

    journal_begin(s);
    CHECK_INT(dlm_store_edit(s, id, &edit), 0);
    edit = (struct dlm_edit){.has_priority = true, .priority = 9};
    CHECK_INT(dlm_store_edit(s, id, &edit), 0);
    edit = (struct dlm_edit){.out = "o", .dir = "/d", .options = "{\"a\": 1}"};
    CHECK_INT(dlm_store_edit(s, id, &edit), 0);
    CHECK_INT(dlm_store_edit(s, 99, &edit), DLMGR_ENOTFOUND);
    journal_commit(s);
    CU_ASSERT_FATAL(dlm_store_get(s, id, &row) == 0);
    CHECK_STR(row.url, urls[0]);
    CHECK_STR(row.origin, "http://z.example:80");
    CHECK_STR(row.out, "o");
    CHECK_STR(row.dir, "/d");
    CHECK_STR(row.options, "{\"a\": 1}");
    CHECK_INT(row.priority, 9);
    dlm_row_clear(&row);
    CU_ASSERT_FATAL(dlm_store_sources(s, id, &sources, &n) == 0);
    CHECK_INT(n, 2);
    CHECK_STR(sources[1], urls[1]);
    for (size_t i = 0; i < n; i++)
        free(sources[i]);
    free(sources);
    CHECK_INT(dlm_store_find_same(s, "default", urls[0], "/d", "o", 0, &found), 0);
    CHECK_INT(dlm_store_find_same(s, "default", URL, "/d", "o", 0, &found), DLMGR_ENOTFOUND);
    journal_sound(s);
    journal_close(s);
}

static int64_t add_secret(struct dlm_store *s, const char *json)
{
    struct dlm_row row = journal_row(URL);
    const char *urls[] = {URL};
    int64_t id = 0;

    CU_ASSERT_FATAL(dlm_store_add(s, &row, urls, 1, json, NULL, &id) == 0);
    return id;
}

static char *secret_of(struct dlm_store *s, int64_t id)
{
    struct dlm_row row = {0};
    char *json = NULL;

    if (dlm_store_get(s, id, &row) == 0 && row.secret)
        CHECK_INT(dlm_store_secret(s, row.secret, &json), 0);
    dlm_row_clear(&row);
    return json;
}

/* A secret stands in secrets.db (0600), which exists from the first one on, and nowhere in journal.db. */
static void test_store_secrets(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct stat st;
    int64_t id;
    char *json;

    journal_add(s, URL);
    CHECK_INT(journal_file_sum("secrets.db"), 0);
    CHECK_INT(dlm_store_secret(s, 1, &json), DLMGR_ENOTFOUND);
    journal_begin(s);
    id = add_secret(s, "{\"password\": \"geheim\"}");
    journal_commit(s);
    CU_ASSERT_FATAL(fstatat(journal_homefd(), "secrets.db", &st, 0) == 0);
    CHECK_INT(st.st_mode, S_IFREG | 0600);
    json = secret_of(s, id);
    CHECK_STR(json, "{\"password\": \"geheim\"}");
    free(json);
    journal_close(s);
    CU_ASSERT(journal_file_has("secrets.db", "geheim"));
    CU_ASSERT(journal_file_has("journal.db", URL));
    CU_ASSERT(!journal_file_has("journal.db", "geheim"));
    s = journal_open(DLM_STORE_READ);
    json = secret_of(s, id);
    CHECK_STR(json, "{\"password\": \"geheim\"}");
    free(json);
    journal_sound(s);
    journal_close(s);
}

/* A secret leaves with its task, with an edit, and with a rolled back request. */
static void test_store_secrets_leave(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_edit edit = {.has_secret = true, .secret = "geheim new"};
    int64_t a, b;
    char *json;

    journal_begin(s);
    a = add_secret(s, "geheim a"); /* number 1 */
    b = add_secret(s, "b");        /* 2 */
    CHECK_INT(dlm_store_savepoint(s), 0);
    add_secret(s, "c"); /* 3, undone */
    dlm_store_release(s, false);
    CHECK_INT(dlm_store_edit(s, b, &edit), 0); /* 4 */
    journal_commit(s);
    for (int64_t number = 1; number <= 5; number++) {
        int r = dlm_store_secret(s, number, &json);

        test_about("%d", (int)number);
        CHECK_INT(r, number == 1 || number == 4 ? 0 : DLMGR_ENOTFOUND);
        if (r == 0)
            free(json);
    }
    journal_begin(s);
    CHECK_INT(dlm_store_remove(s, a), 0);
    edit.secret = NULL;
    CHECK_INT(dlm_store_edit(s, b, &edit), 0);
    dlm_store_rollback(s);
    CHECK_INT(dlm_store_secret(s, 1, &json), 0); /* nothing went before the commit */
    free(json);
    journal_begin(s);
    CHECK_INT(dlm_store_remove(s, a), 0);
    CHECK_INT(dlm_store_edit(s, b, &edit), 0);
    journal_commit(s);
    CHECK_INT(dlm_store_secret(s, 1, &json), DLMGR_ENOTFOUND);
    CHECK_INT(dlm_store_secret(s, 4, &json), DLMGR_ENOTFOUND);
    journal_sound(s);
    journal_close(s);
    CU_ASSERT(!journal_file_has("secrets.db", "geheim")); /* overwritten, not only unlinked */
}

/* Settings are kept; the tag of part files is made once. */
static void test_store_settings(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    char tag[8], *value = (char[]){"untouched"};

    snprintf(tag, sizeof(tag), "%s", dlm_store_tag(s));
    CHECK_INT(strlen(tag), 4);
    CHECK_INT(strspn(tag, "0123456789abcdef"), 4);
    CHECK_INT(dlm_store_setting(s, "none", &value), 0);
    CHECK_STR(value, NULL);
    journal_begin(s);
    CHECK_INT(dlm_store_setting_set(s, "a", "1"), 0);
    CHECK_INT(dlm_store_setting_set(s, "a", "2"), 0);
    journal_commit(s);
    journal_close(s);
    s = journal_open(DLM_STORE_READ);
    CHECK_STR(dlm_store_tag(s), tag);
    CHECK_INT(dlm_store_setting(s, "a", &value), 0);
    CHECK_STR(value, "2");
    free(value);
    CHECK_INT(dlm_store_begin(s), DLMGR_EINVAL);
    journal_close(s);
}

/* A request that is undone leaves nothing, in any table or count, and the next one is not disturbed. */
static void test_store_savepoints(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL), other = journal_row("http://new.example:80/x");
    int64_t kept, undone;

    other.session = (char[]){"new"};
    journal_begin(s);
    kept = journal_add_row(s, &row);
    CHECK_INT(dlm_store_savepoint(s), 0);
    undone = journal_add_row(s, &other);
    CHECK_INT(journal_try(s, undone, DLMGR_CANCELLED), 0);
    CHECK_INT(journal_try(s, kept, DLMGR_CANCELLED), 0);
    dlm_store_release(s, false);
    CHECK_INT(dlm_store_savepoint(s), 0);
    CHECK_INT(journal_try(s, kept, DLMGR_PAUSED), 0);
    dlm_store_release(s, true);
    other.session = row.session;
    journal_add_row(s, &other);
    journal_commit(s);
    CHECK_INT(journal_state(s, kept), DLMGR_PAUSED);
    CHECK_INT(journal_events(s, "default", NULL), 0);
    journal_sound(s);
    journal_close(s);
}

/* A file that was damaged may hold any number; none of them is an index, or is counted on, before it was looked at. */
static void test_store_numbers_that_cannot_be(void)
{
    static const struct {
        const char *sql;
        int get, move, queued;
    } rows[] = {
        {"UPDATE tasks SET state = 9", DLMGR_EJOURNAL, DLMGR_EJOURNAL, 1},
        {"UPDATE tasks SET state = -1", DLMGR_EJOURNAL, DLMGR_EJOURNAL, 1},
        {"UPDATE tasks SET state = 1 << 30", DLMGR_EJOURNAL, DLMGR_EJOURNAL, 1},
        {"UPDATE tasks SET generation = 9223372036854775807", 0, DLMGR_EJOURNAL, 1},
        {"UPDATE tasks SET generation = 0", 0, DLMGR_EJOURNAL, 1},
        {"UPDATE sessions SET last_seq = 9223372036854775807", 0, DLMGR_EJOURNAL, 1},
        {"UPDATE tally SET state = -7", 0, 0, 0},
        {"UPDATE tally SET n = n", 0, 0, 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *sql = method_text("PRAGMA ignore_check_constraints = ON; %s",
                                             rows[i].sql);
        struct dlm_store *s = journal_open(DLM_STORE_WRITE);
        struct dlm_row row = {0};
        dlmgr_error e = {0};

        journal_add(s, "http://h/f");
        journal_close(s);
        journal_sql("journal.db", sql);
        s = journal_open(DLM_STORE_WRITE);
        test_about("%s", rows[i].sql);
        CHECK_INT(dlm_store_get(s, 1, &row), rows[i].get);
        dlm_row_clear(&row);
        journal_begin(s);
        CHECK_INT(journal_try(s, 1, DLMGR_CANCELLED), rows[i].move);
        dlm_store_error(s, DLMGR_EJOURNAL, &e);
        CU_ASSERT(!rows[i].move || strstr(e.text, "1 holds a number that cannot be") != NULL);
        dlm_store_rollback(s);
        CHECK_INT(method_int(s, "session", "{'session':'default'}", "tasks.queued"), rows[i].queued);
        journal_close(s);
        journal_discard();
    }
}

/* Secrets are lost with their file: the tasks that name them must not get those of tasks that come later. */
static void test_store_lost_secrets(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL), got = {0};
    const char *urls[] = {URL};
    char path[600], *secret = NULL;
    int64_t old, later;

    journal_begin(s);
    CHECK_INT(dlm_store_add(s, &row, urls, 1, "{\"password\":\"old\"}", NULL, &old), 0);
    journal_commit(s);
    journal_close(s);
    snprintf(path, sizeof(path), "%s/secrets.db", journal_home());
    CU_ASSERT_FATAL(unlink(path) == 0);
    s = journal_open(DLM_STORE_WRITE);
    for (int i = 0; i < 3; i++) {
        journal_begin(s);
        CHECK_INT(dlm_store_add(s, &row, urls, 1, "{\"password\":\"later\"}", NULL, &later), 0);
        if (i == 1)
            dlm_store_rollback(s);
        else
            journal_commit(s);
    }
    CU_ASSERT_FATAL(dlm_store_get(s, old, &got) == 0);
    CHECK_INT(dlm_store_secret(s, got.secret, &secret), DLMGR_ENOTFOUND);
    dlm_row_clear(&got);
    CU_ASSERT_FATAL(dlm_store_get(s, later, &got) == 0);
    CHECK_INT(dlm_store_secret(s, got.secret, &secret), 0);
    CHECK_STR(secret, "{\"password\":\"later\"}");
    free(secret);
    dlm_row_clear(&got);
    journal_close(s);
}

static const struct test tests[] = {
    TEST(test_store_add_get),
    TEST(test_store_numbers_that_cannot_be),
    TEST(test_store_lost_secrets),
    TEST(test_store_ids_never_reused),
    TEST(test_store_key_twice),
    TEST(test_store_add_refuses),
    TEST(test_store_every_move),
    TEST(test_store_move_fields),
    TEST(test_store_move_incomplete),
    TEST(test_store_one_name_one_task),
    TEST(test_store_tally),
    TEST(test_store_list),
    TEST(test_store_list_stops),
    TEST(test_store_find_same),
    TEST(test_store_edit),
    TEST(test_store_secrets),
    TEST(test_store_secrets_leave),
    TEST(test_store_settings),
    TEST(test_store_savepoints),
};

TEST_MAIN("store", tests)
