/* SPDX-License-Identifier: MIT */
/*
 * town.c - a server that is many origins: see town.h.
 *
 * One thread accepts on both ports; a connection is a thread, a descriptor and perhaps a TLS session over it. What was read beyond a
 * request's head stays for the next one. Stopping shuts all sockets down and joins all threads.
 */
#include "tests/lib/town.h"

#include "fixtures/body.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STACK = 256 << 10 };

struct town_conn {
    struct town *town;
    struct town_conn *next;
    pthread_t thread;
    int fd;
    SSL *ssl;
    bool ended;
    char in[TOWN_HEAD];
    size_t n_in;
};

struct town {
    int listening[TOWN_PORTS], port[TOWN_PORTS];
    pthread_t thread;
    pthread_mutex_t lock;
    struct town_conn *conns;
    bool stopping;
    SSL_CTX *tls;
    town_answer answer;
    void *context;
};

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

/* ---- Bytes ------------------------------------------------------------------------------------------ */

static ssize_t receive(struct town_conn *c, void *data, size_t room)
{
    return c->ssl ? SSL_read(c->ssl, data, (int)room) : recv(c->fd, data, room, 0);
}

bool town_say(struct town_conn *c, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = c->ssl ? SSL_write(c->ssl, at, (int)len) : send(c->fd, at, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool town_print(struct town_conn *c, const char *fmt, ...)
{
    char text[TOWN_HEAD];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return town_say(c, text, (size_t)n);
}

bool town_body(struct town_conn *c, uint64_t seed, int64_t start, int64_t end)
{
    const struct body body = {.seed = seed};
    char piece[16384];

    while (start < end) {
        size_t n = end - start < (int64_t)sizeof(piece) ? (size_t)(end - start) : sizeof(piece);

        body_fill(&body, start, piece, n);
        if (!town_say(c, piece, n))
            return false;
        start += (int64_t)n;
    }
    return true;
}

void town_await_end(struct town_conn *c)
{
    char rest[1024];

    while (receive(c, rest, sizeof(rest)) > 0)
        ;
}

bool town_pause(struct town_conn *c, int ms)
{
    struct pollfd end = {.fd = c->fd, .events = POLLRDHUP};

    return poll(&end, 1, ms) == 0;
}

/* ---- Requests --------------------------------------------------------------------------------------- */

/* A head up to its blank line is at c->in; its length with that, 0 when the client has gone or says too much. */
static size_t read_head(struct town_conn *c)
{
    for (;;) {
        char *end = memmem(c->in, c->n_in, "\r\n\r\n", 4);
        ssize_t n;

        if (end)
            return (size_t)(end - c->in) + 4;
        if (c->n_in + 1 >= sizeof(c->in))
            return 0;
        n = receive(c, c->in + c->n_in, sizeof(c->in) - 1 - c->n_in);
        if (n <= 0)
            return 0;
        c->n_in += (size_t)n;
    }
}

bool town_field(const struct town_request *r, const char *name, char *value, size_t size)
{
    char needle[80];
    const char *at;

    snprintf(needle, sizeof(needle), "\r\n%s:", name);
    at = strcasestr(r->head, needle);
    if (!at)
        return false;
    at += strlen(needle);
    at += strspn(at, " ");
    snprintf(value, size, "%.*s", (int)strcspn(at, "\r"), at);
    return true;
}

/* target is cut behind the path. */
static void read_request(struct town_conn *c, const char *head, char *target, struct town_request *r)
{
    char host[140] = "";

    *r = (struct town_request){.head = head,
                               .path = target,
                               .connect = !strncmp(head, "CONNECT ", 8)};
    r->certificate = c->ssl && SSL_get0_peer_certificate(c->ssl);
    if (!strncmp(target, "http://", 7)) {
        r->proxied = true;
        r->path = strchr(target + 7, '/') ? strchr(target + 7, '/') : "/";
    }
    town_field(r, "Host", host, sizeof(host));
    snprintf(r->origin, sizeof(r->origin), "%s://%s",
             r->connect ? "connect"
             : c->ssl   ? "https"
                        : "http",
             host);
}

static bool serve(struct town_conn *c)
{
    char head[TOWN_HEAD], target[TOWN_HEAD];
    struct town_request r;
    size_t len = read_head(c);
    bool go_on;

    if (!len)
        return false;
    memcpy(head, c->in, len);
    head[len] = '\0';
    memmove(c->in, c->in + len, c->n_in -= len);
    if (sscanf(head, "%*s %16383s", target) != 1)
        return false;
    read_request(c, head, target, &r);
    go_on = c->town->answer(c, &r, c->town->context);
    if (!r.connect)
        return go_on;
    return go_on && town_print(c, "HTTP/1.1 200 Yes\r\n\r\n");
}

/* When TLS begins here. */
static bool meet(struct town_conn *c)
{
    char first = 0;

    if (c->ssl || c->n_in > 0 || recv(c->fd, &first, 1, MSG_PEEK) != 1)
        return c->ssl || c->n_in > 0;
    if (first != 0x16 || !c->town->tls)
        return true;
    c->ssl = SSL_new(c->town->tls);
    must(c->ssl && SSL_set_fd(c->ssl, c->fd) == 1, "town: TLS");
    return SSL_accept(c->ssl) == 1;
}

static void *conn_main(void *context)
{
    struct town_conn *c = context;
    sigset_t broken;

    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE); /* SSL_write() does not know MSG_NOSIGNAL */
    pthread_sigmask(SIG_BLOCK, &broken, NULL);
    while (meet(c) && serve(c))
        ;
    SSL_free(c->ssl);
    pthread_mutex_lock(&c->town->lock);
    close(c->fd);
    c->fd = -1;
    c->ended = true;
    pthread_mutex_unlock(&c->town->lock);
    return NULL;
}

/* ---- The town --------------------------------------------------------------------------------------- */

static void reap(struct town *t, bool all)
{
    for (struct town_conn **at = &t->conns, *c; (c = *at);) {
        bool ended;

        pthread_mutex_lock(&t->lock);
        ended = c->ended;
        if (all && !ended)
            shutdown(c->fd, SHUT_RDWR);
        pthread_mutex_unlock(&t->lock);
        if (!all && !ended) {
            at = &c->next;
            continue;
        }
        pthread_join(c->thread, NULL);
        *at = c->next;
        free(c);
    }
}

static void take(struct town *t, int listening)
{
    struct town_conn *c = calloc(1, sizeof(*c));
    pthread_attr_t attr;
    int on = 1;

    must(c != NULL, "town");
    c->town = t;
    c->fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    if (c->fd < 0) {
        free(c);
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->next = t->conns;
    t->conns = c;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    must(pthread_create(&c->thread, &attr, conn_main, c) == 0, "town: thread");
    pthread_attr_destroy(&attr);
}

static void *town_main(void *context)
{
    struct town *t = context;
    struct pollfd fds[TOWN_PORTS];

    for (int i = 0; i < TOWN_PORTS; i++)
        fds[i] = (struct pollfd){.fd = t->listening[i], .events = POLLIN};
    while (!__atomic_load_n(&t->stopping, __ATOMIC_SEQ_CST)) {
        if (poll(fds, TOWN_PORTS, 50) < 0 && errno != EINTR)
            break;
        for (int i = 0; i < TOWN_PORTS; i++)
            if (fds[i].revents & POLLIN)
                take(t, fds[i].fd);
        reap(t, false);
    }
    return NULL;
}

static int listen_at(int *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    must(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 512) == 0 &&
             getsockname(fd, (struct sockaddr *)&at, &len) == 0,
         "town: listen");
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static SSL_CTX *tls_new(const char *certs)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    char pem[400], key[400], ca[400];

    snprintf(pem, sizeof(pem), "%s/sub.pem", certs);
    snprintf(key, sizeof(key), "%s/sub.key", certs);
    snprintf(ca, sizeof(ca), "%s/ca.pem", certs);
    must(tls && SSL_CTX_use_certificate_file(tls, pem, SSL_FILETYPE_PEM) == 1 &&
             SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) == 1 &&
             SSL_CTX_load_verify_locations(tls, ca, NULL) == 1 &&
             SSL_CTX_set_session_id_context(tls, (const unsigned char *)"town", 4) == 1,
         "town: certificates");
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_AUTO_RETRY);
    return tls;
}

struct town *town_start(const char *certs, town_answer answer, void *context)
{
    struct town *t = calloc(1, sizeof(*t));

    must(t != NULL, "town");
    pthread_mutex_init(&t->lock, NULL);
    t->answer = answer;
    t->context = context;
    t->tls = certs ? tls_new(certs) : NULL;
    for (int i = 0; i < TOWN_PORTS; i++)
        t->listening[i] = listen_at(&t->port[i]);
    must(pthread_create(&t->thread, NULL, town_main, t) == 0, "town: thread");
    return t;
}

struct town *town_stop(struct town *t)
{
    if (!t)
        return NULL;
    __atomic_store_n(&t->stopping, true, __ATOMIC_SEQ_CST);
    pthread_join(t->thread, NULL);
    reap(t, true);
    for (int i = 0; i < TOWN_PORTS; i++)
        close(t->listening[i]);
    SSL_CTX_free(t->tls);
    pthread_mutex_destroy(&t->lock);
    free(t);
    return NULL;
}

int town_port(const struct town *t, int i)
{
    return t->port[i];
}
