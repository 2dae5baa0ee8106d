/* SPDX-License-Identifier: MIT */
/*
 * run.c - run works the queue here until nothing is left; wait only watches.
 *
 * Both tell by their exit code how it went: 0, or the code of the first task that failed meanwhile. run owns the home; when somebody
 * else does, it follows that owner and takes over when it goes, but run --forever, which is meant to be the owner, is refused
 * with 75. A task that was added in the moment between "nothing left" and the closing of the home would be left behind by a client that saw
 * an owner: run looks once more after closing and goes on if so.
 */
#include "cli/act.h"
#include "cli/follow.h"

static int no_operands(struct cli *cli)
{
    if (cli->args.operands.n == 0)
        return 0;
    return cli_fail(cli, EXIT_USAGE, "%s %s: takes no argument; see dlmgr %s --help", cli->command,
                    cli->args.operands.items[0], cli->command);
}

static int open_owner(struct cli *cli, struct follow *follow)
{
    dlmgr_error error;

    if (!cli->args.forever)
        return cli_follow_open(follow);
    if (cli_open(cli, DLMGR_OWN, &follow->handle, &error) != 0)
        return cli_fail_error(cli, &error, NULL);
    return 0;
}

/* After our engine has closed: work that nobody does. */
static bool left_behind(struct cli *cli)
{
    CLOSES dlmgr *handle = NULL;
    dlmgr_counts counts = {.size = sizeof(counts)};
    dlmgr_error error;

    return cli_open(cli, DLMGR_EITHER, &handle, &error) == 0 &&
           dlmgr_count(handle, &counts, &error) == 0 &&
           dlmgr_place_of(handle) == DLMGR_PLACE_JOURNAL &&
           cli_live(&counts) - counts.waiting_storage > 0;
}

int cli_run(struct cli *cli)
{
    struct follow follow;
    bool owned;
    int code = no_operands(cli), first = 0;

    if (code)
        return code;
    cli_signals_catch();
    do {
        cli_follow_init(&follow, cli);
        follow.may_own = true;
        follow.forever = cli->args.forever;
        code = open_owner(cli, &follow);
        if (code == 0) {
            if (dlmgr_place_of(follow.handle) == DLMGR_PLACE_CLIENT)
                cli_note(cli, "another process owns the home; following it");
            code = cli_follow_all(&follow);
        }
        owned = cli_follow_close(&follow);
        first = first ? first : code;
    } while (owned && code != EXIT_INTERRUPTED && left_behind(cli));
    return code == EXIT_INTERRUPTED ? code : first;
}

static void say_ended(struct cli *cli, size_t index, const dlmgr_task *task, void *context)
{
    struct follow *follow = context;

    cli_progress_clear(&follow->progress);
    if (!task)
        cli_note(cli, "task %lld: removed", (long long)follow->ids[index]);
    else if (task->state != DLMGR_DONE)
        cli_note(cli, "task %lld: %s: %s", (long long)task->id, task->url,
                 task->error_text ? task->error_text : dlmgr_state_name(task->state));
}

int cli_wait(struct cli *cli)
{
    struct follow follow;
    struct ids ids = {0};
    int code = cli_ids_read(cli, &ids);

    if (code) {
        cli_ids_free(&ids);
        return code;
    }
    cli_signals_catch();
    cli_follow_init(&follow, cli);
    follow.ended = say_ended;
    follow.context = &follow;
    if (cli->args.timeout_ms >= 0)
        follow.until = cli_clock() + cli->args.timeout_ms;
    code = cli_follow_open(&follow);
    if (code == 0 && ids.n)
        code = cli_follow_add(&follow, ids.items, ids.n);
    if (code == 0)
        code = cli->args.operands.n ? cli_follow_these(&follow) : cli_follow_all(&follow);
    cli_follow_close(&follow);
    cli_ids_free(&ids);
    return code;
}
