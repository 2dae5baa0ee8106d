#!/bin/bash
# SPDX-License-Identifier: MIT
#
# large.sh - one large file from nginx to disk: seconds of wall and of CPU.
#
# Each tool as its manual would have it used: dlmgr cuts the file over four connections, syncs what it writes and the
# directory, and keeps its journal; the others do none of that. A line with one connection (-x 1) shows what the cutting
# changes. The disk is synced before each, outside of what is measured, so that nobody pays for another's dirty pages.
# shellcheck disable=SC2153,SC2154 # set by run.sh

large_dlmgr()
{
    "$DLMGR" --home "$2/home" -q get -d "$2" "$1"
}

large_dlmgr_x1()
{
    "$DLMGR" --home "$2/home" -q get -x 1 -d "$2" "$1"
}

large_curl()
{
    curl -sf -o "$2/large" "$1"
}

large_aria2()
{
    aria2c -q --no-conf -d "$2" "$1"
}

large_wget()
{
    wget -q -O "$2/large" "$1"
}

large_one() # TOOL
{
    local dir
    dir=$(mktemp -d "$work/large.XXXXXX")
    sync
    timed "large_$1" "$http/large" "$dir"
    cmp -s "$www/large" "$dir/large" || die "$1: the file is not what the server has"
    sample "large.wall.$1" "$wall"
    sample "large.cpu.$1" "$cpu"
    say "  $1: $wall s, CPU $cpu s"
    rm -rf "$dir"
}

part_large()
{
    local round tool tools='dlmgr dlmgr_x1 curl'
    ! have aria2c || tools+=' aria2'
    ! have wget || tools+=' wget'
    for ((round = 0; round < N; round++)); do
        # shellcheck disable=SC2086
        for tool in $(rotated "$round" $tools); do
            large_one "$tool"
        done
    done
    heading "One file of $SIZE MiB from nginx to disk"
    compared large.wall wall s dlmgr dlmgr_x1 curl aria2 wget
    ratio large.wall wall curl '<=' 1.1
    compared large.cpu CPU s dlmgr dlmgr_x1 curl aria2 wget
    ratio large.cpu CPU curl '<=' 1.0
}
