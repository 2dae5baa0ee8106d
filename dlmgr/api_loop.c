/* SPDX-License-Identifier: MIT */
/*
 * api_loop.c - events delivered inside the application's own loop: listen, fd, process.
 *
 * What dlmgr_fd() gives is a set (epoll) of what may bring news:
 *
 *     engine    its event descriptor
 *     client    a connection of its own that subscribed; the other one is for calls
 *     journal   a timer, since nobody tells: look every two seconds whether an owner came or another process changed something
 *     wake      written by ourselves, when there is more than one page or we changed the journal
 *
 * dlmgr_process() first takes the news and then looks, so what comes in between is news again. It delivers at most one page, and
 * acknowledges once, before it returns. An acknowledgement is a number up to which all is done: when one event was kept, nothing
 * behind it is acknowledged any more, and all of that comes again at the next open. An acknowledgement that failed is made good by the next
 * dlmgr_process().
 *
 * No lock is held while the application's function runs, so it may call anything but dlmgr_close(). Should a second thread (or that
 * function) call dlmgr_process() meanwhile, it finds nothing to do.
 */
#include "dlmgr/api.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

enum { PAGE = 1000, LOOK_S = 2 };

/* ---- What brings news ---------------------------------------------------------------------------------------- */

static void ring(int fd)
{
    uint64_t one = 1;

    /* It fails only when the counter is full, and then it is readable already. */
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
        return;
}

/* 1: it had been rung. */
static int drain(int fd)
{
    uint64_t count;

    return fd >= 0 && read(fd, &count, sizeof(count)) > 0;
}

static void close_fd(int *fd)
{
    dlm_cleanup_fd(fd);
    *fd = -1;
}

static int watch(struct dlm_listening *l, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};

    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Without a subscription: look from time to time. */
static void timer_set(struct dlm_listening *l, bool on)
{
    const struct itimerspec spec = {.it_interval.tv_sec = on ? LOOK_S : 0,
                                    .it_value.tv_sec = on ? LOOK_S : 0};

    if (l->timer >= 0)
        timerfd_settime(l->timer, 0, &spec, NULL);
}

static void unsubscribe(struct dlm_listening *l)
{
    l->client = dlm_client_close(l->client); /* which takes it out of the set */
    timer_set(l, true);
}

static void subscribe(struct dlmgr *h)
{
    struct dlm_listening *l = &h->listening;
    CLEANUP_JSON json_t *result = NULL;

    if (h->engine || l->client || !l->session)
        return;
    if (dlm_client_open(h->home, &l->client, NULL) < 0 ||
        dlm_client_call(l->client, "subscribe", json_object(), DLM_API_OWNER_MS, &result, NULL) < 0 ||
        (l->epoll >= 0 && watch(l, dlm_client_fd(l->client)) < 0)) {
        unsubscribe(l);
        return;
    }
    timer_set(l, false);
    l->news = true; /* of before */
}

static int make_set(struct dlmgr *h)
{
    struct dlm_listening *l = &h->listening;
    int wake = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* look once at the beginning */

    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->epoll < 0 || wake < 0 || l->timer < 0 || watch(l, wake) || watch(l, l->timer) ||
        (h->engine && watch(l, dlm_engine_news_fd(h->engine))) ||
        (l->client && watch(l, dlm_client_fd(l->client)))) {
        int code = errno == ENOMEM ? DLMGR_ENOMEM : DLMGR_EIO;

        close_fd(&wake);
        close_fd(&l->timer);
        close_fd(&l->epoll);
        return code;
    }
    l->wake = wake;
    timer_set(l, !h->engine && !l->client);
    return 0;
}

int dlmgr_fd(dlmgr *handle)
{
    struct dlm_listening *l;
    int r = dlm_api_enter(handle, NULL);

    if (r < 0)
        return r;
    l = &handle->listening;
    pthread_mutex_lock(&l->set);
    if (l->epoll < 0)
        r = make_set(handle);
    if (r == 0)
        r = l->epoll;
    pthread_mutex_unlock(&l->set);
    dlm_api_leave(handle);
    return r;
}

void dlm_api_news(struct dlmgr *h)
{
    h->listening.news = true;
    ring(h->listening.wake);
}

/* Take what was announced; true: look. */
static bool take_news(struct dlmgr *h)
{
    struct dlm_listening *l = &h->listening;
    int r = 0;

    drain(l->wake);
    drain(l->timer);
    if (h->engine)
        r = drain(dlm_engine_news_fd(h->engine));
    else if (l->client)
        r = dlm_client_news(l->client, NULL);
    if (r > 0)
        l->news = true;
    if (r < 0)
        unsubscribe(l);
    subscribe(h);
    return atomic_exchange(&l->news, false) || (!h->engine && !l->client);
}

/* ---- Delivering ------------------------------------------------------------------------------------------------ */

static int acknowledge(struct dlmgr *h, dlmgr_error *e)
{
    struct dlm_listening *l = &h->listening;
    int r = l->ack ? dlmgr_ack_to(h, l->session, l->ack, e) : 0;

    if (r == 0)
        l->ack = 0;
    return r;
}

static int deliver(struct dlm_listening *l, const dlmgr_event_list *page)
{
    const dlmgr_event *event;
    int n;

    for (n = 0; (event = dlmgr_event_list_at(page, (size_t)n)); n++) {
        l->kept |= l->fn(event, l->context) != 0;
        l->after = event->seq;
        if (!l->kept)
            l->ack = event->seq;
    }
    return n;
}

/* The number of events delivered, or a negative code. */
static int look(struct dlmgr *h, dlmgr_error *e)
{
    struct dlm_listening *l = &h->listening;
    dlmgr_event_list *page;
    int n, r = acknowledge(h, e);

    if (r < 0)
        return r;
    r = dlmgr_events(h, l->session, l->after, PAGE, &page, e);
    if (r == DLMGR_ENOTFOUND)
        return 0; /* nothing was added to this session yet */
    if (r < 0)
        return r;
    n = deliver(l, page);
    dlmgr_event_list_free(page);
    if (n == PAGE)
        dlm_api_news(h);
    r = acknowledge(h, e);
    return r < 0 ? r : n;
}

/* While an owner comes or goes a call may take seconds, and this is the application's loop: the timer comes again. */
static int reachable(struct dlmgr *h, dlmgr_error *e)
{
    int r = h->engine || h->listening.client ? 0 : dlm_api_nobody(h, e);

    return r == DLMGR_ENOOWNER && h->mode == DLMGR_EITHER ? 0 : r;
}

static int process(struct dlmgr *h, dlmgr_error *e)
{
    struct dlm_listening *l = &h->listening;
    bool wanted;
    int r;

    pthread_mutex_lock(&l->set);
    wanted = take_news(h) || l->ack;
    r = wanted && l->session ? reachable(h, e) : 0;
    pthread_mutex_unlock(&l->set);
    if (r == 0 && wanted && l->session)
        r = look(h, e);
    if (r < 0)
        l->news = true;
    return r == DLMGR_ELINK ? 0 : r;
}

static bool begin_work(struct dlmgr *h, bool at_work)
{
    bool was;

    pthread_mutex_lock(&h->lock);
    was = h->listening.at_work;
    h->listening.at_work = at_work;
    pthread_mutex_unlock(&h->lock);
    return !was;
}

int dlmgr_process(dlmgr *handle, dlmgr_error *error)
{
    int r = dlm_api_enter(handle, error);

    if (r < 0)
        return r;
    if (begin_work(handle, true)) {
        r = process(handle, error);
        begin_work(handle, false);
    }
    dlm_api_leave(handle);
    return r;
}

int dlmgr_listen(dlmgr *handle, const char *session, dlmgr_event_fn fn, void *context,
                 dlmgr_error *error)
{
    CLEANUP_FREE char *name = NULL;
    struct dlm_listening *l;
    int r = dlm_api_session(session, &session, error);

    if (r == 0)
        r = dlm_api_enter(handle, error);
    if (r < 0)
        return r;
    name = dlm_strdup(session);
    if (!name)
        r = dlm_no_memory(error);
    if (r == 0 && !fn)
        r = dlm_fail(error, DLMGR_EINVAL, "fn is NULL");
    l = &handle->listening;
    pthread_mutex_lock(&l->set);
    if (r == 0 && l->session)
        r = dlm_fail(error, DLMGR_EINVAL, "this handle listens to session %s already", l->session);
    if (r == 0) {
        l->session = TAKE_PTR(name);
        l->fn = fn;
        l->context = context;
        dlm_api_news(handle);
    }
    pthread_mutex_unlock(&l->set);
    dlm_api_leave(handle);
    return r;
}

void dlm_api_listening_init(struct dlm_listening *l)
{
    *l = (struct dlm_listening){.after = -1, .wake = -1, .epoll = -1, .timer = -1};
    pthread_mutex_init(&l->set, NULL);
}

void dlm_api_listening_close(struct dlm_listening *l)
{
    int wake = l->wake;

    l->client = dlm_client_close(l->client);
    close_fd(&l->epoll);
    close_fd(&wake);
    close_fd(&l->timer);
    pthread_mutex_destroy(&l->set);
}
