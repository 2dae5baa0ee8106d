#!/bin/bash
# SPDX-License-Identifier: MIT
#
# cov.sh BUILD - line coverage after a `--coverage` build has run its tests: a line a file, a line a folder, the whole.
#
# gcov adds the runs of all programs up, since each object was compiled once. What dies by SIGKILL leaves no counts,
# so crash tests add little here. With AT_LEAST_x=N in the environment (x: a file or folder name, dots and slashes as _,
# or all) it fails when that is below N percent.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
objects=$1/obj

gcov --version >/dev/null || exit 1
find "$objects" -name '*.gcno' | sort |
    while read -r note; do
        gcov -n "$note" 2>/dev/null
    done | awk '
    # Only sources count: headers come up once for each file that includes them. A source that a test includes
    # comes up twice: the better of the two stands for it.
    /^File / { gsub(/\x27/, "", $2); file = $2; next }
    /^Lines executed:/ && file ~ /^(dlmgr|store|daemon|cli)\/.*\.c$/ {
        sub(/^Lines executed:/, ""); sub(/%.*of /, " "); split($0, n, " ")
        if (n[1] * n[2] / 100 >= done[file] + 0) { done[file] = n[1] * n[2] / 100; lines[file] = n[2] }
        file = ""
    }
    function show(name, hit, of,   wanted, key) {
        printf "%6.1f %%  %5d of %5d  %s\n", of ? 100 * hit / of : 100, hit, of, name
        key = name; gsub(/[^A-Za-z0-9]/, "_", key); wanted = ENVIRON["AT_LEAST_" key]
        if (wanted != "" && 100 * hit < wanted * of) { print "    below " wanted " %"; bad = 1 }
    }
    END {
        for (f in lines) order[++n_files] = f
        for (i = 2; i <= n_files; i++)
            for (j = i; j > 1 && order[j] < order[j - 1]; j--) { t = order[j]; order[j] = order[j - 1]; order[j - 1] = t }
        for (i = 1; i <= n_files; i++) {
            f = order[i]; folder = f; sub(/\/.*/, "", folder)
            show(f, done[f], lines[f])
            hit[folder] += done[f]; of[folder] += lines[f]; all += done[f]; all_of += lines[f]
        }
        print "--"
        for (folder in of) show(folder, hit[folder], of[folder])
        show("all", all, all_of)
        exit bad || !n_files
    }'
