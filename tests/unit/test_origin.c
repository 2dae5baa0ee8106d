/* SPDX-License-Identifier: MIT */
/*
 * test_origin.c - which addresses --block-private refuses: the first and last of each range and its neighbours, and
 * IPv4 addresses inside of IPv6 ones.
 */
#include "dlmgr/origin.h"
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static bool is_private(const char *text)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_in in4 = {.sin_family = AF_INET};

    if (inet_pton(AF_INET, text, &in4.sin_addr) == 1)
        return dlm_address_is_private((const struct sockaddr *)&in4, sizeof(in4));
    CU_ASSERT_FATAL(inet_pton(AF_INET6, text, &in6.sin6_addr) == 1);
    return dlm_address_is_private((const struct sockaddr *)&in6, sizeof(in6));
}

static void test_origin_private_addresses(void)
{
    static const char *const rows[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:db8::1",
        "2002:a00:1::",
        "2002:7f00:1::1",
        "3fff::1",
        "3fff:fff::",
        "5f00::1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("%s", rows[i]);
        CHECK_INT(is_private(rows[i]), true);
    }
}

static void test_origin_public_addresses(void)
{
    static const char *const rows[] = {
        "1.1.1.1",         "9.255.255.255",        "11.0.0.0",
        "100.63.255.255",  "100.128.0.0",          "126.255.255.255",
        "128.0.0.0",       "169.253.255.255",      "169.255.0.0",
        "172.15.255.255",  "172.32.0.0",           "192.0.1.1",
        "192.167.255.255", "192.169.0.0",          "198.17.255.255",
        "198.20.0.0",      "198.51.101.0",         "203.0.114.0",
        "223.255.255.255", "::ffff:1.1.1.1",       "64:ff9b::1.1.1.1",
        "2002:101:101::1", "2001:4860:4860::8888", "2606:4700::1111",
        "2001:db9::1",     "3fff:1000::1",         "fbff::1",
        "2a00::1",
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("%s", rows[i]);
        CHECK_INT(is_private(rows[i]), false);
    }
}

/* What is neither IPv4 nor IPv6, or cut short, is not public. */
static void test_origin_other_families(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr = {htonl(0x01010101)}};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = {{{0x2a}}}};

    CHECK_INT(dlm_address_is_private((const struct sockaddr *)&un, sizeof(un)), true);
    CHECK_INT(dlm_address_is_private((const struct sockaddr *)&in4, sizeof(in4)), false);
    CHECK_INT(dlm_address_is_private((const struct sockaddr *)&in4, sizeof(in4) - 1), true);
    CHECK_INT(dlm_address_is_private((const struct sockaddr *)&in6, sizeof(in6)), false);
    CHECK_INT(dlm_address_is_private((const struct sockaddr *)&in6, sizeof(in6) - 1), true);
}

static void test_origin_host(void)
{
    static const struct {
        const char *origin, *host;
    } rows[] = {
        {"http://example.org:80", "example.org"}, {"https://[::1]:443", "::1"},
        {"http://127.0.0.1:8080", "127.0.0.1"},   {"example.org", "example.org"},
        {"http://0123456789012345:80", ""}, /* no room */
    };
    char host[16];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("%s", rows[i].origin);
        dlm_origin_host(rows[i].origin, host, sizeof(host));
        CHECK_STR(host, rows[i].host);
    }
}

static const struct test tests[] = {
    TEST(test_origin_private_addresses),
    TEST(test_origin_public_addresses),
    TEST(test_origin_other_families),
    TEST(test_origin_host),
};

TEST_MAIN("origin", tests)
