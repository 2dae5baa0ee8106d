/* SPDX-License-Identifier: MIT */
/*
 * pages.h - the rows of a database file, read page by page, without SQLite and whatever of it is damaged.
 */
#ifndef DLM_STORE_PAGES_H
#define DLM_STORE_PAGES_H

#include "store/internal.h"

enum { DLM_PAGE = 4096, DLM_COLUMNS_MAX = 48 };

struct dlm_value {
    int type; /* SQLITE_NULL, SQLITE_INTEGER, SQLITE_TEXT, SQLITE_BLOB, SQLITE_FLOAT (which no column of ours is) */
    int64_t number;
    const unsigned char *data;
    size_t len;
};

struct dlm_record {
    int64_t rowid;
    int n;
    struct dlm_value at[DLM_COLUMNS_MAX];
};

struct dlm_pages {
    int fd;
    uint32_t n;
    unsigned reserved;   /* bytes at the end of each page that are not SQLite's */
    unsigned char *seen; /* a bit for each page that something leads to */
    int64_t bad;         /* pages that are needed and cannot be read, */
    int64_t bad_rows;    /* and rows in good ones whose rest is on such a page */
    struct dlm_buf row;
};

/* A non-zero return ends the walk and is returned. The record lives only inside. */
typedef int (*dlm_record_fn)(const struct dlm_record *rec, void *context);

int dlm_pages_open(struct dlm_pages *p, int fd); /* fd stays yours; DLMGR_ENOMEM */
void dlm_pages_close(struct dlm_pages *p);
/* All rows of the tree with this root, those of a table in their order. keyed: WITHOUT ROWID, or an index. */
int dlm_pages_walk(struct dlm_pages *p, uint32_t root, bool keyed, dlm_record_fn fn, void *context);
/* The pages of the free list are seen, too. False: it is not as the header says, and nothing is known of pages that nothing leads to. */
bool dlm_pages_free(struct dlm_pages *p);
/* Is this the page of a tree of keys? */
bool dlm_pages_keyed(struct dlm_pages *p, uint32_t root);
/* The rows on this page alone, whatever is below it; none when it is not of such a tree. */
int dlm_pages_one(struct dlm_pages *p, uint32_t page, bool keyed, dlm_record_fn fn, void *context);
bool dlm_pages_seen(const struct dlm_pages *p, uint32_t page);

#endif
