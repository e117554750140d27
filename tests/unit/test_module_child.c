/* test_module_child.c: what a child finds is whole and stays: libraries that another thread
 * is loading just now, that were closed before it began, and that it closes itself. */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/module.h"

typedef int number_fn(void);

MU_API void on_resolve(void); /* the library calls it as it is loaded */

/* Its load waits for the second thread; 0: nobody's. */
static _Atomic pid_t loads_slowly;
static sem_t is_half_loaded;
static _Atomic pid_t second;   /* once it goes for the function */
static _Atomic int second_has; /* what it got: 0: nothing yet */

/* Whether the second thread sleeps, in the linker then. */
static int second_sleeps(void)
{
    char path[64];
    char state = '?';
    FILE *stat;

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat",
                   (int)atomic_load(&second));
    stat = fopen(path, "re");
    if (!stat || fscanf(stat, "%*d %*s %c", &state) != 1)
        _exit(20);
    (void)fclose(stat);
    return state == 'S';
}

void on_resolve(void)
{
    if (atomic_load(&loads_slowly) != getpid())
        return;
    (void)sem_post(&is_half_loaded);
    while (!atomic_load(&second))
        (void)sched_yield();
    while (!atomic_load(&second_has) && !second_sleeps())
        (void)sched_yield();
}

static int call(uint64_t code)
{
    void *address;
    number_fn *number;

    if (mui_module_decode(code, &address) != 0)
        return -1;
    memcpy(&number, &address, sizeof number);
    return number();
}

static void *call_second(void *code)
{
    while (sem_wait(&is_half_loaded) != 0)
        ;
    atomic_store(&second, gettid());
    atomic_store(&second_has, call(*(uint64_t *)code));
    return NULL;
}

static int call_once(uint64_t code, void *unused)
{
    (void)unused;
    return call(code) == 1 ? 0 : 14;
}

static int close_and_call(uint64_t code, void *library)
{
    return dlclose(library) == 0 && call(code) == 1 ? 0 : 15;
}

static int load_ahead(uint64_t code, void *unused)
{
    char path[sizeof LIBRARIES + 10];

    (void)unused;
    (void)code;
    mui_module_load_all();
    (void)snprintf(path, sizeof path, LIBRARIES, 5);
    return dlopen(path, RTLD_LAZY | RTLD_NOLOAD) ? 0 : 16;
}

/* Two threads of a process that has not loaded the library. */
static int call_twice(uint64_t code, void *unused)
{
    pthread_t thread;

    (void)unused;
    atomic_store(&loads_slowly, getpid());
    if (sem_init(&is_half_loaded, 0, 0) != 0 ||
        pthread_create(&thread, NULL, call_second, &code) != 0)
        return 10;
    if (call(code) != 1)
        return 11;
    if (pthread_join(thread, NULL) != 0 || atomic_load(&second_has) != 1)
        return 12;
    return 0;
}

static int begin(void **state)
{
    (void)state;
    return mui_module_init(NULL);
}

/* Another one each time, for what is encoded stays loaded. */
static void *load_library(int i)
{
    char path[sizeof LIBRARIES + 10];
    void *library;

    (void)snprintf(path, sizeof path, LIBRARIES, i);
    library = dlopen(path, RTLD_NOW);
    assert_non_null(library);
    return library;
}

static uint64_t encode(void *library)
{
    uint64_t code;

    assert_int_equal(mui_module_encode(dlsym(library, "of_library"), &code), 0);
    return code;
}

/* A child that ends with what `work` makes of the library's function and `ctx`. It is sealed
 * late, when the library is in the table. */
static pid_t start_child(int (*work)(uint64_t code, void *ctx), void *ctx,
                         int *ret_go)
{
    int go[2];
    pid_t child;

    assert_int_equal(pipe(go), 0);
    child = fork();
    if (child == 0) {
        uint64_t code;

        (void)alarm(300);
        (void)close(go[1]);
        if (read(go[0], &code, sizeof code) != sizeof code ||
            mui_module_seal_in_child() != 0)
            _exit(13);
        _exit(work(code, ctx));
    }
    (void)close(go[0]);
    *ret_go = go[1];
    return child;
}

/* It has to end with 0, of the function of a library that is loaded here. */
static void end_child(pid_t child, int go, void *library)
{
    uint64_t code = encode(library);
    int status;

    assert_int_equal(write(go, &code, sizeof code), sizeof code);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    (void)close(go);
}

/* One that is known here, and not held: it was seen when all was looked at. */
static void *load_and_be_seen(int i, int i_other)
{
    void *library = load_library(i);

    (void)encode(load_library(i_other));
    return library;
}

static void library_is_not_called_before_it_is_whole(void **state)
{
    pid_t child;
    int go;

    (void)state;
    child = start_child(call_twice, NULL, &go);
    end_child(child, go, load_library(0));
}

static void library_that_was_closed_before_is_loaded(void **state)
{
    pid_t child;
    int go;

    (void)state;
    assert_int_equal(dlclose(load_and_be_seen(1, 2)), 0);
    child = start_child(call_once, NULL, &go);
    end_child(child, go, load_library(1));
}

static void library_that_the_child_closes_stays(void **state)
{
    void *library;
    pid_t child;
    int go;

    (void)state;
    library = load_and_be_seen(3, 4);
    child = start_child(close_and_call, library, &go);
    end_child(child, go, library);
}

static void library_that_came_before_the_seal_is_loaded_ahead(void **state)
{
    pid_t child;
    int go;

    (void)state;
    child = start_child(load_ahead, NULL, &go);
    end_child(child, go, load_library(5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_is_not_called_before_it_is_whole),
        cmocka_unit_test(library_that_was_closed_before_is_loaded),
        cmocka_unit_test(library_that_the_child_closes_stays),
        cmocka_unit_test(library_that_came_before_the_seal_is_loaded_ahead),
    };

    return cmocka_run_group_tests(tests, begin, NULL);
}
