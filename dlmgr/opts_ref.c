/* SPDX-License-Identifier: MIT */
/*
 * opts_ref.c - headers that stand somewhere else: see opts_ref.h.
 *
 * A kind is a row: how its name must look, and what reads it. The file is opened first and looked at by its descriptor, so that what was looked
 * at is what is read; without following a link, for whoever may put one there could have us send any file of ours to a server; and without
 * blocking, since a FIFO would never answer.
 */
#include "dlmgr/opts_ref.h"

#include "dlmgr/headers.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

struct kind {
    const char *name, *must; /* what its argument must be */
    bool (*fits)(const char *where);
    /* Into b; NULL, or why not. */
    const char *(*read)(const char *where, struct dlm_buf *b);
};

/* What a text is made of; all point into it. */
struct ref {
    const struct kind *kind;
    const char *open, *end; /* the braces */
    char where[PATH_MAX];
};

/* ---- Kinds ------------------------------------------------------------------------------------------ */

static bool is_path(const char *where)
{
    return *where == '/';
}

static bool is_variable(const char *where)
{
    const char *p = where;

    while (isalnum((unsigned char)*p) || *p == '_')
        p++;
    return *where && !*p && !isdigit((unsigned char)*where);
}

static bool is_file_name(const char *where)
{
    return *where && !strchr(where, '/') && strcmp(where, ".") && strcmp(where, "..");
}

/* Only after it was looked at; private: by its modes too, and not by those of its directory alone. */
static const char *refuse_file(const struct stat *st, bool private)
{
    if (!S_ISREG(st->st_mode))
        return "is not a regular file";
    if (private && st->st_uid != geteuid() && st->st_uid != 0)
        return "belongs to another user";
    if (private && (st->st_mode & 077))
        return "may be read or written by others: chmod 600";
    if ((size_t)st->st_size > DLM_REF_MAX)
        return "is larger than 64 KiB";
    return NULL;
}

static const char *read_path(const char *path, bool private, struct dlm_buf *b)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    CLEANUP_FREE char *data = NULL;
    struct stat st;
    const char *why;
    ssize_t n;

    if (fd < 0)
        return errno == ELOOP ? "is a symbolic link: name the file itself" : strerror(errno);
    if (fstat(fd, &st) < 0)
        return strerror(errno);
    if ((why = refuse_file(&st, private)))
        return why;
    data = dlm_alloc(DLM_REF_MAX);
    n = data ? read(fd, data, DLM_REF_MAX) : -1;
    if (n < 0)
        return data ? strerror(errno) : strerror(ENOMEM);
    dlm_buf_add(b, data, (size_t)n);
    explicit_bzero(data, (size_t)n);
    return NULL;
}

static const char *read_file(const char *where, struct dlm_buf *b)
{
    return read_path(where, true, b);
}

static const char *read_variable(const char *where, struct dlm_buf *b)
{
    const char *value = getenv(where);

    if (!value)
        return "is not in the environment of the owner: start it with that";
    if (strlen(value) > DLM_REF_MAX)
        return "is larger than 64 KiB";
    dlm_buf_puts(b, value);
    return NULL;
}

/* systemd lets the service's user alone into the directory, whatever the modes of the files. */
static const char *read_credential(const char *where, struct dlm_buf *b)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];

    if (!dir || *dir != '/')
        return "is not there: the owner has no $CREDENTIALS_DIRECTORY; is it a service with LoadCredential=?";
    if (snprintf(path, sizeof(path), "%s/%s", dir, where) >= (int)sizeof(path))
        return strerror(ENAMETOOLONG);
    return read_path(path, false, b);
}

static const struct kind kinds[] = {
    {"file", "an absolute path", is_path, read_file},
    {"env", "the name of a variable", is_variable, read_variable},
    {"credential", "a name without slashes", is_file_name, read_credential},
};

/* ---- Reading one ------------------------------------------------------------------------------------ */

static const struct kind *find_kind(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strlen(kinds[i].name) == len && !strncmp(kinds[i].name, name, len))
            return &kinds[i];
    return NULL;
}

static int parse(const char *text, struct ref *ret, dlmgr_error *e)
{
    const char *colon;
    size_t len;

    ret->open = strchr(text, '{');
    ret->end = ret->open ? strchr(ret->open, '}') : NULL;
    colon = ret->end ? memchr(ret->open, ':', (size_t)(ret->end - ret->open)) : NULL;
    ret->kind = colon ? find_kind(ret->open + 1, (size_t)(colon - ret->open - 1)) : NULL;
    if (!ret->kind)
        return dlm_fail(e, DLMGR_EINVAL,
                        "bad reference: it must have {file:PATH}, {env:NAME} or {credential:NAME} "
                        "in the header's value, or be that alone");
    len = (size_t)(ret->end - colon - 1);
    snprintf(ret->where, sizeof(ret->where), "%.*s", (int)MIN(len, sizeof(ret->where) - 1),
             colon + 1);
    if (len >= sizeof(ret->where) || !ret->kind->fits(ret->where))
        return dlm_fail(e, DLMGR_EINVAL, "bad reference {%s:%.200s}: it must be %s",
                        ret->kind->name, ret->where, ret->kind->must);
    return 0;
}

static bool is_alone(const char *text, const struct ref *ref)
{
    return ref->open == text && !ref->end[1];
}

int dlm_ref_check(const char *text, dlmgr_error *e)
{
    struct ref ref;
    int r = parse(text, &ref, e);

    if (r < 0 || is_alone(text, &ref))
        return r;
    if (strcspn(text, ":") > (size_t)(ref.open - text))
        return dlm_fail(e, DLMGR_EINVAL,
                        "bad reference {%s:%.200s}: a header's name stands before it",
                        ref.kind->name, ref.where);
    return dlm_header_check(text, e);
}

char *dlm_ref_shown(const char *text)
{
    struct ref ref;
    CLEANUP_BUF struct dlm_buf b = {0};

    if (parse(text, &ref, NULL) < 0)
        return dlm_strdup("***");
    if (!is_alone(text, &ref))
        dlm_buf_printf(&b, "%.*s: ", (int)strcspn(text, ":"), text);
    dlm_buf_add(&b, ref.open, (size_t)(ref.end + 1 - ref.open));
    return dlm_buf_take(&b);
}

static int missing(const struct ref *ref, const char *why, dlmgr_error *e)
{
    int r = dlm_fail(e, DLMGR_ENOTFOUND, "the header's reference {%s:%.200s} %s", ref->kind->name,
                     ref->where, why);

    if (e)
        e->class_ = DLMGR_CLASS_NEEDS_AUTH;
    return r;
}

static int give(const struct ref *ref, const char *line, int (*fn)(const char *line, void *context),
                void *context, dlmgr_error *e)
{
    dlmgr_error why = {0};
    int r = dlm_header_check(line, &why);

    if (r < 0)
        return missing(ref, "holds something that is no header", e);
    r = fn(line, context);
    return r < 0 ? dlm_fail(e, r, "no memory for a request") : 0;
}

/* Whole headers; blank lines and comments are passed over, as in --header-file. */
static int give_all(const struct ref *ref, char *data, int (*fn)(const char *line, void *context),
                    void *context, dlmgr_error *e)
{
    int r = 0;

    for (char *line = data, *next; r == 0 && line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        if (*line && *line != '#')
            r = give(ref, line, fn, context, e);
    }
    return r;
}

static int give_one(const char *text, const struct ref *ref, char *data, size_t len,
                    int (*fn)(const char *line, void *context), void *context, dlmgr_error *e)
{
    CLEANUP_BUF struct dlm_buf line = {0};

    while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r'))
        data[--len] = '\0';
    if (len == 0)
        return missing(ref, "is empty", e);
    dlm_buf_add(&line, text, (size_t)(ref->open - text));
    dlm_buf_puts(&line, data);
    dlm_buf_puts(&line, ref->end + 1);
    return line.failed ? dlm_fail(e, DLMGR_ENOMEM, "no memory for a request")
                       : give(ref, line.data, fn, context, e);
}

int dlm_ref_lines(const char *text, int (*fn)(const char *line, void *context), void *context,
                  dlmgr_error *e)
{
    CLEANUP_BUF struct dlm_buf data = {0};
    const char *why;
    struct ref ref;
    int r = parse(text, &ref, e);

    if (r < 0)
        return r;
    why = ref.kind->read(ref.where, &data);
    if (why)
        return missing(&ref, why, e);
    dlm_buf_puts(&data, "");
    if (data.failed)
        return dlm_fail(e, DLMGR_ENOMEM, "no memory for a request");
    if (data.len == 0 || memchr(data.data, '\0', data.len))
        return missing(&ref, data.len ? "holds NUL" : "is empty", e);
    r = is_alone(text, &ref) ? give_all(&ref, data.data, fn, context, e)
                             : give_one(text, &ref, data.data, data.len, fn, context, e);
    explicit_bzero(data.data, data.len);
    return r;
}
