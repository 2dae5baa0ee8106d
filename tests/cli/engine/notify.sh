#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 240
#
# notify.sh - the daemon runs a session's command while events wait and nobody holds the session: until they are acknowledged, with
# growing pauses, never two at once, whatever the command does.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

APP=org.example.app

# A daemon, a session with this command, and an event.
wake_by() # COMMAND [OPTION...]
{
    local command=$1
    shift
    fixture_start
    expect 0 "$DLMGR" daemon start "$@"
    expect 0 "$DLMGR" session set "$APP" --on-event "$command"
    expect 0 "$DLMGR" add --session "$APP" "$FIXTURE_URL/a?size=1k"
}

runs() # N: it ran that often, or more often
{
    [ -e "$TMP/runs" ] && [ "$(wc -l <"$TMP/runs")" -ge "$1" ]
}

log_has()
{
    grep -Eq -e "$1" "$DLMGR_HOME/dlmgr.log" || fail "the log has no match for: $1"
}

nothing_waits()
{
    "$DLMGR" session show "$APP" | grep -q '^oldest: -$'
}

# It gets what it needs, acknowledges by `events --exec`, and is not run again.
test_a_command_that_acknowledges_runs_once()
{
    wake_by "echo \"\$DLMGR_SESSION \$DLMGR_HOME\" >>$TMP/runs; $DLMGR events --session \"\$DLMGR_SESSION\" --exec true; echo done"
    wait_for 20 runs 1
    wait_for 20 nothing_waits
    same "$(cat "$TMP/runs")" "$APP $DLMGR_HOME"
    sleep 3
    same "$(wc -l <"$TMP/runs")" 1
    log_has "session $APP: events wait and nobody holds it: its command runs, pid [0-9]+"
    log_has "session $APP: its command ended with 0"
    log_has "session $APP: \| done$"
    expect 0 "$DLMGR" add --session "$APP" "$FIXTURE_URL/b?size=1k"
    wait_for 20 runs 2
    wait_for 20 nothing_waits
}

# 1, 2, 4 seconds: three runs at about 0, 1 and 3 s, and never a fourth before 7.
test_a_command_that_fails_runs_again_after_growing_pauses()
{
    local t n
    wake_by "date +%s%N >>$TMP/runs; echo broken >&2; exit 3"
    wait_for 30 runs 3
    mapfile -t t <"$TMP/runs"
    check [ $((t[1] - t[0])) -ge 950000000 ]
    check [ $((t[2] - t[1])) -ge 1950000000 ]
    log_has "warning session $APP: its command ended with 3; again in 1 s"
    log_has "warning session $APP: its command ended with 3; again in 2 s"
    log_has "info session $APP: \| broken$"
    expect 0 "$DLMGR" events --session "$APP" --ack
    sleep 1 # one may have begun just before
    n=$(wc -l <"$TMP/runs")
    sleep 5
    same "$(wc -l <"$TMP/runs")" "$n"
}

# It is ended with all that it started, also what does not listen to SIGTERM; downloads and other commands go on meanwhile.
test_a_command_that_hangs_is_ended_and_delays_nothing()
{
    wake_by "trap '' TERM; [ ! -e $TMP/runs ] || ! kill -0 \$(tail -n 1 $TMP/runs) || touch $TMP/twice; echo \$\$ >>$TMP/runs; sleep 1000 & echo \$! >>$TMP/children; wait; sleep 1000" \
        --command-timeout 5
    wait_for 20 runs 1
    expect 0 "$DLMGR" add --session org.example.other "$FIXTURE_URL/b?size=1k"
    expect 0 "$DLMGR" session set org.example.other --on-event "touch $TMP/other"
    expect 0 "$DLMGR" wait
    wait_for 20 test -e "$TMP/other"
    wait_for 20 gone "$(head -n 1 "$TMP/runs")"
    wait_for 20 gone "$(head -n 1 "$TMP/children")"
    log_has "warning session $APP: its command did not end within 5 s and was ended; again in 1 s"
    grep -oE 'other: its command ended|did not end' "$DLMGR_HOME/dlmgr.log" >order
    same "$(head -n 1 order)" 'other: its command ended' 'what ended first'
    wait_for 20 runs 2
    expect 0 "$DLMGR" daemon stop
    wait_for 5 gone "$(tail -n 1 "$TMP/runs")"
    wait_for 20 gone "$(tail -n 1 "$TMP/children")"
    check [ ! -e "$TMP/twice" ]
}

# The command listens to SIGTERM, but what it started does not.
test_what_a_hanging_command_started_ends_with_it()
{
    wake_by "(trap '' TERM; exec sleep 1000) & echo \$! >>$TMP/children; echo \$\$ >>$TMP/runs; wait" --command-timeout 1
    wait_for 20 runs 2
    wait_for 20 gone "$(head -n 1 "$TMP/children")"
}

# Closing does not wait for it: the daemon has five seconds for that, the command a minute.
test_closing_does_not_wait_for_a_command()
{
    local begin=$SECONDS
    wake_by "trap '' TERM; echo \$\$ >>$TMP/runs; while :; do sleep 1; done"
    wait_for 20 runs 1
    expect 0 "$DLMGR" daemon stop
    check [ $((SECONDS - begin)) -lt 30 ]
    wait_for 5 gone "$(cat "$TMP/runs")"
}

test_a_flood_is_bounded()
{
    wake_by "echo x >>$TMP/runs; head -c 3000000 /dev/zero | tr '\\0' '\\n'; seq 100000; printf 'end\\n\\n'"
    wait_for 60 runs 2
    check [ "$(stat -c %s "$DLMGR_HOME/dlmgr.log")" -lt 20000 ]
    log_has "session $APP: it said 3588900 bytes; the last ones:"
    log_has "session $APP: \| end$"
    log_has "session $APP: \| 99992$"
    check_not grep -q '| 99991$' "$DLMGR_HOME/dlmgr.log"
}

# Nothing is run while somebody holds the session; when that one goes without acknowledging, it is.
test_a_held_session_is_left_alone()
{
    fixture_start
    expect 0 "$DLMGR" daemon start
    background holder "$DLMGR" events --session "$APP" --follow --exec 'exit 1'
    wait_for 10 sh -c "\"$DLMGR\" session show $APP | grep -q '^holder: $pid$'"
    expect 0 "$DLMGR" session set "$APP" --on-event "echo x >>$TMP/runs"
    expect 0 "$DLMGR" add --session "$APP" "$FIXTURE_URL/a?size=1k"
    expect 0 "$DLMGR" wait
    sleep 2
    check [ ! -e "$TMP/runs" ]
    kill -KILL "$pid"
    wait_for 20 runs 1
}

# What is held up by a pause is not given up: the daemon stays, and goes once the events are acknowledged or the command is removed.
test_the_daemon_stays_while_events_wait_for_a_command()
{
    local owner
    wake_by "echo x >>$TMP/runs; exit 1" --idle 1
    owner=$("$DLMGR" daemon status | sed -n 's/^running, pid \([0-9]*\),.*/\1/p')
    wait_for 30 runs 3
    check_not gone "$owner"
    check_not grep -q 'closed after' "$DLMGR_HOME/dlmgr.log"
    expect 0 "$DLMGR" session set "$APP" --on-event ''
    wait_for 10 gone "$owner"
    log_has 'nothing left to do'
}

# A descriptor, a blocked or ignored signal, a terminal, what a service manager said to us: nothing of it reaches the command.
test_a_command_starts_clean()
{
    fixture_start
    NOTIFY_SOCKET='' LISTEN_FDS='' background owner "$DLMGR" daemon run
    wait_for 10 "$DLMGR" daemon status
    expect 0 "$DLMGR" session set "$APP" --on-event "exec >$TMP/seen; ls /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status; readlink /proc/self/fd/0; env; sleep 1; echo all"
    expect 0 "$DLMGR" add --session "$APP" "$FIXTURE_URL/a?size=1k"
    wait_for 20 grep -q all "$TMP/seen"
    same "$(head -n 4 "$TMP/seen" | tr '\n' ' ')" '0 1 2 3 ' # 3 is of ls itself
    same "$(sed -n '5p;7p' "$TMP/seen" | tr '\n\t' '  ')" 'SigBlk: 0000000000000000 /dev/null '
    # Signals 32 and 33 are libc's own: who starts us may have them ignored, and no program can change that.
    check grep -qE '^SigIgn:[[:space:]]0{7}[01][08]0{7}$' "$TMP/seen"
    check_not grep -qE '^(NOTIFY_SOCKET|LISTEN_FDS)=' "$TMP/seen"
}

run_stories "$@"
