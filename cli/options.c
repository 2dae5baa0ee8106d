/* SPDX-License-Identifier: MIT */
/*
 * options.c - the table of options and what each kind does with its value: see options.h.
 *
 * Two rows share a name where one word means two things: --limit-rate is one task's for get, add and set, and the total
 * of all tasks for run, daemon and dlmgr.conf. A lookup always says for whom, so it finds one of them.
 *
 * A password never stands on a command line, where every user of the machine could read it; --user therefore refuses
 * NAME:PASSWORD and says what to do instead.
 */
#include "cli/options.h"

#include "cli/values.h"
#include "dlmgr.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define AT(member) offsetof(struct args, member)

const struct cli_option cli_options[] = {
    {"out", 'o', OPTION_TEXT, IN_LIST, C_NEW | C_SET, AT(add.out), 0, 0, "NAME",
     "file name, or a relative path below the directory"},
    {"dir", 'd', OPTION_PATH, IN_LIST, C_NEW | C_SET, AT(add.dir), 0, 0, "DIR",
     "where the file goes (default: the current directory)"},
    {"create-dirs", 0, OPTION_FLAG, IN_LIST | IN_CONF, C_NEW, AT(add.create_dirs), 0, 0, NULL,
     "make missing directories"},
    {"mirror", 0, OPTION_STRINGS, IN_LIST, C_NEW, AT(add.mirrors), 0, 0, "URL",
     "another source of the same file; may be repeated"},
    {"checksum", 0, OPTION_TEXT, IN_LIST, C_NEW, AT(add.checksum), 0, 0, "ALG=HEX",
     "sha-256, sha-512, sha-1 or md5 that the file must have"},
    {"header", 'H', OPTION_STRINGS, IN_LIST, C_NEW, AT(add.headers), 0, 0, "'K: V'",
     "send this header to the URL's own origin; may be repeated"},
    {"header-file", 0, OPTION_HEADERS, IN_LIST, C_NEW, AT(add.headers), 0, 0, "FILE",
     "headers from a file, one a line (not seen by ps)"},
    {"header-from", 0, OPTION_STRINGS, IN_LIST, C_NEW, AT(add.header_refs), 0, 0, "'K: {..}'",
     "the owner reads it for each request: {file:PATH}, {env:NAME}, {credential:NAME}"},
    {"user", 'u', OPTION_USER, IN_LIST, C_NEW, AT(add.user), 0, 0, "NAME",
     "HTTP user; the password is asked for, or comes from netrc"},
    {"netrc-file", 0, OPTION_PATH, IN_LIST | IN_CONF, C_NEW, AT(add.netrc_file), 0, 0, "FILE",
     "look up user and password there at each request"},
    {"load-cookies", 0, OPTION_PATH, IN_LIST, C_NEW, AT(add.cookie_file), 0, 0, "FILE",
     "send cookies from a file in Netscape format"},
    {"on-exists", 0, OPTION_EXISTS, IN_LIST | IN_CONF, C_NEW, AT(add.on_exists), 0, 0, "HOW",
     "fail, rename (default), replace, or same (equal digest is done)"},
    {"paused", 0, OPTION_FLAG, IN_LIST, C_NEW, AT(add.paused), 0, 0, NULL, "add it paused"},
    {"priority", 0, OPTION_NUMBER, IN_LIST, C_NEW | C_SET, AT(add.priority), -1000, 1000, "N",
     "higher first (default 0)"},
    {"start-after", 0, OPTION_TIME, IN_LIST, C_NEW | C_SET, AT(add.start_after), 0, 0, "TIME",
     "not before 2026-01-31T06:00:00Z, 23:30, or +2h"},
    {"connections", 'x', OPTION_NUMBER, IN_LIST | IN_CONF, C_NEW, AT(add.connections), 1, 16, "N",
     "connections for one file (default 4 over 16 MiB)"},
    {"limit-rate", 0, OPTION_SIZE, IN_LIST, C_NEW | C_SET, AT(add.limit_rate), 0, 0, "R",
     "bytes a second of the task; 0 for none"},
    {"max-tries", 0, OPTION_NUMBER, IN_LIST | IN_CONF, C_NEW, AT(add.max_tries), 1, 1000000, "N",
     "attempts in transient trouble (default 5)"},
    {"retry-wait", 0, OPTION_SPAN, IN_LIST | IN_CONF, C_NEW, AT(add.retry_wait_ms), 0, 0, "S",
     "first pause between tries, then doubled (default 1 s)"},
    {"max-size", 0, OPTION_SIZE, IN_LIST | IN_CONF, C_NEW, AT(add.max_size), 0, 0, "N",
     "refuse a larger file"},
    {"require-length", 0, OPTION_FLAG, IN_LIST | IN_CONF, C_NEW, AT(add.require_length), 0, 0, NULL,
     "refuse an answer that does not say its length"},
    {"block-private", 0, OPTION_FLAG, IN_LIST | IN_CONF, C_NEW, AT(add.block_private), 0, 0, NULL,
     "refuse loopback, link-local and private addresses"},
    {"key", 0, OPTION_TEXT, IN_LIST, C_NEW, AT(add.key), 0, 0, "CLIENTKEY",
     "adding the same key again is adding once"},
    {"session", 0, OPTION_TEXT, IN_LIST, C_NEW | C_LIST | C_ACT | C_SET | C_EVENTS, AT(add.session),
     0, 0, "NAME", "the tasks' session (default: default, or all)"},
    {"user-data", 0, OPTION_TEXT, IN_LIST, C_NEW, AT(add.user_data), 0, 0, "TEXT",
     "kept with the task and given back with it"},
    {"cacert", 0, OPTION_PATH, IN_LIST | IN_CONF, C_NEW, AT(add.cacert), 0, 0, "FILE",
     "certificate authorities, PEM"},
    {"cert", 0, OPTION_PATH, IN_LIST, C_NEW, AT(add.cert), 0, 0, "FILE", "client certificate, PEM"},
    {"cert-key", 0, OPTION_PATH, IN_LIST, C_NEW, AT(add.cert_key), 0, 0, "FILE", "its key, PEM"},
    {"pinned-pubkey", 0, OPTION_TEXT, IN_LIST, C_NEW, AT(add.pinned_pubkey), 0, 0, "HASH",
     "sha256//BASE64 that the server's key must have"},
    {"proxy", 0, OPTION_TEXT, IN_LIST | IN_CONF, C_NEW, AT(add.proxy), 0, 0, "URL",
     "'' for none (default: http_proxy and its kin)"},
    {"ipv4", '4', OPTION_SET, IN_LIST, C_NEW, AT(add.ip_version), 4, 0, NULL, "IPv4 only"},
    {"ipv6", '6', OPTION_SET, IN_LIST, C_NEW, AT(add.ip_version), 6, 0, NULL, "IPv6 only"},

    {"input-file", 'i', OPTION_TEXT, 0, C_NEW | C_SET, AT(input), 0, 0, "FILE",
     "read from a file; - is stdin"},
    {"new", 0, OPTION_FLAG, 0, C_GET, AT(fresh), 0, 0, NULL,
     "add another task even if an unfinished one is the same"},
    {"no-start", 0, OPTION_FLAG, 0, C_NEW, AT(no_start), 0, 0, NULL, "do not start the daemon"},
    {"patient", 0, OPTION_FLAG, 0, C_GET | C_RUN | C_WAIT, AT(patient), 0, 0, NULL,
     "stay while only paused tasks or waits for storage are left"},
    {"state", 0, OPTION_STATES, 0, C_LIST | C_ACT, AT(states), 0, 0, "S[,S]",
     "tasks in these states"},
    {"all", 0, OPTION_FLAG, 0, C_ACT, AT(all), 0, 0, NULL, "all tasks"},
    {"start", 0, OPTION_FLAG, 0, C_ACT | C_SET, AT(start), 0, 0, NULL,
     "start the daemon if nobody owns the home"},
    {"delete", 0, OPTION_FLAG, 0, C_REMOVE, AT(delete_part), 0, 0, NULL, "remove the part file too"},
    {"url", 0, OPTION_TEXT, 0, C_SET, AT(new_url), 0, 0, "URL",
     "a new URL; retries what failed with 401, 403 or 410"},
    {"secrets", 0, OPTION_FLAG, 0, C_SHOW, AT(secrets), 0, 0, NULL,
     "show what is redacted otherwise"},
    {"after", 0, OPTION_LONG, 0, C_LIST | C_EVENTS, AT(after), 0, INT64_MAX, "N",
     "only what comes after this id (events: seq)"},
    {"limit", 0, OPTION_LONG, 0, C_LIST, AT(limit), 1, INT64_MAX, "N", "at most so many"},
    {"timeout", 0, OPTION_SPAN, 0, C_WAIT, AT(timeout_ms), 0, 0, "S", "end with 7 after this time"},
    {"follow", 0, OPTION_FLAG, 0, C_EVENTS, AT(follow), 0, 0, NULL, "go on with those that come"},
    {"ack", 0, OPTION_FLAG, 0, C_EVENTS, AT(ack), 0, 0, NULL, "acknowledge what was written"},
    {"ack-to", 0, OPTION_LONG, 0, C_EVENTS, AT(ack_to), 0, INT64_MAX, "SEQ",
     "acknowledge up to this one and print nothing"},
    {"exec", 0, OPTION_TEXT, 0, C_EVENTS, AT(exec), 0, 0, "CMD",
     "sh -c CMD for each, acknowledged when it exits 0"},
    {"wait", 0, OPTION_FLAG, 0, C_EVENTS, AT(in_line), 0, 0, NULL,
     "with --ack or --exec: wait while another one holds the session"},
    {"take", 0, OPTION_FLAG, 0, C_EVENTS, AT(take), 0, 0, NULL,
     "the same, but take it from the other one"},
    {"on-event", 0, OPTION_TEXT, 0, C_SESSION, AT(on_event), 0, 0, "CMD",
     "sh -c CMD when events wait and nobody holds it; '' removes it"},
    {"fix", 0, OPTION_FLAG, 0, C_DOCTOR, AT(fix), 0, 0, NULL,
     "quarantine what is broken; deletes nothing"},

    {"max-active", 'j', OPTION_NUMBER, IN_CONF, C_OWN, AT(owner.max_active), 1, 1000, "N",
     "tasks at once (default 8)"},
    {"max-per-host", 0, OPTION_NUMBER, IN_CONF, C_OWN, AT(owner.max_per_host), 1, 256, "N",
     "connections to one origin (default 6)"},
    {"keep-done", 0, OPTION_KEEP, IN_CONF, C_OWN, AT(owner.keep_done_n), 0, 0, "N|TIME",
     "prune finished tasks: keep 1000, or 30d (default: keep all)"},
    {"limits", 0, OPTION_LIMITS, 0, C_OWN, AT(owner.limits), 0, 0, "NAME=N",
     "a limit of dlmgr.conf(5), such as redirects=5; may be repeated"},
    {"limit-rate", 0, OPTION_SIZE, IN_CONF, C_RUN | C_DAEMON, AT(owner.limit_rate), 0, 0, "R",
     "bytes a second of all tasks together"},
    {"trust-group", 0, OPTION_FLAG, IN_CONF, 0, AT(owner.trust_group), 0, 0, NULL,
     "accept a group-writable home"},
    {"secret-parameters", 0, OPTION_TEXT, IN_CONF, 0, AT(owner.secret_parameters), 0, 0, "NAMES",
     "parameters of URLs whose values are secret"},
    {"forever", 0, OPTION_FLAG, 0, C_RUN | C_DAEMON, AT(forever), 0, 0, NULL,
     "stay when there is nothing to do"},
    {"stay", 0, OPTION_FLAG, 0, C_DAEMON, AT(forever), 0, 0, NULL, "the same"},
    {"idle", 0, OPTION_SPAN, 0, C_DAEMON, AT(idle_ms), 0, 0, "S",
     "end after so long with nothing to do (default 60)"},
    {"command-timeout", 0, OPTION_SPAN, HIDDEN, C_DAEMON, AT(command_ms), 0, 0, "S", "used by tests"},
    {"ready-fd", 0, OPTION_LONG, HIDDEN, C_DAEMON, AT(ready_fd), 3, 1 << 20, "N",
     "used by daemon start"},

    {"home", 0, OPTION_PATH, 0, C_ANY, AT(home), 0, 0, "DIR",
     "where the journal stands (default: $DLMGR_HOME)"},
    {"json", 0, OPTION_FLAG, 0, C_ANY, AT(json), 0, 0, NULL, "JSON, one object a line"},
    {"quiet", 'q', OPTION_FLAG, 0, C_ANY, AT(quiet), 0, 0, NULL, "no progress, no notes"},
    {"verbose", 'v', OPTION_FLAG, 0, C_ANY, AT(verbose), 0, 0, NULL, "say more"},
    {"help", 'h', OPTION_FLAG, 0, C_ANY, AT(help), 0, 0, NULL, "this text"},
    {"version", 'V', OPTION_FLAG, 0, C_ANY, AT(version), 0, 0, NULL, "the version"},
    {0},
};

_Static_assert(sizeof(cli_options) / sizeof(cli_options[0]) <= CLI_OPTIONS,
               "CLI_OPTIONS is too small");

void cli_args_init(struct args *args, struct arena *arena)
{
    *args = (struct args){
        .add = {.priority = INT_MIN, .start_after = -1, .limit_rate = -1, .retry_wait_ms = -1},
        .after = -1,
        .limit = -1,
        .ack_to = -1,
        .timeout_ms = -1,
        .idle_ms = 60000,
        .command_ms = 60000,
        .ready_fd = -1,
        .arena = arena,
    };
}

const struct cli_option *cli_option_long(unsigned command, const char *name, size_t n)
{
    const struct cli_option *option;

    for (option = cli_options; option->name; option++)
        if ((option->commands & command) && strncmp(option->name, name, n) == 0 && !option->name[n])
            return option;
    return NULL;
}

const struct cli_option *cli_option_letter(unsigned command, char letter)
{
    const struct cli_option *option;

    for (option = cli_options; option->name; option++)
        if ((option->commands & command) && option->letter == letter)
            return option;
    return NULL;
}

const struct cli_option *cli_option_place(enum option_place place, const char *name)
{
    const struct cli_option *option;

    for (option = cli_options; option->name; option++)
        if ((option->places & place) && strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

/* ---- Values ------------------------------------------------------------------------------------ */

static bool absolute(const char *value, const char **ret, struct arena *arena, char *why)
{
    char cwd[PATH_MAX];

    if (!*value) {
        snprintf(why, CLI_MESSAGE, "must not be empty");
        return false;
    }
    if (*value == '/') {
        *ret = value;
        return true;
    }
    if (!getcwd(cwd, sizeof(cwd)) || *cwd != '/') {
        snprintf(why, CLI_MESSAGE,
                 "is relative, but the current directory is not known (%s); give an absolute path",
                 strerror(errno));
        return false;
    }
    *ret = strcmp(value, ".") == 0
               ? cli_arena_print(arena, "%s", cwd)
               : cli_arena_print(arena, "%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, value);
    return true;
}

/* Lines of "Name: value"; blank ones and comments are skipped. The library checks each header itself. */
static bool headers_read(const char *path, struct strings *headers, struct arena *arena, char *why)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int err;

    if (!file) {
        snprintf(why, CLI_MESSAGE, "%s: %s", path, strerror(errno));
        return false;
    }
    while ((n = getline(&line, &room, file)) > 0) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (n > 0 && *line != '#')
            cli_strings_add(headers, arena, cli_arena_copy(arena, line, (size_t)n));
    }
    err = ferror(file) ? errno : 0;
    fclose(file);
    free(line);
    if (err)
        snprintf(why, CLI_MESSAGE, "%s: %s", path, strerror(err));
    return err == 0;
}

static bool user_apply(const char *value, const char **ret, char *why)
{
    if (!*value || strchr(value, ':')) {
        snprintf(why, CLI_MESSAGE,
                 "must be a name alone; a password on a command line can be read by all: leave it out to be asked for "
                 "it, or use --netrc-file");
        return false;
    }
    *ret = value;
    return true;
}

static bool limit_add(const char *text, struct strings *limits, struct arena *arena, char *why)
{
    dlmgr_error error;

    if (dlmgr_limit_check(text, &error) != 0) {
        snprintf(why, CLI_MESSAGE, "%s", error.text);
        return false;
    }
    cli_strings_add(limits, arena, text);
    return true;
}

static int64_t wall_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool cli_option_apply(const struct cli_option *option, void *target, const char *value,
                      struct arena *arena, char *why)
{
    static const char *const exists[] = {"default", "fail", "rename", "replace", "same", NULL};
    void *place = (char *)target + option->offset;
    int64_t number;

    switch ((enum option_kind)option->kind) {
    case OPTION_FLAG:
        return cli_yes(value, place, why);
    case OPTION_SET:
        *(int *)place = (int)option->min;
        return true;
    case OPTION_TEXT:
        *(const char **)place = value;
        return true;
    case OPTION_PATH:
        return absolute(value, place, arena, why);
    case OPTION_STRINGS:
        cli_strings_add(place, arena, value);
        return true;
    case OPTION_HEADERS:
        return headers_read(value, place, arena, why);
    case OPTION_USER:
        return user_apply(value, place, why);
    case OPTION_NUMBER:
        if (!cli_number(value, option->min, option->max, &number, why))
            return false;
        *(int *)place = (int)number;
        return true;
    case OPTION_LONG:
        return cli_number(value, option->min, option->max, place, why);
    case OPTION_SIZE:
        return cli_size(value, place, why);
    case OPTION_SPAN:
        return cli_span(value, place, why);
    case OPTION_TIME:
        return cli_time(value, wall_now(), place, why);
    case OPTION_KEEP:
        return cli_keep(value, place, (int64_t *)place + 1, why);
    case OPTION_STATES:
        return cli_states(value, place, why);
    case OPTION_LIMITS:
        return limit_add(value, place, arena, why);
    case OPTION_EXISTS:
        return cli_choice(value, exists, place, why);
    }
    return false;
}
