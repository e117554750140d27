/* walk.c: the regular files at or below a path, by fts(3). */
#include "walk.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "say.h"
#include "text.h"

enum { PATH_SHOWN = 400 };

struct walk {
    FTS *tree;
    unsigned n_unread;
    int is_silent;
};

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

int walk_open(const char *path, struct walk **ret_walk)
{
    /* fts wants a list that it may write to */
    char *start = strdup(path);
    char *paths[] = {start, NULL};
    struct walk *w;
    struct stat st;
    FTS *tree;

    if (!start)
        return -ENOMEM;
    if (stat(path, &st) < 0) {
        free(start);
        return -errno;
    }
    tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    free(start);
    if (!tree)
        return -errno;
    w = text_alloc(1, sizeof *w);
    w->tree = tree;
    *ret_walk = w;
    return 0;
}

void walk_free(struct walk *w)
{
    if (!w)
        return;
    (void)fts_close(w->tree);
    free(w);
}

void walk_hush(struct walk *w)
{
    w->is_silent = 1;
}

static void refuse(struct walk *w, const FTSENT *entry, int code)
{
    size_t n = entry->fts_pathlen;

    w->n_unread++;
    if (w->is_silent)
        return;
    if (n <= PATH_SHOWN)
        say("cannot read %s: %s", entry->fts_path, say_reason(code));
    else
        say("cannot read %.*s...%s: %s", PATH_SHOWN / 2, entry->fts_path,
            entry->fts_path + n - PATH_SHOWN / 2, say_reason(code));
}

const char *walk_next(struct walk *w)
{
    FTSENT *entry;

    while ((entry = fts_read(w->tree))) {
        switch (entry->fts_info) {
        case FTS_F:
            if (entry->fts_pathlen < PATH_MAX)
                return entry->fts_path;
            refuse(w, entry, ENAMETOOLONG);
            break;
        case FTS_DEFAULT:
            /* a pipe or a device is an input only when it was named itself */
            if (entry->fts_level == FTS_ROOTLEVEL)
                return entry->fts_path;
            break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            refuse(w, entry, entry->fts_errno);
            break;
        default:
            break;
        }
    }
    return NULL;
}

unsigned walk_n_unread(const struct walk *w)
{
    return w->n_unread;
}

uint64_t walk_count(const char *path)
{
    struct walk *w = NULL;
    uint64_t n = 0;

    if (walk_open(path, &w) < 0 || !w)
        return 0;
    walk_hush(w);
    while (walk_next(w))
        n++;
    walk_free(w);
    return n;
}
