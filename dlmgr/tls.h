/* SPDX-License-Identifier: MIT */
/*
 * tls.h - what was wrong with a server's certificate, and whose it was.
 *
 * libcurl 7.88 tells of a refused handshake by a sentence alone: CURLINFO_CERTINFO is empty after one. So a record is hung on each TLS
 * context as libcurl makes it (CURLOPT_SSL_CTX_FUNCTION), and OpenSSL's own verification leaves there what it looked at. What OpenSSL or
 * libcurl refused stays refused; keys and signatures that are too weak are refused too, whatever openssl.cnf says. And the record knows whether the server
 * announced the end of its data (close_notify), which libcurl does not ask: without that, anybody on the way can end a body that has no length.
 *
 * A record has two owners, the context and the transfer that connected, for a connection may outlive the transfer and verify again.
 */
#ifndef DLM_TLS_H
#define DLM_TLS_H

#include "dlmgr/base.h"

#include <curl/curl.h>
#include <jansson.h>

enum dlm_tls_check {
    DLM_TLS_NONE, /* it was not that, or it is not known */
    DLM_TLS_EXPIRED,
    DLM_TLS_NOT_YET_VALID,
    DLM_TLS_WRONG_HOST,
    DLM_TLS_UNKNOWN_CA,
    DLM_TLS_SELF_SIGNED,
    DLM_TLS_REVOKED,
    DLM_TLS_WEAK,            /* a key or signature */
    DLM_TLS_BAD_CERTIFICATE, /* anything else that OpenSSL says of one */
    DLM_TLS_PIN_MISMATCH,
    DLM_TLS_PROTOCOL,           /* no version or cipher in common, or no TLS at all there */
    DLM_TLS_CLIENT_CERTIFICATE, /* ours: missing, or not usable */
    DLM_TLS_CA_FILE,            /* ours: cannot be read */
};

struct dlm_tls;

/* From now on *record is that of the last TLS context made for this handle; it must live as long as the request. */
void dlm_tls_watch(CURL *easy, struct dlm_tls **record);
void dlm_tls_drop(struct dlm_tls **record); /* NULL in it is fine, and left there */

/* Within a callback of libcurl: *record becomes that of the connection which the handle has, whoever made it. */
void dlm_tls_adopt(CURL *easy, struct dlm_tls **record);
/* Within a callback: may the connection that the handle has carry other requests meanwhile (HTTP/2)? Where that cannot be known, as if. */
bool dlm_tls_has_streams(CURL *easy);
/* Did the server announce the end of its data? Where that cannot be known: true. */
bool dlm_tls_ended(const struct dlm_tls *record);

/* Which check failed, by libcurl's code and words and what the record (may be NULL) saw. */
enum dlm_tls_check dlm_tls_check(const struct dlm_tls *record, int curl, const char *detail);
enum dlm_tls_check dlm_tls_check_x509(long error); /* the part of it that reads X509_V_ERR_... */
const char *dlm_tls_check_name(enum dlm_tls_check check); /* NULL for none */

/* For people: what it means, the remedy, and whose certificate it was; ASCII. false: nothing is known, out is "". */
bool dlm_tls_says(const struct dlm_tls *record, enum dlm_tls_check check, char out[256]);

/*
 * {check, reason, depth, certificate {subject, issuer, not_before, not_after, names, public_key}}; null for none. NULL: no memory. detail:
 * libcurl's words, for what OpenSSL has none for.
 */
json_t *dlm_tls_json(const struct dlm_tls *record, enum dlm_tls_check check, const char *detail);

#endif
