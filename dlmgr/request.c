/* SPDX-License-Identifier: MIT */
/*
 * request.c - checking what was asked for, and cutting it into columns, options and secret: see request.h.
 *
 * fields.c takes the members one by one; what needs several of them at once (the URLs, user and password, the
 * state, the hash) is settled here, after all were taken.
 *
 * The hash of a keyed request is over nothing secret: a hash of a password in journal.db could be guessed at. So a link
 * that was signed anew is the same request, and `set` gives the task the new one.
 */
#include "dlmgr/request.h"

#include "dlmgr/fields.h"
#include "dlmgr/json.h"
#include "dlmgr/url.h"

#include <openssl/evp.h>
#include <sys/stat.h>

enum { MASK_DEFAULT = 022 };

int dlm_session_check(const char *name, dlmgr_error *e)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    size_t len = strlen(name);

    if (len >= 1 && len <= 255 && strspn(name, alphabet) == len)
        return 0;
    return dlm_fail(e, DLMGR_EINVAL,
                    "session %.100s: must be 1 to %d letters, digits, dots, hyphens and underscores",
                    name, 255);
}

/* Redacts into r->urls[i], and keeps the real one when that changed it. */
static int add_url(struct dlm_parse *p, const json_t *value, const char *field, json_t *real,
                   bool *io_secret)
{
    struct dlm_request *r = p->r;
    struct dlm_url CLEANUP(dlm_url_clear) url = {0};
    const char *text;
    bool had = false;
    int ret = dlm_field_text(p, field, value, &text);

    if (ret == 0)
        ret = dlm_url_parse(text, &url, p->e);
    if (ret < 0)
        return ret;
    r->urls[r->n_urls] = dlm_url_redact(text, &had);
    if (!r->urls[r->n_urls] || json_array_append_new(real, json_string(text)))
        return dlm_no_memory(p->e);
    if (r->n_urls++ == 0) {
        r->row.origin = TAKE_PTR(url.origin);
        p->url_has_user = url.user != NULL;
    }
    *io_secret |= had;
    return 0;
}

static int cut_urls(struct dlm_parse *p)
{
    CLEANUP_JSON json_t *real = json_array();
    struct dlm_request *r = p->r;
    bool secret = false;
    int ret;

    if (!p->url)
        return dlm_fail(p->e, DLMGR_EINVAL, "url: is missing");
    r->urls = dlm_alloc((1 + json_array_size(p->mirrors)) * sizeof(*r->urls));
    if (!r->urls || !real)
        return dlm_no_memory(p->e);
    ret = add_url(p, p->url, "url", real, &secret);
    for (size_t i = 0; ret == 0 && i < json_array_size(p->mirrors); i++)
        ret = add_url(p, json_array_get(p->mirrors, i), "mirrors", real, &secret);
    if (ret == 0 && secret)
        ret = dlm_field_put(&p->secret, "urls", json_incref(real), p->e);
    if (ret < 0)
        return ret;
    r->row.url = dlm_strdup(r->urls[0]);
    return r->row.url ? 0 : dlm_no_memory(p->e);
}

static int cut_state(struct dlm_parse *p, int64_t now)
{
    struct dlm_row *row = &p->r->row;

    row->state = DLMGR_QUEUED;
    if (p->paused) {
        row->state = DLMGR_PAUSED;
    } else if (p->start_after > now) {
        row->state = DLMGR_WAITING;
        row->wake_at = p->start_after;
        row->wait_reason = dlm_strdup("not-before");
        if (!row->wait_reason)
            return dlm_no_memory(p->e);
    }
    return 0;
}

static void hash_add(EVP_MD_CTX *ctx, const char *text)
{
    /* What is absent differs from what is empty. */
    EVP_DigestUpdate(ctx, text ? text : "\1", text ? strlen(text) + 1 : 2);
}

static int cut_hash(struct dlm_parse *p)
{
    struct dlm_request *r = p->r;
    unsigned char digest[32];
    EVP_MD_CTX *ctx;
    bool good;

    if (!r->row.key)
        return 0;
    ctx = EVP_MD_CTX_new();
    good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    if (good) {
        hash_add(ctx, r->row.dir);
        hash_add(ctx, r->row.out);
        hash_add(ctx, r->row.digest);
        for (size_t i = 0; i < r->n_urls; i++)
            hash_add(ctx, r->urls[i]);
        good = EVP_DigestFinal_ex(ctx, digest, NULL);
    }
    EVP_MD_CTX_free(ctx);
    if (!good)
        return dlm_no_memory(p->e);
    dlm_hex(digest, sizeof(digest), r->hash);
    return 0;
}

static int dump(json_t *object, char **ret, dlmgr_error *e)
{
    if (!object)
        return 0;
    *ret = dlm_json_dump(object);
    return *ret ? 0 : dlm_no_memory(e);
}

static int finish(struct dlm_parse *p, int64_t now)
{
    struct dlm_request *r = p->r;
    int ret;

    if (!r->row.dir)
        return dlm_fail(p->e, DLMGR_EINVAL, "dir: is missing");
    if (!r->row.session && !(r->row.session = dlm_strdup("default")))
        return dlm_no_memory(p->e);
    if (json_object_get(p->options, "cert_key") && !json_object_get(p->options, "cert"))
        return dlm_fail(p->e, DLMGR_EINVAL, "cert_key: needs cert");
    ret = cut_urls(p);
    if (ret == 0 && json_object_get(p->secret, "password") && !json_object_get(p->secret, "user") &&
        !p->url_has_user)
        ret = dlm_fail(p->e, DLMGR_EINVAL, "password: needs user");
    if (ret == 0)
        ret = cut_state(p, now);
    if (ret == 0)
        ret = cut_hash(p);
    if (ret == 0)
        ret = dump(p->options, &r->row.options, p->e);
    if (ret == 0)
        ret = dump(p->secret, &r->secret, p->e);
    return ret;
}

int dlm_request_parse(const json_t *object, int64_t now, struct dlm_request *ret, dlmgr_error *e)
{
    struct dlm_request request = {.row = {.total = -1, .mask = MASK_DEFAULT, .created_at = now}};
    struct dlm_parse p = {.r = &request, .e = e};
    int r;

    if (!json_is_object(object))
        return dlm_fail(e, DLMGR_EINVAL, "a request must be an object");
    r = dlm_fields_take(&p, object);
    if (r == 0)
        r = finish(&p, now);
    json_decref(p.options);
    json_decref(p.secret);
    if (r < 0)
        dlm_request_clear(&request);
    else
        *ret = request;
    return r;
}

void dlm_request_clear(struct dlm_request *r)
{
    for (size_t i = 0; i < r->n_urls; i++)
        free(r->urls[i]);
    free(r->urls);
    free(r->secret);
    dlm_row_clear(&r->row);
    *r = (struct dlm_request){0};
}

int dlm_request_check_dir(const struct dlm_request *r, dlmgr_error *e)
{
    const char *dir = r->row.dir;
    struct stat st;

    if (stat(dir, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return 0;
        errno = ENOTDIR;
    } else if (errno == ENOENT && r->create_dirs) {
        return 0;
    }
    if (errno == ENOENT)
        return dlm_fail_errno(e, DLMGR_EINVAL, dir, "dir %s (make it, or use --create-dirs)", dir);
    return dlm_fail_errno(e, DLMGR_EINVAL, dir, "dir %s", dir);
}
