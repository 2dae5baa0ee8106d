#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_kill_app.sh - tests/kill-app finds what is wrong with a program, and nothing wrong with examples/exactly-once.
#
# The example is killed at its Nth call, the service at its Nth, both, and both at random; after each run the ledger is looked
# at (ledger.c). What `check` runs are some of the calls; without --step it is all of them, see docs/embedding.md.
# timeout: 600
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh
KILL_APP=$ROOT/tests/kill-app
STEP=${SLOW:+60} STEP=${STEP:-12} # sanitizers run the same code with fewer kills

# ---- The tool -----------------------------------------------------------------------------------------

# Writes a file in three steps, the wrong way: after a kill it appends to what is there.
appending='echo a >>x; echo b >>x; echo c >>x'
replacing='echo a >x.new; echo b >>x.new; mv x.new x'

test_a_program_that_goes_on_wrongly_is_found()
{
    expect 1 "$KILL_APP" --setup 'rm -f x' --check '[ "$KILL_APP_ENDED" = 0 ] || [ "$(cat x)" = "$(printf "a\nb\nc")" ]' -- sh -c "$appending"
    out_has '^FAIL case [0-9]+, run 2: the check failed$'
    out_has 'failures 1;'
}

test_what_is_said_repeats_the_case()
{
    expect 1 "$KILL_APP" --setup 'rm -f x' --check '! grep b x || grep c x' -- sh -c "$appending"
    sed -n 's/^    repeat: //p' "$TMP/out" >again
    check [ -s again ]
    expect 1 bash again
    out_has '^FAIL case [0-9]+, run 1: the check failed$'
    out_has ' 1 cases, 1 runs'
}

# Each kill in a fresh world, or one run after the other in the same.
test_a_program_that_survives_is_killed_at_each_call_and_passes()
{
    local all
    all=$("$B/crash/killer" --count -- sh -c "$replacing" | tail -n 1)
    rm -f x
    expect 0 "$KILL_APP" --setup 'rm -f x x.new' --check '[ ! -e x ] || [ "$(cat x)" = "$(printf "a\nb")" ]' -- sh -c "$replacing"
    out_has "^kill-app: $((all + 1)) cases, $((2 * all + 1)) runs, kills: $all of the program, 0 of the other .*; failures 0;"
    expect 0 "$KILL_APP" -- sh -c "$replacing"
    out_has '^kill-app: ([0-9]+) cases, \1 runs, kills: [4-9] '
    expect 0 "$KILL_APP" --from 2 --to 4 --step 2 -- sh -c "$replacing"
    out_has '^kill-app: 2 cases, 2 runs, kills: 2 '
}

test_a_program_that_fails_or_hangs_by_itself_is_found()
{
    expect 1 "$KILL_APP" -- sh -c 'exit 3'
    out_has '^FAIL case 1, run 1: it ended with 3$'
    expect 1 "$KILL_APP" --timeout 1 -- sleep 100
    out_has '^FAIL case 1, run 1: it hangs: not over after 1 s$'
}

# The other process is started anew whenever it ended, and is killed when that is wanted.
test_the_other_process_is_killed_and_started_again()
{
    expect 0 "$KILL_APP" --setup true --also 'sh -c "echo \$\$ >>ups; exec sleep 100"' --kill both --random 200 --kills 10 -- sh -c 'sleep 0.3'
    out_has 'kills: [1-9] of the program, [1-9] of the other'
    check [ "$(wc -l <ups)" -ge 5 ]
    for pid in $(cat ups); do check gone "$pid"; done
}

test_wrong_usage_is_said()
{
    expect 2 "$KILL_APP"
    err_has 'no command'
    expect 2 "$KILL_APP" --colour red -- true
    err_has 'colour'
    expect 2 "$KILL_APP" --kill also -- true
    err_has 'needs --also'
    expect 2 "$KILL_APP" --from x -- true
    err_has 'must be a number'
    expect 0 "$KILL_APP" --help
    out_has '--check CMD'
    expect 2 "$KILL_APP" --setup false -- true
}

# ---- Exactly once -----------------------------------------------------------------------------------------

# Four files and one that fails, in a world below $TMP/w.
once() # KILL-APP-OPTION...
{
    local i urls=()
    fixture_start
    for i in 1 2 3 4; do urls+=("$FIXTURE_URL/f$i?size=${i}0k&seed=$i&etag=\"x\""); done
    urls+=("$FIXTURE_URL/no?status=404")
    LIMIT=500 expect 0 env DLMGR_HOME="$TMP/w/home" "$KILL_APP" --setup "rm -rf '$TMP/w'; mkdir -p '$TMP/w/d'" \
        --check "'$B/crash/ledger' '$TMP/w/ledger' \"\$KILL_APP_OUT\" \$KILL_APP_ENDED 4 102400" "$@" \
        -- "$B/examples/exactly-once" "$TMP/w/ledger" "$TMP/w/d" "${urls[@]}"
    out_has 'failures 0;'
    grep -h '^kill-app' "$TMP/out"
}

service=(--also '"$DLMGR" daemon run' --ready 'test -S "$DLMGR_HOME/control.sock"')

test_exactly_once_embedded() { once --from 2 --step "$STEP"; }
test_exactly_once_with_the_service() { once "${service[@]}" --from 3 --step "$STEP"; }
test_exactly_once_while_the_service_is_killed() { once "${service[@]}" --kill also --from 4 --step $((4 * STEP)); }
test_exactly_once_while_both_are_killed() { once "${service[@]}" --kill both --from 5 --step $((4 * STEP)); }
test_exactly_once_with_kills_at_random() { once "${service[@]}" --kill any --random 300 --kills $((120 / STEP)); }

run_stories "$@"
