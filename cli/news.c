/* SPDX-License-Identifier: MIT */
/*
 * news.c - sleep until the library has something to tell.
 *
 * Signals are kept back from the look at whether one came until the sleep has begun, so that none slips in between and is seen only with
 * the next news, which may be in an hour.
 */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

int cli_news(dlmgr *handle, int64_t ms, dlmgr_error *error)
{
    struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    struct pollfd wake = {.fd = dlmgr_fd(handle), .events = POLLIN};
    sigset_t all, open;
    int n = 0, r;

    if (wake.fd < 0) {
        *error = (dlmgr_error){.code = wake.fd};
        snprintf(error->text, sizeof(error->text), "cannot wait for news: %s",
                 dlmgr_strerror(wake.fd));
        return wake.fd;
    }
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &open);
    if (!cli_interrupted())
        n = ppoll(&wake, 1, ms < 0 ? NULL : &span, &open);
    sigprocmask(SIG_SETMASK, &open, NULL);
    if (n <= 0)
        return 0;
    while ((r = dlmgr_process(handle, error)) > 0)
        continue;
    return r;
}
