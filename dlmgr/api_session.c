/* SPDX-License-Identifier: MIT */
/*
 * api_session.c - open and close a session, hold it, acknowledge.
 *
 * The owner keeps who holds a session by connection, the journal by incarnation. So when the owner is restarted, each session is held
 * anew over the new connection with the incarnation that it has, and goes on where it was. When somebody else was faster that
 * incarnation is an old one: the session is lost, and its holder is told once.
 *
 * A session that is closed while a look at its handle is under way (from a callback) stays in the list until that has ended.
 */
#include "dlmgr/api_session.h"
#include "dlmgr/request.h"

/* ---- Asking ---------------------------------------------------------------------------------------------- */

static void mark_lost(struct dlmgr_session *s, const dlmgr_error *why)
{
    struct dlmgr *h = s->handle;

    pthread_mutex_lock(&h->lock); /* two threads may find out at once */
    if (!atomic_load(&s->lost))
        s->why = *why;
    atomic_store(&s->lost, true);
    pthread_mutex_unlock(&h->lock);
    dlm_api_news(h);
}

static int fenced(const struct dlmgr_session *s, json_t *params)
{
    return json_object_set_new(params, "session", json_string(s->name)) |
           json_object_set_new(params, "incarnation", json_integer(s->incarnation));
}

int dlm_session_call(struct dlmgr_session *s, const char *method, json_t *params,
                     json_t **ret_result, dlmgr_error *e)
{
    dlmgr_error mine = {0};
    int r;

    e = e ? e : &mine;
    if (!params || fenced(s, params)) {
        json_decref(params);
        return dlm_no_memory(e);
    }
    if (atomic_load(&s->lost)) {
        json_decref(params);
        *e = s->why;
        return DLMGR_ELOST;
    }
    r = dlm_api_call(s->handle, method, params, ret_result, e);
    if (r == DLMGR_ELOST)
        mark_lost(s, e);
    return r;
}

int dlm_session_ack(struct dlmgr_session *s, const int64_t *seqs, size_t n, dlmgr_error *e)
{
    CLEANUP_JSON json_t *array = json_array(), *result = NULL;

    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(array, json_integer(seqs[i])))
            return dlm_no_memory(e);
    if (n == 0)
        return 0;
    /* Given away: the engine's thread counts references too. */
    return dlm_session_call(s, "ack", json_pack("{s:o}", "seqs", TAKE_PTR(array)), &result, e);
}

int dlmgr_ack(dlmgr_session *session, int64_t seq, dlmgr_error *error)
{
    int r;

    if (!session)
        return dlm_fail(error, DLMGR_EINVAL, "the session is NULL");
    if (!session->incarnation)
        return dlm_fail(error, DLMGR_ELOST, "session %s is not held yet", session->name);
    r = dlm_api_enter(session->handle, error);
    if (r < 0)
        return r;
    r = dlm_session_ack(session, &seq, 1, error);
    if (r == 0) {
        atomic_store(&session->look, true); /* it may be drained now */
        dlm_api_news(session->handle);
    }
    dlm_api_leave(session->handle);
    return r;
}

/* ---- Holding ---------------------------------------------------------------------------------------------- */

/* Over the connection that also brings the news: it is the one that holds. */
static int ask(struct dlmgr_session *s, const char *method, json_t *params, json_t **ret_result,
               dlmgr_error *e)
{
    struct dlmgr *h = s->handle;
    struct dlm_client *client = h->listening.client;
    int r;

    if (!params)
        return dlm_no_memory(e);
    if (h->engine)
        return dlm_engine_call_as(h->engine, &s->peer, method, params, ret_result, e);
    if (!client) {
        json_decref(params);
        return dlm_api_nobody(h, e);
    }
    r = dlm_client_call(client, method, params, DLM_API_OWNER_MS, ret_result, e);
    /* What came with the answer the descriptor does not tell of any more. */
    if (dlm_client_pending(client))
        dlm_api_news(h);
    return r;
}

int dlm_session_hold(struct dlmgr_session *s, unsigned flags, dlmgr_error *e)
{
    CLEANUP_JSON json_t *result = NULL;
    int64_t incarnation = s->incarnation;
    dlmgr_error mine = {0};
    int r;

    e = e ? e : &mine;
    r = ask(s, "session_hold",
            json_pack("{s:s, s:o, s:b, s:b}", "session", s->name, "incarnation",
                      incarnation ? json_integer(incarnation) : json_null(), "take",
                      (flags & DLMGR_TAKE) != 0, "wait", (flags & DLMGR_WAIT) != 0),
            &result, e);
    if (r == DLMGR_ELOST)
        mark_lost(s, e);
    if (r < 0)
        return r;
    s->held = dlm_json_true(result, "held");
    if (s->held)
        s->incarnation = dlm_json_int(result, "incarnation", 0);
    return 0;
}

void dlm_session_release(struct dlmgr_session *s)
{
    CLEANUP_JSON json_t *result = NULL;
    int64_t incarnation = s->incarnation;

    if (s->released || (atomic_load(&s->lost) && !incarnation))
        return; /* another session of ours may have its name by now */
    s->released = true;
    /* When the owner cannot be told, it sees the connection end. */
    if (s->handle->engine || s->handle->listening.client)
        ask(s, "session_release",
            json_pack("{s:s, s:o}", "session", s->name, "incarnation",
                      incarnation ? json_integer(incarnation) : json_null()),
            &result, NULL);
}

/* ---- Opening and closing ------------------------------------------------------------------------------------ */

static int check_name(const char *name, dlmgr_error *e)
{
    int r = name ? dlm_session_check(name, e)
                 : dlm_fail(e, DLMGR_EINVAL, "the session's name is NULL");
    const char *dot = name ? strchr(name, '.') : NULL;

    if (r < 0)
        return r;
    if (!dot || dot == name || !strcmp(strrchr(name, '.'), ".") || strstr(name, ".."))
        return dlm_fail(e, DLMGR_EINVAL,
                        "session %.100s: must be a reverse-DNS name like org.example.app, of at most 255 bytes",
                        name);
    return 0;
}

static int make(struct dlmgr *h, const char *name, unsigned flags, const dlmgr_delegate *delegate,
                void *context, struct dlmgr_session **ret, dlmgr_error *e)
{
    struct dlmgr_session *s;
    int r = check_name(name, e);

    if (r == 0 && (flags & ~(unsigned)(DLMGR_WAIT | DLMGR_TAKE)))
        r = dlm_fail(e, DLMGR_EINVAL, "flags %u: must be of DLMGR_WAIT and DLMGR_TAKE", flags);
    if (r < 0)
        return r;
    s = dlm_alloc(sizeof(*s));
    if (!s || !(s->name = dlm_strdup(name))) {
        free(s);
        return dlm_no_memory(e);
    }
    if (delegate)
        r = dlm_api_struct(&s->delegate, sizeof(s->delegate), delegate, "delegate", e);
    if (r < 0) {
        dlm_session_free(s);
        return r;
    }
    s->handle = h;
    s->peer.pid = getpid();
    s->flags = flags;
    s->context = context;
    s->look = true;
    s->phase = s->delegate.restored ? DLM_RESTORING : DLM_REPLAYING;
    s->replay_to = -1;
    s->live = -1;
    *ret = s;
    return 0;
}

/*
 * The name is checked for this handle too, since for an owner its sessions are one connection. One that a callback closed lets go before the new
 * one holds.
 */
static int join(struct dlmgr *h, struct dlmgr_session *s, dlmgr_error *e)
{
    struct dlmgr_session **at = &h->listening.sessions;
    int r;

    for (; *at; at = &(*at)->next) {
        if (strcmp((*at)->name, s->name) != 0)
            continue;
        if (!(*at)->closed && !atomic_load(&(*at)->lost))
            return dlm_fail(e, DLMGR_EBUSY, "session %s is held by this handle already (process %d)",
                            s->name, (int)getpid());
        if ((*at)->closed)
            dlm_session_release(*at);
    }
    r = dlm_api_subscribe(h, e);
    if (r == 0)
        r = dlm_session_hold(s, s->flags, e);
    if (r == 0)
        *at = s;
    else if (dlm_api_unanswered(r))
        dlm_api_unsubscribe(h); /* the owner may have done it all the same, for this connection */
    return r;
}

/* While the lock is held and nobody answers an owner is coming or going. */
static int join_owner(struct dlmgr *h, struct dlmgr_session *s, dlmgr_error *e)
{
    int64_t until = dlm_clock_mono() + DLM_API_OWNER_MS;
    int r;

    do {
        pthread_mutex_lock(&h->listening.set);
        r = join(h, s, e);
        pthread_mutex_unlock(&h->listening.set);
        if (!dlm_api_absent(r))
            return r;
        r = h->engine ? dlm_api_nobody(h, e) : dlm_api_again(h, until, e);
    } while (r == 0);
    return r;
}

int dlmgr_session_open(dlmgr *handle, const char *name, unsigned flags,
                       const dlmgr_delegate *delegate, void *context, dlmgr_session **ret_session,
                       dlmgr_error *error)
{
    struct dlmgr_session *s = NULL;
    int r = dlm_api_enter(handle, error);

    if (r < 0)
        return r;
    r = ret_session ? make(handle, name, flags, delegate, context, &s, error)
                    : dlm_fail(error, DLMGR_EINVAL, "ret_session is NULL");
    if (r == 0)
        r = join_owner(handle, s, error);
    if (r == 0) {
        *ret_session = s;
        dlm_api_news(handle);
    } else if (s) {
        dlm_session_free(s);
    }
    dlm_api_leave(handle);
    return r;
}

void dlm_session_free(struct dlmgr_session *s)
{
    free(s->kept);
    free(s->unsent);
    free(s->seen);
    free(s->name);
    free(s);
}

dlmgr_session *dlmgr_session_close(dlmgr_session *session)
{
    struct dlmgr *h = session ? session->handle : NULL;

    /* The look that calls us sweeps it, also while another thread closes the handle. */
    if (h && dlm_api_in_callback(h)) {
        atomic_store(&session->closed, true);
        return NULL;
    }
    if (!h || dlm_api_enter(h, NULL) < 0)
        return NULL; /* closing the handle frees it */
    pthread_mutex_lock(&h->listening.set);
    atomic_store(&session->closed, true);
    pthread_mutex_unlock(&h->listening.set);
    dlm_api_sweep(h);
    dlm_api_leave(h);
    return NULL;
}

const char *dlmgr_session_name(const dlmgr_session *session)
{
    return session->name;
}

int64_t dlmgr_session_incarnation(dlmgr_session *session)
{
    return session->incarnation;
}
