/* SPDX-License-Identifier: MIT */
/*
 * origin.h - which addresses --block-private refuses.
 *
 * Asked at connect time about the address that is really connected to, so that a name that
 * resolves to something else on second sight does not pass. Private is all that is not meant to be reached from
 * the public internet: loopback, private, link-local, shared, multicast, reserved, and IPv6 forms that carry such an
 * IPv4 address within.
 */
#ifndef DLM_ORIGIN_H
#define DLM_ORIGIN_H

#include "dlmgr/base.h"

#include <netinet/in.h>

#include <sys/socket.h>

/* True also for families other than IPv4 and IPv6. */
bool dlm_address_is_private(const struct sockaddr *address, socklen_t len);

union dlm_address {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
};

/* "127.0.0.1:80", "[::1]:80"; "" for another family. */
void dlm_address_text(const union dlm_address *a, char out[64]);

/* The host of an origin (scheme://host:port), an address of version 6 without its brackets; "" when there is no room for it. */
void dlm_origin_host(const char *origin, char *host, size_t room);

#endif
