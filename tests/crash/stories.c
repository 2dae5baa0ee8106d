/* SPDX-License-Identifier: MIT */
/*
 * stories.c - the crash stories: one for each road that a file can come along.
 *
 *     first-add    no home yet; tasks added without an owner, with a credential, one behind a redirect to another origin
 *     small        a dozen small files, which share syncs and commits
 *     large        one file over four connections
 *     slow         the same with time for checkpoints in between
 *     hand-over    each way to treat a file that stands there already
 *     retry        connections cut and reset, 503, a file that changes, one that does so for ever, one that cannot be continued
 *     orders       a failed task is renamed and tried again
 *     daemon       an owner with two clients, which add and list
 *     auto-start   add starts the daemon
 *     beside       one server stands still with more tasks than may be active, another does not
 *
 * Files are as small as each road allows, since each story is told once for every call that it makes.
 */
#include "story.h"

#include "dlmgr/base.h"

#define TOKEN "s3cret-t0ken-5f1e"
#define STUCK(name)                                                                                \
    "$V/f/" name "?size=20k&seed=9&etag=\"s\"&stall=1k&stall_ms=5000\n  key=" name "\n"
#define IS_STUCK(name)                                                                             \
    {                                                                                              \
        .path = "/f/" name, .size = 20480, .seeds = {9}, .final = name, .state = "done",           \
        .elsewhere = true                                                                          \
    }
#define KEYED(name, rest) "$U/f/" name "?" rest "\n  key=" name "\n"

const struct story stories[] = {
    {
        .name = "first-add",
        .secret = TOKEN,
        .list = "$U/f/two?size=30k&seed=2\n  key=two\n  header=Authorization: Bearer " TOKEN "\n"
                "$U/moved?location=$V/f/m%3Fsize%3D9k%26seed%3D3\n  key=m\n  out=moved\n  header=X-Api-Key: " TOKEN
                "\n",
        .steps = {{STEP_ALONE, "add --no-start --key one -d $D $U/f/one?size=20k&seed=1", 0},
                  {STEP_ALONE, "add --no-start -d $D -i $L", 0},
                  {STEP_ALONE, "run -q", 0}},
        .wants = {{.path = "/f/one", .size = 20480, .seeds = {1}, .final = "one", .state = "done"},
                  {.path = "/f/two", .size = 30720, .seeds = {2}, .final = "two", .state = "done"},
                  {.path = "/moved", .size = 9216, .seeds = {3}, .final = "moved", .state = "done"}},
    },
    {
        .name = "small",
        .list = KEYED("a", "size=1k&seed=1") KEYED("b", "size=2k&seed=2&etag=\"b\"")
            KEYED("c", "size=3k&seed=3") KEYED("d", "size=40k&seed=4") KEYED("e", "size=5k&seed=5")
                KEYED("f", "size=6k&seed=6&chunked") KEYED("g", "size=7k&seed=7")
                    KEYED("h", "size=80k&seed=8") KEYED("i", "size=9k&seed=9")
                        KEYED("j", "size=10k&seed=10&nolength") KEYED("k", "size=0&seed=11")
                            KEYED("l", "size=12k&seed=12"),
        .steps = {{STEP_ALONE, "get -q --no-start --retry-wait 0.01 -d $D -i $L", 0}},
        .wants = {{.path = "/f/a", .size = 1024, .seeds = {1}, .final = "a", .state = "done"},
                  {.path = "/f/b", .size = 2048, .seeds = {2}, .final = "b", .state = "done"},
                  {.path = "/f/c", .size = 3072, .seeds = {3}, .final = "c", .state = "done"},
                  {.path = "/f/d", .size = 40960, .seeds = {4}, .final = "d", .state = "done"},
                  {.path = "/f/e", .size = 5120, .seeds = {5}, .final = "e", .state = "done"},
                  {.path = "/f/f", .size = 6144, .seeds = {6}, .final = "f", .state = "done"},
                  {.path = "/f/g", .size = 7168, .seeds = {7}, .final = "g", .state = "done"},
                  {.path = "/f/h",
                   .size = 81920,
                   .seeds = {8},
                   .final = "h",
                   .state = "done",
                   .restarts = true},
                  {.path = "/f/i", .size = 9216, .seeds = {9}, .final = "i", .state = "done"},
                  {.path = "/f/j", .size = 10240, .seeds = {10}, .final = "j", .state = "done"},
                  {.path = "/f/k", .size = 0, .seeds = {11}, .final = "k", .state = "done"},
                  {.path = "/f/l", .size = 12288, .seeds = {12}, .final = "l", .state = "done"}},
    },
    {
        .name = "large",
        .list = KEYED("big.bin", "size=17M&seed=7&etag=\"v1\""),
        .steps = {{STEP_ALONE, "get -q --no-start --retry-wait 0.01 -d $D -i $L", 0}},
        .wants = {{.path = "/f/big.bin",
                   .size = MIB(17),
                   .seeds = {7},
                   .final = "big.bin",
                   .state = "done"}},
    },
    {
        .name = "slow",
        .list = KEYED("s.bin", "size=5M&seed=5&etag=\"v1\"&rate=1M"),
        .steps = {{STEP_ALONE, "get -q --no-start --retry-wait 0.01 -x 3 -d $D -i $L", 0}},
        .wants =
            {{.path = "/f/s.bin", .size = MIB(5), .seeds = {5}, .final = "s.bin", .state = "done"}},
        .slow = true,
    },
    {
        .name = "hand-over",
        .kept = {{.name = "fail", .size = 1000, .seed = 90},
                 {.name = "other", .size = 1000, .seed = 91},
                 {.name = "name.bin", .size = 1000, .seed = 92},
                 {.name = "over", .size = 1000, .seed = 93, .replaced = true},
                 {.name = "same", .size = 2048, .seed = 5}},
        .list = "$U/f/fail?size=2k&seed=1\n  key=1\n  on-exists=fail\n"
                "$U/f/other?size=2k&seed=2\n  key=2\n  on-exists=same\n"
                "$U/f/name.bin?size=2k&seed=3\n  key=3\n  on-exists=rename\n"
                "$U/f/over?size=2k&seed=4\n  key=4\n  on-exists=replace\n"
                "$U/f/same?size=2k&seed=5\n  key=5\n  on-exists=same\n"
                "$U/g/name.bin?size=2k&seed=6\n  key=6\n",
        .steps = {{STEP_ALONE, "get -q --no-start --retry-wait 0.01 -d $D -i $L", 13}},
        .wants = {{.path = "/f/fail", .size = 2048, .seeds = {1}, .state = "failed"},
                  {.path = "/f/other", .size = 2048, .seeds = {2}, .state = "failed"},
                  {.path = "/f/name.bin",
                   .size = 2048,
                   .seeds = {3},
                   .final = "name.1.bin",
                   .other = "name.2.bin",
                   .state = "done"},
                  {.path = "/f/over", .size = 2048, .seeds = {4}, .final = "over", .state = "done"},
                  {.path = "/f/same", .size = 2048, .seeds = {5}, .state = "done"},
                  {.path = "/g/name.bin",
                   .size = 2048,
                   .seeds = {6},
                   .final = "name.2.bin",
                   .other = "name.1.bin",
                   .state = "done"}},
    },
    {
        .name = "retry",
        .script =
            "/cut all:size=300k seed=1 etag=\"a\" ; cut=150k ; reset=100k ; close\n"
            "/busy all:size=20k seed=2 ; status=503 retry_after=0 times=2 ; close\n"
            "/drop all:size=200k seed=3 lastmod=start-90000 date=now-0 ; drop=rst ; cut=100k ; close\n"
            "/change whole:size=300k seed=41 etag=\"a\" cut=150k ; whole:size=300k seed=42 etag=\"b\" ; "
            "range:size=300k seed=42 etag=\"b\" ifrange=ignore\n"
            "/blind all:size=150k seed=5 ; cut=100k ; close\n"
            "/ever whole:size=200k seed=61 etag=\"a\" cut=100k ; range:size=200k seed=62 etag=\"b\" ifrange=ignore\n"
            "/gone status=404\n",
        .list = "$U/cut\n  key=1\n$U/busy\n  key=2\n$U/drop\n  key=3\n$U/change\n  key=4\n$U/blind\n  key=5\n$U/gone\n  key=6\n$U/ever\n  key=7\n",
        .steps = {{STEP_ALONE, "add -q --no-start --retry-wait 0.01 -d $D -i $L", 0},
                  {STEP_ALONE, "run -q", ANY_CODE}},
        .wants = {{.path = "/cut", .size = 307200, .seeds = {1}, .final = "cut", .state = "done"},
                  {.path = "/busy", .size = 20480, .seeds = {2}, .final = "busy", .state = "done"},
                  {.path = "/drop", .size = 204800, .seeds = {3}, .final = "drop", .state = "done"},
                  {.path = "/change",
                   .size = 307200,
                   .seeds = {41, 42},
                   .final = "change",
                   .state = "done",
                   .restarts = true},
                  {.path = "/blind",
                   .size = 153600,
                   .seeds = {5},
                   .final = "blind",
                   .state = "done",
                   .restarts = true},
                  {.path = "/gone", .size = 1, .seeds = {6}, .state = "failed"},
                  {.path = "/ever",
                   .size = 204800,
                   .seeds = {61, 62},
                   .state = "failed",
                   .restarts = true}},
    },
    {
        .name = "orders",
        .script = "/half all:size=200k seed=1 etag=\"a\" ; cut=100k ; close\n",
        .steps = {{STEP_ALONE, "add --no-start --key 1 --max-tries 1 -d $D $U/half", 0},
                  {STEP_ALONE, "run -q", ANY_CODE},
                  {STEP_ALONE, "set 1 --out whole", ANY_CODE},
                  {STEP_ALONE, "retry 1", ANY_CODE},
                  {STEP_ALONE, "run -q", 0}},
        .wants = {{.path = "/half",
                   .size = 204800,
                   .seeds = {1},
                   .final = "whole",
                   .other = "half",
                   .state = "done"}},
    },
    {
        .name = "daemon",
        .steps = {{STEP_OWNER, "daemon run --stay", 0},
                  {STEP_CLIENT, "add --no-start --key 1 -d $D $U/f/a?size=50k&seed=1&etag=\"a\"", 0},
                  {STEP_CLIENT, "list --json", 0},
                  {STEP_CLIENT, "add --no-start --key 2 -d $D $U/f/b?size=70k&seed=2&etag=\"b\"", 0},
                  {STEP_CLIENT, "wait --timeout 20", 0},
                  {STEP_CLIENT, "daemon stop", 0}},
        .wants = {{.path = "/f/a", .size = 51200, .seeds = {1}, .final = "a", .state = "done"},
                  {.path = "/f/b", .size = 71680, .seeds = {2}, .final = "b", .state = "done"}},
    },
    {
        .name = "auto-start",
        .steps = {{STEP_OWNER, "add --key 1 -d $D $U/f/a?size=50k&seed=1&etag=\"a\"", 0},
                  {STEP_CLIENT, "wait --timeout 20", 0},
                  {STEP_CLIENT, "daemon stop", 0}},
        .wants = {{.path = "/f/a", .size = 51200, .seeds = {1}, .final = "a", .state = "done"}},
    },
    {
        .name = "beside",
        .list = KEYED("a", "size=100k&seed=1") STUCK("s1") STUCK("s2") STUCK("s3") STUCK("s4")
            STUCK("s5") STUCK("s6") STUCK("s7") STUCK("s8") KEYED("b", "size=100k&seed=2")
                KEYED("c", "size=100k&seed=3"),
        .steps = {{STEP_ALONE, "get -q --no-start -d $D -i $L", 0}},
        .wants = {{.path = "/f/a",
                   .size = 102400,
                   .seeds = {1},
                   .final = "a",
                   .state = "done",
                   .within_ms = 3000,
                   .restarts = true},
                  {.path = "/f/b",
                   .size = 102400,
                   .seeds = {2},
                   .final = "b",
                   .state = "done",
                   .within_ms = 3000,
                   .restarts = true},
                  {.path = "/f/c",
                   .size = 102400,
                   .seeds = {3},
                   .final = "c",
                   .state = "done",
                   .within_ms = 3000,
                   .restarts = true},
                  IS_STUCK("s1"),
                  IS_STUCK("s2"),
                  IS_STUCK("s3"),
                  IS_STUCK("s4"),
                  IS_STUCK("s5"),
                  IS_STUCK("s6"),
                  IS_STUCK("s7"),
                  IS_STUCK("s8")},
        .slow = true,
    },
};
const size_t n_stories = sizeof(stories) / sizeof(stories[0]);
