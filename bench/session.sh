#!/bin/bash
# SPDX-License-Identifier: MIT
#
# session.sh - what durable events cost an app: replaying EVENTS of them, acknowledging, and handling each of many small files.
#
# The app is session.c. With and without a session take turns in a round, each with a fresh home and directory.
# shellcheck disable=SC2153,SC2154 # set by run.sh

app() # HOME VERB [ARGUMENT...]: its figures in $work/figures
{
    "$B/bench/session" "$@" >"$work/figures" 2>"$work/words" || { tail -n 5 "$work/words" >&2; die "session $2 failed"; }
    [ "$(of wrong 0)" = 0 ] || die "session $2: $(of wrong 0) events were not what was stored"
}

of() # NAME [OTHERWISE]
{
    awk -v name="$1" -v value="${2:-}" '$1 == name { value = $2 } END { print value }' "$work/figures"
}

session_queue()
{
    local home=$session/home copy
    "$B/bench/session" "$home" fill "$EVENTS" >/dev/null || die 'session fill failed'
    for copy in ready restored ack; do
        cp -a "$home" "$session/$copy"
    done
    app "$session/ready" replay
    [ "$(of events)" = "$EVENTS" ] || die "$(of events) of $EVENTS events came"
    sample session.replay "$(of ready_s)"
    sample session.replay.rss "$(calc "$(of VmHWM_kib) / 1024")"
    app "$session/restored" restored
    sample session.restored "$(of ready_s)"
    sample session.restored.rss "$(calc "$(of VmHWM_kib) / 1024")"
    app "$session/ack" ack
    sample session.ack.one "$(of one_by_one_per_s)"
    sample session.ack.many "$(of batches_of_100_per_s)"
    rm -rf "${home:?}" "$session/ready" "$session/restored" "$session/ack"
}

session_files() # files | plain
{
    local dir=$session/$1.$2
    mkdir -p "$dir/files"
    sync
    app "$dir/home" "$1" "$dir/files" "$lists/small"
    sample "session.rate.$1" "$(calc "$FILES / $(of files_s)")"
    say "  $1: $(of files_s) s"
}

part_session()
{
    local round verb
    session=$work/session
    mkdir "$session"
    for ((round = 0; round < N; round++)); do
        for verb in $(rotated "$round" files plain); do
            session_files "$verb" "$round"
        done
    done
    session_queue
    rm -rf "$session"
    heading "An app with a session"
    figure session.rate.plain "rate of $FILES files of 10 KiB, without a session" "$(median session.rate.plain)" files/s
    figure session.rate.files 'rate, each event handled' "$(median session.rate.files)" files/s
    figure session.ratio 'rate, with a session to without' \
        "$(median session.rate.files) / $(median session.rate.plain)" '' '>=' 0.9
    figure session.ack.one 'events acknowledged one by one' "$(median session.ack.one)" /s
    figure session.ack.many 'events acknowledged in batches of 100' "$(median session.ack.many)" /s
    figure session.replay "opening with $EVENTS events to replay" "$(median session.replay)" s
    figure session.replay.rss 'its peak of memory, engine included' "$(median session.replay.rss)" MiB
    figure session.restored "the same with $EVENTS tasks restored" "$(median session.restored)" s
    figure session.restored.rss 'its peak of memory' "$(median session.restored.rss)" MiB
}
