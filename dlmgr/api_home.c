/* SPDX-License-Identifier: MIT */
/*
 * api_home.c - looking after a home: doctor, and asking its owner to stop.
 *
 * An owner has stopped when the lock is free or another process has it, not when it answered: by then it has checkpointed
 * and closed the journal. Asking is harmless, so it is asked again while the lock is held and nobody answers.
 */
#include "dlmgr/api.h"
#include "dlmgr/doctor.h"

#include <time.h>

enum { ASK_MS = 5000, LOOK_MS = 20 };

int dlmgr_doctor(const char *home, int fix, char **ret_json, dlmgr_error *error)
{
    return dlm_doctor(home, fix, ret_json, error);
}

static int ask_to_stop(struct dlmgr *h, dlmgr_error *e)
{
    CLEANUP_JSON json_t *result = NULL;
    struct dlm_client *c;
    int r = dlm_client_open(h->home, &c, e);

    if (r < 0)
        return r;
    r = dlm_client_call(c, "stop", json_object(), ASK_MS, &result, e);
    dlm_client_close(c);
    return r;
}

/* Those that mean "not now": it is coming, going, or slow. */
static bool unanswered(int r)
{
    return r == DLMGR_ENOOWNER || r == DLMGR_ELINK || r == DLMGR_ECLOSED || r == DLMGR_ETIMEDOUT;
}

static int stop(struct dlmgr *h, int64_t until, dlmgr_error *e)
{
    const struct timespec between = {.tv_nsec = LOOK_MS * 1000000L};
    int pid = dlm_home_owner(h->home);
    bool asked = false;

    if (!pid)
        return dlm_fail(e, DLMGR_ENOOWNER, "nobody owns %s", h->home->path);
    while (dlm_home_owner(h->home) == pid) {
        int r = asked ? 0 : ask_to_stop(h, e);

        if (r < 0 && !unanswered(r))
            return r;
        asked = r == 0;
        if (until >= 0 && dlm_clock_mono() >= until)
            return dlm_fail(e, DLMGR_ETIMEDOUT, "process %d still owns %s", pid, h->home->path);
        nanosleep(&between, NULL);
    }
    return 0;
}

int dlmgr_stop_owner(dlmgr *handle, int64_t timeout_ms, dlmgr_error *error)
{
    int64_t until = timeout_ms < 0 ? -1 : dlm_clock_mono() + MIN(timeout_ms, INT64_MAX / 4);
    int r = dlm_api_enter(handle, error);

    if (r < 0)
        return r;
    r = handle->engine ? dlm_fail(error, DLMGR_EINVAL, "this handle is the owner: close it")
                       : stop(handle, until, error);
    dlm_api_leave(handle);
    return r;
}

int dlmgr_stopping(dlmgr *handle)
{
    int stopping;

    if (dlm_api_enter(handle, NULL) < 0)
        return 0;
    stopping = handle->engine && dlm_engine_stopping(handle->engine);
    dlm_api_leave(handle);
    return stopping;
}
