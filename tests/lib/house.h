/* SPDX-License-Identifier: MIT */
/*
 * house.h - a home, a directory for files and two servers, driven through dlmgr.h as an embedding program would.
 *
 * Everything lies below test_dir(). What goes wrong is an assertion of the test that calls, so a test says only what it
 * wants: add, wait, and how it ended.
 */
#ifndef TEST_HOUSE_H
#define TEST_HOUSE_H

#include "tests/lib/fixture.h"

#include "dlmgr.h"

struct house {
    char home[300], dir[300];
    dlmgr *handle;
    struct fx *fx, *other; /* two origins */
    dlmgr_options options; /* may be changed before house_open() */
};

void house_begin(struct house *h); /* servers, directories, and an owner */
void house_end(struct house *h);

/* Be the owner, or stop being it; what was downloaded stays. */
void house_open(struct house *h);
void house_close(struct house *h);

/* A request for the path at fx, tried again soon; change it and give it to house_add(). url is yours. */
dlmgr_request house_request(const struct house *h, char *url);
int64_t house_add(const struct house *h, const dlmgr_request *request);

/* How it ended; a copy that needs no freeing. */
struct house_result {
    int state, error_code, error_class, http_status, renamed;
    int64_t bytes_done, bytes_total, attempts, generation;
    char path[600], text[600];
};
struct house_result house_look(const struct house *h, int64_t id);
struct house_result house_wait(const struct house *h, int64_t id); /* an assertion fails after 20 s */
/* Until so many bytes are there, or the task has this state (-1: any does not count); an assertion fails after 10 s. */
struct house_result house_until(const struct house *h, int64_t id, int64_t bytes, int state);

/* Remove the task and its part. */
void house_forget(const struct house *h, int64_t id);

/* Events of a type that tell of the task. */
size_t house_events(const struct house *h, int64_t id, const char *type);
/* Files in the directory; parts are counted apart. */
size_t house_files(const struct house *h);
size_t house_parts(const struct house *h);
/* A file of the directory, in a place that lasts until the fourth call after. */
const char *house_path(const struct house *h, const char *name);
void house_write(const struct house *h, const char *name, const char *text);

#endif
