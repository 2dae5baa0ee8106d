/* SPDX-License-Identifier: MIT */
/*
 * fuzz_url.c - URLs as libcurl understands them, where redirects lead, and what is shown of both.
 *
 * The first line is a URL, the second a Location, the rest a text to redact. A secret is put at the places where secrets stand, and must never
 * be seen again.
 */
#include "dlmgr/url.h"
#include "tests/fuzz/fuzz.h"

#include <curl/curl.h>

#define SECRET "Qx7%zW"

/* scheme://host:port of u as libcurl has it, in lower case; "" when it does not. */
static void origin_of(CURLU *u, char out[4096])
{
    char *scheme = NULL, *host = NULL, *port = NULL;

    out[0] = '\0';
    if (!curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
        !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
        !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
        snprintf(out, 4096, "%s://%s:%s", scheme, host, port);
    for (char *p = out; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p | 0x20);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
}

/* The same origin from its point of view, or it cannot read it at all. Of several @ it takes the first, and we, like browsers, the last. */
static void must_mean(const struct dlm_url *url, const char *base, const char *text)
{
    CURLU *u = curl_url();
    char origin[4096];

    MUST(u != NULL);
    if (strchr(text, '@') != strrchr(text, '@'))
        base = text = "";
    if ((!base || !curl_url_set(u, CURLUPART_URL, base, CURLU_ALLOW_SPACE)) &&
        !curl_url_set(u, CURLUPART_URL, text, CURLU_ALLOW_SPACE)) {
        origin_of(u, origin);
        MUST(strlen(url->origin) >= sizeof(origin) || !strcmp(origin, url->origin));
    }
    curl_url_cleanup(u);
}

static void must_be_good(const struct dlm_url *url)
{
    CLEANUP(dlm_url_clear) struct dlm_url again = {0};
    const char *host = strstr(url->wire, "://");
    dlmgr_error e;

    MUST(host && !strpbrk(url->wire, " #\t\r\n") && !memchr(host, '@', 3 + strcspn(host + 3, "/?")));
    MUST(strncmp(url->origin, url->https ? "https://" : "http://", url->https ? 8 : 7) == 0);
    MUST(dlm_url_parse(url->wire, &again, &e) == 0);
    MUST(!strcmp(again.wire, url->wire) && !strcmp(again.origin, url->origin));
    MUST(again.https == url->https && !again.user && !again.password);
    MUST(dlm_url_same_origin(url, &again) && dlm_url_same_origin(&again, url));
    must_mean(url, NULL, url->wire);
}

static void check_redirect(const struct dlm_url *from, const char *location)
{
    CLEANUP(dlm_url_clear) struct dlm_url to = {0};
    dlmgr_error e = {0};

    if (dlm_url_redirect(from, location, &to, &e) < 0) {
        MUST(e.code == DLMGR_EINVAL && e.text[0]);
        return;
    }
    must_be_good(&to);
    MUST(!to.user && !to.password && (to.https || !from->https));
    /* libcurl decodes %39 to 9 and reads that anew, as an address, when it resolves: then another spelling of the same. */
    if (!memchr(from->wire, '%', 8 + strcspn(from->wire + 8, "/?")))
        must_mean(&to, from->wire, location);
}

static void add(const char *secret, size_t len, void *sum)
{
    (void)secret;
    *(size_t *)sum += len - 3;
}

static void check_shown(const char *text)
{
    bool had = false, still = false;
    CLEANUP_FREE char *shown = dlm_url_redact(text, &had);
    CLEANUP_FREE char *twice = shown ? dlm_url_redact(shown, &still) : NULL;
    size_t hidden = 0;

    MUST(shown && twice && !strcmp(shown, twice) && had == still);
    dlm_url_secrets(text, add, &hidden);
    MUST(strlen(shown) + hidden == strlen(text));
    MUST(had || !strcmp(shown, text));
}

/* The secret in a place of its kind, with the text before or after it. */
static void check_hidden(const char *text)
{
    static const struct {
        const char *place;
        bool behind;
    } places[] = {{"?token=" SECRET, false},           {"?a=b&X-Amz-Signature=" SECRET "&c=", true},
                  {"?s%69g=" SECRET ";", true},        {"#access_token=" SECRET, false},
                  {"https://a@u:" SECRET "@", true},   {"//" SECRET "@host/", true},
                  {"http://h/?AUTH=" SECRET "#", true}};

    if (strstr(text, SECRET))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        CLEANUP_BUF struct dlm_buf b = {0};
        CLEANUP_FREE char *shown = NULL;

        dlm_buf_puts(&b, places[i].behind ? places[i].place : text);
        dlm_buf_puts(&b, places[i].behind ? text : places[i].place);
        shown = b.failed ? NULL : dlm_url_redact(b.data, NULL);
        MUST(shown && !strstr(shown, SECRET));
    }
}

FUZZ(url)
{
    struct bytes b = {data, MIN(size, 4000)};
    CLEANUP_FREE char *text = next_text(&b), *location = next_text(&b), *shown = next_text(&b);
    CLEANUP(dlm_url_clear) struct dlm_url url = {0};
    dlmgr_error e = {0};

    if (dlm_url_parse(text, &url, &e) == 0) {
        must_be_good(&url);
        must_mean(&url, NULL, text);
        check_redirect(&url, location);
    } else {
        MUST(e.code == DLMGR_EINVAL && e.text[0]);
    }
    check_shown(text);
    check_shown(shown);
    check_hidden(shown);
}
