/* SPDX-License-Identifier: MIT */
/*
 * site.h - a real nginx with certificates, as the child of a test: fixtures/nginx.sh and certs.sh.
 *
 * Run from the repository's root, as all tests are. It ends with the thread that started it.
 */
#ifndef TEST_SITE_H
#define TEST_SITE_H

#include <stddef.h>
#include <sys/types.h>

enum site_port {
    SITE_HTTP,
    SITE_HTTPS,
    SITE_TLS1,
    SITE_EXPIRED,
    SITE_NOTYET,
    SITE_WRONGHOST,
    SITE_SELFSIGNED,
    SITE_CLIENT,
    SITE_PROXY,
    SITE_PORTS
};

struct site {
    pid_t pid;
    char dir[300], certs[300]; /* dir/www is served */
    int port[SITE_PORTS];
};

/* In this directory; behind: a fixture-server's port, for /x/... */
void site_start(struct site *s, const char *dir, int behind);
void site_stop(struct site *s);

/* A file among the certificates; lasts until the fourth call after. */
const char *site_cert(const struct site *s, const char *name);

/* The last line of the access log for this request URI: "CONNECTION METHOD URI RANGE IF-RANGE STATUS BYTES PROTOCOL", with tabs. Static. */
const char *site_logged(const struct site *s, const char *uri);

#endif
