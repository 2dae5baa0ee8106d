#!/bin/bash
# SPDX-License-Identifier: MIT
#
# handover.sh - what becomes of the names that are taken, of wrong digests, of modes, and of a kill at any time.
# shellcheck disable=SC2119 # which takes options of the server, not ours
. tests/lib/story.sh

Q='size=300k&seed=5'

body_is() # FILE SEED
{
    "$FIXTURE" --body "size=300k&seed=$2" >"$TMP/body" && same_file "$1" "$TMP/body"
}

no_parts()
{
    same "$(find . -name '*.part')" '' 'left parts'
}

# Beside a name that is taken: the file gets the next number, the other one is as it was.
test_rename_is_the_default()
{
    fixture_start
    echo mine >a.tar.gz
    expect 0 "$DLMGR" get "$FIXTURE_URL/a.tar.gz?$Q"
    same "$(cat a.tar.gz)" mine
    body_is a.1.tar.gz 5
    expect 0 "$DLMGR" get "$FIXTURE_URL/a.tar.gz?$Q"
    body_is a.2.tar.gz 5
    no_parts
}

# Failing keeps the bytes: under another name the task is done without another request.
test_fail_then_set_and_retry()
{
    fixture_start
    ln -s nowhere a
    expect 13 "$DLMGR" get --on-exists fail "$FIXTURE_URL/a?$Q"
    err_has 'is a symlink already'
    expect 0 "$DLMGR" set 1 --out b
    expect 0 "$DLMGR" retry --start 1
    expect 0 "$DLMGR" wait 1
    body_is b 5
    check [ -L a ]
    no_parts
    same "$(grep -c '^REQ' "$FIXTURE_LOG")" 1 requests
}

test_replace_takes_files_and_no_directories()
{
    fixture_start
    echo old >a
    mkdir d
    expect 0 "$DLMGR" get --on-exists replace "$FIXTURE_URL/a?$Q"
    body_is a 5
    expect 13 "$DLMGR" get --on-exists replace "$FIXTURE_URL/d?$Q"
    check [ -d d ]
    check [ ! -e a.1 ]
}

test_same_is_done_when_equal()
{
    local before
    fixture_start
    "$FIXTURE" --body "$Q" >a
    chmod 640 a
    before=$(stat -c '%i %Y %a' a)
    expect 0 "$DLMGR" get --on-exists same "$FIXTURE_URL/a?$Q"
    same "$(stat -c '%i %Y %a' a)" "$before"
    no_parts
    printf x >>a
    expect 13 "$DLMGR" get --on-exists same "$FIXTURE_URL/a?$Q"
    err_has 'is not the same'
}

test_modes_follow_the_umask()
{
    fixture_start
    (umask 027 && exec "$DLMGR" get "$FIXTURE_URL/a?$Q") >/dev/null 2>&1
    (umask 0 && exec "$DLMGR" get "$FIXTURE_URL/b?$Q") >/dev/null 2>&1
    same "$(stat -c %a a)" 640
    same "$(stat -c %a b)" 666
}

# A wrong digest never reaches the name, and what was fetched for it is not used again.
test_a_wrong_digest_has_no_name()
{
    fixture_start
    expect 32 "$DLMGR" get --checksum md5=00000000000000000000000000000000 "$FIXTURE_URL/a?$Q"
    err_has 'expected md5=0000'
    check [ ! -e a ]
    expect 0 "$DLMGR" list --json
    out_has '"state": ?"failed"'
}

# Many names at once and one name for many.
test_one_name_for_many()
{
    local i
    fixture_start
    for i in $(seq 20); do
        echo "$FIXTURE_URL/$i/same.bin?$Q"
    done >list
    expect 0 "$DLMGR" get -i list
    same "$(find . -name 'same*.bin' | wc -l)" 20
    for i in same.bin same.1.bin same.19.bin; do
        body_is "$i" 5
    done
    no_parts
}

run_stories "$@"
