/* SPDX-License-Identifier: MIT */
/*
 * target.c - where a request goes and what goes along: see target.h.
 *
 * The easy handle comes with nothing but what fetch.c sets for all requests, so what is not set here is not sent. Texts that libcurl
 * copies are set by tables; only the list of headers must outlive the call.
 *
 * --block-private is asked twice, about addresses and never about names. When a socket is opened, so that a name with a public and a
 * private address still works over the public one; and when a request is about to be sent, since a connection that another task made
 * without the rule may be used again. With a proxy the socket's address is the proxy's, which the caller chose; what the proxy connects
 * to is its own to decide, except that an address in the URL itself is read here.
 */
#include "dlmgr/target.h"

#include "dlmgr/opts_ref.h"
#include "dlmgr/proxy.h"
#include "dlmgr/tls.h"

#include <arpa/inet.h>
#include <stdio.h>

#define USER_AGENT "dlmgr/" DLMGR_VERSION

struct setting {
    CURLoption option;
    const char *value; /* NULL: not set */
};

static int set_texts(CURL *easy, const struct setting *settings, size_t n, dlmgr_error *e)
{
    for (size_t i = 0; i < n; i++) {
        CURLcode code = settings[i].value
                            ? curl_easy_setopt(easy, settings[i].option, settings[i].value)
                            : CURLE_OK;

        if (code == CURLE_OUT_OF_MEMORY)
            return dlm_fail(e, DLMGR_ENOMEM, "no memory for a request");
        if (code != CURLE_OK) /* never the value: it may be a secret */
            return dlm_fail(e, DLMGR_EINVAL, "libcurl cannot do this: %s", curl_easy_strerror(code));
    }
    return 0;
}

/* ---- --block-private -------------------------------------------------------------------------- */

static bool may_use(const struct dlm_target *t, const struct sockaddr *address, socklen_t len)
{
    return !t->block_private || t->proxied || !dlm_address_is_private(address, len);
}

/* Sockets are ours to open in any case: an embedding program that execs must not hand them on. */
static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct dlm_target *t = context;
    int fd;

    (void)purpose;
    if (t->denied || !may_use(t, &address->addr, address->addrlen)) {
        t->refused = !t->allowed;
        return CURL_SOCKET_BAD;
    }
    t->allowed = true;
    t->refused = false;
    memcpy(&t->tried, &address->addr, MIN((size_t)address->addrlen, sizeof(t->tried)));
    fd = dlm_fd_above_stdio(
        socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol));
    t->socket_errno = fd < 0 ? errno : 0; /* libcurl does not ask why */
    return fd;
}

/* `usual` when the text is no address. */
static bool text_may_be_used(const struct dlm_target *t, const char *ip, bool usual)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, ip, &in4.sin_addr) == 1)
        return may_use(t, (const struct sockaddr *)&in4, sizeof(in4));
    if (inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1)
        return may_use(t, (const struct sockaddr *)&in6, sizeof(in6));
    return usual;
}

/* Only of a connection that others used before, and whose answers are not told apart by their streams. */
static bool is_spoiled(const struct dlm_target *t, int local_port)
{
    return t->fetch && !t->allowed && !(t->https && dlm_tls_has_streams(t->easy)) &&
           dlm_fetch_is_spoiled(t->fetch, local_port);
}

static int on_request(void *context, char *remote_ip, char *local_ip, int remote_port,
                      int local_port)
{
    struct dlm_target *t = context;

    (void)local_ip;
    (void)remote_port;
    t->refused = t->denied || !text_may_be_used(t, remote_ip, !t->block_private);
    t->spoiled = !t->refused && is_spoiled(t, local_port);
    return t->refused || t->spoiled ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* An address in the URL, which a proxy would not tell us of. */
static bool host_may_be_used(const struct dlm_target *t, const char *origin)
{
    char ip[INET6_ADDRSTRLEN];

    dlm_origin_host(origin, ip, sizeof(ip));
    return text_may_be_used(t, ip, true);
}

static void guard(CURL *easy, struct dlm_target *t)
{
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
}

/* ---- Headers and credentials ------------------------------------------------------------------- */

static int add_header(struct dlm_target *t, const char *line, dlmgr_error *e)
{
    struct curl_slist *longer = curl_slist_append(t->headers, line);

    if (!longer)
        return dlm_fail(e, DLMGR_ENOMEM, "no memory for a request");
    t->headers = longer;
    return 0;
}

/* A header that was read from where it stands: sent, and remembered as a secret. */
static int add_referred(const char *line, void *context)
{
    struct dlm_target *t = context;
    struct curl_slist *longer = curl_slist_append(t->referred, line);

    if (!longer)
        return DLMGR_ENOMEM;
    t->referred = longer;
    return add_header(t, line, NULL);
}

static int add_own(const struct dlm_opts *o, struct dlm_target *t, dlmgr_error *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < o->n_headers; i++)
        r = add_header(t, o->headers[i], e);
    for (size_t i = 0; r == 0 && i < o->n_header_refs; i++)
        r = dlm_ref_lines(o->header_refs[i], add_referred, t, e);
    t->tainted |= o->n_headers + o->n_header_refs > 0;
    return r;
}

static int set_headers(CURL *easy, const struct dlm_opts *o, bool own, const char *if_range,
                       struct dlm_target *t, dlmgr_error *e)
{
    CLEANUP_BUF struct dlm_buf line = {0};
    int r = add_header(t, "Accept-Encoding: identity", e);

    if (r == 0 && own)
        r = add_own(o, t, e);
    if (r == 0 && if_range) {
        dlm_buf_printf(&line, "If-Range: %s", if_range);
        r = line.failed ? dlm_fail(e, DLMGR_ENOMEM, "no memory for a request")
                        : add_header(t, line.data, e);
    }
    if (r == 0)
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
    return r;
}

static int set_credentials(CURL *easy, const struct dlm_opts *o, const char *user,
                           const char *password, struct dlm_target *t, dlmgr_error *e)
{
    const char *netrc = user ? NULL : o->netrc_file;
    const struct setting settings[] = {
        {CURLOPT_USERNAME, user},    {CURLOPT_PASSWORD, user && !password ? "" : password},
        {CURLOPT_NETRC_FILE, netrc}, {CURLOPT_COOKIEFILE, o->cookie_file},
        {CURLOPT_SSLCERT, o->cert},  {CURLOPT_SSLKEY, o->cert_key},
    };

    if (netrc)
        curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        t->tainted |= settings[i].value != NULL;
    return set_texts(easy, settings, ARRAY_SIZE(settings), e);
}

/* ---- The rest ---------------------------------------------------------------------------------- */

static int set_common(CURL *easy, const struct dlm_opts *o, const struct dlm_url *at,
                      const char *proxy, dlmgr_error *e)
{
    static const long families[] =
        {[0] = CURL_IPRESOLVE_WHATEVER, [4] = CURL_IPRESOLVE_V4, [6] = CURL_IPRESOLVE_V6};
    const struct setting settings[] = {
        {CURLOPT_URL, at->wire},
        {CURLOPT_USERAGENT, USER_AGENT},
        {CURLOPT_PROXY, proxy}, /* "" also keeps libcurl from looking at the environment */
        {CURLOPT_NOPROXY, ""},
        {CURLOPT_CAINFO, o->cacert},
        {CURLOPT_PROXY_CAINFO, o->cacert},
        {CURLOPT_PINNEDPUBLICKEY, o->pinned_pubkey},
    };
    size_t family = o->ip_version == 4 || o->ip_version == 6 ? (size_t)o->ip_version : 0;

    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_IPRESOLVE, families[family]);
    return set_texts(easy, settings, ARRAY_SIZE(settings), e);
}

/* The URL that the task's own credentials were given for, or a mirror of the same origin. */
static bool is_owners(const struct dlm_opts *o, size_t source, const struct dlm_url *given)
{
    struct dlm_url CLEANUP(dlm_url_clear) first = {0};

    return source == 0 || (o->n_urls > 0 && dlm_url_parse(o->urls[0], &first, NULL) == 0 &&
                           dlm_url_same_origin(&first, given));
}

/* A mirror elsewhere has what stands in its own URL and nothing else. */
static int set_userinfo(CURL *easy, const struct dlm_url *given, struct dlm_target *t,
                        dlmgr_error *e)
{
    const struct dlm_opts none = {0};

    return set_credentials(easy, &none, given->user, given->password, t, e);
}

int dlm_target_set(CURL *easy, const struct dlm_opts *o, size_t source, const struct dlm_url *given,
                   const struct dlm_url *at, const char *if_range, struct dlm_target *t,
                   dlmgr_error *e)
{
    bool home = dlm_url_same_origin(given, at), own = home && is_owners(o, source, given),
         other_user = source > 0 && given->user;
    const char *proxy = dlm_proxy_choose(o, at);
    int r;

    *t = (struct dlm_target){.easy = easy, .https = at->https, .block_private = o->block_private};
    t->denied = !host_may_be_used(t, at->origin);
    t->proxied = *proxy != '\0';
    t->tainted = strchr(proxy, '@') != NULL;
    r = set_common(easy, o, at, proxy, e);
    if (r == 0)
        r = set_headers(easy, o, own, if_range, t, e);
    if (r == 0 && own)
        r = set_credentials(easy, o, other_user ? given->user : o->user,
                            other_user ? given->password : o->password, t, e);
    else if (r == 0 && home)
        r = set_userinfo(easy, given, t, e);
    if (r == 0)
        guard(easy, t);
    return r;
}

void dlm_target_clear(struct dlm_target *t)
{
    curl_slist_free_all(TAKE_PTR(t->headers));
    curl_slist_free_all(TAKE_PTR(t->referred));
}
