/* SPDX-License-Identifier: MIT */
/*
 * tunnel.c - a proxy for tests: see tunnel.h.
 *
 * One thread accepts, each connection has a thread of its own that does the handshake and then copies both ways. Stopping shuts all sockets
 * down and joins all threads, so nothing of it outlives the test. What was asked is text, so that a test compares one string.
 */
#include "tests/lib/tunnel.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINKS_MAX = 64, TEXT = 1000 };

struct side {
    struct tunnel *tunnel;
    pthread_t thread;
    int in, out;
};

struct tunnel {
    int listening, port;
    pthread_t thread;
    pthread_mutex_t lock;
    struct side sides[LINKS_MAX];
    size_t n;
    int refuse;
    char asked[TEXT], given[TEXT];
};

static void must(bool good, const char *what)
{
    if (!good) {
        perror(what);
        abort();
    }
}

static void remember(struct tunnel *t, const char *text)
{
    pthread_mutex_lock(&t->lock);
    snprintf(t->asked, sizeof(t->asked), "%s", text);
    pthread_mutex_unlock(&t->lock);
}

static bool get(int fd, void *data, size_t n)
{
    return recv(fd, data, n, MSG_WAITALL) == (ssize_t)n;
}

static bool put(int fd, const void *data, size_t n)
{
    return send(fd, data, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* Up to and with `end`, which is cut off. */
static bool get_text(int fd, const char *end, size_t end_len, char text[TEXT])
{
    for (size_t n = 0; n < TEXT - 1; n++) {
        if (!get(fd, text + n, 1))
            return false;
        if (n + 1 >= end_len && !memcmp(text + n + 1 - end_len, end, end_len)) {
            text[n + 1 - end_len] = '\0';
            return true;
        }
    }
    return false;
}

static bool reach(struct side *s, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    pthread_mutex_lock(&s->tunnel->lock);
    s->out = fd;
    pthread_mutex_unlock(&s->tunnel->lock);
    return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
}

/* ---- Three ways to ask ------------------------------------------------------------------------------ */

static bool ask_connect(struct side *s)
{
    char head[TEXT], target[300] = "", text[TEXT], *authorization;
    int port = 0, refuse;

    if (!get_text(s->in, "\r\n\r\n", 4, head) || sscanf(head, "ONNECT %299s", target) != 1)
        return false;
    if (strrchr(target, ':'))
        port = atoi(strrchr(target, ':') + 1);
    authorization = strcasestr(head, "\nProxy-Authorization: ");
    snprintf(text, sizeof(text), "connect %s%s%s", target, authorization ? " " : "",
             authorization ? strtok(authorization + 22, "\r\n") : "");
    remember(s->tunnel, text);
    pthread_mutex_lock(&s->tunnel->lock);
    refuse = s->tunnel->refuse;
    pthread_mutex_unlock(&s->tunnel->lock);
    if (refuse) {
        snprintf(text, sizeof(text),
                 "HTTP/1.1 %d No\r\nContent-Length: 0\r\nLocation: https://%s/x/f?size=1000&seed=1\r\n"
                 "Proxy-Authenticate: Basic realm=\"the tunnel\"\r\n\r\n",
                 refuse, target);
        put(s->in, text, strlen(text));
        return false;
    }
    return reach(s, port) && put(s->in, "HTTP/1.1 200 Yes\r\n\r\n", 20);
}

static bool ask_socks4(struct side *s)
{
    unsigned char head[7], reply[8] = {0, 90};
    char user[TEXT], name[TEXT], text[TEXT];

    if (!get(s->in, head, sizeof(head)) || !get_text(s->in, "", 1, user))
        return false;
    snprintf(name, sizeof(name), "%u.%u.%u.%u", head[3], head[4], head[5], head[6]);
    if (!head[3] && !head[4] && !head[5] && !get_text(s->in, "", 1, name))
        return false;
    snprintf(text, sizeof(text), "socks4 %.900s", name);
    remember(s->tunnel, text);
    return reach(s, head[1] << 8 | head[2]) && put(s->in, reply, sizeof(reply));
}

/* A string behind its length. */
static bool get_counted(int fd, char text[TEXT])
{
    unsigned char n;

    if (!get(fd, &n, 1) || !get(fd, text, n))
        return false;
    text[n] = '\0';
    return true;
}

static bool greet_socks5(struct side *s, char user[TEXT])
{
    unsigned char version;
    char methods[TEXT], password[TEXT];
    bool has_user;

    user[0] = '\0';
    if (!get_counted(s->in, methods))
        return false;
    has_user = strchr(methods + (methods[0] == 0), 2) != NULL;
    if (!put(s->in, has_user ? "\5\2" : "\5\0", 2))
        return false;
    if (!has_user)
        return true;
    return get(s->in, &version, 1) && get_counted(s->in, user) && get_counted(s->in, password) &&
           put(s->in, "\1\0", 2);
}

static bool ask_socks5(struct side *s)
{
    unsigned char head[4], ip[4], port[2];
    char user[TEXT], name[TEXT], text[TEXT];

    if (!greet_socks5(s, user) || !get(s->in, head, sizeof(head)))
        return false;
    if (head[3] == 3 ? !get_counted(s->in, name) : head[3] != 1 || !get(s->in, ip, sizeof(ip)))
        return false;
    if (head[3] == 1)
        snprintf(name, sizeof(name), "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
    if (!get(s->in, port, sizeof(port)))
        return false;
    snprintf(text, sizeof(text), "socks5 %.400s%s%.400s", name, user[0] ? " " : "", user);
    remember(s->tunnel, text);
    return reach(s, port[0] << 8 | port[1]) && put(s->in, "\5\0\0\1\0\0\0\0\0\0", 10);
}

static bool handshake(struct side *s)
{
    char first;

    if (!get(s->in, &first, 1))
        return false;
    return first == 'C' ? ask_connect(s) : first == 4 ? ask_socks4(s) : first == 5 && ask_socks5(s);
}

/* ---- Copying ------------------------------------------------------------------------------------------ */

static void *side_main(void *context)
{
    struct side *s = context;
    char buffer[65536];
    bool open = handshake(s);

    while (open) {
        struct pollfd fds[] = {{.fd = s->in, .events = POLLIN}, {.fd = s->out, .events = POLLIN}};

        if (poll(fds, 2, -1) < 0)
            break;
        for (int i = 0; open && i < 2; i++) {
            ssize_t n = fds[i].revents ? recv(fds[i].fd, buffer, sizeof(buffer), 0) : 0;

            if (fds[i].revents)
                open = n > 0 && put(fds[1 - i].fd, buffer, (size_t)n);
        }
    }
    pthread_mutex_lock(&s->tunnel->lock);
    shutdown(s->in, SHUT_RDWR);
    if (s->out >= 0)
        shutdown(s->out, SHUT_RDWR);
    pthread_mutex_unlock(&s->tunnel->lock);
    return NULL;
}

static void *accept_main(void *context)
{
    struct tunnel *t = context;
    int fd;

    while ((fd = accept4(t->listening, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct side *s = &t->sides[t->n];

        must(t->n < LINKS_MAX, "tunnel: too many connections");
        *s = (struct side){.tunnel = t, .in = fd, .out = -1};
        must(pthread_create(&s->thread, NULL, side_main, s) == 0, "tunnel: thread");
        t->n++;
    }
    return NULL;
}

struct tunnel *tunnel_start(void)
{
    struct tunnel *t = calloc(1, sizeof(*t));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    must(t != NULL, "tunnel");
    pthread_mutex_init(&t->lock, NULL);
    t->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(t->listening, (struct sockaddr *)&at, sizeof(at)) == 0 &&
             listen(t->listening, 64) == 0 &&
             getsockname(t->listening, (struct sockaddr *)&at, &len) == 0,
         "tunnel: listen");
    t->port = ntohs(at.sin_port);
    must(pthread_create(&t->thread, NULL, accept_main, t) == 0, "tunnel: thread");
    return t;
}

struct tunnel *tunnel_stop(struct tunnel *t)
{
    if (!t)
        return NULL;
    shutdown(t->listening, SHUT_RDWR);
    pthread_join(t->thread, NULL);
    close(t->listening);
    for (size_t i = 0; i < t->n; i++) {
        pthread_mutex_lock(&t->lock);
        shutdown(t->sides[i].in, SHUT_RDWR);
        if (t->sides[i].out >= 0)
            shutdown(t->sides[i].out, SHUT_RDWR);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->sides[i].thread, NULL);
        close(t->sides[i].in);
        if (t->sides[i].out >= 0)
            close(t->sides[i].out);
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
    return NULL;
}

int tunnel_port(const struct tunnel *t)
{
    return t->port;
}

void tunnel_refuse(struct tunnel *t, int status)
{
    pthread_mutex_lock(&t->lock);
    t->refuse = status;
    pthread_mutex_unlock(&t->lock);
}

const char *tunnel_asked(struct tunnel *t)
{
    pthread_mutex_lock(&t->lock);
    memcpy(t->given, t->asked, sizeof(t->given));
    t->asked[0] = '\0';
    pthread_mutex_unlock(&t->lock);
    return t->given;
}
