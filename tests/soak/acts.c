/* SPDX-License-Identifier: MIT */
/*
 * acts.c - what is done to a world, by chance: see soak.h.
 *
 * An owner may end while it is asked; then nobody knows whether it took effect. Adding has a key and is asked again, as are the other errands; all
 * else may be lost.
 */
#include "tests/soak/soak.h"

#include "tests/lib/test.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 6, MOST = 700000, LARGE_IN = 60, STRANGER_IN = 10 };

void act_script(struct world *w, struct job *j)
{
    char path[100];

    snprintf(path, sizeof(path), "/%s/%s", w->name, j->key);
    CHECK_INT(fx_script(w->fx, path, "%s", j->lies.script), 0);
}

/* ---- Errands -------------------------------------------------------------------------------------- */

static int ask(struct world *w, struct job *j, int action, dlmgr_error *e)
{
    dlmgr_selector one = {.size = sizeof(one), .ids = &j->id, .n_ids = 1};

    return dlmgr_act(w->handle, action, &one, NULL, e);
}

/* The same request each time: it is part of what the key stands for. */
static int add(struct world *w, struct job *j, dlmgr_error *e)
{
    char url[200], digest[160] = "sha-256=";
    dlmgr_request request;
    int n = atoi(j->key);

    snprintf(url, sizeof(url), "http://127.0.0.1:%d/%s/%s", fx_port(w->fx), w->name, j->key);
    dlmgr_request_init(&request);
    request.url = url;
    request.dir = w->dir;
    request.key = request.out = j->key;
    request.session = SOAK_SESSION;
    request.max_tries = 50;
    request.retry_wait_ms = 5;
    request.priority = n % 5;
    request.connections = n % 4;
    request.limit_rate = n % 7 ? 0 : 400000;
    if (j->checked) {
        fx_body_digest("sha256", j->lies.size[1], 1, digest + 8);
        request.checksum = digest;
    }
    return dlmgr_add(w->handle, &request, 1, &j->id, NULL, e);
}

static void do_errand(struct world *w, struct job *j)
{
    dlmgr_error e = {0};
    int r = 0;

    if (j->errand == ADD)
        r = add(w, j, &e);
    else if (j->errand == RETRY)
        r = ask(w, j, DLMGR_RETRY, &e);
    else if (j->errand == REMOVE)
        r = ask(w, j, DLMGR_REMOVE_DELETE, &e);
    else
        return;
    r = soak_expect(w, "an errand", r, &e);
    /* Without an owner a task that was being committed stays as it is. */
    if (r == DLMGR_ELINK || (r == DLMGR_ESTATE && j->errand == REMOVE))
        return;
    j->errand = j->errand == REMOVE ? REMOVED : NOTHING;
}

void act_errands(struct world *w)
{
    for (int i = 0; i < JOBS; i++)
        if (w->jobs[i].key[0])
            do_errand(w, &w->jobs[i]);
}

void act_end(struct world *w, struct job *j)
{
    dlmgr_change change;
    dlmgr_error e = {0};

    lies_end(&j->lies, 1);
    act_script(w, j);
    if (!j->id || j->errand != NOTHING)
        return;
    dlmgr_change_init(&change);
    change.limit_rate = 0;
    soak_expect(w, "set", dlmgr_set(w->handle, j->id, &change, &e), &e);
    soak_expect(w, "resume", ask(w, j, DLMGR_RESUME, &e), &e);
}

/* ---- By chance ------------------------------------------------------------------------------------ */

static void act_on(struct world *w, struct job *j, int action)
{
    dlmgr_error e = {0};

    soak_expect(w, "an action", ask(w, j, action, &e), &e);
}

static void pause_job(struct world *w, struct job *j)
{
    act_on(w, j, DLMGR_PAUSE);
}

static void resume_job(struct world *w, struct job *j)
{
    act_on(w, j, DLMGR_RESUME);
}

static void cancel_job(struct world *w, struct job *j)
{
    act_on(w, j, DLMGR_CANCEL);
}

static void remove_job(struct world *w, struct job *j)
{
    j->errand = REMOVE;
    do_errand(w, j);
}

static void change_job(struct world *w, struct job *j)
{
    dlmgr_change change;
    dlmgr_error e = {0};

    dlmgr_change_init(&change);
    change.has_priority = 1;
    change.priority = (int)dice_roll(10);
    change.limit_rate = dice_roll(2) ? 0 : 300000;
    soak_expect(w, "set", dlmgr_set(w->handle, j->id, &change, &e), &e);
}

/* Somebody deletes the part. */
static void lose_part(struct world *w, struct job *j)
{
    char pattern[700], name[KEY + 40];
    glob_t found = {0};

    snprintf(name, sizeof(name), "%s.%lld-*.part", j->key, (long long)j->id);
    soak_path(w, name, pattern);
    if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
        unlink(found.gl_pathv[0]);
    globfree(&found);
}

/* Somebody has a file of that name. */
static void put_stranger(struct world *w, struct job *j)
{
    char path[700];
    int fd;

    soak_path(w, j->key, path);
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    j->stranger = write(fd, "mine\n", 5) == 5; /* not on a disk that is full */
    close(fd);
    if (!j->stranger)
        unlink(path);
}

static void begin_job(struct world *w)
{
    struct job *j = NULL;

    for (int i = 0; i < JOBS && !j; i++)
        if (!w->jobs[i].key[0])
            j = &w->jobs[i];
    if (!j)
        return;
    *j = (struct job){.errand = ADD, .checked = dice_roll(5) == 0};
    snprintf(j->key, sizeof(j->key), "%d", w->named++);
    lies_make(&j->lies, STEPS, MOST, LARGE_IN);
    act_script(w, j);
    if (dice_roll(STRANGER_IN) == 0)
        put_stranger(w, j);
    do_errand(w, j);
}

static void lie_again(struct world *w, struct job *j)
{
    struct lies fresh = j->lies;

    lies_again(&fresh, STEPS);
    j->lies = fresh;
    act_script(w, j);
}

static const struct {
    unsigned weight;
    void (*fn)(struct world *w, struct job *j);
} acts[] = {
    {6, pause_job},  {12, resume_job}, {2, cancel_job},   {1, remove_job},
    {4, change_job}, {1, lose_part},   {2, put_stranger}, {3, lie_again},
};

void act_random(struct world *w)
{
    struct job *j = &w->jobs[dice_roll(JOBS)];
    unsigned at = dice_roll(31);

    w->acts++;
    begin_job(w);
    if (!j->id || j->errand != NOTHING)
        return;
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        if (at < acts[i].weight)
            return acts[i].fn(w, j);
        at -= acts[i].weight;
    }
}
