/* SPDX-License-Identifier: MIT */
/*
 * power.c - `make powerloss`: each state that a power cut could leave is made and opened.
 *
 *     power [--jobs N] [--choices N] [--stride N] [--on N] [--seed N] [--without NAME] [--keep] [STORY...]
 *     power --again DIRECTORY --at LINE --choice N [--seed N] [--without NAME] STORY
 *
 * Each job records each story anew. After every STRIDE-th op it makes as many states as --choices says (image.h), and goes on to the end from every
 * Nth of them (--on). A state that was judged before, with the same told, is not judged again; those with the same files count once.
 *
 * --without takes a sync out: what it would make firm stays pending for ever. Then it must find something. `all`: each of them in
 * turn, and it fails when one finds nothing.
 *
 * This program replaces a few of libc's functions. The recorded one (--tell) lives in another boot than the judge, and finds a quiet machine with
 * a file system on which syncfs is trusted, so that small files are synced together. In the judge files are who they
 * were when they were recorded, since inode and birth time are what the journal knows them by; and nothing is synced, since no power
 * is going to go.
 */
#include "power.h"

#include "dlmgr/base.h"

#include <fcntl.h>
#include <getopt.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Libc's -------------------------------------------------------------------------------------------- */

static bool telling;

#define OURS __attribute__((visibility("default")))

OURS int statx(int dirfd, const char *restrict name, int flags, unsigned mask,
               struct statx *restrict ret)
{
    long r = syscall(SYS_statx, dirfd, name, flags, mask, ret);
    const struct thing *was = r == 0 && power_judged ? image_was(power_judged, ret->stx_ino) : NULL;

    if (was && was->ino) {
        ret->stx_ino = was->ino;
        ret->stx_btime.tv_sec = was->btime_ns / 1000000000;
        ret->stx_btime.tv_nsec = (unsigned)(was->btime_ns % 1000000000);
        ret->stx_mask |= was->btime_ns ? STATX_BTIME : 0;
    }
    return (int)r;
}

static int sync_by(long number, int fd)
{
    return power_judged ? 0 : (int)syscall(number, fd);
}

OURS int fsync(int fd)
{
    return sync_by(SYS_fsync, fd);
}

OURS int fdatasync(int fd)
{
    return sync_by(SYS_fdatasync, fd);
}

OURS int syncfs(int fd)
{
    return sync_by(SYS_syncfs, fd);
}

OURS int fstatfs(int fd, struct statfs *ret)
{
    long r = syscall(SYS_fstatfs, fd, ret);

    if (r == 0 && telling && ret->f_type == TMPFS_MAGIC)
        ret->f_type = EXT4_SUPER_MAGIC;
    return (int)r;
}

static const char *told_instead(const char *path)
{
    if (telling && strcmp(path, "/proc/meminfo") == 0)
        return "MemTotal: 1 kB\nDirty: 0 kB\nWriteback: 0 kB\n";
    if (telling && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
        return "01234567-89ab-cdef-0123-456789abcdef\n";
    return NULL;
}

OURS int open(const char *path, int flags, ...)
{
    const char *text = told_instead(path);
    mode_t mode = 0;
    va_list args;
    int fd;

    va_start(args, flags);
    if (flags & (O_CREAT | __O_TMPFILE))
        mode = va_arg(args, mode_t);
    va_end(args);
    if (!text)
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    fd = (int)syscall(SYS_memfd_create, "instead", MFD_CLOEXEC);
    if (fd >= 0 && pwrite(fd, text, strlen(text), 0) < 0)
        return -1;
    return fd;
}

/* ---- Jobs ------------------------------------------------------------------------------------------------ */

static const struct power_story *story_named(const char *name)
{
    for (size_t i = 0; i < n_power_stories; i++)
        if (strcmp(power_stories[i].name, name) == 0)
            return &power_stories[i];
    fprintf(stderr, "power: no story %s\n", name);
    exit(64);
}

static const struct without *without_named(const char *name)
{
    for (size_t i = 0; i < n_withouts && name; i++)
        if (strcmp(withouts[i].name, name) == 0)
            return &withouts[i];
    return NULL;
}

static bool is_named(const char *name, char **names)
{
    if (!*names)
        return true;
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static void join(struct sum *to, const struct sum *from)
{
    to->positions += from->positions;
    to->made += from->made;
    to->judged += from->judged;
    to->on += from->on;
    to->violations += from->violations;
    to->trouble |= from->trouble;
}

/* Each job tells it anew: with another seed, and what the network makes of it. */
static struct sum tell(const struct power_story *story, const struct options *o)
{
    size_t room = sizeof(struct sum) * (size_t)o->jobs;
    struct sum sum = {0},
               *sums = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;

    if (sums == MAP_FAILED)
        abort();
    for (int j = 0; j < o->jobs; j++)
        if (fork() == 0) {
            struct options mine = *o;

            mine.seed += (uint64_t)j;
            power_walk(story, &mine, without_named(o->without), &sums[j]);
            fflush(stdout);
            _exit(0);
        }
    while (wait(&status) > 0)
        sum.trouble |= status != 0;
    for (int j = 0; j < o->jobs; j++)
        join(&sum, &sums[j]);
    munmap(sums, room);
    return sum;
}

static void print_sum(const char *name, const struct sum *s)
{
    printf("%-8s %6ld states, %ld judged after %ld ops, %ld of them to the end, violations %ld%s\n",
           name, s->made, s->judged, s->positions, s->on, s->violations,
           s->trouble ? ", TROUBLE" : "");
    fflush(stdout);
}

/* 0 when each finds something. */
static int take_out(const struct options *o)
{
    int r = 0;

    for (size_t i = 0; i < n_withouts; i++) {
        const struct without *without = &withouts[i];
        struct sum sum = {0};

        if (strcmp(o->without, "all") != 0 && strcmp(o->without, without->name) != 0)
            continue;
        power_walk(story_named(without->story), o, without, &sum);
        printf("without %-14s (%s): %s after %ld states\n", without->name, without->what,
               sum.found_after ? "found" : "NOTHING FOUND", sum.judged);
        fflush(stdout);
        r |= !sum.found_after || sum.trouble;
    }
    return r;
}

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"jobs", 1, NULL, 'j'}, {"choices", 1, NULL, 'c'}, {"stride", 1, NULL, 's'},
        {"on", 1, NULL, 'o'},   {"seed", 1, NULL, 'S'},    {"without", 1, NULL, 'w'},
        {"at", 1, NULL, 'a'},   {"choice", 1, NULL, 'C'},  {"again", 1, NULL, 'A'},
        {"keep", 0, NULL, 'k'}, {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        long n = optarg ? strtol(optarg, NULL, 10) : 0;

        switch (c) {
        case 'j':
            o->jobs = (int)MIN(n, 16);
            break;
        case 'c':
            o->choices = (int)n;
            break;
        case 's':
            o->stride = (int)MAX(n, 1);
            break;
        case 'o':
            o->on = (int)n;
            break;
        case 'S':
            o->seed = (uint64_t)n;
            break;
        case 'w':
            o->without = optarg;
            break;
        case 'a':
            o->at = n;
            break;
        case 'C':
            o->choice = (int)n;
            break;
        case 'k':
            o->keep = true;
            break;
        case 'A':
            o->again = optarg;
            break;
        default:
            exit(64);
        }
    }
}

static int tell_here(char **argv)
{
    struct app_place place = {.story = story_named(argv[1]),
                              .home = argv[2],
                              .dest = argv[3],
                              .claims = argv[4],
                              .url = argv[5],
                              .told = 1};
    int r;

    telling = true;
    umask(022);
    r = app_launch(&place, (enum launch_kind)strtol(argv[0], NULL, 10));
    if (r)
        fprintf(stderr, "%s: %s\n", dlmgr_strerror(r), place.why);
    return r ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct options o = {.jobs = 2, .choices = 24, .stride = 1, .on = 10, .seed = 1};
    struct sum total = {0}, sum;

    if (argc == 8 && strcmp(argv[1], "--tell") == 0)
        return tell_here(argv + 2);
    read_options(argc, argv, &o);
    umask(022);
    if (o.without && !o.again)
        return take_out(&o);
    for (size_t i = 0; i < n_power_stories; i++) {
        if (!is_named(power_stories[i].name, argv + optind))
            continue;
        if (o.again)
            o.jobs = 1;
        sum = tell(&power_stories[i], &o);
        print_sum(power_stories[i].name, &sum);
        join(&total, &sum);
    }
    print_sum("all", &total);
    return total.violations || total.trouble || total.judged == 0;
}
