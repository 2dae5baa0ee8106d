/* SPDX-License-Identifier: MIT */
/*
 * home.c - a home with a small journal: see home.h.
 */
#include "tests/fuzz/home.h"
#include "dlmgr/methods.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

const char *home_path(void)
{
    static char path[600];

    if (!path[0])
        snprintf(path, sizeof(path), "%s/home", test_dir());
    return path;
}

int home_fd(void)
{
    static int fd = -1;

    if (fd < 0 && (mkdir(home_path(), 0700) == 0 || errno == EEXIST))
        fd = open(home_path(), O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0);
    return fd;
}

/* One of each state: those that are not queued go a road of allowed moves. */
static void drive(struct dlm_store *s, int64_t id, const int *road)
{
    static const struct dlm_ident ident = {.ino = 5, .btime_ns = 7, .size = 9};

    for (; *road >= 0; road++) {
        struct dlm_move m = {.id = id, .to = *road, .bytes = -1, .total = -1, .attempts = -1};

        if (*road == DLMGR_WAITING)
            m.wait_reason = "backoff", m.wake_at = 5000;
        if (*road == DLMGR_COMMITTING)
            m.path = id == 5 ? "/nowhere/5" : "/nowhere/4", m.ident = &ident;
        if (*road == DLMGR_FAILED)
            m.error = "{\"code\": 1}", m.exit_code = 1;
        MUST(dlm_store_move(s, &m, NULL) == 0);
    }
}

static void add(struct dlm_store *s)
{
    static const char tasks[] =
        "{\"tasks\":[{\"url\":\"http://u:p4ss@h/a?sig=1\",\"dir\":\"/\",\"key\":\"k\",\"session\":\"org.x\",\"mirrors\":[\"http://m/f\"],"
        "\"headers\":[\"Cookie: c\"],\"user_data\":\"data\"},"
        "{\"url\":\"http://h/b\",\"dir\":\"/\",\"session\":\"org.x\"},{\"url\":\"http://h/c\",\"dir\":\"/\",\"session\":\"org.x\"},"
        "{\"url\":\"http://h/d\",\"dir\":\"/\"},{\"url\":\"https://g/e\",\"dir\":\"/\"},{\"url\":\"https://g/f\",\"dir\":\"/\",\"connections\":3},"
        "{\"url\":\"http://h/g\",\"dir\":\"/\",\"key\":\"k\"},{\"url\":\"http://h/h\",\"dir\":\"/\"},{\"url\":\"http://h/i\",\"dir\":\"/\"}]}";
    json_t *params = json_loads(tasks, 0, NULL), *result = NULL;

    MUST(params && dlm_method_find("add")->work(s, params, &result, NULL) == 0);
    json_decref(params);
    json_decref(result);
}

static void fill(struct dlm_store *s)
{
    static const int roads[][5] = {{DLMGR_PAUSED, -1},
                                   {DLMGR_RUNNING, DLMGR_FAILED, -1},
                                   {DLMGR_RUNNING, -1},
                                   {DLMGR_RUNNING, DLMGR_VERIFYING, DLMGR_COMMITTING, -1},
                                   {DLMGR_RUNNING, DLMGR_VERIFYING, DLMGR_COMMITTING, DLMGR_DONE, -1},
                                   {DLMGR_RUNNING, DLMGR_WAITING, -1},
                                   {DLMGR_CANCELLED, -1},
                                   {DLMGR_RUNNING, DLMGR_VERIFYING, -1},
                                   {-1}};
    static const struct dlm_block_row blocks[] = {{0, 1 << 20, 1}, {1, 1 << 20, 2}, {3, 5, 3}};
    static const struct dlm_ident ident = {.ino = 1, .size = MIB(4)};
    struct dlm_begin begin = {.id = 3, .total = MIB(4), .validator = "\"v\"", .name = "x"};
    struct dlm_hint hint = {.task = 3, .boot = "boot", .ino = 1, .start = 5, .end = 9};

    MUST(dlm_store_begin(s) == 0);
    add(s);
    for (size_t i = 0; i < ARRAY_SIZE(roads); i++)
        drive(s, (int64_t)i + 1, roads[i]);
    MUST(dlm_store_begin_generation(s, &begin, &hint.generation) == 0);
    MUST(dlm_store_checkpoint(s, 3, hint.generation, &ident, blocks, 3, MIB(2) + 5) == 0);
    MUST(dlm_store_hint_add(s, &hint) == 0);
    MUST(dlm_store_commit(s, NULL) == 0);
}

struct dlm_store *home_open(int mode)
{
    static bool filled;
    struct dlm_store *s = NULL;
    dlmgr_error e = {0};

    dlm_clock_set(INT64_C(1767225600000), 1000000);
    if (!filled) {
        MUST(dlm_store_open(home_fd(), home_path(), DLM_STORE_WRITE, &s, &e) == 0);
        fill(s);
        filled = true;
        dlm_store_close(s);
    }
    MUST(dlm_store_open(home_fd(), home_path(), mode, &s, &e) == 0);
    return s;
}
