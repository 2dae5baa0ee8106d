#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 240
#
# canaries.sh - a word planted in every way by which a secret can come in; then it is looked for everywhere.
#
# Each way has a word of its own, so that what leaks says which. The server quotes what it is sent in whatever it says. The words may stand in secrets.db while their task
# lives, and with `show --secrets`: that is asked too, or nothing would be proved. User data is no secret.
# shellcheck disable=SC2119,SC2016,SC2013
. tests/lib/story.sh

WAYS='userinfo query signature bearer cookie own file netrc cookiefile reffile refenv refcredential proxy envproxy mirror mirrorquery
    seturl listheader listuser password location'

word() # WAY
{
    echo "canary-$1-$SEED"
}

# The same as it travels with a user.
basic() # USER WAY
{
    printf '%s:%s' "$1" "$(word "$2")" | base64 -w 0
    echo
}

# All that must not be found, in the forms in which it travels.
plant()
{
    local way
    SEED=${CANARY_SEED:-$RANDOM$RANDOM}
    echo "seed $SEED (CANARY_SEED repeats it)"
    for way in $WAYS; do
        word "$way"
        basic ann "$way"
        basic any "$way"
    done >"$TMP/words"
}

# Ends the story when a word stands below the paths, and says where.
nothing_in() # WHAT PATH...
{
    local what=$1 found
    shift
    found=$(grep -raoF -f "$TMP/words" -- "$@" | sort | uniq -c)
    [ -z "$found" ] || fail "$what: $found"
}

# What the server says of a path: no, and the words of these ways.
serve() # PATH STATUS WAY...
{
    local path=$1 status=$2 way text='' last=
    shift 2
    for way; do
        last=$(word "$way")
        text+="<p>$last</p>"
    done
    curl -sf --data-binary "status=$status header=X-Request-Id:%20$last header=WWW-Authenticate:%20Basic%20realm=$last header=Location:%20http://u:$(word location)@127.0.0.1:1/%3Fsig=$(word location) text=$text" \
        "$FIXTURE_URL/_ctl/set?path=$path" >"$TMP/out" || fail "the fixture does not take the script"
}

files()
{
    umask 077
    printf 'X-File: %s\n' "$(word file)" >"$TMP/headers"
    printf 'machine 127.0.0.1 login ann password %s\n' "$(word netrc)" >"$TMP/netrc"
    printf '127.0.0.1\tFALSE\t/\tFALSE\t0\tsid\t%s\n' "$(word cookiefile)" >"$TMP/cookies"
    word reffile >"$TMP/token"
    mkdir "$TMP/credentials"
    word refcredential >"$TMP/credentials/dl"
    umask 022
    cat >"$TMP/list" <<END
http://ann:$(word listuser)@127.0.0.1:$FIXTURE_PORT/list
  header=X-List: $(word listheader)
END
}

# Every command's output is kept; what it ends with does not matter here.
said() # COMMAND...
{
    timeout 60 "$@" >>"$TMP/said" 2>&1 || true
}

# What it is sent by the task, and how that comes in; P stands for the path, which is the line's own.
ways_table()
{
    local host=127.0.0.1:$FIXTURE_PORT
    cat <<END
userinfo|http://ann:$(word userinfo)@$host/P
query|http://$host/P?X-Amz-Signature=$(word query)&n=1
bearer cookie own|-H|Authorization: Bearer $(word bearer)|-H|Cookie: a=1; s=$(word cookie)|-H|X-Own: $(word own)|http://$host/P
file|--header-file|$TMP/headers|http://$host/P
netrc|--netrc-file|$TMP/netrc|http://$host/P
cookiefile|--load-cookies|$TMP/cookies|http://$host/P
reffile refenv refcredential|--header-from|X-A: {file:$TMP/token}|--header-from|X-B: {env:DLM_CANARY}|--header-from|X-C: {credential:dl}|http://$host/P
proxy|--proxy|http://any:$(word proxy)@$host|http://$host/P
mirror mirrorquery|--mirror|http://any:$(word mirror)@$host/P|--mirror|http://$host/P?X-Goog-Signature=$(word mirrorquery)|http://$host/P
userinfo|--user-data|plain-data|http://ann:$(word userinfo)@$host/P?X-Amz-Security-Token=$(word signature)
signature|https://ann:$(word userinfo)@$host/P?X-Amz-Security-Token=$(word signature)
signature|http://ann:$(word userinfo)@nowhere.invalid/P?X-Amz-Security-Token=$(word signature)
END
}

add_all() # STATUS
{
    local host=127.0.0.1:$FIXTURE_PORT words n=0
    while IFS='|' read -ra words <&4; do
        n=$((n + 1))
        # shellcheck disable=SC2086
        serve "/$n" "$1" ${words[0]}
        said "$DLMGR" -v add --session org.example.app --max-tries 1 "${words[@]:1:${#words[@]}-2}" "${words[-1]//P/$n}"
    done 4< <(ways_table)
    serve /env "$1" envproxy
    serve /list "$1" listuser listheader
    serve /pass "$1" password
    http_proxy=http://any:$(word envproxy)@$host said "$DLMGR" -v add --max-tries 1 "http://$host/env"
    said "$DLMGR" -v add --max-tries 1 -i "$TMP/list"
    ask_password "http://$host/pass"
    said "$DLMGR" -v add --paused --key k "http://$host/a"
    printf 'k\thttp://%s/a?X-Goog-Signature=%s\n' "$host" "$(word seturl)" >"$TMP/new"
    said "$DLMGR" -v set -i "$TMP/new"
    printf '  header=X-List: %s\nhttp://%s:x/?X-Amz-Signature=%s\n' "$(word listheader)" "$host" "$(word query)" >"$TMP/bad"
    said "$DLMGR" -v add -i "$TMP/bad"
    sed -i 1d "$TMP/bad"
    said "$DLMGR" -v add -i "$TMP/bad"
    said "$DLMGR" -v add "http://ann:$(word userinfo)@$host:x/?X-Amz-Security-Token=$(word query)" "ftp://ann:$(word userinfo)@h/"
}

# On a terminal, since it is asked for nowhere else.
ask_password() # URL
{
    mkfifo "$TMP/keys"
    script -qefc "$DLMGR -v add --max-tries 1 -u ann $1" "$TMP/terminal" <"$TMP/keys" >"$TMP/typed" 2>&1 &
    echo $! >>"$TMP/pids"
    exec 6>"$TMP/keys"
    wait_for 10 grep -q 'Password for' "$TMP/terminal"
    sleep 0.2
    word password >&6
    wait_for 20 grep -q '^[0-9]' "$TMP/terminal"
    exec 6>&-
    cat "$TMP/terminal" >>"$TMP/said"
}

look_everywhere()
{
    local id
    for id in $("$DLMGR" list --json | sed -n 's/.*"id":\([0-9]*\).*/\1/p'); do
        said "$DLMGR" show "$id"
        said "$DLMGR" -v --json show "$id"
    done
    for how in '' -v --json; do
        # shellcheck disable=SC2086
        for command in list 'events' 'events --session org.example.app' 'session list' 'session show org.example.app' 'daemon status' doctor; do
            said "$DLMGR" $how $command
        done
    done
    said "$DLMGR" events --session org.example.app --exec 'env; cat; ls -l'
    tr '\0' '\n' <"/proc/$1/cmdline" >>"$TMP/said"
}

# All of the home but secrets.db.
home_lacks()
{
    find "$DLMGR_HOME" -type f ! -name 'secrets.db*' -print0 | xargs -0 grep -aoF -f "$TMP/words" -- >"$TMP/found" &&
        fail "the home: $(sort "$TMP/found" | uniq -c)"
    nothing_in 'a file name' <(find "$TMP" -printf '%f\n')
}

test_a_secret_stands_nowhere_else()
{
    local way
    plant
    fixture_start
    files
    DLM_CANARY=$(word refenv) CREDENTIALS_DIRECTORY=$TMP/credentials background daemon "$DLMGR" -v daemon run --forever
    wait_for 10 "$DLMGR" daemon status
    said "$DLMGR" session set org.example.app --on-event "env | grep -v ^DLM_CANARY= >$TMP/hook; sleep 60"
    add_all 401
    wait_for 60 sh -c "! \"$DLMGR\" list | grep -Eq ' (queued|running|waiting) '"
    wait_for 20 [ -s "$TMP/hook" ]
    look_everywhere "$pid"
    check grep -q 'plain-data' "$TMP/said"
    check grep -qF '***' "$TMP/said"
    nothing_in 'an output' "$TMP/said" "$TMP/hook" "$TMP/daemon.out" "$TMP/daemon.err"
    home_lacks
    # They were there: the server was sent them, or show --secrets has them.
    "$DLMGR" list --json | sed -n 's/.*"id":\([0-9]*\).*/\1/p' | xargs "$DLMGR" --json show --secrets >"$TMP/shown" 2>&1
    for way in ${WAYS% location}; do # which the server says, and nobody sends
        grep -qF -e "$(word "$way")" -e "$(basic ann "$way")" "$TMP/shown" "$FIXTURE_LOG" || fail "$way was never planted"
    done
    # With their tasks they go, at once and from every byte.
    check grep -qaF "$(word bearer)" "$DLMGR_HOME"/secrets.db*
    said "$DLMGR" remove --all
    nothing_in 'the home, after remove' "$DLMGR_HOME"
    expect 0 "$DLMGR" daemon stop
    nothing_in 'the home, after the daemon' "$DLMGR_HOME"
}

# In the terminal of a get that owns the home, with each way to be refused.
test_a_get_does_not_say_it()
{
    local status all='bearer file netrc cookiefile mirror mirrorquery query'
    plant
    fixture_start
    files
    for status in 401 403 404 302 407; do
        # shellcheck disable=SC2086
        serve /a $status $all
        # shellcheck disable=SC2086
        serve /b $status $all
        said "$DLMGR" -v get --new --max-tries 1 -H "Authorization: Bearer $(word bearer)" --header-file "$TMP/headers" --netrc-file "$TMP/netrc" \
            --load-cookies "$TMP/cookies" --mirror "http://any:$(word mirror)@127.0.0.1:$FIXTURE_PORT/b?X-Goog-Signature=$(word mirrorquery)" "$FIXTURE_URL/a?X-Amz-Security-Token=$(word query)"
        serve /c $status userinfo
        said "$DLMGR" --json get --new --max-tries 1 "http://ann:$(word userinfo)@127.0.0.1:$FIXTURE_PORT/c?X-Amz-Security-Token=$(word query)"
    done
    said "$DLMGR" -v get --max-tries 1 --proxy "bogus://any:$(word proxy)@127.0.0.1" "$FIXTURE_URL/a"
    said "$DLMGR" -v get --max-tries 1 --proxy "http://any:$(word proxy)@127.0.0.1:1" "$FIXTURE_URL/a"
    look_everywhere $$
    for status in 401 403 404 407; do
        check grep -q "$status" "$TMP/said"
    done
    nothing_in 'an output' "$TMP/said"
    home_lacks
}

# A parameter that only the settings call secret, told to an owner that began before they did.
test_the_settings_name_more_parameters()
{
    plant
    expect 0 "$DLMGR" daemon start
    echo 'secret-parameters = X-Ticket, x-door' >"$DLMGR_HOME/dlmgr.conf"
    expect 0 "$DLMGR" add --paused --key k "http://127.0.0.1:1/a?x-ticket=$(word query)&n=1"
    expect 0 "$DLMGR" show 1
    out_has '[?]x-ticket=\*\*\*&n=1$'
    printf 'k\thttp://127.0.0.1:1/a?X-DOOR=%s\n' "$(word seturl)" >"$TMP/new"
    expect 0 "$DLMGR" set -i "$TMP/new"
    expect 64 "$DLMGR" add "http://127.0.0.1:x/a?x-door=$(word query)"
    nothing_in 'an error' "$TMP/err"
    home_lacks
    expect 0 "$DLMGR" show --secrets 1
    out_has "X-DOOR=$(word seturl)"
    printf 'secret-parameters = %070d\n' 0 >"$DLMGR_HOME/dlmgr.conf"
    expect 78 "$DLMGR" list
}

run_stories "$@"
