/* SPDX-License-Identifier: MIT */
/*
 * fuzz_rpc.c - what a stranger may say to control.sock: each line of the input is a call, asked of a real journal.
 *
 * Every line has one answer, which is JSON with its id. A call that fails changes nothing, whatever it did before it failed; what the others did is a sound
 * journal; and when the transaction around all of them is rolled back, the journal is what it was.
 */
#include "dlmgr/hello.h"
#include "dlmgr/methods.h"
#include "dlmgr/rpc.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/home.h"

#include "store/store.h"

/* All that can be seen of the journal, as one number. */
static uint32_t picture(struct dlm_store *s)
{
    static const struct {
        const char *method, *params;
    } all[] = {{"list", "{}"},
               {"sessions", "{}"},
               {"count", "{}"},
               {"events", "{\"after\":0}"},
               {"events", "{\"session\":\"org.x\",\"after\":0}"},
               {"show", "{\"id\":1,\"secrets\":true}"}};
    uint32_t sum = 0;

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        CLEANUP_JSON json_t *params = json_loads(all[i].params, 0, NULL), *result = NULL;
        CLEANUP_FREE char *text = NULL;
        dlmgr_error e = {0};
        int r = dlm_method_find(all[i].method)->work(s, params, &result, &e);

        text = r < 0 ? dlm_strdup(e.text) : dlm_json_dump(result);
        MUST(text != NULL);
        sum = dlm_crc32c(sum, text, strlen(text));
    }
    return sum;
}

/* line is stolen. */
static void check_answer(char *line, const json_t *id, int code)
{
    CLEANUP_JSON json_t *answer = line ? json_loads(line, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const json_t *error = json_object_get(answer, "error");
    const json_t *said = json_object_get(answer, "id");
    dlmgr_error e = {0};

    MUST(answer && strchr(line, '\n') == line + strlen(line) - 1);
    MUST(!strcmp(dlm_json_string(answer, "jsonrpc"), "2.0"));
    MUST(id ? json_equal(said, id) : json_is_null(said));
    MUST(!error == (code >= 0) && !json_object_get(answer, "result") == (code < 0));
    free(line);
    if (!error)
        return;
    MUST(dlm_json_int(error, "code", 0) == code && dlm_json_string(error, "message")[0]);
    dlm_rpc_error_read(error, &e);
    MUST(e.code < 0 && e.text[0]);
}

/* Which failures a call may have when nothing is wrong with the disk. */
static bool is_callers(int code)
{
    static const int codes[] = {DLMGR_EINVAL, DLMGR_ENOTFOUND, DLMGR_ESTATE, DLMGR_EEXIST,
                                DLMGR_ELIMIT, DLMGR_ELOST,     DLMGR_EBUSY,  DLMGR_EPROTO};

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i] == code)
            return true;
    return false;
}

static int work(struct dlm_store *s, const struct dlm_method *m, const json_t *params, json_t **ret,
                dlmgr_error *e, uint32_t *io_picture)
{
    bool writes = m->kind == DLM_METHOD_WRITE;
    int r;

    MUST(!writes || dlm_store_savepoint(s) == 0);
    r = m->work(s, params, ret, e);
    if (writes)
        dlm_store_release(s, r >= 0);
    MUST(r >= 0 ? *ret != NULL : is_callers(r) && e->code == r && e->text[0]);
    if (writes && r >= 0)
        *io_picture = picture(s);
    else if (writes)
        MUST(picture(s) == *io_picture);
    return MIN(r, 0);
}

/* ENGINE has no work of its own; hello is answered by the door. */
static int call(struct dlm_store *s, const struct dlm_rpc_request *q, json_t **ret, dlmgr_error *e,
                uint32_t *io_picture)
{
    const struct dlm_method *m = dlm_method_find(q->method);

    if (!m)
        return dlm_fail(e, DLM_RPC_METHOD, "there is no such method");
    dlm_method_halts(m, q->params);
    dlm_selector_matches(q->params, 1, DLMGR_PAUSED, "org.x");
    if (!strcmp(q->method, "hello"))
        return dlm_hello_answer(q->params, ret, e);
    return m->work ? work(s, m, q->params, ret, e, io_picture)
                   : dlm_fail(e, DLMGR_ENOOWNER, "nobody owns this home");
}

/* The id that a line has, by our own reading of it; NULL: none that can be said back. */
static json_t *id_of(struct bytes line)
{
    CLEANUP_JSON json_t *message = NULL;
    json_t *id;

    if (memchr(line.at, 0, line.left) ||
        dlm_rpc_depth((const char *)line.at, line.left) > DLM_RPC_DEPTH_MAX)
        return NULL;
    message = json_loadb((const char *)line.at, line.left, JSON_REJECT_DUPLICATES, NULL);
    id = json_object_get(message, "id");
    return json_is_integer(id) || json_is_string(id) ? json_incref(id) : NULL;
}

static void handle(struct dlm_store *s, struct bytes line, uint32_t *io_picture)
{
    CLEANUP_JSON json_t *result = NULL, *id = id_of(line);
    struct dlm_rpc_request q;
    dlmgr_error e = {0};
    const char *why = NULL;
    int r = dlm_rpc_parse((const char *)line.at, line.left, &q, &why);

    if (r < 0) {
        MUST(r != DLMGR_ENOMEM && why && why[0]);
        check_answer(dlm_rpc_error(q.id, r, why, NULL), id, r);
    } else {
        MUST(dlm_rpc_depth((const char *)line.at, line.left) <= DLM_RPC_DEPTH_MAX);
        r = call(s, &q, &result, &e, io_picture);
        check_answer(r < 0 ? dlm_rpc_error(q.id, r, e.text, &e) : dlm_rpc_result(q.id, result), id,
                     r);
        dlm_error_index(&e);
    }
    dlm_rpc_clear(&q);
}

static void problem(const char *what, void *context)
{
    (void)context;
    fprintf(stderr, "the journal: %s\n", what);
    abort();
}

FUZZ(rpc)
{
    static struct dlm_store *s;
    static uint32_t untouched;
    struct bytes b = {data, MIN(size, 20000)}, line;
    uint32_t now;

    if (!s) {
        s = home_open(DLM_STORE_WRITE);
        untouched = picture(s);
    }
    now = untouched;
    MUST(dlm_store_begin(s) == 0);
    for (int n = 0; n < 12 && next_line(&b, &line); n++)
        handle(s, line, &now);
    MUST(now == untouched || dlm_store_check(s, problem, NULL) == 0);
    dlm_store_rollback(s);
    MUST(now == untouched || picture(s) == untouched);
}
