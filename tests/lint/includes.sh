#!/bin/bash
# SPDX-License-Identifier: MIT
#
# includes.sh - each file includes only what docs/architecture.md lets it include.
#
# The table of ranks there is the rule; it is parsed, not repeated. What breaks it is named with
# its line.
. tests/lib/story.sh

# Prints one line for each include that breaks the rule. Runs in the root of a tree.
broken_includes()
{
    find include dlmgr store daemon cli fixtures examples -name '*.[ch]' | sort | awk '
    function stem(path) { sub(/\.[ch]$/, "", path); return path }
    function folder(path) { sub(/\/.*/, "", path); return path }
    function row_of(path,   i, best) {
        if (path in row) return row[path]
        if (stem(path) in row) return row[stem(path)]
        best = 0
        for (i in prefix)
            if (index(path, i) == 1 && length(i) > best) best = length(i)
        return best ? prefix[substr(path, 1, best)] : ""
    }
    function resolve(from, name,   near) {
        near = from; sub(/[^\/]*$/, "", near)
        return (near name) in known ? near name : ("include/" name) in known ? "include/" name : name
    }
    function below(from, to,   a, b) {
        a = row_of(from); b = row_of(to)
        return a != "" && (a == b || (b != "" && rank[b] < rank[a]))
    }
    function allowed(from, to) {
        if (folder(from) == "fixtures") return folder(to) == "fixtures"
        if (folder(from) == "examples") return to == "include/dlmgr.h"
        if (folder(from) == "daemon") return to == "include/dlmgr.h" || folder(to) == "daemon"
        if (folder(from) == "cli") return to == "include/dlmgr.h" || folder(to) == "cli" || folder(to) == "daemon"
        return below(from, to)
    }
    function foreign(name) {
        sub(/\/.*/, "", name); sub(/\.h$/, "", name)
        return name ~ /^(curl|sqlite3|jansson|uv|openssl|CUnit|systemd)$/ ? name : ""
    }
    FILENAME != "-" {
        if (split($0, cell, / *\| */) >= 6 && cell[2] ~ /^[0-9]+$/) {
            rows++; rank[rows] = cell[2] + 0; outside[rows] = " " cell[5] " "
            n = split(cell[4], names, " ")
            for (i = 1; i <= n; i++) {
                if (sub(/\*$/, "", names[i])) prefix[names[i]] = rows
                else row[names[i]] = rows
            }
        }
        next
    }
    { files[++n_files] = $0; known[$0] = 1 }
    END {
        if (!rows) print "docs/architecture.md has no table of ranks"
        for (i = 1; i <= n_files; i++) {
            f = files[i]
            mine = folder(f) ~ /^(include|dlmgr|store)$/
            if (mine && row_of(f) == "") { print f " has no rank in docs/architecture.md"; continue }
            for (line = 1; (getline text <f) > 0; line++) {
                if (text !~ /^ *# *include/) continue
                name = text; sub(/^[^<"]*[<"]/, "", name); sub(/[>"].*/, "", name)
                to = resolve(f, name)
                if (to in known) {
                    if (!allowed(f, to)) print f ":" line ": may not include " to
                } else if (text ~ /"/) print f ":" line ": no such file: " name
                else if (mine && (lib = foreign(name)) != "" && !index(outside[row_of(f)], " " lib " "))
                    print f ":" line ": may not use " lib
            }
            close(f)
        }
    }' docs/architecture.md -
}

test_each_file_includes_only_lower_ranks()
{
    local broken
    cd "$ROOT" || exit 1
    broken=$(broken_includes)
    same "$broken" "" "broken includes"
}

# The checker itself finds each kind of break, and nothing in a good tree.
test_the_includes_checker_finds_what_is_wrong()
{
    mkdir -p docs include dlmgr store cli daemon fixtures examples
    {
        echo '| rank | room | files | foreign |'
        echo '|---|---|---|---|'
        echo '| 0 | api | include/dlmgr | |'
        echo '| 1 | base | dlmgr/base | |'
        echo '| 2 | a | dlmgr/a* | |'
        echo '| 2 | b | dlmgr/b | |'
        echo '| 3 | store | store/* | sqlite3 |'
    } >docs/architecture.md
    touch include/dlmgr.h dlmgr/a.h dlmgr/b.h
    echo '#include "dlmgr.h"' >dlmgr/base.h
    printf '#include "dlmgr/a.h"\n#include "dlmgr/base.h"\n#include <stdio.h>\n' >dlmgr/a.c
    printf '#include "dlmgr/a.h"\n' >dlmgr/a_more.c
    printf '#include "dlmgr/a.h"\n#include <sqlite3.h>\n' >store/s.c
    echo '#include <dlmgr.h>' | tee cli/c.c >examples/e.c
    same "$(broken_includes)" "" "in a good tree"

    echo '#include "dlmgr/b.h"' >dlmgr/a.h
    echo '#include "dlmgr/a.h"' >cli/c.c
    echo '#include "dlmgr/base.h"' >examples/e.c
    echo '#include <sqlite3.h>' >dlmgr/b.h
    echo '#include "store/none.h"' >store/s.c
    touch dlmgr/new.c
    broken_includes >"$TMP/out"
    out_has '^dlmgr/a.h:1: may not include dlmgr/b.h$'
    out_has '^cli/c.c:1: may not include dlmgr/a.h$'
    out_has '^dlmgr/b.h:1: may not use sqlite3$'
    out_has '^store/s.c:1: no such file: store/none.h$'
    out_has '^dlmgr/new.c has no rank'
    out_has '^examples/e.c:1: may not include dlmgr/base.h$'
    same "$(wc -l <"$TMP/out")" 6 "number of breaks"
}

# Every folder that git knows stands in the table of folders.
test_each_folder_is_described()
{
    local folder
    cd "$ROOT" || exit 1
    for folder in */; do
        [ "$folder" = build/ ] || check grep -qE "^\| ([a-z]+/, )?$folder" docs/architecture.md
    done
}

run_stories "$@"
