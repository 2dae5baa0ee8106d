/* SPDX-License-Identifier: MIT */
/*
 * test_methods.c - what can be asked of a home: parameters, selectors, pages, actions by state.
 *
 * Methods run on a journal in the test's directory, in a transaction as the engine would give them, which is rolled
 * back when they refuse. `set` has test_methods_set.c.
 */
#include "dlmgr/method.h"
#include "tests/lib/journal.h"
#include "tests/lib/methods.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <sys/stat.h>

/* What is no parameter of a method is refused by name, and changes nothing. */
static void test_methods_refuse(void)
{
    static const struct {
        const char *method, *params, *named;
        int code;
    } rows[] = {
        {"list", "{'state':['done']}", "unknown parameter state", DLMGR_EINVAL},
        {"list", "[]", "object", DLMGR_EINVAL},
        {"list", "{'ids':7}", "ids", DLMGR_EINVAL},
        {"list", "{'ids':['7']}", "ids", DLMGR_EINVAL},
        {"list", "{'ids':[999]}", "no task 999", DLMGR_ENOTFOUND},
        {"list", "{'states':'done'}", "states", DLMGR_EINVAL},
        {"list", "{'states':['dun']}", "dun is no state", DLMGR_EINVAL},
        {"list", "{'states':[4]}", "states", DLMGR_EINVAL},
        {"list", "{'session':1}", "session", DLMGR_EINVAL},
        {"list", "{'session':'a\\u0000b'}", "session", DLMGR_EINVAL},
        {"list", "{'limit':1001}", "from 1 to 1000", DLMGR_EINVAL},
        {"list", "{'limit':0}", "limit", DLMGR_EINVAL},
        {"list", "{'after':-1}", "after", DLMGR_EINVAL},
        {"list", "{'after':1.5}", "integer", DLMGR_EINVAL},
        {"list", "{'all':1}", "all", DLMGR_EINVAL},
        {"show", "{'id':999}", "no task 999", DLMGR_ENOTFOUND},
        {"show", "{'id':0}", "id", DLMGR_EINVAL},
        {"show", "{'ids':[1]}", "unknown parameter ids", DLMGR_EINVAL},
        {"events", "{'session':'nobody'}", "no session nobody", DLMGR_ENOTFOUND},
        {"events", "{'limit':-1}", "limit", DLMGR_EINVAL},
        {"events", "{'seq':1}", "unknown parameter seq", DLMGR_EINVAL},
        {"count", "{'session':'x'}", "unknown parameter session", DLMGR_EINVAL},
        {"find", "{}", "tasks", DLMGR_EINVAL},
        {"find", "{'tasks':[{'url':'http://h/'}]}", "dir", DLMGR_EINVAL},
        {"add", "{}", "tasks", DLMGR_EINVAL},
        {"add", "{'tasks':[7]}", "tasks[0]: ", DLMGR_EINVAL},
        {"add", "{'tasks':[{'url':'http://h/','dir':'/'},{'url':'http://h/','dir':'/','oout':'x'}]}",
         "tasks[1]: unknown field oout", DLMGR_EINVAL},
        {"add", "{'tasks':[{'url':'http://h/','dir':'/no/such/dir'}]}", "/no/such/dir", DLMGR_EINVAL},
        {"act", "{'action':'pause'}", "which tasks", DLMGR_EINVAL},
        {"act", "{'action':'pause','all':false}", "which tasks", DLMGR_EINVAL},
        {"act", "{'action':'stop','all':true}", "action stop", DLMGR_EINVAL},
        {"act", "{'all':true}", "action", DLMGR_EINVAL},
        {"act", "{'action':'pause','id':1}", "unknown parameter id", DLMGR_EINVAL},
        {"act", "{'action':'pause','ids':[1,999]}", "no task 999", DLMGR_ENOTFOUND},
        {"ack_to", "{}", "seq", DLMGR_EINVAL},
        {"ack_to", "{'seq':99}", "last event", DLMGR_EINVAL},
        {"ack_to", "{'session':'nobody','seq':0}", "nobody", DLMGR_ENOTFOUND},
    };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, "http://h:80/1");

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        method_refuses(s, rows[i].method, rows[i].params, rows[i].code, rows[i].named);
    CHECK_INT(journal_state(s, id), DLMGR_QUEUED);
    CHECK_INT(method_int(s, "list", NULL, "tasks#"), 1);
    CU_ASSERT(dlm_method_find("set") && !dlm_method_find("sett"));
    CU_ASSERT(dlm_method_find("wait")->work == NULL);
    journal_sound(s);
    journal_close(s);
}

/* More than the limits, which are there so that one request cannot hold up everybody. */
static void test_methods_limits(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    CLEANUP_JSON json_t *ids = json_array(), *tasks = json_array();
    CLEANUP_JSON json_t *by_id = json_pack("{s:O}", "ids", ids),
                        *all = json_pack("{s:O}", "tasks", tasks);
    json_t *result = NULL;

    for (int i = 0; i <= DLM_IDS_MAX; i++) {
        json_array_append_new(ids, json_integer(1));
        json_array_append_new(tasks, json_object());
    }
    CHECK_INT(dlm_work_list(s, by_id, &result, NULL), DLMGR_ELIMIT);
    CHECK_INT(dlm_work_add(s, all, &result, NULL), DLMGR_ELIMIT);
    CHECK_INT(dlm_work_find(s, all, &result, NULL), DLMGR_ELIMIT);
    journal_close(s);
}

/* Which tasks a selector means: ids once each and in order, pages, and all that is set must match. */
static void test_methods_select(void)
{
    static const struct {
        const char *params, *ids;
    } rows[] = {
        {NULL, "1 2 3 4 5"},
        {"{}", "1 2 3 4 5"},
        {"{'ids':null,'states':null,'session':null,'after':null,'limit':null,'all':null}",
         "1 2 3 4 5"},
        {"{'ids':[5,1,5]}", "1 5"},
        {"{'ids':[]}", ""},
        {"{'limit':2}", "1 2"},
        {"{'after':2,'limit':2}", "3 4"},
        {"{'after':5}", ""},
        {"{'states':['paused']}", "2 4"},
        {"{'states':['paused','queued'],'after':2}", "3 4 5"},
        {"{'states':[]}", "1 2 3 4 5"},
        {"{'session':'other'}", "4 5"},
        {"{'session':'nobody'}", ""},
        {"{'session':'other','states':['paused']}", "4"},
        {"{'ids':[1,2,4,5],'session':'other'}", "4 5"},
        {"{'ids':[1,2,4,5],'states':['paused'],'after':2}", "4"},
        {"{'ids':[1,2,4,5],'limit':3}", "1 2 4"},
    };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    method_ok(s, "add",
              "{'tasks':[{'url':'http://h/1','dir':'/'},{'url':'http://h/2','dir':'/','paused':true},"
              "{'url':'http://h/3','dir':'/'},{'url':'http://h/4','dir':'/','paused':true,'session':'other'},"
              "{'url':'http://h/5','dir':'/','session':'other'}]}");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_JSON json_t *result = method_result(s, "list", rows[i].params);
        CLEANUP_BUF struct dlm_buf got = {0};
        const json_t *task;
        size_t n;

        dlm_buf_puts(&got, "");
        json_array_foreach (json_object_get(result, "tasks"), n, task)
            dlm_buf_printf(&got, "%s%d", n ? " " : "", (int)dlm_json_int(task, "id", 0));
        test_about("%s", rows[i].params ? rows[i].params : "(none)");
        CHECK_STR(got.data, rows[i].ids);
    }
    journal_close(s);
}

/* A page ends early when it has many bytes, and says so; asked for what follows, all come, each once. */
static void test_methods_pages_are_bounded_by_bytes(void)
{
    enum { N = 60, EACH = 64 << 10 };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    CLEANUP_BUF struct dlm_buf ids = {0};
    char data[EACH + 1];

    memset(data, 'd', EACH);
    data[EACH] = '\0';
    for (int i = 1; i <= N; i++) {
        CLEANUP_FREE char *add =
            method_text("{'tasks':[{'url':'http://h/%d','dir':'/','user_data':'%s'}]}", i, data);

        method_ok(s, "add", add);
        dlm_buf_printf(&ids, "%s%d", i > 1 ? "," : "", i);
    }
    for (int by_id = 0; by_id < 2; by_id++) {
        int64_t seen = 0;
        bool more = true;

        for (int pages = 0; more && pages < N; pages++) {
            CLEANUP_FREE char *which = by_id ? method_text("'ids':[%s],", ids.data) : NULL;
            CLEANUP_FREE char *params = method_text("{%s'after':%d}", which ? which : "", (int)seen);
            CLEANUP_JSON json_t *result = method_result(s, "list", params);
            CLEANUP_FREE char *text = json_dumps(result, JSON_COMPACT);
            const json_t *task;
            size_t i;

            CU_ASSERT(strlen(text) < 2 << 20);
            json_array_foreach (json_object_get(result, "tasks"), i, task)
                CHECK_INT(dlm_json_int(task, "id", 0), ++seen);
            more = dlm_json_true(result, "more");
        }
        CHECK_INT(seen, N);
    }
    CHECK_INT(method_int(s, "list", "{'limit':2}", "tasks#"), 2);
    journal_close(s);
}

/* The same selector asked about a task in memory. */
static void test_methods_matches(void)
{
    static const struct {
        const char *params;
        int matches;
    } rows[] = {
        {"{}", 1},
        {"{'all':true}", 1},
        {"{'ids':[6,7]}", 1},
        {"{'ids':[6]}", 0},
        {"{'ids':[]}", 0},
        {"{'states':[]}", 1},
        {"{'states':['queued','running']}", 1},
        {"{'states':['done']}", 0},
        {"{'session':'s'}", 1},
        {"{'session':'t'}", 0},
        {"{'after':6}", 1},
        {"{'after':7}", 0},
        {"{'ids':[7],'states':['running'],'session':'s','after':0}", 1},
        {"{'ids':[7],'states':['running'],'session':'t'}", 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_JSON json_t *params = method_params(rows[i].params);

        test_about("%s", rows[i].params);
        CHECK_INT(dlm_selector_matches(params, 7, DLMGR_RUNNING, "s"), rows[i].matches);
    }
}

/* Each action in each state: the state after it, SAME, or NO. Moves keep the journal sound. */
enum { NO = -1, SAME = -2, GONE = -3 };

static void test_methods_act_by_state(void)
{
    enum { Q = DLMGR_QUEUED, P = DLMGR_PAUSED, C = DLMGR_CANCELLED };
    static const struct {
        const char *action;
        int to[DLM_STATES]; /* queued running verifying committing done waiting paused failed cancelled */
    } rows[] = {
        {"pause", {P, P, P, NO, NO, P, SAME, NO, NO}},
        {"resume", {SAME, SAME, SAME, SAME, NO, Q, Q, NO, NO}},
        {"cancel", {C, C, C, NO, NO, C, C, NO, SAME}},
        {"retry", {SAME, SAME, SAME, SAME, NO, SAME, NO, Q, Q}},
        {"remove", {GONE, GONE, GONE, NO, GONE, GONE, GONE, GONE, GONE}},
        {"remove_delete", {GONE, GONE, GONE, NO, GONE, GONE, GONE, GONE, GONE}},
    };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    for (size_t i = 0; i < ARRAY_SIZE(rows) * DLM_STATES; i++) {
        const char *action = rows[i / DLM_STATES].action;
        int state = (int)(i % DLM_STATES), to = rows[i / DLM_STATES].to[state];
        CLEANUP_FREE char *url = method_text("http://h:80/%zu", i);
        int64_t id = journal_add(s, url);
        CLEANUP_FREE char *by_id = method_text("{'action':'%s','ids':[%d]}", action, (int)id);
        CLEANUP_FREE char *by_state = method_text("{'action':'%s','states':['%s'],'after':%d}",
                                                  action, dlm_state_name(state), (int)id - 1);
        struct dlm_row row = {0};

        journal_drive(s, id, state);
        test_about("%s %s", action, dlm_state_name(state));
        if (to == NO) {
            method_refuses(s, "act", by_id, DLMGR_ESTATE, "cannot be");
            test_about("%s %s", action, dlm_state_name(state));
            CHECK_INT(method_int(s, "act", by_state, "count"), 0);
        } else {
            CHECK_INT(method_int(s, "act", i % 2 ? by_id : by_state, "count"), to != SAME);
        }
        if (to == GONE)
            CHECK_INT(dlm_store_get(s, id, &row), DLMGR_ENOTFOUND);
        else
            CHECK_INT(journal_state(s, id), to < 0 ? state : to);
    }
    journal_sound(s);
    journal_close(s);
}

/* One that does not allow it by id: nothing of the request is done. */
static void test_methods_act_whole(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t a = journal_add(s, "http://h:80/a"), b = journal_add(s, "http://h:80/b");

    journal_drive(s, b, DLMGR_DONE);
    method_refuses(s, "act", "{'action':'cancel','ids':[1,2]}", DLMGR_ESTATE,
                   "task 2 is done and cannot be cancelled");
    CHECK_INT(journal_state(s, a), DLMGR_QUEUED);
    CHECK_INT(method_int(s, "act", "{'action':'cancel','all':true}", "count"), 1);
    CHECK_INT(journal_state(s, a), DLMGR_CANCELLED);
    CHECK_INT(journal_state(s, b), DLMGR_DONE);
    journal_close(s);
}

/* A retry begins a generation and counts its attempts from nothing; what was paused before its time waits for it. */
static void test_methods_act_details(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id = journal_add(s, "http://h:80/a");
    struct dlm_row row = {0};

    journal_drive(s, id, DLMGR_FAILED);
    CHECK_INT(method_int(s, "act", "{'action':'retry','ids':[1]}", "count"), 1);
    CU_ASSERT_FATAL(dlm_store_get(s, id, &row) == 0);
    CHECK_INT(row.generation, 2);
    CHECK_INT(row.attempts, 0);
    dlm_row_clear(&row);

    dlm_clock_set(1000, 1000);
    method_ok(s, "add", "{'tasks':[{'url':'http://h/b','dir':'/','start_after':5000}]}");
    CHECK_INT(journal_state(s, 2), DLMGR_WAITING);
    method_ok(s, "act", "{'action':'pause','ids':[2]}");
    method_ok(s, "act", "{'action':'resume','ids':[2]}");
    CU_ASSERT_FATAL(dlm_store_get(s, 2, &row) == 0);
    CHECK_INT(row.state, DLMGR_WAITING);
    CHECK_STR(row.wait_reason, "not-before");
    CHECK_INT(row.wake_at, 5000);
    dlm_row_clear(&row);
    method_ok(s, "act", "{'action':'resume','ids':[2]}");
    CHECK_INT(journal_state(s, 2), DLMGR_QUEUED);
    dlm_clock_set(-1, -1);
    journal_sound(s);
    journal_close(s);
}

/* More tasks than a page: "next" leads through all of them, each once. */
static void test_methods_act_pages(void)
{
    enum { N = DLM_ACT_PAGE + 7 };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row = journal_row("http://h:80/f");
    int64_t next = 0, sum = 0;
    int pages = 0;

    journal_begin(s);
    for (int i = 0; i < N; i++)
        journal_add_row(s, &row);
    journal_commit(s);
    do {
        CLEANUP_FREE char *params = method_text("{'action':'pause','all':true,'after':%d}",
                                                (int)next);
        CLEANUP_JSON json_t *result = method_result(s, "act", params);

        sum += dlm_json_int(result, "count", 0);
        next = dlm_json_int(result, "next", 0);
    } while (next && ++pages < 10);
    CHECK_INT(sum, N);
    CHECK_INT(pages, 1);
    CHECK_INT(method_int(s, "count", NULL, "states.paused"), N);
    journal_sound(s);
    journal_close(s);
}

/* Part files that nobody needs any more are named, and unlinked when asked to. */
static void test_methods_parts(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    char path[600];
    json_t *result;

    method_task_with_part(s, 1, test_dir(), "sub/x");
    snprintf(path, sizeof(path), "%s/sub/%s", test_dir(), METHOD_PART);
    CU_ASSERT(access(path, F_OK) == 0);
    result = method_result(s, "act", "{'action':'remove_delete','ids':[1]}");
    CHECK_STR(json_string_value(json_array_get(json_object_get(result, "parts"), 0)), path);
    CU_ASSERT(access(path, F_OK) == 0);
    dlm_parts_unlink(result);
    CU_ASSERT(access(path, F_OK) < 0);
    CU_ASSERT(json_object_get(result, "parts") == NULL);
    json_decref(result);

    method_task_with_part(s, 2, test_dir(), "x");
    result = method_result(s, "act", "{'action':'remove','ids':[2]}");
    CU_ASSERT(json_object_get(result, "parts") == NULL);
    json_decref(result);
    snprintf(path, sizeof(path), "%s/%s", test_dir(), METHOD_PART);
    CU_ASSERT(access(path, F_OK) == 0);
    journal_close(s);
}

/* Adding a key again is adding once; the same key with another request is refused, and the whole batch with it. */
static void test_methods_add_key(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    json_t *result = method_result(s, "add", "{'tasks':[{'url':'http://h/a','dir':'/','key':'k'}]}");

    CHECK_INT(json_array_size(json_object_get(result, "existed")), 0);
    json_decref(result);
    result =
        method_result(s, "add",
                      "{'tasks':[{'url':'http://h/b','dir':'/'},{'url':'http://h/a','dir':'/','key':'k'}]}");
    CHECK_INT(json_integer_value(json_array_get(json_object_get(result, "ids"), 0)), 2);
    CHECK_INT(json_integer_value(json_array_get(json_object_get(result, "ids"), 1)), 1);
    CHECK_INT(json_array_size(json_object_get(result, "existed")), 1);
    CHECK_INT(json_integer_value(json_array_get(json_object_get(result, "existed"), 0)), 1);
    json_decref(result);
    method_refuses(s, "add",
                   "{'tasks':[{'url':'http://h/c','dir':'/'},{'url':'http://h/d','dir':'/','key':'k'}]}",
                   DLMGR_EEXIST, "tasks[1]: key k");
    CHECK_INT(method_int(s, "list", NULL, "tasks#"), 2);
    method_ok(s, "add", "{'tasks':[{'url':'http://h/d','dir':'/','key':'k','session':'t'}]}");
    journal_sound(s);
    journal_close(s);
}

static void test_methods_error_index(void)
{
    dlmgr_error e = {.text = "tasks[12]: out: bad"};

    CHECK_INT(dlm_error_index(&e), 12);
    CHECK_STR(e.text, "out: bad");
    CHECK_INT(dlm_error_index(&e), -1);
    CHECK_STR(e.text, "out: bad");
    snprintf(e.text, sizeof(e.text), "tasks[-3]: x");
    CHECK_INT(dlm_error_index(&e), -1);
}

/* Equal are URL with its secrets, dir, out and session; the newest unfinished one is found. */
static void test_methods_find(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    static const struct {
        const char *task;
        int id;
    } rows[] = {
        {"{'url':'http://h/a','dir':'/'}", 2},
        {"{'url':'http://h/a','dir':'/','out':'x'}", 3},
        {"{'url':'http://h/a','dir':'/tmp'}", 0},
        {"{'url':'http://h/a','dir':'/','session':'t'}", 0},
        {"{'url':'http://u:p@h/a','dir':'/'}", 4},
        {"{'url':'http://u:q@h/a','dir':'/'}", 5},
        {"{'url':'http://u:r@h/a','dir':'/'}", 0},
        {"{'url':'http://h/done','dir':'/'}", 0},
    };

    method_ok(s, "add",
              "{'tasks':[{'url':'http://h/a','dir':'/'},{'url':'http://h/a','dir':'/'},"
              "{'url':'http://h/a','dir':'/','out':'x'},{'url':'http://u:p@h/a','dir':'/'},"
              "{'url':'http://u:q@h/a','dir':'/'},{'url':'http://h/done','dir':'/'}]}");
    journal_drive(s, 6, DLMGR_DONE);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *params = method_text("{'tasks':[%s]}", rows[i].task);
        CLEANUP_JSON json_t *result = method_result(s, "find", params);

        test_about("%s", rows[i].task);
        CHECK_INT(json_integer_value(json_array_get(json_object_get(result, "ids"), 0)), rows[i].id);
    }
    journal_close(s);
}

/* What is secret is shown when asked for, and else only that it is there. */
static void test_methods_show(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    json_t *task, *segment;
    char *text;

    method_task_with_part(s, 1, test_dir(), "x");
    task = method_result(s, "show", "{'id':1}");
    text = dlm_json_dump(task);
    CU_ASSERT(text && !strstr(text, "s3cret") && strstr(text, "Authorization: ***"));
    free(text);
    CHECK_INT(json_array_size(json_object_get(task, "sources")), 2);
    CHECK_INT(json_array_size(json_object_get(task, "segments")), 2);
    segment = json_array_get(json_object_get(task, "segments"), 0);
    CHECK_INT(dlm_json_int(segment, "start", -1), 0);
    CHECK_INT(dlm_json_int(segment, "end", -1), (2 << 20));
    segment = json_array_get(json_object_get(task, "segments"), 1);
    CHECK_INT(dlm_json_int(segment, "start", -1), 3 << 20);
    CHECK_INT(dlm_json_int(segment, "end", -1), (3 << 20) + 5);
    CHECK_STR(dlm_json_string(task, "on_exists"), "rename");
    CHECK_STR(dlm_json_string(task, "mask"), "0027");
    CHECK_STR(dlm_json_string(task, "part"), METHOD_PART);
    json_decref(task);
    task = method_result(s, "show", "{'id':1,'secrets':true}");
    text = dlm_json_dump(task);
    CU_ASSERT(text && strstr(text, "http://u:s3cret@h/f") && strstr(text, "Authorization: s3cret"));
    free(text);
    json_decref(task);
    journal_close(s);
}

static void test_methods_events(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int64_t id;

    for (int i = 0; i < 3; i++) {
        id = journal_add(s, "http://h:80/f");
        journal_drive(s, id, DLMGR_CANCELLED);
    }
    CHECK_INT(method_int(s, "events", NULL, "events#"), 3);
    CHECK_INT(method_int(s, "events", "{'limit':2}", "events#"), 2);
    CHECK_INT(method_int(s, "events", "{'limit':0}", "events#"), 0);
    CHECK_INT(method_int(s, "events", "{'limit':0}", "last"), 3);
    method_ok(s, "ack_to", "{'seq':2}");
    CHECK_INT(method_int(s, "events", NULL, "events#"), 1);
    CHECK_INT(method_int(s, "events", NULL, "acked"), 2);
    CHECK_INT(method_int(s, "events", "{'after':0}", "events#"), 3);
    method_ok(s, "ack_to", "{'seq':1}");
    CHECK_INT(method_int(s, "events", NULL, "acked"), 2);
    CHECK_INT(method_int(s, "count", NULL, "states.cancelled"), 3);
    CHECK_INT(method_int(s, "count", NULL, "states.queued"), 0);
    CHECK_INT(method_int(s, "count", NULL, "waiting_storage"), 0);
    journal_close(s);
}

static void test_methods_halt(void)
{
    static const struct {
        const char *method, *params;
        int halts;
    } rows[] = {
        {"act", "{'action':'pause'}", 1},
        {"act", "{'action':'cancel'}", 1},
        {"act", "{'action':'remove'}", 1},
        {"act", "{'action':'remove_delete'}", 1},
        {"act", "{'action':'resume'}", 0},
        {"act", "{'action':'retry'}", 0},
        {"act", "{}", 0},
        {"list", "{'action':'pause'}", 0},
        {"wait", "{'action':'pause'}", 0},
        {"add", "{}", 0},
        {"set", "{'priority':1}", 0},
        {"set", "{'url':'http://h/'}", 1},
        {"set", "{'out':'x'}", 1},
        {"set", "{'dir':'/'}", 1},
        {"set", "{'limit_rate':0}", 1},
        {"set", "{'start_after':0}", 1},
        {"set", "{'url':null,'priority':1}", 0},
        {"set", "{'priority':1,'limit_rate':5}", 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_JSON json_t *params = method_params(rows[i].params);

        test_about("%s %s", rows[i].method, rows[i].params);
        CHECK_INT(dlm_method_halts(dlm_method_find(rows[i].method), params), rows[i].halts);
    }
}

static const struct test tests[] = {
    TEST(test_methods_refuse),    TEST(test_methods_limits),
    TEST(test_methods_select),    TEST(test_methods_pages_are_bounded_by_bytes),
    TEST(test_methods_matches),   TEST(test_methods_act_by_state),
    TEST(test_methods_act_whole), TEST(test_methods_act_details),
    TEST(test_methods_act_pages), TEST(test_methods_parts),
    TEST(test_methods_add_key),   TEST(test_methods_error_index),
    TEST(test_methods_find),      TEST(test_methods_show),
    TEST(test_methods_events),    TEST(test_methods_halt),
};

TEST_MAIN("methods", tests)
