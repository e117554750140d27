/* test_memory.c: an input for which the pool finds no memory waits for what is under way,
 * and fails alone when nothing is. */
#include <limits.h>
#include <string.h>

#include "muster/init.h"
#include "muster/pool.h"

#include "commands.h"
#include "flight.h"
#include "support/check.h"

enum { N_INPUTS = 5, TEXT_BYTES = 4096 };

static const char *const models[] = {"serial", "threads:2", "processes:2"};
enum { N_MODELS = sizeof models / sizeof models[0] };

/* Which input finds no memory, and how often: of the child that runs. */
static uint64_t poor_tag;
static unsigned n_poor;

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_mu_pool_submit(struct mu_pool *pool, mu_task_fn fn,
                          const void *input, size_t input_size,
                          const struct mu_submit *how, uint64_t *ret_id);
int __wrap_mu_pool_submit(struct mu_pool *pool, mu_task_fn fn,
                          const void *input, size_t input_size,
                          const struct mu_submit *how, uint64_t *ret_id);

int __wrap_mu_pool_submit(struct mu_pool *pool, mu_task_fn fn,
                          const void *input, size_t input_size,
                          const struct mu_submit *how, uint64_t *ret_id)
{
    if (how->tag == poor_tag && n_poor) {
        n_poor--;
        return -ENOMEM;
    }
    return __real_mu_pool_submit(pool, fn, input, input_size, how, ret_id);
}
/* NOLINTEND(readability-identifier-naming) */

/* What a run said and how it ended. */
struct said {
    char out[TEXT_BYTES];
    char err[TEXT_BYTES];
    int status;
};

static void read_back(int fd, char *text)
{
    ssize_t n = pread(fd, text, TEXT_BYTES - 1, 0);

    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(close(fd), 0);
}

/* `muster map -k` over five inputs, of which that with `tag` finds no memory `n` times. */
static struct said run(const char *model, uint64_t tag, unsigned n)
{
    char *argv[] = {(char *)"map", (char *)"-k", (char *)"--model",
                    (char *)model, (char *)"--", (char *)"echo",
                    (char *)":::", (char *)"a",  (char *)"b",
                    (char *)"c",   (char *)"d",  (char *)"e",
                    NULL};
    int out = memfd_create("out", MFD_CLOEXEC);
    int err = memfd_create("err", MFD_CLOEXEC);
    struct said said;
    pid_t child;

    assert_true(out >= 0 && err >= 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        poor_tag = tag;
        n_poor = n;
        if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0 ||
            mu_init(NULL) < 0)
            _exit(254);
        _exit(command_map(7 + N_INPUTS, argv));
    }
    assert_int_equal(waitpid(child, &said.status, 0), child);
    read_back(out, said.out);
    read_back(err, said.err);
    assert_true(WIFEXITED(said.status));
    said.status = WEXITSTATUS(said.status);
    return said;
}

static void what_finds_none_for_now_is_tried_again(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODELS; i++)
        for (uint64_t tag = 2; tag <= N_INPUTS; tag++) {
            struct said said = run(models[i], tag, 1);

            assert_string_equal(said.out, "a\nb\nc\nd\ne\n");
            assert_non_null(strstr(said.err, "muster: 5 done in"));
            assert_int_equal(said.status, 0);
        }
}

static void what_finds_none_at_all_fails_alone(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODELS; i++)
        for (uint64_t tag = 1; tag <= N_INPUTS; tag++) {
            struct said said = run(models[i], tag, UINT_MAX);
            char out[] = "a\nb\nc\nd\ne\n";
            char err[128];
            size_t at = 2 * (size_t)(tag - 1);

            (void)snprintf(err, sizeof err,
                           "muster: input %d, '%c', failed: could not be run: "
                           "Cannot allocate memory: ",
                           (int)tag, out[at]);
            memmove(out + at, out + at + 2, sizeof out - at - 2);
            assert_string_equal(said.out, out);
            assert_non_null(strstr(said.err, err));
            assert_non_null(strstr(said.err, "muster: 4 done, 1 failed in"));
            assert_int_equal(said.status, 1);
        }
}

/* Of a flight that has ended no long name is kept. */
static void long_names_are_given_back(void **state)
{
    static const char name[64 * 1024];
    struct flights f = {0};
    struct flight *flight = flights_add(&f, 1);

    (void)state;
    text_append(&flight->name, name, sizeof name);
    flights_remove(&f, flight);
    assert_ptr_equal(flights_add(&f, 2), flight);
    assert_true(flight->name.capacity < sizeof name);
    assert_int_equal(flight->name.size, 0);
    flights_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_finds_none_for_now_is_tried_again),
        cmocka_unit_test(what_finds_none_at_all_fails_alone),
        cmocka_unit_test(long_names_are_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
