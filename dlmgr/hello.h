/* SPDX-License-Identifier: MIT */
/*
 * hello.h - what two programs say first, so that an old and a new one find a common protocol, or who of them is too old.
 *
 * Each speaks a range of numbers. A number goes up when one side would misunderstand the other without it; the oldest goes up
 * when we stop speaking what it stands for, and not before a release in which both were spoken. Members that are new in an
 * answer, and methods that are new, need no number: nobody trips over what he does not ask for.
 *
 * The first dlmgr said {"protocol": 1} and nothing else, and refused any other number. So a program's `protocol` is the oldest it speaks,
 * which such an owner may know, and `protocol_newest` stands beside it; an answer's `protocol` is the one that was chosen.
 */
#ifndef DLM_HELLO_H
#define DLM_HELLO_H

#include "dlmgr/json.h"

/* What this build speaks. tests/upgrade.sh builds others: CPPFLAGS='-DDLMGR_VERSION=\"0.2.0\" -DDLM_PROTOCOL_NEWEST=2' */
#ifndef DLM_PROTOCOL_NEWEST
#define DLM_PROTOCOL_NEWEST 1
#endif
#ifndef DLM_PROTOCOL_OLDEST
#define DLM_PROTOCOL_OLDEST 1
#endif

struct dlm_range {
    int64_t oldest, newest;
};

struct dlm_speaker {
    const char *version; /* of its dlmgr; NULL: it did not say */
    struct dlm_range range;
};

/* Whose upgrade would help, when there is no common number. */
enum { DLM_UPGRADE_OURS = -1, DLM_UPGRADE_THEIRS = -2 };

/* The highest number in both ranges, or an enum above. */
int64_t dlm_hello_choose(struct dlm_range ours, struct dlm_range theirs);
struct dlm_speaker dlm_hello_self(void);

/* The client's side: what to say (NULL: no memory), and what to make of the answer: the number, or DLMGR_EPROTO. */
json_t *dlm_hello_ask(void);
int dlm_hello_read(const json_t *answer, dlmgr_error *e);

/* The owner's side: 0 and the answer, or DLMGR_EPROTO with a text for the client's user. params may be NULL. */
int dlm_hello_answer(const json_t *params, json_t **ret, dlmgr_error *e);

#endif
