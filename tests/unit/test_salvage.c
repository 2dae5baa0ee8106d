/* SPDX-License-Identifier: MIT */
/*
 * test_salvage.c - a damaged journal, and what doctor --fix makes of it.
 *
 * Page by page: of a journal with tasks in all states one page is overwritten, and what stood on other pages must be there again as it was. Then what is not believed
 * afterwards: numbers are never given out again, nothing that had ended starts, and a run that ends anywhere in between is gone on with.
 *
 * timeout: 120
 */
#include "dlmgr/doctor.h"
#include "store/pages.h"
#include "tests/lib/journal.h"
#include "tests/lib/methods.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { TASKS = 120, BIG = 7, ITEMS = 2000 };

static char app[] = "org.example.app", *whole;
static size_t whole_len;

struct item {
    int64_t id;
    uint32_t sum;
};

static struct items {
    struct item at[ITEMS];
    size_t n;
} before, after, events_before, events_after;

/* ---- A journal ---------------------------------------------------------------------------------------------------- */

static char *in_home(const char *name)
{
    return method_text("%s/%s", journal_home(), name);
}

static uint32_t sum_text(uint32_t crc, const char *text)
{
    return text ? dlm_crc32c(crc, text, strlen(text) + 1) : crc + 1;
}

static int note_task(const struct dlm_row *row, void *context)
{
    struct items *items = context;
    int state = row->state == DLMGR_RUNNING || row->state == DLMGR_VERIFYING ? DLMGR_QUEUED
                                                                             : row->state;
    uint32_t sum = dlm_crc32c(0, &state, sizeof(state));

    sum = sum_text(sum_text(sum_text(sum_text(sum, row->url), row->out), row->key), row->session);
    sum = sum_text(sum_text(sum_text(sum, row->validator), row->path), row->options);
    sum = dlm_crc32c(sum, &row->secret, sizeof(row->secret));
    sum = dlm_crc32c(sum, row->user_data, row->user_data_len);
    items->at[items->n++] = (struct item){row->id, sum};
    return 0;
}

static int note_event(const struct dlm_event_row *ev, void *context)
{
    struct items *items = context;

    items->at[items->n++] = (struct item){ev->seq,
                                          sum_text(sum_text(dlm_crc32c(0, &ev->task, 8), ev->type),
                                                   ev->body)};
    return 0;
}

static void note_all(struct items *tasks, struct items *events)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_filter all = {.limit = ITEMS};

    tasks->n = events->n = 0;
    CHECK_INT(dlm_store_list(s, &all, note_task, tasks), 0);
    CHECK_INT(MIN(dlm_store_events(s, app, 0, ITEMS, note_event, events), 0), 0);
    journal_sound(s);
    journal_close(s);
}

static const struct item *find(const struct items *items, int64_t id)
{
    for (size_t i = 0; i < items->n; i++)
        if (items->at[i].id == id)
            return &items->at[i];
    return NULL;
}

static void add_one(struct dlm_store *s, int i)
{
    char url[80], out[40], key[40];
    CLEANUP_FREE char *data = dlm_alloc(20000);
    const char *secret = i % 9 == 3 ? "{\"url\":\"http://u:p@h/secret\"}" : NULL;
    const char *urls[] = {url, "http://mirror:80/f"};
    struct dlm_row row;
    int64_t id;

    snprintf(url, sizeof(url), "http://host%d:80/some/path/file-%d", i % 5, i);
    snprintf(out, sizeof(out), "file-%d.bin", i);
    snprintf(key, sizeof(key), "key-%d", i);
    row = journal_row(url);
    row.out = out;
    row.options = (char[]){"{\"header\":[]}"};
    if (i % 2) {
        row.session = app;
        row.key = key;
        row.user_data = data;
        row.user_data_len = i == BIG ? 20000 : 300;
    }
    journal_begin(s);
    CU_ASSERT_FATAL(dlm_store_add(s, &row, urls, 2, secret, NULL, &id) == 0);
    journal_commit(s);
    journal_drive(s, id, i % DLM_STATES);
}

static void read_whole(void)
{
    CLEANUP_FREE char *path = in_home("journal.db");
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &st) == 0);
    free(whole);
    whole = malloc((size_t)st.st_size);
    whole_len = (size_t)st.st_size;
    CU_ASSERT_FATAL(dlm_pread_all(fd, whole, whole_len, 0) == st.st_size);
}

static void make_journal(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    for (int i = 0; i < TASKS; i++)
        add_one(s, i);
    journal_close(s);
    note_all(&before, &events_before);
    read_whole();
}

static void put_back(void)
{
    CLEANUP_FREE char *path = in_home("journal.db"), *wal = in_home("journal.db-wal"),
                      *mark = in_home("mark");
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CU_ASSERT_FATAL(fd >= 0 && dlm_pwrite_all(fd, whole, whole_len, 0) == 0);
    CU_ASSERT(unlink(wal) == 0 || errno == ENOENT);
    CU_ASSERT(unlink(mark) == 0 || errno == ENOENT);
}

static void overwrite_page(uint32_t page)
{
    CLEANUP_FREE char *path = in_home("journal.db");
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    char junk[DLM_PAGE];

    memset(junk, 0x5a, sizeof(junk));
    CU_ASSERT_FATAL(fd >= 0 && dlm_pwrite_all(fd, junk, sizeof(junk), (page - 1) * DLM_PAGE) == 0);
}

static json_t *mend(int fix)
{
    CLEANUP_FREE char *text = NULL;
    dlmgr_error e = {0};
    int r = dlm_doctor(journal_home(), fix, &text, &e);

    test_about("%s", r < 0 ? e.text : text);
    CU_ASSERT_FATAL(r == 0);
    return json_loads(text, 0, NULL);
}

static int64_t count(const json_t *result, const char *list, const char *kind)
{
    const json_t *salvage = json_object_get(result, "salvage");

    return json_integer_value(json_object_get(json_object_get(salvage, list), kind));
}

static bool noted(const json_t *result, const char *text)
{
    const json_t *notes = json_object_get(json_object_get(result, "salvage"), "notes");

    for (size_t i = 0; i < json_array_size(notes); i++)
        if (!strcmp(json_string_value(json_array_get(notes, i)), text))
            return true;
    return false;
}

/* ---- Page by page --------------------------------------------------------------------------------------------------- */

struct on_page {
    bool task[TASKS + 1];
    bool event[ITEMS];
};

static int see_task(const struct dlm_record *rec, void *context)
{
    struct on_page *on = context;

    if (rec->n >= 37 && rec->rowid >= 1 && rec->rowid <= TASKS)
        on->task[rec->rowid] = true;
    return 0;
}

static int see_event(const struct dlm_record *rec, void *context)
{
    struct on_page *on = context;

    if (rec->n == 9 && rec->at[1].number < ITEMS)
        on->event[rec->at[1].number] = true;
    return 0;
}

/* Whose rows stand on this page, or end there. */
static void look_at_page(uint32_t page, struct on_page *on)
{
    CLEANUP_FREE char *path = in_home("journal.db");
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct dlm_pages pages;

    *on = (struct on_page){0};
    CU_ASSERT_FATAL(dlm_pages_open(&pages, fd) == 0);
    pages.reserved = (unsigned char)whole[20];
    CHECK_INT(dlm_pages_one(&pages, page, false, see_task, on), 0);
    CHECK_INT(dlm_pages_one(&pages, page, true, see_event, on), 0);
    dlm_pages_close(&pages);
}

/* Where the rest of a long row stands, no other row has anything. */
static bool holds_rows(const struct on_page *on)
{
    for (size_t i = 0; i < ARRAY_SIZE(on->task); i++)
        if (on->task[i])
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(on->event); i++)
        if (on->event[i])
            return true;
    return false;
}

/* How many are missing that do not stand on this page; each of the others must be as it was. */
static int elsewhere(const struct items *was, const struct items *is, const bool *on)
{
    int missing = 0;

    for (size_t i = 0; i < was->n; i++) {
        const struct item *a = &was->at[i], *b = find(is, a->id);

        if (b)
            CHECK_INT(b->sum, a->sum);
        missing += !b && !on[a->id];
    }
    return missing;
}

static void check_page(uint32_t page, const json_t *result)
{
    struct on_page on;
    int64_t lost = 0;
    char text[60];

    put_back();
    look_at_page(page, &on);
    test_about("page %u", page);
    for (size_t i = 0; i < before.n; i++)
        if (!find(&after, before.at[i].id)) {
            lost++;
            snprintf(text, sizeof(text), "task %lld is lost", (long long)before.at[i].id);
            CU_ASSERT(noted(result, text));
        }
    CHECK_INT(count(result, "lost", "tasks"), lost);
    CHECK_INT(count(result, "saved", "tasks"), (int64_t)before.n - lost);
    CU_ASSERT(elsewhere(&before, &after, on.task) +
                  elsewhere(&events_before, &events_after, on.event) <=
              !holds_rows(&on));
}

static void wipe_quarantine(void)
{
    CLEANUP_FREE char *command = method_text("rm -rf '%s/quarantine'", journal_home());

    CU_ASSERT_FATAL(system(command) == 0);
}

static void test_salvage_page_by_page(void)
{
    make_journal();
    for (uint32_t page = 1; page <= whole_len / DLM_PAGE; page++) {
        CLEANUP_JSON json_t *result = NULL, *again = NULL;

        put_back();
        overwrite_page(page);
        result = mend(1);
        if (!json_is_object(json_object_get(result, "salvage")))
            continue; /* a page that is free: nobody misses it */
        note_all(&after, &events_after);
        check_page(page, result);
        put_back();
        again = mend(0);
        CHECK_INT(json_array_size(json_object_get(again, "problems")), 0);
        wipe_quarantine();
    }
}

/* ---- What is not believed --------------------------------------------------------------------------------------------- */

static int64_t last_of(const char *session)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t last = -1, acked;

    CHECK_INT(dlm_store_session(s, session, &last, &acked), 0);
    journal_close(s);
    return last;
}

/* The tree of a table begins here. */
static uint32_t root_of(const char *name)
{
    CLEANUP_FREE char *sql = method_text("SELECT rootpage FROM sqlite_schema WHERE name = '%s'",
                                         name);

    return (uint32_t)journal_number("journal.db", sql);
}

/* The row that counts the events is lost: they are numbered from a place where none has been. */
static void test_salvage_numbers_go_on_beyond(void)
{
    CLEANUP_JSON json_t *result = NULL;
    int64_t id, last;
    struct dlm_store *s;

    make_journal();
    last = last_of(app);
    overwrite_page(root_of("sessions"));
    result = mend(1);
    CU_ASSERT(
        noted(result, "session org.example.app has lost its row: its numbers go on from the time"));
    CHECK_INT(count(result, "saved", "tasks"), TASKS);
    CU_ASSERT(last_of(app) > last + 1000000);
    s = journal_open(DLM_STORE_WRITE);
    id = journal_add(s, "http://h:80/new");
    CHECK_INT(id, TASKS + 1);
    journal_close(s);
}

/* The list of the highest id is lost: no id that there was is given out again. */
static void test_salvage_ids_go_on_beyond(void)
{
    struct dlm_store *s;
    int64_t id;

    make_journal();
    s = journal_open(DLM_STORE_WRITE);
    journal_begin(s);
    CHECK_INT(dlm_store_remove(s, TASKS), 0);
    journal_commit(s);
    journal_close(s);
    overwrite_page(root_of("sqlite_sequence"));
    json_decref(mend(1));
    s = journal_open(DLM_STORE_WRITE);
    id = journal_add(s, "http://h:80/new");
    CU_ASSERT(id > TASKS + 1000000);
    journal_close(s);
}

/* More had happened than the journal says: what had not ended waits for somebody to say so, and events may have been told already. */
static int replays(const struct dlm_event_row *ev, void *context)
{
    *(int *)context += ev->replay;
    return 0;
}

static void test_salvage_of_an_older_journal_starts_nothing(void)
{
    CLEANUP_FREE char *mark = in_home("mark"), *kept = in_home("kept");
    struct dlm_tally tally = {0};
    struct dlm_store *s;
    int64_t last;
    int n = 0;

    make_journal();
    last = last_of(app);
    s = journal_open(DLM_STORE_WRITE);
    journal_drive(s, 1, DLMGR_CANCELLED);
    journal_close(s);
    CU_ASSERT_FATAL(rename(mark, kept) == 0);
    put_back();
    CU_ASSERT_FATAL(rename(kept, mark) == 0);
    {
        CLEANUP_JSON json_t *result = mend(1);

        CU_ASSERT(count(result, "lost", "changes") > 0);
        CHECK_INT(count(result, "saved", "tasks"), TASKS);
    }
    s = journal_open(DLM_STORE_WRITE);
    CHECK_INT(dlm_store_tally(s, &tally), 0);
    CHECK_INT(tally.by_state[DLMGR_QUEUED] + tally.by_state[DLMGR_RUNNING] +
                  tally.by_state[DLMGR_VERIFYING] + tally.by_state[DLMGR_WAITING],
              0);
    CU_ASSERT(tally.by_state[DLMGR_DONE] > 0 && tally.by_state[DLMGR_COMMITTING] > 0);
    CHECK_INT(dlm_store_events(s, app, 0, ITEMS, replays, &n), 0);
    CHECK_INT(n, (int)events_before.n);
    journal_sound(s);
    journal_close(s);
    CU_ASSERT(last_of(app) > last + 1000000);
}

/* An event says that it is done, the row (of an older page) that it runs: it is done, and is not told again. */
static void test_salvage_believes_the_event(void)
{
    CLEANUP_JSON json_t *result = NULL;
    struct dlm_store *s;
    int64_t done = 0;

    make_journal();
    for (int i = 0; i < TASKS; i++)
        if (i % DLM_STATES == DLMGR_DONE)
            done = i + 1;
    journal_sql("journal.db",
                "UPDATE tasks SET state = 1, path = NULL WHERE state = 4;"
                "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'tasks_url'");
    result = mend(1);
    s = journal_open(DLM_STORE_WRITE);
    CHECK_INT(journal_state(s, done), DLMGR_DONE);
    journal_sound(s);
    journal_close(s);
    note_all(&after, &events_after);
    CHECK_INT(events_after.n, events_before.n);
}

/* ---- Interrupted -------------------------------------------------------------------------------------------------------- */

static void nothing_said(const char *what, void *context)
{
    (void)what;
    (void)context;
}

/* Wherever it ends, the old one or the new one is there, and another run does the rest. */
static void test_salvage_interrupted(void)
{
    CLEANUP_FREE char *salvage = in_home("salvage"), *building = in_home("salvage.new"),
                      *journal = in_home("journal.db"), *waiting = in_home("salvage/journal.db");
    struct dlm_store *s = NULL;
    struct dlm_salvage sum;
    dlmgr_error e = {0};

    make_journal();
    put_back();
    overwrite_page(root_of("hosts"));

    /* Half built: as if nothing had been. */
    CU_ASSERT_FATAL(mkdir(building, 0700) == 0);
    CHECK_INT(dlm_store_open(journal_homefd(), journal_home(), DLM_STORE_READ, &s, &e), 0);
    dlm_store_close(s);

    /* Built: nobody opens the old one, and nobody takes its absence for a new home. */
    CHECK_INT(dlm_store_salvage(journal_homefd(), journal_home(), true, &sum, nothing_said, NULL, &e),
              0);
    CU_ASSERT(access(building, F_OK) < 0 && access(waiting, F_OK) == 0);
    for (int round = 0; round < 2; round++) {
        for (int mode = DLM_STORE_READ; mode <= DLM_STORE_WRITE; mode++) {
            CHECK_INT(dlm_store_open(journal_homefd(), journal_home(), mode, &s, &e),
                      DLMGR_EJOURNAL);
            CU_ASSERT(strstr(e.text, "doctor --fix") != NULL);
        }
        json_decref(mend(0));
        CU_ASSERT(access(waiting, F_OK) == 0);
        if (round == 0)
            CU_ASSERT_FATAL(unlink(journal) == 0); /* moved away */
    }
    {
        CLEANUP_JSON json_t *result = mend(1);
        const json_t *problem = json_array_get(json_object_get(result, "problems"), 0);

        CHECK_INT(json_array_size(json_object_get(result, "problems")), 1);
        CU_ASSERT(strstr(dlm_json_string(problem, "what"), "interrupted") != NULL);
    }
    CU_ASSERT(access(salvage, F_OK) < 0);
    note_all(&after, &events_after);
    CHECK_INT(after.n, before.n);

    /* In its place already, and only the directory is left. */
    CU_ASSERT_FATAL(mkdir(salvage, 0700) == 0);
    json_decref(mend(1));
    CU_ASSERT(access(salvage, F_OK) < 0);
    note_all(&after, &events_after);
    CHECK_INT(after.n, before.n);
}

static const struct test tests[] = {
    TEST(test_salvage_page_by_page),       TEST(test_salvage_numbers_go_on_beyond),
    TEST(test_salvage_ids_go_on_beyond),   TEST(test_salvage_of_an_older_journal_starts_nothing),
    TEST(test_salvage_believes_the_event), TEST(test_salvage_interrupted),
};

TEST_MAIN("salvage", tests)
