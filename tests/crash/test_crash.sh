#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_crash.sh - what `check` runs of the crash stories: kills spread over each of them.
#
# At least 300 kills over all stories in less than three minutes on two cores, some of them during the recovery from a kill and
# some with the power going too; `make crash` kills before every call. What a story found wrong, and where its evidence
# stands, is printed by the program itself.
# timeout: 1200
set -u -o pipefail
B=${B:-build}
KILLS=${KILLS:-${SLOW:+8}} KILLS=${KILLS:-40} # sanitizers run what is the same code with fewer kills
least=300
[ -z "${SLOW:-}" ] || least=$((KILLS * 5))
passed=0 failed=0
[ "${1:-}" = "" ] || { [[ crash/test_crash == *"$1"* ]] || { echo "0 passed, 0 failed" && exit 0; }; }

out=$("$B/crash/crash" -j 2 --kills "$KILLS" --again 4 --power 3) || failed=1
echo "$out"
kills=$(sed -n 's/^all *\([0-9]*\) kills.*/\1/p' <<<"$out")
if [ "${kills:-0}" -lt "$least" ]; then
    echo "FAIL only ${kills:-0} kills"
    failed=1
fi
while read -r name rest; do
    case "$name $rest" in
    all*) ;; # the sum
    *'violations 0') echo "ok $name" && passed=$((passed + 1)) ;;
    *violations*) echo "FAIL $name" && failed=$((failed + 1)) ;;
    esac
done <<<"$out"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
