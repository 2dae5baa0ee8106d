/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets share.
 *
 * A target is a file fuzz_NAME.c with FUZZ(NAME): a function of some bytes that nobody chose kindly. It may be run any number of
 * times in one process, keeps nothing that changes what it does next, and aborts by MUST() when what it promises does not hold; a sanitizer
 * looks for the rest. `make fuzz` links each target with libFuzzer; test_fuzz.c runs all of them on their corpora and a few seeded
 * changes of those.
 */
#ifndef DLM_FUZZ_H
#define DLM_FUZZ_H

#include "dlmgr/base.h"

#include <stdio.h>

#define FUZZ_TARGETS(X)                                                                            \
    X(date) X(headers) X(journal) X(lists) X(names) X(range) X(request) X(rpc) X(url) X(verdict)

#define FUZZ_DECLARE(name) void fuzz_##name(const uint8_t *data, size_t size);
FUZZ_TARGETS(FUZZ_DECLARE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Weak, since test_fuzz has several of them. */
#define FUZZ(name)                                                                                 \
    __attribute__((weak)) int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)             \
    {                                                                                              \
        fuzz_##name(data, size);                                                                   \
        return 0;                                                                                  \
    }                                                                                              \
    void fuzz_##name(const uint8_t *data, size_t size)

#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: it must be that %s\n", __FILE__, __LINE__, #what);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Input that is read piece by piece; at its end there are only zeros. */
struct bytes {
    const uint8_t *at;
    size_t left;
};

static inline unsigned next_byte(struct bytes *b)
{
    if (b->left == 0)
        return 0;
    b->left--;
    return *b->at++;
}

/* 0 to n - 1 */
static inline int choose(struct bytes *b, int n)
{
    return (int)(next_byte(b) % (unsigned)n);
}

/* Up to the next newline; false at the end. */
static inline bool next_line(struct bytes *b, struct bytes *ret)
{
    const uint8_t *end = b->left ? memchr(b->at, '\n', b->left) : NULL;

    if (b->left == 0)
        return false;
    *ret = (struct bytes){b->at, end ? (size_t)(end - b->at) : b->left};
    b->at += ret->left + (end != NULL);
    b->left -= ret->left + (end != NULL);
    return true;
}

/* The next line up to its first NUL as a text; "" at the end. */
static inline char *next_text(struct bytes *b)
{
    struct bytes line = {(const uint8_t *)"", 0};
    char *text;

    next_line(b, &line);
    text = dlm_strndup((const char *)line.at, line.left);
    MUST(text != NULL);
    return text;
}

#endif
