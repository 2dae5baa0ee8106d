#!/bin/bash
# SPDX-License-Identifier: MIT
#
# service.sh - the service that a socket starts, and what `daemon status` says about reboots.
. tests/lib/story.sh

# As dlmgr.socket and dlmgr.service do it: the program begins when somebody connects. Sets pid, which becomes the daemon's.
socket_unit() # [ARG...]
{
    command -v systemd-socket-activate >/dev/null || fail "systemd-socket-activate is missing: make deps"
    mkdir -p "$DLMGR_HOME"
    chmod 700 "$DLMGR_HOME"
    background unit systemd-socket-activate -l "$DLMGR_HOME/control.sock" -E DLMGR_HOME="$DLMGR_HOME" \
        "$DLMGR" daemon run "$@"
    wait_for 10 [ -S "$DLMGR_HOME/control.sock" ]
}

owner()
{
    "$DLMGR" --json daemon status | grep -o '"pid":[0-9]*' | cut -d: -f2
}

# add needs nothing but the socket: no daemon is started by hand, and the socket stays when the service ends.
test_add_starts_the_service_by_its_socket()
{
    local inode unit
    fixture_start
    socket_unit
    unit=$pid
    inode=$(stat -c %i "$DLMGR_HOME/control.sock")
    expect 0 "$DLMGR" add "$FIXTURE_URL/a?size=100k"
    out_is 1
    expect 0 "$DLMGR" wait 1
    check [ -s a ]
    same "$(owner)" "$unit" owner
    check_not [ -e "$DLMGR_HOME/dlmgr.log" ]
    expect 0 "$DLMGR" daemon stop
    wait_for 10 gone "$unit"
    same "$(stat -c %i "$DLMGR_HOME/control.sock")" "$inode" "the socket's inode"
    grep -q 'closed after' "$TMP/unit.err" || fail "it did not log to stderr"
}

# `daemon start` knocks, so the service is what starts; options of the command line say nothing to it, and that is told.
test_start_starts_the_service()
{
    local unit
    socket_unit
    unit=$pid
    expect 0 "$DLMGR" daemon start -j 3
    err_has "process $unit owns .*options of this command"
    same "$(owner)" "$unit" owner
    check_not [ -e "$DLMGR_HOME/dlmgr.log" ]
}

# Nobody ends a service for idleness that a service manager's socket started: who comes then would wait for another start.
test_a_service_with_a_socket_stays()
{
    socket_unit --idle 0
    expect 0 "$DLMGR" daemon start
    sleep 2
    same "$(owner)" "$pid" owner
}

# A get without the service moves its socket aside, does not wake it, and gives it back.
test_a_get_gives_the_socket_back()
{
    local inode unit
    fixture_start
    socket_unit
    unit=$pid
    inode=$(stat -c %i "$DLMGR_HOME/control.sock")
    background get "$DLMGR" get "$FIXTURE_URL/a?size=2M&rate=1M"
    wait_for 10 [ -S "$DLMGR_HOME/control.sock.aside" ]
    wait_for 10 [ -S "$DLMGR_HOME/control.sock" ]
    same "$(owner)" "$pid" owner
    same "$(cat "/proc/$unit/comm")" systemd-socket- "who listens at the socket"
    wait "$pid"
    same $? 0 "get's exit code"
    same "$(stat -c %i "$DLMGR_HOME/control.sock")" "$inode" "the socket's inode"
    expect 0 "$DLMGR" add --paused "$FIXTURE_URL/b"
    same "$(owner)" "$unit" owner
    check_not [ -e "$DLMGR_HOME/dlmgr.log" ]
}

# A socket of another home is refused, and says which two there are.
test_a_socket_of_another_home_is_refused()
{
    mkdir -m 700 "$TMP/other"
    background unit systemd-socket-activate -l "$TMP/other/control.sock" -E DLMGR_HOME="$DLMGR_HOME" \
        "$DLMGR" daemon run
    wait_for 10 [ -S "$TMP/other/control.sock" ]
    expect 69 "$DLMGR" --home "$TMP/other" daemon status
    wait "$pid"
    same $? 78 "exit code"
    grep -q "$TMP/other/control.sock.*$DLMGR_HOME" "$TMP/unit.err" || fail "it does not say why"
}

# ---- After a reboot ---------------------------------------------------------------------------------

default_home()
{
    unset DLMGR_HOME XDG_STATE_HOME
}

test_status_says_what_a_reboot_does()
{
    default_home
    expect 69 "$DLMGR" daemon status
    out_has '^after a reboot: downloads wait until dlmgr is started'
    out_has '^  systemctl --user enable --now dlmgr.socket dlmgr.service$'
    expect 69 "$DLMGR" --json daemon status
    out_has '"after_reboot":\{"goes_on":false,"enabled":false,'
    mkdir -p "$XDG_CONFIG_HOME/systemd/user/default.target.wants"
    ln -s /usr/lib/systemd/user/dlmgr.service "$XDG_CONFIG_HOME/systemd/user/default.target.wants/"
    expect 0 "$DLMGR" daemon start
    expect 0 "$DLMGR" --json daemon status
    out_has '"after_reboot":\{"goes_on":[a-z]*,"enabled":true,'
    expect 0 "$DLMGR" daemon status
    out_lacks 'systemctl'
    expect 0 "$DLMGR" daemon stop
}

# Of a home that the service does not have nothing is said.
test_status_of_another_home_says_nothing_of_reboots()
{
    expect 69 "$DLMGR" daemon status
    out_is 'not running'
    expect 69 "$DLMGR" --json daemon status
    out_has '"after_reboot":null'
    unset DLMGR_HOME # XDG_STATE_HOME is not ~/.local/state
    expect 69 "$DLMGR" daemon status
    out_is 'not running'
}

run_stories "$@"
