#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage.sh - what is wrong on a command line is named, ends with 64 (settings: 78), and changes nothing.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

nothing_added()
{
    run "$DLMGR" list
    no_out
}

# Every command has its own help; every option of it stands in the manual.
test_each_command_helps_and_is_in_the_manual()
{
    local command option
    for command in get add list show pause resume cancel retry remove set run wait events session daemon doctor; do
        expect 0 "$DLMGR" "$command" --help
        out_has "^Usage: dlmgr $command "
        grep -q "\*$command\*" "$ROOT/docs/man/dlmgr.1.scd" || fail "the manual lacks $command"
        for option in $(grep -o -e '--[a-z0-9-]*' "$TMP/out" | sort -u); do
            grep -qF -e "*$option*" "$ROOT/docs/man/dlmgr.1.scd" || fail "the manual lacks $option of $command"
        done
    done
}

test_wrong_words_are_named()
{
    expect 64 "$DLMGR"
    expect 64 "$DLMGR" fetch
    err_has 'fetch: unknown command'
    expect 64 "$DLMGR" get --speed 3 http://127.0.0.1/
    err_has '--speed: unknown option'
    expect 64 "$DLMGR" add
    err_has 'which URL'
    expect 64 "$DLMGR" daemon dance
    err_has 'dance'
    check [ ! -e "$DLMGR_HOME" ]
}

test_wrong_values_are_named_and_add_nothing()
{
    local bad
    for bad in --limit-rate=fast --start-after=never --priority=2000 --on-exists=ask --checksum=crc=1 -x0; do
        expect 64 "$DLMGR" add --no-start "$bad" http://127.0.0.1/a
        check [ -s "$TMP/err" ]
    done
    expect 64 "$DLMGR" add --no-start -H $'X: a\r\nY: b' http://127.0.0.1/a
    expect 64 "$DLMGR" add --no-start http://127.0.0.1/a ftp://127.0.0.1/b
    err_has 'ftp://127.0.0.1/b'
    expect 64 "$DLMGR" add --no-start -o ../a http://127.0.0.1/a
    expect 64 "$DLMGR" add --no-start -d "$TMP/none" http://127.0.0.1/a
    err_has 'none'
    nothing_added
}

# A list is checked whole before anything of it is added, from a pipe as well.
test_a_wrong_list_line_is_named_and_adds_nothing()
{
    printf 'http://127.0.0.1/a\n out=x\nhttp://127.0.0.1/b\n priority=high\n' >list
    expect 64 "$DLMGR" add --no-start -i list
    err_has 'list:4: priority'
    run sh -c "\"$DLMGR\" add --no-start -i - <list"
    same "$status" 64
    err_has 'stdin:4: priority'
    printf 'http://127.0.0.1/a\nnonsense\n' >list
    expect 64 "$DLMGR" add --no-start -i list
    err_has 'list:2: '
    nothing_added
}

test_settings_are_named_by_file_and_line()
{
    mkdir -m 700 "$DLMGR_HOME"
    printf '# mine\nmax-active = many\n' >"$DLMGR_HOME/dlmgr.conf"
    expect 78 "$DLMGR" list
    err_has 'dlmgr.conf:2: max-active many'
}

test_unknown_ids_are_named()
{
    expect 0 "$DLMGR" add --no-start http://127.0.0.1/a
    expect 64 "$DLMGR" pause 1 4711
    err_has 4711
    run "$DLMGR" list --state paused
    no_out
    expect 64 "$DLMGR" show x1
    err_has x1
}

test_json_errors_are_objects()
{
    expect 64 "$DLMGR" --json add --no-start nonsense
    tail -n 1 "$TMP/err" | grep -q '^{"v":1,"type":"error","code":64,' || fail "not an error object"
}

run_stories "$@"
