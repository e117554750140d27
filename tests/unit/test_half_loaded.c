/* test_half_loaded.c: a function whose library another thread is loading just now is not
 * called before that is over. */
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

static _Atomic pid_t
    loads_slowly; /* its load waits for the second thread; 0: it need not */
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

/* Two threads of a process that has not loaded the library. */
static int call_twice(uint64_t code)
{
    pthread_t thread;

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

static void function_is_not_called_before_its_library_is_whole(void **state)
{
    int go[2];
    uint64_t code;
    void *library;
    int status;
    pid_t child;

    (void)state;
    assert_int_equal(mui_module_init(NULL), 0);
    assert_int_equal(pipe(go), 0);
    child = fork();
    if (child == 0) {
        (void)alarm(300);
        (void)close(go[1]);
        if (mui_module_seal_in_child() != 0 ||
            read(go[0], &code, sizeof code) != sizeof code)
            _exit(13);
        _exit(call_twice(code));
    }
    library = dlopen(LIBRARY, RTLD_NOW);
    assert_non_null(library);
    assert_int_equal(mui_module_encode(dlsym(library, "of_library"), &code), 0);
    assert_int_equal(write(go[1], &code, sizeof code), sizeof code);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    (void)close(go[0]);
    (void)close(go[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(function_is_not_called_before_its_library_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
