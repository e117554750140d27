/* memfd.h: nameless memory that can be handed to another process and whose size
 * and writers cannot change any more. See memfd_create(2), F_ADD_SEALS.
 *
 * Without the seals a peer's ftruncate() would kill every reader by SIGBUS. */
#ifndef MUI_SYS_MEMFD_H
#define MUI_SYS_MEMFD_H

#include <stddef.h>
#include <stdint.h>

/* A descriptor of `bytes` of zeros, sparse, sealed against shrinking and growing,
 * close-on-exec. `name` is seen in /proc/PID/maps only.
 * The descriptor, given; -EFBIG above the limit; -errno. */
int mui_memfd_open(const char *name, uint64_t bytes);

/* From now on no writable mapping can be made of it, here or elsewhere; those that
 * exist stay. 0 or -errno. */
int mui_memfd_seal_writes(int fd);

/* Map [0, bytes). Reserves no memory. The mapping is not inherited by fork() when
 * `keep_from_children` is not 0. 0 or -errno. */
int mui_memfd_map(int fd, uint64_t bytes, int prot, int keep_from_children,
                  void **ret_base);

/* Leave it out of core files, to which each page of a hole would be read, and so made.
 * A kernel that does not know how has larger cores. */
void mui_memfd_leave_undumped(void *base, uint64_t bytes);

#endif
