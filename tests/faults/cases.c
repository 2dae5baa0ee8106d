/* SPDX-License-Identifier: MIT */
/*
 * cases.c - which faults are told of: see cases.h.
 *
 * Each story is told once to count its calls. A call that is made a few times fails at each of them; of one that is made often, the first ones, the
 * last and a seeded choice between stand for all. Of allocations, the first from each stack of callers.
 */
#include "cases.h"

#include "dlmgr/base.h"

#include <fnmatch.h>
#include <stdlib.h>

struct fault_case *cases;
int n_cases;

static const struct row {
    const char *name;
    int marks, errors[FAULTS_ERRORS];
} rows[FAULTS_N] = {
#define ROW(symbol, flags, ...) {#symbol, flags, {__VA_ARGS__}},
    FAULTS_ALL(ROW)};

/* How many of a call's occurrences stand for all: the stories share most of what they do. */
static const long few_of[] = {8, 4, 4};

/* ---- Names ------------------------------------------------------------------------------------------------- */

bool case_is_sqlite(int call)
{
    return call >= CALL_vfs_open && call <= CALL_vfs_shmlock;
}

static const char *error_name(int call, int err)
{
    static char number[16];
    const char *name = case_is_sqlite(call) ? NULL : strerrorname_np(err);

    if (err == 0)
        return "short";
    if (name)
        return name;
    snprintf(number, sizeof(number), "%d", err);
    return number;
}

const char *case_name(const struct fault_case *c)
{
    static char name[128];

    snprintf(name, sizeof(name), "%s:%s:%ld:%s:%s", fault_stories[c->story].name,
             rows[c->call].name, c->nth, error_name(c->call, c->err), c->forever ? "ever" : "once");
    return name;
}

static bool find_error(struct fault_case *c, const char *text)
{
    for (int i = -1; i < FAULTS_ERRORS; i++) {
        c->err = i < 0 ? 0 : rows[c->call].errors[i];
        if (strcmp(error_name(c->call, c->err), text) == 0)
            return true;
    }
    return false;
}

bool case_parse(const char *text, struct fault_case *ret)
{
    char story[32], call[32], err[32], how[8];

    *ret = (struct fault_case){.story = -1, .call = -1};
    if (sscanf(text, "%31[^:]:%31[^:]:%ld:%31[^:]:%7s", story, call, &ret->nth, err, how) != 5)
        return false;
    for (int i = 0; i < n_fault_stories; i++)
        if (strcmp(fault_stories[i].name, story) == 0)
            ret->story = i;
    for (int i = 0; i < FAULTS_N; i++)
        if (strcmp(rows[i].name, call) == 0)
            ret->call = i;
    ret->forever = strcmp(how, "ever") == 0;
    return ret->story >= 0 && ret->call >= 0 && find_error(ret, err);
}

/* ---- Cases ---------------------------------------------------------------------------------------------------- */

static unsigned long mix(unsigned long x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

static void add_case(const struct fault_case *c)
{
    if (n_cases < CASES_MAX)
        cases[n_cases++] = *c;
}

static void add_errors(struct fault_case c)
{
    const struct row *row = &rows[c.call];

    for (int i = row->marks & FAULTS_SHORT ? -1 : 0; i < FAULTS_ERRORS; i++) {
        c.err = i < 0 ? 0 : row->errors[i];
        if (i >= 0 && c.err == 0)
            break;
        for (int ever = 0; ever < 2; ever++) {
            c.forever = ever;
            add_case(&c);
        }
    }
}

/* All when they are few; else the first half of them, the last, and a choice of the seed's between. */
static void add_call(int story, int call, long count, unsigned long seed)
{
    long few = few_of[story], first = few / 2;
    double gap = 1.0 * (double)(count - first - 1) / (double)(few - first - 1);

    for (long i = 0; i < MIN(count, few); i++) {
        long nth = i + 1;

        if (count > few && i == few - 1)
            nth = count;
        else if (count > few && i >= first)
            nth = first + 1 + (long)(gap * (double)(i - first)) +
                  (long)(mix(seed + (unsigned long)(call * 64 + i)) % (unsigned long)MAX(gap, 1));
        add_errors((struct fault_case){.story = story, .call = call, .nth = nth});
    }
}

static void add_memory(int story, const struct faults *counts)
{
    /* Of what the first story has seen already, only some. */
    for (long i = 0; i < counts->n_places; i += story == 0 ? 1 : 4) {
        struct fault_case c = {.story = story,
                               .call = CALL_memory,
                               .err = ENOMEM,
                               .nth = counts->place[i],
                               .forever = false};

        add_case(&c);
        c.forever = true;
        if (i % 8 == 0)
            add_case(&c);
    }
}

int cases_of_story(int story, const struct options *o)
{
    struct fault_case none = {.story = story};
    struct fault_result result;
    struct faults *counts = calloc(1, sizeof(*counts));
    int calls = 0, r;

    if (!counts)
        return -ENOMEM;
    r = fault_tell(&none, false, counts, stdout, &result);
    if (r || result.violations) {
        printf("%s without a fault: %s\n", fault_stories[story].name, strerror(-r));
        return r ? r : -EINVAL;
    }
    for (int call = 0; call < CALL_memory; call++) {
        calls += counts->count[call] > 0;
        add_call(story, call, counts->count[call], o->seed);
    }
    add_memory(story, counts);
    printf("%-8s makes %d kinds of calls, and %ld allocations in %ld places\n",
           fault_stories[story].name, calls, counts->count[CALL_memory], counts->n_places);
    free(counts);
    return 0;
}

/* A pattern of the shell for STORY:CALL:ERROR. */
static bool is_wanted(const struct fault_case *c, const char *only)
{
    char name[128];

    if (!only)
        return true;
    snprintf(name, sizeof(name), "%s:%s:%s", fault_stories[c->story].name, rows[c->call].name,
             error_name(c->call, c->err));
    return fnmatch(only, name, 0) == 0;
}

/* Only some of them, chosen by the seed: each in its own place of a shuffled row. */
void cases_choose(const struct options *o)
{
    int n = 0;

    for (int i = 0; i < n_cases; i++)
        if (is_wanted(&cases[i], o->only) && !(o->once && cases[i].forever))
            cases[n++] = cases[i];
    n_cases = n;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)(mix(o->seed * 1000003 + (unsigned long)i) % (unsigned long)(i + 1));
        struct fault_case swap = cases[i];

        cases[i] = cases[j];
        cases[j] = swap;
    }
    if (o->some && o->some < n_cases)
        n_cases = (int)o->some;
}
