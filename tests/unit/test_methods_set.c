/* SPDX-License-Identifier: MIT */
/*
 * test_methods_set.c - set: what changes, what follows from it, and that a part is never lost on the way.
 */
#include "dlmgr/method.h"
#include "dlmgr/request.h"
#include "dlmgr/taskjson.h"
#include "tests/lib/journal.h"
#include "tests/lib/methods.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <sys/stat.h>

static struct dlm_row row_of(struct dlm_store *s, int64_t id)
{
    struct dlm_row row = {0};

    CU_ASSERT_FATAL(dlm_store_get(s, id, &row) == 0);
    return row;
}

/* What a transfer would be given. */
static struct dlm_opts opts_of(struct dlm_store *s, int64_t id)
{
    struct dlm_row row = row_of(s, id);
    struct dlm_opts opts = {0};
    char **urls = NULL, *secret = NULL;
    size_t n = 0;

    CU_ASSERT_FATAL(dlm_store_sources(s, id, &urls, &n) == 0);
    CU_ASSERT_FATAL(!row.secret || dlm_store_secret(s, row.secret, &secret) == 0);
    CU_ASSERT_FATAL(dlm_opts_load(row.options, secret, urls, n, &opts) == 0);
    for (size_t i = 0; i < n; i++)
        free(urls[i]);
    free(urls);
    free(secret);
    dlm_row_clear(&row);
    return opts;
}

static void add(struct dlm_store *s, const char *more)
{
    CLEANUP_FREE char *params = method_text("{'tasks':[{'url':'http://h/f','dir':'/','key':'k'%s%s}]}",
                                            *more ? "," : "", more);

    method_ok(s, "add", params);
}

static void fail_with(struct dlm_store *s, int64_t id, int status)
{
    CLEANUP_FREE char *error = dlm_failure_text(&(struct dlm_failure){.class_ = DLMGR_CLASS_PERMANENT,
                                                                      .code = 22,
                                                                      .http_status = status,
                                                                      .message = "no"});
    struct dlm_move m = {.id = id, .to = DLMGR_FAILED, .error = error, .exit_code = 22, NO_CHANGE};

    journal_drive(s, id, DLMGR_RUNNING);
    m.attempts = 3;
    journal_begin(s);
    CU_ASSERT_FATAL(dlm_store_move(s, &m, NULL) == 0);
    journal_commit(s);
}

static void test_set_refuses(void)
{
    static const struct {
        const char *params, *named;
        int code;
    } rows[] = {
        {"{'id':1,'prio':3}", "unknown parameter prio", DLMGR_EINVAL},
        {"{'id':1}", "nothing to change", DLMGR_EINVAL},
        {"{'id':1,'url':null}", "nothing to change", DLMGR_EINVAL},
        {"{'priority':3}", "which task", DLMGR_EINVAL},
        {"{'id':1,'key':'k','priority':3}", "which task", DLMGR_EINVAL},
        {"{'id':1,'session':'default','priority':3}", "which task", DLMGR_EINVAL},
        {"{'session':'default','priority':3}", "which task", DLMGR_EINVAL},
        {"{'id':'1','priority':3}", "id", DLMGR_EINVAL},
        {"{'id':9,'priority':3}", "no task 9", DLMGR_ENOTFOUND},
        {"{'key':'q','priority':3}", "no task with key q", DLMGR_ENOTFOUND},
        {"{'key':'k','session':'t','priority':3}", "session t has no", DLMGR_ENOTFOUND},
        {"{'id':1,'priority':1001}", "priority", DLMGR_EINVAL},
        {"{'id':1,'limit_rate':-1}", "limit_rate", DLMGR_EINVAL},
        {"{'id':1,'limit_rate':'1k'}", "limit_rate", DLMGR_EINVAL},
        {"{'id':1,'start_after':253402300800000}", "start_after", DLMGR_EINVAL},
        {"{'id':1,'url':7}", "url", DLMGR_EINVAL},
        {"{'id':1,'url':'ftp://h/f'}", "ftp", DLMGR_EINVAL},
        {"{'id':1,'out':'../x'}", "..", DLMGR_EINVAL},
        {"{'id':1,'out':''}", "out", DLMGR_EINVAL},
        {"{'id':1,'dir':'relative'}", "absolute", DLMGR_EINVAL},
        {"{'id':1,'dir':'/no/such/dir'}", "/no/such/dir", DLMGR_EINVAL},
        {"{'id':1,'priority':7,'dir':'/no/such/dir'}", "/no/such/dir", DLMGR_EINVAL},
    };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row;

    add(s, "");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        method_refuses(s, "set", rows[i].params, rows[i].code, rows[i].named);
    row = row_of(s, 1);
    CHECK_STR(row.url, "http://h/f");
    CHECK_STR(row.dir, "/");
    CHECK_INT(row.priority, 0);
    dlm_row_clear(&row);
    journal_sound(s);
    journal_close(s);
}

/* Each state: may it be set? None is left by it. */
static void test_set_by_state(void)
{
    static const char *const refused[DLM_STATES] =
        {[DLMGR_COMMITTING] = "put in its place", [DLMGR_DONE] = "is done", [DLMGR_CANCELLED] = "is cancelled"};
    static const char *const changes[] = {"'priority':3", "'out':'y'", "'limit_rate':5"};
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    for (int i = 0; i < DLM_STATES * (int)ARRAY_SIZE(changes); i++) {
        int state = i % DLM_STATES;
        CLEANUP_FREE char *url = method_text("http://h:80/%d", i);
        int64_t id = journal_add(s, url);
        CLEANUP_FREE char *params = method_text("{'id':%d,%s}", (int)id, changes[i / DLM_STATES]);

        journal_drive(s, id, state);
        if (refused[state])
            method_refuses(s, "set", params, DLMGR_ESTATE, refused[state]);
        else
            CHECK_INT(method_int(s, "set", params, "id"), id);
        test_about("%s %s", params, dlm_state_name(state));
        CHECK_INT(journal_state(s, id), state);
    }
    journal_sound(s);
    journal_close(s);
}

static void test_set_changes(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_opts opts;
    struct dlm_row row;

    add(s,
        "'connections':3,'limit_rate':77,'checksum':'md5=0123456789abcdef0123456789abcdef','mask':23,'priority':2");
    method_ok(s, "set", "{'key':'k','out':'y','dir':'/tmp/','limit_rate':0}");
    row = row_of(s, 1);
    CHECK_STR(row.out, "y");
    CHECK_STR(row.dir, "/tmp");
    CHECK_STR(row.url, "http://h/f");
    CHECK_STR(row.digest, "md5=0123456789abcdef0123456789abcdef");
    CHECK_INT(row.mask, 23);
    CHECK_INT(row.priority, 2);
    dlm_row_clear(&row);
    opts = opts_of(s, 1);
    CHECK_INT(opts.connections, 3);
    CHECK_INT(opts.limit_rate, 0);
    dlm_opts_clear(&opts);
    add(s, "'key':'l','limit_rate':77");
    method_ok(s, "set", "{'key':'l','limit_rate':0}"); /* the only option that it has */
    opts = opts_of(s, 2);
    CHECK_INT(opts.limit_rate, 0);
    dlm_opts_clear(&opts);
    method_ok(s, "set", "{'id':1,'limit_rate':5,'priority':-4}");
    row = row_of(s, 1);
    CHECK_INT(row.priority, -4);
    CHECK_STR(row.out, "y");
    dlm_row_clear(&row);
    opts = opts_of(s, 1);
    CHECK_INT(opts.limit_rate, 5);
    CHECK_INT(opts.connections, 3);
    dlm_opts_clear(&opts);
    journal_sound(s);
    journal_close(s);
}

/* Credentials stay with their origin. */
static void test_set_url_credentials(void)
{
    static const struct {
        const char *had, *url, *user, *password;
        int headers;
    } rows[] = {
        {"'user':'u','password':'p','headers':['A: b']", "http://h/g", "u", "p", 1},
        {"'user':'u','password':'p','headers':['A: b']", "http://h:80/g", "u", "p", 1},
        {"'user':'u','password':'p','headers':['A: b']", "http://h:81/g", NULL, NULL, 0},
        {"'user':'u','password':'p','headers':['A: b']", "https://h/g", NULL, NULL, 0},
        {"'user':'u','password':'p','headers':['A: b']", "http://i/g", NULL, NULL, 0},
        {"'user':'u','password':'p','headers':['A: b']", "http://v:q@h/g", "v", "q", 1},
        {"'user':'u','password':'p','headers':['A: b']", "http://v:q@i/g", "v", "q", 0},
        {"'url':'http://u:p@h/f'", "http://h/g", "u", "p", 0},
        {"'url':'http://u@h/f','password':'p'", "http://h/g", "u", "p", 0},
        {"'url':'http://u:p@h/f'", "http://i/g", NULL, NULL, 0},
        {"'url':'http://u@h/f','password':'p'", "http://i/g", NULL, NULL, 0},
    };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool given = strstr(rows[i].had, "'url'") != NULL, away;
        CLEANUP_FREE char *task =
            method_text("{'tasks':[{'dir':'/','mirrors':['http://m:n@o/f'],'cacert':'/a',"
                        "'netrc_file':'/n','cookie_file':'/c','cert':'/t','cert_key':'/k'%s,%s}]}",
                        given ? "" : ",'url':'http://h/f'", rows[i].had);
        CLEANUP_FREE char *params = method_text("{'id':%zu,'url':'%s'}", i + 1, rows[i].url);
        struct dlm_opts opts;

        method_ok(s, "add", task);
        method_ok(s, "set", params);
        opts = opts_of(s, (int64_t)i + 1);
        test_about("%s -> %s", rows[i].had, rows[i].url);
        CHECK_STR(opts.urls[0], rows[i].url);
        CHECK_INT(opts.n_urls, 2);
        CHECK_STR(opts.urls[1], "http://m:n@o/f");
        CHECK_STR(opts.user, rows[i].user);
        CHECK_STR(opts.password, rows[i].password);
        CHECK_INT(opts.n_headers, rows[i].headers);
        away = !strstr(rows[i].url, "@h/") && strcmp(rows[i].url, "http://h/g") &&
               strcmp(rows[i].url, "http://h:80/g");
        CHECK_STR(opts.netrc_file, away ? NULL : "/n");
        CHECK_STR(opts.cookie_file, away ? NULL : "/c");
        CHECK_STR(opts.cert, away ? NULL : "/t");
        CHECK_STR(opts.cert_key, away ? NULL : "/k");
        CHECK_STR(opts.cacert, "/a");
        dlm_opts_clear(&opts);
    }
    CU_ASSERT(!journal_file_has("journal.db-wal", "v:q"));
    journal_sound(s);
    journal_close(s);
}

/* The origin follows the URL, and what was secret is gone with the old one. */
static void test_set_url_origin(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    struct dlm_row row;

    add(s, "'user':'u','password':'p'");
    method_ok(s, "set", "{'id':1,'url':'https://i:444/g?x=1'}");
    row = row_of(s, 1);
    CHECK_STR(row.url, "https://i:444/g?x=1");
    CHECK_STR(row.origin, "https://i:444");
    CHECK_INT(row.secret, 0);
    dlm_row_clear(&row);
    method_ok(s, "set", "{'id':1,'url':'https://i:444/g?X-Amz-Signature=abc'}");
    row = row_of(s, 1);
    CU_ASSERT(strstr(row.url, "abc") == NULL);
    CU_ASSERT(row.secret > 0);
    dlm_row_clear(&row);
    journal_sound(s);
    journal_close(s);
}

/* A task whose secret was lost is had back by giving it its URL anew; other changes leave it as it is. */
static void test_set_lost_secret(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    CLEANUP_FREE char *path = method_text("%s/secrets.db", journal_home());
    struct dlm_opts opts;
    struct dlm_row row;

    method_ok(s, "add", "{'tasks':[{'url':'http://u:p@h/f','dir':'/'}]}");
    journal_close(s);
    CU_ASSERT_FATAL(unlink(path) == 0);
    s = journal_open(DLM_STORE_WRITE);
    method_ok(s, "set", "{'id':1,'limit_rate':5}");
    row = row_of(s, 1);
    CU_ASSERT(row.secret > 0);
    dlm_row_clear(&row);
    method_ok(s, "set", "{'id':1,'url':'http://u:q@h/f'}");
    opts = opts_of(s, 1);
    CHECK_STR(opts.urls[0], "http://u:q@h/f");
    CHECK_STR(opts.password, "q");
    CHECK_INT(opts.limit_rate, 5);
    dlm_opts_clear(&opts);
    journal_sound(s);
    journal_close(s);
}

/* A new URL tries again what failed for the old one's sake, and nothing else does. */
static void test_set_retries(void)
{
    static const struct {
        int status;
        const char *change;
        int to;
    } rows[] = {
        {401, "'url':'http://h/g'", DLMGR_QUEUED},
        {403, "'url':'http://h/g'", DLMGR_QUEUED},
        {410, "'url':'http://h/g'", DLMGR_QUEUED},
        {404, "'url':'http://h/g'", DLMGR_FAILED},
        {0, "'url':'http://h/g'", DLMGR_FAILED},
        {403, "'out':'x'", DLMGR_FAILED},
        {403, "'priority':1", DLMGR_FAILED},
        {403, "'start_after':9000000000000", DLMGR_FAILED},
        {403, "'url':'http://h/g','start_after':9000000000000", DLMGR_WAITING},
    };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *url = method_text("http://h:80/%zu", i);
        int64_t id = journal_add(s, url);
        CLEANUP_FREE char *params = method_text("{'id':%d,%s}", (int)id, rows[i].change);
        bool retried = rows[i].to != DLMGR_FAILED;
        struct dlm_row row;

        fail_with(s, id, rows[i].status);
        method_ok(s, "set", params);
        row = row_of(s, id);
        test_about("%d %s", rows[i].status, rows[i].change);
        CHECK_INT(row.state, rows[i].to);
        CHECK_INT(row.generation, retried ? 2 : 1);
        CHECK_INT(row.attempts, retried ? 0 : 3);
        CHECK_INT(row.error == NULL, retried);
        dlm_row_clear(&row);
    }
    journal_sound(s);
    journal_close(s);
}

/* A time to start is waited for, by whatever is not at an end; a passed one ends that wait and no other. */
static void test_set_start_after(void)
{
    static const struct {
        int from;
        const char *reason, *change;
        int to;
        const char *waits;
    } rows[] = {
        {DLMGR_QUEUED, NULL, "'start_after':5000", DLMGR_WAITING, "not-before"},
        {DLMGR_RUNNING, NULL, "'start_after':5000", DLMGR_WAITING, "not-before"},
        {DLMGR_PAUSED, NULL, "'start_after':5000", DLMGR_WAITING, "not-before"},
        {DLMGR_WAITING, "backoff", "'start_after':5000", DLMGR_WAITING, "not-before"},
        {DLMGR_WAITING, "not-before", "'start_after':5000", DLMGR_WAITING, "not-before"},
        {DLMGR_QUEUED, NULL, "'start_after':500", DLMGR_QUEUED, NULL},
        {DLMGR_PAUSED, NULL, "'start_after':0", DLMGR_PAUSED, NULL},
        {DLMGR_WAITING, "not-before", "'start_after':0", DLMGR_QUEUED, NULL},
        {DLMGR_WAITING, "not-before", "'url':'http://h/g','dir':'/'", DLMGR_WAITING, "not-before"},
        {DLMGR_WAITING, "backoff", "'start_after':0", DLMGR_WAITING, "backoff"},
        {DLMGR_WAITING, "backoff", "'out':'x'", DLMGR_WAITING, "backoff"},
        {DLMGR_WAITING, "backoff", "'url':'http://h/g'", DLMGR_QUEUED, NULL},
        {DLMGR_WAITING, "storage", "'dir':'/'", DLMGR_QUEUED, NULL},
    };
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);

    dlm_clock_set(1000, 1000);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t id = journal_add(s, "http://h:80/f");
        CLEANUP_FREE char *params = method_text("{'id':%d,%s}", (int)id, rows[i].change);
        struct dlm_move m = {.id = id,
                             .to = DLMGR_WAITING,
                             .wait_reason = rows[i].reason,
                             .wake_at = 4000,
                             NO_CHANGE};
        struct dlm_row row;

        if (rows[i].reason) {
            journal_begin(s);
            CU_ASSERT_FATAL(dlm_store_move(s, &m, NULL) == 0);
            journal_commit(s);
        } else {
            journal_drive(s, id, rows[i].from);
        }
        method_ok(s, "set", params);
        row = row_of(s, id);
        test_about("%s, %s: %s", dlm_state_name(rows[i].from),
                   rows[i].reason ? rows[i].reason : "-", rows[i].change);
        CHECK_INT(row.state, rows[i].to);
        CHECK_STR(row.wait_reason, rows[i].waits);
        if (strstr(rows[i].change, "5000"))
            CHECK_INT(row.wake_at, 5000);
        dlm_row_clear(&row);
    }
    dlm_clock_set(-1, -1);
    journal_sound(s);
    journal_close(s);
}

/* ---- The part ---------------------------------------------------------------------------------------------- */

static ino_t inode(const char *dir, const char *sub)
{
    CLEANUP_FREE char *path = method_text("%s/%s/%s", dir, sub, METHOD_PART);
    struct stat st;

    return lstat(path, &st) < 0 ? 0 : st.st_ino;
}

static void make_dir(const char *dir, const char *sub)
{
    CLEANUP_FREE char *path = method_text("%s/%s", dir, sub);

    CU_ASSERT_FATAL(mkdir(path, 0755) == 0);
}

static void check_bytes(struct dlm_store *s, int64_t bytes)
{
    struct dlm_block_row *blocks = NULL;
    struct dlm_row row = row_of(s, 1);
    struct dlm_hint *hints = NULL;
    size_t n = 0;

    CU_ASSERT_FATAL(dlm_store_blocks(s, 1, &blocks, &n) == 0);
    CHECK_INT(row.bytes, bytes);
    CHECK_INT(n, bytes ? 3 : 0);
    CU_ASSERT_FATAL(dlm_store_hints(s, 1, &hints, &n) == 0);
    CHECK_INT(n, bytes ? 1 : 0);
    free(hints);
    CHECK_STR(row.part, METHOD_PART);
    free(blocks);
    dlm_row_clear(&row);
}

/* Under both names until the change is durable, also when the transaction had to be done again. */
static void test_set_part_follows(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    CLEANUP_JSON json_t *params = NULL, *result = NULL, *undone = NULL;
    const char *top = test_dir();
    CLEANUP_FREE char *text = method_text("{'id':1,'dir':'%s','out':'new/y'}", top);
    ino_t part;

    method_task_with_part(s, 1, top, "old/x");
    make_dir(top, "new");
    part = inode(top, "old");
    params = method_params(text);
    journal_begin(s);
    CHECK_INT(dlm_work_set(s, params, &undone, NULL), 0);
    dlm_store_rollback(s);
    CHECK_INT(inode(top, "old"), part);
    check_bytes(s, MIB(2) + 5);

    result = method_result(s, "set", text);
    CHECK_INT(inode(top, "old"), part);
    CHECK_INT(inode(top, "new"), part);
    CHECK_INT(json_array_size(json_object_get(result, "parts")), 1);
    dlm_parts_unlink(result);
    CHECK_INT(inode(top, "old"), 0);
    CHECK_INT(inode(top, "new"), part);
    check_bytes(s, MIB(2) + 5);
    journal_sound(s);
    journal_close(s);
}

/* Another spelling of the directory, or another name in it: the only name of the part must stay. */
static void test_set_part_same_directory(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    const char *top = test_dir();
    CLEANUP_FREE char *link = method_text("%s/link", top), *real = method_text("%s/old", top);
    char *rows[] = {method_text("{'id':1,'out':'old/y'}"),
                    method_text("{'id':1,'dir':'%s','out':'z'}", link),
                    method_text("{'id':1,'dir':'%s'}", real), method_text("{'id':1,'priority':1}")};
    ino_t part;

    method_task_with_part(s, 1, top, "old/x");
    CU_ASSERT_FATAL(symlink(real, link) == 0);
    part = inode(top, "old");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_JSON json_t *result = method_result(s, "set", rows[i]);

        test_about("%s", rows[i]);
        CU_ASSERT(json_object_get(result, "parts") == NULL);
        CHECK_INT(inode(top, "old"), part);
        free(rows[i]);
    }
    check_bytes(s, MIB(2) + 5);
    journal_close(s);
}

/* To a directory where no link can lead, or without its part: the bytes are forgotten, in the same generation. */
static void test_set_part_forgotten(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    const char *top = test_dir();
    CLEANUP_FREE char *part = method_text("%s/%s", top, METHOD_PART);
    CLEANUP_FREE char *gone = method_text("{'id':1,'dir':'%s/new'}", top);
    struct stat here, shm;
    json_t *result;

    make_dir(top, "new");
    method_task_with_part(s, 1, top, "x");
    CU_ASSERT_FATAL(unlink(part) == 0);
    method_ok(s, "set", gone);
    check_bytes(s, 0);
    journal_sound(s);
    journal_close(s);
    journal_discard();

    s = journal_open(DLM_STORE_WRITE);
    method_task_with_part(s, 1, top, "x");
    CU_ASSERT_FATAL(stat(top, &here) == 0);
    if (stat("/dev/shm", &shm) == 0 && shm.st_dev != here.st_dev && access("/dev/shm", W_OK) == 0) {
        result = method_result(s, "set", "{'id':1,'dir':'/dev/shm'}");
        check_bytes(s, 0);
        CHECK_STR(json_string_value(json_array_get(json_object_get(result, "parts"), 0)), part);
        json_decref(result);
    }
    journal_sound(s);
    journal_close(s);
}

/* A stranger with the part's name is not touched, and a missing directory is made only when the task may. */
static void test_set_part_refuses(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    const char *top = test_dir();
    CLEANUP_FREE char *text = method_text("%s/new/%s", top, METHOD_PART);
    FILE *f;

    method_task_with_part(s, 1, top, "old/x");
    make_dir(top, "new");
    f = fopen(text, "w");
    CU_ASSERT_FATAL(f && fclose(f) == 0);
    method_refuses(s, "set", "{'id':1,'out':'new/x'}", DLMGR_EINVAL, "in the way");
    method_refuses(s, "set", "{'id':1,'out':'absent/x'}", DLMGR_EINVAL, "absent");
    check_bytes(s, MIB(2) + 5);
    CU_ASSERT(inode(top, "old") != 0);
    CU_ASSERT(inode(top, "new") != inode(top, "old"));
    journal_sound(s);
    journal_close(s);
}

/* Whatever allocation fails, the answer is DLMGR_ENOMEM and nothing was changed. */
static void test_set_without_memory(void)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    const char *top = test_dir();
    CLEANUP_FREE char *text = method_text("{'id':1,'url':'http://i/g','dir':'%s/new','limit_rate':9}",
                                          top);
    CLEANUP_JSON json_t *params = method_params(text), *result = NULL;
    int n = 0, r;

    method_task_with_part(s, 1, top, "x");
    make_dir(top, "new");
    do {
        journal_begin(s);
        dlm_fault_alloc = ++n;
        r = dlm_work_set(s, params, &result, NULL);
        dlm_fault_alloc = 0;
        if (r < 0) {
            test_about("allocation %d", n);
            CHECK_INT(r, DLMGR_ENOMEM);
            CU_ASSERT(result == NULL);
            dlm_store_rollback(s);
            check_bytes(s, MIB(2) + 5);
            CU_ASSERT_FATAL(inode(top, ".") != 0);
        }
    } while (r < 0 && n < 1000);
    CHECK_INT(r, 0);
    CU_ASSERT(n > 20);
    journal_commit(s);
    journal_sound(s);
    journal_close(s);
}

static const struct test tests[] = {
    TEST(test_set_refuses),        TEST(test_set_by_state),
    TEST(test_set_changes),        TEST(test_set_url_credentials),
    TEST(test_set_url_origin),     TEST(test_set_lost_secret),
    TEST(test_set_retries),        TEST(test_set_start_after),
    TEST(test_set_part_follows),   TEST(test_set_part_same_directory),
    TEST(test_set_part_forgotten), TEST(test_set_part_refuses),
    TEST(test_set_without_memory),
};

TEST_MAIN("methods_set", tests)
