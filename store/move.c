/* SPDX-License-Identifier: MIT */
/*
 * move.c - the one function that changes a task's state.
 *
 * It asks the table in state.h, writes the row, notes what follows from it (tally, head of the host), and
 * inserts the event, all in the caller's transaction: there is no state without its event and no event
 * without its state. Rules that stand here and nowhere else:
 *
 *     - leaving an ended state begins a generation, so that its next end can be told: the journal allows
 *       one terminal event per task and generation
 *     - `waiting` is told when its reason is another one than the last told: not for each backoff
 *     - error and exit code stay with waiting and failed, and go with done and with a retry
 *     - the final path belongs to committing and done only
 *     - a done task needs no checksums of its bytes any more
 */
#include "store/internal.h"

enum { ERROR_CLEAR, ERROR_KEEP, ERROR_SET };

int dlm_task_core(struct dlm_store *s, int64_t id, const char *reason, struct dlm_core *ret)
{
    sqlite3_stmt *st;
    int r = dlm_sql_bind(s, Q_TASK_CORE, "ls", id, reason);

    if (r < 0 || (r = dlm_sql_row(s, Q_TASK_CORE, &st)) < 0)
        return r;
    if (r == 0)
        return DLMGR_ENOTFOUND;
    *ret = (struct dlm_core){.id = id,
                             .state = sqlite3_column_int(st, 0),
                             .session = sqlite3_column_int64(st, 1),
                             .host = sqlite3_column_int64(st, 2),
                             .generation = sqlite3_column_int64(st, 3),
                             .priority = sqlite3_column_int(st, 4),
                             .storage = sqlite3_column_int(st, 5),
                             .timed = sqlite3_column_int(st, 6),
                             .told = sqlite3_column_int(st, 7)};
    dlm_sql_end(s, Q_TASK_CORE);
    if (!dlm_state_name(ret->state) || ret->generation < 1 || ret->generation == INT64_MAX)
        return dlm_row_damaged(s, "task", id);
    return 0;
}

static int allowed(const struct dlm_core *core, const struct dlm_move *m)
{
    if (!dlm_state_may(core->state, m->to))
        return DLMGR_ESTATE;
    if (m->generation && m->generation != core->generation)
        return DLMGR_ESTATE;
    if ((m->to == DLMGR_WAITING && !m->wait_reason) || (m->to == DLMGR_COMMITTING && !m->path))
        return DLMGR_EINVAL;
    return 0;
}

static int error_action(const struct dlm_core *core, const struct dlm_move *m)
{
    if (m->to == DLMGR_DONE || dlm_state_ended(core->state))
        return ERROR_CLEAR;
    return m->error || m->to == DLMGR_FAILED ? ERROR_SET : ERROR_KEEP;
}

static int write_row(struct dlm_store *s, const struct dlm_core *from, const struct dlm_core *to,
                     const struct dlm_move *m)
{
    static const struct dlm_ident none;
    const struct dlm_ident *ident = m->ident ? m->ident : &none;
    bool waits = m->to == DLMGR_WAITING;

    return dlm_sql_run(s, Q_TASK_MOVE,
                       "ldlsldd"
                       "sdslll"
                       "ldlllsd",
                       m->id, m->to, to->generation, waits ? m->wait_reason : NULL,
                       waits ? m->wake_at : (int64_t)0, (int)(to->generation != from->generation),
                       error_action(from, m), m->error, m->exit_code, m->path, m->bytes, m->total,
                       m->attempts, dlm_clock_wall(), (int)(m->ident != NULL), (int64_t)ident->ino,
                       ident->btime_ns, ident->size, m->metrics, (int)m->unverified);
}

static int note_derived(struct dlm_store *s, const struct dlm_core *from, const struct dlm_core *to)
{
    int r = dlm_tally_add(s, from->session, from->state, from->storage, from->timed, -1);

    if (r == 0)
        r = dlm_tally_add(s, to->session, to->state, to->storage, to->timed, 1);
    if (r == 0 && (from->state == DLMGR_QUEUED) != (to->state == DLMGR_QUEUED))
        r = dlm_host_touch(s, to->host, 0);
    return r;
}

static int tell(struct dlm_store *s, const struct dlm_core *to)
{
    const char *type = dlm_state_event(to->state);

    if (!type || (to->state == DLMGR_WAITING && to->told))
        return 0;
    return dlm_event_add(s, to, type, dlm_state_terminal(to->state), NULL);
}

static struct dlm_core after(const struct dlm_core *from, const struct dlm_move *m)
{
    struct dlm_core to = *from;
    bool waits = m->to == DLMGR_WAITING;

    to.state = m->to;
    to.storage = waits && !strcmp(m->wait_reason, "storage");
    to.timed = waits && m->wake_at > 0;
    if (m->bump || dlm_state_ended(from->state))
        to.generation++;
    return to;
}

int dlm_store_move(struct dlm_store *s, const struct dlm_move *m, int *ret_from)
{
    struct dlm_core from, to;
    int r = dlm_task_core(s, m->id, m->wait_reason, &from);

    if (r < 0)
        return r;
    if (ret_from)
        *ret_from = from.state;
    if ((r = allowed(&from, m)) < 0)
        return r;
    to = after(&from, m);
    if ((r = write_row(s, &from, &to, m)) < 0 || (r = note_derived(s, &from, &to)) < 0)
        return r;
    if (to.state == DLMGR_DONE && (r = dlm_bytes_clear(s, m->id)) < 0)
        return r;
    return tell(s, &to);
}
