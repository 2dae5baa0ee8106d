#!/bin/bash
# SPDX-License-Identifier: MIT
#
# hostile.sh [--tool dlmgr|curl|wget|aria2] [--slice N SEED] [--list] [--keep] [PATTERN] - hostile servers by the table, run against a tool.
#
# A case is a server that cuts, lies or changes its mind, a call, and what may come of it. Exit code 0 means the whole bytes of one version, from where
# they were allowed to come, under the right name: whatever a case is about, a tool that ends with 0 and left anything else was WRONG. README.md
# beside this file tells how the table is written, tools.sh how each tool is called, judge.sh what an outcome is. Ends with lines of counts; for
# dlmgr each outcome that the table does not allow is a violation and makes the exit code 1. PATTERN (a regular expression) picks cases by name,
# --slice N of them by chance, --keep leaves their directories.
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
B=${B:-build}
case $B in /*) ;; *) B=$(cd "$here/../.." && pwd)/$B ;; esac
export B here LC_ALL=C TZ=UTC DLMGR=${DLMGR:-$B/dlmgr} FIXTURE=${FIXTURE:-$B/fixture-server}
# shellcheck source=/dev/null
. "$here/tools.sh"
# shellcheck source=/dev/null
. "$here/judge.sh"

die() { echo "hostile.sh: $1" >&2; exit 64; }

# ---- One case ---------------------------------------------------------------------------------------

decode() { local s=${1//\\/\\\\}; printf '%b' "${s//%/\\x}"; }

pin_of() # CERTIFICATE
{
    openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary |
        base64 | sed 's,^,sha256//,'
}

place() { local p=PLACE_$1; echo "${!p}"; }

# Words KEY=VALUE, values percent-decoded. Sets opt, headers, urls, sum, cacert, pin for tools.sh.
# shellcheck disable=SC2034
read_options() # OPTIONS
{
    local word value base=$PLACE_a/$name/f
    declare -gA opt=()
    headers=() envs=() sum='' cacert='' pin=''
    for word in $1; do
        value=
        [[ $word != *=* ]] || value=$(decode "${word#*=}")
        case $word in
        env=*) envs+=("$value") ;;
        header=*) headers+=("$value") ;;
        origin=*) base=$(place "$value")/$name/f ;;
        path=*) base=$PLACE_a/$name/$value ;;
        url=*) base=$value ;;
        sum=[0-9]) sum=sha-256=$(<"$work/bodies.d/$letter$value.sha256") ;;
        sum=*) sum=$value ;;
        cacert=*) cacert=$CERTS/$value ;;
        pin=*) pin=$(pin_of "$CERTS/$value.pem") ;;
        *=*) opt[${word%%=*}]=$value ;;
        *) opt[$word]=1 ;;
        esac
    done
    urls=("$base")
    [ -z "${opt[also]:-}" ] || urls+=("$(place "${opt[also]}")/$name/f")
    [ -z "${opt[mirror]:-}" ] || urls+=("$PLACE_b/$name/f")
}

prepare()
{
    local h
    mkdir -p "$dir/out" "$dir/user"
    export HOME=$dir/user XDG_CONFIG_HOME=$dir/user/.config XDG_STATE_HOME=$dir/user/.state
    : >"$dir/said"
    : >"$dir/err"
    if [ -n "${opt[user]:-}" ]; then
        printf 'machine 127.0.0.1 login me password CANARY\n' >"$dir/user/.netrc"
        chmod 600 "$dir/user/.netrc"
    fi
    # Of whom it must not matter that they are there.
    printf 'insecure\nlocation\n' >"$dir/user/.curlrc"
    printf 'check_certificate = off\n' >"$dir/user/.wgetrc"
    [ -n "${opt[rc]:-}" ] || rm "$dir/user/.curlrc" "$dir/user/.wgetrc"
    for h in "${envs[@]}"; do export "${h//CERTS/$CERTS}"; done
    [ -z "${opt[exists]:-}" ] || echo mine >"$dir/out/${opt[exists]}"
    [ -z "${opt[symlink]:-}" ] || { echo mine >"$dir/target" && ln -s ../target "$dir/out/${opt[symlink]}"; }
}

part_there() { [ -n "$(find "$dir/out" -type f -size +60k)" ]; }

# Ended when the server, which stalls, has given a piece. What a second run does with that is what the case is about.
run_and_end()
{
    local i ENDED=
    ("call_$TOOL") >>"$dir/said" 2>>"$dir/err" </dev/null &
    for ((i = 0; i < 100; i++)); do
        if part_there || ! kill -0 $! 2>/dev/null; then break; fi
        sleep 0.05
    done
    kill -TERM $! 2>/dev/null
    wait $! 2>/dev/null
}

# Up to three times, as somebody would who wants the file; dlmgr tries again by itself.
run_tool()
{
    local runs=3
    [ "$TOOL" != dlmgr ] || runs=1
    [ -z "${opt[again]:-}" ] || run_and_end
    # shellcheck disable=SC2034 # tools.sh
    ENDED=${opt[again]:-}
    for ((RUN = 1; RUN <= runs; RUN++)); do
        ("call_$TOOL") >>"$dir/said" 2>>"$dir/err" </dev/null
        status=$?
        if [ "$status" = 0 ] || [ "$status" -ge 124 ]; then break; fi
    done
    check_sum
}

# What knows no digests is followed by sha256sum, as its user would.
check_sum()
{
    if [ "$status" = 0 ] && [[ $sum == sha-256=* ]] && ! checks_sum "$TOOL" &&
        ! echo "${sum#*=}  $dir/out/f" | sha256sum -c --status; then
        status=32
    fi
}

one() # A LINE OF THE PLAN
{
    local name letter want options dir status verdict violation
    # shellcheck disable=SC2034 # judge.sh reads them
    IFS=$'\t' read -r name letter want options <<<"$1"
    dir=$work/cases/$name
    read_options "$options"
    prepare
    run_tool
    judge
    printf '%s\t%s\t%s\t%s\n' "$name" "$verdict" "$status" "$violation"
    [ -n "$KEEP" ] || rm -rf "$dir"
}

# ---- The servers --------------------------------------------------------------------------------------

pids=()

nginx_stop() { [ ! -d "$work/nginx" ] || "$here/../../fixtures/nginx.sh" stop "$work/nginx"; }

stop()
{
    local p
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
    nginx_stop
    [ -n "$KEEP" ] || rm -rf "$work"
}

server_start() # NAME PORT: false when somebody has it
{
    local i
    "$FIXTURE" --port "$2" --log "$work/log.$1" --script "$work/script.$1" >"$work/port.$1" 2>"$work/err.$1" &
    pids+=($!)
    for ((i = 0; i < 200; i++)); do
        [ ! -s "$work/port.$1" ] || return 0
        kill -0 $! 2>/dev/null || break
        sleep 0.02
    done
    ! grep -q 'script' "$work/err.$1" || die "$(cat "$work/err.$1")"
    return 1
}

# The versions that 0-ways.txt names, and their digests for the steps ($DV1, ...).
bodies_make()
{
    local n query
    mkdir -p "$work/bodies.d"
    digests=
    while read -r n query; do
        "$FIXTURE" --body "$query" >"$work/bodies.d/$n" || exit 1
        sha256sum <"$work/bodies.d/$n" | cut -c1-64 >"$work/bodies.d/$n.sha256"
        digests+="D$n=$(openssl dgst -sha256 -binary "$work/bodies.d/$n" | base64) "
    done < <(sed -n 's/^let \([VL][12]\) \(size=[^ ]*\) \(seed=[^ ]*\).*/\1 \2\&\3/p' "$here/cases/0-ways.txt")
}

expand()
{
    awk -v dir="$work" -v places="$(set | sed -n 's/^PLACE_\([a-z0-9]*\)=\(.*\)/\1=\2/p' | paste -sd ' ')" \
        -v given="$digests" -f "$here/expand.awk" "$here"/cases/*.txt || exit 1
}

# Slow to start, and few cases need them.
nginx_start() # PORT OF A
{
    local n port i
    awk -F'\t' '$4 ~ /origin=|nginx/ { n++ } END { exit !n }' "$work/chosen" || return 0
    "$here/../../fixtures/certs.sh" "$CERTS" || exit 1
    "$here/../../fixtures/nginx.sh" start "$work/nginx" "$CERTS" "$1" >"$work/ports" || exit 1
    : >"$work/front"
    "$B/hostile/front" "$CERTS" "$1" >"$work/front" &
    pids+=($!)
    for ((i = 0; i < 600; i++)); do
        [ "$(wc -l <"$work/front")" -lt 13 ] || break
        sleep 0.1
    done
    while read -r n port; do
        case $n in http | proxy) ;; *) export "PLACE_$n=https://localhost:$port/x" ;; esac
    done < <(cat "$work/ports" "$work/front")
}

servers_start()
{
    local base
    while :; do
        base=$((30000 - RANDOM % 15000 / 2 * 2))
        export PLACE_a=http://127.0.0.1:$base PLACE_b=http://127.0.0.1:$((base + 1)) PLACE_bl=http://localhost:$((base + 1))
        nginx_start "$base"
        expand
        server_start a "$base" && server_start b $((base + 1)) && return
        nginx_stop
    done
}

# ---- All of it ----------------------------------------------------------------------------------------

# Names of cases whose credentials came to the other origin.
leaks()
{
    awk -F'\t' '$1 == "REQ" { split($3, p, "/"); name[$2] = p[2] == "x" ? p[3] : p[2] } $1 == "H" && /CANARY|Q0FOQVJZ/ { print name[$2] }
                $1 == "REQ" && /CANARY|Q0FOQVJZ/ { print name[$2] }' "$work/log.b" | sort -u
}

# Names of cases in which a part was asked for.
ranged()
{
    awk -F'\t' '$1 == "REQ" && $5 != "-" { split($3, p, "/"); print p[2] == "x" ? p[3] : p[2] }' "$work/log.a" "$work/log.b" | sort -u
}

# Results get what only the logs know. A case about ranges in which none was asked for has tested nothing.
completed() # <raw
{
    leaks >"$work/leaks"
    ranged >"$work/ranged"
    awk -F'\t' '$4 ~ /ranged/ { print $1 }' "$work/plan" | sort >"$work/meant"
    awk -F'\t' -v OFS='\t' -v tool="$TOOL" '
        FILENAME ~ /leaks$/ { leaked[$1]; next }
        FILENAME ~ /ranged$/ { ranged[$1]; next }
        FILENAME ~ /meant$/ { meant[$1]; next }
        $1 in leaked { $2 = "LEAK"; $4 = "credentials came to another origin" }
        tool == "dlmgr" && ($1 in meant) && !($1 in ranged) { $4 = $4 " no part was asked for" }
        { print }' "$work/leaks" "$work/ranged" "$work/meant" - | sort
}

choose()
{
    awk -F'\t' -v p="$PATTERN" 'p == "" || $1 ~ p' "$work/plan" |
        if [ "$SLICE" -gt 0 ]; then
            shuf -n "$SLICE" --random-source=<(seq "$SEED" $((SEED + 100000)))
        else
            cat
        fi
}

count() { awk -F'\t' -v v="$1" '$2 == v' "$work/results" | wc -l; }

[ "${1:-}" != --one ] || { one "$2" && exit 0; }
TOOL=dlmgr PATTERN='' SLICE=0 SEED=0 KEEP='' LIST=''
while [ $# -gt 0 ]; do
    case $1 in
    --tool) TOOL=${2:?} && shift ;;
    --slice) SLICE=${2:?} SEED=${3:?} && shift 2 ;;
    --keep) KEEP=1 ;;
    --list) LIST=1 ;;
    -*) die "what is $1?" ;;
    *) PATTERN=$1 ;;
    esac
    shift
done
declare -F "call_$TOOL" >/dev/null || die "no tool $TOOL"
LIMIT=${LIMIT:-30}
work=$(mktemp -d) || exit 1
CERTS=$B/hostile/certs-$(cksum <"$here/../../fixtures/certs.sh" | cut -d" " -f1)
export work TOOL KEEP LIMIT CERTS
trap stop EXIT
trap 'exit 130' INT TERM HUP
bodies_make
expand
choose >"$work/chosen"
[ -z "$LIST" ] || { cat "$work/chosen" && exit 0; }
servers_start
begin=$EPOCHREALTIME
tr '\n' '\0' <"$work/chosen" | xargs -0 -P "${J:-4}" -n 1 "$0" --one >"$work/raw"
completed <"$work/raw" >"$work/results"
[ -z "${RESULTS_TO:-}" ] || cp "$work/results" "$RESULTS_TO"
if [ "$TOOL" = dlmgr ]; then
    awk -F'\t' '$4 != "" { printf "  VIOLATION %s: %s\n", $1, $4 }' "$work/results"
else
    awk -F'\t' '$2 ~ /WRONG|LEAK|hang|crash|lost/ { printf "  %s %s (exit code %s)\n", $2, $1, $3 }' "$work/results"
fi
violations=$(awk -F'\t' '$4 != ""' "$work/results" | wc -l)
total=$(wc -l <"$work/results")
[ "$total" = "$(wc -l <"$work/chosen")" ] || { echo "  VIOLATION cases without a result" && violations=$((violations + 1)); }
for v in right failed looser short lost WRONG LEAK hang crash; do
    printf '%s %s, ' "$v" "$(count "$v")"
done
awk -v b="$begin" -v e="$EPOCHREALTIME" 'BEGIN { printf "%.0f s\n", e - b }'
[ "$TOOL" = dlmgr ] || violations=0
echo "$TOOL: $total cases, violations $violations"
[ "$violations" = 0 ] && [ "$total" -gt 0 ]
