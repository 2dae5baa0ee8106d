# SPDX-License-Identifier: MIT
#
# holder.awk - what is wrong in the log of holder.c, a line each; at the end a line of counts. -v tasks=N
#
# Nothing may come after its acknowledgement is known, but to a holder that has lost the session already and does not know it yet; each opening
# hears `ready` once, after what it replays; no number is missing; the last progress before `done` told the size; no task is done twice; the last
# opening was drained. Pids may come again, so an opening is a pid since its line `open`.

function wrong(what)
{
    print "wrong: " what " (line " NR ")"
    bad++
}

$2 == "open" { opening[$1] = ++opened; ready[$1] = 0; drained = 0; next }
{ o = opening[$1] }
$2 == "held" { incarnation[o] = $3 }
$2 == "wrong" { wrong($0); next }
$2 == "restored" && ready[$1] { wrong("restored after ready") }
$2 == "ready" && ready[$1]++ { wrong("ready twice") }
$2 == "ready" { readies++ }
$2 == "progress" { last[o, $3] = $4 }
$2 == "event" {
    events++
    if ($3 in acked && incarnation[o] >= acked[$3])
        wrong("event " $3 " after its acknowledgement")
    if ($6 == 0 && !ready[$1])
        wrong("event " $3 " is new, but before ready")
    if ($7 > 1 && $6 == 0)
        wrong("event " $3 " came before, but is not a replay")
    if ($3 > highest + 1 && !($3 in seen))
        wrong("event " $3 " after " highest)
    if (!($3 in seen) && $4 == "done" && ended[$5]++)
        wrong("task " $5 " is done twice")
    if ($4 == "done" && last[o, $5] != size($5))
        wrong("the last progress of task " $5 " is " last[o, $5])
    if ($3 > highest)
        highest = $3
    seen[$3] = 1
}
$2 == "acked" && !($3 in acked) { acked[$3] = incarnation[o] }
$2 == "drained" { drained = 1 }
$2 == "lost" { lost++ }

function size(n)
{
    return n * 7001 + (n > 0)
}

END {
    if (!drained)
        wrong("not drained at the end")
    for (i = 1; i <= highest; i++)
        if (!(i in seen))
            wrong("event " i " never came")
    for (i = 0; i < tasks; i++)
        if (!(i in ended))
            wrong("task " i " was never done")
    print opened + 0, "openings,", readies + 0, "ready,", events + 0, "deliveries of", highest + 0, "events,", lost + 0, "times lost,", bad + 0, "wrong"
    exit bad > 0
}
