#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lint.sh C-FILE... - layout, scripts, and two static checkers; each runs, then it fails when one complained.
# shellcheck disable=SC2317,SC2016
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
bad=0
sources=()
for file; do
    case $file in *.c) sources+=("$file") ;; esac
done

run() # NAME COMMAND...
{
    local name=$1
    shift
    if "$@"; then
        echo "ok    $name"
    else
        echo "FAIL  $name"
        bad=1
    fi
}

tidy()
{
    # Its stderr counts the warnings of system headers; what concerns us is on stdout.
    printf '%s\n' "${sources[@]}" | xargs -P "${J:-2}" -n 4 sh -c \
        'clang-tidy --quiet "$@" -- -std=c11 -D_GNU_SOURCE -Iinclude -I. $(pkg-config --cflags glib-2.0) 2>/dev/null' sh
}

check_c()
{
    cppcheck -q -j "${J:-2}" --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
        --suppress=missingIncludeSystem --suppress=internalAstError -D__GNUC__ -D__x86_64__ -Iinclude -I. \
        '-Djson_array_foreach(a,i,v)=for (i = 0; (v = json_array_get(a, i)); i++)' \
        '-Djson_object_foreach(o,k,v)=for (k = ""; (v = json_object_get(o, k));)' \
        '-Djson_object_foreach_safe(o,n,k,v)=for (k = ""; (v = json_object_get(o, k));)' "${sources[@]}"
}

run clang-format clang-format --dry-run -Werror "$@"
mapfile -t scripts < <(find . -path ./build -prune -o \( -name '*.sh' -o -name '*.bash' -o -path ./.ci/run -o -path ./tests/kill-app \) -print)
run shellcheck shellcheck -x "${scripts[@]}"
run cppcheck check_c
run clang-tidy tidy
exit "$bad"
