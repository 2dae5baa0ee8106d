/* SPDX-License-Identifier: MIT */
/*
 * redact.c - a URL as it may be shown: see url.h.
 *
 * The text need not be a good URL: what stands in a bad list line or in a redirect that we refuse is shown, too. So this
 * looks for the places where secrets stand, and does not parse: all up to the last @ of the authority, and the values
 * of known parameters after the first ? or #. Where it is unsure (out of memory while it reads a name) it hides.
 */
#include "dlmgr/names.h"
#include "dlmgr/url.h"

#include <strings.h>

/* Parameters whose values open a door; compared without case, percent-decoded. */
/* clang-format off */
static const char *const secret_names[] = {
    "access_token", "accesskeyid", "api_key", "api-key", "apikey", "auth", "auth_token",
    "authorization", "awsaccesskeyid", "client_secret", "googleaccessid", "hdnea", "hdnts",
    "id_token", "jwt", "key-pair-id", "ossaccesskeyid", "passwd", "password", "policy",
    "private_token", "refresh_token", "secret", "security-token", "sig", "sign", "signature",
    "token", "__gda__", "__token__", "x-amz-credential", "x-amz-security-token",
    "x-amz-signature", "x-goog-credential", "x-goog-signature", "x-oss-credential",
    "x-oss-security-token", "x-oss-signature", "q-signature",
};
/* clang-format on */

static bool is_secret(const char *name, size_t len)
{
    CLEANUP_FREE char *plain = dlm_strndup(name, len);

    if (!plain)
        return true;
    plain[dlm_percent_decode(plain, len, NULL)] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(secret_names); i++)
        if (strcasecmp(plain, secret_names[i]) == 0)
            return true;
    return false;
}

/* Where the authority begins: behind "scheme://" or "//"; else at the start, since it may be one. */
static const char *find_authority(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    if (strncmp(text, "//", 2) == 0)
        return text + 2;
    return strncmp(text + n, "://", 3) == 0 ? text + n + 3 : text;
}

/* One name=value up to the next separator; returns where that is. */
static const char *redact_parameter(const char *p, struct dlm_buf *b, bool *found)
{
    size_t len = strcspn(p, "&;?#"), name = strcspn(p, "=&;?#");

    if (name + 1 < len && is_secret(p, name)) {
        *found = true;
        dlm_buf_add(b, p, name + 1);
        dlm_buf_puts(b, "***");
    } else {
        dlm_buf_add(b, p, len);
    }
    return p + len;
}

char *dlm_url_redact(const char *text, bool *ret_had_secret)
{
    CLEANUP_BUF struct dlm_buf b = {0};
    const char *host = find_authority(text);
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));
    const char *query = host + strcspn(host, "?#");
    bool found = at && at > host;
    char *shown;

    dlm_buf_add(&b, text, (size_t)(host - text));
    if (found) {
        dlm_buf_puts(&b, "***");
        host = at;
    }
    dlm_buf_add(&b, host, (size_t)(query - host));
    while (*query) {
        dlm_buf_add(&b, query, 1);
        query = redact_parameter(query + 1, &b, &found);
    }
    shown = dlm_buf_take(&b);
    if (shown && ret_had_secret)
        *ret_had_secret = found;
    return shown;
}
