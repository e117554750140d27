/* library.c: loading libraries that were not linked.
 *
 *   L  store loaded (release)  ->  load (acquire): the functions are there
 *
 * A library stays loaded: its code may be on somebody's stack. */
#include "sys/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "sys/forked.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What another thread was loading the child loads again: `loaded` comes last. */
static void renew_lock_in_child(void)
{
    mui_forked_renew_lock(&lock);
}

/* Where its functions are, into [library->n]. */
static int find(const struct mui_library *library, void **functions)
{
    void *handle = dlopen(library->name, RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return -ELIBACC;
    for (size_t i = 0; i < library->n; i++) {
        functions[i] = dlsym(handle, library->names[i]);
        if (!functions[i]) {
            (void)dlclose(handle);
            return -ELIBACC;
        }
    }
    return 0;
}

int mui_library_load(struct mui_library *library)
{
    static _Atomic bool heeds_forks;
    void *functions[MUI_LIBRARY_FUNCTIONS];
    int rc;

    /* L */
    if (atomic_load_explicit(&library->loaded, memory_order_acquire))
        return 0;
    mui_forked_heed(&heeds_forks, renew_lock_in_child);
    /* not under the lock: who loads another library has the linker's, and its constructor
     * may come here */
    rc = find(library, functions);
    (void)pthread_mutex_lock(&lock);
    /* relaxed: written under the lock */
    if (rc == 0 &&
        !atomic_load_explicit(&library->loaded, memory_order_relaxed)) {
        memcpy(library->functions, functions, library->n * sizeof *functions);
        /* L */
        atomic_store_explicit(&library->loaded, true, memory_order_release);
    }
    (void)pthread_mutex_unlock(&lock);
    return rc;
}
