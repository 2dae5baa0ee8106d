/* SPDX-License-Identifier: MIT */
/*
 * listener.c - listener HOME SESSION: an application that prints the number of each event of its session, for tests/upgrade.sh.
 *
 * It acknowledges what it printed, and does nothing about owners that come and go. An error of dlmgr_process(), or another holder, ends
 * it, with the text on stderr.
 */
#include "dlmgr.h"

#include <poll.h>
#include <stdio.h>

static int on_event(dlmgr_session *session, const dlmgr_event *event, void *context)
{
    (void)session;
    (void)context;
    return printf("%lld\n", (long long)event->seq) < 0 || fflush(stdout) != 0;
}

static void on_lost(dlmgr_session *session, const dlmgr_error *why, void *context)
{
    dlmgr_error *error = context;

    (void)session;
    *error = *why;
}

int main(int argc, char **argv)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    dlmgr_error error = {0}, lost = {0};
    dlmgr_delegate delegate = {.size = sizeof(delegate), .event = on_event, .lost = on_lost};
    dlmgr_session *session;
    dlmgr *handle = NULL;
    int r;

    if (argc != 3)
        return 2;
    options.home = argv[1];
    r = dlmgr_open(DLMGR_ATTACH, &options, &handle, &error);
    if (r == 0)
        r = dlmgr_session_open(handle, argv[2], 0, &delegate, &lost, &session, &error);
    while (r >= 0 && !lost.code) {
        struct pollfd p = {.fd = dlmgr_fd(handle), .events = POLLIN};

        poll(&p, 1, -1);
        r = dlmgr_process(handle, &error);
    }
    fprintf(stderr, "%s\n", r < 0 ? error.text : lost.text);
    dlmgr_close(handle);
    return 1;
}
