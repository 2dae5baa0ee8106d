/* SPDX-License-Identifier: MIT */
/*
 * doctor.h - what is wrong with a home that nobody owns, and moving it out of the way.
 */
#ifndef DLM_DOCTOR_H
#define DLM_DOCTOR_H

#include "dlmgr/base.h"

/*
 * Look at all of the home (NULL: where dlmgr_open() would look). *ret_json (yours: free()) is {"v":1,"home":PATH,"problems":[{"what","path",
 * "remedy","fixed"}],"salvage":null, or {"done","saved":{KIND:N},"lost":{KIND:N},"notes":[TEXT],"kept":PLACE} of a damaged journal}. fix: set modes right, move
 * what is broken into HOME/quarantine/TIME/, and carry over into a new journal what can be read of a damaged one; nothing is deleted, and "what" says in the end
 * what was done. 0 also when there are problems; DLMGR_EBUSY names the owner's pid; DLMGR_EHOME: there is no such directory. Holds the home's lock
 * meanwhile. Any thread.
 */
int dlm_doctor(const char *home, int fix, char **ret_json, dlmgr_error *e);

#endif
