/* SPDX-License-Identifier: MIT */
/*
 * settings.h - reading dlmgr.conf into struct args, below what the command line said: see settings.c.
 *
 * Commands call cli_settings() of cli.h alone; the two steps stand here for its tests.
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "cli/options.h"

struct cli;

/* One line, which is changed. false: why (CLI_MESSAGE bytes) says what is wrong with it. */
bool cli_setting_line(struct args *args, char *line, char *why);

/* One file; none is fine. 0, or an exit code after the message. */
int cli_settings_file(struct cli *cli, const char *path);

#endif
