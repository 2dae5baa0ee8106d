/* SPDX-License-Identifier: MIT */
/*
 * test_finish.c - a part becomes a file at a free name, once, and nobody else's file changes.
 */
#include "dlmgr/finish.h"

#include "tests/lib/deny.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define NAME "file.bin"
#define PART "file.bin.7-abcd.part"
#define TEXT "abc"
#define STRANGER "somebody else's"

static struct dlm_dirs *set;
static struct dlm_dir *dir;
static struct dlm_finish f;

/* A whole part, with its sync done. */
static void begin(int on_exists)
{
    CU_ASSERT_EQUAL_FATAL(dlm_dirs_new(&set), 0);
    CU_ASSERT_EQUAL_FATAL(dlm_dir_get(set, test_dir(), NULL, false, &dir, NULL), 0);
    f = (struct dlm_finish){.dir = dir,
                            .part = PART,
                            .name = NAME,
                            .on_exists = on_exists,
                            .mask = 022};
    f.fd = openat(dir->fd, PART, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(f.fd >= 0);
    CU_ASSERT_EQUAL_FATAL(dlm_pwrite_all(f.fd, TEXT, strlen(TEXT), 0), 0);
    CHECK_INT(dlm_finish_sync(&f), DLM_FINISH_OK);
}

static void wipe(void)
{
    static const char *const names[] = {NAME, PART, "file.1.bin", "file.2.bin", "kept"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (unlinkat(dir->fd, names[i], 0) < 0)
            unlinkat(dir->fd, names[i], AT_REMOVEDIR);
}

static void end(void)
{
    close(f.fd);
    wipe();
    dir = dlm_dir_put(dir);
    set = dlm_dirs_free(set);
}

static void put(const char *name, const char *text)
{
    CLEANUP_FD int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

    CU_ASSERT_EQUAL(dlm_pwrite_all(fd, text, strlen(text), 0), 0);
}

/* What a name holds; "-" when nothing is there. */
static const char *get(const char *name)
{
    static char text[300];
    CLEANUP_FD int fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : dlm_pread_all(fd, text, sizeof(text) - 1, 0);

    if (n < 0)
        return "-";
    text[n] = '\0';
    return text;
}

static int mode_of(const char *name)
{
    struct stat st;

    return fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -1 : (int)(st.st_mode & 07777);
}

static int move_it(void *context)
{
    return dlm_finish_move(context);
}

static int sync_it(void *context)
{
    return dlm_finish_sync(context);
}

static int settle_it(void *context)
{
    return dlm_finish_settle(context);
}

static int choose_it(void *context)
{
    return dlm_finish_choose(context);
}

static int verify_it(void *context)
{
    return dlm_finish_verify(context, 3);
}

static int look_it(void *context)
{
    bool moved;

    return dlm_finish_look(context, &moved);
}

/* The three ways to take a name that is free. */
static const struct way {
    const char *about;
    struct deny rows[2];
    size_t n;
} ways[] = {
    {"rename", {{0, 0}}, 0},
    {"link, EINVAL", {{SYS_renameat2, EINVAL}}, 1},
    {"link, ENOSYS", {{SYS_renameat2, ENOSYS}}, 1},
    {"placeholder, EPERM", {{SYS_renameat2, EINVAL}, {SYS_linkat, EPERM}}, 2},
    {"placeholder, EOPNOTSUPP", {{SYS_renameat2, EPERM}, {SYS_linkat, EOPNOTSUPP}}, 2},
};

static int move_by(const struct way *way)
{
    test_about("%s", way->about);
    return deny_run(way->rows, way->n, move_it, &f);
}

static void test_the_whole_road_in_each_way(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        struct dlm_ident ident = {0};
        char path[300];

        begin(DLMGR_EXISTS_DEFAULT);
        dlm_finish_hasten(&f);
        CHECK_INT(dlm_finish_sync(&f), DLM_FINISH_OK);
        CHECK_INT(dlm_finish_settle(&f), DLM_FINISH_OK);
        CHECK_INT(dlm_finish_verify(&f, 3), DLM_FINISH_OK);
        CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
        snprintf(path, sizeof(path), "%s/%s", test_dir(), NAME);
        CHECK_STR(f.path, path);
        CHECK_STR(f.chosen, NAME);
        CHECK_INT(move_by(&ways[i]), DLM_FINISH_OK);
        CHECK_STR(get(NAME), TEXT);
        CHECK_STR(get(PART), "-");
        CU_ASSERT_EQUAL(dlm_ident_at(dir->fd, NAME, &ident, NULL), 0);
        CU_ASSERT(dlm_ident_same_file(&ident, &f.ident));
        CHECK_INT(ident.size, f.ident.size);
        end();
    }
}

static void test_the_mask_makes_the_permissions(void)
{
    static const int rows[][2] = {{022, 0644}, {077, 0600}, {0, 0666}, {027, 0640}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        begin(DLMGR_EXISTS_DEFAULT);
        f.mask = rows[i][0];
        CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
        CHECK_INT(mode_of(PART), 0600);
        CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
        CHECK_INT(mode_of(NAME), rows[i][1]);
        end();
    }
}

/* Whoever came between choose and move keeps his file, whatever the way; then the next name is taken. */
static void test_a_name_taken_meanwhile_is_not_overwritten(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        begin(DLMGR_EXISTS_DEFAULT);
        CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
        put(NAME, STRANGER);
        CHECK_INT(move_by(&ways[i]), DLM_FINISH_TAKEN);
        CHECK_STR(get(NAME), STRANGER);
        CHECK_INT(mode_of(NAME), 0640);
        CHECK_STR(get(PART), TEXT);
        CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
        CHECK_STR(f.chosen, "file.1.bin");
        CHECK_INT(move_by(&ways[i]), DLM_FINISH_OK);
        CHECK_STR(get("file.1.bin"), TEXT);
        CHECK_STR(get(NAME), STRANGER);
        end();
    }
}

static void put_nothing(void)
{
}

static void put_file(void)
{
    put(NAME, STRANGER);
}

static void put_directory(void)
{
    CU_ASSERT_EQUAL(mkdirat(dir->fd, NAME, 0700), 0);
}

static void put_dangling(void)
{
    CU_ASSERT_EQUAL(symlinkat("nowhere", dir->fd, NAME), 0);
}

static void put_fifo(void)
{
    CU_ASSERT_EQUAL(mkfifoat(dir->fd, NAME, 0600), 0);
}

static void put_equal(void)
{
    put(NAME, TEXT);
}

static void put_as_long(void)
{
    put(NAME, "abd");
}

static void put_link_to_equal(void)
{
    put("kept", TEXT);
    CU_ASSERT_EQUAL(symlinkat("kept", dir->fd, NAME), 0);
}

static void test_what_stands_there_and_what_the_policy_says(void)
{
    static const struct {
        int policy;
        void (*there)(void);
        int result;
        const char *chosen; /* or what the error says */
    } rows[] = {
        {DLMGR_EXISTS_DEFAULT, put_nothing, DLM_FINISH_OK, NAME},
        {DLMGR_EXISTS_DEFAULT, put_file, DLM_FINISH_OK, "file.1.bin"},
        {DLMGR_EXISTS_RENAME, put_directory, DLM_FINISH_OK, "file.1.bin"},
        {DLMGR_EXISTS_RENAME, put_dangling, DLM_FINISH_OK, "file.1.bin"},
        {DLMGR_EXISTS_FAIL, put_nothing, DLM_FINISH_OK, NAME},
        {DLMGR_EXISTS_FAIL, put_file, DLM_FINISH_EXISTS, "is there already"},
        {DLMGR_EXISTS_FAIL, put_dangling, DLM_FINISH_EXISTS, "is a symlink already"},
        {DLMGR_EXISTS_FAIL, put_directory, DLM_FINISH_EXISTS, "is a directory"},
        {DLMGR_EXISTS_REPLACE, put_nothing, DLM_FINISH_OK, NAME},
        {DLMGR_EXISTS_REPLACE, put_file, DLM_FINISH_OK, NAME},
        {DLMGR_EXISTS_REPLACE, put_dangling, DLM_FINISH_OK, NAME},
        {DLMGR_EXISTS_REPLACE, put_directory, DLM_FINISH_EXISTS, "is a directory and not replaced"},
        {DLMGR_EXISTS_REPLACE, put_fifo, DLM_FINISH_EXISTS, "is a FIFO and not replaced"},
        {DLMGR_EXISTS_SAME, put_nothing, DLM_FINISH_OK, NAME},
        {DLMGR_EXISTS_SAME, put_equal, DLM_FINISH_OK, NAME},
        {DLMGR_EXISTS_SAME, put_as_long, DLM_FINISH_EXISTS, "is not the same"},
        {DLMGR_EXISTS_SAME, put_file, DLM_FINISH_EXISTS, "is not the same"},
        {DLMGR_EXISTS_SAME, put_fifo, DLM_FINISH_EXISTS, "is not the same"},
        {DLMGR_EXISTS_SAME, put_link_to_equal, DLM_FINISH_EXISTS, "is not the same"},
        {99, put_nothing, DLM_FINISH_OK, NAME},
        {99, put_file, DLM_FINISH_EXISTS, "is there already"},
        {-1, put_file, DLM_FINISH_EXISTS, "is there already"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        begin(rows[i].policy);
        rows[i].there();
        CHECK_INT(dlm_finish_choose(&f), rows[i].result);
        if (rows[i].result == DLM_FINISH_OK) {
            CHECK_STR(f.chosen, rows[i].chosen);
        } else {
            CU_ASSERT_PTR_NOT_NULL(strstr(f.error.text, rows[i].chosen));
            CU_ASSERT_PTR_NOT_NULL(strstr(f.error.text, "--out"));
            CU_ASSERT_PTR_NOT_NULL(strstr(f.error.text, f.path));
            CHECK_STR(f.error.path, f.path);
            CHECK_INT(f.error.code, DLMGR_EEXIST);
        }
        CHECK_INT(f.same, rows[i].there == put_equal);
        end();
    }
}

static void test_numbers_go_on_and_end(void)
{
    begin(DLMGR_EXISTS_RENAME);
    put(NAME, STRANGER);
    put("file.1.bin", STRANGER);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_STR(f.chosen, "file.2.bin");
    CHECK_INT(f.n, 2);
    f.n = 1;
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(f.n, 2);
    f.n = 9999;
    CHECK_INT(symlinkat("nowhere", dir->fd, "file.9999.bin"), 0);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_EXISTS);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.error.text, "numbered"));
    /* Another policy means the name itself again. */
    f.on_exists = DLMGR_EXISTS_REPLACE;
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_STR(f.chosen, NAME);
    CHECK_INT(f.n, 0);
    end();
}

static void test_replace_takes_the_name_from_a_file_only(void)
{
    begin(DLMGR_EXISTS_REPLACE);
    put(NAME, STRANGER);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CHECK_STR(get(NAME), TEXT);
    CHECK_INT(mode_of(NAME), 0644);
    end();
    begin(DLMGR_EXISTS_REPLACE);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    put_directory();
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_TAKEN);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_EXISTS);
    CHECK_STR(get(PART), TEXT);
    end();
}

/* ---- The part is not ours any more ---------------------------------------------------------- */

static void part_gone(void)
{
    CU_ASSERT_EQUAL(unlinkat(dir->fd, PART, 0), 0);
}

static void part_replaced(void)
{
    part_gone();
    put(PART, TEXT);
}

static void part_is_symlink(void)
{
    CU_ASSERT_EQUAL(renameat(dir->fd, PART, dir->fd, "kept"), 0);
    CU_ASSERT_EQUAL(symlinkat("kept", dir->fd, PART), 0);
}

static void part_grown(void)
{
    CU_ASSERT_EQUAL(dlm_pwrite_all(f.fd, "x", 1, 3), 0);
}

static void test_another_file_at_the_part_is_not_handed_over(void)
{
    static void (*const rows[])(void) = {part_gone, part_replaced, part_is_symlink, part_grown};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool moved = true;

        test_about("row %zu", i);
        begin(DLMGR_EXISTS_DEFAULT);
        CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
        rows[i]();
        CHECK_INT(dlm_finish_move(&f), DLM_FINISH_VANISHED);
        CHECK_STR(get(NAME), "-");
        CU_ASSERT_PTR_NOT_NULL(strstr(f.error.text, PART));
        CHECK_INT(dlm_finish_look(&f, &moved), DLM_FINISH_VANISHED);
        CHECK_INT(moved, true);
        if (rows[i] != part_grown)
            CHECK_INT(dlm_finish_sync(&f), DLM_FINISH_VANISHED);
        end();
    }
}

/* ---- verify ----------------------------------------------------------------------------------- */

#define SHA256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA1 "a9993e364706816aba3e25717850c26c9cd0d89d"
#define MD5 "900150983cd24fb0d6963f7d28e17f72"
#define SHA512                                                                                         \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd" \
    "454d4423643ce80e2a9ac94fa54ca49f"

static void test_length_and_digest(void)
{
    static const struct {
        int64_t total;
        const char *digest;
        int result;
        const char *says;
    } rows[] = {
        {-1, NULL, DLM_FINISH_OK, NULL},
        {3, NULL, DLM_FINISH_OK, NULL},
        {4, NULL, DLM_FINISH_MISMATCH, "has 3 bytes, expected 4"},
        {2, "sha-256=" SHA256, DLM_FINISH_MISMATCH, "has 3 bytes, expected 2"},
        {3, "sha-256=" SHA256, DLM_FINISH_OK, NULL},
        {-1, "SHA-256=BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
         DLM_FINISH_OK, NULL},
        {3, "sha-1=" SHA1, DLM_FINISH_OK, NULL},
        {3, "md5=" MD5, DLM_FINISH_OK, NULL},
        {3, "sha-512=" SHA512, DLM_FINISH_OK, NULL},
        {3, "md5=900150983cd24fb0d6963f7d28e17f73", DLM_FINISH_MISMATCH, "found md5=" MD5},
        {3, "md5=900150983cd24fb0d6963f7d28e17f73", DLM_FINISH_MISMATCH,
         "expected md5=900150983cd24fb0d6963f7d28e17f73"},
        {3, "md5=", DLM_FINISH_MISMATCH, "found md5=" MD5},
        {3, "sha-256=" MD5, DLM_FINISH_MISMATCH, "found sha-256=" SHA256},
        {3, "crc32=00", DLM_FINISH_TROUBLE, "cannot check"},
        {3, "", DLM_FINISH_TROUBLE, "cannot check"},
    };

    begin(DLMGR_EXISTS_DEFAULT);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        f.digest = rows[i].digest;
        CHECK_INT(dlm_finish_verify(&f, rows[i].total), rows[i].result);
        CU_ASSERT(!rows[i].says || strstr(f.error.text, rows[i].says));
    }
    end();
}

/* 1,000,000 times "a" (FIPS 180-4's long example): more than one piece, and not a whole number of them. */
static void test_a_digest_over_several_pieces(void)
{
    static char text[1000000];

    begin(DLMGR_EXISTS_DEFAULT);
    memset(text, 'a', sizeof(text));
    CU_ASSERT_EQUAL(dlm_pwrite_all(f.fd, text, sizeof(text), 0), 0);
    CHECK_INT(dlm_finish_sync(&f), DLM_FINISH_OK);
    f.digest = "sha-256=cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    CHECK_INT(dlm_finish_verify(&f, sizeof(text)), DLM_FINISH_OK);
    CU_ASSERT_EQUAL(dlm_pwrite_all(f.fd, "b", 1, sizeof(text) - 1), 0);
    CHECK_INT(dlm_finish_verify(&f, sizeof(text)), DLM_FINISH_MISMATCH);
    end();
}

/* Who closes does not wait for gigabytes to be hashed. */
static void test_a_digest_can_be_given_up(void)
{
    atomic_bool stop = true;

    begin(DLMGR_EXISTS_DEFAULT);
    CHECK_INT(dlm_finish_sync(&f), DLM_FINISH_OK);
    f.digest = "sha-256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    f.stop = &stop;
    CHECK_INT(dlm_finish_verify(&f, 3), DLM_FINISH_TROUBLE);
    atomic_store(&stop, false);
    CHECK_INT(dlm_finish_verify(&f, 3), DLM_FINISH_OK);
    end();
}

/* ---- SAME ------------------------------------------------------------------------------------- */

static void test_an_equal_file_stays_and_the_part_goes(void)
{
    struct dlm_ident part, other = {0};
    bool moved = false;

    begin(DLMGR_EXISTS_SAME);
    part = f.ident;
    put(NAME, TEXT);
    CU_ASSERT_EQUAL(dlm_ident_at(dir->fd, NAME, &other, NULL), 0);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CU_ASSERT(f.same && dlm_ident_same_file(&f.ident, &other));
    /* It went away: the part is not the one to be removed. */
    CU_ASSERT_EQUAL(renameat(dir->fd, NAME, dir->fd, "kept"), 0);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_TAKEN);
    CHECK_STR(get(PART), TEXT);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CU_ASSERT(!f.same && dlm_ident_same_file(&f.ident, &part));
    CU_ASSERT_EQUAL(renameat(dir->fd, "kept", dir->fd, NAME), 0);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_TAKEN);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CHECK_STR(get(NAME), TEXT);
    CHECK_INT(mode_of(NAME), 0640);
    CHECK_STR(get(PART), "-");
    /* Again, and after a crash. */
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_look(&f, &moved), DLM_FINISH_OK);
    CHECK_INT(moved, true);
    end();
}

/* Equal is what is equal from end to end, and what a power cut could take away is not there. */
static void test_only_an_equal_and_durable_file_is_the_same(void)
{
    static const struct {
        struct deny row;
        int result, code;
    } rows[] = {
        {{SYS_fdatasync, EIO}, DLM_FINISH_TROUBLE, DLMGR_EIO},
        {{SYS_pread64, EIO}, DLM_FINISH_TROUBLE, DLMGR_EIO},
        {{SYS_statx, EIO}, DLM_FINISH_TROUBLE, DLMGR_EIO},
        {{SYS_openat, EACCES}, DLM_FINISH_EXISTS, DLMGR_EEXIST},
    };
    static char text[KIB(512) + 10];
    int longer;

    begin(DLMGR_EXISTS_SAME);
    put(NAME, TEXT);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        CHECK_INT(deny_run(&rows[i].row, 1, choose_it, &f), rows[i].result);
        CHECK_INT(f.error.code, rows[i].code);
        CHECK_INT(f.same, false);
    }
    put("kept", TEXT);
    longer = openat(dir->fd, "kept", O_RDWR | O_CLOEXEC);
    CHECK_INT(dlm_same_bytes(f.fd, longer), 1);
    CU_ASSERT_EQUAL(dlm_pwrite_all(longer, "d", 1, 3), 0);
    CHECK_INT(dlm_same_bytes(f.fd, longer), 0);
    CHECK_INT(dlm_same_bytes(longer, f.fd), 0);
    CU_ASSERT_EQUAL(dlm_pwrite_all(longer, text, sizeof(text), 0), 0);
    CU_ASSERT_EQUAL(dlm_pwrite_all(f.fd, text, sizeof(text), 0), 0);
    CHECK_INT(dlm_same_bytes(f.fd, longer), 1);
    CU_ASSERT_EQUAL(dlm_pwrite_all(longer, "d", 1, sizeof(text) - 1), 0);
    CHECK_INT(dlm_same_bytes(f.fd, longer), 0);
    close(longer);
    end();
}

/* The crash came before the part was removed. */
static void test_an_equal_file_is_found_again(void)
{
    static const struct deny no_sync[] = {{SYS_fsync, EIO}};
    bool moved = false;

    begin(DLMGR_EXISTS_SAME);
    put(NAME, TEXT);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_look(&f, &moved), DLM_FINISH_OK);
    CHECK_INT(moved, true);
    CHECK_STR(get(PART), "-");
    CHECK_STR(get(NAME), TEXT);
    /* A disk that fails is no reason to touch it. */
    f.same = false;
    CHECK_INT(deny_run(no_sync, 1, look_it, &f), DLM_FINISH_TROUBLE);
    CHECK_STR(get(NAME), TEXT);
    CHECK_STR(get(PART), "-");
    /* What has the part's name and another length is not ours to remove. */
    put(PART, STRANGER);
    CHECK_INT(dlm_finish_look(&f, &moved), DLM_FINISH_OK);
    CHECK_STR(get(PART), STRANGER);
    end();
}

/* ---- look ------------------------------------------------------------------------------------- */

static int look_again(bool *ret_moved)
{
    close(f.fd);
    f.fd = -1;
    return dlm_finish_look(&f, ret_moved);
}

static void test_a_crash_before_the_move(void)
{
    bool moved = true;

    begin(DLMGR_EXISTS_DEFAULT);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    put(NAME, STRANGER);
    CHECK_INT(look_again(&moved), DLM_FINISH_OK);
    CHECK_INT(moved, false);
    CU_ASSERT(f.fd >= 0);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CHECK_STR(get(NAME), STRANGER);
    CHECK_STR(get("file.1.bin"), TEXT);
    end();
}

static void test_a_crash_after_the_move(void)
{
    bool moved = false;

    begin(DLMGR_EXISTS_DEFAULT);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CHECK_INT(look_again(&moved), DLM_FINISH_OK);
    CHECK_INT(moved, true);
    CHECK_INT(f.fd, -1);
    CHECK_STR(get(NAME), TEXT);
    end();
}

/* The directory cannot be synced: the name is given up, and a later try finds the part where it was. But what replaced another file stays. */
static void test_a_name_that_cannot_be_made_durable_is_given_up(void)
{
    static const struct deny no_sync[] = {{SYS_fsync, EIO}};
    bool moved = false;

    begin(DLMGR_EXISTS_DEFAULT);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CHECK_INT(deny_run(no_sync, 1, look_it, &f), DLM_FINISH_TROUBLE);
    CHECK_STR(get(NAME), "-");
    CHECK_STR(get(PART), TEXT);
    CHECK_INT(look_again(&moved), DLM_FINISH_OK);
    CHECK_INT(moved, false);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CHECK_STR(get(NAME), TEXT);
    end();
    begin(DLMGR_EXISTS_REPLACE);
    put(NAME, STRANGER);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CHECK_INT(deny_run(no_sync, 1, look_it, &f), DLM_FINISH_TROUBLE);
    CHECK_STR(get(NAME), TEXT);
    CHECK_INT(look_again(&moved), DLM_FINISH_OK);
    CHECK_INT(moved, true);
    end();
}

/* A power cut kept the name and lost the permissions; those of a file that was there before stay. */
static void test_permissions_lost_by_a_power_cut(void)
{
    static const struct deny no_chmod[] = {{SYS_fchmod, EROFS}};
    bool moved = false;

    begin(DLMGR_EXISTS_DEFAULT);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CU_ASSERT_EQUAL(fchmodat(dir->fd, NAME, 0600, 0), 0);
    CHECK_INT(look_again(&moved), DLM_FINISH_OK);
    CHECK_INT(mode_of(NAME), 0644);
    CHECK_INT(deny_run(no_chmod, 1, look_it, &f), DLM_FINISH_TROUBLE);
    CHECK_STR(get(PART), TEXT);
    end();
    begin(DLMGR_EXISTS_SAME);
    put(NAME, TEXT);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(look_again(&moved), DLM_FINISH_OK);
    CHECK_INT(mode_of(NAME), 0640);
    end();
}

static void test_a_crash_between_link_and_unlink(void)
{
    static const struct deny half[] = {{SYS_renameat2, EINVAL}, {SYS_unlinkat, EIO}};
    bool moved = false;

    begin(DLMGR_EXISTS_DEFAULT);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CHECK_INT(deny_run(half, ARRAY_SIZE(half), move_it, &f), DLM_FINISH_TROUBLE);
    CHECK_STR(get(NAME), TEXT);
    CHECK_STR(get(PART), TEXT);
    CHECK_INT(deny_run(&half[1], 1, look_it, &f), DLM_FINISH_TROUBLE);
    CHECK_INT(look_again(&moved), DLM_FINISH_OK);
    CHECK_INT(moved, true);
    CHECK_STR(get(NAME), TEXT);
    CHECK_STR(get(PART), "-");
    end();
    /* Or the same move goes on. */
    begin(DLMGR_EXISTS_DEFAULT);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    CU_ASSERT_EQUAL(linkat(dir->fd, PART, dir->fd, NAME, 0), 0);
    CHECK_INT(dlm_finish_move(&f), DLM_FINISH_OK);
    CHECK_STR(get(NAME), TEXT);
    CHECK_STR(get(PART), "-");
    end();
}

/* A placeholder that a crash left is known by what it holds; an empty file could be anybody's. */
static void test_only_our_placeholder_is_removed(void)
{
    static const struct {
        const char *text, *chosen;
    } rows[] = {{PART, NAME},
                {"", "file.1.bin"},
                {PART "x", "file.1.bin"},
                {"file.bin.8-abcd.part", "file.1.bin"}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool moved = true;

        begin(DLMGR_EXISTS_DEFAULT);
        CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
        put(NAME, rows[i].text);
        CHECK_INT(look_again(&moved), DLM_FINISH_OK);
        CHECK_INT(moved, false);
        CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
        CHECK_STR(f.chosen, rows[i].chosen);
        end();
    }
}

/* Inode numbers of some file systems do not outlive a mount: here, a copy. */
static void test_a_digest_stands_for_an_inode(void)
{
    static const struct {
        const char *name, *text, *digest;
        int result;
        bool moved;
    } rows[] = {
        {NAME, TEXT, "md5=" MD5, DLM_FINISH_OK, true},
        {PART, TEXT, "md5=" MD5, DLM_FINISH_OK, false},
        {NAME, TEXT, NULL, DLM_FINISH_VANISHED, true},
        {PART, TEXT, NULL, DLM_FINISH_VANISHED, true},
        {NAME, "abd", "md5=" MD5, DLM_FINISH_VANISHED, 1},
        {PART, "abd", "md5=" MD5, DLM_FINISH_VANISHED, 1},
        {NAME, "abcd", "md5=" MD5, DLM_FINISH_VANISHED, 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool moved = true;

        test_about("row %zu", i);
        begin(DLMGR_EXISTS_DEFAULT);
        CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
        CU_ASSERT_EQUAL(renameat(dir->fd, PART, dir->fd, "kept"), 0);
        put(rows[i].name, rows[i].text);
        f.digest = rows[i].digest;
        CHECK_INT(look_again(&moved), rows[i].result);
        CHECK_INT(moved, rows[i].moved);
        if (!moved)
            CHECK_INT(dlm_finish_choose(&f) + dlm_finish_move(&f), DLM_FINISH_OK);
        if (rows[i].result == DLM_FINISH_OK)
            CHECK_STR(get(NAME), TEXT);
        end();
    }
}

/* Between finding the part's name and opening it, it may be swapped; or memory be short. */
static void test_memory_and_open_fail(void)
{
    static const struct deny no_open[] = {{SYS_openat, EMFILE}};

    begin(DLMGR_EXISTS_SAME);
    put(NAME, TEXT);
    for (int n = 1; n <= 2; n++) {
        f.digest = n == 1 ? "md5=" MD5 : NULL;
        dlm_fault_alloc = 1;
        CHECK_INT(n == 1 ? dlm_finish_verify(&f, 3) : dlm_finish_choose(&f), DLM_FINISH_TROUBLE);
        CHECK_INT(f.error.code, DLMGR_ENOMEM);
    }
    CU_ASSERT_EQUAL(unlinkat(dir->fd, NAME, 0), 0);
    CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
    close(f.fd);
    f.fd = -1;
    CHECK_INT(deny_run(no_open, 1, look_it, &f), DLM_FINISH_TROUBLE);
    CHECK_INT(f.error.sys_errno, EMFILE);
    CHECK_STR(get(PART), TEXT);
    end();
}

/* ---- The disk says no --------------------------------------------------------------------------- */

/* Each step tells its trouble, and nothing is lost or left behind by it. */
static void test_trouble_is_told(void)
{
    static const struct deny no_link[] = {{SYS_renameat2, EINVAL}, {SYS_linkat, EPERM}};
    static const struct {
        const char *about;
        int (*step)(void *);
        struct deny row;
        size_t without; /* of no_link */
        int code;
    } rows[] = {
        {"sync: fdatasync", sync_it, {SYS_fdatasync, EIO}, 0, DLMGR_EIO},
        {"sync: fdatasync, full", sync_it, {SYS_fdatasync, ENOSPC}, 0, DLMGR_ENOSPC},
        {"settle", settle_it, {SYS_fsync, EIO}, 0, DLMGR_EIO},
        {"sync: statx", sync_it, {SYS_statx, EACCES}, 0, DLMGR_EIO},
        {"verify: read", verify_it, {SYS_pread64, EIO}, 0, DLMGR_EIO},
        {"choose: look", choose_it, {SYS_newfstatat, EACCES}, 0, DLMGR_EIO},
        {"move: look", move_it, {SYS_statx, EACCES}, 0, DLMGR_EIO},
        {"move: mode", move_it, {SYS_fchmod, EROFS}, 0, DLMGR_EIO},
        {"move: rename", move_it, {SYS_renameat2, EDQUOT}, 0, DLMGR_ENOSPC},
        {"move: link", move_it, {SYS_linkat, ENOSPC}, 1, DLMGR_ENOSPC},
        {"move: placeholder", move_it, {SYS_openat, EACCES}, 2, DLMGR_EIO},
        {"move: in it", move_it, {SYS_pwrite64, ENOSPC}, 2, DLMGR_ENOSPC},
        {"move: over it", move_it, {SYS_renameat, EIO}, 2, DLMGR_EIO},
        {"look: at names", look_it, {SYS_statx, EIO}, 0, DLMGR_EIO},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct deny all[3] = {no_link[0], no_link[1]};
        bool moved = true;

        begin(DLMGR_EXISTS_DEFAULT);
        test_about("%s", rows[i].about);
        f.digest = "md5=" MD5;
        CHECK_INT(dlm_finish_choose(&f), DLM_FINISH_OK);
        all[rows[i].without] = rows[i].row;
        CHECK_INT(deny_run(all, rows[i].without + 1, rows[i].step, &f), DLM_FINISH_TROUBLE);
        CHECK_INT(f.error.code, rows[i].code);
        CHECK_INT(f.error.sys_errno, rows[i].row.err);
        CHECK_STR(get(PART), TEXT);
        CHECK_STR(get(NAME), "-");
        CHECK_INT(dlm_finish_look(&f, &moved), DLM_FINISH_OK);
        CHECK_INT(moved, false);
        end();
    }
}

static const struct test tests[] = {
    TEST(test_the_whole_road_in_each_way),
    TEST(test_the_mask_makes_the_permissions),
    TEST(test_a_name_taken_meanwhile_is_not_overwritten),
    TEST(test_what_stands_there_and_what_the_policy_says),
    TEST(test_numbers_go_on_and_end),
    TEST(test_replace_takes_the_name_from_a_file_only),
    TEST(test_another_file_at_the_part_is_not_handed_over),
    TEST(test_length_and_digest),
    TEST(test_a_digest_over_several_pieces),
    TEST(test_a_digest_can_be_given_up),
    TEST(test_an_equal_file_stays_and_the_part_goes),
    TEST(test_only_an_equal_and_durable_file_is_the_same),
    TEST(test_an_equal_file_is_found_again),
    TEST(test_a_crash_before_the_move),
    TEST(test_a_crash_after_the_move),
    TEST(test_a_name_that_cannot_be_made_durable_is_given_up),
    TEST(test_permissions_lost_by_a_power_cut),
    TEST(test_a_crash_between_link_and_unlink),
    TEST(test_only_our_placeholder_is_removed),
    TEST(test_a_digest_stands_for_an_inode),
    TEST(test_memory_and_open_fail),
    TEST(test_trouble_is_told),
};

TEST_MAIN("finish", tests)
