/* SPDX-License-Identifier: MIT */
/*
 * test_methods_session.c - sessions as methods: what is refused and why, and that the fence stands before anything is changed.
 */
#include "tests/lib/journal.h"
#include "tests/lib/methods.h"
#include "tests/lib/test.h"

#include "dlmgr/methods.h"

#include <stdio.h>
#include <string.h>

#define ORG "org.example.app"

static void cancel_n(struct dlm_store *s, int n)
{
    for (int i = 0; i < n; i++) {
        method_ok(s, "add", "{'tasks':[{'url':'http://h/f','dir':'/','session':'" ORG "'}]}");
        method_ok(s, "act", "{'action':'cancel','session':'" ORG "'}");
    }
}

/* Held once, with n events. */
static struct dlm_store *begin(int n)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    CHECK_INT(method_int(s, "session_hold", "{'session':'" ORG "'}", "incarnation"), 1);
    cancel_n(s, n);
    return s;
}

struct refusal {
    const char *method, *params;
    int code;
    const char *named;
};

static void refuse_all(struct dlm_store *s, const struct refusal *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        method_refuses(s, rows[i].method, rows[i].params, rows[i].code, rows[i].named);
}

static void test_session_methods_refuse(void)
{
    static const struct refusal rows[] = {
        {"session", "{}", DLMGR_EINVAL, "session: is missing"},
        {"session", NULL, DLMGR_EINVAL, "session: is missing"},
        {"session", "{'session':3}", DLMGR_EINVAL, "session"},
        {"session", "{'session':'a b'}", DLMGR_EINVAL, "a b"},
        {"session", "{'session':''}", DLMGR_EINVAL, "session"},
        {"session", "{'session':'" ORG "','name':'x'}", DLMGR_EINVAL, "unknown parameter name"},
        {"session", "{'session':'org.other'}", DLMGR_ENOTFOUND, "no session org.other"},
        {"sessions", "{'limit':0}", DLMGR_EINVAL, "limit"},
        {"sessions", "{'limit':1001}", DLMGR_EINVAL, "limit"},
        {"sessions", "{'after':1}", DLMGR_EINVAL, "after"},
        {"session_set", "{'session':'" ORG "'}", DLMGR_EINVAL, "on_event: is missing"},
        {"session_set", "{'on_event':'x'}", DLMGR_EINVAL, "session: is missing"},
        {"session_set", "{'session':'" ORG "','on_event':1}", DLMGR_EINVAL, "on_event"},
        {"session_set", "{'session':'default','on_event':'x'}", DLMGR_EINVAL, "default"},
        {"session_remove", "{}", DLMGR_EINVAL, "session: is missing"},
        {"session_remove", "{'session':'default'}", DLMGR_EINVAL, "default"},
        {"session_remove", "{'session':'org.other'}", DLMGR_ENOTFOUND, "org.other"},
        {"session_hold", "{}", DLMGR_EINVAL, "session: is missing"},
        {"session_hold", "{'session':'default'}", DLMGR_EINVAL, "default"},
        {"session_hold", "{'session':'" ORG "','incarnation':-1}", DLMGR_EINVAL, "incarnation"},
        {"session_hold", "{'session':'" ORG "','incarnation':2}", DLMGR_ELOST, "yours is 2"},
        {"session_hold", "{'session':'org.other','incarnation':1}", DLMGR_ELOST, "org.other"},
        {"session_hold", "{'session':'" ORG "','holder':1}", DLMGR_EINVAL,
         "unknown parameter holder"},
        {"deliver", "{'session':'" ORG "'}", DLMGR_ELOST, "yours is 0"},
        {"deliver", "{'incarnation':1}", DLMGR_EINVAL, "session: is missing"},
        {"deliver", "{'session':'" ORG "','incarnation':0}", DLMGR_EINVAL, "incarnation"},
        {"deliver", "{'session':'" ORG "','incarnation':2}", DLMGR_ELOST, "incarnation 1"},
        {"deliver", "{'session':'" ORG "','incarnation':1,'after':-1}", DLMGR_EINVAL, "after"},
        {"deliver", "{'session':'" ORG "','incarnation':1,'to':-1}", DLMGR_EINVAL, "to"},
        {"deliver", "{'session':'" ORG "','incarnation':1,'limit':1001}", DLMGR_EINVAL, "limit"},
        {"deliver", "{'session':'" ORG "','incarnation':1,'seqs':[]}", DLMGR_EINVAL, "seqs"},
        {"ack", "{'session':'" ORG "','incarnation':1}", DLMGR_EINVAL, "seqs"},
        {"ack", "{'session':'" ORG "','incarnation':1,'seqs':1}", DLMGR_EINVAL, "seqs"},
        {"ack", "{'session':'" ORG "','incarnation':1,'seqs':['1']}", DLMGR_EINVAL, "seqs"},
        {"ack", "{'session':'" ORG "','seqs':[1]}", DLMGR_ELOST, "yours is 0"},
        {"ack", "{'session':'" ORG "','incarnation':1,'seqs':[3]}", DLMGR_EINVAL,
         "the last event of session " ORG " is 2"},
        {"ack", "{'session':'" ORG "','incarnation':1,'seqs':[-1]}", DLMGR_EINVAL, "seq -1"},
        {"ack", "{'session':'org.other','incarnation':1,'seqs':[1]}", DLMGR_ELOST, "org.other"},
        {"ack_to", "{'session':'" ORG "','seq':3}", DLMGR_EINVAL, "3"},
        {"ack_to", "{'session':'org.other','seq':1}", DLMGR_ENOTFOUND, "org.other"},
    };
    struct dlm_store *s = begin(2);

    refuse_all(s, rows, ARRAY_SIZE(rows));
    CHECK_INT(method_int(s, "session", "{'session':'" ORG "'}", "oldest"), 1);
    CHECK_INT(method_int(s, "session", "{'session':'" ORG "'}", "incarnation"), 1);
    CHECK_INT(method_int(s, "sessions", "{}", "sessions#"), 2);
    journal_close(s);
}

static char *filled(const char *before, char with, size_t n, const char *after)
{
    CLEANUP_FREE char *middle = calloc(1, n + 1);

    memset(middle, with, n);
    return method_text("%s%s%s", before, middle, after);
}

/* Limits are named, and what just fits fits. */
static void test_session_methods_limits(void)
{
    struct dlm_store *s = begin(1);
    CLEANUP_FREE char *name = filled("{'session':'", 'a', 255, "'}"),
                      *long_name = filled("{'session':'", 'a', 256, "'}"),
                      *command = filled("{'session':'" ORG "','on_event':'", 'x', 4096, "'}"),
                      *long_command = filled("{'session':'" ORG "','on_event':'", 'x', 4097, "'}");
    CLEANUP_BUF struct dlm_buf acks = {0};

    CHECK_INT(method_int(s, "session_hold", name, "incarnation"), 1);
    method_refuses(s, "session_hold", long_name, DLMGR_EINVAL, "255");
    method_ok(s, "session_set", command);
    method_refuses(s, "session_set", long_command, DLMGR_ELIMIT, "4096");
    dlm_buf_puts(&acks, "{'session':'" ORG "','incarnation':1,'seqs':[1");
    for (int i = 1; i < 1000; i++)
        dlm_buf_puts(&acks, ",1");
    dlm_buf_puts(&acks, "]}");
    method_ok(s, "ack", acks.data);
    acks.len -= 2;
    dlm_buf_puts(&acks, ",1]}");
    method_refuses(s, "ack", acks.data, DLMGR_ELIMIT, "1000");
    journal_close(s);
}

/* A key and user data of a request have theirs. */
static void test_session_tasks_limits(void)
{
    struct dlm_store *s = begin(0);
    const char *before = "{'tasks':[{'url':'http://h/f','dir':'/','session':'" ORG "','key':'",
               *data = "{'tasks':[{'url':'http://h/f','dir':'/','session':'" ORG "','user_data':'";
    CLEANUP_FREE char *key = filled(before, 'k', 255, "'}]}"),
                      *long_key = filled(before, 'k', 256, "'}]}"),
                      *most = filled(data, 'd', 65536, "'}]}"),
                      *too_much = filled(data, 'd', 65537, "'}]}");

    method_ok(s, "add", key);
    method_refuses(s, "add", long_key, DLMGR_EINVAL, "255");
    method_ok(s, "add", most);
    method_refuses(s, "add", too_much, DLMGR_ELIMIT, "65536 bytes");
    journal_close(s);
}

/* An older holder changes nothing: not what is acknowledged, and not what counts as delivered. */
static void test_session_fence(void)
{
    struct dlm_store *s = begin(2);
    json_t *event;

    method_ok(s, "deliver", "{'session':'" ORG "','incarnation':1,'limit':1}");
    CHECK_INT(method_int(s, "session_hold", "{'session':'" ORG "','take':true}", "incarnation"), 2);
    method_refuses(s, "ack", "{'session':'" ORG "','incarnation':1,'seqs':[1]}", DLMGR_ELOST,
                   "incarnation 2, yours is 1");
    method_refuses(s, "deliver", "{'session':'" ORG "','incarnation':1}", DLMGR_ELOST,
                   "later holder");
    method_refuses(s, "deliver", "{'session':'" ORG "','incarnation':1,'limit':0}", DLMGR_ELOST,
                   "later holder");
    method_refuses(s, "session_hold", "{'session':'" ORG "','incarnation':1}", DLMGR_ELOST,
                   "later holder");
    CHECK_INT(method_int(s, "session_hold", "{'session':'" ORG "','incarnation':2}", "incarnation"),
              2); /* who comes back goes on */
    event = method_result(s, "deliver", "{'session':'" ORG "','incarnation':2}");
    CHECK_INT(json_array_size(json_object_get(event, "events")), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *ev = json_array_get(json_object_get(event, "events"), i);

        CHECK_INT(dlm_json_int(ev, "seq", 0), i + 1);
        CHECK_INT(dlm_json_int(ev, "deliveries", 0), 2 - i);
        CHECK_INT(dlm_json_true(ev, "replay"), i == 0);
    }
    json_decref(event);
    journal_close(s);
}

/* The future, the past, the same twice; one wrong number and none of them is acknowledged. */
static void test_session_acks(void)
{
    struct dlm_store *s = begin(4);
    const char *look = "{'session':'" ORG "'}";

    CHECK_INT(method_int(s, "ack", "{'session':'" ORG "','incarnation':1,'seqs':[3,3]}", "oldest"),
              1);
    method_refuses(s, "ack", "{'session':'" ORG "','incarnation':1,'seqs':[1,5]}", DLMGR_EINVAL,
                   "seq 5");
    CHECK_INT(method_int(s, "session", look, "acked"), 0);
    CHECK_INT(method_int(s, "ack", "{'session':'" ORG "','incarnation':1,'seqs':[1]}", "acked"), 1);
    CHECK_INT(method_int(s, "ack", "{'session':'" ORG "','incarnation':1,'seqs':[1,0]}", "acked"),
              1);
    CHECK_INT(method_int(s, "ack", "{'session':'" ORG "','incarnation':1,'seqs':[2]}", "acked"), 3);
    CHECK_INT(method_int(s, "ack", "{'session':'" ORG "','incarnation':1,'seqs':[]}", "oldest"), 4);
    method_ok(s, "ack_to", "{'session':'" ORG "','seq':4}");
    method_ok(s, "ack_to", "{'session':'" ORG "','seq':1}");
    CHECK_INT(method_int(s, "session", look, "acked"), 4);
    CHECK_INT(method_int(s, "deliver", "{'session':'" ORG "','incarnation':1}", "events#"), 0);
    journal_close(s);
}

/* Numbers are a session's own. */
static void test_sessions_do_not_mix(void)
{
    struct dlm_store *s = begin(3);

    CHECK_INT(method_int(s, "session_hold", "{'session':'org.other'}", "incarnation"), 1);
    method_refuses(s, "ack", "{'session':'org.other','incarnation':1,'seqs':[1]}", DLMGR_EINVAL,
                   "the last event of session org.other is 0");
    CHECK_INT(method_int(s, "deliver", "{'session':'org.other','incarnation':1}", "events#"), 0);
    CHECK_INT(method_int(s, "session", "{'session':'" ORG "'}", "oldest"), 1);
    journal_close(s);
}

/* A page is bounded, and says how the session is. */
static void test_session_pages(void)
{
    struct dlm_store *s = begin(3);
    const char *page = "{'session':'" ORG "','incarnation':1,'after':1,'to':2}";

    CHECK_INT(method_int(s, "deliver", page, "events#"), 1);
    CHECK_INT(method_int(s, "deliver", page, "last"), 3);
    CHECK_INT(method_int(s, "deliver", page, "tasks.cancelled"), 3);
    CHECK_INT(method_int(s, "deliver", "{'session':'" ORG "','incarnation':1,'limit':0}", "events#"),
              0);
    CHECK_INT(method_int(s, "deliver", "{'session':'" ORG "','incarnation':1,'limit':2}", "events#"),
              2);
    CHECK_INT(method_int(s, "sessions", "{'limit':1}", "sessions#"), 1);
    CHECK_INT(method_int(s, "sessions", "{'after':'default'}", "sessions#"), 1);
    CHECK_INT(method_int(s, "sessions", "{'after':'" ORG "'}", "sessions#"), 0);
    journal_close(s);
}

/* And bounded in bytes: long events come in short pages, each at least one, and all of them. */
static void test_session_pages_of_long_events(void)
{
    struct dlm_store *s = begin(0);
    CLEANUP_FREE char *task = filled("{'tasks':[{'url':'http://h/f','dir':'/','session':'" ORG
                                     "','user_data':'",
                                     'd', 60000, "'}]}");
    long long after = 0;
    int pages = 0;

    for (int i = 0; i < 12; i++)
        method_ok(s, "add", task);
    method_ok(s, "act", "{'action':'cancel','session':'" ORG "'}");
    for (; after < 12 && pages < 12; pages++) {
        CLEANUP_FREE char *params = method_text("{'session':'" ORG "','incarnation':1,'after':%lld}",
                                                after);
        long long n = method_int(s, "deliver", params, "events#");

        CU_ASSERT(n >= 1 && n <= 6);
        after += n;
    }
    CHECK_INT(after, 12);
    CU_ASSERT(pages <= 4);
    journal_close(s);
}

/* A command is kept until it is taken away; a session goes when it is empty. */
static void test_session_set_and_remove(void)
{
    struct dlm_store *s = begin(1);
    json_t *session;

    session = method_result(s, "session_set", "{'session':'" ORG "','on_event':'start'}");
    CHECK_STR(dlm_json_string(session, "on_event"), "start");
    CU_ASSERT(json_is_null(json_object_get(session, "holder")));
    json_decref(session);
    for (int i = 0; i < 2; i++) {
        session = method_result(s, "session_set",
                                i ? "{'session':'" ORG "','on_event':null}"
                                  : "{'session':'" ORG "','on_event':''}");
        CU_ASSERT(json_is_null(json_object_get(session, "on_event")));
        json_decref(session);
    }
    method_refuses(s, "session_remove", "{'session':'" ORG "'}", DLMGR_ESTATE,
                   "dlmgr remove --session");
    method_ok(s, "act", "{'action':'remove','session':'" ORG "'}");
    method_ok(s, "session_remove", "{'session':'" ORG "'}");
    method_refuses(s, "session", "{'session':'" ORG "'}", DLMGR_ENOTFOUND, ORG);
    method_refuses(s, "ack", "{'session':'" ORG "','incarnation':1,'seqs':[1]}", DLMGR_ELOST, ORG);
    journal_close(s);
}

static const struct test tests[] = {
    TEST(test_session_methods_refuse), TEST(test_session_methods_limits),
    TEST(test_session_tasks_limits),   TEST(test_session_fence),
    TEST(test_session_acks),           TEST(test_sessions_do_not_mix),
    TEST(test_session_pages),          TEST(test_session_pages_of_long_events),
    TEST(test_session_set_and_remove),
};

TEST_MAIN("methods_session", tests)
