/* SPDX-License-Identifier: MIT */
/*
 * salvage.c - what can be read of a damaged journal, carried over into a new one.
 *
 * salvage_file.c gives a copy of the old journal and a new one; here the rows go from one to the other. `kinds` has a row a table: what its columns are, how a row
 * is put into the new one, and what is to be done besides. The new one's own CHECKs, keys and references refuse what cannot be; salvage_mend.c then puts right what
 * must hold between rows, and says so.
 *
 * What is believed, and what is not:
 *
 *     a row           as of its version: bytes were synced before they were counted, so an older count is a true one. Blocks are read back against their
 *                     checksums before a part goes on, as always
 *     numbers         of events, tasks and holders are never given out again. When the row that counts them is lost, or the journal is older than HOME/mark says
 *                     (`doubt`), they go on from the time in milliseconds, which is above all that there were
 *     a state         an event that says that the task has ended is believed before a row that says it has not. In doubt nothing starts by itself: what had not ended
 *                     is paused, and events are told as replays
 *     hosts, tally    are made anew from the tasks
 */
#include "store/salvage.h"

#include "dlmgr/plan.h"
#include "dlmgr/url.h"

#include <stdio.h>

enum { BATCH = 1000 };

struct salvage;

/* i integer, t text, b blob; a capital: or NULL; r: the rowid, which the record does not have. */
struct kind {
    const char *table, *columns;
    int least; /* how many columns a row of the oldest version has */
    bool keyed;
    int saved; /* counted as this; -1: not at all */
    const char *insert;
    /* Before it is inserted: 0, or 1: it is not to be. */
    int (*take)(struct salvage *v, const struct dlm_record *rec);
};

struct salvage {
    struct dlm_store *s;
    struct dlm_pages *pages;
    struct dlm_salvage *sum;
    const struct kind *kind;
    sqlite3_stmt *insert, *claim;
    int64_t commits, last_task, host;
    int pending; /* rows since the last commit */
};

static int text_is(const struct dlm_value *v, const char *text)
{
    return v->len == strlen(text) && !memcmp(v->data, text, v->len);
}

static int64_t as_number(const struct dlm_value *v)
{
    char text[32];

    snprintf(text, sizeof(text), "%.*s", (int)MIN(v->len, sizeof(text) - 1), (const char *)v->data);
    return MAX(strtoll(text, NULL, 10), 0);
}

/* ---- What is to be done besides ------------------------------------------------------------------------------- */

static int take_setting(struct salvage *v, const struct dlm_record *rec)
{
    const struct dlm_value *value = &rec->at[1];

    if (text_is(&rec->at[0], "commits"))
        v->commits = as_number(value);
    if (text_is(&rec->at[0], "tag"))
        return value->len != 4 || strspn((const char *)value->data, "0123456789abcdef") < 4;
    return text_is(&rec->at[0], "commits") || text_is(&rec->at[0], "secrets_mark");
}

static int take_sequence(struct salvage *v, const struct dlm_record *rec)
{
    if (text_is(&rec->at[0], "tasks"))
        v->last_task = MAX(v->last_task, rec->at[1].number);
    return 1;
}

/* Its URL says where it goes. */
static int take_task(struct salvage *v, const struct dlm_record *rec)
{
    CLEANUP_FREE char *url = dlm_strndup((const char *)rec->at[6].data, rec->at[6].len);
    CLEANUP(dlm_url_clear) struct dlm_url parsed = {0};
    int r = url ? dlm_url_parse(url, &parsed, NULL) : DLMGR_ENOMEM;

    if (r < 0)
        return r == DLMGR_EINVAL ? 1 : r;
    return dlm_host_id(v->s, parsed.origin, &v->host);
}

/* Something says that there is a task of this number. */
static int claim(struct salvage *v, int64_t task)
{
    int rc;

    sqlite3_bind_int64(v->claim, 1, task);
    rc = sqlite3_step(v->claim);
    sqlite3_reset(v->claim);
    return rc == SQLITE_DONE ? 0 : dlm_sql_failed(v->s, v->s->db, rc);
}

static int take_listed(struct salvage *v, const struct dlm_record *rec)
{
    int r = claim(v, rec->at[2].number);

    return r < 0 ? r : 1;
}

static int take_part(struct salvage *v, const struct dlm_record *rec)
{
    return claim(v, rec->at[v->kind->columns[0] == 'r'].number);
}

#define COUNTED(kind) .saved = DLM_SAVED_##kind

/* In this order: what refers to something comes after it. */
static const struct kind kinds[] = {
    {"settings", "tt", 2, true, COUNTED(SETTINGS), "INSERT OR REPLACE INTO settings VALUES(?1, ?2)",
     take_setting},
    {"sqlite_sequence", "ti", 2, false, -1, NULL, take_sequence},
    {"sessions", "rtiiiT", 4, false, COUNTED(SESSIONS),
     "INSERT INTO sessions(id, name, last_seq, acked_seq, incarnation, on_event) "
     "SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE ?3 >= 0 AND ?4 BETWEEN 0 AND ?3 AND ?5 >= 0 "
     "ON CONFLICT(id) DO UPDATE SET last_seq = ?3, acked_seq = ?4, incarnation = ?5, on_event = ?6 "
     "WHERE name = ?2 AND last_seq < 0",
     NULL},
    /* The index of names: a session whose row is lost. */
    {"sqlite_autoindex_sessions_1", "ti", 2, true, -1,
     "INSERT OR IGNORE INTO sessions(name, id, last_seq) VALUES(?1, ?2, -1)", NULL},
    {"tasks", "riiiTTtitTTTTiiiiTTTiTTiTiiiiiiiiiiTBTTi", 37, false, COUNTED(TASKS),
     "INSERT INTO tasks(id, state, session, host, key, request_hash, url, url_key, dir, out, name, part, path, "
     "total, bytes, generation, attempts, validator, answered, wait_reason, wake_at, told, error, exit_code, "
     "digest, priority, on_exists, mask, secret, created_at, started_at, finished_at, ino, btime, size, options, "
     "user_data, metrics, offered, unverified) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, "
     "?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, "
     "?35, ?36, ?37, ?38, ?39, ?40)",
     take_task},
    {"tasks_listed", "iii", 3, true, -1, NULL, take_listed},
    {"sources", "iit", 3, true, COUNTED(SOURCES),
     "INSERT INTO sources(task, n, url) VALUES(?1, ?2, ?3)", take_part},
    {"blocks", "iiii", 4, true, COUNTED(BLOCKS),
     "INSERT INTO blocks(task, idx, len, crc) VALUES(?1, ?2, ?3, ?4)", take_part},
    {"hints", "riitiiiiii", 10, false, COUNTED(HINTS),
     "INSERT INTO hints(id, task, generation, boot, dev, ino, start, end, chain, crc) "
     "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
     take_part},
    {"events", "iiiitiiit", 9, true, COUNTED(EVENTS),
     "INSERT INTO events(session, seq, task, generation, type, terminal, time, deliveries, body) "
     "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
     NULL},
    {"gone", "r", 1, false, -1,
     "INSERT INTO gone(secret) SELECT ?1 WHERE NOT EXISTS "
     "(SELECT 1 FROM tasks WHERE secret = ?1 AND secret > 0)",
     NULL},
    /* Made anew; so that their pages are known to be theirs. */
    {"hosts", "", 0, false, -1, NULL, NULL},
    {"tally", "", 0, true, -1, NULL, NULL},
};

enum { K_TASKS = 4, K_SOURCES = 6, K_BLOCKS, K_HINTS, K_EVENTS };

/* ---- A row ------------------------------------------------------------------------------------------------------- */

static bool fits(char column, const struct dlm_value *v)
{
    static const struct {
        char letter;
        int type;
    } types[] = {{'i', SQLITE_INTEGER}, {'t', SQLITE_TEXT}, {'b', SQLITE_BLOB}};

    if (v->type == SQLITE_NULL)
        return column == 'r' || column < 'a';
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (types[i].letter == (column | 0x20))
            return v->type == types[i].type;
    return false;
}

static bool has_shape(const struct kind *kind, const struct dlm_record *rec)
{
    int n = (int)strlen(kind->columns);

    if (rec->n < kind->least || rec->n > n)
        return false;
    for (int i = 0; i < rec->n; i++)
        if (!fits(kind->columns[i], &rec->at[i]))
            return false;
    return true;
}

/* What an older version's row does not have is as a new one begins: 0, or NULL. */
static int bind_value(const struct salvage *v, const struct dlm_record *rec, int i)
{
    static const struct dlm_value none = {.type = SQLITE_NULL};
    const struct dlm_value *value = i < rec->n ? &rec->at[i] : &none;
    char column = v->kind->columns[i];

    if (column == 'r')
        return sqlite3_bind_int64(v->insert, i + 1, rec->rowid);
    if (column == 'i')
        return sqlite3_bind_int64(v->insert, i + 1,
                                  v->kind == &kinds[K_TASKS] && i == 3 ? v->host : value->number);
    if (value->type == SQLITE_TEXT)
        return sqlite3_bind_text(v->insert, i + 1, (const char *)value->data, (int)value->len,
                                 SQLITE_STATIC);
    return value->type == SQLITE_NULL
               ? sqlite3_bind_null(v->insert, i + 1)
               : sqlite3_bind_blob(v->insert, i + 1, value->data, (int)value->len, SQLITE_STATIC);
}

/* 1: it is there; 0: the new journal refuses it. */
static int insert_row(struct salvage *v, const struct dlm_record *rec)
{
    int rc = SQLITE_OK, before = sqlite3_total_changes(v->s->db);

    for (int i = 0; v->kind->columns[i] && rc == SQLITE_OK; i++)
        rc = bind_value(v, rec, i);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(v->insert);
    sqlite3_reset(v->insert);
    if (rc == SQLITE_DONE)
        return sqlite3_total_changes(v->s->db) > before;
    return (rc & 0xff) == SQLITE_CONSTRAINT ? 0 : dlm_sql_failed(v->s, v->s->db, rc);
}

/* The batch so far is stored, so that memory and the WAL stay short. */
static int pause_for_breath(struct salvage *v)
{
    int r;

    if (++v->pending < BATCH)
        return 0;
    v->pending = 0;
    r = dlm_store_commit(v->s, NULL);
    return r == 0 ? dlm_store_begin(v->s) : r;
}

static int carry(const struct dlm_record *rec, void *context)
{
    struct salvage *v = context;
    struct dlm_saved *sum = v->kind->saved < 0 ? NULL : &v->sum->kinds[v->kind->saved];
    bool shape = has_shape(v->kind, rec);
    int r = 0, put = 0;

    if (shape && v->kind->take)
        r = v->kind->take(v, rec);
    if (shape && r == 0 && v->kind->insert && (put = insert_row(v, rec)) < 0)
        r = put;
    if (r < 0)
        return r;
    if (sum && put)
        sum->saved++;
    else if (sum && (!shape || r == 0))
        sum->lost++;
    /* A task that is there and was not carried. */
    if (v->kind == &kinds[K_TASKS] && !put && rec->rowid > 0 && (r = claim(v, rec->rowid)) < 0)
        return r;
    return pause_for_breath(v);
}

/* ---- A table ------------------------------------------------------------------------------------------------------ */

static int begin_kind(struct salvage *v, const struct kind *kind)
{
    int rc = SQLITE_OK;

    v->kind = kind;
    sqlite3_finalize(TAKE_PTR(v->insert));
    if (kind->insert)
        rc = sqlite3_prepare_v2(v->s->db, kind->insert, -1, &v->insert, NULL);
    return rc == SQLITE_OK ? 0 : dlm_sql_failed(v->s, v->s->db, rc);
}

/* Rows on pages that nothing leads to any more, because what did is damaged. An index of events looks as blocks do: of those only whole ones are taken. */
static int carry_lone(const struct dlm_record *rec, void *context)
{
    struct salvage *v = context;

    if (!has_shape(v->kind, rec) || (v->kind == &kinds[K_BLOCKS] && rec->at[2].number != DLM_BLOCK))
        return 0;
    return carry(rec, v);
}

static bool may_be_lone(size_t k)
{
    return k == K_TASKS || k == K_SOURCES || k == K_BLOCKS || k == K_EVENTS;
}

/* all: what something leads to in the whole file; NULL: what is free is not known, and so nothing is taken of pages that nothing leads to. */
static int carry_kind(struct salvage *v, size_t k, uint32_t root, const struct dlm_pages *all)
{
    int r = begin_kind(v, &kinds[k]);

    if (r == 0)
        r = dlm_pages_walk(v->pages, root, kinds[k].keyed, carry, v);
    for (uint32_t page = 2; all && may_be_lone(k) && page <= all->n && r == 0; page++)
        if (!dlm_pages_seen(all, page))
            r = dlm_pages_one(v->pages, page, kinds[k].keyed, carry_lone, v);
    return r;
}

/* ---- All of them --------------------------------------------------------------------------------------------------- */

enum { ROOTS_MAX = 64 };

struct roots {
    struct {
        char name[40];
        uint32_t page;
    } at[ROOTS_MAX];
    size_t n;
};

/* The trees of the new journal: the old one has the same, and begins them at the same pages unless its own list says otherwise. */
static int list_roots(struct dlm_store *s, struct roots *ret)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 1",
                                -1, &st, NULL);

    ret->n = 0;
    while (rc == SQLITE_OK && ret->n < ROOTS_MAX && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        snprintf(ret->at[ret->n].name, sizeof(ret->at[0].name), "%s",
                 (const char *)sqlite3_column_text(st, 0));
        ret->at[ret->n++].page = (uint32_t)sqlite3_column_int64(st, 1);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : dlm_sql_failed(s, s->db, rc);
}

static int find_root(const struct dlm_record *rec, void *context)
{
    struct roots *roots = context;

    if (rec->n < 4 || rec->at[1].type != SQLITE_TEXT || rec->at[3].type != SQLITE_INTEGER)
        return 0;
    for (size_t i = 0; i < roots->n; i++)
        if (text_is(&rec->at[1], roots->at[i].name) && rec->at[3].number > 1)
            roots->at[i].page = (uint32_t)MIN(rec->at[3].number, (int64_t)UINT32_MAX);
    return 0;
}

static int nothing(const struct dlm_record *rec, void *context)
{
    (void)rec;
    (void)context;
    return 0;
}

/* What leads where in the whole file; *ret_known: all that is free is known too. */
static int survey(struct dlm_pages *all, struct roots *roots, bool *ret_known)
{
    int r = dlm_pages_walk(all, 1, false, find_root, roots);

    for (size_t i = 0; i < roots->n && r == 0; i++)
        r = dlm_pages_walk(all, roots->at[i].page, dlm_pages_keyed(all, roots->at[i].page), nothing,
                           NULL);
    *ret_known = r == 0 && dlm_pages_free(all);
    return r;
}

static int carry_all(struct salvage *v, const struct roots *roots, const struct dlm_pages *all)
{
    int r = 0;

    for (size_t k = 0; k < ARRAY_SIZE(kinds) && r == 0; k++)
        for (size_t i = 0; i < roots->n && r == 0; i++)
            if (!strcmp(roots->at[i].name, kinds[k].table))
                r = carry_kind(v, k, roots->at[i].page, all);
    return r;
}

/* ---- The whole ------------------------------------------------------------------------------------------------------ */

static int begin(struct salvage *v)
{
    static const char sql[] = "CREATE TEMP TABLE claimed(task INTEGER PRIMARY KEY);"
                              "UPDATE sessions SET last_seq = -1;";
    int r = dlm_store_begin(v->s), rc;

    if (r < 0)
        return r;
    rc = sqlite3_exec(v->s->db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(v->s->db,
                                "INSERT OR IGNORE INTO temp.claimed "
                                "SELECT ?1 WHERE ?1 > 0 AND NOT EXISTS (SELECT 1 FROM tasks WHERE id = ?1)",
                                -1, &v->claim, NULL);
    return rc == SQLITE_OK ? 0 : dlm_sql_failed(v->s, v->s->db, rc);
}

static int carry_and_mend(struct salvage *v, int64_t mark, struct dlm_pages *all, bool free_known,
                          struct dlm_mending *m)
{
    struct roots roots;
    bool known = false;
    int r = list_roots(v->s, &roots);

    if (r == 0)
        r = survey(all, &roots, &known);
    if (r == 0)
        r = begin(v);
    if (r < 0)
        return r;
    v->sum->bad_pages = all->bad + (all->bad_rows > 0);
    r = carry_all(v, &roots, known && free_known ? all : NULL);
    if (r < 0)
        return r;
    m->doubt = v->commits < mark;
    m->last_task = v->last_task;
    v->sum->changes = m->doubt ? mark - v->commits : 0;
    r = dlm_salvage_mend(m);
    v->s->commits = MAX(v->s->commits, MAX(v->commits, mark));
    return r == 0 ? dlm_store_commit(v->s, NULL) : r;
}

int dlm_salvage_rows(struct dlm_store *s, int fd, unsigned reserved, bool free_known, int64_t mark,
                     struct dlm_salvage *sum, dlm_problem_fn fn, void *context)
{
    struct dlm_pages pages = {0}, all = {0};
    struct salvage v = {.s = s, .pages = &pages, .sum = sum};
    struct dlm_mending m = {.s = s, .sum = sum, .fn = fn, .context = context};
    int r = dlm_pages_open(&pages, fd);

    if (r == 0)
        r = dlm_pages_open(&all, fd);
    pages.reserved = all.reserved = reserved;
    if (r == 0)
        r = carry_and_mend(&v, mark, &all, free_known, &m);
    sqlite3_finalize(v.insert);
    sqlite3_finalize(v.claim);
    dlm_pages_close(&pages);
    dlm_pages_close(&all);
    return r;
}
