#!/bin/bash
# SPDX-License-Identifier: MIT
#
# power.sh - `make powerloss`: at least STATES (20,000) different states that a power cut could leave, each made and judged.
#
# SEED gives others. Then each important sync is taken out in turn, and something must be found. Files stand in memory when there is a
# /dev/shm, since a state is made, looked at and thrown away.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build} SEED=${SEED:-1} STATES=${STATES:-20000}
begin=$SECONDS status=0
where=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")") || exit 1
trap 'rmdir "$where" 2>/dev/null; rm -f "$result"' EXIT # what found something stays
result=$(mktemp) || exit 1
export TMPDIR=$where

echo "seed $SEED"
"$B/power/power" --jobs 2 --seed "$SEED" --choices $((STATES / 900)) --on 20 "$@" | tee "$result" || status=1
made=$(sed -n 's/^all *\([0-9]*\) states.*/\1/p' "$result")
if [ $# = 0 ] && [ "${made:-0}" -lt "$STATES" ]; then
    echo "that is fewer than $STATES states"
    status=1
fi
[ $# != 0 ] || "$B/power/power" --seed "$SEED" --choices 8 --on 0 --without all | tee "$result" || status=1
echo "$((SECONDS - begin)) s"
exit "$status"
