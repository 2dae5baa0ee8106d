#!/bin/bash
# SPDX-License-Identifier: MIT
#
# small.sh - many files of 10 KiB: files a second, alone and while another process writes to the same file system.
#
# Each run has a fresh directory, and none is deleted before the part ends: ext4 looks past inodes that were freed in
# the last minutes when it creates a file, which would charge one run's deletion to the next.
#
# The second half has an owner in the background, so that it can be asked for its longest commit when all is done, and a
# writer of WRITER MiB that starts with it and syncs at its end. dlmgr has its journal on that same disk.
# shellcheck disable=SC2153,SC2154 # set by run.sh

small_dlmgr()
{
    "$DLMGR" --home "$1/home" -q get -i "$lists/small" -d "$1/files"
}

small_curl()
{
    curl -sf -Z --parallel-max 8 --output-dir "$1/files" -K "$lists/small.curl"
}

small_aria2()
{
    aria2c -q --no-conf -j8 -i "$lists/small" -d "$1/files"
}

small_wget()
{
    wget -q -i "$lists/small" -P "$1/files"
}

# What is served and its lists, which other parts use too.
small_lists()
{
    local i
    mkdir -p "$www/s"
    (cd "$www/s" && head -c $((FILES * 10240)) "$www/large" | split -b 10240 -a 6 -d - f)
    for i in "$www"/s/f*; do
        echo "$http/s/${i##*/}"
    done >"$lists/small"
    sed 's,.*/\(.*\),url = "&"\noutput = "\1",' "$lists/small" >"$lists/small.curl"
}

small_dir()
{
    local dir
    dir=$(mktemp -d "$small/XXXXXX")
    mkdir "$dir/files"
    sync
    echo "$dir"
}

small_check() # TOOL DIR
{
    diff -rq "$www/s" "$2/files" >"$work/words" || die "$1: $(wc -l <"$work/words") files are not what the server has"
}

small_one() # TOOL
{
    local dir
    dir=$(small_dir)
    timed "small_$1" "$dir"
    small_check "$1" "$dir"
    sample "small.rate.$1" "$(calc "$FILES / $wall")"
    sample "small.cpu.$1" "$(calc "$cpu / $FILES * 1e6")"
    say "  $1: $wall s, CPU $cpu s"
}

small_work() # DIR
{
    "$DLMGR" --home "$1/home" -q add -i "$lists/small" -d "$1/files" &&
        "$DLMGR" --home "$1/home" -q wait
}

small_beside_writer()
{
    local dir writer longest
    dir=$(small_dir)
    owner_start "$dir/home"
    dd if=/dev/zero of="$small/written" bs=1M count="$WRITER" conv=fsync 2>/dev/null &
    writer=$!
    timed small_work "$dir"
    longest=$(owner_commit "$dir/home")
    owner_stop
    wait "$writer"
    rm -f "$small/written"
    small_check dlmgr "$dir"
    sample small.busy.rate "$(calc "$FILES / $wall")"
    sample small.busy.commit "$(calc "$longest / 1000")"
    say "  dlmgr beside a writer: $wall s, longest commit $longest us"
}

part_small()
{
    local round tool tools='dlmgr curl'
    ! have aria2c || tools+=' aria2'
    ! have wget || tools+=' wget'
    small=$work/small
    mkdir "$small"
    for ((round = 0; round < N; round++)); do
        # shellcheck disable=SC2086
        for tool in $(rotated "$round" $tools); do
            small_one "$tool"
        done
    done
    for ((round = 0; round < N; round++)); do
        small_beside_writer
    done
    rm -rf "$small"
    heading "$FILES files of 10 KiB from nginx to disk"
    compared small.rate rate files/s dlmgr curl aria2 wget
    ratio small.rate rate curl '>=' 0.6
    ratio small.rate rate aria2 '>=' 2
    compared small.cpu 'CPU of one file' us dlmgr curl aria2 wget
    figure small.busy.rate "rate, dlmgr, another process writing $WRITER MiB" "$(median small.busy.rate)" files/s
    figure small.busy.commit 'longest commit meanwhile, of all rounds' "$(largest small.busy.commit)" ms
}
