/* SPDX-License-Identifier: MIT */
/*
 * crash.c - tells stories with a kill at one call after another.
 *
 *     crash [--kills N] [--again EACH] [--power EACH] [-j N] [STORY...]      all stories when none is named
 *     crash --at N [--again-at N] [--cut] [--keep] STORY                     one telling, to look at
 *
 * Each story is first told without a kill, which counts its calls; then with a kill before call 1, 2, 3 and so on
 * (--kills: only so many, spread evenly; of a slow story a part). In each EACHth telling (0: in none) a second kill falls into the recovery, and in each EACHth
 * the power goes with the first kill. -j tells so many at once. One line a story, one for all; exit code 1 when a promise was broken.
 * A story with more than three broken tellings is left, since more would say the same.
 */
#include "story.h"

#include "dlmgr/base.h"

#include <getopt.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct options {
    long kills, again, power, at, again_at;
    int jobs;
    bool cut, keep;
};

struct sum { /* shared between the jobs */
    long calls, tellings, kills, recovery_kills, power;
    int64_t refetch, memory;
    int broken, violations, trouble;
};

enum { ENOUGH = 3 };

static void sum_add(struct sum *sum, const struct outcome *o)
{
    sum->tellings++;
    sum->kills += o->kills;
    sum->recovery_kills += o->recovery_kills;
    sum->refetch = MAX(sum->refetch, o->refetch);
    sum->memory = MAX(sum->memory, o->memory);
    sum->violations += o->violations;
    sum->broken += o->violations > 0;
}

/* Which call the second kill falls before: any of those that are left. */
static long second_kill(long calls, long n)
{
    unsigned long mixed = (unsigned long)n * 2654435761u % 4294967291u;

    return 1 + (long)(mixed % (unsigned long)MAX(calls - n + 12, 12));
}

static bool power_is_for(const struct story *story)
{
    for (size_t i = 0; i < STORY_KEPT; i++)
        if (story->kept[i].replaced)
            return false;
    return story->steps[0].kind == STEP_ALONE;
}

/* The tellings i, i + jobs and so on of n, each with its kill. */
static void tell_some(const struct story *story, const struct options *o, long calls, long n,
                      long i, struct sum *sum)
{
    for (; i < n && sum->broken <= ENOUGH && !sum->trouble; i += o->jobs) {
        struct kills kills = {.at = n == calls ? i + 1 : 1 + i * calls / n};
        struct outcome out;

        if (o->again && i % o->again == 0)
            kills.again = second_kill(calls, kills.at);
        kills.power = o->power && i % o->power == o->power - 1 && power_is_for(story);
        sum->trouble = story_tell(story, &kills, false, &out);
        sum_add(sum, &out);
        sum->power += kills.power;
    }
}

static void tell_side_by_side(const struct story *story, const struct options *o, long calls,
                              struct sum *sums)
{
    long wanted = o->kills ? o->kills : calls;
    long n = story->slow ? MAX(wanted / (o->kills ? 4 : 8), 1) : wanted;

    n = MIN(n, calls);
    fflush(stdout);
    for (int j = 0; j < o->jobs; j++)
        if (fork() == 0) {
            tell_some(story, o, calls, n, j, &sums[j]);
            fflush(stdout);
            _exit(0);
        }
    for (int j = 0; j < o->jobs; j++) {
        int status;

        if (wait(&status) < 0 || status)
            sums[0].trouble = -ECHILD;
    }
}

static void join(struct sum *total, const struct sum *s)
{
    total->tellings += s->tellings;
    total->kills += s->kills;
    total->recovery_kills += s->recovery_kills;
    total->power += s->power;
    total->refetch = MAX(total->refetch, s->refetch);
    total->memory = MAX(total->memory, s->memory);
    total->violations += s->violations;
    total->broken += s->broken;
    total->trouble = total->trouble ? total->trouble : s->trouble;
}

static void print_sum(const char *name, const struct sum *s)
{
    printf("%-12s", name);
    if (s->calls)
        printf(" %4ld calls,", s->calls);
    printf(" %4ld kills, %3ld in recovery, %3ld with the power; refetched at most %lld bytes, %lld KiB of memory; "
           "violations %d\n",
           s->kills, s->recovery_kills, s->power, (long long)s->refetch, (long long)s->memory,
           s->violations);
    if (s->trouble)
        printf("%-12s the driver failed: %s\n", name, strerror(-s->trouble));
    fflush(stdout);
}

static void sweep(const struct story *story, const struct options *o, struct sum *total)
{
    struct sum *sums = mmap(NULL, sizeof(*sums) * (size_t)(o->jobs + 1), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sum sum = {0};
    struct outcome out;

    if (sums == MAP_FAILED)
        exit(125);
    sum.trouble = story_tell(story, &(struct kills){0}, false, &out);
    sum_add(&sum, &out);
    sum.calls = out.calls;
    if (!sum.trouble && !out.violations)
        tell_side_by_side(story, o, out.calls, sums);
    for (int j = 0; j < o->jobs; j++)
        join(&sum, &sums[j]);
    print_sum(story->name, &sum);
    join(total, &sum);
    munmap(sums, sizeof(*sums) * (size_t)(o->jobs + 1));
}

static bool is_named(const struct story *story, char **names)
{
    if (!*names)
        return true;
    for (; *names; names++)
        if (strcmp(*names, story->name) == 0)
            return true;
    return false;
}

static int tell_one(const struct story *story, const struct options *o)
{
    struct kills kills = {.at = o->at, .again = o->again_at, .power = o->cut};
    struct outcome out;
    int r = story_tell(story, &kills, o->keep, &out);

    if (r)
        printf("the driver failed: %s\n", strerror(-r));
    printf("%s: %ld calls, %ld in recovery, %d kills, refetched %lld, %lld KiB, violations %d%s%s\n",
           story->name, out.calls, out.recovery, out.kills, (long long)out.refetch,
           (long long)out.memory, out.violations, o->keep || out.violations ? ", in " : "",
           o->keep || out.violations ? out.where : "");
    return r || out.violations ? 1 : 0;
}

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"kills", 1, NULL, 'k'},    {"again", 1, NULL, 'a'}, {"power", 1, NULL, 'p'},
        {"jobs", 1, NULL, 'j'},     {"at", 1, NULL, 'n'},    {"cut", 0, NULL, 'c'},
        {"again-at", 1, NULL, 'm'}, {"keep", 0, NULL, 'K'},  {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "j:", options, NULL)) != -1)
        switch (c) {
        case 'k':
            o->kills = strtol(optarg, NULL, 10);
            break;
        case 'a':
            o->again = strtol(optarg, NULL, 10);
            break;
        case 'p':
            o->power = strtol(optarg, NULL, 10);
            break;
        case 'j':
            o->jobs = (int)strtol(optarg, NULL, 10);
            break;
        case 'n':
            o->at = strtol(optarg, NULL, 10);
            break;
        case 'm':
            o->again_at = strtol(optarg, NULL, 10);
            break;
        case 'c':
            o->cut = true;
            break;
        case 'K':
            o->keep = true;
            break;
        default:
            exit(64);
        }
    if (o->jobs < 1 || o->jobs > 16)
        exit(64);
}

int main(int argc, char **argv)
{
    struct options o = {.at = -1, .jobs = 1};
    struct sum total = {0};
    int n = 0, r = 0;

    read_options(argc, argv, &o);
    for (size_t i = 0; i < n_stories; i++) {
        if (!is_named(&stories[i], argv + optind))
            continue;
        n++;
        if (o.at >= 0)
            r |= tell_one(&stories[i], &o);
        else
            sweep(&stories[i], &o, &total);
    }
    if (n == 0)
        fprintf(stderr, "crash: no such story\n");
    if (o.at < 0 && n)
        print_sum("all", &total);
    return n == 0 || r || total.violations || total.trouble;
}
