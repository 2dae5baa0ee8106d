/* SPDX-License-Identifier: MIT */
/*
 * verdict.c - what to do about an answer: see verdict.h.
 *
 * The status finds a row in `rows`; the row says what kind of answer it is, and, for refusals, all there is to say.
 * Four kinds need a second look, each a function:
 *
 *     whole      200: is it the version that we have a part of? can the length be believed?
 *     part       206: is it what was asked for, of the version that we have?
 *     beyond     416: is nothing missing, or is our idea of the file wrong?
 *     redirect   3xx: where to?
 *
 * Two ways lead back to zero: `other_version` (something differs from what was recorded) and `no_ranges` (nothing
 * proves a change, but ranges cannot be relied on here). With no bytes to lose the second is only asked anew.
 * When in doubt the answer is zero, never a guess: bytes of two versions must not meet.
 */
#include "dlmgr/verdict.h"
#include "dlmgr/backoff.h"

#include <stdio.h>

struct question {
    const struct dlm_asked *asked;
    const struct dlm_have *have;
    const struct dlm_rules *rules;
    const struct dlm_answer *answer;
    char validator[DLM_VALIDATOR_SIZE]; /* of the answer */
};

enum kind { WHOLE, PART, BEYOND, REDIRECT, PRECONDITION, WAIT, FAIL, STALE };

/* STALE: fails, but from the target of a redirect it may only mean that the link has expired. */
static const struct row {
    int status;
    const char *name;
    enum kind kind;
    int class_, code;
    const char *says;
} rows[] = {
#define TRANSIENT DLMGR_CLASS_TRANSIENT, DLM_EXIT_HTTP
#define PERMANENT DLMGR_CLASS_PERMANENT, DLM_EXIT_HTTP
#define NO_SUCH DLMGR_CLASS_PERMANENT, DLM_EXIT_NOT_FOUND
#define AUTH DLMGR_CLASS_NEEDS_AUTH, DLM_EXIT_AUTH
    {101, "Switching Protocols", FAIL, PERMANENT,
     "the server changes the protocol though nobody asked"},
    {200, "OK", WHOLE, 0, 0, NULL},
    {201, "Created", FAIL, PERMANENT, "not an answer to a download; check the URL"},
    {202, "Accepted", FAIL, PERMANENT, "the file is not ready yet; retry later"},
    {203, "Non-Authoritative", FAIL, PERMANENT,
     "a proxy on the way has changed the file; try without it"},
    {204, "No Content", FAIL, PERMANENT, "the server has no file to send; check the URL"},
    {205, "Reset Content", FAIL, PERMANENT, "the server has no file to send; check the URL"},
    {206, "Partial Content", PART, 0, 0, NULL},
    {300, "Multiple Choices", REDIRECT, 0, 0, NULL},
    {301, "Moved Permanently", REDIRECT, 0, 0, NULL},
    {302, "Found", REDIRECT, 0, 0, NULL},
    {303, "See Other", REDIRECT, 0, 0, NULL},
    {304, "Not Modified", FAIL, PERMANENT, "the server believes that we have the file already"},
    {307, "Temporary Redirect", REDIRECT, 0, 0, NULL},
    {308, "Permanent Redirect", REDIRECT, 0, 0, NULL},
    {400, "Bad Request", FAIL, PERMANENT,
     "the server does not understand the request; check the URL and headers"},
    {401, "Unauthorized", STALE, AUTH, "user and password are missing or wrong; give them and retry"},
    {403, "Forbidden", STALE, AUTH,
     "the server denies access; a signed link may have expired: set a new URL"},
    {404, "Not Found", FAIL, NO_SUCH, "the server has no such file; check the URL"},
    {405, "Method Not Allowed", FAIL, PERMANENT, "the server does not allow downloads of this URL"},
    {407, "Proxy Authentication Required", FAIL, AUTH,
     "the proxy wants a user and password in its URL"},
    {408, "Request Timeout", WAIT, TRANSIENT, "the server waited too long for the request"},
    {410, "Gone", STALE, NO_SUCH, "the file was removed, or the link has expired: set a new URL"},
    {412, "Precondition Failed", PRECONDITION, PERMANENT,
     "the server refuses over a condition that was not made"},
    {416, "Range Not Satisfiable", BEYOND, 0, 0, NULL},
    {421, "Misdirected Request", WAIT, TRANSIENT, "the server wants a new connection"},
    {425, "Too Early", WAIT, TRANSIENT, "the server wants the request again later"},
    {429, "Too Many Requests", WAIT, TRANSIENT, "the server wants fewer requests"},
    {451, "Unavailable For Legal Reasons", FAIL, PERMANENT, "the server may not give this file"},
    {500, "Internal Server Error", WAIT, TRANSIENT, "the server has a fault"},
    {501, "Not Implemented", FAIL, PERMANENT, "the server cannot serve downloads of this URL"},
    {502, "Bad Gateway", WAIT, TRANSIENT, "a gateway cannot reach the server"},
    {503, "Service Unavailable", WAIT, TRANSIENT, "the server is overloaded or being maintained"},
    {504, "Gateway Timeout", WAIT, TRANSIENT, "a gateway cannot reach the server"},
    {505, "HTTP Version Not Supported", FAIL, PERMANENT,
     "the server does not speak our version of HTTP"},
    {506, "Variant Also Negotiates", FAIL, PERMANENT, "the server is configured wrongly"},
    {507, "Insufficient Storage", WAIT, TRANSIENT, "the server has no room"},
    {508, "Loop Detected", FAIL, PERMANENT, "the server is configured wrongly"},
    {510, "Not Extended", FAIL, PERMANENT, "the server wants an extension of HTTP"},
    {511, "Network Authentication Required", FAIL, AUTH,
     "this network wants a login first; open a browser"},
};

/* The rest, by hundreds. */
static const struct row others[] = {
    {0, "", FAIL, PERMANENT, "the server does not speak HTTP"},
    {100, "", FAIL, PERMANENT, "the answer never comes to an end"},
    {200, "", FAIL, PERMANENT, "not an answer to a download; check the URL"},
    {300, "", FAIL, PERMANENT, "not a redirect that can be followed"},
    {400, "", FAIL, PERMANENT, "the server refuses the request"},
    {500, "", WAIT, TRANSIENT, "the server has a fault"},
    {600, "", FAIL, PERMANENT, "the server does not speak HTTP"},
};

static const struct row *find_row(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].status == status)
            return &rows[i];
    return &others[MIN(status / 100, 6)];
}

void dlm_status_text(int status, char out[64])
{
    const char *name = find_row(status)->name;

    snprintf(out, 64, "%d%s%s", status, *name ? " " : "", name);
}

/* ---- Ways to end ---------------------------------------------------------------------------- */

static void end(const struct question *q, struct dlm_verdict *v, enum dlm_action action, int class_,
                int code, const char *says)
{
    char status[64];

    dlm_status_text(q->answer->status, status);
    v->action = action;
    v->class_ = class_;
    v->code = code;
    v->stage = DLMGR_STAGE_RECEIVE;
    snprintf(v->text, sizeof(v->text), "%s: %s", status, says);
}

static void refuse(const struct question *q, struct dlm_verdict *v, const char *says)
{
    end(q, v, DLM_FAIL, PERMANENT, says);
}

/* The server has another version than the one that we have a part of. */
static void other_version(const struct question *q, struct dlm_verdict *v, const char *says)
{
    end(q, v, DLM_RESTART, DLMGR_CLASS_TRANSIENT, DLM_EXIT_NO_RESUME, says);
    v->changed = true;
}

/* Ranges do not work here: what we have, if anything, cannot be continued. */
static void no_ranges(const struct question *q, struct dlm_verdict *v, const char *says)
{
    bool bytes = !q->have->first && q->have->bytes > 0;

    end(q, v, bytes ? DLM_RESTART : DLM_REASK, DLMGR_CLASS_TRANSIENT, DLM_EXIT_NO_RESUME, says);
}

/* ---- Bodies --------------------------------------------------------------------------------- */

/* Framing that no body may have; true: refused. */
static bool refuse_framing(const struct question *q, struct dlm_verdict *v)
{
    const struct dlm_answer *a = q->answer;
    const char *says = NULL;

    if (a->folded)
        says = "a header field goes on in a second line, which HTTP forbids";
    else if (a->bad_length)
        says = "Content-Length is not one valid number";
    else if (a->transfer_coded)
        says = "the body has a transfer coding that was not asked for";
    else if (a->chunked && a->content_length >= 0)
        says = "the answer has both chunks and a length, of which one is a lie";
    else if (a->encoded && a->content_length < 0 && a->status != 206)
        says = "the file comes compressed, unasked, and without its length";
    if (says)
        refuse(q, v, says);
    return says != NULL;
}

struct dlm_rules dlm_rules_of(const struct dlm_bounds *bounds)
{
    const struct dlm_bounds normal = dlm_bounds_normal();

    bounds = bounds ? bounds : &normal;
    return (struct dlm_rules){.file_bytes = bounds->of[DLM_BOUND_FILE_BYTES],
                              .retry_after_ms = bounds->of[DLM_BOUND_RETRY_AFTER] * 1000};
}

int64_t dlm_rules_most(const struct dlm_rules *rules, const char **ret_name)
{
    bool own = rules->max_size > 0 && rules->max_size <= rules->file_bytes;

    if (ret_name)
        *ret_name = own ? "--max-size" : dlm_bound_name(DLM_BOUND_FILE_BYTES);
    return own ? rules->max_size : rules->file_bytes;
}

/* A size that a rule forbids; true: refused. */
static bool refuse_size(const struct question *q, struct dlm_verdict *v, int64_t total)
{
    const char *name;
    int64_t most = dlm_rules_most(q->rules, &name);
    char says[128];

    if (total > most) {
        snprintf(says, sizeof(says), "the file has %lld bytes, more than %s allows (%lld)",
                 (long long)total, name, (long long)most);
        end(q, v, DLM_FAIL, DLMGR_CLASS_POLICY, DLM_EXIT_HTTP, says);
    } else if (q->rules->require_length && total < 0) {
        end(q, v, DLM_FAIL, DLMGR_CLASS_POLICY, DLM_EXIT_HTTP,
            "the server does not say how long the file is, and --require-length is set");
    } else {
        return false;
    }
    return true;
}

static bool can_range(const struct question *q, int64_t total)
{
    return total >= 0 && dlm_validator_is_strong(q->validator) && !q->answer->no_ranges;
}

static void judge_whole(const struct question *q, struct dlm_verdict *v)
{
    const struct dlm_answer *a = q->answer;
    const struct dlm_have *h = q->have;
    int64_t total = a->content_length;
    bool same = !h->first && h->total == total && dlm_validator_same(h->validator, q->validator) &&
                !dlm_digest_differs(h->offered, a->digest);
    bool ignored = q->asked->ranged && (same || !q->asked->conditional);

    if (refuse_framing(q, v) || refuse_size(q, v, total))
        return;
    v->length = v->total = total;
    v->ranges = can_range(q, total) && !ignored;
    /* Over HTTP/2 as well: libcurl 7.88 takes a stream that was reset with NO_ERROR for one that ended. */
    v->unverified = total < 0 && !a->chunked && !h->digest_given && !a->digest[0];
    if (h->first || (same && h->bytes == 0))
        return;
    end(q, v, DLM_RESTART, DLMGR_CLASS_TRANSIENT, DLM_EXIT_NO_RESUME,
        same ? "the server sends the whole file again instead of the rest"
             : "the file has changed on the server");
    v->usable = true;
    v->changed = !same;
}

/* What differs from the recorded version; NULL: nothing. */
static const char *find_change(const struct question *q)
{
    const struct dlm_have *h = q->have;
    const struct dlm_content_range *r = &q->answer->range;

    if (h->first)
        return NULL;
    if (dlm_digest_differs(h->offered, q->answer->digest))
        return "the digest of the file has changed on the server";
    if (h->total >= 0 && r->total >= 0 && h->total != r->total)
        return "the size of the file has changed on the server";
    if (h->total >= 0 && r->end > h->total)
        return "the file has grown on the server";
    if (r->total >= 0 && h->bytes > r->total)
        return "the file has shrunk on the server";
    if (h->other_source && h->digest_given)
        return NULL; /* validators are each server's own; the digest decides */
    if (!dlm_validator_same(h->validator, q->validator))
        return "the file has changed on the server";
    if (h->other_source && !dlm_validator_is_strong(q->validator))
        return "nothing proves that this mirror has the same file";
    return NULL;
}

static void judge_part(const struct question *q, struct dlm_verdict *v)
{
    const struct dlm_answer *a = q->answer;
    const struct dlm_asked *asked = q->asked;
    const struct dlm_content_range *r = &a->range;
    const char *change;

    if (refuse_framing(q, v))
        return;
    if (!asked->ranged)
        return refuse(q, v, "a part of the file, though the whole was asked for");
    if (a->encoded)
        return no_ranges(q, v, "a part of a compressed form of the file, which was not asked for");
    if (a->multipart)
        return no_ranges(q, v, "several ranges in one, though one was asked for");
    if (!r->valid || r->unsatisfied)
        return no_ranges(q, v, "Content-Range is missing or not valid");
    change = find_change(q);
    if (change)
        return other_version(q, v, change);
    if (r->start != asked->start)
        return no_ranges(q, v, "another range than the one that was asked for");
    if (a->content_length >= 0 && a->content_length != r->end - r->start)
        return no_ranges(q, v, "Content-Length and Content-Range disagree");
    if ((r->start > 0 || (!q->have->first && q->have->bytes > 0)) && !dlm_may_continue(q->have))
        return no_ranges(q, v, "nothing proves that this is a part of the same file");
    if (refuse_size(q, v,
                    r->total >= 0 ? r->total : MAX(r->end, q->have->first ? -1 : q->have->total)))
        return;
    v->offset = r->start;
    v->overlong = asked->end >= 0 && r->end > asked->end;
    v->length = (v->overlong ? asked->end : r->end) - r->start;
    v->total = r->total >= 0 || q->have->first ? r->total : q->have->total;
    v->ranges = can_range(q, v->total);
}

static void judge_beyond(const struct question *q, struct dlm_verdict *v)
{
    const struct dlm_have *h = q->have;
    const struct dlm_content_range *r = &q->answer->range;
    /* Of an unknown size: a server that does not look at If-Range may say this of another version, as long as what we have by chance. */
    bool said = h->total >= 0 || (q->validator[0] && dlm_validator_same(h->validator, q->validator));
    bool proven = h->digest_given || (q->asked->conditional && said);

    if (!q->asked->ranged)
        return refuse(q, v, "a range is refused though none was asked for");
    if (h->first || h->bytes == 0)
        return no_ranges(q, v, "the server refuses the range");
    if (q->validator[0] && !h->other_source && !dlm_validator_same(h->validator, q->validator))
        return other_version(q, v, "the file has changed on the server");
    if (!r->valid || !r->unsatisfied)
        return no_ranges(q, v, "the server refuses the range and does not say how long the file is");
    if (h->total >= 0 ? r->total != h->total : r->total < h->bytes)
        return other_version(q, v, "the size of the file has changed on the server");
    if (!proven || r->total != q->asked->start || r->total != h->bytes)
        return no_ranges(q, v, "the server refuses a range that the file has");
    v->action = DLM_COMPLETE;
    v->total = r->total;
    v->length = 0;
    v->offset = r->total;
}

static void judge_redirect(const struct question *q, struct dlm_verdict *v)
{
    char says[100];

    if (q->answer->bad_location) {
        snprintf(says, sizeof(says), "a redirect to %s", q->answer->bad_location);
        return refuse(q, v, says);
    }
    if (!q->answer->location || !q->answer->location[0])
        return refuse(q, v, "a redirect that does not say where to");
    v->action = DLM_REDIRECT;
}

static void judge_stale(const struct question *q, const struct row *row, struct dlm_verdict *v)
{
    v->given_url = q->asked->can_reask;
    end(q, v, v->given_url ? DLM_REASK : DLM_FAIL, row->class_, row->code, row->says);
}

void dlm_verdict_answer(const struct dlm_asked *asked, const struct dlm_have *have,
                        const struct dlm_rules *rules, const struct dlm_answer *answer,
                        struct dlm_verdict *ret)
{
    const struct dlm_rules normal = dlm_rules_of(NULL);
    struct question q = {asked, have, rules ? rules : &normal, answer, ""};
    const struct row *row = find_row(answer->status);
    struct dlm_verdict v = {.action = DLM_TAKE, .length = -1, .total = -1, .wait_ms = -1};

    dlm_answer_validator(answer, q.validator);
    switch (row->kind) {
    case WHOLE:
        judge_whole(&q, &v);
        break;
    case PART:
        judge_part(&q, &v);
        break;
    case BEYOND:
        judge_beyond(&q, &v);
        break;
    case REDIRECT:
        judge_redirect(&q, &v);
        break;
    case STALE:
        judge_stale(&q, row, &v);
        break;
    case PRECONDITION:
        if (asked->conditional)
            no_ranges(&q, &v, "the server refuses If-Range");
        else
            refuse(&q, &v, row->says);
        break;
    case WAIT:
        v.wait_ms = dlm_retry_after_clamp(dlm_answer_retry_after(answer), q.rules->retry_after_ms);
        end(&q, &v, DLM_WAIT, row->class_, row->code, row->says);
        break;
    default:
        end(&q, &v, DLM_FAIL, row->class_, row->code, row->says);
        break; /* FAIL */
    }
    *ret = v;
}

bool dlm_may_continue(const struct dlm_have *have)
{
    return !have->first && (have->digest_given || dlm_validator_is_strong(have->validator));
}
