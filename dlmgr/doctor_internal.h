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
    int quarantine;    /* directory of this run, -1: not made yet */
    char moved_to[64]; /* "quarantine/TIME" */
    bool no_memory;
};

/* One problem more. name: in the home, or an absolute path. remedy NULL when fixed. */
void dlm_doctor_report(struct dlm_doctor *d, const char *name, const char *what, const char *remedy,
                       bool fixed);

/* These names of the home (ends in NULL; those that are there) together into the quarantine. True: all of them are, durably. */
bool dlm_doctor_move(struct dlm_doctor *d, const char *const *names);

/* 0, or DLMGR_ENOMEM. */
int dlm_doctor_journal(struct dlm_doctor *d);

extern const char *const dlm_doctor_journal_files[], *const dlm_doctor_secrets_files[];

#endif
