/* SPDX-License-Identifier: MIT */
/*
 * test_store_sessions.c - whose events these are: acknowledged one by one or up to a number, delivered, held, removed.
 *
 * A picture of a session is its numbers and the numbers of the events that are left: "last/acked: 4 6 7".
 */
#include "tests/lib/journal.h"
#include "tests/lib/sqlfault.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define URL "http://a.example:80/file"
#define ORG "org.example.app"

/* n events of the session, in one transaction. */
static void tell(struct dlm_store *s, const char *session, int n)
{
    struct dlm_row row = journal_row(URL);
    char name[64];

    snprintf(name, sizeof(name), "%s", session);
    row.session = name;
    journal_begin(s);
    for (int i = 0; i < n; i++) {
        int64_t id = journal_add_row(s, &row);

        CU_ASSERT_FATAL(journal_try(s, id, DLMGR_CANCELLED) == 0);
        CU_ASSERT_FATAL(dlm_store_remove(s, id) == 0); /* an event outlives its task */
    }
    journal_commit(s);
}

static int add_number(const struct dlm_event_row *ev, void *context)
{
    dlm_buf_printf(context, " %d", (int)ev->seq);
    return 0;
}

static const char *picture(struct dlm_store *s, const char *session)
{
    static char text[512];
    CLEANUP_BUF struct dlm_buf b = {0};
    int64_t last = -1, acked = -1;

    CHECK_INT(dlm_store_session(s, session, &last, &acked), 0);
    dlm_buf_printf(&b, "%d/%d:", (int)last, (int)acked);
    CHECK_INT(dlm_store_events(s, session, -1, 1000, add_number, &b), 0);
    snprintf(text, sizeof(text), "%s", b.data);
    return text;
}

static int ack(struct dlm_store *s, const char *session, int64_t seq)
{
    int r;

    journal_begin(s);
    r = dlm_store_ack(s, session, seq);
    journal_commit(s);
    return r;
}

static int ack_to(struct dlm_store *s, const char *session, int64_t seq)
{
    int r;

    journal_begin(s);
    r = dlm_store_ack_to(s, session, seq);
    journal_commit(s);
    return r;
}

/* ---- Acknowledging --------------------------------------------------------------------------------------- */

/* Up to where all is acknowledged follows from what is left, in whatever order that goes. */
static void test_sessions_ack_one_by_one(void)
{
    static const struct {
        int seq, code;
        const char *after;
    } rows[] = {
        {5, 0, "7/0: 1 2 3 4 6 7"},
        {1, 0, "7/1: 2 3 4 6 7"},
        {3, 0, "7/1: 2 4 6 7"},
        {2, 0, "7/3: 4 6 7"}, /* 3 had gone before */
        {2, 0, "7/3: 4 6 7"}, /* the past */
        {5, 0, "7/3: 4 6 7"}, /* the past, beyond the mark */
        {0, 0, "7/3: 4 6 7"},
        {8, DLMGR_EINVAL, "7/3: 4 6 7"}, /* the future */
        {-1, DLMGR_EINVAL, "7/3: 4 6 7"},
        {7, 0, "7/3: 4 6"},
        {4, 0, "7/5: 6"},
        {6, 0, "7/7:"},
        {7, 0, "7/7:"},
    };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    tell(s, ORG, 7);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        CHECK_INT(ack(s, ORG, rows[i].seq), rows[i].code);
        CHECK_STR(picture(s, ORG), rows[i].after);
        journal_sound(s);
    }
    tell(s, ORG, 1); /* numbers go on after all had gone */
    CHECK_STR(picture(s, ORG), "8/7: 8");
    CHECK_INT(ack(s, "org.example.other", 1), DLMGR_ENOTFOUND);
    CHECK_INT(ack(s, "default", 0), DLMGR_EINVAL); /* its events need none */
    journal_sound(s);
    journal_close(s);
}

/* Up to a number, over gaps that were acknowledged by themselves: the mark goes on to where something is left. */
static void test_sessions_ack_to_over_gaps(void)
{
    static const struct {
        int one[3], to;
        const char *after;
    } rows[] = {
        {{5, 6, 0}, 4, "9/6: 7 8 9"},
        {{3, 4, 0}, 4, "9/4: 5 6 7 8 9"},
        {{2, 9, 0}, 8, "9/9:"},
        {{2, 9, 0}, 1, "9/2: 3 4 5 6 7 8"},
        {{1, 2, 3}, 2, "9/3: 4 5 6 7 8 9"},
        {{0}, 9, "9/9:"},
        {{0}, 0, "9/0: 1 2 3 4 5 6 7 8 9"},
    };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    char name[32];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        snprintf(name, sizeof(name), "org.example.s%zu", i);
        tell(s, name, 9);
        for (int k = 0; k < 3 && rows[i].one[k]; k++)
            CHECK_INT(ack(s, name, rows[i].one[k]), 0);
        CHECK_INT(ack_to(s, name, rows[i].to), 0);
        CHECK_STR(picture(s, name), rows[i].after);
        CHECK_INT(ack_to(s, name, 10), DLMGR_EINVAL);
        CHECK_STR(picture(s, name), rows[i].after);
    }
    journal_sound(s);
    journal_close(s);
}

/* Acknowledged rows go in pieces; those that are still there are gone for all who read. */
static void test_sessions_ack_many(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    bool more = true;

    tell(s, ORG, 2500);
    CHECK_INT(ack(s, ORG, 2000), 0);
    CHECK_INT(ack_to(s, ORG, 2499), 0);
    CHECK_STR(picture(s, ORG), "2500/2499: 2500");
    CHECK_INT(ack(s, ORG, 1500), 0); /* its row may be there */
    CHECK_STR(picture(s, ORG), "2500/2499: 2500");
    while (more) {
        journal_begin(s);
        CHECK_INT(dlm_store_prune(s, 0, 0, -1, 700, &more), 0);
        journal_commit(s);
    }
    CHECK_STR(picture(s, ORG), "2500/2499: 2500");
    journal_sound(s);
    journal_close(s);
}

/* ---- Delivering -------------------------------------------------------------------------------------------- */

struct told {
    struct dlm_buf b;
    int stop_after;
};

static int add_told(const struct dlm_event_row *ev, void *context)
{
    struct told *told = context;

    dlm_buf_printf(&told->b, " %d*%d%s", (int)ev->seq, (int)ev->deliveries, ev->replay ? "r" : "");
    return told->stop_after && --told->stop_after == 0 ? DLMGR_ECLOSED : 0;
}

static const char *deliver(struct dlm_store *s, int64_t after, int64_t to, int limit, int stop_after)
{
    static char text[512];
    struct told told = {.stop_after = stop_after};

    journal_begin(s);
    CHECK_INT(dlm_store_deliver(s, ORG, after, to, limit, add_told, &told),
              stop_after ? DLMGR_ECLOSED : 0);
    journal_commit(s);
    snprintf(text, sizeof(text), "%s", told.b.data ? told.b.data : "");
    dlm_buf_free(&told.b);
    return text;
}

/* Each delivery counts, and the second one is a replay; `to` and the limit bound what counts. */
static void test_sessions_deliveries(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct told told = {0};

    tell(s, ORG, 5);
    CHECK_STR(deliver(s, 0, INT64_MAX, 2, 0), " 1*1 2*1");
    CHECK_STR(deliver(s, 2, INT64_MAX, 2, 0), " 3*1 4*1");
    CHECK_STR(deliver(s, 4, 4, 9, 0), "");
    CHECK_STR(deliver(s, 1, 3, 9, 0), " 2*2r 3*2r");
    CHECK_STR(deliver(s, 0, INT64_MAX, 9, 0), " 1*2r 2*3r 3*3r 4*2r 5*1");
    CHECK_INT(ack(s, ORG, 3), 0);
    CHECK_STR(deliver(s, 2, 3, 9, 0), ""); /* acknowledged: never again */
    CHECK_INT(ack_to(s, ORG, 2), 0);
    CHECK_STR(deliver(s, 0, INT64_MAX, 1, 0), " 4*3r"); /* begins after what is acknowledged */
    CHECK_STR(deliver(s, 3, INT64_MAX, 9, 1), " 4*4r"); /* 5 counts although nobody looked at it */
    CHECK_STR(deliver(s, 4, INT64_MAX, 9, 0), " 5*3r");
    CHECK_STR(deliver(s, 5, INT64_MAX, 9, 0), "");
    CHECK_STR(deliver(s, INT64_MAX, INT64_MAX, 9, 0), "");
    CHECK_INT(dlm_store_deliver(s, "org.example.other", 0, 9, 9, add_told, &told), DLMGR_ENOTFOUND);
    CHECK_STR(picture(s, ORG), "5/3: 4 5");
    journal_sound(s);
    journal_close(s);
}

/* What was counted and then undone was not delivered. */
static void test_sessions_delivery_undone(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct told told = {0};

    tell(s, ORG, 1);
    journal_begin(s);
    CHECK_INT(dlm_store_deliver(s, ORG, 0, 9, 9, add_told, &told), 0);
    dlm_store_rollback(s);
    dlm_buf_free(&told.b);
    CHECK_STR(deliver(s, 0, INT64_MAX, 9, 0), " 1*1");
    journal_close(s);
}

/* ---- Holding ------------------------------------------------------------------------------------------------ */

static int64_t hold(struct dlm_store *s, const char *session)
{
    int64_t incarnation = -1;

    journal_begin(s);
    CHECK_INT(dlm_store_session_hold(s, session, &incarnation), 0);
    journal_commit(s);
    return incarnation;
}

static int remove_session(struct dlm_store *s, const char *session)
{
    int r;

    journal_begin(s);
    r = dlm_store_session_remove(s, session);
    if (r < 0)
        dlm_store_rollback(s);
    else
        journal_commit(s);
    return r;
}

/* Each holder has a number of its own, over all owners; looking does not change it. */
static void test_sessions_incarnations(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t now = -1;

    CHECK_INT(dlm_store_session_incarnation(s, ORG, &now), DLMGR_ENOTFOUND);
    CHECK_INT(hold(s, ORG), 1); /* which makes the session */
    CHECK_INT(hold(s, ORG), 2);
    CHECK_INT(hold(s, "org.example.other"), 1);
    journal_begin(s);
    CHECK_INT(dlm_store_session_hold(s, ORG, &now), 0);
    CHECK_INT(now, 3);
    dlm_store_rollback(s);
    CHECK_INT(dlm_store_session_incarnation(s, ORG, &now), 0);
    CHECK_INT(now, 2);
    journal_close(s);
    s = journal_open(DLM_STORE_WRITE);
    tell(s, ORG, 1);
    CHECK_INT(hold(s, ORG), 3);
    CHECK_INT(ack(s, ORG, 1), 0);
    CHECK_INT(dlm_store_session_incarnation(s, ORG, &now), 0);
    CHECK_INT(now, 3);
    journal_sound(s);
    journal_close(s);
}

static int take_row(const struct dlm_session_row *row, void *context)
{
    dlm_buf_printf(context,
                   "%s%s last %d acked %d oldest %d holder %d cancelled %d queued %d command %s",
                   ((struct dlm_buf *)context)->len ? "; " : "", row->name, (int)row->last,
                   (int)row->acked, (int)row->oldest, (int)row->incarnation,
                   (int)row->by_state[DLMGR_CANCELLED], (int)row->by_state[DLMGR_QUEUED],
                   row->on_event ? row->on_event : "-");
    return 0;
}

static const char *row_of(struct dlm_store *s, const char *session, int code)
{
    static char text[512];
    CLEANUP_BUF struct dlm_buf b = {0};

    CHECK_INT(dlm_store_session_row(s, session, take_row, &b), code);
    snprintf(text, sizeof(text), "%s", b.data ? b.data : "");
    return text;
}

static int take_name(const struct dlm_session_row *row, void *context)
{
    dlm_buf_printf(context, " %s", row->name);
    return 0;
}

static const char *names(struct dlm_store *s, const char *after, int limit)
{
    static char text[512];
    CLEANUP_BUF struct dlm_buf b = {0};

    CHECK_INT(dlm_store_sessions(s, after, limit, take_name, &b), 0);
    snprintf(text, sizeof(text), "%s", b.data ? b.data : "");
    return text;
}

/* A row says all that is known of a session, also within the transaction that changes it. */
static void test_sessions_rows(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL);

    row.session = (char[]){ORG};
    CHECK_STR(row_of(s, ORG, DLMGR_ENOTFOUND), "");
    journal_begin(s);
    journal_add_row(s, &row);
    CHECK_INT(journal_try(s, journal_add_row(s, &row), DLMGR_CANCELLED), 0);
    CHECK_STR(row_of(s, ORG, 0),
              ORG " last 1 acked 0 oldest 1 holder 0 cancelled 1 queued 1 command -");
    CHECK_INT(dlm_store_session_set(s, ORG, "start-app"), 0);
    CHECK_INT(dlm_store_session_set(s, "org.example.other", NULL), 0); /* makes it */
    journal_commit(s);
    tell(s, ORG, 2);
    CHECK_INT(ack(s, ORG, 2), 0);
    CHECK_INT(ack(s, ORG, 1), 0);
    CHECK_INT(hold(s, ORG), 1);
    CHECK_STR(row_of(s, ORG, 0),
              ORG " last 3 acked 2 oldest 3 holder 1 cancelled 1 queued 1 command start-app");
    journal_begin(s);
    CHECK_INT(dlm_store_session_set(s, ORG, NULL), 0);
    journal_commit(s);
    CHECK_INT(ack_to(s, ORG, 3), 0);
    CHECK_STR(row_of(s, ORG, 0),
              ORG " last 3 acked 3 oldest 0 holder 1 cancelled 1 queued 1 command -");
    CHECK_STR(names(s, NULL, 9), " default " ORG " org.example.other");
    CHECK_STR(names(s, NULL, 1), " default");
    CHECK_STR(names(s, "default", 1), " " ORG);
    CHECK_STR(names(s, "org.example.other", 9), "");
    journal_sound(s);
    journal_close(s);
}

/* ---- Removing ------------------------------------------------------------------------------------------------ */

/* With its events, but not while it has tasks; what comes under that name afterwards is a new session. */
static void test_sessions_remove(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row(URL);
    int64_t id;

    row.session = (char[]){ORG};
    journal_begin(s);
    id = journal_add_row(s, &row);
    journal_commit(s);
    tell(s, ORG, 3);
    CHECK_INT(remove_session(s, ORG), DLMGR_ESTATE);
    CHECK_INT(remove_session(s, "default"), DLMGR_ESTATE);
    CHECK_INT(remove_session(s, "org.example.other"), DLMGR_ENOTFOUND);
    CHECK_STR(picture(s, ORG), "3/0: 1 2 3");
    journal_begin(s);
    CHECK_INT(dlm_store_remove(s, id), 0);
    CHECK_INT(dlm_store_session_remove(s, ORG), 0); /* in the same transaction */
    journal_commit(s);
    CHECK_STR(row_of(s, ORG, DLMGR_ENOTFOUND), "");
    journal_sound(s);
    tell(s, ORG, 1);
    CHECK_STR(picture(s, ORG), "1/0: 1");
    journal_begin(s);
    CHECK_INT(dlm_store_session_remove(s, ORG), 0);
    CHECK_INT(journal_try(s, journal_add_row(s, &row), DLMGR_CANCELLED), 0);
    journal_commit(s);
    CHECK_STR(picture(s, ORG), "1/0: 1");
    journal_sound(s);
    journal_close(s);
}

/* ---- What the check finds --------------------------------------------------------------------------------------- */

static void find(const char *what, void *context)
{
    if (!*(char *)context)
        snprintf(context, 256, "%s", what);
}

static void test_sessions_check_finds(void)
{
    static const struct {
        const char *sql, *found;
    } rows[] = {
        {"UPDATE sessions SET acked_seq = 2 WHERE id > 1",
         "session " ORG " has lost an event that nobody acknowledged"},
        {"UPDATE sessions SET acked_seq = 0 WHERE id > 1",
         "session " ORG " has lost an event that nobody acknowledged"},
        {"DELETE FROM events WHERE seq = 2",
         "session " ORG " has lost an event that nobody acknowledged"},
        {"UPDATE sessions SET acked_seq = 9, last_seq = 4 WHERE id > 1",
         "session " ORG " has lost an event that nobody acknowledged"},
        {"UPDATE sessions SET last_seq = 3 WHERE id > 1",
         "the events of session " ORG " have a gap, or more than were numbered"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_store *s = journal_open(DLM_STORE_WRITE);
        char found[256] = "";

        tell(s, ORG, 4);
        CHECK_INT(ack(s, ORG, 1), 0);
        CHECK_INT(ack(s, ORG, 3), 0);
        journal_sound(s);
        journal_close(s);
        journal_sql("journal.db", rows[i].sql);
        s = journal_open(DLM_STORE_READ);
        test_about("%s", rows[i].sql);
        CHECK_INT(dlm_store_check(s, find, found), 0);
        CHECK_STR(found, rows[i].found);
        journal_close(s);
        journal_discard();
    }
}

/* ---- Faults ------------------------------------------------------------------------------------------------------- */

static int every_change(struct dlm_store *s)
{
    CLEANUP_BUF struct dlm_buf told = {0};
    int64_t incarnation;
    int r = dlm_store_session_hold(s, ORG, &incarnation);

    if (r == 0)
        r = dlm_store_deliver(s, ORG, 0, 5, 3, add_number, &told);
    if (r == 0)
        r = dlm_store_ack(s, ORG, 4);
    if (r == 0)
        r = dlm_store_ack(s, ORG, 1);
    if (r == 0)
        r = dlm_store_ack_to(s, ORG, 3);
    if (r == 0)
        r = dlm_store_session_set(s, ORG, "start-app");
    return r == 0 ? dlm_store_session_remove(s, "org.example.gone") : r;
}

static int count_deliveries(const struct dlm_event_row *ev, void *context)
{
    *(int *)context += (int)ev->deliveries;
    return 0;
}

/* Whatever fails: all of it is there, or nothing. */
static void check_whole(struct dlm_store *s, bool done)
{
    int64_t incarnation = -1;
    int deliveries = 0;

    CHECK_INT(dlm_store_session_incarnation(s, ORG, &incarnation), 0);
    CHECK_INT(incarnation, done ? 2 : 1);
    CHECK_STR(picture(s, ORG), done ? "5/4: 5" : "5/0: 1 2 3 4 5");
    CHECK_INT(dlm_store_events(s, ORG, 0, 9, count_deliveries, &deliveries), 0);
    CHECK_INT(deliveries, 0);
    CHECK_INT(dlm_store_session_incarnation(s, "org.example.gone", &incarnation),
              done ? DLMGR_ENOTFOUND : 0);
    journal_sound(s);
}

static void fail_everywhere(enum sqlfault_kind kind, long at_least)
{
    long n = 0;
    bool more = true;

    while (more) {
        struct dlm_store *s = journal_open(DLM_STORE_WRITE);
        dlmgr_error e = {0};
        int r;

        tell(s, ORG, 5);
        CHECK_INT(hold(s, ORG), 1);
        CHECK_INT(hold(s, "org.example.gone"), 1);
        journal_close(s);
        s = journal_open(DLM_STORE_WRITE); /* nothing is prepared or cached */
        test_about("kind %d, call %ld", (int)kind, ++n);
        journal_begin(s);
        sqlfault_set(kind, n);
        r = every_change(s);
        if (r == 0)
            r = dlm_store_commit(s, &e);
        else
            dlm_store_rollback(s);
        more = sqlfault_fired();
        sqlfault_set(SQLFAULT_NONE, 0);
        if (!more)
            CHECK_INT(r, 0);
        check_whole(s, r == 0);
        journal_close(s);
        s = journal_open(DLM_STORE_WRITE);
        check_whole(s, r == 0);
        journal_close(s);
        journal_discard();
    }
    CU_ASSERT(n > at_least);
}

static void test_sessions_faults_memory(void)
{
    fail_everywhere(SQLFAULT_MEMORY, 20);
}

static void test_sessions_faults_io(void)
{
    fail_everywhere(SQLFAULT_IO, 5);
}

static const struct test tests[] = {
    TEST(test_sessions_ack_one_by_one),
    TEST(test_sessions_ack_to_over_gaps),
    TEST(test_sessions_ack_many),
    TEST(test_sessions_deliveries),
    TEST(test_sessions_delivery_undone),
    TEST(test_sessions_incarnations),
    TEST(test_sessions_rows),
    TEST(test_sessions_remove),
    TEST(test_sessions_check_finds),
    TEST(test_sessions_faults_memory),
    TEST(test_sessions_faults_io),
};

TEST_MAIN("store_sessions", tests)
