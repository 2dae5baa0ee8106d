/* SPDX-License-Identifier: MIT */
/*
 * control_conn.c - a connection: what is read from it, asked of the host, and sent. What a line means is rpc.h.
 *
 * A connection lives until its socket is closed and no reply is owed to it, for a reply finds its way back by the connection. It is
 * not read from while it has too much to be sent or to be answered, or is owed a page, which may be long: a client that does not listen stops only itself. While a write is under
 * way, further lines gather and leave together, and any number of news become one.
 *
 * Who asks for much waits for those who ask for little. A line of more than 4 KiB costs the loop up to milliseconds: one such is handled in a turn of the loop, and
 * the connections that have one take turns. Two of more than 64 KiB, and eight pages, may be at work at once; what waits is dropped with its connection, so
 * whoever asks and goes costs nothing. What all connections together have sent of lines that are not handled, or not answered, is bounded.
 */
#include "dlmgr/control_conn.h"

#include "dlmgr/bounds.h"
#include "dlmgr/hello.h"
#include "dlmgr/rpc.h"

#include <poll.h>

#define UNSENT_MAX ((size_t)KIB(256))
#define OWED_MAX 64
#define KEPT_MAX ((size_t)KIB(64)) /* what a buffer may keep while it is empty */
#define LARGE KEPT_MAX
#define LARGE_MAX 2
#define PAGES_MAX 8
#define LINES_MAX 64 /* of a connection in a turn */
#define SMALL ((size_t)KIB(4))
#define NEWS "{\"jsonrpc\":\"2.0\",\"method\":\"news\"}\n"

struct dlm_owed {
    struct dlm_conn *conn;
    bool is_page, is_large;
    size_t bytes; /* of its line */
    json_t *id;
    const char *method; /* static */
    json_t *params;     /* of one in the queue */
    struct dlm_owed *next;
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

static void forget(struct dlm_owed *owed)
{
    json_decref(owed->params);
    json_decref(owed->id);
    free(owed);
}

/* ---- Requests ------------------------------------------------------------------------------------------- */

static void on_turn(uv_idle_t *idle);

void dlm_conn_next_turn(struct dlm_control *d)
{
    if (!d->stopping)
        uv_idle_start(&d->turn, on_turn); /* a timer of 0 ms could come again before the poll */
}

static void pump(struct dlm_control *d);

/* It is answered, or dropped. */
static void settle(struct dlm_control *d, const struct dlm_owed *owed)
{
    owed->conn->owed--;
    owed->conn->owed_pages -= owed->is_page;
    d->owed_bytes -= owed->bytes;
    d->large -= owed->is_large;
    if (owed->is_large)
        dlm_conn_next_turn(d);
}

static void on_reply(void *context, int code, json_t *result, const dlmgr_error *error)
{
    struct dlm_owed *owed = context;
    struct dlm_conn *c = owed->conn;

    bool page = owed->is_page;
    struct dlm_control *d = c->door;

    settle(d, owed);
    d->pages -= page;
    if (code < 0)
        say(c, dlm_rpc_error(owed->id, code, error ? error->text : dlmgr_strerror(code), error));
    else
        say(c, dlm_rpc_result(owed->id, result));
    json_decref(result);
    forget(owed);
    if (page)
        pump(d); /* before the door may go with its last connection */
    if (c->closing)
        conn_free(c);
    else if (!c->busy)
        dlm_conn_read(c);
}

static void ask_now(struct dlm_owed *owed)
{
    const struct dlm_control_host *host = owed->conn->door->host;

    owed->conn->door->pages += owed->is_page;
    host->request(host->context, owed->method, TAKE_PTR(owed->params), on_reply, owed);
}

bool dlm_conn_has_gone(const struct dlm_conn *c)
{
    struct pollfd p = {.events = 0};

    return c->closing || uv_fileno((const uv_handle_t *)&c->pipe, &p.fd) != 0 ||
           (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)));
}

static void drop(struct dlm_owed *owed)
{
    struct dlm_conn *c = owed->conn;

    settle(c->door, owed);
    forget(owed);
    if (c->closing)
        conn_free(c);
    else
        dlm_conn_close(c);
}

static struct dlm_owed *take_first(struct dlm_control *d)
{
    struct dlm_owed *owed = d->queue;

    d->queue = owed->next;
    if (!d->queue)
        d->queue_end = NULL;
    return owed;
}

static void pump(struct dlm_control *d)
{
    while (d->queue && d->pages < PAGES_MAX) {
        struct dlm_owed *owed = take_first(d);

        if (dlm_conn_has_gone(owed->conn))
            drop(owed);
        else
            ask_now(owed);
    }
}

void dlm_conn_forget_queue(struct dlm_control *d)
{
    while (d->queue)
        drop(take_first(d));
}

static void line_up(struct dlm_control *d, struct dlm_owed *owed)
{
    *(d->queue_end ? d->queue_end : &d->queue) = owed;
    d->queue_end = &owed->next;
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

static void ask_host(struct dlm_conn *c, const struct dlm_rpc_request *q, size_t bytes)
{
    const struct dlm_control_host *host = c->door->host;
    const struct dlm_method *method = dlm_method_find(q->method);
    struct dlm_owed *owed;

    if (!method)
        return say(c, dlm_rpc_error(q->id, DLM_RPC_METHOD, "there is no such method", NULL));
    if (bytes > SMALL && c->door->owed_bytes + bytes > DLM_CONTROL_BYTES)
        return say(c,
                   dlm_rpc_error(q->id, DLMGR_ELIMIT,
                                 "the owner has 64 MiB of unanswered calls (control-bytes): ask again later",
                                 NULL));
    owed = dlm_alloc(sizeof(*owed));
    if (!owed)
        return dlm_conn_close(c);
    owed->conn = c;
    owed->is_page = method->kind == DLM_METHOD_READ || !strcmp(method->name, "deliver");
    owed->id = json_incref(q->id);
    owed->bytes = bytes;
    owed->is_large = bytes > LARGE && method->kind != DLM_METHOD_ENGINE; /* a wait may be long */
    c->door->owed_bytes += bytes;
    c->door->large += owed->is_large;
    c->owed++;
    c->owed_pages += owed->is_page;
    c->is_peer |= about_peer(method->name);
    if (about_peer(method->name))
        return host->peer(host->context, &c->peer, method->name, json_incref(q->params), on_reply,
                          owed);
    owed->method = method->name;
    owed->params = json_incref(q->params);
    if (owed->is_page && c->door->pages >= PAGES_MAX)
        line_up(c->door, owed);
    else
        ask_now(owed);
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
        ask_host(c, &q, len);
    dlm_rpc_clear(&q);
}

/* ---- Reading --------------------------------------------------------------------------------------------- */

static bool may_read(const struct dlm_conn *c)
{
    return !c->closing && !c->last && !c->held && !c->rests && !c->door->stopping &&
           c->owed < OWED_MAX && c->owed_pages == 0 && c->out.len + c->sending.len < UNSENT_MAX;
}

/* May it be handled now? Else the connection is called when its turn has come. */
static bool take_turn(struct dlm_conn *c, size_t len)
{
    struct dlm_control *d = c->door;

    c->held_large = len > LARGE;
    if (d->turned || (c->held_large && d->large >= LARGE_MAX)) {
        c->held = ++d->last_held;
        return false;
    }
    d->turned = true;
    dlm_conn_next_turn(d);
    return true;
}

/* Of those that had said enough in an earlier turn. Looked for anew each time, since reading may free others. */
static struct dlm_conn *next_rested(const struct dlm_control *d)
{
    struct dlm_conn *c = d->conns;

    while (c && (!c->rests || c->rests >= d->turns || c->closing))
        c = c->next;
    return c;
}

static void go_on(struct dlm_control *d)
{
    struct dlm_conn *c;

    while ((c = next_rested(d))) {
        c->rests = 0;
        dlm_conn_read(c);
    }
}

/* Who has waited for longest, of those that may go on. */
static void on_turn(uv_idle_t *idle)
{
    struct dlm_control *d = container_of(idle, struct dlm_control, turn);
    struct dlm_conn *first = NULL;

    uv_idle_stop(idle);
    d->turns++;
    d->turned = false;
    dlm_control_let_in(d);
    go_on(d);
    if (d->turned)
        return;
    for (struct dlm_conn *c = d->conns; c; c = c->next)
        if (c->held && !c->closing && !(c->held_large && d->large >= LARGE_MAX) &&
            (!first || c->held < first->held))
            first = c;
    if (!first)
        return;
    first->held = 0;
    dlm_conn_next_turn(d); /* should it have nothing to say any more, the next one's comes */
    dlm_conn_read(first);
}

static void rest(struct dlm_conn *c)
{
    c->rests = c->door->turns;
    dlm_conn_next_turn(c->door);
}

static void handle_lines(struct dlm_conn *c)
{
    for (int n = 0; may_read(c) && c->in.len > c->used; n++) {
        size_t from = MAX(c->used, c->scanned);
        char *end = memchr(c->in.data + from, '\n', c->in.len - from);
        size_t begin = c->used;

        if (!end) {
            c->scanned = c->in.len;
            break;
        }
        if ((size_t)(end - c->in.data) - begin > SMALL &&
            !take_turn(c, (size_t)(end - c->in.data) - begin))
            break;
        c->used = c->scanned = (size_t)(end - c->in.data) + 1;
        handle_line(c, c->in.data + begin, c->used - begin - 1);
        if (n == LINES_MAX)
            rest(c);
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

    c->heard = dlm_clock_mono();
    if (n > 0)
        dlm_buf_add(&c->in, buf->base, (size_t)n);
    free(buf->base);
    if (n == UV_EOF && still_listens(c))
        c->last = true;
    else if (n < 0 || c->in.failed)
        return dlm_conn_close(c);
    dlm_conn_read(c);
}

void dlm_conn_refuse(struct dlm_conn *c, int code, const char *why)
{
    c->last = true;
    say(c, dlm_rpc_error(NULL, code, why, NULL));
}

/* Of all connections together; only asked about one that has a long line. */
static bool too_much_unread(const struct dlm_conn *c)
{
    size_t all = 0;

    for (const struct dlm_conn *other = c->door->conns; other && c->in.len > LARGE;
         other = other->next)
        all += other->in.len;
    return all > DLM_CONTROL_BYTES;
}

void dlm_conn_read(struct dlm_conn *c)
{
    if (c->busy)
        return;
    c->busy = true; /* replies may come before a request returns; they leave together below */
    handle_lines(c);
    if (!c->closing && !c->last && c->in.len > DLM_RPC_LINE_MAX && c->scanned == c->in.len)
        dlm_conn_refuse(c, DLM_RPC_PARSE, "a line is at most 4 MiB long");
    else if (!c->closing && !c->last && too_much_unread(c))
        dlm_conn_refuse(c, DLMGR_ELIMIT,
                        "the owner holds 64 MiB of lines that are not handled yet (control-bytes): ask again later");
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
