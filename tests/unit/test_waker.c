/* SPDX-License-Identifier: MIT */
/*
 * test_waker.c - the pauses between two runs of a session's command. Its process is played here.
 */
#include "daemon/waker.c"

#include "tests/lib/test.h"

/* ---- The played process --------------------------------------------------------------------------- */

static struct {
    int err, status;
    char session[64], home[64];
} play;

int daemon_command_start(struct daemon_command *command, const char *text, char *const *env,
                         int64_t now)
{
    (void)text;
    (void)now;
    snprintf(play.session, sizeof(play.session), "%s", env[0]);
    snprintf(play.home, sizeof(play.home), "%s", env[1]);
    *command = (struct daemon_command){.pid = play.err ? 0 : 4711};
    return play.err;
}

bool daemon_command_look(struct daemon_command *command, int64_t limit_ms, int64_t now,
                         int *ret_status)
{
    (void)limit_ms;
    (void)now;
    command->pid = 0;
    *ret_status = play.status;
    return true;
}

void daemon_logf(int level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

/* ---- Tests ------------------------------------------------------------------------------------------ */

/* Run it; the pause that follows. */
static int64_t run_at(struct waker *w, int64_t now)
{
    CHECK_INT(daemon_waker_start(w, "/home/of", now), play.err == 0);
    if (!play.err)
        CHECK_INT(daemon_waker_watch(w, 60000, now), 1);
    return w->due - now;
}

static struct waker *begin(void)
{
    struct waker *w = daemon_waker_new("org.example.app");

    play.err = play.status = 0;
    daemon_waker_text(w, "true");
    daemon_waker_acked(w, 5, 0);
    CHECK_INT(w->due, 0);
    return w;
}

/* A second, doubled each time, up to five minutes; whether it could be started or not, whatever its exit code. */
static void test_waker_pauses_grow_to_five_minutes(void)
{
    static const int64_t seconds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
    struct waker *w = begin();

    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        play.err = i % 3 == 2 ? EAGAIN : 0;
        play.status = i % 2 << 8;
        CHECK_INT(run_at(w, 1000000 * (int64_t)i), seconds[i] * 1000);
    }
    daemon_waker_free(w);
}

/* Acknowledged is what has a higher number; that events still wait is no progress. */
static void test_waker_pauses_begin_anew_after_progress(void)
{
    struct waker *w = begin();

    run_at(w, 0);
    run_at(w, 0);
    CHECK_INT(run_at(w, 0), 4000);
    daemon_waker_acked(w, 5, 100);
    CHECK_INT(w->due, 4000);
    daemon_waker_acked(w, 6, 100);
    CHECK_INT(w->due, 1100);
    daemon_waker_acked(w, 7, 1050); /* later progress does not put it off */
    CHECK_INT(w->due, 1100);
    CHECK_INT(run_at(w, 2000), 2000);
    daemon_waker_free(w);
}

static void test_waker_another_command_runs_at_once(void)
{
    struct waker *w = begin();

    run_at(w, 0);
    daemon_waker_text(w, "true");
    CHECK_INT(w->due, 1000);
    daemon_waker_text(w, "false");
    CHECK_INT(w->due, 0);
    CHECK_INT(run_at(w, 0), 1000);
    daemon_waker_free(w);
}

static void test_waker_tells_the_command_who_waits(void)
{
    struct waker *w = begin();

    run_at(w, 0);
    CHECK_STR(play.session, "DLMGR_SESSION=org.example.app");
    CHECK_STR(play.home, "DLMGR_HOME=/home/of");
    daemon_waker_free(w);
}

static const struct test tests[] = {
    TEST(test_waker_pauses_grow_to_five_minutes),
    TEST(test_waker_pauses_begin_anew_after_progress),
    TEST(test_waker_another_command_runs_at_once),
    TEST(test_waker_tells_the_command_who_waits),
};

TEST_MAIN("waker", tests)
