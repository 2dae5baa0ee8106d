/* SPDX-License-Identifier: MIT */
/*
 * transfer_internal.h - what the files of a transfer share: transfer.c (asking, following, its life), transfer_body.c (bytes), transfer_end.c (how it ended).
 */
#ifndef DLM_TRANSFER_INTERNAL_H
#define DLM_TRANSFER_INTERNAL_H

#include "dlmgr/transfer.h"

static inline bool dlm_transfer_is_ours(const struct dlm_transfer *t)
{
    return t->verdict.action == DLM_TAKE || (t->verdict.action == DLM_RESTART && t->verdict.usable);
}

static inline int64_t dlm_transfer_bound(const struct dlm_transfer *t, enum dlm_bound which)
{
    return t->env->bounds.of[which];
}

/* us since the request began; 0: not reached, or on a connection that is used again. */
static inline int64_t dlm_transfer_reached_at(CURL *easy, CURLINFO what)
{
    curl_off_t us = 0;

    curl_easy_getinfo(easy, what, &us);
    return us;
}

/* Only the end of the connection will tell where the body ends. */
static inline bool dlm_transfer_ends_with_connection(const struct dlm_transfer *t)
{
    return t->answer.content_length < 0 && !t->answer.chunked && t->answer.http_version < 20;
}

/* Where our bytes end: with our range, or before; -1: where the body does. */
static inline int64_t dlm_transfer_end_of(const struct dlm_transfer *t)
{
    bool shorter = t->segment.end >= 0 && (t->stop < 0 || t->segment.end < t->stop);

    return shorter ? t->segment.end : t->stop;
}

/* ---- transfer.c ---------------------------------------------------------------------------------- */

/* Once, when the header is complete. */
void dlm_transfer_judge(struct dlm_transfer *t);
/* The connection is libcurl's again. */
void dlm_transfer_give_back(struct dlm_transfer *t);
/* What a proxy said to CONNECT, when that was no: not the server's word, so never a redirect to follow. 0: nothing such. */
int dlm_transfer_proxy_refusal(const struct dlm_transfer *t);

/* ---- transfer_body.c ----------------------------------------------------------------------------- */

/* CURLOPT_WRITEFUNCTION. */
size_t dlm_transfer_on_body(char *data, size_t size, size_t n, void *context);
/* It waits for no rate any more, and for no turn to end. */
void dlm_transfer_unhold(struct dlm_transfer *t);
void dlm_transfer_unjoin(struct dlm_transfer *t);

/* ---- transfer_end.c ------------------------------------------------------------------------------ */

/* Each says `ended`. A body of ours has come to its end, and what was held is written: */
void dlm_transfer_conclude(struct dlm_transfer *t);
/* it ended before it was ours: */
void dlm_transfer_refuse(struct dlm_transfer *t);
/* we do not go on: */
void dlm_transfer_fail(struct dlm_transfer *t, int class_, int code, int stage, const char *text);

#endif
