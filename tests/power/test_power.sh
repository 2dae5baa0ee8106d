#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_power.sh - what `check` runs of the power cuts: some states after some ops of each story, and two syncs taken out.
#
# `make powerloss` runs 20,000. What is wrong is printed with the command that makes the state again.
# timeout: 300
set -u -o pipefail
B=${B:-build} SEED=${SEED:-1}
STRIDE=${SLOW:+40} STRIDE=${STRIDE:-12} # sanitizers run the same code in fewer states
passed=0 failed=0
[ "${1:-}" = "" ] || { [[ power/test_power == *"$1"* ]] || { echo "0 passed, 0 failed" && exit 0; }; }

count() # STATUS WHAT: and shows the output when it failed
{
    if [ "$1" = 0 ]; then
        echo "ok $2" && passed=$((passed + 1))
    else
        echo "FAIL $2, seed $SEED" && failed=$((failed + 1))
    fi
}

"$B/power/power" --jobs 2 --seed "$SEED" --choices 4 --stride "$STRIDE" --on 12
count $? test_states_after_a_power_cut
# Where a sync is missing, that is found.
for name in journal-opened part-name; do
    "$B/power/power" --seed "$SEED" --choices 2 --stride 3 --on 0 --without "$name"
    count $? "test_without_$name"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
