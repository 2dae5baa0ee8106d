#!/bin/bash
# SPDX-License-Identifier: MIT
#
# source.sh - what must be true of every source file, and of the public header for those who include it.
. tests/lib/story.sh

sources()
{
    find include dlmgr store daemon cli examples fixtures tests bench completions packaging .ci Makefile -type f \
        \( -name '*.[ch]' -o -name '*.sh' -o -name '*.bash' -o -name '*.map' -o -name run -o -name kill-app -o -name Makefile \)
}

# The licence stands in the first two lines of each file.
test_each_file_has_an_spdx_line()
{
    cd "$ROOT" || exit 1
    sources | xargs awk 'FNR == 1 { if (file != "" && !good) print file; good = 0; file = FILENAME; n++ }
        FNR <= 2 && /SPDX-License-Identifier: MIT/ { good = 1 }
        END { if (!good) print file; if (n < 10) print "only " n " files" }' >"$TMP/out"
    no_out
}

# After the licence a C file says what it does: a comment that begins with its own name.
test_each_c_file_explains_itself()
{
    cd "$ROOT" || exit 1
    # shellcheck disable=SC2016
    sources | grep '\.[ch]$' | xargs awk 'FNR == 1 { if (file != "" && !good) print file; good = 0; file = FILENAME; name = file; sub(/.*\//, "", name) }
        FNR <= 4 && index($0, " " name " - ") { good = 1 }
        END { if (!good) print file }' >"$TMP/out"
    no_out
}

# Scripts and programs do not leave work for later.
test_nothing_is_left_to_do()
{
    local found word='TO''DO|FIX''ME|XX''X'
    cd "$ROOT" || exit 1
    found=$(sources | xargs grep -nE "\<($word)\>")
    same "$found" ""
}

# A user of <dlmgr.h> may be strict, and may be C++.
test_the_header_compiles_everywhere()
{
    local strict='-Wall -Wextra -pedantic -Werror -fsyntax-only' std
    printf '#include <dlmgr.h>\nint main(void) { return dlmgr_version() == 0; }\n' >t.c
    cp t.c t.cc
    for std in c99 c11 c17; do
        # shellcheck disable=SC2086
        expect 0 gcc -std=$std $strict -I"$ROOT/include" t.c
    done
    for std in c++11 c++17; do
        # shellcheck disable=SC2086
        expect 0 g++ -std=$std $strict -I"$ROOT/include" t.cc
    done
}

# libdlmgr(3) has each function of the header and no other, and its example is a program.
test_the_manual_has_each_function()
{
    local page=$ROOT/docs/man/libdlmgr.3.scd
    sed -n 's/^DLMGR_API [^(]*[ *]\(dlmgr_[a-z_]*\)(.*/\1/p' "$ROOT/include/dlmgr.h" | sort -u >header
    check [ "$(wc -l <header)" -gt 40 ]
    sed -n '/^# FUNCTIONS/,/^# EXAMPLE/p' "$page" | grep -o 'dlmgr_[a-z_]*\*()' | tr -d '*()' | sort -u >manual
    same "$(diff header manual)" "" "functions of the header and the manual"
    # shellcheck disable=SC2016 # backquotes of Markdown
    sed -n '/^# EXAMPLE/,$p' "$page" | sed -n '/^```/,/^```/p' | sed '/^```/d; s/\\\\/\\/g' >example.c
    expect 0 gcc -std=c11 -Wall -Wextra -Werror -fsyntax-only -I"$ROOT/include" example.c
}

# The version stands in one place.
test_the_version_stands_in_one_place()
{
    local version
    cd "$ROOT" || exit 1
    version=$(sed -n 's/^#define DLMGR_VERSION "\(.*\)"/\1/p' include/dlmgr.h)
    check grep -qE '^[0-9]+\.[0-9]+\.[0-9]+$' <<<"$version"
    same "$(grep -rlF "\"$version\"" include dlmgr store daemon cli packaging Makefile)" include/dlmgr.h
}

run_stories "$@"
