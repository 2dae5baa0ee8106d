/* SPDX-License-Identifier: MIT */
/*
 * test_evidence.c - what is kept of a failure, as far as it is pure: values of headers as they may be shown, secrets taken out of what a
 * server wrote, names of checks and stages, and the error's object.
 */
#include "dlmgr/evidence.h"
#include "dlmgr/json.h"
#include "dlmgr/opts_hide.h"
#include "dlmgr/taskjson.h"
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>

/* Of a challenge scheme and realm, of a URL what is no secret, of the rest 256 bytes. */
static void test_values_as_they_may_be_shown(void)
{
    static const struct {
        int how;
        const char *value, *shown;
    } rows[] = {
        {DLM_SHOWN_TEXT, "nginx/1.22", "nginx/1.22"},
        {DLM_SHOWN_TEXT, "", ""},
        {DLM_SHOWN_CHALLENGE, "Basic realm=\"a b\"", "Basic realm=\"a b\""},
        {DLM_SHOWN_CHALLENGE, "Digest nonce=\"n\", realm=\"r\", opaque=\"o\"", "Digest realm=\"r\""},
        {DLM_SHOWN_CHALLENGE, "Bearer realm=r,error=\"x\"", "Bearer realm=r"},
        {DLM_SHOWN_CHALLENGE, "Negotiate YII=", "Negotiate"},
        {DLM_SHOWN_CHALLENGE, "Basic REALM=\"r", "Basic realm=\"r\""},
        {DLM_SHOWN_CHALLENGE, "", ""},
        {DLM_SHOWN_URL, "https://u:p@h/x?token=t&a=1", "https://***@h/x?token=***&a=1"},
        {DLM_SHOWN_URL, "/x?sig=s", "/x?sig=***"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *shown = dlm_shown_value((enum dlm_shown)rows[i].how, rows[i].value);

        test_about("row %zu", i);
        CHECK_STR(shown, rows[i].shown);
    }
}

static void test_long_values_are_cut(void)
{
    CLEANUP_FREE char *shown = NULL;
    char value[2000];

    memset(value, 'x', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    shown = dlm_shown_value(DLM_SHOWN_TEXT, value);
    CHECK_INT(strlen(shown), DLM_SHOWN_MAX);
}

/* A cut never falls into a character; what is no UTF-8 is cut where it is. */
static void test_cutting_text(void)
{
    static const struct {
        const char *text;
        size_t most, n;
    } rows[] = {
        {"abc", 5, 3},
        {"abc", 3, 3},
        {"abcd", 3, 3},
        {"ab\xc3\xa9", 3, 2},
        {"ab\xc3\xa9", 4, 4},
        {"\xf0\x9f\x98\x80x", 3, 0 + 3},
        {"a\xf0\x9f\x98\x80", 4, 1},
        {"\x80\x80\x80\x80\x80\x80", 5, 5},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        CHECK_INT(dlm_cut_text(rows[i].text, strlen(rows[i].text), rows[i].most), rows[i].n);
    }
}

static void test_addresses(void)
{
    union dlm_address a = {.in4 = {.sin_family = AF_INET, .sin_port = htons(80)}};
    char text[64];

    inet_pton(AF_INET, "192.0.2.7", &a.in4.sin_addr);
    dlm_address_text(&a, text);
    CHECK_STR(text, "192.0.2.7:80");
    a = (union dlm_address){.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)}};
    inet_pton(AF_INET6, "2001:db8::1", &a.in6.sin6_addr);
    dlm_address_text(&a, text);
    CHECK_STR(text, "[2001:db8::1]:443");
    a = (union dlm_address){0};
    dlm_address_text(&a, text);
    CHECK_STR(text, "");
}

/* ---- Secrets ----------------------------------------------------------------------------------------- */

static char url_a[] = "https://joe:pa%24%24word@h/f?X-Amz-Signature=abcdef%2F1&n=plain";
static char header_a[] = "Authorization: Bearer tok-1234", header_b[] = "Accept: text/html",
            header_c[] = "X-Key:    keykey", header_d[] = "X-Id: 123",
            header_e[] = "Cookie: sid=c00kie; other=<b>&/x";
static char user[] = "ann", password[] = "p4ss", proxy[] = "http://prox:proxpass@p:1";
static char *urls[] = {url_a}, *headers[] = {header_a, header_b, header_c, header_d, header_e};

static char *hidden(const struct dlm_opts *o, const void *data, size_t len, size_t *ret_len)
{
    struct dlm_hide h = {0};
    char *shown;

    dlm_hide_opts(&h, o);
    shown = dlm_hide(&h, data, len, ret_len);
    dlm_hide_clear(&h);
    return shown;
}

static void test_secrets_are_taken_out(void)
{
    static const struct dlm_opts opts = {.urls = urls,
                                         .n_urls = 1,
                                         .headers = headers,
                                         .n_headers = 5,
                                         .user = user,
                                         .password = password,
                                         .https_proxy = proxy};
    static const struct {
        const char *said, *shown;
    } rows[] = {
        {"nothing of ours", "nothing of ours"},
        {"", ""},
        {"Bearer tok-1234 is not valid", "*** is not valid"},
        {"token: tok-1234.", "token: ***."},
        {"text/html and 123 are no secrets", "text/html and 123 are no secrets"},
        {"keykeykeykey", "******"},
        {"p4ss", "***"},
        {"Basic YW5uOnA0c3M=", "Basic ***"},
        {"pa%24%24word or pa$$word", "*** or ***"},
        {"signature abcdef%2F1, that is abcdef/1", "signature ***, that is ***"},
        {"plain", "plain"},
        {"proxpass", "***"},
        {"Basic cHJveDpwcm94cGFzcw== and am9lOnBhJCR3b3Jk", "Basic *** and ***"},
        {"session c00kie", "session ***"},
        {"<p>&lt;b&gt;&amp;/x, {\"c\":\"<b>&\\/x\"}", "<p>***, {\"c\":\"***\"}"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t n = 0;
        CLEANUP_FREE char *shown = hidden(&opts, rows[i].said, strlen(rows[i].said), &n);

        test_about("row %zu", i);
        CHECK_STR(shown, rows[i].shown);
        CHECK_INT(n, strlen(rows[i].shown));
    }
}

/* Bytes that are no text are searched too, and nothing shown is a guess when there is no memory. */
static void test_secrets_between_any_bytes(void)
{
    static const struct dlm_opts opts = {.password = password};
    size_t n = 0;
    char *shown = hidden(&opts, "\0p4ss\xff", 6, &n);

    CHECK_INT(n, 5);
    CHECK_MEM(shown, "\0***\xff", 5);
    free(shown);
    for (int i = 1; i < 3; i++) {
        dlm_fault_alloc = i;
        shown = hidden(&opts, "p4ss", 4, &n);
        dlm_fault_alloc = 0;
        if (shown)
            CHECK_STR(shown, "***");
        free(shown);
    }
}

/* However many secrets there are, the last one counts as the first does. */
static void test_secrets_of_many_headers(void)
{
    static char text[1000][24], *many[1000];
    const struct dlm_opts opts = {.headers = many, .n_headers = 1000, .password = password};
    size_t n = 0;

    for (int i = 0; i < 1000; i++) {
        snprintf(text[i], sizeof(text[i]), "X-%d: value-%d-", i, i);
        many[i] = text[i];
    }
    CLEANUP_FREE char *shown = hidden(&opts, "value-0- value-999- p4ss", 24, &n);
    CHECK_STR(shown, "*** *** ***");
}

/* What libcurl reads from netrc for this host, quoted or not, in either order; nothing of other hosts. */
static void test_netrc_is_hidden(void)
{
    static const char text[] = "machine other.test login o password not-ours\n"
                               "machine h.test\n\tlogin ann\n\tpassword \"pa ss\\\"word\"\n"
                               "machine H.TEST password second login bob\n"
                               "default login any password fallback\n";
    static const char said[] = "not-ours, pa ss\"word, second, Ym9iOnNlY29uZA==, fallback, bob";
    struct dlm_hide h = {0};
    char *shown;
    size_t n = 0;

    dlm_hide_netrc(&h, text, "h.test");
    shown = dlm_hide(&h, said, strlen(said), &n);
    CHECK_STR(shown, "not-ours, ***, ***, ***, ***, bob");
    free(shown);
    dlm_hide_clear(&h);
}

/* ---- TLS ----------------------------------------------------------------------------------------------- */

static void test_which_check_failed(void)
{
    static const struct {
        int curl;
        const char *detail, *check;
    } rows[] = {
        {CURLE_SSL_PINNEDPUBKEYNOTMATCH, "", "pin-mismatch"},
        {CURLE_PEER_FAILED_VERIFICATION,
         "SSL: no alternative certificate subject name matches target host name 'h'", "wrong-host"},
        {CURLE_PEER_FAILED_VERIFICATION, NULL, "bad-certificate"},
        {CURLE_SSL_CONNECT_ERROR, "error:0A00010B:SSL routines::wrong version number", "protocol"},
        {CURLE_SSL_CONNECT_ERROR, "OpenSSL SSL_connect: Connection reset by peer", NULL},
        {CURLE_SSL_CERTPROBLEM, "", "client-certificate"},
        {CURLE_SSL_CACERT_BADFILE, "", "ca-file"},
        {CURLE_SSL_INVALIDCERTSTATUS, "", "revoked"},
        {CURLE_COULDNT_CONNECT, "", NULL},
        {CURLE_OK, "", NULL},
    };
    static const struct {
        long error;
        const char *check;
    } x509[] = {
        {X509_V_OK, NULL},
        {X509_V_ERR_CERT_HAS_EXPIRED, "expired"},
        {X509_V_ERR_CERT_NOT_YET_VALID, "not-yet-valid"},
        {X509_V_ERR_HOSTNAME_MISMATCH, "wrong-host"},
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "unknown-ca"},
        {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "unknown-ca"},
        {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "self-signed"},
        {X509_V_ERR_CERT_REVOKED, "revoked"},
        {X509_V_ERR_EE_KEY_TOO_SMALL, "weak"},
        {X509_V_ERR_CA_MD_TOO_WEAK, "weak"},
        {X509_V_ERR_INVALID_PURPOSE, "bad-certificate"},
        {123456, "bad-certificate"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("libcurl %zu", i);
        CHECK_STR(dlm_tls_check_name(dlm_tls_check(NULL, rows[i].curl, rows[i].detail)),
                  rows[i].check);
    }
    for (size_t i = 0; i < ARRAY_SIZE(x509); i++) {
        test_about("X509 %zu", i);
        CHECK_STR(dlm_tls_check_name(dlm_tls_check_x509(x509[i].error)), x509[i].check);
    }
}

/* ---- The object ------------------------------------------------------------------------------------------ */

static void test_an_error_has_all_members(void)
{
    CLEANUP_JSON json_t *evidence = json_pack("{s:s, s:i}", "address", "[::1]:80", "code", 99);
    struct dlm_failure f = {.class_ = DLMGR_CLASS_POLICY,
                            .code = 22,
                            .stage = DLMGR_STAGE_SEND,
                            .message = "no",
                            .attempts = 3,
                            .first_try_at = 1000,
                            .last_try_at = 2000,
                            .evidence = evidence};
    CLEANUP_FREE char *text = dlm_failure_text(&f), *line = NULL;
    struct dlm_row row = {.total = -1, .error = text};
    CLEANUP_JSON json_t *task = NULL;

    CHECK_INT(dlm_failure_first_try(text), 1000);
    CHECK_INT(dlm_failure_first_try(NULL), 0);
    CHECK_INT(dlm_failure_first_try("{\"class\":\"policy\"}"), 0);
    task = dlm_task_json(&row);
    line = dlm_json_dump(json_object_get(task, "error"));
    CHECK_STR(line, "{\"class\":\"policy\",\"code\":22,\"stage\":\"send\",\"message\":\"no\","
                    "\"http_status\":null,\"url\":null,\"address\":\"[::1]:80\",\"proxy\":null,"
                    "\"headers\":null,\"body_excerpt\":null,\"tls\":null,\"attempts\":3,"
                    "\"first_try_at\":\"1970-01-01T00:00:01.000Z\","
                    "\"last_try_at\":\"1970-01-01T00:00:02.000Z\"}");
}

static void test_names_of_stages(void)
{
    for (int i = DLMGR_STAGE_RESOLVE; i <= DLMGR_STAGE_COMMIT; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(dlmgr_stage_name(i));
        CHECK_INT(dlm_stage_parse(dlmgr_stage_name(i)), i);
    }
    CHECK_STR(dlmgr_stage_name(DLMGR_STAGE_NONE), NULL);
    CHECK_STR(dlmgr_stage_name(DLMGR_STAGE_COMMIT + 1), NULL);
    CHECK_INT(dlm_stage_parse("never"), DLMGR_STAGE_NONE);
    CHECK_INT(dlm_stage_parse(NULL), DLMGR_STAGE_NONE);
    CHECK_STR(dlmgr_class_name(DLMGR_CLASS_NEEDS_AUTH), "needs-auth");
    CHECK_STR(dlmgr_class_name(DLMGR_CLASS_NONE), NULL);
    CHECK_STR(dlmgr_class_name(99), NULL);
}

static const struct test tests[] = {
    TEST(test_values_as_they_may_be_shown),
    TEST(test_long_values_are_cut),
    TEST(test_cutting_text),
    TEST(test_addresses),
    TEST(test_secrets_are_taken_out),
    TEST(test_secrets_between_any_bytes),
    TEST(test_secrets_of_many_headers),
    TEST(test_netrc_is_hidden),
    TEST(test_which_check_failed),
    TEST(test_an_error_has_all_members),
    TEST(test_names_of_stages),
};

TEST_MAIN("evidence", tests)
