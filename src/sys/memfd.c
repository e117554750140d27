/* memfd.c: sealed nameless memory. */
#include "sys/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/descriptor.h"
#include "sys/file_limit.h"

int mui_memfd_open(const char *name, uint64_t bytes)
{
    int fd;
    int rc;

    if (bytes > mui_file_bytes_max())
        return -EFBIG;
    fd = mui_descriptor_above_stdio(
        memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd == -EPERM) /* as a container refuses what it does not know */
        return -ENOSYS;
    if (fd < 0)
        return fd;
    if (ftruncate(fd, (off_t)bytes) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
        rc = -errno;
        (void)close(fd);
        return rc;
    }
    return fd;
}

int mui_memfd_seal_writes(int fd)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
        return -errno;
    return 0;
}

int mui_memfd_map(int fd, uint64_t bytes, int prot, int keep_from_children,
                  void **ret_base)
{
    void *base = mmap(NULL, bytes, prot, MAP_SHARED | MAP_NORESERVE, fd, 0);
    int rc;

    if (base == MAP_FAILED)
        return -errno;
    if (keep_from_children && madvise(base, bytes, MADV_DONTFORK) < 0) {
        rc = -errno;
        (void)munmap(base, bytes);
        return rc;
    }
    *ret_base = base;
    return 0;
}

void mui_memfd_leave_undumped(void *base, uint64_t bytes)
{
    (void)madvise(base, bytes, MADV_DONTDUMP);
}
