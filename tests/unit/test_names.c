/* SPDX-License-Identifier: MIT */
/*
 * test_names.c - safe names, and names made from names. Rows, and then random bytes that must always come out as one
 * safe component. In rows, {n} before a piece of text stands for n times that piece.
 */
#include "dlmgr/names.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define R(s) s, sizeof(s) - 1

/* "{300}x.tar" -> 300 times the character after the brace (a whole UTF-8 character), then the rest. */
static size_t expand(const char *s, size_t len, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (s[i] == '{') {
            char *end;
            long times = strtol(s + i + 1, &end, 10);
            size_t one = 1;

            i = (size_t)(end - s) + 1;
            while (i + one < len && ((unsigned char)s[i + one] & 0xc0) == 0x80)
                one++;
            for (; times > 0; times--, n += one)
                memcpy(out + n, s + i, one);
            i += one - 1;
        } else {
            out[n++] = s[i];
        }
    }
    out[n] = '\0';
    return n;
}

/* What a server names becomes one safe component, or "download". */
static void test_names_safe(void)
{
    static const struct {
        const char *raw;
        size_t len;
        const char *want;
    } rows[] = {
        {R("a.txt"), "a.txt"},
        {R(""), "download"},
        {R("."), "download"},
        {R(".."), "download"},
        {R("...."), "download"},
        {R(" . . "), "download"},
        {R("   "), "download"},
        {R("/"), "download"},
        {R("a/"), "download"},
        {R("a/.."), "download"},
        {R("a\\"), "download"},
        {R("../../etc/passwd"), "passwd"},
        {R("/etc/passwd"), "passwd"},
        {R("C:\\Windows\\x.dll"), "x.dll"},
        {R("a/b\\c/d"), "d"},
        {R(".bashrc"), "bashrc"},
        {R("..hidden"), "hidden"},
        {R(". .x"), "x"},
        {R("  a b  "), "a b"},
        {R("a."), "a."},
        {R("-rf"), "-rf"},
        {R("a\nb\tc\x7f"
           "d"),
         "abcd"},
        {R("a\0b"), "ab"},
        {R("\1\2\3"), "download"},
        {R("a\xc2\x80\xc2\x9f"
           "b\xc2\xa0"),
         "ab\xc2\xa0"},
        {R("exe.\xe2\x80\xaegpj.scr"), "exe.gpj.scr"},
        {R("\xe2\x81\xa6"
           "a\xe2\x81\xa9\xe2\x80\x8f\xd8\x9c"),
         "a"},
        {R("a\xe2\x80\x8b"
           "b\xef\xbb\xbf"
           "c\xc2\xad"
           "d"),
         "abcd"},
        {R(".\xe2\x80\x8b./x"), "x"},
        {R(".\xe2\x80\x8b.\xe2\x80\x8b"), "download"},
        {R("\xe2\x80\x8b.profile"), "profile"},
        {R("\xe2\x80\x8b\xf3\xa0\x80\x81"), "download"},
        {R("a\xe2\x80\xa8"
           "b\xe2\x80\xa9"
           "c"),
         "abc"},
        {R("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.txt"), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.txt"},
        {R("a\xff"
           "b"),
         "a_b"},
        {R("a\x80"), "a_"},
        {R("\xc0\xaf\xc1\xbf"), "____"},
        {R("\xe0\x80\xaf"), "___"},
        {R("\xf0\x80\x80\xaf"), "____"},
        {R("\xed\xa0\x80"), "___"},
        {R("\xed\x9f\xbf\xee\x80\x80"), "\xed\x9f\xbf\xee\x80\x80"},
        {R("\xf4\x8f\xbf\xbd"), "\xf4\x8f\xbf\xbd"},
        {R("\xf4\x90\x80\x80"), "____"},
        {R("\xf5\x80\x80\x80"), "____"},
        {R("a\xe2\x82"), "a__"},
        {R("a\xe2\x82x"), "a__x"},
        {R("a\xc3"), "a_"},
        {R("{255}x"), "{255}x"},
        {R("{256}x"), "{255}x"},
        {R("{252}x   y"), "{252}x"},
        {R("{300}x.txt"), "{251}x.txt"},
        {R("{300}x.tar.gz"), "{248}x.tar.gz"},
        {R("{300}x.{31}e"), "{223}x.{31}e"},
        {R("{300}x.{32}e"), "{255}x"},
        {R("{300}x."), "{255}x"},
        {R("a.{300}x"), "a.{253}x"},
        {R("{200}\xc3\xa9.txt"), "{125}\xc3\xa9.txt"},
        {R("a{100}\xe2\x82\xac"), "a{84}\xe2\x82\xac"},
        {R("b{100}\xf0\x9f\x98\x80.x"), "b{63}\xf0\x9f\x98\x80.x"},
        {R("{4096}a.txt"), "{251}a.txt"},
        {R("{20000}a.txt"), "{251}a.txt"},
        {R("{20000}a/b"), "b"},
        {R("{5000}\x01.txt"), "txt"},
    };
    static char raw[32768], want[1024];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[DLM_NAME_SIZE];
        size_t len = expand(rows[i].raw, rows[i].len, raw);

        expand(rows[i].want, strlen(rows[i].want), want);
        test_about("row %zu: %s", i, rows[i].raw);
        dlm_name_safe(raw, len, out);
        CHECK_STR(out, want);
    }
}

/* Each range of characters that a name may not hold: its first, its last, and the neighbours that may stay. */
static void test_names_dropped_characters(void)
{
    static const struct {
        const char *raw, *want;
    } rows[] = {
        {"x\xcd\x8f", "x"},
        {"x\xcd\x8e", "x\xcd\x8e"},
        {"x\xe1\x85\x9f\xe1\x85\xa0", "x"},
        {"x\xe1\x9e\xb4", "x"},
        {"x\xe1\xa0\x8e", "x"},
        {"x\xe2\x80\x8a", "x\xe2\x80\x8a"},
        {"x\xe2\x80\xaa", "x"},
        {"x\xe2\x80\xaf", "x\xe2\x80\xaf"},
        {"x\xe2\x81\xa0\xe2\x81\xaf", "x"},
        {"x\xe3\x85\xa4", "x"},
        {"x\xef\xbe\xa0", "x"},
        {"x\xef\xbf\xb9\xef\xbf\xbb", "x"},
        {"x\xef\xbf\xbd", "x\xef\xbf\xbd"},
        {"x\xef\xbf\xbf", "x"},
        {"x\xf0\x9d\x85\xb3", "x"},
        {"x\xf3\xa0\x84\x80", "x"},
        {"x\xc2\xac\xc2\xae", "x\xc2\xac\xc2\xae"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[DLM_NAME_SIZE];

        test_about("row %zu", i);
        dlm_name_safe(rows[i].raw, strlen(rows[i].raw), out);
        CHECK_STR(out, rows[i].want);
    }
}

/* The last segment of the path, decoded, never the query or the host. */
static void test_names_from_url(void)
{
    static const struct {
        const char *url, *want;
    } rows[] = {
        {"http://h/a/b.iso", "b.iso"},
        {"http://h/b.iso?x=/y/z.exe#/q", "b.iso"},
        {"http://h/b.iso#x/y", "b.iso"},
        {"http://h/", "download"},
        {"http://h", "download"},
        {"http://h?x=/y.iso", "download"},
        {"http://h/a/", "download"},
        {"http://h/..", "download"},
        {"http://h/%2e%2e", "download"},
        {"http://h/a%20b%C3%A9.txt", "a b\xc3\xa9.txt"},
        {"http://h/a+b.txt", "a+b.txt"},
        {"http://h/..%2F..%2fetc%2Fpasswd", "passwd"},
        {"http://h/x%5c..%5Cy.txt", "y.txt"},
        {"http://h/a%00b", "ab"},
        {"http://h/100%", "100%"},
        {"http://h/1%zz%4", "1%zz%4"},
        {"http://h/%4g%G1", "%4g%G1"},
        {"http://h/%ff.bin", "_.bin"},
        {"http://h/%E2%80%AEx", "x"},
        {"http://h/%2ehidden", "hidden"},
        {"http://h/a;v=1", "a;v=1"},
        {"http://h/{9000}a.tar.xz", "{248}a.tar.xz"},
        {"plain.txt", "download"},
        {"plain/x.txt", "x.txt"},
    };
    static char url[10000], want[1024];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[DLM_NAME_SIZE];

        expand(rows[i].url, strlen(rows[i].url), url);
        expand(rows[i].want, strlen(rows[i].want), want);
        test_about("%s", rows[i].url);
        dlm_name_from_url(url, out);
        CHECK_STR(out, want);
    }
}

/* RFC 6266 with its examples, then what servers send, then what attackers send. NULL: names nothing. */
static void test_names_from_disposition(void)
{
    static const struct {
        const char *value, *want;
    } rows[] = {
        {"Attachment; filename=example.html", "example.html"},
        {"INLINE; FILENAME= \"an example.html\"", "an example.html"},
        {"attachment; filename*= UTF-8''%e2%82%ac%20rates", "\xe2\x82\xac rates"},
        {"attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates",
         "\xe2\x82\xac rates"},
        {"attachment; filename*=utf-8''b; filename=a", "b"},
        {"attachment;filename*=UTF-8'en'a%2Fb.txt", "b.txt"},
        {"attachment; filename*=iso-8859-1'en'%A3%20rates", "\xc2\xa3 rates"},
        {"attachment; filename*=ISO-8859-1''plain", "plain"},
        {"attachment; filename*=\"UTF-8''x%20y\"", "x y"},
        {"attachment; filename*=koi8-r''%c1; filename=a", "a"},
        {"attachment; filename*=UTF-8''%zz; filename=a", "a"},
        {"attachment; filename*=UTF-8''100%; filename=a", "a"},
        {"attachment; filename*=UTF-8''; filename=a", "a"},
        {"attachment; filename*=UTF-8'x; filename=a", "a"},
        {"attachment; filename*=x; filename=a", "a"},
        {"attachment; filename*=; filename=a", "a"},
        {"attachment; filename*=UTF-8''%zz", NULL},
        {"attachment; filename*=UTF-8''%ff", "_"},
        {"attachment; filename*=UTF-8''..", "download"},
        {"attachment; filename=a; filename=b", "a"},
        {"attachment; filename*=UTF-8''a; filename*=UTF-8''b", "a"},
        {"filename=x.txt", "x.txt"},
        {"  ; ;attachment ;  filename = x.txt  ; y=z", "x.txt"},
        {"attachment; filename=two words.txt", "two words.txt"},
        {"attachment; filename=\"a\\\"b\\\\c.txt\"", "c.txt"},
        {"attachment; filename=\"a\\\"b.txt\"", "a\"b.txt"},
        {"attachment; filename=\"a;b=c.txt\"; x=y", "a;b=c.txt"},
        {"attachment; filename=\"a\" junk; x=y", "a"},
        {"attachment; filename=\"open", "open"},
        {"attachment; filename=\"open\\", "download"},
        {"attachment; filename=\"50%25.txt\"", "50%25.txt"},
        {"attachment; filename=\"\xc3\xa9.txt\"", "\xc3\xa9.txt"},
        {"attachment; filename=\"\xe9.txt\"", "\xc3\xa9.txt"},
        {"attachment; filename=\"../../x\"", "x"},
        {"attachment; filename=\"..\"", "download"},
        {"attachment; filename=\".ssh\"", "ssh"},
        {"attachment; filename=\"\"", NULL},
        {"attachment; filename=", NULL},
        {"attachment; filename= ;x", NULL},
        {"attachment; filename", NULL},
        {"attachment; filenames=x; xfilename=y", NULL},
        {"attachment; x=\"filename=y\"", NULL},
        {"attachment; x=\"a; filename=evil\"; filename=good", "good"},
        {"attachment", NULL},
        {"", NULL},
        {";;", NULL},
        {"=", NULL},
        {"=x; filename=a", "a"},
        {"attachment; filename={4096}a", "{255}a"},
        {"attachment; filename={4097}a", NULL},
        {"attachment; filename=\"{4096}a\"", "{255}a"},
        {"attachment; filename=\"{4097}a\"", NULL},
        {"attachment; x={9000}a; filename=b", "b"},
        {"attachment; filename={4096}\xe9", "{127}\xc3\xa9"},
    };
    static char value[10000], want[1024];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[DLM_NAME_SIZE] = "untouched";
        size_t len = expand(rows[i].value, strlen(rows[i].value), value);

        expand(rows[i].want ? rows[i].want : "untouched",
               strlen(rows[i].want ? rows[i].want : "untouched"), want);
        test_about("%s", rows[i].value);
        CHECK_INT(dlm_name_from_disposition(value, len, out), rows[i].want != NULL);
        CHECK_STR(out, want);
    }
}

/* name.1.ext, with .tar.ext as one; never over 255 bytes, never cut in a character. */
static void test_names_numbered(void)
{
    static const struct {
        const char *name;
        int n;
        const char *want;
    } rows[] = {
        {"a.txt", 0, "a.txt"},
        {"a.txt", 1, "a.1.txt"},
        {"a.tar.gz", 2, "a.2.tar.gz"},
        {"a", 3, "a.3"},
        {"tar.gz", 1, "tar.1.gz"},
        {".tar.gz", 1, ".tar.1.gz"},
        {"a.tar", 1, "a.1.tar"},
        {".bashrc", 1, ".bashrc.1"},
        {"a.", 1, "a..1"},
        {"a.b.c", 1, "a.b.1.c"},
        {"a.1.txt", 1, "a.1.1.txt"},
        {"a.txt", 2147483647, "a.2147483647.txt"},
        {"a.txt", -1, "a.txt"},
        {"{255}x", 1, "{253}x.1"},
        {"{251}x.txt", 10, "{248}x.10.txt"},
        {"{248}x.tar.gz", 1, "{246}x.1.tar.gz"},
        {"{127}\xc3\xa9x", 1, "{126}\xc3\xa9.1"},
        {"{255}\x80", 1, "{250}\x80.1"},
    };
    char name[1024], want[1024];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[DLM_NAME_SIZE];

        expand(rows[i].name, strlen(rows[i].name), name);
        expand(rows[i].want, strlen(rows[i].want), want);
        test_about("row %zu: %s", i, rows[i].name);
        dlm_name_numbered(name, rows[i].n, out);
        CHECK_STR(out, want);
    }
}

/* NAME.<id>-<tag>.part, NAME cut so that it fits. */
static void test_names_part(void)
{
    static const struct {
        const char *name;
        int64_t id;
        const char *want;
    } rows[] = {
        {"a.txt", 7, "a.txt.7-0f3c.part"},
        {"{255}x", 7, "{243}x.7-0f3c.part"},
        {"{255}x", INT64_MAX, "{225}x.9223372036854775807-0f3c.part"},
        {"{127}\xc3\xa9", 12, "{121}\xc3\xa9.12-0f3c.part"},
        {"", 1, ".1-0f3c.part"},
    };
    char name[1024], want[1024];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[DLM_NAME_SIZE];

        expand(rows[i].name, strlen(rows[i].name), name);
        expand(rows[i].want, strlen(rows[i].want), want);
        test_about("row %zu", i);
        dlm_name_part(name, rows[i].id, "0f3c", out);
        CHECK_STR(out, want);
    }
}

/* The caller's name is taken as it is or refused with the reason. NULL: accepted. */
static void test_names_out(void)
{
    static const struct {
        const char *out, *why;
    } rows[] = {
        {"a", NULL},          {"a/b/c.txt", NULL}, {".hidden", NULL},       {"...", NULL},
        {"..a/.b", NULL},     {"a b\\c", NULL},    {"\xff\xfe", NULL},      {"{255}x", NULL},
        {"a/{255}x/b", NULL}, {"-", NULL},         {"", "is empty"},        {"/a", "relative"},
        {"/", "relative"},    {"..", "\"..\""},    {"../a", "\"..\""},      {"a/../b", "\"..\""},
        {"a/..", "\"..\""},   {".", "\".\""},      {"./a", "\".\""},        {"a/./b", "\".\""},
        {"a/", "empty"},      {"a//b", "empty"},   {"a\nb", "control"},     {"a\x7f", "control"},
        {"{256}x", "255"},    {"a/{256}x", "255"}, {"{5000}x", "too long"}, {"a\x1f/b", "control"},
    };
    static char out[6000];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        dlmgr_error e = {0};

        expand(rows[i].out, strlen(rows[i].out), out);
        test_about("row %zu: %s", i, rows[i].out);
        CHECK_INT(dlm_name_out_ok(out, &e), rows[i].why ? DLMGR_EINVAL : 0);
        CU_ASSERT(!rows[i].why || strstr(e.text, rows[i].why) != NULL);
    }
}

static void test_names_percent_decode(void)
{
    char text[] = "a%41%4a%4A%%4";
    bool is_clean = true;
    size_t n = dlm_percent_decode(text, strlen(text), &is_clean);

    CHECK_INT(n, 7);
    CHECK_MEM(text, "aAJJ%%4", 7);
    CHECK_INT(is_clean, false);
    memcpy(text, "%2f", 3);
    CHECK_INT(dlm_percent_decode(text, 3, &is_clean), 1);
    CHECK_INT(is_clean, true);
}

/* Any bytes at all: one component, UTF-8, 1 to 255 bytes, no dot at its start; and safe already means unchanged. */
static void test_names_random_bytes(void)
{
    static const char pieces[] =
        "./\\ \x80\xe2\x82\xac\xc3\xa9\xef\xbb\xbf.tar.gz\x01%\"';=filename*UTF-8";
    uint64_t seed = 1;

    for (unsigned round = 0; round < 50000; round++) {
        char raw[700], out[DLM_NAME_SIZE], again[DLM_NAME_SIZE];
        size_t len;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        len = (size_t)(seed >> 40) % sizeof(raw);
        for (size_t i = 0; i < len; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            raw[i] = round % 2 ? (char)(seed >> 33) : pieces[(seed >> 33) % (sizeof(pieces) - 1)];
        }
        if (round % 3 || !dlm_name_from_disposition(raw, len, out))
            dlm_name_safe(raw, len, out);
        dlm_name_safe(out, strlen(out), again);
        test_about("round %u: %s", round, out);
        CU_ASSERT_FATAL(out[0] != '\0' && out[0] != '.' && out[0] != ' ' &&
                        !strpbrk(out, "/\\\x01\x7f"));
        CU_ASSERT_FATAL(strlen(out) <= DLM_NAME_MAX && dlm_is_utf8(out, strlen(out)));
        if (out[strlen(out) - 1] != ' ')
            CU_ASSERT_FATAL(strcmp(out, again) == 0);
    }
}

static const struct test tests[] = {
    TEST(test_names_safe),         TEST(test_names_dropped_characters),
    TEST(test_names_from_url),     TEST(test_names_from_disposition),
    TEST(test_names_numbered),     TEST(test_names_part),
    TEST(test_names_out),          TEST(test_names_percent_decode),
    TEST(test_names_random_bytes),
};

TEST_MAIN("names", tests)
