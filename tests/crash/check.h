/* SPDX-License-Identifier: MIT */
/*
 * check.h - the one checker: given what a scenario asked for and what was told to anybody, does the world keep its promises?
 *
 * A scenario fills in the wants (one a task that it adds), the files that stood there before, and a secret that
 * must not get about. After each launch, killed or not, the driver calls check_replay() with that launch's log of calls and
 * check_look() with the server's log so far, which at the end asks for more. The numbers are the promises of the design:
 *
 *     1 every id that was told is in the journal             also in the one that a power cut would leave
 *     2 the journal is not ahead of the disk                 blocks it counts are synced and right; done files are synced
 *     2 nothing is told before its row commits               what was told done is done, also after a power cut
 *     3 a file at a final name is whole                      byte for byte, and the journal knew before it got there
 *     4 no mixing                                            all blocks of a part are of one version
 *     5 one terminal event a task and generation, sequence numbers without gaps
 *     6 files that stood there are unchanged, unless to be replaced, and then either old or new
 *     7 the secret is in no file of the home but secrets.db, in no output, and never went to the other origin
 *     8 a file beside a server that misbehaves came in its time
 *     9 the owner's memory stayed below what active tasks need
 *
 * and at the end: no part left, each task in the state that was wanted with exactly one terminal event, no request after the
 * first time a task was seen done. What a kill costs is measured, not judged: `refetch` is the largest number of
 * bytes that one request asked for again although write() had taken them (judged against refetch_limit when that is >= 0).
 *
 * Each violation is one line in `out` and counts in `violations`.
 */
#ifndef CRASH_CHECK_H
#define CRASH_CHECK_H

#include "disk.h"
#include "tests/lib/fixture.h"

#include <stdio.h>

enum { CHECK_VERSIONS = 2 };

struct want {
    const char *path; /* of its URL, unique in the scenario */
    int64_t size;
    uint64_t seeds[CHECK_VERSIONS]; /* the versions it may be of; 0 ends them */
    const char *final; /* its name when all is done; NULL: none (failed, or the same was there) */
    const char *other; /* or this one, when two tasks want one name; NULL */
    bool restarts;     /* it cannot be continued: what is fetched twice is not counted */
    bool elsewhere;    /* not on the server whose log is looked at */
    const char *claim; /* when done, an app may have moved it here (absolute); NULL */
    bool forgotten;    /* its task may have been removed */
    const char *state; /* "done", "failed": when all is done */
    int64_t within_ms; /* of the server's first request its last one has ended; 0: not judged */
    /* The checker's memory. */
    int64_t id;
    bool told_done;
    int64_t asked_when_done; /* requests when it was first seen done, -1 not yet */
    struct ranges taken;     /* what write() had taken at the last kill */
};

struct kept { /* stood in the directory before */
    const char *name;
    int64_t size;
    uint64_t seed;
    bool replaced; /* a task was asked to replace it */
};

struct check {
    const char *home, *dest, *tmp; /* absolute; tmp: a directory for copies */
    struct want *wants;
    size_t n_wants;
    const struct kept *kept;
    size_t n_kept;
    const char *secret; /* NULL none */
    bool acks;          /* events are acknowledged, so their rows go */
    int64_t refetch_limit;
    int64_t memory_limit; /* KiB; 0: not judged */
    FILE *out;
    /* Facts: ids that somebody was told. */
    int64_t ids[64];
    size_t n_ids;
    /* Results. */
    int violations;
    int64_t refetch, memory; /* the largest */
    /* Memory. */
    struct disk disk;
    int64_t asked; /* highest request id of the earlier launches */
};

void check_init(struct check *c);
void check_told_id(struct check *c, int64_t id);
void check_replay(struct check *c, const char *calls); /* the log of one launch */
int check_look(struct check *c, const struct fx_log *log,
               bool end); /* how many violations it found */
/* The most memory (KiB) that the program of a launch had. */
void check_memory(struct check *c, int64_t kib);
/* What a launch printed may not hold the secret. */
void check_secret_text(struct check *c, const char *what, const char *text);
/* No text of `log`'s requests, and no file below dir (but secrets.db*), may hold the secret. */
void check_secret_log(struct check *c, const struct fx_log *log);
void check_secret_files(struct check *c, const char *dir);
void check_free(struct check *c);

/* ---- Between the checker's files ------------------------------------------------------------------ */

void check_say(struct check *c, int promise, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The want that a URL is for; NULL. */
struct want *check_want_of(struct check *c, const char *url);
/* Which version of the want these bytes are, from 0; -1 none of them. */
int check_version(const struct want *w, const char *file, int64_t start, int64_t end);

struct check_task { /* a row, as one image of the journal has it */
    int64_t id, generation;
    char state[16];
    struct want *want;
    char part[512], path[1024]; /* absolute; "" none */
};

struct check_tasks {
    struct check_task *at;
    size_t n;
    bool readable; /* false: there is no journal in this image */
};

/* Read and judge the journal: as it stands (cut false), or as a power cut would leave it. Free ret->at. */
void check_journal(struct check *c, bool cut, bool end, struct check_tasks *ret);
void check_files(struct check *c, const struct check_tasks *now, const struct check_tasks *cut,
                 bool end);
void check_requests(struct check *c, const struct check_tasks *now, const struct fx_log *log,
                    bool end);

#endif
