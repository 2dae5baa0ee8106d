/* SPDX-License-Identifier: MIT */
/*
 * opts_ref.h - a header that stands somewhere else: what a task has of it is only where.
 *
 *     Authorization: Bearer {file:/run/token}     one line: what stands there takes the place of the braces
 *     {env:DOWNLOAD_HEADERS}                      alone: whole headers, "Name: value", one a line
 *
 *     file:/PATH         a regular file of the owner's user (or root), that nobody else may read or write; no symbolic link
 *     env:NAME           a variable of the owner's environment
 *     credential:NAME    a file of $CREDENTIALS_DIRECTORY, which systemd makes for a service (LoadCredential=)
 *
 * The owner reads it for each request, so a token that rotates is the new one. It does so on its loop, as libcurl does with netrc and cookies: at most 64 KiB
 * of a local file take less than the request's own system calls. A file system that hangs would hold the loop; the manual says so.
 */
#ifndef DLM_OPTS_REF_H
#define DLM_OPTS_REF_H

#include "dlmgr/bounds.h"

/* Is it one? DLMGR_EINVAL says what is wrong with it, without what stands around the braces. */
int dlm_ref_check(const char *text, dlmgr_error *e);

/* As it may be shown: the header's name and the reference. Yours: free(); NULL: no memory. */
char *dlm_ref_shown(const char *text);

/*
 * The header lines, each given to fn, which returns 0 or a negative code that ends this. What is missing or may not be used is DLMGR_ENOTFOUND of class
 * needs-auth; its text names the reference and never the value.
 */
int dlm_ref_lines(const char *text, int (*fn)(const char *line, void *context), void *context,
                  dlmgr_error *e);

#endif
