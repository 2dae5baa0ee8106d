#!/bin/bash
# SPDX-License-Identifier: MIT
#
# errors.sh - what a failed task says: in show for people, and the same object in list, show and events as JSON.
# shellcheck disable=SC2119,SC2016
. tests/lib/story.sh

refused='status=403&text=%3Ch1%3Eno%3C/h1%3E%0Aask%20the%20owner%0A&X-n=1&header=X-Request-Id:%20r-77&header=Server:%20fx'

error_of() # prints the member `error` of the line of JSON on stdin
{
    sed -n 's/.*"error":\({.*"last_try_at":[^}]*}\).*/\1/p'
}

test_show_says_why_in_lines()
{
    fixture_start
    run "$DLMGR" get "$FIXTURE_URL/a?$refused"
    same "$status" 24
    err_has 'task 1: http://.*/a\?.*: 403 Forbidden: .*`dlmgr retry`'
    expect 0 "$DLMGR" show 1
    out_has '^error:$'
    out_has '^  class: needs-auth$'
    out_has '^  stage: receive$'
    out_has '^  http_status: 403$'
    out_has '^  address: 127\.0\.0\.1:[0-9]+$'
    out_has '^    X-Request-Id: r-77$'
    out_has '^    \| <h1>no</h1>$'
    out_has '^    \| ask the owner$'
    out_lacks '^  (tls|proxy): -$'
    expect 0 "$DLMGR" list
    out_has 'error 24 .*: 403 Forbidden: '
}

test_escapes_of_a_body_stay_off_the_terminal()
{
    fixture_start
    run "$DLMGR" get "$FIXTURE_URL/a?status=404&text=a%1b[31mred%0d%0ab"
    expect 0 "$DLMGR" show 1
    out_has '^    \| a\\x1b\[31mred$'
    out_has '^    \| b$'
}

test_the_error_is_the_same_everywhere()
{
    fixture_start
    run "$DLMGR" get "$FIXTURE_URL/a?$refused"
    expect 0 "$DLMGR" --json list
    error_of <"$TMP/out" >list
    check grep -q '^{"class":"needs-auth","code":24,"stage":"receive",.*"body_excerpt":"<h1>no</h1>\\nask the owner\\n"' list
    expect 0 "$DLMGR" --json show 1
    error_of <"$TMP/out" >show
    expect 0 "$DLMGR" events
    error_of <"$TMP/out" >events
    same_file show list
    same_file events list
}

test_no_connection_says_to_whom_and_why()
{
    run "$DLMGR" get --max-tries 1 http://127.0.0.1:1/f
    same "$status" 6
    err_has 'no connection to the server: Connection refused'
    expect 0 "$DLMGR" show 1
    out_has '^  stage: connect$'
    out_has '^  address: 127\.0\.0\.1:1$'
}

run_stories "$@"
