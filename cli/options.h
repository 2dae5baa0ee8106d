/* SPDX-License-Identifier: MIT */
/*
 * options.h - every option of every command in one table, and the struct that they fill in.
 *
 * A row says the option's name and letter, what kind of value it takes, where the value goes (an offset in struct args),
 * which commands take it, and whether list files (add -i) and settings files (dlmgr.conf) know it by the same name.
 * The parser, the help texts, list files and settings files all read this table: adding a row is the whole change.
 *
 * What stands in struct add_options can be given anew under each URL of a list, so it is the first member of struct args: an
 * offset into one is an offset into the other. Its strings belong to an arena, or to argv.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct add_options {
    const char *out, *dir, *checksum, *user, *netrc_file, *cookie_file, *cacert, *cert, *cert_key;
    const char *pinned_pubkey, *proxy, *key, *session, *user_data;
    const char *password; /* asked for on the terminal, never an option */
    struct strings headers, header_refs, mirrors;
    int on_exists, create_dirs, paused, priority, connections, max_tries, require_length,
        block_private, ip_version;
    int64_t start_after, limit_rate, retry_wait_ms, max_size;
};

struct owner_options {
    int max_active, max_per_host, trust_group;
    int64_t limit_rate, keep_done_n, keep_done_ms;
    const char *secret_parameters;
    struct strings limits,
        set_limits; /* "name=value" of the command line; of dlmgr.conf, and then those */
};

enum { CLI_OPTIONS = 72 }; /* room for the rows of cli_options; the table checks it */

struct args {
    struct add_options add; /* first: see above */
    struct owner_options owner;
    const char *home;
    int json, quiet, verbose, help, version;
    const char *input; /* -i */
    int fresh, patient, no_start, start, forever, stay, log_stderr;
    int follow, ack, in_line, take, all, delete_part, secrets, fix;
    const char *exec, *new_url, *on_event;
    unsigned states;
    int64_t after, limit, ack_to, timeout_ms, idle_ms, command_ms, ready_fd;
    struct strings operands;
    const char *given[CLI_OPTIONS]; /* by row of cli_options: the value as it was typed, NULL for not given */
    struct arena *arena;            /* for what is built while parsing */
};

enum option_kind {
    OPTION_FLAG,    /* int = 1; in files yes or no */
    OPTION_SET,     /* int = the row's min; no value */
    OPTION_TEXT,    /* const char * */
    OPTION_PATH,    /* const char *, made absolute */
    OPTION_STRINGS, /* struct strings */
    OPTION_HEADERS, /* a file of header lines into struct strings */
    OPTION_USER,    /* a name without a password */
    OPTION_NUMBER,  /* int from min to max */
    OPTION_LONG,    /* int64_t from min to max */
    OPTION_SIZE,    /* int64_t */
    OPTION_SPAN,    /* int64_t ms */
    OPTION_TIME,    /* int64_t wall ms */
    OPTION_KEEP,    /* two int64_t: count, then ms */
    OPTION_STATES,  /* unsigned bits */
    OPTION_EXISTS,  /* int, enum dlmgr_on_exists */
    OPTION_LIMITS,  /* "name=value" of the library's limits into struct strings */
};

/* Bits for the commands that take an option; a command's row in main.c names its own bit. */
enum command_bit {
    C_GET = 1 << 0,
    C_ADD = 1 << 1,
    C_LIST = 1 << 2,
    C_SHOW = 1 << 3,
    C_PAUSE = 1 << 4,
    C_RESUME = 1 << 5,
    C_CANCEL = 1 << 6,
    C_RETRY = 1 << 7,
    C_REMOVE = 1 << 8,
    C_SET = 1 << 9,
    C_RUN = 1 << 10,
    C_WAIT = 1 << 11,
    C_EVENTS = 1 << 12,
    C_DAEMON = 1 << 13,
    C_DOCTOR = 1 << 14,
    C_SESSION = 1 << 15,
    C_ACT = C_PAUSE | C_RESUME | C_CANCEL | C_RETRY | C_REMOVE,
    C_NEW = C_GET | C_ADD,
    C_OWN = C_GET | C_RUN | C_DAEMON,
    C_GLOBAL = 1 << 16, /* in front of the command */
    C_ANY = (1 << 17) - 1,
};

enum option_place { IN_LIST = 1, IN_CONF = 2, HIDDEN = 4 };

struct cli_option {
    const char *name;
    char letter;
    unsigned char kind, places;
    unsigned commands;
    size_t offset;
    int64_t min, max;
    const char *value; /* NULL: takes none */
    const char *help;
};

extern const struct cli_option cli_options[]; /* ends with a row without a name */

enum { CLI_MESSAGE = 640 };

void cli_args_init(struct args *args, struct arena *arena);

/* Rows by what was typed; NULL when there is none that fits. */
const struct cli_option *cli_option_long(unsigned command, const char *name, size_t n);
const struct cli_option *cli_option_letter(unsigned command, char letter);
const struct cli_option *cli_option_place(enum option_place place, const char *name);

/*
 * Give the option its value in target (a struct args, or a struct add_options for rows of IN_LIST); strings are kept in arena or
 * point into value. false: why (CLI_MESSAGE bytes) says what is wrong, without the option's name.
 */
bool cli_option_apply(const struct cli_option *option, void *target, const char *value,
                      struct arena *arena, char *why);

/*
 * Read the words of a command line (without the command) into args, operands among them. false: why is a whole message, naming the
 * word, the reason and the remedy. command 0 reads the global options in front of the command and stops at the first operand:
 * *ret_used says how many words that were.
 */
bool cli_args_parse(struct args *args, unsigned command, const char *command_name, int n,
                    char **words, int *ret_used, char *why);

/* The options of a command for --help, on stdout. */
void cli_options_help(unsigned command);

#endif
