/* SPDX-License-Identifier: MIT */
/*
 * test_reboot.c - what the files of systemctl and loginctl mean, by rows: a row is a tree below a root of its own.
 */
#include "daemon/reboot.c"

#include "tests/lib/test.h"

#include <stdlib.h>

#define USER_LINK "/home/me/.config/systemd/user/default.target.wants/dlmgr.service"
#define USER_UNIT "/home/me/.config/systemd/user/dlmgr.service"
#define ALL_LINK "/etc/systemd/user/default.target.wants/dlmgr.service"
#define ALL_UNIT "/etc/systemd/user/dlmgr.service"
#define RUN_UNIT "/run/systemd/user/dlmgr.service"
#define VENDOR_LINK "/usr/lib/systemd/user/default.target.wants/dlmgr.service"
#define VENDOR_UNIT "/usr/lib/systemd/user/dlmgr.service"
#define LINGER "/var/lib/systemd/linger/me"

struct row {
    const char *links[4];  /* to the vendor's unit, which need not be there */
    const char *masked[2]; /* links to /dev/null */
    const char *linger;
    bool enabled, lingers;
};

static void make_in(const char *root, const char *path, const char *target)
{
    char full[PATH_MAX];

    if (!path)
        return;
    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *p = full + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(full, 0755);
    }
    CHECK_INT(symlink(target, full), 0);
}

static void test_reboot_by_rows(void)
{
    static const struct row rows[] = {
        {.links = {VENDOR_UNIT}},
        {.links = {USER_LINK}, .enabled = true},
        {.links = {USER_LINK}, .linger = LINGER, .enabled = true, .lingers = true},
        {.linger = LINGER, .lingers = true},
        {.links = {ALL_LINK}, .enabled = true},
        {.links = {VENDOR_LINK}, .enabled = true},
        {.links = {USER_LINK}, .masked = {USER_UNIT}},
        {.links = {USER_LINK}, .masked = {ALL_UNIT}},
        {.links = {USER_LINK}, .masked = {RUN_UNIT}, .linger = LINGER, .lingers = true},
        {.links = {USER_LINK, USER_UNIT}, .masked = {ALL_UNIT}, .enabled = true},
        {.links = {ALL_LINK, VENDOR_UNIT}, .masked = {USER_UNIT}},
        {.links = {USER_LINK}, .linger = "/var/lib/systemd/linger/somebody", .enabled = true},
        {.links = {"/home/me/.config/systemd/user/default.target.wants/other.service"}},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct daemon_reboot found;
        char root[600];

        snprintf(root, sizeof(root), "%s/%zu", test_dir(), i);
        for (size_t j = 0; j < 4; j++)
            make_in(root, row->links[j], VENDOR_UNIT);
        for (size_t j = 0; j < 2; j++)
            make_in(root, row->masked[j], "/dev/null");
        make_in(root, row->linger, "/nowhere");
        found = daemon_reboot_look(root, "/home/me/.config", "me");
        test_about("row %zu", i);
        CHECK_INT(found.enabled, row->enabled);
        CHECK_INT(found.lingers, row->lingers);
    }
}

/* A user without a name or a directory (a container may have such): what can be known is said. */
static void test_reboot_of_nobody(void)
{
    struct daemon_reboot found;
    char root[600];

    snprintf(root, sizeof(root), "%s/r", test_dir());
    make_in(root, ALL_LINK, VENDOR_UNIT);
    make_in(root, LINGER, "/nowhere");
    found = daemon_reboot_look(root, NULL, "");
    CHECK_INT(found.enabled, true);
    CHECK_INT(found.lingers, false);
}

static const struct test tests[] = {TEST(test_reboot_by_rows), TEST(test_reboot_of_nobody)};

TEST_MAIN("reboot", tests)
