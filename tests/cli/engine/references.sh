#!/bin/bash
# SPDX-License-Identifier: MIT
#
# references.sh - --header-from: what is stored is where a header stands, and the owner reads it for each request.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

# The values of a header that the fixture was sent, one a line.
sent() # NAME
{
    grep -i "^H	[0-9]*	$1: " "$FIXTURE_LOG" | sed 's/^[^:]*: //' | tr -d '\r'
}

test_each_kind_is_sent()
{
    fixture_start
    (umask 077 && echo "of the file" >"$TMP/token" && printf 'X-C: one\nX-D: two\n' >"$TMP/more")
    mkdir "$TMP/credentials" && echo "of systemd" >"$TMP/credentials/dl"
    DLM_TOKEN="of the environment" CREDENTIALS_DIRECTORY=$TMP/credentials expect 0 "$DLMGR" get \
        --header-from "X-A: a {file:$TMP/token}" --header-from 'X-B: {env:DLM_TOKEN}' --header-from "{file:$TMP/more}" \
        --header-from 'X-E: {credential:dl}' -H 'X-F: given' "$FIXTURE_URL/a?size=1k"
    same "$(sent X-A)" 'a of the file'
    same "$(sent X-B)" 'of the environment'
    same "$(sent X-C) $(sent X-D)" 'one two'
    same "$(sent X-E)" 'of systemd'
    same "$(sent X-F)" 'given'
}

# A token that rotates: the next request has the new one. Nothing of it is stored or shown.
test_it_is_read_anew()
{
    fixture_start
    (umask 077 && echo first-token >"$TMP/token")
    curl -s -d 'status=403 text=first-token%20is%20old ; status=403 text=second-token%20too' "$FIXTURE_URL/_ctl/set?path=/a" >"$TMP/out"
    expect 24 "$DLMGR" get --header-from "X-Key: {file:$TMP/token}" "$FIXTURE_URL/a"
    err_has '403'
    echo second-token >"$TMP/token"
    expect 0 "$DLMGR" retry 1
    expect 24 "$DLMGR" run
    same "$(sent X-Key)" "$(printf 'first-token\nsecond-token')"
    expect 0 "$DLMGR" show 1
    out_has "header_refs.*X-Key: .*\{file:$TMP/token\}"
    out_has '\*\*\* too$'
    ! grep -rqa -e first-token -e second-token "$DLMGR_HOME" || fail "the token is in the home"
}

# A file that is missing later keeps what has come, and the error says which.
test_a_missing_reference_keeps_the_bytes()
{
    fixture_start
    (umask 077 && echo key >"$TMP/token")
    curl -s -d 'all:size=1M seed=5 etag="a" ; cut=600k ; times=9' "$FIXTURE_URL/_ctl/set?path=/a" >"$TMP/out"
    background get "$DLMGR" get --retry-wait 3 --header-from "X-Key: {file:$TMP/token}" "$FIXTURE_URL/a"
    wait_for 10 sh -c "\"$DLMGR\" list | grep -q waiting"
    rm "$TMP/token"
    wait_for 20 gone "$pid"
    expect 0 "$DLMGR" show 1 --json
    out_has '"class":"needs-auth","code":24,'
    out_has "reference \{file:$TMP/token\} No such file"
    out_has '"bytes_done":614400'
    (umask 077 && echo key >"$TMP/token")
    expect 0 "$DLMGR" retry 1
    expect 0 "$DLMGR" run
    same "$(grep -c '^REQ' "$FIXTURE_LOG")" 2
    grep -q '^REQ.*bytes=614400-' "$FIXTURE_LOG" || fail "it did not go on"
}

test_a_file_that_others_can_read_is_refused()
{
    fixture_start
    echo key >"$TMP/token" && chmod 644 "$TMP/token"
    expect 24 "$DLMGR" get --header-from "X-Key: {file:$TMP/token}" "$FIXTURE_URL/a?size=1k"
    err_has 'chmod 600'
    same "$(grep -c '^REQ' "$FIXTURE_LOG")" 0
    expect 64 "$DLMGR" add --header-from 'X-Key: {vault:x}' "$FIXTURE_URL/a"
    err_has '\{file:PATH\}'
    expect 64 "$DLMGR" add --header-from 'Range: {env:X}' "$FIXTURE_URL/a"
}

# It belongs to the origin, as other headers do.
test_another_origin_does_not_get_it()
{
    fixture_start
    DLM_TOKEN=word expect 0 "$DLMGR" get --header-from 'X-Key: {env:DLM_TOKEN}' \
        "$FIXTURE_URL/a?location=http://localhost:$FIXTURE_PORT/b%3Fsize=1k"
    same "$(grep -c '^REQ' "$FIXTURE_LOG")" 2
    same "$(sent X-Key)" word
    expect 0 "$DLMGR" add --no-start --header-from 'X-Key: {env:DLM_TOKEN}' "$FIXTURE_URL/c?size=1k"
    expect 0 "$DLMGR" set 2 --url "http://localhost:$FIXTURE_PORT/c?size=1k"
    expect 0 "$DLMGR" show 2
    out_lacks header_refs
}

run_stories "$@"
