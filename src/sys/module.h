/* module.h: functions by (module, offset), so that a function can travel to a
 * process in which its library lies elsewhere, or is not loaded yet.
 *
 * The table of modules is a small memfd that the supervisor writes and that every
 * process forked after mui_module_init() sees, read-only once
 * mui_module_seal_in_child() was called in it. It only grows. A child that calls
 * mui_module_init() itself, and has not sealed it, has its own from then on.
 *
 * Module 0 is the program itself. A function's code is module << 48 | offset. */
#ifndef MUI_SYS_MODULE_H
#define MUI_SYS_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "muster/base.h"

enum { MUI_MODULES_MAX = 1024 };

/* Make the table. Idempotent. 0 or -errno. */
int mui_module_init(struct mu_error *err);

/* In a child of one thread: from now on the table can only be read here, and what is loaded
 * stays. Signal-unsafe. */
int mui_module_seal_in_child(void);

/* The code of a function, from its address; adds its module to the table when it
 * is new. 0; -EINVAL when the address lies in no loaded module; -ENOSPC when
 * the table is full; -EMFILE and the like when no file can be opened, where anything was
 * loaded since the module was looked at. Thread-safe; the first function of a module
 * takes a lock and looks at all that is loaded, every other is found among the modules
 * that are known. */
int mui_module_encode(const void *address, uint64_t *ret_code);

/* The address of a function in this process; loads its module when it is not
 * loaded. 0; -ENOENT or -EINVAL for a code that no encode gave; -ELIBACC when
 * the module cannot be loaded, or its file is another by now; -EMFILE and the like.
 * Thread-safe. */
int mui_module_decode(uint64_t code, void **ret_address);

/* Load every module that came into the table since this child was forked and that it lacks
 * (the nursery does it before it forks), each tried once. Failures are left for
 * mui_module_decode() to report. One thread. */
void mui_module_load_all(void);

/* Whether this thread runs the constructors of a module that one of them loads. */
bool mui_module_is_loading(void);

/* Turn an address of this process into module and offset, for backtraces: like
 * encode, but never adds to the table and needs no lock, so that a signal
 * handler may call it. -EINVAL when the module is not in the table. */
int mui_module_locate(const void *address, uint64_t *ret_code);

/* The file of a module: an absolute path, lent for ever. NULL when unknown. */
const char *mui_module_path(unsigned i_module);

#endif
