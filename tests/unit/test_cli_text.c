/* SPDX-License-Identifier: MIT */
/*
 * test_cli_text.c - foreign text on a terminal, widths, and numbers for people: rows of cli/text.c and cli/progress.c.
 *
 * The promise to people: whatever a server or a name contains, the terminal gets printable characters only, and a progress
 * line is never wider than the terminal.
 */
#include "cli/progress.c"
#include "cli/text.c"

#include "tests/lib/test.h"

#include <locale.h>
#include <time.h>

/* The pure files need this one name of the library; the test stands without it. */
const char *dlmgr_state_name(int state)
{
    static const char *const names[] = {"queued",  "running", "verifying", "committing", "done",
                                        "waiting", "paused",  "failed",    "cancelled"};

    return state >= 0 && state < 9 ? names[state] : NULL;
}

const dlmgr_task *dlmgr_list_at(const dlmgr_list *list, size_t i)
{
    (void)list;
    (void)i;
    return NULL;
}

/* progress.c asks for these; the lines under test do not. */
int64_t cli_clock(void)
{
    return 0;
}

void cli_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

static void test_cli_text_escapes_control_bidi_and_broken_bytes(void)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"plain name.iso", "plain name.iso"},
        {"caf\xc3\xa9 \xe6\x97\xa5", "caf\xc3\xa9 \xe6\x97\xa5"},
        {"back\\slash", "back\\slash"},
        {"\x1b[2Jx", "\\x1b[2Jx"},
        {"a\nb\tc\rd", "a\\x0ab\\x09c\\x0dd"},
        {"\x7f", "\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\x9b31m"}, /* C1: CSI in one character */
        {"gpj\xe2\x80\xae"
         "exe",
         "gpj\\u202eexe"},                                /* right-to-left override */
        {"\xe2\x81\xa6x\xe2\x81\xa9", "\\u2066x\\u2069"}, /* isolates */
        {"\xe2\x80\x8f", "\\u200f"},
        {"\xd8\x9c", "\\u061c"},
        {"\xef\xbb\xbf", "\\ufeff"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xc3(", "\\xc3("},
        {"\xc0\xaf", "\\xc0\\xaf"}, /* overlong slash */
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
        {"\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
        {"end\xe6\x97", "end\\xe6\\x97"},
        {"", ""},
    };
    char buf[128];
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        test_about("row %zu", i);
        CHECK_STR(cli_text_safe(rows[i].text, buf, sizeof(buf)), rows[i].expected);
    }
}

/* Cut between characters, never inside one or inside an escape. */
static void test_cli_text_safe_keeps_to_its_room(void)
{
    char buf[6];

    CHECK_STR(cli_text_safe("abcdefgh", buf, sizeof(buf)), "abcde");
    CHECK_STR(cli_text_safe("abcd\xc3\xa9", buf, sizeof(buf)), "abcd");
    CHECK_STR(cli_text_safe("ab\x1b", buf, sizeof(buf)), "ab");
}

static void test_cli_text_fits_columns(void)
{
    char wide[] =
        "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"; /* 12 columns */
    char text[] = "abcdefghijkl", same[] = "abc";

    CHECK_INT(cli_text_width(wide), 12);
    cli_text_fit(wide, 8);
    CHECK_STR(wide, "\xe6\x97\xa5\xe6\x9c\xac...");
    cli_text_fit(text, 10);
    CHECK_STR(text, "abcdefg...");
    cli_text_fit(text, 5);
    CHECK_STR(text, "abcde");
    cli_text_fit(same, 3);
    CHECK_STR(same, "abc");
    cli_text_fit(same, 0);
    CHECK_STR(same, "");
}

static void test_cli_text_numbers(void)
{
    static const struct {
        int64_t bytes;
        const char *expected;
    } rows[] = {
        {-1, "?"},
        {0, "0B"},
        {1023, "1023B"},
        {1024, "1.0k"},
        {1536, "1.5k"},
        {102400, "100k"},
        {1048575, "1023k"},
        {1048576, "1.0M"},
        {INT64_C(5) << 30, "5.0G"},
        {INT64_C(1) << 50, "1.0P"},
        {INT64_MAX, "819P"},
    };
    char buf[32];
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        test_about("%lld", (long long)rows[i].bytes);
        CHECK_STR(cli_text_bytes(rows[i].bytes, buf), rows[i].expected);
    }
    CHECK_STR(cli_text_span(-1, buf), "-:--");
    CHECK_STR(cli_text_span(7000, buf), "0:07");
    CHECK_STR(cli_text_span(3723000, buf), "1:02:03");
    CHECK_STR(cli_text_span(INT64_C(90000000), buf), "1d 1h");
    CHECK_STR(cli_text_span(INT64_MAX, buf), "99999d");
    CHECK_STR(cli_text_time(INT64_C(1772366400007), buf), "2026-03-01T12:00:00.007Z");
}

static void test_cli_text_names(void)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"/a/b/c.iso", "c.iso"},   {"c.iso", "c.iso"}, {"http://h/a/b.iso?x=/y#z", "b.iso"},
        {"http://h/a/", "a"},      {"http://h/", "h"}, {"http://h", "h"},
        {"/odd/name?x", "name?x"}, {"/", "/"},         {"", ""},
    };
    char buf[32];
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        test_about("%s", rows[i].text);
        CHECK_STR(cli_text_name(rows[i].text, buf, sizeof(buf)), rows[i].expected);
    }
}

static void test_cli_text_base64(void)
{
    char buf[16];

    CHECK_STR(cli_text_base64("", 0, buf), "");
    CHECK_STR(cli_text_base64("f", 1, buf), "Zg==");
    CHECK_STR(cli_text_base64("fo", 2, buf), "Zm8=");
    CHECK_STR(cli_text_base64("foo", 3, buf), "Zm9v");
    CHECK_STR(cli_text_base64("\xff\xfe\xfd"
                              "a",
                              4, buf),
              "//79YQ==");
}

/* Every width from nothing to wide: the line is not wider, and holds no control character. */
static void test_cli_progress_line_is_never_too_wide(void)
{
    static const dlmgr_task tasks[] = {
        {.state = DLMGR_RUNNING,
         .url = "http://h/\x1b[31m\xe6\x97\xa5\xe6\x9c\xac.iso",
         .bytes_done = 5,
         .bytes_total = 10,
         .speed = 3},
        {.state = DLMGR_RUNNING,
         .url = "http://h/x",
         .bytes_done = INT64_C(1) << 60,
         .bytes_total = -1,
         .speed = -1},
        {.state = DLMGR_RUNNING,
         .url = "http://h/x",
         .bytes_done = 1,
         .bytes_total = INT64_MAX,
         .speed = 1},
        {.state = DLMGR_WAITING, .url = "http://h/x", .bytes_total = -1, .wait_reason = "backoff"},
        {.state = DLMGR_DONE,
         .url = "http://h/x",
         .path = "/d/name",
         .bytes_done = 10,
         .bytes_total = 10},
    };
    size_t i, columns;
    char line[2048];

    setlocale(LC_CTYPE, "C.UTF-8");
    for (i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++)
        for (columns = 0; columns < 130; columns++) {
            test_about("task %zu in %zu columns", i, columns);
            cli_progress_line(&tasks[i], columns, line, sizeof(line));
            CU_ASSERT(cli_text_width(line) <= columns);
            CU_ASSERT(strpbrk(line, "\n\r\x1b") == NULL);
        }
}

static void test_cli_progress_line_says_how_far(void)
{
    dlmgr_task task = {.state = DLMGR_RUNNING,
                       .url = "http://h/a.iso",
                       .bytes_done = 5 << 20,
                       .bytes_total = 20 << 20,
                       .speed = 1 << 20};
    char line[256];

    CHECK_STR(cli_progress_line(&task, 79, line, sizeof(line)),
              " 25%     5.0M/20.0M     1.0M/s  ETA 0:15    a.iso");
    CHECK_STR(cli_progress_line(&task, 20, line, sizeof(line)), " 25% a.iso");
    task.state = DLMGR_WAITING;
    task.wait_reason = "storage";
    CHECK_STR(cli_progress_line(&task, 79, line, sizeof(line)),
              "waiting: storage                            a.iso");
}

static const struct test tests[] = {
    TEST(test_cli_text_escapes_control_bidi_and_broken_bytes),
    TEST(test_cli_text_safe_keeps_to_its_room),
    TEST(test_cli_text_fits_columns),
    TEST(test_cli_text_numbers),
    TEST(test_cli_text_names),
    TEST(test_cli_text_base64),
    TEST(test_cli_progress_line_is_never_too_wide),
    TEST(test_cli_progress_line_says_how_far),
};

TEST_MAIN("cli_text", tests)
