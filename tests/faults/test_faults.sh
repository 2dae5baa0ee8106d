#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_faults.sh - what `check` runs of the faults: a few that happen once, chosen by $SEED; `make faults` runs them all.
#
# What was found wrong is printed with the command that repeats it.
# timeout: 300
set -u -o pipefail
B=${B:-build}
SEED=${SEED:-1} N=${N:-24}
[ "${1:-}" = "" ] || { [[ faults/test_faults == *"$1"* ]] || { echo "0 passed, 0 failed" && exit 0; }; }

out=$("$B/faults/faults" -j 2 --once --some "$N" --seed "$SEED")
status=$?
echo "$out"
bad=$(grep -c '^FAIL' <<<"$out")
done=$(sed -n 's/^\([0-9]*\) cases, seed.*/\1/p' <<<"$out")
[ "$status" = 0 ] || bad=$((bad > 0 ? bad : 1))
[ "${done:-0}" = "$N" ] || { echo "FAIL only ${done:-0} cases" && bad=$((bad + 1)); }
echo "$((${done:-0} > bad ? ${done:-0} - bad : 0)) passed, $bad failed"
[ "$bad" = 0 ]
