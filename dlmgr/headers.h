/* SPDX-License-Identifier: MIT */
/*
 * headers.h - what an answer's header says, one line at a time, as facts for verdict.h to judge.
 *
 * dlm_answer_reset() before the request, dlm_answer_line() for each line as libcurl's header callback gives it,
 * until the body's first byte. A status line starts over, since 1xx and a proxy's CONNECT answers come first;
 * what follows the blank line (trailers) is ignored. A field that appears twice with two meanings has none: it is marked
 * unusable, never guessed.
 *
 * The validator of a file is one text: `"abc"` a strong ETag as on the wire, `W/"abc"` a weak one, anything else a
 * Last-Modified that was strong when it was seen; NULL or "" none.
 */
#ifndef DLM_HEADERS_H
#define DLM_HEADERS_H

#include "dlmgr/bounds.h"
#include "dlmgr/names.h"

#define DLM_DIGEST_SIZE 160

struct dlm_content_range {
    bool present,
        valid; /* invalid: syntax, last before first, last beyond total, or two that differ */
    bool unsatisfied;   /* "bytes * / N" of a 416; only total counts */
    int64_t start, end; /* [start, end): end is one past the last byte */
    int64_t total;      /* -1: "*" */
};

struct dlm_answer {
    int64_t now; /* wall ms at the request; for two-digit years and Retry-After without Date */
    size_t lines, bytes; /* since the reset */
    int64_t most_lines, most_bytes;
    bool flooded; /* there were more */

    int status;       /* 0 before the first status line */
    int http_version; /* 10, 11, 20, 30 */
    bool complete;    /* the blank line was seen */
    bool folded;      /* a field that matters was continued on the next line, which HTTP forbids */
    bool began, last_mattered, no_memory;
    unsigned seen; /* bit n: field n of the table in headers.c has come */

    int64_t content_length; /* -1: not said */
    bool bad_length;        /* not a number, negative, beyond 2^63, or two that differ */
    bool chunked;
    bool transfer_coded; /* a transfer coding other than a single chunked */
    bool encoded;        /* a Content-Encoding other than identity */
    bool multipart;      /* multipart/byteranges */
    bool no_ranges;      /* Accept-Ranges: none */
    bool www_authenticate;
    struct dlm_content_range range;

    char etag[DLM_VALIDATOR_SIZE]; /* as on the wire; "" none */
    bool bad_etag;                 /* there is one, but malformed, over-long, or two that differ */
    char last_modified[DLM_VALIDATOR_SIZE]; /* as on the wire, and a date that can be read; "" none */
    int64_t last_modified_at, date_at;      /* seconds since 1970; INT64_MIN unknown */
    int64_t retry_after_s;                  /* -1: not said as seconds */
    int64_t retry_after_at;                 /* seconds since 1970; INT64_MIN: not said as a date */

    char *location;               /* as on the wire; NULL: none, or one that cannot be used */
    const char *bad_location;     /* what is wrong with it; static; NULL: nothing */
    char filename[DLM_NAME_SIZE]; /* safe; "": the server names none */
    char digest[DLM_DIGEST_SIZE]; /* of the whole file, "sha-256=HEX" or "sha-512=HEX"; "" none (RFC 9530) */
};

/* Empty it for a new request; frees what it held, so it must be zeroed or reset before the first time. bounds NULL: the normal ones. */
void dlm_answer_reset(struct dlm_answer *a, int64_t now_ms, const struct dlm_bounds *bounds);

/* Free what it holds; also as CLEANUP(). */
void dlm_answer_clear(struct dlm_answer *a);

/* One line, with or without its CRLF. 0, DLMGR_ENOMEM, or DLMGR_ELIMIT for a flood of header: more than header-lines or header-bytes. */
int dlm_answer_line(struct dlm_answer *a, const char *line, size_t len);

/* The wait that the server asks for in ms (a date counts from its own Date, else from now), not clamped; -1 none. */
int64_t dlm_answer_retry_after(const struct dlm_answer *a);

/*
 * The validator of this answer: its ETag, strong or weak; where there is no ETag at all, Last-Modified if it is strong
 * by RFC 9110 8.8.2.2 (Date at least a second later). "" none; a compressed form that nobody asked for has none, since many servers
 * give it the ETag of the plain one, of which they then send the rest.
 */
void dlm_answer_validator(const struct dlm_answer *a, char out[DLM_VALIDATOR_SIZE]);

/* May it stand in If-Range? False for none and for weak ones. */
bool dlm_validator_is_strong(const char *validator);

/* Same text, or none both; "appeared", "vanished" and "became weak" are differences. */
bool dlm_validator_same(const char *a, const char *b);

/* Do two digests ("sha-256=HEX") prove that these are two files? False when one is none, or by another algorithm. */
bool dlm_digest_differs(const char *a, const char *b);

/* Seconds since 1970 of an HTTP date in any of the three forms of RFC 9110 5.6.7; false: not a date. */
bool dlm_http_date(const char *text, size_t len, int64_t now_ms, int64_t *ret_seconds);

/*
 * May "Name: value" be sent along as the caller's own header? Refused: CR, LF and control characters, a name that is no
 * token, and the fields that are ours to say (Range, If-Range, Accept-Encoding, framing). 0 or DLMGR_EINVAL.
 */
int dlm_header_check(const char *text, dlmgr_error *e);

#endif
