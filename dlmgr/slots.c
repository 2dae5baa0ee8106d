/* SPDX-License-Identifier: MIT */
/*
 * slots.c - the mapped file of claims: see slots.h.
 *
 * A slot has two records and says which one counts. A store fills the other one and then flips, so a kill between any two
 * instructions leaves a whole record. Stores of one thread reach the page in order (release), and the kernel reads
 * them no earlier than the thread has died.
 */
#include "dlmgr/slots.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SLOTS 1024
#define MAGIC 0x31736c6du /* "mls1": changes with the layout */

struct record {
    int64_t end;
    uint32_t chain, crc;
};

struct dlm_slot {
    uint32_t magic; /* 0: free */
    _Atomic uint32_t active;
    char boot[40];
    uint64_t dev, ino;
    int64_t task, generation, start;
    struct record record[2];
};

struct dlm_slots {
    struct dlm_slot *map;
    size_t next; /* where the search for a free one begins */
    char boot[40];
};

void dlm_boot_id(char out[40])
{
    CLEANUP_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : dlm_pread_all(fd, out, 36, 0);

    out[n == 36 ? 36 : 0] = '\0';
}

uint32_t dlm_chain(uint32_t chain, uint32_t block_crc)
{
    return dlm_crc32c(chain, &block_crc, sizeof(block_crc));
}

static int open_file(int homefd, dlmgr_error *e)
{
    CLEANUP_FD int fd = openat(homefd, "slots", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    off_t want = SLOTS * (off_t)sizeof(struct dlm_slot);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return dlm_fail_errno(e, DLMGR_EHOME, "slots", "cannot open the home's file `slots`");
    if (!S_ISREG(st.st_mode))
        return dlm_fail(e, DLMGR_EHOME, "the home's `slots` is not a regular file: move it away");
    /* Allocated, not only extended: a store to a hole on a full disk would be SIGBUS. */
    if (st.st_size != want && ftruncate(fd, 0) < 0)
        return dlm_fail_errno(e, DLMGR_EIO, "slots", "cannot empty the home's file `slots`");
    errno = posix_fallocate(fd, 0, want);
    if (errno != 0)
        return dlm_fail_errno(e, DLMGR_EIO, "slots", "cannot allocate the home's file `slots`");
    return TAKE_FD(fd);
}

int dlm_slots_open(int homefd, struct dlm_slots **ret, dlmgr_error *e)
{
    CLEANUP_FREE struct dlm_slots *s = dlm_alloc(sizeof(*s));
    CLEANUP_FD int fd = open_file(homefd, e);
    void *map;

    if (fd < 0)
        return fd;
    if (!s)
        return dlm_fail(e, DLMGR_ENOMEM, "no memory for the slots");
    map = mmap(NULL, SLOTS * sizeof(struct dlm_slot), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return dlm_fail_errno(e, DLMGR_EIO, "slots", "cannot map the home's file `slots`");
    s->map = map;
    dlm_boot_id(s->boot);
    *ret = TAKE_PTR(s);
    return 0;
}

struct dlm_slots *dlm_slots_close(struct dlm_slots *s)
{
    if (s)
        munmap(s->map, SLOTS * sizeof(struct dlm_slot));
    free(s);
    return NULL;
}

/* The file is input like any other: a slot that cannot be is no slot. */
static bool slot_claims(const struct dlm_slots *s, const struct dlm_slot *slot, struct dlm_hint *ret)
{
    const struct record *r = &slot->record[slot->active & 1];

    if (slot->magic != MAGIC || !s->boot[0] || memcmp(slot->boot, s->boot, sizeof(s->boot)) != 0 ||
        slot->start < 0 || r->end <= slot->start)
        return false;
    *ret = (struct dlm_hint){.task = slot->task,
                             .generation = slot->generation,
                             .dev = slot->dev,
                             .ino = slot->ino,
                             .start = slot->start,
                             .end = r->end,
                             .chain = r->chain,
                             .crc = r->crc};
    memcpy(ret->boot, s->boot, sizeof(s->boot));
    return true;
}

int dlm_slots_each(struct dlm_slots *s, int (*fn)(const struct dlm_hint *hint, void *context),
                   void *context)
{
    int r = 0;

    for (size_t i = 0; i < SLOTS && r == 0; i++) {
        struct dlm_hint hint;

        if (slot_claims(s, &s->map[i], &hint))
            r = fn(&hint, context);
    }
    return r;
}

void dlm_slots_clear(struct dlm_slots *s)
{
    memset(s->map, 0, SLOTS * sizeof(struct dlm_slot));
}

struct dlm_slot *dlm_slot_take(struct dlm_slots *s, const struct dlm_hint *claim)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct dlm_slot *slot = &s->map[(s->next + i) % SLOTS];

        if (slot->magic != 0)
            continue;
        *slot = (struct dlm_slot){.dev = claim->dev,
                                  .ino = claim->ino,
                                  .task = claim->task,
                                  .generation = claim->generation,
                                  .start = claim->start,
                                  .record[0].end = claim->start};
        memcpy(slot->boot, s->boot, sizeof(s->boot));
        atomic_thread_fence(memory_order_release);
        slot->magic = MAGIC;
        s->next = (s->next + i + 1) % SLOTS;
        return slot;
    }
    return NULL;
}

void dlm_slot_put(struct dlm_slots *s, struct dlm_slot *slot)
{
    if (!slot)
        return;
    slot->magic = 0;
    s->next = (size_t)(slot - s->map);
}

void dlm_slot_store(struct dlm_slot *slot, int64_t end, uint32_t chain, uint32_t crc)
{
    uint32_t other = !(atomic_load_explicit(&slot->active, memory_order_relaxed) & 1);

    slot->record[other] = (struct record){.end = end, .chain = chain, .crc = crc};
    atomic_store_explicit(&slot->active, other, memory_order_release);
}
