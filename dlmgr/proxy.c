/* SPDX-License-Identifier: MIT */
/*
 * proxy.c - which proxy a request goes through: see proxy.h.
 *
 * A proxy given with the task is used for all of it, and the list of exceptions does not count for it; "" is none. Otherwise the variables that
 * whoever added the task had decide, as curl reads them: the one for the scheme, else ALL_PROXY, and neither for hosts in NO_PROXY.
 */
#include "dlmgr/proxy.h"

#include "dlmgr/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#define HOST_MAX 256

/* Without the dots that a name may end in. */
static void host_of(const char *origin, char host[HOST_MAX])
{
    size_t len;

    dlm_origin_host(origin, host, HOST_MAX);
    len = strlen(host);
    while (len > 1 && host[len - 1] == '.')
        host[--len] = '\0';
}

/* Bytes of an address: 4, 16, or 0 when it is none. */
static size_t read_address(const char *text, unsigned char out[16])
{
    if (inet_pton(AF_INET, text, out) == 1)
        return 4;
    return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

/* `network` is ADDRESS or ADDRESS/BITS. */
static bool in_network(const unsigned char *address, size_t size, char *network)
{
    unsigned char net[16];
    char *slash = strchr(network, '/'), *end = NULL;
    unsigned long bits = size * 8;

    if (slash) {
        *slash = '\0';
        bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || bits > size * 8)
            return false;
    }
    if (read_address(network, net) != size || memcmp(address, net, bits / 8) != 0)
        return false;
    return bits % 8 == 0 || (address[bits / 8] ^ net[bits / 8]) >> (8 - bits % 8) == 0;
}

static bool below_name(const char *host, const char *name)
{
    size_t have = strlen(host), len;

    name += *name == '.';
    len = strlen(name);
    while (len > 1 && name[len - 1] == '.')
        len--;
    if (len == 0 || len > have || strncasecmp(host + have - len, name, len) != 0)
        return false;
    return len == have || host[have - len - 1] == '.';
}

static bool entry_has(const char *host, const unsigned char *address, size_t size, char *entry)
{
    size_t len = strlen(entry);

    if (!strcmp(entry, "*"))
        return true;
    if (size == 0)
        return below_name(host, entry);
    if (entry[0] == '[' && entry[len - 1] == ']') {
        entry[len - 1] = '\0';
        entry++;
    }
    return in_network(address, size, entry);
}

bool dlm_proxy_is_exempt(const char *origin, const char *list)
{
    unsigned char address[16];
    char plain[HOST_MAX], entry[HOST_MAX];
    size_t len, size;

    host_of(origin, plain);
    size = read_address(plain, address);
    for (const char *at = list; *at; at += len) {
        at += strspn(at, ", \t");
        len = strcspn(at, ", \t");
        snprintf(entry, sizeof(entry), "%.*s", len < sizeof(entry) ? (int)len : 0, at);
        if (len > 0 && entry_has(plain, address, size, entry))
            return true;
    }
    return false;
}

const char *dlm_proxy_choose(const struct dlm_opts *o, const struct dlm_url *at)
{
    const char *proxy = at->https ? o->https_proxy : o->http_proxy;

    if (o->proxy)
        return o->proxy;
    if (!proxy || !*proxy)
        proxy = o->all_proxy;
    if (!proxy || (o->no_proxy && dlm_proxy_is_exempt(at->origin, o->no_proxy)))
        return "";
    return proxy;
}
