/* SPDX-License-Identifier: MIT */
/*
 * peer.h - a server for tests that says exactly the bytes that it is told, over TCP or TLS, and breaks off at exactly the byte.
 *
 * Each connection has a thread that runs `serve`, which reads and writes with the functions below. What it breaks the connection
 * off with is counted in bytes on the wire: over TLS the handshake's own bytes too.
 */
#ifndef TEST_PEER_H
#define TEST_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;
struct peer_link;

enum peer_end {
    PEER_FIN,    /* the connection ends in order; over TLS without close_notify */
    PEER_RST,    /* once the client's kernel has all that was sent */
    PEER_NOTIFY, /* TLS: close_notify, then FIN */
};

struct peer_options {
    const char *cert, *key; /* PEM files; NULL: plain TCP */
    const char *alpn;       /* the one protocol that is agreed to; NULL: none */
    void (*accepted)(struct peer_link *l, void *context); /* before a handshake; may be NULL */
    void (*serve)(struct peer_link *l, void *context);
    void *context;
};

struct peer *peer_start(const struct peer_options *options); /* aborts when it cannot */
struct peer *peer_stop(struct peer *p); /* breaks off what is left and waits for it */
int peer_port(const struct peer *p);

/* Inside of serve. false: the connection is over, for whatever reason. */
bool peer_get(struct peer_link *l, void *data, size_t n); /* all n */
bool peer_put(struct peer_link *l, const void *data, size_t n);
/* The header of one request, up to and with its empty line, as a string; size is of text. */
bool peer_get_head(struct peer_link *l, char *text, size_t size);

/* Let only so many bytes more onto the wire, and then end it like this. */
void peer_limit(struct peer_link *l, int64_t bytes, enum peer_end how);
/* Bytes that went onto the wire. */
int64_t peer_sent(const struct peer_link *l);
/* End it now; serve should return. */
void peer_finish(struct peer_link *l, enum peer_end how);

#endif
