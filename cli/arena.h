/* SPDX-License-Identifier: MIT */
/*
 * arena.h - strings that live and die together.
 *
 * A list of a million lines becomes batches of a thousand requests with a dozen strings each. They are all
 * forgotten at once when the batch is added, so each batch takes its memory from one arena and nobody frees
 * a single string. What comes from an arena is valid until cli_arena_reset() or cli_arena_free().
 */
#ifndef CLI_ARENA_H
#define CLI_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *first; /* the one that is filled now */
};

/* A growing array of strings that ends in NULL, as dlmgr_request wants it. items is NULL while it is empty. */
struct strings {
    const char **items;
    size_t n, room;
};

/* Zeroed memory. Running out of memory ends the program with a message and 1: the command line has nothing better. */
void *cli_arena_alloc(struct arena *arena, size_t n);
char *cli_arena_copy(struct arena *arena, const char *text, size_t n);
char *cli_arena_print(struct arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), nonnull(2)));

/* Forget all strings, keep one chunk for the next round. */
void cli_arena_reset(struct arena *arena);
void cli_arena_free(struct arena *arena);

/* Append; an array that shares its items with a copy of it must be cut first (cli_strings_cut). */
void cli_strings_add(struct strings *strings, struct arena *arena, const char *text);

/* Make a copy of the array its own, so that adding to it leaves the original alone. */
void cli_strings_cut(struct strings *strings, struct arena *arena);

#endif
