#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_neighbours.sh - what others do at control.sock (neighbours.c), each for a moment.
# timeout: 240
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh

test_neighbours_do_not_disturb()
{
    LIMIT=220 run env TMPDIR="$TMP" "$B/hostile/neighbours"
    grep -A1 -e '^seed' -e '^FAIL' "$TMP/out" # else the beginning of all that it says is shown
    out_has '^neighbours: 19 cases, violations 0$'
}

run_stories "$@"
