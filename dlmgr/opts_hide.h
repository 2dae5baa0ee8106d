/* SPDX-License-Identifier: MIT */
/*
 * opts_hide.h - takes a request's secrets out of what somebody else wrote.
 *
 * A server may say back what it was sent: a page that explains why a signature is wrong quotes it. Before an answer is kept or shown, what was
 * given as a secret is replaced by ***: passwords, values of headers and cookies, user and password of URLs and proxies, signing parameters, and the
 * form that Basic gives to a user and password. Recognised is the secret as it was given, percent-decoded, and as HTML and JSON write it.
 *
 *     struct dlm_hide h = {0};
 *     dlm_hide_opts(&h, opts);
 *     text = dlm_hide(&h, data, len, &n);
 *     dlm_hide_clear(&h);
 */
#ifndef DLM_OPTS_HIDE_H
#define DLM_OPTS_HIDE_H

#include "dlmgr/request.h"

/* Secrets shorter than this are not looked for: they would be found anywhere. */
#define DLM_SECRET_MIN 4

struct dlm_hide {
    char **texts;
    size_t n, room;
    bool sorted, failed; /* failed: there was no memory for one, so nothing may be shown */
};

/* Each adds secrets; what is NULL is none. */
void dlm_hide_text(struct dlm_hide *h, const char *text);
void dlm_hide_url(struct dlm_hide *h, const char *url);
void dlm_hide_header(struct dlm_hide *h, const char *line);
void dlm_hide_user(struct dlm_hide *h, const char *user, const char *password);
void dlm_hide_opts(struct dlm_hide *h, const struct dlm_opts *o);

/* A copy without them; yours: free(). *ret_len: its length. NULL: no memory. */
char *dlm_hide(struct dlm_hide *h, const void *data, size_t len, size_t *ret_len);
void dlm_hide_clear(struct dlm_hide *h);

#endif
