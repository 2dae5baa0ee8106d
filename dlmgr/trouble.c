/* SPDX-License-Identifier: MIT */
/*
 * trouble.c - what a failed transfer means: from libcurl's codes to WAIT or FAIL; see verdict.h.
 *
 * One table. A row with a `needle` counts only when libcurl's own message holds it: some codes say too little (a TLS
 * handshake that was refused and one whose connection broke are both 35). Rows are looked at in order, so such rows
 * stand before the plain one of the same code. What is not in the table is tried again: an unknown trouble must not lose
 * a download, and the number of tries is bounded.
 *
 * Aborts that we caused ourselves (a callback that said no) are the caller's to recognise before it asks here.
 */
#include "dlmgr/verdict.h"

#include <curl/curl.h>
#include <stdio.h>

static const struct row {
    int curl;
    const char *needle;
    enum dlm_action action;
    int class_, code;
    int stage; /* NONE: wherever it was at that moment */
    const char *says;
} rows[] = {
#define TRANSIENT(code) DLM_WAIT, DLMGR_CLASS_TRANSIENT, code
#define PERMANENT(code) DLM_FAIL, DLMGR_CLASS_PERMANENT, code
#define LOCAL(code) DLM_FAIL, DLMGR_CLASS_LOCAL, code
#define AUTH DLM_FAIL, DLMGR_CLASS_NEEDS_AUTH, DLM_EXIT_AUTH
#define POLICY DLM_FAIL, DLMGR_CLASS_POLICY, DLM_EXIT_HTTP
#define RESOLVE DLMGR_STAGE_RESOLVE
#define CONNECT DLMGR_STAGE_CONNECT
#define TLS DLMGR_STAGE_TLS
#define SEND DLMGR_STAGE_SEND
#define RECEIVE DLMGR_STAGE_RECEIVE
#define WRITE DLMGR_STAGE_WRITE
#define ANYWHERE DLMGR_STAGE_NONE
    {CURLE_UNSUPPORTED_PROTOCOL, NULL, PERMANENT(DLM_EXIT_HTTP), RECEIVE,
     "the server does not speak HTTP/1 or later"},
    {CURLE_URL_MALFORMAT, NULL, PERMANENT(DLM_EXIT_HTTP), ANYWHERE, "the URL cannot be used"},
    {CURLE_COULDNT_RESOLVE_PROXY, NULL, TRANSIENT(DLM_EXIT_RESOLVE), RESOLVE,
     "the proxy's name cannot be resolved"},
    {CURLE_COULDNT_RESOLVE_HOST, NULL, TRANSIENT(DLM_EXIT_RESOLVE), RESOLVE,
     "the server's name cannot be resolved; check the URL and this machine's network"},
    {CURLE_COULDNT_CONNECT, NULL, TRANSIENT(DLM_EXIT_NETWORK), CONNECT,
     "no connection to the server"},
    {CURLE_WEIRD_SERVER_REPLY, NULL, PERMANENT(DLM_EXIT_HTTP), RECEIVE,
     "the answer is not valid HTTP"},
    {CURLE_REMOTE_ACCESS_DENIED, NULL, AUTH, RECEIVE, "access denied"},
    {CURLE_HTTP2, NULL, TRANSIENT(DLM_EXIT_NETWORK), ANYWHERE, "the HTTP/2 connection broke"},
    {CURLE_PARTIAL_FILE, NULL, TRANSIENT(DLM_EXIT_NETWORK), RECEIVE,
     "the connection ended before the file"},
    {CURLE_HTTP_RETURNED_ERROR, NULL, PERMANENT(DLM_EXIT_HTTP), RECEIVE,
     "the server refuses the request"},
    {CURLE_WRITE_ERROR, NULL, LOCAL(DLM_EXIT_IO), WRITE, "the file cannot be written"},
    {CURLE_READ_ERROR, NULL, LOCAL(DLM_EXIT_IO), ANYWHERE, "a local file cannot be read"},
    {CURLE_OUT_OF_MEMORY, NULL, DLM_WAIT, DLMGR_CLASS_LOCAL, DLM_EXIT_UNKNOWN, ANYWHERE,
     "out of memory, or one line of the answer's header is longer than 100 KiB"},
    {CURLE_OPERATION_TIMEDOUT, NULL, TRANSIENT(DLM_EXIT_TIMEOUT), ANYWHERE,
     "no connection within connect-time"},
    {CURLE_RANGE_ERROR, NULL, PERMANENT(DLM_EXIT_NO_RESUME), RECEIVE,
     "the server cannot continue a download"},
    {CURLE_BAD_DOWNLOAD_RESUME, NULL, PERMANENT(DLM_EXIT_NO_RESUME), RECEIVE,
     "the server cannot continue a download"},
    {CURLE_SSL_CONNECT_ERROR, "SSL_connect: ", TRANSIENT(DLM_EXIT_NETWORK), TLS,
     "the connection broke while TLS was set up"},
    {CURLE_SSL_CONNECT_ERROR, "Recv failure", TRANSIENT(DLM_EXIT_NETWORK), TLS,
     "the connection broke while TLS was set up"},
    {CURLE_SSL_CONNECT_ERROR, "Send failure", TRANSIENT(DLM_EXIT_NETWORK), TLS,
     "the connection broke while TLS was set up"},
    {CURLE_SSL_CONNECT_ERROR, NULL, PERMANENT(DLM_EXIT_HTTP), TLS, "no TLS that both sides accept"},
    {CURLE_TOO_MANY_REDIRECTS, NULL, PERMANENT(DLM_EXIT_REDIRECTS), RECEIVE, "too many redirects"},
    {CURLE_INTERFACE_FAILED, NULL, TRANSIENT(DLM_EXIT_NETWORK), CONNECT,
     "the network interface cannot be used"},
    {CURLE_GOT_NOTHING, NULL, TRANSIENT(DLM_EXIT_NETWORK), RECEIVE,
     "the server closed the connection without an answer"},
    {CURLE_SSL_ENGINE_NOTFOUND, NULL, LOCAL(DLM_EXIT_IO), TLS, "the TLS engine cannot be used"},
    {CURLE_SSL_ENGINE_SETFAILED, NULL, LOCAL(DLM_EXIT_IO), TLS, "the TLS engine cannot be used"},
    {CURLE_SEND_ERROR, NULL, TRANSIENT(DLM_EXIT_NETWORK), SEND, "the connection broke"},
    {CURLE_RECV_ERROR, NULL, TRANSIENT(DLM_EXIT_NETWORK), ANYWHERE, "the connection broke"},
    {CURLE_SSL_CERTPROBLEM, NULL, AUTH, TLS, "the client certificate or its key cannot be used"},
    {CURLE_SSL_CIPHER, NULL, PERMANENT(DLM_EXIT_HTTP), TLS, "no TLS cipher that both sides accept"},
    {CURLE_PEER_FAILED_VERIFICATION, NULL, PERMANENT(DLM_EXIT_HTTP), TLS,
     "the server's certificate cannot be trusted; --cacert names another authority"},
    {CURLE_BAD_CONTENT_ENCODING, NULL, PERMANENT(DLM_EXIT_HTTP), RECEIVE,
     "the body has a coding that was not asked for"},
    {CURLE_FILESIZE_EXCEEDED, NULL, POLICY, RECEIVE, "the file is larger than allowed"},
    {CURLE_USE_SSL_FAILED, NULL, PERMANENT(DLM_EXIT_HTTP), TLS,
     "TLS cannot be used with this server"},
    {CURLE_LOGIN_DENIED, NULL, AUTH, RECEIVE, "user or password is wrong"},
    {CURLE_SSL_CACERT_BADFILE, NULL, LOCAL(DLM_EXIT_IO), TLS,
     "the file of certificate authorities cannot be read"},
    {CURLE_SSL_CRL_BADFILE, NULL, LOCAL(DLM_EXIT_IO), TLS,
     "the certificate revocation list cannot be read"},
    {CURLE_SSL_ISSUER_ERROR, NULL, PERMANENT(DLM_EXIT_HTTP), TLS,
     "the server's certificate has the wrong issuer"},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, NULL, POLICY, TLS,
     "the server's key is not the one that was pinned"},
    {CURLE_SSL_INVALIDCERTSTATUS, NULL, PERMANENT(DLM_EXIT_HTTP), TLS,
     "the server's certificate was revoked"},
    {CURLE_HTTP2_STREAM, NULL, TRANSIENT(DLM_EXIT_NETWORK), RECEIVE,
     "the server broke the HTTP/2 stream off"},
    {CURLE_AUTH_ERROR, NULL, AUTH, RECEIVE, "authentication failed"},
    {CURLE_HTTP3, NULL, TRANSIENT(DLM_EXIT_NETWORK), ANYWHERE, "the HTTP/3 connection broke"},
    {CURLE_QUIC_CONNECT_ERROR, NULL, TRANSIENT(DLM_EXIT_NETWORK), CONNECT,
     "no QUIC connection to the server"},
    {CURLE_PROXY, "User was rejected", AUTH, CONNECT, "the proxy wants another user or password"},
    {CURLE_PROXY, "No authentication method", AUTH, CONNECT,
     "the proxy wants a user and password in its URL"},
    {CURLE_PROXY, NULL, TRANSIENT(DLM_EXIT_NETWORK), CONNECT, "the proxy cannot connect"},
    {CURLE_SSL_CLIENTCERT, NULL, AUTH, TLS, "the server wants a client certificate"},
};

static const struct row unknown = {0, NULL, TRANSIENT(DLM_EXIT_UNKNOWN), ANYWHERE,
                                   "the transfer failed"};

/* What the proxy said to CONNECT; libcurl only says that receiving failed. */
static const struct {
    int first, last;
    struct row row;
} proxy_rows[] = {
    {407, 407, {0, NULL, AUTH, CONNECT, "the proxy wants a user and password in its URL"}},
    {408, 408, {0, NULL, TRANSIENT(DLM_EXIT_NETWORK), CONNECT, "the proxy cannot connect"}},
    {429, 429, {0, NULL, TRANSIENT(DLM_EXIT_NETWORK), CONNECT, "the proxy wants fewer requests"}},
    {300,
     499,
     {0, NULL, PERMANENT(DLM_EXIT_HTTP), CONNECT, "the proxy refuses to connect to this server"}},
    {500, 599, {0, NULL, TRANSIENT(DLM_EXIT_NETWORK), CONNECT, "the proxy cannot connect"}},
};

/* This machine ran out of something, whatever libcurl calls it. */
static const struct {
    int os_errno;
    struct row row;
} errno_rows[] = {
#define SHORT(what)                                                                                \
    {                                                                                              \
        0, NULL, DLM_WAIT, DLMGR_CLASS_LOCAL, DLM_EXIT_UNKNOWN, CONNECT, what                      \
    }
    {EMFILE, SHORT("this process has no file descriptor left")},
    {ENFILE, SHORT("this machine has no file descriptor left")},
    {ENOBUFS, SHORT("this machine has no buffer left")},
    {ENOMEM, SHORT("out of memory")},
    {EADDRNOTAVAIL, SHORT("this machine has no port or address left")},
};

static const struct row *find_row(const struct dlm_trouble *t)
{
    const char *detail = t->detail ? t->detail : "";

    for (size_t i = 0; i < ARRAY_SIZE(proxy_rows); i++)
        if (t->proxy_status >= proxy_rows[i].first && t->proxy_status <= proxy_rows[i].last)
            return &proxy_rows[i].row;
    for (size_t i = 0; t->curl == CURLE_COULDNT_CONNECT && i < ARRAY_SIZE(errno_rows); i++)
        if (errno_rows[i].os_errno == t->os_errno)
            return &errno_rows[i].row;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].curl == t->curl && (!rows[i].needle || strstr(detail, rows[i].needle)))
            return &rows[i];
    return &unknown;
}

int dlm_verdict_reached(const struct dlm_reached *r)
{
    if (r->sent)
        return RECEIVE;
    if (r->ready || (r->connected && !r->tls))
        return SEND;
    return r->connected ? TLS : r->resolved ? CONNECT : RESOLVE;
}

void dlm_verdict_curl(const struct dlm_trouble *trouble, struct dlm_verdict *ret)
{
    const struct row *row = find_row(trouble);
    bool more = trouble->detail && trouble->detail[0] && !trouble->tls;
    /* libcurl says that it did not connect, and not why. */
    bool why = trouble->curl == CURLE_COULDNT_CONNECT && trouble->os_errno;

    *ret = (struct dlm_verdict){.action = row->action,
                                .class_ = row->class_,
                                .code = row->code,
                                .stage = row->stage ? row->stage : trouble->reached,
                                .length = -1,
                                .total = -1,
                                .wait_ms = -1};
    snprintf(ret->text, sizeof(ret->text), "%s%s%s%s%.130s%s",
             trouble->tls ? trouble->tls : row->says, why ? ": " : "",
             why ? strerror(trouble->os_errno) : "", more ? " (" : "", more ? trouble->detail : "",
             more ? ")" : "");
}
