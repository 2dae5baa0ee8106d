/* SPDX-License-Identifier: MIT */
/*
 * fetch.c - libcurl's sockets and timer on libuv: see fetch.h.
 *
 * libcurl tells which sockets to watch (CURLMOPT_SOCKETFUNCTION) and when it wants to be woken
 * (CURLMOPT_TIMERFUNCTION); we tell it what happened (curl_multi_socket_action) and then collect what ended. Three rules of
 * libcurl shape this:
 *
 *   - a timer of 0 ms must be armed and not called at once;
 *   - a socket may be closed right after CURL_POLL_REMOVE, so its uv_poll is stopped no later than that;
 *   - cleaning up a handle calls back, so nothing is freed before curl_multi_cleanup() returned.
 *
 * Between two requests a connection is removed and added again, which costs seven system calls with libuv. So a connection's socket
 * stays watched until it is closed, which we are told (CURLOPT_CLOSESOCKETFUNCTION); an event that nobody waits for stops
 * the watching. Sockets of libcurl's own, such as its resolver's, and those that never connected are closed without a
 * word: they are not kept, and a new socket with the number of such a one takes its place.
 */
#include "dlmgr/fetch.h"

#include "dlmgr/bounds.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define KEPT_MAX 64

struct watch {
    uv_poll_t poll;
    struct dlm_fetch *fetch;
    curl_socket_t socket;
    int events;     /* what libuv looks for; 0: stopped */
    bool wanted;    /* by libcurl just now */
    bool asked_for; /* opened for a connection of ours */
    bool connected; /* has been: we shall be told when it is closed */
    int port;       /* ours, once it is */
};

struct dlm_fetch {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer, soon;
    struct dlm_fetching *broken; /* what libcurl would not end by itself */
    struct watch **watches;      /* by socket */
    size_t n_watches;
    CURL *kept[KEPT_MAX];
    size_t n_kept;
    void (*turned)(void *context); /* NULL: nobody wants to know */
    void *turned_context;
};

static void collect(struct dlm_fetch *f)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(f->multi, &left))) {
        struct dlm_fetching *g = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &g);
        dlm_fetch_remove(f, g); /* the message is gone after this */
        g->done(g, code);
    }
}

/* libcurl only returns the error of a body that was refused when a pause ended, and forgets the request's socket. */
static void on_soon(uv_timer_t *timer)
{
    struct dlm_fetch *f = container_of(timer, struct dlm_fetch, soon);

    while (f->broken) {
        struct dlm_fetching *g = f->broken;

        dlm_fetch_remove(f, g);
        g->done(g, g->broken);
    }
}

static void turned(struct dlm_fetch *f)
{
    if (f->turned)
        f->turned(f->turned_context);
}

static void act(struct dlm_fetch *f, curl_socket_t socket, int events)
{
    int running;

    curl_multi_socket_action(f->multi, socket, events, &running);
    turned(f);
    collect(f);
}

static void on_timer(uv_timer_t *timer)
{
    act(container_of(timer, struct dlm_fetch, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_set_timer(CURLM *multi, long ms, void *context)
{
    struct dlm_fetch *f = context;

    (void)multi;
    if (ms < 0)
        uv_timer_stop(&f->timer);
    else
        uv_timer_start(&f->timer, on_timer, (uint64_t)ms, 0);
    return 0;
}

/* ---- Sockets -------------------------------------------------------------------------------------- */

static int watch_start(struct watch *w, int events);
static struct watch *watch_find(const struct dlm_fetch *f, curl_socket_t socket);

/*
 * libuv has stopped watching it. Told CURL_CSELECT_ERR, libcurl would only say "select/poll returned error"; one that tries to read finds
 * out what it was (Connection reset by peer). It must be watched on should that find nothing.
 */
static void on_broken(struct watch *w)
{
    struct dlm_fetch *f = w->fetch;
    curl_socket_t socket = w->socket;
    int events = w->events;

    w->events = 0;
    act(f, socket, CURL_CSELECT_IN | CURL_CSELECT_OUT);
    w = watch_find(f, socket);
    if (w && w->wanted && !w->events)
        watch_start(w, events);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct watch *w = container_of(poll, struct watch, poll);
    int what = 0;

    if (!w->wanted) {
        watch_start(w, 0); /* a server closes a connection that rests */
        return;
    }
    if (status < 0) {
        on_broken(w);
        return;
    }
    if (events & UV_READABLE)
        what |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        what |= CURL_CSELECT_OUT;
    act(w->fetch, w->socket, what);
}

static int watch_start(struct watch *w, int events)
{
    int r = 0;

    if (events == w->events)
        return 0;
    r = events ? uv_poll_start(&w->poll, events, on_event) : uv_poll_stop(&w->poll);
    w->events = r == 0 ? events : 0;
    return r;
}

/* One that nobody waits for does not keep the loop going. */
static void watch_want(struct watch *w, bool wanted)
{
    w->wanted = wanted;
    if (wanted)
        uv_ref((uv_handle_t *)&w->poll);
    else
        uv_unref((uv_handle_t *)&w->poll);
}

static struct watch *watch_find(const struct dlm_fetch *f, curl_socket_t socket)
{
    return (size_t)socket < f->n_watches ? f->watches[socket] : NULL;
}

static bool watches_reserve(struct dlm_fetch *f, curl_socket_t socket)
{
    size_t n = MAX(f->n_watches, (size_t)64);
    struct watch **more;

    while (n <= (size_t)socket)
        n *= 2;
    if (n == f->n_watches)
        return true;
    more = dlm_realloc(f->watches, n * sizeof(*more));
    if (!more)
        return false;
    memset(more + f->n_watches, 0, (n - f->n_watches) * sizeof(*more));
    f->watches = more;
    f->n_watches = n;
    return true;
}

static struct watch *watch_new(struct dlm_fetch *f, curl_socket_t socket, bool asked_for)
{
    struct watch *w;

    if (!watches_reserve(f, socket) || !(w = dlm_alloc(sizeof(*w))))
        return NULL;
    w->fetch = f;
    w->socket = socket;
    w->asked_for = asked_for;
    if (uv_poll_init_socket(f->loop, &w->poll, socket) != 0) {
        free(w);
        return NULL;
    }
    return f->watches[socket] = w;
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(container_of((uv_poll_t *)handle, struct watch, poll));
}

static void watch_drop(struct watch *w)
{
    w->fetch->watches[w->socket] = NULL;
    watch_start(w, 0);
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

/* The port stands at the same place for both kinds of address. */
static int local_port(curl_socket_t socket)
{
    struct sockaddr_in6 own = {0};
    socklen_t len = sizeof(own);

    return getsockname(socket, (struct sockaddr *)&own, &len) == 0 ? ntohs(own.sin6_port) : 0;
}

static bool may_rest(struct watch *w)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);

    if (w->asked_for && !w->connected) {
        w->connected = getpeername(w->socket, (struct sockaddr *)&peer, &len) == 0;
        w->port = w->connected ? local_port(w->socket) : 0;
    }
    return w->connected;
}

bool dlm_fetch_is_spoiled(const struct dlm_fetch *f, int port)
{
    char byte;

    for (size_t i = 0; i < f->n_watches; i++) {
        const struct watch *w = f->watches[i];

        if (w && w->connected && !w->wanted && w->port == port &&
            recv(w->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
            return true;
    }
    return false;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *socket_context)
{
    struct dlm_fetch *f = context;
    struct watch *w = watch_find(f, socket);
    int events = 0;

    (void)easy;
    (void)socket_context;
    if (what == CURL_POLL_REMOVE) {
        if (w && may_rest(w))
            watch_want(w, false);
        else if (w)
            watch_drop(w);
        return 0;
    }
    if (!w && !(w = watch_new(f, socket, false)))
        return -1; /* libcurl then fails the transfers of this socket */
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    watch_want(w, true);
    return watch_start(w, events) == 0 ? 0 : -1;
}

/* libcurl may not say again what it waits for when the number is one that it knows. */
static int on_opened(void *context, curl_socket_t socket, curlsocktype purpose)
{
    struct watch *old = watch_find(context, socket), *w;
    int events = old && old->wanted ? old->events : 0;

    (void)purpose;
    if (old)
        watch_drop(old);
    w = watch_new(context, socket, true);
    if (w && events)
        watch_want(w, true);
    return w && watch_start(w, events) == 0 ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}

static int on_close(void *context, curl_socket_t socket)
{
    struct watch *w = watch_find(context, socket);

    if (w)
        watch_drop(w);
    return close(socket);
}

/* ---- All of it ------------------------------------------------------------------------------------ */

int dlm_fetch_start(uv_loop_t *loop, struct dlm_fetch **ret, dlmgr_error *e)
{
    struct dlm_fetch *f = dlm_alloc(sizeof(*f));

    if (!f || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(f->multi = curl_multi_init())) {
        free(f);
        return dlm_fail(e, DLMGR_ENOMEM, "cannot start libcurl: out of memory");
    }
    f->loop = loop;
    uv_timer_init(loop, &f->timer);
    uv_timer_init(loop, &f->soon);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_set_timer);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    *ret = f;
    return 0;
}

void dlm_fetch_at_most(struct dlm_fetch *f, int64_t connections)
{
    curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)MIN(connections, INT32_MAX));
}

void dlm_fetch_stop(struct dlm_fetch *f)
{
    if (!f)
        return;
    while (f->n_kept > 0)
        curl_easy_cleanup(f->kept[--f->n_kept]);
    curl_multi_cleanup(TAKE_PTR(f->multi)); /* closes connections, which drops their watches */
    for (size_t i = 0; i < f->n_watches; i++)
        if (f->watches[i])
            watch_drop(f->watches[i]);
    free(TAKE_PTR(f->watches));
    f->n_watches = 0;
    uv_close((uv_handle_t *)&f->timer, NULL);
    uv_close((uv_handle_t *)&f->soon, NULL);
}

void dlm_fetch_free(struct dlm_fetch *f)
{
    if (!f)
        return;
    curl_global_cleanup();
    free(f);
}

static void set_common(const struct dlm_fetch *f, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* redirects are decided by us: verdict.h */
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, DLM_RECEIVE_MAX);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT,
                     1L); /* or a dead name server holds up whoever ends a request: it is a thread's getaddrinfo() */
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_opened);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, f);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, f);
}

CURL *dlm_fetch_easy(struct dlm_fetch *f)
{
    CURL *easy = f->n_kept > 0 ? f->kept[--f->n_kept] : curl_easy_init();

    if (easy) {
        curl_easy_reset(
            easy); /* options go; connections and TLS sessions belong to the multi handle and stay */
        set_common(f, easy);
    }
    return easy;
}

void dlm_fetch_keep(struct dlm_fetch *f, CURL *easy)
{
    if (easy && f->multi && f->n_kept < KEPT_MAX)
        f->kept[f->n_kept++] = easy;
    else
        curl_easy_cleanup(easy);
}

int dlm_fetch_add(struct dlm_fetch *m, struct dlm_fetching *f)
{
    curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
    if (curl_multi_add_handle(m->multi, f->easy) != CURLM_OK)
        return DLMGR_ENOMEM;
    f->active = true;
    f->broken = CURLE_OK;
    return 0;
}

void dlm_fetch_remove(struct dlm_fetch *m, struct dlm_fetching *f)
{
    struct dlm_fetching **at = &m->broken;

    if (!f->active)
        return;
    f->active = false;
    while (*at && *at != f)
        at = &(*at)->next_broken;
    if (*at)
        *at = f->next_broken;
    curl_multi_remove_handle(m->multi, f->easy);
}

void dlm_fetch_unpause(struct dlm_fetch *m, struct dlm_fetching *f)
{
    CURLcode code;

    if (!f->active || f->broken)
        return;
    /* What libcurl kept comes out now; it then arms its own timer, in which an end is collected. */
    code = curl_easy_pause(f->easy, CURLPAUSE_CONT);
    turned(m);
    if (code == CURLE_OK)
        return;
    f->broken = code;
    f->next_broken = m->broken;
    m->broken = f;
    uv_timer_start(&m->soon, on_soon, 0, 0);
}

void dlm_fetch_turned(struct dlm_fetch *f, void (*fn)(void *context), void *context)
{
    f->turned = fn;
    f->turned_context = context;
}
