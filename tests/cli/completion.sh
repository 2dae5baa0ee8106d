#!/bin/bash
# SPDX-License-Identifier: MIT
#
# completion.sh - what bash completes is what the program takes: commands, options, values.
. tests/lib/story.sh
# shellcheck source=completions/dlmgr.bash
. completions/dlmgr.bash

# As bash would ask after these words, the last of which is being typed.
completed() # WORD...
{
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _dlmgr
    printf '%s\n' "${COMPREPLY[@]}"
}

test_every_command_is_completed()
{
    expect 0 "$DLMGR" --help
    same "$(completed dlmgr '' | sort)" "$(out | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p' | sort)"
    check [ "$(completed dlmgr '' | wc -l)" -ge 15 ]
}

# --help names each option as `  -x, --name VALUE   text` or `      --name`.
options_of_help()
{
    out | sed -n 's/^ *\(-.*\)/\1/p' | grep -oE '^(-[a-zA-Z0-9], )?--[a-z0-9-]+' | tr -d ' ' | tr , '\n' | sort -u
}

test_every_option_is_completed()
{
    local command
    for command in $_dlmgr_commands; do
        expect 0 "$DLMGR" "$command" --help
        check [ -n "$(options_of_help)" ]
        same "$(completed dlmgr "$command" - | sort -u)" "$(options_of_help)" "completion of $command"
    done
}

test_values_are_completed()
{
    same "$(completed dlmgr add --on-exists re)" $'rename\nreplace'
    same "$(completed dlmgr add --on-exists = fa)" fail
    same "$(completed dlmgr list --state failed,ca)" failed,cancelled
    same "$(completed dlmgr daemon st)" $'start\nstop\nstatus'
    same "$(completed dlmgr --home get --js)" --json
    same "$(completed dlmgr session s)" $'show\nset'
    mkdir some && touch some-file
    same "$(completed dlmgr add --dir so)" some
    same "$(completed dlmgr add -i so | sort)" $'some\nsome-file'
    same "$(completed dlmgr add --key x)" ''
}

run_stories "$@"
