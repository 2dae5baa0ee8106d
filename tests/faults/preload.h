/* SPDX-License-Identifier: MIT */
/*
 * preload.h - between the files of preload.so: does this call fail, and with what?
 */
#ifndef FAULTS_PRELOAD_H
#define FAULTS_PRELOAD_H

#include "faults.h"

#include <stdbool.h>

/* Counts the call; true when it is to fail. */
bool fault_strikes(enum faults_call call);
int fault_error(void);

#endif
