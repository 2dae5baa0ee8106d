/* SPDX-License-Identifier: MIT */
/*
 * rpc.h - JSON-RPC 2.0, a message a line: the pure part of control.sock, used by both of its ends.
 *
 * The bytes come from somebody else. So a line is measured, searched for NUL and its depth counted before jansson, whose
 * parser recurses, sees it. Batches and calls without an id are refused.
 */
#ifndef DLM_RPC_H
#define DLM_RPC_H

#include "dlmgr/bounds.h"
#include "dlmgr/json.h"

/* The numbers of JSON-RPC for what never reached a method; the rest of an error's codes are enum dlmgr_code. */
enum dlm_rpc_code {
    DLM_RPC_PARSE = -32700,
    DLM_RPC_REQUEST = -32600,
    DLM_RPC_METHOD = -32601,
};

struct dlm_rpc_request {
    const char *method; /* lives as long as message */
    json_t *params;     /* borrowed from message; NULL: none */
    json_t *id;         /* borrowed from message; set also on failure when it could be read */
    json_t *message;
};

/* Deepest nesting of objects and arrays; brackets in strings do not count. */
int dlm_rpc_depth(const char *line, size_t len);
/* A line without its newline. 0, DLMGR_ENOMEM, or an enum dlm_rpc_code with *ret_why; *ret is to be cleared in each case. */
int dlm_rpc_parse(const char *line, size_t len, struct dlm_rpc_request *ret, const char **ret_why);
void dlm_rpc_clear(struct dlm_rpc_request *r);

/* Lines with their newline, yours: free(). NULL when out of memory. id NULL is null. */
char *dlm_rpc_call(int64_t id, const char *method, const json_t *params);
char *dlm_rpc_result(const json_t *id, const json_t *result);
char *dlm_rpc_error(const json_t *id, int code, const char *text, const dlmgr_error *e);

/* Fill *e (may be NULL) from an error object; returns its code: never 0, and DLMGR_EPROTO for one that is not ours. */
int dlm_rpc_error_read(const json_t *error, dlmgr_error *e);

#endif
