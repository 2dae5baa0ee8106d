/* SPDX-License-Identifier: MIT */
/*
 * names.h - which file name is safe, and the names made from it.
 *
 * What a server names is hostile until it went through dlm_name_safe(): one component, valid UTF-8, never
 * hidden, nothing that a terminal or a right-to-left override could abuse, at most 255 bytes. The
 * caller's own --out is not changed, only accepted or refused.
 *
 * Where a name must become shorter, the stem is cut at a character boundary and the suffix stays:
 * the last ".ext" of up to 32 bytes, and ".tar.ext" as one.
 */
#ifndef DLM_NAMES_H
#define DLM_NAMES_H

#include "dlmgr/base.h"

#define DLM_NAME_MAX 255
#define DLM_NAME_SIZE (DLM_NAME_MAX + 1)
#define DLM_NAME_FALLBACK "download"

/*
 * A safe component from any bytes: what follows the last / or \, without control, bidi and zero-width
 * characters, leading dots and outer spaces; each invalid byte becomes _; "download" when nothing is left.
 */
void dlm_name_safe(const char *raw, size_t len, char out[DLM_NAME_SIZE]);

/* The safe name in the last path segment of a URL (percent-decoded). */
void dlm_name_from_url(const char *url, char out[DLM_NAME_SIZE]);

/*
 * The safe name in a Content-Disposition value (RFC 6266: filename* before filename). False: it names nothing, and
 * out is untouched.
 */
bool dlm_name_from_disposition(const char *value, size_t len, char out[DLM_NAME_SIZE]);

/* name, name.1.ext, name.2.ext, ...; n 0 is the name itself. name is one component. */
void dlm_name_numbered(const char *name, int n, char out[DLM_NAME_SIZE]);

/* NAME.<id>-<tag>.part; tag is four hex digits. */
void dlm_name_part(const char *name, int64_t id, const char tag[5], char out[DLM_NAME_SIZE]);

/* Is it UTF-8 by RFC 3629? */
bool dlm_is_utf8(const char *text, size_t len);

/* Decode %XX in place; the new length. A % that begins no escape stays; *ret_clean (may be NULL): there was none. */
size_t dlm_percent_decode(char *text, size_t len, bool *ret_clean);

/*
 * May this be a task's --out? A file name or a relative path below the directory, each component at most 255 bytes, without "."
 * and ".." (so that one file has one spelling). 0, or DLMGR_EINVAL with the reason in e.
 */
int dlm_name_out_ok(const char *out, dlmgr_error *e);

#endif
