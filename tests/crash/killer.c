/* SPDX-License-Identifier: MIT */
/*
 * killer.c - runs a program and kills it just before its Nth call that changes the disk or tells somebody something.
 *
 *     killer [--kill-at N] [--count] [--log FILE [--data FILE]] [--only-first] [--timeout S] [--no-seccomp] -- PROGRAM ARGS...
 *
 * Power cuts and kill -9 fall between two system calls. Between the calls in calls.c the world sees no difference, so killing
 * before each of them in turn is killing everywhere. The program is traced with all its threads, forks and execs; a
 * seccomp filter makes it stop at those calls alone (without seccomp it stops at every call, slower, with the same
 * numbering). At the Nth the whole family gets SIGKILL and that call is never performed: the kernel skips a call whose
 * thread has a fatal signal pending. --only-first kills only the process that made the call and lets the others finish.
 *
 * Exit: 137 when it killed, 124 when --timeout killed, else the program's own code (128 + signal). --count runs to the end and
 * prints the number of calls. --log has one line a call, in the order in which they returned, tab separated:
 *
 *     N  PID  NAME  RESULT  PATH  PATH2  OFFSET  LENGTH  AFTER
 *
 * RESULT is the return value, `?` for a call that may or may not have happened when the kill came, `killed` for the one that was
 * prevented; OFFSET is the flags for an open; unknown is -1. AFTER is how many lines the log had when this call was entered: a
 * sync covers the writes on those lines and no later ones. The last line is `count N` or `killed N`. disk.c reads it. --data
 * keeps what was written as well (data.h).
 *
 * When the killer itself dies, so does what it traces (EXITKILL).
 */
#include "data.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENT(status) ((status) >> 16)
#define FOLLOW                                                                                     \
    (PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |         \
     PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP)

struct thread {
    pid_t tid, tgid; /* tid 0: free */
    long n,
        after; /* the number of the call it is in, 0 none; lines of the log when it was entered */
    uint64_t args[6];
    struct note note;
};

struct run {
    long kill_at, count, lines;
    bool print, only_first, no_seccomp;
    unsigned timeout;
    FILE *log, *data;
    pid_t first, victim; /* victim: the thread group that was killed, -1 all of them */
    int first_status;
    bool *filtered; /* shared with the child: its filter is in place */
    bool slow;      /* stop at every call */
    struct thread *threads;
    size_t n_threads;
};

static volatile sig_atomic_t timed_out;

static void on_alarm(int sig)
{
    (void)sig;
    timed_out = 1;
}

static int die(const char *what)
{
    fprintf(stderr, "killer: %s: %s\n", what, strerror(errno));
    exit(125);
}

static pid_t group_of(pid_t tid)
{
    char name[64], line[128];
    pid_t tgid = tid;
    FILE *f;

    snprintf(name, sizeof(name), "/proc/%d/status", (int)tid);
    f = fopen(name, "re");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "Tgid:", 5) == 0)
            tgid = (pid_t)strtol(line + 5, NULL, 10);
    if (f)
        fclose(f);
    return tgid;
}

static struct thread *thread_get(struct run *run, pid_t tid)
{
    struct thread *free_one = NULL;

    for (size_t i = 0; i < run->n_threads; i++) {
        if (run->threads[i].tid == tid)
            return &run->threads[i];
        if (run->threads[i].tid == 0)
            free_one = &run->threads[i];
    }
    if (!free_one) {
        run->threads = realloc(run->threads, (run->n_threads + 16) * sizeof(run->threads[0]));
        if (!run->threads)
            die("memory");
        memset(run->threads + run->n_threads, 0, 16 * sizeof(run->threads[0]));
        free_one = &run->threads[run->n_threads];
        run->n_threads += 16;
    }
    memset(free_one, 0, sizeof(*free_one));
    free_one->tid = tid;
    free_one->tgid = group_of(tid);
    return free_one;
}

static void log_call(struct run *run, struct thread *t, const char *result)
{
    const struct note *note = &t->note;

    if (run->log)
        fprintf(run->log, "%ld\t%d\t%s\t%s\t%s\t%s\t%lld\t%lld\t%ld\n", t->n, (int)t->tgid,
                note->call->name, result, note->path, note->path2, (long long)note->offset,
                (long long)note->len, t->after);
    run->lines++;
    t->n = 0;
}

static bool doomed(const struct run *run, const struct thread *t)
{
    return run->victim == -1 || (run->victim && run->victim == t->tgid);
}

/* SIGKILL to every process of the doomed; what they were in the middle of stays open. */
static void kill_them(struct run *run)
{
    for (size_t i = 0; i < run->n_threads; i++)
        if (run->threads[i].tid && doomed(run, &run->threads[i]))
            kill(run->threads[i].tgid, SIGKILL);
    for (size_t i = 0; i < run->n_threads; i++)
        if (run->threads[i].tid && run->threads[i].n && doomed(run, &run->threads[i]))
            log_call(run, &run->threads[i], "?");
}

static void resume(const struct run *run, const struct thread *t, int sig)
{
    bool to_next = run->slow || (t->n && run->log);

    ptrace(to_next ? PTRACE_SYSCALL : PTRACE_CONT, t->tid, NULL, (void *)(intptr_t)sig);
}

/* A thread stands at the entry of a call; true when that was the end of it. */
static bool entered(struct run *run, struct thread *t, const struct __ptrace_syscall_info *info)
{
    const struct call *call = calls_find(info->entry.nr); /* .seccomp begins with the same members */

    if (!call)
        return false;
    for (int i = 0; i < 6; i++)
        t->args[i] = info->entry.args[i];
    if (!calls_look(t->tid, call, t->args, &t->note))
        return false;
    t->n = ++run->count;
    t->after = run->lines;
    if (run->count != run->kill_at)
        return false;
    log_call(run, t, "killed");
    run->victim = run->only_first ? t->tgid : -1;
    kill_them(run);
    return true;
}

static void returned(struct run *run, struct thread *t, const struct __ptrace_syscall_info *info)
{
    char result[32];

    if (!t->n)
        return;
    calls_returned(t->tid, t->args, info->exit.rval, &t->note);
    if (run->data && data_keep(run->data, run->lines, t->tid, &t->note, t->args, info->exit.rval))
        die("data");
    snprintf(result, sizeof(result), "%lld", (long long)info->exit.rval);
    log_call(run, t, result);
}

static bool at_call(struct run *run, struct thread *t)
{
    struct __ptrace_syscall_info info = {0};
    void *size = (void *)(uintptr_t)sizeof(info);

    if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, size, &info) <= 0)
        return false; /* it was killed meanwhile */
    if (info.op == PTRACE_SYSCALL_INFO_EXIT)
        returned(run, t, &info);
    else if (info.op == PTRACE_SYSCALL_INFO_SECCOMP ||
             (info.op == PTRACE_SYSCALL_INFO_ENTRY && run->slow))
        return entered(run, t, &info);
    return false;
}

/* An exec ends the other threads without a word, and the one that did it goes on under the id of the process. */
static void at_exec(struct run *run, struct thread *t)
{
    unsigned long former = 0;

    ptrace(PTRACE_GETEVENTMSG, t->tid, NULL, &former);
    for (size_t i = 0; i < run->n_threads; i++)
        if (run->threads[i].tgid == t->tgid && run->threads[i].tid != t->tid)
            run->threads[i].tid = 0;
    t->n = 0;
    if (t->tid == run->first)
        run->slow = !*run->filtered;
}

static void at_stop(struct run *run, struct thread *t, int status)
{
    int sig = WSTOPSIG(status), event = EVENT(status);

    if (doomed(run, t)) {
        kill(t->tgid, SIGKILL); /* also one that was born while we killed */
        return;
    }
    if (event == PTRACE_EVENT_SECCOMP || sig == (SIGTRAP | 0x80)) {
        if (at_call(run, t))
            return;
        sig = 0;
    } else if (event == PTRACE_EVENT_STOP &&
               (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)) {
        ptrace(PTRACE_LISTEN, t->tid, NULL, NULL);
        return;
    } else if (event == PTRACE_EVENT_EXEC) {
        at_exec(run, t);
        sig = 0;
    } else if (event) {
        sig = 0;
    }
    resume(run, t, sig);
}

static void at_end(struct run *run, struct thread *t, int status)
{
    if (t->n)
        log_call(run, t, "?");
    if (t->tid == run->first)
        run->first_status = status;
    t->tid = 0;
}

static void trace(struct run *run)
{
    for (;;) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);

        if (tid < 0 && errno == EINTR && timed_out && run->victim != -1) {
            run->victim = -1;
            kill_them(run);
        }
        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0)
            return;
        if (WIFSTOPPED(status))
            at_stop(run, thread_get(run, tid), status);
        else
            at_end(run, thread_get(run, tid), status);
    }
}

static void start(struct run *run, char **argv)
{
    int gate[2];
    char c;

    run->filtered = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->filtered == MAP_FAILED || pipe(gate))
        die("start");
    run->first = fork();
    if (run->first < 0)
        die("fork");
    if (run->first == 0) {
        close(gate[1]);
        while (read(gate[0], &c, 1) < 0)
            ;
        close(gate[0]);
        if (!run->no_seccomp)
            *run->filtered = calls_filter() == 0;
        execvp(argv[0], argv);
        die(argv[0]);
    }
    close(gate[0]);
    if (ptrace(PTRACE_SEIZE, run->first, NULL, (void *)FOLLOW))
        die("ptrace");
    close(gate[1]);
}

static void read_options(int argc, char **argv, struct run *run)
{
    static const struct option options[] = {
        {"kill-at", required_argument, NULL, 'k'}, {"count", no_argument, NULL, 'c'},
        {"log", required_argument, NULL, 'l'},     {"data", required_argument, NULL, 'd'},
        {"only-first", no_argument, NULL, 'f'},    {"timeout", required_argument, NULL, 't'},
        {"no-seccomp", no_argument, NULL, 's'},    {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1)
        switch (c) {
        case 'k':
            run->kill_at = strtol(optarg, NULL, 10);
            break;
        case 'c':
            run->print = true;
            break;
        case 'l':
            run->log = fopen(optarg, "we");
            if (!run->log)
                die(optarg);
            break;
        case 'd':
            run->data = fopen(optarg, "we");
            if (!run->data)
                die(optarg);
            break;
        case 'f':
            run->only_first = true;
            break;
        case 't':
            run->timeout = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            run->no_seccomp = true;
            break;
        default:
            exit(125);
        }
    if (optind == argc || (run->kill_at < 1 && !run->print && !run->log)) {
        fprintf(stderr,
                "usage: killer [--kill-at N] [--count] [--log FILE] [--only-first] [--timeout S] -- PROGRAM ARGS...\n");
        exit(125);
    }
}

static int verdict(const struct run *run)
{
    if (run->victim && timed_out)
        return 124;
    if (run->victim)
        return 137;
    if (WIFEXITED(run->first_status))
        return WEXITSTATUS(run->first_status);
    return 128 + WTERMSIG(run->first_status);
}

int main(int argc, char **argv)
{
    static struct run run;
    struct sigaction alarm_action = {.sa_handler = on_alarm};

    read_options(argc, argv, &run);
    start(&run, argv + optind);
    if (run.timeout) {
        sigaction(SIGALRM, &alarm_action, NULL);
        alarm(run.timeout);
    }
    trace(&run);
    if (run.print)
        printf("%ld\n", run.count);
    if (run.log) {
        fprintf(run.log, "%s %ld\n", run.victim ? "killed" : "count", run.count);
        if (fclose(run.log))
            die("log");
    }
    if (run.data && fclose(run.data))
        die("data");
    return verdict(&run);
}
