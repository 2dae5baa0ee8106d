/* SPDX-License-Identifier: MIT */
/*
 * tunnel.h - a proxy for tests: CONNECT, SOCKS4, 4a and 5 on one loopback port.
 *
 * It connects to 127.0.0.1 whatever host it is asked for, and remembers how it was asked.
 */
#ifndef TEST_TUNNEL_H
#define TEST_TUNNEL_H

struct tunnel;

struct tunnel *tunnel_start(void); /* aborts when it cannot */
struct tunnel *tunnel_stop(struct tunnel *t);
int tunnel_port(const struct tunnel *t);

/* Answer CONNECT with this status instead of a tunnel; 0: do as asked. */
void tunnel_refuse(struct tunnel *t, int status);

/*
 * How the newest connection was asked for: "connect HOST:PORT AUTHORIZATION", "socks4 ADDRESS", "socks4 NAME", "socks5 ADDRESS"
 * or "socks5 NAME USER"; "" none yet. Valid until the next call; begins anew with each.
 */
const char *tunnel_asked(struct tunnel *t);

#endif
