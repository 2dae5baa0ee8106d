#!/bin/bash
# SPDX-License-Identifier: MIT
#
# add.sh - add, list, and acting on tasks while nobody owns the home.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

test_add_prints_ids_in_order()
{
    expect 0 "$DLMGR" add --no-start http://127.0.0.1/a http://127.0.0.1/b
    out_is $'1\n2'
    expect 0 "$DLMGR" list --json
    same "$(grep -c '"state": *"queued"' "$TMP/out")" 2
}

test_the_same_key_is_added_once()
{
    expect 0 "$DLMGR" add --no-start --key k http://127.0.0.1/a
    out_is 1
    expect 0 "$DLMGR" add --no-start --key k http://127.0.0.1/a
    out_is 1
}

test_a_list_brings_mirrors_and_options()
{
    printf '# two\nhttp://127.0.0.1/a\thttp://127.0.0.2/a\n  out=one\n  priority=7\n\nhttp://127.0.0.1/b\n' >list
    expect 0 "$DLMGR" add --no-start -i list
    out_is $'1\n2'
    expect 0 "$DLMGR" show 1
    out_has '127.0.0.2'
    out_has '^out: one$'
    out_has '^priority: 7$'
}

# 100,000 lines in at most 3 s is the goal of the bench; here only that all arrive, in order, in little memory.
test_a_long_list_arrives_whole()
{
    seq 20000 | sed 's#.*#http://127.0.0.1/f&\n  out=f&#' >list
    expect 0 "$DLMGR" add --no-start -i list
    same "$(wc -l <"$TMP/out")" 20000
    same "$(tail -n 1 "$TMP/out")" 20000
    run sh -c "\"$DLMGR\" list | wc -l"
    out_is 20000
}

# A thousand such lines are more than one message to an owner may be.
test_long_lines_reach_an_owner()
{
    seq 1100 | sed "s#.*#http://127.0.0.1/$(printf '%05000d' 0)/&#" >list
    expect 0 "$DLMGR" daemon start
    expect 0 "$DLMGR" add --paused -i list
    same "$(sha256sum <"$TMP/out")" "$(seq 1100 | sha256sum)"
    expect 0 "$DLMGR" daemon stop
}

# A reader that leaves early is no error of a list.
test_a_closed_stdout_ends_list_quietly()
{
    seq 5000 | sed 's#.*#http://127.0.0.1/f&#' >list
    expect 0 "$DLMGR" add --no-start -i list
    run bash -c "set -o pipefail; \"$DLMGR\" list | head -n 1 >/dev/null"
    same "$status" 0
    no_err
}

test_a_failed_write_is_17()
{
    expect 0 "$DLMGR" add --no-start http://127.0.0.1/a
    run sh -c "\"$DLMGR\" list >/dev/full"
    same "$status" 17
    err_has 'No space left'
}

test_states_are_changed_without_an_owner()
{
    expect 0 "$DLMGR" add --no-start http://127.0.0.1/a http://127.0.0.1/b http://127.0.0.1/c
    expect 0 "$DLMGR" pause 1 2
    err_has '2 tasks paused'
    expect 0 sh -c "echo 3 | \"$DLMGR\" cancel -"
    expect 0 "$DLMGR" resume --state paused
    err_has 'dlmgr daemon start'
    expect 0 "$DLMGR" list --state queued
    same "$(wc -l <"$TMP/out")" 2
    expect 0 "$DLMGR" remove --all
    expect 0 "$DLMGR" list
    no_out
}

test_set_takes_a_list_of_new_urls()
{
    expect 0 "$DLMGR" add --no-start --key k http://127.0.0.1/a
    expect 0 "$DLMGR" add --no-start http://127.0.0.1/b
    printf 'k\thttp://127.0.0.1/new-a\n2\thttp://127.0.0.1/new-b\n' >list
    expect 0 "$DLMGR" set -i list
    expect 0 "$DLMGR" show 1
    out_has 'new-a'
    printf 'k\thttp://127.0.0.1/newer\n2 http://127.0.0.1/no-tab\n' >list
    expect 64 "$DLMGR" set -i list
    err_has 'list:2: '
    expect 0 "$DLMGR" show 1
    out_lacks newer
}

test_waiting_for_nobody_is_69()
{
    expect 0 "$DLMGR" add --no-start http://127.0.0.1/a
    expect 69 "$DLMGR" wait
    err_has 'dlmgr daemon start'
    expect 0 "$DLMGR" pause 1
    expect 7 "$DLMGR" wait
}

run_stories "$@"
