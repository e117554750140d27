/* test_module.c: functions travel as (module, offset). */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/module.h"

int own_function(void);
int own_function(void)
{
    return 41;
}

static void own_function_comes_back(void **state)
{
    uint64_t code;
    uint64_t again;
    void *address;

    (void)state;
    assert_int_equal(mui_module_encode((void *)own_function, &code), 0);
    assert_int_equal(code >> 48, 0);
    assert_int_equal(mui_module_encode((void *)own_function, &again), 0);
    assert_int_equal(code, again);
    assert_int_equal(mui_module_decode(code, &address), 0);
    assert_ptr_equal(address, (void *)own_function);
    assert_int_equal(mui_module_locate((void *)own_function, &again), 0);
    assert_int_equal(code, again);
}

/* lfind: no sanitizer puts one of its own in its place. */
static void function_of_a_library_comes_back(void **state)
{
    uint64_t code;
    void *address;

    (void)state;
    assert_int_equal(mui_module_encode(dlsym(RTLD_DEFAULT, "lfind"), &code), 0);
    assert_int_not_equal(code >> 48, 0);
    assert_non_null(strstr(mui_module_path((unsigned)(code >> 48)), "libc"));
    assert_int_equal(mui_module_decode(code, &address), 0);
    assert_ptr_equal(address, dlsym(RTLD_DEFAULT, "lfind"));
}

static void data_outside_modules_is_refused(void **state)
{
    uint64_t code;
    void *heap = malloc(100);

    (void)state;
    assert_int_equal(mui_module_encode(heap, &code), -EINVAL);
    assert_int_equal(mui_module_encode(NULL, &code), -EINVAL);
    assert_int_equal(mui_module_locate(heap, &code), -EINVAL);
    free(heap);
}

static void forged_code_is_refused(void **state)
{
    void *address;

    (void)state;
    assert_int_equal(mui_module_decode(UINT64_C(1000) << 48, &address),
                     -ENOENT);
    assert_int_equal(mui_module_decode((UINT64_C(1) << 48) - 1, &address),
                     -EINVAL);
}

/* A library that only the parent loads, after the fork, is loaded by the child;
 * and the child cannot write the table. */
static void child_loads_what_parent_loaded_later(void **state)
{
    int go[2];
    uint64_t code = 0;
    void *library;
    int status;
    pid_t child;

    (void)state;
    assert_int_equal(mui_module_init(NULL), 0);
    assert_int_equal(pipe(go), 0);
    child = fork();
    if (child == 0) {
        int (*td_init)(void) = NULL;
        void *address;

        alarm(300);
        if (mui_module_seal_in_child() != 0)
            _exit(10);
        if (mprotect((void *)((uintptr_t)mui_module_path(0) & ~4095UL), 4096,
                     PROT_READ | PROT_WRITE) == 0)
            _exit(11);
        if (read(go[0], &code, sizeof code) != sizeof code)
            _exit(12);
        if (mui_module_decode(code, &address) != 0)
            _exit(13);
        memcpy(&td_init, &address, sizeof address);
        _exit(td_init() == 0 ? 0 : 14);
    }
    library = dlopen("libthread_db.so.1", RTLD_LAZY); /* a part of libc6 */
    assert_non_null(library);
    assert_int_equal(mui_module_encode(dlsym(library, "td_init"), &code), 0);
    assert_int_equal(write(go[1], &code, sizeof code), sizeof code);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_function_comes_back),
        cmocka_unit_test(function_of_a_library_comes_back),
        cmocka_unit_test(data_outside_modules_is_refused),
        cmocka_unit_test(forged_code_is_refused),
        cmocka_unit_test(child_loads_what_parent_loaded_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
