/* SPDX-License-Identifier: MIT */
/*
 * list.c - pages of tasks, oldest first, and how many there are of each state.
 *
 * A page must cost what it shows and not what it steps over, whatever the filter. Without one the rows are read in
 * the order of their ids. With one, the tally says which pairs of session and state have tasks at all; of each
 * pair the next ids come from the index tasks_listed, and the lowest of all are kept in a sorted array
 * as long as the page. The rows are then read by id.
 *
 * A page is one read transaction and ends with it, so that no reader holds the WAL.
 */
#include "store/internal.h"

#define PAGE_MAX 1000
#define PAIRS_AT_ONCE 64

struct pair {
    int64_t session;
    int state;
};

struct pairs {
    struct pair *items;
    size_t n;
};

static bool filtered(const struct dlm_filter *f)
{
    const unsigned all = (1u << DLM_STATES) - 1;

    return f->session || (f->states && (f->states & all) != all);
}

static int pairs_add(struct pairs *p, int64_t session, int state)
{
    struct pair *items;

    if (p->n % PAIRS_AT_ONCE == 0) {
        items = dlm_realloc(p->items, (p->n + PAIRS_AT_ONCE) * sizeof(*items));
        if (!items)
            return DLMGR_ENOMEM;
        p->items = items;
    }
    p->items[p->n++] = (struct pair){.session = session, .state = state};
    return 0;
}

static int pairs_read(struct dlm_store *s, const struct dlm_filter *f, struct pairs *p)
{
    unsigned states = f->states ? f->states : ~0u;
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_TALLY_PAIRS, "s", f->session);

    while (r == 0 && (r = dlm_sql_row(s, Q_TALLY_PAIRS, &st)) > 0) {
        int state = sqlite3_column_int(st, 1);

        r = states & (1u << state) ? pairs_add(p, sqlite3_column_int64(st, 0), state) : 0;
    }
    dlm_sql_end(s, Q_TALLY_PAIRS);
    return r;
}

static int ids_bound(struct dlm_store *s, int q, struct dlm_best *best)
{
    sqlite3_stmt *st;
    int r = 0;

    while ((r = dlm_sql_row(s, q, &st)) > 0)
        if (!dlm_best_add(best, sqlite3_column_int64(st, 0), 0))
            break;
    dlm_sql_end(s, q);
    return MIN(r, 0);
}

static int ids_of_pairs(struct dlm_store *s, const struct dlm_filter *f, struct dlm_best *best)
{
    struct pairs pairs = {0};
    int r = pairs_read(s, f, &pairs);

    for (size_t i = 0; i < pairs.n && r == 0; i++) {
        r = dlm_sql_bind(s, Q_TASK_IDS_OF, "ldll", pairs.items[i].session, pairs.items[i].state,
                         f->after, (int64_t)best->cap);
        if (r == 0)
            r = ids_bound(s, Q_TASK_IDS_OF, best);
    }
    free(pairs.items);
    return r;
}

static int ids(struct dlm_store *s, const struct dlm_filter *f, struct dlm_best *best)
{
    int r = s->in_tx ? dlm_derived_flush(s) : 0;

    if (r < 0)
        return r;
    if (filtered(f))
        return ids_of_pairs(s, f, best);
    r = dlm_sql_bind(s, Q_TASK_IDS, "ll", f->after, (int64_t)best->cap);
    return r == 0 ? ids_bound(s, Q_TASK_IDS, best) : r;
}

int dlm_store_ids(struct dlm_store *s, const struct dlm_filter *f, int64_t *ret_ids, size_t *io_n)
{
    struct dlm_best best = {.items = dlm_alloc(*io_n * sizeof(*best.items)), .cap = *io_n};
    int begun, r;

    if (!best.items)
        return DLMGR_ENOMEM;
    begun = dlm_read_begin(s);
    r = begun < 0 ? begun : ids(s, f, &best);
    dlm_read_end(s, begun);
    if (r == 0) {
        for (size_t i = 0; i < best.n; i++)
            ret_ids[i] = best.items[i].id;
        *io_n = best.n;
    }
    free(best.items);
    return r;
}

static int show(struct dlm_store *s, int64_t id, dlm_row_fn fn, void *context)
{
    struct dlm_row row = {0};
    int r = dlm_store_get(s, id, &row);

    if (r == 0)
        r = fn(&row, context);
    dlm_row_clear(&row);
    return r;
}

int dlm_store_list(struct dlm_store *s, const struct dlm_filter *f, dlm_row_fn fn, void *context)
{
    size_t room = f->limit > 0 && f->limit < PAGE_MAX ? (size_t)f->limit : PAGE_MAX;
    struct dlm_best best = {.items = dlm_alloc(room * sizeof(*best.items)), .cap = room};
    int begun, r;

    if (!best.items)
        return DLMGR_ENOMEM;
    begun = dlm_read_begin(s);
    r = begun < 0 ? begun : ids(s, f, &best);
    for (size_t i = 0; i < best.n && r == 0; i++)
        r = show(s, best.items[i].id, fn, context);
    dlm_read_end(s, begun);
    free(best.items);
    return r;
}

int dlm_store_tally(struct dlm_store *s, struct dlm_tally *ret)
{
    struct dlm_tally tally = {0};
    sqlite3_stmt *st;
    int r = s->in_tx ? dlm_derived_flush(s) : 0;

    if (r == 0)
        r = dlm_sql_bind(s, Q_TALLY_SUM, "");
    while (r == 0 && (r = dlm_sql_row(s, Q_TALLY_SUM, &st)) > 0) {
        int state = sqlite3_column_int(st, 0);
        int64_t n = sqlite3_column_int64(st, 1);

        r = 0;
        if (state == DLM_TALLY_STORAGE)
            tally.waiting_storage = n;
        else if (state == DLM_TALLY_TIMED)
            tally.waiting_timed = n;
        else if (state >= 0 && state < DLM_STATES)
            tally.by_state[state] = n;
    }
    dlm_sql_end(s, Q_TALLY_SUM);
    if (r == 0)
        *ret = tally;
    return r;
}
