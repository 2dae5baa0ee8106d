/* SPDX-License-Identifier: MIT */
/*
 * rpc.c - reading and writing the messages of control.sock: see rpc.h.
 *
 * Order of the checks on a line: length, NUL, depth, JSON (jansson refuses what is not UTF-8, and members that come twice), shape.
 * Each is answered with the id when that could be read, so that a client that pipelines knows which call it was.
 */
#include "dlmgr/rpc.h"

#include <stdio.h>

int dlm_rpc_depth(const char *line, size_t len)
{
    int depth = 0, deepest = 0;
    bool text = false;

    for (size_t i = 0; i < len; i++) {
        char c = line[i];

        if (text && c == '\\')
            i++;
        else if (c == '"')
            text = !text;
        else if (!text && (c == '{' || c == '['))
            depth++;
        else if (!text && (c == '}' || c == ']'))
            depth--;
        deepest = MAX(deepest, depth);
    }
    return deepest;
}

static int refuse(int code, const char *why, const char **ret_why)
{
    *ret_why = why;
    return code;
}

static int read_shape(struct dlm_rpc_request *r, const char **ret_why)
{
    json_t *id = json_object_get(r->message, "id");
    const char *version = dlm_json_string(r->message, "jsonrpc");

    if (json_is_array(r->message))
        return refuse(DLM_RPC_REQUEST, "batches are not supported: send one call a line", ret_why);
    if (!json_is_object(r->message))
        return refuse(DLM_RPC_REQUEST, "a call is an object", ret_why);
    if (!json_is_integer(id) && !json_is_string(id))
        return refuse(DLM_RPC_REQUEST, "a call needs an id, a number or a string", ret_why);
    r->id = id;
    if (!version || strcmp(version, "2.0"))
        return refuse(DLM_RPC_REQUEST, "jsonrpc must be \"2.0\"", ret_why);
    r->method = dlm_json_string(r->message, "method");
    if (!r->method)
        return refuse(DLM_RPC_REQUEST, "method must be a string", ret_why);
    r->params = json_object_get(r->message, "params");
    if (r->params && !json_is_object(r->params))
        return refuse(DLM_RPC_REQUEST, "params must be an object", ret_why);
    return 0;
}

int dlm_rpc_parse(const char *line, size_t len, struct dlm_rpc_request *ret, const char **ret_why)
{
    json_error_t error;

    *ret = (struct dlm_rpc_request){0};
    if (len > DLM_RPC_LINE_MAX)
        return refuse(DLM_RPC_PARSE, "a line is at most 4 MiB long", ret_why);
    if (memchr(line, '\0', len))
        return refuse(DLM_RPC_PARSE, "a line must not hold NUL", ret_why);
    if (dlm_rpc_depth(line, len) > DLM_RPC_DEPTH_MAX)
        return refuse(DLM_RPC_PARSE, "a message is at most 32 levels deep", ret_why);
    ret->message = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!ret->message && json_error_code(&error) == json_error_out_of_memory)
        return refuse(DLMGR_ENOMEM, "out of memory", ret_why);
    if (!ret->message)
        return refuse(DLM_RPC_PARSE, "the line is not JSON in UTF-8", ret_why);
    return read_shape(ret, ret_why);
}

void dlm_rpc_clear(struct dlm_rpc_request *r)
{
    json_decref(r->message);
    *r = (struct dlm_rpc_request){0};
}

static char *line_of(json_t *message)
{
    CLEANUP_FREE char *text = message ? dlm_json_dump(message) : NULL;
    struct dlm_buf b = {0};

    json_decref(message);
    if (!text)
        return NULL;
    dlm_buf_puts(&b, text);
    dlm_buf_puts(&b, "\n");
    return dlm_buf_take(&b);
}

/* What we do not change is only borrowed; jansson's counts are not const. */
static json_t *borrow(const json_t *json)
{
    return json ? json_incref((json_t *)(uintptr_t)json) : json_null();
}

char *dlm_rpc_call(int64_t id, const char *method, const json_t *params)
{
    return line_of(json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", (json_int_t)id,
                             "method", method, "params", params ? borrow(params) : json_object()));
}

char *dlm_rpc_result(const json_t *id, const json_t *result)
{
    return line_of(
        json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", borrow(id), "result", borrow(result)));
}

/* A reason may name a file in any bytes, or be cut within a character: better said badly than not at all. */
static json_t *say(const char *text)
{
    json_t *json = json_string(text);
    CLEANUP_FREE char *plain = json ? NULL : dlm_strdup(text);

    for (char *p = plain; p && *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return plain ? json_string(plain) : json;
}

char *dlm_rpc_error(const json_t *id, int code, const char *text, const dlmgr_error *e)
{
    json_t *data = e ? json_pack("{s:i, s:o, s:i}", "class", e->class_, "path", say(e->path),
                                 "errno", e->sys_errno)
                     : json_null();

    return line_of(json_pack("{s:s, s:o, s:{s:i, s:o, s:o}}", "jsonrpc", "2.0", "id", borrow(id),
                             "error", "code", code, "message", say(text), "data", data));
}

/* We ask for nothing that the newest does not have. */
static const char older[] =
    ": the owner of the home is of an older version; `dlmgr daemon restart` brings it up to date";

int dlm_rpc_error_read(const json_t *error, dlmgr_error *e)
{
    int64_t code = dlm_json_int(error, "code", 0);
    const json_t *data = json_object_get(error, "data");
    const char *text = dlm_json_string(error, "message"), *path = dlm_json_string(data, "path");
    bool ours = code <= DLMGR_EINVAL && code >= DLMGR_ELOST;

    dlm_fail(e, ours ? (int)code : DLMGR_EPROTO, "%s%s", text ? text : "the owner gave no reason",
             code == DLM_RPC_METHOD ? older : "");
    if (e) {
        e->class_ = (int)dlm_json_int(data, "class", DLMGR_CLASS_NONE);
        e->sys_errno = (int)dlm_json_int(data, "errno", 0);
        snprintf(e->path, sizeof(e->path), "%s", path ? path : "");
    }
    return ours ? (int)code : DLMGR_EPROTO;
}
