/* SPDX-License-Identifier: MIT */
/*
 * sqlfault.h - the nth thing that the journal asks of the system fails.
 *
 * Faults stand in the journal's own VFS and in SQLite's allocator, so all of SQLite is real. The count goes over all files of the home and
 * begins when it is set. Syncs are counted, and not made while this is in use: what is tested here is what the journal does
 * about a failure, not what a disk keeps.
 */
#ifndef DLM_TEST_SQLFAULT_H
#define DLM_TEST_SQLFAULT_H

#include <stdbool.h>

enum sqlfault_kind {
    SQLFAULT_NONE,
    SQLFAULT_IO,     /* a call on a file fails once */
    SQLFAULT_DEAD,   /* that one and all later ones: the disk is gone */
    SQLFAULT_FULL,   /* that write and all later ones that let a file grow: the disk is full */
    SQLFAULT_MEMORY, /* an allocation of SQLite fails once */
    SQLFAULT_NO_SHM, /* a file system without shared memory; n is ignored */
    SQLFAULT_NO_LOCK /* one whose locks fail; n is ignored */
};

/* For the nth call from now; 0 or SQLFAULT_NONE: nothing fails. */
void sqlfault_set(enum sqlfault_kind kind, long n);
/* Did it come to that since it was set? */
bool sqlfault_fired(void);

#endif
