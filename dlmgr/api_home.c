/* SPDX-License-Identifier: MIT */
/*
 * api_home.c - looking after a home: doctor, who its owner is, and asking that to stop.
 *
 * An owner has stopped when the lock is free or another process has it, not when it answered: by then it has checkpointed
 * and closed the journal. Asking is harmless, so it is asked again while the lock is held and nobody answers.
 */
#include "dlmgr/api.h"
#include "dlmgr/doctor.h"
#include "dlmgr/hello.h"

#include <stdio.h>
#include <time.h>

enum { ASK_MS = 5000, LOOK_MS = 20 };

int dlmgr_doctor(const char *home, int fix, char **ret_json, dlmgr_error *error)
{
    return dlm_doctor(home, fix, ret_json, error);
}

/* What every owner answers to everybody: no hello, so that its protocol may be any. */
static int knock(struct dlmgr *h, const char *method, json_t **ret_result, dlmgr_error *e)
{
    struct dlm_client *c;
    int r = dlm_client_knock(h->home, &c, e);

    if (r < 0)
        return r;
    r = dlm_client_call(c, method, json_object(), ASK_MS, ret_result, e);
    dlm_client_close(c);
    return r;
}

static int ask_to_stop(struct dlmgr *h, dlmgr_error *e)
{
    CLEANUP_JSON json_t *result = NULL;

    return knock(h, "stop", &result, e);
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

        if (r < 0 && !dlm_api_unanswered(r))
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

/* ---- Who is it --------------------------------------------------------------------------------------------------- */

static int ask_status(struct dlmgr *h, json_t **ret_result, dlmgr_error *e)
{
    int64_t until = dlm_clock_mono() + DLM_API_OWNER_MS;
    int r;

    if (h->engine)
        return dlm_engine_call(h->engine, "status", json_object(), ret_result, e);
    do {
        r = knock(h, "status", ret_result, e);
        if (!dlm_api_unanswered(r))
            return r;
        r = dlm_api_again(h, until, e);
    } while (r == 0);
    return r;
}

/* The first version did not tell its protocol: it was 1. */
static void read_status(const json_t *status, dlmgr_owner_info *ret)
{
    const char *version = dlm_json_string(status, "version");
    struct dlm_range theirs = {.oldest = dlm_json_int(status, "protocol_oldest", 1),
                               .newest = dlm_json_int(status, "protocol_newest", 1)};

    ret->pid = dlm_json_int(status, "pid", 0);
    ret->started_at = dlm_json_int(status, "started_at", 0);
    ret->protocol_oldest = (int)theirs.oldest;
    ret->protocol_newest = (int)theirs.newest;
    ret->protocol = (int)MAX(dlm_hello_choose(dlm_hello_self().range, theirs), 0);
    snprintf(ret->version, sizeof(ret->version), "%s", version ? version : "");
}

int dlmgr_owner(dlmgr *handle, dlmgr_owner_info *ret_owner, dlmgr_error *error)
{
    CLEANUP_JSON json_t *status = NULL;
    dlmgr_owner_info info = DLMGR_INIT(dlmgr_owner_info);
    int r = dlm_api_struct(&info, sizeof(info), ret_owner, "owner", error);
    size_t size = info.size;

    if (r == 0)
        r = dlm_api_enter(handle, error);
    if (r < 0)
        return r;
    r = ask_status(handle, &status, error);
    dlm_api_leave(handle);
    if (r < 0)
        return r;
    info = (dlmgr_owner_info){.size = size};
    read_status(status, &info);
    memcpy(ret_owner, &info, MIN(size, sizeof(info)));
    return 0;
}
