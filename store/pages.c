/* SPDX-License-Identifier: MIT */
/*
 * pages.c - the rows of a database file, read page by page: see pages.h.
 *
 * SQLite follows the pages above a row down to it, and ends where one of them is damaged: the row is whole, and
 * cannot be had. So salvage reads the file itself (sqlite.org/fileformat.html): pages of a tree as far as something leads to
 * them, and then those that nothing leads to any more, since the page above them is damaged.
 *
 *     page    type, number of cells, where each begins; above leaves also the page of each child
 *     cell    [child] length [rowid] the row's first bytes [the first page of its rest]
 *     row     length of its head, a type a column; then the values
 *
 * Nothing here is believed: each number is held against what there can be, and no page is visited twice. Pages that are free
 * may still have rows that were deleted: that is why nothing is taken from a page unless a tree leads to it, or the whole free list is known and it is
 * not in that.
 */
#include "store/pages.h"

#include <sys/stat.h>

enum {
    TABLE_INNER = 0x05,
    TABLE_LEAF = 0x0d,
    KEY_INNER = 0x02,
    KEY_LEAF = 0x0a,
    ROW_MAX = MIB(8), /* user data, headers and body excerpts have limits of their own, far below */
};

struct reader { /* a run of bytes that is not read past its end */
    const unsigned char *at, *end;
    bool failed;
};

struct page {
    unsigned char data[DLM_PAGE];
    unsigned head; /* where its header begins: 100 on the first page */
    int n;
};

/* ---- Bytes ------------------------------------------------------------------------------------------------- */

static uint32_t big(const unsigned char *at, int n)
{
    uint32_t value = 0;

    while (n--)
        value = value << 8 | *at++;
    return value;
}

static uint64_t varint(struct reader *r)
{
    uint64_t value = 0;

    for (int i = 0; i < 9; i++) {
        if (r->at == r->end) {
            r->failed = true;
            return 0;
        }
        if (i == 8)
            return value << 8 | *r->at++;
        value = value << 7 | (*r->at & 0x7f);
        if (!(*r->at++ & 0x80))
            return value;
    }
    return value;
}

static bool see(struct dlm_pages *p, uint32_t page)
{
    bool first;

    if (page < 1 || page > p->n)
        return false;
    first = !dlm_pages_seen(p, page);
    p->seen[page / 8] |= (unsigned char)(1 << page % 8);
    return first;
}

bool dlm_pages_seen(const struct dlm_pages *p, uint32_t page)
{
    return p->seen[page / 8] >> page % 8 & 1;
}

static bool read_raw(struct dlm_pages *p, uint32_t page, unsigned char *ret)
{
    return dlm_pread_all(p->fd, ret, DLM_PAGE, (int64_t)(page - 1) * DLM_PAGE) == DLM_PAGE;
}

int dlm_pages_open(struct dlm_pages *p, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return DLMGR_EIO;
    *p = (struct dlm_pages){.fd = fd,
                            .n = (uint32_t)MIN(st.st_size / DLM_PAGE, (int64_t)UINT32_MAX - 1)};
    p->seen = dlm_alloc(p->n / 8 + 1);
    return p->seen ? 0 : DLMGR_ENOMEM;
}

void dlm_pages_close(struct dlm_pages *p)
{
    free(TAKE_PTR(p->seen));
    dlm_buf_free(&p->row);
}

/* ---- Rows -------------------------------------------------------------------------------------------------- */

/* A value of this type; false: there is no such type, or it ends after the row does. */
static bool read_value(struct reader *r, uint64_t type, struct dlm_value *v)
{
    static const int sizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
    uint64_t len = type >= 12                 ? (type - 12) / 2
                   : type < ARRAY_SIZE(sizes) ? (uint64_t)sizes[type]
                                              : UINT64_MAX;

    if (len > (uint64_t)(r->end - r->at))
        return false;
    *v = (struct dlm_value){.type = type == 0   ? SQLITE_NULL
                                    : type == 7 ? SQLITE_FLOAT
                                    : type < 12 ? SQLITE_INTEGER
                                    : type % 2  ? SQLITE_TEXT
                                                : SQLITE_BLOB,
                            .data = r->at,
                            .len = (size_t)len};
    if (type == 9)
        v->number = 1;
    if (type >= 1 && type <= 6) {
        v->number = (signed char)r->at[0];
        for (uint64_t i = 1; i < len; i++)
            v->number = (int64_t)((uint64_t)v->number << 8 | r->at[i]);
    }
    r->at += len;
    return true;
}

static bool read_record(const unsigned char *data, size_t len, struct dlm_record *ret)
{
    struct reader head = {data, data + len, false}, body;
    uint64_t size = varint(&head);

    if (head.failed || size > len || data + size < head.at)
        return false;
    body = (struct reader){data + size, data + len, false};
    head.end = data + size;
    for (ret->n = 0; head.at < head.end; ret->n++)
        if (ret->n == DLM_COLUMNS_MAX || !read_value(&body, varint(&head), &ret->at[ret->n]) ||
            head.failed)
            return false;
    return body.at == body.end;
}

/* How much of a row of this length stands in its cell. */
static uint64_t local_part(const struct dlm_pages *p, bool keyed, uint64_t len)
{
    uint64_t usable = DLM_PAGE - p->reserved, most = usable - 35,
             least = (usable - 12) * 32 / 255 - 23, local;

    if (keyed)
        most = (usable - 12) * 64 / 255 - 23;
    if (len <= most)
        return len;
    local = least + (len - least) % (usable - 4);
    return local <= most ? local : least;
}

static bool read_rest(struct dlm_pages *p, uint32_t page, uint64_t len)
{
    unsigned char data[DLM_PAGE];

    while (p->row.len < len) {
        size_t room = DLM_PAGE - p->reserved - 4;

        if (!see(p, page) || !read_raw(p, page, data))
            return false;
        dlm_buf_add(&p->row, data + 4, MIN(room, (size_t)(len - p->row.len)));
        if (p->row.failed)
            return false;
        page = big(data, 4);
    }
    return !page; /* the last one leads nowhere */
}

/* The row in this cell: 1; 0: it cannot be read. */
static int read_cell(struct dlm_pages *p, const struct page *page, unsigned at,
                     struct dlm_record *ret)
{
    unsigned type = page->data[page->head];
    bool keyed = type != TABLE_LEAF;
    struct reader r = {page->data + at + (type == KEY_INNER ? 4 : 0),
                       page->data + DLM_PAGE - p->reserved, false};
    uint64_t len, local;

    if (at < page->head || r.at >= r.end)
        return 0;
    len = varint(&r);
    ret->rowid = keyed ? 0 : (int64_t)varint(&r);
    local = local_part(p, keyed, len);
    if (r.failed || len > ROW_MAX || local + (local < len ? 4 : 0) > (uint64_t)(r.end - r.at))
        return 0;
    p->row.len = 0;
    dlm_buf_add(&p->row, r.at, (size_t)local);
    if (p->row.failed)
        return DLMGR_ENOMEM;
    if (local < len && !read_rest(p, big(r.at + local, 4), len))
        return p->row.failed ? DLMGR_ENOMEM : 0;
    return read_record((const unsigned char *)p->row.data, (size_t)len, ret);
}

/* ---- Pages ------------------------------------------------------------------------------------------------- */

static bool read_page(struct dlm_pages *p, uint32_t number, bool keyed, struct page *ret)
{
    unsigned type;

    if (!read_raw(p, number, ret->data))
        return false;
    ret->head = number == 1 ? 100 : 0;
    ret->n = (int)big(ret->data + ret->head + 3, 2);
    type = ret->data[ret->head];
    return (keyed ? type == KEY_INNER || type == KEY_LEAF
                  : type == TABLE_INNER || type == TABLE_LEAF) &&
           ret->n <= DLM_PAGE / 4;
}

static bool is_inner(const struct page *page)
{
    return page->data[page->head] == TABLE_INNER || page->data[page->head] == KEY_INNER;
}

static unsigned cell_at(const struct page *page, int i)
{
    unsigned at = page->head + (is_inner(page) ? 12 : 8) + 2 * (unsigned)i;

    return at + 2 <= DLM_PAGE ? big(page->data + at, 2) : 0;
}

static int rows_of(struct dlm_pages *p, const struct page *page, dlm_record_fn fn, void *context)
{
    struct dlm_record rec;
    int r = 0;

    for (int i = 0; i < page->n && page->data[page->head] != TABLE_INNER && r == 0; i++) {
        r = read_cell(p, page, cell_at(page, i), &rec);
        p->bad_rows += r == 0;
        r = r > 0 ? fn(&rec, context) : r;
    }
    return r;
}

struct stack {
    uint32_t *items;
    size_t n, room;
};

static int push(struct stack *s, uint32_t page)
{
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 256;
        uint32_t *grown = dlm_realloc(s->items, room * sizeof(*grown));

        if (!grown)
            return DLMGR_ENOMEM;
        s->items = grown;
        s->room = room;
    }
    s->items[s->n++] = page;
    return 0;
}

/* The last child first, so that the first is on top. */
static int push_children(struct stack *s, const struct page *page)
{
    int r = is_inner(page) ? push(s, big(page->data + page->head + 8, 4)) : 0;

    for (int i = page->n; is_inner(page) && i-- > 0 && r == 0;) {
        unsigned at = cell_at(page, i);

        r = at && at + 4 <= DLM_PAGE ? push(s, big(page->data + at, 4)) : 0;
    }
    return r;
}

int dlm_pages_walk(struct dlm_pages *p, uint32_t root, bool keyed, dlm_record_fn fn, void *context)
{
    struct stack stack = {0};
    struct page page;
    int r = push(&stack, root);

    while (r == 0 && stack.n) {
        uint32_t number = stack.items[--stack.n];

        if (!see(p, number) || !read_page(p, number, keyed, &page)) {
            p->bad++;
            continue;
        }
        r = rows_of(p, &page, fn, context);
        if (r == 0)
            r = push_children(&stack, &page);
    }
    free(stack.items);
    return r;
}

bool dlm_pages_keyed(struct dlm_pages *p, uint32_t root)
{
    struct page page;

    return root > 1 && root <= p->n && read_page(p, root, true, &page);
}

int dlm_pages_one(struct dlm_pages *p, uint32_t number, bool keyed, dlm_record_fn fn, void *context)
{
    struct page page;

    return read_page(p, number, keyed, &page) ? rows_of(p, &page, fn, context) : 0;
}

bool dlm_pages_free(struct dlm_pages *p)
{
    unsigned char data[DLM_PAGE];
    uint32_t trunk, left, n;

    if (!p->n || !read_raw(p, 1, data))
        return false;
    trunk = big(data + 32, 4);
    for (left = big(data + 36, 4); left && trunk; left -= n + 1) {
        if (!see(p, trunk) || !read_raw(p, trunk, data))
            return false;
        n = big(data + 4, 4);
        if (n > DLM_PAGE / 4 - 2 || n + 1 > left)
            return false;
        for (uint32_t i = 0; i < n; i++)
            if (!see(p, big(data + 8 + 4 * i, 4)))
                return false;
        trunk = big(data, 4);
    }
    return !left && !trunk;
}
