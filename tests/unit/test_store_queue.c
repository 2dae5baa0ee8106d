/* SPDX-License-Identifier: MIT */
/*
 * test_store_queue.c - which tasks are taken, in which order, and which waiting ones wake.
 *
 * The orders are written out by hand for small queues; a longer one is compared with the plain rule (sort
 * all by priority, then id; step over full hosts), computed here without SQL.
 */
#include "tests/lib/journal.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>

#define A "http://a.example:80"
#define B "http://b.example:80"
#define C "http://c.example:80"

static int64_t add(struct dlm_store *s, const char *origin, int priority)
{
    struct dlm_row row;
    char url[128];

    snprintf(url, sizeof(url), "%s/f", origin);
    row = journal_row(url);
    row.priority = priority;
    return journal_add_row(s, &row);
}

/* Take in a transaction of its own; the ids as text. */
static char *take(struct dlm_store *s, const struct dlm_busy *busy, size_t n_busy, int per_host,
                  size_t max)
{
    struct dlm_row rows[64];
    struct dlm_buf b = {0};

    journal_begin(s);
    CHECK_INT(dlm_store_take(s, busy, n_busy, per_host, rows, &max), 0);
    journal_commit(s);
    for (size_t i = 0; i < max; i++) {
        dlm_buf_printf(&b, "%lld ", (long long)rows[i].id);
        CHECK_INT(rows[i].state, DLMGR_RUNNING);
        dlm_row_clear(&rows[i]);
    }
    return dlm_buf_take(&b);
}

#define CHECK_TAKE(expected, ...)                                                                  \
    do {                                                                                           \
        CLEANUP_FREE char *ids_ = take(__VA_ARGS__);                                               \
        CHECK_STR(ids_, expected);                                                                 \
    } while (0)

/* Priority first, then arrival, over all hosts. */
static void test_take_priority_then_arrival(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    journal_begin(s);
    add(s, A, 0);  /* 1 */
    add(s, B, 5);  /* 2 */
    add(s, A, 5);  /* 3 */
    add(s, C, -1); /* 4 */
    add(s, B, 0);  /* 5 */
    journal_commit(s);
    CHECK_TAKE("2 3 1 ", s, NULL, 0, 6, 3);
    CHECK_TAKE("5 4 ", s, NULL, 0, 6, 3);
    CHECK_TAKE("", s, NULL, 0, 6, 3);
    CHECK_TAKE("", s, NULL, 0, 6, 0);
    journal_sound(s);
    journal_close(s);
}

/* A host gives no more than it has room for; a better task of a full host is stepped over. */
static void test_take_room(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    const struct dlm_busy busy[] = {{C, 1}, {A, 0}};

    journal_begin(s);
    for (int i = 0; i < 4; i++)
        add(s, A, 9); /* 1..4 */
    for (int i = 0; i < 4; i++)
        add(s, B, 0); /* 5..8 */
    for (int i = 0; i < 4; i++)
        add(s, C, 1); /* 9..12 */
    journal_commit(s);
    CHECK_TAKE("9 5 6 ", s, busy, 2, 2, 64);
    CHECK_TAKE("1 2 10 11 7 8 ", s, NULL, 0, 2, 64);
    CHECK_TAKE("", s, NULL, 0, 0, 64);
    CHECK_TAKE("3 4 12 ", s, NULL, 0, 2, 64);
    journal_sound(s);
    journal_close(s);
}

/* What leaves the queue in any way, or changes in it, changes the head of its host. */
static void test_take_after_changes(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_edit up = {.has_priority = true, .priority = 3}, away = {.url = B "/f", .origin = B};
    int64_t id[6];

    journal_begin(s);
    for (int i = 0; i < 6; i++)
        id[i] = add(s, A, 0);
    CHECK_INT(journal_try(s, id[0], DLMGR_PAUSED), 0);
    CHECK_INT(dlm_store_remove(s, id[1]), 0);
    CHECK_INT(dlm_store_edit(s, id[4], &up), 0);
    CHECK_INT(dlm_store_edit(s, id[5], &away), 0);
    journal_commit(s);
    CHECK_TAKE("5 3 ", s, NULL, 0, 64, 2);
    CHECK_TAKE("4 6 ", s, NULL, 0, 1, 64);
    journal_begin(s);
    CHECK_INT(journal_try(s, id[0], DLMGR_QUEUED), 0);
    CHECK_INT(journal_try(s, id[4], DLMGR_QUEUED), 0);
    journal_commit(s);
    CHECK_TAKE("5 1 ", s, NULL, 0, 64, 64);
    journal_sound(s);
    journal_close(s);
}

/* Tasks that were added and taken in one transaction: the head that was not yet written counts. */
static void test_take_in_the_same_transaction(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row rows[4];
    size_t n = 4;

    journal_begin(s);
    add(s, A, 0);
    add(s, A, 1);
    CHECK_INT(dlm_store_take(s, NULL, 0, 6, rows, &n), 0);
    CHECK_INT(n, 2);
    for (size_t i = 0; i < n; i++) {
        CHECK_INT(rows[i].id, 2 - (int64_t)i);
        dlm_row_clear(&rows[i]);
    }
    n = 4;
    CHECK_INT(dlm_store_take(s, NULL, 0, 6, rows, &n), 0);
    CHECK_INT(n, 0);
    dlm_store_rollback(s);
    journal_sound(s);
    journal_close(s);
}

#define HOSTS 13
#define TASKS 400

struct plain {
    int64_t id;
    int host, priority;
    bool gone;
};

static int by_rule(const void *a, const void *b)
{
    const struct plain *x = a, *y = b;

    return x->priority != y->priority ? y->priority - x->priority
                                      : (x->id > y->id) - (x->id < y->id);
}

static char *plain_take(struct plain *tasks, const int *room, size_t max)
{
    int used[HOSTS] = {0};
    struct dlm_buf b = {0};

    for (int i = 0; i < TASKS && max > 0; i++) {
        struct plain *t = &tasks[i];

        if (t->gone || used[t->host] >= room[t->host])
            continue;
        used[t->host]++;
        t->gone = true;
        max--;
        dlm_buf_printf(&b, "%lld ", (long long)t->id);
    }
    return dlm_buf_take(&b);
}

/* Many takes with changing room agree with the plain rule to the last task. */
static void test_take_agrees_with_the_plain_rule(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct plain tasks[TASKS] = {0};
    char origins[HOSTS][32];
    unsigned seed = 1;

    for (int h = 0; h < HOSTS; h++)
        snprintf(origins[h], sizeof(origins[h]), "http://h%d.example:80", h);
    journal_begin(s);
    for (int i = 0; i < TASKS; i++) {
        tasks[i].host = rand_r(&seed) % HOSTS;
        tasks[i].priority = rand_r(&seed) % 4;
        tasks[i].id = add(s, origins[tasks[i].host], tasks[i].priority);
    }
    journal_commit(s);
    qsort(tasks, TASKS, sizeof(tasks[0]), by_rule);
    for (int turn = 0; turn < 60; turn++) {
        int room[HOSTS], per_host = rand_r(&seed) % 4;
        struct dlm_busy busy[HOSTS];
        size_t n_busy = 0, max = (size_t)rand_r(&seed) % 20;
        CLEANUP_FREE char *expected = NULL;

        for (int h = 0; h < HOSTS; h++) {
            room[h] = per_host;
            if (rand_r(&seed) % 3 == 0)
                busy[n_busy++] = (struct dlm_busy){origins[h], room[h] = rand_r(&seed) % 3};
        }
        test_about("turn %d", turn);
        expected = plain_take(tasks, room, max);
        CHECK_TAKE(expected, s, busy, n_busy, per_host, max);
    }
    journal_sound(s);
    journal_close(s);
}

static int wait_until(struct dlm_store *s, int64_t id, const char *reason, int64_t wake_at)
{
    struct dlm_move m = {.id = id,
                         .to = DLMGR_WAITING,
                         .wait_reason = reason,
                         .wake_at = wake_at,
                         NO_CHANGE};

    return dlm_store_move(s, &m, NULL);
}

/* Those whose time has come wake; the next time is told; a wait without a time wakes by its reason. */
static void test_wake(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id[5], next = -1;

    journal_begin(s);
    for (int i = 0; i < 5; i++)
        id[i] = add(s, A, 0);
    CHECK_INT(dlm_store_wake(s, 1000, &next), 0);
    CHECK_INT(next, 0);
    CHECK_INT(wait_until(s, id[0], "backoff", 1000), 0);
    CHECK_INT(wait_until(s, id[1], "not-before", 3000), 0);
    CHECK_INT(wait_until(s, id[2], "backoff", 2000), 0);
    CHECK_INT(wait_until(s, id[3], "storage", 0), 0);
    CHECK_INT(wait_until(s, id[4], "network", 0), 0);
    CHECK_INT(dlm_store_wake(s, 999, &next), 0);
    CHECK_INT(next, 1000);
    CHECK_INT(dlm_store_wake(s, 2000, &next), 0);
    CHECK_INT(next, 3000);
    CHECK_INT(journal_state(s, id[0]), DLMGR_QUEUED);
    CHECK_INT(journal_state(s, id[1]), DLMGR_WAITING);
    CHECK_INT(journal_state(s, id[2]), DLMGR_QUEUED);
    CHECK_INT(journal_state(s, id[3]), DLMGR_WAITING);
    CHECK_INT(dlm_store_wake_reason(s, "storage"), 0);
    CHECK_INT(journal_state(s, id[3]), DLMGR_QUEUED);
    CHECK_INT(journal_state(s, id[4]), DLMGR_WAITING);
    CHECK_INT(dlm_store_wake_reason(s, "network"), 0);
    CHECK_INT(journal_state(s, id[4]), DLMGR_QUEUED);
    journal_commit(s);
    CHECK_TAKE("1 3 4 5 ", s, NULL, 0, 6, 64);
    journal_sound(s);
    journal_close(s);
}

/* A clock that was set back: who waits for a next try waits no longer than a pause can last; who asked for a time waits for it. */
static void test_wake_late(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id[3], next = -1;

    journal_begin(s);
    for (int i = 0; i < 3; i++)
        id[i] = add(s, A, 0);
    CHECK_INT(wait_until(s, id[0], "backoff", 5000), 0);
    CHECK_INT(wait_until(s, id[1], "backoff", 900000), 0);
    CHECK_INT(wait_until(s, id[2], "not-before", 900000), 0);
    CHECK_INT(dlm_store_wake_late(s, 5000), 0);
    CHECK_INT(journal_state(s, id[0]), DLMGR_WAITING);
    CHECK_INT(journal_state(s, id[1]), DLMGR_QUEUED);
    CHECK_INT(journal_state(s, id[2]), DLMGR_WAITING);
    CHECK_INT(dlm_store_wake(s, 1000, &next), 0);
    CHECK_INT(next, 5000);
    journal_commit(s);
    journal_sound(s);
    journal_close(s);
}

/* A thousand a call: the next time then is one that has come, or 1 says that there are more. */
static void test_wake_in_pieces(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_tally tally;
    int64_t next = 0;

    journal_begin(s);
    for (int i = 0; i < 2500; i++)
        CHECK_INT(wait_until(s, add(s, A, 0), i % 2 ? "backoff" : "network", i % 2 ? 500 : 0), 0);
    CHECK_INT(dlm_store_wake(s, 1000, &next), 0);
    CHECK_INT(next, 500);
    CHECK_INT(dlm_store_tally(s, &tally), 0);
    CHECK_INT(tally.by_state[DLMGR_QUEUED], 1000);
    CHECK_INT(dlm_store_wake(s, 1000, &next), 0);
    CHECK_INT(next, 0);
    CHECK_INT(dlm_store_wake_reason(s, "network"), 1);
    CHECK_INT(dlm_store_wake_reason(s, "network"), 0);
    CHECK_INT(dlm_store_tally(s, &tally), 0);
    CHECK_INT(tally.by_state[DLMGR_QUEUED], 2500);
    journal_commit(s);
    journal_sound(s);
    journal_close(s);
}

/* At an owner's open: running and verifying are queued again, committing stays and is found, nothing is told. */
static void test_recover(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = {0};
    int events;

    for (int state = 0; state < DLM_STATES; state++)
        journal_drive(s, journal_add(s, A "/f"), state);
    journal_drive(s, journal_add(s, A "/f"), DLMGR_COMMITTING);
    events = journal_events(s, "default", NULL);
    journal_close(s);
    s = journal_open(DLM_STORE_WRITE);
    for (int twice = 0; twice < 2; twice++) {
        journal_begin(s);
        CHECK_INT(dlm_store_recover(s), 0);
        journal_commit(s);
    }
    for (int state = 0; state < DLM_STATES; state++) {
        bool again = state == DLMGR_RUNNING || state == DLMGR_VERIFYING;

        test_about("%s", dlm_state_name(state));
        CHECK_INT(journal_state(s, state + 1), again ? DLMGR_QUEUED : state);
    }
    CHECK_INT(journal_events(s, "default", NULL), events);
    CHECK_INT(dlm_store_committing(s, 0, &row), 0);
    CHECK_INT(row.id, DLMGR_COMMITTING + 1);
    CHECK_STR(row.path, "/downloads/file-4");
    dlm_row_clear(&row);
    CHECK_INT(dlm_store_committing(s, DLMGR_COMMITTING + 1, &row), 0);
    CHECK_INT(row.id, DLM_STATES + 1);
    dlm_row_clear(&row);
    CHECK_INT(dlm_store_committing(s, DLM_STATES + 1, &row), DLMGR_ENOTFOUND);
    journal_sound(s);
    journal_close(s);
}

/* Do these bytes stand anywhere in the file? */
static bool file_has(const char *name, const char *text)
{
    int fd = openat(journal_homefd(), name, O_RDONLY | O_CLOEXEC);
    char *data = calloc(1, 1 << 20);
    ssize_t n = fd < 0 ? 0 : read(fd, data, 1 << 20);
    bool has = n > 0 && memmem(data, (size_t)n, text, strlen(text));

    CU_ASSERT(n >= 0);
    if (fd >= 0)
        close(fd);
    free(data);
    return has;
}

/* A secret whose task never committed, or is gone, is swept at the next open, from all bytes of the file and its WAL; a live one stays. */
static void test_recover_sweeps_secrets(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(A "/f");
    const char *urls[] = {row.url};
    int64_t id;
    char *json;

    journal_begin(s);
    CU_ASSERT_FATAL(dlm_store_add(s, &row, urls, 1, "live", NULL, &id) == 0);
    journal_commit(s);
    journal_close(s);
    journal_sql("secrets.db", "INSERT INTO secrets(json) VALUES('orphan'), ('orphan')");
    journal_sql("journal.db", "INSERT INTO gone VALUES(2)");
    CU_ASSERT(file_has("secrets.db", "orphan"));
    s = journal_open(DLM_STORE_WRITE);
    journal_begin(s);
    CHECK_INT(dlm_store_recover(s), 0);
    journal_commit(s);
    CHECK_INT(dlm_store_secret(s, 1, &json), 0);
    CHECK_STR(json, "live");
    free(json);
    CHECK_INT(dlm_store_secret(s, 2, &json), DLMGR_ENOTFOUND);
    CHECK_INT(dlm_store_secret(s, 3, &json), DLMGR_ENOTFOUND);
    CU_ASSERT(!file_has("secrets.db", "orphan") && !file_has("secrets.db-wal", "orphan"));
    CU_ASSERT(file_has("secrets.db", "live"));
    journal_sound(s);
    journal_close(s);
}

static const struct test tests[] = {
    TEST(test_take_priority_then_arrival),
    TEST(test_take_room),
    TEST(test_take_after_changes),
    TEST(test_take_in_the_same_transaction),
    TEST(test_take_agrees_with_the_plain_rule),
    TEST(test_wake),
    TEST(test_wake_late),
    TEST(test_wake_in_pieces),
    TEST(test_recover),
    TEST(test_recover_sweeps_secrets),
};

TEST_MAIN("store_queue", tests)
