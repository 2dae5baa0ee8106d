#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_settle.sh - what a killed process left in the WAL without a sync is synced before anybody is told of it.
#
# The commit of an `add` is written to the WAL and killed before its sync. The next process finds it there, for the
# kernel has it, and must not tell it before it is on the disk: a power cut would take back what was said.
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh
KILLER=${CRASH_KILLER:-$B/crash/killer}

# The number of the last sync of the WAL before the first word on stdout.
sync_before_word() # CALLS
{
    awk -F '\t' '$3 == "write" && $5 ~ /\/out$/ {exit} $3 == "fdatasync" && $5 ~ /journal.db-wal$/ {n = $1} END {print n + 0}' "$1"
}

test_what_a_killed_add_left_is_synced_before_it_is_told()
{
    local at
    expect 0 "$KILLER" --log "$TMP/calls" -- "$DLMGR" --home "$TMP/one" add --no-start http://127.0.0.1:1/a
    out_is 1
    at=$(sync_before_word "$TMP/calls")
    check [ "$at" -gt 0 ]
    expect 137 "$KILLER" --kill-at "$at" -- "$DLMGR" --home "$TMP/two" add --no-start http://127.0.0.1:1/a
    no_out
    expect 0 "$KILLER" --log "$TMP/calls" -- "$DLMGR" --home "$TMP/two" list
    out_has '^ *1 +queued'
    check [ "$(sync_before_word "$TMP/calls")" -gt 0 ]
}

run_stories "$@"
