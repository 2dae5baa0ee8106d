/* SPDX-License-Identifier: MIT */
/*
 * request.h - what was asked for: from JSON to the journal and back to something a transfer can use.
 *
 * A request arrives as the JSON object that docs/control.md describes under `add`. dlm_request_parse() checks all of it and
 * cuts it in three: the columns that SQL asks about, the `options` object for the rest, and the `secret` object (headers, user, password,
 * proxies with a password, and the real URLs when redacting changed them), which stands in secrets.db alone.
 * dlm_opts_load() joins them again for a transfer.
 */
#ifndef DLM_REQUEST_H
#define DLM_REQUEST_H

#include "store/store.h"

#include <jansson.h>

struct dlm_request {
    struct dlm_row row; /* everything that add needs */
    char **urls;        /* redacted, first is row.url */
    size_t n_urls;
    char *secret;   /* JSON text or NULL */
    char hash[65];  /* of the request, to tell whether the same key asks for the same */
};

/* Check and cut. now: wall ms. On DLMGR_EINVAL or DLMGR_ELIMIT the error names the field and what is wrong with it. */
int dlm_request_parse(const json_t *object, int64_t now, struct dlm_request *ret, dlmgr_error *e);
void dlm_request_clear(struct dlm_request *r);

struct dlm_opts {
    char **urls; /* real ones, never to be logged */
    size_t n_urls;
    char **headers;
    size_t n_headers;
    char *user, *password, *netrc_file, *cookie_file;
    char *cacert, *cert, *cert_key, *pinned_pubkey;
    char *proxy;                                             /* given: "" is none; NULL: look at the four below */
    char *http_proxy, *https_proxy, *all_proxy, *no_proxy;   /* environment of whoever added it; NULL when unset */
    bool create_dirs, require_length, block_private;
    int connections, max_tries, ip_version;
    int64_t limit_rate, retry_wait_ms, max_size;
};

/* urls: the redacted ones of the journal, used where the secret has none. */
int dlm_opts_load(const char *options, const char *secret, char *const *urls, size_t n_urls, struct dlm_opts *ret);
void dlm_opts_clear(struct dlm_opts *o);

#endif
