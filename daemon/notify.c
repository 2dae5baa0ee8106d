/* SPDX-License-Identifier: MIT */
/*
 * notify.c - wake an app: see notify.h.
 *
 *     events wait, nobody holds the session     -> run the command; when it has ended and that is still so, again after a pause
 *     somebody holds it                         -> leave it alone
 *     nothing waits                             -> forget that it ever ran
 *
 * A pause begins anew when something was acknowledged, but not when the session was merely held for a while: an app that dies at its start
 * would be started all the time. A pause that is over leads to a look before anything is run, since acknowledgements are no news.
 *
 * A look asks for all sessions, and the next one waits twenty times as long as that took, so that many sessions in a busy home cost at
 * most a twentieth of a processor.
 */
#include "daemon/notify.h"

#include "daemon/log.h"
#include "daemon/waker.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LOOK_MS = 200, /* between two looks, at least */
    LOOK_SHARE = 20,
    RUN_LOOK_MS = 50, /* while a command runs */
    AT_ONCE = 8,      /* commands of different sessions */
};

struct daemon_notify {
    dlmgr *handle;
    int64_t limit_ms;
    bool news, failing;
    int64_t look_at; /* not before */
    int running;
    struct waker *wakers;
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Looking ------------------------------------------------------------------------------------------ */

static bool is_set(const json_t *session, const char *name)
{
    const json_t *value = json_object_get(session, name);

    return value && !json_is_null(value);
}

static const char *text_of(const json_t *session, const char *name)
{
    return json_string_value(json_object_get(session, name));
}

/* Each session as JSON. 0 or a negative code. */
static int each_session(dlmgr *handle, void (*fn)(const json_t *session, void *context),
                        void *context, dlmgr_error *error)
{
    char *lines, *line, *rest;
    int r = dlmgr_session_info(handle, NULL, &lines, error);

    if (r < 0)
        return r;
    for (line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *session = json_loads(line, 0, NULL);

        fn(session, context);
        json_decref(session);
    }
    free(lines);
    return 0;
}

static struct waker *find(struct daemon_notify *notify, const char *session)
{
    struct waker *w = notify->wakers;

    while (w && strcmp(w->session, session) != 0)
        w = w->next;
    return w;
}

static struct waker *add(struct daemon_notify *notify, const char *session)
{
    struct waker *w = daemon_waker_new(session);

    if (w) {
        w->next = notify->wakers;
        notify->wakers = w;
    }
    return w;
}

static void note(const json_t *session, void *context)
{
    struct daemon_notify *notify = context;
    const char *name = text_of(session, "name"), *text = text_of(session, "on_event");
    struct waker *w = name ? find(notify, name) : NULL;

    if (!name || !text || !is_set(session, "oldest") || (!w && !(w = add(notify, name))))
        return;
    w->seen = w->waits = true;
    w->held = is_set(session, "holder");
    daemon_waker_text(w, text);
    daemon_waker_acked(w, json_integer_value(json_object_get(session, "acked")), now_ms());
}

/* Of those that no event waits for any more. */
static void sweep(struct daemon_notify *notify)
{
    for (struct waker **at = &notify->wakers, *w; (w = *at);) {
        w->waits = w->seen;
        if (w->seen || w->command.pid) {
            w->seen = false;
            at = &w->next;
            continue;
        }
        *at = w->next;
        daemon_waker_free(w);
    }
}

static void look(struct daemon_notify *notify)
{
    int64_t began = now_ms(), wait;
    dlmgr_error error;
    int r = each_session(notify->handle, note, notify, &error);

    if (r == 0)
        sweep(notify);
    else if (!notify->failing)
        daemon_logf(DLMGR_LOG_ERROR, "cannot look whether events wait for a command: %s",
                    error.text);
    notify->failing = r < 0;
    notify->news = r < 0;
    wait = (now_ms() - began) * LOOK_SHARE;
    notify->look_at = now_ms() + (wait > LOOK_MS ? wait : LOOK_MS);
}

/* ---- Running ------------------------------------------------------------------------------------------- */

static void watch(struct daemon_notify *notify)
{
    for (struct waker *w = notify->wakers; w; w = w->next)
        if (w->command.pid && daemon_waker_watch(w, notify->limit_ms, now_ms())) {
            notify->running--;
            notify->news = true;
        }
}

static void start(struct daemon_notify *notify, struct waker *w)
{
    if (daemon_waker_start(w, dlmgr_home(notify->handle), now_ms()))
        notify->running++;
}

/* ---- When -------------------------------------------------------------------------------------------------- */

static bool wants(const struct daemon_notify *notify, const struct waker *w)
{
    return w->waits && !w->held && w->text && !w->command.pid && notify->running < AT_ONCE;
}

/* When a command is to run next; INT64_MAX: none. */
static int64_t next_due(const struct daemon_notify *notify)
{
    int64_t due = INT64_MAX;

    for (const struct waker *w = notify->wakers; w; w = w->next)
        if (wants(notify, w) && w->due < due)
            due = w->due;
    return due;
}

void daemon_notify_look(struct daemon_notify *notify, bool news)
{
    int64_t now = now_ms();

    notify->news |= news;
    watch(notify);
    if (now < notify->look_at || (!notify->news && next_due(notify) > now))
        return;
    look(notify);
    for (struct waker *w = notify->wakers; w; w = w->next)
        if (wants(notify, w) && w->due <= now)
            start(notify, w);
}

int64_t daemon_notify_sleep(const struct daemon_notify *notify, int64_t ms)
{
    int64_t now = now_ms(), due = notify->news ? notify->look_at : next_due(notify), left;

    if (due < notify->look_at)
        due = notify->look_at;
    left = due > now ? due - now : 0;
    if (notify->running && left > RUN_LOOK_MS)
        left = RUN_LOOK_MS;
    return left < ms ? left : ms;
}

bool daemon_notify_busy(const struct daemon_notify *notify)
{
    bool busy = notify->news;

    for (const struct waker *w = notify->wakers; w; w = w->next)
        busy |= w->waits || w->command.pid;
    return busy;
}

static void note_wanted(const json_t *session, void *context)
{
    *(bool *)context |= is_set(session, "on_event") && is_set(session, "oldest");
}

bool daemon_notify_wanted(dlmgr *handle)
{
    bool wanted = false;
    dlmgr_error error;

    return each_session(handle, note_wanted, &wanted, &error) == 0 && wanted;
}

/* ---- Beginning and ending -------------------------------------------------------------------------------------- */

struct daemon_notify *daemon_notify_new(dlmgr *handle, int64_t limit_ms)
{
    struct daemon_notify *notify = calloc(1, sizeof(*notify));

    if (notify)
        *notify = (struct daemon_notify){.handle = handle, .limit_ms = limit_ms, .news = true};
    return notify;
}

void daemon_notify_stop(struct daemon_notify *notify)
{
    for (struct waker *w = notify ? notify->wakers : NULL; w; w = w->next)
        daemon_command_end(&w->command, false);
}

void daemon_notify_free(struct daemon_notify *notify)
{
    while (notify && notify->wakers) {
        struct waker *w = notify->wakers;

        notify->wakers = w->next;
        daemon_command_end(&w->command, true);
        daemon_waker_free(w);
    }
    free(notify);
}
