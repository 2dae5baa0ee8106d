/* SPDX-License-Identifier: MIT */
/*
 * fixture.h - the fixture server as a child of a test: start it, script it, read its log, check
 * files.
 *
 * Compile with fixtures/body.c; link with -lcrypto (fx_body_digest). Nothing here knows of dlmgr.
 *
 *     struct fx *fx;
 *     fx_start(&fx, NULL);
 *     char *url = fx_url(fx, "/f/a.bin?size=%d&seed=7&etag=\"a\"", 5000000);
 *     fx_script(fx, "/seq", "all:size=1M seed=3 ; cut=100k ; status=503 retry_after=1 ; close");
 *     ... run a download ...
 *     struct fx_log log;
 *     fx_log_read(fx, &log);
 *     CU_ASSERT_EQUAL(fx_log_bytes(&log, "/f/a.bin"), 5000000);
 *     CU_ASSERT_EQUAL(fx_file_check("a.bin", 5000000, 7), 0);
 *     fx_log_free(&log);
 *     fx = fx_stop(fx);
 *
 * All keys of URLs and scripts: fixtures/README.md. Functions return 0 or -errno unless said
 * otherwise. The server ends when the THREAD that started it ends (PR_SET_PDEATHSIG), so start it
 * from the test's main thread.
 */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include "../../fixtures/body.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fx;

/* ---- The server ------------------------------------------------------------------------------ */

/* What may be asked of fx_start; all zero is right for most tests. */
struct fx_options {
    int port;           /* 0: the kernel chooses */
    const char *script; /* a script file */
    const char *log; /* NULL: a file of its own, removed by fx_stop; given: appended to and kept */
};

/*
 * The binary: $FIXTURE, else $DLMGR_BUILD/fixture-server, else fixture-server beside the running
 * program or up to three folders above.
 */
int fx_start(struct fx **ret_fx, const struct fx_options *options); /* options may be NULL */
struct fx *fx_stop(struct fx *fx); /* waits for its end; accepts NULL, returns NULL */

int fx_port(const struct fx *fx);
pid_t fx_pid(const struct fx *fx);
const char *fx_log_file(const struct fx *fx);

/*
 * http://127.0.0.1:PORT and the formatted rest, which begins with a slash. The caller frees it;
 * aborts without memory.
 */
char *fx_url(const struct fx *fx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Replace the steps of a path (as it goes on the wire) while the server runs (its sequences start
 * over); an empty text forgets the path. -EINVAL when the server found a mistake, which it then
 * also says on stderr here.
 */
int fx_script(const struct fx *fx, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- Its log --------------------------------------------------------------------------------- */

struct fx_request {
    int64_t id;         /* from 1, in the order of arrival */
    const char *target; /* path and query as sent */
    const char *method, *host;
    const char *range, *if_range; /* NULL: not sent */
    int64_t start; /* of `bytes=START-END`; 0 without a range; -1: a suffix, or several ranges */
    int64_t end;   /* -1: open */
    int64_t connection;   /* equal numbers shared a connection */
    int64_t at, ended_at; /* CLOCK_MONOTONIC in ms; ended_at -1: still going on */
    int status;           /* 0: still going on */
    int64_t sent;         /* body bytes that the server's send() took */
    const char *how;      /* the word in the log (done, cut, gone...); NULL: still going on */
    const char **headers; /* "Name: value", NULL at the end; without Host, Range, If-Range */
    size_t header_count;
};

struct fx_log {
    struct fx_request *requests;
    size_t count;
    char *text;
};

/*
 * Read the whole log as it stands. fx_log_settle first waits (at most ms) until every request has
 * its END: -ETIMEDOUT if not, log read all the same.
 */
int fx_log_read(const struct fx *fx, struct fx_log *ret_log);
int fx_log_settle(const struct fx *fx, int ms, struct fx_log *ret_log);
void fx_log_free(struct fx_log *log);
int fx_log_load(const char *file, struct fx_log *ret_log); /* a log without its server */
void fx_log_print(const struct fx_log *log);               /* to stderr, to see why a test failed */

/*
 * path is compared with the target up to its `?`, or with all of it when path holds one; NULL:
 * every request.
 */
bool fx_request_is(const struct fx_request *r, const char *path);
size_t fx_log_count(const struct fx_log *log, const char *path);
int64_t fx_log_bytes(const struct fx_log *log, const char *path);
/* The nth (from 0) request of path; NULL when there are fewer. */
const struct fx_request *fx_log_nth(const struct fx_log *log, const char *path, size_t n);
const char *fx_request_header(const struct fx_request *r, const char *name); /* NULL: not sent */

/* ---- Bodies and files ------------------------------------------------------------------------ */

/* Is the file exactly these bytes? 0 yes, 1 no (stderr says where they part), -errno. */
int fx_file_check(const char *path, int64_t size, uint64_t seed);
/*
 * The same for any body; ret_same (may be NULL) gets the bytes right before the first wrong,
 * missing or extra one.
 */
int fx_file_check_body(const char *path, int64_t size, const struct body *body, int64_t *ret_same);
/* A stretch of a file, such as a part that is not whole. */
int fx_file_check_range(const char *path, int64_t start, int64_t end, const struct body *body);
int fx_file_write(const char *path, int64_t size, uint64_t seed);

/* Hex digest of a body: algorithm as OpenSSL names it ("sha256", "md5"). 0 or -EINVAL. */
int fx_body_digest(const char *algorithm, int64_t size, uint64_t seed, char ret_hex[129]);

#endif
