#!/bin/bash
# SPDX-License-Identifier: MIT
#
# storm.sh [embedded|service] - `make storm`: many tasks of one session, and SIGKILL at random until there were enough.
#
# The application is examples/exactly-once; with `service` it is a client of `dlmgr daemon run`, and the kill falls on it, on the
# daemon, or on both. After each run ledger.c looks at what the application counted and at all that it was told: each file once, no number
# missing, none again, `ready` at each opening, `drained` at the end, a last progress that equals the size. Without an argument both, one after the other.
#
#     FILES=10000 KILLS=500 MS=1600 DELAY=500 SEED=1       DELAY: ms that the server waits before each file
# shellcheck disable=SC2317
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac
export B
files=${FILES:-10000} kills=${KILLS:-500} ms=${MS:-1600} delay=${DELAY:-500}
dir=$(mktemp -d "${TMPDIR:-/tmp}/dlmgr-storm-XXXXXX") || exit 1
server='' killing='' bad=0
export HOME=$dir XDG_CONFIG_HOME=$dir LC_ALL=C.UTF-8
unset http_proxy https_proxy all_proxy no_proxy

finish()
{
    [ -z "$killing" ] || kill "$killing" 2>/dev/null
    [ -z "$server" ] || kill "$server" 2>/dev/null
    [ "$bad" != 0 ] || rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

"$B/fixture-server" >"$dir/port" &
server=$!
for _ in $(seq 200); do
    [ ! -s "$dir/port" ] || break
    sleep 0.02
done
url=http://127.0.0.1:$(grep -o '[0-9]*' "$dir/port")

# Each file has a size and bytes of its own.
urls=() bytes=0
for ((n = 1; n <= files; n++)); do
    size=$((n * 7919 % 8000 + 1))
    urls+=("$url/$n?size=$size&seed=$n&delay=$delay")
    bytes=$((bytes + size))
done

storm() # NAME KILL-APP-OPTION...
{
    local w=$dir/$1
    shift
    mkdir -p "$w/d"
    DLMGR_HOME=$w/home tests/kill-app --timeout 3600 --seed "${SEED:-1}" --logs "$w.logs" \
        --check "'$B/crash/ledger' '$w/ledger' \"\$KILL_APP_OUT\" \$KILL_APP_ENDED $files $bytes && rm -f \"\$KILL_APP_OUT\"" \
        --random "$ms" --kills "$kills" "$@" -- "$B/examples/exactly-once" "$w/ledger" "$w/d" "${urls[@]}" &
    killing=$!
    wait "$killing" || bad=1
    killing=''
}

case ${1:-} in '' | embedded)
    echo "embedded: $files files, $kills kills of the application"
    storm embedded
    ;;
esac
case ${1:-} in '' | service)
    echo "with the service: $files files, $kills kills of the application, the service or both"
    storm service --also "$B/dlmgr daemon run" --ready "test -S '$dir/service/home/control.sock'" --kill any
    ;;
esac
[ "$bad" = 0 ] || echo "the evidence stands in $dir"
exit "$bad"
