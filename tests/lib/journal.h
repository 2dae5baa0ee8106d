/* SPDX-License-Identifier: MIT */
/*
 * journal.h - a journal in the test's directory, and tasks in it with few words.
 *
 * Everything here must succeed: a failure ends the test function (a fatal assertion), so that a test
 * says only what it is about. Functions named journal_* open their own transaction unless they say that
 * the caller's is used.
 */
#ifndef DLM_TEST_JOURNAL_H
#define DLM_TEST_JOURNAL_H

#include "store/store.h"

#define NO_CHANGE .bytes = -1, .total = -1, .attempts = -1

/* Opens (makes) the journal in test_dir()/home. */
struct dlm_store *journal_open(int mode);
const char *journal_home(void);
int journal_homefd(void); /* opened at the first call of the test, closed by journal_close() */
void journal_close(struct dlm_store *s);
/* Remove all files of the (closed) home: the next open makes a new journal. */
void journal_discard(void);

void journal_begin(struct dlm_store *s);
void journal_commit(struct dlm_store *s);

/* A queued row of `default`; all of it points to constants or to url. origin is cut from url. */
struct dlm_row journal_row(const char *url);
/* Add that row in the caller's transaction, or journal_row(url) in one of its own. */
int64_t journal_add_row(struct dlm_store *s, const struct dlm_row *row);
int64_t journal_add(struct dlm_store *s, const char *url);

/* Move in the caller's transaction; the code. */
int journal_try(struct dlm_store *s, int64_t id, int to);
/* Bring a fresh (queued) task into the state by allowed moves. */
void journal_drive(struct dlm_store *s, int64_t id, int state);
int journal_state(struct dlm_store *s, int64_t id);

/* How many events of the session (after 0), and the type of the last one ("" none); checks that numbers have no gap. */
int journal_events(struct dlm_store *s, const char *session, char ret_last_type[16]);
/* The last event's body; yours. */
char *journal_last_body(struct dlm_store *s, const char *session);

/* dlm_store_check() finds nothing. */
void journal_sound(struct dlm_store *s);

/* A checksum of the file in the home, size and bytes; 0 when absent. */
uint64_t journal_file_sum(const char *name);
/* Does the file hold this text anywhere? */
int journal_file_has(const char *name, const char *text);
/* Run SQL on a file of the home with a connection of its own. */
void journal_sql(const char *name, const char *sql);
/* The first column of the first row. */
int64_t journal_number(const char *name, const char *sql);

#endif
