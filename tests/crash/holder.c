/* SPDX-License-Identifier: MIT */
/*
 * holder.c - an app with a session, made to be killed: it says in a log what it was told, and what it answered.
 *
 *     holder HOME DOWNLOADS TO OTHER LOG URL...
 *
 * It attaches to the owner of HOME, or becomes it; adds the URLs, each with its number as key and user data; takes the session; and works until it is
 * drained. Files go, by the remainder of their number by three, to TO (claimed), to OTHER (claimed; on another file system), or stay and
 * are acknowledged later. Exit code 0: drained. 75: not now (the owner went, or another holder came): start it again.
 *
 * A line of the log begins with the pid and is one write() before anything that follows from it, so what a kill leaves of the log is true. `acked` is written when the acknowledgement is
 * known to be durable: dlmgr_ack() or dlmgr_claim_move() returned 0. holder.awk reads it.
 */
#include <dlmgr.h>

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SESSION "org.example.holder"

enum { MANY = 256, AGAIN = 75 };

static struct {
    const char *downloads;
    int to, other, log;
    int64_t later[MANY]; /* to be acknowledged when dlmgr_process() has returned */
    int n_later, n_urls;
    int drained, lost;
} app;

static void note(const char *fmt, ...)
{
    char line[256];
    va_list ap;
    int n;

    n = snprintf(line, sizeof(line), "%d ", (int)getpid());
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
    va_end(ap);
    if (write(app.log, line, (size_t)n) != n)
        _exit(1);
}

/* Not now: whoever runs this starts it again. Anything that cannot be explained by a kill ends it with 1. */
static void give_up(const char *what, const dlmgr_error *error)
{
    int again = error->code == DLMGR_ELINK || error->code == DLMGR_ENOOWNER ||
                error->code == DLMGR_ECLOSED || error->code == DLMGR_ELOST ||
                error->code == DLMGR_EBUSY;

    note("%s %s: %.150s\n", again ? "again" : "wrong", what, error->text);
    exit(again ? AGAIN : 1);
}

/* ---- The delegate -------------------------------------------------------------------------------------------- */

static int number_of(const void *data, size_t len)
{
    char text[16] = "";

    if (len < sizeof(text))
        memcpy(text, data, len);
    return *text ? atoi(text) : -1;
}

static void on_restored(dlmgr_session *session, const dlmgr_task *task, void *context)
{
    (void)session;
    (void)context;
    note("restored %d\n", number_of(task->user_data, task->user_data_len));
}

static int on_done(const dlmgr_event *event, int number)
{
    dlmgr_error error;
    char name[16];

    if (number % 3 == 2) {
        if (app.n_later < MANY)
            app.later[app.n_later++] = event->seq;
        return DLMGR_LATER;
    }
    snprintf(name, sizeof(name), "%d", number);
    if (dlmgr_claim_move(event, number % 3 ? app.other : app.to, name, 0, &error) == 0) {
        note("acked %lld\n", (long long)event->seq);
        return 0;
    }
    if (error.code != DLMGR_ELOST && error.code != DLMGR_ELINK && error.code != DLMGR_ENOOWNER)
        note("wrong claim: %.150s\n", error.text);
    return DLMGR_AGAIN;
}

static int on_event(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    int number = number_of(event->user_data, event->user_data_len);

    (void)session;
    (void)context;
    note("event %lld %s %d %d %lld\n", (long long)event->seq, event->type, number, event->replay,
         (long long)event->deliveries);
    if (!strcmp(event->type, "done"))
        return on_done(event, number);
    if (app.n_later < MANY)
        app.later[app.n_later++] = event->seq;
    return DLMGR_LATER;
}

static void on_progress(dlmgr_session *session, const dlmgr_progress *progress, void *context)
{
    (void)session;
    (void)context;
    note("progress %d %lld %lld\n", number_of(progress->user_data, progress->user_data_len),
         (long long)progress->bytes_done, (long long)progress->bytes_total);
}

static void on_ready(dlmgr_session *session, void *context)
{
    (void)session;
    (void)context;
    note("ready\n");
}

static void on_drained(dlmgr_session *session, void *context)
{
    (void)session;
    (void)context;
    app.drained = 1;
}

static void on_lost(dlmgr_session *session, const dlmgr_error *why, void *context)
{
    (void)session;
    (void)why;
    (void)context;
    note("lost\n");
    app.lost = 1;
}

/* ---- Work -------------------------------------------------------------------------------------------------------- */

static dlmgr *open_home(const char *home)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    dlmgr_error error;
    dlmgr *handle;

    options.home = home;
    if (dlmgr_open(DLMGR_ATTACH, &options, &handle, &error) == 0)
        return handle;
    if (getenv("HOLDER_ATTACHES") || dlmgr_open(DLMGR_OWN, &options, &handle, &error) < 0)
        give_up("open", &error);
    return handle;
}

/* The keys make it one task each, however often. */
static void add_all(dlmgr *handle, char *const *urls)
{
    dlmgr_request requests[MANY];
    char keys[MANY][16];
    dlmgr_error error;
    int n;

    for (n = 0; n < MANY && urls[n]; n++) {
        snprintf(keys[n], sizeof(keys[n]), "%d", n);
        dlmgr_request_init(&requests[n]);
        requests[n].url = urls[n];
        requests[n].dir = app.downloads;
        requests[n].session = SESSION;
        requests[n].key = keys[n];
        requests[n].user_data = keys[n];
        requests[n].user_data_len = strlen(keys[n]);
        requests[n].retry_wait_ms = 50;
    }
    if (dlmgr_add(handle, requests, (size_t)n, NULL, NULL, &error) < 0)
        give_up("add", &error);
}

static void acknowledge(dlmgr_session *session)
{
    dlmgr_error error;

    for (int i = 0; i < app.n_later; i++) {
        if (dlmgr_ack(session, app.later[i], &error) < 0)
            give_up("ack", &error);
        note("acked %lld\n", (long long)app.later[i]);
    }
    app.n_later = 0;
}

int main(int argc, char **argv)
{
    const dlmgr_delegate delegate = {.size = sizeof(delegate),
                                     .restored = on_restored,
                                     .event = on_event,
                                     .progress = on_progress,
                                     .ready = on_ready,
                                     .drained = on_drained,
                                     .lost = on_lost};
    dlmgr_session *session;
    dlmgr_error error;
    dlmgr *handle;

    if (argc < 7)
        return 64;
    app.downloads = argv[2];
    app.to = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    app.other = open(argv[4], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    app.log = open(argv[5], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    note("open\n");
    handle = open_home(argv[1]);
    add_all(handle, argv + 6);
    if (dlmgr_session_open(handle, SESSION, DLMGR_TAKE, &delegate, NULL, &session, &error) < 0)
        give_up("session", &error);
    note("held %lld\n", (long long)dlmgr_session_incarnation(session));
    while (!app.drained && !app.lost) {
        struct pollfd p = {.fd = dlmgr_fd(handle), .events = POLLIN};

        if (dlmgr_process(handle, &error) < 0)
            give_up("process", &error);
        acknowledge(session);
        if (!app.drained && !app.lost)
            poll(&p, 1, 1000);
    }
    note("%s\n", app.drained ? "drained" : "over");
    dlmgr_close(handle);
    return app.drained ? 0 : AGAIN;
}
