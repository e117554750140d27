/* sandbox.h: what a worker process may ask of the kernel, kept by the kernel:
 * seccomp for system calls and the network (filter.h), Landlock for files.
 *
 * sandbox.c, or sandbox_absent.c where libseccomp is missing: then only no sandbox
 * at all can be had. */
#ifndef MUI_PROCESS_SANDBOX_H
#define MUI_PROCESS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "muster/base.h"

/* Beside MU_SANDBOX_...: nothing at all may be written, so that a call's arguments
 * tell of a violation. Where some paths may be, it takes a look at the path: refusal.h. */
#define MUI_SANDBOX_NO_WRITING 0x80000000u
/* Landlock keeps some files from being written: what it knows nothing of is refused. */
#define MUI_SANDBOX_FILES 0x40000000u
/* With MU_SANDBOX_PURE: a thread may bind itself to CPUs. */
#define MUI_SANDBOX_MOVES 0x20000000u

/* What keeps files; -1: not needed. */
struct mui_sandbox_files {
    int ruleset_fd; /* of Landlock */
    int list_fd;    /* the lists of paths: path_list.h */
};

/* Supervisor: check that `flags` (MU_SANDBOX_...) can be had here, and make what
 * keeps files, given. Paths are lists ended by NULL, or NULL. 0; MU_EMODEL: not on this
 * machine; -errno, of a path too. */
int mui_sandbox_prepare(unsigned flags, const char *const *read_paths,
                        const char *const *write_paths,
                        struct mui_sandbox_files *ret_files,
                        struct mu_error *err);
void mui_sandbox_close(struct mui_sandbox_files *files);

/* Worker, before it has other threads: all but MU_SANDBOX_PURE. `files` as above,
 * taken; `flags`: MU_SANDBOX_... and MUI_SANDBOX_... 0 or -errno. */
int mui_sandbox_enter(struct mui_sandbox_files *files, unsigned flags);

/* Worker, all its threads, for good, once nothing else is left to be done before
 * tasks run: MU_SANDBOX_PURE, if it is among the flags. 0 or -errno. */
int mui_sandbox_enter_pure(unsigned flags);

/* Whether this process has entered one that keeps files, for good. */
bool mui_sandbox_keeps_files(void);

/* The name of a system call that was refused. Returns as snprintf. */
int mui_sandbox_call_name(int number, char *text, size_t size);

#endif
