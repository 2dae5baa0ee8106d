/* SPDX-License-Identifier: MIT */
/*
 * api_progress.c - how many bytes a session's tasks have: asked for, at most ten times a second, while some are at work.
 *
 * Progress is not durable: the latest value only. It never falls within a generation, though counted bytes may when a part is read
 * back. The last one, before `done`, comes from the event itself, so it is there for tasks too that were done between two looks.
 */
#include "dlmgr/api_session.h"

enum { BETWEEN_MS = 100, TASKS = 1000 };

static int64_t seen_bytes(const struct dlmgr_session *s, int64_t task, int64_t generation)
{
    for (size_t i = 0; i < s->n_seen; i++)
        if (s->seen[i].task == task && s->seen[i].generation == generation)
            return s->seen[i].bytes;
    return 0;
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

static void tell_all(struct dlmgr_session *s, const dlmgr_list *list)
{
    size_t n = dlmgr_list_count(list);
    struct dlm_seen *seen = dlm_alloc((n + 1) * sizeof(*seen));

    if (!seen)
        return; /* the next time */
    for (size_t i = 0; i < n; i++) {
        const dlmgr_task *task = dlmgr_list_at(list, i);
        int64_t before = seen_bytes(s, task->id, task->generation);

        seen[i] = (struct dlm_seen){task->id, task->generation, MAX(before, task->bytes_done)};
        if (seen[i].bytes > before && !dlm_session_stopped(s))
            tell(s, task, seen[i].bytes);
    }
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
    /* With nothing at work the news say when something begins. */
    s->progress_due = dlmgr_list_count(list) > 0 ? now + BETWEEN_MS : 0;
    dlmgr_list_free(list);
}

void dlm_progress_last(struct dlmgr_session *s, const dlmgr_event *event)
{
    int64_t told = seen_bytes(s, event->task, event->generation);
    int64_t size = event->bytes_total >= 0 ? event->bytes_total
                                           : dlm_json_int(event->more, "bytes_done", 0);
    const dlmgr_task task = {.id = event->task,
                             .generation = event->generation,
                             .bytes_total = size,
                             .key = event->key,
                             .user_data = event->user_data,
                             .user_data_len = event->user_data_len};

    if (s->delegate.progress && (told != size || size == 0))
        tell(s, &task, size);
}
