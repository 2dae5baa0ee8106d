#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 300
#
# built.sh - what must be true of what we build and install: names, hardening, no trace of the machine.
. tests/lib/story.sh

quiet_make()
{
    LIMIT=280 expect 0 make -C "$ROOT" NODEPS=1 "$@"
}

# Only dlmgr_* is visible, under the node DLMGR_0; the soname is libdlmgr.so.0.
test_the_shared_library_shows_only_dlmgr_names()
{
    nm -D --defined-only "$B/libdlmgr.so.0" | awk '{print $3}' >names
    check grep -q '^dlmgr_[a-z_]*@@DLMGR_0$' names
    check_not grep -vE '^(dlmgr_[a-z_]*@@DLMGR_0|DLMGR_0(@@DLMGR_0)?)$' names
    check grep -qF '[libdlmgr.so.0]' <(readelf -d "$B/libdlmgr.so.0")
}

# All that the header declares is there to be linked, and nothing else.
test_the_header_and_the_library_agree()
{
    gcc -E -P -I"$ROOT/include" "$ROOT/include/dlmgr.h" | grep -o '\<dlmgr_[a-z_]* *(' | tr -d ' (' | sort -u >declared
    nm -D --defined-only "$B/libdlmgr.so.0" | sed -n 's/.* [TDBR] \(dlmgr_[a-z_]*\)@@.*/\1/p' | sort -u >exported
    check [ -s exported ]
    same "$(comm -13 declared exported)" "" "exported without a declaration"
    same "$(comm -23 declared exported)" "" "declared but not exported"
}

# The static library's other names are its own.
test_the_static_library_shows_only_dlmgr_names()
{
    nm -g --defined-only "$B/libdlmgr.a" | awk 'NF == 3 {print $3}' >names
    check grep -q '^dlmgr_' names
    check_not grep -v '^dlmgr_' names
}

hardened() # FILE
{
    readelf -W -d -l "$1" >elf
    grep -q 'GNU_RELRO' elf || fail "$1 has no relro"
    grep -qE 'BIND_NOW|NOW' elf || fail "$1 binds lazily"
    ! grep -qE 'GNU_STACK.*RWE' elf || fail "$1 has an executable stack"
    ! grep -qE 'RPATH|RUNPATH|TEXTREL' elf || fail "$1 has a run path or text relocations"
}

test_programs_and_library_are_hardened()
{
    hardened "$B/dlmgr"
    hardened "$B/libdlmgr.so.0"
    check grep -q 'DYN' <(readelf -h "$B/dlmgr")
    check grep -q '__stack_chk_fail' <(nm -D "$B/dlmgr")
    check grep -q '__[a-z]*_chk' <(nm -D "$B/libdlmgr.so.0")
}

# What tells systemd how it is is the daemon; who embeds the library need not have libsystemd.
test_the_library_does_not_need_libsystemd()
{
    check_not grep -q systemd <(readelf -d "$B/libdlmgr.so.0")
    check_not grep -q ' U sd_' <(nm "$B/libdlmgr.a")
}

# The units as they are installed: systemd understands every line. What it does not know it ignores with a word.
test_installed_units_are_accepted()
{
    local d=$TMP/root/lib/systemd
    command -v systemd-analyze >/dev/null || fail "systemd-analyze is missing: make deps"
    quiet_make install B="$B" PREFIX="$TMP/root"
    export XDG_RUNTIME_DIR=$TMP
    expect 0 systemd-analyze --user --man=no verify "$d/user/dlmgr.service" "$d/user/dlmgr.socket"
    no_err
    expect 0 systemd-analyze --system --man=no verify "$d/system/dlmgr@.service"
    no_err
    same "$(sed -n 's/^ListenStream=//p' "$d/user/dlmgr.socket")" "%h/.local/state/dlmgr/control.sock"
}

# Built elsewhere, the bytes are the same: no date, no path, no name of the machine.
test_a_build_elsewhere_gives_the_same_bytes()
{
    local name
    mkdir "$TMP/a-copy" && (cd "$ROOT" && tar c --exclude=./build --exclude=./.git .) | tar x -C "$TMP/a-copy"
    LIMIT=280 expect 0 make -C "$TMP/a-copy" NODEPS=1 B=build all
    for name in libdlmgr.so.0 libdlmgr.a dlmgr; do
        same_file "$TMP/a-copy/build/$name" "$B/$name"
        check_not grep -qaF "$ROOT" "$B/$name"
    done
}

# Installed, a stranger's program finds us by pkg-config, shared and static; uninstalled, nothing is left.
test_an_installed_library_can_be_used()
{
    local d=$TMP/root version
    version=$(sed -n 's/^#define DLMGR_VERSION "\(.*\)"/\1/p' "$ROOT/include/dlmgr.h")
    quiet_make install B="$B" DESTDIR="$d" PREFIX=/opt/x LIBDIR=/opt/x/lib64
    cat >t.c <<'END'
#include <dlmgr.h>
#include <stdio.h>
int main(void)
{
    puts(dlmgr_version());
    return 0;
}
END
    export PKG_CONFIG_PATH=$d/opt/x/lib64/pkgconfig PKG_CONFIG_SYSROOT_DIR=$d
    same "$(pkg-config --modversion dlmgr)" "$version"
    # shellcheck disable=SC2046
    expect 0 gcc -o shared t.c $(pkg-config --cflags --libs dlmgr)
    expect 0 env LD_LIBRARY_PATH="$d/opt/x/lib64" ./shared
    out_is "$version"
    # The static library with shared ones below it, as distributions have them.
    # shellcheck disable=SC2046
    expect 0 gcc -o static t.c $(pkg-config --cflags dlmgr) "$d/opt/x/lib64/libdlmgr.a" -pthread \
        $(env -u PKG_CONFIG_SYSROOT_DIR pkg-config --libs $(pkg-config --print-requires-private dlmgr))
    expect 0 ./static
    out_is "$version"
    expect 0 "$d/opt/x/bin/dlmgr" --version
    out_has "$version"
    check [ -s "$d/opt/x/share/man/man1/dlmgr.1" ]
    check [ -s "$d/opt/x/share/bash-completion/completions/dlmgr" ]
    quiet_make uninstall B="$B" DESTDIR="$d" PREFIX=/opt/x LIBDIR=/opt/x/lib64
    same "$(find "$d" ! -type d)" "" "left after uninstall"
}

run_stories "$@"
