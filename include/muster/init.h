/* init.h: the first call of a program that wants isolated workers. */
#ifndef MUSTER_INIT_H
#define MUSTER_INIT_H

#include "muster/base.h"

MU_BEGIN_DECLS

/* Prepare the process for models that isolate.
 *
 * Forks the nursery, the small process that later forks every worker process,
 * while this program still has one thread and little memory. Call it first in
 * main(), as with MPI_Init. Calling it again does nothing. Programs that never
 * use `processes` need not call it.
 *
 * A program that does not call it can still open a `processes` pool while it
 * has a single thread; the workers then see a copy of its memory at that time.
 *
 * A library that starts threads as it is loaded (OpenBLAS, OpenMP runtimes) has them
 * before main(): OPENBLAS_NUM_THREADS=1 or OMP_NUM_THREADS=1 in the environment keeps it
 * from that, or dlopen() it after this call.
 *
 * Workers have the user and groups that this program has now, so a daemon gives up its
 * privileges before; when it did it after, opening a pool of `processes` is MU_EINIT.
 * Close such pools before you give them up: their tasks keep them.
 *
 * Where the system has not what processes need (valgrind, Linux before 5.4, a container that
 * refuses newer system calls), this call does nothing, and opening a pool of `processes` says
 * what is not there. (Where memfd_create() is refused no model gets anything to do:
 * mu_pool_submit() is -ENOSYS.)
 *
 * err       optional: why it failed
 * Returns   0; MU_EINIT when other threads run already, as in a task of
 *           `processes/threads`; -errno from fork
 * Context   main thread, before other threads, in a child of fork() and in a task of
 *           `processes` too, which then have their own; not in a signal handler
 * Threads   one caller
 * Models    needed by those with `processes`; harmless for the others
 * Leaves    one child process that ends with this one; no signal handler, no
 *           signal mask, no descriptor below 3; descriptors close on exec. A program
 *           that closes all it does not know, as daemons do, does so before, and is
 *           told MU_EINIT when it did it after */
MU_API int mu_init(struct mu_error *err);

MU_END_DECLS

#endif
