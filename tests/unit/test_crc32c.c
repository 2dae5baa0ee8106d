/* SPDX-License-Identifier: MIT */
/*
 * test_crc32c.c - both ways to compute a block's checksum, the processor's and the table's, are one function.
 *
 * A journal written on one machine is read on another. The source is included, since which way is taken depends on
 * the processor that runs the test.
 */
#include "dlmgr/crc32c.c"
#include "tests/lib/test.h"

static void fill(unsigned char *data, size_t n)
{
    uint32_t x = 1;

    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (unsigned char)(x >> 24);
    }
}

/* The table alone gives the check values of RFC 3720 B.4. */
static void test_crc32c_table_vectors(void)
{
    unsigned char zeros[32] = {0};

    CHECK_INT(~crc_table(~0u, (const unsigned char *)"123456789", 9), 0xe3069283);
    CHECK_INT(~crc_table(~0u, zeros, 32), 0x8a9136aa);
}

/* At each length and alignment the table and what this processor takes agree. */
static void test_crc32c_ways_agree(void)
{
    unsigned char data[80];

    fill(data, sizeof(data));
    for (size_t from = 0; from < 8; from++) {
        for (size_t n = 0; from + n <= sizeof(data); n++) {
            test_about("%zu bytes from %zu", n, from);
            CHECK_INT(dlm_crc32c(7, data + from, n), ~crc_table(~7u, data + from, n));
        }
    }
}

/* One changed bit anywhere in a block changes its checksum. */
static void test_crc32c_notices_each_bit(void)
{
    unsigned char data[64];
    uint32_t good;

    fill(data, sizeof(data));
    good = dlm_crc32c(0, data, sizeof(data));
    for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        CU_ASSERT(dlm_crc32c(0, data, sizeof(data)) != good);
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}

static const struct test tests[] = {
    TEST(test_crc32c_table_vectors),
    TEST(test_crc32c_ways_agree),
    TEST(test_crc32c_notices_each_bit),
};

TEST_MAIN("crc32c", tests)
