/* SPDX-License-Identifier: MIT */
/*
 * house.c - a home, a directory for files and two servers: see house.h.
 *
 * Nothing here waits longer than it must, and nothing for ever: an engine that hangs is a failed assertion with the task's
 * state in it.
 */
#include "tests/lib/house.h"

#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { END_MS = 20000, LOOK_MS = 10000, STEP_MS = 10 };

void house_open(struct house *h)
{
    dlmgr_error e = {0};

    h->options.size = sizeof(h->options);
    h->options.home = h->home;
    if (CHECK_INT(dlmgr_open(DLMGR_OWN, &h->options, &h->handle, &e), 0))
        return;
    CHECK_STR(e.text, "");
    CU_FAIL_FATAL("the home does not open");
}

void house_close(struct house *h)
{
    h->handle = dlmgr_close(h->handle);
}

void house_begin(struct house *h)
{
    *h = (struct house){0};
    snprintf(h->home, sizeof(h->home), "%s/home", test_dir());
    snprintf(h->dir, sizeof(h->dir), "%s/files", test_dir());
    CU_ASSERT_EQUAL_FATAL(mkdir(h->dir, 0755), 0);
    CU_ASSERT_EQUAL_FATAL(fx_start(&h->fx, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(fx_start(&h->other, NULL), 0);
    house_open(h);
}

void house_end(struct house *h)
{
    house_close(h);
    h->fx = fx_stop(h->fx);
    h->other = fx_stop(h->other);
}

dlmgr_request house_request(const struct house *h, char *url)
{
    dlmgr_request request;

    dlmgr_request_init(&request);
    request.url = url;
    request.dir = h->dir;
    request.retry_wait_ms = 50;
    return request;
}

int64_t house_add(const struct house *h, const dlmgr_request *request)
{
    dlmgr_error e = {0};
    int64_t id = 0;

    if (!CHECK_INT(dlmgr_add(h->handle, request, 1, &id, NULL, &e), 0))
        CHECK_STR(e.text, "");
    return id;
}

static void copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
}

struct house_result house_look(const struct house *h, int64_t id)
{
    dlmgr_selector selector = {.size = sizeof(selector), .ids = &id, .n_ids = 1};
    struct house_result r = {.state = -1};
    dlmgr_list *list = NULL;
    const dlmgr_task *t;

    CHECK_INT(dlmgr_query(h->handle, &selector, &list, NULL), 0);
    if (list && (t = dlmgr_list_at(list, 0))) {
        r = (struct house_result){.state = t->state,
                                  .error_code = t->error_code,
                                  .error_class = t->error_class,
                                  .http_status = t->http_status,
                                  .renamed = t->renamed,
                                  .bytes_done = t->bytes_done,
                                  .bytes_total = t->bytes_total,
                                  .attempts = t->attempts,
                                  .generation = t->generation};
        copy_text(r.path, sizeof(r.path), t->path);
        copy_text(r.text, sizeof(r.text), t->error_text);
    }
    dlmgr_list_free(list);
    return r;
}

struct house_result house_wait(const struct house *h, int64_t id)
{
    int r = dlmgr_wait(h->handle, &id, 1, END_MS, NULL);
    struct house_result result = house_look(h, id);

    if (!CHECK_INT(r, 0)) {
        CHECK_STR(dlmgr_state_name(result.state), "ended");
        CHECK_STR(result.text, "");
        fflush(stdout);
    }
    return result;
}

struct house_result house_until(const struct house *h, int64_t id, int64_t bytes, int state)
{
    struct house_result r = house_look(h, id);

    for (int ms = 0; ms < LOOK_MS && r.bytes_done < bytes && r.state != state; ms += STEP_MS) {
        usleep(STEP_MS * 1000);
        r = house_look(h, id);
    }
    CU_ASSERT(r.bytes_done >= bytes || r.state == state);
    return r;
}

void house_forget(const struct house *h, int64_t id)
{
    dlmgr_selector selector = {.size = sizeof(selector), .ids = &id, .n_ids = 1};
    int64_t n = 0;

    CHECK_INT(dlmgr_act(h->handle, DLMGR_REMOVE_DELETE, &selector, &n, NULL), 0);
    CHECK_INT(n, 1);
}

size_t house_events(const struct house *h, int64_t id, const char *type)
{
    dlmgr_event_list *list = NULL;
    size_t n = 0;

    CHECK_INT(dlmgr_events(h->handle, "default", 0, 0, &list, NULL), 0);
    for (size_t i = 0; list && i < dlmgr_event_list_count(list); i++) {
        const dlmgr_event *event = dlmgr_event_list_at(list, i);

        n += event->task == id && !strcmp(event->type, type);
    }
    dlmgr_event_list_free(list);
    return n;
}

static size_t count_names(const struct house *h, bool parts)
{
    DIR *dir = opendir(h->dir);
    size_t n = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t len = strlen(entry->d_name);
        bool is_part = len > 5 && !strcmp(entry->d_name + len - 5, ".part");

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            n += is_part == parts;
    }
    closedir(dir);
    return n;
}

size_t house_files(const struct house *h)
{
    return count_names(h, false);
}

size_t house_parts(const struct house *h)
{
    return count_names(h, true);
}

const char *house_path(const struct house *h, const char *name)
{
    static char paths[4][700];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", h->dir, name);
    return path;
}

void house_write(const struct house *h, const char *name, const char *text)
{
    int fd = open(house_path(h, name), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}
