/* SPDX-License-Identifier: MIT */
/*
 * story.h - a crash story: what a user types, what the servers do, and how it must end; and the driver that tells it.
 *
 * A story is a list of commands that may be typed again and again: adding carries keys, so that adding twice is
 * adding once. The driver types them under the killer, kills before the Nth counted call, types all of them again (perhaps
 * with a second kill during that recovery), and again, until they end by themselves. After each launch the one
 * checker looks at the world.
 *
 * In a command or list, $U and $V are two origins, $D the destination, $L the list's file. What a command prints is
 * what somebody was told: a number is an id, a path is a finished file, an exit code 0 at the end says that all is done.
 */
#ifndef CRASH_STORY_H
#define CRASH_STORY_H

#include "check.h"

enum step_kind {
    STEP_END,
    STEP_ALONE,  /* one after the other; the kill falls into any of them */
    STEP_OWNER,  /* stays behind and serves those that follow; only it is killed */
    STEP_CLIENT, /* beside the owner; may fail when that was killed */
};

struct step {
    enum step_kind kind;
    const char *words; /* after `dlmgr --home HOME` */
    int code;          /* it ends with 0, or with this */
};

enum {
    ANY_CODE = -1
}; /* what failed first, or whether there was still something to do, depends on the kills */

enum { STORY_STEPS = 8, STORY_WANTS = 16, STORY_KEPT = 6 };

struct story {
    const char *name;
    const char *script;  /* of $U: lines of the fixture server's script */
    const char *script2; /* of $V */
    const char *list;    /* $L */
    struct step steps[STORY_STEPS];
    struct want wants[STORY_WANTS];
    struct kept kept[STORY_KEPT];
    const char *secret;
    bool slow; /* it takes seconds: told less often */
};

struct kills {
    long at, again; /* the Nth call of the first launch and of the next; 0: none */
    bool power;     /* after the first kill the power goes too: what was not synced is lost */
};

struct outcome {
    long calls, recovery; /* counted in the first launch, and in the second */
    int kills, recovery_kills, violations;
    int64_t refetch, memory;
    char where[512]; /* the evidence, when there are violations */
};

extern const struct story stories[];
extern const size_t n_stories;

/* One telling. 0, or -errno when the driver itself cannot work. keep: the directory stays. */
int story_tell(const struct story *story, const struct kills *kills, bool keep, struct outcome *ret);

/* ---- Between the driver's files ---------------------------------------------------------------------- */

struct world { /* one telling's files and processes */
    const struct story *story;
    char dir[256], home[300], dest[300], tmp[300], list[300], bin[4096];
    struct fx *first, *second;
    struct want wants[STORY_WANTS];
    struct check check;
    FILE *report;
    int launches;
    int timeout; /* seconds that a command may take, 60 at first */
};

int world_make(struct world *w, const struct story *story);
void world_free(struct world *w, bool keep);
/* $U, $V, $D and $L in it; yours. */
char *world_fill(const struct world *w, const char *text);
/* Lose what was not synced: the home and the destination become what a power cut leaves. */
int world_power_cut(struct world *w);

struct launch { /* a command under the killer */
    const struct step *step;
    pid_t pid; /* of its killer; 0 ended */
    char calls[400], out[400], err[400];
    int code;       /* its exit code: 137 killed, 124 took too long */
    long count;     /* calls */
    int64_t memory; /* KiB */
};

int launch_start(struct world *w, const struct step *step, long kill_at, struct launch *ret);
/* Wait at most ms; true when it has ended. */
bool launch_wait(struct launch *l, int ms);
/* What it printed; yours, "" when nothing. */
char *launch_text(const char *file);
/* What its output told somebody is from now on held against the world. */
void story_hear(struct world *w, const struct launch *l);

#endif
