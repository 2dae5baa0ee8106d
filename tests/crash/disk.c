/* SPDX-License-Identifier: MIT */
/*
 * disk.c - replaying the killer's log into a picture of the disk. See disk.h for what the picture means.
 *
 * Each line is a call that returned, in that order; AFTER tells how many lines there were when it was entered. So a sync on
 * line s that was entered after a lines cleans exactly the writes (and the names) on lines up to a. Lines are counted
 * through all logs, and a name or a write of an earlier launch is cleaned by a sync in a later one, as in the kernel.
 *
 * Each call of the table below is one small function; a call that is not in it changes neither bytes nor names.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct line {
    char *name, *path, *path2;
    int64_t result, offset, len;
    bool hidden; /* the kill hid how it ended */
    long after;
};

static struct disk_file *file_at(struct disk *d, const char *path)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->files[i].path, path) == 0)
            return &d->files[i];
    return NULL;
}

static struct disk_file *file_make(struct disk *d, const char *path)
{
    struct disk_file *f = file_at(d, path);

    if (f)
        return f;
    d->files = realloc(d->files, (d->n + 1) * sizeof(d->files[0]));
    if (!d->files)
        abort();
    f = &d->files[d->n++];
    *f = (struct disk_file){.path = strdup(path), .there = true};
    return f;
}

static void file_empty(struct disk_file *f)
{
    ranges_free(&f->taken);
    ranges_free(&f->dirty);
}

static void dirty_add(struct ranges *r, int64_t start, int64_t end, long line)
{
    if (r->n == r->room) {
        r->room = r->room ? 2 * r->room : 8;
        r->at = realloc(r->at, r->room * sizeof(r->at[0]));
        if (!r->at)
            abort();
    }
    r->at[r->n++] = (struct range){start, end, line};
}

static void do_write(struct disk *d, const struct line *l)
{
    struct disk_file *f = file_make(d, l->path);
    int64_t len = l->hidden ? l->len : l->result;

    if (l->offset < 0 || len <= 0)
        return;
    dirty_add(&f->dirty, l->offset, l->offset + len, d->lines);
    if (!l->hidden)
        ranges_add(&f->taken, l->offset, l->offset + len);
}

static void clean(struct disk_file *f, long upto)
{
    size_t kept = 0;

    for (size_t i = 0; i < f->dirty.n; i++)
        if (f->dirty.at[i].line > upto)
            f->dirty.at[kept++] = f->dirty.at[i];
    f->dirty.n = kept;
}

static bool stands_in(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

/* A sync of a directory makes the names in it firm, one of a file its bytes. */
static void do_sync(struct disk *d, const struct line *l)
{
    long upto = d->base + l->after;

    for (size_t i = 0; i < d->n && !l->hidden; i++) {
        struct disk_file *f = &d->files[i];

        if (strcmp(f->path, l->path) == 0)
            clean(f, upto);
        if (stands_in(f->path, l->path) && f->loose <= upto)
            f->loose = 0;
    }
}

static void do_sync_all(struct disk *d, const struct line *l)
{
    long upto = d->base + l->after;

    for (size_t i = 0; i < d->n && !l->hidden; i++) {
        clean(&d->files[i], upto);
        if (d->files[i].loose <= upto)
            d->files[i].loose = 0;
    }
}

/* O_CREAT on a name that no call has named, or that is gone, makes it; on another it opens what is there. */
static void do_open(struct disk *d, const struct line *l)
{
    struct disk_file *f = file_at(d, l->path);

    if (l->hidden)
        return;
    if (f && f->there && !(l->offset & O_EXCL)) {
        if (l->offset & O_TRUNC)
            file_empty(f);
        return;
    }
    f = file_make(d, l->path);
    file_empty(f);
    f->there = true;
    f->loose = d->lines;
}

static void do_mkdir(struct disk *d, const struct line *l)
{
    struct disk_file *f = file_make(d, l->path);

    f->there = true;
    f->loose = d->lines;
}

static void do_unlink(struct disk *d, const struct line *l)
{
    struct disk_file *f = file_at(d, l->path);

    if (!f)
        return;
    file_empty(f);
    f->there = false;
    f->loose = d->lines;
}

static void give_name(struct disk *d, const char *from, const char *to, bool move)
{
    struct disk_file *source, *target = file_make(d, to);

    file_empty(target);
    free(target->from);
    target->from = NULL;
    target->there = true;
    target->loose = d->lines;
    source = file_at(d, from);
    if (move && (!source || !source->loose))
        target->from = strdup(from);
    if (!source)
        return;
    for (size_t i = 0; i < source->taken.n; i++)
        ranges_add(&target->taken, source->taken.at[i].start, source->taken.at[i].end);
    for (size_t i = 0; i < source->dirty.n; i++)
        dirty_add(&target->dirty, source->dirty.at[i].start, source->dirty.at[i].end,
                  source->dirty.at[i].line);
    if (move)
        do_unlink(d, &(struct line){.path = source->path});
}

static void do_rename(struct disk *d, const struct line *l)
{
    if (!l->hidden)
        give_name(d, l->path, l->path2, true);
}

static void do_link(struct disk *d, const struct line *l)
{
    if (!l->hidden)
        give_name(d, l->path, l->path2, false);
}

/* Cutting a file short takes back what was written beyond. */
static void do_truncate(struct disk *d, const struct line *l)
{
    struct disk_file *f = file_at(d, l->path);
    struct ranges kept = {0};

    for (size_t i = 0; f && i < f->taken.n; i++) {
        const struct range *r = &f->taken.at[i];

        ranges_add(&kept, r->start, r->end < l->len ? r->end : l->len);
    }
    if (f) {
        ranges_free(&f->taken);
        f->taken = kept;
    }
}

static const struct {
    const char *name;
    void (*fn)(struct disk *d, const struct line *l);
} effects[] = {
    {"write", do_write},        {"pwrite64", do_write},    {"writev", do_write},
    {"pwritev", do_write},      {"pwritev2", do_write},    {"fsync", do_sync},
    {"fdatasync", do_sync},     {"syncfs", do_sync_all},   {"open", do_open},
    {"openat", do_open},        {"openat2", do_open},      {"unlink", do_unlink},
    {"unlinkat", do_unlink},    {"rename", do_rename},     {"renameat", do_rename},
    {"renameat2", do_rename},   {"link", do_link},         {"linkat", do_link},
    {"ftruncate", do_truncate}, {"truncate", do_truncate}, {"mkdir", do_mkdir},
    {"mkdirat", do_mkdir},
};

/* 1 a call, 0 the last line, -1 neither. */
static int parse(struct disk *d, char *text, struct line *ret)
{
    char *field[9];
    int n = 0;

    if (sscanf(text, "killed %ld", &d->calls) == 1 || sscanf(text, "count %ld", &d->calls) == 1) {
        d->killed = text[0] == 'k';
        return 0;
    }
    for (char *p = text; n < 9 && p; n++)
        field[n] = strsep(&p, "\t\n");
    if (n < 9)
        return -1;
    *ret = (struct line){.name = field[2], .path = field[4], .path2 = field[5]};
    ret->hidden = strcmp(field[3], "?") == 0;
    ret->result = strcmp(field[3], "killed") == 0 ? -1 : strtoll(field[3], NULL, 10);
    ret->offset = strtoll(field[6], NULL, 10);
    ret->len = strtoll(field[7], NULL, 10);
    ret->after = strtol(field[8], NULL, 10);
    return 1;
}

int disk_replay(struct disk *d, const char *log)
{
    char *text = NULL;
    size_t room = 0;
    int kind = 1;
    FILE *f = fopen(log, "re");

    if (!f)
        return -errno;
    d->base = d->lines;
    while (kind > 0 && getline(&text, &room, f) > 0) {
        struct line l = {0};

        kind = parse(d, text, &l);
        d->lines += kind > 0;
        for (size_t i = 0; kind > 0 && l.result >= 0 && i < sizeof(effects) / sizeof(effects[0]);
             i++)
            if (strcmp(effects[i].name, l.name) == 0)
                effects[i].fn(d, &l);
    }
    free(text);
    fclose(f);
    return kind == 0 ? 0 : -EPROTO;
}

const struct disk_file *disk_find(const struct disk *d, const char *path)
{
    return file_at((struct disk *)(uintptr_t)d, path);
}

bool disk_firm(const struct disk *d, const char *path)
{
    size_t n;

    for (size_t i = 0; i < d->n; i++) {
        n = strlen(d->files[i].path);
        if (d->files[i].loose && strncmp(path, d->files[i].path, n) == 0 &&
            (path[n] == 0 || path[n] == '/'))
            return false;
    }
    return true;
}

const char *disk_former(const struct disk *d, const char *path)
{
    const struct disk_file *f = disk_find(d, path);

    return f && f->loose ? f->from : NULL;
}

bool disk_synced(const struct disk *d, const char *path, int64_t start, int64_t end)
{
    const struct disk_file *f = disk_find(d, path);

    return !f || ranges_common(&f->dirty, start, end) == 0;
}

static void lose(char *data, int64_t size, const struct ranges *dirty)
{
    for (size_t i = 0; i < dirty->n; i++) {
        int64_t end = dirty->at[i].end < size ? dirty->at[i].end : size;

        if (dirty->at[i].start < end)
            memset(data + dirty->at[i].start, 0, (size_t)(end - dirty->at[i].start));
    }
}

static int put(const char *to, const char *data, size_t size)
{
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n = fd < 0 ? -1 : write(fd, data, size);

    if (fd >= 0)
        close(fd);
    return n == (ssize_t)size ? 0 : -EIO;
}

int disk_copy(const struct disk *d, const char *from, const char *to, bool cut)
{
    const struct disk_file *f = disk_find(d, from);
    int fd = open(from, O_RDONLY | O_CLOEXEC), err = 0;
    struct stat st;
    char *data;

    if (fd < 0)
        return errno == ENOENT ? 1 : -errno;
    if (cut && !disk_firm(d, from)) {
        close(fd);
        return 1;
    }
    if (fstat(fd, &st))
        err = -errno;
    data = malloc(err ? 1 : (size_t)st.st_size + 1);
    if (!err && (!data || read(fd, data, (size_t)st.st_size) != st.st_size))
        err = -EIO;
    close(fd);
    if (!err && cut && f)
        lose(data, st.st_size, &f->dirty);
    if (!err)
        err = put(to, data, (size_t)st.st_size);
    free(data);
    return err;
}

int disk_cut(const struct disk *d, const char *path)
{
    const struct disk_file *f = disk_find(d, path);
    static const char zeros[65536];
    struct stat st;
    int fd, r = 0;

    if (!disk_firm(d, path))
        return 1;
    if (!f || f->dirty.n == 0)
        return 0;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        r = -errno;
    for (size_t i = 0; i < f->dirty.n && !r; i++)
        for (int64_t at = f->dirty.at[i].start, end = f->dirty.at[i].end;
             at < end && at < st.st_size && !r;) {
            int64_t stop = end < st.st_size ? end : st.st_size;
            size_t n = stop - at < (int64_t)sizeof(zeros) ? (size_t)(stop - at) : sizeof(zeros);

            r = pwrite(fd, zeros, n, at) == (ssize_t)n ? 0 : -EIO;
            at += (int64_t)n;
        }
    if (fd >= 0)
        close(fd);
    return r;
}

void disk_settle(struct disk *d)
{
    for (size_t i = 0; i < d->n; i++) {
        struct disk_file *f = &d->files[i];

        file_empty(f);
        free(f->from);
        f->from = NULL;
        f->loose = 0;
        f->there = access(f->path, F_OK) == 0;
    }
}

void disk_free(struct disk *d)
{
    for (size_t i = 0; i < d->n; i++) {
        file_empty(&d->files[i]);
        free(d->files[i].path);
        free(d->files[i].from);
    }
    free(d->files);
    *d = (struct disk){0};
}
