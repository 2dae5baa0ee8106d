/* SPDX-License-Identifier: MIT */
/*
 * calls.c - the table of calls behind the killer, and what can be learned about one from outside.
 *
 * The arguments of a stopped call are numbers in its process: descriptors are named through /proc/PID/fd, paths are
 * read with process_vm_readv. Nothing here stops or resumes anything.
 *
 * The filter is built from the table: load the number, compare with each row, and for opens look at O_CREAT as well
 * (openat2 keeps its flags in memory, which a filter cannot read, so each of them stops and is looked at here).
 */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "the killer knows x86_64 and aarch64"
#endif

#define ROWS (sizeof(table) / sizeof(table[0]))
#define CALL(n)                                                                                    \
    .name = #n, .nr = SYS_##n, .fd = -1, .dir = -1, .path = -1, .dir2 = -1, .path2 = -1,           \
    .offset = -1, .len = -1, .flags = -1

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const struct call table[] = {
    {CALL(write), .fd = 0, .len = 2},
    {CALL(pwrite64), .fd = 0, .len = 2, .offset = 3},
    {CALL(writev), .fd = 0},
    {CALL(pwritev), .fd = 0, .offset = 3},
    {CALL(pwritev2), .fd = 0, .offset = 3},
    {CALL(sendfile), .fd = 0, .len = 3},
    {CALL(copy_file_range), .fd = 2, .len = 4},
    {CALL(fsync), .fd = 0},
    {CALL(fdatasync), .fd = 0},
    {CALL(sync_file_range), .fd = 0, .offset = 1, .len = 2},
    {CALL(syncfs), .fd = 0},
    {CALL(msync), .len = 1},
    {CALL(ftruncate), .fd = 0, .len = 1},
    {CALL(fallocate), .fd = 0, .offset = 2, .len = 3},
    {CALL(fchmod), .fd = 0},
    {CALL(fchmodat), .dir = 0, .path = 1},
    {CALL(renameat2), .dir = 0, .path = 1, .dir2 = 2, .path2 = 3},
    {CALL(linkat), .dir = 0, .path = 1, .dir2 = 2, .path2 = 3},
    {CALL(unlinkat), .dir = 0, .path = 1},
    {CALL(mkdirat), .dir = 0, .path = 1},
    {CALL(openat), .dir = 0, .path = 1, .flags = 2},
    {CALL(openat2), .dir = 0, .path = 1},
    {CALL(truncate), .path = 0, .len = 1},
    {CALL(sendto), .fd = 0, .len = 2},
    {CALL(sendmsg), .fd = 0},
    {CALL(sendmmsg), .fd = 0},
    {CALL(bind), .fd = 0},
#ifdef SYS_renameat
    {CALL(renameat), .dir = 0, .path = 1, .dir2 = 2, .path2 = 3},
#endif
#ifdef SYS_open
    {CALL(rename), .path = 0, .path2 = 1},
    {CALL(link), .path = 0, .path2 = 1},
    {CALL(unlink), .path = 0},
    {CALL(rmdir), .path = 0},
    {CALL(mkdir), .path = 0},
    {CALL(chmod), .path = 0},
    {CALL(open), .path = 0, .flags = 1},
    {CALL(creat), .path = 0},
#endif
};
#pragma GCC diagnostic pop

const struct call *calls_find(uint64_t nr)
{
    for (size_t i = 0; i < ROWS; i++)
        if ((uint64_t)table[i].nr == nr)
            return &table[i];
    return NULL;
}

static void name_link(pid_t tid, const char *what, char *out, size_t room)
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/%d/%s", (int)tid, what);
    n = readlink(link, out, room - 1);
    out[n < 0 ? 0 : n] = 0;
}

static void name_fd(pid_t tid, int fd, char *out, size_t room)
{
    char what[32];

    if (fd == AT_FDCWD)
        snprintf(what, sizeof(what), "cwd");
    else
        snprintf(what, sizeof(what), "fd/%d", fd);
    name_link(tid, what, out, room);
}

static size_t read_memory(pid_t tid, uint64_t where, void *out, size_t n)
{
    struct iovec here = {out, n};
    struct iovec there = {(void *)(uintptr_t)where, n};
    ssize_t got = process_vm_readv(tid, &here, 1, &there, 1, 0);

    return got < 0 ? 0 : (size_t)got;
}

static void read_string(pid_t tid, uint64_t where, char *out, size_t room)
{
    size_t n = 0;

    while (n + 1 < room) {
        size_t page = 4096 - ((where + n) & 4095);
        size_t want = page < room - 1 - n ? page : room - 1 - n;
        size_t got = read_memory(tid, where + n, out + n, want);

        if (memchr(out + n, 0, got))
            return;
        n += got;
        if (got < want)
            break;
    }
    out[n] = 0;
}

/* Below a directory that is held open, as /proc/self/fd/N/rest: its N, and where the rest begins; -1 for another path. */
static int held_dir(const char *text, const char **ret_rest)
{
    int n = -1, len = 0;

    if (sscanf(text, "/proc/self/fd/%d%n", &n, &len) != 1 &&
        sscanf(text, "/proc/%*d/fd/%d%n", &n, &len) != 1)
        return -1;
    *ret_rest = text + len;
    return **ret_rest == 0 || **ret_rest == '/' ? n : -1;
}

/* A path as the kernel will see it, made absolute; tabs and newlines would break the log's lines. */
static void name_path(pid_t tid, int dirfd, uint64_t where, char *out, size_t room)
{
    char text[1024], base[1024];
    const char *rest = text;
    int held;

    read_string(tid, where, text, sizeof(text));
    held = held_dir(text, &rest);
    base[0] = 0;
    if (held >= 0)
        name_fd(tid, held, base, sizeof(base));
    else if (text[0] != '/')
        name_fd(tid, dirfd, base, sizeof(base));
    if (snprintf(out, room, "%s%s%s", base, base[0] && *rest != '/' && *rest ? "/" : "", rest) >=
        (int)room)
        out[room - 1] = 0;
    for (char *p = out; *p; p++)
        if (*p == '\t' || *p == '\n')
            *p = '?';
}

static int dir_of(int arg, const uint64_t args[6])
{
    return arg < 0 ? AT_FDCWD : (int)args[arg];
}

static bool may_create(pid_t tid, const struct call *call, const uint64_t args[6],
                       int64_t *ret_flags)
{
    struct open_how how = {0};

    if (call->nr == SYS_openat2)
        read_memory(tid, args[2], &how, sizeof(how));
    else
        how.flags = args[call->flags];
    *ret_flags = (int64_t)how.flags;
    return how.flags & O_CREAT;
}

static bool binds_a_file(pid_t tid, const uint64_t args[6])
{
    sa_family_t family = AF_UNSPEC;

    return read_memory(tid, args[1], &family, sizeof(family)) == sizeof(family) && family == AF_UNIX;
}

bool calls_look(pid_t tid, const struct call *call, const uint64_t args[6], struct note *ret_note)
{
    struct note *note = ret_note;

    note->call = call;
    note->path[0] = note->path2[0] = 0;
    note->offset = call->offset < 0 ? -1 : (int64_t)args[call->offset];
    note->len = call->len < 0 ? -1 : (int64_t)args[call->len];
    if (call->nr == SYS_openat2 || call->flags >= 0)
        if (!may_create(tid, call, args, &note->offset))
            return false;
    if (call->nr == SYS_bind && !binds_a_file(tid, args))
        return false;
    if (call->fd >= 0)
        name_fd(tid, (int)args[call->fd], note->path, sizeof(note->path));
    if (call->path >= 0)
        name_path(tid, dir_of(call->dir, args), args[call->path], note->path, sizeof(note->path));
    if (call->path2 >= 0)
        name_path(tid, dir_of(call->dir2, args), args[call->path2], note->path2,
                  sizeof(note->path2));
    return strcmp(note->path, "anon_inode:[eventfd]") != 0;
}

/* A write without an offset began where the descriptor now stands, less what was written. */
void calls_returned(pid_t tid, const uint64_t args[6], int64_t result, struct note *note)
{
    const struct call *call = note->call;
    char name[64], line[64];
    FILE *f;

    if ((call->nr != SYS_write && call->nr != SYS_writev) || result < 0 || note->path[0] != '/')
        return;
    snprintf(name, sizeof(name), "/proc/%d/fdinfo/%d", (int)tid, (int)args[0]);
    f = fopen(name, "re");
    if (f && fgets(line, sizeof(line), f) && strncmp(line, "pos:", 4) == 0)
        note->offset = strtoll(line + 4, NULL, 10) - result;
    if (f)
        fclose(f);
}

#define LOAD(member)                                                                               \
    (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define LOAD_ARG(i)                                                                                \
    (struct sock_filter)                                                                           \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8u * (i))
#define RETURN(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, what)
#define IF(op, value, yes, no) (struct sock_filter) BPF_JUMP(BPF_JMP | (op) | BPF_K, value, yes, no)

int calls_filter(void)
{
    struct sock_filter code[8 + 5 * ROWS];
    struct sock_fprog program = {0, code};
    unsigned short n = 0;

    code[n++] = LOAD(arch);
    code[n++] = IF(BPF_JEQ, OUR_ARCH, 1, 0);
    code[n++] = RETURN(SECCOMP_RET_ALLOW);
    code[n++] = LOAD(nr);
    for (size_t i = 0; i < ROWS; i++) {
        bool flags = table[i].flags >= 0;

        code[n++] = IF(BPF_JEQ, (unsigned)table[i].nr, 0, flags ? 4 : 1);
        if (flags) {
            code[n++] = LOAD_ARG((unsigned)table[i].flags);
            code[n++] = IF(BPF_JSET, O_CREAT, 1, 0);
            code[n++] = RETURN(SECCOMP_RET_ALLOW);
        }
        code[n++] = RETURN(SECCOMP_RET_TRACE);
    }
    code[n++] = RETURN(SECCOMP_RET_ALLOW);
    program.len = n;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return -errno;
    return 0;
}
