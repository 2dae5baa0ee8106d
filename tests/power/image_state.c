/* SPDX-License-Identifier: MIT */
/*
 * image_state.c - crash states: which pending changes one takes, its hash, and its files. See image.h.
 */
#include "image.h"

#include "dlmgr/base.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SECTOR 512

static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t *state, uint64_t n)
{
    return n ? next(state) % n : 0;
}

/* ---- Which changes --------------------------------------------------------------------------------- */

enum fate { LOST, WHOLE, TORN, LENGTH };

struct draw {
    uint64_t rng, salt;
    int choice;
    uint64_t style, cut;
};

/* One style: each by itself; up to one of them; by file, all or none of its own; by file, up to some point of time. */
static enum fate drawn(const struct image *im, struct draw *d, size_t i)
{
    uint64_t of = d->salt ^ (uint64_t)im->pending[i].thing;
    bool take = false;

    switch (d->style & 3) {
    case 0:
        take = below(&d->rng, 4) <= d->cut % 3;
        break;
    case 1:
        take = i < d->cut;
        break;
    case 2:
        take = next(&of) & 1;
        break;
    default:
        take = i < below(&of, im->n_pending + 1);
        break;
    }
    if (take && below(&d->rng, 8) == 0)
        return below(&d->rng, 3) ? TORN : LENGTH;
    return take ? WHOLE : LOST;
}

static enum fate fate_of(const struct image *im, struct draw *d, size_t i)
{
    bool first = i == 0, last = i + 1 == im->n_pending;
    const enum fate fixed[IMAGE_FIXED] =
        {LOST, WHOLE, first ? LOST : WHOLE, last ? WHOLE : LOST, last ? TORN : WHOLE, LENGTH};

    return d->choice < IMAGE_FIXED ? fixed[d->choice] : drawn(im, d, i);
}

/* Sectors of it, from its start or up to its end. */
static void apply_torn(struct thing *t, const struct op *op, struct draw *d)
{
    struct bytes *b = &t->scratch;
    int64_t sectors = (op->len + SECTOR - 1) / SECTOR;
    int64_t n = MIN(op->len, (1 + (int64_t)below(&d->rng, (uint64_t)MAX(sectors - 1, 1))) * SECTOR);
    int64_t skip = below(&d->rng, 2) ? op->len - n : 0;

    bytes_size(b, MAX(b->size, op->offset + skip + n));
    memcpy(b->at + op->offset + skip, op->bytes + skip, (size_t)n);
}

static void apply_fate(struct image *im, const struct change *c, enum fate fate, struct draw *d)
{
    struct thing *t = &im->things[c->thing];

    if (fate == LOST)
        return;
    if (t->dir || c->op->kind != OP_WRITE || fate == WHOLE)
        change_apply(im, c, true);
    else if (fate == TORN)
        apply_torn(t, c->op, d);
    else
        bytes_size(&t->scratch, MAX(t->scratch.size, c->op->offset + c->op->len));
}

/* ---- The hash ------------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t word;

    for (; len >= 8; p += 8, len -= 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9fb21c651e98df25u;
        h ^= h >> 29;
    }
    word = len;
    memcpy(&word, p, len < 8 ? len : 0);
    return ((h ^ word) * 0x9fb21c651e98df25u) ^ (h >> 31);
}

static uint64_t hash_dir(const struct image *im, int dir, uint64_t h)
{
    const struct names *names = &im->things[dir].chosen;

    for (size_t i = 0; i < names->n; i++) {
        const struct thing *t = &im->things[names->at[i].thing];

        h = mix(h, names->at[i].text, strlen(names->at[i].text) + 1);
        h = mix(h, &t->scratch.size, t->dir ? 0 : sizeof(t->scratch.size));
        h = t->dir ? hash_dir(im, names->at[i].thing, h)
                   : mix(h, t->scratch.at, (size_t)t->scratch.size);
    }
    return h;
}

uint64_t image_choose(struct image *im, uint64_t seed, int choice)
{
    struct draw d = {.rng = seed * 1000003 + (uint64_t)choice, .choice = choice};

    d.salt = next(&d.rng);
    d.style = next(&d.rng);
    d.cut = below(&d.rng, im->n_pending + 1);
    for (size_t i = 0; i < im->n; i++) {
        struct thing *t = &im->things[i];

        names_copy(&t->chosen, &t->names);
        t->chosen_mode = t->mode;
        t->scratch.size = 0;
        bytes_size(&t->scratch, t->bytes.size);
        if (t->bytes.size)
            memcpy(t->scratch.at, t->bytes.at, (size_t)t->bytes.size);
    }
    for (size_t i = 0; i < im->n_pending; i++)
        apply_fate(im, &im->pending[i], fate_of(im, &d, i), &d);
    return hash_dir(im, 0, 1);
}

/* ---- On the disk ----------------------------------------------------------------------------------------- */

static bool is_mapped(const char *name)
{
    size_t n = strlen(name);

    return strcmp(name, "slots") == 0 || (n > 4 && strcmp(name + n - 4, "-shm") == 0);
}

/* What stores into memory leave cannot be known. */
static void scribble(struct bytes *b, uint64_t *rng)
{
    if (below(rng, 2) == 0)
        return;
    for (int64_t i = 0; i + 8 <= b->size; i += 8) {
        uint64_t word = next(rng);

        memcpy(b->at + i, &word, 8);
    }
}

static int put_file(struct thing *t, const char *path)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0 || write(fd, t->scratch.at, (size_t)t->scratch.size) != t->scratch.size ||
        fchmod(fd, t->chosen_mode) || fstat(fd, &st))
        return -EIO;
    t->made = st.st_ino;
    return 0;
}

static int put_dir(struct image *im, int dir, const char *path, uint64_t *rng)
{
    const struct names *names = &im->things[dir].chosen;
    int r = 0;

    for (size_t i = 0; i < names->n && r == 0; i++) {
        struct thing *t = &im->things[names->at[i].thing];
        char here[4096];

        snprintf(here, sizeof(here), "%s/%s", path, names->at[i].text);
        if (!t->dir && is_mapped(names->at[i].text))
            scribble(&t->scratch, rng);
        if (!t->dir)
            r = put_file(t, here);
        else if (mkdir(here, t->chosen_mode))
            r = -errno;
        else
            r = put_dir(im, names->at[i].thing, here, rng);
    }
    return r;
}

static int wipe(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    return ftw->level == 0 || remove(path) == 0 ? 0 : -1;
}

int image_put(struct image *im, uint64_t seed)
{
    uint64_t rng = seed;

    for (size_t i = 0; i < im->n; i++)
        im->things[i].made = 0;
    if (nftw(im->root, wipe, 16, FTW_DEPTH | FTW_PHYS))
        return -EIO;
    return put_dir(im, 0, im->root, &rng);
}

const struct thing *image_was(const struct image *im, uint64_t ino)
{
    for (size_t i = 0; i < im->n; i++)
        if (im->things[i].made == ino && ino)
            return &im->things[i];
    return NULL;
}

/* ---- Is the model right? --------------------------------------------------------------------------------- */

static int compare_file(const struct thing *t, const char *path)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP_FREE unsigned char *data = malloc((size_t)t->scratch.size + 1);
    ssize_t n = fd < 0 || !data ? -1 : dlm_pread_all(fd, data, (size_t)t->scratch.size + 1, 0);

    if (n == t->scratch.size && memcmp(data, t->scratch.at, (size_t)n) == 0)
        return 0;
    printf("    the model says that %s has %lld bytes, and it is otherwise (%lld)\n", path,
           (long long)t->scratch.size, (long long)n);
    return 1;
}

static int count_there(const char *path)
{
    static const char script[] = "ls -A \"$1\" | grep -v '\\.sock' | wc -l";
    char command[4200];
    int n = -1;
    FILE *f;

    snprintf(command, sizeof(command), "set -- '%s'; %s", path, script);
    f = popen(command, "re");
    if (f && fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f)
        pclose(f);
    return n;
}

static int compare_dir(const struct image *im, int dir, const char *path)
{
    const struct names *names = &im->things[dir].chosen;
    int wrong = count_there(path) != (int)names->n;

    if (wrong)
        printf("    the model has %zu names in %s, and there are others\n", names->n, path);
    for (size_t i = 0; i < names->n; i++) {
        const struct thing *t = &im->things[names->at[i].thing];
        char here[4096];

        snprintf(here, sizeof(here), "%s/%s", path, names->at[i].text);
        if (t->dir)
            wrong += compare_dir(im, names->at[i].thing, here);
        else if (!is_mapped(names->at[i].text))
            wrong += compare_file(t, here);
    }
    return wrong;
}

int image_compare(const struct image *im)
{
    return compare_dir(im, 0, im->root);
}
