#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fuzz.sh TARGET... - runs fuzz targets that `make fuzz` has built, one after another: TIME seconds each (60), or RUNS executions.
#
# Each starts from its corpus, tests/fuzz/TARGET, and writes what it finds new to $B/corpus/TARGET, which the next run begins with as
# well. An input that kills a target is left in $B/crash-TARGET-*; it belongs into the corpus once the reason is mended.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build/libfuzzer}
bad=0
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then TMPDIR=/dev/shm; fi
TMPDIR=$(mktemp -d -p "${TMPDIR:-/tmp}") && export TMPDIR || exit 1
trap 'rm -rf "$TMPDIR"' EXIT

run() # TARGET
{
    local name=$1 program=$B/fuzz/fuzz_$1 found=$B/corpus/$1 log=$B/fuzz-$1.log dict=tests/fuzz/$1.dict limits=()
    mkdir -p "$found"
    if [ -n "${RUNS:-}" ]; then limits=(-runs="$RUNS"); else limits=(-max_total_time="${TIME:-60}"); fi
    [ ! -e "$dict" ] || limits+=(-dict="$dict")
    UBSAN_OPTIONS=print_stacktrace=1 \
        "$program" "${limits[@]}" -max_len="${MAX_LEN:-400}" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -close_fd_mask=1 \
        -artifact_prefix="$B/crash-$name-" "$found" "tests/fuzz/$name" >"$log" 2>&1
}

for name; do
    begin=$SECONDS
    if run "$name"; then word=ok; else word=FAIL bad=1; fi
    printf '%-4s  %-10s %12s executions %6d s\n' "$word" "$name" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$B/fuzz-$name.log")" $((SECONDS - begin))
    [ "$word" = ok ] || tail -n 60 "$B/fuzz-$name.log"
done
exit "$bad"
