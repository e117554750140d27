/* compile.c: a C or C++ file made into a shared object, found again by content.
 *
 * KEY.list has a digest and a name for the object, and for each header that it
 * included: while all hold what they held, the object is of use. An object is named by
 * what it holds, and one that is there stays, for the workers of another run may yet
 * open it. Both get their name when they are complete. Of several that are made at once
 * one list stays; each run goes on with the object that it made. */
#include "compile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "muster/base.h"

#include "apart.h"
#include "cache.h"
#include "digest.h"
#include "paths.h"
#include "program.h"
#include "rule.h"
#include "say.h"
#include "text.h"
#include "wanted.h"
#include "whole.h"

enum {
    SOURCE_BYTES_MAX = 64 * 1024 * 1024,
    WORDS_MAX = 256,
    ROOM_BYTES = 1024 * 1024 /* a compiled file may want so much */
};

/* What every file is compiled with: debugging information, so that the frames of
 * a crash have names and lines. */
static const char default_cflags[] =
    "-O2 -g -fPIC -shared -fno-omit-frame-pointer -Wall";

/* The compilers, as make has them. */
static const struct language {
    const char *variable;
    const char *compiler;
    const char *advice;
    const char *instead;
    const char *extensions[5];
} languages[] = {
    {"CC", "cc", "install gcc", ", or name another C compiler by CC", {".c"}},
    {"CXX",
     "c++",
     "install g++",
     ", or name another C++ compiler by CXX",
     {".cc", ".cpp", ".cxx", ".C"}},
};
enum { N_LANGUAGES = sizeof languages / sizeof languages[0] };

struct build {
    const char *path;
    const struct language *language;
    struct text source;
    struct wanted wanted;
    char *compiler; /* perhaps with flags */
    char *include;  /* where muster/task.h is; NULL: the compiler knows */
    struct text directory; /* of the cache */
    struct text stem;      /* of names in it: ends in the key */
    struct text list;
    struct text object; /* named once there is one */
};

static int read_source(struct build *b)
{
    int rc = whole_read(b->path, SOURCE_BYTES_MAX, &b->source);

    if (rc == -EINVAL || rc == -EFBIG)
        return say_refuse("%s is not a file of source code: it ends in .c, "
                          ".cc, .cpp, .cxx or .C",
                          b->path);
    if (rc < 0)
        return say_refuse("cannot read %s: %s", b->path, say_reason(-rc));
    return 0;
}

/* The headers of an installed command lie beside it: PREFIX/include. */
static char *find_headers(void)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    struct text path = {0};
    char *slash;

    if (n > 0) {
        exe[n] = '\0';
        slash = strrchr(exe, '/');
        *slash = '\0';
        text_printf(&path, "%s/../include/muster/task.h", exe);
        if (access(path.data, R_OK) == 0) {
            path.data[path.size - strlen("/muster/task.h")] = '\0';
            return path.data;
        }
        text_fini(&path);
    }
    if (access(MUSTER_HEADERS "/muster/task.h", R_OK) == 0)
        return text_copy(MUSTER_HEADERS);
    return NULL;
}

/* Add the words of `words`, split at blanks, to argv; the strings stay in
 * `words`, which is cut up. */
static size_t add_words(char **argv, size_t n, char *words)
{
    char *rest = NULL;

    for (char *word = strtok_r(words, " \t\n", &rest); word;
         word = strtok_r(NULL, " \t\n", &rest))
        if (n < WORDS_MAX)
            argv[n++] = word;
    return n;
}

/* What tells this compiler from another version of it, without starting it. */
static int add_compiler(struct digest *d, const struct build *b)
{
    size_t n = strcspn(b->compiler, " \t");
    struct text name = {0};
    struct stat st;
    char *path;

    text_append(&name, b->compiler, n);
    path = program_find(name.data, b->language->advice, b->language->instead);
    text_fini(&name);
    if (!path)
        return -1;
    if (stat(path, &st) == 0) {
        digest_add_string(d, path);
        digest_add(d, &st.st_dev, sizeof st.st_dev);
        digest_add(d, &st.st_ino, sizeof st.st_ino);
        digest_add(d, &st.st_size, sizeof st.st_size);
        digest_add(d, &st.st_mtim, sizeof st.st_mtim);
    }
    free(path);
    return 0;
}

/* Where the compiler and pkg-config look, and how they read: what gcc documents, but
 * for messages and temporary files. */
static const char *const variables[] = {
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "LC_ALL",
    "LC_CTYPE",
    "LANG",
    "LD_RUN_PATH",
    "LIBRARY_PATH",
    "PKG_CONFIG_LIBDIR",
    "PKG_CONFIG_PATH",
    "PKG_CONFIG_SYSROOT_DIR",
    "SOURCE_DATE_EPOCH",
};

static void add_environment(struct digest *d)
{
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *value = program_env(variables[i]);

        /* set to nothing is not the same as not set: PKG_CONFIG_LIBDIR */
        digest_add_string(d, value ? "=" : "");
        digest_add_string(d, value ? value : "");
    }
}

static int name_files(struct build *b)
{
    const char *base = strrchr(b->path, '/');
    char key[DIGEST_TEXT_BYTES];
    char real[PATH_MAX];
    struct digest d;

    base = base ? base + 1 : b->path;
    digest_init(&d);
    digest_add_string(&d, mu_version());
    digest_add_string(&d, default_cflags);
    digest_add_string(&d, b->compiler);
    digest_add_string(&d, b->include ? b->include : "");
    /* where it lies decides which headers "..." means, and is what debugging
     * information names */
    digest_add_string(&d, realpath(b->path, real) ? real : b->path);
    digest_add(&d, b->source.data, b->source.size);
    add_environment(&d);
    if (add_compiler(&d, b) < 0 || cache_directory(&b->directory) < 0)
        return -1;
    digest_text(&d, key);
    text_printf(&b->stem, "%s%.*s-%s", b->directory.data,
                (int)strcspn(base, "."), base, key);
    text_printf(&b->list, "%s.list", b->stem.data);
    return 0;
}

static int is_same(const char *path, const char *digest)
{
    char now[DIGEST_TEXT_BYTES];

    return digest_file(path, now) == 0 &&
           memcmp(digest, now, DIGEST_TEXT_BYTES - 1) == 0;
}

/* Whether there is a list and all in it hold what they held. Each of its lines is a
 * digest, a blank and a path, the first that of the object. */
static int read_list(struct build *b)
{
    FILE *f = fopen(b->list.data, "re");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    int same = 1;

    if (!f)
        return 0;
    while (same && (n = getline(&line, &capacity, f)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        same = n > DIGEST_TEXT_BYTES && is_same(line + DIGEST_TEXT_BYTES, line);
        if (same && !b->object.size)
            text_put(&b->object, line + DIGEST_TEXT_BYTES);
    }
    free(line);
    (void)fclose(f);
    return same && b->object.size;
}

/* The list while it is made. */
struct list {
    struct text text;
    int n_names;
};

static int list_header(void *ctx, const char *name)
{
    struct list *l = ctx;
    char now[DIGEST_TEXT_BYTES];
    int rc;

    if (l->n_names++ == 0)
        return 0; /* the file itself */
    rc = digest_file(name, now);
    if (rc < 0)
        return say_refuse("cannot read the header %s: %s", name,
                          say_reason(-rc));
    text_printf(&l->text, "%s %s\n", now, name);
    return 0;
}

static int refuse_keep(const struct build *b, int rc)
{
    return say_refuse("cannot keep the compiled file in %s: %s",
                      b->directory.data, say_reason(-rc));
}

/* Give what the compiler made its name, and note it. One that is there stays, but for
 * one that was damaged; where there are no links it has to be exchanged. */
static int keep_object(struct build *b, const char *made, struct list *list)
{
    char digest[DIGEST_TEXT_BYTES];
    int rc = digest_file(made, digest);

    if (rc < 0)
        return rc;
    text_clear(&b->object);
    text_append(&b->object, b->stem.data, b->stem.size - (sizeof digest - 1));
    text_printf(&b->object, "%s.so", digest);
    text_printf(&list->text, "%s %s\n", digest, b->object.data);
    if (link(made, b->object.data) == 0 ||
        (errno == EEXIST && is_same(b->object.data, digest))) {
        cache_touch(b->object.data);
        return unlink(made) < 0 ? -errno : 0;
    }
    return rename(made, b->object.data) < 0 ? -errno : 0;
}

/* Keep the object, and make the list with the rule that the compiler wrote for make. */
static int keep(struct build *b, const char *made, const char *rule_path,
                const char *list_path)
{
    struct list list = {.n_names = 0};
    struct text rule = {0};
    int rc = whole_read(rule_path, SOURCE_BYTES_MAX, &rule);
    int fd = -1;

    if (rc == 0)
        rc = keep_object(b, made, &list);
    if (rc == 0) {
        fd = open(list_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        rc = fd < 0 ? -errno : 0;
    }
    if (rc < 0)
        rc = refuse_keep(b, rc);
    else
        rc = rule_each(&rule, list_header, &list);
    if (rc == 0) {
        rc = whole_write(fd, list.text.data, list.text.size);
        rc = rc < 0 ? refuse_keep(b, rc) : 0;
    }
    if (fd >= 0)
        (void)close(fd);
    if (rc == 0 && rename(list_path, b->list.data) < 0)
        rc = refuse_keep(b, -errno);
    text_fini(&rule);
    text_fini(&list.text);
    return rc;
}

static int refuse_interrupted(const struct build *b)
{
    return say_refuse("interrupted: %s is not compiled, and nothing has run",
                      b->path);
}

/* The flags of the packages that the file names. */
static int ask_pkg_config(const struct build *b, const char *what,
                          struct text *ret_flags)
{
    struct text packages = {0};
    char *argv[WORDS_MAX + 4] = {(char *)"pkg-config", (char *)what};
    int rc;

    if (!b->wanted.pkg_config.size)
        return 0;
    text_put(&packages, b->wanted.pkg_config.data);
    argv[add_words(argv, 2, packages.data)] = NULL;
    rc = apart_run(argv, ret_flags);
    text_fini(&packages);
    if (rc == -EINTR)
        return refuse_interrupted(b);
    if (rc == -ENOENT)
        return say_refuse(
            "%s asks for pkg-config, which is not installed: install it",
            b->path);
    if (rc)
        return say_refuse("%s asks for packages that pkg-config does not know: "
                          "install them",
                          b->path);
    return 0;
}

/* A linker may say of a full disk that it could not write, and not where. */
static void say_failed(const struct build *b)
{
    struct statvfs disk;

    if (statvfs(b->directory.data, &disk) == 0 &&
        disk.f_bavail * disk.f_frsize < ROOM_BYTES)
        say("%s does not compile: see above; %s has %llu KiB left: make room "
            "there, or set XDG_CACHE_HOME",
            b->path, b->directory.data,
            (unsigned long long)(disk.f_bavail * disk.f_frsize / 1024));
    else
        say("%s does not compile: see above", b->path);
}

/* Run the compiler: `object` and `rule` are names to write to. */
static int run_compiler(struct build *b, char *object, char *rule)
{
    struct text before = {0};
    struct text behind = {0};
    struct text include = {0};
    char *argv[WORDS_MAX + 16];
    size_t n = 0;
    int rc = -1;

    text_printf(&before, "%s %s %s ", b->compiler, default_cflags,
                text_string(&b->wanted.cflags));
    if (ask_pkg_config(b, "--cflags", &before) == 0 &&
        ask_pkg_config(b, "--libs", &behind) == 0) {
        text_printf(&behind, " %s", text_string(&b->wanted.link));
        n = add_words(argv, n, before.data);
        if (b->include) {
            text_printf(&include, "-I%s", b->include);
            argv[n++] = include.data;
        }
        argv[n++] = (char *)"-MMD";
        argv[n++] = (char *)"-MT";
        argv[n++] = (char *)"it";
        argv[n++] = (char *)"-MF";
        argv[n++] = rule;
        argv[n++] = (char *)"-o";
        argv[n++] = object;
        argv[n++] = (char *)b->path;
        n = add_words(argv, n, behind.data);
        argv[n] = NULL;
        rc = apart_run(argv, NULL);
        if (rc == -EINTR)
            (void)refuse_interrupted(b);
        else if (rc < 0)
            say("cannot run %s: %s%s", argv[0], say_reason(-rc),
                b->language->instead);
        else if (rc)
            say_failed(b);
    }
    text_fini(&before);
    text_fini(&behind);
    text_fini(&include);
    return rc ? -1 : 0;
}

/* In a process of its own, which removes what is half made when we are ended. */
static int build_apart(void *ctx, struct text *ret_object)
{
    struct build *b = ctx;
    struct text object = {0};
    struct text rule = {0};
    struct text list = {0};
    int rc;

    text_printf(&object, "%s.%d", b->stem.data, (int)getpid());
    text_printf(&rule, "%s.rule", object.data);
    text_printf(&list, "%s.list", object.data);
    rc = run_compiler(b, object.data, rule.data);
    if (rc == 0)
        rc = keep(b, object.data, rule.data, list.data);
    (void)unlink(rule.data);
    if (rc) {
        (void)unlink(list.data);
        (void)unlink(object.data);
    } else {
        text_put(ret_object, b->object.data);
    }
    text_fini(&object);
    text_fini(&rule);
    text_fini(&list);
    return rc;
}

static const struct language *language_of(const char *path)
{
    const char *extension = paths_extension(path);

    for (size_t i = 0; i < N_LANGUAGES; i++)
        for (const char *const *e = languages[i].extensions; *e; e++)
            if (strcmp(extension, *e) == 0)
                return &languages[i];
    return NULL;
}

int compile_can(const char *path)
{
    return language_of(path) != NULL;
}

/* Whether the object is there already; it is of use then. */
static int is_kept(struct build *b)
{
    if (!read_list(b))
        return 0;
    cache_touch(b->object.data);
    cache_touch(b->list.data);
    return 1;
}

static int build_anew(struct build *b)
{
    cache_trim(b->directory.data);
    text_clear(&b->object);
    return apart_do(build_apart, b, &b->object);
}

char *compile(const char *path)
{
    struct build b = {.path = path, .language = language_of(path)};
    const char *compiler;
    char *object = NULL;

    if (!b.language)
        return NULL;
    compiler = program_env(b.language->variable);
    b.compiler = text_copy(compiler && compiler[strspn(compiler, " \t")]
                               ? compiler
                               : b.language->compiler);
    b.include = find_headers();
    if (read_source(&b) == 0 &&
        wanted_read(path, text_string(&b.source), b.source.size, &b.wanted) ==
            0 &&
        name_files(&b) == 0 && (is_kept(&b) || build_anew(&b) == 0))
        object = text_copy(b.object.data);
    free(b.compiler);
    free(b.include);
    text_fini(&b.source);
    wanted_fini(&b.wanted);
    text_fini(&b.directory);
    text_fini(&b.stem);
    text_fini(&b.list);
    text_fini(&b.object);
    return object;
}
