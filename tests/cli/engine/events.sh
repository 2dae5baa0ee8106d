#!/bin/bash
# SPDX-License-Identifier: MIT
#
# events.sh - events are printed, acknowledged and given to commands, followed and held; run and its exit code.
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

test_exec_tells_the_command_what_it_is_about()
{
    fixture_start
    expect 0 "$DLMGR" add --no-start --session org.example.app --key one "$FIXTURE_URL/a?size=1k"
    expect 0 "$DLMGR" run
    expect 0 "$DLMGR" events --session org.example.app --exec 'echo "$DLMGR_SESSION $DLMGR_SEQ $DLMGR_KEY $DLMGR_ID $DLMGR_TYPE"; cat'
    out_has '^org.example.app 1 one 1 done$'
    out_has '^\{"v":1,"seq":1,"session":"org.example.app",'
}

# ---- Following ---------------------------------------------------------------------------------------------

lines() # FILE N
{
    [ "$(wc -l <"$1")" -ge "$2" ]
}

# Whoever owns the home, and whoever comes after it: each event once, and nothing done while nothing happens.
test_follow_goes_on_with_the_next_owner()
{
    local i switches
    fixture_start
    background follow "$DLMGR" events --follow --session org.example.app
    expect 0 "$DLMGR" daemon start
    for i in 1 2 3; do
        expect 0 "$DLMGR" add --session org.example.app "$FIXTURE_URL/a$i?size=1k"
        wait_for 10 lines "$TMP/follow.out" "$i"
        expect 0 "$DLMGR" daemon restart
    done
    same "$(grep -o '"seq":[0-9]*' "$TMP/follow.out" | tr '\n' ' ')" '"seq":1 "seq":2 "seq":3 '
    sleep 3 # it looks for an owner every two seconds until it has one
    switches=$(grep ^voluntary "/proc/$pid/status")
    sleep 2
    same "$(grep ^voluntary "/proc/$pid/status")" "$switches" "how often it woke"
    kill -INT "$pid"
    wait "$pid"
    same $? 130
}

test_a_failed_command_is_tried_again()
{
    fixture_start
    expect 0 "$DLMGR" daemon start
    background follow "$DLMGR" events --follow --session org.example.app --exec \
        'echo x >>tries; [ "$(wc -l <tries)" -ge 2 ]'
    expect 0 "$DLMGR" add --session org.example.app "$FIXTURE_URL/a?size=1k"
    wait_for 15 lines tries 2
    wait_for 10 sh -c "\"$DLMGR\" session show org.example.app | grep -q '^oldest: -'"
    same "$(wc -l <tries)" 2
    grep -q 'ended with 1 for event 1' "$TMP/follow.err" || fail "it does not say that the command failed"
}

# ---- Holding -----------------------------------------------------------------------------------------------

held() # by $pid
{
    "$DLMGR" session show org.example.app | grep -q "^holder: $pid$"
}

hold()
{
    background first "$DLMGR" events --follow --ack --session org.example.app
    wait_for 10 held
}

test_one_holder_at_a_time()
{
    local first
    fixture_start
    expect 0 "$DLMGR" daemon start
    hold
    expect 75 "$DLMGR" events --session org.example.app --exec true
    err_has "session org.example.app is held by process $pid"
    expect 75 "$DLMGR" events --session org.example.app --ack
    expect 0 "$DLMGR" events --session org.example.app # looking is free
    first=$pid
    background second "$DLMGR" events --session org.example.app --follow --exec true --wait
    expect 0 "$DLMGR" add --session org.example.app "$FIXTURE_URL/a?size=1k"
    wait_for 10 lines "$TMP/first.out" 1
    check_not held
    kill -TERM "$first"
    wait_for 10 held
}

test_who_is_taken_over_ends_with_75()
{
    local first
    fixture_start
    expect 0 "$DLMGR" daemon start
    hold
    first=$pid
    expect 0 "$DLMGR" daemon restart
    wait_for 10 held
    background second "$DLMGR" events --session org.example.app --follow --exec true --take
    wait_for 10 held
    wait "$first"
    same $? 75
    grep -q 'taken over' "$TMP/first.err" || fail "it does not say why it ends"
}

# The command was under way when another one took the session over: that it succeeded does not count any more.
test_who_is_taken_over_acknowledges_nothing()
{
    local first
    fixture_start
    expect 0 "$DLMGR" daemon start
    expect 0 "$DLMGR" add --session org.example.app "$FIXTURE_URL/a?size=1k" "$FIXTURE_URL/b?size=1k"
    expect 0 "$DLMGR" wait
    background first "$DLMGR" events --session org.example.app --exec 'touch begun; until [ -e go ]; do sleep 0.1; done'
    first=$pid
    wait_for 10 test -e begun
    background second "$DLMGR" events --session org.example.app --follow --exec false --take
    wait_for 10 held
    touch go
    wait "$first"
    same $? 75
    expect 0 "$DLMGR" session show org.example.app
    out_has '^oldest: 1$'
}

test_labels_and_homes_without_an_owner_have_no_holder()
{
    fixture_start
    expect 64 "$DLMGR" events --session label --exec true --take
    err_has 'org.example.app'
    expect 64 "$DLMGR" events --session org.example.app --take
    expect 0 "$DLMGR" add --no-start --session org.example.app "$FIXTURE_URL/a?size=1k"
    expect 0 "$DLMGR" add --no-start --session label "$FIXTURE_URL/b?size=1k"
    expect 0 "$DLMGR" run
    expect 0 "$DLMGR" events --session org.example.app --exec true --wait
    expect 0 "$DLMGR" session show org.example.app
    out_has '^incarnation: 0$'
    out_has '^oldest: -$'
    expect 0 "$DLMGR" daemon start
    background first "$DLMGR" events --follow --ack --session label
    wait_for 10 lines "$TMP/first.out" 1
    expect 0 "$DLMGR" events --session label --exec true
}

test_run_with_nothing_to_do_is_0()
{
    expect 0 "$DLMGR" run
    expect 0 "$DLMGR" add --no-start --paused http://127.0.0.1:1/a
    expect 7 "$DLMGR" run
}

run_stories "$@"
