/* SPDX-License-Identifier: MIT */
/*
 * doctor.c - show what the library finds wrong in a home, and whether it was put right.
 *
 * Exit code 0: nothing wrong, or all of it fixed. 1: something is still wrong.
 */
#include "cli/cli.h"

#include <jansson.h>
#include <stdio.h>

static const char *text_of(json_t *problem, const char *name)
{
    const char *text = json_string_value(json_object_get(problem, name));

    return text ? text : "";
}

/* How many are still wrong. */
static size_t report(struct cli *cli, json_t *problems)
{
    size_t i, left = 0;
    json_t *problem;

    json_array_foreach (problems, i, problem) {
        bool fixed = json_is_true(json_object_get(problem, "fixed"));
        const char *remedy = text_of(problem, "remedy");

        left += !fixed;
        if (!cli->args.json)
            cli_print(cli, cli_arena_print(&cli->arena, "%s: %s%s%s", text_of(problem, "path"),
                                           text_of(problem, "what"),
                                           fixed     ? " (fixed)"
                                           : *remedy ? "; "
                                                     : "",
                                           fixed ? "" : remedy));
    }
    return left;
}

static void print_counts(struct cli *cli, const char *title, json_t *counts)
{
    const char *name, *text = "";
    json_t *n;

    json_object_foreach (counts, name, n)
        if (json_integer_value(n))
            text = cli_arena_print(&cli->arena, "%s%s%lld %s", text, *text ? ", " : "",
                                   (long long)json_integer_value(n), name);
    cli_print(cli, cli_arena_print(&cli->arena, "%s: %s", title, *text ? text : "nothing"));
}

/* What a damaged journal still says, and what it does not. */
static void report_salvage(struct cli *cli, json_t *home, json_t *salvage)
{
    bool done = json_is_true(json_object_get(salvage, "done"));
    json_t *notes = json_object_get(salvage, "notes"), *line;
    size_t i;

    print_counts(cli, done ? "saved" : "can be saved", json_object_get(salvage, "saved"));
    print_counts(cli, done ? "lost" : "would be lost", json_object_get(salvage, "lost"));
    json_array_foreach (notes, i, line)
        cli_print(cli, json_is_string(line) ? json_string_value(line) : "a text that is not UTF-8");
    if (done)
        cli_print(cli, cli_arena_print(&cli->arena, "the damaged one is kept in %s/%s",
                                       json_is_string(home) ? json_string_value(home) : "HOME",
                                       text_of(salvage, "kept")));
}

int cli_doctor(struct cli *cli)
{
    FREES char *text = NULL;
    dlmgr_error error;
    json_t *answer, *problems;
    size_t left;

    if (cli->args.operands.n)
        return cli_fail(cli, EXIT_USAGE, "doctor %s: takes no argument; --home DIR names the home",
                        cli->args.operands.items[0]);
    if (dlmgr_doctor(cli->args.home, cli->args.fix, &text, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    answer = json_loads(text, 0, NULL);
    problems = json_object_get(answer, "problems");
    if (!json_is_array(problems)) {
        json_decref(answer);
        return cli_fail(cli, EXIT_UNKNOWN, "doctor: the library's answer cannot be read: %.200s",
                        text);
    }
    left = report(cli, problems);
    if (!cli->args.json && json_is_object(json_object_get(answer, "salvage")))
        report_salvage(cli, json_object_get(answer, "home"), json_object_get(answer, "salvage"));
    if (cli->args.json)
        cli_print_raw(cli, text);
    else if (json_array_size(problems) == 0)
        cli_note(cli, "nothing wrong");
    json_decref(answer);
    return cli_finish(cli, left ? EXIT_UNKNOWN : EXIT_DONE, true);
}
