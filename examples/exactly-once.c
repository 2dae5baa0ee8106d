/* SPDX-License-Identifier: MIT */
/*
 * exactly-once.c - each finished download counts once in the application's own database, whatever is killed when.
 *
 *     exactly-once LEDGER DIRECTORY URL...       ends when all have ended; the same command again goes on
 *
 * The recipe:
 *
 *   1. What a `done` means to us (here: one more row and a larger sum) and the number of its event are written in one transaction. So
 *      after a crash the database itself says which events it has seen: all up to `seq`, and none after.
 *   2. At each start, between opening the session and the first dlmgr_process(), dlmgr is told to go on after that number.
 *   3. Numbers belong to one home. Each opening of a session there raises its incarnation, so one that is not higher than
 *      the last one means another home (lost, or back from a backup): its numbers begin anew, and so do we.
 *
 * Events are handled in order; when our database fails we stop at that event, since a later number would cover it.
 *
 *     cc exactly-once.c $(pkg-config --cflags --libs dlmgr sqlite3)
 */
#include <dlmgr.h>

#include <poll.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SESSION "org.example.exactly-once"

enum { BATCH = 1000 };

struct app {
    dlmgr *d;
    sqlite3 *db;
    int64_t seq; /* the last event that the database has */
    int ended;   /* 1 drained, or why not */
    dlmgr_error error;
};

/* ---- Our own database ------------------------------------------------------------------------------------------------ */

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS received(key TEXT, seq INTEGER, path TEXT, bytes INTEGER);"
    "CREATE INDEX IF NOT EXISTS received_key ON received(key);"
    "CREATE TABLE IF NOT EXISTS account(files INTEGER, bytes INTEGER, seq INTEGER, incarnation INTEGER);"
    "INSERT INTO account SELECT 0, 0, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM account);";

/* Without the database nothing may go on; at the next start all goes on after what it has. */
static void die(struct app *app, const char *what)
{
    fprintf(stderr, "exactly-once: %s: %s\n", what, sqlite3_errmsg(app->db));
    _exit(1);
}

/* One statement with up to two numbers and two texts: ?1 to ?4. Its first column, or 0. */
static int64_t sql(struct app *app, const char *text, int64_t n1, int64_t n2, const char *t3,
                   const char *t4)
{
    sqlite3_stmt *statement = NULL;
    int64_t result = 0;
    int r = sqlite3_prepare_v2(app->db, text, -1, &statement, NULL);

    sqlite3_bind_int64(statement, 1, n1);
    sqlite3_bind_int64(statement, 2, n2);
    sqlite3_bind_text(statement, 3, t3, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 4, t4, -1, SQLITE_STATIC);
    if (r == SQLITE_OK)
        r = sqlite3_step(statement);
    if (r == SQLITE_ROW)
        result = sqlite3_column_int64(statement, 0);
    else if (r != SQLITE_DONE)
        die(app, text);
    sqlite3_finalize(statement);
    return result;
}

static void open_ledger(struct app *app, const char *path)
{
    if (sqlite3_open(path, &app->db) || sqlite3_busy_timeout(app->db, 10000) ||
        sqlite3_exec(app->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", NULL, NULL, NULL) ||
        sqlite3_exec(app->db, schema, NULL, NULL, NULL))
        die(app, path);
}

/* ---- What dlmgr tells ------------------------------------------------------------------------------------------------ */

/* The recipe's first step: effect and number in one transaction. */
static int on_event(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    struct app *app = context;

    printf("%s %lld %s %s\n", event->replay ? "replay" : "event", (long long)event->seq,
           event->type, event->key);
    sql(app, "BEGIN IMMEDIATE", 0, 0, NULL, NULL);
    if (event->seq > sql(app, "SELECT seq FROM account", 0, 0, NULL, NULL)) {
        if (!strcmp(event->type, "done")) {
            sql(app, "INSERT INTO received VALUES(?3, ?1, ?4, ?2)", event->seq, event->bytes_total,
                event->key, event->path);
            sql(app, "UPDATE account SET files = files + 1, bytes = bytes + ?2", 0,
                event->bytes_total, NULL, NULL);
        }
        sql(app, "UPDATE account SET seq = ?1", event->seq, 0, NULL, NULL);
    }
    sql(app, "COMMIT", 0, 0, NULL, NULL);
    return 0;
}

static void on_progress(dlmgr_session *session, const dlmgr_progress *progress, void *context)
{
    printf("progress %lld of %lld %s\n", (long long)progress->bytes_done,
           (long long)progress->bytes_total, progress->key ? progress->key : "");
}

static void on_ready(dlmgr_session *session, void *context)
{
    printf("ready\n");
}

static void on_drained(dlmgr_session *session, void *context)
{
    struct app *app = context;

    printf("drained\n");
    app->ended = 1;
}

/* Another instance took the session, or the home was replaced under us. */
static void on_lost(dlmgr_session *session, const dlmgr_error *why, void *context)
{
    struct app *app = context;

    app->error = *why;
    app->ended = why->code;
}

static const dlmgr_delegate delegate = {
    .size = sizeof(delegate),
    .event = on_event,
    .progress = on_progress,
    .ready = on_ready,
    .drained = on_drained,
    .lost = on_lost,
};

/* ---- Starting -------------------------------------------------------------------------------------------------------- */

/* The second and third step. */
static int go_on(struct app *app, int64_t incarnation)
{
    int64_t seq = sql(app, "SELECT seq FROM account", 0, 0, NULL, NULL);
    bool same_home = incarnation > sql(app, "SELECT incarnation FROM account", 0, 0, NULL, NULL);
    int r = same_home ? dlmgr_ack_to(app->d, SESSION, seq, &app->error) : DLMGR_EINVAL;

    if (r == DLMGR_EINVAL) /* no such number there: another home */
        r = seq = 0;
    if (r < 0)
        return r;
    sql(app, "UPDATE account SET seq = ?1, incarnation = ?2", seq, incarnation, NULL, NULL);
    printf("after %lld, incarnation %lld%s\n", (long long)seq, (long long)incarnation,
           same_home ? "" : ", another home");
    return 0;
}

/* What the database has was received, wherever its task is by now; all else is added, and adding twice is adding once. */
static int add_all(struct app *app, const char *directory, char **urls)
{
    dlmgr_request requests[BATCH];
    size_t n = 0;
    int r = 0;

    for (; r == 0 && *urls; urls++) {
        if (!sql(app, "SELECT count(*) FROM received WHERE key = ?3", 0, 0, *urls, NULL)) {
            dlmgr_request_init(&requests[n]);
            requests[n].url = requests[n].key = *urls;
            requests[n].dir = directory;
            requests[n++].session = SESSION;
        }
        if (n == BATCH || (n && !urls[1])) {
            r = dlmgr_add(app->d, requests, n, NULL, NULL, &app->error);
            n = 0;
        }
    }
    return r;
}

static int run(struct app *app)
{
    struct pollfd fd = {.fd = dlmgr_fd(app->d), .events = POLLIN};
    int r = 0;

    while (r >= 0 && !app->ended && poll(&fd, 1, -1) >= 0)
        r = dlmgr_stopping(app->d) ? DLMGR_ECLOSED : dlmgr_process(app->d, &app->error);
    return r < 0 ? r : app->ended < 0 ? app->ended : 0;
}

static int work(struct app *app, const char *directory, char **urls)
{
    dlmgr_session *session = NULL;
    int r = dlmgr_open(DLMGR_OWN, NULL, &app->d, &app->error);

    if (r == DLMGR_EBUSY)
        r = dlmgr_open(DLMGR_ATTACH, NULL, &app->d, &app->error);
    if (r == 0)
        r = add_all(app, directory, urls);
    if (r == 0)
        r = dlmgr_session_open(app->d, SESSION, 0, &delegate, app, &session, &app->error);
    if (r == 0)
        r = go_on(app, dlmgr_session_incarnation(session));
    if (r == 0)
        r = run(app);
    app->d = dlmgr_close(app->d);
    return r;
}

int main(int argc, char **argv)
{
    char *directory = argc > 3 ? realpath(argv[2], NULL) : NULL;
    struct app app = {0};
    int r;

    if (!directory)
        return fprintf(stderr, "usage: exactly-once LEDGER DIRECTORY URL...\n"), 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_ledger(&app, argv[1]);
    /* When whoever did the work has gone: since each step can be repeated, begin again. It may have a successor, who goes first. */
    while ((r = work(&app, directory, argv + 3)) == DLMGR_ELINK || r == DLMGR_ENOOWNER ||
           r == DLMGR_ECLOSED)
        sleep(1);
    printf("%lld files, %lld bytes\n",
           (long long)sql(&app, "SELECT files FROM account", 0, 0, NULL, NULL),
           (long long)sql(&app, "SELECT bytes FROM account", 0, 0, NULL, NULL));
    if (r < 0)
        fprintf(stderr, "exactly-once: %s\n", app.error.text);
    sqlite3_close(app.db);
    free(directory);
    return r < 0;
}
