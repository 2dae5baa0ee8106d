/* SPDX-License-Identifier: MIT */
/*
 * check_journal.c - what the journal says, held against what was told and what is on the disk (promises 1, 2, 4, 5).
 *
 * An image is a copy of the databases and their WALs in a directory of our own. The plain image is what the next launch
 * will find after a kill; it must not be ahead of the disk, where "on the disk" is what the calls say was synced.
 * The cut image is what a power cut at this moment would have left; it must still hold all that was told.
 *
 * SQL is spelled out here on purpose: a checker that asked the product's own functions would believe its mistakes.
 */
#include "check.h"

#include "dlmgr/base.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

static const char *const state_names[] = {"queued",  "running", "verifying", "committing", "done",
                                          "waiting", "paused",  "failed",    "cancelled"};

static const char *const files[] = {"journal.db", "journal.db-wal", "secrets.db", "secrets.db-wal"};
static const char *const leftovers[] = {"journal.db-shm", "secrets.db-shm"};

struct image {
    struct check *c;
    bool cut, end;
    sqlite3 *journal, *secrets;
    struct check_tasks *tasks;
};

#define SAY(im, promise, fmt, ...)                                                                 \
    check_say((im)->c, promise, "%s" fmt, (im)->cut ? "after a power cut: " : "", __VA_ARGS__)

static bool image_copy(struct image *im)
{
    char from[4096], to[4096];
    bool there = true;

    for (size_t i = 0; i < ARRAY_SIZE(leftovers); i++) {
        snprintf(to, sizeof(to), "%s/%s", im->c->tmp, leftovers[i]);
        unlink(to);
    }
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        int r;

        snprintf(from, sizeof(from), "%s/%s", im->c->home, files[i]);
        snprintf(to, sizeof(to), "%s/%s", im->c->tmp, files[i]);
        unlink(to);
        r = disk_copy(&im->c->disk, from, to, im->cut);
        if (r < 0)
            SAY(im, 0, "cannot copy %s: %s", from, strerror(-r));
        if (r && i == 0)
            there = false;
    }
    return there;
}

static sqlite3 *image_open(struct image *im, const char *name)
{
    char path[4096];
    sqlite3 *db = NULL;

    snprintf(path, sizeof(path), "%s/%s", im->c->tmp, name);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
        return db;
    sqlite3_close(db);
    return NULL;
}

static sqlite3_stmt *ask(struct image *im, sqlite3 *db, const char *sql, int64_t value)
{
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        SAY(im, 2, "the journal does not answer: %s (%s)", sqlite3_errmsg(db), sql);
    else if (sqlite3_bind_parameter_count(st))
        sqlite3_bind_int64(st, 1, value);
    return st;
}

static int64_t ask_one(struct image *im, sqlite3 *db, const char *sql, int64_t value)
{
    sqlite3_stmt *st = ask(im, db, sql, value);
    int64_t n = st && sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;

    sqlite3_finalize(st);
    return n;
}

static const char *text_of(sqlite3_stmt *st, int i)
{
    const char *s = (const char *)sqlite3_column_text(st, i);

    return s ? s : "";
}

/* A new journal that was cut before its first commit holds no table: nothing was told, so that is fine. */
static bool is_blank(struct image *im)
{
    return ask_one(im, im->journal, "SELECT count(*) FROM sqlite_schema", 0) == 0;
}

static void whole(struct image *im, sqlite3 *db, const char *name)
{
    sqlite3_stmt *st = ask(im, db, "PRAGMA quick_check", 0);

    if (!st || sqlite3_step(st) != SQLITE_ROW || strcmp(text_of(st, 0), "ok") != 0)
        SAY(im, 2, "%s is damaged: %s", name, st ? text_of(st, 0) : "unreadable");
    sqlite3_finalize(st);
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

static void task_add(struct image *im, sqlite3_stmt *st)
{
    struct check_tasks *tasks = im->tasks;
    int state = sqlite3_column_int(st, 1);
    struct check_task *t;

    tasks->at = realloc(tasks->at, (tasks->n + 1) * sizeof(tasks->at[0]));
    if (!tasks->at)
        abort();
    t = &tasks->at[tasks->n++];
    *t = (struct check_task){.id = sqlite3_column_int64(st, 0),
                             .generation = sqlite3_column_int64(st, 2)};
    snprintf(t->state, sizeof(t->state), "%s", state_names[state]);
    if (text_of(st, 5)[0])
        snprintf(t->part, sizeof(t->part), "%s/%s", text_of(st, 4), text_of(st, 5));
    snprintf(t->path, sizeof(t->path), "%s", text_of(st, 6));
    t->want = check_want_of(im->c, text_of(st, 3));
    if (!t->want) {
        SAY(im, 1, "task %lld has the URL %s, which nobody added", (long long)t->id, text_of(st, 3));
        return;
    }
    if (t->want->id && t->want->id != t->id)
        SAY(im, 1, "%s is both task %lld and task %lld", t->want->path, (long long)t->want->id,
            (long long)t->id);
    t->want->id = t->id;
}

static void read_tasks(struct image *im)
{
    sqlite3_stmt *st =
        ask(im, im->journal,
            "SELECT id, state, generation, url, dir, part, path FROM tasks ORDER BY id", 0);

    while (st && sqlite3_step(st) == SQLITE_ROW)
        task_add(im, st);
    sqlite3_finalize(st);
}

static const struct check_task *task_find(const struct image *im, int64_t id)
{
    for (size_t i = 0; i < im->tasks->n; i++)
        if (im->tasks->at[i].id == id)
            return &im->tasks->at[i];
    return NULL;
}

static void told_ids_are_there(struct image *im)
{
    for (size_t i = 0; i < im->c->n_ids; i++)
        if (!task_find(im, im->c->ids[i]))
            SAY(im, 1, "task %lld was told and is not in the journal", (long long)im->c->ids[i]);
}

static void told_done_is_done(struct image *im)
{
    for (size_t i = 0; i < im->c->n_wants; i++) {
        const struct want *w = &im->c->wants[i];
        const struct check_task *t = w->id ? task_find(im, w->id) : NULL;

        if (w->told_done && (!t || strcmp(t->state, w->state) != 0))
            SAY(im, 2, "%s was told to be %s and is %s", w->path, w->state,
                t ? t->state : "unknown");
    }
}

static void secrets_are_there(struct image *im)
{
    sqlite3_stmt *st = ask(im, im->journal, "SELECT id, secret FROM tasks WHERE secret > 0", 0);

    while (st && sqlite3_step(st) == SQLITE_ROW)
        if (!im->secrets ||
            ask_one(im, im->secrets, "SELECT count(*) FROM secrets WHERE number = ?1",
                    sqlite3_column_int64(st, 1)) != 1)
            SAY(im, 1, "task %lld has lost its secret", sqlite3_column_int64(st, 0));
    sqlite3_finalize(st);
}

/* ---- Blocks and finished files: never ahead of the disk ------------------------------------------- */

static bool crc_fits(const char *part, int64_t start, int64_t len, uint32_t crc)
{
    CLEANUP_FD int fd = open(part, O_RDONLY | O_CLOEXEC);
    CLEANUP_FREE char *data = malloc((size_t)len + 1);

    return fd >= 0 && data && pread(fd, data, (size_t)len, start) == len &&
           dlm_crc32c(0, data, (size_t)len) == crc;
}

static bool still_needs_part(const struct check_task *t)
{
    static const char *const states[] = {"queued", "running", "verifying", "waiting", "paused"};

    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (strcmp(t->state, states[i]) == 0)
            return true;
    return false;
}

static void block_is_true(struct image *im, const struct check_task *t, sqlite3_stmt *st,
                          unsigned *io_versions)
{
    int64_t start = sqlite3_column_int64(st, 0) * MIB(1), len = sqlite3_column_int64(st, 1);
    unsigned versions = 0;

    if (!crc_fits(t->part, start, len, (uint32_t)sqlite3_column_int64(st, 2)))
        SAY(im, 2, "%s: the block at %lld (%lld bytes) has another checksum in the part",
            t->want->path, (long long)start, (long long)len);
    if (!disk_synced(&im->c->disk, t->part, start, start + len) || !disk_firm(&im->c->disk, t->part))
        SAY(im, 2, "%s: the block at %lld was counted before it was synced", t->want->path,
            (long long)start);
    for (unsigned v = 0; v < CHECK_VERSIONS && t->want->seeds[v]; v++) {
        struct want one = {.seeds = {t->want->seeds[v]}};

        if (check_version(&one, t->part, start, start + len) == 0)
            versions |= 1u << v;
    }
    *io_versions &= versions;
}

static void blocks_are_true(struct image *im, const struct check_task *t)
{
    sqlite3_stmt *st = ask(im, im->journal, "SELECT idx, len, crc FROM blocks WHERE task = ?1",
                           t->id);
    unsigned versions = ~0u;

    while (st && sqlite3_step(st) == SQLITE_ROW)
        block_is_true(im, t, st, &versions);
    sqlite3_finalize(st);
    if (!versions)
        SAY(im, 4, "%s: the blocks of its part are of no one version", t->want->path);
}

static void done_is_on_disk(struct image *im, const struct check_task *t)
{
    if (access(t->path, F_OK) && !(t->want->claim && access(t->want->claim, F_OK) == 0))
        SAY(im, 2, "%s is done and %s is not there", t->want->path, t->path);
    if (!disk_synced(&im->c->disk, t->path, 0, INT64_MAX) || !disk_firm(&im->c->disk, t->path))
        SAY(im, 2, "%s was done before %s was synced", t->want->path, t->path);
}

static void not_ahead(struct image *im)
{
    for (size_t i = 0; i < im->tasks->n; i++) {
        const struct check_task *t = &im->tasks->at[i];

        if (t->want && still_needs_part(t))
            blocks_are_true(im, t);
        if (t->want && strcmp(t->state, "done") == 0)
            done_is_on_disk(im, t);
    }
}

/* ---- Events ------------------------------------------------------------------------------------- */

static void events_are_right(struct image *im)
{
    static const struct {
        const char *sql, *what;
        bool all; /* true while the rows of all events are there */
    } none[] = {
        {"SELECT count(*) FROM (SELECT 1 FROM events WHERE type IN ('done', 'failed', 'cancelled') GROUP BY task, generation "
         "HAVING count(*) > 1)",
         "generations with two terminal events", false},
        {"SELECT count(*) FROM sessions s WHERE s.last_seq <> (SELECT count(*) FROM events e WHERE e.session = s.id) "
         "OR s.last_seq <> (SELECT coalesce(max(seq), 0) FROM events e WHERE e.session = s.id)",
         "sessions with a gap in their events", true},
        {"SELECT count(*) FROM tasks t WHERE state IN (4, 7, 8) AND NOT EXISTS (SELECT 1 FROM events e WHERE e.task = t.id "
         "AND e.generation = t.generation AND e.type = CASE t.state WHEN 4 THEN 'done' WHEN 7 THEN 'failed' ELSE 'cancelled' END)",
         "ended tasks without their event", true},
        {"SELECT count(*) FROM events e WHERE type = 'done' AND NOT EXISTS "
         "(SELECT 1 FROM tasks t WHERE t.id = e.task AND t.state = 4)",
         "done events whose task is not done", false},
        {"SELECT count(*) FROM (SELECT 1 FROM events WHERE type = 'done' GROUP BY task HAVING count(*) > 1)",
         "tasks with two done events", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
        int64_t n = none[i].all && im->c->acks ? 0 : ask_one(im, im->journal, none[i].sql, 0);

        if (n)
            SAY(im, 5, "%lld %s", (long long)n, none[i].what);
    }
}

static void all_have_ended(struct image *im)
{
    for (size_t i = 0; i < im->c->n_wants; i++) {
        const struct want *w = &im->c->wants[i];
        const struct check_task *t = w->id ? task_find(im, w->id) : NULL;

        if (!w->forgotten && (!t || strcmp(t->state, w->state) != 0))
            SAY(im, 1, "%s should be %s at the end and is %s", w->path, w->state,
                t ? t->state : "unknown");
    }
}

static void judge(struct image *im)
{
    whole(im, im->journal, "journal.db");
    if (im->secrets)
        whole(im, im->secrets, "secrets.db");
    read_tasks(im);
    secrets_are_there(im);
    events_are_right(im);
    if (!im->cut)
        not_ahead(im);
    if (im->end)
        all_have_ended(im);
}

void check_journal(struct check *c, bool cut, bool end, struct check_tasks *ret)
{
    struct image im = {.c = c, .cut = cut, .end = end, .tasks = ret};

    *ret = (struct check_tasks){0};
    if (image_copy(&im)) {
        im.journal = image_open(&im, "journal.db");
        im.secrets = image_open(&im, "secrets.db");
        ret->readable = im.journal && !is_blank(&im);
        if (ret->readable)
            judge(&im);
    }
    told_ids_are_there(&im);
    told_done_is_done(&im);
    sqlite3_close(im.journal);
    sqlite3_close(im.secrets);
}
