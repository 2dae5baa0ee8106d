/* SPDX-License-Identifier: MIT */
/*
 * bounds.h - all limits in one table: what bounds what a server, a client or a caller can make us do.
 *
 * The limits of an owner can be set as "name=value" (dlmgr_options.limits, the keys of dlmgr.conf, --limits); those of a task are its options,
 * and the table only says what holds without them; fixed ones are constants of the code, said here so that there is one place to look. An error
 * that comes from a limit names it. The table is bounds.c; dlmgr_limit_at() shows it, and the page dlmgr.conf(5) is compared with it.
 */
#ifndef DLM_BOUNDS_H
#define DLM_BOUNDS_H

#include "dlmgr/base.h"

#define DLM_VALIDATOR_SIZE 256 /* bytes with the NUL; longer ones count as unusable */
#define DLM_LOCATION_MAX 8192
#define DLM_URL_MAX 65535 /* bytes of a URL that we accept */
#define DLM_HELD_MAX ((size_t)KIB(64))
#define DLM_RECEIVE_MAX (512L * 1024) /* a third of the CPU that 16 KiB cost */
#define DLM_REDIRECTS_MOST 50
#define DLM_RESTARTS_MAX 5
#define DLM_SIZE_MAX (INT64_C(1) << 50)
#define DLM_HEADERS_MAX 1000
#define DLM_MIRRORS_MAX 1000
#define DLM_USER_DATA_MAX (64 << 10)
#define DLM_RPC_LINE_MAX (4 << 20)
#define DLM_RPC_DEPTH_MAX 32
#define DLM_CONNS_MAX 256
#define DLM_CONTROL_BYTES ((size_t)MIB(64))
#define DLM_PAGE_BYTES ((size_t)MIB(1))
#define DLM_REF_MAX ((size_t)KIB(64))
#define DLM_REFS_MAX 16
#define DLM_PARAMETERS_MAX 64

/* Those of the owner, in the table's order. */
enum dlm_bound {
    DLM_BOUND_HEADER_BYTES,
    DLM_BOUND_HEADER_LINES,
    DLM_BOUND_FILE_BYTES,
    DLM_BOUND_REDIRECTS,
    DLM_BOUND_CONNECT_TIME, /* seconds, as all times */
    DLM_BOUND_ANSWER_TIME,
    DLM_BOUND_LOW_SPEED,
    DLM_BOUND_LOW_SPEED_TIME,
    DLM_BOUND_RETRY_AFTER,
    DLM_BOUND_EXCERPT,
    DLM_BOUND_DESCRIPTORS,
    DLM_BOUNDS
};

struct dlm_bounds {
    int64_t of[DLM_BOUNDS];
};

/* What holds when nothing is set. */
struct dlm_bounds dlm_bounds_normal(void);

/*
 * "name=value". DLMGR_ENOTFOUND: there is no such limit; DLMGR_EINVAL: it is not the owner's to set, or the value does not fit. b may be
 * NULL: only check.
 */
int dlm_bounds_set(struct dlm_bounds *b, const char *text, dlmgr_error *e);

/* A list of them that ends in NULL; NULL is empty. The last of a name counts. Here an unknown name is DLMGR_EINVAL too. */
int dlm_bounds_set_all(struct dlm_bounds *b, const char *const *list, dlmgr_error *e);

const char *dlm_bound_name(enum dlm_bound bound);

#endif
