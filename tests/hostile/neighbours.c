/* SPDX-License-Identifier: MIT */
/*
 * neighbours.c - what others do at control.sock, and what must hold all the while. Prints a line a case, then the sum; exits with 1 when
 * something did not hold.
 *
 *     neighbours [FILTER]          NEIGHBOURS_SEED=N repeats what is random
 *
 * An owner in a process of its own; a bystander thread that asks it again and again over a connection of its own; and the neighbour, who misbehaves for a while, by a row
 * of the table. What must hold for each: the bystander is answered every time and within ten seconds (how fast is printed), the owner lives and stops when it
 * is asked, its memory grew by no more than MEMORY_MAX, and when the neighbour has gone its descriptors are those from before.
 */
#include "dlmgr.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CASE_MS = 400, GIVE_UP_MS = 10000, MEMORY_MAX = 600 << 10 /* KiB */, SAMPLES = 1 << 16 };

struct world {
    char home[200];
    pid_t owner;
    int to_owner;
    atomic_bool stop;
    pthread_t bystander;
    int us[SAMPLES];
    int n;
    const char *failed; /* of the bystander */
    const char *wrong;  /* of the neighbour: what should have held */
};

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* ---- The owner ------------------------------------------------------------------------------------- */

static void owner_run(const char *home, int from, int ready)
{
    dlmgr_options o = DLMGR_INIT(dlmgr_options);
    dlmgr_error e;
    dlmgr *h;
    char byte;

    o.home = home;
    if (dlmgr_open(DLMGR_OWN, &o, &h, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        _exit(1);
    }
    if (write(ready, "r", 1) != 1 || read(from, &byte, 1) < 0)
        _exit(1);
    dlmgr_close(h);
    _exit(0);
}

static bool owner_start(struct world *w)
{
    int to[2], ready[2];
    char byte;
    bool good;

    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0)
        return false;
    w->owner = fork();
    if (w->owner == 0) {
        close(to[1]);
        owner_run(w->home, to[0], ready[1]);
    }
    close(to[0]);
    close(ready[1]);
    w->to_owner = to[1];
    good = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    return good;
}

static bool owner_stop(struct world *w)
{
    int status = -1;

    close(w->to_owner);
    for (int i = 0; i < GIVE_UP_MS / 10; i++) {
        if (waitpid(w->owner, &status, WNOHANG) == w->owner)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        usleep(10000);
    }
    kill(w->owner, SIGKILL);
    waitpid(w->owner, &status, 0);
    return false;
}

static long owner_memory(const struct world *w) /* KiB, now */
{
    char path[64], line[200];
    long kib = -1;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)w->owner);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

/* From now on the peak counts anew. */
static void owner_memory_reset(const struct world *w)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)w->owner);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "5", 1) != 1)
        perror(path);
    if (fd >= 0)
        close(fd);
}

static int owner_files(const struct world *w)
{
    char path[64];
    DIR *dir;
    int n = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)w->owner);
    dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

/* ---- Talking ---------------------------------------------------------------------------------------- */

static int enter(const struct world *w)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = GIVE_UP_MS / 1000};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%.90s/control.sock", w->home);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* As much as goes within the case's time; how much that was. */
static size_t push(int fd, const void *data, size_t len, int64_t until)
{
    const char *p = data;
    size_t left = len;

    while (left > 0 && now_us() < until) {
        ssize_t n = send(fd, p, left, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN)
            break;
        if (n < 0)
            usleep(500);
        p += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    return len - left;
}

static bool say(int fd, const char *fmt, ...)
{
    char text[1000];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return push(fd, text, (size_t)n, now_us() + GIVE_UP_MS * 1000) == (size_t)n;
}

/* A line's beginning in text, all of it read; false: the end, or nothing for ten seconds. */
static bool hear(int fd, char *text, size_t room)
{
    static _Thread_local char in[1 << 16];
    size_t used = 0;

    for (;;) {
        ssize_t n = recv(fd, in, sizeof(in), MSG_PEEK), take;
        char *end;

        if (n <= 0)
            return false;
        end = memchr(in, '\n', (size_t)n);
        take = end ? end - in + 1 : n;
        if (recv(fd, in, (size_t)take, 0) != take)
            return false;
        for (ssize_t i = 0; i < take && used + 1 < room; i++)
            text[used++] = in[i];
        text[used] = '\0';
        if (end)
            return true;
    }
}

/* What comes is thrown away; false: the other side has closed. */
static bool drain(int fd)
{
    char bytes[1 << 16];
    ssize_t n;

    while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        continue;
    return n < 0 && errno == EAGAIN;
}

static void *bystander(void *context)
{
    static const char *const calls[] = {
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\",\"params\":{\"limit\":10}}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"count\"}\n",
    };
    struct world *w = context;
    int fd = enter(w);
    char answer[200];

    if (fd < 0)
        w->failed = "the bystander cannot come in";
    for (int i = 0; !w->failed && !atomic_load(&w->stop); i++) {
        int64_t began = now_us();

        if (!say(fd, "%s", calls[i % 3]) || !hear(fd, answer, sizeof(answer)))
            w->failed = "the bystander was not answered";
        else if (!strstr(answer, "\"result\""))
            w->failed = "the bystander was refused";
        else if (w->n < SAMPLES)
            w->us[w->n++] = (int)(now_us() - began);
        usleep(2000);
    }
    close(fd);
    return NULL;
}

/* ---- Neighbours --------------------------------------------------------------------------------------- */

static void silent(struct world *w, int64_t until)
{
    int fds[50];

    for (int i = 0; i < 50; i++)
        fds[i] = enter(w);
    while (now_us() < until)
        usleep(1000);
    for (int i = 0; i < 50; i++)
        close(fds[i]);
}

static void slow(struct world *w, int64_t until)
{
    static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n";
    int fd = enter(w);
    char answer[100];

    for (size_t i = 0; i < sizeof(call) - 1; i++) {
        push(fd, call + i, 1, until);
        usleep(3000);
    }
    if (!hear(fd, answer, sizeof(answer)) || !strstr(answer, "result"))
        w->wrong = "who says it slowly is answered, too";
    close(fd);
}

static void half_open(struct world *w, int64_t until)
{
    int fds[20];

    for (int i = 0; i < 20; i++) {
        fds[i] = enter(w);
        say(fds[i], "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"wait\"}\n{\"jsonrpc\"");
        shutdown(fds[i], i % 2 ? SHUT_WR : SHUT_RD);
    }
    while (now_us() < until)
        usleep(1000);
    for (int i = 0; i < 20; i++)
        close(fds[i]);
}

static void comes_and_goes(struct world *w, int64_t until)
{
    while (now_us() < until) {
        int fd = enter(w);

        if (rand() % 2)
            say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}\n");
        close(fd);
    }
}

/* One thing again and again, from so many connections, until each is closed or the time is over. */
static void repeat(struct world *w, int64_t until, int n, bool listen, const void *data, size_t len)
{
    int fds[32];
    int open = n;

    for (int i = 0; i < n; i++)
        fds[i] = enter(w);
    while (open > 0 && now_us() < until)
        for (int i = 0; i < n; i++) {
            if (fds[i] < 0)
                continue;
            if (push(fds[i], data, len, now_us() + 20000) < len || (listen && !drain(fds[i]))) {
                if (listen && !drain(fds[i])) {
                    close(fds[i]);
                    fds[i] = -1;
                    open--;
                }
            }
        }
    for (int i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void filled(struct world *w, int64_t until, char with, bool ended)
{
    size_t len = 5 << 20;
    char *data = malloc(len);
    char answer[200] = "";
    int fd = enter(w);

    memset(data, with, len);
    if (ended)
        data[1 << 20] = '\n';
    push(fd, data, ended ? (1 << 20) + 1 : len, until + 5000000);
    if (!hear(fd, answer, sizeof(answer)) || !strstr(answer, "-32700"))
        w->wrong = "it is told what is wrong";
    close(fd);
    repeat(w, until, 4, true, data, len);
    free(data);
}

static void oversized(struct world *w, int64_t until)
{
    filled(w, until, 'x', false);
}

static void nul_filled(struct world *w, int64_t until)
{
    filled(w, until, '\0', true);
}

static void deep(struct world *w, int64_t until)
{
    filled(w, until, '[', true);
}

static void endless(struct world *w, int64_t until)
{
    char *data = malloc(1 << 20);

    memset(data, ' ', 1 << 20);
    repeat(w, until, 8, false, data, 1 << 20);
    free(data);
}

/* Lines that are never whole, more of them than the owner keeps: some of those who say them are sent away. */
static void unfinished(struct world *w, int64_t until)
{
    enum { N = 32, LEN = 3 << 20 };
    char *data = malloc(LEN), answer[200];
    int fds[N], told = 0;

    memset(data, ' ', LEN);
    for (int i = 0; i < N; i++)
        fds[i] = enter(w);
    for (int i = 0; i < N; i++)
        push(fds[i], data, LEN, until + GIVE_UP_MS * 1000);
    for (int i = 0; i < N; i++) {
        struct pollfd p = {.fd = fds[i], .events = POLLIN};

        told += poll(&p, 1, 100) == 1 && hear(fds[i], answer, sizeof(answer)) &&
                strstr(answer, "control-bytes");
        close(fds[i]);
    }
    if (told < N - (64 << 20) / LEN - 1)
        w->wrong = "no more than 64 MiB are kept";
    free(data);
}

static void binary(struct world *w, int64_t until)
{
    char data[1 << 16];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)rand();
    repeat(w, until, 8, true, data, sizeof(data));
}

static void invalid(struct world *w, int64_t until)
{
    static const char text[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"status\"}\n[]\n{}\nnull\n"
        "{\"jsonrpc\":\"2.0\",\"id\":1e999,\"method\":\"status\"}\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"act\",\"params\":{\"action\":\"x\"}}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show\",\"params\":{\"id\":99999999}}\n";

    repeat(w, until, 8, true, text, sizeof(text) - 1);
}

/* A JSON line of a MiB that is wrong at its very end. */
static void long_nonsense(struct world *w, int64_t until)
{
    size_t len = 1 << 20;
    char *data = malloc(len);

    memset(data, '1', len);
    for (size_t i = 1; i < len; i += 2)
        data[i] = ',';
    data[0] = '[';
    data[len - 1] = '\n';
    repeat(w, until, 8, true, data, len);
    free(data);
}

static void does_not_read(struct world *w, int64_t until)
{
    static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}\n";

    repeat(w, until, 16, false, call, sizeof(call) - 1);
}

static void asks_without_end(struct world *w, int64_t until)
{
    static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n"
                               "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"count\"}\n";

    repeat(w, until, 16, true, call, sizeof(call) - 1);
}

static void idlers(struct world *w, int64_t until)
{
    int fds[320];
    char answer[200];
    int closed = 0, fd;

    for (int i = 0; i < 320; i++)
        fds[i] = enter(w);
    while (now_us() < until)
        usleep(1000);
    for (int i = 0; i < 320; i++)
        closed += fds[i] < 0 || !drain(fds[i]);
    if (closed < 320 - 256)
        w->wrong = "there are at most 256 connections";
    fd = enter(w);
    if (!say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n") ||
        !hear(fd, answer, sizeof(answer)) || !strstr(answer, "result"))
        w->wrong = "who comes after the idle ones is answered";
    close(fd);
    for (int i = 0; i < 320; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void waits(struct world *w, int64_t until)
{
    size_t len = 1 << 20, n;
    char *data = malloc(len + 100);

    n = (size_t)sprintf(data,
                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"wait\",\"params\":{\"ids\":[1");
    for (int i = 0; i < 9999; i++)
        n += (size_t)sprintf(data + n, ",1");
    n += (size_t)sprintf(data + n, "]}}\n");
    repeat(w, until, 16, true, data, n);
    free(data);
}

/* Batches as large as a line may be, from several at once. */
static void batches(struct world *w, int64_t until)
{
    size_t len = 3 << 20, n;
    char *data = malloc(len + 1000);

    n = (size_t)sprintf(data,
                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"add\",\"params\":{\"tasks\":[");
    for (int i = 0; i < 5000 && n < len; i++)
        n += (size_t)sprintf(data + n,
                             "%s{\"paused\":true,\"dir\":\"/\",\"url\":\"http://127.0.0.1:9/%0400d\"}",
                             i ? "," : "", i);
    n += (size_t)sprintf(data + n, "]}}\n");
    repeat(w, until, 6, true, data, n);
    free(data);
}

/* Somebody else of this machine, to whom the modes would let in. Only root can be somebody else. */
static void stranger(struct world *w, int64_t until)
{
    char path[300];
    int status = 0, home = open(w->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    pid_t pid;

    (void)until;
    snprintf(path, sizeof(path), "%s/control.sock", w->home);
    if (geteuid() != 0 || chmod(w->home, 0755) < 0 || chmod(path, 0666) < 0) {
        close(home);
        return;
    }
    pid = fork();
    if (pid == 0) {
        char answer[200];
        int fd;

        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            _exit(2);
        /* By the descriptor: what stands above the home may not let him in. */
        snprintf(w->home, sizeof(w->home), "/proc/self/fd/%d", home);
        fd = enter(w);
        if (fd < 0)
            _exit(3);
        say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n");
        _exit(hear(fd, answer, sizeof(answer)) ? 1 : 0);
    }
    waitpid(pid, &status, 0);
    close(home);
    chmod(w->home, 0700);
    chmod(path, 0600);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        w->wrong = "another user is sent away without an answer";
}

static const struct neighbour {
    const char *name, *does;
    void (*act)(struct world *w, int64_t until);
    int ms;
} neighbours[] = {
    {"nobody", "the bystander alone", NULL, CASE_MS},
    {"silent", "50 connect and say nothing", silent, CASE_MS},
    {"slow", "says a byte each 3 ms", slow, CASE_MS},
    {"half-open", "20 close one direction with a call unanswered and half a line", half_open,
     CASE_MS},
    {"comes-and-goes", "connects and closes, again and again", comes_and_goes, CASE_MS},
    {"oversized", "lines of 5 MiB", oversized, CASE_MS},
    {"deep", "a MiB of [", deep, CASE_MS},
    {"nul-filled", "a MiB of NUL", nul_filled, CASE_MS},
    {"endless", "a line that never ends, from 8", endless, CASE_MS},
    {"unfinished", "3 MiB of a line that is never whole, from 32", unfinished, CASE_MS},
    {"binary", "random bytes, from 8", binary, CASE_MS},
    {"invalid", "what is JSON and no call, from 8", invalid, CASE_MS},
    {"long-nonsense", "a MiB that is no JSON at its end, from 8", long_nonsense, CASE_MS},
    {"does-not-read", "lists from 16 that read no answer", does_not_read, CASE_MS},
    {"asks-without-end", "calls from 16, as fast as they are answered", asks_without_end, CASE_MS},
    {"idlers", "320 idle connections", idlers, CASE_MS},
    {"waits", "waits for 10,000 ids, from 16", waits, CASE_MS},
    {"batches", "adds of 2 MiB from 6 at once", batches, 3 * CASE_MS},
    {"stranger", "another user, though the modes let him", stranger, CASE_MS},
};

/* ---- The table ------------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static double percentile(struct world *w, int percent)
{
    size_t at = w->n ? (size_t)(w->n - 1) * (size_t)percent / 100 : 0;

    return w->n ? (double)w->us[at] / 1000 : 0;
}

static bool files_are_back(const struct world *w, int before)
{
    for (int i = 0; i < GIVE_UP_MS / 10; i++) {
        if (owner_files(w) <= before)
            return true;
        usleep(10000);
    }
    return false;
}

static bool run(struct world *w, const struct neighbour *who)
{
    int before = owner_files(w);
    const char *wrong = NULL;
    int64_t until;
    long memory;

    owner_memory_reset(w);
    memory = owner_memory(w);
    w->n = 0;
    w->failed = w->wrong = NULL;
    atomic_store(&w->stop, false);
    pthread_create(&w->bystander, NULL, bystander, w);
    until = now_us() + who->ms * 1000;
    if (who->act)
        who->act(w, until);
    while (now_us() < until)
        usleep(1000);
    atomic_store(&w->stop, true);
    pthread_join(w->bystander, NULL);
    memory = owner_memory(w) - memory;
    qsort(w->us, (size_t)w->n, sizeof(w->us[0]), by_value);
    if (kill(w->owner, 0) < 0 || waitpid(w->owner, NULL, WNOHANG) != 0)
        wrong = "the owner lives";
    else if (w->failed)
        wrong = w->failed;
    else if (w->wrong)
        wrong = w->wrong;
    else if (memory > MEMORY_MAX)
        wrong = "memory is bounded";
    else if (!files_are_back(w, before))
        wrong = "descriptors are closed";
    printf("%-5s %-17s answered %4d: p50 %6.1f, p99 %6.1f, max %6.1f ms; memory %+4ld MiB  (%s)%s%s\n",
           wrong ? "FAIL" : "ok", who->name, w->n, percentile(w, 50), percentile(w, 99),
           percentile(w, 100), memory >> 10, who->does, wrong ? "\n      does not hold: " : "",
           wrong ? wrong : "");
    return !wrong;
}

static void remove_home(const char *home)
{
    DIR *dir = opendir(home);
    struct dirent *d;

    while (dir && (d = readdir(dir)))
        if (d->d_name[0] != '.')
            unlinkat(dirfd(dir), d->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(home);
}

int main(int argc, char **argv)
{
    static struct world w;
    const char *seed = getenv("NEIGHBOURS_SEED"), *tmp = getenv("TMPDIR");
    unsigned n = seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)now_us();
    int cases = 0, violations = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("seed %u (NEIGHBOURS_SEED repeats it)\n", n);
    srand(n);
    snprintf(w.home, sizeof(w.home), "%.60s/dlmgr-neighbours-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(w.home) || !owner_start(&w)) {
        perror("neighbours");
        return 1;
    }
    for (size_t i = 0; i < sizeof(neighbours) / sizeof(neighbours[0]); i++) {
        if (argc > 1 && !strstr(neighbours[i].name, argv[1]))
            continue;
        cases++;
        violations += !run(&w, &neighbours[i]);
    }
    if (!owner_stop(&w)) {
        printf("FAIL the owner does not stop when it is asked\n");
        violations++;
    }
    remove_home(w.home);
    printf("neighbours: %d cases, violations %d\n", cases, violations);
    return violations > 0 || cases == 0;
}
