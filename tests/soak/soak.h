/* SPDX-License-Identifier: MIT */
/*
 * soak.h - what the parts of the soak share: a world is a home with an owner in a process of its own, and the jobs that it was given.
 *
 * There are two worlds. The calm one has one owner from begin to end, so that its memory and descriptors can be compared; the owner of the
 * stormy one is killed, stopped and started again all the time. The same is done to both: acts.c asks for it, judge.c reads the events and looks at
 * the files, owner.c tends the process. What must never be is counted by wrong(), and said.
 */
#ifndef TEST_SOAK_H
#define TEST_SOAK_H

#include "dlmgr.h"
#include "tests/lib/fixture.h"
#include "tests/lib/lies.h"

#include <sys/types.h>

#define SOAK_SESSION "soak"

enum { JOBS = 24, KEY = 32 };

/* What is to be done to a job until the owner has said that it is: it may die while it is asked. */
enum errand { NOTHING, ADD, RETRY, REMOVE, REMOVED };

struct job {
    char key[KEY]; /* also the file's name; "": this place is free */
    int64_t id;    /* 0: not known yet */
    struct lies lies;
    enum errand errand;
    bool checked;  /* has the digest of version 1 */
    bool stranger; /* a file of ours was put where it wants to have its name */
};

struct usage {
    long kib, descriptors; /* the most that was seen */
};

struct world {
    const char *name;
    bool stormy;
    char home[300], dir[300];
    struct fx *fx;
    dlmgr *handle;

    pid_t owner; /* 0: none */
    bool asked;  /* to end, or killed */
    int64_t strike_at, start_at;
    struct usage early, late; /* in the second minute (or half of the time), and in the last */

    struct job jobs[JOBS];
    int named;          /* jobs so far */
    int64_t seq, acked; /* of the last event that was read, and surely acknowledged */
    int64_t *ended;     /* by task: the generation of its last terminal event, plus 1 */
    size_t ended_room;  /* of it */
    long done, failed, cancelled, restarted, kills, acts, unknown, full;
};

int64_t soak_now(void); /* monotonic ms */
void wrong(const struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void soak_path(const struct world *w, const char *name, char out[700]);
/* A call that an owner's end may spoil: 0, or a code that was expected; everything else is wrong. */
int soak_expect(struct world *w, const char *what, int r, const dlmgr_error *e);

/* owner.c */
void owner_tend(struct world *w); /* start what is down, now and then strike the stormy one */
void owner_calm(struct world *w); /* start it, and strike no more */
void owner_stop(struct world *w);
void owner_measure(struct world *w, struct usage *u);

/* acts.c */
void act_random(struct world *w);
void act_errands(struct world *w);
void act_script(struct world *w, struct job *j); /* tell the server */
/* Be honest from now on, and let it run as fast as it can. */
void act_end(struct world *w, struct job *j);

/* judge.c */
void judge_events(struct world *w);
void judge_list(struct world *w); /* each job that was acknowledged is there */
void judge_end(struct world *w);  /* of a stopped world: nothing is left */

#endif
