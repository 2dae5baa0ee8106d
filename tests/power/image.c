/* SPDX-License-Identifier: MIT */
/*
 * image.c - how the model goes on, op by op. See image.h; image_state.c makes states of it, image_disk.c reads and writes files.
 */
#include "image.h"

#include "dlmgr/base.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Names and bytes ------------------------------------------------------------------------------- */

static size_t names_place(const struct names *names, const char *text, bool *ret_there)
{
    size_t i = 0;

    while (i < names->n && strcmp(names->at[i].text, text) < 0)
        i++;
    *ret_there = i < names->n && strcmp(names->at[i].text, text) == 0;
    return i;
}

int names_find(const struct names *names, const char *text)
{
    bool there;
    size_t i = names_place(names, text, &there);

    return there ? names->at[i].thing : -1;
}

void names_set(struct names *names, const char *text, int thing)
{
    bool there;
    size_t i = names_place(names, text, &there);

    if (there && thing >= 0) {
        names->at[i].thing = thing;
    } else if (there) {
        free(names->at[i].text);
        names->n--;
        memmove(names->at + i, names->at + i + 1, (names->n - i) * sizeof(names->at[0]));
    } else if (thing >= 0) {
        names->at = realloc(names->at, (names->n + 1) * sizeof(names->at[0]));
        if (!names->at)
            abort();
        memmove(names->at + i + 1, names->at + i, (names->n - i) * sizeof(names->at[0]));
        names->at[i] = (struct name){strdup(text), thing};
        names->n++;
    }
}

static void names_empty(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->at[i].text);
    free(names->at);
    *names = (struct names){0};
}

void names_copy(struct names *to, const struct names *from)
{
    names_empty(to);
    for (size_t i = 0; i < from->n; i++)
        names_set(to, from->at[i].text, from->at[i].thing);
}

/* What comes in is zeros. */
void bytes_size(struct bytes *b, int64_t size)
{
    if (size > b->room) {
        b->room = size + size / 2 + 1;
        b->at = realloc(b->at, (size_t)b->room);
        if (!b->at)
            abort();
    }
    if (size > b->size)
        memset(b->at + b->size, 0, (size_t)(size - b->size));
    b->size = size;
}

/* ---- Things ------------------------------------------------------------------------------------------ */

int image_add(struct image *im, bool dir, unsigned mode)
{
    im->things = realloc(im->things, (im->n + 1) * sizeof(im->things[0]));
    if (!im->things)
        abort();
    im->things[im->n] = (struct thing){.dir = dir, .mode = mode};
    return (int)im->n++;
}

/* The directory that this path stands in, and its last name; -1: not below the root. */
static int parent_of(const struct image *im, const char *path, const char **ret_name)
{
    size_t n = strlen(im->root);
    int at = 0;
    const char *p, *slash;

    if (strncmp(path, im->root, n) != 0 || path[n] != '/')
        return -1;
    for (p = path + n + 1; (slash = strchr(p, '/')) && at >= 0; p = slash + 1) {
        char name[256];

        snprintf(name, sizeof(name), "%.*s", (int)(slash - p), p);
        at = names_find(&im->things[at].now, name);
    }
    *ret_name = p;
    return at;
}

static int thing_at(const struct image *im, const char *path)
{
    const char *name;
    int dir = parent_of(im, path, &name);

    if (strcmp(path, im->root) == 0)
        return 0;
    return dir < 0 ? -1 : names_find(&im->things[dir].now, name);
}

/* ---- Changes ------------------------------------------------------------------------------------------ */

static const char *last_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

static void apply_names(struct image *im, const struct change *c, bool chosen)
{
    const struct op *op = c->op;
    struct names *to = chosen ? &im->things[c->thing].chosen : &im->things[c->thing].names;
    struct names *from = c->from < 0 ? NULL
                         : chosen    ? &im->things[c->from].chosen
                                     : &im->things[c->from].names;

    if (from && names_find(from, last_name(op->path)) == c->target)
        names_set(from, last_name(op->path), -1);
    if (op->kind != OP_UNLINK)
        names_set(to, last_name(op->path2[0] ? op->path2 : op->path), c->target);
}

void change_apply(struct image *im, const struct change *c, bool chosen)
{
    struct thing *t = &im->things[c->thing];
    struct bytes *b = chosen ? &t->scratch : &t->bytes;
    const struct op *op = c->op;

    if (t->dir) {
        apply_names(im, c, chosen);
    } else if (op->kind == OP_WRITE) {
        bytes_size(b, MAX(b->size, op->offset + op->len));
        memcpy(b->at + op->offset, op->bytes, (size_t)op->len);
    } else if (op->kind == OP_MODE) {
        *(chosen ? &t->chosen_mode : &t->mode) = (unsigned)op->mode;
    } else {
        bytes_size(b, op->kind == OP_SIZE ? op->size : 0);
    }
}

static void add_change(struct image *im, const struct change *c)
{
    im->pending = realloc(im->pending, (im->n_pending + 1) * sizeof(*c));
    if (!im->pending)
        abort();
    im->pending[im->n_pending++] = *c;
}

static bool stands_in(const struct image *im, int dir, int thing)
{
    const struct names *now = &im->things[dir].now;

    for (size_t i = 0; i < now->n && im->things[dir].dir; i++)
        if (now->at[i].thing == thing)
            return true;
    return false;
}

static bool is_covered(const struct image *im, const struct change *c, const struct op *sync, int of)
{
    bool its = sync->kind == OP_SYNC_ALL || c->thing == of ||
               (c->op->kind == OP_MODE && stands_in(im, of, c->thing));

    return its && c->op->line < sync->after && !(im->without && im->without(c, sync));
}

static void step_sync(struct image *im, const struct op *op)
{
    int of = thing_at(im, op->path);
    size_t kept = 0;

    if (of < 0)
        return;
    for (size_t i = 0; i < im->n_pending; i++) {
        if (is_covered(im, &im->pending[i], op, of))
            change_apply(im, &im->pending[i], false);
        else
            im->pending[kept++] = im->pending[i];
    }
    im->n_pending = kept;
}

static void step_create(struct image *im, const struct op *op)
{
    const char *name;
    int dir = parent_of(im, op->path, &name);
    int thing = dir < 0 ? -1 : names_find(&im->things[dir].now, name);

    if (dir < 0 || (thing >= 0 && !(op->flags & O_TRUNC)))
        return;
    if (thing >= 0) {
        add_change(im, &(struct change){op, thing, -1, -1});
        return;
    }
    thing = image_add(im, op->kind == OP_MKDIR, op->kind == OP_MKDIR ? 0700 : (unsigned)op->mode);
    im->things[thing].ino = op->ino;
    im->things[thing].btime_ns = op->btime_ns;
    names_set(&im->things[dir].now, name, thing);
    add_change(im, &(struct change){op, dir, -1, thing});
}

static void step_unlink(struct image *im, const struct op *op)
{
    const char *name;
    int dir = parent_of(im, op->path, &name);
    int thing = dir < 0 ? -1 : names_find(&im->things[dir].now, name);

    if (thing < 0)
        return;
    names_set(&im->things[dir].now, name, -1);
    add_change(im, &(struct change){op, dir, dir, thing});
}

static void step_move(struct image *im, const struct op *op)
{
    const char *name, *name2;
    int from = parent_of(im, op->path, &name), to = parent_of(im, op->path2, &name2);
    int thing = from < 0 ? -1 : names_find(&im->things[from].now, name);

    if (thing < 0 || to < 0)
        return;
    if (op->kind == OP_RENAME)
        names_set(&im->things[from].now, name, -1);
    names_set(&im->things[to].now, name2, thing);
    add_change(im, &(struct change){op, to, op->kind == OP_RENAME ? from : -1, thing});
}

static void step_bytes(struct image *im, const struct op *op)
{
    int thing = thing_at(im, op->path);

    if (thing >= 0 && !im->things[thing].dir)
        add_change(im, &(struct change){op, thing, -1, -1});
}

void image_step(struct image *im, const struct op *op)
{
    static void (*const steps[])(struct image *, const struct op *) = {
        [OP_WRITE] = step_bytes,   [OP_SIZE] = step_bytes,   [OP_MODE] = step_bytes,
        [OP_CREATE] = step_create, [OP_RENAME] = step_move,  [OP_LINK] = step_move,
        [OP_UNLINK] = step_unlink, [OP_MKDIR] = step_create, [OP_SYNC] = step_sync,
        [OP_SYNC_ALL] = step_sync, [OP_TOLD] = NULL,
    };

    if (steps[op->kind])
        steps[op->kind](im, op);
}

void image_free(struct image *im)
{
    for (size_t i = 0; i < im->n; i++) {
        struct thing *t = &im->things[i];

        names_empty(&t->names);
        names_empty(&t->now);
        names_empty(&t->chosen);
        free(t->bytes.at);
        free(t->scratch.at);
    }
    free(im->things);
    free(im->pending);
    free(im->root);
    *im = (struct image){0};
}
