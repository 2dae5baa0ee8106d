#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh TEST... - runs test programs and stories, J (2) at a time, and counts.
#
# Each ends with a line `N passed, N failed`, and that is believed only together with its exit code: one that
# crashes, hangs beyond its seconds, or counts nothing is itself a failure. T=name runs only the functions, or the whole
# programs, whose name contains it. A line `timeout: N` in a comment of a test's source gives it more or less than 120 s
# (times SLOW, which sanitizers set). What failed is shown whole, then `--`, then the sum as the last line.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac
export B DLMGR=$B/dlmgr FIXTURE=$B/fixture-server CRASH_KILLER=$B/crash/killer LC_ALL=C.UTF-8

# What a sanitizer has to say goes to files, so that a daemon's complaint is found too. Under the killer it says it on
# stderr, for files would be calls to count, and leaks are not looked for, since that cannot be done under ptrace.
sanitize() # NAME FILE
{
    local asan=log_path=$2
    case $1 in crash/*) asan=detect_leaks=0 ;; esac
    export ASAN_OPTIONS=detect_stack_use_after_return=1:$asan
    export UBSAN_OPTIONS=print_stacktrace=1:log_path=$2
    export TSAN_OPTIONS=second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp:log_path=$2
}

source_of() # TEST
{
    case $1 in
    *.sh) echo "$1" ;;
    *) echo "tests/${1#"${B#"$PWD"/}"/}.c" ;;
    esac
}

command_of() # TEST
{
    case $1 in
    *.sh) echo "bash $1" ;;
    *) echo "$PWD/${1#"$PWD"/}" ;;
    esac
}

# Writes NAME.log and NAME.sum ("passed failed") and prints the one line.
run_one() # TEST
{
    local test=$1 name log limit status sum begin=$EPOCHREALTIME filter=${T:-}
    name=$(source_of "$test") name=${name#tests/} name=${name%.*}
    [[ $name != *"$filter"* ]] || filter=
    log=$RESULTS/${name//\//-}.log
    sanitize "$name" "${log%.log}.san"
    limit=$(sed -n 's/^[#*/ ]*timeout: \([0-9]*\).*/\1/p' "$(source_of "$test")" | head -n 1)
    # shellcheck disable=SC2046
    timeout -k 10 $((${limit:-120} * ${SLOW:-1})) $(command_of "$test") "$filter" >"$log" 2>&1 </dev/null
    status=$?
    sum=$(tail -n 1 "$log" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
    [ "$status" = 0 ] || [[ $sum =~ ^[0-9]+\ [1-9] ]] || {
        [ "$status" = 124 ] && echo "timeout after ${limit:-120} s" >>"$log"
        echo "exit code $status" >>"$log"
        sum="$(grep -c '^ok ' "$log") $(($(grep -c '^FAIL ' "$log") + 1))"
    }
    [ -n "$sum" ] || { echo 'no summary' >>"$log" && sum='0 1'; }
    if compgen -G "${log%.log}.san.*" >/dev/null; then
        head -qn 60 "${log%.log}".san.* >>"$log"
        sum="${sum% *} $((${sum#* } + 1))"
    fi
    echo "$sum" >"${log%.log}.sum"
    awk -v s="$sum" -v n="$name" -v t0="$begin" -v t1="$EPOCHREALTIME" 'BEGIN {
        split(s, c, " ")
        if (c[1] + c[2]) printf "%-4s  %-32s %4d passed %3d failed  %6.1f s\n", (c[2] > 0 ? "FAIL" : "ok"), n, c[1], c[2], t1 - t0
    }'
    [ "${sum#* }" = 0 ] || touch "${log%.log}.failed"
}

if [ "${1:-}" = --one ]; then
    run_one "$2"
    exit 0
fi

RESULTS=$(mktemp -d) && export RESULTS || exit 1
trap 'rm -rf "$RESULTS"' EXIT
trap 'exit 130' INT TERM HUP
printf '%s\0' "$@" | xargs -0 -P "${J:-2}" -I{} "$0" --one {}

for failed in "$RESULTS"/*.failed; do
    [ -e "$failed" ] || continue
    name=${failed##*/}
    printf -- '--\nFAIL %s\n' "${name%.failed}"
    cat "${failed%.failed}.log"
done
count=$(find "$RESULTS" -name '*.sum' | wc -l)
sum=$(cat "$RESULTS"/*.sum 2>/dev/null | awk '{p += $1; f += $2} END {print p + 0, f + 0}')
passed=${sum% *} failed=${sum#* }
[ "$count" = $# ] || { echo "$# test programs, but $count results" && failed=$((failed + 1)); }
[ "$passed$failed" != 00 ] || { echo "no test ran${T:+: nothing is named like $T}" && failed=1; }
printf -- '--\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
