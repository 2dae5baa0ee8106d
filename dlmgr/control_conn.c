/* SPDX-License-Identifier: MIT */
/*
 * control_conn.c - a connection: what is read from it, asked of the host, and sent. What a line means is rpc.h.
 *
 * A connection lives until its socket is closed and no reply is owed to it, for a reply finds its way back by the connection. It is
 * not read from while it has too much to be sent or to be answered, or is owed a page, which may be long: a client that does not listen stops only itself. While a write is under
 * way, further lines gather and leave together, and any number of news become one.
 */
#include "dlmgr/control_conn.h"
#include "dlmgr/hello.h"
#include "dlmgr/rpc.h"

#include <poll.h>

#define UNSENT_MAX ((size_t)KIB(256))
#define OWED_MAX 64
#define KEPT_MAX ((size_t)KIB(64)) /* what a buffer may keep while it is empty */
#define NEWS "{\"jsonrpc\":\"2.0\",\"method\":\"news\"}\n"

struct owed {
    struct dlm_conn *conn;
    bool is_page;
    json_t *id;
};

/* ---- The end --------------------------------------------------------------------------------------------- */

static void conn_free(struct dlm_conn *c)
{
    struct dlm_control *d = c->door;
    struct dlm_conn **at = &d->conns;

    if (!c->closed || c->owed > 0 || c->busy)
        return;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    dlm_buf_free(&c->in);
    dlm_buf_free(&c->out);
    dlm_buf_free(&c->sending);
    free(c);
    dlm_control_left(d);
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct dlm_conn *c = container_of((uv_pipe_t *)handle, struct dlm_conn, pipe);

    c->closed = true;
    conn_free(c);
}

void dlm_conn_close(struct dlm_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->is_peer)
        c->door->host->peer_gone(c->door->host->context, &c->peer);
    uv_close((uv_handle_t *)&c->pipe, on_conn_closed);
}

/* ---- Writing ------------------------------------------------------------------------------------------ */

static void drop_large(struct dlm_buf *b)
{
    if (b->len == 0 && b->cap > KEPT_MAX)
        dlm_buf_free(b);
}

static void on_written(uv_write_t *write, int status)
{
    struct dlm_conn *c = container_of(write, struct dlm_conn, write);

    c->writing = false;
    c->sending.len = 0;
    drop_large(&c->sending);
    if (status < 0)
        return dlm_conn_close(c);
    dlm_conn_flush(c);
    dlm_conn_read(c);
}

void dlm_conn_flush(struct dlm_conn *c)
{
    uv_buf_t buf;
    struct dlm_buf sent = c->sending;

    if (c->writing || c->closing)
        return;
    if (c->news)
        dlm_buf_puts(&c->out, NEWS);
    c->news = false;
    if (c->out.failed)
        return dlm_conn_close(c);
    if (c->out.len == 0) {
        if (c->last && c->owed == 0)
            dlm_conn_close(c);
        return;
    }
    c->sending = c->out;
    c->out = sent;
    c->out.len = 0;
    buf = uv_buf_init(c->sending.data, (unsigned)c->sending.len);
    c->writing = true;
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &buf, 1, on_written) < 0) {
        c->writing = false;
        dlm_conn_close(c);
    }
}

/* line is stolen; NULL: there was no memory for it, and a client that waits for ever is worse than one that is cut off. */
static void say(struct dlm_conn *c, char *line)
{
    if (!c->closing) {
        if (line)
            dlm_buf_puts(&c->out, line);
        if (!line || c->out.failed)
            dlm_conn_close(c);
        else if (!c->busy)
            dlm_conn_flush(c);
    }
    free(line);
}

/* ---- Requests ------------------------------------------------------------------------------------------- */

static void on_reply(void *context, int code, json_t *result, const dlmgr_error *error)
{
    struct owed *owed = context;
    struct dlm_conn *c = owed->conn;

    c->owed--;
    c->owed_pages -= owed->is_page;
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
        dlm_conn_read(c);
}

static void hello(struct dlm_conn *c, const struct dlm_rpc_request *q)
{
    CLEANUP_JSON json_t *result = NULL;
    dlmgr_error e = {0};
    int r = dlm_hello_answer(q->params, &result, &e);

    say(c, r < 0 ? dlm_rpc_error(q->id, r, e.text, &e) : dlm_rpc_result(q->id, result));
}

static void subscribe(struct dlm_conn *c, const struct dlm_rpc_request *q)
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

static void ask_host(struct dlm_conn *c, const struct dlm_rpc_request *q)
{
    const struct dlm_control_host *host = c->door->host;
    const struct dlm_method *method = dlm_method_find(q->method);
    struct owed *owed;

    if (!method)
        return say(c, dlm_rpc_error(q->id, DLM_RPC_METHOD, "there is no such method", NULL));
    owed = dlm_alloc(sizeof(*owed));
    if (!owed)
        return dlm_conn_close(c);
    owed->conn = c;
    owed->is_page = method->kind == DLM_METHOD_READ || !strcmp(method->name, "deliver");
    owed->id = json_incref(q->id);
    c->owed++;
    c->owed_pages += owed->is_page;
    c->is_peer |= about_peer(method->name);
    if (about_peer(method->name))
        host->peer(host->context, &c->peer, method->name, json_incref(q->params), on_reply, owed);
    else
        host->request(host->context, method->name, json_incref(q->params), on_reply, owed);
}

static void handle_line(struct dlm_conn *c, const char *line, size_t len)
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

static bool may_read(const struct dlm_conn *c)
{
    return !c->closing && !c->last && !c->door->stopping && c->owed < OWED_MAX &&
           c->owed_pages == 0 && c->out.len + c->sending.len < UNSENT_MAX;
}

static void handle_lines(struct dlm_conn *c)
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
static bool still_listens(const struct dlm_conn *c)
{
    struct pollfd p = {.events = POLLIN};

    return uv_fileno((const uv_handle_t *)&c->pipe, &p.fd) == 0 && poll(&p, 1, 0) == 1 &&
           !(p.revents & (POLLHUP | POLLERR));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct dlm_conn *c = container_of((uv_pipe_t *)stream, struct dlm_conn, pipe);

    if (n > 0)
        dlm_buf_add(&c->in, buf->base, (size_t)n);
    free(buf->base);
    if (n == UV_EOF && still_listens(c))
        c->last = true;
    else if (n < 0 || c->in.failed)
        return dlm_conn_close(c);
    dlm_conn_read(c);
}

void dlm_conn_read(struct dlm_conn *c)
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
    dlm_conn_flush(c);
    if (c->closed || c->closing)
        return conn_free(c);
    if (may_read(c) && !c->reading) {
        c->reading = true;
        if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0)
            dlm_conn_close(c);
    } else if (!may_read(c) && c->reading) {
        c->reading = false;
        uv_read_stop((uv_stream_t *)&c->pipe);
    }
}
