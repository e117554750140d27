/* populate.c: have pages of a shared mapping, or be told that there are none.
 *
 * fallocate() would do for a file, but asks for its descriptor, which a task does not have
 * of memory that it inherited. */
#include "sys/populate.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Before Linux 5.14: the kernel adds 0 to a word of each page, and says so where a store
 * of ours would be SIGBUS. */
static int populate_one_by_one(char *at, size_t bytes, size_t page)
{
    for (size_t i = 0; i < bytes; i += page) {
        if (syscall(SYS_futex, at + i, FUTEX_WAKE_OP, 0, 0, at + i,
                    FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, 0)) < 0)
            return -ENOMEM;
    }
    return 0;
}

int mui_populate(void *at, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t before = (uintptr_t)at % page;
    char *from = (char *)at - before;

    bytes += before;
    if (bytes == 0 || madvise(from, bytes, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno == EFAULT || errno == ENOMEM)
        return -ENOMEM;
    return populate_one_by_one(from, bytes, page);
}

void mui_unpopulate(void *at, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t to_first = (page - (uintptr_t)at % page) % page;

    if (bytes < to_first + page)
        return;
    bytes -= to_first;
    (void)madvise((char *)at + to_first, bytes / page * page, MADV_REMOVE);
}
