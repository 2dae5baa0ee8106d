/* SPDX-License-Identifier: MIT */
/*
 * walk.c - through a recorded story, op by op, with states made and judged after each. See power.h.
 *
 * What a state is follows from the recording, the seed, the line and the choice alone, so that each can be made again.
 */
#include "power.h"

#include "dlmgr/base.h"

#include <stdio.h>
#include <stdlib.h>

const struct image *power_judged;

struct seen { /* a set of hashes */
    uint64_t *at;
    size_t n, room;
};

/* False: it was there. */
static bool seen_add(struct seen *s, uint64_t hash)
{
    struct seen old = *s;
    size_t i;

    hash += hash == 0;
    if (2 * s->n >= s->room) {
        *s = (struct seen){.room = old.room ? 2 * old.room : 4096};
        s->at = calloc(s->room, sizeof(s->at[0]));
        if (!s->at)
            abort();
        for (i = 0; i < old.room; i++)
            if (old.at[i])
                seen_add(s, old.at[i]);
        free(old.at);
    }
    for (i = hash & (s->room - 1); s->at[i]; i = (i + 1) & (s->room - 1))
        if (s->at[i] == hash)
            return false;
    s->at[i] = hash;
    s->n++;
    return true;
}

struct work {
    const struct options *o;
    struct scene scene;
    struct image image;
    struct facts facts;
    struct seen contents, states;
    struct sum *sum;
    const struct without *without;
    uint64_t facts_version;
};

static void say_again(const struct work *w, long line, int choice, const char *report)
{
    printf("  %s: after line %ld, choice %d:\n%s", w->scene.story->name, line, choice, report);
    printf("    repeat: power --again %s --seed %llu --at %ld --choice %d%s%s %s\n", w->scene.dir,
           (unsigned long long)w->o->seed, line, choice, w->without ? " --without " : "",
           w->without ? w->without->name : "", w->scene.story->name);
    fflush(stdout);
}

/* One state; how many violations. */
static int try_state(struct work *w, long line, int choice)
{
    uint64_t seed = w->o->seed * 7919 + (uint64_t)line, hash = image_choose(&w->image, seed, choice);
    struct app_place place = scene_place(&w->scene);
    bool fresh = seen_add(&w->contents, hash);
    char *report = NULL;
    size_t size = 0;
    FILE *out;
    int n;

    w->sum->made += fresh;
    if (!seen_add(&w->states, hash + w->facts_version * 0x9e3779b97f4a7c15u) && !w->o->again)
        return 0;
    out = open_memstream(&report, &size);
    w->sum->judged++;
    if (!out || image_put(&w->image, seed)) {
        w->sum->trouble = true;
        return 0;
    }
    power_judged = &w->image;
    n = judge(&w->facts, &place, w->o->again || (w->o->on && w->sum->judged % w->o->on == 0), out);
    power_judged = NULL;
    w->sum->on += w->o->on && w->sum->judged % w->o->on == 0;
    fclose(out);
    if (n && w->sum->violations < 5)
        say_again(w, line, choice, report);
    free(report);
    w->sum->violations += n;
    return n;
}

static void try_position(struct work *w, long line)
{
    w->sum->positions++;
    for (int choice = 0; choice < w->o->choices; choice++) {
        bool found = try_state(w, line, choice) > 0;

        if (w->without && found) {
            w->sum->found_after = w->sum->judged;
            return;
        }
    }
}

/* Through the tape from its start. */
static void walk(struct work *w)
{
    const struct tape *t = &w->scene.tape;

    for (size_t i = 0; i < t->n && !w->sum->found_after; i++) {
        const struct op *op = &t->ops[i];

        image_step(&w->image, op);
        if (op->kind == OP_TOLD) {
            facts_hear(&w->facts, op->bytes, (size_t)op->len);
            w->facts_version++;
        }
        if (w->o->again && op->line == w->o->at)
            try_state(w, op->line, w->o->choice);
        else if (!w->o->again && (i + w->o->seed) % (size_t)w->o->stride == 0)
            try_position(w, op->line);
    }
}

void power_walk(const struct power_story *story, const struct options *o,
                const struct without *without, struct sum *sum)
{
    struct work w = {.o = o, .sum = sum, .without = without};
    int r = scene_make(&w.scene, story, o->again);

    w.image = w.scene.image;
    w.scene.image = (struct image){0};
    w.image.without = without ? without->fn : NULL;
    facts_init(&w.facts, &w.scene);
    if (r == 0)
        walk(&w);
    else
        printf("%s: cannot be recorded: %s, see %s\n", story->name, strerror(-r), w.scene.dir);
    sum->trouble |= r != 0;
    facts_free(&w.facts);
    image_free(&w.image);
    free(w.contents.at);
    free(w.states.at);
    scene_free(&w.scene, o->keep || o->again || r || (sum->violations && !without));
}
