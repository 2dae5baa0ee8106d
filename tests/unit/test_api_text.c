/* SPDX-License-Identifier: MIT */
/*
 * test_api_text.c - every code and every state has its own text, and nothing else has one.
 */
#include "store/state.h"

#include "tests/lib/test.h"

/* No two codes share a text, so none was forgotten and fell to the default. */
static void test_each_code_has_its_own_text(void)
{
    for (int a = 0; a >= DLMGR_ELOST; a--) {
        CU_ASSERT_STRING_NOT_EQUAL(dlmgr_strerror(a), "unknown error");
        for (int b = a - 1; b >= DLMGR_ELOST; b--)
            CU_ASSERT_STRING_NOT_EQUAL(dlmgr_strerror(a), dlmgr_strerror(b));
    }
    CU_ASSERT_STRING_EQUAL(dlmgr_strerror(1), "unknown error");
    CU_ASSERT_STRING_EQUAL(dlmgr_strerror(DLMGR_ELOST - 1), "unknown error");
}

static void test_state_names_go_both_ways(void)
{
    for (int state = 0; state < DLM_STATES; state++)
        CU_ASSERT_EQUAL(dlm_state_parse(dlmgr_state_name(state)), state);
    CU_ASSERT_PTR_NULL(dlmgr_state_name(-1));
    CU_ASSERT_PTR_NULL(dlmgr_state_name(DLM_STATES));
    CU_ASSERT_EQUAL(dlm_state_parse("asleep"), -1);
}

static const struct test tests[] = {
    {"each_code_has_its_own_text", test_each_code_has_its_own_text},
    {"state_names_go_both_ways", test_state_names_go_both_ways},
};

TEST_MAIN("api_text", tests)
