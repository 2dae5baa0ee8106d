#!/bin/bash
# SPDX-License-Identifier: MIT
#
# upgrade.sh - ROUNDS (3) times: the installed program is replaced by another version under load, and the daemon restarted.
#
# Two programs of different versions, whose ranges of protocols overlap, take turns at one path. Attached all the time, from the
# first round to the last: `events --follow` of each version, and an application with the library that listens to a session of its own
# and acknowledges. In each round: files small and slow in both sessions, a `get` and a `wait` that follow, and an `add` that meets
# the restart. Nothing of that may notice more than a connection that came back by itself. At the end each follower has seen each event
# once and in order, and each file is whole. OLD and NEW may name other programs.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
B=${B:-build} ROUNDS=${ROUNDS:-3}
case $B in /*) ;; *) B=$PWD/$B ;; esac
versions=("${OLD:-$B/as/1.0.0-1-2/dlmgr}" "${NEW:-$B/as/2.0.0-2-3/dlmgr}")
dir=$(mktemp -d "${TMPDIR:-/tmp}/dlmgr-upgrade-XXXXXX") || exit 1
dest=$dir/dest bin=$dir/bin/dlmgr app=org.example.app
mkdir "$dest" "$dir/bin"
export HOME=$dir DLMGR_HOME=$dir/home XDG_CONFIG_HOME=$dir LC_ALL=C.UTF-8
unset http_proxy https_proxy all_proxy no_proxy
broken=0 clients=0 running=0 pids=()

wrong()
{
    echo "  $*"
    broken=$((broken + 1))
}

finish()
{
    local p
    "$bin" -q daemon stop
    for p in "${pids[@]}"; do
        kill "$p" 2>/dev/null
    done
    wait 2>/dev/null
    if [ "$broken" = 0 ]; then rm -rf "$dir"; else echo "  the evidence stands in $dir"; fi
}

start() # NAME COMMAND...: for the whole time; in $pid
{
    local name=$1
    shift
    "$@" >"$dir/$name.out" 2>"$dir/$name.err" </dev/null &
    pid=$!
    pids+=("$pid")
}

until_true() # SECONDS COMMAND...
{
    local end=$((SECONDS + $1 + 1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

install_version() # N: as a package manager does, a new file in the place of the old one
{
    cp "${versions[$1 % 2]}" "$bin.new" && mv "$bin.new" "$bin" || exit 1
}

version() # of the daemon
{
    "$bin" --json daemon status 2>/dev/null | sed -n 's/.*"version":"\([^"]*\)".*/\1/p'
}

seqs() { sed -n 's/.*"seq": *\([0-9]*\).*/\1/p' "$1"; }

# ---- A round ----------------------------------------------------------------------------------------

load() # ROUND: lines for add -i; the seed is the name
{
    local n name
    for n in 1 2 3 4 5 6 7 8; do
        name=$1$n
        printf '%s/%s.bin?seed=%s&size=%s&rate=1500k&etag="%s"\n  key=%s\n  dir=%s\n' "$url" "$name" "$name" \
            "$([ "$n" -gt 2 ] && echo 20k || echo 1500k)" "$name" "$name" "$dest"
        [ $((n % 2)) = 0 ] || printf '  session=%s\n' "$app"
    done
}

add() # ROUND NAME: with a key, so that asking again is harmless; it is not asked again here
{
    "$bin" -q add --no-start -d "$dest" --key "$2" "$url/$2.bin?seed=${2%x}&size=30k" >/dev/null 2>"$dir/add.err" ||
        echo "round $1: add ended with $?: $(cat "$dir/add.err")"
}

ended() # ROUND NAME PID
{
    local code=0
    wait "$3" || code=$?
    clients=$((clients + 1))
    [ "$code" = 0 ] || wrong "round $1: $2 ended with $code: $(cat "$dir/$2.err")"
    ! grep -q 'in its place' "$dir/$2.err" || wrong "round $1: $2 took the daemon's place"
}

a_round() # N
{
    local ids get wait add expected
    load "$1" >"$dir/list"
    ids=$("$bin" -q add --no-start -i "$dir/list") || wrong "round $1: add: $?"
    "$bin" get -d "$dest" "$url/${1}9.bin?seed=${1}9&size=1500k&rate=1500k&etag=\"$1\"" >"$dir/get.out" 2>"$dir/get.err" &
    get=$!
    # shellcheck disable=SC2086
    "$bin" wait $ids >"$dir/wait.out" 2>"$dir/wait.err" &
    wait=$!
    until_true 20 compgen -G "$dest/${1}9.*" || wrong "round $1: get does not begin"
    sleep "0.$((RANDOM % 4))"
    install_version "$1"
    running=$((running + $("$bin" list --state running | wc -l)))
    add "$1" "${1}0x" >"$dir/added" &
    add=$!
    "$bin" daemon restart 2>"$dir/restart.err" || wrong "round $1: restart: $(cat "$dir/restart.err")"
    wait "$add"
    [ ! -s "$dir/added" ] || wrong "$(cat "$dir/added")"
    expected=$("$bin" --version | sed -n 's/^dlmgr //p')
    [ "$(version)" = "$expected" ] || wrong "round $1: the daemon is $(version), not $expected"
    ended "$1" get "$get"
    ended "$1" wait "$wait"
}

# ---- At the end -------------------------------------------------------------------------------------

# The events of a session are numbered without a gap, so who saw all of them once saw 1, 2, 3, ...
follower_saw() # NAME PID LAST: its numbers stand in NAME.seqs
{
    kill -0 "$2" 2>/dev/null || wrong "$1 has ended: $(cat "$dir/$1.err")"
    [ ! -s "$dir/$1.err" ] || wrong "$1 said: $(cat "$dir/$1.err")"
    cmp -s <(seq "$3") "$dir/$1.seqs" ||
        wrong "$1: expected 1 to $3, got $(wc -l <"$dir/$1.seqs") of which $(sort -u "$dir/$1.seqs" | wc -l) differ"
}

followers_have_all()
{
    [ "$(wc -l <"$dir/old.out")" -ge "$last" ] && [ "$(wc -l <"$dir/new.out")" -ge "$last" ] &&
        [ "$(wc -l <"$dir/app.out")" -ge "$app_last" ]
}

# Of the bodies, how many were asked for from somewhere in the middle, and how much more was sent than there is.
sent()
{
    kill "$fixture" && wait "$fixture"
    awk -F '\t' -v files="$(du -bc "$dest"/* | tail -n 1 | cut -f 1)" '
        $1 == "REQ" && $5 ~ /^bytes=/ && $5 !~ /^bytes=0-/ { went_on++ }
        $1 == "END" { sent += $4 }
        END { printf "transfers that went on where they were: %d; sent %.1f MB for %.1f MB\n", went_on, sent / 1e6, files / 1e6 }' "$dir/served"
}

file_is_whole() # PATH: its name is its seed, and x is small
{
    local seed size=1500k
    seed=$(basename "$1" .bin)
    case $seed in *x) size=30k ;; *[3-8]) size=20k ;; esac
    cmp -s "$1" <("$B/fixture-server" --body "seed=${seed%x}&size=$size") || wrong "$1 is not whole"
}

start fixture "$B/fixture-server" --log "$dir/served"
trap finish EXIT
fixture=$pid
until_true 10 test -s "$dir/fixture.out" || exit 1
url=http://127.0.0.1:$(grep -o '[0-9]*' "$dir/fixture.out")
install_version 0
"$bin" -q daemon start --forever || exit 1
"$bin" -q add --session "$app" -d "$dest" --key 00x "$url/00x.bin?seed=00&size=30k" >"$dir/out" || exit 1
start old "${versions[0]}" events --follow --after 0
old=$pid
start new "${versions[1]}" events --follow --after 0
new=$pid
start app "$B/as/1.0.0-1-2/listener" "$DLMGR_HOME" "$app"
app_pid=$pid
for round in $(seq "$ROUNDS"); do
    a_round "$round"
    [ "$broken" = 0 ] || ROUNDS=$round
    [ "$broken" = 0 ] || break
done
"$bin" wait || wrong "wait: $?"
files=$((ROUNDS * 10 + 1))
last=$((ROUNDS * 6)) app_last=$((ROUNDS * 4 + 1)) # one event a file
until_true 20 followers_have_all
sleep 0.5 # for what comes twice
seqs "$dir/old.out" >"$dir/old.seqs"
seqs "$dir/new.out" >"$dir/new.seqs"
cp "$dir/app.out" "$dir/app.seqs"
follower_saw old "$old" "$last"
follower_saw new "$new" "$last"
follower_saw app "$app_pid" "$app_last"
for file in "$dest"/*; do
    file_is_whole "$file"
done
[ "$(find "$dest" -type f | wc -l)" = "$files" ] || wrong "$(find "$dest" -type f | wc -l) files, expected $files"
finished=$("$bin" --json daemon status 2>/dev/null | sed -n 's/.*"done":\([0-9]*\).*/\1/p')
[ "$finished" = "$files" ] || wrong "$finished tasks are done, expected $files"
echo "rounds $ROUNDS: $running transfers were running when the daemon was restarted, $clients clients followed through it, 3 all the time"
[ "$broken" != 0 ] || echo "events: 2 x $last and $app_last seen, each once and in order; files: $files, all whole"
echo "wrong: $broken"
sent
[ "$broken" = 0 ]
