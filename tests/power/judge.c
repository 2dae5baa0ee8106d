/* SPDX-License-Identifier: MIT */
/*
 * judge.c - one crash state, held against all that was told before the power went. See power.h.
 *
 * Four looks: the checker of the crash stories reads journal and files (each block that is counted has its checksum, each file at a
 * final name is whole and was announced, what was told is there); what was acknowledged, claimed and removed stays so;
 * dlmgr_doctor() has nothing to say, since a power cut is no damage; and the app goes on to the end, where the checker looks again.
 */
#include "power.h"

#include "dlmgr/base.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- What was told ----------------------------------------------------------------------------------- */

static struct want *want_named(struct facts *f, const char *key)
{
    for (size_t i = 0; i < f->check.n_wants; i++)
        if (strcmp(f->wants[i].path, key) == 0)
            return &f->wants[i];
    return NULL;
}

static void forget_id(struct check *c, int64_t id)
{
    for (size_t i = 0; i < c->n_ids; i++)
        if (c->ids[i] == id)
            c->ids[i] = c->ids[--c->n_ids];
}

/* From now on it may be there or not. */
static void hear_removing(struct facts *f, const char *rest)
{
    char key[64];
    long long id;
    struct want *w = sscanf(rest, "%lld %63s", &id, key) == 2 ? want_named(f, key) : NULL;

    if (!w)
        return;
    forget_id(&f->check, id);
    w->forgotten = true;
    w->told_done = false;
}

static void hear_line(struct facts *f, const char *line)
{
    const char *rest = strchr(line, ' ');
    size_t n = rest ? (size_t)(rest++ - line) : 0;
    struct want *w = rest ? want_named(f, rest) : NULL;
    int64_t number = rest ? strtoll(rest, NULL, 10) : 0;

    if (n == 2)
        check_told_id(&f->check, number);
    else if (strncmp(line, "ended", n) == 0 && w)
        w->told_done = !w->forgotten;
    else if (strncmp(line, "claimed", n) == 0 && w)
        f->claimed[w - f->wants] = true;
    else if (strncmp(line, "acked", n) == 0 && f->n_acked < ARRAY_SIZE(f->acked))
        f->acked[f->n_acked++] = number;
    else if (strncmp(line, "removing", n) == 0)
        hear_removing(f, rest);
    else if (strncmp(line, "removed", n) == 0 && f->n_removed < ARRAY_SIZE(f->removed))
        f->removed[f->n_removed++] = number;
}

void facts_hear(struct facts *f, const unsigned char *text, size_t len)
{
    char copy[200], *save = NULL;

    snprintf(copy, sizeof(copy), "%.*s", (int)len, (const char *)text);
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        hear_line(f, line);
}

bool facts_acked(const struct facts *f, int64_t seq)
{
    for (size_t i = 0; i < f->n_acked; i++)
        if (f->acked[i] == seq)
            return true;
    return false;
}

bool facts_forgot(const struct facts *f, const char *key)
{
    for (size_t i = 0; i < f->check.n_wants; i++)
        if (strcmp(f->wants[i].path, key) == 0)
            return f->wants[i].forgotten;
    return false;
}

void facts_init(struct facts *f, const struct scene *s)
{
    *f = (struct facts){.check = {.home = s->home, .dest = s->dest, .tmp = s->tmp, .acks = true}};
    for (size_t i = 0; i < POWER_ITEMS && s->story->items[i].path; i++) {
        const struct item *item = &s->story->items[i];
        char *claim = NULL;

        if (item->claim && asprintf(&claim, "%s/%s", s->claims, item->claim) < 0)
            abort();
        f->wants[f->check.n_wants++] = (struct want){.path = item->path,
                                                     .size = item->size,
                                                     .seeds = {item->seed},
                                                     .final = item->final,
                                                     .claim = claim,
                                                     .state = item->fails ? "failed" : "done"};
    }
    f->check.kept = s->story->kept;
    while (f->check.n_kept < ARRAY_SIZE(s->story->kept) && s->story->kept[f->check.n_kept].name)
        f->check.n_kept++;
    f->check.secret = POWER_SECRET;
    f->check.wants = f->wants;
    check_init(&f->check);
}

void facts_free(struct facts *f)
{
    for (size_t i = 0; i < f->check.n_wants; i++)
        free((char *)(uintptr_t)f->wants[i].claim);
}

/* ---- Acknowledged, claimed, removed -------------------------------------------------------------------- */

static int64_t count(sqlite3 *db, const char *sql, int64_t value)
{
    sqlite3_stmt *st = NULL;
    int64_t n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, value);
        n = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    }
    sqlite3_finalize(st);
    return n;
}

/* The checker has left a copy of the journal. */
static void stays_so(const struct facts *f, struct check *c)
{
    static const char event[] = "SELECT count(*) FROM events WHERE seq = ?1 AND session <> 1",
                      task[] = "SELECT count(*) FROM tasks WHERE id = ?1";
    char path[4096];
    sqlite3 *db = NULL;

    snprintf(path, sizeof(path), "%s/journal.db", c->tmp);
    if (f->n_acked + f->n_removed && sqlite3_open(path, &db) != SQLITE_OK)
        check_say(c, 5, "the journal with acknowledgements is gone");
    for (size_t i = 0; i < f->n_acked && db; i++)
        if (count(db, event, f->acked[i]) != 0)
            check_say(c, 5, "event %lld was acknowledged and is there again",
                      (long long)f->acked[i]);
    for (size_t i = 0; i < f->n_removed && db; i++)
        if (count(db, task, f->removed[i]) != 0)
            check_say(c, 1, "task %lld was removed and is there again", (long long)f->removed[i]);
    sqlite3_close(db);
}

static void claims_are_whole(const struct facts *f, struct check *c)
{
    struct stat st;

    for (size_t i = 0; i < c->n_wants; i++) {
        const struct want *w = &c->wants[i];
        bool there = w->claim && stat(w->claim, &st) == 0;

        if (there && (st.st_size != w->size || check_version(w, w->claim, 0, w->size) != 0))
            check_say(c, 3, "%s is claimed and not whole", w->path);
        if (!there && f->claimed[i])
            check_say(c, 3, "%s was claimed and is not there", w->path);
    }
}

/* ---- Asked for again ------------------------------------------------------------------------------------ */

/* What the journal counts: of this nothing may be asked for again. */
static void take_counted(struct check *c)
{
    static const char sql[] = "SELECT t.url, b.idx, b.len FROM blocks b JOIN tasks t ON t.id = b.task";
    char path[4096];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;

    snprintf(path, sizeof(path), "%s/journal.db", c->tmp);
    if (access(path, F_OK) == 0 && sqlite3_open(path, &db) == SQLITE_OK)
        sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    while (st && sqlite3_step(st) == SQLITE_ROW) {
        struct want *w = check_want_of(c, (const char *)sqlite3_column_text(st, 0));
        int64_t start = sqlite3_column_int64(st, 1) * MIB(1);

        if (w)
            ranges_add(&w->taken, start, start + sqlite3_column_int64(st, 2));
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static void look_at_requests(struct check *c, const struct app_place *p, struct check_tasks *tasks,
                             bool before)
{
    struct fx_log log = {0};
    int r = before ? fx_log_read(p->fx, &log) : fx_log_settle(p->fx, 3000, &log);

    if (r && r != -ETIMEDOUT)
        check_say(c, 0, "the server's log cannot be read");
    c->refetch_limit = 0;
    if (before)
        c->asked = INT64_MAX;
    check_requests(c, tasks, &log, false);
    if (before) {
        c->asked = log.count ? log.requests[log.count - 1].id : 0;
        take_counted(c);
    }
    fx_log_free(&log);
}

/* ---- All of it -------------------------------------------------------------------------------------------- */

/* Without a home, or before its first journal, there is nothing to find. */
static void doctor_is_content(struct check *c)
{
    CLEANUP_FREE char *json = NULL;
    dlmgr_error e = {0};
    int r = access(c->home, F_OK) ? 0 : dlmgr_doctor(c->home, 0, &json, &e);

    if (r < 0)
        check_say(c, 2, "doctor fails: %s", e.text);
    else if (json && !strstr(json, "\"problems\":[]"))
        check_say(c, 2, "doctor says %s", json);
}

static void look(const struct facts *f, struct check *c, const struct app_place *p, bool end)
{
    struct check_tasks tasks = {0};

    for (size_t i = 0; i < c->n_wants; i++)
        c->wants[i].id = 0;
    check_journal(c, false, end, &tasks);
    check_files(c, &tasks, &tasks, end);
    check_secret_files(c, c->home);
    if (p)
        look_at_requests(c, p, &tasks, !end);
    free(tasks.at);
    if (!end)
        stays_so(f, c);
    claims_are_whole(f, c);
}

static void go_on(struct check *c, struct app_place *p)
{
    int r = app_launch(p, LAUNCH_OWN);

    if (r < 0)
        check_say(c, 1, "it does not go on: %s (%s)", dlmgr_strerror(r), p->why);
    if (p->wrong)
        check_say(c, 5, "an acknowledged event was told again");
}

int judge(const struct facts *f, struct app_place *p, bool on, FILE *out)
{
    struct check c = f->check;
    struct want wants[POWER_ITEMS];

    memcpy(wants, f->wants, sizeof(wants));
    c.wants = wants;
    c.out = out;
    p->facts = f;
    p->wrong = 0;
    look(f, &c, on ? p : NULL, false);
    doctor_is_content(&c);
    if (on) {
        go_on(&c, p);
        for (size_t i = 0; i < c.n_wants; i++)
            if (p->story->items[i].remove)
                wants[i].forgotten = true, wants[i].told_done = false;
        c.n_ids = 0; /* all were found before, and the app has removed some now */
        look(f, &c, p, true);
    }
    for (size_t i = 0; i < c.n_wants; i++)
        ranges_free(&wants[i].taken);
    return c.violations;
}
