#!/bin/bash
# SPDX-License-Identifier: MIT
#
# examples.sh - what people copy works: each program of examples/ is run, killed, and run again.
# shellcheck disable=SC2119,SC2016
. tests/lib/story.sh
EXAMPLES=$B/examples

# One whose library is missing was left out by the build; that is no reason to pass.
example() # NAME
{
    [ -x "$EXAMPLES/$1" ] || fail "examples/$1 was not built: make deps installs what it needs"
}

whole() # FILE QUERY
{
    "$FIXTURE" --body "$2" >"$TMP/body"
    same_file "$1" "$TMP/body"
}

said() { grep -qE -e "$2" "$TMP/$1.out"; } # NAME PATTERN: of a background process

count() { grep -cE -e "$1" "$TMP/out"; }

# ---- terminal ----------------------------------------------------------------------------------------

# What is typed comes through a pipe that stays open; its descriptor is in $keys. (It stands outside of $TMP, where the story would
# take ourselves for an owner.)
terminal_start() # NAME
{
    local pipe
    example terminal
    if [ -z "${keys:-}" ]; then
        pipe=$(mktemp -u)
        mkfifo "$pipe" && exec {keys}<>"$pipe" && rm "$pipe"
    fi
    "$EXAMPLES/terminal" . <&"$keys" >"$TMP/$1.out" 2>"$TMP/$1.err" &
    pid=$!
    echo "$pid" >>"$TMP/pids"
    wait_for 20 said "$1" '^ready'
}

type_line() { echo "$*" >&"$keys"; }

test_terminal_gets_back_what_was_there_when_it_was_killed()
{
    fixture_start
    terminal_start first
    check said first '^ready'
    wait_for 10 said first '^drained'
    type_line "$FIXTURE_URL/f.iso?size=2M&seed=1&etag=\"a\"&rate=1M a note of mine"
    wait_for 20 said first '1: [0-9]{6} of 2097152 bytes'
    kill -KILL "$pid"
    terminal_start second
    check said second 'restored 1: [a-z]+, [0-9]+ of 2097152 bytes, .*f.iso.*, note `a note of mine`'
    wait_for 20 said second '^drained'
    check said second '  done 1: .*/f.iso, note `a note of mine`'
    check said second '  1: 2097152 of 2097152 bytes'
    whole f.iso 'size=2M&seed=1'
    type_line quit
    wait_for 10 gone "$pid"
}

# The daemon goes on without it; what happened meanwhile comes at the next launch, once.
test_terminal_is_told_what_happened_meanwhile()
{
    fixture_start
    expect 0 "$DLMGR" daemon start
    terminal_start first
    type_line "$FIXTURE_URL/f.iso?size=1M&rate=1M&delay=300 mine"
    wait_for 20 said first '  1: '
    kill -KILL "$pid"
    expect 0 "$DLMGR" wait --timeout 20
    terminal_start second
    check said second '  meanwhile done 1: .*f.iso, note `mine`'
    wait_for 10 said second '^drained'
    kill -KILL "$pid"
    terminal_start third
    wait_for 10 said third '^drained'
    check_not said third meanwhile
    kill -KILL "$pid"
}

test_terminal_makes_room_for_another_owner_and_is_its_client()
{
    fixture_start
    terminal_start first
    expect 0 "$DLMGR" daemon restart
    type_line "$FIXTURE_URL/f.iso?size=1k mine"
    wait_for 20 said first '  done 1: '
    expect 0 "$DLMGR" daemon status
    check_not said first 'not done'
    type_line "cancel 77"
    wait_for 10 said first 'not done: .*77'
    type_line quit
    wait_for 10 gone "$pid"
}

# ---- service-client ------------------------------------------------------------------------------------

test_service_client_goes_and_comes_back()
{
    local url
    example service-client
    fixture_start
    url="$FIXTURE_URL/f.iso?size=1M&seed=2&rate=1M"
    expect 1 "$EXAMPLES/service-client" . "$url"
    err_has 'nobody owns'
    expect 0 "$DLMGR" daemon start
    expect 0 "$EXAMPLES/service-client" . "$url" "$FIXTURE_URL/no?status=404"
    out_has '^task 1: '
    expect 0 "$EXAMPLES/service-client" . "$url"
    out_is "task 1: $url"
    expect 0 "$EXAMPLES/service-client"
    same "$(count '^done: .*, asked for [0-9]+ s ago, is .*/f.iso$')" 1
    same "$(count '^failed: .*/no')" 1
    out_has '^all has ended$'
    whole f.iso 'size=1M&seed=2'
    expect 0 "$EXAMPLES/service-client"
    out_is 'all has ended'
}

# ---- glib ----------------------------------------------------------------------------------------------

test_glib_shows_bars_and_ends()
{
    example glib
    fixture_start
    expect 0 "$EXAMPLES/glib" . "$FIXTURE_URL/a?size=300k&seed=3&rate=500k" "$FIXTURE_URL/b?size=200k&seed=4"
    out_has '^\[####################\] http.*/a'
    out_has '^\[####################\] http.*/b'
    same "$(count '^done: .*/[ab]$')" 2
    whole a 'size=300k&seed=3'
    whole b 'size=200k&seed=4'
    expect 0 "$EXAMPLES/glib" . "$FIXTURE_URL/a?size=300k&seed=3&rate=500k"
    no_out
}

# ---- on-event.sh -----------------------------------------------------------------------------------------

# An event whose command failed comes again, so what is missing at first is made up for.
test_on_event_copies_each_file_that_has_come()
{
    fixture_start
    mkdir dest
    ln -s "$DLMGR" dlmgr
    PATH=$PWD:$PATH
    export PATH
    expect 0 "$DLMGR" daemon start
    expect 0 "$DLMGR" add --session org.example.a -d dest "$FIXTURE_URL/a%20b.txt?size=10k&seed=5" "$FIXTURE_URL/no?status=404"
    background on-event sh "$ROOT/examples/on-event.sh" "$TMP/in box" org.example.a
    wait_for 20 grep -q 'event 1 ' "$TMP/on-event.err"
    mkdir "$TMP/in box"
    wait_for 20 test -e "$TMP/in box/failed-2.json"
    wait_for 20 test -e "$TMP/in box/a b.txt"
    whole "$TMP/in box/a b.txt" 'size=10k&seed=5'
    check grep -q '"task": *2' "$TMP/in box/failed-2.json"
    wait_for 20 sh -c '[ -z "$(dlmgr events --session org.example.a)" ]'
}

# ---- exactly-once ----------------------------------------------------------------------------------------

test_exactly_once_counts_each_file_once()
{
    local i urls=()
    example exactly-once
    fixture_start
    for i in 1 2 3 4 5; do urls+=("$FIXTURE_URL/$i?size=${i}00k&rate=200k"); done
    for i in 1 2 3; do
        background "run-$i" "$EXAMPLES/exactly-once" "$TMP/ledger" . "${urls[@]}"
        wait_for 20 said "run-$i" '^ready'
        sleep 0.$((i * 2))
        kill -KILL "$pid"
    done
    expect 0 "$EXAMPLES/exactly-once" "$TMP/ledger" . "${urls[@]}"
    out_has '^5 files, 1536000 bytes$'
    expect 0 "$EXAMPLES/exactly-once" "$TMP/ledger" . "${urls[@]}"
    out_is "$(sed -n 1p "$TMP/out")"$'\nready\ndrained\n5 files, 1536000 bytes'
}

# The numbers of a home that was lost say nothing about the next one, even if that has as many.
test_exactly_once_begins_anew_in_another_home()
{
    example exactly-once
    fixture_start
    expect 0 "$EXAMPLES/exactly-once" "$TMP/ledger" . "$FIXTURE_URL/1?size=1k" "$FIXTURE_URL/2?size=1k"
    out_has '^2 files, 2048 bytes$'
    rm -rf "$DLMGR_HOME"
    expect 0 "$DLMGR" get -q --session org.example.exactly-once "$FIXTURE_URL/3?size=1k" "$FIXTURE_URL/4?size=1k" "$FIXTURE_URL/5?size=1k"
    expect 0 "$EXAMPLES/exactly-once" "$TMP/ledger" . "$FIXTURE_URL/1?size=1k" "$FIXTURE_URL/2?size=1k"
    out_has 'after 0, incarnation 1, another home'
    out_has '^replay 1 done '
    out_has '^replay 3 done '
    out_has '^5 files, 5120 bytes$'
}

# ---- The page that shows them ------------------------------------------------------------------------------

# Each block of code behind a line that names an example stands there, line by line in this order.
test_the_code_in_embedding_is_the_examples_own()
{
    local n=0 name line at now
    while IFS=$'\t' read -r name line; do
        case $line in
        begin) at=0 n=$((n + 1)) && continue ;;
        esac
        now=$(grep -nFx -e "$line" <(sed 's/^ *//' "$ROOT/$name") | cut -d: -f1 | awk -v at="$at" '$1 > at {print; exit}')
        [ -n "$now" ] || fail "docs/embedding.md shows what $name does not have: $line"
        at=$now
    done < <(awk 'match($0, /\(examples\/[a-z.-]*\):$/) {name = substr($0, RSTART + 1, RLENGTH - 3); print name "\tbegin"; next}
        /^    ./ && name != "" {sub(/^ */, ""); print name "\t" $0; next}
        /./ {name = ""}' "$ROOT/docs/embedding.md")
    [ "$n" -ge 8 ] || fail "only $n blocks of code were found"
}

run_stories "$@"
