#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_hostile.sh - a slice of the table of hostile servers: other cases each time, by SEED (printed).
#
# timeout: 300
set -u -o pipefail
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
out=$(tests/hostile/hostile.sh --slice "${CASES:-40}" "$seed" "${1:-}")
status=$?
echo "$out"
cases=$(echo "$out" | sed -n 's/^dlmgr: \([0-9]*\) cases, violations .*/\1/p')
wrong=$(echo "$out" | sed -n 's/^dlmgr: [0-9]* cases, violations \([0-9]*\)$/\1/p')
[ "$status" = 0 ] || echo "FAIL again with: SEED=$seed B=$B tests/hostile/test_hostile.sh"
echo "$((${cases:-0} - ${wrong:-0})) passed, ${wrong:-1} failed"
[ "$status" = 0 ]
