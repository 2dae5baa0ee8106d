/* SPDX-License-Identifier: MIT */
/*
 * check.c - the checker's entry: one launch is over, look at everything. See check.h for what is judged.
 *
 * The order of a look: first the calls of the launch are replayed (what is on the disk for sure), then the journal is read
 * twice from copies, as it stands and as a power cut would leave it, then files and requests are held against both. The
 * journal itself is never opened here: opening one recovers its WAL, which is the next launch's work to do.
 */
#include "check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void check_init(struct check *c)
{
    for (size_t i = 0; i < c->n_wants; i++)
        c->wants[i].asked_when_done = -1;
}

void check_say(struct check *c, int promise, const char *fmt, ...)
{
    va_list args;

    c->violations++;
    fprintf(c->out, "    promise %d: ", promise);
    va_start(args, fmt);
    vfprintf(c->out, fmt, args);
    va_end(args);
    fputc('\n', c->out);
}

void check_told_id(struct check *c, int64_t id)
{
    for (size_t i = 0; i < c->n_ids; i++)
        if (c->ids[i] == id)
            return;
    if (c->n_ids < sizeof(c->ids) / sizeof(c->ids[0]))
        c->ids[c->n_ids++] = id;
}

struct want *check_want_of(struct check *c, const char *url)
{
    const char *path = strstr(url, "://");
    size_t n;

    path = path ? strchr(path + 3, '/') : NULL;
    n = path ? strcspn(path, "?") : 0;
    for (size_t i = 0; path && i < c->n_wants; i++)
        if (strncmp(c->wants[i].path, path, n) == 0 && c->wants[i].path[n] == 0)
            return &c->wants[i];
    return NULL;
}

static bool same_bytes(const char *file, int64_t start, int64_t end, uint64_t seed)
{
    static char piece[256 * 1024];
    struct body body = {.seed = seed};
    FILE *f = fopen(file, "re");
    bool same = f && fseeko(f, start, SEEK_SET) == 0;

    while (same && start < end) {
        size_t n = end - start < (int64_t)sizeof(piece) ? (size_t)(end - start) : sizeof(piece);

        same = fread(piece, 1, n, f) == n && body_match(&body, start, piece, n) == n;
        start += (int64_t)n;
    }
    if (f)
        fclose(f);
    return same;
}

int check_version(const struct want *w, const char *file, int64_t start, int64_t end)
{
    for (int i = 0; i < CHECK_VERSIONS && w->seeds[i]; i++)
        if (same_bytes(file, start, end, w->seeds[i]))
            return i;
    return -1;
}

void check_replay(struct check *c, const char *calls)
{
    if (disk_replay(&c->disk, calls))
        check_say(c, 0, "the killer's log %s is not whole", calls);
}

int check_look(struct check *c, const struct fx_log *log, bool end)
{
    struct check_tasks now = {0}, cut = {0};
    int before = c->violations;

    check_journal(c, true, end, &cut);
    check_journal(c, false, end, &now);
    check_files(c, &now, &cut, end);
    check_requests(c, &now, log, end);
    if (c->secret)
        check_secret_files(c, c->home);
    free(now.at);
    free(cut.at);
    return c->violations - before;
}

void check_memory(struct check *c, int64_t kib)
{
    if (kib > c->memory)
        c->memory = kib;
    if (c->memory_limit && kib > c->memory_limit)
        check_say(c, 9, "the program had %lld KiB of memory, more than %lld", (long long)kib,
                  (long long)c->memory_limit);
}

void check_secret_text(struct check *c, const char *what, const char *text)
{
    if (c->secret && strstr(text, c->secret))
        check_say(c, 7, "%s tells the secret", what);
}

void check_free(struct check *c)
{
    for (size_t i = 0; i < c->n_wants; i++)
        ranges_free(&c->wants[i].taken);
    disk_free(&c->disk);
}
