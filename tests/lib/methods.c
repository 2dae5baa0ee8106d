/* SPDX-License-Identifier: MIT */
/*
 * methods.c - a method asked as the engine would ask it: see methods.h.
 */
#include "tests/lib/methods.h"
#include "dlmgr/methods.h"
#include "tests/lib/journal.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

char *method_text(const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;

    va_start(ap, fmt);
    CU_ASSERT_FATAL(vasprintf(&text, fmt, ap) > 0);
    va_end(ap);
    return text;
}

json_t *method_params(const char *text)
{
    CLEANUP_FREE char *copy = dlm_strdup(text);
    json_error_t error;
    json_t *params;

    if (!text)
        return NULL;
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    params = json_loads(copy, JSON_ALLOW_NUL, &error);
    if (!params)
        test_about("%s: %s", text, error.text);
    CU_ASSERT_FATAL(params != NULL);
    return params;
}

static int run(struct dlm_store *s, const char *name, const char *text, json_t **ret, dlmgr_error *e)
{
    const struct dlm_method *m = dlm_method_find(name);
    CLEANUP_JSON json_t *params = method_params(text);
    int r;

    CU_ASSERT_FATAL(m && m->work);
    if (m->kind == DLM_METHOD_WRITE)
        journal_begin(s);
    r = m->work(s, params, ret, e);
    if (m->kind == DLM_METHOD_WRITE && r < 0)
        dlm_store_rollback(s);
    else if (m->kind == DLM_METHOD_WRITE)
        journal_commit(s);
    return r;
}

json_t *method_result(struct dlm_store *s, const char *method, const char *params)
{
    json_t *result = NULL;
    dlmgr_error e = {0};
    int r = run(s, method, params, &result, &e);

    if (r < 0)
        test_about("%s %s: %s", method, params, e.text);
    CHECK_INT(r, 0);
    CU_ASSERT_FATAL(r == 0 && json_is_object(result));
    return result;
}

void method_ok(struct dlm_store *s, const char *method, const char *params)
{
    json_decref(method_result(s, method, params));
}

long long method_int(struct dlm_store *s, const char *method, const char *params, const char *what)
{
    CLEANUP_JSON json_t *result = method_result(s, method, params);
    const char *dot = strchr(what, '.'), *hash = strchr(what, '#');
    CLEANUP_FREE char *name = dlm_strndup(what, dot    ? (size_t)(dot - what)
                                                : hash ? (size_t)(hash - what)
                                                       : strlen(what));
    const json_t *value = json_object_get(result, name);

    CU_ASSERT_FATAL(value != NULL);
    return hash ? (long long)json_array_size(value)
                : json_integer_value(dot ? json_object_get(value, dot + 1) : value);
}

void method_refuses(struct dlm_store *s, const char *method, const char *params, int code,
                    const char *named)
{
    json_t *result = NULL;
    dlmgr_error e = {0};
    int r = run(s, method, params, &result, &e);

    test_about("%s %s: %s", method, params, e.text);
    CHECK_INT(r, code);
    CHECK_INT(e.code, code);
    CU_ASSERT(strstr(e.text, named) != NULL);
    CU_ASSERT_FATAL(result == NULL);
}

static void make_part(const char *dir, const char *out)
{
    const char *slash = strrchr(out, '/');
    CLEANUP_FREE char *where = method_text("%s/%.*s", dir, slash ? (int)(slash - out) : 0, out);
    CLEANUP_FREE char *path = method_text("%s/%s", where, METHOD_PART);
    int fd;

    CU_ASSERT_FATAL(mkdir(where, 0755) == 0 || errno == EEXIST);
    fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, MIB(4)) == 0 && close(fd) == 0);
}

void method_task_with_part(struct dlm_store *s, int64_t id, const char *dir, const char *out)
{
    static const struct dlm_block_row blocks[] = {{0, 1 << 20, 1}, {1, 1 << 20, 2}, {3, 5, 3}};
    struct dlm_begin begin = {.id = id,
                              .total = MIB(4),
                              .validator = "\"v\"",
                              .name = "x",
                              .part = METHOD_PART};
    struct dlm_ident ident = {.ino = 1, .size = MIB(4)};
    struct dlm_hint hint = {.task = id,
                            .boot = "boot",
                            .ino = 1,
                            .start = MIB(3) + 5,
                            .end = MIB(3) + 9};
    CLEANUP_FREE char *params =
        method_text("{'tasks':[{'url':'http://u:s3cret@h/f','dir':'%s','out':'%s','mask':23,'mirrors':['http://m/f'],"
                    "'headers':['Authorization: s3cret'],'connections':3}]}",
                    dir, out);
    int64_t generation;

    make_part(dir, out);
    method_ok(s, "add", params);
    journal_drive(s, id, DLMGR_RUNNING);
    journal_begin(s);
    CU_ASSERT_FATAL(dlm_store_begin_generation(s, &begin, &generation) == 0);
    CU_ASSERT_FATAL(dlm_store_checkpoint(s, id, generation, &ident, blocks, ARRAY_SIZE(blocks),
                                         MIB(2) + 5) == 0);
    hint.generation = generation;
    CU_ASSERT_FATAL(dlm_store_hint_add(s, &hint) == 0);
    CU_ASSERT_FATAL(journal_try(s, id, DLMGR_PAUSED) == 0);
    journal_commit(s);
}
