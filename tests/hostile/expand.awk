# SPDX-License-Identifier: MIT
#
# expand.awk - the table of cases becomes a plan (a line a case and way) and the scripts of two fixture servers.
#
#     awk -v dir=DIR -v places='a=URL b=URL https=URL ...' -v given='DV1=... ...' -f expand.awk cases/*.txt
#
# DIR/plan: NAME <tab> V|L <tab> WANT <tab> OPTIONS; DIR/script.a, DIR/script.b: read by fixture-server. README.md
# beside this file says how a table is written. What it cannot read ends it with file and line.
function die(text)
{
    printf "%s:%d: %s\n", FILENAME, FNR, text > "/dev/stderr"
    failed = 1
    exit 1
}

function trim(s)
{
    gsub(/^[ \t]+|[ \t]+$/, "", s)
    return s
}

# Every occurrence, taken literally.
function put(s, what, with,    out, at)
{
    out = ""
    while ((at = index(s, what)) > 0) {
        out = out substr(s, 1, at - 1) with
        s = substr(s, at + length(what))
    }
    return out s
}

# {500*abc}: 500 times abc.
function repeated(s,    at, len, n, text, out)
{
    while (match(s, /\{[0-9]+\*[^}]*\}/)) {
        at = RSTART
        len = RLENGTH
        text = substr(s, at + 1, len - 2)
        n = text + 0
        sub(/^[0-9]+\*/, "", text)
        for (out = ""; n > 0; n = int(n / 2)) { # by doubling
            if (n % 2)
                out = out text
            text = text text
        }
        s = substr(s, 1, at - 1) out substr(s, at + len)
    }
    return s
}

# $1 and $2 are the versions of this way, $END how its first answer ends; {a} is the case's folder on that server.
function filled(s, letter, name, lie, opts,    k)
{
    s = put(s, "$LIE", lie)
    s = put(s, "$END", opts ~ /again/ ? "stall=100k" : "cut=100k")
    s = put(s, "$1", lets[letter "1"])
    s = put(s, "$2", lets[letter "2"])
    for (k in lets)
        s = put(s, "$" k, lets[k])
    for (k in place)
        s = put(s, "{" k "}", place[k] "/" name)
    return repeated(put(s, "{case}", name))
}

function serve(server, name, path, steps)
{
    if (steps == "")
        return
    print (path ~ /^\// ? path : "/" name "/" path), steps > (dir "/script." server)
    if (server == "a" && path !~ /^\//) # behind nginx
        print "/x/" name "/" path, steps > (dir "/script.a")
}

BEGIN {
    n = split(places, list, " ")
    for (i = 1; i <= n; i++)
        place[substr(list[i], 1, index(list[i], "=") - 1)] = substr(list[i], index(list[i], "=") + 1)
    n = split(given, list, " ") # NAME=VALUE, as let would say it
    for (i = 1; i <= n; i++)
        lets[substr(list[i], 1, index(list[i], "=") - 1)] = substr(list[i], index(list[i], "=") + 1)
    printf "" > (dir "/script.a")
    printf "" > (dir "/script.b")
    printf "" > (dir "/plan")
}

FNR == 1 {
    class = FILENAME
    sub(/.*\//, "", class)
    sub(/\.txt$/, "", class)
}

/^[ \t]*(#|$)/ { next }

$1 == "let" {
    lets[$2] = trim(substr($0, index($0, $2) + length($2)))
    next
}

$1 == "way" {
    n = split($0, part, / \| /)
    if (n < 3 || $3 !~ /^[VL]$/)
        die("way NAME V|L | OPTIONS | STEPS OF A | STEPS OF B")
    way_letter[$2] = $3
    way_opts[$2] = trim(part[2])
    way_a[$2] = trim(part[3])
    way_b[$2] = n > 3 ? trim(part[4]) : ""
    next
}

# More to serve, for all ways of the case above.
$1 == "+" {
    if (NF < 4 || $2 !~ /^[ab]$/)
        die("+ a|b PATH STEPS")
    rest = trim(substr($0, index($0, $3) + length($3)))
    for (i = 1; i <= n_names; i++)
        serve($2, names[i], put($3, "{case}", names[i]), filled(rest, letters[i], names[i], "", all[i]))
    next
}

{
    n = split($0, part, / \| ?/)
    if (n < 4)
        die("NAME | WAYS | STEPS | WANT | OPTIONS")
    n_names = split(trim(part[2]), ways, ",")
    for (i = 1; i <= n_names; i++) {
        w = ways[i]
        if (!(w in way_a))
            die("no way \"" w "\"")
        names[i] = class "." trim(part[1]) (w == "get" ? "" : "." w)
        letters[i] = way_letter[w]
        if (names[i] in seen)
            die("\"" names[i] "\" stands here twice")
        seen[names[i]] = 1
        opts = all[i] = trim(way_opts[w] " " (n > 4 ? part[5] : ""))
        serve("a", names[i], "f", filled(way_a[w], letters[i], names[i], trim(part[3]), opts))
        serve("b", names[i], "f", filled(way_b[w], letters[i], names[i], trim(part[3]), opts))
        printf "%s\t%s\t%s\t%s\n", names[i], letters[i], trim(part[4]), filled(opts, letters[i], names[i], "", opts) > (dir "/plan")
    }
}

END { exit failed }
