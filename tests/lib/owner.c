/* SPDX-License-Identifier: MIT */
/*
 * owner.c - an owner in a process of its own: see owner.h.
 */
#include "tests/lib/owner.h"

#include "dlmgr.h"
#include "tests/lib/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void owner_child(int ready, int until)
{
    struct pollfd p[2] = {{.fd = until, .events = POLLIN}, {.events = POLLIN}};
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    char path[512], ok = 'x';
    dlmgr *h = NULL;

    snprintf(path, sizeof(path), "%s/home", test_dir());
    options.home = path;
    if (dlmgr_open(DLMGR_OWN, &options, &h, NULL))
        _exit(1);
    p[1].fd = dlmgr_fd(h);
    if (write(ready, &ok, 1) != 1)
        _exit(2);
    while (!dlmgr_stopping(h) && !p[0].revents) {
        poll(p, 2, 1000);
        dlmgr_process(h, NULL);
    }
    dlmgr_close(h);
    _exit(0);
}

struct owner owner_start(void)
{
    struct owner owner = {.pid = -1};
    int ready[2], until[2];
    char byte = 0;

    CU_ASSERT_FATAL(pipe(ready) == 0 && pipe(until) == 0);
    test_dir();
    owner.pid = fork();
    if (owner.pid == 0) {
        close(ready[0]);
        close(until[1]);
        owner_child(ready[1], until[0]);
    }
    close(ready[1]);
    close(until[0]);
    owner.pipe = until[1];
    CU_ASSERT_FATAL(owner.pid > 0 && read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    return owner;
}

int owner_end(struct owner *owner, int sig)
{
    int status = -1;

    if (sig)
        kill(owner->pid, sig);
    close(owner->pipe);
    CHECK_INT(waitpid(owner->pid, &status, 0), owner->pid);
    return status;
}
