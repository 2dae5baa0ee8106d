/* SPDX-License-Identifier: MIT */
/*
 * corrupt.c - journals damaged at random: nothing crashes, nothing hangs, and what is lost is said.
 *
 * Three homes are made: all in journal.db, all in the WAL, some in each. They have tasks in all states, in two sessions, with blocks, secrets, events
 * and slots. For each seed one file of a copy is damaged, and in a process of its own the copy is read, looked at by doctor, mended by doctor --fix and
 * opened by an owner. Each of these must end with an answer. When all of them are content, every task and event must be there as it was:
 *
 *     lost     a task or an event is not there, and nobody said a word
 *     altered  it is there with another url, out, key, state or text, and nobody said a word
 *
 *     corrupt [FILES [FIRST SEED]]     corrupt: 10000 cases, crashes 0, silent losses 0, ...
 */
#include "dlmgr/doctor.h"
#include "dlmgr/home.h"
#include "dlmgr/slots.h"
#include "tests/lib/journal.h"
#include "tests/lib/methods.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { TASKS = 60, ITEMS = 1000, HOMES = 3, LIMIT_S = 30 };

static const char *const names[] = {"journal.db",     "journal.db-wal", "secrets.db",
                                    "secrets.db-wal", "slots",          "mark"};

struct bytes {
    unsigned char *data; /* NULL: there is no such file */
    size_t len;
};

struct item { /* a task or an event, and a checksum of what it says */
    int64_t kind, id;
    uint32_t sum;
};

struct items {
    struct item at[ITEMS];
    size_t n;
};

static struct home {
    struct bytes files[ARRAY_SIZE(names)];
    struct items items;
} homes[HOMES];

/* ---- What is in a journal ------------------------------------------------------------------------------------ */

static uint32_t sum_text(uint32_t crc, const char *text)
{
    return text ? dlm_crc32c(crc, text, strlen(text) + 1) : crc + 1;
}

static void note(struct items *items, int64_t kind, int64_t id, uint32_t sum)
{
    if (items->n < ITEMS)
        items->at[items->n++] = (struct item){kind, id, sum};
}

static int note_task(const struct dlm_row *row, void *context)
{
    int state = row->state == DLMGR_RUNNING || row->state == DLMGR_VERIFYING ? DLMGR_QUEUED
                                                                             : row->state;
    uint32_t sum = dlm_crc32c(0, &state, sizeof(state));

    sum = sum_text(sum, row->url);
    sum = sum_text(sum, row->dir);
    sum = sum_text(sum, row->out);
    sum = sum_text(sum, row->key);
    sum = sum_text(sum, row->session);
    note(context, 0, row->id, sum);
    return 0;
}

static int note_event(const struct dlm_event_row *ev, void *context)
{
    note(context, 1 + (strcmp(ev->session, "default") != 0), ev->seq,
         sum_text(sum_text(dlm_crc32c(0, &ev->task, sizeof(ev->task)), ev->type), ev->body));
    return 0;
}

static int note_all(struct dlm_store *s, struct items *ret)
{
    struct dlm_filter all = {.limit = ITEMS};
    int r;

    ret->n = 0;
    r = dlm_store_list(s, &all, note_task, ret);
    if (r >= 0)
        r = dlm_store_events(s, "default", 0, ITEMS, note_event, ret);
    if (r >= 0)
        r = dlm_store_events(s, "org.example.app", 0, ITEMS, note_event, ret);
    return r == DLMGR_ENOTFOUND ? 0 : MIN(r, 0); /* the session is lost: its events are missing */
}

enum { SAME, ALTERED, LOST };

static int compare(const struct items *was, const struct items *is)
{
    int worst = SAME;

    for (size_t i = 0; i < was->n; i++) {
        const struct item *a = &was->at[i], *b = NULL;

        for (size_t k = 0; k < is->n && !b; k++)
            if (is->at[k].kind == a->kind && is->at[k].id == a->id)
                b = &is->at[k];
        worst = MAX(worst, !b ? LOST : b->sum != a->sum ? ALTERED : SAME);
    }
    return worst;
}

/* ---- The homes ---------------------------------------------------------------------------------------------------- */

static void keep(struct home *h)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FD int fd = openat(journal_homefd(), names[i], O_RDONLY | O_CLOEXEC);
        struct stat st;

        h->files[i] = (struct bytes){0};
        if (fd < 0 || fstat(fd, &st) < 0)
            continue;
        h->files[i] = (struct bytes){malloc((size_t)st.st_size + 1), (size_t)st.st_size};
        CU_ASSERT_FATAL(dlm_pread_all(fd, h->files[i].data, h->files[i].len, 0) >= 0);
    }
}

static const char *text_in(const char *before, const char *name)
{
    static char text[100];

    snprintf(text, sizeof(text), "%s%s", before, name);
    return text;
}

static void add_one(struct dlm_store *s, int i)
{
    char dir[300], url[80], out[40], key[40], app[] = "org.example.app",
                                              data[] = "some data of the app";
    const char *secret = i % 7 == 3 ? "{\"url\":\"http://u:p@h/secret\"}" : NULL;
    struct dlm_row row;
    const char *urls[] = {url, "http://mirror:80/f"};
    int64_t id;

    snprintf(dir, sizeof(dir), "%s", test_dir()); /* where the parts are */
    snprintf(url, sizeof(url), "http://host%d:80/some/path/file-%d", i % 5, i);
    snprintf(out, sizeof(out), "file-%d.bin", i);
    snprintf(key, sizeof(key), "key-%d", i);
    row = journal_row(url);
    row.out = out;
    row.dir = dir;
    if (i % 2) {
        row.session = app;
        row.key = key;
        row.user_data = data;
        row.user_data_len = sizeof(data);
    }
    journal_begin(s);
    CU_ASSERT_FATAL(dlm_store_add(s, &row, urls, 2, secret, NULL, &id) == 0);
    journal_commit(s);
    journal_drive(s, id, i % DLM_STATES);
    if (i % DLM_STATES == DLMGR_RUNNING) {
        struct dlm_begin begin = {.id = id,
                                  .total = MIB(9),
                                  .validator = "\"v\"",
                                  .name = out,
                                  .part = out};
        struct dlm_block_row blocks[8];
        struct dlm_ident ident = {.ino = 1, .size = MIB(8)};
        int64_t generation;

        close(openat(journal_homefd(), text_in("../", out), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        for (uint32_t k = 0; k < 8; k++)
            blocks[k] = (struct dlm_block_row){k, 1 << 20, k * 77};
        journal_begin(s);
        CU_ASSERT_FATAL(dlm_store_begin_generation(s, &begin, &generation) == 0);
        CU_ASSERT_FATAL(dlm_store_checkpoint(s, id, generation, &ident, blocks, 8, MIB(8)) == 0);
        journal_commit(s);
    }
}

static void make_slots(void)
{
    struct dlm_hint claim = {.task = 2, .generation = 1, .dev = 1, .ino = 1, .start = 0};
    struct dlm_slots *slots = NULL;

    CU_ASSERT_FATAL(dlm_slots_open(journal_homefd(), &slots, NULL) == 0);
    for (int i = 0; i < 20; i++)
        dlm_slot_store(dlm_slot_take(slots, &claim), 1000 * (i + 1), 1, 2);
    dlm_slots_close(slots);
}

/* h 0: closed, so all is in the databases; 1: all is in the WALs; 2: some in each. */
static void make_home(int h)
{
    struct dlm_store *s = journal_open(DLM_STORE_WRITE);
    int half = h == 2 ? TASKS / 2 : 0;

    for (int i = 0; i < half; i++)
        add_one(s, i);
    if (half) {
        journal_close(s);
        s = journal_open(DLM_STORE_WRITE);
    }
    for (int i = half; i < TASKS; i++)
        add_one(s, i);
    CU_ASSERT_FATAL(note_all(s, &homes[h].items) == 0);
    journal_sound(s);
    make_slots();
    if (h == 0) {
        journal_close(s);
        keep(&homes[h]);
    } else {
        keep(&homes[h]);
        journal_close(s);
    }
    journal_discard();
}

/* ---- Damage ----------------------------------------------------------------------------------------------------------- */

static uint64_t dice;

static uint64_t roll(uint64_t below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return below ? dice % below : 0;
}

static const char *const kinds[] = {"bit",        "byte",        "bytes",       "zero page",
                                    "noise page", "cut",         "cut at page", "copy page",
                                    "swap pages", "zero header", "tail added",  "removed"};

static void noise(unsigned char *at, size_t len)
{
    while (len--)
        *at++ = (unsigned char)roll(256);
}

/* What was done is *ret_kind, an index of kinds. */
static void damage(struct bytes *b, int *ret_kind)
{
    size_t pages = b->len / 4096, page = 4096 * roll(MAX(pages, (size_t)1)),
           other = 4096 * roll(MAX(pages, (size_t)1)),
           len = MIN((size_t)4096, b->len - MIN(b->len, page)), at = roll(b->len);
    size_t many = 2 + roll(64);
    int kind = (int)roll(ARRAY_SIZE(kinds));

    *ret_kind = kind;
    switch (kind) {
    case 0:
        b->data[at] ^= (unsigned char)(1 << roll(8));
        break;
    case 1:
        noise(b->data + at, 1);
        break;
    case 2:
        noise(b->data + at, MIN(many, b->len - at));
        break;
    case 3:
        memset(b->data + page, 0, len);
        break;
    case 4:
        noise(b->data + page, len);
        break;
    case 5:
        b->len = at;
        break;
    case 6:
        b->len = page;
        break;
    case 7:
        memmove(b->data + page, b->data + other, MIN(len, b->len - other));
        break;
    case 8:
        for (size_t i = 0; i < MIN(len, b->len - other); i++) {
            unsigned char c = b->data[page + i];

            b->data[page + i] = b->data[other + i];
            b->data[other + i] = c;
        }
        break;
    case 9:
        memset(b->data, 0, MIN(b->len, (size_t)100));
        break;
    case 10:
        b->data = realloc(b->data, b->len + 8192);
        noise(b->data + b->len, 8192);
        b->len += roll(8192) + 1;
        break;
    default:
        free(TAKE_PTR(b->data));
    }
}

/* ---- One file ---------------------------------------------------------------------------------------------------------- */

struct verdict {     /* what the child found */
    int told, state; /* told: somebody complained; state: SAME, ALTERED, LOST when nobody did */
    int kept,
        saved; /* the damaged file is still there byte for byte; the home can be used after --fix */
    int n_after; /* tasks and events that an owner sees in the end */
};

static bool put(const struct bytes *b, const char *name)
{
    CLEANUP_FD int fd = -1;

    if (!b->data)
        return unlinkat(journal_homefd(), name, 0) == 0 || errno == ENOENT;
    fd = openat(journal_homefd(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd >= 0 && dlm_pwrite_all(fd, b->data, b->len, 0) == 0;
}

static int doctor(int fix)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_JSON json_t *result = NULL;

    if (dlm_doctor(journal_home(), fix, &text, NULL) < 0)
        return -1;
    result = json_loads(text, 0, NULL);
    return (int)json_array_size(json_object_get(result, "problems"));
}

static int see(int mode, const struct items *was, struct items *is, int *ret_state)
{
    struct dlm_store *s = NULL;
    int r = dlm_store_open(journal_homefd(), journal_home(), mode, &s, NULL);

    is->n = 0;
    if (r == 0 && mode == DLM_STORE_WRITE) {
        r = dlm_store_begin(s);
        if (r == 0)
            r = dlm_store_recover(s);
        r = r == 0 ? dlm_store_commit(s, NULL) : r;
    }
    if (r == 0)
        r = note_all(s, is);
    *ret_state = r == 0 ? compare(was, is) : LOST;
    dlm_store_close(s);
    return r;
}

static int count_hint(const struct dlm_hint *hint, void *context)
{
    *(int64_t *)context += hint->end > hint->start;
    return 0;
}

static struct verdict examine(const struct home *h)
{
    static struct items is;
    struct verdict v = {0};
    struct dlm_slots *slots = NULL;
    int reader, writer, fixed;
    int64_t hints = 0;

    v.told = see(DLM_STORE_READ, &h->items, &is, &reader) < 0;
    v.told |= doctor(0) != 0;
    fixed = doctor(1);
    v.told |= fixed != 0;
    if (see(DLM_STORE_WRITE, &h->items, &is, &writer) < 0)
        v.told = 1;
    else
        v.saved = 1;
    v.n_after = (int)is.n;
    v.told |= dlm_slots_open(journal_homefd(), &slots, NULL) < 0;
    if (slots)
        dlm_slots_each(slots, count_hint, &hints);
    dlm_slots_close(slots);
    v.state = v.told ? SAME : MAX(reader, writer);
    return v;
}

static struct {
    long files, crashes, lost, altered, told, same, unusable;
    long by_kind[ARRAY_SIZE(kinds)][3];
    long kept_items, all_items;
} sum;

static void wipe_home(void)
{
    char command[600];

    snprintf(command, sizeof(command), "rm -rf '%s/quarantine'", journal_home());
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        unlinkat(journal_homefd(), names[i], 0);
    unlinkat(journal_homefd(), "journal.db-shm", 0);
    unlinkat(journal_homefd(), "secrets.db-shm", 0);
    if (faccessat(journal_homefd(), "quarantine", F_OK, 0) == 0 && system(command) != 0)
        abort();
}

static void one(uint64_t seed)
{
    struct home *h;
    struct bytes b;
    struct verdict v = {0};
    int file, kind = 0, pipes[2], status = 0;
    pid_t pid;

    dice = seed * 0x9e3779b97f4a7c15u + 1;
    h = &homes[roll(HOMES)];
    do
        file = roll(3) ? (int)roll(2) : (int)roll(ARRAY_SIZE(names));
    while (!h->files[file].data || !h->files[file].len);
    wipe_home();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        CU_ASSERT_FATAL(put(&h->files[i], names[i]));
    b = (struct bytes){malloc(h->files[file].len + 1), h->files[file].len};
    memcpy(b.data, h->files[file].data, b.len);
    damage(&b, &kind);
    CU_ASSERT_FATAL(put(&b, names[file]));
    free(b.data);
    CU_ASSERT_FATAL(pipe(pipes) == 0);
    pid = fork();
    if (pid == 0) {
        alarm(LIMIT_S);
        v = examine(h);
        _exit(write(pipes[1], &v, sizeof(v)) == sizeof(v) ? 0 : 99);
    }
    close(pipes[1]);
    waitpid(pid, &status, 0);
    if (status || read(pipes[0], &v, sizeof(v)) != sizeof(v)) {
        sum.crashes++;
        printf("seed %llu: %s of %s: ended with %#x\n", (unsigned long long)seed, kinds[kind],
               names[file], (unsigned)status);
    }
    close(pipes[0]);
    sum.files++;
    sum.told += v.told;
    sum.lost += v.state == LOST;
    sum.altered += v.state == ALTERED;
    sum.same += !status && !v.told && v.state == SAME;
    if (!status && !v.saved && getenv("VERBOSE"))
        printf("seed %llu: %s of %s: unusable\n", (unsigned long long)seed, kinds[kind],
               names[file]);
    sum.unusable += !status && !v.saved;
    sum.by_kind[kind][v.state]++;
    if (v.told && file < 2) {
        sum.kept_items += v.n_after;
        sum.all_items += (long)h->items.n;
    }
    if (v.state != SAME && (v.state == LOST || getenv("VERBOSE")))
        printf("seed %llu: %s of %s in home %d: %s\n", (unsigned long long)seed, kinds[kind],
               names[file], (int)(h - homes), v.state == LOST ? "lost" : "altered");
}

static long n_files = 60;
static uint64_t first = 1;

static void test_cases(void)
{
    for (int h = 0; h < HOMES; h++)
        make_home(h);
    for (uint64_t seed = first; seed < first + (uint64_t)n_files; seed++)
        one(seed);
}

static const struct test tests[] = {TEST(test_cases)};

int main(int argc, char **argv)
{
    int status;

    n_files = argc > 1 ? atol(argv[1]) : n_files;
    first = argc > 2 ? strtoull(argv[2], NULL, 10) : first;
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* the disk is not what is tested */
    status = test_main(1, argv, "corrupt", tests, ARRAY_SIZE(tests));
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
        printf("  %-12s lost %ld, altered %ld\n", kinds[k], sum.by_kind[k][LOST],
               sum.by_kind[k][ALTERED]);
    printf("  told %ld, unharmed %ld, unusable after --fix %ld, of told journals %ld of %ld tasks and events are there after --fix\n",
           sum.told, sum.same, sum.unusable, sum.kept_items, sum.all_items);
    printf("corrupt: %ld cases, crashes %ld, silent losses %ld, silent alterations %ld, violations %ld\n",
           sum.files, sum.crashes, sum.lost, sum.altered, sum.crashes + sum.lost);
    return status || sum.crashes || sum.lost;
}
