/* SPDX-License-Identifier: MIT */
/*
 * finish_digest.c - is it the file that was wanted: length, digest, or byte by byte. See finish.h.
 *
 * Everything is read from the file, through the page cache, in pieces: what was sent to the disk is what is checked, not
 * what came from the network. A digest that cannot be computed (an algorithm that OpenSSL does not know, or forbids)
 * is trouble, never a pass.
 */
#include "dlmgr/finish.h"

#include <openssl/evp.h>
#include <stdio.h>

#define PIECE ((size_t)KIB(512))

static const struct algorithm {
    const char *prefix;
    const EVP_MD *(*md)(void);
} algorithms[] = {
    {"sha-256=", EVP_sha256},
    {"sha-1=", EVP_sha1},
    {"sha-512=", EVP_sha512},
    {"md5=", EVP_md5},
};

static const struct algorithm *algorithm_of(const char *digest)
{
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
        if (strncasecmp(digest, algorithms[i].prefix, strlen(algorithms[i].prefix)) == 0)
            return &algorithms[i];
    return NULL;
}

static void md_free(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

/* The digest of all of fd: its length, or -errno. */
static int digest_file(int fd, const EVP_MD *md, const atomic_bool *stop,
                       unsigned char out[EVP_MAX_MD_SIZE])
{
    CLEANUP_FREE unsigned char *buffer = dlm_alloc(PIECE);
    CLEANUP(md_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned len = 0;
    int64_t at = 0;
    ssize_t n;

    if (!buffer || !ctx)
        return -ENOMEM;
    if (EVP_DigestInit_ex(ctx, md, NULL) != 1)
        return -EOPNOTSUPP;
    while ((n = dlm_pread_all(fd, buffer, PIECE, at)) > 0) {
        if (EVP_DigestUpdate(ctx, buffer, (size_t)n) != 1)
            return -EOPNOTSUPP;
        if (stop && atomic_load(stop))
            return -ECANCELED;
        at += n;
    }
    if (n < 0)
        return (int)n;
    return EVP_DigestFinal_ex(ctx, out, &len) == 1 ? (int)len : -EOPNOTSUPP;
}

int dlm_digest_check(int fd, const char *digest, const atomic_bool *stop, char ret_found[160])
{
    const struct algorithm *alg = algorithm_of(digest);
    unsigned char value[EVP_MAX_MD_SIZE];
    int len = alg ? digest_file(fd, alg->md(), stop, value) : -EOPNOTSUPP;
    size_t prefix;

    if (len < 0)
        return len;
    prefix = strlen(alg->prefix);
    memcpy(ret_found, alg->prefix, prefix);
    dlm_hex(value, (size_t)len, ret_found + prefix);
    return strcasecmp(ret_found, digest) == 0;
}

int dlm_same_bytes(int a, int b)
{
    CLEANUP_FREE unsigned char *buffer = dlm_alloc(2 * PIECE);
    ssize_t n = 0, m;

    if (!buffer)
        return -ENOMEM;
    for (int64_t at = 0;; at += n) {
        n = dlm_pread_all(a, buffer, PIECE, at);
        m = n < 0 ? 0 : dlm_pread_all(b, buffer + PIECE, PIECE, at);
        if (n < 0 || m < 0)
            return (int)MIN(n, m);
        if (n != m || memcmp(buffer, buffer + PIECE, (size_t)n) != 0)
            return 0;
        if (n == 0)
            return 1;
    }
}

static int mismatch(struct dlm_finish *f)
{
    f->error.class_ = DLMGR_CLASS_PERMANENT;
    snprintf(f->error.path, sizeof(f->error.path), "%s", f->part);
    return DLM_FINISH_MISMATCH;
}

int dlm_finish_verify(struct dlm_finish *f, int64_t total)
{
    char found[160];
    int r;

    if (total >= 0 && f->ident.size != total) {
        dlm_fail(&f->error, DLMGR_EIO,
                 "the part has %lld bytes, expected %lld: something else wrote to it; retry",
                 (long long)f->ident.size, (long long)total);
        return mismatch(f);
    }
    if (!f->digest)
        return DLM_FINISH_OK;
    r = dlm_digest_check(f->fd, f->digest, f->stop, found);
    if (r < 0)
        return dlm_finish_trouble(f, r, "check", f->part);
    if (r == 1)
        return DLM_FINISH_OK;
    dlm_fail(&f->error, DLMGR_EIO, "expected %.150s, found %s: %s", f->digest, found,
             f->offered ? "the server sent other bytes than its Repr-Digest says; retry"
                        : "the file or --checksum is another one");
    return mismatch(f);
}
