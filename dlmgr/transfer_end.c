/* SPDX-License-Identifier: MIT */
/*
 * transfer_end.c - how a transfer ended, in the words of a verdict, and the evidence for it: see transfer.h.
 */
#include "dlmgr/transfer_internal.h"

#include "dlmgr/proxy.h"

#include <stdio.h>

static void verdict_set(struct dlm_transfer *t, enum dlm_action action, int class_, int code,
                        int stage, const char *text)
{
    t->verdict = (struct dlm_verdict){.action = action,
                                      .class_ = class_,
                                      .code = code,
                                      .stage = stage,
                                      .length = -1,
                                      .total = -1,
                                      .wait_ms = -1};
    snprintf(t->verdict.text, sizeof(t->verdict.text), "%s", text);
}

static int stage_of(const struct dlm_transfer *t)
{
    CURL *easy = t->fetching.easy;
    struct dlm_reached r = {.tls = t->at.https,
                            .resolved = dlm_transfer_reached_at(easy, CURLINFO_NAMELOOKUP_TIME_T),
                            .connected = dlm_transfer_reached_at(easy, CURLINFO_CONNECT_TIME_T),
                            .ready = dlm_transfer_reached_at(easy, CURLINFO_APPCONNECT_TIME_T),
                            .sent = dlm_transfer_reached_at(easy, CURLINFO_PRETRANSFER_TIME_T)};

    return dlm_verdict_reached(&r);
}

/* body: what is held is the beginning of an answer, and not of the file. */
static struct dlm_scene scene_of(struct dlm_transfer *t, bool body)
{
    return (struct dlm_scene){.easy = t->fetching.easy,
                              .opts = t->opts,
                              .referred = t->target.referred,
                              .at = &t->at,
                              .proxy = dlm_proxy_choose(t->opts, &t->at),
                              .tried = &t->target.tried,
                              .tls = t->tls,
                              .check = t->check,
                              .detail = t->trouble,
                              .body = body && t->n_held ? t->held : NULL,
                              .n_body = t->n_held,
                              .most_body = (size_t)dlm_transfer_bound(t, DLM_BOUND_EXCERPT)};
}

static void say_late(struct dlm_transfer *t)
{
    if (t->late == DLM_LATE_ANSWER)
        snprintf(t->verdict.text, sizeof(t->verdict.text), "no answer within answer-time (%lld s)",
                 (long long)dlm_transfer_bound(t, DLM_BOUND_ANSWER_TIME));
    else
        snprintf(t->verdict.text, sizeof(t->verdict.text),
                 "slower than low-speed (%lld bytes/s) over low-speed-time (%lld s)",
                 (long long)dlm_transfer_bound(t, DLM_BOUND_LOW_SPEED),
                 (long long)dlm_transfer_bound(t, DLM_BOUND_LOW_SPEED_TIME));
}

/* What libcurl says about an end that was not ours. */
static void judge_trouble(struct dlm_transfer *t)
{
    struct dlm_trouble trouble = {.curl = (int)t->code, .detail = t->trouble};
    char says[256];
    long os_errno = 0;

    if (t->fetching.easy) {
        curl_easy_getinfo(t->fetching.easy, CURLINFO_OS_ERRNO, &os_errno);
        trouble.reached = stage_of(t);
    }
    if (t->trouble[0]) {
        struct dlm_scene scene = scene_of(t, false);

        dlm_scene_words(&scene, t->trouble, sizeof(t->trouble));
    }
    trouble.os_errno = os_errno ? (int)os_errno : t->target.socket_errno;
    trouble.proxy_status = dlm_transfer_proxy_refusal(t);
    t->check = dlm_tls_check(t->tls, (int)t->code, t->trouble);
    trouble.tls = dlm_tls_says(t->tls, t->check, says) ? says : NULL;
    dlm_verdict_curl(&trouble, &t->verdict);
    if (t->late)
        say_late(t);
    t->status = trouble.proxy_status;
}

static void gather_evidence(struct dlm_transfer *t, bool body)
{
    struct dlm_scene scene = scene_of(t, body);

    json_decref(t->evidence);
    t->evidence = dlm_evidence(&scene);
}

/* Whoever is on the way can end a connection, but not say so in the server's name. */
static bool was_cut_off(const struct dlm_transfer *t)
{
    return t->at.https && dlm_transfer_ends_with_connection(t) && !dlm_tls_ended(t->tls);
}

static bool all_came(const struct dlm_transfer *t)
{
    int64_t end = dlm_transfer_end_of(t);

    return end < 0 ? t->code == CURLE_OK && !was_cut_off(t) : t->segment.pos >= end;
}

static void say_oversize(struct dlm_transfer *t)
{
    const char *name;
    int64_t most = dlm_rules_most(&t->rules, &name);
    char text[100];

    snprintf(text, sizeof(text), "the file is larger than %s allows (%lld)", name, (long long)most);
    verdict_set(t, DLM_FAIL, DLMGR_CLASS_POLICY, DLM_EXIT_HTTP, DLMGR_STAGE_RECEIVE, text);
}

static void say_flooded(struct dlm_transfer *t)
{
    bool lines = (int64_t)t->answer.lines > t->answer.most_lines;
    enum dlm_bound which = lines ? DLM_BOUND_HEADER_LINES : DLM_BOUND_HEADER_BYTES;
    char text[100];

    snprintf(text, sizeof(text), "the answer's header is longer than %s allows (%lld)",
             dlm_bound_name(which), (long long)dlm_transfer_bound(t, which));
    verdict_set(t, DLM_FAIL, DLMGR_CLASS_PERMANENT, DLM_EXIT_HTTP, DLMGR_STAGE_RECEIVE, text);
}

/* A body of ours has come to its end, and what was held is written. */
void dlm_transfer_conclude(struct dlm_transfer *t)
{
    dlm_writer_stop(&t->writer, t->env->slots);
    if (t->disk_errno)
        verdict_set(t, DLM_WAIT, DLMGR_CLASS_LOCAL, DLM_EXIT_IO, DLMGR_STAGE_WRITE,
                    strerror(t->disk_errno));
    else if (t->oversize)
        say_oversize(t);
    else if (all_came(t))
        t->verdict.action = DLM_TAKE;
    else if (t->code == CURLE_OK)
        verdict_set(t, DLM_WAIT, DLMGR_CLASS_TRANSIENT, DLM_EXIT_NETWORK, DLMGR_STAGE_RECEIVE,
                    was_cut_off(t)
                        ? "the connection was cut off: TLS did not say that this is the end"
                        : "the answer ended too early");
    else
        judge_trouble(t);
    if (t->verdict.action != DLM_TAKE)
        gather_evidence(t, false);
    dlm_transfer_give_back(t);
    t->ops->ended(t);
}

/* Ended before it was ours. */
void dlm_transfer_refuse(struct dlm_transfer *t)
{
    if (t->target.refused)
        verdict_set(t, DLM_FAIL, DLMGR_CLASS_POLICY, DLM_EXIT_NETWORK, DLMGR_STAGE_CONNECT,
                    "the address is private, and --block-private is set");
    else if (!t->judged && t->answer.no_memory)
        verdict_set(t, DLM_WAIT, DLMGR_CLASS_LOCAL, DLM_EXIT_UNKNOWN, DLMGR_STAGE_RECEIVE,
                    "out of memory");
    else if (!t->judged && t->answer.flooded)
        say_flooded(t);
    else if (!t->judged && t->code == CURLE_OK)
        verdict_set(t, DLM_WAIT, DLMGR_CLASS_TRANSIENT, DLM_EXIT_NETWORK, DLMGR_STAGE_RECEIVE,
                    "the connection ended within the answer's header");
    else if (!t->judged)
        judge_trouble(t);
    if (t->verdict.action != DLM_COMPLETE)
        gather_evidence(t, t->judged);
    dlm_transfer_give_back(t);
    t->ops->ended(t);
}

void dlm_transfer_fail(struct dlm_transfer *t, int class_, int code, int stage, const char *text)
{
    verdict_set(t, DLM_FAIL, class_, code, stage, text);
    gather_evidence(t, t->judged);
    dlm_transfer_give_back(t);
    t->ops->ended(t);
}
