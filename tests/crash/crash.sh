#!/bin/bash
# SPDX-License-Identifier: MIT
#
# crash.sh - `make crash`: every story, killed before every call that it makes, and the sum of it.
#
# A second kill falls into every second recovery, and in every third telling the power goes with the first kill. The
# stories that take seconds are killed at every eighth call. It fails when a promise was broken, and also when there were
# fewer kills than it claims to make. Then many files (many.sh), and an app with its session (claims.sh). A story that found something leaves its directory and says where.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac
export B
begin=$SECONDS
result=$(mktemp) || exit 1
trap 'rm -f "$result"' EXIT
"$B/crash/crash" -j 2 --again 2 --power 3 "$@" | tee "$result"
status=${PIPESTATUS[0]}
read -r kills recovery < <(sed -n 's/^all *\([0-9]*\) kills, *\([0-9]*\) in recovery.*/\1 \2/p' "$result")
echo "$((SECONDS - begin)) s"
if [ $# = 0 ] && { [ "${kills:-0}" -lt 3000 ] || [ "${recovery:-0}" -lt 300 ]; }; then
    echo "that is fewer than 3000 kills, or fewer than 300 of them in a recovery"
    status=1
fi
[ $# != 0 ] || tests/crash/many.sh || status=1
[ $# != 0 ] || FILES=12 tests/crash/claims.sh app embedded service both take || status=1
exit "$status"
