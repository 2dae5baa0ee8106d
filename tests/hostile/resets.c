/* SPDX-License-Identifier: MIT */
/*
 * resets.c - a connection that ends at every byte of an answer of 64 KiB: [--tls CERTS] [--step N] [--seed N] FIRST LAST.
 *
 * A case is an offset and a way to end (RST, FIN): the first answer stops after so many bytes, header included, and all later
 * ones are as they should be. Over TLS the bytes on the wire are counted, those of the handshake included; CERTS is a folder of
 * fixtures/certs.sh. One engine fetches all cases of FIRST to LAST, a crowd at a time, each from a server of its own, so that the
 * port tells the case before anything was said.
 *
 * It is a violation when a task is not done in the end, when its file is not the right one, when something is left beside it, when it was
 * asked for more than thrice (libcurl asks again by itself when a connection that it kept turns out to be dead), or when a byte is
 * fetched again that came. Over TLS those of a record that did not come whole did not come.
 *
 * --step N takes one offset of each N, another one each time, as the seed says. The last line is the sum; exit code 1: a violation.
 */
#include "dlmgr.h"
#include "fixtures/body.h"
#include "tests/lib/peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER = 65536, CROWD = 128, RECORD = 4096, WAIT_MS = 120000 };

/* A place in the crowd: its server, and the case that it plays. */
struct slot {
    struct peer *peer;
    pthread_mutex_t lock; /* for all below */
    int64_t offset;
    enum peer_end how;
    int asked;
    bool cut;                   /* the answer that ends too early has begun */
    const struct peer_link *on; /* TLS: over this connection */
    int64_t came,
        from; /* body bytes of that answer; where the next request began, -1: there was none */
};

static struct {
    bool tls;
    int64_t step, first, last;
    uint64_t seed;
    char dir[100], files[120], home[120], cert[400], key[400], ca[400];
    struct slot slots[CROWD];
    size_t n;
    int64_t offsets, cases, resumed, violations, again, most;
} world = {.step = 1, .seed = 1};

static void must(bool good, const char *what)
{
    if (!good) {
        perror(what);
        exit(2);
    }
}

static void violation(const struct slot *s, const char *what, const char *more)
{
    world.violations++;
    printf("VIOLATION %s at byte %lld: %s%s%s\n", s->how == PEER_RST ? "RST" : "FIN",
           (long long)s->offset, what, *more ? ": " : "", more);
}

/* ---- The server ---------------------------------------------------------------------------------------- */

/* Each case has a body of its own, so that no file can be right by accident. */
static struct body body_of(const struct slot *s)
{
    return (struct body){.seed = (uint64_t)s->offset * 2 + (s->how == PEER_RST) + 1};
}

static size_t head_whole(const struct slot *s, char head[300], int64_t size)
{
    return (size_t)snprintf(head, 300,
                            "HTTP/1.1 200 OK\r\nServer: resets\r\nETag: \"%06lld\"\r\n"
                            "Content-Length: %05lld\r\n%s\r\n",
                            (long long)s->offset, (long long)size,
                            world.tls ? "Connection: close\r\n" : "");
}

static size_t head_part(const struct slot *s, char head[300], int64_t size, int64_t from)
{
    return (size_t)snprintf(head, 300,
                            "HTTP/1.1 206 Partial Content\r\nETag: \"%06lld\"\r\n"
                            "Content-Length: %lld\r\nContent-Range: bytes %lld-%lld/%lld\r\n%s\r\n",
                            (long long)s->offset, (long long)(size - from), (long long)from,
                            (long long)size - 1, (long long)size,
                            world.tls ? "Connection: close\r\n" : "");
}

/* Of the body: what an answer of that size leaves behind its header. */
static int64_t size_of(const struct slot *s)
{
    char head[300];

    return ANSWER - (int64_t)head_whole(s, head, 10000);
}

static void serve_body(struct peer_link *l, struct slot *s, bool cut, int64_t from)
{
    int64_t size = size_of(s), at = from;
    struct body body = body_of(s);
    char piece[RECORD];

    while (at < size) {
        size_t n = (size_t)(size - at < RECORD ? size - at : RECORD);

        body_fill(&body, at, piece, n);
        if (!peer_put(l, piece, n))
            return;
        at += (int64_t)n;
        pthread_mutex_lock(&s->lock);
        if (cut && at > s->came)
            s->came = at;
        pthread_mutex_unlock(&s->lock);
    }
}

/* Is this the answer that ends too early? */
static bool note_request(struct peer_link *l, struct slot *s, int64_t from)
{
    bool cut;

    pthread_mutex_lock(&s->lock);
    cut = world.tls ? s->on == l : !s->cut;
    s->asked++;
    if (s->cut && !cut && s->from < 0)
        s->from = from;
    s->cut = true;
    pthread_mutex_unlock(&s->lock);
    return cut;
}

static void on_accepted(struct peer_link *l, void *context)
{
    struct slot *s = context;
    bool cut;

    if (!world.tls)
        return;
    pthread_mutex_lock(&s->lock);
    cut = !s->cut;
    if (cut)
        s->on = l;
    s->cut = true;
    pthread_mutex_unlock(&s->lock);
    if (cut)
        peer_limit(l, s->offset, s->how);
}

static void serve(struct peer_link *l, void *context)
{
    struct slot *s = context;
    char request[4096], head[300];

    while (peer_get_head(l, request, sizeof(request))) {
        const char *range = strstr(request, "\r\nRange: bytes=");
        int64_t from = range ? atoll(range + 15) : 0;
        bool cut = note_request(l, s, from);
        size_t n = from ? head_part(s, head, size_of(s), from) : head_whole(s, head, size_of(s));

        if (cut && !world.tls) {
            s->came = s->offset > (int64_t)n ? s->offset - (int64_t)n : 0;
            peer_limit(l, s->offset, s->how);
        }
        if (!peer_put(l, head, n))
            return;
        serve_body(l, s, cut && world.tls, from);
        if (world.tls) {
            peer_finish(l, PEER_NOTIFY);
            return;
        }
    }
}

/* ---- Cases ----------------------------------------------------------------------------------------------- */

static void add_case(int64_t offset, enum peer_end how)
{
    struct slot *s = &world.slots[world.n++];

    pthread_mutex_lock(&s->lock);
    s->offset = offset;
    s->how = how;
    s->asked = 0;
    s->cut = false;
    s->on = NULL;
    s->came = 0;
    s->from = -1;
    pthread_mutex_unlock(&s->lock);
}

static bool is_right(const struct slot *s, const char *path)
{
    static char data[ANSWER + 1];
    struct body body = body_of(s);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof(data));

    if (fd >= 0)
        close(fd);
    return n == size_of(s) && body_match(&body, 0, data, (size_t)n) == (size_t)n;
}

static void judge(struct slot *s, const dlmgr_task *t)
{
    int64_t again;
    char more[100];

    world.cases++;
    if (!t || t->state != DLMGR_DONE) {
        violation(s, "not done", t && t->error_text ? t->error_text : "");
        return;
    }
    if (!is_right(s, t->path))
        violation(s, "another file", t->path);
    unlink(t->path);
    pthread_mutex_lock(&s->lock);
    again = s->from < 0 ? 0 : s->came - s->from;
    snprintf(more, sizeof(more), "%lld came, asked from %lld", (long long)s->came,
             (long long)s->from);
    if (s->asked > 3)
        violation(s, "asked for too often", "");
    if (again != 0)
        violation(s, again < 0 ? "a gap" : "fetched again", more);
    world.resumed += s->from > 0;
    pthread_mutex_unlock(&s->lock);
    world.again += again > 0 ? again : 0;
    world.most = again > world.most ? again : world.most;
}

static void sweep(dlmgr *handle, const dlmgr_selector *selector)
{
    DIR *dir = opendir(world.files);
    dlmgr_error e = {0};

    must(dlmgr_act(handle, DLMGR_REMOVE, selector, NULL, &e) == 0 && dir, e.text);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        world.violations++;
        printf("VIOLATION left behind: %s\n", entry->d_name);
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

static void play(dlmgr *handle)
{
    static dlmgr_request requests[CROWD];
    static char urls[CROWD][60];
    int64_t ids[CROWD];
    dlmgr_selector selector = {.size = sizeof(selector), .ids = ids, .n_ids = world.n};
    dlmgr_list *list = NULL;
    dlmgr_error e = {0};

    for (size_t i = 0; i < world.n; i++) {
        snprintf(urls[i], sizeof(urls[i]), "http%s://127.0.0.1:%d/file", world.tls ? "s" : "",
                 peer_port(world.slots[i].peer));
        dlmgr_request_init(&requests[i]);
        requests[i].url = urls[i];
        requests[i].dir = world.files;
        requests[i].retry_wait_ms = 0;
        requests[i].cacert = world.tls ? world.ca : NULL;
    }
    must(dlmgr_add(handle, requests, world.n, ids, NULL, &e) == 0, e.text);
    if (dlmgr_wait(handle, ids, world.n, WAIT_MS, &e) < 0)
        printf("waiting: %s\n", e.text);
    must(dlmgr_query(handle, &selector, &list, &e) == 0, e.text);
    for (size_t i = 0; i < world.n; i++)
        judge(&world.slots[i], dlmgr_list_at(list, i));
    dlmgr_list_free(list);
    sweep(handle, &selector);
    world.n = 0;
}

static void play_all(dlmgr *handle)
{
    uint64_t dice = world.seed;

    for (int64_t base = world.first; base <= world.last; base += world.step) {
        int64_t offset;

        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
        offset = base + (int64_t)((dice >> 33) % (uint64_t)world.step);
        if (offset > world.last)
            continue;
        world.offsets++;
        add_case(offset, PEER_RST);
        add_case(offset, PEER_FIN);
        if (world.n == CROWD)
            play(handle);
    }
    if (world.n)
        play(handle);
}

/* ---- Beginning and end ------------------------------------------------------------------------------------- */

static void begin(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(world.dir, sizeof(world.dir), "%.70s/dlmgr-resets-XXXXXX", tmp ? tmp : "/tmp");
    must(mkdtemp(world.dir) != NULL, world.dir);
    snprintf(world.files, sizeof(world.files), "%s/files", world.dir);
    snprintf(world.home, sizeof(world.home), "%s/home", world.dir);
    must(mkdir(world.files, 0700) == 0, world.files);
    for (size_t i = 0; i < CROWD; i++) {
        struct peer_options o = {.cert = world.tls ? world.cert : NULL,
                                 .key = world.tls ? world.key : NULL,
                                 .accepted = on_accepted,
                                 .serve = serve,
                                 .context = &world.slots[i]};

        pthread_mutex_init(&world.slots[i].lock, NULL);
        world.slots[i].peer = peer_start(&o);
    }
}

static void end(void)
{
    char command[150];

    for (size_t i = 0; i < CROWD; i++)
        peer_stop(world.slots[i].peer);
    snprintf(command, sizeof(command), "rm -rf '%s'", world.dir);
    if (system(command) != 0)
        printf("cannot remove %s\n", world.dir);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_arguments(int argc, char **argv)
{
    int i = 1;

    for (; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
        if (!strcmp(argv[i], "--tls")) {
            world.tls = true;
            snprintf(world.cert, sizeof(world.cert), "%s/server.pem", argv[i + 1]);
            snprintf(world.key, sizeof(world.key), "%s/server.key", argv[i + 1]);
            snprintf(world.ca, sizeof(world.ca), "%s/ca.pem", argv[i + 1]);
        } else if (!strcmp(argv[i], "--step")) {
            world.step = atoll(argv[i + 1]);
        } else if (!strcmp(argv[i], "--seed")) {
            world.seed = strtoull(argv[i + 1], NULL, 10);
        }
    }
    if (i + 2 == argc) {
        world.first = atoll(argv[i]);
        world.last = atoll(argv[i + 1]);
    }
    if (i + 2 == argc && world.step > 0 && world.first >= 0)
        return;
    fprintf(stderr, "usage: resets [--tls CERTS] [--step N] [--seed N] FIRST LAST\n");
    exit(64);
}

int main(int argc, char **argv)
{
    dlmgr_options options = DLMGR_INIT(dlmgr_options);
    double from = seconds();
    dlmgr *handle = NULL;
    dlmgr_error e = {0};

    read_arguments(argc, argv);
    begin();
    options.home = world.home;
    options.max_active = 32;
    must(dlmgr_open(DLMGR_OWN, &options, &handle, &e) == 0, e.text);
    play_all(handle);
    dlmgr_close(handle);
    end();
    printf("resets%s: %lld offsets in %lld..%lld, %lld cases, %lld resumed, bytes fetched again: most %lld, mean %.3f; seed %llu; "
           "%.0f s; %lld violations\n",
           world.tls ? " over TLS" : "", (long long)world.offsets, (long long)world.first,
           (long long)world.last, (long long)world.cases, (long long)world.resumed,
           (long long)world.most, world.cases ? (double)world.again / (double)world.cases : 0,
           (unsigned long long)world.seed, seconds() - from, (long long)world.violations);
    return world.violations > 0;
}
