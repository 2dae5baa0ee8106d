/* SPDX-License-Identifier: MIT */
/*
 * engine_session.c - one holder at a time for each session.
 *
 * Who holds is a connection of the door, or a handle of this process: a peer. It holds until it lets go, its connection ends, or another
 * one takes the session over. That is memory and dies with the owner; what outlives it is the incarnation in the journal, with
 * which a holder that comes back shows that nobody held the session in between.
 *
 *     nobody   --hold-->  claimed  --the incarnation is durable-->  held
 *     held     --hold by another-->  busy: it waits in line, takes over (once that is durable), or is refused
 *     held     --released, gone-->  the first in line claims; it learns that by asking again
 *
 * A change of holders is news to all who listen, since one of them may have lost the session or been waiting for it.
 */
#include "dlmgr/engine_internal.h"

#include "dlmgr/json.h"

struct in_line {
    const struct dlm_peer *peer;
    struct in_line *next;
};

struct claim;

struct dlm_holding {
    char *session;
    const struct dlm_peer *peer; /* NULL: nobody */
    int64_t incarnation;         /* 0: not durable yet */
    const struct claim *claim; /* of the peer, on its way; NULL: none, or it does not count any more */
    struct {
        const struct dlm_peer *peer;
        int64_t incarnation;
    } before; /* who held it until that claim, and does still when that is refused */
    struct in_line *line;
    struct dlm_holding *next;
};

/* A claim on its way through the journal. */
struct claim {
    struct dlm_engine *engine;
    char *session;
    const struct dlm_peer *peer;
    dlm_reply_fn reply; /* NULL: of one who was in line */
    void *context;
};

static struct dlm_holding *find(struct dlm_engine *e, const char *session)
{
    struct dlm_holding *h = e->holdings;

    while (h && strcmp(h->session, session))
        h = h->next;
    return h;
}

static struct dlm_holding *find_or_make(struct dlm_engine *e, const char *session)
{
    struct dlm_holding *h = find(e, session);

    if (h)
        return h;
    h = dlm_alloc(sizeof(*h));
    if (!h || !(h->session = dlm_strdup(session))) {
        free(h);
        return NULL;
    }
    h->next = e->holdings;
    e->holdings = h;
    return h;
}

static void line_drop(struct dlm_holding *h, const struct dlm_peer *peer)
{
    for (struct in_line **at = &h->line, *l; (l = *at);) {
        if (l->peer == peer || !peer) {
            *at = l->next;
            free(l);
        } else {
            at = &l->next;
        }
    }
}

static bool line_join(struct dlm_holding *h, const struct dlm_peer *peer)
{
    struct in_line **at = &h->line;

    for (; *at; at = &(*at)->next)
        if ((*at)->peer == peer)
            return true;
    *at = dlm_alloc(sizeof(**at));
    if (*at)
        (*at)->peer = peer;
    return *at != NULL;
}

static void forget(struct dlm_engine *e, struct dlm_holding *h)
{
    struct dlm_holding **at = &e->holdings;

    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    line_drop(h, NULL);
    free(h->session);
    free(h);
}

/* ---- Claiming -------------------------------------------------------------------------------------------- */

static void let_go(struct dlm_engine *e, struct dlm_holding *h, const struct dlm_peer *peer);

static void refuse(dlm_reply_fn reply, void *context, dlmgr_error *error)
{
    if (reply)
        reply(context, error->code, NULL, error);
}

static void say_held(dlm_reply_fn reply, void *context, bool held, int64_t incarnation, int holder)
{
    json_t *result = json_pack("{s:b, s:I, s:i}", "held", (int)held, "incarnation",
                               (json_int_t)incarnation, "holder", holder);
    dlmgr_error error = {0};

    if (result)
        return reply(context, 0, result, NULL);
    dlm_no_memory(&error);
    refuse(reply, context, &error);
}

/* It is durable, or not to be had. Meanwhile the peer may have gone, or another one may have taken over. */
static void on_claimed(void *context, int code, json_t *result, const dlmgr_error *error)
{
    struct claim *c = context;
    struct dlm_holding *h = find(c->engine, c->session);
    bool ours = h && h->claim == c;
    dlmgr_error lost = {0};

    if (h && code >= 0)
        h->before.peer = NULL; /* for the journal its incarnation is an old one now, whoever comes next */
    if (ours && code >= 0) {
        h->incarnation = dlm_json_int(result, "incarnation", 0);
        h->claim = NULL;
    } else if (ours) {
        let_go(c->engine, h, c->peer);
    }
    if (c->reply && (ours || code < 0)) {
        c->reply(c->context, code, result, error);
        result = NULL;
    } else if (c->reply) {
        dlm_fail(&lost, DLMGR_ELOST, "session %.100s was taken over meanwhile", c->session);
        refuse(c->reply, c->context, &lost);
    }
    json_decref(result);
    dlm_engine_tell(c->engine);
    free(c->session);
    free(c);
}

/* params is stolen. The peer is the holder from now on; its incarnation follows. h may be gone when this returns. */
static void claim(struct dlm_engine *e, struct dlm_holding *h, const struct dlm_peer *peer,
                  json_t *params, dlm_reply_fn reply, void *context)
{
    struct claim *c = dlm_alloc(sizeof(*c));
    dlmgr_error error = {0};

    if (!c || !params || !(c->session = dlm_strdup(h->session))) {
        free(c);
        json_decref(params);
        dlm_no_memory(&error);
        return refuse(reply, context, &error);
    }
    if (h->peer && h->incarnation) {
        h->before.peer = h->peer;
        h->before.incarnation = h->incarnation;
    }
    h->peer = peer;
    h->incarnation = 0;
    h->claim = c;
    line_drop(h, peer);
    c->engine = e;
    c->peer = peer;
    c->reply = reply;
    c->context = context;
    dlm_engine_serve(e, "session_hold", params, on_claimed, c);
}

/* Nobody holds it: the first in line does, or it is forgotten. */
static void next_in_line(struct dlm_engine *e, struct dlm_holding *h)
{
    if (h->line)
        claim(e, h, h->line->peer, json_pack("{s:s}", "session", h->session), NULL, NULL);
    else
        forget(e, h);
}

static void hold_busy(struct dlm_engine *e, struct dlm_holding *h, const struct dlm_peer *peer,
                      json_t *params, dlm_reply_fn reply, void *context)
{
    bool wait = dlm_json_true(params, "wait"), take = dlm_json_true(params, "take");
    dlmgr_error error = {0};

    if (take)
        return claim(e, h, peer, params, reply, context);
    json_decref(params);
    if (wait && line_join(h, peer))
        return say_held(reply, context, false, 0, h->peer->pid);
    if (wait)
        dlm_no_memory(&error);
    else
        dlm_fail(&error, DLMGR_EBUSY, "session %.100s is held by process %d", h->session,
                 h->peer->pid);
    refuse(reply, context, &error);
}

static void hold(struct dlm_engine *e, const struct dlm_peer *peer, json_t *params,
                 dlm_reply_fn reply, void *context)
{
    const char *session = dlm_json_string(params, "session");
    struct dlm_holding *h = session ? find_or_make(e, session) : NULL;
    dlmgr_error error = {0};
    int64_t known;

    if (!h) {
        if (session)
            dlm_no_memory(&error);
        else
            dlm_fail(&error, DLMGR_EINVAL, "session: is missing");
        json_decref(params);
        return refuse(reply, context, &error);
    }
    if (!h->peer)
        return claim(e, h, peer, params, reply, context);
    known = dlm_json_int(params, "incarnation", 0);
    if (h->peer != peer && known && known == h->incarnation) {
        h->peer = peer; /* it came back before we saw its old connection end */
    } else if (h->peer != peer && known) {
        json_decref(params);
        dlm_fail(&error, DLMGR_ELOST, "session %.100s was taken over by process %d", h->session,
                 h->peer->pid);
        return refuse(reply, context, &error);
    }
    if (h->peer != peer)
        return hold_busy(e, h, peer, params, reply, context);
    json_decref(params);
    say_held(reply, context, h->incarnation > 0, h->incarnation, peer->pid);
}

/* ---- Letting go ------------------------------------------------------------------------------------------ */

static void let_go(struct dlm_engine *e, struct dlm_holding *h, const struct dlm_peer *peer)
{
    line_drop(h, peer);
    if (h->before.peer == peer)
        h->before.peer = NULL;
    if (h->peer != peer)
        return;
    h->peer = TAKE_PTR(h->before.peer);
    h->incarnation = h->before.incarnation;
    h->claim = NULL;
    if (h->peer || e->closing)
        return;
    next_in_line(e, h);
    dlm_engine_tell(e);
}

static void release(struct dlm_engine *e, const struct dlm_peer *peer, json_t *params,
                    dlm_reply_fn reply, void *context)
{
    const char *session = dlm_json_string(params, "session");
    struct dlm_holding *h = session ? find(e, session) : NULL;
    int64_t known = dlm_json_int(params, "incarnation", 0);

    /* A peer that lost it and holds it anew lets go of the one that it names. */
    if (h && (!known || h->peer != peer || known == h->incarnation))
        let_go(e, h, peer);
    json_decref(params);
    say_held(reply, context, false, 0, 0);
}

void dlm_engine_peer(struct dlm_engine *e, const struct dlm_peer *peer, const char *method,
                     json_t *params, dlm_reply_fn reply, void *context)
{
    dlmgr_error error = {0};

    if (e->closing) {
        json_decref(params);
        dlm_fail(&error, DLMGR_ECLOSED, "the engine is being closed");
        return refuse(reply, context, &error);
    }
    if (!strcmp(method, "session_hold"))
        hold(e, peer, params, reply, context);
    else
        release(e, peer, params, reply, context);
}

static bool is_named(const struct dlm_holding *h, const struct dlm_peer *peer)
{
    const struct in_line *l = h->line;

    while (l && l->peer != peer)
        l = l->next;
    return l || h->peer == peer || h->before.peer == peer;
}

void dlm_engine_peer_gone(struct dlm_engine *e, const struct dlm_peer *peer)
{
    struct dlm_holding *h = e->holdings;

    while (h) {
        if (!is_named(h, peer)) {
            h = h->next;
            continue;
        }
        let_go(e, h, peer);
        h = e->holdings; /* others may have gone with it */
    }
}

int dlm_engine_holder(struct dlm_engine *e, const char *session)
{
    const struct dlm_holding *h = find(e, session);

    return h && h->peer ? h->peer->pid : 0;
}

void dlm_engine_holdings_free(struct dlm_engine *e)
{
    while (e->holdings)
        forget(e, e->holdings);
}
