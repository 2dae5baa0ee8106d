/* SPDX-License-Identifier: MIT */
/*
 * test_h2.c - servers that break the rules of HTTP/2: streams reset, refused and never ended, GOAWAY, lengths that lie, frames that must not be.
 *
 * The server speaks frames made by hand over TLS (tests/lib/peer.h). It reads no request's header: what it answers follows from how many
 * came. Each row has the answers, one a request, parted by `;`, the last one repeats; an answer is words:
 *
 *     h     200 with length and ETag          n     200 without length          p     206 with what has not come yet
 *     dN    N bytes of the body               e     all the rest, and END_STREAM
 *     E     END_STREAM                        t     trailers and END_STREAM     rN    RST_STREAM with error N
 *     gN    GOAWAY with error N, this stream and all before it are still answered; GN: none are
 *     iN    N interim answers                 T     200 with Transfer-Encoding, which HTTP/2 does not have
 *     L     a frame longer than any may be    u     a frame of a type that nobody knows
 *     x     FIN                               y     HTTP/1.1 after all
 */
#include "tests/lib/house.h"
#include "tests/lib/peer.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIZE 50000

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, UNKNOWN = 99 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static struct house house;
static struct peer *server;
static char certs[300];

/* What the server does; the lock is for all of it. */
static struct {
    pthread_mutex_t lock;
    const char *script;
    int requests;
    int64_t came; /* bytes of the body that a client has, when it believes each answer */
} play = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- Frames ---------------------------------------------------------------------------------------------- */

static bool put_frame(struct peer_link *l, int type, int flags, unsigned stream, const void *data,
                      size_t n)
{
    unsigned char frame[9 + 20000] =
        {(unsigned char)(n >> 16),      (unsigned char)(n >> 8),      (unsigned char)n,
         (unsigned char)type,           (unsigned char)flags,         (unsigned char)(stream >> 24),
         (unsigned char)(stream >> 16), (unsigned char)(stream >> 8), (unsigned char)stream};

    if (n)
        memcpy(frame + 9, data, n);
    return peer_put(l, frame, 9 + n);
}

static bool put_number(struct peer_link *l, int type, unsigned stream, unsigned first,
                       unsigned second, size_t n)
{
    unsigned char data[8] = {(unsigned char)(first >> 24),  (unsigned char)(first >> 16),
                             (unsigned char)(first >> 8),   (unsigned char)first,
                             (unsigned char)(second >> 24), (unsigned char)(second >> 16),
                             (unsigned char)(second >> 8),  (unsigned char)second};

    return put_frame(l, type, 0, stream, data, n);
}

/* HPACK at its simplest: a literal without indexing, without Huffman. */
static size_t add_field(unsigned char *block, size_t at, const char *name, const char *value)
{
    block[at++] = 0;
    block[at++] = (unsigned char)strlen(name);
    memcpy(block + at, name, strlen(name));
    at += strlen(name);
    block[at++] = (unsigned char)strlen(value);
    memcpy(block + at, value, strlen(value));
    return at + strlen(value);
}

/* status NULL: trailers; length, range, coding: NULL for none. */
static bool put_head(struct peer_link *l, unsigned stream, int flags, const char *status,
                     const char *length, const char *range, const char *coding)
{
    unsigned char block[1000];
    size_t n = 0;

    if (status)
        n = add_field(block, n, ":status", status);
    if (status && status[0] == '2')
        n = add_field(block, n, "etag", "\"a\"");
    if (length)
        n = add_field(block, n, "content-length", length);
    if (range)
        n = add_field(block, n, "content-range", range);
    if (coding)
        n = add_field(block, n, "transfer-encoding", coding);
    if (!status)
        n = add_field(block, n, "x-sum", "1");
    return put_frame(l, HEADERS, flags | END_HEADERS, stream, block, n);
}

static bool put_data(struct peer_link *l, unsigned stream, int64_t *at, int64_t n, bool end)
{
    struct body body = {.seed = 1};
    char piece[16000];

    while (n > 0) {
        int64_t some = n < (int64_t)sizeof(piece) ? n : (int64_t)sizeof(piece);

        body_fill(&body, *at, piece, (size_t)some);
        n -= some;
        *at += some;
        if (!put_frame(l, DATA, end && n == 0 ? END_STREAM : 0, stream, piece, (size_t)some))
            return false;
    }
    return true;
}

/* ---- Answers ----------------------------------------------------------------------------------------------- */

static bool say(struct peer_link *l, unsigned stream, const char *word, int64_t *at)
{
    static const char junk[20000];
    int64_t n = atoll(word + 1);
    char length[30], range[60];
    bool good = true;

    switch (word[0]) {
    case 'h':
        *at = 0;
        snprintf(length, sizeof(length), "%d", SIZE);
        return put_head(l, stream, 0, "200", length, NULL, NULL);
    case 'n':
        *at = 0;
        return put_head(l, stream, 0, "200", NULL, NULL, NULL);
    case 'T':
        return put_head(l, stream, 0, "200", NULL, NULL, "chunked");
    case 'p':
        snprintf(length, sizeof(length), "%lld", (long long)(SIZE - *at));
        snprintf(range, sizeof(range), "bytes %lld-%d/%d", (long long)*at, SIZE - 1, SIZE);
        return put_head(l, stream, 0, "206", length, range, NULL);
    case 'd':
        return put_data(l, stream, at, n, false);
    case 'e':
        return put_data(l, stream, at, SIZE - *at, true);
    case 'E':
        return put_frame(l, DATA, END_STREAM, stream, NULL, 0);
    case 't':
        return put_head(l, stream, END_STREAM, NULL, NULL, NULL, NULL);
    case 'r':
        return put_number(l, RST_STREAM, stream, (unsigned)n, 0, 4);
    case 'g':
        return put_number(l, GOAWAY, 0, stream, (unsigned)n, 8);
    case 'G':
        return put_number(l, GOAWAY, 0, 0, (unsigned)n, 8);
    case 'i':
        while (n-- > 0 && good)
            good = put_head(l, stream, 0, "103", NULL, NULL, NULL);
        return good;
    case 'L':
        return put_frame(l, DATA, 0, stream, junk, sizeof(junk));
    case 'u':
        return put_frame(l, UNKNOWN, 0, stream, junk, 100);
    case 'y':
        return peer_put(l, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 43);
    case 'x':
        peer_finish(l, PEER_FIN);
        return false;
    default:
        abort();
    }
}

static void answer(struct peer_link *l, unsigned stream)
{
    char step[200] = "", *save = NULL;
    const char *from;
    int64_t at;
    int nth;

    pthread_mutex_lock(&play.lock);
    nth = play.requests++;
    from = play.script;
    at = play.came;
    pthread_mutex_unlock(&play.lock);
    while (nth-- > 0 && strchr(from, ';'))
        from = strchr(from, ';') + 1;
    snprintf(step, sizeof(step), "%.*s", (int)strcspn(from, ";"), from);
    for (char *word = strtok_r(step, " ", &save); word; word = strtok_r(NULL, " ", &save))
        if (!say(l, stream, word, &at))
            break;
    pthread_mutex_lock(&play.lock);
    play.came = at;
    pthread_mutex_unlock(&play.lock);
}

static void serve(struct peer_link *l, void *context)
{
    unsigned char head[9], data[20000];

    (void)context;
    if (!peer_get(l, data, 24) || !put_frame(l, SETTINGS, 0, 0, NULL, 0))
        return;
    while (peer_get(l, head, sizeof(head))) {
        size_t n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];

        if (n > sizeof(data) || !peer_get(l, data, n))
            return;
        if (head[3] == SETTINGS && !(head[4] & ACK))
            put_frame(l, SETTINGS, ACK, 0, NULL, 0);
        else if (head[3] == PING && !(head[4] & ACK))
            put_frame(l, PING, ACK, 0, data, n);
        else if (head[3] == HEADERS)
            answer(l, (unsigned)head[5] << 24 | (unsigned)head[6] << 16 | (unsigned)head[7] << 8 |
                          head[8]);
    }
}

/* ---- Rows -------------------------------------------------------------------------------------------------- */

enum { ANY = -1 };

static const struct row {
    const char *what, *script;
    int state, code, class_, requests;
    const char *says;
    int64_t unverified; /* so many bytes, of which nobody knows whether they are all; 0: the whole file, verified */
} rows[] = {
/* clang-format off */
#define DONE(n) DLMGR_DONE, 0, 0, (n), "", 0
#define UNVERIFIED(size) DLMGR_DONE, 0, 0, 1, "", (size)
#define BROKEN(says) DLMGR_FAILED, 6, DLMGR_CLASS_TRANSIENT, ANY, says, 0
#define REFUSED(says) DLMGR_FAILED, 22, DLMGR_CLASS_PERMANENT, ANY, says, 0
    {"a plain file", "h e", DONE(1)},
    {"no length, and the stream ends", "n e", UNVERIFIED(SIZE)},
    {"trailers", "h d50000 t", DONE(1)},
    {"an interim answer", "i1 h e", DONE(1)},
    {"a frame of an unknown type", "u h d100 u e", DONE(1)},
    {"RST_STREAM INTERNAL_ERROR, once", "h d20000 r2;p e", DONE(2)},
    {"RST_STREAM CANCEL, once", "h d20000 r8;p e", DONE(2)},
    {"RST_STREAM NO_ERROR, once", "h d20000 r0;p e", DONE(2)},
    {"RST_STREAM, no length", "n d20000 r2", BROKEN("gave up after 3 tries")},
    {"RST_STREAM NO_ERROR, no length: libcurl says that it ended", "n d20000 r0", UNVERIFIED(20000)},
    {"RST_STREAM instead of an answer", "r2", BROKEN("gave up after 3 tries")},
    {"the stream is refused, once", "r7;h e", DONE(2)},
    {"the stream is refused for ever", "r7", BROKEN("gave up after 3 tries")},
    {"GOAWAY, and the answer comes to its end", "h d20000 g0 e", DONE(1)},
    {"GOAWAY before the answer, and the request was not looked at", "G0 x;h e", DONE(2)},
    {"GOAWAY with an error in the middle", "h d20000 g2 x;p e", DONE(2)},
    {"GOAWAY for ever", "G0 x", BROKEN("gave up after 3 tries")},
    {"the connection ends", "h d20000 x;p e", DONE(2)},
    {"the connection ends, no length: that is no end", "n d20000 x", BROKEN("gave up after 3 tries")},
    {"less than the length says", "h d20000 E", BROKEN("gave up after 3 tries")},
    {"more than the length says", "h d50001 E", BROKEN("gave up after 3 tries")},
    {"a body without a header", "d100 E", BROKEN("gave up after 3 tries")},
    {"a frame that is too long", "h L", BROKEN("gave up after 3 tries")},
    {"Transfer-Encoding, which HTTP/2 does not have", "T d100 E", BROKEN("gave up after 3 tries")},
    {"a flood of interim answers", "i1100 h e", REFUSED("than header-lines allows (1000)")},
    {"HTTP/1.1 after HTTP/2 was agreed to", "y", BROKEN("gave up after 3 tries")},
    /* clang-format on */
};

static void begin(void)
{
    static char cert[320], key[320];
    char command[400];

    house_begin(&house);
    snprintf(certs, sizeof(certs), "%s/certs", test_dir());
    snprintf(command, sizeof(command), "bash fixtures/certs.sh %s", certs);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    snprintf(cert, sizeof(cert), "%s/server.pem", certs);
    snprintf(key, sizeof(key), "%s/server.key", certs);
    server = peer_start(
        &(struct peer_options){.cert = cert, .key = key, .alpn = "h2", .serve = serve});
}

static void end(void)
{
    house_end(&house);
    server = peer_stop(server);
}

static int64_t fetch(const char *script)
{
    char url[100], ca[320];
    dlmgr_request request;

    pthread_mutex_lock(&play.lock);
    play.script = script;
    play.requests = 0;
    play.came = 0;
    pthread_mutex_unlock(&play.lock);
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/file", peer_port(server));
    snprintf(ca, sizeof(ca), "%s/ca.pem", certs);
    request = house_request(&house, url);
    request.cacert = ca;
    request.max_tries = 3;
    request.retry_wait_ms = 10;
    return house_add(&house, &request);
}

static bool is_unverified(int64_t id)
{
    dlmgr_selector selector = {.size = sizeof(selector), .ids = &id, .n_ids = 1};
    dlmgr_list *list = NULL;
    bool is;

    CHECK_INT(dlmgr_query(house.handle, &selector, &list, NULL), 0);
    is = dlmgr_list_at(list, 0) && dlmgr_list_at(list, 0)->unverified_length;
    dlmgr_list_free(list);
    return is;
}

static void test_broken_http2(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *row = &rows[i];
        struct house_result r;
        int64_t id;

        test_about("row %zu: %s", i, row->what);
        id = fetch(row->script);
        r = house_wait(&house, id);
        CHECK_STR(dlmgr_state_name(r.state), dlmgr_state_name(row->state));
        CHECK_INT(r.error_code, row->code);
        CHECK_INT(r.error_class, row->class_);
        if (!strstr(r.text, row->says))
            CHECK_STR(r.text, row->says);
        if (getenv("SHOW"))
            printf("%s: %d requests: %s\n", row->what, play.requests, r.text);
        if (row->requests != ANY)
            CHECK_INT(play.requests, row->requests);
        CU_ASSERT(play.requests <= 18);
        CHECK_INT(house_files(&house), r.state == DLMGR_DONE);
        if (r.state == DLMGR_DONE) {
            CHECK_INT(fx_file_check(r.path, row->unverified ? row->unverified : SIZE, 1), 0);
            CHECK_INT(is_unverified(id), row->unverified > 0);
            unlink(r.path);
        }
        house_forget(&house, id);
        CHECK_INT(house_parts(&house), 0);
    }
    end();
}

static const struct test tests[] = {
    TEST(test_broken_http2),
};

TEST_MAIN("h2", tests)
