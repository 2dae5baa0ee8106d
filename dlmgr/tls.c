/* SPDX-License-Identifier: MIT */
/*
 * tls.c - what was wrong with a server's certificate: see tls.h.
 *
 * The certificate that is told of is the one that OpenSSL refused, which need not be the server's own (an authority may have expired
 * too); where OpenSSL was content and libcurl was not (the host's name, a pinned key) it is the server's.
 *
 * Only the OpenSSL that this library itself is linked with may be spoken to; with a libcurl of another make there is no detail, and
 * its own defaults hold.
 */
#include "dlmgr/tls.h"

#include "dlmgr/json.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>

#define SECURITY_LEVEL 2 /* whatever openssl.cnf says: no RSA of 1024 bits, no SHA-1 */
#define NAMES_MAX 20
#define NAME_MAX_LEN 300

struct dlm_tls {
    int owners;
    X509 *leaf, *refused;
    long error; /* X509_V_ERR_... of `refused` */
    int depth;
    bool farewell; /* close_notify came */
};

/* ---- Watching -------------------------------------------------------------------------------------- */

static int slot = -1; /* of ours in an SSL_CTX */
static bool usable;   /* libcurl has the OpenSSL that we have */

void dlm_tls_drop(struct dlm_tls **record)
{
    struct dlm_tls *r = TAKE_PTR(*record);

    if (!r || --r->owners > 0)
        return;
    X509_free(r->leaf);
    X509_free(r->refused);
    free(r);
}

static void on_context_freed(void *context, void *record, CRYPTO_EX_DATA *data, int index,
                             long argl, void *argp)
{
    struct dlm_tls *r = record;

    (void)context;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    dlm_tls_drop(&r);
}

static void find_slot(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    char ours[32];

    snprintf(ours, sizeof(ours), "OpenSSL/%d.", OPENSSL_VERSION_MAJOR);
    if (!info->ssl_version || strncmp(info->ssl_version, ours, strlen(ours)) != 0)
        return;
    slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_freed);
    usable = slot >= 0;
}

static void replace(X509 **at, X509 *with)
{
    if (with)
        X509_up_ref(with);
    X509_free(*at);
    *at = with;
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct dlm_tls *r = ssl ? SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), slot) : NULL;

    if (r && !ok) {
        r->error = X509_STORE_CTX_get_error(store);
        r->depth = X509_STORE_CTX_get_error_depth(store);
        replace(&r->refused, X509_STORE_CTX_get_current_cert(store));
    } else if (r && X509_STORE_CTX_get_error_depth(store) == 0) {
        replace(&r->leaf, X509_STORE_CTX_get_current_cert(store));
    }
    return ok;
}

static void on_state(const SSL *ssl, int where, int value)
{
    struct dlm_tls *r = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), slot);

    if (r && (where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT &&
        (value & 0xff) == SSL_AD_CLOSE_NOTIFY)
        r->farewell = true;
}

/* Without memory for it there is no detail, and the connection is as good. */
static CURLcode on_context(CURL *easy, void *ssl_ctx, void *context)
{
    struct dlm_tls **record = context, *r = dlm_alloc(sizeof(*r));

    (void)easy;
    if (SSL_CTX_get_security_level(ssl_ctx) < SECURITY_LEVEL)
        SSL_CTX_set_security_level(ssl_ctx, SECURITY_LEVEL);
    dlm_tls_drop(record);
    if (!r)
        return CURLE_OK;
    r->owners = 1;
    *record = r;
    if (SSL_CTX_set_ex_data(ssl_ctx, slot, r)) {
        r->owners++;
        SSL_CTX_set_verify(ssl_ctx, SSL_CTX_get_verify_mode(ssl_ctx), on_verify);
        SSL_CTX_set_info_callback(ssl_ctx, on_state);
    }
    return CURLE_OK;
}

void dlm_tls_watch(CURL *easy, struct dlm_tls **record)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, find_slot);
    if (!usable)
        return;
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, record);
}

/* Of the connection that the handle has; NULL: none, or it has no TLS. */
static SSL *connection_of(CURL *easy)
{
    struct curl_tlssessioninfo *info = NULL;

    if (!usable || curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info ||
        info->backend != CURLSSLBACKEND_OPENSSL)
        return NULL;
    return info->internals;
}

bool dlm_tls_has_streams(CURL *easy)
{
    SSL *ssl = connection_of(easy);
    const unsigned char *name = NULL;
    unsigned len = 0;

    if (ssl)
        SSL_get0_alpn_selected(ssl, &name, &len);
    return !usable || (len == 2 && !memcmp(name, "h2", 2));
}

void dlm_tls_adopt(CURL *easy, struct dlm_tls **record)
{
    SSL *ssl = connection_of(easy);
    struct dlm_tls *r = ssl ? SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), slot) : NULL;

    if (!r || r == *record)
        return;
    dlm_tls_drop(record);
    r->owners++;
    *record = r;
}

bool dlm_tls_ended(const struct dlm_tls *record)
{
    return !usable || (record && record->farewell);
}

/* ---- Which check ------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *says;
} checks[] = {
    [DLM_TLS_EXPIRED] = {"expired", "a certificate has expired: its owner must renew it, unless this "
                                    "machine's clock is wrong"},
    [DLM_TLS_NOT_YET_VALID] = {"not-yet-valid",
                               "a certificate is not valid yet: is this machine's clock right?"},
    [DLM_TLS_WRONG_HOST] = {"wrong-host",
                            "the server's certificate is for another host; check the URL"},
    [DLM_TLS_UNKNOWN_CA] = {"unknown-ca", "the server's certificate is from an authority that is not "
                                          "known here; --cacert names another"},
    [DLM_TLS_SELF_SIGNED] = {"self-signed", "the server's certificate is signed by itself; if it is "
                                            "the right one, give it to --cacert"},
    [DLM_TLS_REVOKED] = {"revoked", "a certificate was revoked: its owner must replace it"},
    [DLM_TLS_WEAK] = {"weak", "a key or signature is too weak to prove anything: the server's owner "
                              "must replace the certificate"},
    [DLM_TLS_BAD_CERTIFICATE] = {"bad-certificate", "a certificate cannot be trusted"},
    [DLM_TLS_PIN_MISMATCH] = {"pin-mismatch", "the server's key is not the one that was pinned; find "
                                              "out why before you pin another"},
    [DLM_TLS_PROTOCOL] = {"protocol", NULL},
    [DLM_TLS_CLIENT_CERTIFICATE] = {"client-certificate", NULL},
    [DLM_TLS_CA_FILE] = {"ca-file", NULL},
};

static const struct {
    long error;
    enum dlm_tls_check check;
} of_x509[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, DLM_TLS_EXPIRED},
    {X509_V_ERR_CERT_NOT_YET_VALID, DLM_TLS_NOT_YET_VALID},
    {X509_V_ERR_HOSTNAME_MISMATCH, DLM_TLS_WRONG_HOST},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, DLM_TLS_WRONG_HOST},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, DLM_TLS_UNKNOWN_CA},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, DLM_TLS_UNKNOWN_CA},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, DLM_TLS_UNKNOWN_CA},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, DLM_TLS_UNKNOWN_CA},
    {X509_V_ERR_CERT_UNTRUSTED, DLM_TLS_UNKNOWN_CA},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, DLM_TLS_SELF_SIGNED},
    {X509_V_ERR_CERT_REVOKED, DLM_TLS_REVOKED},
    {X509_V_ERR_EE_KEY_TOO_SMALL, DLM_TLS_WEAK},
    {X509_V_ERR_CA_KEY_TOO_SMALL, DLM_TLS_WEAK},
    {X509_V_ERR_CA_MD_TOO_WEAK, DLM_TLS_WEAK},
};

static const struct {
    int curl;
    const char *needle; /* in libcurl's words; NULL: always */
    enum dlm_tls_check check;
} of_curl[] = {
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, NULL, DLM_TLS_PIN_MISMATCH},
    {CURLE_PEER_FAILED_VERIFICATION, "target host name", DLM_TLS_WRONG_HOST},
    {CURLE_PEER_FAILED_VERIFICATION, NULL, DLM_TLS_BAD_CERTIFICATE},
    {CURLE_SSL_CONNECT_ERROR, "SSL_connect: ", DLM_TLS_NONE}, /* the connection broke */
    {CURLE_SSL_CONNECT_ERROR, NULL, DLM_TLS_PROTOCOL},
    {CURLE_SSL_CIPHER, NULL, DLM_TLS_PROTOCOL},
    {CURLE_SSL_CERTPROBLEM, NULL, DLM_TLS_CLIENT_CERTIFICATE},
    {CURLE_SSL_CLIENTCERT, NULL, DLM_TLS_CLIENT_CERTIFICATE},
    {CURLE_SSL_CACERT_BADFILE, NULL, DLM_TLS_CA_FILE},
    {CURLE_SSL_ISSUER_ERROR, NULL, DLM_TLS_BAD_CERTIFICATE},
    {CURLE_SSL_INVALIDCERTSTATUS, NULL, DLM_TLS_REVOKED},
};

enum dlm_tls_check dlm_tls_check_x509(long error)
{
    if (error == X509_V_OK)
        return DLM_TLS_NONE;
    for (size_t i = 0; i < ARRAY_SIZE(of_x509); i++)
        if (of_x509[i].error == error)
            return of_x509[i].check;
    return DLM_TLS_BAD_CERTIFICATE;
}

enum dlm_tls_check dlm_tls_check(const struct dlm_tls *record, int curl, const char *detail)
{
    if (curl == CURLE_PEER_FAILED_VERIFICATION && record && record->error)
        return dlm_tls_check_x509(record->error);
    for (size_t i = 0; i < ARRAY_SIZE(of_curl); i++)
        if (of_curl[i].curl == curl &&
            (!of_curl[i].needle || (detail && strstr(detail, of_curl[i].needle))))
            return of_curl[i].check;
    return DLM_TLS_NONE;
}

const char *dlm_tls_check_name(enum dlm_tls_check check)
{
    return (size_t)check < ARRAY_SIZE(checks) ? checks[check].name : NULL;
}

/* ---- Whose certificate ------------------------------------------------------------------------------- */

static const X509 *certificate_of(const struct dlm_tls *r)
{
    return !r ? NULL : r->refused ? r->refused : r->leaf;
}

/* As RFC 2253 writes it. escaped: what is not ASCII too. */
static void print_name(const X509_NAME *name, bool escaped, char out[NAME_MAX_LEN])
{
    unsigned long flags = XN_FLAG_RFC2253 & ~(escaped ? 0UL : (unsigned long)ASN1_STRFLGS_ESC_MSB);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len = 0;

    out[0] = '\0';
    if (bio && X509_NAME_print_ex(bio, name, 0, flags) >= 0)
        len = BIO_get_mem_data(bio, &text);
    if (len > 0)
        snprintf(out, NAME_MAX_LEN, "%.*s", (int)MIN(len, NAME_MAX_LEN), text);
    BIO_free(bio);
}

/* Wall ms; 0: it cannot be read. */
static int64_t time_of(const ASN1_TIME *t)
{
    struct tm tm = {0};

    return t && ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) * 1000 : 0;
}

static json_t *time_json(const ASN1_TIME *t)
{
    char text[32];

    dlm_clock_format(time_of(t), text);
    return time_of(t) ? json_string(text) : json_null();
}

static json_t *name_json(const X509_NAME *name)
{
    char text[NAME_MAX_LEN];
    json_t *json;

    print_name(name, false, text);
    json = json_string(text);
    if (!json)
        print_name(name, true, text); /* cut within a character, or none at all */
    return json ? json : json_string(text);
}

static json_t *ip_json(const ASN1_OCTET_STRING *ip)
{
    int len = ASN1_STRING_length(ip);
    char text[INET6_ADDRSTRLEN];

    if ((len != 4 && len != 16) ||
        !inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text, sizeof(text)))
        return NULL;
    return json_string(text);
}

/* The hosts that it is for. */
static json_t *hosts_json(const X509 *x)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    json_t *array = json_array();
    int n = names ? sk_GENERAL_NAME_num(names) : 0;

    for (int i = 0; i < n && i < NAMES_MAX; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        json_t *json = NULL;

        if (g->type == GEN_DNS)
            json = json_stringn((const char *)ASN1_STRING_get0_data(g->d.dNSName),
                                (size_t)MIN(ASN1_STRING_length(g->d.dNSName), 255));
        else if (g->type == GEN_IPADD)
            json = ip_json(g->d.iPAddress);
        if (json)
            json_array_append_new(array, json);
    }
    GENERAL_NAMES_free(names);
    return array;
}

/* As --pinned-pubkey takes it. */
static json_t *key_json(const X509 *x)
{
    unsigned char *der = NULL, digest[32];
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    char text[60] = "sha256//";
    bool ok = len > 0 && EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1;

    if (ok)
        EVP_EncodeBlock((unsigned char *)text + 8, digest, sizeof(digest));
    OPENSSL_free(der);
    return ok ? json_string(text) : json_null();
}

static json_t *certificate_json(const X509 *x)
{
    if (!x)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "subject",
                     name_json(X509_get_subject_name(x)), "issuer",
                     name_json(X509_get_issuer_name(x)), "not_before",
                     time_json(X509_get0_notBefore(x)), "not_after",
                     time_json(X509_get0_notAfter(x)), "names", hosts_json(x), "public_key",
                     key_json(x));
}

/* ---- Telling ------------------------------------------------------------------------------------------ */

bool dlm_tls_says(const struct dlm_tls *record, enum dlm_tls_check check, char out[256])
{
    const X509 *x = certificate_of(record);
    const char *says = (size_t)check < ARRAY_SIZE(checks) ? checks[check].says : NULL;
    char subject[NAME_MAX_LEN], issuer[NAME_MAX_LEN], from[32], to[32];

    out[0] = '\0';
    if (!says || !x)
        return false;
    print_name(X509_get_subject_name(x), true, subject);
    print_name(X509_get_issuer_name(x), true, issuer);
    dlm_clock_format(time_of(X509_get0_notBefore(x)), from);
    dlm_clock_format(time_of(X509_get0_notAfter(x)), to);
    snprintf(out, 256, "%s (%.40s, from %.40s, valid %.10s to %.10s)", says, subject, issuer, from,
             to);
    return true;
}

json_t *dlm_tls_json(const struct dlm_tls *record, enum dlm_tls_check check, const char *detail)
{
    const char *name = dlm_tls_check_name(check);
    bool refused = record && record->refused;

    if (!name)
        return json_null();
    if (refused)
        detail = X509_verify_cert_error_string(record->error);
    return json_pack("{s:s, s:o, s:o, s:o}", "check", name, "reason",
                     dlm_bytes_to_json(detail, detail ? strlen(detail) : 0), "depth",
                     refused ? json_integer(record->depth) : json_null(), "certificate",
                     certificate_json(certificate_of(record)));
}
