/* SPDX-License-Identifier: MIT */
/*
 * daemon.c - serve a home until told to stop, or until there has been nothing to do for a while.
 *
 * The loop waits on the library's descriptor and half a second at most, and looks at three things: a signal, a stop that a client
 * asked for, and how much work there is. Signals are blocked but for the wait itself and the closing, so none is lost between
 * a look and the sleep. The first SIGINT, SIGTERM or SIGHUP closes the home (the library checkpoints and is gone within 5 s); the second
 * one leaves at once.
 *
 * A task can be added in the moment between the last look and the end of the closing, by a client that then sees an owner and
 * starts nobody. So after closing for idleness the journal is looked at once more, and with work in it the daemon opens it again.
 *
 * Under a service manager an owner of the home is waited for: a `get` or an app that works now must not keep the downloads from going on
 * afterwards. The home is served meanwhile, so the service counts as ready.
 */
#include "daemon/daemon.h"

#include "daemon/log.h"
#include "daemon/manager.h"
#include "daemon/notify.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 500, OWNER_MS = 6000, SOON_MS = 50, PATIENT_MS = 2000 };

enum ending { END_ERROR, END_SIGNAL, END_ASKED, END_IDLE };

static volatile sig_atomic_t signals_seen;

static void on_signal(int number)
{
    if (signals_seen)
        _exit(128 + number);
    signals_seen = 1;
}

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};

static void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    size_t i;

    sigemptyset(&action.sa_mask);
    for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        sigaction(caught[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Block them or let them in; *ret_open becomes the mask with them let in. */
static void signals_block(bool block, sigset_t *ret_open)
{
    sigset_t set;
    size_t i;

    sigemptyset(&set);
    for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        sigaddset(&set, caught[i]);
    sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
    sigprocmask(SIG_SETMASK, NULL, ret_open);
    for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        sigdelset(ret_open, caught[i]);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int live_tasks(dlmgr *handle, int64_t *ret, dlmgr_error *error)
{
    dlmgr_counts counts = {.size = sizeof(counts)};
    int r = dlmgr_count(handle, &counts, error);

    if (r == 0)
        *ret = counts.by_state[DLMGR_QUEUED] + counts.by_state[DLMGR_RUNNING] +
               counts.by_state[DLMGR_VERIFYING] + counts.by_state[DLMGR_COMMITTING] +
               counts.by_state[DLMGR_WAITING];
    return r;
}

/* Tell whoever started us, once. */
static void ready(int *fd, int code, const char *text)
{
    char line[600];
    int n;

    if (*fd < 0)
        return;
    n = snprintf(line, sizeof(line), "%d %s\n", -code, text);
    if (write(*fd, line, (size_t)n) < 0)
        daemon_logf(DLMGR_LOG_WARNING, "whoever started this daemon did not wait for it: %s",
                    strerror(errno));
    close(*fd);
    *fd = -1;
}

/* Deliver what is there. Trouble of the disk passes or is told by the tasks; anything else ends the daemon. */
static bool process(dlmgr *handle, dlmgr_error *error)
{
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    int r = dlmgr_process(handle, error);

    if (r >= 0)
        return true;
    daemon_logf(DLMGR_LOG_ERROR, "%s", error->text);
    if (r != DLMGR_ENOSPC && r != DLMGR_EIO && r != DLMGR_ENOMEM)
        return false;
    nanosleep(&tick, NULL);
    return true;
}

static enum ending serve(dlmgr *handle, const struct daemon_config *config,
                         struct daemon_manager *manager, struct daemon_notify *notify,
                         const sigset_t *open_mask, dlmgr_error *error)
{
    struct pollfd wake = {.fd = dlmgr_fd(handle), .events = POLLIN};
    int64_t busy_at = now_ms(), live = 0;
    bool news = true;

    for (;;) {
        struct timespec tick = {0};

        if (signals_seen)
            return END_SIGNAL;
        if (dlmgr_stopping(handle))
            return END_ASKED;
        daemon_manager_look(manager, handle, now_ms());
        daemon_notify_look(notify, news);
        if (!config->forever) {
            /* A journal that cannot be read now (its disk is full) is no reason to go: there may be work in it. */
            if (live_tasks(handle, &live, error) != 0 || live > 0 || daemon_notify_busy(notify))
                busy_at = now_ms();
            else if (now_ms() - busy_at >= config->idle_ms)
                return END_IDLE;
        }
        tick.tv_nsec = daemon_notify_sleep(notify, daemon_manager_sleep(manager, TICK_MS)) *
                       1000000L;
        news = ppoll(&wake, 1, &tick, open_mask) > 0;
        if (news && !process(handle, error))
            return END_ERROR;
    }
}

/* After an idle end: is there work, and nobody to do it? */
static bool left_behind(const struct daemon_config *config)
{
    dlmgr_error error;
    dlmgr *handle;
    int64_t live = 0;
    bool left;

    if (dlmgr_open(DLMGR_EITHER, &config->options, &handle, &error) != 0)
        return false;
    left = dlmgr_place_of(handle) == DLMGR_PLACE_JOURNAL &&
           ((live_tasks(handle, &live, &error) == 0 && live > 0) || daemon_notify_wanted(handle));
    dlmgr_close(handle);
    return left;
}

/* Whoever changes a journal that nobody owns holds its lock for a moment and answers nobody: that is no owner. */
static int open_own(const struct daemon_config *config, dlmgr **ret_handle, dlmgr_error *error)
{
    int64_t until = now_ms() + OWNER_MS;

    for (;;) {
        int r = dlmgr_open(DLMGR_OWN, &config->options, ret_handle, error), other;
        dlmgr *owner = NULL;

        if (r != DLMGR_EBUSY)
            return r;
        other = dlmgr_open(DLMGR_ATTACH, &config->options, &owner, NULL);
        dlmgr_close(owner);
        if (other != DLMGR_ENOOWNER || now_ms() >= until || signals_seen)
            return r;
    }
}

/* For a service manager: who does not go within two seconds is an owner, and is waited for. DLMGR_EBUSY after a signal. */
static int wait_own(const struct daemon_config *config, struct daemon_manager *manager,
                    dlmgr **ret_handle, dlmgr_error *error)
{
    int64_t patient_at = now_ms() + PATIENT_MS;
    char line[640];
    int r;

    while ((r = dlmgr_open(DLMGR_OWN, &config->options, ret_handle, error)) == DLMGR_EBUSY &&
           !signals_seen) {
        bool patient = now_ms() >= patient_at;
        int64_t ms = daemon_manager_sleep(manager, patient ? TICK_MS : SOON_MS);
        const struct timespec pause = {.tv_nsec = ms * 1000000L};

        if (patient && !manager->told_ready) {
            snprintf(line, sizeof(line), "waiting: %s", error->text);
            daemon_logf(DLMGR_LOG_INFO, "%s", line);
            daemon_manager_ready(manager, line);
        }
        if (patient)
            daemon_manager_refuse(manager);
        daemon_manager_look(manager, NULL, now_ms());
        nanosleep(&pause, NULL);
    }
    return r;
}

/* Own the home once, until something ends it. */
static int own(const struct daemon_config *config, struct daemon_manager *manager, int *ready_fd,
               enum ending *ret_ending, dlmgr_error *error)
{
    struct daemon_notify *notify;
    sigset_t open_mask;
    dlmgr *handle;
    char pid[24];
    int r = manager->present ? wait_own(config, manager, &handle, error)
                             : open_own(config, &handle, error);

    if (r != 0)
        return r;
    if (config->ready_fd >= 0) {
        r = daemon_log_open(dlmgr_home(handle), error);
        if (r != 0) {
            dlmgr_close(handle);
            return r;
        }
    }
    notify = daemon_notify_new(handle, config->command_ms);
    if (!notify) {
        dlmgr_close(handle);
        return daemon_fail(error, DLMGR_ENOMEM, ENOMEM, "cannot serve");
    }
    snprintf(pid, sizeof(pid), "%lld", (long long)getpid());
    daemon_logf(DLMGR_LOG_INFO, "dlmgr %s serves %s, pid %s", dlmgr_version(), dlmgr_home(handle),
                pid);
    ready(ready_fd, 0, pid);
    daemon_manager_ready(manager, "serving");
    signals_block(true, &open_mask);
    *ret_ending = serve(handle, config, manager, notify, &open_mask, error);
    signals_block(false, &open_mask); /* a second signal need not wait for the closing */
    daemon_notify_stop(notify);
    if (*ret_ending != END_IDLE) /* it may yet go on */
        daemon_manager_stopping(manager, "closing");
    dlmgr_close(handle);
    daemon_notify_free(notify);
    return *ret_ending == END_ERROR ? error->code : 0;
}

/* What must be right before there is a home. */
static int prepare(struct daemon_config *config, struct daemon_manager *manager, dlmgr_error *error)
{
    int r = 0;

    prctl(PR_SET_NAME, "dlmgr"); /* not "exe", as which it was executed */
    signals_catch();
    daemon_log_level(config->verbose ? DLMGR_LOG_DEBUG : DLMGR_LOG_INFO);
    config->options.log = daemon_log;
    *manager = (struct daemon_manager){0};
    if (config->ready_fd >= 0) /* what the starter's environment says is not meant for us */
        return 0;
    r = daemon_log_open(NULL, error);
    if (r == 0)
        r = daemon_manager_find(manager, error);
    config->options.listen_fd = manager->listen_fd;
    config->forever |= manager->listen_fd > 0;
    return r;
}

int daemon_run(const struct daemon_config *config, dlmgr_error *error)
{
    static const char *const reasons[] = {"an error", "a signal", "a client's wish",
                                          "nothing left to do"};
    struct daemon_config mine = *config;
    struct daemon_manager manager;
    enum ending ending = END_ERROR;
    int ready_fd = config->ready_fd, r = prepare(&mine, &manager, error);
    bool again = false;

    if (r != 0)
        return r;
    do {
        r = own(&mine, &manager, &ready_fd, &ending, error);
        if (r == DLMGR_EBUSY && (again || (manager.present && signals_seen)))
            return 0; /* somebody else was quicker, or we need not wait for him any more */
        if (r != 0) {
            if (config->ready_fd >= 0) /* in the foreground the caller says it */
                daemon_logf(DLMGR_LOG_ERROR, "%s", error->text);
            ready(&ready_fd, r, error->text);
            return r;
        }
        daemon_logf(DLMGR_LOG_INFO, "closed after %s", reasons[ending]);
        again = true;
    } while (ending == END_IDLE && !signals_seen && left_behind(&mine));
    if (ending == END_IDLE)
        daemon_manager_stopping(&manager, "closed");
    return 0;
}
