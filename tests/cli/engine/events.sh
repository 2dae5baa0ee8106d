#!/bin/bash
# SPDX-License-Identifier: MIT
#
# events.sh - events are printed, acknowledged and given to commands; run and its exit code.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

fetch_two()
{
    fixture_start
    expect 0 "$DLMGR" add --no-start "$FIXTURE_URL/a?size=1k"
    expect 0 "$DLMGR" run
    expect 0 "$DLMGR" add --no-start "$FIXTURE_URL/b?status=404"
    expect 3 "$DLMGR" run
    err_has 'task 2: .*404'
}

test_events_tell_each_end_once()
{
    fetch_two
    expect 0 "$DLMGR" events
    same "$(wc -l <"$TMP/out")" 2
    expect 0 "$DLMGR" events --after 1
    same "$(wc -l <"$TMP/out")" 1
}

test_events_come_until_they_are_acknowledged()
{
    fetch_two
    expect 0 "$DLMGR" events --ack
    same "$(wc -l <"$TMP/out")" 2
    expect 0 "$DLMGR" events
    no_out
}

# What was not written was not acknowledged.
test_events_to_a_full_disk_are_not_acknowledged()
{
    fetch_two
    run sh -c "\"$DLMGR\" events --ack >/dev/full"
    same "$status" 17
    expect 0 "$DLMGR" events
    same "$(wc -l <"$TMP/out")" 2
}

test_exec_acknowledges_what_succeeded()
{
    fetch_two
    expect 1 "$DLMGR" events --exec 'cat >>seen; echo "$DLMGR_TYPE $DLMGR_ID $DLMGR_PATH" >>types; [ "$DLMGR_TYPE" = done ]'
    same "$(wc -l <types)" 2
    expect 0 "$DLMGR" events
    same "$(wc -l <"$TMP/out")" 1
    out_has '"failed"'
    expect 0 "$DLMGR" events --exec true
    expect 0 "$DLMGR" events
    no_out
}

test_run_with_nothing_to_do_is_0()
{
    expect 0 "$DLMGR" run
    expect 0 "$DLMGR" add --no-start --paused http://127.0.0.1:1/a
    expect 7 "$DLMGR" run
}

run_stories "$@"
