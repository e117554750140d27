/* cache.c: the directory where compiled files are kept. */
#include "cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "paths.h"
#include "program.h"
#include "say.h"

enum { SECONDS_PER_DAY = 24 * 60 * 60 };

/* Without a home: a directory of our own where everybody can make one. Code is run
 * from there, so nobody else may have made it, or write to it. */
static int temporary_directory(struct text *ret)
{
    const char *base = program_env("TMPDIR");
    struct stat st;

    text_printf(ret, "%s/muster-%u", base && base[0] == '/' ? base : "/tmp",
                (unsigned)geteuid());
    if (mkdir(ret->data, 0700) < 0 && errno != EEXIST)
        return say_refuse("cannot make %s, where compiled files are kept: %s",
                          ret->data, say_reason(errno));
    if (lstat(ret->data, &st) < 0 || !S_ISDIR(st.st_mode) ||
        st.st_uid != geteuid() || (st.st_mode & 077))
        return say_refuse("%s, where compiled files would be kept, is not ours "
                          "alone: set XDG_CACHE_HOME",
                          ret->data);
    text_putc(ret, '/');
    return 0;
}

int cache_directory(struct text *ret_path)
{
    const char *chosen = program_env("XDG_CACHE_HOME");
    const char *home = program_env("HOME");
    int is_chosen = chosen && chosen[0] == '/';
    int rc;

    if (is_chosen)
        text_printf(ret_path, "%s/muster/", chosen);
    else if (home && home[0] == '/')
        text_printf(ret_path, "%s/.cache/muster/", home);
    else
        return temporary_directory(ret_path);
    rc = paths_make(ret_path, 0700);
    if (rc == 0 && access(ret_path->data, W_OK) < 0)
        rc = -errno;
    if (rc == 0)
        return 0;
    if (is_chosen)
        return say_refuse("cannot write to %s, where compiled files are kept: "
                          "%s",
                          ret_path->data, say_reason(-rc));
    /* a service has a home that is not there */
    text_clear(ret_path);
    return temporary_directory(ret_path);
}

void cache_touch(const char *path)
{
    (void)utimensat(AT_FDCWD, path, NULL, 0);
}

void cache_trim(const char *directory)
{
    time_t oldest = time(NULL) - (time_t)CACHE_DAYS * SECONDS_PER_DAY;
    DIR *dir = opendir(directory);
    const struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir))) { // NOLINT(concurrency-mt-unsafe): own DIR
        struct stat st;

        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_mtime < oldest)
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void)closedir(dir);
}
