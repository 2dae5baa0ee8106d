/* SPDX-License-Identifier: MIT */
/*
 * home.h - a home with a small journal in the test's directory, for targets that need one: nine tasks, one of each state, two sessions,
 * blocks, hints, events and secrets. No task of it has a file, and no call can make one.
 */
#ifndef DLM_FUZZ_HOME_H
#define DLM_FUZZ_HOME_H

#include "store/store.h"

const char *home_path(void);
int home_fd(void);
/* Made at the first call; it must work. The clock stands still from then on. */
struct dlm_store *home_open(int mode);

#endif
