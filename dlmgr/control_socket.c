/* SPDX-License-Identifier: MIT */
/*
 * control_socket.c - making, adopting and giving back HOME/control.sock: see control_socket.h.
 *
 * We hold the lock. What we may find:
 *
 *     control.sock    .aside     what it means                                we make our own       a manager gave us one
 *     nothing, dead   dead, no   no manager; an owner was killed              in its place          its file was removed: make our own
 *     nothing, dead   alive      an owner that had moved it was killed        in its place          move it back, listen on it
 *     alive           any        a service manager listens                    move it aside         listen on it
 *
 * Alive is asked for by connecting with a socket of another type: the kernel then says EPROTOTYPE for one that somebody has
 * bound, ECONNREFUSED for one that nobody has, and the other side notices nothing. A real connection would make a service manager start its service.
 */
#include "dlmgr/control_socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* The home's own path may be longer than a socket's may be. */
static struct sockaddr_un address_of(const struct dlm_home *home, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", home->fd, name);
    return address;
}

bool dlm_socket_alive(const struct dlm_home *home, const char *name)
{
    struct sockaddr_un address = address_of(home, name);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
                       errno == EPROTOTYPE);
}

static bool is_socket(const struct dlm_home *home, const char *name)
{
    struct stat st;

    return fstatat(home->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode);
}

static int remember(struct dlm_socket *s, dlmgr_error *e)
{
    struct stat st;

    if (fstatat(s->home->fd, DLM_SOCKET, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return dlm_fail_errno(e, DLMGR_EHOME, DLM_SOCKET, "cannot look at `%s/" DLM_SOCKET "`",
                              s->home->path);
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    return 0;
}

/* ---- Our own -------------------------------------------------------------------------------------- */

/* We hold the lock, so a socket that stands there is a dead owner's or a service manager's. */
static int make_room(const struct dlm_home *home, dlmgr_error *e)
{
    struct stat st;
    int r;

    if (fstatat(home->fd, DLM_SOCKET, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0
                               : dlm_fail_errno(e, DLMGR_EHOME, DLM_SOCKET,
                                                "cannot look at `%s/" DLM_SOCKET "`", home->path);
    if (!S_ISSOCK(st.st_mode))
        return dlm_fail(e, DLMGR_EHOME, "`%s/" DLM_SOCKET "` is not a socket: move it away",
                        home->path);
    r = dlm_socket_alive(home, DLM_SOCKET)
            ? renameat(home->fd, DLM_SOCKET, home->fd, DLM_SOCKET_ASIDE)
            : unlinkat(home->fd, DLM_SOCKET, 0);
    if (r < 0 && errno != ENOENT)
        return dlm_fail_errno(e, DLMGR_EHOME, DLM_SOCKET,
                              "cannot remove the old `%s/" DLM_SOCKET "`", home->path);
    return 0;
}

static int make(const struct dlm_home *home, struct dlm_socket *ret, dlmgr_error *e)
{
    struct sockaddr_un address = address_of(home, DLM_SOCKET);
    struct dlm_socket s = {.home = home, .made = true};
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = make_room(home, e);

    if (r < 0)
        return r;
    /* Nobody can connect before listen(), so the mode is right in time, whatever the umask. */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        fchmodat(home->fd, DLM_SOCKET, 0600, 0) < 0)
        return dlm_fail_errno(e, DLMGR_EHOME, DLM_SOCKET, "cannot make `%s/" DLM_SOCKET "`",
                              home->path);
    r = remember(&s, e);
    if (r < 0)
        return r;
    *ret = s;
    return TAKE_FD(fd);
}

/* ---- A service manager's ---------------------------------------------------------------------------- */

static bool option_is(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

/* Does the path that it was bound to lead to our home's control.sock? */
static bool is_of_home(const struct dlm_home *home, struct sockaddr_un *address)
{
    char *slash = strrchr(address->sun_path, '/');
    struct stat theirs, ours;

    if (address->sun_path[0] != '/' || strcmp(slash, "/" DLM_SOCKET) != 0)
        return false;
    slash[slash == address->sun_path] = '\0';
    return stat(address->sun_path, &theirs) == 0 && fstat(home->fd, &ours) == 0 &&
           theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

static int check(const struct dlm_home *home, int fd, dlmgr_error *e)
{
    struct sockaddr_un address = {0}, copy;
    socklen_t len = sizeof(address) - 1;

    if (!option_is(fd, SO_DOMAIN, AF_UNIX) || !option_is(fd, SO_TYPE, SOCK_STREAM) ||
        !option_is(fd, SO_ACCEPTCONN, 1))
        return dlm_fail(e, DLMGR_EINVAL,
                        "listen_fd %d is not a listening stream socket of the Unix domain: hand over "
                        "one of ListenStream=%s/" DLM_SOCKET,
                        fd, home->path);
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return dlm_fail_errno(e, DLMGR_EINVAL, NULL, "cannot tell the name of listen_fd %d", fd);
    copy = address;
    if (!is_of_home(home, &copy))
        return dlm_fail(e, DLMGR_EHOME,
                        "listen_fd %d is bound to `%s`, and this home is `%s`: make ListenStream= its "
                        "control.sock",
                        fd, address.sun_path[0] ? address.sun_path : "no path", home->path);
    return 0;
}

static int adopt(const struct dlm_home *home, int listen_fd, struct dlm_socket *ret, dlmgr_error *e)
{
    struct dlm_socket s = {.home = home};
    CLEANUP_FD int fd = -1;
    int r;

    if (!dlm_socket_alive(home, DLM_SOCKET) &&
        renameat(home->fd, DLM_SOCKET_ASIDE, home->fd, DLM_SOCKET) < 0)
        return dlm_fail_errno(e, DLMGR_EHOME, DLM_SOCKET,
                              "cannot move `%s/" DLM_SOCKET_ASIDE "` back", home->path);
    fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return dlm_fail_errno(e, DLMGR_ENOMEM, NULL, "cannot duplicate listen_fd %d", listen_fd);
    r = remember(&s, e);
    if (r < 0)
        return r;
    *ret = s;
    return TAKE_FD(fd);
}

/* ---- Both --------------------------------------------------------------------------------------------- */

int dlm_socket_open(const struct dlm_home *home, int listen_fd, const struct dlm_log *log,
                    struct dlm_socket *ret, dlmgr_error *e)
{
    int r = listen_fd ? check(home, listen_fd, e) : 0;

    if (r < 0)
        return r;
    if (!listen_fd)
        return make(home, ret, e);
    if (dlm_socket_alive(home, DLM_SOCKET) || dlm_socket_alive(home, DLM_SOCKET_ASIDE))
        return adopt(home, listen_fd, ret, e);
    dlm_log(log, DLMGR_LOG_WARNING,
            "the service manager's `%s/" DLM_SOCKET
            "` was removed: making another; the manager hears "
            "nothing before its socket unit is started anew",
            home->path);
    return make(home, ret, e);
}

/* As long as our descriptor is open no other file gets its inode's number. */
bool dlm_socket_stands(const struct dlm_socket *s)
{
    struct stat st;

    return fstatat(s->home->fd, DLM_SOCKET, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == s->dev &&
           st.st_ino == s->ino;
}

void dlm_socket_remove(const struct dlm_socket *s)
{
    if (!s->made || !dlm_socket_stands(s))
        return;
    /* In one step, so that whoever connects meanwhile finds one of the two. */
    if (dlm_socket_alive(s->home, DLM_SOCKET_ASIDE) &&
        renameat(s->home->fd, DLM_SOCKET_ASIDE, s->home->fd, DLM_SOCKET) == 0)
        return;
    unlinkat(s->home->fd, DLM_SOCKET, 0);
    if (is_socket(s->home, DLM_SOCKET_ASIDE))
        unlinkat(s->home->fd, DLM_SOCKET_ASIDE, 0);
}
