/* SPDX-License-Identifier: MIT */
/*
 * image_disk.c - the image from files, and states as files. See image.h.
 */
#include "image.h"

#include "dlmgr/base.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- Reading ------------------------------------------------------------------------------------------ */

static int load_file(struct thing *t, const char *path)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct statx stx;

    if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
        return -errno;
    t->ino = stx.stx_ino;
    t->btime_ns = stx.stx_mask & STATX_BTIME
                      ? stx.stx_btime.tv_sec * 1000000000 + stx.stx_btime.tv_nsec
                      : 0;
    bytes_size(&t->bytes, (int64_t)stx.stx_size);
    return read(fd, t->bytes.at, stx.stx_size) == (ssize_t)stx.stx_size ? 0 : -EIO;
}

static int load_dir(struct image *im, int at, const char *path)
{
    DIR *dir = opendir(path);
    int r = dir ? 0 : -errno;

    for (struct dirent *d = dir ? readdir(dir) : NULL; d && r == 0; d = readdir(dir)) {
        char below[4096];
        struct stat st;
        int thing;

        snprintf(below, sizeof(below), "%s/%s", path, d->d_name);
        if (d->d_name[0] == '.' || lstat(below, &st))
            continue;
        thing = image_add(im, S_ISDIR(st.st_mode), st.st_mode & 07777);
        names_set(&im->things[at].names, d->d_name, thing);
        r = S_ISDIR(st.st_mode) ? load_dir(im, thing, below) : load_file(&im->things[thing], below);
    }
    names_copy(&im->things[at].now, &im->things[at].names);
    if (dir)
        closedir(dir);
    return r;
}

int image_load(struct image *im, const char *root)
{
    im->root = strdup(root);
    image_add(im, true, 0755);
    return im->root ? load_dir(im, 0, root) : -ENOMEM;
}

/* ---- Writing ------------------------------------------------------------------------------------------- */

static bool is_mapped(const char *name)
{
    size_t n = strlen(name);

    return strcmp(name, "slots") == 0 || (n > 4 && strcmp(name + n - 4, "-shm") == 0);
}

/* What stores into memory leave cannot be known. */
static void scribble(struct bytes *b, uint64_t *rng)
{
    if (draw_next(rng) & 1)
        return;
    for (int64_t i = 0; i + 8 <= b->size; i += 8) {
        uint64_t word = draw_next(rng);

        memcpy(b->at + i, &word, 8);
    }
}

static int put_file(struct thing *t, const char *path)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0 || write(fd, t->scratch.at, (size_t)t->scratch.size) != t->scratch.size ||
        fchmod(fd, t->chosen_mode) || fstat(fd, &st))
        return -EIO;
    t->made = st.st_ino;
    return 0;
}

static int put_dir(struct image *im, int dir, const char *path, uint64_t *rng)
{
    const struct names *names = &im->things[dir].chosen;
    int r = 0;

    for (size_t i = 0; i < names->n && r == 0; i++) {
        struct thing *t = &im->things[names->at[i].thing];
        char here[4096];

        snprintf(here, sizeof(here), "%s/%s", path, names->at[i].text);
        if (!t->dir && is_mapped(names->at[i].text))
            scribble(&t->scratch, rng);
        if (!t->dir)
            r = put_file(t, here);
        else if (mkdir(here, t->chosen_mode))
            r = -errno;
        else
            r = put_dir(im, names->at[i].thing, here, rng);
    }
    return r;
}

static int wipe(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    return ftw->level == 0 || remove(path) == 0 ? 0 : -1;
}

int image_put(struct image *im, uint64_t seed)
{
    uint64_t rng = seed;

    for (size_t i = 0; i < im->n; i++)
        im->things[i].made = 0;
    if (nftw(im->root, wipe, 16, FTW_DEPTH | FTW_PHYS))
        return -EIO;
    return put_dir(im, 0, im->root, &rng);
}

const struct thing *image_was(const struct image *im, uint64_t ino)
{
    for (size_t i = 0; i < im->n; i++)
        if (im->things[i].made == ino && ino)
            return &im->things[i];
    return NULL;
}

/* ---- Is the model right? --------------------------------------------------------------------------------- */

static int compare_file(const struct thing *t, const char *path)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP_FREE unsigned char *data = malloc((size_t)t->scratch.size + 1);
    ssize_t n = fd < 0 || !data ? -1 : dlm_pread_all(fd, data, (size_t)t->scratch.size + 1, 0);

    if (n == t->scratch.size && memcmp(data, t->scratch.at, (size_t)n) == 0)
        return 0;
    printf("    the model says that %s has %lld bytes, and it is otherwise (%lld)\n", path,
           (long long)t->scratch.size, (long long)n);
    return 1;
}

static int count_there(const char *path)
{
    static const char script[] = "ls -A \"$1\" | grep -v '\\.sock' | wc -l";
    char command[4200];
    int n = -1;
    FILE *f;

    snprintf(command, sizeof(command), "set -- '%s'; %s", path, script);
    f = popen(command, "re");
    if (f && fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f)
        pclose(f);
    return n;
}

static int compare_dir(const struct image *im, int dir, const char *path)
{
    const struct names *names = &im->things[dir].chosen;
    int wrong = count_there(path) != (int)names->n;

    if (wrong)
        printf("    the model has %zu names in %s, and there are others\n", names->n, path);
    for (size_t i = 0; i < names->n; i++) {
        const struct thing *t = &im->things[names->at[i].thing];
        char here[4096];

        snprintf(here, sizeof(here), "%s/%s", path, names->at[i].text);
        if (t->dir)
            wrong += compare_dir(im, names->at[i].thing, here);
        else if (!is_mapped(names->at[i].text))
            wrong += compare_file(t, here);
    }
    return wrong;
}

int image_compare(const struct image *im)
{
    return compare_dir(im, 0, im->root);
}
