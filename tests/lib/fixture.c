/* SPDX-License-Identifier: MIT */
/*
 * fixture.c - the fixture server as a child process, and its control URL.
 *
 * The child is spawned with posix_spawn, signals at their defaults, and has nothing of the test's
 * but stderr; its port comes through a pipe that is closed as soon as the line is read. It ends by
 * SIGTERM, and by itself when this process dies, so a test that crashes leaves nobody behind.
 *
 * A test must never hang on its fixture: every wait here has an end.
 *
 * The reader of the log is in fixture_log.c, checks of files are in fixture_file.c.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 5000, STOP_MS = 3000 };

extern char **environ;

struct fx {
    pid_t pid;
    int port;
    char *log;
    bool own_log;
};

/* ---- Starting and stopping ------------------------------------------------------------------- */

static char *binary_find(void)
{
    const char *named = getenv("FIXTURE"), *build = getenv("DLMGR_BUILD");
    char self[4096], *found = NULL;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    static const char *const below[] = {"", "../", "../../", "../../../"};

    if (named)
        return strdup(named);
    if (build && asprintf(&found, "%s/fixture-server", build) > 0)
        return found;
    self[n > 0 ? n : 0] = '\0';
    if (n > 0)
        *(strrchr(self, '/') + 1) = '\0';
    for (size_t i = 0; n > 0 && i < sizeof(below) / sizeof(below[0]); i++) {
        if (asprintf(&found, "%s%sfixture-server", self, below[i]) < 0)
            return NULL;
        if (access(found, X_OK) == 0)
            return found;
        free(found);
    }
    return NULL;
}

static int log_make(struct fx *fx, const char *given)
{
    char name[] = "/tmp/dlmgr-fixture-XXXXXX";
    int fd;

    fx->log = strdup(given ? given : name);
    if (!fx->log)
        return -ENOMEM;
    if (given)
        return 0;
    fd = mkostemp(fx->log, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    close(fd);
    fx->own_log = true;
    return 0;
}

static int child_spawn(struct fx *fx, const struct fx_options *o, int out)
{
    char *binary = binary_find(), port[16];
    const char *argv[] = {binary, "--port", port, "--log", fx->log, NULL, NULL, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t all, none;
    int rc;

    snprintf(port, sizeof(port), "%d", o->port);
    if (o->script) {
        argv[5] = "--script";
        argv[6] = o->script;
    }
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setsigmask(&attr, &none);
    rc = binary ? posix_spawn(&fx->pid, binary, &files, &attr, (char *const *)(void *)argv, environ)
                : ENOENT;
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    free(binary);
    return -rc;
}

static int port_read(struct fx *fx, int in)
{
    char line[64];
    size_t len = 0;
    struct pollfd p = {.fd = in, .events = POLLIN};

    while (len < sizeof(line) - 1 && poll(&p, 1, START_MS) == 1) {
        ssize_t n = read(in, line + len, sizeof(line) - 1 - len);
        if (n <= 0)
            return -ECHILD;
        len += (size_t)n;
        line[len] = '\0';
        if (strchr(line, '\n'))
            return sscanf(line, "port %d", &fx->port) == 1 ? 0 : -EPROTO;
    }
    return -ETIMEDOUT;
}

int fx_start(struct fx **ret_fx, const struct fx_options *options)
{
    static const struct fx_options plain = {0};
    struct fx *fx = calloc(1, sizeof(*fx));
    const struct fx_options *o = options ? options : &plain;
    int ends[2] = {-1, -1}, rc = fx ? log_make(fx, o->log) : -ENOMEM;

    if (!rc && pipe2(ends, O_CLOEXEC))
        rc = -errno;
    if (!rc)
        rc = child_spawn(fx, o, ends[1]);
    if (ends[1] >= 0)
        close(ends[1]);
    if (!rc)
        rc = port_read(fx, ends[0]);
    if (ends[0] >= 0)
        close(ends[0]);
    if (rc) {
        fprintf(stderr, "fixture-server did not start: %s\n", strerror(-rc));
        fx_stop(fx);
        return rc;
    }
    *ret_fx = fx;
    return 0;
}

static bool child_ended(pid_t pid, int ms)
{
    for (int waited = 0; waited <= ms; waited += 5) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return true;
        usleep(5000);
    }
    return false;
}

struct fx *fx_stop(struct fx *fx)
{
    if (!fx)
        return NULL;
    if (fx->pid > 0) {
        kill(fx->pid, SIGTERM);
        if (!child_ended(fx->pid, STOP_MS)) {
            kill(fx->pid, SIGKILL);
            waitpid(fx->pid, NULL, 0);
        }
    }
    if (fx->own_log)
        unlink(fx->log);
    free(fx->log);
    free(fx);
    return NULL;
}

int fx_port(const struct fx *fx)
{
    return fx->port;
}

pid_t fx_pid(const struct fx *fx)
{
    return fx->pid;
}

const char *fx_log_file(const struct fx *fx)
{
    return fx->log;
}

/* ---- URLs and scripts ------------------------------------------------------------------------ */

char *fx_url(const struct fx *fx, const char *fmt, ...)
{
    char *rest = NULL, *url = NULL;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&rest, fmt, args) < 0 ||
        asprintf(&url, "http://127.0.0.1:%d%s", fx->port, rest) < 0)
        abort();
    va_end(args);
    free(rest);
    return url;
}

/* Send the text and read the whole answer, which the server ends. */
static int http_talk(int port, const char *text, char *answer, size_t size)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = START_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;
    size_t len = strlen(text), got = 0;
    ssize_t n = 0;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) ||
        send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        rc = -errno;
    while (!rc && got + 1 < size && (n = recv(fd, answer + got, size - 1 - got, 0)) > 0)
        got += (size_t)n;
    if (n < 0)
        rc = -errno;
    answer[got] = '\0';
    close(fd);
    return rc;
}

static void path_encode(const char *path, char *out, size_t size)
{
    size_t len = 0;

    for (; *path && len + 4 < size; path++) {
        if (strchr(" %#\"", *path))
            len += (size_t)snprintf(out + len, size - len, "%%%02X", (unsigned char)*path);
        else
            out[len++] = *path;
    }
    out[len] = '\0';
}

int fx_script(const struct fx *fx, const char *path, const char *fmt, ...)
{
    char *steps = NULL, *text = NULL, coded[2048], answer[1024];
    va_list args;
    int rc;

    path_encode(path, coded, sizeof(coded));
    va_start(args, fmt);
    if (vasprintf(&steps, fmt, args) < 0)
        abort();
    va_end(args);
    if (asprintf(&text,
                 "POST /_ctl/set?path=%s HTTP/1.1\r\nHost: fixture\r\nConnection: close\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 coded, strlen(steps), steps) < 0)
        abort();
    rc = http_talk(fx->port, text, answer, sizeof(answer));
    if (!rc && strncmp(answer, "HTTP/1.1 200 ", 13) != 0) {
        fprintf(stderr, "fx_script %s: %s\n", path,
                strstr(answer, "\r\n\r\n") ? strstr(answer, "\r\n\r\n") + 4 : answer);
        rc = -EINVAL;
    }
    free(steps);
    free(text);
    return rc;
}
