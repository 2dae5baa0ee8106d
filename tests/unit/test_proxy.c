/* SPDX-License-Identifier: MIT */
/*
 * test_proxy.c - which proxy, and for which hosts none.
 */
#include "dlmgr/proxy.h"

#include "tests/lib/test.h"

static const struct {
    const char *origin, *list;
    bool exempt;
} hosts[] = {
    {"http://example.org:80", "", false},
    {"http://example.org:80", "*", true},
    {"http://example.org:80", "example.org", true},
    {"http://example.org:80", "EXAMPLE.org", true},
    {"http://example.org:80", ".example.org", true},
    {"http://example.org:80", "example.org.", true},
    {"http://example.org:80", "org", true},
    {"http://example.org:80", "ample.org", false},
    {"http://example.org:80", "www.example.org", false},
    {"http://www.example.org:80", "example.org", true},
    {"http://www.example.org:80", "a.test, ,\texample.org b.test", true},
    {"http://www.example.org:80", ".", false},
    {"http://127.0.0.1:80", "127.0.0.1", true},
    {"http://127.0.0.1:80", "0.0.1", false},
    {"http://127.0.0.1:80", "127.0.0.0/8", true},
    {"http://127.0.0.1:80", "127.0.0.0/33", false},
    {"http://127.0.0.1:80", "127.0.0.0/", false},
    {"http://127.0.0.1:80", "127.0.0.0/8x", false},
    {"http://127.0.0.1:80", "0.0.0.0/0", true},
    {"http://10.1.2.3:80", "10.1.2.0/25", true},
    {"http://10.1.2.200:80", "10.1.2.0/25", false},
    {"http://10.1.2.3:80", "::/0", false},
    {"http://[::1]:8080", "::1", true},
    {"http://[::1]:8080", "[::1]", true},
    {"http://[fd00::5]:8080", "fd00::/8", true},
    {"http://[fe00::5]:8080", "fd00::/8", false},
};

static void test_hosts_without_a_proxy(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        test_about("%s in \"%s\"", hosts[i].origin, hosts[i].list);
        CHECK_INT(dlm_proxy_is_exempt(hosts[i].origin, hosts[i].list), hosts[i].exempt);
    }
}

static const struct {
    const char *proxy, *http, *https, *all, *no;
    const char *for_http, *for_https;
} ways[] = {
    {NULL, NULL, NULL, NULL, NULL, "", ""},
    {NULL, "h", NULL, NULL, NULL, "h", ""},
    {NULL, "h", "s", "a", NULL, "h", "s"},
    {NULL, NULL, "s", "a", NULL, "a", "s"},
    {NULL, "", "s", "a", NULL, "a", "s"},
    {NULL, "h", "s", "a", "host.test", "", ""},
    {NULL, "h", "s", "a", "other.test", "h", "s"},
    {"p", "h", "s", "a", "host.test", "p", "p"},
    {"", "h", "s", "a", NULL, "", ""},
};

static char *text(const char *value)
{
    return (char *)(uintptr_t)value;
}

static void test_a_given_one_wins_then_the_scheme_decides(void)
{
    struct dlm_url http = {.origin = text("http://host.test:80")};
    struct dlm_url https = {.origin = text("https://host.test:443"), .https = true};

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        struct dlm_opts o = {.proxy = text(ways[i].proxy),
                             .http_proxy = text(ways[i].http),
                             .https_proxy = text(ways[i].https),
                             .all_proxy = text(ways[i].all),
                             .no_proxy = text(ways[i].no)};

        test_about("row %zu", i);
        CHECK_STR(dlm_proxy_choose(&o, &http), ways[i].for_http);
        CHECK_STR(dlm_proxy_choose(&o, &https), ways[i].for_https);
    }
}

static const struct test tests[] = {
    TEST(test_hosts_without_a_proxy),
    TEST(test_a_given_one_wins_then_the_scheme_decides),
};

TEST_MAIN("proxy", tests)
