/* SPDX-License-Identifier: MIT */
/*
 * tell.h - one telling of a story with one fault, and again without: what came of it.
 */
#ifndef FAULTS_TELL_H
#define FAULTS_TELL_H

#include "faults.h"
#include "tests/crash/story.h"

struct fault_case {
    int story, call, err; /* err 0: short */
    long nth;             /* 0: none, only count */
    bool forever;
    bool patient; /* it is not asked to stop, but given its time to end by itself */
};

struct fault_result {
    long fired;
    int code;       /* the first that was not 0 */
    int violations; /* what they are was printed into `report` */
    bool hung, asked;
    char by[600];
};

extern const struct story fault_stories[];
extern const int n_fault_stories;

/* counts (may be NULL): what the telling counted. 0, or -errno when the driver itself cannot work. */
int fault_tell(const struct fault_case *c, bool keep, struct faults *ret_counts, FILE *report,
               struct fault_result *ret);

#endif
