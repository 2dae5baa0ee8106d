/* SPDX-License-Identifier: MIT */
/*
 * check_files.c - the destination directory and the home, file by file (promises 3, 4, 6 and 7).
 *
 * Whatever stands in the destination must have a reason: a part of a task that the journal knows, a file that stood
 * there before, or the finished file of a task. A finished one must be whole, and the journal that a power cut
 * would leave must already know that it was on its way there: a rename may reach the disk at any moment after it was made.
 */
#include "check.h"

#include "dlmgr/base.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static bool ends_in_part(const char *name)
{
    size_t n = strlen(name);

    return n > 5 && strcmp(name + n - 5, ".part") == 0;
}

static const struct check_task *by_part(const struct check_tasks *tasks, const char *path)
{
    for (size_t i = 0; i < tasks->n; i++)
        if (strcmp(tasks->at[i].part, path) == 0)
            return &tasks->at[i];
    return NULL;
}

static void part_has_its_row(struct check *c, const struct check_tasks *now,
                             const struct check_tasks *cut, const char *path, bool end)
{
    const struct disk_file *f = disk_find(&c->disk, path);

    const struct check_task *t = by_part(now, path);

    if (end && !(t && strcmp(t->state, "failed") == 0)) /* a failure keeps the bytes */
        check_say(c, 3, "%s is left behind", path);
    if (f && f->taken.n && !by_part(cut, path))
        check_say(c, 2, "bytes were written to %s before its row was durable", path);
}

static bool is_file(const char *path, int64_t size, uint64_t seed)
{
    struct want w = {.seeds = {seed}};
    struct stat st;

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size &&
           check_version(&w, path, 0, size) == 0;
}

static bool is_want(const struct want *w, const char *path)
{
    for (int i = 0; i < CHECK_VERSIONS && w->seeds[i]; i++)
        if (is_file(path, w->size, w->seeds[i]))
            return true;
    return false;
}

static bool has_name(const struct want *w, const char *name)
{
    return (w->final && strcmp(w->final, name) == 0) || (w->other && strcmp(w->other, name) == 0);
}

/* Of two that may have the name, the one whose bytes they are. */
static struct want *want_named(struct check *c, const char *name, const char *path)
{
    struct want *any = NULL;

    for (size_t i = 0; i < c->n_wants; i++)
        if (has_name(&c->wants[i], name) && (!any || is_want(&c->wants[i], path)))
            any = &c->wants[i];
    return any;
}

static const struct kept *kept_named(const struct check *c, const char *name)
{
    for (size_t i = 0; i < c->n_kept; i++)
        if (strcmp(c->kept[i].name, name) == 0)
            return &c->kept[i];
    return NULL;
}

static void journal_knew(struct check *c, const struct check_tasks *cut, const struct want *w,
                         const char *path)
{
    for (size_t i = 0; i < cut->n; i++) {
        const struct check_task *t = &cut->at[i];
        bool on_its_way = strcmp(t->state, "committing") == 0 || strcmp(t->state, "done") == 0;

        if (t->want == w && on_its_way && strcmp(t->path, path) == 0)
            return;
    }
    if (w->forgotten)
        return;
    check_say(c, 2, "%s got its name before the journal was sure of it", path);
}

/* The whole file must be synced before its name is given: a power cut may keep the name and not the bytes. */
static void finished_is_whole(struct check *c, const struct check_tasks *cut, const struct want *w,
                              const char *path, bool end)
{
    struct stat st;

    if (!is_want(w, path))
        check_say(c, 3, "%s is not whole", path);
    if (!disk_synced(&c->disk, path, 0, INT64_MAX))
        check_say(c, 3, "%s got its name before its bytes were synced", path);
    journal_knew(c, cut, w, path);
    if (end && lstat(path, &st) == 0 && (st.st_mode & 07777) != 0644)
        check_say(c, 3, "%s has mode %o", path, st.st_mode & 07777);
}

static void look_at(struct check *c, const struct check_tasks *now, const struct check_tasks *cut,
                    const char *name, bool end)
{
    const struct kept *k = kept_named(c, name);
    const struct want *w;
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", c->dest, name);
    w = want_named(c, name, path);
    if (k && is_file(path, k->size, k->seed))
        return;
    if (ends_in_part(name))
        part_has_its_row(c, now, cut, path, end);
    else if (k && !k->replaced)
        check_say(c, 6, "%s was changed", path);
    else if (k && !(w && is_want(w, path)))
        check_say(c, 6, "%s is neither the old file nor the new", path);
    else if (w)
        finished_is_whole(c, cut, w, path, end);
    else
        check_say(c, 3, "%s: nobody asked for such a file", path);
}

static void all_are_there(struct check *c)
{
    char path[4096], other[4096];

    for (size_t i = 0; i < c->n_wants; i++) {
        const struct want *w = &c->wants[i];

        snprintf(path, sizeof(path), "%s/%s", c->dest, w->final ? w->final : "");
        snprintf(other, sizeof(other), "%s/%s", c->dest, w->other ? w->other : "");
        if (w->final && !is_want(w, path) && !(w->other && is_want(w, other)) &&
            !(w->claim && is_want(w, w->claim)))
            check_say(c, 3, "%s is not there at the end, or not whole", path);
    }
}

void check_files(struct check *c, const struct check_tasks *now, const struct check_tasks *cut,
                 bool end)
{
    DIR *dir = opendir(c->dest);
    char path[4096];

    for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir))
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            look_at(c, now, cut, d->d_name, end);
    if (dir)
        closedir(dir);
    for (size_t i = 0; i < c->n_kept; i++) {
        snprintf(path, sizeof(path), "%s/%s", c->dest, c->kept[i].name);
        if (access(path, F_OK))
            check_say(c, 6, "%s is gone", path);
    }
    if (end)
        all_are_there(c);
}

/* ---- The secret ------------------------------------------------------------------------------------ */

static bool holds(const char *path, const char *secret)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    CLEANUP_FREE char *data = NULL;
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
        return false;
    data = malloc((size_t)st.st_size + 1);
    n = data ? pread(fd, data, (size_t)st.st_size, 0) : -1;
    return n > 0 && memmem(data, (size_t)n, secret, strlen(secret));
}

void check_secret_files(struct check *c, const char *where)
{
    DIR *dir = opendir(where);
    char path[4096];

    for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
        snprintf(path, sizeof(path), "%s/%s", where, d->d_name);
        if (strncmp(d->d_name, "secrets.db", 10) != 0 && holds(path, c->secret))
            check_say(c, 7, "%s holds the secret", path);
    }
    if (dir)
        closedir(dir);
}
