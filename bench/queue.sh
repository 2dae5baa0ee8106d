#!/bin/bash
# SPDX-License-Identifier: MIT
#
# queue.sh - a long queue: seconds to add it, memory of an owner that has it, and seconds until that owner asks for the first file.
#
# The first 64 tasks are small files, which nginx writes to its log when they were asked for; all others crawl at 1 MiB/s
# a connection, so that what is queued stays queued. Each round begins with a copy of the journal as it was after adding.
# shellcheck disable=SC2153,SC2154 # set by run.sh

queue_list()
{
    local url=$seen/slow/large
    (
        head -n 64 "$lists/small" | sed "s,$http,$seen,"
        seq "$((TASKS - 64))" | sed "s,.*,$url?n=&,"
    ) >"$lists/queue"
}

queue_add() # HOME
{
    "$DLMGR" --home "$1" -q add --no-start -i "$lists/queue" -d "$queue/files"
}

# Sets first: seconds from $1 until the server has seen a request.
first_request() # BEGIN PID
{
    until [ -s "$seen_log" ]; do
        kill -0 "$2" 2>/dev/null || die 'it ended before it asked for anything'
        read -rt 0.002 <&"$never" || :
    done
    first=$(calc "$(now) - $1")
}

memory() # PID FIELD: MiB
{
    awk -v field="$2:" '$1 == field { print $2 / 1024 }' "/proc/$1/status"
}

queue_owner() # ROUND
{
    local home=$queue/home.$1 begin
    cp -a "$queue/home" "$home"
    : >"$seen_log"
    sync
    begin=$(now)
    owner_begin "$home"
    first_request "$begin" "$owner"
    sleep 2
    sample queue.first "$first"
    sample queue.rss.dlmgr "$(memory "$owner" VmRSS)"
    sample queue.peak.dlmgr "$(memory "$owner" VmHWM)"
    say "  dlmgr: first request after $first s, $(memory "$owner" VmRSS) MiB"
    owner_stop
    rm -rf "$home"
}

queue_aria2()
{
    local begin pid
    : >"$seen_log"
    begin=$(now)
    aria2c -q --no-conf -j8 -i "$lists/queue" -d "$queue/aria2" >/dev/null 2>&1 &
    pid=$!
    first_request "$begin" "$pid"
    sleep 2
    sample queue.first.aria2 "$first"
    sample queue.rss.aria2 "$(memory "$pid" VmRSS)"
    say "  aria2: first request after $first s, $(memory "$pid" VmRSS) MiB"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || :
    rm -rf "$queue/aria2"
}

part_queue()
{
    local round never
    queue=$work/queue
    mkdir "$queue" "$queue/files"
    exec {never}<> <(:)
    queue_list
    for ((round = 0; round < N; round++)); do
        rm -rf "${queue:?}/home"
        sync
        timed queue_add "$queue/home"
        sample queue.add "$wall"
        say "  dlmgr: $TASKS added in $wall s"
    done
    for ((round = 0; round < N; round++)); do
        queue_owner "$round"
        ! have aria2c || queue_aria2
    done
    exec {never}>&-
    rm -rf "$queue"
    heading "A queue of $TASKS"
    figure queue.add 'add -i, no owner' "$(median queue.add)" s '<=' "$(calc "3 * $TASKS / 100000")"
    figure queue.first 'start of the owner to the first request' "$(median queue.first)" s '<=' 0.5
    sampled queue.first.aria2 && figure queue.first.aria2 'the same, aria2' "$(median queue.first.aria2)" s
    figure queue.rss.dlmgr 'resident memory of the owner' "$(median queue.rss.dlmgr)" MiB '<=' 32
    figure queue.peak.dlmgr 'its peak' "$(median queue.peak.dlmgr)" MiB '<=' 32
    if sampled queue.rss.aria2; then
        figure queue.rss.aria2 'resident memory, aria2' "$(median queue.rss.aria2)" MiB
    else
        skipped queue.rss.aria2 'resident memory, aria2' 'not installed'
    fi
}
