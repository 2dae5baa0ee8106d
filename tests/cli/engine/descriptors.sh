#!/bin/bash
# SPDX-License-Identifier: MIT
#
# descriptors.sh - what our commands start has 0, 1 and 2 and nothing else: no socket of libcurl's, nothing of whoever started us.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

APP=org.example.app
# A shell's own, without opening any: said in one line.
SHOW='n=3; while [ $n -lt 200 ]; do [ ! -e /proc/$$/fd/$n ] || l="$l $n=$(readlink /proc/$$/fd/$n)"; n=$((n+1)); done; echo "seen:$l"'

daemon_pid()
{
    "$DLMGR" daemon status | sed -n 's/^running, pid \([0-9]*\),.*/\1/p'
}

daemon_lacks_marker()
{
    check [ -n "$(daemon_pid)" ]
    ! readlink "/proc/$(daemon_pid)"/fd/* | grep -q "$TMP/marker" || fail "the daemon has a descriptor of its starter"
}

test_a_daemon_has_nothing_of_its_starter()
{
    expect 0 "$DLMGR" daemon start 7>"$TMP/marker"
    daemon_lacks_marker
    expect 0 "$DLMGR" daemon stop
    fixture_start
    expect 0 "$DLMGR" add "$FIXTURE_URL/a?size=1k" 7>"$TMP/marker"
    daemon_lacks_marker
}

test_a_command_of_events_has_three()
{
    fixture_start
    expect 0 "$DLMGR" add --no-start "$FIXTURE_URL/a?size=1k"
    expect 0 "$DLMGR" run
    expect 0 "$DLMGR" events --exec "$SHOW" 7>"$TMP/marker"
    out_is 'seen:'
}

# While the daemon has connections, timers and files open for another task.
test_a_command_on_event_has_three()
{
    fixture_start
    expect 0 "$DLMGR" session set "$APP" --on-event "exec >>$TMP/seen; $SHOW"
    expect 0 "$DLMGR" add --connections 4 "$FIXTURE_URL/slow?size=1M&rate=1k" 7>"$TMP/marker"
    expect 0 "$DLMGR" add --session "$APP" "$FIXTURE_URL/b?size=1k"
    wait_for 20 grep -q seen "$TMP/seen"
    same "$(sort -u "$TMP/seen")" 'seen:'
}

run_stories "$@"
