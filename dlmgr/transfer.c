/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - one GET: see transfer.h.
 *
 * Two callbacks of libcurl bring everything in: on_header feeds headers.h, dlm_transfer_on_body asks the verdict once and then either writes, holds
 * or keeps an excerpt. on_done decides how it ended. libcurl's own redirects, resume and rate limits are not used.
 */
#include "dlmgr/transfer_internal.h"

#include <stdio.h>

/* ---- The answer ---------------------------------------------------------------------------------- */

void dlm_transfer_judge(struct dlm_transfer *t)
{
    struct dlm_have have = {0};

    t->judged = true;
    t->status = t->answer.status;
    t->asked.can_reask = t->hops > 0 && !t->reasked;
    t->ops->have(t, &have);
    dlm_verdict_answer(&t->asked, &have, &t->rules, &t->answer, &t->verdict);
    if (!dlm_transfer_is_ours(t))
        return;
    t->segment.start = t->segment.pos = t->verdict.offset;
    t->stop = t->verdict.length < 0 ? -1 : t->verdict.offset + t->verdict.length;
    if (t->verdict.action == DLM_RESTART || !t->asked.ranged || t->segment.end < 0)
        t->segment.end = t->stop;
    t->ops->judged(t);
}

static size_t on_header(char *data, size_t size, size_t n, void *context)
{
    struct dlm_transfer *t = context;

    if (t->judged)
        return size * n; /* trailers */
    if (dlm_answer_line(&t->answer, data, size * n) < 0)
        return 0;
    if (t->answer.complete && t->at.https && dlm_transfer_ends_with_connection(t))
        dlm_tls_adopt(t->fetching.easy, &t->tls);
    /* libcurl would wait for what comes after it. */
    return t->answer.complete && t->answer.status == 101 ? 0 : size * n;
}

/* ---- Asking --------------------------------------------------------------------------------------- */

/* What is 0 was not reached; a connection that is used again has none of the first three. */
static void note_times(struct dlm_transfer *t)
{
    CURL *easy = t->fetching.easy;
    int64_t resolved = dlm_transfer_reached_at(easy, CURLINFO_NAMELOOKUP_TIME_T),
            connected = dlm_transfer_reached_at(easy, CURLINFO_CONNECT_TIME_T),
            ready = dlm_transfer_reached_at(easy, CURLINFO_APPCONNECT_TIME_T),
            sent = dlm_transfer_reached_at(easy, CURLINFO_PRETRANSFER_TIME_T),
            first = dlm_transfer_reached_at(easy, CURLINFO_STARTTRANSFER_TIME_T);

    t->dns_us += resolved;
    t->connect_us += MAX(connected - resolved, 0);
    t->tls_us += MAX(ready - connected, 0);
    t->first_byte_us += MAX(first - sent, 0);
}

void dlm_transfer_give_back(struct dlm_transfer *t)
{
    if (!t->fetching.easy)
        return;
    note_times(t);
    dlm_fetch_remove(t->env->fetch, &t->fetching);
    if (t->target.tainted)
        curl_easy_cleanup(TAKE_PTR(t->fetching.easy));
    else
        dlm_fetch_keep(t->env->fetch, TAKE_PTR(t->fetching.easy));
    dlm_target_clear(&t->target);
}

static int set_range(struct dlm_transfer *t)
{
    char range[64];

    t->asked.ranged = t->segment.start > 0 || t->asked.ranged;
    t->asked.start = t->segment.start;
    t->asked.end = t->segment.end;
    if (!t->asked.ranged)
        return 0;
    if (t->segment.end >= 0)
        snprintf(range, sizeof(range), "%lld-%lld", (long long)t->segment.start,
                 (long long)t->segment.end - 1);
    else
        snprintf(range, sizeof(range), "%lld-", (long long)t->segment.start);
    return curl_easy_setopt(t->fetching.easy, CURLOPT_RANGE, range) == CURLE_OK ? 0 : DLMGR_ENOMEM;
}

/* One request to t->at. */
static int ask(struct dlm_transfer *t, dlmgr_error *e)
{
    const char *if_range;
    CURL *easy;
    int r;

    t->judged = t->cut = t->waits = false;
    t->check = DLM_TLS_NONE;
    t->n_held = 0;
    free(TAKE_PTR(t->held));
    t->trouble[0] = '\0';
    if (t->n_asked <= DLM_REDIRECTS_MOST)
        t->asked_urls[t->n_asked++] = dlm_url_hash(&t->at);
    t->fetching.easy = easy = dlm_fetch_easy(t->env->fetch);
    if (!easy || set_range(t) < 0)
        return dlm_fail(e, DLMGR_ENOMEM, "no memory for a request");
    if_range = t->asked.ranged && dlm_validator_is_strong(t->validator) ? t->validator : NULL;
    t->asked.conditional = if_range != NULL;
    r = dlm_target_set(easy, t->opts, t->source, &t->given, &t->at, if_range, &t->target, e);
    if (r < 0)
        return r;
    t->target.fetch = t->env->fetch;
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long)t->afresh);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT,
                     (long)dlm_transfer_bound(t, DLM_BOUND_CONNECT_TIME));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->trouble);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, dlm_transfer_on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    dlm_tls_watch(easy, &t->tls);
    dlm_answer_reset(&t->answer, dlm_clock_wall(), &t->env->bounds);
    t->asked_at = dlm_clock_mono();
    t->late = DLM_LATE_NOT;
    t->pace = (struct dlm_pace){0};
    r = dlm_fetch_add(t->env->fetch, &t->fetching);
    return r < 0 ? dlm_fail(e, r, "libcurl does not take the request") : 0;
}

int dlm_transfer_proxy_refusal(const struct dlm_transfer *t)
{
    long status = 0;

    if (t->fetching.easy)
        curl_easy_getinfo(t->fetching.easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status >= 300 ? (int)status : 0;
}

/* ---- Ending ---------------------------------------------------------------------------------------- */

static void ask_again(struct dlm_transfer *t)
{
    dlmgr_error e = {0};

    dlm_transfer_give_back(t);
    if (ask(t, &e) < 0)
        dlm_transfer_fail(t, e.class_ ? e.class_ : DLMGR_CLASS_LOCAL,
                          e.class_ == DLMGR_CLASS_NEEDS_AUTH ? DLM_EXIT_AUTH : DLM_EXIT_UNKNOWN,
                          DLMGR_STAGE_NONE, e.text);
}

/* Nothing of a request depends on the answers before it, so the same URL is the same request. */
static bool was_asked(const struct dlm_transfer *t, const struct dlm_url *url)
{
    uint64_t hash = dlm_url_hash(url);

    for (int i = 0; i < t->n_asked; i++)
        if (t->asked_urls[i] == hash)
            return true;
    return false;
}

static void follow(struct dlm_transfer *t)
{
    struct dlm_url CLEANUP(dlm_url_clear) next = {0};
    int64_t most = dlm_transfer_bound(t, DLM_BOUND_REDIRECTS);
    dlmgr_error e = {0};

    if (t->hops++ >= most) {
        dlm_fail(&e, DLMGR_ELIMIT, "more redirects than redirects allows (%lld)", (long long)most);
        return dlm_transfer_fail(t, DLMGR_CLASS_PERMANENT, DLM_EXIT_REDIRECTS, DLMGR_STAGE_RECEIVE,
                                 e.text);
    }
    if (dlm_url_redirect(&t->at, t->answer.location, &next, &e) < 0)
        return dlm_transfer_fail(t, DLMGR_CLASS_POLICY, DLM_EXIT_HTTP, DLMGR_STAGE_RECEIVE, e.text);
    if (was_asked(t, &next))
        return dlm_transfer_fail(t, DLMGR_CLASS_PERMANENT, DLM_EXIT_REDIRECTS, DLMGR_STAGE_RECEIVE,
                                 "a redirect loop: it leads to a URL that was asked before");
    dlm_url_clear(&t->at);
    t->at = next;
    next = (struct dlm_url){0};
    ask_again(t);
}

/* Nothing was asked yet: the same once more, over a connection of its own. */
static void ask_afresh(struct dlm_transfer *t)
{
    t->n_asked--;
    t->afresh = true;
    ask_again(t);
    t->afresh = false;
}

static void reask(struct dlm_transfer *t)
{
    struct dlm_url at;

    if (dlm_url_copy(&t->given, &at) < 0)
        return dlm_transfer_fail(t, DLMGR_CLASS_LOCAL, DLM_EXIT_UNKNOWN, DLMGR_STAGE_NONE,
                                 "out of memory");
    dlm_url_clear(&t->at);
    t->at = at;
    t->hops = t->n_asked = 0;
    t->reasked = true;
    ask_again(t);
}

/* Is the header all that the verdict needs, though no body came, or libcurl did not get along with it? */
static bool says_enough(const struct dlm_transfer *t, CURLcode code)
{
    const struct dlm_answer *a = &t->answer;

    if (t->judged || !a->complete || t->target.refused || dlm_transfer_proxy_refusal(t))
        return false;
    return code == CURLE_OK || a->status >= 300 || a->status == 101 || a->transfer_coded;
}

static void on_done(struct dlm_fetching *f, CURLcode code)
{
    struct dlm_transfer *t = container_of(f, struct dlm_transfer, fetching);

    t->code = code;
    dlm_transfer_unhold(t);
    if (t->target.spoiled)
        return ask_afresh(t);
    if (says_enough(t, code))
        dlm_transfer_judge(t);
    if (t->judged && t->verdict.action == DLM_REDIRECT)
        return follow(t);
    if (t->judged && t->verdict.action == DLM_REASK && t->verdict.given_url)
        return reask(t);
    t->over = true;
    t->ops->over(t);
    if (!t->judged || !dlm_transfer_is_ours(t))
        return dlm_transfer_refuse(t);
    if (t->unwanted) {
        dlm_transfer_give_back(t);
        t->ops->ended(t);
    } else if (t->going) {
        dlm_transfer_conclude(t);
    }
}

/* ---- Too slow ------------------------------------------------------------------------------------------ */

static bool answer_is_late(const struct dlm_transfer *t, int64_t now)
{
    int64_t sent_us = dlm_transfer_reached_at(t->fetching.easy, CURLINFO_PRETRANSFER_TIME_T);

    return sent_us > 0 &&
           now - t->asked_at - sent_us / 1000 > dlm_transfer_bound(t, DLM_BOUND_ANSWER_TIME) * 1000;
}

static enum dlm_late lateness(struct dlm_transfer *t, int64_t now)
{
    bool answered = t->judged || (t->answer.complete && t->answer.status >= 200),
         held = t->in_paused || t->waits || *t->env->hold;
    int64_t came = t->judged && !dlm_transfer_is_ours(t) ? (int64_t)t->n_held : t->received;

    if (!answered)
        return answer_is_late(t, now) ? DLM_LATE_ANSWER : DLM_LATE_NOT;
    return dlm_pace_is_slow(&t->pace, came, held, dlm_transfer_bound(t, DLM_BOUND_LOW_SPEED),
                            dlm_transfer_bound(t, DLM_BOUND_LOW_SPEED_TIME), now)
               ? DLM_LATE_BODY
               : DLM_LATE_NOT;
}

bool dlm_transfer_tick(struct dlm_transfer *t, int64_t now)
{
    if (!t->fetching.active || !(t->late = lateness(t, now)))
        return false;
    dlm_fetch_remove(t->env->fetch, &t->fetching);
    on_done(&t->fetching, CURLE_OPERATION_TIMEDOUT);
    return true;
}

/* ---- The owner's side -------------------------------------------------------------------------------- */

int dlm_transfer_start(struct dlm_transfer *t, struct dlm_url *at, dlmgr_error *e)
{
    int r = dlm_url_parse(t->opts->urls[t->source], &t->given, e);

    t->fetching.done = on_done;
    t->stop = -1;
    if (r == 0 && at) {
        t->at = *at;
        *at = (struct dlm_url){0};
        t->hops = 1;
    } else if (r == 0 && dlm_url_copy(&t->given, &t->at) < 0) {
        r = dlm_fail(e, DLMGR_ENOMEM, "no memory for a request");
    }
    if (r == 0)
        r = ask(t, e);
    if (r < 0)
        dlm_transfer_give_back(t);
    return r;
}

void dlm_transfer_stop(struct dlm_transfer *t)
{
    dlm_transfer_unhold(t);
    dlm_transfer_unjoin(t);
    if (t->going)
        dlm_writer_stop(&t->writer, t->env->slots);
    t->going = false;
    dlm_transfer_give_back(t);
}

struct dlm_transfer *dlm_transfer_free(struct dlm_transfer *t)
{
    if (!t)
        return NULL;
    dlm_transfer_stop(t);
    dlm_url_clear(&t->given);
    dlm_url_clear(&t->at);
    dlm_answer_clear(&t->answer);
    dlm_tls_drop(&t->tls);
    json_decref(t->evidence);
    free(t->validator);
    free(t->held);
    free(t);
    return NULL;
}
