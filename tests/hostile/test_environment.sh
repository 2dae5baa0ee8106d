#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_environment.sh - the cases of environment.c for `check`, and the command with its stdin, stdout and stderr closed.
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh

# Four parts at a time: most of it is waiting.
test_no_environment_loses_a_task()
{
    local half
    for half in 0 1 2 3; do
        "$B/hostile/environment" "$half" 4 >"$TMP/part$half" 2>&1 &
    done
    wait
    cat "$TMP"/part? >"$TMP/out"
    same "$(grep -c ' cases, violations 0$' "$TMP/out")" 4 'parts without a violation'
}

test_get_without_stdio()
{
    fixture_start
    "$DLMGR" get -d "$TMP" -o f "$FIXTURE_URL/f?size=200k&seed=3" <&- >&- 2>&-
    same $? 17 'exit code when what it would say cannot be written'
    "$FIXTURE" --body 'size=200k&seed=3' >"$TMP/want"
    same_file "$TMP/f" "$TMP/want"
}

# A limit of the size of files is an error that is told, of the file as of the journal.
test_get_beyond_the_limit()
{
    fixture_start
    (ulimit -f 1024 && expect 17 "$DLMGR" get -d "$TMP" -o f "$FIXTURE_URL/f?size=3M&seed=3")
    same $? 0 'that'
    check_not test -e "$TMP/f"
    expect 0 "$DLMGR" get -d "$TMP" -o f "$FIXTURE_URL/f?size=3M&seed=3"
}

run_stories "$@"
