/* sandbox.h: what a worker process may ask of the kernel, kept by the kernel:
 * seccomp for system calls and the network, Landlock for files.
 *
 * sandbox.c, or sandbox_absent.c where libseccomp is missing: then only no sandbox
 * at all can be had. */
#ifndef MUI_PROCESS_SANDBOX_H
#define MUI_PROCESS_SANDBOX_H

#include <stddef.h>

#include "muster/base.h"

/* Beside MU_SANDBOX_...: nothing at all may be written, so that a call's arguments
 * tell of a violation: it is trapped and named. Where some paths may be, only Landlock
 * sees which, and it names nothing. */
#define MUI_SANDBOX_NO_WRITING 0x80000000u

/* Supervisor: check that `flags` (MU_SANDBOX_...) can be had here, and make what
 * keeps files: *ret_fd, given, -1 when none is needed. Paths are lists ended by
 * NULL, or NULL. 0; MU_EMODEL: not on this machine; -errno, of a path too. */
int mui_sandbox_prepare(unsigned flags, const char *const *read_paths,
                        const char *const *write_paths, int *ret_fd,
                        struct mu_error *err);

/* Worker, before it has other threads: files. `fd` as above, taken. 0 or -errno. */
int mui_sandbox_enter_files(int fd);

/* Worker, all its threads, for good: system calls. `flags`: MU_SANDBOX_... and
 * MUI_SANDBOX_... 0 or -errno. */
int mui_sandbox_enter_calls(unsigned flags);

/* The name of a system call that was refused. Returns as snprintf. */
int mui_sandbox_call_name(int number, char *text, size_t size);

#endif
