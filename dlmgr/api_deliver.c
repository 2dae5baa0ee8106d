/* SPDX-License-Identifier: MIT */
/*
 * api_deliver.c - one look at a session: what its holder is to be told now, in the order that dlmgr.h promises.
 *
 *     RESTORING   pages of live tasks                         -> `restored`
 *     REPLAYING   events up to the last one at the opening    -> `event`, marked replay; then `ready`
 *     LIVE        events after that, those to come again, progress, `drained`
 *
 * Everything is read in pages, as the holder asks; the owner keeps nothing for it. `after` is how far the events were told to this
 * holder, so a session that goes on with a restarted owner repeats nothing. The acknowledgements of a page are one
 * transaction, and leave before anything else is told; those that do not reach the owner are kept and come first next time.
 *
 * That the owner goes or comes meanwhile is no error: the session is held again, and the look is made then.
 */
#include "dlmgr/api_session.h"

enum { PAGE = 1000, TASKS = 250, PAUSE_MS = 1000, PAUSE_MAX_MS = 60000 };

#define BIT(state) (1u << (state))
#define LIVE_STATES                                                                                \
    (BIT(DLMGR_QUEUED) | BIT(DLMGR_RUNNING) | BIT(DLMGR_VERIFYING) | BIT(DLMGR_COMMITTING) |       \
     BIT(DLMGR_WAITING))

/* ---- Tasks that are alive ---------------------------------------------------------------------------------- */

static int restore(struct dlmgr_session *s, int budget, dlmgr_error *e)
{
    dlmgr_selector selector = {.size = sizeof(selector),
                               .session = s->name,
                               .states = LIVE_STATES | BIT(DLMGR_PAUSED),
                               .after = s->restored_to,
                               .limit = MIN(budget,
                                            TASKS)}; /* of JSON, in the arena of each worker in turn */
    const dlmgr_task *task;
    dlmgr_list *list;
    int n, r = dlmgr_query(s->handle, &selector, &list, e);

    if (r < 0)
        return r;
    for (n = 0; !dlm_session_stopped(s) && (task = dlmgr_list_at(list, (size_t)n)); n++) {
        s->restored_to = task->id;
        s->delegate.restored(s, task, s->context);
    }
    if (dlmgr_list_count(list) < (size_t)selector.limit)
        s->phase = DLM_REPLAYING;
    dlmgr_list_free(list);
    return n;
}

/* ---- Acknowledging ------------------------------------------------------------------------------------------- */

static int unsent_add(struct dlmgr_session *s, const int64_t *seqs, size_t n, dlmgr_error *e)
{
    int64_t *grown = dlm_realloc(s->unsent, (s->n_unsent + n) * sizeof(*grown));

    if (!grown)
        return dlm_no_memory(e);
    s->unsent = grown;
    memcpy(grown + s->n_unsent, seqs, n * sizeof(*seqs));
    s->n_unsent += n;
    return 0;
}

static int acknowledge(struct dlmgr_session *s, const int64_t *seqs, size_t n, dlmgr_error *e)
{
    int r = dlm_session_ack(s, seqs, n, e);

    if (r == 0 || r == DLMGR_ELOST)
        return r;
    return unsent_add(s, seqs, n, e) < 0 ? DLMGR_ENOMEM : r;
}

static int send_unsent(struct dlmgr_session *s, dlmgr_error *e)
{
    int r = 0;

    while (r == 0 && s->n_unsent > 0) {
        size_t n = MIN(s->n_unsent, PAGE);

        r = dlm_session_ack(s, s->unsent, n, e);
        if (r < 0)
            return r;
        s->n_unsent -= n;
        memmove(s->unsent, s->unsent + n, s->n_unsent * sizeof(*s->unsent));
    }
    return r;
}

/* ---- Events that could not be handled ---------------------------------------------------------------------- */

static int keep(struct dlmgr_session *s, int64_t seq, int64_t pause, dlmgr_error *e)
{
    size_t room = s->kept_room ? 2 * s->kept_room : 16;
    struct dlm_kept *grown;

    if (s->n_kept == s->kept_room) {
        grown = dlm_realloc(s->kept, room * sizeof(*grown));
        if (!grown)
            return dlm_no_memory(e);
        s->kept = grown;
        s->kept_room = room;
    }
    s->kept[s->n_kept++] = (struct dlm_kept){seq, dlm_clock_mono() + pause, pause};
    return 0;
}

/* ---- Telling ------------------------------------------------------------------------------------------------- */

/* What the holder says to one event; *io_n acknowledgements in seqs. pause: before it comes again, if it must. */
static int tell(struct dlmgr_session *s, const dlmgr_event *event, int64_t pause, int64_t *seqs,
                size_t *io_n, dlmgr_error *e)
{
    int verdict;

    if (!strcmp(event->type, "done"))
        dlm_progress_last(s, event);
    if (strcmp(event->type, "waiting") != 0 && strcmp(event->type, "restarted") != 0)
        dlm_progress_end(s, event->task, event->generation);
    verdict = s->delegate.event(s, event, s->context);
    if (verdict == 0)
        seqs[(*io_n)++] = event->seq;
    return verdict == 0 || verdict == DLMGR_LATER ? 0 : keep(s, event->seq, pause, e);
}

/* result: of `deliver`; stolen. How many were told. */
static int tell_page(struct dlmgr_session *s, json_t *result, int64_t pause, dlmgr_error *e)
{
    const dlmgr_event *event;
    dlmgr_event_list *list;
    int64_t seqs[PAGE];
    size_t n = 0, n_seqs = 0;
    int r = dlm_api_events(result, s->phase == DLM_REPLAYING, s, &list, e), acked;

    if (r < 0)
        return r;
    for (; r == 0 && !dlm_session_stopped(s) && (event = dlmgr_event_list_at(list, n)); n++) {
        r = tell(s, event, pause, seqs, &n_seqs, e);
        s->after = MAX(s->after, event->seq);
    }
    dlmgr_event_list_free(list);
    acked = acknowledge(s, seqs, n_seqs, e);
    return r < 0 ? r : acked < 0 ? acked : (int)n;
}

static int deliver(struct dlmgr_session *s, int64_t after, int64_t to, int limit, json_t **ret,
                   dlmgr_error *e)
{
    return dlm_session_call(s, "deliver",
                            json_pack("{s:I, s:I, s:i}", "after", (json_int_t)after, "to",
                                      (json_int_t)to, "limit", limit),
                            ret, e);
}

/* Each that is due, by itself: it may have been acknowledged meanwhile. */
static int tell_kept(struct dlmgr_session *s, int budget, dlmgr_error *e)
{
    int64_t now = dlm_clock_mono();
    int n = 0, r = 0;

    for (size_t i = 0; i < s->n_kept && n < budget && r >= 0 && !dlm_session_stopped(s);) {
        struct dlm_kept kept = s->kept[i];
        json_t *result;

        if (kept.due > now) {
            i++;
            continue;
        }
        r = deliver(s, kept.seq - 1, kept.seq, 1, &result, e);
        if (r < 0)
            return r;
        s->kept[i] = s->kept[--s->n_kept];
        r = tell_page(s, result, MIN(2 * kept.pause, PAUSE_MAX_MS), e);
        n += MAX(r, 0);
    }
    return r < 0 ? r : n;
}

/* ---- What is left to say ------------------------------------------------------------------------------------- */

static void count_tasks(struct dlmgr_session *s, const json_t *result)
{
    const json_t *tasks = json_object_get(result, "tasks");

    s->live = 0;
    for (int i = 0; i < DLM_STATES; i++)
        s->live += LIVE_STATES & BIT(i) ? dlm_json_int(tasks, dlm_state_name(i), 0) : 0;
    s->running = s->live - dlm_json_int(tasks, "queued", 0) - dlm_json_int(tasks, "waiting", 0);
    if (s->running > 0)
        dlm_progress_begin(s);
    if (s->live > 0 || json_array_size(json_object_get(result, "events")) > 0)
        s->drained = false;
}

/* The page was empty: either the replay has come to its end, or there is nothing more for now. */
static bool settle(struct dlmgr_session *s, bool unacknowledged)
{
    if (s->phase == DLM_REPLAYING) {
        s->phase = DLM_LIVE;
        if (s->delegate.ready)
            s->delegate.ready(s, s->context);
        return true;
    }
    if (s->live == 0 && !unacknowledged && !s->drained) {
        s->drained = true;
        if (s->delegate.drained)
            s->delegate.drained(s, s->context);
    }
    return false;
}

static int tell_events(struct dlmgr_session *s, int budget, dlmgr_error *e)
{
    bool more = true;
    int n = 0;

    while (more && n < budget && !dlm_session_stopped(s)) {
        bool replaying = s->phase == DLM_REPLAYING && s->replay_to >= 0;
        json_t *result;
        bool unacknowledged;
        int r = deliver(s, s->after, replaying ? s->replay_to : INT64_MAX,
                        s->delegate.event ? MIN(budget - n, PAGE) : 0, &result, e);

        if (r < 0)
            return r;
        if (s->replay_to < 0)
            s->replay_to = dlm_json_int(result, "last", 0);
        count_tasks(s, result);
        unacknowledged = !json_is_null(json_object_get(result, "oldest"));
        r = tell_page(s, result, PAUSE_MS, e);
        if (r < 0)
            return r;
        n += r;
        more = r > 0 || (!dlm_session_stopped(s) && settle(s, unacknowledged));
    }
    if (more)
        atomic_store(&s->look, true);
    return n;
}

/* ---- The look ---------------------------------------------------------------------------------------------------- */

static void tell_lost(struct dlmgr_session *s)
{
    if (!s->told_lost && s->delegate.lost && !atomic_load(&s->closed)) {
        s->told_lost = true;
        s->delegate.lost(s, &s->why, s->context);
    }
}

static int look(struct dlmgr_session *s, int budget, dlmgr_error *e)
{
    int n, r = send_unsent(s, e);

    if (r < 0)
        return r;
    if (s->phase == DLM_RESTORING) {
        n = restore(s, budget, e);
        if (n < 0 || s->phase == DLM_RESTORING)
            return n;
    } else {
        n = tell_kept(s, budget, e);
        if (n > 0)
            atomic_store(&s->look,
                         true); /* it may be drained now, and its acknowledgements are no news */
    }
    if (n >= 0 && n < budget && atomic_exchange(&s->look, false)) {
        r = tell_events(s, budget - n, e);
        n = r < 0 ? r : n + r;
    }
    if (n >= 0 && s->phase == DLM_LIVE)
        dlm_progress_look(s, NULL);
    return n;
}

int dlm_session_look(struct dlmgr_session *s, int budget, dlmgr_error *e)
{
    dlmgr_error mine = {0};
    int r = s->held && !atomic_load(&s->lost) ? look(s, budget, e ? e : &mine) : 0;

    if (r < 0 && r != DLMGR_ELOST)
        atomic_store(&s->look, true);
    if (atomic_load(&s->lost))
        tell_lost(s);
    return dlm_api_unanswered(r) || r == DLMGR_ELOST ? 0 : r;
}

int64_t dlm_session_due(const struct dlmgr_session *s)
{
    int64_t due = -1;

    if (dlm_session_stopped(s))
        return -1;
    if (!s->held)
        return s->ask_at ? s->ask_at : -1;
    for (size_t i = 0; i < s->n_kept; i++)
        due = due < 0 ? s->kept[i].due : MIN(due, s->kept[i].due);
    if (s->delegate.progress && s->phase == DLM_LIVE && s->progress_due)
        due = due < 0 ? s->progress_due : MIN(due, s->progress_due);
    return due;
}
