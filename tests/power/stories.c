/* SPDX-License-Identifier: MIT */
/*
 * stories.c - what is recorded.
 *
 *     small    files that share syncs, some added before there is an owner, one with a secret; some are claimed, one is removed
 *     large    one file over three connections, with checkpoints between
 *     names    each way to treat a file that stands there
 *     opened   a process is killed with its commit written and not synced; the next one finds it and tells
 */
#include "power.h"

#include "dlmgr/base.h"

#define SMALL(name, n, s)                                                                          \
    .path = "/f/" name, .query = "size=" #n "&seed=" #s, .size = n, .seed = s, .final = name

const struct power_story power_stories[] = {
    {
        .name = "small",
        .items = {{SMALL("a", 1000, 1), .early = true},
                  {SMALL("b", 2000, 2), .early = true,
                   .header = "Authorization: Bearer " POWER_SECRET},
                  {SMALL("c", 3000, 3)},
                  {SMALL("d", 40000, 4), .claim = "d.bin"},
                  {SMALL("e", 5000, 5), .claim = "e.bin"},
                  {SMALL("f", 600, 6)},
                  {SMALL("g", 70000, 7)},
                  {SMALL("h", 8000, 8), .remove = true},
                  {SMALL("i", 900, 9), .claim = "i.bin"},
                  {SMALL("j", 0, 10)}},
        .launches = {LAUNCH_ADD, LAUNCH_OWN},
    },
    {
        .name = "large",
        .items = {{.path = "/f/big",
                   .query = "size=3500000&seed=7&etag=\"v1\"",
                   .size = 3500000,
                   .seed = 7,
                   .final = "big",
                   .connections = 3},
                  {SMALL("small", 1000, 1)}},
        .launches = {LAUNCH_OWN},
        .rate = 1200000,
    },
    {
        .name = "names",
        .kept = {{.name = "fail", .size = 1000, .seed = 90},
                 {.name = "name.bin", .size = 1000, .seed = 92},
                 {.name = "over", .size = 1000, .seed = 93, .replaced = true},
                 {.name = "same", .size = 2048, .seed = 5}},
        .items = {{.path = "/f/fail",
                   .query = "size=2000&seed=1",
                   .size = 2000,
                   .seed = 1,
                   .on_exists = DLMGR_EXISTS_FAIL,
                   .fails = true},
                  {.path = "/f/name.bin",
                   .query = "size=2000&seed=3",
                   .size = 2000,
                   .seed = 3,
                   .final = "name.1.bin"},
                  {SMALL("over", 2000, 4), .on_exists = DLMGR_EXISTS_REPLACE},
                  {.path = "/f/same",
                   .query = "size=2048&seed=5",
                   .size = 2048,
                   .seed = 5,
                   .on_exists = DLMGR_EXISTS_SAME}},
        .launches = {LAUNCH_OWN, LAUNCH_OWN},
    },
    {
        .name = "opened",
        .items = {{SMALL("a", 1000, 1), .early = true}, {SMALL("b", 2000, 2), .early = true}},
        .launches = {LAUNCH_ADD, LAUNCH_LOOK, LAUNCH_OWN},
        .killed_unsynced = true,
    },
};
const size_t n_power_stories = ARRAY_SIZE(power_stories);
