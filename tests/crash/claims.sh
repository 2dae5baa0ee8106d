#!/bin/bash
# SPDX-License-Identifier: MIT
#
# claims.sh [--step N] [--from N] [MODE...] - an app with a session, and its service, killed at each of their system calls.
#
#     app       the app is killed at its Nth call, and started again; the service lives
#     embedded  the same, the app being the owner itself
#     service   the service is killed at its Nth call, and started again; the app lives
#     both      the app at its Nth, the service at a call that N leads to
#     take      while the app works another one takes its session, and is killed at its Nth call
#
# N = FROM, FROM + STEP, ... until the program under the killer ends before its Nth call. The app is holder.c: claimed files on the same and on
# another file system (/dev/shm), acknowledgements at once and later, replays. After each kill all is started again until the app was drained, and then
# its log (holder.awk), its files and the journal are checked. FILES (6). One case again: claims.sh --from N --step 0 MODE.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac
files=${FILES:-6} step=1 from=1
awk=$PWD/tests/crash/holder.awk
dir=$(mktemp -d "${TMPDIR:-/tmp}/dlmgr-claims-XXXXXX") || exit 1
other=$(mktemp -d "/dev/shm/dlmgr-claims-XXXXXX") || exit 1
export HOME=$dir XDG_CONFIG_HOME=$dir LC_ALL=C.UTF-8
unset http_proxy https_proxy all_proxy no_proxy DLMGR_HOME
broken=0 kills=0 rounds=0 deliveries=0 left=0 server='' service='' first=''

finish()
{
    [ -z "$service" ] || kill -KILL "$service" 2>/dev/null
    [ -z "$first" ] || kill -KILL "$first" 2>/dev/null
    [ -z "$server" ] || kill "$server" 2>/dev/null
    rm -rf "$other"
    if [ "$broken" = 0 ] && [ -z "${KEEP:-}" ]; then rm -rf "$dir"; else echo "  the evidence stands in $dir"; fi
}
trap finish EXIT

wrong()
{
    echo "  $mode $n: $*"
    broken=$((broken + 1))
}

start_server()
{
    "$B/fixture-server" >"$dir/port" &
    server=$!
    for _ in $(seq 200); do
        [ ! -s "$dir/port" ] || break
        sleep 0.02
    done
    urls=()
    for i in $(seq 0 $((files - 1))); do
        urls+=("http://127.0.0.1:$(grep -o '[0-9]*' "$dir/port")/f/$i.bin?size=$((i * 7001 + (i > 0)))&seed=$i")
        curl -sf "${urls[$i]}" -o "$dir/$i" || exit 1
    done
}

# ---- A round ---------------------------------------------------------------------------------------------------------

round_begin()
{
    r=$dir/round
    rm -rf "$r" "$other"/to
    mkdir -p "$r/dl" "$r/to" "$other/to"
    rounds=$((rounds + 1))
}

holder() # [COMMAND BEFORE...]
{
    "$@" "$B/crash/holder" "$r/home" "$r/dl" "$r/to" "$other/to" "$r/log" "${urls[@]/%/\&delay=$delay}" 2>>"$r/words"
}

under_killer() # N COMMAND...
{
    local at=$1
    shift
    "$B/crash/killer" --kill-at "$at" --timeout 60 -- "$@"
}

service_start() # [COMMAND BEFORE...]
{
    "$@" "$B/dlmgr" --home "$r/home" daemon run --stay >/dev/null 2>>"$r/words" &
    service=$!
}

service_answers()
{
    for _ in $(seq 200); do
        ! "$B/dlmgr" --home "$r/home" daemon status >/dev/null 2>&1 || return 0
        kill -0 "$service" 2>/dev/null || return 1
        sleep 0.02
    done
    return 1
}

service_ready()
{
    service_start
    service_answers || wrong 'the service did not start'
}

service_end()
{
    [ -n "$service" ] || return 0
    "$B/dlmgr" --home "$r/home" daemon stop 2>/dev/null
    kill -KILL "$service" 2>/dev/null
    wait "$service" 2>/dev/null
    service=''
}

# The service runs again once it was killed.
service_again()
{
    kill -0 "$service" 2>/dev/null && return
    wait "$service" 2>/dev/null
    service_start
    service_answers
}

# The app runs; the service is started again under it once it was killed. The app's exit code in `code`.
beside_service() # COMMAND BEFORE...
{
    killed=''
    HOLDER_ATTACHES=1 holder "$@" &
    first=$!
    while kill -0 "$first" 2>/dev/null; do
        if ! kill -0 "$service" 2>/dev/null; then
            wait "$service" 2>/dev/null
            killed=1
            service_start
            service_answers
        fi
        sleep 0.02
    done
    wait "$first"
    code=$?
    first=''
    # What the killer killed is gone a moment before the killer itself.
    [ "$code" != 75 ] || sleep 0.3
    kill -0 "$service" 2>/dev/null || killed=1
}

# Until it is drained; whoever was killed meanwhile is started again.
until_drained()
{
    local code i killed
    for i in $(seq 30); do
        if [ -n "$service" ]; then
            service_again
            beside_service timeout -k 1 60
        else
            holder timeout -k 1 60
            code=$?
        fi
        [ "$code" != 0 ] || return 0
        [ "$code" = 75 ] || { wrong "the app ended with $code: $(tail -n 1 "$r/log")"; return 1; }
        sleep 0.05
    done
    wrong "not drained after $i starts"
}

check_files()
{
    local i at
    for i in $(seq 0 $((files - 1))); do
        case $((i % 3)) in
        0) at=$r/to/$i ;;
        1) at=$other/to/$i ;;
        2) at=$r/dl/$i.bin ;;
        esac
        cmp -s "$at" "$dir/$i" || wrong "$at is not what the server has"
        # Between acknowledging and unlinking a kill leaves the original of a copy.
        if [ $((i % 3)) = 1 ] && [ -e "$r/dl/$i.bin" ]; then
            left=$((left + 1))
            rm -f "$r/dl/$i.bin"
        fi
    done
    [ "$(find "$r/dl" "$r/to" "$other/to" -type f | wc -l)" = "$files" ] ||
        wrong "files that should not be there: $(find "$r/dl" "$r/to" "$other/to" -type f | tr '\n' ' ')"
}

check_round()
{
    local line info
    line=$(awk -v tasks="$files" -f "$awk" "$r/log") || wrong "$line"
    deliveries=$((deliveries + $(sed -n 's/.* \([0-9]*\) deliveries.*/\1/p' <<<"$line")))
    check_files
    info=$("$B/dlmgr" --home "$r/home" session show org.example.holder --json 2>&1)
    grep -q '"oldest": *null' <<<"$info" || wrong "unacknowledged: $info"
    service_end
    if [ -e "$r/home/control.sock" ]; then # the kill came while it stopped: the next owner cleans up
        service_ready
        service_end
    fi
    line=$("$B/dlmgr" --home "$r/home" doctor 2>&1) || wrong "doctor: $line"
    [ "$broken" = 0 ] || { mv "$r" "$dir/broken.$mode.$n"; return 1; }
}

# ---- Modes: 0 when the kill came, 1 when the program ended before ------------------------------------------------------

round_app()
{
    service_ready
    HOLDER_ATTACHES=1 holder under_killer "$n"
    [ $? = 137 ]
}

round_embedded()
{
    holder under_killer "$n"
    [ $? = 137 ]
}

round_service()
{
    local code killed
    service_start "$B/crash/killer" --kill-at "$n" --timeout 60 --
    service_answers
    beside_service env
    [ -n "$killed" ]
}

round_both()
{
    local code killed
    service_start "$B/crash/killer" --kill-at $((60 + n * 37 % 400)) --timeout 60 --
    service_answers
    beside_service under_killer "$n"
    [ -z "$killed" ] || kills=$((kills + 1))
    [ "$code" != 0 ] # 75: the service was killed before the app's Nth call
}

round_take()
{
    local code
    service_ready
    HOLDER_ATTACHES=1 holder &
    first=$!
    for _ in $(seq 100); do
        ! grep -q ' held' "$r/log" 2>/dev/null || break
        sleep 0.005
    done
    HOLDER_ATTACHES=1 holder under_killer "$n"
    code=$?
    wait "$first"
    first=''
    [ "$code" = 137 ]
}

run_mode()
{
    local before=$kills
    n=$from delay=20
    [ "$mode" != take ] || delay=250 # so that the first one still works when the second comes
    while :; do
        round_begin
        "round_$mode" || { round_last=1; }
        [ -n "${round_last:-}" ] || kills=$((kills + 1))
        if ! until_drained || ! check_round; then break; fi
        service_end
        if [ -n "${round_last:-}" ] || [ "$step" = 0 ]; then break; fi
        n=$((n + step))
    done
    service_end
    unset round_last
    echo "$mode: $((kills - before)) kills, the last round at call $n"
}

modes=()
while [ $# -gt 0 ]; do
    case $1 in
    --step) step=$2 && shift ;;
    --from) from=$2 && shift ;;
    app | embedded | service | both | take) modes+=("$1") ;;
    *) echo "claims.sh: $1: see the head of this file" && exit 64 ;;
    esac
    shift
done
mode=server n=0
start_server
for mode in "${modes[@]:-app}" ; do
    run_mode
done
echo "$kills kills in $rounds rounds, $deliveries deliveries, $left originals left beside their copies; violations $broken"
[ "$broken" = 0 ]
