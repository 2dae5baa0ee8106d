/* SPDX-License-Identifier: MIT */
/*
 * cases.h - a case: a story, a call, the how manieth it is, an error that it can give, once or from then on for ever.
 *
 * Its name, STORY:CALL:NTH:ERROR:once or :ever, is what repeats it.
 */
#ifndef FAULTS_CASES_H
#define FAULTS_CASES_H

#include "tell.h"

struct options {
    int jobs;
    long some;
    unsigned long seed;
    const char *one, *only;
    bool keep, patient, once;
};

enum { CASES_MAX = 60000 };

extern struct fault_case *cases; /* room for CASES_MAX */
extern int n_cases;

/* Static, until the next call. */
const char *case_name(const struct fault_case *c);
bool case_parse(const char *text, struct fault_case *ret);
bool case_is_sqlite(int call); /* one that SQLite asks its VFS for */

/* Tells the story without a fault, and appends its cases. 0 or -errno, after words. */
int cases_of_story(int story, const struct options *o);
/* Leaves only those that are wanted, in the seed's order. */
void cases_choose(const struct options *o);

#endif
