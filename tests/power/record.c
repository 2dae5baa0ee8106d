/* SPDX-License-Identifier: MIT */
/*
 * record.c - a story's files, and its launches under the killer: see power.h.
 *
 * All stands below one directory, so that it is the evidence: N.calls, N.data and N.out of each launch, the server's port, and who the files were that
 * stood there first. With these a state can be made again.
 */
#include "power.h"

#include "dlmgr/base.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Files ------------------------------------------------------------------------------------------- */

static int find_dir(struct scene *s, const char *again)
{
    const char *tmp = getenv("TMPDIR");
    CLEANUP_FREE char *real = realpath(again ? again : tmp && tmp[0] ? tmp : "/tmp", NULL);

    if (!real || strlen(real) > 100)
        return -ENAMETOOLONG;
    snprintf(s->dir, sizeof(s->dir), again ? "%s" : "%s/dlmgr-power-XXXXXX", real);
    if (!again && !mkdtemp(s->dir))
        return -errno;
    snprintf(s->disk, sizeof(s->disk), "%s/disk", s->dir);
    snprintf(s->home, sizeof(s->home), "%s/home", s->disk);
    snprintf(s->dest, sizeof(s->dest), "%s/dest", s->disk);
    snprintf(s->claims, sizeof(s->claims), "%s/claims", s->disk);
    snprintf(s->tmp, sizeof(s->tmp), "%s/tmp", s->dir);
    return 0;
}

static int run(const char *const *argv, const char *out, int *ret_code)
{
    pid_t pid = fork();
    int status, fd;

    if (pid == 0) {
        fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, 1) < 0)
            _exit(125);
        close(fd);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(125);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -errno;
    *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return 0;
}

static int make_files(struct scene *s)
{
    static const char *const argv_of[] = {"/bin/rm", "-rf", NULL, NULL};
    const char *argv[] = {argv_of[0], argv_of[1], s->disk, NULL};
    char path[300];
    int code, r = run(argv, "/dev/null", &code);

    if (r == 0 && (mkdir(s->disk, 0755) || mkdir(s->dest, 0755) || mkdir(s->claims, 0755) ||
                   (mkdir(s->tmp, 0700) && errno != EEXIST)))
        r = -errno;
    for (size_t i = 0; i < ARRAY_SIZE(s->story->kept) && s->story->kept[i].name && r == 0; i++) {
        const struct kept *k = &s->story->kept[i];

        snprintf(path, sizeof(path), "%s/%s", s->dest, k->name);
        r = fx_file_write(path, k->size, k->seed);
    }
    image_free(&s->image);
    return r ? r : image_load(&s->image, s->disk);
}

/* The port, and each file that is there: read when it is a telling from before, else written. */
static int notes(struct scene *s, bool again, int *io_port)
{
    char path[300];
    FILE *f;
    int r = 0;

    snprintf(path, sizeof(path), "%s/notes", s->dir);
    f = fopen(path, again ? "re" : "we");
    if (!f)
        return -errno;
    if (again ? fscanf(f, "%d", io_port) != 1 : fprintf(f, "%d\n", *io_port) < 0)
        r = -EPROTO;
    for (size_t i = 0; i < s->image.n && r == 0; i++) {
        struct thing *t = &s->image.things[i];

        if (again ? fscanf(f, "%lu %ld", &t->ino, &t->btime_ns) != 2
                  : fprintf(f, "%lu %ld\n", t->ino, t->btime_ns) < 0)
            r = -EPROTO;
    }
    return fclose(f) ? -EIO : r;
}

/* ---- Launches ------------------------------------------------------------------------------------------ */

static void self(char out[4096], const char *program)
{
    ssize_t n = readlink("/proc/self/exe", out, 4000);
    char *slash;

    out[n > 0 ? n : 0] = 0; /* BUILD/power/power */
    for (int i = 0; program && i < 2; i++)
        if ((slash = strrchr(out, '/')))
            *slash = 0;
    if (program)
        strcat(out, program);
}

static int launch(struct scene *s, int number, enum launch_kind kind, long kill_at)
{
    char killer[4096], program[4096], calls[300], data[300], out[300], at[32], what[8];
    const char *argv[24] = {killer, "--timeout",    "60",    "--log", calls,     "--data",
                            data,   "--kill-at",    at,      "--",    program,   "--tell",
                            what,   s->story->name, s->home, s->dest, s->claims, s->url};
    int code, r;

    self(killer, "/crash/killer");
    self(program, NULL);
    snprintf(calls, sizeof(calls), "%s/%d.calls", s->dir, number);
    snprintf(data, sizeof(data), "%s/%d.data", s->dir, number);
    snprintf(out, sizeof(out), "%s/%d.out", s->dir, number);
    snprintf(at, sizeof(at), "%ld", kill_at);
    snprintf(what, sizeof(what), "%d", (int)kind);
    r = run(argv, out, &code);
    if (r == 0 && code != (kill_at ? 137 : 0)) {
        printf("%s: launch %d ended with %d, see %s\n", s->story->name, number, code, out);
        r = -EPROTO;
    }
    return r ? r : tape_add(&s->tape, calls, data, out);
}

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The sync of the last commit before the first line was said. */
static long call_to_kill(const struct tape *t)
{
    long call = 0;
    bool written = false;

    for (size_t i = 0; i < t->n && t->ops[i].kind != OP_TOLD; i++) {
        const struct op *op = &t->ops[i];
        bool its = ends(op->path, "/journal.db-wal");

        if (its && op->kind == OP_SYNC && written)
            call = op->call;
        written = its ? op->kind == OP_WRITE : written;
    }
    return call;
}

/* Played to its end, the model must be what is there: then nothing was missed. */
static int model_is_right(const struct scene *s, struct image *im)
{
    for (size_t i = 0; i < s->tape.n; i++)
        image_step(im, &s->tape.ops[i]);
    image_choose(im, 0, 1);
    return image_compare(im) ? -EPROTO : 0;
}

static int record(struct scene *s)
{
    struct image im = {0};
    long kill_at = 0;
    int r = 0;

    if (s->story->killed_unsynced) {
        r = launch(s, 0, s->story->launches[0], 0);
        kill_at = call_to_kill(&s->tape);
        tape_free(&s->tape);
        if (r == 0)
            r = make_files(s);
    }
    if (r == 0)
        r = image_load(&im, s->disk);
    for (int i = 0; i < POWER_LAUNCHES && s->story->launches[i] && r == 0; i++)
        r = launch(s, i, s->story->launches[i], i == 0 ? kill_at : 0);
    if (r == 0)
        r = model_is_right(s, &im);
    image_free(&im);
    return r;
}

static int read_again(struct scene *s)
{
    int r = 0;

    for (int i = 0; i < POWER_LAUNCHES && s->story->launches[i] && r == 0; i++) {
        char calls[300], data[300], out[300];

        snprintf(calls, sizeof(calls), "%s/%d.calls", s->dir, i);
        snprintf(data, sizeof(data), "%s/%d.data", s->dir, i);
        snprintf(out, sizeof(out), "%s/%d.out", s->dir, i);
        r = tape_add(&s->tape, calls, data, out);
    }
    return r;
}

int scene_make(struct scene *s, const struct power_story *story, const char *again)
{
    struct fx_options options = {0};
    int r;

    *s = (struct scene){.story = story};
    r = find_dir(s, again);
    if (r == 0)
        r = make_files(s);
    if (r == 0 && again)
        r = notes(s, true, &options.port);
    if (r == 0)
        r = fx_start(&s->fx, &options);
    if (r)
        return r;
    s->url = fx_url(s->fx, "/");
    s->url[strlen(s->url) - 1] = 0;
    options.port = fx_port(s->fx);
    r = again ? read_again(s) : record(s);
    return r || again ? r : notes(s, false, &options.port);
}

struct app_place scene_place(const struct scene *s)
{
    return (struct app_place){.story = s->story,
                              .home = s->home,
                              .dest = s->dest,
                              .claims = s->claims,
                              .url = s->url,
                              .fx = s->fx,
                              .told = -1};
}

void scene_free(struct scene *s, bool keep)
{
    const char *argv[] = {"/bin/rm", "-rf", s->dir, NULL};
    int code;

    s->fx = fx_stop(s->fx);
    free(s->url);
    tape_free(&s->tape);
    image_free(&s->image);
    if (!keep && s->dir[0])
        run(argv, "/dev/null", &code);
}
