#!/bin/bash
# SPDX-License-Identifier: MIT
#
# flood.sh - a very long list is added while eight downloads run: how long the owner's commits take, and how far its log grows.
#
# The eight come at 4 MiB/s each out of a file that is all holes, so that they write all the time and do not end before the
# adding does. The log (journal.db-wal) keeps its length after a checkpoint, but may be cut when nobody looks, so it is looked
# at all along.
# shellcheck disable=SC2153,SC2154 # set by run.sh

flood_lines()
{
    seq "$FLOOD" | sed "s,.*,$http/slow/large?n=&,"
}

flood_downloads() # HOME
{
    local i
    for i in 1 2 3 4 5 6 7 8; do
        "$DLMGR" --home "$1" -q add -x 1 --limit-rate 4M -d "$flood" -o "f$i" "$http/huge?n=$i" >/dev/null
    done
}

# The first eight tasks, that is; an owner may have taken others in advance.
flood_eight_run() # HOME
{
    [ "$("$DLMGR" --home "$1" --json list --state running --limit 8 | grep -c '"id": *[1-8],')" = 8 ]
}

flood_running() # HOME
{
    local i
    for ((i = 0; i < 100; i++)); do
        ! flood_eight_run "$1" || return 0
        sleep 0.1
    done
    die 'eight downloads do not run'
}

# Prints the largest size that FILE had until PID ended.
watch_size() # FILE PID
{
    local size largest=0
    while kill -0 "$2" 2>/dev/null; do
        size=$(stat -c %s "$1" 2>/dev/null || echo 0)
        [ "$size" -le "$largest" ] || largest=$size
        sleep 0.05
    done
    echo "$largest"
}

flood_add() # HOME
{
    "$DLMGR" --home "$1" -q add -i "$lists/flood" -d "$flood"
}

flood_one() # ROUND
{
    local home=$flood/home.$1 watcher commit size
    owner_start "$home" --max-per-host 8
    flood_downloads "$home"
    flood_running "$home"
    watch_size "$home/journal.db-wal" "$owner" >"$work/wal" &
    watcher=$!
    timed flood_add "$home"
    commit=$(owner_commit "$home")
    flood_eight_run "$home" || die 'the downloads ended before the adding'
    owner_stop
    wait "$watcher"
    size=$(cat "$work/wal")
    sample flood.add "$wall"
    sample flood.commit "$(calc "$commit / 1000")"
    sample flood.wal "$(calc "$size / 1048576")"
    say "  dlmgr: added in $wall s, longest commit $commit us, WAL $size bytes"
    rm -rf "$home" "$flood"/f*
}

part_flood()
{
    local round
    flood=$work/flood
    mkdir "$flood"
    truncate -s 4G "$www/huge"
    flood_lines >"$lists/flood"
    for ((round = 0; round < N; round++)); do
        flood_one "$round"
    done
    rm -rf "$flood" "$lists/flood" "$www/huge"
    heading "add -i of $FLOOD lines while eight downloads run"
    figure flood.add 'adding' "$(median flood.add)" s
    figure flood.commit 'longest commit, of all rounds' "$(largest flood.commit)" ms '<=' 100
    figure flood.wal 'largest journal.db-wal, of all rounds' "$(largest flood.wal)" MiB '<=' 64
}
