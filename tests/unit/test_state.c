/* SPDX-License-Identifier: MIT */
/*
 * test_state.c - the states of a task: names, ends, events, and each of the 81 pairs.
 *
 * The pairs stand here as a drawing, made by hand and not from the table that is tested. That the
 * journal asks this table for every one of them is in test_store.c.
 */
#include "store/state.h"
#include "tests/lib/test.h"

/* Each row: from; each column: to, in the order of enum dlmgr_state. x: allowed. */
static const char *const may[DLM_STATES] = {
    /*                  qrvcdwpfx */
    [DLMGR_QUEUED] = ".x...xx.x",    [DLMGR_RUNNING] = "x.xx.xxxx",
    [DLMGR_VERIFYING] = "x..x.xxxx", [DLMGR_COMMITTING] = "x..xxx.x.",
    [DLMGR_DONE] = ".........",      [DLMGR_WAITING] = "x....xx.x",
    [DLMGR_PAUSED] = "x....x..x",    [DLMGR_FAILED] = "x........",
    [DLMGR_CANCELLED] = "x........",
};

/* Every pair is allowed or refused as drawn. */
static void test_state_every_pair(void)
{
    for (int from = 0; from < DLM_STATES; from++)
        for (int to = 0; to < DLM_STATES; to++) {
            test_about("%s -> %s", dlm_state_name(from), dlm_state_name(to));
            CHECK_INT(dlm_state_may(from, to), may[from][to] == 'x');
        }
}

/* Nothing leads from or to a state that does not exist. */
static void test_state_out_of_range(void)
{
    for (int i = 0; i < DLM_STATES; i++) {
        CU_ASSERT(!dlm_state_may(-1, i) && !dlm_state_may(i, -1));
        CU_ASSERT(!dlm_state_may(DLM_STATES, i) && !dlm_state_may(i, DLM_STATES));
    }
    CU_ASSERT(dlm_state_name(-1) == NULL && dlm_state_name(DLM_STATES) == NULL);
    CU_ASSERT(dlm_state_event(-1) == NULL && dlm_state_event(DLM_STATES) == NULL);
    CU_ASSERT(!dlm_state_ended(-1) && !dlm_state_ended(DLM_STATES));
}

/* A name leads back to its state; other words lead to none. */
static void test_state_names(void)
{
    for (int i = 0; i < DLM_STATES; i++)
        CHECK_INT(dlm_state_parse(dlm_state_name(i)), i);
    CHECK_STR(dlm_state_name(DLMGR_QUEUED), "queued");
    CHECK_STR(dlm_state_name(DLMGR_CANCELLED), "cancelled");
    CHECK_INT(dlm_state_parse("canceled"), -1);
    CHECK_INT(dlm_state_parse(""), -1);
    CHECK_INT(dlm_state_parse(NULL), -1);
}

/* The three ends are told, and waiting; nothing else is. */
static void test_state_events(void)
{
    for (int i = 0; i < DLM_STATES; i++) {
        bool ended = i == DLMGR_DONE || i == DLMGR_FAILED || i == DLMGR_CANCELLED;

        test_about("%s", dlm_state_name(i));
        CHECK_INT(dlm_state_ended(i), ended);
        CHECK_STR(dlm_state_event(i), ended || i == DLMGR_WAITING ? dlm_state_name(i) : NULL);
    }
}

static const struct test tests[] = {
    TEST(test_state_every_pair),
    TEST(test_state_out_of_range),
    TEST(test_state_names),
    TEST(test_state_events),
};

TEST_MAIN("state", tests)
