/* SPDX-License-Identifier: MIT */
/*
 * test_fuzz.c - a short, seeded slice of the fuzzing: each target on its corpus, and on some thousand changes of it.
 *
 * The changes follow from FUZZ_SEED (1 when it is not set) alone, so what failed fails again. FUZZ_MS is how long a target may take, by the
 * clock of its own processor time, and FUZZ_RUNS how many changes it gets at most. Each target runs in a child: one that dies leaves the
 * input that it was at, which is shown in hex and can be given to it again:
 *
 *     xxd -r -p >crash; make fuzz T=NAME RUNS=0 && build/libfuzzer/fuzz/fuzz_NAME crash
 */
#include "tests/fuzz/fuzz.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { INPUTS_MAX = 256, INPUT_MAX = 4096 };

struct input {
    size_t size;
    uint8_t data[INPUT_MAX];
};

static struct input corpus[INPUTS_MAX];
static size_t n_corpus;
static uint64_t dice_state;

static uint32_t dice(size_t n)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return n ? (uint32_t)((dice_state >> 33) % n) : 0;
}

static int64_t setting(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoll(text, NULL, 10) : otherwise;
}

/* ---- Changing ---------------------------------------------------------------------------------- */

static void insert(struct input *in, size_t at, const uint8_t *data, size_t n)
{
    n = MIN(n, INPUT_MAX - in->size);
    memmove(in->data + at + n, in->data + at, in->size - at);
    memcpy(in->data + at, data, n);
    in->size += n;
}

static void cut(struct input *in, size_t at, size_t n)
{
    n = MIN(n, in->size - at);
    memmove(in->data + at, in->data + at + n, in->size - at - n);
    in->size -= n;
}

/* One change: a bit, a byte, a piece gone, a piece twice, a piece of another input. */
static void change(struct input *in)
{
    static const char hot[] = "\0\n\r\t \"%&'*+,-./0129:;<=>?@A[\\]_a{|}~\x7f\x80\xc0\xe2\xff";
    size_t at = dice(in->size + 1), from;
    const struct input *other = &corpus[dice(n_corpus)];
    uint8_t copy[64], byte = (uint8_t)hot[dice(sizeof(hot) - 1)];

    switch (dice(6)) {
    case 0:
        if (at < in->size)
            in->data[at] ^= (uint8_t)(1u << dice(8));
        break;
    case 1:
        if (at < in->size)
            in->data[at] = dice(2) ? byte : (uint8_t)dice(256);
        break;
    case 2:
        cut(in, at, 1 + dice(dice(4) ? 4 : 64));
        break;
    case 3:
        from = dice(in->size);
        memcpy(copy, in->data + from, MIN(sizeof(copy), in->size - from));
        insert(in, at, copy, dice(MIN(sizeof(copy), in->size - from) + 1));
        break;
    case 4:
        from = dice(other->size);
        insert(in, at, other->data + from, dice(MIN(64, other->size - from) + 1));
        break;
    default:
        insert(in, at, &byte, 1);
    }
}

/* ---- Running ----------------------------------------------------------------------------------- */

static void load(const char *name)
{
    char path[512];
    DIR *dir;

    n_corpus = 0;
    snprintf(path, sizeof(path), "tests/fuzz/%s", name);
    dir = opendir(path);
    CU_ASSERT_FATAL(dir != NULL);
    for (struct dirent *d; (d = readdir(dir)) && n_corpus < INPUTS_MAX;) {
        struct input *in = &corpus[n_corpus];
        int fd = d->d_name[0] == '.' ? -1 : openat(dirfd(dir), d->d_name, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : dlm_pread_all(fd, in->data, INPUT_MAX, 0);

        if (n >= 0)
            corpus[n_corpus++].size = (size_t)n;
        if (fd >= 0)
            close(fd);
    }
    closedir(dir);
    CU_ASSERT_FATAL(n_corpus > 0);
}

/* Names of files come in any order, and the seed must mean the same everywhere. */
static int by_content(const void *a, const void *b)
{
    const struct input *x = a, *y = b;
    int r = memcmp(x->data, y->data, MIN(x->size, y->size));

    return r ? r : (x->size > y->size) - (x->size < y->size);
}

static int64_t used_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

typedef void target_fn(const uint8_t *data, size_t size);

static void run_one(target_fn *fn, const struct input *in)
{
    CLEANUP_FREE uint8_t *exact = dlm_alloc(in->size +
                                            !in->size); /* so that a sanitizer sees its end */

    if (!exact)
        _exit(3);
    memcpy(exact, in->data, in->size);
    fn(exact, in->size);
}

static void run_all(target_fn *fn, struct input *at)
{
    int64_t runs = setting("FUZZ_RUNS", 20000), end = used_ms() + setting("FUZZ_MS", 700);

    for (size_t i = 0; i < n_corpus; i++) {
        *at = corpus[i];
        run_one(fn, at);
    }
    for (int64_t i = 0; i < runs && used_ms() < end; i++) {
        *at = corpus[dice(n_corpus)];
        for (uint32_t n = 1 + dice(6); n > 0; n--)
            change(at);
        run_one(fn, at);
    }
}

static void show(const char *name, const struct input *at)
{
    printf("    FUZZ_SEED=%lld; fuzz_%s died of these %zu bytes:\n    ",
           (long long)setting("FUZZ_SEED", 1), name, at->size);
    for (size_t i = 0; i < at->size; i++)
        printf("%02x", at->data[i]);
    printf("\n");
}

static void run(const char *name, target_fn *fn)
{
    struct input *at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                            -1, 0);
    int status = -1;
    pid_t pid;

    CU_ASSERT_FATAL(at != MAP_FAILED);
    load(name);
    qsort(corpus, n_corpus, sizeof(corpus[0]), by_content);
    dice_state = (uint64_t)setting("FUZZ_SEED", 1);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* nothing here is about the disk */
    test_dir();                          /* made here, so that it is removed here */
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        run_all(fn, at);
        exit(0); /* so that leaks are looked for */
    }
    CU_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    if (status != 0)
        show(name, at);
    munmap(at, sizeof(*at));
}

#define RUN(name)                                                                                  \
    static void test_fuzz_##name(void)                                                             \
    {                                                                                              \
        run(#name, fuzz_##name);                                                                   \
    }
#define ROW(name) TEST(test_fuzz_##name),
/* clang-format off */
FUZZ_TARGETS(RUN)
static const struct test tests[] = {FUZZ_TARGETS(ROW)};
/* clang-format on */

TEST_MAIN("fuzz", tests)
