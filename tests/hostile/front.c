/* SPDX-License-Identifier: MIT */
/*
 * front.c - front CERTS PORT: TLS as a hostile or outdated server speaks it, before the server at PORT.
 *
 * For what nginx does not do. Prints a line for each way of the table below, NAME PORT, and ends with its parent. Each connection has a thread that
 * shakes hands and then copies both ways. A server that goes without close_notify leaves its client in doubt: was that the end?
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum end { NOTIFY, ABRUPT };
enum talk { TLS, CLEAR_TEXT, SILENCE };

static struct way {
    const char *name, *cert;
    int max; /* protocol; 0: the newest */
    enum end end;
    enum talk talk;
    const char *alpn; /* chosen though nobody offered it */
    SSL_CTX *ctx;
    int listening;
} ways[] = {
    {.name = "notify", .cert = "server"},
    {.name = "abrupt", .cert = "server", .end = ABRUPT},
    {.name = "tls10", .cert = "server", .max = TLS1_VERSION},
    {.name = "tls11", .cert = "server", .max = TLS1_1_VERSION},
    {.name = "tls12", .cert = "server", .max = TLS1_2_VERSION},
    {.name = "rsa1024", .cert = "rsa1024"},
    {.name = "sha1", .cert = "sha1"},
    {.name = "usage", .cert = "client"},
    {.name = "otherca", .cert = "otherca"},
    {.name = "leafca", .cert = "leafca"},
    {.name = "alpn", .cert = "server", .alpn = "\7bogus/9"},
    {.name = "cleartext", .talk = CLEAR_TEXT},
    {.name = "hangup", .talk = SILENCE},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static int upstream;

static void must(int good, const char *what)
{
    if (!good) {
        perror(what);
        ERR_print_errors_fp(stderr);
        exit(1);
    }
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *len, const unsigned char *in,
                   unsigned n, void *context)
{
    const char *alpn = context;

    (void)ssl;
    (void)in;
    (void)n;
    *out = (const unsigned char *)alpn + 1;
    *len = (unsigned char)alpn[0];
    return SSL_TLSEXT_ERR_OK;
}

/* What modern defaults forbid is what this server is for. */
static SSL_CTX *context_of(const struct way *w, const char *certs)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char file[500];

    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
    SSL_CTX_set_min_proto_version(ctx, w->max && w->max < TLS1_2_VERSION ? w->max : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(ctx, w->max);
    snprintf(file, sizeof(file), "%s/%s.pem", certs, w->cert);
    must(SSL_CTX_use_certificate_chain_file(ctx, file) == 1, file);
    snprintf(file, sizeof(file), "%s/%s.key", certs, w->cert);
    must(SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) == 1, file);
    if (w->alpn)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, (char *)(uintptr_t)w->alpn);
    return ctx;
}

static struct sockaddr_in local(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int reach(void)
{
    struct sockaddr_in to = local(upstream);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Until one side ends; the client's bytes are few, so they may wait for the server's. */
static void copy(SSL *ssl, int in, int out)
{
    struct pollfd fds[] = {{.fd = in, .events = POLLIN}, {.fd = out, .events = POLLIN}};
    char buffer[16384];
    int n;

    for (;;) {
        if (!SSL_pending(ssl) && poll(fds, 2, -1) < 0)
            return;
        if (SSL_pending(ssl) || fds[0].revents) {
            n = SSL_read(ssl, buffer, sizeof(buffer));
            if (n <= 0 || send(out, buffer, (size_t)n, MSG_NOSIGNAL) != n)
                return;
        }
        if (fds[1].revents) {
            n = (int)recv(out, buffer, sizeof(buffer), 0);
            if (n <= 0 || SSL_write(ssl, buffer, n) != n)
                return;
        }
    }
}

static void serve_tls(const struct way *w, int fd)
{
    SSL *ssl = SSL_new(w->ctx);
    int out = reach();

    SSL_set_fd(ssl, fd);
    if (out >= 0 && SSL_accept(ssl) == 1) {
        copy(ssl, fd, out);
        if (w->end == NOTIFY)
            SSL_shutdown(ssl);
    }
    if (out >= 0)
        close(out);
    SSL_free(ssl);
}

struct visit {
    const struct way *way;
    int fd;
};

static void *visit_main(void *context)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    struct visit *v = context;

    if (v->way->talk == TLS)
        serve_tls(v->way, v->fd);
    else if (v->way->talk == CLEAR_TEXT)
        send(v->fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
    shutdown(v->fd, SHUT_WR);
    while (v->way->talk == CLEAR_TEXT && recv(v->fd, (char[512]){0}, 512, 0) > 0)
        ;
    close(v->fd);
    free(v);
    return NULL;
}

static void *way_main(void *context)
{
    const struct way *w = context;
    pthread_t thread;

    for (;;) {
        struct visit *v = malloc(sizeof(*v));

        *v = (struct visit){w, accept(w->listening, NULL, NULL)};
        if (v->fd < 0 || pthread_create(&thread, NULL, visit_main, v) != 0)
            exit(1);
        pthread_detach(thread);
    }
}

static void way_start(struct way *w, const char *certs)
{
    struct sockaddr_in at = local(0);
    socklen_t len = sizeof(at);
    pthread_t thread;

    w->ctx = w->talk == TLS ? context_of(w, certs) : NULL;
    w->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(w->listening, (struct sockaddr *)&at, len) == 0, "bind");
    must(listen(w->listening, 64) == 0, "listen");
    getsockname(w->listening, (struct sockaddr *)&at, &len);
    must(pthread_create(&thread, NULL, way_main, w) == 0, "thread");
    printf("%s %d\n", w->name, ntohs(at.sin_port));
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: front CERTS PORT\n");
        return 64;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    upstream = atoi(argv[2]);
    for (int i = 0; i < WAYS; i++)
        way_start(&ways[i], argv[1]);
    fflush(stdout);
    pause();
    return 0;
}
