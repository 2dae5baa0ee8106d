/* SPDX-License-Identifier: MIT */
/*
 * site.c - a real nginx with certificates: see site.h.
 *
 * `nginx.sh run` becomes nginx itself, so the child's pid is the server's and its end is waited for. Ports are printed when all of them
 * answer. When somebody took a port in between, nginx does not start and another run tries other ports.
 */
#include "tests/lib/site.h"

#include "tests/lib/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const names[SITE_PORTS] = {"http",       "https",  "tls1",
                                              "expired",    "notyet", "wronghost",
                                              "selfsigned", "client", "proxy"};

static int read_ports(struct site *s, FILE *from)
{
    char name[32];
    int port, n = 0;

    while (n < SITE_PORTS && fscanf(from, "%31s %d", name, &port) == 2)
        for (int i = 0; i < SITE_PORTS; i++)
            if (!strcmp(name, names[i])) {
                s->port[i] = port;
                n++;
            }
    return n;
}

static void run_child(const struct site *s, int behind, int out)
{
    char port[16];

    snprintf(port, sizeof(port), "%d", behind);
    dup2(out, STDOUT_FILENO);
    execl("/bin/bash", "bash", "fixtures/nginx.sh", "run", s->dir, s->certs, port, (char *)NULL);
    _exit(127);
}

static int start_once(struct site *s, int behind)
{
    int out[2], n;
    FILE *from;

    CU_ASSERT_EQUAL_FATAL(pipe2(out, O_CLOEXEC), 0);
    s->pid = fork();
    if (s->pid == 0)
        run_child(s, behind, out[1]);
    close(out[1]);
    from = fdopen(out[0], "re");
    n = read_ports(s, from);
    fclose(from);
    return n;
}

void site_start(struct site *s, const char *dir, int behind)
{
    char command[700];
    int n = 0;

    *s = (struct site){0};
    snprintf(s->dir, sizeof(s->dir), "%.200s/nginx", dir);
    snprintf(s->certs, sizeof(s->certs), "%.200s/certs", dir);
    snprintf(command, sizeof(command), "fixtures/certs.sh %s", s->certs);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    for (int tries = 0; n < SITE_PORTS && tries < 5; tries++) {
        n = start_once(s, behind);
        if (n < SITE_PORTS)
            site_stop(s);
    }
    CHECK_INT(n, SITE_PORTS);
    if (n < SITE_PORTS)
        CU_FAIL_FATAL("nginx does not start");
}

void site_stop(struct site *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGTERM);
        waitpid(s->pid, NULL, 0);
    }
    s->pid = 0;
}

const char *site_cert(const struct site *s, const char *name)
{
    static char paths[4][400];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", s->certs, name);
    return path;
}

const char *site_logged(const struct site *s, const char *uri)
{
    static char found[2000];
    char line[2000], needle[600];
    FILE *f;

    snprintf(line, sizeof(line), "%s/access.log", s->dir);
    snprintf(needle, sizeof(needle), "\t%s\t", uri);
    found[0] = '\0';
    f = fopen(line, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    while (fgets(line, sizeof(line), f))
        if (strstr(line, needle)) {
            snprintf(found, sizeof(found), "%s", line);
            found[strcspn(found, "\n")] = '\0';
        }
    fclose(f);
    return found;
}
