/* SPDX-License-Identifier: MIT */
/*
 * api_loop.c - the application's own loop: fd, process, and whose turn it is.
 *
 * What dlmgr_fd() gives is a set (epoll) of what may bring news:
 *
 *     engine    its event descriptor
 *     client    a connection of its own that subscribed, and holds the sessions; the other one is for calls
 *     timer     an event that is to come again, progress that is due, and without an owner a look every two seconds whether one came
 *     wake      written by ourselves, when there is more than one page or we changed something
 *
 * dlmgr_process() first takes the news and then looks at each session, so what comes in between is news again.
 *
 * No lock is held while the application's functions run, so they may call anything. Should a second thread (or such a
 * function) call dlmgr_process() meanwhile, it finds nothing to do. What they close stays in memory until the look has ended.
 */
#include "dlmgr/api_session.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

enum { PAGE = 1000, LOOK_MS = 2000, LINE_MS = 3000 };

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

/* ms from now, 0 at once; -1: never. */
static void timer_set(struct dlm_listening *l, int64_t ms)
{
    struct itimerspec spec = {.it_value.tv_sec = ms / 1000, .it_value.tv_nsec = ms % 1000 * 1000000};

    if (ms == 0)
        spec.it_value.tv_nsec = 1;
    if (ms < 0)
        spec.it_value = (struct timespec){0};
    if (l->timer >= 0)
        timerfd_settime(l->timer, 0, &spec, NULL);
}

/* Sooner of two times of which -1 is never. */
static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

static void timer_arm(struct dlmgr *h)
{
    struct dlm_listening *l = &h->listening;
    int64_t due = -1, now = dlm_clock_mono();

    for (const struct dlmgr_session *s = l->sessions; s; s = s->next)
        due = sooner(due, dlm_session_due(s));
    if (!h->engine && !l->client)
        due = sooner(due, now + LOOK_MS);
    timer_set(l, due < 0 ? -1 : MAX(due - now, 0));
}

/* ---- The connection -------------------------------------------------------------------------------------- */

void dlm_api_unsubscribe(struct dlmgr *h)
{
    struct dlm_listening *l = &h->listening;

    if (h->engine)
        return;
    l->client = dlm_client_close(l->client); /* which takes it out of the set */
    for (struct dlmgr_session *s = l->sessions; s; s = s->next)
        s->held = false;
}

/* Who held a session under the last owner comes back at its next look for one; who stood in line lets it pass. */
static void stand_back(struct dlm_listening *l)
{
    for (struct dlmgr_session *s = l->sessions; s; s = s->next)
        if (!s->incarnation)
            s->ask_at = dlm_clock_mono() + LINE_MS;
}

int dlm_api_subscribe(struct dlmgr *h, dlmgr_error *e)
{
    struct dlm_listening *l = &h->listening;
    CLEANUP_JSON json_t *result = NULL;
    int r;

    if (h->engine || l->client)
        return 0;
    r = dlm_client_open(h->home, &l->client, e);
    if (r == 0)
        r = dlm_client_call(l->client, "subscribe", json_object(), DLM_API_OWNER_MS, &result, e);
    if (r == 0 && l->epoll >= 0 && watch(l, dlm_client_fd(l->client)) < 0)
        r = dlm_fail_errno(e, DLMGR_EIO, NULL, "cannot watch the connection to the owner");
    if (r < 0) {
        dlm_api_unsubscribe(h);
        return r;
    }
    stand_back(l);
    atomic_store(&l->news, true); /* of before */
    return 0;
}

/* Those that the present owner does not know, and those in line. DLMGR_EPROTO: it knows nothing of sessions. */
static int hold_all(struct dlmgr *h, dlmgr_error *e)
{
    int64_t now = dlm_clock_mono();
    int refused = 0;

    for (struct dlmgr_session *s = h->listening.sessions; s; s = s->next) {
        int r;

        if (s->held || s->closed || atomic_load(&s->lost) || s->ask_at > now)
            continue;
        s->ask_at = 0;
        r = dlm_session_hold(s, s->flags & DLMGR_WAIT, e);
        if (s->held)
            atomic_store(&s->look, true);
        if (r == DLMGR_EPROTO)
            refused = r;
        if (dlm_api_unanswered(r)) {
            dlm_api_unsubscribe(h);
            return 0;
        }
    }
    return refused;
}

/* ---- The descriptor -------------------------------------------------------------------------------------- */

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
    l->wake = wake; /* it was rung, and the timer is set by the look that follows */
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
    atomic_store(&h->listening.news, true);
    ring(h->listening.wake);
}

/* ---- Looking ---------------------------------------------------------------------------------------------- */

/* Take what was announced; *ret_news: look at all sessions. */
static int take_news(struct dlmgr *h, bool *ret_news, dlmgr_error *e)
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
        atomic_store(&l->news, true);
    if (r < 0)
        dlm_api_unsubscribe(h);
    r = l->sessions || l->epoll >= 0 ? dlm_api_subscribe(h, e) : 0;
    *ret_news = atomic_exchange(&l->news, false);
    return r;
}

static bool may_ask(const struct dlm_listening *l)
{
    int64_t now = dlm_clock_mono();
    bool may = false;

    for (const struct dlmgr_session *s = l->sessions; s; s = s->next)
        may |= s->ask_at && s->ask_at <= now;
    return may;
}

/*
 * The news are for all of them; a session may be added meanwhile, but none goes. Without an owner the timer tries again. But one that
 * does not understand us (DLMGR_EPROTO) is told: waiting would not help.
 */
static int begin(struct dlmgr *h, struct dlmgr_session **ret_first, dlmgr_error *e)
{
    struct dlm_listening *l = &h->listening;
    bool news;
    int r;

    pthread_mutex_lock(&l->set);
    r = take_news(h, &news, e);
    if (r == 0 && (news || may_ask(l)))
        r = hold_all(h, e);
    for (struct dlmgr_session *s = l->sessions; s && news; s = s->next)
        atomic_store(&s->look, true);
    *ret_first = l->sessions;
    pthread_mutex_unlock(&l->set);
    return r == DLMGR_EPROTO ? r : 0;
}

static int process(struct dlmgr *h, dlmgr_error *e)
{
    struct dlm_listening *l = &h->listening;
    struct dlmgr_session *s = NULL;
    int n = 0, r = begin(h, &s, e);

    while (s && r >= 0 && n < PAGE && !atomic_load(&l->close_later)) {
        r = s->closed ? 0 : dlm_session_look(s, PAGE - n, e);
        n += MAX(r, 0);
        pthread_mutex_lock(&l->set);
        s = s->next;
        pthread_mutex_unlock(&l->set);
    }
    pthread_mutex_lock(&l->set);
    for (s = l->sessions; s; s = s->next)
        if (atomic_load(&s->look) && s->held && !dlm_session_stopped(s))
            ring(l->wake); /* it was not finished with */
    timer_arm(h);
    pthread_mutex_unlock(&l->set);
    return r < 0 ? r : n;
}

/* ---- Whose turn it is ---------------------------------------------------------------------------------------- */

static bool work_begin(struct dlmgr *h)
{
    bool free_;

    pthread_mutex_lock(&h->lock);
    free_ = !h->listening.at_work;
    if (free_) {
        h->listening.at_work = true;
        h->listening.worker = pthread_self();
    }
    pthread_mutex_unlock(&h->lock);
    return free_;
}

static void work_end(struct dlmgr *h)
{
    pthread_mutex_lock(&h->lock);
    h->listening.at_work = false;
    pthread_cond_broadcast(&h->left);
    pthread_mutex_unlock(&h->lock);
}

bool dlm_api_in_callback(struct dlmgr *h)
{
    bool in;

    pthread_mutex_lock(&h->lock);
    in = h->listening.at_work && pthread_equal(h->listening.worker, pthread_self());
    pthread_mutex_unlock(&h->lock);
    return in;
}

/* Takes the turn, so no look is under way. */
static void sweep(struct dlmgr *h)
{
    struct dlm_listening *l = &h->listening;

    pthread_mutex_lock(&l->set);
    for (struct dlmgr_session **at = &l->sessions, *s; (s = *at);) {
        if (!s->closed) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        dlm_session_release(s);
        dlm_session_free(s);
    }
    pthread_mutex_unlock(&l->set);
}

void dlm_api_sweep(struct dlmgr *h)
{
    if (dlm_api_in_callback(h))
        return; /* when that has returned */
    while (!work_begin(h)) {
        pthread_mutex_lock(&h->lock);
        if (h->listening.at_work)
            pthread_cond_wait(&h->left, &h->lock);
        pthread_mutex_unlock(&h->lock);
    }
    sweep(h);
    work_end(h);
}

int dlmgr_process(dlmgr *handle, dlmgr_error *error)
{
    int r = dlm_api_enter(handle, error);
    bool closed;

    if (r < 0)
        return r;
    if (work_begin(handle)) {
        r = process(handle, error);
        sweep(handle);
        work_end(handle);
    }
    closed = atomic_load(&handle->listening.close_later);
    dlm_api_leave(handle);
    return closed ? dlm_fail(error, DLMGR_ECLOSED, "a callback closed the handle") : r;
}

void dlm_api_listening_init(struct dlm_listening *l)
{
    *l = (struct dlm_listening){.wake = -1, .epoll = -1, .timer = -1};
    pthread_mutex_init(&l->set, NULL);
}

void dlm_api_listening_close(struct dlmgr *h)
{
    struct dlm_listening *l = &h->listening;
    int wake = l->wake;

    while (l->sessions) {
        struct dlmgr_session *s = l->sessions;

        l->sessions = s->next;
        if (h->engine)
            dlm_session_release(s); /* for a client the end of the connection says it */
        dlm_session_free(s);
    }
    l->client = dlm_client_close(l->client);
    close_fd(&l->epoll);
    close_fd(&wake);
    close_fd(&l->timer);
    pthread_mutex_destroy(&l->set);
}
