/* SPDX-License-Identifier: MIT */
/*
 * queue.c - which tasks run next, and which waiting ones may.
 *
 * A host's row carries its best queued task (its head), and an index has the hosts in the order of
 * their heads. Taking walks that index: hosts without room are stepped over, at most as many as there are
 * busy ones; each other host gives at most as many tasks as it has room. The best of all these are kept in
 * a small sorted array, and the walk ends as soon as no later host can better its worst: with a million queued tasks
 * over ten thousand hosts it reads some dozens of index entries.
 *
 *     hosts_head:   b(9, 17)   a(5, 3)   c(5, 40)   d(0, 1) ...          (priority, id) of the head
 *     best so far:  17  3  18  40        d's head is worse than 40 and the array is full: done
 *
 * A task that is taken moves to running here, in the same transaction. Waking is bounded as well: a
 * thousand tasks a call, so that a million that fall due at once do not hold up the journal.
 */
#include "store/internal.h"

#define WAKE_MAX 1000

/* ---- The best so far --------------------------------------------------------------------------------- */

static bool before(int priority_a, int64_t a, int priority_b, int64_t b)
{
    return priority_a != priority_b ? priority_a > priority_b : a < b;
}

bool dlm_best_add(struct dlm_best *best, int64_t id, int priority)
{
    size_t low = 0, high = best->n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (before(best->items[mid].priority, best->items[mid].id, priority, id))
            low = mid + 1;
        else
            high = mid;
    }
    if (low == best->cap)
        return false;
    best->n = MIN(best->n + 1, best->cap);
    memmove(&best->items[low + 1], &best->items[low], (best->n - low - 1) * sizeof(best->items[0]));
    best->items[low] = (struct dlm_pick){.id = id, .priority = priority};
    return true;
}

static bool hopeless(const struct dlm_best *best, int64_t id, int priority)
{
    const struct dlm_pick *worst = best->n ? &best->items[best->n - 1] : NULL;

    return best->n == best->cap && (!worst || before(worst->priority, worst->id, priority, id));
}

/* ---- Room ---------------------------------------------------------------------------------------------- */

static int by_origin(const void *a, const void *b)
{
    return strcmp(((const struct dlm_busy *)a)->origin, ((const struct dlm_busy *)b)->origin);
}

static int room_of(const struct dlm_busy *sorted, size_t n, const char *origin, int per_host)
{
    struct dlm_busy key = {.origin = origin};
    const struct dlm_busy *busy = n ? bsearch(&key, sorted, n, sizeof(key), by_origin) : NULL;

    return busy ? busy->room : per_host;
}

/* ---- Taking -------------------------------------------------------------------------------------------- */

static int choose_of_host(struct dlm_store *s, int64_t host, int room, struct dlm_best *best)
{
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_HOST_QUEUE, "ld", host, room);

    while (r == 0 && (r = dlm_sql_row(s, Q_HOST_QUEUE, &st)) > 0) {
        r = 0;
        if (!dlm_best_add(best, sqlite3_column_int64(st, 0), sqlite3_column_int(st, 1)))
            break;
    }
    dlm_sql_end(s, Q_HOST_QUEUE);
    return r;
}

static int choose(struct dlm_store *s, const struct dlm_busy *busy, size_t n_busy, int per_host,
                  struct dlm_best *best)
{
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_HOST_WALK, "");

    while (r == 0 && (r = dlm_sql_row(s, Q_HOST_WALK, &st)) > 0) {
        const char *origin = (const char *)sqlite3_column_text(st, 1);
        int room;

        if (!origin) {
            r = DLMGR_ENOMEM;
            break;
        }
        r = 0;
        if (hopeless(best, sqlite3_column_int64(st, 3), sqlite3_column_int(st, 2)))
            break;
        room = room_of(busy, n_busy, origin, per_host);
        if (room > 0)
            r = choose_of_host(s, sqlite3_column_int64(st, 0), room, best);
    }
    dlm_sql_end(s, Q_HOST_WALK);
    return r;
}

static int run_chosen(struct dlm_store *s, const struct dlm_best *best, struct dlm_row *rows,
                      size_t *ret_n)
{
    size_t n = 0;
    int r = 0;

    while (n < best->n && r == 0) {
        struct dlm_move m = {.id = best->items[n].id,
                             .to = DLMGR_RUNNING,
                             .bytes = -1,
                             .total = -1,
                             .attempts = -1};

        r = dlm_store_move(s, &m, NULL);
        if (r == 0)
            r = dlm_store_get(s, m.id, &rows[n]);
        if (r == 0)
            n++;
    }
    while (r < 0 && n > 0)
        dlm_row_clear(&rows[--n]);
    if (r == 0)
        *ret_n = n;
    return r;
}

static int take(struct dlm_store *s, const struct dlm_busy *busy, size_t n_busy, int per_host,
                struct dlm_best *best, struct dlm_row *rows, size_t *io_n)
{
    int r = dlm_derived_flush(s);

    if (r == 0)
        r = choose(s, busy, n_busy, per_host, best);
    return r == 0 ? run_chosen(s, best, rows, io_n) : r;
}

int dlm_store_take(struct dlm_store *s, const struct dlm_busy *busy, size_t n_busy, int per_host,
                   struct dlm_row *rows, size_t *io_n)
{
    struct dlm_best best = {.items = dlm_alloc(*io_n * sizeof(*best.items)), .cap = *io_n};
    struct dlm_busy *sorted = dlm_alloc(n_busy * sizeof(*sorted));
    int r = DLMGR_ENOMEM;

    if (best.items && sorted) {
        if (n_busy) {
            memcpy(sorted, busy, n_busy * sizeof(*sorted));
            qsort(sorted, n_busy, sizeof(*sorted), by_origin);
        }
        r = take(s, sorted, n_busy, per_host, &best, rows, io_n);
    }
    free(sorted);
    free(best.items);
    return r;
}

/* ---- Waking -------------------------------------------------------------------------------------------- */

/* The ids that the bound statement gives, at most WAKE_MAX. */
static int collect(struct dlm_store *s, int q, int64_t *ids, size_t *ret_n)
{
    sqlite3_stmt *st;
    size_t n = 0;
    int r = 0;

    while (n < WAKE_MAX && (r = dlm_sql_row(s, q, &st)) > 0)
        ids[n++] = sqlite3_column_int64(st, 0);
    dlm_sql_end(s, q);
    *ret_n = n;
    return MIN(r, 0);
}

int dlm_queue_again(struct dlm_store *s, int64_t id)
{
    struct dlm_move m = {.id = id, .to = DLMGR_QUEUED, .bytes = -1, .total = -1, .attempts = -1};

    return dlm_store_move(s, &m, NULL);
}

/* All that the bound query q finds become queued. */
static int queue_found(struct dlm_store *s, int q, size_t *ret_n)
{
    int64_t ids[WAKE_MAX];
    int r = collect(s, q, ids, ret_n);

    for (size_t i = 0; r == 0 && i < *ret_n; i++)
        r = dlm_queue_again(s, ids[i]);
    return r;
}

int dlm_store_wake(struct dlm_store *s, int64_t now, int64_t *ret_next)
{
    int64_t next = 0;
    size_t n = 0;
    int r = dlm_sql_bind(s, Q_WAKE_DUE, "ld", now, WAKE_MAX);

    if (r == 0)
        r = queue_found(s, Q_WAKE_DUE, &n);
    if (r == 0)
        r = MIN(dlm_sql_int(s, Q_WAKE_NEXT, &next, ""), 0);
    if (r == 0)
        *ret_next = next;
    return r;
}

int dlm_store_wake_late(struct dlm_store *s, int64_t limit)
{
    size_t n = 0;
    int r = dlm_sql_bind(s, Q_WAKE_LATE, "ld", limit, WAKE_MAX);

    if (r == 0)
        r = queue_found(s, Q_WAKE_LATE, &n);
    return r < 0 ? r : n == WAKE_MAX;
}

int dlm_store_wake_reason(struct dlm_store *s, const char *reason)
{
    size_t n = 0;
    int r = dlm_sql_bind(s, Q_WAKE_REASON, "sd", reason, WAKE_MAX);

    if (r == 0)
        r = queue_found(s, Q_WAKE_REASON, &n);
    return r < 0 ? r : n == WAKE_MAX;
}
