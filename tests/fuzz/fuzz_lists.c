/* SPDX-License-Identifier: MIT */
/*
 * fuzz_lists.c - the input as a list file, and each of its lines as one of dlmgr.conf.
 *
 * A list that is read twice gives the same entries twice, and what stands under one URL reaches no other. Where an option names a file with
 * more lines, the name itself is the file: nothing of this machine is opened.
 */
#include <stdint.h>
#include <stdio.h>

static FILE *open_name(const char *name, const char *mode)
{
    (void)mode;
    return fmemopen((void *)(uintptr_t)name, __builtin_strlen(name), "r");
}

#include "cli/arena.c"
#include "cli/args.c"
#include "cli/listfile.c"
#define fopen open_name
#include "cli/options.c"
#include "cli/settings.c"
#undef fopen
#include "cli/values.c"
#include "tests/fuzz/fuzz.h"

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

/* What was read, as one number; the base's own arrays must not have grown. */
struct seen {
    struct arena *arena;
    const struct add_options *base;
    uint32_t sum;
    int64_t line, n;
};

static void note(struct seen *seen, const char *text)
{
    if (text)
        seen->sum = dlm_crc32c(seen->sum, text, strlen(text) + 1);
}

static int note_entry(struct cli *cli, const struct entry *entry, void *context)
{
    const struct add_options *add = &entry->add;
    struct seen *seen = context;

    (void)cli;
    MUST(entry->url && entry->line > seen->line);
    MUST(add->priority == INT_MIN || (add->priority >= -1000 && add->priority <= 1000));
    MUST(add->connections >= 0 && add->connections <= 16 && add->max_size >= 0);
    MUST(!add->dir || add->dir[0] == '/');
    MUST(!add->headers.n == !add->headers.items && !add->mirrors.n == !add->mirrors.items);
    MUST(!add->headers.items || !add->headers.items[add->headers.n]);
    MUST(add->headers.n >= 1 && !strcmp(add->headers.items[0], "A: 1"));
    MUST(seen->base->headers.n == 1 && !seen->base->headers.items[1]);
    note(seen, entry->url);
    note(seen, add->out);
    for (size_t i = 0; i < add->mirrors.n; i++)
        note(seen, add->mirrors.items[i]);
    for (size_t i = 0; i < add->headers.n; i++)
        note(seen, add->headers.items[i]);
    seen->line = entry->line;
    if (++seen->n % 2 == 0)
        cli_arena_reset(seen->arena);
    return 0;
}

static int read_list(struct cli *cli, FILE *file, struct seen *ret)
{
    struct list_file list = {.file = file, .name = "list"};
    struct arena arena = {0};
    int code;

    *ret = (struct seen){.arena = &arena, .base = &cli->args.add};
    said[0] = '\0';
    code = cli_list_read(cli, &list, &cli->args.add, &arena, note_entry, ret);
    cli_arena_free(&arena);
    MUST(code == 0 || (code == EXIT_USAGE && !strncmp(said, "list:", 5)));
    return code;
}

static void check_list(struct cli *cli, const uint8_t *data, size_t size)
{
    FILE *file = fmemopen((void *)(uintptr_t)data, size, "r");
    struct seen once, twice;
    int code;

    MUST(file != NULL);
    code = read_list(cli, file, &once);
    MUST(read_list(cli, file, &twice) == code && once.sum == twice.sum && once.n == twice.n);
    fclose(file);
}

static void check_settings(struct cli *cli, const uint8_t *data, size_t size)
{
    struct bytes b = {data, size};
    char why[CLI_MESSAGE];

    while (b.left) {
        CLEANUP_FREE char *line = next_text(&b);

        why[0] = '\0';
        MUST(cli_setting_line(&cli->args, line, why) || why[0]);
        MUST(!cli->args.add.netrc_file || cli->args.add.netrc_file[0] == '/');
        MUST(cli->args.owner.max_active <= 1000 && cli->args.owner.max_per_host <= 256);
    }
}

FUZZ(lists)
{
    static struct cli cli;

    if (size == 0 || size > 8000)
        return;
    cli_args_init(&cli.args, &cli.arena);
    cli_strings_add(&cli.args.add.headers, &cli.arena, "A: 1");
    check_list(&cli, data, size);
    check_settings(&cli, data, size);
    cli_arena_free(&cli.arena);
}
