#!/bin/bash
# SPDX-License-Identifier: MIT
#
# branches.sh - branch coverage of the rooms that decide (headers, verdict, names) by their unit tests alone; below 100 % it fails. Needs gcovr
# and a build (make tests) for the test's own library.
set -eu -o pipefail
cd "$(dirname "$0")/.."
B=${B:-build} work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rooms='verdict trouble headers headerfields httpdate names disposition'
tests='test_verdict test_headers test_names'
compile="${CC:-gcc} -std=c11 -D_GNU_SOURCE -Iinclude -I. -O0 -g -pthread"

for room in $rooms; do
    $compile --coverage -c -o "$work/$room.o" "dlmgr/$room.c"
done
for test in $tests; do
    $compile -c -o "$work/$test.to" "tests/unit/$test.c"
    # shellcheck disable=SC2046
    $compile --coverage -o "$work/$test" "$work/$test.to" "$work"/*.o "$B/libtest.a" "$B/libdlmgr-test.a" \
        $(pkg-config --libs libcurl sqlite3 jansson libuv libssl libcrypto) -lcunit
    "$work/$test" | tail -n 1
done
gcovr --branches --fail-under-branch 100 -r . --object-directory "$work" "$work"
