/* SPDX-License-Identifier: MIT */
/*
 * session.c - session list, show, set, remove: what an app has in this home, and what wakes it.
 *
 * All four work with and without an owner. The command that `set` stores is run by the daemon alone: other owners (a get, an app) serve
 * themselves.
 */
#include "cli/cli.h"
#include "cli/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t member(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static int64_t tasks_of(const json_t *session)
{
    const json_t *tasks = json_object_get(session, "tasks");
    int64_t n = 0;

    for (int i = 0; dlmgr_state_name(i); i++)
        n += member(tasks, dlmgr_state_name(i));
    return n;
}

/* "org.example.app    12 tasks  events 5-9 wait  held by 4711" */
static void row(struct cli *cli, const json_t *session)
{
    char waits[64] = "no events wait", holder[40] = "free", line[512];
    int64_t n = tasks_of(session), oldest = member(session, "oldest");

    if (oldest)
        snprintf(waits, sizeof(waits), "events %lld-%lld wait", (long long)oldest,
                 (long long)member(session, "last"));
    if (member(session, "holder"))
        snprintf(holder, sizeof(holder), "held by %lld", (long long)member(session, "holder"));
    snprintf(line, sizeof(line), "%-30s  %6lld task%s  %-20s  %s%s",
             json_string_value(json_object_get(session, "name")), (long long)n, n == 1 ? " " : "s",
             waits, holder,
             json_is_null(json_object_get(session, "on_event")) ? "" : ", has a command");
    cli_print_raw(cli, line);
}

static int row_of(struct cli *cli, const char *text)
{
    json_t *session = json_loads(text, 0, NULL);

    if (!session)
        return cli_fail(cli, EXIT_UNKNOWN, "the owner's answer cannot be read; show it with --json");
    row(cli, session);
    json_decref(session);
    return 0;
}

static int list(struct cli *cli, dlmgr *handle, const char *name)
{
    FREES char *lines = NULL;
    dlmgr_error error;
    char *line, *rest;
    int code = 0;

    if (dlmgr_session_info(handle, name, &lines, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    if (cli->args.json && *lines)
        cli_print_raw(cli, lines);
    for (line = cli->args.json ? NULL : strtok_r(lines, "\n", &rest); line && code == 0;
         line = strtok_r(NULL, "\n", &rest))
        code = row_of(cli, line);
    return code;
}

static int show(struct cli *cli, dlmgr *handle, const char *name)
{
    FREES char *text = NULL;
    dlmgr_error error;

    if (dlmgr_session_info(handle, name, &text, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    return cli_print_object(cli, text);
}

static int set(struct cli *cli, dlmgr *handle, const char *name)
{
    const char *command = cli->args.on_event;
    dlmgr_error error;

    if (!command)
        return cli_fail(cli, EXIT_USAGE,
                        "session set %s: set what? --on-event CMD, or --on-event '' to remove it",
                        name);
    if (!cli_text_is_utf8(command, strlen(command)))
        return cli_fail(cli, EXIT_USAGE, "--on-event: must be UTF-8; put other bytes into a script");
    if (dlmgr_session_set(handle, name, *command ? command : NULL, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    return cli->args.json ? show(cli, handle, name) : 0;
}

static int forget(struct cli *cli, dlmgr *handle, const char *name)
{
    dlmgr_error error;

    if (dlmgr_session_remove(handle, name, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    return 0;
}

static const struct verb {
    const char *name;
    bool needs_name;
    int (*run)(struct cli *cli, dlmgr *handle, const char *name);
} verbs[] = {{"list", false, list},
             {"show", true, show},
             {"set", true, set},
             {"remove", true, forget},
             {0}};

static const struct verb *verb_find(const char *name)
{
    const struct verb *verb = verbs;

    while (verb->name && strcmp(verb->name, name) != 0)
        verb++;
    return verb->name ? verb : NULL;
}

int cli_session(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    const struct strings *words = &cli->args.operands;
    const struct verb *verb = words->n ? verb_find(words->items[0]) : NULL;
    dlmgr_error error;

    if (!verb)
        return cli_fail(cli, EXIT_USAGE, "session %s: must be list, show, set or remove",
                        words->n ? words->items[0] : "");
    if (words->n != 1u + verb->needs_name)
        return cli_fail(cli, EXIT_USAGE, "session %s: %s; see dlmgr session --help", verb->name,
                        verb->needs_name ? "needs one session's name" : "takes no argument");
    if (cli->args.on_event && verb->run != set)
        return cli_fail(cli, EXIT_USAGE, "session %s: takes no --on-event; session set does",
                        verb->name);
    if (cli_open(cli, DLMGR_EITHER, &handle, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    return cli_finish(cli, verb->run(cli, handle, verb->needs_name ? words->items[1] : NULL), true);
}
