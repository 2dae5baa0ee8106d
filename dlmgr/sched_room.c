/* SPDX-License-Identifier: MIT */
/*
 * sched_room.c - how many descriptors downloads may have open, so that the engine never runs out of them by its own doing: see sched.h.
 *
 * RLIMIT_NOFILE (soft) belongs to the whole process. What is open when the engine starts stays somebody's; of the rest up to 64, or a quarter
 * when that is little, is left for clients at the door, workers that look at files, and whatever program this is part of.
 */
#include "dlmgr/sched.h"

#include <dirent.h>
#include <sys/resource.h>

#define SPARE 64
#define OPEN_UNKNOWN 64 /* /proc is not mounted */

static int64_t count_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int64_t n = -3; /* . and .. and this very directory */

    if (!dir)
        return OPEN_UNKNOWN;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

int64_t dlm_sched_room(int64_t limit)
{
    struct rlimit l;
    int64_t left = INT64_MAX;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur != RLIM_INFINITY) {
        left = (int64_t)l.rlim_cur - count_open();
        left -= MIN(left / 4, SPARE);
    }
    if (limit > 0)
        left = MIN(left, limit);
    return MAX(left, DLM_TASK_FILES + DLM_CONNECTION_FILES);
}
