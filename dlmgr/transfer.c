/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - one GET: see transfer.h.
 *
 * Two callbacks of libcurl bring everything in: on_header feeds headers.h, on_body asks the verdict once and then either writes, holds
 * or keeps an excerpt. on_done decides how it ended. libcurl's own redirects, resume and rate limits are not used.
 *
 * A body is stopped at `stop`: where our range ends, where an over-long answer goes beyond it, or where another connection took over the
 * rest. Stopping in the middle means that the connection is lost, for HTTP/1.1 knows no other way.
 *
 * libcurl reads up to 512 KiB at a time and hands them over in pieces of 16. Those are joined to pieces of 64 KiB, as the part is written; what is
 * left of them is written before that turn of libcurl ends, so nothing that came waits for what comes next.
 */
#include "dlmgr/transfer.h"

#include "dlmgr/proxy.h"

#include <stdio.h>

#define REFILL_MS 25

/* ---- Holding back ------------------------------------------------------------------------------ */

static bool may_flow(struct dlm_transfer *t, int64_t now)
{
    /* Both are asked, so that both fill. */
    bool all = dlm_bucket_open(&t->env->all, now),
         own = !t->bucket || dlm_bucket_open(t->bucket, now);

    return all && own && !*t->env->hold;
}

static void on_refill(uv_timer_t *timer)
{
    struct dlm_transfers *env = container_of(timer, struct dlm_transfers, refill);
    struct dlm_transfer *list = env->paused;
    int64_t now = dlm_clock_mono();

    env->paused = NULL;
    while (list) {
        struct dlm_transfer *t = list;

        list = t->next_paused;
        t->in_paused = false;
        if (may_flow(t, now)) {
            dlm_fetch_unpause(env->fetch, &t->fetching);
        } else {
            t->next_paused = env->paused;
            t->in_paused = true;
            env->paused = t;
        }
    }
    if (!env->paused)
        uv_timer_stop(timer);
}

static void hold_back(struct dlm_transfer *t)
{
    struct dlm_transfers *env = t->env;

    if (t->in_paused)
        return;
    t->next_paused = env->paused;
    t->in_paused = true;
    env->paused = t;
    if (!uv_is_active((uv_handle_t *)&env->refill))
        uv_timer_start(&env->refill, on_refill, REFILL_MS, REFILL_MS);
}

static void let_go(struct dlm_transfer *t)
{
    struct dlm_transfer **at = &t->env->paused;

    while (t->in_paused && *at != t)
        at = &(*at)->next_paused;
    if (t->in_paused)
        *at = t->next_paused;
    t->in_paused = false;
}

static void on_turned(void *context);

int dlm_transfers_init(struct dlm_transfers *env, uv_loop_t *loop, struct dlm_fetch *fetch,
                       struct dlm_slots *slots, int64_t limit_rate, const struct dlm_bounds *bounds)
{
    static const bool never;

    *env = (struct dlm_transfers){.fetch = fetch, .slots = slots, .bounds = *bounds, .hold = &never};
    dlm_bucket_set(&env->all, limit_rate, dlm_clock_mono());
    dlm_fetch_turned(fetch, on_turned, env);
    return uv_timer_init(loop, &env->refill) == 0 ? 0 : DLMGR_ENOMEM;
}

void dlm_transfers_stop(struct dlm_transfers *env)
{
    uv_close((uv_handle_t *)&env->refill, NULL);
}

/* ---- Judging ----------------------------------------------------------------------------------- */

static bool ours(const struct dlm_transfer *t)
{
    return t->verdict.action == DLM_TAKE || (t->verdict.action == DLM_RESTART && t->verdict.usable);
}

static void judge(struct dlm_transfer *t)
{
    struct dlm_have have = {0};

    t->judged = true;
    t->status = t->answer.status;
    t->asked.can_reask = t->hops > 0 && !t->reasked;
    t->ops->have(t, &have);
    dlm_verdict_answer(&t->asked, &have, &t->rules, &t->answer, &t->verdict);
    if (!ours(t))
        return;
    t->segment.start = t->segment.pos = t->verdict.offset;
    t->stop = t->verdict.length < 0 ? -1 : t->verdict.offset + t->verdict.length;
    if (t->verdict.action == DLM_RESTART || !t->asked.ranged || t->segment.end < 0)
        t->segment.end = t->stop;
    t->ops->judged(t);
}

/* ---- Bytes --------------------------------------------------------------------------------------- */

/* Fewer than came: libcurl ends the transfer with CURLE_WRITE_ERROR. */
static size_t end_body(bool *ret_why)
{
    *ret_why = true;
    return 0;
}

/* How much of len still belongs to us. */
static size_t wanted(const struct dlm_transfer *t, size_t len)
{
    int64_t end = t->stop;

    if (t->segment.end >= 0 && (end < 0 || t->segment.end < end))
        end = t->segment.end;
    return end < 0 ? len
                   : (size_t)MIN((int64_t)len, MAX(end - t->segment.pos - (int64_t)t->n_held, 0));
}

static bool write_bytes(struct dlm_transfer *t, const char *data, size_t len)
{
    int r = dlm_writer_write(&t->writer, data, len);

    t->segment.pos = t->writer.pos;
    if (r < 0)
        t->disk_errno = -r;
    t->ops->wrote(t, len);
    return r == 0;
}

/* No more than can come, and not zeroed: most files are small and many. */
static bool keep(struct dlm_transfer *t, const char *data, size_t len)
{
    int64_t most = ours(t) && t->verdict.length >= 0 ? t->verdict.length : INT64_MAX;
    size_t room = (size_t)MIN(most, (int64_t)DLM_HELD_MAX);

    if (!t->held && !(t->held = dlm_realloc(NULL, room)))
        return false;
    memcpy(t->held + t->n_held, data, len);
    t->n_held += len;
    return true;
}

static void let_out(struct dlm_transfer *t)
{
    struct dlm_transfer **at = &t->env->joined;

    while (t->in_joined && *at != t)
        at = &(*at)->next_joined;
    if (t->in_joined)
        *at = t->next_joined;
    t->in_joined = false;
}

/* With a disk that failed nothing more is taken. */
static bool write_held(struct dlm_transfer *t)
{
    size_t n = t->n_held;

    let_out(t);
    t->n_held = 0;
    return n == 0 || write_bytes(t, t->held, n);
}

static void on_turned(void *context)
{
    struct dlm_transfers *env = context;

    while (env->joined)
        write_held(env->joined);
}

/* Bytes of one that goes. */
static bool join(struct dlm_transfer *t, const char *data, size_t len)
{
    if (t->n_held + len > DLM_HELD_MAX && !write_held(t))
        return false;
    if (t->n_held == 0 && (len >= DLM_HELD_MAX || t->segment.pos + (int64_t)len == t->stop))
        return write_bytes(t, data, len);
    if (!keep(t, data, len))
        return false;
    if (!t->in_joined) {
        t->next_joined = t->env->joined;
        t->env->joined = t;
        t->in_joined = true;
    }
    return true;
}

static size_t keep_excerpt(struct dlm_transfer *t, const char *data, size_t len)
{
    size_t n = MIN(len, DLM_HELD_MAX - t->n_held);

    if (n && !keep(t, data, n))
        return 0;
    return n == len ? len : end_body(&t->cut);
}

static size_t take(struct dlm_transfer *t, const char *data, size_t len)
{
    size_t n = wanted(t, len);

    if (t->disk_errno || t->unwanted)
        return 0; /* what follows a gap must not be written */
    if (t->segment.pos + (int64_t)(t->n_held + n) > dlm_rules_most(&t->rules, NULL))
        return end_body(&t->oversize);
    if (!t->going && t->n_held + n > DLM_HELD_MAX) {
        t->waits = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!may_flow(t, dlm_clock_mono())) {
        hold_back(t);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (n && !(t->going ? join(t, data, n) : keep(t, data, n)))
        return 0;
    t->received += (int64_t)n;
    dlm_bucket_take(&t->env->all, (int64_t)n);
    if (t->bucket)
        dlm_bucket_take(t->bucket, (int64_t)n);
    return n == len ? len : end_body(&t->cut);
}

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
    struct dlm_transfer *t = context;

    if (!t->judged)
        judge(t);
    return ours(t) ? take(t, data, size * n) : keep_excerpt(t, data, size * n);
}

/* Only the end of the connection will tell where the body ends. */
static bool ends_with_connection(const struct dlm_transfer *t)
{
    return t->answer.content_length < 0 && !t->answer.chunked && t->answer.http_version < 20;
}

static size_t on_header(char *data, size_t size, size_t n, void *context)
{
    struct dlm_transfer *t = context;

    if (t->judged)
        return size * n; /* trailers */
    if (dlm_answer_line(&t->answer, data, size * n) < 0)
        return 0;
    if (t->answer.complete && t->at.https && ends_with_connection(t))
        dlm_tls_adopt(t->fetching.easy, &t->tls);
    /* libcurl would wait for what comes after it. */
    return t->answer.complete && t->answer.status == 101 ? 0 : size * n;
}

/* ---- Asking --------------------------------------------------------------------------------------- */

static int64_t reached_at(CURL *easy, CURLINFO what)
{
    curl_off_t us = 0;

    curl_easy_getinfo(easy, what, &us);
    return us;
}

/* What is 0 was not reached; a connection that is used again has none of the first three. */
static void note_times(struct dlm_transfer *t)
{
    CURL *easy = t->fetching.easy;
    int64_t resolved = reached_at(easy, CURLINFO_NAMELOOKUP_TIME_T),
            connected = reached_at(easy, CURLINFO_CONNECT_TIME_T),
            ready = reached_at(easy, CURLINFO_APPCONNECT_TIME_T),
            sent = reached_at(easy, CURLINFO_PRETRANSFER_TIME_T),
            first = reached_at(easy, CURLINFO_STARTTRANSFER_TIME_T);

    t->dns_us += resolved;
    t->connect_us += MAX(connected - resolved, 0);
    t->tls_us += MAX(ready - connected, 0);
    t->first_byte_us += MAX(first - sent, 0);
}

static void give_back(struct dlm_transfer *t)
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

static int64_t bound(const struct dlm_transfer *t, enum dlm_bound which)
{
    return t->env->bounds.of[which];
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
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)bound(t, DLM_BOUND_CONNECT_TIME));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->trouble);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    dlm_tls_watch(easy, &t->tls);
    dlm_answer_reset(&t->answer, dlm_clock_wall(), &t->env->bounds);
    t->asked_at = dlm_clock_mono();
    t->late = DLM_LATE_NOT;
    t->pace = (struct dlm_pace){0};
    r = dlm_fetch_add(t->env->fetch, &t->fetching);
    return r < 0 ? dlm_fail(e, r, "libcurl does not take the request") : 0;
}

/* What a proxy said to CONNECT, when that was no: not the server's word, so never a redirect to follow. 0: nothing such. */
static int proxy_refusal(const struct dlm_transfer *t)
{
    long status = 0;

    if (t->fetching.easy)
        curl_easy_getinfo(t->fetching.easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status >= 300 ? (int)status : 0;
}

/* ---- Ending ---------------------------------------------------------------------------------------- */

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
                            .resolved = reached_at(easy, CURLINFO_NAMELOOKUP_TIME_T),
                            .connected = reached_at(easy, CURLINFO_CONNECT_TIME_T),
                            .ready = reached_at(easy, CURLINFO_APPCONNECT_TIME_T),
                            .sent = reached_at(easy, CURLINFO_PRETRANSFER_TIME_T)};

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
                              .most_body = (size_t)bound(t, DLM_BOUND_EXCERPT)};
}

static void say_late(struct dlm_transfer *t)
{
    if (t->late == DLM_LATE_ANSWER)
        snprintf(t->verdict.text, sizeof(t->verdict.text), "no answer within answer-time (%lld s)",
                 (long long)bound(t, DLM_BOUND_ANSWER_TIME));
    else
        snprintf(t->verdict.text, sizeof(t->verdict.text),
                 "slower than low-speed (%lld bytes/s) over low-speed-time (%lld s)",
                 (long long)bound(t, DLM_BOUND_LOW_SPEED),
                 (long long)bound(t, DLM_BOUND_LOW_SPEED_TIME));
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
    trouble.proxy_status = proxy_refusal(t);
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
    return t->at.https && ends_with_connection(t) && !dlm_tls_ended(t->tls);
}

static bool all_came(const struct dlm_transfer *t)
{
    int64_t end = t->stop;

    if (t->segment.end >= 0 && (end < 0 || t->segment.end < end))
        end = t->segment.end;
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
             dlm_bound_name(which), (long long)bound(t, which));
    verdict_set(t, DLM_FAIL, DLMGR_CLASS_PERMANENT, DLM_EXIT_HTTP, DLMGR_STAGE_RECEIVE, text);
}

/* A body of ours has come to its end, and what was held is written. */
static void conclude(struct dlm_transfer *t)
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
    give_back(t);
    t->ops->ended(t);
}

/* Ended before it was ours. */
static void refuse(struct dlm_transfer *t)
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
    give_back(t);
    t->ops->ended(t);
}

static void fail(struct dlm_transfer *t, int class_, int code, int stage, const char *text)
{
    verdict_set(t, DLM_FAIL, class_, code, stage, text);
    gather_evidence(t, t->judged);
    give_back(t);
    t->ops->ended(t);
}

static void ask_again(struct dlm_transfer *t)
{
    dlmgr_error e = {0};

    give_back(t);
    if (ask(t, &e) < 0)
        fail(t, e.class_ ? e.class_ : DLMGR_CLASS_LOCAL,
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
    int64_t most = bound(t, DLM_BOUND_REDIRECTS);
    dlmgr_error e = {0};

    if (t->hops++ >= most) {
        dlm_fail(&e, DLMGR_ELIMIT, "more redirects than redirects allows (%lld)", (long long)most);
        return fail(t, DLMGR_CLASS_PERMANENT, DLM_EXIT_REDIRECTS, DLMGR_STAGE_RECEIVE, e.text);
    }
    if (dlm_url_redirect(&t->at, t->answer.location, &next, &e) < 0)
        return fail(t, DLMGR_CLASS_POLICY, DLM_EXIT_HTTP, DLMGR_STAGE_RECEIVE, e.text);
    if (was_asked(t, &next))
        return fail(t, DLMGR_CLASS_PERMANENT, DLM_EXIT_REDIRECTS, DLMGR_STAGE_RECEIVE,
                    "a redirect loop: it leads to a URL that was asked before");
    dlm_url_clear(&t->at);
    t->at = next;
    next = (struct dlm_url){0};
    ask_again(t);
}

static void reask(struct dlm_transfer *t)
{
    struct dlm_url at;

    if (dlm_url_copy(&t->given, &at) < 0)
        return fail(t, DLMGR_CLASS_LOCAL, DLM_EXIT_UNKNOWN, DLMGR_STAGE_NONE, "out of memory");
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

    if (t->judged || !a->complete || t->target.refused || proxy_refusal(t))
        return false;
    return code == CURLE_OK || a->status >= 300 || a->status == 101 || a->transfer_coded;
}

static void on_done(struct dlm_fetching *f, CURLcode code)
{
    struct dlm_transfer *t = container_of(f, struct dlm_transfer, fetching);

    t->code = code;
    let_go(t);
    if (says_enough(t, code))
        judge(t);
    if (t->judged && t->verdict.action == DLM_REDIRECT)
        return follow(t);
    if (t->judged && t->verdict.action == DLM_REASK && t->verdict.given_url)
        return reask(t);
    t->over = true;
    t->ops->over(t);
    if (!t->judged || !ours(t))
        return refuse(t);
    if (t->unwanted) {
        give_back(t);
        t->ops->ended(t);
    } else if (t->going) {
        conclude(t);
    }
}

/* ---- Too slow ------------------------------------------------------------------------------------------ */

static bool answer_is_late(const struct dlm_transfer *t, int64_t now)
{
    int64_t sent_us = reached_at(t->fetching.easy, CURLINFO_PRETRANSFER_TIME_T);

    return sent_us > 0 &&
           now - t->asked_at - sent_us / 1000 > bound(t, DLM_BOUND_ANSWER_TIME) * 1000;
}

static enum dlm_late lateness(struct dlm_transfer *t, int64_t now)
{
    bool answered = t->judged || (t->answer.complete && t->answer.status >= 200),
         held = t->in_paused || t->waits || *t->env->hold;
    int64_t came = t->judged && !ours(t) ? (int64_t)t->n_held : t->received;

    if (!answered)
        return answer_is_late(t, now) ? DLM_LATE_ANSWER : DLM_LATE_NOT;
    return dlm_pace_is_slow(&t->pace, came, held, bound(t, DLM_BOUND_LOW_SPEED),
                            bound(t, DLM_BOUND_LOW_SPEED_TIME), now)
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
        give_back(t);
    return r;
}

void dlm_transfer_go(struct dlm_transfer *t, struct dlm_sink *sink, int64_t task, int64_t generation)
{
    bool ok;

    dlm_writer_start(&t->writer, sink, t->env->slots, task, generation, t->segment.start);
    t->going = true;
    ok = write_held(t);
    if (t->over)
        return conclude(t);
    if (t->waits || !ok) {
        t->waits = false;
        /* With a disk that failed the next byte ends it. */
        dlm_fetch_unpause(t->env->fetch, &t->fetching);
    }
}

void dlm_transfer_stop(struct dlm_transfer *t)
{
    let_go(t);
    let_out(t);
    if (t->going)
        dlm_writer_stop(&t->writer, t->env->slots);
    t->going = false;
    give_back(t);
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
