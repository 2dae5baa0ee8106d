#!/bin/bash
# SPDX-License-Identifier: MIT
#
# follow.sh - wait and get are told by the owner when something happens, and sleep meanwhile.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

# A slow download, and whoever waits for it quietly, in $pid.
begin()
{
    fixture_start
    expect 0 "$DLMGR" daemon start
    expect 0 "$DLMGR" add "$FIXTURE_URL/a?size=100M&rate=200k"
    background waiter "$DLMGR" "$@"
    sleep 2
    check_not gone "$pid"
}

switches()
{
    grep ^voluntary "/proc/$pid/status"
}

ends_with() # CODE
{
    wait_for 10 gone "$pid"
    wait "$pid"
    same $? "$1"
}

test_wait_does_nothing_until_something_happens()
{
    local before
    begin wait -q 1
    before=$(switches)
    sleep 3
    same "$(switches)" "$before" "how often it woke"
    expect 0 "$DLMGR" cancel 1
    ends_with 7
}

test_wait_for_all_does_nothing_until_something_happens()
{
    local before
    begin wait -q
    before=$(switches)
    sleep 3
    same "$(switches)" "$before" "how often it woke"
    expect 0 "$DLMGR" pause 1
    ends_with 7
}

test_a_signal_ends_the_sleep()
{
    begin wait -q 1
    kill -INT "$pid"
    ends_with 130
}

test_a_time_limit_ends_the_sleep()
{
    begin wait -q --timeout 3 1
    ends_with 7
}

# The next owner is waited for, whoever it is, and its news count as well.
test_wait_goes_on_with_the_next_owner()
{
    begin wait -q 1
    expect 0 "$DLMGR" daemon restart
    sleep 3
    check_not gone "$pid"
    expect 0 "$DLMGR" cancel 1
    ends_with 7
    expect 0 "$DLMGR" add "$FIXTURE_URL/b?size=100M&rate=200k"
    background waiter "$DLMGR" wait -q 2
    sleep 1
    expect 0 "$DLMGR" daemon stop
    wait_for 20 gone "$pid"
    ends_with 69
}

test_get_takes_over_when_the_owner_goes()
{
    fixture_start
    expect 0 "$DLMGR" daemon start
    background waiter "$DLMGR" get "$FIXTURE_URL/c?size=300k&rate=50k"
    wait_for 10 sh -c 'ls c.*.part'
    expect 0 "$DLMGR" daemon stop
    wait_for 30 gone "$pid"
    ends_with 0
    grep -q 'going on in its place' "$TMP/waiter.err" || fail "it does not say that it took over"
    check [ -s c ]
}

run_stories "$@"
