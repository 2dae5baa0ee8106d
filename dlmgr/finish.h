/* SPDX-License-Identifier: MIT */
/*
 * finish.h - handing a file over: from a whole part to a file at its name.
 *
 *     sync, settle -> verify -> choose -> (journal: committing, with path and identity) -> move, settle -> (journal: done)
 *
 * The caller journals between the steps; each step is for a worker and may be run again after a crash. `choose` finds
 * the first name that the policy and the directory allow, `move` takes it with RENAME_NOREPLACE, so that a name that a
 * stranger took in between is never overwritten: then it answers DLM_FINISH_TAKEN and the caller chooses again. Nothing
 * here knows the journal.
 */
#ifndef DLM_FINISH_H
#define DLM_FINISH_H

#include "dlmgr/names.h"
#include "dlmgr/sink.h"

#include <stdatomic.h>

enum dlm_finish_result {
    DLM_FINISH_OK,
    DLM_FINISH_TAKEN,    /* move: somebody has the name by now: choose again */
    DLM_FINISH_EXISTS,   /* the policy forbids it: exit code 13 */
    DLM_FINISH_MISMATCH, /* length or digest is another one: 32 */
    DLM_FINISH_VANISHED, /* the part's name does not stand for our file any more, and neither does the destination */
    DLM_FINISH_TROUBLE, /* the disk: see error (DLMGR_ENOSPC, DLMGR_EIO...) */
};

struct dlm_finish {
    struct dlm_dir *dir; /* borrowed */
    const char *part;    /* borrowed; name of the part in dir */
    int fd;              /* of the part; -1: look() opens it, and the caller closes it */
    struct dlm_ident
        ident; /* of the file that will have the name: sync() and choose() fill it in, look() compares with it */
    const char *name;   /* borrowed; the component that the file should have */
    const char *digest; /* borrowed; "sha-256=hex" that must agree, or NULL */
    bool offered;       /* the server said it, not who asked for the file */
    int on_exists, mask;
    const atomic_bool *stop; /* true: verify() gives up, TROUBLE; NULL: never */
    int n;     /* choose() begins with this numbered name, and leaves the number that it chose */
    bool same; /* choose: SAME found an equal file there; move() only unlinks the part */
    char chosen[DLM_NAME_SIZE]; /* by choose(); before look(): last component of the journal's path */
    char path[4096 + DLM_NAME_SIZE]; /* of it, absolute */
    dlmgr_error error; /* for every result but OK and TAKEN: text for people, with the remedy */
};

/* Begin to write the part out, so that sync() of several waits for all of them at once. */
void dlm_finish_hasten(struct dlm_finish *f);
/* The part's identity, for a part that is synced together with others. OK, VANISHED or TROUBLE. */
int dlm_finish_identify(struct dlm_finish *f);
/* The same, and fdatasync of the part. Its entry must be durable too before the journal says committing: settle. */
int dlm_finish_sync(struct dlm_finish *f);
/* Sync of the directory, after sync() and after move(); one serves all files that were there before it. OK or TROUBLE. */
int dlm_finish_settle(struct dlm_finish *f);
/* Length of the file against `total` (-1: not known) and the digest; OK without one. Heavy. */
int dlm_finish_verify(struct dlm_finish *f, int64_t total);
/* A name for it: DLM_FINISH_OK with chosen, path, n, same and (when that is true) the identity of the other file; EXISTS; TROUBLE. */
int dlm_finish_choose(struct dlm_finish *f);
/* Mode (dlm_dir_file_mode) and the name, durable after settle(). OK, TAKEN, VANISHED, TROUBLE; after TROUBLE look() says what happened. */
int dlm_finish_move(struct dlm_finish *f);
/*
 * After a crash, with the journal's identity and path: *ret_moved true: our file is at the path already (a part left beside it is
 * unlinked, the directory synced). False: the part is there, go on with choose. VANISHED: neither; TROUBLE.
 */
int dlm_finish_look(struct dlm_finish *f, bool *ret_moved);

/* ---- Between the files finish*.c ------------------------------------------------------------------ */

/* TROUBLE, with the text: "cannot VERB `dir/name`: why". err is -errno. */
int dlm_finish_trouble(struct dlm_finish *f, int err, const char *verb, const char *name);

/* Digest of an open file as "alg=hex", compared with `digest`: 1 equal, 0 not (*ret_found says what it is), or -errno: -ECANCELED by *stop. */
int dlm_digest_check(int fd, const char *digest, const atomic_bool *stop, char ret_found[160]);
/* Do two open files have the same bytes: 1, 0, or -errno. */
int dlm_same_bytes(int a, int b);

#endif
