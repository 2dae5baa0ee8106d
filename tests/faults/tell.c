/* SPDX-License-Identifier: MIT */
/*
 * tell.c - one telling with a fault: see tell.h.
 *
 * The commands of a story run under the killer (which kills nobody here, but writes down what the kernel was asked for) and
 * with preload.so, which makes calls fail before they reach the kernel. So the one checker can judge what is on the disk
 * for sure: a sync that failed was not made. Then a fault's end is looked at: codes, no signal, no hang. Then everything is told once
 * more without a fault, failed tasks being tried again, and must end as if nothing had been.
 */
#include "tell.h"

#include "dlmgr/base.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Who waits for something that does not come is asked to stop; then it must. */
enum { ASK_MS = 8000, PATIENT_MS = 100000, END_MS = 40000 };

struct turn {
    struct world *w;
    const struct fault_case *c;
    struct fault_result *result;
    struct launch launches[STORY_STEPS + 1], *owner;
    int n;
    bool faults; /* the first of the two */
};

/* ---- The fault's file ------------------------------------------------------------------------------------------ */

static struct faults *plan_make(const struct world *w, const struct fault_case *c)
{
    char path[400];
    int fd;
    void *at;
    struct faults *plan;

    snprintf(path, sizeof(path), "%s/plan", w->dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(*plan)) != 0)
        return NULL;
    at = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return NULL;
    plan = at;
    plan->call = c->call;
    plan->err = c->err;
    plan->nth = c->nth;
    plan->forever = c->forever;
    setenv("FAULTS", path, 1);
    return plan;
}

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

static pid_t parent_of(const char *pid)
{
    char path[300];
    int parent = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    f = fopen(path, "re");
    if (f && fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1)
        parent = 0;
    if (f)
        fclose(f);
    return parent;
}

static void interrupt_child(pid_t killer)
{
    DIR *proc = opendir("/proc");

    for (struct dirent *d = proc ? readdir(proc) : NULL; d; d = readdir(proc))
        if (atoi(d->d_name) > 1 && parent_of(d->d_name) == killer)
            kill(atoi(d->d_name), SIGTERM);
    if (proc)
        closedir(proc);
}

static void say_hang(struct turn *t, struct launch *l)
{
    t->result->hung = true;
    check_say(&t->w->check, 0, "`%s` does not end%s", l->step->words,
              t->result->asked ? " although it was asked to stop" : "");
    kill(l->pid, SIGKILL);
    launch_wait(l, -1);
}

static void wait_for(struct turn *t, struct launch *l)
{
    if (launch_wait(l, t->c->patient || !t->faults ? PATIENT_MS : ASK_MS))
        return;
    if (!t->c->patient && t->faults) {
        t->result->asked = true;
        interrupt_child(l->pid);
        if (launch_wait(l, END_MS))
            return;
    }
    say_hang(t, l);
}

static bool served(const struct world *w)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes;

    snprintf(to.sun_path, sizeof(to.sun_path), "%.80s/control.sock", w->home);
    yes = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
    if (fd >= 0)
        close(fd);
    return yes;
}

/* What a command may end with when something failed: a number that we document, and words. */
static void judge_fault(struct turn *t, const struct launch *l)
{
    static const int codes[] = {0, 2, 3, 6, 7, 8, 9, 13, 17, 19, 22, 24, 32, 69, 75, 78, 130};
    CLEANUP_FREE char *err = launch_text(l->err);
    bool said = strstr(err, strerror(t->c->err)) ||
                (t->c->err == ENOMEM && (strstr(err, "memory") ||
                                         strstr(err, strerror(EAGAIN)))); /* as libraries say it */
    bool any = l->step->code == ANY_CODE && l->code <= 64;
    bool known = any || ((l->code == 1 || l->code == 64) && said) ||
                 (t->result->asked && l->code == 143);

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        known |= l->code == codes[i];
    if (!known)
        check_say(&t->w->check, 0, "`%s` ended with %d: %s", l->step->words, l->code, err);
    else if (l->code && l->code != 7 && l->code < 130 && !err[0]) /* those were asked for */
        check_say(&t->w->check, 0, "`%s` ended with %d and does not say why", l->step->words,
                  l->code);
}

static void judge(struct turn *t, const struct launch *l)
{
    int want = l->step->code;

    if (l->code && !t->result->code && t->faults)
        t->result->code = l->code;
    if (t->faults && t->c->nth)
        judge_fault(t, l);
    else if (l->code && l->code != want && !(want == ANY_CODE && l->code <= 64))
        check_say(&t->w->check, 0, "`%s` then ended with %d, see %s", l->step->words, l->code,
                  l->err);
}

static int start(struct turn *t, const struct step *step, struct launch **ret)
{
    struct launch *l = &t->launches[t->n];
    char preload[4300];
    int r;

    snprintf(preload, sizeof(preload), "%s/faults/preload.so", t->w->bin);
    if (t->faults && step->kind != STEP_CLIENT)
        setenv("LD_PRELOAD", preload, 1);
    r = launch_start(t->w, step, 0, l);
    unsetenv("LD_PRELOAD");
    t->n += !r;
    *ret = l;
    return r;
}

static int tell_step(struct turn *t, const struct step *step)
{
    struct launch *l;
    int r = start(t, step, &l);

    if (r)
        return r;
    if (step->kind != STEP_OWNER) {
        wait_for(t, l);
        judge(t, l);
        return 0;
    }
    t->owner = l;
    for (int i = 0; i < 1000 && !launch_wait(l, 0) && !served(t->w); i++)
        usleep(5000);
    return 0;
}

static void finish(struct turn *t)
{
    if (t->owner) {
        wait_for(t, t->owner);
        judge(t, t->owner);
        check_replay(&t->w->check, t->owner->calls);
    }
    for (int i = 0; i < t->n; i++) {
        if (&t->launches[i] != t->owner)
            check_replay(&t->w->check, t->launches[i].calls);
        story_hear(t->w, &t->launches[i]);
    }
}

/* ---- A telling ------------------------------------------------------------------------------------------------------ */

static int look(struct world *w, bool end)
{
    struct fx_log log;
    int r = fx_log_settle(w->first, 3000, &log);

    if (r && r != -ETIMEDOUT)
        return r;
    for (size_t i = 0; i < w->check.n_wants && end; i++)
        w->wants[i].told_done = true;
    check_look(&w->check, &log, end);
    fx_log_free(&log);
    return 0;
}

static int tell_once(struct world *w, const struct fault_case *c, bool faults,
                     struct fault_result *result)
{
    static const struct step again = {STEP_ALONE, "retry --state failed", ANY_CODE};
    struct turn t = {.w = w, .c = c, .faults = faults, .result = result};
    int r = faults ? 0 : tell_step(&t, &again);

    for (const struct step *step = w->story->steps; step->kind != STEP_END && !r && !result->hung;
         step++)
        r = tell_step(&t, step);
    finish(&t);
    return r ? r : look(w, !faults || !c->nth);
}

int fault_tell(const struct fault_case *c, bool keep, struct faults *ret_counts, FILE *report,
               struct fault_result *ret)
{
    struct world w;
    struct faults *plan = NULL;
    int r = world_make(&w, &fault_stories[c->story]);

    *ret = (struct fault_result){0};
    w.timeout = PATIENT_MS / 1000 + 20;
    w.check.refetch_limit = -1;
    w.check.out = report;
    check_init(&w.check);
    if (!r && !(plan = plan_make(&w, c)))
        r = -EIO;
    if (!r)
        r = tell_once(&w, c, true, ret);
    if (plan) {
        ret->fired = plan->fired;
        snprintf(ret->by, sizeof(ret->by), "%s", plan->by);
        if (ret_counts)
            *ret_counts = *plan;
        munmap(plan, sizeof(*plan));
    }
    if (!r && c->nth && !ret->hung)
        r = tell_once(&w, c, false, ret);
    ret->violations = w.check.violations;
    if (keep)
        fprintf(report, "    in %s\n", w.dir);
    world_free(&w, keep);
    return r;
}
