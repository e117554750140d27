/* mirror.c: two fixed mappings in one reservation. */
#include "sys/mirror.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

int mui_mirror_map(int fd, uint64_t offset, uint64_t bytes, void **ret_base)
{
    char *base = mmap(NULL, bytes * 2, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int rc;

    if (base == MAP_FAILED)
        return -errno;
    for (int i = 0; i < 2; i++) {
        if (mmap(base + (size_t)i * bytes, bytes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED) {
            rc = -errno;
            (void)munmap(base, bytes * 2);
            return rc;
        }
    }
    *ret_base = base;
    return 0;
}

void mui_mirror_unmap(void *base, uint64_t bytes)
{
    (void)munmap(base, bytes * 2);
}
