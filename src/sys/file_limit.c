/* file_limit.c: the limit on file size. */
#include "sys/file_limit.h"

#include <sys/resource.h>

uint64_t mui_file_bytes_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur > INT64_MAX)
        return INT64_MAX;
    return limit.rlim_cur;
}
