/* SPDX-License-Identifier: MIT */
/*
 * fixture_file.c - files on disk against the bodies that the server makes, and digests of these.
 *
 * A check reads the file piece by piece and makes the bytes that should be there beside it;
 * nothing is kept, so 5 GiB are checked in the memory of one piece. A difference is said on stderr
 * with its place, because `1` alone does not tell a mixed file from a short one.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

/* Compare [start, end) of an open file; *ret_at is where they part, or end. */
static int fd_compare(int fd, int64_t start, int64_t end, const struct body *b, int64_t *ret_at)
{
    char piece[PIECE];
    int64_t at = start;

    while (at < end) {
        size_t want = end - at < PIECE ? (size_t)(end - at) : PIECE, same;
        ssize_t n = pread(fd, piece, want, at);

        if (n < 0)
            return -errno;
        same = body_match(b, at, piece, (size_t)n);
        at += (int64_t)same;
        if (n == 0 || same < (size_t)n)
            break;
    }
    *ret_at = at;
    return 0;
}

static int file_compare(const char *path, int64_t start, int64_t end, const struct body *b,
                        bool whole, int64_t *ret_same)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = fd < 0 ? -errno : 0;
    int64_t at = start, size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);

    if (!rc)
        rc = fd_compare(fd, start, end, b, &at);
    if (!rc && (at < end || (whole && size != end))) {
        fprintf(stderr, "%s: right up to %lld, expected %lld, size %lld\n", path, (long long)at,
                (long long)end, (long long)size);
        rc = 1;
    }
    if (fd >= 0)
        close(fd);
    if (rc >= 0 && ret_same)
        *ret_same = at;
    return rc;
}

int fx_file_check_body(const char *path, int64_t size, const struct body *body, int64_t *ret_same)
{
    return file_compare(path, 0, size, body, true, ret_same);
}

int fx_file_check(const char *path, int64_t size, uint64_t seed)
{
    return fx_file_check_body(path, size, &(struct body){.seed = seed}, NULL);
}

int fx_file_check_range(const char *path, int64_t start, int64_t end, const struct body *body)
{
    return file_compare(path, start, end, body, false, NULL);
}

int fx_file_write(const char *path, int64_t size, uint64_t seed)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), rc = fd < 0 ? -errno : 0;
    struct body b = {.seed = seed};
    char piece[PIECE];

    for (int64_t at = 0; !rc && at < size; at += PIECE) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        body_fill(&b, at, piece, n);
        if (write(fd, piece, n) != (ssize_t)n)
            rc = -EIO;
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

int fx_body_digest(const char *algorithm, int64_t size, uint64_t seed, char ret_hex[129])
{
    const EVP_MD *md = EVP_get_digestbyname(algorithm);
    EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;
    struct body b = {.seed = seed};
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char piece[PIECE];

    if (!ctx)
        return -EINVAL;
    EVP_DigestInit_ex(ctx, md, NULL);
    for (int64_t at = 0; at < size; at += PIECE) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        body_fill(&b, at, piece, n);
        EVP_DigestUpdate(ctx, piece, n);
    }
    EVP_DigestFinal_ex(ctx, sum, &len);
    EVP_MD_CTX_free(ctx);
    for (unsigned i = 0; i < len; i++)
        sprintf(ret_hex + 2 * i, "%02x", sum[i]);
    return 0;
}
