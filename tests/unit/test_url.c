/* SPDX-License-Identifier: MIT */
/*
 * test_url.c - what goes on the wire, whose it is, where a redirect leads, and what is not shown. Rows; each function
 * ends with memory failing at every place once.
 */
#include "dlmgr/url.h"
#include "tests/lib/test.h"

#include <stdio.h>

/* What is given goes on the wire; the origin is read from it; userinfo stands apart. */
static void test_url_parse(void)
{
    static const struct {
        const char *text, *wire, *origin, *user, *password;
    } rows[] = {
        {"http://example.org/a", "http://example.org/a", "http://example.org:80", NULL, NULL},
        {"https://Example.ORG", "https://Example.ORG", "https://example.org:443", NULL, NULL},
        {"HTTPS://h:444/", "HTTPS://h:444/", "https://h:444", NULL, NULL},
        {"http://h:80/", "http://h:80/", "http://h:80", NULL, NULL},
        {"http://h:/x", "http://h:/x", "http://h:80", NULL, NULL},
        {"http://h:65535/x", "http://h:65535/x", "http://h:65535", NULL, NULL},
        {"http://127.1/x", "http://127.1/x", "http://127.0.0.1:80", NULL, NULL},
        {"http://[::1]:8080/x", "http://[::1]:8080/x", "http://[::1]:8080", NULL, NULL},
        {"http://h/a/../b/./c", "http://h/a/../b/./c", "http://h:80", NULL, NULL},
        {"http://h/a b?c d#e f", "http://h/a%20b?c%20d", "http://h:80", NULL, NULL},
        {"http://h/%zz%41%2f+\"<>|\\^`{}", "http://h/%zz%41%2f+\"<>|\\^`{}", "http://h:80", NULL,
         NULL},
        {"http://h/\xc3\xa9?\xff", "http://h/\xc3\xa9?\xff", "http://h:80", NULL, NULL},
        {"http://h?q=http://x:y@z/", "http://h?q=http://x:y@z/", "http://h:80", NULL, NULL},
        {"http://h#@evil/", "http://h", "http://h:80", NULL, NULL},
        {"http://h//a//b?", "http://h//a//b?", "http://h:80", NULL, NULL},
        {"http://u:p@h/", "http://h/", "http://h:80", "u", "p"},
        {"http://u@h/", "http://h/", "http://h:80", "u", NULL},
        {"http://u:@h/", "http://h/", "http://h:80", "u", ""},
        {"http://:p@h/", "http://h/", "http://h:80", "", "p"},
        {"http://@h/", "http://h/", "http://h:80", NULL, NULL},
        {"http://a@b@h/", "http://h/", "http://h:80", "a@b", NULL},
        {"http://u%40x:p%3Aq%2@h/", "http://h/", "http://h:80", "u@x", "p:q%2"},
        {"http://%4a%4B%G0%2z:a:b%@h/", "http://h/", "http://h:80", "JK%G0%2z", "a:b%"},
        {"http://good\\@evil/", "http://evil/", "http://evil:80", "good\\", NULL},
        {"http://h/@scope/pkg", "http://h/@scope/pkg", "http://h:80", NULL, NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_url u = {0};

        test_about("%s", rows[i].text);
        CHECK_INT(dlm_url_parse(rows[i].text, &u, NULL), 0);
        CHECK_STR(u.wire, rows[i].wire);
        CHECK_STR(u.origin, rows[i].origin);
        CHECK_STR(u.user, rows[i].user);
        CHECK_STR(u.password, rows[i].password);
        CHECK_INT(u.https, u.origin && strncmp(u.origin, "https:", 6) == 0);
        dlm_url_clear(&u);
    }
}

/* A bad one is refused with its name and the reason, and writes nothing. */
static void test_url_refuses(void)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "must begin with http"},
        {"example.org/x", "must begin with http"},
        {"//h/x", "must begin with http"},
        {" http://h/", "must begin with http"},
        {"1http://h/", "must begin with http"},
        {"ftp://h/x", "only http and https"},
        {"file:///etc/passwd", "only http and https"},
        {"httpx://h/", "only http and https"},
        {"htt://h/", "only http and https"},
        {"http:/h/", "followed by ://"},
        {"http:h", "followed by ://"},
        {"http://", "host is missing"},
        {"http:///x", "host is missing"},
        {"http://u:p@/x", "host is missing"},
        {"http://:80/x", "host is missing"},
        {"http://?x", "host is missing"},
        {"http://h:0/", "port must be"},
        {"http://h:65536/", "port must be"},
        {"http://h:8o/", "port must be"},
        {"http://h:-1/", "port must be"},
        {"http://a b/", "host is not valid"},
        {"http://h\\x/", "host is not valid"},
        {"http://[::1/", "host is not valid"},
        {"http://[xyz]/", "host is not valid"},
        {"http://h/a\r\nX: y", "control character"},
        {"http://h/a\tb", "control character"},
        {"http://h/\x7f", "control character"},
        {"http://u%0a:p@h/", "must not hold control"},
        {"http://u:%1fp@h/", "must not hold control"},
        {"http://u:%7Fp@h/", "must not hold control"},
        {"http://%00@h/", "must not hold control"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_url u = {0};
        dlmgr_error e = {0};

        test_about("row %zu, %s", i, rows[i].text);
        CHECK_INT(dlm_url_parse(rows[i].text, &u, &e), DLMGR_EINVAL);
        CU_ASSERT(strstr(e.text, rows[i].why) != NULL);
        CU_ASSERT(strpbrk(e.text, "\r\n\t\x7f") == NULL);
        CU_ASSERT(strstr(e.text, "u:p@") == NULL);
        CU_ASSERT(u.wire == NULL && u.origin == NULL && u.user == NULL);
    }
}

/* 65,535 bytes are accepted, one more is not. */
static void test_url_length(void)
{
    CLEANUP_FREE char *text = malloc(DLM_URL_MAX + 2);
    struct dlm_url u = {0};
    dlmgr_error e = {0};

    memset(text, 'x', DLM_URL_MAX + 1);
    text[DLM_URL_MAX + 1] = '\0';
    memcpy(text, "http://h/", 9);
    CHECK_INT(dlm_url_parse(text, &u, &e), DLMGR_EINVAL);
    CU_ASSERT(strstr(e.text, "longer than 65535") != NULL);
    text[DLM_URL_MAX] = '\0';
    CHECK_INT(dlm_url_parse(text, &u, &e), 0);
    dlm_url_clear(&u);
}

/* RFC 3986, 5.4 for relative paths; what the server spells out in full stays as it spelled it. */
static void test_url_redirect(void)
{
    static const struct {
        const char *from, *location, *wire, *origin;
    } rows[] = {
        {"http://a/b/c/d;p?q", "g", "http://a/b/c/g", "http://a:80"},
        {"http://a/b/c/d;p?q", "./g", "http://a/b/c/g", "http://a:80"},
        {"http://a/b/c/d;p?q", "g/", "http://a/b/c/g/", "http://a:80"},
        {"http://a/b/c/d;p?q", "/g", "http://a/g", "http://a:80"},
        {"http://a/b/c/d;p?q", "//g", "http://g", "http://g:80"},
        {"http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y", "http://a:80"},
        {"http://a/b/c/d;p?q", "g?y", "http://a/b/c/g?y", "http://a:80"},
        {"http://a/b/c/d;p?q", "#s", "http://a/b/c/d;p?q", "http://a:80"},
        {"http://a/b/c/d;p?q", "", "http://a/b/c/d;p?q", "http://a:80"},
        {"http://a/b/c/d;p?q", "g#s", "http://a/b/c/g", "http://a:80"},
        {"http://a/b/c/d;p?q", "g?y#s", "http://a/b/c/g?y", "http://a:80"},
        {"http://a/b/c/d;p?q", ";x", "http://a/b/c/;x", "http://a:80"},
        {"http://a/b/c/d;p?q", ".", "http://a/b/c/", "http://a:80"},
        {"http://a/b/c/d;p?q", "./", "http://a/b/c/", "http://a:80"},
        {"http://a/b/c/d;p?q", "..", "http://a/b/", "http://a:80"},
        {"http://a/b/c/d;p?q", "../", "http://a/b/", "http://a:80"},
        {"http://a/b/c/d;p?q", "../g", "http://a/b/g", "http://a:80"},
        {"http://a/b/c/d;p?q", "../..", "http://a/", "http://a:80"},
        {"http://a/b/c/d;p?q", "../../g", "http://a/g", "http://a:80"},
        {"http://a/b/c/d;p?q", "../../../g", "http://a/g", "http://a:80"},
        {"http://a/b/c/d;p?q", "g..", "http://a/b/c/g..", "http://a:80"},
        {"http://a/b/c/d;p?q", "./../g", "http://a/b/g", "http://a:80"},
        {"http://a/b/c/d;p?q", "g;x=1/../y", "http://a/b/c/y", "http://a:80"},
        {"http://a/b/c/d;p?q", "g?y/../x", "http://a/b/c/g?y/../x", "http://a:80"},
        {"http://a/b//c", "d", "http://a/b//d", "http://a:80"},
        {"http://a", "g", "http://a/g", "http://a:80"},
        {"http://a?q=1/2", "g", "http://a/g", "http://a:80"},
        {"http://a?q", "?y", "http://a?y", "http://a:80"},
        {"http://a/x", "/b/../c/./d", "http://a/b/../c/./d", "http://a:80"},
        {"http://a/x", "http://b:81/../c d?e#f", "http://b:81/../c%20d?e", "http://b:81"},
        {"http://a/x", "HTTP://b/y", "HTTP://b/y", "http://b:80"},
        {"http://a/x", "https://b/y", "https://b/y", "https://b:443"},
        {"https://a/x", "//b/y", "https://b/y", "https://b:443"},
        {"http://u:p@a/x", "y", "http://a/y", "http://a:80"},
        {"http://a/x", "http://u:p@b/y", "http://b/y", "http://b:80"},
        {"http://a/x", "//u:p@b/y", "http://b/y", "http://b:80"},
        {"http://a/x", "http://u%00@b/y", "http://b/y", "http://b:80"},
        {"http://a/x", "\\\\evil\\y", "http://a/\\\\evil\\y", "http://a:80"},
        {"http://a/x", "/http://b/", "http://a/http://b/", "http://a:80"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(dlm_url_clear) struct dlm_url from = {0}, u = {0};

        test_about("%s + %s", rows[i].from, rows[i].location);
        CHECK_INT(dlm_url_parse(rows[i].from, &from, NULL), 0);
        CHECK_INT(dlm_url_redirect(&from, rows[i].location, &u, NULL), 0);
        CHECK_STR(u.wire, rows[i].wire);
        CHECK_STR(u.origin, rows[i].origin);
        CHECK_STR(u.user, NULL);
        CHECK_STR(u.password, NULL);
        CHECK_INT(dlm_url_same_origin(&from, &u), strcmp(from.origin, rows[i].origin) == 0);
    }
}

/* Never from https to http, never to another scheme, never with control characters. */
static void test_url_redirect_refuses(void)
{
    static const struct {
        const char *from, *location, *why;
    } rows[] = {
        {"https://a/x", "http://a/y", "https to http"},
        {"https://a/x", "http://a:443/y", "https to http"},
        {"http://a/x", "file:///etc/passwd", "only http"},
        {"http://a/x", "ftp://b/", "only http"},
        {"http://a/x", "javascript:alert(1)", "only http"},
        {"http://a/x", "http:/b", "followed by"},
        {"http://a/x", "https:y", "followed by"},
        {"http://a/x", "//", "host is missing"},
        {"http://a/x", "///y", "host is missing"},
        {"http://a/x", "http://b:99999/", "port must be"},
        {"http://a/x", "y\x01z", "control character"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(dlm_url_clear) struct dlm_url from = {0}, u = {0};
        dlmgr_error e = {0};

        test_about("%s + %s", rows[i].from, rows[i].location);
        CHECK_INT(dlm_url_parse(rows[i].from, &from, NULL), 0);
        CHECK_INT(dlm_url_redirect(&from, rows[i].location, &u, &e), DLMGR_EINVAL);
        CU_ASSERT(strstr(e.text, rows[i].why) != NULL);
        CU_ASSERT(u.wire == NULL);
    }
}

/* Scheme, host and port make an origin; nothing else does. */
static void test_url_origins(void)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"http://h/a", "http://H:80/b?c", true}, {"https://h/", "https://h:443/", true},
        {"http://h/", "https://h/", false},      {"http://h/", "http://h:81/", false},
        {"http://h/", "http://x.h/", false},     {"http://h/", "http://h./", false},
        {"http://u:p@h/", "http://h/", true},    {"http://h:443/", "https://h/", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(dlm_url_clear) struct dlm_url a = {0}, b = {0};

        test_about("%s %s", rows[i].a, rows[i].b);
        CHECK_INT(dlm_url_parse(rows[i].a, &a, NULL), 0);
        CHECK_INT(dlm_url_parse(rows[i].b, &b, NULL), 0);
        CHECK_INT(dlm_url_same_origin(&a, &b), rows[i].same);
    }
}

/* Userinfo and signing values go, all else stays; also in what is no URL. */
static void test_url_redact(void)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"http://h/a?b=c#d", NULL},
        {"http://h/a?token", NULL},
        {"http://h/a?token=", NULL},
        {"http://h/token=x", NULL},
        {"http://h/@x?mytoken=1&tokens=2", NULL},
        {"http://@h/", NULL},
        {"", NULL},
        {"mailto:x", NULL},
        {"http://u:p@h/a", "http://***@h/a"},
        {"http://u@h", "http://***@h"},
        {"http://a@b@h/@c", "http://***@h/@c"},
        {"//u:p@h/", "//***@h/"},
        {"u:p@h/x", "***@h/x"},
        {"ftp://u:p@h/x", "ftp://***@h/x"},
        {"http://h/?X-Amz-Signature=abc&x=1", "http://h/?X-Amz-Signature=***&x=1"},
        {"http://h/?x-amz-signature=abc", "http://h/?x-amz-signature=***"},
        {"http://h/?X%2DAmz%2dSignature=abc", "http://h/?X%2DAmz%2dSignature=***"},
        {"http://h/?X-Amz-Security-Token=a%26b=c&X-Amz-Credential=d;sig=e",
         "http://h/?X-Amz-Security-Token=***&X-Amz-Credential=***;sig=***"},
        {"http://h/?Expires=1&Signature=a/b==&Key-Pair-Id=K&Policy=p",
         "http://h/?Expires=1&Signature=***&Key-Pair-Id=***&Policy=***"},
        {"http://h/?X-Goog-Signature=1&X-Goog-Credential=2&sv=3&sig=4&se=5",
         "http://h/?X-Goog-Signature=***&X-Goog-Credential=***&sv=3&sig=***&se=5"},
        {"http://h/#access_token=abc&x", "http://h/#access_token=***&x"},
        {"http://h/?a=1?token=abc", "http://h/?a=1?token=***"},
        {"http://h/?&&token=x&=&", "http://h/?&&token=***&=&"},
        {"https://u:p@h/?TOKEN=x", "https://***@h/?TOKEN=***"},
        {"?token=x", "?token=***"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *want = rows[i].shown ? rows[i].shown : rows[i].text;
        bool had = !rows[i].shown;
        CLEANUP_FREE char *shown = dlm_url_redact(rows[i].text, &had);
        CLEANUP_FREE char *again = dlm_url_redact(want, NULL);

        test_about("%s", rows[i].text);
        CHECK_STR(shown, want);
        CHECK_INT(had, rows[i].shown != NULL);
        CHECK_STR(again, want);
    }
}

/* Out of memory at the nth allocation is said, for each n, and never leaks a secret into the text. */
/* Names of the user's own, for the whole process. */
static void test_url_redacts_more_names(void)
{
    static const char text[] = "http://h/?Ticket=one&x-door=two&n=3";
    CLEANUP_FREE char *before = dlm_url_redact(text, NULL), *after = NULL, *names = NULL;
    char many[1000] = "";
    dlmgr_error e = {0};

    CHECK_STR(before, text);
    CHECK_INT(dlm_redact_names(" ticket, X-DOOR\tticket,", &e), 0);
    after = dlm_url_redact(text, NULL);
    CHECK_STR(after, "http://h/?Ticket=***&x-door=***&n=3");
    names = dlm_redact_more();
    CHECK_STR(names, "ticket,X-DOOR");
    CHECK_INT(dlm_redact_names("0123456789012345678901234567890123456789012345678901234567890123x",
                               &e),
              DLMGR_EINVAL);
    for (int i = 0; i < 64; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "name-%d ", i);
    CHECK_INT(dlm_redact_names(many, &e), DLMGR_ELIMIT);
}

static void test_url_out_of_memory(void)
{
    int rc = DLMGR_ENOMEM;

    for (int n = 1; rc == DLMGR_ENOMEM; n++) {
        struct dlm_url u = {0};
        dlmgr_error e = {0};

        CU_ASSERT_FATAL(n < 100);
        dlm_fault_alloc = n;
        rc = dlm_url_parse("http://user:word@h/a b?sig=x", &u, &e);
        dlm_fault_alloc = 0;
        CU_ASSERT(rc == 0 || u.wire == NULL);
        CU_ASSERT(rc == 0 ? n > 4 : true);
        dlm_url_clear(&u);
    }
    CHECK_INT(rc, 0);
}

static void test_url_redirect_out_of_memory(void)
{
    CLEANUP(dlm_url_clear) struct dlm_url from = {0};
    int rc = DLMGR_ENOMEM;

    CHECK_INT(dlm_url_parse("http://h/a/b", &from, NULL), 0);
    for (int n = 1; rc == DLMGR_ENOMEM; n++) {
        struct dlm_url u = {0};

        CU_ASSERT_FATAL(n < 100);
        dlm_fault_alloc = n;
        rc = dlm_url_redirect(&from, "../c", &u, NULL);
        dlm_fault_alloc = 0;
        if (rc == 0)
            CHECK_STR(u.wire, "http://h/c");
        dlm_url_clear(&u);
    }
    CHECK_INT(rc, 0);
}

/* Redacting without memory gives nothing, or hides too much; never too little. */
static void test_url_redact_out_of_memory(void)
{
    for (int n = 1; n < 12; n++) {
        CLEANUP_FREE char *shown = NULL;

        dlm_fault_alloc = n;
        shown = dlm_url_redact("http://u:p@h/?a=b&token=word", NULL);
        dlm_fault_alloc = 0;
        CU_ASSERT(!shown || (!strstr(shown, "word") && !strstr(shown, "u:p")));
    }
    dlm_fault_alloc = 1;
    CHECK_INT(dlm_url_parse("ftp://x/", &(struct dlm_url){0}, NULL), DLMGR_ENOMEM);
    dlm_fault_alloc = 0;
}

static const struct test tests[] = {
    TEST(test_url_parse),
    TEST(test_url_refuses),
    TEST(test_url_length),
    TEST(test_url_redirect),
    TEST(test_url_redirect_refuses),
    TEST(test_url_origins),
    TEST(test_url_redact),
    TEST(test_url_out_of_memory),
    TEST(test_url_redirect_out_of_memory),
    TEST(test_url_redact_out_of_memory),
    TEST(test_url_redacts_more_names), /* last: the names stay */
};

TEST_MAIN("url", tests)
