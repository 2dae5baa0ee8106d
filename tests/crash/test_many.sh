#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_many.sh - the short form of many.sh for `check`: 160 files, a kill every 150 ms; and what many queued tasks cost.
# timeout: 1200
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh

test_many_files_survive_a_kill_every_150_ms()
{
    LIMIT=600 expect 0 env TMPDIR="$TMP" bash "$ROOT/tests/crash/many.sh" 160 150
    out_has 'violations 0$'
}

# The most memory (KiB, in $memory) that an owner of so many queued tasks has had a second after its first request.
memory_with() # TASKS
{
    local home=$TMP/home-$1
    seq "$1" | sed "s,.*,$FIXTURE_URL/f/&?size=1k\&delay=60000," >"$TMP/list"
    expect 0 "$DLMGR" --home "$home" add -q --no-start -i "$TMP/list"
    background "owner-$1" "$DLMGR" --home "$home" daemon run
    wait_for 60 grep -q "/f/1?" "$FIXTURE_LOG"
    sleep 1
    # shellcheck disable=SC2154
    memory=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
    end_process "$pid"
    : >"$FIXTURE_LOG"
}

# Promise 9: memory grows with what is active. A hundred times as many tasks may cost caches, and no more than those.
test_memory_does_not_grow_with_what_is_queued()
{
    local few
    fixture_start
    memory_with 200
    few=$memory
    memory_with 20000
    [ "$memory" -lt $((few + 8192)) ] || fail "$few KiB with 200 tasks, $memory KiB with 20000"
}

run_stories "$@"
