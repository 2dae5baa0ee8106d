/* SPDX-License-Identifier: MIT */
/*
 * test_session_claim.c - a finished file becomes the app's: each row of what may be at the two names, on one file system and over two.
 */
#include "tests/lib/app.h"
#include "tests/lib/journal.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 3000000
#define SEED 7

struct claim {
    int dir;        /* where files are to be */
    char path[400]; /* of that */
    char from[700]; /* what the event said */
    unsigned flags;
    int code; /* what the claim answered */
    dlmgr_error error;
    /* Done right before the claim; may be NULL. */
    void (*before)(struct claim *c, const dlmgr_event *event);
    dlmgr *taker; /* takes the session right before it */
};

/* A directory on another file system than test_dir(), or false. */
static bool other_place(struct claim *c)
{
    struct stat here, there;

    snprintf(c->path, sizeof(c->path), "/dev/shm/dlmgr-claim-%d", (int)getpid());
    if (stat(test_dir(), &here) < 0 || stat("/dev/shm", &there) < 0 ||
        here.st_dev == there.st_dev || mkdir(c->path, 0700) < 0) {
        printf("    skipped: /dev/shm is not another file system\n");
        return false;
    }
    return true;
}

static void open_place(struct claim *c, bool same)
{
    if (same) {
        snprintf(c->path, sizeof(c->path), "%s/mine", test_dir());
        CU_ASSERT_FATAL(mkdir(c->path, 0700) == 0);
    }
    c->dir = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_FATAL(c->dir >= 0);
}

static const char *at(const struct claim *c, const char *name)
{
    static char path[800];

    snprintf(path, sizeof(path), "%s/%s", c->path, name);
    return path;
}

/* How many entries the directory has: nothing else was left there. */
static int entries(const struct claim *c)
{
    DIR *dir = opendir(c->path);
    int n = -2;

    CU_ASSERT_FATAL(dir != NULL);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void close_place(struct claim *c)
{
    unlinkat(c->dir, "file", 0);
    CHECK_INT(rmdir(c->path), 0);
    close(c->dir);
}

static int claim_it(struct app *a, const char *word, const dlmgr_event *event)
{
    struct claim *c = a->more;

    if (strcmp(word, "done") != 0)
        return 0;
    snprintf(c->from, sizeof(c->from), "%s", event->path ? event->path : "");
    if (c->before)
        c->before(c, event);
    if (c->taker) {
        struct app b = {.handle = c->taker};

        app_open(&b, DLMGR_TAKE);
    }
    c->code = dlmgr_claim_move(event, c->dir, "file", c->flags, &c->error);
    return c->code;
}

static void download(struct house *h, struct app *a)
{
    int64_t id = app_download(h, a->handle, "a", "/f/a.bin?size=3000000&seed=7");

    CHECK_INT(dlmgr_wait(a->handle, &id, 1, 20000, NULL), 0);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static size_t left(struct app *a)
{
    dlmgr_event_list *list = NULL;
    size_t n;

    CHECK_INT(dlmgr_events(a->handle, APP_SESSION, -1, 0, &list, NULL), 0);
    n = dlmgr_event_list_count(list);
    dlmgr_event_list_free(list);
    return n;
}

/* ---- What may be in the way --------------------------------------------------------------------------------------- */

static void write_other(struct claim *c, const dlmgr_event *event)
{
    (void)event;
    CHECK_INT(fx_file_write(at(c, "file"), 10, 1), 0);
}

static void write_equal(struct claim *c, const dlmgr_event *event)
{
    (void)event;
    CHECK_INT(fx_file_write(at(c, "file"), SIZE, SEED), 0);
}

/* As after a crash between the move and the acknowledgement. */
static void move_before(struct claim *c, const dlmgr_event *event)
{
    CHECK_INT(renameat(AT_FDCWD, event->path, c->dir, "file"), 0);
}

static void leave_temp(struct claim *c, const dlmgr_event *event)
{
    struct stat st;
    char name[64];

    CHECK_INT(stat(event->path, &st), 0);
    snprintf(name, sizeof(name), ".claim-%lld-%lld-%llx", (long long)event->task,
             (long long)event->generation, (unsigned long long)st.st_ino);
    CHECK_INT(fx_file_write(at(c, name), 5, 1), 0);
}

static void vanish(struct claim *c, const dlmgr_event *event)
{
    (void)c;
    CHECK_INT(unlink(event->path), 0);
}

/* The same name, size and bytes: but not the file that was finished. */
static void swap(struct claim *c, const dlmgr_event *event)
{
    char path[800];

    snprintf(path, sizeof(path), "%s.new", event->path);
    CHECK_INT(fx_file_write(path, SIZE, SEED), 0);
    CHECK_INT(rename(path, event->path), 0);
    (void)c;
}

struct row {
    const char *about;
    void (*before)(struct claim *c, const dlmgr_event *event);
    unsigned flags;
    int code;
    bool stays;   /* the original is where it was */
    int64_t size; /* of the file at the new name, -1: none */
    uint64_t seed;
};

static void check_row(struct house *h, struct app *a, struct claim *c, const struct row *row)
{
    test_about("%s", row->about);
    c->before = row->before;
    c->flags = row->flags;
    c->code = 1;
    a->act = claim_it;
    a->more = c;
    a->answer = DLMGR_LATER; /* so that it is the claim that acknowledges */
    download(h, a);
    app_open(a, 0);
    app_until_part(a, "ready; ");
    app_close(a);
    app_settle(a);
    CHECK_INT(c->code, row->code);
    if (row->code)
        CU_ASSERT(strstr(c->error.text, "event ") != NULL);
    CHECK_INT(is_there(c->from), row->stays);
    CHECK_INT(left(a), row->code ? 1 : 0);
    CHECK_INT(entries(c), row->size >= 0);
    if (row->size >= 0)
        CHECK_INT(fx_file_check(at(c, "file"), row->size, row->seed), 0);
}

static const struct row rows[] = {
    {"moved", NULL, 0, 0, false, SIZE, SEED},
    {"it is there already, and ours", move_before, 0, 0, false, SIZE, SEED},
    {"its equal is there", write_equal, 0, 0, false, SIZE, SEED},
    {"another one is there", write_other, 0, DLMGR_EEXIST, true, 10, 1},
    {"another one is replaced", write_other, DLMGR_CLAIM_REPLACE, 0, false, SIZE, SEED},
    {"it has gone", vanish, 0, DLMGR_ENOTFOUND, false, -1, 0},
    {"it is another one", swap, 0, DLMGR_ESTATE, true, -1, 0},
    {"half a copy was left", leave_temp, 0, 0, false, SIZE, SEED},
};

static void each_row(bool same, enum app_place place, size_t i)
{
    struct claim c = {.dir = -1};
    struct house h;
    struct app a;

    if (!same && (rows[i].before == move_before || !other_place(&c)))
        return;
    if (same && rows[i].before == leave_temp)
        return; /* nothing is copied */
    open_place(&c, same);
    a = (struct app){.handle = app_enter(&h, place)};
    check_row(&h, &a, &c, &rows[i]);
    close_place(&c);
    app_leave(&h, a.handle);
}

/* One test a row, since each needs a house of its own. */
#define ROW(i)                                                                                     \
    static void test_claim_##i(void)                                                               \
    {                                                                                              \
        each_row(true, APP_EMBEDDED, i);                                                           \
    }                                                                                              \
    static void test_claim_attached_##i(void)                                                      \
    {                                                                                              \
        each_row(true, APP_ATTACHED, i);                                                           \
    }                                                                                              \
    static void test_claim_elsewhere_##i(void)                                                     \
    {                                                                                              \
        each_row(false, APP_EMBEDDED, i);                                                          \
    }

ROW(0)
ROW(1)
ROW(2)
ROW(3)
ROW(4)
ROW(5)
ROW(6)
ROW(7)
_Static_assert(ARRAY_SIZE(rows) == 8, "a ROW for each");

/* ---- Who may claim -------------------------------------------------------------------------------------------------- */

/* Who lost the session moves nothing. */
static void claim_lost(struct house *h, struct app *a)
{
    struct claim c = {.taker = app_attach(h)};

    open_place(&c, true);
    a->act = claim_it;
    a->more = &c;
    download(h, a);
    app_open(a, 0);
    app_until_part(a, "lost; ");
    CHECK_INT(c.code, DLMGR_ELOST);
    CHECK_INT(fx_file_check(c.from, SIZE, SEED), 0);
    CHECK_INT(entries(&c), 0);
    CHECK_INT(left(a), 1);
    app_close(a);
    dlmgr_close(c.taker);
    close_place(&c);
}

static void test_claim_lost(void)
{
    app_story(claim_lost, APP_ATTACHED);
}

static int misuse(struct app *a, const char *word, const dlmgr_event *event)
{
    static const char *const names[] = {"", ".", "..", "a/b", "/a"};
    struct claim *c = a->more;
    dlmgr_error e;

    if (!event)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        CHECK_INT(dlmgr_claim_move(event, c->dir, names[i], 0, &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_claim_move(event, c->dir, NULL, 0, &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_claim_move(event, -1, "file", 0, &e),
              strcmp(word, "done") ? DLMGR_EINVAL : DLMGR_EIO);
    if (strcmp(word, "done") != 0)
        CHECK_INT(dlmgr_claim_move(event, c->dir, "file", 0, &e), DLMGR_EINVAL);
    return 0;
}

/* Names that are none, events without a file, events that nobody was given. */
static void claim_misused(struct house *h, struct app *a)
{
    struct claim c = {.dir = -1};
    dlmgr_event_list *list = NULL;
    dlmgr_error e;

    open_place(&c, true);
    a->act = misuse;
    a->more = &c;
    download(h, a);
    CHECK_INT(dlmgr_events(a->handle, APP_SESSION, -1, 0, &list, NULL), 0);
    CHECK_INT(dlmgr_claim_move(dlmgr_event_list_at(list, 0), c.dir, "file", 0, &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_claim_move(NULL, c.dir, "file", 0, &e), DLMGR_EINVAL);
    dlmgr_event_list_free(list);
    app_act(a->handle, DLMGR_CANCEL, app_add(a->handle, "b"));
    app_open(a, 0);
    app_until_part(a, "ready; ");
    CHECK_INT(entries(&c), 0);
    app_close(a);
    close_place(&c);
}

static void test_claim_misused(void)
{
    app_story(claim_misused, APP_EMBEDDED);
}

/* An event of an older journal does not say which file it was: the one that has the name. */
static void claim_old(struct house *h, struct app *a)
{
    struct claim c = {.dir = -1};

    open_place(&c, true);
    a->act = claim_it;
    a->more = &c;
    download(h, a);
    house_close(h);
    journal_sql("journal.db", "UPDATE events SET body = json_remove(body, '$.file')");
    house_open(h);
    a->handle = h->handle;
    app_open(a, 0);
    app_until_part(a, "ready; ");
    CHECK_INT(c.code, 0);
    CHECK_INT(fx_file_check(at(&c, "file"), SIZE, SEED), 0);
    app_close(a);
    close_place(&c);
}

static void test_claim_old(void)
{
    app_story(claim_old, APP_EMBEDDED);
}

/* clang-format off */
#define TEST_ROW(i) TEST(test_claim_##i), TEST(test_claim_attached_##i), TEST(test_claim_elsewhere_##i)
/* clang-format on */

static const struct test tests[] = {
    TEST_ROW(0),          TEST_ROW(1), TEST_ROW(2), TEST_ROW(3),           TEST_ROW(4),
    TEST_ROW(5),          TEST_ROW(6), TEST_ROW(7), TEST(test_claim_lost), TEST(test_claim_misused),
    TEST(test_claim_old),
};

TEST_MAIN("session_claim", tests)
