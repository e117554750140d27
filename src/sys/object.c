/* object.c: the linker's list of objects, and /proc/self/maps. */
#include "sys/object.h"

#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* -- the linker's list -- */

static void read_object(const struct dl_phdr_info *info, struct mui_object *ret)
{
    ret->n_loads = info->dlpi_adds;
    ret->base = info->dlpi_addr;
    ret->start = UINTPTR_MAX;
    ret->end = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        uintptr_t end = start + info->dlpi_phdr[i].p_memsz;

        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        ret->start = start < ret->start ? start : ret->start;
        ret->end = end > ret->end ? end : ret->end;
    }
    ret->name[0] = '\0';
    ret->is_deleted = false;
    ret->mapped.path[0] = '\0';
    if (info->dlpi_name && strlen(info->dlpi_name) < sizeof ret->name)
        strcpy(ret->name, info->dlpi_name);
}

/* One look at all loaded objects. The linker holds its lock during the walk, so
 * the callback only copies. */
struct walk {
    const void *wanted; /* only the object around this address; NULL: all */
    struct mui_object *objects;
    size_t n;
    size_t n_max;
    bool failed;
};

static int walk_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
    struct walk *walk = ctx;
    struct mui_object *object;

    (void)size;
    if (walk->n == walk->n_max) {
        size_t n_max = walk->n_max ? walk->n_max * 2 : 1;

        object = realloc(walk->objects, n_max * sizeof *object);
        if (!object) {
            walk->failed = true;
            return 1;
        }
        walk->objects = object;
        walk->n_max = n_max;
    }
    object = &walk->objects[walk->n];
    read_object(info, object);
    if (!walk->wanted) {
        walk->n++;
    } else if ((uintptr_t)walk->wanted >= object->start &&
               (uintptr_t)walk->wanted < object->end) {
        walk->n++;
        return 1;
    }
    return 0;
}

int mui_objects_list(const void *wanted, struct mui_object **ret_objects,
                     size_t *ret_n)
{
    struct walk walk = {.wanted = wanted};

    (void)dl_iterate_phdr(walk_object, &walk);
    if (walk.failed) {
        free(walk.objects);
        return -ENOMEM;
    }
    *ret_objects = walk.objects;
    *ret_n = walk.n;
    return 0;
}

static int read_n_loads(struct dl_phdr_info *info, size_t size, void *ctx)
{
    uint64_t *n_loads = ctx;

    (void)size;
    *n_loads = info->dlpi_adds;
    return 1;
}

uint64_t mui_objects_count_loads(void)
{
    uint64_t n_loads = 0;

    (void)dl_iterate_phdr(read_n_loads, &n_loads);
    return n_loads;
}

/* -- names of files -- */

/* As /proc/self/maps writes a newline in a name, but leaves a backslash as it is; and
 * what it adds to the name of a file that is gone. */
static const char escape[] = "\\012";
static const char deleted[] = " (deleted)";

/* How long a newline is here, also as the kernel writes it; 0: there is none. */
static size_t newline_at(const char *text)
{
    if (*text == '\n')
        return 1;
    return strncmp(text, escape, sizeof escape - 1) == 0 ? sizeof escape - 1
                                                         : 0;
}

/* Whether two names are one to the kernel: that of a file that is gone stays as it was
 * written. */
static bool is_same_name(const char *a, const char *b)
{
    while (*a || *b) {
        size_t n_a = newline_at(a);
        size_t n_b = newline_at(b);

        if (n_a && n_b) {
            a += n_a;
            b += n_b;
        } else if (*a++ != *b++) {
            return false;
        }
    }
    return true;
}

bool mui_mapped_is_same(const struct mui_mapped *a, const struct mui_mapped *b)
{
    return a->inode == b->inode && a->device == b->device &&
           is_same_name(a->path, b->path);
}

/* -- the files behind objects -- */

/* A line of /proc/self/maps: "start-end rights offset major:minor inode path". Returns
 * whether it is of a file. */
static bool read_mapping(char *line, struct mui_object *ret)
{
    uint64_t device;
    size_t length;
    char *at;

    ret->start = strtoul(line, &at, 16);
    ret->end = strtoul(at + (*at == '-'), &at, 16);
    at += strspn(at, " -rwxsp");
    (void)strtoul(at, &at, 16);
    device = strtoul(at, &at, 16) << 32;
    ret->mapped.device = device | strtoul(at + (*at == ':'), &at, 16);
    ret->mapped.inode = strtoul(at, &at, 10);
    at += strspn(at, " ");
    length = strcspn(at, "\n");
    if (*at != '/' || length >= sizeof ret->mapped.path)
        return false;
    memcpy(ret->mapped.path, at, length);
    ret->mapped.path[length] = '\0';
    return true;
}

/* With the i-th escape read as a newline where bit i of `newlines` is set. Returns how
 * many there are. */
static unsigned unescape(const char *text, unsigned newlines, char *ret_name)
{
    unsigned n = 0;

    while (*text) {
        bool is_escape = newline_at(text) > 1;

        if (is_escape && newlines >> n & 1) {
            *ret_name++ = '\n';
            text += sizeof escape - 1;
        } else {
            *ret_name++ = *text++;
        }
        n += is_escape;
    }
    *ret_name = '\0';
    return n;
}

/* What maps says of a name can be read in several ways: the right one names that file.
 * By its inode alone, for stat() can say another device. */
static void settle_name(struct mui_object *object)
{
    enum { N_ESCAPES_MAX = 8 }; /* that are tried in every combination */
    static char name[sizeof object->mapped.path]; /* callers take turns */
    char *path = object->mapped.path;
    size_t length = strlen(path);
    bool has_suffix = length >= sizeof deleted &&
                      strcmp(path + length + 1 - sizeof deleted, deleted) == 0;
    unsigned n = unescape(path, 0, name);
    struct stat st;

    object->is_deleted = false;
    if (n == 0 && !has_suffix)
        return;
    n = n < N_ESCAPES_MAX ? n : N_ESCAPES_MAX;
    for (unsigned newlines = 0; newlines < 1U << n; newlines++) {
        (void)unescape(path, newlines, name);
        if (stat(name, &st) == 0 && st.st_ino == object->mapped.inode) {
            strcpy(path, name);
            return;
        }
    }
    if (has_suffix) {
        path[length + 1 - sizeof deleted] = '\0';
        object->is_deleted = true;
    }
}

int mui_objects_identify(struct mui_object *objects, size_t n)
{
    static struct mui_object found; /* callers take turns */
    FILE *maps = fopen("/proc/thread-self/maps", "re");
    char *line = NULL;
    size_t room = 0;
    uintptr_t end = 0;
    int rc = 0;

    if (!maps) /* without /proc: an error that is no other */
        return errno == ENOENT ? -ENOSYS : -errno;
    for (size_t i = 0; i < n; i++)
        end = objects[i].end > end ? objects[i].end : end;
    while (getline(&line, &room, maps) > 0) {
        bool is_file = read_mapping(line, &found);

        if (found.start >= end) /* they are in order */
            goto done;
        if (!is_file)
            continue;
        for (size_t i = 0; i < n; i++)
            if (!objects[i].mapped.path[0] && found.start < objects[i].end &&
                found.end > objects[i].start) {
                objects[i].mapped = found.mapped;
                settle_name(&objects[i]);
            }
    }
    if (!feof(maps))
        rc = -errno;
done:
    free(line);
    (void)fclose(maps);
    return rc;
}
