/* SPDX-License-Identifier: MIT */
/*
 * api_progress.c - how many bytes a session's tasks have: asked for, at most ten times a second, while some are at work.
 *
 * Progress is not durable: the latest value only. It never falls within a generation, though counted bytes may when a part is read
 * back. The last one, before `done`, comes from the event itself, so it is there for tasks too that were done between two looks, and
 * for those whose size was not known before.
 */
#include "dlmgr/api_session.h"

enum { BETWEEN_MS = 100, TASKS = 1000 };

static const struct dlm_seen *find(const struct dlmgr_session *s, int64_t task)
{
    size_t low = 0, high = s->n_seen;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (s->seen[middle].task < task)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->n_seen && s->seen[low].task == task ? &s->seen[low] : NULL;
}

/* What was told last; nothing, if nothing was. */
static struct dlm_seen seen_last(const struct dlmgr_session *s, int64_t task, int64_t generation)
{
    const struct dlm_seen *seen = find(s, task);

    if (seen && seen->generation == generation)
        return *seen;
    return (struct dlm_seen){.task = task, .generation = generation, .total = -1};
}

static void tell(struct dlmgr_session *s, const dlmgr_task *task, int64_t bytes)
{
    const dlmgr_progress progress = {.task = task->id,
                                     .generation = task->generation,
                                     .bytes_done = bytes,
                                     .bytes_total = task->bytes_total,
                                     .speed = task->speed,
                                     .key = task->key,
                                     .user_data = task->user_data,
                                     .user_data_len = task->user_data_len};

    s->delegate.progress(s, &progress, s->context);
}

/* Those of the list, and those before that rest now: when they go on, they do not begin anew. Both are in the order of their tasks. */
static size_t merge(const struct dlmgr_session *s, const dlmgr_list *list, struct dlm_seen *ret)
{
    const dlmgr_task *task;
    size_t n = 0, old = 0;

    for (size_t i = 0; (task = dlmgr_list_at(list, i)); i++) {
        struct dlm_seen last = seen_last(s, task->id, task->generation);

        if (task->bytes_done > last.bytes) {
            last.bytes = task->bytes_done;
            last.total = task->bytes_total;
        }
        for (; old < s->n_seen && s->seen[old].task < task->id; old++)
            ret[n++] = s->seen[old];
        old += old < s->n_seen && s->seen[old].task == task->id;
        ret[n++] = last;
    }
    for (; old < s->n_seen; old++)
        ret[n++] = s->seen[old];
    return n;
}

static void tell_all(struct dlmgr_session *s, const dlmgr_list *list)
{
    struct dlm_seen *seen = dlm_alloc((s->n_seen + dlmgr_list_count(list) + 1) * sizeof(*seen));
    const dlmgr_task *task;
    size_t n;

    if (!seen)
        return; /* the next time */
    n = merge(s, list, seen);
    for (size_t i = 0; !dlm_session_stopped(s) && (task = dlmgr_list_at(list, i)); i++)
        if (task->bytes_done > seen_last(s, task->id, task->generation).bytes)
            tell(s, task, task->bytes_done);
    free(s->seen);
    s->seen = seen;
    s->n_seen = n;
}

void dlm_progress_look(struct dlmgr_session *s, dlmgr_error *e)
{
    dlmgr_selector selector = {.size = sizeof(selector),
                               .session = s->name,
                               .states = 1u << DLMGR_RUNNING | 1u << DLMGR_VERIFYING |
                                         1u << DLMGR_COMMITTING,
                               .limit = TASKS};
    int64_t now = dlm_clock_mono();
    dlmgr_list *list;

    if (!s->delegate.progress || !s->progress_due || now < s->progress_due || dlm_session_stopped(s))
        return;
    if (dlmgr_query(s->handle, &selector, &list, e) < 0) {
        s->progress_due = now + BETWEEN_MS;
        return;
    }
    tell_all(s, list);
    s->progress_not_before = now + BETWEEN_MS;
    /* With nothing at work the news say when something begins. */
    s->progress_due = dlmgr_list_count(list) > 0 ? s->progress_not_before : 0;
    dlmgr_list_free(list);
}

void dlm_progress_begin(struct dlmgr_session *s)
{
    if (!s->progress_due)
        s->progress_due = MAX(dlm_clock_mono(), s->progress_not_before);
}

void dlm_progress_end(struct dlmgr_session *s, int64_t task, int64_t generation)
{
    const struct dlm_seen *seen = find(s, task);
    size_t i = seen ? (size_t)(seen - s->seen) : 0;

    if (!seen || seen->generation > generation)
        return;
    s->n_seen--;
    memmove(&s->seen[i], &s->seen[i + 1], (s->n_seen - i) * sizeof(*s->seen));
}

void dlm_progress_last(struct dlmgr_session *s, const dlmgr_event *event)
{
    const struct dlm_seen told = seen_last(s, event->task, event->generation);
    int64_t size = event->bytes_total >= 0 ? event->bytes_total
                                           : dlm_json_int(event->more, "bytes_done", 0);
    const dlmgr_task task = {.id = event->task,
                             .generation = event->generation,
                             .bytes_total = size,
                             .key = event->key,
                             .user_data = event->user_data,
                             .user_data_len = event->user_data_len};

    if (s->delegate.progress && (told.bytes != size || told.total != size))
        tell(s, &task, size);
}
