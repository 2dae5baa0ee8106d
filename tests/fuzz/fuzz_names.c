/* SPDX-License-Identifier: MIT */
/*
 * fuzz_names.c - whatever a server names, what comes out is one safe component.
 *
 * The input is a raw name, the value of a Content-Disposition and a URL in one. The judge of what is safe shares nothing with names.c: jansson
 * knows UTF-8, and the worst characters stand here once more.
 */
#include "dlmgr/names.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

static bool is_utf8(const char *text)
{
    json_t *json = json_string(text);
    bool good = json != NULL;

    json_decref(json);
    return good;
}

/* Bidi controls, zero width, line separators, byte order marks. */
static bool is_tricky(const char *name)
{
    static const char *const tricky[] = {"\u200b", "\u200e", "\u200f", "\u2028",   "\u2029",
                                         "\u202a", "\u202d", "\u202e", "\u2066",   "\u2069",
                                         "\u2060", "\ufeff", "\u00ad", "\xc2\x85", "\u061c"};

    for (size_t i = 0; i < ARRAY_SIZE(tricky); i++)
        if (strstr(name, tricky[i]))
            return true;
    return false;
}

static void must_be_safe(const char *name)
{
    char again[DLM_NAME_SIZE];
    size_t len = strnlen(name, DLM_NAME_SIZE);

    MUST(len > 0 && len <= DLM_NAME_MAX);
    MUST(name[0] != '.' && name[0] != ' ' && name[len - 1] != ' ');
    MUST(!strpbrk(name, "/\\"));
    for (size_t i = 0; i < len; i++)
        MUST((unsigned char)name[i] >= 0x20 && name[i] != 0x7f);
    MUST(is_utf8(name) && dlm_is_utf8(name, len) && !is_tricky(name));
    MUST(dlm_name_out_ok(name, NULL) == 0);
    dlm_name_safe(name, len, again);
    MUST(!strcmp(again, name));
}

/* Numbered names differ (but a long one may be the name itself once it is cut), and are short enough and no worse. */
static void check_made(const char *name)
{
    static const int numbers[] = {0, 1, 10, INT32_MAX};
    char made[ARRAY_SIZE(numbers)][DLM_NAME_SIZE], part[DLM_NAME_SIZE];

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        dlm_name_numbered(name, numbers[i], made[i]);
        MUST(made[i][0] && made[i][0] != '.' && is_utf8(made[i]) && !strchr(made[i], '/'));
        MUST(strlen(made[i]) <= DLM_NAME_MAX);
        for (size_t j = 1; j < i; j++)
            MUST(strcmp(made[i], made[j]));
    }
    MUST(!strcmp(made[0], name));
    dlm_name_part(name, INT64_MAX, "abcd", part);
    MUST(strlen(part) <= DLM_NAME_MAX && is_utf8(part) && part[0] != '.' && !strchr(part, '/'));
    MUST(strlen(part) > 30 && !strcmp(part + strlen(part) - 30, ".9223372036854775807-abcd.part"));
}

FUZZ(names)
{
    char name[DLM_NAME_SIZE] = "untouched";
    CLEANUP_FREE char *text = dlm_strndup((const char *)data, size);
    dlmgr_error e = {0};

    MUST(text != NULL);
    if (dlm_name_from_disposition((const char *)data, size, name))
        must_be_safe(name);
    else
        MUST(!strcmp(name, "untouched"));
    dlm_name_from_url(text, name);
    must_be_safe(name);
    dlm_name_safe((const char *)data, size, name);
    must_be_safe(name);
    check_made(name);
    if (dlm_name_out_ok(text, &e) == 0) /* else the caller's own, which may hold anything */
        MUST(text[0] && text[0] != '/' && !strstr(text, "//") && strcmp(text, "..") &&
             strncmp(text, "../", 3) && !strstr(text, "/../") && !strstr(text, "/./"));
    else
        MUST(e.code == DLMGR_EINVAL && e.text[0]);
}
