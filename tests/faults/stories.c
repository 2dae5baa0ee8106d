/* SPDX-License-Identifier: MIT */
/*
 * stories.c - what is told while something fails: as few and as small as may be, since each is told thousands of times.
 *
 *     get      files beside files that stand there already, a digest, a cut connection, no length
 *     daemon   an owner and its clients
 *     parts    one file over two connections
 */
#include "tell.h"

#include "dlmgr/base.h"

const struct story fault_stories[] = {
    {
        .name = "get",
        .script = "/cut all:size=300k seed=5 etag=\"a\" ; cut=150k ; close\n",
        .kept = {{.name = "n.bin", .size = 1000, .seed = 90},
                 {.name = "over", .size = 1000, .seed = 91, .replaced = true}},
        .list = "$U/f/a?size=20k&seed=1\n  key=1\n  checksum=sha-256=4edbc907719419e98e04ec8181e4b74a0ff6f5516fd8bf51b344c46d0db60e04\n"
                "$U/f/n.bin?size=3k&seed=2\n  key=2\n"
                "$U/f/over?size=4k&seed=3\n  key=3\n  on-exists=replace\n"
                "$U/f/j?size=10k&seed=4&nolength\n  key=4\n"
                "$U/cut\n  key=5\n",
        .steps = {{STEP_ALONE, "get -q --no-start --retry-wait 0.01 --max-tries 3 -d $D -i $L", 0}},
        .wants = {{.path = "/f/a", .size = 20480, .seeds = {1}, .final = "a", .state = "done"},
                  {.path = "/f/n.bin", .size = 3072, .seeds = {2}, .final = "n.1.bin", .state = "done"},
                  {.path = "/f/over", .size = 4096, .seeds = {3}, .final = "over", .state = "done"},
                  {.path = "/f/j", .size = 10240, .seeds = {4}, .final = "j", .state = "done"},
                  {.path = "/cut", .size = 307200, .seeds = {5}, .final = "cut", .state = "done"}},
    },
    {
        .name = "daemon",
        .steps =
            {{STEP_OWNER, "daemon run --stay", 0},
             {STEP_CLIENT,
              "add --no-start --key 1 --retry-wait 0.01 --max-tries 3 -d $D $U/f/a?size=50k&seed=1&etag=\"a\"",
              0},
             {STEP_CLIENT, "list --json", 0},
             {STEP_CLIENT, "show 1", ANY_CODE},
             {STEP_CLIENT,
              "add --no-start --key 2 --retry-wait 0.01 --max-tries 3 -d $D $U/f/b?size=70k&seed=2&etag=\"b\"",
              0},
             {STEP_CLIENT, "wait --timeout 2", 0},
             {STEP_CLIENT, "daemon stop", 0}},
        .wants = {{.path = "/f/a", .size = 51200, .seeds = {1}, .final = "a", .state = "done"},
                  {.path = "/f/b", .size = 71680, .seeds = {2}, .final = "b", .state = "done"}},
    },
    {
        .name = "parts",
        .list = "$U/f/big?size=9M&seed=7&etag=\"v1\"\n  key=1\n",
        .steps = {{STEP_ALONE, "get -q --no-start --retry-wait 0.01 --max-tries 3 -x 2 -d $D -i $L",
                   0}},
        .wants = {{.path = "/f/big", .size = MIB(9), .seeds = {7}, .final = "big", .state = "done"}},
    },
};
const int n_fault_stories = ARRAY_SIZE(fault_stories);
