/* SPDX-License-Identifier: MIT */
/*
 * methods_find.c - find: is this being fetched already?
 *
 * For `get` again, which goes on with the unfinished task of the same URL, directory, name and session. The journal compares the
 * redacted URL; two links that differ in a secret only look the same there, so the real ones are compared here,
 * from the newest task to older ones. One that differs in a signature is another one: it may be for another file.
 */
#include "dlmgr/method.h"
#include "dlmgr/request.h"

enum { FIND_MAX = 10000, SAME_MAX = 100 };

/* Redacted URLs may be the same where the real ones are not. */
static int same_secret(struct dlm_store *s, const struct dlm_row *row,
                       const struct dlm_request *wanted, bool *ret)
{
    CLEANUP_JSON json_t *ours = dlm_json_object(wanted->secret), *theirs = NULL;
    CLEANUP_FREE char *text = NULL;
    int r = row->secret ? dlm_store_secret(s, row->secret, &text) : 0;
    const char *a, *b;

    if (r < 0)
        return r;
    theirs = dlm_json_object(text);
    a = json_string_value(json_array_get(json_object_get(ours, "urls"), 0));
    b = json_string_value(json_array_get(json_object_get(theirs, "urls"), 0));
    *ret = !strcmp(a ? a : wanted->row.url, b ? b : row->url);
    return 0;
}

static int find_same(struct dlm_store *s, const struct dlm_request *wanted, int64_t *ret_id)
{
    int64_t below = 0, id;

    *ret_id = 0;
    for (int i = 0; i < SAME_MAX && !*ret_id; i++) {
        struct dlm_row row = {0};
        bool same = false;
        int r = dlm_store_find_same(s, wanted->row.session, wanted->row.url, wanted->row.dir,
                                    wanted->row.out, below, &id);

        if (r == DLMGR_ENOTFOUND)
            return 0;
        if (r == 0)
            r = dlm_store_get(s, id, &row);
        if (r == 0)
            r = same_secret(s, &row, wanted, &same);
        dlm_row_clear(&row);
        if (r < 0)
            return r;
        if (same)
            *ret_id = id;
        below = id;
    }
    return 0;
}

int dlm_work_find(struct dlm_store *s, const json_t *params, json_t **ret_result, dlmgr_error *e)
{
    const json_t *tasks, *item;
    CLEANUP_JSON json_t *ids = json_array();
    size_t i;
    int r = dlm_params_tasks(params, FIND_MAX, &tasks, e);

    if (r < 0)
        return r;
    json_array_foreach (tasks, i, item) {
        struct dlm_request wanted = {0};
        int64_t id = 0;

        r = dlm_request_parse(item, 0, &wanted, e);
        if (r < 0)
            return r;
        r = find_same(s, &wanted, &id);
        if (r == 0 && json_array_append_new(ids, json_integer(id)))
            r = DLMGR_ENOMEM;
        dlm_request_clear(&wanted);
        if (r < 0)
            return dlm_work_failed(s, r, e);
    }
    *ret_result = json_pack("{s:O}", "ids", ids);
    return *ret_result ? 0 : dlm_no_memory(e);
}
