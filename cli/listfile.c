/* SPDX-License-Identifier: MIT */
/*
 * listfile.c - `-i FILE`: many downloads, written down.
 *
 *     # a comment
 *     https://example.org/a.iso<TAB>https://mirror.example.net/a.iso
 *       out=first.iso
 *       checksum=sha-256=...
 *     https://example.org/b.iso
 *
 * A line that starts in the first column is a URL, with mirrors of the same file after tabs; an indented line is an option of the URL
 * above it, by the option's long name (the format of aria2's input files). # in the first column is a comment, so is an
 * indented one. Lines may end in CR LF. Options that repeat (header, mirror) add to those of the command line, others replace them.
 *
 * Only the entry that is being read is in memory: a million lines cost what the longest one costs.
 */
#include "cli/adding.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct reading {
    struct cli *cli;
    const char *name;
    const struct add_options *base;
    struct arena *arena;
    entry_fn fn;
    void *context;
    struct entry entry;
    bool has_entry;
    int64_t line;
};

/* ---- Opening ----------------------------------------------------------------------------------- */

/* A file without a name, in $TMPDIR or /tmp, as large as the pipe brings. */
static FILE *spool(FILE *from, int *ret_errno)
{
    const char *dir = getenv("TMPDIR");
    char path[4096], block[65536];
    size_t n;
    FILE *file;
    int fd;

    snprintf(path, sizeof(path), "%s/dlmgr-XXXXXX", dir && *dir ? dir : "/tmp");
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    file = fd >= 0 ? fdopen(fd, "w+") : NULL;
    if (!file) {
        *ret_errno = errno;
        return NULL;
    }
    while ((n = fread(block, 1, sizeof(block), from)) > 0)
        if (fwrite(block, 1, n, file) != n)
            break;
    *ret_errno = ferror(from) || ferror(file) || fflush(file) != 0 ? errno : 0;
    if (!*ret_errno)
        return file;
    fclose(file);
    return NULL;
}

int cli_list_open(struct cli *cli, const char *path, struct list_file *ret)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re"), *spooled;
    const char *name = is_stdin ? "stdin" : path;
    struct stat st;
    int err = 0;

    if (!file || fstat(fileno(file), &st) < 0)
        return cli_fail(cli, EXIT_USAGE, "%s: %s", name, strerror(errno));
    if (S_ISDIR(st.st_mode)) {
        fclose(file);
        return cli_fail(cli, EXIT_USAGE, "%s: is a directory, not a list", name);
    }
    if (!S_ISREG(st.st_mode)) {
        spooled = spool(file, &err);
        if (!is_stdin)
            fclose(file);
        if (!spooled)
            return cli_fail(cli, EXIT_IO,
                            "%s: cannot be kept for reading it twice: %s; set TMPDIR or use a file",
                            name, strerror(err));
        file = spooled;
    }
    *ret = (struct list_file){.file = file, .name = name};
    return 0;
}

void cli_list_close(struct list_file *list)
{
    if (list->file && list->file != stdin)
        fclose(list->file);
    list->file = NULL;
}

/* ---- Reading ----------------------------------------------------------------------------------- */

static int wrong(const struct reading *r, const char *what, const char *why)
{
    FREES char *shown = dlmgr_url_shown(what);

    return cli_fail(r->cli, EXIT_USAGE, "%s:%lld: %.300s: %.500s", r->name, (long long)r->line,
                    shown ? shown : "***", why);
}

static int entry_end(struct reading *r)
{
    if (!r->has_entry)
        return 0;
    r->has_entry = false;
    return r->fn(r->cli, &r->entry, r->context);
}

static int url_line(struct reading *r, char *line)
{
    char *next;
    int code = entry_end(r);

    if (code)
        return code;
    line = cli_arena_copy(r->arena, line, strlen(line));
    r->entry = (struct entry){.add = *r->base, .file = r->name, .line = r->line};
    r->entry.url = strsep(&line, "\t");
    r->has_entry = true;
    while ((next = strsep(&line, "\t"))) {
        if (!*next)
            continue;
        if (r->entry.add.mirrors.items == r->base->mirrors.items)
            cli_strings_cut(&r->entry.add.mirrors, r->arena);
        cli_strings_add(&r->entry.add.mirrors, r->arena, next);
    }
    return 0;
}

/* Arrays that are still the command line's must not grow into its memory. */
static void cut_shared(struct reading *r, const struct cli_option *option)
{
    struct add_options *add = &r->entry.add;

    if (option->kind != OPTION_STRINGS && option->kind != OPTION_HEADERS)
        return;
    if (add->headers.items == r->base->headers.items)
        cli_strings_cut(&add->headers, r->arena);
    if (add->header_refs.items == r->base->header_refs.items)
        cli_strings_cut(&add->header_refs, r->arena);
    if (add->mirrors.items == r->base->mirrors.items)
        cli_strings_cut(&add->mirrors, r->arena);
}

static int option_line(struct reading *r, char *line)
{
    char *equals = strchr(line, '='), why[CLI_MESSAGE];
    const struct cli_option *option;
    const char *value = "";

    if (equals) {
        *equals = '\0'; /* the value may be a secret, and is not named below */
        value = cli_arena_copy(r->arena, equals + 1, strlen(equals + 1));
    }
    if (!r->has_entry)
        return wrong(r, line,
                     "an indented line is an option of the URL above it, and there is none");
    option = cli_option_place(IN_LIST, line);
    if (!option)
        return wrong(r, line,
                     "unknown option; options of add are known here by their long names, see dlmgr add --help");
    if (option->value && !equals)
        return wrong(r, line, "needs a value: name=value");
    cut_shared(r, option);
    if (!cli_option_apply(option, &r->entry.add, value, r->arena, why))
        return wrong(r, line, why);
    if (option->kind == OPTION_USER)
        r->entry.add.password = NULL; /* that one belongs to the command line's user */
    if (option->kind == OPTION_USER && !r->entry.add.netrc_file)
        return wrong(r, line,
                     "a list cannot ask for a password; name a netrc-file in a line above this one");
    return 0;
}

static int read_line(struct reading *r, char *line, size_t n)
{
    char *text;

    if (memchr(line, '\0', n))
        return wrong(r, "a NUL byte", "lists are text");
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        line[--n] = '\0';
    text = line + strspn(line, " \t");
    if (!*text || *text == '#')
        return 0;
    return text == line ? url_line(r, line) : option_line(r, text);
}

int cli_list_read(struct cli *cli, struct list_file *list, const struct add_options *base,
                  struct arena *arena, entry_fn fn, void *context)
{
    struct reading r =
        {.cli = cli, .name = list->name, .base = base, .arena = arena, .fn = fn, .context = context};
    FREES char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int code = 0;

    rewind(list->file);
    errno = 0;
    while (code == 0 && (n = getline(&line, &room, list->file)) >= 0) {
        r.line++;
        code = read_line(&r, line, (size_t)n);
    }
    if (code == 0 && ferror(list->file))
        return cli_fail(cli, EXIT_IO, "%s: %s", list->name, strerror(errno));
    return code ? code : entry_end(&r);
}
