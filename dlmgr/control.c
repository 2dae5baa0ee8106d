/* SPDX-License-Identifier: MIT */
/*
 * control.c - the door: see control.h. What a line means is rpc.h; here are sockets, and who may come in.
 *
 * A connection lives until its socket is closed and no reply is owed to it, for a reply finds its way back by the connection. It is
 * not read from while it has too much to be sent or to be answered: a client that does not listen stops only itself. While a write is under
 * way, further lines gather and leave together, and any number of news become one.
 */
#include "dlmgr/control.h"
#include "dlmgr/control_socket.h"
#include "dlmgr/hello.h"
#include "dlmgr/rpc.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BACKLOG 128
#define UNSENT_MAX ((size_t)KIB(256))
#define OWED_MAX 64
#define KEPT_MAX ((size_t)KIB(64)) /* what a buffer may keep while it is empty */
#define FLUSH_MS 1000
#define NO_MEMORY_MS 100
#define LOOK_MS 2000 /* a client tries for six seconds */
#define NEWS "{\"jsonrpc\":\"2.0\",\"method\":\"news\"}\n"

struct conn {
    struct dlm_control *door;
    struct dlm_peer peer;
    uv_pipe_t pipe;
    uv_write_t write;
    struct dlm_buf in, out, sending;
    size_t used, scanned; /* of in: handled; known to hold no newline */
    int owed;
    bool writing, reading, busy, subscribed, news, is_peer, last, closing,
        closed; /* last: close once all is sent */
    struct conn *next;
};

struct owed {
    struct conn *conn;
    json_t *id;
};

struct dlm_control {
    const struct dlm_control_host *host;
    struct dlm_socket socket;
    uv_pipe_t *listener;
    uv_timer_t flush; /* and, before the end, of a connection for which there was no memory */
    uv_timer_t look;  /* whether the socket's file still stands */
    bool deaf;        /* it does not, and no other could be made yet */
    uid_t home_uid;
    struct conn *conns;
    bool stopping;
    int handles; /* that libuv still has at the end */
    void (*stopped)(void *context);
    void *context;
};

static void conn_read(struct conn *c);

/* ---- The end of things ---------------------------------------------------------------------------- */

static void handle_closed(struct dlm_control *d)
{
    void (*stopped)(void *) = d->stopped;
    void *context = d->context;

    if (--d->handles > 0)
        return;
    free(d);
    stopped(context);
}

static void on_timer_closed(uv_handle_t *timer)
{
    handle_closed(timer->data);
}

static void on_listener_closed(uv_handle_t *listener)
{
    struct dlm_control *d = listener->data;

    free(listener);
    handle_closed(d);
}

/* Who connects from now on is not ours any more: with a service manager's socket, the next owner's. */
static void unlisten(struct dlm_control *d)
{
    uv_close((uv_handle_t *)TAKE_PTR(d->listener), on_listener_closed);
}

/* The last connection has gone: the timers go too. */
static void maybe_stopped(struct dlm_control *d)
{
    if (!d->stopping || d->conns)
        return;
    uv_close((uv_handle_t *)&d->flush, on_timer_closed);
    uv_close((uv_handle_t *)&d->look, on_timer_closed);
}

static void conn_free(struct conn *c)
{
    struct dlm_control *d = c->door;
    struct conn **at = &d->conns;

    if (!c->closed || c->owed > 0 || c->busy)
        return;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    dlm_buf_free(&c->in);
    dlm_buf_free(&c->out);
    dlm_buf_free(&c->sending);
    free(c);
    maybe_stopped(d);
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct conn *c = container_of((uv_pipe_t *)handle, struct conn, pipe);

    c->closed = true;
    conn_free(c);
}

static void conn_close(struct conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->is_peer)
        c->door->host->peer_gone(c->door->host->context, &c->peer);
    uv_close((uv_handle_t *)&c->pipe, on_conn_closed);
}

/* ---- Writing ------------------------------------------------------------------------------------------ */

static void flush(struct conn *c);

static void drop_large(struct dlm_buf *b)
{
    if (b->len == 0 && b->cap > KEPT_MAX)
        dlm_buf_free(b);
}

static void on_written(uv_write_t *write, int status)
{
    struct conn *c = container_of(write, struct conn, write);

    c->writing = false;
    c->sending.len = 0;
    drop_large(&c->sending);
    if (status < 0)
        return conn_close(c);
    flush(c);
    conn_read(c);
}

static void flush(struct conn *c)
{
    uv_buf_t buf;
    struct dlm_buf sent = c->sending;

    if (c->writing || c->closing)
        return;
    if (c->news)
        dlm_buf_puts(&c->out, NEWS);
    c->news = false;
    if (c->out.failed)
        return conn_close(c);
    if (c->out.len == 0) {
        if (c->last && c->owed == 0)
            conn_close(c);
        return;
    }
    c->sending = c->out;
    c->out = sent;
    c->out.len = 0;
    buf = uv_buf_init(c->sending.data, (unsigned)c->sending.len);
    c->writing = true;
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &buf, 1, on_written) < 0) {
        c->writing = false;
        conn_close(c);
    }
}

/* line is stolen; NULL: there was no memory for it, and a client that waits for ever is worse than one that is cut off. */
static void say(struct conn *c, char *line)
{
    if (!c->closing) {
        if (line)
            dlm_buf_puts(&c->out, line);
        if (!line || c->out.failed)
            conn_close(c);
        else if (!c->busy)
            flush(c);
    }
    free(line);
}

/* ---- Requests ------------------------------------------------------------------------------------------- */

static void on_reply(void *context, int code, json_t *result, const dlmgr_error *error)
{
    struct owed *owed = context;
    struct conn *c = owed->conn;

    c->owed--;
    if (code < 0)
        say(c, dlm_rpc_error(owed->id, code, error ? error->text : dlmgr_strerror(code), error));
    else
        say(c, dlm_rpc_result(owed->id, result));
    json_decref(result);
    json_decref(owed->id);
    free(owed);
    if (c->closing)
        conn_free(c);
    else if (!c->busy)
        conn_read(c);
}

static void hello(struct conn *c, const struct dlm_rpc_request *q)
{
    CLEANUP_JSON json_t *result = NULL;
    dlmgr_error e = {0};
    int r = dlm_hello_answer(q->params, &result, &e);

    say(c, r < 0 ? dlm_rpc_error(q->id, r, e.text, &e) : dlm_rpc_result(q->id, result));
}

static void subscribe(struct conn *c, const struct dlm_rpc_request *q)
{
    CLEANUP_JSON json_t *result = json_object();

    c->subscribed = true;
    say(c, result ? dlm_rpc_result(q->id, result) : NULL);
}

/* Only the connection that holds a session can let it go. */
static bool about_peer(const char *method)
{
    return !strcmp(method, "session_hold") || !strcmp(method, "session_release");
}

static void ask_host(struct conn *c, const struct dlm_rpc_request *q)
{
    const struct dlm_control_host *host = c->door->host;
    const struct dlm_method *method = dlm_method_find(q->method);
    struct owed *owed;

    if (!method)
        return say(c, dlm_rpc_error(q->id, DLM_RPC_METHOD, "there is no such method", NULL));
    owed = dlm_alloc(sizeof(*owed));
    if (!owed)
        return conn_close(c);
    owed->conn = c;
    owed->id = json_incref(q->id);
    c->owed++;
    c->is_peer |= about_peer(method->name);
    if (about_peer(method->name))
        host->peer(host->context, &c->peer, method->name, json_incref(q->params), on_reply, owed);
    else
        host->request(host->context, method->name, json_incref(q->params), on_reply, owed);
}

static void handle_line(struct conn *c, const char *line, size_t len)
{
    struct dlm_rpc_request q;
    const char *why = NULL;
    int r = dlm_rpc_parse(line, len, &q, &why);

    if (r < 0)
        say(c, dlm_rpc_error(q.id, r, why, NULL));
    else if (!strcmp(q.method, "hello"))
        hello(c, &q);
    else if (!strcmp(q.method, "subscribe"))
        subscribe(c, &q);
    else
        ask_host(c, &q);
    dlm_rpc_clear(&q);
}

/* ---- Reading --------------------------------------------------------------------------------------------- */

static bool may_read(const struct conn *c)
{
    return !c->closing && !c->last && !c->door->stopping && c->owed < OWED_MAX &&
           c->out.len + c->sending.len < UNSENT_MAX;
}

static void handle_lines(struct conn *c)
{
    while (may_read(c) && c->in.len > c->used) {
        size_t from = MAX(c->used, c->scanned);
        char *end = memchr(c->in.data + from, '\n', c->in.len - from);
        size_t begin = c->used;

        if (!end) {
            c->scanned = c->in.len;
            break;
        }
        c->used = c->scanned = (size_t)(end - c->in.data) + 1;
        handle_line(c, c->in.data + begin, c->used - begin - 1);
    }
    if (c->used == 0)
        return;
    memmove(c->in.data, c->in.data + c->used, c->in.len - c->used);
    c->in.len -= c->used;
    c->scanned -= MIN(c->used, c->scanned);
    c->used = 0;
    drop_large(&c->in);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)handle;
    ret->base = dlm_alloc(suggested);
    ret->len = ret->base ? suggested : 0; /* 0: libuv reports UV_ENOBUFS */
}

/* Who has said all still gets his answers: `printf ... | nc -U control.sock`. */
static bool still_listens(const struct conn *c)
{
    struct pollfd p = {.events = POLLIN};

    return uv_fileno((const uv_handle_t *)&c->pipe, &p.fd) == 0 && poll(&p, 1, 0) == 1 &&
           !(p.revents & (POLLHUP | POLLERR));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = container_of((uv_pipe_t *)stream, struct conn, pipe);

    if (n > 0)
        dlm_buf_add(&c->in, buf->base, (size_t)n);
    free(buf->base);
    if (n == UV_EOF && still_listens(c))
        c->last = true;
    else if (n < 0 || c->in.failed)
        return conn_close(c);
    conn_read(c);
}

/* Handle what is there, then read on, or not for now. */
static void conn_read(struct conn *c)
{
    if (c->busy)
        return;
    c->busy = true; /* replies may come before a request returns; they leave together below */
    handle_lines(c);
    if (!c->closing && !c->last && c->in.len > DLM_RPC_LINE_MAX && c->scanned == c->in.len) {
        c->last = true;
        say(c, dlm_rpc_error(NULL, DLM_RPC_PARSE, "a line is at most 4 MiB long", NULL));
    }
    c->busy = false;
    flush(c);
    if (c->closed || c->closing)
        return conn_free(c);
    if (may_read(c) && !c->reading) {
        c->reading = true;
        if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0)
            conn_close(c);
    } else if (!may_read(c) && c->reading) {
        c->reading = false;
        uv_read_stop((uv_stream_t *)&c->pipe);
    }
}

/* ---- Coming in ----------------------------------------------------------------------------------------------- */

static bool is_allowed(struct conn *c)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    int fd;

    if (uv_fileno((const uv_handle_t *)&c->pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    c->peer.pid = peer.pid;
    return peer.uid == 0 || peer.uid == c->door->home_uid;
}

static void on_accept_time(uv_timer_t *timer);

static void accept_one(struct dlm_control *d)
{
    struct conn *c = dlm_alloc(sizeof(*c));

    if (!c) {
        /* libuv asks for no other connection before this one is taken. */
        uv_timer_start(&d->flush, on_accept_time, NO_MEMORY_MS, 0);
        return;
    }
    c->door = d;
    uv_pipe_init(d->host->loop, &c->pipe, 0);
    c->next = d->conns;
    d->conns = c;
    if (uv_accept((uv_stream_t *)d->listener, (uv_stream_t *)&c->pipe) != 0 || !is_allowed(c) ||
        d->stopping)
        conn_close(c);
    else
        conn_read(c);
}

static void on_accept_time(uv_timer_t *timer)
{
    accept_one(container_of(timer, struct dlm_control, flush));
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status == 0)
        accept_one(listener->data);
}

/* ---- Opening and closing ---------------------------------------------------------------------------------------- */

static void nobody(void *context)
{
    (void)context;
}

/* fd is stolen. A negative error of libuv's. */
static int listen_on(struct dlm_control *d, int fd)
{
    CLEANUP_FD int mine = fd;
    uv_pipe_t *listener = dlm_alloc(sizeof(*listener));
    int r;

    if (!listener)
        return UV_ENOMEM;
    uv_pipe_init(d->host->loop, listener, 0);
    listener->data = d;
    d->handles++;
    r = uv_pipe_open(listener, mine);
    if (r == 0) {
        TAKE_FD(mine);
        r = uv_listen((uv_stream_t *)listener, BACKLOG, on_connection);
    }
    if (r < 0)
        uv_close((uv_handle_t *)listener, on_listener_closed);
    else
        d->listener = listener;
    return r;
}

/* What dlm_socket_open() gave: listen on it, or undo that. */
static int take_socket(struct dlm_control *d, int fd, const struct dlm_socket *fresh, dlmgr_error *e)
{
    int r = listen_on(d, fd);

    if (r < 0) {
        dlm_socket_remove(fresh);
        return dlm_fail(e, DLMGR_EHOME, "cannot listen at `%s/" DLM_SOCKET "`: %s",
                        d->host->home->path, uv_strerror(r));
    }
    d->socket = *fresh;
    return 0;
}

/* Somebody removed or replaced the file, as a service manager does that starts a socket unit: nobody could come in any more. */
static void on_look_time(uv_timer_t *timer)
{
    struct dlm_control *d = container_of(timer, struct dlm_control, look);
    uv_pipe_t *old = d->listener;
    struct dlm_socket fresh;
    dlmgr_error e = {0};
    int r;

    if (dlm_socket_stands(&d->socket))
        return;
    r = dlm_socket_open(d->host->home, 0, d->host->log, &fresh, &e);
    if (r >= 0)
        r = take_socket(d, r, &fresh, &e);
    if (r == 0)
        uv_close((uv_handle_t *)old, on_listener_closed);
    if (r == 0 || !d->deaf)
        dlm_log(d->host->log, DLMGR_LOG_WARNING, "`%s/" DLM_SOCKET "` was removed or replaced: %s",
                d->host->home->path, r == 0 ? "made another" : e.text);
    d->deaf = r < 0;
}

int dlm_control_start(const struct dlm_control_host *host, struct dlm_control **ret, dlmgr_error *e)
{
    struct dlm_control *d = dlm_alloc(sizeof(*d));
    struct dlm_socket fresh;
    struct stat st;
    int r;

    if (!d)
        return dlm_no_memory(e);
    r = fstat(host->home->fd, &st) < 0
            ? dlm_fail_errno(e, DLMGR_EHOME, NULL, "cannot look at the home")
            : dlm_socket_open(host->home, host->listen_fd, host->log, &fresh, e);
    if (r < 0) {
        free(d);
        return r;
    }
    d->host = host;
    d->home_uid = st.st_uid;
    uv_timer_init(host->loop, &d->flush);
    uv_timer_init(host->loop, &d->look);
    d->flush.data = d->look.data = d;
    d->handles = 2;
    r = take_socket(d, r, &fresh, e);
    if (r < 0) {
        d->stopping = true;
        d->stopped = nobody;
        maybe_stopped(d);
        return r;
    }
    uv_timer_start(&d->look, on_look_time, LOOK_MS, LOOK_MS);
    *ret = d;
    return 0;
}

static void close_all(struct dlm_control *d)
{
    for (struct conn *c = d->conns, *next; c; c = next) {
        next = c->next;
        conn_close(c);
    }
}

static void on_flush_time(uv_timer_t *timer)
{
    close_all(container_of(timer, struct dlm_control, flush));
}

/* What is being sent may go out; a connection to which nothing is owed is closed at once. */
void dlm_control_stop(struct dlm_control *d, void (*closed)(void *context), void *context)
{
    struct conn *next;

    d->stopping = true;
    d->stopped = closed;
    d->context = context;
    dlm_socket_remove(&d->socket);
    unlisten(d);
    uv_timer_stop(&d->look);
    uv_timer_start(&d->flush, on_flush_time, FLUSH_MS, 0);
    if (!d->conns)
        return maybe_stopped(d);
    for (struct conn *c = d->conns; c; c = next) {
        next = c->next;
        c->last = true;
        flush(c);
    }
}

void dlm_control_news(struct dlm_control *d)
{
    for (struct conn *c = d->conns, *next; c; c = next) {
        next = c->next;
        c->news = c->subscribed;
        if (c->news && !c->busy)
            flush(c);
    }
}
