/* SPDX-License-Identifier: MIT */
/*
 * glib.c - GLib's main loop: a bar for each download, and the end of the program when all have ended.
 *
 *     glib DIRECTORY URL...
 *
 * One descriptor and one function are all that a loop needs: g_unix_fd_add() calls dlmgr_process() when there is something to tell, and
 * the delegate's functions run in it, so they may touch widgets. GTK programs have this loop already.
 *
 *     cc glib.c $(pkg-config --cflags --libs dlmgr glib-2.0)
 */
#include <dlmgr.h>

#include <glib-unix.h>
#include <stdlib.h>

#define SESSION "org.example.glib"

struct app {
    dlmgr *d;
    GMainLoop *loop;
    dlmgr_error error;
};

static int add(struct app *app, const char *directory, const char *url)
{
    dlmgr_request request;

    dlmgr_request_init(&request);
    request.url = url;
    request.dir = directory;
    request.session = SESSION;
    request.key = url; /* the same command again goes on with the same downloads */
    return dlmgr_add(app->d, &request, 1, NULL, NULL, &app->error);
}

static void on_progress(dlmgr_session *session, const dlmgr_progress *progress, void *context)
{
    int done = progress->bytes_total > 0 ? (int)(progress->bytes_done * 20 / progress->bytes_total)
                                         : 0;

    g_print("[%-20.*s] %s\n", done, "####################", progress->key);
}

static int on_event(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    g_print("%s: %s\n", event->type, event->path ? event->path : event->key);
    return 0;
}

static void on_drained(dlmgr_session *session, void *context)
{
    struct app *app = context;

    g_main_loop_quit(app->loop);
}

static void on_lost(dlmgr_session *session, const dlmgr_error *why, void *context)
{
    struct app *app = context;

    app->error = *why;
    g_main_loop_quit(app->loop);
}

static const dlmgr_delegate delegate = {
    .size = sizeof(delegate),
    .event = on_event,
    .progress = on_progress,
    .drained = on_drained,
    .lost = on_lost,
};

static gboolean on_readable(int fd, GIOCondition condition, void *context)
{
    struct app *app = context;

    if (dlmgr_process(app->d, &app->error) < 0)
        g_main_loop_quit(app->loop);
    return G_SOURCE_CONTINUE;
}

static int run(struct app *app)
{
    dlmgr_session *session;
    guint source;
    int r = dlmgr_session_open(app->d, SESSION, 0, &delegate, app, &session, &app->error);

    if (r < 0)
        return r;
    app->loop = g_main_loop_new(NULL, FALSE);
    source = g_unix_fd_add(dlmgr_fd(app->d), G_IO_IN, on_readable, app);
    g_main_loop_run(app->loop);
    g_source_remove(source); /* before dlmgr_close(): the descriptor is the handle's */
    g_main_loop_unref(app->loop);
    return app->error.code;
}

int main(int argc, char **argv)
{
    char *directory = argc > 2 ? realpath(argv[1], NULL) : NULL;
    struct app app = {0};
    int r;

    if (!directory)
        return g_printerr("usage: glib DIRECTORY URL...\n"), 2;
    r = dlmgr_open(DLMGR_OWN, NULL, &app.d, &app.error);
    if (r == DLMGR_EBUSY) /* somebody works here already: be a client */
        r = dlmgr_open(DLMGR_ATTACH, NULL, &app.d, &app.error);
    for (int i = 2; r == 0 && i < argc; i++)
        r = add(&app, directory, argv[i]);
    if (r == 0)
        r = run(&app);
    if (r < 0)
        g_printerr("glib: %s\n", app.error.text);
    dlmgr_close(app.d);
    free(directory);
    return r < 0;
}
