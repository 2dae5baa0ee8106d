#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_many.sh - the short form of many.sh for `check`: 160 files, a kill every 150 ms.
# timeout: 1200
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh

test_many_files_survive_a_kill_every_150_ms()
{
    LIMIT=600 expect 0 env TMPDIR="$TMP" bash "$ROOT/tests/crash/many.sh" 160 150
    out_has 'violations 0$'
}

run_stories "$@"
