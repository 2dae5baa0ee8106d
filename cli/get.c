/* SPDX-License-Identifier: MIT */
/*
 * get.c - fetch files and see it through in this terminal.
 *
 * The tasks are ordinary ones: added durably first, then followed. If nobody owns the home, this process is the engine until its
 * own tasks have ended, and works the whole queue meanwhile; a daemon is started for what is left then, since whoever added it
 * saw an owner and counts on it. After ^C none is started: "stop" is what was meant.
 *
 * The same get again continues: an unfinished task of the same URL, directory and name is followed instead of adding another,
 * unless --new. A paused one is resumed.
 *
 * `-o -`: the file is fetched to HOME/stdout under its own name, and only when it is whole and verified written to stdout, in the
 * order of the URLs; then it is removed with its task. If stdout fails, the file stays and its place is told.
 */
#include "cli/adding.h"
#include "cli/follow.h"
#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct get {
    struct follow follow;
    struct adding adding;
    bool to_stdout;
    size_t failed_at; /* index of the first failure so far, SIZE_MAX none */
    int failed_code;
    char failure[1024];
};

/* ---- As they end ------------------------------------------------------------------------------- */

/* What to do about it, by exit code. */
static const char *remedy(int code)
{
    switch (code) {
    case 24:
        return "; give credentials with --user or --netrc-file, or a new URL with `dlmgr set`, then `dlmgr retry`";
    case EXIT_IO:
        return "; put that right, then `dlmgr retry` goes on with what is there";
    case 13:
        return "; choose another name with `dlmgr set --out`, then `dlmgr retry`";
    case 2:
    case 6:
    case 7:
    case 19:
        return "; `dlmgr retry` goes on with what is there";
    default:
        return "";
    }
}

static void say_failure(struct cli *cli, struct get *get, size_t index, const dlmgr_task *task)
{
    char text[1024];
    int code = task && task->state == DLMGR_FAILED && task->error_code ? task->error_code
                                                                       : EXIT_UNFINISHED;

    if (!task)
        snprintf(text, sizeof(text), "task %lld: removed", (long long)get->follow.ids[index]);
    else if (task->state == DLMGR_CANCELLED)
        snprintf(text, sizeof(text), "task %lld: cancelled: %s", (long long)task->id, task->url);
    else
        snprintf(text, sizeof(text), "task %lld: %s: %s%s", (long long)task->id, task->url,
                 task->error_text ? task->error_text : "failed", remedy(code));
    if (index < get->failed_at) {
        get->failed_at = index;
        get->failed_code = code;
        snprintf(get->failure, sizeof(get->failure), "%s", text);
    }
    if (!cli->args.json)
        cli_fail(cli, code, "%s", text);
}

static void say_done(struct cli *cli, const struct get *get, const dlmgr_task *task)
{
    char wanted[1024];

    if (task->renamed)
        cli_note(cli, "%s: the name %s was taken", task->path,
                 cli_text_name(task->out ? task->out : task->url, wanted, sizeof(wanted)));
    if (task->unverified_length)
        cli_note(cli, "%s: unverified length: the server did not say how long it is",
                 task->path ? task->path : task->url);
    if (get->to_stdout)
        return;
    if (cli->args.json)
        cli_print_task(cli, task);
    else
        cli_print(cli, task->path ? task->path : "");
}

static void on_ended(struct cli *cli, size_t index, const dlmgr_task *task, void *context)
{
    struct get *get = context;

    if (task && task->state == DLMGR_DONE) {
        cli_progress_ended(&get->follow.progress, task);
        say_done(cli, get, task);
        return;
    }
    cli_progress_clear(&get->follow.progress);
    say_failure(cli, get, index, task);
    if (task && cli->args.json && !get->to_stdout)
        cli_print_task(cli, task);
}

/* ---- Adding ------------------------------------------------------------------------------------ */

static int resume_found(struct cli *cli, struct get *get, int64_t id)
{
    dlmgr_selector selector = {.size = sizeof(selector),
                               .ids = &id,
                               .n_ids = 1,
                               .states = 1u << DLMGR_PAUSED};
    dlmgr_error error;
    int64_t resumed = 0;
    int r = dlmgr_act(get->follow.handle, DLMGR_RESUME, &selector, &resumed, &error);

    /* It may have ended since it was found: following it will tell. */
    if (r && r != DLMGR_ESTATE && r != DLMGR_ENOTFOUND)
        return cli_fail_error(cli, &error, NULL);
    cli_note(cli, "continuing task %lld%s; --new adds another", (long long)id,
             resumed ? ", which was paused" : "");
    return 0;
}

static int on_added(struct cli *cli, const struct entry *entries, const int64_t *ids,
                    const unsigned char *found, size_t n, void *context)
{
    struct get *get = context;
    int code = cli_follow_add(&get->follow, ids, n);
    size_t i;

    for (i = 0; i < n && code == 0; i++)
        if (found[i] && !entries[i].add.paused)
            code = resume_found(cli, get, ids[i]);
    return code;
}

/* ---- stdout ------------------------------------------------------------------------------------ */

static int copy_out(struct cli *cli, int fd)
{
    char block[65536];
    ssize_t n;

    while ((n = read(fd, block, sizeof(block))) != 0) {
        ssize_t put, at;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        for (at = 0; at < n; at += put) {
            put = write(STDOUT_FILENO, block + at, (size_t)(n - at));
            if (put < 0 && errno != EINTR)
                return -1;
            put = put < 0 ? 0 : put;
            if (cli_interrupted()) {
                errno = EINTR;
                return -1;
            }
        }
    }
    (void)cli;
    return 0;
}

static int write_out(struct cli *cli, struct get *get, const dlmgr_task *task)
{
    int64_t id = task->id;
    dlmgr_selector selector = {.size = sizeof(selector), .ids = &id, .n_ids = 1};
    dlmgr_error error;
    int fd = open(task->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), err, r;

    r = fd < 0 ? -1 : copy_out(cli, fd);
    err = errno;
    if (fd >= 0)
        close(fd);
    if (r < 0)
        return cli_fail(cli, cli_interrupted() ? EXIT_INTERRUPTED : EXIT_IO,
                        "stdout: %s; the verified file is kept at %s", strerror(err), task->path);
    if (unlink(task->path) < 0)
        return cli_fail(cli, EXIT_IO, "%s: cannot be removed: %s", task->path, strerror(errno));
    if (dlmgr_act(get->follow.handle, DLMGR_REMOVE, &selector, NULL, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    return 0;
}

static int write_all(struct cli *cli, struct get *get)
{
    int code = 0;
    size_t i;

    for (i = 0; i < get->follow.n && code == 0; i++) {
        dlmgr_selector one = {.size = sizeof(one), .ids = &get->follow.ids[i], .n_ids = 1};
        const dlmgr_task *task;
        dlmgr_error error;
        dlmgr_list *list;

        if (get->follow.codes[i] != 0)
            continue;
        if (dlmgr_query(get->follow.handle, &one, &list, &error) != 0)
            return cli_fail_error(cli, &error, NULL);
        task = dlmgr_list_at(list, 0);
        if (task && task->path)
            code = write_out(cli, get, task);
        dlmgr_list_free(list);
    }
    return code;
}

static int stdout_prepare(struct cli *cli, struct get *get)
{
    struct args *args = &cli->args;

    get->to_stdout = args->add.out && strcmp(args->add.out, "-") == 0;
    if (!get->to_stdout)
        return 0;
    if (args->input)
        return cli_fail(cli, EXIT_USAGE,
                        "-o -: cannot be used with -i; fetch the list to files, or give URLs");
    if (isatty(STDOUT_FILENO))
        return cli_fail(cli, EXIT_USAGE,
                        "-o -: stdout is a terminal; send it to a file or a program");
    args->add.out = NULL;
    return 0;
}

/* Needs the home's path, so the check of the entries comes after it. */
static int stdout_dir(struct cli *cli, struct get *get)
{
    if (!get->to_stdout)
        return 0;
    cli->args.add.dir = cli_arena_print(&cli->arena, "%s/stdout", dlmgr_home(get->follow.handle));
    cli->args.add.create_dirs = 1;
    return 0;
}

/* ---- The command ------------------------------------------------------------------------------- */

/* What is left in the journal when an engine of ours has closed: does anybody work on it? */
static int leave(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    dlmgr_counts counts = {.size = sizeof(counts)};
    dlmgr_error error;

    if (cli_open(cli, DLMGR_EITHER, &handle, &error) != 0 ||
        dlmgr_count(handle, &counts, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    if (dlmgr_place_of(handle) != DLMGR_PLACE_JOURNAL || cli_live(&counts) == 0)
        return 0;
    handle = dlmgr_close(handle);
    return cli_daemon_need(cli);
}

/*
 * An engine of ours goes on with the queue when all was added and not before: an unfinished task that is to be continued could be done before it was
 * looked for, and then be fetched a second time.
 */
static int begin(struct cli *cli, struct get *get)
{
    dlmgr_error error;

    return dlmgr_begin(get->follow.handle, &error) ? cli_fail_error(cli, &error, NULL) : 0;
}

static int fetch(struct cli *cli, struct get *get)
{
    int code = cli_adding_check(cli, &get->adding);

    if (code == 0)
        code = cli_follow_open(&get->follow);
    if (code == 0)
        code = stdout_dir(cli, get);
    if (code == 0) {
        get->adding.handle = get->follow.handle;
        code = cli_adding_add(cli, &get->adding);
    }
    if (code == 0)
        code = begin(cli, get);
    if (code)
        return code;
    code = cli_follow_these(&get->follow);
    if (get->to_stdout && code != EXIT_INTERRUPTED) {
        int wrote = write_all(cli, get);

        code = code ? code : wrote;
    }
    return code;
}

static const char *unfinished_text(int code)
{
    return code == EXIT_DISK_FULL
               ? "no room on the disk for what is left; make room, or use --patient"
               : "only paused tasks are left; `dlmgr resume` goes on";
}

int cli_get(struct cli *cli)
{
    struct get get = {.failed_at = SIZE_MAX};
    int code = stdout_prepare(cli, &get), left;
    bool owned;

    code = code ? code : cli_add_prepare(cli);
    if (code)
        return code;
    get.adding = (struct adding){.find = !cli->args.fresh, .added = on_added, .context = &get};
    cli_signals_catch();
    cli_follow_init(&get.follow, cli);
    get.follow.may_own = get.follow.held = true;
    get.follow.ended = on_ended;
    get.follow.context = &get;
    code = fetch(cli, &get);
    cli_adding_end(&get.adding);
    if (get.follow.n_ended < get.follow.n && (code == EXIT_UNFINISHED || code == EXIT_DISK_FULL))
        cli_fail(cli, code, "%s", unfinished_text(code));
    owned = cli_follow_close(&get.follow);
    if (owned && !cli->args.no_start && code != EXIT_INTERRUPTED) {
        left = leave(cli);
        code = code ? code : left;
    }
    if (cli->args.json && code && get.failed_at != SIZE_MAX)
        cli_fail(cli, code, "%s", get.failure);
    return cli_finish(cli, code, false);
}
