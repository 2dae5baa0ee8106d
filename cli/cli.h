/* SPDX-License-Identifier: MIT */
/*
 * cli.h - what every command has: its arguments, the settings, and the ways to speak.
 *
 * A command is a function of (struct cli *) that returns the exit code. Results go to stdout through cli_print() and its kin,
 * everything else to stderr: cli_note() for what is good to know (not with -q), cli_fail() for what went wrong. With --json each
 * line on stderr is an object with a "type": message, progress or error.
 *
 * What must stay true: an exit code leaves only after the library has said that what it tells is durable, and a result that could not
 * be written to stdout is never a success (17), unless the reader went away, which ends list and show quietly.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/options.h"
#include "dlmgr.h"

#include <stdbool.h>
#include <stdint.h>

enum exit_code {
    EXIT_DONE = 0,
    EXIT_UNKNOWN = 1,
    EXIT_UNFINISHED = 7,
    EXIT_DISK_FULL = 9,
    EXIT_IO = 17,
    EXIT_USAGE = 64,
    EXIT_NO_OWNER = 69,
    EXIT_IN_USE = 75,
    EXIT_CONFIG = 78,
    EXIT_INTERRUPTED = 130,
};

struct cli {
    struct args args;
    struct arena arena; /* lives as long as the program */
    const char *command;
    int stdout_error; /* errno of the first write to stdout that failed */
};

/* ---- Speaking (say.c) --------------------------------------------------------------------------- */

/* The exit code that fits a DLMGR_E code. */
int cli_exit_code(int code);

/* "dlmgr: text" on stderr, or an error object with --json. Returns exit_code, so that `return cli_fail(...)` reads well. */
int cli_fail(const struct cli *cli, int exit_code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed call of the library. prefix (may be NULL) names the thing: "prefix: text". */
int cli_fail_error(const struct cli *cli, const dlmgr_error *error, const char *prefix);

/* With --json a failing command ends with an error object, also when all that failed was a task. */
void cli_fail_finally(const struct cli *cli, int exit_code);

/* Something good to know; nothing with -q. */
void cli_note(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A line on stdout; foreign text is escaped when stdout is a terminal. */
void cli_print(struct cli *cli, const char *text);

/* A line on stdout as it is: JSON, numbers, text that is safe already. */
void cli_print_raw(struct cli *cli, const char *text);

/* A task as a line of JSON. */
void cli_print_task(struct cli *cli, const dlmgr_task *task);

/* An object of JSON: as it is with --json, else a line a member, those of objects indented. Exit code. (list.c) */
int cli_print_object(struct cli *cli, const char *text);

/* Write out what is buffered; false when stdout failed now or before. */
bool cli_flush(struct cli *cli);

/* The exit code of a command that would have ended with code: 17 when stdout failed, unless quietly and it was closed. */
int cli_finish(struct cli *cli, int code, bool quietly);

/* The SGR sequence for a state's color, and the one that ends it; "" when stdout is no terminal or NO_COLOR is set. */
const char *cli_color(int state);
const char *cli_color_end(void);

/* A library log callback that writes to stderr; context is an int: the highest level to write. */
void cli_log(int level, const char *text, void *context);

/* ---- Signals (signals.c) ------------------------------------------------------------------------- */

/* SIGINT, SIGTERM and SIGHUP count from now on; the second one leaves at once. SIGPIPE and SIGXFSZ are ignored from the start. */
void cli_signals_catch(void);
bool cli_interrupted(void);

/* Sleep, but not past a signal. */
void cli_sleep(int64_t ms);

/* ms of a clock that nobody sets. */
int64_t cli_clock(void);
int64_t cli_wall(void);

/* Sleep until the library has news, ms at most (-1: no end) and not past a signal, and take them. 0 or a DLMGR_E code. (news.c) */
int cli_news(dlmgr *handle, int64_t ms, dlmgr_error *error);

/* `sh -c command` for the event: its exit status, 128 + signal, or -1 with a message. (exec.c) */
int cli_exec_event(struct cli *cli, const char *command, const dlmgr_event *event);

/* ---- Homes (home.c) ------------------------------------------------------------------------------ */

/* Read the settings files into args, below what the command line said. Exit code. */
int cli_settings(struct cli *cli);

/* dlmgr_open() with the settings. A DLMGR_E code. */
int cli_open(struct cli *cli, int mode, dlmgr **ret_handle, dlmgr_error *error);

/* Own the home, else attach to its owner; tries both again for 6 s while an owner comes or goes. held: an engine of ours begins at dlmgr_begin(). */
int cli_open_work(struct cli *cli, bool held, dlmgr **ret_handle, dlmgr_error *error);

/* For __attribute__((cleanup)). */
void cli_close(dlmgr **handle);
#define CLOSES __attribute__((cleanup(cli_close)))
#define FREES __attribute__((cleanup(cli_free)))
void cli_free(void *pointer_to_pointer);

/*
 * Start the daemon for this home and return when it serves. DLMGR_EBUSY when somebody owns the home already, or a service manager
 * started its service for it, which is as good for most callers. with_options hands on what this command line said (daemon start).
 */
int cli_daemon_start(struct cli *cli, bool with_options, int64_t *ret_pid, dlmgr_error *error);

/* Did this command line give options that a new daemon would take? */
bool cli_daemon_options(const struct cli *cli);

/* The same for work that was left to nobody: EBUSY is fine, any other trouble is said. Exit code. */
int cli_daemon_need(struct cli *cli);

/* How many tasks of these counts want work: queued, running, verifying, committing or waiting. */
int64_t cli_live(const dlmgr_counts *counts);

/* ---- Commands ------------------------------------------------------------------------------------ */

int cli_get(struct cli *cli);
int cli_add(struct cli *cli);
int cli_list(struct cli *cli);
int cli_show(struct cli *cli);
int cli_pause(struct cli *cli);
int cli_resume(struct cli *cli);
int cli_cancel(struct cli *cli);
int cli_retry(struct cli *cli);
int cli_remove(struct cli *cli);
int cli_set(struct cli *cli);
int cli_run(struct cli *cli);
int cli_wait(struct cli *cli);
int cli_events(struct cli *cli);
int cli_session(struct cli *cli);
int cli_daemon(struct cli *cli);
int cli_doctor(struct cli *cli);

#endif
