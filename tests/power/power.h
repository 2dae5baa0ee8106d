/* SPDX-License-Identifier: MIT */
/*
 * power.h - what is left when the power goes: the stories, the program that is recorded, and the judge of each state.
 *
 * A story is items and launches. A launch is this program again under the killer (`power --tell ...`), which does with the library what an
 * app does, and writes a line to its stdout for all that it was told. The same function goes on from a crash state, in the
 * judge's own process.
 */
#ifndef POWER_POWER_H
#define POWER_POWER_H

#include "image.h"
#include "tests/crash/check.h"
#include "tests/lib/fixture.h"

#include <dlmgr.h>

#define POWER_SECRET "s3cret-t0ken-5f1e"

enum { POWER_ITEMS = 14, POWER_LAUNCHES = 4 };

struct item {
    const char *path, *query; /* of its URL; the path is its key too */
    int64_t size;
    uint64_t seed;
    const char *final; /* as in struct want */
    const char *claim; /* the name that the app gives it in its own directory; NULL none */
    const char *header;
    int on_exists, connections;
    bool early;  /* added before there is an owner */
    bool fails;  /* it ends as failed */
    bool remove; /* its task is removed when all is done */
};

enum launch_kind {
    LAUNCH_NONE,
    LAUNCH_ADD,  /* adds the early ones without an owner */
    LAUNCH_OWN,  /* owns, adds the rest, and ends when all have ended */
    LAUNCH_LOOK, /* says which tasks there are */
};

struct power_story {
    const char *name;
    struct item items[POWER_ITEMS];
    struct kept kept[6];
    enum launch_kind launches[POWER_LAUNCHES];
    bool killed_unsynced; /* the first launch is killed when its last commit is written and not synced */
    int64_t rate;         /* while it is recorded */
};

extern const struct power_story power_stories[];
extern const size_t n_power_stories;

/* ---- The program ------------------------------------------------------------------------------------- */

struct facts; /* what was told so far */

struct app_place {
    const struct power_story *story;
    const char *home, *dest, *claims; /* absolute */
    const char *url;                  /* of the server, without a final slash */
    struct fx *fx;                    /* the server, for the judge */
    int told;                         /* lines go there; -1 nowhere */
    const struct facts *facts;        /* going on after a crash with what it knows; NULL */
    int wrong;                        /* it was told again what it had acknowledged */
    char why[600];                    /* the last error */
};

/* One launch: 0 or a DLMGR_E... */
int app_launch(struct app_place *p, enum launch_kind kind);

/* ---- Recording ---------------------------------------------------------------------------------------- */

struct scene { /* a story's files: below dir, of which disk holds what the power may take */
    const struct power_story *story;
    char dir[200], disk[220], home[240], dest[240], claims[240], tmp[220];
    struct fx *fx;
    char *url;
    struct tape tape;
    struct image image; /* as it was at first */
};

/* Make the files and record the launches; again: the directory of a telling that was kept, which is read and not recorded. 0 or -errno. */
int scene_make(struct scene *s, const struct power_story *story, const char *again);
void scene_free(struct scene *s, bool keep);
struct app_place scene_place(const struct scene *s);

/* ---- The judge ------------------------------------------------------------------------------------------ */

struct facts {
    struct check check; /* with the wants, and what was told of them */
    struct want wants[POWER_ITEMS];
    int64_t acked[64], removed[16];
    size_t n_acked, n_removed;
    bool claimed[POWER_ITEMS];
};

/* Nothing was told yet. */
void facts_init(struct facts *f, const struct scene *s);
void facts_free(struct facts *f);
/* Lines that a launch said. */
void facts_hear(struct facts *f, const unsigned char *text, size_t len);
bool facts_acked(const struct facts *f, int64_t seq);
bool facts_forgot(const struct facts *f, const char *key); /* its task may have been removed */

/* The state that stands in p->home and p->dest; on: go on from there to the end. How many violations, said on out. */
int judge(const struct facts *f, struct app_place *p, bool on, FILE *out);

/* ---- Walking ---------------------------------------------------------------------------------------------- */

struct without { /* a sync that is taken out */
    const char *name, *story, *what;
    image_without fn;
};

extern const struct without withouts[];
extern const size_t n_withouts;

struct options {
    int jobs, choices, stride, on;
    uint64_t seed;
    const char *without, *again;
    long at;
    int choice;
    bool keep; /* the files stay */
};

struct sum {
    long positions, made, judged, on, violations;
    long found_after; /* with a sync taken out: states until the first violation */
    bool trouble;     /* of our own */
};

/* The image whose files are on the disk just now: they are who they were. NULL: none. */
extern const struct image *power_judged;

void power_walk(const struct power_story *story, const struct options *o,
                const struct without *without, struct sum *sum);

#endif
