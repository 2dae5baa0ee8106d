/* SPDX-License-Identifier: MIT */
/*
 * origin.c - which addresses --block-private refuses: see origin.h.
 *
 * Two tables of prefixes (the IANA special-purpose registries, what is not globally reachable), and a third of IPv6
 * prefixes that carry an IPv4 address, which is then looked at in its place: mapped, NAT64 and 6to4
 * addresses must not be a way around the first table.
 */
#include "dlmgr/origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

struct prefix {
    uint8_t bytes[16];
    uint8_t bits;
};

static const struct prefix private4[] = {
    {{0}, 8},         {{10}, 8},       {{100, 64}, 10},      {{127}, 8},
    {{169, 254}, 16}, {{172, 16}, 12}, {{192, 0, 0}, 24},    {{192, 0, 2}, 24},
    {{192, 168}, 16}, {{198, 18}, 15}, {{198, 51, 100}, 24}, {{203, 0, 113}, 24},
    {{224}, 4},       {{240}, 4},
};

static const struct prefix private6[] = {
    {{0}, 96},                         /* unspecified, loopback, and the old IPv4-compatible form */
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48}, /* local NAT64 */
    {{0x01}, 64},                      /* discard */
    {{0x20, 0x01, 0, 0}, 32},          /* Teredo hides its IPv4 address */
    {{0x20, 0x01, 0, 2}, 48},          /* benchmarks */
    {{0x20, 0x01, 0x0d, 0xb8}, 32},    /* documentation */
    {{0x3f, 0xff}, 20},                /* documentation */
    {{0x5f, 0x00}, 16},                /* segment routing */
    {{0xfc}, 7},                       /* unique local */
    {{0xfe, 0x80}, 10},                /* link-local */
    {{0xfe, 0xc0}, 10},                /* site-local */
    {{0xff}, 8},                       /* multicast */
};

/* IPv6 that stands for the IPv4 address at this byte. */
static const struct {
    struct prefix prefix;
    unsigned at;
} carriers[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12}, /* mapped */
    {{{0, 0x64, 0xff, 0x9b}, 96}, 12},                      /* NAT64 */
    {{{0x20, 0x02}, 16}, 2},                                /* 6to4 */
};

static bool has_prefix(const uint8_t *address, const struct prefix *p)
{
    unsigned whole = p->bits / 8, rest = p->bits % 8;

    if (memcmp(address, p->bytes, whole) != 0)
        return false;
    return rest == 0 || (address[whole] ^ p->bytes[whole]) >> (8 - rest) == 0;
}

static bool is_listed(const uint8_t *address, const struct prefix *table, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (has_prefix(address, &table[i]))
            return true;
    return false;
}

bool dlm_address_is_private(const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;

    if (address->sa_family == AF_INET && len >= sizeof(in4)) {
        uint8_t bytes[4];

        memcpy(&in4, address, sizeof(in4));
        memcpy(bytes, &in4.sin_addr, sizeof(bytes));
        return is_listed(bytes, private4, ARRAY_SIZE(private4));
    }
    if (address->sa_family != AF_INET6 || len < sizeof(in6))
        return true;
    memcpy(&in6, address, sizeof(in6));
    for (size_t i = 0; i < ARRAY_SIZE(carriers); i++)
        if (has_prefix(in6.sin6_addr.s6_addr, &carriers[i].prefix))
            return is_listed(in6.sin6_addr.s6_addr + carriers[i].at, private4, ARRAY_SIZE(private4));
    return is_listed(in6.sin6_addr.s6_addr, private6, ARRAY_SIZE(private6));
}

void dlm_address_text(const union dlm_address *a, char out[64])
{
    char ip[INET6_ADDRSTRLEN];

    out[0] = '\0';
    if (a->any.sa_family == AF_INET && inet_ntop(AF_INET, &a->in4.sin_addr, ip, sizeof(ip)))
        snprintf(out, 64, "%s:%d", ip, ntohs(a->in4.sin_port));
    else if (a->any.sa_family == AF_INET6 && inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof(ip)))
        snprintf(out, 64, "[%s]:%d", ip, ntohs(a->in6.sin6_port));
}

void dlm_origin_host(const char *origin, char *host, size_t room)
{
    const char *at = strstr(origin, "://"), *end;
    size_t len;

    at = at ? at + 3 : origin;
    end = *at == '[' ? strchr(at, ']') : strrchr(at, ':');
    at += *at == '[';
    len = end ? (size_t)(end - at) : strlen(at);
    snprintf(host, room, "%.*s", len < room ? (int)len : 0, at);
}
