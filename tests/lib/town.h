/* SPDX-License-Identifier: MIT */
/*
 * town.h - a server that is many origins: any host, two ports, http and https on each, and a proxy for all of them.
 *
 * What a client says first decides: a TLS handshake makes it https, CONNECT makes it a tunnel that ends here again. So two origins can
 * differ in one thing alone. TLS asks for a client certificate and does not insist. Each connection has a thread, in which the test
 * answers: it may be slow, stall or never end, at nobody's cost but its own.
 */
#ifndef TEST_TOWN_H
#define TEST_TOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOWN_PORTS = 2, TOWN_HEAD = 16384 };

struct town;
struct town_conn;

struct town_request {
    const char *head; /* request line and fields as they came, CRLF and all */
    char origin[160]; /* "http://host:port", by the Host field; of CONNECT "connect://host:port" */
    const char *path; /* what stands in the request line, without scheme and host */
    bool connect; /* a proxy is asked for a tunnel: answered by the town itself when the test has returned */
    bool proxied;     /* a proxy is asked for a URL */
    bool certificate; /* the client has shown one */
};

/* In the connection's thread. false: close it; true: go on with the next request. */
typedef bool (*town_answer)(struct town_conn *c, const struct town_request *r, void *context);

/* certs: a directory that fixtures/certs.sh made, NULL: no TLS. Aborts when it cannot. */
struct town *town_start(const char *certs, town_answer answer, void *context);
struct town *town_stop(struct town *t); /* ends all connections; accepts NULL, returns NULL */
int town_port(const struct town *t, int i);

/* The value of a field in a place of the caller's; false: it is not there. */
bool town_field(const struct town_request *r, const char *name, char *value, size_t size);

bool town_say(struct town_conn *c, const void *data, size_t len); /* false: the client has gone */
bool town_print(struct town_conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Bytes [start, end) of the body of that seed (fixtures/body.h). */
bool town_body(struct town_conn *c, uint64_t seed, int64_t start, int64_t end);
void town_await_end(struct town_conn *c);     /* until the client goes */
bool town_pause(struct town_conn *c, int ms); /* false: the town closes */

#endif
