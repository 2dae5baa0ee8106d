/* SPDX-License-Identifier: MIT */
/*
 * main.c - the table of commands, and the way from a command line to one of them.
 *
 * A row has a name, its function, the bit by which the option table knows it, a usage line, and what --help says. Options may stand
 * in front of the command (global ones) and after it (its own and global ones). Nothing is touched before the whole line
 * and the settings files have been understood.
 */
#include "cli/cli.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct command {
    const char *name;
    int (*run)(struct cli *cli);
    unsigned bit;
    const char *usage;
    const char *help;
};

static const struct command commands[] = {
    {"get", cli_get, C_GET, "[options] URL... | -i FILE",
     "fetch files and see it through in this terminal"},
    {"add", cli_add, C_ADD, "[options] URL... | -i FILE",
     "put tasks in the journal; the daemon fetches them"},
    {"list", cli_list, C_LIST, "[options]", "list tasks, oldest first"},
    {"show", cli_show, C_SHOW, "[options] ID...", "all about a task"},
    {"pause", cli_pause, C_PAUSE, "[options] ID... | --all | -", "stop tasks until they are resumed"},
    {"resume", cli_resume, C_RESUME, "[options] ID... | --all | -",
     "go on with paused tasks, try waiting ones at once"},
    {"cancel", cli_cancel, C_CANCEL, "[options] ID... | --all | -", "end tasks"},
    {"retry", cli_retry, C_RETRY, "[options] ID... | --all | -",
     "start failed and cancelled tasks again"},
    {"remove", cli_remove, C_REMOVE, "[options] ID... | --all | -",
     "forget tasks; finished files stay"},
    {"set", cli_set, C_SET, "[options] ID... | -i FILE",
     "change tasks: URL, name, directory, priority, limits"},
    {"run", cli_run, C_RUN, "[options]", "work until nothing is left to do"},
    {"wait", cli_wait, C_WAIT, "[options] [ID...]", "wait until tasks have ended"},
    {"events", cli_events, C_EVENTS, "[options]", "durable events, one JSON object a line"},
    {"session", cli_session, C_SESSION, "list | show NAME | set NAME --on-event CMD | remove NAME",
     "sessions of apps, and the command that wakes one"},
    {"daemon", cli_daemon, C_DAEMON, "start|stop|restart|status|run [options]",
     "the background service"},
    {"doctor", cli_doctor, C_DOCTOR, "[options]", "check journal, files and modes"},
    {0},
};

static const struct command *command_find(const char *name)
{
    const struct command *command;

    for (command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

static void help_all(void)
{
    const struct command *command;

    puts("Usage: dlmgr [options] COMMAND [options] [arguments]\n\n"
         "A download manager that never lies about what it has.\n\nCommands:");
    for (command = commands; command->name; command++)
        printf("  %-8s  %s\n", command->name, command->help);
    puts("\nOptions in front of or after the command:");
    cli_options_help(C_GLOBAL);
    puts("\n`dlmgr COMMAND --help` tells a command's options; dlmgr(1) tells all.");
}

static int help(struct cli *cli, const struct command *command)
{
    if (command) {
        printf("Usage: dlmgr %s %s\n\n%s\n\nOptions:\n", command->name, command->usage,
               command->help);
        cli_options_help(command->bit);
    } else {
        help_all();
    }
    return cli_finish(cli, EXIT_DONE, true);
}

static int version(struct cli *cli)
{
    int oldest, newest = dlmgr_protocol(&oldest);

    printf("dlmgr %s\n", dlmgr_version());
    printf(oldest == newest ? "protocol %d\n" : "protocols %d to %d\n", oldest, newest);
    return cli_finish(cli, EXIT_DONE, true);
}

/* --home, else $DLMGR_HOME made absolute as --home is. */
static bool home_choose(struct cli *cli, char *why)
{
    const char *home = getenv("DLMGR_HOME");
    const struct cli_option *option = cli_option_long(C_GLOBAL, "home", 4);
    char reason[CLI_MESSAGE];

    if (cli->args.home || !home || !*home)
        return true;
    if (cli_option_apply(option, &cli->args, home, &cli->arena, reason))
        return true;
    snprintf(why, CLI_MESSAGE, "$DLMGR_HOME %.200s: %.300s", home, reason);
    return false;
}

/* Before the first URL is looked at or named. */
static int secrets_learn(struct cli *cli)
{
    const char *names = cli->args.owner.secret_parameters;
    dlmgr_error error;

    if (!names || dlmgr_secret_parameters(names, &error) == 0)
        return 0;
    return cli_fail(cli, EXIT_CONFIG, "secret-parameters: %s", error.text);
}

static int run(struct cli *cli, int argc, char **argv)
{
    const struct command *command;
    char why[CLI_MESSAGE];
    int used, code;

    if (!cli_args_parse(&cli->args, 0, "", argc - 1, argv + 1, &used, why))
        return cli_fail(cli, EXIT_USAGE, "%s", why);
    if (cli->args.version)
        return version(cli);
    command = used + 1 < argc ? command_find(argv[used + 1]) : NULL;
    if (cli->args.help)
        return help(cli, command);
    if (!command && used + 1 < argc)
        return cli_fail(cli, EXIT_USAGE, "%s: unknown command; see dlmgr --help", argv[used + 1]);
    if (!command)
        return cli_fail(cli, EXIT_USAGE, "which command? see dlmgr --help");
    cli->command = command->name;
    argc -= used + 2;
    argv += used + 2;
    if (!cli_args_parse(&cli->args, command->bit, command->name, argc, argv, &used, why))
        return cli_fail(cli, EXIT_USAGE, "%s", why);
    if (cli->args.help)
        return help(cli, command);
    if (cli->args.version)
        return version(cli);
    if (!home_choose(cli, why))
        return cli_fail(cli, EXIT_USAGE, "%s", why);
    code = cli_settings(cli);
    if (code == 0)
        code = secrets_learn(cli);
    return code ? code : command->run(cli);
}

/* A file of ours must not become what others take for stdin, stdout or stderr. Using one that was closed still fails. */
static void stdio_fill(void)
{
    int fd;

    do
        fd = open("/dev/null", fcntl(STDIN_FILENO, F_GETFD) < 0 ? O_WRONLY : O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    int code;

    stdio_fill();

    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    cli_args_init(&cli.args, &cli.arena);
    code = run(&cli, argc, argv);
    cli_fail_finally(&cli, code);
    cli_arena_free(&cli.arena);
    return code;
}
