/* SPDX-License-Identifier: MIT */
/*
 * request.h - what was asked for: from JSON to the journal and back to something a transfer can use.
 *
 * A request arrives as the JSON object that docs/control.md describes under `add`. dlm_request_parse() checks all of it and
 * cuts it in three: the columns that SQL asks about, the `options` object for the rest, and the `secret` object (headers and references to such, user, password,
 * proxies with a password, and the real URLs when redacting changed one), which stands in secrets.db alone.
 * dlm_opts_load() joins them again for a transfer.
 *
 * A real URL keeps its user and password: dlm_url_parse() takes them out for the origin that they belong to.
 */
#ifndef DLM_REQUEST_H
#define DLM_REQUEST_H

#include "store/store.h"

#include <jansson.h>

struct dlm_request {
    struct dlm_row row; /* everything that add needs */
    char **urls;        /* redacted, first is row.url */
    size_t n_urls;
    char *secret;  /* JSON text or NULL */
    char hash[65]; /* with a key: of what it asks for (redacted URLs, dir, out, checksum), else "" */
    bool create_dirs;
};

/* Check and cut; touches no disk. now: wall ms. On DLMGR_EINVAL or DLMGR_ELIMIT the error names the field and what is wrong with it. */
int dlm_request_parse(const json_t *object, int64_t now, struct dlm_request *ret, dlmgr_error *e);
void dlm_request_clear(struct dlm_request *r); /* an empty or cleared one is fine */

/* The directory must exist, unless it may be made: DLMGR_EINVAL with the remedy. */
int dlm_request_check_dir(const struct dlm_request *r, dlmgr_error *e);

/* May this be the name of a session? 0 or DLMGR_EINVAL. */
int dlm_session_check(const char *name, dlmgr_error *e);

struct dlm_opts {
    char **urls; /* real ones, never to be logged */
    size_t n_urls;
    char **headers;
    size_t n_headers;
    char **header_refs; /* see opts_ref.h */
    size_t n_header_refs;
    char *user,
        *password; /* for the origin of urls[0], from `user` or that URL; not for mirrors: their own are in their URLs */
    char *netrc_file, *cookie_file;
    char *cacert, *cert, *cert_key, *pinned_pubkey;
    char *proxy; /* given: "" is none; NULL: look at the four below */
    char *http_proxy, *https_proxy, *all_proxy,
        *no_proxy; /* environment of whoever added it; NULL when unset */
    bool create_dirs, require_length, block_private;
    int connections, max_tries, ip_version;
    int64_t limit_rate, retry_wait_ms,
        max_size;        /* 0 none; retry_wait_ms and max_tries have their defaults in */
    int64_t start_after; /* wall ms, 0: at once */
};

/* urls: the redacted ones of the journal, used when the secret has none. DLMGR_EJOURNAL: a text is not what dlm_request_parse() writes. */
int dlm_opts_load(const char *options, const char *secret, char *const *urls, size_t n_urls,
                  struct dlm_opts *ret);
void dlm_opts_clear(struct dlm_opts *o); /* an empty or cleared one is fine */

#endif
