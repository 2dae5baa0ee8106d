/* SPDX-License-Identifier: MIT */
/*
 * doctor_internal.h - between doctor.c (the home and its files) and doctor_journal.c (what the journal says).
 */
#ifndef DLM_DOCTOR_INTERNAL_H
#define DLM_DOCTOR_INTERNAL_H

#include "dlmgr/home.h"
#include "dlmgr/json.h"

struct dlm_doctor {
    struct dlm_home *home;
    bool fix;
    json_t *problems;
    json_t *salvage;   /* what became of a damaged journal; NULL: there was none */
    int quarantine;    /* directory of this run, -1: not made yet */
    char moved_to[64]; /* "quarantine/TIME" */
    bool no_memory;
};

/* One problem more. name: in the home, or an absolute path. remedy NULL when fixed. */
void dlm_doctor_report(struct dlm_doctor *d, const char *name, const char *what, const char *remedy,
                       bool fixed);

/* These names of the home (ends in NULL; those that are there) together into the quarantine. True: all of them are, durably. */
bool dlm_doctor_move(struct dlm_doctor *d, const char *const *names);

/* One problem more, and where it was moved to, if it was. */
void dlm_doctor_say_moved(struct dlm_doctor *d, const char *name, const char *what,
                          const char *remedy, bool moved);
/* A message without the path that it begins with. */
const char *dlm_doctor_text(const dlmgr_error *e);

/*
 * The journal is damaged: see what can be carried over into a new one, and with fix do that and move the old one away. Once a run. True: the new one is in its place.
 */
bool dlm_doctor_salvage(struct dlm_doctor *d);
/* One that a crash interrupted. False: it is waiting still, which was reported. */
bool dlm_doctor_salvage_again(struct dlm_doctor *d);

/* 0, or DLMGR_ENOMEM. */
int dlm_doctor_journal(struct dlm_doctor *d);

extern const char *const dlm_doctor_journal_files[], *const dlm_doctor_secrets_files[];

#endif
