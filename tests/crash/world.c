/* SPDX-License-Identifier: MIT */
/*
 * world.c - the files and processes of one telling of a story: see story.h.
 *
 * Everything of a telling stands below one directory: home, destination, the two servers' logs, and for each launch
 * its calls, stdout and stderr. So the directory is the evidence when something is wrong. Paths are real ones (no
 * links), since the log of calls names files as the kernel does. Only processes started here are ever ended: the killer
 * takes what it traces with it.
 */
#include "story.h"

#include "dlmgr/base.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Files ------------------------------------------------------------------------------------- */

static int put_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    int r = f && fputs(text, f) >= 0 ? 0 : -EIO;

    if (f && fclose(f))
        r = -EIO;
    return r;
}

char *world_fill(const struct world *w, const char *text)
{
    char *out = NULL, *url;
    size_t size = 0;
    FILE *f = open_memstream(&out, &size);

    for (const char *p = text; f && *p; p++) {
        struct fx *fx = p[0] == '$' && p[1] == 'U'   ? w->first
                        : p[0] == '$' && p[1] == 'V' ? w->second
                                                     : NULL;

        if (fx) {
            url = fx_url(fx, "/");
            fprintf(f, "%.*s", (int)strlen(url) - 1, url);
            free(url);
        } else if (p[0] == '$') {
            fputs(p[1] == 'D' ? w->dest : w->list, f);
        } else {
            fputc(*p, f);
        }
        p += p[0] == '$';
    }
    if (f)
        fclose(f);
    return out;
}

static int start_server(struct world *w, const char *name, const char *script, struct fx **ret)
{
    char log[400], file[400];
    CLEANUP_FREE char *text = script ? world_fill(w, script) : NULL;
    struct fx_options options = {.log = log, .script = script ? file : NULL};
    int r = 0;

    snprintf(log, sizeof(log), "%s/%s.log", w->dir, name);
    snprintf(file, sizeof(file), "%s/%s.script", w->dir, name);
    if (text)
        r = put_text(file, text);
    return r ? r : fx_start(ret, &options);
}

static int make_files(struct world *w)
{
    const struct story *s = w->story;
    char path[700];
    int r = mkdir(w->dest, 0755) || mkdir(w->tmp, 0700) ? -errno : 0;

    for (size_t i = 0; i < STORY_KEPT && s->kept[i].name && !r; i++) {
        snprintf(path, sizeof(path), "%s/%s", w->dest, s->kept[i].name);
        r = fx_file_write(path, s->kept[i].size, s->kept[i].seed);
        w->check.n_kept = i + 1;
    }
    if (!r && s->list) {
        CLEANUP_FREE char *text = world_fill(w, s->list);

        r = text ? put_text(w->list, text) : -ENOMEM;
    }
    return r;
}

static void find_programs(struct world *w)
{
    const char *b = getenv("B");
    char *slash;
    ssize_t n = readlink("/proc/self/exe", w->bin, sizeof(w->bin) - 1);

    if (b && b[0] == '/') {
        snprintf(w->bin, sizeof(w->bin), "%s", b);
        return;
    }
    w->bin[n > 0 ? n : 0] = 0; /* BUILD/crash/program */
    for (int i = 0; i < 2; i++)
        if ((slash = strrchr(w->bin, '/')))
            *slash = 0;
}

int world_make(struct world *w, const struct story *story)
{
    const char *tmp = getenv("TMPDIR");
    CLEANUP_FREE char *real = realpath(tmp && tmp[0] ? tmp : "/tmp", NULL);
    int r;

    *w = (struct world){.story = story, .timeout = 60};
    umask(022);
    if (!real || strlen(real) > 180)
        return -ENAMETOOLONG;
    snprintf(w->dir, sizeof(w->dir), "%s/dlmgr-crash-XXXXXX", real);
    if (!mkdtemp(w->dir))
        return -errno;
    find_programs(w);
    snprintf(w->home, sizeof(w->home), "%s/home", w->dir);
    snprintf(w->dest, sizeof(w->dest), "%s/dest", w->dir);
    snprintf(w->tmp, sizeof(w->tmp), "%s/tmp", w->dir);
    snprintf(w->list, sizeof(w->list), "%s/list", w->dir);
    r = start_server(w, "second", story->script2, &w->second);
    if (!r)
        r = start_server(w, "first", story->script, &w->first);
    if (!r)
        r = make_files(w);
    memcpy(w->wants, story->wants, sizeof(w->wants));
    w->check.home = w->home;
    w->check.dest = w->dest;
    w->check.tmp = w->tmp;
    w->check.wants = w->wants;
    w->check.kept = story->kept;
    w->check.secret = story->secret;
    while (w->check.n_wants < STORY_WANTS && w->wants[w->check.n_wants].path)
        w->check.n_wants++;
    return r;
}

void world_free(struct world *w, bool keep)
{
    const char *argv[] = {"rm", "-rf", w->dir, NULL};
    pid_t pid;

    w->first = fx_stop(w->first);
    w->second = fx_stop(w->second);
    check_free(&w->check);
    if (keep || !w->dir[0])
        return;
    pid = fork();
    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

/* ---- The power goes ------------------------------------------------------------------------------ */

/* The same file and not a copy: inode and birth time are what the journal knows it by. */
static int cut_file(struct world *w, const char *path)
{
    const char *former = disk_former(&w->check.disk, path);
    struct stat st;
    int r;

    if (lstat(path, &st) || !S_ISREG(st.st_mode))
        return unlink(path) && errno != EISDIR ? -errno : 0; /* a socket goes with the machine */
    r = disk_cut(&w->check.disk, path);
    if (r != 1)
        return r;
    return (former ? rename(path, former) : unlink(path)) ? -errno : 0;
}

static int cut_dir(struct world *w, const char *where)
{
    DIR *dir = opendir(where);
    char path[700];
    int r = 0;

    for (struct dirent *d = dir ? readdir(dir) : NULL; d && !r; d = readdir(dir)) {
        snprintf(path, sizeof(path), "%s/%s", where, d->d_name);
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            r = cut_file(w, path);
    }
    if (dir)
        closedir(dir);
    return r;
}

/* Never a story that replaces a file: what stood under a loose name before is not kept anywhere. */
int world_power_cut(struct world *w)
{
    char slots[400];
    int r = cut_dir(w, w->home);

    snprintf(slots, sizeof(slots), "%s/slots", w->home); /* of another boot: as good as none */
    unlink(slots);
    if (!disk_firm(&w->check.disk, w->home))
        rmdir(w->home);
    if (!r)
        r = cut_dir(w, w->dest);
    disk_settle(&w->check.disk);
    for (size_t i = 0; i < w->check.n_wants; i++)
        ranges_free(&w->wants[i].taken);
    return r;
}

/* ---- Commands under the killer -------------------------------------------------------------------- */

static int words_of(const char *const *words, const char **argv, int n)
{
    while (*words)
        argv[n++] = *words++;
    return n;
}

static int split(char *text, const char **argv, int n, int room)
{
    char *save = NULL;

    for (char *word = strtok_r(text, " ", &save); word && n < room;
         word = strtok_r(NULL, " ", &save))
        argv[n++] = word;
    return n;
}

static void redirect(const char *path, int fd)
{
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (to < 0 || dup2(to, fd) < 0)
        _exit(125);
}

static void set_environment(const struct world *w)
{
    static const char *const none[] = {"http_proxy", "https_proxy", "all_proxy",
                                       "no_proxy",   "HTTPS_PROXY", "ALL_PROXY",
                                       "NO_PROXY",   "DLMGR_HOME",  "XDG_STATE_HOME"};

    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        unsetenv(none[i]);
    setenv("HOME", w->dir, 1);
    setenv("XDG_CONFIG_HOME", w->tmp, 1);
}

int launch_start(struct world *w, const struct step *step, long kill_at, struct launch *ret)
{
    CLEANUP_FREE char *text = world_fill(w, step->words);
    char killer[4200], program[4200], number[32], timeout[32];
    const char *argv[64];
    int n;

    *ret = (struct launch){.step = step};
    snprintf(ret->calls, sizeof(ret->calls), "%s/%d.calls", w->dir, w->launches);
    snprintf(ret->out, sizeof(ret->out), "%s/%d.out", w->dir, w->launches);
    snprintf(ret->err, sizeof(ret->err), "%s/%d.err", w->dir, w->launches);
    w->launches++;
    snprintf(killer, sizeof(killer), "%s/crash/killer", w->bin);
    snprintf(program, sizeof(program), "%s/dlmgr", w->bin);
    snprintf(number, sizeof(number), "%ld", kill_at);
    snprintf(timeout, sizeof(timeout), "%d", w->timeout);
    n = words_of((const char *[]){killer, "--timeout", timeout, "--log", ret->calls, NULL}, argv, 0);
    if (kill_at)
        n = words_of((const char *[]){"--kill-at", number, NULL}, argv, n);
    n = words_of((const char *[]){"--", program, "--home", w->home, NULL}, argv, n);
    n = split(text, argv, n, (int)ARRAY_SIZE(argv) - 1);
    argv[n] = NULL;
    ret->pid = fork();
    if (ret->pid == 0) {
        redirect("/dev/null", 0);
        redirect(ret->out, 1);
        redirect(ret->err, 2);
        set_environment(w);
        execv(killer, (char *const *)(uintptr_t)argv);
        _exit(125);
    }
    return ret->pid < 0 ? -errno : 0;
}

/* The last line is `count N` or `killed N`. */
static long count_in(const char *calls)
{
    CLEANUP_FREE char *text = launch_text(calls);
    size_t n = text ? strlen(text) : 0;
    long count = 0;

    while (n > 1 && text[n - 2] != '\n')
        n--;
    if (n > 1 && sscanf(text + n - 1, "%*s %ld", &count) != 1)
        count = 0;
    return count;
}

bool launch_wait(struct launch *l, int ms)
{
    struct rusage usage;
    int status;

    for (int waited = 0; l->pid; waited += 5) {
        pid_t pid = wait4(l->pid, &status, ms < 0 ? 0 : WNOHANG, &usage);

        if (pid == l->pid) {
            l->pid = 0;
            l->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            l->memory = usage.ru_maxrss;
            l->count = count_in(l->calls);
        } else if (ms >= 0 && waited >= ms) {
            return false;
        } else if (ms >= 0) {
            usleep(5000);
        }
    }
    return true;
}

char *launch_text(const char *file)
{
    FILE *f = fopen(file, "re");
    char *text = NULL;
    size_t room = 0;

    if (!f || getdelim(&text, &room, 0, f) < 0) {
        free(text);
        text = strdup("");
    }
    if (f)
        fclose(f);
    return text;
}
