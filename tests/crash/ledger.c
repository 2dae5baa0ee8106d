/* SPDX-License-Identifier: MIT */
/*
 * ledger.c - looks at what examples/exactly-once did, after each run that may have been killed.
 *
 *     ledger LEDGER OUT ENDED FILES BYTES        OUT: its stdout; ENDED 1: it ended by itself, with so many files and bytes in all
 *
 * Of the database: each file is counted once, and is there with its size; sums are sums. Of what it was told in this run: it
 * goes on after the number that the database had after the run before, with a higher incarnation; numbers follow each other without a
 * gap, none comes again; before `ready` replays alone; one `ready` an opening; before each `done` a last progress that equals
 * the size; and at the end one `drained`. Between runs it keeps in LEDGER.seen where they were. A line for each
 * thing that is wrong, exit code 1.
 */
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { URL_MAX = 4096 };

struct told { /* in this run */
    long long after, seq, incarnation;
    sqlite3 *progress; /* the last one of each file */
    int openings, ready, drained;
    bool is_ready;
};

static int wrongs;

static void __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    wrongs++;
}

/* ---- The database ---------------------------------------------------------------------------------------------- */

static sqlite3_stmt *query(sqlite3 *db, const char *text)
{
    sqlite3_stmt *statement;

    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL)) {
        wrong("%s: %s", text, sqlite3_errmsg(db));
        exit(1);
    }
    return statement;
}

static long long number(sqlite3 *db, const char *text)
{
    sqlite3_stmt *statement = query(db, text);
    long long result = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0)
                                                             : -1;

    sqlite3_finalize(statement);
    return result;
}

static void same(long long is, long long expected, const char *what)
{
    if (is != expected)
        wrong("%s: %lld, expected %lld", what, is, expected);
}

static void each_file_is_there(sqlite3 *db)
{
    sqlite3_stmt *statement = query(db, "SELECT path, bytes FROM received");

    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *path = (const char *)sqlite3_column_text(statement, 0);
        struct stat st;

        if (stat(path, &st) || st.st_size != sqlite3_column_int64(statement, 1))
            wrong("%s is not there with its %lld bytes", path,
                  (long long)sqlite3_column_int64(statement, 1));
    }
    sqlite3_finalize(statement);
}

static void look_at_ledger(sqlite3 *db)
{
    long long files = number(db, "SELECT count(*) FROM received");

    same(number(db, "SELECT count(DISTINCT key) FROM received"), files, "different files");
    same(number(db, "SELECT count(DISTINCT seq) FROM received"), files, "different events");
    same(number(db, "SELECT files FROM account"), files, "the account's files");
    same(number(db, "SELECT bytes FROM account"),
         number(db, "SELECT coalesce(sum(bytes), 0) FROM received"), "the account's bytes");
    each_file_is_there(db);
}

/* ---- What it was told -------------------------------------------------------------------------------------------- */

static void told_after(struct told *t, const char *line)
{
    long long after = -1, incarnation = -1;

    sscanf(line, "after %lld, incarnation %lld", &after, &incarnation);
    same(after, t->seq, "it goes on after");
    if (incarnation <= t->incarnation || strstr(line, "another home"))
        wrong("incarnation %lld after %lld", incarnation, t->incarnation);
    t->seq = after;
    t->incarnation = incarnation;
    t->openings++;
    t->is_ready = false;
    t->drained = 0;
}

static void told_progress(const struct told *t, const char *line)
{
    char key[URL_MAX] = "";
    long long bytes = -1, total = -1;
    sqlite3_stmt *statement = query(t->progress, "REPLACE INTO told VALUES(?1, ?2)");

    sscanf(line, "progress %lld of %lld %4095s", &bytes, &total, key);
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 2, bytes == total);
    sqlite3_step(statement);
    sqlite3_finalize(statement);
}

static bool is_told_whole(const struct told *t, const char *key)
{
    sqlite3_stmt *statement = query(t->progress, "SELECT whole FROM told WHERE key = ?1");
    bool whole;

    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    whole = sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return whole;
}

static void told_event(struct told *t, const char *line, bool replay)
{
    char type[32] = "", key[URL_MAX] = "";
    long long seq = -1;

    sscanf(line, "%*s %lld %31s %4095s", &seq, type, key);
    if (seq != t->seq + 1)
        wrong("event %lld after %lld", seq, t->seq);
    t->seq = seq;
    t->drained = 0;
    if (!replay && !t->is_ready)
        wrong("%s before ready", line);
    if (!strcmp(type, "done") && !is_told_whole(t, key))
        wrong("done of %s, whose last progress was not its size", key);
}

static void told(struct told *t, const char *line)
{
    if (!strncmp(line, "after ", 6)) {
        told_after(t, line);
    } else if (!strncmp(line, "event ", 6) || !strncmp(line, "replay ", 7)) {
        told_event(t, line, *line == 'r');
    } else if (!strncmp(line, "progress ", 9)) {
        told_progress(t, line);
    } else if (!strcmp(line, "ready")) {
        t->ready++;
        t->is_ready = true;
    } else if (!strcmp(line, "drained")) {
        t->drained++;
        if (!t->is_ready)
            wrong("drained before ready");
    }
}

static void look_at_output(struct told *t, const char *path)
{
    char line[URL_MAX + 128], *end;
    FILE *f = fopen(path, "re");

    sqlite3_open(":memory:", &t->progress);
    sqlite3_exec(t->progress, "CREATE TABLE told(key TEXT PRIMARY KEY, whole INTEGER)", NULL, NULL,
                 NULL);
    while (f && fgets(line, sizeof(line), f))
        if ((end = strchr(line, '\n'))) { /* a kill may have cut the last one */
            *end = 0;
            told(t, line);
        }
    if (!f)
        wrong("%s: cannot be read", path);
    else
        fclose(f);
    sqlite3_close(t->progress);
    if (t->ready > t->openings)
        wrong("%d ready in %d openings", t->ready, t->openings);
}

/* ---- Between runs ------------------------------------------------------------------------------------------------- */

static void seen(const char *ledger, struct told *t, bool write)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof(path), "%s.seen", ledger);
    f = fopen(path, write ? "we" : "re");
    if (f && write)
        fprintf(f, "%lld %lld\n", t->seq, t->incarnation);
    else if (f && fscanf(f, "%lld %lld", &t->seq, &t->incarnation) != 2)
        wrong("%s: cannot be read", path);
    if (f)
        fclose(f);
}

int main(int argc, char **argv)
{
    struct told t = {0};
    sqlite3 *db;

    if (argc != 6)
        return fprintf(stderr, "usage: ledger LEDGER OUT ENDED FILES BYTES\n"), 2;
    seen(argv[1], &t, false);
    look_at_output(&t, argv[2]);
    if (sqlite3_open(argv[1], &db) == SQLITE_OK &&
        number(db, "SELECT count(*) FROM sqlite_master WHERE name = 'account'") == 1 &&
        number(db, "SELECT count(*) FROM account") == 1) {
        look_at_ledger(db);
        t.seq = number(db, "SELECT seq FROM account");
    }
    if (!strcmp(argv[3], "1")) {
        same(number(db, "SELECT files FROM account"), atoll(argv[4]), "files at the end");
        same(number(db, "SELECT bytes FROM account"), atoll(argv[5]), "bytes at the end");
        same(t.is_ready, 1, "ready in the last opening");
        same(t.drained, 1, "drained");
    }
    sqlite3_close(db);
    seen(argv[1], &t, true);
    return wrongs > 0;
}
