/* SPDX-License-Identifier: MIT */
/*
 * owner.c - the owner of a world, in a process of its own: see soak.h.
 *
 * An owner that ends without being asked is wrong, whatever it says. It ends with the thread that started it.
 */
#include "tests/soak/soak.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STRIKE_MS = 4000, PAUSE_MS = 400, STOPPED_MS = 200 };

static void run(const struct world *w)
{
    const char *program = getenv("DLMGR");
    char log[400];
    int fd;

    snprintf(log, sizeof(log), "%s.log", w->home);
    fd = open(log, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(program ? program : "build/dlmgr", "dlmgr", "--home", w->home, "-q", "run", "--forever",
          "-j", "6", (char *)NULL);
    _exit(127);
}

static void start(struct world *w)
{
    w->asked = false;
    w->strike_at = soak_now() + 300 + dice_roll(STRIKE_MS);
    w->owner = fork();
    if (w->owner == 0)
        run(w);
}

static void reap(struct world *w, int flags)
{
    int status = 0;

    if (!w->owner || waitpid(w->owner, &status, flags) != w->owner)
        return;
    if (!w->asked)
        wrong(w, "the owner ended by itself, status %#x; see its log", (unsigned)status);
    else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        wrong(w, "asked to end, the owner died of signal %d", WTERMSIG(status));
    w->owner = 0;
    w->start_at = soak_now() + dice_roll(PAUSE_MS);
}

static void strike(struct world *w)
{
    unsigned how = dice_roll(10);

    w->kills++;
    if (how == 0) { /* it hangs for a moment */
        kill(w->owner, SIGSTOP);
        usleep(STOPPED_MS * 1000);
        kill(w->owner, SIGCONT);
        w->strike_at = soak_now() + dice_roll(STRIKE_MS);
        return;
    }
    w->asked = true;
    kill(w->owner, how < 3 ? SIGTERM : SIGKILL);
}

void owner_tend(struct world *w)
{
    reap(w, WNOHANG);
    if (!w->owner && soak_now() >= w->start_at)
        start(w);
    else if (w->owner && w->stormy && !w->asked && soak_now() >= w->strike_at)
        strike(w);
}

void owner_calm(struct world *w)
{
    if (w->asked)
        reap(w, 0);
    reap(w, WNOHANG);
    if (!w->owner)
        start(w);
}

void owner_stop(struct world *w)
{
    w->asked = true;
    if (w->owner)
        kill(w->owner, SIGTERM);
    reap(w, 0);
}

static long resident_kib(pid_t pid)
{
    char path[64], line[200];
    long kib = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (!strncmp(line, "VmRSS:", 6))
            kib = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

static long open_descriptors(pid_t pid)
{
    char path[64];
    long n = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n - 2;
}

void owner_measure(struct world *w, struct usage *u)
{
    long kib = resident_kib(w->owner), descriptors = open_descriptors(w->owner);

    if (kib > u->kib)
        u->kib = kib;
    if (descriptors > u->descriptors)
        u->descriptors = descriptors;
}
