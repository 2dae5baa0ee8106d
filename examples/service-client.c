/* SPDX-License-Identifier: MIT */
/*
 * service-client.c - a client of the background service: it asks, exits, and comes back for the results. With libuv's loop.
 *
 *     service-client DIRECTORY URL...     hand over to the service and go; the downloads go on without us
 *     service-client                      come back: what is still under way, what has ended; stays until all has
 *
 * The key makes it safe to ask again after a crash: adding the same key twice is adding once. The service itself is started by the
 * user's systemd (dlmgr.socket), or by `dlmgr daemon start`; it may be restarted or upgraded while we are attached.
 *
 *     cc service-client.c $(pkg-config --cflags --libs dlmgr libuv)
 */
#include <dlmgr.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#define SESSION "org.example.service-client"

static dlmgr_error error;

/* ---- Asking -------------------------------------------------------------------------------------------------------- */

static int hand_over(dlmgr *d, const char *directory, char **urls)
{
    time_t asked = time(NULL); /* what we want to know later about it: any bytes of ours */

    for (; *urls; urls++) {
        dlmgr_request request;
        int64_t id;
        int r;

        dlmgr_request_init(&request);
        request.url = *urls;
        request.dir = directory;
        request.session = SESSION;
        request.key = *urls;
        request.user_data = &asked;
        request.user_data_len = sizeof(asked);
        r = dlmgr_add(d, &request, 1, &id, NULL, &error);
        if (r < 0)
            return r;
        printf("task %lld: %s\n", (long long)id, *urls); /* durable now */
    }
    return 0;
}

/* ---- Coming back --------------------------------------------------------------------------------------------------- */

static long long seconds_since(const void *user_data)
{
    time_t asked;

    memcpy(&asked, user_data, sizeof(asked));
    return (long long)(time(NULL) - asked);
}

static void on_restored(dlmgr_session *session, const dlmgr_task *task, void *context)
{
    printf("under way: %s (%s), asked for %lld s ago\n", task->key, dlmgr_state_name(task->state),
           seconds_since(task->user_data));
}

static int on_event(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    printf("%s: %s, asked for %lld s ago%s%s\n", event->type, event->key,
           seconds_since(event->user_data), event->path ? ", is " : "",
           event->path ? event->path : "");
    return 0;
}

static void on_drained(dlmgr_session *session, void *context)
{
    printf("all has ended\n");
    uv_stop(context);
}

static void on_lost(dlmgr_session *session, const dlmgr_error *why, void *context)
{
    error = *why;
    uv_stop(context);
}

static const dlmgr_delegate delegate = {
    .size = sizeof(delegate),
    .restored = on_restored,
    .event = on_event,
    .drained = on_drained,
    .lost = on_lost,
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
    if (status < 0 || dlmgr_process(poll->data, &error) < 0)
        uv_stop(poll->loop);
}

static int come_back(dlmgr *d)
{
    uv_loop_t *loop = uv_default_loop();
    uv_poll_t poll = {.data = d};
    dlmgr_session *session;
    int r = dlmgr_session_open(d, SESSION, 0, &delegate, loop, &session, &error);

    if (r < 0)
        return r;
    uv_poll_init(loop, &poll, dlmgr_fd(d));
    uv_poll_start(&poll, UV_READABLE, on_readable);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&poll, NULL); /* before dlmgr_close(): the descriptor is the handle's */
    uv_run(loop, UV_RUN_DEFAULT);
    return error.code;
}

int main(int argc, char **argv)
{
    char *directory = argc > 1 ? realpath(argv[1], NULL) : NULL;
    dlmgr *d = NULL;
    int r;

    if (argc == 2 || (argc > 1 && !directory))
        return fprintf(stderr, "usage: service-client [DIRECTORY URL...]\n"), 2;
    r = dlmgr_open(DLMGR_ATTACH, NULL, &d, &error);
    if (r == 0)
        r = argc > 1 ? hand_over(d, directory, argv + 2) : come_back(d);
    if (r < 0)
        fprintf(stderr, "service-client: %s\n", error.text);
    dlmgr_close(d);
    free(directory);
    return r < 0;
}
