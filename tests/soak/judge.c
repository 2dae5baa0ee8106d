/* SPDX-License-Identifier: MIT */
/*
 * judge.c - what a world tells and what it leaves on the disk: see soak.h.
 *
 * Events are read in order and acknowledged; a number that is missing, or comes again after that, is wrong, as is a second terminal event of a task
 * and generation. A done file is compared at once, and then deleted as its user might. A job's place is free again when it was removed and the events
 * of before the removal were read.
 */
#include "tests/soak/soak.h"

#include "tests/lib/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 200 };

static struct job *find_job(struct world *w, const char *key)
{
    for (int i = 0; key && i < JOBS; i++)
        if (!strcmp(w->jobs[i].key, key))
            return &w->jobs[i];
    return NULL;
}

/* ---- Events ---------------------------------------------------------------------------------------- */

static void note_terminal(struct world *w, const dlmgr_event *event)
{
    size_t id = (size_t)event->task;

    if (id >= w->ended_room) {
        size_t room = id * 2 + 1000;

        w->ended = realloc(w->ended, room * sizeof(*w->ended));
        CU_ASSERT_PTR_NOT_NULL_FATAL(w->ended);
        memset(w->ended + w->ended_room, 0, (room - w->ended_room) * sizeof(*w->ended));
        w->ended_room = room;
    }
    if (event->generation + 1 <= w->ended[id])
        wrong(w, "task %lld: a second terminal event (%s) of generation %lld",
              (long long)event->task, event->type, (long long)event->generation);
    w->ended[id] = event->generation + 1;
}

static void judge_stranger(struct world *w, const struct job *j)
{
    char path[700], text[8] = "";
    FILE *f;

    if (!j->stranger)
        return;
    soak_path(w, j->key, path);
    f = fopen(path, "re");
    if (!f || fread(text, 1, sizeof(text) - 1, f) != 5 || strcmp(text, "mine\n") != 0)
        wrong(w, "%s: a file that was there was touched", path);
    if (f)
        fclose(f);
    unlink(path);
}

static void judge_done(struct world *w, struct job *j, const dlmgr_event *event)
{
    struct lies lies = j->lies;

    w->done++;
    if (j->checked)
        lies.size[2] = -1;
    if (event->missing || !event->path || !lies_good(&lies, event->path, event->bytes_total))
        wrong(w, "task %lld: %s (%lld bytes, missing %d) is neither version (%lld, %lld): %s",
              (long long)event->task, event->path ? event->path : "no path",
              (long long)event->bytes_total, event->missing, (long long)lies.size[1],
              (long long)lies.size[2], j->lies.script);
    if (event->path)
        unlink(event->path);
    if (j->errand == NOTHING || j->errand == ADD)
        j->errand = REMOVE;
}

static void judge_other(struct world *w, struct job *j, const dlmgr_event *event)
{
    bool failed = !strcmp(event->type, "failed");

    *(failed ? &w->failed : &w->cancelled) += 1;
    if (failed && (!event->error_code || !event->error_class || !event->error_text))
        wrong(w, "task %lld failed without saying why", (long long)event->task);
    if (j->errand != NOTHING)
        return;
    lies_end(&j->lies, 1);
    act_script(w, j);
    j->errand = RETRY;
}

static void judge_event(struct world *w, const dlmgr_event *event)
{
    struct job *j = find_job(w, event->key);
    bool is_done = !strcmp(event->type, "done");

    if (event->seq <= w->acked)
        wrong(w, "event %lld again, though it was acknowledged", (long long)event->seq);
    if (event->seq <= w->seq)
        return;
    if (event->seq != w->seq + 1)
        wrong(w, "event %lld after %lld", (long long)event->seq, (long long)w->seq);
    w->seq = event->seq;
    if (!strcmp(event->type, "restarted"))
        w->restarted++;
    if (!strcmp(event->type, "restarted") || !strcmp(event->type, "waiting"))
        return;
    note_terminal(w, event);
    if (!j) {
        wrong(w, "event %lld of a job that is over: %s", (long long)event->seq, event->type);
        return;
    }
    j->id = event->task;
    if (is_done)
        judge_done(w, j, event);
    else
        judge_other(w, j, event);
}

/* True: all that there is was read and acknowledged. */
static bool read_page(struct world *w)
{
    dlmgr_event_list *list = NULL;
    dlmgr_error e = {0};
    size_t n = 0;
    int r = dlmgr_events(w->handle, SOAK_SESSION, -1, PAGE, &list, &e);

    if (soak_expect(w, "events", r, &e) == 0 && list) {
        n = dlmgr_event_list_count(list);
        for (size_t i = 0; i < n; i++)
            judge_event(w, dlmgr_event_list_at(list, i));
    }
    dlmgr_event_list_free(list);
    if (r == 0 && n > 0)
        r = soak_expect(w, "ack", dlmgr_ack_to(w->handle, SOAK_SESSION, w->seq, &e), &e);
    if (r == 0)
        w->acked = w->seq;
    return r == 0 && n < PAGE;
}

void judge_events(struct world *w)
{
    bool gone[JOBS];

    for (int i = 0; i < JOBS; i++)
        gone[i] = w->jobs[i].errand == REMOVED;
    if (!read_page(w))
        return;
    for (int i = 0; i < JOBS; i++) {
        struct job *j = &w->jobs[i];

        if (!gone[i])
            continue;
        judge_stranger(w, j);
        j->lies.script[0] = '\0';
        act_script(w, j);
        *j = (struct job){.key = ""};
    }
}

/* ---- Lists and ends ---------------------------------------------------------------------------------- */

void judge_list(struct world *w)
{
    dlmgr_selector all = {.size = sizeof(all), .session = SOAK_SESSION};
    dlmgr_list *list = NULL;
    dlmgr_error e = {0};
    int r = soak_expect(w, "list", dlmgr_query(w->handle, &all, &list, &e), &e);

    for (int i = 0; r == 0 && i < JOBS; i++) {
        struct job *j = &w->jobs[i];
        bool found = !j->id || j->errand == REMOVE || j->errand == REMOVED;

        for (size_t k = 0; !found && k < dlmgr_list_count(list); k++)
            found = dlmgr_list_at(list, k)->id == j->id;
        if (!found)
            wrong(w, "task %lld (%s) is lost", (long long)j->id, j->key);
    }
    dlmgr_list_free(list);
}

static void judge_stuck(struct world *w, const struct job *j)
{
    char *json = NULL;
    dlmgr_error e = {0};

    dlmgr_show(w->handle, j->id, 0, &json, &e);
    wrong(w, "job %s did not come to an end (errand %d): %s", j->key, (int)j->errand,
          json ? json : e.text);
    free(json);
}

void judge_end(struct world *w)
{
    char *json = NULL;
    DIR *dir = opendir(w->dir);

    for (struct dirent *d; dir && (d = readdir(dir));)
        if (d->d_name[0] != '.')
            wrong(w, "left in the directory: %s", d->d_name);
    if (dir)
        closedir(dir);
    for (int i = 0; i < JOBS; i++)
        if (w->jobs[i].key[0])
            judge_stuck(w, &w->jobs[i]);
    CHECK_INT(dlmgr_doctor(w->home, 0, &json, NULL), 0);
    if (!json || !strstr(json, "\"problems\":[]"))
        wrong(w, "doctor: %s", json ? json : "says nothing");
    free(json);
}
