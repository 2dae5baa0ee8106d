/* SPDX-License-Identifier: MIT */
/*
 * test_rpc.c - what a line of control.sock means, by rows: good, broken, deep, binary, and errors there and back.
 */
#include "dlmgr/rpc.h"
#include "tests/lib/test.h"

/* Each wrong line has its number; the id is kept where it could be read. */
static void test_rpc_parse_rows(void)
{
    static const struct {
        const char *line;
        int code;
        bool id;
    } rows[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}", 0, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"list\",\"params\":{}}", 0, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\",\"params\":[]}", DLM_RPC_REQUEST, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", DLM_RPC_REQUEST, true},
        {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"list\"}", DLM_RPC_REQUEST, true},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"list\"}", DLM_RPC_REQUEST, false},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"list\"}", DLM_RPC_REQUEST, false},
        {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}]", DLM_RPC_REQUEST, false},
        {"7", DLM_RPC_REQUEST, false},
        {"", DLM_RPC_PARSE, false},
        {"{\"id\":1,\"id\":2}", DLM_RPC_PARSE, false},
        {"{\"id\":\"\xff\"}", DLM_RPC_PARSE, false},
        {"GET / HTTP/1.1", DLM_RPC_PARSE, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dlm_rpc_request r;
        const char *why = NULL;

        test_about("row %zu", i);
        CHECK_INT(dlm_rpc_parse(rows[i].line, strlen(rows[i].line), &r, &why), rows[i].code);
        CHECK_INT(r.id != NULL, rows[i].id);
        CHECK_INT(why != NULL, rows[i].code != 0);
        dlm_rpc_clear(&r);
    }
}

static int parse_depth(int depth)
{
    CLEANUP_BUF struct dlm_buf b = {0};
    struct dlm_rpc_request r;
    const char *why;
    int code;

    dlm_buf_puts(&b, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{\"a\":");
    for (int i = 2; i < depth; i++)
        dlm_buf_puts(&b, "[");
    for (int i = 2; i < depth; i++)
        dlm_buf_puts(&b, "]");
    dlm_buf_puts(&b, depth > 2 ? "}}" : "1}}");
    code = dlm_rpc_parse(b.data, b.len, &r, &why);
    dlm_rpc_clear(&r);
    return code;
}

/* 32 levels pass, 33 do not; brackets and escaped quotes in strings are no levels. */
static void test_rpc_depth_is_capped(void)
{
    CHECK_INT(parse_depth(32), 0);
    CHECK_INT(parse_depth(33), DLM_RPC_PARSE);
    CHECK_INT(dlm_rpc_depth("{\"a\\\"[[[[\":[]}", 14), 2);
    CHECK_INT(dlm_rpc_depth("[[\"", 3), 2);
}

/* A NUL, which jansson would take for an end or refuse in its own way, is refused before. */
static void test_rpc_refuses_nul(void)
{
    struct dlm_rpc_request r;
    const char *why;

    CHECK_INT(dlm_rpc_parse("{\"id\":1}\0", 9, &r, &why), DLM_RPC_PARSE);
    CHECK_STR(why, "a line must not hold NUL");
    dlm_rpc_clear(&r);
}

/* An error comes out at the other end as it went in; bytes that are not UTF-8 do not lose it. */
static void test_rpc_error_there_and_back(void)
{
    dlmgr_error in = {.code = DLMGR_EIO, .class_ = DLMGR_CLASS_LOCAL, .sys_errno = EIO}, out = {0};
    CLEANUP_FREE char *line = NULL;
    CLEANUP_JSON json_t *id = json_integer(7), *message = NULL;

    strcpy(in.path, "/a/\xff");
    line = dlm_rpc_error(id, in.code, "cannot read caf\xc3", &in);
    CU_ASSERT_FATAL(line != NULL);
    CHECK_INT(line[strlen(line) - 1], '\n');
    message = json_loads(line, 0, NULL);
    CHECK_INT(dlm_json_int(message, "id", 0), 7);
    CHECK_INT(dlm_rpc_error_read(json_object_get(message, "error"), &out), DLMGR_EIO);
    CHECK_STR(out.text, "cannot read caf?");
    CHECK_STR(out.path, "/a/?");
    CHECK_INT(out.class_, DLMGR_CLASS_LOCAL);
    CHECK_INT(out.sys_errno, EIO);
}

/* A number that is none of ours never becomes success. */
static void test_rpc_foreign_error_is_protocol(void)
{
    CLEANUP_JSON json_t *zero = json_pack("{s:i}", "code", 0),
                        *far = json_pack("{s:i}", "code", -32601);

    CHECK_INT(dlm_rpc_error_read(zero, NULL), DLMGR_EPROTO);
    CHECK_INT(dlm_rpc_error_read(far, NULL), DLMGR_EPROTO);
    CHECK_INT(dlm_rpc_error_read(NULL, NULL), DLMGR_EPROTO);
}

static const struct test tests[] = {
    TEST(test_rpc_parse_rows),
    TEST(test_rpc_depth_is_capped),
    TEST(test_rpc_refuses_nul),
    TEST(test_rpc_error_there_and_back),
    TEST(test_rpc_foreign_error_is_protocol),
};

TEST_MAIN("rpc", tests)
