/* test_first_thread.c: a program whose first thread has ended, as by pthread_exit() in
 * main(), goes on in the others. The kernel tells little in /proc/self from then on. */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

#include "muster/channel.h"
#include "muster/init.h"
#include "muster/pool.h"
#include "muster/shared.h"

#include "support/check.h"
#include "sys/module.h"

static int answer(struct mu_task *task)
{
    return mu_task_write(task, "42", 2);
}

static void use_pool(void)
{
    struct mu_outcome *o;
    struct mu_pool *pool;

    CHECK_CHILD(mu_pool_open("processes:2", NULL, &pool, NULL) == 0);
    CHECK_CHILD(mu_pool_submit(pool, answer, NULL, 0, NULL, NULL) == 0);
    CHECK_CHILD(mu_pool_next(pool, test_deadline(), &o) == 0);
    CHECK_CHILD(o->status == MU_DONE && o->output_size == 2);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* A library that came after mu_init(). */
static void name_function(void)
{
    void *library = dlopen(MUSTER_LIBDW, RTLD_NOW);
    uint64_t code;

    CHECK_CHILD(library != NULL);
    CHECK_CHILD(mui_module_encode(dlsym(library, "dwfl_begin"), &code) == 0);
}

static void name_arena(void)
{
    struct mu_shared_options options = {.name = "muster-test-first-thread"};
    struct mu_shared *arena;

    (void)mu_shared_unlink(options.name);
    CHECK_CHILD(mu_shared_new(1 << 16, &options, &arena, NULL) == 0);
    (void)mu_shared_unlink(options.name);
    mu_shared_close(arena);
}

static void watch_log(void)
{
    char address[] = "file:/tmp/muster-test-XXXXXX";
    struct mu_chan *ends[2];
    int fd = mkstemp(address + strlen("file:"));

    CHECK_CHILD(fd >= 0);
    (void)close(fd);
    CHECK_CHILD(mu_chan_pair(address, NULL, ends, NULL) == 0);
    CHECK_CHILD(mu_chan_fd(ends[1]) >= 0);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
    (void)unlink(address + strlen("file:"));
}

/* pthread_join() would say it too, but the thread sanitizer knows no handle of it. */
static bool first_has_ended(void)
{
    char line[512] = "";
    FILE *f = fopen("/proc/self/stat", "re");

    CHECK_CHILD(f && fgets(line, sizeof line, f) && fclose(f) == 0);
    return strstr(line, ") Z ") != NULL;
}

static void *second_thread(void *unused)
{
    const int64_t deadline = test_deadline();

    while (!first_has_ended()) {
        CHECK_CHILD(mu_now_ns() < deadline);
        (void)sched_yield();
    }
    use_pool();
    name_function();
    name_arena();
    watch_log();
    _exit(0);
    return unused;
}

static void program(void *unused)
{
    pthread_t second;

    (void)unused;
    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(pthread_create(&second, NULL, second_thread, NULL) == 0);
    pthread_exit(NULL);
}

static void others_go_on_without_it(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(program, NULL)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_go_on_without_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
