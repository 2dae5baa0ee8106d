/* SPDX-License-Identifier: MIT */
/*
 * target.h - where a request goes and what goes along: from a task's options to an easy handle.
 *
 * A credential goes to the origin that it was given for and to nowhere else. `given` is the URL of the task (or of a mirror) that this
 * request stands for, `at` is where it is sent, which differs after a redirect. Headers, user, password, netrc, cookies and the client
 * certificate were given for the origin of the task's own URL: they go along only while `given` and `at` both have that origin. A mirror of another
 * origin has the user and password of its own URL, while it does not redirect elsewhere.
 *
 * A handle that carried any of them is `tainted`: libcurl keeps cookies and the like over curl_easy_reset(), so such a handle is
 * cleaned up and never given to another request. The connection stays, it belongs to the multi handle.
 */
#ifndef DLM_TARGET_H
#define DLM_TARGET_H

#include "dlmgr/fetch.h"
#include "dlmgr/origin.h"
#include "dlmgr/request.h"
#include "dlmgr/url.h"

#include <curl/curl.h>

struct dlm_target {
    CURL *easy;
    const struct dlm_fetch
        *fetch; /* to be set before the request is added; NULL: `spoiled` is not looked for */
    bool https;
    struct curl_slist *headers;
    struct curl_slist *referred; /* those of them that stand somewhere else; secrets */
    bool block_private;
    bool refused; /* out: there was no address but those that block_private refuses */
    bool tainted; /* out: the handle has carried a credential; clean it up rather than keep it */
    bool spoiled; /* out: the connection that was to be used again holds bytes that nobody asked for; it is closed. Ask again, over another */
    bool denied;  /* the URL's own host is such an address */
    bool proxied;
    bool allowed;            /* a connection to an address that may be used was begun */
    union dlm_address tried; /* the last that one was begun to; all zero: none */
    int socket_errno;        /* out: why it could not have a socket, the last time; 0 */
};

/*
 * Set everything that the options decide: URL, headers, credentials, TLS, proxy, address family, If-Range; Range is not among them.
 * source: index of `given` among o->urls (0: the task's own, whose headers and user these are). if_range NULL: none; it becomes
 * a header. `t` must live as long as the request; dlm_target_clear() afterwards, also when this failed.
 */
int dlm_target_set(CURL *easy, const struct dlm_opts *o, size_t source, const struct dlm_url *given,
                   const struct dlm_url *at, const char *if_range, struct dlm_target *t,
                   dlmgr_error *e);
void dlm_target_clear(struct dlm_target *t);

#endif
