#!/bin/bash
# SPDX-License-Identifier: MIT
#
# session.sh - sessions are listed, shown, given a command and removed, with and without an owner.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

APP=org.example.app

# A session with an event that waits.
fetch_one()
{
    fixture_start
    expect 0 "$DLMGR" add --no-start --session "$APP" "$FIXTURE_URL/a?size=1k"
    expect 0 "$DLMGR" run
}

look()
{
    expect 0 "$DLMGR" session show "$APP"
    out_has "^name: $APP$"
    out_has '^last: 1$'
    out_has '^oldest: 1$'
    out_has '^  done: 1$'
    expect 0 "$DLMGR" session list
    out_has "^$APP +1 task +events 1-1 wait +free$"
    expect 0 "$DLMGR" session list --json
    out_has "^\{\"v\":1,\"name\":\"$APP\",.*\"oldest\":1,.*\"done\":1"
}

test_sessions_are_listed_and_shown()
{
    expect 0 "$DLMGR" session list
    out_lacks 'org'
    expect 64 "$DLMGR" session show "$APP"
    err_has "there is no session $APP"
    fetch_one
    look
    expect 0 "$DLMGR" daemon start
    look
    expect 0 "$DLMGR" events --session "$APP" --ack
    expect 0 "$DLMGR" session list
    out_has "^$APP +1 task +no events wait +free$"
}

test_a_command_is_stored_and_removed()
{
    expect 0 "$DLMGR" session set "$APP" --on-event 'echo "it works"'
    no_out
    expect 0 "$DLMGR" session show "$APP"
    out_has '^on_event: echo "it works"$'
    expect 0 "$DLMGR" session list
    out_has "^$APP .*, has a command$"
    expect 0 "$DLMGR" session set "$APP" --on-event '' --json
    out_has '"on_event":null'
    expect 64 "$DLMGR" session set "$APP"
    err_has 'on-event'
    expect 64 "$DLMGR" session set "$APP" --on-event "$(printf '%05000d' 0)"
    err_has '4096 bytes'
    expect 64 "$DLMGR" session set "$APP" --on-event $'\xff'
    err_has 'UTF-8'
    expect 64 "$DLMGR" session set default --on-event true
}

test_a_session_with_tasks_is_not_removed()
{
    fetch_one
    expect 64 "$DLMGR" session remove "$APP"
    err_has 'task'
    expect 0 "$DLMGR" remove --session "$APP"
    expect 0 "$DLMGR" session remove "$APP"
    expect 64 "$DLMGR" session remove "$APP"
    expect 64 "$DLMGR" session show "$APP"
}

test_wrong_words_are_named()
{
    expect 64 "$DLMGR" session
    err_has 'must be list, show, set or remove'
    expect 64 "$DLMGR" session dance
    err_has 'dance'
    expect 64 "$DLMGR" session show
    err_has 'name'
    expect 64 "$DLMGR" session list "$APP"
    err_has 'no argument'
    expect 64 "$DLMGR" session list --on-event true
    err_has 'session set'
}

run_stories "$@"
