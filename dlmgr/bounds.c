/* SPDX-License-Identifier: MIT */
/*
 * bounds.c - the table of limits: see bounds.h.
 *
 * Why these values: a header of more than 256 KiB would be cut by libcurl in any case; ten redirects is what browsers and curl's users are used
 * to, and a loop is found before; a minute without an answer, or at less than a KiB a second, is what a person would give up on; an hour is as long as a server
 * may send us away for. File-bytes is no opinion: what is promised beyond it is a mistake or an attack.
 */
#include "dlmgr/bounds.h"

#define OWNER DLMGR_LIMIT_OWNER
#define TASK DLMGR_LIMIT_TASK
#define FIXED(n) (n), (n), (n), DLMGR_LIMIT_FIXED

static const dlmgr_limit table[] = {
    {"header-bytes", "bytes", KIB(256), KIB(1), KIB(256), OWNER,
     "of an answer's header, interim answers included"},
    {"header-lines", "", 1000, 10, 10000, OWNER, "lines of it"},
    {"file-bytes", "bytes", DLM_SIZE_MAX, 1, DLM_SIZE_MAX, OWNER,
     "of a file, whatever max-size of a task says"},
    {"redirects", "", 10, 0, DLM_REDIRECTS_MOST, OWNER,
     "followed one after the other; a loop ends before"},
    {"connect-time", "s", 30, 1, 3600, OWNER, "to find the address, connect and set up TLS"},
    {"answer-time", "s", 60, 1, 86400, OWNER, "from the request to the end of the answer's header"},
    {"low-speed", "bytes/s", 1024, 0, MIB(1024), OWNER,
     "a slower body is given up after low-speed-time; 0: none is"},
    {"low-speed-time", "s", 60, 1, 86400, OWNER, "over which its speed is measured"},
    {"retry-after", "s", 3600, 0, 2592000, OWNER,
     "the longest wait that a server may ask for; a longer one is cut"},
    {"error-excerpt", "bytes", KIB(4), 0, KIB(64), OWNER,
     "of an answer's body that are kept with an error"},
    {"descriptors", "", 0, 0, 1048576, OWNER,
     "files and sockets of downloads; 0: what RLIMIT_NOFILE (soft) leaves"},
    {"max-tries", "", 5, 1, 1000000, TASK, "attempts in transient trouble"},
    {"max-size", "bytes", 0, 0, INT64_MAX, TASK, "of the file; 0: no limit but file-bytes"},
    {"connections", "", 4, 1, 16, TASK, "for one file (1 up to 16 MiB)"},
    {"restarts", "", FIXED(DLM_RESTARTS_MAX), "from zero in one go, when a file keeps changing"},
    {"header-line", "bytes", FIXED(100 << 10), "of one line of an answer's header"},
    {"location", "bytes", FIXED(DLM_LOCATION_MAX), "of a redirect's target"},
    {"validator", "bytes", FIXED(DLM_VALIDATOR_SIZE - 1), "of an ETag; a longer one is none"},
    {"url", "bytes", FIXED(DLM_URL_MAX), "of a URL"},
    {"mirrors", "", FIXED(DLM_MIRRORS_MAX), "of one task"},
    {"headers", "", FIXED(DLM_HEADERS_MAX), "of its own that a task can send"},
    {"user-data", "bytes", FIXED(DLM_USER_DATA_MAX), "of a task"},
    {"held-bytes", "bytes", FIXED((int64_t)DLM_HELD_MAX),
     "of a body that wait in memory for the disk, each connection"},
    {"receive-bytes", "bytes", FIXED(DLM_RECEIVE_MAX), "that are received at once, each connection"},
    {"control-message", "bytes", FIXED(DLM_RPC_LINE_MAX), "of a request at the control socket"},
    {"control-depth", "", FIXED(DLM_RPC_DEPTH_MAX), "of its nesting"},
    {"control-connections", "", FIXED(DLM_CONNS_MAX),
     "or a quarter of RLIMIT_NOFILE; the one silent for longest makes room"},
    {"control-bytes", "bytes", FIXED((int64_t)DLM_CONTROL_BYTES),
     "of requests not handled, and of those not answered, all connections"},
    {"page-bytes", "bytes", FIXED((int64_t)DLM_PAGE_BYTES), "after which a page of a list ends"},
    {"header-from", "", FIXED(DLM_REFS_MAX), "headers of a task that stand somewhere else"},
    {"header-from-bytes", "bytes", FIXED((int64_t)DLM_REF_MAX), "of what stands there"},
    {"secret-parameters", "", FIXED(DLM_PARAMETERS_MAX), "that the settings add"},
};

_Static_assert(ARRAY_SIZE(table) >= DLM_BOUNDS, "the owner's limits come first");

const dlmgr_limit *dlmgr_limit_at(size_t i)
{
    return i < ARRAY_SIZE(table) ? &table[i] : NULL;
}

int dlmgr_limit_check(const char *text, dlmgr_error *error)
{
    return text ? dlm_bounds_set(NULL, text, error) : dlm_fail(error, DLMGR_EINVAL, "text is NULL");
}

const char *dlm_bound_name(enum dlm_bound bound)
{
    return table[bound].name;
}

struct dlm_bounds dlm_bounds_normal(void)
{
    struct dlm_bounds b;

    for (size_t i = 0; i < DLM_BOUNDS; i++)
        b.of[i] = table[i].normal;
    return b;
}

/* ---- Setting one --------------------------------------------------------------------------------------- */

/* Digits, and k, M, G or T (1024) where bytes are meant; -1: it is no such number. */
static int64_t read_value(const char *text, bool sizes)
{
    static const char units[] = "kmgt";
    int64_t n = 0;
    const char *unit;

    if (*text < '0' || *text > '9')
        return -1;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *text - '0', &n))
            return -1;
    if (!*text)
        return n;
    unit = strchr(units, *text | 0x20);
    if (!sizes || !unit || text[1] ||
        __builtin_mul_overflow(n, INT64_C(1) << 10 * (unit - units + 1), &n))
        return -1;
    return n;
}

static int refuse(const dlmgr_limit *l, const char *value, dlmgr_error *e)
{
    static const char *const whose[] = {
        [DLMGR_LIMIT_TASK] = "belongs to a task: use the option of that name",
        [DLMGR_LIMIT_FIXED] = "is fixed",
    };

    if (l->kind != DLMGR_LIMIT_OWNER)
        return dlm_fail(e, DLMGR_EINVAL, "%s %s", l->name, whose[l->kind]);
    return dlm_fail(e, DLMGR_EINVAL, "%s %.100s: must be from %lld to %lld%s%s", l->name, value,
                    (long long)l->least, (long long)l->most, *l->unit ? " " : "", l->unit);
}

int dlm_bounds_set(struct dlm_bounds *b, const char *text, dlmgr_error *e)
{
    size_t len = strcspn(text, "=");
    int64_t n;

    if (text[len] != '=')
        return dlm_fail(e, DLMGR_EINVAL, "limit %.100s: must be NAME=VALUE", text);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        const dlmgr_limit *l = &table[i];

        if (strlen(l->name) != len || memcmp(l->name, text, len) != 0)
            continue;
        n = read_value(text + len + 1, strstr(l->unit, "bytes") != NULL);
        if (l->kind != DLMGR_LIMIT_OWNER || n < l->least || n > l->most)
            return refuse(l, text + len + 1, e);
        if (b)
            b->of[i] = n;
        return 0;
    }
    return dlm_fail(e, DLMGR_ENOTFOUND, "no limit is called %.*s; see dlmgr.conf(5)",
                    (int)MIN(len, 100), text);
}

int dlm_bounds_set_all(struct dlm_bounds *b, const char *const *list, dlmgr_error *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && list && list[i]; i++)
        r = dlm_bounds_set(b, list[i], e);
    if (r == DLMGR_ENOTFOUND) {
        r = DLMGR_EINVAL;
        if (e)
            e->code = r;
    }
    return r;
}
