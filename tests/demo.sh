#!/bin/bash
# SPDX-License-Identifier: MIT
#
# demo.sh - `make demo`: files come down, the program is killed in the middle, and a second launch finishes all of them.
#
# A server of our own stands in for the net: it serves files of known bytes at a few megabytes a second and
# writes down what it was asked for. All of it happens in a directory that is removed at the end, on this machine
# alone. The last lines are checked, not only printed: the exit code is 0 when every file is whole.
# shellcheck disable=SC2012,SC2317
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac
dir=$(mktemp -d "${TMPDIR:-/tmp}/dlmgr-demo-XXXXXX") || exit 1
export HOME=$dir XDG_CONFIG_HOME=$dir XDG_STATE_HOME=$dir/state
unset http_proxy https_proxy all_proxy no_proxy DLMGR_HOME
server='' owner=''
bold='' plain=''
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] && bold=$'\e[1m' plain=$'\e[0m'

finish()
{
    [ -z "$owner" ] || kill -KILL "$owner" 2>/dev/null
    [ -z "$server" ] || kill "$server" 2>/dev/null
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
shown() { printf '$ %s\n' "$*"; }

names=(film.mkv debian.iso photo-{1..6}.jpg)
query_of() # NAME
{
    case $1 in
    film.mkv) echo 'size=64M&seed=11&etag="f1"&rate=3M' ;;
    debian.iso) echo 'size=24M&seed=12&etag="d1"&rate=3M' ;;
    *) echo "size=700k&seed=2${1//[^0-9]/}&etag=\"p\"&rate=3M" ;;
    esac
}
digest_of() { "$B/fixture-server" --body "$(query_of "$1")" | sha256sum | cut -c1-64; }
served() { awk -F '\t' '$1 == "END" {n += $4} END {printf "%d", n}' "$dir/served"; }
mib() { awk -v n="$1" 'BEGIN {printf "%.1f MiB", n / 1048576}'; }

"$B/fixture-server" --log "$dir/served" >"$dir/port" &
server=$!
for _ in $(seq 100); do
    [ ! -s "$dir/port" ] || break
    sleep 0.02
done
url=http://127.0.0.1:$(grep -o '[0-9]*' "$dir/port")
mkdir "$dir/downloads"
cd "$dir/downloads" || exit 1
urls=()
for name in "${names[@]}"; do
    urls+=("$url/f/$name?$(query_of "$name")")
done

say "1. Eight files, 92 MiB, from a server that gives 3 MiB/s a connection. After 3 seconds: kill -9."
shown "dlmgr get $url/f/film.mkv $url/f/debian.iso ..."
"$B/dlmgr" get --no-start "${urls[@]}" &
owner=$!
sleep 3
kill -KILL "$owner"
wait "$owner" 2>/dev/null
owner=''

say "2. Killed. No file has its name before it is whole; the rest waits in parts."
shown ls -s --block-size=K
ls -s --block-size=K | tail -n +2
shown dlmgr list
"$B/dlmgr" list
before=$(served)

say "3. A second launch finishes them."
shown dlmgr run
"$B/dlmgr" run || { echo "dlmgr run failed with $?" && exit 1; }

say "4. Every file against its SHA-256, and what the server gave."
bad=0 total=0
for name in "${names[@]}"; do
    if [ "$(sha256sum <"$name" | cut -c1-64)" = "$(digest_of "$name")" ]; then
        printf '  %-14s %10d bytes  whole\n' "$name" "$(stat -c %s "$name")"
    else
        printf '  %-14s IS NOT WHOLE\n' "$name" && bad=1
    fi
    total=$((total + $(stat -c %s "$name")))
done
[ "$(find . -type f | wc -l)" = "${#names[@]}" ] || { echo '  something else was left behind' && bad=1; }
all=$(served)
printf '  files: %s; given before the kill: %s, after it: %s\n' "$(mib $total)" "$(mib "$before")" "$(mib $((all - before)))"
printf '  given twice: %d KiB, which were on their way when the kill came\n' $(((all - total) / 1024))
exit $bad
