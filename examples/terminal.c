/* SPDX-License-Identifier: MIT */
/*
 * terminal.c - a download list in a terminal that may be killed at any time.
 *
 *     terminal DIRECTORY        type `URL a note of your own` to fetch it, `cancel ID`, or `quit`
 *
 * It stores nothing itself. What it must know about a download travels with the task as user data (here a note), so at each start the
 * library gives back all of it: tasks that have not ended, what happened meanwhile, and that this was all. Kill it as you like.
 *
 *     cc terminal.c $(pkg-config --cflags --libs dlmgr)
 */
#include <dlmgr.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SESSION "org.example.terminal"

static dlmgr_error error;

/* ---- What the library tells: all of it inside dlmgr_process(), on our own thread ----------------------------------- */

static void on_restored(dlmgr_session *session, const dlmgr_task *task, void *context)
{
    printf("  restored %lld: %s, %lld of %lld bytes, %s, note `%.*s`\n", (long long)task->id,
           dlmgr_state_name(task->state), (long long)task->bytes_done, (long long)task->bytes_total,
           task->url, (int)task->user_data_len, (const char *)task->user_data);
}

static int on_event(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    const char *what = event->path ? event->path : event->error_text ? event->error_text : "";

    printf("  %s%s %lld: %s, note `%.*s`\n", event->replay ? "meanwhile " : "", event->type,
           (long long)event->task, what, (int)event->user_data_len, (const char *)event->user_data);
    return 0; /* we know it now: it does not come again */
}

static void on_progress(dlmgr_session *session, const dlmgr_progress *progress, void *context)
{
    printf("  %lld: %lld of %lld bytes\n", (long long)progress->task,
           (long long)progress->bytes_done, (long long)progress->bytes_total);
}

static void on_ready(dlmgr_session *session, void *context)
{
    printf("ready: that was all from before\n");
}

static void on_drained(dlmgr_session *session, void *context)
{
    printf("drained: nothing is left to do\n");
}

static void on_lost(dlmgr_session *session, const dlmgr_error *why, void *context)
{
    printf("lost: %s\n", why->text);
}

static const dlmgr_delegate delegate = {
    .size = sizeof(delegate),
    .restored = on_restored,
    .event = on_event,
    .progress = on_progress,
    .ready = on_ready,
    .drained = on_drained,
    .lost = on_lost,
};

/* ---- What the user types --------------------------------------------------------------------------------------------- */

static int add(dlmgr *d, const char *directory, const char *url, const char *note)
{
    dlmgr_request request;

    dlmgr_request_init(&request);
    request.url = url;
    request.dir = directory;
    request.session = SESSION;
    request.user_data = note;
    request.user_data_len = strlen(note);
    return dlmgr_add(d, &request, 1, NULL, NULL, &error);
}

static int cancel(dlmgr *d, int64_t id)
{
    dlmgr_selector selector = DLMGR_INIT(dlmgr_selector);

    selector.ids = &id;
    selector.n_ids = 1;
    return dlmgr_act(d, DLMGR_CANCEL, &selector, NULL, &error);
}

/* False when the user is done. */
static bool obey(dlmgr *d, const char *directory)
{
    char line[4096], word[4096] = "";
    int rest = 0;

    if (!fgets(line, sizeof(line), stdin))
        return false;
    line[strcspn(line, "\n")] = 0;
    sscanf(line, "%4095s %n", word, &rest);
    if (!strcmp(word, "quit"))
        return false;
    if (!strcmp(word, "cancel") ? cancel(d, atoll(line + rest))
                                : word[0] && add(d, directory, word, line + rest))
        printf("  not done: %s\n", error.text);
    return true;
}

/* ---- The program ----------------------------------------------------------------------------------------------------- */

/* We do the work ourselves when nobody else does it; else we are the client of who does, such as the daemon. */
static int open_home(dlmgr **ret)
{
    int r;

    do {
        r = dlmgr_open(DLMGR_OWN, NULL, ret, &error);
        if (r == DLMGR_EBUSY)
            r = dlmgr_open(DLMGR_ATTACH, NULL, ret, &error);
    } while (r == DLMGR_ENOOWNER); /* it went in between */
    return r;
}

/* Until the user is done (0), or somebody else wants to do the work (DLMGR_ECLOSED). */
static int loop(dlmgr *d, const char *directory)
{
    struct pollfd fds[] = {{.fd = 0, .events = POLLIN}, {.fd = dlmgr_fd(d), .events = POLLIN}};

    while (poll(fds, 2, -1) >= 0) {
        if (fds[1].revents && dlmgr_process(d, &error) < 0)
            return -1;
        if (dlmgr_stopping(d))
            return DLMGR_ECLOSED;
        if (fds[0].revents && !obey(d, directory))
            return 0;
    }
    return -1;
}

int main(int argc, char **argv)
{
    char *directory = argc > 1 ? realpath(argv[1], NULL) : NULL;
    dlmgr_session *session;
    dlmgr *d = NULL;
    int r;

    setvbuf(stdin, NULL, _IONBF, 0); /* poll() cannot see what stdio has taken */
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!directory)
        return fprintf(stderr, "usage: terminal DIRECTORY\n"), 2;
    do {
        r = open_home(&d);
        if (r == 0)
            r = dlmgr_session_open(d, SESSION, 0, &delegate, NULL, &session, &error);
        if (r == 0)
            r = loop(d, directory);
        d = dlmgr_close(d);
    } while (r == DLMGR_ECLOSED && sleep(1) == 0); /* then we are its client */
    if (r < 0)
        fprintf(stderr, "terminal: %s\n", error.text);
    free(directory);
    return r < 0;
}
