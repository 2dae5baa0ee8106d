/* SPDX-License-Identifier: MIT */
/*
 * proxy.h - which proxy a request goes through. Pure.
 *
 * Decided by us and told to libcurl as a fact, never looked up in the environment of this process: a task means the same
 * whoever runs it. It must also be known here, because --block-private allows a proxy's address and no other.
 */
#ifndef DLM_PROXY_H
#define DLM_PROXY_H

#include "dlmgr/request.h"
#include "dlmgr/url.h"

/* A proxy's URL, as long-lived as o; "" is none. */
const char *dlm_proxy_choose(const struct dlm_opts *o, const struct dlm_url *at);

/*
 * Is the host of an origin in the list? Commas or spaces part the entries: `*`, a name that stands for itself and all below
 * it (a dot before it changes nothing), an address, or a network as ADDRESS/BITS. What cannot be read matches nothing.
 */
bool dlm_proxy_is_exempt(const char *origin, const char *list);

#endif
