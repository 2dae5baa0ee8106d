/* SPDX-License-Identifier: MIT */
/*
 * fuzz_range.c - Content-Range against a slow reader of the same grammar: a regular expression, and strtoull.
 *
 * Each line of the input is the value of one field. Alone, both readers must agree on what it says; after others, it must say the same as all of
 * them, or nothing.
 */
#include "dlmgr/headers.h"
#include "tests/fuzz/fuzz.h"

#include <regex.h>

static const char grammar[] = "^bytes [ \t]*(\\*|([0-9]+)-([0-9]+))[ \t]*/(\\*|([0-9]+))$";

/* A number of the text; false: beyond what an int64_t has. */
static bool number(const char *text, const regmatch_t *m, int64_t *ret)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text + m->rm_so, &end, 10);
    *ret = (int64_t)n;
    return errno == 0 && n <= INT64_MAX && end == text + m->rm_eo;
}

static struct dlm_content_range read_slowly(const char *value, size_t len)
{
    static regex_t regex;
    static bool compiled;
    struct dlm_content_range r = {.present = true, .total = -1};
    CLEANUP_FREE char *text = dlm_strndup(value, len);
    regmatch_t m[6];
    int64_t last = 0;

    if (!compiled)
        MUST(regcomp(&regex, grammar, REG_EXTENDED | REG_ICASE) == 0);
    compiled = true;
    MUST(text != NULL);
    if (strlen(text) < len || regexec(&regex, text, ARRAY_SIZE(m), m, 0) != 0)
        return r;
    if (m[5].rm_so >= 0 && !number(text, &m[5], &r.total))
        return r;
    if (m[2].rm_so < 0) {
        r.valid = r.unsatisfied = r.total >= 0;
        return r;
    }
    r.valid = number(text, &m[2], &r.start) && number(text, &m[3], &last) && last < INT64_MAX &&
              r.start <= last && (r.total < 0 || last < r.total);
    r.end = last + r.valid;
    return r;
}

static bool same(const struct dlm_content_range *a, const struct dlm_content_range *b)
{
    if (!a->valid || !b->valid)
        return a->valid == b->valid;
    return a->unsatisfied == b->unsatisfied && a->total == b->total &&
           (a->unsatisfied || (a->start == b->start && a->end == b->end));
}

static void feed(struct dlm_answer *a, const char *value, size_t len)
{
    struct dlm_buf b = {0};

    dlm_buf_puts(&b, "Content-Range:");
    dlm_buf_add(&b, value, len);
    MUST(!b.failed && dlm_answer_line(a, b.data, b.len) == 0 && a->range.present);
    dlm_buf_free(&b);
}

/* A line is read without the white space around it, and without line ends behind it. */
static struct bytes strip(struct bytes line)
{
    while (line.left && memchr("\r\n", line.at[line.left - 1], 2))
        line.left--;
    while (line.left && memchr(" \t", line.at[line.left - 1], 2))
        line.left--;
    for (; line.left && memchr(" \t", *line.at, 2); line.left--)
        line.at++;
    return line;
}

FUZZ(range)
{
    CLEANUP(dlm_answer_clear) struct dlm_answer all = {0};
    struct dlm_content_range first = {0};
    struct bytes input = {data, MIN(size, 2000)}, line;
    bool agree = true;

    dlm_answer_reset(&all, 0, NULL);
    for (int n = 0; n < 8 && next_line(&input, &line); n++) {
        CLEANUP(dlm_answer_clear) struct dlm_answer alone = {0};
        struct bytes text = strip(line);
        struct dlm_content_range said = read_slowly((const char *)text.at, text.left);

        dlm_answer_reset(&alone, 0, NULL);
        feed(&alone, (const char *)line.at, line.left);
        MUST(same(&alone.range, &said));
        MUST(!said.valid || said.unsatisfied || (0 <= said.start && said.start < said.end));
        if (n == 0)
            first = said;
        agree = agree && same(&first, &said);
        feed(&all, (const char *)line.at, line.left);
        MUST(agree ? same(&all.range, &first) : !all.range.valid);
    }
}
