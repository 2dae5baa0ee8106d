/* SPDX-License-Identifier: MIT */
/*
 * test_fetch.c - libcurl on the loop: many at once, paused, removed, refused; against the fixture server.
 */
#include "dlmgr/fetch.h"

#include "tests/lib/fixture.h"
#include "tests/lib/test.h"

struct get {
    struct dlm_fetching f;
    struct dlm_fetch *fetch;
    char *url;
    int64_t bytes;
    int wrong; /* bytes that differ */
    int left;  /* how many times more */
    int ends;
    bool hold, held;
    CURLcode code;
    uv_timer_t timer;
};

static uv_loop_t loop;
static struct dlm_fetch *fetch;
static struct fx *fx;

static void begin(void)
{
    CU_ASSERT_EQUAL_FATAL(fx_start(&fx, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(uv_loop_init(&loop), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_fetch_start(&loop, &fetch, NULL), 0);
}

/* That the loop can be closed proves that every handle was let go. */
static void end(void)
{
    dlm_fetch_stop(fetch);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
    dlm_fetch_free(fetch);
    fx = fx_stop(fx);
}

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
    struct get *g = context;
    struct body body = {.seed = 7};

    (void)size;
    if (g->hold && !g->held) {
        g->held = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    g->wrong += body_match(&body, g->bytes, data, n) != n;
    g->bytes += (int64_t)n;
    return n;
}

static void get_start(struct get *g);

static void on_done(struct dlm_fetching *f, CURLcode code)
{
    struct get *g = container_of(f, struct get, f);

    g->ends++;
    g->code = code;
    dlm_fetch_keep(g->fetch, TAKE_PTR(g->f.easy));
    if (g->left-- > 0)
        get_start(g);
}

static void get_start(struct get *g)
{
    g->fetch = fetch;
    g->bytes = 0;
    g->f = (struct dlm_fetching){.easy = dlm_fetch_easy(fetch), .done = on_done};
    curl_easy_setopt(g->f.easy, CURLOPT_URL, g->url);
    curl_easy_setopt(g->f.easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(g->f.easy, CURLOPT_WRITEDATA, g);
    CU_ASSERT_EQUAL(dlm_fetch_add(fetch, &g->f), 0);
}

/* Eight at once, each ten times in a row: handles are added in `done`, and eight connections serve all. */
static void test_many_requests_share_connections(void)
{
    struct get gets[8] = {0};
    struct fx_log log;
    int64_t highest = 0;

    begin();
    for (size_t i = 0; i < ARRAY_SIZE(gets); i++) {
        gets[i].url = fx_url(fx, "/f/%d?size=100000&seed=7", (int)i);
        gets[i].left = 9;
        get_start(&gets[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < ARRAY_SIZE(gets); i++) {
        CU_ASSERT_EQUAL(gets[i].ends, 10);
        CU_ASSERT_EQUAL(gets[i].code, CURLE_OK);
        CU_ASSERT_EQUAL(gets[i].bytes, 100000);
        CU_ASSERT_EQUAL(gets[i].wrong, 0);
        free(gets[i].url);
    }
    CU_ASSERT_EQUAL(fx_log_read(fx, &log), 0);
    for (size_t i = 0; i < log.count; i++)
        highest = MAX(highest, log.requests[i].connection);
    CU_ASSERT_EQUAL(log.count, 80);
    CU_ASSERT(highest <= 8);
    fx_log_free(&log);
    end();
}

static void on_unpause(uv_timer_t *timer)
{
    struct get *g = container_of(timer, struct get, timer);

    CU_ASSERT(g->held);
    CU_ASSERT_EQUAL(g->ends, 0);
    dlm_fetch_unpause(fetch, &g->f);
    uv_close((uv_handle_t *)timer, NULL);
}

static void test_a_paused_one_goes_on_whole(void)
{
    struct get g = {.hold = true};

    begin();
    g.url = fx_url(fx, "/f/x?size=3000000&seed=7");
    get_start(&g);
    uv_timer_init(&loop, &g.timer);
    uv_timer_start(&g.timer, on_unpause, 300, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(g.ends, 1);
    CU_ASSERT_EQUAL(g.bytes, 3000000);
    CU_ASSERT_EQUAL(g.wrong, 0);
    free(g.url);
    end();
}

static void on_remove(uv_timer_t *timer)
{
    struct get *g = container_of(timer, struct get, timer);

    dlm_fetch_remove(fetch, &g->f);
    dlm_fetch_remove(fetch, &g->f);
    dlm_fetch_keep(fetch, TAKE_PTR(g->f.easy));
    uv_close((uv_handle_t *)timer, NULL);
}

static void test_a_removed_one_is_not_told_of(void)
{
    struct get g = {0};

    begin();
    g.url = fx_url(fx, "/f/x?size=3000000&seed=7&stall=1000&stall_ms=60000");
    get_start(&g);
    uv_timer_init(&loop, &g.timer);
    uv_timer_start(&g.timer, on_remove, 300, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(g.ends, 0);
    CU_ASSERT(g.bytes > 0);
    free(g.url);
    end();
}

static void test_trouble_comes_as_a_code(void)
{
    struct get refused = {0}, cut = {0};

    begin();
    refused.url = dlm_strdup("http://127.0.0.1:1/");
    cut.url = fx_url(fx, "/f/x?size=300000&seed=7&cut=1000");
    get_start(&refused);
    get_start(&cut);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(refused.code, CURLE_COULDNT_CONNECT);
    CU_ASSERT_EQUAL(cut.code, CURLE_PARTIAL_FILE);
    CU_ASSERT_EQUAL(cut.bytes, 1000);
    free(refused.url);
    free(cut.url);
    end();
}

/* libcurl closes a socket that never connected without a word, and the next one has its number. */
static void test_numbers_of_sockets_come_again(void)
{
    struct get refused = {.left = 9}, both = {.left = 3};

    begin();
    refused.url = dlm_strdup("http://127.0.0.1:1/");
    get_start(&refused);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(refused.ends, 10);
    CU_ASSERT_EQUAL(refused.code, CURLE_COULDNT_CONNECT);
    both.url = fx_url(fx, "/f/x?size=300000&seed=7&close");
    memcpy(strstr(both.url, "127.0.0.1"), "localhost", 9); /* ::1 first, where nobody listens */
    get_start(&both);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(both.ends, 4);
    CU_ASSERT_EQUAL(both.code, CURLE_OK);
    CU_ASSERT_EQUAL(both.wrong, 0);
    free(refused.url);
    free(both.url);
    end();
}

static const struct test tests[] = {
    {"many_requests_share_connections", test_many_requests_share_connections},
    {"a_paused_one_goes_on_whole", test_a_paused_one_goes_on_whole},
    {"a_removed_one_is_not_told_of", test_a_removed_one_is_not_told_of},
    {"trouble_comes_as_a_code", test_trouble_comes_as_a_code},
    {"numbers_of_sockets_come_again", test_numbers_of_sockets_come_again},
};

TEST_MAIN("fetch", tests)
