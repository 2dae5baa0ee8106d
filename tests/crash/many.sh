#!/bin/bash
# SPDX-License-Identifier: MIT
#
# many.sh [FILES [MS]] - many small files, and SIGKILL every MS milliseconds until all are done (1044 files, 200 ms).
#
# The killer asks what happens between two calls; this asks what a user sees who is unlucky all the time. After each kill
# the journal is read by `list` and the place in the server's log is noted: a task that was done then may not be asked for
# again later. At the end: each file once and whole, one terminal event each, no part left. The server takes its time
# (DELAY ms a file), or all would be over before the second kill.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac
files=${1:-1044} ms=${2:-200} delay=${DELAY:-20}
dir=$(mktemp -d "${TMPDIR:-/tmp}/dlmgr-many-XXXXXX") || exit 1
home=$dir/home dest=$dir/dest
mkdir "$dest"
export HOME=$dir XDG_CONFIG_HOME=$dir LC_ALL=C.UTF-8
unset http_proxy https_proxy all_proxy no_proxy DLMGR_HOME
broken=0 server='' owner=''

dlmgr() { "$B/dlmgr" --home "$home" "$@"; }

wrong()
{
    echo "  $*"
    broken=$((broken + 1))
}

finish()
{
    [ -z "$owner" ] || kill -KILL "$owner" 2>/dev/null
    [ -z "$server" ] || kill "$server" 2>/dev/null
    if [ "$broken" = 0 ]; then rm -rf "$dir"; else echo "  the evidence stands in $dir"; fi
}
trap finish EXIT

start_server()
{
    "$B/fixture-server" --log "$dir/served" >"$dir/port" &
    server=$!
    for _ in $(seq 200); do
        [ ! -s "$dir/port" ] || break
        sleep 0.02
    done
    url=http://127.0.0.1:$(grep -o '[0-9]*' "$dir/port")
}

query() # N: what the server is asked for, each file with a size and bytes of its own
{
    echo "size=$((($1 * 7919) % 30000 + 1))&seed=$1&delay=$delay"
}

add_all()
{
    local n
    for n in $(seq "$files"); do
        printf '%s/f/%s.bin?%s\n  key=%s\n' "$url" "$n" "$(query "$n")" "$n"
    done >"$dir/list"
    [ "$(dlmgr add --no-start -d "$dest" -i "$dir/list" | wc -l)" = "$files" ] || wrong "not all were added"
}

# One launch: killed after MS, or done before. Its exit code is in $code.
launch()
{
    "$B/dlmgr" --home "$home" run -q >>"$dir/run.out" 2>>"$dir/run.err" &
    owner=$!
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
    kill -KILL "$owner" 2>/dev/null && kills=$((kills + 1))
    wait "$owner" 2>/dev/null
    code=$?
    owner=''
}

# Paths of done tasks, and of what was asked for on lines of the server's log after the given one.
done_paths() { dlmgr --json list --state 'done' | sed -n 's,.*"url": *"[a-z]*://[^/]*\(/f/[0-9]*\.bin\).*,\1,p' | sort; }
asked_after() { tail -n "+$(($1 + 1))" "$dir/served" | sed -n 's,^REQ\t[0-9]*\t\(/f/[0-9]*\.bin\).*,\1,p' | sort; }

none_after_done()
{
    local again
    again=$(comm -12 "$dir/done" <(asked_after "$line" | uniq) | head -n 3)
    [ -z "$again" ] || wrong "asked for again after they were done: $again"
    line=$(wc -l <"$dir/served")
    before=$(wc -l <"$dir/done")
    done_paths >"$dir/done"
    # On a machine that is so busy that a launch brings nothing, the next one gets a little more.
    [ "$(wc -l <"$dir/done")" -gt "$before" ] || ms=$((ms + 20))
}

each_file_is_whole()
{
    local n
    for n in $(seq "$files"); do
        "$B/fixture-server" --body "$(query "$n")" | cmp -s - "$dest/$n.bin" || wrong "$n.bin is not whole"
    done
    [ "$(find "$dest" -type f | wc -l)" = "$files" ] || wrong "there are $(find "$dest" -type f | wc -l) files"
    [ -z "$(find "$dest" -name '*.part')" ] || wrong "parts are left"
}

one_event_each()
{
    dlmgr events >"$dir/events"
    sed -n 's/.*"type": *"\(done\|failed\|cancelled\)".*/\1/p' "$dir/events" | sort | uniq -c >"$dir/types"
    [ "$(sed 's/^ *//' "$dir/types")" = "$files done" ] || wrong "terminal events: $(cat "$dir/types")"
    [ "$(grep '"type": *"done"' "$dir/events" | sed 's/.*"task": *\([0-9]*\).*/\1/' | sort -u | wc -l)" = "$files" ] ||
        wrong "not one done event for each task"
}

start_server
add_all
kills=0 line=0 code=1 begin=$SECONDS
touch "$dir/served"
: >"$dir/done"
until [ "$code" = 0 ] || [ "$broken" -gt 0 ] || [ $((SECONDS - begin)) -gt 300 ]; do
    launch
    [ "$code" = 0 ] || [ "$code" = 137 ] || wrong "run ended with $code: $(tail -n 3 "$dir/run.err")"
    none_after_done
done
[ "$code" = 0 ] || wrong "not done after $((SECONDS - begin)) s"
[ "$(wc -l <"$dir/done")" = "$files" ] || wrong "$(wc -l <"$dir/done") of $files are done"
each_file_is_whole
one_event_each
asked=$(grep -c '^REQ' "$dir/served")
[ "$ms" = "${2:-200}" ] || echo "many: $ms ms in the end, since the machine is busy"
echo "many: $files files, $kills kills every ${2:-200} ms, $asked requests, violations $broken"
[ "$broken" = 0 ] && [ "$kills" -gt 0 ]
