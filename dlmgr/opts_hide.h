/* SPDX-License-Identifier: MIT */
/*
 * opts_hide.h - takes a request's secrets out of what somebody else wrote.
 *
 * A server may say back what it was sent: a page that explains why a signature is wrong quotes it. Before an answer is kept or shown, what was
 * given as a secret is replaced by ***: passwords, values of headers, user and password of URLs and proxies, signing parameters, and the
 * form that Basic gives to a user and password. Recognised is the secret as it was given, and percent-decoded.
 */
#ifndef DLM_OPTS_HIDE_H
#define DLM_OPTS_HIDE_H

#include "dlmgr/request.h"

/* Secrets shorter than this are not looked for: they would be found anywhere. */
#define DLM_SECRET_MIN 4

/* A copy without them; yours: free(). *ret_len: its length. NULL: no memory. */
char *dlm_opts_hide(const struct dlm_opts *o, const void *data, size_t len, size_t *ret_len);

#endif
