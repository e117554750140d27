/* program.c: finding a program in PATH. */
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

enum {
    NAME_MAX_BYTES = 64,
    READ_BYTES = 4096,
    SCRIPT_LINE_BYTES = 256 /* as much of it as the kernel reads */
};

const char *program_env(const char *name)
{
    /* nobody here changes the environment */
    return getenv(name); // NOLINT(concurrency-mt-unsafe)
}

/* NULL, or why it cannot be run and what would help. */
static const char *refusal(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return errno == ENOENT ? "no such file: check the name"
                               : say_reason(errno);
    if (S_ISDIR(st.st_mode))
        return "it is a directory: name a program in it";
    if (!S_ISREG(st.st_mode))
        return "it is no file: name a program";
    return access(path, X_OK) < 0 ? "not executable: chmod +x it" : NULL;
}

static int is_program(const char *path)
{
    return refusal(path) == NULL;
}

/* Call `visit` for each directory of PATH until it returns non-zero. */
static int for_each_directory(int (*visit)(void *ctx, const char *directory),
                              void *ctx)
{
    const char *path = program_env("PATH");
    struct text directory = {0};
    int rc = 0;

    if (!path)
        path = "/usr/bin:/bin";
    while (rc == 0) {
        size_t n = strcspn(path, ":");

        text_clear(&directory);
        text_append(&directory, n ? path : ".", n ? n : 1);
        rc = visit(ctx, text_string(&directory));
        if (!path[n])
            break;
        path += n + 1;
    }
    text_fini(&directory);
    return rc;
}

struct search {
    const char *name;
    struct text found;
};

static int look_in(void *ctx, const char *directory)
{
    struct search *s = ctx;

    text_clear(&s->found);
    text_printf(&s->found, "%s/%s", directory, s->name);
    return is_program(text_string(&s->found));
}

struct guess {
    struct say_nearest nearest;
    char best[NAME_MAX_BYTES];
};

static int guess_in(void *ctx, const char *directory)
{
    struct guess *g = ctx;
    DIR *dir = opendir(directory);
    const struct dirent *entry;

    if (!dir)
        return 0;
    while ((entry = readdir(dir))) { // NOLINT(concurrency-mt-unsafe): own DIR
        const char *before = g->nearest.best;

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            say_nearest_offer(&g->nearest, entry->d_name);
        if (g->nearest.best != before) {
            (void)snprintf(g->best, sizeof g->best, "%.63s", entry->d_name);
            g->nearest.best = g->best;
        }
    }
    (void)closedir(dir);
    return 0;
}

static void refuse_missing(const char *name, const char *advice,
                           const char *instead)
{
    struct guess g = {.nearest = {.typed = name}};

    if (!*instead)
        (void)for_each_directory(guess_in, &g);
    if (g.nearest.best)
        say("no command '%s' in PATH: did you mean '%s'?", name, g.best);
    else
        say("no command '%s' in PATH: %s%s", name, advice, instead);
}

int program_lacks_interpreter(const char *path, struct text *ret_name)
{
    char line[SCRIPT_LINE_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    char *name = line + 2;

    if (fd >= 0)
        (void)close(fd);
    line[size > 0 ? size : 0] = '\0';
    if (strncmp(line, "#!", 2) != 0)
        return 0;
    name += strspn(name, " \t");
    name[strcspn(name, " \t\n")] = '\0';
    if (!*name || access(name, F_OK) == 0 || errno != ENOENT)
        return 0;
    text_put(ret_name, name);
    return 1;
}

static int refuse_interpreter(const char *path, const char *instead)
{
    struct text name = {0};
    int lacks = program_lacks_interpreter(path, &name);

    if (lacks)
        say(PROGRAM_NO_INTERPRETER "%s", path, name.data, instead);
    text_fini(&name);
    return lacks;
}

char *program_find(const char *name, const char *advice, const char *instead)
{
    struct search s = {.name = name};
    const char *why = strchr(name, '/') ? refusal(name) : NULL;

    if (why) {
        say("cannot run %s: %s%s", name, why, instead);
        return NULL;
    }
    if (strchr(name, '/')) {
        text_put(&s.found, name);
    } else if (!*name || !for_each_directory(look_in, &s)) {
        text_fini(&s.found);
        refuse_missing(name, advice, instead);
        return NULL;
    }
    if (refuse_interpreter(s.found.data, instead))
        text_fini(&s.found);
    return s.found.data;
}
