/* SPDX-License-Identifier: MIT */
/*
 * deny.c - let system calls fail, by a seccomp filter of one thread: see deny.h.
 */
#include "tests/lib/deny.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/prctl.h>

#define ROWS_MAX 8

struct run {
    const struct deny *rows;
    size_t n;
    int (*fn)(void *context);
    void *context;
    int result;
};

static bool filter(const struct deny *rows, size_t n)
{
    struct sock_filter code[2 * ROWS_MAX + 2];
    struct sock_fprog program = {.filter = code};
    unsigned short at = 0;

    code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                              offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < n; i++) {
        code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)rows[i].nr,
                                                  0, 1);
        code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
                                                  SECCOMP_RET_ERRNO | (unsigned)rows[i].err);
    }
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program.len = at;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void *run_denied(void *arg)
{
    struct run *run = arg;

    if (filter(run->rows, run->n))
        run->result = run->fn(run->context);
    return NULL;
}

int deny_run(const struct deny *rows, size_t n, int (*fn)(void *context), void *context)
{
    struct run run = {.rows = rows, .n = n, .fn = fn, .context = context, .result = -1000};
    pthread_t thread;

    if (n <= ROWS_MAX && pthread_create(&thread, NULL, run_denied, &run) == 0)
        pthread_join(thread, NULL);
    return run.result;
}
