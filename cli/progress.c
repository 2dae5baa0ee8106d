/* SPDX-License-Identifier: MIT */
/*
 * progress.c - lines for a terminal, for a log, and for programs: see progress.h.
 *
 *      45%  12.3M/40.0M   2.1M/s  ETA 0:13  debian.iso
 *
 * The block of lines is drawn in one write: up to its first line, each line cleared and written anew, the rest cleared. Line ends are
 * never reached (one column is left free), so nothing wraps whatever the terminal's size; the size is asked for at each
 * drawing, so no SIGWINCH is needed.
 */
#include "cli/progress.h"

#include "cli/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PLAIN_MS = 5000, JSON_MS = 500, LINES_MS = 250, REDRAW_MS = 100 };

void cli_progress_begin(struct progress *progress, const struct cli *cli)
{
    const char *term = getenv("TERM");
    bool terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;

    /* The library's log lines of -v would be drawn over. */
    *progress = (struct progress){
        .mode = cli->args.quiet                  ? PROGRESS_NONE
                : cli->args.json                 ? PROGRESS_JSON
                : terminal && !cli->args.verbose ? PROGRESS_LINES
                                                 : PROGRESS_PLAIN,
        .last_at = cli_clock(),
    };
}

int64_t cli_progress_tick(const struct progress *progress)
{
    static const int periods[] =
        {[PROGRESS_PLAIN] = PLAIN_MS, [PROGRESS_LINES] = LINES_MS, [PROGRESS_JSON] = JSON_MS};
    int64_t left = progress->last_at + periods[progress->mode] - cli_clock();

    if (progress->mode == PROGRESS_NONE)
        return -1;
    return left > 0 ? left : 0;
}

static bool at_work(const dlmgr_task *task)
{
    return task->state == DLMGR_RUNNING || task->state == DLMGR_VERIFYING ||
           task->state == DLMGR_COMMITTING;
}

static int percent(int64_t done, int64_t total)
{
    return total > 0 ? (int)((double)done * 100 / (double)total) : 0;
}

static int64_t eta(int64_t done, int64_t total, int64_t speed)
{
    int64_t seconds = total >= 0 && speed > 0 ? (total - done) / speed : -1;

    return seconds < 0 || seconds > INT64_MAX / 1000 ? -1 : seconds * 1000;
}

static void name_of(const dlmgr_task *task, char *buf, size_t room)
{
    char raw[1024];

    cli_text_name(task->path ? task->path : task->out ? task->out : task->url, raw, sizeof(raw));
    cli_text_safe(raw, buf, room);
}

/* "45%  12.3M/40.0M   2.1M/s  ETA 0:13", or the state of one that does not move. */
static void figures(const dlmgr_task *task, char *buf, size_t room)
{
    char done[16], total[16], speed[16], left[24], amount[40];

    cli_text_bytes(task->bytes_done, done);
    if (task->state == DLMGR_DONE) {
        snprintf(buf, room, "100%%  %13s", cli_text_bytes(task->bytes_total, total));
    } else if (task->state != DLMGR_RUNNING) {
        snprintf(buf, room, "%s%s%s", dlmgr_state_name(task->state), task->wait_reason ? ": " : "",
                 task->wait_reason ? task->wait_reason : "");
    } else if (task->bytes_total < 0) {
        snprintf(buf, room, "  ?%%  %13s %8s/s", done, cli_text_bytes(task->speed, speed));
    } else {
        snprintf(amount, sizeof(amount), "%s/%s", done, cli_text_bytes(task->bytes_total, total));
        snprintf(buf, room, "%3d%%  %13s %8s/s  ETA %s",
                 percent(task->bytes_done, task->bytes_total), amount,
                 cli_text_bytes(task->speed, speed),
                 cli_text_span(eta(task->bytes_done, task->bytes_total, task->speed), left));
    }
}

char *cli_progress_line(const dlmgr_task *task, size_t columns, char *buf, size_t room)
{
    char name[1024], numbers[160];

    name_of(task, name, sizeof(name));
    figures(task, numbers, sizeof(numbers));
    if (columns < 48) /* too narrow for both: the name gets what is left by the percentage */
        snprintf(buf, room, "%.*s %s", task->state == DLMGR_RUNNING ? 4 : 40, numbers, name);
    else
        snprintf(buf, room, "%-42s  %s", numbers, name);
    cli_text_fit(buf, columns);
    return buf;
}

/* ---- A terminal -------------------------------------------------------------------------------- */

static void put(FILE *to, const char *line)
{
    fprintf(to, "%s\033[K\n", line);
}

static int lines_put(FILE *to, const dlmgr_list *tasks, bool working, size_t columns, int room)
{
    char line[2048];
    const dlmgr_task *task;
    int lines = 0;
    size_t i;

    for (i = 0; (task = dlmgr_list_at(tasks, i)) && lines < room; i++)
        if (working ? at_work(task) : task->state == DLMGR_WAITING) {
            put(to, cli_progress_line(task, columns, line, sizeof(line)));
            lines++;
        }
    return lines;
}

static void draw_lines(struct progress *progress, const dlmgr_list *tasks, int64_t ended,
                       int64_t total)
{
    struct winsize size = {0};
    FREES char *text = NULL;
    size_t n, columns;
    FILE *to = open_memstream(&text, &n);
    char line[96];
    int rows, lines;

    if (!to)
        return;
    ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    columns = size.ws_col > 1 ? size.ws_col - 1u : 79;
    rows = size.ws_row > 3 ? size.ws_row - 2 : size.ws_row ? 1 : 22; /* 0: not told */
    if (progress->drawn)
        fprintf(to, "\033[%dA", progress->drawn);
    lines = lines_put(to, tasks, true, columns, rows);
    lines += lines_put(to, tasks, false, columns, rows - lines);
    if (total > 1 && rows > 1) {
        snprintf(line, sizeof(line), "%lld of %lld", (long long)ended, (long long)total);
        cli_text_fit(line, columns);
        put(to, line);
        lines++;
    }
    fputs("\033[J", to);
    fclose(to);
    fputs(text, stderr);
    fflush(stderr);
    progress->drawn = lines;
}

void cli_progress_clear(struct progress *progress)
{
    if (progress->drawn)
        fprintf(stderr, "\033[%dA\033[J", progress->drawn);
    progress->drawn = 0;
}

void cli_progress_ended(struct progress *progress, const dlmgr_task *task)
{
    struct winsize size = {0};
    char line[2048];

    cli_progress_clear(progress);
    if (progress->mode != PROGRESS_LINES || task->state != DLMGR_DONE)
        return;
    ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    fprintf(stderr, "%s\n",
            cli_progress_line(task, size.ws_col > 1 ? size.ws_col - 1u : 79, line, sizeof(line)));
}

/* ---- A log, and programs ----------------------------------------------------------------------- */

struct sums {
    int64_t done, total, speed, working;
};

static struct sums sum(const dlmgr_list *tasks)
{
    struct sums sums = {0};
    const dlmgr_task *task;
    size_t i;

    for (i = 0; (task = dlmgr_list_at(tasks, i)); i++) {
        if (!at_work(task))
            continue;
        sums.working++;
        sums.done += task->bytes_done;
        sums.speed += task->speed > 0 ? task->speed : 0;
        sums.total = sums.total < 0 || task->bytes_total < 0 ? -1 : sums.total + task->bytes_total;
    }
    return sums;
}

static void draw_plain(const struct sums *sums, int64_t ended, int64_t total)
{
    char done[16], all[16], speed[16], left[24];

    fprintf(stderr, "dlmgr: %lld of %lld ended, %lld at work: %s of %s, %s/s, ETA %s\n",
            (long long)ended, (long long)total, (long long)sums->working,
            cli_text_bytes(sums->done, done), cli_text_bytes(sums->total, all),
            cli_text_bytes(sums->speed, speed),
            cli_text_span(eta(sums->done, sums->total, sums->speed), left));
}

static void draw_json(const dlmgr_list *tasks, const struct sums *sums, int64_t ended, int64_t total)
{
    json_t *array = json_array(), *object;
    FREES char *line = NULL;
    const dlmgr_task *task;
    size_t i;

    for (i = 0; (task = dlmgr_list_at(tasks, i)); i++)
        if (at_work(task))
            json_array_append_new(array,
                                  json_pack("{sI, so, sI, sI}", "id", (json_int_t)task->id,
                                            "bytes_total",
                                            task->bytes_total < 0 ? json_null()
                                                                  : json_integer(task->bytes_total),
                                            "bytes_done", (json_int_t)task->bytes_done, "speed",
                                            (json_int_t)task->speed));
    object = json_pack("{si, ss, sI, sI, sI, so}", "v", 1, "type", "progress", "ended",
                       (json_int_t)ended, "total", (json_int_t)total, "speed",
                       (json_int_t)sums->speed, "tasks", array);
    line = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (line)
        fprintf(stderr, "%s\n", line);
    json_decref(object);
}

void cli_progress_draw(struct progress *progress, const dlmgr_list *tasks, int64_t ended,
                       int64_t total)
{
    int64_t now = cli_clock();
    struct sums sums;

    if (progress->mode == PROGRESS_LINES) {
        if (progress->drawn && now - progress->last_at < REDRAW_MS)
            return; /* the next tick is near */
        progress->last_at = now;
        draw_lines(progress, tasks, ended, total);
        return;
    }
    if (progress->mode == PROGRESS_NONE ||
        now - progress->last_at < (progress->mode == PROGRESS_JSON ? JSON_MS : PLAIN_MS))
        return;
    progress->last_at = now;
    sums = sum(tasks);
    if (progress->mode == PROGRESS_JSON)
        draw_json(tasks, &sums, ended, total);
    else
        draw_plain(&sums, ended, total);
}
