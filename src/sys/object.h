/* object.h: what is loaded in this process: objects, as the dynamic linker calls the
 * program and its libraries, and the files that they are mapped from. */
#ifndef MUI_SYS_OBJECT_H
#define MUI_SYS_OBJECT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file as the kernel names it where it is mapped. stat() can say another device
 * (overlayfs, btrfs). */
struct mui_mapped {
    uint64_t device;
    uint64_t inode;
    char path[PATH_MAX - 32];
};

struct mui_object {
    uintptr_t base;
    uintptr_t start;
    uintptr_t end;
    uint64_t n_loads;    /* of this process, ever, when it was looked at */
    char name[PATH_MAX]; /* as the linker tells it */
    bool is_deleted;
    struct mui_mapped
        mapped; /* path[0] 0: no file (the vdso), or not looked for yet */
};

/* All objects, the program first, given, to be freed with free(); or the one around
 * `wanted`, when that is not NULL, if there is one. Their files are not looked for.
 * 0 or -ENOMEM. */
int mui_objects_list(const void *wanted, struct mui_object **ret_objects,
                     size_t *ret_n);

/* Look for the files behind objects. One caller at a time. 0, or -errno where they
 * cannot be told. */
int mui_objects_identify(struct mui_object *objects, size_t n);

/* How many objects this process has loaded, ever. */
uint64_t mui_objects_count_loads(void);

/* Whether two are one file. */
bool mui_mapped_is_same(const struct mui_mapped *a, const struct mui_mapped *b);

#endif
