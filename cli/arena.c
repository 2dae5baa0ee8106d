/* SPDX-License-Identifier: MIT */
/*
 * arena.c - a bump allocator over a list of chunks: see arena.h.
 *
 * A chunk is 64 KiB, or as large as one big string needs. Resetting keeps the newest chunk, so a list in steady
 * state allocates nothing from one batch to the next.
 */
#include "cli/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 * 1024, ALIGN = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, room;
    char bytes[] __attribute__((aligned(16)));
};

static struct arena_chunk *chunk_new(size_t room)
{
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + room);

    if (!chunk) {
        fputs("dlmgr: out of memory\n", stderr);
        exit(1);
    }
    *chunk = (struct arena_chunk){.room = room};
    return chunk;
}

void *cli_arena_alloc(struct arena *arena, size_t n)
{
    size_t want = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct arena_chunk *chunk = arena->first;
    void *place;

    if (!chunk || chunk->room - chunk->used < want) {
        chunk = chunk_new(want > CHUNK ? want : CHUNK);
        chunk->next = arena->first;
        arena->first = chunk;
    }
    place = chunk->bytes + chunk->used;
    chunk->used += want;
    return memset(place, 0, want);
}

char *cli_arena_copy(struct arena *arena, const char *text, size_t n)
{
    char *copy = cli_arena_alloc(arena, n + 1);

    memcpy(copy, text, n);
    return copy;
}

char *cli_arena_print(struct arena *arena, const char *fmt, ...)
{
    va_list ap, again;
    char *text;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    text = cli_arena_alloc(arena, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}

static void chunks_free(struct arena_chunk *chunk)
{
    while (chunk) {
        struct arena_chunk *next = chunk->next;

        free(chunk);
        chunk = next;
    }
}

void cli_arena_reset(struct arena *arena)
{
    if (!arena->first)
        return;
    chunks_free(arena->first->next);
    arena->first->next = NULL;
    arena->first->used = 0;
}

void cli_arena_free(struct arena *arena)
{
    chunks_free(arena->first);
    arena->first = NULL;
}

void cli_strings_cut(struct strings *strings, struct arena *arena)
{
    const char **items;

    if (!strings->items)
        return;
    items = cli_arena_alloc(arena, (strings->n + 1) * sizeof(*items));
    memcpy(items, strings->items, strings->n * sizeof(*items));
    strings->items = items;
    strings->room = strings->n;
}

void cli_strings_add(struct strings *strings, struct arena *arena, const char *text)
{
    if (strings->n == strings->room) {
        size_t room = strings->room ? strings->room * 2 : 4;
        const char **items = cli_arena_alloc(arena, (room + 1) * sizeof(*items));

        if (strings->n)
            memcpy(items, strings->items, strings->n * sizeof(*items));
        strings->items = items;
        strings->room = room;
    }
    strings->items[strings->n++] = text;
    strings->items[strings->n] = NULL;
}
