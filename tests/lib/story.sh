# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# story.sh - sourced by each shell test: functions named test_*, and `run_stories "$@"` as the last line.
#
#     #!/bin/bash
#     # SPDX-License-Identifier: MIT
#     . tests/lib/story.sh
#
#     # add prints the id of what is now durable.
#     test_add_prints_an_id()
#     {
#         fixture_start
#         expect 0 "$DLMGR" add --no-start "$FIXTURE_URL/a"
#         out_has '^[0-9]+$'
#     }
#
#     run_stories "$@"
#
# Each function runs in a subshell of its own with an empty directory $TMP, HOME, DLMGR_HOME and XDG_* below it, the current
# directory $TMP/cwd, and nothing on stdin. The first helper that finds something wrong says what and ends that story; a plain
# command that fails does not: use run, expect or check. What must stay true: after a story, no process that it
# started lives (they are ended by their pids), and nothing of it is left on the disk. `# timeout: N` in a story's
# file sets the seconds that the runner gives the whole file (default 120).
#
# Commands run from the repository's root: DLMGR and FIXTURE are made absolute here, ROOT is the root.

set -u -o pipefail
ROOT=$(pwd)
B=${B:-build}
case $B in /*) ;; *) B=$ROOT/$B ;; esac
DLMGR=${DLMGR:-$B/dlmgr}
FIXTURE=${FIXTURE:-$B/fixture-server}
case $DLMGR in /*) ;; *) DLMGR=$ROOT/$DLMGR ;; esac
case $FIXTURE in /*) ;; *) FIXTURE=$ROOT/$FIXTURE ;; esac
export B DLMGR FIXTURE ROOT

# ---- Saying what is wrong: each ends the story ------------------------------------------------------

fail() # TEXT
{
    echo "    ${BASH_SOURCE[2]##*/}:${BASH_LINENO[1]}: $1"
    local name
    for name in "$TMP/out" "$TMP/err"; do
        [ -s "$name" ] && head -c 2000 "$name" | sed "s/^/      ${name##*/}: /"
    done
    exit 1
}

check() # COMMAND...: must succeed
{
    "$@" || fail "does not hold: $*"
}

check_not() # COMMAND...: must fail
{
    ! "$@" || fail "should not hold: $*"
}

same() # ACTUAL EXPECTED [WHAT]
{
    [ "$1" = "$2" ] || fail "${3:-value} is '$1', expected '$2'"
}

same_file() # FILE OTHER
{
    cmp -s -- "$1" "$2" || fail "$1 differs from $2"
}

# ---- Running a command ----------------------------------------------------------------------------

# Runs it with stdout in $TMP/out and stderr in $TMP/err; its exit code is in $status.
run() # COMMAND...
{
    status=0
    timeout "${LIMIT:-60}" "$@" >"$TMP/out" 2>"$TMP/err" || status=$?
}

expect() # CODE COMMAND...
{
    local code=$1
    shift
    run "$@"
    [ "$status" = "$code" ] || fail "exit code $status, expected $code, of: $*"
}

out() { cat "$TMP/out"; }
err() { cat "$TMP/err"; }

out_has() { grep -Eq -e "$1" "$TMP/out" || fail "stdout has no match for: $1"; }
err_has() { grep -Eq -e "$1" "$TMP/err" || fail "stderr has no match for: $1"; }
out_lacks() { ! grep -Eq -e "$1" "$TMP/out" || fail "stdout has: $1"; }
err_lacks() { ! grep -Eq -e "$1" "$TMP/err" || fail "stderr has: $1"; }
out_is() { same "$(out)" "$1" stdout; }
no_out() { [ ! -s "$TMP/out" ] || fail "stdout is not empty"; }
no_err() { [ ! -s "$TMP/err" ] || fail "stderr is not empty"; }

# ---- Processes and time -----------------------------------------------------------------------------

# Starts it in the background, output to $TMP/NAME.out and .err; its pid is in $pid. Ended after the story.
background() # NAME COMMAND...
{
    local name=$1
    shift
    "$@" >"$TMP/$name.out" 2>"$TMP/$name.err" </dev/null &
    pid=$!
    echo "$pid" >>"$TMP/pids"
}

wait_for() # SECONDS COMMAND...: until it succeeds
{
    local seconds=$1 end=$((SECONDS + $1 + 1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "not within $seconds s: $*"
        sleep 0.05
    done
}

gone() # PID
{
    ! kill -0 "$1" 2>/dev/null
}

end_process() # PID: asked politely, then not
{
    local i
    kill -TERM "$1" 2>/dev/null || return 0
    for i in $(seq 120); do
        [ "$i" = 100 ] && kill -KILL "$1" 2>/dev/null
        gone "$1" && return 0
        sleep 0.05
    done
}

# ---- The fixture server -------------------------------------------------------------------------------

# Sets FIXTURE_PORT, FIXTURE_URL, FIXTURE_PID and FIXTURE_LOG (what it received). Its first line says the port.
# shellcheck disable=SC2120
fixture_start() # [ARG...]
{
    FIXTURE_LOG=$TMP/fixture.log
    background fixture "$FIXTURE" --log "$FIXTURE_LOG" "$@"
    FIXTURE_PID=$pid
    wait_for 10 grep -q '[0-9]' "$TMP/fixture.out"
    FIXTURE_PORT=$(head -n 1 "$TMP/fixture.out" | grep -o '[0-9]*' | tail -n 1)
    FIXTURE_URL=http://127.0.0.1:$FIXTURE_PORT
    export FIXTURE_LOG FIXTURE_PID FIXTURE_PORT FIXTURE_URL
}

# ---- Running the stories ------------------------------------------------------------------------------

story_setup()
{
    TMP=$(mktemp -d "${TMPDIR:-/tmp}/dlmgr-story-XXXXXX") || exit 1
    mkdir -p "$TMP/cwd" "$TMP/user" "$TMP/state"
    touch "$TMP/out" "$TMP/err" "$TMP/pids"
    unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY NO_COLOR
    unset XDG_RUNTIME_DIR
    export TMP HOME=$TMP/user XDG_STATE_HOME=$TMP/state XDG_CONFIG_HOME=$TMP/user/.config
    export DLMGR_HOME=$TMP/home LC_ALL=C.UTF-8 TZ=UTC
    cd "$TMP/cwd" || exit 1
}

# An owner of this story's homes that is not our child: it holds its lock open below $TMP.
story_owners()
{
    find /proc/[0-9]*/fd -lname "$TMP/*" -printf '%h\n' 2>/dev/null | cut -d/ -f3 | sort -u |
        grep -vx -e "$$" -e "$BASHPID" || true
}

# story_undo, where a file has one: what is to be undone when the processes have gone.
story_cleanup()
{
    local p
    cd / || exit 1
    for p in $(cat "$TMP/pids" 2>/dev/null) $(story_owners); do
        end_process "$p"
    done
    [ "$(type -t story_undo)" != function ] || story_undo
    rm -rf -- "$TMP"
}

run_story() # NAME
(
    story_setup
    trap story_cleanup EXIT
    trap 'exit 143' TERM INT HUP
    "$1" </dev/null 3<&-
)

run_stories() # [FILTER]: functions whose name contains it (all when the file's name does)
{
    local name passed=0 failed=0 filter=${1:-}
    case ${0##*/} in *"$filter"*) filter= ;; esac
    while read -r name <&3; do
        case $name in *"$filter"*) ;; *) continue ;; esac
        if run_story "$name"; then
            echo "ok $name"
            passed=$((passed + 1))
        else
            echo "FAIL $name"
            failed=$((failed + 1))
        fi
    done 3< <(sed -n 's/^\(test_[a-zA-Z0-9_]*\) *().*/\1/p' "$0")
    if [ $((passed + failed)) = 0 ] && [ -z "${1:-}" ]; then
        echo "FAIL ${0##*/}: no test ran"
        failed=1
    fi
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
