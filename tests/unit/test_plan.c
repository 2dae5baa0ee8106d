/* SPDX-License-Identifier: MIT */
/*
 * test_plan.c - how a file is cut: rows for single cuts, then whole downloads played through with random speeds,
 * holes and connections, in which every byte must be fetched exactly once.
 */
#include "dlmgr/plan.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define M (INT64_C(1) << 20)
#define MAX_BLOCKS 256

/* Blocks from a drawing: # full, digit d: d/10 of a block, . empty. */
static size_t draw(const char *s, int64_t total, struct dlm_block *blocks)
{
    size_t n = 0;

    for (; s[n]; n++) {
        int64_t full = dlm_block_full(total, n);

        blocks[n].crc = 0;
        blocks[n].len = (uint32_t)(s[n] == '#' ? full : s[n] == '.' ? 0 : (s[n] - '0') * M / 10);
    }
    return n;
}

struct row {
    const char *about;
    int64_t total;
    const char *blocks;
    struct dlm_segment active[4];
    int n_active, wanted;
    bool found;
    struct dlm_cut cut;
};

static const struct row rows[] = {
    {"a new file, one connection", 100 * M, "", {{0}}, 0, 1, true, {0, 100 * M, -1}},
    {"a new file, unknown total", -1, "", {{0}}, 0, 1, true, {0, -1, -1}},
    {"an unknown total continues where it stops", -1, "##5", {{0}}, 0, 1, true, {2 * M + M / 2, -1, -1}},
    {"an unknown total with a hole fills that first", -1, "#.##", {{0}}, 0, 1, true, {M, 2 * M, -1}},
    {"an unknown total is never split", -1, "", {{0, 0, -1}}, 1, 4, false, {0}},
    {"an unknown total: more asked for, one piece", -1, "", {{0}}, 0, 4, true, {0, -1, -1}},
    {"enough are at work", 100 * M, "", {{0, 0, 50 * M}}, 1, 1, false, {0}},
    {"all present", 3 * M + 7, "####", {{0}}, 0, 1, false, {0}},
    {"an empty file", 0, "", {{0}}, 0, 1, false, {0}},
    {"only the last, short block misses", 3 * M + 7, "###.", {{0}}, 0, 1, true, {3 * M, 3 * M + 7, -1}},
    {"blocks past the end do not count", 2 * M, "##..", {{0}}, 0, 1, false, {0}},
    {"a partly filled block goes on where it stops",
     4 * M,
     "#3..",
     {{0}},
     0,
     1,
     true,
     {M + 3 * M / 10, 4 * M, -1}},
    {"a gap ends where bytes are present", 8 * M, "#..#...#", {{0}}, 0, 1, true, {M, 3 * M, -1}},
    {"a gap ends at a partly filled block", 8 * M, "#..2....", {{0}}, 0, 1, true, {M, 3 * M, -1}},
    {"the second gap, the first is taken",
     8 * M,
     "#..#...#",
     {{M, M, 3 * M}},
     1,
     2,
     true,
     {4 * M, 7 * M, -1}},
    {"between two segments",
     30 * M,
     "",
     {{0, M, 10 * M}, {20 * M, 21 * M, 30 * M}},
     2,
     3,
     true,
     {10 * M, 20 * M, -1}},
    {"after adjoining segments in any order",
     30 * M,
     "",
     {{10 * M, 10 * M, 20 * M}, {0, M, 10 * M}},
     2,
     3,
     true,
     {20 * M, 30 * M, -1}},
    {"before a segment", 30 * M, "", {{10 * M, 10 * M, 30 * M}}, 1, 2, true, {0, 10 * M, -1}},
    {"a new file for four: the first quarter", 100 * M, "", {{0}}, 0, 4, true, {0, 25 * M, -1}},
    {"the second quarter", 100 * M, "", {{0, 0, 25 * M}}, 1, 4, true, {25 * M, 50 * M, -1}},
    {"the last quarter takes the rest",
     100 * M,
     "",
     {{0, 0, 25 * M}, {25 * M, 25 * M, 50 * M}, {50 * M, 50 * M, 75 * M}},
     3,
     4,
     true,
     {75 * M, 100 * M, -1}},
    {"shared by two, at a block boundary", 9 * M, "", {{0}}, 0, 2, true, {0, 5 * M, -1}},
    {"too small to share", 7 * M, "", {{0}}, 0, 2, true, {0, 7 * M, -1}},
    {"the whole is one segment, three more: its last quarter",
     100 * M,
     "",
     {{0, 0, -1}},
     1,
     4,
     true,
     {75 * M, 100 * M, 0}},
    {"then the last third of what it keeps",
     100 * M,
     "",
     {{0, 0, 75 * M}, {75 * M, 75 * M, 100 * M}},
     2,
     4,
     true,
     {50 * M, 75 * M, 0}},
    {"then half of that",
     100 * M,
     "",
     {{0, 0, 50 * M}, {75 * M, 75 * M, 100 * M}, {50 * M, 50 * M, 75 * M}},
     3,
     4,
     true,
     {25 * M, 50 * M, 0}},
    {"the biggest rest is halved at a block boundary",
     40 * M,
     "####",
     {{0, 4 * M, 9 * M}, {9 * M, 9 * M + 5, 40 * M}},
     2,
     3,
     true,
     {25 * M, 40 * M, 1}},
    {"eight MiB left may be split", 8 * M, "", {{0, 0, 8 * M}}, 1, 2, true, {4 * M, 8 * M, 0}},
    {"the last piece may lack what the boundary takes",
     8 * M - 1,
     "",
     {{0, 0, -1}},
     1,
     2,
     true,
     {4 * M, 8 * M - 1, 0}},
    {"seven MiB left may not be split", 7 * M, "", {{0, 0, -1}}, 1, 2, false, {0}},
    {"a rest under the minimum is never split", 100 * M, "", {{0, 93 * M, 100 * M}}, 1, 4, false, {0}},
    {"segments that are through have nothing to give", 2 * M, "", {{0, 2 * M, 2 * M}}, 1, 4, false, {0}},
    {"a segment that wrote past its end misses nothing",
     40 * M,
     "",
     {{0, 12 * M, 10 * M}},
     1,
     2,
     true,
     {10 * M, 25 * M, -1}},
    {"an end beyond the total is the total",
     10 * M,
     "",
     {{0, 0, 99 * M}},
     1,
     2,
     true,
     {5 * M, 10 * M, 0}},
};

/* One cut at a time: where, how much, and from whom. */
static void test_plan_rows(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        struct dlm_block blocks[MAX_BLOCKS];
        size_t n = draw(r->blocks, r->total, blocks);
        struct dlm_cut cut = {-7, -7, -7};
        bool found = dlm_plan_next(blocks, n, r->total, r->active, r->n_active, r->wanted, &cut);

        test_about("%s", r->about);
        CHECK_INT(found, r->found);
        CHECK_INT(cut.start, r->found ? r->cut.start : -7);
        CHECK_INT(cut.end, r->found ? r->cut.end : -7);
        CHECK_INT(cut.victim, r->found ? r->cut.victim : -7);
    }
}

/* How many connections: 4 over 16 MiB, at most 16, one for each 4 MiB, and one alone when ranges cannot be trusted. */
static void test_plan_connections(void)
{
    static const struct {
        int64_t total;
        int asked;
        bool strong;
        int64_t restarts;
        int want;
    } cases[] = {
        {16 * M, 0, true, 0, 1},      {16 * M + 1, 0, true, 0, 4}, {1 << 30, 0, true, 0, 4},
        {1 << 30, 0, false, 0, 1},    {-1, 8, true, 0, 1},         {1 << 30, 16, true, 0, 16},
        {1 << 30, 99, true, 0, 16},   {10 * M, 8, true, 0, 2},     {3 * M, 8, true, 0, 1},
        {0, 8, true, 0, 1},           {1 << 30, 1, true, 0, 1},    {1 << 30, -3, true, 0, 4},
        {1 << 30, 4, true, 1, 4},     {1 << 30, 4, true, 2, 1},    {1 << 30, 4, true, 3, 1},
        {INT64_MAX, 99, true, 0, 16},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_about("row %zu", i);
        CHECK_INT(dlm_plan_connections(cases[i].total, cases[i].asked, cases[i].strong,
                                       cases[i].restarts),
                  cases[i].want);
    }
}

/* The arithmetic of blocks, at the edges. */
static void test_plan_blocks(void)
{
    struct dlm_block blocks[MAX_BLOCKS];
    size_t n = draw("##5.", 4 * M, blocks);

    CHECK_INT(dlm_blocks_bytes(blocks, n), 2 * M + M / 2);
    CHECK_INT(dlm_blocks_bytes(NULL, 0), 0);
    CHECK_INT(dlm_blocks_count(0), 0);
    CHECK_INT(dlm_blocks_count(-1), 0);
    CHECK_INT(dlm_blocks_count(1), 1);
    CHECK_INT(dlm_blocks_count(M), 1);
    CHECK_INT(dlm_blocks_count(M + 1), 2);
    CHECK_INT(dlm_blocks_count(INT64_MAX), INT64_C(1) << 43);
    CHECK_INT(dlm_block_full(-1, 9), M);
    CHECK_INT(dlm_block_full(M + 7, 0), M);
    CHECK_INT(dlm_block_full(M + 7, 1), 7);
    CHECK_INT(dlm_block_full(M + 7, 2), 0);
}

/* ---- Whole downloads, played -------------------------------------------------------------- */

static uint64_t seed;

static uint32_t dice(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

struct play {
    int64_t total;
    size_t n_blocks;
    struct dlm_block blocks[MAX_BLOCKS];
    struct dlm_segment active[16];
    int n_active, wanted;
};

static void play_begin(struct play *p)
{
    p->total = 1 + (int64_t)dice(60) * M + dice((uint32_t)M);
    p->n_blocks = dlm_blocks_count(p->total);
    p->n_active = 0;
    p->wanted = 1 + (int)dice(16);
    for (size_t i = 0; i < p->n_blocks; i++) {
        uint32_t full = (uint32_t)dlm_block_full(p->total, i), kind = dice(4);

        p->blocks[i].len = kind == 0 ? full : kind == 1 ? dice(full) : 0;
    }
}

/* What was cut must be missing, nobody else's, and begin where a block or its filled part ends. */
static bool play_cut_is_good(const struct play *p, const struct dlm_cut *c)
{
    size_t first = (size_t)(c->start / DLM_BLOCK);

    if (c->start < 0 || c->start >= c->end || c->end > p->total)
        return false;
    if (c->start != (int64_t)first * DLM_BLOCK + p->blocks[first].len)
        return false;
    for (size_t i = first + 1; (int64_t)i * DLM_BLOCK < c->end; i++)
        if (p->blocks[i].len)
            return false;
    for (int i = 0; i < p->n_active; i++) {
        const struct dlm_segment *s = &p->active[i];

        if (i == c->victim ? c->start <= s->pos || c->end != s->end
                           : c->start < s->end && s->start < c->end)
            return false;
    }
    return true;
}

static void play_bytes(struct play *p, int k)
{
    struct dlm_segment *s = &p->active[k];
    int64_t burst = 1 + (int64_t)dice(3 * (uint32_t)M), n = MIN(s->end - s->pos, burst);

    while (n > 0) {
        size_t i = (size_t)(s->pos / DLM_BLOCK);
        int64_t part = MIN(n, (int64_t)(i + 1) * DLM_BLOCK - s->pos);

        p->blocks[i].len += (uint32_t)part;
        s->pos += part;
        n -= part;
    }
    if (s->pos == s->end || dice(20) == 0) /* through, or broken off */
        *s = p->active[--p->n_active];
}

static bool play_add(struct play *p)
{
    struct dlm_cut c;

    if (!dlm_plan_next(p->blocks, p->n_blocks, p->total, p->active, p->n_active, p->wanted, &c))
        return false;
    CU_ASSERT_FATAL(play_cut_is_good(p, &c));
    if (c.victim >= 0)
        p->active[c.victim].end = c.start;
    p->active[p->n_active++] = (struct dlm_segment){c.start, c.start, c.end};
    return true;
}

/* 3,000 downloads with random holes, speeds and breaks: each byte is fetched once, and all of them. */
static void test_plan_plays_whole_downloads(void)
{
    static struct play p;

    for (unsigned round = 0; round < 3000; round++) {
        seed = round;
        test_about("seed %u", round);
        play_begin(&p);
        for (;;) {
            while (play_add(&p))
                ;
            if (!p.n_active)
                break;
            play_bytes(&p, (int)dice((uint32_t)p.n_active));
        }
        CU_ASSERT_FATAL(dlm_blocks_bytes(p.blocks, p.n_blocks) == p.total);
        for (size_t i = 0; i < p.n_blocks; i++)
            CU_ASSERT_FATAL(p.blocks[i].len == dlm_block_full(p.total, i));
    }
}

static const struct test tests[] = {
    TEST(test_plan_rows),
    TEST(test_plan_connections),
    TEST(test_plan_blocks),
    TEST(test_plan_plays_whole_downloads),
};

TEST_MAIN("plan", tests)
