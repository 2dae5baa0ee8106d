/* SPDX-License-Identifier: MIT */
/*
 * mark.c - how many changes the journal has stored, noted beside it: HOME/mark.
 *
 * SQLite reads a WAL up to the first frame whose checksum is wrong, and takes that for its end: a damaged byte, a lost tail or a lost file then
 * look like a journal in which less has happened. So the journal counts its own commits (the setting `commits`), and this file, which is written after each
 * commit, says how far that had come. A journal that has counted less has lost something, and is refused until doctor is told to go on without it.
 *
 *     commit durable  ->  mark written        so the mark is never ahead of the disk, whatever is killed or cut off
 *
 * It is not synced: after a power cut it may be behind, and then it only says less. One that cannot be read or written, or whose checksum is wrong,
 * says nothing, so nothing here fails.
 */
#include "store/internal.h"

#include <fcntl.h>
#include <stdio.h>

#define NAME "mark"
#define COMMITS "commits"

struct mark {
    uint64_t commits;
    uint32_t magic, crc;
};

static uint32_t crc_of(const struct mark *m)
{
    return dlm_crc32c(0x6d61726b, &m->commits, sizeof(m->commits));
}

int64_t dlm_mark_read(int homefd)
{
    CLEANUP_FD int fd = openat(homefd, NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct mark m;

    if (fd < 0 || dlm_pread_all(fd, &m, sizeof(m), 0) != sizeof(m) || m.crc != crc_of(&m) ||
        m.commits > INT64_MAX)
        return 0;
    return (int64_t)m.commits;
}

static int lost(const struct dlm_store *s, const char *how, int64_t n, dlmgr_error *e)
{
    dlm_fail(e, DLMGR_EJOURNAL,
             "%s/journal.db %s: the last %lld changes that were stored are lost; put it back with its WAL, or go on "
             "without them after `dlmgr doctor --fix`",
             s->home, how, (long long)n);
    if (e) {
        e->class_ = DLMGR_CLASS_LOCAL;
        e->sys_errno = DLM_STORE_LOST;
        snprintf(e->path, sizeof(e->path), "%s/journal.db", s->home);
    }
    return DLMGR_EJOURNAL;
}

int dlm_mark_missing(const struct dlm_store *s, int64_t mark, dlmgr_error *e)
{
    static const char *const names[] = {"journal.db",
                                        "journal.db-wal"}; /* one alone has its own words */

    for (size_t i = 0; mark && i < ARRAY_SIZE(names); i++)
        if (faccessat(s->homefd, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
            mark = 0;
    return !mark ? 0 : lost(s, "is missing", mark, e);
}

int dlm_mark_check(struct dlm_store *s, int64_t mark, dlmgr_error *e)
{
    CLEANUP_FREE char *text = NULL;
    int r = dlm_store_setting(s, COMMITS, &text);

    if (r < 0) {
        dlm_store_error(s, r, e);
        return r;
    }
    s->commits = text ? strtoll(text, NULL, 10) : 0;
    if (s->commits < mark)
        return lost(s, "is older than it was", mark - s->commits, e);
    if (s->mode == DLM_STORE_WRITE)
        s->mark = dlm_fd_above_stdio(
            openat(s->homefd, NAME, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    return 0;
}

int dlm_mark_count(struct dlm_store *s)
{
    char text[32];

    /* A batch that changed nothing is no commit, and costs no sync. */
    s->counted = sqlite3_total_changes(s->db) != s->changes;
    if (!s->counted)
        return 0;
    snprintf(text, sizeof(text), "%lld", (long long)s->commits + 1);
    return dlm_sql_run(s, Q_SETTING_SET, "ss", COMMITS, text);
}

void dlm_mark_write(struct dlm_store *s)
{
    struct mark m = {0};

    if (!s->counted)
        return;
    m.commits = (uint64_t)++s->commits;
    m.crc = crc_of(&m);
    if (s->mark >= 0 && dlm_pwrite_all(s->mark, &m, sizeof(m), 0) < 0) {
        close(s->mark);
        s->mark = -1;
    }
}
