#!/bin/bash
# SPDX-License-Identifier: MIT
#
# set.sh - changing a task while it runs, waits or has failed; and doctor on what a killed owner left.
# shellcheck disable=SC2119,SC2016
. tests/lib/story.sh

state_is() # ID STATE
{
    "$DLMGR" --json show "$1" | grep -q "\"state\": *\"$2\""
}

has_bytes() # ID: it was seen to have some
{
    ! "$DLMGR" --json show "$1" | grep -q '"bytes_done": *0[,}]'
}

requests() # PATTERN
{
    grep -c "$1" "$FIXTURE_LOG"
}

# The part goes along, and what it has is not fetched again.
test_set_dir_of_a_running_task_takes_the_part_along()
{
    fixture_start
    mkdir new
    expect 0 "$DLMGR" add "$FIXTURE_URL/a.bin?size=6M&rate=1M&etag=\"x\"&seed=4"
    wait_for 20 has_bytes 1
    expect 0 "$DLMGR" set 1 --dir new
    check_not test -e a.bin
    expect 0 "$DLMGR" wait 1
    "$FIXTURE" --body 'size=6M&seed=4' >expected
    same_file new/a.bin expected
    same "$(find . -name '*.part')" ''
    check grep -q 'bytes=[1-9]' "$FIXTURE_LOG"
}

test_set_dir_on_another_file_system_begins_anew()
{
    local there
    there=$(mktemp -d /dev/shm/dlmgr-set-XXXXXX) || { echo '    no /dev/shm here'; return; }
    fixture_start
    expect 0 "$DLMGR" add "$FIXTURE_URL/a.bin?size=3M&rate=1M&etag=\"x\"&seed=4"
    wait_for 20 has_bytes 1
    run "$DLMGR" set 1 --dir "$there" --limit-rate 0
    same "$status" 0
    run "$DLMGR" wait 1
    same "$status" 0
    "$FIXTURE" --body 'size=3M&seed=4' >expected
    cmp "$there/a.bin" expected || status=1
    find "$there" . -name '*.part' | grep -q . && status=1
    rm -rf "$there"
    same "$status" 0
}

test_set_out_of_a_running_task()
{
    fixture_start
    expect 0 "$DLMGR" add "$FIXTURE_URL/a.bin?size=3M&rate=1M&etag=\"x\"&seed=4"
    wait_for 20 has_bytes 1
    expect 0 "$DLMGR" set 1 --out other.bin
    expect 0 "$DLMGR" wait 1
    "$FIXTURE" --body 'size=3M&seed=4' >expected
    same_file other.bin expected
    check_not test -e a.bin
}

# A link that was signed anew; the key names the task, and no id is needed.
test_set_url_retries_what_was_forbidden()
{
    fixture_start
    expect 0 "$DLMGR" add --key k "$FIXTURE_URL/a.bin?status=403"
    expect 0 "$DLMGR" add "$FIXTURE_URL/b.bin?status=404"
    wait_for 20 state_is 1 failed
    wait_for 20 state_is 2 failed
    printf 'k\t%s\n2\t%s\n' "$FIXTURE_URL/a.bin?size=10k&seed=2" "$FIXTURE_URL/b.bin?size=10k" >list
    expect 0 "$DLMGR" set -i list
    expect 0 "$DLMGR" wait 1
    "$FIXTURE" --body 'size=10k&seed=2' >expected
    same_file a.bin expected
    check state_is 2 failed
    expect 0 "$DLMGR" retry 2
    expect 0 "$DLMGR" wait 2
}

# A priority is not worth a new connection.
test_set_priority_leaves_the_transfer_alone()
{
    fixture_start
    expect 0 "$DLMGR" add "$FIXTURE_URL/a.bin?size=3M&rate=1M&etag=\"x\""
    wait_for 20 has_bytes 1
    expect 0 "$DLMGR" set 1 --priority 7
    expect 0 "$DLMGR" wait 1
    same "$(requests 'a.bin')" 1 requests
    expect 64 "$DLMGR" set 1 --priority 8
    err_has 'is done'
}

test_set_start_after_of_a_running_task()
{
    fixture_start
    expect 0 "$DLMGR" add "$FIXTURE_URL/a.bin?size=4M&rate=1M&etag=\"x\""
    wait_for 20 has_bytes 1
    expect 0 "$DLMGR" set 1 --start-after +1h
    check state_is 1 waiting
    expect 0 "$DLMGR" set 1 --start-after +0s
    expect 0 "$DLMGR" wait 1
}

# Without an owner the journal is changed, and the next one does as it says.
test_set_without_an_owner()
{
    fixture_start
    mkdir new
    expect 0 "$DLMGR" add --no-start "$FIXTURE_URL/a.bin?size=10k"
    expect 0 "$DLMGR" set 1 --dir new --out b.bin
    expect 0 "$DLMGR" run
    check test -s new/b.bin
    expect 64 "$DLMGR" set 1
}

# ---- doctor ------------------------------------------------------------------------------------------------------

test_doctor_on_a_home_in_use()
{
    fixture_start
    expect 0 "$DLMGR" add "$FIXTURE_URL/a.bin?size=10M&rate=1M"
    expect 75 "$DLMGR" doctor
    expect 0 "$DLMGR" daemon stop
    expect 0 "$DLMGR" doctor
    err_has 'nothing wrong'
}

# The socket of one that was killed is nobody's; what it fetched is still known.
test_doctor_after_a_kill()
{
    local owner
    fixture_start
    expect 0 "$DLMGR" add "$FIXTURE_URL/a.bin?size=3M&rate=1M&etag=\"x\"&seed=5"
    wait_for 20 has_bytes 1
    owner=$("$DLMGR" --json daemon status | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*')
    kill -KILL "$owner"
    wait_for 10 gone "$owner"
    expect 1 "$DLMGR" doctor
    out_has 'control.sock: is a socket that nobody listens on'
    expect 0 "$DLMGR" doctor --fix
    out_has 'moved to quarantine/.*fixed'
    expect 0 "$DLMGR" doctor
    expect 0 "$DLMGR" run
    "$FIXTURE" --body 'size=3M&seed=5' >expected
    same_file a.bin expected
}

test_doctor_puts_a_damaged_journal_aside()
{
    fixture_start
    expect 0 "$DLMGR" add --no-start "$FIXTURE_URL/a.bin?size=10k"
    printf 'not a database..' | dd of="$DLMGR_HOME/journal.db" conv=notrunc status=none
    rm -f "$DLMGR_HOME"/journal.db-wal
    expect 78 "$DLMGR" list
    err_has 'journal.db.*not a database'
    expect 1 "$DLMGR" doctor
    out_has '^can be saved: .*1 tasks'
    expect 0 "$DLMGR" doctor --fix
    out_has '^saved: .*1 tasks'
    out_has '^lost: '
    out_has "^the damaged one is kept in $DLMGR_HOME/quarantine/"
    check test -s "$(echo "$DLMGR_HOME"/quarantine/*/journal.db)"
    expect 0 "$DLMGR" run
    check test -s a.bin
    expect 0 "$DLMGR" get "$FIXTURE_URL/b.bin?size=10k"
}

# Pages of the journal are overwritten, some files are fetched and told, some are not: what stands on other pages goes on to the end, and nothing is told twice.
test_doctor_saves_what_can_be_read()
{
    local i page pages old
    fixture_start
    for i in $(seq 60); do
        echo "$FIXTURE_URL/f$i?size=3k&seed=$i"
    done >list
    head -20 list >first
    tail -40 list >rest
    expect 0 "$DLMGR" add --no-start --session org.example.app -i first
    expect 0 "$DLMGR" run
    expect 0 "$DLMGR" events --session org.example.app --ack
    expect 0 "$DLMGR" add --no-start --session org.example.app -i rest
    pages=$(($(stat -c %s "$DLMGR_HOME/journal.db") / 4096))
    for page in 2 $((pages / 3)) $((pages - 2)); do
        head -c 4096 /dev/urandom | dd of="$DLMGR_HOME/journal.db" bs=4096 seek="$page" conv=notrunc status=none
    done
    cp "$DLMGR_HOME/journal.db" old
    expect 1 "$DLMGR" doctor
    same_file "$DLMGR_HOME/journal.db" old
    expect 0 "$DLMGR" --json doctor --fix
    out_has '"salvage": *\{"done": *true'
    old=$(echo "$DLMGR_HOME"/quarantine/*/journal.db)
    same_file "$old" old
    expect 0 "$DLMGR" doctor
    run "$DLMGR" --json list
    check test "$(grep -c '"id"' "$TMP/out")" -ge 20
    expect 0 "$DLMGR" run
    run "$DLMGR" --json list
    for i in $(grep -o '/f[0-9]*?' "$TMP/out" | tr -dc '0-9\n'); do
        "$FIXTURE" --body "size=3k&seed=$i" >expected
        same_file "f$i" expected
    done
    for i in $(seq 20); do
        check test -s "f$i"
    done
    expect 0 "$DLMGR" events --session org.example.app
    same "$(grep -o '"task": *[0-9]*' "$TMP/out" | sort | uniq -d)" '' 'told twice'
    out_lacks '"task": *(1|2|19|20),'
    same_file "$old" old
}

run_stories "$@"
