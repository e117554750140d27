/* path_list.h: whether lists of paths allow a file, told as Landlock decides it: by what
 * lies on the way from the file up to the root, whatever names led to it.
 *
 * Landlock is what keeps the files; it does not say which call it refused. This says
 * so, and protects nothing: a name that changes meanwhile can make it wrong, about a
 * worker that changes it. */
#ifndef MUI_PROCESS_PATH_LIST_H
#define MUI_PROCESS_PATH_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "muster/base.h"

enum { MUI_PATH_READ = 1, MUI_PATH_WRITE = 2 };

struct mui_path_rule;

struct mui_path_list {
    struct mui_path_rule *rules;
    uint64_t n_rules;
};

/* Lists ended by NULL, or NULL, as bytes that a worker loads: a descriptor, given; or
 * -errno, also of a path. Without read_paths all can be read. */
int mui_path_list_make(const char *const *read_paths,
                       const char *const *write_paths, struct mu_error *err);

/* Gives what was made, for good; the descriptor stays the caller's. 0 or -errno. */
int mui_path_list_load(int fd, struct mui_path_list *ret_list);

/* open() and close() for whoever asks the following, perhaps a thread with descriptors of
 * its own: the thread sanitizer, which watches those of the C library, takes a number
 * for the same descriptor in all threads. `flags` beside O_PATH. */
int mui_path_open(int dir_fd, const char *path, int flags);
void mui_path_close(int fd);

/* Whether the lists are why what `path` names, seen from the directory `dir_fd`, is
 * not had for all of `need` (MUI_PATH_...). False also where there is no such file. */
bool mui_path_list_refuses(const struct mui_path_list *list, int dir_fd,
                           const char *path, unsigned need, bool follow);

/* The same of the directory in which `path` is to be made, changed or removed. */
bool mui_path_list_refuses_entry(const struct mui_path_list *list, int dir_fd,
                                 const char *path, unsigned need);

#endif
