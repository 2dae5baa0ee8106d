/* SPDX-License-Identifier: MIT */
/*
 * doctor.c - a home that nobody owns, looked at from the outside in: directory, lock, files, journal. See doctor.h.
 *
 * It holds the lock meanwhile, so that no owner comes and none of what it sees is in use; a socket that is there all the same
 * has nobody behind it, or a service manager that waits for callers. Files are looked at by name and never opened: closing a descriptor of a file would drop the locks that another
 * handle of this process may have on it.
 *
 * What belongs together moves together: a WAL is a part of its database, and a secret or a slot means nothing (or worse, means another
 * task) beside a new journal. What was moved is there under its own name, in a directory named by the time, and nothing is ever deleted.
 */
#include "dlmgr/doctor.h"

#include "dlmgr/control_socket.h"
#include "dlmgr/doctor_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static const char *const lock_file[] = {"lock", NULL}, *const slots_file[] = {"slots", NULL},
                         *const log_file[] = {"daemon.log", NULL};

/* ---- Problems, and moving them away -------------------------------------------------------------------- */

void dlm_doctor_report(struct dlm_doctor *d, const char *name, const char *what, const char *remedy,
                       bool fixed)
{
    const char *home = d->home ? d->home->path : "";
    json_t *path = *name == '/' || !*home ? dlm_bytes_to_json(name, strlen(name))
                                          : json_sprintf("%s/%s", home, name);
    json_t *problem = json_pack("{s:o, s:o, s:o, s:b}", "what",
                                dlm_bytes_to_json(what, strlen(what)), "path", path, "remedy",
                                fixed || !remedy ? json_null() : json_string_nocheck(remedy),
                                "fixed", (int)fixed);

    if (!problem || json_array_append_new(d->problems, problem))
        d->no_memory = true;
}

static bool make_quarantine(struct dlm_doctor *d)
{
    CLEANUP_FD int top = -1;
    char time[32];

    if (d->quarantine >= 0)
        return true;
    if (mkdirat(d->home->fd, "quarantine", 0700) < 0 && errno != EEXIST)
        return false;
    top = openat(d->home->fd, "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0)
        return false;
    dlm_clock_format(dlm_clock_wall(), time);
    for (int i = 0; i < 100 && d->quarantine < 0; i++) {
        char name[48];

        snprintf(name, sizeof(name), i ? "%s.%d" : "%s", time, i);
        if (mkdirat(top, name, 0700) == 0)
            d->quarantine = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        else if (errno != EEXIST)
            return false;
        snprintf(d->moved_to, sizeof(d->moved_to), "quarantine/%s", name);
    }
    return d->quarantine >= 0 && dlm_fsync_dir(top) == 0 && dlm_fsync_dir(d->home->fd) == 0;
}

bool dlm_doctor_move(struct dlm_doctor *d, const char *const *names)
{
    bool good = d->fix && make_quarantine(d);

    for (; good && *names; names++)
        good = renameat(d->home->fd, *names, d->quarantine, *names) == 0 || errno == ENOENT;
    return good && dlm_fsync_dir(d->quarantine) == 0 && dlm_fsync_dir(d->home->fd) == 0;
}

/* ---- The directory -------------------------------------------------------------------------------------- */

/* Takes from group and others what they must not have. True: the home may be used now. */
static bool tighten(const char *path)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 &&
           fchmod(fd, st.st_mode & 07777 & ~(mode_t)(S_IWGRP | S_IWOTH)) == 0;
}

static void report_directory(struct dlm_doctor *d, const char *path, const struct stat *st,
                             bool *ret_fixed)
{
    bool theirs = st->st_uid != geteuid(), all = st->st_mode & S_IWOTH;
    char remedy[100];

    *ret_fixed = !theirs && d->fix && tighten(path);
    snprintf(remedy, sizeof(remedy), "%s",
             theirs ? "run dlmgr as that user, or choose another home with --home"
             : all  ? "take that right away: chmod go-w"
                    : "chmod g-w, or set trust-group when all of its group may");
    dlm_doctor_report(d, path,
                      theirs ? "belongs to another user"
                      : all  ? "can be written by everybody"
                             : "can be written by its group",
                      remedy, *ret_fixed);
}

/* 0: d->home is held; 1: it was reported, and there is nothing more that can be looked at. */
static int open_home(struct dlm_doctor *d, const char *home, dlmgr_error *e)
{
    dlmgr_error why = {0};
    bool fixed = false;
    struct stat st;
    int r = dlm_home_open(home, false, true, &d->home, &why);

    if (r == DLMGR_EHOME && stat(why.path, &st) == 0 && S_ISDIR(st.st_mode) &&
        (st.st_uid != geteuid() || (st.st_mode & S_IWOTH))) {
        report_directory(d, why.path, &st, &fixed);
        if (!fixed)
            return 1;
        r = dlm_home_open(home, false, true, &d->home, &why);
    }
    if (r == 0 && fstat(d->home->fd, &st) == 0 && (st.st_mode & S_IWGRP))
        report_directory(d, d->home->path, &st, &fixed);
    if (r < 0 && e)
        *e = why;
    return r;
}

/* ---- Files ---------------------------------------------------------------------------------------------- */

/* Through a path of /proc, which follows no link; the O_PATH descriptor has no locks to drop. */
static bool set_mode(int homefd, const char *name)
{
    CLEANUP_FD int fd = openat(homefd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char path[40];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && chmod(path, 0600) == 0;
}

/* One name of those that belong together; false: they were moved away. */
static bool look_at(struct dlm_doctor *d, const char *name, const char *const *together)
{
    struct stat st;
    char what[160];
    bool moved;

    if (fstatat(d->home->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return true;
    if (!S_ISREG(st.st_mode)) {
        moved = dlm_doctor_move(d, together);
        snprintf(what, sizeof(what), "is %s, not a regular file%s%s", dlm_kind_name(st.st_mode),
                 moved ? "; moved to " : "", moved ? d->moved_to : "");
        dlm_doctor_report(d, name, what, "move it away", moved);
        return !moved;
    }
    if (st.st_uid != geteuid()) {
        dlm_doctor_report(d, name, "belongs to another user", "chown it to the user of this home",
                          false);
    } else if ((st.st_mode & 0777) != 0600) {
        snprintf(what, sizeof(what), "has mode %04o instead of 0600", (unsigned)st.st_mode & 07777);
        dlm_doctor_report(d, name, what, "chmod 600", d->fix && set_mode(d->home->fd, name));
    }
    return true;
}

/* Each of these that begins with `stem`. */
static void look_at_all(struct dlm_doctor *d, const char *stem, const char *const *together)
{
    for (const char *const *name = together; *name; name++)
        if (!strncmp(*name, stem, strlen(stem)) && !look_at(d, *name, together))
            return;
}

static int sockets(struct dlm_doctor *d)
{
    int fd = fcntl(d->home->fd, F_DUPFD_CLOEXEC, 3);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;
    char what[160];

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return DLMGR_ENOMEM;
    }
    rewinddir(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *const names[] = {entry->d_name, NULL};
        bool moved;

        if (fstatat(d->home->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISSOCK(st.st_mode) || dlm_socket_alive(d->home, entry->d_name))
            continue;
        moved = dlm_doctor_move(d, names);
        snprintf(what, sizeof(what), "is a socket that nobody listens on%s%s",
                 moved ? "; moved to " : "", moved ? d->moved_to : "");
        dlm_doctor_report(d, entry->d_name, what, "the next owner replaces it", moved);
    }
    closedir(dir);
    return 0;
}

/* 1: what stands in the place of the lock makes it impossible. */
static int take_lock(struct dlm_doctor *d, dlmgr_error *e)
{
    dlmgr_error why = {0};
    struct stat st;
    int r;

    look_at_all(d, "lock", lock_file);
    if (fstatat(d->home->fd, "lock", &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
        return 1;
    r = dlm_home_lock(d->home, &why);
    if (r == DLMGR_EHOME) {
        dlm_doctor_report(d, "lock", why.text, "choose another home", false);
        return 1;
    }
    if (r < 0 && e)
        *e = why;
    return r;
}

static int look_inside(struct dlm_doctor *d)
{
    int r;

    look_at_all(d, "journal.db", dlm_doctor_journal_files);
    look_at_all(d, "secrets.db", dlm_doctor_secrets_files);
    look_at_all(d, "slots", slots_file);
    look_at_all(d, "daemon.log", log_file);
    r = sockets(d);
    return r == 0 ? dlm_doctor_journal(d) : r;
}

static int answer(struct dlm_doctor *d, char **ret_json)
{
    CLEANUP_JSON json_t *result = json_pack("{s:i, s:o, s:O, s:O?}", "v", 1, "home",
                                            d->home ? dlm_bytes_to_json(d->home->path,
                                                                        strlen(d->home->path))
                                                    : json_null(),
                                            "problems", d->problems, "salvage", d->salvage);
    char *text = result && !d->no_memory ? dlm_json_dump(result) : NULL;

    if (!text)
        return DLMGR_ENOMEM;
    *ret_json = text;
    return 0;
}

int dlm_doctor(const char *home, int fix, char **ret_json, dlmgr_error *e)
{
    struct dlm_doctor d = {.fix = fix, .problems = json_array(), .quarantine = -1};
    int r = d.problems ? open_home(&d, home, e) : dlm_no_memory(e);

    if (r == 0)
        r = take_lock(&d, e);
    if (r == 0)
        r = look_inside(&d);
    if (r >= 0)
        r = answer(&d, ret_json);
    if (r == DLMGR_ENOMEM)
        dlm_no_memory(e);
    dlm_home_close(d.home);
    if (d.quarantine >= 0)
        close(d.quarantine);
    json_decref(d.problems);
    json_decref(d.salvage);
    return r;
}
