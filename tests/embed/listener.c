/* SPDX-License-Identifier: MIT */
/*
 * listener.c - listener HOME SESSION: an application that prints the number of each event of a session, for tests/upgrade.sh.
 *
 * It acknowledges what it printed, and asks again when the owner went before it answered. Any other error ends it, with the text on
 * stderr.
 */
#include "dlmgr.h"

#include <poll.h>
#include <stdio.h>

enum { LOOK_MS = 100 };

/* Print what came after *after, and acknowledge that. */
static int look(dlmgr *handle, const char *session, int64_t *after, dlmgr_error *error)
{
    const dlmgr_event *event;
    dlmgr_event_list *list;
    size_t i;
    int r = dlmgr_events(handle, session, *after, 0, &list, error);

    if (r < 0)
        return r;
    for (i = 0; (event = dlmgr_event_list_at(list, i)); i++)
        printf("%lld\n", (long long)(*after = event->seq));
    fflush(stdout);
    dlmgr_event_list_free(list);
    do
        r = i ? dlmgr_ack_to(handle, session, *after, error) : 0;
    while (r == DLMGR_ELINK);
    return r;
}

int main(int argc, char **argv)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    dlmgr_error error = {0};
    dlmgr *handle = NULL;
    int64_t after = -1;
    int r;

    if (argc != 3)
        return 2;
    options.home = argv[1];
    r = dlmgr_open(DLMGR_EITHER, &options, &handle, &error);
    while (r >= 0 || r == DLMGR_ELINK) {
        r = look(handle, argv[2], &after, &error);
        poll(NULL, 0, LOOK_MS);
    }
    fprintf(stderr, "%s\n", error.text);
    dlmgr_close(handle);
    return -r;
}
