/* SPDX-License-Identifier: MIT */
/*
 * image.h - a model of a disk below one directory: what is firm, what is pending, and what a power cut may leave of it.
 *
 * Strict, as POSIX has it: bytes and length are firm after a sync of the file, names after a sync of their directory, all of it after
 * syncfs. Until then each write, each change of a length and each change of a name is *pending*: it may have reached the disk alone, without
 * what came before it. A write may be torn (some of its sectors of 512 bytes came), or only its length came, with zeros. Two mercies that
 * journaling file systems grant: a rename is one change, and a mode goes to the disk with the directory that the file stands in.
 *
 * A crash state is what is firm, and those of the pending changes that a choice takes. Choices below IMAGE_FIXED are always the same
 * (none, all, all but the first, the last alone, all with the last torn, lengths without bytes), the others follow from the seed.
 */
#ifndef POWER_IMAGE_H
#define POWER_IMAGE_H

#include "tape.h"

#include <stdbool.h>

enum { IMAGE_FIXED = 6 };

struct change { /* of one thing: of a file's bytes, or of a directory's names */
    const struct op *op;
    int thing;
    int from, target; /* of names: the directory that loses one (or -1), and what the name is of */
};

struct name {
    char *text;
    int thing;
};

struct names { /* sorted */
    struct name *at;
    size_t n;
};

struct bytes {
    unsigned char *at;
    int64_t size, room;
};

struct thing { /* what the kernel calls an inode */
    bool dir;
    uint64_t ino;
    int64_t btime_ns;
    unsigned mode;
    struct names names, now; /* firm; as the processes see it */
    struct bytes bytes;      /* firm */
    /* The state that was chosen last. */
    struct names chosen;
    struct bytes scratch;
    unsigned chosen_mode;
    uint64_t made; /* the inode that it has there */
};

/* Was the sync taken out that would make this firm? */
typedef bool (*image_without)(const struct change *c, const struct op *sync);

struct image {
    char *root;
    struct thing *things; /* 0 is the root */
    size_t n;
    struct change *pending; /* oldest first */
    size_t n_pending;
    image_without without; /* NULL: none */
};

/* What is below root now, all of it firm. 0 or -errno. */
int image_load(struct image *im, const char *root);
void image_step(struct image *im, const struct op *op);
/* Make a state in memory; its hash. */
uint64_t image_choose(struct image *im, uint64_t seed, int choice);
/* Put it on the disk, in place of all that is below root. What was mapped may hold anything. 0 or -errno. */
int image_put(struct image *im, uint64_t seed);
/* Which file has this inode since image_put(): what it was; NULL. */
const struct thing *image_was(const struct image *im, uint64_t ino);
/* Is what is below root what the state says? How many names and files differ, each a line on stdout. */
int image_compare(const struct image *im);
void image_free(struct image *im);

/* ---- Between its files ---------------------------------------------------------------------------- */

int image_add(struct image *im, bool dir, unsigned mode); /* a thing; its number */
uint64_t draw_next(uint64_t *state);
void names_set(struct names *names, const char *text, int thing); /* thing -1: takes it away */
void names_copy(struct names *to, const struct names *from);
int names_find(const struct names *names, const char *text); /* -1 */
void bytes_size(struct bytes *b, int64_t size);
void change_apply(struct image *im, const struct change *c, bool chosen);

#endif
