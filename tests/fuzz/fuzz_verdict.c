/* SPDX-License-Identifier: MIT */
/*
 * fuzz_verdict.c - two servers that change, lie and break off, against a client that obeys the verdicts.
 *
 * The client is task_fetch.c in small: up to three connections, each for the whole or a piece, that are asked, answered, fed and cut in any
 * order; it is killed, changes to the mirror, and begins anew when it is told to. Of each byte that it has the model knows the content that it came from.
 *
 * A server is believed in what nobody could check: equal strong validators are equal bytes; a valid Content-Range names the bytes that
 * follow; a body is not longer than it says; a size is right where there is no other to compare. Everything else may be wrong. What must hold:
 *
 *     - without a digest bytes of two contents never stand together, and a complete file is all of one content
 *     - a refusal says of which class it is, with code, stage and text; what is no refusal says nothing
 *     - as soon as the servers are honest (at the end of the input all choices are) the file is complete within eight requests and one for each hole
 */
#include "dlmgr/verdict.h"
#include "tests/fuzz/fuzz.h"

enum { CELLS = 24, ROOM = CELLS + 8, VERSIONS = 4, CONNS = 3, REQUESTS_MAX = 8 + ROOM / 2 };
enum tags { STRONG, WEAK, DATED, NO_TAGS };

struct server {
    int size[VERSIONS], version;
    enum tags tags;
    bool no_ranges, no_if_range;
};

struct conn {
    bool open, judged, framed,
        may_lie; /* may_lie: its end may look like the end of the file and be a cut */
    struct dlm_asked asked;
    char validator[DLM_VALIDATOR_SIZE]; /* in If-Range */
    int source, content;
    int64_t start, end, pos, stop,
        wire; /* of the piece; of the body: ours up to stop, there up to wire */
};

struct world {
    struct bytes in;
    struct server servers[2];
    bool same_files, two, ended, final;
    struct conn conns[CONNS];
    struct dlm_rules rules;
    /* The client. */
    int cells[ROOM], wanted, source, recorded_source,
        requests; /* wanted: the content of the digest, -1 none */
    int64_t total;
    char validator[DLM_VALIDATOR_SIZE];
    bool recorded, ask_whole, one_only;
};

static int content_of(const struct world *w, int source)
{
    return w->servers[source].version + (w->same_files ? 0 : VERSIONS * source);
}

static int size_of(const struct world *w, int content)
{
    return w->servers[content / VERSIONS].size[content % VERSIONS];
}

static int64_t count(const struct world *w)
{
    int64_t n = 0;

    for (int i = 0; i < ROOM; i++)
        n += w->cells[i] >= 0;
    return n;
}

static int count_open(const struct world *w)
{
    int n = 0;

    for (int i = 0; i < CONNS; i++)
        n += w->conns[i].open;
    return n;
}

static void drop(struct world *w, const struct conn *but)
{
    for (int i = 0; i < CONNS; i++)
        if (&w->conns[i] != but)
            w->conns[i].open = false;
}

/* ---- Answers ----------------------------------------------------------------------------------- */

static void tag_lines(struct world *w, const struct server *s, int content, struct dlm_buf *b)
{
    static const char *const wrong[] = {"ETag: v\n", "ETag: \"a\"\nETag: \"b\"\n",
                                        "ETag: W/\"w\"\n"};
    int how = choose(&w->in, 16);

    if (how == 1)
        return;
    if (how == 2)
        dlm_buf_puts(b, wrong[choose(&w->in, ARRAY_SIZE(wrong))]);
    else if (s->tags == STRONG)
        dlm_buf_printf(b, "ETag: \"c%d\"\n", content);
    else if (s->tags == WEAK)
        dlm_buf_puts(b, "ETag: W/\"w\"\n");
    else if (s->tags == DATED)
        dlm_buf_printf(b, "Last-Modified: Wed, 31 Dec 2025 00:%02d:00 GMT\nDate: %s GMT\n", content,
                       how == 3 ? "Tue, 30 Dec 2025 00:00:00" : "Thu, 01 Jan 2026 00:00:00");
}

static void framing_lines(struct world *w, struct dlm_buf *b)
{
    static const char *const lines[] = {
        "",       "Accept-Ranges: none\n",    " folded\n",   "Transfer-Encoding: gzip\n",
        "X: y\n", "Content-Encoding: gzip\n", "Server: z\n", "Content-Type: multipart/byteranges\n",
    };

    if (choose(&w->in, 8) == 7)
        dlm_buf_puts(b, lines[choose(&w->in, ARRAY_SIZE(lines))]);
}

/* 200: the length, or another way to find the end, or none. */
static void length_lines(struct world *w, struct conn *c, struct dlm_buf *b)
{
    int how = choose(&w->in, 8);

    c->framed = how != 2;
    if (how == 1)
        dlm_buf_puts(b, "Transfer-Encoding: chunked\n");
    else if (how == 3)
        dlm_buf_puts(b, "Content-Length: 7x\n");
    else if (how == 4)
        dlm_buf_printf(b, "Content-Length: %lld\nContent-Length: 1\n", (long long)c->wire);
    else if (how == 5)
        dlm_buf_printf(b, "Content-Length: %lld\n", (long long)c->wire + 3);
    else if (how != 2)
        dlm_buf_printf(b, "Content-Length: %lld\n", (long long)c->wire);
}

/* Another size than the right one, where the client has one to compare with. */
static int64_t maybe_lie(struct world *w, int64_t size)
{
    int how = choose(&w->in, 16);

    return w->recorded && w->total >= 0 && how == 15   ? size + 1
           : w->recorded && w->total >= 0 && how == 14 ? size - 1
                                                       : size;
}

static void part_lines(struct world *w, struct conn *c, int64_t size, struct dlm_buf *b)
{
    static const char *const wrong[] = {"", "bytes 5-4/9", "items 0-1/2", "bytes */9",
                                        "bytes 0-0/1\nContent-Range: bytes 0-1/2"};
    int how = choose(&w->in, 16);

    c->pos = MIN(c->asked.ranged ? c->asked.start : 0, size - 1);
    c->wire = c->asked.ranged && c->asked.end >= 0 ? MIN(c->asked.end, size) : size;
    if (how == 1)
        c->pos = choose(&w->in, (int)size);
    if (how == 2 || c->wire <= c->pos)
        c->wire = c->pos + 1 + choose(&w->in, (int)(size - c->pos));
    c->framed = true;
    if (how == 3)
        dlm_buf_printf(b, "Content-Range: %s\n", wrong[choose(&w->in, ARRAY_SIZE(wrong))]);
    else if (how == 4)
        dlm_buf_printf(b, "Content-Range: bytes %lld-%lld/*\n", (long long)c->pos,
                       (long long)c->wire - 1);
    else
        dlm_buf_printf(b, "Content-Range: bytes %lld-%lld/%lld\n", (long long)c->pos,
                       (long long)c->wire - 1, (long long)maybe_lie(w, size));
    if (choose(&w->in, 4) != 3)
        dlm_buf_printf(b, "Content-Length: %lld\n", (long long)(c->wire - c->pos) + (how == 5));
}

/* What it answers when nothing else comes in between. */
static int natural_status(const struct world *w, const struct conn *c, int content)
{
    const struct server *s = &w->servers[c->source];
    char tag[DLM_VALIDATOR_SIZE] = "";

    if (!c->asked.ranged || s->no_ranges)
        return 200;
    if (s->tags == STRONG)
        snprintf(tag, sizeof(tag), "\"c%d\"", content);
    else if (s->tags == DATED)
        snprintf(tag, sizeof(tag), "Wed, 31 Dec 2025 00:%02d:00 GMT", content);
    if (c->asked.conditional && !s->no_if_range && strcmp(tag, c->validator))
        return 200;
    return c->asked.start >= size_of(w, content) ? 416 : 206;
}

static void answer(struct world *w, struct conn *c, struct dlm_answer *a)
{
    static const int statuses[] = {200, 206, 416, 100, 204, 301, 304, 401, 403,
                                   404, 410, 412, 429, 500, 503, 0,   777};
    int content = content_of(w, c->source), how = choose(&w->in, 12), size = size_of(w, content);
    int status = how == 11 ? statuses[choose(&w->in, ARRAY_SIZE(statuses))]
                           : natural_status(w, c, content);
    struct dlm_buf b = {0};

    c->content = content;
    c->pos = 0;
    c->wire = size;
    dlm_buf_printf(&b, "HTTP/1.1 %03d X\n", status);
    if (status == 200)
        length_lines(w, c, &b);
    else if (status == 206)
        part_lines(w, c, size, &b);
    else if (status == 416 && choose(&w->in, 8) != 7)
        dlm_buf_printf(&b, "Content-Range: bytes */%lld\n", (long long)maybe_lie(w, size));
    else if (choose(&w->in, 2))
        dlm_buf_puts(&b, "Location: /x\nRetry-After: 9\n");
    if (status != 416 || choose(&w->in, 2))
        tag_lines(w, &w->servers[c->source], content, &b);
    framing_lines(w, &b);
    dlm_buf_puts(&b, "\n");
    MUST(!b.failed);
    dlm_answer_reset(a, INT64_C(1767225600000), NULL);
    for (char *line = b.data, *end; (end = strchr(line, '\n')); line = end + 1)
        MUST(dlm_answer_line(a, line, (size_t)(end + 1 - line)) == 0);
    dlm_buf_free(&b);
}

/* ---- Verdicts ---------------------------------------------------------------------------------- */

static bool is_ours(const struct dlm_verdict *v)
{
    return v->action == DLM_TAKE || (v->action == DLM_RESTART && v->usable);
}

static void check_verdict(const struct world *w, const struct conn *c, const struct dlm_verdict *v)
{
    bool good = v->action == DLM_TAKE || v->action == DLM_COMPLETE || v->action == DLM_REDIRECT;

    MUST(good == (v->class_ == DLMGR_CLASS_NONE) && good == (v->code == 0) && good == !v->text[0]);
    MUST(good == (v->stage == DLMGR_STAGE_NONE));
    MUST(!v->usable || v->action == DLM_RESTART);
    MUST(!v->given_url || (v->action == DLM_REASK && c->asked.can_reask));
    MUST(v->wait_ms == -1 || (v->action == DLM_WAIT && v->wait_ms >= 0 && v->wait_ms <= 3600000));
    MUST(v->length < 0 || v->total < 0 || v->offset + v->length <= v->total);
    MUST(!is_ours(v) || w->rules.max_size == 0 || v->total <= w->rules.max_size);
    MUST(!is_ours(v) || !w->rules.require_length || v->length >= 0);
    MUST(!is_ours(v) || v->offset == c->pos);
    MUST(!is_ours(v) || v->length < 0 || v->offset + v->length <= c->wire + 3);
    MUST(v->action != DLM_TAKE || v->offset == 0 || c->asked.ranged);
}

/* The file is said to be whole. With a digest that is found out now; without one it must be so. */
static void complete(struct world *w, bool may_lie)
{
    w->ended = true;
    if (w->wanted >= 0)
        return;
    MUST(w->total >= 0 && w->total <= CELLS && count(w) == w->total);
    for (int64_t i = 0; i < w->total; i++)
        MUST(w->cells[i] >= 0 && w->cells[i] == w->cells[0]);
    MUST(w->total == 0 || may_lie || w->total == size_of(w, w->cells[0]));
}

static void begin(struct world *w, struct conn *c, const struct dlm_answer *a, int64_t total)
{
    memset(w->cells, -1, sizeof(w->cells));
    dlm_answer_validator(a, w->validator);
    w->total = total;
    w->recorded = true;
    w->recorded_source = c->source;
    w->ask_whole = false;
    drop(w, c);
}

static void take(struct world *w, struct conn *c, const struct dlm_answer *a,
                 const struct dlm_verdict *v)
{
    c->judged = true;
    c->stop = v->length < 0 ? -1 : v->offset + v->length;
    c->may_lie = !c->framed && v->length < 0;
    MUST(!c->may_lie || w->wanted >= 0 || v->unverified);
    if (v->action == DLM_RESTART || !c->asked.ranged || c->end < 0)
        c->end = c->stop;
    if (v->action == DLM_RESTART || !w->recorded)
        begin(w, c, a, v->total);
    else if (w->total < 0)
        w->total = v->total;
}

/* It led nowhere: the whole, then, unless others bring it. */
static void ask_whole(struct world *w, struct conn *c, bool changed)
{
    c->open = false;
    w->one_only |= !changed;
    if (count_open(w) > 0 && !changed)
        return;
    drop(w, NULL);
    w->ask_whole = true;
}

static void judge(struct world *w, struct conn *c)
{
    CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};
    struct dlm_have have = {.first = !w->recorded,
                            .total = w->total,
                            .bytes = count(w),
                            .validator = w->validator,
                            .digest_given = w->wanted >= 0,
                            .other_source = w->two && w->recorded_source != c->source};
    struct dlm_verdict v;

    c->asked.can_reask = choose(&w->in, 8) == 7;
    answer(w, c, &a);
    dlm_verdict_answer(&c->asked, &have, &w->rules, &a, &v);
    check_verdict(w, c, &v);
    MUST(!w->final || v.action != DLM_FAIL || v.class_ == DLMGR_CLASS_POLICY);
    if (v.action == DLM_RESTART && !v.changed && count_open(w) > 1) {
        w->one_only = true;
        c->open = false;
    } else if (is_ours(&v)) {
        take(w, c, &a, &v);
    } else if (v.action == DLM_COMPLETE) {
        w->total = v.total;
        complete(w, false);
    } else if (v.action == DLM_RESTART || (v.action == DLM_REASK && !v.given_url)) {
        ask_whole(w, c, v.changed);
    } else {
        c->open = false;
        w->ended = w->final && v.action == DLM_FAIL;
    }
}

/* ---- The client -------------------------------------------------------------------------------- */

static int64_t limit_of(const struct conn *c)
{
    return c->stop < 0 || (c->end >= 0 && c->end < c->stop) ? c->end : c->stop;
}

/* n bytes of the body, or what is left of it; cut: no more after these. */
static void deliver(struct world *w, struct conn *c, int64_t n, bool cut)
{
    int64_t limit = limit_of(c), end = limit < 0 ? c->wire : MIN(limit, c->wire);
    bool to_the_end = c->stop < 0 && w->total < 0, over;

    for (; n > 0 && c->pos < end; n--, c->pos++) {
        w->cells[c->pos] = c->content;
        for (int i = 0; i < ROOM && w->wanted < 0; i++)
            MUST(w->cells[i] < 0 || w->cells[i] == c->content);
    }
    over = c->pos >= end;
    if (!over && !cut)
        return;
    c->open = false;
    if (to_the_end && (over || c->may_lie)) {
        w->total = c->pos;
        complete(w, c->may_lie);
    }
}

/* Bytes from start that nobody has and nobody fetches; 0: none. */
static int64_t gap(const struct world *w, int64_t start)
{
    int64_t n = 0, end = w->total < 0 ? ROOM : MIN(w->total, ROOM);

    for (int64_t i = start; i < end && w->cells[i] < 0; i++, n++)
        for (int k = 0; k < CONNS; k++)
            if (w->conns[k].open && i >= w->conns[k].pos &&
                (w->conns[k].end < 0 || i < w->conns[k].end))
                return n;
    return n;
}

static struct conn *find_room(struct world *w)
{
    for (int i = 0; i < CONNS; i++)
        if (!w->conns[i].open)
            return &w->conns[i];
    return NULL;
}

static bool may_range(const struct world *w)
{
    return w->recorded && count(w) > 0 && !w->ask_whole &&
           (w->wanted >= 0 || dlm_validator_is_strong(w->validator));
}

static void ask(struct world *w)
{
    struct conn *c = find_room(w);
    bool alone = count_open(w) == 0;
    int64_t start = 0, n, end = -1;
    bool ranged = !alone || may_range(w) ||
                  (w->recorded && count(w) > 0 &&
                   choose(&w->in, 8) == 7); /* it should not, and is told so */

    if (!c || (!alone && (w->one_only || w->ask_whole || !w->recorded || w->total < 0 ||
                          !dlm_validator_is_strong(w->validator))))
        return;
    if (ranged) {
        for (start = choose(&w->in, ROOM); start < ROOM && gap(w, start) == 0; start++)
            continue;
        if (start == ROOM)
            for (start = 0; start < ROOM && gap(w, start) == 0; start++)
                continue;
        if (start == ROOM)
            return;
        for (; start > 0 && gap(w, start - 1) > 0 && choose(&w->in, 4) != 3; start--)
            continue;
        n = gap(w, start);
        end = w->total < 0 && start + n == ROOM ? -1 : start + n - choose(&w->in, 3) * (n - 1) / 2;
    }
    *c = (struct conn){.open = true, .source = w->source, .start = start, .pos = start, .end = end};
    c->asked = (struct dlm_asked){.ranged = ranged, .start = start, .end = end};
    c->asked.conditional = ranged && dlm_validator_is_strong(w->validator);
    memcpy(c->validator, w->validator, sizeof(c->validator));
    w->requests++;
}

/* A kill: connections go, and bytes that were not counted yet. */
static void kill_client(struct world *w)
{
    drop(w, NULL);
    w->one_only = w->ask_whole = false;
    for (int n = choose(&w->in, 4); n > 0; n--)
        w->cells[choose(&w->in, ROOM)] = -1;
}

static void look_whether_whole(struct world *w)
{
    if (!w->ended && w->recorded && w->total >= 0 && count(w) >= w->total)
        complete(w, false);
}

static void step(struct world *w)
{
    struct conn *c = &w->conns[choose(&w->in, CONNS)];
    struct server *s = &w->servers[choose(&w->in, 2)];
    int op = choose(&w->in, 10);

    if (op == 9 && s->version + 1 < VERSIONS) {
        s->version++;
        if (w->same_files)
            w->servers[0].version = w->servers[1].version = s->version;
    } else if (op == 8) {
        kill_client(w);
    } else if (op == 7 && w->two) {
        w->source = !w->source;
    } else if (op == 6 && c->open && !c->judged) {
        c->open = false; /* cut before it answered */
    } else if (c->open && c->judged) {
        deliver(w, c, choose(&w->in, CELLS), op == 5);
    } else if (c->open) {
        judge(w, c);
    } else {
        ask(w);
    }
    look_whether_whole(w);
}

/* From here on all choices are the honest ones. */
static void bring_to_an_end(struct world *w)
{
    w->in.left = 0;
    w->final = true;
    kill_client(w);
    for (w->requests = 0; !w->ended;) {
        struct conn *c = &w->conns[0];

        MUST(w->requests < REQUESTS_MAX);
        ask(w);
        MUST(c->open);
        judge(w, c);
        if (!w->ended && c->open && c->judged)
            deliver(w, c, ROOM, false);
        look_whether_whole(w);
    }
}

static void build(struct world *w, struct server *s)
{
    for (int i = 0; i < VERSIONS; i++)
        s->size[i] = choose(&w->in, 3) == 2 && i ? s->size[i - 1] : 1 + choose(&w->in, CELLS);
    s->tags = (enum tags)choose(&w->in, 4);
    s->no_ranges = choose(&w->in, 8) == 7;
    s->no_if_range = choose(&w->in, 3) == 2;
}

FUZZ(verdict)
{
    struct world w = {.in = {data, size}, .total = -1, .wanted = -1};

    memset(w.cells, -1, sizeof(w.cells));
    build(&w, &w.servers[0]);
    build(&w, &w.servers[1]);
    w.two = choose(&w.in, 3) == 2;
    w.same_files = choose(&w.in, 2);
    if (w.same_files)
        memcpy(w.servers[1].size, w.servers[0].size, sizeof(w.servers[0].size));
    if (choose(&w.in, 4) == 3)
        w.wanted = choose(&w.in, VERSIONS);
    w.rules = dlm_rules_of(NULL);
    if (choose(&w.in, 8) == 7) {
        w.rules.max_size = choose(&w.in, CELLS);
        w.rules.require_length = choose(&w.in, 2);
    }
    for (int n = 0; w.in.left && n < 300 && !w.ended; n++)
        step(&w);
    if (!w.ended)
        bring_to_an_end(&w);
}
