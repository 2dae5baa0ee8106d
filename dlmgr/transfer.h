/* SPDX-License-Identifier: MIT */
/*
 * transfer.h - one GET: from a URL and a range to bytes in a part, or to a verdict why not.
 *
 * A transfer follows redirects by itself and reads the answer's header. At the first byte of the body (or its end, when there is none) it
 * asks verdict.h once. A body that is ours waits, at most 64 KiB of it in memory and the rest in the kernel, until its owner calls
 * dlm_transfer_go(): by then the journal knows the generation and the part exists. Any other body becomes the excerpt of an error.
 *
 *     start -> (redirects) -> judged -> go -> bytes -> ended
 *                                \____________________/  not ours
 *
 * `judged` and the writing of bytes happen inside libcurl's callbacks: the owner must not start, stop or free transfers there. `ended`
 * comes outside of them, once, after which the transfer is the owner's to free.
 */
#ifndef DLM_TRANSFER_H
#define DLM_TRANSFER_H

#include "dlmgr/evidence.h"
#include "dlmgr/fetch.h"
#include "dlmgr/limit.h"
#include "dlmgr/sink.h"
#include "dlmgr/target.h"
#include "dlmgr/verdict.h"

/* What all transfers of an engine share. */
struct dlm_transfers {
    struct dlm_fetch *fetch;
    struct dlm_slots *slots;
    struct dlm_bounds bounds;
    struct dlm_bucket all;       /* --limit-rate of the owner */
    const bool *hold;            /* true: the journal cannot commit, so no more bytes come in */
    uv_timer_t refill;           /* lets those go on that a bucket held back */
    struct dlm_transfer *paused; /* by `all`, their own bucket, or hold */
    struct dlm_transfer *joined; /* with bytes to write before this turn of libcurl ends */
};

int dlm_transfers_init(struct dlm_transfers *env, uv_loop_t *loop, struct dlm_fetch *fetch,
                       struct dlm_slots *slots, int64_t limit_rate, const struct dlm_bounds *bounds);
void dlm_transfers_stop(struct dlm_transfers *env);

struct dlm_transfer;

struct dlm_transfer_ops {
    /* What is recorded and present at this moment; strings are borrowed until judging ends. */
    void (*have)(struct dlm_transfer *t, struct dlm_have *ret);
    /* The body is ours (TAKE, or RESTART with usable): owes a dlm_transfer_go(). */
    void (*judged)(struct dlm_transfer *t);
    /* The connection is free again, though bytes may still wait for go(): another task may use it. */
    void (*over)(struct dlm_transfer *t);
    /* It has ended: see result. */
    void (*ended)(struct dlm_transfer *t);
    /* Bytes were written to the sink. */
    void (*wrote)(struct dlm_transfer *t, size_t n);
};

struct dlm_transfer {
    struct dlm_fetching fetching;
    struct dlm_transfers *env;
    const struct dlm_transfer_ops *ops;
    void *owner;
    bool connected; /* the owner's own */
    bool unwanted;  /* set by the owner in `judged`: end it, though its body would be ours */

    /* Set by the owner before start. */
    const struct dlm_opts *opts;
    size_t source;             /* index into opts->urls */
    struct dlm_bucket *bucket; /* of the task */
    struct dlm_rules rules;
    char *validator;            /* to ask with If-Range; owned; NULL none */
    struct dlm_segment segment; /* end may shrink while it runs; end -1: to the end of the file */
    struct dlm_asked asked;

    /* Where it is. */
    struct dlm_url given, at;
    struct dlm_target target;
    int hops, n_asked;
    uint64_t asked_urls[DLM_REDIRECTS_MOST + 1]; /* since the given one */
    bool afresh;                                 /* over a connection of its own */
    bool reasked;                                /* the given URL was asked once more already */
    struct dlm_answer answer;
    char trouble[CURL_ERROR_SIZE];
    int64_t asked_at; /* mono ms */
    bool judged, going, over, cut, oversize;
    enum dlm_late {
        DLM_LATE_NOT,
        DLM_LATE_ANSWER,
        DLM_LATE_BODY
    } late; /* given up for its slowness */
    struct dlm_pace pace;
    int64_t stop; /* pos to stop at; -1: where the body ends */
    char *held;   /* before go(): what came so far; then what came in this turn */
    size_t n_held;
    bool waits; /* paused until go() */
    struct dlm_writer writer;
    struct dlm_transfer *next_paused, *next_joined;
    bool in_paused, in_joined;
    int64_t received;                                  /* body bytes, for the speed */
    int64_t dns_us, connect_us, tls_us, first_byte_us; /* of its requests, once they have ended */

    /* At the end. */
    struct dlm_verdict
        verdict; /* as judged; then as it ended: TAKE or COMPLETE: all that was asked for is in the part */
    CURLcode code;
    int disk_errno; /* not 0: writing failed */
    int status;     /* of the answer, or of a proxy's to CONNECT; 0 none */
    struct dlm_tls *tls;
    enum dlm_tls_check check; /* of its certificates that failed */
    json_t *evidence; /* of one that did not bring what was asked for; NULL: none, or no memory */
};

/*
 * Asks for the segment. `at` NULL: begin at the given URL, else at this one, which redirects led to before (taken over). Owned by the caller, who frees it after
 * `ended` or dlm_transfer_stop(). On failure `ended` is not called.
 */
int dlm_transfer_start(struct dlm_transfer *t, struct dlm_url *at, dlmgr_error *e);
/* The generation is durable and the part is there: write what is held, go on. generation: for the slot. */
void dlm_transfer_go(struct dlm_transfer *t, struct dlm_sink *sink, int64_t task,
                     int64_t generation);
/* Once a second or so: true when it was too slow, so that it has been ended just now, `ended` and all. Not from a libcurl callback. */
bool dlm_transfer_tick(struct dlm_transfer *t, int64_t now);
/* End it without a word; bytes that are written stay. Not from a libcurl callback. */
void dlm_transfer_stop(struct dlm_transfer *t);
struct dlm_transfer *dlm_transfer_free(struct dlm_transfer *t);

#endif
