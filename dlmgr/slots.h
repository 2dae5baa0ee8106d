/* SPDX-License-Identifier: MIT */
/*
 * slots.h - what write() had taken when the owner was killed: HOME/slots, a memory-mapped file.
 *
 * The journal counts bytes once a second. Between two counts a slot says, for each connection, how far it has written. A
 * store to mapped memory survives SIGKILL and costs no system call; it does not survive a power cut, and so a slot
 * carries the boot it was written in and counts for nothing in another one.
 *
 * A slot is a claim, never a fact: it is believed only after the part has been synced and read back, and its
 * checksums agree (dlm_sink_open). `chain` folds the checksums of the blocks that were filled since `start`, `crc` is that of the
 * block that `end` lies in, so one pass over the bytes proves both.
 */
#ifndef DLM_SLOTS_H
#define DLM_SLOTS_H

#include "store/store.h"

struct dlm_slots;
struct dlm_slot;

/* Open or make the file; the home's lock is held. DLMGR_EHOME when something else stands there. */
int dlm_slots_open(int homefd, struct dlm_slots **ret, dlmgr_error *e);
struct dlm_slots *dlm_slots_close(struct dlm_slots *s);

/* What the last owner of this boot left, for the journal's hints; returns the first non-zero that fn returns. */
int dlm_slots_each(struct dlm_slots *s, int (*fn)(const struct dlm_hint *hint, void *context),
                   void *context);
/* Empty all; only once what dlm_slots_each() gave is durable. */
void dlm_slots_clear(struct dlm_slots *s);

/* One for a connection that begins at claim->start; NULL when all are taken: then only the journal counts. */
struct dlm_slot *dlm_slot_take(struct dlm_slots *s, const struct dlm_hint *claim);
void dlm_slot_put(struct dlm_slots *s, struct dlm_slot *slot); /* NULL is fine */
/* After pwrite() returned: bytes up to `end` are with the kernel. */
void dlm_slot_store(struct dlm_slot *slot, int64_t end, uint32_t chain, uint32_t crc);

/* chain after one more block was filled. */
uint32_t dlm_chain(uint32_t chain, uint32_t block_crc);
/* The id of this boot: 36 characters; "" when the kernel does not say. */
void dlm_boot_id(char out[40]);

#endif
