#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_resets.sh - a slice of resets.c for `check`: some hundred offsets by chance, and each byte of the header.
# timeout: 300
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh

resets() # ARGUMENT...
{
    LIMIT=200 expect 0 env TMPDIR="$TMP" "$B/hostile/resets" --seed "${SEED:-$RANDOM}" "$@"
    # shellcheck disable=SC2154
    tail -n 1 "$TMP/out"
}

# The header has 74 bytes.
test_resets_within_the_header()
{
    resets 0 100
    out_has '202 cases, 52 resumed'
}

test_resets_anywhere()
{
    resets --step 400 0 65535
    out_has 'most 0, mean 0.000'
}

test_resets_over_tls()
{
    bash "$ROOT/fixtures/certs.sh" "$TMP/certs"
    resets --tls "$TMP/certs" --step 1500 0 67600
    out_has 'most 0, mean 0.000'
}

run_stories "$@"
