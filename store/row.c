/* SPDX-License-Identifier: MIT */
/*
 * row.c - a row of tasks as a struct: one table says which column goes into which field.
 *
 * The table is made from DLM_ROW_COLUMNS (internal.h), and so is the SELECT in queries.c; they cannot
 * drift apart. A row owns its strings: it outlives the statement that read it, and the next page.
 */
#include "store/internal.h"

#include <stdio.h>

enum kind { INT, LONG, TEXT };

#define COLUMN_FIELD(kind, field, sql) {kind, offsetof(struct dlm_row, field)},

static const struct column {
    enum kind kind;
    size_t offset;
} columns[] = {DLM_ROW_COLUMNS(COLUMN_FIELD)};

static void *field(struct dlm_row *row, const struct column *c)
{
    return (char *)row + c->offset;
}

void dlm_row_clear(struct dlm_row *row)
{
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        if (columns[i].kind == TEXT)
            free(*(char **)field(row, &columns[i]));
    free(row->user_data);
    *row = (struct dlm_row){0};
}

static int read_text(sqlite3_stmt *st, int i, char **ret)
{
    if (sqlite3_column_type(st, i) == SQLITE_NULL)
        return 0;
    *ret = dlm_strdup((const char *)sqlite3_column_text(st, i));
    return *ret ? 0 : DLMGR_ENOMEM;
}

static int read_user_data(sqlite3_stmt *st, int i, struct dlm_row *row)
{
    const void *data = sqlite3_column_blob(st, i);

    if (sqlite3_column_type(st, i) == SQLITE_NULL)
        return 0;
    row->user_data_len = (size_t)sqlite3_column_bytes(st, i);
    row->user_data = dlm_alloc(row->user_data_len);
    if (!row->user_data || (row->user_data_len && !data))
        return DLMGR_ENOMEM;
    if (row->user_data_len)
        memcpy(row->user_data, data, row->user_data_len);
    return 0;
}

static int read_column(sqlite3_stmt *st, int i, struct dlm_row *row)
{
    void *to = field(row, &columns[i]);

    switch (columns[i].kind) {
    case INT:
        *(int *)to = sqlite3_column_int(st, i);
        return 0;
    case LONG:
        *(int64_t *)to = sqlite3_column_int64(st, i);
        return 0;
    default:
        return read_text(st, i, to);
    }
}

int dlm_row_damaged(struct dlm_store *s, const char *what, int64_t which)
{
    s->fail_code = DLMGR_EJOURNAL;
    s->fail_errno = 0;
    snprintf(s->fail_text, sizeof(s->fail_text),
             "%s %lld holds a number that cannot be: the file was damaged", what, (long long)which);
    return DLMGR_EJOURNAL;
}

int dlm_row_read(sqlite3_stmt *st, struct dlm_row *ret)
{
    struct dlm_row row = {0};
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(columns) && r == 0; i++)
        r = read_column(st, (int)i, &row);
    if (r == 0)
        r = read_user_data(st, ARRAY_SIZE(columns), &row);
    if (r < 0)
        dlm_row_clear(&row);
    else
        *ret = row;
    return r;
}
