/* SPDX-License-Identifier: MIT */
/*
 * door.c - see door.h. Orders go to the loop thread one at a time, and are waited for.
 */
#include "tests/lib/door.h"

#include "dlmgr/json.h"
#include "dlmgr/workers.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define GIVE_UP_MS 10000

struct later {
    struct door *door;
    json_t *result;
    dlm_reply_fn reply;
    void *context;
    int64_t at; /* -1: when told to */
    struct later *next;
};

struct door {
    struct dlm_home *home;
    struct dlm_control *control;
    struct dlm_control_host host;
    struct dlm_log log;
    uv_loop_t loop;
    uv_async_t async;
    uv_timer_t timer;
    pthread_t thread;
    struct later *laters;
    atomic_int asked, waiting;
    void (*order)(struct door *d, int n);
    int n;
    bool was_stopped;
    sem_t ordered, closed;
};

/* ---- The host: on the loop ---------------------------------------------------------------------- */

static void answer_late(struct later *l)
{
    struct later **at = &l->door->laters;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    atomic_fetch_sub(&l->door->waiting, 1);
    l->reply(l->context, 0, l->result, NULL);
    free(l);
}

static void on_timer(uv_timer_t *timer)
{
    struct door *d = container_of(timer, struct door, timer);
    bool again = true;

    while (again) {
        again = false;
        for (struct later *l = d->laters; l && !again; l = l->next)
            if (l->at >= 0 && l->at <= dlm_clock_mono()) {
                answer_late(l);
                again = true;
            }
    }
}

static void answer_at(struct door *d, json_t *result, int64_t at, dlm_reply_fn reply, void *context)
{
    struct later *l = calloc(1, sizeof(*l));

    *l = (struct later){.door = d,
                        .result = result,
                        .reply = reply,
                        .context = context,
                        .at = at,
                        .next = d->laters};
    d->laters = l;
    atomic_fetch_add(&d->waiting, 1);
}

static json_t *text_of(int64_t size)
{
    char *text = malloc((size_t)size + 1);
    json_t *result;

    memset(text, 'x', (size_t)size);
    text[size] = '\0';
    result = json_pack("{s:s}", "text", text);
    free(text);
    return result;
}

static void fail_binary(dlm_reply_fn reply, void *context)
{
    dlmgr_error e = {.code = DLMGR_EIO,
                     .sys_errno = EIO,
                     .text = "cannot read caf\xc3",
                     .path = "/a/\xff"};

    reply(context, DLMGR_EIO, NULL, &e);
}

static void on_request(void *context, const char *method, json_t *params, dlm_reply_fn reply,
                       void *reply_context)
{
    struct door *d = context;
    int n = atomic_fetch_add(&d->asked, 1);
    int64_t ms = dlm_json_int(params, "timeout_ms", -1);

    if (!strcmp(method, "status"))
        reply(reply_context, 0, json_pack("{s:i}", "n", n), NULL);
    else if (!strcmp(method, "list"))
        reply(reply_context, 0, text_of(dlm_json_int(params, "limit", 0)), NULL);
    else if (!strcmp(method, "add"))
        answer_at(d, json_incref(params), 0, reply, reply_context);
    else if (!strcmp(method, "wait"))
        answer_at(d, json_pack("{s:b}", "ended", 1), ms < 0 ? -1 : dlm_clock_mono() + ms, reply,
                  reply_context);
    else
        fail_binary(reply, reply_context);
    json_decref(params);
}

/* ---- Orders ----------------------------------------------------------------------------------------- */

static void on_async(uv_async_t *async)
{
    struct door *d = container_of(async, struct door, async);
    void (*order)(struct door *, int) = TAKE_PTR(d->order);

    if (!order)
        return;
    order(d, d->n);
    sem_post(&d->ordered);
}

static void give_order(struct door *d, void (*order)(struct door *d, int n), int n)
{
    d->n = n;
    d->order = order;
    uv_async_send(&d->async);
    sem_wait(&d->ordered);
}

static void order_release(struct door *d, int n)
{
    (void)n;
    while (d->laters)
        answer_late(d->laters);
}

static void order_news(struct door *d, int n)
{
    for (int i = 0; i < n; i++)
        dlm_control_news(d->control);
}

static void order_fault(struct door *d, int n)
{
    (void)d;
    dlm_fault_alloc = n;
}

static void on_closed(void *context)
{
    struct door *d = context;

    sem_post(&d->closed);
}

static void order_stop(struct door *d, int n)
{
    (void)n;
    dlm_control_stop(TAKE_PTR(d->control), on_closed, d);
}

static void order_end(struct door *d, int n)
{
    (void)n;
    uv_close((uv_handle_t *)&d->async, NULL);
    uv_close((uv_handle_t *)&d->timer, NULL);
}

static bool closed_within(struct door *d, int ms)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return sem_timedwait(&d->closed, &t) == 0;
}

bool door_stop(struct door *d, int ms)
{
    d->was_stopped = true;
    give_order(d, order_stop, 0);
    return closed_within(d, ms);
}

void door_release(struct door *d)
{
    give_order(d, order_release, 0);
}

void door_news(struct door *d, int n)
{
    give_order(d, order_news, n);
}

void door_fault(struct door *d, int n)
{
    give_order(d, order_fault, n);
}

int door_asked(const struct door *d)
{
    return atomic_load(&d->asked);
}

int door_waiting(const struct door *d)
{
    return atomic_load(&d->waiting);
}

struct dlm_home *door_home_of(struct door *d)
{
    return d->home;
}

/* ---- Opening and closing -------------------------------------------------------------------------------- */

struct dlm_home *door_home(void)
{
    struct dlm_home *home = NULL;
    dlmgr_error e = {0};
    char path[600];

    snprintf(path, sizeof(path), "%s/%0150d", test_dir(), 7);
    CHECK_INT(dlm_home_open(path, true, false, &home, &e), 0);
    CHECK_STR(e.text, "");
    CU_ASSERT_FATAL(home != NULL);
    return home;
}

static void *loop_main(void *arg)
{
    struct door *d = arg;

    uv_run(&d->loop, UV_RUN_DEFAULT);
    return NULL;
}

struct door *door_open(void)
{
    struct door *d = calloc(1, sizeof(*d));
    dlmgr_error e = {0};

    d->home = door_home();
    sem_init(&d->ordered, 0, 0);
    sem_init(&d->closed, 0, 0);
    uv_loop_init(&d->loop);
    uv_async_init(&d->loop, &d->async, on_async);
    uv_timer_init(&d->loop, &d->timer);
    uv_timer_start(&d->timer, on_timer, 1, 1);
    d->host = (struct dlm_control_host){.loop = &d->loop,
                                        .home = d->home,
                                        .log = &d->log,
                                        .request = on_request,
                                        .context = d};
    CHECK_INT(dlm_control_start(&d->host, &d->control, &e), 0);
    CHECK_STR(e.text, "");
    CU_ASSERT_FATAL(d->control != NULL);
    CU_ASSERT_EQUAL_FATAL(dlm_thread_start(&d->thread, loop_main, d, "door"), 0);
    return d;
}

void door_close(struct door *d)
{
    door_release(d);
    if (!d->was_stopped)
        CU_ASSERT(door_stop(d, 3000));
    give_order(d, order_end, 0);
    pthread_join(d->thread, NULL);
    CHECK_INT(uv_loop_close(&d->loop), 0);
    CHECK_INT(faccessat(d->home->fd, "control.sock", F_OK, 0), -1);
    dlm_home_close(d->home);
    sem_destroy(&d->ordered);
    sem_destroy(&d->closed);
    free(d);
}

/* ---- A plain socket ------------------------------------------------------------------------------------------ */

struct raw raw_open(const struct dlm_home *home)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct raw r = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control.sock", home->fd);
    CHECK_INT(connect(r.fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return r;
}

void raw_close(struct raw *r)
{
    close(r->fd);
    dlm_buf_free(&r->in);
}

bool raw_send(struct raw *r, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = send(r->fd, p, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool raw_say(struct raw *r, const char *text)
{
    char *copy = strdup(text);
    bool sent;

    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    sent = raw_send(r, copy, strlen(copy));
    free(copy);
    return sent;
}

char *raw_line(struct raw *r)
{
    for (;;) {
        char *end = r->in.len ? memchr(r->in.data, '\n', r->in.len) : NULL, *line;
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        char some[65536];
        ssize_t n;

        if (end) {
            size_t len = (size_t)(end - r->in.data);

            line = strndup(r->in.data, len);
            memmove(r->in.data, end + 1, r->in.len - len - 1);
            r->in.len -= len + 1;
            return line;
        }
        if (!CHECK_INT(poll(&p, 1, GIVE_UP_MS), 1))
            return strdup("");
        n = recv(r->fd, some, sizeof(some), 0);
        if (n <= 0)
            return NULL;
        dlm_buf_add(&r->in, some, (size_t)n);
    }
}

json_t *raw_json(struct raw *r)
{
    CLEANUP_FREE char *line = raw_line(r);
    json_t *json = line ? json_loads(line, 0, NULL) : NULL;

    CU_ASSERT(!line || json != NULL);
    return json;
}
