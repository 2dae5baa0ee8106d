/* SPDX-License-Identifier: MIT */
/*
 * api_text.c - the texts of dlmgr.h that need no handle: version, codes, states.
 *
 * The codes stand in one table, indexed by the negated code, so that a new code without a text is seen at once by
 * test_api_text.
 */
#include "dlmgr/hello.h"
#include "dlmgr/url.h"
#include "store/state.h"

static const char *const code_texts[] = {
    [-DLMGR_OK] = "no error",
    [-DLMGR_EINVAL] = "invalid argument",
    [-DLMGR_ENOMEM] = "out of memory",
    [-DLMGR_EIO] = "input/output error",
    [-DLMGR_ENOSPC] = "no space left for the journal",
    [-DLMGR_EBUSY] = "another process owns the home",
    [-DLMGR_ENOOWNER] = "nobody owns the home",
    [-DLMGR_ENOTFOUND] = "not found",
    [-DLMGR_ESTATE] = "the task's state does not allow that",
    [-DLMGR_EEXIST] = "exists already with a different request",
    [-DLMGR_EJOURNAL] = "the journal cannot be used",
    [-DLMGR_EHOME] = "the home cannot be used safely",
    [-DLMGR_ELINK] = "the owner went away or does not answer",
    [-DLMGR_EPROTO] = "the other side speaks another protocol",
    [-DLMGR_ETIMEDOUT] = "timed out",
    [-DLMGR_EFORK] = "the handle belongs to the parent process",
    [-DLMGR_ECLOSED] = "the handle is being closed",
    [-DLMGR_ELIMIT] = "over a limit",
    [-DLMGR_ECONFIG] = "wrong settings file",
    [-DLMGR_ELOST] = "the session has another holder",
};

const char *dlmgr_version(void)
{
    return DLMGR_VERSION;
}

int dlmgr_protocol(int *ret_oldest)
{
    if (ret_oldest)
        *ret_oldest = DLM_PROTOCOL_OLDEST;
    return DLM_PROTOCOL_NEWEST;
}

const char *dlmgr_strerror(int code)
{
    if (code > 0 || code <= -(int)ARRAY_SIZE(code_texts) || !code_texts[-code])
        return "unknown error";
    return code_texts[-code];
}

char *dlmgr_url_shown(const char *url)
{
    return dlm_url_redact(url, NULL);
}

int dlmgr_secret_parameters(const char *names, dlmgr_error *error)
{
    return dlm_redact_names(names, error);
}

const char *dlmgr_state_name(int state)
{
    return dlm_state_name(state);
}
