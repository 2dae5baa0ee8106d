#!/bin/bash
# SPDX-License-Identifier: MIT
#
# daemon.sh - the background service: started by add, stopped by a word or a signal, and gone when idle.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

daemon_pid()
{
    "$DLMGR" daemon status | sed -n 's/^running, pid \([0-9]*\),.*/\1/p'
}

# A command substitution ends although a daemon was started in it.
test_add_starts_a_daemon_that_lets_go_of_stdout()
{
    local id
    fixture_start
    id=$(timeout 20 "$DLMGR" add "$FIXTURE_URL/a?size=100k") || fail "add hangs or fails"
    same "$id" 1
    expect 0 "$DLMGR" wait 1
    check [ -s a ]
    expect 0 "$DLMGR" daemon status
    out_has '^running, pid [0-9]+'
    same "$(stat -c %a "$DLMGR_HOME/dlmgr.log")" 600
    same "$(readlink "/proc/$(daemon_pid)/cwd")" /
    same "$(cat "/proc/$(daemon_pid)/comm")" dlmgr
    same "$(readlink "/proc/$(daemon_pid)/fd/1")" /dev/null
}

test_start_and_stop_say_what_is()
{
    expect 69 "$DLMGR" daemon status
    expect 0 "$DLMGR" daemon stop
    expect 0 "$DLMGR" daemon start
    expect 0 "$DLMGR" daemon start
    expect 75 "$DLMGR" daemon run
    err_has "$(daemon_pid)"
    expect 75 "$DLMGR" run --forever
    expect 0 "$DLMGR" daemon restart
    expect 0 "$DLMGR" daemon stop
    expect 69 "$DLMGR" daemon status
}

test_start_says_why_not()
{
    mkdir -m 777 "$DLMGR_HOME"
    expect 78 "$DLMGR" daemon start
    err_has 'home'
}

test_an_idle_daemon_ends()
{
    expect 0 "$DLMGR" daemon start --idle 1
    local pid
    pid=$(daemon_pid)
    wait_for 5 gone "$pid"
    grep -q 'nothing left to do' "$DLMGR_HOME/dlmgr.log" || fail "the log does not say why it ended"
}

test_a_signal_stops_it_within_five_seconds()
{
    fixture_start
    background owner "$DLMGR" daemon run
    wait_for 5 "$DLMGR" daemon status
    expect 0 "$DLMGR" add "$FIXTURE_URL/a?size=1G&rate=1M"
    wait_for 10 sh -c 'ls a.*.part'
    kill -TERM "$pid"
    wait_for 5 gone "$pid"
    wait "$pid"
    same $? 0
    expect 0 "$DLMGR" list --state queued,running
    same "$(wc -l <"$TMP/out")" 1
}

# A get that owns the home leaves tasks of others to a daemon.
test_a_get_leaves_the_rest_to_a_daemon()
{
    fixture_start
    background owner "$DLMGR" get "$FIXTURE_URL/a?size=2M&rate=1M"
    wait_for 10 sh -c 'ls a.*.part'
    expect 0 "$DLMGR" add "$FIXTURE_URL/b?size=4M&rate=1M"
    wait "$pid"
    same $? 0
    expect 0 "$DLMGR" wait 2
    check [ -s b ]
}

run_stories "$@"
