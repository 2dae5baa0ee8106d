/* SPDX-License-Identifier: MIT */
/*
 * derived.c - columns that follow from others, gathered in memory and written once a savepoint or commit.
 *
 *     tally       how many tasks of a session are in each state
 *     last_seq    the number of a session's last event
 *     head_*      the best queued task of a host; tasks: how many it has
 *
 * A batch that takes 64 tasks of a host moves its head 64 times; only where it ends matters. So changes
 * are noted in two small arrays of fixed size (no allocation, so no failure) and flushed when one is full, before a
 * savepoint, before taking and counting, and before the commit. After a rollback they are forgotten, not undone:
 * what stood before the savepoint was already flushed inside the transaction.
 */
#include "store/internal.h"

static int flush_tally(struct dlm_store *s, const struct dlm_session_slot *slot)
{
    int r = 0;

    for (int i = 0; i < DLM_TALLIES && r == 0; i++)
        if (slot->delta[i])
            r = dlm_sql_run(s, Q_TALLY_ADD, "ldl", slot->id, i, slot->delta[i]);
    return r;
}

static int flush_sessions(struct dlm_store *s)
{
    struct dlm_derived *d = &s->derived;
    int r = 0;

    for (size_t i = 0; i < d->n_sessions && r == 0; i++) {
        r = flush_tally(s, &d->sessions[i]);
        if (r == 0 && d->sessions[i].seq_changed)
            r = dlm_sql_run(s, Q_SESSION_SET_LAST, "ll", d->sessions[i].id, d->sessions[i].last_seq);
    }
    d->n_sessions = 0;
    return r;
}

static int by_host(const void *a, const void *b)
{
    int64_t x = ((const struct dlm_host_slot *)a)->id, y = ((const struct dlm_host_slot *)b)->id;

    return (x > y) - (x < y);
}

static int flush_host(struct dlm_store *s, int64_t host, int64_t delta)
{
    int r = dlm_sql_run(s, Q_HOST_HEAD, "ll", host, delta);

    if (r < 0 || delta >= 0)
        return r;
    s->derived.host.id = 0;
    return dlm_sql_run(s, Q_HOST_DROP, "l", host);
}

static int flush_hosts(struct dlm_store *s)
{
    struct dlm_derived *d = &s->derived;
    size_t n = d->n_hosts;
    int r = 0;

    qsort(d->hosts, n, sizeof(d->hosts[0]), by_host);
    for (size_t i = 0; i < n && r == 0;) {
        int64_t host = d->hosts[i].id, delta = 0;

        while (i < n && d->hosts[i].id == host)
            delta += d->hosts[i++].delta;
        r = flush_host(s, host, delta);
    }
    d->n_hosts = 0;
    return r;
}

/* Half of it may be written and none of it is noted any more, so after a failure nothing of this transaction may be committed. */
int dlm_derived_flush(struct dlm_store *s)
{
    int r = flush_sessions(s);

    if (r == 0)
        r = flush_hosts(s);
    if (r < 0 && !s->broken)
        s->broken = r;
    return r;
}

void dlm_derived_forget(struct dlm_store *s)
{
    s->derived.n_sessions = 0;
    s->derived.n_hosts = 0;
    s->derived.session.id = 0;
    s->derived.host.id = 0;
}

static int session_slot(struct dlm_store *s, int64_t session, struct dlm_session_slot **ret)
{
    struct dlm_derived *d = &s->derived;
    int r = 0;

    for (size_t i = 0; i < d->n_sessions; i++) {
        if (d->sessions[i].id == session) {
            *ret = &d->sessions[i];
            return 0;
        }
    }
    if (d->n_sessions == ARRAY_SIZE(d->sessions) && (r = flush_sessions(s)) < 0)
        return r;
    *ret = &d->sessions[d->n_sessions++];
    **ret = (struct dlm_session_slot){.id = session, .last_seq = -1};
    return 0;
}

int dlm_tally_add(struct dlm_store *s, int64_t session, int state, bool storage, bool timed,
                  int64_t by)
{
    struct dlm_session_slot *slot;
    int r = session_slot(s, session, &slot);

    if (r < 0)
        return r;
    slot->delta[state] += by;
    if (state == DLMGR_WAITING && storage)
        slot->delta[DLM_TALLY_STORAGE] += by;
    else if (state == DLMGR_WAITING && timed)
        slot->delta[DLM_TALLY_TIMED] += by;
    return 0;
}

int dlm_seq_next(struct dlm_store *s, int64_t session, int64_t *ret)
{
    struct dlm_session_slot *slot;
    int r = session_slot(s, session, &slot);

    if (r == 0 && slot->last_seq < 0)
        r = dlm_sql_int(s, Q_SESSION_LAST, &slot->last_seq, "l", session);
    if (r < 0)
        return r;
    if (slot->last_seq < 0 || slot->last_seq == INT64_MAX)
        return dlm_row_damaged(s, "session", session);
    slot->seq_changed = true;
    *ret = ++slot->last_seq;
    return 0;
}

int dlm_host_touch(struct dlm_store *s, int64_t host, int64_t by)
{
    struct dlm_derived *d = &s->derived;
    int r = 0;

    if (d->n_hosts && d->hosts[d->n_hosts - 1].id == host) {
        d->hosts[d->n_hosts - 1].delta += by;
        return 0;
    }
    if (d->n_hosts == ARRAY_SIZE(d->hosts) && (r = flush_hosts(s)) < 0)
        return r;
    d->hosts[d->n_hosts++] = (struct dlm_host_slot){.id = host, .delta = by};
    return 0;
}
