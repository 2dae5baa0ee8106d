/* SPDX-License-Identifier: MIT */
/*
 * test_http.c - answers that break the rules of HTTP, or keep odd ones: framing, codings, digests, interim answers.
 *
 * Each row is a path's script and how a task that asks for it ends. What fails leaves nothing at the final name, says what was
 * seen, and has asked no more often than the row says; what is done has exactly the bytes of seed 1, or the row's text. Rows of
 * ranges that go wrong stand in test_changed.c, plain answers in test_transfer.c.
 *
 * Words in capitals stand for what is too long to write: see expand().
 */
#include "tests/lib/house.h"
#include "tests/lib/peer.h"
#include "tests/lib/test.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIZE 5000
#define TRANSIENT DLMGR_CLASS_TRANSIENT
#define PERMANENT DLMGR_CLASS_PERMANENT

static struct house house;

static void three_tries(dlmgr_request *r)
{
    r->max_tries = 3;
    r->retry_wait_ms = 10;
}

static void with_the_digest(dlmgr_request *r)
{
    static char text[150];
    char hex[129];

    three_tries(r);
    CHECK_INT(fx_body_digest("sha256", SIZE, 1, hex), 0);
    snprintf(text, sizeof(text), "sha-256=%s", hex);
    r->checksum = text;
}

struct row {
    const char *what, *steps;
    void (*set)(dlmgr_request *r);
    int state, code, class_, requests;
    const char *says; /* in the error's text */
    const char *text; /* what the file is; NULL: seed 1 */
    bool unverified;
};

/* clang-format off */
#define DONE(n) DLMGR_DONE, 0, 0, (n), "", NULL, false
#define DONE_AS(n, text) DLMGR_DONE, 0, 0, (n), "", (text), false
#define UNVERIFIED(n) DLMGR_DONE, 0, 0, (n), "", NULL, true
#define FAILED(code, class_, n, says) DLMGR_FAILED, (code), (class_), (n), (says), NULL, false
#define REFUSED(says) FAILED(22, PERMANENT, 1, says)
#define BROKEN(says) FAILED(6, TRANSIENT, 3, says)
#define H "raw=HTTP/1.1%20200%20OK%0D%0A"
#define CHUNKED H "Transfer-Encoding:%20chunked%0D%0A%0D%0A"
#define FIVE "5%0D%0Ahello%0D%0A"

static const struct row framing[] = {
    {"a length larger than the body", "size=5000 seed=1 clen=6000", three_tries, BROKEN("gave up after 3 tries")},
    {"a length smaller than the body", H "Content-Length:%203%0D%0A%0D%0Ahello", three_tries, DONE_AS(1, "hel")},
    {"and nothing of it is taken for the next answer", "size=5000 seed=1", three_tries, DONE(1)},
    {"two lengths", "size=5000 seed=1 header=Content-Length:%204000", three_tries, REFUSED("not one valid number")},
    {"two lengths, the second of nothing", "size=5000 seed=1 header=Content-Length:%200", three_tries, REFUSED("not one valid number")},
    {"the same length twice", "size=5000 seed=1 header=Content-Length:%205000", three_tries, DONE(1)},
    {"a negative length", "size=5000 seed=1 nolength header=Content-Length:%20-5000", three_tries, REFUSED("Content-Length")},
    {"a length that is none", "size=5000 seed=1 nolength header=Content-Length:%20many", three_tries, REFUSED("Content-Length")},
    {"a length beyond 2^63", "size=5000 seed=1 nolength header=Content-Length:%209223372036854775808", three_tries, REFUSED("not one valid number")},
    {"more than a file can have", "size=5000 seed=1 nolength header=Content-Length:%201125899906842625", three_tries, FAILED(22, DLMGR_CLASS_POLICY, 1, "more than file-bytes allows")},
    {"a length beside chunks", "size=5000 seed=1 chunked header=Content-Length:%205000", three_tries, REFUSED("chunks and a length")},
    {"a smaller length beside chunks", "size=5000 seed=1 chunked header=Content-Length:%204000", three_tries, REFUSED("chunks and a length")},
    {"chunks", "size=5000 seed=1 chunked", three_tries, DONE(1)},
    {"chunks, cut", "size=5000 seed=1 chunked cut=2000", three_tries, BROKEN("gave up after 3 tries")},
    {"chunks, reset", "size=5000 seed=1 chunked reset=2000", three_tries, BROKEN("gave up after 3 tries")},
    {"chunks, cut before the last one", CHUNKED FIVE, three_tries, BROKEN("gave up after 3 tries")},
    {"chunks, cut within their end", CHUNKED FIVE "0%0D%0A", three_tries, BROKEN("gave up after 3 tries")},
    {"all chunks but the last one: 416 says that there is no more", "size=5000 seed=1 etag=\"a\" chunked cut=5000 ; size=5000 seed=1 etag=\"a\"",
     three_tries, DONE(2)},
    {"a chunk that is longer than it says", CHUNKED "3%0D%0Ahello%0D%0A0%0D%0A%0D%0A", three_tries, BROKEN("gave up after 3 tries")},
    {"a chunk of 2^64 bytes", CHUNKED "10000000000000000%0D%0Ahello", three_tries, BROKEN("gave up after 3 tries")},
    {"a chunk whose size is no number", CHUNKED "zz%0D%0Ahello%0D%0A", three_tries, BROKEN("gave up after 3 tries")},
    {"a chunk with an extension", CHUNKED "5;name=%22x%22%0D%0Ahello%0D%0A0%0D%0A%0D%0A", three_tries, DONE_AS(1, "hello")},
    {"trailers", CHUNKED FIVE "0%0D%0AX-Sum:%201%0D%0A%0D%0A", three_tries, DONE_AS(1, "hello")},
    {"trailers that would change the length", CHUNKED FIVE "0%0D%0AContent-Length:%203%0D%0AContent-Range:%20bytes%200-2/3%0D%0A%0D%0A",
     three_tries, DONE_AS(1, "hello")},
    {"a transfer coding", "size=5000 seed=1 header=Transfer-Encoding:%20gzip,%20chunked nolength", three_tries, REFUSED("coding")},
    {"no length, closed", "size=5000 seed=1 nolength", three_tries, UNVERIFIED(1)},
    {"no length, reset", "size=5000 seed=1 nolength reset=2000", three_tries, BROKEN("gave up after 3 tries")},
    {"no length, closed, HTTP/1.0", "raw=HTTP/1.0%20200%20OK%0D%0A%0D%0Ahello", three_tries, DLMGR_DONE, 0, 0, 1, "", "hello", true},
    {"no length, closed, and the digest is known", "size=5000 seed=1 nolength", with_the_digest, DONE(1)},
    {"no length, closed, then cut short: the digest tells", "size=4000 seed=1 nolength", with_the_digest, FAILED(32, PERMANENT, 1, "--checksum")},
    {"no length, closed, and the server says its digest", "size=5000 seed=1 nolength header=Repr-Digest:%20RIGHT256", three_tries, DONE(1)},
    {"a field that goes on in a second line", H "Content-Length:%205%0D%0A%201%0D%0A%0D%0Ahello", three_tries, REFUSED("second line")},
    {"an interim answer", "size=5000 seed=1 interim=103", three_tries, DONE(1)},
    {"a flood of interim answers", "raw=FLOODHTTP/1.1%20200%20OK%0D%0A%0D%0Ahello", three_tries, REFUSED("header is longer than header-")},
    {"nothing but an interim answer", "raw=HTTP/1.1%20100%20Continue%0D%0A%0D%0A", three_tries, FAILED(6, TRANSIENT, 3, "gave up after 3 tries")},
    {"a header that is cut", H "Content-Le", three_tries, BROKEN("within the answer's header")},
    {"a header that is cut behind a field", H "Content-Length:%205%0D%0A", three_tries, BROKEN("ended before the file")},
    {"a status line that is cut", "raw=HTTP/1.", three_tries, BROKEN("without an answer")},
    {"a status line that is cut early", "raw=HT", three_tries, BROKEN("without an answer")},
    {"HTTP/0.9", "raw=hello%20you", three_tries, REFUSED("0.9")},
    {"HTTP of another century", "raw=HTTP/7.3%20200%20OK%0D%0A%0D%0Ahello", three_tries, REFUSED("")},
    {"frames of HTTP/2 that nobody asked for", "raw=%00%00%12%04", three_tries, FAILED(6, TRANSIENT, 3, "gave up after 3 tries")},
    {"a protocol that nobody asked for", "status=101", three_tries, REFUSED("101")},
    {"204", "status=204", three_tries, REFUSED("204")},
    {"205", "status=205 text=hello", three_tries, REFUSED("205")},
    {"304", "status=304", three_tries, REFUSED("304")},
    {"412", "status=412", three_tries, REFUSED("412")},
    {"425, then the file", "status=425 ; size=5000 seed=1", three_tries, DONE(2)},
    {"429, then the file", "status=429 retry_after=0 ; size=5000 seed=1", three_tries, DONE(2)},
    {"503, then the file", "status=503 retry_after=0 ; size=5000 seed=1", three_tries, DONE(2)},
    {"425 for ever", "status=425", three_tries, FAILED(22, TRANSIENT, 3, "gave up after 3 tries")},
    {"429 for ever", "status=429 retry_after=0", three_tries, FAILED(22, TRANSIENT, 3, "gave up after 3 tries")},
    {"416 unasked", "status=416 total416=5000", three_tries, REFUSED("416")},
};

static const struct row codings[] = {
    {"gzip unasked, with its length: as it was sent", "size=5000 seed=1 header=Content-Encoding:%20gzip", three_tries, DONE(1)},
    {"gzip unasked, in chunks", "size=5000 seed=1 chunked header=Content-Encoding:%20gzip", three_tries, REFUSED("compressed")},
    {"gzip unasked, no length", "size=5000 seed=1 nolength header=Content-Encoding:%20br", three_tries, REFUSED("compressed")},
    {"identity, said aloud", "size=5000 seed=1 chunked header=Content-Encoding:%20identity", three_tries, DONE(1)},
    {"gzip to a range: the whole is asked for",
     "all:size=5000 seed=1 etag=\"a\" ; whole:cut=2000 ; whole: ; range:header=Content-Encoding:%20gzip", three_tries, DONE(3)},
    {"gzip to everything: the whole again",
     "all:size=5000 seed=1 etag=\"a\" header=Content-Encoding:%20gzip ; whole:cut=2000 ; whole: ; range:", three_tries, DONE(2)},
    {"gzip once, with the ETag of the plain file: nothing is asked to continue it",
     "size=5000 seed=2 etag=\"a\" header=Content-Encoding:%20gzip cut=2000 ; size=5000 seed=1 etag=\"a\"", three_tries, DONE(2)},
};

#define FIRST "size=5000 seed=1 etag=\"a\" cut=2000 "
#define REST " ; size=5000 seed=1 etag=\"a\" "

static const struct row digests[] = {
    {"the right one", "size=5000 seed=1 header=Repr-Digest:%20RIGHT256", three_tries, DONE(1)},
    {"the right one, SHA-512", "size=5000 seed=1 header=Repr-Digest:%20RIGHT512", three_tries, DONE(1)},
    {"a wrong one", "size=5000 seed=1 header=Repr-Digest:%20WRONG256", three_tries, FAILED(32, PERMANENT, 1, "Repr-Digest")},
    {"a wrong one, SHA-512", "size=5000 seed=1 header=Repr-Digest:%20WRONG512", three_tries, FAILED(32, PERMANENT, 1, "Repr-Digest")},
    {"a wrong one, chunked", "size=5000 seed=1 chunked header=Repr-Digest:%20WRONG256", three_tries, FAILED(32, PERMANENT, 1, "Repr-Digest")},
    {"several", "size=5000 seed=1 header=Repr-Digest:%20RIGHT512,%20RIGHT256", three_tries, DONE(1)},
    {"several, in two fields, wrong", "size=5000 seed=1 header=Repr-Digest:%20md5=:AAAA: header=Repr-Digest:%20WRONG512", three_tries,
     FAILED(32, PERMANENT, 1, "Repr-Digest")},
    {"of an algorithm that nobody knows", "size=5000 seed=1 header=Repr-Digest:%20sha-1000=:AAAA:", three_tries, DONE(1)},
    {"malformed", "size=5000 seed=1 header=Repr-Digest:%20sha-256=:AAAA:", three_tries, DONE(1)},
    {"Content-Digest is none", "size=5000 seed=1 header=Content-Digest:%20WRONG256", three_tries, DONE(1)},
    {"a digest was asked for: the server's does not count", "size=5000 seed=1 header=Repr-Digest:%20WRONG256", with_the_digest, DONE(1)},
    {"of the whole, with each part", FIRST "header=Repr-Digest:%20RIGHT256" REST "header=Repr-Digest:%20RIGHT256", three_tries, DONE(2)},
    {"of the whole, with the first part alone", FIRST "header=Repr-Digest:%20RIGHT256" REST, three_tries, DONE(2)},
    {"a wrong one of the whole, with the first part alone", FIRST "header=Repr-Digest:%20WRONG256" REST, three_tries,
     FAILED(32, PERMANENT, 2, "Repr-Digest")},
    {"a wrong one of the whole, with the second part alone", FIRST REST "header=Repr-Digest:%20WRONG256", three_tries,
     FAILED(32, PERMANENT, 2, "Repr-Digest")},
    {"Content-Digest of a part", FIRST REST "header=Content-Digest:%20WRONG256", three_tries, DONE(2)},
    {"another one: another file, though the ETag is the same",
     FIRST "header=Repr-Digest:%20WRONG256" REST "header=Repr-Digest:%20RIGHT256", three_tries, DONE(3)},
};
/* clang-format on */

static void put_digest(FILE *f, bool right, bool sha512)
{
    unsigned char raw[64], coded[100];
    char hex[129];
    size_t n = sha512 ? 64 : 32;

    CHECK_INT(fx_body_digest(sha512 ? "sha512" : "sha256", SIZE, right ? 1 : 2, hex), 0);
    for (size_t i = 0; i < n; i++)
        sscanf(hex + 2 * i, "%2hhx", &raw[i]);
    EVP_EncodeBlock(coded, raw, (int)n);
    fprintf(f, "sha-%s=:%s:", sha512 ? "512" : "256", coded);
}

static void put_flood(FILE *f)
{
    for (int i = 0; i < 600; i++)
        fputs("HTTP/1.1%20103%20Hints%0D%0A%0D%0A", f);
}

/* RIGHT256, WRONG512, ...: members of Repr-Digest; FLOOD: 600 interim answers. The text is the caller's. */
static char *expand(const char *steps)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    while (*steps) {
        bool right = !strncmp(steps, "RIGHT", 5), digest = right || !strncmp(steps, "WRONG", 5),
             flood = !strncmp(steps, "FLOOD", 5);

        if (digest)
            put_digest(f, right, steps[5] == '5');
        else if (flood)
            put_flood(f);
        else
            fputc(*steps, f);
        steps += digest ? 8 : flood ? 5 : 1;
    }
    fclose(f);
    return text;
}

static size_t count_requests(void)
{
    struct fx_log log;
    size_t n;

    CHECK_INT(fx_log_read(house.fx, &log), 0);
    n = log.count;
    fx_log_free(&log);
    return n;
}

/* ---- What is told of it ------------------------------------------------------------------------------ */

static void check_file(const struct row *row, const struct house_result *r)
{
    char text[100] = "";
    FILE *f;

    if (!row->text) {
        CHECK_INT(fx_file_check(r->path, SIZE, 1), 0);
        return;
    }
    f = fopen(r->path, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT(fgets(text, sizeof(text), f) != NULL);
    fclose(f);
    CHECK_STR(text, row->text);
}

/* In the list, in show and in the event: each says it, or denies it. */
static void check_unverified(int64_t id, bool unverified)
{
    const char *word = unverified ? "\"unverified_length\":true" : "\"unverified_length\":false";
    dlmgr_selector selector = {.size = sizeof(selector), .ids = &id, .n_ids = 1};
    dlmgr_event_list *events = NULL;
    dlmgr_list *list = NULL;
    const dlmgr_event *event = NULL;
    char *json = NULL;

    CHECK_INT(dlmgr_query(house.handle, &selector, &list, NULL), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dlmgr_list_at(list, 0));
    CHECK_INT(dlmgr_list_at(list, 0)->unverified_length, unverified);
    CHECK_INT(dlmgr_show(house.handle, id, 0, &json, NULL), 0);
    CU_ASSERT(json && strstr(json, word));
    free(json);
    CHECK_INT(dlmgr_events(house.handle, "default", 0, 0, &events, NULL), 0);
    for (size_t i = 0; (event = dlmgr_event_list_at(events, i)); i++) {
        if (event->task != id || strcmp(event->type, "done") != 0)
            continue;
        CHECK_INT(event->unverified_length, unverified);
        json = dlmgr_event_json(event);
        CU_ASSERT(json && strstr(json, word));
        free(json);
    }
    dlmgr_event_list_free(events);
    dlmgr_list_free(list);
}

static void check_row(const struct row *row)
{
    char *url = fx_url(house.fx, "/row"), *steps = expand(row->steps);
    dlmgr_request request = house_request(&house, url);
    size_t before = count_requests();
    struct house_result r;
    int64_t id;

    row->set(&request);
    CHECK_INT(fx_script(house.fx, "/row", "%s", steps), 0);
    id = house_add(&house, &request);
    r = house_wait(&house, id);
    CHECK_STR(dlmgr_state_name(r.state), dlmgr_state_name(row->state));
    CHECK_INT(r.error_code, row->code);
    CHECK_INT(r.error_class, row->class_);
    if (!strstr(r.text, row->says))
        CHECK_STR(r.text, row->says);
    CHECK_INT(count_requests() - before, row->requests);
    CHECK_INT(house_files(&house), r.state == DLMGR_DONE);
    if (r.state == DLMGR_DONE) {
        check_file(row, &r);
        check_unverified(id, row->unverified);
        unlink(r.path);
    }
    house_forget(&house, id);
    CHECK_INT(house_parts(&house), 0);
    free(url);
    free(steps);
}

static void check_rows(const struct row *rows, size_t n)
{
    house_begin(&house);
    for (size_t i = 0; i < n; i++) {
        test_about("row %zu: %s", i, rows[i].what);
        check_row(&rows[i]);
    }
    house_end(&house);
}

static void test_framing(void)
{
    check_rows(framing, COUNT(framing));
}

static void test_codings(void)
{
    check_rows(codings, COUNT(codings));
}

static void test_digests(void)
{
    check_rows(digests, COUNT(digests));
}

/* What a server said wrongly once does not stand in the way of a later try. */
static void test_a_wrong_digest_can_be_tried_again(void)
{
    static const char *const later[] = {"", "header=Repr-Digest:%20RIGHT256", "etag=\"b\""};

    house_begin(&house);
    for (size_t i = 0; i < COUNT(later); i++) {
        char *url = fx_url(house.fx, "/row"), *steps, text[200];
        dlmgr_request request = house_request(&house, url);
        int64_t id, n = 0;
        dlmgr_selector selector = {.size = sizeof(selector), .ids = &id, .n_ids = 1};

        test_about("then %s", later[i]);
        snprintf(text, sizeof(text),
                 "size=5000 seed=1 header=Repr-Digest:%%20WRONG256 ; size=5000 seed=1 %s", later[i]);
        steps = expand(text);
        CHECK_INT(fx_script(house.fx, "/row", "%s", steps), 0);
        id = house_add(&house, &request);
        CHECK_INT(house_wait(&house, id).error_code, 32);
        CHECK_INT(dlmgr_act(house.handle, DLMGR_RETRY, &selector, &n, NULL), 0);
        CHECK_INT(house_wait(&house, id).state, DLMGR_DONE);
        house_forget(&house, id);
        free(steps);
        free(url);
    }
    house_end(&house);
}

/* ---- The end of TLS ------------------------------------------------------------------------------------ */

static char cert[320], key[320], ca[320];

static void make_certificates(void)
{
    char command[400];

    snprintf(command, sizeof(command), "bash fixtures/certs.sh %s/certs", test_dir());
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    snprintf(cert, sizeof(cert), "%s/certs/server.pem", test_dir());
    snprintf(key, sizeof(key), "%s/certs/server.key", test_dir());
    snprintf(ca, sizeof(ca), "%s/certs/ca.pem", test_dir());
}

static const struct ending {
    const char *what, *answer;
    enum peer_end how;
    int state, code;
    bool unverified;
} endings[] = {
    {"a length, no close_notify", "Content-Length: 5\r\n\r\nhello", PEER_FIN, DLMGR_DONE, 0, false},
    {"less than the length, close_notify", "Content-Length: 6\r\n\r\nhello", PEER_NOTIFY,
     DLMGR_FAILED, 6, false},
    {"less than the length, no close_notify", "Content-Length: 6\r\n\r\nhello", PEER_FIN,
     DLMGR_FAILED, 6, false},
    {"chunks, no close_notify", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
     PEER_FIN, DLMGR_DONE, 0, false},
    {"chunks, cut, close_notify", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", PEER_NOTIFY,
     DLMGR_FAILED, 6, false},
    {"no length, close_notify", "\r\nhello", PEER_NOTIFY, DLMGR_DONE, 0, true},
    {"no length, no close_notify", "\r\nhello", PEER_FIN, DLMGR_FAILED, 6, false},
    {"no length, reset", "\r\nhello", PEER_RST, DLMGR_FAILED, 6, false},
    {"an empty answer, close_notify", "", PEER_NOTIFY, DLMGR_FAILED, 6, false},
};

/* Which one it is stands in the path. */
static void serve_ending(struct peer_link *l, void *context)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n";
    char request[4096];
    size_t i = 0;

    (void)context;
    if (!peer_get_head(l, request, sizeof(request)) || sscanf(request, "GET /%zu", &i) != 1)
        return;
    if (endings[i].answer[0])
        peer_put(l, head, sizeof(head) - 1);
    peer_put(l, endings[i].answer, strlen(endings[i].answer));
    peer_finish(l, endings[i].how);
}

static void check_ending(const struct peer *server, size_t i)
{
    char url[100];
    dlmgr_request request;
    struct house_result r;
    int64_t id;

    snprintf(url, sizeof(url), "https://127.0.0.1:%d/%zu", peer_port(server), i);
    request = house_request(&house, url);
    three_tries(&request);
    request.cacert = ca;
    id = house_add(&house, &request);
    r = house_wait(&house, id);
    CHECK_STR(dlmgr_state_name(r.state), dlmgr_state_name(endings[i].state));
    CHECK_INT(r.error_code, endings[i].code);
    CHECK_INT(house_files(&house), r.state == DLMGR_DONE);
    if (r.state == DLMGR_DONE) {
        check_file(&(struct row){.text = "hello"}, &r);
        check_unverified(id, endings[i].unverified);
        unlink(r.path);
    }
    house_forget(&house, id);
}

static void test_how_tls_ends(void)
{
    struct peer *server;

    house_begin(&house);
    make_certificates();
    server = peer_start(&(struct peer_options){.cert = cert, .key = key, .serve = serve_ending});
    for (size_t i = 0; i < COUNT(endings); i++) {
        test_about("row %zu: %s", i, endings[i].what);
        check_ending(server, i);
    }
    house_end(&house);
    peer_stop(server);
}

/* ---- More than was asked for ---------------------------------------------------------------------------- */

#define ANSWER(text) "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" text

/* 0; 1: the first file is there; 2: and the server has sent an answer that nobody asked for. */
static atomic_int stage;

static void serve_surplus(struct peer_link *l, void *context)
{
    char request[4096];

    (void)context;
    while (peer_get_head(l, request, sizeof(request))) {
        bool first = !strncmp(request, "GET /first", 10);

        peer_put(l, first ? ANSWER("hello") : ANSWER("right"), strlen(ANSWER("hello")));
        while (first && stage < 1)
            usleep(1000);
        if (first)
            peer_put(l, ANSWER("wrong"), strlen(ANSWER("wrong")));
        stage += first;
    }
}

static void check_surplus(const struct peer *server, const char *name, const char *text)
{
    char url[100];
    dlmgr_request request;
    struct house_result r;

    snprintf(url, sizeof(url), "%s://127.0.0.1:%d/%s", ca[0] ? "https" : "http", peer_port(server),
             name);
    request = house_request(&house, url);
    request.cacert = ca[0] ? ca : NULL;
    r = house_wait(&house, house_add(&house, &request));
    CHECK_STR(dlmgr_state_name(r.state), "done");
    check_file(&(struct row){.text = text}, &r);
    unlink(r.path);
}

/* It would be the answer to the next request over this connection. */
static void test_an_answer_that_nobody_asked_for(void)
{
    house_begin(&house);
    ca[0] = '\0';
    for (int tls = 0; tls < 2; tls++) {
        struct peer *server;

        test_about("TLS: %d", tls);
        if (tls)
            make_certificates();
        stage = 0;
        server = peer_start(&(struct peer_options){.cert = tls ? cert : NULL,
                                                   .key = tls ? key : NULL,
                                                   .serve = serve_surplus});
        check_surplus(server, "first", "hello");
        for (stage = 1; stage < 2;)
            usleep(1000);
        check_surplus(server, "second", "right");
        peer_stop(server);
    }
    house_end(&house);
}

static const struct test tests[] = {
    TEST(test_an_answer_that_nobody_asked_for),
    TEST(test_framing),
    TEST(test_codings),
    TEST(test_digests),
    TEST(test_a_wrong_digest_can_be_tried_again),
    TEST(test_how_tls_ends),
};

TEST_MAIN("http", tests)
