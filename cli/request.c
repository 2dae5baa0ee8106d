/* SPDX-License-Identifier: MIT */
/*
 * request.c - an entry as the library wants it, and the two things that the option table cannot settle alone.
 *
 * The directory is where the command was typed unless --dir says otherwise, and is stored absolute: the daemon has another
 * one. A password is asked for on the terminal itself, with the echo off, since stdin may be a list; without a terminal it has
 * to come from netrc.
 */
#include "cli/adding.h"
#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static void request_text(const struct add_options *add, dlmgr_request *request)
{
    request->mirrors = (const char *const *)add->mirrors.items;
    request->headers = (const char *const *)add->headers.items;
    request->header_refs = (const char *const *)add->header_refs.items;
    request->dir = add->dir;
    request->out = add->out;
    request->checksum = add->checksum;
    request->user = add->user;
    request->password = add->password;
    request->netrc_file = add->netrc_file;
    request->cookie_file = add->cookie_file;
    request->cacert = add->cacert;
    request->cert = add->cert;
    request->cert_key = add->cert_key;
    request->pinned_pubkey = add->pinned_pubkey;
    request->proxy = add->proxy;
    request->key = add->key;
    request->session = add->session;
    request->user_data = add->user_data;
    request->user_data_len = add->user_data ? strlen(add->user_data) : 0;
}

void cli_request(const struct entry *entry, dlmgr_request *ret)
{
    const struct add_options *add = &entry->add;

    dlmgr_request_init(ret);
    ret->url = entry->url;
    request_text(add, ret);
    ret->on_exists = add->on_exists;
    ret->create_dirs = add->create_dirs;
    ret->paused = add->paused;
    ret->priority = add->priority == INT_MIN ? 0 : add->priority;
    ret->connections = add->connections;
    ret->max_tries = add->max_tries;
    ret->require_length = add->require_length;
    ret->block_private = add->block_private;
    ret->ip_version = add->ip_version;
    ret->start_after = add->start_after < 0 ? 0 : add->start_after;
    ret->limit_rate = add->limit_rate < 0 ? 0 : add->limit_rate;
    ret->retry_wait_ms = add->retry_wait_ms;
    ret->max_size = add->max_size;
}

char *cli_entry_name(const struct entry *entry, char *buf, size_t room)
{
    FREES char *shown = dlmgr_url_shown(entry->url);
    const char *url = shown ? shown : "***";

    if (entry->file)
        snprintf(buf, room, "%s:%lld: %s", entry->file, (long long)entry->line, url);
    else
        snprintf(buf, room, "%s", url);
    return buf;
}

int cli_entry_check(struct cli *cli, const struct entry *entry, void *context)
{
    dlmgr_request request;
    dlmgr_error error;
    char name[512];

    (void)context;
    cli_request(entry, &request);
    if (dlmgr_check(&request, &error) == 0)
        return 0;
    return cli_fail_error(cli, &error, cli_entry_name(entry, name, sizeof(name)));
}

/* ---- The password ------------------------------------------------------------------------------ */

/* A line from the terminal without echo; the terminal is put right again also when ^C ends the program meanwhile. */
static ssize_t ask(int fd, const char *prompt, char *answer, size_t room)
{
    struct termios before, silent;
    sigset_t stops, old;
    ssize_t n;

    if (tcgetattr(fd, &before) < 0)
        return -1;
    silent = before;
    /* ISIG off: ^C arrives as a character, so no handler can leave the echo off. */
    silent.c_lflag &= (tcflag_t) ~(ECHO | ISIG);
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGHUP);
    sigprocmask(SIG_BLOCK, &stops, &old);
    tcsetattr(fd, TCSAFLUSH, &silent);
    n = write(fd, prompt, strlen(prompt)) < 0 ? -1 : read(fd, answer, room - 1);
    tcsetattr(fd, TCSAFLUSH, &before);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (write(fd, "\n", 1) < 0 || n < 0)
        return -1;
    answer[n] = '\0';
    return n;
}

static int password_ask(struct cli *cli, int fd)
{
    char prompt[300], answer[512], name[256];
    ssize_t n;

    snprintf(prompt, sizeof(prompt),
             "Password for %s: ", cli_text_safe(cli->args.add.user, name, sizeof(name)));
    n = ask(fd, prompt, answer, sizeof(answer));
    close(fd);
    if (n < 0)
        return cli_fail(cli, EXIT_IO, "/dev/tty: cannot ask for the password: %s", strerror(errno));
    if (n == 0 || strchr(answer, 3))
        return cli_fail(cli, EXIT_INTERRUPTED, "no password given");
    answer[strcspn(answer, "\r\n")] = '\0';
    cli->args.add.password = cli_arena_copy(&cli->arena, answer, strlen(answer));
    explicit_bzero(answer, sizeof(answer));
    return 0;
}

static int password_find(struct cli *cli)
{
    const char *home = getenv("HOME");
    const char *netrc = home && *home == '/' ? cli_arena_print(&cli->arena, "%s/.netrc", home)
                                             : NULL;
    int fd;

    if (!cli->args.add.user || cli->args.add.netrc_file)
        return 0;
    fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0)
        return password_ask(cli, fd);
    if (netrc && access(netrc, R_OK) == 0) {
        cli->args.add.netrc_file = netrc;
        return 0;
    }
    return cli_fail(cli, EXIT_USAGE,
                    "--user %s: there is no terminal to ask for the password; use --netrc-file FILE",
                    cli->args.add.user);
}

int cli_add_prepare(struct cli *cli)
{
    struct args *args = &cli->args;
    char why[CLI_MESSAGE];

    if (args->operands.n == 0 && !args->input)
        return cli_fail(cli, EXIT_USAGE, "%s: which URL? see dlmgr %s --help", cli->command,
                        cli->command);
    if (args->add.key && args->operands.n > 1)
        return cli_fail(cli, EXIT_USAGE,
                        "--key %s: names one task, but there are %zu URLs; use -i with a key= under each",
                        args->add.key, args->operands.n);
    if (args->add.mirrors.n && args->operands.n > 1)
        return cli_fail(cli, EXIT_USAGE,
                        "--mirror: belongs to one URL, but there are %zu; use -i with mirrors after tabs",
                        args->operands.n);
    if (args->add.out && strcmp(args->add.out, "-") != 0 && args->operands.n > 1)
        return cli_fail(cli, EXIT_USAGE,
                        "--out %s: names one file, but there are %zu URLs; use -i with an out= under each",
                        args->add.out, args->operands.n);
    if (!args->add.dir &&
        !cli_option_apply(cli_option_long(C_ADD, "dir", 3), args, ".", &cli->arena, why))
        return cli_fail(cli, EXIT_USAGE, "the directory for the files %s", why);
    return password_find(cli);
}
