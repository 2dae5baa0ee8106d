/* SPDX-License-Identifier: MIT */
/*
 * reboot.h - what `daemon status` says about a reboot.
 */
#ifndef CLI_REBOOT_H
#define CLI_REBOOT_H

#include "cli/cli.h"

#include <jansson.h>

/* {goes_on, enabled, lingers}; null for another home than the default one. The caller's. */
json_t *cli_reboot_json(struct cli *cli);

/* The same in words, with the commands that are missing; nothing for another home. */
void cli_reboot_print(struct cli *cli);

#endif
