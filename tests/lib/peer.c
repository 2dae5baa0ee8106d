/* SPDX-License-Identifier: MIT */
/*
 * peer.c - a server for tests that breaks off at exactly the byte: see peer.h.
 *
 * TLS stands between two buffers in memory (BIOs), so that what it wants to send passes through put_wire() like plain bytes, and is counted and
 * cut there. A RST waits until the client has acknowledged everything: otherwise its kernel might not have got what was
 * sent before, and the byte would not be exact. A FIN waits for the client to close, for closing a socket with unread bytes is a RST.
 */
#include "tests/lib/peer.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_S = 60, DRAIN_MS = 10000, STACK = 256 * 1024 };

struct peer_link {
    struct peer *peer;
    struct peer_link *next, *prev;
    int fd;
    SSL *ssl;
    bool over;
    int64_t sent, limit; /* limit -1: none */
    enum peer_end how;
};

struct peer {
    struct peer_options options;
    SSL_CTX *ctx;
    int listening, port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t fewer;
    struct peer_link links; /* the ring's head */
    bool stopping;
};

static void must(bool good, const char *what)
{
    if (!good) {
        perror(what);
        ERR_print_errors_fp(stderr);
        abort();
    }
}

/* ---- The wire ------------------------------------------------------------------------------------------ */

static void drain_out(const struct peer_link *l)
{
    int unsent = 1;

    for (int ms = 0; ms < DRAIN_MS && ioctl(l->fd, SIOCOUTQ, &unsent) == 0 && unsent > 0; ms++)
        usleep(unsent < 4096 ? 50 : 1000);
}

static void drain_in(const struct peer_link *l)
{
    char buffer[4096];

    while (recv(l->fd, buffer, sizeof(buffer), 0) > 0)
        ;
}

static bool send_all(struct peer_link *l, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t done = send(l->fd, data, n, MSG_NOSIGNAL);

        if (done <= 0) {
            l->over = true;
            return false;
        }
        l->sent += done;
        data += done;
        n -= (size_t)done;
    }
    return true;
}

static bool flush_tls(struct peer_link *l);

void peer_finish(struct peer_link *l, enum peer_end how)
{
    struct linger reset = {.l_onoff = 1};

    if (l->over)
        return;
    if (how == PEER_NOTIFY && l->ssl) {
        SSL_shutdown(l->ssl);
        flush_tls(l);
    }
    l->over = true;
    if (how == PEER_RST) {
        drain_out(l);
        setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        return;
    }
    shutdown(l->fd, SHUT_WR);
    drain_in(l);
}

static bool put_wire(struct peer_link *l, const char *data, size_t n)
{
    bool ends = l->limit >= 0 && (int64_t)n > l->limit - l->sent;

    if (l->over)
        return false;
    if (ends)
        n = (size_t)(l->limit - l->sent);
    if (!send_all(l, data, n) || !ends)
        return !l->over;
    peer_finish(l, l->how);
    return false;
}

void peer_limit(struct peer_link *l, int64_t bytes, enum peer_end how)
{
    l->limit = l->sent + bytes;
    l->how = how;
    if (bytes == 0)
        peer_finish(l, how);
}

int64_t peer_sent(const struct peer_link *l)
{
    return l->sent;
}

/* ---- TLS ------------------------------------------------------------------------------------------------- */

/* What TLS wants to send goes. */
static bool flush_tls(struct peer_link *l)
{
    char *data;
    long n = BIO_get_mem_data(SSL_get_wbio(l->ssl), &data);
    bool good = n <= 0 || put_wire(l, data, (size_t)n);

    (void)BIO_reset(SSL_get_wbio(l->ssl));
    return good;
}

/* After a call of OpenSSL: 1 it is done, 0 call it again, -1 over. */
static int turn_tls(struct peer_link *l, int result)
{
    int why = SSL_get_error(l->ssl, result);
    char buffer[16384];
    ssize_t n;

    ERR_clear_error();
    if (!flush_tls(l))
        return -1;
    if (result > 0)
        return 1;
    n = why == SSL_ERROR_WANT_READ ? recv(l->fd, buffer, sizeof(buffer), 0) : -1;
    if (n <= 0) {
        l->over = true;
        return -1;
    }
    return BIO_write(SSL_get_rbio(l->ssl), buffer, (int)n) == n ? 0 : -1;
}

static bool begin_tls(struct peer_link *l)
{
    int r = 0;

    l->ssl = SSL_new(l->peer->ctx);
    must(l->ssl != NULL, "peer: TLS");
    SSL_set_bio(l->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    while (r == 0)
        r = turn_tls(l, SSL_accept(l->ssl));
    return r > 0;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *context)
{
    const struct peer *p = context;
    size_t len = strlen(p->options.alpn);

    (void)ssl;
    for (unsigned at = 0; at < in_len; at += 1u + in[at]) {
        if (in[at] == len && !memcmp(in + at + 1, p->options.alpn, len)) {
            *out = in + at + 1;
            *out_len = in[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void make_context(struct peer *p)
{
    const struct peer_options *o = &p->options;

    if (!o->cert)
        return;
    p->ctx = SSL_CTX_new(TLS_server_method());
    must(p->ctx && SSL_CTX_use_certificate_chain_file(p->ctx, o->cert) == 1 &&
             SSL_CTX_use_PrivateKey_file(p->ctx, o->key, SSL_FILETYPE_PEM) == 1,
         "peer: certificate");
    /* No tickets: each handshake has the same length. */
    SSL_CTX_set_options(p->ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(p->ctx, 0);
    SSL_CTX_set_session_cache_mode(p->ctx, SSL_SESS_CACHE_OFF);
    if (o->alpn)
        SSL_CTX_set_alpn_select_cb(p->ctx, choose_alpn, p);
}

/* ---- Reading and writing --------------------------------------------------------------------------------- */

bool peer_put(struct peer_link *l, const void *data, size_t n)
{
    int r = 0;

    if (!l->ssl)
        return put_wire(l, data, n);
    while (r == 0 && !l->over)
        r = turn_tls(l, SSL_write(l->ssl, data, (int)n));
    return r > 0;
}

static ssize_t get_some(struct peer_link *l, void *data, size_t n)
{
    int r = 0, got = 0;

    if (l->over)
        return -1;
    if (!l->ssl)
        return recv(l->fd, data, n, 0);
    while (r == 0)
        r = turn_tls(l, got = SSL_read(l->ssl, data, (int)n));
    return r > 0 ? got : -1;
}

bool peer_get(struct peer_link *l, void *data, size_t n)
{
    char *at = data;

    while (n > 0) {
        ssize_t got = get_some(l, at, n);

        if (got <= 0) {
            l->over = true;
            return false;
        }
        at += got;
        n -= (size_t)got;
    }
    return true;
}

bool peer_get_head(struct peer_link *l, char *text, size_t size)
{
    size_t len = 0;

    while (len + 1 < size) {
        ssize_t got = get_some(l, text + len, size - 1 - len);

        if (got <= 0)
            break;
        len += (size_t)got;
        text[len] = '\0';
        if (len >= 4 && !strcmp(text + len - 4, "\r\n\r\n"))
            return true;
    }
    l->over = true;
    return false;
}

/* ---- Connections ------------------------------------------------------------------------------------------ */

static void *link_main(void *context)
{
    struct peer_link *l = context;
    struct peer *p = l->peer;

    if (p->options.accepted)
        p->options.accepted(l, p->options.context);
    if (!l->over && (!p->ctx || begin_tls(l)))
        p->options.serve(l, p->options.context);
    SSL_free(l->ssl);
    pthread_mutex_lock(&p->lock);
    close(l->fd);
    l->next->prev = l->prev;
    l->prev->next = l->next;
    pthread_cond_signal(&p->fewer);
    pthread_mutex_unlock(&p->lock);
    free(l);
    return NULL;
}

static void begin_link(struct peer *p, int fd, const pthread_attr_t *attr)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct peer_link *l = calloc(1, sizeof(*l));
    int one = 1;
    pthread_t thread;

    must(l != NULL, "peer");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    *l = (struct peer_link){.peer = p, .fd = fd, .limit = -1};
    pthread_mutex_lock(&p->lock);
    l->next = &p->links;
    l->prev = p->links.prev;
    l->next->prev = l->prev->next = l;
    if (p->stopping)
        shutdown(fd, SHUT_RDWR);
    pthread_mutex_unlock(&p->lock);
    must(pthread_create(&thread, attr, link_main, l) == 0, "peer: thread");
}

static void *accept_main(void *context)
{
    struct peer *p = context;
    pthread_attr_t attr;
    int fd;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK);
    while ((fd = accept4(p->listening, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        begin_link(p, fd, &attr);
    pthread_attr_destroy(&attr);
    return NULL;
}

struct peer *peer_start(const struct peer_options *options)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct peer *p = calloc(1, sizeof(*p));
    socklen_t len = sizeof(at);

    must(p != NULL, "peer");
    p->options = *options;
    p->links.next = p->links.prev = &p->links;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->fewer, NULL);
    make_context(p);
    p->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(p->listening, (struct sockaddr *)&at, sizeof(at)) == 0 &&
             listen(p->listening, 1024) == 0 &&
             getsockname(p->listening, (struct sockaddr *)&at, &len) == 0,
         "peer: listen");
    p->port = ntohs(at.sin_port);
    must(pthread_create(&p->thread, NULL, accept_main, p) == 0, "peer: thread");
    return p;
}

struct peer *peer_stop(struct peer *p)
{
    if (!p)
        return NULL;
    shutdown(p->listening, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listening);
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    for (struct peer_link *l = p->links.next; l != &p->links; l = l->next)
        shutdown(l->fd, SHUT_RDWR);
    while (p->links.next != &p->links)
        pthread_cond_wait(&p->fewer, &p->lock);
    pthread_mutex_unlock(&p->lock);
    SSL_CTX_free(p->ctx);
    pthread_cond_destroy(&p->fewer);
    pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}

int peer_port(const struct peer *p)
{
    return p->port;
}
