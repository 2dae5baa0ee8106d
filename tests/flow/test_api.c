/* SPDX-License-Identifier: MIT */
/*
 * test_api.c - dlmgr.h on a journal that nobody owns: every function, what it refuses, and what fork() leaves of a handle.
 *
 * The same functions with an owner: test_api_owner.c. Rows are driven through their states by a store of the test's
 * own, between the calls.
 */
#include "dlmgr.h"
#include "dlmgr/home.h"
#include "store/store.h"
#include "tests/lib/test.h"

#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *home_path(void)
{
    static char path[512];

    snprintf(path, sizeof(path), "%s/home", test_dir());
    return path;
}

static dlmgr *open_mode(int mode)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    dlmgr_error e = {0};
    dlmgr *h = NULL;

    options.home = home_path();
    test_about("%s", e.text);
    CU_ASSERT_EQUAL_FATAL(dlmgr_open(mode, &options, &h, &e), 0);
    return h;
}

static dlmgr_request request(const char *url)
{
    dlmgr_request r;

    dlmgr_request_init(&r);
    r.url = url;
    r.dir = test_dir();
    return r;
}

static int64_t add(dlmgr *h, const char *url)
{
    dlmgr_request r = request(url);
    dlmgr_error e = {0};
    int64_t id = 0;

    CU_ASSERT_EQUAL_FATAL(dlmgr_add(h, &r, 1, &id, NULL, &e), 0);
    return id;
}

static const dlmgr_task *task(dlmgr *h, int64_t id, dlmgr_list **ret_list)
{
    dlmgr_selector s = DLMGR_INIT(dlmgr_selector);

    s.ids = &id;
    s.n_ids = 1;
    CU_ASSERT_EQUAL_FATAL(dlmgr_query(h, &s, ret_list, NULL), 0);
    CHECK_INT(dlmgr_list_count(*ret_list), 1);
    return dlmgr_list_at(*ret_list, 0);
}

static int state(dlmgr *h, int64_t id)
{
    dlmgr_list *list;
    int result = task(h, id, &list)->state;

    dlmgr_list_free(list);
    return result;
}

/* A move by the book, as an owner would make it. */
static void move(int64_t id, int to, int exit_code)
{
    struct dlm_move m =
        {.id = id, .to = to, .bytes = -1, .total = -1, .attempts = -1, .exit_code = exit_code};
    struct dlm_home *home;
    struct dlm_store *s;

    if (to == DLMGR_FAILED)
        m.error =
            "{\"class\":\"permanent\",\"code\":3,\"message\":\"it is not there\",\"http_status\":404}";
    if (to == DLMGR_COMMITTING || to == DLMGR_DONE)
        m.path = "/tmp/whole";
    CU_ASSERT_EQUAL_FATAL(dlm_home_open(home_path(), false, false, &home, NULL), 0);
    CHECK_INT(dlm_home_lock(home, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_store_open(home->fd, home->path, DLM_STORE_WRITE, &s, NULL), 0);
    CHECK_INT(dlm_store_begin(s), 0);
    CHECK_INT(dlm_store_move(s, &m, NULL), 0);
    CHECK_INT(dlm_store_commit(s, NULL), 0);
    dlm_store_close(s);
    dlm_home_close(home);
}

static void drive(int64_t id, int to)
{
    move(id, DLMGR_RUNNING, 0);
    if (to == DLMGR_DONE) {
        move(id, DLMGR_VERIFYING, 0);
        move(id, DLMGR_COMMITTING, 0);
    }
    if (to != DLMGR_RUNNING)
        move(id, to, to == DLMGR_FAILED ? 3 : 0);
}

/* ---- Opening ------------------------------------------------------------------------------------------------- */

static void test_api_opens_a_journal_that_nobody_owns(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    struct stat st;

    CHECK_INT(dlmgr_place_of(h), DLMGR_PLACE_JOURNAL);
    CHECK_STR(dlmgr_home(h), home_path());
    CHECK_INT(stat(home_path(), &st), 0);
    CHECK_INT(st.st_mode & 07777, 0700);
    CHECK_INT(dlmgr_stopping(h), 0);
    CU_ASSERT_PTR_NULL(dlmgr_close(h));
    CU_ASSERT_PTR_NULL(dlmgr_close(NULL));
}

static void test_api_open_refuses(void)
{
    static const struct {
        int mode, max_active, max_per_host;
        int64_t limit_rate, keep_done_ms, keep_done_n;
        const char *text;
    } rows[] = {
        {7, 0, 0, 0, 0, 0, "mode 7"},
        {DLMGR_OWN, 1001, 0, 0, 0, 0, "max_active 1001"},
        {DLMGR_OWN, -1, 0, 0, 0, 0, "max_active"},
        {DLMGR_OWN, 0, 257, 0, 0, 0, "max_per_host 257"},
        {DLMGR_OWN, 0, 0, -1, 0, 0, "limit_rate"},
        {DLMGR_OWN, 0, 0, 0, -1, 0, "keep_done"},
        {DLMGR_OWN, 0, 0, 0, 0, -1, "keep_done"},
    };
    dlmgr *h = NULL;
    dlmgr_error e;
    dlmgr_options zero = {0};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        dlmgr_options o = DLMGR_INIT(dlmgr_options);

        o.home = home_path();
        o.max_active = rows[i].max_active;
        o.max_per_host = rows[i].max_per_host;
        o.limit_rate = rows[i].limit_rate;
        o.keep_done_ms = rows[i].keep_done_ms;
        o.keep_done_n = rows[i].keep_done_n;
        test_about("row %zu", i);
        CHECK_INT(dlmgr_open(rows[i].mode, &o, &h, &e), DLMGR_EINVAL);
        CU_ASSERT(strstr(e.text, rows[i].text) != NULL);
    }
    CHECK_INT(dlmgr_open(DLMGR_EITHER, &zero, &h, &e), DLMGR_EINVAL);
    CU_ASSERT(strstr(e.text, "DLMGR_INIT") != NULL);
    CHECK_INT(dlmgr_open(DLMGR_EITHER, NULL, NULL, NULL), DLMGR_EINVAL);
    CU_ASSERT_PTR_NULL(h);
}

/* Attaching to nobody makes nothing, also no directory. */
static void test_api_attach_needs_an_owner(void)
{
    dlmgr_options o = DLMGR_INIT(dlmgr_options);
    dlmgr *h = NULL;
    dlmgr_error e;

    o.home = home_path();
    CHECK_INT(dlmgr_open(DLMGR_ATTACH, &o, &h, &e), DLMGR_ENOOWNER);
    CU_ASSERT(strstr(e.text, home_path()) != NULL);
    CHECK_INT(access(home_path(), F_OK), -1);
    CHECK_INT(mkdir(home_path(), 0700), 0);
    CHECK_INT(dlmgr_open(DLMGR_ATTACH, &o, &h, &e), DLMGR_ENOOWNER);
    CHECK_INT(e.code, DLMGR_ENOOWNER);
    CU_ASSERT_PTR_NULL(h);
}

/* ---- Adding ---------------------------------------------------------------------------------------------------- */

static void test_api_a_task_comes_back_as_it_was_asked_for(void)
{
    static const char *const mirrors[] = {"http://b.test/x", NULL}, *const headers[] =
                                                                        {"X-Key: secret77", NULL};
    static const char data[] = "a\0b\xff";
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request r = request("http://user:pass88@a.test/x?token=abc");
    const dlmgr_task *t;
    dlmgr_list *list;
    dlmgr_error e;
    int64_t id;
    char *json;

    r.out = "sub/name.bin";
    r.mirrors = mirrors;
    r.headers = headers;
    r.checksum = "md5=00000000000000000000000000000000";
    r.key = "k";
    r.session = "org.test";
    r.user_data = data;
    r.user_data_len = sizeof(data);
    r.paused = 1;
    r.priority = -7;
    r.on_exists = DLMGR_EXISTS_REPLACE;
    r.file_mask = 027;
    CHECK_INT(dlmgr_add(h, &r, 1, &id, NULL, &e), 0);
    t = task(h, id, &list);
    CHECK_INT(t->id, id);
    CHECK_INT(t->state, DLMGR_PAUSED);
    CHECK_STR(t->session, "org.test");
    CHECK_STR(t->key, "k");
    CU_ASSERT_PTR_NULL(strstr(t->url, "pass88"));
    CHECK_STR(t->dir, test_dir());
    CHECK_STR(t->out, "sub/name.bin");
    CHECK_STR(t->path, NULL);
    CHECK_INT(t->bytes_done, 0);
    CHECK_INT(t->bytes_total, -1);
    CHECK_INT(t->priority, -7);
    CHECK_INT(t->generation, 1);
    CU_ASSERT(t->created_at > 1000000000000);
    CHECK_INT(t->finished_at, 0);
    CHECK_STR(t->wait_reason, NULL);
    CHECK_INT(t->error_code, 0);
    CHECK_STR(t->digest, "md5=00000000000000000000000000000000");
    CHECK_INT(t->user_data_len, sizeof(data));
    CHECK_MEM(t->user_data, data, sizeof(data));
    json = dlmgr_task_json(t);
    CU_ASSERT(json[0] == '{' && strchr(json, '\n') == NULL);
    free(json);
    dlmgr_list_free(list);

    CHECK_INT(dlmgr_show(h, id, 0, &json, &e), 0);
    CU_ASSERT_PTR_NULL(strstr(json, "secret77"));
    CU_ASSERT(strstr(json, "\"mask\":\"0027\"") != NULL);
    CU_ASSERT(strstr(json, "\"on_exists\":\"replace\"") != NULL);
    free(json);
    CHECK_INT(dlmgr_show(h, id, 1, &json, &e), 0);
    CU_ASSERT(strstr(json, "secret77") != NULL && strstr(json, "pass88") != NULL);
    free(json);
    CHECK_INT(dlmgr_show(h, id + 1, 0, &json, &e), DLMGR_ENOTFOUND);
    dlmgr_close(h);
}

/* Whichever allocation of ours fails while an owner opens: it says so, what was made is undone, and the next one succeeds. */
static void test_api_opening_without_memory(void)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    int n = 0, left, r;

    options.home = home_path();
    do {
        dlmgr_error e = {0};
        dlmgr *h = NULL;

        dlm_fault_alloc = ++n;
        r = dlmgr_open(DLMGR_OWN, &options, &h, &e);
        left = dlm_fault_alloc;
        dlm_fault_alloc = 0;
        test_about("allocation %d: %d %s", n, r, e.text);
        CU_ASSERT(r == 0 || (r == DLMGR_ENOMEM && e.text[0]));
        dlmgr_close(h);
    } while (left == 0 && n < 200);
    CHECK_INT(r, 0);
    CU_ASSERT(n > 10);
}

/* What a task takes from its caller's surroundings: umask and proxies, and the former without touching it. */
static void test_api_the_callers_umask_and_proxies_are_stored(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    mode_t old = umask(0137);
    dlmgr_request r = request("http://a.test/2");
    int64_t id;
    char *json;

    setenv("http_proxy", "http://proxy.test:3128", 1);
    setenv("HTTP_PROXY", "http://never.test", 1);
    setenv("NO_PROXY", "localhost", 1);
    CHECK_INT(dlmgr_show(h, add(h, "http://a.test/1"), 0, &json, NULL), 0);
    CU_ASSERT(strstr(json, "\"mask\":\"0137\"") != NULL);
    CU_ASSERT(strstr(json, "http://proxy.test:3128") != NULL && strstr(json, "localhost") != NULL);
    CU_ASSERT_PTR_NULL(strstr(json, "never.test"));
    free(json);
    r.proxy = "";
    CHECK_INT(dlmgr_add(h, &r, 1, &id, NULL, NULL), 0);
    CHECK_INT(dlmgr_show(h, id, 0, &json, NULL), 0);
    CU_ASSERT_PTR_NULL(strstr(json, "proxy.test"));
    free(json);
    unsetenv("http_proxy");
    unsetenv("HTTP_PROXY");
    unsetenv("NO_PROXY");
    CHECK_INT(umask(old), 0137);
    dlmgr_close(h);
}

static void test_api_add_is_all_or_none_and_names_the_wrong_one(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request r[3] = {request("http://a.test/1"), request("ftp://a.test/2"),
                          request("http://a.test/3")};
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    int64_t ids[3] = {-5, -5, -5};
    size_t bad = 99;
    dlmgr_error e;

    CHECK_INT(dlmgr_add(h, r, 3, ids, &bad, &e), DLMGR_EINVAL);
    CHECK_INT(bad, 1);
    CHECK_INT(ids[0], -5);
    CU_ASSERT_PTR_NULL(strstr(e.text, "tasks["));
    r[1].url = "http://a.test/2";
    r[2].out = "\xff";
    CHECK_INT(dlmgr_add(h, r, 3, ids, &bad, &e), DLMGR_EINVAL);
    CHECK_INT(bad, 2);
    CU_ASSERT(strstr(e.text, "out") && strstr(e.text, "UTF-8"));
    r[2].out = NULL;
    r[0].dir = "relative";
    CHECK_INT(dlmgr_add(h, r, 3, ids, &bad, &e), DLMGR_EINVAL);
    CHECK_INT(bad, 0);
    CU_ASSERT(strstr(e.text, "absolute") != NULL);
    r[0].dir = "/nowhere/at/all";
    CHECK_INT(dlmgr_add(h, r, 3, ids, NULL, NULL), DLMGR_EINVAL);
    CHECK_INT(dlmgr_count(h, &counts, &e), 0);
    CHECK_INT(counts.by_state[DLMGR_QUEUED], 0);
    r[0].dir = test_dir();
    CHECK_INT(dlmgr_add(h, r, 3, ids, &bad, &e), 0);
    CU_ASSERT(ids[0] > 0 && ids[0] < ids[1] && ids[1] < ids[2]);
    CHECK_INT(dlmgr_count(h, &counts, &e), 0);
    CHECK_INT(counts.by_state[DLMGR_QUEUED], 3);
    CHECK_INT(counts.owner_pid, 0);
    CHECK_INT(dlmgr_add(h, NULL, 0, NULL, NULL, &e), 0);
    dlmgr_close(h);
}

static void test_api_a_key_adds_once(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request r = request("http://a.test/1");
    int64_t first, again;
    dlmgr_error e;

    r.key = "one";
    CHECK_INT(dlmgr_add(h, &r, 1, &first, NULL, &e), 0);
    CHECK_INT(dlmgr_add(h, &r, 1, &again, NULL, &e), 0);
    CHECK_INT(again, first);
    r.out = "other";
    CHECK_INT(dlmgr_add(h, &r, 1, &again, NULL, &e), DLMGR_EEXIST);
    dlmgr_close(h);
}

/* An older program's struct is shorter, and so are the steps in its array. */
static void test_api_a_shorter_struct_is_understood(void)
{
    enum { SHORT = offsetof(dlmgr_request, retry_wait_ms) };
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request whole[2] = {request("http://a.test/1"), request("http://b.test/2")};
    char old[2 * SHORT];
    int64_t ids[2], found[2];
    dlmgr_error e;

    for (int i = 0; i < 2; i++) {
        whole[i].size = SHORT;
        memcpy(old + i * SHORT, &whole[i], SHORT);
    }
    CHECK_INT(dlmgr_add(h, (dlmgr_request *)(void *)old, 2, ids, NULL, &e), 0);
    CHECK_INT(dlmgr_find(h, (dlmgr_request *)(void *)old, 2, found, &e), 0);
    CHECK_INT(found[0], ids[0]);
    CHECK_INT(found[1], ids[1]);
    whole[0].size = 0;
    CHECK_INT(dlmgr_add(h, whole, 1, NULL, NULL, &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_find(h, whole, 1, found, &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_check(whole, &e), DLMGR_EINVAL);
    dlmgr_close(h);
}

static void test_api_check_asks_no_home(void)
{
    dlmgr_request r = request("http://a.test/1");
    dlmgr_error e;

    CHECK_INT(dlmgr_check(&r, &e), 0);
    r.checksum = "sha-256=12";
    CHECK_INT(dlmgr_check(&r, &e), DLMGR_EINVAL);
    CU_ASSERT(strstr(e.text, "checksum") != NULL);
    r.checksum = NULL;
    r.dir = "/nowhere/at/all";
    CHECK_INT(dlmgr_check(&r, &e), DLMGR_EINVAL);
    r.create_dirs = 1;
    CHECK_INT(dlmgr_check(&r, &e), 0);
    r.on_exists = 9;
    CHECK_INT(dlmgr_check(&r, &e), DLMGR_EINVAL);
    CHECK_INT(access(home_path(), F_OK), -1);
}

static void test_api_find_knows_secret_parts_and_passes_over_ended_ones(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    int64_t a = add(h, "http://a.test/x?token=one"), b = add(h, "http://a.test/x?token=two"), ids[3];
    dlmgr_request r[3] = {request("http://a.test/x?token=two"), request("http://a.test/x?token=one"),
                          request("http://a.test/x?token=three")};
    dlmgr_error e;

    CHECK_INT(dlmgr_find(h, r, 3, ids, &e), 0);
    CHECK_INT(ids[0], b);
    CHECK_INT(ids[1], a);
    CHECK_INT(ids[2], 0);
    drive(b, DLMGR_DONE);
    CHECK_INT(dlmgr_find(h, r, 3, ids, &e), 0);
    CHECK_INT(ids[0], 0);
    CHECK_INT(ids[1], a);
    dlmgr_close(h);
}

/* ---- Lists ---------------------------------------------------------------------------------------------------------- */

/* A home without a journal answers as one without tasks. */
static void test_api_an_empty_home_answers(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    dlmgr_event_list *events;
    dlmgr_list *list;
    dlmgr_error e;
    char *json;

    CHECK_INT(dlmgr_query(h, NULL, &list, &e), 0);
    CHECK_INT(dlmgr_list_count(list), 0);
    CU_ASSERT_PTR_NULL(dlmgr_list_at(list, 0));
    CU_ASSERT_PTR_NULL(dlmgr_list_free(list));
    CHECK_INT(dlmgr_events(h, NULL, -1, 0, &events, &e), 0);
    CHECK_INT(dlmgr_event_list_count(events), 0);
    CU_ASSERT_PTR_NULL(dlmgr_event_list_free(events));
    CHECK_INT(dlmgr_show(h, 1, 0, &json, &e), DLMGR_ENOTFOUND);
    CHECK_INT(dlmgr_count(h, &counts, &e), 0);
    CHECK_INT(dlmgr_wait(h, NULL, 0, 0, &e), DLMGR_ENOOWNER);
    CHECK_INT(dlmgr_stop_owner(h, 0, &e), DLMGR_ENOOWNER);
    CHECK_INT(dlmgr_run(h, &e), 0);
    CU_ASSERT_PTR_NULL(dlmgr_list_free(NULL));
    CU_ASSERT_PTR_NULL(dlmgr_event_list_free(NULL));
    CHECK_INT(dlmgr_list_count(NULL), 0);
    CHECK_INT(dlmgr_event_list_count(NULL), 0);
    dlmgr_close(h);
}

static void test_api_selectors_select(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request other = request("http://b.test/1");
    int64_t ids[4];
    dlmgr_error e;

    other.session = "other";
    for (int i = 0; i < 3; i++)
        ids[i] = add(h, "http://a.test/1");
    CHECK_INT(dlmgr_add(h, &other, 1, &ids[3], NULL, &e), 0);
    drive(ids[1], DLMGR_FAILED);
    const struct {
        dlmgr_selector s;
        int code, n;
        int64_t first;
    } rows[] = {
        {{.size = sizeof(dlmgr_selector)}, 0, 4, ids[0]},
        {{.size = sizeof(dlmgr_selector), .after = ids[1]}, 0, 2, ids[2]},
        {{.size = sizeof(dlmgr_selector), .limit = 2}, 0, 2, ids[0]},
        {{.size = sizeof(dlmgr_selector), .limit = 1001}, DLMGR_EINVAL, 0, 0},
        {{.size = sizeof(dlmgr_selector), .session = "other"}, 0, 1, ids[3]},
        {{.size = sizeof(dlmgr_selector), .states = 1u << DLMGR_FAILED}, 0, 1, ids[1]},
        {{.size = sizeof(dlmgr_selector), .states = 1u << 20}, DLMGR_EINVAL, 0, 0},
        {{.size = sizeof(dlmgr_selector), .ids = ids, .n_ids = 2, .states = 1u << DLMGR_QUEUED},
         0,
         1,
         ids[0]},
        {{.size = sizeof(dlmgr_selector), .ids = ids, .n_ids = 0}, 0, 0, 0},
        {{.size = 0}, DLMGR_EINVAL, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        dlmgr_list *list = NULL;

        test_about("row %zu", i);
        CHECK_INT(dlmgr_query(h, &rows[i].s, &list, &e), rows[i].code);
        CHECK_INT(dlmgr_list_count(list), rows[i].n);
        if (rows[i].n && dlmgr_list_at(list, 0))
            CHECK_INT(dlmgr_list_at(list, 0)->id, rows[i].first);
        dlmgr_list_free(list);
    }
    dlmgr_close(h);
}

static void test_api_a_failed_task_says_why(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    int64_t id = add(h, "http://a.test/1");
    const dlmgr_task *t;
    dlmgr_list *list;

    drive(id, DLMGR_FAILED);
    t = task(h, id, &list);
    CHECK_INT(t->state, DLMGR_FAILED);
    CHECK_INT(t->error_code, 3);
    CHECK_INT(t->error_class, DLMGR_CLASS_PERMANENT);
    CHECK_STR(t->error_text, "it is not there");
    CHECK_INT(t->http_status, 404);
    CU_ASSERT(t->finished_at >= t->created_at);
    dlmgr_list_free(list);
    dlmgr_close(h);
}

/* ---- Acting ----------------------------------------------------------------------------------------------------------- */

static int act(dlmgr *h, int action, const int64_t *ids, size_t n, int64_t *ret_count,
               dlmgr_error *e)
{
    dlmgr_selector s = DLMGR_INIT(dlmgr_selector);

    s.ids = ids;
    s.n_ids = n;
    return dlmgr_act(h, action, &s, ret_count, e);
}

static void test_api_actions_by_id_are_all_or_none(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    int64_t ids[2] = {add(h, "http://a.test/1"), add(h, "http://a.test/2")}, count = -1;
    dlmgr_error e;

    drive(ids[1], DLMGR_DONE);
    CHECK_INT(act(h, DLMGR_PAUSE, ids, 2, &count, &e), DLMGR_ESTATE);
    CHECK_INT(count, -1);
    CHECK_INT(state(h, ids[0]), DLMGR_QUEUED);
    CHECK_INT(act(h, DLMGR_PAUSE, ids, 1, &count, &e), 0);
    CHECK_INT(count, 1);
    CHECK_INT(state(h, ids[0]), DLMGR_PAUSED);
    CHECK_INT(act(h, DLMGR_PAUSE, ids, 1, &count, &e), 0);
    CHECK_INT(count, 0);
    CHECK_INT(act(h, DLMGR_RESUME, ids, 1, NULL, &e), 0);
    CHECK_INT(state(h, ids[0]), DLMGR_QUEUED);
    CHECK_INT(act(h, DLMGR_CANCEL, ids, 1, NULL, &e), 0);
    CHECK_INT(state(h, ids[0]), DLMGR_CANCELLED);
    CHECK_INT(act(h, DLMGR_RETRY, ids, 1, NULL, &e), 0);
    CHECK_INT(state(h, ids[0]), DLMGR_QUEUED);
    CHECK_INT(act(h, DLMGR_REMOVE, ids, 2, &count, &e), 0);
    CHECK_INT(count, 2);
    CHECK_INT(act(h, DLMGR_REMOVE, ids, 1, &count, &e), DLMGR_ENOTFOUND);
    CHECK_INT(act(h, 17, ids, 1, &count, &e), DLMGR_EINVAL);
    CHECK_INT(act(h, DLMGR_REMOVE, NULL, 0, &count, &e), DLMGR_EINVAL);
    dlmgr_close(h);
}

/* More than one page of them. */
static void test_api_acting_on_all_takes_every_page(void)
{
    enum { N = 5200 };
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request *r = calloc(N, sizeof(*r));
    dlmgr_selector all = DLMGR_INIT(dlmgr_selector);
    int64_t count = 0;
    dlmgr_error e;

    for (int i = 0; i < N; i++)
        r[i] = request("http://a.test/1");
    CHECK_INT(dlmgr_add(h, r, N, NULL, NULL, &e), 0);
    all.all = 1;
    CHECK_INT(dlmgr_act(h, DLMGR_PAUSE, &all, &count, &e), 0);
    CHECK_INT(count, N);
    free(r);
    dlmgr_close(h);
}

/* The owner may answer in shorter pages; whoever asks the library gets the page that he asked for. */
static void test_api_a_long_page_is_whole(void)
{
    enum { N = 40, DATA = 65536 };
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request r[N];
    dlmgr_selector some = DLMGR_INIT(dlmgr_selector);
    dlmgr_list *list = NULL;
    char *data = calloc(1, DATA);

    for (int i = 0; i < N; i++) {
        r[i] = request("http://a.test/1");
        r[i].user_data = data;
        r[i].user_data_len = DATA;
    }
    CHECK_INT(dlmgr_add(h, r, N, NULL, NULL, NULL), 0);
    CHECK_INT(dlmgr_query(h, NULL, &list, NULL), 0);
    CHECK_INT(dlmgr_list_count(list), N);
    for (int i = 0; i < N; i++)
        CHECK_INT(dlmgr_list_at(list, (size_t)i)->id, i + 1);
    dlmgr_list_free(list);
    some.limit = 35;
    some.after = 2;
    CHECK_INT(dlmgr_query(h, &some, &list, NULL), 0);
    CHECK_INT(dlmgr_list_count(list), 35);
    CHECK_INT(dlmgr_list_at(list, 34)->id, 37);
    dlmgr_list_free(list);
    free(data);
    dlmgr_close(h);
}

static void test_api_add_has_limits(void)
{
    enum { N = 10001 };
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request *r = calloc(N, sizeof(*r));
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    char *data = calloc(1, 65537);
    dlmgr_error e;

    for (int i = 0; i < N; i++)
        r[i] = request("http://a.test/1");
    CHECK_INT(dlmgr_add(h, r, N, NULL, NULL, &e), DLMGR_ELIMIT);
    CHECK_INT(dlmgr_find(h, r, N, NULL, &e), DLMGR_ELIMIT);
    r[1].user_data = data;
    r[1].user_data_len = 65537;
    CHECK_INT(dlmgr_add(h, r, 2, NULL, NULL, &e), DLMGR_ELIMIT);
    CHECK_INT(dlmgr_count(h, &counts, &e), 0);
    CHECK_INT(counts.by_state[DLMGR_QUEUED], 0);
    r[1].user_data_len = 65536;
    CHECK_INT(dlmgr_add(h, r, 2, NULL, NULL, &e), 0);
    free(data);
    free(r);
    dlmgr_close(h);
}

static void test_api_set_changes_one_task(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request r = request("http://a.test/1");
    dlmgr_change c;
    const dlmgr_task *t;
    dlmgr_list *list;
    dlmgr_error e;
    int64_t id;

    r.key = "k";
    CHECK_INT(dlmgr_add(h, &r, 1, &id, NULL, &e), 0);
    dlmgr_change_init(&c);
    c.has_priority = 1;
    c.priority = 5;
    CHECK_INT(dlmgr_set(h, id, &c, &e), 0);
    dlmgr_change_init(&c);
    c.key = "k";
    c.url = "http://b.test/2";
    c.out = "new";
    CHECK_INT(dlmgr_set(h, 0, &c, &e), 0);
    t = task(h, id, &list);
    CHECK_INT(t->priority, 5);
    CHECK_STR(t->url, "http://b.test/2");
    CHECK_STR(t->out, "new");
    dlmgr_list_free(list);
    c.out = "../up";
    CHECK_INT(dlmgr_set(h, 0, &c, &e), DLMGR_EINVAL);
    c.out = "\xff";
    CHECK_INT(dlmgr_set(h, 0, &c, &e), DLMGR_EINVAL);
    dlmgr_change_init(&c);
    c.has_priority = 1;
    CHECK_INT(dlmgr_set(h, id + 5, &c, &e), DLMGR_ENOTFOUND);
    dlmgr_close(h);
}

/* ---- Events ------------------------------------------------------------------------------------------------------------- */

static void test_api_events_are_read_and_acknowledged(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request r = request("http://a.test/1");
    dlmgr_event_list *events;
    char *json;
    const dlmgr_event *ev;
    dlmgr_error e;
    int64_t ids[2];

    r.session = "s";
    r.user_data = "mine";
    r.user_data_len = 4;
    CHECK_INT(dlmgr_add(h, &r, 1, &ids[0], NULL, &e), 0);
    CHECK_INT(dlmgr_add(h, &r, 1, &ids[1], NULL, &e), 0);
    drive(ids[0], DLMGR_DONE);
    drive(ids[1], DLMGR_FAILED);
    CHECK_INT(dlmgr_events(h, "s", -1, 0, &events, &e), 0);
    CHECK_INT(dlmgr_event_list_count(events), 2);
    ev = dlmgr_event_list_at(events, 0);
    CHECK_INT(ev->seq, 1);
    CHECK_STR(ev->session, "s");
    CHECK_STR(ev->type, "done");
    CHECK_INT(ev->task, ids[0]);
    CHECK_INT(ev->generation, 1);
    CHECK_STR(ev->path, "/tmp/whole");
    CU_ASSERT(ev->time > 1000000000000);
    CHECK_INT(ev->user_data_len, 4);
    CHECK_MEM(ev->user_data, "mine", 4);
    ev = dlmgr_event_list_at(events, 1);
    CHECK_STR(ev->type, "failed");
    CHECK_INT(ev->error_code, 3);
    CHECK_STR(ev->error_text, "it is not there");
    json = dlmgr_event_json(ev);
    CU_ASSERT(json && json[0] == '{' && strchr(json, '\n') == NULL);
    free(json);
    CU_ASSERT_PTR_NULL(dlmgr_event_list_at(events, 2));
    dlmgr_event_list_free(events);
    CHECK_INT(dlmgr_ack_to(h, "s", 3, &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_ack_to(h, "s", 1, &e), 0);
    CHECK_INT(dlmgr_ack_to(h, "s", 1, &e), 0);
    CHECK_INT(dlmgr_events(h, "s", -1, 0, &events, &e), 0);
    CHECK_INT(dlmgr_event_list_count(events), 1);
    dlmgr_event_list_free(events);
    CHECK_INT(dlmgr_events(h, "unknown", -1, 0, &events, &e), DLMGR_ENOTFOUND);
    CHECK_INT(dlmgr_events(h, "not a name", -1, 0, &events, &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_events(h, "s", -1, 1001, &events, &e), DLMGR_EINVAL);
    dlmgr_close(h);
}

/* A session is held where somebody owns the home, and has a name that no other app has. */
static void test_api_session_needs_an_owner_and_a_name(void)
{
    static const char *const bad[] = {"",         "app",       ".org",   "org.",
                                      "org..app", "org app.x", "default"};
    dlmgr *h = open_mode(DLMGR_EITHER);
    char longest[300];
    dlmgr_session *s = NULL;
    dlmgr_error e;

    CHECK_INT(dlmgr_session_open(h, "org.example.app", 0, NULL, NULL, &s, &e), DLMGR_ENOOWNER);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        test_about("%s", bad[i]);
        CHECK_INT(dlmgr_session_open(h, bad[i], 0, NULL, NULL, &s, &e), DLMGR_EINVAL);
    }
    memset(longest, 'a', 256);
    longest[3] = '.';
    longest[256] = '\0';
    CHECK_INT(dlmgr_session_open(h, longest, 0, NULL, NULL, &s, &e), DLMGR_EINVAL);
    CU_ASSERT(strstr(e.text, "255") != NULL);
    longest[255] = '\0';
    CHECK_INT(dlmgr_session_open(h, longest, 0, NULL, NULL, &s, &e), DLMGR_ENOOWNER);
    CHECK_INT(dlmgr_session_open(h, "org.example.app", 4, NULL, NULL, &s, &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_session_open(h, "org.example.app", 0, NULL, NULL, NULL, &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_session_open(NULL, "org.example.app", 0, NULL, NULL, &s, &e), DLMGR_EINVAL);
    CU_ASSERT_PTR_NULL(s);
    dlmgr_close(h);
}

/* A session is set, looked at and removed by who works on the journal, too. */
static void test_api_session_is_set_and_removed(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_request r = request("http://a.test/1");
    char longest[4098], *json = NULL;
    dlmgr_error e;

    memset(longest, 'x', 4097);
    longest[4097] = '\0';
    CHECK_INT(dlmgr_session_set(h, "org.example.app", longest, &e), DLMGR_ELIMIT);
    CHECK_INT(dlmgr_session_set(h, "org.example.app", "\xff", &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_session_set(h, "default", "true", &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_session_info(h, "org.example.app", &json, &e), DLMGR_ENOTFOUND);
    longest[4096] = '\0';
    CHECK_INT(dlmgr_session_set(h, "org.example.app", longest, &e), 0);
    CHECK_INT(dlmgr_session_set(h, "org.example.app", "start-app", &e), 0);
    CHECK_INT(dlmgr_session_info(h, "org.example.app", &json, &e), 0);
    CU_ASSERT(json && strstr(json, "\"on_event\":\"start-app\""));
    free(json);
    CHECK_INT(dlmgr_session_info(h, NULL, &json, &e), 0);
    CU_ASSERT(json && strstr(json, "\"default\"") && strstr(json, "\n{"));
    free(json);
    r.session = "org.example.app";
    CHECK_INT(dlmgr_add(h, &r, 1, NULL, NULL, &e), 0);
    CHECK_INT(dlmgr_session_remove(h, "org.example.app", &e), DLMGR_ESTATE);
    CHECK_INT(dlmgr_session_remove(h, "default", &e), DLMGR_EINVAL);
    CHECK_INT(dlmgr_session_remove(h, "org.example.other", &e), DLMGR_ENOTFOUND);
    dlmgr_close(h);
}

/* ---- fork() and threads -------------------------------------------------------------------------------------------------- */

/* In the child every function answers at once, and closing touches nothing: the child's files have our numbers by now. */
static int fork_child(dlmgr *h)
{
    dlmgr_request r = request("http://a.test/1");
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    dlmgr_list *list = NULL;
    int64_t id, before, fd;
    dlmgr_error e;

    for (fd = 3; fd < 64; fd++)
        close((int)fd);
    for (fd = 3; fd < 64; fd++)
        if (dup(2) != fd)
            return 1;
    before = dlmgr_place_of(h);
    if (dlmgr_add(h, &r, 1, &id, NULL, &e) != DLMGR_EFORK || e.code != DLMGR_EFORK)
        return 2;
    if (dlmgr_query(h, NULL, &list, &e) != DLMGR_EFORK || dlmgr_count(h, &counts, &e) != DLMGR_EFORK)
        return 3;
    if (dlmgr_process(h, &e) != DLMGR_EFORK || dlmgr_fd(h) != DLMGR_EFORK ||
        dlmgr_wait(h, NULL, 0, 0, &e) != DLMGR_EFORK)
        return 4;
    if (dlmgr_stop_owner(h, 0, &e) != DLMGR_EFORK || dlmgr_stopping(h) ||
        dlmgr_place_of(h) != before)
        return 5;
    dlmgr_close(h);
    for (fd = 3; fd < 64; fd++)
        if (close((int)fd))
            return 6;
    return 0;
}

static void test_api_a_forked_child_has_no_handle(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    int status = -1;
    pid_t pid;

    add(h, "http://a.test/1");
    CU_ASSERT(dlmgr_fd(h) >= 0);
    pid = fork();
    if (pid == 0)
        _exit(fork_child(h));
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    add(h, "http://a.test/2");
    dlmgr_close(h);
}

enum { THREADS = 4, EACH = 12 };

static void *add_some(void *context)
{
    dlmgr *h = context;
    dlmgr_request r = request("http://a.test/1");

    for (int i = 0; i < EACH; i++)
        if (dlmgr_add(h, &r, 1, NULL, NULL, NULL))
            return context;
    return NULL;
}

static void test_api_threads_take_turns(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    dlmgr_counts counts = DLMGR_INIT(dlmgr_counts);
    pthread_t threads[THREADS];

    test_dir();
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, add_some, h), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;

        CHECK_INT(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }
    CHECK_INT(dlmgr_count(h, &counts, NULL), 0);
    CHECK_INT(counts.by_state[DLMGR_QUEUED], THREADS * EACH);
    dlmgr_close(h);
}

/* Who holds the lock for a moment is waited for; who holds it and never answers is named after six seconds. */
static void *hold_lock(void *context)
{
    usleep(300000);
    dlm_home_unlock(context);
    return NULL;
}

static void test_api_a_held_lock_is_waited_for(void)
{
    dlmgr *h = open_mode(DLMGR_EITHER);
    struct dlm_home *home;
    pthread_t thread;

    add(h, "http://a.test/0");
    CU_ASSERT_EQUAL_FATAL(dlm_home_open(home_path(), false, false, &home, NULL), 0);
    CHECK_INT(dlm_home_lock(home, NULL), 0);
    CHECK_INT(pthread_create(&thread, NULL, hold_lock, home), 0);
    add(h, "http://a.test/1");
    CHECK_INT(pthread_join(thread, NULL), 0);
    dlm_home_close(home);
    dlmgr_close(h);
}

static const struct test tests[] = {
    TEST(test_api_opens_a_journal_that_nobody_owns),
    TEST(test_api_open_refuses),
    TEST(test_api_attach_needs_an_owner),
    TEST(test_api_a_task_comes_back_as_it_was_asked_for),
    TEST(test_api_opening_without_memory),
    TEST(test_api_the_callers_umask_and_proxies_are_stored),
    TEST(test_api_add_is_all_or_none_and_names_the_wrong_one),
    TEST(test_api_a_key_adds_once),
    TEST(test_api_a_shorter_struct_is_understood),
    TEST(test_api_check_asks_no_home),
    TEST(test_api_find_knows_secret_parts_and_passes_over_ended_ones),
    TEST(test_api_an_empty_home_answers),
    TEST(test_api_selectors_select),
    TEST(test_api_a_failed_task_says_why),
    TEST(test_api_actions_by_id_are_all_or_none),
    TEST(test_api_acting_on_all_takes_every_page),
    TEST(test_api_a_long_page_is_whole),
    TEST(test_api_add_has_limits),
    TEST(test_api_set_changes_one_task),
    TEST(test_api_events_are_read_and_acknowledged),
    TEST(test_api_session_needs_an_owner_and_a_name),
    TEST(test_api_session_is_set_and_removed),
    TEST(test_api_a_forked_child_has_no_handle),
    TEST(test_api_threads_take_turns),
    TEST(test_api_a_held_lock_is_waited_for),
};

TEST_MAIN("api", tests)
