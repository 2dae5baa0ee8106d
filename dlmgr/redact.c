/* SPDX-License-Identifier: MIT */
/*
 * redact.c - a URL as it may be shown: see url.h.
 *
 * The text need not be a good URL: what stands in a bad list line or in a redirect that we refuse is shown, too. So this
 * looks for the places where secrets stand, and does not parse: all up to the last @ of the authority, and the values
 * of known parameters after the first ? or #. Where it is unsure (out of memory while it reads a name) it hides.
 */
#include "dlmgr/bounds.h"
#include "dlmgr/names.h"
#include "dlmgr/url.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>

/* Parameters whose values open a door; compared without case, percent-decoded. */
/* clang-format off */
static const char *const secret_names[] = {
    "access_token", "accesskeyid", "api_key", "api-key", "apikey", "auth", "auth_token",
    "authorization", "awsaccesskeyid", "client_secret", "googleaccessid", "hdnea", "hdnts",
    "id_token", "jwt", "key-pair-id", "ossaccesskeyid", "passwd", "password", "policy",
    "private_token", "refresh_token", "secret", "security-token", "sig", "sign", "signature",
    "token", "__gda__", "__token__", "x-amz-credential", "x-amz-security-token",
    "x-amz-signature", "x-goog-credential", "x-goog-signature", "x-oss-credential",
    "x-oss-security-token", "x-oss-signature", "q-signature",
};
/* clang-format on */

/* ---- More names ------------------------------------------------------------------------------------ */

enum { NAME_ROOM = 65 };

/* Only ever appended to, and counted last, so whoever reads needs no lock. Of the process: to hide too much does no harm. */
static char more[DLM_PARAMETERS_MAX][NAME_ROOM];
static atomic_int n_more;
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;

static bool is_more(const char *plain)
{
    int n = atomic_load_explicit(&n_more, memory_order_acquire);

    for (int i = 0; i < n; i++)
        if (!strcasecmp(plain, more[i]))
            return true;
    return false;
}

static int add_name(const char *name, size_t len, dlmgr_error *e)
{
    char plain[NAME_ROOM];
    int n = atomic_load(&n_more);

    snprintf(plain, sizeof(plain), "%.*s", (int)MIN(len, sizeof(plain) - 1), name);
    if (len >= NAME_ROOM)
        return dlm_fail(e, DLMGR_EINVAL, "%s: a parameter's name has at most %d bytes", plain,
                        NAME_ROOM - 1);
    if (is_more(plain))
        return 0;
    if (n == DLM_PARAMETERS_MAX)
        return dlm_fail(e, DLMGR_ELIMIT, "%s: more than %d secret parameters", plain,
                        DLM_PARAMETERS_MAX);
    memcpy(more[n], plain, sizeof(plain));
    atomic_store_explicit(&n_more, n + 1, memory_order_release);
    return 0;
}

int dlm_redact_names(const char *list, dlmgr_error *e)
{
    static const char between[] = ", \t";
    int r = 0;

    pthread_mutex_lock(&adding);
    for (const char *p = list + strspn(list, between); r == 0 && *p; p += strspn(p, between)) {
        size_t len = strcspn(p, between);

        r = add_name(p, len, e);
        p += len;
    }
    pthread_mutex_unlock(&adding);
    return r;
}

char *dlm_redact_more(void)
{
    int n = atomic_load_explicit(&n_more, memory_order_acquire);
    CLEANUP_BUF struct dlm_buf b = {0};

    for (int i = 0; i < n; i++)
        dlm_buf_printf(&b, "%s%s", i ? "," : "", more[i]);
    return dlm_buf_take(&b);
}

/* ---- Where secrets stand --------------------------------------------------------------------------- */

static bool is_secret(const char *name, size_t len)
{
    CLEANUP_FREE char *plain = dlm_strndup(name, len);

    if (!plain)
        return true;
    plain[dlm_percent_decode(plain, len, NULL)] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(secret_names); i++)
        if (strcasecmp(plain, secret_names[i]) == 0)
            return true;
    return is_more(plain);
}

/* Where the authority begins: behind "scheme://" or "//"; else at the start, since it may be one. */
static const char *find_authority(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    if (strncmp(text, "//", 2) == 0)
        return text + 2;
    return strncmp(text + n, "://", 3) == 0 ? text + n + 3 : text;
}

typedef void secret_fn(const char *secret, size_t len, void *context);

/* What is shown, in order; NULL fn: nobody asks. */
struct walk {
    secret_fn *plain, *secret;
    void *context;
};

static void give(secret_fn *fn, const char *at, const char *end, void *context)
{
    if (fn && end > at)
        fn(at, (size_t)(end - at), context);
}

/* One name=value up to the next separator; returns where that is. */
static const char *walk_parameter(const char *p, const struct walk *w)
{
    size_t len = strcspn(p, "&;?#"), name = strcspn(p, "=&;?#");
    const char *value = name + 1 < len && is_secret(p, name) ? p + name + 1 : p + len;

    give(w->plain, p, value, w->context);
    give(w->secret, value, p + len, w->context);
    return p + len;
}

static void walk(const char *text, const struct walk *w)
{
    const char *host = find_authority(text);
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));
    const char *query = host + strcspn(host, "?#");

    give(w->plain, text, host, w->context);
    if (at) {
        give(w->secret, host, at, w->context);
        host = at;
    }
    give(w->plain, host, query, w->context);
    while (*query) {
        give(w->plain, query, query + 1, w->context);
        query = walk_parameter(query + 1, w);
    }
}

struct shown {
    struct dlm_buf text;
    bool found;
};

static void add_plain(const char *piece, size_t len, void *context)
{
    dlm_buf_add(&((struct shown *)context)->text, piece, len);
}

static void add_stars(const char *secret, size_t len, void *context)
{
    struct shown *s = context;

    (void)secret;
    (void)len;
    s->found = true;
    dlm_buf_puts(&s->text, "***");
}

char *dlm_url_redact(const char *text, bool *ret_had_secret)
{
    struct shown shown = {0};
    char *taken;

    walk(text, &(struct walk){add_plain, add_stars, &shown});
    taken = dlm_buf_take(&shown.text);
    dlm_buf_free(&shown.text);
    if (taken && ret_had_secret)
        *ret_had_secret = shown.found;
    return taken;
}

void dlm_url_secrets(const char *text, secret_fn *fn, void *context)
{
    walk(text, &(struct walk){NULL, fn, context});
}
