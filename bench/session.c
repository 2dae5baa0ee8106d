/* SPDX-License-Identifier: MIT */
/*
 * session.c - what durable events cost: an app with a session, measured from inside.
 *
 *     session HOME fill N          add N paused tasks to a session; N more cancelled ones, so N events
 *     session HOME ready           open it, without `restored`: seconds to `ready`, memory
 *     session HOME restored        the same with `restored`
 *     session HOME replay          every event is told and kept: events, seconds, memory
 *     session HOME ack             events acknowledged one by one (dlmgr_ack), and in batches of 100 (dlmgr_ack_to)
 *     session HOME files DIR LIST  fetch a URL a line, handling each event, until drained; memory and seconds
 *     session HOME plain DIR LIST  the same without a session
 *
 * A line "name value" for each figure goes to stdout.
 */
#include <dlmgr.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SESSION "org.example.bench"

enum { BATCH = 5000 };

struct app {
    dlmgr *handle;
    dlmgr_session *session;
    long restored, events, progress, ready, drained, wrong;
    int verdict;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(int r, const dlmgr_error *error)
{
    if (r >= 0)
        return;
    fprintf(stderr, "session: %s\n", error->text);
    exit(1);
}

static void print_memory(const char *field)
{
    char line[128];
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof(line), f))
        if (!strncmp(line, field, strlen(field)))
            printf("%s_kib %ld\n", field, strtol(line + strlen(field) + 1, NULL, 10));
    if (f)
        fclose(f);
}

/* ---- The delegate -------------------------------------------------------------------------------------------- */

static void on_restored(dlmgr_session *session, const dlmgr_task *task, void *context)
{
    struct app *app = context;

    (void)session;
    app->restored++;
    app->wrong += task->user_data_len != 4;
}

static int on_event(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    struct app *app = context;

    (void)session;
    app->events++;
    app->wrong += event->user_data_len != 4 || event->seq != app->events;
    return app->verdict;
}

static void on_progress(dlmgr_session *session, const dlmgr_progress *progress, void *context)
{
    (void)session;
    (void)progress;
    ((struct app *)context)->progress++;
}

static void on_ready(dlmgr_session *session, void *context)
{
    (void)session;
    ((struct app *)context)->ready++;
}

static void on_drained(dlmgr_session *session, void *context)
{
    (void)session;
    ((struct app *)context)->drained++;
}

static void open_session(struct app *app, bool restored)
{
    dlmgr_delegate delegate = DLMGR_INIT(dlmgr_delegate);
    dlmgr_error error;

    delegate.restored = restored ? on_restored : NULL;
    delegate.event = on_event;
    delegate.progress = on_progress;
    delegate.ready = on_ready;
    delegate.drained = on_drained;
    check(dlmgr_session_open(app->handle, SESSION, 0, &delegate, app, &app->session, &error),
          &error);
}

static void work_until(struct app *app, const long *what)
{
    struct pollfd p = {.fd = dlmgr_fd(app->handle), .events = POLLIN};
    dlmgr_error error;

    while (!*what) {
        check(dlmgr_process(app->handle, &error), &error);
        if (!*what)
            poll(&p, 1, 1000);
    }
}

/* ---- Figures ------------------------------------------------------------------------------------------------- */

static void add(struct app *app, char *const *urls, int n, const char *session, const char *dir,
                int paused)
{
    static dlmgr_request requests[BATCH];
    dlmgr_error error;

    for (int i = 0; i < n; i++) {
        dlmgr_request_init(&requests[i]);
        requests[i].url = urls[i];
        requests[i].dir = dir;
        requests[i].session = session;
        requests[i].paused = paused;
        requests[i].user_data = "mine";
        requests[i].user_data_len = 4;
    }
    check(dlmgr_add(app->handle, requests, (size_t)n, NULL, NULL, &error), &error);
}

static void add_paused(struct app *app, long n)
{
    static char text[BATCH][48];
    char *urls[BATCH];
    long done = 0;

    while (done < n) {
        int i;

        for (i = 0; i < BATCH && done < n; i++, done++) {
            snprintf(text[i], sizeof(text[i]), "http://127.0.0.1:9/%ld", done);
            urls[i] = text[i];
        }
        add(app, urls, i, SESSION, "/tmp", 1);
    }
}

static void fill(struct app *app, long n)
{
    dlmgr_selector all = DLMGR_INIT(dlmgr_selector);
    dlmgr_error error;

    all.session = SESSION;
    add_paused(app, n);
    check(dlmgr_act(app->handle, DLMGR_CANCEL, &all, NULL, &error), &error);
    add_paused(app, n);
}

static void time_ready(struct app *app, bool restored)
{
    double begin = now();

    app->verdict = DLMGR_LATER;
    if (!restored)
        app->events = 0;
    open_session(app, restored);
    work_until(app, &app->ready);
    printf("ready_s %.3f\nrestored %ld\nevents %ld\nwrong %ld\n", now() - begin, app->restored,
           app->events, app->wrong);
    print_memory("VmHWM");
}

static void time_ack(struct app *app)
{
    enum { ONE = 2000, STEP = 100 };
    dlmgr_error error;
    double begin;
    int64_t seq = 0;
    long many;

    app->verdict = DLMGR_LATER;
    open_session(app, false);
    work_until(app, &app->ready);
    begin = now();
    for (int i = 0; i < ONE; i++)
        check(dlmgr_ack(app->session, ++seq, &error), &error);
    printf("one_by_one_per_s %.0f\n", ONE / (now() - begin));
    begin = now();
    many = (app->events - ONE) / STEP;
    for (long i = 0; i < many; i++)
        check(dlmgr_ack_to(app->handle, SESSION, seq += STEP, &error), &error);
    printf("batches_of_100_per_s %.0f\n", (double)(many * STEP) / (now() - begin));
}

static void add_list(struct app *app, const char *session, const char *dir, const char *list)
{
    FILE *f = fopen(list, "r");
    char *urls[BATCH], *line = NULL;
    size_t room = 0;
    ssize_t len = 0;

    if (!f) {
        perror(list);
        exit(1);
    }
    while (len >= 0) {
        int n = 0;

        while (n < BATCH && (len = getline(&line, &room, f)) > 0) {
            line[strcspn(line, "\n")] = '\0';
            urls[n++] = strdup(line);
        }
        if (n > 0)
            add(app, urls, n, session, dir, 0);
        while (n > 0)
            free(urls[--n]);
    }
    free(line);
    fclose(f);
}

static void fetch(struct app *app, const char *dir, const char *list, bool session)
{
    double begin = now();
    dlmgr_error error;

    add_list(app, session ? SESSION : NULL, dir, list);
    if (session) {
        open_session(app, false);
        work_until(app, &app->drained);
    } else {
        check(dlmgr_wait(app->handle, NULL, 0, -1, &error), &error);
    }
    printf("files_s %.3f\nevents %ld\nprogress %ld\nwrong %ld\n", now() - begin, app->events,
           app->progress, app->wrong);
    print_memory("VmHWM");
}

int main(int argc, char **argv)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    const char *verb = argc > 2 ? argv[2] : "";
    struct app app = {0};
    dlmgr_error error;

    options.home = argc > 1 ? argv[1] : NULL;
    if (argc < 3) {
        fputs("usage: session HOME fill N|ready|restored|replay|ack|files DIR LIST|plain DIR LIST\n",
              stderr);
        return 64;
    }
    check(dlmgr_open(strcmp(verb, "fill") ? DLMGR_OWN : DLMGR_EITHER, &options, &app.handle, &error),
          &error);
    if (!strcmp(verb, "fill") && argc == 4)
        fill(&app, atol(argv[3]));
    else if (!strcmp(verb, "ready") || !strcmp(verb, "replay"))
        time_ready(&app, false);
    else if (!strcmp(verb, "restored"))
        time_ready(&app, true);
    else if (!strcmp(verb, "ack"))
        time_ack(&app);
    else if (argc == 5)
        fetch(&app, argv[3], argv[4], !strcmp(verb, "files"));
    dlmgr_close(app.handle);
    return 0;
}
