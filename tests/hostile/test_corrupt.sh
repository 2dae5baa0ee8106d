#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_corrupt.sh - a slice of corrupt.c for `check`: sixty damaged journals.
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh

test_no_damage_is_silent()
{
    expect 0 "$B/hostile/corrupt" 60 1
    out_has '^corrupt: 60 cases, crashes 0, silent losses 0'
}

run_stories "$@"
