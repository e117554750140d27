/* descriptor.h: the descriptors of a process as a whole. */
#ifndef MUI_SYS_DESCRIPTOR_H
#define MUI_SYS_DESCRIPTOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Tells what a descriptor of ours names from what the host may have put in its place,
 * when it closed all that it did not know. Of what has an inode of its own: sockets, files,
 * also those in memory and of /proc, not eventfds and epoll sets. */
struct mui_descriptor_mark {
    dev_t device;
    ino_t inode;
};

struct mui_descriptor_mark mui_descriptor_mark(int fd);

/* Whether it is still the same, and open. Signal-safe. */
bool mui_descriptor_is(int fd, const struct mui_descriptor_mark *mark);

/* Descriptors 0 to 2 are the host's also while they are closed: what is kept is moved above
 * them. `fd` is what a call returned that opens one: a descriptor, or -1 with errno.
 * The descriptor that takes its place, close-on-exec; or -errno, and `fd` is closed. */
int mui_descriptor_above_stdio(int fd);

/* The same of a pair: `rc` is what the call returned that opens it, 0 or -1 with errno.
 * 0; or -errno, and both are closed. */
int mui_descriptors_above_stdio(int rc, int fds[2]);

/* A file about this process, open for its life, where tasks run: those may close it, or
 * have its number name another. */
struct mui_kept_file {
    int fd; /* -1: there was none */
    struct mui_descriptor_mark mark;
};

/* Move `fd`, which may be -1, to a high number, close-on-exec: who closes what is not his,
 * or once too often, most likely hits one of the lowest. Who it is then. */
int mui_descriptor_high(int fd);

/* Open one to be read, high up. */
struct mui_kept_file mui_kept_file_open(const char *path);

/* What it says now, as a string cut to `size`. How long that is, or -1 when it is not there
 * any more. Leaves errno alone; signal-safe. */
ssize_t mui_kept_file_read(const struct mui_kept_file *file, char *ret_text,
                           size_t size);

/* Where `fd` is found by calls that take a path: to be opened anew, linked, looked up. Of
 * /proc/self, which is the first thread's, nothing is left to see when that has ended. */
struct mui_descriptor_path {
    char text[sizeof "/proc/thread-self/fd/-2147483648"];
};

struct mui_descriptor_path mui_descriptor_path(int fd);

/* Close all but 0, 1, 2 and the n of `keep`, which it sorts. n may be 0. */
void mui_descriptors_keep(int *keep, unsigned n);

/* Raised by mui_descriptors_keep(). */
extern _Atomic uint32_t mui_n_descriptors_kept;

/* Keep it with what has descriptors and compare: another value means that they were
 * closed, and that their numbers may name others by now. Thread-safe. */
static inline uint32_t mui_descriptors_kept(void)
{
    /* relaxed: it changes only where there is one thread */
    return atomic_load_explicit(&mui_n_descriptors_kept, memory_order_relaxed);
}

/* Let 0 read nothing, and open what of 0, 1, 2 is closed, on /dev/null; where that cannot be
 * opened on what reads nothing either. */
void mui_descriptors_detach_input(void);

#endif
