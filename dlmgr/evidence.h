/* SPDX-License-Identifier: MIT */
/*
 * evidence.h - what a request that failed leaves behind: the members of an error's object that say where it happened and what was seen.
 *
 *     url           where it was sent, secrets redacted (not always where the task began: redirects)
 *     address       the peer's address and port: the server's, or the proxy's
 *     proxy         the proxy's URL, without user and password
 *     headers       of the answer, those in the table of evidence.c: {Name: value}
 *     body_excerpt  the beginning of the body, as much as error-excerpt allows
 *     tls           which check failed, and whose certificate: tls.h
 *
 * Gathered once, when a request has failed, from what libcurl knows anyway, so a request that succeeds pays nothing. What a server
 * wrote passes opts_hide.h.
 */
#ifndef DLM_EVIDENCE_H
#define DLM_EVIDENCE_H

#include "dlmgr/opts_hide.h"
#include "dlmgr/origin.h"
#include "dlmgr/request.h"
#include "dlmgr/tls.h"
#include "dlmgr/url.h"

#define DLM_SHOWN_MAX 256 /* bytes of a header's value */

struct dlm_scene {
    CURL *easy; /* after its request, not reset yet; NULL: there was none */
    const struct dlm_opts *opts;
    const struct curl_slist *referred; /* headers that stood somewhere else */
    const struct dlm_url *at;
    const char *proxy;              /* its URL; "" none */
    const union dlm_address *tried; /* the last address that a connection was begun to; AF_UNSPEC none */
    const struct dlm_tls *tls;
    enum dlm_tls_check check;
    const char *detail; /* libcurl's words; may be "" */
    const void *body;   /* NULL: none, or it is a part of the file */
    size_t n_body;
    size_t most_body; /* to be shown of it */
};

/* An object of the members above; NULL: no memory. */
json_t *dlm_evidence(const struct dlm_scene *s);
/* Words of libcurl's lose what is secret: it names a proxy that it cannot use. */
void dlm_scene_words(const struct dlm_scene *s, char *words, size_t room);

/* All that the request may have carried and nobody else may see; *ret is to be cleared. */
void dlm_scene_hide(const struct dlm_scene *s, struct dlm_hide *ret);

/* ---- Pure, for tests ------------------------------------------------------------------------------ */

/* A value as it may be shown, yours: free(). Of a challenge the scheme and the realm, of a URL what is no secret; cut at DLM_SHOWN_MAX. */
enum dlm_shown { DLM_SHOWN_TEXT, DLM_SHOWN_URL, DLM_SHOWN_CHALLENGE };
char *dlm_shown_value(enum dlm_shown how, const char *value);
/* Logins and passwords that a netrc text has for the host. */
void dlm_hide_netrc(struct dlm_hide *h, const char *text, const char *host);
/* How many bytes, at most `most`, end at the end of a UTF-8 sequence; `most` itself when the data is no UTF-8 there. */
size_t dlm_cut_text(const char *data, size_t len, size_t most);

#endif
