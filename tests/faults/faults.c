/* SPDX-License-Identifier: MIT */
/*
 * faults.c - lets one call after another fail under an owner, and counts what it makes of it.
 *
 *     faults [-j N] [--some N] [--seed S] [--once] [--only PATTERN]      all cases, or N of them
 *     faults [--keep] [--patient] --case STORY:CALL:NTH:ERROR:once       one (or :ever), to look at
 *
 * Each story is told once to count its calls. A case is a call, the how manieth it is, an error that it can give (faults.h;
 * `short` for less than was asked for), and whether it fails once or from then on for ever. Where a call is made often, the first, the last and a seeded
 * choice between stand for all; of allocations, the first from each place. What a case must leave stands in tell.c and in the
 * crash stories' checker. A violation prints the command that repeats it. What a library does and nobody above it can mend stands in
 * known[]: counted apart, never hidden.
 */
#include "cases.h"

#include "dlmgr/base.h"

#include <getopt.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS_MAX = 16 };

#define UNREADABLE                                                                                 \
    "a directory above the home that may not be read is not synced; without /proc, a file is its owner's alone"

/* What cannot be mended from above, or was so decided: which call failed in whose hands, and how that ended. */
static const struct known {
    int call, err;
    const char *by; /* the innermost caller begins so */
    int code;
    const char *reason;
} known[] = {
    {CALL_epoll_ctl, ENOSPC, "libuv.so", 134, "uv_run() aborts when a descriptor cannot be watched"},
    {CALL_epoll_ctl, ENOMEM, "libuv.so", 134, "uv_run() aborts when a descriptor cannot be watched"},
    {CALL_memory, ENOMEM, "libuv.so", 134,
     "uv__io_start() aborts when its table of watchers cannot grow"},
    {CALL_memory, ENOMEM, "libcrypto.so", 139,
     "its default context is used although making it has failed"},
    {CALL_open, EACCES, "dlmgr", 0, UNREADABLE},
    {CALL_open, EACCES, "dlmgr", 17, UNREADABLE},
};

struct outcome_of { /* shared between the jobs */
    struct fault_result result;
    int known; /* 1 + index */
    bool done;
};

static struct outcome_of *outcomes;

/* ---- Telling them ------------------------------------------------------------------------------------------------ */

static int known_as(const struct fault_case *c, const struct fault_result *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (c->call == known[i].call && c->err == known[i].err && r->code == known[i].code &&
            r->by[0] == ' ' && strncmp(r->by + 1, known[i].by, strlen(known[i].by)) == 0)
            return (int)i + 1;
    return 0;
}

static int tell_case(const struct fault_case *c, const struct options *o, struct outcome_of *out)
{
    char *report = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&report, &size);
    int r = f ? fault_tell(c, o->keep, NULL, f, &out->result) : -ENOMEM;

    if (f)
        fclose(f);
    out->known = out->result.violations ? known_as(c, &out->result) : 0;
    out->done = true;
    if (r)
        printf("FAIL %s: the driver: %s\n", case_name(c), strerror(-r));
    else if (out->result.violations && !out->known)
        printf("FAIL build/faults/faults --case %s\n%s    by %s\n", case_name(c), report,
               out->result.by);
    else if (o->keep && report)
        fputs(report, stdout);
    fflush(stdout);
    free(report);
    return r;
}

static void tell_some(const struct options *o, int job)
{
    for (int i = job; i < n_cases; i += o->jobs)
        if (tell_case(&cases[i], o, &outcomes[i]))
            _exit(1);
    _exit(0);
}

static int tell_all(const struct options *o)
{
    int bad = 0, status;

    fflush(stdout);
    for (int job = 0; job < o->jobs; job++)
        if (fork() == 0)
            tell_some(o, job);
    for (int job = 0; job < o->jobs; job++)
        bad += wait(&status) < 0 || status != 0;
    return bad;
}

/* ---- The sum ---------------------------------------------------------------------------------------------------- */

static bool same_pair(const struct fault_case *a, const struct fault_case *b)
{
    return a->call == b->call && a->err == b->err && a->forever == b->forever;
}

static bool is_first_of_pair(int at)
{
    for (int i = 0; i < at; i++)
        if (outcomes[i].result.fired && same_pair(&cases[i], &cases[at]))
            return false;
    return true;
}

struct sum {
    int pairs, sqlite_pairs, cases, sqlite, memory, missed, violations, hangs, asked;
};

static void print_known(void)
{
    for (size_t k = 0; k < ARRAY_SIZE(known); k++) {
        int n = 0;

        for (int i = 0; i < n_cases; i++)
            n += outcomes[i].known == (int)k + 1;
        if (n)
            printf("known, and counted apart: %d times, %s ended it with %d: %s\n", n, known[k].by,
                   known[k].code, known[k].reason);
    }
}

static int print_sum(void)
{
    struct sum s = {0};

    for (int i = 0; i < n_cases; i++) {
        const struct fault_result *r = &outcomes[i].result;
        bool sqlite = case_is_sqlite(cases[i].call), memory = cases[i].call == CALL_memory;

        s.missed += outcomes[i].done && !r->fired;
        s.violations += r->violations > 0 && !outcomes[i].known;
        s.hangs += r->hung;
        s.asked += r->asked;
        if (!r->fired)
            continue;
        s.memory += memory;
        s.sqlite += sqlite;
        s.cases += !memory && !sqlite;
        if (!memory && is_first_of_pair(i)) {
            s.pairs += !sqlite;
            s.sqlite_pairs += sqlite;
        }
    }
    print_known();
    printf("%d calls failed in %d ways (call, error, once or for ever), %d of SQLite's I/O in %d ways, %d allocations; "
           "%d asked to stop, %d not reached; violations %d, hangs %d\n",
           s.cases, s.pairs, s.sqlite, s.sqlite_pairs, s.memory, s.asked, s.missed, s.violations,
           s.hangs);
    return s.violations || s.hangs;
}

/* ---- Options ------------------------------------------------------------------------------------------------------ */

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"some", 1, NULL, 'n'}, {"seed", 1, NULL, 's'}, {"only", 1, NULL, 'o'},
        {"case", 1, NULL, 'c'}, {"keep", 0, NULL, 'K'}, {"patient", 0, NULL, 'p'},
        {"once", 0, NULL, '1'}, {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "j:", options, NULL)) != -1) {
        o->jobs = c == 'j' ? (int)strtol(optarg, NULL, 10) : o->jobs;
        o->some = c == 'n' ? strtol(optarg, NULL, 10) : o->some;
        o->seed = c == 's' ? strtoul(optarg, NULL, 10) : o->seed;
        o->only = c == 'o' ? optarg : o->only;
        o->one = c == 'c' ? optarg : o->one;
        o->keep |= c == 'K';
        o->once |= c == '1';
        o->patient |= c == 'p';
        if (c == '?')
            exit(64);
    }
    if (o->jobs < 1 || o->jobs > JOBS_MAX)
        exit(64);
}

static int tell_one(const struct options *o)
{
    struct fault_case c;
    struct outcome_of out = {0};

    if (!case_parse(o->one, &c)) {
        fprintf(stderr, "faults: no such case: %s\n", o->one);
        return 64;
    }
    c.patient = o->patient;
    if (tell_case(&c, o, &out))
        return 1;
    printf("%s: %ld failed, exit code %d, violations %d%s%s\n  by %s\n", case_name(&c),
           out.result.fired, out.result.code, out.result.violations,
           out.result.asked ? ", asked to stop" : "", out.known ? ", known" : "", out.result.by);
    return out.result.violations > 0 && !out.known;
}

static void *shared(size_t n)
{
    void *at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        exit(125);
    return at;
}

int main(int argc, char **argv)
{
    struct options o = {.jobs = 1, .seed = 1};

    read_options(argc, argv, &o);
    if (o.one)
        return tell_one(&o);
    cases = shared(sizeof(*cases) * CASES_MAX);
    for (int i = 0; i < n_fault_stories; i++)
        if (cases_of_story(i, &o))
            return 125;
    cases_choose(&o);
    outcomes = shared(sizeof(*outcomes) * (size_t)MAX(n_cases, 1));
    printf("%d cases, seed %lu\n", n_cases, o.seed);
    if (tell_all(&o)) {
        printf("the driver failed\n");
        return 125;
    }
    return print_sum();
}
