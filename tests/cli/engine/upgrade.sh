#!/bin/bash
# SPDX-License-Identifier: MIT
#
# upgrade.sh - another version takes the place of the one that runs, or finds what it left: what goes on, and what is said.
# shellcheck disable=SC2119,SC2016,SC1010,SC2154
. tests/lib/story.sh

ONE=$B/as/1.0.0-1-2/dlmgr   # speaks protocols 1 to 2
TWO=$B/as/2.0.0-2-3/dlmgr   # 2 to 3
THREE=$B/as/3.0.0-4-5/dlmgr # 4 to 5: it understands nobody else

daemon_pid()
{
    "$DLMGR" daemon status 2>/dev/null | sed -n 's/^running, pid \([0-9]*\),.*/\1/p'
}

install_there() # PROGRAM PATH: a new file in the place of the old one
{
    cp "$1" "$2.new" && mv "$2.new" "$2"
}

# A few rounds of the tool that replaces the program under load.
test_rounds_under_load()
{
    check env ROUNDS=3 TMPDIR="$TMP" "$ROOT/tests/upgrade.sh"
}

test_version_and_status_tell_who_runs()
{
    expect 0 "$ONE" --version
    out_is "$(printf 'dlmgr 1.0.0\nprotocols 1 to 2')"
    expect 0 "$DLMGR" --version
    out_has '^protocol [0-9]+$'
    expect 0 "$ONE" daemon start
    expect 0 "$ONE" daemon status
    out_has '^dlmgr 1.0.0, protocols 1 to 2$'
    no_err
    expect 0 "$TWO" daemon status
    out_has '^dlmgr 1.0.0, protocols 1 to 2$'
    err_has 'the owner runs dlmgr 1\.0\.0, this is 2\.0\.0: `dlmgr daemon restart`'
    expect 0 "$TWO" --json daemon status
    out_has '"version":"1.0.0","protocol_oldest":1,"protocol_newest":2,"tasks":\{"queued":0'
    expect 0 "$TWO" daemon restart
    expect 0 "$ONE" daemon status
    out_has '^dlmgr 2.0.0, '
    err_has 'the owner runs dlmgr 2\.0\.0, this is 1\.0\.0, an older one'
}

# Each command of the side that cannot talk says both versions, both ranges, and what to do.
refused() # PROGRAM WORDS
{
    local program=$1
    while read -ra command; do
        expect 69 "$program" "${command[@]}"
        err_has "the owner of the home \(dlmgr [0-9.]+\) speaks protocols . to ., this program \(dlmgr [0-9.]+\) speaks protocols . to .: $2"
    done <<END
list
add --no-start $FIXTURE_URL/x
get $FIXTURE_URL/x
wait 1
events
daemon status
END
}

test_no_common_protocol_says_which_side_to_upgrade()
{
    fixture_start
    expect 0 "$ONE" daemon start --forever
    expect 0 "$ONE" add "$FIXTURE_URL/a?size=3M&rate=1M&etag=\"a\""
    refused "$THREE" 'upgrade the owner; `dlmgr daemon restart`'
    expect 69 "$THREE" daemon status
    out_has '^running, pid [0-9]+, '
    out_has '^dlmgr 1.0.0, protocols 1 to 2$'
    background wait "$ONE" wait 1
    background events "$ONE" events --follow --after 0
    background get "$ONE" get "$FIXTURE_URL/b?size=3M&rate=1M&etag=\"b\""
    background app "$B/as/1.0.0-1-2/listener" "$DLMGR_HOME" org.example.app
    wait_for 10 sh -c 'ls b.*.part'

    # What it advises works, and those that were attached end with the same words instead of waiting for ever.
    expect 0 "$THREE" daemon restart
    expect 0 "$THREE" daemon status
    refused "$ONE" 'upgrade this program; if that was done while it ran, start it anew'
    for name in wait events get app; do
        wait_for 30 grep -q 'speaks protocols 4 to 5, this program (dlmgr 1.0.0) speaks protocols 1 to 2: upgrade this program' "$TMP/$name.err"
    done
    expect 0 "$THREE" wait
    "$FIXTURE" --body "size=3M" >"$TMP/body"
    same_file a "$TMP/body"
    same_file b "$TMP/body"
    expect 0 "$ONE" daemon stop
    expect 69 "$ONE" daemon status
    expect 0 "$ONE" list --state done
    same "$(wc -l <"$TMP/out")" 2
}

# A get that owned the home leaves the rest to the daemon that is installed by now, not to the one that it was itself.
test_a_replaced_program_starts_the_new_one()
{
    fixture_start
    mkdir "$TMP/bin"
    install_there "$ONE" "$TMP/bin/dlmgr"
    background owner "$TMP/bin/dlmgr" get "$FIXTURE_URL/a?size=2M&rate=1M"
    wait_for 10 sh -c 'ls a.*.part'
    expect 0 "$TMP/bin/dlmgr" add "$FIXTURE_URL/b?size=20M&rate=1M"
    install_there "$TWO" "$TMP/bin/dlmgr"
    wait "$pid"
    same $? 0
    same "$(readlink "/proc/$(daemon_pid)/exe")" "$TMP/bin/dlmgr"
    expect 0 "$TWO" daemon status
    out_has '^dlmgr 2.0.0, '
    expect 0 "$TWO" daemon stop

    # Removed altogether, it is itself that it starts.
    background owner "$TMP/bin/dlmgr" get "$FIXTURE_URL/c?size=2M&rate=1M"
    wait_for 10 sh -c 'ls c.*.part'
    rm "$TMP/bin/dlmgr"
    wait "$pid"
    same $? 0
    expect 0 "$TWO" daemon status
    out_has '^dlmgr 2.0.0, '
}

# Killed at its worst: socket, lock file, WAL and part stay. The next command needs no help.
test_what_a_dead_owner_left_is_mended()
{
    fixture_start
    expect 0 "$ONE" daemon start --forever
    expect 0 "$ONE" add "$FIXTURE_URL/a?size=3M&rate=1M&etag=\"a\""
    wait_for 10 sh -c 'ls a.*.part'
    kill -KILL "$(daemon_pid)"
    wait_for 10 sh -c "! '$ONE' daemon status"
    check [ -S "$DLMGR_HOME/control.sock" ]
    check [ -e "$DLMGR_HOME/lock" ]
    expect 0 "$TWO" list
    expect 0 "$TWO" daemon stop
    err_has 'not running'
    background wait "$ONE" wait 1
    expect 0 "$TWO" add "$FIXTURE_URL/b?size=10k"
    expect 0 "$TWO" wait
    expect 0 "$TWO" daemon status
    out_has '^dlmgr 2.0.0, '
    "$FIXTURE" --body "size=3M" >"$TMP/body"
    same_file a "$TMP/body"
}

journal_version() # [N]: what stands in the header of journal.db, bytes 60 to 63
{
    [ $# = 0 ] || printf '\0\0\0%b' "\\x$1" | dd of="$DLMGR_HOME/journal.db" bs=1 seek=60 conv=notrunc status=none
    od -An -tu1 -j60 -N4 "$DLMGR_HOME/journal.db" | awk '{ print $4 }'
}

# An older program does not touch what a newer one wrote, whatever it is asked to do.
test_a_newer_journal_is_refused_untouched()
{
    local before version
    fixture_start
    expect 0 "$DLMGR" add --no-start "$FIXTURE_URL/a?size=1k"
    version=$(journal_version)
    same "$(journal_version 9)" 9
    before=$(sha256sum <"$DLMGR_HOME/journal.db")
    while read -ra command; do
        expect 78 "$ONE" "${command[@]}"
        err_has "journal.db is of version 9, and this dlmgr 1\.0\.0 knows up to $version: install the newer dlmgr again"
        same "$(sha256sum <"$DLMGR_HOME/journal.db")" "$before" "the journal after ${command[*]}"
        check_not [ -s "$DLMGR_HOME/journal.db-wal" ]
    done <<END
list
show 1
events
events --ack-to 1
add --no-start $FIXTURE_URL/b
add $FIXTURE_URL/b
get $FIXTURE_URL/b
remove --all
set --priority 3 1
run
daemon start
daemon restart
daemon run
END
    journal_version "$version" >"$TMP/out"
    expect 0 "$DLMGR" get "$FIXTURE_URL/a?size=1k"
}

run_stories "$@"
