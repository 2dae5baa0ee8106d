/* SPDX-License-Identifier: MIT */
/*
 * disk.h - what the disk holds, worked out from the killer's logs: what was written, and what a power cut would leave.
 *
 * A SIGKILL leaves everything that a call did in the kernel's memory, so files alone cannot show a missing fsync. The
 * log can: a write is *dirty* until a sync of its file was entered after the write had returned and succeeded; a
 * new, renamed or removed name is *loose* until the same happened to its directory. disk_replay() reads one launch
 * after another (nothing that ran between them may have synced by other means: then the answer is only stricter).
 *
 * disk_power_cut() copies a small file as the worst power cut would leave it: dirty bytes become zero, and a file
 * whose name is loose is missing. A journal opened from such a copy must still hold all that anybody was told.
 *
 * Calls whose outcome the kill hid (`?`) count as the worse of the two: a write as dirty and not as taken, a sync as not made.
 */
#ifndef CRASH_DISK_H
#define CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
    int64_t start, end;
    long line; /* when it was written: lines of all logs counted through */
};

struct ranges {
    struct range *at; /* sorted, apart from one another unless `line` is used */
    size_t n, room;
};

void ranges_add(struct ranges *r, int64_t start, int64_t end); /* merges */
int64_t ranges_common(const struct ranges *r, int64_t start,
                      int64_t end); /* bytes of [start, end) that are in it */
void ranges_free(struct ranges *r);

struct disk_file {
    char *path;
    bool there;
    long loose;          /* the line that made this name, 0: its directory was synced since */
    char *from;          /* loose by a rename: the firm name that it would have again; NULL none */
    struct ranges taken; /* what completed writes put into it, merged */
    struct ranges dirty; /* not synced since: as written, not merged */
};

struct disk {
    struct disk_file *files;
    size_t n;
    long lines, base, calls; /* of all logs; before this log; the last number of the last log */
    bool killed;             /* the last log ends with a kill */
};

/* Add one launch's log. 0 or -errno; -EPROTO when the log is cut short (its killer died). */
int disk_replay(struct disk *d, const char *log);

/* The file at this absolute path as the logs know it; NULL when no call named it. */
const struct disk_file *disk_find(const struct disk *d, const char *path);

/* Would this name outlive a power cut, with the directories that it stands in? */
bool disk_firm(const struct disk *d, const char *path);

/* Would these bytes of it? */
bool disk_synced(const struct disk *d, const char *path, int64_t start, int64_t end);

/* Copy `from` to `to`: as it is (cut false), or as a power cut would leave it. 1 when it is not there (then), 0, -errno. */
int disk_copy(const struct disk *d, const char *from, const char *to, bool cut);

/* The name that this file, whose own is loose by a rename, would have after a power cut; NULL none. */
const char *disk_former(const struct disk *d, const char *path);

/* Make this very file what a power cut leaves of it; 1 when its name is lost (nothing is done then), 0, -errno. */
int disk_cut(const struct disk *d, const char *path);

/* The power has gone and come again: what is there now is on the disk. */
void disk_settle(struct disk *d);

void disk_free(struct disk *d);

#endif
