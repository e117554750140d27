/* refusal.h: says which system call it was that lists of paths refused.
 *
 * Landlock answers EACCES, to the task alone. So calls that name a path are held by
 * seccomp until a thread of the same worker has looked at the name (user notification,
 * seccomp_unotify(2)): one that the lists allow goes on as if nothing had been, and one
 * that they do not allow is the end of the task, as a call is that seccomp refuses. A
 * child that a task started is not looked at: its call goes on, and Landlock refuses
 * it. */
#ifndef MUI_PROCESS_REFUSAL_H
#define MUI_PROCESS_REFUSAL_H

/* In a worker, by its only thread, once files are restricted: from now on, for
 * this thread and those that it starts. `list_fd` as mui_path_list_make() gave it, not
 * taken. A kernel that cannot tell (before 5.5), or whose one place for it is taken
 * already, refuses as before and says nothing. 0 or -errno. */
int mui_refusal_begin(int list_fd);

#endif
