/* SPDX-License-Identifier: MIT */
/*
 * test_hello.c - which protocol two programs choose, and what is said when they have none in common.
 */
#include "tests/lib/test.h"

#include "dlmgr/hello.h"

#include <stdio.h>

/* The highest common number, seen from both sides; otherwise the side whose newest is below the other's oldest is the older one. */
static void test_hello_choice_by_rows(void)
{
    static const struct {
        struct dlm_range ours, theirs;
        int64_t here, there;
    } rows[] = {
        {{1, 1}, {1, 1}, 1, 1},
        {{1, 1}, {1, 2}, 1, 1},
        {{1, 3}, {2, 5}, 3, 3},
        {{1, 9}, {4, 5}, 5, 5},
        {{3, 4}, {4, 9}, 4, 4},
        {{1, 1}, {2, 2}, DLM_UPGRADE_OURS, DLM_UPGRADE_THEIRS},
        {{1, 3}, {4, 9}, DLM_UPGRADE_OURS, DLM_UPGRADE_THEIRS},
        {{1, 1}, {0, 0}, DLM_UPGRADE_THEIRS, DLM_UPGRADE_OURS}, /* it did not say */
        {{1, 1}, {INT64_MAX, INT64_MAX}, DLM_UPGRADE_OURS, DLM_UPGRADE_THEIRS},
        {{1, 1}, {INT64_MIN, -1}, DLM_UPGRADE_THEIRS, DLM_UPGRADE_OURS},
        {{1, 1}, {INT64_MIN, INT64_MAX}, 1, 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        CHECK_INT(dlm_hello_choose(rows[i].ours, rows[i].theirs), rows[i].here);
        CHECK_INT(dlm_hello_choose(rows[i].theirs, rows[i].ours), rows[i].there);
    }
}

/* ' stands for ", @ for our oldest number and # for our newest. */
static json_t *object(const char *text)
{
    static const int numbers[] = {DLM_PROTOCOL_OLDEST, DLM_PROTOCOL_NEWEST};
    struct dlm_buf b = {0};
    char number[24];
    json_t *json;

    for (const char *p = text; *p; p++) {
        snprintf(number, sizeof(number), "%d", numbers[*p == '#']);
        dlm_buf_add(&b, *p == '\'' ? "\"" : p, 1);
        if (*p == '@' || *p == '#') {
            b.len--;
            dlm_buf_puts(&b, number);
        }
    }
    json = json_loadb(b.data, b.len, 0, NULL);
    dlm_buf_free(&b);
    CU_ASSERT_FATAL(json != NULL);
    return json;
}

static void has(const dlmgr_error *e, const char *word)
{
    if (!strstr(e->text, word))
        CHECK_STR(e->text, word);
}

/* What programs of yesterday and of tomorrow say, and what this one answers as the owner. */
static void test_hello_answers_by_rows(void)
{
    static const struct {
        const char *params;
        int64_t protocol; /* 0: refused */
        const char *words[2];
    } rows[] = {
        {"{'protocol':@}", DLM_PROTOCOL_OLDEST, {0}}, /* all that the first dlmgr said */
        {"{'protocol':@,'protocol_newest':99,'version':'9','more':{}}", DLM_PROTOCOL_NEWEST, {0}},
        {"{'protocol':#,'protocol_newest':'x'}", DLM_PROTOCOL_NEWEST, {0}},
        {"{'protocol':#,'protocol_newest':0}", DLM_PROTOCOL_NEWEST, {0}},
        {"{'protocol':98,'protocol_newest':99,'version':'9.1'}",
         0,
         {"this program (dlmgr 9.1) speaks protocols 98 to 99: upgrade the owner",
          "`dlmgr daemon restart`"}},
        {"{'protocol':99}", 0, {"this program speaks protocol 99: upgrade the owner"}},
        {"{}", 0, {"speaks protocol 0: upgrade this program", "start it anew"}},
        {"{'protocol':'1','version':7}", 0, {"speaks protocol 0: upgrade this program"}},
        {"{'protocol':-5,'protocol_newest':0}", 0, {"speaks protocols -5 to 0: upgrade this program"}},
    };
    char us[64];

    snprintf(us, sizeof(us), "the owner of the home (dlmgr %s) speaks protocol", DLMGR_VERSION);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_JSON json_t *params = object(rows[i].params);
        CLEANUP_JSON json_t *answer = NULL;
        dlmgr_error e = {0};
        int r = dlm_hello_answer(params, &answer, &e);

        test_about("row %zu: %s", i, e.text);
        CHECK_INT(r, rows[i].protocol ? 0 : DLMGR_EPROTO);
        CHECK_INT(dlm_json_int(answer, "protocol", 0), rows[i].protocol);
        if (r == 0)
            CHECK_STR(dlm_json_string(answer, "version"), DLMGR_VERSION);
        else
            has(&e, us);
        for (size_t n = 0; n < ARRAY_SIZE(rows[i].words) && rows[i].words[n]; n++)
            has(&e, rows[i].words[n]);
    }
}

/* What owners of yesterday and of tomorrow answer, and what this one makes of it as their client. */
static void test_hello_reads_by_rows(void)
{
    static const struct {
        const char *answer;
        int code;
        const char *word;
    } rows[] = {
        {"{'protocol':@,'version':'0.1.0','pid':7}", DLM_PROTOCOL_OLDEST, NULL},
        {"{'protocol':#,'protocol_oldest':1,'protocol_newest':99}", DLM_PROTOCOL_NEWEST, NULL},
        {"{'protocol':99,'protocol_oldest':98,'protocol_newest':99,'version':'9.1'}", DLMGR_EPROTO,
         "the owner of the home (dlmgr 9.1) speaks protocols 98 to 99, this program (dlmgr "},
        {"{'protocol':99}", DLMGR_EPROTO, "upgrade this program"},
        {"{'protocol':0,'version':'0.0.1'}", DLMGR_EPROTO, "upgrade the owner"},
        {"{}", DLMGR_EPROTO, "upgrade the owner"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_JSON json_t *answer = object(rows[i].answer);
        dlmgr_error e = {0};

        test_about("row %zu: %s", i, e.text);
        CHECK_INT(dlm_hello_read(answer, &e), rows[i].code);
        if (rows[i].word)
            has(&e, rows[i].word);
    }
}

/* Both ends of one build understand each other, and the first dlmgr's owner is told its own number first. */
static void test_hello_there_and_back(void)
{
    CLEANUP_JSON json_t *ask = dlm_hello_ask(), *answer = NULL;
    int oldest = 0;

    CHECK_INT(dlm_json_int(ask, "protocol", 0), DLM_PROTOCOL_OLDEST);
    CHECK_INT(dlm_hello_answer(ask, &answer, NULL), 0);
    CHECK_INT(dlm_hello_read(answer, NULL), DLM_PROTOCOL_NEWEST);
    CHECK_INT(dlmgr_protocol(&oldest), DLM_PROTOCOL_NEWEST);
    CHECK_INT(oldest, DLM_PROTOCOL_OLDEST);
    CHECK_INT(dlmgr_protocol(NULL), DLM_PROTOCOL_NEWEST);
}

/* A version is foreign text: however long, the remedy is still there. */
static void test_hello_long_version(void)
{
    char version[2000];
    CLEANUP_JSON json_t *params = NULL, *answer = NULL;
    dlmgr_error e = {0};

    memset(version, 'v', sizeof(version));
    version[sizeof(version) - 1] = '\0';
    params = json_pack("{s:I, s:I, s:s}", "protocol", (json_int_t)INT64_MAX - 1, "protocol_newest",
                       (json_int_t)INT64_MAX, "version", version);
    CHECK_INT(dlm_hello_answer(params, &answer, &e), DLMGR_EPROTO);
    has(&e, "upgrade the owner; `dlmgr daemon restart` with the newer dlmgr does that to a daemon");
}

static const struct test tests[] = {
    TEST(test_hello_choice_by_rows), TEST(test_hello_answers_by_rows),
    TEST(test_hello_reads_by_rows),  TEST(test_hello_there_and_back),
    TEST(test_hello_long_version),
};

TEST_MAIN("hello", tests)
