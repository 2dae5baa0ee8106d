/* SPDX-License-Identifier: MIT */
/*
 * test_cli_args.c - command lines, list files and settings lines: all that reads the option table.
 *
 * cli_fail() is this file's own here: it keeps the message, so that a test can ask what a person would have read.
 */
#include "cli/arena.c"
#include "cli/args.c"
#include "cli/listfile.c"
#include "cli/options.c"
#include "cli/settings.c"
#include "cli/values.c"

#include "tests/lib/test.h"

static char said[2048];

int cli_fail(const struct cli *cli, int exit_code, const char *fmt, ...)
{
    va_list ap;

    (void)cli;
    va_start(ap, fmt);
    vsnprintf(said, sizeof(said), fmt, ap);
    va_end(ap);
    return exit_code;
}

void cli_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

static struct cli the_cli;

static struct args *parse(unsigned command, const char *line, bool expected)
{
    static char *words[32], copy[512], why[CLI_MESSAGE];
    int n = 0, used;
    char *rest;

    snprintf(copy, sizeof(copy), "%s", line);
    for (words[n] = strtok_r(copy, " ", &rest); words[n]; words[++n] = strtok_r(NULL, " ", &rest))
        continue;
    cli_arena_free(&the_cli.arena);
    cli_args_init(&the_cli.args, &the_cli.arena);
    *why = *said = '\0';
    test_about("%s", line);
    CHECK_INT(cli_args_parse(&the_cli.args, command, "get", n, words, &used, why), expected);
    snprintf(said, sizeof(said), "%s", why);
    return &the_cli.args;
}

static void test_cli_args_understands_every_way_to_write_a_value(void)
{
    struct args *args = parse(C_GET, "-oname --dir=/a --priority -3 -x4 -qv http://a -4 -- -b",
                              true);

    CHECK_STR(args->add.out, "name");
    CHECK_STR(args->add.dir, "/a");
    CHECK_INT(args->add.priority, -3);
    CHECK_INT(args->add.connections, 4);
    CHECK_INT(args->add.ip_version, 4);
    CHECK_INT(args->quiet && args->verbose, 1);
    CHECK_INT(args->operands.n, 2);
    CHECK_STR(args->operands.items[0], "http://a");
    CHECK_STR(args->operands.items[1], "-b");
}

static void test_cli_args_says_what_is_wrong(void)
{
    static const struct {
        const char *line, *said;
    } rows[] = {
        {"--nothing", "--nothing: unknown option; see dlmgr get --help"},
        {"--nothing=3", "--nothing=3: unknown option; see dlmgr get --help"},
        {"--pri 3", "--pri: unknown option; see dlmgr get --help"}, /* no abbreviations */
        {"-Z", "-Z: unknown option; see dlmgr get --help"},
        {"-qZ", "-Z: unknown option; see dlmgr get --help"},
        {"--fix", "--fix: not this command's option; see dlmgr get --help"},
        {"--out", "--out: needs a value (NAME)"},
        {"-q -o", "-o: needs a value (NAME)"},
        {"--paused=yes", "--paused: takes no value"},
        {"-x 17", "-x 17: must be a whole number from 1 to 16"},
        {"--limit-rate fast", "--limit-rate fast: must be a size such as 512, 64k, 1.5M or 2G"},
        {"--on-exists ask", "--on-exists ask: must be one of default, fail, rename, replace, same"},
        {"-u me:secret",
         "-u me:secret: must be a name alone; a password on a command line can be read by all: leave it out to "
         "be asked for it, or use --netrc-file"},
        {"--dir=", "--dir : must not be empty"},
        {"--header-file /nonexistent/x",
         "--header-file /nonexistent/x: /nonexistent/x: No such file or directory"},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        parse(C_GET, rows[i].line, false);
        CHECK_STR(said, rows[i].said);
    }
}

/* The same name means the task for get and all tasks for run. */
static void test_cli_args_limit_rate_has_two_meanings(void)
{
    struct args *args = parse(C_GET, "--limit-rate 1k", true);

    CHECK_INT(args->add.limit_rate, 1024);
    CHECK_INT(args->owner.limit_rate, 0);
    args = parse(C_RUN, "--limit-rate 1k", true);
    CHECK_INT(args->add.limit_rate, -1);
    CHECK_INT(args->owner.limit_rate, 1024);
}

static void test_cli_args_makes_paths_absolute(void)
{
    char cwd[4096], expected[4200];
    struct args *args = parse(C_ADD, "-d sub/dir", true);

    CU_ASSERT_FATAL(getcwd(cwd, sizeof(cwd)) != NULL);
    snprintf(expected, sizeof(expected), "%s/sub/dir", cwd);
    CHECK_STR(args->add.dir, expected);
    args = parse(C_ADD, "-d .", true);
    CHECK_STR(args->add.dir, cwd);
}

/* In front of the command only what every command knows, and the command ends it. */
static void test_cli_args_in_front_of_the_command(void)
{
    static char json[] = "--json", get[] = "get", x[] = "-x";
    char *words[] = {json, get, x};
    char why[CLI_MESSAGE];
    int used = -1;

    cli_args_init(&the_cli.args, &the_cli.arena);
    CU_ASSERT(cli_args_parse(&the_cli.args, 0, "", 3, words, &used, why));
    CHECK_INT(used, 1);
    CHECK_INT(the_cli.args.json, 1);
    CU_ASSERT(!cli_args_parse(&the_cli.args, 0, "", 1, &words[2], &used, why));
    CHECK_STR(why, "-x: the command comes before this option; see dlmgr --help");
}

/* Names and letters: one meaning for each command. */
static void test_cli_options_do_not_collide(void)
{
    const struct cli_option *a, *b;

    for (a = cli_options; a->name; a++)
        for (b = a + 1; b->name; b++) {
            test_about("%s and %s", a->name, b->name);
            if (a->commands & b->commands) {
                CU_ASSERT(strcmp(a->name, b->name) != 0);
                CU_ASSERT(!a->letter || a->letter != b->letter);
            }
            CU_ASSERT(!(a->places & b->places & (IN_LIST | IN_CONF)) ||
                      strcmp(a->name, b->name) != 0);
        }
    for (a = cli_options; a->name; a++) {
        test_about("%s", a->name);
        CU_ASSERT(!(a->places & IN_LIST) || a->offset < sizeof(struct add_options));
        CU_ASSERT((a->value == NULL) == (a->kind == OPTION_FLAG || a->kind == OPTION_SET));
    }
}

/* ---- Lists ------------------------------------------------------------------------------------- */

static char entries[4096];

/* As the library would see it, up to the NULL: "URL out=.. mirrors,.. headers,.. | " */
static int note_entry(struct cli *cli, const struct entry *entry, void *context)
{
    size_t used = strlen(entries), i;

    (void)cli;
    used += (size_t)snprintf(entries + used, sizeof(entries) - used, "%lld %s",
                             (long long)entry->line, entry->url);
    if (entry->add.out)
        used += (size_t)snprintf(entries + used, sizeof(entries) - used, " out=%s", entry->add.out);
    for (i = 0; entry->add.mirrors.items && entry->add.mirrors.items[i]; i++)
        used += (size_t)snprintf(entries + used, sizeof(entries) - used, " +%s",
                                 entry->add.mirrors.items[i]);
    for (i = 0; entry->add.headers.items && entry->add.headers.items[i]; i++)
        used += (size_t)snprintf(entries + used, sizeof(entries) - used, " [%s]",
                                 entry->add.headers.items[i]);
    snprintf(entries + used, sizeof(entries) - used, " | ");
    cli_arena_reset(context);
    return 0;
}

static int read_list(const char *text, size_t n)
{
    FILE *file = tmpfile();
    struct list_file list = {.file = file, .name = "list"};
    struct arena arena = {0};
    int code;

    CU_ASSERT_FATAL(file != NULL && fwrite(text, 1, n, file) == n);
    *entries = *said = '\0';
    test_about("%s", text);
    code = cli_list_read(&the_cli, &list, &the_cli.args.add, &arena, note_entry, &arena);
    cli_arena_free(&arena);
    cli_list_close(&list);
    return code;
}

#define READ(text) read_list(text, sizeof(text) - 1)

static void test_cli_list_reads_urls_mirrors_and_options(void)
{
    parse(C_ADD, "", true);
    CHECK_INT(READ("# comment\n\nhttp://a/1\thttp://m/1\t\thttp://m/2\n  out=one\n\t# inner\n\theader=A: 1\n"
                   "  header=B: 2\n   \nhttp://a/2\r\n mirror=http://m/3\r\nhttp://a/3"),
              0);
    CHECK_STR(entries,
              "3 http://a/1 out=one +http://m/1 +http://m/2 [A: 1] [B: 2] | 9 http://a/2 +http://m/3 | "
              "11 http://a/3 | ");
    CHECK_INT(READ(""), 0);
    CHECK_STR(entries, "");
}

/* What the command line gave holds for each URL; what stands under one URL does not reach the next. */
static void test_cli_list_options_stay_with_their_url(void)
{
    parse(C_ADD, "-o base -H X:0", true);
    CHECK_INT(READ("http://a/1\n header=X:1\n header=X:2\n header=X:3\n header=X:4\n out=one\nhttp://a/2\n header=X:5\n"
                   "http://a/3\n"),
              0);
    CHECK_STR(entries,
              "1 http://a/1 out=one [X:0] [X:1] [X:2] [X:3] [X:4] | 7 http://a/2 out=base [X:0] [X:5] | "
              "9 http://a/3 out=base [X:0] | ");
    CHECK_INT(the_cli.args.add.headers.n, 1);
}

static void test_cli_list_names_file_and_line(void)
{
    parse(C_ADD, "", true);
    CHECK_INT(READ("\n out=x\n"), EXIT_USAGE);
    CHECK_STR(said,
              "list:2: out: an indented line is an option of the URL above it, and there is none");
    CHECK_INT(READ("http://a\n size=3\n"), EXIT_USAGE);
    CHECK_STR(said,
              "list:2: size: unknown option; options of add are known here by their long names, see dlmgr add --help");
    CHECK_INT(READ("http://a\n out\n"), EXIT_USAGE);
    CHECK_STR(said, "list:2: out: needs a value: name=value");
    CHECK_INT(READ("http://a\n\n\n priority=high\n"), EXIT_USAGE);
    CHECK_STR(said, "list:4: priority: must be a whole number from -1000 to 1000");
    CHECK_INT(READ("http://a\nhttp://b\0c\n"), EXIT_USAGE);
    CHECK_STR(said, "list:2: a NUL byte: lists are text");
    CHECK_INT(READ("http://a\n user=me\n"), EXIT_USAGE);
    CHECK_STR(said,
              "list:2: user: a list cannot ask for a password; name a netrc-file in a line above this one");
    CHECK_INT(READ("http://a\n paused=perhaps\n"), EXIT_USAGE);
    CHECK_STR(said, "list:2: paused: must be yes or no");
    CHECK_INT(READ("http://a\n paused\n create-dirs=no\n"), 0);
}

/* Owner settings and choices of a command are not options of a task. */
static void test_cli_list_takes_add_options_only(void)
{
    parse(C_ADD, "", true);
    CHECK_INT(READ("http://a\n max-active=3\n"), EXIT_USAGE);
    CHECK_INT(READ("http://a\n no-start\n"), EXIT_USAGE);
    CHECK_INT(READ("http://a\n home=/x\n"), EXIT_USAGE);
}

/* ---- Settings ---------------------------------------------------------------------------------- */

static bool setting(const char *text)
{
    char line[256], why[CLI_MESSAGE] = "";
    bool good;

    snprintf(line, sizeof(line), "%s", text);
    good = cli_setting_line(&the_cli.args, line, why);
    snprintf(said, sizeof(said), "%s", why);
    test_about("%s", text);
    return good;
}

static void test_cli_settings_are_options_by_another_door(void)
{
    struct args *args = parse(C_RUN, "", true);

    CU_ASSERT(setting("  max-active =  3 \n"));
    CHECK_INT(args->owner.max_active, 3);
    CU_ASSERT(setting("limit-rate=2M"));
    CHECK_INT(args->owner.limit_rate, 2 << 20);
    CHECK_INT(args->add.limit_rate, -1);
    CU_ASSERT(setting("keep-done = 30d"));
    CHECK_INT(args->owner.keep_done_ms, INT64_C(2592000000));
    CU_ASSERT(setting("trust-group = yes"));
    CHECK_INT(args->owner.trust_group, 1);
    CU_ASSERT(setting("redirects = 3"));
    CU_ASSERT(setting("header-bytes = 2k"));
    CHECK_INT(args->owner.set_limits.n, 2);
    CHECK_STR(args->owner.set_limits.items[1], "header-bytes=2k");
    CU_ASSERT(!setting("redirects = 51"));
    CHECK_STR(said, "redirects 51: must be from 0 to 50");
    CU_ASSERT(!setting("user-data = 5"));
    CHECK_STR(said, "user-data is fixed");
    CU_ASSERT(setting("retry-wait = 5"));
    CHECK_INT(args->add.retry_wait_ms, 5000);
    CU_ASSERT(setting("cacert = /etc/ca.pem"));
    CHECK_STR(args->add.cacert, "/etc/ca.pem");
    CU_ASSERT(setting("# max-active = 9"));
    CU_ASSERT(setting("   "));
    CHECK_INT(args->owner.max_active, 3);
}

static void test_cli_settings_say_what_is_wrong(void)
{
    parse(C_RUN, "", true);
    CU_ASSERT(!setting("max-active"));
    CHECK_STR(said, "max-active: must be `key = value`");
    CU_ASSERT(!setting("max-actve = 3"));
    CHECK_STR(said, "max-actve: unknown key; see dlmgr.conf(5)");
    CU_ASSERT(!setting("max-active = 0"));
    CHECK_STR(said, "max-active 0: must be a whole number from 1 to 1000");
    CU_ASSERT(!setting("cacert = ca.pem"));
    CHECK_STR(said, "cacert ca.pem: must be an absolute path");
    CU_ASSERT(!setting("url = http://x"));
}

static void test_cli_settings_stay_below_the_command_line(void)
{
    struct args *args = parse(C_RUN, "-j 5", true);

    CU_ASSERT(setting("max-active = 3"));
    CHECK_INT(args->owner.max_active, 5);
    CU_ASSERT(setting("max-per-host = 2"));
    CU_ASSERT(setting("max-per-host = 4"));
    CHECK_INT(args->owner.max_per_host, 4);
}

static void test_cli_settings_file_names_its_line(void)
{
    char path[4096], expected[4200];
    FILE *file;

    parse(C_RUN, "", true);
    snprintf(path, sizeof(path), "%s/dlmgr.conf", test_dir());
    CHECK_INT(cli_settings_file(&the_cli, path), 0); /* not there */
    file = fopen(path, "w");
    CU_ASSERT_FATAL(file != NULL);
    fputs("# mine\nmax-active = 3\n\nmax-per-host = many\n", file);
    fclose(file);
    CHECK_INT(cli_settings_file(&the_cli, path), EXIT_CONFIG);
    snprintf(expected, sizeof(expected),
             "%s:4: max-per-host many: must be a whole number from 1 to 256", path);
    CHECK_STR(said, expected);
    CHECK_INT(cli_settings_file(&the_cli, test_dir()), EXIT_CONFIG); /* a directory cannot be read */
}

static const struct test tests[] = {
    TEST(test_cli_args_understands_every_way_to_write_a_value),
    TEST(test_cli_args_says_what_is_wrong),
    TEST(test_cli_args_limit_rate_has_two_meanings),
    TEST(test_cli_args_makes_paths_absolute),
    TEST(test_cli_args_in_front_of_the_command),
    TEST(test_cli_options_do_not_collide),
    TEST(test_cli_list_reads_urls_mirrors_and_options),
    TEST(test_cli_list_options_stay_with_their_url),
    TEST(test_cli_list_names_file_and_line),
    TEST(test_cli_list_takes_add_options_only),
    TEST(test_cli_settings_are_options_by_another_door),
    TEST(test_cli_settings_say_what_is_wrong),
    TEST(test_cli_settings_stay_below_the_command_line),
    TEST(test_cli_settings_file_names_its_line),
};

TEST_MAIN("cli_args", tests)
