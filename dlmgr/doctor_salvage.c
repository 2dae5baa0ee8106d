/* SPDX-License-Identifier: MIT */
/*
 * doctor_salvage.c - a damaged journal: what can be read of it goes into a new one, and the old one into the quarantine. See doctor.h.
 *
 *     build the new one beside it    nothing has changed until it is whole
 *     move the old one away          nobody opens anything meanwhile: the new one waits, and says so
 *     put the new one in its place
 *
 * Whatever ends it in between, the next `doctor --fix` goes on. Ids and the numbers of secrets stay what they were, so secrets.db and slots stay too; only when
 * no task could be saved they go with the old journal, where they mean something.
 */
#include "dlmgr/doctor_internal.h"
#include "store/store.h"

#include <stdio.h>

#define DB_FILES(name) name, name "-wal", name "-shm", name "-journal"

static const char *const journal_alone[] = {DB_FILES("journal.db"), NULL};

static const char *const kinds[DLM_SAVED_KINDS] = {
    [DLM_SAVED_SESSIONS] = "sessions", [DLM_SAVED_TASKS] = "tasks", [DLM_SAVED_SOURCES] = "mirrors",
    [DLM_SAVED_BLOCKS] = "blocks",     [DLM_SAVED_HINTS] = "hints", [DLM_SAVED_EVENTS] = "events",
    [DLM_SAVED_SETTINGS] = "settings",
};

static void note(const char *what, void *context)
{
    json_array_append_new(context, dlm_bytes_to_json(what, strlen(what)));
}

static json_t *counts(const struct dlm_salvage *sum, bool lost)
{
    json_t *result = json_object();

    for (size_t i = 0; i < DLM_SAVED_KINDS; i++)
        json_object_set_new(result, kinds[i],
                            json_integer(lost ? sum->kinds[i].lost : sum->kinds[i].saved));
    if (lost) {
        json_object_set_new(result, "pages", json_integer(sum->bad_pages));
        json_object_set_new(result, "changes", json_integer(sum->changes));
    }
    return result;
}

static void set_result(struct dlm_doctor *d, const struct dlm_salvage *sum, json_t *notes,
                       bool placed)
{
    d->salvage = json_pack("{s:b, s:o, s:o, s:O, s:s?}", "done", (int)placed, "saved",
                           counts(sum, false), "lost", counts(sum, true), "notes", notes, "kept",
                           placed ? d->moved_to : NULL);
    if (!d->salvage)
        d->no_memory = true;
}

/* The old one away, the new one there. */
static bool place(struct dlm_doctor *d, const char *const *old)
{
    dlmgr_error e = {0};

    if (dlm_store_salvage_unplaced(d->home->fd) && !dlm_doctor_move(d, old)) {
        dlm_doctor_report(d, "journal.db", "cannot be moved to the quarantine",
                          "look at the disk, and try again", false);
        return false;
    }
    if (dlm_store_salvage_place(d->home->fd, d->home->path, &e) == 0)
        return true;
    dlm_doctor_report(d, "journal.db", e.text, "look at the disk, and try again", false);
    return false;
}

bool dlm_doctor_salvage(struct dlm_doctor *d)
{
    CLEANUP_JSON json_t *notes = json_array();
    struct dlm_salvage sum;
    dlmgr_error e = {0};
    bool placed = false;
    int r;

    if (d->salvage || !notes)
        return false;
    r = dlm_store_salvage(d->home->fd, d->home->path, d->fix, &sum, note, notes, &e);
    if (r < 0) {
        dlm_doctor_report(d, "journal.db", e.text, "look at the disk, and try again", false);
        return false;
    }
    if (d->fix)
        placed = place(d,
                       sum.kinds[DLM_SAVED_TASKS].saved ? journal_alone : dlm_doctor_journal_files);
    set_result(d, &sum, notes, placed);
    return placed;
}

bool dlm_doctor_salvage_again(struct dlm_doctor *d)
{
    static const char what[] = "was being mended, and that was interrupted";
    bool placed;

    if (!dlm_store_salvage_waits(d->home->fd))
        return true;
    placed = d->fix && place(d, journal_alone);
    dlm_doctor_report(d, "journal.db", what, "`dlmgr doctor --fix` goes on with it", placed);
    return placed;
}
