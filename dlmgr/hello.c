/* SPDX-License-Identifier: MIT */
/*
 * hello.c - ranges of protocols, and words for those that do not meet: see hello.h. Pure.
 */
#include "dlmgr/hello.h"

#include <stdio.h>

int64_t dlm_hello_choose(struct dlm_range ours, struct dlm_range theirs)
{
    int64_t both = MIN(ours.newest, theirs.newest);

    if (both >= MAX(ours.oldest, theirs.oldest))
        return both;
    return ours.newest < theirs.oldest ? DLM_UPGRADE_OURS : DLM_UPGRADE_THEIRS;
}

struct dlm_speaker dlm_hello_self(void)
{
    return (struct dlm_speaker){.version = dlmgr_version(),
                                .range = {DLM_PROTOCOL_OLDEST, DLM_PROTOCOL_NEWEST}};
}

/* A foreign version is text of any length. */
static void describe(const struct dlm_speaker *s, char *text, size_t room)
{
    const char *open = s->version ? " (dlmgr " : "", *close = s->version ? ")" : "";
    const char *version = s->version ? s->version : "";

    if (s->range.oldest == s->range.newest)
        snprintf(text, room, "%s%.40s%s speaks protocol %lld", open, version, close,
                 (long long)s->range.newest);
    else
        snprintf(text, room, "%s%.40s%s speaks protocols %lld to %lld", open, version, close,
                 (long long)s->range.oldest, (long long)s->range.newest);
}

static int refuse(const struct dlm_speaker *owner, const struct dlm_speaker *program,
                  bool owner_is_older, dlmgr_error *e)
{
    char owners[128], programs[128];

    describe(owner, owners, sizeof(owners));
    describe(program, programs, sizeof(programs));
    return dlm_fail(e, DLMGR_EPROTO, "the owner of the home%s, this program%s: upgrade %s", owners,
                    programs,
                    owner_is_older
                        ? "the owner; `dlmgr daemon restart` with the newer dlmgr does that to a daemon"
                        : "this program; if that was done while it ran, start it anew");
}

/* ---- The client's side ------------------------------------------------------------------------------------------- */

json_t *dlm_hello_ask(void)
{
    return json_pack("{s:i, s:i, s:s}", "protocol", DLM_PROTOCOL_OLDEST, "protocol_newest",
                     DLM_PROTOCOL_NEWEST, "version", dlmgr_version());
}

int dlm_hello_read(const json_t *answer, dlmgr_error *e)
{
    struct dlm_speaker self = dlm_hello_self(), owner = {
                                                    .version = dlm_json_string(answer, "version"),
                                                };
    int64_t chosen = dlm_json_int(answer, "protocol", 0);

    if (chosen >= self.range.oldest && chosen <= self.range.newest)
        return (int)chosen;
    owner.range.oldest = dlm_json_int(answer, "protocol_oldest", chosen);
    owner.range.newest = dlm_json_int(answer, "protocol_newest", chosen);
    return refuse(&owner, &self, chosen < self.range.oldest, e);
}

/* ---- The owner's side -------------------------------------------------------------------------------------------- */

int dlm_hello_answer(const json_t *params, json_t **ret, dlmgr_error *e)
{
    struct dlm_speaker self = dlm_hello_self(),
                       program = {
                           .version = dlm_json_string(params, "version"),
                           .range.oldest = dlm_json_int(params, "protocol", 0),
                       };
    int64_t chosen;

    program.range.newest = MAX(program.range.oldest, dlm_json_int(params, "protocol_newest", 0));
    chosen = dlm_hello_choose(self.range, program.range);
    if (chosen < 0)
        return refuse(&self, &program, chosen == DLM_UPGRADE_OURS, e);
    *ret = json_pack("{s:I, s:i, s:i, s:s, s:i}", "protocol", (json_int_t)chosen, "protocol_oldest",
                     DLM_PROTOCOL_OLDEST, "protocol_newest", DLM_PROTOCOL_NEWEST, "version",
                     dlmgr_version(), "pid", (int)getpid());
    return *ret ? 0 : dlm_no_memory(e);
}
