/* SPDX-License-Identifier: MIT */
/*
 * salvage.h - between salvage_file.c (where things stand), salvage.c (what is carried over) and salvage_mend.c (what must hold then); the rest is in store.h.
 */
#ifndef DLM_STORE_SALVAGE_H
#define DLM_STORE_SALVAGE_H

#include "store/pages.h"

/*
 * Carry over into s, an empty journal, what can be read of the database in fd. reserved: bytes at the end of each page that are not SQLite's.
 * free_known: its first page is its own. mark: how many changes there had been at least. Adds to *sum; fn gets a line for each thing that is lost or changed.
 */
int dlm_salvage_rows(struct dlm_store *s, int fd, unsigned reserved, bool free_known, int64_t mark,
                     struct dlm_salvage *sum, dlm_problem_fn fn, void *context);

struct dlm_mending {
    struct dlm_store *s;
    struct dlm_salvage *sum;
    int64_t last_task; /* the highest id that was given out; 0: not known */
    bool doubt;        /* more had happened than the journal says */
    dlm_problem_fn fn;
    void *context;
};

/* In the transaction of the caller. */
int dlm_salvage_mend(const struct dlm_mending *m);

#endif
