/* SPDX-License-Identifier: MIT */
/*
 * reboot.h - do downloads go on after a reboot? Read from the files that systemctl and loginctl leave, without asking either.
 */
#ifndef DAEMON_REBOOT_H
#define DAEMON_REBOOT_H

#include <stdbool.h>

struct daemon_reboot {
    bool enabled; /* dlmgr.service is started when the user's manager is */
    bool lingers; /* and that is started at boot, not at the first login */
};

/*
 * root: "" for this machine, a directory for tests. config: the user's configuration directory ($XDG_CONFIG_HOME or ~/.config), NULL when
 * it is not known. user: his name.
 */
struct daemon_reboot daemon_reboot_look(const char *root, const char *config, const char *user);

#endif
