/* SPDX-License-Identifier: MIT */
/*
 * say.c - exit codes, messages for people and for programs, and a stdout whose failures are noticed.
 *
 * An error names the thing, the reason and the remedy on one line. It may carry foreign text (a URL, a file name, what a
 * server said), so messages are always escaped, not only on a terminal: a log that is read later has a terminal too.
 *
 * stdout is buffered by stdio. A write error is remembered when it happens; EPIPE (the reader went away) ends the reading
 * commands without a word, as `dlmgr list | head` should, and is 17 for those whose result mattered.
 */
#include "cli/cli.h"
#include "cli/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    int exit_code;
    const char *name;
} codes[] = {
    [-DLMGR_OK] = {EXIT_DONE, "OK"},
    [-DLMGR_EINVAL] = {EXIT_USAGE, "EINVAL"},
    [-DLMGR_ENOMEM] = {EXIT_UNKNOWN, "ENOMEM"},
    [-DLMGR_EIO] = {EXIT_IO, "EIO"},
    [-DLMGR_ENOSPC] = {EXIT_DISK_FULL, "ENOSPC"},
    [-DLMGR_EBUSY] = {EXIT_IN_USE, "EBUSY"},
    [-DLMGR_ENOOWNER] = {EXIT_NO_OWNER, "ENOOWNER"},
    [-DLMGR_ENOTFOUND] = {EXIT_USAGE, "ENOTFOUND"},
    [-DLMGR_ESTATE] = {EXIT_USAGE, "ESTATE"},
    [-DLMGR_EEXIST] = {EXIT_USAGE, "EEXIST"},
    [-DLMGR_EJOURNAL] = {EXIT_CONFIG, "EJOURNAL"},
    [-DLMGR_EHOME] = {EXIT_CONFIG, "EHOME"},
    [-DLMGR_ELINK] = {EXIT_NO_OWNER, "ELINK"},
    [-DLMGR_EPROTO] = {EXIT_NO_OWNER, "EPROTO"},
    [-DLMGR_ETIMEDOUT] = {EXIT_UNFINISHED, "ETIMEDOUT"},
    [-DLMGR_EFORK] = {EXIT_UNKNOWN, "EFORK"},
    [-DLMGR_ECLOSED] = {EXIT_UNKNOWN, "ECLOSED"},
    [-DLMGR_ELIMIT] = {EXIT_USAGE, "ELIMIT"},
    [-DLMGR_ECONFIG] = {EXIT_CONFIG, "ECONFIG"},
    [-DLMGR_ELOST] = {EXIT_IN_USE, "ELOST"},
};

static const char *const classes[] = {
    [DLMGR_CLASS_NONE] = NULL,
    [DLMGR_CLASS_TRANSIENT] = "transient",
    [DLMGR_CLASS_PERMANENT] = "permanent",
    [DLMGR_CLASS_POLICY] = "policy",
    [DLMGR_CLASS_NEEDS_AUTH] = "needs-auth",
    [DLMGR_CLASS_LOCAL] = "local",
};

static bool error_said;

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int cli_exit_code(int code)
{
    return code <= 0 && -code < COUNT(codes) ? codes[-code].exit_code : EXIT_UNKNOWN;
}

/* A JSON string, {"base64": ...} for bytes that are not UTF-8, or null. */
static json_t *json_text(const char *text)
{
    size_t n;
    char *coded;
    json_t *object;

    if (!text || !*text)
        return json_null();
    n = strlen(text);
    if (cli_text_is_utf8(text, n))
        return json_stringn_nocheck(text, n);
    coded = malloc((n + 2) / 3 * 4 + 1);
    object = coded ? json_pack("{ss}", "base64", cli_text_base64(text, n, coded)) : NULL;
    free(coded);
    return object ? object : json_null();
}

static void say_object(json_t *object)
{
    FREES char *line = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    if (line)
        fprintf(stderr, "%s\n", line);
    json_decref(object);
}

static void say_line(const char *text)
{
    char safe[4096];

    fprintf(stderr, "dlmgr: %s\n", cli_text_safe(text, safe, sizeof(safe)));
}

static void say_error(const struct cli *cli, int exit_code, const dlmgr_error *error,
                      const char *text)
{
    int code = error && error->code < 0 && -error->code < COUNT(codes) ? -error->code : 0;
    const char *class = error && error->class_ >= 0 && error->class_ < COUNT(classes)
                            ? classes[error->class_]
                            : NULL;

    error_said = true;
    if (!cli->args.json) {
        say_line(text);
        return;
    }
    say_object(json_pack("{si, ss, si, ss?, ss?, so, so, so}", "v", 1, "type", "error", "code",
                         exit_code, "name", code ? codes[code].name : NULL, "class", class, "message",
                         json_text(text), "path", json_text(error ? error->path : NULL), "errno",
                         error && error->sys_errno ? json_integer(error->sys_errno) : json_null()));
}

int cli_fail(const struct cli *cli, int exit_code, const char *fmt, ...)
{
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    say_error(cli, exit_code, NULL, text);
    return exit_code;
}

int cli_fail_error(const struct cli *cli, const dlmgr_error *error, const char *prefix)
{
    const char *what = *error->text ? error->text : dlmgr_strerror(error->code);
    char text[2048];

    snprintf(text, sizeof(text), "%s%s%s", prefix ? prefix : "", prefix ? ": " : "", what);
    say_error(cli, cli_exit_code(error->code), error, text);
    return cli_exit_code(error->code);
}

void cli_fail_finally(const struct cli *cli, int exit_code)
{
    if (exit_code && cli->args.json && !error_said)
        cli_fail(cli, exit_code, "%s ended with %d", cli->command ? cli->command : "dlmgr",
                 exit_code);
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
    char text[2048];
    va_list ap;

    if (cli->args.quiet)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (cli->args.json)
        say_object(json_pack("{si, ss, so}", "v", 1, "type", "message", "message", json_text(text)));
    else
        say_line(text);
}

void cli_log(int level, const char *text, void *context)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char safe[1024], line[1100];
    int n;

    if (level > *(const int *)context || level < 0 || level > 3)
        return;
    n = snprintf(line, sizeof(line), "dlmgr: %s: %s\n", names[level],
                 cli_text_safe(text, safe, sizeof(safe)));
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        return; /* there is nowhere left to say so */
}

/* ---- stdout ------------------------------------------------------------------------------------ */

static void stdout_check(struct cli *cli, bool good)
{
    if (!good && !cli->stdout_error)
        cli->stdout_error = errno ? errno : EIO;
}

void cli_print_raw(struct cli *cli, const char *text)
{
    if (!cli->stdout_error)
        stdout_check(cli, fputs(text, stdout) >= 0 && putchar('\n') != EOF);
}

void cli_print_task(struct cli *cli, const dlmgr_task *task)
{
    FREES char *text = dlmgr_task_json(task);

    if (text)
        cli_print_raw(cli, text);
    else
        cli_fail(cli, EXIT_UNKNOWN, "out of memory");
}

/* Asked once: a list has many lines. */
static bool on_terminal(void)
{
    static int known = -1;

    if (known < 0)
        known = isatty(STDOUT_FILENO);
    return known;
}

void cli_print(struct cli *cli, const char *text)
{
    size_t room = strlen(text) * 10 + 1;
    FREES char *safe = on_terminal() ? malloc(room) : NULL;

    cli_print_raw(cli, safe ? cli_text_safe(text, safe, room) : text);
}

bool cli_flush(struct cli *cli)
{
    if (!cli->stdout_error)
        stdout_check(cli, fflush(stdout) == 0);
    return !cli->stdout_error;
}

int cli_finish(struct cli *cli, int code, bool quietly)
{
    if (cli_flush(cli))
        return code;
    if (cli->stdout_error == EPIPE && quietly)
        return code;
    cli_fail(cli, EXIT_IO, "stdout: %s", strerror(cli->stdout_error));
    return code ? code : EXIT_IO;
}

static bool colors(void)
{
    static int known = -1;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    if (known < 0)
        known = on_terminal() && !(no && *no) && term && strcmp(term, "dumb") != 0;
    return known;
}

const char *cli_color(int state)
{
    static const char *const sgr[] = {
        [DLMGR_RUNNING] = "\033[36m",    [DLMGR_VERIFYING] = "\033[36m",
        [DLMGR_COMMITTING] = "\033[36m", [DLMGR_DONE] = "\033[32m",
        [DLMGR_WAITING] = "\033[33m",    [DLMGR_PAUSED] = "\033[33m",
        [DLMGR_FAILED] = "\033[31m",     [DLMGR_CANCELLED] = "\033[2m",
    };

    return colors() && state >= 0 && state < COUNT(sgr) && sgr[state] ? sgr[state] : "";
}

const char *cli_color_end(void)
{
    return colors() ? "\033[0m" : "";
}

void cli_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}
