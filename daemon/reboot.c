/* SPDX-License-Identifier: MIT */
/*
 * reboot.c - see reboot.h.
 *
 * `systemctl --user enable` makes a link in the user's default.target.wants, `systemctl --global enable` one in /etc, a distribution one below
 * /usr; a link to /dev/null in the place of the unit itself masks it, unless the unit stands in a place before.
 * `loginctl enable-linger` makes a file with the user's name.
 */
#include "daemon/reboot.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNIT "dlmgr.service"

/* Where units of users stand, what counts more first; NULL: the user's own. */
static const char *const places[] = {NULL, "/etc/systemd/user", "/run/systemd/user",
                                     "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"};

/* Does the unit's own file stand here? Then it decides whether the unit is masked. */
static bool stands(const char *directory, bool *ret_masked)
{
    char path[PATH_MAX], target[32];
    struct stat st;
    ssize_t n;

    snprintf(path, sizeof(path), "%s/" UNIT, directory);
    n = readlink(path, target, sizeof(target));
    *ret_masked = n == 9 && memcmp(target, "/dev/null", 9) == 0;
    return lstat(path, &st) == 0;
}

/* The link may point to where the unit is after boot, so it is not followed. */
static bool is_wanted(const char *directory)
{
    char path[PATH_MAX];
    struct stat st;

    snprintf(path, sizeof(path), "%s/default.target.wants/" UNIT, directory);
    return lstat(path, &st) == 0;
}

static bool is_enabled(const char *root, const char *config)
{
    char directory[PATH_MAX - 64];
    bool wanted = false, masked = false, found = false;
    size_t i;

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (!places[i] && !config)
            continue;
        snprintf(directory, sizeof(directory), "%s%s%s", root, places[i] ? places[i] : config,
                 places[i] ? "" : "/systemd/user");
        wanted |= is_wanted(directory);
        found = found || stands(directory, &masked);
    }
    return wanted && !masked;
}

struct daemon_reboot daemon_reboot_look(const char *root, const char *config, const char *user)
{
    char path[PATH_MAX];
    struct stat st;

    snprintf(path, sizeof(path), "%s/var/lib/systemd/linger/%s", root, user);
    return (struct daemon_reboot){.enabled = is_enabled(root, config),
                                  .lingers = *user && lstat(path, &st) == 0};
}
