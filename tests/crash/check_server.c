/* SPDX-License-Identifier: MIT */
/*
 * check_server.c - what the server was asked: what a kill cost, and whether a done task was asked for again.
 *
 * The cost of a kill is counted per request, that is per connection's piece of work: how many of the bytes that it asks for had
 * been taken by a completed write() to the part when the launch before was killed. What the server had sent beyond
 * (socket and library buffers) is nobody's to save and is not counted.
 */
#include "check.h"

#include "dlmgr/base.h"

static void count_again(struct check *c, const struct want *w, const struct fx_request *r)
{
    int64_t start = r->start < 0 ? 0 : r->start;
    int64_t end = r->range && r->end >= 0 ? r->end + 1 : w->size;
    int64_t again = ranges_common(&w->taken, start, end);

    if (w->restarts)
        return;
    c->refetch = MAX(c->refetch, again);
    if (c->refetch_limit >= 0 && again > c->refetch_limit)
        check_say(c, 0, "%s: request %lld (%s) asks for %lld bytes that were there", w->path,
                  (long long)r->id, r->range ? r->range : "whole", (long long)again);
}

static void remember_taken(struct check *c, struct want *w, const struct check_tasks *now)
{
    ranges_free(&w->taken);
    for (size_t i = 0; i < now->n; i++) {
        const struct disk_file *f = now->at[i].want == w ? disk_find(&c->disk, now->at[i].part)
                                                         : NULL;

        for (size_t j = 0; f && f->there && j < f->taken.n; j++)
            ranges_add(&w->taken, f->taken.at[j].start, f->taken.at[j].end);
    }
}

static bool is_done(const struct want *w, const struct check_tasks *now)
{
    for (size_t i = 0; i < now->n; i++)
        if (now->at[i].want == w && strcmp(now->at[i].state, "done") == 0)
            return true;
    return false;
}

static void not_after_done(struct check *c, struct want *w, const struct check_tasks *now,
                           const struct fx_log *log)
{
    int64_t asked = (int64_t)fx_log_count(log, w->path);

    if (w->asked_when_done < 0 && is_done(w, now))
        w->asked_when_done = asked;
    if (w->asked_when_done >= 0 && asked > w->asked_when_done)
        check_say(c, 5, "%s was asked for again after it was done", w->path);
}

/* From the first request of all to the end of its last: only a scenario that is not killed can say this. */
static void came_in_time(struct check *c, const struct want *w, const struct fx_log *log)
{
    size_t n = fx_log_count(log, w->path);
    const struct fx_request *last = n ? fx_log_nth(log, w->path, n - 1) : NULL;

    if (!last || last->ended_at < 0 || last->ended_at - log->requests[0].at > w->within_ms)
        check_say(c, 8, "%s took longer than %lld ms", w->path, (long long)w->within_ms);
}

void check_requests(struct check *c, const struct check_tasks *now, const struct fx_log *log,
                    bool end)
{
    for (size_t i = 0; i < c->n_wants; i++) {
        struct want *w = &c->wants[i];

        for (size_t j = 0; j < log->count; j++)
            if (log->requests[j].id > c->asked && fx_request_is(&log->requests[j], w->path))
                count_again(c, w, &log->requests[j]);
        remember_taken(c, w, now);
        not_after_done(c, w, now, log);
        if (end && w->final && !w->elsewhere && fx_log_count(log, w->path) == 0)
            check_say(c, 3, "%s is there and was never asked for", w->path);
        if (end && w->within_ms)
            came_in_time(c, w, log);
    }
    for (size_t j = 0; j < log->count; j++)
        c->asked = MAX(c->asked, log->requests[j].id);
}

void check_secret_log(struct check *c, const struct fx_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        const struct fx_request *r = &log->requests[i];
        bool told = strstr(r->target, c->secret) != NULL;

        for (size_t j = 0; j < r->header_count; j++)
            told = told || strstr(r->headers[j], c->secret);
        if (told)
            check_say(c, 7, "the other origin was told the secret in request %lld",
                      (long long)r->id);
    }
}
