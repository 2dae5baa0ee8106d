/* SPDX-License-Identifier: MIT */
/*
 * files.c - a table of hostile file systems and what stands in the way, against whole downloads.
 *
 * A case says what is in the way or which calls fail, how the task must stop (state, exit code, words of its error), and what there must be
 * of the file meanwhile. Then the cause is taken away and the task is tried again: it must end whole, at the name that the policy says. A file that
 * stood there before must be as it was, to the byte, whenever the case does not replace it. Ends with
 *
 *     files: 57 cases, violations 0
 */
#include "tests/hostile/iofault.h"

#include "dlmgr/base.h"
#include "store/store.h"
#include "tests/lib/house.h"
#include "tests/lib/test.h"

enum { SIZE = 300000, SEED = 7 };

static const char old_text[] = "was here before";

/* What stands at a name, or is done to the directory. */
enum thing {
    NOTHING,
    TEXT,
    SYMLINK,
    DANGLING,
    FIFO,
    DIRECTORY,
    FULL_DIRECTORY,
    HARD_LINK,
    OTHERS,
    DEVICE,
    THINGS
};

static const char *const words[THINGS] = {"nothing",
                                          "a file",
                                          "a symlink",
                                          "a dangling symlink",
                                          "a FIFO",
                                          "a directory",
                                          "a directory with a file",
                                          "a file with two names",
                                          "another user's file",
                                          "a device"};

static const struct hostile_case {
    const char *name;
    struct io_fault faults[3];
    int at_target, at_part; /* enum thing */
    int policy;
    unsigned inode, device; /* see iofault.h */
    /* What comes of it: DONE at once when state is DLMGR_DONE. */
    int state, code;
    const char *says;
    const char *ends_at; /* the file's name in the end: NULL "f" */
    bool stays; /* no retry can help while it stands there: what stood there is moved away first */
} cases[] = {
#define F(call_, path_, err_, ...)                                                                 \
    {                                                                                              \
        .call = (call_), .path = (path_), .err = (err_), ##__VA_ARGS__                             \
    }
#define DONE_AT_ONCE .state = DLMGR_DONE
#define FAILS(exit_code, words) .state = DLMGR_FAILED, .code = (exit_code), .says = (words)
#define WAITS(exit_code, words) .state = DLMGR_WAITING, .code = (exit_code), .says = (words)
    {"nothing in the way", DONE_AT_ONCE},

    /* The disk: write, sync, make, rename. */
    {"write: EIO at once", {F("pwrite", ".part", EIO)}, FAILS(17, "Input/output error")},
    {"write: EIO later", {F("pwrite", ".part", EIO, .after = 3)}, FAILS(17, "Input/output error")},
    {"write: full", {F("pwrite", ".part", ENOSPC, .after = 2)}, WAITS(9, "No space left")},
    {"write: over quota", {F("pwrite", ".part", EDQUOT, .after = 2)}, WAITS(9, "quota")},
    {"write: larger than the limit of the process",
     {F("pwrite", ".part", EFBIG, .after = 2)},
     FAILS(17, "File too large")},
    {"write: interrupted", {F("pwrite", ".part", EINTR, .after = 1, .times = 3)}, DONE_AT_ONCE},
    {"write: read-only by now", {F("pwrite", ".part", EROFS, .after = 1)}, FAILS(17, "Read-only")},
    {"sync: EIO",
     {F("fdatasync", ".part", EIO), F("syncfs", "files", EIO)},
     FAILS(17, "Input/output error")},
    {"sync: full",
     {F("fdatasync", ".part", ENOSPC), F("syncfs", "files", ENOSPC)},
     WAITS(9, "No space left")},
    {"sync: over quota",
     {F("fdatasync", ".part", EDQUOT), F("syncfs", "files", EDQUOT)},
     WAITS(9, "quota")},
    {"sync of the directory: EIO", {F("fsync", "files/", EIO)}, FAILS(17, "Input/output error")},
    {"sync of the directory: not known", {F("fsync", "files/", EINVAL)}, DONE_AT_ONCE},
    {"make: read-only", {F("openat", ".part", EROFS)}, FAILS(17, "Read-only")},
    {"make: no permission", {F("openat", ".part", EACCES)}, FAILS(17, "Permission denied")},
    {"make: full", {F("openat", ".part", ENOSPC)}, WAITS(9, "No space left")},
    {"make: over quota", {F("openat", ".part", EDQUOT)}, WAITS(9, "quota")},
    {"make: no descriptor left", {F("openat", ".part", EMFILE)}, FAILS(17, "Too many open files")},
    {"make: name too long", {F("openat", ".part", ENAMETOOLONG)}, FAILS(17, "name too long")},
    {"rename: EIO", {F("renameat2", ".part", EIO)}, FAILS(17, "Input/output error")},
    {"rename: full", {F("renameat2", ".part", ENOSPC)}, WAITS(9, "No space left")},
    {"rename: read-only", {F("renameat2", ".part", EROFS)}, FAILS(17, "Read-only")},

    /* Poor file systems. */
    {"no flags of rename: EINVAL", {F("renameat2", ".part", EINVAL)}, DONE_AT_ONCE},
    {"no flags of rename: ENOSYS", {F("renameat2", ".part", ENOSYS)}, DONE_AT_ONCE},
    {"nor links", {F("renameat2", ".part", EINVAL), F("linkat", ".part", EPERM)}, DONE_AT_ONCE},
    {"nor links: EOPNOTSUPP",
     {F("renameat2", ".part", EINVAL), F("linkat", ".part", EOPNOTSUPP)},
     DONE_AT_ONCE},
    {"nor links, and the name is taken",
     {F("renameat2", ".part", EINVAL), F("linkat", ".part", EPERM)},
     .at_target = TEXT,
     DONE_AT_ONCE,
     .ends_at = "f.1"},
    {"a name that only the move finds taken (case does not matter there)",
     {F("renameat2", ".part", EEXIST, .times = 1)},
     DONE_AT_ONCE,
     .ends_at = "f"},
    {"no permissions there: chmod EPERM", {F("fchmod", ".part", EPERM)}, DONE_AT_ONCE},
    {"no permissions there: chmod EOPNOTSUPP", {F("fchmod", ".part", EOPNOTSUPP)}, DONE_AT_ONCE},
    {"chmod: EIO", {F("fchmod", ".part", EIO)}, FAILS(17, "Input/output error")},

    /* What stands at the target. */
    {"target, rename", .at_target = TEXT, DONE_AT_ONCE, .ends_at = "f.1"},
    {"target, rename", .at_target = SYMLINK, DONE_AT_ONCE, .ends_at = "f.1"},
    {"target, rename", .at_target = DANGLING, DONE_AT_ONCE, .ends_at = "f.1"},
    {"target, rename", .at_target = FIFO, DONE_AT_ONCE, .ends_at = "f.1"},
    {"target, rename", .at_target = DIRECTORY, DONE_AT_ONCE, .ends_at = "f.1"},
    {"target, fail", .at_target = TEXT, .policy = DLMGR_EXISTS_FAIL, FAILS(13, "is there already"),
     .stays = true},
    {"target, fail", .at_target = SYMLINK, .policy = DLMGR_EXISTS_FAIL, FAILS(13, "a symlink"),
     .stays = true},
    {"target, fail", .at_target = DANGLING, .policy = DLMGR_EXISTS_FAIL, FAILS(13, "a symlink"),
     .stays = true},
    {"target, fail", .at_target = FIFO, .policy = DLMGR_EXISTS_FAIL, FAILS(13, "a FIFO"),
     .stays = true},
    {"target, fail", .at_target = DIRECTORY, .policy = DLMGR_EXISTS_FAIL, FAILS(13, "a directory"),
     .stays = true},
    {"target, fail", .at_target = DEVICE, .policy = DLMGR_EXISTS_FAIL, FAILS(13, "a device"),
     .stays = true},
    {"target, replace", .at_target = TEXT, .policy = DLMGR_EXISTS_REPLACE, DONE_AT_ONCE},
    {"target, replace", .at_target = SYMLINK, .policy = DLMGR_EXISTS_REPLACE, DONE_AT_ONCE},
    {"target, replace", .at_target = HARD_LINK, .policy = DLMGR_EXISTS_REPLACE, DONE_AT_ONCE},
    {"target, replace", .at_target = FIFO, .policy = DLMGR_EXISTS_REPLACE, FAILS(13, "a FIFO"),
     .stays = true},
    {"target, replace", .at_target = DIRECTORY, .policy = DLMGR_EXISTS_REPLACE,
     FAILS(13, "a directory"), .stays = true},
    {"target, replace", .at_target = FULL_DIRECTORY, .policy = DLMGR_EXISTS_REPLACE,
     FAILS(13, "a directory"), .stays = true},
    {"target, replace", .at_target = DEVICE, .policy = DLMGR_EXISTS_REPLACE, FAILS(13, "a device"),
     .stays = true},
    {"target, same", .at_target = TEXT, .policy = DLMGR_EXISTS_SAME, FAILS(13, "not the same"),
     .stays = true},
    {"target, same", .at_target = SYMLINK, .policy = DLMGR_EXISTS_SAME, FAILS(13, "a symlink"),
     .stays = true},
    {"target, same", .at_target = FIFO, .policy = DLMGR_EXISTS_SAME, FAILS(13, "a FIFO"),
     .stays = true},

    /* What stands at the part's name. */
    {"part", .at_part = TEXT, DONE_AT_ONCE}, /* ours to empty: only this task can have that name */
    {"part", .at_part = SYMLINK, FAILS(17, "a symlink"), .stays = true},
    {"part", .at_part = DANGLING, FAILS(17, "a symlink"), .stays = true},
    {"part", .at_part = FIFO, FAILS(17, "a FIFO"), .stays = true},
    {"part", .at_part = DIRECTORY, FAILS(17, "a directory"), .stays = true},
    {"part", .at_part = HARD_LINK, FAILS(17, "several names"), .stays = true},
    {"part", .at_part = OTHERS, FAILS(17, "another user's"), .stays = true},
    {"part", .at_part = DEVICE, FAILS(17, "a device"), .stays = true},
};

static struct house h;
static char dir[400], tag[5];
static int n_cases, n_violations;

#define MUST(...)                                                                                  \
    do {                                                                                           \
        if (!(__VA_ARGS__))                                                                        \
            n_violations++;                                                                        \
    } while (0)

/* ---- What stands in the way ------------------------------------------------------------------------------- */

static char *in_dir(const char *name)
{
    static char paths[4][700];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static bool write_text(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    bool good = fd >= 0 && write(fd, old_text, sizeof(old_text)) == sizeof(old_text);

    close(fd);
    return good;
}

static bool has_text(const char *path)
{
    char text[sizeof(old_text) + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof(text));

    close(fd);
    return n == sizeof(old_text) && !memcmp(text, old_text, sizeof(old_text));
}

/* False: this user cannot make it. */
static bool put_thing(int thing, const char *path)
{
    switch (thing) {
    case TEXT:
        return write_text(path);
    case SYMLINK:
        return write_text(in_dir("aside")) && symlink("aside", path) == 0;
    case DANGLING:
        return symlink("nowhere", path) == 0;
    case FIFO:
        return mkfifo(path, 0600) == 0;
    case DIRECTORY:
        return mkdir(path, 0700) == 0;
    case FULL_DIRECTORY:
        return mkdir(path, 0700) == 0 && write_text(in_dir("f/aside"));
    case HARD_LINK:
        return write_text(in_dir("aside")) && link(in_dir("aside"), path) == 0;
    case OTHERS:
        return write_text(path) && chown(path, 65534, 65534) == 0;
    case DEVICE: /* the null device: writing to it would be silent */
        return mknod(path, S_IFCHR | 0666, 1 << 8 | 3) == 0;
    default:
        return true;
    }
}

/* Is it as it was made? */
static bool thing_stands(int thing, const char *path)
{
    static const mode_t types[THINGS] =
        {[TEXT] = S_IFREG,      [SYMLINK] = S_IFLNK,   [DANGLING] = S_IFLNK,
         [FIFO] = S_IFIFO,      [DIRECTORY] = S_IFDIR, [FULL_DIRECTORY] = S_IFDIR,
         [HARD_LINK] = S_IFREG, [OTHERS] = S_IFREG,    [DEVICE] = S_IFCHR};
    struct stat st;

    if (lstat(path, &st) < 0 || (st.st_mode & S_IFMT) != types[thing])
        return false;
    if (thing == SYMLINK || thing == HARD_LINK)
        return has_text(in_dir("aside"));
    if (thing == FULL_DIRECTORY)
        return has_text(in_dir("f/aside"));
    return (thing != TEXT && thing != OTHERS) || has_text(path);
}

/* ---- One case ------------------------------------------------------------------------------------------------ */

static void look_at_stop(const struct hostile_case *c, const char *part,
                         const struct house_result *r)
{
    struct stat st;

    MUST(CHECK_STR(dlmgr_state_name(r->state), dlmgr_state_name(c->state)));
    MUST(CHECK_INT(r->error_code, c->code));
    MUST(CHECK_INT(r->error_class, c->code == 13 ? DLMGR_CLASS_POLICY : DLMGR_CLASS_LOCAL));
    if (!strstr(r->text, c->says))
        MUST(CHECK_STR(r->text, c->says));
    if (c->at_part)
        MUST(CHECK_INT(thing_stands(c->at_part, in_dir(part)), 1));
    if (!c->at_target)
        MUST(CHECK_INT(lstat(in_dir("f"), &st), -1));
}

static void act(int64_t id, int action)
{
    dlmgr_selector one = {.size = sizeof(one), .ids = &id, .n_ids = 1};
    dlmgr_error e = {0};

    if (dlmgr_act(h.handle, action, &one, NULL, &e) < 0)
        MUST(CHECK_STR(e.text, "done"));
}

static void look_at_end(const struct hostile_case *c, const struct house_result *r)
{
    const char *name = c->ends_at ? c->ends_at : "f";
    struct stat st = {0};

    MUST(CHECK_STR(dlmgr_state_name(r->state), "done"));
    MUST(CHECK_STR(r->path, in_dir(name)));
    MUST(CHECK_INT(fx_file_check(in_dir(name), SIZE, SEED), 0));
    MUST(CHECK_INT(lstat(in_dir(name), &st), 0));
    MUST(CHECK_INT(st.st_mode & (S_IFMT | S_ISUID | S_ISGID | S_ISVTX | 0111), S_IFREG));
    if (c->at_target == HARD_LINK || c->at_target == SYMLINK)
        MUST(CHECK_INT(has_text(in_dir("aside")), 1));
}

static int64_t add(const struct hostile_case *c, char *part)
{
    char *url = fx_url(h.fx, "/f%d?size=%d&seed=%d&etag=\"f\"", n_cases, SIZE, SEED);
    dlmgr_request r = house_request(&h, url);
    int64_t id;

    r.dir = dir;
    r.out = "f";
    r.on_exists = c->policy;
    r.paused = 1;
    id = house_add(&h, &r);
    snprintf(part, 100, "f.%lld-%s.part", (long long)id, tag);
    free(url);
    return id;
}

static void run_case(const struct hostile_case *c)
{
    char part[100];
    int64_t id;
    struct house_result r;

    io_clear();
    n_cases++;
    test_about("case %d: %s%s%s", n_cases, c->name, c->at_target || c->at_part ? ": " : "",
               c->at_target || c->at_part ? words[c->at_target + c->at_part] : "");
    snprintf(dir, sizeof(dir), "%s/%d", h.dir, n_cases);
    MUST(CHECK_INT(mkdir(dir, 0755), 0));
    id = add(c, part);
    if (!put_thing(c->at_target, in_dir("f")) || !put_thing(c->at_part, in_dir(part))) {
        n_cases -= geteuid() != 0; /* devices and other users' files are root's to make */
        MUST(geteuid() != 0);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(c->faults) && c->faults[i].call; i++)
        io_fault(&c->faults[i]);
    act(id, DLMGR_RESUME);
    r = house_until(&h, id, INT64_MAX, c->state);
    if (c->faults[0].call)
        MUST(CHECK_INT(atomic_load(&io.fired) > 0, 1));
    if (c->state != DLMGR_DONE) {
        look_at_stop(c, part, &r);
        if (c->stays)
            MUST(CHECK_INT(rename(in_dir(c->at_part ? part : "f"), in_dir("moved")), 0));
        io_clear();
        act(id, c->state == DLMGR_FAILED ? DLMGR_RETRY : DLMGR_RESUME);
        r = house_until(&h, id, INT64_MAX, DLMGR_DONE);
    } else if (c->at_target && c->policy != DLMGR_EXISTS_REPLACE) {
        MUST(CHECK_INT(thing_stands(c->at_target, in_dir("f")), 1));
    }
    look_at_end(c, &r);
}

static void read_tag(void)
{
    int fd = open(h.home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dlm_store *s = NULL;

    CU_ASSERT_FATAL(dlm_store_open(fd, h.home, DLM_STORE_READ, &s, NULL) == 0);
    snprintf(tag, sizeof(tag), "%s", dlm_store_tag(s));
    dlm_store_close(s);
    close(fd);
}

static void test_cases(void)
{
    house_begin(&h);
    read_tag();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        run_case(&cases[i]);
    io_clear();
    house_end(&h);
}

static const struct test tests[] = {TEST(test_cases)};

int main(int argc, char **argv)
{
    int status = test_main(argc, argv, "files", tests, ARRAY_SIZE(tests));

    printf("files: %d cases, violations %d\n", n_cases, n_violations);
    return status || n_violations;
}
