/* SPDX-License-Identifier: MIT */
/*
 * act.h - ids as arguments, and what to say when nobody owns the home.
 */
#ifndef CLI_ACT_H
#define CLI_ACT_H

#include "cli/cli.h"

struct ids {
    int64_t *items;
    size_t n, room;
};

/* All operands as ids; `-` reads more from stdin, one or more a line. Exit code after a message. */
int cli_ids_read(struct cli *cli, struct ids *ret);
void cli_ids_free(struct ids *ids);

/* After a change without an owner: --start starts the daemon, else say what would. Closes the handle. Exit code. */
int cli_act_start(struct cli *cli, dlmgr **handle);

/* How such a command ends: say how many tasks were `done` ("paused"; NULL: nothing), then as cli_act_start(). */
int cli_act_end(struct cli *cli, dlmgr **handle, int64_t changed, const char *done);

#endif
