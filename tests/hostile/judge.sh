# shellcheck shell=bash disable=SC2154,SC2034
# SPDX-License-Identifier: MIT
#
# judge.sh - sourced by hostile.sh: what came of a case, by exit code and by what stands in its directory, never by what the tool says.
#
# Sets verdict, one of
#
#     right    exit 0: the whole bytes of a version that the case allows, alone, in the right place
#     failed   another exit code, as the case wants, or as it allows
#     looser   exit 0 with these bytes, where dlmgr refuses by a rule of its own
#     short    exit 0 with the beginning of the file, where nothing that was sent tells that it is one
#     lost     another exit code, though the file was to be had
#     WRONG    exit 0 and anything else
#     hang, crash
#
# and for dlmgr violation: why that is not what the table says, or nothing.

# The files that the tool left, without those that it keeps for going on.
left_files()
{
    local n theirs=${opt[exists]:-${opt[symlink]:-}}
    [ -z "${opt[replace]:-}" ] || theirs=
    for n in "$dir/out"/* "$dir/out"/.*; do
        n=${n##*/}
        case $n in . | .. | '*' | '.*' | "${theirs:-/}") ;;
        "${opt[name]:-/}") echo "$n" ;;
        *.part) [ "$TOOL" = dlmgr ] && [[ $n =~ \.[0-9]+-[0-9a-f]{4}\.part$ ]] || echo "$n" ;;
        f.aria2) [ "$TOOL" = aria2 ] || echo "$n" ;;
        *) echo "$n" ;;
        esac
    done
}

# Nothing that was there before has changed, and nothing was made elsewhere.
untouched()
{
    local n
    [ -n "${opt[replace]:-}" ] || [ -z "${opt[exists]:-}" ] || echo mine | cmp -s - "$dir/out/${opt[exists]}" || return
    [ ! -e "$dir/target" ] || echo mine | cmp -s - "$dir/target" || return
    for n in "$dir"/* "$dir"/.[!.]*; do
        case ${n##*/} in out | user | home | said | err | target | '*' | '.[!.]*') ;; *) return 1 ;; esac
    done
}

# Is FILE what this word of the want column names? A digit is a version.
is_version() # WORD FILE
{
    case $1 in
    [0-9]) cmp -s "$work/bodies.d/$letter$1" "$2" ;;
    size=*) "$FIXTURE" --body "$1" | cmp -s - "$2" ;;
    text=*) printf '%s' "$(decode "${1#text=}")" | cmp -s - "$2" ;;
    short) head -c "$(stat -c %s "$2")" "$work/bodies.d/${letter}1" | cmp -s - "$2" ;;
    *) return 1 ;;
    esac
}

judge_success()
{
    local files word strict=
    mapfile -t files < <(left_files)
    verdict=WRONG
    if [ "${#files[@]}" != 1 ] || ! untouched || [ ! -f "$dir/out/${files[0]}" ] || [ -L "$dir/out/${files[0]}" ]; then
        return 0
    fi
    for word in "${words[@]}"; do
        case $word in strict*) strict=1 ;; esac
        is_version "$word" "$dir/out/${files[0]}" || continue
        verdict=right
        [ "$word" != short ] || verdict=short
        [ -z "$strict" ] || verdict=looser
        break
    done
    got_name=${files[0]}
}

# The codes that the want column gives to a failure; none: no failure is wanted.
wanted_codes()
{
    local word
    for word in "${words[@]}"; do
        case $word in fail | strict) echo any ;; fail:* | strict:*) echo "${word#*:}" ;; esac
    done
}

has_word() # WORD
{
    [[ ,$want, == *,$1[,:]* ]]
}

judge_failure()
{
    verdict=lost
    [ -z "$(wanted_codes)" ] || verdict=failed
}

# ---- dlmgr: more is asked -----------------------------------------------------------------------------

said_code() # the code of the error object in --json
{
    sed -n 's/.*"type":"error","code":\([0-9]*\).*/\1/p' "$dir/err" | tail -n 1
}

# Which check of a certificate failed, and whose it was, in the object and in the sentence.
says_check()
{
    grep -q "\"tls\":{\"check\":\"${opt[check]}\"" "$dir/said" || return
    [ -n "${opt[anonymous]:-}" ] || grep -q '"message":"[^"]*(CN=[^,]*, from CN=' "$dir/said"
}

violation_of()
{
    local codes
    codes=+$(wanted_codes | paste -sd +)+
    case $verdict in
    right | short)
        has_word strict && echo 'the table wants a refusal' && return
        [ -z "${opt[name]:-}" ] || [ "$got_name" = "${opt[name]}" ] || echo "the name is $got_name"
        [ "$(find "$dir/out" -name '*.part' ! -name "$got_name" | wc -l)" = 0 ] || echo 'a part was left'
        ;;
    failed)
        [[ $codes == *+any+* ]] || [[ $codes == *+$status+* ]] || echo "exit code $status"
        [ "$(said_code)" = "$status" ] || echo "--json says $(said_code), the exit code is $status"
        [ -z "${opt[check]:-}" ] || says_check || echo "no word of ${opt[check]} with subject and issuer"
        untouched || echo 'something else was changed'
        [ -z "$(left_files)" ] || echo "a file was left: $(left_files)"
        ;;
    *) echo "$verdict, exit code $status" ;;
    esac
}

judge()
{
    got_name=''
    IFS=, read -ra words <<<"$want"
    case $status in
    0) judge_success ;;
    124 | 137) verdict=hang ;;
    *) if [ "$status" -ge 128 ]; then verdict=crash; else judge_failure; fi ;;
    esac
    violation=''
    [ "$TOOL" != dlmgr ] || violation=$(violation_of | paste -sd ';')
    ! grep -q CANARY "$dir/said" "$dir/err" || verdict=LEAK
}
