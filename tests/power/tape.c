/* SPDX-License-Identifier: MIT */
/*
 * tape.c - see tape.h. The table says which calls count, and as what; others change neither bytes nor names.
 */
#include "tape.h"

#include "dlmgr/base.h"
#include "tests/crash/data.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    enum op_kind kind;
} kinds[] = {
    {"write", OP_WRITE},     {"pwrite64", OP_WRITE},   {"writev", OP_WRITE},
    {"pwritev", OP_WRITE},   {"pwritev2", OP_WRITE},   {"ftruncate", OP_SIZE},
    {"fallocate", OP_SIZE},  {"fchmod", OP_MODE},      {"open", OP_CREATE},
    {"openat", OP_CREATE},   {"openat2", OP_CREATE},   {"rename", OP_RENAME},
    {"renameat", OP_RENAME}, {"renameat2", OP_RENAME}, {"link", OP_LINK},
    {"linkat", OP_LINK},     {"unlink", OP_UNLINK},    {"unlinkat", OP_UNLINK},
    {"rmdir", OP_UNLINK},    {"mkdir", OP_MKDIR},      {"mkdirat", OP_MKDIR},
    {"fsync", OP_SYNC},      {"fdatasync", OP_SYNC},   {"syncfs", OP_SYNC_ALL},
};

static enum op_kind kind_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return kinds[i].kind;
    return OP_NONE;
}

struct feed { /* the records, one ahead */
    FILE *file;
    struct data_record record;
    unsigned char *bytes;
    int more; /* as data_next() said */
};

static void feed_next(struct feed *f)
{
    free(f->bytes);
    f->bytes = NULL;
    f->more = data_next(f->file, &f->record, &f->bytes);
}

/* What the record of this line adds. */
static int take_record(struct op *op, struct feed *f, long line)
{
    if (f->more < 0)
        return -EPROTO;
    if (f->more == 0 || f->record.line != line)
        return op->kind == OP_WRITE && op->path[0] == '/' && op->len ? -EPROTO : 0;
    op->ino = f->record.ino;
    op->btime_ns = f->record.btime_ns;
    op->mode = f->record.mode;
    op->size = f->record.size;
    op->len = f->record.len;
    op->bytes = TAKE_PTR(f->bytes);
    feed_next(f);
    return op->kind == OP_WRITE && op->len == 0 && op->size ? -EPROTO : 0;
}

/* 1 an op or nothing, 0 the last line, -EPROTO. */
static int take_line(struct tape *t, char *text, const char *out, long base, struct feed *feed)
{
    char *field[9];
    int n = 0, r;
    struct op *op = &t->ops[t->n];

    t->killed = strncmp(text, "killed ", 7) == 0;
    if (t->killed || strncmp(text, "count ", 6) == 0)
        return 0;
    for (char *p = text; n < 9 && p; n++)
        field[n] = strsep(&p, "\t\n");
    if (n < 9)
        return -EPROTO;
    *op = (struct op){.line = t->lines++, .launch = t->launches, .path = field[4], .path2 = field[5]};
    op->call = strtol(field[0], NULL, 10);
    op->after = base + strtol(field[8], NULL, 10);
    op->len = strtoll(field[3], NULL, 10);
    op->offset = strtoll(field[6], NULL, 10);
    op->flags = (int)op->offset;
    /* What failed, was prevented, or may not have been, did nothing. */
    if (field[3][0] >= '0' && field[3][0] <= '9')
        op->kind = kind_of(field[2]);
    r = take_record(op, feed, op->line - base);
    if (op->kind == OP_WRITE && strcmp(op->path, out) == 0)
        op->kind = OP_TOLD;
    if (r || op->kind == OP_NONE || op->path[0] != '/') {
        free(op->bytes);
        return r ? r : 1;
    }
    op->path = strdup(op->path);
    op->path2 = strdup(op->path2);
    t->n++;
    return 1;
}

int tape_add(struct tape *t, const char *log, const char *data, const char *out)
{
    FILE *f = fopen(log, "re");
    struct feed feed = {.file = fopen(data, "re")};
    long base = t->lines;
    char *text = NULL;
    size_t room = 0;
    int r = f && feed.file ? 1 : -EIO;

    if (r == 1)
        feed_next(&feed);
    while (r == 1) {
        if (getline(&text, &room, f) <= 0) {
            r = -EPROTO;
            break;
        }
        t->ops = realloc(t->ops, (t->n + 1) * sizeof(t->ops[0]));
        if (!t->ops)
            abort();
        r = take_line(t, text, out, base, &feed);
    }
    t->launches++;
    free(text);
    free(feed.bytes);
    if (f)
        fclose(f);
    if (feed.file)
        fclose(feed.file);
    return r;
}

void tape_free(struct tape *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->ops[i].path);
        free(t->ops[i].path2);
        free(t->ops[i].bytes);
    }
    free(t->ops);
    *t = (struct tape){0};
}
