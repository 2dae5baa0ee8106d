/* SPDX-License-Identifier: MIT */
/*
 * reboot.c - `daemon status` on what happens after a reboot: see daemon/reboot.h.
 *
 * The user's service has the default home, whatever a shell has exported, so of another home nothing is said. What is missing is
 * told as the commands that would change it.
 */
#include "cli/reboot.h"

#include "daemon/reboot.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *directory(struct cli *cli, const char *variable, const char *below)
{
    const char *value = variable ? getenv(variable) : NULL, *home = getenv("HOME");
    struct passwd *user = home && *home == '/' ? NULL : getpwuid(geteuid());

    if (value && *value == '/')
        return value;
    if (user)
        home = user->pw_dir;
    return home && *home == '/' ? cli_arena_print(&cli->arena, "%s/%s", home, below) : NULL;
}

/* Is the home of this command the one of the user's service? */
static bool is_default(struct cli *cli)
{
    const char *state = directory(cli, "XDG_STATE_HOME", ".local/state");
    const char *service = directory(cli, NULL, ".local/state"), *ours = cli->args.home;
    struct stat a, b;

    if (!state || !service)
        return false;
    service = cli_arena_print(&cli->arena, "%s/dlmgr", service);
    if (!ours)
        ours = cli_arena_print(&cli->arena, "%s/dlmgr", state);
    return strcmp(ours, service) == 0 || (stat(ours, &a) == 0 && stat(service, &b) == 0 &&
                                          a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

static struct daemon_reboot look(struct cli *cli)
{
    const struct passwd *user = getpwuid(geteuid());

    return daemon_reboot_look("", directory(cli, "XDG_CONFIG_HOME", ".config"),
                              user ? user->pw_name : "");
}

json_t *cli_reboot_json(struct cli *cli)
{
    struct daemon_reboot reboot;

    if (!is_default(cli))
        return json_null();
    reboot = look(cli);
    return json_pack("{sb, sb, sb}", "goes_on", (int)(reboot.enabled && reboot.lingers), "enabled",
                     (int)reboot.enabled, "lingers", (int)reboot.lingers);
}

void cli_reboot_print(struct cli *cli)
{
    struct daemon_reboot reboot;

    if (!is_default(cli))
        return;
    reboot = look(cli);
    if (reboot.enabled && reboot.lingers) {
        cli_print_raw(cli, "after a reboot: downloads go on");
        return;
    }
    cli_print_raw(cli,
                  reboot.enabled
                      ? "after a reboot: downloads go on when you log in; without that:"
                      : "after a reboot: downloads wait until dlmgr is started; to change that:");
    if (!reboot.enabled)
        cli_print_raw(cli, "  systemctl --user enable --now dlmgr.socket dlmgr.service");
    if (!reboot.lingers)
        cli_print_raw(cli, "  loginctl enable-linger");
}
