/* sandbox_absent.c: no sandbox: the library was built without libseccomp. */
#include <stdio.h>

#include "base/error.h"
#include "process/sandbox.h"

int mui_sandbox_prepare(unsigned flags, const char *const *read_paths,
                        const char *const *write_paths, int *ret_fd,
                        struct mu_error *err)
{
    *ret_fd = -1;
    if (!flags && !read_paths && !write_paths)
        return 0;
    return mui_fail(err, MU_EMODEL,
                    "sandbox: this library was built without libseccomp");
}

int mui_sandbox_enter_files(int fd)
{
    (void)fd;
    return 0;
}

int mui_sandbox_enter_calls(unsigned flags)
{
    (void)flags;
    return 0;
}

int mui_sandbox_call_name(int number, char *text, size_t size)
{
    return snprintf(text, size, "system call %d", number);
}
