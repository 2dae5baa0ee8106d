/* SPDX-License-Identifier: MIT */
/*
 * show.c - show: all about one task, for people and as JSON.
 *
 * What is printed for people is the very object that --json prints, a member a line. Three kinds of members are written otherwise: what an
 * error does not know is left out, the excerpt of a body keeps its lines, and times of parts get a unit.
 */
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/values.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { EXCERPT_LINES = 12 };

static void show_value(struct cli *cli, const char *name, json_t *value, int indent);

static void show_line(struct cli *cli, int indent, const char *name, const char *value)
{
    char safe[8192], line[9000];

    snprintf(line, sizeof(line), "%*s%s%s%s", indent, "", name, *value ? ": " : ":",
             cli_text_safe(value, safe, sizeof(safe)));
    cli_print_raw(cli, line);
}

/* ---- What is written otherwise ------------------------------------------------------------------- */

static void show_known(struct cli *cli, const char *name, json_t *object, int indent)
{
    const char *member;
    json_t *value;

    if (!json_is_object(object)) {
        show_line(cli, indent, name, "-");
        return;
    }
    show_line(cli, indent, name, "");
    json_object_foreach (object, member, value) {
        if (!json_is_null(value))
            show_value(cli, member, value, indent + 2);
    }
}

/* The lines of a page, not all of them: the whole excerpt is in --json. */
static void show_excerpt(struct cli *cli, const char *name, json_t *value, int indent)
{
    const char *text = json_string_value(value);
    char line[1024], safe[4200];

    if (!text) {
        show_line(cli, indent, name,
                  json_is_null(value) ? "-" : "bytes that are no text; see --json");
        return;
    }
    show_line(cli, indent, name, "");
    for (int i = 0; *text && i <= EXCERPT_LINES; i++) {
        size_t len = strcspn(text, "\r\n");

        snprintf(line, sizeof(line), "%.*s", (int)len, i < EXCERPT_LINES ? text : "...");
        cli_text_safe(line, safe, sizeof(safe));
        snprintf(line, sizeof(line), "%*s| %.900s", indent + 2, "", safe);
        cli_print_raw(cli, line);
        text += len;
        text += *text == '\r';
        text += *text == '\n';
    }
}

static void show_metrics(struct cli *cli, const char *name, json_t *object, int indent)
{
    const char *member;
    json_t *value;

    if (!json_is_object(object)) {
        show_line(cli, indent, name, "-");
        return;
    }
    show_line(cli, indent, name, "");
    json_object_foreach (object, member, value) {
        double us = json_number_value(value);
        size_t len = strlen(member);
        char text[32], what[64];

        len -= len > 3 && !strcmp(member + len - 3, "_us") ? 3 : 0;
        snprintf(what, sizeof(what), "%.*s", (int)len, member);
        snprintf(text, sizeof(text), us < 1e6 ? "%.3f ms" : "%.3f s", us / (us < 1e6 ? 1e3 : 1e6));
        show_line(cli, indent + 2, what, text);
    }
}

static const struct {
    const char *name;
    void (*fn)(struct cli *cli, const char *name, json_t *value, int indent);
} special[] = {
    {"error", show_known},
    {"tls", show_known},
    {"body_excerpt", show_excerpt},
    {"metrics", show_metrics},
};

/* ---- Any other ------------------------------------------------------------------------------------ */

static void show_members(struct cli *cli, json_t *object, int indent)
{
    const char *name;
    json_t *value;

    json_object_foreach (object, name, value) {
        show_value(cli, name, value, indent);
    }
}

/* Objects and arrays of objects below their name, all else on one line. */
static void show_value(struct cli *cli, const char *name, json_t *value, int indent)
{
    FREES char *text = NULL;
    json_t *item;
    size_t i;

    for (i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (!strcmp(special[i].name, name)) {
            special[i].fn(cli, name, value, indent);
            return;
        }
    }
    if (json_is_object(value)) {
        show_line(cli, indent, name, "");
        show_members(cli, value, indent + 2);
        return;
    }
    if (json_is_array(value) && json_is_object(json_array_get(value, 0))) {
        json_array_foreach (value, i, item) {
            show_value(cli, name, item, indent);
        }
        return;
    }
    if (!json_is_string(value))
        text = json_dumps(value, JSON_ENCODE_ANY);
    show_line(cli, indent, name,
              json_is_string(value)          ? json_string_value(value)
              : json_is_null(value) || !text ? "-"
                                             : text);
}

int cli_print_object(struct cli *cli, const char *text)
{
    json_t *object = NULL;

    if (cli->args.json) {
        cli_print_raw(cli, text);
        return 0;
    }
    object = json_loads(text, 0, NULL);
    if (!object)
        return cli_fail(cli, EXIT_UNKNOWN, "the owner's answer cannot be read; show it with --json");
    show_members(cli, object, 0);
    json_decref(object);
    return 0;
}

static int show_one(struct cli *cli, dlmgr *handle, const char *word)
{
    FREES char *text = NULL;
    char why[CLI_WHY];
    dlmgr_error error;
    int64_t id;

    if (!cli_number(word, 1, INT64_MAX, &id, why))
        return cli_fail(cli, EXIT_USAGE, "%s: is not a task's id; see dlmgr list", word);
    if (dlmgr_show(handle, id, cli->args.secrets, &text, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    return cli_print_object(cli, text);
}

int cli_show(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    dlmgr_error error;
    int code = 0;
    size_t i;

    if (cli->args.operands.n == 0)
        return cli_fail(cli, EXIT_USAGE, "show: which ID? see dlmgr list");
    if (cli_open(cli, DLMGR_EITHER, &handle, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    for (i = 0; i < cli->args.operands.n && code == 0; i++) {
        if (i > 0 && !cli->args.json)
            cli_print_raw(cli, "");
        code = show_one(cli, handle, cli->args.operands.items[i]);
    }
    return cli_finish(cli, code, true);
}
