# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# dlmgr.bash - completion of dlmgr's commands, options and their values.
#
# One list a group of options, as cli/options.c groups them; a test compares them with what each command's --help says.

_dlmgr_commands='get add list show pause resume cancel retry remove set run wait events session daemon doctor'
_dlmgr_states='queued running verifying committing done waiting paused failed cancelled'

_dlmgr_global='--home --json --quiet --verbose --help --version -q -v -h -V'
_dlmgr_new='--out --dir --create-dirs --mirror --checksum --header --header-file --header-from --user --netrc-file --load-cookies
    --on-exists --paused --priority --start-after --connections --limit-rate --max-tries --retry-wait --max-size
    --require-length --block-private --key --session --user-data --cacert --cert --cert-key --pinned-pubkey --proxy
    --ipv4 --ipv6 --input-file --no-start -o -d -H -u -x -4 -6 -i'
_dlmgr_own='--max-active --max-per-host --keep-done --limits -j'
_dlmgr_act='--state --session --all --start'

# The options of a command, one line.
_dlmgr_options() # COMMAND
{
    case $1 in
    get) echo "$_dlmgr_new $_dlmgr_own --new --patient" ;;
    add) echo "$_dlmgr_new" ;;
    list) echo '--state --session --after --limit' ;;
    show) echo '--secrets' ;;
    pause | resume | cancel | retry) echo "$_dlmgr_act" ;;
    remove) echo "$_dlmgr_act --delete" ;;
    set) echo '--url --out --dir --priority --limit-rate --start-after --input-file --session --start -o -d -i' ;;
    run) echo "$_dlmgr_own --limit-rate --forever --patient" ;;
    wait) echo '--timeout --patient' ;;
    events) echo '--session --after --follow --ack --ack-to --exec --wait --take' ;;
    session) echo '--on-event' ;;
    daemon) echo "$_dlmgr_own --limit-rate --forever --stay --idle" ;;
    doctor) echo '--fix' ;;
    esac
}

# Fills COMPREPLY with the values of an option; fails when the option takes none.
_dlmgr_values() # OPTION WORD
{
    case $1 in
    --home | --dir | -d)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$2")
        ;;
    --header-file | --netrc-file | --load-cookies | --cacert | --cert | --cert-key | --input-file | -i)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$2")
        ;;
    --on-exists) mapfile -t COMPREPLY < <(compgen -W 'fail rename replace same' -- "$2") ;;
    --checksum)
        compopt -o nospace 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -W 'sha-256= sha-512= sha-1= md5=' -- "$2")
        ;;
    --state)
        local before=
        [[ $2 != *,* ]] || before=${2%,*},
        mapfile -t COMPREPLY < <(compgen -P "$before" -W "$_dlmgr_states" -- "${2##*,}")
        ;;
    --out | --mirror | --header | --user | --priority | --start-after | --connections | --limit-rate | --max-tries | \
        --retry-wait | --max-size | --key | --session | --user-data | --pinned-pubkey | --proxy | --max-active | \
        --max-per-host | --keep-done | --limits | --url | --after | --limit | --timeout | --ack-to | --exec | --on-event | --idle | \
        -o | -H | -u | -x | -j) ;;
    *) return 1 ;;
    esac
}

_dlmgr()
{
    local word=${COMP_WORDS[COMP_CWORD]} before='' command='' i
    COMPREPLY=()
    [ "$COMP_CWORD" = 0 ] || before=${COMP_WORDS[COMP_CWORD - 1]}
    # Bash cuts --option=value in three words.
    if [ "$word" = = ]; then
        word=
    elif [ "$before" = = ] && [ "$COMP_CWORD" -gt 2 ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case " $_dlmgr_commands " in
        *" ${COMP_WORDS[i]} "*) [ "${COMP_WORDS[i - 1]}" = --home ] || { command=${COMP_WORDS[i]} && break; } ;;
        esac
    done

    _dlmgr_values "$before" "$word" && return
    case $word in
    -*) mapfile -t COMPREPLY < <(compgen -W "$(_dlmgr_options "$command") $_dlmgr_global" -- "$word") ;;
    *)
        if [ -z "$command" ]; then
            mapfile -t COMPREPLY < <(compgen -W "$_dlmgr_commands" -- "$word")
        elif [ "$command" = session ]; then
            mapfile -t COMPREPLY < <(compgen -W 'list show set remove' -- "$word")
        elif [ "$command" = daemon ]; then
            mapfile -t COMPREPLY < <(compgen -W 'start stop restart status run' -- "$word")
        fi
        ;;
    esac
}

complete -F _dlmgr dlmgr
