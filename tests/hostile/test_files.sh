#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_files.sh - hostile file systems: the table of files.c for `check`.
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh

test_no_file_system_makes_a_wrong_file()
{
    expect 0 "$B/hostile/files"
    out_has ' cases, violations 0$'
}

run_stories "$@"
