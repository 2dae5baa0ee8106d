/* SPDX-License-Identifier: MIT */
/*
 * verdict.h - what to do about an answer: one pure function of (what we asked, what we have, what came).
 *
 *     TAKE      the body is ours: write it from .offset, .length bytes of it (-1: to its end)
 *     RESTART   what we have is worthless or cannot be continued: begin a new generation at zero.
 *               .usable: this very body is the whole new version, take it from offset 0 as in TAKE; else drop it
 *               and ask for the whole (without Range)
 *     COMPLETE  nothing is missing (416 that names our size): verify
 *     REDIRECT  follow .location of the answer
 *     REASK     ask again at once: without Range, or (.given_url) at the URL that the task was given
 *     WAIT      transient: try later, after .wait_ms, or by backoff when that is -1
 *     FAIL      it will not get better by itself
 *
 * What must hold: bytes of two versions never meet (any sign of another version is RESTART), and a body is taken
 * only when it is certain which bytes of the file it is. RESTART and REASK count as attempts, so that a server that
 * flips between two versions is not asked for ever.
 */
#ifndef DLM_VERDICT_H
#define DLM_VERDICT_H

#include "dlmgr/headers.h"

enum dlm_action {
    DLM_TAKE,
    DLM_RESTART,
    DLM_COMPLETE,
    DLM_REDIRECT,
    DLM_REASK,
    DLM_WAIT,
    DLM_FAIL
};

/* The exit codes of dlmgr(1) that a result can have. */
enum dlm_exit {
    DLM_EXIT_DONE = 0,
    DLM_EXIT_UNKNOWN = 1,
    DLM_EXIT_TIMEOUT = 2,
    DLM_EXIT_NOT_FOUND = 3,
    DLM_EXIT_NETWORK = 6,
    DLM_EXIT_UNFINISHED = 7,
    DLM_EXIT_NO_RESUME = 8,
    DLM_EXIT_DISK_FULL = 9,
    DLM_EXIT_EXISTS = 13,
    DLM_EXIT_IO = 17,
    DLM_EXIT_RESOLVE = 19,
    DLM_EXIT_HTTP = 22,
    DLM_EXIT_REDIRECTS = 23,
    DLM_EXIT_AUTH = 24,
    DLM_EXIT_CHECKSUM = 32,
};

struct dlm_asked {
    bool ranged;        /* a Range was sent */
    int64_t start, end; /* [start, end); end -1: to the end of the file */
    bool conditional;   /* with If-Range */
    bool can_reask; /* this URL came from a redirect, and the given URL was not asked again since */
};

struct dlm_have {
    bool first;    /* nothing is recorded of this generation yet: the fields below do not count */
    int64_t total; /* recorded; -1 unknown */
    int64_t bytes; /* that are present */
    const char *validator; /* recorded; NULL none */
    const char *offered;   /* the digest that the server sent with it, recorded; NULL none */
    bool digest_given;     /* by the caller: it decides at the end */
    bool other_source; /* the validator was recorded from another mirror than the one that answers */
};

struct dlm_rules {
    int64_t max_size; /* of the task; 0: no limit */
    bool require_length;
    int64_t file_bytes, retry_after_ms; /* at most: the owner's limits */
};

/* No rules of a task. bounds NULL: the normal ones. */
struct dlm_rules dlm_rules_of(const struct dlm_bounds *bounds);
/* The smaller of max_size and file_bytes, and its name (ret_name may be NULL). */
int64_t dlm_rules_most(const struct dlm_rules *rules, const char **ret_name);

struct dlm_verdict {
    enum dlm_action action;
    int class_; /* enum dlmgr_class; DLMGR_CLASS_NONE for TAKE, COMPLETE and REDIRECT */
    int code;  /* enum dlm_exit: what the task's error will be if it ends here; 0 for those three */
    int stage; /* enum dlmgr_stage, as class_ */

    /* TAKE, and RESTART with usable */
    int64_t offset;
    int64_t length; /* bytes that the body brings to us; -1 unknown */
    int64_t total;  /* of the file; -1 unknown */
    bool overlong;  /* the body goes on past length: stop there and drop the connection */
    bool ranges;    /* more of it may be asked for by ranges, on more connections */
    bool unverified; /* only the end of the connection, or of the stream, will tell where the body ends */

    /* RESTART */
    bool usable;
    bool changed; /* it is another version; false: the same or unknown, but it cannot be continued by ranges here */

    bool given_url;  /* REASK */
    int64_t wait_ms; /* WAIT: clamped Retry-After; -1 backoff */
    char text[256]; /* for people: what it means and the remedy; "" for TAKE, COMPLETE and REDIRECT */
};

/* The table. rules NULL: the normal ones. */
void dlm_verdict_answer(const struct dlm_asked *asked, const struct dlm_have *have,
                        const struct dlm_rules *rules, const struct dlm_answer *answer,
                        struct dlm_verdict *ret);

/* May what is recorded be continued by a range? With If-Range when the validator is strong; by digest alone without. */
bool dlm_may_continue(const struct dlm_have *have);

/* What ended a transfer when libcurl said so. */
struct dlm_trouble {
    int curl;           /* CURLcode, not CURLE_OK */
    int os_errno;       /* CURLINFO_OS_ERRNO, or 0 */
    int proxy_status;   /* CURLINFO_HTTP_CONNECTCODE, or 0 */
    const char *detail; /* CURLOPT_ERRORBUFFER, may be "" or NULL */
    int reached;        /* enum dlmgr_stage: where it was, for codes that may come anywhere */
    const char *tls; /* what is wrong with the certificate, instead of the table's words and detail; NULL: nothing that is known */
};

/* How far a request has come, by libcurl's clock: us since it began, 0 not yet. */
struct dlm_reached {
    bool tls; /* there is TLS between connected and ready */
    int64_t resolved, connected, ready, sent;
};
int dlm_verdict_reached(const struct dlm_reached *r);

/* WAIT or FAIL with class, code, stage and text. */
void dlm_verdict_curl(const struct dlm_trouble *trouble, struct dlm_verdict *ret);

/* "404 Not Found"; the number alone for codes that have no name. */
void dlm_status_text(int status, char out[64]);

#endif
