#!/bin/bash
# SPDX-License-Identifier: MIT
#
# runner.sh - the runner and `make deps` do what the rest relies on: no failure is lost, nothing is asked for in vain.
. tests/lib/story.sh

script() # NAME LINE...
{
    local name=$1
    shift
    printf '%s\n' '#!/bin/bash' "$@" >"$TMP/cwd/$name.sh"
}

run_tests() # CODE FILE...
{
    local code=$1
    shift
    expect "$code" env T= "$ROOT/tests/run.sh" "${@/#/$TMP/cwd/}"
}

test_good_tests_are_summed()
{
    script a 'echo ok one' 'echo 1 passed, 0 failed'
    script b 'echo 41 passed, 0 failed'
    run_tests 0 a.sh b.sh
    same "$(out | tail -n 2)" $'--\n42 passed, 0 failed'
}

test_a_failure_is_counted_and_shown()
{
    script a 'echo 1 passed, 0 failed'
    script b 'echo FAIL it' 'echo why' 'echo 2 passed, 1 failed' 'exit 1'
    run_tests 1 a.sh b.sh
    same "$(out | tail -n 1)" '3 passed, 1 failed'
    out_has '^why$'
}

test_a_crash_is_a_failure()
{
    script a 'echo ok one' 'kill -SEGV $$'
    run_tests 1 a.sh
    same "$(out | tail -n 1)" '1 passed, 1 failed'
}

test_a_bad_exit_after_a_good_summary_is_a_failure()
{
    script a 'echo ok one' 'echo 1 passed, 0 failed' 'exit 3'
    run_tests 1 a.sh
    same "$(out | tail -n 1)" '1 passed, 1 failed'
}

test_silence_is_a_failure()
{
    script a 'echo nothing'
    run_tests 1 a.sh
    same "$(out | tail -n 1)" '0 passed, 1 failed'
}

test_a_hang_is_a_failure()
{
    script a '# timeout: 1' 'sleep 30'
    run_tests 1 a.sh
    out_has '^timeout after 1 s$'
    same "$(out | tail -n 1)" '0 passed, 1 failed'
}

test_no_test_is_a_failure()
{
    run_tests 1
    same "$(out | tail -n 1)" '0 passed, 1 failed'
}

# dpkg-query answers from a list, apt-get and sudo write down what they were asked.
fake_debian() # PACKAGE-THAT-IS-MISSING
{
    mkdir -p bin
    cat >bin/dpkg-query <<END
#!/bin/bash
shift 3
for p; do [ "\$p" = "$1" ] || echo "ii  \$p"; done
END
    printf '#!/bin/bash\necho "apt-get $*" >>"%s"\n' "$TMP/asked" >bin/apt-get
    sed -i 's/"apt-get "/"apt-get $*"/' bin/apt-get
    printf '#!/bin/bash\nexec "$@"\n' >bin/sudo
    chmod +x bin/*
}

test_deps_asks_for_nothing_when_all_is_there()
{
    fake_debian none
    expect 0 env PATH="$PWD/bin:$PATH" make -s -C "$ROOT" deps
    no_out
    check_not [ -e "$TMP/asked" ]
}

test_deps_installs_exactly_what_is_missing()
{
    fake_debian libjansson-dev
    expect 0 env PATH="$PWD/bin:$PATH" make -s -C "$ROOT" deps
    check grep -q '^apt-get update' "$TMP/asked"
    check grep -qE '^apt-get install .* libjansson-dev$' "$TMP/asked"
    same "$(wc -l <"$TMP/asked")" 2
}

test_deps_fails_when_apt_fails()
{
    fake_debian libjansson-dev
    printf '#!/bin/bash\nexit 100\n' >bin/apt-get
    expect 2 env PATH="$PWD/bin:$PATH" make -s -C "$ROOT" deps
}

run_stories "$@"
