#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lib.sh - what the parts of the bench share: measuring a command, medians, and the lines of the result.
#
# A part calls `timed COMMAND...` and keeps what it found with `sample KEY VALUE`; `median KEY` is the figure of all rounds.
# A line of the result is one `figure`: with a goal it says met or missed, without one it is there to compare. Lines are kept
# in a file and printed by run.sh, so that noise of the tools measured cannot get between them.
#
# Expects $work, a directory of ours. Numbers are computed by awk, in the C locale.
# shellcheck disable=SC2034,SC2154

say()
{
    echo "$*" >&2
}

die()
{
    say "bench: $1"
    exit 1
}

have()
{
    command -v "$1" >/dev/null
}

calc() # EXPRESSION
{
    awk "BEGIN { printf \"%.9g\", ($1) }"
}

now() # seconds since 1970
{
    echo "$EPOCHREALTIME"
}

# Sets wall and cpu (seconds, of the command and the children it waited for). Its words go to $work/words; a failure is one of
# the bench.
timed() # COMMAND...
{
    local TIMEFORMAT='%R %U %S' times
    times=$({ time "$@" >"$work/words" 2>&1 </dev/null || touch "$work/failed"; } 2>&1)
    if [ -e "$work/failed" ]; then
        tail -n 5 "$work/words" >&2
        die "failed: $*"
    fi
    wall=${times%% *}
    times=${times#* }
    cpu=$(calc "${times/ / + }")
}

# ---- Rounds ------------------------------------------------------------------------------------------------------

sample() # KEY VALUE
{
    echo "$2" >>"$work/samples/$1"
}

median() # KEY
{
    sort -g "$work/samples/$1" | awk '{ v[NR] = $1 }
        END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

largest() # KEY
{
    sort -g "$work/samples/$1" | tail -n 1
}

sampled() # KEY
{
    [ -s "$work/samples/$1" ]
}

# The words in another order each round, so that nobody always comes first.
rotated() # ROUND WORD...
{
    local n=$1
    shift
    n=$((n % $#))
    echo "${@:n+1}" "${@:1:n}"
}

# ---- Lines -------------------------------------------------------------------------------------------------------

# NAME is for programs, WHAT for people; OP is <= or >=.
figure() # NAME WHAT VALUE UNIT [OP LIMIT]
{
    local met=-
    if [ $# = 6 ]; then
        met=missed
        [ "$(calc "($3) $5 ($6)")" = 0 ] || met=met
    fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$(calc "$3")" "$4" "${5:--}" "${6:--}" "$met" >>"$work/lines"
}

skipped() # NAME WHAT WHY
{
    printf '%s\t%s\t%s\t-\t-\t-\tskipped\n' "$1" "$2" "$3" >>"$work/lines"
}

heading() # TEXT
{
    printf '#\t%s\n' "$1" >>"$work/lines"
}

# A figure of each tool that was measured, then ours as a ratio to a peer's where there is a goal.
compared() # KEY WHAT UNIT TOOL...
{
    local key=$1 what=$2 unit=$3 tool
    shift 3
    for tool; do
        if sampled "$key.$tool"; then
            figure "$key.$tool" "$what, $tool" "$(median "$key.$tool")" "$unit"
        else
            skipped "$key.$tool" "$what, $tool" 'not installed'
        fi
    done
}

ratio() # KEY WHAT PEER OP LIMIT
{
    if sampled "$1.$3"; then
        figure "$1.to_$3" "$2, dlmgr to $3" "$(median "$1.dlmgr") / $(median "$1.$3")" '' "$4" "$5"
    else
        skipped "$1.to_$3" "$2, dlmgr to $3" "$3 is not installed"
    fi
}

lines_print()
{
    awk -F '\t' '
        $1 == "#" { printf "\n%s\n", $2; next }
        $7 == "skipped" { printf "  %-58s %11s %-8s %-11s skipped: %s\n", $2, "-", "", "", $3; next }
        { d = $4 == "" || $3 < 10 ? 2 : $3 < 100 ? 1 : 0
          printf "  %-58s %11.*f %-8s %-11s %s\n", $2, d, $3, $4, $5 == "-" ? "" : $5 " " $6, $7 == "-" ? "" : $7 }
    ' "$work/lines"
}

lines_json()
{
    awk -F '\t' '
        $1 == "#" { next }
        $7 == "skipped" { printf "{\"figure\":\"%s\",\"value\":null,\"skipped\":\"%s\"}\n", $1, $3; next }
        { printf "{\"figure\":\"%s\",\"value\":%s,\"unit\":\"%s\"", $1, $3, $4
          if ($5 != "-") printf ",\"goal\":\"%s %s\",\"met\":%s", $5, $6, $7 == "met" ? "true" : "false"
          print "}" }
    ' "$work/lines"
}
