/* SPDX-License-Identifier: MIT */
/*
 * signals.c - ^C, and the two clocks.
 *
 * The first SIGINT, SIGTERM or SIGHUP is counted, and ends every sleep: the commands look between two sleeps, close the home and
 * end with 130; tasks stay in the journal. The second one leaves at once, which is safe at any moment because the journal
 * never depends on a farewell. SIGHUP stays ignored when it was (nohup).
 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t signals_seen;

static void on_signal(int signal_number)
{
    (void)signal_number;
    if (signals_seen)
        _exit(EXIT_INTERRUPTED);
    signals_seen = 1;
}

void cli_signals_catch(void)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal}, old;
    size_t i;

    sigemptyset(&action.sa_mask);
    for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        if (caught[i] != SIGHUP || (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN))
            sigaction(caught[i], &action, NULL);
}

bool cli_interrupted(void)
{
    return signals_seen != 0;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t cli_clock(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

int64_t cli_wall(void)
{
    return clock_ms(CLOCK_REALTIME);
}

void cli_sleep(int64_t ms)
{
    int64_t until = cli_clock() + ms, left;

    for (left = ms; left > 0 && !cli_interrupted(); left = until - cli_clock()) {
        struct timespec span = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};

        /* A signal between the look above and the sleep is seen at most 100 ms late. */
        if (left > 100)
            span = (struct timespec){.tv_nsec = 100 * 1000000};
        nanosleep(&span, NULL);
    }
}
