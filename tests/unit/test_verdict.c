/* SPDX-License-Identifier: MIT */
/*
 * test_verdict.c - what to do about an answer, a row a case: (asked, have, rules, header) and the whole verdict. Then
 * random servers that change, forget, lie and break off, played against a client that obeys the verdicts: whatever
 * they do, no file may hold bytes of two versions.
 */
#include "dlmgr/verdict.h"
#include "tests/lib/test.h"

#include <curl/curl.h>
#include <stdio.h>

#define NOW INT64_C(1767225600000)

/* One row a line, whatever its length. */
/* clang-format off */

/* What was asked. */
#define PLAIN {.end = -1}
#define REST(n) {.ranged = true, .start = (n), .end = -1, .conditional = true}
#define PIECE(s, e) {.ranged = true, .start = (s), .end = (e), .conditional = true}
#define BLIND(n) {.ranged = true, .start = (n), .end = -1}
#define TARGET {.end = -1, .can_reask = true}

/* What we have. */
#define NOTHING {.first = true, .total = -1}
#define BYTES(n) {.total = 1000, .bytes = (n), .validator = "\"v1\""}
#define UNKNOWN(n) {.total = -1, .bytes = (n), .validator = "\"v1\""}
#define DATED(n) {.total = 1000, .bytes = (n), .validator = "Wed, 31 Dec 2025 00:00:00 GMT"}
#define WEAK(n) {.total = 1000, .bytes = (n), .validator = "W/\"v1\""}
#define NONE(n) {.total = 1000, .bytes = (n)}
#define DIGEST(n) {.total = 1000, .bytes = (n), .digest_given = true}
#define OFFERED(n) {.total = 1000, .bytes = (n), .validator = "\"v1\"", .offered = SHA_A}
#define MIRROR(n) {.total = 1000, .bytes = (n), .validator = "\"v1\"", .other_source = true}
#define MIRROR_DIGEST(n) {.total = 1000, .bytes = (n), .validator = "\"v1\"", .other_source = true, .digest_given = true}

/* What to do. */
#define TAKE(o, l, t, ...) {.action = DLM_TAKE, .offset = (o), .length = (l), .total = (t), .wait_ms = -1, __VA_ARGS__}
#define RESUME_CODE .class_ = DLMGR_CLASS_TRANSIENT, .code = DLM_EXIT_NO_RESUME
#define RESTART(...) {.action = DLM_RESTART, RESUME_CODE, .length = -1, .total = -1, .wait_ms = -1, __VA_ARGS__}
#define RESTART_WITH(l, ...) {.action = DLM_RESTART, RESUME_CODE, .length = (l), .total = (l), .wait_ms = -1, .usable = true, __VA_ARGS__}
#define REASK(...) {.action = DLM_REASK, RESUME_CODE, .length = -1, .total = -1, .wait_ms = -1}
#define COMPLETE(t) {.action = DLM_COMPLETE, .offset = (t), .length = 0, .total = (t), .wait_ms = -1}
#define FAIL(cl, co) {.action = DLM_FAIL, .class_ = DLMGR_CLASS_##cl, .code = (co), .length = -1, .total = -1, .wait_ms = -1}
#define BAD FAIL(PERMANENT, 22)
#define WAIT(ms) {.action = DLM_WAIT, .class_ = DLMGR_CLASS_TRANSIENT, .code = 22, .length = -1, .total = -1, .wait_ms = (ms)}
#define REDIRECT {.action = DLM_REDIRECT, .length = -1, .total = -1, .wait_ms = -1}
#define RANGES .ranges = true
#define CHANGED .changed = true

#define H200 "HTTP/1.1 200 OK\n"
#define H206 "HTTP/1.1 206 Partial Content\n"
#define H416 "HTTP/1.1 416 Range Not Satisfiable\n"
#define V1 "ETag: \"v1\"\n"
#define V2 "ETag: \"v2\"\n"
#define LEN(n) "Content-Length: " #n "\n"
#define CR(s) "Content-Range: bytes " s "\n"
#define SHA_A "sha-256=2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define RD_A "Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\n"
#define RD_B "Repr-Digest: sha-256=:MPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\n"
#define LM "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT\nDate: Thu, 01 Jan 2026 00:00:00 GMT\n"

struct row {
    const char *about;
    struct dlm_asked asked;
    struct dlm_have have;
    const char *header;
    struct dlm_verdict want;
    const char *says; /* in the text; NULL: the text is empty */
    struct {
        int64_t max_size;
        bool require_length;
    } rules;
};

static const struct row whole_rows[] = {
    {"the first answer, strong", PLAIN, NOTHING, H200 V1 LEN(1000), TAKE(0, 1000, 1000, RANGES), NULL, {0, false}},
    {"dated", PLAIN, NOTHING, H200 LM LEN(1000), TAKE(0, 1000, 1000, RANGES), NULL, {0, false}},
    {"weak: one connection", PLAIN, NOTHING, H200 "ETag: W/\"v1\"\n" LEN(1000), TAKE(0, 1000, 1000), NULL, {0, false}},
    {"no validator: one connection", PLAIN, NOTHING, H200 LEN(1000), TAKE(0, 1000, 1000), NULL, {0, false}},
    {"no ranges offered", PLAIN, NOTHING, H200 V1 LEN(1000) "Accept-Ranges: none\n", TAKE(0, 1000, 1000), NULL, {0, false}},
    {"an empty file", PLAIN, NOTHING, H200 V1 LEN(0), TAKE(0, 0, 0, RANGES), NULL, {0, false}},
    {"chunked", PLAIN, NOTHING, H200 V1 "Transfer-Encoding: chunked\n", TAKE(0, -1, -1), NULL, {0, false}},
    {"chunked with a length", PLAIN, NOTHING, H200 "Transfer-Encoding: chunked\n" LEN(9), BAD, "both chunks and a length", {0, false}},
    {"no length and closed", PLAIN, NOTHING, H200, TAKE(0, -1, -1, .unverified = true), NULL, {0, false}},
    {"no length over HTTP/2", PLAIN, NOTHING, "HTTP/2 200\n", TAKE(0, -1, -1, .unverified = true), NULL, {0, false}},
    {"no length, a digest given", PLAIN, {.first = true, .total = -1, .digest_given = true}, H200, TAKE(0, -1, -1), NULL, {0, false}},
    {"no length, a digest sent", PLAIN, NOTHING, H200 "Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\n",
     TAKE(0, -1, -1), NULL, {0, false}},
    {"no length, but required", PLAIN, NOTHING, H200 "Transfer-Encoding: chunked\n", FAIL(POLICY, 22), "--require-length", {0, true}},
    {"a length, and required", PLAIN, NOTHING, H200 LEN(5), TAKE(0, 5, 5), NULL, {0, true}},
    {"as large as allowed", PLAIN, NOTHING, H200 LEN(1000), TAKE(0, 1000, 1000), NULL, {1000, false}},
    {"larger than allowed", PLAIN, NOTHING, H200 LEN(1001), FAIL(POLICY, 22), "1001 bytes, more than --max-size", {1000, false}},
    {"as large as a file can be", PLAIN, NOTHING, H200 LEN(1125899906842624), TAKE(0, 1125899906842624, 1125899906842624), NULL, {0, false}},
    {"larger than a file can be", PLAIN, NOTHING, H200 LEN(1125899906842625), FAIL(POLICY, 22), "more than file-bytes allows (1125899906842624)", {0, false}},
    {"two lengths", PLAIN, NOTHING, H200 LEN(5) LEN(6), BAD, "not one valid number", {0, false}},
    {"a negative length", PLAIN, NOTHING, H200 LEN(-5), BAD, "not one valid number", {0, false}},
    {"a length beyond 2^63", PLAIN, NOTHING, H200 LEN(9223372036854775808), BAD, "not one valid number", {0, false}},
    {"a transfer coding", PLAIN, NOTHING, H200 "Transfer-Encoding: gzip, chunked\n", BAD, "transfer coding", {0, false}},
    {"a folded field", PLAIN, NOTHING, H200 "ETag: \"v1\"\n x\n", BAD, "second line", {0, false}},
    {"gzip unasked, length said: as sent, no ranges", PLAIN, NOTHING, H200 V1 LEN(70) "Content-Encoding: gzip\n", TAKE(0, 70, 70), NULL, {0, false}},
    {"gzip unasked, no length", PLAIN, NOTHING, H200 "Content-Encoding: gzip\nTransfer-Encoding: chunked\n", BAD, "compressed", {0, false}},
    {"a retry with no bytes, the same version", PLAIN, BYTES(0), H200 V1 LEN(1000), TAKE(0, 1000, 1000, RANGES), NULL, {0, false}},
    {"a retry with no bytes, without validators", PLAIN, NONE(0), H200 LEN(1000), TAKE(0, 1000, 1000), NULL, {0, false}},
    {"a retry with no bytes, another version", PLAIN, BYTES(0), H200 V2 LEN(1000), RESTART_WITH(1000, RANGES, CHANGED), "has changed", {0, false}},
    {"a retry with no bytes, another size", PLAIN, BYTES(0), H200 V1 LEN(999), RESTART_WITH(999, RANGES, CHANGED), "has changed", {0, false}},
    {"a retry with no bytes, now without its size", PLAIN, BYTES(0), H200 V1 "Transfer-Encoding: chunked\n",
     RESTART_WITH(-1, CHANGED), "has changed", {0, false}},
    {"asked whole with bytes that cannot be continued", PLAIN, NONE(400), H200 LEN(1000), RESTART_WITH(1000), "instead of the rest", {0, false}},
    {"a range ignored, bytes there, same version", REST(400), BYTES(400), H200 V1 LEN(1000), RESTART_WITH(1000), "instead of the rest", {0, false}},
    {"a range ignored, no bytes yet", REST(0), BYTES(0), H200 V1 LEN(1000), TAKE(0, 1000, 1000), NULL, {0, false}},
    {"a range ignored, nothing recorded", BLIND(0), NOTHING, H200 V1 LEN(1000), TAKE(0, 1000, 1000), NULL, {0, false}},
    {"If-Range did its work: ranges may go on", REST(400), BYTES(400), H200 V2 LEN(1000), RESTART_WITH(1000, RANGES, CHANGED), "has changed", {0, false}},
    {"a blind range ignored and changed", BLIND(400), DIGEST(400), H200 V2 LEN(1000), RESTART_WITH(1000, CHANGED), "has changed", {0, false}},
    {"a retry with no bytes, another digest", PLAIN, OFFERED(0), H200 V1 LEN(1000) RD_B, RESTART_WITH(1000, RANGES, CHANGED), "has changed", {0, false}},
    {"a retry with no bytes, the same digest", PLAIN, OFFERED(0), H200 V1 LEN(1000) RD_A, TAKE(0, 1000, 1000, RANGES), NULL, {0, false}},
    {"the ETag vanished", REST(400), BYTES(400), H200 LEN(1000), RESTART_WITH(1000, CHANGED), "has changed", {0, false}},
    {"the ETag became weak", REST(400), BYTES(400), H200 "ETag: W/\"v1\"\n" LEN(1000), RESTART_WITH(1000, CHANGED), "has changed", {0, false}},
    {"restart refused: too large", REST(400), BYTES(400), H200 V2 LEN(1001), FAIL(POLICY, 22), "--max-size", {1000, false}},
    {"restart refused: framing", REST(400), BYTES(400), H200 V2 LEN(x), BAD, "not one valid", {0, false}},
    {"restart of unknown length", REST(400), BYTES(400), H200 V2, RESTART_WITH(-1, CHANGED, .unverified = true), "has changed", {0, false}},
};

static const struct row part_rows[] = {
    {"the rest", REST(400), BYTES(400), H206 V1 CR("400-999/1000"), TAKE(400, 600, 1000, RANGES), NULL, {0, false}},
    {"the rest, with its length", REST(400), BYTES(400), H206 V1 LEN(600) CR("400-999/1000"), TAKE(400, 600, 1000, RANGES), NULL, {0, false}},
    {"the rest by date", REST(400), DATED(400), H206 LM CR("400-999/1000"), TAKE(400, 600, 1000, RANGES), NULL, {0, false}},
    {"a piece", PIECE(400, 500), BYTES(400), H206 V1 CR("400-499/1000"), TAKE(400, 100, 1000, RANGES), NULL, {0, false}},
    {"a first piece, nothing recorded", PIECE(0, 500), NOTHING, H206 V1 CR("0-499/1000"), TAKE(0, 500, 1000, RANGES), NULL, {0, false}},
    {"nothing recorded, no validator", BLIND(0), NOTHING, H206 CR("0-999/1000"), TAKE(0, 1000, 1000), NULL, {0, false}},
    {"shorter: the rest is asked for later", PIECE(400, 500), BYTES(400), H206 V1 CR("400-449/1000"), TAKE(400, 50, 1000, RANGES), NULL, {0, false}},
    {"longer: stop at the boundary", PIECE(400, 500), BYTES(400), H206 V1 CR("400-999/1000"),
     TAKE(400, 100, 1000, RANGES, .overlong = true), NULL, {0, false}},
    {"total unknown now", REST(400), BYTES(400), H206 V1 CR("400-999/*"), TAKE(400, 600, 1000, RANGES), NULL, {0, false}},
    {"total unknown always", REST(400), UNKNOWN(400), H206 V1 CR("400-999/*"), TAKE(400, 600, -1), NULL, {0, false}},
    {"total unknown and nothing recorded", BLIND(0), NOTHING, H206 V1 CR("0-999/*"), TAKE(0, 1000, -1), NULL, {0, false}},
    {"total known at last", REST(400), UNKNOWN(400), H206 V1 CR("400-999/1000"), TAKE(400, 600, 1000, RANGES), NULL, {0, false}},
    {"no more ranges offered", REST(400), BYTES(400), H206 V1 CR("400-999/1000") "Accept-Ranges: none\n", TAKE(400, 600, 1000), NULL, {0, false}},
    {"starts too early (overlaps)", REST(400), BYTES(400), H206 V1 CR("300-999/1000"), RESTART(), "another range", {0, false}},
    {"starts too late", REST(400), BYTES(400), H206 V1 CR("401-999/1000"), RESTART(), "another range", {0, false}},
    {"starts wrong, nothing to lose", PIECE(0, 500), BYTES(0), H206 V1 CR("1-499/1000"), REASK(), "another range", {0, false}},
    {"no Content-Range", REST(400), BYTES(400), H206 V1 LEN(600), RESTART(), "missing or not valid", {0, false}},
    {"no Content-Range, nothing to lose", REST(0), BYTES(0), H206 V1 LEN(1000), REASK(), "missing or not valid", {0, false}},
    {"last before first", REST(400), BYTES(400), H206 V1 CR("400-399/1000"), RESTART(), "missing or not valid", {0, false}},
    {"last beyond total", REST(400), BYTES(400), H206 V1 CR("400-1000/1000"), RESTART(), "missing or not valid", {0, false}},
    {"two Content-Ranges", REST(400), BYTES(400), H206 V1 CR("400-999/1000") CR("400-998/1000"), RESTART(), "missing or not valid", {0, false}},
    {"a 416's Content-Range", REST(400), BYTES(400), H206 V1 CR("*/1000"), RESTART(), "missing or not valid", {0, false}},
    {"multipart/byteranges", REST(400), BYTES(400), H206 V1 CR("400-999/1000") "Content-Type: multipart/byteranges; boundary=x\n",
     RESTART(), "several ranges", {0, false}},
    {"multipart/byteranges, nothing to lose", BLIND(0), NOTHING, H206 "Content-Type: multipart/byteranges; boundary=x\n",
     REASK(), "several ranges", {0, false}},
    {"length and range disagree", REST(400), BYTES(400), H206 V1 LEN(599) CR("400-999/1000"), RESTART(), "disagree", {0, false}},
    {"another version", REST(400), BYTES(400), H206 V2 CR("400-999/1000"), RESTART(CHANGED), "has changed", {0, false}},
    {"another version at another start", REST(400), BYTES(400), H206 V2 CR("0-999/1000"), RESTART(CHANGED), "has changed", {0, false}},
    {"the ETag vanished", REST(400), BYTES(400), H206 CR("400-999/1000"), RESTART(CHANGED), "has changed", {0, false}},
    {"the ETag became weak", REST(400), BYTES(400), H206 "ETag: W/\"v1\"\n" CR("400-999/1000"), RESTART(CHANGED), "has changed", {0, false}},
    {"the ETag broke", REST(400), BYTES(400), H206 "ETag: v1\n" CR("400-999/1000"), RESTART(CHANGED), "has changed", {0, false}},
    {"an ETag appeared", BLIND(400), DIGEST(400), H206 V1 CR("400-999/1000"), RESTART(CHANGED), "has changed", {0, false}},
    {"another date", REST(400), DATED(400), H206 "Last-Modified: Tue, 30 Dec 2025 00:00:00 GMT\nDate: Thu, 01 Jan 2026 00:00:00 GMT\n" CR("400-999/1000"),
     RESTART(CHANGED), "has changed", {0, false}},
    {"the same digest of the whole", REST(400), OFFERED(400), H206 V1 CR("400-999/1000") RD_A, TAKE(400, 600, 1000, RANGES), NULL, {0, false}},
    {"another digest of the whole", REST(400), OFFERED(400), H206 V1 CR("400-999/1000") RD_B, RESTART(CHANGED), "digest of the file has changed", {0, false}},
    {"no digest any more", REST(400), OFFERED(400), H206 V1 CR("400-999/1000"), TAKE(400, 600, 1000, RANGES), NULL, {0, false}},
    {"larger", REST(400), BYTES(400), H206 V1 CR("400-1000/1001"), RESTART(CHANGED), "size of the file has changed", {0, false}},
    {"smaller", REST(400), BYTES(400), H206 V1 CR("400-998/999"), RESTART(CHANGED), "size of the file has changed", {0, false}},
    {"larger, total unsaid", REST(400), BYTES(400), H206 V1 CR("400-1000/*"), RESTART(CHANGED), "has grown", {0, false}},
    {"smaller than what we have", BLIND(400), UNKNOWN(600), H206 V1 CR("400-499/500"), RESTART(CHANGED), "has shrunk", {0, false}},
    {"changed while nothing was there yet", PIECE(0, 500), BYTES(0), H206 V2 CR("0-499/1000"), RESTART(CHANGED), "has changed", {0, false}},
    {"weak and continued", BLIND(400), WEAK(400), H206 "ETag: W/\"v1\"\n" CR("400-999/1000"), RESTART(), "nothing proves", {0, false}},
    {"no validator and continued", BLIND(400), NONE(400), H206 CR("400-999/1000"), RESTART(), "nothing proves", {0, false}},
    {"no validator, and the beginning is missing", BLIND(0), NONE(400), H206 CR("0-399/1000"), RESTART(), "nothing proves", {0, false}},
    {"no validator, a later piece first", BLIND(400), NONE(0), H206 CR("400-999/1000"), REASK(), "nothing proves", {0, false}},
    {"nothing recorded, a later piece first", BLIND(400), NOTHING, H206 V1 CR("400-999/1000"), REASK(), "nothing proves", {0, false}},
    {"no validator: the digest decides", BLIND(400), DIGEST(400), H206 CR("400-999/1000"), TAKE(400, 600, 1000), NULL, {0, false}},
    {"no validator, a digest, another size", BLIND(400), DIGEST(400), H206 CR("400-998/999"), RESTART(CHANGED), "size of the file", {0, false}},
    {"a mirror with the same strong validator", REST(400), MIRROR(400), H206 V1 CR("400-999/1000"), TAKE(400, 600, 1000, RANGES), NULL, {0, false}},
    {"a mirror with another validator", REST(400), MIRROR(400), H206 V2 CR("400-999/1000"), RESTART(CHANGED), "has changed", {0, false}},
    {"a mirror with the same weak validator", BLIND(0), {.total = 1000, .validator = "W/\"v1\"", .other_source = true},
     H206 "ETag: W/\"v1\"\n" CR("0-999/1000"), RESTART(CHANGED), "nothing proves", {0, false}},
    {"a mirror without validators", BLIND(0), {.total = 1000, .other_source = true}, H206 CR("0-999/1000"), RESTART(CHANGED), "nothing proves", {0, false}},
    {"a mirror with another validator and a digest", BLIND(400), MIRROR_DIGEST(400), H206 V2 CR("400-999/1000"),
     TAKE(400, 600, 1000, RANGES), NULL, {0, false}},
    {"a mirror with a digest and another size", BLIND(400), MIRROR_DIGEST(400), H206 V1 CR("400-998/999"), RESTART(CHANGED), "size of the file", {0, false}},
    {"unasked", PLAIN, NOTHING, H206 V1 CR("0-999/1000"), BAD, "though the whole was asked for", {0, false}},
    {"compressed", REST(400), BYTES(400), H206 V1 LEN(600) CR("400-999/1000") "Content-Encoding: gzip\n", RESTART(), "compressed", {0, false}},
    {"compressed, no length, nothing to lose", REST(0), BYTES(0), H206 V1 CR("0-999/1000") "Content-Encoding: br\n", REASK(), "compressed", {0, false}},
    {"chunked with a length", REST(400), BYTES(400), H206 V1 LEN(600) CR("400-999/1000") "Transfer-Encoding: chunked\n", BAD, "both chunks", {0, false}},
    {"two lengths", REST(400), BYTES(400), H206 V1 LEN(600) LEN(601) CR("400-999/1000"), BAD, "not one valid number", {0, false}},
    {"larger than allowed", BLIND(0), NOTHING, H206 V1 CR("0-1000/1001"), FAIL(POLICY, 22), "--max-size", {1000, false}},
    {"larger than allowed, total unsaid", BLIND(0), NOTHING, H206 V1 CR("0-1000/*"), FAIL(POLICY, 22), "--max-size", {1000, false}},
    {"known to be larger than allowed", REST(400), BYTES(400), H206 V1 CR("400-449/*"), FAIL(POLICY, 22), "--max-size", {999, false}},
    {"a range says its length", BLIND(0), NOTHING, H206 V1 CR("0-999/*"), TAKE(0, 1000, -1), NULL, {0, true}},
};

static const struct row beyond_rows[] = {
    {"all there, of unknown total, but perhaps of another version", REST(1000), UNKNOWN(1000), H416 CR("*/1000"), RESTART(), "a range that the file has", {0, false}},
    {"all there, validator repeated", REST(1000), UNKNOWN(1000), H416 V1 CR("*/1000"), COMPLETE(1000), NULL, {0, false}},
    {"all there, of known total", REST(1000), BYTES(1000), H416 CR("*/1000"), COMPLETE(1000), NULL, {0, false}},
    {"all there, the digest decides", BLIND(1000), DIGEST(1000), H416 CR("*/1000"), COMPLETE(1000), NULL, {0, false}},
    {"all there, a mirror's validator, the digest decides", BLIND(1000), MIRROR_DIGEST(1000), H416 V2 CR("*/1000"), COMPLETE(1000), NULL, {0, false}},
    {"all there, but nothing proves it", BLIND(1000), NONE(1000), H416 CR("*/1000"), RESTART(), "a range that the file has", {0, false}},
    {"all there, but of another version", REST(1000), UNKNOWN(1000), H416 V2 CR("*/1000"), RESTART(CHANGED), "has changed", {0, false}},
    {"smaller than we have", REST(1000), UNKNOWN(1000), H416 CR("*/999"), RESTART(CHANGED), "size of the file", {0, false}},
    {"larger, and still refused", REST(1000), UNKNOWN(1000), H416 CR("*/1001"), RESTART(), "a range that the file has", {0, false}},
    {"another total", REST(400), BYTES(400), H416 CR("*/300"), RESTART(CHANGED), "size of the file", {0, false}},
    {"the same total, and still refused", REST(400), BYTES(400), H416 CR("*/1000"), RESTART(), "a range that the file has", {0, false}},
    {"the end is there, but not the middle", REST(1000), BYTES(900), H416 CR("*/1000"), RESTART(), "a range that the file has", {0, false}},
    {"no total", REST(400), BYTES(400), H416, RESTART(), "does not say how long", {0, false}},
    {"a total that is none", REST(400), BYTES(400), H416 CR("*/*"), RESTART(), "does not say how long", {0, false}},
    {"a range instead of a total", REST(400), BYTES(400), H416 CR("0-9/1000"), RESTART(), "does not say how long", {0, false}},
    {"nothing to lose", PIECE(0, 500), BYTES(0), H416 CR("*/0"), REASK(), "refuses the range", {0, false}},
    {"nothing recorded", BLIND(0), NOTHING, H416 CR("*/0"), REASK(), "refuses the range", {0, false}},
    {"unasked", PLAIN, NOTHING, H416 CR("*/1000"), BAD, "though none was asked for", {0, false}},
};

#define STATUS(n) "HTTP/1.1 " #n " X\n"
#define REFUSED(n, says) {#n, PLAIN, NOTHING, STATUS(n), BAD, says, {0, false}}
#define LATER(n, says) {#n, PLAIN, NOTHING, STATUS(n), WAIT(-1), says, {0, false}}
#define MOVED(n) {#n, PLAIN, NOTHING, STATUS(n) "Location: /x\n", REDIRECT, NULL, {0, false}}
#define REASK_GIVEN(cl, co)                                                                        \
    {.action = DLM_REASK, .class_ = DLMGR_CLASS_##cl, .code = (co), .length = -1, .total = -1, .wait_ms = -1, .given_url = true}

static const struct row status_rows[] = {
    {"no answer at all", PLAIN, NOTHING, "", BAD, "0: the server does not speak HTTP", {0, false}},
    REFUSED(100, "100: the answer never comes to an end"),
    REFUSED(101, "101 Switching Protocols: "),
    REFUSED(103, "103: the answer never"),
    REFUSED(201, "201 Created: "),
    REFUSED(202, "202 Accepted: "),
    REFUSED(203, "203 Non-Authoritative: a proxy"),
    REFUSED(204, "204 No Content: "),
    REFUSED(205, "205 Reset Content: "),
    REFUSED(226, "226: not an answer to a download"),
    MOVED(300), MOVED(301), MOVED(302), MOVED(303), MOVED(307), MOVED(308),
    REFUSED(301, "301 Moved Permanently: a redirect that does not say where to"),
    {"302, empty", PLAIN, NOTHING, STATUS(302) "Location:\n", BAD, "does not say where to", {0, false}},
    {"302, two that differ", PLAIN, NOTHING, STATUS(302) "Location: /x\nLocation: /y\n", BAD,
     "302 Found: a redirect to two targets that differ", {0, false}},
    REFUSED(304, "304 Not Modified: "),
    {"305", PLAIN, NOTHING, STATUS(305) "Location: /x\n", BAD, "305: not a redirect", {0, false}},
    REFUSED(400, "400 Bad Request: "),
    {"401", PLAIN, NOTHING, STATUS(401), FAIL(NEEDS_AUTH, 24), "401 Unauthorized: user and password", {0, false}},
    {"401 at a target", TARGET, NOTHING, STATUS(401), REASK_GIVEN(NEEDS_AUTH, 24), "401", {0, false}},
    REFUSED(402, "402: the server refuses the request"),
    {"403", PLAIN, BYTES(400), STATUS(403), FAIL(NEEDS_AUTH, 24), "403 Forbidden: ", {0, false}},
    {"403 at a target", TARGET, BYTES(400), STATUS(403), REASK_GIVEN(NEEDS_AUTH, 24), "403", {0, false}},
    {"404", PLAIN, NOTHING, STATUS(404), FAIL(PERMANENT, 3), "404 Not Found: the server has no such file", {0, false}},
    {"404 at a target", TARGET, NOTHING, STATUS(404), FAIL(PERMANENT, 3), "404", {0, false}},
    REFUSED(405, "405 Method Not Allowed: "),
    {"407", PLAIN, NOTHING, STATUS(407), FAIL(NEEDS_AUTH, 24), "407 Proxy Authentication Required: the proxy", {0, false}},
    LATER(408, "408 Request Timeout: "),
    {"410", PLAIN, NOTHING, STATUS(410), FAIL(PERMANENT, 3), "410 Gone: ", {0, false}},
    {"410 at a target", TARGET, NOTHING, STATUS(410), REASK_GIVEN(PERMANENT, 3), "410", {0, false}},
    REFUSED(412, "412 Precondition Failed: "),
    {"412 to If-Range", REST(400), BYTES(400), STATUS(412), RESTART(), "refuses If-Range", {0, false}},
    {"412 to If-Range, nothing to lose", REST(0), BYTES(0), STATUS(412), REASK(), "refuses If-Range", {0, false}},
    REFUSED(418, "418: the server refuses"),
    LATER(421, "421 Misdirected Request: "),
    LATER(425, "425 Too Early: "),
    LATER(429, "429 Too Many Requests: "),
    {"429 in a minute", PLAIN, NOTHING, STATUS(429) "Retry-After: 60\n", WAIT(60000), "429", {0, false}},
    {"429 in a day", PLAIN, NOTHING, STATUS(429) "Retry-After: 86400\n", WAIT(3600000), "429", {0, false}},
    {"503 at a date", PLAIN, NOTHING, STATUS(503) "Retry-After: Thu, 01 Jan 2026 00:00:30 GMT\n", WAIT(30000), "503", {0, false}},
    {"503 at once", PLAIN, NOTHING, STATUS(503) "Retry-After: 0\n", WAIT(0), "503", {0, false}},
    REFUSED(431, "431: the server refuses"),
    REFUSED(451, "451 Unavailable For Legal Reasons: "),
    LATER(500, "500 Internal Server Error: "),
    REFUSED(501, "501 Not Implemented: "),
    LATER(502, "502 Bad Gateway: "),
    LATER(503, "503 Service Unavailable: "),
    LATER(504, "504 Gateway Timeout: "),
    REFUSED(505, "505 HTTP Version Not Supported: "),
    REFUSED(506, "506 "),
    LATER(507, "507 Insufficient Storage: "),
    REFUSED(508, "508 Loop Detected: "),
    REFUSED(510, "510 Not Extended: "),
    {"511", PLAIN, NOTHING, STATUS(511), FAIL(NEEDS_AUTH, 24), "511 Network Authentication Required: this network", {0, false}},
    LATER(522, "522: the server has a fault"),
    REFUSED(600, "600: the server does not speak HTTP"),
    REFUSED(999, "999: the server does not speak HTTP"),
};

/* clang-format on */

static void feed(struct dlm_answer *a, const char *header)
{
    dlm_answer_reset(a, NOW, NULL);
    while (*header) {
        size_t len = strcspn(header, "\n");

        CU_ASSERT_FATAL(dlm_answer_line(a, header, len) == 0);
        header += len + 1;
    }
    CU_ASSERT_FATAL(dlm_answer_line(a, "\r\n", 2) == 0);
}

static void check_verdict(const struct dlm_verdict *v, const struct dlm_verdict *want,
                          const char *says)
{
    CHECK_INT(v->action, want->action);
    CHECK_INT(v->class_, want->class_);
    CHECK_INT(v->code, want->code);
    CHECK_INT(v->offset, want->offset);
    CHECK_INT(v->length, want->length);
    CHECK_INT(v->total, want->total);
    CHECK_INT(v->overlong, want->overlong);
    CHECK_INT(v->ranges, want->ranges);
    CHECK_INT(v->unverified, want->unverified);
    CHECK_INT(v->usable, want->usable);
    CHECK_INT(v->changed, want->changed);
    CHECK_INT(v->given_url, want->given_url);
    CHECK_INT(v->wait_ms, want->wait_ms);
    CU_ASSERT(says ? strstr(v->text, says) != NULL : v->text[0] == '\0');
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct row *r = &rows[i];
        CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};
        struct dlm_rules rules = dlm_rules_of(NULL);
        struct dlm_verdict v;

        rules.max_size = r->rules.max_size;
        rules.require_length = r->rules.require_length;
        feed(&a, r->header);
        memset(&v, 0x55, sizeof(v));
        dlm_verdict_answer(&r->asked, &r->have,
                           r->rules.max_size || r->rules.require_length ? &rules : NULL, &a, &v);
        test_about("%s: %s", r->about, v.text);
        check_verdict(&v, &r->want, r->says);
        if (v.action == DLM_RESTART && v.usable)
            CHECK_INT(v.offset, 0);
    }
}

/* 200: the whole file, wanted or not. */
static void test_verdict_whole(void)
{
    check_rows(whole_rows, ARRAY_SIZE(whole_rows));
}

/* 206: exactly what was asked for, of exactly the version that we have, or not at all. */
static void test_verdict_part(void)
{
    check_rows(part_rows, ARRAY_SIZE(part_rows));
}

/* 416: complete, changed, or a server without working ranges. */
static void test_verdict_beyond(void)
{
    check_rows(beyond_rows, ARRAY_SIZE(beyond_rows));
}

/* All other statuses: one row each, and those that nobody has heard of. */
static void test_verdict_statuses(void)
{
    check_rows(status_rows, ARRAY_SIZE(status_rows));
}

/* Every status from 0 to 999 gets a verdict with a text; none but 200, 206 and 416 gives bytes or completes. */
static void test_verdict_any_status(void)
{
    for (int status = 0; status < 1000; status++) {
        struct dlm_asked asked = REST(400);
        struct dlm_have have = BYTES(400);
        struct dlm_answer a = {0};
        struct dlm_verdict v;
        char name[64];

        dlm_answer_reset(&a, NOW, NULL);
        a.status = status;
        dlm_verdict_answer(&asked, &have, NULL, &a, &v);
        dlm_status_text(status, name);
        test_about("%s", name);
        CU_ASSERT_FATAL(v.action != DLM_TAKE && v.action != DLM_COMPLETE && v.action != DLM_REDIRECT);
        CU_ASSERT_FATAL(v.usable == (status == 200));
        CU_ASSERT_FATAL(strncmp(v.text, name, strlen(name)) == 0 && v.code != 0 && v.class_ != 0);
        CU_ASSERT_FATAL(atoi(name) == status);
    }
}

/* What may be continued: by a strong validator, or by a digest. */
static void test_verdict_may_continue(void)
{
    static const struct {
        struct dlm_have have;
        bool may;
    } cases[] = {
        {BYTES(1), true},
        {DATED(1), true},
        {WEAK(1), false},
        {NONE(1), false},
        {DIGEST(1), true},
        {NOTHING, false},
        {{.first = true, .validator = "\"v1\"", .digest_given = true}, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        test_about("row %zu", i);
        CHECK_INT(dlm_may_continue(&cases[i].have), cases[i].may);
    }
}

/* libcurl's codes: tried again or not, with the exit code, and its own words in the text. */
static void test_verdict_curl(void)
{
    static const struct {
        struct dlm_trouble trouble;
        int action, class_, code, stage;
        const char *says;
    } cases[] = {
        {{CURLE_COULDNT_RESOLVE_HOST, 0, 0, "Could not resolve host: x", DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         19,
         DLMGR_STAGE_RESOLVE,
         "check the URL and this machine's network (Could not resolve host: x)"},
        {{CURLE_COULDNT_RESOLVE_PROXY, 0, 0, "", DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         19,
         DLMGR_STAGE_RESOLVE,
         "the proxy's name cannot be resolved"},
        {{CURLE_COULDNT_CONNECT, ECONNREFUSED, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_CONNECT,
         "no connection"},
        {{CURLE_COULDNT_CONNECT, 0, 0, "Failed to connect", DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_CONNECT,
         "no connection to the server (Failed to connect)"},
        {{CURLE_COULDNT_CONNECT, EMFILE, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_LOCAL,
         1,
         DLMGR_STAGE_CONNECT,
         "file descriptor"},
        {{CURLE_COULDNT_CONNECT, EADDRNOTAVAIL, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_LOCAL,
         1,
         DLMGR_STAGE_CONNECT,
         "port"},
        {{CURLE_RECV_ERROR, EMFILE, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_SEND,
         "broke"},
        {{CURLE_OPERATION_TIMEDOUT, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         2,
         DLMGR_STAGE_SEND,
         "connect-time"},
        {{CURLE_PARTIAL_FILE, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_RECEIVE,
         "ended before"},
        {{CURLE_GOT_NOTHING, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_RECEIVE,
         "without an answer"},
        {{CURLE_SEND_ERROR, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_SEND,
         "broke"},
        {{CURLE_HTTP2, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_SEND,
         "HTTP/2"},
        {{CURLE_HTTP2_STREAM, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_RECEIVE,
         "HTTP/2"},
        {{CURLE_WEIRD_SERVER_REPLY, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_PERMANENT,
         22,
         DLMGR_STAGE_RECEIVE,
         "not valid HTTP"},
        {{CURLE_UNSUPPORTED_PROTOCOL, 0, 0, "Received HTTP/0.9 when not allowed", DLMGR_STAGE_SEND,
          NULL},
         DLM_FAIL,
         DLMGR_CLASS_PERMANENT,
         22,
         DLMGR_STAGE_RECEIVE,
         "0.9"},
        {{CURLE_WRITE_ERROR, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_LOCAL,
         17,
         DLMGR_STAGE_WRITE,
         "cannot be written"},
        {{CURLE_TOO_MANY_REDIRECTS, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_PERMANENT,
         23,
         DLMGR_STAGE_RECEIVE,
         "redirects"},
        {{CURLE_FILESIZE_EXCEEDED, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_POLICY,
         22,
         DLMGR_STAGE_RECEIVE,
         "larger"},
        {{CURLE_SSL_CONNECT_ERROR, 0, 0, "error:0A000438:SSL routines::tlsv1 alert internal error",
          DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_PERMANENT,
         22,
         DLMGR_STAGE_TLS,
         "tlsv1 alert"},
        {{CURLE_SSL_CONNECT_ERROR, 0, 0,
          "OpenSSL SSL_connect: Connection reset by peer in connection to h:443 ", DLMGR_STAGE_SEND,
          NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_TLS,
         "broke while TLS"},
        {{CURLE_SSL_CONNECT_ERROR, 0, 0, "Recv failure: Connection reset by peer", DLMGR_STAGE_SEND,
          NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_TLS,
         "broke while TLS"},
        {{CURLE_SSL_CONNECT_ERROR, 0, 0, "Send failure: Broken pipe", DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_TLS,
         "broke while TLS"},
        {{CURLE_SSL_CONNECT_ERROR, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_PERMANENT,
         22,
         DLMGR_STAGE_TLS,
         "no TLS"},
        {{CURLE_PEER_FAILED_VERIFICATION, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_PERMANENT,
         22,
         DLMGR_STAGE_TLS,
         "--cacert"},
        {{CURLE_SSL_PINNEDPUBKEYNOTMATCH, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_POLICY,
         22,
         DLMGR_STAGE_TLS,
         "pinned"},
        {{CURLE_SSL_CERTPROBLEM, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_NEEDS_AUTH,
         24,
         DLMGR_STAGE_TLS,
         "client certificate"},
        {{CURLE_SSL_CLIENTCERT, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_NEEDS_AUTH,
         24,
         DLMGR_STAGE_TLS,
         "client certificate"},
        {{CURLE_SSL_CACERT_BADFILE, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_LOCAL,
         17,
         DLMGR_STAGE_TLS,
         "cannot be read"},
        {{CURLE_LOGIN_DENIED, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_NEEDS_AUTH,
         24,
         DLMGR_STAGE_RECEIVE,
         "wrong"},
        {{CURLE_OUT_OF_MEMORY, 0, 0, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_LOCAL,
         1,
         DLMGR_STAGE_SEND,
         "memory"},
        {{CURLE_PROXY, 0, 0, "User was rejected by the SOCKS5 server (1 1).", DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_NEEDS_AUTH,
         24,
         DLMGR_STAGE_CONNECT,
         "proxy wants another"},
        {{CURLE_PROXY, 0, 0, "No authentication method was acceptable.", DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_NEEDS_AUTH,
         24,
         DLMGR_STAGE_CONNECT,
         "proxy wants a user"},
        {{CURLE_PROXY, 0, 0, "connection to proxy closed", DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_CONNECT,
         "proxy cannot connect"},
        {{CURLE_RECV_ERROR, 0, 407, "CONNECT tunnel failed, response 407", DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_NEEDS_AUTH,
         24,
         DLMGR_STAGE_CONNECT,
         "proxy wants"},
        {{CURLE_RECV_ERROR, 0, 403, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_PERMANENT,
         22,
         DLMGR_STAGE_CONNECT,
         "proxy refuses"},
        {{CURLE_RECV_ERROR, 0, 302, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_FAIL,
         DLMGR_CLASS_PERMANENT,
         22,
         DLMGR_STAGE_CONNECT,
         "proxy refuses"},
        {{CURLE_RECV_ERROR, 0, 503, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_CONNECT,
         "proxy cannot connect"},
        {{CURLE_RECV_ERROR, 0, 429, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_CONNECT,
         "fewer"},
        {{CURLE_RECV_ERROR, 0, 200, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_SEND,
         "broke"},
        {{CURLE_RECV_ERROR, 0, 999, NULL, DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         6,
         DLMGR_STAGE_SEND,
         "broke"},
        {{CURLE_PEER_FAILED_VERIFICATION, 0, 0, "certificate has expired", DLMGR_STAGE_NONE,
          "it has expired"},
         DLM_FAIL,
         DLMGR_CLASS_PERMANENT,
         22,
         DLMGR_STAGE_TLS,
         "it has expired"},
        {{12345, 0, 0, "?", DLMGR_STAGE_SEND, NULL},
         DLM_WAIT,
         DLMGR_CLASS_TRANSIENT,
         1,
         DLMGR_STAGE_SEND,
         "the transfer failed (?)"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct dlm_verdict v;

        memset(&v, 0x55, sizeof(v));
        dlm_verdict_curl(&cases[i].trouble, &v);
        test_about("row %zu: %s", i, v.text);
        CHECK_INT(v.action, cases[i].action);
        CHECK_INT(v.class_, cases[i].class_);
        CHECK_INT(v.code, cases[i].code);
        CHECK_STR(dlmgr_stage_name(v.stage), dlmgr_stage_name(cases[i].stage));
        CHECK_INT(v.wait_ms, -1);
        CU_ASSERT(strstr(v.text, cases[i].says) != NULL);
        CU_ASSERT(strstr(v.text, "()") == NULL);
    }
}

/* How far a request came is what libcurl's clock last stamped; a connection used again is stamped at once. */
static void test_verdict_reached(void)
{
    static const struct {
        struct dlm_reached r;
        int stage;
    } cases[] = {
        {{false, 0, 0, 0, 0}, DLMGR_STAGE_RESOLVE}, {{true, 0, 0, 0, 0}, DLMGR_STAGE_RESOLVE},
        {{true, 9, 0, 0, 0}, DLMGR_STAGE_CONNECT},  {{true, 9, 9, 0, 0}, DLMGR_STAGE_TLS},
        {{true, 9, 9, 9, 0}, DLMGR_STAGE_SEND},     {{false, 9, 9, 0, 0}, DLMGR_STAGE_SEND},
        {{true, 9, 9, 9, 9}, DLMGR_STAGE_RECEIVE},  {{false, 9, 9, 0, 9}, DLMGR_STAGE_RECEIVE},
        {{false, 0, 0, 0, 9}, DLMGR_STAGE_RECEIVE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        test_about("row %zu", i);
        CHECK_INT(dlm_verdict_reached(&cases[i].r), cases[i].stage);
    }
}

/* ---- A server that does what it likes ------------------------------------------------------ */

#define FILE_MAX 64

static uint64_t seed;

static int dice(int n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (int)((seed >> 33) % (uint64_t)n);
}

/* Version v of the resource: its size and its tag. What it answers may be anything, but a tag goes with its own bytes. */
struct server {
    int version;
    int size[8];
    bool weak, tagless, knows_ranges, minds_if_range;
};

/* What a client holds: for each byte the version that it came from. */
struct client {
    int bytes[FILE_MAX];
    int64_t total;
    char validator[DLM_VALIDATOR_SIZE];
    bool first;
};

static void server_begin(struct server *s)
{
    s->version = 0;
    for (int i = 0; i < 8; i++)
        s->size[i] = i % 2 ? s->size[i - 1] : 1 + dice(FILE_MAX);
    s->weak = dice(8) == 0;
    s->tagless = dice(8) == 0;
    s->knows_ranges = dice(8) != 0;
    s->minds_if_range = dice(3) != 0;
}

static int64_t server_answer(struct server *s, const struct dlm_asked *asked,
                             const struct client *c, char *header, int64_t *ret_from)
{
    char tag[32];
    int64_t size, from = 0, to;
    bool part;

    if (s->version < 7 && dice(6) == 0)
        s->version++;
    size = to = s->size[s->version];
    snprintf(tag, sizeof(tag), "%s\"v%d\"", s->weak ? "W/" : "", s->version);
    part = asked->ranged && s->knows_ranges;
    if (part && asked->conditional && s->minds_if_range)
        part = strcmp(tag, c->validator) == 0;
    if (part && asked->start >= size) {
        snprintf(header, 400, "HTTP/1.1 416 X\nContent-Range: bytes */%lld\n", (long long)size);
        return -1;
    }
    if (part) {
        from = dice(10) ? asked->start : dice((int)size);
        to = dice(10) ? size : from + 1 + dice((int)(size - from));
    }
    *ret_from = from;
    header += sprintf(header, "HTTP/1.1 %d X\n", part ? 206 : 200);
    if (part && dice(20))
        header += sprintf(header, "Content-Range: bytes %lld-%lld/%lld\n", (long long)from,
                          (long long)to - 1, (long long)size + (dice(20) == 0));
    if (!s->tagless && dice(20))
        header += sprintf(header, "ETag: %s\n", tag);
    if (dice(4))
        sprintf(header, "Content-Length: %lld\n", (long long)(to - from));
    return to;
}

static int64_t count_bytes(const struct client *c)
{
    int64_t n = 0;

    while (n < FILE_MAX && c->bytes[n] >= 0)
        n++;
    return n;
}

static void client_reset(struct client *c)
{
    memset(c->bytes, -1, sizeof(c->bytes));
    c->validator[0] = '\0';
    c->total = -1;
    c->first = true;
}

/* Write what came, some of the time not to its end; true when the body was through. */
static bool client_write(struct client *c, const struct server *s, const struct dlm_verdict *v,
                         int64_t from, int64_t to)
{
    int64_t n = v->length >= 0 ? MIN(v->length, to - from) : to - from;
    bool all = dice(3) != 0;

    if (!all)
        n = dice((int)n + 1);
    CU_ASSERT_FATAL(v->offset == from && from + n <= FILE_MAX);
    for (int64_t i = 0; i < n; i++)
        c->bytes[from + i] = s->version;
    return all;
}

/* One request and what follows; true when the file is complete. */
static bool play_turn(struct server *s, struct client *c, bool force_whole, bool *ret_whole_next)
{
    CLEANUP(dlm_answer_clear) struct dlm_answer a = {0};
    struct dlm_have have = {.first = c->first,
                            .total = c->total,
                            .bytes = count_bytes(c),
                            .validator = c->validator};
    struct dlm_asked asked = PLAIN;
    struct dlm_verdict v;
    char header[400] = "";
    int64_t from = 0, to;
    bool through;

    if (!force_whole && (dlm_may_continue(&have) || dice(5) == 0)) {
        asked = (struct dlm_asked){.ranged = true, .start = have.bytes, .end = -1};
        asked.conditional = dlm_validator_is_strong(c->validator);
    }
    to = server_answer(s, &asked, c, header, &from);
    feed(&a, header);
    dlm_verdict_answer(&asked, &have, NULL, &a, &v);
    *ret_whole_next = v.action == DLM_REASK || (v.action == DLM_RESTART && !v.usable);
    if (v.action == DLM_COMPLETE)
        return true;
    if (v.action == DLM_RESTART)
        client_reset(c);
    if (v.action != DLM_TAKE && !(v.action == DLM_RESTART && v.usable))
        return false;
    if (c->first)
        dlm_answer_validator(&a, c->validator);
    c->first = false;
    c->total = v.total;
    through = client_write(c, s, &v, from, to);
    return c->total >= 0 ? count_bytes(c) == c->total : through && !asked.ranged;
}

/* 20,000 games: a complete file is of one version and has the size of that version; and most games come to an end. */
static void test_verdict_never_mixes(void)
{
    unsigned complete = 0;

    for (unsigned round = 0; round < 20000; round++) {
        struct server s;
        struct client c;
        bool whole = false, done = false;

        seed = round;
        server_begin(&s);
        client_reset(&c);
        test_about("seed %u", round);
        for (int turn = 0; turn < 60 && !done; turn++)
            done = play_turn(&s, &c, whole, &whole);
        for (int64_t i = 1; i < count_bytes(&c); i++)
            CU_ASSERT_FATAL(c.bytes[i] == c.bytes[0]);
        if (done && count_bytes(&c) > 0)
            CU_ASSERT_FATAL(count_bytes(&c) == s.size[c.bytes[0]]);
        complete += done;
    }
    CU_ASSERT(complete > 19000);
}

static const struct test tests[] = {
    TEST(test_verdict_whole),    TEST(test_verdict_part),       TEST(test_verdict_beyond),
    TEST(test_verdict_statuses), TEST(test_verdict_any_status), TEST(test_verdict_may_continue),
    TEST(test_verdict_curl),     TEST(test_verdict_reached),    TEST(test_verdict_never_mixes),
};

TEST_MAIN("verdict", tests)
