/* SPDX-License-Identifier: MIT */
/*
 * control.c - the door: see control.h. Who may come in, and its opening and closing; what a connection does is control_conn.c.
 *
 * There are at most DLM_CONNS_MAX connections, and no more than a quarter of the descriptors that the process may have, so that transfers find theirs. One more
 * takes the place of the one that has been silent for longest, to whom nothing is owed, and who neither listens nor holds a session: a client of ours
 * connects again when it asks again. When there is none such, the new one is told so.
 *
 * Closing first refuses new connections, lets what is being sent go out for a second, and is over when libuv has let go of the last
 * connection, and no reply is owed to any.
 */
#include "dlmgr/bounds.h"
#include "dlmgr/control_conn.h"
#include "dlmgr/json.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BACKLOG 128
#define COME_MAX 8 /* connections in a turn of the loop */
#define CONNS_MIN 16
#define FLUSH_MS 1000
#define NO_MEMORY_MS 100
#define LOOK_MS 2000 /* a client tries for six seconds */

/* ---- The end of things ---------------------------------------------------------------------------- */

static void handle_closed(struct dlm_control *d)
{
    void (*stopped)(void *) = d->stopped;
    void *context = d->context;

    if (--d->handles > 0)
        return;
    if (d->spare >= 0)
        close(d->spare);
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
    if (d->listener)
        uv_close((uv_handle_t *)TAKE_PTR(d->listener), on_listener_closed);
}

/* The last connection has gone: the timers go too. */
void dlm_control_left(struct dlm_control *d)
{
    if (!d->stopping || d->conns)
        return;
    uv_close((uv_handle_t *)&d->flush, on_timer_closed);
    uv_close((uv_handle_t *)&d->look, on_timer_closed);
    uv_close((uv_handle_t *)&d->turn, on_timer_closed);
}

/* ---- Coming in ----------------------------------------------------------------------------------------------- */

static bool is_allowed(struct dlm_conn *c)
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

static int most_connections(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur / 4 > DLM_CONNS_MAX)
        return DLM_CONNS_MAX;
    return MAX((int)files.rlim_cur / 4, CONNS_MIN);
}

static bool may_be_closed(const struct dlm_conn *c)
{
    return !c->closing && c->owed == 0 && !c->subscribed && !c->is_peer;
}

/* Who does not read what is sent to him is the last choice among the silent. */
static bool is_idler(const struct dlm_conn *a, const struct dlm_conn *b)
{
    return !b || (a->writing != b->writing ? !a->writing : a->heard < b->heard);
}

/* Those that have hung up, and were not read from yet. */
static bool close_gone(struct dlm_control *d, const struct dlm_conn *but)
{
    bool any = false;

    for (struct dlm_conn *c = d->conns, *next; c; c = next) {
        next = c->next;
        if (c == but || c->closing || !dlm_conn_has_gone(c))
            continue;
        dlm_conn_close(c);
        any = true;
    }
    return any;
}

/* Is there room for c, or can room be made? */
static bool make_way(struct dlm_control *d, const struct dlm_conn *c)
{
    struct dlm_conn *idle = NULL;
    int n = 0;

    for (struct dlm_conn *other = d->conns; other; other = other->next) {
        n += !other->closing;
        if (other != c && may_be_closed(other) && is_idler(other, idle))
            idle = other;
    }
    if (n <= d->most || close_gone(d, c))
        return true;
    if (idle)
        dlm_conn_close(idle);
    return idle != NULL;
}

static void on_accept_time(uv_timer_t *timer);

static void accept_one(struct dlm_control *d)
{
    struct dlm_conn *c = d->listener ? dlm_alloc(sizeof(*c)) : NULL;

    if (!d->listener)
        return;
    if (!c) {
        /* libuv asks for no other connection before this one is taken. */
        uv_timer_start(&d->flush, on_accept_time, NO_MEMORY_MS, 0);
        return;
    }
    c->door = d;
    c->heard = dlm_clock_mono();
    uv_pipe_init(d->host->loop, &c->pipe, 0);
    c->next = d->conns;
    d->conns = c;
    if (uv_accept((uv_stream_t *)d->listener, (uv_stream_t *)&c->pipe) != 0 || !is_allowed(c) ||
        d->stopping)
        dlm_conn_close(c);
    else if (make_way(d, c))
        dlm_conn_read(c);
    else
        dlm_conn_refuse(c, DLMGR_ELIMIT,
                        "the owner has as many connections as it takes (control-connections), and all are in use");
}

static void on_accept_time(uv_timer_t *timer)
{
    accept_one(container_of(timer, struct dlm_control, flush));
}

/* libuv accepts for as long as somebody comes, and who comes fast enough would have the loop for himself. */
static void on_connection(uv_stream_t *listener, int status)
{
    struct dlm_control *d = listener->data;

    /* libuv would ask again at once, and for as long as no descriptor or memory is free do nothing else. */
    if (status != 0)
        return unlisten(d);
    dlm_conn_next_turn(d);
    if (d->came++ < COME_MAX)
        accept_one(d);
    else
        d->waits = true; /* and libuv asks for no other */
}

void dlm_control_let_in(struct dlm_control *d)
{
    d->came = d->waits;
    if (d->waits) {
        d->waits = false;
        accept_one(d);
    }
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
    int spare = fcntl(fd, F_DUPFD_CLOEXEC, 3), r = spare < 0 ? -errno : 0;

    if (r < 0)
        close(fd);
    else
        r = listen_on(d, fd);
    if (r < 0 && spare >= 0)
        close(spare);
    if (r < 0) {
        dlm_socket_remove(fresh);
        errno = -r;
        return dlm_fail_errno(e, DLMGR_EHOME, NULL, "cannot listen at `%s/" DLM_SOCKET "`",
                              d->host->home->path);
    }
    if (d->spare >= 0)
        close(d->spare);
    d->spare = spare;
    d->socket = *fresh;
    return 0;
}

static void listen_again(struct dlm_control *d)
{
    int fd = fcntl(d->spare, F_DUPFD_CLOEXEC, 3);

    if (fd >= 0)
        listen_on(d, fd); /* or at the next look */
}

/* Somebody removed or replaced the file, as a service manager does that starts a socket unit: nobody could come in any more. */
static void on_look_time(uv_timer_t *timer)
{
    struct dlm_control *d = container_of(timer, struct dlm_control, look);
    uv_pipe_t *old = d->listener;
    struct dlm_socket fresh;
    dlmgr_error e = {0};
    int r;

    if (dlm_socket_stands(&d->socket)) {
        if (!d->listener)
            listen_again(d);
        return;
    }
    r = dlm_socket_open(d->host->home, 0, d->host->log, &fresh, &e);
    if (r >= 0)
        r = take_socket(d, r, &fresh, &e);
    if (r == 0 && old)
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
    d->spare = -1;
    d->home_uid = st.st_uid;
    uv_timer_init(host->loop, &d->flush);
    uv_timer_init(host->loop, &d->look);
    uv_idle_init(host->loop, &d->turn);
    d->flush.data = d->look.data = d->turn.data = d;
    d->turns = 1;
    d->handles = 3;
    d->most = most_connections();
    r = take_socket(d, r, &fresh, e);
    if (r < 0) {
        d->stopping = true;
        d->stopped = nobody;
        dlm_control_left(d);
        return r;
    }
    uv_timer_start(&d->look, on_look_time, LOOK_MS, LOOK_MS);
    *ret = d;
    return 0;
}

static void close_all(struct dlm_control *d)
{
    for (struct dlm_conn *c = d->conns, *next; c; c = next) {
        next = c->next;
        dlm_conn_close(c);
    }
}

static void on_flush_time(uv_timer_t *timer)
{
    close_all(container_of(timer, struct dlm_control, flush));
}

/* What is being sent may go out; a connection to which nothing is owed is closed at once. */
void dlm_control_stop(struct dlm_control *d, void (*closed)(void *context), void *context)
{
    struct dlm_conn *next;

    d->stopping = true;
    d->stopped = closed;
    d->context = context;
    dlm_socket_remove(&d->socket);
    unlisten(d);
    uv_timer_stop(&d->look);
    uv_idle_stop(&d->turn);
    dlm_conn_forget_queue(d);
    uv_timer_start(&d->flush, on_flush_time, FLUSH_MS, 0);
    if (!d->conns)
        return dlm_control_left(d);
    for (struct dlm_conn *c = d->conns; c; c = next) {
        next = c->next;
        c->last = true;
        dlm_conn_flush(c);
    }
}

void dlm_control_news(struct dlm_control *d)
{
    for (struct dlm_conn *c = d->conns, *next; c; c = next) {
        next = c->next;
        c->news = c->subscribed;
        if (c->news && !c->busy)
            dlm_conn_flush(c);
    }
}
