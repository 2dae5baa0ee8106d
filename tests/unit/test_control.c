/* SPDX-License-Identifier: MIT */
/*
 * test_control.c - who is let in, what lines mean, and that nobody can hurt the owner: not by saying half, too much or nonsense, not
 * by never reading, not by leaving.
 */
#include "dlmgr/control_conn.h"
#include "dlmgr/json.h"
#include "dlmgr/rpc.h"
#include "tests/lib/deny.h"
#include "tests/lib/door.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define STATUS(id) "{'jsonrpc':'2.0','id':" #id ",'method':'status'}\n"

/* What came: the error's code, or 0 for a result; the id in *ret_id (-1: null; -2: the end). */
static int answer(struct raw *r, int64_t *ret_id)
{
    CLEANUP_JSON json_t *json = raw_json(r);

    *ret_id = json ? dlm_json_int(json, "id", -1) : -2;
    CU_ASSERT(!json || json_object_get(json, "result") || json_object_get(json, "error"));
    return (int)dlm_json_int(json_object_get(json, "error"), "code", 0);
}

static void still_answers(struct raw *r)
{
    int64_t id;

    CU_ASSERT(raw_say(r, STATUS(77)));
    CHECK_INT(answer(r, &id), 0);
    CHECK_INT(id, 77);
}

/* ---- The socket ------------------------------------------------------------------------------------- */

/* 0600 whatever the umask; a dead owner's socket is replaced; the umask stays. */
static void test_control_socket_is_private(void)
{
    struct dlm_home *home = door_home();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t was = umask(0);
    struct door *d;
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control.sock", home->fd);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    d = door_open();
    CHECK_INT(fstatat(home->fd, "control.sock", &st, 0), 0);
    CHECK_INT(st.st_mode & 07777, 0600);
    CHECK_INT(umask(was), 0);
    door_close(d);
    dlm_home_close(home);
}

/* Anything else than a socket is not ours to remove. */
static void test_control_leaves_what_is_no_socket(void)
{
    struct dlm_home *home = door_home();
    struct dlm_control_host host = {.home = home};
    struct dlm_control *c = NULL;
    dlmgr_error e = {0};
    uv_loop_t loop;
    struct stat st;

    uv_loop_init(&loop);
    host.loop = &loop;
    CHECK_INT(mkdirat(home->fd, "control.sock", 0700), 0);
    CHECK_INT(dlm_control_start(&host, &c, &e), DLMGR_EHOME);
    CU_ASSERT(strstr(e.text, "is not a socket") != NULL);
    CHECK_INT(fstatat(home->fd, "control.sock", &st, 0), 0);
    CU_ASSERT(S_ISDIR(st.st_mode));
    CHECK_INT(unlinkat(home->fd, "control.sock", AT_REMOVEDIR), 0);
    CHECK_INT(symlinkat("elsewhere", home->fd, "control.sock"), 0);
    CHECK_INT(dlm_control_start(&host, &c, &e), DLMGR_EHOME);
    CHECK_INT(uv_loop_close(&loop), 0);
    CHECK_INT(unlinkat(home->fd, "control.sock", 0), 0);
    dlm_home_close(home);
}

static void on_while(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static int run_a_while(void *context)
{
    uv_timer_t timer;

    uv_timer_init(context, &timer);
    uv_timer_start(&timer, on_while, 200, 0);
    uv_run(context, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(context, UV_RUN_NOWAIT);
    return 0;
}

static void on_door_closed(void *context)
{
    *(bool *)context = true;
}

/* A door on a loop of ours, that runs when we say so. */
struct bare {
    struct dlm_home *home;
    struct dlm_control_host host;
    struct dlm_control *c;
    uv_loop_t loop;
};

static void bare_open(struct bare *b)
{
    dlmgr_error e = {0};

    *b = (struct bare){.home = door_home()};
    uv_loop_init(&b->loop);
    b->host = (struct dlm_control_host){.home = b->home, .loop = &b->loop};
    CU_ASSERT_FATAL(dlm_control_start(&b->host, &b->c, &e) == 0);
}

static int bare_knock(const struct bare *b)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control.sock",
             b->home->fd);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_INT(send(fd, "7\n", 2, MSG_NOSIGNAL), 2);
    return fd;
}

static bool is_answered(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_PEEK) == 1;
}

static void bare_close(struct bare *b)
{
    bool closed = false;

    dlm_control_stop(b->c, on_door_closed, &closed);
    while (!closed)
        uv_run(&b->loop, UV_RUN_ONCE);
    CHECK_INT(uv_loop_close(&b->loop), 0);
    dlm_home_close(b->home);
}

/* Without a free descriptor the loop goes on with its other work, and who knocked is let in once there is one. */
static void test_control_without_descriptors_goes_on(void)
{
    static const struct deny none[] = {{SYS_accept4, EMFILE}};
    struct bare b;
    int fd;

    bare_open(&b);
    fd = bare_knock(&b);
    CHECK_INT(deny_run(none, 1, run_a_while, &b.loop), 0);
    CU_ASSERT(!is_answered(fd));
    for (int i = 0; i < 50 && !is_answered(fd); i++)
        run_a_while(&b.loop);
    CU_ASSERT(is_answered(fd));
    close(fd);
    bare_close(&b);
}

/* Who comes again and again does not have the loop for himself: a few are let in in each of its turns, and all in the end. */
static void test_control_lets_in_a_few_in_a_turn(void)
{
    enum { N = 40, TURNS = N / 8 };
    struct bare b;
    int fds[N], before = 0, most = 0;

    bare_open(&b);
    for (int i = 0; i < N; i++)
        fds[i] = bare_knock(&b);
    for (int turn = 0; turn < TURNS; turn++) {
        int inside = 0;

        uv_run(&b.loop, UV_RUN_NOWAIT);
        for (const struct dlm_conn *c = b.c->conns; c; c = c->next)
            inside++;
        most = MAX(most, inside - before);
        before = inside;
    }
    CHECK_INT(most, N / TURNS);
    CHECK_INT(before, N);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    bare_close(&b);
}

/* 1 answered, 0 sent away, 2 could not connect. */
static int knock_as(struct dlm_home *home, uid_t uid)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        char byte;

        alarm(10);
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control.sock",
                 home->fd);
        if (setresuid(uid, uid, uid) || connect(fd, (struct sockaddr *)&address, sizeof(address)))
            _exit(2);
        (void)!send(fd, "7\n", 2, MSG_NOSIGNAL);
        _exit(read(fd, &byte, 1) == 1);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Even when the modes would let him, another user does not get in (only root can try). */
static void test_control_looks_who_comes(void)
{
    struct door *d = door_open();
    struct dlm_home *home = door_home_of(d);

    CHECK_INT(knock_as(home, geteuid()), 1);
    if (geteuid() == 0) {
        CHECK_INT(knock_as(home, 12345), 2);
        CHECK_INT(fchmod(home->fd, 0755), 0);
        CHECK_INT(fchmodat(home->fd, "control.sock", 0666, 0), 0);
        CHECK_INT(knock_as(home, 12345), 0);
    }
    door_close(d);
}

/* ---- Lines --------------------------------------------------------------------------------------------- */

/* The answer to nonsense says what it was, and the connection goes on. */
static void test_control_refuses_by_rows(void)
{
    static const struct {
        const char *line;
        int code;
        int id;
    } rows[] = {
        {"\n", DLM_RPC_PARSE, -1},
        {"nonsense\n", DLM_RPC_PARSE, -1},
        {"{'id':1\n", DLM_RPC_PARSE, -1},
        {"\xff\xfe\n", DLM_RPC_PARSE, -1},
        {"[" STATUS(1), DLM_RPC_PARSE, -1},
        {"[]\n", DLM_RPC_REQUEST, -1},
        {"{'jsonrpc':'2.0','method':'status'}\n", DLM_RPC_REQUEST, -1},
        {"{'jsonrpc':'2.0','id':[],'method':'status'}\n", DLM_RPC_REQUEST, -1},
        {"{'jsonrpc':'2.0','id':5}\n", DLM_RPC_REQUEST, 5},
        {"{'jsonrpc':'2.0','id':5,'method':{}}\n", DLM_RPC_REQUEST, 5},
        {"{'jsonrpc':'2.0','id':5,'method':'status','params':7}\n", DLM_RPC_REQUEST, 5},
        {"{'jsonrpc':'2.0','id':5,'method':'nosuch'}\n", DLM_RPC_METHOD, 5},
        {"{'jsonrpc':'2.0','id':5,'method':''}\n", DLM_RPC_METHOD, 5},
        {"{'jsonrpc':'2.0','id':5,'method':'hello'}\n", DLMGR_EPROTO, 5},
        {"{'jsonrpc':'2.0','id':5,'method':'hello','params':{'protocol':'1'}}\n", DLMGR_EPROTO, 5},
        {"{'jsonrpc':'2.0','id':5,'method':'hello','params':{'protocol':1}}\r\n", 0, 5},
        {"{'jsonrpc':'2.0','id':5,'method':'hello','params':{'protocol':1,'protocol_newest':99}}\n",
         0, 5},
        {"{'jsonrpc':'2.0','id':5,'method':'hello','params':{'protocol':98,'protocol_newest':99}}\n",
         DLMGR_EPROTO, 5},
    };
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d));
    int64_t id;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_about("row %zu", i);
        CU_ASSERT(raw_say(&r, rows[i].line));
        CHECK_INT(answer(&r, &id), rows[i].code);
        CHECK_INT(id, rows[i].id);
    }
    CHECK_INT(door_asked(d), 0);
    still_answers(&r);
    raw_close(&r);
    door_close(d);
}

static void test_control_nul_and_depth(void)
{
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d));
    char deep[203];
    int64_t id;

    CU_ASSERT(raw_send(&r, "{\"id\":1}\0\n", 10));
    CHECK_INT(answer(&r, &id), DLM_RPC_PARSE);
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\n';
    CU_ASSERT(raw_send(&r, deep, 201));
    CHECK_INT(answer(&r, &id), DLM_RPC_PARSE);
    still_answers(&r);
    raw_close(&r);
    door_close(d);
}

/* A line may come in any pieces, and several in one. */
static void test_control_lines_in_pieces(void)
{
    static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"status\"}\n";
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d));
    int64_t id;

    for (size_t i = 0; i < sizeof(line) - 1; i++) {
        CU_ASSERT(raw_send(&r, line + i, 1));
        usleep(500);
    }
    CHECK_INT(answer(&r, &id), 0);
    CU_ASSERT(raw_say(&r, STATUS(1) STATUS(2) "{'jsonrpc':'2.0',"));
    for (int i = 1; i <= 2; i++) {
        CHECK_INT(answer(&r, &id), 0);
        CHECK_INT(id, i);
    }
    CU_ASSERT(raw_say(&r, "'id':3,'method':'status'}\n"));
    CHECK_INT(answer(&r, &id), 0);
    CHECK_INT(id, 3);
    raw_close(&r);
    door_close(d);
}

static char *line_of_size(size_t size)
{
    static const char head[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\",\"params\":{\"x\":\"",
                      tail[] = "\"}}\n";
    char *line = malloc(size + 1);

    memset(line, 'y', size);
    memcpy(line, head, sizeof(head) - 1);
    memcpy(line + size + 1 - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
    return line;
}

/* 4 MiB pass; more is told and cut off before it is read; half a line and then nothing costs nobody anything. */
static void test_control_line_limit(void)
{
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d)), other = raw_open(door_home_of(d));
    CLEANUP_FREE char *most = line_of_size(DLM_RPC_LINE_MAX), *more = line_of_size(5 << 20);
    int64_t id;

    CU_ASSERT(raw_send(&r, most, DLM_RPC_LINE_MAX + 1));
    CHECK_INT(answer(&r, &id), 0);
    raw_send(&r, more, 5 << 20); /* without an end; the peer may go while it is sent */
    CHECK_INT(answer(&r, &id), DLM_RPC_PARSE);
    CHECK_INT(answer(&r, &id), 0);
    CHECK_INT(id, -2);
    CU_ASSERT(raw_send(&other, more, 3 << 20));
    raw_close(&other);
    raw_close(&r);
    r = raw_open(door_home_of(d));
    still_answers(&r);
    raw_close(&r);
    door_close(d);
}

/* Answers come as they are ready: what waits holds up nothing. */
static void test_control_answers_overtake(void)
{
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d));
    int64_t id;

    CU_ASSERT(
        raw_say(&r,
                "{'jsonrpc':'2.0','id':1,'method':'wait','params':{'timeout_ms':50}}\n" STATUS(2)));
    CHECK_INT(answer(&r, &id), 0);
    CHECK_INT(id, 2);
    CHECK_INT(answer(&r, &id), 0);
    CHECK_INT(id, 1);
    raw_close(&r);
    door_close(d);
}

/* Who has said all and shuts only his side gets what he is owed, then the end. */
static void test_control_half_closed_is_answered(void)
{
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d));
    int64_t id;

    CU_ASSERT(
        raw_say(&r,
                "{'jsonrpc':'2.0','id':1,'method':'wait','params':{'timeout_ms':50}}\n" STATUS(2)));
    CHECK_INT(shutdown(r.fd, SHUT_WR), 0);
    CHECK_INT(answer(&r, &id), 0);
    CHECK_INT(id, 2);
    CHECK_INT(answer(&r, &id), 0);
    CHECK_INT(id, 1);
    CHECK_INT(answer(&r, &id), 0);
    CHECK_INT(id, -2);
    raw_close(&r);
    door_close(d);
}

/* ---- Many, slow, and gone ---------------------------------------------------------------------------------- */

static void test_control_two_hundred_connections(void)
{
    struct door *d = door_open();
    struct raw all[200];

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        all[i] = raw_open(door_home_of(d));
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        still_answers(&all[i]);
    for (size_t i = 0; i < ARRAY_SIZE(all); i += 2)
        raw_close(&all[i]);
    still_answers(&all[1]);
    CHECK_INT(door_asked(d), 201);
    door_close(d);
    for (size_t i = 1; i < ARRAY_SIZE(all); i += 2) {
        CU_ASSERT(raw_line(&all[i]) == NULL);
        raw_close(&all[i]);
    }
}

static void wait_until_asked(struct door *d, int n)
{
    for (int i = 0; i < 5000 && door_asked(d) < n; i++)
        usleep(1000);
    CHECK_INT(door_asked(d), n);
}

/* The one that was silent for longest makes room; who listens stays, and when all do, the next is told. */
static void test_control_connections_are_bounded(void)
{
    enum { MOST = 20 };
    struct rlimit files, few = {4 * MOST, 4 * MOST};
    struct door *d;
    struct raw all[MOST], next, last;
    char *line;

    getrlimit(RLIMIT_NOFILE, &files);
    few.rlim_max = files.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
    d = door_open();
    for (int i = 0; i < MOST; i++) {
        all[i] = raw_open(door_home_of(d));
        still_answers(&all[i]);
        usleep(2000);
    }
    raw_say(&all[0], "{'jsonrpc':'2.0','id':1,'method':'subscribe'}\n");
    free(raw_line(&all[0]));
    next = raw_open(door_home_of(d));
    still_answers(&next);
    CU_ASSERT_PTR_NULL(raw_line(&all[1]));
    still_answers(&all[0]);
    still_answers(&all[2]);
    for (int i = 2; i < MOST; i++) {
        raw_say(&all[i], "{'jsonrpc':'2.0','id':1,'method':'subscribe'}\n");
        free(raw_line(&all[i]));
    }
    raw_say(&next, "{'jsonrpc':'2.0','id':1,'method':'wait'}\n");
    wait_until_asked(d, MOST + 4);
    last = raw_open(door_home_of(d));
    line = raw_line(&last);
    CU_ASSERT(line && strstr(line, "control-connections"));
    CU_ASSERT_PTR_NULL(raw_line(&last));
    free(line);
    raw_close(&all[2]);
    raw_close(&last);
    last = raw_open(door_home_of(d));
    still_answers(&last);
    for (int i = 0; i < MOST; i++)
        if (i != 2)
            raw_close(&all[i]);
    raw_close(&next);
    raw_close(&last);
    door_close(d);
    setrlimit(RLIMIT_NOFILE, &files);
}

/* Large calls take turns, and each gets its own. */
static void test_control_large_lines_take_turns(void)
{
    enum { N = 12, SIZE = 1 << 20 };
    struct door *d = door_open();
    struct raw all[N];
    char *line = malloc(SIZE + 100);
    int n = snprintf(line, 100,
                     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"add\",\"params\":{\"x\":\"");

    memset(line + n, 'x', SIZE);
    memcpy(line + n + SIZE, "\"}}\n", 5);
    for (int i = 0; i < N; i++)
        all[i] = raw_open(door_home_of(d));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            CU_ASSERT(raw_send(&all[i], line, (size_t)(n + SIZE + 4)));
        for (int i = 0; i < N; i++) {
            char *answer = raw_line(&all[i]);

            CU_ASSERT(answer && strlen(answer) > SIZE);
            free(answer);
        }
    }
    for (int i = 0; i < N; i++) {
        still_answers(&all[i]);
        raw_close(&all[i]);
    }
    free(line);
    door_close(d);
}

/* Says as much as goes; how many whole lines went. The rest of the last is left to be sent. */
static int say_until_stuck(struct raw *r, const char *line, int most, const char **ret_rest)
{
    size_t len = strlen(line);
    int lines = 0;

    *ret_rest = line + len;
    for (int stuck = 0; stuck < 100 && lines < most;) {
        ssize_t n = send(r->fd, *ret_rest == line + len ? line : *ret_rest,
                         (size_t)(*ret_rest == line + len ? (ssize_t)len : line + len - *ret_rest),
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        stuck = n > 0 ? 0 : stuck + 1;
        if (n <= 0) {
            usleep(2000);
            continue;
        }
        *ret_rest = *ret_rest == line + len ? line + n : *ret_rest + n;
        lines += *ret_rest == line + len;
    }
    return lines;
}

/* A million requests of one that does not read: few are taken from it, others notice nothing, and no answer is lost. */
static void test_control_slow_reader_is_not_read_from(void)
{
    static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"status\"}\n";
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d)), other = raw_open(door_home_of(d));
    const char *rest;
    int64_t id;
    int said = say_until_stuck(&r, line, 1000000, &rest);

    CU_ASSERT(said > 1000 && said < 50000);
    CHECK_INT(door_asked(d) < 30000, 1);
    still_answers(&other);
    for (int i = 0; i < said; i++)
        if (answer(&r, &id) != 0 || !CHECK_INT(id, 7))
            break;
    CU_ASSERT(raw_send(&r, rest, strlen(rest)));
    if (*rest)
        CHECK_INT(answer(&r, &id), 0);
    still_answers(&r);
    raw_close(&r);
    raw_close(&other);
    door_close(d);
}

/* One may owe answers to 64 calls of a connection; the next is read when one of them is given. */
static void test_control_owes_a_limited_number(void)
{
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d));
    int64_t id;

    for (int i = 0; i < 100; i++)
        CU_ASSERT(raw_say(&r, "{'jsonrpc':'2.0','id':1,'method':'wait'}\n"));
    wait_until_asked(d, 64);
    usleep(50000);
    CHECK_INT(door_asked(d), 64);
    door_release(d);
    wait_until_asked(d, 100);
    door_release(d);
    for (int i = 0; i < 100; i++)
        CHECK_INT(answer(&r, &id), 0);
    raw_close(&r);
    door_close(d);
}

/* Gone in the middle of a large answer, or before a late one: the rest goes on, and all is freed (door_close() looks). */
static void test_control_peer_vanishes(void)
{
    struct door *d = door_open();
    struct raw r;

    for (int i = 0; i < 20; i++) {
        r = raw_open(door_home_of(d));
        CU_ASSERT(
            raw_say(&r, i % 2 ? "{'jsonrpc':'2.0','id':1,'method':'list','params':{'limit':3000000}}\n"
                              : "{'jsonrpc':'2.0','id':1,'method':'wait'}\n{'jsonrpc':"));
        wait_until_asked(d, i + 1);
        raw_close(&r);
    }
    CHECK_INT(door_waiting(d), 10);
    door_release(d);
    r = raw_open(door_home_of(d));
    still_answers(&r);
    raw_close(&r);
    door_close(d);
}

/* Whatever allocation fails, the door stays: who was cut off comes again. */
static void test_control_survives_without_memory(void)
{
    struct door *d = door_open();

    for (int n = 1; n < 30; n++) {
        struct raw r = {0};
        char *line;

        test_about("allocation %d", n);
        door_fault(d, n);
        r = raw_open(door_home_of(d));
        raw_say(&r, STATUS(1) "{'jsonrpc':'2.0','id':2,'method':'find'}\n");
        shutdown(r.fd, SHUT_WR);
        while ((line = raw_line(&r)))
            free(line);
        raw_close(&r);
        door_fault(d, 0);
        r = raw_open(door_home_of(d));
        still_answers(&r);
        raw_close(&r);
    }
    door_close(d);
}

/* ---- News ------------------------------------------------------------------------------------------------------ */

static void test_control_news_for_who_asked(void)
{
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d)), other = raw_open(door_home_of(d));
    CLEANUP_FREE char *line = NULL;
    int64_t id;

    still_answers(&other);
    CU_ASSERT(raw_say(&r, "{'jsonrpc':'2.0','id':1,'method':'subscribe'}\n"));
    CHECK_INT(answer(&r, &id), 0);
    door_news(d, 1);
    line = raw_line(&r);
    CHECK_STR(line, "{\"jsonrpc\":\"2.0\",\"method\":\"news\"}");
    still_answers(&other);
    raw_close(&r);
    raw_close(&other);
    door_close(d);
}

/* News that come while a large answer is under way are told after it, however many, in few words. */
static void test_control_news_gather_and_are_not_lost(void)
{
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d));
    int64_t id;
    int news = 0;

    CU_ASSERT(raw_say(&r, "{'jsonrpc':'2.0','id':1,'method':'subscribe'}\n"
                          "{'jsonrpc':'2.0','id':2,'method':'list','params':{'limit':3000000}}\n"));
    wait_until_asked(d, 1);
    door_news(d, 100000);
    CHECK_INT(answer(&r, &id), 0);
    CHECK_INT(answer(&r, &id), 0);
    CHECK_INT(id, 2);
    CU_ASSERT(raw_say(&r, "{'jsonrpc':'2.0','id':3,'method':'wait','params':{'timeout_ms':100}}\n"));
    for (;;) {
        CLEANUP_JSON json_t *json = raw_json(&r);

        if (!json || !json_object_get(json, "method"))
            break;
        news++;
    }
    CU_ASSERT(news >= 1 && news <= 3);
    raw_close(&r);
    door_close(d);
}

/* ---- Stopping --------------------------------------------------------------------------------------------------- */

/* What is being sent arrives whole, though it takes a moment to be read; then the end. */
static void test_control_stop_flushes(void)
{
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d));
    CLEANUP_FREE char *line = NULL;

    CU_ASSERT(raw_say(&r, "{'jsonrpc':'2.0','id':1,'method':'list','params':{'limit':600000}}\n"));
    wait_until_asked(d, 1);
    CU_ASSERT_FALSE(door_stop(d, 10));
    line = raw_line(&r);
    CU_ASSERT(line && strlen(line) > 600000);
    CU_ASSERT(raw_line(&r) == NULL);
    raw_close(&r);
    door_close(d);
}

/* Who never reads is waited for one second. */
static void test_control_stop_is_bounded(void)
{
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d));
    int64_t begin = dlm_clock_mono();

    CU_ASSERT(raw_say(&r, "{'jsonrpc':'2.0','id':1,'method':'list','params':{'limit':3000000}}\n"));
    wait_until_asked(d, 1);
    CU_ASSERT(door_stop(d, 5000));
    CU_ASSERT(dlm_clock_mono() - begin >= 900);
    raw_close(&r);
    door_close(d);
}

/* `closed` comes when no reply is owed any more, not before: it would find its connection freed. */
static void test_control_stop_waits_for_replies(void)
{
    struct door *d = door_open();
    struct raw r = raw_open(door_home_of(d)), gone = raw_open(door_home_of(d));

    CU_ASSERT(raw_say(&r, "{'jsonrpc':'2.0','id':1,'method':'wait'}\n"));
    CU_ASSERT(raw_say(&gone, "{'jsonrpc':'2.0','id':1,'method':'wait'}\n"));
    wait_until_asked(d, 2);
    raw_close(&gone);
    CU_ASSERT_FALSE(door_stop(d, 1500));
    CU_ASSERT(raw_line(&r) == NULL); /* after its second it was cut off */
    raw_close(&r);
    door_release(d);
    door_close(d);
}

static const struct test tests[] = {
    TEST(test_control_socket_is_private),
    TEST(test_control_leaves_what_is_no_socket),
    TEST(test_control_without_descriptors_goes_on),
    TEST(test_control_lets_in_a_few_in_a_turn),
    TEST(test_control_looks_who_comes),
    TEST(test_control_refuses_by_rows),
    TEST(test_control_nul_and_depth),
    TEST(test_control_lines_in_pieces),
    TEST(test_control_line_limit),
    TEST(test_control_answers_overtake),
    TEST(test_control_half_closed_is_answered),
    TEST(test_control_two_hundred_connections),
    TEST(test_control_connections_are_bounded),
    TEST(test_control_large_lines_take_turns),
    TEST(test_control_slow_reader_is_not_read_from),
    TEST(test_control_owes_a_limited_number),
    TEST(test_control_peer_vanishes),
    TEST(test_control_survives_without_memory),
    TEST(test_control_news_for_who_asked),
    TEST(test_control_news_gather_and_are_not_lost),
    TEST(test_control_stop_flushes),
    TEST(test_control_stop_is_bounded),
    TEST(test_control_stop_waits_for_replies),
};

TEST_MAIN("control", tests)
