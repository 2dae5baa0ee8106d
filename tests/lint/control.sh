#!/bin/bash
# SPDX-License-Identifier: MIT
#
# shellcheck disable=SC2016 # backquotes of Markdown
#
# control.sh - docs/control.md describes each method that there is, each member of a request, and nothing else.
. tests/lib/story.sh

described() # KIND: what stands at the begin of headings, or of rows
{
    sed -n "$1" "$ROOT/docs/control.md" | sort -u
}

test_each_method_is_described()
{
    {
        sed -n 's/^    {"\([a-z_]*\)", DLM_METHOD_.*/\1/p' "$ROOT/dlmgr/methods.c"
        echo subscribe
    } | sort -u >methods
    check [ "$(wc -l <methods)" -gt 10 ]
    described 's/^### //p' >headings
    same "$(diff methods headings)" "" "methods and headings"
}

test_each_member_of_a_request_is_described()
{
    sed -n '/^static const struct field fields/,/^};/s/^    {"\([a-z_]*\)".*/\1/p' "$ROOT/dlmgr/fields.c" | sort -u >fields
    check [ "$(wc -l <fields)" -gt 20 ]
    # shellcheck disable=SC2016
    sed -n '/^### add/,/^### act/s/^| \(`[^|]*\) |.*/\1/p' "$ROOT/docs/control.md" | grep -o '`[a-z_]*`' | tr -d '`' | sort -u >rows
    same "$(diff fields rows)" "" "fields and rows"
}

run_stories "$@"
