/* SPDX-License-Identifier: MIT */
/*
 * waker.c - the pauses of a session's command, its environment, and what the log says of it: see waker.h.
 *
 * Pauses go from a second to five minutes, counted from the end of the command. They begin anew when something was acknowledged.
 */
#include "daemon/waker.h"

#include "daemon/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAUSE_MS = 1000,
    PAUSE_MAX_MS = 300000,
    LINES = 10, /* of output in the log */
    LINE_ROOM = 400,
};

struct waker *daemon_waker_new(const char *session)
{
    struct waker *w = calloc(1, sizeof(*w));

    if (!w || !(w->session = strdup(session))) {
        free(w);
        return NULL;
    }
    w->command.out = -1;
    return w;
}

void daemon_waker_free(struct waker *w)
{
    free(w->session);
    free(w->text);
    free(w);
}

/* ---- When ---------------------------------------------------------------------------------------------- */

/* Another command has its own chance. */
void daemon_waker_text(struct waker *w, const char *text)
{
    char *copy;

    if ((w->text && strcmp(w->text, text) == 0) || !(copy = strdup(text)))
        return;
    free(w->text);
    w->text = copy;
    w->pause = w->due = 0;
}

/* Whoever acknowledges gets the rest soon. */
void daemon_waker_acked(struct waker *w, int64_t acked, int64_t now)
{
    if (acked > w->acked && w->due) {
        w->pause = PAUSE_MS;
        w->due = now + PAUSE_MS < w->due ? now + PAUSE_MS : w->due;
    }
    w->acked = acked;
}

static void pause_begin(struct waker *w, int64_t now)
{
    int64_t pause = w->pause ? 2 * w->pause : PAUSE_MS;

    w->pause = pause > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause;
    w->due = now + w->pause;
}

/* ---- Starting -------------------------------------------------------------------------------------------- */

/* What we say ourselves, and a service manager's words to us, which are not for the command. */
static bool is_ours(const char *entry)
{
    static const char *const names[] = {"DLMGR_SESSION=", "DLMGR_HOME=",    "NOTIFY_SOCKET=",
                                        "WATCHDOG_PID=",  "WATCHDOG_USEC=", "LISTEN_PID=",
                                        "LISTEN_FDS=",    "LISTEN_FDNAMES="};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* 0 or an errno. */
static int start_with(struct waker *w, char *session, char *home, int64_t now)
{
    size_t n = 0, used = 0;
    char **env;
    int err;

    while (environ[n])
        n++;
    env = calloc(n + 3, sizeof(*env));
    if (!env)
        return ENOMEM;
    env[used++] = session;
    env[used++] = home;
    for (size_t i = 0; i < n; i++)
        if (!is_ours(environ[i]))
            env[used++] = environ[i];
    err = daemon_command_start(&w->command, w->text, env, now);
    free(env);
    return err;
}

static char *word(const char *name, const char *value)
{
    size_t n = strlen(name) + strlen(value) + 2;
    char *text = malloc(n);

    if (text)
        snprintf(text, n, "%s=%s", name, value);
    return text;
}

bool daemon_waker_start(struct waker *w, const char *home, int64_t now)
{
    char *words[] = {word("DLMGR_SESSION", w->session), word("DLMGR_HOME", home)};
    int err = words[0] && words[1] ? start_with(w, words[0], words[1], now) : ENOMEM;

    free(words[0]);
    free(words[1]);
    if (err == 0) {
        daemon_logf(DLMGR_LOG_INFO,
                    "session %s: events wait and nobody holds it: its command runs, pid %lld",
                    w->session, (long long)w->command.pid);
        return true;
    }
    pause_begin(w, now);
    daemon_logf(DLMGR_LOG_ERROR, "session %s: cannot start its command: %s; again in %lld s",
                w->session, strerror(err), (long long)w->pause / 1000);
    return false;
}

/* ---- Its end ---------------------------------------------------------------------------------------------- */

/* The last lines that it said. */
static void log_output(const struct waker *w)
{
    const struct daemon_command *c = &w->command;
    const char *end = c->tail + c->used, *at = end, *line;
    int lines = 0;

    while (end > c->tail && end[-1] == '\n')
        end--;
    for (at = end; at > c->tail && (at[-1] != '\n' || ++lines < LINES); at--)
        continue;
    if (c->said > c->tail + c->used - at)
        daemon_logf(DLMGR_LOG_INFO, "session %s: it said %lld bytes; the last ones:", w->session,
                    (long long)c->said);
    for (; at < end; at = line + 1) {
        line = memchr(at, '\n', (size_t)(end - at));
        line = line ? line : end;
        daemon_logf(DLMGR_LOG_INFO, "session %s: | %.*s", w->session,
                    (int)(line - at < LINE_ROOM ? line - at : LINE_ROOM), at);
    }
}

bool daemon_waker_watch(struct waker *w, int64_t limit_ms, int64_t now)
{
    int status, code;

    if (!daemon_command_look(&w->command, limit_ms, now, &status))
        return false;
    code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    pause_begin(w, now);
    if (w->command.killed)
        daemon_logf(DLMGR_LOG_WARNING,
                    "session %s: its command did not end within %lld s and was ended; again in %lld s",
                    w->session, (long long)limit_ms / 1000, (long long)w->pause / 1000);
    else
        daemon_logf(code ? DLMGR_LOG_WARNING : DLMGR_LOG_INFO,
                    "session %s: its command ended with %d; again in %lld s if events still wait then",
                    w->session, code, (long long)w->pause / 1000);
    log_output(w);
    return true;
}
