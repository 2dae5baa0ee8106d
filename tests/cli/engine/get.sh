#!/bin/bash
# SPDX-License-Identifier: MIT
#
# get.sh - fetch and see it through; what the exit code, stdout and stderr say.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

test_get_prints_the_path_of_a_whole_file()
{
    fixture_start
    expect 0 "$DLMGR" get "$FIXTURE_URL/a.bin?size=300k&seed=3"
    out_is "$PWD/a.bin"
    "$FIXTURE" --body 'size=300k&seed=3' >expected
    same_file a.bin expected
}

test_get_quiet_says_nothing_but_the_path()
{
    fixture_start
    expect 0 "$DLMGR" get -q "$FIXTURE_URL/a.bin?size=10k"
    out_is "$PWD/a.bin"
    no_err
}

# The first failure in the order given, and the others are fetched all the same.
test_get_ends_with_the_first_failure_in_order()
{
    fixture_start
    expect 3 "$DLMGR" get "$FIXTURE_URL/a?size=1k" "$FIXTURE_URL/b?status=404" "$FIXTURE_URL/c?status=403" \
        "$FIXTURE_URL/d?size=1k"
    same "$(sort "$TMP/out")" "$PWD/a
$PWD/d"
    err_has '404'
}

test_get_says_that_the_length_is_unverified()
{
    fixture_start
    expect 0 "$DLMGR" get "$FIXTURE_URL/a.bin?size=1k&nolength"
    out_is "$PWD/a.bin"
    err_has 'a.bin: unverified length'
    expect 0 "$DLMGR" list
    out_has 'a.bin .unverified length.$'
    expect 0 "$DLMGR" show 1
    out_has 'unverified_length.*true'
    expect 0 "$DLMGR" events
    out_has '"unverified_length":true'
    expect 22 "$DLMGR" get --require-length "$FIXTURE_URL/b.bin?size=1k&nolength"
    err_has 'require-length'
    expect 0 "$DLMGR" get "$FIXTURE_URL/c.bin?size=1k&chunked"
    no_err
}

test_get_says_that_a_file_was_renamed()
{
    fixture_start
    echo mine >a.bin
    expect 0 "$DLMGR" get "$FIXTURE_URL/a.bin?size=1k"
    out_is "$PWD/a.1.bin"
    err_has 'a.1.bin.*taken'
    same "$(cat a.bin)" mine
    expect 13 "$DLMGR" get --on-exists fail "$FIXTURE_URL/a.bin?size=1k"
}

test_get_to_stdout_only_when_verified()
{
    local digest
    fixture_start
    digest=$("$FIXTURE" --body 'size=200k&seed=9' | sha256sum | cut -c1-64)
    expect 0 "$DLMGR" get -o - --checksum "sha-256=$digest" "$FIXTURE_URL/a?size=200k&seed=9"
    same "$(sha256sum <"$TMP/out" | cut -c1-64)" "$digest"
    expect 32 "$DLMGR" get -o - --checksum "sha-256=$digest" "$FIXTURE_URL/b?size=200k&seed=8"
    no_out
    run sh -c "\"$DLMGR\" get -o - \"$FIXTURE_URL/c?size=200k\" >/dev/full"
    same "$status" 17
    err_has 'kept at'
}

# ^C leaves the task; the same get goes on with it, --new does not.
test_get_again_continues()
{
    fixture_start
    background first "$DLMGR" get "$FIXTURE_URL/a.bin?size=4M&etag=\"x\"&rate=1M"
    wait_for 10 sh -c "ls a.bin.*.part && [ \$(stat -c %s a.bin.*.part) -gt 500000 ]"
    kill -INT "$pid"
    wait "$pid"
    same $? 130
    expect 0 "$DLMGR" get "$FIXTURE_URL/a.bin?size=4M&etag=\"x\"&rate=1M"
    err_has 'continuing task 1'
    out_is "$PWD/a.bin"
    grep -q 'bytes=' "$FIXTURE_LOG" || fail "nothing was continued"
    expect 0 "$DLMGR" list
    same "$(wc -l <"$TMP/out")" 1
}

# The engine of this get goes on with what is left only when all was looked for: the last of three thousand lines, long after it could have been done.
test_get_again_finds_what_it_would_soon_have_done()
{
    fixture_start
    expect 0 "$DLMGR" add --no-start "$FIXTURE_URL/left?size=1k"
    seq -f "$FIXTURE_URL/f%.0f?size=1" 3000 | sed 's/$/\n paused=true/' >list
    echo "$FIXTURE_URL/left?size=1k" >>list
    expect 7 "$DLMGR" get --no-start -i list
    err_has 'continuing task 1;'
    out_has "$PWD/left\$"
    expect 0 "$DLMGR" list --state done
    same "$(wc -l <"$TMP/out")" 1 "done tasks"
}

test_get_does_not_hang_on_paused_tasks()
{
    fixture_start
    expect 7 "$DLMGR" get --paused "$FIXTURE_URL/a?size=1k"
    err_has 'dlmgr resume'
}

# Two in one home: the second follows the first, and takes over when that is killed.
test_get_takes_over_when_the_owner_is_killed()
{
    local first
    fixture_start
    background one "$DLMGR" get --no-start "$FIXTURE_URL/a?size=1G&rate=100k"
    first=$pid
    wait_for 10 sh -c 'ls a.*.part'
    background two "$DLMGR" get --no-start "$FIXTURE_URL/b?size=2M&rate=1M&etag=\"b\""
    wait_for 10 sh -c 'ls b.*.part'
    kill -KILL "$first"
    wait "$pid"
    same $? 0
    same "$(cat "$TMP/two.out")" "$PWD/b"
    grep -q 'going on in its place' "$TMP/two.err" || fail "did not say that it took over"
}

test_get_json_is_json_on_both_sides()
{
    fixture_start
    expect 3 "$DLMGR" --json get "$FIXTURE_URL/a?size=3M&rate=1M" "$FIXTURE_URL/b?status=404"
    same "$(wc -l <"$TMP/out")" 2
    same "$(grep -cv '^{"v":1,"type":"' "$TMP/err")" 0
    tail -n 1 "$TMP/err" | grep -q '"type":"error","code":3' || fail "does not end with an error object"
    check [ "$(grep -c '"type":"progress"' "$TMP/err")" -le 10 ]
}

run_stories "$@"
