/* SPDX-License-Identifier: MIT */
/*
 * adding.h - from options and list files to tasks, for get and add.
 *
 * An *entry* is one file to fetch: its options, its URL, and where it was written (argument 2, or FILE:LINE). Entries come
 * from the command line or from a list, in order, and are handed to a function one by one, which collects batches. Reading a list twice gives the same entries twice: first to check each, then to add them.
 */
#ifndef CLI_ADDING_H
#define CLI_ADDING_H

#include "cli/cli.h"

#include <stdio.h>

enum { BATCH = 1000, BATCH_ALONE = 5000 };

struct entry {
    struct add_options add;
    const char *url;
    const char *file; /* NULL: from the command line */
    int64_t line;     /* or the number of the argument */
};

/* Returns 0, or an exit code that ends the reading. The entry's strings live until the next reset of arena. */
typedef int (*entry_fn)(struct cli *cli, const struct entry *entry, void *context);

/* ---- Lists (listfile.c) --------------------------------------------------------------------------- */

/* A list that can be read more than once: a file as it is, a pipe spooled to an unlinked temporary file. */
struct list_file {
    FILE *file;
    const char *name;
};

int cli_list_open(struct cli *cli, const char *path, struct list_file *ret);
void cli_list_close(struct list_file *list);

/*
 * Hand each entry of the list to fn, with base under its own options. Strings of the entries come from arena, which fn may reset when it
 * wants. Returns 0, fn's code, or EXIT_USAGE after saying FILE:LINE and what is wrong.
 */
int cli_list_read(struct cli *cli, struct list_file *list, const struct add_options *base,
                  struct arena *arena, entry_fn fn, void *context);

/* ---- Requests (request.c) ------------------------------------------------------------------------- */

/* The entry as the library wants it; pointers are the entry's. */
void cli_request(const struct entry *entry, dlmgr_request *ret);

/* Options of the command line that need more than the table: the directory, mirrors of one URL, the password. Exit code. */
int cli_add_prepare(struct cli *cli);

/* "URL" or "FILE:LINE: URL", in buf. */
char *cli_entry_name(const struct entry *entry, char *buf, size_t room);

/* Check it as dlmgr_add() would; an entry_fn. 0 or an exit code after the message. */
int cli_entry_check(struct cli *cli, const struct entry *entry, void *context);

/* ---- Batches (adding.c) --------------------------------------------------------------------------- */

/* Called for each batch when it is durable; found[i] says that the task was there already (find). Exit code. */
typedef int (*added_fn)(struct cli *cli, const struct entry *entries, const int64_t *ids,
                        const unsigned char *found, size_t n, void *context);

/*
 * Check all that the command line and -i name, then add it in batches. find looks for an unfinished task of the same URL, dir
 * and out first and takes that. Call check, open the home, call add, and end in any case. Exit codes.
 */
struct adding {
    dlmgr *handle;
    bool find;
    added_fn added;
    void *context;
    struct list_file list;
};

int cli_adding_check(struct cli *cli, struct adding *adding);
int cli_adding_add(struct cli *cli, struct adding *adding);
void cli_adding_end(struct adding *adding);

#endif
