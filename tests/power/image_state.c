/* SPDX-License-Identifier: MIT */
/*
 * image_state.c - crash states: which pending changes one takes, and its hash. See image.h.
 */
#include "image.h"

#include "dlmgr/base.h"

#define SECTOR 512

uint64_t draw_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t *state, uint64_t n)
{
    return n ? draw_next(state) % n : 0;
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
        take = draw_next(&of) & 1;
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

    d.salt = draw_next(&d.rng);
    d.style = draw_next(&d.rng);
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
