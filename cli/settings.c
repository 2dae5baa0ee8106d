/* SPDX-License-Identifier: MIT */
/*
 * settings.c - dlmgr.conf: lines of `key = value` that are options by another door.
 *
 * /etc/dlmgr.conf is read first, then $XDG_CONFIG_HOME/dlmgr/dlmgr.conf, or HOME/dlmgr.conf when --home or $DLMGR_HOME names a
 * home. The later file wins over the earlier one, the command line over both. The keys are the rows of the option table that say
 * IN_CONF, so a key means what the option means; the library's limits are keys too. A file that is not there is fine; one that cannot be read or has a wrong line
 * ends the command with 78 and the file's name and line: to go on with half of the settings would be a guess.
 */
#include "cli/settings.h"

#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text + strspn(text, " \t");
}

/* The library's limits have keys of their own. */
static bool limit_apply(struct args *args, const char *key, const char *value, char *why,
                        bool *ret_known)
{
    char *text = cli_arena_print(args->arena, "%s=%s", key, value);
    dlmgr_error error;
    int r = dlmgr_limit_check(text, &error);

    *ret_known = r != DLMGR_ENOTFOUND;
    if (r == 0)
        cli_strings_add(&args->owner.set_limits, args->arena, text);
    else
        snprintf(why, CLI_MESSAGE, "%s", error.text);
    return r == 0;
}

static bool setting_apply(struct args *args, char *key, char *value, char *why)
{
    const struct cli_option *option = cli_option_place(IN_CONF, key);
    char reason[CLI_MESSAGE] = "must be an absolute path";
    bool known;

    if (!option && limit_apply(args, key, value, why, &known))
        return true;
    if (!option && known)
        return false;
    if (!option) {
        snprintf(why, CLI_MESSAGE, "%.100s: unknown key; see dlmgr.conf(5)", key);
        return false;
    }
    if (args->given[option - cli_options])
        return true;
    if ((option->kind != OPTION_PATH || *value == '/') &&
        cli_option_apply(option, args, cli_arena_copy(args->arena, value, strlen(value)),
                         args->arena, reason))
        return true;
    snprintf(why, CLI_MESSAGE, "%.100s %.200s: %.300s", key, value, reason);
    return false;
}

bool cli_setting_line(struct args *args, char *line, char *why)
{
    char *key = trim(line), *equals = strchr(key, '=');

    if (!*key || *key == '#')
        return true;
    if (!equals) {
        snprintf(why, CLI_MESSAGE, "%.200s: must be `key = value`", key);
        return false;
    }
    *equals = '\0';
    return setting_apply(args, trim(key), trim(equals + 1), why);
}

int cli_settings_file(struct cli *cli, const char *path)
{
    FILE *file = fopen(path, "re");
    FREES char *line = NULL;
    char why[CLI_MESSAGE];
    size_t room = 0;
    int number = 0, err;

    if (!file)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : cli_fail(cli, EXIT_CONFIG, "%s: %s; make it readable or remove it", path,
                              strerror(errno));
    errno = 0;
    while (getline(&line, &room, file) >= 0) {
        number++;
        if (!cli_setting_line(&cli->args, line, why)) {
            fclose(file);
            return cli_fail(cli, EXIT_CONFIG, "%s:%d: %s", path, number, why);
        }
        errno = 0;
    }
    err = ferror(file) ? errno : 0;
    fclose(file);
    return err ? cli_fail(cli, EXIT_CONFIG, "%s: %s", path, strerror(err)) : 0;
}

static int read_files(struct cli *cli)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int code = cli_settings_file(cli, "/etc/dlmgr.conf");

    if (code)
        return code;
    if (cli->args.home)
        return cli_settings_file(cli, cli_arena_print(&cli->arena, "%s/dlmgr.conf", cli->args.home));
    if (config && *config == '/')
        return cli_settings_file(cli, cli_arena_print(&cli->arena, "%s/dlmgr/dlmgr.conf", config));
    if (home && *home == '/')
        return cli_settings_file(cli,
                                 cli_arena_print(&cli->arena, "%s/.config/dlmgr/dlmgr.conf", home));
    return 0;
}

int cli_settings(struct cli *cli)
{
    struct owner_options *owner = &cli->args.owner;
    int code = read_files(cli);

    for (size_t i = 0; code == 0 && i < owner->limits.n; i++)
        cli_strings_add(&owner->set_limits, &cli->arena, owner->limits.items[i]);
    return code;
}
