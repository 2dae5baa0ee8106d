/* SPDX-License-Identifier: MIT */
/*
 * lies.h - a file of two versions at a server that does everything wrong by turns and is honest in the end.
 *
 * Two versions of one size or not, with strong, weak or no validators; the steps of the script (fixtures/README.md) are cut, reset, dropped, lied
 * about, refused. Whatever happened, a finished file must be one of the two versions to the byte. The dice are the test's: the same seed gives the same scripts.
 */
#ifndef TEST_LIES_H
#define TEST_LIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A sequence of its own for each seed. dice_roll: 0 to n - 1. */
void dice_seed(uint64_t seed);
unsigned dice_roll(unsigned n);

struct lies {
    int64_t size[3];   /* of version 1 and 2 */
    unsigned validate; /* 0 strong, 1 weak, 2 none, 3 Last-Modified */
    bool may_be_short; /* without a length, the end of the connection is all there is to go by */
    char script[3000];
    size_t len;
};

/* At most so many bytes (over 200,000), but one in large_in (0: none) is large enough for several connections. */
void lies_make(struct lies *l, unsigned steps, unsigned most, unsigned large_in);
/* The same versions, but other steps. */
void lies_again(struct lies *l, unsigned steps);
/* Nothing but one version from now on. */
void lies_end(struct lies *l, int version);
/* Is the file at path, of which the journal says that it has total bytes, one of the versions? */
bool lies_good(const struct lies *l, const char *path, int64_t total);

#endif
