/* SPDX-License-Identifier: MIT */
/*
 * preload.c - preload.so: under a dlmgr that is started with it, each row of faults.h counts, and fails when the plan says so.
 *
 * $FAULTS names the file with the plan. Counting begins with main() of a program called dlmgr, so that neither the loader nor the
 * libraries' constructors nor another program (the killer that traces it) meet a fault.
 *
 * Each row of FAULTS_CALLS becomes a function of six machine words, whatever its real type: on x86_64 and aarch64 those are
 * the registers that it gets its arguments in, and a result of any width is returned as it came. So a new row is the whole change.
 * Allocations go on to the C library by its other names, because dlsym() itself allocates.
 */
#include "preload.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define EXPORT __attribute__((visibility("default"), used))

static struct faults *plan;
static _Thread_local bool inside; /* what we do ourselves meets no faults */

/* ---- The plan ------------------------------------------------------------------------------------------------ */

/* The first callers, and all in the program itself as offsets for addr2line: a row of exceptions can say whose fault it is. */
static size_t say_caller(char *out, size_t room, const void *at)
{
    Dl_info info;
    const char *file = dladdr(at, &info) && info.dli_fname ? info.dli_fname : "?";
    const char *slash = strrchr(file, '/');
    int n;

    file = slash ? slash + 1 : file;
    if (info.dli_sname)
        n = snprintf(out, room, " %s:%.40s", file, info.dli_sname);
    else
        n = snprintf(out, room, " %s+0x%lx", file,
                     (unsigned long)((uintptr_t)at - (uintptr_t)info.dli_fbase));
    return MIN((size_t)n, room - 1);
}

static void say_by_whom(void)
{
    void *at[64];
    int n = backtrace(at, 64), others = 0;
    size_t len = 0;

    for (int i = 1; i < n && len < sizeof(plan->by) - 1; i++) {
        Dl_info info;
        const char *file = dladdr(at[i], &info) && info.dli_fname ? info.dli_fname : "?";

        if (strstr(file, "preload.so") || (!strstr(file, "dlmgr") && ++others > 5))
            continue;
        len += say_caller(plan->by + len, sizeof(plan->by) - len, at[i]);
    }
}

static void note_place(long n);

bool fault_strikes(enum faults_call call)
{
    long n, fired;

    if (!plan || inside)
        return false;
    n = __atomic_add_fetch(&plan->count[call], 1, __ATOMIC_RELAXED);
    if (plan->nth == 0 && call == CALL_memory)
        note_place(n);
    if (plan->nth == 0 || plan->call != (int)call || n < plan->nth ||
        (!plan->forever && n > plan->nth))
        return false;
    if (plan->err == EINTR && n >= plan->nth + FAULTS_BURST)
        return false;
    fired = __atomic_add_fetch(&plan->fired, 1, __ATOMIC_RELAXED);
    if (fired == 1) {
        inside = true;
        say_by_whom();
        inside = false;
    }
    return true;
}

int fault_error(void)
{
    return plan->err;
}

/* ---- Places ------------------------------------------------------------------------------------------------ */

enum { DEPTH = 10 };

/* Allocations are many, and most of them the same again: the first of each stack of callers stands for it. */
static bool place_is_new(uint64_t hash)
{
    static uint64_t seen[4 * FAULTS_PLACES];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    size_t i = hash % (4 * FAULTS_PLACES);
    bool is_new;

    pthread_mutex_lock(&lock);
    while (seen[i] && seen[i] != hash)
        i = (i + 1) % (4 * FAULTS_PLACES);
    is_new = seen[i] == 0 && plan->n_places < FAULTS_PLACES;
    if (is_new)
        seen[i] = hash;
    pthread_mutex_unlock(&lock);
    return is_new;
}

static void note_place(long n)
{
    void *at[DEPTH];
    uint64_t hash = 14695981039346656037u;
    int depth;

    inside = true;
    depth = backtrace(at, DEPTH);
    for (int i = 0; i < depth; i++)
        hash = (hash ^ (uintptr_t)at[i]) * 1099511628211u;
    if (place_is_new(hash | 1))
        plan->place[__atomic_fetch_add(&plan->n_places, 1, __ATOMIC_RELAXED)] = n;
    inside = false;
}

/* ---- Calls --------------------------------------------------------------------------------------------------- */

typedef long word_fn(long a, long b, long c, long d, long e, long f);

static word_fn *real(word_fn **at, const char *name)
{
    if (!*at) {
        bool was = inside;

        inside = true;
        *at = (word_fn *)(uintptr_t)dlsym(RTLD_NEXT, name);
        inside = was;
        if (!*at)
            abort();
    }
    return *at;
}

/* Half of what was asked for: it is not an error to do less. */
static long half(word_fn *fn, const long a[6])
{
    return fn(a[0], a[1], a[2] > 1 ? a[2] / 2 : a[2], a[3], a[4], a[5]);
}

/* Descriptors of no file and no socket: a thread that wakes another one through them cannot meet a disk's error. */
enum { FDS = 4096 };
static bool wakes[FDS];

static bool is_wake(enum faults_call call, const long a[6])
{
    int fd = (int)a[0];

    switch (call) {
    case CALL_epoll_ctl:
        return a[1] != EPOLL_CTL_ADD; /* no other change needs memory */
    case CALL_read:
    case CALL_write:
    case CALL_close:
        return fd >= 0 && fd < FDS && wakes[fd];
    default:
        return false;
    }
}

/* What a call that succeeded has made or closed. */
static void note_fds(enum faults_call call, const long a[6], long r)
{
    if ((call == CALL_eventfd || call == CALL_timerfd_create) && r >= 0 && r < FDS)
        wakes[r] = true;
    if (call == CALL_pipe2 && (int)r == 0)
        for (int i = 0; i < 2; i++)
            wakes[((const int *)(uintptr_t)a[0])[i] % FDS] = true;
    if (call == CALL_close && a[0] >= 0 && a[0] < FDS)
        wakes[a[0]] = false;
}

static long answer(enum faults_call call, int marks, word_fn *fn, const long a[6], long none)
{
    if (is_wake(call, a) || !fault_strikes(call)) {
        long r = fn(a[0], a[1], a[2], a[3], a[4], a[5]);

        note_fds(call, a, (int)r);
        return r;
    }
    if (plan->err == 0)
        return half(fn, a);
    if (marks & FAULTS_AFTER)
        fn(a[0], a[1], a[2], a[3], a[4], a[5]);
    if (marks & FAULTS_CODE)
        return plan->err;
    errno = plan->err;
    return none;
}

/* A call that gives a pointer says NULL, and that which maps says -1 like all others. */
static long none_of(const char *name)
{
    return strncmp(name, "fopen", 5) == 0 || strcmp(name, "opendir") == 0 ||
                   strcmp(name, "fdopendir") == 0 || strncmp(name, "readdir", 7) == 0
               ? 0
               : -1;
}

#define WRAP(symbol, marks, ...)                                                                   \
    long wrapped_##symbol(long a, long b, long c, long d, long e, long f) __asm__(#symbol);        \
    EXPORT long wrapped_##symbol(long a, long b, long c, long d, long e, long f)                   \
    {                                                                                              \
        static word_fn *fn;                                                                        \
                                                                                                   \
        return answer(CALL_##symbol, marks, real(&fn, #symbol), (long[]){a, b, c, d, e, f},        \
                      none_of(#symbol));                                                           \
    }
FAULTS_CALLS(WRAP)

static int fcntl_row(long command)
{
    switch (command) {
    case F_SETLK:
    case F_SETLKW:
    case F_GETLK:
        return CALL_fcntl_lock;
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return CALL_fcntl_dup;
    default:
        return -1;
    }
}

#define WRAP_ODD(symbol, row)                                                                       \
    long wrapped_##symbol(long a, long b, long c, long d, long e, long f, long g) __asm__(#symbol); \
    EXPORT long wrapped_##symbol(long a, long b, long c, long d, long e, long f, long g)            \
    {                                                                                               \
        static word_fn *fn;                                                                         \
        int call = row;                                                                             \
                                                                                                    \
        real(&fn, #symbol);                                                                         \
        if (call >= 0)                                                                              \
            return answer(call, 0, fn, (long[]){a, b, c, d, e, f}, -1);                             \
        return ((long (*)(long, long, long, long, long, long, long))(uintptr_t)fn)(a, b, c, d, e,   \
                                                                                   f, g);           \
    }
WRAP_ODD(fcntl, fcntl_row(b))
WRAP_ODD(fcntl64, fcntl_row(b))
WRAP_ODD(syscall, a == SYS_openat2 ? CALL_openat2 : -1)

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static bool no_memory(void)
{
    if (!fault_strikes(CALL_memory))
        return false;
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t n)
{
    return no_memory() ? NULL : __libc_malloc(n);
}

EXPORT void *calloc(size_t n, size_t size)
{
    return no_memory() ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t n)
{
    return no_memory() ? NULL : __libc_realloc(p, n);
}

/* ---- The beginning ----------------------------------------------------------------------------------------------- */

typedef int main_fn(int argc, char **argv, char **envp);
typedef int start_fn(main_fn *fn, int argc, char **argv, void (*init)(void), void (*fini)(void),
                     void (*rtld_fini)(void), void *stack_end);

static main_fn *real_main;

static int armed_main(int argc, char **argv, char **envp)
{
    const char *file = getenv("FAULTS"), *name = strrchr(argv[0], '/');
    int fd = file && strcmp(name ? name + 1 : argv[0], "dlmgr") == 0 ? open(file, O_RDWR | O_CLOEXEC)
                                                                     : -1;
    void *at = fd < 0 ? MAP_FAILED
                      : mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void *warm[2];
    int r;

    if (fd >= 0)
        close(fd);
    backtrace(warm, 2); /* it loads a library the first time */
    plan = at == MAP_FAILED ? NULL : at;
    r = real_main(argc, argv, envp);
    plan = NULL; /* nobody looks at what exit handlers do */
    return r;
}

int wrapped_start(main_fn *fn, int argc, char **argv, void (*init)(void), void (*fini)(void),
                  void (*rtld_fini)(void), void *stack_end) __asm__("__libc_start_main");

EXPORT int wrapped_start(main_fn *fn, int argc, char **argv, void (*init)(void), void (*fini)(void),
                         void (*rtld_fini)(void), void *stack_end)
{
    start_fn *start = (start_fn *)(uintptr_t)dlsym(RTLD_NEXT, "__libc_start_main");

    real_main = fn;
    return start(armed_main, argc, argv, init, fini, rtld_fini, stack_end);
}
