/* sandbox_absent.c: no sandbox: the library was built without libseccomp. */
#include <stdio.h>

#include "base/error.h"
#include "process/sandbox.h"

int mui_sandbox_prepare(unsigned flags, const char *const *read_paths,
                        const char *const *write_paths,
                        struct mui_sandbox_files *ret_files,
                        struct mu_error *err)
{
    *ret_files = (struct mui_sandbox_files){-1, -1};
    if (!flags && !read_paths && !write_paths)
        return 0;
    return mui_fail(err, MU_EMODEL,
                    "sandbox: this library was built without libseccomp");
}

void mui_sandbox_close(struct mui_sandbox_files *files)
{
    (void)files;
}

int mui_sandbox_enter(struct mui_sandbox_files *files, unsigned flags)
{
    (void)files;
    (void)flags;
    return 0;
}

int mui_sandbox_enter_pure(unsigned flags)
{
    (void)flags;
    return 0;
}

bool mui_sandbox_keeps_files(void)
{
    return false;
}

int mui_sandbox_call_name(int number, char *text, size_t size)
{
    return snprintf(text, size, "system call %d", number);
}
