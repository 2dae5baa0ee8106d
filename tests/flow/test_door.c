/* SPDX-License-Identifier: MIT */
/*
 * test_door.c - the real methods behind the real door, asked with whatever can be put into JSON.
 *
 * Each parameter of each method gets each value of a list of strange ones, alone and beside a good rest, and so does each member of a
 * request. It must be answered: with a result, or with a refusal that blames the asker. Never may it be taken for trouble of the disk or the journal, for which the
 * whole home would wait.
 */
#include "dlmgr.h"
#include "dlmgr/rpc.h"
#include "tests/lib/door.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <sys/stat.h>

static const char *const strange[] = {
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "7",
    "1000",
    "9223372036854775807",
    "-9223372036854775808",
    "1.5",
    "1e308",
    "\"\"",
    "\"x\"",
    "\"/\"",
    "\"../..\"",
    "\"a\\u0000b\"",
    "\"\\ud83d\\ude00\"",
    "\"\\n\"",
    "\"http://127.0.0.1:9/\"",
    "\"sha-256=00\"",
    "\"pause\"",
    "\"default\"",
    "\"queued\"",
    "\"'; DROP TABLE tasks; --\"",
    "[]",
    "[[]]",
    "[null]",
    "[0]",
    "[-1]",
    "[9223372036854775807]",
    "[\"queued\"]",
    "[\"X: y\"]",
    "[\"X\\r\\n\"]",
    "[1,\"a\",{}]",
    "{}",
    "{\"base64\":\"AA==\"}",
    "{\"base64\":\"!\"}",
    "{\"base64\":7}",
    "{\"http\":7}",
    "{\"a\":{\"b\":[{\"c\":[]}]}}",
};

static const struct {
    const char *method, *params; /* names of parameters, by space */
    const char *rest[3];         /* that stand beside */
} methods[] = {
    {"list", "ids states session after limit all", {""}},
    {"show", "id secrets", {"", "\"id\":1"}},
    {"events", "session after limit", {""}},
    {"count", "x", {""}},
    {"find", "tasks", {""}},
    {"add", "tasks x", {"", "\"tasks\":[]"}},
    {"act",
     "action ids states session after limit all",
     {"", "\"action\":\"retry\",\"all\":true", "\"action\":\"remove_delete\",\"ids\":[1]"}},
    {"set",
     "id key session url out dir priority limit_rate start_after",
     {"", "\"id\":1", "\"key\":\"k\""}},
    {"ack_to", "session seq", {"", "\"seq\":0"}},
    {"wait", "ids timeout_ms x", {"\"timeout_ms\":0"}},
    {"status", "x", {""}},
    {"hello", "protocol x", {""}},
    {"subscribe", "x", {""}},
};

static const char members[] =
    "url dir out session key mask mirrors checksum headers header_refs user password netrc_file cookie_file cacert cert cert_key pinned_pubkey proxy "
    "proxies user_data on_exists create_dirs priority connections max_tries require_length block_private ip_version start_after "
    "limit_rate retry_wait max_size";

struct asker {
    struct raw raw;
    int sent, refused, done;
};

/* May the asker be told this? */
static bool blames_the_asker(int code)
{
    static const int fine[] = {DLMGR_EINVAL,   DLMGR_ENOTFOUND, DLMGR_ESTATE,
                               DLMGR_EEXIST,   DLMGR_ELIMIT,    DLMGR_EPROTO,
                               DLM_RPC_METHOD, DLM_RPC_PARSE,   DLM_RPC_REQUEST};

    for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
        if (code == fine[i])
            return true;
    return false;
}

static void ask(struct asker *a, const char *method, const char *params)
{
    struct dlm_buf b = {0};
    json_t *answer, *error;

    dlm_buf_printf(&b, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"%s\",\"params\":{%s}}\n",
                   ++a->sent, method, params);
    CU_ASSERT_FATAL(raw_send(&a->raw, b.data, b.len));
    do {
        answer = raw_json(&a->raw);
        CU_ASSERT_FATAL(answer != NULL);
        if (!json_object_get(answer, "method"))
            break;
        json_decref(answer); /* news */
    } while (true);
    test_about("%s {%s}", method, params);
    error = json_object_get(answer, "error");
    if (error) {
        a->refused++;
        if (!blames_the_asker((int)dlm_json_int(error, "code", 0)))
            CHECK_STR(dlm_json_string(error, "message"), "a refusal");
        CU_ASSERT(json_string_length(json_object_get(error, "message")) > 5);
    } else {
        a->done++;
        CU_ASSERT(json_is_object(json_object_get(answer, "result")));
    }
    /* What is no JSON has no id. */
    if (dlm_json_int(json_object_get(answer, "error"), "code", 0) != DLM_RPC_PARSE)
        CHECK_INT(dlm_json_int(answer, "id", 0), a->sent);
    dlm_buf_free(&b);
    json_decref(answer);
}

static void ask_each(struct asker *a, const char *method, const char *names, const char *rest,
                     const char *before, const char *after)
{
    char name[40];
    int len;

    for (; sscanf(names, "%39s%n", name, &len) == 1; names += len)
        for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
            struct dlm_buf b = {0};
            bool twice = strstr(rest, name) != NULL;

            dlm_buf_printf(&b, "%s%s%s\"%s\":%s%s", before, rest, *rest ? "," : "", name,
                           strange[i], after);
            if (!twice)
                ask(a, method, b.data);
            dlm_buf_free(&b);
        }
}

static dlmgr *begin(struct asker *a, struct dlm_home **ret_home)
{
    static char home[300];
    dlmgr_options o = DLMGR_INIT(dlmgr_options);
    dlmgr *h = NULL;

    snprintf(home, sizeof(home), "%s/home", test_dir());
    o.home = home;
    CU_ASSERT_EQUAL_FATAL(dlmgr_open(DLMGR_OWN, &o, &h, NULL), 0);
    CHECK_INT(dlm_home_open(home, false, false, ret_home, NULL), 0);
    *a = (struct asker){.raw = raw_open(*ret_home)};
    return h;
}

/* It has served, and still can. */
static void end(struct asker *a, dlmgr *h, struct dlm_home *home)
{
    struct dlm_buf b = {0};

    dlm_buf_printf(&b,
                   "\"tasks\":[{\"url\":\"http://127.0.0.1:9/\",\"dir\":\"%s\",\"paused\":true}]",
                   test_dir());
    a->done = 0;
    ask(a, "add", b.data);
    CHECK_INT(a->done, 1);
    dlm_buf_free(&b);
    raw_close(&a->raw);
    dlm_home_close(home);
    dlmgr_close(h);
}

static void add_tasks(struct asker *a)
{
    struct dlm_buf b = {0};

    dlm_buf_printf(&b,
                   "\"tasks\":[{\"url\":\"http://127.0.0.1:9/1\",\"dir\":\"%s\",\"paused\":true},",
                   test_dir());
    dlm_buf_printf(&b,
                   "{\"url\":\"http://127.0.0.1:9/2\",\"dir\":\"%s\",\"paused\":true,\"key\":\"k\"}]",
                   test_dir());
    ask(a, "add", b.data);
    CHECK_INT(a->done, 1);
    dlm_buf_free(&b);
}

static void test_methods_take_any_parameter(void)
{
    struct asker a;
    struct dlm_home *home;
    dlmgr *h = begin(&a, &home);

    add_tasks(&a);
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        for (size_t k = 0; k < ARRAY_SIZE(methods[i].rest) && methods[i].rest[k]; k++)
            ask_each(&a, methods[i].method, methods[i].params, methods[i].rest[k], "", "");
    CU_ASSERT(a.done > 100 && a.refused > 500);
    end(&a, h, home);
}

static void test_requests_take_any_member(void)
{
    struct asker a;
    struct dlm_home *home;
    dlmgr *h = begin(&a, &home);
    char good[400];

    snprintf(good, sizeof(good), "\"paused\":true,\"dir\":\"%s\",\"url\":\"http://127.0.0.1:9/x\"",
             test_dir());
    ask_each(&a, "add", members, good, "\"tasks\":[{", "}]");
    ask_each(&a, "find", members, good, "\"tasks\":[{", "}]");
    ask_each(&a, "add", "url", "\"paused\":true,\"dir\":\"/\"", "\"tasks\":[{", "}]");
    ask_each(&a, "add", "dir", "\"paused\":true,\"url\":\"http://127.0.0.1:9/x\"", "\"tasks\":[{",
             "}]");
    CU_ASSERT(a.done > 100 && a.refused > 500);
    end(&a, h, home);
}

static const struct test tests[] = {
    TEST(test_methods_take_any_parameter),
    TEST(test_requests_take_any_member),
};

TEST_MAIN("door", tests)
