/* SPDX-License-Identifier: MIT */
/*
 * url.h - what a URL means to us: the bytes to send, whose they are, and what must not be shown.
 *
 * A link may be signed over its exact bytes, so the wire form is the given text: only a raw space
 * becomes %20, the fragment goes, and user and password move out into fields of their own. Host and
 * port are read by libcurl's parser from that very wire form, so that we and the transfer can never
 * disagree about the origin. No network and no DNS here.
 *
 * An origin is scheme, host and port as one text ("https://example.org:443"): equal texts, equal
 * origins; credentials may be sent to that origin and to no other.
 */
#ifndef DLM_URL_H
#define DLM_URL_H

#include "dlmgr/bounds.h"

struct dlm_url {
    char *wire;   /* to CURLOPT_URL, with CURLOPT_PATH_AS_IS */
    char *origin; /* scheme://host:port in lower case, the port always there; IPv6 in brackets */
    char *user;   /* percent-decoded, or NULL */
    char *password;
    bool https;
};

/* Read a URL that the caller gave. DLMGR_EINVAL: e->text names the URL (redacted) and what is wrong. */
int dlm_url_parse(const char *text, struct dlm_url *ret, dlmgr_error *e);

/*
 * Where a redirect leads: location resolved against from->wire (RFC 3986, 5.2), its userinfo and fragment
 * dropped. DLMGR_EINVAL for anything but http and https, and for https to http. Loops and the
 * number of hops are the caller's to watch.
 */
int dlm_url_redirect(const struct dlm_url *from, const char *location, struct dlm_url *ret,
                     dlmgr_error *e);

/*
 * Where it leads, without the user and password: they were given for a URL, not for whatever it
 * came to. An empty one is copied as empty. DLMGR_ENOMEM: *ret is empty.
 */
int dlm_url_copy(const struct dlm_url *from, struct dlm_url *ret);

/* Free what it holds and empty it; an empty one is fine, so this also serves CLEANUP(). */
void dlm_url_clear(struct dlm_url *u);

/* Of what goes on the wire; not against those who look for collisions. */
uint64_t dlm_url_hash(const struct dlm_url *u);

bool dlm_url_same_origin(const struct dlm_url *a, const struct dlm_url *b);

/*
 * The text with userinfo and the values of signing parameters replaced by ***, also for text that is no
 * good URL. Yours: free(); NULL when out of memory. *ret_had_secret (may be NULL): something was replaced.
 */
char *dlm_url_redact(const char *text, bool *ret_had_secret);
/* More names of parameters, parted by commas or spaces, for the whole process and for good: 0, DLMGR_EINVAL, DLMGR_ELIMIT. Any thread. */
int dlm_redact_names(const char *list, dlmgr_error *e);
/* Those that were added, as such a list; "" none. Yours: free(); NULL: no memory. */
char *dlm_redact_more(void);
/* fn for each piece that dlm_url_redact() replaces, as it stands in the text. */
void dlm_url_secrets(const char *text, void (*fn)(const char *secret, size_t len, void *context),
                     void *context);

#endif
