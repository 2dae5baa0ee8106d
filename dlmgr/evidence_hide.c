/* SPDX-License-Identifier: MIT */
/*
 * evidence_hide.c - the secrets that a request may have carried and that its options do not hold: see evidence.h.
 *
 * Cookies and netrc are read by libcurl. The cookies it tells; the entries of netrc are read here once more, when there is a failure to tell of, with
 * the words that libcurl's own reader knows: after `machine NAME` (the request's host) or `default` those behind login, password and account.
 * A redirect's URL may be signed by the server for us alone.
 */
#include "dlmgr/evidence.h"

#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#define NETRC_MAX KIB(256)

/* ---- netrc ------------------------------------------------------------------------------------------ */

/* The next word into `word`, without quotes and escapes; false: there is none. Moves *at. */
static bool next_word(const char **at, char *word, size_t room)
{
    const char *p = *at + strspn(*at, " \t\r\n");
    bool quoted = *p == '"';
    size_t n = 0;

    if (!*p)
        return false;
    for (p += quoted; *p && (quoted ? *p != '"' : !strchr(" \t\r\n", *p)); p++) {
        p += quoted && *p == '\\' && p[1];
        if (n + 1 < room)
            word[n++] = *p;
    }
    word[n] = '\0';
    *at = p + (quoted && *p);
    return true;
}

void dlm_hide_netrc(struct dlm_hide *h, const char *text, const char *host)
{
    char word[512], value[1024], login[1024] = "", password[1024] = "";
    bool ours = false;

    while (next_word(&text, word, sizeof(word))) {
        bool machine = !strcasecmp(word, "machine"), user = !strcasecmp(word, "login"),
             secret = !strcasecmp(word, "password") || !strcasecmp(word, "account"),
             any = !strcasecmp(word, "default");

        if (machine || any)
            login[0] = password[0] = '\0';
        ours |= any;
        if ((!machine && !user && !secret) || !next_word(&text, value, sizeof(value)))
            continue;
        if (machine)
            ours = !strcasecmp(value, host);
        else
            memcpy(user ? login : password, value, sizeof(value));
        if (ours && *password)
            dlm_hide_user(h, login, password);
    }
}

/* Only what libcurl may have read, too; what cannot be read has not been sent. */
static void hide_netrc_file(struct dlm_hide *h, const char *path, const char *host)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    CLEANUP_FREE char *text = NULL;
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    text = dlm_alloc((size_t)NETRC_MAX + 1);
    n = text ? pread(fd, text, (size_t)NETRC_MAX, 0) : -1;
    h->failed |= n < 0;
    if (n < 0)
        return;
    text[n] = '\0';
    dlm_hide_netrc(h, text, host);
}

/* ---- Cookies ---------------------------------------------------------------------------------------- */

/* A line of a jar: domain, six more fields, the value last. */
static void hide_cookie(struct dlm_hide *h, const char *line, const char *host)
{
    static const char only[] = "#HttpOnly_";
    const char *value = strrchr(line, '\t');
    size_t len, n = strlen(host);

    if (!strncmp(line, only, sizeof(only) - 1))
        line += sizeof(only) - 1;
    line += *line == '.';
    len = strcspn(line, "\t");
    if (value && len <= n && !strncasecmp(line, host + n - len, len))
        dlm_hide_text(h, value + 1);
}

static void hide_cookies(struct dlm_hide *h, CURL *easy, const char *host)
{
    struct curl_slist *list = NULL;

    if (!easy || curl_easy_getinfo(easy, CURLINFO_COOKIELIST, &list) != CURLE_OK)
        return;
    for (const struct curl_slist *l = list; l; l = l->next)
        hide_cookie(h, l->data, host);
    curl_slist_free_all(list);
}

/* ---- All of it -------------------------------------------------------------------------------------- */

void dlm_scene_hide(const struct dlm_scene *s, struct dlm_hide *ret)
{
    char host[512];

    dlm_origin_host(s->at->origin ? s->at->origin : "", host, sizeof(host));
    dlm_hide_opts(ret, s->opts);
    dlm_hide_url(ret, s->at->wire);
    for (const struct curl_slist *l = s->referred; l; l = l->next)
        dlm_hide_header(ret, l->data);
    hide_cookies(ret, s->easy, host);
    if (s->opts->netrc_file)
        hide_netrc_file(ret, s->opts->netrc_file, host);
}

void dlm_scene_words(const struct dlm_scene *s, char *words, size_t room)
{
    struct dlm_hide hide = {0};
    size_t n = 0;
    char *text;

    dlm_scene_hide(s, &hide);
    text = dlm_hide(&hide, words, strlen(words), &n);
    snprintf(words, room, "%s", text ? text : "out of memory");
    free(text);
    dlm_hide_clear(&hide);
}
