/* SPDX-License-Identifier: MIT */
/*
 * fixture_log.c - the fixture server's log as structs.
 *
 * The file is read whole and cut up in place; the strings of the requests point into it and live
 * as long as the log. Its lines are described in fixtures/log.h. A reader may come while the
 * server writes: since each request's lines and each END are one write, the worst it can see is a
 * request whose END has yet to come (status 0, sent 0).
 *
 * A log of several servers one after the other (a fixed port, the same file) is read too: ids then
 * repeat, and an END belongs to the latest request of its number.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { FIELDS = 9 };

static int file_read(const char *file, char **ret_text)
{
    FILE *f = fopen(file, "re");
    size_t size = 0;
    ssize_t n;

    if (!f)
        return -errno;
    errno = 0;
    n = getdelim(ret_text, &size, '\0', f);
    if (n < 0 && feof(f) && *ret_text)
        (*ret_text)[0] = '\0';
    n = n < 0 && !feof(f) ? -1 : 0;
    fclose(f);
    return n < 0 || !*ret_text ? -EIO : 0;
}

/* Cut at tabs; missing fields are "". */
static size_t fields_split(char *line, char *fields[FIELDS])
{
    size_t n = 0;

    for (size_t i = 0; i < FIELDS; i++)
        fields[i] = line + strlen(line);
    while (n < FIELDS) {
        fields[n++] = line;
        line = strchr(line, '\t');
        if (!line)
            break;
        *line++ = '\0';
    }
    return n;
}

static const char *value_or_null(const char *s)
{
    return strcmp(s, "-") == 0 ? NULL : s;
}

static void range_read(struct fx_request *r)
{
    long long first, last;
    int n = r->range && !strchr(r->range, ',') ? sscanf(r->range, "bytes=%lld-%lld", &first, &last)
                                               : -1;

    r->start = r->range ? -1 : 0;
    r->end = -1;
    if (n < 1 || first < 0 || strncmp(r->range, "bytes=-", 7) == 0)
        return;
    r->start = first;
    if (n == 2)
        r->end = last;
}

static int request_add(struct fx_log *log, char *f[FIELDS])
{
    struct fx_request *more = realloc(log->requests, (log->count + 1) * sizeof(*more)), *r;

    if (!more)
        return -ENOMEM;
    log->requests = more;
    r = &more[log->count++];
    *r = (struct fx_request){.id = atoll(f[1]),
                             .target = f[2],
                             .method = f[7],
                             .host = value_or_null(f[3]),
                             .range = value_or_null(f[4]),
                             .if_range = value_or_null(f[5]),
                             .connection = atoll(f[6]),
                             .at = atoll(f[8]),
                             .ended_at = -1};
    range_read(r);
    return 0;
}

static struct fx_request *request_latest(struct fx_log *log, const char *id)
{
    int64_t wanted = atoll(id);

    for (size_t i = log->count; i-- > 0;) {
        if (log->requests[i].id == wanted)
            return &log->requests[i];
    }
    return NULL;
}

static int header_add(struct fx_log *log, char *f[FIELDS])
{
    struct fx_request *r = request_latest(log, f[1]);
    const char **more = r ? realloc(r->headers, (r->header_count + 2) * sizeof(*more)) : NULL;

    if (!more)
        return r ? -ENOMEM : -EPROTO;
    r->headers = more;
    more[r->header_count++] = f[2];
    more[r->header_count] = NULL;
    return 0;
}

static int end_add(struct fx_log *log, char *f[FIELDS])
{
    struct fx_request *r = request_latest(log, f[1]);

    if (!r)
        return -EPROTO;
    r->status = atoi(f[2]);
    r->sent = atoll(f[3]);
    r->how = f[4];
    r->ended_at = atoll(f[5]);
    return 0;
}

static const struct {
    const char *word;
    size_t fields;
    int (*add)(struct fx_log *log, char *f[FIELDS]);
} lines[] = {{"REQ", 9, request_add}, {"H", 3, header_add}, {"END", 6, end_add}};

static int line_read(struct fx_log *log, char *line)
{
    char *f[FIELDS];
    size_t n = fields_split(line, f);

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (strcmp(f[0], lines[i].word) == 0)
            return n == lines[i].fields ? lines[i].add(log, f) : -EPROTO;
    }
    return -EPROTO;
}

/* A write shows a page at a time: the last line may be half there, and is for the next look. */
static void tail_drop(char *text)
{
    char *last = strrchr(text, '\n');

    *(last ? last + 1 : text) = '\0';
}

int fx_log_load(const char *file, struct fx_log *ret_log)
{
    struct fx_log log = {0};
    char *save = NULL;
    int rc = file_read(file, &log.text);

    if (!rc)
        tail_drop(log.text);

    for (char *l = rc ? NULL : strtok_r(log.text, "\n", &save); l && !rc;
         l = strtok_r(NULL, "\n", &save))
        rc = line_read(&log, l);
    if (rc)
        fx_log_free(&log);
    else
        *ret_log = log;
    return rc;
}

int fx_log_read(const struct fx *fx, struct fx_log *ret_log)
{
    return fx_log_load(fx_log_file(fx), ret_log);
}

static bool all_ended(const struct fx_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        if (!log->requests[i].how)
            return false;
    }
    return true;
}

int fx_log_settle(const struct fx *fx, int ms, struct fx_log *ret_log)
{
    for (int waited = 0;; waited += 10) {
        struct fx_log log;
        int rc = fx_log_read(fx, &log);

        if (rc)
            return rc;
        if (all_ended(&log) || waited >= ms) {
            *ret_log = log;
            return all_ended(&log) ? 0 : -ETIMEDOUT;
        }
        fx_log_free(&log);
        usleep(10000);
    }
}

void fx_log_free(struct fx_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        free(log->requests[i].headers);
    free(log->requests);
    free(log->text);
    *log = (struct fx_log){0};
}

void fx_log_print(const struct fx_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        const struct fx_request *r = &log->requests[i];

        fprintf(stderr, "%lld %s %s range=%s if-range=%s -> %d, %lld bytes, %s\n", (long long)r->id,
                r->method, r->target, r->range ? r->range : "-", r->if_range ? r->if_range : "-",
                r->status, (long long)r->sent, r->how ? r->how : "going on");
    }
}

bool fx_request_is(const struct fx_request *r, const char *path)
{
    size_t n = path && !strchr(path, '?') ? strcspn(r->target, "?") : strlen(r->target);

    return !path || (strlen(path) == n && memcmp(path, r->target, n) == 0);
}

size_t fx_log_count(const struct fx_log *log, const char *path)
{
    size_t n = 0;

    for (size_t i = 0; i < log->count; i++)
        n += fx_request_is(&log->requests[i], path);
    return n;
}

int64_t fx_log_bytes(const struct fx_log *log, const char *path)
{
    int64_t n = 0;

    for (size_t i = 0; i < log->count; i++)
        n += fx_request_is(&log->requests[i], path) ? log->requests[i].sent : 0;
    return n;
}

const struct fx_request *fx_log_nth(const struct fx_log *log, const char *path, size_t n)
{
    for (size_t i = 0; i < log->count; i++) {
        if (fx_request_is(&log->requests[i], path) && n-- == 0)
            return &log->requests[i];
    }
    return NULL;
}

const char *fx_request_header(const struct fx_request *r, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < r->header_count; i++) {
        if (strncasecmp(r->headers[i], name, n) == 0 && r->headers[i][n] == ':')
            return r->headers[i] + n + 2;
    }
    return NULL;
}
