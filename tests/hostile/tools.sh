# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: MIT
#
# tools.sh - sourced by hostile.sh: how a careful user calls each tool for the same wish.
#
# The wish is in variables: urls (the first is the file's, the others mirrors), headers, and what the case's options set (opt[...]). Each
# call_TOOL runs the tool once, RUN being 1, 2, 3, in $dir with its files below $dir/out, and returns its exit code. All are told to
# go on with what is there, to try a few times without long pauses, and not to wait for more than ten seconds for a dead
# server; dlmgr has no switch for the last. What has no equivalent is left out.

call_dlmgr()
{
    local args=(--retry-wait 0 -d "$dir/out") h u
    [ -n "${opt[name]:-}" ] || args+=(-o f)
    args+=(--max-tries "${opt[tries]:-4}")
    for h in "${headers[@]}"; do args+=(-H "$h"); done
    for u in "${urls[@]:1}"; do args+=(--mirror "$u"); done
    [ -z "${opt[x]:-}" ] || args+=(-x "${opt[x]}")
    [ -z "$sum" ] || args+=(--checksum "$sum")
    [ -z "${opt[max]:-}" ] || args+=(--max-size "${opt[max]}")
    [ -z "${opt[user]:-}" ] || args+=(--netrc-file "$dir/user/.netrc")
    [ -z "$cacert" ] || args+=(--cacert "$cacert")
    [ -z "$pin" ] || args+=(--pinned-pubkey "$pin")
    [ -z "${opt[replace]:-}" ] || args+=(--on-exists replace)
    # shellcheck disable=SC2206 # words
    args+=(${opt[dl]:-})
    limited "$DLMGR" --home "$dir/home" --json get --no-start "${args[@]}" -- "${urls[0]}"
}

# A name of the server's choice and -C - exclude each other in curl.
call_curl()
{
    local args=(-fsSL --retry $((${opt[tries]:-4} - 1)) --retry-delay 1 --connect-timeout 5 --speed-limit 1 --speed-time 10) h
    cd "$dir/out" || return
    if [ -n "${opt[name]:-}" ]; then args+=(-OJ); else args+=(-o f); fi
    [ -n "${opt[name]:-}${opt[replace]:-}" ] || args+=(-C -)
    ! at_home || for h in "${headers[@]}"; do args+=(-H "$h"); done
    [ -z "${opt[max]:-}" ] || args+=(--max-filesize "${opt[max]}")
    [ -z "${opt[user]:-}" ] || args+=(--netrc-file "$dir/user/.netrc")
    [ -z "$cacert" ] || args+=(--cacert "$cacert")
    [ -z "$pin" ] || args+=(--pinnedpubkey "$pin")
    limited curl "${args[@]}" "$(url_of_run)"
}

call_wget()
{
    local args=(-q -P "$dir/out" --tries="${opt[tries]:-4}" --waitretry=1 --timeout=10) h
    [ -z "${opt[name]:-}" ] || args+=(--content-disposition)
    if [ -n "${opt[replace]:-}" ]; then args+=(-O f); else args+=(-c); fi
    ! at_home || for h in "${headers[@]}"; do args+=("--header=$h"); done
    [ -z "$cacert" ] || args+=(--ca-certificate="$cacert")
    [ -z "$pin" ] || args+=(--pinnedpubkey="$pin")
    cd "$dir/out" || return
    limited wget "${args[@]}" "$(url_of_run)"
}

call_aria2()
{
    # Else it would fill the disk with as many zeros as a server promises.
    local args=(-q -k 1M --file-allocation=none --max-tries="${opt[tries]:-4}" --retry-wait=1 --timeout=10 --connect-timeout=5 --no-conf -d "$dir/out") h
    [ -n "${opt[name]:-}" ] || args+=(-o f)
    if [ -n "${opt[replace]:-}" ]; then args+=(--allow-overwrite=true); else args+=(-c); fi
    args+=(-x "${opt[x]:-4}" -s "${opt[x]:-4}")
    for h in "${headers[@]}"; do args+=("--header=$h"); done
    [ -z "$sum" ] || args+=("--checksum=$sum")
    [ -z "${opt[user]:-}" ] || args+=(--netrc-path="$dir/user/.netrc")
    [ -z "$cacert" ] || args+=(--ca-certificate="$cacert")
    limited aria2c "${args[@]}" "${urls[@]}"
}

# Called in a subshell of its own, whose pid it takes.
limited() { exec timeout -k 2 "$LIMIT" "$@"; }

# A digest is looked at afterwards, where the tool itself cannot.
checks_sum() # TOOL
{
    [ "$1" = dlmgr ] || [ "$1" = aria2 ]
}

# What knows no mirrors is called with the next one when the first did not do.
url_of_run()
{
    local i=$((${RUN:-1} - 1))
    [ "$i" -lt "${#urls[@]}" ] || i=$((${#urls[@]} - 1))
    echo "${urls[i]}"
}

# Nobody gives a mirror by hand what was given for the first URL.
at_home() { [ "$(url_of_run)" = "${urls[0]}" ]; }
