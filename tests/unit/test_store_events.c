/* SPDX-License-Identifier: MIT */
/*
 * test_store_events.c - what is told: numbers without gaps, one end a generation, bodies, acknowledging, pruning.
 *
 * Bodies are read with jansson, as the readers of an event do, so that what we write by hand is held against
 * a parser that is not ours.
 */
#include "tests/lib/journal.h"
#include "tests/lib/test.h"

#include <jansson.h>
#include <stdio.h>

#define URL "http://a.example:80/file"

static int wait_for(struct dlm_store *s, int64_t id, const char *reason)
{
    struct dlm_move m = {.id = id,
                         .to = DLMGR_WAITING,
                         .wait_reason = reason,
                         .wake_at = 7,
                         NO_CHANGE};

    return dlm_store_move(s, &m, NULL);
}

/* Only the three ends and waiting are told; a retry lets the next end be told, in the next generation. */
static void test_events_of_moves(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL);
    char type[16];

    journal_drive(s, id, DLMGR_VERIFYING);
    CHECK_INT(journal_events(s, "default", type), 0);
    journal_begin(s);
    CHECK_INT(journal_try(s, id, DLMGR_FAILED), 0);
    CHECK_INT(journal_events(s, "default", type), 1);
    CHECK_STR(type, "failed");
    CHECK_INT(journal_try(s, id, DLMGR_QUEUED), 0);
    CHECK_INT(journal_events(s, "default", type), 1);
    CHECK_INT(journal_try(s, id, DLMGR_CANCELLED), 0);
    CHECK_STR((journal_events(s, "default", type), type), "cancelled");
    CHECK_INT(journal_try(s, id, DLMGR_QUEUED), 0);
    journal_commit(s);
    journal_drive(s, id, DLMGR_DONE);
    CHECK_INT(journal_events(s, "default", type), 3);
    CHECK_STR(type, "done");
    journal_sound(s);
    journal_close(s);
}

/* `waiting` is told when its reason changes, not for each backoff in between. */
static void test_events_waiting_once_a_reason(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL);

    journal_begin(s);
    CHECK_INT(wait_for(s, id, "backoff"), 0);
    CHECK_INT(wait_for(s, id, "backoff"), 0);
    CHECK_INT(journal_try(s, id, DLMGR_QUEUED), 0);
    CHECK_INT(journal_try(s, id, DLMGR_RUNNING), 0);
    CHECK_INT(wait_for(s, id, "backoff"), 0);
    CHECK_INT(journal_events(s, "default", NULL), 1);
    CHECK_INT(wait_for(s, id, "storage"), 0);
    CHECK_INT(wait_for(s, id, "backoff"), 0);
    CHECK_INT(journal_events(s, "default", NULL), 3);
    CHECK_INT(journal_try(s, id, DLMGR_CANCELLED), 0);
    CHECK_INT(journal_try(s, id, DLMGR_QUEUED), 0);
    CHECK_INT(wait_for(s, id, "backoff"), 0); /* another generation */
    CHECK_INT(journal_events(s, "default", NULL), 5);
    journal_commit(s);
    journal_sound(s);
    journal_close(s);
}

/* A reason that the task was added with is known to who added it. */
static void test_events_added_waiting(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL);
    int64_t id;

    row.state = DLMGR_WAITING;
    row.wait_reason = (char[]){"not-before"};
    row.wake_at = 9000;
    journal_begin(s);
    id = journal_add_row(s, &row);
    CHECK_INT(wait_for(s, id, "not-before"), 0);
    CHECK_INT(journal_events(s, "default", NULL), 0);
    journal_commit(s);
    journal_sound(s);
    journal_close(s);
}

/* Numbers run without a gap in each session, whatever is rolled back in between. */
static void test_events_no_gaps(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL);
    int64_t last, acked;

    for (int i = 0; i < 40; i++) {
        int64_t id;

        row.session = i % 3 ? (char[]){"org"} : (char[]){"default"};
        journal_begin(s);
        id = journal_add_row(s, &row);
        CHECK_INT(dlm_store_savepoint(s), 0);
        CHECK_INT(journal_try(s, id, DLMGR_CANCELLED), 0);
        dlm_store_release(s, i % 5 != 0);
        if (i % 4 == 0)
            dlm_store_rollback(s);
        else
            journal_commit(s);
    }
    CHECK_INT(journal_events(s, "default", NULL), 8);
    CHECK_INT(journal_events(s, "org", NULL), 16);
    CHECK_INT(dlm_store_session(s, "org", &last, &acked), 0);
    CHECK_INT(last, 16);
    CHECK_INT(acked, 0);
    CHECK_INT(dlm_store_session(s, "nobody", &last, &acked), DLMGR_ENOTFOUND);
    journal_sound(s);
    journal_close(s);
}

/* More sessions than are kept in mind at once. */
static void test_events_many_sessions(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL);
    char name[32];

    row.session = name;
    journal_begin(s);
    for (int i = 0; i < 120; i++) {
        snprintf(name, sizeof(name), "s%d", i % 40);
        CHECK_INT(journal_try(s, journal_add_row(s, &row), DLMGR_CANCELLED), 0);
    }
    journal_commit(s);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        CHECK_INT(journal_events(s, name, NULL), 3);
    }
    journal_sound(s);
    journal_close(s);
}

/* The journal itself refuses a second end of one generation. */
static void test_events_one_end_a_generation(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL);

    journal_drive(s, id, DLMGR_CANCELLED);
    journal_close(s);
    journal_sql("journal.db", "UPDATE tasks SET state = 1"); /* as if it had never ended */
    s = journal_open(DLM_STORE_WRITE);
    journal_begin(s);
    CHECK_INT(journal_try(s, id, DLMGR_FAILED), DLMGR_EEXIST);
    dlm_store_rollback(s);
    CHECK_INT(journal_state(s, id), DLMGR_RUNNING);
    journal_close(s);
}

static json_t *last_body(struct dlm_store *s)
{
    CLEANUP_FREE char *text = journal_last_body(s, "default");
    json_error_t error;
    json_t *body = json_loads(text ? text : "", JSON_REJECT_DUPLICATES, &error);

    CU_ASSERT_FATAL(json_is_object(body));
    return body;
}

static const char *string_of(const json_t *body, const char *name)
{
    CU_ASSERT(json_object_get(body, name) != NULL);
    return json_string_value(json_object_get(body, name));
}

/* An event says all that it carries and outlives its task. */
static void test_events_body(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL);
    struct dlm_move m = {.to = DLMGR_VERIFYING, .bytes = 10, .total = 10, .attempts = 1};
    json_t *body;

    row.key = (char[]){"k\"\\\n\x7f"};
    row.user_data = (char[]){"f\xc3\xbcr \xf0\x9f\x98\x80"};
    row.user_data_len = 9;
    journal_begin(s);
    m.id = journal_add_row(s, &row);
    CHECK_INT(journal_try(s, m.id, DLMGR_RUNNING), 0);
    CHECK_INT(dlm_store_move(s, &m, NULL), 0);
    CHECK_INT(journal_try(s, m.id, DLMGR_COMMITTING), 0);
    CHECK_INT(journal_try(s, m.id, DLMGR_DONE), 0);
    CHECK_INT(dlm_store_remove(s, m.id), 0);
    journal_commit(s);
    body = last_body(s);
    CHECK_STR(string_of(body, "key"), row.key);
    CHECK_STR(string_of(body, "url"), URL);
    CHECK_STR(string_of(body, "path"), "/downloads/file-1");
    CHECK_STR(string_of(body, "user_data"), row.user_data);
    CHECK_INT(json_integer_value(json_object_get(body, "bytes_total")), 10);
    CHECK_INT(json_integer_value(json_object_get(body, "bytes_done")), 10);
    CU_ASSERT(json_is_null(json_object_get(body, "error")));
    CU_ASSERT(json_is_null(json_object_get(body, "wait")));
    CU_ASSERT(json_is_null(json_object_get(body, "reason")));
    json_decref(body);
    journal_sound(s);
    journal_close(s);
}

/* Error and wait stand in the body as objects; what is unknown is null. */
static void test_events_body_of_trouble(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL);
    json_t *body;

    journal_drive(s, id, DLMGR_WAITING);
    body = last_body(s);
    CHECK_STR(string_of(json_object_get(body, "wait"), "reason"), "backoff");
    CHECK_STR(string_of(json_object_get(body, "wait"), "until"), "1970-01-01T00:00:05.000Z");
    CU_ASSERT(json_is_null(json_object_get(body, "bytes_total")));
    CU_ASSERT(json_is_null(json_object_get(body, "key")));
    CU_ASSERT(json_is_null(json_object_get(body, "user_data")));
    json_decref(body);
    journal_begin(s);
    CHECK_INT(journal_try(s, id, DLMGR_QUEUED), 0);
    CHECK_INT(journal_try(s, id, DLMGR_RUNNING), 0);
    CHECK_INT(journal_try(s, id, DLMGR_FAILED), 0);
    journal_commit(s);
    body = last_body(s);
    CHECK_INT(json_integer_value(json_object_get(json_object_get(body, "error"), "code")), 1);
    CU_ASSERT(json_is_null(json_object_get(body, "path")));
    json_decref(body);
    journal_close(s);
}

/* Bytes that are no UTF-8 text become base64; each kind of bad sequence is noticed. */
static void test_events_bytes_that_are_no_text(void)
{
    static const struct {
        const char *data;
        size_t len;
        const char *base64; /* NULL: text */
    } rows[] = {
        {"", 0, NULL},
        {"a\0b", 3, "YQBi"},
        {"\xff", 1, "/w=="},
        {"ab\x80", 3, "YWKA"},
        {"\xc0\xaf", 2, "wK8="},             /* overlong */
        {"\xe0\x80\x80", 3, "4ICA"},         /* overlong */
        {"\xed\xa0\x80", 3, "7aCA"},         /* surrogate */
        {"\xf0\x80\x80\x80", 4, "8ICAgA=="}, /* overlong */
        {"\xf4\x90\x80\x80", 4, "9JCAgA=="}, /* too high */
        {"\xf5\x80\x80\x80", 4, "9YCAgA=="},
        {"\xe2\x82", 2, "4oI="}, /* cut */
        {"\xc3x", 2, "w3g="},
        {"\xf4\x8f\xbf\xbf", 4, NULL},
        {"\xed\x9f\xbf\xee\x80\x80", 6, NULL},
        {"\x01", 1, NULL},
    };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_row row = journal_row(URL);
        json_t *body, *data;
        char bytes[16];

        memcpy(bytes, rows[i].data, rows[i].len);
        row.user_data = bytes;
        row.user_data_len = rows[i].len;
        journal_begin(s);
        CHECK_INT(journal_try(s, journal_add_row(s, &row), DLMGR_CANCELLED), 0);
        journal_commit(s);
        test_about("row %zu", i);
        body = last_body(s);
        data = json_object_get(body, "user_data");
        if (rows[i].base64)
            CHECK_STR(string_of(data, "base64"), rows[i].base64);
        else if (json_string_length(data) == rows[i].len)
            CHECK_MEM(json_string_value(data), rows[i].data, rows[i].len);
        else
            CU_FAIL("not the same text");
        json_decref(body);
    }
    journal_close(s);
}

static int count_shown(const struct dlm_event_row *ev, void *context)
{
    int *n = context;

    n[0]++;
    n[1] += ev->acked;
    return 0;
}

static void check_shown(struct dlm_store *s, const char *session, int64_t after, int shown,
                        int acked)
{
    int n[2] = {0};

    CHECK_INT(dlm_store_events(s, session, after, 100, count_shown, n), 0);
    CHECK_INT(n[0], shown);
    CHECK_INT(n[1], acked);
}

static void ack(struct dlm_store *s, const char *session, int64_t seq, int expected)
{
    journal_begin(s);
    CHECK_INT(dlm_store_ack_to(s, session, seq), expected);
    journal_commit(s);
}

/* The past is acknowledged without effect, the future is an error; a named session's events go, default's stay. */
static void test_events_ack(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL);

    journal_begin(s);
    for (int i = 0; i < 10; i++) {
        row.session = i % 2 ? (char[]){"org"} : (char[]){"default"};
        CHECK_INT(journal_try(s, journal_add_row(s, &row), DLMGR_CANCELLED), 0);
    }
    journal_commit(s);
    ack(s, "org", 6, DLMGR_EINVAL);
    ack(s, "org", -1, DLMGR_EINVAL);
    ack(s, "nobody", 1, DLMGR_ENOTFOUND);
    ack(s, "org", 3, 0);
    ack(s, "org", 2, 0);
    check_shown(s, "org", 0, 2, 0);
    check_shown(s, "org", -1, 2, 0);
    ack(s, "default", 3, 0);
    check_shown(s, "default", 0, 5, 3);
    check_shown(s, "default", -1, 2, 0);
    ack(s, "org", 5, 0);
    check_shown(s, "org", 0, 0, 0);
    journal_begin(s);
    row.session = (char[]){"org"};
    CHECK_INT(journal_try(s, journal_add_row(s, &row), DLMGR_CANCELLED), 0);
    journal_commit(s);
    check_shown(s, "org", 0, 1, 0); /* number 6: numbers go on where all are gone */
    journal_sound(s);
    journal_close(s);
}

/* "Is there news": only what has committed counts, and once. */
static void test_events_news(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, URL);

    CHECK_INT(dlm_store_news(s), 0);
    journal_begin(s);
    CHECK_INT(journal_try(s, id, DLMGR_CANCELLED), 0);
    CHECK_INT(dlm_store_news(s), 0);
    dlm_store_rollback(s);
    CHECK_INT(dlm_store_news(s), 0);
    journal_drive(s, id, DLMGR_CANCELLED);
    CHECK_INT(dlm_store_news(s), 1);
    CHECK_INT(dlm_store_news(s), 0);
    journal_close(s);
}

static bool prune(struct dlm_store *s, int64_t events, int64_t done, int64_t keep, int limit)
{
    bool more = false;

    journal_begin(s);
    CHECK_INT(dlm_store_prune(s, events, done, keep, limit, &more), 0);
    journal_commit(s);
    return more;
}

static void make_done(struct dlm_store *s, int n)
{
    for (int i = 1; i <= n; i++) {
        dlm_clock_set(1000 * i, 0);
        journal_drive(s, journal_add(s, URL), DLMGR_DONE);
    }
    dlm_clock_set(-1, -1);
}

/* Old events of default, done tasks that are old or too many: each goes by its own rule, a piece at a time. */
static void test_prune(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_tally tally;

    make_done(s, 10);
    journal_drive(s, journal_add(s, URL), DLMGR_FAILED);
    CU_ASSERT(!prune(s, 0, 0, -1, 100));
    CHECK_INT(journal_events(s, "default", NULL), 11);
    CU_ASSERT(!prune(s, 4000, 0, -1, 100));
    CHECK_INT(journal_events(s, "default", NULL), 8);
    CU_ASSERT(!prune(s, 0, 3000, -1, 100));
    CHECK_INT(journal_state(s, 2), DLMGR_ENOTFOUND);
    CHECK_INT(journal_state(s, 3), DLMGR_DONE);
    CU_ASSERT(!prune(s, 0, 0, 6, 100));
    CHECK_INT(journal_state(s, 4), DLMGR_ENOTFOUND);
    CHECK_INT(journal_state(s, 5), DLMGR_DONE);
    CU_ASSERT(prune(s, 7000, 8000, 0, 4));
    CHECK_INT(journal_events(s, "default", NULL), 5);
    CHECK_INT(dlm_store_tally(s, &tally), 0);
    CHECK_INT(tally.by_state[DLMGR_DONE], 5);
    CU_ASSERT(!prune(s, 0, 0, 0, 100));
    CHECK_INT(dlm_store_tally(s, &tally), 0);
    CHECK_INT(tally.by_state[DLMGR_DONE], 0);
    CHECK_INT(journal_state(s, 11), DLMGR_FAILED); /* never pruned: somebody should see it */
    CHECK_INT(journal_events(s, "default", NULL), 5);
    journal_sound(s);
    journal_close(s);
}

/* What an acknowledgement left over of a large backlog goes with pruning, and is not shown before. */
static void test_prune_acknowledged(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL);

    row.session = (char[]){"org"};
    journal_begin(s);
    for (int i = 0; i < 2500; i++)
        CHECK_INT(journal_try(s, journal_add_row(s, &row), DLMGR_CANCELLED), 0);
    journal_commit(s);
    ack(s, "org", 2400, 0);
    check_shown(s, "org", 0, 100, 0);
    CU_ASSERT(prune(s, 0, 0, -1, 1000));
    CU_ASSERT(!prune(s, 0, 0, -1, 1000));
    CHECK_INT(journal_events(s, "org", NULL), 100);
    journal_sound(s);
    journal_close(s);
    journal_sql("journal.db",
                "SELECT abs(iif(count(*) = 100, 0, -9223372036854775808)) FROM events");
}

static const struct test tests[] = {
    TEST(test_events_of_moves),
    TEST(test_events_waiting_once_a_reason),
    TEST(test_events_added_waiting),
    TEST(test_events_no_gaps),
    TEST(test_events_many_sessions),
    TEST(test_events_one_end_a_generation),
    TEST(test_events_body),
    TEST(test_events_body_of_trouble),
    TEST(test_events_bytes_that_are_no_text),
    TEST(test_events_ack),
    TEST(test_events_news),
    TEST(test_prune),
    TEST(test_prune_acknowledged),
};

TEST_MAIN("store_events", tests)
