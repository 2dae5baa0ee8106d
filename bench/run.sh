#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh [--json] [large] [small] [queue] [flood] [session] - dlmgr beside curl, aria2 and wget, all in one run, medians of N (5).
#
# A real nginx on loopback serves; the product has its journal and all its syncs on. Times of different days or machines say
# little, so goals are ratios to what a peer did in the same run wherever there is one. Everything lies below a directory made in BENCH_DIR
# (or TMPDIR, or /tmp), which should be on a real file system, and is removed at the end.
#
# N=1 and smaller SIZE (MiB), FILES, WRITER (MiB), TASKS, FLOOD, EVENTS make a quick run. DLMGR names another program to measure.
# Progress goes to stderr, results to stdout. Exit code: 0 all was measured, whether goals were met or not.
# shellcheck disable=SC2034 # the parts use what is set here
set -eu -o pipefail
export LC_ALL=C
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY DLMGR_HOME
cd "$(dirname "$0")/.."
B=${B:-build}
DLMGR=${DLMGR:-$B/dlmgr}
N=${N:-5} SIZE=${SIZE:-2048} FILES=${FILES:-10000} WRITER=${WRITER:-4096} TASKS=${TASKS:-100000} FLOOD=${FLOOD:-1000000} EVENTS=${EVENTS:-100000}
case $B in /*) ;; *) B=$PWD/$B ;; esac
case $DLMGR in /*) ;; *) DLMGR=$PWD/$DLMGR ;; esac

here=$PWD/bench
for part in lib large small queue flood session; do
    # shellcheck source=/dev/null
    . "$here/$part.sh"
done

# ---- An owner in the background ----------------------------------------------------------------------------------

owner=
owner_begin() # HOME [OPTION...]
{
    local home=$1
    shift
    "$DLMGR" --home "$home" daemon run --stay "$@" >"$work/owner" 2>&1 </dev/null &
    owner=$!
}

owner_start() # HOME [OPTION...]
{
    local i
    owner_begin "$@"
    for ((i = 0; i < 200; i++)); do
        ! "$B/bench/ask" "$1" status >/dev/null 2>&1 || return 0
        kill -0 "$owner" 2>/dev/null || break
        sleep 0.02
    done
    tail -n 5 "$work/owner" >&2
    die 'the owner does not answer'
}

owner_commit() # HOME: its longest commit, us
{
    "$B/bench/ask" "$1" status | sed -n 's/.*"commit_longest_us": *\([0-9]*\).*/\1/p' | grep .
}

owner_stop()
{
    kill -TERM "$owner"
    wait "$owner" || :
    owner=
}

# ---- The server --------------------------------------------------------------------------------------------------

server() # NAME: prints the URL of an nginx in $work/NAME, which serves $www
{
    mkdir -p "$work/$1"
    ln -sfn "$www" "$work/$1/www"
    fixtures/nginx.sh start "$work/$1" "$work/certs" | sed -n 's,^http \(.*\),http://127.0.0.1:\1,p' | grep .
}

clean()
{
    trap '' INT TERM HUP
    [ -z "$owner" ] || kill -KILL "$owner" 2>/dev/null || :
    fixtures/nginx.sh stop "$work/speed" || :
    fixtures/nginx.sh stop "$work/seen" || :
    # shellcheck disable=SC2046
    kill $(jobs -p) 2>/dev/null || :
    rm -rf "$work"
}

room_check()
{
    local need free
    need=$((SIZE * 4 + WRITER + FILES * N / 10 + 4096))
    free=$(df -Pm "$work" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$need" ] || die "needs $need MiB in $work, where $free MiB are free; set BENCH_DIR"
}

machine()
{
    local model
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    echo "$(nproc) cores ${model:+($model)}, $(df -PT "$work" | awk 'NR == 2 { print $2 }'), Linux $(uname -r); medians of $N"
    have aria2c && aria2c --version | sed -n '1s/ version//p'
    have wget && wget --version | sed -n '1s/GNU Wget \([^ ]*\).*/wget \1/p'
    curl --version | sed -n '1s/\(curl [^ ]*\).*/\1/p'
}

# ---- All of it ---------------------------------------------------------------------------------------------------

json='' parts=''
for word; do
    case $word in
    --json) json=1 ;;
    large | small | queue | flood | session) parts+=" $word" ;;
    *) die "$word: use large, small, queue, flood, session or --json" ;;
    esac
done
[ -x "$DLMGR" ] || die "$DLMGR is not there: run make"
[ -x "$B/bench/ask" ] || die "$B/bench/ask is not there: run make tests"

work=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/dlmgr-bench.XXXXXX")
trap clean EXIT
trap 'exit 130' INT TERM HUP
www=$work/www lists=$work/lists seen_log=$work/seen/access.log
mkdir "$www" "$lists" "$work/samples"
chmod 755 "$work"
room_check
fixtures/certs.sh "$work/certs"
head -c "${SIZE}M" /dev/urandom >"$www/large"
http=$(NGINX_ACCESS_LOG=off server speed)
seen=$(server seen)
small_lists
for part in ${parts:-large small queue flood session}; do
    say "$part"
    "part_$part"
done
if [ -n "$json" ]; then
    lines_json
else
    machine
    lines_print
    awk -F '\t' '{ n[$7]++ } END { printf "\n%d goals met, %d missed, %d lines skipped\n", n["met"], n["missed"], n["skipped"] }' \
        "$work/lines"
fi
