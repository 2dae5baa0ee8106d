/* SPDX-License-Identifier: MIT */
/*
 * client.c - a blocking connection to the owner's control.sock: see client.h.
 *
 * One call at a time. What comes in between an answer's request and the answer can only be news, which is remembered, or the late
 * answer to a call that was given up, which is dropped: ids tell.
 */
#include "dlmgr/client.h"
#include "dlmgr/hello.h"
#include "dlmgr/rpc.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define HELLO_MS 6000
#define CHUNK ((size_t)KIB(64))

struct dlm_client {
    int fd;
    int64_t last_id;
    char *in; /* what came and is not read as lines yet */
    size_t len, cap, scanned;
    bool news;
};

static int gone(dlmgr_error *e, const char *what)
{
    return dlm_fail(e, DLMGR_ELINK, "the owner of the home %s; look with `dlmgr daemon status`",
                    what);
}

/* ---- Bytes -------------------------------------------------------------------------------------- */

/* Read once; 1 something came, 0 nothing yet (flags MSG_DONTWAIT), or DLMGR_ELINK. */
static int receive(struct dlm_client *c, int flags, dlmgr_error *e)
{
    ssize_t n;

    if (c->cap - c->len < CHUNK) {
        size_t cap = MAX(2 * c->cap, 2 * CHUNK);
        char *grown = dlm_realloc(c->in, cap);

        if (!grown)
            return dlm_fail(e, DLMGR_ENOMEM, "no memory for the owner's answer");
        c->in = grown;
        c->cap = cap;
    }
    do
        n = recv(c->fd, c->in + c->len, c->cap - c->len, flags);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n <= 0)
        return gone(e, "went away");
    c->len += (size_t)n;
    return 1;
}

/* Until the socket has one of the events; DLMGR_ETIMEDOUT at `until` (mono ms; -1 never). */
static int wait_for(struct dlm_client *c, short events, int64_t until, short *ret_events,
                    dlmgr_error *e)
{
    struct pollfd p = {.fd = c->fd, .events = events};

    for (;;) {
        int64_t left = until < 0 ? -1 : until - dlm_clock_mono();
        int n;

        if (until >= 0 && left <= 0)
            return dlm_fail(e, DLMGR_ETIMEDOUT, "the owner of the home does not answer");
        n = poll(&p, 1, (int)MIN(left, 3600000));
        if (n > 0) {
            *ret_events = p.revents;
            return 0;
        }
        if (n < 0 && errno != EINTR)
            return dlm_fail_errno(e, DLMGR_ELINK, NULL, "cannot wait for the owner");
    }
}

/* What comes meanwhile is taken in, since an owner reads nothing from a client that does not read. */
static int send_some(struct dlm_client *c, const char *data, size_t len, int64_t until,
                     size_t *ret_sent, dlmgr_error *e)
{
    ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    short events = 0;
    int r;

    *ret_sent = n > 0 ? (size_t)n : 0;
    if (n >= 0 || errno == EINTR)
        return 0;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return gone(e, "went away");
    r = wait_for(c, POLLIN | POLLOUT, until, &events, e);
    return r == 0 && (events & POLLIN) ? MIN(receive(c, MSG_DONTWAIT, e), 0) : r;
}

static int send_all(struct dlm_client *c, const char *data, size_t len, int64_t until,
                    dlmgr_error *e)
{
    size_t sent = 0;
    int r = 0;

    for (const char *p = data; r == 0 && len > 0; p += sent, len -= sent)
        r = send_some(c, p, len, until, &sent, e);
    if (r < 0)
        shutdown(c->fd, SHUT_RDWR); /* half a line went: nothing can follow it */
    return r;
}

/* The next whole line that came, as JSON: 1; 0: none is whole yet. */
static int next_line(struct dlm_client *c, json_t **ret, dlmgr_error *e)
{
    char *end = c->len > c->scanned ? memchr(c->in + c->scanned, '\n', c->len - c->scanned) : NULL;
    json_t *message;
    size_t len;

    if (!end) {
        c->scanned = c->len;
        return 0;
    }
    len = (size_t)(end - c->in);
    message = json_loadb(c->in, len, JSON_REJECT_DUPLICATES, NULL);
    memmove(c->in, end + 1, c->len - len - 1);
    c->len -= len + 1;
    c->scanned = 0;
    if (!message)
        return dlm_fail(e, DLMGR_EPROTO,
                        "the owner's answer is not JSON: is that another version of dlmgr? stop it and start it anew");
    *ret = message;
    return 1;
}

/* ---- Messages ------------------------------------------------------------------------------------- */

/* Is it the answer to this call? Then 1 with the result, or its error. */
static int read_message(struct dlm_client *c, const json_t *message, int64_t id,
                        json_t **ret_result, dlmgr_error *e)
{
    const json_t *error = json_object_get(message, "error");
    const char *method = dlm_json_string(message, "method");

    if (method) {
        c->news |= !strcmp(method, "news");
        return 0;
    }
    /* Without an id it is about a line that could not be read, and we wrote only one. */
    if (error && json_is_null(json_object_get(message, "id")))
        return dlm_rpc_error_read(error, e);
    if (dlm_json_int(message, "id", -1) != id)
        return 0;
    if (error)
        return dlm_rpc_error_read(error, e);
    *ret_result = json_incref(json_object_get(message, "result"));
    return 1;
}

static int wait_answer(struct dlm_client *c, int64_t id, int64_t until, json_t **ret_result,
                       dlmgr_error *e)
{
    for (;;) {
        json_t *message = NULL;
        short events;
        int r = next_line(c, &message, e);

        if (r > 0) {
            r = read_message(c, message, id, ret_result, e);
            json_decref(message);
            if (r != 0)
                return MIN(r, 0);
            continue;
        }
        if (r == 0)
            r = wait_for(c, POLLIN, until, &events, e);
        if (r == 0)
            r = receive(c, MSG_DONTWAIT, e);
        if (r < 0)
            return r;
    }
}

int dlm_client_call(struct dlm_client *c, const char *method, json_t *params, int64_t timeout_ms,
                    json_t **ret_result, dlmgr_error *e)
{
    int64_t id = ++c->last_id, until = timeout_ms < 0 ? -1 : dlm_clock_mono() + timeout_ms;
    CLEANUP_FREE char *line = dlm_rpc_call(id, method, params);
    int r;

    json_decref(params);
    if (!line)
        return dlm_no_memory(e);
    if (strlen(line) > DLM_RPC_LINE_MAX)
        return dlm_fail(e, DLMGR_ELIMIT,
                        "a request of %zu bytes: at most 4 MiB fit into one; ask for less at once",
                        strlen(line));
    r = send_all(c, line, strlen(line), until, e);
    return r < 0 ? r : wait_answer(c, id, until, ret_result, e);
}

int dlm_client_fd(const struct dlm_client *c)
{
    return c->fd;
}

int dlm_client_news(struct dlm_client *c, dlmgr_error *e)
{
    bool news;
    int r;

    do {
        json_t *message = NULL, *ignored = NULL;

        while ((r = next_line(c, &message, e)) > 0) {
            r = read_message(c, message, 0, &ignored, e);
            json_decref(message);
            if (r < 0)
                return r;
        }
        if (r == 0)
            r = receive(c, MSG_DONTWAIT, e);
    } while (r > 0);
    news = c->news;
    c->news = false;
    return r < 0 ? r : news;
}

bool dlm_client_pending(const struct dlm_client *c)
{
    return c->news || c->len > 0;
}

/* ---- Opening ------------------------------------------------------------------------------------------ */

static int connect_to(const struct dlm_home *home, dlmgr_error *e)
{
    struct timeval limit = {.tv_sec = HELLO_MS / 1000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return dlm_fail_errno(e, DLMGR_ELINK, NULL, "cannot make a socket");
    /* The home's own path may be longer than a socket's may be. */
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control.sock", home->fd);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == ENOENT || errno == ECONNREFUSED)
            return dlm_fail(e, DLMGR_ENOOWNER,
                            "nobody owns the home `%s`; start one with `dlmgr daemon start`",
                            home->path);
        return dlm_fail_errno(e, DLMGR_ELINK, "control.sock", "cannot connect to `%s/control.sock`",
                              home->path);
    }
    return TAKE_FD(fd);
}

static int say_hello(struct dlm_client *c, dlmgr_error *e)
{
    CLEANUP_JSON json_t *answer = NULL, *ask = dlm_hello_ask();
    int r = ask ? dlm_client_call(c, "hello", TAKE_PTR(ask), HELLO_MS, &answer, e)
                : dlm_no_memory(e);

    if (r < 0)
        return r == DLMGR_ETIMEDOUT ? gone(e, "does not answer") : r;
    return MIN(dlm_hello_read(answer, e), 0);
}

static int open_client(const struct dlm_home *home, bool hello, struct dlm_client **ret,
                       dlmgr_error *e)
{
    struct dlm_client *c = dlm_alloc(sizeof(*c));
    int r;

    if (!c)
        return dlm_no_memory(e);
    c->fd = connect_to(home, e);
    r = c->fd < 0 ? c->fd : hello ? say_hello(c, e) : 0;
    if (r < 0) {
        dlm_client_close(c);
        return r;
    }
    *ret = c;
    return 0;
}

int dlm_client_open(const struct dlm_home *home, struct dlm_client **ret, dlmgr_error *e)
{
    return open_client(home, true, ret, e);
}

int dlm_client_knock(const struct dlm_home *home, struct dlm_client **ret, dlmgr_error *e)
{
    return open_client(home, false, ret, e);
}

struct dlm_client *dlm_client_close(struct dlm_client *c)
{
    if (!c)
        return NULL;
    if (c->fd >= 0)
        close(c->fd);
    free(c->in);
    free(c);
    return NULL;
}
