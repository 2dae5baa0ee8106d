#!/bin/bash
# SPDX-License-Identifier: MIT
#
# all.sh - make hostile: the table against dlmgr, the programs beside it, and the table against other tools for comparison.
#
# TOOLS="dlmgr" leaves the comparison out. Each program counts its own cases and violations; a row below says how it is called, and one that is not
# built is said to be missing. resets.c is asked for one place in 64 here (resets.sh: all of them, for many minutes), and corrupt.c for 500 of its files.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac
export B DLMGR=$B/dlmgr FIXTURE=$B/fixture-server FLOOD=full
TOOLS=${TOOLS:-dlmgr curl wget aria2}
SEED=${SEED:-$RANDOM}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0 cases=0 violations=0

programs=(
    "files|$B/hostile/files"
    "mounts|tests/hostile/mounts.sh"
    "environment|$B/hostile/environment"
    "redirects|$B/hostile/test_redirects"
    "corrupt|$B/hostile/corrupt 500 $SEED"
    "resets|$B/hostile/resets --seed $SEED --step 64 0 65535"
    "neighbours|$B/hostile/neighbours"
    "flood|$B/hostile/test_flood"
)

# What it counted: NUMBER cases, and violations or leaks before or behind their number.
count() # FILE
{
    local n v
    n=$(grep -oE '[0-9]+ cases' "$1" | tail -n 1)
    v=$(grep -oE '(violations|leaks) [0-9]+|[0-9]+ violations' "$1" | tail -n 1 | tr -dc 0-9)
    cases=$((cases + ${n% cases}))
    violations=$((violations + v))
}

program() # NAME COMMAND...
{
    local name=$1
    shift
    if [ ! -x "$1" ]; then
        echo "$name: not built"
        return
    fi
    TMPDIR=$work "$@" >"$work/out" 2>&1 || { failed=1 && tail -n 40 "$work/out"; }
    grep -E '[0-9]+ cases' "$work/out" | tail -n 1
    count "$work/out"
}

table() # TOOL
{
    RESULTS_TO=$work/$1 tests/hostile/hostile.sh --tool "$1" >"$work/out" || failed=1
    tail -n 2 "$work/out"
    [ "$1" != dlmgr ] || grep VIOLATION "$work/out"
}

there() # TOOL
{
    case $1 in
    dlmgr) true ;;
    aria2) command -v aria2c >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

table dlmgr
count "$work/out"
for row in "${programs[@]}"; do
    # shellcheck disable=SC2086 # words of the row
    program "${row%%|*}" ${row#*|}
done
for tool in $TOOLS; do
    if [ "$tool" != dlmgr ] && there "$tool"; then table "$tool"; fi
done
for tool in $TOOLS; do
    [ ! -s "$work/$tool" ] || awk -F'\t' -v tool="$tool" '{ print tool "\t" $2; print tool "\tcases" }' "$work/$tool"
done | awk -F'\t' '
    { n[$1, $2]++; if (!($1 in tools)) { tools[$1]; order[++k] = $1 } }
    END {
        split("cases right failed looser short lost WRONG LEAK hang crash", rows, " ")
        printf "\n%-8s", ""
        for (i = 1; i <= k; i++) printf "%8s", order[i]
        print ""
        for (r = 1; r <= 10; r++) {
            printf "%-8s", rows[r]
            for (i = 1; i <= k; i++) printf "%8d", n[order[i], rows[r]]
            print ""
        }
    }'
wrong=$(awk -F'\t' '$2 == "WRONG"' "$work/dlmgr" | wc -l)
leaks=$(awk -F'\t' '$2 == "LEAK"' "$work/dlmgr" | wc -l)
printf '\nhostile: %s cases, violations %s; wrong files with exit 0: %s, leaks: %s\n' "$cases" "$violations" "$wrong" "$leaks"
[ "$failed" = 0 ] && [ "$violations" = 0 ]
