/* SPDX-License-Identifier: MIT */
/*
 * ranges.c - sets of bytes of a file: sorted stretches that do not touch.
 *
 * Adding a stretch swallows all that it overlaps or touches, so the set stays as short as the file has holes. The crash tests
 * ask how many bytes of a request were already there, which is a walk over it.
 */
#include "disk.h"

#include <stdlib.h>
#include <string.h>

void ranges_add(struct ranges *r, int64_t start, int64_t end)
{
    size_t first = 0, last;

    if (start >= end)
        return;
    while (first < r->n && r->at[first].end < start)
        first++;
    for (last = first; last < r->n && r->at[last].start <= end; last++) {
        start = r->at[last].start < start ? r->at[last].start : start;
        end = r->at[last].end > end ? r->at[last].end : end;
    }
    if (r->n == r->room) {
        r->room = r->room ? 2 * r->room : 8;
        r->at = realloc(r->at, r->room * sizeof(r->at[0]));
        if (!r->at)
            abort();
    }
    memmove(r->at + first + 1, r->at + last, (r->n - last) * sizeof(r->at[0]));
    r->n = r->n - (last - first) + 1;
    r->at[first] = (struct range){start, end, 0};
}

int64_t ranges_common(const struct ranges *r, int64_t start, int64_t end)
{
    int64_t sum = 0;

    for (size_t i = 0; i < r->n; i++) {
        int64_t from = r->at[i].start > start ? r->at[i].start : start;
        int64_t to = r->at[i].end < end ? r->at[i].end : end;

        if (from < to)
            sum += to - from;
    }
    return sum;
}

void ranges_free(struct ranges *r)
{
    free(r->at);
    *r = (struct ranges){0};
}
