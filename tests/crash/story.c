/* SPDX-License-Identifier: MIT */
/*
 * story.c - the driver: tells a story, kills, tells it again until it ends by itself, and has each end looked at.
 *
 * A telling is a row of commands. Those that stand alone share one count, so that the Nth call may fall into any of them.
 * An owner stays behind and has a count of its own; its clients are never killed, but what they were told when their owner
 * died is held against the journal like everything else. The logs of a telling are replayed when all of it is over, the
 * owner's before its clients': a client that changes the journal by itself does so after the owner has gone.
 */
#include "story.h"

#include "dlmgr/base.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct telling {
    struct world *w;
    long kill_at, used;
    struct launch launches[STORY_STEPS];
    int n;
    struct launch *owner;
    bool killed, ended; /* ended: by itself, each command with its code */
};

/* ---- What was told --------------------------------------------------------------------------------- */

static void hear_line(struct check *c, const char *line)
{
    const char *name = strrchr(line, '/');

    if (line[0] && strspn(line, "0123456789") == strlen(line))
        check_told_id(c, strtoll(line, NULL, 10));
    for (size_t i = 0; line[0] == '/' && name && i < c->n_wants; i++)
        if (c->wants[i].final && !c->wants[i].other && strcmp(c->wants[i].final, name + 1) == 0)
            c->wants[i].told_done = true;
}

/* Only whole lines were told. */
void story_hear(struct world *w, const struct launch *l)
{
    CLEANUP_FREE char *out = launch_text(l->out);
    CLEANUP_FREE char *err = launch_text(l->err);
    char *save = NULL, *last = out ? strrchr(out, '\n') : NULL;

    check_secret_text(&w->check, "stdout", out ? out : "");
    check_secret_text(&w->check, "stderr", err ? err : "");
    if (!last)
        return;
    *last = 0;
    for (char *line = strtok_r(out, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        hear_line(&w->check, line);
}

static void hear_the_end(struct world *w)
{
    for (size_t i = 0; i < w->check.n_wants; i++)
        w->wants[i].told_done = true;
}

/* ---- One telling ----------------------------------------------------------------------------------- */

static void judge_code(struct telling *t, const struct launch *l)
{
    bool fine = l->code == 0 || l->code == l->step->code ||
                (l->step->code == ANY_CODE && l->code <= 64);

    if (l->code == 137 && t->kill_at)
        t->killed = true;
    else if (l->code == 124 || (!fine && !t->killed))
        check_say(&t->w->check, 0, "`%s` ended with %d, see %s", l->step->words, l->code, l->err);
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

static void wait_for_owner(struct telling *t, struct launch *l)
{
    for (int i = 0; i < 4000 && !launch_wait(l, 0) && !served(t->w); i++)
        usleep(5000);
}

/* A client whose owner was killed may try for a while, but it must end. */
static void wait_for_client(struct telling *t, struct launch *l)
{
    for (int i = 0; i < 3 && !launch_wait(l, 20000); i++)
        ;
    if (!l->pid)
        return;
    check_say(&t->w->check, 0, "`%s` does not end", l->step->words);
    kill(l->pid, SIGKILL);
    launch_wait(l, -1);
}

static int tell_step(struct telling *t, const struct step *step)
{
    struct launch *l = &t->launches[t->n];
    long at = step->kind == STEP_CLIENT || !t->kill_at ? 0 : t->kill_at - t->used;
    int r = launch_start(t->w, step, at, l);

    if (r)
        return r;
    t->n++;
    if (step->kind == STEP_OWNER) {
        t->owner = l;
        wait_for_owner(t, l);
        t->killed = !l->pid && l->code == 137;
        return 0;
    }
    if (step->kind == STEP_CLIENT)
        wait_for_client(t, l);
    launch_wait(l, -1);
    /* What a client made of its owner's death is not held against it; the killer needs a moment to say so. */
    if (t->owner && launch_wait(t->owner, l->code ? 3000 : 0))
        t->killed = t->owner->code == 137;
    if (step->kind == STEP_ALONE)
        t->used += l->count;
    judge_code(t, l);
    return 0;
}

static void finish(struct telling *t)
{
    if (t->owner) {
        if (!launch_wait(t->owner, 30000)) {
            check_say(&t->w->check, 0, "the owner does not end");
            kill(t->owner->pid, SIGKILL);
        }
        launch_wait(t->owner, -1);
        t->used = t->owner->count;
        judge_code(t, t->owner);
        check_replay(&t->w->check, t->owner->calls);
    }
    for (int i = 0; i < t->n; i++) {
        const struct launch *l = &t->launches[i];

        if (l != t->owner)
            check_replay(&t->w->check, l->calls);
        story_hear(t->w, l);
        check_memory(&t->w->check, l->memory);
    }
    t->ended = !t->killed;
}

static int look(struct telling *t)
{
    struct world *w = t->w;
    struct fx_log log, log2;
    int r = fx_log_settle(w->first, 3000, &log);

    if (r && r != -ETIMEDOUT)
        return r;
    if (t->ended)
        hear_the_end(w);
    check_look(&w->check, &log, t->ended);
    fx_log_free(&log);
    r = fx_log_read(w->second, &log2);
    if (r)
        return r;
    if (w->check.secret)
        check_secret_log(&w->check, &log2);
    fx_log_free(&log2);
    return 0;
}

static int tell_once(struct world *w, long kill_at, struct telling *ret)
{
    struct telling *t = ret;
    int r = 0;

    *t = (struct telling){.w = w, .kill_at = kill_at};
    for (const struct step *step = w->story->steps; step->kind != STEP_END && !t->killed && !r;
         step++)
        r = tell_step(t, step);
    finish(t);
    return r ? r : look(t);
}

/* ---- All of it --------------------------------------------------------------------------------------- */

static int tell_all(struct world *w, const struct kills *kills, struct outcome *o)
{
    struct telling t;
    int r = tell_once(w, kills->at, &t);

    o->calls = t.used;
    if (r || !t.killed)
        return r;
    o->kills++;
    if (kills->power)
        r = world_power_cut(w);
    if (!r)
        r = tell_once(w, kills->again, &t);
    o->recovery = t.used;
    if (r || !t.killed)
        return r;
    o->kills++;
    o->recovery_kills++;
    return tell_once(w, 0, &t);
}

static void prepare(struct world *w, const struct kills *kills, char **ret_report, size_t *ret_size)
{
    const char *slow = getenv("SLOW");

    w->check.refetch_limit = kills->power ? -1 : 65536;
    w->check.memory_limit = slow && slow[0] ? 0 : 65536; /* sanitizers need more */
    w->check.out = w->report = open_memstream(ret_report, ret_size);
    for (size_t i = 0; i < STORY_WANTS && kills->at; i++)
        w->wants[i].within_ms = 0;
    check_init(&w->check);
}

int story_tell(const struct story *story, const struct kills *kills, bool keep, struct outcome *ret)
{
    struct world w;
    char *report = NULL;
    size_t size = 0;
    int r = world_make(&w, story);

    *ret = (struct outcome){0};
    prepare(&w, kills, &report, &size);
    if (!r && w.report)
        r = tell_all(&w, kills, ret);
    ret->violations = w.check.violations;
    ret->refetch = w.check.refetch;
    ret->memory = w.check.memory;
    snprintf(ret->where, sizeof(ret->where), "%s", w.dir);
    if (w.report)
        fclose(w.report);
    if (report && size)
        printf("  %s, kill at %ld%s, then at %ld, in %s:\n%s", story->name, kills->at,
               kills->power ? " with the power" : "", kills->again, w.dir, report);
    free(report);
    world_free(&w, keep || ret->violations || r);
    return r;
}
