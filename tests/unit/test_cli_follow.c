/* SPDX-License-Identifier: MIT */
/*
 * test_cli_follow.c - how get, run and wait end: rows of cli/follow.c and cli/turn.c against a library that is played here.
 *
 * The played library has a few tasks, each with a line of states: every turn (cli_news) moves them one state on, half a second later, until
 * the last one, after which there are no more news. It can lose its owner at a turn. The clock is played as well, so a minute of
 * waiting for storage takes no time.
 */
#include "cli/follow.c"
#include "cli/turn.c"

#include "tests/lib/test.h"

#include <stdarg.h>

/* ---- The played library ------------------------------------------------------------------------- */

struct dlmgr {
    int place;
    bool either, gone;
};

struct dlmgr_list {
    size_t n;
    dlmgr_task tasks[8];
};

/* One letter a turn; the last one stays. q r v c as states, d done, f failed (3), x cancelled, p paused, s waits for storage,
 * b waits for its time, - removed. */
static struct {
    const char *lines[8];
    size_t n, turn;
    size_t owner_gone_at; /* the turn at which a client finds nobody; 0 never */
    int opened[3];        /* by mode */
    int place, busy;
    bool stopping, interrupted;
    int64_t free_from, silent_from,
        serves_from; /* when attaching finds nobody, no answer, an owner again */
    int64_t clock;
    int looks, asleep; /* how often the library was asked, and slept upon to the end */
    bool slow;         /* asking takes 10 ms */
} play;

static char said[2048];

static char letter(size_t task)
{
    size_t last = strlen(play.lines[task]) - 1;

    return play.lines[task][play.turn < last ? play.turn : last];
}

static int state_of(char c)
{
    static const char letters[] = "qrvcdbpfx"; /* in the order of enum dlmgr_state */

    return c == 's' ? DLMGR_WAITING : (int)(strchr(letters, c) - letters);
}

static void play_begin(const char *const *lines)
{
    memset(&play, 0, sizeof(play));
    for (; *lines; lines++)
        play.lines[play.n++] = *lines;
    play.place = DLMGR_PLACE_ENGINE;
    *said = '\0';
}

static int play_open(int mode, dlmgr **ret, dlmgr_error *error)
{
    static struct dlmgr handle;

    *error = (dlmgr_error){0};
    play.opened[mode]++;
    if (mode == DLMGR_OWN && play.busy)
        return error->code = DLMGR_EBUSY;
    if (mode == DLMGR_ATTACH && play.clock < play.serves_from) {
        bool silent = play.clock >= play.silent_from || play.clock < play.free_from;

        play.clock += silent ? 1000 : 0; /* the library tries as well */
        return error->code = silent ? DLMGR_ELINK : DLMGR_ENOOWNER;
    }
    handle.place = mode == DLMGR_OWN      ? DLMGR_PLACE_ENGINE
                   : mode == DLMGR_ATTACH ? DLMGR_PLACE_CLIENT
                                          : play.place;
    handle.either = mode == DLMGR_EITHER;
    handle.gone = false;
    *ret = &handle;
    return 0;
}

int cli_open(struct cli *cli, int mode, dlmgr **ret_handle, dlmgr_error *error)
{
    (void)cli;
    return play_open(mode, ret_handle, error);
}

int cli_open_work(struct cli *cli, bool held, dlmgr **ret_handle, dlmgr_error *error)
{
    (void)cli;
    (void)held;
    return play_open(DLMGR_OWN, ret_handle, error);
}

dlmgr *dlmgr_close(dlmgr *handle)
{
    (void)handle;
    return NULL;
}

int dlmgr_place_of(const dlmgr *handle)
{
    return handle->place;
}

int dlmgr_stopping(dlmgr *handle)
{
    (void)handle;
    return play.stopping;
}

const char *dlmgr_state_name(int state)
{
    static const char *const names[] = {"queued",  "running", "verifying", "committing", "done",
                                        "waiting", "paused",  "failed",    "cancelled"};

    return state >= 0 && state < 9 ? names[state] : NULL;
}

static bool wanted(const dlmgr_selector *selector, int64_t id, int state)
{
    size_t i;

    if ((selector->states && !(selector->states >> state & 1)) || id <= selector->after)
        return false;
    for (i = 0; i < selector->n_ids; i++)
        if (selector->ids[i] == id)
            return true;
    return selector->n_ids == 0;
}

/* Ids are 101, 102, ...; a task that ended did so at wall time 1000 + its line's length: shorter lines end earlier. */
static void list_put(dlmgr_list *list, size_t task)
{
    char c = letter(task);

    list->tasks[list->n++] = (dlmgr_task){.id = 101 + (int64_t)task,
                                          .state = state_of(c),
                                          .url = "http://h/x",
                                          .error_code = c == 'f' ? 3 : 0,
                                          .wait_reason = c == 's'   ? "storage"
                                                         : c == 'b' ? "backoff"
                                                                    : NULL,
                                          .finished_at = 1000 + (int64_t)strlen(play.lines[task])};
}

/* Of an owner that went a client knows nothing, but one that may look at the journal does that. */
static int play_ask(dlmgr *handle, dlmgr_error *error)
{
    play.looks++;
    play.clock += play.slow ? 10 : 0;
    if (handle->gone && handle->either)
        handle->place = DLMGR_PLACE_JOURNAL;
    if (!handle->gone || handle->either)
        return 0;
    *error = (dlmgr_error){.code = DLMGR_ENOOWNER, .text = "nobody owns it"};
    return DLMGR_ENOOWNER;
}

int dlmgr_query(dlmgr *handle, const dlmgr_selector *selector, dlmgr_list **ret_list,
                dlmgr_error *error)
{
    dlmgr_list *list;
    size_t i;
    int r = play_ask(handle, error);

    if (r)
        return r;
    list = calloc(1, sizeof(*list));
    for (i = 0; list && i < play.n; i++) {
        bool removed = letter(i) == '-';

        if (removed && selector->n_ids &&
            wanted(&(dlmgr_selector){.ids = selector->ids, .n_ids = selector->n_ids},
                   101 + (int64_t)i, 0)) {
            free(list);
            *error = (dlmgr_error){.code = DLMGR_ENOTFOUND};
            return DLMGR_ENOTFOUND;
        }
        if (!removed && wanted(selector, 101 + (int64_t)i, state_of(letter(i))))
            list_put(list, i);
    }
    *ret_list = list;
    return 0;
}

size_t dlmgr_list_count(const dlmgr_list *list)
{
    return list->n;
}

bool cli_flush(struct cli *cli)
{
    (void)cli;
    return true;
}

const dlmgr_task *dlmgr_list_at(const dlmgr_list *list, size_t i)
{
    return i < list->n ? &list->tasks[i] : NULL;
}

dlmgr_list *dlmgr_list_free(dlmgr_list *list)
{
    free(list);
    return NULL;
}

static bool play_moves(void)
{
    size_t i;

    for (i = 0; i < play.n; i++)
        if (play.turn + 1 < strlen(play.lines[i]))
            return true;
    return play.turn < play.owner_gone_at;
}

int cli_news(dlmgr *handle, int64_t ms, dlmgr_error *error)
{
    (void)error;
    if (ms == 0)
        return 0;
    if (!play_moves()) {
        CU_ASSERT_FATAL(ms > 0); /* it would hang */
        play.asleep++;
        play.clock += ms;
        return 0;
    }
    play.clock += ms < 0 || ms > 500 ? 500 : ms;
    play.turn++;
    if (handle->place == DLMGR_PLACE_CLIENT && play.turn == play.owner_gone_at)
        handle->gone = true;
    return 0;
}

int dlmgr_count(dlmgr *handle, dlmgr_counts *ret, dlmgr_error *error)
{
    size_t i;
    int r = play_ask(handle, error);

    if (r)
        return r;
    for (i = 0; i < play.n; i++)
        if (letter(i) != '-') {
            ret->by_state[state_of(letter(i))]++;
            ret->waiting_storage += letter(i) == 's';
        }
    return 0;
}

/* ---- The rest of the cli -------------------------------------------------------------------------- */

int64_t cli_live(const dlmgr_counts *counts)
{
    const int64_t *by = counts->by_state;

    return by[DLMGR_QUEUED] + by[DLMGR_RUNNING] + by[DLMGR_VERIFYING] + by[DLMGR_COMMITTING] +
           by[DLMGR_WAITING];
}

int64_t cli_clock(void)
{
    return play.clock;
}

int64_t cli_wall(void)
{
    return 1000;
}

void cli_sleep(int64_t ms)
{
    play.clock += ms;
}

bool cli_interrupted(void)
{
    return play.interrupted;
}

int cli_fail(const struct cli *cli, int exit_code, const char *fmt, ...)
{
    va_list ap;

    (void)cli;
    va_start(ap, fmt);
    vsnprintf(said, sizeof(said), fmt, ap);
    va_end(ap);
    return exit_code;
}

int cli_fail_error(const struct cli *cli, const dlmgr_error *error, const char *prefix)
{
    (void)prefix;
    return cli_fail(cli, error->code == DLMGR_EBUSY ? EXIT_IN_USE : EXIT_UNKNOWN, "%s", error->text);
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
    va_list ap;

    (void)cli;
    va_start(ap, fmt);
    vsnprintf(said, sizeof(said), fmt, ap);
    va_end(ap);
}

void cli_progress_begin(struct progress *progress, const struct cli *cli)
{
    (void)cli;
    progress->mode = PROGRESS_NONE;
}

int64_t cli_progress_tick(const struct progress *progress)
{
    (void)progress;
    return -1;
}

void cli_progress_draw(struct progress *progress, const dlmgr_list *tasks, int64_t ended,
                       int64_t total)
{
    (void)progress;
    (void)tasks;
    CU_ASSERT(ended <= total);
}

void cli_progress_clear(struct progress *progress)
{
    progress->drawn = 0;
}

/* ---- Tests ---------------------------------------------------------------------------------------- */

static struct cli the_cli;
static int ended_calls[8];

static void on_ended(struct cli *cli, size_t index, const dlmgr_task *task, void *context)
{
    (void)cli;
    (void)context;
    CU_ASSERT((task == NULL) == (letter(index) == '-'));
    ended_calls[index]++;
}

/* Follow all played tasks, by ids in this order (these) or as the whole journal. */
static int follow_play(bool these, bool may_own, int64_t timeout_ms)
{
    static const int64_t ids[] = {101, 102, 103, 104, 105, 106, 107, 108};
    struct follow follow;
    dlmgr_error error;
    int code;

    memset(ended_calls, 0, sizeof(ended_calls));
    cli_follow_init(&follow, &the_cli);
    follow.may_own = may_own;
    follow.ended = on_ended;
    follow.until = timeout_ms < 0 ? -1 : cli_clock() + timeout_ms;
    CHECK_INT(play_open(may_own ? DLMGR_OWN : DLMGR_EITHER, &follow.handle, &error), 0);
    follow.owned = follow.handle->place != DLMGR_PLACE_JOURNAL;
    if (these)
        CHECK_INT(cli_follow_add(&follow, ids, play.n), 0);
    code = these ? cli_follow_these(&follow) : cli_follow_all(&follow);
    cli_follow_close(&follow);
    return code;
}

static const struct row {
    const char *lines[5];
    int these, all;
} rows[] = {
    {{"qrvcd"}, 0, 0},        {{"d"}, 0, 0},
    {{"rd", "rrrrd"}, 0, 0},  {{"rf"}, 3, 3},
    {{"rx"}, 7, 7},           {{"rbbbrd"}, 0, 0}, /* a wait for a time is waited for */
    {{"rp"}, 7, 7},                               /* only paused ones are left */
    {{"rp", "rrrd"}, 7, 7},   {{"rpprd"}, 7, 7},  /* nobody waits for somebody to resume */
    {{"rp", "rrrrrf"}, 7, 3}, /* the first in the order given; run tells failures before what is left */
    {{"rs"}, 9, 9},           /* storage, for a minute */
    {{"rsssssrd"}, 0, 0},     /* there was room again */
    {{"rs", "rp"}, 9, 9},     {{"rrf", "rx"}, 3, 7}, /* given first, ended second */
    {{"rx", "rrf"}, 7, 7},    {{"rd", "rrf", "rx"}, 3, 7},
};

static void test_cli_follow_ends_as_the_manual_says(void)
{
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        test_about("%s %s", rows[i].lines[0], rows[i].lines[1] ? rows[i].lines[1] : "");
        play_begin(rows[i].lines);
        CHECK_INT(follow_play(true, true, -1), rows[i].these);
        play_begin(rows[i].lines);
        CHECK_INT(follow_play(false, true, -1), rows[i].all);
    }
}

static void test_cli_follow_tells_each_end_once(void)
{
    play_begin((const char *const[]){"rd", "rrf", "rr-", "rrrrrx", NULL});
    CHECK_INT(follow_play(true, true, -1), 3);
    CHECK_INT(ended_calls[0], 1);
    CHECK_INT(ended_calls[1], 1);
    CHECK_INT(ended_calls[2], 1);
    CHECK_INT(ended_calls[3], 1);
}

static void test_cli_follow_a_removed_task_is_unfinished(void)
{
    play_begin((const char *const[]){"rd", "rr-", NULL});
    CHECK_INT(follow_play(true, true, -1), 7);
}

/* Each of these both ways of following; when it ends with 9, in ms. */
static void check_minute(const char *const *lines, int64_t from, int64_t to)
{
    for (int these = 0; these < 2; these++) {
        test_about("%.30s %.30s, these %d", lines[0], lines[1] ? lines[1] : "", these);
        play_begin(lines);
        CHECK_INT(follow_play(these, true, -1), 9);
        test_about("%.30s, these %d: %lld ms", lines[0], these, (long long)play.clock);
        CU_ASSERT(play.clock >= from && play.clock <= to);
    }
}

/* Not before a minute, and not much after. */
static void test_cli_follow_waits_a_minute_for_storage(void)
{
    check_minute((const char *const[]){"s", NULL}, 60000, 61000);
}

/* Every ten seconds the engine looks whether there is room: for a moment the task runs. Only that moment does not count. */
static void test_cli_follow_a_look_for_room_does_not_begin_the_minute_anew(void)
{
    static char line[300];

    memset(line, 's', 290);
    for (int i = 20; i < 290; i += 20)
        line[i] = 'r';
    check_minute((const char *const[]){line, NULL}, 60000, 66000);
}

/* But when another one ended, or ran for a minute, the minute begins then. */
static void test_cli_follow_the_minute_begins_when_another_ends(void)
{
    static char line[300];

    check_minute((const char *const[]){"s", "ppppppppppppppppppppd", NULL}, 70000, 72000);
    memset(line, 'r', 260);
    memcpy(line, "ssssssssssssssssssss", 20);
    memcpy(line + 258, "s", 2);
    check_minute((const char *const[]){line, NULL}, 189000, 195000);
}

static void test_cli_follow_patience_outlasts_both(void)
{
    char paused[300], storage[300];

    memset(paused, 'p', 298);
    memset(storage, 's', 298);
    memcpy(paused + 298, "d", 2);
    memcpy(storage + 298, "d", 2);
    the_cli.args.patient = 1;
    play_begin((const char *const[]){paused, storage, NULL});
    CHECK_INT(follow_play(true, true, -1), 0);
    play_begin((const char *const[]){paused, storage, NULL});
    CHECK_INT(follow_play(false, true, -1), 0);
    the_cli.args.patient = 0;
}

static void test_cli_follow_time_limit(void)
{
    play_begin((const char *const[]){"r", NULL});
    CHECK_INT(follow_play(true, true, 3200), 7);
    CHECK_INT(play.clock, 3200);
    play_begin((const char *const[]){"r", NULL});
    CHECK_INT(follow_play(false, true, 3200), 7);
    play_begin((const char *const[]){"rf", "r", NULL});
    CHECK_INT(follow_play(true, true, 3200), 3);
}

/* While nothing happens nothing is asked; the library is asked at the beginning, after news, and when a time is over. */
static void test_cli_follow_asks_only_when_there_are_news(void)
{
    play_begin((const char *const[]){"r", NULL});
    CHECK_INT(follow_play(true, true, 3200), 7);
    CHECK_INT(play.looks, 1);
    CHECK_INT(play.asleep, 1);
    play_begin((const char *const[]){"s", NULL});
    CHECK_INT(follow_play(true, true, -1), 9);
    CHECK_INT(play.looks, 2);
    CHECK_INT(play.asleep, 1);
    play_begin((const char *const[]){"rrrd", NULL});
    CHECK_INT(follow_play(true, true, -1), 0);
    CHECK_INT(play.looks, 4);
}

/* Who is slow to answer is asked less often, however many news there are. */
static void test_cli_follow_spares_a_busy_owner(void)
{
    play_begin((const char *const[]){"rrrrrrrrrrd", NULL});
    play.slow = true;
    CHECK_INT(follow_play(true, true, -1), 0);
    CHECK_INT(play.looks, 11);
    CHECK_INT(play.clock, 11 * 10 + 10 * (300 + 500));
}

static void test_cli_follow_interrupted_or_asked_to_stop(void)
{
    play_begin((const char *const[]){"r", NULL});
    play.interrupted = true;
    CHECK_INT(follow_play(true, true, -1), EXIT_INTERRUPTED);
    play_begin((const char *const[]){"r", NULL});
    play.stopping = true;
    CHECK_INT(follow_play(false, true, -1), EXIT_INTERRUPTED);
}

/*
 * A get that followed an owner waits two seconds for the next one, which a restart brings, and then goes on in its place. A wait gives
 * the next one six seconds, and then says that nobody works. The seconds count while nobody holds the home: closing and opening take theirs.
 */
static void test_cli_follow_when_the_owner_goes(void)
{
    static const struct {
        bool may_own;
        int64_t free_from, silent_from, serves_from;
        int owned, code;
        int64_t at_least, at_most; /* the clock */
    } when[] = {
        {true, 0, 0, 0, 0, 0, 0, 5000},              /* the next one is there */
        {true, 0, 3000, 3000, 0, 0, 3000, 7000},     /* it came in time */
        {true, 5500, 6500, 7500, 0, 0, 7500, 12000}, /* so it did after a slow closing and opening */
        {true, 0, 99999, 99999, 1, 0, 3500, 8000},   /* nobody comes */
        {true, 5500, 99999, 99999, 1, 0, 7500, 12500}, /* nobody comes after a slow closing */
        {true, 99999, 99999, 99999, 0, EXIT_UNKNOWN, 6000, 9500}, /* it hangs, and holds the home */
        {false, 0, 6500, 6500, 0, 0, 6500, 9500},
        {false, 5000, 10000, 12000, 0, 0, 12000, 16000},
        {false, 0, 99999, 99999, 0, EXIT_NO_OWNER, 7500, 9000},
    };
    int64_t id = 101;

    for (size_t i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
        struct follow follow;
        dlmgr_error error;

        test_about("row %zu", i);
        play_begin((const char *const[]){"rrrrrrrrd", NULL});
        cli_follow_init(&follow, &the_cli);
        follow.may_own = when[i].may_own;
        play.place = DLMGR_PLACE_CLIENT;
        CHECK_INT(play_open(follow.may_own ? DLMGR_ATTACH : DLMGR_EITHER, &follow.handle, &error),
                  0);
        follow.owned = true;
        play.owner_gone_at = 3;
        play.free_from = when[i].free_from;
        play.silent_from = when[i].silent_from;
        play.serves_from = when[i].serves_from;
        CHECK_INT(cli_follow_add(&follow, &id, 1), 0);
        CHECK_INT(cli_follow_these(&follow), when[i].code);
        CHECK_INT(play.opened[DLMGR_OWN], when[i].owned);
        CHECK_STR(said,
                  when[i].owned ? "the owner of the home went away; going on in its place"
                  : when[i].code == EXIT_NO_OWNER
                      ? "nobody owns the home, so nothing goes on; start work with `dlmgr daemon start` or `dlmgr run`"
                      : "");
        CU_ASSERT(play.clock >= when[i].at_least && play.clock <= when[i].at_most);
        CHECK_INT(cli_follow_close(&follow), when[i].owned);
    }
}

static void test_cli_follow_wait_without_an_owner(void)
{
    play_begin((const char *const[]){"d", "f", NULL});
    play.place = DLMGR_PLACE_JOURNAL;
    CHECK_INT(follow_play(true, false, -1), 3);
    play_begin((const char *const[]){"r", NULL});
    play.place = DLMGR_PLACE_JOURNAL;
    CHECK_INT(follow_play(true, false, -1), EXIT_NO_OWNER);
    CU_ASSERT(play.clock < 1000); /* at once */
    play_begin((const char *const[]){"r", NULL});
    play.place = DLMGR_PLACE_JOURNAL;
    CHECK_INT(follow_play(false, false, -1), EXIT_NO_OWNER);
    CU_ASSERT(strstr(said, "dlmgr daemon start") != NULL);
}

static const struct test tests[] = {
    TEST(test_cli_follow_ends_as_the_manual_says),
    TEST(test_cli_follow_tells_each_end_once),
    TEST(test_cli_follow_a_removed_task_is_unfinished),
    TEST(test_cli_follow_waits_a_minute_for_storage),
    TEST(test_cli_follow_a_look_for_room_does_not_begin_the_minute_anew),
    TEST(test_cli_follow_the_minute_begins_when_another_ends),
    TEST(test_cli_follow_patience_outlasts_both),
    TEST(test_cli_follow_time_limit),
    TEST(test_cli_follow_asks_only_when_there_are_news),
    TEST(test_cli_follow_spares_a_busy_owner),
    TEST(test_cli_follow_interrupted_or_asked_to_stop),
    TEST(test_cli_follow_when_the_owner_goes),
    TEST(test_cli_follow_wait_without_an_owner),
};

TEST_MAIN("cli_follow", tests)
